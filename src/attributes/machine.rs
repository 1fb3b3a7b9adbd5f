//! The attribute manager of one node. All nodes hold all values. A value carries the stamp of its last change, and of
//! two changes the greater stamp wins wherever they meet, so nobody has to order them: not a leader, not a log.
//!
//! ```text
//!   tool ──► this node ──► every other node        (cells; sent again until they arrive)
//!                 └── the writer, once the dampening has passed ──► CIB
//! ```
//!
//! Who tells whom after a cut: each node its own values, everybody those of remote nodes. What a node says of itself
//! is therefore never old news, and nobody else can bring back the values of a node that has left. The writer compares
//! what it knows with what the CIB says, so a new writer, a lost write and a foreign change are one case.

use std::collections::{BTreeMap, BTreeSet};

use crate::cib::Cib;
use crate::cib::status::attribute;
use crate::cib::status::node_state::{NodeState, Place};
use crate::clock::Mono;
use crate::terms::{NodeId, NodeName};

use super::value::{computed, same};
use super::vocab::{
    Answer, Cell, Effect, Event, Kind, Message, Refusal, Request, Stamp, Ticket, Wait, Which,
    WriteId,
};
use super::writer::{Seen, Writer};

/// Time as the shell brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For dampening and limits.
    pub mono: Mono,
    /// Milliseconds since 1970, for stamps.
    pub wall_ms: u64,
}

/// What is known of one attribute.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) kind: Kind,
    pub(super) values: BTreeMap<NodeName, (Option<String>, Stamp)>,
    /// It is not written before.
    pub(super) due: Option<Mono>,
}

/// One value: attribute and node; without a node, the attribute's kind alone.
pub(super) type Key = (String, Option<NodeName>);

/// What another node has not been told yet.
#[derive(Debug, Default)]
struct Outbox {
    keys: BTreeSet<Key>,
    want: bool,
    refresh: bool,
    /// A message is under way with this.
    sending: Option<Message>,
    again: Option<Mono>,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.want && !self.refresh
    }
}

/// A tool that waits for its answer.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    keys: Vec<Key>,
    wait: Wait,
    until: Mono,
}

/// The attribute manager.
#[derive(Debug)]
pub struct Machine {
    pub(super) me: NodeId,
    name: NodeName,
    born: u64,
    clock: u64,
    pub(super) attributes: BTreeMap<String, Attribute>,
    members: BTreeMap<NodeId, NodeName>,
    /// Members that the status says nothing of: they may write, so they are told everything.
    witnesses: BTreeSet<NodeId>,
    online: BTreeSet<NodeId>,
    /// The lives of other nodes, as they told.
    lives: BTreeMap<NodeId, u64>,
    outboxes: BTreeMap<NodeId, Outbox>,
    /// In which life each remote node is, and when it was last fenced.
    remotes: BTreeMap<NodeName, (String, String)>,
    waiting: Vec<Waiting>,
    /// What this node says of itself as soon as it has joined.
    own: Vec<(String, String)>,
    /// Writes for which a tool waits, and what they write.
    direct: BTreeMap<WriteId, (Ticket, String)>,
    pub(super) cib: Cib,
    pub(super) seen: Seen,
    pub(super) writer: Writer,
}

/// Between two attempts to tell a node, in milliseconds.
const AGAIN_MS: u64 = 500;

/// A tool is answered after this time, in milliseconds, whatever became of the CIB.
const PATIENCE_MS: u64 = 10_000;

/// Cells of one message: the rest follows in the next one.
const MOST_CELLS: usize = 2_000;

impl Machine {
    /// A manager that knows nothing yet.
    pub fn new(me: NodeId, name: NodeName, now: Now) -> Self {
        Self {
            me,
            name: name.clone(),
            born: now.wall_ms,
            clock: now.wall_ms,
            attributes: BTreeMap::new(),
            members: BTreeMap::from([(me, name)]),
            witnesses: BTreeSet::new(),
            online: BTreeSet::from([me]),
            lives: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            remotes: BTreeMap::new(),
            waiting: Vec::new(),
            own: Vec::new(),
            direct: BTreeMap::new(),
            cib: Cib::empty(),
            seen: Seen::default(),
            writer: Writer::default(),
        }
    }

