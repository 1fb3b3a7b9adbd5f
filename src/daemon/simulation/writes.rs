//! What leaves a node, and is said again until it is answered: writes through raft, reports, orders.

use std::collections::VecDeque;
use std::sync::Arc;

use super::node::{Delivery, Open, Snapshot, Waiter, index};
use super::raft::{self, Write};
use super::world::{Happens, Net, Word, World};
use crate::cib::{self, Cib, Command};
use crate::coordinator::{self, Authority};
use crate::daemon::deliver;
use crate::daemon::reports::{self, Batch};
use crate::daemon::words::COORDINATOR;
use crate::executor;
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, Term, TransitionKey};

/// Entries between two snapshots.
const SNAPSHOT_EVERY: usize = 32;
/// Every so many entries each node applies for itself.
const AGAIN_EVERY: usize = 16;

/// What came of one entry of the log, where it was applied first.
#[derive(Debug)]
pub(super) struct Done {
    id: (u64, u64),
    before: Cib,
    after: Cib,
    error: Option<String>,
}

/// Between two attempts, in milliseconds.
const AGAIN_MS: u64 = 100;

/// How often the coordinator is told that something will not be done.
const TELLINGS: u32 = 10;

impl World {
    pub(super) fn apply_next(&mut self, n: usize) {
        let node = &self.nodes[n];
        let entry = Arc::clone(&node.raft.log[node.applied]);
        let at = node.applied + 1;
        let before = node.state.clone();
        let mut answered = None;
        if let Some(write) = &entry.write {
            let id = (write.client, write.seq);
            if !node.answers.contains_key(&id) || seeded(Bug::ApplyTwice) {
                let late = write.term.is_some_and(|term| term != entry.term);
                let (state, error) = match late && !seeded(Bug::OldTermWrites) {
                    true => (before.clone(), Some("of another term".into())),
                    false => self.applied_to(at, &before, write),
                };
                let node = &mut self.nodes[n];
                node.state = state;
                node.answers.insert(id, (at, error));
            }
            let answer = self.nodes[n].answers.get(&id);
            answered = Some((id, answer.and_then(|(_, error)| error.clone())));
        }
        let node = &mut self.nodes[n];
        node.applied = at;
        if at.is_multiple_of(SNAPSHOT_EVERY) {
            node.snapshot = Some(Snapshot {
                state: node.state.clone(),
                applied: at,
            });
        }
        let leads = node.raft.leader() == Some(node.id);
        self.check_applied(n, entry.term);
        if let Some((id, error)) = answered
            && leads
        {
            self.answer(n, id, error);
        }
        if !self.nodes[n].overlay {
            self.nodes[n].cib = self.nodes[n].state.clone();
            self.cib_changed(n, before);
        }
    }

    /// What a write makes of a document. All nodes apply the same to the same, so that mostly somebody has done it before;
    /// now and then it is done again, and has to come to the same.
    fn applied_to(&mut self, at: usize, before: &Cib, write: &Write) -> (Cib, Option<String>) {
        let id = (write.client, write.seq);
        let done = self.checks.done.get(&at);
        let done = done.filter(|d| d.id == id && d.before.root().ptr_eq(before.root()));
        if let Some(done) = done.filter(|_| !at.is_multiple_of(AGAIN_EVERY)) {
            return (done.after.clone(), done.error.clone());
        }
        let done_before = done.map(|done| done.after.clone());
        let begun = self.work_begins();
        let applied = cib::apply(before, &write.command);
        self.work_ends(begun, |work| &mut work.apply_us);
        let error = applied.answer.err().map(|e| e.to_string());
        if let Some(after) = done_before
            && after.root() == applied.cib.root()
        {
            return (after, error);
        }
        let done = Done {
            id,
            before: before.clone(),
            after: applied.cib.clone(),
            error: error.clone(),
        };
        self.checks.done.entry(at).or_insert(done);
        (applied.cib, error)
    }

    pub(super) fn answer(&mut self, n: usize, id: (u64, u64), error: Option<String>) {
        let to = (id.0 / 100_000 - 1) as usize;
        let result = error.map_or(Ok(()), Err);
        if to == n {
            self.write_done(n, id, result);
        } else {
            self.send(n, to, Net::Done { id, result });
        }
    }

