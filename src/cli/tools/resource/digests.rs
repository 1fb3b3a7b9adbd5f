//! `--digests`: the hashes by which a changed configuration is noticed, and what goes into them. (spec 1 §28)

use crate::{
    cli::{cmd::facts_of, failure::Failure, tools::Tool},
    policy::{
        NodeIdx, NvTable, RscIdx,
        facts::{
            Facts, HistoryOp,
            digest::{PRIVATE, counts, is_fencer_parameter},
        },
    },
    terms::{CrmExit, OcfExit},
    xml::{Element, digest},
};

use super::{Asked, found, known_node};

const TIMEOUT: &str = "CRM_meta_timeout";
const INTERVAL: &str = "CRM_meta_interval";

/// Show them for a resource on a node, with parameters that the command line overrides.
pub(super) fn show(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let node_name = asked.need_node()?;
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = found(&facts, &cib, id)?;
    let node = known_node(&facts, node_name)?;
    if !facts.rscs[rsc].is_primitive() {
        let text = format!("{id} has no parameters of its own to be hashed");
        let code = CrmExit(OcfExit::UNIMPLEMENTED.0);
        return Err(Failure::new(code, text).cure("name a primitive"));
    }
    let given = |name: &str| {
        let mut pairs = asked.pairs.iter().rev();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let op = telling_op(&facts, rsc, node);
    let interval_ms = match given(INTERVAL) {
        Some(text) => text
            .parse()
            .map_err(|_| Failure::usage(format!("{INTERVAL}={text}: expected milliseconds")))?,
        None => op.map_or(0, |op| op.interval_ms),
    };
    let mut all = (*facts.params(rsc, Some(node))).clone();
    for (name, value) in &asked.pairs {
        all.set(name.as_str(), value.as_str());
    }
    all.retain(counts);
    let base = all.clone();
    if interval_ms > 0 {
        let timeout = match given(TIMEOUT) {
            Some(text) => text.to_owned(),
            None => {
                let task = op.map_or("start", |op| &*op.task);
                let meta = facts.op_meta(rsc, Some(node), task, interval_ms);
                meta.timeout_ms.to_string()
            }
        };
        all.set(TIMEOUT, timeout);
    }
    let entry = last_start(&facts, rsc, node);
    let mut element = Element::new("digests")
        .with("resource", facts.rscs[rsc].id.as_str())
        .with("node", facts.nodes[node].name.as_str())
        .with("task", op.map_or("start", |op| &*op.task))
        .with("interval", format!("{interval_ms}ms"));
    let listed = |name: &str| {
        let names = entry.and_then(|entry| entry.get(name));
        names.map(|names| names.split_ascii_whitespace().collect::<Vec<_>>())
    };
    let private = listed("op-secure-params").unwrap_or_else(|| PRIVATE.to_vec());
    let mut open = base.clone();
    open.retain(|name, _| !private.contains(&name));
    if facts.rscs[rsc].flags.fence_device && facts.hashed_as_of_old(op.map(|op| &op.element)) {
        open.retain(|name, _| !is_fencer_parameter(name));
    }
    // Without names, a digest that is recorded stands for all of them.
    let restart = listed("op-force-restart").map(|names| {
        let mut some = base.clone();
        some.retain(|name, _| names.contains(&name));
        some
    });
    let restart = restart.or_else(|| {
        let recorded = entry.is_some_and(|entry| entry.has("op-restart-digest"));
        recorded.then(|| base.clone())
    });
    let kinds = [
        ("all", "all parameters", Some(all)),
        ("nonprivate", "non-private parameters", Some(open)),
        ("nonreloadable", "non-reloadable parameters", restart),
    ];
    for (kind, words, table) in kinds {
        let Some(table) = table else { continue };
        let hash = digest::operation(table.iter());
        tool.line(&format!("{hash} ({words})"))?;
        element.push(
            Element::new("digest")
                .with("type", kind)
                .with("hash", hash)
                .with_child(parameters(&table)),
        );
    }
    tool.element(element);
    Ok(())
}

fn parameters(table: &NvTable) -> Element {
    let mut element = Element::new("parameters");
    for (name, value) in table.iter() {
        element.set(name, value);
    }
    element
}

/// The operation that tells most about what the resource was begun with on a node: the newest of those that look at
/// it or begin something, else any, and a failure only where there is nothing else.
fn telling_op(facts: &Facts, rsc: RscIdx, node: NodeIdx) -> Option<&HistoryOp> {
    let mut known = facts.history.iter();
    let entry = known.find(|entry| entry.rsc == Some(rsc) && entry.node == node)?;
    let rank = |op: &HistoryOp| {
        let begins = matches!(&*op.task, "monitor" | "start" | "promote" | "migrate_from");
        let failure = op.id().ends_with("_last_failure_0");
        (
            begins && op.interval_ms == 0,
            op.interval_ms > 0,
            !failure,
            op.last_rc_change.unwrap_or(-1),
            op.call_id,
        )
    };
    entry.recorded.ops.iter().max_by_key(|op| rank(op))
}

/// What the history of the resource on the node says of parameters.
fn last_start(facts: &Facts, rsc: RscIdx, node: NodeIdx) -> Option<&Element> {
    let entry = facts
        .history
        .iter()
        .find(|entry| entry.rsc == Some(rsc) && entry.node == node)?;
    let described = |element: &&Element| element.has("op-digest");
    let last = |task: &str| {
        let ops = entry
            .recorded
            .ops
            .iter()
            .rev()
            .filter(|op| &*op.task == task);
        ops.map(|op| &op.element).find(described)
    };
    last("start").or_else(|| last("monitor"))
}
