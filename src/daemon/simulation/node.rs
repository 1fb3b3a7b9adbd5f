//! One node: its machines, and who is told what. The decisions are the daemon's own (`words`, `authority`, `devices`,
//! `reports`, `deliver`, the guard's `watch`); only the carrying is done here, without tokio.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::raft::{Msg, Raft, Write};
use super::two_node::TwoNode;
use super::world::{Net, Word, World};
use crate::cib::Cib;
use crate::clock::Mono;
use crate::coordinator::{self, Authority};
use crate::daemon::authority::Knowledge;
use crate::daemon::guard::{self, Watch};
use crate::daemon::reports::Batch;
use crate::daemon::words;
use crate::daemon::{deliver, devices};
use crate::executor;
use crate::fencer;
use crate::policy;
use crate::presence;
use crate::raft::Leadership;
use crate::raft::two_node::{Phase, Place, Seat};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, NodeName, RscId, Term};

/// Who waits for the end of a write.
#[derive(Debug)]
pub(super) enum Waiter {
    Coordinator(coordinator::WriteId),
    Reports(Batch),
    Client,
}

/// A write that has no answer yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) write: Write,
    pub(super) again_at: u64,
    pub(super) waiter: Waiter,
}

/// An order that a node has not taken yet.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) to: NodeId,
    pub(super) life: u64,
    pub(super) term: Term,
    pub(super) command: executor::Command,
    pub(super) again_at: u64,
    pub(super) refusals: u32,
}

/// One node. What is on disk and in the guard outlives its daemon.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) name: NodeName,
    pub(super) powered: bool,
    pub(super) up: bool,
    pub(super) life: u64,
    pub(super) paused_until: u64,
    pub(super) offset: u64,
    pub(super) ppm: i64,
    /// Since when this daemon runs without having been paused.
    pub(super) well_since: Option<u64>,
    /// When it last began to act alone.
    pub(super) alone_since: u64,
    pub(super) calls: i64,
    pub(super) raft: Raft,
    /// Two nodes without a witness.
    pub(super) two_node: Option<TwoNode>,
    pub(super) seat: Option<(Seat, Place)>,
    /// The voters that presence was told.
    pub(super) voters: Vec<NodeId>,
    pub(super) watch: Watch,
    pub(super) guard_busy: bool,
    /// When this node and each other one last had each other's ear.
    pub(super) met: Vec<u64>,
    /// Since when it is without a majority, if it is.
    pub(super) last_ok: u64,
    pub(super) presence: presence::Machine,
    pub(super) coordinator: coordinator::Machine,
    pub(super) executor: executor::Machine,
    pub(super) fencer: fencer::Machine,
    pub(super) knowledge: Knowledge,
    pub(super) authority: Authority,
    /// What raft has applied here.
    pub(super) state: Cib,
    pub(super) applied: usize,
    /// What came of each write, and the entry that it was in.
    pub(super) answers: BTreeMap<(u64, u64), (usize, Option<String>)>,
    /// What is on its disk of what was applied; a daemon begins with that.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) cib: Cib,
    pub(super) overlay: bool,
    /// How many changes of its authority the coordinator's effects have not caught up with.
    pub(super) unheard: u32,
    pub(super) lost_at: Option<Mono>,
    pub(super) killed: bool,
    pub(super) lease_until: Mono,
    pub(super) term_told: Term,
    pub(super) leadership: Leadership,
    pub(super) lives: BTreeMap<NodeId, u64>,
    pub(super) open: BTreeMap<(u64, u64), Open>,
    pub(super) unwritten: VecDeque<executor::Report>,
    pub(super) seq: u64,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    pub(super) runs: BTreeMap<executor::RunId, (RscId, String)>,
    /// What its decisions keep for the next one.
    pub(super) kept: policy::Kept,
    pub(super) wakes: Wakes,
    /// Before this moment nothing is to be done, unless a word arrives.
    pub(super) idle_until: u64,
}

