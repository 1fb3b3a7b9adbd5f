//! The words of presence.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Mono;
use crate::terms::{NodeId, Pledge, Term};

/// What a node asks of the leader: let me run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The newest term this node has seen, a vote included.
    pub term: Term,
    /// Who asks.
    pub node: NodeId,
    /// Drawn at random when the daemon starts, and again after it acted alone: what was known of it
    /// before no longer holds.
    pub incarnation: u64,
    /// Number of this question.
    pub ask: u64,
    /// The newest grant this node holds of this term: proof to the leader that it was heard.
    pub echo: Option<u64>,
    /// What the node will do when the lease that it asks for runs out; unknown of older versions.
    #[serde(default)]
    pub pledge: Option<Pledge>,
}

/// What the leader answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Term of the leader.
    pub term: Term,
    /// The question that this answers.
    pub ask: u64,
    /// Number of this answer within the term.
    pub grant: u64,
    /// The lease, counted by the asker from the moment it asked; 0 when the leader has no majority, or does not know whether
    /// its answers arrive.
    pub valid_ms: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Raft says who leads, and who votes.
    Leadership {
        /// Newest term known.
        term: Term,
        /// Its leader, when known.
        leader: Option<NodeId>,
        /// Whose majorities count: one set, or two while members change, and then both.
        voters: Vec<BTreeSet<NodeId>>,
        /// Every node of the cluster.
        members: BTreeSet<NodeId>,
    },
    /// This node saw a newer term (it voted, perhaps): the older leader gets no more renewals.
    TermSeen(Term),
    /// A node asked us.
    Renewal(Renewal),
    /// The leader answered us.
    Grant {
        /// Who answered.
        from: NodeId,
        /// The answer.
        grant: Grant,
    },
    /// A node's end of a connection was closed by its kernel: its daemon ended, but the machine is up.
    /// Its guard stops what it ran when its lease ends, unless a new daemon is there by then. Said of one connection while
    /// another one lives, it only makes us patient until the node speaks again.
    HungUp(NodeId),
    /// On the leader: this life of a node was fenced. It gets no lease any more, whatever it says: should the fencing have
    /// lied, the node stops by itself and comes back as somebody new. So does the leader, if it is about its own life.
    Condemned(NodeId, u64),
    /// What this node will do when its lease runs out, from now on.
    Pledge(Pledge),
    /// Nothing but time.
    Tick,
}

/// What the shell must do or pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the leader.
    Ask(NodeId, Renewal),
    /// Answer a node.
    Answer(NodeId, Grant),
    /// This node may run resources until then, and later if renewed; in this incarnation.
    LeaseHeld(Mono, u64),
    /// The lease ran out at this moment: act on `no-quorum-policy`. The node has a new incarnation.
    LeaseLost(Mono),
    /// On the leader: what is known of a node changed; itself included, which is always alive.
    Peer(NodeId, PeerState),
    /// On the leader: what a node, itself included, does when its lease runs out.
    Pledged(NodeId, Pledge),
    /// On the leader: a majority is heard, or no longer.
    Majority(bool),
}

/// What the leader knows of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// It renews.
    Alive {
        /// Changes when the daemon there was started anew or acted alone.
        incarnation: u64,
    },
    /// Silent for longer than the suspicion time. It may still run what it ran.
    Suspect {
        /// False for a node that this daemon has never heard: it is late rather than lost.
        heard: bool,
    },
    /// Its lease and its stop deadline have passed: it has stopped by itself.
    Expired,
}

/// A picture of presence for status and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// This node may run resources now.
    pub held: bool,
    /// The present life of this node: another one after a restart of its daemon, and after it acted alone.
    pub incarnation: u64,
    /// Until when, unless it is renewed.
    pub until: Mono,
    /// The lease was granted to a node that said it would not let go: only then may it go on without one.
    pub may_keep: bool,
    /// Milliseconds left of the lease when this picture was made.
    pub left_ms: u64,
    /// Times that less than a third of the lease was left when it was renewed.
    pub near_misses: u64,
    /// Longest pause of the presence thread, in milliseconds.
    pub longest_pause_ms: u64,
    /// On the leader: each peer, its state, and how long ago it was heard.
    pub peers: Vec<(NodeId, PeerState, u64)>,
    /// On the leader: what nodes do without a lease, this one included.
    pub pledges: Vec<(NodeId, Pledge)>,
}
