//! Our shell and Debian's crmsh read each other's language, over the recorded configurations: what crmsh saves is loaded
//! by us, and what we save is loaded by crmsh, each time to the configuration that it came from.
//!
//! Every twentieth case is tried; `SYSTOLE_ROUND_TRIPS=all` tries all of them (some minutes), and `SYSTOLE_ROUND_TRIPS=A,B`
//! those two. crmsh 4.4.1 breaks on a bundle of podman, so those are given to both sides as docker's. `known-gaps.txt` lists the
//! directions of cases that do not come back, `CASE DIRECTION  # REASON`: a case that fails without being listed fails
//! the run, and so does a listed one that comes back.

mod crmsh;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crmsh::{Crmsh, Job};
use libtest_mimic::{Arguments, Trial};
use systole::cli::language;
use systole::xml::{self, Element, Limits};

/// Both directions.
const DIRECTIONS: [&str; 2] = ["from-crmsh", "to-crmsh"];

/// Only so many of the cases are tried where nobody asks for all.
const SAMPLE: usize = 20;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let asked = std::env::var("SYSTOLE_ROUND_TRIPS").unwrap_or_default();
    let Some(folder) = case_folder() else {
        eprintln!(
            "skipped: no recorded cases (shared/conformance/scheduler/cases) beside the project"
        );
        return ExitCode::SUCCESS;
    };
    let Some(crmsh) = Crmsh::find() else {
        eprintln!("skipped: Debian's crmsh is not installed");
        // Where everything must be there, a test that is left out is a failure.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    };
    let cases: Vec<(String, String)> = cases(&folder)
        .into_iter()
        .enumerate()
        .filter(|(at, (name, _))| match asked.as_str() {
            "" => at % SAMPLE == 0,
            "all" => true,
            names => names.split(',').any(|asked| asked == name),
        })
        .map(|(_, case)| case)
        .filter(|(name, _)| {
            let filter = arguments.filter.as_deref().unwrap_or_default();
            DIRECTIONS
                .iter()
                .any(|direction| format!("{name}::{direction}").contains(filter))
        })
        .collect();
    let found = [from_crmsh(&crmsh, &cases), to_crmsh(&crmsh, &cases)];
    if std::env::var_os("SYSTOLE_GAPS").is_some_and(|word| word == "write") {
        write_gaps(&found);
    }
    let listed = gaps();
    let mut trials = Vec::new();
    for (direction, found) in DIRECTIONS.into_iter().zip(&found) {
        let good = found.values().filter(|found| found.is_ok()).count();
        eprintln!(
            "{direction}: {good} of {} configurations are the same",
            found.len()
        );
        for (name, found) in found {
            let (found, known) = (
                found.clone(),
                listed.contains_key(&(name.clone(), direction.to_owned())),
            );
            trials.push(Trial::test(
                format!("{name}::{direction}"),
                move || match (found, known) {
                    (Ok(()), false) | (Err(_), true) => Ok(()),
                    (Ok(()), true) => Err("it comes back: remove it from known-gaps.txt".into()),
                    (Err(text), false) => Err(text.into()),
                },
            ));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// By case, whether the same comes back, else what differs and what was said on the way.
type Found = BTreeMap<String, Result<(), String>>;

/// What crmsh saves, loaded by us into an empty CIB.
fn from_crmsh(crmsh: &Crmsh, cases: &[(String, String)]) -> Found {
    let file = |name: &str| crmsh.path(&format!("{name}.from.crm"));
    let jobs: Vec<Job<'_>> = cases
        .iter()
        .map(|(name, cib)| Job {
            name,
            cib: cib.clone(),
            command: format!("save {}", file(name).display()),
        })
        .collect();
    let said = crmsh.run(&jobs);
    let each = cases.iter().map(|(name, cib)| {
        let target = crmsh.path(&format!("{name}.from.xml"));
        fs::write(&target, empty_like(cib)).expect("a CIB file");
        let file = file(name);
        if !file.exists() {
            let said = said.get(name).map_or("", String::as_str);
            return (name.clone(), Err(format!("crmsh did not save it:\n{said}")));
        }
        let told = ours(&target, &["load", "replace", &file.display().to_string()]);
        let text = fs::read_to_string(&target).expect("the CIB file");
        let result = compared(cib, &text).map_err(|text| {
            let saved = fs::read_to_string(&file).unwrap_or_default();
            let (said, told) = (said.get(name).map_or("", String::as_str), told);
            format!("{text}\ncrmsh said: {said}\nwe said: {told}\ncrmsh saved:\n{saved}")
        });
        (name.clone(), result)
    });
    each.collect()
}

/// What we save, loaded by crmsh into an empty CIB.
fn to_crmsh(crmsh: &Crmsh, cases: &[(String, String)]) -> Found {
    let file = |name: &str| crmsh.path(&format!("{name}.to.crm"));
    for (name, cib) in cases {
        let source = crmsh.path(&format!("{name}.to.xml"));
        fs::write(&source, cib).expect("a CIB file");
        let said = ours(&source, &["save", &file(name).display().to_string()]);
        assert!(file(name).exists(), "{name}: {said}");
    }
    let jobs: Vec<Job<'_>> = cases
        .iter()
        .map(|(name, cib)| Job {
            name,
            cib: empty_like(cib),
            command: format!("load replace {}", file(name).display()),
        })
        .collect();
    let said = crmsh.run(&jobs);
    let each = cases.iter().map(|(name, cib)| {
        let result = compared(cib, &crmsh.cib(name)).map_err(|text| {
            let saved = fs::read_to_string(file(name)).unwrap_or_default();
            let said = said.get(name).map_or("", String::as_str);
            format!("{text}\ncrmsh said: {said}\nwe saved:\n{saved}")
        });
        (name.clone(), result)
    });
    each.collect()
}

/// Our shell on a CIB file; what it says when it is not content.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]
fn ours(cib: &Path, words: &[&str]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_systole"))
        .args(["crm", "-F", "-c"])
        .arg(cib)
        .arg("configure")
        .args(words)
        .output()
        .expect("the program was built");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

/// A CIB of the same schema with an empty configuration.
fn empty_like(cib: &str) -> String {
    let schema = parsed(cib).and_then(|cib| cib.get("validate-with").map(str::to_owned));
    let schema = schema.unwrap_or_else(|| "pacemaker-3.9".to_owned());
    format!(
        "<cib crm_feature_set=\"3.16.1\" validate-with=\"{schema}\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\">\
         <configuration><crm_config/><nodes/><resources/><constraints/></configuration><status/></cib>\n"
    )
}

fn parsed(text: &str) -> Option<Element> {
    xml::parse(text, &Limits::CIB).ok()
}

/// Whether both have the same configuration, else what differs.
fn compared(before: &str, after: &str) -> Result<(), String> {
    let configuration = |text: &str| {
        let root = parsed(text);
        root.and_then(|root| root.child("configuration").cloned())
            .unwrap_or_else(|| Element::new("configuration"))
    };
    let differences = language::differences(&configuration(before), &configuration(after));
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("\n"))
    }
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

/// Name and CIB of every recorded case, by name. What is no XML has nothing to be the same as.
fn cases(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.join("xml")).expect("the folder of inputs");
    let mut found: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let text = String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned();
            let name = path.file_stem()?.to_str()?.to_owned();
            let text = text
                .replace("<podman ", "<docker ")
                .replace("</podman>", "</docker>");
            parsed(&text).map(|_| (name, text))
        })
        .collect();
    found.sort();
    found
}

fn gaps_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/round_trips/known-gaps.txt")
}

/// The listed cases and directions, with their reasons.
fn gaps() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(gaps_path()).unwrap_or_default();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (what, reason) = line.split_once('#').unwrap_or((line, ""));
        if let Some((case, direction)) = what.trim().split_once(' ') {
            found.insert(
                (case.to_owned(), direction.trim().to_owned()),
                reason.trim().to_owned(),
            );
        }
    }
    found
}

/// Write the list anew; reasons that are known stay.
fn write_gaps(found: &[Found; 2]) {
    let known = gaps();
    let header = fs::read_to_string(gaps_path()).unwrap_or_default();
    let mut text: String = header
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for (direction, found) in DIRECTIONS.into_iter().zip(found) {
        for name in found
            .iter()
            .filter(|(_, found)| found.is_err())
            .map(|(name, _)| name)
        {
            let reason = known.get(&(name.clone(), direction.to_owned()));
            let reason = reason.map_or("", String::as_str);
            text.push_str(format!("{name} {direction}  # {reason}").trim_end());
            text.push('\n');
        }
    }
    fs::write(gaps_path(), text).expect("a writable folder");
}
