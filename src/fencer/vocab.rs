//! The words of the fencer. Fencers of all nodes talk to each other: the one that got a [`Request`] owns the
//! operation, asks the others what they can do ([`Message::Query`]), and has one of them do it
//! ([`Message::Run`]). Everything ends in one [`Notice`] that all of them keep.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::terms::{NodeName, RscId, Term};

use super::asked::{Question, Reply, Ticket};

/// What may be asked of the fencer of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Fence (or unfence) a node. The answer is [`Effect::Done`] with the same request.
    Fence(Request),
    /// A person vouches for the node being dead.
    Confirm {
        /// The node.
        target: NodeName,
        /// Who says so.
        client: String,
    },
    /// Start, stop or monitor of a device by the executor of this node. Answer: [`Effect::DeviceDone`].
    Device(DeviceCall),
}

/// A node is to be fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Term of who orders it; older ones are refused. None when an operator asks.
    pub term: Option<Term>,
    /// The node.
    pub target: NodeName,
    /// What is to be done to it.
    pub action: Action,
    /// Time for one device.
    pub timeout_ms: u64,
    /// Delay before the first device.
    pub delay: Delay,
    /// Who asks: the coordinator, or a person with a tool.
    pub client: String,
    /// The node may be fenced by itself if nobody else is there.
    pub allow_self: bool,
    /// Given back with the result: the transition key, for the coordinator.
    pub tag: String,
    /// Nothing is done when the same was done to the node less than this ago; 0 does it in any case.
    #[serde(default)]
    pub tolerance_ms: u64,
}

/// `priority-fencing-delay` as the request brings it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delay {
    /// No delay but that of the device.
    #[default]
    None,
    /// Added to the delay of the device.
    Add(u64),
    /// No delay at all, not even that of the device (-1).
    Disabled,
}

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Power off.
    Off,
    /// Power off and on.
    Reboot,
    /// Power on, or let it back in: unfencing.
    On,
}

impl Action {
    /// The word for agents and displays.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Off => "off",
            Action::Reboot => "reboot",
            Action::On => "on",
        }
    }

    /// From a word; `poweroff` is an old one.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "off" | "poweroff" => Some(Action::Off),
            "reboot" => Some(Action::Reboot),
            "on" => Some(Action::On),
            _ => None,
        }
    }

    /// Whether the node is dead afterwards, or was.
    pub fn kills(self) -> bool {
        self != Action::On
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Identity of an operation: the node that owns it, an incarnation of its fencer, a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId {
    /// The owner.
    pub owner: NodeName,
    /// Differs for every start of the owner's daemon.
    pub incarnation: u64,
    /// Counts.
    pub number: u64,
}

impl std::fmt::Display for OpId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:x}.{}", self.owner, self.incarnation, self.number)
    }
}

/// Number of a question from one fencer to another, within an owner's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AskId(pub u64);

/// A life of a fencer, as far as what it offers is concerned: the next one begins with its daemon, and when its node loses
/// its run lease. Who asks it to run a device says which life offered that; another one does nothing, however late it is
/// asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life(pub u64);

impl Life {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What fencers send each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What can you do?
    Query(Query),
    /// Do it.
    Run(PeerRun),
    /// Answer to either.
    Answer(AskId, Answer),
    /// An operation began, or ended.
    Notice(Notice),
    /// All that a fencer knows, for one that came (back).
    History(Vec<Record>),
    /// Tell me all that you know.
    Want,
    /// Forget the history of a node, or of all.
    Cleanup(Option<NodeName>),
}

/// Which of your devices can do this?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Number of the question.
    pub ask: AskId,
    /// Term of the operation.
    pub term: Option<Term>,
    /// The node that is to be fenced.
    pub target: NodeName,
    /// How.
    pub action: Action,
    /// Requested time.
    pub timeout_ms: u64,
}

