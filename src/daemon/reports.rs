//! The return leg of the loop: what this node's executor reports becomes a write, in order, until it is
//! written. What arrives while a write is under way goes into the next one, except what would hide a result of this
//! one: whoever waits for a result sees it as a change of the CIB, or never.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::cib::status::node_state::Place;
use crate::cib::status::record::{self, Counting};
use crate::cib::{self, Cib, Command};
use crate::clock::wall_s;
use crate::executor::{self, Event, Execution, Report};
use crate::raft::{ClientWrite, Raft};
use crate::terms::{NodeId, NodeName, TransitionKey};

use super::deliver::Teller;

/// Reports that one write holds.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    place: Place,
    reports: Vec<Report>,
}

impl Batch {
    /// The next reports that may be written at once, taken from the front; none when there are none.
    pub(super) fn next(
        waiting: &mut VecDeque<Report>,
        me: NodeId,
        name: &NodeName,
    ) -> Option<Self> {
        Self::next_at(waiting, &Place::new(me, name.clone()))
    }

    /// The same for any node, a remote one perhaps.
    pub(super) fn next_at(waiting: &mut VecDeque<Report>, place: &Place) -> Option<Self> {
        let mut reports = Vec::new();
        let mut told = BTreeSet::new();
        while let Some(report) = waiting.pop_front_if(|next| !hides(next, &told)) {
            if let Report::Result(execution) = &report {
                told.insert(execution.op.rsc.clone());
            }
            reports.push(report);
        }
        (!reports.is_empty()).then(|| Self {
            place: place.clone(),
            reports,
        })
    }

    /// The one write for all of them; none when nothing of it is for the CIB. It is refused when the node's entry is of another
    /// life: what comes late must not speak for a node that was fenced, or was looked at anew. // safety S10
    pub(super) fn command(&self, cib: &Cib, life: Option<u64>) -> Option<Command> {
        let rules = Counting::of(cib);
        let place = &self.place;
        let commands = self.reports.iter().filter_map(|report| {
            Some(match report {
                Report::Pending(execution) => record::pending(place, &recorded(execution)),
                Report::Result(execution) => record::result(place, &recorded(execution), rules),
                // What a stop or a promotion ended by itself keeps its entry: nobody asked for its end.
                Report::Cancelled { by: None, .. } => return None,
                Report::Cancelled {
                    op, call_id, key, ..
                } => record::cancelled(place, op, *call_id, key.as_ref()),
                Report::Withdrawn { op, key } => record::withdrawn(place, op, key),
                Report::Forgotten { rsc, .. } => record::forgotten(place, rsc),
                Report::Known(all) => {
                    let all: Vec<_> = all.iter().map(recorded).collect();
                    record::known(place, &all)
                }
                Report::NotDone { .. } => return None,
            })
        });
        let mut commands = flatten(commands.collect());
        if commands.is_empty() {
            return None;
        }
        if let Some(life) = life {
            commands.insert(0, record::in_life(place, life));
        }
        Some(Command::transaction(commands))
    }

    /// What the executor is told about its pending entries.
    pub(super) fn confirmations(&self, written: bool) -> impl Iterator<Item = Event> {
        self.reports.iter().filter_map(move |report| match report {
            Report::Pending(execution) if written => Some(Event::PendingWritten(execution.ticket)),
            Report::Pending(execution) => Some(Event::PendingLost(execution.ticket)),
            _ => None,
        })
    }

    /// Actions whose results nobody will read, if the write was refused.
    pub(super) fn unread(&self) -> impl Iterator<Item = (&TransitionKey, String)> {
        self.reports.iter().filter_map(|report| match report {
            Report::Result(e) => Some((&e.key, format!("{}: its result was not accepted", e.op))),
            _ => None,
        })
    }
}

/// Whether a report, written together with results of these resources, would leave one of them unseen.
fn hides(report: &Report, told: &BTreeSet<crate::terms::RscId>) -> bool {
    match report {
        Report::Pending(e) | Report::Result(e) => told.contains(&e.op.rsc),
        Report::Cancelled { op, .. } | Report::Withdrawn { op, .. } => told.contains(&op.rsc),
        Report::Forgotten { rsc, .. } => told.contains(rsc),
        Report::Known(_) => !told.is_empty(),
        Report::NotDone { .. } => false,
    }
}

/// Actions that are done by being reported, whatever the CIB said of them.
pub(super) fn done(reports: &[Report]) -> impl Iterator<Item = &TransitionKey> {
    reports.iter().filter_map(|report| match report {
        Report::Cancelled {
            by: Some(by),
            call_id: None,
            ..
        } => Some(by),
        _ => None,
    })
}

/// Actions that will not be carried out, and why.
pub(super) fn not_done(reports: &[Report]) -> impl Iterator<Item = (&TransitionKey, &str)> {
    reports.iter().filter_map(|report| match report {
        Report::NotDone { key, why } => Some((key, why.as_str())),
        _ => None,
    })
}

