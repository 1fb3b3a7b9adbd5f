//! Two voters without a witness: raft stops when one of them is lost, and that is right as long as nobody knows whether
//! it is dead. This machine knows when a node may go on alone: after it has fenced its peer, or a person vouches for
//! the peer's death. Pure: `survivor.rs` asks the peer, writes to disk and restarts openraft.

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
