//! Definitions that changed since they were used: restart, reload, schedule again, cancel, or forget. spec 3 §6

use std::sync::Arc;

use super::super::facts::digest::Verdict;
use super::super::facts::{HistoryEntry, HistoryOp};
use super::super::index::ByName;
use super::super::report::Cause;
use super::super::{IdxVec, NodeIdx, RscIdx};
use super::plan::{Flags, Key, Kinds, Side, Task};
use super::{Make, fencing, request};
use crate::terms::{Score, span};

const CHANGED: &str = "resource definition change";

impl Make<'_> {
    /// Compares what nodes ran with what is defined now. spec 3 §6.3
    pub(super) fn definitions(&mut self) {
        let facts = self.facts;
        let mut by_name: ByName<&str, Vec<RscIdx>> = ByName::default();
        for top in &facts.top {
            for leaf in facts.leaves(*top) {
                // Entries of these say themselves whose they are.
                if facts.is_plain(leaf) {
                    continue;
                }
                let fact = &facts.rscs[leaf];
                by_name.entry(fact.id.as_str()).or_default().push(leaf);
                if let Some(name) = &fact.history_id {
                    by_name.entry(name.as_str()).or_default().push(leaf);
                }
            }
        }
        for node in &facts.node_order {
            let (fact, now) = (&facts.nodes[*node], &self.plan.now.nodes[*node]);
            let usable = now.online && !now.shutdown && !now.unclean && !fact.standby;
            if !fact.maintenance && !usable {
                continue;
            }
            let mut active = IdxVec::from_fn(facts.rscs.len(), |_| false);
            for rsc in &fact.running {
                active[*rsc] = true;
            }
            for (at, entry) in facts.history.of(*node) {
                if entry.idle && !entry.rsc.is_some_and(|rsc| active[rsc]) {
                    continue;
                }
                if entry.recorded.ops.is_empty() {
                    continue;
                }
                if let Some(rsc) = entry.rsc.filter(|_| entry.plain) {
                    self.compare_entry(rsc, at, &entry);
                    continue;
                }
                for rsc in by_name.get(entry.recorded.id()).into_iter().flatten().rev() {
                    self.compare_entry(*rsc, at, &entry);
                }
            }
        }
    }

    fn compare_entry(&mut self, rsc: RscIdx, at: usize, entry: &HistoryEntry<'_>) {
        let facts = self.facts;
        let (fact, node, recorded) = (&facts.rscs[rsc], entry.node, entry.recorded);
        if fact.flags.removed {
            let top = facts.top_of(rsc);
            if top == rsc || facts.rscs[top].clone_facts().is_none() || facts.rscs[top].flags.unique
            {
                self.clean_up(rsc, node);
            }
            return;
        }
        let active = fact.active.contains(&node);
        if !recorded.is_of(fact) {
            let reason = "Device definition changed";
            fencing::require_unfencing(&mut self.plan, facts, Some(rsc), Some(node), reason);
            if active {
                let stop = self.ask(rsc, Task::STOP, Some(node), false);
                self.plan.required_by(stop, || Cause::DefinitionChanged);
                self.plan.now.rscs[rsc].start_pending = true;
            }
            self.clean_up(rsc, node);
        }
        if !active || recorded.stopped() {
            return;
        }
        let in_maintenance = fact.flags.maintenance || facts.nodes[node].maintenance;
        for (position, op) in recorded.ops.iter().enumerate() {
            if i64::try_from(position).unwrap_or(i64::MAX) < i64::from(recorded.start_index) {
                continue;
            }
            // A probe that is under way, or was when its node was lost, has nothing to compare. The specification takes it for
            // one with other parameters, and what runs would be started again and again.
            if op.is_probe() && op.status == Some(-1) {
                continue;
            }
            if op.interval_ms > 0 && in_maintenance {
                let task = self.plan.task(&op.task);
                self.cancel(
                    rsc,
                    node,
                    task,
                    op.interval_ms,
                    Some(op.call_id),
                    "nothing is looked at in maintenance",
                );
            } else if op.interval_ms > 0
                || matches!(&*op.task, "monitor" | "start" | "promote" | "migrate_from")
            {
                if entry.plain && entry.rescheduled.is_empty() && facts.is_settled(rsc, op) {
                    continue;
                }
                if facts.address_is_deferred(rsc) {
                    self.deferred.push((rsc, at, position));
                } else {
                    self.compare_and_clear(rsc, at, position, None);
                }
            }
        }
    }

    fn compare_and_clear(&mut self, rsc: RscIdx, entry: usize, op: usize, address: Option<&str>) {
        let entry = self.facts.history.at(entry);
        let rescheduled = entry.rescheduled.contains(&op);
        let (node, op) = (entry.node, &entry.recorded.ops[op]);
        if self.changed(rsc, node, op, rescheduled, address)
            && self.facts.failures(rsc, node).0 != Score::ZERO
        {
            self.clear_failcount(rsc, node, None, Cause::DefinitionChanged);
        }
    }

    /// Checks that needed to know where a bundle's container will be, last one first. spec 3 §6.3
    pub(super) fn deferred_checks(&mut self) {
        let facts = self.facts;
        for (rsc, entry, op) in std::mem::take(&mut self.deferred).into_iter().rev() {
            let address = address(&self.plan, facts, rsc);
            self.compare_and_clear(rsc, entry, op, address);
        }
        self.deferred_failure_checks();
    }

    /// Did the parameters change since the failure that this entry records?
    pub(super) fn changed_since(
        &self,
        rsc: RscIdx,
        node: NodeIdx,
        (entry, op): (usize, usize),
    ) -> bool {
        let entry = self.facts.history.at(entry);
        if entry.rescheduled.contains(&op) {
            return true;
        }
        let op = &entry.recorded.ops[op];
        let verdict =
            self.facts
                .compare_digest(rsc, node, op, address(&self.plan, self.facts, rsc));
        matches!(verdict, Verdict::Mismatch | Verdict::Restart)
    }

    /// spec 3 §6.4
    fn changed(
        &mut self,
        rsc: RscIdx,
        node: NodeIdx,
        op: &HistoryOp,
        rescheduled: bool,
        address: Option<&str>,
    ) -> bool {
        let facts = self.facts;
        let recurring = op.interval_ms > 0;
        let task = self.plan.task(&op.task);
        if recurring
            && facts
                .find_op(rsc, &op.task, op.interval_ms, false)
                .is_none()
        {
            if facts.options.cancel_removed_actions {
                self.cancel(
                    rsc,
                    node,
                    task,
                    op.interval_ms,
                    Some(op.call_id),
                    "it is not configured any more",
                );
            }
            return true;
        }
        // An expired result must be scheduled again, whatever the parameters. // spec 1 §22.4
        let verdict = if rescheduled {
            Verdict::Restart
        } else {
            facts.compare_digest(rsc, node, op, address)
        };
        if verdict == Verdict::Match {
            return false;
        }
        if facts.only_private_changed(rsc, node, op, address) {
            self.plan.private_changes.push(format!(
                "Only 'private' parameters to {}-interval {} for {} on {} changed: {}",
                span::readable(op.interval_ms),
                op.task,
                facts.rscs[rsc].id,
                facts.nodes[node].name,
                op.element.get("transition-magic").unwrap_or_default(),
            ));
            return false;
        }
        let mut unfence = |why: &str| {
            fencing::require_unfencing(&mut self.plan, facts, Some(rsc), Some(node), why);
        };
        if verdict != Verdict::Restart && recurring {
            unfence("Device parameters changed (reschedule)");
            let key = Key::Op(task, op.interval_ms);
            let idx = request::action(&mut self.plan, facts, rsc, key, task, Some(node), true);
            self.plan.get_mut(idx).flags.set(Flags::RESCHEDULE);
            self.plan.required_by(idx, || Cause::DefinitionChanged);
        } else if verdict != Verdict::Restart && op.element.get("op-restart-digest").is_some() {
            unfence("Device parameters changed (reload)");
            self.reload(rsc, node);
        } else {
            let as_start =
                !recurring && matches!(task, Task::MONITOR | Task::MIGRATE_FROM | Task::PROMOTE);
            let task = if as_start { Task::START } else { task };
            let key = Key::Op(task, op.interval_ms);
            let idx = request::action(&mut self.plan, facts, rsc, key, task, None, false);
            self.plan.get_mut(idx).reason = Some(Arc::from(CHANGED));
            self.plan.required_by(idx, || Cause::DefinitionChanged);
            fencing::require_unfencing(
                &mut self.plan,
                facts,
                Some(rsc),
                Some(node),
                "Device parameters changed",
            );
        }
        true
    }

    fn reload(&mut self, rsc: RscIdx, node: NodeIdx) {
        let now = &mut self.plan.now.rscs[rsc];
        if !now.managed || now.failed {
            return;
        }
        if now.start_pending {
            let stop = self.ask(rsc, Task::STOP, Some(node), false);
            self.plan.required_by(stop, || Cause::DefinitionChanged);
            return;
        }
        now.reload = true;
        let reload = self.ask(rsc, Task::RELOAD, Some(node), false);
        self.plan.required_by(reload, || Cause::DefinitionChanged);
        self.plan
            .get_mut(reload)
            .reason
            .get_or_insert_with(|| Arc::from(CHANGED));
        for task in [Task::STOP, Task::DEMOTE] {
            self.order(
                Side::action(reload),
                Side::task(rsc, task),
                Kinds::ORD | Kinds::THEN_CANCELS,
            );
        }
    }
}

/// The name of the node where a connection's container is or will be. spec 1 §15.8
pub(in super::super) fn address<'a>(
    plan: &super::plan::Plan,
    facts: &'a super::super::facts::Facts,
    connection: RscIdx,
) -> Option<&'a str> {
    let container = facts.rscs[connection].launcher?;
    let node = plan.now.rscs[container]
        .assigned
        .or_else(|| plan.now.current(facts, container))?;
    Some(facts.nodes[node].name.as_str())
}
