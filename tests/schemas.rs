//! Two readers of one table: a CIB is valid to our own check if, and only if, it is valid to the RELAX NG files that we
//! write for others. Held against each other over all recorded CIBs, each as it is and broken in many ways.
//!
//! Left out is what no grammar says: a reference to the wrong kind of element, a constraint between a resource and
//! itself, and an XPath that is none.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that runs another program"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use systole::cib::{Cib, schema};
use systole::cli::schemas;
use systole::xml::{Element, Limits, write};

/// How often each CIB is broken.
const BREAKS: usize = 6;

/// Reads pairs of a schema's name and a document, each ended by a zero byte, and says what lxml says.
const JUDGE: &str = r#"
import sys
from lxml import etree
known = {}
words = iter(sys.stdin.buffer.read().split(b"\0")[:-1])
for name in words:
    name = name.decode()
    text = next(words)
    if name not in known:
        known[name] = etree.RelaxNG(file=sys.argv[1] + "/" + name + ".rng")
    try:
        valid = known[name].validate(etree.fromstring(text))
    except etree.RelaxNGError:
        valid = False
    log = known[name].error_log
    print("valid" if valid else "broken: " + (str(log[0].message).replace("\n", " ") if len(log) else "reference"))
"#;

#[test]
fn our_check_and_our_grammars_agree() {
    let Some(python) = python() else {
        skip("python3 with lxml is not installed");
        return;
    };
    let mut documents: Vec<(String, Element)> = examples()
        .into_iter()
        .map(|text| ("example".to_owned(), parsed(text.as_bytes())))
        .collect();
    match recorded() {
        Some(folder) => {
            let files = fs::read_dir(folder).unwrap();
            let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
            paths.sort();
            for path in paths {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                documents.push((name, parsed(&fs::read(&path).unwrap())));
            }
        }
        // The examples are checked all the same.
        None => eprintln!(
            "skipped: no recorded CIBs (shared/conformance/scheduler/cases/xml) beside the project"
        ),
    }
    let mut cases = Vec::new();
    for (name, document) in documents {
        let mut dice = StdRng::seed_from_u64(name.bytes().map(u64::from).sum());
        cases.push((format!("{name}, as it is"), document.clone()));
        for _ in 0..BREAKS {
            if let Some((what, broken)) = broken(&document, &mut dice) {
                cases.push((format!("{name}, {what}"), broken));
            }
        }
    }
    cases.retain(|(_, document)| {
        let name = document.get("validate-with").unwrap_or_default();
        schema::version(name).is_some()
    });
    let told = judged(python, &cases);
    let mut wrong = Vec::new();
    let (mut valid, mut unsaid) = (0, 0);
    for ((name, document), told) in cases.iter().zip(&told) {
        let ours = schema::check(&Cib::new(document.clone()));
        let ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
        let says_grammar = |text: &String| {
            !text.contains(" names `") && !text.contains("itself") && !text.contains("XPath")
        };
        if !ours.is_empty() && !ours.iter().any(says_grammar) {
            unsaid += 1;
        } else if ours.is_empty() == (told == "valid") {
            valid += usize::from(ours.is_empty());
        } else {
            wrong.push(format!("{name}: the grammar says {told}, we say {ours:?}"));
        }
    }
    println!(
        "{} documents, {valid} of them valid, {unsaid} left out",
        cases.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(valid > 0 && valid < cases.len());
}

/// The folder of recorded CIBs: in what SYSTOLE_CONFORMANCE names, or in `shared` beside the project.
fn recorded() -> Option<PathBuf> {
    let given = std::env::var_os("SYSTOLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/conformance/scheduler/cases"));
    let mut folders = given.into_iter().chain(beside);
    folders
        .find(|folder| folder.join("xml").is_dir())
        .map(|folder| folder.join("xml"))
}

