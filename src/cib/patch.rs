//! The difference of two CIBs as a value, and as the XML that clients exchange (patch format 2). // spec cluster §3

mod diff;
mod fit;
mod text;

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Version;
use crate::xml::{Element, Node, digest};

pub use diff::{diff, diff_in_order};

/// What leads from one CIB to the next.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    /// The version it was made for; none for a patch that fits any.
    pub source: Option<Version>,
    /// The version after it.
    pub target: Option<Version>,
    /// What changed: deletions first, the others in document order.
    pub changes: Vec<Change>,
    /// The v2 digest of the result, if somebody took the trouble.
    pub digest: Option<String>,
}

/// One change. Paths are absolute, with `[@id='...']` behind elements that have an id.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An element (or comment) is new.
    Create {
        /// The parent's path.
        path: String,
        /// Its place among the parent's nodes.
        position: Option<usize>,
        /// What is new.
        node: Node,
    },
    /// Attributes changed.
    Modify {
        /// The element's path.
        path: String,
        /// Names with their new values; none for those which are gone.
        attrs: Vec<(String, Option<String>)>,
        /// The element afterwards, without what is inside.
        result: Element,
    },
    /// An element (or comment) is gone.
    Delete {
        /// Its path; that of a comment ends in `comment`.
        path: String,
        /// The place of a comment among its siblings.
        position: Option<usize>,
    },
    /// An element has another place among its siblings.
    Move {
        /// The element's path.
        path: String,
        /// Its new place.
        position: usize,
    },
}

impl Change {
    /// The path it names: the parent's for a creation, else that of the element itself.
    pub fn path(&self) -> &str {
        match self {
            Change::Create { path, .. }
            | Change::Modify { path, .. }
            | Change::Delete { path, .. }
            | Change::Move { path, .. } => path,
        }
    }
}

impl Patch {
    /// The patch with the digest of its result, for receivers that check it. Costs a walk over the document.
    #[must_use]
    pub fn with_digest(mut self, result: &Element) -> Self {
        self.digest = Some(digest::v2(result));
        self
    }

    /// The patch without versions, which fits whatever CIB has what it changes.
    #[must_use]
    pub fn without_versions(mut self) -> Self {
        self.source = None;
        self.target = None;
        self
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_element().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let element = Element::deserialize(deserializer)?;
        Self::from_element(&element).map_err(D::Error::custom)
    }
}

/// Indexes to the element that a path names, if it is there.
pub(super) fn locate(root: &Element, path: &str) -> Option<Vec<usize>> {
    fit::locate(root, path).ok().flatten()
}

/// The path of an element whose parent has this path.
pub(crate) fn path_below(parent: &str, element: &Element) -> String {
    let mut path = String::with_capacity(parent.len() + element.tag().len() + 16);
    path.push_str(parent);
    path.push('/');
    path.push_str(element.tag());
    if let Some(id) = element.id() {
        write!(path, "[@id='{id}']").expect("writing to a string cannot fail");
    }
    path
}

#[cfg(test)]
mod tests;
