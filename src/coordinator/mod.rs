//! The coordinator walks transition graphs on the Raft leader, and on a node cut off for that node alone.
//! Enters: authority (a Raft term, or none), what presence knows of peers, every change of the CIB, plans.
//! Leaves: `Effect`: plan this CIB, let this node do that, fence this one, write that.
//! May touch: nothing in the machine; `shell` runs the policy off the loop and keeps time.

mod abort;
mod join;
mod machine;
mod minority;
mod outcome;
mod remote;
mod shell;
mod vocab;
mod walk;

pub use abort::{Abort, Completion};
pub(crate) use join::state_of;
pub use machine::{Machine, Settings};
pub use minority::{alone, stopping, without};
pub use shell::{Handle, Planner, spawn};
pub use vocab::{Authority, Deed, Effect, Event, Lost, Order, Peer, Picture, WriteId};
