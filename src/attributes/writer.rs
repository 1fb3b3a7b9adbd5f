//! What the CIB says of transient attributes, and the writes that make it say what we know.
//! One transaction per attribute, one at a time for each. // spec cluster §15.4

use std::collections::BTreeMap;

use crate::cib::status::attribute;
use crate::cib::{Cib, Command};
use crate::clock::Mono;
use crate::terms::NodeName;
use crate::xml::Element;

use super::machine::Machine;
use super::value::same;
use super::vocab::{Changed, Effect, WriteId};

/// The transient attributes in the CIB, by node. Nodes whose element is the same as before are not read again.
#[derive(Debug, Default)]
pub(super) struct Seen {
    nodes: BTreeMap<NodeName, Node>,
}

#[derive(Debug, Default)]
struct Node {
    element: Option<Element>,
    values: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn look(&mut self, cib: &Cib) {
        let mut before = std::mem::take(&mut self.nodes);
        let states = cib.status().into_iter().flat_map(Element::children);
        for state in states.filter(|e| e.is("node_state")) {
            let Some(name) = state.get("uname").or(state.id()) else {
                continue;
            };
            let name = NodeName::from(name);
            let known = before.remove(&name).filter(|node| {
                let element = node.element.as_ref();
                element.is_some_and(|e| e.ptr_eq(state))
            });
            self.nodes
                .insert(name, known.unwrap_or_else(|| Node::read(state)));
        }
    }

    pub(super) fn get(&self, name: &str, host: &NodeName) -> Option<&str> {
        self.nodes.get(host)?.values.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes
            .values()
            .flat_map(|node| node.values.keys().map(String::as_str))
    }

    pub(super) fn hosts_of(&self, name: &str) -> impl Iterator<Item = &NodeName> {
        let nodes = self.nodes.iter();
        nodes
            .filter(move |(_, node)| node.values.contains_key(name))
            .map(|(host, _)| host)
    }

    /// A write was applied: the CIB that shows it is on its way.
    fn put(&mut self, name: &str, host: &NodeName, value: Option<&String>) {
        let node = self.nodes.entry(host.clone()).or_default();
        match value {
            Some(value) => drop(node.values.insert(name.to_owned(), value.clone())),
            None => drop(node.values.remove(name)),
        }
    }
}

impl Node {
    fn read(state: &Element) -> Self {
        let sets = state
            .children_named("transient_attributes")
            .flat_map(|owner| owner.children_named("instance_attributes"));
        let pairs = sets.flat_map(Element::children);
        let pair = |p: &Element| Some((p.get("name")?.to_owned(), p.get("value")?.to_owned()));
        Self {
            element: Some(state.clone()),
            values: pairs.filter_map(pair).collect(),
        }
    }
}

/// A write that has not ended.
#[derive(Debug)]
struct Flight {
    id: WriteId,
    name: String,
    values: Vec<Changed>,
    until: Mono,
}

/// What is being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// This node is the one that writes.
    pub(super) writes: bool,
    last: WriteId,
    flights: Vec<Flight>,
}

impl Writer {
    pub(super) fn next_id(&mut self) -> WriteId {
        self.last += 1;
        self.last
    }

    pub(super) fn next_wake(&self) -> impl Iterator<Item = Mono> {
        self.flights.iter().map(|flight| flight.until)
    }
}

/// An attribute whose write does not end is written again after this time, in milliseconds.
const FLIGHT_MS: u64 = 120_000;

/// After a write that failed, if there is no dampening, in milliseconds.
const AGAIN_MS: u64 = 2_000;

impl Machine {
    /// Writes whatever the CIB does not say yet and does not wait.
    pub(super) fn write(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        self.writer.flights.retain(|flight| flight.until > now);
        if !self.writer.writes {
            return;
        }
        let mut flights = Vec::new();
        for (name, attribute) in &self.attributes {
            let waits = attribute.due.is_some_and(|due| due > now);
            let flies = self.writer.flights.iter().any(|f| f.name == *name);
            if attribute.kind.private || waits || flies {
                continue;
            }
            let mut commands: Vec<Command> = Vec::new();
            let mut values = Vec::new();
            for (host, (value, _)) in &attribute.values {
                if same(self.seen.get(name, host), value.as_deref()) {
                    continue;
                }
                // A node whose id is not known yet: later.
                let Some(place) = self.place(host) else {
                    continue;
                };
                let set_id = attribute.kind.set_id.as_deref();
                commands.push(attribute::set(&place, set_id, name, value.as_deref()));
                values.push(Changed {
                    host: host.clone(),
                    id: place.id,
                    name: name.clone(),
                    value: value.clone(),
                });
            }
            if !commands.is_empty() {
                flights.push((name.clone(), values, commands));
            }
        }
        for (name, values, commands) in flights {
            let id = self.writer.next_id();
            self.writer.flights.push(Flight {
                id,
                name,
                values,
                until: now.plus(FLIGHT_MS),
            });
            effects.push(Effect::Write(id, Command::transaction(commands)));
        }
    }

    pub(super) fn written(
        &mut self,
        now: Mono,
        id: WriteId,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(at) = self.writer.flights.iter().position(|f| f.id == id) else {
            return;
        };
        let flight = self.writer.flights.remove(at);
        match result {
            Ok(()) => {
                for one in &flight.values {
                    self.seen.put(&one.name, &one.host, one.value.as_ref());
                }
                effects.push(Effect::Changed(flight.values));
            }
            Err(_) => {
                if let Some(attribute) = self.attributes.get_mut(&flight.name) {
                    let wait = attribute.kind.dampening_ms.max(AGAIN_MS);
                    attribute.due = Some(now.plus(wait));
                }
            }
        }
    }
}
