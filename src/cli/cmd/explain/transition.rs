//! Why each action of a plan is in it: what required it, what it waits for; and what has to be done, but can't be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Asked, resource, words};
use crate::{
    graph::{Action, ActionId, ActionKind, Graph},
    policy::{
        Outcome,
        report::{ActionCause, Effect},
    },
    terms::DateTime,
};

/// So many reasons are told of one action; programs get all of them.
const REASONS: usize = 4;

/// The plan that follows from a CIB, as text and for programs; `name` is that of a saved input.
pub(super) fn explain(asked: &Asked, name: Option<&str>) -> (String, Value) {
    let outcome = &asked.outcome;
    let steps = in_order(&outcome.graph);
    let blocked: Vec<&ActionCause> = outcome
        .causes
        .actions
        .iter()
        .filter(|action| action.required && !action.runnable)
        .filter(|action| steps.iter().all(|step| step.id != action.action))
        .filter(|action| !is_nowhere(outcome, action))
        .collect();
    let mut text = short(asked, name);
    if !steps.is_empty() {
        text.push_str("\nWhy each action is in it:\n");
        for step in &steps {
            text.push_str(&told(outcome, step));
        }
    }
    if !blocked.is_empty() {
        text.push_str("\nWhat would have to be done, but can't be:\n");
        for action in &blocked {
            let what = words::action(outcome, action.action);
            text.push_str(&format!("     {what}\n"));
            let why = reasons(outcome, action, Effect::Blocked);
            for why in why.iter().take(REASONS) {
                text.push_str(&format!("       blocked by: {why}\n"));
            }
        }
    }
    let of = |id: ActionId| outcome.causes.actions.iter().find(|it| it.action == id);
    let json = json!({
        "input": name,
        "time": DateTime::from_epoch(asked.input.now_s).to_string(),
        "quorum": outcome.facts.quorate,
        "summary": summary(outcome),
        "actions": steps.iter().map(|step| {
            let mut value = match of(step.id) {
                Some(action) => resource::action_json(outcome, action),
                None => json!({ "number": step.id.0 }),
            };
            value["key"] = step.key.clone().into();
            value["pseudo"] = (step.kind == ActionKind::Pseudo).into();
            value["waits_for"] = inputs(&outcome.graph, step.id).into();
            value
        }).collect::<Vec<_>>(),
        "blocked": blocked.iter().map(|action| resource::action_json(outcome, action)).collect::<Vec<_>>(),
        "warnings": outcome.warnings.iter().map(|warning| warning.text.clone()).collect::<Vec<_>>(),
    });
    (text, json)
}

/// What is not to run anywhere is not said to be kept from it.
fn is_nowhere(outcome: &Outcome, action: &ActionCause) -> bool {
    outcome.whom(action.action).is_some_and(|whom| {
        whom.node.is_none()
            && whom
                .rsc
                .is_some_and(|rsc| words::placed(outcome, rsc).is_none())
    })
}

/// The lines of the summary, with one blank between words.
pub(crate) fn summary(outcome: &Outcome) -> Vec<String> {
    let words = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    outcome
        .summary
        .iter()
        .map(|line| words(line.text()).replace("( ", "(").replace(" )", ")"))
        .collect()
}

fn short(asked: &Asked, name: Option<&str>) -> String {
    let outcome = &asked.outcome;
    let count = outcome.graph.synapses.len();
    let when = DateTime::from_epoch(asked.input.now_s);
    let (what, was) = match name {
        Some(name) => (format!("{name} was decided at {when}: it"), "had"),
        None => ("The plan".to_owned(), "has"),
    };
    let mut out = match count {
        0 => format!("{what} {was} nothing to do.\n"),
        1 => format!("{what} {was} 1 action.\n"),
        count => format!("{what} {was} {count} actions.\n"),
    };
    if !outcome.facts.quorate {
        out.push_str(&format!(
            "There is no quorum: no-quorum-policy={} decides.\n",
            outcome
                .facts
                .options
                .table
                .get("no-quorum-policy")
                .unwrap_or("stop")
        ));
    }
    for line in summary(outcome) {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// One action with its reasons.
fn told(outcome: &Outcome, step: &Action) -> String {
    let mut out = format!("{:>4} {}", step.id.0, words::action(outcome, step.id));
    if step.kind == ActionKind::Pseudo {
        out.push_str(" (nothing is executed)");
    }
    out.push('\n');
    let known = outcome.causes.actions.iter();
    let known = known.clone().find(|it| it.action == step.id);
    let mut why = known.map_or_else(Vec::new, |it| reasons(outcome, it, Effect::Required));
    if why.is_empty() {
        let shown = if step.kind == ActionKind::Pseudo {
            "it marks what happens to its members"
        } else {
            "it is under way already"
        };
        why.push(shown.to_owned());
    }
    let more = why.len().saturating_sub(REASONS);
    for why in why.iter().take(REASONS) {
        out.push_str(&format!("       because: {why}\n"));
    }
    if more > 0 {
        out.push_str(&format!("       and {more} more\n"));
    }
    let waits: Vec<String> = inputs(&outcome.graph, step.id)
        .iter()
        .map(u32::to_string)
        .collect();
    if !waits.is_empty() {
        out.push_str(&format!("       after {}\n", waits.join(", ")));
    }
    out
}

/// Why an action has to be done, or can't be: its own causes, then other actions.
pub(super) fn reasons(outcome: &Outcome, action: &ActionCause, effect: Effect) -> Vec<String> {
    let own = action.causes.iter().filter(|it| it.0 == effect);
    let mut found: Vec<String> = Vec::new();
    for (_, cause) in own {
        let text = words::cause(outcome, cause);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    for it in &outcome.causes.consequences {
        if it.action != action.action || it.effect != effect {
            continue;
        }
        let other = words::action(outcome, it.by);
        let text = match (&it.constraint, effect) {
            (Some(id), _) => format!("{other} ({id})"),
            (None, Effect::Required) => format!("{other} goes with it"),
            (None, Effect::Blocked) => format!("{other} can't be done"),
        };
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

fn inputs(graph: &Graph, id: ActionId) -> Vec<u32> {
    let step = graph.synapses.iter().find(|it| it.action.id == id);
    let inputs = step.into_iter().flat_map(|step| &step.inputs);
    inputs.map(|input| input.0).collect()
}

/// Every action after those it waits for, else by number. What waits for itself, or for nothing real, comes last.
fn in_order(graph: &Graph) -> Vec<&Action> {
    let mut left: Vec<_> = graph.synapses.iter().collect();
    left.sort_by_key(|it| it.action.id);
    let mut done: BTreeSet<ActionId> = BTreeSet::new();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let before = ordered.len();
        left.retain(|synapse| {
            let ready = synapse.inputs.iter().all(|input| done.contains(input));
            if ready {
                done.insert(synapse.action.id);
                ordered.push(&synapse.action);
            }
            !ready
        });
        if ordered.len() == before {
            ordered.extend(left.drain(..).map(|synapse| &synapse.action));
        }
    }
    ordered
}
