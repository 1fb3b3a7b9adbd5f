//! One queue per resource; what stands at its head runs, one at a time, whatever other resources do.
//!
//! ```text
//!   order ──► accept ──► queue of its resource ──► begin ──► run ──► ended ──► report
//!               │            ▲                                         │
//!               └─ recurring ┴── due ◄──── interval after the end ─────┘
//! ```
//!
//! Two things keep a resource from being started twice. An order waits until its pending entry is on disk at
//! a majority, for a coordinator that takes over knows only the CIB. And what has not begun when a newer term
//! is seen never begins: its coordinator is deposed, and its successor may have decided otherwise.
//!
//! A stop does not wait for its record. Until that is there, nobody knows of it but this node: what a newer coordinator
//! wants started here meanwhile was decided without that knowledge, may need what went, and is decided again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::clock::Mono;
use crate::seeded::{Bug, seeded};
use crate::terms::{AgentName, ExecStatus, OcfExit, OpKey, RscId, Term, TransitionKey};

use super::digests;
use super::memory::Memory;
use super::recurring::Recurring;
use super::vocab::{
    Command, DeviceTask, Effect, Event, Execution, Invocation, Metadata, Order, Outcome, Pending,
    Refusal, Report, RunId,
};

mod resource;
mod told;

use resource::{Entry, Op, Resource};
use told::{
    cancelled, cancelled_unrecorded, execution, is_announced, not_done, report_pending, withdrawn,
};

/// Time as the shell tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For intervals and delays.
    pub mono: Mono,
    /// For the history: seconds since 1970.
    pub wall_s: i64,
}

/// The executor of one node.
#[derive(Debug)]
pub struct Machine {
    limit: usize,
    newest: Term,
    leaving: bool,
    next_call: i64,
    next_run: u64,
    next_turn: u64,
    resources: BTreeMap<RscId, Resource>,
    metadata: BTreeMap<AgentName, Option<Arc<Metadata>>>,
    reading: BTreeSet<AgentName>,
    /// Results that wait for the metadata which their digests need.
    waiting: Vec<(Order, Execution)>,
    /// Stops whose pending entries are not yet on disk at a majority, by the entries' tickets.
    unrecorded: BTreeMap<i64, (Term, OpKey)>,
    /// Keys of orders that were taken, the newest last: orders are repeated until they are answered.
    taken: VecDeque<TransitionKey>,
    /// Until when something may be started for the cluster; none where nobody but this node decides.
    lease: Option<Mono>,
}

/// Orders whose keys are kept to recognise a repetition.
const TAKEN: usize = 4096;

impl Machine {
    /// An executor that runs at most `limit` agents at once (a stop always may), and whose executions are
    /// numbered from `first_call`, which must be greater than any number used before.
    pub fn new(limit: usize, first_call: i64) -> Self {
        Self {
            limit: limit.max(1),
            newest: Term(0),
            leaving: false,
            next_call: first_call,
            next_run: 1,
            next_turn: 0,
            resources: BTreeMap::new(),
            metadata: BTreeMap::new(),
            reading: BTreeSet::new(),
            waiting: Vec::new(),
            unrecorded: BTreeMap::new(),
            taken: VecDeque::new(),
            lease: None,
        }
    }

