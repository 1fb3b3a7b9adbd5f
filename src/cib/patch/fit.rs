//! Applying a patch: what it names is looked up by path, deletions and new attributes at once, then what is created or
//! moved takes its place from the front to the back. // spec cluster §3.4

use super::{
    super::{Error, Version},
    Change, Patch,
};
use crate::xml::{Element, Node, digest};

impl Patch {
    /// Whether it was made for a CIB of this version.
    pub fn check_source(&self, current: Version) -> Result<(), Error> {
        let (Some(source), Some(target)) = (self.source, self.target) else {
            return Ok(());
        };
        for (have, needed) in current.counters().into_iter().zip(source.counters()) {
            if have < needed {
                let problem = format!("it was made for version {source}, this is {current}");
                return Err(Error::DiffFailed(problem));
            }
            if have > needed {
                return Err(Error::OldData {
                    found: source,
                    current,
                });
            }
        }
        if target <= source {
            return Err(Error::OldData {
                found: target,
                current,
            });
        }
        Ok(())
    }

    /// The result on this document. Versions are not looked at.
    pub fn apply(&self, old: &Element) -> Result<Element, Error> {
        let mut root = old.clone();
        let mut queue: Vec<&Change> = Vec::new();
        for change in &self.changes {
            match change {
                Change::Delete { path, position } => delete(&mut root, path, *position)?,
                Change::Modify { path, result, .. } => {
                    let place = locate(&root, path)?.ok_or_else(|| missing(path))?;
                    let element = root.at_mut(&place).ok_or_else(|| missing(path))?;
                    element.take_attrs(result);
                }
                Change::Create { .. } => queue.push(change),
                Change::Move { path, .. } => {
                    // To the end of its siblings for now, so that it does not count before it has its place.
                    let place = locate(&root, path)?.ok_or_else(|| missing(path))?;
                    let (parent, index) = parent_of(&mut root, &place, path)?;
                    let node = parent.nodes_mut().remove(index);
                    parent.nodes_mut().push(node);
                    queue.push(change);
                }
            }
        }
        queue.sort_by_key(|change| match change {
            Change::Create { position, .. } => position.unwrap_or(usize::MAX),
            Change::Move { position, .. } => *position,
            _ => 0,
        });
        for change in queue {
            place_node(&mut root, change)?;
        }
        Ok(root)
    }

    /// Whether the result is what the sender had.
    pub fn check_digest(&self, result: &Element) -> Result<(), Error> {
        match &self.digest {
            Some(expected) if *expected != digest::v2(result) => Err(Error::DiffFailed(
                "the result does not have the digest it should have".into(),
            )),
            _ => Ok(()),
        }
    }
}

fn delete(root: &mut Element, path: &str, position: Option<usize>) -> Result<(), Error> {
    if let (Some(parent), Some(index)) = (path.strip_suffix("/comment"), position) {
        let Some(place) = locate(root, parent)? else {
            return Ok(());
        };
        let is_comment = |e: &Element| {
            e.nodes()
                .get(index)
                .is_some_and(|node| node.as_comment().is_some())
        };
        if root.at(&place).is_some_and(is_comment)
            && let Some(parent) = root.at_mut(&place)
        {
            parent.nodes_mut().remove(index);
        }
        return Ok(());
    }
    let Some(place) = locate(root, path)? else {
        return Ok(());
    };
    let (parent, index) = parent_of(root, &place, path)?;
    parent.nodes_mut().remove(index);
    Ok(())
}

fn place_node(root: &mut Element, change: &Change) -> Result<(), Error> {
    match change {
        Change::Create {
            path,
            position,
            node,
        } => {
            let place = locate(root, path)?.ok_or_else(|| missing(path))?;
            let parent = root.at_mut(&place).ok_or_else(|| missing(path))?;
            let end = parent.nodes().len();
            let index = position.unwrap_or(end).min(end);
            parent.nodes_mut().insert(index, node.clone());
        }
        Change::Move { path, position } => {
            let place = locate(root, path)?.ok_or_else(|| missing(path))?;
            let (parent, index) = parent_of(root, &place, path)?;
            if *position >= parent.nodes().len() {
                return Err(Error::DiffFailed(format!("{path} has no place {position}")));
            }
            let node = parent.nodes_mut().remove(index);
            parent.nodes_mut().insert(*position, node);
        }
        Change::Modify { .. } | Change::Delete { .. } => {}
    }
    Ok(())
}

fn parent_of<'a>(
    root: &'a mut Element,
    place: &[usize],
    path: &str,
) -> Result<(&'a mut Element, usize), Error> {
    let (index, parent) = place
        .split_last()
        .ok_or_else(|| Error::DiffFailed(format!("{path} is the whole document")))?;
    let parent = root.at_mut(parent).ok_or_else(|| missing(path))?;
    Ok((parent, *index))
}

fn missing(path: &str) -> Error {
    Error::DiffFailed(format!("there is no {path}"))
}

/// Indexes to the first element that a path names.
pub(super) fn locate(root: &Element, path: &str) -> Result<Option<Vec<usize>>, Error> {
    let steps = steps(path)?;
    let mut steps = steps.into_iter();
    let first: Option<Step<'_>> = steps.next();
    if !first.is_some_and(|(tag, _)| root.is(tag)) {
        return Ok(None);
    }
    let mut at = root;
    let mut place = Vec::new();
    for (tag, id) in steps {
        let fits = |node: &Node| {
            node.as_element()
                .is_some_and(|e| e.is(tag) && (id.is_none() || e.id() == id))
        };
        let Some(index) = at.nodes().iter().position(fits) else {
            return Ok(None);
        };
        place.push(index);
        at = at.nodes()[index]
            .as_element()
            .expect("the test let only elements pass");
    }
    Ok(Some(place))
}

/// A name and perhaps an id.
type Step<'a> = (&'a str, Option<&'a str>);

/// The steps of a path; an id may contain anything but what ends it.
fn steps(path: &str) -> Result<Vec<Step<'_>>, Error> {
    let invalid = || Error::Invalid(format!("`{path}` is not a path of a patch"));
    let mut rest = path;
    let mut out = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('/').ok_or_else(invalid)?;
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let tag = &rest[..end];
        rest = &rest[end..];
        let mut id = None;
        if let Some(predicate) = rest.strip_prefix("[@id='") {
            let end = predicate
                .match_indices("']")
                .map(|(end, _)| end)
                .find(|end| matches!(predicate.as_bytes().get(end + 2), None | Some(b'/')));
            let end = end.ok_or_else(invalid)?;
            id = Some(&predicate[..end]);
            rest = &predicate[end + 2..];
        }
        if tag.is_empty() {
            return Err(invalid());
        }
        out.push((tag, id));
    }
    Ok(out)
}
