//! Recurring operations: on the node where the resource is active, and those that watch that it is not active
//! elsewhere. spec 3 §8.5

use super::super::facts::OpConfig;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::plan::{ActIdx, Expected, Flags, Key, Kinds, Origin, Side, Task};
use super::{Make, request};
use crate::terms::Role;

impl Make<'_> {
    pub(super) fn create_recurring(&mut self, rsc: RscIdx) {
        let facts = self.facts;
        let (fact, now) = (&facts.rscs[rsc], &self.plan.now.rscs[rsc]);
        if now.blocked || fact.flags.maintenance {
            return;
        }
        let home = now.assigned.filter(|node| !facts.nodes[*node].maintenance);
        let runs = now.next_role != Role::Stopped || !now.managed;
        let start = home
            .filter(|_| runs)
            .map(|node| (self.ask(rsc, Task::START, Some(node), true), node));
        for op in fact.ops.iter() {
            if !self.counts(rsc, op) {
                continue;
            }
            let stopped = op.role == Some(Role::Stopped);
            match start {
                Some((start, node)) if !stopped => self.while_active(rsc, op, start, node),
                _ => {}
            }
            if stopped && fact.flags.unique {
                self.while_inactive(rsc, op);
            }
        }
    }

    fn counts(&self, rsc: RscIdx, op: &OpConfig) -> bool {
        const NEVER: [&str; 7] = [
            "stop",
            "start",
            "demote",
            "promote",
            "reload-agent",
            "migrate_to",
            "migrate_from",
        ];
        let ops = &self.facts.rscs[rsc].ops;
        let same = |other: &&OpConfig| other.name == op.name && other.interval_ms == op.interval_ms;
        op.interval_ms > 0
            && !NEVER.contains(&&*op.name)
            && op.enabled
            && !op.role_invalid
            && ops.iter().filter(same).count() == 1
    }

    fn while_active(&mut self, rsc: RscIdx, op: &OpConfig, start: ActIdx, node: NodeIdx) {
        let task = self.plan.task(&op.name);
        let key = Key::Op(task, op.interval_ms);
        let existing = self.plan.with_key_on(rsc, key, node);
        let already = !self.plan.get(start).required()
            && !existing.is_empty()
            && existing
                .iter()
                .all(|idx| !self.plan.get(*idx).flags.has(Flags::RESCHEDULE));
        let now = &self.plan.now.rscs[rsc];
        let (orig, next, managed) = (now.orig_role, now.next_role, now.managed);
        let matches = match op.role {
            None => next != Role::Promoted,
            Some(role) => role == next,
        };
        if !matches {
            if already {
                let why = "it is for another role";
                let cancel = self.cancel(rsc, node, task, op.interval_ms, None, why);
                let before = match (orig, next) {
                    (Role::Started | Role::Unpromoted, Role::Promoted) => Some(Task::PROMOTE),
                    (Role::Started | Role::Unpromoted, Role::Stopped) => Some(Task::STOP),
                    (Role::Promoted, _) => Some(Task::DEMOTE),
                    _ => None,
                };
                if let Some(before) = before {
                    self.order(
                        Side::action(cancel),
                        Side::task(rsc, before),
                        Kinds::FIRST_GATES,
                    );
                }
            }
            return;
        }
        let idx = request::action(
            &mut self.plan,
            self.facts,
            rsc,
            key,
            task,
            Some(node),
            already,
        );
        if !already {
            self.plan
                .required_by(idx, || Cause::Operation { id: op.id.clone() });
        }
        let there = &self.plan.now.nodes[node];
        if !self.plan.get(start).runnable() || !there.online || there.unclean {
            self.plan.get_mut(idx).flags.clear(Flags::RUNNABLE);
            self.plan
                .follows(idx, Flags::RUNNABLE, start, Origin::default());
        }
        if next == Role::Promoted {
            self.plan.get_mut(idx).expect(Expected::Promoted);
        }
        if !managed {
            return;
        }
        let after = Kinds::FIRST_PULLS | Kinds::FIRST_GATES;
        self.order(Side::task(rsc, Task::START), Side::action(idx), after);
        self.order(Side::task(rsc, Task::RELOAD), Side::action(idx), after);
        if next == Role::Promoted {
            self.order(
                Side::task(rsc, Task::PROMOTE),
                Side::action(idx),
                Kinds::ORD | Kinds::FIRST_GATES,
            );
        } else if orig == Role::Promoted {
            self.order(
                Side::task(rsc, Task::DEMOTE),
                Side::action(idx),
                Kinds::ORD | Kinds::FIRST_GATES,
            );
        }
    }

    fn while_inactive(&mut self, rsc: RscIdx, op: &OpConfig) {
        let facts = self.facts;
        let task = self.plan.task(&op.name);
        let key = Key::Op(task, op.interval_ms);
        for node in &facts.node_order {
            let node = *node;
            let exists = !self.plan.with_key_on(rsc, key, node).is_empty();
            let now = &self.plan.now.rscs[rsc];
            let (assigned, next, managed) = (now.assigned, now.next_role, now.managed);
            if assigned == Some(node) {
                if exists {
                    let why = "it is for nodes where the resource does not run";
                    let cancel = self.cancel(rsc, node, task, op.interval_ms, None, why);
                    if matches!(next, Role::Started | Role::Unpromoted) {
                        self.order(
                            Side::action(cancel),
                            Side::task(rsc, Task::START),
                            Kinds::FIRST_GATES,
                        );
                    }
                }
                continue;
            }
            let idx = request::action(&mut self.plan, facts, rsc, key, task, Some(node), exists);
            self.plan.get_mut(idx).expect(Expected::NotRunning);
            if !exists {
                self.plan
                    .required_by(idx, || Cause::Operation { id: op.id.clone() });
            }
            if managed {
                for probe in self.plan.with_key_on(rsc, Key::of(Task::MONITOR), node) {
                    self.plan.relate(probe, idx, Kinds::FIRST_GATES);
                }
            }
            for stop in self.plan.with_key_on(rsc, Key::of(Task::STOP), node) {
                let (required, runnable) = (
                    self.plan.get(stop).required(),
                    self.plan.get(stop).runnable(),
                );
                let it = self.plan.get_mut(idx);
                if required && it.required() && !managed {
                    it.flags.set(Flags::OPTIONAL);
                }
                if !runnable {
                    it.flags.clear(Flags::RUNNABLE);
                }
                if managed {
                    self.plan
                        .relate(stop, idx, Kinds::FIRST_PULLS | Kinds::FIRST_GATES);
                }
            }
            if !self.plan.now.clean(node) {
                self.plan.get_mut(idx).flags.clear(Flags::RUNNABLE);
            }
        }
    }
}
