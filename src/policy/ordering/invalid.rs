//! Relations that can't hold in the end are disabled. spec 3 §15

use std::collections::BTreeSet;

use super::super::actions::plan::{ActIdx, Kinds, Plan, Task};
use super::super::emit::prune;
use super::super::facts::Facts;
use super::super::facts::options::PlacementStrategy;

/// Guests against their own machine, and loops of utilization orderings.
pub(super) fn disable(plan: &mut Plan, facts: &Facts) {
    let guests = facts.nodes.indexes().any(|node| facts.is_guest(node));
    if !guests && facts.options.placement_strategy == PlacementStrategy::Default {
        return;
    }
    for then in plan.newest_first() {
        for at in (0..plan.get(then).ins.len()).rev() {
            let input = plan.get(then).ins[at];
            if guest_against_host(plan, facts, input.first, then, input.kinds) {
                plan.get_mut(then).ins[at].kinds = Kinds::NONE;
                continue;
            }
            let to_migration =
                plan.get(then).task == Task::MIGRATE_TO && plan.get(then).rsc.is_some();
            if input.kinds == Kinds::LOAD && to_migration && loops(plan, facts, then, at) {
                plan.get_mut(then).ins[at].kinds = Kinds::NONE;
            }
        }
    }
}

/// Something in a guest can't be ordered before something of the guest itself.
fn guest_against_host(
    plan: &Plan,
    facts: &Facts,
    first: ActIdx,
    then: ActIdx,
    kinds: Kinds,
) -> bool {
    let (first, then) = (plan.get(first), plan.get(then));
    let (Some(_), Some(host), Some(node)) = (first.rsc, then.rsc, first.node) else {
        return false;
    };
    !kinds.has(Kinds::GUEST_OK)
        && !facts.rscs[host].launched.is_empty()
        && facts.is_guest(node)
        && facts.host_container(node) == Some(host)
}

/// Does the input lead back to `start` through relations that would be printed?
fn loops(plan: &mut Plan, facts: &Facts, start: ActIdx, at: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut stack = vec![(start, at)];
    while let Some((then, at)) = stack.pop() {
        let first = plan.get(then).ins[at].first;
        if !prune::triggers(plan, facts, then, at) {
            continue;
        }
        if first == start {
            return true;
        }
        if seen.insert(first) {
            stack.extend((0..plan.get(first).ins.len()).map(|next| (first, next)));
        }
    }
    false
}
