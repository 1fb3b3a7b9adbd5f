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
#[derive(Clone, Copy)]
pub(super) struct Completed {
    pub(super) rsc: Option<RscIdx>,
    pub(super) action: Option<ActIdx>,
    pub(super) key: Key,
}

pub(super) fn completed(plan: &Plan, side: Side) -> Completed {
    match side {
        Side::Action(action) => Completed {
            rsc: plan.get(action).rsc,
            action: Some(action),
            key: plan.get(action).key,
        },
        Side::Of(rsc, key) => Completed {
            rsc: Some(rsc),
            action: None,
            key,
        },
    }
}

fn one(plan: &mut Plan, facts: &Facts, order: &Order) {
    let first = completed(plan, order.first);
    let then = completed(plan, order.then);
    let rsc = match (first.rsc, first.action) {
        (_, Some(action)) => return before(plan, action, then, order),
        (Some(rsc), None) => rsc,
        (None, None) => return,
    };
    let mut from = 0;
    while let Some((action, next)) = plan.next_with_key(rsc, first.key, from) {
        before(plan, action, then, order);
        from = next;
    }
    if from == 0
        && let Key::Op(task, _) = first.key
        && then.rsc != Some(rsc)
        && !already_so(plan, facts, rsc, task)
    {
        let action = request::action(plan, facts, rsc, first.key, task, None, true);
        before(plan, action, then, order);
    }
}

/// The action comes before what the ordering has on its other side.
fn before(plan: &mut Plan, first: ActIdx, then: Completed, order: &Order) {
    match (then.rsc, then.action) {
        (Some(rsc), _) => attach(plan, first, rsc, then, order),
        (None, Some(then)) => {
            plan.relate_for(first, then, order.kinds, order.origin);
        }
        (None, None) => {}
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
fn attach(plan: &mut Plan, first: ActIdx, rsc: RscIdx, then: Completed, order: &Order) {
    let mut kinds = order.kinds;
    let action = plan.get(first);
    if action.rsc == Some(rsc) && action.flags.has(Flags::MIGRATION_ABORT) {
        kinds = kinds.without(Kinds::FIRST_PULLS);
    }
    if let Some(action) = then.action {
        plan.relate_for(first, action, kinds, order.origin);
        return;
    }
    let mut from = 0;
    while let Some((action, next)) = plan.next_with_key(rsc, then.key, from) {
        plan.relate_for(first, action, kinds, order.origin);
        from = next;
    }
}
