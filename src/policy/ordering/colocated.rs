//! What has to be with a resource that can't start, can't start either. spec 3 §14.9

use std::sync::Arc;

use super::super::RscIdx;
use super::super::actions::plan::{ActIdx, Flags, Task};
use super::super::assign::colocation;
use super::super::report::Cause;
use super::settle::Settle;
use crate::terms::{Role, Score};

impl Settle<'_> {
    /// Blocks the start or promotion of whatever must be with the resource of `action`.
    pub(super) fn block_colocated(&mut self, action: ActIdx) {
        let blocked = self.plan.get(action);
        let task = blocked.task;
        if (task != Task::START && task != Task::PROMOTE) || blocked.runnable() {
            return;
        }
        let Some(cause) = blocked.rsc else { return };
        let mut rsc = self.facts.top_of(cause);
        if let Some(bundle) = self.facts.rscs[rsc].parent {
            rsc = bundle;
        }
        for at in 0..self.plan.now.rscs[rsc].children.len() {
            let child = self.plan.now.rscs[rsc].children[at];
            match self.plan.newest(child, task, None) {
                Some(own) if !self.plan.get(own).runnable() => {}
                _ => return,
            }
        }
        for colocation in colocation::with_this(self.facts, self.place, &self.plan.now, rsc) {
            let colocation = self.place.colocations[colocation].clone();
            if colocation.score < Score::INFINITY
                || (task == Task::PROMOTE && colocation.primary_role != Role::Promoted)
            {
                continue;
            }
            let theirs = if colocation.dependent_role == Role::Promoted {
                Task::PROMOTE
            } else {
                Task::START
            };
            let because = Cause::Colocation {
                constraint: colocation.id.clone(),
                with: cause,
            };
            self.block(colocation.dependent, theirs, cause, &because);
        }
    }

    /// Nothing may wait for what is never done. The specification leaves a monitor of something that can't start in the graph:
    /// it only looks once more at what is blocked, and not at what comes after. Done last, it takes nobody's reason away.
    pub(super) fn behind_the_blocked(&mut self) {
        let mut next = 0;
        while let Some(action) = self.parted.get(next).copied() {
            self.process_behind(action);
            self.catch_up();
            next += 1;
        }
    }

    fn block(&mut self, rsc: RscIdx, task: Task, cause: RscIdx, because: &Cause) {
        for at in (0..self.plan.of(rsc).len()).rev() {
            let own = self.plan.of(rsc)[at];
            if self.plan.get(own).task != task || !self.plan.get(own).runnable() {
                continue;
            }
            let reason: Arc<str> =
                Arc::from(format!("colocation with {}", self.facts.rscs[cause].id));
            let action = self.plan.get_mut(own);
            action.flags.clear(Flags::RUNNABLE);
            action.reason.get_or_insert(reason);
            self.plan.blocked_by(own, || because.clone());
            self.block_colocated(own);
            self.process(own);
            self.parted.push(own);
        }
        for at in 0..self.plan.now.rscs[rsc].children.len() {
            let child = self.plan.now.rscs[rsc].children[at];
            self.block(child, task, cause, because);
        }
    }
}
