//! A decision that is made with what the ones before left is the decision that is made without.

use systole::policy::{Input, Kept, Outcome, schedule, schedule_again};
use systole::xml::Element;

/// The CIB, some small changes of it, and the CIB once more: each decided with what was kept so far, and from nothing.
pub(crate) fn decided_alike(cib: &Element) -> Result<(), String> {
    let steps = [
        ("as recorded", cib.clone()),
        ("again", cib.clone()),
        ("without a history entry", without_entry(cib)),
        ("with a history entry changed", with_other_result(cib)),
        (
            "without its last constraint",
            without_last(cib, "constraints"),
        ),
        ("without its last resource", without_last(cib, "resources")),
        ("as recorded once more", cib.clone()),
    ];
    let mut kept = Kept::default();
    for (turn, (what, cib)) in (0..).zip(&steps) {
        // Time goes on, and some runs record causes.
        let input = Input {
            causes: turn % 3 == 0,
            ..Input::at(1_700_000_000 + turn)
        };
        let again = said(&schedule_again(cib, &input, &mut kept));
        let anew = said(&schedule(cib, &input));
        if again != anew {
            let difference = anew
                .lines()
                .zip(again.lines())
                .find(|(anew, again)| anew != again);
            return Err(format!(
                "decided otherwise with what was kept, {what}: {difference:?}"
            ));
        }
    }
    Ok(())
}

fn said(outcome: &Outcome) -> String {
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:?}",
        outcome.graph,
        outcome.summary,
        outcome.scores,
        outcome.warnings,
        outcome.placed,
        outcome.facts.recheck_by(),
    )
}

/// The entries of the last node that has any.
fn entries(cib: &mut Element) -> Option<&mut Element> {
    let status = cib.child_mut("status")?;
    let has = |state: &Element| {
        state
            .descend(&["lrm", "lrm_resources"])
            .is_some_and(Element::has_children)
    };
    let state = status.children_mut().rev().find(|state| has(state))?;
    state.child_mut("lrm")?.child_mut("lrm_resources")
}

fn without_entry(cib: &Element) -> Element {
    let mut cib = cib.clone();
    if let Some(entries) = entries(&mut cib) {
        entries.nodes_mut().remove(0);
    }
    cib
}

fn with_other_result(cib: &Element) -> Element {
    let mut cib = cib.clone();
    let entry = entries(&mut cib).and_then(|entries| entries.children_mut().next_back());
    if let Some(result) = entry.and_then(|entry| entry.child_mut("lrm_rsc_op")) {
        result.set("rc-code", "1");
        result.set("op-digest", "0");
    }
    cib
}

fn without_last(cib: &Element, section: &str) -> Element {
    let mut cib = cib.clone();
    let section = cib
        .child_mut("configuration")
        .and_then(|configuration| configuration.child_mut(section));
    if let Some(section) = section {
        section.nodes_mut().pop();
    }
    cib
}
