//! Orders to other nodes: said again until they are taken, refused, or pointless. What came of them is
//! read from the CIB, never from the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::executor;
use crate::rpc::{PeerAnswer, PeerRequest, Peers};
use crate::terms::{NodeId, Term};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

/// Delivers in the background, as long as `term` is the newest one known here.
pub(super) fn order(
    peers: &Peers,
    newest: &Arc<AtomicU64>,
    to: NodeId,
    term: Term,
    command: executor::Command,
) {
    let (peers, newest) = (peers.clone(), Arc::clone(newest));
    let request = PeerRequest::Execute(command);
    tokio::spawn(async move {
        while newest.load(Ordering::Acquire) <= term.0 {
            match peers.call(to, &request).await {
                Ok(PeerAnswer::Refused(why)) => {
                    tracing::warn!("node {to} refuses an order: {why}");
                    return;
                }
                Ok(_) => return,
                // The coordinator gives up when presence does; until then the node may answer yet.
                Err(e) => {
                    tracing::debug!("an order did not reach node {to}: {e}");
                    tokio::time::sleep(AGAIN).await;
                }
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
