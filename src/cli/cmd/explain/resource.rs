//! Why a resource is where it is, and why not elsewhere.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Asked,
    change::{self, Change, Trials},
    words,
};
use crate::{
    policy::{
        NodeIdx, Outcome, RscIdx,
        report::{ActionCause, Cause, Contribution, Effect, ScoreLine},
    },
    terms::{Role, Score},
};

/// So many other nodes are spoken of in the short answer.
const NODES: usize = 4;

/// A resource with everything in it.
pub(super) fn explain(asked: &Asked, top: RscIdx, only: Option<NodeIdx>) -> (String, Value) {
    let facts = &asked.outcome.facts;
    let mut answers = Vec::new();
    let mut trials = Trials::of(asked);
    let mut open = vec![top];
    while let Some(rsc) = open.pop() {
        let it = &facts.rscs[rsc];
        if it.is_primitive() {
            answers.push(answer(asked, &mut trials, rsc, only));
        }
        open.extend(it.children.iter().rev());
    }
    let texts: Vec<String> = answers.iter().map(as_text).collect();
    let values: Vec<Value> = answers.iter().map(as_json).collect();
    (texts.join("\n"), Value::from(values))
}

/// The score that a resource gave each node when it was placed.
pub(super) fn final_scores(outcome: &Outcome, rsc: RscIdx) -> BTreeMap<NodeIdx, Score> {
    let of_this = outcome.scores.iter().filter_map(|line| match line {
        ScoreLine::Assignment {
            rsc: of,
            node,
            score,
            ..
        } if *of == rsc => Some((*node, *score)),
        _ => None,
    });
    of_this.collect()
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
    changes: Vec<Change>,
}

/// What speaks for and against one node.
struct OfNode {
    name: String,
    score: Option<Score>,
    hindrance: Option<Hindrance>,
    contributions: Vec<(Score, String, Value)>,
    /// Why not, and the command that ends that.
    obstacle: Option<(String, Option<String>)>,
}

/// The state of a node that keeps everything away.
#[derive(Clone, Copy)]
struct Hindrance {
    why: &'static str,
    cure: Option<&'static str>,
}

fn hindrance(outcome: &Outcome, node: NodeIdx) -> Option<Hindrance> {
    let fact = &outcome.facts.nodes[node];
    let because = |why, cure| Some(Hindrance { why, cure });
    if fact.unclean {
        because("its state is not known: it must be fenced first", None)
    } else if !fact.online {
        because("it is offline", None)
    } else if fact.standby_on_fail {
        because("it is in standby because of a failure", None)
    } else if fact.pending {
        because("it is joining", None)
    } else if fact.standby {
        because("it is in standby", Some("node online"))
    } else if fact.maintenance {
        because("it is in maintenance", Some("node ready"))
    } else if fact.shutdown {
        because("it is shutting down", None)
    } else {
        None
    }
}

/// A resource and what it is part of.
fn family(outcome: &Outcome, rsc: RscIdx) -> Vec<RscIdx> {
    let mut family = vec![rsc];
    while let Some(parent) = outcome.facts.rscs[*family.last().expect("it has one member")].parent {
        family.push(parent);
    }
    family
}

/// What was added to a score on a node, what groups and clones contribute included.
fn contributions(outcome: &Outcome, rsc: RscIdx, node: NodeIdx) -> Vec<&Contribution> {
    let family = family(outcome, rsc);
    let mut counted: Vec<&Contribution> = Vec::new();
    for found in &outcome.causes.scores {
        if !family.contains(&found.rsc)
            || found.node.is_some_and(|on| on != node)
            || found.score == Score::ZERO
        {
            continue;
        }
        // What is said of a group arrives at its members, too.
        let bare = Contribution {
            rsc,
            ..found.clone()
        };
        let known = found.rsc != rsc && outcome.causes.scores.contains(&bare);
        if !known && !counted.contains(&found) {
            counted.push(found);
        }
    }
    counted
}

/// The command that takes a ban away.
fn cure_of(outcome: &Outcome, rsc: RscIdx, cause: &Cause) -> Option<String> {
    let facts = &outcome.facts;
    match cause {
        Cause::Location { constraint, .. } if constraint.starts_with("cli-") => {
            let top = facts.top_of(rsc);
            Some(format!("resource clear {}", facts.rscs[top].xml_id))
        }
        Cause::Threshold { rsc, .. } | Cause::Failure { rsc, .. } => {
            Some(format!("resource cleanup {}", facts.rscs[*rsc].xml_id))
        }
        _ => None,
    }
}

