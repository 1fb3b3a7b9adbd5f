//! `systole simulate`: what the cluster would do, and what would become of it.
//! Enters: crm_simulate's options and a CIB.
//! Leaves: status, decisions, pretended execution as text; graph, drawing and CIBs as files.
//! May touch: the files that are named, the clock for "now".

mod args;
mod decide;
mod doubts;
mod input;
mod profile;
mod report;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use thiserror::Error;

use self::args::{Options, Source, UsageError};
use self::report::Report;
use crate::cli::show::Wanted;
use crate::graph;
use crate::policy::{self, Input, facts};
use crate::simulate::{self as what_if, Draft, Ending, Known, OpSpec};
use crate::terms::{CrmExit, DateTime};
use crate::xml::{Element, write};

/// Why a run ends early.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}\nTry `systole simulate --help`")]
    Usage(#[from] UsageError),
    #[error("{0}")]
    Invalid(input::Error),
    #[error("Could not read input XML: {0}")]
    Input(input::Error),
    #[error("failed to write {name}: {error}")]
    Output { name: String, error: std::io::Error },
    #[error("failed to try this: {0}")]
    Simulate(#[from] what_if::Error),
}

impl From<input::Error> for Failure {
    fn from(error: input::Error) -> Self {
        match error {
            input::Error::Invalid { .. } => Failure::Invalid(error),
            error => Failure::Input(error),
        }
    }
}

impl Failure {
    fn exit(&self) -> CrmExit {
        match self {
            Failure::Usage(_) => CrmExit::USAGE,
            Failure::Input(error) | Failure::Invalid(error) => error.exit(),
            Failure::Output { .. } => CrmExit::CANNOT_CREATE,
            Failure::Simulate(_) => CrmExit::SOFTWARE,
        }
    }
}

/// What `--help` prints.
pub(crate) fn help_text() -> &'static str {
    args::HELP
}

/// Run when the program was called as `crm_simulate`, or as `systole simulate`.
pub fn called_as(args: &[String]) -> Option<u8> {
    let name = Path::new(args.first()?).file_name()?.to_str()?;
    let rest = match (name, args.get(1).map(String::as_str)) {
        ("crm_simulate", _) => &args[1..],
        (_, Some("simulate" | "crm_simulate")) => &args[2..],
        _ => return None,
    };
    let words: Vec<OsString> = rest.iter().map(OsString::from).collect();
    let mut left = Vec::new();
    let exit = run_keeping(
        &words,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
        &mut left,
    );
    // The process ends now. To free a large CIB piece by piece takes as long as a fifth of all the rest.
    std::mem::forget(left);
    Some(u8::try_from(exit.0).unwrap_or(1))
}

/// What is no longer needed when all is said.
type Left = Vec<Box<dyn std::any::Any>>;

/// Run the command with the words after its name.
pub fn run(words: &[OsString], out: &mut dyn Write, errors: &mut dyn Write) -> CrmExit {
    run_keeping(words, out, errors, &mut Left::new())
}

fn run_keeping(
    words: &[OsString],
    out: &mut dyn Write,
    errors: &mut dyn Write,
    left: &mut Left,
) -> CrmExit {
    match run_to_end(words, out, errors, left) {
        Ok(exit) => exit,
        Err(failure) => {
            // Nowhere is left to say that standard error is gone.
            let _ = writeln!(errors, "crm_simulate: {failure}");
            failure.exit()
        }
    }
}

fn run_to_end(
    words: &[OsString],
    out: &mut dyn Write,
    errors: &mut dyn Write,
    left: &mut Left,
) -> Result<CrmExit, Failure> {
    let options = Options::parse(words)?;
    let mut report = Report::new(&options);
    let mut exit = CrmExit::OK;
    if options.help {
        report.page.line(args::HELP.trim_end());
    } else if options.version {
        report
            .page
            .line(concat!("systole ", env!("CARGO_PKG_VERSION")));
    } else if let Some(folder) = &options.profile {
        profile::run(folder, &options, &mut report)?;
    } else {
        exit = match simulate(&options, &mut report, left) {
            // A program that reads the document is told in it.
            Err(failure) if options.format == args::Format::Xml => {
                let exit = failure.exit();
                report.errors.push(format!("crm_simulate: {failure}"));
                exit
            }
            other => other?,
        };
    }
    for line in &report.errors {
        let _ = writeln!(errors, "{line}");
    }
    let words = words.iter().map(|word| word.to_string_lossy());
    let request: Vec<_> = std::iter::once("crm_simulate".into())
        .chain(words)
        .collect();
    let text = report.finish(&request.join(" "), exit);
    match &options.output_to {
        Some(path) => save(path, &text)?,
        None => out
            .write_all(text.as_bytes())
            .map_err(|error| Failure::Output {
                name: "standard output".into(),
                error,
            })?,
    }
    Ok(exit)
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::Output {
        name: path.display().to_string(),
        error,
    })
}

