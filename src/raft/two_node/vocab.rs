//! The words of the two-node machine.

use serde::{Deserialize, Serialize};

use crate::seeded::{Bug, seeded};
use crate::terms::NodeId;

/// Place of an entry in the log. Of two that say who votes, the greater one is the newer one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Place {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// Who votes, as the newest such entry in this node's log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Seat {
    /// Something else than two voters: raft's own rules are enough.
    Other,
    /// This node and its peer.
    Both,
    /// This node alone.
    Sole,
    /// The peer alone.
    Outside,
}

/// What a node says of itself when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Says {
    /// Nothing that matters here.
    Other,
    /// Both vote.
    Both,
    /// I vote alone.
    Sole,
    /// You vote alone.
    Outside,
    /// Your death is proven, and I am about to go on alone.
    Deciding,
    /// I end, nothing runs here any more, and I do nothing before I have met you again.
    Leaving,
}

/// One node to the other, as question and as answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Drawn by the daemon when it started.
    pub(crate) life: u64,
    /// Where it stands.
    pub(crate) says: Says,
    /// The entry of its log that says who votes.
    pub(crate) place: Place,
    /// The newest term it knows.
    pub(crate) term: u64,
}

impl Hello {
    /// What a node says while the entry that seats it is not on its disk: a crash could take it back, and a peer that counts
    /// on it would fence a node that comes back as the sole voter which it was before.
    pub(crate) fn unwritten(self) -> Self {
        match self.says {
            Says::Both if !seeded(Bug::TwoNodeWordBeforeDisk) => Self {
                says: Says::Other,
                ..self
            },
            _ => self,
        }
    }
}

/// How it is known that the peer is dead, or out of the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Proof {
    /// A fence device did it.
    Device(String),
    /// A person says so.
    Human(String),
    /// It said itself that it leaves.
    Left,
}

impl Proof {
    /// Who did it, or whose word it is.
    pub(crate) fn by(&self) -> &str {
        match self {
            Self::Device(by) => by,
            Self::Human(_) => "a human",
            Self::Left => "its own word",
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(by) => write!(f, "fenced by {by}"),
            Self::Human(who) => write!(f, "confirmed by {who}"),
            Self::Left => f.write_str("it left"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The log says who votes; told at the start and after each change.
    Seated(Seat, Place),
    /// The peer answered a question of this life.
    Answered(Hello),
    /// The peer asked.
    Asked(Hello),
    /// The peer has not answered for too long.
    Silent,
    /// A fencing that was ordered here has ended.
    Fenced {
        /// Which.
        number: u64,
        /// Who did it, or why nobody knows whether it is done.
        result: Result<Proof, String>,
    },
    /// A person says that the peer is off, and that it did not go on alone.
    Confirmed(String),
    /// The proof is on disk.
    ProofWritten,
    /// This node is told to end; nothing runs here any more.
    Leave,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Have the peer fenced; the end comes back as [`Event::Fenced`] with this number.
    Fence(u64),
    /// Write the proof to disk; [`Event::ProofWritten`] follows.
    WriteProof(Proof),
    /// Make this node the sole voter, in a term that nobody has seen, in one write to disk; then restart
    /// raft on it. [`Event::Seated`] follows.
    GoOnAlone,
    /// For the log.
    Say(String),
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not in this mode: raft's own rules are enough.
    Off,
    /// It has not met its peer since it started: it takes no part in anything.
    Waiting,
    /// It follows the peer, which has the newer log: no right to fence.
    Following,
    /// It has met its peer, and may fence it.
    Together,
    /// The peer is silent and is being fenced. Nothing that the peer says counts until that has ended.
    Fencing,
    /// The peer is dead, which is being written down.
    Deciding,
    /// The sole voter.
    Alone,
    /// The peer went on alone later than this node did: what this node has is not the cluster's any more.
    Superseded,
    /// It leaves.
    Leaving,
}

/// What status shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Where this node stands.
    pub phase: Phase,
    /// The other one.
    pub peer: NodeId,
    /// For how long the peer has not answered, in milliseconds.
    pub silent_ms: u64,
    /// Why the last attempt at fencing failed.
    pub failure: Option<String>,
    /// How the peer's death was proven, since this daemon started.
    pub proof: Option<String>,
}

impl Picture {
    /// The same in words, with what to do; `peer` is its name.
    pub fn text(&self, peer: &str) -> String {
        let type_here = format!("`crm cluster confirm-off {peer}`");
        match self.phase {
            Phase::Off => "off".into(),
            Phase::Waiting => format!(
                "waits: since it started it has not met {peer}, which may have gone on alone; start {peer}, or, if \
                 {peer} is off and did not run without this node, type {type_here} here"
            ),
            Phase::Following => {
                format!("follows {peer}, whose log is newer; votes again when it has caught up")
            }
            Phase::Together => match &self.failure {
                None => {
                    format!("{peer} and this node vote; one that fences the other goes on alone")
                }
                Some(why) => format!(
                    "{peer} does not answer and could not be fenced ({why}), which is tried again; if {peer} is off, \
                     type {type_here} here"
                ),
            },
            Phase::Fencing => format!(
                "{peer} does not answer and is being fenced; if it is off, type {type_here} here"
            ),
            Phase::Deciding => format!("{peer} is dead: goes on alone in a moment"),
            Phase::Alone => {
                let proof = self.proof.as_ref();
                let proof = proof
                    .map(|by| format!(" ({peer}: {by})"))
                    .unwrap_or_default();
                format!(
                    "goes on alone{proof}; {peer} votes again when it is back and has caught up"
                )
            }
            Phase::Superseded => format!(
                "stopped for good: {peer} went on alone after this node did, so what is here is not the cluster's any \
                 more; remove this node there (`crm cluster remove`), delete its data directory and join again"
            ),
            Phase::Leaving => "leaves".into(),
        }
    }
}
