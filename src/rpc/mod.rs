//! How nodes and tools talk: the only room that knows protobuf, TLS and sockets.
//! Enters: typed requests for another node or for the daemon; connections from peers and tools.
//! Leaves: calls of `PeerService` and `AdminService` with the caller's proven identity; typed answers.
//! May touch: TCP with mutual TLS, the Unix socket, key and certificate files.

mod admin;
mod authorise;
mod authority;
mod checkup;
mod common;
mod convert;
mod enrol;
mod health;
mod join;
mod keyring;
mod node;
mod part;
mod path;
mod peers;
mod remote;
mod server;
mod tls;
mod token;
mod vocab;

#[cfg(test)]
mod tests;

pub use admin::{Client, call_all_blocking, call_blocking, serve as serve_tools};
pub use authorise::{Denied, Grant, authorise};
pub use authority::{Authority, Issue, NewKey};
pub use checkup::{CHECKUP, CheckupRequest, DISK_HANGS_MS, NodeReport};
pub use common::{Common, make_token};
pub use enrol::{RemoteConfig, enrol};
pub use join::{Doorkeeper, Founding, Joining, LIFETIME, good_until, init, join};
pub use keyring::{Keyring, renew_if_ended};
pub use node::{ADMIN_GROUP, NodeConfig, PORT, Paths, Profile, lease_address, parse_address};
pub use part::{PART, PartAnswer, PartAsk, PartRequest, PartWanted};
pub use peers::Peers;
pub use remote::{
    FromRemote, Incoming, Line, REMOTE_PORT, RemoteKeys, Shown, Stamp, ToRemote, call_remote,
    serve_remote,
};
pub use server::{Listening, serve as serve_peers};
pub use tls::{Facts, any_node, certificate_of, this_node, to_pem};
pub use token::Token;
pub use vocab::{
    AdminAnswer, AdminRequest, AdminService, Caller, CertificateNote, ChangeNotice, ClusterStatus,
    PathState, PathStatus, PeerAnswer, PeerRequest, PeerService, TrialNote,
};

use crate::terms::{CrmExit, NodeId};

/// A message may have so many bytes; a snapshot is one message.
const MESSAGE_BYTES: usize = 256 << 20;
/// What a tool may send in one request.
const REQUEST_BYTES: usize = 32 << 20;

use tls::Credentials;

#[expect(unreachable_pub, reason = "generated from proto/")]
mod wire {
    tonic::include_proto!("systole.v1");
}

/// Why this room could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Raft's or its files' trouble.
    #[error(transparent)]
    Raft(#[from] crate::raft::Error),
    /// Keys, certificates, handshakes.
    #[error("{0}")]
    Tls(String),
    /// The node's configuration cannot be read.
    #[error("failed to read {path}: {detail}")]
    Config {
        /// Which file.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A join token that cannot be one.
    #[error(
        "this is no join token ({0}): make one with `systole token` on a member, and copy all of it"
    )]
    BadToken(&'static str),
    /// A join token that is too old.
    #[error("the token expired {0} s ago: make a new one with `systole token` on a member")]
    ExpiredToken(i64),
    /// The cluster did not let the node in.
    #[error("{message}")]
    Refused {
        /// What the tool ends with.
        exit: CrmExit,
        /// Why.
        message: String,
    },
    /// No address of a node answers.
    #[error("failed to reach {to}: {detail}")]
    Unreachable {
        /// Whom.
        to: String,
        /// Each address with what happened.
        detail: String,
    },
    /// None of this node's addresses can be listened on.
    #[error("failed to listen for {whom}: {detail}")]
    Listen {
        /// For whom.
        whom: &'static str,
        /// Each address with what is in the way, and what helps.
        detail: String,
    },
    /// The daemon on this machine does not answer.
    #[error("failed to reach the daemon at {socket}: {detail}; is `systole daemon` running?")]
    NoDaemon {
        /// Its socket.
        socket: String,
        /// What happened.
        detail: String,
    },
    /// This node is a member already.
    #[error(
        "this node is already node {node} of cluster `{cluster}`: remove it there and delete {path} first"
    )]
    Joined {
        /// Its id.
        node: NodeId,
        /// The cluster's name.
        cluster: String,
        /// Its data directory.
        path: String,
    },
}

impl Error {
    /// What a tool ends with.
    pub fn exit(&self) -> CrmExit {
        match self {
            Self::Refused { exit, .. } => *exit,
            Self::BadToken(_) => CrmExit::USAGE,
            Self::ExpiredToken(_) => CrmExit::EXPIRED,
            Self::NoDaemon { .. } | Self::Unreachable { .. } => CrmExit::DISCONNECTED,
            Self::Listen { .. } => CrmExit::OS,
            Self::Config { .. } => CrmExit::CONFIG,
            Self::Joined { .. } => CrmExit::EXISTS,
            Self::Raft(crate::raft::Error::NoLeader(_)) => CrmExit::QUORUM,
            Self::Raft(crate::raft::Error::Unknown(_)) => CrmExit::INDETERMINATE,
            Self::Raft(_) | Self::Tls(_) => CrmExit::ERROR,
        }
    }
}
