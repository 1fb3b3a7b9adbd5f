//! Orderings between actions, before the actions exist (spec 3 §1.4, §1.5).

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use super::Reader;
use super::set::{self, Named, Set};
use crate::policy::facts::Facts;
use crate::policy::index::RscIdx;
use crate::policy::nvtable::Str;
use crate::policy::task::Task;
use crate::terms::{Score, text};
use crate::typed_index;
use crate::xml::Element;

typed_index! {
    /// A "one or more" pseudo-action in `Constraints::gates`.
    GateIdx;
}

/// A set of edge kinds (spec 3 §1.4 says what each means).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kinds(u32);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $bit:expr;)*) => {
        impl Kinds {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

kinds! {
    /// If both are in the graph, then waits for first.
    ORD = 0;
    /// If first is required, then becomes required.
    FIRST_PULLS = 1;
    /// Like `FIRST_PULLS`, limited to the node of first.
    FIRST_PULLS_LOCAL = 2;
    /// If then is required, first becomes unmigratable when then is.
    THEN_PULLS = 3;
    /// The same where then's resource is promoted.
    PROMOTED_THEN_PULLS = 4;
    /// If first is not runnable, then is not.
    FIRST_GATES = 5;
    /// Links of a live migration.
    MIG_CHAIN = 6;
    /// If first is not runnable, then becomes a real action.
    ELSE_REAL = 7;
    /// Stop before start of a restart.
    RESTART_STOP = 8;
    /// Asymmetrical mandatory.
    ONE_WAY = 9;
    /// First counts toward then's minimum.
    MIN_RUN = 10;
    /// Start of a bundle's container before the probe of its connection.
    NESTED_PROBE = 11;
    /// Never at the same time.
    SERIAL = 12;
    /// Only if both are on the same node.
    SAME_NODE = 13;
    /// Utilization.
    LOAD = 14;
    /// Only if first is not migratable.
    IF_UNMIGRATABLE = 15;
    /// If then is required, first is shown.
    THEN_SHOWS_FIRST = 16;
    /// If first is required and runnable, then is shown.
    FIRST_SHOWS_THEN = 17;
    /// Exempt from the check of guests.
    GUEST_OK = 18;
    /// If then is required, first becomes optional.
    THEN_CANCELS = 19;
    /// Only if both are on the same node and first is required: what may never be together.
    REQ_SAME_NODE = 20;
}

impl Kinds {
    /// The empty set: a disabled edge.
    pub const NONE: Self = Self(0);

    /// Whether all of `other` are in here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in here.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// For constants.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Kinds {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Kinds {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Self::NAMES
            .iter()
            .filter(|(kind, _)| self.has(*kind))
            .map(|(_, name)| *name)
            .collect();
        f.write_str(if names.is_empty() { "NONE" } else { "" })?;
        f.write_str(&names.join("+"))
    }
}

/// One end of an ordering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEnd {
    /// All actions of the resource with the key `<rsc>_<task>_0`.
    Task(RscIdx, Task),
    /// A "one or more" pseudo-action.
    Gate(GateIdx),
}

/// first before then (spec 3 §1.5).
#[derive(Debug, Clone)]
pub struct Ordering {
    /// Id of the constraint or set it came from; none for implicit ones.
    pub id: Option<Str>,
    /// What comes first.
    pub first: OrderEnd,
    /// What comes after it.
    pub then: OrderEnd,
    /// What the edge means.
    pub kinds: Kinds,
}

/// Orderings in the order in which edges are made from them.
#[derive(Debug, Clone)]
pub enum OrderItem {
    /// An ordering.
    Pair(Ordering),
    /// For each allowed node of the resource, by name: stop before unfencing before start (spec 3 §8.1 rule 4).
    Unfencing(RscIdx),
    /// `load_stopped_<node>` orderings of the resource (spec 3 §8.1 rule 5).
    Load(RscIdx),
}

/// A pseudo-action that runs when at least `min_before` of what comes before it can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// `one-or-more:<set id>` or `clone-one-or-more:<constraint id>`.
    pub name: String,
    /// How many must be runnable.
    pub min_before: u32,
}

/// How binding an ordering is. // spec 3 §10.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Mandatory,
    Optional,
    Serialize,
}

/// Which way an edge goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Asymmetric,
    Normal,
    Inverse,
}

