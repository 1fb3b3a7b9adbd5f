//! Presence: who is there, and until when a node may run resources without hearing from a majority.
//! Enters: who leads and who votes (from raft), renewals and grants from other nodes, the time.
//! Leaves: `Effect::LeaseHeld` and `LeaseLost` for this node; on the leader what it knows of each peer.
//! May touch: nothing in the machine; `shell` owns a thread, and `links` listeners and connections of its own.

mod links;
mod machine;
mod shell;
mod timing;
mod vocab;

pub use machine::Machine;
pub use shell::{Handle, OVERLAP_MS, Settings, Tls, spawn};
pub use timing::Timing;
pub use vocab::{Effect, Event, Grant, PeerState, Renewal, View};
