//! Why: the causes that travel with every score, ban, block, required action and fencing order.

use super::index::{NodeIdx, RscIdx};
use super::nvtable::Str;
use crate::terms::Score;

/// Where something came from, in a form that can be explained to a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// A location constraint, perhaps through one of its rules.
    Location {
        /// Id of the `rsc_location`.
        constraint: Str,
        /// Id of the rule that passed.
        rule: Option<Str>,
    },
    /// A colocation with another resource.
    Colocation {
        /// Id of the constraint or set, or one of the internal `#...` names.
        constraint: Str,
        /// The other resource.
        with: RscIdx,
    },
    /// An ordering.
    Ordering {
        /// Id of the constraint or set.
        constraint: Str,
    },
    /// A ticket that is missing or in standby.
    Ticket {
        /// The ticket.
        ticket: Str,
        /// Id of the `rsc_ticket`.
        constraint: Str,
    },
    /// A cluster option.
    Option(&'static str),
    /// A meta-attribute of a resource.
    Meta {
        /// The resource that has it.
        rsc: RscIdx,
        /// Its name.
        name: &'static str,
    },
    /// The resource prefers to stay (`resource-stickiness`).
    Stickiness,
    /// The resource is not managed, so it stays where it is.
    Unmanaged,
    /// The resource is only known from history.
    Removed,
    /// The `score` of the node entry.
    NodeScore,
    /// A recorded result.
    Failure {
        /// The resource that failed.
        rsc: RscIdx,
        /// Where.
        node: NodeIdx,
        /// Operation name.
        task: Str,
        /// Interval of the operation.
        interval_ms: u64,
        /// Exit status as interpreted.
        rc: i32,
        /// Execution status as interpreted.
        status: i32,
        /// What the configuration or the default asks for.
        on_fail: &'static str,
    },
    /// Failures reached `migration-threshold`.
    Threshold {
        /// The resource that failed.
        rsc: RscIdx,
        /// Failures counted.
        count: Score,
        /// The limit.
        threshold: Score,
        /// Last failure, seconds since the epoch.
        last_failure_s: i64,
    },
    /// Active on more nodes than it may be.
    MultiplyActive {
        /// The resource.
        rsc: RscIdx,
    },
    /// The node's health attributes.
    Health {
        /// The strategy.
        strategy: &'static str,
    },
    /// Kept for a node that is shutting down.
    ShutdownLock {
        /// The node.
        node: NodeIdx,
    },
    /// Resource discovery is exclusive to other nodes.
    ExclusiveDiscovery,
    /// What the kind of resource implies: instances, bundles, connections.
    Implied(&'static str),
    /// Something seen in the state of a node.
    NodeState(&'static str),
    /// The definition differs from the one that was used.
    DefinitionChanged,
}

/// One step in the arithmetic of a resource's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// Whose table.
    pub rsc: RscIdx,
    /// Which node; all of them without.
    pub node: Option<NodeIdx>,
    /// What was added.
    pub score: Score,
    /// Why.
    pub cause: Cause,
}

/// Something wrong with the input that the run went on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The object, the trouble and the cure.
    pub text: String,
}
