//! A primitive: first whom it must be with, then who must be with it, then the best node left. spec 2 §11

use super::super::facts::QuorumPolicy;
use super::super::facts::options::PlacementStrategy;
use super::super::report::{Cause, ScoreLine};
use super::super::{ColIdx, NodeIdx, NodeTable, RscIdx};
use super::Assign;
use super::colocation::{this_with, with_this};
use crate::terms::{Role, Score};

impl Assign<'_> {
    pub(super) fn assign_primitive(
        &mut self,
        rsc: RscIdx,
        prefer: Option<NodeIdx>,
        last: bool,
    ) -> Option<NodeIdx> {
        if let Some(parent) = self.facts.rscs[rsc].parent
            && !self.place.now.rscs[parent].assigning
        {
            self.assign(parent, prefer, last);
        }
        if !self.place.now.rscs[rsc].unassigned {
            return self.place.now.rscs[rsc].assigned;
        }
        if self.place.now.rscs[rsc].assigning {
            return None;
        }
        self.place.now.rscs[rsc].assigning = true;
        self.hear_colocations(rsc);
        self.by_target_role(rsc);
        self.print("pcmk__primitive_assign", rsc);
        if self.facts.options.fencing_enabled && !self.facts.fence_device_known {
            self.place.now.rscs[rsc].managed = false;
        }
        if !self.place.now.rscs[rsc].managed {
            let now = &mut self.place.now.rscs[rsc];
            now.next_role = now.orig_role;
            let current = self.place.now.current(self.facts, rsc);
            self.settle_on(rsc, current, true, last);
        } else if self.facts.options.stop_all_resources {
            self.settle_on(rsc, None, true, last);
        } else {
            self.choose(rsc, prefer, last);
        }
        self.place.now.rscs[rsc].assigning = false;
        self.node_of_connection(rsc);
        self.place.now.rscs[rsc].assigned
    }

    /// Mandatory colocations before optional ones; those it follows before those that follow it.
    fn hear_colocations(&mut self, rsc: RscIdx) {
        let follows = this_with(self.facts, &self.place, &self.place.now, rsc);
        let followed = with_this(self.facts, &self.place, &self.place.now, rsc);
        for mandatory in [true, false] {
            let counts = |run: &Self, col: &ColIdx| {
                let score = run.place.colocations[*col].score;
                (score.is_infinite() || score.is_minus_infinite()) == mandatory
            };
            for col in follows
                .iter()
                .filter(|col| counts(self, col))
                .copied()
                .collect::<Vec<_>>()
            {
                self.follow(rsc, col);
            }
            for col in followed
                .iter()
                .filter(|col| counts(self, col))
                .copied()
                .collect::<Vec<_>>()
            {
                self.hear_dependent(rsc, col);
            }
        }
    }

    /// spec 2 §11.2
    fn follow(&mut self, rsc: RscIdx, col: ColIdx) {
        let colocation = &self.place.colocations[col];
        let primary = colocation.primary;
        let optional_distance =
            colocation.score < Score::ZERO && !colocation.score.is_minus_infinite();
        let kept: Option<NodeTable> = (colocation.dependent_role == Role::Promoted
            || optional_distance)
            .then(|| self.place.allowed[rsc].clone());
        if self.place.now.rscs[primary].unassigned {
            self.assign(primary, None, true);
        }
        self.apply(rsc, primary, col);
        if let Some(kept) = kept
            && !self.any_usable(&self.place.allowed[rsc])
        {
            self.place.allowed[rsc] = kept;
        }
    }

    fn by_target_role(&mut self, rsc: RscIdx) {
        let now = &self.place.now.rscs[rsc];
        if now.next_role == Role::Stopped {
            self.add_everywhere(
                rsc,
                Score::MINUS_INFINITY,
                &Cause::Meta {
                    rsc,
                    name: "target-role",
                },
            );
        } else if now.next_role > now.orig_role
            && !self.facts.quorate
            && self.facts.options.no_quorum_policy == QuorumPolicy::Freeze
        {
            self.place.now.rscs[rsc].next_role = now.orig_role;
        }
    }

    /// Assign(r, n or none). spec 2 §11.4
    pub(super) fn settle_on(
        &mut self,
        rsc: RscIdx,
        node: Option<NodeIdx>,
        forced: bool,
        last: bool,
    ) {
        let children = self.place.now.rscs[rsc].children.clone();
        if !children.is_empty() {
            for child in children {
                self.settle_on(child, node, forced, last);
            }
            return;
        }
        let mut node = node;
        // What is put back where it is by force was not chosen from the table.
        let score = match node {
            Some(node) if forced => self.facts.nodes[node].base_score,
            Some(node) => self.place.allowed[rsc].score(node).unwrap_or(Score::ZERO),
            None => Score::ZERO,
        };
        if let Some(to) = node
            && !forced
            && (score < Score::ZERO || (!self.usable(to, score) && !self.facts.is_guest(to)))
        {
            node = None;
            if last {
                self.place.now.rscs[rsc].next_role = Role::Stopped;
            }
        }
        self.unassign(rsc);
        let now = &mut self.place.now.rscs[rsc];
        now.unassigned = false;
        let Some(to) = node else {
            if last {
                now.next_role = Role::Stopped;
                now.dropped = true;
            }
            return;
        };
        now.assigned = Some(to);
        now.assigned_score = score;
        now.dropped = false;
        self.place.now.nodes[to].load += 1;
        let taken = &self.facts.rscs[rsc].utilization;
        self.place.capacity[to].take(taken);
        if self.facts.context.scores {
            self.place
                .lines
                .push(ScoreLine::Utilization { rsc, node: to });
        }
    }

    /// *Unassign(r)*. spec 2 §11.4
    pub(super) fn unassign(&mut self, rsc: RscIdx) {
        for child in self.place.now.rscs[rsc].children.clone() {
            self.unassign(child);
        }
        let now = &mut self.place.now.rscs[rsc];
        now.unassigned = true;
        if let Some(node) = now.assigned.take() {
            self.place.now.nodes[node].load -= 1;
            self.place.capacity[node].give(&self.facts.rscs[rsc].utilization);
        }
    }

    /// A connection that has a place makes a node. spec 2 §18.6
    pub(super) fn node_of_connection(&mut self, rsc: RscIdx) {
        if !self.facts.rscs[rsc].flags.connection {
            return;
        }
        let Some(node) = self.facts.node_by_name(self.facts.rscs[rsc].id.as_str()) else {
            return;
        };
        let runs = self.place.now.rscs[rsc].assigned.is_some()
            && self.place.now.rscs[rsc].next_role != Role::Stopped;
        let now = &mut self.place.now.nodes[node];
        if runs {
            now.online = true;
            if !self.facts.nodes[node].seen {
                now.unclean = false;
            }
        } else {
            now.shutdown = true;
        }
    }

    /// Does free capacity count?
    pub(super) fn by_capacity(&self) -> bool {
        self.facts.options.placement_strategy != PlacementStrategy::Default
    }
}
