//! The return leg of the loop: what this node's executor reports becomes a write, in order, until it is
//! written. What arrives while a write is under way goes into the next one.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::cib::status::node_state::Place;
use crate::cib::status::record::{self, Counting};
use crate::cib::{self, Cib, Command};
use crate::clock::wall_s;
use crate::executor::{self, Event, Execution, Report};
use crate::raft::{ClientWrite, Raft};
use crate::terms::{NodeId, NodeName, TransitionKey};

/// Reports of one step, sorted by what is made of them.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    place: Place,
    reports: Vec<Report>,
    /// For the coordinator alone.
    pub(super) direct: Vec<Execution>,
    /// Actions that are done by being reported, whatever the CIB said of them.
    pub(super) done: Vec<TransitionKey>,
}

impl Batch {
    pub(super) fn new(reports: Vec<Report>, me: NodeId, name: &NodeName) -> Self {
        let mut direct = Vec::new();
        let mut done = Vec::new();
        for report in &reports {
            match report {
                Report::Direct(execution) => direct.push(execution.clone()),
                Report::Cancelled {
                    by: Some(by),
                    call_id: None,
                    ..
                } => done.push(by.clone()),
                _ => {}
            }
        }
        Self {
            place: Place::new(me, name.clone()),
            reports,
            direct,
            done,
        }
    }

    /// The one write for all of them.
    pub(super) fn command(&self, cib: &Cib) -> Command {
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
                Report::Forgotten { rsc, .. } => record::forgotten(place, rsc),
                Report::History(all) => {
                    let all: Vec<_> = all.iter().map(recorded).collect();
                    record::history(place, &all)
                }
                Report::Direct(_) => return None,
            })
        });
        Command::transaction(commands.collect())
    }

    /// What the executor is told about its pending entries.
    pub(super) fn confirmations(&self, written: bool) -> impl Iterator<Item = Event> {
        self.reports.iter().filter_map(move |report| match report {
            Report::Pending(execution) if written => Some(Event::PendingWritten(execution.ticket)),
            Report::Pending(execution) => Some(Event::PendingLost(execution.ticket)),
            _ => None,
        })
    }
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

/// Writes batches through raft, one after the other.
pub(super) struct Writer {
    batches: mpsc::UnboundedSender<(u64, Batch)>,
    /// Counts the times this node began to act alone: what waited then is of no use any more.
    life: watch::Sender<u64>,
}

/// Between two attempts at the same write.
const AGAIN: Duration = Duration::from_millis(50);

impl Writer {
    /// Starts the task.
    pub(super) fn start(raft: Raft, executor: executor::shell::Handle, name: NodeName) -> Self {
        let (batches, inbox) = mpsc::unbounded_channel();
        let (life, lives) = watch::channel(0);
        tokio::spawn(write_all(raft, executor, name, inbox, lives));
        Self { batches, life }
    }

    /// Takes a batch; the executor hears when its pending entries are on disk at a majority.
    pub(super) fn write(&self, batch: Batch) {
        let _ = self.batches.send((*self.life.borrow(), batch));
    }

    /// Forgets what waits: this node acts alone, and comes back with its history told anew.
    pub(super) fn abandon(&self) {
        self.life.send_modify(|life| *life += 1);
    }
}

async fn write_all(
    raft: Raft,
    executor: executor::shell::Handle,
    name: NodeName,
    mut inbox: mpsc::UnboundedReceiver<(u64, Batch)>,
    mut lives: watch::Receiver<u64>,
) {
    while let Some(first) = inbox.recv().await {
        let mut waiting = vec![first];
        while let Ok(more) = inbox.try_recv() {
            waiting.push(more);
        }
        let life = *lives.borrow_and_update();
        let (now, past): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(l, _)| *l == life);
        confirm(&executor, &past, false).await;
        if now.is_empty() {
            continue;
        }
        let cib = raft.local().cib.clone();
        let commands = flatten(now.iter().map(|(_, batch)| batch.command(&cib)).collect());
        if commands.is_empty() {
            continue;
        }
        let origin = cib::Origin {
            node: name.to_string(),
            client: "executor".into(),
            ..cib::Origin::default()
        };
        let command = Command::transaction(commands).from(origin).at(wall_s());
        let (client, seq) = raft.next_write();
        let write = ClientWrite::cib(client, seq, command);
        let written = tokio::select! {
            written = write_until_done(&raft, write) => written,
            _ = lives.changed() => false,
        };
        confirm(&executor, &now, written).await;
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

async fn confirm(executor: &executor::shell::Handle, batches: &[(u64, Batch)], written: bool) {
    for event in batches
        .iter()
        .flat_map(|(_, batch)| batch.confirmations(written))
    {
        executor.send(event).await;
    }
}

/// A result is never given up while this node belongs to a majority: without it the cluster would not
/// know what runs where. The same write is sent again, so that it takes effect once.
async fn write_until_done(raft: &Raft, write: ClientWrite) -> bool {
    loop {
        match raft.write(write.clone()).await {
            Ok(answer) => {
                if let Some(message) = answer.outcome.message() {
                    tracing::error!("a result was not accepted: {message}");
                    return false;
                }
                return true;
            }
            Err(crate::raft::Error::Stopped(_)) => return false,
            Err(e) => {
                tracing::warn!("a result is not written yet: {e}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