fn binding(kind: Option<&str>, facts: &Facts, score: Option<&str>) -> Binding {
    match kind {
        Some("Optional") => Binding::Optional,
        Some("Serialize") => Binding::Serialize,
        Some(_) => Binding::Mandatory,
        None => match score.and_then(|score| facts.score(score)) {
            Some(score) if score == Score::ZERO => Binding::Optional,
            _ => Binding::Mandatory,
        },
    }
}

fn symmetric(given: Option<bool>, inherited: Option<bool>, binding: Binding) -> bool {
    binding != Binding::Serialize && given.or(inherited).unwrap_or(true)
}

fn edge_kinds(binding: Binding, way: Way, first_action: &str) -> Kinds {
    match (binding, way) {
        (Binding::Optional, _) => Kinds::ORD,
        (Binding::Serialize, _) => Kinds::SERIAL,
        (Binding::Mandatory, Way::Asymmetric) => Kinds::ORD | Kinds::ONE_WAY,
        (Binding::Mandatory, Way::Inverse) => Kinds::ORD | Kinds::THEN_PULLS,
        (Binding::Mandatory, Way::Normal) => {
            let gates = matches!(first_action, "start" | "promote" | "migrate_from");
            let plain = Kinds::ORD | Kinds::FIRST_PULLS;
            if gates {
                plain | Kinds::FIRST_GATES
            } else {
                plain
            }
        }
    }
}

/// The action that undoes another one.
fn inverse(action: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 4] = [
        ("start", "stop"),
        ("promote", "demote"),
        ("running", "stopped"),
        ("promoted", "demoted"),
    ];
    PAIRS.iter().find_map(|&(a, b)| match action {
        action if action == a => Some(b),
        action if action == b => Some(a),
        _ => None,
    })
}

/// Reads one `rsc_order`. // spec 3 §10
pub(super) fn read(reader: &mut Reader<'_>, element: &Element) {
    let facts = reader.facts;
    let sets = set::read_all(facts, element);
    if !sets.is_empty() {
        from_sets(reader, element, &sets);
        return;
    }
    let (Some(first_id), Some(then_id)) = (element.get("first"), element.get("then")) else {
        return;
    };
    let (first, then) = match (set::named(facts, first_id), set::named(facts, then_id)) {
        (None, _) => return reader.unknown(element, first_id),
        (_, None) => return reader.unknown(element, then_id),
        (Some(first), Some(then)) => (first, then),
    };
    match (first, then) {
        (Named::Rsc(first), Named::Rsc(then)) => simple(reader, element, first, then),
        (first, then) => {
            let side = |named: Named, id: &str, action: &str| {
                let refs = match named {
                    Named::Tag(refs) => refs,
                    Named::Rsc(_) => vec![id.into()],
                };
                let mut side = Set::of(id, refs, Some(false));
                side.action = element.get(action).map(Str::from);
                side
            };
            let sets = [
                side(first, first_id, "first-action"),
                side(then, then_id, "then-action"),
            ];
            from_sets(reader, element, &sets);
        }
    }
}

// spec 3 §10.2
fn simple(reader: &mut Reader<'_>, element: &Element, first: RscIdx, then: RscIdx) {
    let facts = reader.facts;
    let id: Str = element.get("id").unwrap_or_default().into();
    let binding = binding(element.get("kind"), facts, element.get("score"));
    let given = element
        .get("symmetrical")
        .map(|value| text::is_true(Some(value)));
    let symmetric = symmetric(given, None, binding);
    let first_action = element.get("first-action").unwrap_or("start");
    let then_action = element.get("then-action").unwrap_or(first_action);
    let way = if symmetric {
        Way::Normal
    } else {
        Way::Asymmetric
    };
    let kinds = edge_kinds(binding, way, first_action);
    let (first_task, then_task) = (reader.task(first_action), reader.task(then_action));
    let minimum = match facts.rscs[first].clone_facts() {
        None => 0,
        Some(clone) => clone.min.unwrap_or_else(|| {
            u32::from(element.get("require-all").and_then(text::boolean) == Some(false))
        }),
    };
    if minimum > 0 {
        let gate = reader.gate(format!("clone-one-or-more:{id}"), minimum);
        for &instance in &facts.rscs[first].children {
            let from = OrderEnd::Task(instance, first_task);
            let kinds = Kinds::MIN_RUN | Kinds::FIRST_SHOWS_THEN;
            reader.order_ends(Some(&id), from, OrderEnd::Gate(gate), kinds);
        }
        let to = OrderEnd::Task(then, then_task);
        reader.order_ends(
            Some(&id),
            OrderEnd::Gate(gate),
            to,
            kinds | Kinds::FIRST_GATES,
        );
    } else {
        reader.order(Some(&id), (first, first_task), (then, then_task), kinds);
    }
    if symmetric
        && let (Some(first_undo), Some(then_undo)) = (inverse(first_action), inverse(then_action))
    {
        let kinds = edge_kinds(binding, Way::Inverse, first_undo);
        let (then_task, first_task) = (reader.task(then_undo), reader.task(first_undo));
        reader.order(Some(&id), (then, then_task), (first, first_task), kinds);
    }
}

