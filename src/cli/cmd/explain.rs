//! `crm explain`: why a resource is where it is, and why not elsewhere. Nothing is worked out here: the plan is made by the
//! same function as in the coordinator, and what it recorded is put into words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    cli::{args::Explain, failure::Failure, shell::Shell},
    clock,
    policy::{
        Input, NodeIdx, Outcome, RscIdx,
        report::{Cause, Contribution, ScoreLine},
        schedule,
    },
    terms::{DateTime, ExecStatus, OcfExit, Score, span},
};

/// Explain one resource.
pub fn run(shell: &mut Shell, explain: &Explain) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let mut input = Input::at(clock::wall_s());
    if shell.access.live() {
        input.quorum = Some(super::cluster::cluster_status(shell)?.quorate);
    }
    let outcome = schedule(cib.root(), &input);
    let facts = &outcome.facts;
    let Some(top) = facts.rsc_named(&explain.resource) else {
        return Err(super::resource::no_resource(cib.root(), &explain.resource));
    };
    let only = match &explain.node {
        None => None,
        Some(name) => match facts
            .nodes
            .enumerate()
            .find(|(_, node)| node.name.as_str() == name)
        {
            Some((at, _)) => Some(at),
            None => return Err(super::node::no_node(cib.root(), name)),
        },
    };
    let mut answers = Vec::new();
    let mut open = vec![top];
    while let Some(rsc) = open.pop() {
        let it = &facts.rscs[rsc];
        if it.is_primitive() {
            answers.push(answer(&outcome, rsc, only));
        }
        open.extend(it.children.iter().rev());
    }
    if explain.json {
        let values: Vec<Value> = answers.iter().map(as_json).collect();
        return shell.say(&format!("{:#}", Value::from(values)));
    }
    let texts: Vec<String> = answers.iter().map(as_text).collect();
    shell.say(&texts.join("\n"))
}

/// What is to be said of one primitive.
struct Answer {
    rsc: String,
    running: Vec<String>,
    role: String,
    planned: Option<String>,
    short: String,
    nodes: Vec<OfNode>,
    actions: Vec<Value>,
    cures: Vec<String>,
}

/// What speaks for and against one node.
struct OfNode {
    name: String,
    score: Option<Score>,
    hindrance: Option<String>,
    contributions: Vec<(Score, String)>,
}

fn answer(outcome: &Outcome, rsc: RscIdx, only: Option<NodeIdx>) -> Answer {
    let facts = &outcome.facts;
    let it = &facts.rscs[rsc];
    let name = |node: NodeIdx| facts.nodes[node].name.to_string();
    let running: Vec<String> = it.active.iter().map(|node| name(*node)).collect();
    let placed = outcome
        .placed
        .iter()
        .find(|(placed, _)| *placed == rsc)
        .and_then(|(_, node)| *node);
    let final_scores: BTreeMap<NodeIdx, Score> = outcome
        .scores
        .iter()
        .filter_map(|line| match line {
            ScoreLine::Assignment {
                rsc: of,
                node,
                score,
                ..
            } if *of == rsc => Some((*node, *score)),
            _ => None,
        })
        .collect();
    // What groups and clones above it contribute counts as well.
    let mut family = vec![rsc];
    while let Some(parent) = facts.rscs[*family.last().expect("it has one member")].parent {
        family.push(parent);
    }
    let mut nodes: Vec<OfNode> = facts
        .nodes
        .enumerate()
        .map(|(node, entry)| {
            let hindrance = if entry.unclean {
                Some("its state is not known: it must be fenced first")
            } else if !entry.online {
                Some("it is offline")
            } else if entry.standby || entry.standby_on_fail {
                Some("it is in standby")
            } else if entry.maintenance {
                Some("it is in maintenance")
            } else if entry.shutdown {
                Some("it is shutting down")
            } else if entry.pending {
                Some("it is joining")
            } else {
                None
            };
            let found = outcome.causes.scores.iter().filter(|found| {
                family.contains(&found.rsc)
                    && found.node.is_none_or(|on| on == node)
                    && found.score != Score::new(0)
            });
            let mut contributions: Vec<(Score, String)> = Vec::new();
            for found in found {
                let line = (found.score, words(outcome, found, rsc));
                // What is said of a group arrives at its members, too.
                let bare = Contribution {
                    rsc,
                    ..found.clone()
                };
                let known = found.rsc != rsc && outcome.causes.scores.contains(&bare);
                if !known && !contributions.contains(&line) {
                    contributions.push(line);
                }
            }
            OfNode {
                name: entry.name.to_string(),
                score: final_scores.get(&node).copied(),
                hindrance: hindrance.map(str::to_owned),
                contributions,
            }
        })
        .collect();
    let actions: Vec<&crate::policy::report::ActionCause> = outcome
        .causes
        .actions
        .iter()
        .filter(|action| action.rsc == Some(rsc) && action.required)
        .collect();
    let short = short(outcome, rsc, placed, &actions, &nodes);
    let cures = cures(outcome, rsc, placed, &nodes);
    if let Some(only) = only {
        let shown = name(only);
        nodes.retain(|node| node.name == shown);
    }
    Answer {
        rsc: it.id.to_string(),
        running,
        role: it.role.to_string(),
        planned: placed.map(name),
        short,
        nodes,
        actions: actions
            .iter()
            .map(|action| {
                json!({
                    "task": &*action.task,
                    "node": action.node.map(&name),
                    "runnable": action.runnable,
                    "reason": &*action.reason,
                })
            })
            .collect(),
        cures,
    }
}

