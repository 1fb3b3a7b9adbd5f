//! Every recorded call of a Pacemaker-compatible tool, as a test with its name: `TOOL::CASE`.
//!
//! The recorded cases bring the program that holds a set of tools against them; it is run once over all, and asked again
//! for the difference of a case that should not have failed.
//!
//! `known-gaps/TOOL.txt` lists the cases of a tool that we do not answer as recorded, one a line. A case that fails
//! without being listed fails the run, and so does a listed one that passes: the lists only shrink.
//!
//! ```text
//! cargo test --test tools                        all of them
//! cargo test --test tools -- crm_shadow::        those of one tool
//! SYSTOLE_GAPS=write cargo test --test tools     write the lists anew
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// By tool and case, whether it agrees.
type Results = BTreeMap<String, BTreeMap<String, bool>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(checker) = checker() else {
        eprintln!("skipped: no recorded cases (shared/conformance/tools) beside the project");
        return ExitCode::SUCCESS;
    };
    if !python()
        .arg("--version")
        .output()
        .is_ok_and(|it| it.status.success())
    {
        eprintln!("skipped: the recorded cases are compared by a program that needs python3");
        // Where everything must be there, a test that is left out is a failure.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    let results = results(&checker);
    if std::env::var_os("SYSTOLE_GAPS").is_some_and(|word| word == "write") {
        write(&results);
    }
    let mut trials = Vec::new();
    for (tool, cases) in &results {
        let listed = gaps(tool);
        for (case, agrees) in cases {
            let (agrees, known) = (*agrees, listed.contains(case));
            let (checker, tool, case) = (checker.clone(), tool.clone(), case.clone());
            trials.push(Trial::test(format!("{tool}::{case}"), move || {
                match (agrees, known) {
                    (true, false) | (false, true) => Ok(()),
                    (true, true) => {
                        Err(format!("it agrees: remove it from known-gaps/{tool}.txt").into())
                    }
                    (false, false) => Err(difference(&checker, &tool, &case).into()),
                }
            }));
        }
        let cases: BTreeSet<String> = cases.keys().cloned().collect();
        let tool = tool.clone();
        let name = format!("{tool}::every_known_gap_names_a_case");
        trials.push(Trial::test(name, move || {
            match listed.iter().find(|case| !cases.contains(*case)) {
                Some(case) => {
                    Err(format!("known-gaps/{tool}.txt lists `{case}`, which is no case").into())
                }
                None => Ok(()),
            }
        }));
    }
    let all = results.values().flat_map(BTreeMap::values);
    let agreed = all.clone().filter(|agrees| **agrees).count();
    let conclusion = libtest_mimic::run(&arguments, trials);
    eprintln!(
        "tools: {agreed} of {} recorded calls are answered as recorded",
        all.count()
    );
    conclusion.exit_code()
}

/// The program that compares: named by SYSTOLE_CONFORMANCE_TOOLS, or in `shared` beside the project.
fn checker() -> Option<PathBuf> {
    let given = std::env::var_os("SYSTOLE_CONFORMANCE_TOOLS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/conformance/tools"));
    given
        .into_iter()
        .chain(beside)
        .map(|folder| folder.join("check"))
        .find(|program| program.exists())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test may start what it compares with"
)]
fn python() -> Command {
    Command::new("python3")
}

fn results(checker: &Path) -> Results {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let file = scratch.path().join("results.json");
    let ended = python()
        .arg(checker)
        // Recorded is the newest form of the output; a schema that is installed here may ask for an older one.
        .env("PCMK_schema_directory", scratch.path())
        .args([
            "--multicall",
            env!("CARGO_BIN_EXE_systole"),
            "--quiet",
            "--json",
        ])
        .arg(&file)
        .output()
        .expect("the program that compares can be run");
    let text = std::fs::read(&file).unwrap_or_else(|_| {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        panic!("the program that compares wrote no results: {said}")
    });
    serde_json::from_slice(&text).expect("results by tool and case")
}

/// What a case should have come to, and what it came to.
fn difference(checker: &Path, tool: &str, case: &str) -> String {
    let ended = python()
        .arg(checker)
        .env("PCMK_schema_directory", "/nonexistent")
        .args([
            "--multicall",
            env!("CARGO_BIN_EXE_systole"),
            "--diff",
            "-t",
            tool,
            "-c",
            case,
        ])
        .output();
    match ended {
        Ok(ended) => String::from_utf8_lossy(&ended.stdout).into_owned(),
        Err(error) => format!("it differs, and the program that compares can't be run: {error}"),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tools/known-gaps")
}

/// The listed cases of a tool.
fn gaps(tool: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder().join(format!("{tool}.txt"))).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Write the lists anew. A tool without gaps has no list.
fn write(results: &Results) {
    for (tool, cases) in results {
        let path = folder().join(format!("{tool}.txt"));
        let failing: Vec<&str> = cases
            .iter()
            .filter(|(_, agrees)| !**agrees)
            .map(|(case, _)| case.as_str())
            .collect();
        if failing.is_empty() {
            // There may have been none.
            let _ = std::fs::remove_file(path);
            continue;
        }
        let text = format!("{}\n", failing.join("\n"));
        std::fs::write(path, text).expect("a writable folder of lists");
    }
}
