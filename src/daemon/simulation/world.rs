//! The world: one queue of what happens when, a network, clocks, disks, power, and whatever goes wrong with them.
//! Everything is drawn from one seed, so that one seed is one run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::checks::Checks;
use super::faults::{Faults, RECOVERED_MS};
use super::node::{Node, TIMING};
use super::raft;
use super::scenario::Scenario;
use super::two_node::Greeting;
use crate::cib::Cib;
use crate::daemon::guard::Verdict;
use crate::executor;
use crate::fencer;
use crate::presence;
use crate::raft::two_node::Proof;
use crate::terms::{NodeId, TransitionKey};
use crate::xml::Limits;

/// What nodes send each other.
#[derive(Debug, Clone)]
pub(super) enum Net {
    Raft(raft::Msg),
    Renewal(presence::Renewal),
    Grant(presence::Grant),
    HungUp,
    Execute {
        id: u64,
        life: u64,
        command: executor::Command,
    },
    Taken(u64),
    Refused(u64),
    NotDone {
        key: TransitionKey,
        why: String,
    },
    Fencer(fencer::Message),
    Submit(raft::Write),
    Done {
        id: (u64, u64),
        result: Result<(), String>,
    },
    Hello(Greeting),
}

impl Net {
    /// Whether somebody is told to do something.
    fn is_order(&self) -> bool {
        let fencing = |m: &fencer::Message| matches!(m, fencer::Message::Run(_));
        match self {
            Net::Execute { .. } => true,
            Net::Fencer(message) => fencing(message),
            _ => false,
        }
    }
}

/// What happens to one daemon.
#[derive(Debug)]
pub(super) enum Word {
    Coordinator(crate::coordinator::Event),
    CoordinatorWants(crate::coordinator::Effect),
    Executor(executor::Event),
    Reports(Vec<executor::Report>),
    NotDone {
        key: TransitionKey,
        why: String,
        times: u32,
    },
    Fencer(fencer::Event),
    /// The log is on disk up to here, and how far it was known to be committed.
    Synced(u64, (usize, usize)),
    /// What was proposed goes out.
    Flush,
    AgentEnds(executor::RunId, bool),
    AgentTimesOut(executor::RunId),
    /// Of two nodes, what the machine of that mode wants.
    FencePeer(u64),
    ProofWritten(Proof),
    GoOnAlone,
    Net(NodeId, Net),
}

pub(super) enum Happens {
    /// A word for one life of a daemon.
    Word(usize, u64, Word),
    /// A message; whatever life hears it.
    Arrives(usize, NodeId, Net),
    Grid,
    Daemon(usize),
    Power(usize),
    GuardEnds(usize, Vec<String>),
    Fault,
    Client,
    /// A node loses its power for good.
    Lost(usize),
    /// A voter loses its power, having voted.
    Dies(usize),
    /// A fault that lasts ends.
    Heals(u64),
}

/// What was counted during a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Faults by class.
    pub faults: BTreeMap<String, u64>,
    /// Things that happened.
    pub events: u64,
    /// Times the policy was asked.
    pub plans: u64,
    /// Runs of agents.
    pub agents: u64,
    /// Nodes fenced by a device.
    pub fenced: u64,
    /// Writes acknowledged.
    pub writes: u64,
    /// Milliseconds from the loss of a node for good until the last of what it ran was started elsewhere.
    pub recovery_ms: Option<u64>,
}

/// Processor time that the leader of a large cluster has spent, from the loss of a node on, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Work {
    /// In the policy.
    pub policy_us: u64,
    /// In the coordinator.
    pub coordinator_us: u64,
    /// In applying writes.
    pub apply_us: u64,
    /// In granting leases.
    pub presence_us: u64,
}

pub(super) struct World {
    pub(super) now: u64,
    rng: u64,
    ids: u64,
    /// In boxes: a tree moves what it holds about, and some of it is large.
    queue: BTreeMap<(u64, u64), Box<Happens>>,
    pub(super) nodes: Vec<Node>,
    pub(super) scenario: Scenario,
    pub(super) first: Cib,
    pub(super) faults: Faults,
    /// After this no burst of faults begins any more.
    until: u64,
    /// A node that does not come back any more, and until when what it ran has to run elsewhere.
    pub(super) gone: Option<(usize, u64)>,
    pub(super) checks: Checks,
    pub(super) counters: Counters,
    /// Measured only while a large cluster recovers, since it is not the same each time.
    pub(super) work: Option<Work>,
    digest: u64,
    pub(super) told: Option<Vec<String>>,
}

