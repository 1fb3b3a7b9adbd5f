//! A bundle: containers spread like instances, then for each replica what belongs to it. spec 2 §15

use super::super::constraints::Colocation;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::Assign;
use crate::terms::{Role, Score};

impl Assign<'_> {
    /// Not guarded against being done twice: the recorded results have its lines twice then. spec 2 §15.5
    pub(super) fn assign_bundle(&mut self, rsc: RscIdx, prefer: Option<NodeIdx>, last: bool) {
        let Some(bundle) = self.facts.rscs[rsc].bundle() else {
            return;
        };
        self.place.now.rscs[rsc].assigning = true;
        self.print("pcmk__bundle_assign", rsc);
        let mut containers: Vec<RscIdx> = bundle
            .replicas
            .iter()
            .map(|replica| replica.container)
            .collect();
        self.sort_instances(rsc, &mut containers);
        let max = u32::try_from(bundle.replicas.len()).unwrap_or(u32::MAX);
        self.assign_instances(rsc, &containers, max, bundle.per_host);
        for replica in &bundle.replicas {
            if let Some(ip) = replica.ip {
                self.assign(ip, prefer, last);
            }
            if let Some(connection) = replica.connection {
                self.beside_remote_host(connection, replica.container);
                self.assign(connection, prefer, last);
            }
            if let (Some(child), Some(node), Some(clone)) =
                (replica.child, replica.node, bundle.clone)
            {
                self.only_on_own_node(child, node);
                let was = std::mem::replace(&mut self.place.now.rscs[clone].assigning, true);
                self.assign(child, Some(node), last);
                self.place.now.rscs[clone].assigning = was;
            }
        }
        if let Some(clone) = bundle.clone {
            let mut banned = Vec::new();
            for (node, entry) in self.place.allowed[clone].iter_mut() {
                let own = bundle
                    .replicas
                    .iter()
                    .any(|replica| replica.node == Some(node));
                entry.score = if own {
                    Score::ZERO
                } else {
                    banned.push(node);
                    Score::MINUS_INFINITY
                };
            }
            for node in banned {
                let cause = Cause::Implied("it runs in the bundle's containers only");
                self.note(clone, Some(node), Score::MINUS_INFINITY, &cause);
            }
            self.assign(clone, prefer, last);
        }
        self.place.now.rscs[rsc].assigning = false;
        self.place.now.rscs[rsc].unassigned = false;
    }

    /// The connection to a container on a remote node goes with that node's own connection. spec 2 §15.2 step 3b
    fn beside_remote_host(&mut self, connection: RscIdx, container: RscIdx) {
        let Some(host) = self.place.now.rscs[container].assigned else {
            return;
        };
        let Some(primary) = self.facts.nodes[host].connection else {
            return;
        };
        let col = self.place.colocations.push(Colocation {
            id: "#replica-remote-with-host-remote".into(),
            dependent: connection,
            primary,
            score: Score::INFINITY,
            node_attribute: "#uname".into(),
            dependent_role: Role::Unknown,
            primary_role: Role::Unknown,
            influence: true,
            explicit: false,
        });
        self.place.this_with[connection].insert(0, col);
        self.place.with_this[primary].insert(0, col);
    }

    fn only_on_own_node(&mut self, child: RscIdx, own: NodeIdx) {
        let too_often = self.threshold_reached(child, own);
        let mut banned = Vec::new();
        for (node, entry) in self.place.allowed[child].iter_mut() {
            if node != own {
                entry.score = Score::MINUS_INFINITY;
                banned.push(node);
            } else if !too_often {
                entry.score = Score::INFINITY;
            }
        }
        for node in banned {
            self.note(
                child,
                Some(node),
                Score::MINUS_INFINITY,
                &Cause::Implied("it runs in its own container only"),
            );
        }
    }
}
