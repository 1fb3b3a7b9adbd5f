//! What must hold, by the world's truth alone: what really runs where, who really has power, what was really
//! acknowledged. Nothing here asks a machine what it believes, but for the questions whether the cluster is at rest.

use std::collections::{BTreeMap, BTreeSet};

use super::client::COUNTER;
use super::node::TIMING;
use super::scenario::SINGLE;
use super::world::{Device, Word, World};
use crate::cib::Cib;
use crate::coordinator::Authority;
use crate::executor::{self, Invocation, RunId};
use crate::fencer;
use crate::graph::{self, Graph};
use crate::policy;
use crate::terms::{ExecStatus, OcfExit};

/// How an agent ends.
enum Fate {
    Works,
    /// With an error; a start that failed may still have started something.
    Fails,
    Hangs,
}

/// The world's truth, and what was found wrong with it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// The first violation.
    pub(super) wrong: Option<String>,
    /// What runs, by node and resource; true when promoted.
    active: BTreeMap<(usize, String), bool>,
    /// What a node ran when it lost power: not elsewhere before its loss is proven, or before that moment.
    owed: BTreeMap<String, (usize, u64)>,
    /// Terms and digests by index, as the first node had them that applied it.
    applied: BTreeMap<usize, (u64, String)>,
    /// Writes that were acknowledged, and how.
    acknowledged: BTreeMap<(u64, u64), bool>,
    /// The newest term of a node that began a start.
    newest_start: u64,
    /// Some agent did not do what it should, or took long.
    agents_failed: bool,
    agents_slow: bool,
    /// When each resource was last started on a node.
    started: BTreeMap<(usize, String), u64>,
    /// Which order was carried out under which number, by node, and the other way round.
    executions: BTreeMap<(usize, i64), String>,
    carried_out: BTreeMap<(usize, u64, String), i64>,
}

impl Checks {
    fn violated(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    fn nodes_of(&self, rsc: &str) -> Vec<usize> {
        self.active
            .keys()
            .filter(|(_, r)| r == rsc)
            .map(|(n, _)| *n)
            .collect()
    }
}

impl World {
    /// An agent begins; from here on its effect may be there.
    pub(super) fn agent_begins(&mut self, n: usize, run: RunId, call: &Invocation) {
        let (rsc, task) = (call.rsc.to_string(), call.task.clone());
        self.trace(format_args!("{} {task} {rsc}", n + 1));
        self.counters.agents += 1;
        self.nodes[n]
            .runs
            .insert(run, (call.rsc.clone(), task.clone()));
        match task.as_str() {
            "start" => {
                self.may_begin(n, &rsc, &task);
                self.in_order(n, &rsc);
                self.checks.active.insert((n, rsc.clone()), false);
                self.checks.started.insert((n, rsc.clone()), self.now);
            }
            "promote" => {
                self.may_begin(n, &rsc, &task);
                self.checks.active.insert((n, rsc.clone()), true);
            }
            _ => {}
        }
        self.check_active(&rsc);
        let slow = self.slow_agents && !matches!(task.as_str(), "stop" | "demote");
        self.checks.agents_slow |= slow;
        let after = 5 + self.below(if slow { 3_000 } else { 50 });
        match self.fate(&task) {
            Fate::Works => self.tell(n, after, Word::AgentEnds(run, true)),
            Fate::Fails => self.tell(n, after, Word::AgentEnds(run, false)),
            Fate::Hangs => self.tell(n, call.timeout_ms, Word::AgentTimesOut(run)),
        }
    }

    /// What comes of an agent that begins now. Without a fence device nothing helps against a stop that fails.
    fn fate(&mut self, task: &str) -> Fate {
        if !self.failing_agents || task == "stop" && !self.scenario.fencing {
            return Fate::Works;
        }
        let fate = match self.below(40) {
            0 => Fate::Hangs,
            1..=6 => Fate::Fails,
            _ => return Fate::Works,
        };
        self.checks.agents_failed = true;
        fate
    }

