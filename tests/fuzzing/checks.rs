//! What must hold of the answer to any CIB.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use systole::cib::{Cib, schema};
use systole::graph::{self, ActionKind, Graph, Rule};
use systole::policy::{self, Kept, Outcome};
use systole::simulate::{Draft, Ending, Known, execute};
use systole::xml::{Element, write};

use crate::generate::input;
use crate::orders;

/// Plans that may follow each other before the cluster must be at rest.
const ROUNDS: i64 = 8;

/// Begins the kind of problems in which nothing forbidden happens, but something wanted does not either. An older
/// implementation has them, too, on the same CIBs or others.
pub(crate) const STUCK: &str = "stuck:";

/// What is wrong, in one line that says which kind it is, and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `panic`, `violation`, ...: two problems of one kind may be one.
    pub(crate) kind: String,
    /// What was seen.
    pub(crate) text: String,
}

impl Problem {
    fn new(kind: &str, text: impl Into<String>) -> Self {
        Problem {
            kind: kind.to_owned(),
            text: text.into(),
        }
    }
}

/// All that can be said about the answer to this CIB.
pub(crate) fn hold(cib: &Element) -> Result<(), Problem> {
    let run = AssertUnwindSafe(|| unguarded(cib));
    match catch_unwind(run) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Problem::new("panic", text.unwrap_or("?")))
        }
    }
}

fn unguarded(cib: &Element) -> Result<(), Problem> {
    let outcome = policy::schedule(cib, &input(cib));
    let mut kept = Kept::default();
    drop(policy::schedule_again(cib, &input(cib), &mut kept));
    let again = policy::schedule_again(cib, &input(cib), &mut kept);
    let (first, second) = (spoken(&outcome), spoken(&again));
    if first != second {
        return Err(Problem::new(
            "not the same twice",
            format!("{first}\n--\n{second}"),
        ));
    }
    // What the door refuses needs an answer, but not a good one.
    if !schema::check(&Cib::new(cib.clone())).is_empty() {
        return Ok(());
    }
    // Whom an action on one of two nodes of the same name is meant for, nobody can say.
    if namesakes(cib) {
        return Ok(());
    }
    let contradictory = orders::contradictory(cib);
    obeys(&outcome.graph, cib, contradictory)?;
    // Nobody can follow orders that contradict each other to the end.
    if contradictory {
        return Ok(());
    }
    settles(cib, outcome, &mut kept)
}

/// Whether two nodes have one name.
fn namesakes(cib: &Element) -> bool {
    let nodes = cib.descend(&["configuration", "nodes"]);
    let mut names = BTreeSet::new();
    let mut named = nodes
        .into_iter()
        .flat_map(Element::children)
        .filter_map(|node| node.get("uname"));
    !named.all(|name| names.insert(name))
}

/// Everything that anybody gets to see.
fn spoken(outcome: &Outcome) -> String {
    let mut text = write::pretty(&graph::write(&outcome.graph));
    for line in &outcome.scores {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line:?}");
    }
    for line in &outcome.summary {
        let _ = writeln!(text, "{line:?}");
    }
    let _ = writeln!(text, "{:?}", outcome.warnings);
    text
}

fn never_done(rule: Rule) -> bool {
    matches!(rule, Rule::Cycle | Rule::WaitsForNothing)
}

fn has_circle(graph: &Graph) -> bool {
    let found = graph::check(graph, None);
    found.iter().any(|one| one.rule == Rule::Cycle)
}

fn obeys(graph: &Graph, cib: &Element, contradictory: bool) -> Result<(), Problem> {
    let mut broken = graph::check_against(graph, cib);
    broken.retain(|one| !contradictory || !never_done(one.rule));
    if broken.iter().any(|one| one.rule == Rule::Cycle) && orders::contradictory_in_places(cib) {
        broken.retain(|one| one.rule != Rule::Cycle);
    }
    // What breaks a promise is said first.
    broken.sort_by_key(|one| never_done(one.rule));
    let Some(first) = broken.first() else {
        return Ok(());
    };
    let lines: Vec<String> = broken
        .iter()
        .map(|one| format!("{:?}: {one}", one.rule))
        .collect();
    let what = if never_done(first.rule) {
        STUCK
    } else {
        "violation"
    };
    Err(Problem::new(
        &format!("{what} {:?}", first.rule),
        lines.join("\n"),
    ))
}

/// What would really be done.
fn deeds(graph: &Graph) -> Vec<String> {
    let mut deeds: Vec<String> = graph
        .actions()
        .filter(|action| action.kind != ActionKind::Pseudo)
        .map(|action| {
            let node = action.node.as_ref().map(|node| node.name.as_str());
            format!("{} on {}", action.key, node.unwrap_or("-"))
        })
        .collect();
    deeds.sort();
    deeds
}

/// Carried out again and again, plans come to an end.
fn settles(cib: &Element, first: Outcome, kept: &mut Kept) -> Result<(), Problem> {
    let mut outcome = first;
    let mut cib = cib.clone();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for round in 0..ROUNDS {
        let now = deeds(&outcome.graph);
        if now.is_empty() {
            return Ok(());
        }
        seen.push(now);
        // What was done at one time is in no order where call ids say nothing, on different nodes.
        let mut draft = Draft::new(&cib, crate::status::NOW_S + 1 + round);
        draft.forgets = true;
        let known = Known::of(&outcome.facts);
        let circle = has_circle(&outcome.graph);
        match execute(&outcome.graph, &mut draft, &known, &[]) {
            // The status names a node twice: nothing can be tried on it.
            Err(_) => return Ok(()),
            // Orders that contradict each other, or it would have been said before.
            Ok(_) if circle => return Ok(()),
            Ok(done) if done.ending == Ending::Terminated => {
                return Err(Problem::new(
                    &format!("{STUCK} terminated"),
                    format!("{:#?}", seen.last()),
                ));
            }
            Ok(_) => {}
        }
        cib = draft.cib().clone();
        outcome = policy::schedule(&cib, &input(&cib));
        // With what the decision before left, the same comes out.
        let again = policy::schedule_again(&cib, &input(&cib), kept);
        let (anew, again) = (spoken(&outcome), spoken(&again));
        if anew != again {
            return Err(Problem::new(
                "not the same with what was kept",
                format!("{anew}\n--\n{again}"),
            ));
        }
        obeys(&outcome.graph, &cib, false)?;
    }
    let last = seen.split_off(seen.len().saturating_sub(2));
    let task = last[0][0].rsplit('_').nth(1).unwrap_or_default();
    Err(Problem::new(
        &format!("{STUCK} restless {task}"),
        format!("{last:#?}"),
    ))
}
