//! Where the actions of a graph stand when it is drawn. Time goes to the right: an action stands one column after the last
//! of those it waits for (longest path). Rows are resources, and the rows of one node form a lane:
//!
//! ```text
//!   h1 | db    [stop]──────┐
//!      | vip   [stop]──┐   │
//!   h2 | db            └───┴─►[start]──►[monitor 10s]
//! ```
//!
//! What follows from other arrows needs none of its own. Everything depends on the graph alone, so the same graph
//! stands in the same way.

use std::collections::BTreeMap;

use super::{Action, Graph};

/// An action in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of its synapse.
    pub(super) at: usize,
    /// Counted from the left.
    pub(super) column: usize,
    /// Counted from the top, over all lanes.
    pub(super) row: usize,
}

/// All actions that happen on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    /// The node; none for what the cluster does.
    pub(super) node: Option<String>,
    /// Resources from top to bottom; a second row of the same resource has an empty name.
    pub(super) rows: Vec<String>,
}

/// A graph with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) lanes: Vec<Lane>,
    pub(super) columns: usize,
    /// In the order of synapses.
    pub(super) places: Vec<Place>,
    /// Synapse and the one that follows.
    pub(super) arrows: Vec<(usize, usize)>,
}

/// Places for all actions of a graph.
pub(super) fn layout(graph: &Graph) -> Layout {
    let arrows = arrows(graph);
    let columns = columns(graph.synapses.len(), &arrows);
    let arrows = reduced(&arrows, &columns);
    let (lanes, rows) = rows(graph, &columns);
    let places = columns
        .iter()
        .zip(rows)
        .enumerate()
        .map(|(at, (column, row))| Place {
            at,
            column: *column,
            row,
        });
    Layout {
        places: places.collect(),
        columns: columns.iter().max().map_or(0, |last| last + 1),
        lanes,
        arrows,
    }
}

/// From what comes first to what follows, as indexes of synapses.
fn arrows(graph: &Graph) -> Vec<(usize, usize)> {
    let index: BTreeMap<_, _> = graph
        .actions()
        .enumerate()
        .map(|(at, action)| (action.id, at))
        .collect();
    let mut arrows = Vec::new();
    for (then, synapse) in graph.synapses.iter().enumerate() {
        // What is absent has no place.
        let firsts = synapse.inputs.iter().filter_map(|input| index.get(input));
        arrows.extend(firsts.map(|first| (*first, then)));
    }
    arrows.sort_unstable();
    arrows.dedup();
    arrows
}

/// Longest path to each. What waits for itself, which no healthy graph has, stands after everything else.
fn columns(count: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut waits = vec![0_usize; count];
    let mut followers = vec![Vec::new(); count];
    for (first, then) in arrows {
        waits[*then] += 1;
        followers[*first].push(*then);
    }
    let mut columns = vec![0; count];
    let mut open: Vec<usize> = (0..count).filter(|at| waits[*at] == 0).collect();
    let mut done = vec![false; count];
    while let Some(first) = open.pop() {
        done[first] = true;
        for then in &followers[first] {
            columns[*then] = columns[*then].max(columns[first] + 1);
            waits[*then] -= 1;
            if waits[*then] == 0 {
                open.push(*then);
            }
        }
    }
    let after = (0..count)
        .filter(|at| done[*at])
        .map(|at| columns[at] + 1)
        .max();
    for at in 0..count {
        if !done[at] {
            columns[at] = after.unwrap_or(0);
        }
    }
    columns
}

/// Arrows without those that a longer way says as well. An arrow to the next column never has a longer way.
fn reduced(arrows: &[(usize, usize)], columns: &[usize]) -> Vec<(usize, usize)> {
    let mut followers = vec![Vec::new(); columns.len()];
    for (first, then) in arrows {
        followers[*first].push(*then);
    }
    let longer_way = |first: usize, then: usize| {
        let mut seen = vec![false; columns.len()];
        let mut open: Vec<usize> = followers[first].clone();
        open.retain(|at| *at != then);
        while let Some(at) = open.pop() {
            if at == then {
                return true;
            }
            if columns[at] < columns[then] && !std::mem::replace(&mut seen[at], true) {
                open.extend(&followers[at]);
            }
        }
        false
    };
    let needed = |(first, then): &(usize, usize)| {
        columns[*then] <= columns[*first] + 1 || !longer_way(*first, *then)
    };
    arrows.iter().copied().filter(needed).collect()
}

