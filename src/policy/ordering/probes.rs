//! There is no barrier "all probed": each probe goes before what its result could contradict. spec 3 §7.2

use std::collections::BTreeSet;

use super::super::RscIdx;
use super::super::actions::plan::{ActIdx, Key, Kinds, Plan, Task};
use super::super::assign::Placement;
use super::super::facts::{Facts, Kind};
use super::{expand, instance};

/// All probe orderings, after orderings have become relations and before these have any effect.
pub(super) fn order(plan: &mut Plan, facts: &Facts, place: &Placement) {
    let probed = |key: &Key| key.is(Task::MONITOR);
    if !plan.keys().any(probed) {
        return;
    }
    for at in 0..place.order.len() {
        let top = place.order[at];
        for leaf in plan.now.leaves(top) {
            for probe in plan.with_key(leaf, Key::of(Task::MONITOR)) {
                before_starts(plan, facts, leaf, probe);
                before_restarts(plan, facts, place, leaf, probe);
            }
        }
    }
    before_what_follows_stops(plan, facts);
}

/// An unrunnable probe gates each instance's start, not only the collective's. spec 3 §7.2 (a) 1
fn before_starts(plan: &mut Plan, facts: &Facts, leaf: RscIdx, probe: ActIdx) {
    if plan.get(probe).runnable() {
        return;
    }
    let top = facts.top_of(leaf);
    for at in (0..plan.get(probe).outs.len()).rev() {
        let (after, kinds) = plan.get(probe).outs[at];
        let Some(rsc) = plan.get(after).rsc else {
            continue;
        };
        let collective = matches!(facts.rscs[rsc].kind, Kind::Clone(_) | Kind::Bundle(_));
        if !collective
            || kinds.has(Kinds::FIRST_GATES)
            || rsc != top
            || plan.get(after).task != Task::START
        {
            continue;
        }
        for behind in (0..plan.get(after).outs.len()).rev() {
            let (start, _) = plan.get(after).outs[behind];
            let Some(own) = plan.get(start).rsc else {
                continue;
            };
            if plan.get(start).task == Task::START
                && facts.top_of(own) == top
                && facts.rscs[own].active.is_empty()
            {
                plan.relate(probe, start, Kinds::ORD | Kinds::FIRST_GATES);
            }
        }
    }
}

/// A probe may lead to a restart of whatever depends on its resource: before their stops. spec 3 §7.2 (a) 2
fn before_restarts(plan: &mut Plan, facts: &Facts, place: &Placement, leaf: RscIdx, probe: ActIdx) {
    for at in (0..plan.get(probe).outs.len()).rev() {
        let (after, _) = plan.get(probe).outs[at];
        let mut seen = BTreeSet::new();
        let mut stack = vec![after];
        while let Some(next) = stack.pop() {
            if seen.insert(next) {
                let mut behind = restart_of(plan, facts, place, leaf, probe, next);
                behind.reverse();
                stack.append(&mut behind);
            }
        }
    }
}

/// Orders the probe before what undoes `after`, and says where to go on.
fn restart_of(
    plan: &mut Plan,
    facts: &Facts,
    place: &Placement,
    leaf: RscIdx,
    probe: ActIdx,
    after: ActIdx,
) -> Vec<ActIdx> {
    let action = plan.get(after);
    let (task, rsc) = (action.task, action.rsc);
    let kind = rsc.map(|rsc| &facts.rscs[rsc].kind);
    if let Some(rsc) = rsc
        && rsc != leaf
        && matches!(kind, Some(Kind::Primitive))
    {
        let undo = match task {
            Task::START => Some(Task::STOP),
            Task::PROMOTE => Some(Task::DEMOTE),
            _ => None,
        };
        if let Some(undo) = undo {
            for stop in plan.with_key(rsc, Key::of(undo)) {
                if !plan.get(stop).pseudo() {
                    plan.relate(probe, stop, Kinds::ORD);
                }
            }
        }
    }
    let interleaved = rsc.filter(|rsc| {
        matches!(kind, Some(Kind::Clone(_) | Kind::Bundle(_))) && facts.interleave(*rsc)
    });
    let partner = interleaved
        .and_then(|rsc| instance::compatible(facts, place, &plan.now, rsc, leaf, None, false));
    let follows = |next: ActIdx, kinds: Kinds| {
        if kinds.has(Kinds::FIRST_PULLS) {
            return true;
        }
        let (Some(rsc), Some(next_rsc)) = (rsc, plan.get(next).rsc) else {
            return false;
        };
        let next_fact = &facts.rscs[next_rsc];
        !matches!(facts.rscs[rsc].kind, Kind::Primitive)
            && facts.rscs[leaf].parent != Some(rsc)
            && next_fact.parent == Some(rsc)
            && matches!(next_fact.kind, Kind::Primitive | Kind::Group(_))
            && (interleaved.is_none() || partner == Some(next_rsc))
    };
    let outs = plan.get(after).outs.iter().rev();
    outs.filter(|(next, kinds)| follows(*next, *kinds))
        .map(|(next, _)| *next)
        .collect()
}

/// What waits for a stop waits for the probe that may find something to stop. spec 3 §7.2 (b)
fn before_what_follows_stops(plan: &mut Plan, facts: &Facts) {
    for at in 0..plan.orders.len() {
        let order = plan.orders[at];
        let first = expand::completed(plan, order.first);
        let then = expand::completed(plan, order.then);
        let Some(first_rsc) = first.rsc else { continue };
        if order.kinds == Kinds::NONE || then.rsc == Some(first_rsc) {
            continue;
        }
        let stop_action = first
            .action
            .is_some_and(|action| plan.get(action).task == Task::STOP);
        if !stop_action && !first.key.is(Task::STOP) {
            continue;
        }
        let then_stops = then
            .action
            .is_some_and(|action| plan.get(action).task == Task::STOP)
            || then.key.is(Task::STOP);
        if let Some(then_rsc) = then.rsc
            && facts.rscs[first_rsc].launcher == Some(then_rsc)
            && then_stops
        {
            continue;
        }
        let kinds = if order.kinds == Kinds::LOAD || order.kinds == Kinds::REQ_SAME_NODE {
            order.kinds
        } else {
            let mut kinds = Kinds::ORD;
            for extra in [Kinds::IF_UNMIGRATABLE, Kinds::SAME_NODE] {
                if order.kinds.has(extra) {
                    kinds |= extra;
                }
            }
            kinds
        };
        let probes = plan.with_key(first_rsc, Key::of(Task::MONITOR));
        if probes.is_empty() {
            continue;
        }
        let thens = match (then.action, then.rsc) {
            (Some(action), _) => vec![action],
            (None, Some(rsc)) => plan.with_key(rsc, then.key),
            (None, None) => Vec::new(),
        };
        for probe in probes {
            let node = plan.get(probe).node;
            for action in &thens {
                let after = plan.get(*action);
                let unfencing = after.task == Task::FENCE
                    && after.meta.get("stonith_action") == Some("on")
                    && after.node == node;
                let leaving = after.task == Task::SHUTDOWN && after.node != node;
                if !unfencing && !leaving {
                    plan.relate(probe, *action, kinds);
                }
            }
        }
    }
}
