//! The rest of the daemon's hold on raft: write, read, listen, change members, hand over.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{EmptyNode, ServerState, SnapshotPolicy};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::cores::Cores;
use super::log::Log;
use super::machine::Machine;
use super::network::{Acks, Lines, Message, Reply, ask, decode, encode};
use super::state::State;
use super::store::{Identity, Store};
use super::survivor::TwoNode;
use super::types::{Core, Request};
use super::vocab::{
    Answer, Body, Change, ClientWrite, ClusterChange, Error, Leadership, Timing, Transport,
    TransportError,
};
use crate::cib::Command;
use crate::clock::Mono;
use crate::terms::{NodeId, NodeName, Term};

/// A single write may have this many bytes (JSON, XML inside).
const WRITE_BYTES: usize = 32 << 20;
/// Writes that wait for the leader's next entry; a writer waits when it is full.
const QUEUE: usize = 1024;
/// Writes that share an entry.
const BATCH: usize = 128;
/// One attempt to reach the leader; then it is asked again, or the next one.
const ATTEMPT: Duration = Duration::from_secs(2);
/// A long write may take longer: a slow network carries so much.
const SLOWEST_BYTES_PER_MS: u64 = 1000;
/// How long a leader that hands over stays silent if nobody takes over.
pub(super) const RESIGN_MS: u64 = 3000;
/// A snapshot must be sent and installed within this time.
const SNAPSHOT_MS: u64 = 60_000;
/// Entries kept behind a snapshot, so that a follower that was away for a moment needs no snapshot.
const KEEP: u64 = 500;

/// What raft needs to know at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's data directory.
    pub dir: PathBuf,
    /// Whose data it must hold.
    pub identity: Identity,
    /// The cluster's name, used when the cluster is founded.
    pub cluster_name: String,
    /// This node as a member, used when the cluster is founded.
    pub name: NodeName,
    /// Where it listens, likewise.
    pub addresses: Vec<std::net::SocketAddr>,
    /// SHA-256 of its public key, likewise.
    pub key: String,
    /// How long is long.
    pub timing: Timing,
    /// A snapshot is made after so many entries.
    pub snapshot_every: u64,
}

/// The handle. Clones share everything.
#[derive(Clone)]
pub struct Raft {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) me: NodeId,
    pub(super) config: Config,
    pub(super) cores: Cores,
    pub(super) two_node: TwoNode,
    /// The transport without its gate: what two nodes say to each other while raft must not.
    pub(super) wire: Arc<dyn Transport>,
    pub(super) lines: Lines,
    pub(super) log: Log,
    pub(super) machine: Machine,
    pub(super) state: watch::Receiver<Arc<State>>,
    pub(super) store: Store,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) client: Uuid,
    pub(super) seq: AtomicU64,
    pub(super) batch: mpsc::Sender<Waiting>,
    /// When a leader was last heard.
    pub(super) heard: AtomicU64,
    /// Whom this node last promised its vote (perhaps itself), and when.
    pub(super) promised: Mutex<Option<(NodeId, Mono)>>,
    pub(super) acks: Acks,
    pub(super) resigned_until: AtomicU64,
    pub(super) stop: watch::Sender<bool>,
}

pub(super) struct Waiting {
    write: ClientWrite,
    done: oneshot::Sender<Submitted>,
}

/// What became of a write that was given to this node as leader.
pub(super) enum Submitted {
    Answered(Answer),
    /// Not taken; perhaps this node knows better.
    NotLeader(Option<NodeId>),
    /// Taken, but then leadership was lost: it may still be applied.
    Lost,
    Stopped(String),
}

