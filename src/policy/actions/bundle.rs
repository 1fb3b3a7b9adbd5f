//! A bundle: each replica's parts, then ordering points over its containers. spec 3 §9.6

use super::super::RscIdx;
use super::Make;
use super::plan::Task;

impl Make<'_> {
    pub(super) fn create_bundle(&mut self, rsc: RscIdx) {
        let Some(bundle) = self.facts.rscs[rsc].bundle() else {
            return;
        };
        for replica in &bundle.replicas {
            for part in [replica.ip, Some(replica.container), replica.connection]
                .into_iter()
                .flatten()
            {
                self.create(part);
            }
        }
        let containers: Vec<RscIdx> = bundle
            .replicas
            .iter()
            .map(|replica| replica.container)
            .collect();
        self.create_instances(rsc, &containers);
        let Some(clone) = bundle.clone else { return };
        self.create(clone);
        if self.facts.rscs[clone].flags.promotable {
            for task in [Task::PROMOTE, Task::PROMOTED, Task::DEMOTE, Task::DEMOTED] {
                let point = self.point(rsc, task, true, true);
                if task == Task::PROMOTED || task == Task::DEMOTED {
                    self.plan.get_mut(point).priority = 1_000_000;
                }
            }
        }
    }
}
