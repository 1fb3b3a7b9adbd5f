//! Instances spread over nodes: which keep their place, which find one, and which goes with which.
//! spec 2 §13.3 to §13.5

use std::cmp::{Ordering, Reverse};

use super::super::facts::options::PlacementStrategy;
use super::super::facts::{Facts, Kind};
use super::super::report::Cause;
use super::super::{IdxVec, NodeIdx, NodeTable, RscIdx};
use super::capacity::Capacity;
use super::colocation::{Place, attr, influences, this_with, with_this};
use super::now::Now;
use super::preference::{Merged, Mode, factor};
use super::{Assign, Placement};
use crate::terms::{Role, Score};

/// The nodes of a table, best first, banned and unavailable ones included. spec 2 §4.2
#[must_use]
pub(in super::super) fn by_score(
    facts: &Facts,
    now: &Now,
    table: &NodeTable,
    capacity: &IdxVec<NodeIdx, Capacity>,
    prefer: Option<NodeIdx>,
) -> Vec<NodeIdx> {
    let strategy = facts.options.placement_strategy;
    let mut offers: Vec<Offer> = Vec::with_capacity(facts.nodes.len());
    offers.extend(table.iter().map(|(node, entry)| Offer {
        node,
        score: if now.available(facts, node) {
            entry.score
        } else {
            Score::MINUS_INFINITY
        },
        load: now.nodes[node].load,
        preferred: prefer == Some(node),
        rank: now.nodes[node].rank,
    }));
    offers.sort_by(|a, b| {
        let mut order = b.score.cmp(&a.score);
        if order == Ordering::Equal && strategy != PlacementStrategy::Minimal {
            if strategy == PlacementStrategy::Balanced {
                order = capacity[a.node].compare(&capacity[b.node]);
            }
            order = order
                .then_with(|| a.load.cmp(&b.load))
                .then_with(|| b.preferred.cmp(&a.preferred));
        }
        order.then_with(|| a.rank.cmp(&b.rank))
    });
    offers.into_iter().map(|offer| offer.node).collect()
}

/// A node as it is compared with others: what that looks at, side by side.
struct Offer {
    node: NodeIdx,
    score: Score,
    load: u32,
    preferred: bool,
    rank: u32,
}

/// A clone's instances or a bundle's containers.
fn instances(facts: &Facts, now: &Now, collective: RscIdx) -> Vec<RscIdx> {
    match &facts.rscs[collective].kind {
        Kind::Bundle(bundle) => bundle
            .replicas
            .iter()
            .map(|replica| replica.container)
            .collect(),
        _ => now.rscs[collective].children.clone(),
    }
}

/// The first instance on that node (or on one with the same value of an attribute) that is not blocked, with the
/// role if one is demanded.
#[must_use]
pub(in super::super) fn on_node(
    facts: &Facts,
    now: &Now,
    collective: RscIdx,
    node: NodeIdx,
    role: Option<Role>,
    current: bool,
    attribute: Option<&str>,
) -> Option<RscIdx> {
    instances(facts, now, collective)
        .into_iter()
        .find(|instance| {
            let at = if current {
                now.single_active(facts, *instance)
            } else {
                now.single_assigned(*instance)
            };
            let here = at.is_some_and(|at| {
                at == node
                    || attribute.is_some_and(|name| match attr(facts, now, name, at, *instance) {
                        Place::Unset => false,
                        value => value.same(attr(facts, now, name, node, *instance)),
                    })
            });
            here && role.is_none_or(|role| {
                role == Role::Unknown || role == now.state(facts, *instance, !current)
            }) && !now.any_blocked(*instance)
        })
}

/// *partner(d, P, role)*: the instance of `collective` that goes with `own`. spec 2 §13.5
#[must_use]
pub(in super::super) fn partner(
    facts: &Facts,
    place: &Placement,
    now: &Now,
    own: RscIdx,
    collective: RscIdx,
    role: Option<Role>,
    attribute: Option<&str>,
) -> Option<RscIdx> {
    let nodes = match now.single_assigned(own) {
        Some(node) => vec![node],
        None => by_score(facts, now, &place.allowed[own], &place.capacity, None),
    };
    nodes
        .into_iter()
        .find_map(|node| on_node(facts, now, collective, node, role, false, attribute))
}

/// The number after the last colon, or after the last hyphen.
pub(in super::super) fn number(facts: &Facts, rsc: RscIdx) -> u64 {
    let id = facts.rscs[rsc].id.as_str();
    let at = id.rfind(':').or_else(|| id.rfind('-'));
    at.and_then(|at| id[at + 1..].parse().ok()).unwrap_or(0)
}