/// The answer in a sentence or two.
fn short(
    outcome: &Outcome,
    rsc: RscIdx,
    placed: Option<NodeIdx>,
    actions: &[&crate::policy::report::ActionCause],
    nodes: &[OfNode],
) -> String {
    let facts = &outcome.facts;
    let it = &facts.rscs[rsc];
    let name = |node: NodeIdx| facts.nodes[node].name.as_str();
    let id = it.id.as_str();
    let mut out = match it.active.as_slice() {
        [] => format!("{id} does not run"),
        [node] => format!("{id} runs on {} ({})", name(*node), it.role),
        nodes => {
            let names: Vec<&str> = nodes.iter().map(|node| name(*node)).collect();
            format!(
                "{id} is active on {} nodes: {}",
                nodes.len(),
                names.join(", ")
            )
        }
    };
    if !it.flags.managed {
        out.push_str(", and the cluster leaves it alone: ");
        out.push_str(if it.flags.maintenance {
            "it is in maintenance"
        } else {
            "it is not managed"
        });
        return out + ".";
    }
    if it.flags.blocked {
        return out + ", and nothing is done about it: a failure that can't be cured blocks it.";
    }
    let stopped =
        it.target_role == Some(crate::terms::Role::Stopped) || stopped_above(outcome, rsc);
    match (it.active.as_slice(), placed) {
        ([node], Some(target)) if *node == target => {
            out.push_str(", and stays there");
            out.push_str(&preference(nodes, name(target)));
        }
        ([], Some(target)) => {
            out.push_str(&format!(", and will be started on {}", name(target)));
            out.push_str(&preference(nodes, name(target)));
        }
        (_, Some(target)) => {
            out.push_str(&format!(", and will be moved to {}", name(target)));
            out.push_str(&preference(nodes, name(target)));
        }
        ([], None) if stopped => out.push_str(": it is told to be stopped (target-role=Stopped)"),
        ([], None) => out.push_str(&format!(": no node may run it{}", obstacles(nodes))),
        (_, None) if stopped => out.push_str(", and will be stopped: target-role=Stopped"),
        (_, None) => {
            out.push_str(", and will be stopped: no node may run it");
            out.push_str(&obstacles(nodes));
        }
    }
    let mut reasons: Vec<&str> = actions.iter().map(|action| &*action.reason).collect();
    reasons.dedup();
    if let Some(reason) = reasons.first() {
        out.push_str(&format!(" (because of {reason})"));
    }
    out + "."
}

/// What speaks most for the node that was chosen.
fn preference(nodes: &[OfNode], chosen: &str) -> String {
    let Some(node) = nodes.iter().find(|node| node.name == chosen) else {
        return String::new();
    };
    let best = node
        .contributions
        .iter()
        .filter(|(score, _)| *score > Score::new(0))
        .max_by_key(|(score, _)| *score);
    let possible = |other: &&OfNode| {
        other.hindrance.is_none() && other.score.is_some_and(|score| !score.is_minus_infinite())
    };
    let rivals: Vec<&OfNode> = nodes
        .iter()
        .filter(|other| other.name != chosen)
        .filter(possible)
        .collect();
    match best {
        Some((score, cause)) => format!(": {cause} ({score})"),
        None if nodes.len() < 2 => String::new(),
        None if rivals.is_empty() => {
            format!(": no other node may run it{}", obstacles(nodes))
        }
        None if rivals.iter().all(|other| other.score == node.score) => {
            ": no node is preferred, so the one that runs least".to_owned()
        }
        None => ": it has the highest score".to_owned(),
    }
}

/// Why not, node by node.
fn obstacles(nodes: &[OfNode]) -> String {
    let of_node = |node: &OfNode| {
        let forbidden = node
            .contributions
            .iter()
            .find(|(score, _)| score.is_minus_infinite())
            .map(|(_, cause)| cause.as_str());
        let why = node.hindrance.as_deref().or(forbidden)?;
        Some(format!("{}: {why}", node.name))
    };
    let all: Vec<String> = nodes.iter().filter_map(of_node).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" ({})", all.join("; "))
    }
}

