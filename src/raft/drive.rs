//! The tasks that keep a node's part in raft going: heartbeats and elections, the published leadership,
//! and the leader's care for who votes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::election::{Election, Step, View, would_vote};
use super::handle::{Inner, RESIGN_MS};
use super::membership;
use super::network::{Message, Reply, WouldVote, ask};
use super::types::{Metrics, term_of};
use super::vocab::{ClientWrite, ClusterChange, Error, Leadership, Member, MemberRole};
use crate::clock::{self, Mono};
use crate::terms::{NodeId, Term};

/// The leader looks at members and voters this often while they differ.
const MEMBERS: Duration = Duration::from_millis(200);

/// Heartbeats, elections, leadership. Ends when raft stops.
pub(super) async fn run(inner: Arc<Inner>) {
    let (mut metrics, mut number) = (inner.core().metrics(), inner.cores.number());
    let mut stop = inner.stop.subscribe();
    let seed = u64::from(inner.me.0) ^ inner.client.as_u64_pair().0;
    let mut election = Election::new(inner.config.timing, seed);
    let mut founding = false;
    loop {
        let now = Mono::now();
        inner.reseat();
        let step = if inner.two_node.open() {
            election.step(now, inner.view())
        } else {
            // Neither heard nor asked, it neither leads nor votes.
            Step::Wait(now.plus(inner.config.timing.heartbeat_ms))
        };
        inner.publish_leadership();
        let wake = match step {
            Step::Wait(at) => at,
            Step::Heartbeat(next) => {
                // If raft has stopped, its metrics say so below.
                let _ = inner.core().trigger().heartbeat().await;
                next
            }
            Step::Elect => {
                inner.stand().await;
                now.plus(inner.config.timing.heartbeat_ms)
            }
            Step::Ask => {
                if inner.agreed().await {
                    inner.stand().await;
                }
                now.plus(inner.config.timing.heartbeat_ms)
            }
        };
        if !founding && inner.leadership.borrow().mine && inner.state.borrow().uuid.is_none() {
            founding = inner.config.identity.founder;
            if founding {
                tokio::spawn(Arc::clone(&inner).found());
            }
        }
        let ended = tokio::select! {
            changed = metrics.changed() => {
                changed.is_err() || metrics.borrow_and_update().running_state.is_err()
            }
            () = sleep(wake.wait_from(Mono::now())) => false,
            _ = stop.wait_for(|stop| *stop) => {
                inner.leadership.send_modify(|now| now.mine = false);
                return;
            }
        };
        if ended {
            inner.leadership.send_modify(|now| now.mine = false);
            let Some((core, next)) = inner.cores.after(number).await else {
                return;
            };
            (metrics, number) = (core.metrics(), next);
        }
    }
}

