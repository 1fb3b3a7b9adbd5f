//! The arena of actions and relations, and the only maker of either. An action is what must (or may) be done,
//! a relation says what doing one means for another. Everything is an index, so that the propagation of
//! `ordering` can walk in circles without owning anything.
//!
//! Lists are kept oldest first and read from the back where the field says "newest first".

use std::sync::{Arc, LazyLock};

use super::super::assign::now::Now;
pub use super::super::constraints::Kinds;
pub use super::super::facts::Needs;
use super::super::nvtable::Str;
pub use super::super::task::Task;
use super::super::task::Tasks;
use super::super::{IdxVec, NodeIdx, NvTable, RscIdx};

crate::typed_index! {
    /// An action's place in the arena.
    ActIdx;
}

/// When a notification is sent, relative to what it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyPhase {
    /// Before.
    Pre,
    /// All have been told, before.
    ConfirmedPre,
    /// After.
    Post,
    /// All have been told, after.
    ConfirmedPost,
}

impl NotifyPhase {
    /// As keys and attributes spell it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            NotifyPhase::Pre => "pre",
            NotifyPhase::ConfirmedPre => "confirmed-pre",
            NotifyPhase::Post => "post",
            NotifyPhase::ConfirmedPost => "confirmed-post",
        }
    }
}

/// What identifies an action beside its resource and node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `RSC_TASK_INTERVAL`, or the bare name of an action without resource.
    Op(Task, u64),
    /// `RSC_PHASE_notify_TASK_0`
    Notify(NotifyPhase, Task),
}

impl Key {
    /// A key without interval.
    #[must_use]
    pub fn of(task: Task) -> Key {
        Key::Op(task, 0)
    }

    /// Is this `RSC_TASK_0`?
    #[must_use]
    pub fn is(self, task: Task) -> bool {
        self == Key::Op(task, 0)
    }
}

/// What an action is allowed to be, each a bit. spec 3 §1.3
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// Need not be done.
    pub const OPTIONAL: Flags = Flags(1);
    /// Can be done.
    pub const RUNNABLE: Flags = Flags(2);
    /// An ordering point: nothing is executed.
    pub const PSEUDO: Flags = Flags(4);
    /// Can be part of a live migration.
    pub const MIGRATABLE: Flags = Flags(8);
    /// In the graph even when optional.
    pub const SHOW_ALWAYS: Flags = Flags(16);
    /// A stop that cleans up a dangling migration.
    pub const MIGRATION_ABORT: Flags = Flags(32);
    /// A recurring operation to issue again although it is active.
    pub const RESCHEDULE: Flags = Flags(64);
    /// Executed by the coordinator: the node's state does not matter.
    pub const DC_SIDE: Flags = Flags(128);
    /// In the graph already.
    pub const GRAPHED: Flags = Flags(256);
    /// Loop guard.
    pub const VISITING: Flags = Flags(512);
    /// The inputs have been merged for printing.
    pub const MERGED: Flags = Flags(1024);

    /// All of these set?
    #[must_use]
    pub fn has(self, bits: Flags) -> bool {
        self.0 & bits.0 == bits.0
    }
    /// These as well.
    pub fn set(&mut self, bits: Flags) {
        self.0 |= bits.0;
    }
    /// Without these.
    pub fn clear(&mut self, bits: Flags) {
        self.0 &= !bits.0;
    }
    /// Set or clear by `on`.
    pub fn put(&mut self, bits: Flags, on: bool) {
        if on { self.set(bits) } else { self.clear(bits) }
    }
    /// Both.
    #[must_use]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    /// Only these of it.
    #[must_use]
    pub fn only(self, bits: Flags) -> Flags {
        Flags(self.0 & bits.0)
    }
    /// Has to be done.
    #[must_use]
    pub fn required(self) -> bool {
        !self.has(Flags::OPTIONAL)
    }
    /// Can be done.
    #[must_use]
    pub fn runnable(self) -> bool {
        self.has(Flags::RUNNABLE)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.and(other)
    }
}

/// A relation as its `then` action sees it; `made` is what it was created with.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// What comes first.
    pub first: ActIdx,
    /// What holds now.
    pub kinds: Kinds,
    made: Kinds,
    /// The constraint it came from.
    pub origin: Origin,
}

/// A constraint that an ordering came from, by its place in `Plan::origins`; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin(pub u32);

