//! What each operation does to the document, before anything is counted or checked. // spec cluster §2

use std::collections::BTreeMap;

use super::{
    Cib, Command, Error, Flags, Op, Patch, Target, Version, Violation, sections, upgrade,
    version::COUNTERS,
};
use crate::{
    terms::Score,
    xml::{Element, Node, XPath, digest, xpath::Match},
};

/// What an operation made of the document.
pub(super) struct Outcome {
    pub(super) root: Element,
    pub(super) answer: Option<Element>,
    pub(super) counters: Counters,
}

/// What becomes of the version counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counters {
    /// Counted up by what changed.
    Managed,
    /// Counted up as for a change of configuration, whatever it was before.
    Configuration,
    /// As the operation left them: a copy of another node's CIB.
    AsReceived,
    /// What a patch says they are after it.
    Exactly(Version),
}

pub(super) fn perform(root: &Element, command: &Command) -> Result<Outcome, Error> {
    let input = || {
        let problem = || Error::Invalid(format!("{} needs an element", command.op.name()));
        command.input.as_ref().ok_or_else(problem)
    };
    let (target, flags) = (&command.target, &command.flags);
    let mut new = root.clone();
    let mut counters = Counters::Managed;
    match &command.op {
        Op::Query => {
            let answer = Some(query(root, target, flags)?);
            return Ok(Outcome {
                root: new,
                answer,
                counters,
            });
        }
        Op::Create => create(&mut new, target, input()?, flags)?,
        Op::Modify => modify(&mut new, target, input()?, flags)?,
        Op::Replace => counters = replace(&mut new, target, input()?, flags)?,
        Op::Delete => match target {
            Target::XPath(xpath) => delete_matches(&mut new, xpath, flags.multiple)?,
            _ => delete(&mut new, target, input()?),
        },
        Op::DeleteAll => match target {
            Target::XPath(xpath) => delete_matches(&mut new, xpath, true)?,
            _ => delete(&mut new, target, input()?),
        },
        Op::Erase => {
            erase(&mut new);
            counters = Counters::Configuration;
        }
        Op::Bump => raise(&mut new, "epoch"),
        Op::Patch => counters = patch(&mut new, input()?)?,
        Op::Upgrade => upgrade_all(&mut new)?,
        Op::CommitTransaction(commands) => {
            for (index, nested) in commands.iter().enumerate() {
                if matches!(nested.op, Op::CommitTransaction(_) | Op::Query) {
                    let name = nested.op.name();
                    return Err(Error::Invalid(format!(
                        "{name} has no place in a transaction"
                    )));
                }
                let outcome = perform(&new, nested).map_err(|error| match error {
                    Error::Invalid(text) => {
                        Error::Invalid(format!("request {} of the transaction: {text}", index + 1))
                    }
                    other => other,
                })?;
                new = outcome.root;
            }
        }
    }
    Ok(Outcome {
        root: new,
        answer: None,
        counters,
    })
}

pub(super) fn query(root: &Element, target: &Target, flags: &Flags) -> Result<Element, Error> {
    let bare = |element: &Element| {
        if flags.no_children {
            element.without_children()
        } else {
            element.clone()
        }
    };
    let Target::XPath(xpath) = target else {
        let found = match section_path(target) {
            Some(path) => root.descend(path),
            None => Some(root),
        };
        return found
            .map(bare)
            .ok_or_else(|| Error::NoSuch(describe(target)));
    };
    let found = select(root, xpath)?;
    match found.as_slice() {
        [] => Err(Error::NoSuch(describe(target))),
        [
            Match {
                element,
                attribute: None,
                ..
            },
        ] => Ok(bare(element)),
        many => {
            let mut answer = Element::new("xpath-query");
            for found in many {
                match found.attribute {
                    Some((name, value)) => answer.set(name, value),
                    None => answer.push(bare(found.element)),
                }
            }
            Ok(answer)
        }
    }
}

fn create(
    root: &mut Element,
    target: &Target,
    input: &Element,
    flags: &Flags,
) -> Result<(), Error> {
    let parent = match target {
        Target::XPath(xpath) => {
            let first = select(root, xpath)?
                .into_iter()
                .next()
                .map(|found| found.path);
            let path = first.ok_or_else(|| Error::NoSuch(describe(target)))?;
            root.at_mut(&path)
                .expect("an XPath match is in the document")
        }
        _ => match section_path(target) {
            Some(path) if !input.is("cib") => section_or_new(root, path),
            _ => return modify(root, target, input, flags),
        },
    };
    if input.is(parent.tag()) {
        for child in input.children() {
            create_child(parent, child)?;
        }
        return Ok(());
    }
    create_child(parent, input)
}

