//! One fencer: owner of operations that were asked for here, and worker for those of all others. It talks to
//! itself in the same words as to its peers, so that there is one way only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::clock::Mono;
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeName, Term};

use super::asked::Tools;
use super::history::History;
use super::jobs::Jobs;
use super::operation::{A_HUMAN, Operation, WATCHDOG};
use super::topology::{self, NodeAttributes};
use super::vocab::{
    Action, Answer, AskId, Command, Delay, Effect, Event, Failure, Level, Life, Message, Notice,
    OpId, Outcome, Record, Request, State,
};

/// Time and chance as the shell brings them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For limits and delays.
    pub mono: Mono,
    /// Milliseconds since 1970, for the history.
    pub wall_ms: i64,
    /// Any number, drawn anew for every step.
    pub random: u64,
}

/// The fencer of one node.
#[derive(Debug)]
pub struct Machine {
    pub(super) me: NodeName,
    incarnation: u64,
    newest: Term,
    pub(super) peers: BTreeSet<NodeName>,
    levels: Vec<Level>,
    pub(super) levels_by_hand: Vec<Level>,
    attributes: NodeAttributes,
    watchdogs: BTreeMap<NodeName, u64>,
    pub(super) jobs: Jobs,
    operations: Vec<Operation>,
    pub(super) history: History,
    pub(super) tools: Tools,
    next_op: u64,
    next_ask: u64,
}

/// What leaves a step. Messages to ourselves come back within it.
pub(super) struct Out<'a> {
    me: &'a NodeName,
    effects: &'a mut Vec<Effect>,
    own: &'a mut VecDeque<Message>,
    next_ask: &'a mut u64,
}

impl Out<'_> {
    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn send(&mut self, to: &NodeName, message: Message) {
        if to == self.me {
            self.own.push_back(message);
        } else {
            self.effects.push(Effect::Send(to.clone(), message));
        }
    }

    pub(super) fn next_ask(&mut self) -> AskId {
        *self.next_ask += 1;
        AskId(*self.next_ask)
    }
}

impl Machine {
    /// The fencer of this node; `incarnation` differs for every start.
    pub fn new(me: NodeName, incarnation: u64) -> Self {
        Self {
            peers: BTreeSet::from([me.clone()]),
            me,
            incarnation,
            newest: Term(0),
            levels: Vec::new(),
            levels_by_hand: Vec::new(),
            attributes: BTreeMap::new(),
            watchdogs: BTreeMap::new(),
            jobs: Jobs::of(Life(incarnation)),
            operations: Vec::new(),
            history: History::default(),
            tools: Tools::default(),
            next_op: 0,
            next_ask: 0,
        }
    }

