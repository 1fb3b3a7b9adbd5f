//! An operation that this fencer owns: from the question who can, over devices and levels, to its one end.
//!
//! ```text
//!   Querying ──► Executing: step by step, peer by peer ──► Done | Failed
//!       └──────► Watchdog: nobody can, but the node resets itself ──► Done
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::clock::Mono;
use crate::terms::{NodeName, RscId};

use super::choose::{Answers, Choice, capability};
use super::machine::{Now, Out};
use super::topology::{self, Step};
use super::vocab::{
    Action, Answer, AskId, Delay, Failure, Life, Message, OpId, Outcome, PeerRun, Query, Record,
    Request, State,
};

/// The built-in device: the node's own watchdog.
pub(super) const WATCHDOG: &str = "watchdog";

/// Its agent, which is no program. // spec cluster §16.9
pub const WATCHDOG_AGENT: &str = "fence_watchdog";

/// Time limits of others are multiplied by this, in percent.
const MARGIN_PERCENT: u64 = 120;

fn with_margin(ms: u64) -> u64 {
    ms.saturating_mul(MARGIN_PERCENT) / 100
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: OpId,
    pub(super) request: Request,
    /// Equal requests that came later and get the same result.
    pub(super) waiters: Vec<Request>,
    phase: Phase,
    answers: Answers,
    /// In which life of a fencer each answer was given.
    lives: BTreeMap<NodeName, Life>,
    unanswered: BTreeMap<NodeName, AskId>,
    query_until: Mono,
    /// Levels that are left, when there is a topology.
    levels: Option<VecDeque<Vec<RscId>>>,
    steps: VecDeque<Step>,
    failed: BTreeSet<(NodeName, RscId)>,
    current: Option<Current>,
    total_until: Option<Mono>,
    /// The requested delay is spent on the first device.
    delay: Delay,
    delegate: Option<NodeName>,
    last: Option<Failure>,
    watchdog_ms: u64,
    pub(super) end: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Querying,
    Executing,
    Watchdog(Mono),
}

#[derive(Debug)]
struct Current {
    ask: AskId,
    peer: NodeName,
    step: Step,
    until: Mono,
}

impl Operation {
    /// Begins: everybody is asked.
    pub(super) fn begin(
        now: Now,
        id: OpId,
        request: Request,
        peers: &BTreeSet<NodeName>,
        levels: Vec<Vec<RscId>>,
        watchdog_ms: u64,
        out: &mut Out,
    ) -> Self {
        let mut unanswered = BTreeMap::new();
        // A dead node does not answer; it is asked only where it could have a part in it.
        let asks_target = request.allow_self || request.action == Action::On;
        for peer in peers
            .iter()
            .filter(|peer| **peer != request.target || asks_target)
        {
            let ask = out.next_ask();
            unanswered.insert(peer.clone(), ask);
            let query = Query {
                ask,
                term: request.term,
                target: request.target.clone(),
                action: request.action,
                timeout_ms: request.timeout_ms,
            };
            out.send(peer, Message::Query(query));
        }
        Self {
            id,
            delay: request.delay,
            query_until: now.mono.plus(with_margin(request.timeout_ms)),
            request,
            waiters: Vec::new(),
            phase: Phase::Querying,
            answers: Answers::new(),
            lives: BTreeMap::new(),
            unanswered,
            levels: (!levels.is_empty()).then(|| levels.into()),
            steps: VecDeque::new(),
            failed: BTreeSet::new(),
            current: None,
            total_until: None,
            delegate: None,
            last: None,
            watchdog_ms,
            end: None,
        }
    }