fn create_child(parent: &mut Element, new: &Element) -> Result<(), Error> {
    let exists = parent
        .children_named(new.tag())
        .any(|old| new.id().is_none() || old.id() == new.id());
    if exists {
        let update = Element::new("failed_update")
            .with_some("id", new.id())
            .with("object-type", new.tag())
            .with("operation", "cib_create")
            .with("reason", "File exists")
            .with_child(new.clone());
        let failed = Element::new("failed").with_child(update);
        return Err(Error::Exists {
            what: name(new),
            failed,
        });
    }
    let mut copy = new.clone();
    copy.unset("replace");
    parent.push(copy);
    Ok(())
}

fn modify(
    root: &mut Element,
    target: &Target,
    input: &Element,
    flags: &Flags,
) -> Result<(), Error> {
    let missing = || Error::NoSuch(name(input));
    if let Target::XPath(xpath) = target {
        let paths: Vec<_> = select(root, xpath)?
            .into_iter()
            .map(|found| found.path)
            .collect();
        let mut merged = false;
        for path in paths {
            let top = root.at(&path).expect("an XPath match is in the document");
            if let Some(below) = find(top, |e| is_same(e, input)) {
                let path: Vec<usize> = path.into_iter().chain(below).collect();
                merge_at(root, &path, input, flags);
                merged = true;
                if !flags.multiple {
                    break;
                }
            }
        }
        return if merged { Ok(()) } else { Err(missing()) };
    }
    let section = section_path(target);
    let input = narrow(section, input);
    let section = match section {
        Some(path) => section_or_new(root, path),
        None => root,
    };
    // What stands right below the section is by far the most frequent, and may be looked for first where the same
    // cannot also stand deeper.
    let direct = |section: &Element| {
        let found = matches!(input.tag(), "node_state" | "tickets" | "node");
        let is_it = |n: &Node| n.as_element().is_some_and(|e| is_same(e, input));
        found
            .then(|| section.nodes().iter().position(is_it).map(|at| vec![at]))
            .flatten()
    };
    match direct(section).or_else(|| find(section, |e| is_same(e, input))) {
        Some(path) => merge_at(section, &path, input, flags),
        None if flags.can_create => {
            let mut new = Element::new(input.tag());
            merge(&mut new, input, flags);
            section.push(new);
        }
        None => return Err(missing()),
    }
    Ok(())
}

fn merge_at(top: &mut Element, path: &[usize], input: &Element, flags: &Flags) {
    let found = top.at_mut(path).expect("the element was found there");
    merge(found, input, flags);
}

/// Everything of the input into the target; nothing is removed. // spec cluster §2.1
pub(super) fn merge(target: &mut Element, input: &Element, flags: &Flags) {
    for (name, value) in input.attrs() {
        let old = target.get(name).or(flags.from_zero.then_some("0"));
        let expanded = if flags.score {
            expand(name, value, old)
        } else {
            None
        };
        target.set(name, expanded.as_deref().unwrap_or(value));
    }
    let mut places = Places::of(target, input);
    for node in input.nodes() {
        match node {
            Node::Element(child) => match places.of_counterpart(target, child) {
                Some(at) => merge_at(target, &[at], child, flags),
                None => {
                    let mut new = Element::new(child.tag());
                    merge(&mut new, child, flags);
                    target.push(new);
                    places.pushed(target, child);
                }
            },
            Node::Comment(_) if !target.nodes().contains(node) => {
                target.nodes_mut().push(node.clone());
            }
            Node::Comment(_) | Node::Text(_) => {}
        }
    }
}

/// Where the children of an element are, by name and id: a section may have thousands, and as many be merged into it.
struct Places(Option<BTreeMap<(String, String), usize>>);

impl Places {
    /// From so many on, looking at each child for each is slower.
    const MANY: usize = 16;

    fn of(target: &Element, input: &Element) -> Self {
        let many = input.nodes().len() >= Self::MANY;
        Self(many.then(|| {
            let mut places = BTreeMap::new();
            for (at, node) in target.nodes().iter().enumerate() {
                if let Some((child, id)) = node.as_element().and_then(|e| Some((e, e.id()?))) {
                    places.entry((child.tag().into(), id.into())).or_insert(at);
                }
            }
            places
        }))
    }

    /// The child that this one is to be merged into.
    fn of_counterpart(&self, target: &Element, child: &Element) -> Option<usize> {
        if let (Some(places), Some(id)) = (&self.0, child.id()) {
            return places.get(&(child.tag().into(), id.into())).copied();
        }
        let is_counterpart = |e: &Element| {
            e.is(child.tag())
                && match (child.id(), child.get("id-ref")) {
                    (Some(id), _) => e.id() == Some(id),
                    (None, Some(reference)) => e.get("id-ref") == Some(reference),
                    (None, None) => true,
                }
        };
        let is_it = |node: &Node| node.as_element().is_some_and(is_counterpart);
        target.nodes().iter().position(is_it)
    }

