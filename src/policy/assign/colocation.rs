//! Who wants to be with whom: the colocations that count for a resource, its own and those of its relatives,
//! and what one of them affects at this moment. spec 2 §10.1, §10.2

use std::cmp::{Ordering, Reverse};

use super::super::facts::{Facts, Kind};
use super::super::{ColIdx, NodeIdx, RscIdx};
use super::Placement;
use super::now::Now;
use crate::terms::{Role, Score};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Dependent,
    Primary,
}

/// The colocations in which `rsc` is (or stands for) the dependent, as they count when it is assigned.
#[must_use]
pub(in super::super) fn this_with(
    facts: &Facts,
    place: &Placement,
    now: &Now,
    rsc: RscIdx,
) -> Vec<ColIdx> {
    collect(facts, place, now, rsc, Side::Dependent)
}

/// The colocations in which `rsc` is (or stands for) the primary.
#[must_use]
pub(in super::super) fn with_this(
    facts: &Facts,
    place: &Placement,
    now: &Now,
    rsc: RscIdx,
) -> Vec<ColIdx> {
    collect(facts, place, now, rsc, Side::Primary)
}

fn collect(facts: &Facts, place: &Placement, now: &Now, rsc: RscIdx, side: Side) -> Vec<ColIdx> {
    let lists = Lists {
        facts,
        place,
        now,
        side,
    };
    let mut out = Vec::new();
    match facts.rscs[rsc].kind {
        Kind::Primitive => {
            out.extend_from_slice(lists.own(rsc));
            if let Some(parent) = facts.rscs[rsc].parent {
                lists.contribute(parent, rsc, &mut out);
            }
        }
        Kind::Bundle(_) => out.extend_from_slice(lists.own(rsc)),
        Kind::Group(_) | Kind::Clone(_) => lists.contribute(rsc, rsc, &mut out),
    }
    out
}

struct Lists<'a> {
    facts: &'a Facts,
    place: &'a Placement,
    now: &'a Now,
    side: Side,
}

impl Lists<'_> {
    fn own(&self, rsc: RscIdx) -> &[ColIdx] {
        match self.side {
            Side::Dependent => &self.place.this_with[rsc],
            Side::Primary => &self.place.with_this[rsc],
        }
    }

    /// What a collective adds on behalf of `whom`, something in it or itself.
    fn contribute(&self, from: RscIdx, whom: RscIdx, out: &mut Vec<ColIdx>) {
        match &self.facts.rscs[from].kind {
            Kind::Primitive => {}
            Kind::Clone(_) => {
                self.merge_in(self.own(from), out);
                if let Some(bundle) = self.facts.rscs[from].parent {
                    self.contribute(bundle, whom, out);
                }
            }
            Kind::Group(group) => {
                let members = &self.facts.rscs[from].children;
                let end = match self.side {
                    Side::Dependent => members.first(),
                    Side::Primary => members.last(),
                };
                if whom == from || end == Some(&whom) {
                    self.merge_in(self.own(from), out);
                    if let Some(clone) = self.facts.rscs[from].parent {
                        self.contribute(clone, whom, out);
                    }
                    if group.colocated {
                        for member in members.iter().filter(|member| **member != whom) {
                            for col in self.own(*member) {
                                if self.place.colocations[*col].explicit {
                                    self.insert(*col, out);
                                }
                            }
                        }
                    }
                } else if self.side == Side::Dependent {
                    // An unmanaged member before it does not pass the group's wishes on.
                    let before = members.iter().take_while(|member| **member != whom);
                    if before.clone().any(|member| !self.now.rscs[*member].managed) {
                        for col in self.own(from) {
                            if self.place.colocations[*col].score == Score::INFINITY {
                                self.insert(*col, out);
                            }
                        }
                    }
                }
            }
            Kind::Bundle(bundle) => {
                let container = bundle
                    .replicas
                    .iter()
                    .any(|replica| replica.container == whom);
                let bundled = bundle.clone.is_some_and(|clone| {
                    self.facts.rscs[clone].flags.promotable
                        && ((whom == clone && self.now.rscs[clone].roles_sorted)
                            || (self.facts.rscs[whom].parent == Some(clone)
                                && !self.now.rscs[whom].unassigned))
                });
                if whom == from || container || bundled {
                    self.merge_in(self.own(from), out);
                }
            }
        }
    }

    fn merge_in(&self, list: &[ColIdx], out: &mut Vec<ColIdx>) {
        if out.is_empty() {
            out.extend_from_slice(list);
        } else {
            for col in list {
                self.insert(*col, out);
            }
        }
    }

    /// Before the first that does not sort strictly before it. spec 2 §7.5
    fn insert(&self, col: ColIdx, out: &mut Vec<ColIdx>) {
        let at = out
            .iter()
            .position(|other| self.compare(*other, col) != Ordering::Less)
            .unwrap_or(out.len());
        out.insert(at, col);
    }

    fn compare(&self, one: ColIdx, two: ColIdx) -> Ordering {
        let other = |col: ColIdx| match self.side {
            Side::Dependent => self.place.colocations[col].primary,
            Side::Primary => self.place.colocations[col].dependent,
        };
        let key = |rsc: RscIdx| {
            let fact = &self.facts.rscs[rsc];
            let promotable = matches!(fact.kind, Kind::Clone(_)) && fact.flags.promotable;
            (
                Reverse(self.now.rscs[rsc].priority),
                Reverse(fact.kind.rank()),
                Reverse(promotable),
                fact.id.as_str(),
            )
        };
        key(other(one)).cmp(&key(other(two)))
    }
}