/// Why an action may no longer be what it was: another one, through an ordering.
#[derive(Clone, Copy, Debug)]
pub struct Because {
    /// What changed.
    pub action: ActIdx,
    /// Which flag it lost.
    pub lost: Flags,
    /// Because of what.
    pub by: ActIdx,
    /// Through which constraint.
    pub origin: Origin,
}

/// One thing to do. spec 3 §1.1
#[derive(Clone, Debug)]
pub struct Action {
    /// What is done.
    pub task: Task,
    /// How it is found again.
    pub key: Key,
    /// For which resource.
    pub rsc: Option<RscIdx>,
    /// Where.
    pub node: Option<NodeIdx>,
    /// Index of the configured operation, if any.
    pub op: Option<usize>,
    /// What goes to the agent as `CRM_meta_*`.
    pub meta: NvTable,
    /// Instance attributes of the operation.
    pub extra: NvTable,
    /// Were `extra` read?
    pub extra_read: bool,
    /// What must be so before it may run.
    pub needs: Needs,
    /// Higher goes first.
    pub priority: i32,
    /// Why, for the summary.
    pub reason: Option<Arc<str>>,
    /// What is cancelled, for a cancel.
    pub cancels: Option<Task>,
    /// How many runnable predecessors it needs.
    pub min_before: u32,
    /// How many it has.
    pub count_before: u32,
    /// What it may be.
    pub flags: Flags,
    /// What comes before, oldest first.
    pub ins: Vec<Input>,
    /// What comes after, oldest first.
    pub outs: Vec<(ActIdx, Kinds)>,
}

/// What an agent is to find that does not find its resource started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It does not run (7).
    NotRunning,
    /// It is promoted (8).
    Promoted,
}

impl Action {
    /// With which code the agent is to end, which is not 0.
    pub fn expect(&mut self, code: Expected) {
        /// The name, and what is said under it: there are many probes.
        static WORDS: LazyLock<[Str; 3]> =
            LazyLock::new(|| ["op_target_rc", "7", "8"].map(Str::from));
        let [name, not_running, promoted] = &*WORDS;
        let code = match code {
            Expected::NotRunning => not_running,
            Expected::Promoted => promoted,
        };
        self.meta.set(Str::clone(name), Str::clone(code));
    }
    /// Has to be done.
    #[must_use]
    pub fn required(&self) -> bool {
        self.flags.required()
    }
    /// Can be done.
    #[must_use]
    pub fn runnable(&self) -> bool {
        self.flags.runnable()
    }
    /// Nothing is executed.
    #[must_use]
    pub fn pseudo(&self) -> bool {
        self.flags.has(Flags::PSEUDO)
    }
    /// Part of a possible live migration.
    #[must_use]
    pub fn migratable(&self) -> bool {
        self.flags.has(Flags::MIGRATABLE)
    }
    /// The interval of a recurring operation, else 0.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        match self.key {
            Key::Op(_, interval) => interval,
            Key::Notify(..) => 0,
        }
    }
}

/// One side of an ordering that is not yet a relation.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Exactly this action.
    Action(ActIdx),
    /// All of a resource's actions with this key.
    Of(RscIdx, Key),
}

impl Side {
    /// All of `rsc`'s actions `task`.
    #[must_use]
    pub fn task(rsc: RscIdx, task: Task) -> Side {
        Side::Of(rsc, Key::of(task))
    }
    /// All of `rsc`'s actions with `key`.
    #[must_use]
    pub fn key(rsc: RscIdx, key: Key) -> Side {
        Side::Of(rsc, key)
    }
    /// Exactly this action.
    #[must_use]
    pub fn action(action: ActIdx) -> Side {
        Side::Action(action)
    }
}

/// An ordering between what two resources (or actions) will do; becomes relations in `ordering::expand`. spec 3 §1.5
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// What comes first.
    pub first: Side,
    /// What comes then.
    pub then: Side,
    /// What it means.
    pub kinds: Kinds,
    /// The constraint it came from.
    pub origin: Origin,
}

