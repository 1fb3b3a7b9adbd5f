//! Resource sets, as all kinds of constraints use them, with tags and templates unfolded (spec 2 §7.2).

use super::super::facts::Facts;
use super::super::index::RscIdx;
use super::super::nvtable::Str;
use crate::terms::text;
use crate::xml::Element;

/// One `resource_set`, or one side of a simple constraint that names a tag.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) id: Str,
    /// Names as written, after tags and templates were unfolded.
    pub(super) refs: Vec<Str>,
    /// `sequential`, if given.
    pub(super) sequential: Option<bool>,
    /// `require-all`, if given.
    pub(super) require_all: Option<bool>,
    pub(super) action: Option<Str>,
    pub(super) role: Option<Str>,
    pub(super) score: Option<Str>,
    pub(super) kind: Option<Str>,
    pub(super) symmetrical: Option<bool>,
    /// The old attribute `ordering`.
    pub(super) ordering: Option<Str>,
}

impl Set {
    /// A set that nobody wrote as one.
    pub(super) fn of(id: &str, refs: Vec<Str>, sequential: Option<bool>) -> Self {
        Self {
            id: id.into(),
            refs,
            sequential,
            require_all: None,
            action: None,
            role: None,
            score: None,
            kind: None,
            symmetrical: None,
            ordering: None,
        }
    }

    fn read(element: &Element) -> Self {
        let get = |name: &str| element.get(name).map(Str::from);
        let flag = |name: &str| element.get(name).map(|value| text::is_true(Some(value)));
        Self {
            id: element.get("id").unwrap_or_default().into(),
            refs: element
                .children_named("resource_ref")
                .filter_map(|reference| reference.get("id").map(Str::from))
                .collect(),
            sequential: flag("sequential"),
            require_all: flag("require-all"),
            action: get("action"),
            role: get("role"),
            score: get("score"),
            kind: get("kind"),
            symmetrical: flag("symmetrical"),
            ordering: get("ordering"),
        }
    }

    /// The resources, as far as the names are known; an unknown one ends the list with an error.
    pub(super) fn resources(&self, facts: &Facts) -> Result<Vec<RscIdx>, Str> {
        self.refs
            .iter()
            .map(|id| facts.rsc_named(id).ok_or_else(|| Str::clone(id)))
            .collect()
    }
}

/// The sets of a constraint, in order, tags unfolded. // spec 2 §7.2
pub(super) fn read_all(facts: &Facts, constraint: &Element) -> Vec<Set> {
    let document = &facts.context.document;
    let sets: Vec<Set> = constraint
        .children_named("resource_set")
        .filter_map(|set| document.resolve(set))
        .map(Set::read)
        .collect();
    let known = |id: &Str| facts.rsc_named(id).is_some() || tagged(facts, id).is_some();
    if !sets.iter().flat_map(|set| &set.refs).all(known) {
        return sets;
    }
    let unfold = |mut set: Set| {
        set.refs = set
            .refs
            .iter()
            .flat_map(|id| match facts.rsc_named(id) {
                Some(_) => vec![Str::clone(id)],
                None => tagged(facts, id).unwrap_or_default(),
            })
            .collect();
        set
    };
    sets.into_iter().map(unfold).collect()
}

/// The resources behind a template or tag; a name that is neither, or stands for nothing, is none.
/// // spec 2 §7.2
pub(super) fn tagged(facts: &Facts, id: &str) -> Option<Vec<Str>> {
    let found = facts.templates.get(id).or_else(|| facts.tags.get(id))?;
    (!found.is_empty()).then(|| found.clone())
}

/// What one side of a simple constraint names.
pub(super) enum Named {
    /// A resource.
    Rsc(RscIdx),
    /// A tag or template.
    Tag(Vec<Str>),
}

/// What a name in a simple constraint stands for.
pub(super) fn named(facts: &Facts, id: &str) -> Option<Named> {
    match facts.rsc_named(id) {
        Some(rsc) => Some(Named::Rsc(rsc)),
        None => tagged(facts, id).map(Named::Tag),
    }
}
