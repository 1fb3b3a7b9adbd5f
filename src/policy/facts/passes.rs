//! The order in which the status section is read: what one node's history shows may decide whether another one's is
//! to be believed (spec 1 §19).

use super::{Facts, mapping, online};
use crate::policy::index::NodeIdx;
use crate::policy::report::Cause;
use crate::terms::Role;
use crate::xml::Element;

/// Reads the status section. // spec 1 §19
pub(super) fn read_status(facts: &mut Facts, status: &Element, dc_uuid: Option<&str>) {
    online::first_pass(facts, status, dc_uuid);
    while history_pass(facts, status, dc_uuid, false) {}
    history_pass(facts, status, dc_uuid, facts.options.fencing_enabled);
    // Remembered in front, handled in reverse: the order of remembering. // spec 1 §19 step 4
    for container in std::mem::take(&mut facts.context.container_stops)
        .into_iter()
        .rev()
    {
        if let Some(node) = facts.current_node(container) {
            facts.wish_stop(container, node, Cause::Implied("a replica failed in it"));
        }
    }
    for node in facts.node_order.clone() {
        if !facts.nodes[node].pacemaker_remote {
            continue;
        }
        if let Some(connection) = facts.nodes[node]
            .connection
            .filter(|_| facts.nodes[node].shutdown)
        {
            facts.rscs[connection].next_role = Role::Stopped;
        }
        if !facts.nodes[node].unpacked {
            online::remote_online(facts, node);
        }
    }
}

/// Takes every history that can be taken now; says whether there was one.
fn history_pass(facts: &mut Facts, status: &Element, dc_uuid: Option<&str>, fence: bool) -> bool {
    let mut took = false;
    for state in status.children_named("node_state") {
        let (Some(id), Some(name)) = (state.get("id"), state.get("uname")) else {
            continue;
        };
        let Some(node) = facts.find_node(id, Some(name)) else {
            continue;
        };
        if facts.nodes[node].unpacked || !(fence || may_take(facts, node)) {
            continue;
        }
        if facts.nodes[node].pacemaker_remote {
            online::remote_online(facts, node);
            online::remote_attributes(facts, node, state, dc_uuid);
        }
        facts.nodes[node].unpacked = true;
        took = true;
        if let Some(resources) = state.descend(&["lrm", "lrm_resources"]) {
            mapping::read_node(facts, node, resources);
        }
    }
    took
}

fn may_take(facts: &Facts, node: NodeIdx) -> bool {
    let it = &facts.nodes[node];
    let started = |rsc| facts.rscs[rsc].role == Role::Started;
    if facts.is_guest(node) {
        let container = facts.host_container(node);
        return it.connection.is_some_and(started) && container.is_some_and(started);
    }
    if it.pacemaker_remote {
        return it
            .connection
            .is_some_and(|connection| started(connection) || facts.options.shutdown_lock);
    }
    facts.options.fencing_enabled || facts.options.shutdown_lock || it.online
}