/// Lanes by node, what the cluster does first; rows in the order in which their first action comes.
fn rows(graph: &Graph, columns: &[usize]) -> (Vec<Lane>, Vec<usize>) {
    let key = |action: &Action| {
        let node = action.node.as_ref().map(|node| node.name.to_string());
        (node, subject(action))
    };
    let mut lanes: BTreeMap<Option<String>, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (at, action) in graph.actions().enumerate() {
        let (node, subject) = key(action);
        lanes
            .entry(node)
            .or_default()
            .entry(subject)
            .or_default()
            .push(at);
    }
    let mut row_of = vec![0; columns.len()];
    let (mut drawn, mut next) = (Vec::new(), 0);
    for (node, subjects) in lanes {
        let mut subjects: Vec<(String, Vec<usize>)> = subjects.into_iter().collect();
        let first = |all: &[usize]| all.iter().map(|at| columns[*at]).min();
        subjects.sort_by_key(|(name, all)| (first(all), name.clone()));
        let mut names = Vec::new();
        for (name, mut all) in subjects {
            all.sort_by_key(|at| (columns[*at], graph.synapses[*at].action.id));
            // Two that stand in one column need two rows.
            let mut taken: Vec<usize> = Vec::new();
            for at in all {
                let free = taken.iter().position(|last| *last < columns[at]);
                let row = free.unwrap_or(taken.len());
                if row == taken.len() {
                    taken.push(columns[at]);
                } else {
                    taken[row] = columns[at];
                }
                row_of[at] = next + row;
            }
            next += taken.len();
            names.push(name);
            names.extend(std::iter::repeat_n(String::new(), taken.len() - 1));
        }
        drawn.push(Lane { node, rows: names });
    }
    (drawn, row_of)
}

/// What an action is done to.
pub(super) fn subject(action: &Action) -> String {
    if let Some(rsc) = &action.rsc {
        return rsc.long_id.as_ref().unwrap_or(&rsc.id).to_string();
    }
    if action.is_fencing() {
        return "fencing".to_owned();
    }
    // Keys end in `_TASK_INTERVAL`; notifications have one word more in front.
    let interval = format!("_{}", action.interval_ms());
    let stem = action.key.strip_suffix(&interval).unwrap_or(&action.key);
    for phase in [
        "_confirmed-pre_notify_",
        "_confirmed-post_notify_",
        "_pre_notify_",
        "_post_notify_",
    ] {
        if let Some((rsc, _)) = stem.rsplit_once(phase) {
            return rsc.to_owned();
        }
    }
    match stem.strip_suffix(&format!("_{}", action.task)) {
        Some(rsc) if !rsc.is_empty() => rsc.to_owned(),
        _ => "cluster".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActionId, ActionKind, Synapse};
    use super::*;

    fn graph(actions: &[(u32, &[u32])]) -> Graph {
        let synapse = |(id, inputs): &(u32, &[u32])| {
            let key = format!("r{id}_start_0");
            Synapse {
                priority: 0,
                action: Action::new(ActionId(*id), ActionKind::Pseudo, "start", &key),
                inputs: inputs.iter().copied().map(ActionId).collect(),
            }
        };
        Graph {
            synapses: actions.iter().map(synapse).collect(),
            ..Graph::default()
        }
    }

    #[test]
    fn an_action_stands_after_the_last_it_waits_for() {
        // 1 ─► 2 ─► 3, and 1 ─► 3, which follows.
        let layout = layout(&graph(&[(3, &[1, 2]), (1, &[]), (2, &[1])]));
        let columns: Vec<usize> = layout.places.iter().map(|place| place.column).collect();
        assert_eq!(columns, [2, 0, 1]);
        assert_eq!(layout.arrows, [(1, 2), (2, 0)]);
    }

    #[test]
    fn no_two_stand_in_one_place() {
        let graph = graph(&[(1, &[]), (2, &[]), (3, &[1]), (4, &[1, 2]), (5, &[4])]);
        let layout = layout(&graph);
        let mut taken: Vec<(usize, usize)> = layout
            .places
            .iter()
            .map(|place| (place.column, place.row))
            .collect();
        taken.sort_unstable();
        let all = taken.len();
        taken.dedup();
        assert_eq!(taken.len(), all);
    }

    #[test]
    fn a_circle_ends() {
        let layout = layout(&graph(&[(1, &[2]), (2, &[1]), (3, &[])]));
        assert_eq!(layout.columns, 2);
    }

    #[test]
    fn what_an_action_is_done_to_is_read_from_its_key() {
        let of = |task: &str, key: &str| {
            subject(&Action::new(ActionId(1), ActionKind::Pseudo, task, key))
        };
        assert_eq!(of("running", "my_group_running_0"), "my_group");
        assert_eq!(of("notified", "c_confirmed-post_notify_running_0"), "c");
        assert_eq!(of("load_stopped_h1", "load_stopped_h1"), "cluster");
    }
}
