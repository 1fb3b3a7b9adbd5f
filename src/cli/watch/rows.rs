//! Rows of the graph that only one of the series 2.1 and 3.0 has, and that change nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::xml::Element;

/// Rows and inputs that only one series has, and that nothing else depends on:
///
/// - a member's stop before the start of the one in front of it, and edges within ordered clones (spec 3 §9.2 rule 7, §20);
/// - the start of a group or clone that nothing waits for, since nothing of it starts, and its announcement
///   (spec 3 §9.3, §9.7, §16.1);
/// - instances of one clone in front of those of another, where an order of kind Serialize is between the two, which then
///   wait for each other as a whole (spec 3 §1.4, §14.8);
/// - what waits, however indirectly, for something that is not done, and so is never begun (our own rule, spec 3 §17.2);
/// - a lost node's failures that 2.1 waits to be cleared and nobody clears (our own rule, spec 3 §17.2);
/// - the cancellation of a member's monitor that its stop ends anyway: without a place from a tentative assignment, its
///   actions are left as they are (spec 2 §13.4 step 4d, §11.4).
pub fn rows(cib: &Element, rows: Vec<String>) -> Vec<String> {
    let rows = begun(rows);
    let mut behind: BTreeMap<&str, &str> = BTreeMap::new();
    let ids_in = |element: &'_ Element| -> Vec<String> {
        element
            .descendants()
            .filter_map(Element::id)
            .map(str::to_owned)
            .collect()
    };
    for group in cib.descendants().filter(|element| element.is("group")) {
        let ids: Vec<&str> = group
            .children_named("primitive")
            .filter_map(Element::id)
            .collect();
        behind.extend(ids.windows(2).map(|pair| (pair[0], pair[1])));
    }
    let clones = || cib.descendants().filter(|element| element.is("clone"));
    let cloned: BTreeSet<String> = clones().flat_map(ids_in).collect();
    let cloned_groups = || clones().filter(|clone| clone.child("group").is_some());
    let in_cloned_groups: BTreeSet<String> = cloned_groups().flat_map(ids_in).collect();
    let apart = serialized_clones(cib);
    let inner = |clone: &str, rsc: &str| {
        let clone = clones().find(|one| one.id() == Some(clone));
        clone.is_some_and(|one| one.descendants().skip(1).any(|e| e.id() == Some(rsc)))
    };
    let is_of_instances = |rsc: &str, input: &str| {
        let first = parts(input).map(|(first, _)| first).unwrap_or_default();
        let mut pairs = apart.iter();
        pairs.any(|[one, two]| inner(one, first) && inner(two, rsc))
    };
    let never_cleared = never_cleared(&rows);
    let idle = idle_starts(&rows);
    let needless = |action: &str| idle.contains(action);
    let is_new = |rsc: &str, task: &str, input: &str| match parts(input) {
        Some((other, "stop")) if task == "start" => behind.get(rsc) == Some(&other),
        Some((other, "stop" | "stopped")) if task == "stop" => other == rsc && cloned.contains(rsc),
        Some((other, "start" | "running")) if task == "start" => {
            other == rsc && cloned.contains(rsc)
        }
        _ => false,
    };
    let change = |row: String| {
        let Some((action, mut inputs)) = split(&row) else {
            return Some(row);
        };
        let rsc = of_action(action).unwrap_or_default();
        let base = rsc.split(':').next().unwrap_or(rsc);
        let ended = || {
            inputs
                .iter()
                .any(|input| input.contains(&format!(" {rsc}_stop_0 stop ")))
        };
        if needless(action)
            || (action.contains(" cancel on ") && in_cloned_groups.contains(base) && ended())
        {
            return None;
        }
        inputs.retain(|input| !needless(input) && !never_cleared.contains(*input));
        if let Some((rsc, task)) = parts(action) {
            inputs.retain(|input| !is_new(rsc, task, input) && !is_of_instances(rsc, input));
        }
        Some(join(action, &inputs))
    };
    rows.into_iter().filter_map(change).collect()
}

