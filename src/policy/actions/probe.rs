//! Probes: what is not known from history is asked. spec 3 §7.1

use super::super::facts::{Facts, Kind, Replica};
use super::super::report::Cause;
use super::super::{Discovery, NodeIdx, NodeSet, RscIdx};
use super::plan::{ActIdx, Expected, Flags, Key, Kinds, Side, Task};
use super::{Make, fencing};
use crate::terms::Role;

/// Whether anything in it was looked for there.
fn is_known(facts: &Facts, rsc: RscIdx, node: NodeIdx) -> bool {
    let mut inside = facts.rscs[rsc].children.iter();
    facts.known[rsc].contains(node) || inside.any(|child| is_known(facts, *child, node))
}

/// Where nothing of it is left to be probed, as far as that is easy to say: of primitives and groups.
fn all_known(facts: &Facts, rsc: RscIdx) -> NodeSet {
    match facts.rscs[rsc].kind {
        Kind::Primitive => facts.known[rsc].clone(),
        Kind::Group(_) => {
            let mut members = facts.rscs[rsc].children.iter();
            let first = members.next().map(|member| facts.known[*member].clone());
            members.fold(first.unwrap_or_default(), |mut all, member| {
                all.keep(&facts.known[*member]);
                all
            })
        }
        Kind::Clone(_) | Kind::Bundle(_) => NodeSet::default(),
    }
}

