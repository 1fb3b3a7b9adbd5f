//! The words of the executor. An [`Order`] says everything: agent, parameters, time limit, expected result and
//! who asked. Its answer is an [`Execution`], which the daemon writes to the status section.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Mono;
use crate::graph;
use crate::terms::{AgentName, ExecStatus, NodeName, OcfExit, OpKey, RscId, Term, TransitionKey};

/// What may be asked of the executor. Orders of an older term than the newest one seen are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Run an operation, once or for ever.
    Execute(Order),
    /// End a recurring operation, or drop one that waits.
    Cancel {
        /// Term of who asks.
        term: Term,
        /// The operation.
        op: OpKey,
        /// The action that asks.
        key: TransitionKey,
    },
    /// Account for an operation that the CIB says is under way here: if it is not, that is written.
    Account {
        /// Term of who asks.
        term: Term,
        /// The operation.
        op: OpKey,
        /// The action that had asked for it.
        key: TransitionKey,
    },
    /// Forget everything about a resource and delete its history.
    Forget {
        /// Term of who asks.
        term: Term,
        /// The resource, as the history knows it.
        rsc: RscId,
        /// The action that asks.
        key: TransitionKey,
    },
}

impl Command {
    /// The action that asks.
    pub fn key(&self) -> &TransitionKey {
        match self {
            Self::Execute(order) => &order.key,
            Self::Cancel { key, .. } | Self::Forget { key, .. } | Self::Account { key, .. } => key,
        }
    }
}

/// One operation that is to be run here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Term of the coordinator that gives the order.
    pub term: Term,
    /// The action that asks for it, with the exit status it expects.
    pub key: TransitionKey,
    /// Resource (as its history knows it), task and interval.
    pub op: OpKey,
    /// The agent.
    pub agent: AgentName,
    /// Name of this node, and the feature set of who orders.
    pub node: NodeName,
    /// Feature set of the coordinator.
    pub feature_set: String,
    /// Parameters of the agent, `CRM_meta_*` included, as the graph has them.
    pub params: Vec<(String, String)>,
    /// Who writes the pending entry.
    pub pending: Pending,
    /// Since when the resource is locked to this node, for a stop at shutdown.
    pub shutdown_lock: Option<i64>,
}

/// Without the values of parameters, which may be passwords.
impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("term", &self.term)
            .field("key", &self.key)
            .field("op", &self.op)
            .field("agent", &self.agent)
            .field("pending", &self.pending)
            .field("params", &names(&self.params))
            .finish()
    }
}

/// Who writes that an operation is about to run. It must be on disk at a majority before the agent runs: a
/// coordinator that takes over knows only the CIB, and would else start the resource a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pending {
    /// The coordinator has written it before it sent the order.
    Written,
    /// The executor reports it and waits for [`Event::PendingWritten`]. A stop does not wait: it takes away.
    Report,
    /// Nobody: the operation is not recorded as pending.
    None,
}

impl Order {
    /// The order that an action of a graph stands for; none for actions that no agent carries out.
    pub fn from_action(
        term: Term,
        key: TransitionKey,
        action: &graph::Action,
        pending: Pending,
    ) -> Option<Self> {
        let (rsc, node) = (action.rsc.as_ref()?, action.node.as_ref()?);
        let params = action
            .attributes
            .iter()
            .chain(&action.params)
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        Some(Self {
            term,
            key,
            op: OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms()),
            agent: AgentName::new(&rsc.class, rsc.provider.as_deref(), &rsc.kind),
            node: node.name.clone(),
            feature_set: action
                .attribute("crm_feature_set")
                .unwrap_or_default()
                .to_owned(),
            params,
            pending,
            shutdown_lock: action.shutdown_lock,
        })
    }

    /// A parameter, by its whole name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// A meta entry: `meta("timeout")` is the parameter `CRM_meta_timeout`.
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(have, _)| have.strip_prefix("CRM_meta_") == Some(name))
            .map(|(_, value)| value.as_str())
    }

    fn meta_ms(&self, name: &str) -> Option<u64> {
        self.meta(name).and_then(|text| text.parse().ok())
    }

    /// Time limit of one run.
    pub fn timeout_ms(&self) -> u64 {
        self.meta_ms("timeout")
            .filter(|ms| *ms > 0)
            .unwrap_or(DEFAULT_TIMEOUT_MS)
    }

    /// How long the operation waits before its first run.
    pub fn start_delay_ms(&self) -> u64 {
        self.meta_ms("start_delay").unwrap_or(0)
    }

    /// Whether it is repeated.
    pub fn recurring(&self) -> bool {
        self.op.interval_ms > 0
    }

    /// Whether its result is written to the history. // spec cluster §9.3
    pub fn recordable(&self) -> bool {
        !matches!(
            self.op.task.as_str(),
            "cancel" | "delete" | "notify" | "meta-data"
        )
    }

    /// Whether it changes what runs here, unlike `monitor` and `notify`. // spec cluster §14.1
    pub fn changes_state(&self) -> bool {
        !self.recurring() && !matches!(self.op.task.as_str(), "monitor" | "notify" | "meta-data")
    }
}

