//! What this daemon adds to the status that tools show: all that raft does not know.

use std::collections::BTreeSet;

use super::Service;
use crate::rpc::ClusterStatus;

impl Service {
    /// How two nodes without a witness stand, in words; a hint where the mode is off.
    fn two_node(&self) -> Option<serde_json::Value> {
        let state = self.raft.local();
        let votes: Vec<_> = state.members.values().filter(|m| m.role.votes()).collect();
        let hint = "of two voters without a witness, the loss of either stops the cluster: add a third machine that only \
                    votes (`systole token --role witness`), or configure fencing and type `crm cluster two-node on`";
        match self.raft.two_node() {
            Some(now) => {
                let text = now.text(self.name_of(now.peer).as_str());
                Some(serde_json::json!({ "on": true, "now": now, "text": text }))
            }
            None if votes.len() == 2 && votes.iter().all(|m| m.role.runs_resources()) => {
                Some(serde_json::json!({ "on": state.two_node, "text": hint }))
            }
            None => None,
        }
    }

    /// What raft does not know: leases, what the coordinator does, what runs.
    pub(super) fn add_to_status(&self, status: &mut ClusterStatus) {
        let (view, picture) = (self.presence.view(), self.coordinator.picture());
        let peers: Vec<_> = view
            .peers
            .iter()
            .map(
                |(id, state, ms)| serde_json::json!({"id": id, "state": state, "heard_ms_ago": ms}),
            )
            .collect();
        let running: Vec<_> = self
            .executor
            .picture()
            .running
            .iter()
            .map(ToString::to_string)
            .collect();
        status.quorate = view.held;
        status.more = serde_json::json!({
            "alone": self.is_alone(),
            "lease": {
                "held": view.held,
                "left_ms": view.left_ms,
                "near_misses": view.near_misses,
                "longest_pause_ms": view.longest_pause_ms,
            },
            "peers": peers,
            "coordinator": {
                "busy": picture.busy,
                "transition": picture.transition,
                "in_flight": picture.in_flight,
                "in_vain": picture.in_vain,
            },
            "executor": { "running": running },
            "disk_busy_ms": self.raft.disk_busy_ms(),
            "watchdog": *self.shared.watchdog.lock().expect("no panic while held"),
            "two_node": self.two_node(),
            "voters": self.raft.voters().into_iter().flatten().collect::<BTreeSet<_>>(),
            "fencing": { "history": *self.fencer.history() },
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
        });
    }
}