/// Run a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRun {
    /// Number of the question.
    pub ask: AskId,
    /// Term of the operation; a fencer that knows a newer one refuses.
    pub term: Option<Term>,
    /// The life of the fencer that is asked, in which it offered this.
    pub life: Life,
    /// The operation.
    pub op: OpId,
    /// The device.
    pub device: RscId,
    /// The node that is to be fenced.
    pub target: NodeName,
    /// What the device does.
    pub action: Action,
    /// Requested time.
    pub timeout_ms: u64,
    /// Requested delay.
    pub delay: Delay,
}

/// Answers between fencers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Devices that can do it, in this life of the fencer.
    Capable(Life, Vec<Capability>),
    /// The device did it, or why not.
    Ran(Result<(), Failure>),
    /// The question came from a deposed leader.
    OldTerm(Term),
}

/// One device of a peer that can fence the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The device.
    pub device: RscId,
    /// It worked on that node since it was registered.
    pub verified: bool,
    /// Longest time it may take for each action, retries included (`pcmk_*_timeout`).
    pub timeout_ms: BTreeMap<Action, u64>,
    /// Longest delay before it for each action.
    pub delay_ms: BTreeMap<Action, u64>,
    /// The node must be let in by this device before it may run resources.
    pub unfences: bool,
    /// It can do `on`.
    pub supports_on: bool,
    /// `on` is run by the target itself.
    pub on_target: bool,
    /// It does a reboot by `off` alone (`pcmk_reboot_action=off`).
    pub reboot_is_off: bool,
}

/// Why fencing failed. A timeout is *unknown*: never success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// No device for the target, anywhere.
    #[error("no fence device can fence '{0}': configure one whose pcmk_host_list names it")]
    NoDevice(NodeName),
    /// Time ran out; nobody knows whether the node is dead.
    #[error("{0}")]
    TimedOut(String),
    /// An agent said no.
    #[error("{0}")]
    Failed(String),
    /// An agent could not be run.
    #[error("{0}")]
    CannotRun(String),
    /// The fencer that was asked did not answer.
    #[error("fencer of {0} is not reachable")]
    Unreachable(NodeName),
    /// Ordered by a deposed leader.
    #[error("order of term {got}, but term {newest} is known")]
    OldTerm {
        /// Of the order.
        got: Term,
        /// The newest one seen.
        newest: Term,
    },
    /// A secret that the device needs is missing.
    #[error("parameter '{0}' refers to a secret which is not on this node")]
    NoSecret(String),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Who did it: a node, or `a human`.
    pub delegate: Option<String>,
    /// Whether it did.
    pub result: Result<(), Failure>,
}

/// What all fencers are told about an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The operation as the history keeps it.
    pub record: Record,
}

/// One entry of the history. // spec cluster §16.11
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The operation.
    pub op: OpId,
    /// The node.
    pub target: NodeName,
    /// What was asked for.
    pub action: Action,
    /// Node whose fencer owns it.
    pub origin: NodeName,
    /// Who asked.
    pub client: String,
    /// Who did it.
    pub delegate: Option<String>,
    /// When it ended: milliseconds since 1970.
    pub completed_ms: Option<i64>,
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub reason: Option<String>,
}

/// State of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Peers are being asked.
    Querying,
    /// A device works.
    Executing,
    /// The node is fenced.
    Done,
    /// It is not, or nobody knows.
    Failed,
}

impl State {
    /// The word that tools show.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Querying | State::Executing => "pending",
            State::Done => "success",
            State::Failed => "failed",
        }
    }
}

/// A configured fence device, with parameters as evaluated for this node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Resource id without an instance number.
    pub id: RscId,
    /// `fence_ipmilan`, ...
    pub agent: String,
    /// Parameters, `pcmk_*` included.
    pub params: BTreeMap<String, String>,
    /// Meta-attribute `provides=unfencing` (old).
    pub provides_unfencing: bool,
}

/// Without the values of parameters, which may be passwords.
impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("id", &self.id)
            .field("agent", &self.agent)
            .field("params", &self.params.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What an agent's metadata says it can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Names of its actions.
    pub actions: BTreeSet<String>,
    /// Has parameter `plug`.
    pub plug: bool,
    /// Has parameter `port`.
    pub port: bool,
    /// `on` is automatic or required: it unfences.
    pub unfences: bool,
    /// Actions that the target runs itself.
    pub on_target: BTreeSet<String>,
}

