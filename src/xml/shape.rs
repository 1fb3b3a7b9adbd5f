//! Elements of one kind have the same attribute names in the same order, so the names are kept once per kind: a
//! *shape* is a tag and its attribute names. A document of a million operation entries has a few dozen shapes, and
//! an entry is its values alone.

use std::{collections::BTreeMap, sync::Arc};

/// A tag and the attribute names behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) tag: Arc<str>,
    pub(super) names: Box<[Arc<str>]>,
}

impl Shape {
    pub(super) fn new(tag: &str) -> Arc<Self> {
        Arc::new(Self {
            tag: tag.into(),
            names: Box::default(),
        })
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| &**n == name)
    }

    /// The same shape with one name more.
    pub(super) fn plus(&self, name: &str) -> Arc<Self> {
        let names = self
            .names
            .iter()
            .cloned()
            .chain([Arc::from(name)])
            .collect();
        Arc::new(Self {
            tag: self.tag.clone(),
            names,
        })
    }

    /// The same shape without the name at this place.
    pub(super) fn minus(&self, index: usize) -> Arc<Self> {
        let mut names = self.names.to_vec();
        names.remove(index);
        Arc::new(Self {
            tag: self.tag.clone(),
            names: names.into(),
        })
    }

    pub(super) fn with_tag(&self, tag: &str) -> Arc<Self> {
        Arc::new(Self {
            tag: tag.into(),
            names: self.names.clone(),
        })
    }

    /// Whether two shapes are the same, which they mostly are by address.
    pub(super) fn same(a: &Arc<Self>, b: &Arc<Self>) -> bool {
        Arc::ptr_eq(a, b) || a == b
    }
}

/// The shapes of one document while it is read: a tree whose edges are names, so that finding the shape of the next
/// element costs one short search per attribute.
#[derive(Default)]
pub(super) struct Shapes {
    names: BTreeMap<Box<str>, Arc<str>>,
    roots: BTreeMap<Arc<str>, usize>,
    steps: Vec<Step>,
}

struct Step {
    name: Arc<str>,
    before: Option<usize>,
    next: BTreeMap<Arc<str>, usize>,
    /// Where the last element went on from here: the next one mostly does the same.
    recent: Option<usize>,
    shape: Option<Arc<Shape>>,
}

/// A place in the tree of shapes: a tag, and the names seen so far.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

impl Shapes {
    /// Where elements with this tag begin, if there was one.
    pub(super) fn tag(&self, tag: &str) -> Option<Place> {
        self.roots.get(tag).copied().map(Place)
    }

    /// Adds a tag that is not known yet.
    pub(super) fn add_tag(&mut self, tag: &str) -> Place {
        let name = self.name(tag);
        let at = self.push(name.clone(), None);
        self.roots.insert(name, at);
        Place(at)
    }

    /// Where one goes from a place with one more name, if an element did.
    pub(super) fn attribute(&mut self, place: Place, name: &str) -> Option<Place> {
        let step = &self.steps[place.0];
        if let Some(at) = step.recent.filter(|at| *self.steps[*at].name == *name) {
            return Some(Place(at));
        }
        let at = *step.next.get(name)?;
        self.steps[place.0].recent = Some(at);
        Some(Place(at))
    }

    /// Adds a way that no element went before.
    pub(super) fn add_attribute(&mut self, place: Place, name: &str) -> Place {
        let name = self.name(name);
        let at = self.push(name.clone(), Some(place.0));
        let step = &mut self.steps[place.0];
        step.next.insert(name, at);
        step.recent = Some(at);
        Place(at)
    }

    /// Whether a name is among those on the way to a place.
    pub(super) fn has(&self, place: Place, name: &str) -> bool {
        let mut at = place.0;
        while let Some(before) = self.steps[at].before {
            if *self.steps[at].name == *name {
                return true;
            }
            at = before;
        }
        false
    }

    pub(super) fn shape(&mut self, place: Place) -> Arc<Shape> {
        if let Some(shape) = &self.steps[place.0].shape {
            return shape.clone();
        }
        let mut names = Vec::new();
        let mut at = place.0;
        while let Some(before) = self.steps[at].before {
            names.push(self.steps[at].name.clone());
            at = before;
        }
        names.reverse();
        let shape = Arc::new(Shape {
            tag: self.steps[at].name.clone(),
            names: names.into(),
        });
        self.steps[place.0].shape = Some(shape.clone());
        shape
    }

    fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let name: Arc<str> = text.into();
        self.names.insert(text.into(), name.clone());
        name
    }

    fn push(&mut self, name: Arc<str>, before: Option<usize>) -> usize {
        self.steps.push(Step {
            name,
            before,
            next: BTreeMap::new(),
            recent: None,
            shape: None,
        });
        self.steps.len() - 1
    }
}
