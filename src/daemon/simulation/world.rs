//! The world: one queue of what happens when, a network, clocks, disks, power, and whatever goes wrong with them.
//! Everything is drawn from one seed, so that one seed is one run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::checks::Checks;
use super::node::{Node, TIMING};
use super::raft;
use super::scenario::Scenario;
use crate::cib::Cib;
use crate::daemon::guard::Verdict;
use crate::executor;
use crate::fencer;
use crate::presence;
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
    Synced(u64, usize),
    AgentEnds(executor::RunId, bool),
    AgentTimesOut(executor::RunId),
    Net(NodeId, Net),
}

enum Happens {
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
    /// A fault that lasts ends.
    Heals(u64),
}

/// What a fence device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Works,
    Fails,
    /// The node is fenced, and the device does not say so in time.
    DoneUnknown,
    /// The node is not fenced, and the device says nothing.
    NotDoneUnknown,
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
}

pub(super) struct World {
    pub(super) now: u64,
    rng: u64,
    ids: u64,
    queue: BTreeMap<(u64, u64), Happens>,
    pub(super) nodes: Vec<Node>,
    pub(super) scenario: Scenario,
    pub(super) first: Cib,
    /// From here to there nothing arrives: how many faults say so.
    cuts: BTreeMap<(usize, usize), u32>,
    loss: u64,
    delay: u64,
    slow_disk: bool,
    pub(super) slow_agents: bool,
    pub(super) failing_agents: bool,
    pub(super) device: Device,
    lasting: BTreeMap<u64, Lasting>,
    /// A node that does not come back any more, and until when what it ran has to run elsewhere.
    pub(super) gone: Option<(usize, u64)>,
    pub(super) checks: Checks,
    pub(super) counters: Counters,
    digest: u64,
    pub(super) told: Option<Vec<String>>,
}

#[derive(Debug)]
enum Lasting {
    Cut(Vec<(usize, usize)>),
    Loss,
    Delay,
    Disk,
    Agents,
    Failures,
    Device,
}

/// Faults begin when the cluster has had time to form, and end here; then it has to settle.
const FAULTS_FROM_MS: u64 = 5_000;
pub(super) const FAULTS_TO_MS: u64 = 30_000;
/// An order that the last fault lost is given up after its timeout and the cluster delay, 80 s together; what follows from
/// that takes its time, too.
const END_MS: u64 = 130_000;
const GRID_MS: u64 = 10;
/// What a lost node ran has to run elsewhere within this time, and the rest of it, to be seen.
const RECOVERED_MS: u64 = 30_000;
/// More than this does not happen in one millisecond.
const MOST_AT_ONCE: u64 = 5_000;
/// As long as nothing changes, the cluster has settled.
const SETTLED_MS: u64 = 4_000;

