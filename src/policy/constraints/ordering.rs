//! Orderings between actions, before the actions exist (spec 3 §1.4, §1.5).

use std::borrow::Cow;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::policy::index::RscIdx;
use crate::policy::nvtable::Str;
use crate::typed_index;

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
    /// For completeness; nothing makes it.
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

/// A task word: mostly one of the fixed ones, sometimes what a user wrote.
pub type TaskWord = Cow<'static, str>;

/// One end of an ordering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEnd {
    /// All actions of the resource with the key `<rsc>_<task>_0`.
    Task(RscIdx, TaskWord),
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