// spec 3 §10.3
fn from_sets(reader: &mut Reader<'_>, element: &Element, sets: &[Set]) {
    let facts = reader.facts;
    let kind = element.get("kind");
    let score = element.get("score");
    let given = element
        .get("symmetrical")
        .map(|value| text::is_true(Some(value)));
    let whole = binding(kind, facts, score);
    let whole_symmetric = symmetric(given, None, whole);
    let mut previous: Option<(&Set, Vec<RscIdx>)> = None;
    for set in sets {
        let members = match set.resources(facts) {
            Ok(members) => members,
            Err(id) => return reader.unknown(element, &id),
        };
        let own = match set.kind.as_deref() {
            None => whole,
            given => binding(given, facts, None),
        };
        inside(
            reader,
            set,
            &members,
            own,
            symmetric(set.symmetrical, given, own),
        );
        if let Some((before, before_members)) = &previous {
            let way = if whole_symmetric {
                Way::Normal
            } else {
                Way::Asymmetric
            };
            between(
                reader,
                element,
                (before, before_members),
                (set, &members),
                whole,
                way,
            );
            if whole_symmetric {
                let inverse = Way::Inverse;
                between(
                    reader,
                    element,
                    (set, &members),
                    (before, before_members),
                    whole,
                    inverse,
                );
            }
        }
        previous = Some((set, members));
    }
}

fn inside(
    reader: &mut Reader<'_>,
    set: &Set,
    members: &[RscIdx],
    binding: Binding,
    symmetric: bool,
) {
    if members.len() == 1 {
        return;
    }
    let action = set.action.as_deref().unwrap_or("start");
    let sequential = set.sequential != Some(false);
    let id = Some(&set.id);
    let way = if symmetric {
        Way::Normal
    } else {
        Way::Asymmetric
    };
    let kinds = edge_kinds(binding, way, action);
    let task = reader.task(action);
    if binding == Binding::Serialize {
        for (at, &first) in members.iter().enumerate() {
            for &then in &members[at + 1..] {
                reader.order(id, (first, task), (then, task), kinds);
            }
        }
    } else if sequential {
        for pair in members.windows(2) {
            reader.order(id, (pair[0], task), (pair[1], task), kinds);
        }
    }
    if let Some(undo) = inverse(action).filter(|_| symmetric && sequential) {
        let kinds = edge_kinds(binding, Way::Inverse, undo);
        let undo = reader.task(undo);
        for pair in members.windows(2) {
            reader.order(id, (pair[1], undo), (pair[0], undo), kinds);
        }
    }
}

