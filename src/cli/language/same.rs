//! Whether two versions of an object mean the same: ids that nobody refers to and values that are the default don't count.

use std::collections::BTreeSet;

use crate::xml::Element;

use super::parse::MEMBER;

/// Whether a statement would bring back this element.
pub(crate) fn same(a: &Element, b: &Element, referenced: &BTreeSet<String>) -> bool {
    plain(a, referenced, true) == plain(b, referenced, true)
}

/// The text of an element in a form that is equal for equal meanings.
fn plain(element: &Element, referenced: &BTreeSet<String>, top: bool) -> String {
    let tag = element.tag();
    let mut attributes: Vec<(&str, &str)> = element
        .attrs()
        .filter(|(name, value)| match *name {
            "id" => top || keeps_id(tag) || referenced.contains(*value),
            "boolean-op" => *value != "and",
            "sequential" | "require-all" if tag == "resource_set" => *value != "true",
            _ => true,
        })
        .collect();
    attributes.sort_unstable();
    let mut out = format!("<{tag} {attributes:?}>");
    let mut members = String::new();
    for node in element.nodes() {
        if let Some(comment) = node.as_comment() {
            out.push_str(&format!("<!--{}-->", comment.trim()));
        }
        if let Some(child) = node.as_element() {
            if child.is(MEMBER) || super::document::is_resource(child.tag()) {
                // Where members stand among sets does not matter, only their order.
                members.push_str(&format!("<{MEMBER} {:?}>", child.id()));
            } else {
                out.push_str(&plain(child, referenced, false));
            }
        }
    }
    out.push_str(&members);
    out.push_str(&format!("</{tag}>"));
    out
}

fn keeps_id(tag: &str) -> bool {
    matches!(
        tag,
        MEMBER
            | "resource_ref"
            | "obj_ref"
            | "role"
            | "operations"
            | "port-mapping"
            | "storage-mapping"
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
