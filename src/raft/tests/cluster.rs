//! Three nodes in one process. The switchboard between them can cut and delay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::handle::{Config, Raft};
use super::super::store::Store;
use super::super::vocab::{
    Answer, ClientWrite, ClusterChange, Error, Member, MemberRole, Outcome, Timing, TokenRecord,
    Transport, TransportError,
};
use super::identity;
use crate::cib::Command;
use crate::terms::NodeId;
use crate::xml::Element;

mod two_node;

#[derive(Default)]
struct Switchboard {
    nodes: Mutex<BTreeMap<NodeId, Raft>>,
    cut: Mutex<BTreeSet<NodeId>>,
    /// Answers from this node are lost after it has acted.
    mute: Mutex<BTreeSet<NodeId>>,
    /// Long messages take so many milliseconds.
    slow_ms: AtomicU64,
}

struct Line {
    from: NodeId,
    board: Arc<Switchboard>,
}

#[async_trait::async_trait]
impl Transport for Line {
    async fn raft(&self, to: NodeId, message: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let dead = |why: &str| TransportError::Unreachable {
            to,
            why: why.into(),
        };
        let node = self.board.nodes.lock().expect("ok").get(&to).cloned();
        let node = node.ok_or_else(|| dead("not running"))?;
        let cut = |id| self.board.cut.lock().expect("ok").contains(&id);
        if cut(to) || cut(self.from) {
            return Err(dead("cut"));
        }
        let from = self.from;
        let slow_ms = self.board.slow_ms.load(Ordering::SeqCst);
        if slow_ms > 0 && message.len() > 200_000 {
            sleep(Duration::from_millis(slow_ms)).await;
        }
        // As over a real wire, the other side goes on when this one gives up.
        let answer = tokio::spawn(async move { node.receive(from, &message).await });
        let answer = answer.await.map_err(|_| dead("stopped"))?;
        if cut(to) || self.board.mute.lock().expect("ok").contains(&to) {
            return Err(TransportError::Lost {
                to,
                why: "cut".into(),
            });
        }
        Ok(answer)
    }

    fn members(&self, _: &BTreeMap<NodeId, Member>) {}
}

struct Cluster {
    /// Patient enough for a machine that builds something else at the same time.
    timing: Timing,
    board: Arc<Switchboard>,
    dirs: BTreeMap<NodeId, TempDir>,
}

impl Cluster {
    /// The founder alone.
    async fn found() -> Self {
        Self::found_with(Timing::scaled(3)).await
    }

    async fn found_with(timing: Timing) -> Self {
        let cluster = Self {
            timing,
            board: Arc::default(),
            dirs: BTreeMap::new(),
        };
        let cluster = cluster.with_dir(NodeId(1));
        let first = cluster.start(NodeId(1)).await;
        cluster
            .until("founded", || first.local().uuid.is_some())
            .await;
        cluster
    }

    async fn of_three() -> Self {
        Self::of_three_with(Timing::scaled(3)).await
    }

    async fn of_three_with(timing: Timing) -> Self {
        let mut cluster = Self::found_with(timing).await;
        for _ in 0..2 {
            cluster = cluster.join(MemberRole::Voter).await;
        }
        cluster
    }

