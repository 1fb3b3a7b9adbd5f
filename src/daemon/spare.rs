//! The leader looks for voters that are gone for good, and lets learners vote in their place.

use std::collections::BTreeSet;

use super::devices;
use super::route::Router;
use crate::cib::Cib;
use crate::clock::Mono;
use crate::coordinator::Authority;
use crate::presence::PeerState;
use crate::raft::{ClusterChange, Seen, spare};
use crate::terms::{NodeId, span};
use crate::xml::Element;

/// Between two looks, in milliseconds. A change of roles is over by then.
const LOOK_MS: u64 = 5_000;
/// The option, and the node attribute that says what fails together.
const OPTION: &str = "voter-replace-after";
const DOMAIN: &str = "fault-domain";

impl Router {
    /// Changes one role, if one should be changed.
    pub(super) fn look_for_spare(&mut self, now: Mono) {
        if now < self.spare_at || !matches!(self.authority, Authority::Leader(_)) {
            return;
        }
        self.spare_at = now.plus(LOOK_MS);
        let patience = devices::option(&self.cib, &[OPTION]);
        let patience_ms = span::ms_or_zero(Some(patience.as_deref().unwrap_or("10min")));
        let state = self.raft.local();
        let wanted: BTreeSet<NodeId> = state
            .members
            .values()
            .filter(|m| m.role.votes())
            .map(|m| m.id)
            .collect();
        // One thing at a time: who is to vote has to vote first.
        if patience_ms == 0 || self.raft.voters() != [wanted] {
            return;
        }
        let view = self.presence.view();
        let silent_ms = |id: NodeId| {
            if id == self.me {
                return Some(0);
            }
            let (_, state, ms) = view.peers.iter().find(|(peer, ..)| *peer == id)?;
            Some(match state {
                PeerState::Alive { .. } => 0,
                _ => (*ms).max(1),
            })
        };
        let seen = state.members.values().filter_map(|m| {
            Some(Seen {
                id: m.id,
                role: m.role,
                domain: domain(&self.cib, m.id),
                silent_ms: silent_ms(m.id)?,
            })
        });
        let seen: Vec<Seen> = seen.collect();
        if seen.len() < state.members.len() {
            return; // Not everybody is judged yet.
        }
        let Some((id, role)) = spare(&seen, patience_ms) else {
            return;
        };
        let name = super::route::name_of(&state.members, id);
        tracing::warn!("a voter is gone for longer than {OPTION}: {name} is a {role} from now on");
        let raft = self.raft.clone();
        tokio::spawn(async move {
            if let Err(e) = raft.change(ClusterChange::SetRole { id, role }).await {
                tracing::warn!("failed to make {name} a {role}: {e}");
            }
        });
    }
}

/// The node's attribute of this name.
fn domain(cib: &Cib, id: NodeId) -> Option<String> {
    let id = id.to_string();
    cib.section("nodes")?
        .children_named("node")
        .find(|node| node.id() == Some(id.as_str()))?
        .children_named("instance_attributes")
        .flat_map(Element::children)
        .find(|pair| pair.get("name") == Some(DOMAIN))
        .and_then(|pair| pair.get("value").map(str::to_owned))
}
