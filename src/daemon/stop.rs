//! How a node leaves: it asks for leave, the cluster moves away what it runs, then it goes. A node that
//! the cluster does not answer stops what it runs by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::route::{Ask, Shared};
use crate::cib::status::attribute;
use crate::cib::status::node_state::Place;
use crate::cib::{self};
use crate::clock::wall_s;
use crate::raft::Raft;
use crate::terms::{NodeId, NodeName};

/// How long the cluster may take to take note of the wish to leave.
const NOTE: Duration = Duration::from_secs(5);

/// Lets anything in the daemon ask for its end.
#[derive(Debug, Clone)]
pub(super) struct Stopper(watch::Sender<bool>);

impl Stopper {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Asks.
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Completes when somebody asked.
    pub(super) async fn wanted(&self) {
        let mut asked = self.0.subscribe();
        let _ = asked.wait_for(|asked| *asked).await;
    }
}

/// Leaves: returns when nothing runs here any more, or after `patience`. // spec cluster §12.3
pub(super) async fn leave(
    raft: &Raft,
    me: NodeId,
    name: &NodeName,
    asks: &mpsc::UnboundedSender<Ask>,
    shared: &Arc<Shared>,
    patience: Duration,
) {
    let place = Place::new(me, name.clone());
    let now = wall_s();
    let origin = cib::Origin {
        node: name.to_string(),
        client: "systole".into(),
        ..cib::Origin::default()
    };
    let wish = attribute::set(&place, None, "shutdown", Some(&now.to_string()))
        .from(origin)
        .at(now);
    let noted = match tokio::time::timeout(NOTE, raft.propose(wish)).await {
        Ok(Ok(answer)) => answer.outcome.message().is_none(),
        _ => false,
    };
    if noted {
        tracing::info!("asked the cluster for leave; waiting until what runs here has moved away");
    } else {
        tracing::warn!("the cluster does not answer: stopping what runs here without it");
        let _ = asks.send(Ask::LeaveAlone);
    }
    let mut left = shared.leave.subscribe();
    let gone = left.wait_for(|left| *left);
    if tokio::time::timeout(patience, gone).await.is_err() {
        tracing::error!("gives up waiting after {} s", patience.as_secs());
    }
}