    fn with_dir(mut self, id: NodeId) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        Store::create(dir.path(), identity(id.0)).expect("created");
        self.dirs.insert(id, dir);
        self
    }

    async fn join(self, role: MemberRole) -> Self {
        let hash = format!("hash {}", self.dirs.len());
        let any = self.any();
        let token = TokenRecord {
            hash: hash.clone(),
            expires_s: 100,
            role,
            used: None,
            remote: None,
        };
        any.change(ClusterChange::AddToken(token))
            .await
            .expect("written");
        let name = format!("n{}", self.dirs.len() + 1);
        let answer = any
            .change(join(&hash, 99, &name, "key"))
            .await
            .expect("written");
        let Outcome::Joined { id } = answer.outcome else {
            panic!("{answer:?}");
        };
        let cluster = self.with_dir(id);
        let node = cluster.start(id).await;
        cluster
            .until("the new member knows itself", || {
                node.local().members.contains_key(&id)
            })
            .await;
        if role.votes() {
            // In the middle of the change, the old voters' majority counts as well.
            let votes = || {
                let metrics = any.inner.core().metrics().borrow().clone();
                let joint = metrics
                    .membership_config
                    .membership()
                    .get_joint_config()
                    .clone();
                joint.len() == 1 && joint[0].contains(&id)
            };
            cluster.until("the new member votes", votes).await;
        }
        cluster
    }

    async fn start(&self, id: NodeId) -> Raft {
        let config = Config {
            dir: self.dirs[&id].path().to_owned(),
            identity: identity(id.0),
            cluster_name: "test".into(),
            name: format!("n{id}").as_str().into(),
            addresses: Vec::new(),
            key: "key".into(),
            timing: Timing {
                write_deadline_ms: 5000,
                ..self.timing
            },
            snapshot_every: 50,
        };
        let line = Line {
            from: id,
            board: Arc::clone(&self.board),
        };
        let raft = Raft::start(config, Arc::new(line)).await.expect("starts");
        self.board
            .nodes
            .lock()
            .expect("ok")
            .insert(id, raft.clone());
        raft
    }

    /// Stops a node as if it had crashed: nobody is told.
    async fn kill(&self, id: NodeId) {
        let node = self.board.nodes.lock().expect("ok").remove(&id);
        node.expect("running").shutdown().await;
    }

    fn node(&self, id: NodeId) -> Raft {
        self.board.nodes.lock().expect("ok")[&id].clone()
    }

    fn any(&self) -> Raft {
        let nodes = self.board.nodes.lock().expect("ok");
        nodes.values().next().expect("one runs").clone()
    }

    fn leader(&self) -> Option<NodeId> {
        let nodes = self.board.nodes.lock().expect("ok");
        let leads = |node: &&Raft| node.leadership().borrow().mine;
        nodes.values().find(leads).map(Raft::node)
    }

    async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < deadline, "{what}: not within 10 s");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_leader(&self) -> NodeId {
        self.until("a leader", || self.leader().is_some()).await;
        self.leader().expect("just seen")
    }
}

fn join(hash: &str, now_s: i64, name: &str, key: &str) -> ClusterChange {
    ClusterChange::Join {
        hash: hash.into(),
        now_s,
        name: name.into(),
        addresses: Vec::new(),
        key: key.into(),
    }
}

/// Adds one to a counter in the CIB, so that what is applied twice can be seen.
fn count() -> Command {
    let pair = Element::new("nvpair")
        .with("id", "count")
        .with("name", "count")
        .with("value", "value++");
    let mut command = Command::modify("crm_config", pair);
    command.flags.score = true;
    command
}

fn set(id: &str, value: &str) -> Command {
    let pair = Element::new("nvpair")
        .with("id", id)
        .with("name", id)
        .with("value", value);
    let set = Element::new("cluster_property_set")
        .with("id", "options")
        .with_child(pair);
    Command::modify("crm_config", set).or_create()
}

fn value(raft: &Raft, id: &str) -> Option<String> {
    let state = raft.local();
    let pair = state.cib.root().find_id(id)?;
    pair.get("value").map(str::to_owned)
}

