//! What may still run on a remote node that cannot be reached. Pure.
//!
//! A member that is lost stops what it runs when its lease ends. A remote node has no lease: it goes on, and only fencing (or a
//! person's word) proves that it does not. Where fencing is off the policy does not look at the history of a node without a
//! connection, and would start elsewhere what is there. Whoever walks its graph looks. // design §4, promise 2

use crate::cib::Cib;
use crate::cib::status::history::{self, Entry};
use crate::graph::Action;
use crate::terms::NodeName;
use crate::xml::Element;

/// The remote node on which a resource may be active although it is about to be started elsewhere. By the time of a start
/// whatever had to be stopped first has been stopped, and history says so.
pub(super) fn may_run_on(cib: &Cib, action: &Action) -> Option<NodeName> {
    let (rsc, node) = (action.rsc.as_ref()?, action.node.as_ref()?);
    let starts = matches!(action.task.as_str(), "start" | "promote");
    // A clone may run in several places; which instance is where, its history does not say.
    if !starts || action.meta("clone").is_some() {
        return None;
    }
    remotes(cib)
        .filter(|remote| *remote != &*node.uuid)
        .find(|remote| {
            let mut all = history::of_node(cib, remote);
            all.retain(|entry| entry.op.rsc == rsc.id);
            is_active(&all)
        })
        .map(NodeName::from)
}

/// Remote nodes with a connection of their own. What runs in a guest ends with the guest, which is a resource.
fn remotes(cib: &Cib) -> impl Iterator<Item = &str> {
    let all = cib.section("resources").into_iter();
    let connection = |e: &&Element| {
        e.is("primitive")
            && e.get("provider") == Some("pacemaker")
            && e.get("type") == Some("remote")
    };
    let ids = all
        .flat_map(Element::descendants)
        .filter(connection)
        .filter_map(Element::id);
    ids.filter(|id| {
        let state = cib.status().and_then(|s| s.child_by_id("node_state", id));
        state.is_some_and(|state| state.get("remote_node") == Some("true"))
    })
}

/// Whether the last word on a resource there, or what has begun since, leaves it active. // spec cluster §13.6
fn is_active(entries: &[Entry]) -> bool {
    let begins = |entry: &Entry| {
        let task = entry.op.task.as_str();
        entry.is_pending() && matches!(task, "start" | "promote" | "migrate_from")
    };
    if entries.iter().any(begins) {
        return true;
    }
    let done = entries.iter().filter(|entry| !entry.is_pending());
    let Some(last) = done.max_by_key(|entry| entry.call_id) else {
        return false;
    };
    let gone = matches!(last.op.task.as_str(), "stop" | "migrate_to") && last.rc == 0;
    !(gone || matches!(last.rc, 5..=7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ActionId, ActionKind, NodeRef, RscRef};

    fn cib(op: &str) -> Cib {
        let text = format!(
            r#"<cib><configuration><crm_config/><nodes/><constraints/><resources>
            <primitive id="r" class="ocf" provider="pacemaker" type="remote"/>
            </resources></configuration><status>
            <node_state id="r" uname="r" remote_node="true"><lrm id="r"><lrm_resources>
            <lrm_resource id="a" class="ocf" provider="x" type="y">{op}</lrm_resource>
            </lrm_resources></lrm></node_state></status></cib>"#
        );
        Cib::new(crate::xml::parse(text.as_bytes(), &crate::xml::Limits::CIB).expect("XML"))
    }

    fn entry(task: &str, call: i64, rc: i32, status: i32) -> String {
        format!(
            r#"<lrm_rsc_op id="{task}{call}" operation="{task}" interval="0" call-id="{call}" rc-code="{rc}" op-status="{status}"/>"#
        )
    }

    fn start_on(node: &str) -> Action {
        let mut action = Action::new(ActionId(1), ActionKind::Resource, "start", "a_start_0");
        action.node = Some(NodeRef {
            name: NodeName::from(node),
            uuid: node.into(),
        });
        action.rsc = Some(
            RscRef {
                id: "a".into(),
                long_id: None,
                class: "ocf".into(),
                provider: None,
                kind: "y".into(),
            }
            .into(),
        );
        action
    }

    #[test]
    fn what_an_unreachable_remote_node_may_run_is_not_started_elsewhere() {
        let on = |op: &str, node: &str| may_run_on(&cib(op), &start_on(node));
        let started = entry("start", 5, 0, 0);
        assert_eq!(on(&started, "1"), Some(NodeName::from("r")));
        assert_eq!(on(&started, "r"), None);
        let stopped = started.clone() + &entry("stop", 6, 0, 0);
        assert_eq!(on(&stopped, "1"), None);
        let begun = stopped + &entry("start", -1, 193, -1);
        assert_eq!(on(&begun, "1"), Some(NodeName::from("r")));
        assert_eq!(on(&entry("monitor", 2, 7, 0), "1"), None);
        let failed_stop = started + &entry("stop", 6, 1, 0);
        assert_eq!(on(&failed_stop, "1"), Some(NodeName::from("r")));
    }
}
