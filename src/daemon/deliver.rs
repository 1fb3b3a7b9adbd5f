//! Orders to other nodes: said again until they are taken, refused, or pointless. What came of them is
//! read from the CIB, never from the answer. Of what will not be carried out there is nothing to read, so whoever
//! knows of that tells the coordinator ([`Teller`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::coordinator;
use crate::executor;
use crate::presence;
use crate::raft::Raft;
use crate::rpc::{PeerAnswer, PeerRequest, Peers};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, NodeName, Term, TransitionKey};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

/// How often an order is refused before the coordinator decides anew. A node that was just granted its first lease may
/// hear of that a little later than of the order.
pub(super) const REFUSALS: u32 = 5;

/// A coordinator is told this often that something will not be done; after that, its own patience ends soon.
const TELLINGS: u32 = 600;

/// The life that each node which is there is in, as far as the coordinator has heard (`Effect::Life`): an order is for one
/// life of a node only. What was ordered before is recovered elsewhere, and must not be carried out by the node that comes
/// back, however late it arrives.
pub(super) type Lives = watch::Sender<BTreeMap<NodeId, u64>>;

/// Whether this node takes an order: it may run resources, and still lives the life that the order is for.
pub(super) fn taken(me: &presence::View, life: u64) -> Result<(), &'static str> {
    if seeded(Bug::TakeAnyOrder) {
        return Ok(());
    }
    if !me.held {
        // What this node ran is being stopped; the cluster will hear of it as a new life.
        return Err("it holds no run lease");
    }
    if me.incarnation != life {
        return Err("the order is for an earlier life of this node");
    }
    Ok(())
}

/// Tells whoever coordinates that an action will not be carried out.
#[derive(Clone)]
pub(super) struct Teller {
    raft: Raft,
    peers: Peers,
    coordinator: coordinator::Handle,
}

impl Teller {
    pub(super) fn new(raft: Raft, peers: Peers, coordinator: coordinator::Handle) -> Self {
        Self {
            raft,
            peers,
            coordinator,
        }
    }

    /// Tells it in the background, as long as the same coordinator may be waiting.
    pub(super) fn not_done(&self, key: TransitionKey, why: String) {
        let this = self.clone();
        let leadership = this.raft.leadership();
        let term = leadership.borrow().term;
        tokio::spawn(async move {
            for _ in 0..TELLINGS {
                // Before the first time, too: it will perhaps give the same order again, and must not do that in a flash.
                tokio::time::sleep(AGAIN).await;
                let now = *leadership.borrow();
                if now.term > term {
                    return;
                }
                if now.mine {
                    let event = coordinator::Event::NotDone { key, why };
                    return this.coordinator.tell(event);
                }
                let Some(leader) = now.leader else { continue };
                let request = PeerRequest::NotDone {
                    key: key.clone(),
                    why: why.clone(),
                };
                if let Ok(PeerAnswer::Done) = this.peers.call(leader, &request).await {
                    return;
                }
            }
        });
    }
}

/// Delivers in the background, as long as `term` is the newest one known here and the node lives on.
pub(super) fn order(
    teller: &Teller,
    newest: &Arc<AtomicU64>,
    lives: &Lives,
    (to, remote): (NodeId, Option<NodeName>),
    term: Term,
    command: executor::Command,
) {
    let (teller, newest) = (teller.clone(), Arc::clone(newest));
    let mut lives = lives.subscribe();
    let Some(life) = lives.borrow().get(&to).copied() else {
        // The coordinator has heard that before it decided this, and may not hear it again.
        let why = format!("node {to} is not there: nothing is ordered");
        return teller.not_done(command.key().clone(), why);
    };
    let request = PeerRequest::Execute {
        life,
        command,
        remote,
    };
    tokio::spawn(async move {
        let delivery = async {
            let mut refusals = 0;
            while newest.load(Ordering::Acquire) <= term.0 {
                match teller.peers.call(to, &request).await {
                    Ok(PeerAnswer::Refused(why)) => {
                        refusals += 1;
                        if refusals == REFUSALS {
                            tracing::warn!("node {to} refuses an order: {why}");
                            let PeerRequest::Execute { command, .. } = &request else {
                                return;
                            };
                            let why = format!("node {to} refuses the order: {why}");
                            return teller.not_done(command.key().clone(), why);
                        }
                    }
                    Ok(_) => return,
                    // The coordinator gives up when presence does; until then the node may answer.
                    Err(e) => tracing::debug!("an order did not reach node {to}: {e}"),
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = delivery => {}
            _ = lives.wait_for(|now| now.get(&to) != Some(&life)) => {
                tracing::debug!("an order to node {to} ends with that life of it");
            }
        }
    });
}

/// Says something once.
pub(super) fn tell(peers: &Peers, to: NodeId, request: PeerRequest) {
    let peers = peers.clone();
    tokio::spawn(async move {
        if let Err(e) = peers.call(to, &request).await {
            tracing::debug!("a message did not reach node {to}: {e}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_comes_late_is_for_somebody_else() {
        let me = presence::View {
            held: true,
            incarnation: 7,
            ..presence::View::default()
        };
        assert_eq!(taken(&me, 7), Ok(()));
        assert!(
            taken(&me, 6).is_err(),
            "it acted alone since, or was restarted"
        );
        let cut_off = presence::View { held: false, ..me };
        assert!(taken(&cut_off, 7).is_err());
    }
}
