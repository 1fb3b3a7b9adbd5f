//! `crm_shadow`: a copy of the CIB on which other tools work, and which is committed as a whole or thrown away.
//!
//! The copy is a file; `CIB_shadow` names the one that is active, and then every tool reads and writes it instead of the
//! cluster. This tool alone looks at both.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::Command as Program,
};

use crate::{
    cib::{Cib, Command, Op, SCHEMA, Target, patch},
    cli::{access, entry, failure::Failure, show::xml::text_element},
    terms::CrmExit,
    xml::{Element, Limits, write},
};

use super::{Options, Tool, diff};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('w', "which", false),
    ('p', "display", false),
    ('E', "edit", false),
    ('d', "diff", false),
    ('F', "file", false),
    ('c', "create", true),
    ('e', "create-empty", true),
    ('C', "commit", true),
    ('D', "delete", true),
    ('r', "reset", true),
    ('s', "switch", true),
    ('f', "force", false),
    ('b', "batch", false),
    ('a', "all", false),
    ('v', "validate-with", true),
    ('\0', "output-as", true),
];

#[derive(Default)]
struct Asked {
    force: bool,
    batch: bool,
    all: bool,
    schema: Option<String>,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    let mut command = None;
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                let what = "try changes of the configuration on a copy of it";
                return super::help(tool, "crm_shadow", what, OPTIONS);
            }
            "version" => return super::version(tool),
            "force" => asked.force = true,
            "batch" => asked.batch = true,
            "all" => asked.all = true,
            "validate-with" => asked.schema = Some(value),
            "output-as" => tool.output_as(&value)?,
            "verbose" => {}
            _ => command = Some((name, value)),
        }
    }
    let (command, name) = command.ok_or_else(|| {
        Failure::usage("no query or command was given")
            .cure("one of --which, --display, --diff, --file, --edit, --create, --create-empty, --commit, --delete, --reset, --switch; see --help")
    })?;
    if matches!(command, "which" | "display" | "edit" | "diff" | "file") {
        return query(tool, command);
    }
    if name.is_empty() || name.contains('/') {
        return Err(Failure::usage(format!("{name:?} is no name for a copy")));
    }
    tool.access = entry::behind_shadow();
    match command {
        "create" => {
            free(&name, asked.force)?;
            copy(tool, &name)?;
            created(tool, &name, &asked)
        }
        "create-empty" => {
            free(&name, asked.force)?;
            empty(tool, &name, asked.schema.as_deref())?;
            created(tool, &name, &asked)
        }
        "reset" => {
            let what =
                "The reset command overwrites the shadow copy with the active configuration.";
            // With none in use, this one was named on purpose: older shells reset so.
            let unused = entry::active_shadow().is_none();
            let there = entry::shadow_file(OsStr::new(&name)).exists();
            meant(
                &name,
                asked.force || unused && there,
                what,
                "the shadow copy",
            )?;
            copy(tool, &name)?;
            created(tool, &name, &asked)
        }
        "commit" => {
            let what = "The commit command overwrites the active cluster configuration.";
            meant(&name, asked.force, what, "the cluster")?;
            commit(tool, &name, asked.all)
        }
        "delete" => {
            let what = "The delete command removes the specified shadow file.";
            meant(&name, asked.force, what, "the shadow file")?;
            delete(tool, &name)
        }
        _ => {
            read(OsStr::new(&name))?;
            enter(
                tool,
                &name,
                &asked,
                "To switch to the named shadow instance, enter",
            )
        }
    }
}

fn query(tool: &mut Tool, what: &str) -> Result<(), Failure> {
    let active = entry::active_shadow().ok_or_else(|| {
        Failure::new(CrmExit::NO_SUCH, "No active shadow configuration defined")
            .cure("set CIB_shadow to the name of one")
    })?;
    let shown = active.to_string_lossy().into_owned();
    let file = entry::shadow_file(&active);
    let element = Element::new("shadow").with("instance", &shown);
    match what {
        "which" => {
            tool.element(element);
            tool.line(&shown)
        }
        "file" => {
            let path = file.display().to_string();
            tool.element(element.with("file", &path));
            tool.line(&path)
        }
        "display" => {
            let text = write::pretty(read(&active)?.root());
            tool.element(element.with_child(text_element("content", &text)));
            tool.line(text.trim_end())
        }
        "edit" => edit(&active, &file),
        _ => {
            let new = read(&active)?.into_root();
            tool.access = entry::behind_shadow();
            let old = active_cib(tool)?.into_root();
            let patch = patch::diff_in_order(&old, &new);
            if patch.changes.is_empty() {
                tool.element(element);
                return Ok(());
            }
            let text = write::pretty(&patch.to_element());
            tool.element(element.with_child(text_element("xml-patchset", &text)));
            for line in diff::lines(&patch) {
                tool.line(&line)?;
            }
            Err(Failure::new(CrmExit::ERROR, ""))
        }
    }
}

/// The copy of this name.
fn read(name: &OsStr) -> Result<Cib, Failure> {
    let file = entry::shadow_file(name);
    let shown = name.to_string_lossy();
    let bytes = fs::read(&file).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => CrmExit::NO_SUCH,
            _ => Failure::from(std::io::Error::from(error.kind())).exit,
        };
        let text = super::codes::system_text(error.raw_os_error().unwrap_or_default());
        Failure::new(
            exit,
            format!("Could not access shadow instance '{shown}': {text}"),
        )
        .cure(format!("it would be the file {}", file.display()))
    })?;
    Cib::parse(&bytes, &Limits::CIB)
        .map_err(|error| Failure::new(CrmExit::DATA, format!("{}: {error}", file.display())))
}

