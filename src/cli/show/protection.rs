//! What makes sure of a node that it runs nothing any more, before others take over what it ran. // design §4

use crate::cib::Cib;
use crate::cib::config::options;
use crate::fencer::{Device, WATCHDOG_AGENT};
use crate::policy::NodeIdx;
use crate::policy::facts::{Facts, NodeKind, QuorumPolicy};
use crate::terms::{Role, span};

/// What protects one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// The node.
    pub node: String,
    /// `fencing`, `watchdog`, `lease` or `nothing`; `unknown` to who may not read the options.
    pub by: &'static str,
    /// The same for people, with names and times.
    pub text: String,
    /// How the loss of a node that is not there was proven.
    pub proof: Option<String>,
}

/// For every node of the cluster itself, in its order.
pub fn protections(cib: &Cib, facts: &Facts) -> Vec<Protection> {
    let devices = devices(facts);
    let own = |at: &&NodeIdx| facts.node_kind(**at) == NodeKind::Cluster;
    let nodes = facts.node_order.iter().filter(own);
    let nodes = nodes.map(|at| &facts.nodes[*at]);
    // ACLs may hide the options from who reads it.
    let options = cib.section("crm_config");
    nodes
        .map(|node| {
            let name = node.name.as_str();
            let status = cib.status();
            let state = status.and_then(|s| s.child_by_id("node_state", &node.id));
            let get = |name: &str| state.and_then(|state| state.get(name));
            let watchdog_ms: u64 = get("watchdog-ms")
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(0);
            let keeps = get("lets-go") == Some("false") || goes_on(facts);
            let (by, text) = if options.is_none() {
                let why = "ACLs hide the cluster options";
                ("unknown", format!("unknown: {why}"))
            } else if facts.options.fencing_enabled {
                with_fencing(cib, name, &devices, watchdog_ms)
            } else if keeps {
                let why = "no-quorum-policy lets it go on, and nothing can end it";
                ("nothing", format!("nothing: {why}"))
            } else if watchdog_ms > 0 {
                ("watchdog", watchdog(watchdog_ms))
            } else {
                (
                    "lease",
                    "lease: it stops by itself when that runs out".to_owned(),
                )
            };
            Protection {
                node: name.to_owned(),
                by,
                text,
                proof: get("proof").filter(|_| !node.online).map(str::to_owned),
            }
        })
        .collect()
}

fn goes_on(facts: &Facts) -> bool {
    matches!(
        facts.options.no_quorum_policy,
        QuorumPolicy::Ignore | QuorumPolicy::Freeze
    )
}

fn watchdog(ms: u64) -> String {
    let time = span::readable(ms);
    format!("watchdog: it resets the machine {time} after its lease ran out")
}

fn with_fencing(
    cib: &Cib,
    name: &str,
    devices: &[(String, Vec<String>)],
    watchdog_ms: u64,
) -> (&'static str, String) {
    let fits = |targets: &[String]| {
        targets.is_empty()
            || targets
                .iter()
                .any(|target| target.eq_ignore_ascii_case(name))
    };
    let fitting = devices.iter().filter(|(_, targets)| fits(targets));
    let fitting: Vec<&str> = fitting.map(|(id, _)| id.as_str()).collect();
    if !fitting.is_empty() {
        return ("fencing", format!("fenced by {}", fitting.join(", ")));
    }
    let wanted = options::value(cib, "stonith-watchdog-timeout").unwrap_or("0");
    let counts = wanted.trim_start().starts_with('-') || span::ms_or_zero(Some(wanted)) > 0;
    if counts && watchdog_ms > 0 {
        return ("watchdog", watchdog(watchdog_ms));
    }
    let cure = if watchdog_ms > 0 {
        "its watchdog counts only when stonith-watchdog-timeout is set"
    } else {
        "no fence device names it in pcmk_host_list"
    };
    ("nothing", format!("nothing: {cure}"))
}

/// Devices that are not disabled, and whom they can fence; nobody for those that find out by themselves.
fn devices(facts: &Facts) -> Vec<(String, Vec<String>)> {
    let all = facts.rscs.indexes();
    let usable = all.filter(|at| {
        let it = &facts.rscs[*at];
        it.is_primitive()
            && it.flags.fence_device
            && it.target_role != Some(Role::Stopped)
            && &*it.agent.kind != WATCHDOG_AGENT
    });
    let mut found: Vec<(String, Vec<String>)> = usable
        .map(|at| {
            let it = &facts.rscs[at];
            let id = it.xml_id.to_string();
            let params = facts.params(at, None);
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let device = Device {
                id: id.as_str().into(),
                agent: it.agent.kind.to_string(),
                params: params.iter().map(own).collect(),
                provides_unfencing: false,
            };
            (id, device.fixed_targets())
        })
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Input, facts};
    use crate::xml::Limits;

    fn of(options: &str, resources: &str, state: &str) -> String {
        let text = format!(
            r#"<cib validate-with="pacemaker-4.0"><configuration><crm_config><cluster_property_set id="o">{options}
            </cluster_property_set></crm_config><nodes><node id="1" uname="h1"/></nodes><resources>{resources}</resources>
            <constraints/></configuration><status><node_state id="1" uname="h1" {state}/></status></cib>"#
        );
        let cib = Cib::parse(&text, &Limits::STORED).expect("the test's XML is right");
        let facts = facts::read(cib.root(), &Input::at(1_700_000_000));
        let one = protections(&cib, &facts).remove(0);
        format!("{} {}", one.by, one.proof.unwrap_or_default())
    }

    #[test]
    fn the_strongest_protection_is_shown() {
        let device = |list: &str| {
            format!(
                r#"<primitive id="f" class="stonith" type="fence_x"><instance_attributes id="i">
                <nvpair id="l" name="pcmk_host_list" value="{list}"/></instance_attributes></primitive>"#
            )
        };
        let off = r#"<nvpair id="s" name="stonith-enabled" value="false"/>"#;
        let waits = r#"<nvpair id="w" name="stonith-watchdog-timeout" value="10s"/>"#;
        let ignore = r#"<nvpair id="q" name="no-quorum-policy" value="ignore"/>"#;
        let dog = r#"lets-go="true" watchdog-ms="5000""#;
        for (options, resources, state, expected) in [
            ("", device("h1 h2"), "", "fencing "),
            ("", device("h2"), "", "nothing "),
            ("", device("h2"), dog, "nothing "),
            (waits, device("h2"), dog, "watchdog "),
            (off, device("h1"), "", "lease "),
            (off, String::new(), dog, "watchdog "),
            (
                off,
                String::new(),
                r#"lets-go="false" watchdog-ms="0""#,
                "nothing ",
            ),
            (
                off,
                String::new(),
                r#"in_ccm="0" proof="lease""#,
                "lease lease",
            ),
            (&format!("{off}{ignore}"), String::new(), "", "nothing "),
        ] {
            assert_eq!(
                of(options, &resources, state),
                expected,
                "{options} {state}"
            );
        }
    }
}