fn of_node(outcome: &Outcome, rsc: RscIdx, node: NodeIdx, score: Option<Score>) -> OfNode {
    let found = contributions(outcome, rsc, node);
    let name = words::name(outcome, node).to_owned();
    let hindrance = hindrance(outcome, node);
    // A ban of which nothing is left in the end was only tried.
    let ended_banned = score.is_none_or(Score::is_minus_infinite);
    let banned = found
        .iter()
        .find(|found| ended_banned && found.score.is_minus_infinite());
    let obstacle = match (hindrance, banned) {
        (Some(it), _) => {
            let cure = it.cure.map(|cure| format!("{cure} {name}"));
            Some((it.why.to_owned(), cure))
        }
        (None, Some(found)) => Some((
            words::contribution(outcome, found, rsc),
            cure_of(outcome, rsc, &found.cause),
        )),
        (None, None) => None,
    };
    let mut lines: Vec<(Score, String, Value)> = Vec::new();
    let base = outcome.causes.nodes.iter();
    for (_, score, cause) in base.filter(|(on, ..)| *on == node && hindrance.is_none()) {
        let told = words::cause(outcome, cause);
        lines.push((*score, told, words::cause_json(outcome, cause)));
    }
    for found in found {
        let line = (
            found.score,
            words::contribution(outcome, found, rsc),
            words::cause_json(outcome, &found.cause),
        );
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    OfNode {
        name,
        score,
        hindrance,
        contributions: lines,
        obstacle,
    }
}

fn answer(asked: &Asked, trials: &mut Trials<'_>, rsc: RscIdx, only: Option<NodeIdx>) -> Answer {
    let outcome = &asked.outcome;
    let facts = &outcome.facts;
    let it = &facts.rscs[rsc];
    let name = |node: NodeIdx| words::name(outcome, node).to_owned();
    let running: Vec<String> = it.active.iter().map(|node| name(*node)).collect();
    let placed = words::placed(outcome, rsc);
    let scores = final_scores(outcome, rsc);
    let mut nodes: Vec<OfNode> = facts
        .node_order
        .iter()
        .map(|node| of_node(outcome, rsc, *node, scores.get(node).copied()))
        .collect();
    let actions = required(outcome, rsc);
    let short = short(outcome, rsc, placed, &actions, &nodes, only);
    let changes = change::changes(trials, rsc, only);
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
            .map(|action| action_json(outcome, action))
            .collect(),
        changes,
    }
}

/// Why it runs nowhere, without its name.
pub(super) fn why_nowhere(outcome: &Outcome, rsc: RscIdx) -> String {
    if let Some(why) = told_to_stop(outcome, rsc) {
        return format!("it is told to be stopped ({why})");
    }
    let facts = &outcome.facts;
    if facts.options.fencing_enabled && !facts.fence_device_known {
        return "fencing is on, but there is no fence device".to_owned();
    }
    if facts.rscs[rsc].flags.blocked {
        let mut handled = facts.handled.iter();
        let why = handled.find(|(whose, ..)| *whose == rsc);
        let why = why.map(|(.., how)| words::cause(outcome, how));
        return why.unwrap_or_else(|| "a failure that can't be cured blocks it".to_owned());
    }
    let placed = words::placed(outcome, rsc);
    if let Some(target) = placed.filter(|node| words::start_blocked(outcome, rsc, *node)) {
        let waits = blocked(outcome, &required(outcome, rsc));
        let why = waits
            .first()
            .map(|why| why.trim_start_matches("The ").to_owned());
        let why = why.unwrap_or_else(|| "it can't be started now".to_owned());
        return format!("it should run on {}: {why}", words::name(outcome, target));
    }
    if let Some(target) = placed {
        return format!("it is to be started on {}", words::name(outcome, target));
    }
    let scores = final_scores(outcome, rsc);
    let nodes: Vec<OfNode> = facts
        .node_order
        .iter()
        .map(|node| of_node(outcome, rsc, *node, scores.get(node).copied()))
        .collect();
    format!("no node may run it{}", obstacles(&nodes))
}

/// What must be done with it.
fn required(outcome: &Outcome, rsc: RscIdx) -> Vec<&ActionCause> {
    let all = outcome.causes.actions.iter();
    all.filter(|action| {
        let whom = outcome.whom(action.action);
        action.required && whom.is_some_and(|whom| whom.rsc == Some(rsc))
    })
    .collect()
}

