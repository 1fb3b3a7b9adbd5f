//! What the cluster would do: the same plan that the coordinator would make.

use std::ffi::OsString;

use crate::{
    cib::Cib,
    cli::{failure::Failure, shell::Shell},
    clock,
    graph::ActionKind,
    policy::{Input, schedule},
    terms::CrmExit,
    xml::{Element, write},
};

/// Whether nothing is under way and nothing needs to be done.
pub(super) fn is_settled(cib: &Cib) -> bool {
    left(cib).is_none()
}

/// What is under way, or needs to be done, in a few words.
pub(super) fn left(cib: &Cib) -> Option<String> {
    let mut input = Input::at(clock::wall_s());
    input.causes = false;
    let outcome = schedule(cib.root(), &input);
    // Pseudo actions change nothing: with utilization, some are in every graph.
    let actions = outcome.graph.actions();
    let actions = actions
        .filter(|action| action.kind != ActionKind::Pseudo)
        .count();
    let facts = &outcome.facts;
    let mut told: Vec<String> = facts
        .rscs
        .iter()
        .filter_map(|rsc| {
            let pending = rsc.pending.as_ref()?;
            let node = &facts.nodes[pending.node].name;
            Some(format!("{} of {} on {node}", pending.task, rsc.id))
        })
        .collect();
    if actions == 0 && told.is_empty() {
        return None;
    }
    if told.is_empty() {
        told = super::explain::summary(&outcome);
    }
    if told.is_empty() {
        let s = if actions == 1 { "" } else { "s" };
        return Some(format!("{actions} action{s}"));
    }
    Some(told.join(", "))
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
    let mut result = crate::cli::access::store(&file, &write::pretty(root));
    if result.is_ok() {
        let mut words: Vec<OsString> = options.iter().map(OsString::from).collect();
        words.extend(["-x".into(), file.into_os_string()]);
        let exit = super::simulate::run(&words, &mut *shell.out, &mut *shell.errors);
        if exit != CrmExit::OK {
            // It has said why.
            result = Err(Failure::new(exit, ""));
        }
    }
    // A left-over copy in a private folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    result
}
