//! What raft rooms say to each other, as bytes: one letter, then JSON, then (for a snapshot) its bytes.
//! JSON because nodes of neighbouring versions must understand each other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{AnyError, EmptyNode, OptionalSend};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task::JoinHandle;

use super::log::Log;
use super::two_node::Hello;
use super::types::{LogId, SnapshotMeta, TypeConfig, Vote};
use super::vocab::{Answer, ClientWrite, Transport, TransportError};
use crate::clock::Mono;
use crate::terms::NodeId;

/// How long to leave alone a node that cannot be reached.
const PAUSE_MS: u64 = 100;

/// Openraft gives up a message that is not answered within a lease. One with so many bytes goes on all the same: it would
/// never get through otherwise, and nothing after it.
const LONG_BYTES: usize = 128 << 10;

/// Between two heartbeats beside a long message.
const BEAT: Duration = Duration::from_millis(50);

/// What one raft room asks another.
#[derive(Serialize, Deserialize)]
pub(crate) enum Message {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<NodeId>),
    /// The bytes of the snapshot follow the JSON.
    Snapshot(Vote, SnapshotMeta),
    /// Would you vote for me? Changes nothing.
    WouldVote(WouldVote),
    /// Please write this; only the leader does.
    Write(ClientWrite),
    /// Up to where must a reader have applied the log now? Only the leader knows.
    Barrier,
    /// Stand for election: I am about to fall silent.
    TakeOver,
    /// Two nodes without a witness tell each other where they stand.
    Hello(Hello),
}

/// A question before an election, so that a node which merely lost its own connection disturbs nobody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WouldVote {
    pub(crate) term: u64,
    pub(crate) last: Option<LogId>,
}

/// The answers.
#[derive(Serialize, Deserialize)]
pub(crate) enum Reply {
    Append(Result<AppendEntriesResponse<NodeId>, RaftError<NodeId>>),
    Vote(Result<VoteResponse<NodeId>, RaftError<NodeId>>),
    Snapshot(Result<SnapshotResponse<NodeId>, Fatal<NodeId>>),
    WouldVote(bool),
    Written(Answer),
    Barrier(u64),
    /// Not done, and certainly will not be: ask this node, if any.
    NotLeader(Option<NodeId>),
    TakingOver,
    Hello(Hello),
    /// The message was not understood or not allowed.
    Refused(String),
}

/// A message as bytes, `raw` last.
pub(crate) fn encode(message: &impl Serialize, raw: &[u8]) -> Vec<u8> {
    let json = serde_json::to_vec(message).expect("our own types have no map with odd keys");
    let mut bytes = Vec::with_capacity(4 + json.len() + raw.len());
    let length = u32::try_from(json.len()).expect("writes are bounded far below 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(raw);
    bytes
}

/// The other way; what follows the JSON is returned too.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), String> {
    let (length, rest) = bytes.split_at_checked(4).ok_or("message too short")?;
    let length = u32::from_le_bytes(length.try_into().map_err(|_| "message too short")?);
    let (json, raw) = rest
        .split_at_checked(length as usize)
        .ok_or("message shorter than it says")?;
    let message = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    Ok((message, raw))
}

/// Asks one node and understands the answer.
pub(crate) async fn ask(
    transport: &dyn Transport,
    to: NodeId,
    message: &Message,
    raw: &[u8],
) -> Result<Reply, TransportError> {
    deliver(transport, to, encode(message, raw)).await
}

async fn deliver(
    transport: &dyn Transport,
    to: NodeId,
    message: Vec<u8>,
) -> Result<Reply, TransportError> {
    let answer = transport.raft(to, message).await?;
    match decode(&answer) {
        Ok((reply, _)) => Ok(reply),
        Err(why) => Err(TransportError::Lost { to, why }),
    }
}

/// When each node last answered this leader: term, and the moment at which it was asked.
#[derive(Clone, Default)]
pub(crate) struct Acks {
    nodes: Arc<Mutex<BTreeMap<NodeId, (u64, Mono)>>>,
}

impl Acks {
    fn note(&self, node: NodeId, term: u64, asked: Mono) {
        let mut nodes = self.nodes.lock().expect("no panic while held");
        nodes.insert(node, (term, asked));
    }

    /// When this node was last asked something that it answered.
    pub(crate) fn of(&self, node: NodeId) -> Option<Mono> {
        let nodes = self.nodes.lock().expect("no panic while held");
        nodes.get(&node).map(|(_, asked)| *asked)
    }

    /// The last moment at which a majority of these voters followed `me` in this term.
    pub(crate) fn majority(
        &self,
        me: NodeId,
        term: u64,
        joint: &[BTreeSet<NodeId>],
        now: Mono,
    ) -> Option<Mono> {
        let nodes = self.nodes.lock().expect("no panic while held");
        let asked = |id: &NodeId| match nodes.get(id) {
            _ if *id == me => Some(now),
            Some((seen, asked)) if *seen == term => Some(*asked),
            _ => None,
        };
        let heard = joint.iter().map(|voters| {
            let mut times: Vec<Option<Mono>> = voters.iter().map(asked).collect();
            times.sort_unstable_by(|a, b| b.cmp(a));
            times.get(voters.len() / 2).copied().flatten()
        });
        heard.min().flatten()
    }
}