/// All actions, all relations, and what changed about resources and nodes while they were made.
#[derive(Clone, Debug)]
pub struct Plan {
    actions: IdxVec<ActIdx, Action>,
    /// Their keys, which never change, once more: what is looked for most is close together.
    keys: IdxVec<ActIdx, Key>,
    by_rsc: IdxVec<RscIdx, Vec<ActIdx>>,
    loose: Vec<ActIdx>,
    tasks: Tasks,
    /// Orderings waiting to become relations, in order of creation.
    pub orders: Vec<Order>,
    /// Resources and nodes as they are now.
    pub now: Now,
    /// The notification points of clones.
    pub notify: Vec<(RscIdx, super::notify::Points)>,
    /// Nodes that probing took from a clone's table.
    pub unlisted: Vec<(RscIdx, NodeIdx)>,
    /// Ids of constraints that orderings came from; the first is empty.
    pub origins: Vec<Str>,
    /// What orderings did to actions, in order, when that is recorded.
    pub because: Vec<Because>,
    /// What made actions required or kept them from being done, in order, when that is recorded.
    pub notes: Vec<super::why::Note>,
    /// Record it?
    pub record: bool,
    /// Contradictory orderings: propagation was stopped.
    pub unsettled: bool,
    /// Changes of parameters that count for nothing, since only private ones differ. (spec 3 §6.2)
    pub private_changes: Vec<String>,
}

/// About so many actions a resource has, and a probe on each node: a list that grows is copied again and again.
const ACTIONS_EACH: usize = 5;

impl Plan {
    /// Nothing planned yet.
    #[must_use]
    pub fn new(now: Now, tasks: Tasks) -> Plan {
        let by_rsc = IdxVec::from_fn(now.rscs.len(), |_| Vec::new());
        let room = (ACTIONS_EACH + now.nodes.len().min(8)) * now.rscs.len();
        Plan {
            actions: IdxVec::with_capacity(room),
            keys: IdxVec::with_capacity(room),
            by_rsc,
            loose: Vec::new(),
            tasks,
            orders: Vec::new(),
            now,
            notify: Vec::new(),
            unlisted: Vec::new(),
            origins: vec![Str::from("")],
            because: Vec::new(),
            notes: Vec::new(),
            record: false,
            unsettled: false,
            private_changes: Vec::new(),
        }
    }

    /// The interned form of a task's name.
    pub fn task(&mut self, text: &str) -> Task {
        self.tasks.task(text)
    }

    /// The interned form, if anything has that task.
    #[must_use]
    pub fn find_task(&self, text: &str) -> Option<Task> {
        self.tasks.find(text)
    }

    /// A task's name.
    #[must_use]
    pub fn name(&self, task: Task) -> &Arc<str> {
        self.tasks.name(task)
    }

    /// The one maker of actions.
    pub fn new_action(
        &mut self,
        task: Task,
        key: Key,
        rsc: Option<RscIdx>,
        node: Option<NodeIdx>,
        flags: Flags,
    ) -> ActIdx {
        let idx = self.actions.push(Action {
            task,
            key,
            rsc,
            node,
            op: None,
            meta: NvTable::new(),
            extra: NvTable::new(),
            extra_read: false,
            needs: Needs::Nothing,
            priority: 0,
            reason: None,
            cancels: None,
            min_before: 0,
            count_before: 0,
            flags,
            ins: Vec::new(),
            outs: Vec::new(),
        });
        self.keys.push(key);
        match rsc {
            Some(rsc) => self.by_rsc[rsc].push(idx),
            None => self.loose.push(idx),
        }
        idx
    }

