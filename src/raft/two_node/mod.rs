//! Two voters without a witness: raft stops when one of them is lost, and that is right as long as nobody knows whether
//! it is dead. This room knows when a node may go on alone: after its peer's death was proven.
//! Enters: who votes, what the peer says, ends of shots at it, a person's word.
//! Leaves: `Effect`: fence the peer, write the proof, go on alone; and whether raft may talk at all.
//! May touch: nothing; `survivor.rs` asks the peer, writes to disk and restarts openraft.

mod machine;
mod permit;
mod vocab;

#[cfg(test)]
mod explore;

pub(crate) use machine::{Machine, next_term};
pub(crate) use permit::permitted;
pub(crate) use vocab::{Effect, Event, Hello, Place, Proof, Says, Seat};
pub use vocab::{Phase, Picture};

#[cfg(test)]
mod tests;
