//! A clone's own actions are ordering points around its instances' ones. spec 3 §9.3

use super::super::RscIdx;
use super::super::facts::Kind;
use super::plan::{ActIdx, Flags, Key, Task};
use super::{Make, notify, request};

/// What the primitives of a collective are about to do.
#[derive(Clone, Copy, Debug, Default)]
struct Doing {
    active: bool,
    starting: bool,
    stopping: bool,
    restarting: bool,
}

impl Make<'_> {
    pub(super) fn create_clone(&mut self, clone: RscIdx) {
        let instances = self.plan.now.rscs[clone].children.clone();
        self.create_instances(clone, &instances);
        if self.facts.rscs[clone].flags.promotable {
            self.create_promotable(clone);
        }
    }

    /// Instances, and the collective's start, running, stop, stopped.
    pub(super) fn create_instances(&mut self, collective: RscIdx, instances: &[RscIdx]) {
        let mut doing = Doing::default();
        for instance in instances {
            self.create(*instance);
            for leaf in self.plan.now.leaves(*instance) {
                self.look(leaf, &mut doing);
            }
        }
        let start = self.point(collective, Task::START, !doing.starting, true);
        let running = self.point(
            collective,
            Task::RUNNING,
            !doing.starting,
            doing.active || doing.starting,
        );
        let stop = self.point(collective, Task::STOP, !doing.stopping, true);
        let stopped = self.point(collective, Task::STOPPED, !doing.stopping, true);
        for done in [running, stopped] {
            self.plan.get_mut(done).priority = 1_000_000;
        }
        if !doing.restarting {
            self.plan.get_mut(stop).flags.set(Flags::MIGRATABLE);
        }
        let clone = matches!(self.facts.rscs[collective].kind, Kind::Clone(_));
        if clone && self.facts.rscs[collective].flags.notify {
            notify::points(
                &mut self.plan,
                self.facts,
                collective,
                Task::START,
                start,
                running,
            );
            notify::points(
                &mut self.plan,
                self.facts,
                collective,
                Task::STOP,
                stop,
                stopped,
            );
            notify::cross(&mut self.plan, collective, Task::STOP, Task::START);
        }
    }

    /// An ordering point of a collective.
    pub(super) fn point(
        &mut self,
        rsc: RscIdx,
        task: Task,
        optional: bool,
        runnable: bool,
    ) -> ActIdx {
        request::pseudo(
            &mut self.plan,
            self.facts,
            rsc,
            Key::of(task),
            task,
            optional,
            runnable,
        )
    }

    fn look(&self, leaf: RscIdx, doing: &mut Doing) {
        doing.active |= !self.facts.rscs[leaf].active.is_empty();
        let (mut starts, mut stops) = (false, false);
        for idx in self.plan.of(leaf) {
            let it = self.plan.get(*idx);
            if it.required() {
                starts |= it.task == Task::START && it.runnable();
                stops |= it.task == Task::STOP && (it.pseudo() || it.runnable());
            }
        }
        doing.starting |= starts;
        doing.stopping |= stops;
        doing.restarting |= starts && stops;
    }
}
