//! What goes with an object that is removed: what refers to it, and what would be empty without it.

use super::{Document, is_resource, name, tree::path_to};
use crate::cli::language::parse::Place;
use crate::xml::Element;

impl Document {
    /// Remove an object. Constraints about a resource go with it, its members stay. What went beside it is returned.
    pub fn delete(&mut self, id: &str) -> Result<Vec<String>, String> {
        let Some((place, element)) = self.find(id) else {
            return Err(format!(
                "there is no object {id:?}; crm configure show lists them"
            ));
        };
        let element = element.clone();
        let mut gone = Vec::new();
        if place == Place::Topology {
            self.configuration
                .retain_children(|section| !section.is("fencing-topology"));
        } else if place == Place::Resource {
            self.delete_resource(&element, &mut gone)?;
        } else {
            if element.is("acl_role") {
                let users = self
                    .configuration
                    .child("acls")
                    .into_iter()
                    .flat_map(Element::children);
                let holder = users
                    .filter(|user| {
                        user.children()
                            .any(|role| role.is("role") && role.id() == Some(id))
                    })
                    .find_map(Element::id);
                if let Some(holder) = holder {
                    return Err(format!(
                        "the role {id:?} is given to {holder:?}; delete or edit that first"
                    ));
                }
            }
            let section = self.configuration.child_or_new(place.section());
            section
                .retain_children(|child| child.tag() != element.tag() || name(place, child) != id);
        }
        self.forget(&element);
        Ok(gone)
    }

    fn delete_resource(&mut self, element: &Element, gone: &mut Vec<String>) -> Result<(), String> {
        let id = element.id().unwrap_or_default().to_owned();
        let objects = self.objects();
        if element.is("template")
            && let Some((_, user)) = objects
                .iter()
                .find(|(_, other)| other.get("template") == Some(&id))
        {
            return Err(format!(
                "the template {id:?} is used by {:?}; delete that first",
                user.id().unwrap_or_default()
            ));
        }
        let levels = self.configuration.child("fencing-topology");
        let level = levels
            .into_iter()
            .flat_map(Element::children)
            .find(|level| {
                level
                    .get("devices")
                    .is_some_and(|devices| devices.split(',').any(|device| device == id))
            });
        if level.is_some() {
            return Err(format!(
                "{id:?} is in the fencing topology; edit that first: crm configure edit fencing_topology"
            ));
        }
        if let Some(section) = self.configuration.child_mut("constraints") {
            let mut kept = Vec::new();
            for constraint in section.children() {
                match without_reference(constraint, &id) {
                    Some(rest) => kept.push(rest),
                    None => gone.push(constraint.id().unwrap_or_default().to_owned()),
                }
            }
            section.clear();
            kept.into_iter()
                .for_each(|constraint| section.push(constraint));
        }
        if let Some(tags) = self.configuration.child_mut("tags") {
            for tag in tags.children_mut() {
                tag.retain_children(|member| member.id() != Some(&id));
            }
            tags.retain_children(Element::has_children);
        }
        let resources = self.configuration.child_or_new("resources");
        let members: Vec<Element> = element
            .children()
            .filter(|child| is_resource(child.tag()))
            .cloned()
            .collect();
        let path = path_to(resources, &id).expect("the object was found");
        let (last, parent) = path.split_last().expect("a path has steps");
        let parent = resources.at_mut(parent).expect("a prefix of a path");
        parent.nodes_mut().remove(*last);
        let empty =
            !parent.is("resources") && !parent.children().any(|child| is_resource(child.tag()));
        let parent = parent.clone();
        members
            .into_iter()
            .for_each(|member| resources.push(member));
        if empty {
            gone.push(parent.id().unwrap_or_default().to_owned());
            self.delete_resource(&parent, gone)?;
        }
        Ok(())
    }
}

/// A constraint without what it says about a resource, or nothing if that was all.
fn without_reference(constraint: &Element, id: &str) -> Option<Element> {
    let names = ["rsc", "with-rsc", "first", "then"];
    if names.iter().any(|name| constraint.get(name) == Some(id)) {
        return None;
    }
    if constraint.child("resource_set").is_none() {
        return Some(constraint.clone());
    }
    let mut rest = constraint.clone();
    for set in rest.children_mut().filter(|child| child.is("resource_set")) {
        set.retain_children(|member| member.id() != Some(id));
    }
    rest.retain_children(|child| {
        !child.is("resource_set") || child.has_children() || child.has("id-ref")
    });
    let named: usize = rest
        .children_named("resource_set")
        .map(|set| set.children().count())
        .sum();
    let least = if rest.is("rsc_location") || rest.is("rsc_ticket") {
        1
    } else {
        2
    };
    (named >= least
        || rest
            .children_named("resource_set")
            .any(|set| set.has("id-ref")))
    .then_some(rest)
}
