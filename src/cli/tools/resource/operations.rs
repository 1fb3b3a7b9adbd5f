//! `--list-operations`: the history of resources on nodes, line by line.

use crate::{
    cli::{cmd::facts_of, failure::Failure, show, tools::Tool},
    policy::facts::{Facts, HistoryEntry, HistoryOp},
    terms::{DateTime, ExecStatus},
    xml::Element,
};

use super::{Asked, known_node};

/// All operations that are recorded, or only those of resources that are not stopped.
pub(super) fn list(tool: &mut Tool, asked: &Asked, active: bool) -> Result<(), Failure> {
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    if let Some(node) = &asked.node {
        known_node(&facts, node)?;
    }
    let mut operations = Element::new("operations");
    let states = cib.root().child("status").into_iter();
    for state in states.flat_map(|status| status.children_named("node_state")) {
        let here = |entry: &HistoryEntry<'_>| {
            let node = &facts.nodes[entry.node];
            let wanted = asked.node.as_deref();
            Some(&*node.id) == state.id()
                && wanted.is_none_or(|name| node.name.as_str().eq_ignore_ascii_case(name))
        };
        for entry in facts.history.iter().filter(here) {
            let base = entry.recorded.id().split(':').next().unwrap_or_default();
            let wanted = asked.rsc.as_deref();
            if wanted.is_some_and(|id| id != entry.recorded.id() && id != base) {
                continue;
            }
            if active && entry.recorded.stopped() {
                continue;
            }
            // What came before the last start says nothing about now.
            let from = usize::try_from(entry.recorded.start_index).unwrap_or(0);
            for op in entry
                .recorded
                .ops
                .iter()
                .skip(if active { from } else { 0 })
            {
                tool.line(&line(&facts, &entry, op))?;
                operations.push(element(&facts, &entry, op));
            }
        }
    }
    if operations.children().next().is_some() {
        tool.element(operations);
    }
    Ok(())
}

/// Instances that are alike have one name.
fn rsc_name<'f>(facts: &'f Facts, entry: &HistoryEntry<'f>) -> &'f str {
    let known = entry.rsc.map(|rsc| facts.rscs[rsc].printable_id().as_str());
    known.unwrap_or_else(|| entry.recorded.id())
}

fn status(op: &HistoryOp) -> &'static str {
    op.status
        .and_then(ExecStatus::from_code)
        .map_or("unknown", ExecStatus::text)
}

fn agent(entry: &HistoryEntry<'_>) -> String {
    let part = |name: &str| entry.recorded.element.get(name).unwrap_or_default();
    format!("{}:{}:{}", part("class"), part("provider"), part("type"))
}

fn changed(op: &HistoryOp) -> Option<String> {
    op.last_rc_change
        .map(|time_s| DateTime::from_epoch(time_s).ctime())
}

fn element(facts: &Facts, entry: &HistoryEntry<'_>, op: &HistoryOp) -> Element {
    Element::new("operation")
        .with("op", op.key())
        .with("node", facts.nodes[entry.node].name.as_str())
        .with("call", op.call_id.to_string())
        .with("rc", op.rc.unwrap_or_default().to_string())
        .with("status", status(op))
        .with("rsc", rsc_name(facts, entry))
        .with("agent", agent(entry))
        .with_some("last-rc-change", changed(op))
        .with_some("exec-time", op.element.get("exec-time"))
}

/// `rsc1 (ocf:pacemaker:Dummy): Started: rsc1_start_0 (node=n1, call=4, rc=0, exec=2ms): Done`.
fn line(facts: &Facts, entry: &HistoryEntry<'_>, op: &HistoryOp) -> String {
    let who = match entry.rsc {
        Some(rsc) => show::state_line(facts, rsc),
        None => format!("Unknown resource {}", entry.recorded.id()),
    };
    let mut notes = vec![
        format!("node={}", facts.nodes[entry.node].name),
        format!("call={}", op.call_id),
        format!("rc={}", op.rc.unwrap_or_default()),
    ];
    notes.extend(changed(op).map(|date| format!("last-rc-change='{date}'")));
    let took = op.element.get("exec-time");
    notes.extend(took.map(|ms| format!("exec={ms}ms")));
    format!("{who}: {} ({}): {}", op.key(), notes.join(", "), status(op))
}
