//! The prompt with its levels, and files of commands, which are the same without a person.

use std::io::{IsTerminal, Read};

use clap::CommandFactory;
use rustyline::{CompletionType, Editor, error::ReadlineError, history::FileHistory};

use crate::terms::CrmExit;

use super::{
    args::{Committing, Level, Line},
    cmd::configure,
    complete::{Words, names},
    entry,
    failure::Failure,
    language::{Statement, statements},
    shell::Shell,
    waiting,
};

/// Levels that can be entered.
const LEVELS: &[&str] = &[
    "configure",
    "resource",
    "node",
    "cluster",
    "cib",
    "history",
    "ra",
    "maintenance",
    "site",
];
/// Words that every level knows.
pub(super) const EVERYWHERE: &[&str] = &[
    "help", "up", "cd", "quit", "bye", "exit", "end", "back", "ls",
];

/// The level that a word means: its name, or the beginning of it where no other command begins so.
fn level_named(word: &str) -> Option<&'static str> {
    let exact = LEVELS.iter().find(|level| **level == word);
    let begun = || {
        let command = Line::command();
        let mut fits = command.get_subcommands().filter(|it| {
            let mut names = std::iter::once(it.get_name()).chain(it.get_all_aliases());
            names.any(|name| name.starts_with(word))
        });
        let only = fits.next().filter(|_| fits.next().is_none())?;
        LEVELS.iter().find(|level| **level == only.get_name())
    };
    exact.or_else(begun).copied()
}

/// Whether a level was named without a command.
pub(crate) fn is_bare(level: &Level) -> bool {
    matches!(
        level,
        Level::Configure { command: None }
            | Level::Resource { command: None }
            | Level::Node { command: None }
            | Level::Cluster { command: None }
            | Level::Cib { command: None }
            | Level::Ra { command: None }
            | Level::Maintenance { command: None }
            | Level::Site { command: None }
    )
}

/// The name of a level that can be entered.
pub(crate) fn name_of(level: &Level) -> Option<&'static str> {
    match level {
        Level::Configure { .. } => Some("configure"),
        Level::Resource { .. } => Some("resource"),
        Level::Node { .. } => Some("node"),
        Level::Cluster { .. } => Some("cluster"),
        Level::Cib { .. } => Some("cib"),
        Level::Ra { .. } => Some("ra"),
        Level::Maintenance { .. } => Some("maintenance"),
        Level::Site { .. } => Some("site"),
        _ => None,
    }
}

/// Where the prompt is.
#[derive(Debug, Default)]
struct Place {
    level: Option<&'static str>,
    done: bool,
}

/// Commands from a file or from standard input. The first failure ends it; what was configured before it is not
/// committed.
pub(crate) fn batch(shell: &mut Shell, file: &str) -> Result<(), Failure> {
    let mut source = String::new();
    if file == "-" {
        std::io::stdin().lock().read_to_string(&mut source)?;
    } else {
        source = std::fs::read_to_string(file).map_err(|error| {
            let failure = Failure::from(error);
            Failure::new(failure.exit, format!("failed to read {file}: {failure}"))
        })?;
    }
    script(shell, &source, None)
}

fn script(shell: &mut Shell, source: &str, level: Option<&'static str>) -> Result<(), Failure> {
    let lines =
        statements(source).map_err(|error| Failure::syntax(error, source, CrmExit::USAGE))?;
    shell.deferred = true;
    // A file is no person, whoever started it.
    shell.person = false;
    let mut place = Place { level, done: false };
    for line in &lines {
        statement(shell, &mut place, line, &source[line.span.clone()]).map_err(|mut failure| {
            let number = source[..line.span.start].lines().count()
                + usize::from(line.span.start == 0 || source[..line.span.start].ends_with('\n'));
            failure.message = format!("line {number}: {}", failure.message);
            failure
        })?;
        if place.done {
            break;
        }
    }
    leave(shell)
}

/// Pending changes are committed when the level is left without a person to ask.
fn leave(shell: &mut Shell) -> Result<(), Failure> {
    if shell
        .session
        .as_ref()
        .is_some_and(super::shell::Session::is_changed)
    {
        configure::commit(shell, false)?;
    }
    Ok(())
}