    /// S9: a member of a group is started behind those in front of it. What has died in between, its monitor has yet to notice.
    fn in_order(&mut self, n: usize, rsc: &str) {
        let alone = rsc == "vip" && !self.checks.active.contains_key(&(n, "web".to_owned()));
        if alone && !self.checks.agents_failed {
            let now = self.now;
            self.checks.violated(format!(
                "S9: vip is started on h{} at {now}, and web does not run there",
                n + 1
            ));
        }
    }

    /// S10: an order is carried out once in a life of its node, and each execution has a number of its own.
    pub(super) fn reported(&mut self, n: usize, report: &executor::Report) {
        let executor::Report::Result(done) = report else {
            return;
        };
        // Recurring operations report again and again.
        if done.call_id < 0 || done.op.interval_ms > 0 {
            return;
        }
        let (key, life) = (done.key.to_string(), self.nodes[n].life);
        let what = format!("{} {key}", done.op);
        let before = self
            .checks
            .executions
            .insert((n, done.call_id), what.clone());
        if let Some(before) = before.filter(|before| *before != what) {
            self.checks.violated(format!(
                "S10: h{} reports {what} as number {}, which was {before}",
                n + 1,
                done.call_id
            ));
        }
        let before = self
            .checks
            .carried_out
            .insert((n, life, what.clone()), done.call_id);
        if let Some(before) = before.filter(|before| *before != done.call_id) {
            self.checks.violated(format!(
                "S10: h{} has carried out {what} twice, as {before} and {}",
                n + 1,
                done.call_id
            ));
        }
    }

    /// S3, S7 and S8, at the moment a start or promotion begins.
    fn may_begin(&mut self, n: usize, rsc: &str, task: &str) {
        let now = self.now;
        if let Some((of, until)) = self.checks.owed.get(rsc).copied()
            && of != n
            && task == "start"
            && now < until
            && SINGLE.contains(&rsc)
        {
            self.checks.violated(format!(
                "S3: {rsc} is started on h{} at {now}, but h{} lost power with it and its loss is not proven",
                n + 1,
                of + 1
            ));
        }
        let term = self.nodes[n].raft.term;
        if term < self.checks.newest_start {
            let newest = self.checks.newest_start;
            self.checks.violated(format!(
                "S7: h{} begins {task} {rsc} at {now} in term {term}, after a node did so in term {newest}",
                n + 1
            ));
        }
        self.checks.newest_start = self.checks.newest_start.max(term);
        let last_ok = self.nodes[n].last_ok;
        if now > Self::lease_end(last_ok) + SLACK_MS {
            self.checks.violated(format!(
                "S8: h{} begins {task} {rsc} at {now}, but is without a majority since {last_ok}",
                n + 1
            ));
        }
    }

    pub(super) fn agent_ends(&mut self, n: usize, run: RunId, ok: bool) {
        let Some((rsc, task)) = self.nodes[n].runs.remove(&run) else {
            return;
        };
        let rsc = rsc.to_string();
        let key = (n, rsc.clone());
        let rc = match task.as_str() {
            // The resource has died, and this is how it is noticed.
            "monitor" if !ok => {
                self.checks.active.remove(&key);
                7
            }
            _ if !ok => 1,
            "stop" => {
                self.checks.active.remove(&key);
                0
            }
            "demote" => {
                if let Some(promoted) = self.checks.active.get_mut(&key) {
                    *promoted = false;
                }
                0
            }
            "monitor" => match self.checks.active.get(&key) {
                None => 7,
                Some(true) => 8,
                Some(false) => 0,
            },
            _ => 0,
        };
        let mut outcome = executor::Outcome::done(rc);
        outcome.status = ExecStatus::Done;
        outcome.rc = OcfExit(rc);
        self.executor(n, executor::Event::Ended(run, outcome));
    }