/// The CIB behind the copies.
fn active_cib(tool: &mut Tool) -> Result<Cib, Failure> {
    tool.access.cib().map_err(|failure| Failure {
        message: format!("Could not connect to CIB: {}", failure.message),
        ..failure
    })
}

fn active_is(name: &str) -> bool {
    entry::active_shadow().is_some_and(|active| active == *name)
}

/// What overwrites or removes needs to be meant.
fn meant(name: &str, force: bool, what: &str, victim: &str) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    let mut text = vec![what.to_owned()];
    if let Some(active) = entry::active_shadow().filter(|active| *active != *name) {
        text.push(format!(
            "Additionally, the supplied shadow instance ({name}) is not the same as the active one ({}).",
            active.to_string_lossy()
        ));
    }
    text.push(format!(
        "To prevent accidental destruction of {victim}, the --force flag is required in order to proceed."
    ));
    Err(Failure::usage(text.join("\n")))
}

/// A copy that is there is replaced only when that is meant.
fn free(name: &str, force: bool) -> Result<(), Failure> {
    if force || !entry::shadow_file(OsStr::new(name)).exists() {
        return Ok(());
    }
    Err(Failure::new(
        CrmExit::CANNOT_CREATE,
        format!(
            "A shadow instance '{name}' already exists.\nTo prevent accidental destruction of the \
             shadow file, the --force flag is required in order to proceed."
        ),
    ))
}

fn store(name: &str, root: &Element) -> Result<(), Failure> {
    let file = entry::shadow_file(OsStr::new(name));
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder)?;
    }
    access::store(&file, &write::pretty(root))
}

fn copy(tool: &mut Tool, name: &str) -> Result<(), Failure> {
    let cib = active_cib(tool)?;
    store(name, cib.root())
}

fn empty(tool: &mut Tool, name: &str, schema: Option<&str>) -> Result<(), Failure> {
    let schema = schema.unwrap_or(SCHEMA);
    let mut root = Cib::empty().into_root();
    root.set("validate-with", schema);
    store(name, &root)?;
    tool.line(&format!("Created new {schema} configuration"))
}

fn created(tool: &mut Tool, name: &str, asked: &Asked) -> Result<(), Failure> {
    let what = "A new shadow instance was created. To begin using it, enter";
    enter(tool, name, asked, what)
}

/// Tells how to work on a copy, or begins a shell in which it is active.
fn enter(tool: &mut Tool, name: &str, asked: &Asked, what: &str) -> Result<(), Failure> {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    if asked.batch || tool.xml() || !terminal || active_is(name) {
        let text = format!("{what} the following into your shell:\n\texport CIB_shadow={name}");
        return instruct(tool, &text);
    }
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| OsString::from("/bin/sh"));
    tool.line("Type Ctrl-D to leave the shell in which this copy is active")?;
    let mut program = terminal_program(&shell);
    program.env("CIB_shadow", name);
    program.env("PS1", format!("shadow[{name}] # "));
    // How the shell of the user ended is none of our business.
    program.status().map(|_| ()).map_err(|error| {
        Failure::new(
            CrmExit::OS_FILE,
            format!("failed to run {shell:?}: {error}"),
        )
        .cure("set SHELL, or say --batch")
    })
}

fn instruct(tool: &mut Tool, text: &str) -> Result<(), Failure> {
    tool.element(text_element("instruction", text));
    tool.line(text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell and an editor need the terminal, which crate::process does not give away"
)]
fn terminal_program(program: &OsStr) -> Program {
    Program::new(program)
}

fn edit(name: &OsStr, file: &Path) -> Result<(), Failure> {
    read(name)?;
    let editor = std::env::var("EDITOR")
        .map_err(|_| Failure::new(CrmExit::NO_SUCH, "no editor is known").cure("set EDITOR"))?;
    let mut words = editor.split_whitespace();
    let mut program = terminal_program(OsStr::new(words.next().unwrap_or("vi")));
    let ended = program.args(words).arg(file).status().map_err(|error| {
        Failure::new(
            CrmExit::OS_FILE,
            format!("failed to run the editor {editor:?}: {error}"),
        )
        .cure("set EDITOR")
    })?;
    if ended.success() {
        return Ok(());
    }
    let message = format!("the editor {editor:?} failed");
    Err(Failure::new(CrmExit::ERROR, message))
}

/// The configuration of a copy becomes that of the cluster; with `all` the whole document does.
fn commit(tool: &mut Tool, name: &str, all: bool) -> Result<(), Failure> {
    let root = read(OsStr::new(name))?.into_root();
    active_cib(tool)?;
    let (target, input) = if all {
        (Target::Whole, root)
    } else {
        let configuration = root.child("configuration").cloned().ok_or_else(|| {
            Failure::new(
                CrmExit::DATA,
                format!("the shadow copy {name} has no configuration"),
            )
        })?;
        (Target::Section("configuration".to_owned()), configuration)
    };
    let mut command = Command::new(Op::Replace, target, Some(input));
    command.origin.client = "crm_shadow".to_owned();
    tool.access.write(command).map(|_| ()).map_err(|failure| {
        let message = format!("Could not commit shadow instance '{name}' to the CIB: {failure}");
        Failure { message, ..failure }
    })
}

fn delete(tool: &mut Tool, name: &str) -> Result<(), Failure> {
    let file = entry::shadow_file(OsStr::new(name));
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let failure = Failure::from(error);
            let message = format!("failed to remove {}: {failure}", file.display());
            return Err(Failure::new(failure.exit, message));
        }
        _ => {}
    }
    if active_is(name) {
        let text = "Remember to unset the CIB_shadow variable by entering the following into your \
                    shell:\n\tunset CIB_shadow";
        return instruct(tool, text);
    }
    Ok(())
}
