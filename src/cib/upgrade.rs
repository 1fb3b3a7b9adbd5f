//! Configurations written for older schemas, brought to the newest one. Every step leaves alone what does not have the old
//! feature, so a document that uses none of them only changes its `validate-with`. // spec 1 §3

mod to_four;
mod to_three;
mod to_two;

use super::{SCHEMA, Violation, schema};
use crate::xml::{Element, Node};

/// The document for the newest schema; the very same if it is, or wants no schema.
pub fn latest(root: &Element) -> Result<Element, Violation> {
    let name = root.get("validate-with");
    let version = match name {
        Some("none" | "pacemaker-next") => return Ok(root.clone()),
        Some(name) => schema::version(name).ok_or_else(|| {
            let problem = format!("the schema {name} is not known; the newest one is {SCHEMA}");
            Violation::at(root, problem)
        })?,
        None => {
            let problem = format!("it has no validate-with; write validate-with=\"{SCHEMA}\"");
            return Err(Violation::at(root, problem));
        }
    };
    let mut new = root.clone();
    if version.0 < 2 {
        to_two::transform(&mut new);
    }
    if version.0 < 3 {
        to_three::transform(&mut new);
    }
    if version.0 < 4 {
        to_four::transform(&mut new);
        if new == *root {
            new = root.clone();
        }
        new.set("validate-with", SCHEMA);
    }
    Ok(new)
}

/// Words of older schemas in a document of the newest one, put into today's: shells that are older than the schema write
/// a `<master>` where it has a promotable `<clone>`. Nothing if there is nothing to put right.
pub fn todays_words(root: &Element) -> Option<Element> {
    let old = |element: &Element| element.is("master");
    let resources = root.descend(&["configuration", "resources"])?;
    if root.get("validate-with") != Some(SCHEMA) || !resources.descendants().any(old) {
        return None;
    }
    let mut new = root.clone();
    each(section(&mut new, "resources")?, &old, &mut |master| {
        master.set_tag("clone");
        add_pair(master, "meta_attributes", "promotable", "true");
    });
    Some(new)
}

/// Whether there is anything newer for this document.
pub fn is_latest(root: &Element) -> bool {
    matches!(
        root.get("validate-with"),
        Some("none" | "pacemaker-next" | SCHEMA)
    )
}

/// Calls `change` on every element below (not the top itself) for which `wanted` is true, inner ones first. What is not
/// wanted, and has nothing wanted below, is not copied.
fn each(
    top: &mut Element,
    wanted: &dyn Fn(&Element) -> bool,
    change: &mut dyn FnMut(&mut Element),
) {
    for node in 0..top.nodes().len() {
        let Some(child) = top.nodes()[node].as_element() else {
            continue;
        };
        if child.descendants().any(wanted) {
            let child = top.at_mut(&[node]).expect("the node is an element");
            each(child, wanted, change);
            if wanted(child) {
                change(child);
            }
        }
    }
}

/// Removes every element below for which this is true.
fn remove(top: &mut Element, unwanted: &dyn Fn(&Element) -> bool) {
    if !top.descendants().skip(1).any(unwanted) {
        return;
    }
    top.retain_children(|child| !unwanted(child));
    for index in 0..top.nodes().len() {
        if let Some(child) = top.at_mut(&[index]) {
            remove(child, unwanted);
        }
    }
}

/// The configuration's section of this name.
fn section<'a>(root: &'a mut Element, name: &str) -> Option<&'a mut Element> {
    root.child_mut("configuration")?.child_mut(name)
}

fn is_named(element: &Element, names: &[&str]) -> bool {
    element.is("nvpair")
        && element
            .get("name")
            .is_some_and(|name| names.contains(&name))
}

/// The pair of this name directly in a set.
fn pair<'a>(set: &'a Element, name: &str) -> Option<&'a Element> {
    set.children().find(|pair| is_named(pair, &[name]))
}

/// Puts a pair into the first set of this kind (one without a rule), which is made if there is none. A name that is there
/// already keeps its value.
fn add_pair(parent: &mut Element, set_tag: &str, name: &str, value: &str) {
    let owner = parent.id().unwrap_or(parent.tag()).to_string();
    let plain = |e: &Element| e.is(set_tag) && e.child("rule").is_none() && !e.has("id-ref");
    let there = parent
        .nodes()
        .iter()
        .position(|n| n.as_element().is_some_and(plain));
    let set_id = format!("{owner}-{set_tag}");
    let index = there.unwrap_or_else(|| {
        parent.push(Element::new(set_tag).with("id", &set_id));
        parent.nodes().len() - 1
    });
    let set = parent.at_mut(&[index]).expect("the node is a set");
    if pair(set, name).is_none() {
        let id = format!("{}-{name}", set.id().unwrap_or(&set_id));
        set.push(
            Element::new("nvpair")
                .with("id", id)
                .with("name", name)
                .with("value", value),
        );
    }
}

/// Drops sets of pairs which have become empty.
fn drop_empty_sets(parent: &mut Element, tags: &[&str]) {
    parent.retain_children(|set| {
        !tags.contains(&set.tag()) || set.has_children() || set.has("id-ref")
    });
}

fn comments_of(element: &Element) -> impl Iterator<Item = Node> {
    element
        .nodes()
        .iter()
        .filter(|node| node.as_comment().is_some())
        .cloned()
}

#[cfg(test)]
mod tests;
