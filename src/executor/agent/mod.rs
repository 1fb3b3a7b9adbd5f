//! Calling conventions: how an action of a resource becomes a run of a program, and its end an outcome.
//! Enters: `Invocation`s, and a `Place` that says where agents, tools and secrets of this node are.
//! Leaves: `process::Spec` on the way in, `Outcome` and `Metadata` on the way out.
//! May touch: files of agents and secrets, to find them; systemd, over D-Bus.

pub mod find;
pub mod lsb;
pub mod metadata;
pub mod ocf;
pub mod systemd;

use std::path::PathBuf;

use crate::process::{Ended, How, signal_text};
use crate::terms::{ExecStatus, NodeName, OcfExit, span};

use super::vocab::Outcome;

/// Where the agents of this node find what they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// This node.
    pub node: NodeName,
    /// `OCF_ROOT`, usually `/usr/lib/ocf`.
    pub ocf_root: PathBuf,
    /// Our own agents, as `agents::install` lays them out.
    pub own_agents: PathBuf,
    /// Links of the tools (`crm_attribute`, ...): first in PATH, and `HA_SBIN_DIR`.
    pub tools: PathBuf,
    /// State files of agents (`HA_RSCTMP`), emptied at boot.
    pub rsctmp: PathBuf,
    /// Secrets: `RSC/PARAM` and `RSC/PARAM.sign`.
    pub secrets: PathBuf,
    /// Directories with fence agents, in this order.
    pub fence_agents: Vec<PathBuf>,
    /// Address of the bus where systemd is; the system bus if not given.
    pub bus: Option<String>,
    /// Where drop-ins of units are put: `/run/systemd/system`.
    pub units: PathBuf,
    /// More variables for every agent, such as the socket by which tools find this node's daemon.
    pub extra_env: Vec<(String, String)>,
}

impl Place {
    /// PATH of every agent.
    pub fn path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.tools.display())
    }
}

/// The end of a program in the executor's words; `exited` maps its exit status. // spec cluster §14.4
pub(super) fn outcome(
    ended: &Ended,
    program: &std::path::Path,
    timeout_ms: u64,
    exited: impl FnOnce(i32) -> (i32, Option<String>),
) -> Outcome {
    let failed = |status, rc, reason| Outcome::failed(status, rc, reason);
    let mut outcome = match &ended.how {
        How::Exited(code) => {
            let (rc, reason) = exited(*code);
            Outcome {
                reason,
                ..Outcome::done(rc)
            }
        }
        How::TimedOut => {
            let limit = span::readable(timeout_ms);
            let reason = format!("Resource agent did not complete within {limit}");
            failed(ExecStatus::TimedOut, OcfExit::ERROR, reason)
        }
        How::Signaled(signal) => {
            let name = signal_text(*signal);
            let reason = format!("Resource agent interrupted by {name} signal");
            failed(ExecStatus::Error, OcfExit::ERROR, reason)
        }
        How::Stopped => {
            let outcome = failed(ExecStatus::Cancelled, OcfExit::OK, String::new());
            Outcome {
                killed: true,
                ..outcome
            }
        }
        How::CannotExec(number, text) => {
            let (status, rc) = cannot_exec(*number);
            let mut reason = format!("{}: {text}", program.display());
            // The system says the same of a script whose interpreter is missing.
            if *number == ENOENT && program.exists() {
                reason.push_str(" (the interpreter in its first line is missing)");
            }
            failed(status, rc, reason)
        }
    };
    outcome.run_ms = ended.run_ms;
    outcome
}

const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();

/// What it means that a program cannot be executed.
pub(super) fn cannot_exec(number: i32) -> (ExecStatus, OcfExit) {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(number) {
        Errno::NOENT | Errno::ISDIR | Errno::NOTDIR | Errno::INVAL | Errno::NOEXEC => {
            (ExecStatus::NotInstalled, OcfExit::NOT_INSTALLED)
        }
        Errno::ACCESS | Errno::PERM => (ExecStatus::Error, OcfExit::INSUFFICIENT_PRIV),
        _ => (ExecStatus::Error, OcfExit::ERROR),
    }
}
