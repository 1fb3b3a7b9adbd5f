//! The daemon is one node of the cluster: it wires the machines to each other, to other nodes and to tools.
//! Enters: the node's configuration, signals, requests of peers and tools, effects of all machines.
//! Leaves: events for all machines; writes; answers.
//! May touch: everything, through the rooms above; it has no rules of its own.

mod addresses;
mod authority;
mod certificates;
mod checkup;
mod command;
mod deliver;
mod devices;
pub mod guard;
mod housekeeping;
mod inputs;
mod log;
mod outside;
mod part;
pub mod remote;
mod renewal;
mod reports;
mod route;
mod service;
#[cfg(feature = "simulation")]
pub mod simulation;
mod spare;
mod start;
mod stop;
mod survivor;
mod words;

pub use command::{Init, Join, Token, init, join, links, man, schemas, stop, token, unit};
pub use start::{Options, guard_process, run};
