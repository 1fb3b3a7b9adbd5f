//! The cluster information base: configuration and status as one document with versions.
//! Enters: `Command`s, each with who asked and when.
//! Leaves: the next `Cib`, the answer, and the `Patch` between the two, the same on every node.
//! May touch: nothing; pure.

mod apply;
mod command;
mod error;
mod ops;
mod sections;
mod version;

pub mod acl;
pub mod config;
pub mod patch;
pub mod schema;
pub mod status;
pub mod upgrade;

use serde::{Deserialize, Serialize};

pub use apply::{Applied, Preview, apply, query};
pub use command::{Command, Flags, Op, Origin, Target};
pub use error::{Error, Violation};
pub use patch::{Change, Patch};
pub use version::Version;

use crate::{
    terms::FEATURE_SET,
    xml::{Element, Limits, ReadError, digest, read},
};

/// The newest schema we know; configurations are written for it.
pub const SCHEMA: &str = "pacemaker-4.0";

/// A CIB: one immutable document. A clone costs nothing, and shares everything with what came before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cib {
    root: Element,
}

impl Cib {
    /// From its `<cib>` element.
    pub fn new(root: Element) -> Self {
        Self { root }
    }

    /// Reads one from text.
    pub fn parse(text: impl AsRef<[u8]>, limits: &Limits) -> Result<Self, ReadError> {
        read::parse(text, limits).map(Self::new)
    }

    /// One without any content.
    pub fn empty() -> Self {
        let configuration = ["crm_config", "nodes", "resources", "constraints"]
            .into_iter()
            .fold(Element::new("configuration"), |e, tag| {
                e.with_child(Element::new(tag))
            });
        let root = Element::new("cib")
            .with("crm_feature_set", FEATURE_SET)
            .with("validate-with", SCHEMA)
            .with("admin_epoch", "0")
            .with("epoch", "0")
            .with("num_updates", "0")
            .with_child(configuration)
            .with_child(Element::new("status"));
        Self { root }
    }

    /// The `<cib>` element.
    pub fn root(&self) -> &Element {
        &self.root
    }

    /// The `<cib>` element, given away.
    pub fn into_root(self) -> Element {
        self.root
    }

    /// The configuration, if there is one.
    pub fn configuration(&self) -> Option<&Element> {
        self.root.child("configuration")
    }

    /// The status, if there is one.
    pub fn status(&self) -> Option<&Element> {
        self.root.child("status")
    }

    /// A section by name: `status`, `resources`, `constraints`, ...; the whole for other names.
    pub fn section(&self, name: &str) -> Option<&Element> {
        match sections::path(name) {
            Some(path) => self.root.descend(path),
            None => Some(&self.root),
        }
    }

    /// Its version; missing and unreadable counters are 0.
    pub fn version(&self) -> Version {
        Version::of(&self.root)
    }

    /// The digest by which nodes compare their CIBs. Costs a walk over the whole document.
    pub fn digest(&self) -> String {
        digest::v2(&self.root)
    }
}

impl Default for Cib {
    fn default() -> Self {
        Self::empty()
    }
}