    pub(super) fn order(&mut self, n: usize, to: NodeId, term: Term, command: executor::Command) {
        self.given(index(to), &command);
        let (what, op) = match &command {
            executor::Command::Execute(order) => ("", order.op.to_string()),
            executor::Command::Cancel { op, .. } => ("the end of ", op.to_string()),
            executor::Command::Account { op, .. } => ("an account of ", op.to_string()),
            executor::Command::Forget { rsc, .. } => ("to forget ", rsc.to_string()),
        };
        self.trace(format_args!("{} orders {what}{op} on {to}", n + 1));
        if to == self.nodes[n].id {
            self.executor(n, executor::Event::Command(Box::new(command)));
        } else if let Some(life) = self.nodes[n].lives.get(&to).copied() {
            let id = self.next_id();
            let delivery = Delivery {
                to,
                life,
                term,
                command,
                again_at: self.now,
                refusals: 0,
            };
            self.nodes[n].deliveries.insert(id, delivery);
            self.retry(n);
        } else {
            let (key, why) = (command.key().clone(), "not there".to_owned());
            let event = coordinator::Event::NotDone { key, why };
            self.tell(n, AGAIN_MS, Word::Coordinator(event));
        }
    }

    /// A node does not take an order; perhaps it has not heard of its lease yet.
    pub(super) fn refused(&mut self, n: usize, id: u64) {
        let Some(delivery) = self.nodes[n].deliveries.get_mut(&id) else {
            return;
        };
        delivery.refusals += 1;
        if delivery.refusals == deliver::REFUSALS {
            let key = delivery.command.key().clone();
            self.nodes[n].deliveries.remove(&id);
            let why = "refused".to_owned();
            let event = coordinator::Event::NotDone { key, why };
            self.tell(n, AGAIN_MS, Word::Coordinator(event));
        }
    }

    /// Told a few times without asking whether it was heard: a coordinator takes it once.
    pub(super) fn not_done(&mut self, n: usize, key: TransitionKey, why: String, times: u32) {
        let (to, again) = (self.nodes[n].leadership.leader, times - 1);
        if again > 0 {
            let (key, why) = (key.clone(), why.clone());
            let word = Word::NotDone {
                key,
                why,
                times: again,
            };
            self.tell(n, AGAIN_MS, word);
        }
        if self.nodes[n].overlay || self.nodes[n].leadership.mine {
            let event = coordinator::Event::NotDone { key, why };
            self.tell(n, 0, Word::Coordinator(event));
        } else if let Some(leader) = to {
            self.send(n, index(leader), Net::NotDone { key, why });
        }
    }

    /// Orders are said again until they are taken or pointless; writes until they are answered.
    pub(super) fn retry(&mut self, n: usize) {
        let now = self.now;
        let node = &mut self.nodes[n];
        let (newest, lives) = (node.raft.term, &node.lives);
        node.deliveries
            .retain(|_, d| newest <= d.term.0 && lives.get(&d.to) == Some(&d.life));
        let mut sends = Vec::new();
        for (id, d) in node
            .deliveries
            .iter_mut()
            .filter(|(_, d)| now >= d.again_at)
        {
            d.again_at = now + 100;
            let net = Net::Execute {
                id: *id,
                life: d.life,
                command: d.command.clone(),
            };
            sends.push((index(d.to), net));
        }
        let leader = node.raft.leader();
        let mut own = Vec::new();
        for open in node.open.values_mut().filter(|o| now >= o.again_at) {
            if let Some(leader) = leader {
                open.again_at = now + 600;
                if leader == node.id {
                    own.push(open.write.clone());
                } else {
                    sends.push((index(leader), Net::Submit(open.write.clone())));
                }
            }
        }
        let me = node.id;
        for (to, net) in sends {
            self.send(n, to, net);
        }
        for write in own {
            self.submit(n, me, write);
        }
    }

    /// A client of the cluster writes through this node.
    pub(super) fn client_write(&mut self, n: usize, command: Command) -> (u64, u64) {
        let command = self.signed(n, command, "client");
        self.write(n, command, Waiter::Client)
    }

    pub(super) fn write(&mut self, n: usize, command: Command, waiter: Waiter) -> (u64, u64) {
        let now = self.now;
        let node = &mut self.nodes[n];
        node.seq += 1;
        node.idle_until = 0;
        let id = (node.client(), node.seq);
        let term = match (&waiter, node.authority) {
            (Waiter::Coordinator(_), Authority::Leader(term)) => Some(term.0),
            _ => None,
        };
        let write = Write {
            client: id.0,
            seq: id.1,
            term,
            command,
        };
        node.open.insert(
            id,
            Open {
                write,
                again_at: now,
                waiter,
            },
        );
        self.retry(n);
        id
    }

    pub(super) fn submit(&mut self, n: usize, _from: NodeId, write: Write) {
        let id = (write.client, write.seq);
        let node = &mut self.nodes[n];
        if let Some((_, error)) = node.answers.get(&id).cloned() {
            // Applied here, and nobody else is heard when this node leads and is followed.
            if node.leadership.mine {
                self.answer(n, id, error);
            }
            return;
        }
        let mut out = Vec::new();
        let taken = self.nodes[n]
            .raft
            .propose(raft::Entry::write(write), &mut out);
        self.raft_out(n, out);
        if taken && seeded(Bug::AckBeforeCommit) {
            self.answer(n, id, None);
        }
    }