    /// An agent that hangs is killed, and has done nothing.
    pub(super) fn agent_times_out(&mut self, n: usize, run: RunId) {
        if self.nodes[n].runs.remove(&run).is_some() {
            let outcome = executor::Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, "hung");
            self.executor(n, executor::Event::Ended(run, outcome));
        }
    }

    /// Something was stopped by force.
    pub(super) fn truth_stopped(&mut self, n: usize, rsc: &str) {
        self.checks.active.remove(&(n, rsc.to_owned()));
    }

    pub(super) fn truth_power_lost(&mut self, n: usize) {
        let node = &self.nodes[n];
        let until = if self.scenario.fencing {
            u64::MAX
        } else {
            node.world(node.lease_until)
        };
        let ran: Vec<_> = self.checks.nodes_of_node(n);
        for rsc in ran {
            self.checks.active.remove(&(n, rsc.clone()));
            self.checks.owed.insert(rsc, (n, until));
        }
    }

    /// A new life of a daemon is looked at afresh: what its node ran before is known to be lost.
    pub(super) fn truth_daemon_started(&mut self, n: usize) {
        self.checks.owed.retain(|_, (of, _)| *of != n);
    }

    /// S1 and S2.
    fn check_active(&mut self, rsc: &str) {
        let nodes = self.checks.nodes_of(rsc);
        if SINGLE.contains(&rsc) && nodes.len() > 1 {
            let on: Vec<_> = nodes.iter().map(|n| format!("h{}", n + 1)).collect();
            self.checks.violated(format!(
                "S1: {rsc} is active on {} at {}",
                on.join(" and "),
                self.now
            ));
        }
        let promoted = self
            .checks
            .active
            .iter()
            .filter(|((_, r), p)| r == rsc && **p)
            .count();
        if promoted > 1 {
            self.checks.violated(format!(
                "S2: {rsc} is promoted {promoted} times at {}",
                self.now
            ));
        }
    }

