//! Why a node is as it is, and which resources it may and may not run.

use serde_json::{Value, json};

use super::{Asked, resource, transition, words};
use crate::{
    policy::{
        NodeIdx, Outcome, RscIdx,
        report::{ActionCause, Cause, Effect},
    },
    xml::Element,
};

/// One primitive as seen from the node.
struct Line {
    rsc: String,
    runs: bool,
    planned: bool,
    score: Option<String>,
    why: String,
}

/// A node, as text and for programs.
pub(super) fn explain(asked: &Asked, node: NodeIdx) -> (String, Value) {
    let outcome = &asked.outcome;
    let (mut said, state) = state(asked, node);
    let lines: Vec<Line> = outcome
        .facts
        .rscs
        .indexes()
        .filter(|rsc| outcome.facts.rscs[*rsc].is_primitive())
        .map(|rsc| line(outcome, rsc, node))
        .collect();
    let orders = orders(outcome, node);
    for order in &orders {
        said.push(order.clone());
    }
    let text = text(&said, &lines);
    let json = json!({
        "node": words::name(outcome, node),
        "state": state,
        "answer": said,
        "resources": lines.iter().map(|line| json!({
            "resource": line.rsc,
            "runs_here": line.runs,
            "planned_here": line.planned,
            "score": line.score,
            "because": line.why,
        })).collect::<Vec<_>>(),
        "actions": node_actions(outcome, node).iter().map(|it| resource::action_json(outcome, it)).collect::<Vec<_>>(),
    });
    (text, json)
}

/// What it is, in sentences, and in one word.
fn state(asked: &Asked, node: NodeIdx) -> (Vec<String>, &'static str) {
    let outcome = &asked.outcome;
    let facts = &outcome.facts;
    let it = &facts.nodes[node];
    let name = it.name.as_str();
    let mut said = Vec::new();
    let state = if it.unclean {
        said.push(format!(
            "{name} is unclean: nobody knows what it does, so it must be fenced before anything it ran may run elsewhere."
        ));
        if !facts.options.fencing_enabled {
            said.push("Fencing is off (fencing-enabled=false), so only a person can tell: `crm node clearstate ".to_owned() + name + "` when it is seen to be off.");
        } else if !facts.can_fence(Some(node)) {
            said.push(if facts.quorate {
                "It can't be fenced: there is no fence device; `crm configure primitive ID stonith:AGENT ...` adds one.".to_owned()
            } else {
                "It can't be fenced: this partition has no quorum.".to_owned()
            });
        }
        "unclean"
    } else if !it.online {
        said.push(format!("{name} is offline: {}.", whereabouts(asked, node)));
        "offline"
    } else if it.pending {
        said.push(format!(
            "{name} is joining: it runs nothing before that is done."
        ));
        "pending"
    } else if it.shutdown {
        said.push(format!(
            "{name} is told to shut down: it runs nothing new, and what it runs leaves."
        ));
        "shutdown"
    } else if it.standby_on_fail {
        said.push(format!(
            "{name} is in standby because of a failure: it runs nothing."
        ));
        "standby"
    } else if it.standby {
        said.push(format!("{name} is in standby (node attribute standby): it runs nothing. `crm node online {name}` ends that."));
        "standby"
    } else if it.maintenance {
        let why = if facts.options.table.get("maintenance-mode") == Some("true") {
            "cluster option maintenance-mode"
        } else {
            "node attribute maintenance"
        };
        said.push(format!("{name} is in maintenance ({why}): what it runs is left alone. `crm node ready {name}` ends that for a node."));
        "maintenance"
    } else {
        said.push(format!("{name} is online."));
        "online"
    };
    let here = facts.handled.iter().filter(|(_, on, _)| *on == node);
    for (.., how) in here {
        said.push(format!("It had a failure: {}.", words::cause(outcome, how)));
    }
    if it.health != crate::terms::Score::ZERO {
        let attributes: Vec<String> = it
            .attributes
            .with_prefix("#health")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        said.push(format!(
            "Its health counts {} (node-health-strategy={}, {}).",
            it.health,
            facts.options.health_strategy.name(),
            attributes.join(", ")
        ));
    }
    let running: Vec<&str> = it
        .running
        .iter()
        .map(|rsc| words::id(outcome, *rsc))
        .collect();
    said.push(match running.as_slice() {
        [] => "It runs nothing.".to_owned(),
        names => format!("It runs {}.", words::listed(names)),
    });
    (said, state)
}

