//! What must hold, by the world's truth alone: what really runs where, who really has power, what was really
//! acknowledged. Nothing here asks a machine what it believes, but for the questions whether the cluster is at rest.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Device;
use super::node::TIMING;
use super::terms::Terms;
use super::world::{Word, World};
use super::writes::Done;
use crate::cib::Cib;
use crate::executor::{self, Invocation, RunId};
use crate::fencer;
use crate::graph::{self, Graph};
use crate::policy;
use crate::terms::NodeId;
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
    /// What runs, by resource and node; true when promoted.
    pub(super) active: BTreeMap<(String, usize), bool>,
    /// What a node ran when it lost power: not elsewhere before its loss is proven, or before that moment.
    owed: BTreeMap<String, (usize, u64)>,
    /// Terms and documents by index, as the first node had them that applied it.
    applied: BTreeMap<usize, (u64, Cib)>,
    /// What was applied, by index.
    pub(super) done: BTreeMap<usize, Done>,
    /// Writes that were acknowledged, and how.
    pub(super) acknowledged: BTreeMap<(u64, u64), bool>,
    /// What was said and ordered in which term.
    pub(super) terms: Terms,
    /// Some agent did not do what it should, or took long.
    agents_failed: bool,
    agents_slow: bool,
    /// When a node was lost for good, and what of it does not run elsewhere yet.
    recovering: (u64, BTreeSet<String>),
    /// When each resource was last started on a node.
    started: BTreeMap<(usize, String), u64>,
    /// Which order was carried out under which number, by node, and the other way round.
    executions: BTreeMap<(usize, i64), String>,
    carried_out: BTreeMap<(usize, u64, String), i64>,
}

