//! `crm cluster init|join|token`: this program again, as `systole init|join|token`. Founding belongs to the daemon's room,
//! which this one must not know.

use std::os::unix::process::CommandExt;

use crate::terms::CrmExit;

use super::failure::Failure;

/// Become that command; comes back only when it can't be started.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it takes our place, terminal included; nothing is spawned"
    )]
    let error = std::process::Command::new(program)
        .arg0("systole")
        .args(words)
        .exec();
    Err(Failure::new(
        CrmExit::OS,
        format!("failed to run systole {}: {error}", words.join(" ")),
    ))
}
