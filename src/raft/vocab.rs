//! The words of this room. openraft's own types stay behind `types.rs`; nothing here mentions them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cib::{self, Cib, Command, Patch};
use crate::terms::{CrmExit, NodeId, NodeName, Term};
use crate::xml::Element;

/// What a writer sends. Sent again with the same `client` and `seq` it is answered again, not applied again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientWrite {
    /// Who writes: drawn once per process of a client.
    pub client: Uuid,
    /// Counts the writes of this client, from 1.
    pub seq: u64,
    /// What is written.
    pub body: Body,
}

impl ClientWrite {
    /// A write to the CIB.
    pub fn cib(client: Uuid, seq: u64, command: Command) -> Self {
        let body = Body::Cib(Box::new(command));
        Self { client, seq, body }
    }

    /// A change of the cluster itself.
    pub fn cluster(client: Uuid, seq: u64, change: ClusterChange) -> Self {
        let body = Body::Cluster(change);
        Self { client, seq, body }
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A change of the CIB.
    Cib(Box<Command>),
    /// A change of the cluster itself.
    Cluster(ClusterChange),
}

/// A change of what stands beside the CIB. Raft's own membership follows `members`, not the other way round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClusterChange {
    /// The first write of a new cluster.
    Found {
        /// The cluster's name, for people.
        name: String,
        /// The cluster's identity, for certificates and data directories.
        uuid: Uuid,
        /// The node that founds it.
        member: Member,
        /// Seconds since 1970 there.
        now_s: i64,
    },
    /// A join token was handed out.
    AddToken(TokenRecord),
    /// A token is withdrawn before its use.
    DropToken {
        /// As in its record.
        hash: String,
    },
    /// A node shows a token and becomes a member. The answer carries its node id.
    Join {
        /// Hash of the secret that it showed.
        hash: String,
        /// Wall-clock seconds at the node that serves it, compared with the token's expiry.
        now_s: i64,
        /// The node's name.
        name: NodeName,
        /// Where it listens.
        addresses: Vec<SocketAddr>,
        /// SHA-256 of its public key: a repeated request with the same key gets the same answer.
        key: String,
    },
    /// A machine shows a token that was made for a remote node. It becomes no member and gets no id.
    Enrol {
        /// Hash of the secret that it showed.
        hash: String,
        /// Wall-clock seconds at the node that serves it.
        now_s: i64,
        /// SHA-256 of its public key: a repeated request with the same key gets the same answer.
        key: String,
    },
    /// A member is taken out. Its id is never used again.
    Remove {
        /// Which one.
        id: NodeId,
        /// Seconds since 1970 at the node that asks.
        now_s: i64,
    },
    /// A member gets another role.
    SetRole {
        /// Which one.
        id: NodeId,
        /// Its new role.
        role: MemberRole,
    },
    /// Two voters without a witness: a node that has fenced its peer goes on alone, or no more.
    TwoNode {
        /// Whether it is on.
        on: bool,
    },
    /// A member listens elsewhere.
    SetAddresses {
        /// Which one.
        id: NodeId,
        /// Where it listens, the preferred one first.
        addresses: Vec<SocketAddr>,
    },
    /// Keys, certificates, authorities.
    Keys(super::credentials::KeyChange),
    /// A change of the CIB that is taken back unless it is confirmed in time.
    Try {
        /// The change.
        command: Box<Command>,
        /// Seconds from the time of the command.
        within_s: u64,
    },
    /// A trial ends.
    EndTrial {
        /// Which: the number of its change in the history.
        number: u64,
        /// The change stays, or is taken back.
        keep: bool,
        /// Who ends it, and why.
        origin: cib::Origin,
        /// Seconds since 1970 there.
        now_s: i64,
    },
}

/// What became of a write. The same on every node, because it is computed when the write is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Place in the log.
    pub index: u64,
    /// Done or refused.
    pub outcome: Outcome,
}

/// Done or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Applied, with the answer of a CIB command, where it has one.
    Done(Option<Element>),
    /// A member was added.
    Joined {
        /// Its id.
        id: NodeId,
    },
    /// The CIB refused it, nothing changed.
    Failed(cib::Error),
    /// The cluster refused it, nothing changed.
    Refused {
        /// What a tool ends with.
        exit: CrmExit,
        /// What was wrong with which object, and the cure.
        message: String,
    },
}

impl Outcome {
    /// What a tool ends with.
    pub fn exit(&self) -> CrmExit {
        match self {
            Self::Done(_) | Self::Joined { .. } => CrmExit::OK,
            Self::Failed(error) => error.exit(),
            Self::Refused { exit, .. } => *exit,
        }
    }

    /// The reason, if it was refused.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Done(_) | Self::Joined { .. } => None,
            Self::Failed(error) => Some(error.to_string()),
            Self::Refused { message, .. } => Some(message.clone()),
        }
    }
}

/// What a member does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Votes, keeps the log, runs resources.
    Voter,
    /// Keeps the log and runs resources, but does not vote.
    Learner,
    /// Votes and keeps the log, never runs resources.
    Witness,
}

impl MemberRole {
    /// Does it count for the majority?
    pub fn votes(self) -> bool {
        self != Self::Learner
    }

    /// May resources run there?
    pub fn runs_resources(self) -> bool {
        self != Self::Witness
    }
}