/// Entries on their way in a long message.
struct Long {
    vote: Vote,
    before: Option<LogId>,
    last: Option<LogId>,
    asked: Mono,
    answer: JoinHandle<Result<Reply, TransportError>>,
}

impl Drop for Long {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Long {
    /// Whether a request asks for nothing but what is on its way, or for that and more.
    fn is_part_of(&self, rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
        self.vote == rpc.vote
            && self.before == rpc.prev_log_id
            && rpc
                .entries
                .iter()
                .any(|entry| Some(entry.log_id) == self.last)
    }
}

/// Makes a line to each node.
#[derive(Clone)]
pub(crate) struct Lines {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) acks: Acks,
    pub(crate) log: Log,
    /// A leader whose disk does nothing for so long falls silent, in milliseconds.
    pub(crate) patience_ms: u64,
}

/// The line to one node.
pub(crate) struct Line {
    to: NodeId,
    transport: Arc<dyn Transport>,
    acks: Acks,
    log: Log,
    patience_ms: u64,
    /// Kept when openraft gives up and asks again.
    long: Option<Long>,
    /// The newest entry that it has said it has.
    has: Option<LogId>,
}

impl RaftNetworkFactory<TypeConfig> for Lines {
    type Network = Line;

    async fn new_client(&mut self, to: NodeId, _: &EmptyNode) -> Line {
        let transport = Arc::clone(&self.transport);
        Line {
            to,
            transport,
            acks: self.acks.clone(),
            log: self.log.clone(),
            patience_ms: self.patience_ms,
            long: None,
            has: None,
        }
    }
}

type RpcError<E = openraft::error::Infallible> = RPCError<NodeId, EmptyNode, RaftError<NodeId, E>>;

impl Line {
    async fn ask(&self, message: &Message, raw: &[u8]) -> Result<Reply, TransportError> {
        ask(self.transport.as_ref(), self.to, message, raw).await
    }

    /// Waits for the answer to the long message. Meanwhile heartbeats go past it, so that nobody takes a leader with much
    /// to say for a silent one. Openraft may give this up at any time; the message stays on its way.
    async fn end_of_long(&mut self) -> (Mono, Option<LogId>, Result<Reply, TransportError>) {
        let (to, lost) = (self.to, |why: &str| TransportError::Lost {
            to: self.to,
            why: why.to_owned(),
        });
        let Some(long) = &mut self.long else {
            return (Mono::now(), None, Err(lost("nothing is on its way")));
        };
        let beats = async {
            loop {
                tokio::time::sleep(BEAT).await;
                let beat = Message::Append(AppendEntriesRequest {
                    vote: long.vote,
                    prev_log_id: None,
                    entries: Vec::new(),
                    leader_commit: None,
                });
                let asked = Mono::now();
                let reply = ask(self.transport.as_ref(), to, &beat, &[]).await;
                if let Ok(Reply::Append(Ok(AppendEntriesResponse::Success))) = reply {
                    self.acks.note(to, long.vote.leader_id.term, asked);
                }
            }
        };
        let reply = tokio::select! {
            ended = &mut long.answer => ended,
            () = beats => return (long.asked, None, Err(lost("heartbeats ended"))),
        };
        let (asked, last) = (long.asked, long.last);
        self.long = None;
        let reply = reply.unwrap_or_else(|e| Err(lost(&e.to_string())));
        (asked, last, reply)
    }

    /// A follower that has said that it has an entry, and lacks it now, was taken back to an older state.
    fn note_what_it_has(
        &mut self,
        response: &AppendEntriesResponse<NodeId>,
        sent: Option<LogId>,
        asked: Option<LogId>,
    ) {
        match response {
            AppendEntriesResponse::Success => self.has = self.has.max(sent),
            AppendEntriesResponse::PartialSuccess(upto) => self.has = self.has.max(*upto),
            AppendEntriesResponse::Conflict if asked <= self.has => {
                tracing::error!(
                    "node {} lacks log entries that it had written before: its disk is an older one, as after the restore of \
                     a machine's snapshot. They are sent again; what it alone had with a node that has failed since is lost: \
                     look at `crm cib log` on another node, and never restore a member's disk, let it join anew",
                    self.to
                );
                self.has = None;
            }
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
        }
    }

    fn odd(&self) -> NetworkError {
        let why = format!("node {} answered something else than was asked", self.to);
        NetworkError::new(&AnyError::error(why))
    }

    fn failed<E: std::error::Error>(e: &TransportError) -> RPCError<NodeId, EmptyNode, E> {
        match e {
            TransportError::Unreachable { .. } => RPCError::Unreachable(Unreachable::new(e)),
            TransportError::Lost { .. } => RPCError::Network(NetworkError::new(e)),
        }
    }
}