impl Raft {
    /// Opens the data directory, checks it, and takes part in the cluster.
    ///
    /// # Errors
    /// Names the damaged or foreign file.
    pub async fn start(config: Config, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let identity = config.identity;
        let me = identity.node;
        let dir = config.dir.clone();
        let opened =
            tokio::task::spawn_blocking(move || Store::open_with_contents(&dir, Some(&identity)));
        let (store, contents) = opened.await.map_err(|e| Error::Stopped(e.to_string()))??;
        let mut log = Log::new(store.clone(), &contents);
        let contents_proof = contents.peer_dead.clone();
        let machine = Machine::new(store.clone(), contents)?;
        log.forget_leading(me).await?;

        let (two_node, todo) = TwoNode::new(contents_proof);
        let wire = transport;
        let transport: Arc<dyn Transport> = Arc::new(two_node.gated(&wire));
        let lines = Lines {
            transport: Arc::clone(&transport),
            acks: Acks::default(),
            log: log.clone(),
            patience_ms: config.timing.lease_ms,
        };
        let acks = lines.acks.clone();
        let core = Core::new(
            me,
            Arc::new(core_config(&config)?),
            lines.clone(),
            log.clone(),
            machine.clone(),
        )
        .await
        .map_err(|e| Error::Stopped(e.to_string()))?;
        if identity.founder && !initialized(&core).await? {
            let alone = BTreeMap::from([(me, EmptyNode {})]);
            core.initialize(alone)
                .await
                .map_err(|e| Error::Stopped(e.to_string()))?;
        }

        let (batch, queue) = mpsc::channel(QUEUE);
        let inner = Arc::new(Inner {
            me,
            config,
            cores: Cores::new(core),
            two_node,
            wire,
            lines,
            log,
            state: machine.state(),
            machine,
            store,
            transport,
            leadership: watch::Sender::new(Leadership::default()),
            client: Uuid::new_v4(),
            seq: AtomicU64::new(0),
            batch,
            heard: AtomicU64::new(Mono::now().0),
            promised: Mutex::new(None),
            acks,
            resigned_until: AtomicU64::new(0),
            stop: watch::Sender::new(false),
        });
        let raft = Self { inner };
        raft.inner.tell_members();
        raft.inner.reseat();
        tokio::spawn(super::survivor::run(Arc::clone(&raft.inner), todo));
        tokio::spawn(Arc::clone(&raft.inner).batcher(queue));
        tokio::spawn(super::drive::run(Arc::clone(&raft.inner)));
        tokio::spawn(super::drive::end_with_the_disk(Arc::clone(&raft.inner)));
        tokio::spawn(super::drive::name_a_hanging_disk(Arc::clone(&raft.inner)));
        tokio::spawn(super::drive::keep_members(Arc::clone(&raft.inner)));
        Ok(raft)
    }

    /// For how long this node's disk has got nothing done of what it was given, in milliseconds; 0 when it rests.
    pub fn disk_busy_ms(&self) -> u64 {
        self.inner.log.disk().busy_ms(Mono::now())
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.inner.me
    }

    /// Writes and waits until the write is applied. Tried again over changes of leader until the
    /// deadline; applied once, however often it is tried.
    ///
    /// # Errors
    /// `NoLeader`: certainly not written. `Unknown`: perhaps written.
    pub async fn write(&self, write: ClientWrite) -> Result<Answer, Error> {
        let deadline = self.inner.deadline();
        self.write_until(write, deadline).await
    }