    /// This child is now the last one of the target.
    fn pushed(&mut self, target: &Element, child: &Element) {
        if let (Some(places), Some(id)) = (&mut self.0, child.id()) {
            let at = target.nodes().len() - 1;
            places.insert((child.tag().into(), id.into()), at);
        }
    }
}

/// `NAME++` and `NAME+=N` of an attribute that is there already. // spec cluster §2.2
fn expand(name: &str, value: &str, old: Option<&str>) -> Option<String> {
    let old = Score::parse(old?).unwrap_or_default();
    let step = match value.strip_prefix(name)? {
        "++" => Score::new(1),
        rest => Score::parse(rest.strip_prefix("+=")?).unwrap_or_default(),
    };
    Some((old + step).value().to_string())
}

fn replace(
    root: &mut Element,
    target: &Target,
    input: &Element,
    flags: &Flags,
) -> Result<Counters, Error> {
    if let Target::XPath(xpath) = target {
        let found = select(root, xpath)?;
        if found.is_empty() {
            return Err(Error::NoSuch(describe(target)));
        }
        let wanted = if flags.multiple { found.len() } else { 1 };
        let paths: Vec<_> = found
            .into_iter()
            .take(wanted)
            .map(|found| found.path)
            .collect();
        // From the end, so that what is still to come keeps its place.
        for path in paths.iter().rev() {
            let Some((index, parent)) = path.split_last() else {
                return replace_whole(root, input, flags);
            };
            if let Some(parent) = root.at_mut(parent) {
                parent.nodes_mut().remove(*index);
                parent.push(input.clone());
            }
        }
        return Ok(Counters::Managed);
    }
    let section = section_path(target);
    let input = narrow(section, input);
    if input.is("cib") {
        return replace_whole(root, input, flags);
    }
    let fits = |e: &Element| e.is(input.tag()) && (input.id().is_none() || e.id() == input.id());
    let missing = || Error::NoSuch(name(input));
    let place = match section {
        Some(path) if path.last() != Some(&input.tag()) => {
            let top = section_index(root, path).ok_or_else(missing)?;
            let section = root.at(&top).expect("the section was found there");
            let below = find_below(section, fits).ok_or_else(missing)?;
            top.into_iter().chain(below).collect::<Vec<_>>()
        }
        _ => find(root, fits).ok_or_else(missing)?,
    };
    *root.at_mut(&place).expect("the element was found there") = input.clone();
    Ok(Counters::Managed)
}

fn replace_whole(root: &mut Element, input: &Element, flags: &Flags) -> Result<Counters, Error> {
    if !input.is("cib") {
        let problem = format!(
            "a CIB can only be replaced by a <cib>, not by a <{}>",
            input.tag()
        );
        return Err(Error::Invalid(problem));
    }
    let (current, found) = (Version::of(root), Version::of(input));
    if found < current {
        return Err(Error::OldData { found, current });
    }
    if let Some(expected) = &flags.digest
        && *expected != digest::v2(input)
    {
        return Err(Error::Invalid(format!(
            "the CIB does not have the digest {expected}"
        )));
    }
    *root = input.clone();
    Ok(if flags.as_received {
        Counters::AsReceived
    } else {
        Counters::Managed
    })
}

fn delete(root: &mut Element, target: &Target, input: &Element) {
    let section = section_path(target);
    let input = narrow(section, input);
    let top = match section {
        Some(path) => section_index(root, path),
        None => Some(Vec::new()),
    };
    let Some(section) = top.and_then(|top| root.at_mut(&top)) else {
        return;
    };
    if input.is(section.tag()) {
        for child in input.children() {
            delete_like(section, child);
        }
    } else {
        delete_like(section, input);
    }
}

