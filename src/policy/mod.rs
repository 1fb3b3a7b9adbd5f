//! The policy decides what the cluster must do next, from what is true and what is wanted.
//! Enters: a `Cib`, and an `Input` with the time, quorum and switches of the run.
//! Leaves: an outcome with the transition graph, scores, summary, warnings and the causes of all of them.
//! May touch: nothing; it is a pure function.
//!
//! Six steps, each with its own output, frozen when the next one starts:
//! facts -> constraints -> assign -> actions -> ordering -> emit.

pub mod index;
pub mod input;
pub mod nodeset;
pub mod nodetable;
pub mod nvtable;
pub mod report;

pub mod facts;

pub mod constraints;

pub mod assign;

pub mod actions;

pub mod ordering;

pub mod emit;

mod schedule;
mod why;

mod devices;
mod sets;
mod task;

pub use devices::{FenceDevice, fence_devices};
pub use facts::Kept;
pub use facts::rules::{DateVerdict, judge_date};
pub use index::{ColIdx, IdxVec, NodeIdx, RscIdx};
pub use input::Input;
pub use nodeset::NodeSet;
pub use nodetable::{Discovery, Entry, NodeTable};
pub use nvtable::NvTable;
pub use schedule::{Outcome, decide, schedule, schedule_again};
pub use sets::SetsAt;
pub use task::{Task, Tasks};