fn stopped_above(outcome: &Outcome, rsc: RscIdx) -> bool {
    let mut at = outcome.facts.rscs[rsc].parent;
    while let Some(rsc) = at {
        let it = &outcome.facts.rscs[rsc];
        if it.target_role == Some(crate::terms::Role::Stopped) {
            return true;
        }
        at = it.parent;
    }
    false
}

/// Said of a resource on which another one depends, when no place was found for it.
fn nowhere(outcome: &Outcome, with: RscIdx) -> &'static str {
    let placed = |rsc: RscIdx| {
        outcome
            .placed
            .iter()
            .any(|(placed, node)| *placed == rsc && node.is_some())
    };
    let mut open = vec![with];
    while let Some(rsc) = open.pop() {
        if placed(rsc) {
            return "";
        }
        open.extend(&outcome.facts.rscs[rsc].children);
    }
    ", which runs nowhere"
}

/// A cause in words, with the id of what it came from.
fn words(outcome: &Outcome, found: &Contribution, rsc: RscIdx) -> String {
    let facts = &outcome.facts;
    let id = |rsc: RscIdx| facts.rscs[rsc].id.to_string();
    let node = |node: NodeIdx| facts.nodes[node].name.to_string();
    let mut text = match &found.cause {
        Cause::Location {
            constraint,
            rule: None,
        } => format!("location {constraint}"),
        Cause::Location {
            constraint,
            rule: Some(rule),
        } => format!("location {constraint}, rule {rule}"),
        Cause::Colocation { constraint, with } if constraint.starts_with('#') => {
            format!(
                "it belongs together with {}{}",
                id(*with),
                nowhere(outcome, *with)
            )
        }
        Cause::Colocation { constraint, with } => {
            format!(
                "colocation {constraint} with {}{}",
                id(*with),
                nowhere(outcome, *with)
            )
        }
        Cause::Ordering { constraint } => format!("order {constraint}"),
        Cause::Ticket { ticket, constraint } => {
            format!("ticket {ticket} is missing ({constraint})")
        }
        Cause::Option(name) => format!("cluster option {name}"),
        Cause::Meta { rsc, name } => format!("{name} of {}", id(*rsc)),
        Cause::Stickiness => "it prefers to stay (resource-stickiness)".to_owned(),
        Cause::Unmanaged => "it is not managed, so it stays".to_owned(),
        Cause::Removed => "it is not configured any more".to_owned(),
        Cause::NodeScore => "score of the node".to_owned(),
        Cause::Failure {
            rsc,
            node: on,
            task,
            interval_ms,
            rc,
            status,
            on_fail,
        } => {
            let interval = if *interval_ms > 0 {
                format!(" every {}", span::readable(*interval_ms))
            } else {
                String::new()
            };
            let result = match ExecStatus::from_code(*status) {
                Some(status) if status.code() > 0 => status.text().to_owned(),
                _ => OcfExit(*rc).text().to_owned(),
            };
            format!(
                "{task}{interval} of {} failed on {}: {result} (on-fail={on_fail})",
                id(*rsc),
                node(*on)
            )
        }
        Cause::Threshold {
            rsc,
            count,
            threshold,
            last_failure_s,
        } => format!(
            "{} failed {count} times, migration-threshold is {threshold}, last at {}",
            id(*rsc),
            DateTime::from_epoch(*last_failure_s)
        ),
        Cause::MultiplyActive { rsc } => format!("{} is active on several nodes", id(*rsc)),
        Cause::Health { strategy } => format!("health of the node (strategy {strategy})"),
        Cause::ShutdownLock { node: on } => {
            format!("kept for {} while that is down (shutdown-lock)", node(*on))
        }
        Cause::ExclusiveDiscovery => "resource-discovery is exclusive to other nodes".to_owned(),
        Cause::Implied(what) => (*what).to_owned(),
        Cause::NodeState(what) => (*what).to_owned(),
        Cause::DefinitionChanged => "its definition changed".to_owned(),
    };
    if found.rsc != rsc {
        text.push_str(&format!(" (of {})", id(found.rsc)));
    }
    text
}