/// Time limit of an operation that came without one.
const DEFAULT_TIMEOUT_MS: u64 = 20_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks.
    Command(Box<Command>),
    /// A newer term was seen, by a vote perhaps: older orders are refused from now on.
    TermSeen(Term),
    /// The pending entry of this call is on disk at a majority (or in the overlay of a node that is alone).
    PendingWritten(i64),
    /// The pending entry of this call could not be written: the operation must not run.
    PendingLost(i64),
    /// A run ended.
    Ended(RunId, Outcome),
    /// Metadata was read, or could not be.
    Metadata(AgentName, Option<Arc<Metadata>>),
    /// Until when this node may start something for the cluster.
    Lease(Mono),
    /// The node acts alone from now on, by a document that may be behind what was done here: tell what is known. What the
    /// cluster ordered and has not begun does not begin any more.
    Alone,
    /// This node leaves: nothing is started any more.
    Leaving,
    /// Stop deadline of a node that is alone: kill what runs for these resources and forget recurring operations.
    KillAll,
    /// Whoever asks may not know what was done here: tell it.
    Tell,
    /// Something about a resource is known without being asked: what is repeated for it runs now.
    Look(RscId),
    /// Nothing but time.
    Tick,
}

/// What the shell must do or pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run an agent; its end comes back as [`Event::Ended`].
    Run(RunId, Invocation),
    /// Ask the fencer: start, stop or monitor of a fence device. The end comes back as [`Event::Ended`].
    Device(RunId, DeviceTask),
    /// Connect to a remote node, hang up, or see whether it is there. The end comes back as [`Event::Ended`].
    Link(RunId, Box<Order>),
    /// Kill a run with its group; its end still comes back.
    Kill(RunId),
    /// Read the metadata of an agent; comes back as [`Event::Metadata`].
    ReadMetadata(AgentName),
    /// To be written to the status section, or passed on.
    Report(Box<Report>),
    /// An order was not accepted; only logged, since who gave it is deposed.
    Refused(OpKey, Refusal),
    /// Kill all that agents left behind for a resource.
    KillGroup(RscId),
    /// From now on a resource may run here; this call stops it. The guard has to know before the run that comes
    /// next in the same step begins, for this daemon may not live to see its end.
    MayRun(Invocation),
    /// A resource certainly does not run here.
    Gone(RscId),
}

/// What the daemon makes of a result. Reports are written in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// About to run; answer with [`Event::PendingWritten`] or [`Event::PendingLost`] and the call id.
    Pending(Execution),
    /// A result for the history, and for fail counts when it is not what was expected.
    Result(Execution),
    /// A recurring operation ended for good: its entry is deleted (by operation, call id and key).
    Cancelled {
        /// What was run.
        op: OpKey,
        /// Number of its execution; none when the executor did not know it.
        call_id: Option<i64>,
        /// Who asked for the operation.
        key: Option<TransitionKey>,
        /// The action that asked for the end, which is confirmed with it.
        by: Option<TransitionKey>,
    },
    /// An operation that will not run: an entry that says it is about to is deleted.
    Withdrawn {
        /// The operation.
        op: OpKey,
        /// Who asked for it.
        key: TransitionKey,
    },
    /// The history of a resource is deleted.
    Forgotten {
        /// The resource.
        rsc: RscId,
        /// The action that asked.
        by: TransitionKey,
    },
    /// An order that was taken and will not be carried out. There is nothing to write, so the coordinator is told.
    NotDone {
        /// The action.
        key: TransitionKey,
        /// The operation and why not.
        why: String,
    },
    /// The last words on each resource, for a document that may not have them. // spec cluster §13.5
    Known(Vec<Execution>),
}

/// One execution with all that a history entry holds. // spec cluster §13
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The agent (for `<lrm_resource>`).
    pub agent: AgentName,
    /// Resource, task and interval; `reload` is already written as what it is recorded as.
    pub op: OpKey,
    /// Who asked, and the expected exit status.
    pub key: TransitionKey,
    /// Number of this execution on this node; -1 while pending.
    pub call_id: i64,
    /// The number that [`Event::PendingWritten`] wants.
    pub ticket: i64,
    /// How it went.
    pub status: ExecStatus,
    /// Exit status of the agent.
    pub rc: OcfExit,
    /// Why it failed, in the agent's words; empty when it did not.
    pub exit_reason: String,
    /// Wall clock in seconds: when run; for recurring operations, when the result last changed.
    pub last_rc_change_s: Option<i64>,
    /// How long the agent ran.
    pub exec_ms: Option<u64>,
    /// How long it waited in the queue.
    pub queue_ms: Option<u64>,
    /// Digests of the parameters.
    pub digests: Digests,
    /// Feature set of who asked.
    pub feature_set: String,
    /// Name of this node.
    pub node: NodeName,
    /// `notify_type` and `notify_operation`.
    pub notify: Option<(String, String)>,
    /// Source and target of a migration.
    pub migrate: Option<(String, String)>,
    /// The container resource, for what runs in one.
    pub container: Option<String>,
    /// Value of `shutdown-lock` on `<lrm_resource>`: seconds, or 0 to clear it.
    pub shutdown_lock: Option<i64>,
    /// `on-fail=ignore`: does not count as a failure.
    pub ignore_failure: bool,
}

