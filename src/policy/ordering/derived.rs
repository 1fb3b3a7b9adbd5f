//! A collective's action has no life of its own: what it may be follows from the like actions of what is inside.
//! Looking also writes back, but only ever clears. spec 3 §9.7, §14.3

use super::super::actions::plan::{ActIdx, Flags, Key, Plan, Task};
use super::super::facts::{Facts, Kind};
use super::super::{NodeIdx, RscIdx};

/// An action's flags as an ordering sees them whose other side is on `other`. spec 3 §14.3
pub(super) fn seen(
    plan: &mut Plan,
    facts: &Facts,
    action: ActIdx,
    other: Option<NodeIdx>,
) -> Flags {
    let Some(rsc) = plan.get(action).rsc else {
        return plan.get(action).flags;
    };
    match facts.rscs[rsc].kind {
        Kind::Primitive => plan.get(action).flags,
        Kind::Group(_) | Kind::Bundle(_) => of(plan, facts, action, None),
        Kind::Clone(_) => {
            let all = of(plan, facts, action, None);
            if other.is_none() {
                return all;
            }
            let mut there = of(plan, facts, action, other);
            if all.runnable() {
                there.set(Flags::RUNNABLE);
            }
            there
        }
    }
}

/// An action's flags, derived from members if it is a collective's; limited to `node` if given.
pub(in super::super) fn of(
    plan: &mut Plan,
    facts: &Facts,
    action: ActIdx,
    node: Option<NodeIdx>,
) -> Flags {
    let Some(rsc) = plan.get(action).rsc else {
        return plan.get(action).flags;
    };
    match facts.rscs[rsc].kind {
        Kind::Primitive => plan.get(action).flags,
        Kind::Group(_) => group(plan, rsc, action, node),
        Kind::Clone(_) | Kind::Bundle(_) => instances(plan, facts, rsc, action, node),
    }
}

const ALL: Flags = Flags::OPTIONAL.and(Flags::RUNNABLE).and(Flags::PSEUDO);

fn group(plan: &mut Plan, rsc: RscIdx, action: ActIdx, node: Option<NodeIdx>) -> Flags {
    let mut result = ALL;
    let task = plan.get(action).task;
    let member_task = task.folded();
    for at in 0..plan.now.rscs[rsc].children.len() {
        let member = plan.now.rscs[rsc].children[at];
        match plan.newest(member, member_task, node) {
            Some(own) => {
                let flags = plan.get(own).flags;
                if flags.required() && result.has(Flags::OPTIONAL) {
                    result.clear(Flags::OPTIONAL);
                    plan.lose(action, Flags::OPTIONAL, own);
                }
                if member_task != task && !flags.runnable() && result.runnable() {
                    result.clear(Flags::RUNNABLE);
                    plan.lose(action, Flags::RUNNABLE, own);
                }
            }
            None if member_task != Task::STOP && member_task != Task::DEMOTE => {
                result.clear(Flags::RUNNABLE)
            }
            None => {}
        }
    }
    result
}

fn instances(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    action: ActIdx,
    node: Option<NodeIdx>,
) -> Flags {
    let mut result = ALL;
    let task = instance_task(plan, facts, rsc, action);
    let mut any_runnable = false;
    let mut at = 0;
    while let Some(instance) = doer(plan, facts, rsc, task, at) {
        at += 1;
        let primitive = matches!(facts.rscs[instance].kind, Kind::Primitive);
        let Some(own) = plan.newest(instance, task, node.filter(|_| primitive)) else {
            continue;
        };
        let flags = of(plan, facts, own, node);
        if flags.required() && result.has(Flags::OPTIONAL) {
            result.clear(Flags::OPTIONAL);
            plan.lose(action, Flags::OPTIONAL, own);
        }
        any_runnable |= flags.runnable();
    }
    if !any_runnable {
        result.clear(Flags::RUNNABLE);
        if node.is_none() {
            plan.get_mut(action).flags.clear(Flags::RUNNABLE);
        }
    }
    result
}

/// What the instances do when their collective does `action`. spec 3 §9.7.1
pub(super) fn instance_task(plan: &Plan, facts: &Facts, rsc: RscIdx, action: ActIdx) -> Task {
    let mut task = plan.get(action).task;
    if (task == Task::NOTIFY || task == Task::NOTIFIED)
        && let Key::Notify(_, told) = plan.get(action).key
    {
        task = told;
    }
    let first = plan.now.rscs[rsc].children.first();
    if first.is_some_and(|first| matches!(facts.rscs[*first].kind, Kind::Primitive)) {
        task.folded()
    } else {
        task
    }
}

/// One after the other, who does it: a clone's instances; of a bundle its containers, or the bundled instances for what only
/// they do.
fn doer(plan: &Plan, facts: &Facts, rsc: RscIdx, task: Task, at: usize) -> Option<RscIdx> {
    let child = |of: RscIdx| plan.now.rscs[of].children.get(at).copied();
    match &facts.rscs[rsc].kind {
        Kind::Bundle(bundle) => match task {
            Task::START | Task::RUNNING | Task::STOP | Task::STOPPED => {
                bundle.replicas.get(at).map(|replica| replica.container)
            }
            _ => child(bundle.clone?),
        },
        _ => child(rsc),
    }
}
