//! What nodes and tools ask, and what they are told.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::authorise::{Denied, Grant, authorise};
use crate::cib::{Cib, Command};
use crate::raft::{Answer, HistoryEntry, Member, MemberRole, Trial};
use crate::terms::{CrmExit, NodeId, NodeName, Term, TransitionKey};
use crate::{executor, fencer};

/// What one daemon asks another. Raft's own messages and joins do not come this way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// An order for the executor over there. Taken or refused; its result goes to the CIB.
    Execute {
        /// The life of the node that it is for, as presence knows it.
        life: u64,
        /// The order.
        command: executor::Command,
        /// The remote node for which it is; the node over there holds the connection to it.
        #[serde(default)]
        remote: Option<NodeName>,
    },
    /// For the coordinator: an action of its graph will not be carried out, and nothing will be written of it.
    NotDone {
        /// The action.
        key: TransitionKey,
        /// Who says so, and why.
        why: String,
    },
    /// Fencers among themselves.
    Fencer(fencer::Message),
    /// Have a node fenced by the fencer over there; answered when it is over.
    Fence(fencer::Request),
    /// Hand over leadership to this node, or to anyone.
    StepDown(Option<NodeId>),
    /// Stop the daemon over there; its resources have been moved away.
    Shutdown {
        /// Term of who orders it.
        term: Term,
    },
    /// A tool's request that only the node over there can answer. Already authorised.
    Admin(Box<AdminRequest>, Caller, Grant),
    /// Anything else, by name.
    Call(String, serde_json::Value),
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PeerAnswer {
    /// Taken.
    Done,
    /// The answer for the tool.
    Admin(AdminAnswer),
    /// Whatever was asked by name.
    Json(serde_json::Value),
    /// Not taken, and why.
    Refused(String),
}

/// What a tool asks the daemon of its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AdminRequest {
    /// A query of the CIB.
    Query {
        /// Answer from this node's copy, which may be old, instead of asking a majority.
        local: bool,
        /// The query.
        command: Box<Command>,
    },
    /// A change of the CIB. The daemon fills in the user.
    Write {
        /// Drawn by the tool, so that a repeated request is applied once.
        client: Uuid,
        /// Counts the tool's writes.
        seq: u64,
        /// The change.
        command: Box<Command>,
    },
    /// A change of the CIB that is taken back unless it is confirmed in time.
    Try {
        /// As for a write.
        client: Uuid,
        /// As for a write.
        seq: u64,
        /// The change.
        command: Box<Command>,
        /// Seconds from now.
        within_s: u64,
    },
    /// The change on trial stays, or is taken back at once.
    EndTrial {
        /// It stays.
        keep: bool,
        /// What the user says about it.
        comment: String,
    },
    /// Name, members, leader, quorum.
    Status,
    /// Changes of the CIB, as they come (only as a stream).
    Subscribe,
    /// A new join token.
    Token {
        /// What the node that uses it will do.
        role: MemberRole,
        /// For how long it can be used.
        valid_s: u64,
        /// It is for the remote node of this name, and makes no member.
        #[serde(default)]
        remote: Option<NodeName>,
    },
    /// Take a node out of the cluster, by name or id.
    Remove {
        /// Which one.
        node: String,
    },
    /// Give a node another role.
    SetRole {
        /// Which one.
        node: String,
        /// Which role.
        role: MemberRole,
    },
    /// Let a node listen at other addresses.
    SetAddresses {
        /// Which one.
        node: String,
        /// ADDRESS[:PORT], the preferred one first.
        addresses: Vec<String>,
        /// Also when the node can't be asked whether it has them.
        force: bool,
    },
    /// Give nodes new keys and certificates.
    Rotate {
        /// This one; the one that is asked if none.
        node: Option<String>,
        /// All of them.
        all: bool,
        /// The authority that signs them, and with it all of them.
        authority: bool,
    },
    /// Two voters without a witness: switch the mode on or off.
    TwoNode {
        /// On.
        on: bool,
    },
    /// Stop this daemon: resources are moved away first.
    Shutdown,
    /// Why is it as it is? Asked of the coordinator.
    Explain {
        /// The resource (or node).
        object: String,
        /// Further words.
        args: Vec<String>,
    },
    /// Forget failures (`cleanup`) or the whole history (`refresh`) of a resource.
    Cleanup {
        /// The resource; all if none.
        rsc: Option<String>,
        /// The node; all if none.
        node: Option<String>,
        /// Everything that is known about it, not only failures.
        refresh: bool,
    },
    /// Fence a node.
    Fence {
        /// Which one.
        node: String,
        /// How.
        action: fencer::Action,
        /// Time for one device.
        timeout_ms: u64,
    },
    /// A person vouches for a node being dead.
    Confirm {
        /// Which one.
        node: String,
    },
    /// Hand over leadership.
    StepDown {
        /// To this node; to anyone if none.
        node: Option<String>,
    },
    /// The newest changes of the configuration, newest last.
    Log {
        /// At most so many.
        last: usize,
    },
    /// One change of the configuration.
    Show {
        /// Its number.
        number: u64,
    },
    /// The newest changes about these objects of the configuration.
    About {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Anything else, by name.
    Call(String, serde_json::Value),
}