/// The system's own comes first: it is the one for which packages bring lxml.
fn python() -> Option<&'static str> {
    let has_lxml = |python: &&str| {
        let run = Command::new(python).args(["-c", "import lxml"]).output();
        run.is_ok_and(|it| it.status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(has_lxml)
}

/// A document of every schema with everything that the table has.
fn examples() -> Vec<String> {
    let all = include_str!("schemas.xml");
    schema::names()
        .map(|name| all.replace("VERSION", &name))
        .collect()
}

fn parsed(text: &[u8]) -> Element {
    systole::xml::parse(text, &Limits::CIB).unwrap()
}

fn judged(python: &str, cases: &[(String, Element)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    schemas::write(folder.path()).unwrap();
    let input = folder.path().join("input");
    let mut file = fs::File::create(&input).unwrap();
    for (_, document) in cases {
        let name = document.get("validate-with").unwrap();
        write!(file, "{name}\0{}\0", write::compact(document)).unwrap();
    }
    let output = Command::new(python)
        .args(["-c", JUDGE])
        .arg(folder.path())
        .stdin(fs::File::open(&input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    let told: Vec<String> = told.lines().map(str::to_owned).collect();
    assert_eq!(told.len(), cases.len());
    told
}

/// The document with one thing changed, and what.
fn broken(document: &Element, dice: &mut StdRng) -> Option<(String, Element)> {
    let mut paths = Vec::new();
    places(
        document.child("configuration")?,
        &mut Vec::new(),
        &mut paths,
    );
    let path = paths.choose(dice)?;
    let mut root = document.clone();
    let configuration = root.child_mut("configuration")?;
    let element = configuration.at_mut(path)?;
    let attributes: Vec<(String, String)> = element
        .attrs()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let attribute = attributes.choose(dice).cloned();
    let who = format!("<{} id={:?}>", element.tag(), element.id());
    let what = match dice.random_range(0..9) {
        0 => {
            let (name, _) = attribute?;
            element.unset(&name);
            format!("{who} without {name}")
        }
        1 => {
            let (name, value) = attribute?;
            element.unset(&name);
            element.set(&format!("{name}s"), &value);
            format!("{who} with another name for {name}")
        }
        2 => {
            let (name, _) = attribute?;
            let values = [
                "?",
                "",
                "10s",
                "true",
                "Yes",
                "-5",
                "+INFINITY",
                "started",
                "9x",
                "PT5M",
                "5 min",
                "ocf",
                "lt",
                "1.5",
                " 7",
            ];
            let value = values.choose(dice)?;
            element.set(&name, value);
            format!("{who} with {name}={value:?}")
        }
        3 => {
            let names = [
                "id-ref",
                "score",
                "score-attribute",
                "kind",
                "template",
                "class",
                "rsc",
                "node",
                "target-attribute",
                "provider",
                "name",
                "value",
                "role",
                "type",
            ];
            let name = names.choose(dice)?;
            element.set(name, "5");
            format!("{who} with {name} added")
        }
        4 => {
            let children: Vec<Element> = element.children().cloned().collect();
            let gone = children.choose(dice)?;
            let tag = gone.tag().to_owned();
            element.retain_children(|child| !child.is(&tag));
            format!("{who} without <{tag}>")
        }
        5 => {
            let copies: Vec<Element> = element.children().cloned().collect();
            let mut copy = copies.choose(dice)?.clone();
            fresh(&mut copy, dice);
            let tag = copy.tag().to_owned();
            element.push(copy);
            format!("{who} with one more <{tag}>")
        }
        6 => {
            element.set_tag("odd");
            format!("{who} by another name")
        }
        7 => {
            let copies: Vec<Element> = element.children().cloned().collect();
            let copy = copies.choose(dice)?.clone();
            let tag = copy.tag().to_owned();
            element.push(copy);
            format!("{who} with <{tag}> twice")
        }
        _ => {
            let mut copy = element.clone();
            fresh(&mut copy, dice);
            root.child_mut("configuration")?
                .child_mut("constraints")?
                .push(copy);
            format!("{who} among the constraints")
        }
    };
    Some((what, root))
}

/// New ids for an element and all in it.
fn fresh(element: &mut Element, dice: &mut StdRng) {
    if element.has("id") && !["resource_ref", "obj_ref", "role"].contains(&element.tag()) {
        element.set("id", &format!("fresh-{}", dice.random::<u32>()));
    }
    element.children_mut().for_each(|child| fresh(child, dice));
}

fn places(element: &Element, here: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    found.push(here.clone());
    for (index, node) in element.nodes().iter().enumerate() {
        if let Some(child) = node.as_element() {
            here.push(index);
            places(child, here, found);
            here.pop();
        }
    }
}

fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set, and this can't be checked: {why}"
    );
    eprintln!("SKIPPED: {why}");
}