    /// An answer of a peer; true if it was for this operation.
    pub(super) fn answer(
        &mut self,
        now: Now,
        from: &NodeName,
        ask: AskId,
        answer: &Answer,
    ) -> bool {
        if self.unanswered.get(from) == Some(&ask) {
            self.unanswered.remove(from);
            match answer {
                Answer::Capable(life, all) => {
                    self.lives.insert(from.clone(), *life);
                    self.answers.insert(from.clone(), all.clone());
                }
                Answer::OldTerm(newest) => self.old_term(*newest),
                Answer::Ran(_) => {}
            }
            return true;
        }
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.ask != ask || current.peer != *from)
        {
            return false;
        }
        match answer {
            Answer::Ran(Ok(())) => self.step_done(now),
            Answer::Ran(Err(failure)) => self.step_failed(failure.clone()),
            Answer::OldTerm(newest) => self.old_term(*newest),
            Answer::Capable(..) => {}
        }
        true
    }

    /// A peer cannot be reached, or is gone.
    pub(super) fn unreachable(&mut self, peer: &NodeName) {
        self.unanswered.remove(peer);
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.peer == *peer)
        {
            self.step_failed(Failure::Unreachable(peer.clone()));
        }
    }

    /// A newer leader decides now.
    pub(super) fn old_term(&mut self, newest: crate::terms::Term) {
        let got = self.request.term.unwrap_or(newest);
        self.fail(Failure::OldTerm { got, newest });
    }

    /// A person says so.
    pub(super) fn confirmed(&mut self) {
        self.end = Some(Outcome {
            delegate: Some(A_HUMAN.to_owned()),
            result: Ok(()),
        });
    }

    /// Goes as far as it can.
    pub(super) fn settle(&mut self, now: Now, out: &mut Out) {
        if self.end.is_none() {
            self.time(now);
        }
        if self.phase == Phase::Querying && self.end.is_none() {
            self.try_begin(now);
        }
        while self.phase == Phase::Executing && self.current.is_none() && self.end.is_none() {
            self.next(now, out);
        }
    }

    /// When time alone changes something.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let phase = match self.phase {
            Phase::Querying => Some(self.query_until),
            Phase::Watchdog(until) => Some(until),
            Phase::Executing => self.current.as_ref().map(|current| current.until),
        };
        phase.into_iter().chain(self.total_until).min()
    }

    /// What the history says of it.
    pub(super) fn record(&self, now: Now) -> Record {
        let state = match (&self.end, self.phase) {
            (Some(Outcome { result: Ok(()), .. }), _) => State::Done,
            (Some(_), _) => State::Failed,
            (None, Phase::Querying) => State::Querying,
            (None, _) => State::Executing,
        };
        let end = self.end.as_ref();
        Record {
            op: self.id.clone(),
            target: self.request.target.clone(),
            action: self.request.action,
            origin: self.id.owner.clone(),
            client: self.request.client.clone(),
            delegate: end.and_then(|end| end.delegate.clone()),
            completed_ms: end.map(|_| now.wall_ms),
            state,
            reason: end.and_then(|end| end.result.as_ref().err().map(ToString::to_string)),
        }
    }

    fn time(&mut self, now: Now) {
        if self.total_until.is_some_and(|until| until <= now.mono) {
            return self.fail(Failure::TimedOut(TOTAL.to_owned()));
        }
        match self.phase {
            Phase::Querying if self.query_until <= now.mono && !self.unanswered.is_empty() => {
                self.unanswered.clear();
                if self.answers.values().all(Vec::is_empty) && self.watchdog_ms == 0 {
                    self.fail(Failure::TimedOut(NO_REPLY.to_owned()));
                }
            }
            Phase::Watchdog(until) if until <= now.mono => self.watchdog_done(now),
            Phase::Executing if self.current.as_ref().is_some_and(|c| c.until <= now.mono) => {
                self.step_failed(Failure::TimedOut(NO_RESULT.to_owned()));
            }
            _ => {}
        }
    }

    /// Enough is known to begin, or everybody has answered.
    fn try_begin(&mut self, now: Now) {
        let complete = self.unanswered.is_empty();
        if self.request.action == Action::On {
            // All devices that unfence the node take part, so all must be known.
            if complete {
                self.add_unfencing();
                self.execute(now);
            }
            return;
        }
        let first: Option<Vec<RscId>> = self.levels.as_ref().and_then(|all| all.front().cloned());
        let ready = match first {
            Some(devices) => devices
                .iter()
                .all(|device| device.as_str() == WATCHDOG || self.choose(Some(device)).is_some()),
            None => self.choose(None).is_some(),
        };
        if ready || complete {
            self.execute(now);
        }
    }

    fn add_unfencing(&mut self) {
        let all = self
            .answers
            .values()
            .flatten()
            .filter(|c| c.unfences && c.supports_on);
        let unfencing: BTreeSet<RscId> = all.map(|c| c.device.clone()).collect();
        if unfencing.is_empty() {
            return;
        }
        let levels = self
            .levels
            .get_or_insert_with(|| VecDeque::from([Vec::new()]));
        if let Some(level) = levels.front_mut() {
            let missing = unfencing
                .into_iter()
                .filter(|device| !level.contains(device));
            let missing: Vec<RscId> = missing.collect();
            level.extend(missing);
        }
    }

    fn execute(&mut self, now: Now) {
        let nobody = self.answers.values().all(Vec::is_empty);
        let by_watchdog = |level: &Vec<RscId>| level.iter().any(|d| d.as_str() == WATCHDOG);
        let named = self
            .levels
            .as_ref()
            .is_some_and(|levels| levels.iter().any(by_watchdog));
        if nobody && !named {
            if self.watchdog_ms > 0 && self.request.action.kills() {
                self.phase = Phase::Watchdog(now.mono.plus(self.watchdog_ms));
            } else {
                self.fail(Failure::NoDevice(self.request.target.clone()));
            }
            return;
        }
        self.phase = Phase::Executing;
        let total = with_margin(self.work_ms());
        self.total_until = Some(now.mono.plus(total));
    }

    /// Time limits and delays of all devices that may take part.
    fn work_ms(&self) -> u64 {
        let action = self.request.action;
        let of = |device: &RscId, action: Action| {
            if device.as_str() == WATCHDOG {
                return self.watchdog_ms;
            }
            let Some(c) = capability(&self.answers, device) else {
                return 0;
            };
            let ms = |map: &BTreeMap<Action, u64>| map.get(&action).copied().unwrap_or(0);
            ms(&c.timeout_ms) + ms(&c.delay_ms)
        };
        let requested = match self.request.delay {
            Delay::Add(ms) => ms,
            Delay::None | Delay::Disabled => 0,
        };
        let devices: u64 = match &self.levels {
            Some(levels) => {
                let steps = levels.iter().flat_map(|level| self.steps_of(level));
                steps.map(|step| of(&step.device, step.action)).sum()
            }
            None => {
                // Any peer may have to try all of its devices.
                let peers = self.answers.values();
                peers.flatten().map(|c| of(&c.device, action)).sum()
            }
        };
        devices + requested
    }

    fn steps_of(&self, level: &[RscId]) -> VecDeque<Step> {
        topology::steps(self.request.action, level, |device| {
            capability(&self.answers, device).cloned()
        })
    }

    /// The next thing to do; sets `current` or `end`.
    fn next(&mut self, now: Now, out: &mut Out) {
        if self.levels.is_none() {
            let step = |device: RscId| Step {
                device,
                action: self.request.action,
                must: true,
            };
            match self.choose(None) {
                Some((peer, c)) => {
                    let step = step(c.device.clone());
                    self.run(now, peer, step, out);
                }
                None => self.exhausted(ALL_NODES),
            }
            return;
        }
        let Some(step) = self.steps.pop_front() else {
            let level = self.levels.as_mut().and_then(VecDeque::pop_front);
            match level {
                Some(level) => self.steps = self.steps_of(&level),
                None => self.exhausted(ALL_LEVELS),
            }
            return;
        };
        if step.device.as_str() == WATCHDOG && self.watchdog_ms > 0 {
            self.phase = Phase::Watchdog(now.mono.plus(self.watchdog_ms));
            return;
        }
        match self.choose_for(&step) {
            Some(peer) => self.run(now, peer, step, out),
            None if step.must => {
                let text = format!("no node can use device '{}'", step.device);
                self.last.get_or_insert(Failure::Failed(text));
                self.steps.clear();
            }
            // Power that stays off on one of several supplies is no reason to call the node alive.
            None => self.after_step(),
        }
    }

    fn choose(&self, device: Option<&RscId>) -> Option<(NodeName, super::vocab::Capability)> {
        self.choice(self.request.action).next(device)
    }

    fn choose_for(&self, step: &Step) -> Option<NodeName> {
        self.choice(step.action)
            .next(Some(&step.device))
            .map(|(peer, _)| peer)
    }

    fn choice(&self, action: Action) -> Choice<'_> {
        Choice {
            target: &self.request.target,
            action,
            answers: &self.answers,
            failed: &self.failed,
            complete: self.unanswered.is_empty() || self.phase == Phase::Executing,
            allow_self: self.request.allow_self,
        }
    }

    fn run(&mut self, now: Now, peer: NodeName, step: Step, out: &mut Out) {
        let delay = std::mem::take(&mut self.delay);
        let c = capability(&self.answers, &step.device);
        let ms = |map: Option<&BTreeMap<Action, u64>>| {
            map.and_then(|map| map.get(&step.action))
                .copied()
                .unwrap_or(0)
        };
        let requested = if let Delay::Add(ms) = delay { ms } else { 0 };
        let work = ms(c.map(|c| &c.timeout_ms)) + ms(c.map(|c| &c.delay_ms)) + requested;
        let ask = out.next_ask();
        let run = PeerRun {
            ask,
            term: self.request.term,
            life: self.lives.get(&peer).copied().unwrap_or_default(),
            op: self.id.clone(),
            device: step.device.clone(),
            target: self.request.target.clone(),
            action: step.action,
            timeout_ms: self.request.timeout_ms,
            delay,
        };
        let until = now.mono.plus(with_margin(work.max(1)));
        self.current = Some(Current {
            ask,
            peer: peer.clone(),
            step,
            until,
        });
        out.send(&peer, Message::Run(run));
    }

    fn step_done(&mut self, _now: Now) {
        let Some(current) = self.current.take() else {
            return;
        };
        if current.step.must {
            self.delegate = Some(current.peer);
        }
        self.after_step();
    }

    fn after_step(&mut self) {
        // Without a topology the first success is the end; with one, the end of a level.
        if self.levels.is_none() || self.steps.is_empty() {
            let delegate = self.delegate.as_ref().map(ToString::to_string);
            self.end = Some(Outcome {
                delegate,
                result: Ok(()),
            });
        }
    }

    fn step_failed(&mut self, failure: Failure) {
        let Some(Current { peer, step, .. }) = self.current.take() else {
            return;
        };
        tracing::warn!(
            target = %self.request.target, device = %step.device, %peer, %failure,
            "a fence device did not work"
        );
        self.failed.insert((peer, step.device.clone()));
        let elsewhere = matches!(failure, Failure::Unreachable(_) | Failure::CannotRun(_));
        if step.must {
            self.last = Some(failure);
        }
        if self.levels.is_none() {
            return;
        }
        if !step.must {
            return self.after_step();
        }
        if elsewhere && self.choose_for(&step).is_some() {
            // Not the device, but its node: another one may use it.
            self.steps.push_front(step);
        } else {
            self.steps.clear();
            // The next level uses its devices afresh.
            self.failed.clear();
        }
    }

    fn watchdog_done(&mut self, _now: Now) {
        self.delegate = None;
        self.phase = Phase::Executing;
        if self.levels.is_some() && !self.steps.is_empty() {
            return;
        }
        let delegate = Some(WATCHDOG.to_owned());
        self.end = Some(Outcome {
            delegate,
            result: Ok(()),
        });
    }

    fn exhausted(&mut self, text: &str) {
        let failure = match self.last.take() {
            // Unknown stays unknown: some device may have done it after all.
            Some(Failure::TimedOut(why)) => Failure::TimedOut(format!("{text} ({why})")),
            Some(why) => Failure::Failed(format!("{text} ({why})")),
            None => Failure::Failed(text.to_owned()),
        };
        self.fail(failure);
    }

    fn fail(&mut self, failure: Failure) {
        self.current = None;
        self.end = Some(Outcome {
            delegate: None,
            result: Err(failure),
        });
    }
}

/// Delegate of a confirmed operation.
pub const A_HUMAN: &str = "a human";
const TOTAL: &str = "Fencing did not complete within a total timeout based on the configured timeout and \
                     retries for any devices attempted";
const NO_REPLY: &str = "No capable peers replied to device query within timeout";
const NO_RESULT: &str = "Peer did not return fence result within timeout";
const ALL_NODES: &str = "All nodes failed, or are unable, to fence target";
const ALL_LEVELS: &str = "All topology levels failed";