    /// Writes a CIB command in the name of this daemon.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub async fn propose(&self, command: Command) -> Result<Answer, Error> {
        let (client, seq) = self.next_write();
        self.write(ClientWrite::cib(client, seq, command)).await
    }

    /// The same for who coordinates in a term: what of it arrives in a later one is refused.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub async fn propose_in(&self, term: Term, command: Command) -> Result<Answer, Error> {
        let (client, seq) = self.next_write();
        self.write(ClientWrite::cib(client, seq, command).in_term(term))
            .await
    }

    /// Changes the cluster itself, in the name of this daemon.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub async fn change(&self, change: ClusterChange) -> Result<Answer, Error> {
        let (client, seq) = self.next_write();
        self.write(ClientWrite::cluster(client, seq, change)).await
    }

    /// A fresh identity for one write of this daemon.
    pub fn next_write(&self) -> (Uuid, u64) {
        let seq = self.inner.seq.fetch_add(1, Ordering::Relaxed) + 1;
        (self.inner.client, seq)
    }

    async fn write_until(&self, write: ClientWrite, deadline: Instant) -> Result<Answer, Error> {
        let inner = &self.inner;
        let mut patience = ATTEMPT;
        if let Body::Cib(command) = &write.body {
            let bytes = serde_json::to_vec(command).map_or(usize::MAX, |json| json.len());
            if bytes > WRITE_BYTES {
                return Err(Error::TooLarge(bytes, WRITE_BYTES));
            }
            patience += Duration::from_millis(bytes as u64 / SLOWEST_BYTES_PER_MS);
        }
        let mut leadership = inner.leadership.subscribe();
        let mut perhaps = false;
        let mut hint = None;
        loop {
            let leader = hint.take().or_else(|| inner.leader());
            let attempt = async {
                match leader {
                    Some(leader) if leader == inner.me => inner.submit(write.clone()).await,
                    Some(leader) => inner.forward(leader, &write, &mut perhaps).await,
                    None => std::future::pending().await,
                }
            };
            // A change of leader ends an attempt: the old one may never answer. What this node has in its own log is not
            // said twice as long as it leads.
            leadership.borrow_and_update();
            let end = match leader {
                Some(leader) if leader == inner.me => deadline,
                _ => deadline.min(Instant::now() + patience),
            };
            let tried = tokio::select! {
                tried = timeout_at(end, attempt) => tried.ok(),
                () = moved_on(&mut leadership, leader) => None,
            };
            match tried {
                Some(Submitted::Answered(answer)) => return Ok(answer),
                Some(Submitted::NotLeader(other)) => hint = other.filter(|id| Some(*id) != leader),
                Some(Submitted::Lost) => perhaps = true,
                Some(Submitted::Stopped(why)) if leader == Some(inner.me) => {
                    return Err(Error::Stopped(why));
                }
                Some(Submitted::Stopped(_)) => {}
                None => perhaps |= leader.is_some(),
            }
            if Instant::now() >= deadline {
                let waited = inner.config.timing.write_deadline_ms;
                return Err(if perhaps {
                    Error::Unknown(waited)
                } else {
                    Error::NoLeader(waited)
                });
            }
            if *inner.stop.borrow() {
                return Err(Error::Stopped("the daemon is stopping".into()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The state, not older than the moment of the call, whichever node is asked.
    ///
    /// # Errors
    /// `NoLeader` when no majority confirmed it in time.
    pub async fn barrier(&self) -> Result<Arc<State>, Error> {
        let inner = &self.inner;
        let deadline = inner.deadline();
        let mut leadership = inner.leadership.subscribe();
        loop {
            let leader = inner.leader();
            let attempt = async {
                match leader {
                    Some(leader) if leader == inner.me => inner.read_index().await,
                    Some(leader) => {
                        match ask(inner.transport.as_ref(), leader, &Message::Barrier, &[]).await {
                            Ok(Reply::Barrier(index)) => Some(index),
                            _ => None,
                        }
                    }
                    None => std::future::pending().await,
                }
            };
            leadership.borrow_and_update();
            let index = tokio::select! {
                tried = timeout_at(deadline.min(Instant::now() + ATTEMPT), attempt) => {
                    tried.ok().flatten()
                }
                () = moved_on(&mut leadership, leader) => None,
            };
            if let Some(index) = index {
                let mut state = inner.state.clone();
                let applied = state.wait_for(|state| state.index >= index);
                if let Ok(Ok(state)) = timeout_at(deadline, applied).await {
                    return Ok(Arc::clone(&state));
                }
            }
            if Instant::now() >= deadline || *inner.stop.borrow() {
                return Err(Error::NoLeader(inner.config.timing.write_deadline_ms));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The newest state that this node has applied; it may be behind.
    pub fn local(&self) -> Arc<State> {
        Arc::clone(&self.inner.state.borrow())
    }

    /// Wakes whenever [`Self::local`] changes.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.machine.state()
    }

    /// Every change from now on, in order.
    pub fn subscribe(&self) -> Changes {
        Changes {
            changes: self.inner.machine.changes(),
        }
    }

    /// Who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// The newest term, raised before a vote for it is on disk or answered: orders of older terms are
    /// void from that moment on.
    pub fn highest_term(&self) -> Arc<AtomicU64> {
        self.inner.log.highest_term()
    }

    /// Whose majority counts: one set of voters, or two while members change.
    pub fn voters(&self) -> Vec<std::collections::BTreeSet<NodeId>> {
        let metrics = self.inner.core().metrics().borrow().clone();

        metrics
            .membership_config
            .membership()
            .get_joint_config()
            .clone()
    }

    /// How long ago a majority last answered this leader; none when it does not lead.
    pub fn quorum_age_ms(&self) -> Option<u64> {
        self.inner.acked().map(|at| Mono::now().since(at))
    }

    /// Has this node been taken out of the cluster, as far as it knows?
    pub fn removed(&self) -> bool {
        self.local().was_removed(self.inner.me)
    }

    /// Hands leadership to `to`, or to the voter that is closest. Returns once someone else leads, or
    /// refuses when nobody took over in time; then this node goes on leading.
    ///
    /// # Errors
    /// `Refused` with the reason.
    pub async fn step_down(&self, to: Option<NodeId>) -> Result<(), Error> {
        Arc::clone(&self.inner).step_down(to).await
    }

    /// The node that raft follows now has a message: what a peer's [`Transport::raft`] sent. `from` is
    /// the node to which the peer's certificate belongs.
    pub async fn receive(&self, from: NodeId, bytes: &[u8]) -> Vec<u8> {
        let reply = match decode::<Message>(bytes) {
            Ok((message, raw)) => self.inner.answer(from, message, raw).await,
            Err(why) => Reply::Refused(format!("message from node {from} not understood: {why}")),
        };
        encode(&reply, &[])
    }

    /// Completes when raft has stopped by itself after an error that it cannot survive, with the reason.
    pub fn stopped(&self) -> impl Future<Output = String> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move {
            let (mut core, mut number) = (inner.core(), inner.cores.number());
            loop {
                let why = ended(&core).await;
                match inner.cores.after(number).await {
                    Some((next, at)) => (core, number) = (next, at),
                    None => return why,
                }
            }
        }
    }

    /// Stops and closes the files. Does not hand over leadership; see [`Self::step_down`].
    pub async fn shutdown(&self) {
        self.inner.stop.send_replace(true);
        if let Err(e) = self.inner.core().shutdown().await {
            tracing::warn!("raft did not stop cleanly: {e}");
        }
        let store = self.inner.store.clone();
        // Joining the writer's thread blocks.
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            tracing::warn!("the store did not close cleanly");
        }
    }
}

/// Changes as they are applied here.
pub struct Changes {
    changes: broadcast::Receiver<Arc<Change>>,
}

impl Changes {
    /// The next change. `Err(n)`: this subscriber was too slow and has missed `n` of them; it must look
    /// at the whole state again. `Ok(None)`: raft has stopped.
    ///
    /// # Errors
    /// The number of missed changes.
    pub async fn next(&mut self) -> Result<Option<Arc<Change>>, u64> {
        match self.changes.recv().await {
            Ok(change) => Ok(Some(change)),
            Err(broadcast::error::RecvError::Closed) => Ok(None),
            Err(broadcast::error::RecvError::Lagged(missed)) => Err(missed),
        }
    }
}

pub(super) fn core_config(config: &Config) -> Result<openraft::Config, Error> {
    let timing = config.timing;
    let core = openraft::Config {
        cluster_name: config.cluster_name.clone(),
        // Heartbeats and elections are ours (`election.rs`). What remains: the first value bounds one
        // message to a follower, the last one is the time for which a voter stays with its leader.
        heartbeat_interval: timing.lease_ms.saturating_sub(50).max(50),
        election_timeout_min: timing.lease_ms.saturating_sub(1),
        election_timeout_max: timing.lease_ms,
        enable_heartbeat: false,
        enable_elect: false,
        install_snapshot_timeout: SNAPSHOT_MS,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_every),
        max_in_snapshot_log_to_keep: KEEP,
        replication_lag_threshold: config.snapshot_every.max(KEEP) * 2,
        purge_batch_size: 64,
        ..openraft::Config::default()
    };
    core.validate()
        .map_err(|e| Error::Refused(format!("bad timing: {e}")))
}

async fn initialized(core: &Core) -> Result<bool, Error> {
    core.is_initialized()
        .await
        .map_err(|e| Error::Stopped(e.to_string()))
}

/// Completes when another node leads than `leader`.
async fn moved_on(leadership: &mut watch::Receiver<Leadership>, leader: Option<NodeId>) {
    let elsewhere = |now: &Leadership| now.leader.is_some() && now.leader != leader;
    // What it returns is a lock, which must not live on.
    let gone = leadership.wait_for(elsewhere).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}

/// Completes when this core has stopped by itself, with the reason.
async fn ended(core: &Core) -> String {
    let mut metrics = core.metrics();
    loop {
        if let Err(fatal) = &metrics.borrow_and_update().running_state {
            return fatal.to_string();
        }
        if metrics.changed().await.is_err() {
            return "shut down".into();
        }
    }
}

impl Inner {
    pub(super) fn core(&self) -> Core {
        self.cores.get()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.timing.write_deadline_ms)
    }

    fn leader(&self) -> Option<NodeId> {
        self.core().metrics().borrow().current_leader
    }

    /// Gives a write to this node's own core.
    pub(super) async fn submit(&self, write: ClientWrite) -> Submitted {
        let (done, answer) = oneshot::channel();
        if self.batch.send(Waiting { write, done }).await.is_err() {
            return Submitted::Stopped("the daemon is stopping".into());
        }
        answer.await.unwrap_or(Submitted::Lost)
    }

    async fn forward(&self, to: NodeId, write: &ClientWrite, perhaps: &mut bool) -> Submitted {
        let message = Message::Write(write.clone());
        match ask(self.transport.as_ref(), to, &message, &[]).await {
            Ok(Reply::Written(answer)) => Submitted::Answered(answer),
            Ok(Reply::NotLeader(hint)) => Submitted::NotLeader(hint),
            Ok(_) => Submitted::Lost,
            Err(TransportError::Unreachable { .. }) => Submitted::NotLeader(None),
            Err(TransportError::Lost { .. }) => {
                *perhaps = true;
                Submitted::Lost
            }
        }
    }

    /// Whatever waits becomes one entry: under load, many writes share one wait for the disks.
    async fn batcher(self: Arc<Self>, mut queue: mpsc::Receiver<Waiting>) {
        let mut stop = self.stop.subscribe();
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                count = queue.recv_many(&mut waiting, BATCH) => if count == 0 { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let (writes, done): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|w| (w.write, w.done)).unzip();
            let leads = self.core().metrics().borrow().state == ServerState::Leader;
            if !leads {
                let hint = self.leader().filter(|id| *id != self.me);
                answer_all(done, || Submitted::NotLeader(hint));
                continue;
            }
            let number = self.cores.number();
            let core = self.core();
            let written = tokio::select! {
                written = core.client_write(Request(writes)) => written,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match written {
                Ok(response) => {
                    for (answer, done) in response.data.0.into_iter().zip(done) {
                        let _ = done.send(Submitted::Answered(answer));
                    }
                }
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    answer_all(done, || Submitted::Lost);
                }
                // Raft was restarted: the entry is in the log, or not.
                Err(_) if self.cores.number() != number => {
                    answer_all(done, || Submitted::Lost);
                }
                Err(e) => {
                    let why = e.to_string();
                    answer_all(done, || Submitted::Stopped(why.clone()));
                }
            }
        }
    }

    /// Up to where a reader must have applied the log; none when this node does not lead (any more).
    async fn read_index(&self) -> Option<u64> {
        let (read, _) = self.core().get_read_log_id().await.ok()?;
        Some(read.map_or(0, |id| id.index))
    }

    async fn answer(self: &Arc<Self>, from: NodeId, message: Message, raw: &[u8]) -> Reply {
        let claims = |vote: &super::types::Vote| vote.leader_id.voted_for == Some(from);
        if !self.two_node.open() && !matches!(message, Message::Hello(_)) {
            return Reply::Refused(format!(
                "node {} takes no part before it has met its peer",
                self.me
            ));
        }
        match message {
            Message::Hello(hello) => self.asked(from, hello),
            Message::Append(rpc) if claims(&rpc.vote) => {
                let current = rpc.vote.leader_id.term;
                let reply = self.core().append_entries(rpc).await;
                if reply.is_ok() && current >= self.term() {
                    self.hear();
                }
                Reply::Append(reply)
            }
            Message::Vote(rpc) if claims(&rpc.vote) => {
                let reply = self.core().vote(rpc).await;
                if matches!(&reply, Ok(response) if response.vote_granted) {
                    self.promise(from);
                }
                Reply::Vote(reply)
            }
            Message::Snapshot(vote, meta) if claims(&vote) => {
                self.hear();
                let snapshot = openraft::storage::Snapshot {
                    meta,
                    snapshot: Box::new(std::io::Cursor::new(raw.to_vec())),
                };
                // Goes on although the sender may give up: half an installation helps nobody.
                let core = self.core();
                let installed =
                    tokio::spawn(async move { core.install_full_snapshot(vote, snapshot).await });
                match installed.await {
                    Ok(reply) => Reply::Snapshot(reply),
                    Err(e) => Reply::Refused(e.to_string()),
                }
            }
            Message::Append(_) | Message::Vote(_) | Message::Snapshot(..) => {
                Reply::Refused(format!("node {from} speaks in another node's name"))
            }
            Message::WouldVote(question) => Reply::WouldVote(self.would_vote(from, &question)),
            Message::Write(write) => match self.submit(write).await {
                Submitted::Answered(answer) => Reply::Written(answer),
                Submitted::NotLeader(hint) => Reply::NotLeader(hint),
                Submitted::Lost => Reply::Refused("leadership was lost".into()),
                Submitted::Stopped(why) => Reply::Refused(why),
            },
            Message::Barrier => match self.read_index().await {
                Some(index) => Reply::Barrier(index),
                None => Reply::NotLeader(self.leader().filter(|id| *id != self.me)),
            },
            Message::TakeOver => {
                let inner = Arc::clone(self);
                tokio::spawn(async move { inner.take_over().await });
                Reply::TakingOver
            }
        }
    }

    pub(super) fn hear(&self) {
        self.heard.fetch_max(Mono::now().0, Ordering::Relaxed);
    }
}

fn answer_all(done: Vec<oneshot::Sender<Submitted>>, mut answer: impl FnMut() -> Submitted) {
    for done in done {
        // A writer that has gone does not want to know.
        let _ = done.send(answer());
    }
}
