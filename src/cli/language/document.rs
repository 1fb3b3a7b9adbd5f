//! A configuration as the objects that the language speaks of: groups name their members, which are objects themselves.
//! All editing happens here, on the tree, so that what a statement does not mention stays as it was.

mod delete;
mod tree;

use std::{collections::BTreeSet, ops::Range};

use crate::xml::Element;

use super::{
    error::SyntaxError,
    ids,
    parse::{MEMBER, Object, Place},
    print::print_object,
    same, secret,
};
use tree::{merged, path_to, remove_resources, resources, store};

/// How a statement meets an object that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It must be new; options and nodes are merged.
    Create,
    /// It replaces the former version; options and nodes are merged.
    Update,
    /// It is exactly what the statement says.
    Define,
}

/// A configuration being shown or edited.
#[derive(Clone, Debug)]
pub struct Document {
    configuration: Element,
    used: BTreeSet<String>,
}

/// Whether elements with this tag are resources.
pub(crate) fn is_resource(tag: &str) -> bool {
    matches!(tag, "primitive" | "group" | "clone" | "master" | "bundle")
}

/// Levels without a target, repeated for every node.
pub(crate) fn levels_for_all(topology: &Element, nodes: &[String]) -> Element {
    let mut out = Element::new("fencing-topology");
    let general = |level: &&Element| {
        !["target", "target-pattern", "target-attribute"]
            .iter()
            .any(|name| level.has(name))
    };
    for node in nodes {
        for level in topology.children().filter(general) {
            out.push(level.clone().with("target", node));
        }
    }
    out.with_children(topology.children().filter(|level| !general(level)).cloned())
}

impl Document {
    /// Of the `configuration` element of a CIB.
    pub fn new(configuration: Element) -> Self {
        let used = ids::used(&configuration);
        Document {
            configuration,
            used,
        }
    }

    /// The element, with all changes.
    pub fn configuration(&self) -> &Element {
        &self.configuration
    }

