//! Every recorded case of a scheduler's input and answer, as a test with its name.
//!
//! A case is held against what is recorded at four levels: the text of a simulated run (`summary`), the placement
//! scores (`scores`), the transition graph (`graph`), and every attribute in it (`attributes`).
//!
//! `known-gaps.txt` lists what we do not answer rightly yet, one `case level` per line. A case that fails without
//! being listed fails the run, and so does a listed one that passes: the list only shrinks.
//!
//! ```text
//! cargo test --test conformance                        all of them
//! cargo test --test conformance -- group1 --exact      one of them, with the difference
//! SYSTOLE_GAPS=write cargo test --test conformance     write the list anew
//! SYSTOLE_DIFFS=DIR cargo test --test conformance      the differences as files DIR/CASE.LEVEL
//! ```

mod again;
mod compare;
mod gaps;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use compare::{Difference, LEVELS, Level};
use libtest_mimic::{Arguments, Failed, Trial};
use systole::graph;
use systole::xml::{self, Limits};

/// A recorded case.
#[derive(Clone, serde::Deserialize)]
struct Case {
    name: String,
    args: Vec<String>,
}

/// What differed, by case and level; filled in while tests run.
type Found = Arc<Mutex<BTreeMap<String, BTreeMap<Level, Difference>>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(folder) = case_folder() else {
        eprintln!(
            "skipped: no recorded cases (shared/conformance/scheduler/cases) beside the project"
        );
        return ExitCode::SUCCESS;
    };
    let list = std::fs::read(folder.join("cases.json")).expect("a readable list of cases");
    let cases: Vec<Case> = serde_json::from_slice(&list).expect("a list of cases");
    let writing = std::env::var_os("SYSTOLE_GAPS").is_some_and(|word| word == "write");
    let known = if writing {
        BTreeMap::new()
    } else {
        gaps::read()
    };

    let found: Found = Arc::default();
    let mut trials: Vec<Trial> = cases
        .iter()
        .map(|case| {
            let (case, folder, found) = (case.clone(), folder.clone(), found.clone());
            let listed = known.get(&case.name).cloned().unwrap_or_default();
            Trial::test(case.name.clone(), move || {
                let differences = hold_against_record(&case, &folder)?;
                let verdict = if writing {
                    Ok(())
                } else {
                    gaps::verdict(&case.name, &listed, &differences)
                };
                found
                    .lock()
                    .expect("no test panics here")
                    .insert(case.name, differences);
                verdict.map_err(Failed::from)
            })
        })
        .collect();
    let names: Vec<String> = cases.into_iter().map(|case| case.name).collect();
    trials.push(Trial::test(
        "every_known_gap_names_a_case",
        move || match known.keys().find(|name| !names.contains(name)) {
            Some(name) => Err(format!("known-gaps.txt lists `{name}`, which is no case").into()),
            None => Ok(()),
        },
    ));

    let conclusion = libtest_mimic::run(&arguments, trials);
    let found = found.lock().expect("no test panics here");
    count(&found);
    if let Some(folder) = std::env::var_os("SYSTOLE_DIFFS") {
        write_differences(Path::new(&folder), &found);
    }
    if writing && arguments.filter.is_none() {
        gaps::write(&found);
    }
    conclusion.exit_code()
}

/// The folder of cases: named by SYSTOLE_CONFORMANCE, or in `shared` beside the project.
fn case_folder() -> Option<PathBuf> {
    let given = std::env::var_os("SYSTOLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/conformance/scheduler/cases"));
    given
        .into_iter()
        .chain(beside)
        .find(|folder| folder.join("cases.json").exists())
}