/// The applied state as a disk has it.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) state: Cib,
    pub(super) applied: usize,
}

/// When each machine wants to be woken, in the node's time.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) presence: Mono,
    pub(super) coordinator: Option<Mono>,
    pub(super) tick: Mono,
}

/// Timing of presence in the simulation: the product's default.
pub(super) const TIMING: presence::Timing = presence::Timing::NORMAL;

impl Node {
    pub(super) fn new(id: u32, (voters, members): (&[NodeId], &[NodeId]), cib: &Cib) -> Self {
        let id = NodeId(id);
        let name = NodeName::from(format!("h{id}"));
        let settings = settings(id, 0);
        Self {
            id,
            powered: true,
            up: false,
            life: 0,
            paused_until: 0,
            well_since: None,
            alone_since: 0,
            offset: 0,
            ppm: 0,
            calls: 0,
            raft: Raft::new(id, voters.to_vec(), members.to_vec()),
            two_node: None,
            seat: None,
            voters: Vec::new(),
            watch: Watch::new(Mono(0)),
            guard_busy: false,
            met: Vec::new(),
            last_ok: 0,
            presence: presence::Machine::new(id, 0, TIMING),
            coordinator: coordinator::Machine::new(settings),
            executor: executor::Machine::new(16, 1),
            fencer: fencer::Machine::new(name.clone(), 0),
            name,
            knowledge: knowledge(Mono(0)),
            authority: Authority::None,
            state: cib.clone(),
            applied: 0,
            answers: BTreeMap::new(),
            snapshot: None,
            cib: cib.clone(),
            overlay: false,
            unheard: 0,
            lost_at: None,
            killed: false,
            lease_until: Mono(0),
            term_told: Term(0),
            leadership: Leadership::default(),
            lives: BTreeMap::new(),
            open: BTreeMap::new(),
            unwritten: VecDeque::new(),
            seq: 0,
            deliveries: BTreeMap::new(),
            runs: BTreeMap::new(),
            kept: policy::Kept::default(),
            wakes: Wakes::default(),
            idle_until: 0,
        }
    }

    pub(super) fn mono(&self, now: u64) -> Mono {
        let drift = (now as i64 * self.ppm / 1_000_000) as u64;
        Mono(self.offset.wrapping_add(now).wrapping_add(drift))
    }

    /// Moments of this node in the world's time.
    pub(super) fn world(&self, at: Mono) -> u64 {
        let passed = at.0.saturating_sub(self.offset);
        (passed as i64 * 1_000_000 / (1_000_000 + self.ppm)) as u64
    }

    /// When time alone makes it do something, in the world's time. Its clock may be a little faster than the world's.
    fn next_wake(&self, now: u64) -> u64 {
        let mono = self.mono(now);
        // What is said again, and what hangs on the time since the start, is looked at each time.
        if self.two_node.is_some()
            || self.knowledge.held.is_none()
            || !self.open.is_empty()
            || !self.deliveries.is_empty()
        {
            return 0;
        }
        let wakes = [
            Some(self.wakes.presence),
            Some(self.wakes.tick),
            self.wakes.coordinator,
            self.executor.next_wake(),
            self.fencer.next_wake(mono),
        ];
        let wake = wakes.into_iter().flatten().min().unwrap_or(mono);
        let left = wake.since(mono);
        (now + left - left / 1_000).min(self.raft.wakes_at())
    }

    pub(super) fn client(&self) -> u64 {
        u64::from(self.id.0) * 100_000 + self.life
    }
}

fn settings(me: NodeId, seed: u128) -> coordinator::Settings {
    coordinator::Settings {
        me,
        seed,
        actions_per_node: 8,
        startup_grace_ms: 5_000,
    }
}

fn knowledge(started: Mono) -> Knowledge {
    Knowledge {
        started,
        held: None,
        life: None,
        leadership: Leadership::default(),
        caught_up: None,
        patience_ms: TIMING.lease_ms + 2 * TIMING.suspect_ms,
        runs_resources: true,
        leaving_alone: false,
        undecided: false,
    }
}

