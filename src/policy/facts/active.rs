//! Becoming active: where a resource runs, and what follows when that is in too many places (spec 1 §26).

use super::Facts;
use super::resource::{Kind, MultipleActive};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::report::Cause;
use crate::terms::{Role, Score};

impl Facts {
    /// The resource is active on the node. // spec 1 §26
    pub(super) fn becomes_active(&mut self, rsc: RscIdx, node: NodeIdx, failed: bool) {
        if self.rscs[rsc].active.contains(&node) {
            return;
        }
        self.rscs[rsc].active.push(node);
        if self.rscs[rsc].is_primitive() {
            self.nodes[node].running.push(rsc);
            if !failed {
                self.add_priority(rsc, node);
            }
            if self.nodes[node].maintenance {
                let flags = &mut self.rscs[rsc].flags;
                flags.managed = false;
                flags.maintenance = true;
            }
        }
        if !self.rscs[rsc].flags.managed {
            self.add_location(rsc, node, Score::INFINITY, Some(&Cause::Unmanaged));
            let mut ancestor = self.rscs[rsc].parent;
            while let Some(at) = ancestor {
                if !self.rscs[at].active.contains(&node) {
                    self.rscs[at].active.push(node);
                }
                ancestor = self.rscs[at].parent;
            }
            return;
        }
        self.check_multiply_active(rsc);
        if let Some(parent) = self.rscs[rsc].parent {
            self.becomes_active(parent, node, false);
        }
    }

    fn add_priority(&mut self, rsc: RscIdx, node: NodeIdx) {
        let it = &self.rscs[rsc];
        if it.priority == Score::ZERO {
            return;
        }
        let more = i64::from(it.priority) + i64::from(it.role == Role::Promoted);
        self.nodes[node].priority += more;
        if self.is_guest(node)
            && let Some(container) = self.host_container(node)
        {
            for host in self.rscs[container].active.clone() {
                self.nodes[host].priority += more;
            }
        }
    }

    fn check_multiply_active(&mut self, rsc: RscIdx) {
        let it = &self.rscs[rsc];
        if !it.is_primitive() || it.active.len() < 2 {
            return;
        }
        let clean = |node: &&NodeIdx| self.nodes[**node].online && !self.nodes[**node].unclean;
        let count = if it.needs_fencing() {
            it.active.len()
        } else {
            it.active.iter().filter(clean).count()
        };
        if count < 2 {
            return;
        }
        match it.multiple_active {
            MultipleActive::StopOnly => self.ban_everywhere(rsc, &Cause::MultiplyActive { rsc }),
            MultipleActive::Block => {
                let mut blocked = vec![rsc];
                if let Some(parent) = it.parent.map(|parent| &self.rscs[parent])
                    && matches!(parent.kind, Kind::Group(_) | Kind::Bundle(_))
                    && parent.multiple_active == MultipleActive::Block
                {
                    blocked.extend(&parent.children);
                }
                for at in blocked {
                    let flags = &mut self.rscs[at].flags;
                    flags.managed = false;
                    flags.blocked = true;
                }
            }
            MultipleActive::StopStart | MultipleActive::StopUnexpected => {}
        }
    }
}