    /// S12: a node that is cut off does not go on for longer than its lease and its stop deadline.
    pub(super) fn check_time(&mut self) {
        let majority = self.nodes.len() / 2 + 1;
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            let runs = node.up && node.powered && node.paused_until <= self.now;
            let reached = 1 + self
                .others(n)
                .iter()
                .filter(|m| self.reaches(n, **m))
                .count();
            if runs && reached >= majority {
                self.nodes[n].last_ok = self.now;
            }
            let due = Self::lease_end(self.nodes[n].last_ok) + TIMING.stop_deadline_ms + SLACK_MS;
            if self.now > due
                && let Some(rsc) = self.checks.nodes_of_node(n).first().cloned()
            {
                self.checks.violated(format!(
                    "S12: h{} still runs {rsc} at {}, but is without a majority since {}",
                    n + 1,
                    self.now,
                    self.nodes[n].last_ok
                ));
            }
        }
    }

    /// A fence agent is run. What it does to the node, and what it says, are two things.
    pub(super) fn fence_agent(&mut self, n: usize, run: fencer::RunId, call: &fencer::AgentRun) {
        let target = call
            .input
            .iter()
            .find(|(name, _)| name == "nodename")
            .map(|(_, v)| v.clone());
        let kills = matches!(call.action.as_str(), "off" | "reboot");
        let victim = target.and_then(|t| self.nodes.iter().position(|m| m.name.as_str() == t));
        let device = if kills { self.device } else { Device::Works };
        if kills && self.nodes[n].raft.term < self.checks.newest_start {
            let (term, newest) = (self.nodes[n].raft.term, self.checks.newest_start);
            self.checks.violated(format!(
                "S4: h{} fences at {} in term {term}, after something was started in term {newest}",
                n + 1,
                self.now
            ));
        }
        if let Some(victim) = victim
            && kills
            && matches!(device, Device::Works | Device::DoneUnknown)
        {
            self.counters.fenced += 1;
            self.power_off(victim, "fenced");
        }
        let (result, after) = match device {
            Device::Works => (Ok(0), 50 + self.below(300)),
            Device::Fails => (Ok(1), 50 + self.below(300)),
            Device::DoneUnknown | Device::NotDoneUnknown => (
                Err(fencer::Failure::TimedOut(
                    "the device did not answer in time".into(),
                )),
                call.timeout_ms.min(3_000),
            ),
        };
        if device == Device::Works
            && let Some(victim) = victim
            && kills
        {
            // Said below, and true from here on.
            self.checks.owed.retain(|_, (of, _)| *of != victim);
        }
        let event = fencer::Event::Ended {
            run,
            result,
            output: String::new(),
        };
        self.tell(n, after, Word::Fencer(event));
    }

    /// S6: all nodes that applied an index have the same document there.
    pub(super) fn check_applied(&mut self, n: usize, term: u64) {
        let node = &self.nodes[n];
        let at = node.applied;
        let digest = if at.is_multiple_of(16) {
            node.state.digest()
        } else {
            node.state.version().to_string()
        };
        let have = (term, digest);
        let first = self
            .checks
            .applied
            .entry(at)
            .or_insert_with(|| have.clone());
        if *first != have {
            let what = format!(
                "S6: h{} has another document than others at index {at}: {have:?}, not {first:?}",
                n + 1
            );
            self.checks.violated(what);
        }
    }

    /// A write was answered.
    pub(super) fn acknowledged(&mut self, id: (u64, u64), ok: bool) {
        self.counters.writes += 1;
        self.checks.acknowledged.insert(id, ok);
    }

    /// Every graph obeys the rules that each graph obeys. S11: the policy says the same when asked again.
    pub(super) fn check_graph(&mut self, cib: &Cib, graph: &Graph) {
        let wrong = graph::check(graph, cib.configuration());
        if let Some(wrong) = wrong.iter().find(|w| !w.rule.only_blocks()) {
            self.checks
                .violated(format!("S9: a graph breaks a rule: {wrong}"));
        }
    }

    /// All nodes but one that is not to come back.
    fn living(&self) -> impl Iterator<Item = &super::node::Node> {
        let living = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(n, _)| !self.is_gone(*n));
        living.map(|(_, node)| node)
    }

    /// S12: a daemon that is up to it stops its resources by itself; the guard is for one that is not, and for what was
    /// started in the moment in which the node was cut off: that may not be in its own copy of the CIB yet.
    pub(super) fn guard_acts(&mut self, n: usize, stops: &[String]) {
        let node = &self.nodes[n];
        let long = |since: u64| self.now >= since + WELL_MS;
        let well = node.up && node.well_since.is_some_and(long);
        let known = |rsc: &&String| {
            let started = self.checks.started.get(&(n, (*rsc).clone()));
            started.is_some_and(|since| long(*since))
        };
        let left = stops.iter().find(known);
        let excused = self.checks.agents_failed || self.checks.agents_slow;
        if let (true, false, Some(rsc)) = (well, excused, left) {
            self.checks.violated(format!(
                "S12: the guard of h{} has to stop {rsc} at {}, and its daemon is well",
                n + 1,
                self.now
            ));
        }
    }

    /// Why the cluster is not at rest, if it is not.
    pub(super) fn unsettled(&self) -> Option<String> {
        let leaders: Vec<_> = (0..self.nodes.len())
            .filter(|n| {
                self.nodes[*n].up && matches!(self.nodes[*n].authority, Authority::Leader(_))
            })
            .collect();
        let [leader] = leaders[..] else {
            return Some(format!("L1: {} nodes coordinate", leaders.len()));
        };
        for node in self.living() {
            if !node.up || node.knowledge.held != Some(true) {
                return Some(format!("L1: {} holds no lease", node.name));
            }
        }
        if !self.operator_is_done(leader) {
            return Some("L4: what the operator takes back is not taken back".into());
        }
        if self.nodes[leader].coordinator.picture().busy {
            let flight = self.nodes[leader].coordinator.picture().in_flight;
            return Some(format!(
                "L2: {} is not done: {flight:?}",
                self.nodes[leader].name
            ));
        }
        for rsc in SINGLE {
            let on = self.checks.nodes_of(rsc).len();
            if on != 1 {
                return Some(format!("L2: {rsc} is active {on} times"));
            }
        }
        if self.scenario.stateful {
            let on: Vec<_> = self
                .checks
                .active
                .iter()
                .filter(|((_, r), _)| r == "db")
                .collect();
            let promoted = on.iter().filter(|(_, p)| **p).count();
            if on.len() != self.living().count() || promoted != 1 {
                return Some(format!(
                    "L2: db is active {} times, promoted {promoted} times",
                    on.len()
                ));
            }
        }
        None
    }

    /// S5, S6 and L2, when all is quiet.
    pub(super) fn check_end(&mut self) -> Option<String> {
        let any = self.living().next()?;
        let longest = self.living().map(|n| n.applied).max()?;
        if let Some(node) = self.living().find(|n| n.applied != longest) {
            return Some(format!(
                "L2: {} has not applied what others have",
                node.name
            ));
        }
        for node in self.living() {
            if let Some((id, _)) = node.open.iter().next() {
                return Some(format!("L4: {} waits for the answer to {id:?}", node.name));
            }
            if !node.deliveries.is_empty() || !node.unwritten.is_empty() {
                return Some(format!(
                    "L5: {} keeps orders or reports for ever",
                    node.name
                ));
            }
        }
        for node in self.living() {
            let mut seen = BTreeSet::new();
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            for write in node.raft.log.iter().filter_map(|e| e.write.as_ref()) {
                seen.insert((write.client, write.seq));
                last.insert(write.client, write.seq);
            }
            if let Some(lost) = self
                .checks
                .acknowledged
                .keys()
                .find(|id| !seen.contains(id))
            {
                return Some(format!(
                    "S5: {} has lost the acknowledged write {lost:?}",
                    node.name
                ));
            }
        }
        let counted = |write: &&super::raft::Write| {
            let input = write.command.input.as_ref();
            input.is_some_and(|input| input.descendants().any(|e| e.id() == Some(COUNTER)))
        };
        let log = any.raft.log.iter();
        let counts: BTreeSet<_> = log
            .filter_map(|entry| entry.write.as_ref())
            .filter(counted)
            .map(|write| (write.client, write.seq))
            .collect();
        let root = any.state.root();
        let value = root.descendants().find(|e| e.id() == Some(COUNTER));
        let value = value.and_then(|pair| pair.get("value")).unwrap_or("0");
        if value != counts.len().to_string() {
            return Some(format!(
                "S5: {} writes that add one are in the log, and they came to {value}",
                counts.len()
            ));
        }
        let digest = any.state.digest();
        if let Some(node) = self.living().find(|n| n.state.digest() != digest) {
            return Some(format!("S6: {} has another document in the end", node.name));
        }
        let input = policy::Input {
            causes: false,
            ..policy::Input::at(self.wall_s())
        };
        let (one, two) = (
            policy::schedule(any.state.root(), &input),
            policy::schedule(any.state.root(), &input),
        );
        if one.graph != two.graph {
            return Some("S11: the policy answers the same question differently".into());
        }
        if !one.graph.is_empty() {
            return Some("L2: at rest, but the policy still wants something".into());
        }
        None
    }
}

impl Checks {
    fn nodes_of_node(&self, n: usize) -> Vec<String> {
        self.active
            .keys()
            .filter(|(m, _)| *m == n)
            .map(|(_, r)| r.clone())
            .collect()
    }
}

/// A daemon that was neither paused nor started for so long knows where it is.
const WELL_MS: u64 = 5_000;
/// Latencies, a clock's drift, the guard's silence and the time its stops take.
const SLACK_MS: u64 = 1_000;