impl Assign<'_> {
    /// Sorts instances: those that are well where they are first. spec 2 §13.3
    pub(super) fn sort_instances(&mut self, parent: RscIdx, list: &mut Vec<RscIdx>) {
        let mut keys: Vec<(RscIdx, Standing)> = list
            .iter()
            .map(|rsc| (*rsc, self.standing(parent, *rsc)))
            .collect();
        keys.sort_by(|(_, one), (_, two)| one.compare(two));
        *list = keys.into_iter().map(|(rsc, _)| rsc).collect();
    }

    pub(super) fn standing(&mut self, parent: RscIdx, rsc: RscIdx) -> Standing {
        let active = &self.facts.rscs[rsc].active;
        let current = self.place.now.current(self.facts, rsc);
        let fine = current.is_none_or(|node| {
            self.place.allowed[rsc]
                .score(node)
                .is_some_and(|score| score >= Score::ZERO)
        });
        let node = current.filter(|_| fine);
        let entry = node.and_then(|node| self.place.allowed[parent].get(node).copied());
        let pull = match node {
            Some(node) => self.pull(rsc, node),
            None => Score::ZERO,
        };
        Standing {
            active: active.len(),
            fine,
            priority: self.place.now.rscs[rsc].priority,
            node,
            available: node.is_some_and(|node| self.place.now.available(self.facts, node)),
            count: entry.map(|entry| entry.count),
            failed: self.place.now.any_failed(rsc),
            pull,
            number: number(self.facts, rsc),
        }
    }

    /// How much its colocations want an instance on the node where it is. spec 2 §13.3 step 9
    fn pull(&mut self, rsc: RscIdx, node: NodeIdx) -> Score {
        let follows = this_with(self.facts, &self.place, &self.place.now, rsc);
        let followed = with_this(self.facts, &self.place, &self.place.now, rsc);
        let fact = &self.facts.nodes[node];
        let mut table = NodeTable::new();
        table.or_insert(node, fact.base_score, fact.discovery);
        let mut merged = Merged::of(table);
        for col in follows {
            let (other, scale) = (
                self.place.colocations[col].primary,
                factor(self.place.colocations[col].score),
            );
            merged = self.merge(other, rsc, Some(merged), Some(col), scale, Mode::default());
        }
        for col in followed {
            if influences(self.facts, &self.place, col, Some(rsc)) {
                let (other, scale) = (
                    self.place.colocations[col].dependent,
                    factor(self.place.colocations[col].score),
                );
                let mode = Mode {
                    nonneg: true,
                    ..Mode::default()
                };
                merged = self.merge(other, rsc, Some(merged), Some(col), scale, mode);
            }
        }
        merged.table.score(node).unwrap_or(Score::ZERO)
    }

    /// Two passes: first those that may stay where they are, then all others. spec 2 §13.4
    pub(super) fn assign_instances(
        &mut self,
        collective: RscIdx,
        list: &[RscIdx],
        max: u32,
        per_node: u32,
    ) {
        let mut available = 0;
        let now = &self.place.now;
        for (node, entry) in self.place.allowed[collective].iter_mut() {
            entry.count = 0;
            available += u32::from(now.available(self.facts, node));
        }
        let optimal = max.checked_div(available).map_or(1, |each| each.max(1));
        let mut assigned = 0;
        for rsc in list {
            if assigned >= max {
                break;
            }
            if self.may_stay(collective, *rsc, optimal)
                && self.keep(collective, *rsc, max - assigned, per_node)
            {
                assigned += 1;
            }
        }
        for rsc in list {
            if !self.place.now.rscs[*rsc].unassigned {
                continue;
            }
            if assigned >= max {
                let name = self.limits(collective).0;
                let cause = Cause::Meta {
                    rsc: collective,
                    name,
                };
                self.add_everywhere(*rsc, Score::MINUS_INFINITY, &cause);
            } else if self
                .assign_instance(collective, *rsc, None, true, per_node)
                .is_some()
            {
                assigned += 1;
            }
        }
    }

    /// How the limits of all instances, and of those on one node, are called.
    fn limits(&self, collective: RscIdx) -> (&'static str, &'static str) {
        match self.facts.rscs[collective].kind {
            Kind::Bundle(_) => ("replicas", "replicas-per-host"),
            _ => ("clone-max", "clone-node-max"),
        }
    }

    fn may_stay(&self, collective: RscIdx, rsc: RscIdx, optimal: u32) -> bool {
        let now = &self.place.now;
        if !now.rscs[rsc].unassigned || now.rscs[rsc].failed {
            return false;
        }
        let Some(node) = now.current(self.facts, rsc) else {
            return false;
        };
        let room = self.place.allowed[collective]
            .get(node)
            .is_none_or(|entry| entry.count < optimal);
        room && self.usable(node, self.facts.nodes[node].base_score)
            && self.place.allowed[rsc]
                .score(node)
                .is_some_and(|score| self.usable(node, score))
    }

    /// An instance stays only if, after those nodes that it would rather have were given one, there is still an
    /// instance left for its own.
    fn keep(&mut self, collective: RscIdx, rsc: RscIdx, free: u32, per_node: u32) -> bool {
        let Some(node) = self.place.now.current(self.facts, rsc) else {
            return false;
        };
        let counts = self.place.allowed[collective].clone();
        let whole = self.facts.descend(rsc);
        let tables: Vec<(RscIdx, NodeTable)> = whole
            .iter()
            .map(|at| (*at, self.place.allowed[*at].clone()))
            .collect();
        let mut reserved = 0;
        let mut stays = false;
        while reserved < free {
            let got = self.assign_instance(collective, rsc, Some(node), false, per_node);
            if got == Some(node) {
                stays = true;
                break;
            }
            for (at, table) in &tables {
                self.place.allowed[*at].clone_from(table);
            }
            if got.is_none() {
                self.place.now.rscs[rsc].unassigned = true;
                break;
            }
            reserved += 1;
            self.unassign(rsc);
        }
        self.place.allowed[collective] = counts;
        if stays && let Some(entry) = self.place.allowed[collective].get_mut(node) {
            entry.count += 1;
        }
        stays
    }

    fn assign_instance(
        &mut self,
        collective: RscIdx,
        rsc: RscIdx,
        prefer: Option<NodeIdx>,
        last: bool,
        per_node: u32,
    ) -> Option<NodeIdx> {
        if self.place.now.rscs[rsc].assigning {
            return None;
        }
        let removed = self.facts.rscs[rsc].flags.removed;
        let barred: Vec<NodeIdx> = self.place.allowed[rsc]
            .iter()
            .map(|(node, _)| node)
            .filter(|node| {
                let room = self.place.allowed[collective]
                    .get(*node)
                    .is_some_and(|entry| entry.score >= Score::ZERO && entry.count < per_node);
                removed || !room || !self.place.now.available(self.facts, *node)
            })
            .collect();
        for node in barred {
            if self.record {
                let entry = self.place.allowed[collective].get(node);
                let full = entry.is_some_and(|it| it.score >= Score::ZERO && it.count >= per_node);
                if full {
                    let cause = Cause::Meta {
                        rsc: collective,
                        name: self.limits(collective).1,
                    };
                    self.note(rsc, Some(node), Score::MINUS_INFINITY, &cause);
                }
            }
            for at in std::iter::once(rsc).chain(self.facts.rscs[rsc].children.iter().copied()) {
                if let Some(entry) = self.place.allowed[at].get_mut(node) {
                    entry.score = Score::MINUS_INFINITY;
                }
            }
        }
        let node = self.assign(rsc, prefer, last);
        if let Some(node) = node
            && let Some(entry) = self.place.allowed[collective].get_mut(node)
        {
            entry.count += 1;
        }
        node
    }
}

/// What decides an instance's place in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    active: usize,
    fine: bool,
    priority: Score,
    node: Option<NodeIdx>,
    available: bool,
    count: Option<u32>,
    failed: bool,
    pull: Score,
    number: u64,
}

impl Standing {
    pub(super) fn compare(&self, other: &Standing) -> Ordering {
        let both = self.active > 0 && other.active > 0;
        let many = if both {
            self.active.cmp(&other.active)
        } else {
            Ordering::Equal
        };
        let order = many
            .then((!self.fine).cmp(&!other.fine))
            .then(Reverse(self.priority).cmp(&Reverse(other.priority)));
        if order != Ordering::Equal {
            return order;
        }
        if self.node.is_none() && other.node.is_none() {
            return Ordering::Equal;
        }
        let order = (self.node.is_none())
            .cmp(&other.node.is_none())
            .then((!self.available).cmp(&!other.available));
        if order != Ordering::Equal {
            return order;
        }
        match (self.count, other.count) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(one), Some(two)) if one != two => return one.cmp(&two),
            _ => {}
        }
        self.failed
            .cmp(&other.failed)
            .then(Reverse(self.pull).cmp(&Reverse(other.pull)))
            .then(self.number.cmp(&other.number))
    }
}