/// One line: a level to enter or leave, or a command.
fn statement(
    shell: &mut Shell,
    place: &mut Place,
    line: &Statement,
    source: &str,
) -> Result<(), Failure> {
    let mut words: Vec<String> = line.words.iter().map(|word| word.text.clone()).collect();
    let first = words.first().cloned().unwrap_or_default();
    match first.as_str() {
        "quit" | "bye" | "exit" => {
            place.done = true;
            return Ok(());
        }
        "up" | "end" | "back" | "cd"
            if words.len() == 1 || words.get(1).is_some_and(|word| word == "..") =>
        {
            if place.level == Some("configure") {
                on_leaving(shell)?;
            }
            place.level = None;
            return Ok(());
        }
        "help" | "ls" | "?" => return help(shell, place.level, &words[1..]),
        _ => {}
    }
    if first == "cd" {
        words.remove(0);
    }
    let level = place.level;
    if words.len() == 1
        && let Some(entered) =
            level_named(&words[0]).filter(|name| level.is_none() || *name == words[0])
        && level.is_none_or(|level| level != "configure" || words[0] != "node")
    {
        place.level = Some(entered);
        return Ok(());
    }
    let known_above = LEVELS.contains(&words[0].as_str())
        || matches!(
            words[0].as_str(),
            "status"
                | "explain"
                | "apply"
                | "import"
                | "watch"
                | "drill"
                | "doctor"
                | "verify"
                | "report"
        );
    let inside = level.is_some_and(|level| has_command(level, &words[0]));
    if let Some(level) = level.filter(|_| inside || !known_above) {
        words.insert(0, level.to_owned());
    }
    // Statements of the language are read from the source, quotes and places included.
    let name = if words[0] == "configure" {
        words.get(1)
    } else {
        None
    };
    if name.is_some_and(|name| configure::is_statement(name)) {
        let from = if line.words[0].is("configure") {
            line.words[1].span.start
        } else {
            line.words[0].span.start
        };
        let text = &source[from - line.span.start..];
        let mode = if shell.force {
            super::language::Mode::Update
        } else {
            super::language::Mode::Create
        };
        return configure::change(shell, |session| {
            configure::put(&mut session.document, text, mode)
        });
    }
    match entry::parse_line(&words) {
        Ok(line) => shell.run(line),
        Err(error) if matches!(error.kind(), clap::error::ErrorKind::DisplayHelp) => {
            shell.say(&error.to_string())
        }
        Err(error) => Err(wrong_words(&error, line, source)),
    }
}

/// What clap says of a line, with the place of the word that it does not like.
fn wrong_words(error: &clap::Error, line: &Statement, source: &str) -> Failure {
    use clap::error::{ContextKind, ContextValue};
    let text = error.to_string();
    let text = text.trim_start_matches("error: ");
    let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
    let help: Vec<&str> = help
        .lines()
        .map(|line| line.trim().trim_start_matches("tip: "))
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    let mut failure = Failure::usage(message.trim()).cure(help.join("; "));
    let wrong = [
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
        ContextKind::InvalidArg,
    ]
    .into_iter()
    .find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    });
    let word = wrong.and_then(|wrong| line.words.iter().find(|word| word.text == wrong));
    if let Some(word) = word {
        let span = word.span.start - line.span.start..word.span.end - line.span.start;
        failure.source = Some((source.to_owned(), span));
    }
    failure
}

fn on_leaving(shell: &mut Shell) -> Result<(), Failure> {
    let changed = shell
        .session
        .as_ref()
        .is_some_and(super::shell::Session::is_changed);
    if !changed {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return leave(shell);
    }
    loop {
        let question = "There are changes. Commit them (y), drop them (n)?";
        let Some(answer) = waiting::answer(&mut shell.out, question)? else {
            let text = "nothing was left, committed or dropped";
            return Err(Failure::new(CrmExit::ERROR, text));
        };
        match answer.trim() {
            "y" | "Y" | "yes" => {
                return super::cmd::commit::commit(shell, &Committing::default(), false);
            }
            "n" | "N" | "no" => {
                shell.session = None;
                return Ok(());
            }
            // Nobody is there any more, so nobody wants it.
            _ if answer.is_empty() => {
                shell.session = None;
                return Ok(());
            }
            // What was typed for the prompt must not cost what was typed before.
            _ => {}
        }
    }
}

