//! Steps in the tree of a configuration: where a resource is, and one element put in the place of another.

use super::is_resource;
use crate::cli::language::parse::Place;
use crate::xml::Element;

/// Every resource and template below, collectives and their members alike.
pub(super) fn resources<'a>(parent: &'a Element, found: &mut Vec<(Place, &'a Element)>) {
    for child in parent
        .children()
        .filter(|child| is_resource(child.tag()) || child.is("template"))
    {
        found.push((Place::Resource, child));
        resources(child, found);
    }
}

/// The steps to the resource of this id.
pub(super) fn path_to(parent: &Element, id: &str) -> Option<Vec<usize>> {
    for (at, child) in parent.nodes().iter().enumerate() {
        let Some(child) = child
            .as_element()
            .filter(|child| is_resource(child.tag()) || child.is("template"))
        else {
            continue;
        };
        if child.id() == Some(id) {
            return Some(vec![at]);
        }
        if let Some(rest) = path_to(child, id) {
            return Some([vec![at], rest].concat());
        }
    }
    None
}

/// Drop the resources of these ids wherever they are, except in the object `keep`.
pub(super) fn remove_resources(parent: &mut Element, ids: &[String], keep: &str) {
    parent.retain_children(|child| {
        !is_resource(child.tag()) || !ids.iter().any(|id| child.id() == Some(id))
    });
    let inside = parent
        .children()
        .any(|child| child.children().any(|inner| is_resource(inner.tag())));
    if inside {
        for child in parent
            .children_mut()
            .filter(|child| child.id() != Some(keep))
        {
            let reaches =
                ids.iter().any(|id| path_to(child, id).is_some()) && path_to(child, keep).is_none();
            if reaches {
                remove_resources(child, ids, keep);
            }
        }
    }
}

/// Put an element in the place of the one with the same `key`, or at the end.
pub(super) fn store(section: &mut Element, element: Element, key: &str) {
    let at = section.nodes().iter().position(|node| {
        node.as_element()
            .is_some_and(|child| child.get(key) == element.get(key))
    });
    match at {
        Some(at) => section.nodes_mut()[at] = element.into(),
        None => section.push(element),
    }
}

/// Former attribute sets with new values; attributes and sets that are not mentioned stay.
pub(super) fn merged(former: &Element, new: &Element) -> Element {
    let mut out = former.clone();
    for (name, value) in new.attrs().filter(|(name, _)| *name != "id") {
        out.set(name, value);
    }
    for child in new.children() {
        let same = out.children_mut().find(|old| {
            old.is(child.tag())
                && match child.tag() {
                    "nvpair" => old.get("name") == child.get("name"),
                    _ => !old
                        .children()
                        .chain(child.children())
                        .any(|part| part.is("rule")),
                }
        });
        match same {
            Some(old) if old.is("nvpair") => {
                old.set("value", child.get("value").unwrap_or_default())
            }
            Some(old) => *old = merged(old, child),
            None => out.push(child.clone()),
        }
    }
    out
}
