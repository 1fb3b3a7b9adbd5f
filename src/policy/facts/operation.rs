//! Operations as configured, and the meta table of an action (spec 1 §16).

use crate::policy::element::Element;
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::Role;

/// What a failure leads to, least severe first (spec 1, "On-fail severity order").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OnFail {
    /// As if it had worked.
    #[default]
    Ignore,
    /// Demote.
    Demote,
    /// Stop, and start again, perhaps elsewhere.
    Restart,
    /// Recover the connection of a remote node.
    ResetRemote,
    /// Restart the container.
    RestartContainer,
    /// Away from this node.
    Ban,
    /// Touch nothing.
    Block,
    /// Stop everywhere.
    Stop,
    /// The node goes into standby.
    Standby,
    /// The node is fenced.
    Fence,
}

impl OnFail {
    /// As configured in `on-fail`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Demote => "demote",
            Self::Restart => "restart",
            Self::ResetRemote => "reset-remote",
            Self::RestartContainer => "restart-container",
            Self::Ban => "ban",
            Self::Block => "block",
            Self::Stop => "stop",
            Self::Standby => "standby",
            Self::Fence => "fence",
        }
    }
}

/// What an action needs before it may run (spec 1 §16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Needs {
    /// Nothing.
    #[default]
    Nothing,
    /// Quorum.
    Quorum,
    /// Fencing of lost nodes.
    Fencing,
}

/// One `<op>`.
#[derive(Debug, Clone)]
pub struct OpConfig {
    /// XML id.
    pub id: Str,
    /// Task.
    pub name: Str,
    /// Interval.
    pub interval_ms: u64,
    /// `role`, if given; an invalid one counts as given and Unknown.
    pub role: Option<Role>,
    /// Whether `role` is given and not a role.
    pub role_invalid: bool,
    /// False if `enabled` is false.
    pub enabled: bool,
    /// The element.
    pub element: Element,
}

/// The meta table of an action, normalised (spec 1 §16.2; spec 3 §4).
#[derive(Debug, Clone, Default)]
pub struct OpMeta {
    /// Position of the `<op>` in `Rsc::ops`, if one matches.
    pub op: Option<usize>,
    /// All names and values, `interval`, `timeout` and `start-delay` normalised to milliseconds.
    pub table: NvTable,
    /// Timeout.
    pub timeout_ms: u64,
    /// Delay before a recurring operation runs for the first time.
    pub start_delay_ms: u64,
    /// Effective handling of a failure.
    pub on_fail: OnFail,
    /// Role after a failure.
    pub fail_role: Role,
    /// What it needs.
    pub needs: Needs,
}
