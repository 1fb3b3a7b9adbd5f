//! From the configuration to the fencer's words, and from the executor's calls of fence devices.

use std::collections::BTreeMap;

use crate::cib::Cib;
use crate::executor::{self, DeviceTask, RunId};
use crate::fencer::{self, Device, DeviceCall, DeviceVerb, Failure, Level, LevelTarget};
use crate::policy;
use crate::terms::{ExecStatus, NodeName, OcfExit, span};
use crate::xml::Element;

/// Devices, levels and node attributes as this node's fencer should know them. // spec cluster §16.1
pub(super) fn configured(cib: &Cib, me: &NodeName, now_s: i64, lease_ms: u64) -> fencer::Event {
    let input = policy::Input {
        causes: false,
        ..policy::Input::at(now_s)
    };
    let devices = policy::fence_devices(cib.root(), &input, me.as_str());
    let devices = devices.into_iter().map(|device| Device {
        id: device.id.into(),
        agent: device.agent,
        provides_unfencing: device.provides_unfencing,
        params: device.params.into_iter().collect(),
    });
    // The built-in device is no agent: it is what nodes do by themselves. // spec cluster §16.9
    let (built_in, devices): (Vec<Device>, Vec<Device>) =
        devices.partition(|device: &Device| device.agent == fencer::WATCHDOG_AGENT);
    let mut watchdogs = watchdogs(cib, lease_ms);
    if let Some(device) = built_in.first() {
        let only = device.fixed_targets();
        let named = |name: &NodeName| only.iter().any(|n| n.eq_ignore_ascii_case(name.as_str()));
        watchdogs.retain(|name, _| only.is_empty() || named(name));
    }
    let levels = cib
        .section("fencing-topology")
        .filter(|t| t.is("fencing-topology"))
        .into_iter()
        .flat_map(|t| t.children_named("fencing-level"))
        .filter_map(level)
        .collect();
    let node_attributes = cib
        .section("nodes")
        .into_iter()
        .flat_map(|n| n.children_named("node"))
        .filter_map(|node| {
            let pairs = pairs(node, "instance_attributes");
            Some((NodeName::from(node.get("uname").or(node.id())?), pairs))
        })
        .collect();
    fencer::Event::Configured {
        devices,
        levels,
        node_attributes,
        watchdogs,
    }
}

/// How long after a node fell silent its watchdog has certainly reset it: what is left of its lease, and then the timeout
/// that the cluster waits, but never less than the node's own. Nodes without a watchdog are not in it, nor those that keep
/// what they run without a lease (their watchdog is fed all the same), nor is anybody while `stonith-watchdog-timeout` is off. // spec cluster §16.9; safety §2
pub(super) fn watchdogs(cib: &Cib, lease_ms: u64) -> BTreeMap<NodeName, u64> {
    let names = ["fencing-watchdog-timeout", "stonith-watchdog-timeout"];
    let text = option(cib, &names).unwrap_or_default();
    let twice = text.trim_start().starts_with('-');
    let wanted_ms = span::ms_or_zero(Some(&text));
    if !twice && wanted_ms == 0 {
        return BTreeMap::new();
    }
    let states = cib.status().into_iter();
    states
        .flat_map(|status| status.children_named("node_state"))
        .filter(|state| state.get("lets-go") != Some("false"))
        .filter_map(|state| {
            let own_ms: u64 = state.get("watchdog-ms")?.parse().ok()?;
            let wait_ms = if twice {
                own_ms * 2
            } else {
                wanted_ms.max(own_ms)
            };
            let name = NodeName::from(state.get("uname")?);
            (own_ms > 0).then_some((name, lease_ms + wait_ms))
        })
        .collect()
}

fn level(element: &Element) -> Option<Level> {
    let target = if let Some(node) = element.get("target") {
        LevelTarget::Node(node.to_owned())
    } else if let Some(pattern) = element.get("target-pattern") {
        LevelTarget::Pattern(pattern.to_owned())
    } else {
        let (name, value) = (
            element.get("target-attribute")?,
            element.get("target-value")?,
        );
        LevelTarget::Attribute(name.to_owned(), value.to_owned())
    };
    let index = element
        .get("index")?
        .parse()
        .ok()
        .filter(|i| (1..=9).contains(i))?;
    let devices = element
        .get("devices")?
        .split(',')
        .map(|d| d.trim().into())
        .collect();
    Some(Level {
        target,
        index,
        devices,
    })
}

