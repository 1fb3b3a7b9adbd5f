//! The words of alerts.

use std::path::PathBuf;

use crate::cib::Cib;
use crate::terms::NodeName;

/// When something happened: the wall clock of this node, with its time zone.
pub type Moment = jiff::Zoned;

/// Something that somebody may want to know of.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// When.
    pub at: Moment,
    /// Where; of fencing, the target.
    pub node: NodeName,
    /// What.
    pub what: What,
}

/// What happened. // spec cluster §17.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A node came or went.
    Node {
        /// Its number; 0 for remote nodes.
        id: u32,
        /// `member` or `lost`.
        state: &'static str,
    },
    /// Fencing has ended.
    Fencing {
        /// What was asked for.
        task: String,
        /// Who did it for whom, and what came of it.
        desc: String,
        /// 0, or something else for a failure.
        rc: i32,
    },
    /// An action of a resource has ended.
    Resource {
        /// The resource.
        rsc: String,
        /// The action.
        task: String,
        /// Of recurring ones.
        interval_ms: u64,
        /// What should have come of it.
        target_rc: i32,
        /// What came of it.
        rc: i32,
        /// How the execution itself went.
        status: i32,
        /// How long it ran.
        exec_ms: u64,
        /// The result in words.
        desc: String,
    },
    /// A transient attribute was written.
    Attribute {
        /// Number of the node; 0 for remote nodes.
        id: u32,
        /// The attribute.
        name: String,
        /// Empty when it was deleted.
        value: String,
    },
}

impl What {
    /// The word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Node { .. } => "node",
            What::Fencing { .. } => "fencing",
            What::Resource { .. } => "resource",
            What::Attribute { .. } => "attribute",
        }
    }
}

/// One run of an alert agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Alert and recipient, by their ids: calls of the same one run one after the other.
    pub receiver: String,
    /// The program.
    pub path: PathBuf,
    /// What it is told.
    pub env: Vec<(String, String)>,
    /// It is killed after this time.
    pub timeout_ms: u64,
}

/// What the machine hears.
#[derive(Debug, Clone)]
pub enum Event {
    /// The configuration is now this.
    Configured(Cib),
    /// Something happened.
    Happened(Happened),
    /// The running call of this receiver has ended.
    Ended(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run an agent; ends as [`Event::Ended`].
    Run(Call),
    /// This receiver is so slow that its oldest waiting call was dropped.
    Dropped(String),
}
