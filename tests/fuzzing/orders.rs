//! Whether the orders of a configuration contradict each other: then nobody can follow them to the end.

use std::collections::{BTreeMap, BTreeSet};

use systole::xml::Element;

/// True when following "first, then" from some outermost resource leads back to it.
pub(crate) fn contradictory(cib: &Element) -> bool {
    let Some(resources) = cib.descend(&["configuration", "resources"]) else {
        return false;
    };
    let mut top: BTreeMap<&str, &str> = BTreeMap::new();
    for outer in resources.children() {
        for inner in outer.descendants() {
            if let (Some(id), Some(outer)) = (inner.id(), outer.id()) {
                top.insert(id, outer);
            }
        }
    }
    let mut follows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut add = |first: &str, then: &str| {
        if let (Some(first), Some(then)) = (top.get(first), top.get(then)) {
            follows.entry(first).or_default().insert(then);
        }
    };
    let constraints = cib.descend(&["configuration", "constraints"]);
    let orders = constraints
        .into_iter()
        .flat_map(|all| all.children_named("rsc_order"));
    for order in orders {
        if let (Some(first), Some(then)) = (order.get("first"), order.get("then")) {
            add(first, then);
        }
        let refs: Vec<&str> = order
            .children_named("resource_set")
            .flat_map(Element::children)
            .filter_map(Element::id)
            .collect();
        for (at, first) in refs.iter().enumerate() {
            for then in &refs[at + 1..] {
                add(first, then);
            }
        }
    }
    follows.keys().any(|start| {
        let mut open: Vec<&str> = follows[start].iter().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            if next == *start {
                return true;
            }
            if seen.insert(next) {
                open.extend(follows.get(next).into_iter().flatten());
            }
        }
        false
    })
}