/// An action with its causes, for programs.
pub(super) fn action_json(outcome: &Outcome, action: &ActionCause) -> Value {
    let whom = outcome.whom(action.action);
    let because = |effect: Effect| -> Vec<Value> {
        let own = action.causes.iter().filter(|it| it.0 == effect);
        let own = own.map(|(_, cause)| words::cause_json(outcome, cause));
        let others = outcome.causes.consequences.iter();
        let others = others.filter(|it| it.action == action.action && it.effect == effect);
        let others = others.map(|it| {
            json!({
                "action": it.by.0,
                "cause": words::action(outcome, it.by),
                "constraint": it.constraint.as_deref(),
            })
        });
        let mut all: Vec<Value> = Vec::new();
        for one in own.chain(others) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    };
    json!({
        "number": action.action.0,
        "task": whom.as_ref().map(|whom| whom.task.to_string()),
        "resource": whom.as_ref().and_then(|whom| whom.rsc).map(|rsc| words::id(outcome, rsc)),
        "node": whom.as_ref().and_then(|whom| whom.node).map(|node| words::name(outcome, node)),
        "interval_ms": whom.as_ref().map(|whom| whom.interval_ms),
        "runnable": action.runnable,
        "reason": action.reason.as_deref(),
        "required_by": because(Effect::Required),
        "blocked_by": because(Effect::Blocked),
    })
}

/// The answer in a few sentences.
fn short(
    outcome: &Outcome,
    rsc: RscIdx,
    placed: Option<NodeIdx>,
    actions: &[&ActionCause],
    nodes: &[OfNode],
    only: Option<NodeIdx>,
) -> String {
    let facts = &outcome.facts;
    let it = &facts.rscs[rsc];
    let name = |node: NodeIdx| words::name(outcome, node);
    let id = it.id.as_str();
    let mut out = match it.active.as_slice() {
        [] => format!("{id} does not run"),
        [node] => format!("{id} runs on {}{}", name(*node), words::role(it.role)),
        nodes => {
            let names: Vec<&str> = nodes.iter().map(|node| name(*node)).collect();
            let list = words::listed(&names);
            format!("{id} is active on {} nodes: {list}", nodes.len())
        }
    };
    if facts.options.fencing_enabled && !facts.fence_device_known {
        return out
            + ", and the cluster leaves everything alone: fencing is on, but there is no fence device \
               (`crm configure primitive ID stonith:AGENT ...` adds one; `crm configure property \
               stonith-enabled=false` goes without, where no data is shared).";
    }
    if it.flags.blocked {
        out.push_str(", and nothing is done about it: ");
        let handled = facts.handled.iter().find(|(whose, ..)| *whose == rsc);
        match handled {
            Some((.., how)) => {
                out.push_str(&words::cause(outcome, how));
                let cure = format!(
                    "; when that is cured, `crm resource cleanup {}` lets the cluster go on",
                    it.xml_id
                );
                out.push_str(&cure);
            }
            None => out.push_str("a failure that can't be cured, or a lost ticket, blocks it"),
        }
        return out + ".";
    }
    if !it.flags.managed {
        out.push_str(", and the cluster leaves it alone: ");
        out.push_str(if it.flags.maintenance {
            "it is in maintenance"
        } else {
            "it is not managed"
        });
        return out + ".";
    }
    let stopped = told_to_stop(outcome, rsc);
    match (it.active.as_slice(), placed) {
        ([node], Some(target)) if *node == target => {
            out.push_str(", and stays there");
            out.push_str(&preference(nodes, name(target)));
        }
        (active, Some(target)) if words::start_blocked(outcome, rsc, target) => {
            out.push_str(match active {
                [] => ", and is not started now",
                _ => ", and will be stopped",
            });
            out.push_str(&format!(", although it is to run on {}", name(target)));
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
        ([], None) => match stopped {
            Some(why) => out.push_str(&format!(": it is told to be stopped ({why})")),
            None => out.push_str(&format!(": no node may run it{}", obstacles(nodes))),
        },
        (_, None) => match stopped {
            Some(why) => out.push_str(&format!(", and will be stopped: {why}")),
            None => {
                out.push_str(", and will be stopped: no node may run it");
                out.push_str(&obstacles(nodes));
            }
        },
    }
    let mut reasons: Vec<&str> = actions
        .iter()
        .filter_map(|action| action.reason.as_deref())
        .collect();
    reasons.dedup();
    if let Some(reason) = reasons.first() {
        out.push_str(&format!(" (because of {reason})"));
    }
    out.push('.');
    out.push_str(&promotion(outcome, rsc, placed));
    let to_be_done = if placed.is_some() { actions } else { &[] };
    for line in blocked(outcome, to_be_done) {
        out.push_str(&format!(" {line}."));
    }
    if placed.is_some() || only.is_some() {
        out.push_str(&others(outcome, placed, nodes, only));
    }
    out
}

/// Why an instance of a promotable clone is promoted, or not.
fn promotion(outcome: &Outcome, rsc: RscIdx, placed: Option<NodeIdx>) -> String {
    let top = outcome.facts.top_of(rsc);
    if placed.is_none() || !outcome.facts.rscs[top].flags.promotable {
        return String::new();
    }
    let promoted = |rsc: RscIdx| outcome.plan.now.rscs[rsc].next_role == Role::Promoted;
    let scores: Vec<(RscIdx, Score)> = outcome
        .scores
        .iter()
        .filter_map(|line| match line {
            ScoreLine::Promotion { rsc, score, .. } => Some((*rsc, *score)),
            _ => None,
        })
        .filter(|(instance, _)| outcome.facts.top_of(*instance) == top)
        .collect();
    let Some((_, own)) = scores.iter().find(|(instance, _)| *instance == rsc) else {
        return String::new();
    };
    if promoted(rsc) {
        return format!(" It is to be promoted there: its promotion score is {own}.");
    }
    let others: Vec<String> = scores
        .iter()
        .filter(|(instance, _)| promoted(*instance))
        .map(|(instance, score)| format!("{} has {score}", words::id(outcome, *instance)))
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(", {}", others.join(", "))
    };
    format!(" It is not to be promoted: its promotion score is {own}{others}.")
}

