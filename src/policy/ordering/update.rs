//! One relation's effect on the two actions it joins, by the kind of resource it reaches. spec 3 §14.4 to §14.8

use std::sync::Arc;

use super::super::actions::plan::{ActIdx, Flags, Key, Kinds, Plan, Task};
use super::super::facts::Kind;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::settle::Settle;
use super::{derived, instance};
use crate::terms::Role;

/// Which sides of a relation changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) first: bool,
    pub(super) then: bool,
}

impl Changed {
    pub(super) fn and(self, other: Changed) -> Changed {
        Changed {
            first: self.first || other.first,
            then: self.then || other.then,
        }
    }
}

/// What an update looks at: the flags of the first action as seen, and which of them count.
#[derive(Clone, Copy)]
struct Pull {
    flags: Flags,
    filter: Flags,
    kind: Kinds,
    node: Option<NodeIdx>,
}

const OPT: Flags = Flags::OPTIONAL;
const RUN: Flags = Flags::RUNNABLE;
const MIG: Flags = Flags::MIGRATABLE;

impl Settle<'_> {
    /// Applies input `at` of `then`. spec 3 §14.4
    pub(super) fn apply(
        &mut self,
        then: ActIdx,
        at: usize,
        first_seen: Flags,
        then_seen: Flags,
    ) -> Changed {
        let mut changed = Changed::default();
        let input = self.plan.get(then).ins[at];
        let first = input.first;
        let then_rsc = self.plan.get(then).rsc;
        let first_rsc = self.plan.get(first).rsc;
        let mut node = self.plan.get(then).node;
        let mut kinds = input.kinds;
        let only_opt = first_seen.only(OPT);

        if kinds.has(Kinds::FIRST_PULLS_LOCAL) {
            kinds = kinds.without(Kinds::FIRST_PULLS_LOCAL) | Kinds::FIRST_PULLS;
            self.plan.get_mut(then).ins[at].kinds = kinds;
            node = self.plan.get(first).node;
        }
        let pull = |flags: Flags, filter: Flags, kind: Kinds| Pull {
            flags,
            filter,
            kind,
            node,
        };

        if kinds.has(Kinds::FIRST_PULLS) {
            if let Some(rsc) = then_rsc {
                changed = changed.and(self.update(
                    rsc,
                    first,
                    then,
                    pull(only_opt, OPT, Kinds::FIRST_PULLS),
                ));
            } else if first_seen.required() && !self.plan.get(then).required() {
                self.plan.get_mut(then).flags.clear(OPT);
                self.plan.follows(then, OPT, first, self.through);
                changed.then = true;
            }
        }
        if kinds.has(Kinds::RESTART_STOP)
            && let Some(rsc) = then_rsc
        {
            changed = changed.and(self.update(
                rsc,
                first,
                then,
                pull(first_seen, OPT | RUN, Kinds::RESTART_STOP),
            ));
        }
        if kinds.has(Kinds::THEN_PULLS) {
            if let Some(rsc) = first_rsc {
                changed = changed.and(self.update(
                    rsc,
                    first,
                    then,
                    pull(first_seen, OPT, Kinds::THEN_PULLS),
                ));
            } else if first_seen.required() && self.plan.get(first).runnable() {
                self.plan.get_mut(first).flags.clear(RUN);
                self.plan.follows(first, RUN, then, self.through);
                changed.first = true;
            }
        }
        if kinds.has(Kinds::PROMOTED_THEN_PULLS)
            && let Some(rsc) = then_rsc
        {
            changed = changed.and(self.update(
                rsc,
                first,
                then,
                pull(only_opt, OPT, Kinds::PROMOTED_THEN_PULLS),
            ));
        }
        if kinds.has(Kinds::MIN_RUN) {
            if let Some(rsc) = then_rsc {
                changed = changed.and(self.update(
                    rsc,
                    first,
                    then,
                    pull(first_seen, RUN, Kinds::MIN_RUN),
                ));
            } else if first_seen.runnable() {
                let action = self.plan.get_mut(then);
                action.count_before += 1;
                if action.count_before >= action.min_before && !action.runnable() {
                    action.flags.set(RUN);
                    changed.then = true;
                }
            }
        }
        if kinds.has(Kinds::NESTED_PROBE)
            && let Some(rsc) = then_rsc
        {
            let active = first_rsc.is_some_and(|rsc| !self.facts.rscs[rsc].active.is_empty());
            if !first_seen.runnable() && active {
                self.plan.get_mut(then).ins[at].kinds = Kinds::NONE;
            } else {
                changed = changed.and(self.update(
                    rsc,
                    first,
                    then,
                    pull(first_seen, RUN, Kinds::FIRST_GATES),
                ));
            }
        }
        if kinds.has(Kinds::FIRST_GATES) {
            if let Some(rsc) = then_rsc {
                changed = changed.and(self.update(
                    rsc,
                    first,
                    then,
                    pull(first_seen, RUN, Kinds::FIRST_GATES),
                ));
            } else if !first_seen.runnable() && self.plan.get(then).runnable() {
                self.plan.get_mut(then).flags.clear(RUN);
                self.plan.follows(then, RUN, first, self.through);
                changed.then = true;
            }
        }
        for (kind, filter) in [
            (Kinds::MIG_CHAIN, OPT),
            (Kinds::ELSE_REAL, OPT),
            (Kinds::ORD, RUN),
            (Kinds::ONE_WAY, RUN),
        ] {
            if kinds.has(kind)
                && let Some(rsc) = then_rsc
            {
                changed =
                    changed.and(self.update(rsc, first, then, pull(first_seen, filter, kind)));
            }
        }
        if kinds.has(Kinds::FIRST_SHOWS_THEN)
            && self.plan.get(first).runnable()
            && first_seen.required()
        {
            self.plan.get_mut(then).flags.set(Flags::SHOW_ALWAYS);
        }
        if kinds.has(Kinds::THEN_SHOWS_FIRST) && then_seen.required() {
            self.plan.get_mut(first).flags.set(Flags::SHOW_ALWAYS);
        }
        // A stop that may not be done blocks what would have to follow it.
        if kinds.any(Kinds::FIRST_PULLS | Kinds::THEN_PULLS | Kinds::RESTART_STOP)
            && let Some(rsc) = first_rsc
        {
            let now = &self.plan.now.rscs[rsc];
            let stop = self.plan.get(first);
            if !now.managed
                && now.blocked
                && stop.task == Task::STOP
                && !stop.runnable()
                && self.plan.get(then).runnable()
            {
                self.plan.get_mut(then).flags.clear(RUN);
                self.plan.follows(then, RUN, first, self.through);
                changed.then = true;
            }
        }
        changed
    }

    fn update(&mut self, rsc: RscIdx, first: ActIdx, then: ActIdx, pull: Pull) -> Changed {
        match self.facts.rscs[rsc].kind {
            Kind::Primitive => self.base(first, then, pull),
            Kind::Group(_) => self.group(first, then, pull),
            Kind::Clone(_) | Kind::Bundle(_) => self.collective(first, then, pull),
        }
    }

    /// Clears a flag of `of` because of `why`, and says so if they belong to different resources.
    fn clear(&mut self, of: ActIdx, flag: Flags, why: ActIdx) {
        if !self.plan.get(of).flags.has(flag) {
            return;
        }
        self.plan.get_mut(of).flags.clear(flag);
        self.plan.follows(of, flag, why, self.through);
        let (of_rsc, cause) = (self.plan.get(of).rsc, self.plan.get(why));
        if of_rsc == cause.rsc || self.plan.get(of).reason.is_some() {
            return;
        }
        let word = match flag {
            Flags::RUNNABLE => "unrunnable",
            Flags::OPTIONAL => "required",
            _ => "unmigrateable",
        };
        let task = self.plan.name(cause.task);
        let text = match cause.rsc {
            Some(rsc) => format!("{word} {} {task}", self.facts.rscs[rsc].id),
            None => format!("{word} {task}"),
        };
        self.plan.get_mut(of).reason = Some(Arc::from(text));
    }

    /// spec 3 §14.5
    fn base(&mut self, first: ActIdx, then: ActIdx, pull: Pull) -> Changed {
        let (first_was, then_was) = (self.plan.get(first).flags, self.plan.get(then).flags);
        let counts = |flag: Flags| pull.filter.has(flag);
        match pull.kind {
            Kinds::ONE_WAY => self.one_way(first, then),
            Kinds::THEN_PULLS if then_was.required() => {
                if counts(OPT) && pull.flags.required() && first_was.has(OPT) {
                    self.clear(first, OPT, then);
                }
                if pull.flags.has(MIG) && !self.plan.get(then).migratable() {
                    self.clear(first, MIG, then);
                }
            }
            Kinds::PROMOTED_THEN_PULLS if counts(OPT) && then_was.required() => {
                let promoted = self
                    .plan
                    .get(then)
                    .rsc
                    .is_some_and(|rsc| self.plan.now.rscs[rsc].orig_role == Role::Promoted);
                if promoted {
                    self.clear(first, OPT, then);
                    if !self.plan.get(then).migratable() {
                        self.clear(first, MIG, then);
                    }
                }
            }
            Kinds::MIG_CHAIN if counts(OPT) => {
                if !then_was.has(MIG | RUN) {
                    self.clear(first, RUN, then);
                }
                if then_was.required() {
                    self.clear(first, OPT, then);
                }
            }
            Kinds::ELSE_REAL if counts(OPT) && !first_was.runnable() => {
                self.clear(then, MIG, first);
                self.plan.get_mut(then).flags.clear(Flags::PSEUDO);
            }
            Kinds::FIRST_GATES if counts(RUN) && then_was.runnable() && !pull.flags.runnable() => {
                self.clear(then, RUN, first);
                self.clear(then, MIG, first);
            }
            Kinds::FIRST_PULLS
                if counts(OPT)
                    && then_was.has(OPT)
                    && pull.flags.required()
                    && !first_was.has(MIG) =>
            {
                self.clear(then, OPT, first);
            }
            Kinds::RESTART_STOP => self.restart(first, then),
            _ => {}
        }
        let mut changed = Changed::default();
        if self.plan.get(then).flags != then_was {
            changed.then = true;
            if self
                .plan
                .get(then)
                .rsc
                .is_some_and(|rsc| self.facts.rscs[rsc].parent.is_some())
            {
                self.process(then);
            }
        }
        changed.first = self.plan.get(first).flags != first_was;
        changed
    }

    /// spec 3 §14.6: a start that has to be done, or can't be done, makes the resource stop first.
    fn restart(&mut self, stop: ActIdx, start: ActIdx) {
        let then = self.plan.get(start);
        let same = then.rsc == self.plan.get(stop).rsc;
        let managed = then.rsc.is_some_and(|rsc| self.plan.now.rscs[rsc].managed);
        if !(then.required() || (!then.runnable() && managed && same)) {
            return;
        }
        if self.plan.get(stop).runnable() || self.plan.get(start).required() {
            self.clear(stop, OPT, start);
        }
        if !self.plan.get(start).migratable() {
            self.clear(stop, MIG, start);
        }
        let first = self.plan.get(stop);
        if first.required() && !first.runnable() {
            self.clear(start, RUN, stop);
        }
    }

    /// spec 3 §14.7
    fn one_way(&mut self, first: ActIdx, then: ActIdx) {
        let action = self.plan.get(then);
        let Some(rsc) = action.rsc else { return };
        if self.plan.get(first).runnable() {
            return;
        }
        if !action.required() {
            let state = self.plan.now.state(self.facts, rsc, false);
            if action.task == Task::STOP && state == Role::Stopped {
                return;
            }
            if action.task == Task::START
                && state >= Role::Started
                && self
                    .plan
                    .now
                    .single_active(self.facts, rsc)
                    .is_some_and(|node| action.node == Some(node))
            {
                return;
            }
        }
        self.clear(then, OPT, first);
        self.clear(then, RUN, first);
    }

    fn group(&mut self, first: ActIdx, then: ActIdx, pull: Pull) -> Changed {
        let mut changed = self.base(first, then, pull);
        let action = self.plan.get(then);
        let (Some(rsc), task) = (action.rsc, action.task) else {
            return changed;
        };
        for at in 0..self.plan.now.rscs[rsc].children.len() {
            let member = self.plan.now.rscs[rsc].children[at];
            if let Some(own) = self.plan.newest(member, task, pull.node) {
                changed = changed.and(self.update(member, first, own, pull));
            }
        }
        changed
    }

    /// spec 3 §14.8
    fn collective(&mut self, first: ActIdx, then: ActIdx, pull: Pull) -> Changed {
        if self.interleaved(first, then) {
            return self.each_with_its_own(first, then, pull);
        }
        let mut changed = self.base(first, then, pull);
        let action = self.plan.get(then);
        let (Some(rsc), task) = (action.rsc, action.task) else {
            return changed;
        };
        for instance in instance::instances(&self.plan, self.facts, rsc) {
            let Some(own) = self.plan.newest(instance, task, pull.node) else {
                continue;
            };
            if !derived::of(&mut self.plan, self.facts, own, pull.node).runnable() {
                continue;
            }
            let one = self.update(instance, first, own, pull);
            changed = changed.and(one);
            if one.then {
                self.process_behind(own);
            }
        }
        changed
    }

    fn interleaved(&self, first: ActIdx, then: ActIdx) -> bool {
        let (Some(first_rsc), Some(then_rsc)) = (self.plan.get(first).rsc, self.plan.get(then).rsc)
        else {
            return false;
        };
        let collective =
            |rsc: RscIdx| matches!(self.facts.rscs[rsc].kind, Kind::Clone(_) | Kind::Bundle(_));
        if first_rsc == then_rsc || !collective(first_rsc) || !collective(then_rsc) {
            return false;
        }
        let key = self.plan.get(then).key;
        let decides = if key.is(Task::STOP) || key.is(Task::DEMOTE) {
            first_rsc
        } else {
            then_rsc
        };
        self.facts.interleave(decides)
    }

    /// Interleaving: each instance follows the instance of the other collective that is on its own node.
    fn each_with_its_own(&mut self, first: ActIdx, then: ActIdx, pull: Pull) -> Changed {
        let mut changed = Changed::default();
        let (Some(first_rsc), Some(then_rsc)) = (self.plan.get(first).rsc, self.plan.get(then).rsc)
        else {
            return changed;
        };
        let first_key = self.plan.get(first).key;
        let over = |task: Task| task == Task::STOPPED || task == Task::DEMOTED;
        let current = match first_key {
            Key::Op(task, 0) | Key::Notify(_, task) => over(task),
            Key::Op(..) => false,
        };
        let first_task = derived::instance_task(&self.plan, self.facts, first_rsc, first);
        let then_task = self.plan.get(then).task;
        let gates = pull.kind == Kinds::FIRST_GATES || pull.kind == Kinds::FIRST_PULLS;
        for own in instance::instances(&self.plan, self.facts, then_rsc) {
            let Some(partner) = instance::compatible(
                self.facts,
                self.place,
                &self.plan.now,
                first_rsc,
                own,
                None,
                current,
            ) else {
                if !current && gates && self.unassign(own) {
                    changed.then = true;
                }
                continue;
            };
            let first_is_bundle = matches!(self.facts.rscs[first_rsc].kind, Kind::Bundle(_));
            let (first_who, first_node) =
                if first_is_bundle && first_task != Task::STOP && first_task != Task::STOPPED {
                    (
                        Some(self.facts.bundled_of(partner).unwrap_or(partner)),
                        None,
                    )
                } else {
                    (Some(partner), pull.node)
                };
            let then_is_bundle = matches!(self.facts.rscs[then_rsc].kind, Kind::Bundle(_));
            let inner = matches!(
                then_task,
                Task::PROMOTE | Task::PROMOTED | Task::DEMOTE | Task::DEMOTED
            );
            let (then_who, then_node) = if then_is_bundle && inner {
                (self.facts.bundled_of(own), None)
            } else {
                (Some(own), pull.node)
            };
            let first_own = first_who.and_then(|who| self.plan.newest(who, first_task, first_node));
            let then_own = then_who.and_then(|who| self.plan.newest(who, then_task, then_node));
            let (Some(first_own), Some(then_own)) = (first_own, then_own) else {
                continue;
            };
            if self
                .plan
                .relate_for(first_own, then_own, pull.kind, self.through)
            {
                changed = Changed {
                    first: true,
                    then: true,
                };
            }
            let flags = derived::of(&mut self.plan, self.facts, first_own, pull.node);
            let rsc = self.plan.get(then_own).rsc.unwrap_or(own);
            changed = changed.and(self.update(rsc, first_own, then_own, Pull { flags, ..pull }));
        }
        changed
    }

    /// Takes the node from something that may not run after all; its actions follow. spec 3 §3.6
    fn unassign(&mut self, rsc: RscIdx) -> bool {
        let mut had = false;
        for leaf in self.plan.now.leaves(rsc) {
            let now = &mut self.plan.now.rscs[leaf];
            had |= now.assigned.take().is_some();
            now.unassigned = false;
            now.next_role = Role::Stopped;
            self.plan.after_drop(leaf);
        }
        had
    }
}

/// Does the key name a notification?
pub(super) fn is_notify(key: Key) -> bool {
    matches!(key, Key::Notify(..))
}

impl Plan {
    /// What a resource that lost its node means for its existing actions. spec 3 §3.6
    pub(in super::super) fn after_drop(&mut self, rsc: RscIdx) {
        for at in 0..self.of(rsc).len() {
            let idx = self.of(rsc)[at];
            let action = self.get_mut(idx);
            if action.task == Task::STOP {
                action.flags.clear(OPT);
                self.required_by(idx, || Cause::Placed {
                    rsc,
                    from: None,
                    to: None,
                });
            } else if action.task == Task::START
                || (action.interval_ms() != 0 && action.meta.get("op_target_rc") != Some("7"))
            {
                action.flags.clear(RUN);
                self.blocked_by(idx, || Cause::Placed {
                    rsc,
                    from: None,
                    to: None,
                });
            }
        }
    }
}