impl World {
    /// A daemon starts on a machine that is up.
    pub(super) fn start_daemon(&mut self, n: usize, power_lost: bool) {
        let (incarnation, seed, jitter) = (self.draw(), self.draw(), self.below(40));
        let (now, first) = (self.now, self.first.clone());
        let node = &mut self.nodes[n];
        // A new daemon waits for a guard that is stopping what ran before; its end starts one.
        if node.up || !node.powered || node.guard_busy {
            return;
        }
        let mono = node.mono(now);
        node.up = true;
        self.faults.changed_at = now;
        node.well_since = Some(now);
        node.life += 1;
        node.raft.restart(now, jitter, power_lost);
        let _ = node.watch.hear(mono, guard::Word::Hello(1));
        node.presence = presence::Machine::new(node.id, incarnation, TIMING);
        node.coordinator = coordinator::Machine::new(settings(node.id, u128::from(seed)));
        node.executor = executor::Machine::new(16, node.calls + 1);
        node.fencer = fencer::Machine::new(node.name.clone(), incarnation);
        node.knowledge = knowledge(mono);
        node.authority = Authority::None;
        // The log is applied anew from the snapshot on, as far as the disk says that it is committed; more is learnt from
        // the leader.
        // A snapshot of what the disk has lost does not come back with it.
        let kept = node.raft.log.len();
        node.snapshot = node.snapshot.take().filter(|it| it.applied <= kept);
        let start = node.snapshot.clone().unwrap_or(Snapshot {
            state: first,
            applied: 0,
        });
        (node.state, node.cib) = (start.state.clone(), start.state);
        node.applied = start.applied;
        node.answers.retain(|_, (at, _)| *at <= start.applied);
        (node.overlay, node.killed, node.lost_at) = (false, false, None);
        node.unheard = 0;
        (node.lease_until, node.term_told) = (Mono(0), Term(0));
        node.leadership = Leadership::default();
        node.lives.clear();
        node.open.clear();
        node.unwritten.clear();
        node.deliveries.clear();
        node.runs.clear();
        node.kept = policy::Kept::default();
        node.wakes = Wakes::default();
        node.idle_until = 0;
        self.truth_daemon_started(n);
        // What is on disk every part of a daemon knows before its first word.
        self.term_seen(n);
        if self.scenario.two_node {
            let life = self.draw();
            let node = &mut self.nodes[n];
            (node.two_node, node.seat) = (Some(TwoNode::new(life, now)), None);
            self.reseat(n);
        }
        self.nodes[n].knowledge.runs_resources = self.runs_resources(n);
        let members = self.nodes.iter().map(|m| (m.id, m.name.clone()));
        let hosts = members.take(self.scenario.hosts() as usize).collect();
        self.coordinator(n, coordinator::Event::Members(hosts));
        self.pledge(n);
        self.configure_fencer(n);
        self.leadership_changed(n);
        self.apply_committed(n);
    }

    /// Whether a node is more than a witness.
    pub(super) fn runs_resources(&self, n: usize) -> bool {
        n < self.scenario.hosts() as usize
    }

    /// The daemon is gone at once, without a word.
    pub(super) fn kill_daemon(&mut self, n: usize) {
        if !self.nodes[n].up {
            return;
        }
        self.nodes[n].up = false;
        self.nodes[n].life += 1;
        if self.nodes[n].powered {
            for to in self.others(n) {
                self.send(n, to, Net::HungUp);
            }
        }
    }

