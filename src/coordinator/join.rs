//! Nodes come and go: what presence says of a node becomes its `node_state`. Compared afresh each
//! time, so that a lost write, a new coordinator and a node that flaps are one case.
//!
//! ```text
//!   presence            fencing on            fencing off
//!   Alive, new life     joins, history gone   the same
//!   Alive, same life    here again            the same
//!   Silent              lost: policy fences   wait
//!   Expired             lost                  lost: it stopped by itself (proof: lease),
//!                                             or was reset (proof: watchdog)
//! ```
//!
//! What a node does without a lease is what it said when it was granted, not what the CIB says now: a frozen node does
//! not read the CIB. It is written to its entry, for the next leader.

use crate::cib::status::node_state::{CONNECTION, PROBE_ALL};
use crate::cib::{Cib, Command};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, NodeName, Pledge};
use crate::xml::Element;

use super::minority;
use super::vocab::Peer;

/// What a node's entry in the CIB should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Here, in this life.
    Here(u64),
    /// Not here.
    Gone,
    /// Nothing is known for certain: leave it.
    Undecided,
}

/// How the loss of a node is proven in this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The policy has it fenced.
    Fencing,
    /// It stops by itself when its lease has run out.
    Lease,
    /// Neither: it goes on without quorum (`ignore`, `freeze`), and nobody can reset it.
    Nothing,
}

/// How a loss is proven, from the options in force.
pub(super) fn proof(fencing_enabled: bool, no_quorum_policy: &str) -> Proof {
    if fencing_enabled {
        return Proof::Fencing;
    }
    match no_quorum_policy {
        "ignore" | "freeze" => Proof::Nothing,
        _ => Proof::Lease,
    }
}

/// What a node does without a lease, as its entry has it.
pub(super) fn pledged(state: &Element) -> Option<Pledge> {
    Some(Pledge {
        lets_go: state.get("lets-go")? != "false",
        watchdog_ms: state.get("watchdog-ms")?.parse().ok()?,
    })
}

/// How the loss of one node is proven: by nothing if it did not promise to stop.
pub(super) fn proof_of(proof: Proof, pledge: Option<Pledge>) -> Proof {
    match proof {
        Proof::Lease if pledge.is_some_and(|pledge| !pledge.lets_go) => Proof::Nothing,
        proof => proof,
    }
}

/// What a peer's entry should say.
pub(super) fn wanted(peer: Peer, state: Option<&Element>, proof: Proof, late: bool) -> Wanted {
    let left_cleanly = state.is_none_or(|s| s.get("expected") == Some("down"));
    match peer {
        Peer::Alive { incarnation } => {
            let dead = state.and_then(|s| s.get("fenced-incarnation"));
            // Its death is proven, and its last words still arrive.
            if dead == Some(incarnation.to_string().as_str()) && !seeded(Bug::CondemnForgotten) {
                Wanted::Undecided
            } else {
                Wanted::Here(incarnation)
            }
        }
        Peer::Silent { .. } | Peer::Expired if left_cleanly => Wanted::Gone,
        Peer::Silent { heard } if heard || late => match proof {
            Proof::Fencing => Wanted::Gone,
            Proof::Lease | Proof::Nothing => Wanted::Undecided,
        },
        Peer::Silent { .. } => Wanted::Undecided,
        Peer::Expired => match proof {
            Proof::Fencing | Proof::Lease => Wanted::Gone,
            Proof::Nothing => Wanted::Undecided,
        },
    }
}

/// Whether the entry already says so.
pub(super) fn is_so(wanted: Wanted, state: Option<&Element>, pledge: Option<Pledge>) -> bool {
    let here = |s: &Element| {
        ["in_ccm", "crmd"]
            .iter()
            .all(|a| s.get(a).is_some_and(is_set))
            && s.get("join") == Some("member")
    };
    match wanted {
        Wanted::Undecided => true,
        Wanted::Here(incarnation) => state.is_some_and(|s| {
            here(s)
                && s.get("incarnation") == Some(incarnation.to_string().as_str())
                && (pledge.is_none() || pledge == pledged(s))
        }),
        Wanted::Gone => state.is_none_or(|s| {
            !s.get("in_ccm").is_some_and(is_set) && !s.get("crmd").is_some_and(is_set)
        }),
    }
}

/// Both forms are in use: a moment or 0, `true`/`online` or not. // spec cluster §8.3
fn is_set(value: &str) -> bool {
    matches!(value, "true" | "online") || value.parse::<i64>().is_ok_and(|n| n > 0)
}

