//! The words of the attribute manager. Requests and messages travel as JSON, between neighbouring versions, too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cib::{Cib, Command};
use crate::terms::{NodeId, NodeName};

/// Which attributes a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The one of this name.
    Name(String),
    /// Every known one whose name matches this regular expression.
    Pattern(String),
}

/// When a change is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Wait {
    /// When it can be read in the CIB; at once where it does not get there soon.
    #[default]
    Written,
    /// When this node knows it.
    Local,
    /// When all nodes know it.
    Cluster,
}

/// What a tool asks. // spec cluster §15.2
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Set a value, or delete it.
    Update {
        /// Of what.
        which: Which,
        /// Of which node; the one that is asked if none.
        node: Option<NodeName>,
        /// The value, or how it follows from the old one; deleted if none.
        value: Option<String>,
        /// For an attribute that is new, or with `both`: how long a change waits.
        dampening_ms: Option<u64>,
        /// Change the dampening of a known attribute, too.
        both: bool,
        /// For an attribute that is new: the id of its set.
        set_id: Option<String>,
        /// For an attribute that is new: it never reaches the CIB.
        private: bool,
        /// When to answer.
        wait: Wait,
    },
    /// Change the dampening of a known attribute.
    Dampen {
        /// Of what.
        which: Which,
        /// How long a change waits.
        dampening_ms: u64,
    },
    /// Read values.
    Query {
        /// Of what.
        name: String,
        /// Of which node; the one that is asked if none.
        node: Option<NodeName>,
        /// Of all nodes.
        all: bool,
    },
    /// Write all values now.
    Refresh,
    /// Delete all values of a node.
    Forget {
        /// Which one.
        node: NodeName,
    },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Done,
    /// Nodes and values; one that was deleted is empty.
    Values(Vec<(NodeName, String)>),
    /// Not done.
    Refused(Refusal),
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// There is no such attribute.
    #[error("Attribute {0} does not exist")]
    Unknown(String),
    /// There is no such node.
    #[error("`{0}` is not a node of this cluster; `crm node list` shows them")]
    UnknownNode(NodeName),
    /// The pattern cannot be read.
    #[error("`{pattern}` is not a regular expression: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// It could not be written.
    #[error("attribute {name} is known, but not in the CIB yet: {why}")]
    Unwritten {
        /// Its name.
        name: String,
        /// What stands in the way.
        why: String,
    },
}

/// Orders all changes of a value: of two, the greater one is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp(pub u64, pub NodeId);

/// What an attribute is, the same for all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kind {
    /// It never reaches the CIB.
    pub private: bool,
    /// How long a change waits for further ones.
    pub dampening_ms: u64,
    /// The id of its set in the CIB.
    pub set_id: Option<String>,
    /// When it was decided.
    pub stamp: Stamp,
}

/// The value of one attribute of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Of the attribute.
    pub name: String,
    /// What kind it is.
    pub kind: Kind,
    /// Whose value; nothing if only the kind is told.
    pub host: Option<NodeName>,
    /// None when it was deleted.
    pub value: Option<String>,
    /// When it was set.
    pub stamp: Stamp,
}

/// From the attribute manager of one node to that of another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Message {
    /// When the sender began: another life has other values.
    pub born: u64,
    /// The sender wants to know the receiver's own values.
    pub want: bool,
    /// Waiting values are to be written now.
    pub refresh: bool,
    /// What changed.
    pub cells: Vec<Cell>,
}

/// A tool that waits.
pub type Ticket = u64;

/// Numbers writes.
pub type WriteId = u64;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A tool asks.
    Asked(Ticket, Request),
    /// Another node told something.
    Told(NodeId, Message),
    /// A message arrived, or did not.
    Sent(NodeId, bool),
    /// The CIB is now this.
    Cib(Cib),
    /// Who belongs to the cluster.
    Members {
        /// All, this one included.
        nodes: BTreeMap<NodeId, NodeName>,
        /// Those among them that run no resources.
        witnesses: BTreeSet<NodeId>,
    },
    /// This node writes from now on, or does not.
    Writer(bool),
    /// A write ended.
    Written(WriteId, Result<(), String>),
    /// Time passed.
    Tick,
}

/// A value that is in the CIB now: for alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub host: NodeName,
    /// The node's id; its name for remote nodes.
    pub id: String,
    /// Of the attribute.
    pub name: String,
    /// None when it was deleted.
    pub value: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell another node; ends as [`Event::Sent`].
    Send(NodeId, Message),
    /// Change the CIB; ends as [`Event::Written`].
    Write(WriteId, Command),
    /// Tell the tool.
    Answer(Ticket, Answer),
    /// These values are in the CIB now.
    Changed(Vec<Changed>),
}
