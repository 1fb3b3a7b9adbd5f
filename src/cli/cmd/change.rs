//! Small changes of a CIB element that several commands make: one attribute of one object.

use std::collections::BTreeSet;

use crate::xml::Element;

/// Where an nvpair lives below its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Parameters, or attributes of a node.
    Params,
    /// Meta attributes.
    Meta,
    /// Utilization.
    Utilization,
}

impl Set {
    /// The element's name.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Set::Params => "instance_attributes",
            Set::Meta => "meta_attributes",
            Set::Utilization => "utilization",
        }
    }
}

/// The resource of this id, and its parent's id if it is a member of something.
pub(crate) fn resource<'a>(
    root: &'a Element,
    id: &str,
) -> Option<(&'a Element, Option<&'a Element>)> {
    fn below<'a>(parent: &'a Element, id: &str) -> Option<(&'a Element, Option<&'a Element>)> {
        for child in parent.children() {
            if child.id() == Some(id) && is_resource(child.tag()) {
                return Some((child, is_resource(parent.tag()).then_some(parent)));
            }
            if is_resource(child.tag())
                && let Some(found) = below(child, id)
            {
                return Some(found);
            }
        }
        None
    }
    below(root.descend(&["configuration", "resources"])?, id)
}

pub(crate) fn is_resource(tag: &str) -> bool {
    matches!(
        tag,
        "primitive" | "group" | "clone" | "master" | "bundle" | "template"
    )
}

/// The value of a pair in the sets without rules.
pub(crate) fn get<'a>(owner: &'a Element, set: Set, name: &str) -> Option<&'a str> {
    owner
        .children_named(set.tag())
        .filter(|set| set.child("rule").is_none())
        .flat_map(|set| set.children_named("nvpair"))
        .find(|pair| pair.get("name") == Some(name))?
        .get("value")
}

/// Change the resource of this id in place.
pub(crate) fn with_resource(
    root: &mut Element,
    id: &str,
    work: &mut dyn FnMut(&mut Element),
) -> bool {
    fn below(parent: &mut Element, id: &str, work: &mut dyn FnMut(&mut Element)) -> bool {
        for child in parent
            .children_mut()
            .filter(|child| is_resource(child.tag()))
        {
            if child.id() == Some(id) {
                work(child);
                return true;
            }
            if child.children().any(|inner| is_resource(inner.tag())) && below(child, id, work) {
                return true;
            }
        }
        false
    }
    let Some(resources) = root
        .child_mut("configuration")
        .and_then(|found| found.child_mut("resources"))
    else {
        return false;
    };
    below(resources, id, work)
}

/// Set a pair, or remove it.
pub(crate) fn put(
    owner: &mut Element,
    set: Set,
    name: &str,
    value: Option<&str>,
    prefix: &str,
    used: &BTreeSet<String>,
) {
    let holds = |child: &Element| {
        child.is(set.tag()) && child.child("rule").is_none() && !child.has("id-ref")
    };
    let Some(value) = value else {
        for found in owner.children_mut().filter(|child| holds(child)) {
            found.retain_children(|pair| pair.get("name") != Some(name));
        }
        owner.retain_children(|child| !holds(child) || child.has_children());
        return;
    };
    let held = owner
        .children_mut()
        .filter(|child| holds(child))
        .flat_map(Element::children_mut);
    if let Some(pair) = held.into_iter().find(|pair| pair.get("name") == Some(name)) {
        pair.set("value", value);
        return;
    }
    if !owner.children().any(holds) {
        let id = free(format!("{prefix}-{}", set.tag()), used);
        owner.push(Element::new(set.tag()).with("id", id));
    }
    if let Some(found) = owner.children_mut().find(|child| holds(child)) {
        let id = free(format!("{}-{name}", found.id().unwrap_or(prefix)), used);
        found.push(
            Element::new("nvpair")
                .with("id", id)
                .with("name", name)
                .with("value", value),
        );
    }
}

fn free(wanted: String, used: &BTreeSet<String>) -> String {
    let wanted: String = wanted
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut id = wanted.clone();
    let mut number = 0;
    while used.contains(&id) {
        id = format!("{wanted}-{number}");
        number += 1;
    }
    id
}

/// Every id in use.
pub(crate) fn used(root: &Element) -> BTreeSet<String> {
    root.child("configuration")
        .into_iter()
        .flat_map(Element::descendants)
        .filter_map(Element::id)
        .map(str::to_owned)
        .collect()
}

/// The entry of a node by name.
pub(crate) fn node<'a>(root: &'a Element, name: &str) -> Option<&'a Element> {
    let nodes = root.descend(&["configuration", "nodes"])?;
    nodes.children().find(|node| {
        node.get("uname")
            .is_some_and(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Change the entry of a node in place.
pub(crate) fn with_node(root: &mut Element, name: &str, work: impl FnOnce(&mut Element)) {
    let nodes = root.child_or_new("configuration").child_or_new("nodes");
    let found = nodes.children_mut().find(|node| {
        node.get("uname")
            .is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    if let Some(node) = found {
        work(node);
    }
}

/// A transient attribute: in the status of a node, gone when the node leaves.
pub(crate) fn put_transient(
    root: &mut Element,
    node_id: &str,
    node_name: &str,
    name: &str,
    value: Option<&str>,
) {
    let status = root.child_or_new("status");
    if !status.children().any(|state| state.id() == Some(node_id)) {
        if value.is_none() {
            return;
        }
        status.push(
            Element::new("node_state")
                .with("id", node_id)
                .with("uname", node_name),
        );
    }
    let Some(state) = status
        .children_mut()
        .find(|state| state.id() == Some(node_id))
    else {
        return;
    };
    let owner = state.child_or_new("transient_attributes");
    if !owner.has("id") {
        owner.set("id", node_id);
    }
    let Some(value) = value else {
        for set in owner.children_mut() {
            set.retain_children(|pair| pair.get("name") != Some(name));
        }
        return;
    };
    let set = owner.child_or_new("instance_attributes");
    if !set.has("id") {
        set.set("id", &format!("status-{node_id}"));
    }
    let at = set
        .children_mut()
        .find(|pair| pair.get("name") == Some(name));
    match at {
        Some(pair) => pair.set("value", value),
        None => {
            let id = free(format!("status-{node_id}-{name}"), &BTreeSet::new());
            set.push(
                Element::new("nvpair")
                    .with("id", id)
                    .with("name", name)
                    .with("value", value),
            );
        }
    }
}

/// The value of a transient attribute.
pub(crate) fn transient<'a>(root: &'a Element, node_id: &str, name: &str) -> Option<&'a str> {
    let state = root
        .child("status")?
        .children()
        .find(|state| state.id() == Some(node_id))?;
    let sets = state
        .child("transient_attributes")?
        .children_named("instance_attributes");
    sets.flat_map(Element::children)
        .find(|pair| pair.get("name") == Some(name))?
        .get("value")
}
