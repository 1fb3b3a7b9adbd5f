//! How another implementation answers: the `crm_simulate` of Pacemaker 2.1, where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use systole::cli::watch::{Answer, Case, in_older_words, rows};
use systole::xml::{Element, write};

use crate::checks::Problem;
use crate::generate::input;

const PROGRAM: &str = "/usr/sbin/crm_simulate";

/// As for our own plans.
const ROUNDS: usize = 8;

/// Whether there is somebody to ask.
pub(crate) fn present() -> bool {
    Path::new(PROGRAM).exists()
}

/// Whether the other implementation gets stuck on this CIB, too: None when it does not read it.
pub(crate) fn stuck(cib: &Element) -> Option<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let cib = in_older_words(cib).unwrap_or_else(|| cib.clone());
    std::fs::write(file("0.xml"), write::pretty(&cib)).expect("a writable folder");
    for round in 0..ROUNDS {
        let (before, after) = (
            file(&format!("{round}.xml")),
            file(&format!("{}.xml", round + 1)),
        );
        let output = Command::new(PROGRAM)
            .arg("-x")
            .arg(&before)
            .arg("-S")
            .arg("-O")
            .arg(&after)
            .output()
            .expect("crm_simulate can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("invalid transition") {
            return Some(true);
        }
        if !output.status.success() {
            return None;
        }
        let mut deeds = text
            .lines()
            .skip_while(|line| !line.starts_with("Executing Cluster Transition"))
            .take_while(|line| !line.starts_with("Revised Cluster Status"))
            .filter(|line| line.contains(" action:") || line.trim_start().starts_with("* Fencing "))
            .filter(|line| !line.contains("Pseudo action:"))
            .filter(|line| !line.contains(" delete on ") && !line.contains("clear_failcount"));
        if deeds.next().is_none() {
            return Some(false);
        }
    }
    Some(true)
}

/// Both say the same, or it is known why not.
pub(crate) fn agree(cib: &Element) -> Result<(), Problem> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("cib.xml");
    std::fs::write(&file, write::pretty(cib)).expect("a writable folder");
    let Some(theirs) = answer(
        &|words| {
            let output = Command::new(PROGRAM)
                .args(words)
                .output()
                .expect("crm_simulate can be run");
            // It refuses what is not valid in its schema; there is nothing to compare then.
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success().then_some(text)
        },
        &file,
        &folder.path().join("theirs"),
    ) else {
        return Ok(());
    };
    let ours = answer(
        &|words| {
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            systole::cli::cmd::simulate::run(words, &mut out, &mut errors);
            Some(String::from_utf8_lossy(&out).into_owned())
        },
        &file,
        &folder.path().join("ours"),
    )
    .unwrap_or_default();

    let [theirs, ours] = [theirs, ours].map(|answer| Answer {
        graph: rows(cib, answer.graph),
        ..answer
    });
    let Err(problem) = compare(&theirs, &ours) else {
        count("agree");
        return Ok(());
    };
    let case = Case::new(cib, &input(cib), theirs, ours);
    match case.explained() {
        Some(why) => {
            count(&why);
            if std::env::var_os("FUZZ_EXPLAIN").is_some() {
                eprintln!("{}: {why}\n{}", problem.kind, problem.text);
            }
            Ok(())
        }
        None => Err(problem),
    }
}

/// Whether two answers are the same; the first difference if not.
fn compare(theirs: &Answer, ours: &Answer) -> Result<(), Problem> {
    same("summary", &theirs.summary, &ours.summary)
        .and_then(|()| same("scores", &theirs.scores, &ours.scores))
        .and_then(|()| same("graph", &theirs.graph, &ours.graph))
}

static COUNTS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn count(what: &str) {
    let mut counts = COUNTS.lock().expect("nothing panics here");
    *counts.entry(what.to_owned()).or_default() += 1;
}

/// How many agreed, and how many did not for which reasons.
pub(crate) fn counts() -> Vec<String> {
    let counts = COUNTS.lock().expect("nothing panics here");
    counts
        .iter()
        .map(|(what, n)| format!("{n:5} {what}"))
        .collect()
}

fn same(kind: &str, want: &[String], got: &[String]) -> Result<(), Problem> {
    if want == got {
        return Ok(());
    }
    let difference = crate::compare::Difference {
        want: want.to_vec(),
        got: got.to_vec(),
        errors: String::new(),
    };
    let text = difference.to_string();
    // Making it small must not lead to another difference.
    let shape: BTreeSet<String> = text.lines().map(shape).collect();
    let shape: Vec<String> = shape.into_iter().take(3).collect();
    Err(Problem {
        kind: format!("{kind} {}", shape.join(", ")),
        text,
    })
}

/// What a line is about, without names.
fn shape(line: &str) -> String {
    let (sign, rest) = line.split_at_checked(1).unwrap_or((line, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words[..] {
        [_, "allocation", "score", "on", _, score] => format!("{sign}{score}"),
        [kind, _, task, "on", ..] => format!("{sign}{kind} {task}"),
        _ => format!("{sign}{}", rest.chars().take(3).collect::<String>()),
    }
}

/// Scores of instances are printed for each tentative assignment, and 3.0 undoes those. (spec 2 §13.4 4c, §22)
fn of_an_instance(line: &str) -> bool {
    line.split_whitespace()
        .next()
        .is_some_and(|id| id.contains(':'))
}

/// Two runs: the older program leaves headings out when it shows scores.
fn answer(
    run: &dyn Fn(&[OsString]) -> Option<String>,
    input: &Path,
    graph: &Path,
) -> Option<Answer> {
    let text = run(&[
        "-x".into(),
        input.into(),
        "-R".into(),
        "-G".into(),
        graph.into(),
    ])?;
    let summary = text
        .lines()
        .skip_while(|line| !line.starts_with("Transition Summary"))
        .skip(1)
        .take_while(|line| !line.trim().is_empty());
    // Where removed resources stand in the list is not compared.
    let mut summary: Vec<String> = summary
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    summary.sort();
    let graph = std::fs::read_to_string(graph).unwrap_or_default();
    let scores = run(&["-x".into(), input.into(), "-sQR".into()])?;
    let scores: Vec<&str> = scores
        .lines()
        .filter(|line| line.contains(" score on "))
        .collect();
    Some(Answer {
        summary,
        scores: crate::compare::score_lines(&scores.join("\n"))
            .into_iter()
            .filter(|line| !of_an_instance(line))
            .collect(),
        graph: crate::compare::graph_rows(&graph, false),
    })
}
