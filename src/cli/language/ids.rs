//! The ids nobody writes: `p-instance_attributes`, `p-instance_attributes-ip`, `p-monitor-10s`. A part that was there before
//! keeps its id; a taken one gets `-0`, `-1`, ... behind it.

use std::collections::BTreeSet;

use crate::xml::Element;

use super::parse::MEMBER;

/// Elements whose id is somebody else's, or, a node's, from another space of names.
fn refers(tag: &str) -> bool {
    matches!(tag, MEMBER | "resource_ref" | "obj_ref" | "role" | "node")
}

/// Every id in use below an element.
pub(crate) fn used(element: &Element) -> BTreeSet<String> {
    let own = element.descendants().filter(|part| !refers(part.tag()));
    own.filter_map(Element::id).map(str::to_owned).collect()
}

/// An id that two parts of an object have, or a part and a member that it names.
pub(crate) fn twice(object: &Element) -> Option<&str> {
    let mut found = BTreeSet::new();
    object
        .descendants()
        .filter(|part| part.is(MEMBER) || !refers(part.tag()))
        .filter_map(Element::id)
        .find(|id| !found.insert(*id))
}

/// Give ids to the parts of an object that have none.
pub(crate) fn fill(object: &mut Element, used: &mut BTreeSet<String>) {
    if object.is("fencing-topology") {
        for level in object.children_mut().filter(|level| !level.has("id")) {
            let id = free("fencing".to_owned(), used);
            level.set("id", &id);
        }
        return;
    }
    let id = match object.tag() {
        "node" => object.get("uname"),
        _ => object.id(),
    };
    let id = id.unwrap_or_default().to_owned();
    parts(object, &id, &id, used);
}

/// Name the children of `parent`, whose own id is `id`, within the object `of`.
fn parts(parent: &mut Element, id: &str, of: &str, used: &mut BTreeSet<String>) {
    let mut recipients = 0;
    for (index, child) in parent.children_mut().enumerate() {
        let tag = child.tag().to_owned();
        if tag == "recipient" {
            recipients += 1;
        }
        if matches!(tag.as_str(), MEMBER | "resource_ref" | "obj_ref" | "role") || nested(&tag) {
            continue;
        }
        if child.has("id-ref") {
            continue;
        }
        if tag == "operations"
            || tag.starts_with("select")
            || matches!(tag.as_str(), "network" | "storage")
        {
            let inner = child.id().map_or_else(|| id.to_owned(), str::to_owned);
            parts(child, &inner, of, used);
            continue;
        }
        if let Some(own) = child.id().map(str::to_owned) {
            parts(child, &own, of, used);
            continue;
        }
        let wanted = match tag.as_str() {
            "nvpair" => format!("{id}-{}", child.get("name").unwrap_or("nvpair")),
            "op" => format!(
                "{id}-{}-{}",
                child.get("name").unwrap_or("op"),
                child.get("interval").unwrap_or("0")
            ),
            "expression" | "date_expression" | "rsc_expression" | "op_expression" => {
                format!("{id}-expression")
            }
            "resource_set" | "acl_permission" => format!("{id}-{index}"),
            "attribute" => format!("{of}-{index}"),
            "recipient" => format!("{id}-recipient-{recipients}"),
            "instance_attributes"
            | "meta_attributes"
            | "utilization"
            | "rule"
            | "date_spec"
            | "duration"
            | "port-mapping"
            | "storage-mapping" => format!("{id}-{tag}"),
            _ => {
                parts(child, id, of, used);
                continue;
            }
        };
        let own = free(wanted, used);
        child.set("id", &own);
        parts(child, &own, of, used);
    }
}

fn nested(tag: &str) -> bool {
    matches!(tag, "primitive" | "group" | "clone" | "master" | "template")
}

/// An id nobody has yet, as near to the wanted one as can be.
fn free(wanted: String, used: &mut BTreeSet<String>) -> String {
    let mut wanted: String = wanted
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    if !wanted.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        wanted.insert(0, '_');
    }
    let mut id = wanted.clone();
    let mut number = 0;
    while !used.insert(id.clone()) {
        id = format!("{wanted}-{number}");
        number += 1;
    }
    id
}

/// Take over ids from the former version of an object for those parts that still stand for the same.
pub(crate) fn adopt(new: &mut Element, old: &Element) {
    let mut taken = BTreeSet::new();
    for child in new.children_mut() {
        let counterpart = old
            .children()
            .enumerate()
            .find(|(at, former)| !taken.contains(at) && stands_for(child, former))
            .or_else(|| {
                let mut same = old.children().enumerate();
                same.find(|(at, former)| {
                    !taken.contains(at) && former.is(child.tag()) && by_position(child.tag())
                })
            });
        let Some((at, former)) = counterpart else {
            continue;
        };
        taken.insert(at);
        if let Some(id) = former.id()
            && !child.has("id")
            && !child.has("id-ref")
        {
            child.set("id", id);
        }
        adopt(child, former);
    }
}

/// Parts without a name of their own are matched by their order.
fn by_position(tag: &str) -> bool {
    !matches!(tag, "nvpair" | "op" | "fencing-level") && !nested(tag) && tag != MEMBER
}

fn stands_for(new: &Element, old: &Element) -> bool {
    let same = |name: &str| new.get(name) == old.get(name);
    if !new.is(old.tag()) {
        return false;
    }
    if let Some(id) = new.id() {
        return old.id() == Some(id);
    }
    match new.tag() {
        "nvpair" => same("name") && same("id-ref"),
        "op" => same("name") && same("interval") && same("role"),
        "fencing-level" => {
            same("target") && same("target-pattern") && same("target-attribute") && same("index")
        }
        "expression" => same("attribute") && same("operation") && same("value"),
        "operations" => true,
        _ => false,
    }
}
