//! From arguments to a command: `systole crm ...`, `crm ...`, `systole status`, and the tools by their known names.

use std::{
    ffi::{OsStr, OsString},
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::{CommandFactory, FromArgMatches, Parser, error::ErrorKind};

use crate::terms::CrmExit;

use super::{
    access::{self, Access},
    args::{Crm, Line},
    complete,
    failure::Failure,
    prompt,
    shell::Shell,
    tools,
};

/// Asked by shells that complete words.
pub(crate) const COMPLETE: &str = "--complete";

/// Run when the program was called as the shell or as one of the tools.
pub fn called_as(args: &[String]) -> Option<u8> {
    let name = Path::new(args.first()?).file_name()?.to_str()?;
    let second = args.get(1).map(String::as_str);
    if let Some(exit) = tools::called_as(name, &args[1..]) {
        return Some(code(exit));
    }
    let exit = match (name, second) {
        ("crm", _) => crm(&args[1..]),
        (_, Some("crm")) => crm(&args[2..]),
        (
            _,
            Some(
                "status" | "explain" | "history" | "apply" | "import" | "watch" | "drill"
                | "doctor",
            ),
        ) => crm(&args[1..]),
        (_, Some(tool)) => tools::called_as(tool, &args[2..])?,
        _ => return None,
    };
    Some(code(exit))
}

fn code(exit: CrmExit) -> u8 {
    u8::try_from(exit.0).unwrap_or(1)
}

/// Words that may come next, for shells that complete.
fn complete(words: &[String]) -> CrmExit {
    let mut shell = Shell::new(reach(None));
    let before: Vec<&str> = words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .collect();
    let found = complete::candidates(&mut shell, &before);
    let said = shell.say(&found.join("\n"));
    match said.and_then(|()| shell.out.flush().map_err(Failure::from)) {
        Ok(()) => CrmExit::OK,
        Err(failure) => failure.exit,
    }
}

/// The crm shell.
fn crm(words: &[String]) -> CrmExit {
    if let Some((first, rest)) = words.split_first()
        && first == COMPLETE
    {
        return complete(rest);
    }
    if let Some((level, about)) = prompt::asks_for_help(words) {
        let mut shell = Shell::new(reach(None));
        let told = prompt::help(&mut shell, level, about);
        return match told.and_then(|()| shell.out.flush().map_err(Failure::from)) {
            Ok(()) => CrmExit::OK,
            Err(failure) => shell.fail(&failure),
        };
    }
    let crm =
        match Crm::try_parse_from(std::iter::once("crm".to_owned()).chain(words.iter().cloned())) {
            Ok(crm) => crm,
            Err(error) => return wrong_usage(&error),
        };
    let mut shell = Shell::new(reach(crm.cib.as_deref()));
    shell.force = crm.force;
    shell.wait = crm.wait;
    shell.person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    shell
        .access
        .comment_on(crm.comment.as_deref().unwrap_or_default());
    shell.comment = crm.comment;
    let result = match (crm.file, crm.level) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("a file of commands and a command").cure("give one of them"))
        }
        (Some(file), None) => prompt::batch(&mut shell, &file),
        (None, Some(level)) if prompt::is_bare(&level) => {
            prompt::interactive(&mut shell, prompt::name_of(&level))
        }
        (None, Some(level)) => shell.run(Line {
            force: false,
            wait: false,
            comment: None,
            level,
        }),
        (None, None) => prompt::interactive(&mut shell, None),
    };
    let flushed = shell.out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => CrmExit::OK,
        // A reader that has seen enough is no failure.
        Err(failure) if failure.exit == CrmExit::IO && failure.message.is_empty() => CrmExit::OK,
        Err(failure) => shell.fail(&failure),
    }
}

/// A message of clap: help and version are what was asked for, everything else is wrong usage.
pub fn wrong_usage(error: &clap::Error) -> CrmExit {
    // Nobody is there to read it when the stream is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => CrmExit::OK,
        _ => CrmExit::USAGE,
    }
}

/// The cluster this node belongs to, or the CIB file that the environment names.
pub(crate) fn reach(file: Option<&str>) -> Box<dyn Access> {
    let named = file
        .map(OsString::from)
        .or_else(|| std::env::var_os("CIB_file"));
    match named.filter(|file| !file.is_empty()) {
        Some(file) => in_file(file.into()),
        None => match active_shadow() {
            Some(name) => in_file(shadow_file(&name)),
            None => access::daemon(),
        },
    }
}

/// The cluster behind a shadow: the CIB file that the environment names, or the daemon.
pub(crate) fn behind_shadow() -> Box<dyn Access> {
    match std::env::var_os("CIB_file").filter(|file| !file.is_empty()) {
        Some(file) => in_file(file.into()),
        None => access::daemon(),
    }
}

/// A file has no daemon that knows who asks; the environment may say on whose behalf it is.
fn in_file(file: PathBuf) -> Box<dyn Access> {
    let user = std::env::var("CIB_user").unwrap_or_default();
    Box::new(access::File::new(file).on_behalf_of(user))
}

/// Name of the shadow copy that stands in for the cluster.
pub(crate) fn active_shadow() -> Option<OsString> {
    std::env::var_os("CIB_shadow").filter(|name| !name.is_empty())
}

/// Where a shadow copy is kept.
pub(crate) fn shadow_file(name: &OsStr) -> PathBuf {
    let folder = std::env::var_os("CIB_shadow_dir").filter(|folder| !folder.is_empty());
    let folder = folder.unwrap_or_else(|| "/var/lib/pacemaker/cib".into());
    let mut file = OsString::from("shadow.");
    file.push(name);
    Path::new(&folder).join(file)
}

/// Read a line of the shell into a command.
pub(crate) fn parse_line(words: &[String]) -> Result<Line, clap::Error> {
    let matches = Line::command().try_get_matches_from(words)?;
    Line::from_arg_matches(&matches)
}
