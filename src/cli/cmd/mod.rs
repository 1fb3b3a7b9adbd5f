//! The commands, one file or folder each.
//! Enters: words of a command line.
//! Leaves: text and an exit status.
//! May touch: files that are named, standard input and output, the daemon's socket.

pub(crate) mod by_tool;
pub(crate) mod change;
pub(crate) mod check;
pub mod cib;
pub mod cluster;
pub(crate) mod commit;
pub mod configure;
mod copies;
pub mod doctor;
pub mod drill;
mod edit;
pub(crate) mod elsewhere;
mod events;
pub mod explain;
pub mod history;
pub mod import;
pub mod node;
mod one;
pub mod past;
mod plan;
pub mod resource;
mod secret;
pub mod simulate;
pub mod status;
mod trace;
mod trouble;
mod wait;
pub mod watch;

use crate::{
    cib::Cib,
    clock,
    policy::{
        Input,
        facts::{self, Facts},
    },
};

/// What is true now, as the policy sees it.
pub(crate) fn facts_of(cib: &Cib) -> Facts {
    facts::read(cib.root(), &Input::at(clock::wall_s()))
}

/// The first node on which a resource (or anything inside it) is active.
pub(crate) fn running_on(facts: &Facts, id: &str) -> Option<String> {
    let rsc = facts.rsc_named(id)?;
    let mut open = vec![rsc];
    while let Some(rsc) = open.pop() {
        let it = &facts.rscs[rsc];
        if let Some(node) = it.active.first() {
            return Some(facts.nodes[*node].name.to_string());
        }
        open.extend(&it.children);
    }
    None
}
