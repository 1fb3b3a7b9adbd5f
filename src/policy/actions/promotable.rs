//! Promotion and demotion of a clone's instances, with the clone's ordering points around them. spec 3 §9.5

use super::super::RscIdx;
use super::plan::Task;
use super::{Make, notify};

impl Make<'_> {
    pub(super) fn create_promotable(&mut self, clone: RscIdx) {
        let (mut promotes, mut demotes) = (false, false);
        for instance in self.plan.now.rscs[clone].children.clone() {
            // A second time: harmless but for reasons, which are erased, as in the recorded results.
            self.create(instance);
            for leaf in self.plan.now.leaves(instance) {
                for idx in self.plan.of(leaf) {
                    let it = self.plan.get(*idx);
                    promotes |= it.required() && it.task == Task::PROMOTE;
                    demotes |= it.required() && it.task == Task::DEMOTE;
                }
            }
        }
        let promote = self.point(clone, Task::PROMOTE, !promotes, true);
        let promoted = self.point(clone, Task::PROMOTED, !promotes, true);
        let notified = self.facts.rscs[clone].flags.notify;
        if notified {
            notify::points(
                &mut self.plan,
                self.facts,
                clone,
                Task::PROMOTE,
                promote,
                promoted,
            );
        }
        let demote = self.point(clone, Task::DEMOTE, !demotes, true);
        let demoted = self.point(clone, Task::DEMOTED, !demotes, true);
        if notified {
            notify::points(
                &mut self.plan,
                self.facts,
                clone,
                Task::DEMOTE,
                demote,
                demoted,
            );
            notify::cross(&mut self.plan, clone, Task::STOP, Task::PROMOTE);
            notify::cross(&mut self.plan, clone, Task::START, Task::PROMOTE);
            notify::cross(&mut self.plan, clone, Task::DEMOTE, Task::PROMOTE);
            notify::cross(&mut self.plan, clone, Task::DEMOTE, Task::START);
            notify::cross(&mut self.plan, clone, Task::DEMOTE, Task::STOP);
        }
        for done in [promoted, demoted] {
            self.plan.get_mut(done).priority = 1_000_000;
        }
        let priority = self.facts.rscs[clone].priority;
        for instance in self.plan.now.rscs[clone].children.clone() {
            self.plan.now.rscs[instance].priority = priority;
        }
    }
}