/// The time of the run, and the line that says where it comes from. (spec 4 §2.1)
fn effective_time(options: &Options, cib: &Element, wall_s: i64) -> (i64, Option<String>) {
    if let Some(text) = &options.date
        && let Ok(date) = DateTime::parse(text, DateTime::from_epoch(wall_s))
    {
        return (
            date.epoch_s(),
            Some(format!("Setting effective cluster time: {text}")),
        );
    }
    match cib.get("execution-date").and_then(|text| text.parse().ok()) {
        Some(time_s) => {
            let date = DateTime::from_epoch(time_s);
            (
                time_s,
                Some(format!("Using the original execution date of: {date}")),
            )
        }
        None => (wall_s, None),
    }
}

fn simulate(options: &Options, report: &mut Report, left: &mut Left) -> Result<CrmExit, Failure> {
    let input::Taken {
        mut cib,
        notes,
        sanitized,
    } = input::read(&options.source)?;
    report.errors.extend(notes);
    let wall_s = crate::clock::wall_s();
    let (now_s, time_line) = effective_time(options, &cib, wall_s);
    let policy_input = Input {
        sanitized,
        causes: false,
        ..Input::at(now_s)
    };

    report.time(time_line.as_deref());
    let mut facts = facts::read(&cib, &policy_input);
    if options.format == args::Format::Text {
        // A document is for programs, which know what they ask for.
        report
            .errors
            .extend(doubts::doubts(options, &facts, wall_s));
    }
    let wanted = Wanted {
        inactive: true,
        pending: true,
        technical: true,
        attributes: options.attributes,
        fail_counts: options.failcounts,
        failures: options.failcounts,
        ..Wanted::default()
    };
    report.status_before(&facts, &wanted);

    let mut draft = Draft::new(&cib, wall_s);
    if !options.injections.is_empty() {
        let (made, complaints) = what_if::inject(&mut draft, &options.injections, &facts)?;
        report.errors.extend(complaints);
        report.modifications(&made);
        cib = draft.cib().clone();
        report.time(time_line.as_deref());
        facts = facts::read(&cib, &policy_input);
    }
    if let Some(path) = &options.save_input {
        save(path, &write::pretty(&cib))?;
    }
    if !options.process() {
        left.push(Box::new((facts, cib)));
        return Ok(CrmExit::OK);
    }

    let outcome = policy::decide(facts, &cib, &policy_input);
    report.scores(options, &outcome);
    if let Some(path) = &options.save_graph {
        save(path, &write::pretty(&graph::write(&outcome.graph)))?;
    }
    if let Some(path) = &options.save_dot {
        let drawing = outcome.drawing(options.all_actions, options.verbose > 0);
        save(path, &drawing.to_string())?;
    }
    if let Some(path) = &options.save_svg {
        save(path, &graph::svg(&outcome.graph))?;
    }
    report.summary(&outcome);
    if !options.simulate {
        left.push(Box::new((outcome, cib)));
        return Ok(CrmExit::OK);
    }

    let failures: Vec<(String, OpSpec)> = options
        .op_fail
        .iter()
        .filter_map(|text| Some((text.clone(), text.parse().ok()?)))
        .collect();
    let executed = what_if::execute(
        &outcome.graph,
        &mut draft,
        &Known::of(&outcome.facts),
        &failures,
    )?;
    report.execution(&executed.steps);
    let mut exit = CrmExit::OK;
    if executed.ending == Ending::Terminated {
        report.errors.push("Transition failed: terminated".into());
        report
            .errors
            .push("An invalid transition was produced".into());
        exit = CrmExit::ERROR;
    }
    if !options.quiet {
        report.time(time_line.as_deref());
        let facts = facts::read(draft.cib(), &policy_input);
        report.status_after(
            &facts,
            &Wanted {
                pending: false,
                ..wanted
            },
        );
    }
    let own_file = match (&options.source, options.in_place) {
        (Source::File(path), true) => Some(path),
        _ => None,
    };
    for path in options.save_output.iter().chain(own_file) {
        save(path, &write::pretty(draft.cib()))?;
    }
    left.push(Box::new((outcome, cib)));
    Ok(exit)
}

/// A CIB as it is worked on here: checked, and brought to the newest schema.
pub(crate) fn prepared(name: &str, bytes: &[u8]) -> Result<Element, String> {
    let taken = input::parse(name, bytes).map_err(|error| error.to_string())?;
    Ok(taken.cib)
}

#[cfg(test)]
mod tests;
