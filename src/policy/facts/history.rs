//! Operation history as recorded (spec 1 §20-§23).

use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::xml::Element;

/// One `lrm_resource` of one node, its operations sorted from oldest to newest (spec 1 §21).
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Where.
    pub node: NodeIdx,
    /// The resource it was mapped to (spec 1 §20); none if it was not needed for that.
    pub rsc: Option<RscIdx>,
    /// `id` of the entry.
    pub id: Str,
    /// The element.
    pub element: Element,
    /// Operations in sorted order.
    pub ops: Vec<HistoryOp>,
    /// Position of the start-like operation, or -1 (spec 1 §21).
    pub start_index: i32,
    /// Position of the last successful stop, or -1.
    pub stop_index: i32,
}

impl HistoryEntry {
    /// Whether the last stop came after the last start.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.start_index < self.stop_index
    }
}

/// One `lrm_rsc_op`.
#[derive(Debug, Clone)]
pub struct HistoryOp {
    /// Task.
    pub task: Str,
    /// Interval.
    pub interval_ms: u64,
    /// `call-id`, or -1.
    pub call_id: i64,
    /// `rc-code`, if valid.
    pub rc: Option<i32>,
    /// `op-status`, if valid.
    pub status: Option<i32>,
    /// Expected exit status from the transition key, or -1.
    pub target_rc: i32,
    /// `last-rc-change`.
    pub last_rc_change: Option<i64>,
    /// Set while reading when an expired recurring result must be scheduled again (spec 1 §22.4).
    pub force_reschedule: bool,
    /// The element, for everything else.
    pub element: Element,
}

impl HistoryOp {
    /// XML id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.element.get("id").unwrap_or_default()
    }

    /// `operation_key`, or the XML id.
    #[must_use]
    pub fn key(&self) -> &str {
        self.element
            .get("operation_key")
            .filter(|key| !key.is_empty())
            .unwrap_or_else(|| self.id())
    }

    /// Whether it is a probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.interval_ms == 0 && &*self.task == "monitor"
    }
}
