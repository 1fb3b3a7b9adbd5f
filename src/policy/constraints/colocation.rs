//! Colocations (spec 2 §7.5, §8).

use crate::policy::index::RscIdx;
use crate::policy::nvtable::Str;
use crate::terms::{Role, Score};

/// The dependent wants to be where the primary is (or is not).
#[derive(Debug, Clone)]
pub struct Colocation {
    /// Id of the constraint or set, or an internal `#...` name.
    pub id: Str,
    /// Who follows.
    pub dependent: RscIdx,
    /// Whom.
    pub primary: RscIdx,
    /// Never 0.
    pub score: Score,
    /// Nodes count as the same place when this attribute is equal; `#uname` by default.
    pub node_attribute: Str,
    /// Role of the dependent that it is limited to; Unknown = any.
    pub dependent_role: Role,
    /// Role of the primary that it is limited to; Unknown = any.
    pub primary_role: Role,
    /// Whether the dependent's preferences always count for the primary (spec 2 §10.5.2).
    pub influence: bool,
    /// Configured (true) or internal (false).
    pub explicit: bool,
}

/// Ids of internal colocations (spec 2 §8).
pub mod internal {
    /// A group member with the one before it.
    pub const GROUP_MEMBERS: &str = "#group-members";
    /// A resource with what launches it.
    pub const WITH_CONTAINER: &str = "#resource-with-container";
    /// A bundle's address with its container.
    pub const IP_WITH_CONTAINER: &str = "#ip-with-container";
}