impl std::fmt::Display for MemberRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Witness => "witness",
        })
    }
}

impl std::str::FromStr for MemberRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "voter" => Ok(Self::Voter),
            "learner" => Ok(Self::Learner),
            "witness" => Ok(Self::Witness),
            _ => Err(format!(
                "`{text}` is not a role of a member: use voter, learner or witness"
            )),
        }
    }
}

/// A machine that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id: small, never used again.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where it listens for peers, the preferred one first.
    pub addresses: Vec<SocketAddr>,
    /// What it does.
    pub role: MemberRole,
    /// SHA-256 of the public key with which it joined.
    pub key: String,
}

/// A token that was handed out and not yet used. The secret itself is known only to the one who carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// SHA-256 of the secret.
    pub hash: String,
    /// Seconds since 1970 after which it is worthless.
    pub expires_s: i64,
    /// What the node that uses it will do.
    pub role: MemberRole,
    /// Who used it, once it was used: its key, and the id it got.
    #[serde(default)]
    pub used: Option<(String, NodeId)>,
    /// It is for the remote node of this name, and makes no member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<NodeName>,
}

/// One applied write, as subscribers see it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Place in the log.
    pub index: u64,
    /// The CIB before.
    pub before: Cib,
    /// The CIB after.
    pub after: Cib,
    /// What the command changed; none when it changed nothing, was refused, or the whole state was replaced by a snapshot.
    pub patch: Option<Arc<Patch>>,
    /// The write; none when the whole state was replaced by a snapshot.
    pub write: Option<Arc<ClientWrite>>,
    /// Its outcome.
    pub outcome: Option<Outcome>,
    /// Members were added, removed or changed.
    pub members_changed: bool,
}

impl Change {
    /// The whole state was replaced: whatever was derived from earlier changes must be derived again.
    pub fn is_reset(&self) -> bool {
        self.write.is_none()
    }
}

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// The newest term known here.
    pub term: Term,
    /// The leader of that term, once known.
    pub leader: Option<NodeId>,
    /// This node leads, and a majority has confirmed it in this term since the daemon started.
    pub mine: bool,
}

/// How long is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The leader lets itself be heard this often.
    pub heartbeat_ms: u64,
    /// Voters that heard a leader within this time elect no other one.
    pub lease_ms: u64,
    /// A voter that heard nothing for so long asks the others whether they agree to an election.
    pub election_ms: u64,
    /// Each further voter (by id) waits this much longer, so that they do not all ask at once.
    pub stagger_ms: u64,
    /// A write without an answer after this time is answered with "unknown".
    pub write_deadline_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_ms: 150,
            lease_ms: 300,
            election_ms: 360,
            stagger_ms: 50,
            write_deadline_ms: 20_000,
        }
    }
}

impl Timing {
    /// All times multiplied, for slow networks.
    pub fn scaled(factor: u64) -> Self {
        let normal = Self::default();
        Self {
            heartbeat_ms: normal.heartbeat_ms * factor,
            lease_ms: normal.lease_ms * factor,
            election_ms: normal.election_ms * factor,
            stagger_ms: normal.stagger_ms * factor,
            write_deadline_ms: normal.write_deadline_ms,
        }
    }
}

/// Why this room could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("no leader within {0} ms: a majority of the voters must be up and connected")]
    NoLeader(u64),
    /// It may have been written, or may still be.
    #[error("no answer within {0} ms: whether the write takes effect is unknown")]
    Unknown(u64),
    /// Nothing was written.
    #[error("the write has {0} bytes, more than the {1} that are accepted")]
    TooLarge(usize, usize),
    /// Not on this node's disk.
    #[error("this node has not joined a cluster: run `systole init` or `systole join TOKEN`")]
    NotJoined,
    /// The data directory belongs to somebody else.
    #[error("{path} belongs to {found}, but this node is {wanted}; {cure}")]
    Foreign {
        /// Which file.
        path: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
        /// What to do.
        cure: String,
    },
    /// Bytes on disk are not those that were written.
    #[error(
        "{path}: {record} is damaged ({detail}); remove this node from the cluster, \
         delete its data directory and join again"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// Which record in it.
        record: String,
        /// How it was noticed.
        detail: String,
    },
    /// The disk does not do what it should.
    #[error("failed to {action} {path}: {detail}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// Raft stopped after an error that it cannot survive.
    #[error("raft has stopped on this node: {0}")]
    Stopped(String),
    /// A change of members that cannot be done.
    #[error("{0}")]
    Refused(String),
}

/// How bytes get to the raft room of another node. Made by `rpc`, or by a test.
#[async_trait::async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Delivers a message of raft itself and returns the answer of [`super::Raft::receive`] over there.
    async fn raft(&self, to: NodeId, message: Vec<u8>) -> Result<Vec<u8>, TransportError>;

    /// Tells the transport where members can be found; called after each change.
    fn members(&self, members: &BTreeMap<NodeId, Member>);
}

/// Why a message did not get through.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// Certainly not delivered.
    #[error("node {to} cannot be reached: {why}")]
    Unreachable {
        /// Whom.
        to: NodeId,
        /// Why.
        why: String,
    },
    /// Perhaps delivered.
    #[error("connection to node {to} was lost: {why}")]
    Lost {
        /// Whom.
        to: NodeId,
        /// Why.
        why: String,
    },
}
