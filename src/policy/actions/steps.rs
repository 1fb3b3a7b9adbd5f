//! The four steps between roles: stop, start, promote, demote. spec 3 §8.2, §8.4

use std::sync::Arc;

use super::super::facts::Requires;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::plan::{ActIdx, Flags, Key, Kinds, Origin, Task};
use super::{Make, fencing};
use crate::terms::Role;

impl Make<'_> {
    /// One step from a role to the next; false where the walk ends.
    pub(super) fn step(&mut self, rsc: RscIdx, from: Role, to: Role, optional: bool) -> bool {
        use Role::{Promoted, Started, Stopped, Unpromoted};
        let node = self.plan.now.rscs[rsc].assigned;
        match (from, to) {
            (Stopped, Started | Unpromoted | Promoted) => self.start(rsc, node, optional),
            (Started | Unpromoted, Promoted) => self.promote(rsc, node, optional),
            (Promoted, _) => self.demote(rsc, optional),
            (Started, Unpromoted) => return false,
            (_, Stopped) | (Unpromoted, Started) => self.stop(rsc, optional),
            _ => return false,
        }
        true
    }

    /// Only unexpected copies are stopped, and this is the expected one.
    fn expected(&self, rsc: RscIdx, node: Option<NodeIdx>) -> bool {
        let now = &self.plan.now.rscs[rsc];
        now.stop_unexpected
            && now.restarting
            && now.next_role > Role::Stopped
            && node.is_some()
            && now.assigned == node
    }

    fn stop(&mut self, rsc: RscIdx, optional: bool) {
        let facts = self.facts;
        for node in &facts.rscs[rsc].active {
            let now = &self.plan.now.rscs[rsc];
            if self.expected(rsc, Some(*node)) {
                continue;
            }
            let target = now.migration_target;
            if target == Some(*node) && now.assigned == Some(*node) {
                continue;
            }
            self.stop_on(rsc, *node, optional && target.is_none());
        }
    }

    pub(super) fn stop_on(&mut self, rsc: RscIdx, node: NodeIdx, optional: bool) -> ActIdx {
        let stop = self.ask(rsc, Task::STOP, Some(node), optional);
        if !optional {
            self.note_step(stop);
        }
        let now = &self.plan.now.rscs[rsc];
        let reason = if now.assigned.is_none() {
            Some("node availability")
        } else if now.restarting && now.stop_unexpected {
            Some("being multiply active")
        } else {
            None
        };
        let managed = now.managed;
        let it = self.plan.get_mut(stop);
        if let Some(reason) = reason {
            it.reason = Some(Arc::from(reason));
        }
        if !managed {
            it.flags.clear(Flags::RUNNABLE);
            self.plan.blocked_by(stop, || Cause::Unmanaged);
        }
        if self.facts.rscs[rsc].requires == Requires::Unfencing {
            let unfence = fencing::action(
                &mut self.plan,
                self.facts,
                node,
                Some("on"),
                true,
                None,
                false,
            );
            self.plan.relate(stop, unfence, Kinds::THEN_PULLS);
        }
        stop
    }

    fn start(&mut self, rsc: RscIdx, node: Option<NodeIdx>, optional: bool) {
        let start = self.ask(rsc, Task::START, node, true);
        if let Some(node) = node {
            fencing::after_unfencing(
                &mut self.plan,
                self.facts,
                rsc,
                node,
                start,
                Kinds::FIRST_PULLS,
            );
        }
        // What is not managed is not started (spec 3 §3.4, §8.10), so nothing is started again after it.
        let managed = self.plan.now.rscs[rsc].managed;
        if self.plan.get(start).runnable() && !optional && managed {
            self.plan.get_mut(start).flags.clear(Flags::OPTIONAL);
            self.note_step(start);
        }
        if self.expected(rsc, node) {
            self.plan.get_mut(start).flags.set(Flags::PSEUDO);
        }
    }

    fn promote(&mut self, rsc: RscIdx, node: Option<NodeIdx>, optional: bool) {
        let on = |make: &mut Self, task: Task| match node {
            Some(node) => make.plan.with_key_on(rsc, Key::of(task), node),
            None => make.plan.with_key(rsc, Key::of(task)),
        };
        let starts = on(self, Task::START);
        let blocked = starts
            .into_iter()
            .find(|start| !self.plan.get(*start).runnable());
        if let Some(start) = blocked {
            for promote in on(self, Task::PROMOTE) {
                self.plan.get_mut(promote).flags.clear(Flags::RUNNABLE);
                self.plan
                    .follows(promote, Flags::RUNNABLE, start, Origin::default());
            }
            return;
        }
        let promote = self.ask(rsc, Task::PROMOTE, node, optional);
        if !optional {
            self.note_step(promote);
        }
        if self.expected(rsc, node) {
            self.plan.get_mut(promote).flags.set(Flags::PSEUDO);
        }
    }

    fn demote(&mut self, rsc: RscIdx, optional: bool) {
        let facts = self.facts;
        for node in &facts.rscs[rsc].active {
            if !self.expected(rsc, Some(*node)) {
                let demote = self.ask(rsc, Task::DEMOTE, Some(*node), optional);
                if !optional {
                    self.note_step(demote);
                }
            }
        }
    }
}