impl Make<'_> {
    /// All nodes, or without startup probes those that came back.
    pub(super) fn probes(&mut self) {
        let facts = self.facts;
        let all = facts.options.enable_startup_probes;
        if !all && !facts.nodes.iter().any(|node| node.probe_all) {
            return;
        }
        let order = self.place.order.iter();
        let probed: Vec<(RscIdx, NodeSet)> =
            order.map(|rsc| (*rsc, all_known(facts, *rsc))).collect();
        for node in &facts.node_order {
            let node = *node;
            if !all && !facts.nodes[node].probe_all {
                continue;
            }
            let now = &self.plan.now.nodes[node];
            if !now.online {
                if self.is_remote(node)
                    && let Some(connection) = facts.nodes[node].connection
                    && self.connection_state(connection) == super::remote::Connection::Failed
                {
                    fencing::want(
                        &mut self.plan,
                        facts,
                        node,
                        "the connection is unrecoverable",
                        false,
                        || Cause::Recovery { rsc: connection },
                    );
                }
                continue;
            }
            if now.unclean || !facts.nodes[node].probes_allowed {
                continue;
            }
            for (rsc, known) in &probed {
                if !known.contains(node) {
                    self.probe(*rsc, node);
                }
            }
        }
    }

    /// Probes a resource of any kind on a node; was there something to probe?
    fn probe(&mut self, rsc: RscIdx, node: NodeIdx) -> bool {
        let facts = self.facts;
        match &facts.rscs[rsc].kind {
            Kind::Primitive => self.probe_primitive(rsc, node).is_some(),
            Kind::Group(_) => {
                let fact = &facts.rscs[rsc];
                let mut any = false;
                for member in &fact.children {
                    any |= self.probe(*member, node);
                }
                any
            }
            Kind::Clone(_) => self.probe_clone(rsc, node),
            Kind::Bundle(bundle) => {
                for replica in &bundle.replicas {
                    self.probe_replica(replica, &bundle.replicas, bundle.per_host, node);
                }
                true
            }
        }
    }

    fn probe_clone(&mut self, clone: RscIdx, node: NodeIdx) -> bool {
        let facts = self.facts;
        if self.plan.now.rscs[clone].exclusive_discovery {
            let listed = self.place.allowed[clone].get(node);
            if listed.is_none_or(|entry| entry.discovery != Discovery::Exclusive) {
                self.plan.unlisted.push((clone, node));
                return false;
            }
        }
        self.plan.now.rscs[clone]
            .children
            .sort_by_key(|rsc| facts.rscs[*rsc].instance);
        let instances = self.plan.now.rscs[clone].children.clone();
        if facts.rscs[clone].flags.unique {
            let mut any = false;
            for instance in instances {
                any |= self.probe(instance, node);
            }
            return any;
        }
        let chosen = instances
            .iter()
            .find(|rsc| is_known(facts, **rsc, node))
            .or_else(|| {
                instances
                    .iter()
                    .find(|rsc| self.plan.now.single_assigned(**rsc) == Some(node))
            })
            .or(instances.first());
        chosen.copied().is_some_and(|rsc| self.probe(rsc, node))
    }

    fn probe_replica(&mut self, replica: &Replica, all: &[Replica], per_host: u32, node: NodeIdx) {
        if let Some(ip) = replica.ip {
            self.probe_primitive(ip, node);
        }
        if let Some(child) = replica.child
            && replica.node == Some(node)
        {
            self.probe_primitive(child, node);
        }
        if self.probe_primitive(replica.container, node).is_some() && per_host == 1 {
            // A container found running keeps others away from its host.
            for other in all
                .iter()
                .filter(|other| other.container != replica.container)
            {
                let first = Side::key(replica.container, Key::of(Task::MONITOR));
                self.order(
                    first,
                    Side::task(other.container, Task::START),
                    Kinds::ORD | Kinds::SAME_NODE,
                );
            }
        }
        if let Some(connection) = replica.connection
            && let Some(probe) = self.probe_primitive(connection, node)
        {
            self.order(
                Side::task(replica.container, Task::START),
                Side::action(probe),
                Kinds::NESTED_PROBE,
            );
        }
    }

    fn probe_primitive(&mut self, rsc: RscIdx, node: NodeIdx) -> Option<ActIdx> {
        let facts = self.facts;
        if facts.known[rsc].contains(node) {
            return None;
        }
        let fact = &facts.rscs[rsc];
        let guest = facts.is_guest(node);
        if facts.nodes[node].pacemaker_remote
            && (fact.flags.fence_device
                || (guest
                    && fact
                        .launched
                        .iter()
                        .any(|launched| facts.rscs[*launched].flags.connection))
                || fact.flags.connection)
        {
            return None;
        }
        if (fact.launcher.is_some() && !fact.flags.connection) || fact.flags.removed {
            return None;
        }
        let top = facts.top_of(rsc);
        let entry = self.place.allowed[rsc].get(node);
        let exclusive = self.plan.now.rscs[rsc].exclusive_discovery
            || self.plan.now.rscs[top].exclusive_discovery;
        if exclusive && entry.is_none_or(|entry| entry.discovery != Discovery::Exclusive) {
            return None;
        }
        if entry.map_or(facts.nodes[node].discovery, |entry| entry.discovery) == Discovery::Never {
            return None;
        }
        if guest && self.guest_gone(rsc, node, top) {
            return None;
        }
        let probe = self.ask(rsc, Task::MONITOR, Some(node), false);
        // Also of what is not managed: looking does not touch it.
        self.plan.get_mut(probe).flags.clear(Flags::OPTIONAL);
        self.plan.required_by(probe, || Cause::Unknown);
        fencing::after_unfencing(&mut self.plan, facts, rsc, node, probe, Kinds::ORD);
        let active = fact.active.contains(&node);
        let expected = if !active {
            Some(Expected::NotRunning)
        } else if self.plan.now.rscs[rsc].orig_role == Role::Promoted {
            Some(Expected::Promoted)
        } else {
            None
        };
        if let Some(expected) = expected {
            self.plan.get_mut(probe).expect(expected);
        }
        let whole = if matches!(facts.rscs[top].kind, Kind::Clone(_)) {
            top
        } else {
            rsc
        };
        let mut kinds = Kinds::ORD;
        if !self.plan.get(probe).runnable() && facts.rscs[whole].active.is_empty() {
            kinds |= Kinds::FIRST_GATES;
        }
        self.order(Side::action(probe), Side::task(whole, Task::START), kinds);
        self.order(
            Side::action(probe),
            Side::task(whole, Task::RELOAD),
            Kinds::ORD,
        );
        Some(probe)
    }

    /// A guest that is not there, or won't be, is not probed: what is to start there waits instead.
    fn guest_gone(&mut self, _rsc: RscIdx, node: NodeIdx, top: RscIdx) -> bool {
        let Some(container) = self.facts.host_container(node) else {
            return false;
        };
        let now = &self.plan.now.rscs[container];
        if now.orig_role == Role::Stopped {
            if now
                .assigned
                .is_some_and(|to| !self.facts.known[container].contains(to))
            {
                self.order(
                    Side::task(container, Task::MONITOR),
                    Side::task(top, Task::START),
                    Kinds::ORD,
                );
            }
            return true;
        }
        if self.will_stop(node, container) {
            self.order(
                Side::task(container, Task::STOP),
                Side::task(top, Task::START),
                Kinds::ORD,
            );
            return true;
        }
        false
    }
}
