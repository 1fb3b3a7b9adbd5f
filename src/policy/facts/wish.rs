//! What unpacking asks for: actions are made later, in the order of these wishes (spec 1 §35).

use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::policy::report::Cause;

/// An action that history or node state asks for, before anything is placed.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A recurring operation is already active there: optional action (spec 1 §23.1 step 4).
    Recurring {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// Task.
        task: Str,
        /// Interval.
        interval_ms: u64,
    },
    /// Required stop (spec 1 §23.2, §22.8, §19 step 4).
    Stop {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// Why.
        cause: Box<Cause>,
    },
    /// Existing stops there, and those without a node (which get this one), become optional (spec 1 §23.2 step 6).
    StopsOptional {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
    },
    /// Required demote (spec 1 §23.2).
    Demote {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// Why.
        cause: Box<Cause>,
    },
    /// Fencing, optional until the fencing phase; the first reason stays (spec 1 §27.2).
    /// The marks on the node are already set.
    Fence {
        /// Whom.
        node: NodeIdx,
        /// As it appears in the summary.
        reason: String,
        /// Whether `priority-fencing-delay` was asked for (spec 1 §27.4).
        priority_delay: bool,
        /// Why.
        cause: Box<Cause>,
    },
    /// Required `clear_failcount` with `op_no_wait=true` (spec 1 §25.4, §25.6).
    ClearFailcount {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// As it appears in the graph's causes.
        reason: &'static str,
        /// Ordered after an (optional) fencing of this remote node, kinds FIRST_PULLS (spec 1 §25.4 step 5).
        after_fencing: Option<NodeIdx>,
    },
    /// Required `lrm_delete` of an expired shutdown lock (spec 1 §29.1).
    LrmDelete {
        /// The resource.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
    },
    /// A digest check that waits for the assignment, to clear fail counts (spec 1 §25.5); handled in reverse order.
    DeferredFailureCheck {
        /// The connection.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// Entry of `Facts::history`, and operation in it.
        entry: (usize, usize),
    },
}
