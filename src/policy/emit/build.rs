//! Synapses: every action that is in the graph, with what it waits for. spec 3 §17.1, §18

use std::sync::Arc;

use super::super::actions::notify;
use super::super::actions::plan::{ActIdx, Flags, Key, Plan, Task};
use super::super::assign::Placement;
use super::super::facts::{Facts, Kind};
use super::super::index::IdxVec;
use super::super::ordering::derived;
use super::super::{NodeIdx, RscIdx};
use super::{mend, params, params::Names, prune};
use crate::graph::{
    Action, ActionId, ActionKind, Delay, Graph, NodeMaintenance, NodeRef, RscRef, Synapse,
};
use crate::terms::{RscId, Score, Str, span};

/// The graph of a settled plan. Notifications are the last actions to be made.
#[must_use]
pub fn graph(facts: &Facts, place: &Placement, plan: &mut Plan) -> Graph {
    let options = &facts.options;
    let delay = |text: &str| Delay {
        text: text.to_owned(),
        ms: delay_ms(text),
    };
    let recheck = place
        .recheck_by
        .iter()
        .copied()
        .filter(|at| *at > facts.now_s)
        .min();
    // An action is large, and room that is not used costs nothing. Notifications are still to come.
    let required = plan.required();
    let room = required + required / 2 + 64;
    let mut build = Build {
        facts,
        place,
        plan,
        synapses: Vec::with_capacity(room),
        names: Names::default(),
        rscs: IdxVec::from_fn(facts.rscs.len(), |_| None),
        seen: Seen::default(),
    };
    build.all();
    let mut synapses = build.synapses;
    mend::mend(facts, plan, &mut synapses);
    let absent = absent(facts, plan, &synapses);
    Graph {
        id: 1,
        batch_limit: options.batch_limit.trim().parse().unwrap_or(0),
        cluster_delay: delay(&options.cluster_delay),
        fencing_timeout: delay(&options.fencing_timeout),
        failed_start_offset: if options.start_failure_is_fatal {
            Score::INFINITY
        } else {
            Score::new(1)
        },
        failed_stop_offset: Score::INFINITY,
        migration_limit: i32::try_from(options.migration_limit.max(0)).unwrap_or(i32::MAX),
        recheck_by: [facts.recheck_by(), recheck].into_iter().flatten().min(),
        synapses,
        absent,
    }
}

struct Build<'a> {
    facts: &'a Facts,
    place: &'a Placement,
    plan: &'a mut Plan,
    synapses: Vec<Synapse>,
    names: Names,
    /// Resources as actions name them, once they are named.
    rscs: IdxVec<RscIdx, Option<Arc<RscRef>>>,
    seen: Seen,
}

/// A set of actions that is emptied for each action of the graph.
#[derive(Default)]
struct Seen {
    /// Which round each was last put in.
    rounds: Vec<u32>,
    round: u32,
}

impl Seen {
    /// Empties it, with room for so many actions. There are fewer than 2^32 rounds: one for each of as many actions.
    fn begin(&mut self, actions: usize) {
        self.round += 1;
        self.rounds.resize(actions, 0);
    }

    /// Puts an action in; false if it was there.
    fn insert(&mut self, idx: ActIdx) -> bool {
        std::mem::replace(&mut self.rounds[idx.0 as usize], self.round) != self.round
    }
}