/// An order that the last fault lost is given up after its timeout and the cluster delay, 80 s together; what follows from
/// that takes its time, too.
const SETTLES_MS: u64 = 100_000;
const GRID_MS: u64 = 10;
/// More than this does not happen in one millisecond.
const MOST_AT_ONCE: u64 = 5_000;
/// Nor more than this in one second.
const MOST_PER_SECOND: u64 = 100_000;
/// As long as nothing changes, the cluster has settled.
const SETTLED_MS: u64 = 4_000;

impl World {
    pub(super) fn new(seed: u64, scenario: Scenario, minutes: u64, traced: bool) -> Self {
        let first = Cib::parse(scenario.cib(), &Limits::default())
            .expect("the scenarios are well-formed XML");
        let members: Vec<_> = (1..=scenario.nodes).map(NodeId).collect();
        let voters = &members[..scenario.voters as usize];
        let nodes = members
            .iter()
            .map(|m| Node::new(m.0, (voters, &members), &first))
            .collect();
        let mut world = Self {
            now: 0,
            rng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            ids: 0,
            queue: BTreeMap::new(),
            nodes,
            scenario,
            first,
            faults: Faults::default(),
            until: minutes.saturating_mul(60_000),
            gone: None,
            checks: Checks::default(),
            counters: Counters::default(),
            work: None,
            digest: 0xcbf2_9ce4_8422_2325,
            told: traced.then(Vec::new),
        };
        for n in 0..world.nodes.len() {
            world.nodes[n].offset = 100_000 + world.below(10_000_000);
            world.nodes[n].ppm = world.below(1_000) as i64 - 500;
            world.nodes[n].watch = crate::daemon::guard::Watch::new(world.nodes[n].mono(0));
            let at = world.below(200);
            world.at(at, Happens::Daemon(n));
        }
        world.at(0, Happens::Grid);
        world.first_burst();
        world
    }

    /// Any number; the next one of this seed (splitmix64).
    pub(super) fn draw(&mut self) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Seconds since 1970 as all nodes see them.
    pub(super) fn wall_s(&self) -> i64 {
        1_800_000_000 + (self.now / 1_000) as i64
    }

    /// The processor time so far, if it is measured.
    pub(super) fn work_begins(&self) -> Option<u64> {
        self.work.as_ref().map(|_| crate::clock::thread_us())
    }

    /// The same, if this node leads.
    pub(super) fn work_of_leader(&self, n: usize) -> Option<u64> {
        self.nodes[n].raft.reigns().and_then(|_| self.work_begins())
    }

    pub(super) fn work_ends(&mut self, begun: Option<u64>, of: fn(&mut Work) -> &mut u64) {
        if let (Some(begun), Some(work)) = (begun, &mut self.work) {
            *of(work) += crate::clock::thread_us() - begun;
        }
    }

    /// Everything that is worth a line is part of the run's digest.
    pub(super) fn trace(&mut self, line: fmt::Arguments<'_>) {
        let mut text = String::new();
        let _ = write!(text, "{:>7} {line}", self.now);
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(told) = &mut self.told {
            told.push(text);
        }
    }

    /// The next turn of whoever uses the cluster.
    pub(super) fn client_again(&mut self, after: u64) {
        let at = self.now + after;
        self.at(at, Happens::Client);
    }

    pub(super) fn at(&mut self, at: u64, what: Happens) {
        let id = self.next_id();
        self.queue.insert((at, id), Box::new(what));
    }

    pub(super) fn tell(&mut self, n: usize, after: u64, word: Word) {
        let (at, life) = (self.now + after, self.nodes[n].life);
        self.at(at, Happens::Word(n, life, word));
    }

