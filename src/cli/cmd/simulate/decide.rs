//! The policy's decision in the words of this command.

use crate::graph::{Drawing, Graph};
use crate::policy::Input;
use crate::xml::Element;

/// What is decided.
pub(super) struct Decision {
    pub(super) graph: Graph,
    pub(super) summary: Vec<String>,
    pub(super) scores: Vec<String>,
    pub(super) drawing: Drawing,
}

/// Ask the policy.
// Gap: the policy's last steps are not joined yet, so that nothing is ever decided.
pub(super) fn decide(_cib: &Element, _input: &Input) -> Decision {
    let graph = Graph::default();
    let drawing = Drawing::of(&graph);
    Decision {
        graph,
        summary: Vec::new(),
        scores: Vec::new(),
        drawing,
    }
}