/// What has to be done and can't be done.
fn blocked(outcome: &Outcome, actions: &[&ActionCause]) -> Vec<String> {
    let mut said = Vec::new();
    // That what can't be started is not looked at goes without saying.
    let once = |action: &&&ActionCause| {
        let whom = outcome.whom(action.action);
        !action.runnable && whom.is_some_and(|whom| whom.interval_ms == 0)
    };
    for action in actions.iter().filter(once) {
        let what = words::action(outcome, action.action);
        let why = super::transition::reasons(outcome, action, Effect::Blocked);
        said.push(match why.is_empty() {
            true => format!("The {what} can't be done now"),
            false => format!("The {what} can't be done now: {}", why.join("; ")),
        });
    }
    said
}

/// Why not on the other nodes, or on the one that was asked about.
fn others(
    outcome: &Outcome,
    placed: Option<NodeIdx>,
    nodes: &[OfNode],
    only: Option<NodeIdx>,
) -> String {
    let chosen = placed.map(|node| words::name(outcome, node));
    let only = only.map(|node| words::name(outcome, node));
    let score = |name: Option<&str>| {
        let node = nodes.iter().find(|node| Some(node.name.as_str()) == name);
        node.and_then(|node| node.score)
    };
    let mut out = String::new();
    let mut left_out = 0;
    let mut said = 0;
    for node in nodes {
        let name = node.name.as_str();
        if Some(name) == chosen || only.is_some_and(|only| only != name) {
            continue;
        }
        if said == NODES && only.is_none() {
            left_out += 1;
            continue;
        }
        said += 1;
        match (&node.obstacle, node.score) {
            (Some((why, cure)), _) => {
                out.push_str(&format!(" {name} may not run it: {why}"));
                if let Some(cure) = cure {
                    out.push_str(&format!(" (`crm {cure}` ends that)"));
                }
                out.push('.');
            }
            (None, None) => out.push_str(&format!(
                " {name} may not run it: nothing allows it there (symmetric-cluster=false, or resource-discovery)."
            )),
            (None, Some(mine)) if mine.is_minus_infinite() => {
                out.push_str(&format!(" {name} may not run it."));
            }
            (None, Some(mine)) => match score(chosen) {
                Some(theirs) if theirs == mine => {
                    out.push_str(&format!(" {name} has the same score, {mine}."));
                }
                _ => out.push_str(&format!(" {name} has a lower score, {mine}.")),
            },
        }
    }
    if left_out > 0 {
        out.push_str(&format!(" {left_out} more nodes are in the table."));
    }
    out
}

