//! Raft is the CIB replicated: what a majority has on disk is what the cluster knows.
//! Enters: `ClientWrite`s from any node, bytes from peers' raft rooms, the node's data directory.
//! Leaves: `Answer`s, `State` snapshots, `Change`s, `Leadership`; bytes for peers through `Transport`.
//! May touch: the data directory (redb, fsync), the clock; the network only through `Transport`.

mod addresses;
mod checked;
mod cores;
mod credentials;
mod disk;
mod drive;
mod election;
mod handle;
mod history;
mod log;
mod machine;
mod membership;
mod network;
mod spare;
mod state;
mod store;
mod survivor;
mod touched;
mod trial;
pub(crate) mod two_node;
mod types;
mod vocab;

#[cfg(test)]
mod tests;

pub use addresses::usable;
pub use credentials::{AuthorityRecord, Credential, KeyChange};
pub use handle::{Changes, Config, Raft};
pub use history::{History, HistoryEntry};
pub use spare::{Seen, spare};
pub use state::State;
#[cfg(test)]
pub(crate) use state::apply_for_tests;
pub use store::{Identity, Store};
pub use survivor::{Loss, Want};
pub use touched::{How, Touched};
pub use trial::Trial;
pub use two_node::{Phase as TwoNodePhase, Picture as TwoNodePicture};
pub use vocab::{
    Answer, Body, Change, ClientWrite, ClusterChange, Error, Leadership, Member, MemberRole,
    Outcome, Timing, TokenRecord, Transport, TransportError,
};