/// Rows that are begun some day: all that they wait for is done. That something is cleared nobody waits for.
fn begun(mut rows: Vec<String>) -> Vec<String> {
    loop {
        let before = rows.len();
        let done: BTreeSet<String> = rows
            .iter()
            .filter_map(|row| Some(split(row)?.0.to_owned()))
            .collect();
        let comes = |input: &str| done.contains(input) || clears(input);
        rows.retain(|row| split(row).is_none_or(|(_, inputs)| inputs.into_iter().all(comes)));
        if rows.len() == before {
            return rows;
        }
    }
}

/// Whether an action clears failures.
fn clears(action: &str) -> bool {
    action.contains("_clear_failcount_0 ")
}

/// First and then of orders of kind Serialize, in sets too.
fn serialized_clones(cib: &Element) -> Vec<[&str; 2]> {
    let orders = cib.descendants().filter(|e| e.is("rsc_order"));
    let serial = orders.filter(|order| order.get("kind") == Some("Serialize"));
    let mut pairs = Vec::new();
    for order in serial {
        let in_sets = order
            .descendants()
            .filter(|e| e.is("resource_ref"))
            .filter_map(Element::id);
        let ends = ["first", "then"].into_iter();
        let all: Vec<&str> = ends
            .filter_map(|end| order.get(end))
            .chain(in_sets)
            .collect();
        for (at, first) in all.iter().enumerate() {
            pairs.extend(all[at + 1..].iter().map(|then| [*first, *then]));
        }
    }
    pairs
}

/// What is waited for that clears failures, and is in no row itself.
fn never_cleared(rows: &[String]) -> BTreeSet<String> {
    let done: BTreeSet<&str> = rows.iter().filter_map(|row| Some(split(row)?.0)).collect();
    let inputs = rows.iter().filter_map(|row| split(row));
    inputs
        .flat_map(|(_, inputs)| inputs)
        .filter(|input| clears(input) && !done.contains(input))
        .map(str::to_owned)
        .collect()
}

/// Pseudo-events `start` that no action waits for, however indirectly, and what announces these and nobody hears.
fn idle_starts(rows: &[String]) -> BTreeSet<String> {
    let mut idle: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = idle.len();
        let live = rows.iter().filter_map(|row| split(row));
        let live: Vec<_> = live.filter(|(action, _)| !idle.contains(*action)).collect();
        let waited_for: BTreeSet<&str> = live
            .iter()
            .flat_map(|(_, inputs)| inputs.iter().copied())
            .collect();
        let announces = |action: &str| {
            let phases = ["_confirmed-pre_notify_start_0", "_pre_notify_start_0"];
            let mut clones = phases.iter().filter_map(|phase| {
                let key = action.split(' ').nth(1)?;
                key.strip_suffix(phase)
            });
            clones.any(|clone| {
                let start = format!("pseudo_event {clone}_start_0 ");
                idle.iter().any(|other| other.starts_with(&start))
            })
        };
        let starts = live.iter().map(|(action, _)| *action).filter(|action| {
            let starts = action.contains("_start_0 start on ") || announces(action);
            action.starts_with("pseudo_event ") && starts
        });
        let more: Vec<String> = starts
            .filter(|action| !waited_for.contains(action))
            .map(str::to_owned)
            .collect();
        idle.extend(more);
        if idle.len() == before {
            return idle;
        }
    }
}

/// The resource without its number, and the task.
fn parts(identity: &str) -> Option<(&str, &str)> {
    let key = identity.split_whitespace().nth(1)?.strip_suffix("_0")?;
    let (rsc, task) = key.rsplit_once('_')?;
    Some((rsc.split(':').next().unwrap_or(rsc), task))
}

/// The resource of `rsc_op r-1_start_0 start on n1 via -`.
pub(super) fn of_action(action: &str) -> Option<&str> {
    let key = action.split(' ').nth(1)?;
    let told = ["_pre_notify", "_post_notify", "_confirmed-"];
    let told = told.iter().find_map(|word| key.split_once(word));
    match told {
        Some((rsc, _)) => Some(rsc),
        None => {
            let (key, _interval) = key.rsplit_once('_')?;
            let of_two_words = ["_migrate_to", "_migrate_from", "_clear_failcount"];
            let base = of_two_words.iter().find_map(|task| key.strip_suffix(task));
            base.or_else(|| Some(key.rsplit_once('_')?.0))
        }
    }
}

