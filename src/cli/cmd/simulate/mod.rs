//! `systole simulate`: what the cluster would do, and what would become of it.
//! Enters: crm_simulate's options and a CIB.
//! Leaves: status, decisions, pretended execution as text; graph, drawing and CIBs as files.
//! May touch: the files that are named, the clock for "now".

mod args;
mod decide;
mod input;
mod profile;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use thiserror::Error;

use self::args::{Format, Options, UsageError};
use crate::cli::show::{self, Entry, Page, Wanted};
use crate::graph;
use crate::policy::Input;
use crate::policy::facts::{self, Facts};
use crate::simulate::{self as what_if, Draft, Ending, Known, OpSpec, Step};
use crate::terms::{CrmExit, DateTime};
use crate::xml::{Element, write};

/// Why a run ends early.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}\nTry `systole simulate --help`")]
    Usage(#[from] UsageError),
    #[error("Could not read input XML: {0}")]
    Input(#[from] input::Error),
    #[error("failed to write {name}: {error}")]
    Output { name: String, error: std::io::Error },
    #[error("failed to try this: {0}")]
    Simulate(#[from] what_if::Error),
}

impl Failure {
    fn exit(&self) -> CrmExit {
        match self {
            Failure::Usage(_) => CrmExit::USAGE,
            Failure::Input(error) => error.exit(),
            Failure::Output { .. } => CrmExit::CANNOT_CREATE,
            Failure::Simulate(_) => CrmExit::SOFTWARE,
        }
    }
}

/// Run when the program was called as `crm_simulate`, or as `systole simulate`.
pub fn called_as(args: &[String]) -> Option<u8> {
    let name = Path::new(args.first()?).file_name()?.to_str()?;
    let rest = match (name, args.get(1).map(String::as_str)) {
        ("crm_simulate", _) => &args[1..],
        (_, Some("simulate")) => &args[2..],
        _ => return None,
    };
    let words: Vec<OsString> = rest.iter().map(OsString::from).collect();
    let exit = run(
        &words,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
    );
    Some(u8::try_from(exit.0).unwrap_or(1))
}

/// Run the command with the words after its name.
pub fn run(words: &[OsString], out: &mut dyn Write, errors: &mut dyn Write) -> CrmExit {
    match run_to_end(words, out, errors) {
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
) -> Result<CrmExit, Failure> {
    let options = Options::parse(words)?;
    let mut report = Report {
        page: Page::new(),
        errors: Vec::new(),
    };
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
        exit = simulate(&options, &mut report)?;
    }
    for line in &report.errors {
        let _ = writeln!(errors, "{line}");
    }
    let text = report.page.text();
    match &options.output_to {
        _ if options.format == Format::Nothing => {}
        Some(path) => save(path, text)?,
        None => out
            .write_all(text.as_bytes())
            .map_err(|error| Failure::Output {
                name: "standard output".into(),
                error,
            })?,
    }
    Ok(exit)
}

/// What is written, and what goes to standard error.
struct Report {
    page: Page,
    errors: Vec<String>,
}

impl Report {
    fn section(&mut self, title: &str, entries: Vec<Entry>) {
        self.page.space();
        self.page.line(&format!("{title}:"));
        for entry in &entries {
            self.page.entry(1, entry);
        }
    }

    /// Sections of a status with empty lines between.
    fn status(&mut self, title: &str, facts: &Facts, wanted: &Wanted) {
        self.page.space();
        self.page.line(&format!("{title}:"));
        for (at, entry) in show::status(facts, wanted).iter().enumerate() {
            if at > 0 {
                self.page.space();
            }
            self.page.entry(1, entry);
        }
    }
}

fn items<T: ToString>(of: impl IntoIterator<Item = T>) -> Vec<Entry> {
    of.into_iter()
        .map(|one| Entry::Item(one.to_string()))
        .collect()
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

fn simulate(options: &Options, report: &mut Report) -> Result<CrmExit, Failure> {
    let (mut cib, notes) = input::read(&options.source)?;
    report.errors.extend(notes);
    let wall_s = crate::clock::wall_s();
    let (now_s, time_line) = effective_time(options, &cib, wall_s);
    let sanitized = options.source != args::Source::Live;
    let policy_input = Input {
        sanitized,
        causes: false,
        ..Input::at(now_s)
    };
    let loud = !options.quiet;
    let read = |cib: &Element, report: &mut Report| {
        if let Some(line) = time_line.as_ref().filter(|_| loud) {
            report.page.line(line);
        }
        facts::read(cib, &policy_input)
    };

    let mut facts = read(&cib, report);
    let wanted = Wanted {
        inactive: true,
        pending: true,
        technical: true,
        attributes: options.attributes,
        fail_counts: options.failcounts,
        failures: options.failcounts,
        ..Wanted::default()
    };
    if loud {
        status_before(&facts, &wanted, report);
    }

    let mut draft = Draft::new(&cib, wall_s);
    if !options.injections.is_empty() {
        let (made, complaints) = what_if::inject(&mut draft, &options.injections, &facts)?;
        report.errors.extend(complaints);
        if loud {
            report.section("Performing Requested Modifications", items(made));
            report.page.space();
        }
        cib = draft.cib().clone();
        facts = read(&cib, report);
    }
    if let Some(path) = &options.save_input {
        save(path, &write::pretty(&cib))?;
    }
    if !options.process() {
        return Ok(CrmExit::OK);
    }

    let outcome = decide::decide(&cib, &policy_input);
    show_scores(options, &outcome, report);
    if let Some(path) = &options.save_graph {
        save(path, &write::pretty(&graph::write(&outcome.graph)))?;
    }
    if let Some(path) = &options.save_dot {
        save(path, &outcome.drawing.to_string())?;
    }
    if loud {
        report.section("Transition Summary", items(&outcome.summary));
    }
    if !options.simulate {
        return Ok(CrmExit::OK);
    }

    let failures: Vec<(String, OpSpec)> = options
        .op_fail
        .iter()
        .filter_map(|text| Some((text.clone(), text.parse().ok()?)))
        .collect();
    let known = Known::of(&facts);
    let executed = what_if::execute(&outcome.graph, &mut draft, &known, &failures)?;
    if loud {
        show_execution(&executed.steps, report);
    }
    let mut exit = CrmExit::OK;
    if executed.ending == Ending::Terminated {
        report.errors.push("Transition failed: terminated".into());
        report
            .errors
            .push("An invalid transition was produced".into());
        exit = CrmExit::ERROR;
    }
    if loud {
        report.page.space();
        let facts = read(draft.cib(), report);
        let wanted = Wanted {
            pending: false,
            ..wanted
        };
        report.status("Revised Cluster Status", &facts, &wanted);
    }
    let own_file = match (&options.source, options.in_place) {
        (args::Source::File(path), true) => Some(path),
        _ => None,
    };
    for path in options.save_output.iter().chain(own_file) {
        save(path, &write::pretty(draft.cib()))?;
    }
    Ok(exit)
}

fn status_before(facts: &Facts, wanted: &Wanted, report: &mut Report) {
    if facts.options.maintenance_mode {
        report.page.space();
        report
            .page
            .line("              *** Resource management is DISABLED ***");
        report
            .page
            .line("  The cluster will not attempt to start, stop or recover services");
    }
    if let Some(line) = show::counts_line(facts) {
        report.page.space();
        report.page.line(&line);
    }
    report.status("Current cluster status", facts, wanted);
}

fn show_scores(options: &Options, outcome: &decide::Decision, report: &mut Report) {
    let title = match (options.scores, options.utilization) {
        (true, true) => "Assignment Scores and Utilization Information",
        (true, false) => "Assignment Scores",
        (false, true) => "Utilization Information",
        (false, false) => return,
    };
    if options.quiet {
        for line in &outcome.scores {
            report.page.line(line);
        }
    } else {
        report.section(title, items(&outcome.scores));
    }
}

/// Steps stand in the list, except the news that one failed.
fn show_execution(steps: &[Step], report: &mut Report) {
    report.page.space();
    report.page.line("Executing Cluster Transition:");
    for step in steps {
        let text = what_if::step_text(step);
        match step {
            Step::Failed { .. } => report.page.line(&text),
            _ => report.page.entry(1, &Entry::Item(text)),
        }
    }
}
