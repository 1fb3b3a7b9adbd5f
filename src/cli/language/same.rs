//! Whether two versions of an object mean the same. What does not count, wherever two configurations are compared: the
//! order of attributes, ids that nobody refers to, values that are the default, parts that are empty, and the order of
//! parts of different kinds. The order of parts of one kind counts, as does that of members among themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::xml::Element;

use super::{
    document::Document,
    parse::{MEMBER, Place},
};

/// Whether a statement would bring back this element.
pub(crate) fn same(a: &Element, b: &Element, referenced: &BTreeSet<String>) -> bool {
    plain(a, referenced, true) == plain(b, referenced, true)
}

/// The objects that are not the same in two configurations, one line each; the order of objects does not count.
pub fn differences(old: &Element, new: &Element) -> Vec<String> {
    let mut named = referenced(old);
    named.extend(referenced(new));
    let (old, new) = (texts(old, &named), texts(new, &named));
    let names: BTreeSet<&(Place, String)> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (old, new) => {
                let text =
                    |side: Option<&String>| side.map_or("nothing", String::as_str).to_owned();
                found.push(format!("{}:\n  - {}\n  + {}", name.1, text(old), text(new)));
            }
        }
    }
    found
}

/// Every object's meaning as text. An object that says nothing is as good as none.
fn texts(configuration: &Element, named: &BTreeSet<String>) -> BTreeMap<(Place, String), String> {
    let document = Document::new(configuration.clone());
    let mut found = BTreeMap::new();
    for (place, element) in document.objects() {
        let options = matches!(
            place,
            Place::Property | Place::RscDefaults | Place::OpDefaults
        );
        if options && !element.has_children() {
            continue;
        }
        let mut element = element.clone();
        if place == Place::Node
            && element
                .get("type")
                .is_some_and(|kind| matches!(kind, "normal" | "member"))
        {
            element.unset("type");
        }
        let name = super::document::name(place, &element).to_owned();
        found.insert(
            (place, format!("{} {name}", element.tag())),
            plain(&element, named, true),
        );
    }
    found
}

/// The text of an element in a form that is equal for equal meanings.
fn plain(element: &Element, referenced: &BTreeSet<String>, top: bool) -> String {
    let tag = element.tag();
    let mut attributes: Vec<(&str, &str)> = element
        .attrs()
        .filter(|(name, value)| match *name {
            "id" => top || keeps_id(tag) || referenced.contains(*value),
            "boolean-op" => *value != "and",
            // Words are compared as words unless one asks for more or less.
            "type" if tag == "expression" => {
                *value != "string" || !matches!(element.get("operation"), Some("eq" | "ne"))
            }
            "sequential" | "require-all" if tag == "resource_set" => *value != "true",
            _ => true,
        })
        .collect();
    attributes.sort_unstable();
    let mut out = format!("<{tag} {attributes:?}>");
    let mut parts: BTreeMap<&str, String> = BTreeMap::new();
    for node in element.nodes() {
        if let Some(comment) = node.as_comment() {
            // crmsh keeps the sign that begins a comment in it.
            let text = comment.trim_start_matches(|c: char| c == '#' || c.is_whitespace());
            let text = text.trim_end();
            out.push_str(&format!("<!--{text}-->"));
        }
        let Some(child) = node.as_element() else {
            continue;
        };
        if child.is(MEMBER) || super::document::is_resource(child.tag()) {
            // Members are objects of their own.
            let member = format!("<{MEMBER} {:?}>", child.id());
            parts.entry(MEMBER).or_default().push_str(&member);
        } else if says_something(child, referenced) {
            let text = plain(child, referenced, false);
            parts.entry(child.tag()).or_default().push_str(&text);
        }
    }
    parts.values().for_each(|text| out.push_str(text));
    out.push_str(&format!("</{tag}>"));
    out
}

/// A list without entries that nobody refers to says nothing.
fn says_something(element: &Element, referenced: &BTreeSet<String>) -> bool {
    let list = matches!(
        element.tag(),
        "instance_attributes" | "meta_attributes" | "utilization" | "operations"
    );
    !list
        || element.has_children()
        || element.has("id-ref")
        || element.id().is_some_and(|id| referenced.contains(id))
}

fn keeps_id(tag: &str) -> bool {
    matches!(
        tag,
        MEMBER | "resource_ref" | "obj_ref" | "role" | "port-mapping" | "storage-mapping"
    )
}

/// The ids that an `id-ref` names.
pub(crate) fn referenced(root: &Element) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(element) = open.pop() {
        found.extend(element.get("id-ref").map(str::to_owned));
        open.extend(element.children());
    }
    found
}