fn between(
    reader: &mut Reader<'_>,
    element: &Element,
    (set1, members1): (&Set, &[RscIdx]),
    (set2, members2): (&Set, &[RscIdx]),
    binding: Binding,
    way: Way,
) {
    let (Some(first_action), Some(then_action)) = (done(set1, way), done(set2, way)) else {
        return;
    };
    let kinds = edge_kinds(binding, way, first_action);
    let (first, then) = (reader.task(first_action), reader.task(then_action));
    let all_required =
        set1.require_all.unwrap_or(true) || matches!(first, Task::STOP | Task::DEMOTE);
    if !all_required {
        let gate = reader.gate(format!("one-or-more:{}", set1.id), 1);
        for &rsc in members1 {
            let from = OrderEnd::Task(rsc, first);
            let kinds = Kinds::MIN_RUN | Kinds::FIRST_SHOWS_THEN;
            reader.order_ends(Some(&set1.id), from, OrderEnd::Gate(gate), kinds);
        }
        for &rsc in members2 {
            let to = OrderEnd::Task(rsc, then);
            let kinds = kinds | Kinds::FIRST_GATES;
            reader.order_ends(Some(&set2.id), OrderEnd::Gate(gate), to, kinds);
        }
        return;
    }
    // Only an explicit `sequential` counts here; backwards, the ends swap.
    let end = |set: &Set, members: &[RscIdx], last: bool| -> Vec<RscIdx> {
        if set.sequential == Some(true) {
            let end = if last {
                members.last()
            } else {
                members.first()
            };
            end.copied().into_iter().collect()
        } else {
            members.to_vec()
        }
    };
    let backwards = way == Way::Inverse;
    let id: Str = element.get("id").unwrap_or_default().into();
    for &a in &end(set1, members1, !backwards) {
        for &b in &end(set2, members2, backwards) {
            reader.order(Some(&id), (a, first), (b, then), kinds);
        }
    }
}

/// What the members of a set do: what is written, or what undoes it.
fn done(set: &Set, way: Way) -> Option<&str> {
    let action = set.action.as_deref().unwrap_or("start");
    match way {
        Way::Inverse => inverse(action),
        Way::Normal | Way::Asymmetric => Some(action),
    }
}

impl Reader<'_> {
    fn task(&mut self, word: &str) -> Task {
        self.out.tasks.task(word)
    }

    fn gate(&mut self, name: String, min_before: u32) -> GateIdx {
        self.out.gates.push(Gate { name, min_before })
    }

    fn order_ends(&mut self, id: Option<&Str>, first: OrderEnd, then: OrderEnd, kinds: Kinds) {
        let id = id.map(Str::clone);
        self.out.orderings.push(OrderItem::Pair(Ordering {
            id,
            first,
            then,
            kinds,
        }));
    }

    /// An ordering between actions of resources, with what it means for live migrations. // spec 3 §8.7
    pub(super) fn order(
        &mut self,
        id: Option<&Str>,
        (first, first_task): (RscIdx, Task),
        (then, then_task): (RscIdx, Task),
        kinds: Kinds,
    ) {
        let equivalents = migration_equivalents(self.facts, (first, first_task), (then, then_task));
        let ends = (
            OrderEnd::Task(first, first_task),
            OrderEnd::Task(then, then_task),
        );
        self.order_ends(id, ends.0, ends.1, kinds);
        for (first_task, then_task, kinds) in equivalents {
            let first = OrderEnd::Task(first, first_task);
            let then = OrderEnd::Task(then, then_task);
            self.order_ends(id, first, then, kinds);
        }
    }
}

/// What an ordering between two resources means when either is migrated. // spec 3 §8.7
fn migration_equivalents(
    facts: &Facts,
    (first, first_task): (RscIdx, Task),
    (then, then_task): (RscIdx, Task),
) -> Vec<(Task, Task, Kinds)> {
    let moves = |rsc: RscIdx| facts.rscs[rsc].flags.migratable;
    if !moves(then) || first == then || facts.is_above(first, then) || facts.is_above(then, first) {
        return Vec::new();
    }
    let plain = Kinds::ORD;
    let unless_moved = if moves(first) {
        Kinds::ORD | Kinds::IF_UNMIGRATABLE
    } else {
        plain
    };
    let caught = facts.rscs[then].partial_target.is_some();
    let mut out = Vec::new();
    match (first_task, then_task) {
        (Task::START, Task::START) => {
            if moves(first) {
                out.push((Task::MIGRATE_FROM, Task::MIGRATE_TO, plain));
            }
            out.push((Task::START, Task::MIGRATE_TO, unless_moved));
        }
        (Task::STOP, Task::STOP) => {
            out.push((Task::STOP, Task::MIGRATE_TO, unless_moved));
            if caught {
                out.push((Task::STOP, Task::MIGRATE_FROM, unless_moved));
            }
        }
        (Task::PROMOTE, Task::START) => out.push((Task::PROMOTE, Task::MIGRATE_TO, plain)),
        (Task::DEMOTE, Task::STOP) => {
            out.push((Task::DEMOTE, Task::MIGRATE_TO, plain));
            if caught {
                out.push((Task::DEMOTE, Task::MIGRATE_FROM, plain));
            }
        }
        _ => {}
    }
    out
}