/// What speaks most for the node that was chosen.
fn preference(nodes: &[OfNode], chosen: &str) -> String {
    let Some(node) = nodes.iter().find(|node| node.name == chosen) else {
        return String::new();
    };
    let best = node
        .contributions
        .iter()
        .filter(|(score, ..)| *score > Score::ZERO)
        .max_by_key(|(score, ..)| *score);
    let possible = |other: &&OfNode| {
        other.hindrance.is_none() && other.score.is_some_and(|score| !score.is_minus_infinite())
    };
    let rivals: Vec<&OfNode> = nodes
        .iter()
        .filter(|other| other.name != chosen)
        .filter(possible)
        .collect();
    match best {
        Some((score, cause, _)) => format!(": {}", words::gives(cause, *score)),
        None if nodes.len() < 2 => String::new(),
        None if rivals.is_empty() => ": no other node may run it".to_owned(),
        None if rivals.iter().all(|other| other.score == node.score) => {
            ": no node is preferred, so the one that runs least".to_owned()
        }
        None => ": it has the highest score".to_owned(),
    }
}

/// Why not; nodes with the same reason together.
fn obstacles(nodes: &[OfNode]) -> String {
    let mut groups: Vec<(&str, String, Vec<&OfNode>)> = Vec::new();
    for node in nodes {
        let Some((why, cure)) = &node.obstacle else {
            continue;
        };
        let cure = cure
            .as_ref()
            .map(|cure| format!(" (`crm {cure}` ends that)"));
        let cure = cure.unwrap_or_default();
        let why = why.split(words::LAST_AT).next().unwrap_or(why);
        match groups.iter_mut().find(|it| it.0 == why && it.1 == cure) {
            Some((.., alike)) => alike.push(node),
            None => groups.push((why, cure, vec![node])),
        }
    }
    let told = |(why, cure, alike): &(&str, String, Vec<&OfNode>)| {
        let names: Vec<&str> = alike.iter().map(|node| node.name.as_str()).collect();
        // When it was matters where it is about one node.
        let alone = alike[0].obstacle.as_ref().filter(|_| alike.len() == 1);
        let why = alone.map_or(*why, |(why, _)| why);
        format!("{}: {why}{cure}", names.join(", "))
    };
    let all: Vec<String> = groups.iter().map(told).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" ({})", all.join("; "))
    }
}

/// Why it is not to run, if somebody said so.
fn told_to_stop(outcome: &Outcome, rsc: RscIdx) -> Option<String> {
    let facts = &outcome.facts;
    if facts.options.stop_all_resources {
        return Some("stop-all-resources=true".to_owned());
    }
    for member in family(outcome, rsc) {
        let it = &facts.rscs[member];
        if it.target_role == Some(Role::Stopped) {
            return Some(if member == rsc {
                "target-role=Stopped".to_owned()
            } else {
                format!("target-role=Stopped of {}", it.xml_id)
            });
        }
    }
    None
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
            "hindrance": node.hindrance.map(|it| it.why),
            "obstacle": node.obstacle.as_ref().map(|(why, _)| why),
            "ended_by": node.obstacle.as_ref().and_then(|(_, cure)| cure.as_ref()).map(|cure| format!("crm {cure}")),
            "contributions": node.contributions.iter().map(|(score, _, cause)| {
                let mut value = cause.clone();
                value["score"] = score.to_string().into();
                value
            }).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "actions": answer.actions,
        "to_change_it": answer.changes.iter().map(|change| json!({
            "commands": change.commands.iter().map(|command| format!("crm {command}")).collect::<Vec<_>>(),
            "effect": change.effect,
        })).collect::<Vec<_>>(),
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
        let hindrance = node.hindrance.map_or("", |it| it.why);
        let line = format!("{:width$}  {score:>9}  {hindrance}{mark}", node.name);
        out.push_str(line.trim_end());
        out.push('\n');
        for (score, cause, _) in &node.contributions {
            let score = score.to_string();
            let sign = if score.starts_with('-') { "" } else { "+" };
            out.push_str(&format!(
                "{:width$}  {:>9}    {sign}{score} {cause}\n",
                "", ""
            ));
        }
    }
    if !answer.changes.is_empty() {
        out.push_str("\nWhat would change it (tried on a copy):\n");
        for Change { commands, effect } in &answer.changes {
            out.push_str(&format!("  crm {}\n", commands.join("\n  crm ")));
            out.push_str(&format!("      {effect}\n"));
        }
    }
    out
}