    /// What a node does with a word that has arrived.
    pub(super) fn word(&mut self, n: usize, word: Word) {
        self.nodes[n].idle_until = 0;
        match word {
            Word::Coordinator(event) => self.coordinator(n, event),
            Word::CoordinatorWants(effect) => self.on_coordinator(n, effect),
            Word::Executor(event) => self.executor(n, event),
            Word::Reports(reports) => self.on_reports(n, reports),
            Word::NotDone { key, why, times } => self.not_done(n, key, why, times),
            Word::Fencer(event) => self.fencer(n, event),
            Word::Synced(generation, done) => {
                let mut out = Vec::new();
                self.nodes[n].raft.synced(generation, done, &mut out);
                self.raft_out(n, out);
            }
            Word::Flush => {
                let now = self.now;
                let mut out = Vec::new();
                self.nodes[n].raft.flush(now, &mut out);
                self.raft_out(n, out);
            }
            Word::AgentEnds(run, ok) => self.agent_ends(n, run, ok),
            Word::AgentTimesOut(run) => self.agent_times_out(n, run),
            Word::FencePeer(number) => self.fence_peer(n, number),
            Word::ProofWritten(proof) => self.proof_written(n, proof),
            Word::GoOnAlone => self.go_on_alone(n),
            Word::Net(from, net) => self.heard(n, from, net),
        }
        self.after(n);
    }

    fn heard(&mut self, n: usize, from: NodeId, net: Net) {
        match net {
            Net::Raft(_) if self.nodes[n].raft.shut => {}
            Net::Hello(word) => self.heard_hello(n, from, word),
            Net::Raft(msg) => {
                if matches!(msg, Msg::Append { .. } | Msg::Appended { .. }) {
                    self.raft_hears(n);
                }
                let (now, jitter) = (self.now, self.below(40));
                let mut out = Vec::new();
                self.nodes[n].raft.step(now, jitter, from, msg, &mut out);
                // Everybody here knows of a newer term before its vote is answered.
                self.term_seen(n);
                self.raft_out(n, out);
            }
            Net::Renewal(renewal) => self.presence(n, presence::Event::Renewal(renewal)),
            Net::Grant(grant) => self.presence(n, presence::Event::Grant { from, grant }),
            Net::HungUp => self.presence(n, presence::Event::HungUp(from)),
            Net::Execute { id, life, command } => {
                let node = &self.nodes[n];
                let mut me = node.presence.view(node.mono(self.now));
                me.held &= node.knowledge.held == Some(true);
                let taken = deliver::taken(&me, life);
                match taken {
                    Ok(()) => {
                        self.executor(n, executor::Event::Command(Box::new(command)));
                        self.send(n, index(from), Net::Taken(id));
                    }
                    Err(_) => self.send(n, index(from), Net::Refused(id)),
                }
            }
            Net::Refused(id) => self.refused(n, id),
            Net::NotDone { key, why } => {
                if self.nodes[n].leadership.mine {
                    let event = coordinator::Event::NotDone { key, why };
                    self.tell(n, 0, Word::Coordinator(event));
                }
            }
            Net::Taken(id) => drop(self.nodes[n].deliveries.remove(&id)),
            Net::Fencer(message) => {
                let name = self.nodes[index(from)].name.clone();
                self.fencer(n, fencer::Event::Message(name, message));
            }
            Net::Submit(write) => self.submit(n, from, write),
            Net::Done { id, result } => self.write_done(n, id, result),
        }
    }

    /// Machines that want to be woken, raft's timers, and the daemon's own tick. Mostly it is too early for all of them.
    pub(super) fn grid(&mut self, n: usize) {
        let now = self.now;
        if now < self.nodes[n].idle_until {
            return;
        }
        let jitter = self.below(40);
        let mono = self.nodes[n].mono(now);
        self.two_node_tick(n);
        let mut out = Vec::new();
        self.nodes[n].raft.tick(now, jitter, &mut out);
        self.term_seen(n);
        self.raft_out(n, out);
        if mono >= self.nodes[n].wakes.presence {
            self.presence(n, presence::Event::Tick);
        }
        if self.nodes[n].wakes.coordinator.is_some_and(|at| mono >= at) {
            self.coordinator(n, coordinator::Event::Tick);
        }
        if self.nodes[n]
            .executor
            .next_wake()
            .is_some_and(|at| mono >= at)
        {
            self.executor(n, executor::Event::Tick);
        }
        if self.nodes[n]
            .fencer
            .next_wake(mono)
            .is_some_and(|at| mono >= at)
        {
            self.fencer(n, fencer::Event::Tick);
        }
        if mono >= self.nodes[n].wakes.tick {
            self.nodes[n].wakes.tick = mono.plus(100);
            self.tick(n);
        }
        self.retry(n);
        self.after(n);
        self.nodes[n].idle_until = self.nodes[n].next_wake(now);
    }

