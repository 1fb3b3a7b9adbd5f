//! What else a status shows: node attributes, failures, tickets. (spec 4 §6)

use super::page::Entry;
use super::resources::is_masked;
use super::status::Wanted;
use crate::policy::facts::{Facts, FailedOp, HistoryOp};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::{DateTime, ExecStatus, OcfExit, OpKey, span};

/// `Node Attributes`, of nodes that are online and have any worth showing.
pub fn node_attributes(facts: &Facts, wanted: &Wanted) -> Option<Entry> {
    let lists: Vec<Entry> = shown_attributes(facts, wanted)
        .into_iter()
        .map(|(node, attributes)| {
            let lines = attributes
                .into_iter()
                .map(|(name, value, expected)| Entry::Item(attribute_line(name, value, expected)));
            let name = super::node_name(facts, node, wanted);
            Entry::List(format!("Node: {name}"), lines.collect())
        })
        .collect();
    (!lists.is_empty()).then(|| Entry::List("Node Attributes".into(), lists))
}

/// A node with its attributes: name, value, and what a ping resource would set if all its hosts answered.
type Attributes<'f> = (NodeIdx, Vec<(&'f str, &'f str, Option<i64>)>);

pub(super) fn shown_attributes<'f>(facts: &'f Facts, wanted: &Wanted) -> Vec<Attributes<'f>> {
    let online = facts
        .node_order
        .iter()
        .copied()
        .filter(|node| facts.nodes[*node].online);
    let shown = online.filter(|node| wanted.shows_node(facts, *node));
    shown
        .map(|node| {
            let attributes = facts.nodes[node]
                .attributes
                .iter()
                .filter(|(name, _)| is_shown(name));
            let with_expected = attributes
                .map(|(name, value)| (name, value, expected_connectivity(facts, node, name)));
            (node, with_expected.collect::<Vec<_>>())
        })
        .filter(|(_, attributes)| !attributes.is_empty())
        .collect()
}

/// Attributes of the cluster's own bookkeeping are not shown.
fn is_shown(name: &str) -> bool {
    const OWN: [&str; 6] = [
        "fail-count",
        "last-failure",
        "shutdown",
        "terminate",
        "standby",
        "#",
    ];
    !OWN.iter().any(|prefix| name.starts_with(prefix))
}

fn attribute_line(name: &str, value: &str, expected: Option<i64>) -> String {
    let mut line = format!("{name:<32}\t: {value:<10}");
    if let Some(expected) = expected {
        let value: i64 = value.parse().unwrap_or(0);
        if value <= 0 {
            line.push_str("\t: Connectivity is lost");
        } else if value < expected {
            line.push_str(&format!(
                "\t: Connectivity is degraded (Expected={expected})"
            ));
        }
    }
    line
}

/// What a ping resource on this node would set the attribute to if all its hosts answered.
fn expected_connectivity(facts: &Facts, node: NodeIdx, name: &str) -> Option<i64> {
    facts.nodes[node].running.iter().find_map(|rsc| {
        let agent = &facts.rscs[*rsc].agent;
        if !matches!(&*agent.kind, "ping" | "pingd") {
            return None;
        }
        let parameters = facts.params(*rsc, Some(node));
        if parameters.get("name").unwrap_or("pingd") != name {
            return None;
        }
        let hosts = parameters
            .get("host_list")
            .map_or(0, |list| list.split_whitespace().count());
        let each = parameters
            .get("multiplier")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        Some(
            i64::try_from(hosts)
                .unwrap_or(i64::MAX)
                .saturating_mul(each),
        )
    })
}

/// `Failed Resource Actions`, in the technical form or as a sentence.
pub fn failed_actions(facts: &Facts, wanted: &Wanted) -> Option<Entry> {
    let lines: Vec<Entry> = shown_failures(facts, wanted)
        .map(|failed| Entry::Item(failed_line(facts, failed, wanted)))
        .collect();
    (!lines.is_empty()).then(|| Entry::List("Failed Resource Actions".into(), lines))
}

