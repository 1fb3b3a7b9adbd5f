//! One graph and how far it is done: which synapses are ready, in flight, done, or never will be.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Mono;
use crate::graph::{Action, ActionId, ActionKind, Graph};
use crate::seeded::{Bug, seeded};

/// The priority which no synapse reaches: an abort of this priority begins nothing more.
pub(super) const ALL: i64 = 1_000_000;

/// How a synapse ended, if it did. Whether an open one was begun, `Walk::in_flight` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
    Failed,
}

/// A graph in progress.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) graph: Graph,
    states: Vec<State>,
    /// Synapses begun and not ended, with their deadlines: few, also of a graph with thousands of actions.
    in_flight: BTreeMap<usize, Mono>,
    /// Inputs not yet done, per synapse.
    open_inputs: Vec<usize>,
    /// Synapses that wait for an action.
    then: BTreeMap<ActionId, Vec<usize>>,
    by_action: BTreeMap<ActionId, usize>,
    /// What may begin, in the order in which it does, whatever the order of results.
    ready: BTreeSet<Turn>,
}

/// When a synapse begins among those that may. What takes something down goes before all else: what moves waits for it,
/// and a node that is alone has to have stopped everything in time, also when it has a thousand probes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    later: bool,
    /// Its place in the graph.
    synapse: usize,
}

impl Turn {
    fn of(graph: &Graph, synapse: usize) -> Self {
        let task = graph.synapses[synapse].action.task.as_str();
        Self {
            later: !matches!(task, "stop" | "demote"),
            synapse,
        }
    }
}

/// How much may be in flight at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Synapses in all; 0 = no limit. // spec cluster §9.2
    pub(super) batch: usize,
    /// Resource actions per node.
    pub(super) per_node: usize,
    /// Migrations per node, on both ends; `None` = no limit.
    pub(super) migrations: Option<usize>,
}

impl Walk {
    pub(super) fn new(graph: Graph) -> Self {
        let mut by_action = BTreeMap::new();
        let mut then: BTreeMap<ActionId, Vec<usize>> = BTreeMap::new();
        let mut open_inputs = Vec::with_capacity(graph.synapses.len());
        for (i, synapse) in graph.synapses.iter().enumerate() {
            by_action.insert(synapse.action.id, i);
        }
        let mut ready = BTreeSet::new();
        for (i, synapse) in graph.synapses.iter().enumerate() {
            // An input that is not in the graph is never done, and so is what waits for it.
            let forgotten = usize::from(seeded(Bug::DropGraphEdge) && !synapse.inputs.is_empty());
            let open = synapse.inputs.len() - forgotten;
            for input in synapse.inputs.iter().skip(forgotten) {
                then.entry(*input).or_default().push(i);
            }
            open_inputs.push(open);
            if open == 0 {
                ready.insert(Turn::of(&graph, i));
            }
        }
        let states = vec![State::Open; graph.synapses.len()];
        Self {
            graph,
            states,
            in_flight: BTreeMap::new(),
            open_inputs,
            then,
            by_action,
            ready,
        }
    }

    /// The next action that may begin, within the limits, not below `floor` in priority, and bringing up none of the `held`
    /// resources. It counts as in flight from here until `deadline(action)`.
    pub(super) fn begin_next(
        &mut self,
        limits: &Limits,
        floor: Option<i64>,
        held: &BTreeSet<String>,
        deadline: impl Fn(&Action) -> Mono,
    ) -> Option<Action> {
        let below_batch = limits.batch == 0 || self.in_flight.len() < limits.batch;
        let turn = self.ready.iter().copied().find(|turn| {
            let synapse = &self.graph.synapses[turn.synapse];
            if floor.is_some_and(|floor| i64::from(synapse.priority) < floor) {
                return false;
            }
            if synapse.action.task == "promote" && self.is_probed(&synapse.action)
                || brings_up_one_of(held, &synapse.action)
            {
                return false;
            }
            synapse.action.kind == ActionKind::Pseudo
                || (below_batch && self.node_has_room(&synapse.action, limits))
        })?;
        self.ready.remove(&turn);
        let action = self.graph.synapses[turn.synapse].action.clone();
        self.in_flight.insert(turn.synapse, deadline(&action));
        Some(action)
    }

    /// Whether something could begin but for what is held.
    pub(super) fn waits_for(&self, held: &BTreeSet<String>) -> bool {
        self.ready_actions()
            .any(|action| brings_up_one_of(held, action))
    }

    fn ready_actions(&self) -> impl Iterator<Item = &Action> {
        self.ready
            .iter()
            .map(|turn| &self.graph.synapses[turn.synapse].action)
    }

    /// Whether a probe of any instance of this resource is under way or about to be: it may find one that is promoted, left
    /// by a daemon that was started anew. The graph orders probes before what starts the same instance, no more.
    fn is_probed(&self, action: &Action) -> bool {
        let base = |a: &Action| a.rsc.as_ref().map(|rsc| rsc.id.base().to_owned());
        let of = base(action);
        self.ready_actions()
            .chain(self.in_flight())
            .any(|a| a.task == "monitor" && a.interval_ms() == 0 && base(a) == of)
    }

