//! How another implementation answers: the `crm_simulate` of Pacemaker 2.1, where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use systole::xml::{Element, write};

use crate::checks::Problem;
use crate::compare;

const PROGRAM: &str = "/usr/sbin/crm_simulate";

/// As for our own plans.
const ROUNDS: usize = 8;

/// Whether there is somebody to ask.
pub(crate) fn present() -> bool {
    Path::new(PROGRAM).exists()
}

/// What somebody says about a CIB.
#[derive(Debug, Default)]
struct Answer {
    summary: Vec<String>,
    scores: Vec<String>,
    graph: Vec<String>,
}

/// Whether the other implementation gets stuck on this CIB, too: None when it does not read it.
pub(crate) fn stuck(cib: &Element) -> Option<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("0.xml"), write::pretty(cib)).expect("a writable folder");
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
            .filter(|line| line.contains(" action:") && !line.contains("Pseudo action:"))
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
        graph: without_new_edges(cib, answer.graph),
        scores: where_something_can_run(cib, answer.scores),
        ..answer
    });
    let all = same("summary", &theirs.summary, &ours.summary)
        .and_then(|()| same("scores", &theirs.scores, &ours.scores))
        .and_then(|()| same("graph", &theirs.graph, &ours.graph));
    let case = Case {
        cib,
        theirs: &theirs,
        ours: &ours,
    };
    if let (Err(problem), Some(known)) = (&all, EXPLAINED.iter().find(|one| (one.is)(&case))) {
        if std::env::var_os("FUZZ_EXPLAIN").is_some() {
            eprintln!("{}: {} ({})", problem.kind, known.what, known.spec);
        }
        return Ok(());
    }
    all
}

/// What both sides said.
struct Case<'c> {
    cib: &'c Element,
    theirs: &'c Answer,
    ours: &'c Answer,
}

