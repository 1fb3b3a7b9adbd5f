//! Fencing marks: a node found to be lost is marked at once, as later history is read in its light; the action
//! itself is only wished for (spec 1 §27).

use super::options::QuorumPolicy;
use super::{Facts, Wish};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::report::Cause;

impl Facts {
    /// Whether a node can be fenced, as things are known now. // spec 1 §27.1
    #[must_use]
    pub fn can_fence(&self, node: Option<NodeIdx>) -> bool {
        if let Some(guest) = node.filter(|&node| self.is_guest(node)) {
            let hosts = self
                .host_container(guest)
                .map(|container| &self.rscs[container].active);
            return hosts.is_none_or(|hosts| {
                hosts
                    .iter()
                    .all(|&host| self.nodes[host].online || self.can_fence(Some(host)))
            });
        }
        if !self.options.fencing_enabled || !self.fence_device_known {
            return false;
        }
        if self.quorate || self.options.no_quorum_policy == QuorumPolicy::Ignore {
            return true;
        }
        let Some(node) = node.filter(|&node| self.nodes[node].online) else {
            return false;
        };
        let it = &self.nodes[node];
        if !it.pacemaker_remote || self.options.fence_remote_without_quorum {
            return true;
        }
        it.connection.is_none_or(|connection| {
            self.rscs[connection]
                .allowed
                .iter()
                .all(|(node, _)| self.nodes[node].online)
        })
    }

    /// Marks a node for fencing; the first reason stays. // spec 1 §27.2
    pub(super) fn fencing_mark(
        &mut self,
        node: NodeIdx,
        reason: &str,
        priority_delay: bool,
        cause: Cause,
    ) {
        if self.is_guest(node) {
            let container = self.host_container(node).expect("a guest has a container");
            let flags = &mut self.rscs[container].flags;
            if !flags.failed && flags.managed {
                flags.failed = true;
                flags.stop_required = true;
                self.nodes[node].needs_reset = true;
            }
            return;
        }
        let connection = self.nodes[node].connection;
        if let Some(connection) = connection.filter(|&connection| self.is_dangling(connection)) {
            self.require_stop(connection);
            return;
        }
        if self.nodes[node].pacemaker_remote {
            if connection.is_none_or(|connection| self.rscs[connection].flags.managed) {
                self.nodes[node].needs_reset = true;
            }
        } else if self.nodes[node].unclean {
            return;
        }
        self.nodes[node].unclean = true;
        let reason = reason.to_owned();
        self.wishes.push(Wish::Fence {
            node,
            reason,
            priority_delay,
            cause: Box::new(cause),
        });
    }

    /// A connection known only from history whose launcher is gone. // spec 1 §27.2
    fn is_dangling(&self, connection: RscIdx) -> bool {
        self.rscs[connection].flags.removed_launched && self.rscs[connection].launcher.is_none()
    }

    /// Failed in a way that needs a stop.
    pub(super) fn require_stop(&mut self, rsc: RscIdx) {
        let flags = &mut self.rscs[rsc].flags;
        flags.failed = true;
        flags.stop_required = true;
    }

    /// Wishes for a stop; one that can't run may mean that the node must be fenced. // spec 1 §27.5
    pub(super) fn wish_stop(&mut self, rsc: RscIdx, node: NodeIdx, cause: Cause) {
        let it = &self.nodes[node];
        let reachable = it.online || (self.is_guest(node) && !it.needs_reset);
        let fence = !reachable && !it.unclean && self.rscs[rsc].flags.managed;
        self.context.stops_wished.insert(rsc);
        self.wishes.push(Wish::Stop {
            rsc,
            node,
            cause: Box::new(cause.clone()),
        });
        if fence {
            self.fencing_mark(node, "stop is unrunnable", false, cause);
        }
    }
}
