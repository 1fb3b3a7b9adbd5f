//! What the CIB says of a remote node: who holds the connection to it, in which life it is, what it ran. The host of the
//! connection writes that.
//!
//! Every such write is bound to the stamp of the connection, which stands in the node's state: once another host has written
//! its own there, writes that were still on their way change nothing. // design §4, promise 4

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};

use super::vocab::Attempt;
use crate::cib::status::node_state::{CONNECTION, CONNECTION_HOST, PROBE_ALL, Place};
use crate::cib::{self, Cib, Command, Op, Target};
use crate::clock::wall_s;
use crate::daemon::deliver::Teller;
use crate::daemon::reports::{self, Batch, Written};
use crate::executor::{self, Event, Report};
use crate::raft::{ClientWrite, Raft};
use crate::rpc::{Stamp, ToRemote};
use crate::terms::{ExecStatus, NodeName, OpKey, Term, TransitionKey};
use crate::xml::{Element, xpath::literal};

/// The attribute of a node's state that says in which life it was when somebody connected last.
const LIFE: &str = "incarnation";

/// Writes for one connection.
pub(super) struct Writer {
    pub(super) raft: Raft,
    pub(super) teller: Teller,
    pub(super) newest: Arc<AtomicU64>,
    /// This member.
    pub(super) host: NodeName,
    /// The remote node.
    pub(super) node: NodeName,
    pub(super) attempt: Attempt,
    pub(super) stamp: Stamp,
    pub(super) line: mpsc::Sender<ToRemote>,
    /// Changes when this member begins to act alone: what is being written then is of no use any more.
    pub(super) alone: watch::Receiver<u64>,
}

/// Reports with the number up to which they tell everything.
pub(super) type Batches = mpsc::UnboundedReceiver<(u64, Vec<Report>)>;

impl Writer {
    /// Writes that the connection is here, and asks what became of what the CIB says is under way there.
    pub(super) async fn enter(&mut self, life: u64) -> Result<(), String> {
        let state = self.raft.barrier().await.map_err(|e| e.to_string())?;
        let commands = entering(&state.cib, &self.node, &self.host, self.stamp, life)?;
        match self.write(Command::transaction(commands)).await {
            Written::Yes => {}
            Written::Refused => return Err("the CIB does not take that it is connected".into()),
            Written::No => return Err("this node lost touch with the cluster meanwhile".into()),
        }
        let term = Term(self.newest.load(Ordering::Acquire));
        for (op, key) in under_way(&self.raft.local().cib, &self.node) {
            let account = executor::Command::Account { term, op, key };
            self.say(ToRemote::Execute(Box::new(account))).await;
        }
        // A host before this one may have stopped something, and not have been able to write it.
        self.say(ToRemote::Tell).await;
        Ok(())
    }

    /// Writes results until the connection ends; returns why it has to, if that is so.
    pub(super) async fn serve(mut self, mut inbox: Batches) -> String {
        let place = place(&self.node);
        while let Some((number, reports)) = inbox.recv().await {
            let cib = self.raft.local().cib.clone();
            let mut waiting: VecDeque<Report> = reports.into();
            waiting.retain(|report| !is_known(&cib, &self.node, report));
            while let Some(batch) = Batch::next_at(&mut waiting, &place) {
                let cib = self.raft.local().cib.clone();
                let Some(command) = batch.command(&cib, None) else {
                    continue;
                };
                let parts = [bound(&self.node, self.stamp), command];
                let command = Command::transaction(reports::flatten(parts.into()));
                let written = self.write(command).await;
                if let Written::Refused = written {
                    match stamp_in(&self.raft.local().cib, &self.node) {
                        Some(stamp) if stamp == self.stamp => {}
                        Some(by) => return format!("the cluster knows a newer connection ({by})"),
                        None => return "the remote node was fenced".into(),
                    }
                    for (key, why) in batch.unread() {
                        self.teller.not_done(key.clone(), why);
                    }
                }
                for (ticket, written) in tickets(&batch, matches!(written, Written::Yes)) {
                    self.say(ToRemote::Pending(ticket, written)).await;
                }
                if let Written::No = written {
                    return "this node lost touch with the cluster meanwhile".into();
                }
            }
            self.say(ToRemote::Taken(number)).await;
        }
        "it was ended".into()
    }

    async fn say(&self, word: ToRemote) {
        // A line that is gone is noticed by who listens to it.
        let _ = self.line.send(word).await;
    }

    async fn write(&mut self, command: Command) -> Written {
        let origin = cib::Origin {
            node: self.host.to_string(),
            client: "remote-executor".into(),
            ..cib::Origin::default()
        };
        let (client, seq) = self.raft.next_write();
        let write = ClientWrite::cib(client, seq, command.from(origin).at(wall_s()));
        tokio::select! {
            written = reports::write_until_done(&self.raft, write) => written,
            _ = self.alone.changed() => Written::No,
        }
    }
}