/// A write of the leader failed that openraft takes for written: the next one, which is a vote, fails as well and ends it.
pub(super) async fn end_with_the_disk(inner: Arc<Inner>) {
    let mut stop = inner.stop.subscribe();
    let failed = tokio::select! {
        () = inner.log.disk().failed() => true,
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if failed {
        // If raft has stopped meanwhile, that is what was wanted.
        let _ = inner.core().trigger().elect().await;
    }
}

/// Says once that the disk hangs, and once that it does not any more: a leader whose disk gets nothing done for a lease says
/// nothing to others (`network.rs`), and somebody else leads.
pub(super) async fn name_a_hanging_disk(inner: Arc<Inner>) {
    let mut stop = inner.stop.subscribe();
    let patience_ms = inner.config.timing.lease_ms;
    let mut hung_ms = 0;
    loop {
        let busy_ms = inner.log.disk().busy_ms(Mono::now());
        if busy_ms > patience_ms && hung_ms == 0 {
            tracing::error!(
                "the disk below {} has not ended a write for {busy_ms} ms: until it does, this node neither leads nor answers \
                 for what it should store; look at dmesg",
                inner.config.dir.display()
            );
        } else if busy_ms <= patience_ms && hung_ms > 0 {
            tracing::warn!("the disk works again; it had hung for at least {hung_ms} ms");
            hung_ms = 0;
        }
        if busy_ms > patience_ms {
            hung_ms = busy_ms;
        }
        tokio::select! {
            () = sleep(Duration::from_millis(patience_ms)) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// The leader makes raft's voters follow the members. Every node keeps the transport informed.
pub(super) async fn keep_members(inner: Arc<Inner>) {
    let mut state = inner.machine.state();
    let mut leadership = inner.leadership.subscribe();
    let mut stop = inner.stop.subscribe();
    let mut known = state.borrow_and_update().members.clone();
    loop {
        let mut busy = false;
        if leadership.borrow_and_update().mine && inner.two_node.open() {
            let answers = |id| inner.answers(id);
            let plan = membership::plan(inner.me, &known, &inner.metrics(), answers);
            if !known.is_empty()
                && let Some(step) = plan
            {
                busy = true;
                tracing::info!("membership: {step:?}");
                if step == membership::Step::HandOver {
                    if let Err(e) = Arc::clone(&inner).step_down(None).await {
                        tracing::warn!("failed to hand over leadership: {e}");
                    }
                } else if let Err(e) = membership::take(&inner.core(), step).await {
                    tracing::warn!("failed to change voters, will try again: {e}");
                }
            }
            busy |= inner.waits_for_voters(&known);
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = sleep(MEMBERS), if busy => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let members = state.borrow_and_update().members.clone();
        if !Arc::ptr_eq(&members, &known) {
            known = members;
            inner.transport.members(&known);
        }
    }
}

impl Inner {
    pub(super) fn tell_members(&self) {
        let members = self.state.borrow().members.clone();
        if !members.is_empty() {
            self.transport.members(&members);
        }
    }

    pub(super) fn term(&self) -> u64 {
        self.core().metrics().borrow().current_term
    }

    fn view(&self) -> View {
        let metrics = self.metrics();
        let voters: BTreeSet<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        let before = |id: &&NodeId| **id < self.me && metrics.current_leader != Some(**id);
        View {
            leading: metrics.state == ServerState::Leader,
            voter: voters.contains(&self.me),
            alone: voters.len() == 1,
            rank: voters.iter().filter(before).count() as u64,
            heard: Mono(self.heard.load(Ordering::Relaxed))
                .max(self.promised(|to| to != self.me).unwrap_or_default()),
            resigned_until: Mono(self.resigned_until.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn promise(&self, to: NodeId) {
        *self.promised.lock().expect("no panic while held") = Some((to, Mono::now()));
    }

    /// When this node last promised its vote, if it was to one of these.
    fn promised(&self, to: impl Fn(NodeId) -> bool) -> Option<Mono> {
        let promised = *self.promised.lock().expect("no panic while held");
        promised.filter(|(id, _)| to(*id)).map(|(_, at)| at)
    }

    /// When a majority last followed this node, while it leads.
    pub(super) fn acked(&self) -> Option<Mono> {
        self.acked_in(&self.metrics())
    }

    /// A copy: whoever holds a `borrow` of a watch and borrows again waits for ever behind its writer.
    pub(super) fn metrics(&self) -> Metrics {
        self.core().metrics().borrow().clone()
    }

    fn acked_in(&self, metrics: &Metrics) -> Option<Mono> {
        if metrics.state != ServerState::Leader {
            return None;
        }
        let joint = metrics.membership_config.membership().get_joint_config();
        self.acks
            .majority(self.me, metrics.current_term, joint, Mono::now())
    }

    /// This node leads for the rest of the daemon only when a majority has accepted an entry of its own
    /// term and still answers: whatever was committed before is then applied here, too.
    fn publish_leadership(&self) {
        let metrics = self.metrics();
        let view = self.view_quiet(&metrics);
        let now = Leadership {
            term: Term(metrics.current_term),
            leader: metrics
                .current_leader
                .filter(|id| (*id == self.me || !view) && self.two_node.open()),
            mine: self.two_node.open() && self.leads(&metrics),
        };
        self.leadership.send_if_modified(|old| {
            let changed = *old != now;
            *old = now;
            changed
        });
    }

    /// No leader was heard for much longer than an election takes to begin.
    fn view_quiet(&self, metrics: &Metrics) -> bool {
        let timing = self.config.timing;
        let heard = Mono(self.heard.load(Ordering::Relaxed));
        let voters = metrics.membership_config.membership().voter_ids().count() as u64;
        Mono::now().since(heard) > timing.election_ms + (voters + 2) * timing.stagger_ms
    }

    fn leads(&self, metrics: &Metrics) -> bool {
        let own_term = metrics.last_applied.as_ref().map(term_of) == Some(metrics.current_term);
        let timing = self.config.timing;
        let patience = timing.lease_ms + 2 * timing.election_ms;
        let heard = |at: Mono| Mono::now().since(at) < patience;
        metrics.state == ServerState::Leader
            && metrics.current_leader == Some(self.me)
            && metrics.running_state.is_ok()
            && own_term
            && self.acked_in(metrics).is_some_and(heard)
            && Mono::now() >= Mono(self.resigned_until.load(Ordering::Relaxed))
    }

    /// Is there a member that should vote and does not yet?
    fn waits_for_voters(&self, members: &std::collections::BTreeMap<NodeId, Member>) -> bool {
        let metrics = self.metrics();
        let voters: BTreeSet<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        let wanted = members.values().filter(|member| member.role.votes());
        wanted.map(|member| member.id).collect::<BTreeSet<_>>() != voters
    }

    async fn stand(&self) {
        tracing::info!("node {} stands for election", self.me);
        self.promise(self.me);
        if let Err(e) = self.core().trigger().elect().await {
            tracing::warn!("failed to stand for election: {e}");
        }
    }

    /// Asks the other voters; true once a majority, with this node, would vote for it.
    async fn agreed(&self) -> bool {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let question = WouldVote {
            term: metrics.current_term,
            last: self.log.last(),
        };
        let wait = Duration::from_millis(self.config.timing.lease_ms);
        let mut answers = JoinSet::new();
        let mut agreed = BTreeSet::from([self.me]);
        let enough = |agreed: &BTreeSet<NodeId>| {
            let joint = membership.get_joint_config();
            joint
                .iter()
                .all(|voters| voters.intersection(agreed).count() > voters.len() / 2)
        };
        for id in membership.voter_ids().filter(|id| *id != self.me) {
            let transport = Arc::clone(&self.transport);
            let message = Message::WouldVote(question.clone());
            answers.spawn(async move {
                let asked = ask(transport.as_ref(), id, &message, &[]);
                let yes = matches!(timeout(wait, asked).await, Ok(Ok(Reply::WouldVote(true))));
                (id, yes)
            });
        }
        while let Some(answer) = answers.join_next().await {
            if let Ok((id, true)) = answer {
                agreed.insert(id);
            }
            if enough(&agreed) {
                return true;
            }
        }
        tracing::debug!(
            "no majority would vote for node {}: {agreed:?} would",
            self.me
        );
        false
    }

    pub(super) fn would_vote(&self, from: NodeId, question: &WouldVote) -> bool {
        let place = |id: super::types::LogId| (term_of(&id), id.index);
        let theirs = question.last.map_or((0, 0), place);
        let mine = self.log.last().map_or((0, 0), place);
        let (timing, now) = (self.config.timing, Mono::now());
        let promised = self.promised(|to| to != from);
        let yes = would_vote(
            &timing,
            now,
            self.view(),
            self.acked(),
            promised,
            theirs,
            mine,
        );
        if yes {
            self.promise(from);
        }
        yes
    }

    /// The leader asked this node to take over, and is silent from now on.
    pub(super) async fn take_over(&self) {
        let timing = self.config.timing;
        let heard = Mono(self.heard.load(Ordering::Relaxed));
        // Nobody votes for anyone else before the old leader's lease has run out.
        sleep(heard.plus(timing.lease_ms + 10).wait_from(Mono::now())).await;
        for _ in 0..10 {
            if self.agreed().await {
                self.stand().await;
                return;
            }
            sleep(Duration::from_millis(timing.heartbeat_ms / 2)).await;
        }
    }

    pub(super) async fn step_down(self: Arc<Self>, to: Option<NodeId>) -> Result<(), Error> {
        let metrics = self.metrics();
        if metrics.state != ServerState::Leader {
            return Err(Error::Refused(format!("node {} does not lead", self.me)));
        }
        let to = match to {
            Some(to) => to,
            None => closest(self.me, &metrics)
                .ok_or_else(|| Error::Refused("there is no other voter to hand over to".into()))?,
        };
        let resigned = Mono::now().plus(RESIGN_MS);
        self.resigned_until.store(resigned.0, Ordering::Relaxed);
        self.publish_leadership();
        let asked = ask(self.transport.as_ref(), to, &Message::TakeOver, &[]).await;
        if !matches!(asked, Ok(Reply::TakingOver)) {
            self.resigned_until.store(0, Ordering::Relaxed);
            return Err(Error::Refused(format!("node {to} does not answer")));
        }
        let mut metrics = self.core().metrics();
        let me = self.me;
        let wait = metrics.wait_for(|now| {
            now.state != ServerState::Leader && now.current_leader.is_some_and(|id| id != me)
        });
        let deadline = Instant::now() + Duration::from_millis(RESIGN_MS);
        let done = matches!(tokio::time::timeout_at(deadline, wait).await, Ok(Ok(_)));
        self.resigned_until.store(0, Ordering::Relaxed);
        if done {
            Ok(())
        } else {
            Err(Error::Refused(format!(
                "node {to} did not take over within {RESIGN_MS} ms"
            )))
        }
    }

    /// The first write of a new cluster.
    async fn found(self: Arc<Self>) {
        let config = &self.config;
        let change = ClusterChange::Found {
            name: config.cluster_name.clone(),
            uuid: config.identity.cluster,
            member: Member {
                id: self.me,
                name: config.name.clone(),
                addresses: config.addresses.clone(),
                role: MemberRole::Voter,
                key: config.key.clone(),
            },
            now_s: clock::wall_s(),
        };
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let write = ClientWrite::cluster(self.client, seq, change);
        let _ = self.submit(write).await;
    }
}

/// The voter whose log is closest to the leader's.
fn closest(me: NodeId, metrics: &Metrics) -> Option<NodeId> {
    let replication = metrics.replication.as_ref()?;
    let voters = metrics.membership_config.membership().voter_ids();
    voters.filter(|id| *id != me).max_by_key(|id| {
        replication
            .get(id)
            .and_then(|at| at.as_ref().map(|at| at.index))
    })
}
