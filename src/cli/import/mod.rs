//! Configurations of other programs, read into ours, with a word on every line about what became of it.
//! Enters: texts of a CIB, of the crm shell, of `corosync.conf`, of `keepalived.conf`.
//! Leaves: `Import`: objects of a configuration, notes line by line, and steps that are no configuration.
//! May touch: nothing; pure. Included files come from the caller.

mod cib;
mod corosync;
mod crm;
mod draft;
mod keepalived;
mod kind;
mod note;

pub(crate) use draft::Import;
pub(crate) use kind::Kind;
pub(crate) use note::{Broken, Note};

use draft::Draft;

/// One file to be read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its name, as people are told.
    pub(crate) file: String,
    /// What it holds.
    pub(crate) text: String,
    /// What it is; found by its content if not given.
    pub(crate) kind: Option<Kind>,
    /// The node that it speaks for, where each node has a file of its own.
    pub(crate) node: Option<String>,
}

/// What the caller knows and can do.
pub(crate) struct Surroundings<'a> {
    /// The name of this machine: a file that names no node speaks for it.
    pub(crate) here: &'a str,
    /// Where our alert agents are.
    pub(crate) alerts: &'a str,
    /// The files that a pattern in an included line means: names and texts. The first word is the including file.
    pub(crate) include: Include<'a>,
}

/// Reads the files that a pattern means.
pub(crate) type Include<'a> = &'a dyn Fn(&str, &str) -> Result<Vec<(String, String)>, String>;

/// Read all files into one configuration.
pub(crate) fn import(sources: &[Source], around: &Surroundings<'_>) -> Result<Import, Broken> {
    let mut draft = Draft::default();
    let mut keepalived = Vec::new();
    for source in sources {
        let kind = source.kind.or_else(|| Kind::of(&source.text));
        let Some(kind) = kind else {
            return Err(Broken::new(
                &source.file,
                1,
                "it looks like no file that can be imported",
            )
            .cure("say what it is: --kind cib, crm, corosync or keepalived"));
        };
        match kind {
            Kind::Cib => cib::read(source, &mut draft)?,
            Kind::Crm => crm::read(source, &mut draft)?,
            Kind::Corosync => corosync::read(source, &mut draft)?,
            // Each of these speaks for a node; together they are one configuration.
            Kind::Keepalived => keepalived.push(source),
        }
    }
    keepalived::read(&keepalived, around, &mut draft)?;
    draft.finish()
}

#[cfg(test)]
mod tests;
