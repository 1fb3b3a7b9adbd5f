//! Failures are counted in transient attributes of the node. // spec cluster §11

use super::*;
use crate::terms::{ExecStatus, OcfExit, Score};
use crate::xml::Element;

/// What failed starts and stops add outside a transition.
pub(super) fn default_offsets(start_failure_is_fatal: Option<&str>) -> (Score, Score) {
    let fatal = !matches!(
        start_failure_is_fatal,
        Some("false" | "no" | "off" | "0" | "n")
    );
    (
        if fatal {
            Score::INFINITY
        } else {
            Score::new(1)
        },
        Score::INFINITY,
    )
}

/// The write that counts a failure; `None` where it is not counted.
pub(super) fn count(
    cib: &Cib,
    node: &str,
    entry: &Entry,
    (start_offset, stop_offset): (Score, Score),
    ignored: bool,
    now_s: i64,
) -> Option<Command> {
    let one = Score::new(1);
    let add = match (entry.interval_ms, entry.task.as_str()) {
        (1.., _) | (0, "promote" | "demote") => one,
        (0, "start") => start_offset,
        (0, "stop") => stop_offset,
        _ if entry.key.transition == -1 => one,
        _ => return None,
    };
    let suffix = format!("{}#{}_{}", entry.rsc, entry.task, entry.interval_ms);
    let count_name = format!("fail-count-{suffix}");
    let mut pairs = vec![(format!("last-failure-{suffix}"), now_s.to_string())];
    if !ignored {
        let old = attribute(cib, node, &count_name)
            .and_then(|v| Score::parse(v))
            .unwrap_or(Score::new(0));
        pairs.insert(0, (count_name, (old + add).to_string()));
    }
    Some(set_attributes(node, &pairs))
}

/// The write that sets transient attributes of a node. // spec cluster §15.4
pub(super) fn set_attributes(node: &str, pairs: &[(String, String)]) -> Command {
    let set_id = format!("status-{node}");
    let mut set = Element::new("instance_attributes").with("id", &set_id);
    for (name, value) in pairs {
        set.push(
            Element::new("nvpair")
                .with("id", &format!("{set_id}-{}", id_text(name)))
                .with("name", name)
                .with("value", value),
        );
    }
    let transient = Element::new("transient_attributes")
        .with("id", node)
        .with_child(set);
    Command::modify(
        "status",
        Element::new("node_state")
            .with("id", node)
            .with_child(transient),
    )
    .or_create()
}

/// Characters that ids may not have become dots.
fn id_text(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_alphanumeric() || "_-.".contains(c) {
                c
            } else {
                '.'
            }
        })
        .collect()
}

fn attribute<'a>(cib: &'a Cib, node: &str, name: &str) -> Option<&'a str> {
    pairs_of(cib, node)
        .find(|p| p.get("name") == Some(name))
        .and_then(|p| p.get("value"))
}

fn pairs_of<'a>(cib: &'a Cib, node: &str) -> impl Iterator<Item = &'a Element> {
    cib.status()
        .into_iter()
        .flat_map(|s| s.children())
        .filter(move |s| s.tag() == "node_state" && s.id() == Some(node))
        .filter_map(|s| s.child("transient_attributes"))
        .flat_map(|t| t.children())
        .flat_map(|set| set.children())
        .filter(|p| p.tag() == "nvpair")
}

/// The writes of a `clear_failcount` action: its counts, and the failure it shows.
pub(super) fn clear(cib: &Cib, action: &Action) -> Vec<Command> {
    let (Some(node), Some(rsc)) = (&action.node, &action.rsc) else {
        return Vec::new();
    };
    let uuid = node.uuid.as_str();
    let operation = action.meta("operation");
    let interval = action.meta("interval");
    let wanted = |name: &str| {
        let rest = name
            .strip_prefix("fail-count-")
            .or(name.strip_prefix("last-failure-"));
        rest.and_then(|r| r.strip_prefix(rsc.id.as_str()))
            .and_then(|r| r.strip_prefix('#'))
            .is_some_and(|op| match (operation, interval) {
                (Some(o), Some(i)) => op == format!("{o}_{i}"),
                _ => true,
            })
    };
    let mut commands: Vec<Command> = pairs_of(cib, uuid)
        .filter(|p| p.get("name").is_some_and(wanted))
        .filter_map(|p| p.id())
        .map(|id| {
            Command::delete_xpath(&format!(
                "/cib/status/node_state[@id='{uuid}']/transient_attributes//nvpair[@id='{id}']"
            ))
        })
        .collect();
    commands.push(Command::delete_xpath(&format!(
        "/cib/status/node_state[@id='{uuid}']/lrm/lrm_resources/lrm_resource[@id='{}']/lrm_rsc_op[@id='{}_last_failure_0']",
        rsc.id, rsc.id
    )));
    commands
}

/// The history entry of an action that nobody answered for. // spec cluster §9.3
pub(super) fn timed_out(action: &Action, key: &TransitionKey, now_s: i64) -> Option<Command> {
    if matches!(
        action.task.as_str(),
        "cancel" | "delete" | "notify" | "meta-data"
    ) {
        return None;
    }
    let (node, rsc) = (action.node.as_ref()?, action.rsc.as_ref()?);
    let status = ExecStatus::TimedOut.code();
    let rc = OcfExit::ERROR.0;
    let now = now_s.to_string();
    let entry = |id: String| {
        Element::new("lrm_rsc_op")
            .with("id", &id)
            .with("operation_key", &action.key)
            .with("operation", &action.task)
            .with("crm-debug-origin", "coordinator")
            .with(
                "crm_feature_set",
                action.attribute("crm_feature_set").unwrap_or_default(),
            )
            .with("transition-key", &key.to_string())
            .with("transition-magic", &format!("{status}:{rc};{key}"))
            .with(
                "exit-reason",
                "Action was lost: its node did not answer in time",
            )
            .with("on_node", node.name.as_str())
            .with("call-id", "-1")
            .with("rc-code", &rc.to_string())
            .with("op-status", &status.to_string())
            .with("interval", &action.interval_ms().to_string())
            .with("last-rc-change", &now)
    };
    let mut resource = Element::new("lrm_resource")
        .with("id", rsc.id.as_str())
        .with("class", &rsc.class);
    if let Some(provider) = &rsc.provider {
        resource.set("provider", provider);
    }
    resource.set("type", &rsc.kind);
    resource.push(entry(format!("{}_last_failure_0", rsc.id)));
    if action.interval_ms() == 0 {
        resource.push(entry(format!("{}_last_0", rsc.id)));
    }
    let lrm = Element::new("lrm")
        .with("id", &node.uuid)
        .with_child(Element::new("lrm_resources").with_child(resource));
    let state = Element::new("node_state")
        .with("id", &node.uuid)
        .with_child(lrm);
    Some(Command::modify("status", state).or_create())
}