/// The executor's words in the CIB's.
fn recorded(e: &Execution) -> record::Execution {
    record::Execution {
        agent: e.agent.clone(),
        op: e.op.clone(),
        key: e.key.clone(),
        call_id: e.call_id,
        status: e.status,
        rc: e.rc,
        exit_reason: e.exit_reason.clone(),
        last_rc_change_s: e.last_rc_change_s,
        exec_ms: e.exec_ms,
        queue_ms: e.queue_ms,
        digests: record::Digests {
            all: e.digests.all.clone(),
            restart: e.digests.restart.clone(),
            secure: e.digests.secure.clone(),
        },
        feature_set: e.feature_set.clone(),
        node: e.node.clone(),
        notify: e.notify.clone(),
        migrate: e.migrate.clone(),
        container: e.container.clone(),
        shutdown_lock: e.shutdown_lock,
        ignore_failure: e.ignore_failure,
    }
}

/// How often the node had begun to act alone when something was reported, and the incarnation it was in.
type Life = (u64, Option<u64>);

/// Writes reports through raft, one batch after the other.
pub(super) struct Writer {
    reports: mpsc::UnboundedSender<(Life, Report)>,
    /// Counts the times this node began to act alone: what waited then is of no use any more.
    life: watch::Sender<u64>,
}

/// Between two attempts at the same write.
const AGAIN: Duration = Duration::from_millis(50);

impl Writer {
    /// Starts the task.
    pub(super) fn start(
        raft: Raft,
        executor: executor::shell::Handle,
        (me, name): (NodeId, NodeName),
        teller: Teller,
    ) -> Self {
        let (reports, inbox) = mpsc::unbounded_channel();
        let (life, lives) = watch::channel(0);
        let task = Task {
            raft,
            executor,
            me,
            name,
            teller,
        };
        tokio::spawn(task.write_all(inbox, lives));
        Self { reports, life }
    }

    /// Takes reports; the executor hears when its pending entries are on disk at a majority.
    pub(super) fn write(&self, incarnation: Option<u64>, reports: Vec<Report>) {
        let life = (*self.life.borrow(), incarnation);
        for report in reports {
            let _ = self.reports.send((life, report));
        }
    }

    /// Forgets what waits: this node acts alone, and comes back with its history told anew.
    pub(super) fn abandon(&self) {
        self.life.send_modify(|life| *life += 1);
    }
}

/// Who does it.
struct Task {
    raft: Raft,
    executor: executor::shell::Handle,
    me: NodeId,
    name: NodeName,
    teller: Teller,
}

/// How a write ended.
pub(super) enum Written {
    Yes,
    /// The CIB does not take it.
    Refused,
    /// This node is alone or stops.
    No,
}

impl Task {
    async fn write_all(
        self,
        mut inbox: mpsc::UnboundedReceiver<(Life, Report)>,
        mut lives: watch::Receiver<u64>,
    ) {
        let mut waiting: VecDeque<Report> = VecDeque::new();
        let mut waiting_for: Life = (0, None);
        loop {
            if waiting.is_empty() {
                let Some((life, report)) = inbox.recv().await else {
                    return;
                };
                waiting_for = life;
                waiting.push_back(report);
            }
            let life = *lives.borrow_and_update();
            while let Ok((of, report)) = inbox.try_recv() {
                if of != waiting_for {
                    self.give_up(&mut waiting).await;
                    waiting_for = of;
                }
                waiting.push_back(report);
            }
            if waiting_for.0 != life {
                self.give_up(&mut waiting).await;
                continue;
            }
            let Some(batch) = Batch::next(&mut waiting, self.me, &self.name) else {
                continue;
            };
            let cib = self.raft.local().cib.clone();
            let Some(command) = batch.command(&cib, waiting_for.1) else {
                continue;
            };
            let origin = cib::Origin {
                node: self.name.to_string(),
                client: "executor".into(),
                ..cib::Origin::default()
            };
            let command = command.from(origin).at(wall_s());
            let (client, seq) = self.raft.next_write();
            let write = ClientWrite::cib(client, seq, command);
            let written = tokio::select! {
                written = write_until_done(&self.raft, write) => written,
                _ = lives.changed() => Written::No,
            };
            if let Written::Refused = written {
                for (key, why) in batch.unread() {
                    self.teller.not_done(key.clone(), why);
                }
            }
            self.confirm(&batch, matches!(written, Written::Yes)).await;
        }
    }

    async fn give_up(&self, waiting: &mut VecDeque<Report>) {
        while let Some(batch) = Batch::next(waiting, self.me, &self.name) {
            self.confirm(&batch, false).await;
        }
    }

    async fn confirm(&self, batch: &Batch, written: bool) {
        for event in batch.confirmations(written) {
            self.executor.send(event).await;
        }
    }
}

/// A transaction holds no transactions.
pub(super) fn flatten(commands: Vec<Command>) -> Vec<Command> {
    commands
        .into_iter()
        .flat_map(|command| match command.op {
            cib::Op::CommitTransaction(inner) => flatten(inner),
            _ => vec![command],
        })
        .collect()
}

/// A result is never given up while this node belongs to a majority: without it the cluster would not
/// know what runs where. The same write is sent again, so that it takes effect once.
pub(super) async fn write_until_done(raft: &Raft, write: ClientWrite) -> Written {
    loop {
        match raft.write(write.clone()).await {
            Ok(answer) => {
                if let Some(message) = answer.outcome.message() {
                    tracing::error!("a result was not accepted: {message}");
                    return Written::Refused;
                }
                return Written::Yes;
            }
            Err(crate::raft::Error::Stopped(_)) => return Written::No,
            Err(e) => {
                tracing::warn!("a result is not written yet: {e}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use tests::{pending_for_tests, result_for_tests};