    /// The keys of all actions, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
    /// An action.
    #[must_use]
    pub fn get(&self, idx: ActIdx) -> &Action {
        &self.actions[idx]
    }
    /// An action, to change.
    pub fn get_mut(&mut self, idx: ActIdx) -> &mut Action {
        &mut self.actions[idx]
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.actions.len()
    }
    /// Nothing planned?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
    /// All, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = ActIdx> + use<> {
        (0..self.actions.len() as u32).rev().map(ActIdx)
    }
    /// All, oldest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = ActIdx> + use<> {
        (0..self.actions.len() as u32).map(ActIdx)
    }
    /// How many have to be done, or would have to if they could.
    pub fn required(&self) -> usize {
        let all = self.actions.iter();
        all.filter(|it| it.flags.required()).count()
    }
    /// A resource's own actions, oldest first.
    #[must_use]
    pub fn of(&self, rsc: RscIdx) -> &[ActIdx] {
        &self.by_rsc[rsc]
    }
    /// Those without resource, oldest first.
    #[must_use]
    pub fn loose(&self) -> &[ActIdx] {
        &self.loose
    }

    /// All of a resource's actions with that key, oldest first.
    #[must_use]
    pub fn with_key(&self, rsc: RscIdx, key: Key) -> Vec<ActIdx> {
        let own = self.of(rsc).iter().copied();
        own.filter(|idx| self.keys[*idx] == key).collect()
    }

    /// The oldest of a resource's actions with that key from a position among its actions on, and the position behind it.
    #[must_use]
    pub fn next_with_key(&self, rsc: RscIdx, key: Key, from: usize) -> Option<(ActIdx, usize)> {
        let rest = self.of(rsc).iter().enumerate().skip(from);
        let mut same = rest.filter(|(_, idx)| self.keys[**idx] == key);
        same.next().map(|(at, idx)| (*idx, at + 1))
    }

    /// All of a resource's actions with that key on `node`; those without node adopt it. spec 3 §3.2
    pub fn with_key_on(&mut self, rsc: RscIdx, key: Key, node: NodeIdx) -> Vec<ActIdx> {
        let mut found = Vec::new();
        for at in 0..self.by_rsc[rsc].len() {
            let idx = self.by_rsc[rsc][at];
            if self.keys[idx] != key {
                continue;
            }
            let action = &mut self.actions[idx];
            if action.node.is_none() {
                action.node = Some(node);
            }
            if action.node == Some(node) {
                found.push(idx);
            }
        }
        found
    }

    /// The oldest with that key on `node` (adopting it), without node restriction if there is none.
    pub fn oldest(&mut self, rsc: RscIdx, key: Key, node: Option<NodeIdx>) -> Option<ActIdx> {
        for at in 0..self.by_rsc[rsc].len() {
            let idx = self.by_rsc[rsc][at];
            if self.keys[idx] != key {
                continue;
            }
            let action = &mut self.actions[idx];
            match node {
                None => return Some(idx),
                Some(_) => {
                    if action.node.is_none() {
                        action.node = node;
                    }
                    if action.node == node {
                        return Some(idx);
                    }
                }
            }
        }
        None
    }

    /// The newest with that task, on that node if one is given. spec 3 §2 (d)
    #[must_use]
    pub fn newest(&self, rsc: RscIdx, task: Task, node: Option<NodeIdx>) -> Option<ActIdx> {
        self.of(rsc).iter().rev().copied().find(|idx| {
            let action = self.get(*idx);
            action.task == task && (node.is_none() || action.node == node)
        })
    }

    /// The newest with that key.
    #[must_use]
    pub fn newest_key(&self, rsc: RscIdx, key: Key) -> Option<ActIdx> {
        self.of(rsc)
            .iter()
            .rev()
            .copied()
            .find(|idx| self.keys[*idx] == key)
    }

    /// One without resource, by name.
    #[must_use]
    pub fn named(&self, name: Task) -> Option<ActIdx> {
        self.loose
            .iter()
            .copied()
            .find(|idx| self.keys[*idx].is(name))
    }

    /// The one maker of relations: nothing if one with intersecting kinds exists. spec 3 §1.4
    pub fn relate(&mut self, first: ActIdx, then: ActIdx, kinds: Kinds) -> bool {
        self.relate_for(first, then, kinds, Origin::default())
    }

    /// The same, remembering the constraint that it comes from.
    pub fn relate_for(
        &mut self,
        first: ActIdx,
        then: ActIdx,
        kinds: Kinds,
        origin: Origin,
    ) -> bool {
        // A node that is configured twice has one fencing; nothing waits for itself.
        if kinds == Kinds::NONE || first == then {
            return false;
        }
        let (outs, ins) = (&self.get(first).outs, &self.get(then).ins);
        let known = if outs.len() <= ins.len() {
            outs.iter().any(|(to, made)| *to == then && made.any(kinds))
        } else {
            ins.iter()
                .any(|input| input.first == first && input.made.any(kinds))
        };
        if known {
            return false;
        }
        self.get_mut(first).outs.push((then, kinds));
        self.get_mut(then).ins.push(Input {
            first,
            kinds,
            made: kinds,
            origin,
        });
        true
    }

    /// The inputs of an action with the same first joined, ascending by first. spec 3 §17.2
    pub fn merge_inputs(&mut self, idx: ActIdx) {
        if self.get(idx).flags.has(Flags::MERGED) {
            return;
        }
        let action = self.get_mut(idx);
        action.flags.set(Flags::MERGED);
        action.ins.sort_by_key(|input| input.first);
        action.ins.dedup_by(|later, kept| {
            let same = later.first == kept.first;
            if same {
                kept.kinds |= later.kinds;
                if kept.origin == Origin::default() {
                    kept.origin = later.origin;
                }
            }
            same
        });
    }
}
