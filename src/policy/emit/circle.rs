//! Actions that wait for each other in a circle: none of them is ever begun, nor what waits for them. Orderings that
//! contradict each other lead there, also where nobody sees it in them: what runs inside of a guest ends before its host
//! does, so a host must not come after something that may run in the guest.
//!
//! The plan is carried out as it is; a person is told which orderings to look at.

use std::collections::BTreeMap;

use super::super::actions::plan::{ActIdx, Plan};
use crate::graph::{Action, ActionId, Graph};

/// What to tell about the circle; nothing if there is none.
pub(in super::super) fn circle(plan: &Plan, graph: &Graph) -> Option<String> {
    let circle = find(graph)?;
    let names: Vec<String> = circle
        .iter()
        .map(|action| match &action.node {
            Some(node) => format!("{} on {}", action.key, node.name),
            None => action.key.clone(),
        })
        .collect();
    let mut origins: Vec<&str> = Vec::new();
    for (at, then) in circle.iter().enumerate() {
        let first = circle[(at + 1) % circle.len()];
        let inputs = &plan.get(ActIdx(then.id.0 - 1)).ins;
        let between = inputs
            .iter()
            .filter(|input| input.first.0 + 1 == first.id.0);
        for input in between {
            let id = plan.origins.get(input.origin.0 as usize);
            let id = id.map(|id| &**id).filter(|id| !id.is_empty());
            origins.extend(id.filter(|id| !origins.contains(id)));
        }
    }
    let cure = match origins[..] {
        [] => "change what puts them in this order".to_owned(),
        [one] => format!("remove or change the ordering `{one}`"),
        _ => format!("remove one of the orderings `{}`", origins.join("`, `")),
    };
    let names = names.join(", which waits for ");
    Some(format!(
        "{names}, which waits for the first of these, so none of them is ever done; {cure}"
    ))
}

/// The actions of one circle, each followed by one that it waits for.
fn find(graph: &Graph) -> Option<Vec<&Action>> {
    let place: BTreeMap<ActionId, usize> = graph
        .synapses
        .iter()
        .enumerate()
        .map(|(at, synapse)| (synapse.action.id, at))
        .collect();
    let inputs = |at: usize| {
        let inputs = graph.synapses[at].inputs.iter();
        inputs.filter_map(|input| place.get(input).copied())
    };
    let mut followers = vec![Vec::new(); graph.synapses.len()];
    let mut missing = vec![0_usize; graph.synapses.len()];
    for (at, missing) in missing.iter_mut().enumerate() {
        for first in inputs(at) {
            followers[first].push(at);
            *missing += 1;
        }
    }
    let mut free: Vec<usize> = (0..missing.len()).filter(|at| missing[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for &then in &followers[at] {
            missing[then] -= 1;
            if missing[then] == 0 {
                free.push(then);
            }
        }
    }
    // What is left waits for something that is left: going on leads round sooner or later.
    let mut way = vec![missing.iter().position(|left| *left > 0)?];
    loop {
        let next = inputs(*way.last()?).find(|first| missing[*first] > 0)?;
        if let Some(start) = way.iter().position(|at| *at == next) {
            let round = &way[start..];
            return Some(round.iter().map(|at| &graph.synapses[*at].action).collect());
        }
        way.push(next);
    }
}
