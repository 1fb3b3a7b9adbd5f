//! Attribute sets: blocks of nvpairs with precedence (spec 1 §4).

use crate::policy::element::Element;

/// The parameter blocks of a resource, in order of processing.
#[derive(Debug, Clone, Default)]
pub struct RscBlocks {
    pub(super) parameters: Vec<Element>,
}