/// How it is known that a node is away, and how well.
fn whereabouts(asked: &Asked, node: NodeIdx) -> String {
    let facts = &asked.outcome.facts;
    let id = &*facts.nodes[node].id;
    let states = asked.cib.status().into_iter().flat_map(Element::children);
    let mut states = states.filter(|state| state.is("node_state"));
    let Some(state) = states.find(|state| state.id() == Some(id)) else {
        return "it was never seen".to_owned();
    };
    let given = |name: &str| state.get(name);
    let last_life_was_ended =
        given("incarnation").is_some() && given("incarnation") == given("fenced-incarnation");
    match given("proof").filter(|_| last_life_was_ended) {
        Some(by) => format!("its loss is proven by {by}"),
        None if given("expected") == Some("down") => "it left in order, or was fenced".to_owned(),
        // Only our own coordinator waits for the lease before it writes this.
        None if !facts.options.fencing_enabled && given("incarnation").is_some() => {
            "its lease has run out, so it has stopped what it ran by itself (proof: lease)"
                .to_owned()
        }
        None => "it is away, and not expected".to_owned(),
    }
}

/// Fencing, unfencing and shutdown of the node.
fn node_actions(outcome: &Outcome, node: NodeIdx) -> Vec<&ActionCause> {
    let of_node = |action: &&ActionCause| {
        outcome.whom(action.action).is_some_and(|whom| {
            whom.node == Some(node)
                && whom.rsc.is_none()
                && matches!(&*whom.task, "stonith" | "do_shutdown")
        })
    };
    let required = outcome.causes.actions.iter().filter(|it| it.required);
    required.filter(of_node).collect()
}

/// The same in sentences.
fn orders(outcome: &Outcome, node: NodeIdx) -> Vec<String> {
    let mut said = Vec::new();
    for action in node_actions(outcome, node) {
        let what = words::action(outcome, action.action);
        let why = transition::reasons(outcome, action, Effect::Required);
        let specific: Vec<String> = why
            .iter()
            .filter(|why| why.as_str() != "node is unclean")
            .cloned()
            .collect();
        let why = if specific.is_empty() { why } else { specific };
        said.push(format!("The plan has a {what}: {}.", why.join("; ")));
    }
    said
}

/// Why it may or may not run here.
fn line(outcome: &Outcome, rsc: RscIdx, node: NodeIdx) -> Line {
    let it = &outcome.facts.rscs[rsc];
    let scores = resource::final_scores(outcome, rsc);
    let score = scores.get(&node).copied();
    let planned = words::placed(outcome, rsc) == Some(node);
    let bans = outcome
        .causes
        .of_score(rsc, node)
        .find(|found| found.score.is_minus_infinite() && !is_target_role(&found.cause));
    let available = outcome.facts.nodes[node].available();
    let why = match (planned, bans, score) {
        (true, ..) => {
            let what = if it.active.contains(&node) {
                "stays"
            } else {
                "will be started here"
            };
            match words::best(outcome, rsc, node) {
                Some((score, why)) => format!("{what}: {}", words::gives(&why, score)),
                None => what.to_owned(),
            }
        }
        (_, Some(found), _) if !available && matches!(found.cause, Cause::Colocation { .. }) => {
            "may not run here as long as the node is as it is".to_owned()
        }
        (_, Some(found), _) => {
            format!(
                "may not run here: {}",
                words::contribution(outcome, found, rsc)
            )
        }
        (_, None, Some(score)) if score.is_minus_infinite() && available => {
            "may not run here".to_owned()
        }
        (_, None, None) => "may not run here: nothing allows it".to_owned(),
        _ if !available => "may not run here as long as the node is as it is".to_owned(),
        _ => match words::placed(outcome, rsc) {
            Some(other) => format!(
                "may run here, but {} is better or as good",
                words::name(outcome, other)
            ),
            None => "may run here, but is not to run anywhere".to_owned(),
        },
    };
    Line {
        rsc: it.id.to_string(),
        runs: it.active.contains(&node),
        planned,
        score: score.map(|score| score.to_string()),
        why,
    }
}

/// That it is told to be stopped says nothing about the node.
fn is_target_role(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Meta {
            name: "target-role",
            ..
        }
    )
}

fn text(said: &[String], lines: &[Line]) -> String {
    let mut out = format!("{}\n", said.join(" "));
    if lines.is_empty() {
        return out;
    }
    let width = lines
        .iter()
        .map(|line| line.rsc.len())
        .max()
        .unwrap_or(0)
        .max(8);
    out.push_str(&format!("\n{:width$}  {:>9}  now\n", "resource", "score"));
    for line in lines {
        let now = if line.runs { "runs, " } else { "" };
        let score = line.score.as_deref().unwrap_or("-");
        out.push_str(&format!(
            "{:width$}  {score:>9}  {now}{}\n",
            line.rsc, line.why
        ));
    }
    out
}
