//! Forgetting: history that no longer means anything, failures of what is gone, operations to cancel. spec 3 §8.8, §8.9

use std::sync::Arc;

use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::plan::{ActIdx, Key, Kinds, Side, Task};
use super::{Make, request};
use crate::terms::Score;

impl Make<'_> {
    /// Removes a resource's history from a node, between stop and start.
    pub(super) fn clean_up(&mut self, rsc: RscIdx, node: NodeIdx) {
        if self.plan.now.rscs[rsc].failed || !self.plan.now.clean(node) {
            return;
        }
        let delete = self.ask(rsc, Task::DELETE, Some(node), false);
        let removed = self.facts.rscs[rsc].flags.removed;
        self.plan.required_by(delete, || {
            if removed {
                Cause::Removed
            } else {
                Cause::DefinitionChanged
            }
        });
        self.order(
            Side::task(rsc, Task::STOP),
            Side::task(rsc, Task::DELETE),
            Kinds::ORD,
        );
        self.order(
            Side::task(rsc, Task::DELETE),
            Side::task(rsc, Task::START),
            Kinds::ORD,
        );
    }

    /// Ends a recurring operation; its own action becomes the cancel. spec 3 §8.8 b
    pub(super) fn cancel(
        &mut self,
        rsc: RscIdx,
        node: NodeIdx,
        task: Task,
        interval_ms: u64,
        call_id: Option<i64>,
        why: &'static str,
    ) -> ActIdx {
        let key = Key::Op(task, interval_ms);
        let idx = request::action(
            &mut self.plan,
            self.facts,
            rsc,
            key,
            task,
            Some(node),
            false,
        );
        self.plan.required_by(idx, || Cause::Cancelled(why));
        let name = Arc::clone(self.plan.name(task));
        let it = self.plan.get_mut(idx);
        it.task = Task::CANCEL;
        it.cancels = Some(task);
        it.meta.set("operation", name);
        it.meta.set("interval", interval_ms.to_string());
        if let Some(call_id) = call_id {
            it.meta.set("call-id", call_id.to_string());
            self.order(Side::task(rsc, Task::STOP), Side::action(idx), Kinds::ORD);
        }
        idx
    }

    /// Failures of resources that are no longer configured. spec 3 §8.9
    pub(super) fn clear_removed(&mut self) {
        if !self.facts.options.stop_removed_resources {
            return;
        }
        for rsc in &self.place.order {
            if !self.facts.rscs[*rsc].flags.removed {
                continue;
            }
            for node in &self.facts.node_order {
                if self.plan.now.nodes[*node].online
                    && self.facts.failures(*rsc, *node).0 != Score::ZERO
                {
                    self.clear_failcount(*rsc, *node, None, Cause::Removed);
                    self.order(
                        Side::task(*rsc, Task::CLEAR),
                        Side::task(*rsc, Task::STOP),
                        Kinds::ORD,
                    );
                }
            }
        }
    }
}