    fn node_has_room(&self, action: &Action, limits: &Limits) -> bool {
        if action.kind != ActionKind::Resource {
            return true;
        }
        let ends = ends_of(action);
        let busy = |node: &str, migrations: bool| {
            self.in_flight()
                .filter(|a| a.kind == ActionKind::Resource && is_migration(a) == migrations)
                .filter(|a| ends_of(a).contains(&node))
                .count()
        };
        if is_migration(action) {
            return limits
                .migrations
                .is_none_or(|limit| ends.iter().all(|node| busy(node, true) < limit));
        }
        ends.iter().all(|node| busy(node, false) < limits.per_node)
    }

    /// Actions begun and not ended.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Action> {
        self.in_flight
            .keys()
            .map(|&i| &self.graph.synapses[i].action)
    }

    /// The action of this id, whatever its state.
    pub(super) fn action(&self, id: ActionId) -> Option<&Action> {
        self.by_action
            .get(&id)
            .map(|&i| &self.graph.synapses[i].action)
    }

    /// Priority of an action's synapse.
    pub(super) fn priority(&self, id: ActionId) -> i64 {
        self.by_action
            .get(&id)
            .map_or(0, |&i| i64::from(self.graph.synapses[i].priority))
    }

    /// Whether this action was begun and has not ended.
    pub(super) fn is_in_flight(&self, id: ActionId) -> bool {
        self.by_action
            .get(&id)
            .is_some_and(|i| self.in_flight.contains_key(i))
    }

    /// Whether this action was confirmed, well or badly.
    pub(super) fn has_ended(&self, id: ActionId) -> bool {
        self.by_action
            .get(&id)
            .is_some_and(|&i| matches!(self.states[i], State::Done | State::Failed))
    }

    /// The action ended as wanted: what waited for it may become ready.
    pub(super) fn confirm(&mut self, id: ActionId) {
        let Some(&i) = self.by_action.get(&id) else {
            return;
        };
        if matches!(self.states[i], State::Done | State::Failed) {
            return;
        }
        self.leave(i, State::Done);
        for &t in self.then.get(&id).into_iter().flatten() {
            self.open_inputs[t] -= 1;
            if self.open_inputs[t] == 0 && self.states[t] == State::Open {
                self.ready.insert(Turn::of(&self.graph, t));
            }
        }
    }

    /// The action ended otherwise: what waits for it never begins.
    pub(super) fn fail(&mut self, id: ActionId) {
        let Some(&i) = self.by_action.get(&id) else {
            return;
        };
        if self.states[i] != State::Done {
            self.leave(i, State::Failed);
        }
    }

    fn leave(&mut self, i: usize, to: State) {
        self.ready.remove(&Turn::of(&self.graph, i));
        self.in_flight.remove(&i);
        self.states[i] = to;
    }

    /// Actions whose time is over.
    pub(super) fn overdue(&self, now: Mono) -> Vec<ActionId> {
        self.in_flight
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(&i, _)| self.graph.synapses[i].action.id)
            .collect()
    }

    /// The next deadline of an action in flight.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.in_flight.values().min().copied()
    }

    /// True when anything was done that can have changed something. Pseudo actions are the planner's own: a plan
    /// of nothing else, asked for again, would be the same plan, for ever.
    pub(super) fn did_something(&self) -> bool {
        let mut synapses = self.graph.synapses.iter().zip(&self.states);
        synapses.any(|(s, state)| *state == State::Done && s.action.kind != ActionKind::Pseudo)
    }

    /// True when everything was done, and nothing failed.
    pub(super) fn is_complete(&self) -> bool {
        self.states.iter().all(|s| *s == State::Done)
    }
}

fn brings_up_one_of(held: &BTreeSet<String>, action: &Action) -> bool {
    let brings_up = matches!(action.task.as_str(), "start" | "promote" | "migrate_to");
    let rsc = action.rsc.as_ref().filter(|_| brings_up);
    rsc.is_some_and(|rsc| held.contains(rsc.id.base()))
}

fn is_migration(action: &Action) -> bool {
    matches!(action.task.as_str(), "migrate_to" | "migrate_from")
}

/// The nodes that an action burdens.
fn ends_of(action: &Action) -> Vec<&str> {
    if is_migration(action) {
        let ends: Vec<&str> = ["CRM_meta_migrate_source", "CRM_meta_migrate_target"]
            .iter()
            .filter_map(|name| action.attribute(name))
            .collect();
        if !ends.is_empty() {
            return ends;
        }
    }
    action
        .router
        .as_ref()
        .or(action.node.as_ref().map(|n| &n.name))
        .map(|n| n.as_str())
        .into_iter()
        .collect()
}
