//! The recorded runs of `cibadmin`, as commands: what the reference did to a CIB is what we do.

use crate::{
    cib::{Cib, Command, Op, Origin, Target, apply, query},
    xml::{Element, Limits, digest, parse},
};

const FOLDER: &str = "../shared/conformance/tools/cases";

fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Object(object) => {
            let name = object.get("data")?.as_str()?;
            std::fs::read_to_string(format!("{FOLDER}/data/{name}")).ok()
        }
        _ => None,
    }
}

fn read(value: &serde_json::Value) -> Option<Element> {
    parse(text(value)?, &Limits::CIB).ok()
}

/// What does not count: feature set, bookkeeping.
fn bare(mut root: Element) -> Element {
    for name in [
        "crm_feature_set",
        "cib-last-written",
        "update-origin",
        "update-client",
        "update-user",
    ] {
        root.unset(name);
    }
    root
}

/// The command of a recorded command line, where it is one that needs no more than the CIB room.
fn command(case: &serde_json::Value) -> Option<Command> {
    let args: Vec<&str> = case["args"]
        .as_array()?
        .iter()
        .filter_map(|arg| arg.as_str())
        .collect();
    let mut command = Command::new(Op::Query, Target::Whole, None);
    let mut words = args.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "-Q" => command.op = Op::Query,
            "-M" => {
                command.op = Op::Modify;
                command.flags.score = true;
            }
            "-C" | "--create" => command.op = Op::Create,
            "-R" | "--replace" => command.op = Op::Replace,
            "-D" => command.op = Op::Delete,
            "-E" => command.op = Op::Erase,
            "--upgrade" => command.op = Op::Upgrade,
            "-o" => command.target = Target::Section(words.next()?.into()),
            "-p" => command.input = read(&case["stdin"]),
            "--xml-text" => command.input = parse(words.next()?, &Limits::CIB).ok(),
            "--xml-file" => {
                words.next()?;
                command.input = case["files"].as_object()?.values().next().and_then(read);
            }
            "--user" => command.origin.user = words.next()?.into(),
            "--force" | "-V" | "--output-as=xml" | "--score" => {}
            word if word.starts_with("--xml-text=") => {
                command.input = parse(word.strip_prefix("--xml-text=")?, &Limits::CIB).ok();
            }
            _ => return None,
        }
    }
    if let Some(user) = case["env"]["CIB_user"].as_str() {
        command.origin = Origin {
            user: user.into(),
            ..command.origin
        };
    }
    Some(command)
}

#[test]
fn recorded_runs_come_out_the_same() {
    let Ok(cases) = std::fs::read_to_string(format!("{FOLDER}/cibadmin.json")) else {
        eprintln!("skipped: {FOLDER} is not there");
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&cases).unwrap();
    let (mut run, mut wrong) = (0, Vec::new());
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let (Some(command), Some(cib)) = (command(case), read(&case["cib"]).map(Cib::new)) else {
            continue;
        };
        let rc = case["rc"].as_i64().unwrap();
        if rc == 107 {
            continue;
        }
        run += 1;
        if command.op == Op::Query {
            let found = query(&cib, &command);
            let expected = read(&case["stdout"]).filter(|e| e.is("cib") || e.is("crm_config"));
            match (found, expected) {
                (Err(error), _) if i64::from(error.exit().0) == rc => {}
                (Ok(Some(found)), Some(expected))
                    if bare(found.clone()) == bare(expected.clone()) => {}
                (Ok(Some(_)), None) if rc == 0 => {}
                (found, _) => wrong.push(format!("{name}: {found:?}")),
            }
            continue;
        }
        let applied = apply(&cib, &command);
        let exit = applied
            .answer
            .as_ref()
            .map_or_else(|error| i64::from(error.exit().0), |_| 0);
        let expected = read(&case["cib_after"]).unwrap_or_else(|| cib.root().clone());
        if exit != rc || bare(applied.cib.root().clone()) != bare(expected) {
            let answer = applied.answer.map_err(|error| error.to_string());
            wrong.push(format!(
                "{name}: {exit} for {rc}, {answer:?}\n{:?}",
                applied.cib.root()
            ));
        }
        if let Some(patch) = applied.patch {
            assert_eq!(
                patch.apply(cib.root()).unwrap(),
                *applied.cib.root(),
                "{name}"
            );
        }
    }
    assert!(
        run > 40 && wrong.is_empty(),
        "{run} run\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_recorded_file_digest_is_ours() {
    let Ok(cases) = std::fs::read_to_string(format!("{FOLDER}/cibadmin.json")) else {
        eprintln!("skipped: {FOLDER} is not there");
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&cases).unwrap();
    let case = cases
        .iter()
        .find(|case| case["name"] == "cibadmin.digest-calculation")
        .unwrap();
    let input = read(&case["stdin"]).unwrap();
    assert_eq!(
        digest::on_disk(&input),
        case["stdout"].as_str().unwrap().trim()
    );
}