    /// The same with a value that this node has as soon as it has joined. Before that, the status must not speak of it.
    #[must_use]
    pub fn announcing(mut self, name: &str, value: &str) -> Self {
        self.own.push((name.to_owned(), value.to_owned()));
        self
    }

    /// When something is to be done although nothing happens.
    pub fn next_wake(&self) -> Option<Mono> {
        let dues = self.attributes.values().filter_map(|a| a.due);
        let sends = self.outboxes.values().filter_map(|o| o.again);
        let waits = self.waiting.iter().map(|w| w.until);
        dues.chain(sends)
            .chain(waits)
            .chain(self.writer.next_wake())
            .min()
    }

    /// What follows from one event.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        self.clock = self.clock.max(now.wall_ms);
        match event {
            Event::Asked(ticket, request) => self.asked(now, ticket, request, effects),
            Event::Told(from, message) => self.told(now, from, message),
            Event::Sent(to, arrived) => self.sent(now, to, arrived),
            Event::Cib(cib) => {
                self.cib = cib;
                self.seen.look(&self.cib);
                self.review_remotes(now);
                self.review_online();
                self.announce(now);
            }
            Event::Members { nodes, witnesses } => {
                self.members = nodes;
                self.witnesses = witnesses;
                self.members.insert(self.me, self.name.clone());
                self.review_online();
            }
            Event::Writer(writes) => {
                if writes && !self.writer.writes {
                    // Whatever waited for the writer before has waited long enough.
                    self.all_due();
                }
                self.writer.writes = writes;
            }
            Event::Written(id, result) => match self.direct.remove(&id) {
                Some((ticket, name)) => {
                    let answer = match result {
                        Ok(()) => Answer::Done,
                        Err(why) => Answer::Refused(Refusal::Unwritten { name, why }),
                    };
                    effects.push(Effect::Answer(ticket, answer));
                }
                None => self.written(now.mono, id, result, effects),
            },
            Event::Tick => {}
        }
        for attribute in self.attributes.values_mut() {
            attribute.due = attribute.due.filter(|due| *due > now.mono);
        }
        self.write(now.mono, effects);
        self.send(now.mono, effects);
        self.answer_waiting(now.mono, effects);
    }

    pub(super) fn all_due(&mut self) {
        for attribute in self.attributes.values_mut() {
            attribute.due = None;
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.clock += 1;
        Stamp(self.clock, self.me)
    }

    fn announce(&mut self, now: Now) {
        if self.own.is_empty() {
            return;
        }
        let me = self.me.to_string();
        let mut states = NodeState::all(&self.cib).into_iter();
        if !states.any(|state| !state.remote && state.id == me && state.is_active()) {
            return;
        }
        let host = self.name.clone();
        for (name, value) in std::mem::take(&mut self.own) {
            self.begin(&name, Kind::default());
            let stamp = self.stamp();
            self.change(now, &name, &host, Some(value), stamp);
        }
    }

    // Requests.

    fn asked(&mut self, now: Now, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        let answer = match request {
            Request::Query { name, node, all } => self.query(&name, node, all),
            Request::Refresh => {
                self.all_due();
                for outbox in self.outboxes.values_mut() {
                    outbox.refresh = true;
                }
                Answer::Done
            }
            Request::Forget { node } => {
                let names = self.names_of(&node);
                let stamp = self.stamp();
                for name in names {
                    self.change(now, &name, &node, None, stamp);
                }
                Answer::Done
            }
            Request::Dampen {
                which,
                dampening_ms,
            } => match self.existing(&which) {
                Err(refusal) => Answer::Refused(refusal),
                Ok(names) => {
                    for name in names {
                        self.dampen(&name, dampening_ms);
                    }
                    Answer::Done
                }
            },
            update @ Request::Update { .. } => {
                return self.update(now, ticket, update, effects);
            }
        };
        effects.push(Effect::Answer(ticket, answer));
    }

    fn query(&self, name: &str, node: Option<NodeName>, all: bool) -> Answer {
        let known = self.attributes.get(name);
        let host = self.host(node);
        let hosts: BTreeSet<&NodeName> = known
            .into_iter()
            .flat_map(|a| a.values.keys())
            .chain(self.seen.hosts_of(name))
            .filter(|h| all || **h == host)
            .collect();
        // What is known in memory is newer than what the CIB says.
        let value = |host: &NodeName| {
            let held = known.and_then(|a| a.values.get(host));
            held.map(|(value, _)| value.clone().unwrap_or_default())
                .or_else(|| self.seen.get(name, host).map(str::to_owned))
        };
        let values: Vec<_> = hosts
            .into_iter()
            .filter_map(|host| Some((host.clone(), value(host)?)))
            .collect();
        if values.is_empty() {
            return Answer::Refused(Refusal::Unknown(name.into()));
        }
        Answer::Values(values)
    }

    fn update(&mut self, now: Now, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        let Request::Update {
            which,
            node,
            value,
            dampening_ms,
            both,
            set_id,
            private,
            wait,
        } = request
        else {
            return;
        };
        let host = self.host(node);
        let Some(place) = self.place(&host) else {
            let refused = Answer::Refused(Refusal::UnknownNode(host));
            return effects.push(Effect::Answer(ticket, refused));
        };
        let names = match (&which, self.existing(&which)) {
            (_, Ok(names)) => names,
            (Which::Name(name), Err(_)) => vec![name.clone()],
            (Which::Pattern(_), Err(refusal)) => {
                return effects.push(Effect::Answer(ticket, Answer::Refused(refusal)));
            }
        };
        let mut keys = Vec::new();
        let mut commands = Vec::new();
        for name in &names {
            if !private && !self.is_held(name, &place) {
                let mut command = attribute::set(&place, set_id.as_deref(), name, value.as_deref());
                // `value++` is counted where the write is applied.
                command.flags.score = true;
                command.flags.from_zero = true;
                commands.push(command);
                continue;
            }
            let new = Kind {
                private,
                dampening_ms: dampening_ms.unwrap_or(0),
                set_id: set_id.clone(),
                stamp: Stamp::default(),
            };
            self.begin(name, new);
            if let (true, Some(ms)) = (both, dampening_ms) {
                self.dampen(name, ms);
            }
            let old = self.value_of(name, &host);
            let new = value.as_deref().map(|v| computed(v, old.as_deref()));
            let known = self.attributes.get(name.as_str());
            let held = known.is_some_and(|a| a.values.contains_key(&host));
            if !held || !same(old.as_deref(), new.as_deref()) {
                let stamp = self.stamp();
                self.change(now, name, &host, new, stamp);
            }
            keys.push((name.clone(), Some(host.clone())));
        }
        if !commands.is_empty() {
            let id = self.writer.next_id();
            let name = names.first().cloned().unwrap_or_default();
            self.direct.insert(id, (ticket, name));
            let command = crate::cib::Command::transaction(commands);
            return effects.push(Effect::Write(id, command));
        }
        if wait == Wait::Local {
            return effects.push(Effect::Answer(ticket, Answer::Done));
        }
        self.waiting.push(Waiting {
            ticket,
            keys,
            wait,
            until: now.mono.plus(PATIENCE_MS),
        });
    }

    /// Failures are counted in the CIB itself, by the writes of executors, and a node that is not there holds nothing.
    fn is_held(&self, name: &str, place: &Place) -> bool {
        if name.starts_with("fail-count-") || name.starts_with("last-failure-") {
            return false;
        }
        let member = self.member(&place.name);
        member.is_none_or(|id| self.online.contains(&id))
    }

    /// The node that is meant, spelt as the cluster spells it.
    fn host(&self, node: Option<NodeName>) -> NodeName {
        let Some(node) = node.filter(|n| !matches!(n.as_str(), "" | "auto" | "localhost")) else {
            return self.name.clone();
        };
        let known = self.members.values().find(|m| alike(m, &node));
        known.cloned().unwrap_or(node)
    }

    fn member(&self, host: &NodeName) -> Option<NodeId> {
        let found = self.members.iter().find(|(_, name)| alike(name, host));
        found.map(|(id, _)| *id)
    }

    /// Where a node's values are in the CIB; none if there is no such node.
    pub(super) fn place(&self, host: &NodeName) -> Option<Place> {
        if let Some(id) = self.member(host) {
            return Some(Place::new(id, host.clone()));
        }
        let root = self.cib.root();
        let known = |e: &crate::xml::Element| match e.tag() {
            "node" | "node_state" => e.get("uname") == Some(host.as_str()),
            "primitive" => e.get("type") == Some("remote") && e.id() == Some(host.as_str()),
            "nvpair" => {
                e.get("name") == Some("remote-node") && e.get("value") == Some(host.as_str())
            }
            _ => false,
        };
        root.descendants().any(known).then(|| Place {
            id: host.to_string(),
            name: host.clone(),
            remote: true,
        })
    }

    fn existing(&self, which: &Which) -> Result<Vec<String>, Refusal> {
        let names = self.attributes.keys();
        match which {
            Which::Name(name) => match self.attributes.contains_key(name) {
                true => Ok(vec![name.clone()]),
                false => Err(Refusal::Unknown(name.clone())),
            },
            Which::Pattern(pattern) => {
                let regex = regex::Regex::new(pattern).map_err(|e| Refusal::Pattern {
                    pattern: pattern.clone(),
                    why: e.to_string(),
                })?;
                let names: BTreeSet<&str> =
                    names.map(String::as_str).chain(self.seen.names()).collect();
                let fits = names.into_iter().filter(|name| regex.is_match(name));
                Ok(fits.map(str::to_owned).collect())
            }
        }
    }

    fn names_of(&self, host: &NodeName) -> Vec<String> {
        let held = self.attributes.iter();
        held.filter(|(_, a)| a.values.contains_key(host))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The value in force: in memory, or else in the CIB.
    fn value_of(&self, name: &str, host: &NodeName) -> Option<String> {
        let held = self.attributes.get(name).and_then(|a| a.values.get(host));
        match held {
            Some((value, _)) => value.clone(),
            None => self.seen.get(name, host).map(str::to_owned),
        }
    }

    // Changes.

    fn begin(&mut self, name: &str, mut kind: Kind) {
        if self.attributes.contains_key(name) {
            return;
        }
        kind.stamp = self.stamp();
        let attribute = Attribute {
            kind,
            ..Attribute::default()
        };
        self.attributes.insert(name.to_owned(), attribute);
    }

    /// A changed dampening is written, and what waited with it. // spec cluster §15.3
    fn dampen(&mut self, name: &str, dampening_ms: u64) {
        let stamp = self.stamp();
        let Some(attribute) = self.attributes.get_mut(name) else {
            return;
        };
        if attribute.kind.dampening_ms == dampening_ms {
            return;
        }
        attribute.kind.dampening_ms = dampening_ms;
        attribute.kind.stamp = stamp;
        attribute.due = None;
        self.tell_all((name.to_owned(), None));
    }

    fn change(
        &mut self,
        now: Now,
        name: &str,
        host: &NodeName,
        value: Option<String>,
        stamp: Stamp,
    ) {
        self.put(now, name, host, value, stamp);
        self.tell_all((name.to_owned(), Some(host.clone())));
    }

    fn put(&mut self, now: Now, name: &str, host: &NodeName, value: Option<String>, stamp: Stamp) {
        let Some(attribute) = self.attributes.get_mut(name) else {
            return;
        };
        attribute.values.insert(host.clone(), (value, stamp));
        let dampening_ms = attribute.kind.dampening_ms;
        attribute.due = (dampening_ms > 0).then(|| now.mono.plus(dampening_ms));
    }

    // Between nodes.

    fn tell_all(&mut self, key: Key) {
        for outbox in self.outboxes.values_mut() {
            outbox.keys.insert(key.clone());
        }
    }

    /// What this node alone can tell: its own values, and those of nodes that have no manager.
    fn own_keys(&self) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for (name, attribute) in &self.attributes {
            let told = attribute
                .values
                .keys()
                .filter(|host| **host == self.name || self.member(host).is_none());
            keys.extend(told.map(|host| (name.clone(), Some(host.clone()))));
        }
        keys
    }

    /// Nodes that came are told, those that left are forgotten. // spec cluster §15.5
    fn review_online(&mut self) {
        let active: BTreeSet<String> = NodeState::all(&self.cib)
            .into_iter()
            .filter(|state| !state.remote && state.is_active())
            .map(|state| state.id)
            .collect();
        let is_online = |id: &NodeId| {
            *id == self.me || self.witnesses.contains(id) || active.contains(&id.to_string())
        };
        let now: BTreeSet<NodeId> = self.members.keys().copied().filter(is_online).collect();
        let came: Vec<NodeId> = now.difference(&self.online).copied().collect();
        let left: Vec<NodeId> = self.online.difference(&now).copied().collect();
        self.online = now;
        for id in left {
            self.outboxes.remove(&id);
            if let Some(name) = self.members.get(&id).cloned() {
                self.drop_values(&name);
            }
        }
        for id in came {
            if id == self.me {
                continue;
            }
            let keys = self.own_keys();
            let outbox = self.outboxes.entry(id).or_default();
            outbox.keys.extend(keys);
            outbox.want = true;
        }
    }

    /// A remote node that was fenced, or runs in a new life, has none of the values of before. It has no manager which could
    /// say so, so the writer does. // spec cluster §15.5
    fn review_remotes(&mut self, now: Now) {
        let states = self.cib.status().into_iter();
        let states = states.flat_map(|status| status.children_named("node_state"));
        let lives: BTreeMap<NodeName, (String, String)> = states
            .filter(|state| state.get("remote_node") == Some("true"))
            .filter_map(|state| {
                let text = |name| state.get(name).unwrap_or_default().to_owned();
                let name = NodeName::from(state.get("uname")?);
                Some((name, (text("incarnation"), text("node_fenced"))))
            })
            .collect();
        let ended = |name: &NodeName, was: &(String, String)| {
            let now = lives.get(name);
            now.is_none_or(|(life, fenced)| {
                *life != was.0 || (*fenced != was.1 && !matches!(fenced.as_str(), "" | "0"))
            })
        };
        let before = std::mem::take(&mut self.remotes);
        let ended: Vec<NodeName> = before
            .iter()
            .filter(|(name, was)| ended(name, was))
            .map(|(name, _)| name.clone())
            .collect();
        self.remotes = lives;
        if !self.writer.writes {
            return;
        }
        for host in ended {
            let stamp = self.stamp();
            for name in self.names_of(&host) {
                self.change(now, &name, &host, None, stamp);
            }
        }
    }

    fn drop_values(&mut self, host: &NodeName) {
        for attribute in self.attributes.values_mut() {
            attribute.values.remove(host);
        }
    }

    fn told(&mut self, now: Now, from: NodeId, message: Message) {
        // The first word of a new life: values of the life before are nobody's.
        let before = self.lives.insert(from, message.born);
        if before.is_some_and(|born| born != message.born)
            && let Some(name) = self.members.get(&from).cloned()
        {
            self.drop_values(&name);
        }
        // One that is not seen here yet is told all the same as soon as it is.
        if message.want && self.online.contains(&from) {
            let keys = self.own_keys();
            self.outboxes.entry(from).or_default().keys.extend(keys);
        }
        if message.refresh {
            self.all_due();
        }
        for cell in message.cells {
            self.merge(now, cell);
        }
    }

    fn merge(&mut self, now: Now, cell: Cell) {
        self.clock = self.clock.max(cell.stamp.0).max(cell.kind.stamp.0);
        let attribute = self.attributes.entry(cell.name.clone()).or_default();
        if cell.kind.stamp > attribute.kind.stamp {
            if cell.kind.dampening_ms != attribute.kind.dampening_ms {
                attribute.due = None;
            }
            attribute.kind = cell.kind;
        }
        let Some(host) = cell.host else { return };
        let known = attribute.values.get(&host);
        if known.is_none_or(|(_, stamp)| *stamp < cell.stamp) {
            let changed = known.is_none_or(|(value, _)| *value != cell.value);
            if changed {
                self.put(now, &cell.name, &host, cell.value, cell.stamp);
            } else {
                attribute.values.insert(host, (cell.value, cell.stamp));
            }
        }
    }

    fn cell(&self, (name, host): &Key) -> Option<Cell> {
        let attribute = self.attributes.get(name)?;
        let (value, stamp) = match host {
            Some(host) => attribute.values.get(host)?.clone(),
            None => (None, Stamp::default()),
        };
        Some(Cell {
            name: name.clone(),
            kind: attribute.kind.clone(),
            host: host.clone(),
            value,
            stamp,
        })
    }

    fn send(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let mut outboxes = std::mem::take(&mut self.outboxes);
        for (to, outbox) in &mut outboxes {
            let rests = outbox.again.is_some_and(|at| at > now);
            if outbox.sending.is_some() || outbox.is_empty() || rests {
                continue;
            }
            let keys: Vec<Key> = outbox.keys.iter().take(MOST_CELLS).cloned().collect();
            for key in &keys {
                outbox.keys.remove(key);
            }
            let message = Message {
                born: self.born,
                want: std::mem::take(&mut outbox.want),
                refresh: std::mem::take(&mut outbox.refresh),
                cells: keys.iter().filter_map(|key| self.cell(key)).collect(),
            };
            outbox.again = None;
            outbox.sending = Some(message.clone());
            effects.push(Effect::Send(*to, message));
        }
        self.outboxes = outboxes;
    }

    fn sent(&mut self, now: Now, to: NodeId, arrived: bool) {
        let Some(outbox) = self.outboxes.get_mut(&to) else {
            return;
        };
        let Some(message) = outbox.sending.take() else {
            return;
        };
        if arrived {
            return;
        }
        outbox.want |= message.want;
        outbox.refresh |= message.refresh;
        let keys = message.cells.into_iter().map(|c| (c.name, c.host));
        outbox.keys.extend(keys);
        outbox.again = Some(now.mono.plus(AGAIN_MS));
    }

    // Tools that wait.

    fn answer_waiting(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let waiting = std::mem::take(&mut self.waiting);
        for one in waiting {
            let done = one.keys.iter().all(|key| match one.wait {
                Wait::Local => true,
                Wait::Written => self.is_settled(key, now),
                Wait::Cluster => self.is_told(key),
            });
            if done || one.until <= now {
                effects.push(Effect::Answer(one.ticket, Answer::Done));
            } else {
                self.waiting.push(one);
            }
        }
    }

    /// In the CIB, or not to be expected there soon.
    fn is_settled(&self, (name, host): &Key, now: Mono) -> bool {
        let (Some(attribute), Some(host)) = (self.attributes.get(name), host) else {
            return true;
        };
        let Some((value, _)) = attribute.values.get(host) else {
            return true;
        };
        attribute.kind.private
            || attribute.kind.dampening_ms > 0
            || attribute.due.is_some_and(|due| due > now)
            || same(self.seen.get(name, host), value.as_deref())
    }

    fn is_told(&self, key: &Key) -> bool {
        self.outboxes.values().all(|outbox| {
            let under_way = outbox.sending.iter().flat_map(|m| &m.cells);
            !outbox.keys.contains(key)
                && !under_way
                    .into_iter()
                    .any(|c| c.name == key.0 && c.host == key.1)
        })
    }
}

fn alike(a: &NodeName, b: &NodeName) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