/// The daemon's answer to a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AdminAnswer {
    /// Done, nothing to say.
    Done,
    /// Lines for a person.
    Text(String),
    /// An XML element.
    Xml(String),
    /// What became of a write.
    Written(Answer),
    /// The cluster.
    Status(Box<ClusterStatus>),
    /// Changes of the configuration.
    History(Vec<HistoryEntry>),
    /// Whatever was asked by name.
    Json(serde_json::Value),
    /// Refused or failed; nothing changed unless the message says so.
    Failed {
        /// Exit code of the tool.
        exit: CrmExit,
        /// What is wrong with which object, and the cure.
        message: String,
    },
}

impl AdminAnswer {
    /// A failure.
    pub fn failed(exit: CrmExit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Failed { exit, message }
    }
}

/// The cluster as one node sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uuid: Option<Uuid>,
    /// The node that answers.
    pub me: NodeId,
    /// The remote node on which the question was asked, if it was asked on one.
    #[serde(default)]
    pub remote: Option<NodeName>,
    /// Raft's term.
    pub term: Term,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Does the node that answers belong to a majority?
    pub quorate: bool,
    /// Newest entry that it has applied.
    pub index: u64,
    /// Everyone.
    pub members: Vec<Member>,
    /// How each other node can be reached from here: address in use, or none.
    pub paths: Vec<(NodeId, Option<SocketAddr>)>,
    /// Every path from here to every other node.
    #[serde(default)]
    pub links: Vec<PathStatus>,
    /// Which certificate each member shows.
    #[serde(default)]
    pub certificates: Vec<CertificateNote>,
    /// How many authorities are trusted; more than one while one is replaced.
    #[serde(default)]
    pub authorities: usize,
    /// A change that waits to be confirmed.
    #[serde(default)]
    pub trial: Option<TrialNote>,
    /// What the daemon wants to add.
    pub more: serde_json::Value,
}

/// A member's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateNote {
    /// Whose it is.
    pub node: NodeId,
    /// Which of its certificates it is; the ones before are refused.
    pub generation: u64,
    /// Until when it is good, in seconds since 1970.
    pub until_s: i64,
    /// It is signed by an authority that is being replaced.
    pub outdated: bool,
}

/// One path from the node that answers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStatus {
    /// The other node.
    pub node: NodeId,
    /// From where, once a connection was made.
    pub local: Option<SocketAddr>,
    /// To where.
    pub remote: SocketAddr,
    /// Does it answer?
    pub state: PathState,
    /// What is said to that node goes this way at present.
    pub used: bool,
    /// For how long it has been up or down, in milliseconds.
    pub for_ms: u64,
    /// How long a question and its answer take, in microseconds.
    pub round_trip_us: Option<u64>,
    /// What is wrong with it; none while it is up.
    pub error: Option<String>,
}

/// Whether a path answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathState {
    /// Not tried yet.
    Unknown,
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// A change that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialNote {
    /// Its number in the history.
    pub number: u64,
    /// Seconds since 1970 when it was made.
    pub since_s: i64,
    /// Seconds since 1970 when it is taken back.
    pub until_s: i64,
    /// Who made it.
    pub user: String,
    /// On which node.
    pub node: String,
    /// What was said about it.
    pub comment: String,
}

impl TrialNote {
    /// What people need to know of it.
    pub fn of(trial: &Trial) -> Self {
        Self {
            number: trial.number,
            since_s: trial.since_s,
            until_s: trial.until_s,
            user: trial.user.clone(),
            node: trial.node.clone(),
            comment: trial.comment.clone(),
        }
    }
}

/// One change, for tools that subscribe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeNotice {
    /// Place in the log.
    pub index: u64,
    /// Version of the CIB after it.
    pub version: String,
    /// The patch; none when the whole CIB must be read again.
    pub patch: Option<String>,
}

/// Who is at the other end of the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id, as the kernel knows it.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The user's groups, by name.
    pub groups: Vec<String>,
    /// Root, or in the admin group.
    pub admin: bool,
}

/// The daemon, as other daemons see it.
#[async_trait::async_trait]
pub trait PeerService: Send + Sync + 'static {
    /// A request of the node to which the certificate at the other end belongs.
    async fn peer(&self, from: NodeId, request: PeerRequest) -> PeerAnswer;
}

/// The daemon, as tools see it. `grant` says what [`super::authorise`] allowed: with [`Grant::Acl`] the
/// CIB's ACLs for this user apply to what is read and written.
#[async_trait::async_trait]
pub trait AdminService: Send + Sync + 'static {
    /// The newest CIB here, for the ACLs in it.
    fn cib(&self) -> Cib;

    /// What a caller may ask; by the ACLs in the newest CIB here.
    ///
    /// # Errors
    /// Names the user and what would help.
    fn grant(
        &self,
        caller: &Caller,
        admin_group: &str,
        request: &AdminRequest,
    ) -> Result<Grant, Denied> {
        authorise(caller, admin_group, request, &self.cib())
    }

    /// One request.
    async fn admin(&self, caller: Caller, grant: Grant, request: AdminRequest) -> AdminAnswer;

    /// Changes from now on. The stream ends when the tool is too slow.
    async fn subscribe(&self, caller: Caller, grant: Grant) -> mpsc::Receiver<ChangeNotice>;
}