impl Execution {
    /// Whether the history calls it failed. // spec cluster §13.1
    pub fn failed(&self) -> bool {
        use ExecStatus::*;
        match self.status {
            TimedOut | NotSupported | Error | NotInstalled | NotConnected | Invalid
            | NoFenceDevice | NoSecrets => true,
            Cancelled | Pending => false,
            Done | HardError | FatalError => self.rc.effective().0 != self.key.target_rc,
        }
    }
}

/// Digests of an operation's parameters. // spec cluster §13.3
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// `op-digest`: over all.
    pub all: String,
    /// `op-force-restart` and `op-restart-digest`: over those whose change needs a restart.
    pub restart: Option<(String, String)>,
    /// `op-secure-params` and `op-secure-digest`: over those that are not private.
    pub secure: Option<(String, String)>,
}

/// Number of a run within the life of this executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// One call of an agent.
#[derive(Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The agent.
    pub agent: AgentName,
    /// The resource, as the agent knows it.
    pub rsc: RscId,
    /// The action's name.
    pub task: String,
    /// Its parameters.
    pub params: Vec<(String, String)>,
    /// Time limit.
    pub timeout_ms: u64,
    /// Kill only the process itself when the limit is reached (`on-fail=block`).
    pub kill_process_only: bool,
}

/// Without the values of parameters, which may be passwords.
impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("agent", &self.agent)
            .field("rsc", &self.rsc)
            .field("task", &self.task)
            .field("timeout_ms", &self.timeout_ms)
            .field("params", &names(&self.params))
            .finish()
    }
}

/// What is asked of the fencer for a resource of class `stonith`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceTask {
    /// Id of the device.
    pub device: RscId,
    /// Its agent.
    pub agent: AgentName,
    /// `start`, `stop` or `monitor`.
    pub task: String,
    /// Its parameters.
    pub params: Vec<(String, String)>,
    /// Time limit.
    pub timeout_ms: u64,
}

/// Without the values of parameters, which may be passwords.
impl fmt::Debug for DeviceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceTask")
            .field("device", &self.device)
            .field("agent", &self.agent)
            .field("task", &self.task)
            .field("timeout_ms", &self.timeout_ms)
            .field("params", &names(&self.params))
            .finish()
    }
}

/// How a run ended, in the executor's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it went.
    pub status: ExecStatus,
    /// Exit status.
    pub rc: OcfExit,
    /// Reason, if one was given.
    pub reason: Option<String>,
    /// How long it took.
    pub run_ms: u64,
    /// The run was killed because we asked for it.
    pub killed: bool,
}

impl Outcome {
    /// An agent that ran to its end.
    pub fn done(rc: i32) -> Self {
        Self {
            status: ExecStatus::Done,
            rc: OcfExit(rc),
            reason: None,
            run_ms: 0,
            killed: false,
        }
    }

    /// An end that is not the agent's own.
    pub fn failed(status: ExecStatus, rc: OcfExit, reason: impl Into<String>) -> Self {
        Self {
            status,
            rc,
            reason: Some(reason.into()),
            run_ms: 0,
            killed: false,
        }
    }
}

/// Why an order was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A newer term is known.
    #[error("order of term {got}, but term {newest} is known: its coordinator is deposed")]
    OldTerm {
        /// Of the order.
        got: Term,
        /// The newest one seen.
        newest: Term,
    },
    /// The node leaves the cluster.
    #[error("this node is leaving the cluster and starts nothing any more")]
    Leaving,
    /// Asked for an account of it, the node has none, or has told of its failure.
    #[error("nothing is under way here on that order, and nothing will be")]
    Unknown,
    /// The pending entry could not be written.
    #[error("the operation could not be recorded before it runs, so it does not run")]
    NotRecorded,
    /// A stop that an earlier coordinator had ordered was not yet recorded when this was decided.
    #[error("it was decided without knowing of {0}, which an earlier coordinator had ordered here")]
    Unaware(OpKey),
    /// The node was cut off meanwhile.
    #[error("the node lost touch with the cluster before it could begin")]
    CutOff,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its parameters, in their order.
    pub parameters: Vec<Parameter>,
    /// Names of its actions.
    pub actions: Vec<String>,
}

/// A parameter of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Old word for "a change needs a restart" (and, properly, for "differs between resources").
    pub unique: bool,
    /// A change needs no restart.
    pub reloadable: bool,
    /// Not to be shown.
    pub private: bool,
    /// Must be set.
    pub required: bool,
}

impl Parameter {
    /// An ordinary parameter.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Names of parameters, for messages.
fn names(params: &[(String, String)]) -> Vec<&str> {
    params.iter().map(|(name, _)| name.as_str()).collect()
}
