//! The policy's decision in the words of this command.

use crate::graph::{Drawing, Graph};
use crate::policy::{self, Input};
use crate::xml::Element;

/// What is decided.
pub(super) struct Decision {
    pub(super) graph: Graph,
    pub(super) summary: Vec<String>,
    pub(super) scores: Vec<String>,
    pub(super) drawing: Drawing,
}

/// Ask the policy.
pub(super) fn decide(cib: &Element, input: &Input) -> Decision {
    let outcome = policy::schedule(cib, input);
    let drawing = Drawing::of(&outcome.graph);
    let lines = outcome.scores.iter().filter(|line| line.is_score());
    Decision {
        summary: outcome
            .summary
            .iter()
            .map(policy::emit::SummaryLine::text)
            .collect(),
        scores: lines.map(|line| line.text(&outcome.facts)).collect(),
        drawing,
        graph: outcome.graph,
    }
}
