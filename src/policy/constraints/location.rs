//! Location constraints (spec 2 §6.3, §7.3, §7.4).

use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodetable::Discovery;
use crate::policy::nvtable::Str;
use crate::policy::report::Cause;
use crate::terms::Score;

/// Roles that survive parsing as a filter (spec 2 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleFilter {
    /// Only for promotion scores.
    Promoted,
    /// Only where the target role is Stopped.
    Stopped,
}

/// A resource likes or dislikes nodes.
#[derive(Debug, Clone)]
pub struct Location {
    /// Id of the element, or the name of the health strategy.
    pub id: Str,
    /// The resource.
    pub rsc: RscIdx,
    /// Role that it is limited to.
    pub role: Option<RoleFilter>,
    /// Raises the probe mode of the entries.
    pub discovery: Discovery,
    /// Nodes and scores; empty where a rule matches no node.
    pub nodes: Vec<(NodeIdx, Score)>,
    /// Where it came from.
    pub cause: Cause,
}
