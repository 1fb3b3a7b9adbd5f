//! The facts: what is true now, read once from the CIB.
//! Enters: a `Cib` and the `Input` of the run.
//! Leaves: `Facts`: options, nodes, the resource tree with what history says about it, and wishes for actions.
//! May touch: nothing; it is pure.

pub mod history;
pub mod node;
pub mod nvset;
pub mod operation;
pub mod options;
pub mod resource;
pub mod wish;

use std::collections::BTreeMap;

use indexmap::IndexMap;

pub use history::{HistoryEntry, HistoryOp};
pub use node::{Node, NodeKind};
pub use operation::{Needs, OnFail, OpConfig, OpMeta};
pub use options::{Options, QuorumPolicy};
pub use resource::{
    Agent, Bundle, Clone, Flags, Group, Kind, MultipleActive, Pending, Replica, Requires, Rsc,
};
pub use wish::Wish;

use super::index::{IdxVec, NodeIdx, RscIdx};
use super::nvtable::{NvTable, Str};
use super::report::{Contribution, Warning};

/// Step 1: what is true now (spec 1 §35). Frozen when the next step starts.
#[derive(Debug, Default)]
pub struct Facts {
    /// The effective time (spec 1 §2).
    pub now_s: i64,
    /// Whether the input is a saved one with private values blanked (spec 1 §28.2).
    pub sanitized: bool,
    /// Cluster options in force (spec 1 §7).
    pub options: Options,
    /// Whether this partition has quorum (spec 1 §2).
    pub quorate: bool,
    /// `crm_feature_set` of the CIB.
    pub feature_set: Str,
    /// All nodes (spec 1 §8).
    pub nodes: IdxVec<NodeIdx, Node>,
    /// The node list: nodes in node-name order (spec 2 §1.2).
    pub node_order: Vec<NodeIdx>,
    /// The designated controller (spec 1 §8.3).
    pub dc: Option<NodeIdx>,
    /// All resources of the tree (spec 1 §9).
    pub rscs: IdxVec<RscIdx, Rsc>,
    /// The resource list: top-level resources in list order (spec 2 §1.2).
    pub top: Vec<RscIdx>,
    /// Template -> ids of resources that use it (spec 1 §10).
    pub templates: IndexMap<Str, Vec<Str>>,
    /// Tag -> ids of the objects it names (spec 1 §17).
    pub tags: IndexMap<Str, Vec<Str>>,
    /// Tickets known from status (spec 1 §17).
    pub tickets: BTreeMap<Str, Ticket>,
    /// Whether a fence device (or a watchdog) exists (spec 1 §9.3, §27.1).
    pub fence_device_known: bool,
    /// Whether "unfencing is in use" (spec 1 §7.3).
    pub unfencing: bool,
    /// Actions that unpacking asks for, in order of creation (spec 1 §35).
    pub wishes: Vec<Wish>,
    /// Failed operations in order of recording, for display (spec 1 §22.8).
    pub failed_ops: Vec<FailedOp>,
    /// Operation history per node, as read (spec 1 §20-§24), in the order of reading.
    pub history: Vec<HistoryEntry>,
    /// Earliest time when something would be decided otherwise (spec 1 §2).
    pub recheck_by: Option<i64>,
    /// Counts for display (spec 1 §32).
    pub counts: Counts,
    /// Score contributions so far, with causes, when they are recorded.
    pub contributions: Vec<Contribution>,
    /// What was wrong in the input.
    pub warnings: Vec<Warning>,
}

/// A ticket (spec 1 §17).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticket {
    /// Whether the cluster has it.
    pub granted: bool,
    /// Whether it is in standby.
    pub standby: bool,
    /// When it was granted last, or -1.
    pub last_granted: i64,
    /// All attributes but the id.
    pub state: NvTable,
}

/// A failed operation, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOp {
    /// The resource.
    pub rsc: RscIdx,
    /// Where.
    pub node: NodeIdx,
    /// Which entry of [`Facts::history`], and which operation in it.
    pub entry: (usize, usize),
    /// `operation_key`, or the id of the entry.
    pub key: Str,
    /// Exit status as recorded.
    pub rc: i32,
    /// Execution status as recorded.
    pub status: i32,
}

/// Counts of resource instances (spec 1 §32).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All instances.
    pub instances: u32,
    /// Those that are told not to run.
    pub disabled: u32,
    /// Those of the disabled that are blocked.
    pub blocked: u32,
}
