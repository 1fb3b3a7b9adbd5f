//! Causes in words, each with the id of what it came from.

use serde_json::{Value, json};

use crate::{
    graph::ActionId,
    policy::{
        NodeIdx, Outcome, RscIdx,
        actions::plan::Task,
        report::{Cause, Contribution},
    },
    terms::{DateTime, ExecStatus, OcfExit, Role, Score, span},
};

/// The id of a resource.
pub(super) fn id(outcome: &Outcome, rsc: RscIdx) -> &str {
    outcome.facts.rscs[rsc].id.as_str()
}

/// The name of a node.
pub(super) fn name(outcome: &Outcome, node: NodeIdx) -> &str {
    outcome.facts.nodes[node].name.as_str()
}

/// Where a primitive is to be.
pub(super) fn placed(outcome: &Outcome, rsc: RscIdx) -> Option<NodeIdx> {
    let found = outcome.placed.iter().find(|(placed, _)| *placed == rsc);
    found.and_then(|(_, node)| *node)
}

/// Whether it would have to be started there, but can't be.
pub(super) fn start_blocked(outcome: &Outcome, rsc: RscIdx, node: NodeIdx) -> bool {
    let plan = &outcome.plan;
    plan.of(rsc).iter().map(|idx| plan.get(*idx)).any(|action| {
        action.task == Task::START
            && action.node == Some(node)
            && action.required()
            && !action.runnable()
    })
}

/// Names with commas, the last one with `and`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Said of a resource on which another one depends, when no place was found for it.
pub(super) fn nowhere(outcome: &Outcome, with: RscIdx) -> &'static str {
    let mut open = vec![with];
    while let Some(rsc) = open.pop() {
        if placed(outcome, rsc).is_some() {
            return "";
        }
        open.extend(&outcome.facts.rscs[rsc].children);
    }
    ", which runs nowhere"
}

/// A contribution in words, for somebody who asks about `rsc`.
pub(super) fn contribution(outcome: &Outcome, found: &Contribution, rsc: RscIdx) -> String {
    let mut text = cause(outcome, &found.cause);
    if found.rsc != rsc {
        text.push_str(&format!(" (of {})", id(outcome, found.rsc)));
    }
    text
}

/// A cause in words.
pub(super) fn cause(outcome: &Outcome, cause: &Cause) -> String {
    let id = |rsc: &RscIdx| id(outcome, *rsc);
    let node = |node: &NodeIdx| name(outcome, *node);
    match cause {
        Cause::Location {
            constraint,
            rule: None,
        } => format!("location {constraint}"),
        Cause::Location {
            constraint,
            rule: Some(rule),
        } => format!("location {constraint}, rule {rule}"),
        Cause::Colocation { constraint, with } if constraint.starts_with('#') => {
            let nowhere = nowhere(outcome, *with);
            format!("it belongs together with {}{nowhere}", id(with))
        }
        Cause::Colocation { constraint, with } => {
            let nowhere = nowhere(outcome, *with);
            format!("colocation {constraint} with {}{nowhere}", id(with))
        }
        Cause::Ordering { constraint } => format!("order {constraint}"),
        Cause::Ticket { ticket, constraint } => {
            format!("ticket {ticket} is missing ({constraint})")
        }
        Cause::Option(name @ "no-quorum-policy") => {
            let policy = outcome.facts.options.table.get(name).unwrap_or("stop");
            format!("there is no quorum ({name}={policy})")
        }
        Cause::Option(name) => format!("cluster option {name}"),
        Cause::Meta { rsc, name } => format!("{name} of {}", id(rsc)),
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
                id(rsc),
                node(on)
            )
        }
        Cause::Threshold {
            rsc,
            count,
            threshold,
            last_failure_s,
        } => threshold_reached(id(rsc), *count, *threshold, *last_failure_s),
        Cause::Placed { rsc, from, to } => placement(outcome, *rsc, *from, *to),
        Cause::Role { rsc, from, to } => {
            format!("{} is to be {to} instead of {from}", id(rsc))
        }
        Cause::Recovery { rsc } => recovery(outcome, *rsc),
        Cause::Restart { rsc } => format!("{} has to be started anew", id(rsc)),
        Cause::Interrupted => "a live migration was interrupted".to_owned(),
        Cause::Unknown => "whether it is active there is not known yet".to_owned(),
        Cause::Operation { id } => format!("operation {id} is configured"),
        Cause::Cancelled(why) => format!("it ends: {why}"),
        Cause::Forget(why) => format!("failures are forgotten: {why}"),
        Cause::Leaving { node: on } => format!("{} is told to shut down", node(on)),
        Cause::Unreachable { rsc } => format!("{} can't be stopped there", id(rsc)),
        Cause::MultiplyActive { rsc } => format!("{} is active on several nodes", id(rsc)),
        Cause::Health { strategy } => format!("health of the node (strategy {strategy})"),
        Cause::ShutdownLock { node: on } => {
            format!("kept for {} while that is down (shutdown-lock)", node(on))
        }
        Cause::ExclusiveDiscovery => "resource-discovery is exclusive to other nodes".to_owned(),
        Cause::Implied(what) => (*what).to_owned(),
        Cause::NodeState(what) => (*what).to_owned(),
        Cause::DefinitionChanged => "its definition changed".to_owned(),
    }
}