pub(super) fn shown_failures<'f>(
    facts: &'f Facts,
    wanted: &Wanted,
) -> impl Iterator<Item = &'f FailedOp> {
    facts.failed_ops.iter().filter(|failed| {
        !is_masked(facts, failed)
            && wanted.shows_node(facts, failed.node)
            && wanted.shows_failure_of(facts, failed.rsc)
    })
}

fn failed_line(facts: &Facts, failed: &FailedOp, wanted: &Wanted) -> String {
    let (entry, at) = failed.entry;
    let op = &facts.history.at(entry).recorded.ops[at];
    let node = &facts.nodes[failed.node].name;
    let exit = OcfExit(failed.rc).text();
    let status = ExecStatus::from_code(failed.status).map_or("Unknown", ExecStatus::text);
    let reason = op
        .element
        .get("exit-reason")
        .filter(|text| !text.is_empty());
    let date = op.last_rc_change.map(|time_s| wanted.date(time_s));
    let exec_ms = op
        .element
        .get("exec-time")
        .and_then(|text| text.parse::<u64>().ok());
    if wanted.technical {
        let mut line = format!(
            "{} on {node} '{exit}' ({}): call={}, status='{status}'",
            failed.key, failed.rc, op.call_id
        );
        if let Some(reason) = reason {
            line.push_str(&format!(", exitreason='{reason}'"));
        }
        if let Some(date) = &date {
            line.push_str(&format!(", last-rc-change='{date}'"));
        }
        if let Some(queued) = op.element.get("queue-time") {
            line.push_str(&format!(", queued={queued}ms"));
        }
        if let Some(exec_ms) = exec_ms {
            line.push_str(&format!(", exec={exec_ms}ms"));
        }
        return line;
    }
    // The key says what was done to which instance, also of a resource that has become another kind since.
    let (rsc, task) = failed.key.parse::<OpKey>().map_or_else(
        |_| (rsc_name(facts, failed.rsc).to_owned(), task_words(op)),
        |key| {
            let words = words_for(&key.task, key.interval_ms);
            (key.rsc.to_string(), words)
        },
    );
    let mut line = format!("{rsc} {task} on {node} ");
    if failed.status == ExecStatus::Done.code() {
        line.push_str(&format!("returned '{exit}'"));
        if let Some(reason) = reason {
            line.push_str(&format!(" ({reason})"));
        }
    } else {
        let reason = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        line.push_str(&format!("could not be executed ({status}{reason})"));
    }
    if let Some(date) = &date {
        line.push_str(&format!(" at {date}"));
    }
    if let Some(exec_ms) = exec_ms.filter(|exec_ms| *exec_ms > 0) {
        line.push_str(&format!(" after {}", span::readable(exec_ms)));
    }
    line
}

fn rsc_name(facts: &Facts, rsc: RscIdx) -> &str {
    facts.rscs[rsc].printable_id().as_str()
}

/// `probe`, `10s-interval monitor`, `start`
fn task_words(op: &HistoryOp) -> String {
    words_for(&op.task, op.interval_ms)
}

fn words_for(task: &str, interval_ms: u64) -> String {
    match (task, interval_ms) {
        ("monitor", 0) => "probe".into(),
        (_, 0) => task.to_owned(),
        _ => format!("{}-interval {task}", span::readable(interval_ms)),
    }
}

/// `Tickets`, all of them.
pub fn tickets(facts: &Facts, wanted: &Wanted) -> Option<Entry> {
    let lines: Vec<Entry> = facts
        .tickets
        .iter()
        .map(|(id, ticket)| {
            let granted = if ticket.granted { "granted" } else { "revoked" };
            let standby = if ticket.standby { " [standby]" } else { "" };
            let mut line = format!("{id}\t{granted}{standby}");
            if ticket.last_granted >= 0 {
                line.push_str(&format!(
                    " last-granted=\"{}\"",
                    wanted.date(ticket.last_granted)
                ));
            }
            Entry::Item(line)
        })
        .collect();
    (!lines.is_empty()).then(|| Entry::List("Tickets".into(), lines))
}

/// A date as `ctime` writes it.
pub(super) fn ctime(time_s: i64, utc_offset_s: i32) -> String {
    DateTime::from_epoch(time_s).at_offset(utc_offset_s).ctime()
}
