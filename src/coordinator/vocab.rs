//! The words of the coordinator.

use std::sync::Arc;

use crate::cib::{Cib, Command};
use crate::clock::Mono;
use crate::graph::{Action, Graph};
use crate::terms::{NodeId, NodeName, OpKey, Pledge, Term, TransitionKey};

/// By whose right this coordinator gives orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// None: another node coordinates, or nobody does.
    None,
    /// This node leads Raft in this term.
    Leader(Term),
    /// This node's lease ran out: it follows `no-quorum-policy` by itself, and orders only itself.
    Alone(Term),
}

/// What presence says of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It is there.
    Alive {
        /// Which life of its daemon this is.
        incarnation: u64,
    },
    /// It is silent, and may still run what it ran.
    Silent {
        /// False when it was never there since this daemon started.
        heard: bool,
    },
    /// Its lease and its stop deadline have passed.
    Expired,
}

/// Number of a write that the coordinator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(pub u64);

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The right to give orders was won or lost. The CIB is the newest one under that right.
    Authority(Authority, Cib),
    /// Which nodes the cluster has, by id and name; those that only vote are left out.
    Members(Vec<(NodeId, NodeName)>),
    /// A peer is seen differently.
    Peer(NodeId, Peer),
    /// What a node does when its lease runs out.
    Pledged(NodeId, Pledge),
    /// A write was applied.
    CibChanged {
        /// The CIB before it.
        before: Cib,
        /// The CIB after it.
        after: Cib,
    },
    /// The policy answered.
    Planned {
        /// The question.
        plan: u64,
        /// The answer.
        graph: Box<Graph>,
    },
    /// A write of ours ended.
    Written {
        /// Which.
        id: WriteId,
        /// What went wrong, if anything.
        result: Result<(), String>,
    },
    /// Fencing that we asked for ended.
    Fenced {
        /// Which action of the graph.
        key: TransitionKey,
        /// How it ended.
        result: Result<String, Lost>,
    },
    /// A node was fenced, or a person vouches for its death, without this coordinator asking.
    FencedOutside {
        /// The node.
        target: NodeName,
        /// Who did it, or says so.
        by: String,
    },
    /// A deed which leaves no trace in the status section was done: a shutdown request was
    /// delivered, a resource forgotten.
    Done(TransitionKey),
    /// A node refused an order, or took it and will not carry it out: nothing will be written of it.
    NotDone {
        /// Which action of the graph.
        key: TransitionKey,
        /// Who says so, and why.
        why: String,
    },
    /// Changes of the CIB went by unseen, perhaps results that were overwritten since.
    Missed,
    /// Nothing but time.
    Tick,
}

/// Why fencing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// No device can fence this node.
    NoDevice(String),
    /// All attempts failed, or their result is unknown.
    Failed(String),
}

/// One action for one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The term under which it is given.
    pub term: Term,
    /// Its name in the history.
    pub key: TransitionKey,
    /// What to do, everything included.
    pub action: Action,
    /// How long the executor may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Something a node's daemon does for the cluster, not for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Leave: all that this node ran is stopped.
    Shutdown,
    /// Forget the history of a resource.
    Forget(String),
    /// Account for an operation that is recorded as under way there: who ordered it may be gone, and the order with it.
    Account(OpKey),
}

/// What the shell must do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Ask the policy.
    Plan {
        /// Number of the question.
        plan: u64,
        /// What is known.
        cib: Cib,
        /// Number that the transition will have.
        transition: i64,
    },
    /// A word about its authority was heard: what follows is decided under that one, and what came before was not.
    Heard,
    /// From here on an order to that node is for this life of it; for none, when it is not there. What was ordered before this
    /// was decided for an earlier life.
    Life(NodeId, Option<u64>),
    /// Let a node run an action. Repeated until the node took it or is lost.
    Order(NodeId, Arc<Order>),
    /// Let a node do something that is not a resource action.
    Tell(NodeId, TransitionKey, Deed),
    /// The same for a remote node, through the node that holds the connection to it.
    Through(NodeId, NodeName, TransitionKey, Deed),
    /// Make sure that a node is dead (or alive again, for `on`).
    Fence {
        /// Which action of the graph this is.
        key: TransitionKey,
        /// Term of the order.
        term: Term,
        /// The node to fence.
        target: NodeName,
        /// `reboot`, `off` or `on`.
        action: String,
        /// How long it may take, in milliseconds.
        timeout_ms: u64,
        /// `priority-fencing-delay`, in milliseconds.
        delay_ms: u64,
    },
    /// This life of a node was ended by fencing: it gets no lease any more.
    Condemn(NodeId, u64),
    /// Change the CIB.
    Write(WriteId, Command),
    /// The transition in hand ended (`None`: nothing was left to do when it began).
    Settled {
        /// Number of the transition.
        transition: i64,
    },
    /// Something that a person should read in the log and in the timeline.
    Say(String),
}

impl Effect {
    /// Whether it acts on the cluster by the right of the authority under which it was decided.
    pub fn needs_authority(&self) -> bool {
        match self {
            Self::Order(..)
            | Self::Tell(..)
            | Self::Through(..)
            | Self::Fence { .. }
            | Self::Write(..) => true,
            Self::Heard
            | Self::Life(..)
            | Self::Plan { .. }
            | Self::Condemn(..)
            | Self::Settled { .. }
            | Self::Say(_) => false,
        }
    }
}

/// What status shows of the coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// True while a transition is walked or planned.
    pub busy: bool,
    /// Number of the last transition.
    pub transition: i64,
    /// When it next looks at the cluster without being asked.
    pub recheck_at: Option<Mono>,
    /// Orders that are being carried out, as `KEY on NODE`.
    pub in_flight: Vec<String>,
    /// What was done, and is wanted again as before, again and again.
    pub in_vain: Vec<String>,
}