/// What a colocation does to its dependent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affects {
    Nothing,
    Role,
    Location,
}

/// A replica's container stands for the instance in it.
pub(super) fn role_of(facts: &Facts, rsc: RscIdx) -> RscIdx {
    facts.bundled_of(rsc).unwrap_or(rsc)
}

/// spec 2 §10.2
pub(super) fn affects(
    facts: &Facts,
    place: &Placement,
    dependent: RscIdx,
    primary: RscIdx,
    col: ColIdx,
    preview: bool,
) -> Affects {
    let col = &place.colocations[col];
    let now = &place.now;
    if !preview && now.rscs[primary].unassigned {
        return Affects::Nothing;
    }
    let inner = role_of(facts, dependent);
    if col.dependent_role >= Role::Unpromoted
        && facts.rscs[inner]
            .parent
            .is_some_and(|parent| facts.rscs[parent].flags.promotable)
        && !now.rscs[inner].unassigned
    {
        return Affects::Role;
    }
    if !preview && !now.rscs[dependent].unassigned {
        return Affects::Nothing;
    }
    if col.dependent_role != Role::Unknown && col.dependent_role != now.rscs[inner].next_role {
        return Affects::Nothing;
    }
    if col.primary_role != Role::Unknown
        && col.primary_role != now.rscs[role_of(facts, primary)].next_role
    {
        return Affects::Nothing;
    }
    Affects::Location
}

/// Do the dependent's preferences count for what it depends on? spec 2 §10.5.2
pub(super) fn influences(
    facts: &Facts,
    place: &Placement,
    col: ColIdx,
    instance: Option<RscIdx>,
) -> bool {
    let col = &place.colocations[col];
    let primary = instance.unwrap_or(col.primary);
    let active = &facts.rscs[primary].active;
    if facts.rscs[col.dependent].flags.nesting_allowed
        && !place.now.rscs[primary].failed
        && active.len() == 1
    {
        return false;
    }
    col.influence || active.is_empty()
}

/// The value that makes two nodes the same place for a colocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place<'a> {
    Unset,
    Node(NodeIdx),
    Value(&'a str),
}

impl Place<'_> {
    pub(super) fn same(self, other: Place<'_>) -> bool {
        match (self, other) {
            (Place::Value(one), Place::Value(two)) => one.eq_ignore_ascii_case(two),
            (Place::Unset, Place::Unset) => true,
            (Place::Node(one), Place::Node(two)) => one == two,
            _ => false,
        }
    }
}

/// *attr(n, x)*: the colocation attribute of a node, for a resource. spec 2 §10.4
pub(super) fn attr<'a>(
    facts: &'a Facts,
    now: &Now,
    attribute: &str,
    mut node: NodeIdx,
    rsc: RscIdx,
) -> Place<'a> {
    if facts.is_guest(node) {
        let in_bundle_clone = || {
            facts.bundle_of(rsc).is_some_and(|bundle| {
                facts.top_of(rsc) != rsc || is_bundled_clone(facts, bundle, rsc)
            })
        };
        let on_host = facts.rscs[rsc]
            .meta
            .get("container-attribute-target")
            .is_some_and(|on| on.eq_ignore_ascii_case("host"));
        if on_host
            || (matches!(facts.node_kind(node), super::super::facts::NodeKind::Bundle)
                && in_bundle_clone())
        {
            match facts
                .host_container(node)
                .and_then(|container| now.rscs[container].assigned)
            {
                Some(host) => node = host,
                None => return Place::Unset,
            }
        }
    }
    let table = &facts.nodes[node].attributes;
    if attribute == "#uname" {
        return if now.nodes[node].named {
            Place::Node(node)
        } else {
            Place::Unset
        };
    }
    table.get(attribute).map_or(Place::Unset, Place::Value)
}

fn is_bundled_clone(facts: &Facts, bundle: RscIdx, rsc: RscIdx) -> bool {
    facts.rscs[bundle]
        .bundle()
        .is_some_and(|bundle| bundle.clone == Some(rsc))
}