/// What somebody could do so that it comes out differently.
fn cures(outcome: &Outcome, rsc: RscIdx, placed: Option<NodeIdx>, nodes: &[OfNode]) -> Vec<String> {
    let facts = &outcome.facts;
    let it = &facts.rscs[rsc];
    let id = it.xml_id.as_str();
    let mut cures = Vec::new();
    if it.target_role == Some(crate::terms::Role::Stopped) || stopped_above(outcome, rsc) {
        cures.push(format!("crm resource start {id}"));
    }
    if !it.flags.managed {
        cures.push(format!("crm resource manage {id} (or end maintenance)"));
    }
    for node in nodes
        .iter()
        .filter(|node| placed.is_none_or(|at| facts.nodes[at].name.as_str() != node.name))
    {
        match node.hindrance.as_deref() {
            Some("it is in standby") => cures.push(format!("crm node online {}", node.name)),
            Some("it is in maintenance") => cures.push(format!("crm node ready {}", node.name)),
            Some("its state is not known: it must be fenced first") => {
                cures.push(format!(
                    "crm node fence {} (or, seen to be off: crm node clearstate {})",
                    node.name, node.name
                ));
            }
            _ => {}
        }
    }
    for found in outcome
        .causes
        .scores
        .iter()
        .filter(|found| found.rsc == rsc && found.score.is_minus_infinite())
    {
        let cure = match &found.cause {
            Cause::Location { constraint, .. } if constraint.starts_with("cli-") => {
                format!("crm resource clear {id}")
            }
            Cause::Location { constraint, .. } => format!("crm configure edit {constraint}"),
            Cause::Threshold { rsc, .. } => format!(
                "cure what failed, then: crm resource cleanup {}",
                facts.rscs[*rsc].xml_id
            ),
            Cause::Failure { rsc, .. } => format!(
                "cure what failed, then: crm resource cleanup {}",
                facts.rscs[*rsc].xml_id
            ),
            Cause::Colocation { with, .. } if !nowhere(outcome, *with).is_empty() => {
                format!("crm explain {}", facts.rscs[*with].xml_id)
            }
            Cause::Colocation { constraint, .. } if !constraint.starts_with('#') => {
                format!("crm configure edit {constraint}")
            }
            _ => continue,
        };
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    if let (Some(at), true) = (placed, nodes.len() > 1) {
        let here = facts.nodes[at].name.as_str();
        let best = nodes
            .iter()
            .filter(|node| node.name != here && node.hindrance.is_none())
            .filter_map(|node| Some((node.score.filter(|score| !score.is_minus_infinite())?, node)))
            .max_by_key(|(score, _)| *score);
        let score = nodes
            .iter()
            .find(|node| node.name == here)
            .and_then(|node| node.score);
        if let (Some((other, node)), Some(score)) = (best, score) {
            let need = i64::from(score.value()) - i64::from(other.value()) + 1;
            if need > 0 && !score.is_infinite() {
                cures.push(format!("to have it on {}: crm resource move {id} {0}, or a location with a score of {need} more", node.name));
            } else {
                cures.push(format!(
                    "to have it on {}: crm resource move {id} {0}",
                    node.name
                ));
            }
        }
    }
    cures
}

fn as_json(answer: &Answer) -> Value {
    json!({
        "resource": answer.rsc,
        "running_on": answer.running,
        "role": answer.role,
        "planned_on": answer.planned,
        "answer": answer.short,
        "nodes": answer.nodes.iter().map(|node| json!({
            "node": node.name,
            "score": node.score.map(|score| score.to_string()),
            "hindrance": node.hindrance,
            "contributions": node.contributions.iter().map(|(score, cause)| json!({
                "score": score.to_string(),
                "cause": cause,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "actions": answer.actions,
        "to_change_it": answer.cures,
    })
}

fn as_text(answer: &Answer) -> String {
    let mut out = format!("{}\n\n", answer.short);
    let width = answer
        .nodes
        .iter()
        .map(|node| node.name.len())
        .max()
        .unwrap_or(0)
        .max(4);
    out.push_str(&format!("{:width$}  {:>9}  because\n", "node", "score"));
    for node in &answer.nodes {
        let mark = if answer.planned.as_deref() == Some(&node.name) {
            "  <- chosen"
        } else {
            ""
        };
        let score = node
            .score
            .map_or_else(|| "-".to_owned(), |score| score.to_string());
        let hindrance = node.hindrance.as_deref().unwrap_or("");
        let line = format!("{:width$}  {score:>9}  {hindrance}{mark}", node.name);
        out.push_str(line.trim_end());
        out.push('\n');
        for (score, cause) in &node.contributions {
            let score = score.to_string();
            let sign = if score.starts_with('-') { "" } else { "+" };
            out.push_str(&format!(
                "{:width$}  {:>9}    {sign}{score} {cause}\n",
                "", ""
            ));
        }
    }
    if !answer.cures.is_empty() {
        out.push_str("\nWhat would change it:\n");
        for cure in &answer.cures {
            out.push_str(&format!("  {cure}\n"));
        }
    }
    out
}