fn done(answer: &Answer) -> bool {
    matches!(answer.outcome, Outcome::Done(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_writes_and_reads_and_the_loss_of_the_leader_is_survived() {
    let cluster = Cluster::of_three().await;
    for id in 1..=3 {
        let node = cluster.node(NodeId(id));
        let written = node
            .propose(set("word", &format!("from {id}")))
            .await
            .expect("written");
        assert!(done(&written), "{written:?}");
        for reader in 1..=3 {
            let reader = cluster.node(NodeId(reader));
            reader.barrier().await.expect("a majority is there");
            assert_eq!(value(&reader, "word"), Some(format!("from {id}")));
        }
    }
    let state = cluster.any().local();
    let nodes: Vec<_> = state
        .cib
        .section("nodes")
        .expect("there")
        .children()
        .map(|n| n.get("uname"))
        .collect();
    assert_eq!(nodes, [Some("n1"), Some("n2"), Some("n3")]);
    assert_eq!(
        state.history.entries().count(),
        6,
        "three joined, three writes"
    );

    let old = cluster.wait_leader().await;
    let before = cluster
        .any()
        .highest_term()
        .load(std::sync::atomic::Ordering::SeqCst);
    let old_term = cluster.node(old).leadership().borrow().term;
    let began = Instant::now();
    cluster.kill(old).await;
    let new = cluster.wait_leader().await;
    println!(
        "new leader after {:?} (with closing the old one)",
        began.elapsed()
    );
    assert_ne!(old, new);
    let node = cluster.any();
    assert!(done(
        &node.propose(set("word", "after")).await.expect("written")
    ));
    assert!(
        node.highest_term()
            .load(std::sync::atomic::Ordering::SeqCst)
            > before
    );

    // What the old coordinator wanted is nothing that the new one should have.
    let late = node.propose_in(old_term, set("word", "late")).await;
    assert!(!done(&late.expect("answered")));
    assert_eq!(
        value(&cluster.node(new), "word"),
        Some("after".into()),
        "refused"
    );
    let term = cluster.node(new).leadership().borrow().term;
    let written = node.propose_in(term, set("other", "in time")).await;
    assert!(done(&written.expect("written")));

    let back = cluster.start(old).await;
    back.barrier().await.expect("it follows");
    assert_eq!(value(&back, "word"), Some("after".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_a_lease_arrives_and_the_leader_stays() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.wait_leader().await;
    let node = cluster.node(leader);
    let term = node.leadership().borrow().term;
    cluster.board.slow_ms.store(2500, Ordering::SeqCst);
    let long = "x".repeat(1 << 20);
    let (long, short) = tokio::join!(node.propose(set("long", &long)), async {
        sleep(Duration::from_millis(500)).await;
        node.propose(set("short", "after it")).await
    });
    assert!(done(&long.expect("written")) && done(&short.expect("written")));
    let now = *node.leadership().borrow();
    assert!(now.mine && now.term == term, "{now:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_counts_before_it_is_on_the_leaders_disk_and_one_that_hangs_costs_the_lead() {
    let cluster = Cluster::of_three().await;
    let old = cluster.wait_leader().await;
    let node = cluster.node(old);
    let first = node.propose(set("count", "0")).await;
    assert!(done(&first.expect("written")));
    let before = node.inner.log.last();
    let hangs = &node.inner.store.health().hangs;
    hangs.store(true, Ordering::SeqCst);
    let writer = node.clone();
    let writing = tokio::spawn(async move { writer.propose(count()).await });
    let others = (1..=3).map(NodeId).filter(|id| *id != old);
    let others: Vec<Raft> = others.map(|id| cluster.node(id)).collect();
    let have = || others.iter().all(|other| other.inner.log.last() > before);
    cluster.until("the others have the entry", have).await;
    // Time enough for their word to arrive, and far too little for an election.
    sleep(Duration::from_millis(300)).await;
    let counted = Some("1".to_owned());
    assert!(
        !writing.is_finished() && others.iter().all(|other| value(other, "count") != counted),
        "counted before it is on the leader's disk"
    );
    cluster
        .until("another leader", || {
            others.iter().any(|other| other.leadership().borrow().mine)
        })
        .await;
    cluster
        .until("the old one sees that nobody follows", || {
            !node.leadership().borrow().mine
        })
        .await;
    let new = others.iter().find(|other| other.leadership().borrow().mine);
    let written = new.expect("one leads").propose(count()).await;
    assert!(done(&written.expect("written without the one that hangs")));
    hangs.store(false, Ordering::SeqCst);
    writing.await.expect("no panic").expect("written");
    for node in others.iter().chain([&node]) {
        node.barrier().await.expect("all are there");
        assert_eq!(value(node, "count"), Some("2".into()), "each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_older_disk_harms_nobody_and_catches_up() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.wait_leader().await;
    let node = cluster.node(leader);
    assert!(done(
        &node.propose(set("word", "old")).await.expect("written")
    ));
    let other = (1..=3).map(NodeId).find(|id| *id != leader);
    let other = other.expect("three nodes");
    let dir = cluster.dirs[&other].path();
    let older = TempDir::new().expect("a temporary directory");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        for file in ["raft.redb", "raft.tail"] {
            std::fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    };
    cluster.kill(other).await;
    copy(dir, older.path());
    let back = cluster.start(other).await;
    for round in 0..20 {
        let written = node.propose(set("word", &round.to_string())).await;
        assert!(done(&written.expect("written")));
    }
    back.barrier().await.expect("it has all of it");
    cluster.kill(other).await;
    copy(older.path(), dir);
    let back = cluster.start(other).await;
    let newest = || value(&back, "word").as_deref() == Some("19");
    cluster.until("it has caught up", newest).await;
    let written = node.propose(set("word", "new")).await;
    assert!(done(&written.expect("the leader still leads")));
    assert!(node.leadership().borrow().mine);
    back.barrier().await.expect("it follows");
    assert_eq!(value(&back, "word"), Some("new".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_fails_stops_and_says_why() {
    let cluster = Cluster::of_three().await;
    let old = cluster.wait_leader().await;
    let node = cluster.node(old);
    node.inner
        .store
        .health()
        .fails
        .store(true, Ordering::SeqCst);
    let writer = node.clone();
    let writing = tokio::spawn(async move { writer.propose(set("word", "lost?")).await });
    let why = tokio::time::timeout(Duration::from_secs(5), node.stopped()).await;
    let why = why.expect("it stops at once");
    assert!(why.contains("on purpose"), "{why}");
    assert!(writing.await.expect("no panic").is_err());
    cluster.kill(old).await;
    let new = cluster.wait_leader().await;
    let written = cluster.node(new).propose(set("word", "after")).await;
    assert!(done(&written.expect("written")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_applied_once_although_it_is_repeated_over_changes_of_leader() {
    let cluster = Cluster::of_three().await;
    let first = cluster.any();
    assert!(done(
        &first.propose(set("count", "0")).await.expect("written")
    ));
    let client = Uuid::from_u128(5);
    let mut written = 0;
    for round in 0..6_u64 {
        let leader = cluster.wait_leader().await;
        let other = NodeId(leader.0 % 3 + 1);
        // The leader acts, but its answers are lost; then it is gone.
        cluster.board.mute.lock().expect("ok").insert(leader);
        let writer = cluster.node(other);
        let write = ClientWrite::cib(client, round + 1, count());
        let again = writer.clone();
        let repeated = write.clone();
        let task = tokio::spawn(async move { again.write(repeated).await });
        sleep(Duration::from_millis(50)).await;
        cluster.board.cut.lock().expect("ok").insert(leader);
        let answer = task.await.expect("no panic").expect("another one leads");
        assert!(done(&answer), "{answer:?}");
        written += 1;
        // And once more by a client that did not trust the answer.
        assert_eq!(writer.write(write).await.expect("remembered"), answer);
        assert_eq!(value(&writer, "count"), Some(written.to_string()));
        cluster.board.cut.lock().expect("ok").clear();
        cluster.board.mute.lock().expect("ok").clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_neither_writes_nor_disturbs_on_return() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.wait_leader().await;
    let lonely = cluster.node(NodeId(leader.0 % 3 + 1));
    cluster.board.cut.lock().expect("ok").insert(lonely.node());
    sleep(Duration::from_millis(3000)).await;
    let term = cluster.node(leader).leadership().borrow().term;
    assert_eq!(lonely.leadership().borrow().leader, None);
    cluster.board.cut.lock().expect("ok").clear();
    lonely.barrier().await.expect("it is back");
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(
        lonely.leadership().borrow().term,
        term,
        "no election for nothing"
    );

    // A leader that is cut off stops leading by itself, and its writes are not acknowledged.
    cluster.board.cut.lock().expect("ok").insert(leader);
    let deposed = cluster.node(leader);
    let write = deposed.propose(set("lost", "1")).await;
    assert!(matches!(write, Err(Error::Unknown(_))), "{write:?}");
    assert!(!deposed.leadership().borrow().mine);
    assert!(deposed.barrier().await.is_err());
    let other = cluster.node(cluster.wait_leader().await);
    assert_ne!(other.node(), leader);
    assert!(done(
        &other.propose(set("kept", "1")).await.expect("written")
    ));
    cluster.board.cut.lock().expect("ok").clear();
    deposed.barrier().await.expect("it is back");
    assert_eq!(value(&deposed, "kept"), Some("1".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_by_token_once_and_go() {
    let cluster = Cluster::of_three().await.join(MemberRole::Learner).await;
    let node = cluster.node(NodeId(2));
    let refused = |answer: Answer, text: &str| {
        let message = answer.outcome.message().expect("refused");
        assert!(message.contains(text), "{message}");
    };
    let ask = async |change| node.change(change).await.expect("answered");
    refused(
        ask(join("no such", 1, "n9", "k")).await,
        "does not know the token",
    );
    refused(
        ask(join("hash 1", 1, "n9", "another key")).await,
        "was used by node 2",
    );
    let again = ask(join("hash 1", 1, "n2", "key")).await;
    assert_eq!(again.outcome, Outcome::Joined { id: NodeId(2) });
    let token = TokenRecord {
        hash: "late".into(),
        expires_s: 10,
        role: MemberRole::Voter,
        used: None,
        remote: None,
    };
    ask(ClusterChange::AddToken(token)).await;
    refused(ask(join("late", 15, "n9", "k")).await, "expired 5 s ago");
    let voters = || {
        cluster
            .node(NodeId(2))
            .inner
            .core()
            .metrics()
            .borrow()
            .membership_config
            .membership()
            .voter_ids()
            .map(|id| id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(voters(), [1, 2, 3]);

    // Even the leader can be removed.
    let leader = cluster.wait_leader().await;
    let stays = cluster.node(NodeId(leader.0 % 3 + 1));
    let gone = stays
        .change(ClusterChange::Remove {
            id: leader,
            now_s: 1,
        })
        .await;
    assert!(done(&gone.expect("answered")));
    let inner = Arc::clone(&stays.inner);
    let nodes = || {
        inner
            .core()
            .metrics()
            .borrow()
            .membership_config
            .membership()
            .nodes()
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
    };
    cluster
        .until("it is out", || !nodes().contains(&leader))
        .await;
    cluster.kill(leader).await;
    let state = stays.barrier().await.expect("the others go on");
    assert!(state.was_removed(leader));
    assert_eq!(state.next_id, NodeId(5), "its id stays used");
    assert!(
        state
            .cib
            .section("nodes")
            .expect("there")
            .find_id(&leader.to_string())
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_learner_gets_a_snapshot_and_a_restart_starts_from_one() {
    let cluster = Cluster::found().await;
    let first = cluster.node(NodeId(1));
    for round in 0..1400 {
        first
            .propose(set("round", &round.to_string()))
            .await
            .expect("written");
    }
    let purged = || first.inner.core().metrics().borrow().purged.is_some();
    cluster.until("the log is cut", purged).await;
    let cluster = cluster.join(MemberRole::Learner).await;
    let learner = cluster.node(NodeId(2));
    assert_eq!(value(&learner, "round"), Some("1399".into()));
    let entries = learner.local().history.entries().count();
    assert_eq!(entries, 500);
    assert!(learner.inner.core().metrics().borrow().snapshot.is_some());

    cluster.kill(NodeId(2)).await;
    cluster.kill(NodeId(1)).await;
    let term = {
        let first = cluster.start(NodeId(1)).await;
        cluster.wait_leader().await;
        assert_eq!(value(&first, "round"), Some("1399".into()));
        first.leadership().borrow().term
    };
    assert!(term.0 >= 2, "it had to win an election again");
    assert_eq!(cluster.any().local().uuid, Some(Uuid::from_u128(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.wait_leader().await;
    let to = NodeId(leader.0 % 3 + 1);
    let began = Instant::now();
    cluster
        .node(leader)
        .step_down(Some(to))
        .await
        .expect("taken over");
    println!("handed over in {:?}", began.elapsed());
    cluster
        .until("the new one leads", || cluster.leader() == Some(to))
        .await;
    assert!(cluster.node(leader).step_down(None).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency() {
    let cluster = Cluster::of_three_with(Timing::default()).await;
    let leader = cluster.node(cluster.wait_leader().await);
    let mut times = Vec::new();
    for round in 0..200 {
        let began = Instant::now();
        leader
            .propose(set("round", &round.to_string()))
            .await
            .expect("written");
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "write at the leader: median {:?}, p95 {:?}",
        times[100], times[190]
    );
    let mut times = Vec::new();
    for _ in 0..5 {
        let old = cluster.wait_leader().await;
        cluster.board.cut.lock().expect("ok").insert(old);
        let began = Instant::now();
        let leads = |id: u32| cluster.node(NodeId(id)).leadership().borrow().mine;
        while !(1..=3).any(|id| NodeId(id) != old && leads(id)) {
            sleep(Duration::from_millis(1)).await;
        }
        times.push(began.elapsed());
        cluster.board.cut.lock().expect("ok").clear();
        cluster.node(old).barrier().await.expect("back");
    }
    times.sort();
    println!("cut leader to new one: {times:?}");
}