    fn tick(&mut self, n: usize) {
        let mono = self.nodes[n].mono(self.now);
        let node = &mut self.nodes[n];
        let view = node.presence.view(mono);
        if view.held {
            node.lease_until = node.lease_until.max(view.until);
        }
        let (lease, bound) = (node.lease_until, view.held && !node.overlay);
        if bound {
            self.executor(n, executor::Event::Lease(lease));
        }
        let goes_on = self.goes_on(n, mono);
        let node = &mut self.nodes[n];
        let keep = words::keeps(&node.cib, view.may_keep) || goes_on;
        let due = node
            .lost_at
            .is_some_and(|at| mono >= at.plus(TIMING.stop_deadline_ms * 4 / 5));
        let kill = due && !node.killed && !keep && !node.executor.active().is_empty();
        node.killed |= kill;
        if kill {
            self.executor(n, executor::Event::KillAll);
        }
        if self.scenario.two_node {
            self.pledge(n);
        }
        self.feed_guard(n);
    }

    pub(super) fn feed_guard(&mut self, n: usize) {
        let goes_on = self.goes_on(n, self.nodes[n].mono(self.now));
        let node = &mut self.nodes[n];
        let may_keep = node.presence.view(node.mono(self.now)).may_keep;
        let lease = guard::Lease {
            until: node.lease_until.0,
            stop_by: node.lease_until.plus(TIMING.stop_deadline_ms).0,
            keep: words::keeps(&node.cib, may_keep) || goes_on,
        };
        let mono = node.mono(self.now);
        let _ = self.nodes[n].watch.hear(mono, guard::Word::Lease(lease));
    }

    fn term_seen(&mut self, n: usize) {
        let term = Term(self.nodes[n].raft.term);
        if term > self.nodes[n].term_told {
            self.nodes[n].term_told = term;
            self.presence(n, presence::Event::TermSeen(term));
            if !seeded(Bug::TermNotTold) {
                self.executor(n, executor::Event::TermSeen(term));
            }
            self.fencer(n, fencer::Event::TermSeen(term));
        }
    }

    /// What the daemon's loop does after each event: apply, see who leads, review authority.
    fn after(&mut self, n: usize) {
        if !self.nodes[n].up {
            return;
        }
        self.apply_committed(n);
        self.reseat(n);
        let node = &self.nodes[n];
        if node.raft.leadership() != node.leadership || node.raft.voters() != node.voters {
            self.leadership_changed(n);
        }
        let node = &mut self.nodes[n];
        let now = node.leadership;
        if now.mine && node.knowledge.caught_up != Some(now.term) {
            node.knowledge.caught_up = Some(now.term);
        }
        self.review_authority(n);
        self.check_leader(n);
    }

    fn apply_committed(&mut self, n: usize) {
        let upto = |node: &Node| match seeded(Bug::ApplyUncommitted) {
            true => node.raft.log.len(),
            false => node.raft.commit,
        };
        while self.nodes[n].applied < upto(&self.nodes[n]) {
            self.apply_next(n);
        }
    }

    pub(super) fn cib_changed(&mut self, n: usize, before: Cib) {
        let after = self.nodes[n].cib.clone();
        let changed = match (before.configuration(), after.configuration()) {
            (Some(b), Some(a)) => !b.ptr_eq(a),
            (b, a) => b.is_some() != a.is_some(),
        };
        self.coordinator(n, coordinator::Event::CibChanged { before, after });
        if changed {
            self.pledge(n);
            self.configure_fencer(n);
        }
    }

