//! Orders to other nodes: said again until they are taken, refused, or pointless. What came of them is
//! read from the CIB, never from the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::executor;
use crate::presence;
use crate::rpc::{PeerAnswer, PeerRequest, Peers};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, Term};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

/// The life that each node which is there is in: an order is for one life of a node only. What was ordered before is
/// recovered elsewhere, and must not be carried out by the node that comes back, however late it arrives.
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

/// Delivers in the background, as long as `term` is the newest one known here and the node lives on.
pub(super) fn order(
    peers: &Peers,
    newest: &Arc<AtomicU64>,
    lives: &Lives,
    to: NodeId,
    term: Term,
    command: executor::Command,
) {
    let (peers, newest) = (peers.clone(), Arc::clone(newest));
    let mut lives = lives.subscribe();
    let Some(life) = lives.borrow().get(&to).copied() else {
        // The coordinator hears of it from presence, too.
        tracing::debug!("node {to} is not there: nothing is ordered");
        return;
    };
    let request = PeerRequest::Execute { life, command };
    tokio::spawn(async move {
        let delivery = async {
            while newest.load(Ordering::Acquire) <= term.0 {
                match peers.call(to, &request).await {
                    Ok(PeerAnswer::Refused(why)) => {
                        tracing::warn!("node {to} refuses an order: {why}");
                        return;
                    }
                    Ok(_) => return,
                    // The coordinator gives up when presence does; until then the node may answer.
                    Err(e) => {
                        tracing::debug!("an order did not reach node {to}: {e}");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
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
