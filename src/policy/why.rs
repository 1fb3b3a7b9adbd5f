//! The causes that steps left beside the plan, brought together: each action with what made it required or kept it from being
//! done, as far as that still holds at the end.

use super::actions::plan::{ActIdx, Flags, Key, Plan, Task};
use super::facts::Facts;
use super::report::{ActionCause, Cause, Causes, Consequence, Effect, Whom};
use crate::graph::ActionId;
use crate::terms::Score;

/// Everything that is known about actions and nodes.
pub(super) fn collect(causes: &mut Causes, facts: &Facts, plan: &Plan) {
    causes.nodes = nodes(facts);
    causes.actions = actions(facts, plan);
    causes.consequences = consequences(plan);
}

/// The number of an action in the graph counts from 1.
fn number(idx: ActIdx) -> ActionId {
    ActionId(idx.0 + 1)
}

/// An action of the plan by its number.
pub(super) fn whom(plan: &Plan, action: ActionId) -> Option<Whom> {
    let at = action.0.checked_sub(1)?;
    if at as usize >= plan.len() {
        return None;
    }
    let it = plan.get(ActIdx(at));
    Some(Whom {
        rsc: it.rsc,
        node: it.node,
        task: plan.name(it.cancels.unwrap_or(it.task)).clone(),
        interval_ms: it.interval_ms(),
    })
}

fn nodes(facts: &Facts) -> Vec<(super::NodeIdx, Score, Cause)> {
    let mut found = Vec::new();
    for (node, fact) in facts.nodes.enumerate() {
        if fact.base_score == Score::ZERO {
            continue;
        }
        let cause = if fact.shutdown {
            Cause::Leaving { node }
        } else if !fact.online {
            Cause::NodeState("it is offline")
        } else {
            Cause::NodeScore
        };
        found.push((node, fact.base_score, cause));
    }
    found
}

/// Actions that have to be done, or about which there is something to say.
fn actions(facts: &Facts, plan: &Plan) -> Vec<ActionCause> {
    // Notes are in the order in which they were made; sorted by action they are in one pass.
    let mut notes: Vec<usize> = (0..plan.notes.len()).collect();
    notes.sort_by_key(|at| plan.notes[*at].action);
    let mut notes = notes.into_iter().map(|at| &plan.notes[at]).peekable();
    let mut led = vec![false; plan.len()];
    for because in &plan.because {
        led[because.action.0 as usize] |= because.lost == Flags::OPTIONAL;
    }
    let mut found = Vec::new();
    for idx in plan.oldest_first() {
        let it = plan.get(idx);
        let (required, runnable) = (it.required(), it.runnable());
        let mut causes: Vec<(Effect, Cause)> = Vec::new();
        while let Some(note) = notes.next_if(|note| note.action == idx) {
            let holds = match note.effect {
                Effect::Required => required,
                Effect::Blocked => !runnable,
            };
            let known =
                |(effect, cause): &(Effect, Cause)| *effect == note.effect && *cause == note.cause;
            if holds && !causes.iter().any(known) {
                causes.push((note.effect, note.cause.clone()));
            }
        }
        // That it is unclean says nothing where it is known why.
        let vague = |(_, cause): &(Effect, Cause)| *cause == Cause::NodeState("node is unclean");
        if causes.len() > 1 {
            causes.retain(|it| !vague(it));
        }
        let explained = led[idx.0 as usize] || causes.iter().any(|it| it.0 == Effect::Required);
        if required && !explained {
            causes.push((Effect::Required, implied(facts, plan, idx)));
        }
        if required || it.reason.is_some() || !causes.is_empty() {
            found.push(ActionCause {
                action: number(idx),
                required,
                runnable,
                reason: it.reason.clone(),
                causes,
            });
        }
    }
    found
}

/// What nobody asked for by itself is there for the sake of its resource.
fn implied(facts: &Facts, plan: &Plan, idx: ActIdx) -> Cause {
    let it = plan.get(idx);
    match (it.rsc, it.key) {
        (Some(rsc), Key::Notify(..)) => Cause::Meta {
            rsc: facts.top_of(rsc),
            name: "notify",
        },
        (Some(rsc), _) if matches!(it.task, Task::MIGRATE_TO | Task::MIGRATE_FROM) => Cause::Meta {
            rsc,
            name: "allow-migrate",
        },
        (Some(rsc), _) if facts.rscs[rsc].is_primitive() => Cause::Placed {
            rsc,
            from: plan.now.current(facts, rsc),
            to: plan.now.rscs[rsc].assigned,
        },
        (Some(_), _) => Cause::Implied("what happens to its members"),
        (None, _) if it.task == Task::MAINTENANCE => {
            Cause::NodeState("the recorded maintenance state is out of date")
        }
        // Room is made only where free capacity counts. spec 3 §8.1 rule 5
        (None, _) if plan.name(it.task).starts_with("load_stopped_") => {
            Cause::Option("placement-strategy")
        }
        (None, _) => Cause::Implied("a point that others are ordered against"),
    }
}

/// What followed from what, each once.
fn consequences(plan: &Plan) -> Vec<Consequence> {
    let mut found: Vec<Consequence> = Vec::new();
    for because in &plan.because {
        let it = plan.get(because.action);
        let effect = match because.lost {
            Flags::OPTIONAL if it.required() => Effect::Required,
            Flags::RUNNABLE if !it.runnable() => Effect::Blocked,
            _ => continue,
        };
        let id = plan.origins.get(because.origin.0 as usize);
        found.push(Consequence {
            action: number(because.action),
            effect,
            by: number(because.by),
            constraint: id.filter(|id| !id.is_empty()).cloned(),
        });
    }
    found
}