    /// What the node does without a lease: to its guard first, as in `route`.
    fn pledge(&mut self, n: usize) {
        if self.nodes[n].overlay || !self.nodes[n].up {
            return;
        }
        let mut pledge = words::pledge(&self.nodes[n].cib, 0);
        let two = self.nodes[n].two_node.as_ref();
        let fencing = devices::fencing_enabled(&self.nodes[n].cib);
        pledge.lets_go &= !(fencing && two.is_some_and(|two| two.phase() != Phase::Off));
        self.feed_guard(n);
        self.presence(n, presence::Event::Pledge(pledge));
    }

    pub(super) fn configure_fencer(&mut self, n: usize) {
        let lease_ms = TIMING.lease_ms + TIMING.drift_ms;
        let node = &self.nodes[n];
        let event = devices::configured(&node.cib, &node.name, self.wall_s(), lease_ms);
        self.fencer(n, event);
    }

    pub(super) fn leadership_changed(&mut self, n: usize) {
        let now = self.nodes[n].raft.leadership();
        self.nodes[n].leadership = now;
        self.nodes[n].knowledge.leadership = now;
        let all: BTreeSet<_> = self.nodes.iter().map(|m| m.id).collect();
        let at = self.now;
        self.nodes[n]
            .open
            .values_mut()
            .for_each(|open| open.again_at = at);
        let voters = self.nodes[n].raft.voters().to_vec();
        self.nodes[n].voters.clone_from(&voters);
        let event = presence::Event::Leadership {
            term: now.term,
            leader: now.leader,
            voters: vec![voters.into_iter().collect()],
            members: all,
        };
        self.presence(n, event);
    }

    fn review_authority(&mut self, n: usize) {
        let mono = self.nodes[n].mono(self.now);
        let undecided = self.goes_on(n, mono);
        let node = &mut self.nodes[n];
        node.knowledge.undecided = undecided;
        let authority = node.knowledge.authority(mono);
        if authority == node.authority {
            return;
        }
        let was = std::mem::replace(&mut node.authority, authority);
        self.trace(format_args!("{} {authority:?}", n + 1));
        self.forgets_deaths(n);
        let node = &mut self.nodes[n];
        let alone = matches!(authority, Authority::Alone(_));
        if alone && !matches!(was, Authority::Alone(_)) {
            node.overlay = true;
            node.alone_since = self.now;
            let belonged = words::belongs(&node.state, node.id, node.knowledge.life);
            let may_keep = node.presence.view(mono).may_keep && belonged;
            node.cib = words::alone(&node.state, node.id, may_keep);
            self.abandon(n);
            self.executor(n, executor::Event::Alone);
        } else if !alone && node.overlay {
            node.overlay = false;
            node.cib = node.state.clone();
            self.pledge(n);
        }
        let cib = self.nodes[n].cib.clone();
        self.nodes[n].unheard += 1;
        self.coordinator(n, coordinator::Event::Authority(authority, cib));
        if let Authority::Leader(_) = authority {
            let view = self.nodes[n].presence.view(self.nodes[n].mono(self.now));
            for (id, pledge) in &view.pledges {
                self.coordinator(n, coordinator::Event::Pledged(*id, *pledge));
            }
            for (id, state) in words::everybody(self.nodes[n].id, &view) {
                self.on_presence(n, presence::Effect::Peer(id, state));
            }
            if let Some((peer, by)) = self.lost_peer(n) {
                let target = self.nodes[peer].name.clone();
                self.coordinator(n, coordinator::Event::FencedOutside { target, by });
            }
        }
    }
}

/// Nodes are numbered from 1, and kept from 0.
pub(super) fn index(id: NodeId) -> usize {
    id.0 as usize - 1
}