/// An action, and what it waits for.
pub(super) fn split(row: &str) -> Option<(&str, Vec<&str>)> {
    let (action, inputs) = row.split_once(" <- [")?;
    let inputs = inputs
        .trim_end_matches(']')
        .split("; ")
        .filter(|one| !one.is_empty());
    Some((action, inputs.collect()))
}

pub(super) fn join(action: &str, inputs: &[&str]) -> String {
    format!("{action} <- [{}]", inputs.join("; "))
}

/// The rows, without probes among what they wait for.
pub(super) fn without_probes(rows: &[String]) -> Vec<String> {
    let bare = |row: &String| {
        let (action, mut inputs) = split(row)?;
        inputs.retain(|input| !input.contains("_monitor_0 "));
        Some(join(action, &inputs))
    };
    rows.iter()
        .map(|row| bare(row).unwrap_or_else(|| row.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    fn left(cib: &str, given: &[&str]) -> Vec<String> {
        let cib = parse(cib, &Limits::default()).expect("well-formed");
        rows(&cib, given.iter().map(|row| (*row).to_owned()).collect())
    }

    #[test]
    fn the_resource_of_an_action_stands_in_its_key() {
        for key in ["db_start_0", "db_migrate_to_0", "db_clear_failcount_0"] {
            let row = format!("crm_event {key} x on n1 via -");
            assert_eq!(of_action(&row), Some("db"), "{row}");
        }
    }

    #[test]
    fn a_start_that_nothing_waits_for_goes_with_its_announcement() {
        let pre = "pseudo_event c_pre_notify_start_0 notify on - via -";
        let told = "pseudo_event c_confirmed-pre_notify_start_0 notified on - via -";
        let start = "pseudo_event c_start_0 start on - via -";
        let rows = [
            format!("{pre} <- []"),
            format!("{told} <- [{pre}]"),
            format!("{start} <- [{told}]"),
        ];
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert!(left("<cib/>", &rows).is_empty());
        let waits = format!("rsc_op db_start_0 start on n1 via - <- [{start}]");
        rows.push(&waits);
        assert_eq!(left("<cib/>", &rows), rows);
    }

    #[test]
    fn what_waits_for_what_is_not_done_is_not_begun() {
        let start = "rsc_op a_start_0 start on n1 via -";
        let stop = "rsc_op b_stop_0 stop on n1 via -";
        let rows = [
            format!("{start} <- [{stop}]"),
            format!("rsc_op a_monitor_10000 monitor on n1 via - <- [{start}]"),
            "rsc_op c_stop_0 stop on n1 via - <- []".to_owned(),
        ];
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert_eq!(left("<cib/>", &rows), rows[2..]);
        let ends = format!("{stop} <- []");
        rows.push(&ends);
        assert_eq!(left("<cib/>", &rows), rows);
    }

    #[test]
    fn instances_of_clones_in_series_need_not_wait_for_each_other() {
        let cib = |kind| {
            format!(
                r#"<cib><clone id="a"><group id="g"/></clone><clone id="b"><primitive id="r"/></clone>
                <rsc_order first="a" then="b" kind="{kind}"/></cib>"#
            )
        };
        let rows = [
            "rsc_op r:0_start_0 start on n1 via - <- [pseudo_event b_start_0 start on - via -; pseudo_event g:0_running_0 running on - via -]",
            "pseudo_event b_start_0 start on - via - <- []",
            "pseudo_event g:0_running_0 running on - via - <- []",
        ];
        let alone =
            "rsc_op r:0_start_0 start on n1 via - <- [pseudo_event b_start_0 start on - via -]";
        assert_eq!(left(&cib("Serialize"), &rows)[0], alone);
        assert_eq!(left(&cib("Mandatory"), &rows), rows);
    }
}
