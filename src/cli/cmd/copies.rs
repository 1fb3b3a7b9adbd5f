//! `crm cib new`, `use`, `commit`, ...: copies of the configuration, on which the shell works until one is committed.

use std::{ffi::OsStr, fs, path::Path};

use super::cib::lines_changed;
use crate::{
    cib::{Cib, SCHEMA},
    cli::{access, entry, failure::Failure, saved, shell::Shell, tools},
    rpc::Paths,
    terms::CrmExit,
    xml::{Element, Limits, write},
};

/// What crmsh calls the cluster among its copies.
const LIVE: &str = "live";

/// Make a copy of what is in force, or an empty one, and work on it.
pub(crate) fn new(shell: &mut Shell, name: &str, words: &[String]) -> Result<(), Failure> {
    let mut empty = false;
    for word in words {
        match word.as_str() {
            "empty" => empty = true,
            "force" | "withstatus" => {}
            other => {
                return Err(Failure::usage(format!("{other:?} is not expected"))
                    .cure("crm cib new NAME [empty] [force]"));
            }
        }
    }
    let force = shell.force || words.iter().any(|word| word == "force");
    let command = if empty { "--create-empty" } else { "--create" };
    let mut all = vec!["--batch", command, name];
    all.extend(force.then_some("--force"));
    behind(shell, |shell| tools::captured(shell, "crm_shadow", &all))?;
    begin(shell, name)?;
    shell.say(&format!("{name}: copy made"))
}

/// Work on a copy, or on the cluster again.
pub(crate) fn enter(shell: &mut Shell, name: Option<&str>) -> Result<(), Failure> {
    let name = name.unwrap_or(LIVE);
    if name != LIVE && !entry::shadow_file(OsStr::new(name)).exists() {
        return Err(no_copy(name));
    }
    if !shell.deferred {
        return Err(
            Failure::usage("this lasts as long as the shell, and that ends now").cure(format!(
                "at a prompt: crm, then cib use {name}; for one command: CIB_shadow={name} crm ..."
            )),
        );
    }
    if name != LIVE {
        return begin(shell, name);
    }
    leaving(shell)?;
    shell.access = entry::behind_shadow();
    shell.copy = None;
    Ok(())
}

/// The shell works on the copy from now on, at a prompt or in a file of commands.
fn begin(shell: &mut Shell, name: &str) -> Result<(), Failure> {
    if shell.deferred {
        leaving(shell)?;
        shell.access = entry::reach(entry::shadow_file(OsStr::new(name)).to_str());
        shell.copy = Some(name.to_owned());
    }
    Ok(())
}

/// What is not committed belongs to what was worked on.
fn leaving(shell: &mut Shell) -> Result<(), Failure> {
    if shell
        .session
        .as_ref()
        .is_some_and(|session| session.is_changed())
    {
        return Err(
            Failure::new(CrmExit::EXISTS, "there are changes that are not committed")
                .cure("configure commit, or configure refresh to drop them"),
        );
    }
    shell.session = None;
    Ok(())
}

/// Run something on the cluster behind the copies.
fn behind<T>(
    shell: &mut Shell,
    work: impl FnOnce(&mut Shell) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let copy = std::mem::replace(&mut shell.access, entry::behind_shadow());
    let result = work(shell);
    shell.access = copy;
    result
}

fn no_copy(name: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("there is no copy {name:?}"))
        .cure("crm cib list lists them; crm cib new NAME makes one")
}

/// The copy that is meant: the one named, or the one that is worked on.
fn meant(shell: &Shell, name: Option<&str>) -> Result<String, Failure> {
    let active = || entry::active_shadow().map(|name| name.to_string_lossy().into_owned());
    name.map(str::to_owned)
        .or_else(|| shell.copy.clone())
        .or_else(active)
        .ok_or_else(|| Failure::usage("which copy?").cure("crm cib list lists them"))
}

/// Make the cluster's configuration what a copy says.
pub(crate) fn commit(shell: &mut Shell, name: Option<&str>) -> Result<(), Failure> {
    let name = meant(shell, name)?;
    if !entry::shadow_file(OsStr::new(&name)).exists() {
        return Err(no_copy(&name));
    }
    let words = ["--batch", "--force", "--commit", &name];
    behind(shell, |shell| tools::captured(shell, "crm_shadow", &words))?;
    shell.say(&format!("{name}: committed to the cluster"))
}

