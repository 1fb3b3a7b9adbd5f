//! 1.x to 2.0: access control lists were written otherwise. // spec 1 §3.2

use super::{comments_of, section};
use crate::xml::{Element, Node};

pub(super) fn transform(root: &mut Element) {
    let Some(acls) = section(root, "acls") else {
        return;
    };
    let old = acls.clone();
    acls.clear();
    acls.nodes_mut().extend(comments_of(&old));
    for element in old.children() {
        match element.tag() {
            "acl_user" => user(acls, element),
            "acl_role" => acls.push(role(element)),
            _ => acls.push(element.clone()),
        }
    }
}

/// What was granted to a user directly becomes a role of its own.
fn user(acls: &mut Element, old: &Element) {
    let id = old.id().unwrap_or_default();
    let mut target = Element::new("acl_target").with("id", id);
    for reference in old.children_named("role_ref") {
        target.push(Element::new("role").with_some("id", reference.id()));
    }
    let own = role(old);
    if own.has_children() {
        let own_id = format!("auto-{id}");
        target.push(Element::new("role").with("id", &own_id));
        let mut named = own.without_children().with("id", &own_id);
        named.set_tag("acl_role");
        named.nodes_mut().extend(own.nodes().iter().cloned());
        acls.push(named);
    }
    acls.push(target);
}

fn role(old: &Element) -> Element {
    let mut role = old.without_children();
    for node in old.nodes() {
        let Some(rule) = node.as_element() else {
            role.nodes_mut().push(node.clone());
            continue;
        };
        if !matches!(rule.tag(), "read" | "write" | "deny") {
            if rule.is("acl_permission") {
                role.nodes_mut().push(Node::Element(rule.clone()));
            }
            continue;
        }
        role.push(
            Element::new("acl_permission")
                .with_some("id", rule.id())
                .with("kind", rule.tag())
                .with_some("xpath", rule.get("xpath"))
                .with_some("reference", rule.get("ref"))
                .with_some("object-type", rule.get("tag"))
                .with_some("attribute", rule.get("attribute")),
        );
    }
    role
}
