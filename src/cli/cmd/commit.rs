//! Changes looked at before they are made. What will be done is worked out with the coordinator's own policy on the live
//! status, shown, asked about where there is somebody to ask, and then written only if it is still that which was shown.

use crate::{
    cib::{Cib, Command, Op, Target, Version, patch, upgrade},
    cli::{
        args::Committing,
        failure::Failure,
        forecast::{self, Forecast},
        shell::Shell,
    },
    clock,
    policy::Input,
    rpc::AdminRequest,
    terms::{CrmExit, DateTime, span},
    xml::Element,
};

use super::{check, wait};

/// So often a change is tried again because the status moved on while nothing of what was shown did.
const TRIES: usize = 30;

/// Commit what is pending in the session.
pub(crate) fn commit(shell: &mut Shell, how: &Committing, force: bool) -> Result<(), Failure> {
    let session = shell.session()?;
    let (old, new) = (session.base.root().clone(), session.changed());
    // `ms` makes what today's schema calls a promotable clone.
    let new = upgrade::todays_words(&new).unwrap_or(new);
    let result =
        check::changes(shell, &old, &new, force).and_then(|()| looked_at(shell, &old, &new, how));
    match result {
        Ok(written) => {
            if written || !shell.deferred {
                shell.session = None;
            }
            if written && shell.wait {
                wait::idle(shell, 3600)
            } else {
                Ok(())
            }
        }
        Err(failure) => {
            if !shell.deferred {
                shell.session = None;
            }
            Err(failure)
        }
    }
}