    pub(super) fn others(&self, n: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|m| *m != n).collect()
    }

    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[from].powered
            && self.nodes[to].powered
            && self.nodes[to].up
            && !self.faults.cuts.contains_key(&(from, to))
            && !self.faults.cuts.contains_key(&(to, from))
    }

    pub(super) fn send(&mut self, from: usize, to: usize, net: Net) {
        if self.faults.cuts.contains_key(&(from, to)) || self.below(100) < self.faults.loss {
            return;
        }
        let spread = 1 + self.faults.delay;
        let copies = 1 + u64::from(self.faults.loss > 0 && self.below(20) == 0);
        let id = self.nodes[from].id;
        for _ in 0..copies {
            // Some are held up for long, and arrive when nobody expects them any more.
            let held_up = match self.faults.delay > 0 && self.below(25) == 0 {
                true => 500 + self.below(4_000),
                false => 0,
            };
            let at = self.now + 1 + self.below(spread) + held_up;
            self.at(at, Happens::Arrives(to, id, net.clone()));
        }
        // What a connection had taken before it was given up, and what was said again on the next one.
        if self.faults.late && self.below(if net.is_order() { 3 } else { 25 }) == 0 {
            let at = self.now + 200 + self.below(6_000);
            self.at(at, Happens::Arrives(to, id, net));
        }
    }

    pub(super) fn fsync_ms(&mut self) -> u64 {
        let slow = self.faults.slow_disk;
        1 + self.below(if slow { 600 } else { 4 })
    }

    /// Runs to the end; what was wrong, if anything was.
    pub(super) fn run(&mut self) -> Option<String> {
        let (mut quiet_since, mut look_at) = (None, 0);
        let (mut at_once, mut in_second) = (0, 0);
        while let Some(((at, id), what)) = self.queue.pop_first() {
            at_once = if self.now == at { at_once + 1 } else { 0 };
            in_second = if self.now / 1_000 == at / 1_000 {
                in_second + 1
            } else {
                0
            };
            let large = 1 + u64::from(self.scenario.nodes / 10);
            if at_once > MOST_AT_ONCE * large || in_second > MOST_PER_SECOND * large {
                return Some(format!("L2: what happens at {at} has no end"));
            }
            self.now = at;
            self.counters.events += 1;
            self.happens(id, *what);
            if let Some(wrong) = self.checks.wrong.take() {
                self.show_status();
                return Some(wrong);
            }
            if self.now < self.faults.to + 3_000 || self.now < look_at {
                continue;
            }
            look_at = self.now + 100;
            match (self.unsettled(), quiet_since) {
                (Some(_), _) => quiet_since = None,
                (None, None) => quiet_since = Some(self.now),
                (None, Some(since)) if self.now >= since + SETTLED_MS => {
                    let wrong = self.check_end();
                    // An old failure may have expired just now: then there is something to do once more.
                    let waits = wrong.as_ref().is_some_and(|w| w.starts_with("L2"));
                    if wrong.is_none() && self.now < self.until {
                        self.next_burst();
                    } else if self.gone.is_none()
                        && wrong.is_none()
                        && (self.scenario.more > 0 || self.below(2) == 0)
                    {
                        self.lose_one();
                    } else if !waits || self.now >= self.end() {
                        return wrong;
                    }
                    quiet_since = None;
                }
                _ => {}
            }
            if self.now >= self.end() {
                return Some(self.not_in_time());
            }
        }
        None
    }

    /// What each leader knows, for whoever wants to understand what went wrong.
    fn show_status(&mut self) {
        if self.told.is_none() {
            return;
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].raft.reigns().is_some() {
                let status = self.nodes[n].cib.status().map(ToString::to_string);
                self.trace(format_args!(
                    "{} knows {}",
                    n + 1,
                    status.unwrap_or_default()
                ));
            }
        }
    }

    /// When it has to be settled.
    fn end(&self) -> u64 {
        let settled = self.faults.to + SETTLES_MS;
        self.gone.map_or(settled, |(_, until)| until)
    }

    fn not_in_time(&mut self) -> String {
        let why = self.unsettled().or_else(|| self.check_end());
        let why = why.unwrap_or_else(|| "it changes all the time".into());
        self.show_status();
        match self.gone {
            None => format!(
                "L2: not settled {} s after the last fault: {why}",
                SETTLES_MS / 1000
            ),
            Some((n, _)) => format!(
                "L3: not recovered {} s after the loss of h{}: {why}",
                RECOVERED_MS / 1000,
                n + 1
            ),
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    fn happens(&mut self, id: u64, what: Happens) {
        match what {
            Happens::Word(n, life, word) => {
                let node = &self.nodes[n];
                if !node.up || node.life != life {
                    return;
                }
                if node.paused_until > self.now {
                    // Ids keep the order of what waits.
                    let again = Box::new(Happens::Word(n, life, word));
                    self.queue.insert((node.paused_until, id), again);
                } else {
                    self.word(n, word);
                }
            }
            Happens::Arrives(n, from, net) => {
                let node = &self.nodes[n];
                if !node.up || !node.powered {
                    return;
                }
                if node.paused_until > self.now {
                    // What waits in its sockets is gone with the process.
                    let again = Box::new(Happens::Word(n, node.life, Word::Net(from, net)));
                    self.queue.insert((node.paused_until, id), again);
                } else {
                    self.word(n, Word::Net(from, net));
                }
            }
            Happens::Grid => self.on_grid(),
            Happens::Daemon(n) => self.start_daemon(n, false),
            Happens::Power(n) => {
                if !self.nodes[n].powered {
                    self.trace(format_args!("{} has power", n + 1));
                    self.nodes[n].powered = true;
                    self.nodes[n].watch =
                        crate::daemon::guard::Watch::new(self.nodes[n].mono(self.now));
                    self.start_daemon(n, true);
                }
            }
            Happens::GuardEnds(n, stopped) => self.guard_ends(n, &stopped),
            Happens::Fault => self.on_fault(),
            Happens::Heals(id) => self.heals(id),
            Happens::Client => self.on_client(),
            Happens::Lost(n) => {
                self.wait_for_recovery(n);
                self.work = (self.scenario.more > 0).then(Work::default);
                self.power_off(n, "for good");
            }
            Happens::Dies(n) => {
                let class = "node: power-off after a vote";
                *self.counters.faults.entry(class.into()).or_default() += 1;
                self.power_off(n, "it has voted");
            }
        }
    }

    fn on_grid(&mut self) {
        let at = self.now + GRID_MS;
        self.at(at, Happens::Grid);
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            if node.powered && node.up && node.paused_until <= self.now {
                self.grid(n);
            }
            if self.nodes[n].powered && !self.nodes[n].guard_busy {
                self.guard(n);
            }
        }
        self.check_time();
        self.check_growth();
    }

    /// The guard is a process of its own: it goes on while its daemon is paused or dead.
    fn guard(&mut self, n: usize) {
        let mono = self.nodes[n].mono(self.now);
        if self.nodes[n].watch.look(mono) != Verdict::Act {
            return;
        }
        let stops: Vec<_> = self.nodes[n]
            .watch
            .stops()
            .iter()
            .map(|s| s.rsc.to_string())
            .collect();
        self.trace(format_args!("{} guard stops {stops:?}", n + 1));
        self.guard_acts(n, &stops);
        self.kill_daemon(n);
        self.nodes[n].paused_until = 0;
        self.nodes[n].guard_busy = true;
        let at = self.now + 20 + self.below(60);
        self.at(at, Happens::GuardEnds(n, stops));
    }

    fn guard_ends(&mut self, n: usize, stopped: &[String]) {
        if !self.nodes[n].guard_busy {
            return;
        }
        for rsc in stopped {
            self.truth_stopped(n, rsc);
        }
        self.nodes[n].guard_busy = false;
        self.nodes[n].watch = crate::daemon::guard::Watch::new(self.nodes[n].mono(self.now));
        let at = self.now + 300;
        self.at(at, Happens::Daemon(n));
    }

    pub(super) fn power_off(&mut self, n: usize, why: &str) {
        if !self.nodes[n].powered {
            return;
        }
        self.trace(format_args!("{} loses power: {why}", n + 1));
        let node = &mut self.nodes[n];
        node.powered = false;
        node.up = false;
        node.life += 1;
        node.paused_until = 0;
        node.guard_busy = false;
        self.truth_power_lost(n);
        if !self.is_gone(n) {
            let at = self.now + self.boot_ms();
            self.at(at, Happens::Power(n));
        }
    }

    /// Whether a node is not to come back.
    pub(super) fn is_gone(&self, n: usize) -> bool {
        self.gone.is_some_and(|(gone, _)| gone == n)
    }

    /// Until when a lease may last of a node that was last in touch with a majority then.
    pub(super) fn lease_end(last_ok: u64) -> u64 {
        last_ok + TIMING.lease_ms
    }
}
