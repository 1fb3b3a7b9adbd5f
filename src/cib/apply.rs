//! The only change there is: a CIB and a command give the next CIB. Everything that a command entails happens here in one
//! order: the operation, permission, versions, schema. // spec cluster §2.3
//!
//! A small write must stay small: comparing old and new walks only what is not shared, the schema is not asked about
//! changes of status, and digests are left to those who want them.

use super::{
    Change, Cib, Command, Error, Patch, Version,
    acl::Acl,
    ops::{self, Counters},
    patch, schema, upgrade,
};
use crate::{
    terms::{DateTime, FEATURE_SET, text},
    xml::Element,
};

/// What applying a command came to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The CIB from now on; the very same as before if nothing changed.
    pub cib: Cib,
    /// What the asker is told.
    pub answer: Result<Option<Element>, Error>,
    /// What changed, if anything did.
    pub patch: Option<Patch>,
    /// For a dry run, what would have been.
    pub preview: Option<Preview>,
}

/// What a dry run would have come to.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The CIB it would be.
    pub cib: Cib,
    /// What would have changed.
    pub patch: Patch,
}

/// Applies a command. Pure: the same everywhere, at any time.
pub fn apply(cib: &Cib, command: &Command) -> Applied {
    let unchanged = |answer| Applied {
        cib: cib.clone(),
        answer,
        patch: None,
        preview: None,
    };
    if !command.op.writes() {
        return unchanged(query(cib, command));
    }
    let (next, answer, patch) = match change(cib, command) {
        Ok(changed) => changed,
        Err(error) => return unchanged(Err(error)),
    };
    if command.flags.dry_run {
        let preview = Some(Preview { cib: next, patch });
        return Applied {
            preview,
            ..unchanged(Ok(answer))
        };
    }
    if patch.changes.is_empty() {
        return unchanged(Ok(answer));
    }
    Applied {
        cib: next,
        answer: Ok(answer),
        patch: Some(patch),
        preview: None,
    }
}

/// Answers a query, with what the user may not read left out.
pub fn query(cib: &Cib, command: &Command) -> Result<Option<Element>, Error> {
    let (target, flags) = (&command.target, &command.flags);
    match Acl::of(cib, &command.origin) {
        Some(acl) => ops::query(&acl.redact(cib.root())?, target, flags).map(Some),
        None => ops::query(cib.root(), target, flags).map(Some),
    }
}

type Changed = (Cib, Option<Element>, Patch);

fn change(cib: &Cib, command: &Command) -> Result<Changed, Error> {
    let old = cib.root();
    let outcome = ops::perform(old, command)?;
    let mut new = outcome.root;
    let resources = |root: &Element| root.descend(&["configuration", "resources"]).cloned();
    let same = resources(old)
        .zip(resources(&new))
        .is_some_and(|(a, b)| a.ptr_eq(&b));
    if !same && let Some(mended) = upgrade::todays_words(&new) {
        new = mended;
    }
    let mut patch = patch::diff(old, &new);
    if patch.changes.is_empty() {
        return Ok((cib.clone(), outcome.answer, patch));
    }
    if let Some(acl) = Acl::of(cib, &command.origin) {
        acl.check(old, &new, &patch)?;
    }
    check_feature_set(&new)?;
    check_version(old, &new, &outcome.counters)?;

    count_up(&mut new, &patch, &outcome.counters);
    if patch.configuration_changed() && !command.flags.as_received {
        sign(&mut new, command);
    }
    patch.set_root_change(old, &new);
    let next = Cib::new(new);
    if !command.is_status_only() {
        check_schema(cib, &next)?;
    }
    Ok((next, outcome.answer, patch))
}

fn check_feature_set(new: &Element) -> Result<(), Error> {
    match new.get("crm_feature_set") {
        Some(theirs) if text::compare_versions(theirs, FEATURE_SET).is_gt() => {
            Err(Error::FeatureSet(theirs.into()))
        }
        _ => Ok(()),
    }
}

/// What the schema speaks about is looked at only where it changed.
fn check_schema(old: &Cib, new: &Cib) -> Result<(), Error> {
    let same = match (old.configuration(), new.configuration()) {
        (Some(old), Some(new)) => old.ptr_eq(new),
        _ => false,
    };
    let root_same = old.root().get("validate-with") == new.root().get("validate-with");
    if same && root_same {
        return Ok(());
    }
    let found = schema::check_replicated(new);
    if found.is_empty() {
        Ok(())
    } else {
        Err(Error::Schema(found))
    }
}

/// An epoch never falls; the number of updates may.
fn check_version(old: &Element, new: &Element, counters: &Counters) -> Result<(), Error> {
    let (current, found) = (Version::of(old), Version::of(new));
    let falls = (found.admin_epoch, found.epoch) < (current.admin_epoch, current.epoch);
    if falls && !matches!(counters, Counters::AsReceived) {
        return Err(Error::OldData { found, current });
    }
    Ok(())
}

// spec cluster §1.2
fn count_up(new: &mut Element, patch: &Patch, counters: &Counters) {
    let mut version = Version::of(new);
    match counters {
        Counters::AsReceived => return,
        Counters::Exactly(target) => version = *target,
        Counters::Managed if !patch.configuration_changed() => {
            version.num_updates = version.num_updates.saturating_add(1);
        }
        Counters::Managed | Counters::Configuration => {
            version.epoch = version.epoch.saturating_add(1);
            version.num_updates = 0;
        }
    }
    version.write_to(new);
}

/// Who changed the configuration, and when. In UTC, since every node must write the same.
fn sign(new: &mut Element, command: &Command) {
    new.set(
        "cib-last-written",
        &DateTime::from_epoch(command.time_s).ctime(),
    );
    let origin = &command.origin;
    for (name, value) in [
        ("update-origin", &origin.node),
        ("update-client", &origin.client),
        ("update-user", &origin.user),
    ] {
        if value.is_empty() {
            new.unset(name);
        } else {
            new.set(name, value);
        }
    }
}

impl Patch {
    /// Whether anything at or below `/cib/configuration` changed. // spec cluster §3.2
    pub fn configuration_changed(&self) -> bool {
        self.touches("/cib/configuration")
    }

    /// Whether anything at or below this path changed, or was created right above as it.
    pub fn touches(&self, path: &str) -> bool {
        let below = |changed: &str| {
            changed
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.changes.iter().any(|change| match change {
            Change::Create {
                path: parent, node, ..
            } => {
                below(parent)
                    || node
                        .as_element()
                        .is_some_and(|e| below(&patch::path_below(parent, e)))
            }
            other => below(other.path()),
        })
    }
}

#[cfg(test)]
mod tests;
