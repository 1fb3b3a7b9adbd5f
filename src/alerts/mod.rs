//! Alerts tell the outside what happens in the cluster, by programs that the CIB names.
//! Enters: the CIB's alerts, and what happened: to nodes, fencing, resources and attributes.
//! Leaves: `Effect::Run` for an alert agent with its environment, ends of runs for the log.
//! May touch: nothing itself; `shell` runs agents through `crate::process`.

mod vocab;

mod config;
mod environment;
mod machine;

pub mod shell;

pub use config::{Receiver, Select, receivers};
pub use machine::Machine;
pub use vocab::{Call, Effect, Event, Happened, Moment, What};
