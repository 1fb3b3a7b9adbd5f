//! `keepalived.conf`: who has which addresses, decided by priorities. Each host has a file of its own; together they are
//! one configuration.
//! Enters: files, each for a node or with lines `@host` for several.
//! Leaves: statements of the crm shell's language in a `Draft`, notes on every line.
//! May touch: nothing; pure.
//!
//! ```text
//! text -> tree (lines, blocks, @host, $NAME, include) -> model (instances of all hosts merged) -> statements
//! ```

mod model;
mod read;
mod tree;
mod write;

use super::draft::Draft;
use super::note::{Broken, Place};
use super::{Source, Surroundings};

use model::Model;

/// All files of this kind.
pub(super) fn read(
    sources: &[&Source],
    around: &Surroundings<'_>,
    draft: &mut Draft,
) -> Result<(), Broken> {
    if sources.is_empty() {
        return Ok(());
    }
    let mut model = Model::default();
    let mut spoken: Vec<(String, &str)> = Vec::new();
    for source in sources {
        for host in hosts(source, around)? {
            if let Some((_, other)) = spoken.iter().find(|(known, _)| *known == host.name) {
                let text = format!(
                    "both {other} and this file would speak for the node {}",
                    host.name
                );
                return Err(Broken::new(&source.file, host.line, text).cure(format!(
                    "say which node each is for: crm import NODE1={other} NODE2={}",
                    source.file
                )));
            }
            let chosen = host.by_condition.then_some(host.name.as_str());
            let tree = tree::read(&source.file, &source.text, chosen, around.include)?;
            let at = Place::new(&source.file, host.line);
            draft.became(
                &at,
                host.what,
                format!("priorities are those of the node {}", host.name),
            );
            read::read(&tree.items, &host.name, &mut model, draft)?;
            spoken.push((host.name, &source.file));
        }
    }
    write::write(&model, around.alerts, draft)
}

/// A node that a file speaks for, and how that is known.
struct Host {
    name: String,
    line: u32,
    what: &'static str,
    /// Lines `@name` are for it.
    by_condition: bool,
}

/// Names in samples, which are no names of hosts.
const SAMPLES: &[&str] = &[
    "LVS_DEVEL",
    "LVS_MAIN",
    "LVS_MASTER",
    "LVS_BACKUP",
    "router",
];

fn hosts(source: &Source, around: &Surroundings<'_>) -> Result<Vec<Host>, Broken> {
    let host = |name: &str, line, what, by_condition| Host {
        name: name.to_owned(),
        line,
        what,
        by_condition,
    };
    if let Some(node) = &source.node {
        return Ok(vec![host(node, 1, "the node named with the file", true)]);
    }
    let tree = tree::read(&source.file, &source.text, None, around.include)?;
    if !tree.hosts.is_empty() {
        let named = tree.hosts.iter();
        return Ok(named
            .map(|(name, line)| host(name, *line, "lines with @", true))
            .collect());
    }
    let globals = tree.items.iter().filter(|item| item.is("global_defs"));
    let id = globals
        .flat_map(|globals| globals.block.iter().flatten())
        .find(|item| item.is("router_id"));
    let named = id.and_then(|item| Some((item.words.get(1)?, item.at.line)));
    let usable = |name: &str| crate::cli::language::is_id(name) && !SAMPLES.contains(&name);
    Ok(match named.filter(|(name, _)| usable(name)) {
        Some((name, line)) => vec![host(name, line, "router_id", false)],
        None => vec![host(
            around.here,
            1,
            "no node is named, and so it is this machine",
            false,
        )],
    })
}

#[cfg(test)]
mod tests;
