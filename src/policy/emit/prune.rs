//! What of the plan gets into the graph: actions that have to and can be done, and the relations between them that
//! still mean something. spec 3 §17.2

use super::super::actions::plan::{ActIdx, Flags, Kinds, Plan, Task};
use super::super::facts::{Facts, Kind};

/// Does the action belong into the graph?
#[must_use]
pub(in super::super) fn in_graph(plan: &Plan, facts: &Facts, idx: ActIdx) -> bool {
    let it = plan.get(idx);
    if !it.runnable() || (!it.required() && !it.flags.has(Flags::SHOW_ALWAYS)) {
        return false;
    }
    if left_alone(plan, idx) {
        return false;
    }
    if it.pseudo() || it.task == Task::FENCE || it.task == Task::SHUTDOWN {
        return true;
    }
    let Some(node) = it.node else { return false };
    if it.flags.has(Flags::DC_SIDE) {
        return true;
    }
    let there = &plan.now.nodes[node];
    if facts.is_guest(node) && !there.remote_reset {
        return true;
    }
    there.online && !there.unclean
}

/// Is it about a resource that is not managed, and does it do more than watch?
fn left_alone(plan: &Plan, idx: ActIdx) -> bool {
    let it = plan.get(idx);
    it.rsc.is_some_and(|rsc| !plan.now.rscs[rsc].managed)
        && it.task != Task::MONITOR
        && it.meta.get("interval").is_none_or(|text| text == "0")
}

/// Nobody does it, and what comes after it waits for what it would have waited for. What runs without being managed may have
/// to be started by the plan, for the sake of something else. The specification's rules name such inputs, and then what
/// names them is never done.
#[must_use]
pub(in super::super) fn passes_on(plan: &Plan, idx: ActIdx) -> bool {
    let it = plan.get(idx);
    let starts = matches!(
        it.task,
        Task::START | Task::RUNNING | Task::PROMOTE | Task::PROMOTED
    );
    starts && it.runnable() && left_alone(plan, idx)
}

const ONLY_ORDER: Kinds = Kinds::ORD
    .with(Kinds::THEN_SHOWS_FIRST)
    .with(Kinds::FIRST_SHOWS_THEN);

/// Is input `at` of `then` something to wait for? May disable it for good.
pub(in super::super) fn triggers(plan: &mut Plan, facts: &Facts, then: ActIdx, at: usize) -> bool {
    let input = plan.get(then).ins[at];
    let kinds = input.kinds;
    let first = plan.get(input.first);
    let after = plan.get(then);
    let is_stop = first.key.is(Task::STOP);
    if kinds.is_none() {
        return false;
    }
    if !first.runnable()
        && (kinds.without(ONLY_ORDER).is_none() || kinds.any(Kinds::MIN_RUN | Kinds::MIG_CHAIN))
    {
        return false;
    }
    // What a lost node remembers goes with its fencing: nobody tells it to forget that.
    let forgets = matches!(first.task, Task::DELETE | Task::CLEAR);
    if first.runnable() && forgets && !in_graph(plan, facts, input.first) {
        return false;
    }
    if first.migratable() && (kinds.has(Kinds::IF_UNMIGRATABLE) || (kinds == Kinds::ORD && is_stop))
    {
        return false;
    }
    if kinds == Kinds::LOAD {
        let useless = if after.task == Task::MIGRATE_TO {
            first.node != after.rsc.and_then(|rsc| plan.now.rscs[rsc].assigned)
        } else {
            first.node != after.node || !first.required()
        };
        if useless {
            plan.get_mut(then).ins[at].kinds = Kinds::NONE;
        }
        return !useless;
    }
    if kinds == Kinds::REQ_SAME_NODE {
        let apart = first.node.is_some() && after.node.is_some() && first.node != after.node;
        return !apart && first.required();
    }
    if let (Some(first_rsc), Some(then_rsc)) = (first.rsc, after.rsc)
        && first_rsc != then_rsc
        && plan.now.rscs[first_rsc].failed
        && !plan.now.rscs[first_rsc].managed
        && is_stop
        && matches!(facts.rscs[then_rsc].kind, Kind::Clone(_))
    {
        return false;
    }
    first.required() || first.flags.has(Flags::SHOW_ALWAYS) || first.flags.has(Flags::GRAPHED)
}
