//! How nodes and tools talk: the only room that knows protobuf, TLS and sockets.
//! Enters: typed requests for another node or for the daemon; connections from peers and tools.
//! Leaves: calls of `PeerService` and `AdminService` with the caller's proven identity; typed answers.
//! May touch: TCP with mutual TLS, the Unix socket, key and certificate files.

mod authorise;
mod vocab;

pub use authorise::{Denied, Grant, authorise};
pub use vocab::{
    AdminAnswer, AdminRequest, AdminService, Caller, ChangeNotice, ClusterStatus, PeerAnswer,
    PeerRequest, PeerService,
};
