//! One CIB, what both sides said about it, and what the policy takes for true in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::facts::{self, Facts, Kind};
use crate::policy::{Input, RscIdx};
use crate::xml::Element;

use super::Answer;

/// Ids of outermost resources.
pub(super) type Tops = BTreeSet<String>;

/// What both sides said about a CIB, and what the policy takes for true in it.
#[derive(Debug)]
pub struct Case<'c> {
    pub(super) cib: &'c Element,
    pub(super) theirs: Answer,
    pub(super) ours: Answer,
    pub(super) facts: Facts,
    /// The outermost resource that something is, or is in.
    top: BTreeMap<String, String>,
}

impl<'c> Case<'c> {
    /// All that is known of a case.
    #[must_use]
    pub fn new(cib: &'c Element, input: &Input, theirs: Answer, ours: Answer) -> Self {
        let resources = cib.descend(&["configuration", "resources"]);
        let mut top = BTreeMap::new();
        for outer in resources.into_iter().flat_map(Element::children) {
            for inner in outer.descendants() {
                if let (Some(id), Some(outer)) = (inner.id(), outer.id()) {
                    top.insert(id.to_owned(), outer.to_owned());
                }
            }
        }
        let facts = facts::read(cib, input);
        Case {
            cib,
            theirs,
            ours,
            facts,
            top,
        }
    }

    /// The outermost resource of one, by its id.
    pub(super) fn top(&self, rsc: &str) -> Option<&str> {
        let base = rsc.split(':').next().unwrap_or(rsc);
        // Parts of bundles stand in no CIB.
        let implied = || {
            let root = self.facts.root_of(self.facts.rsc_by_id(rsc)?);
            self.top.get(self.facts.rscs[root].id.as_str())
        };
        self.top.get(base).or_else(implied).map(String::as_str)
    }

    /// With everything that constraints link to it, however indirectly.
    pub(super) fn linked(&self, tops: &Tops) -> Tops {
        let constraints = self.cib.descend(&["configuration", "constraints"]);
        let groups: Vec<Tops> = constraints
            .into_iter()
            .flat_map(Element::children)
            .filter(|one| one.is("rsc_colocation") || one.is("rsc_order"))
            .map(|one| self.named_in(one))
            .collect();
        let mut linked = tops.clone();
        loop {
            let before = linked.len();
            for group in &groups {
                if !group.is_disjoint(&linked) {
                    linked.extend(group.iter().cloned());
                }
            }
            if linked.len() == before {
                return linked;
            }
        }
    }

    /// The outermost resources that a constraint names.
    pub(super) fn named_in(&self, constraint: &Element) -> Tops {
        let ends = ["rsc", "with-rsc", "first", "then"];
        let named = ends.iter().filter_map(|end| constraint.get(end));
        let in_sets = constraint
            .descendants()
            .filter(|e| e.is("resource_ref"))
            .filter_map(Element::id);
        let ids = named.chain(in_sets);
        ids.filter_map(|id| self.top(id))
            .map(str::to_owned)
            .collect()
    }

    /// The order of `pseudo_event clone-one-or-more:ord-1 ...`, and of the same for one of its sets.
    pub(super) fn of_order(&self, action: &str) -> Option<&Element> {
        let key = action.split(' ').nth(1)?;
        let (_, id) = key.split_once("one-or-more:")?;
        let mut orders = self.cib.descendants().filter(|e| e.is("rsc_order"));
        orders
            .find(|order| order.id() == Some(id) || order.descendants().any(|e| e.id() == Some(id)))
    }

    /// Whether a node can run anything.
    pub(super) fn usable(&self, name: &str) -> bool {
        let node = self.facts.node_by_name(name);
        node.map(|node| &self.facts.nodes[node])
            .is_some_and(|node| {
                node.online && !node.unclean && !node.pending && !node.shutdown && !node.standby
            })
    }

    /// The id of the outermost resource of one.
    pub(super) fn top_named(&self, rsc: RscIdx) -> Option<String> {
        let root = self.facts.root_of(rsc);
        let id = self.facts.rscs[root].id.to_string();
        self.top(&id).map(str::to_owned)
    }

    /// All clones.
    pub(super) fn clones(&self) -> impl Iterator<Item = RscIdx> {
        let is_clone = |rsc: &RscIdx| matches!(self.facts.rscs[*rsc].kind, Kind::Clone(_));
        self.facts.rscs.indexes().filter(is_clone)
    }
}

/// The resource of `* Move r-1 ( n1 -> n2 )`.
pub(super) fn of_summary(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip(1);
    (words.next() != Some("Fence"))
        .then(|| words.next())
        .flatten()
}