/// Run a case both ways and compare what comes out.
fn hold_against_record(case: &Case, folder: &Path) -> Result<BTreeMap<Level, Difference>, String> {
    let recorded = |kind: &str| {
        let path = folder.join(kind).join(format!("{}.{kind}", case.name));
        let bytes = std::fs::read(&path).expect("a case has all its files");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let input = folder.join("xml").join(format!("{}.xml", case.name));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let graph_file = scratch.path().join("graph");

    let (text, errors) = simulate(&input, &["-S".into()], &case.args);
    let mut found = BTreeMap::new();
    let mut note = |level, want: Vec<String>, got: Vec<String>, errors: &str| {
        if want != got {
            found.insert(
                level,
                Difference {
                    want,
                    got,
                    errors: errors.to_owned(),
                },
            );
        }
    };
    note(
        Level::Summary,
        compare::squeeze(&recorded("summary")),
        compare::squeeze(&text),
        &errors,
    );

    let options = [
        "-G".into(),
        graph_file.clone().into_os_string(),
        "-sSQ".into(),
    ];
    let (text, errors) = simulate(&input, &options, &case.args);
    let graph = std::fs::read_to_string(&graph_file).unwrap_or_default();
    let rules = obeys_the_rules(&input, &graph);
    let want = compare::score_lines(&recorded("scores"));
    note(Level::Scores, want, compare::score_lines(&text), &errors);
    for level in [Level::Graph, Level::Attributes] {
        let rows = |text: &str| compare::graph_rows(text, level == Level::Attributes);
        note(level, rows(&recorded("exp")), rows(&graph), &errors);
    }
    // Where the graph is known to be wrong, broken rules are part of what is wrong.
    match (rules, found.get_mut(&Level::Graph)) {
        (Err(broken), Some(difference)) => difference.errors.push_str(&broken),
        (rules, _) => rules?,
    }
    Ok(found)
}

/// Whatever it says, a graph must keep to the rules of every graph.
fn obeys_the_rules(input: &Path, graph: &str) -> Result<(), String> {
    let parse = |text: &[u8]| xml::parse(text, &Limits::default()).map_err(|e| e.to_string());
    let graph = graph::read(&parse(graph.as_bytes())?).map_err(|error| error.to_string())?;
    let cib = parse(&std::fs::read(input).map_err(|error| error.to_string())?)?;
    let broken = graph::check_against(&graph, &cib);
    let mut lines: Vec<String> = broken
        .iter()
        .map(|one| format!("{:?}: {one}", one.rule))
        .collect();
    lines.extend(again::decided_alike(&cib).err());
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("\n"))
    }
}

/// `systole simulate -x INPUT OPTIONS ARGS` within this process: standard output and standard error.
fn simulate(input: &Path, options: &[OsString], args: &[String]) -> (String, String) {
    let mut words: Vec<OsString> = vec!["-x".into(), input.as_os_str().to_owned()];
    words.extend(options.iter().cloned());
    words.extend(args.iter().map(OsString::from));
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let run = AssertUnwindSafe(|| systole::cli::cmd::simulate::run(&words, &mut out, &mut errors));
    let ended = catch_unwind(run);
    let mut errors = String::from_utf8_lossy(&errors).into_owned();
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("?");
        errors.push_str(&format!("panicked: {text}"));
    }
    (String::from_utf8_lossy(&out).into_owned(), errors)
}

fn count(found: &BTreeMap<String, BTreeMap<Level, Difference>>) {
    if found.is_empty() {
        return;
    }
    let all = found.len();
    let right = found
        .values()
        .filter(|differences| differences.is_empty())
        .count();
    let by_level: Vec<String> = LEVELS
        .iter()
        .map(|level| {
            let right = found
                .values()
                .filter(|have| !have.contains_key(level))
                .count();
            format!("{level} {right}")
        })
        .collect();
    eprintln!(
        "{right} of {all} cases agree at every level ({})",
        by_level.join(", ")
    );
}

fn write_differences(folder: &Path, found: &BTreeMap<String, BTreeMap<Level, Difference>>) {
    std::fs::create_dir_all(folder).expect("a folder for differences");
    for (case, differences) in found {
        for level in LEVELS {
            let path = folder.join(format!("{case}.{level}"));
            match differences.get(&level) {
                Some(difference) => {
                    std::fs::write(path, difference.to_string()).expect("a writable folder");
                }
                None => {
                    // A difference of an earlier run that is gone now.
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }
}
