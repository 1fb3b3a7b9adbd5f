//! Actions that wait for each other in a circle: none of them is ever begun, nor what waits for them. Orderings that
//! contradict each other lead there, also where nobody sees it in them: what runs inside of a guest ends before its host
//! does, so a host must not come after something that may run in the guest.
//!
//! The plan is carried out as it is; a person is told which orderings to look at.

use super::super::actions::plan::{ActIdx, Plan};
use crate::graph::{Action, Graph};

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
    /// How far an action was followed.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Not,
        /// By the way that one is on, at this place of it.
        OnTheWay(usize),
        ToTheEnd,
    }
    let synapses = &graph.synapses;
    let ids = synapses.iter().map(|synapse| synapse.action.id.0 as usize);
    let mut place: Vec<Option<usize>> = vec![None; ids.clone().max()? + 1];
    for (at, id) in ids.enumerate() {
        place[id] = Some(at);
    }
    let first = |at: usize, nth: usize| {
        let inputs = synapses[at].inputs.get(nth)?;
        Some(place.get(inputs.0 as usize).copied().flatten())
    };
    let mut seen = vec![Seen::Not; synapses.len()];
    // Where one is, and which input comes next.
    let mut way: Vec<(usize, usize)> = Vec::new();
    for start in 0..synapses.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        seen[start] = Seen::OnTheWay(0);
        way.push((start, 0));
        while let Some((at, nth)) = way.last_mut() {
            let Some(next) = first(*at, *nth) else {
                seen[*at] = Seen::ToTheEnd;
                way.pop();
                continue;
            };
            *nth += 1;
            let Some(next) = next else { continue };
            match seen[next] {
                Seen::ToTheEnd => {}
                Seen::Not => {
                    seen[next] = Seen::OnTheWay(way.len());
                    way.push((next, 0));
                }
                Seen::OnTheWay(from) => {
                    let round = &way[from..];
                    return Some(round.iter().map(|(at, _)| &synapses[*at].action).collect());
                }
            }
        }
    }
    None
}