fn has_command(level: &str, name: &str) -> bool {
    let command = Line::command();
    command
        .find_subcommand(level)
        .cloned()
        .is_some_and(|mut level| {
            level.build();
            level.get_subcommands().any(|command| {
                command.get_name() == name || command.get_all_aliases().any(|alias| alias == name)
            })
        })
}

/// `crm help`, `crm LEVEL help` or `crm LEVEL help COMMAND`: the words that say what is asked about.
pub(crate) fn asks_for_help(words: &[String]) -> Option<(Option<&str>, &[String])> {
    let (first, rest) = words.split_first()?;
    if first == "help" {
        return Some((None, rest));
    }
    let level = LEVELS.iter().find(|level| *level == first)?;
    let (second, rest) = rest.split_first()?;
    (second == "help").then_some((Some(*level), rest))
}

/// What help says of the shell, a level or a command.
pub(crate) fn help(
    shell: &mut Shell,
    level: Option<&str>,
    words: &[String],
) -> Result<(), Failure> {
    let mut command = Line::command();
    command.build();
    let path = level.into_iter().chain(words.iter().map(String::as_str));
    for word in path {
        let Some(found) = command.find_subcommand(word) else {
            return Err(Failure::usage(format!("there is no command {word:?} here"))
                .cure("help lists them"));
        };
        command = found.clone();
    }
    let text = command.render_long_help().to_string();
    shell.say(&text)
}

/// A prompt until the end of input.
pub(crate) fn interactive(shell: &mut Shell, level: Option<&'static str>) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let mut source = String::new();
        std::io::stdin().lock().read_to_string(&mut source)?;
        return script(shell, &source, level);
    }
    shell.deferred = true;
    let failed = |error: ReadlineError| {
        Failure::new(CrmExit::IO, format!("the terminal can't be read: {error}"))
    };
    // What fits is listed, as in other shells.
    let config = rustyline::Config::builder().completion_type(CompletionType::List);
    let editor: rustyline::Result<Editor<Words, FileHistory>> = Editor::with_config(config.build());
    let mut editor = editor.map_err(failed)?;
    editor.set_helper(Some(Words::new(level, Vec::new())));
    let history = std::env::var_os("HOME")
        .map(|home| std::path::Path::new(&home).join(".local/share/systole/history"));
    if let Some(history) = &history {
        // A first prompt has no history.
        let _ = editor.load_history(history);
    }
    let mut place = Place { level, done: false };
    loop {
        if place.done {
            match on_leaving(shell) {
                Ok(()) => break,
                Err(failure) => shell.fail(&failure),
            };
            place.done = false;
        }
        if let Some(words) = editor.helper_mut() {
            words.level = place.level;
            words.names = names(shell);
        }
        let pending = shell
            .session
            .as_ref()
            .is_some_and(super::shell::Session::is_changed);
        let prompt = format!(
            "crm({}{}){} ",
            place
                .level
                .unwrap_or(shell.copy.as_deref().unwrap_or("live")),
            match (place.level, &shell.copy) {
                (Some(_), Some(copy)) => format!("/{copy}"),
                _ => String::new(),
            },
            if pending { "*#" } else { "#" }
        );
        match editor.readline(&prompt) {
            Ok(line) => {
                // A line that can't be remembered is run all the same.
                let _ = editor.add_history_entry(line.as_str());
                one(shell, &mut place, &line);
            }
            // Ctrl-C drops the line; nothing was changed by it.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) if place.level.is_some() => one(shell, &mut place, "up"),
            Err(ReadlineError::Eof) => place.done = true,
            Err(error) => return Err(failed(error)),
        }
    }
    if let Some(history) = &history {
        let folder = history.parent().map(std::fs::create_dir_all);
        // History is a comfort, not a result.
        let _ = folder.map(|_| editor.save_history(history));
    }
    Ok(())
}

fn one(shell: &mut Shell, place: &mut Place, line: &str) {
    let result = statements(line)
        .map_err(|error| Failure::syntax(error, line, CrmExit::USAGE))
        .and_then(|found| {
            found
                .iter()
                .try_for_each(|found| statement(shell, place, found, &line[found.span.clone()]))
        });
    if let Err(failure) = result {
        shell.fail(&failure);
    }
}
