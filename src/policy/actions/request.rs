//! Asking for an action: an existing one is found again, otherwise one is made; either way what it may be is
//! decided anew. spec 3 §3

use std::sync::Arc;

use super::super::facts::{Facts, Needs, QuorumPolicy};
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::fencing;
use super::plan::{ActIdx, Flags, Key, Plan, Task};
use crate::terms::Role;

/// An action of a resource. "Optional" never makes a required one optional.
pub(in super::super) fn action(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    key: Key,
    task: Task,
    node: Option<NodeIdx>,
    optional: bool,
) -> ActIdx {
    let idx = plan
        .oldest(rsc, key, node)
        .unwrap_or_else(|| create(plan, facts, rsc, key, task, node, optional));
    let managed = plan.now.rscs[rsc].managed;
    let it = plan.get_mut(idx);
    let placed = it.node.is_some() && !it.pseudo();
    if placed && !managed && !it.meta.contains("interval") {
        it.flags.set(Flags::OPTIONAL);
    } else if !optional {
        it.flags.clear(Flags::OPTIONAL);
    }
    if !it.extra_read
        && let (Some(node), Some(op)) = (it.node, it.op)
    {
        it.extra_read = true;
        it.extra = facts.op_params(rsc, op, Some(node));
    }
    if !plan.get(idx).pseudo() {
        decide_runnable(plan, facts, idx, rsc);
    }
    idx
}

/// The usual case: task and key agree and there is no interval.
pub(in super::super) fn task(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    task: Task,
    node: Option<NodeIdx>,
    optional: bool,
) -> ActIdx {
    action(plan, facts, rsc, Key::of(task), task, node, optional)
}

/// An ordering point of a collective. spec 3 §3.5
pub(in super::super) fn pseudo(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    key: Key,
    task: Task,
    optional: bool,
    runnable: bool,
) -> ActIdx {
    let idx = action(plan, facts, rsc, key, task, None, optional);
    let it = plan.get_mut(idx);
    it.flags.set(Flags::PSEUDO);
    if runnable {
        it.flags.set(Flags::RUNNABLE);
    }
    idx
}

/// An ordering point without resource, by name.
pub(in super::super) fn named(plan: &mut Plan, name: &str) -> ActIdx {
    let name = plan.task(name);
    match plan.named(name) {
        Some(idx) => idx,
        None => plan.new_action(
            name,
            Key::of(name),
            None,
            None,
            Flags::OPTIONAL | Flags::PSEUDO | Flags::RUNNABLE,
        ),
    }
}

fn create(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    key: Key,
    task: Task,
    node: Option<NodeIdx>,
    optional: bool,
) -> ActIdx {
    let mut flags = Flags::RUNNABLE;
    flags.put(Flags::OPTIONAL, optional);
    flags.put(Flags::DC_SIDE, task == Task::LRM_DELETE);
    let idx = plan.new_action(task, key, Some(rsc), node, flags);
    let interval = match key {
        Key::Op(_, interval) => interval,
        Key::Notify(..) => 0,
    };
    let name = Arc::clone(plan.name(task));
    let (op, meta) = facts.op_planned(rsc, node, &name, interval);
    let it = plan.get_mut(idx);
    it.op = op;
    it.meta = meta;
    it.needs = facts.op_needs(rsc, &name);
    idx
}

/// spec 3 §3.4
fn decide_runnable(plan: &mut Plan, facts: &Facts, idx: ActIdx, rsc: RscIdx) {
    let it = plan.get(idx);
    let Some(node) = it.node else {
        plan.get_mut(idx).flags.clear(Flags::RUNNABLE);
        plan.blocked_by(idx, || Cause::Placed {
            rsc,
            from: None,
            to: None,
        });
        return;
    };
    let dc_side = it.flags.has(Flags::DC_SIDE);
    let (task, needs) = (it.task, it.needs);
    let there = &plan.now.nodes[node];
    if !dc_side && !there.online && (!facts.is_guest(node) || there.remote_reset) {
        let fence = task == Task::STOP && plan.now.rscs[rsc].managed && !there.unclean;
        plan.get_mut(idx).flags.clear(Flags::RUNNABLE);
        plan.blocked_by(idx, || Cause::NodeState("it is offline"));
        if fence {
            let why = || Cause::Unreachable { rsc };
            fencing::want(plan, facts, node, "stop is unrunnable", false, why);
        }
        return;
    }
    if !dc_side && facts.nodes[node].pending {
        plan.get_mut(idx).flags.clear(Flags::RUNNABLE);
        plan.blocked_by(idx, || Cause::NodeState("it is joining"));
        return;
    }
    if needs == Needs::Nothing {
        let runnable = !facts.is_guest(node) || fencing::possible(plan, facts, node);
        let it = plan.get_mut(idx);
        it.reason = None;
        it.flags.put(Flags::RUNNABLE, runnable);
        if !runnable {
            plan.blocked_by(idx, || Cause::NodeState("it can't be fenced"));
        }
        return;
    }
    let policy = effective_policy(plan, facts, rsc);
    match policy {
        QuorumPolicy::Stop => refuse(plan, idx, "no quorum"),
        QuorumPolicy::Freeze => {
            let now = &plan.now.rscs[rsc];
            if facts.rscs[rsc].active.is_empty() || now.next_role > now.orig_role {
                refuse(plan, idx, "quorum freeze");
            }
        }
        _ => plan.get_mut(idx).flags.set(Flags::RUNNABLE),
    }
}

fn refuse(plan: &mut Plan, idx: ActIdx, reason: &str) {
    let it = plan.get_mut(idx);
    it.flags.clear(Flags::RUNNABLE);
    it.reason = Some(Arc::from(reason));
    plan.blocked_by(idx, || Cause::Option("no-quorum-policy"));
}

/// What the quorum policy means for this resource now; may lower its next role.
fn effective_policy(plan: &mut Plan, facts: &Facts, rsc: RscIdx) -> QuorumPolicy {
    if facts.quorate {
        return QuorumPolicy::Ignore;
    }
    match facts.options.no_quorum_policy {
        QuorumPolicy::Demote => {
            let now = &mut plan.now.rscs[rsc];
            if !matches!(now.orig_role, Role::Promoted | Role::Unpromoted) {
                return QuorumPolicy::Stop;
            }
            now.next_role = now.next_role.min(Role::Unpromoted);
            QuorumPolicy::Ignore
        }
        other => other,
    }
}