/// Removes the first element below that has all attributes of this one.
fn delete_like(top: &mut Element, like: &Element) {
    let fits = |e: &Element| {
        let has = |(name, value): (&str, &str)| {
            e.get(name)
                .is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        e.is(like.tag()) && like.attrs().all(has)
    };
    if let Some(path) = find_below(top, fits) {
        remove(top, &path);
    }
}

fn delete_matches(root: &mut Element, xpath: &str, multiple: bool) -> Result<(), Error> {
    let found = select(root, xpath)?;
    if found.iter().any(|found| found.attribute.is_some()) {
        let problem = format!("`{xpath}` finds attributes, and only elements can be deleted");
        return Err(Error::Invalid(problem));
    }
    if found.iter().any(|found| found.path.is_empty()) {
        return Err(Error::Invalid(
            "the CIB itself cannot be deleted; erase it".into(),
        ));
    }
    let wanted = if multiple { found.len() } else { 1 };
    let paths: Vec<_> = found
        .into_iter()
        .take(wanted)
        .map(|found| found.path)
        .collect();
    for path in paths.iter().rev() {
        remove(root, path);
    }
    Ok(())
}

fn remove(top: &mut Element, path: &[usize]) {
    if let Some((index, parent)) = path.split_last()
        && let Some(parent) = top.at_mut(parent)
    {
        parent.nodes_mut().remove(*index);
    }
}

fn erase(root: &mut Element) {
    *root.nodes_mut() = Cib::empty().into_root().nodes().to_vec();
    raise(root, "admin_epoch");
}

fn raise(root: &mut Element, counter: &str) {
    let version = Version::of(root);
    let at = COUNTERS
        .iter()
        .position(|name| *name == counter)
        .expect("it is a counter");
    root.set(
        counter,
        &version.counters()[at].saturating_add(1).to_string(),
    );
}

fn patch(root: &mut Element, input: &Element) -> Result<Counters, Error> {
    let patch = Patch::from_element(input)?;
    patch.check_source(Version::of(root))?;
    let counters = patch.target.map_or(Counters::Managed, Counters::Exactly);
    *root = patch.apply(root)?;
    if let Some(target) = patch.target {
        target.write_to(root);
        patch.check_digest(root)?;
    }
    Ok(counters)
}

/// The administrator's counter is raised, the others begin anew. // spec cluster §1.2
fn upgrade_all(root: &mut Element) -> Result<(), Error> {
    if upgrade::is_latest(root) {
        return Err(Error::AlreadyLatest);
    }
    let new = upgrade::latest(root).map_err(|violation| {
        Error::Schema(vec![Violation {
            line: 0,
            ..violation
        }])
    })?;
    let admin_epoch = Version::of(root).admin_epoch.saturating_add(1);
    *root = new;
    Version {
        admin_epoch,
        epoch: 1,
        num_updates: 1,
    }
    .write_to(root);
    Ok(())
}

fn select<'a>(root: &'a Element, xpath: &str) -> Result<Vec<Match<'a>>, Error> {
    let refused = |error: crate::xml::XPathError| Error::Invalid(error.to_string());
    XPath::parse(xpath)
        .map_err(refused)?
        .select(root)
        .map_err(refused)
}

/// Names from the root to the section; none for the whole document.
fn section_path(target: &Target) -> Option<&'static [&'static str]> {
    match target {
        Target::Section(name) => sections::path(name),
        Target::Whole | Target::XPath(_) => None,
    }
}

/// If a whole CIB comes where a section is named, its section is meant.
fn narrow<'a>(section: Option<&[&str]>, input: &'a Element) -> &'a Element {
    match section {
        Some(path) if input.is("cib") => input.descend(path).unwrap_or(input),
        _ => input,
    }
}

fn section_or_new<'a>(root: &'a mut Element, path: &[&str]) -> &'a mut Element {
    path.iter()
        .fold(root, |element, tag| element.child_or_new(tag))
}

fn section_index(root: &Element, path: &[&str]) -> Option<Vec<usize>> {
    let mut at = root;
    let mut out = Vec::new();
    for tag in path {
        let index = at
            .nodes()
            .iter()
            .position(|n| n.as_element().is_some_and(|e| e.is(tag)))?;
        out.push(index);
        at = at.nodes()[index].as_element()?;
    }
    Some(out)
}

fn is_same(a: &Element, b: &Element) -> bool {
    a.is(b.tag()) && a.id() == b.id()
}

/// Where the first element is, in document order, that passes; the top itself included.
fn find(top: &Element, passes: impl Fn(&Element) -> bool) -> Option<Vec<usize>> {
    if passes(top) {
        Some(Vec::new())
    } else {
        find_below(top, passes)
    }
}

fn find_below(top: &Element, passes: impl Fn(&Element) -> bool) -> Option<Vec<usize>> {
    fn walk(at: &Element, passes: &dyn Fn(&Element) -> bool, path: &mut Vec<usize>) -> bool {
        for (index, node) in at.nodes().iter().enumerate() {
            if let Some(child) = node.as_element() {
                path.push(index);
                if passes(child) || walk(child, passes, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    let mut path = Vec::new();
    walk(top, &passes, &mut path).then_some(path)
}

fn name(element: &Element) -> String {
    match element.id() {
        Some(id) => format!("<{} id=\"{id}\">", element.tag()),
        None => format!("<{}>", element.tag()),
    }
}

fn describe(target: &Target) -> String {
    match target {
        Target::Whole => "CIB".into(),
        Target::Section(name) => format!("section {name}"),
        Target::XPath(xpath) => format!("match of {xpath}"),
    }
}