impl World {
    pub(super) fn new(seed: u64, scenario: Scenario, traced: bool) -> Self {
        let first = Cib::parse(scenario.cib(), &Limits::default())
            .expect("the scenarios are well-formed XML");
        let voters: Vec<_> = (1..=scenario.nodes).map(NodeId).collect();
        let nodes = voters
            .iter()
            .map(|v| Node::new(v.0, &voters, &first))
            .collect();
        let mut world = Self {
            now: 0,
            rng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            ids: 0,
            queue: BTreeMap::new(),
            nodes,
            scenario,
            first,
            cuts: BTreeMap::new(),
            loss: 0,
            delay: 0,
            slow_disk: false,
            slow_agents: false,
            failing_agents: false,
            device: Device::Works,
            lasting: BTreeMap::new(),
            gone: None,
            checks: Checks::default(),
            counters: Counters::default(),
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
        world.at(FAULTS_FROM_MS, Happens::Fault);
        world.at(3_000, Happens::Client);
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

    fn at(&mut self, at: u64, what: Happens) {
        let id = self.next_id();
        self.queue.insert((at, id), what);
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
            && !self.cuts.contains_key(&(from, to))
            && !self.cuts.contains_key(&(to, from))
    }

    pub(super) fn send(&mut self, from: usize, to: usize, net: Net) {
        if self.cuts.contains_key(&(from, to)) || self.below(100) < self.loss {
            return;
        }
        let spread = 1 + self.delay;
        let copies = if self.loss > 0 && self.below(20) == 0 {
            2
        } else {
            1
        };
        let id = self.nodes[from].id;
        for _ in 0..copies {
            // Some are held up for long, and arrive when nobody expects them any more.
            let held_up = match self.delay > 0 && self.below(25) == 0 {
                true => 500 + self.below(4_000),
                false => 0,
            };
            let at = self.now + 1 + self.below(spread) + held_up;
            self.at(at, Happens::Arrives(to, id, net.clone()));
        }
    }

    pub(super) fn fsync_ms(&mut self) -> u64 {
        let slow = self.slow_disk;
        1 + self.below(if slow { 600 } else { 4 })
    }

    /// Runs to the end; what was wrong, if anything was.
    pub(super) fn run(&mut self) -> Option<String> {
        let mut quiet_since = None;
        let mut at_once = 0;
        while let Some(((at, id), what)) = self.queue.pop_first() {
            at_once = if self.now == at { at_once + 1 } else { 0 };
            if at_once > MOST_AT_ONCE {
                return Some(format!("L2: what happens at {at} has no end"));
            }
            self.now = at;
            self.counters.events += 1;
            self.happens(id, what);
            if let Some(wrong) = self.checks.wrong.take() {
                return Some(wrong);
            }
            if self.now < FAULTS_TO_MS + 3_000 || !id.is_multiple_of(16) {
                continue;
            }
            match (self.unsettled(), quiet_since) {
                (Some(_), _) => quiet_since = None,
                (None, None) => quiet_since = Some(self.now),
                (None, Some(since)) if self.now >= since + SETTLED_MS => {
                    let wrong = self.check_end();
                    // An old failure may have expired just now: then there is something to do once more.
                    let waits = wrong.as_ref().is_some_and(|w| w.starts_with("L2"));
                    let lose = self.gone.is_none() && wrong.is_none() && self.below(2) == 0;
                    if lose {
                        self.lose_one();
                    } else if !waits || self.now >= self.end() {
                        return wrong;
                    }
                    quiet_since = None;
                }
                _ => {}
            }
            if self.now >= self.end() {
                let why = self
                    .unsettled()
                    .unwrap_or_else(|| "it changes all the time".into());
                return Some(match self.gone {
                    None => format!(
                        "L2: not settled {} s after the last fault: {why}",
                        (END_MS - FAULTS_TO_MS) / 1000
                    ),
                    Some((n, _)) => format!(
                        "L3: not recovered {} s after the loss of h{}: {why}",
                        RECOVERED_MS / 1000,
                        n + 1
                    ),
                });
            }
        }
        None
    }

    /// When it has to be settled.
    fn end(&self) -> u64 {
        self.gone.map_or(END_MS, |(_, until)| until)
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
                    self.queue
                        .insert((node.paused_until, id), Happens::Word(n, life, word));
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
                    self.queue
                        .insert((node.paused_until, id), Happens::Arrives(n, from, net));
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
            Happens::Lost(n) => self.power_off(n, "for good"),
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
            let at = self.now + 2_000 + self.below(5_000);
            self.at(at, Happens::Power(n));
        }
    }

    /// Whether a node is not to come back.
    pub(super) fn is_gone(&self, n: usize) -> bool {
        self.gone.is_some_and(|(gone, _)| gone == n)
    }

    /// A quiet cluster loses a node, in the middle of what an administrator just asked of it: nothing excuses that it takes
    /// long.
    fn lose_one(&mut self) {
        let n = self.below(self.nodes.len() as u64) as usize;
        self.gone = Some((n, self.now + RECOVERED_MS));
        let others = self.others(n);
        let by = others[self.below(others.len() as u64) as usize];
        let standby = super::client::leaves(n);
        self.client_write(by, standby);
        let at = self.now + self.below(300);
        self.at(at, Happens::Lost(n));
    }

    fn lasts(&mut self, ms: u64, what: Lasting) {
        let id = self.next_id();
        self.lasting.insert(id, what);
        let at = (self.now + ms).min(FAULTS_TO_MS);
        self.at(at, Happens::Heals(id));
    }

    fn heals(&mut self, id: u64) {
        let what = self.lasting.remove(&id);
        self.trace(format_args!("heals {what:?}"));
        match what {
            Some(Lasting::Cut(pairs)) => {
                for pair in pairs {
                    if let Some(count) = self.cuts.get_mut(&pair) {
                        *count -= 1;
                        if *count == 0 {
                            self.cuts.remove(&pair);
                        }
                    }
                }
            }
            Some(Lasting::Loss) => self.loss = 0,
            Some(Lasting::Delay) => self.delay = 0,
            Some(Lasting::Disk) => self.slow_disk = false,
            Some(Lasting::Agents) => self.slow_agents = false,
            Some(Lasting::Failures) => self.failing_agents = false,
            Some(Lasting::Device) => self.device = Device::Works,
            None => {}
        }
    }

    fn on_fault(&mut self) {
        let next = self.now + 200 + self.below(2_500);
        if next < FAULTS_TO_MS {
            self.at(next, Happens::Fault);
        }
        let n = self.below(self.nodes.len() as u64) as usize;
        let long = 200 + self.below(6_000);
        let class = match self.below(13) {
            0 | 1 => {
                self.kill_daemon(n);
                let at = self.now + 100 + self.below(3_000);
                self.at(at, Happens::Daemon(n));
                "process: killed"
            }
            2 => {
                let until = (self.now + long).min(FAULTS_TO_MS);
                self.nodes[n].paused_until = until;
                self.nodes[n].well_since = Some(until);
                "process: paused"
            }
            3 | 4 => {
                self.power_off(n, "fault");
                "node: power-off"
            }
            5 => {
                // A whole rack: logs that were acknowledged too early are lost together.
                for n in 0..self.nodes.len() {
                    if self.below(3) > 0 {
                        self.power_off(n, "fault of many");
                    }
                }
                "node: power-off of many"
            }
            6 => {
                let side = 1 + self.below((1 << self.nodes.len()) - 2);
                let there = |m: usize| side >> m & 1 == 1;
                let all = (0..self.nodes.len())
                    .flat_map(|n| self.others(n).into_iter().map(move |m| (n, m)));
                let cut = all.filter(|(n, m)| there(*n) != there(*m)).collect();
                self.cut(cut, long);
                "network: split"
            }
            7 => {
                let cut = self
                    .others(n)
                    .into_iter()
                    .flat_map(|m| [(n, m), (m, n)])
                    .collect();
                self.cut(cut, long);
                "network: symmetric cut"
            }
            8 => {
                let inward = self.below(2) == 0;
                let cut = self.others(n).into_iter();
                let cut = cut.map(|m| if inward { (m, n) } else { (n, m) }).collect();
                self.cut(cut, long);
                "network: asymmetric cut"
            }
            9 => {
                self.loss = 5 + self.below(25);
                self.lasts(long, Lasting::Loss);
                "network: loss and duplication"
            }
            10 if self.below(2) == 0 => {
                self.delay = 20 + self.below(400);
                self.lasts(long, Lasting::Delay);
                "network: delay and reordering"
            }
            10 => {
                self.slow_disk = true;
                self.lasts(long, Lasting::Disk);
                "disk: slow"
            }
            _ if self.scenario.fencing && self.below(3) > 0 => {
                self.device = [Device::Fails, Device::DoneUnknown, Device::NotDoneUnknown]
                    [self.below(3) as usize];
                self.lasts(2 * long, Lasting::Device);
                "fencing: device"
            }
            _ if self.below(2) == 0 => {
                self.failing_agents = true;
                self.lasts(long, Lasting::Failures);
                "agent: failures"
            }
            _ => {
                self.slow_agents = true;
                self.lasts(long, Lasting::Agents);
                "agent: slow"
            }
        };
        *self.counters.faults.entry(class.into()).or_default() += 1;
        self.trace(format_args!("fault {class} {}", n + 1));
    }

    fn cut(&mut self, pairs: Vec<(usize, usize)>, long: u64) {
        for pair in &pairs {
            *self.cuts.entry(*pair).or_default() += 1;
        }
        self.lasts(long, Lasting::Cut(pairs));
    }

    /// Until when a lease may last of a node that was last in touch with a majority then.
    pub(super) fn lease_end(last_ok: u64) -> u64 {
        last_ok + TIMING.lease_ms
    }
}
