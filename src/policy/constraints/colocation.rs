//! Colocations (spec 2 §7.5, §8).

use std::cmp::Ordering;

use super::Reader;
use super::ordering::Kinds;
use super::set::{self, Named, Set};
use crate::policy::facts::resource::Rsc;
use crate::policy::index::{ColIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::policy::task::Task;
use crate::terms::{Role, Score, text};
use crate::xml::Element;

/// The dependent wants to be where the primary is (or is not).
#[derive(Debug, Clone)]
pub struct Colocation {
    /// Id of the constraint or set, or an internal `#...` name.
    pub id: Str,
    /// Who follows.
    pub dependent: RscIdx,
    /// Whom.
    pub primary: RscIdx,
    /// Never 0.
    pub score: Score,
    /// Nodes count as the same place when this attribute is equal; `#uname` by default.
    pub node_attribute: Str,
    /// Role of the dependent that it is limited to; Unknown = any.
    pub dependent_role: Role,
    /// Role of the primary that it is limited to; Unknown = any.
    pub primary_role: Role,
    /// Whether the dependent's preferences always count for the primary (spec 2 §10.5.2).
    pub influence: bool,
    /// Configured (true) or internal (false).
    pub explicit: bool,
}

/// Ids of internal colocations (spec 2 §8).
pub mod internal {
    /// A group member with the one before it.
    pub const GROUP_MEMBERS: &str = "#group-members";
    /// A resource with what launches it.
    pub const WITH_CONTAINER: &str = "#resource-with-container";
    /// A bundle's address with its container.
    pub const IP_WITH_CONTAINER: &str = "#ip-with-container";
}

/// Reads one `rsc_colocation`. // spec 2 §7.5
pub(super) fn read(reader: &mut Reader<'_>, element: &Element) {
    let facts = reader.facts;
    let score = element
        .get("score")
        .and_then(|score| facts.score(score))
        .unwrap_or(Score::ZERO);
    let sets = set::read_all(facts, element);
    if !sets.is_empty() {
        from_sets(reader, element, score, &sets);
        return;
    }
    let (Some(rsc), Some(with)) = (element.get("rsc"), element.get("with-rsc")) else {
        return;
    };
    let (dependent, primary) = match (set::named(facts, rsc), set::named(facts, with)) {
        (None, _) => return reader.unknown(element, rsc),
        (_, None) => return reader.unknown(element, with),
        (Some(dependent), Some(primary)) => (dependent, primary),
    };
    match (dependent, primary) {
        (Named::Rsc(dependent), Named::Rsc(primary)) => {
            let Some(pair) = Pair::read(element, score) else {
                return;
            };
            reader.colocate(&pair, dependent, primary);
        }
        (Named::Tag(_), Named::Tag(_)) => {
            let id = element.get("id").unwrap_or_default();
            reader.warn(format!(
                "colocation `{id}`: only one of its two sides may be a tag"
            ));
        }
        (dependent, primary) => {
            let side = |named: Named, id: &str, role: &str| {
                let mut side = match named {
                    Named::Tag(refs) => Set::of(id, refs, Some(false)),
                    Named::Rsc(_) => Set::of(id, vec![id.into()], None),
                };
                side.role = element.get(role).map(Str::from);
                side
            };
            let sets = [
                side(dependent, rsc, "rsc-role"),
                side(primary, with, "with-rsc-role"),
            ];
            from_sets(reader, element, score, &sets);
        }
    }
}

/// What the records made from one constraint have in common.
struct Pair {
    id: Str,
    score: Score,
    node_attribute: Str,
    roles: (Role, Role),
    influence: Option<bool>,
}

impl Pair {
    fn read(element: &Element, score: Score) -> Option<Self> {
        Some(Self {
            id: element.get("id").unwrap_or_default().into(),
            score,
            node_attribute: element.get("node-attribute").unwrap_or("#uname").into(),
            roles: (
                role(element.get("rsc-role"))?,
                role(element.get("with-rsc-role"))?,
            ),
            influence: element.get("influence").and_then(text::boolean),
        })
    }
}

/// Started and nothing are any role. Something that is no role makes the constraint void.
pub(super) fn role(text: Option<&str>) -> Option<Role> {
    match text {
        None => Some(Role::Unknown),
        Some(text) => match Role::parse(text)? {
            Role::Started => Some(Role::Unknown),
            role => Some(role),
        },
    }
}

fn from_sets(reader: &mut Reader<'_>, element: &Element, score: Score, sets: &[Set]) {
    let facts = reader.facts;
    let influence = element.get("influence").and_then(text::boolean);
    let mut previous: Option<&Set> = None;
    for set in sets {
        let own = set
            .score
            .as_deref()
            .and_then(|score| facts.score(score))
            .unwrap_or(score);
        inside(reader, set, own, influence);
        if let Some(previous) = previous {
            let id = element.get("id").unwrap_or_default();
            between(reader, id, previous, set, score, influence);
        }
        previous = Some(set);
    }
}

fn inside(reader: &mut Reader<'_>, set: &Set, score: Score, influence: Option<bool>) {
    let facts = reader.facts;
    let Some(role) = role(set.role.as_deref()) else {
        return;
    };
    if score == Score::ZERO || set.sequential == Some(false) {
        return;
    }
    let pair = Pair {
        id: Str::clone(&set.id),
        score,
        node_attribute: "#uname".into(),
        roles: (role, role),
        influence,
    };
    let backwards = set
        .ordering
        .as_deref()
        .is_some_and(|ordering| ordering != "group");
    let mut before: Vec<RscIdx> = Vec::new();
    for id in &set.refs {
        // The rest of the set is skipped.
        let Some(rsc) = facts.rsc_named(id) else {
            return;
        };
        if score < Score::ZERO {
            for &earlier in &before {
                reader.colocate(&pair, rsc, earlier);
            }
        } else if let Some(&last) = before.last() {
            if backwards {
                reader.colocate(&pair, last, rsc);
            } else {
                reader.colocate(&pair, rsc, last);
            }
        }
        before.push(rsc);
    }
}

fn between(
    reader: &mut Reader<'_>,
    id: &str,
    dependents: &Set,
    primaries: &Set,
    score: Score,
    influence: Option<bool>,
) {
    let facts = reader.facts;
    let roles = (
        role(dependents.role.as_deref()),
        role(primaries.role.as_deref()),
    );
    let (Some(dependent_role), Some(primary_role)) = roles else {
        return;
    };
    let pair = Pair {
        id: id.into(),
        score,
        node_attribute: "#uname".into(),
        roles: (dependent_role, primary_role),
        influence,
    };
    let sequential = |set: &Set| set.sequential != Some(false);
    let all = |set: &Set| -> Vec<RscIdx> {
        set.refs
            .iter()
            .filter_map(|id| facts.rsc_named(id))
            .collect()
    };
    let end = |id: Option<&Str>| id.and_then(|id| facts.rsc_named(id)).into_iter().collect();
    let from: Vec<RscIdx> = if sequential(dependents) {
        end(dependents.refs.first())
    } else {
        all(dependents)
    };
    let to: Vec<RscIdx> = if sequential(primaries) {
        end(primaries.refs.last())
    } else {
        all(primaries)
    };
    for &dependent in &from {
        for &primary in &to {
            reader.colocate(&pair, dependent, primary);
        }
    }
}

impl Reader<'_> {
    fn colocate(&mut self, pair: &Pair, dependent: RscIdx, primary: RscIdx) {
        if dependent == primary {
            let id = &pair.id;
            let name = self.facts.rscs[primary].id.clone();
            self.warn(format!(
                "colocation `{id}`: `{name}` can't be colocated with itself"
            ));
            return;
        }
        let critical = self.facts.rscs[dependent].flags.critical;
        self.add_colocation(Colocation {
            id: Str::clone(&pair.id),
            dependent,
            primary,
            score: pair.score,
            node_attribute: Str::clone(&pair.node_attribute),
            dependent_role: pair.roles.0,
            primary_role: pair.roles.1,
            influence: pair.influence.unwrap_or(critical),
            explicit: true,
        });
        if pair.score.is_minus_infinite() {
            self.apart((dependent, pair.roles.0), (primary, pair.roles.1), &pair.id);
            self.apart((primary, pair.roles.1), (dependent, pair.roles.0), &pair.id);
        }
    }

    /// What may never be together changes places in order: the one leaves a node before the other comes.
    /// The spec has no section on it. Case: anti-colocation-order, anti-colocation-promoted.
    fn apart(
        &mut self,
        (first, first_role): (RscIdx, Role),
        (then, then_role): (RscIdx, Role),
        id: &Str,
    ) {
        let leaves: &[Task] = match first_role {
            Role::Promoted => &[Task::DEMOTE],
            Role::Unpromoted => &[Task::PROMOTE, Task::STOP],
            _ => &[Task::STOP],
        };
        let comes: &[Task] = match then_role {
            Role::Promoted => &[Task::PROMOTE],
            Role::Unpromoted => &[Task::DEMOTE, Task::START],
            _ => &[Task::START],
        };
        for leave in leaves {
            for come in comes {
                let ends = ((first, *leave), (then, *come));
                self.order(Some(id), ends.0, ends.1, Kinds::REQ_SAME_NODE);
            }
        }
    }

    /// An internal colocation.
    pub(super) fn implied_colocation(
        &mut self,
        id: &'static str,
        dependent: RscIdx,
        primary: RscIdx,
        score: Score,
        influence: bool,
    ) {
        self.add_colocation(Colocation {
            id: id.into(),
            dependent,
            primary,
            score,
            node_attribute: "#uname".into(),
            dependent_role: Role::Unknown,
            primary_role: Role::Unknown,
            influence,
            explicit: false,
        });
    }

    fn add_colocation(&mut self, colocation: Colocation) {
        if colocation.score == Score::ZERO {
            return;
        }
        let facts = self.facts;
        let (dependent, primary) = (colocation.dependent, colocation.primary);
        let at = self.out.colocations.push(colocation);
        let all = &self.out.colocations;
        let position = |list: &[ColIdx], other: RscIdx, side: fn(&Colocation) -> RscIdx| {
            let new = &facts.rscs[other];
            list.iter()
                .position(|&have| storage_order(&facts.rscs[side(&all[have])], new).is_ge())
                .unwrap_or(list.len())
        };
        let this = position(&self.out.this_with[dependent], primary, |c| c.primary);
        let with = position(&self.out.with_this[primary], dependent, |c| c.dependent);
        self.out.this_with[dependent].insert(this, at);
        self.out.with_this[primary].insert(with, at);
    }
}

/// Order in a resource's lists, by the other resource. // spec 2 §7.5
#[must_use]
pub fn storage_order(a: &Rsc, b: &Rsc) -> Ordering {
    let clone = |rsc: &Rsc| rsc.clone_facts().is_some() && rsc.flags.promotable;
    b.priority
        .cmp(&a.priority)
        .then_with(|| b.kind.rank().cmp(&a.kind.rank()))
        .then_with(|| clone(b).cmp(&clone(a)))
        .then_with(|| a.id.as_str().cmp(b.id.as_str()))
}
