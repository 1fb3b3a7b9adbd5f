//! Live migration: two more actions, and a chain that falls apart into an ordinary move if any link breaks.
//! spec 3 §8.6

use super::super::{NodeIdx, RscIdx};
use super::Make;
use super::plan::{Flags, Kinds, Side, Task};

impl Make<'_> {
    pub(super) fn may_migrate(&self, rsc: RscIdx, from: NodeIdx, to: NodeIdx) -> bool {
        let now = &self.plan.now.rscs[rsc];
        self.facts.rscs[rsc].flags.migratable
            && now.managed
            && !now.failed
            && !now.start_pending
            && self.plan.now.clean(from)
            && self.plan.now.clean(to)
    }

    pub(super) fn create_migration(&mut self, rsc: RscIdx, from: NodeIdx, to: NodeIdx) {
        let start = self.ask(rsc, Task::START, Some(to), true);
        let stop = self.ask(rsc, Task::STOP, Some(from), true);
        let continues = self.plan.now.rscs[rsc].migration_target.is_some();
        let leave = (!continues).then(|| self.ask(rsc, Task::MIGRATE_TO, Some(from), true));
        let arrive = self.ask(rsc, Task::MIGRATE_FROM, Some(to), true);
        for idx in [Some(start), Some(stop), leave, Some(arrive)]
            .into_iter()
            .flatten()
        {
            self.plan.get_mut(idx).flags.set(Flags::MIGRATABLE);
        }
        self.plan.get_mut(start).flags.set(Flags::PSEUDO);
        let needs = self.plan.get(start).needs;
        let (source, target) = (
            self.facts.nodes[from].name.clone(),
            self.facts.nodes[to].name.clone(),
        );
        for idx in [leave, Some(arrive)].into_iter().flatten() {
            let it = self.plan.get_mut(idx);
            it.meta.set("migrate_source", source.as_str());
            it.meta.set("migrate_target", target.as_str());
        }
        let probe = Side::task(rsc, Task::MONITOR);
        match leave {
            Some(leave) => {
                let it = self.plan.get_mut(leave);
                it.needs = needs;
                if !self.facts.rscs[rsc].flags.connection {
                    it.meta.set("record-pending", "true");
                }
                self.order(probe, Side::task(rsc, Task::MIGRATE_TO), Kinds::ORD);
                let kinds = Kinds::ORD | Kinds::MIG_CHAIN;
                self.order(
                    Side::task(rsc, Task::MIGRATE_TO),
                    Side::task(rsc, Task::MIGRATE_FROM),
                    kinds,
                );
            }
            None => {
                self.plan.get_mut(arrive).needs = needs;
                self.order(probe, Side::task(rsc, Task::MIGRATE_FROM), Kinds::ORD);
            }
        }
        let chain = Kinds::ORD | Kinds::MIG_CHAIN;
        self.order(
            Side::task(rsc, Task::MIGRATE_FROM),
            Side::task(rsc, Task::STOP),
            chain,
        );
        self.order(
            Side::task(rsc, Task::MIGRATE_FROM),
            Side::task(rsc, Task::START),
            chain | Kinds::ELSE_REAL,
        );
    }
}
