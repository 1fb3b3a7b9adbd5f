//! What was done to each resource on each node, and how often it failed. (spec 4 §6.2)

use super::page::Entry;
use super::status::Wanted;
use crate::policy::facts::{Facts, FailQuery, HistoryEntry, HistoryOp};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::OcfExit;
use crate::xml::Element;

/// One resource on one node.
struct Line<'f> {
    entry: HistoryEntry<'f>,
    rsc: RscIdx,
    fail_count: i64,
    last_failure_s: i64,
}

/// Nodes that are online, in the order of the status section, each with what is known of its resources.
fn lines<'f>(facts: &'f Facts, wanted: &Wanted) -> Vec<(NodeIdx, Vec<Line<'f>>)> {
    let mut off = facts.timeouts_off.clone();
    let states = facts.context.status.as_ref();
    let states = states
        .into_iter()
        .flat_map(|status| status.children_named("node_state"));
    let nodes = states.filter_map(|state| {
        let (id, name) = (state.get("id"), state.get("uname"));
        let mut order = facts.node_order.iter().copied();
        order.find(|node| {
            let it = &facts.nodes[*node];
            Some(&*it.id) == id || Some(it.name.as_str()) == name
        })
    });
    let shown = nodes.filter(|node| facts.nodes[*node].online && wanted.shows_node(facts, *node));
    shown
        .map(|node| {
            let known = facts.history.iter().filter(|entry| entry.node == node);
            let known = known.filter_map(|entry| Some((entry, entry.rsc?)));
            let asked = known.filter(|(_, rsc)| wanted.shows_history_of(facts, *rsc));
            let lines = asked.map(|(entry, rsc)| {
                let query = FailQuery {
                    effective: true,
                    launched: false,
                };
                let failed = facts.fail_count(&mut off, rsc, node, query);
                Line {
                    entry,
                    rsc,
                    fail_count: i64::from(failed.count.value()),
                    last_failure_s: failed.last_failure_s,
                }
            });
            (node, lines.collect())
        })
        .collect()
}

/// Notifications say nothing about the resource, and a probe that found nothing is no news.
fn is_news(op: &HistoryOp) -> bool {
    let nothing = op.is_probe() && op.rc == Some(OcfExit::NOT_RUNNING.0);
    &*op.task != "notify" && !nothing
}

fn task(op: &HistoryOp) -> &str {
    if op.is_probe() { "probe" } else { &op.task }
}

/// `Operations`, or only fail counts as `Migration Summary`; nothing where no node is shown.
pub fn operations(facts: &Facts, wanted: &Wanted, operations: bool) -> Option<Entry> {
    let mut lists = Vec::new();
    let nodes = lines(facts, wanted);
    let some = !nodes.is_empty();
    for (node, lines) in nodes {
        let entries: Vec<Entry> = lines
            .iter()
            .filter_map(|line| rsc_entry(facts, line, wanted, operations))
            .collect();
        if !entries.is_empty() {
            let name = super::node_name(facts, node, wanted);
            lists.push(Entry::List(format!("Node: {name}"), entries));
        }
    }
    let title = if operations {
        "Operations"
    } else {
        "Migration Summary"
    };
    some.then(|| Entry::List(title.into(), lists))
}

fn rsc_entry(facts: &Facts, line: &Line<'_>, wanted: &Wanted, operations: bool) -> Option<Entry> {
    let it = &facts.rscs[line.rsc];
    let name = if operations {
        it.printable_id().as_str()
    } else {
        line.entry.recorded.id()
    };
    let mut text = format!("{name}: migration-threshold={}", it.threshold.value());
    if line.fail_count > 0 {
        text.push_str(&format!(" fail-count={}", line.fail_count));
    }
    if line.last_failure_s > 0 {
        let date = wanted.date(line.last_failure_s);
        text.push_str(&format!(" last-failure='{date}'"));
    }
    if !operations {
        return (line.fail_count > 0).then_some(Entry::Item(text));
    }
    let news = line.entry.recorded.ops.iter().filter(|op| is_news(op));
    let ops: Vec<Entry> = news.map(|op| Entry::Item(op_line(op, wanted))).collect();
    (!ops.is_empty()).then_some(Entry::List(text, ops))
}