/// A way in which series 3.0 differs from 2.1 by the specification.
struct Explained {
    what: &'static str,
    spec: &'static str,
    /// Whether it can be at work here.
    is: fn(&Case<'_>) -> bool,
}

/// Differences that can't be taken out of the answers, because others follow from them.
const EXPLAINED: [Explained; 6] = [
    Explained {
        what: "preferences of dependents are merged otherwise, later members' too",
        spec: "spec 2 §10.5.1, §13.4, §22",
        is: |case| {
            let simple = |id: Option<&str>| {
                let resources = case.cib.descend(&["configuration", "resources"]);
                resources
                    .is_some_and(|all| all.children_named("primitive").any(|rsc| rsc.id() == id))
            };
            let mut all = case.cib.descendants().filter(|e| e.is("rsc_colocation"));
            all.any(|one| {
                one.get("score") != Some("INFINITY")
                    || !simple(one.get("rsc"))
                    || !simple(one.get("with-rsc"))
            })
        },
    },
    Explained {
        what: "a member that can't stop keeps the one in front of it from starting",
        spec: "spec 3 §9.2 rule 7, §14.4, §20",
        is: |case| {
            let words = ["blocked", "unrunnable", "unmigrateable"];
            let held = |line: &String| words.iter().any(|word| line.contains(word));
            case.cib.descendants().any(|e| e.is("group")) && case.ours.summary.iter().any(held)
        },
    },
    Explained {
        what: "an instance does not start before probes that can't run, as on a node that is still joining",
        spec: "spec 3 §7.2 (a) 1",
        is: |case| {
            let joining = |state: &Element| {
                state.is("node_state")
                    && (state.get("in_ccm") == Some("true"))
                    && (state.get("join") != Some("member") || state.get("crmd") != Some("online"))
            };
            case.cib.descendants().any(|e| e.is("clone")) && case.cib.descendants().any(joining)
        },
    },
    Explained {
        what: "a second ordering of the same two is not lost behind one of kind Serialize",
        spec: "spec 3 §1.4, §10.1",
        is: |case| {
            let orders = || case.cib.descendants().filter(|e| e.is("rsc_order"));
            orders().any(|one| {
                let same = |other: &&Element| {
                    other.get("first") == one.get("first") && other.get("then") == one.get("then")
                };
                one.get("kind") == Some("Serialize") && orders().filter(same).count() > 1
            })
        },
    },
    Explained {
        what: "an expired failure says nothing of the role",
        spec: "spec 1 §22.3",
        is: |case| {
            let expires = |e: &Element| e.get("name") == Some("failure-timeout");
            let failed = |e: &Element| matches!(e.get("rc-code"), Some("8" | "9"));
            case.cib.descendants().any(expires) && case.cib.descendants().any(failed)
        },
    },
    Explained {
        what: "more actions wait for probes",
        spec: "spec 3 §7.2, §20",
        is: |case| {
            // Only the graph differs, and only by probes that are waited for on our side.
            let bare = |rows: &[String]| -> Vec<String> {
                let inputs = |row: &String| match row.split_once(" <- [") {
                    Some((action, inputs)) => {
                        let inputs = inputs.trim_end_matches(']').split("; ");
                        let inputs: Vec<&str> = inputs
                            .filter(|input| !input.contains("_monitor_0 "))
                            .collect();
                        format!("{action} <- {inputs:?}")
                    }
                    None => row.clone(),
                };
                rows.iter().map(inputs).collect()
            };
            case.theirs.summary == case.ours.summary
                && case.theirs.scores == case.ours.scores
                && bare(&case.theirs.graph) == bare(&case.ours.graph)
        },
    },
];

/// On a node that can't run anything 2.1 ignores what a rule says. (spec 2 §7.4)
fn where_something_can_run(cib: &Element, lines: Vec<String>) -> Vec<String> {
    let online: BTreeSet<&str> = cib
        .descendants()
        .filter(|e| e.is("node_state") && e.get("crmd") == Some("online"))
        .filter(|e| e.get("join") == Some("member"))
        .filter_map(|e| e.get("uname"))
        .collect();
    let kept = |line: &String| {
        let node = line
            .split(" on ")
            .nth(1)
            .and_then(|rest| rest.split(':').next());
        node.is_none_or(|node| online.contains(node))
    };
    lines.into_iter().filter(kept).collect()
}

/// Series 3.0 has more edges: a member's stop before the start of the one in front of it, and within ordered clones.
/// (spec 3 §9.2 rule 7, §20)
fn without_new_edges(cib: &Element, rows: Vec<String>) -> Vec<String> {
    let mut behind: BTreeMap<&str, &str> = BTreeMap::new();
    for group in cib.descendants().filter(|element| element.is("group")) {
        let ids: Vec<&str> = group
            .children_named("primitive")
            .filter_map(Element::id)
            .collect();
        behind.extend(ids.windows(2).map(|pair| (pair[0], pair[1])));
    }
    let cloned: BTreeSet<&str> = cib
        .descendants()
        .filter(|element| element.is("clone"))
        .flat_map(Element::descendants)
        .filter_map(Element::id)
        .collect();
    // The resource without its number, and the task.
    fn parts(identity: &str) -> Option<(&str, &str)> {
        let key = identity.split_whitespace().nth(1)?.strip_suffix("_0")?;
        let (rsc, task) = key.rsplit_once('_')?;
        Some((rsc.split(':').next().unwrap_or(rsc), task))
    }
    let change = |row: String| -> String {
        let Some((action, inputs)) = row.split_once(" <- [") else {
            return row;
        };
        let Some((rsc, task)) = parts(action) else {
            return row;
        };
        let is_new = |input: &str| match parts(input) {
            Some((other, "stop")) if task == "start" => behind.get(rsc) == Some(&other),
            Some((other, "stop" | "stopped")) if task == "stop" => {
                other == rsc && cloned.contains(rsc)
            }
            Some((other, "start" | "running")) if task == "start" => {
                other == rsc && cloned.contains(rsc)
            }
            _ => false,
        };
        let kept: Vec<&str> = inputs
            .trim_end_matches(']')
            .split("; ")
            .filter(|input| !is_new(input))
            .collect();
        format!("{action} <- [{}]", kept.join("; "))
    };
    rows.into_iter().map(change).collect()
}

fn same(kind: &str, want: &[String], got: &[String]) -> Result<(), Problem> {
    if want == got {
        return Ok(());
    }
    let difference = compare::Difference {
        want: want.to_vec(),
        got: got.to_vec(),
        errors: String::new(),
    };
    Err(Problem {
        kind: kind.to_owned(),
        text: difference.to_string(),
    })
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
    let mut summary = compare::squeeze(&summary.collect::<Vec<_>>().join("\n"));
    summary.sort();
    let graph = std::fs::read_to_string(graph).unwrap_or_default();
    let scores = run(&["-x".into(), input.into(), "-sQR".into()])?;
    let scores: Vec<&str> = scores
        .lines()
        .filter(|line| line.contains(" score on "))
        .collect();
    Some(Answer {
        summary,
        scores: compare::score_lines(&scores.join("\n"))
            .into_iter()
            .filter(|line| !of_an_instance(line))
            .collect(),
        graph: compare::graph_rows(&graph, false),
    })
}