/// One `fencing-level`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Whose level it is.
    pub target: LevelTarget,
    /// 1 to 9, in this order.
    pub index: u32,
    /// All of these, in this order.
    pub devices: Vec<RscId>,
}

/// Which nodes a level is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LevelTarget {
    /// This node.
    Node(String),
    /// Nodes whose name matches an extended regular expression.
    Pattern(String),
    /// Nodes with this permanent attribute.
    Attribute(String, String),
}

/// Start, stop or monitor of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCall {
    /// Given back with the answer.
    pub call: u64,
    /// The device.
    pub device: Device,
    /// What is asked.
    pub verb: DeviceVerb,
    /// Time limit.
    pub timeout_ms: u64,
}

/// What is asked of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceVerb {
    /// Register, then monitor.
    Start,
    /// Unregister.
    Stop,
    /// Ask the device whether it works.
    Monitor,
    /// Is it started here?
    Probe,
}

/// Number of an agent run within the life of this fencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// One call of a fence agent.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentRun {
    /// `fence_ipmilan`, ...
    pub agent: String,
    /// The device, for messages.
    pub device: RscId,
    /// The word that goes to the agent.
    pub action: String,
    /// `NAME=VALUE` lines.
    pub input: Vec<(String, String)>,
    /// Time limit.
    pub timeout_ms: u64,
}

/// Values may be passwords.
impl std::fmt::Debug for AgentRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.input.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("AgentRun")
            .field("agent", &self.agent)
            .field("device", &self.device)
            .field("action", &self.action)
            .field("names", &names)
            .field("timeout_ms", &self.timeout_ms)
            .finish()
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks.
    Command(Box<Command>),
    /// A tool asks; answered by [`Effect::Reply`].
    Asked(Ticket, Question),
    /// Devices and levels of the configuration changed.
    Configured {
        /// Devices that this node may use.
        devices: Vec<Device>,
        /// Topology.
        levels: Vec<Level>,
        /// Permanent attributes of nodes, for levels that want one.
        node_attributes: BTreeMap<NodeName, BTreeMap<String, String>>,
        /// Nodes that their watchdog has reset so many milliseconds after they fell silent.
        watchdogs: BTreeMap<NodeName, u64>,
    },
    /// Fencers that can be reached now, this one included.
    Peers(BTreeSet<NodeName>),
    /// A newer term was seen.
    TermSeen(Term),
    /// This node holds no run lease any more: what it has offered is void.
    LeaseLost,
    /// A fencer says something.
    Message(NodeName, Message),
    /// What was sent to a fencer did not arrive.
    Unreachable(NodeName),
    /// An agent ended: exit status, standard output, reason when it failed.
    Ended {
        /// The run.
        run: RunId,
        /// Exit status, or why there is none.
        result: Result<i32, Failure>,
        /// Standard output.
        output: String,
    },
    /// Metadata was read, or could not be.
    Features(String, Option<Features>),
    /// Nothing but time.
    Tick,
}

/// What the shell must do or pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run a fence agent; its end comes back as [`Event::Ended`].
    Run(RunId, AgentRun),
    /// Read the metadata of an agent.
    ReadFeatures(String),
    /// Tell another fencer.
    Send(NodeName, Message),
    /// An operation that was asked for here has ended. For the coordinator, and for the status section.
    Done(Request, OpId, Outcome),
    /// An operation of anybody ended: for alerts and status displays.
    Ended(Record),
    /// A device call ended: exit status and reason as the executor wants them.
    DeviceDone {
        /// The call.
        call: u64,
        /// 0, 1, 5 or 7, or why there is none.
        result: Result<i32, Failure>,
    },
    /// Tell the tool.
    Reply(Ticket, Reply),
    /// The history changed.
    Changed,
    /// This node was told to fence itself.
    Panic(String),
}
