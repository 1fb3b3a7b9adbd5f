//! The fencer makes sure a node is dead before anyone takes over what it ran.
//! Enters: `Command::Fence` with a Raft term, devices and topology from the CIB, answers of other fencers, ends of agent runs.
//! Leaves: `Effect::Run` for a fence agent, `Effect::Send` to other fencers, `Effect::Done` for the proven result.
//! May touch: nothing itself; `shell` runs agents through `crate::process`.

mod vocab;

mod jobs;
mod machine;
mod operation;

mod asked;

mod choose;
mod delay;
mod device;
mod history;
mod topology;

pub mod agent;
pub mod shell;

pub use asked::{NAME, Question, Reply, Ticket};
pub use machine::{Machine, Now};
pub use operation::{A_HUMAN, WATCHDOG_AGENT};
pub use vocab::{
    Action, AgentRun, Answer, AskId, Capability, Command, Delay, Device, DeviceCall, DeviceVerb,
    Effect, Event, Failure, Features, Level, LevelTarget, Life, Message, Notice, OpId, Outcome,
    PeerRun, Query, Record, Request, RunId, State,
};
