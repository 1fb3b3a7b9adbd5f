//! openraft, made to measure. No other room sees these types.

use std::io::Cursor;

use openraft::EmptyNode;
use serde::{Deserialize, Serialize};

use super::vocab::{Answer, ClientWrite};
use crate::terms::NodeId;

/// What one log entry carries: the writes which the leader had waiting when it proposed the entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request(pub(crate) Vec<ClientWrite>);

/// Their answers, in the same order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Response(pub(crate) Vec<Answer>);

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Request,
        R = Response,
        NodeId = NodeId,
        Node = EmptyNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type StoredMembership = openraft::StoredMembership<NodeId, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, EmptyNode>;
pub(crate) type Metrics = openraft::RaftMetrics<NodeId, EmptyNode>;
pub(crate) type Core = openraft::Raft<TypeConfig>;

/// The term in which an entry was proposed.
pub(crate) fn term_of(id: &LogId) -> u64 {
    id.leader_id.term
}
