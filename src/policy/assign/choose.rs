//! The best node: highest score, then free capacity or load, then where it is already, then by name.
//! spec 2 §11.3

use super::super::facts::Kind;
use super::super::{NodeIdx, RscIdx};
use super::{Assign, instance};
use crate::terms::Score;

impl Assign<'_> {
    pub(super) fn choose(&mut self, rsc: RscIdx, mut prefer: Option<NodeIdx>, last: bool) {
        if self.by_capacity() {
            let most_free = self.ban_what_is_full(rsc);
            prefer = prefer.or(most_free);
        }
        if !self.place.now.rscs[rsc].unassigned {
            return;
        }
        let current = self.place.now.current(self.facts, rsc);
        let table = &self.place.allowed[rsc];
        let mut sorted = instance::by_score(
            self.facts,
            &self.place.now,
            table,
            &self.place.capacity,
            current,
        );
        if !self.facts.rscs[rsc].launched.is_empty() {
            sorted.retain(|node| !self.lives_in(*node, rsc));
        }
        let score = |node: NodeIdx| table.score(node).unwrap_or(Score::MINUS_INFINITY);
        let best = sorted.first().copied();
        let preferred = prefer.filter(|node| {
            sorted.contains(node)
                && best.is_none_or(|best| score(*node) >= score(best))
                && self.usable(*node, score(*node))
        });
        let chosen =
            preferred.or_else(|| best.map(|best| self.rather_stay(rsc, best, current, &sorted)));
        self.settle_on(rsc, chosen, false, last);
    }

    /// Whether the node is a guest of the container, or of another replica of its bundle, which could be moved into each other:
    /// a guest can't host what it lives in, however much a constraint likes it. (not in the specification)
    fn lives_in(&self, node: NodeIdx, container: RscIdx) -> bool {
        let facts = self.facts;
        facts.host_container(node).is_some_and(|host| {
            let bundle = facts.bundle_of(host);
            host == container || bundle.is_some() && bundle == facts.bundle_of(container)
        })
    }

    /// Among equals with a positive score the current node wins before load counts.
    fn rather_stay(
        &self,
        rsc: RscIdx,
        best: NodeIdx,
        current: Option<NodeIdx>,
        sorted: &[NodeIdx],
    ) -> NodeIdx {
        let unique_clone = self.facts.rscs[rsc].parent.is_some_and(|parent| {
            matches!(self.facts.rscs[parent].kind, Kind::Clone(_))
                && self.facts.rscs[parent].flags.unique
        });
        let table = &self.place.allowed[rsc];
        let score = table.score(best).unwrap_or(Score::MINUS_INFINITY);
        if unique_clone || score <= Score::ZERO || !self.place.now.available(self.facts, best) {
            return best;
        }
        let stay = current.filter(|node| self.usable(*node, self.facts.nodes[*node].base_score));
        let equals = sorted
            .iter()
            .skip(1)
            .take_while(|node| table.score(**node) == Some(score));
        stay.filter(|stay| equals.clone().any(|node| node == stay))
            .unwrap_or(best)
    }
}