    /// Takes what happened; what must be done is appended to `effects`.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Command(command) => self.command(now, *command, effects),
            Event::TermSeen(term) => self.term_seen(term, effects),
            Event::PendingWritten(call) => {
                self.release(call);
                self.recorded(call, effects);
            }
            Event::PendingLost(call) => {
                self.lose(call, effects);
                self.recorded(call, effects);
            }
            Event::Ended(run, outcome) => self.ended(now, run, outcome, effects),
            Event::Metadata(agent, metadata) => self.metadata_read(agent, metadata, effects),
            Event::Lease(until) => self.lease = Some(until),
            Event::Alone => {
                // Nobody's plan counts any more, and all that is known here will be told anew.
                self.unrecorded.clear();
                self.drop_orders(effects);
                self.tell_known(effects);
            }
            Event::Tell => self.tell_known(effects),
            Event::Look(rsc) => self.look(now, &rsc),
            Event::Leaving => self.leaving = true,
            Event::KillAll => self.kill_all(effects),
            Event::Tick => {}
        }
        self.due(now);
        self.begin_ready(now, effects);
    }

    /// When time alone makes something ready.
    pub fn next_wake(&self) -> Option<Mono> {
        let resources = self.resources.values();
        let due = resources
            .clone()
            .flat_map(|rsc| rsc.recurring.values().filter_map(|r| r.due));
        let delayed = resources
            .filter(|rsc| rsc.running.is_none())
            .filter_map(|rsc| {
                rsc.queue
                    .front()
                    .filter(|op| !op.waited)
                    .and_then(|op| op.not_before)
            });
        due.chain(delayed).min()
    }

    /// Highest call id given so far, to be kept across restarts.
    pub fn last_call(&self) -> i64 {
        self.next_call - 1
    }

    /// Resources that count as active here. // spec cluster §13.6
    pub fn active(&self) -> Vec<RscId> {
        let active = self.resources.iter().filter(|(_, rsc)| rsc.memory.active());
        active.map(|(id, _)| id.clone()).collect()
    }

    /// Operations that run now, for displays: `RSC_TASK_INTERVAL`.
    pub fn running(&self) -> Vec<OpKey> {
        let running = self
            .resources
            .values()
            .filter_map(|rsc| rsc.running.as_ref());
        running.map(|running| running.op.order.op.clone()).collect()
    }

    /// True while anything runs or waits for its turn (recurring operations between two runs do not).
    pub fn busy(&self) -> bool {
        let busy = |rsc: &Resource| rsc.running.is_some() || !rsc.queue.is_empty();
        !self.waiting.is_empty() || self.resources.values().any(busy)
    }

    fn command(&mut self, now: Now, command: Command, effects: &mut Vec<Effect>) {
        let (term, op) = match &command {
            Command::Execute(order) => (order.term, order.op.clone()),
            Command::Cancel { term, op, .. } | Command::Account { term, op, .. } => {
                (*term, op.clone())
            }
            Command::Forget { term, rsc, .. } => (*term, OpKey::new(rsc.clone(), "delete", 0)),
        };
        if term < self.newest && !seeded(Bug::IgnoreTerm) {
            let refusal = Refusal::OldTerm {
                got: term,
                newest: self.newest,
            };
            effects.push(Effect::Refused(op, refusal));
            return;
        }
        self.term_seen(term, effects);
        match command {
            Command::Execute(order) => self.accept(now, order, effects),
            Command::Cancel { op, key, .. } => self.cancel(op, key, effects),
            Command::Forget { rsc, key, .. } => self.forget(rsc, key, effects),
            Command::Account { op, key, .. } => self.account(op, key, effects),
        }
    }

    /// What has not begun under an older term never will. Its pending entry is taken back, so that nobody
    /// waits for it; the resource is then probed.
    fn term_seen(&mut self, term: Term, effects: &mut Vec<Effect>) {
        if term <= self.newest || seeded(Bug::IgnoreTerm) {
            return;
        }
        self.newest = term;
        for rsc in self.resources.values_mut() {
            let (keep, drop): (VecDeque<Op>, VecDeque<Op>) = rsc
                .queue
                .drain(..)
                .partition(|op| op.again || op.order.term >= term);
            rsc.queue = keep;
            for op in drop {
                rsc.recurring.remove(&op.order.op);
                let refusal = Refusal::OldTerm {
                    got: op.order.term,
                    newest: term,
                };
                effects.push(Effect::Refused(op.order.op.clone(), refusal));
                effects.push(withdrawn(op.order.op, op.order.key));
            }
        }
    }

    /// What became of an operation. Nothing is said of one that is still under way; one that never came will not be taken
    /// any more.
    fn account(&mut self, op: OpKey, key: TransitionKey, effects: &mut Vec<Effect>) {
        let known = self.resources.get(&op.rsc);
        let waits = known.is_some_and(|rsc| rsc.is_at_it(&key))
            || self.waiting.iter().any(|(order, _)| order.key == key);
        if waits {
            return;
        }
        // A failure has been told, and would count twice. And what was announced since has the same id in the CIB, where its
        // entry is the newer one.
        let replaced = |told: &Execution| {
            let newer = |rsc: &Resource| rsc.has_announced_after(told.call_id);
            told.op.interval_ms == 0 && known.is_some_and(newer)
        };
        let mut words = known.into_iter().flat_map(|rsc| rsc.memory.last_words());
        let told = words
            .find(|told| told.key == key && !told.failed() && !replaced(told))
            .cloned();
        drop(words);
        if let Some(told) = told {
            effects.push(Effect::Report(Box::new(Report::Result(told))));
            return;
        }
        self.take(key.clone());
        let why = format!("{op}: {}", Refusal::Unknown);
        effects.push(withdrawn(op, key.clone()));
        effects.push(Effect::Report(Box::new(Report::NotDone { key, why })));
    }

    fn take(&mut self, key: TransitionKey) {
        self.taken.push_back(key);
        if self.taken.len() > TAKEN {
            self.taken.pop_front();
        }
    }

    fn accept(&mut self, now: Now, order: Order, effects: &mut Vec<Effect>) {
        if self.taken.contains(&order.key) && !seeded(Bug::OrderTwice) {
            return;
        }
        self.take(order.key.clone());
        let call_id = self.next_call;
        self.next_call += i64::from(!seeded(Bug::ReuseCallId));
        if self.leaving && order.op.task == "start" {
            effects.push(Effect::Refused(order.op.clone(), Refusal::Leaving));
            effects.push(not_done(&order, Refusal::Leaving));
            return;
        }
        self.want_metadata(&order, effects);
        let turn = self.turn();
        let rsc = self.resources.entry(order.op.rsc.clone()).or_default();
        // A connection is still watched while it moves. // spec cluster §14.1
        let moves_on = order.agent.is_connection() && order.op.task == "migrate_to";
        if order.changes_state() && order.op.task != "delete" && !moves_on {
            rsc.cancel_recurring(effects);
        }
        if order.recurring() {
            if rsc.take_recurring(now, order, call_id, turn, effects) {
                self.due(now);
            }
            return;
        }
        let of_before = |(term, _): &&(Term, OpKey)| *term < order.term && needs_lease(&order);
        let unaware_of = self.unrecorded.values().find(of_before);
        let unaware_of = unaware_of.map(|(_, op)| op.clone());
        let entry = Entry::of(&order);
        let mut op = Op::new(order, call_id, turn, now.mono, entry);
        op.unaware_of = unaware_of;
        rsc.queue.push_back(op);
    }

    /// A stop is recorded, or never will be. What was decided without knowing of it is refused now: decided again at once,
    /// it would be the same.
    fn recorded(&mut self, call: i64, effects: &mut Vec<Effect>) {
        if self.unrecorded.remove(&call).is_none() || !self.unrecorded.is_empty() {
            return;
        }
        for rsc in self.resources.values_mut() {
            let unaware = |op: &Op| op.unaware_of.is_some();
            let (drop, keep): (VecDeque<Op>, VecDeque<Op>) = rsc.queue.drain(..).partition(unaware);
            rsc.queue = keep;
            for op in drop {
                let Some(stop) = op.unaware_of else { continue };
                let why = Refusal::Unaware(stop);
                effects.push(Effect::Refused(op.order.op.clone(), why.clone()));
                effects.push(withdrawn(op.order.op.clone(), op.order.key.clone()));
                effects.push(not_done(&op.order, why));
            }
        }
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    fn release(&mut self, call: i64) {
        for rsc in self.resources.values_mut() {
            rsc.queue
                .iter_mut()
                .filter(|op| op.call_id == call)
                .for_each(|op| op.entry = Entry::Settled);
        }
    }

    fn lose(&mut self, call: i64, effects: &mut Vec<Effect>) {
        for rsc in self.resources.values_mut() {
            let Some(at) = rsc
                .queue
                .iter()
                .position(|op| op.call_id == call && op.entry == Entry::Awaited)
            else {
                continue;
            };
            if let Some(op) = rsc.queue.remove(at) {
                // It may be ordered again under the same key.
                self.taken.retain(|key| *key != op.order.key);
                let not_done = not_done(&op.order, Refusal::NotRecorded);
                effects.push(Effect::Refused(op.order.op, Refusal::NotRecorded));
                effects.push(not_done);
            }
        }
    }

    fn cancel(&mut self, op: OpKey, by: TransitionKey, effects: &mut Vec<Effect>) {
        let found = self
            .resources
            .get_mut(&op.rsc)
            .and_then(|rsc| rsc.cancel_one(&op, &by, effects));
        if found.is_none() {
            effects.push(cancelled_unrecorded(op, by));
        }
    }

    /// What is known of a resource goes, and what is repeated ends. What somebody waits for stays, be it ordered before
    /// or after the history went away, and its result is written: nobody is left without an answer, and nothing that
    /// was done remains unknown.
    fn forget(&mut self, rsc: RscId, by: TransitionKey, effects: &mut Vec<Effect>) {
        if let Some(known) = self.resources.get_mut(&rsc) {
            known.memory = Memory::default();
            let answered = known.recurring.values().filter(|r| r.is_answered());
            let ending: Vec<OpKey> = answered.map(|r| r.order.op.clone()).collect();
            for op in ending {
                known.recurring.remove(&op);
                known.drop_recurring(&op, effects);
            }
            if known.is_idle() {
                self.resources.remove(&rsc);
            }
        }
        effects.push(Effect::Report(Box::new(Report::Forgotten { rsc, by })));
    }

    /// Orders from when this node was still part of the cluster: what they would start may run elsewhere by now.
    fn drop_orders(&mut self, effects: &mut Vec<Effect>) {
        self.lease = None;
        for rsc in self.resources.values_mut() {
            let (drop, keep): (VecDeque<Op>, VecDeque<Op>) =
                rsc.queue.drain(..).partition(|op| needs_lease(&op.order));
            rsc.queue = keep;
            for op in drop {
                effects.push(not_done(&op.order, Refusal::CutOff));
                effects.push(Effect::Refused(op.order.op.clone(), Refusal::CutOff));
                effects.push(withdrawn(op.order.op, op.order.key));
            }
        }
    }

    /// What ended here in the moment in which the node was cut off is not in its own copy of the CIB yet, and what is not
    /// in there is not stopped.
    fn tell_known(&mut self, effects: &mut Vec<Effect>) {
        let known: Vec<_> = self
            .resources
            .values()
            .flat_map(|rsc| rsc.memory.last_words())
            .cloned()
            .collect();
        if !known.is_empty() {
            effects.push(Effect::Report(Box::new(Report::Known(known))));
        }
    }

    /// The stop deadline of a node that is alone has passed: agents are not asked any more.
    fn kill_all(&mut self, effects: &mut Vec<Effect>) {
        for (id, rsc) in &mut self.resources {
            rsc.queue.clear();
            rsc.recurring.clear();
            if let Some(running) = &rsc.running {
                effects.push(Effect::Kill(running.run));
            }
            effects.push(Effect::KillGroup(id.clone()));
            // An address is nobody's process, a unit is systemd's: they have to be ended by name. The end of this run is
            // not waited for.
            if let Some(call) = rsc.memory.emergency_stop() {
                effects.push(Effect::Run(RunId(self.next_run), call));
                self.next_run += 1;
            }
        }
    }

    /// What is repeated for a resource need not wait for its time.
    fn look(&mut self, now: Now, rsc: &RscId) {
        let known = self.resources.get_mut(rsc).into_iter();
        for recurring in known.flat_map(|rsc| rsc.recurring.values_mut()) {
            recurring.due = recurring.due.map(|due| due.min(now.mono));
        }
    }

    /// Recurring operations whose time has come take their place in the queue.
    fn due(&mut self, now: Now) {
        for rsc in self.resources.values_mut() {
            for recurring in rsc.recurring.values_mut() {
                if recurring.due.is_none_or(|due| due > now.mono) {
                    continue;
                }
                recurring.due = None;
                self.next_turn += 1;
                let (order, call) = (recurring.order.clone(), recurring.call_id);
                let mut op = Op::new(order, call, self.next_turn, now.mono, Entry::Settled);
                op.again = true;
                rsc.queue.push_back(op);
            }
        }
    }

    fn begin_ready(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut running = self
            .resources
            .values()
            .filter(|rsc| rsc.running.is_some())
            .count();
        // A daemon that was frozen goes on where it was, and what it would start may long run elsewhere.
        let leased = self.lease.is_none_or(|until| now.mono < until);
        let mut ready: Vec<(bool, u64, RscId)> = Vec::new();
        for (id, rsc) in &mut self.resources {
            if rsc.running.is_none()
                && let Some(op) = rsc.queue.front_mut()
                && (leased || !needs_lease(&op.order))
            {
                let results_wait = || self.waiting.iter().any(|(order, _)| order.op.rsc == *id);
                if op.entry == Entry::Due && op.unaware_of.is_none() && !results_wait() {
                    op.announce(effects);
                    if op.order.op.task == "stop" {
                        let stop = (op.order.term, op.order.op.clone());
                        self.unrecorded.insert(op.call_id, stop);
                    }
                }
                if op.ready(now.mono) {
                    ready.push((op.again, op.turn, id.clone()));
                }
            }
        }
        // Orders go before repetitions, which nobody waits for.
        ready.sort();
        for (_, _, id) in ready {
            let run = RunId(self.next_run);
            let rsc = self.resources.get_mut(&id).expect("ready resources exist");
            let stops = rsc
                .queue
                .front()
                .is_some_and(|op| op.order.op.task == "stop");
            if running >= self.limit && !stops {
                continue;
            }
            self.next_run += 1;
            running += 1;
            rsc.begin(now.mono, run, effects);
        }
    }

    fn ended(&mut self, now: Now, run: RunId, outcome: Outcome, effects: &mut Vec<Effect>) {
        let found = self.resources.iter_mut().find_map(|(id, rsc)| {
            let mine = rsc
                .running
                .as_ref()
                .is_some_and(|running| running.run == run);
            mine.then(|| rsc.running.take().map(|running| (id.clone(), running)))?
        });
        let Some((id, running)) = found else { return };
        let rsc = self.resources.get_mut(&id).expect("found a moment ago");
        let Op { order, call_id, .. } = running.op;
        if running.dropped {
            if rsc.is_idle() && rsc.memory == Memory::default() {
                self.resources.remove(&id);
            }
            return;
        }
        rsc.memory.ran(&order, &outcome);
        rsc.memory.tell_guard(&id, effects);
        let mut changed_s = Some(now.wall_s - (outcome.run_ms / 1000) as i64);
        let mut told = (order.clone(), call_id);
        if order.recurring() {
            let Some(recurring) = rsc.recurring.get_mut(&order.op) else {
                return;
            };
            if !recurring.ended(&outcome, now.mono, now.wall_s) {
                return;
            }
            changed_s = recurring.changed_s;
            // An order that was merged while this ran is answered by its end; it ran with its old parameters.
            told.0.key = recurring.order.key.clone();
            told.1 = recurring.call_id;
        }
        let times = Some((outcome.run_ms, running.queue_ms));
        let execution = execution(&told.0, told.1, &outcome, changed_s, times);
        self.report(told.0, execution, effects);
    }

    /// The result of an operation, with digests; it waits for metadata that is being read for the first time.
    fn report(&mut self, order: Order, mut execution: Execution, effects: &mut Vec<Effect>) {
        let known = self.metadata.get(&order.agent);
        let unknown =
            known.is_none() && digests::wanted(&order) && self.reading.contains(&order.agent);
        // What comes after a result that waits must not overtake it.
        let behind = self
            .waiting
            .iter()
            .any(|(other, _)| other.op.rsc == order.op.rsc);
        if unknown || behind {
            self.waiting.push((order, execution));
            return;
        }
        let metadata = known.and_then(|metadata| metadata.as_deref());
        execution.digests = digests::digests(&order, metadata);
        if order.recordable()
            && let Some(rsc) = self.resources.get_mut(&order.op.rsc)
        {
            rsc.memory.remember(&order, &execution);
        }
        effects.push(Effect::Report(Box::new(Report::Result(execution))));
    }

    fn want_metadata(&mut self, order: &Order, effects: &mut Vec<Effect>) {
        let fresh = order.op.task == "start" || !self.metadata.contains_key(&order.agent);
        if fresh && digests::wanted(order) && self.reading.insert(order.agent.clone()) {
            effects.push(Effect::ReadMetadata(order.agent.clone()));
        }
    }

    fn metadata_read(
        &mut self,
        agent: AgentName,
        metadata: Option<Arc<Metadata>>,
        effects: &mut Vec<Effect>,
    ) {
        self.reading.remove(&agent);
        let known = self.metadata.entry(agent.clone()).or_default();
        if metadata.is_some() || known.is_none() {
            *known = metadata;
        }
        let of_agent = |(order, _): &(Order, Execution)| order.agent == agent;
        let (now, later) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(of_agent);
        self.waiting = later;
        let now: Vec<(Order, Execution)> = now;
        for (order, execution) in now {
            self.report(order, execution, effects);
        }
    }
}

/// Whether only a node that belongs to the cluster may begin it: what takes away may begin at any time.
fn needs_lease(order: &Order) -> bool {
    order.changes_state() && !matches!(order.op.task.as_str(), "stop" | "demote" | "delete")
}

#[cfg(test)]
mod tests;
