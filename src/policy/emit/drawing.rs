//! The plan as a drawing, with what is optional or can't be done beside what is in the graph. spec 3 §19.1, §19.2

use std::collections::BTreeSet;

use super::super::actions::plan::{ActIdx, Flags, Kinds, Plan, Task};
use super::super::facts::Facts;
use super::build::key_text;
use crate::graph::{DotEdge, DotNode, Drawing, Graph};

/// Boxes and arrows of a plan whose graph has been built; with `all`, also what is optional; with `numbers`, names
/// tell the numbers of actions.
#[must_use]
pub fn drawing(facts: &Facts, plan: &Plan, graph: &Graph, all: bool, numbers: bool) -> Drawing {
    let name = |idx: ActIdx| {
        let text = name(facts, plan, idx);
        if numbers {
            format!("{text} ({})", idx.0 + 1)
        } else {
            text
        }
    };
    let mut drawing = Drawing::default();
    let mut shown = BTreeSet::new();
    for idx in plan.newest_first() {
        let it = plan.get(idx);
        let unmanaged = it.rsc.is_some_and(|rsc| !plan.now.rscs[rsc].managed);
        let mut font = if it.pseudo() { "orange" } else { "black" };
        let (style, color, always) = if it.flags.has(Flags::GRAPHED) {
            ("bold", "green", true)
        } else if unmanaged {
            font = "purple";
            ("dashed", "red", false)
        } else if !it.required() {
            ("dashed", "blue", false)
        } else {
            ("dashed", "red", true)
        };
        if always || all {
            shown.insert(idx);
            drawing.nodes.push(DotNode {
                name: name(idx),
                style,
                color,
                font,
            });
        }
    }
    let triggers: BTreeSet<(u32, u32)> = graph
        .synapses
        .iter()
        .flat_map(|synapse| {
            synapse
                .inputs
                .iter()
                .map(move |input| (synapse.action.id.0, input.0))
        })
        .collect();
    for idx in plan.newest_first() {
        for input in &plan.get(idx).ins {
            let printed = triggers.contains(&(idx.0 + 1, input.first.0 + 1));
            let both =
                shown.contains(&idx) && shown.contains(&input.first) && input.kinds != Kinds::LOAD;
            let style = match () {
                () if printed => "bold",
                () if input.kinds.is_none() || !(all || both) => continue,
                () => "dashed",
            };
            let (from, to) = (name(input.first), name(idx));
            drawing.edges.push(DotEdge { from, to, style });
        }
    }
    drawing
}

/// spec 3 §19.1
fn name(facts: &Facts, plan: &Plan, idx: ActIdx) -> String {
    let it = plan.get(idx);
    let host = match it.node {
        Some(node) => Some(facts.nodes[node].name.as_str()),
        None if it.pseudo() => None,
        None => Some("<none>"),
    };
    let with_host = |text: String| match host {
        Some(host) => format!("{text} {host}"),
        None => text,
    };
    let prefix = if it.cancels.is_some() { "Cancel " } else { "" };
    let task = it.cancels.unwrap_or(it.task);
    if let Some(rsc) = it.rsc {
        let fact = &facts.rscs[rsc];
        let key = match &fact.history_id {
            Some(history) if matches!(it.task, Task::NOTIFY | Task::NOTIFIED) => {
                let part = |name: &str| it.meta.get(name).unwrap_or_default();
                format!(
                    "{history}_{}_notify_{}_0",
                    part("notify_key_type"),
                    part("notify_key_operation")
                )
            }
            Some(history) => format!("{history}_{}_{}", plan.name(task), it.interval_ms()),
            None => key_text(plan, Some(fact.id.as_str()), it.key),
        };
        return with_host(format!("{prefix}{key}"));
    }
    if it.task == Task::FENCE {
        let operation = it.meta.get("stonith_action").unwrap_or_default();
        return with_host(format!("stonith '{operation}'"));
    }
    match it.node {
        Some(_) => with_host(format!("{prefix}{}", plan.name(task))),
        None => key_text(plan, None, it.key),
    }
}