impl Build<'_> {
    fn all(&mut self) {
        for rsc in &self.place.order {
            self.resource(*rsc);
        }
        self.maintenance_update();
        for idx in self.plan.newest_first() {
            self.action(idx);
        }
    }

    fn resource(&mut self, rsc: RscIdx) {
        match &self.facts.rscs[rsc].kind {
            Kind::Primitive | Kind::Group(_) => {
                self.own(rsc);
                self.children(rsc);
            }
            Kind::Clone(_) => {
                for at in 0..self.plan.of(rsc).len() {
                    let idx = self.plan.of(rsc)[at];
                    derived::of(self.plan, self.facts, idx, None);
                }
                if self.facts.rscs[rsc].flags.notify {
                    let allowed = self.allowed(rsc);
                    notify::tell_all(self.plan, self.facts, &allowed, rsc);
                }
                self.children(rsc);
                self.own(rsc);
            }
            Kind::Bundle(bundle) => {
                if let Some(clone) = bundle.clone {
                    self.resource(clone);
                }
                for replica in &bundle.replicas {
                    for part in [replica.ip, Some(replica.container), replica.connection]
                        .into_iter()
                        .flatten()
                    {
                        self.resource(part);
                    }
                }
            }
        }
    }

    fn own(&mut self, rsc: RscIdx) {
        for at in (0..self.plan.of(rsc).len()).rev() {
            self.action(self.plan.of(rsc)[at]);
        }
    }

    fn children(&mut self, rsc: RscIdx) {
        for child in self.plan.now.rscs[rsc].children.clone() {
            self.resource(child);
        }
    }

    /// The nodes of a clone's table, by name, without those that probing took away.
    fn allowed(&self, clone: RscIdx) -> Vec<NodeIdx> {
        let listed = |node: &NodeIdx| {
            self.place.allowed[clone].contains(*node)
                && !self.plan.unlisted.contains(&(clone, *node))
        };
        self.facts
            .node_order
            .iter()
            .copied()
            .filter(listed)
            .collect()
    }

    fn maintenance_update(&mut self) {
        let differs = |node: &NodeIdx| {
            let fact = &self.facts.nodes[*node];
            fact.pacemaker_remote && fact.maintenance != fact.maintenance_recorded
        };
        if self.facts.node_order.iter().any(differs) {
            let flags = Flags::OPTIONAL | Flags::PSEUDO | Flags::RUNNABLE | Flags::SHOW_ALWAYS;
            self.plan.new_action(
                Task::MAINTENANCE,
                Key::of(Task::MAINTENANCE),
                None,
                None,
                flags,
            );
        }
    }

    /// What the action waits for, ascending.
    fn inputs(&mut self, idx: ActIdx) -> Vec<ActionId> {
        let mut inputs = Vec::new();
        self.seen.begin(self.plan.len());
        self.seen.insert(idx);
        let mut open = vec![idx];
        while let Some(then) = open.pop() {
            self.plan.merge_inputs(then);
            for at in 0..self.plan.get(then).ins.len() {
                if !prune::triggers(self.plan, self.facts, then, at) {
                    continue;
                }
                let first = self.plan.get(then).ins[at].first;
                if !self.seen.insert(first) {
                    continue;
                }
                if prune::passes_on(self.plan, first) {
                    open.push(first);
                } else {
                    inputs.push(id(first));
                }
            }
        }
        inputs.sort_unstable();
        inputs
    }

    fn action(&mut self, idx: ActIdx) {
        if self.plan.get(idx).flags.has(Flags::GRAPHED) {
            return;
        }
        self.plan.merge_inputs(idx);
        if !prune::in_graph(self.plan, self.facts, idx) {
            return;
        }
        self.plan.get_mut(idx).flags.set(Flags::GRAPHED);
        let inputs = self.inputs(idx);
        let it = self.plan.get(idx);
        let of_rsc = it
            .rsc
            .map_or(0, |rsc| self.plan.now.rscs[rsc].priority.value());
        let priority = of_rsc.max(it.priority);
        let action = self.with_details(idx);
        self.synapses.push(Synapse {
            priority,
            action,
            inputs,
        });
    }

    fn with_details(&mut self, idx: ActIdx) -> Action {
        let (facts, plan) = (self.facts, &*self.plan);
        let mut action = identity(facts, plan, idx);
        let it = plan.get(idx);
        if let (Some(rsc), false) = (it.rsc, it.pseudo()) {
            let known = &mut self.rscs[rsc];
            let known = known.get_or_insert_with(|| Arc::new(rsc_ref(facts, rsc)));
            action.rsc = Some(Arc::clone(known));
            if action.kind == ActionKind::Resource
                && let (Some((lock_node, since)), Some(node)) = (plan.now.rscs[rsc].lock, it.node)
                && lock_node == node
                && (!plan.now.nodes[node].shutdown || it.task == Task::STOP)
            {
                action.shutdown_lock = Some(since);
            }
        }
        let at = action.node.as_ref();
        (action.attributes, action.params) =
            params::attributes(facts, plan, idx, at, &mut self.names);
        action.downed = downed(facts, plan, idx);
        if it.task == Task::MAINTENANCE {
            let nodes = facts.node_order.iter().map(|node| &facts.nodes[*node]);
            action.maintenance = nodes
                .filter(|node| {
                    node.pacemaker_remote && node.maintenance != node.maintenance_recorded
                })
                .map(|node| NodeMaintenance {
                    node: node.id.to_string(),
                    on: node.maintenance,
                })
                .collect();
        }
        action
    }
}

