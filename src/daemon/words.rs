//! One machine's word in another machine's words. Pure: the daemon and its simulation both ask here, so that what
//! is simulated is what runs.

use super::devices;
use crate::cib::Cib;
use crate::coordinator::{self, Lost, Peer};
use crate::executor::{self, Pending};
use crate::fencer;
use crate::presence::{PeerState, View};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, NodeName, Pledge, Term, TransitionKey};

/// The coordinator's name as a client of the fencer and of the CIB.
pub(super) const COORDINATOR: &str = "coordinator";

/// What presence knows of a node, for the coordinator.
pub(super) fn peer(state: PeerState) -> Peer {
    match state {
        PeerState::Alive { incarnation } => Peer::Alive { incarnation },
        PeerState::Suspect { .. } if seeded(Bug::SilenceIsProof) => Peer::Expired,
        PeerState::Suspect { heard } => Peer::Silent { heard },
        PeerState::Expired => Peer::Expired,
    }
}

/// Whether what runs here goes on without a lease: if the CIB says so, and the leader that granted the lease knew it.
pub(super) fn keeps(cib: &Cib, may_keep: bool) -> bool {
    may_keep && devices::goes_on_without_quorum(cib)
}

/// What this node does when its lease runs out, for its leader. The guard has to know it before.
pub(super) fn pledge(cib: &Cib, watchdog_ms: u64) -> Pledge {
    Pledge {
        lets_go: !devices::goes_on_without_quorum(cib),
        watchdog_ms,
    }
}

/// Whether the cluster has taken this life of a node in, as the node itself has read: only then is what it has read of itself
/// about this life. What an earlier one ran may have been fenced since, and run elsewhere.
pub(super) fn belongs(cib: &Cib, me: NodeId, life: Option<u64>) -> bool {
    let Some(life) = life.map(|life| life.to_string()) else {
        return false;
    };
    coordinator::state_of(cib, me).is_some_and(|state| {
        state.get("incarnation") == Some(life.as_str())
            && state.get("fenced-incarnation") != Some(life.as_str())
    })
}

/// The document of a node that is alone. It goes on only if its leader expects that.
pub(super) fn alone(cib: &Cib, me: NodeId, may_keep: bool) -> Cib {
    let alone = coordinator::alone(cib, me);
    if devices::goes_on_without_quorum(cib) && !may_keep {
        coordinator::stopping(&alone)
    } else {
        alone
    }
}

/// What a coordinator with a new authority is told of all nodes. This node is one of them: the coordinator has
/// forgotten what it heard without authority, and plans nothing before it knows of everybody.
pub(super) fn everybody(me: NodeId, view: &View) -> Vec<(NodeId, PeerState)> {
    let own = PeerState::Alive {
        incarnation: view.incarnation,
    };
    let others = view.peers.iter().map(|(id, state, _)| (*id, *state));
    std::iter::once((me, own)).chain(others).collect()
}

/// What the coordinator asks of the fencer; none for an action that there is not.
pub(super) fn fence_request(
    key: &TransitionKey,
    term: Term,
    target: NodeName,
    action: &str,
    timeout_ms: u64,
    delay_ms: u64,
) -> Option<fencer::Request> {
    let delay = match delay_ms {
        0 => fencer::Delay::None,
        ms => fencer::Delay::Add(ms),
    };
    Some(fencer::Request {
        term: Some(term),
        target,
        action: fencer::Action::parse(action)?,
        timeout_ms,
        delay,
        client: COORDINATOR.into(),
        allow_self: false,
        tag: key.to_string(),
        tolerance_ms: 0,
    })
}

/// How fencing that the coordinator asked for ended; none when somebody else asked.
pub(super) fn fenced(
    request: &fencer::Request,
    outcome: fencer::Outcome,
) -> Option<coordinator::Event> {
    let key = request.tag.parse::<TransitionKey>().ok()?;
    let result = match outcome.result {
        Err(_) if seeded(Bug::FenceFailureIsSuccess) => Ok("nobody".into()),
        Ok(()) => Ok(outcome.delegate.unwrap_or_else(|| "a fence device".into())),
        Err(why @ fencer::Failure::NoDevice(_)) => Err(Lost::NoDevice(why.to_string())),
        Err(why) => Err(Lost::Failed(why.to_string())),
    };
    Some(coordinator::Event::Fenced { key, result })
}

/// What a deed is in the executor's words; none for what no executor does.
pub(super) fn deed_command(
    term: Term,
    key: TransitionKey,
    deed: coordinator::Deed,
) -> Option<executor::Command> {
    match deed {
        coordinator::Deed::Shutdown => None,
        coordinator::Deed::Forget(rsc) => {
            let rsc = rsc.into();
            Some(executor::Command::Forget { term, rsc, key })
        }
        coordinator::Deed::Account(op) => Some(executor::Command::Account { term, op, key }),
    }
}

/// What an action of a graph is in the executor's words.
pub(super) fn executor_command(order: &coordinator::Order) -> Option<executor::Command> {
    let action = &order.action;
    if action.task == "cancel" {
        let rsc = action.rsc.as_ref()?;
        let task = action.meta("operation")?.to_owned();
        let op = crate::terms::OpKey::new(rsc.id.clone(), task, action.interval_ms());
        return Some(executor::Command::Cancel {
            term: order.term,
            op,
            key: order.key.clone(),
        });
    }
    // A coordinator that takes over must know what may have begun. Monitors change nothing.
    let pending = match action.task.as_str() {
        "monitor" | "notify" => Pending::None,
        _ => Pending::Report,
    };
    executor::Order::from_action(order.term, order.key.clone(), action, pending)
        .map(executor::Command::Execute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_has_read_of_an_earlier_life_is_not_its_own() {
        let text = r#"<cib><configuration/><status>
            <node_state id="2" uname="h2" incarnation="7" fenced-incarnation="6"/></status></cib>"#;
        let cib = Cib::parse(text, &crate::xml::Limits::default()).expect("a CIB");
        let belongs = |life| belongs(&cib, NodeId(2), life);
        assert!(belongs(Some(7)));
        assert!(!belongs(Some(8)), "it has a lease, but has not joined");
        assert!(!belongs(None), "it has never had a lease");
        let shot = text.replace("\"6\"", "\"7\"");
        let cib = Cib::parse(&shot, &crate::xml::Limits::default()).expect("a CIB");
        assert!(!super::belongs(&cib, NodeId(2), Some(7)), "it is dead");
    }

    #[test]
    fn a_coordinator_with_a_new_authority_is_told_of_its_own_node() {
        let view = View {
            incarnation: 7,
            peers: vec![(NodeId(2), PeerState::Expired, 900)],
            ..View::default()
        };
        let own = PeerState::Alive { incarnation: 7 };
        let told = everybody(NodeId(1), &view);
        assert_eq!(told, [(NodeId(1), own), (NodeId(2), PeerState::Expired)]);
    }
}