/// Make a copy again what is in force.
pub(crate) fn reset(shell: &mut Shell, name: Option<&str>) -> Result<(), Failure> {
    let name = meant(shell, name)?;
    let words = ["--batch", "--force", "--reset", &name];
    behind(shell, |shell| tools::captured(shell, "crm_shadow", &words))?;
    shell.say(&format!("{name}: as the cluster is"))
}

/// Throw copies away.
pub(crate) fn delete(shell: &mut Shell, names: &[String]) -> Result<(), Failure> {
    for name in names {
        if shell.copy.as_deref() == Some(name) {
            return Err(
                Failure::new(CrmExit::UNSAFE, format!("{name} is being worked on"))
                    .cure("cib use live first"),
            );
        }
        let file = entry::shadow_file(OsStr::new(name));
        if !file.exists() {
            return Err(no_copy(name));
        }
        fs::remove_file(&file).map_err(|error| {
            let failure = Failure::from(error);
            Failure::new(
                failure.exit,
                format!("failed to remove {}: {failure}", file.display()),
            )
        })?;
    }
    Ok(())
}

/// Names of all copies; a star marks the one that is worked on.
pub(crate) fn list(shell: &mut Shell) -> Result<(), Failure> {
    let any = entry::shadow_file(OsStr::new("x"));
    let folder = any.parent().unwrap_or(Path::new("."));
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_prefix("shadow.")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    let line = |name: &String| match shell.copy.as_deref() == Some(name) {
        true => format!("{name} *"),
        false => name.clone(),
    };
    let lines: Vec<String> = names.iter().map(line).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => shell.say(&lines.join("\n")),
    }
}

/// What a copy would change.
pub(crate) fn diff(shell: &mut Shell) -> Result<(), Failure> {
    let name = meant(shell, None)?;
    let file = entry::shadow_file(OsStr::new(&name));
    let copy = read(&file)?;
    let live = behind(shell, |shell| shell.cib())?;
    let empty = Element::new("configuration");
    let (old, new) = (
        live.configuration().unwrap_or(&empty),
        copy.configuration().unwrap_or(&empty),
    );
    shell.say(&lines_changed(old, new))
}

fn read(file: &Path) -> Result<Cib, Failure> {
    let failed = |text: String| {
        Failure::new(
            CrmExit::NO_INPUT,
            format!("failed to read {}: {text}", file.display()),
        )
    };
    let mut text = fs::read(file).map_err(|error| failed(error.to_string()))?;
    if file.extension().is_some_and(|end| end == "bz2") {
        text = saved::unpack(&text).map_err(|error| failed(error.to_string()))?;
    }
    Cib::parse(&text, &Limits::STORED).map_err(|error| failed(error.to_string()))
}

/// Make a copy of a saved input of a transition, or of any CIB in a file.
pub(crate) fn import(shell: &mut Shell, input: &str, name: Option<&str>) -> Result<(), Failure> {
    let of_number = saved::Name::parse(input).filter(|_| !input.contains('/'));
    let file = match of_number {
        Some(number) => saved::file(&Paths::from_env().data, number),
        None => input.into(),
    };
    let cib = read(&file)?;
    let own = of_number.map_or_else(
        || {
            let stem = Path::new(input).file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        },
        |number| number.to_string(),
    );
    let name = name.unwrap_or(&own);
    if name.is_empty() || name.contains('/') || name == LIVE {
        return Err(Failure::usage(format!("{name:?} is no name for a copy")));
    }
    let copy = entry::shadow_file(OsStr::new(name));
    if copy.exists() && !shell.force {
        return Err(
            Failure::new(CrmExit::EXISTS, format!("there is a copy {name:?} already"))
                .cure("crm -F replaces it; or give another name behind the input's"),
        );
    }
    let mut root = cib.into_root();
    // It was looked at then; from now on it is a configuration like any other.
    root.unset("execution-date");
    if !root.has("validate-with") {
        root.set("validate-with", SCHEMA);
    }
    access::store(&copy, &write::pretty(&root))?;
    begin(shell, name)?;
    shell.say(&format!("{name}: copy of {}", file.display()))
}
