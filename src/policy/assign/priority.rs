//! Who goes first when free capacity counts: by priority, then by how much each wants its node. spec 2 §9.1

use std::cmp::{Ordering, Reverse};

use super::super::{NodeIdx, RscIdx};
use super::preference::{Merged, Mode};
use super::{Assign, instance};
use crate::terms::Score;

impl Assign<'_> {
    pub(super) fn sort_by_preference(&mut self) {
        let nodes = self.nodes_by_base_score();
        let mut keyed = Vec::new();
        for rsc in self.place.order.clone() {
            let mode = Mode {
                this_with: true,
                ..Mode::default()
            };
            let table: Merged = self.merge(rsc, rsc, None, None, 1.0, mode);
            let score = |node: NodeIdx| table.table.score(node).unwrap_or(Score::MINUS_INFINITY);
            let active = self.place.now.active_anywhere(self.facts, rsc);
            let current = self.place.now.current(self.facts, rsc).filter(|_| active);
            let here = current.map_or(Score::MINUS_INFINITY, score);
            let there: Vec<Reverse<Score>> =
                nodes.iter().map(|node| Reverse(score(*node))).collect();
            keyed.push((
                Reverse(self.facts.rscs[rsc].priority),
                Reverse(here),
                there,
                rsc,
            ));
        }
        keyed.sort_by(|one, two| {
            let order: Ordering = (&one.0, &one.1, &one.2).cmp(&(&two.0, &two.1, &two.2));
            order
        });
        self.place.order = keyed
            .into_iter()
            .map(|(.., rsc): (_, _, _, RscIdx)| rsc)
            .collect();
    }

    fn nodes_by_base_score(&self) -> Vec<NodeIdx> {
        let mut table = super::super::NodeTable::new();
        for node in &self.facts.node_order {
            table.or_insert(
                *node,
                self.facts.nodes[*node].base_score,
                self.facts.nodes[*node].discovery,
            );
        }
        instance::by_score(
            self.facts,
            &self.place.now,
            &table,
            &self.place.capacity,
            None,
        )
    }
}
