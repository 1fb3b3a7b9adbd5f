//! Why: the causes that travel with every score, ban, block, required action and fencing order.

use super::index::{NodeIdx, RscIdx};
use super::nvtable::Str;
use crate::graph::ActionId;
use crate::terms::{Role, Score};

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
    /// Where the assignment puts it: from where to where; the scores tell why.
    Placed {
        /// The resource.
        rsc: RscIdx,
        /// Where it is.
        from: Option<NodeIdx>,
        /// Where it is to be.
        to: Option<NodeIdx>,
    },
    /// It is to have another role where it is.
    Role {
        /// The resource.
        rsc: RscIdx,
        /// The role it has.
        from: Role,
        /// The role it is to have.
        to: Role,
    },
    /// It failed, so it is recovered.
    Recovery {
        /// What failed.
        rsc: RscIdx,
    },
    /// A lower role has to be reached anew first.
    Restart {
        /// The resource.
        rsc: RscIdx,
    },
    /// A live migration was left half-way.
    Interrupted,
    /// Whether it is active there is not known.
    Unknown,
    /// A configured operation.
    Operation {
        /// Its id.
        id: Str,
    },
    /// A recurring operation is ended.
    Cancelled(&'static str),
    /// Failures are forgotten.
    Forget(&'static str),
    /// A node is told to leave.
    Leaving {
        /// The node.
        node: NodeIdx,
    },
    /// It is active where nobody can be asked.
    Unreachable {
        /// The resource.
        rsc: RscIdx,
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

/// Why everything is as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Causes {
    /// Every step in the arithmetic of scores, in the order in which it was done.
    pub scores: Vec<Contribution>,
    /// Actions that have a reason, in order of creation.
    pub actions: Vec<ActionCause>,
    /// What orderings did to actions, in the order in which they did it.
    pub consequences: Vec<Consequence>,
    /// What every resource begins with on a node, where that is not 0.
    pub nodes: Vec<(NodeIdx, Score, Cause)>,
}

impl Causes {
    /// What was added to a resource's score on a node, in order.
    pub fn of_score(&self, rsc: RscIdx, node: NodeIdx) -> impl Iterator<Item = &Contribution> {
        self.scores
            .iter()
            .filter(move |it| it.rsc == rsc && it.node.is_none_or(|on| on == node))
    }
}

/// Why an action is required, or can't be done.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionCause {
    /// Its number in the graph, and in the plan.
    pub action: ActionId,
    /// Has to be done.
    pub required: bool,
    /// Can be done.
    pub runnable: bool,
    /// Why, as the summary words it.
    pub reason: Option<Str>,
    /// Why, other than through orderings.
    pub causes: Vec<(Effect, Cause)>,
}

/// What happened to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It has to be done.
    Required,
    /// It can't be done.
    Blocked,
}

/// An action, by what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// Its resource, if it has one.
    pub rsc: Option<RscIdx>,
    /// Its node, if it has one.
    pub node: Option<NodeIdx>,
    /// What it does.
    pub task: Str,
    /// Between runs of a recurring one, else 0.
    pub interval_ms: u64,
}

/// One action follows from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// Which action.
    pub action: ActionId,
    /// What happened to it.
    pub effect: Effect,
    /// What it follows from.
    pub by: ActionId,
    /// The constraint through which it follows; none for what nobody wrote.
    pub constraint: Option<Str>,
}

/// Something wrong with the input that the run went on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The object, the trouble and the cure.
    pub text: String,
    /// Whether something was left out because of it.
    pub invalid: bool,
}

/// A line of `--show-scores` or `--show-utilization`, in the order in which the assignment came to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreLine {
    /// What a resource gives a node (spec 2 §20.1).
    Assignment {
        /// The word in front.
        stage: &'static str,
        /// The resource.
        rsc: RscIdx,
        /// The node.
        node: NodeIdx,
        /// The score.
        score: Score,
    },
    /// What decides who is promoted (spec 2 §20.2).
    Promotion {
        /// The instance.
        rsc: RscIdx,
        /// Where it is; inactive without.
        node: Option<NodeIdx>,
        /// The score.
        score: Score,
    },
    /// What an assignment takes from a node (spec 2 §20.4).
    Utilization {
        /// The resource.
        rsc: RscIdx,
        /// The node.
        node: NodeIdx,
    },
    /// What a node has left (spec 2 §20.4).
    Capacity {
        /// `Original` or `Remaining`.
        stage: &'static str,
        /// The node.
        node: NodeIdx,
        /// Amounts by name.
        left: Vec<(Str, i64)>,
    },
}

impl ScoreLine {
    /// Is it one of `--show-scores`? The others are of `--show-utilization`.
    #[must_use]
    pub fn is_score(&self) -> bool {
        matches!(
            self,
            ScoreLine::Assignment { .. } | ScoreLine::Promotion { .. }
        )
    }

    /// The line as printed.
    #[must_use]
    pub fn text(&self, facts: &super::facts::Facts) -> String {
        let id = |rsc: &RscIdx| facts.rscs[*rsc].id.as_str();
        let name = |node: &NodeIdx| facts.nodes[*node].name.as_str();
        match self {
            ScoreLine::Assignment {
                stage,
                rsc,
                node,
                score,
            } => {
                format!(
                    "{stage}: {} allocation score on {}: {score}",
                    id(rsc),
                    name(node)
                )
            }
            ScoreLine::Promotion {
                rsc,
                node: Some(node),
                score,
            } => {
                format!("{} promotion score on {}: {score}", id(rsc), name(node))
            }
            ScoreLine::Promotion {
                rsc,
                node: None,
                score,
            } => format!("{} promotion score (inactive): {score}", id(rsc)),
            ScoreLine::Utilization { rsc, node } => {
                let mut text = format!(
                    "pcmk__assign_resource: {} utilization on {}:",
                    id(rsc),
                    name(node)
                );
                for (what, amount) in facts.rscs[*rsc].utilization.iter() {
                    text.push_str(&format!(" {what}={amount}"));
                }
                text
            }
            ScoreLine::Capacity { stage, node, left } => {
                let mut text = format!("{stage}: {} capacity:", name(node));
                for (what, amount) in left {
                    text.push_str(&format!(" {what}={amount}"));
                }
                text
            }
        }
    }
}