/// Show, ask, write; whether it was written.
fn looked_at(
    shell: &mut Shell,
    old: &Element,
    new: &Element,
    how: &Committing,
) -> Result<bool, Failure> {
    let asks = how.ask || (shell.person && !how.yes && !shell.force && !how.dry_run);
    let planned = asks || how.dry_run || how.safe || how.json;
    if patch::diff(old, new).without_versions().changes.is_empty() {
        if planned && !how.json {
            shell.say("nothing changes")?;
        } else if how.json {
            shell.say("{}")?;
        }
        return Ok(false);
    }
    if !planned {
        return write_unseen(shell, old, new, how);
    }
    match shell.access.deciding() {
        // Who may change a part and sees no more of it has to be trusted with that part.
        Err(hidden) if asks && hidden.exit == CrmExit::INSUFFICIENT_PRIV && !how.safe => {
            shell.show(&format!(
                "What will be done can't be foreseen: {}",
                hidden.message
            ))?;
            agreed(shell)?;
            return write_unseen(shell, old, new, how);
        }
        whole => drop(whole?),
    }
    let quorum = quorum(shell)?;
    let mut seen = foresee(old, new, quorum)?;
    if how.json {
        shell.say(&format!("{:#}", forecast::as_json(&seen)))?;
    } else {
        shell.show(&forecast::as_text(&seen))?;
    }
    if how.safe && !seen.rails.is_empty() {
        let rails: Vec<String> = seen.rails.iter().map(ToString::to_string).collect();
        return Err(Failure::new(
            CrmExit::UNSAFE,
            format!("nothing was changed, because of: {}", rails.join("; ")),
        )
        .cure("change it, or leave --safe out if it is meant"));
    }
    if how.dry_run {
        return Ok(false);
    }
    if asks {
        agreed(shell)?;
    }
    for _ in 0..TRIES {
        let now = shell.access.cib()?;
        still_for(old, &now)?;
        let (old, new) = rebased(&now, new);
        let again = foresee(&old, &new, quorum)?;
        if !again.same_deeds(&seen) {
            if !asks {
                return Err(moved_on(
                    "what the cluster would do is not what was shown any more",
                ));
            }
            shell.say("The cluster changed meanwhile; now it is this:")?;
            shell.show(&forecast::as_text(&again))?;
            agreed(shell)?;
            seen = again;
            continue;
        }
        match write(shell, versioned(&old, &new), how) {
            Ok(()) => return Ok(true),
            // A status write came in between: it is looked at once more.
            Err(_) if shell.access.cib()?.version() != now.version() => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(moved_on("the status changes too fast"))
}

/// As scripts have it: written at once, also when others changed something else meanwhile.
fn write_unseen(
    shell: &mut Shell,
    old: &Element,
    new: &Element,
    how: &Committing,
) -> Result<bool, Failure> {
    if how.confirm_within.is_none() {
        return shell.access.apply_patch(old, new);
    }
    let patch = patch::diff(old, new).without_versions();
    let command = Command::new(Op::Patch, Target::Whole, Some(patch.to_element()));
    write(shell, command, how)?;
    Ok(true)
}

fn write(shell: &mut Shell, mut command: Command, how: &Committing) -> Result<(), Failure> {
    "crm".clone_into(&mut command.origin.client);
    match how.confirm_within {
        None => shell.access.write(command).map(|_| ()),
        Some(within_s) => {
            shell.access.try_out(command, within_s)?;
            if how.json {
                return Ok(());
            }
            let end = i64::try_from(within_s).unwrap_or(i64::MAX);
            let end = DateTime::from_epoch(clock::wall_s().saturating_add(end));
            shell.say(&format!(
                "On trial for {}: `crm configure confirm` keeps it, or it is taken back at {end}.",
                span::readable(within_s * 1000)
            ))
        }
    }
}

fn agreed(shell: &mut Shell) -> Result<(), Failure> {
    if shell.ask("Do it?")? {
        Ok(())
    } else {
        Err(Failure::new(CrmExit::ERROR, "nothing was changed"))
    }
}

fn moved_on(why: &str) -> Failure {
    Failure::new(CrmExit::OLD, format!("nothing was changed: {why}"))
        .cure("look at it again, and commit it again")
}

/// Whether what was shown is still about the configuration in force.
fn still_for(shown: &Element, now: &Cib) -> Result<(), Failure> {
    let (shown, now) = (Version::of(shown), now.version());
    if (shown.admin_epoch, shown.epoch) == (now.admin_epoch, now.epoch) {
        return Ok(());
    }
    Err(moved_on(&format!(
        "the configuration is {}.{} now, and this was made for {}.{}",
        now.admin_epoch, now.epoch, shown.admin_epoch, shown.epoch
    )))
}

/// The newest CIB, and the same with the new configuration.
fn rebased(now: &Cib, new: &Element) -> (Element, Element) {
    let old = now.root().clone();
    let mut changed = old.clone();
    if let Some(configuration) = new.child("configuration") {
        *changed.child_or_new("configuration") = configuration.clone();
    }
    (old, changed)
}

/// The change for exactly this version.
fn versioned(old: &Element, new: &Element) -> Command {
    let mut patch = patch::diff(old, new);
    if let Some(target) = &mut patch.target {
        target.epoch += 1;
        target.num_updates = 0;
    }
    Command::new(Op::Patch, Target::Whole, Some(patch.to_element()))
}

fn quorum(shell: &mut Shell) -> Result<Option<bool>, Failure> {
    if shell.access.live() {
        Ok(Some(super::cluster::cluster_status(shell)?.quorate))
    } else {
        Ok(None)
    }
}

fn foresee(old: &Element, new: &Element, quorum: Option<bool>) -> Result<Forecast, Failure> {
    let input = Input {
        quorum,
        ..Input::at(clock::wall_s())
    };
    forecast::forecast(old, new, &input)
        .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))
}

/// The change on trial stays, or is taken back.
pub(crate) fn end_trial(shell: &mut Shell, keep: bool) -> Result<(), Failure> {
    let comment = String::new();
    super::node::say(shell, AdminRequest::EndTrial { keep, comment })?;
    shell.session = None;
    shell.say(if keep {
        "confirmed: it stays"
    } else {
        "taken back"
    })
}