/// A delay option in milliseconds; one that does not parse counts as the default.
fn delay_ms(text: &str) -> u64 {
    span::parse_ms(text).unwrap_or(60_000)
}

/// Actions that are waited for without being in the graph. spec 3 §17.2
fn absent(facts: &Facts, plan: &Plan, synapses: &[Synapse]) -> Vec<Action> {
    let mut missing: Vec<ActionId> = synapses
        .iter()
        .flat_map(|synapse| synapse.inputs.iter().copied())
        .filter(|input| !plan.get(ActIdx(input.0 - 1)).flags.has(Flags::GRAPHED))
        .collect();
    missing.sort();
    missing.dedup();
    missing
        .into_iter()
        .map(|input| identity(facts, plan, ActIdx(input.0 - 1)))
        .collect()
}

fn id(idx: ActIdx) -> ActionId {
    ActionId(idx.0 + 1)
}

/// The text of an action's key.
pub(super) fn key_text(plan: &Plan, rsc: Option<&str>, key: Key) -> String {
    let interval_ms = match key {
        Key::Op(name, _) if rsc.is_none() => return plan.name(name).to_string(),
        Key::Op(_, interval_ms) => interval_ms,
        Key::Notify(..) => 0,
    };
    let number = match interval_ms {
        0 => "0",
        _ => &interval_ms.to_string(),
    };
    let parts: &[&str] = match key {
        Key::Op(task, _) => &[plan.name(task), "_", number],
        Key::Notify(phase, told) => &[phase.text(), "_notify_", plan.name(told), "_", number],
    };
    let prefix: &[&str] = match rsc {
        Some(rsc) => &[rsc, "_"],
        None => &[],
    };
    [prefix, parts].concat().concat()
}

/// Who the action is: all that a trigger shows. spec 3 §18.3
fn identity(facts: &Facts, plan: &Plan, idx: ActIdx) -> Action {
    let it = plan.get(idx);
    let kind = match it.task {
        Task::FENCE if it.pseudo() => ActionKind::Pseudo,
        Task::FENCE | Task::SHUTDOWN | Task::CLEAR | Task::LRM_DELETE => ActionKind::Cluster,
        _ if it.pseudo() => ActionKind::Pseudo,
        _ => ActionKind::Resource,
    };
    let own_key = key_text(plan, it.rsc.map(|rsc| facts.rscs[rsc].id.as_str()), it.key);
    let history = it.rsc.and_then(|rsc| facts.rscs[rsc].history_id.as_ref());
    let history_key = history.map(|name| {
        if it.task == Task::NOTIFY {
            let (kind, told) = (it.meta.get("notify_type"), it.meta.get("notify_operation"));
            format!(
                "{name}_{}_notify_{}_0",
                kind.unwrap_or_default(),
                told.unwrap_or_default()
            )
        } else {
            format!(
                "{name}_{}_{}",
                plan.name(it.cancels.unwrap_or(it.task)),
                it.interval_ms()
            )
        }
    });
    let name = plan.name(it.task).to_string();
    let mut action = Action::new(
        id(idx),
        kind,
        &name,
        history_key.as_deref().unwrap_or(&own_key),
    );
    action.internal_key = history_key.map(|_| own_key);
    action.by_cib = it.task == Task::LRM_DELETE;
    // Other pseudo-actions print no node.
    if let Some(node) = it.node.filter(|_| !it.pseudo() || it.task == Task::FENCE) {
        let fact = &facts.nodes[node];
        action.node = Some(NodeRef {
            name: fact.name.clone(),
            uuid: Str::clone(&fact.id),
        });
        action.router =
            router(facts, plan, idx, node).map(|router| facts.nodes[router].name.clone());
    }
    action
}