    /// The names of all nodes, in document order.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = self.configuration.child("nodes");
        let names = nodes
            .into_iter()
            .flat_map(|nodes| nodes.children().filter_map(|node| node.get("uname")));
        names.map(str::to_owned).collect()
    }

    /// Every object in the order in which it is shown: by kind, then by name.
    pub fn objects(&self) -> Vec<(Place, &Element)> {
        let mut found = self.unsorted();
        found.sort_by_key(|(place, element)| {
            (
                rank(*place, element.tag()),
                name(*place, element).to_owned(),
            )
        });
        found
    }

    fn unsorted(&self) -> Vec<(Place, &Element)> {
        let mut found = Vec::new();
        for section in self.configuration.children() {
            match section.tag() {
                "resources" => resources(section, &mut found),
                "fencing-topology" => {
                    if section.has_children() {
                        found.push((Place::Topology, section));
                    }
                }
                "rsc_defaults" | "op_defaults" => {
                    let place = if section.is("op_defaults") {
                        Place::OpDefaults
                    } else {
                        Place::RscDefaults
                    };
                    found.extend(section.children().map(|set| (place, set)));
                }
                _ => found.extend(
                    section
                        .children()
                        .filter_map(|child| Some((Place::of_tag(child.tag())?, child))),
                ),
            }
        }
        found
    }

    /// The object of this name.
    pub fn find(&self, id: &str) -> Option<(Place, &Element)> {
        self.unsorted()
            .into_iter()
            .find(|(place, element)| name(*place, element) == id)
    }

    /// The object of this name as a statement.
    pub fn text(&self, id: &str) -> Option<String> {
        let (place, element) = self.find(id)?;
        Some(print_object(
            place,
            element,
            &same::referenced(&self.configuration),
            &self.nodes(),
        ))
    }

    /// The objects that `wanted` accepts as statements, one after the other.
    pub fn show(&self, wanted: impl Fn(Place, &Element) -> bool) -> String {
        let referenced = same::referenced(&self.configuration);
        let nodes = self.nodes();
        let objects = self
            .objects()
            .into_iter()
            .filter(|(place, element)| wanted(*place, element));
        objects
            .map(|(place, element)| print_object(place, element, &referenced, &nodes) + "\n")
            .collect()
    }

    /// Put objects in, then see that everything they name exists.
    pub fn put_all(&mut self, mut objects: Vec<Object>, mode: Mode) -> Result<(), SyntaxError> {
        self.unmask(&mut objects)?;
        let references: Vec<(String, Place, Vec<(String, Range<usize>)>)> = objects
            .iter()
            .map(|object| {
                (
                    object.id().to_owned(),
                    object.place,
                    object.references.clone(),
                )
            })
            .collect();
        // What others contain or name comes first, whatever the order of the statements.
        let (collective, plain): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| {
            object.place == Place::Resource
                && object.element.children().any(|child| child.is(MEMBER))
        });
        let (groups, clones): (Vec<_>, Vec<_>) = collective
            .into_iter()
            .partition(|object| object.element.is("group"));
        let (templates, plain): (Vec<_>, Vec<_>) = plain
            .into_iter()
            .partition(|object| object.element.is("template"));
        for object in templates
            .into_iter()
            .chain(plain)
            .chain(groups)
            .chain(clones)
        {
            self.put(object, mode)?;
        }
        let known: BTreeSet<&str> = self
            .objects()
            .iter()
            .map(|(place, element)| name(*place, element))
            .collect();
        for (id, place, names) in &references {
            for (name, span) in names {
                if !known.contains(name.as_str()) {
                    let what = if *place == Place::Acl {
                        "role"
                    } else {
                        "resource"
                    };
                    return Err(dangling(
                        &format!("{id}: there is no {what} {name:?}"),
                        name,
                        span,
                        &known,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Only these objects, and the parts of the configuration the language does not speak of.
    pub fn replace_all(&mut self, mut objects: Vec<Object>) -> Result<(), SyntaxError> {
        self.unmask(&mut objects)?;
        let old = self.clone();
        for section in self.configuration.children_mut() {
            section.clear();
        }
        // Former versions lend their ids; members come from the new objects only.
        let lent = objects.into_iter().map(|mut object| {
            if let Some((place, former)) = old.find(object.id())
                && place == object.place
                && former.is(object.element.tag())
            {
                ids::adopt(&mut object.element, former);
                if place == Place::Node && !object.element.has("id") {
                    object.element.set("id", former.id().unwrap_or_default());
                }
            }
            object
        });
        let lent: Vec<Object> = lent.collect();
        self.used = ids::used(&self.configuration);
        self.put_all(lent, Mode::Define)
    }

    /// What `show` printed in place of secrets becomes the secrets again.
    fn unmask(&self, objects: &mut [Object]) -> Result<(), SyntaxError> {
        for object in objects {
            let former = self.find(object.id()).map(|(_, element)| element.clone());
            secret::unmask(&mut object.element, former.as_ref()).map_err(|name| {
                let what = format!("{}: {}", object.id(), secret::unknown(&name));
                SyntaxError::at(object.name_span.clone(), what).cure(secret::CURE)
            })?;
        }
        Ok(())
    }

    /// Put one object in.
    pub fn put(&mut self, object: Object, mode: Mode) -> Result<(), SyntaxError> {
        if let Some(id) = ids::twice(&object.element) {
            let what = format!("{}: the id {id:?} stands there twice", object.id());
            let mut named = object.references.iter().filter(|(name, _)| name == id);
            let again = named.nth(1).map_or(&object.name_span, |(_, span)| span);
            return Err(SyntaxError::at(again.clone(), what)
                .cure("name each member once, and give each part an id of its own"));
        }
        match object.place {
            Place::Resource => self.put_resource(object, mode),
            Place::Topology => {
                let mut element = levels_for_all(&object.element, &self.nodes());
                if !element.has_children() {
                    self.configuration
                        .retain_children(|section| !section.is("fencing-topology"));
                    return Ok(());
                }
                let section = self.configuration.child_or_new("fencing-topology");
                ids::adopt(&mut element, section);
                self.named(element, |configuration, element| {
                    *configuration.child_or_new("fencing-topology") = element;
                });
                Ok(())
            }
            Place::Property | Place::RscDefaults | Place::OpDefaults => {
                self.put_options(object, mode);
                Ok(())
            }
            Place::Node => {
                self.put_node(object, mode);
                Ok(())
            }
            Place::Tag | Place::Constraint | Place::Acl | Place::Alert => {
                self.put_plain(object, mode)
            }
        }
    }

    /// Give ids to an element's parts and let it be stored.
    fn named(&mut self, mut element: Element, store: impl FnOnce(&mut Element, Element)) {
        // What it brings first: a part that gets an id only now must not take one of those.
        self.used.extend(ids::used(&element));
        ids::fill(&mut element, &mut self.used);
        store(&mut self.configuration, element);
    }

    fn forget(&mut self, element: &Element) {
        for id in ids::used(element) {
            self.used.remove(&id);
        }
    }

    /// Refuse a name that is taken.
    fn may_be_new(
        &self,
        object: &Object,
        former: Option<&Element>,
        mode: Mode,
    ) -> Result<(), SyntaxError> {
        let id = object.id();
        match former {
            Some(_) if mode == Mode::Create => {
                Err(SyntaxError::at(object.name_span.clone(), format!("there is already an object {id:?}"))
                    .cure(format!("choose another id, change it with: crm configure edit {id}, or replace it with: crm configure load update FILE")))
            }
            Some(former) if !former.is(object.element.tag()) => Err(SyntaxError::at(
                object.name_span.clone(),
                format!("{id:?} is a {}, not a {}", former.tag(), object.element.tag()),
            )
            .cure(format!("delete it first: crm configure delete {id}"))),
            None if self.used.contains(id) => {
                let holder = self.configuration.find_id(id).map_or("element", Element::tag);
                Err(SyntaxError::at(object.name_span.clone(), format!("the id {id:?} is taken by a <{holder}>"))
                    .cure("choose another id"))
            }
            _ => Ok(()),
        }
    }

    fn put_plain(&mut self, object: Object, mode: Mode) -> Result<(), SyntaxError> {
        let tag = object.place.section();
        let id = object.id().to_owned();
        let section = self.configuration.child(tag);
        // The same name may be a user's and a group's.
        let same_kind = |child: &Element| {
            child.id() == Some(&id)
                && (object.place != Place::Acl || child.is(object.element.tag()))
        };
        let at = section.and_then(|section| {
            section
                .nodes()
                .iter()
                .position(|node| node.as_element().is_some_and(same_kind))
        });
        let former = at.and_then(|at| section?.nodes()[at].as_element().cloned());
        if object.place != Place::Acl || former.is_some() {
            self.may_be_new(&object, former.as_ref(), mode)?;
        }
        let mut element = object.element;
        if let Some(former) = &former {
            self.forget(former);
            ids::adopt(&mut element, former);
        }
        self.named(element, |configuration, element| {
            let section = configuration.child_or_new(tag);
            match at {
                Some(at) => section.nodes_mut()[at] = element.into(),
                None => section.push(element),
            }
        });
        Ok(())
    }

    fn put_options(&mut self, object: Object, mode: Mode) {
        let tag = object.place.section();
        let id = object.id().to_owned();
        let former = self.configuration.child(tag).and_then(|section| {
            section
                .children()
                .find(|set| set.id() == Some(&id))
                .cloned()
        });
        let mut element = object.element;
        if let Some(former) = former {
            if mode != Mode::Define && !element.children().any(|child| child.is("rule")) {
                element = merged(&former, &element);
            }
            self.forget(&former);
            ids::adopt(&mut element, &former);
        }
        self.named(element, |configuration, element| {
            let section = configuration.child_or_new(tag);
            store(section, element, "id");
        });
    }

    fn put_node(&mut self, object: Object, mode: Mode) {
        let name = object.id().to_owned();
        let former = self.configuration.child("nodes").and_then(|nodes| {
            nodes
                .children()
                .find(|node| node.get("uname") == Some(&name))
                .cloned()
        });
        let mut element = object.element;
        if !element.has("id") {
            element.set("id", former.as_ref().and_then(Element::id).unwrap_or(&name));
        }
        if let Some(former) = former {
            if mode != Mode::Define {
                element = merged(&former, &element);
            }
            self.forget(&former);
            ids::adopt(&mut element, &former);
        }
        self.named(element, |configuration, element| {
            let nodes = configuration.child_or_new("nodes");
            store(nodes, element, "uname");
        });
    }

    fn put_resource(&mut self, object: Object, mode: Mode) -> Result<(), SyntaxError> {
        let id = object.id().to_owned();
        let resources = self.configuration.child_or_new("resources").clone();
        let path = path_to(&resources, &id);
        let former = path.as_ref().and_then(|path| resources.at(path)).cloned();
        self.may_be_new(&object, former.as_ref(), mode)?;
        if let Some(template) = object.element.get("template")
            && !resources
                .children()
                .any(|child| child.is("template") && child.id() == Some(template))
        {
            let known: BTreeSet<&str> = resources
                .children()
                .filter(|child| child.is("template"))
                .filter_map(Element::id)
                .collect();
            return Err(dangling(
                &format!("{id}: there is no template {template:?}"),
                template,
                &object.name_span,
                &known,
            ));
        }
        let mut element = object.element.clone();
        let mut taken = Vec::new();
        for child in element.children_mut() {
            let inner = child.id().unwrap_or_default().to_owned();
            if child.is(MEMBER) {
                let span = object
                    .references
                    .iter()
                    .find(|(name, _)| *name == inner)
                    .map_or(object.name_span.clone(), |(_, span)| span.clone());
                *child = self.member(&resources, &id, &inner, span)?;
                taken.push(inner);
            } else if is_resource(child.tag()) {
                taken.push(inner);
            }
        }
        if let Some(former) = &former {
            self.forget(former);
            ids::adopt(&mut element, former);
        }
        let left: Vec<Element> = former
            .iter()
            .flat_map(Element::children)
            .filter(|child| {
                is_resource(child.tag()) && !taken.iter().any(|id| child.id() == Some(id))
            })
            .cloned()
            .collect();
        self.used.extend(left.iter().flat_map(ids::used));
        self.named(element, |configuration, element| {
            let resources = configuration.child_or_new("resources");
            match path {
                Some(path) => *resources.at_mut(&path).expect("the path was just found") = element,
                None => resources.push(element),
            }
            // Members now live in the object only; those it no longer has stand alone.
            remove_resources(resources, &taken, &id);
            for child in left {
                resources.push(child);
            }
        });
        Ok(())
    }

    /// A member of a collective, taken from where it is.
    fn member(
        &self,
        resources: &Element,
        of: &str,
        id: &str,
        span: Range<usize>,
    ) -> Result<Element, SyntaxError> {
        let Some(path) = path_to(resources, id) else {
            let objects = self.objects();
            let known: BTreeSet<&str> = objects
                .iter()
                .filter(|(place, _)| *place == Place::Resource)
                .filter_map(|(_, element)| element.id())
                .collect();
            return Err(dangling(
                &format!("{of}: there is no resource {id:?}"),
                id,
                &span,
                &known,
            ));
        };
        let parent = resources
            .at(&path[..path.len() - 1])
            .expect("a prefix of a path");
        if path.len() > 1 && parent.id() != Some(of) {
            let parent = parent.id().unwrap_or_default();
            return Err(
                SyntaxError::at(span, format!("{id:?} is already a member of {parent:?}"))
                    .cure(format!("take it out first: crm configure edit {parent}")),
            );
        }
        let element = resources.at(&path).expect("the path was just found");
        if element.is("template") {
            return Err(
                SyntaxError::at(span, format!("{id:?} is a template, not a resource"))
                    .cure(format!("make a primitive from it: primitive ID @{id}")),
            );
        }
        Ok(element.clone())
    }
}

/// A reference to nothing, with a name that was perhaps meant.
fn dangling(message: &str, name: &str, span: &Range<usize>, known: &BTreeSet<&str>) -> SyntaxError {
    let error = SyntaxError::at(span.clone(), message);
    match super::error::meant(name, known.iter().copied()) {
        Some(meant) => error.cure(format!("did you mean {meant:?}?")),
        None => error.cure(format!("create {name:?} first, or in the same file")),
    }
}

pub(super) fn name(place: Place, element: &Element) -> &str {
    match place {
        Place::Node => element.get("uname").unwrap_or_default(),
        Place::Topology => "fencing_topology",
        _ => element.id().unwrap_or_default(),
    }
}

fn rank(place: Place, tag: &str) -> usize {
    match (place, tag) {
        (Place::Node, _) => 0,
        (_, "template") => 1,
        (_, "primitive") => 2,
        (_, "bundle") => 3,
        (_, "group") => 4,
        (_, "master") => 5,
        (_, "clone") => 6,
        (Place::Resource | Place::Tag, _) => 7,
        (_, "rsc_colocation") => 8,
        (_, "rsc_location") => 9,
        (_, "rsc_order") => 10,
        (Place::Topology, _) => 11,
        (Place::Constraint, _) => 12,
        (Place::Property, _) => 13,
        (Place::RscDefaults, _) => 14,
        (Place::OpDefaults, _) => 15,
        (_, "acl_role") => 16,
        (_, "acl_group") => 17,
        (Place::Acl, _) => 18,
        (Place::Alert, _) => 19,
    }
}
