//! Utilization: what nodes have left, and who would not fit. spec 2 §16

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::facts::{Facts, Kind};
use super::super::nvtable::Str;
use super::super::report::{Cause, ScoreLine};
use super::super::{ColIdx, NodeIdx, NvTable, RscIdx};
use super::colocation::{Affects, affects, this_with, with_this};
use super::{Assign, Placement};
use crate::terms::Score;

/// Named amounts; one that is missing is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    amounts: BTreeMap<Str, i64>,
}

impl Capacity {
    pub(super) fn read(table: &NvTable) -> Capacity {
        let mut it = Capacity::default();
        it.give(table);
        it
    }

    /// The amounts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.amounts.iter().map(|(name, amount)| (&**name, *amount))
    }

    fn of(&self, name: &str) -> i64 {
        self.amounts.get(name).copied().unwrap_or(0)
    }

    fn change(&mut self, table: &NvTable, sign: i64) {
        for (name, text) in table.iter() {
            let amount = self.amounts.entry(name.into()).or_insert(0);
            *amount = (*amount + sign * scan(text)).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        }
    }

    pub(super) fn take(&mut self, table: &NvTable) {
        self.change(table, -1);
    }

    pub(super) fn give(&mut self, table: &NvTable) {
        self.change(table, 1);
    }

    fn covers(&self, need: &Capacity) -> bool {
        need.amounts
            .iter()
            .all(|(name, amount)| self.of(name) >= *amount)
    }

    /// The one with more of more things first. spec 2 §16.2
    #[must_use]
    pub fn compare(&self, other: &Capacity) -> Ordering {
        let mut balance = 0;
        let extra = other
            .amounts
            .keys()
            .filter(|name| !self.amounts.contains_key(*name));
        for name in self.amounts.keys().chain(extra) {
            balance += match self.of(name).cmp(&other.of(name)) {
                Ordering::Less => 1,
                Ordering::Equal => 0,
                Ordering::Greater => -1,
            };
        }
        balance.cmp(&0)
    }
}

fn scan(text: &str) -> i64 {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let value =
        digits[..end]
            .parse::<i64>()
            .unwrap_or(if end == 0 { 0 } else { i64::from(i32::MAX) });
    let value = if text.starts_with('-') { -value } else { value };
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

impl Assign<'_> {
    /// Bans nodes without room for the resource and all that must be with it; if no node has room for all, those
    /// without room for itself, and gives the freest one. spec 2 §16.4
    pub(super) fn ban_what_is_full(&mut self, rsc: RscIdx) -> Option<NodeIdx> {
        let mut set = Vec::new();
        colocated(self.facts, &self.place, rsc, rsc, &mut set);
        if !set.contains(&rsc) {
            set.push(rsc);
        }
        let mut need = Capacity::default();
        for member in &set {
            self.need_of(*member, &set, &mut need);
        }
        let table = &self.place.allowed[rsc];
        let in_order = self.facts.node_order.iter().copied();
        let usable: Vec<NodeIdx> = in_order
            .filter(|node| {
                table
                    .score(*node)
                    .is_some_and(|score| self.usable(*node, score))
            })
            .collect();
        let fits = |node: &NodeIdx| self.place.capacity[*node].covers(&need);
        let cause = Cause::Option("placement-strategy");
        if usable.iter().any(fits) {
            for node in usable
                .into_iter()
                .filter(|node| !fits(node))
                .collect::<Vec<_>>()
            {
                self.add(rsc, node, Score::MINUS_INFINITY, &cause);
            }
            return None;
        }
        let mut freest: Option<NodeIdx> = None;
        for node in &usable {
            if freest.is_none_or(|best| {
                self.place.capacity[*node].compare(&self.place.capacity[best]) == Ordering::Less
            }) {
                freest = Some(*node);
            }
        }
        let own = Capacity::read(&self.facts.rscs[rsc].utilization);
        for node in usable {
            if !self.place.capacity[node].covers(&own) {
                self.add(rsc, node, Score::MINUS_INFINITY, &cause);
            }
        }
        freest
    }

    fn need_of(&self, rsc: RscIdx, set: &[RscIdx], need: &mut Capacity) {
        let now = &self.place.now;
        if !now.rscs[rsc].unassigned {
            return;
        }
        let children = &now.rscs[rsc].children;
        match &self.facts.rscs[rsc].kind {
            Kind::Primitive => need.give(&self.facts.rscs[rsc].utilization),
            Kind::Group(group) => {
                let all = group.colocated || self.facts.rscs[rsc].parent.is_some();
                let counted = if all {
                    &children[..]
                } else {
                    &children[..1.min(children.len())]
                };
                for member in counted.iter().filter(|member| !set.contains(member)) {
                    self.need_of(*member, set, need);
                }
            }
            Kind::Clone(_) => {
                let mut found = false;
                for instance in children {
                    if set.contains(instance) {
                        found = true;
                    } else if now.rscs[*instance]
                        .children
                        .iter()
                        .any(|member| set.contains(member))
                    {
                        found = true;
                        self.need_of(*instance, set, need);
                    }
                }
                if !found && let Some(first) = children.first() {
                    self.need_of(*first, set, need);
                }
            }
            Kind::Bundle(bundle) => {
                if let Some(replica) = bundle.replicas.first() {
                    self.need_of(replica.container, set, need);
                }
            }
        }
    }

    /// spec 2 §20.4
    pub(super) fn print_capacities(&mut self, stage: &'static str) {
        if !self.facts.context.scores {
            return;
        }
        for node in &self.facts.node_order {
            if self.facts.node_kind(*node) != super::super::facts::NodeKind::Bundle {
                let left = self.place.capacity[*node]
                    .iter()
                    .map(|(name, amount)| (Str::from(name), amount))
                    .collect();
                self.place.lines.push(ScoreLine::Capacity {
                    stage,
                    node: *node,
                    left,
                });
            }
        }
    }
}

/// Everything that must be with `start`, through all mandatory colocations.
fn colocated(facts: &Facts, place: &Placement, start: RscIdx, rsc: RscIdx, set: &mut Vec<RscIdx>) {
    if let Kind::Group(group) = &facts.rscs[rsc].kind
        && (group.colocated || facts.rscs[rsc].parent.is_some())
    {
        if !set.contains(&rsc) {
            set.push(rsc);
            for member in &facts.rscs[rsc].children {
                colocated(facts, place, start, *member, set);
            }
        }
        return;
    }
    if set.contains(&rsc) {
        return;
    }
    set.push(rsc);
    let mandatory = |col: &ColIdx| place.colocations[*col].score >= Score::INFINITY;
    for col in this_with(facts, place, &place.now, rsc)
        .into_iter()
        .filter(mandatory)
    {
        let primary = place.colocations[col].primary;
        if primary != start && affects(facts, place, rsc, primary, col, true) == Affects::Location {
            colocated(facts, place, start, primary, set);
        }
    }
    for col in with_this(facts, place, &place.now, rsc)
        .into_iter()
        .filter(mandatory)
    {
        let dependent = place.colocations[col].dependent;
        let clone = |rsc: RscIdx| matches!(facts.rscs[rsc].kind, Kind::Clone(_));
        if dependent != start
            && (!clone(rsc) || clone(dependent))
            && affects(facts, place, dependent, rsc, col, true) == Affects::Location
        {
            colocated(facts, place, start, dependent, set);
        }
    }
}
