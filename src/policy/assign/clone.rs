//! A clone: its own table says where instances may run at all; each instance then finds its node. spec 2 §13.1

use super::super::{NodeIdx, RscIdx};
use super::Assign;
use super::colocation::{this_with, with_this};

impl Assign<'_> {
    pub(super) fn assign_clone(&mut self, clone: RscIdx, prefer: Option<NodeIdx>, last: bool) {
        if !self.place.now.rscs[clone].unassigned || self.place.now.rscs[clone].assigning {
            return;
        }
        self.place.now.rscs[clone].assigning = true;
        let Some(fact) = self.facts.rscs[clone].clone_facts().copied() else {
            return;
        };
        let promotable = self.facts.rscs[clone].flags.promotable;
        if promotable {
            self.add_promotion_scores(clone);
        }
        for col in this_with(self.facts, &self.place, &self.place.now, clone) {
            let primary = self.place.colocations[col].primary;
            if self.place.now.rscs[primary].unassigned {
                self.assign(primary, prefer, last);
            }
        }
        for col in with_this(self.facts, &self.place, &self.place.now, clone) {
            self.hear_dependent(clone, col);
        }
        self.print("pcmk__clone_assign", clone);
        let mut instances = self.place.now.rscs[clone].children.clone();
        self.sort_instances(clone, &mut instances);
        self.place.now.rscs[clone].children.clone_from(&instances);
        self.assign_instances(clone, &instances, fact.max, fact.node_max);
        if promotable {
            self.choose_promoted(clone);
        }
        let now = &mut self.place.now.rscs[clone];
        now.unassigned = false;
        now.assigning = false;
    }
}