    pub(super) fn write_done(&mut self, n: usize, id: (u64, u64), result: Result<(), String>) {
        let Some(open) = self.nodes[n].open.remove(&id) else {
            return;
        };
        self.acknowledged(id, result.is_ok());
        match open.waiter {
            Waiter::Coordinator(id) => {
                self.tell(
                    n,
                    0,
                    Word::Coordinator(coordinator::Event::Written { id, result }),
                );
            }
            Waiter::Reports(batch) => {
                if result.is_err() {
                    let unread: Vec<_> = batch.unread().map(|(k, why)| (k.clone(), why)).collect();
                    for (key, why) in unread {
                        let word = Word::NotDone {
                            key,
                            why,
                            times: TELLINGS,
                        };
                        self.tell(n, AGAIN_MS, word);
                    }
                }
                self.confirm(n, &batch, result.is_ok());
                self.flush(n);
            }
            Waiter::Client => {}
        }
    }

    pub(super) fn confirm(&mut self, n: usize, batch: &Batch, written: bool) {
        for event in batch.confirmations(written).collect::<Vec<_>>() {
            self.tell(n, 0, Word::Executor(event));
        }
    }

    /// This node acts alone: reports that wait are of no use any more.
    pub(super) fn abandon(&mut self, n: usize) {
        let open = std::mem::take(&mut self.nodes[n].open);
        for (id, open) in open {
            match open.waiter {
                Waiter::Reports(batch) => self.confirm(n, &batch, false),
                _ => drop(self.nodes[n].open.insert(id, open)),
            }
        }
        let mut waiting = std::mem::take(&mut self.nodes[n].unwritten);
        while let Some(batch) = self.batch(n, &mut waiting) {
            self.confirm(n, &batch, false);
        }
    }

    fn batch(&self, n: usize, waiting: &mut VecDeque<executor::Report>) -> Option<Batch> {
        Batch::next(waiting, self.nodes[n].id, &self.nodes[n].name)
    }

    pub(super) fn on_reports(&mut self, n: usize, reports: Vec<executor::Report>) {
        for report in &reports {
            self.reported(n, report);
        }
        for key in reports::done(&reports) {
            let event = coordinator::Event::Done(key.clone());
            self.tell(n, 0, Word::Coordinator(event));
        }
        for (key, why) in reports::not_done(&reports) {
            let (key, why) = (key.clone(), why.to_owned());
            let word = Word::NotDone {
                key,
                why,
                times: TELLINGS,
            };
            self.tell(n, AGAIN_MS, word);
        }
        let lost = seeded(Bug::LoseResults) && self.below(4) == 0;
        if !self.nodes[n].overlay && !lost {
            self.nodes[n].unwritten.extend(reports);
            return self.flush(n);
        }
        let mut waiting = reports.into();
        while let Some(batch) = self.batch(n, &mut waiting) {
            let mut written = true;
            if !lost && let Some(command) = batch.command(&self.nodes[n].cib, None) {
                let command = self.signed(n, command, COORDINATOR);
                written = self.write_overlay(n, &command).is_ok();
            }
            self.confirm(n, &batch, written);
        }
    }

    /// One write of reports at a time, in their order.
    pub(super) fn flush(&mut self, n: usize) {
        let open = &self.nodes[n].open;
        if open
            .values()
            .any(|o| matches!(o.waiter, Waiter::Reports(_)))
        {
            return;
        }
        let mut waiting = std::mem::take(&mut self.nodes[n].unwritten);
        while let Some(batch) = self.batch(n, &mut waiting) {
            let life = self.nodes[n].knowledge.life;
            if let Some(command) = batch.command(&self.nodes[n].state, life) {
                let command = self.signed(n, command, "executor");
                self.write(n, command, Waiter::Reports(batch));
                break;
            }
        }
        self.nodes[n].unwritten = waiting;
    }

    pub(super) fn raft_out(&mut self, n: usize, out: Vec<raft::Out>) {
        for out in out {
            match out {
                raft::Out::Send(..) if self.nodes[n].raft.shut => {}
                raft::Out::Send(to, msg) => {
                    self.check_spoken(n, &msg);
                    let voted = matches!(msg, raft::Msg::Voted { granted: true, .. });
                    self.send(n, index(to), Net::Raft(msg));
                    if voted && self.voters_are_hunted() && self.below(6) == 0 {
                        let at = self.now + self.below(40);
                        self.at(at, Happens::Dies(n));
                    }
                }
                raft::Out::Soon => self.tell(n, 1, Word::Flush),
                raft::Out::Sync(upto) => {
                    let after = self.fsync_ms();
                    let raft = &self.nodes[n].raft;
                    let done = Word::Synced(raft.generation, (upto, raft.commit));
                    self.tell(n, after, done);
                }
            }
        }
    }
}
