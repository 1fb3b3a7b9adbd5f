//! The CIB to work on: read, decompressed, brought to the newest schema. (spec 4 §1.3)

use std::io::Read;
use std::path::Path;

use thiserror::Error;

use super::args::Source;
use crate::cib::{self, Cib, Violation};
use crate::cli::saved;
use crate::terms::CrmExit;
use crate::xml::{self, Element, Limits};

/// Why there is no CIB to work on.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("Bad input value provided ({name}: {error})")]
    Unreadable { name: String, error: std::io::Error },
    #[error("Bad input value provided ({name}, {error})")]
    NotXml { name: String, error: xml::ReadError },
    #[error("Bad input value provided ({name} holds `{tag}` and not `cib`)")]
    NotACib { name: String, tag: String },
    #[error("{name} is not a valid CIB: {}", listed(.violations))]
    Invalid {
        name: String,
        violations: Vec<Violation>,
    },
    #[error("the running cluster can't be asked ({0}); a CIB in a file can be read with -x")]
    NoCluster(crate::cli::failure::Failure),
}

impl Error {
    pub(super) fn exit(&self) -> CrmExit {
        match self {
            Error::Unreadable { .. } => CrmExit::NO_INPUT,
            Error::NotXml { .. } | Error::NotACib { .. } => CrmExit::DATA,
            Error::Invalid { .. } => CrmExit::CONFIG,
            Error::NoCluster(_) => CrmExit::DISCONNECTED,
        }
    }
}

/// The first few, and how many more there are.
fn listed(violations: &[Violation]) -> String {
    const FEW: usize = 5;
    let few = violations.iter().take(FEW).map(ToString::to_string);
    let mut text = few.collect::<Vec<_>>().join("; ");
    if violations.len() > FEW {
        text.push_str(&format!("; and {} more", violations.len() - FEW));
    }
    text
}

/// What is worked on.
pub(super) struct Taken {
    pub(super) cib: Element,
    /// What is to be said about it on standard error.
    pub(super) notes: Vec<String>,
    /// Private values may have been taken out of it.
    pub(super) sanitized: bool,
}

/// Read it.
pub(super) fn read(source: &Source) -> Result<Taken, Error> {
    let (name, bytes) = match source {
        Source::File(path) => (path.display().to_string(), file(path)),
        Source::Pipe => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            ("standard input".to_owned(), read.map(|_| bytes))
        }
        Source::Live => {
            let cib = crate::cli::entry::reach(None)
                .deciding()
                .map_err(Error::NoCluster)?;
            return Ok(Taken {
                cib: cib.into_root(),
                notes: Vec::new(),
                sanitized: false,
            });
        }
    };
    let bytes = bytes.map_err(|error| Error::Unreadable {
        name: name.clone(),
        error,
    })?;
    parse(&name, &bytes)
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_some_and(|end| end == "bz2") {
        return saved::unpack(&bytes);
    }
    Ok(bytes)
}

pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Taken, Error> {
    // A file that somebody names may be larger than what the network may send.
    let mut cib = xml::parse(bytes, &Limits::STORED).map_err(|error| Error::NotXml {
        name: name.to_owned(),
        error,
    })?;
    if !cib.is("cib") {
        return Err(Error::NotACib {
            name: name.to_owned(),
            tag: cib.tag().to_owned(),
        });
    }
    cib.child_or_new("configuration");
    cib.child_or_new("status");
    // spec 4 §1.3: nothing is scheduled of what is not valid.
    let mut notes = Vec::new();
    let violations = cib::schema::check(&Cib::new(cib.clone()));
    if !violations.is_empty() {
        let Some(schema) = cib::schema::next_fitting(&cib) else {
            return Err(Error::Invalid {
                name: name.to_owned(),
                violations,
            });
        };
        let named = cib.get("validate-with").unwrap_or_default();
        notes.push(format!(
            "{name} is not valid for the schema {named} that it names, but for {schema}"
        ));
        cib.set("validate-with", &schema);
    }
    if cib.get("validate-with") == Some("none") {
        notes.push(
            "Schema validation of configuration is disabled (support for validate-with set to \
             \"none\" is deprecated and will be removed in a future release)"
                .to_owned(),
        );
    }
    // spec 1 §3.1: what is older is brought to the newest schema in memory. What can't be stays as it was written.
    if let Ok(newest) = cib::upgrade::latest(&cib) {
        cib = newest;
    }
    Ok(Taken {
        cib,
        notes,
        // A coordinator leaves nothing out, so that its decision comes out once more.
        sanitized: saved::transition_of(bytes).is_none(),
    })
}