/// What the executor over there is told about pending entries.
pub(super) fn tickets(batch: &Batch, written: bool) -> impl Iterator<Item = (i64, bool)> {
    batch
        .confirmations(written)
        .filter_map(|event| match event {
            Event::PendingWritten(ticket) => Some((ticket, true)),
            Event::PendingLost(ticket) => Some((ticket, false)),
            _ => None,
        })
}

/// A remote node in the CIB: its name is its id. // spec cluster §8.3
pub(in crate::daemon) fn place(node: &NodeName) -> Place {
    Place {
        id: node.to_string(),
        name: node.clone(),
        remote: true,
    }
}

fn state_of<'a>(cib: &'a Cib, node: &NodeName) -> Option<&'a Element> {
    cib.status()?.child_by_id("node_state", node.as_str())
}

fn stamp_in(cib: &Cib, node: &NodeName) -> Option<Stamp> {
    let text = state_of(cib, node)?.get(CONNECTION)?;
    let mut numbers = text.split('.').map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    Some(Stamp {
        term: Term(u64::try_from(next()?).ok()?),
        transition: next()?,
        action: next()?,
    })
}

/// The member that holds the connection to a remote node, as the CIB says.
pub(in crate::daemon) fn host_of(cib: &Cib, node: &NodeName) -> Option<NodeName> {
    let state = state_of(cib, node)?;
    let there = state.get("in_ccm").is_some_and(|since| since != "0");
    state
        .get(CONNECTION_HOST)
        .filter(|_| there)
        .map(NodeName::from)
}

/// The writes by which a connection becomes the one that counts. In a new life of the remote node's daemon nobody knows
/// what runs there: it is looked at anew, as with members.
fn entering(
    cib: &Cib,
    node: &NodeName,
    host: &NodeName,
    stamp: Stamp,
    life: u64,
) -> Result<Vec<Command>, String> {
    if let Some(by) = stamp_in(cib, node).filter(|by| *by > stamp) {
        return Err(format!("a newer connection ({by}) is known to the cluster"));
    }
    let known = state_of(cib, node);
    let life = life.to_string();
    let mut commands = Vec::new();
    if known.is_some_and(|state| state.get(LIFE) != Some(life.as_str())) {
        for part in ["lrm", "transient_attributes"] {
            let part = Element::new(part).with("id", node.as_str());
            commands.push(Command::delete("status", part));
        }
    }
    let since = known.and_then(|state| state.get("in_ccm"));
    let since = since.filter(|since| *since != "0").map(str::to_owned);
    let mut state = place(node)
        .element()
        .with("in_ccm", since.unwrap_or_else(|| wall_s().to_string()))
        .with("join", "member")
        .with("expected", "member")
        .with("node_fenced", "0")
        .with(LIFE, &life)
        .with(CONNECTION_HOST, host.as_str())
        .with(CONNECTION, stamp.to_string());
    let before = known.and_then(|state| state.get(LIFE));
    if before.is_some_and(|before| before != life) {
        // Also where nothing is looked for at the start: it may run there.
        state.set(PROBE_ALL, "true");
    }
    commands.push(Command::modify("status", state).or_create());
    Ok(commands)
}

/// The write by which a connection that has ended says so.
pub(super) fn leaving(node: &NodeName, stamp: Stamp) -> Command {
    let state = place(node).element().with("in_ccm", "0");
    let state = Command::modify("status", state).or_create();
    Command::transaction(vec![bound(node, stamp), state])
}

/// Fails, and with it the transaction in which it stands, unless this connection is the one that counts.
fn bound(node: &NodeName, stamp: Stamp) -> Command {
    let path = format!(
        "/cib/status/node_state[@id={} and @{CONNECTION}={}]",
        literal(node.as_str()),
        literal(&stamp.to_string())
    );
    let state = Element::new("node_state").with("id", node.as_str());
    Command::new(Op::Modify, Target::XPath(path), Some(state))
}

/// Operations that the CIB says are under way on a remote node.
fn under_way(cib: &Cib, node: &NodeName) -> Vec<(OpKey, TransitionKey)> {
    let resources = state_of(cib, node)
        .and_then(|state| state.descend(&["lrm", "lrm_resources"]))
        .into_iter()
        .flat_map(Element::children);
    let pending = ExecStatus::Pending.code().to_string();
    resources
        .flat_map(|rsc| rsc.children().map(move |op| (rsc, op)))
        .filter(|(_, op)| op.get("op-status") == Some(pending.as_str()))
        .filter_map(|(rsc, op)| {
            let interval = op.get("interval")?.parse().ok()?;
            let op_key = OpKey::new(rsc.id()?, op.get("operation")?, interval);
            Some((op_key, op.get("transition-key")?.parse().ok()?))
        })
        .collect()
}