    /// Takes what happened; what must be done is appended to `effects`.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let me = self.me.clone();
        let (mut own, mut next_ask) = (VecDeque::new(), self.next_ask);
        let mut out = Out {
            me: &me,
            effects,
            own: &mut own,
            next_ask: &mut next_ask,
        };
        let known = self.history.changes();
        self.take(now, event, &mut out);
        loop {
            self.jobs.settle(now, &mut out);
            for operation in &mut self.operations {
                operation.settle(now, &mut out);
            }
            self.end_operations(now, &mut out);
            let Some(message) = out.own.pop_front() else {
                break;
            };
            self.message(now, me.clone(), message, &mut out);
        }
        self.tell_gathered(now, &mut out);
        if self.history.changes() != known {
            out.effect(Effect::Changed);
        }
        self.next_ask = next_ask;
    }

    /// When time alone changes something.
    pub fn next_wake(&self, now: Mono) -> Option<Mono> {
        let operations = self.operations.iter().filter_map(Operation::next_wake);
        let others = self.jobs.next_wake(now).into_iter();
        operations.chain(others).chain(self.tools.next_wake()).min()
    }

    /// All known operations.
    pub fn history(&self) -> Vec<Record> {
        self.history.all()
    }

    fn take(&mut self, now: Now, event: Event, out: &mut Out) {
        match event {
            Event::Command(command) => self.command(now, *command, out),
            Event::Asked(ticket, question) => self.asked(now, ticket, question, out),
            Event::Configured {
                devices,
                levels,
                node_attributes,
                watchdogs,
            } => {
                self.levels = levels;
                self.attributes = node_attributes;
                self.watchdogs = watchdogs;
                self.jobs.configure(devices, out);
            }
            Event::Peers(peers) => self.peers_changed(now, peers, out),
            Event::TermSeen(term) => self.term_seen(term, out),
            Event::LeaseLost => self.jobs.life = self.jobs.life.next(),
            Event::Message(from, message) => self.message(now, from, message, out),
            Event::Unreachable(peer) => {
                self.operations
                    .iter_mut()
                    .for_each(|op| op.unreachable(&peer));
                self.tools.told(&peer);
            }
            Event::Ended {
                run,
                result,
                output,
            } => {
                self.jobs.ended(now, run, result, &output, out);
            }
            Event::Features(agent, features) => self.jobs.features(now, agent, features),
            Event::Tick => {}
        }
    }

    fn command(&mut self, now: Now, command: Command, out: &mut Out) {
        match command {
            Command::Fence(request) => self.fence(now, request, out),
            Command::Confirm { target, client } => self.confirm(now, target, client, out),
            Command::Device(call) => self.jobs.call(now, call, out),
        }
    }

    fn fence(&mut self, now: Now, request: Request, out: &mut Out) {
        if let Some(term) = request.term {
            if term < self.newest && !seeded(Bug::OldFenceAccepted) {
                let failure = Failure::OldTerm {
                    got: term,
                    newest: self.newest,
                };
                let outcome = Outcome {
                    delegate: None,
                    result: Err(failure),
                };
                let id = self.new_id();
                out.effect(Effect::Done(request, id, outcome));
                return;
            }
            self.term_seen(term, out);
        }
        if let Some(record) = self.just_done(now, &request) {
            tracing::info!(target = %request.target, op = %record.op, "was fenced just now");
            let outcome = Outcome {
                delegate: record.delegate,
                result: Ok(()),
            };
            out.effect(Effect::Done(request, record.op, outcome));
            return;
        }
        let same = |op: &&mut Operation| {
            op.end.is_none()
                && op.request.target == request.target
                && op.request.action == request.action
        };
        if let Some(running) = self.operations.iter_mut().find(same) {
            tracing::info!(target = %request.target, op = %running.id, "fencing is under way already");
            running.waiters.push(request);
            return;
        }
        let id = self.new_id();
        tracing::info!(
            target = %request.target, action = %request.action, client = request.client, op = %id,
            "fencing begins"
        );
        let levels = self.levels.iter().chain(&self.levels_by_hand);
        let levels: Vec<Level> = levels.cloned().collect();
        let levels = topology::levels_for(&request.target, &levels, &self.attributes);
        let same = |(name, _): &(&NodeName, &u64)| {
            name.as_str().eq_ignore_ascii_case(request.target.as_str())
        };
        let watchdog_ms = self.watchdogs.iter().find(same).map_or(0, |(_, ms)| *ms);
        let peers = &self.peers;
        let operation = Operation::begin(now, id, request, peers, levels, watchdog_ms, out);
        self.publish(operation.record(now), out);
        self.operations.push(operation);
    }

    /// The newest success that is young enough to count for this request.
    fn just_done(&self, now: Now, request: &Request) -> Option<Record> {
        let young = |record: &Record| {
            let age = now.wall_ms - record.completed_ms.unwrap_or(0);
            u64::try_from(age).is_ok_and(|age| age < request.tolerance_ms)
        };
        self.history.all().into_iter().find(|record| {
            record.state == State::Done
                && record.target == request.target
                && record.action == request.action
                && young(record)
        })
    }

    fn new_id(&mut self) -> OpId {
        self.next_op += 1;
        OpId {
            owner: self.me.clone(),
            incarnation: self.incarnation,
            number: self.next_op,
        }
    }

    /// A person vouches for the node being dead.
    fn confirm(&mut self, now: Now, target: NodeName, client: String, out: &mut Out) {
        let mut any = false;
        for op in &mut self.operations {
            if op.request.target == target && op.request.action.kills() && op.end.is_none() {
                op.confirmed();
                any = true;
            }
        }
        if any {
            return;
        }
        let request = Request {
            term: None,
            target,
            action: Action::Off,
            timeout_ms: 0,
            delay: Delay::None,
            client,
            allow_self: false,
            tag: A_HUMAN.to_owned(),
            tolerance_ms: 0,
        };
        let id = self.new_id();
        let nobody = BTreeSet::new();
        let mut operation = Operation::begin(now, id, request, &nobody, Vec::new(), 0, out);
        operation.confirmed();
        self.operations.push(operation);
    }

    fn peers_changed(&mut self, now: Now, peers: BTreeSet<NodeName>, out: &mut Out) {
        let all = self.history.all();
        // What happened before this daemon was there is known to those who were.
        let first = self.peers.len() == 1;
        for new in peers
            .difference(&self.peers)
            .filter(|peer| **peer != self.me)
        {
            out.send(new, Message::History(all.clone()));
            if first {
                out.send(new, Message::Want);
            }
        }
        for gone in self.peers.difference(&peers) {
            self.operations
                .iter_mut()
                .for_each(|op| op.unreachable(gone));
        }
        self.peers = peers;
        self.peers.insert(self.me.clone());
        for record in self.history.owners_left(&self.peers, now.wall_ms) {
            // Only a leader sees who is gone.
            self.tell_all(&record, out);
            out.effect(Effect::Ended(record));
        }
    }

    fn term_seen(&mut self, term: Term, out: &mut Out) {
        if term <= self.newest || seeded(Bug::OldFenceAccepted) {
            return;
        }
        self.newest = term;
        self.jobs.term_seen(term, out);
        for op in &mut self.operations {
            if op.request.term.is_some_and(|old| old < term) && op.end.is_none() {
                op.old_term(term);
            }
        }
    }

    fn message(&mut self, now: Now, from: NodeName, message: Message, out: &mut Out) {
        match message {
            Message::Query(query) => {
                if self.refused(&from, query.ask, query.term, out) {
                    return;
                }
                self.jobs.query(from, query);
            }
            Message::Run(run) => {
                if self.refused(&from, run.ask, run.term, out) {
                    return;
                }
                if run.life != self.jobs.life && from != self.me {
                    // It was held up on its way: whoever sent it has decided anew since.
                    let text = "its fencer has begun a new life since it offered its devices";
                    let answer = Answer::Ran(Err(Failure::Failed(text.to_owned())));
                    return out.send(&from, Message::Answer(run.ask, answer));
                }
                if run.device.as_str() == WATCHDOG && run.target == self.me && run.action.kills() {
                    out.effect(Effect::Panic(format!(
                        "fenced by {} through the watchdog",
                        run.op
                    )));
                    return;
                }
                self.jobs.fence(now, from, run, out);
            }
            Message::Answer(ask, answer) => {
                if let Answer::OldTerm(term) = answer {
                    self.term_seen(term, out);
                }
                if let Answer::Capable(_, devices) = &answer
                    && self.tools.able(ask, devices, out)
                {
                    return;
                }
                self.operations
                    .iter_mut()
                    .any(|op| op.answer(now, &from, ask, &answer));
            }
            Message::Notice(notice) => self.learn(notice.record, out),
            Message::History(all) => {
                all.into_iter().for_each(|record| self.recall(record));
                self.tools.told(&from);
            }
            Message::Want => out.send(&from, Message::History(self.history.all())),
            Message::Cleanup(target) => self.history.cleanup(target.as_ref()),
        }
    }

    fn refused(&mut self, from: &NodeName, ask: AskId, term: Option<Term>, out: &mut Out) -> bool {
        let Some(term) = term else { return false };
        if term < self.newest {
            out.send(from, Message::Answer(ask, Answer::OldTerm(self.newest)));
            return true;
        }
        self.term_seen(term, out);
        false
    }

    fn learn(&mut self, record: Record, out: &mut Out) {
        if !self.is_own(&record) && self.history.take(record.clone()) {
            out.effect(Effect::Ended(record));
        }
    }

    /// What happened while this fencer was not there is no news: nobody is told of it again.
    fn recall(&mut self, record: Record) {
        if !self.is_own(&record) {
            self.history.take(record);
        }
    }

    /// Our own operations are known better here.
    fn is_own(&self, record: &Record) -> bool {
        record.op.owner == self.me && record.op.incarnation == self.incarnation
    }

    fn end_operations(&mut self, now: Now, out: &mut Out) {
        let (ended, open): (Vec<Operation>, Vec<Operation>) = std::mem::take(&mut self.operations)
            .into_iter()
            .partition(|op| op.end.is_some());
        self.operations = open;
        for op in ended {
            let record = op.record(now);
            self.publish(record.clone(), out);
            let outcome = op.end.expect("only those with an end are here");
            match &outcome.result {
                Ok(()) => tracing::info!(
                    target = %op.request.target, op = %op.id, delegate = ?outcome.delegate, "fenced"
                ),
                Err(why) => {
                    tracing::error!(target = %op.request.target, op = %op.id, %why, "not fenced");
                }
            }
            out.effect(Effect::Ended(record));
            for request in std::iter::once(op.request).chain(op.waiters) {
                out.effect(Effect::Done(request, op.id.clone(), outcome.clone()));
            }
        }
    }

    /// Into the history here and everywhere.
    fn publish(&mut self, record: Record, out: &mut Out) {
        self.tell_all(&record, out);
        self.history.take(record);
    }

    fn tell_all(&self, record: &Record, out: &mut Out) {
        for peer in self.peers.iter().filter(|peer| **peer != self.me) {
            let record = record.clone();
            out.send(peer, Message::Notice(Notice { record }));
        }
    }
}

#[cfg(test)]
mod tests;
