//! The arithmetic of allowed-node tables: add, ban, and the lines that show them.

use super::super::report::{Cause, Contribution, ScoreLine};
use super::super::{NodeIdx, NodeTable, RscIdx};
use super::Assign;
use crate::terms::Score;

impl Assign<'_> {
    /// *add(r, node, s)*: children first, then itself; a node never mentioned enters with its base score. spec 2 §2.4
    pub(super) fn add(&mut self, rsc: RscIdx, node: NodeIdx, score: Score, cause: &Cause) {
        for at in 0..self.place.now.rscs[rsc].children.len() {
            let child = self.place.now.rscs[rsc].children[at];
            self.add(child, node, score, cause);
        }
        let fact = &self.facts.nodes[node];
        let entry = self.place.allowed[rsc].or_insert(node, fact.base_score, fact.discovery);
        entry.score += score;
        self.note(rsc, Some(node), score, cause);
    }

    /// *add(r, all, s)*: for every node of the node list. spec 2 §2.4
    pub(super) fn add_everywhere(&mut self, rsc: RscIdx, score: Score, cause: &Cause) {
        self.add_all(rsc, score);
        self.note(rsc, None, score, cause);
        if score.is_minus_infinite()
            && self.facts.rscs[rsc].is_primitive()
            && self.place.now.rscs[rsc].assigned.is_some()
        {
            self.unassign(rsc);
            self.place.now.rscs[rsc].unassigned = false;
        }
    }

    fn add_all(&mut self, rsc: RscIdx, score: Score) {
        for at in 0..self.place.now.rscs[rsc].children.len() {
            let child = self.place.now.rscs[rsc].children[at];
            self.add_all(child, score);
        }
        let table = &mut self.place.allowed[rsc];
        for node in &self.facts.node_order {
            let fact = &self.facts.nodes[*node];
            let entry = table.or_insert(*node, fact.base_score, fact.discovery);
            entry.score += score;
        }
    }

    /// Remembers where a score came from.
    pub(super) fn note(&mut self, rsc: RscIdx, node: Option<NodeIdx>, score: Score, cause: &Cause) {
        if self.record {
            self.place.contributions.push(Contribution {
                rsc,
                node,
                score,
                cause: cause.clone(),
            });
        }
    }

    /// Is any entry usable: an available node with a score of 0 or more?
    pub(super) fn any_usable(&self, table: &NodeTable) -> bool {
        table
            .iter()
            .any(|(node, entry)| self.usable(node, entry.score))
    }

    /// *available0*. spec 2 §4.1
    pub(super) fn usable(&self, node: NodeIdx, score: Score) -> bool {
        score >= Score::ZERO && self.place.now.available(self.facts, node)
    }

    /// The score lines of a resource and all it contains. spec 2 §20.1
    pub(super) fn print(&mut self, stage: &'static str, rsc: RscIdx) {
        if self.facts.rscs[rsc].flags.removed || !self.facts.context.scores {
            return;
        }
        let table = &self.place.allowed[rsc];
        for node in &self.facts.node_order {
            if let Some(score) = table.score(*node) {
                self.place.lines.push(ScoreLine::Assignment {
                    stage,
                    rsc,
                    node: *node,
                    score,
                });
            }
        }
        for at in 0..self.place.now.rscs[rsc].children.len() {
            let child = self.place.now.rscs[rsc].children[at];
            self.print(stage, child);
        }
    }
}
