//! What history asked for while it was read becomes actions, in the same order. spec 3 §5

use super::super::facts::Wish;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::plan::{Flags, Key, Kinds, Task};
use super::{Make, fencing, request};

impl Make<'_> {
    pub(super) fn wishes(&mut self) {
        let facts = self.facts;
        for wish in &facts.wishes {
            match wish {
                Wish::Recurring {
                    rsc,
                    node,
                    task,
                    interval_ms,
                } => {
                    let task = self.plan.task(task);
                    let key = Key::Op(task, *interval_ms);
                    request::action(&mut self.plan, facts, *rsc, key, task, Some(*node), true);
                }
                Wish::Stop { rsc, node, cause } => {
                    let stop = self.ask(*rsc, Task::STOP, Some(*node), false);
                    self.plan.required_by(stop, || (**cause).clone());
                }
                Wish::Demote { rsc, node, cause } => {
                    let demote = self.ask(*rsc, Task::DEMOTE, Some(*node), false);
                    self.plan.required_by(demote, || (**cause).clone());
                }
                Wish::StopsOptional { rsc, node } => {
                    for stop in self.plan.with_key_on(*rsc, Key::of(Task::STOP), *node) {
                        self.plan.get_mut(stop).flags.set(Flags::OPTIONAL);
                    }
                }
                Wish::Fence {
                    node,
                    reason,
                    priority_delay,
                    cause,
                } => {
                    let fence = fencing::action(
                        &mut self.plan,
                        facts,
                        *node,
                        None,
                        true,
                        Some(reason),
                        *priority_delay,
                    );
                    self.plan.required_by(fence, || (**cause).clone());
                }
                Wish::ClearFailcount {
                    rsc,
                    node,
                    after_fencing,
                    reason,
                } => {
                    self.clear_failcount(*rsc, *node, *after_fencing, Cause::Forget(reason));
                }
                Wish::LrmDelete { rsc, node } => self.forget_lock(*rsc, *node),
                Wish::DeferredFailureCheck { .. } => {}
            }
        }
        for (node, reason, cause) in &self.place.fencing {
            let fence = fencing::action(
                &mut self.plan,
                facts,
                *node,
                None,
                true,
                Some(reason),
                false,
            );
            self.plan.required_by(fence, || cause.clone());
        }
        for (rsc, node) in &self.place.dropped_locks {
            self.forget_lock(*rsc, *node);
        }
    }

    /// Required, and nobody waits for its result.
    pub(super) fn clear_failcount(
        &mut self,
        rsc: RscIdx,
        node: NodeIdx,
        after_fencing: Option<NodeIdx>,
        cause: Cause,
    ) {
        let clear = self.ask(rsc, Task::CLEAR, Some(node), false);
        self.plan.required_by(clear, || cause);
        self.plan.get_mut(clear).meta.set("op_no_wait", "true");
        if let Some(remote) = after_fencing {
            let fence =
                fencing::action(&mut self.plan, self.facts, remote, None, true, None, false);
            self.plan.relate(fence, clear, Kinds::FIRST_PULLS);
        }
    }

    fn forget_lock(&mut self, rsc: RscIdx, node: NodeIdx) {
        let forget = self.ask(rsc, Task::LRM_DELETE, Some(node), false);
        self.plan
            .required_by(forget, || Cause::ShutdownLock { node });
    }

    /// Digest checks that had to wait for the assignment, last one first. spec 1 §25.5
    pub(super) fn deferred_failure_checks(&mut self) {
        let facts = self.facts;
        for wish in facts.wishes.iter().rev() {
            if let Wish::DeferredFailureCheck { rsc, node, entry } = wish
                && self.changed_since(*rsc, *node, *entry)
            {
                self.clear_failcount(*rsc, *node, None, Cause::DefinitionChanged);
            }
        }
    }
}