/// Name and value of all pairs in an element's sets of one kind; the first one of a name counts.
fn pairs(element: &Element, tag: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for pair in element
        .children_named(tag)
        .flat_map(|set| set.children_named("nvpair"))
    {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            all.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    all
}

/// Whether nodes are fenced here. // spec cluster §16
pub(super) fn fencing_enabled(cib: &Cib) -> bool {
    option(cib, &["fencing-enabled", "stonith-enabled"])
        .is_none_or(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0" | "n"))
}

pub(super) fn option(cib: &Cib, names: &[&str]) -> Option<String> {
    cib.section("crm_config")?
        .children_named("cluster_property_set")
        .flat_map(|set| set.children_named("nvpair"))
        .find(|p| p.get("name").is_some_and(|n| names.contains(&n)))
        .and_then(|p| p.get("value"))
        .map(str::to_owned)
}

/// What runs here is not stopped when quorum is lost.
pub(super) fn goes_on_without_quorum(cib: &Cib) -> bool {
    let policy = option(cib, &["no-quorum-policy"]);
    let maintenance = option(cib, &["maintenance-mode"]);
    matches!(policy.as_deref(), Some("ignore" | "freeze"))
        || matches!(
            maintenance.as_deref(),
            Some("true" | "yes" | "on" | "1" | "y")
        )
}

/// Start, stop or monitor of a fence device, asked of the fencer.
pub(super) fn call(run: RunId, task: &DeviceTask) -> fencer::Event {
    let verb = match task.task.as_str() {
        "start" => DeviceVerb::Start,
        "stop" => DeviceVerb::Stop,
        "probe" => DeviceVerb::Probe,
        _ => DeviceVerb::Monitor,
    };
    let device = Device {
        id: task.device.clone(),
        agent: task.agent.kind.clone(),
        params: task.params.iter().cloned().collect(),
        provides_unfencing: false,
    };
    let call = DeviceCall {
        call: run.0,
        device,
        verb,
        timeout_ms: task.timeout_ms,
    };
    fencer::Event::Command(Box::new(fencer::Command::Device(call)))
}

/// Its end, for the executor. // spec cluster §14.2
pub(super) fn ended(call: u64, result: Result<i32, Failure>) -> executor::Event {
    let outcome = match result {
        Ok(rc) => executor::Outcome::done(rc),
        Err(why @ Failure::TimedOut(_)) => {
            executor::Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, why.to_string())
        }
        Err(why @ Failure::NoSecret(_)) => executor::Outcome::failed(
            ExecStatus::NoSecrets,
            OcfExit::NOT_CONFIGURED,
            why.to_string(),
        ),
        Err(why) => executor::Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why.to_string()),
    };
    executor::Event::Ended(RunId(call), outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Limits;

    fn cib(resources: &str, constraints: &str) -> Cib {
        let text = format!(
            "<cib><configuration><crm_config/><nodes><node id=\"1\" uname=\"h1\"/>\
             <node id=\"2\" uname=\"h2\"/></nodes><resources>{resources}</resources>\
             <constraints>{constraints}</constraints></configuration><status/></cib>"
        );
        Cib::parse(text, &Limits::default()).expect("the test's XML is right")
    }

    fn names(event: &fencer::Event) -> Vec<String> {
        let fencer::Event::Configured { devices, .. } = event else {
            panic!("not configured")
        };
        devices.iter().map(|d| d.id.to_string()).collect()
    }

    #[test]
    fn devices_are_known_unless_disabled_or_banned_here() {
        let resources = r#"
            <primitive id="a" class="stonith" type="fence_hook"/>
            <primitive id="b" class="stonith" type="fence_hook"><meta_attributes id="m">
              <nvpair id="r" name="target-role" value="Stopped"/></meta_attributes></primitive>
            <primitive id="c" class="stonith" type="fence_hook"/>
            <primitive id="d" class="ocf" provider="systole" type="Dummy"/>"#;
        let bans = r#"<rsc_location id="l" rsc="c" node="h1" score="-INFINITY"/>"#;
        let cib = cib(resources, bans);
        assert_eq!(names(&configured(&cib, &"h1".into(), 0, 0)), ["a"]);
        assert_eq!(names(&configured(&cib, &"h2".into(), 0, 0)), ["a", "c"]);
    }

    #[test]
    fn a_watchdog_is_waited_for_as_long_as_the_node_needs() {
        let waits = |option: &str, device: &str| {
            let text = format!(
                "<cib><configuration><crm_config><cluster_property_set id=\"o\"><nvpair id=\"w\" \
                 name=\"stonith-watchdog-timeout\" value=\"{option}\"/></cluster_property_set></crm_config><nodes>\
                 <node id=\"1\" uname=\"h1\"/></nodes><resources>{device}</resources></configuration><status>\
                 <node_state id=\"1\" uname=\"h1\" watchdog-ms=\"5000\"/>\
                 <node_state id=\"2\" uname=\"h2\" watchdog-ms=\"8000\"/>\
                 <node_state id=\"3\" uname=\"h3\" watchdog-ms=\"0\"/>\
                 <node_state id=\"4\" uname=\"h4\" watchdog-ms=\"5000\" lets-go=\"false\"/></status></cib>"
            );
            let cib = Cib::parse(text, &Limits::default()).expect("the test's XML is right");
            match configured(&cib, &"h1".into(), 0, 1_000) {
                fencer::Event::Configured {
                    watchdogs, devices, ..
                } => {
                    assert!(devices.is_empty());
                    let waits = watchdogs.iter().map(|(name, ms)| format!("{name} {ms}"));
                    waits.collect::<Vec<_>>().join(" ")
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(waits("6s", ""), "h1 7000 h2 9000");
        assert_eq!(waits("-1", ""), "h1 11000 h2 17000");
        assert_eq!(waits("0", ""), "");
        let device = r#"<primitive id="watchdog" class="stonith" type="fence_watchdog"><instance_attributes id="i">
            <nvpair id="l" name="pcmk_host_list" value="h2"/></instance_attributes></primitive>"#;
        assert_eq!(waits("10s", device), "h2 11000");
    }
}
