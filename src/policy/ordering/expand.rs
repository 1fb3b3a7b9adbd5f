//! Orderings between resources become relations between the actions that exist. spec 3 §13

use super::super::RscIdx;
use super::super::actions::plan::{ActIdx, Flags, Key, Kinds, Order, Plan, Side, Task};
use super::super::actions::request;
use super::super::facts::Facts;
use crate::terms::Role;

/// All orderings, in order of creation: one may create an action that a later one finds.
pub(super) fn expand(plan: &mut Plan, facts: &Facts) {
    let orders = std::mem::take(&mut plan.orders);
    for order in &orders {
        one(plan, facts, order);
    }
    plan.orders = orders;
}

/// A side with the resource and key of its action filled in.
pub(super) fn completed(plan: &Plan, mut side: Side) -> Side {
    if let Some(action) = side.action {
        let action = plan.get(action);
        side.rsc = side.rsc.or(action.rsc);
        side.key = side.key.or(Some(action.key));
    }
    side
}

fn one(plan: &mut Plan, facts: &Facts, order: &Order) {
    let first = completed(plan, order.first);
    let then = completed(plan, order.then);
    let Some(rsc) = first.rsc else {
        match then.rsc {
            Some(_) => attach(plan, first.action, then, order),
            None => {
                if let (Some(first), Some(then)) = (first.action, then.action) {
                    plan.relate_for(first, then, order.kinds, order.origin);
                }
            }
        }
        return;
    };
    let mut firsts = match (first.action, first.key) {
        (Some(action), _) => vec![action],
        (None, Some(key)) => plan.with_key(rsc, key),
        (None, None) => Vec::new(),
    };
    if firsts.is_empty()
        && let Some(Key::Op(task, interval)) = first.key
    {
        if then.rsc == Some(rsc) || already_so(plan, facts, rsc, task) {
            return;
        }
        firsts.push(request::action(
            plan,
            facts,
            rsc,
            Key::Op(task, interval),
            task,
            None,
            true,
        ));
    }
    for action in firsts {
        match (then.rsc, then.action) {
            (Some(_), _) => attach(plan, Some(action), then, order),
            (None, Some(then)) => {
                plan.relate_for(action, then, order.kinds, order.origin);
            }
            (None, None) => {}
        }
    }
}

/// A stop of what is stopped, a demote of what is unpromoted: nothing has to come first.
fn already_so(plan: &Plan, facts: &Facts, rsc: RscIdx, task: Task) -> bool {
    match task {
        Task::STOP => plan.now.state(facts, rsc, false) == Role::Stopped,
        Task::DEMOTE => plan.now.state(facts, rsc, false) == Role::Unpromoted,
        _ => false,
    }
}

/// spec 3 §13.3
fn attach(plan: &mut Plan, first: Option<ActIdx>, then: Side, order: &Order) {
    let mut kinds = order.kinds;
    let Some(rsc) = then.rsc else { return };
    let thens = match (then.action, then.key) {
        (Some(action), _) => vec![action],
        (None, Some(key)) => plan.with_key(rsc, key),
        (None, None) => Vec::new(),
    };
    if let Some(first) = first {
        let action = plan.get(first);
        if action.rsc == Some(rsc) && action.flags.has(Flags::MIGRATION_ABORT) {
            kinds = kinds.without(Kinds::FIRST_PULLS);
        }
    }
    for action in thens {
        match first {
            Some(first) => {
                plan.relate_for(first, action, kinds, order.origin);
            }
            None if kinds.has(Kinds::FIRST_PULLS) => {
                plan.get_mut(action).flags.clear(Flags::RUNNABLE)
            }
            None => {}
        }
    }
}
