//! Sets of names and values (`meta_attributes`, `instance_attributes`, `cluster_property_set`, ...), for those who ask
//! before any rule can be evaluated: sets that have a rule are left out. // spec 1 §4

use std::collections::BTreeMap;

use crate::{cib::Cib, terms::Score, xml::Element};

/// The set that tools write cluster options to; it comes before all others.
pub const BOOTSTRAP: &str = "cib-bootstrap-options";

/// The sets of this name in a parent, the one that wins first. References are followed below `top`.
pub fn sets<'a>(top: &'a Element, parent: &'a Element, tag: &str) -> Vec<&'a Element> {
    let mut sets: Vec<&Element> = parent
        .children()
        .filter(|set| set.is(tag))
        .filter_map(|set| resolve(top, set))
        .filter(|set| set.child("rule").is_none())
        .collect();
    // A later set wins over an earlier one of the same score.
    sets.reverse();
    sets.sort_by_key(|set| {
        let score = set.get("score").and_then(Score::parse).unwrap_or_default();
        (set.id() != Some(BOOTSTRAP), std::cmp::Reverse(score))
    });
    sets
}

/// Names and values in force in a parent.
pub fn values<'a>(top: &'a Element, parent: &'a Element, tag: &str) -> BTreeMap<&'a str, &'a str> {
    let mut out = BTreeMap::new();
    for (name, value) in sets(top, parent, tag)
        .into_iter()
        .flat_map(|set| pairs(top, set))
    {
        if value.eq_ignore_ascii_case("#default") {
            out.remove(name);
        } else {
            out.entry(name).or_insert(value);
        }
    }
    out
}

/// The value in force of one name in a parent.
pub fn value<'a>(top: &'a Element, parent: &'a Element, tag: &str, name: &str) -> Option<&'a str> {
    values(top, parent, tag).get(name).copied()
}

pub(super) fn cluster_option<'a>(cib: &'a Cib, name: &str) -> Option<&'a str> {
    let crm_config = cib.section("crm_config")?;
    value(cib.root(), crm_config, "cluster_property_set", name)
}

/// Names and values of one set, in document order.
pub fn pairs<'a>(top: &'a Element, set: &'a Element) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs = set.children().filter(|pair| pair.is("nvpair"));
    pairs.filter_map(move |pair| {
        let pair = resolve(top, pair)?;
        Some((pair.get("name")?, pair.get("value")?))
    })
}

/// The element itself, or the only one that its `id-ref` names.
pub fn resolve<'a>(top: &'a Element, element: &'a Element) -> Option<&'a Element> {
    let Some(reference) = element.get("id-ref") else {
        return Some(element);
    };
    let fits = |e: &&Element| e.is(element.tag()) && e.id() == Some(reference);
    let mut found = top.descendants().filter(fits);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