/// The cluster node that passes the action on. spec 3 §11.3
fn router(facts: &Facts, plan: &Plan, idx: ActIdx, node: NodeIdx) -> Option<NodeIdx> {
    let it = plan.get(idx);
    if it.task == Task::FENCE || !facts.nodes[node].pacemaker_remote {
        return None;
    }
    let connection = facts.nodes[node].connection?;
    let now = &plan.now.rscs[connection];
    let current = plan.now.current(facts, connection);
    let (Some(began), Some(ended)) = (current, now.assigned) else {
        return current.or(now.assigned);
    };
    let told = params::told(plan, idx);
    let leaving = matches!(
        told,
        Task::CANCEL | Task::STOP | Task::DEMOTE | Task::MIGRATE_FROM | Task::MIGRATE_TO
    );
    let moving = now.migration_target.is_some() && !facts.is_guest(node);
    Some(if leaving && !moving { began } else { ended })
}

/// spec 3 §18.4
fn rsc_ref(facts: &Facts, rsc: RscIdx) -> RscRef {
    let fact = &facts.rscs[rsc];
    let (id, long_id): (RscId, Option<RscId>) = match &fact.history_id {
        Some(history) if fact.flags.removed => (history.clone(), Some(fact.id.clone())),
        history if !fact.flags.unique => {
            let long = history
                .as_ref()
                .filter(|history| **history != fact.xml_id)
                .unwrap_or(&fact.id);
            (fact.xml_id.clone(), Some(long.clone()))
        }
        _ => (fact.id.clone(), None),
    };
    RscRef {
        id,
        long_id,
        class: Str::clone(&fact.agent.class),
        provider: fact.agent.provider.clone(),
        kind: Str::clone(&fact.agent.kind),
    }
}

/// Nodes that are gone once the action is done. spec 3 §18.4
fn downed(facts: &Facts, plan: &Plan, idx: ActIdx) -> Vec<String> {
    let it = plan.get(idx);
    match (it.task, it.node, it.rsc) {
        (Task::SHUTDOWN, Some(node), _) => vec![facts.nodes[node].id.to_string()],
        (Task::FENCE, Some(node), _) if it.meta.get("stonith_action") != Some("on") => {
            let guests = facts.nodes[node]
                .running
                .iter()
                .filter(|rsc| facts.rscs[**rsc].flags.connection);
            let nodes = guests.filter_map(|rsc| facts.node_by_name(facts.rscs[*rsc].id.as_str()));
            let gone = std::iter::once(node).chain(nodes.filter(|node| facts.is_guest(*node)));
            gone.map(|node| facts.nodes[node].id.to_string()).collect()
        }
        (Task::STOP, _, Some(rsc)) if facts.rscs[rsc].flags.connection && !it.pseudo() => {
            let migrates = it.ins.iter().any(|input| {
                let first = plan.get(input.first);
                first.rsc == Some(rsc) && first.task == Task::MIGRATE_FROM
            });
            if migrates {
                Vec::new()
            } else {
                vec![facts.rscs[rsc].id.to_string()]
            }
        }
        _ => Vec::new(),
    }
}