/// A cause for programs: its kind, the id of what it came from, and the words.
pub(super) fn cause_json(outcome: &Outcome, found: &Cause) -> Value {
    let (kind, from) = kind(outcome, found);
    json!({ "kind": kind, "from": from, "cause": cause(outcome, found) })
}

fn kind(outcome: &Outcome, cause: &Cause) -> (&'static str, Option<String>) {
    let rsc = |rsc: &RscIdx| Some(id(outcome, *rsc).to_owned());
    let node = |node: &NodeIdx| Some(name(outcome, *node).to_owned());
    match cause {
        Cause::Location { constraint, .. } => ("location", Some(constraint.to_string())),
        Cause::Colocation { constraint, with } if constraint.starts_with('#') => {
            ("together", rsc(with))
        }
        Cause::Colocation { constraint, .. } => ("colocation", Some(constraint.to_string())),
        Cause::Ordering { constraint } => ("order", Some(constraint.to_string())),
        Cause::Ticket { constraint, .. } => ("ticket", Some(constraint.to_string())),
        Cause::Option(name) => ("option", Some((*name).to_owned())),
        Cause::Meta { rsc: whose, name } => {
            ("meta", Some(format!("{} {name}", id(outcome, *whose))))
        }
        Cause::Stickiness => ("stickiness", None),
        Cause::Unmanaged => ("unmanaged", None),
        Cause::Removed => ("removed", None),
        Cause::NodeScore => ("node-score", None),
        Cause::Failure { rsc: whose, .. } => ("failure", rsc(whose)),
        Cause::Threshold { rsc: whose, .. } => ("migration-threshold", rsc(whose)),
        Cause::Placed { rsc: whose, .. } => ("placement", rsc(whose)),
        Cause::Role { rsc: whose, .. } => ("role", rsc(whose)),
        Cause::Recovery { rsc: whose } => ("recovery", rsc(whose)),
        Cause::Restart { rsc: whose } => ("restart", rsc(whose)),
        Cause::Interrupted => ("interrupted-migration", None),
        Cause::Unknown => ("unknown-state", None),
        Cause::Operation { id } => ("operation", Some(id.to_string())),
        Cause::Cancelled(_) => ("cancelled", None),
        Cause::Forget(_) => ("forgotten-failure", None),
        Cause::Leaving { node: on } => ("shutdown", node(on)),
        Cause::Unreachable { rsc: whose } => ("unreachable", rsc(whose)),
        Cause::MultiplyActive { rsc: whose } => ("multiply-active", rsc(whose)),
        Cause::Health { .. } => ("health", None),
        Cause::ShutdownLock { node: on } => ("shutdown-lock", node(on)),
        Cause::ExclusiveDiscovery => ("resource-discovery", None),
        Cause::Implied(_) => ("implied", None),
        Cause::NodeState(_) => ("node-state", None),
        Cause::DefinitionChanged => ("definition-change", None),
    }
}

