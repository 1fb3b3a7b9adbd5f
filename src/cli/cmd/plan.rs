//! What the cluster would do: the same plan that the coordinator would make.

use std::ffi::OsString;

use crate::{
    cib::Cib,
    cli::{failure::Failure, shell::Shell},
    clock,
    graph::ActionKind,
    policy::{Input, schedule},
    xml::{Element, write},
};

/// Whether nothing is under way and nothing needs to be done.
pub(super) fn is_settled(cib: &Cib) -> bool {
    let mut input = Input::at(clock::wall_s());
    input.causes = false;
    let outcome = schedule(cib.root(), &input);
    // Pseudo actions change nothing: with utilization, some are in every graph.
    let idle = outcome
        .graph
        .actions()
        .all(|action| action.kind == ActionKind::Pseudo);
    idle && outcome.facts.rscs.iter().all(|rsc| rsc.pending.is_none())
}

/// Show what pending changes would lead to.
pub(super) fn show(shell: &mut Shell) -> Result<(), Failure> {
    let root = shell.session()?.changed();
    simulated(shell, &root, &["-S"])
}

/// What `crm_simulate` says of a CIB.
pub(super) fn simulated(
    shell: &mut Shell,
    root: &Element,
    options: &[&str],
) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("crm-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder)?;
    let file = folder.join("cib.xml");
    let result = crate::cli::access::store(&file, &write::pretty(root));
    if result.is_ok() {
        let mut words: Vec<OsString> = options.iter().map(OsString::from).collect();
        words.extend(["-x".into(), file.into_os_string()]);
        super::simulate::run(&words, &mut *shell.out, &mut *shell.errors);
    }
    // A left-over copy in a private folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    result
}