fn op_line(op: &HistoryOp, wanted: &Wanted) -> String {
    let mut line = format!("({}) {}", op.call_id, task(op));
    if op.interval_ms > 0 || wanted.timing {
        line.push(':');
    }
    if op.interval_ms > 0 {
        line.push_str(&format!(" interval=\"{}ms\"", op.interval_ms));
    }
    if wanted.timing {
        if let Some(time_s) = op.last_rc_change.filter(|time_s| *time_s > 0) {
            line.push_str(&format!(" last-rc-change=\"{}\"", wanted.date(time_s)));
        }
        for (name, value) in times(op) {
            line.push_str(&format!(" {name}=\"{value}ms\""));
        }
        let rc = OcfExit(op.rc.unwrap_or(-1));
        line.push_str(&format!(" rc={} ({})", rc.0, rc.text()));
    }
    line
}

fn times(op: &HistoryOp) -> impl Iterator<Item = (&'static str, &str)> {
    let names = ["exec-time", "queue-time"].into_iter();
    names.filter_map(|name| Some((name, op.element.get(name)?)))
}

/// `node_history`, also when nothing is known of the nodes that are shown.
pub fn node_history(facts: &Facts, wanted: &Wanted, operations: bool) -> Option<Element> {
    let mut element = Element::new("node_history");
    let nodes = lines(facts, wanted);
    let some = !nodes.is_empty();
    for (node, lines) in nodes {
        let found: Vec<Element> = lines
            .iter()
            .filter_map(|line| rsc_element(facts, line, wanted, operations))
            .collect();
        if !found.is_empty() {
            let name = facts.nodes[node].name.as_str();
            element.push(Element::new("node").with("name", name).with_children(found));
        }
    }
    some.then_some(element)
}

fn rsc_element(
    facts: &Facts,
    line: &Line<'_>,
    wanted: &Wanted,
    operations: bool,
) -> Option<Element> {
    let it = &facts.rscs[line.rsc];
    let failed = line.fail_count > 0;
    // Quirk: a history is nobody's only where nothing goes by its name, also not what was removed.
    let mut element = Element::new("resource_history")
        .with("id", it.printable_id().as_str())
        .with("orphan", "false")
        .with("removed", "false")
        .with("migration-threshold", it.threshold.value().to_string())
        .with_some("fail-count", failed.then(|| line.fail_count.to_string()));
    if line.last_failure_s > 0 {
        element.set("last-failure", &wanted.date(line.last_failure_s));
    }
    if !operations {
        return failed.then_some(element);
    }
    let ops: Vec<Element> = line
        .entry
        .recorded
        .ops
        .iter()
        .filter(|op| is_news(op))
        .map(|op| op_element(op, wanted))
        .collect();
    (!ops.is_empty()).then(|| element.with_children(ops))
}

fn op_element(op: &HistoryOp, wanted: &Wanted) -> Element {
    let rc = OcfExit(op.rc.unwrap_or(-1));
    let interval = (op.interval_ms > 0).then(|| format!("{}ms", op.interval_ms));
    let mut element = Element::new("operation_history")
        .with("call", op.call_id.to_string())
        .with("task", task(op))
        .with("rc", rc.0.to_string())
        .with("rc_text", rc.text())
        .with_some("interval", interval);
    if wanted.timing {
        if let Some(time_s) = op.last_rc_change.filter(|time_s| *time_s > 0) {
            element.set("last-rc-change", &wanted.date(time_s));
        }
        for (name, value) in times(op) {
            element.set(name, &format!("{value}ms"));
        }
    }
    element
}
