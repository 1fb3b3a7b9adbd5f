//! Up, pending, leaving or unclean? Membership as the status section has it, and who must be fenced for it
//! (spec 1 §18).

use super::node::Node;
use super::options::QuorumPolicy;
use super::{Facts, Ticket};
use crate::cib::status::node_state::PROBE_ALL;
use crate::policy::index::NodeIdx;
use crate::policy::nvtable::{NvTable, Str};
use crate::policy::report::Cause;
use crate::terms::{Role, Score, text};
use crate::xml::Element;

/// The first pass over the status section: tickets, and the state of cluster nodes. // spec 1 §18.1
pub(super) fn first_pass(facts: &mut Facts, status: &Element, dc_uuid: Option<&str>) {
    for element in status.children() {
        match element.tag() {
            "tickets" => element
                .children_named("ticket_state")
                .for_each(|t| ticket(facts, t)),
            "node_state" => node_state(facts, element, dc_uuid),
            _ => {}
        }
    }
}

// spec 1 §17
fn ticket(facts: &mut Facts, element: &Element) {
    let Some(id) = element.get("id") else { return };
    let state: NvTable = element
        .shared_attrs()
        .filter(|(name, _)| &***name != "id")
        .map(|(name, value)| (Str::clone(name), value.into()))
        .collect();
    let ticket = Ticket {
        granted: text::is_true(state.get("granted")),
        standby: text::is_true(state.get("standby")),
        last_granted: state
            .get("last-granted")
            .and_then(text::integer)
            .unwrap_or(-1),
        state,
    };
    facts.tickets.insert(id.into(), ticket);
}

fn node_state(facts: &mut Facts, element: &Element, dc_uuid: Option<&str>) {
    let Some(id) = element.get("id") else { return };
    let Some(at) = facts.find_node(id, element.get("uname")) else {
        return;
    };
    facts.nodes[at].probe_all = text::is_true(element.get(PROBE_ALL));
    if facts.nodes[at].pacemaker_remote {
        facts.nodes[at].fenced = text::at_least(element.get("node_fenced"), 0) != 0;
        return;
    }
    // Also without any, a node that is seen gets its own names.
    let none = Element::new("transient_attributes");
    let transient = element.child("transient_attributes").unwrap_or(&none);
    facts.add_node_attributes(at, transient, true, dc_uuid);
    let node = &mut facts.nodes[at];
    node.standby |= text::is_true(node.attributes.get("standby"));
    node.maintenance |= text::is_true(node.attributes.get("maintenance"));
    node.seen = true;
    node.unclean = false;
    let seen = Seen::read(element, node, facts.now_s);
    node.shutdown = seen.shutdown;
    node.expected_up = !seen.shutdown && seen.expected_member;
    let online = if facts.options.fencing_enabled {
        online_with_fencing(facts, at, &seen)
    } else {
        online_without_fencing(facts, at, &seen)
    };
    let node = &mut facts.nodes[at];
    node.online = online;
    if !online || node.shutdown {
        node.base_score = Score::MINUS_INFINITY;
    }
    if !facts.quorate && online && facts.options.no_quorum_policy == QuorumPolicy::Fence {
        let cause = Cause::Option("no-quorum-policy");
        facts.fencing_mark(at, "cluster does not have quorum", false, cause);
    }
}

/// What a `node_state` says. // spec 1 §18.2
struct Seen<'a> {
    /// -1 never, 0 not now, else since when.
    member_s: i64,
    online_s: i64,
    join: Option<&'a str>,
    expected: Option<&'a str>,
    expected_member: bool,
    shutdown: bool,
    terminate: bool,
}

impl<'a> Seen<'a> {
    fn read(element: &'a Element, node: &Node, now_s: i64) -> Self {
        let member_s = match element.get("in_ccm") {
            None => -1,
            Some(value) => match text::boolean(value) {
                Some(true) => now_s,
                Some(false) => 0,
                None => text::integer(value)
                    .filter(|&since| since >= 0)
                    .unwrap_or(-1),
            },
        };
        let online_s = match element.get("crmd") {
            None => 0,
            Some(value) if value.eq_ignore_ascii_case("offline") => 0,
            Some(value) if value.eq_ignore_ascii_case("online") => 1,
            Some(value) => text::integer(value)
                .filter(|&since| since >= 0)
                .unwrap_or(0),
        };
        let expected = element.get("expected");
        let terminate = node.attributes.get("terminate").is_some_and(|value| {
            text::boolean(value)
                .unwrap_or_else(|| text::integer(value).is_some_and(|since| since > 0))
        });
        Self {
            member_s,
            online_s,
            join: element.get("join"),
            expected,
            expected_member: is(expected, "member"),
            shutdown: node
                .attributes
                .get("shutdown")
                .is_some_and(|value| value != "0"),
            terminate,
        }
    }
}

fn is(given: Option<&str>, word: &str) -> bool {
    given.is_some_and(|given| given.eq_ignore_ascii_case(word))
}

// spec 1 §18.3
fn online_without_fencing(facts: &mut Facts, at: NodeIdx, seen: &Seen<'_>) -> bool {
    if seen.member_s > 0 && seen.online_s == 0 && facts.nodes[at].expected_up {
        mark(facts, at, "peer is unexpectedly down", false);
    }
    seen.member_s > 0 && seen.online_s > 0 && is(seen.join, "member")
}