/// A cause with what it gives.
pub(super) fn gives(cause: &str, score: Score) -> String {
    if cause.starts_with("location ") || cause.starts_with("colocation ") {
        format!("{cause} gives {score}")
    } else {
        format!("{cause} ({score})")
    }
}

fn threshold_reached(id: &str, count: Score, threshold: Score, last_failure_s: i64) -> String {
    if count.is_infinite() {
        // A start that fails is not tried again on the same node, unless start-failure-is-fatal says so.
        return format!("{id} failed there for good{}", last_at(last_failure_s));
    }
    let times = if count == Score::new(1) {
        "once".to_owned()
    } else {
        format!("{count} times")
    };
    let last = last_at(last_failure_s);
    format!("migration-threshold {threshold} is reached: {id} failed {times}{last}")
}

/// What nodes have in common ends before this.
pub(super) const LAST_AT: &str = ", last at ";

fn last_at(time_s: i64) -> String {
    if time_s > 0 {
        format!("{LAST_AT}{}", DateTime::from_epoch(time_s))
    } else {
        String::new()
    }
}

/// What a place means, and what speaks for it.
fn placement(outcome: &Outcome, rsc: RscIdx, from: Option<NodeIdx>, to: Option<NodeIdx>) -> String {
    let id = id(outcome, rsc);
    let Some(to) = to else {
        return format!("{id} is not to run anywhere");
    };
    let to_name = name(outcome, to);
    let mut text = match from.filter(|from| *from != to) {
        Some(from) => format!(
            "{id} is to run on {to_name} instead of {}",
            name(outcome, from)
        ),
        None => format!("{id} is to run on {to_name}"),
    };
    if let Some((score, why)) = best(outcome, rsc, to) {
        text.push_str(&format!(" ({why}: {score})"));
    }
    text
}

/// What failed, in detail if that is known.
fn recovery(outcome: &Outcome, rsc: RscIdx) -> String {
    let handled = outcome.facts.handled.iter().rev();
    let mut of_this = handled.filter(|(whose, _, _)| *whose == rsc);
    match of_this.next() {
        Some((_, _, how)) => cause(outcome, how),
        None => format!("{} failed", id(outcome, rsc)),
    }
}

/// What speaks most for a node.
pub(super) fn best(outcome: &Outcome, rsc: RscIdx, node: NodeIdx) -> Option<(Score, String)> {
    let found = outcome.causes.of_score(rsc, node);
    let best = found
        .filter(|found| found.score > Score::ZERO)
        .max_by_key(|found| found.score)?;
    Some((best.score, contribution(outcome, best, rsc)))
}

/// An action of the plan in words: `start of db on h2`.
pub(super) fn action(outcome: &Outcome, number: ActionId) -> String {
    let Some(whom) = outcome.whom(number) else {
        return format!("action {number}");
    };
    let on = whom.node.map(|node| format!(" on {}", name(outcome, node)));
    let on = on.unwrap_or_default();
    let task: &str = &whom.task;
    let task = match (task, whom.interval_ms) {
        ("stonith", _) => {
            let graph = outcome.graph.action(number);
            let op = graph
                .and_then(|action| action.fencing_op())
                .unwrap_or("reboot");
            return match whom.node {
                Some(node) => format!("fencing ({op}) of {}", name(outcome, node)),
                None => format!("fencing ({op})"),
            };
        }
        ("do_shutdown", _) => "shutdown".to_owned(),
        ("monitor", 0) => "probe".to_owned(),
        (task, 0) => task.to_owned(),
        (task, interval) => format!("{task} every {}", span::readable(interval)),
    };
    match whom.rsc {
        Some(rsc) => format!("{task} of {}{on}", id(outcome, rsc)),
        None => format!("{task}{on}"),
    }
}

/// A role, where it says more than that something runs.
pub(super) fn role(role: Role) -> String {
    match role {
        Role::Promoted | Role::Unpromoted => format!(" ({role})"),
        _ => String::new(),
    }
}
