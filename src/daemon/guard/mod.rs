//! The guard stops what a dead or frozen daemon left running, before anyone else may take it over.
//! Enters: [`Word`]s of its daemon: until when the run lease lasts, what may run here and how it is stopped.
//! Leaves: at worst, the daemon killed, its agents killed, and everything stopped.
//! May touch: its socket and lock in the node's directory; processes of this node.
//!
//! It is a process of its own, small and idle. When the lease has run out and the daemon does not say that it is
//! stopping things itself, or is still at it at the stop deadline, the guard kills the daemon (so that it does not
//! wake up into a world that went on without it) and runs the stops. It outlives the daemon: a restarted one finds
//! it by its socket and feeds it again.
//!
//! Where the node has a watchdog, the guard feeds it: while the lease lasts, while what runs may go on without one, and
//! while certainly nothing runs. So a node that cannot stop what it runs, whatever the reason, is reset by its timeout
//! after its lease ran out, also when daemon and guard are frozen both.
//!
//! ```text
//!   executor ── may run / gone, before each start ──► feeder ──► socket ──► watch ──► stops
//!   router ──── lease, a few times per lease ────────►
//! ```

mod feeder;
mod listen;
mod watch;
mod watchdog;

use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::executor::Invocation;
use crate::terms::{AgentName, RscId};

pub use feeder::Feeder;
pub use listen::run;
#[cfg(feature = "simulation")]
pub(super) use watch::{Verdict, Watch};
pub use watchdog::{Dog, Look, Wanted};

/// What the daemon tells its guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// The first word of a daemon: its process. Answered by one byte.
    Hello(i32),
    /// A few times per lease.
    Lease(Lease),
    /// From now on this may run here; said before it is started, which waits for the answer of one byte: a word that
    /// lies in the socket of a guard that has just ended has not arrived.
    MayRun(StopCall),
    /// This certainly does not run here.
    Gone(RscId),
    /// How is the watchdog? Answered by a line: a [`Dog`], or `null` for a node that has none.
    Health,
    /// The node leaves in good order: nothing is left to stop.
    Bye,
}

impl Word {
    /// Whether the daemon waits until it has arrived.
    fn is_answered(&self) -> bool {
        matches!(self, Self::Hello(_) | Self::MayRun(_))
    }
}

/// How long the node may go on, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// End of the run lease, in milliseconds since boot; 0 while this life of the daemon has held none.
    pub until: u64,
    /// When everything must be stopped.
    pub stop_by: u64,
    /// What runs here goes on without quorum (`ignore`, `freeze`, maintenance): nothing is stopped.
    pub keep: bool,
}

/// How a resource is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCall {
    /// The resource.
    pub rsc: RscId,
    /// Its agent.
    pub agent: AgentName,
    /// The parameters that it was started with.
    pub params: Vec<(String, String)>,
    /// Time limit, in milliseconds.
    pub timeout_ms: u64,
}

impl From<&Invocation> for StopCall {
    fn from(call: &Invocation) -> Self {
        Self {
            rsc: call.rsc.clone(),
            agent: call.agent.clone(),
            params: call.params.clone(),
            timeout_ms: call.timeout_ms,
        }
    }
}

/// Where the guard of this data directory listens.
pub fn socket_of(dir: &Path) -> PathBuf {
    dir.join("guard.sock")
}

/// Whether a guard of this data directory lives: it listens, or stops what ran here, or waits for its machine to be reset.
pub(super) fn is_there(dir: &Path) -> bool {
    let lock = std::fs::File::open(lock_of(&socket_of(dir)));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// Held by the one guard of this data directory as long as it lives.
fn lock_of(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}