// spec 1 §18.3, first match
fn online_with_fencing(facts: &mut Facts, at: NodeIdx, seen: &Seen<'_>) -> bool {
    let member = seen.member_s > 0;
    if seen.shutdown {
        return seen.online_s > 0;
    }
    if seen.member_s < 0 {
        mark(facts, at, "peer has not been seen by the cluster", false);
        return false;
    }
    let down = is(seen.join, "down");
    if is(seen.join, "banned") {
        mark(
            facts,
            at,
            "peer failed Pacemaker membership criteria",
            false,
        );
    } else if seen.terminate {
        let already_fenced = !member && seen.online_s <= 0 && down;
        if !already_fenced {
            mark(facts, at, "fencing was requested", false);
        }
    } else if seen.expected.is_none() || is(seen.expected, "down") {
        if pending_too_long(facts, seen) {
            mark(
                facts,
                at,
                "peer pending timed out on joining the process group",
                false,
            );
        } else if member || seen.online_s > 0 {
            set_pending(&mut facts.nodes[at]);
        }
    } else if !member {
        mark(facts, at, "peer is no longer part of the cluster", true);
    } else if seen.online_s <= 0 {
        mark(facts, at, "peer process is no longer available", false);
    } else if is(seen.join, "member") {
        // Nothing to say against it.
    } else if is(seen.join, "pending") || down {
        set_pending(&mut facts.nodes[at]);
    } else {
        mark(facts, at, "peer was in an unknown state", false);
    }
    member
}

fn mark(facts: &mut Facts, at: NodeIdx, reason: &'static str, priority_delay: bool) {
    facts.fencing_mark(at, reason, priority_delay, Cause::NodeState(reason));
}

fn set_pending(node: &mut Node) {
    node.standby = true;
    node.pending = true;
}

// spec 1 §18.4
fn pending_too_long(facts: &Facts, seen: &Seen<'_>) -> bool {
    let timeout_s = facts.options.node_pending_timeout_s;
    if timeout_s <= 0 || seen.member_s <= 0 || seen.online_s > 0 {
        return false;
    }
    let deadline_s = seen.member_s.saturating_add(timeout_s);
    facts.propose_recheck(deadline_s);
    facts.now_s >= deadline_s
}

/// Whether a remote or guest node is up follows from its connection. // spec 1 §18.5
pub(super) fn remote_online(facts: &mut Facts, at: NodeIdx) {
    let Some(connection) = facts.nodes[at].connection else {
        facts.nodes[at].online = false;
        return;
    };
    let link = &facts.rscs[connection];
    let launcher = link.launcher.map(|launcher| &facts.rscs[launcher]);
    let host = match (launcher, link.active.as_slice()) {
        (Some(_), [only]) => Some(*only),
        _ => None,
    };
    let host_lost = host.is_some_and(|host| !facts.nodes[host].online && facts.nodes[host].unclean);
    let launcher_failed = launcher.is_some_and(|launcher| launcher.flags.failed);
    let launcher_stopped = launcher.is_some_and(|launcher| launcher.role == Role::Stopped);
    let node = &mut facts.nodes[at];
    if link.role == Role::Started {
        node.online = true;
        if link.next_role == Role::Stopped {
            node.shutdown = true;
        }
    }
    if launcher_failed {
        node.online = false;
        node.needs_reset = true;
    } else if link.flags.failed {
        node.online = false;
    } else if link.role == Role::Stopped || launcher_stopped {
        node.online = false;
        node.needs_reset = false;
    } else if host_lost {
        node.online = false;
        node.needs_reset = true;
    }
}

/// Attributes of a remote or guest node, when its history is read. // spec 1 §18.6
pub(super) fn remote_attributes(
    facts: &mut Facts,
    at: NodeIdx,
    element: &Element,
    dc_uuid: Option<&str>,
) {
    let node = &mut facts.nodes[at];
    node.maintenance_recorded = text::at_least(element.get("node_in_maintenance"), 0) != 0;
    if !node.needs_reset {
        node.unclean = false;
        node.seen = true;
    }
    // Also without any, a node that is seen gets its own names.
    let none = Element::new("transient_attributes");
    let transient = element.child("transient_attributes").unwrap_or(&none);
    facts.add_node_attributes(at, transient, true, dc_uuid);
    let remote = facts.is_remote(at);
    let unmanaged = facts.nodes[at]
        .connection
        .is_some_and(|connection| !facts.rscs[connection].flags.managed);
    let fencing = facts.options.fencing_enabled;
    let node = &mut facts.nodes[at];
    node.shutdown |= node
        .attributes
        .get("shutdown")
        .is_some_and(|value| value != "0");
    node.standby |= text::is_true(node.attributes.get("standby"));
    node.maintenance |= text::is_true(node.attributes.get("maintenance")) || unmanaged;
    let probes = node.attributes.get("resource-discovery-enabled");
    if probes.is_some() && !text::is_true(probes) && (!remote || fencing) {
        node.probes_allowed = false;
    }
}