/// The write that makes the entry say so.
pub(super) fn write(
    cib: &Cib,
    id: NodeId,
    name: &NodeName,
    wanted: Wanted,
    (pledge, proven): (Option<Pledge>, Option<&str>),
    now_s: i64,
) -> Option<Vec<Command>> {
    let mut state = Element::new("node_state")
        .with("id", id.to_string())
        .with("uname", name.as_str())
        .with("crm-debug-origin", "coordinator");
    let mut commands = Vec::new();
    match wanted {
        Wanted::Undecided => return None,
        Wanted::Gone => {
            minority::gone(&mut state);
            if let Some(proven) = proven {
                state.set("proof", proven);
            }
        }
        Wanted::Here(incarnation) => {
            let now = now_s.to_string();
            if !is_so(wanted, state_of(cib, id), None) {
                for (name, value) in [
                    ("in_ccm", now.as_str()),
                    ("crmd", now.as_str()),
                    ("join", "member"),
                    ("expected", "member"),
                    ("incarnation", &incarnation.to_string()),
                ] {
                    state.set(name, value);
                }
            }
            if let Some(pledge) = pledge {
                state.set("lets-go", &pledge.lets_go.to_string());
                state.set("watchdog-ms", &pledge.watchdog_ms.to_string());
            }
            let known = state_of(cib, id).and_then(|s| s.get("incarnation"));
            if known != Some(incarnation.to_string().as_str()) && !seeded(Bug::KeepOldHistory) {
                // A new life of its daemon: what runs there must be looked at again, also where nothing is looked for at the
                // start, and after a fencing, which may have been a person's word.
                commands.extend(forget(&id.to_string()));
                if known.is_some() {
                    state.set(PROBE_ALL, "true");
                }
            }
        }
    }
    commands.push(Command::modify("status", state).or_create());
    Some(commands)
}

/// Whether the entry says that the node's last life was ended by fencing.
pub(super) fn is_known_dead(state: &Element) -> bool {
    let last = state.get("incarnation");
    last.is_some()
        && last == state.get("fenced-incarnation")
        && state.get("expected") == Some("down")
}

/// What is known of a fenced node from now on: also that the life that was ended is the last one. // spec cluster §12.1
pub(super) fn fenced(id: &str, name: &NodeName, life: Option<u64>, by: &str) -> Vec<Command> {
    let mut state = Element::new("node_state")
        .with("id", id)
        .with("uname", name.as_str())
        .with("crm-debug-origin", "fencing")
        .with("expected", "down")
        .with("proof", by);
    minority::gone(&mut state);
    if let Some(life) = life {
        state.set("incarnation", &life.to_string());
        state.set("fenced-incarnation", &life.to_string());
    }
    let mut commands: Vec<Command> = forget(id).collect();
    if seeded(Bug::FencedKeepsHistory) {
        commands.clear();
    }
    commands.push(Command::modify("status", state).or_create());
    commands
}

/// The same for a remote node. It has no membership that could end, but the policy looks for this mark. What a host of its
/// connection still has to write is from before, and must not come after. // spec 1 §18.1; design §4, promise 4
pub(super) fn remote_fenced(name: &NodeName, by: &str, now_s: i64) -> Vec<Command> {
    let state = remote_down(name)
        .with("node_fenced", now_s.to_string())
        .with("proof", by);
    forgotten(name, state)
}

/// A guest ends with the host that it is in: the graph has that for its fencing, which nobody has to carry out. What it ran
/// must not seem to run as long as the host stays stopped.
pub(super) fn guest_gone(name: &NodeName) -> Vec<Command> {
    forgotten(name, remote_down(name))
}

fn remote_down(name: &NodeName) -> Element {
    Element::new("node_state")
        .with("id", name.as_str())
        .with("uname", name.as_str())
        .with("remote_node", "true")
        .with("crm-debug-origin", "fencing")
        .with("in_ccm", "0")
        .with("join", "down")
        .with("expected", "down")
        .with(CONNECTION, "")
}

fn forgotten(name: &NodeName, state: Element) -> Vec<Command> {
    let mut commands: Vec<Command> = forget(name.as_str()).collect();
    commands.push(Command::modify("status", state).or_create());
    commands
}

/// Whether a remote or guest node of this name has ever been connected.
pub(super) fn is_remote(cib: &Cib, name: &NodeName) -> bool {
    state_by_id(cib, name.as_str()).is_some_and(|state| state.get("remote_node") == Some("true"))
}

/// Removes what a node reported of itself. Both parts carry the node's id, so that the section
/// `status` is target enough, which spares the cluster a look at the whole document.
fn forget(id: &str) -> impl Iterator<Item = Command> {
    ["lrm", "transient_attributes"]
        .into_iter()
        .map(move |part| Command::delete("status", Element::new(part).with("id", id)))
}

/// The entry of a node.
pub(crate) fn state_of(cib: &Cib, id: NodeId) -> Option<&Element> {
    state_by_id(cib, &id.to_string())
}

fn state_by_id<'a>(cib: &'a Cib, id: &str) -> Option<&'a Element> {
    cib.status()?
        .children()
        .find(|e| e.tag() == "node_state" && e.id() == Some(id))
}