/// A failure that an earlier host has written already, and could not say so any more: it would be counted twice.
fn is_known(cib: &Cib, node: &NodeName, report: &Report) -> bool {
    let Report::Result(told) = report else {
        return false;
    };
    let entry = || {
        let (call, key) = (told.call_id.to_string(), told.key.to_string());
        let id = format!("{}_last_failure_0", told.op.rsc);
        state_of(cib, node)?
            .descend(&["lrm", "lrm_resources"])?
            .child_by_id("lrm_resource", told.op.rsc.as_str())?
            .child_by_id("lrm_rsc_op", &id)
            .filter(|op| op.get("call-id") == Some(call.as_str()))
            .filter(|op| op.get("transition-key") == Some(key.as_str()))
    };
    told.failed() && entry().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::apply;
    use crate::daemon::reports::result_for_tests;

    fn stamp(transition: i64) -> Stamp {
        Stamp {
            term: Term(3),
            transition,
            action: 4,
        }
    }

    fn node() -> NodeName {
        NodeName::from("r.1")
    }

    fn enter(cib: &Cib, transition: i64, life: u64) -> Cib {
        let host = NodeName::from("h");
        let commands = entering(cib, &node(), &host, stamp(transition), life).expect("newer");
        let applied = apply(cib, &Command::transaction(commands));
        applied.answer.expect("taken");
        applied.cib
    }

    fn result(cib: &Cib, transition: i64, report: Report) -> (Cib, bool) {
        let mut waiting = VecDeque::from([report]);
        let batch = Batch::next_at(&mut waiting, &place(&node())).expect("one");
        let command = batch.command(cib, None).expect("for the CIB");
        let parts = vec![bound(&node(), stamp(transition)), command];
        let applied = apply(cib, &Command::transaction(reports::flatten(parts)));
        (applied.cib, applied.answer.is_ok())
    }

    #[test]
    fn results_of_a_connection_that_was_taken_over_change_nothing() {
        let first = enter(&Cib::empty(), 1, 7);
        assert_eq!(stamp_in(&first, &node()), Some(stamp(1)));
        assert_eq!(host_of(&first, &node()), Some(NodeName::from("h")));
        let (first, taken) = result(&first, 1, result_for_tests("a_start_0", 0));
        assert!(taken);
        let second = enter(&first, 2, 7);
        let history = |cib: &Cib| state_of(cib, &node()).and_then(|s| s.child("lrm").cloned());
        assert!(history(&second).is_some(), "the same life: it still counts");
        let (same, taken) = result(&second, 1, result_for_tests("a_stop_0", 0));
        assert!(!taken);
        assert_eq!(same.root(), second.root());
        let older = entering(&second, &node(), &NodeName::from("h"), stamp(1), 7);
        assert!(older.is_err(), "{older:?}");
    }

    #[test]
    fn what_is_written_late_for_a_fenced_node_changes_nothing() {
        let up = enter(&Cib::empty(), 1, 7);
        let fenced = place(&node()).element().with(CONNECTION, "");
        let fenced = apply(&up, &Command::modify("status", fenced)).cib;
        let (same, taken) = result(&fenced, 1, result_for_tests("a_start_0", 0));
        assert!(!taken);
        assert_eq!(same.root(), fenced.root());
        let back = enter(&fenced, 2, 8);
        assert_eq!(stamp_in(&back, &node()), Some(stamp(2)));
    }

    #[test]
    fn in_another_life_nothing_is_known() {
        let first = enter(&Cib::empty(), 1, 7);
        let (first, _) = result(&first, 1, result_for_tests("a_start_0", 0));
        let second = enter(&first, 2, 8);
        let state = state_of(&second, &node()).expect("there");
        assert!(state.child("lrm").is_none());
        assert_eq!(state.get("remote_node"), Some("true"));
        assert_eq!(state.get(PROBE_ALL), Some("true"));
        let first = state_of(&first, &node()).expect("there");
        assert_eq!(first.get(PROBE_ALL), None, "its first life");
    }

    #[test]
    fn a_failure_that_is_told_again_is_known() {
        let first = enter(&Cib::empty(), 1, 7);
        let failed = || result_for_tests("a_monitor_10000", 7);
        assert!(!is_known(&first, &node(), &failed()));
        let (first, _) = result(&first, 1, failed());
        assert!(is_known(&first, &node(), &failed()));
    }

    #[test]
    fn who_left_on_purpose_is_nobodys_host() {
        let cib = enter(&Cib::empty(), 1, 7);
        let left = apply(&cib, &leaving(&node(), stamp(1)));
        left.answer.expect("taken");
        assert_eq!(host_of(&left.cib, &node()), None);
    }
}
