//! Manual pages, made from the same definitions as the help: one for `systole`, one for each command of it and of the crm
//! shell, and one for each tool by its known name, made from what the tool prints for `--help`.

use std::io::{Error, Result};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{args::Crm, cmd::simulate, tools};

/// The section of the manual for programs of administrators.
const SECTION: &str = "8";

const MANUAL: &str = "Systole";

/// Commands of `systole` whose options clap does not know; they have pages of their own.
const ELSEWHERE: &[&str] = &["crm", "simulate", "demo", "lab", "agent"];

/// Writes all pages into `dir`, which is made if it is not there, and tells how many.
///
/// # Errors
/// Names the file that could not be written.
pub fn write(dir: &Path, systole: Command) -> Result<usize> {
    let failed = |path: &Path, error: Error| {
        let text = format!("failed to write {}: {error}", path.display());
        Error::new(error.kind(), text)
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let pages = pages(systole)?;
    for (name, text) in &pages {
        let path = dir.join(format!("{name}.{SECTION}"));
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(pages.len())
}

/// Names and texts of all pages.
fn pages(systole: Command) -> Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    tree(systole, ELSEWHERE, &mut pages)?;
    tree(Crm::command(), &[], &mut pages)?;
    for name in tools::names() {
        pages.push((name.to_owned(), of_help(name, &tools::help_text(name))?));
    }
    let text = simulate::help_text();
    pages.push(("crm_simulate".to_owned(), of_help("crm_simulate", text)?));
    Ok(pages)
}

/// A command and all that is below it, but for `without`.
fn tree(command: Command, without: &[&str], pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    below(&command, without, pages)
}

fn below(command: &Command, without: &[&str], pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    pages.push((name.to_owned(), page(command)?));
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    for inner in shown.filter(|one| !without.contains(&one.get_name())) {
        below(inner, without, pages)?;
    }
    Ok(())
}

fn page(command: &Command) -> Result<Vec<u8>> {
    // What stands behind the options are examples, whose lines must stay lines.
    let after = command
        .get_after_long_help()
        .or(command.get_after_help())
        .map(ToString::to_string);
    let man = Man::new(command.clone())
        .section(SECTION)
        .source(format!("Systole {}", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let options = command.get_arguments().any(|option| !option.is_hide_set());
    if options {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if let Some(after) = after {
        rest.control("SH", ["NOTES"]);
        verbatim(&mut rest, &after);
    }
    see_also(&mut rest, &["systole", "crm"]);
    rest.to_writer(&mut text)?;
    Ok(text)
}

fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn see_also(roff: &mut Roff, names: &[&str]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut words: Vec<Inline> = Vec::new();
    for name in names {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.push(bold(*name));
        words.push(roman(format!("({SECTION})")));
    }
    roff.text(words);
}

/// A page from the text of a help: `name - what it is`, headings, lines of options.
fn of_help(name: &str, help: &str) -> Result<Vec<u8>> {
    let mut lines = help.lines();
    let first = lines.clone().next().unwrap_or_default();
    let what = match first.split_once(" - ") {
        Some((_, what)) => {
            lines.next();
            what
        }
        None => help
            .split("\n\n")
            .find(|part| !part.trim_start().starts_with("Usage"))
            .unwrap_or_default(),
    };
    let what = what.trim().trim_end_matches('.');
    let mut roff = Roff::new();
    let version = format!("Systole {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name, SECTION, "", version.as_str(), MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {what}"))]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        roman("Called by this name, "),
        bold("systole"),
        roman(" answers as the tool of Pacemaker's that has it: same options, same output, same exit codes."),
    ]);
    for line in lines {
        one_line(&mut roff, line);
    }
    see_also(&mut roff, &["systole", "crm", "crm_error"]);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}

fn one_line(roff: &mut Roff, line: &str) {
    let words = line.trim();
    if words.is_empty() {
        return;
    }
    if let Some(usage) = words.strip_prefix("Usage:") {
        roff.control("SH", ["SYNOPSIS"]);
        if !usage.trim().is_empty() {
            roff.text([bold(usage.trim())]);
        }
        return;
    }
    if !line.starts_with(' ') {
        match words.strip_suffix(':') {
            Some(heading) => {
                let heading = heading.to_uppercase();
                roff.control("SH", [heading.as_str()]);
            }
            None => {
                roff.control("PP", []);
                roff.text([roman(words)]);
            }
        }
        return;
    }
    if !words.starts_with('-') {
        roff.text([roman(words)]);
        return;
    }
    let (option, text) = match words.split_once("  ") {
        Some((option, text)) if !text.trim_start().starts_with('-') => (option, text.trim()),
        _ => (words, ""),
    };
    roff.control("TP", []);
    let (flags, value) = option.split_once('=').unwrap_or((option, ""));
    let mut head = vec![bold(flags)];
    if !value.is_empty() {
        head.extend([roman("="), italic(value)]);
    }
    roff.text(head);
    roff.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_becomes_a_page() {
        let help = "tool - does it\n\nUsage: tool [OPTIONS]\n\nOptions:\n  -x, --file=FILE  Read\n                   it\n  --all\n";
        let text = of_help("tool", help).expect("memory takes it");
        let text = String::from_utf8(text).expect("text");
        for part in [
            "tool \\- does it",
            ".SH SYNOPSIS",
            ".SH OPTIONS",
            "\\-\\-file",
            "Read\nit",
            "\\-\\-all",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