impl RaftNetwork<TypeConfig> for Line {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        // Others may write what it can't.
        let busy_ms = self.log.disk().busy_ms(Mono::now());
        if busy_ms > self.patience_ms {
            let why = format!("nothing is said to others: this node's disk hangs for {busy_ms} ms");
            return Err(Unreachable::new(&AnyError::error(why)).into());
        }
        let (vote, before) = (rpc.vote, rpc.prev_log_id);
        let wanted = rpc.entries.last().map(|entry| entry.log_id);
        // A heartbeat goes past what is on its way.
        let beat = rpc.entries.is_empty();
        if !beat {
            self.long = self.long.take().filter(|long| long.is_part_of(&rpc));
        }
        let (asked, last, reply) = if !beat && self.long.is_some() {
            self.end_of_long().await
        } else {
            let asked = Mono::now();
            let bytes = encode(&Message::Append(rpc), &[]);
            if bytes.len() < LONG_BYTES {
                let reply = deliver(self.transport.as_ref(), self.to, bytes).await;
                (asked, wanted, reply)
            } else {
                let (transport, to) = (Arc::clone(&self.transport), self.to);
                self.long = Some(Long {
                    vote,
                    before,
                    last: wanted,
                    asked,
                    answer: tokio::spawn(
                        async move { deliver(transport.as_ref(), to, bytes).await },
                    ),
                });
                self.end_of_long().await
            }
        };
        match reply {
            Ok(Reply::Append(Ok(response))) => {
                if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                    self.acks.note(self.to, vote.leader_id.term, asked);
                }
                self.note_what_it_has(&response, last.or(before), before);
                // What a follower has counts when it is on the leader's disk, too (`log.rs`).
                if let AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) =
                    response
                    && let Some(last) = last.or(before)
                {
                    self.log.disk().holds(last.index).await;
                }
                Ok(match response {
                    // More was asked for meanwhile.
                    AppendEntriesResponse::Success if last != wanted => {
                        AppendEntriesResponse::PartialSuccess(last)
                    }
                    response => response,
                })
            }
            Ok(Reply::Append(Err(e))) => Err(RemoteError::new(self.to, e).into()),
            Ok(_) => Err(self.odd().into()),
            Err(e) => Err(Self::failed(&e)),
        }
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, RpcError<openraft::error::InstallSnapshotError>>
    {
        let why = "snapshots travel whole, in `full_snapshot`";
        Err(NetworkError::new(&AnyError::error(why)).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let message = Message::Snapshot(vote, snapshot.meta);
        let bytes = snapshot.snapshot.into_inner();
        let sent = tokio::time::timeout(option.hard_ttl(), self.ask(&message, &bytes));
        let reply = tokio::select! {
            closed = cancel => return Err(closed.into()),
            reply = sent => reply,
        };
        match reply {
            Ok(Ok(Reply::Snapshot(Ok(response)))) => Ok(response),
            Ok(Ok(Reply::Snapshot(Err(e)))) => Err(RemoteError::new(self.to, e).into()),
            Ok(Ok(_)) => Err(self.odd().into()),
            Ok(Err(e @ TransportError::Unreachable { .. })) => Err(Unreachable::new(&e).into()),
            Ok(Err(e)) => Err(NetworkError::new(&e).into()),
            Err(late) => Err(NetworkError::new(&late).into()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        _: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        match self.ask(&Message::Vote(rpc), &[]).await {
            Ok(Reply::Vote(Ok(response))) => Ok(response),
            Ok(Reply::Vote(Err(e))) => Err(RemoteError::new(self.to, e).into()),
            Ok(_) => Err(self.odd().into()),
            Err(e) => Err(Self::failed(&e)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(PAUSE_MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_as_old_as_its_slowest_member() {
        let acks = Acks::default();
        let ids = |ids: &[u32]| ids.iter().map(|id| NodeId(*id)).collect::<BTreeSet<_>>();
        let heard = |joint: &[BTreeSet<NodeId>]| acks.majority(NodeId(1), 4, joint, Mono(100));
        assert_eq!(heard(&[ids(&[1])]), Some(Mono(100)), "alone");
        assert_eq!(heard(&[ids(&[1, 2, 3])]), None);
        acks.note(NodeId(2), 4, Mono(60));
        acks.note(NodeId(3), 3, Mono(90));
        assert_eq!(
            heard(&[ids(&[1, 2, 3])]),
            Some(Mono(60)),
            "3 is of an older term"
        );
        acks.note(NodeId(3), 4, Mono(80));
        assert_eq!(heard(&[ids(&[1, 2, 3])]), Some(Mono(80)));
        assert_eq!(
            heard(&[ids(&[1, 2, 3]), ids(&[1, 2])]),
            Some(Mono(60)),
            "both of a change"
        );
        assert_eq!(heard(&[ids(&[1, 2, 3, 4, 5])]), Some(Mono(60)));
    }
}
