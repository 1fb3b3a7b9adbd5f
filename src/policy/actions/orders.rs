//! Orderings: those that constraints bring, and those made here, each followed by what it means for a live
//! migration. spec 3 §1.5, §8.7

use super::super::constraints::{Constraints, OrderEnd, OrderItem};
use super::super::facts::Facts;
use super::super::nvtable::Str;
use super::super::{IdxVec, RscIdx};
use super::plan::{ActIdx, Flags, Key, Kinds, Order, Origin, Plan, Side, Task};
use super::{fencing, request};
use crate::policy::constraints::GateIdx;

/// All orderings of the constraints, in their order; their gates become actions.
pub(super) fn from_constraints(plan: &mut Plan, facts: &Facts, constraints: &Constraints) {
    let gates: IdxVec<GateIdx, ActIdx> = IdxVec::from_fn(constraints.gates.len(), |at| {
        let gate = &constraints.gates[at];
        let idx = request::named(plan, &gate.name);
        plan.get_mut(idx).min_before = gate.min_before;
        idx
    });
    // There will be some more: for each action that recurs, and for each probe.
    let each = 4 + plan.now.nodes.len().min(8);
    plan.orders
        .reserve(constraints.orderings.len() + plan.now.rscs.len() * each);
    for item in &constraints.orderings {
        match item {
            OrderItem::Pair(ordering) => {
                let origin = origin(plan, ordering.id.as_ref());
                let side = |end: OrderEnd| match end {
                    OrderEnd::Task(rsc, task) => Side::task(rsc, task),
                    OrderEnd::Gate(gate) => Side::action(gates[gate]),
                };
                let (first, then) = (side(ordering.first), side(ordering.then));
                plan.orders.push(Order {
                    first,
                    then,
                    kinds: ordering.kinds,
                    origin,
                });
            }
            OrderItem::Unfencing(rsc) => fencing::unfence_between(plan, facts, *rsc),
            OrderItem::Load(rsc) => load(plan, facts, *rsc),
        }
    }
}

/// The place of a constraint's id among the origins; ids of one constraint come one after the other.
fn origin(plan: &mut Plan, id: Option<&Str>) -> Origin {
    let Some(id) = id else {
        return Origin::default();
    };
    if plan.origins.last() != Some(id) {
        plan.origins.push(id.clone());
    }
    Origin(u32::try_from(plan.origins.len() - 1).unwrap_or(0))
}

/// What leaves a node makes room before what comes. spec 3 §8.1 rule 5
fn load(plan: &mut Plan, facts: &Facts, rsc: RscIdx) {
    let stopped = |plan: &mut Plan, node| {
        let idx = request::named(plan, &format!("load_stopped_{}", facts.nodes[node].name));
        let it = plan.get_mut(idx);
        it.node = Some(node);
        it.flags.clear(Flags::OPTIONAL);
        idx
    };
    for node in &facts.rscs[rsc].active {
        let idx = stopped(plan, *node);
        plan.orders.push(Order {
            first: Side::task(rsc, Task::STOP),
            then: Side::action(idx),
            kinds: Kinds::LOAD,
            origin: Origin::default(),
        });
    }
    for node in &facts.node_order {
        if !facts.rscs[rsc].allowed.contains(*node) {
            continue;
        }
        let idx = stopped(plan, *node);
        for task in [Task::START, Task::MIGRATE_TO] {
            plan.orders.push(Order {
                first: Side::action(idx),
                then: Side::task(rsc, task),
                kinds: Kinds::LOAD,
                origin: Origin::default(),
            });
        }
    }
}

/// A new ordering, with its migration equivalents.
pub(super) fn add(plan: &mut Plan, facts: &Facts, first: Side, then: Side, kinds: Kinds) {
    let filled = |side: Side| match side {
        Side::Action(idx) => {
            let it = plan.get(idx);
            (it.rsc, it.key)
        }
        Side::Of(rsc, key) => (Some(rsc), key),
    };
    let ((first_rsc, first_key), (then_rsc, then_key)) = (filled(first), filled(then));
    plan.orders.push(Order {
        first,
        then,
        kinds,
        origin: Origin::default(),
    });
    let (Some(a), Some(b), Key::Op(x, 0), Key::Op(y, 0)) =
        (first_rsc, then_rsc, first_key, then_key)
    else {
        return;
    };
    if a != b && !related(facts, a, b) && !related(facts, b, a) {
        migration(plan, facts, (a, x), (b, y));
    }
}

fn related(facts: &Facts, above: RscIdx, mut below: RscIdx) -> bool {
    while let Some(parent) = facts.rscs[below].parent {
        if parent == above {
            return true;
        }
        below = parent;
    }
    false
}

fn migration(plan: &mut Plan, facts: &Facts, (a, x): (RscIdx, Task), (b, y): (RscIdx, Task)) {
    let (a_moves, b_moves) = (
        facts.rscs[a].flags.migratable,
        facts.rscs[b].flags.migratable,
    );
    if !b_moves {
        return;
    }
    let mut push = |x: Task, y: Task, kinds: Kinds| {
        plan.orders.push(Order {
            first: Side::task(a, x),
            then: Side::task(b, y),
            kinds,
            origin: Origin::default(),
        });
    };
    let unmigratable = if a_moves {
        Kinds::ORD | Kinds::IF_UNMIGRATABLE
    } else {
        Kinds::ORD
    };
    let caught = facts.rscs[b].partial_target.is_some();
    match (x, y) {
        (Task::START, Task::START) => {
            if a_moves {
                push(Task::MIGRATE_FROM, Task::MIGRATE_TO, Kinds::ORD);
            }
            push(Task::START, Task::MIGRATE_TO, unmigratable);
        }
        (Task::STOP, Task::STOP) => {
            push(Task::STOP, Task::MIGRATE_TO, unmigratable);
            if caught {
                push(Task::STOP, Task::MIGRATE_FROM, unmigratable);
            }
        }
        (Task::PROMOTE, Task::START) => push(Task::PROMOTE, Task::MIGRATE_TO, Kinds::ORD),
        (Task::DEMOTE, Task::STOP) => {
            push(Task::DEMOTE, Task::MIGRATE_TO, Kinds::ORD);
            if caught {
                push(Task::DEMOTE, Task::MIGRATE_FROM, Kinds::ORD);
            }
        }
        _ => {}
    }
}
