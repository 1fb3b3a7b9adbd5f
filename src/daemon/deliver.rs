//! Orders to other nodes: said again until they are taken, refused, or pointless. What came of them is
//! read from the CIB, never from the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::executor;
use crate::rpc::{PeerAnswer, PeerRequest, Peers};
use crate::terms::{NodeId, Term};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

/// How often each node was lost, or came as somebody new: an order is for one life of a node only. What
/// was ordered before is recovered elsewhere, and must not reach the node that comes back.
pub(super) type Lives = watch::Sender<BTreeMap<NodeId, u64>>;

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
    let life = lives.borrow().get(&to).copied();
    let request = PeerRequest::Execute(command);
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
            _ = lives.wait_for(|now| now.get(&to).copied() != life) => {
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
