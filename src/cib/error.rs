//! Why a request was refused. Every error names the object and, where there is one, the cure; `exit` is what a tool ends
//! with, `text` what Pacemaker's tools say.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Version;
use crate::{terms::CrmExit, xml::Element};

/// A refused request; nothing was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Error {
    #[error("there is no {0}")]
    NoSuch(String),
    #[error("{what} exists already; modify or replace it, or choose another id")]
    Exists {
        what: String,
        /// The answer that tools print: what failed, with a copy of it.
        failed: Element,
    },
    #[error(
        "version {found} is older than {current}; fetch the newest CIB and make the change again"
    )]
    OldData { found: Version, current: Version },
    #[error("{user} may not {what}; an ACL must grant it")]
    Denied { user: String, what: String },
    #[error("{0}")]
    Invalid(String),
    #[error("the result would not be valid: {}", list(.0))]
    Schema(Vec<Violation>),
    #[error("the patch does not fit: {0}")]
    DiffFailed(String),
    #[error("feature set {0} is newer than ours; upgrade this node first")]
    FeatureSet(String),
    #[error("the schema is already the latest available")]
    AlreadyLatest,
}

impl Error {
    /// The exit status of a tool whose request failed so. // spec cluster §7
    pub fn exit(&self) -> CrmExit {
        match self {
            Error::NoSuch(_) => CrmExit::NO_SUCH,
            Error::Exists { .. } => CrmExit::EXISTS,
            Error::OldData { .. } => CrmExit::OLD,
            Error::Denied { .. } => CrmExit::INSUFFICIENT_PRIV,
            Error::Invalid(_) => CrmExit::SOFTWARE,
            Error::Schema(_) => CrmExit::CONFIG,
            Error::DiffFailed(_) => CrmExit::ERROR,
            Error::FeatureSet(_) => CrmExit::PROTOCOL,
            Error::AlreadyLatest => CrmExit::OK,
        }
    }

    /// The short text of Pacemaker's tools.
    pub fn text(&self) -> &'static str {
        match self {
            Error::NoSuch(_) => "No such device or address",
            Error::Exists { .. } => "File exists",
            Error::OldData { .. } => "Update was older than existing configuration",
            Error::Denied { .. } => "Permission denied",
            Error::Invalid(_) => "Invalid argument",
            Error::Schema(_) => "Update does not conform to the configured schema",
            Error::DiffFailed(_) => "Application of update diff failed",
            Error::FeatureSet(_) => "Protocol not supported",
            Error::AlreadyLatest => "Schema is already the latest available",
        }
    }

    /// What a tool prints beside the message.
    pub fn answer(&self) -> Option<&Element> {
        match self {
            Error::Exists { failed, .. } => Some(failed),
            _ => None,
        }
    }
}

/// One place at which a document breaks the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The element's name.
    pub element: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The line it began on where it was read; 0 if it was not.
    pub line: u32,
    /// What is wrong there, and what to do.
    pub problem: String,
}

impl Violation {
    /// A violation at this element.
    pub fn at(element: &Element, problem: impl Into<String>) -> Self {
        Self {
            element: element.tag().into(),
            id: element.id().map(Into::into),
            line: element.line(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.element)?;
        if let Some(id) = &self.id {
            write!(f, " id=\"{id}\"")?;
        }
        f.write_str(">")?;
        if self.line > 0 {
            write!(f, " (line {})", self.line)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// The first few, and how many more there are.
fn list(violations: &[Violation]) -> String {
    const SHOWN: usize = 5;
    let mut out: Vec<String> = violations
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    if violations.len() > SHOWN {
        out.push(format!("and {} more", violations.len() - SHOWN));
    }
    out.join("; ")
}
