//! The executor runs agents on this node: one action at a time per resource, several resources at once.
//! Enters: `Command`s with the Raft term of who ordered them, ends of agent runs, metadata of agents.
//! Leaves: `Effect::Run` and `Effect::Kill` for agents, `Effect::Report` for what belongs in the history.
//! May touch: nothing itself; `shell` runs agents through `crate::process`.

mod vocab;

mod digests;
mod machine;
mod memory;
mod recurring;

pub mod agent;
mod calls;
pub mod shell;

pub use machine::{Machine, Now};
pub use vocab::{
    Command, DeviceTask, Digests, Effect, Event, Execution, Invocation, Metadata, Order, Outcome,
    Parameter, Pending, Refusal, Report, RunId,
};