impl Checks {
    pub(super) fn violated(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    pub(super) fn nodes_of(&self, rsc: &str) -> Vec<usize> {
        let places = (rsc.to_owned(), 0)..=(rsc.to_owned(), usize::MAX);
        self.active.range(places).map(|((_, n), _)| *n).collect()
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
                self.check_order(n, &rsc, &task);
                self.in_order(n, &rsc);
                self.checks.active.insert((rsc.clone(), n), false);
                self.checks.started.insert((n, rsc.clone()), self.now);
            }
            "promote" => {
                self.may_begin(n, &rsc, &task);
                self.check_order(n, &rsc, &task);
                self.checks.active.insert((rsc.clone(), n), true);
            }
            _ => {}
        }
        self.check_active(&rsc);
        let slow = self.faults.slow_agents && !matches!(task.as_str(), "stop" | "demote");
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
        if !self.faults.failing_agents || task == "stop" && !self.scenario.fencing {
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
        let alone = rsc == "vip" && !self.checks.active.contains_key(&("web".to_owned(), n));
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
            && self.scenario.is_single(rsc)
        {
            self.checks.violated(format!(
                "S3: {rsc} is started on h{} at {now}, but h{} lost power with it and its loss is not proven",
                n + 1,
                of + 1
            ));
        }
        if self.scenario.freeze && self.nodes[n].overlay {
            return; // It mends what it runs itself.
        }
        let term = self.nodes[n].raft.term;
        if term < self.checks.terms.newest_start {
            let newest = self.checks.terms.newest_start;
            self.checks.violated(format!(
                "S7: h{} begins {task} {rsc} at {now} in term {term}, after a node did so in term {newest}",
                n + 1
            ));
        }
        self.checks.terms.newest_start = self.checks.terms.newest_start.max(term);
        // The only voter is its own majority whenever it asks, also when it was paused: whoever takes its place has
        // fenced it first.
        let alone = self.nodes[n].raft.voters() == [NodeId(n as u32 + 1)];
        let last_ok = if alone { now } else { self.nodes[n].last_ok };
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
        let key = (rsc.clone(), n);
        let rc = match task.as_str() {
            // The resource has died, and this is how it is noticed.
            "monitor" if !ok => {
                self.checks.active.remove(&key);
                7
            }
            _ if !ok => 1,
            "start" => {
                self.started(&rsc);
                0
            }
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

    /// A node will be lost: how long does it take until what it runs runs elsewhere?
    pub(super) fn wait_for_recovery(&mut self, n: usize) {
        let runs = self.checks.nodes_of_node(n).into_iter();
        let single = runs.filter(|rsc| self.scenario.is_single(rsc)).collect();
        self.checks.recovering = (self.now, single);
    }

    fn started(&mut self, rsc: &str) {
        let (since, open) = &mut self.checks.recovering;
        if open.remove(rsc) && open.is_empty() {
            let took = self.now - *since;
            self.counters.recovery_ms = Some(took);
            if self.scenario.more > 0 && took > LARGE_RECOVERED_MS {
                let what = format!("L3: what a lost node ran runs elsewhere only after {took} ms");
                self.checks.violated(what);
            }
        }
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
        self.checks.active.remove(&(rsc.to_owned(), n));
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
            self.checks.active.remove(&(rsc.clone(), n));
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
        if self.scenario.is_single(rsc) && nodes.len() > 1 {
            let on: Vec<_> = nodes.iter().map(|n| format!("h{}", n + 1)).collect();
            self.checks.violated(format!(
                "S1: {rsc} is active on {} at {}",
                on.join(" and "),
                self.now
            ));
        }
        let promoted = (nodes.iter())
            .filter(|n| self.checks.active.get(&(rsc.to_owned(), **n)) == Some(&true))
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
        for n in 0..self.nodes.len() {
            self.meet(n);
            let due = Self::lease_end(self.nodes[n].last_ok) + TIMING.stop_deadline_ms + SLACK_MS;
            // Of two, neither lets go of anything before it is known which one is dead.
            if self.now > due
                && !self.scenario.freeze
                && !self.scenario.two_node
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

    /// A majority need not have been there at one and the same moment: a lease is as old as the oldest word that it takes.
    fn meet(&mut self, n: usize) {
        let node = &self.nodes[n];
        if !node.up || !node.powered || node.paused_until > self.now {
            return;
        }
        let voters = node.raft.voters().iter().map(|id| id.0 as usize - 1);
        let voters: Vec<usize> = voters.collect();
        let mut met = std::mem::take(&mut self.nodes[n].met);
        met.resize(self.nodes.len(), 0);
        for &m in voters.iter().filter(|m| **m == n || self.reaches(n, **m)) {
            met[m] = self.now;
        }
        let mut newest_first: Vec<u64> = voters.iter().map(|m| met[*m]).collect();
        newest_first.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        let majority = newest_first.get(voters.len() / 2).copied();
        let node = &mut self.nodes[n];
        node.met = met;
        node.last_ok = node.last_ok.max(majority.unwrap_or(0));
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
        let device = if kills {
            self.faults.device
        } else {
            Device::Works
        };
        if let (true, Some(victim)) = (kills, victim) {
            self.check_shot(n, victim);
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
        let have = (term, node.state.clone());
        let first = self.checks.applied.entry(at);
        let first = first.or_insert_with(|| have.clone());
        let same = first.0 == have.0 && first.1.root() == have.1.root();
        if !same {
            let what = format!(
                "S6: h{} has another document than others at index {at}: {} of term {term}, not {} of term {}",
                n + 1,
                have.1.version(),
                first.1.version(),
                first.0
            );
            self.checks.violated(what);
        }
        if at.is_multiple_of(FORGET_EVERY) {
            self.forget_applied();
        }
    }

    /// What no node will apply any more is not needed.
    fn forget_applied(&mut self) {
        let begins = |node: &super::node::Node| node.snapshot.as_ref().map_or(0, |s| s.applied);
        let least = self.nodes.iter().map(begins).min().unwrap_or(0);
        self.checks.applied = self.checks.applied.split_off(&least);
        self.checks.done = self.checks.done.split_off(&least);
    }

    /// A write was answered.
    pub(super) fn acknowledged(&mut self, id: (u64, u64), ok: bool) {
        self.counters.writes += 1;
        self.checks.acknowledged.insert(id, ok);
    }

    /// Every graph obeys the rules that each graph obeys. S11: the policy says the same when it keeps nothing.
    pub(super) fn check_graph(&mut self, cib: &Cib, input: &policy::Input, graph: &Graph) {
        let wrong = graph::check(graph, cib.configuration());
        if let Some(wrong) = wrong.iter().find(|w| !w.rule.only_blocks()) {
            self.checks
                .violated(format!("S9: a graph breaks a rule: {wrong}"));
        }
        if self.counters.plans.is_multiple_of(AFRESH_EVERY)
            && policy::schedule(cib.root(), input).graph != *graph
        {
            self.checks
                .violated("S11: the policy decides differently when it keeps something".into());
        }
    }

    /// S12: a daemon that is up to it stops its resources by itself; the guard is for one that is not, and for what was
    /// started in the moment in which the node was cut off: that may not be in its own copy of the CIB yet. One of two nodes
    /// goes on until it knows which of them is dead, and may learn too late that it has to stop.
    pub(super) fn guard_acts(&mut self, n: usize, stops: &[String]) {
        let node = &self.nodes[n];
        let long = |since: u64| self.now >= since + WELL_MS;
        let well = node.up && node.well_since.is_some_and(long);
        let known = |rsc: &&String| {
            let started = self.checks.started.get(&(n, (*rsc).clone()));
            started.is_some_and(|since| long(*since))
        };
        let left = stops.iter().find(known);
        let in_time = self.now >= node.alone_since + TIMING.stop_deadline_ms * 4 / 5;
        let too_late = self.scenario.two_node && !in_time;
        let excused = self.checks.agents_failed || self.checks.agents_slow || too_late;
        if let (true, false, Some(rsc)) = (well, excused, left) {
            self.checks.violated(format!(
                "S12: the guard of h{} has to stop {rsc} at {}, and its daemon is well",
                n + 1,
                self.now
            ));
        }
    }
}

impl Checks {
    fn nodes_of_node(&self, n: usize) -> Vec<String> {
        self.active
            .keys()
            .filter(|(_, m)| *m == n)
            .map(|(r, _)| r.clone())
            .collect()
    }
}

/// In a large cluster, where nothing else is wrong, what a lost node ran runs elsewhere within this time.
const LARGE_RECOVERED_MS: u64 = 2_000;
/// After so many entries old ones are forgotten.
const FORGET_EVERY: usize = 512;
/// Every so many decisions are made once more, from nothing.
const AFRESH_EVERY: u64 = 32;
/// A daemon that was neither paused nor started for so long knows where it is: by then its first lease has come or its
/// patience has ended, and what an earlier daemon's lease allowed has ended, too.
const WELL_MS: u64 = 2_000;
/// Latencies, a clock's drift, the guard's silence and the time its stops take.
const SLACK_MS: u64 = 1_000;
