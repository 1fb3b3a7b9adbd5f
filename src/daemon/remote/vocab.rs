//! The words around a connection to a remote node, at the member that holds it.

use tokio::sync::mpsc;

use crate::clock::Mono;
use crate::executor::{Order, Outcome, Report, RunId};
use crate::rpc::{AdminRequest, Caller, Stamp, ToRemote};
use crate::terms::NodeName;

/// Where a remote node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) server: String,
    pub(super) port: u16,
}

impl Target {
    /// As the parameters of the connection say: those of a guest's connection are named otherwise. // spec 1 §14.2
    pub(super) fn of(order: &Order) -> Result<Self, String> {
        let server = order.param("server").or(order.param("addr"));
        let port = match order.param("port") {
            None => crate::rpc::REMOTE_PORT,
            Some(text) => text.parse().map_err(|_| {
                format!("`{text}` is no port; parameter `port` of {}", order.op.rsc)
            })?,
        };
        Ok(Self {
            server: server.unwrap_or(order.op.rsc.as_str()).to_owned(),
            port,
        })
    }
}

/// Counts attempts to connect: what is heard of an earlier one is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Attempt(pub(super) u64);

/// An operation of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) run: RunId,
    pub(super) task: String,
    pub(super) recurring: bool,
    pub(super) stamp: Stamp,
    pub(super) target: Result<Target, String>,
    pub(super) timeout_ms: u64,
}

impl Task {
    pub(super) fn of(run: RunId, order: &Order) -> Self {
        Self {
            run,
            task: order.op.task.clone(),
            recurring: order.recurring(),
            stamp: Stamp {
                term: order.term,
                transition: order.key.transition,
                action: order.key.action,
            },
            target: Target::of(order),
            timeout_ms: order.timeout_ms(),
        }
    }
}

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The executor wants something.
    Task(Task),
    /// There is a line; the remote node has not spoken yet.
    Connected(Attempt),
    /// There is none.
    Failed(Attempt, String),
    /// The remote node obeys this connection, in this life.
    Welcomed(Attempt, u64),
    /// It obeys another one.
    Replaced(Attempt, Stamp),
    /// The CIB says that the connection is here, or does not.
    Entered(Attempt, Result<(), String>),
    /// The line broke.
    Lost(Attempt, String),
    /// The remote node answers.
    Poked(Attempt, u64),
    /// Nothing but time.
    Tick,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Connect.
    Call(Attempt, Target),
    /// Say who connects, and by which order.
    Greet(Attempt, Stamp),
    /// Write that the connection is here.
    Enter(Attempt, Stamp, u64),
    /// End the line; a remote node that asked for leave may go.
    HangUp(Attempt),
    /// Write that the connection is here no more.
    Leave(Stamp),
    /// Ask whether the remote node is there.
    Poke(Attempt, u64),
    /// An operation ended.
    End(RunId, Outcome),
    /// What is repeated for this connection must not wait for its time.
    Look,
}

/// Time as a value.
pub(super) type Now = Mono;

/// A remote node reports: to be shown to whoever wants to know, and then written.
#[derive(Debug)]
pub(in crate::daemon) struct Told {
    /// Whose.
    pub(in crate::daemon) node: NodeName,
    /// Over which of the lines to it.
    pub(super) attempt: Attempt,
    /// Up to which number everything is told with these.
    pub(super) number: u64,
    /// What.
    pub(in crate::daemon) reports: Vec<Report>,
}

/// A tool on a remote node asks.
#[derive(Debug)]
pub(in crate::daemon) struct Asked {
    /// Where.
    pub(super) node: NodeName,
    /// Its number there.
    pub(super) number: u64,
    /// Who.
    pub(super) caller: Caller,
    /// What.
    pub(super) request: AdminRequest,
    /// Where the answer goes.
    pub(super) line: mpsc::Sender<ToRemote>,
}
