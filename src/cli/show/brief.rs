//! Primitives counted per agent and node, for those who have hundreds of them. (spec 4 §5.6)

use std::collections::BTreeMap;

use super::page::Entry;
use super::resources::agent;
use crate::policy::RscIdx;
use crate::policy::facts::Facts;

/// `1/2 (ocf:pacemaker:Dummy): Active n1`, with totals or without. Of all nodes: a total says nothing about a few.
pub(super) fn lines(facts: &Facts, rscs: &[RscIdx], with_totals: bool) -> Vec<Entry> {
    let mut lines = Vec::new();
    for (agent, members) in by_agent(facts, rscs) {
        let total = members.len();
        let counts = by_node(facts, &members);
        if counts.is_empty() && with_totals {
            lines.push(Entry::Item(format!("0/{total}\t({agent}):\tActive")));
        }
        for (place, count) in counts {
            let node = facts.node_order.get(place);
            let name = node.map_or("", |node| facts.nodes[*node].name.as_str());
            let of = if with_totals {
                format!("/{total}")
            } else {
                String::new()
            };
            lines.push(Entry::Item(format!(
                "{count}{of}\t({agent}):\tActive {name}"
            )));
        }
    }
    lines
}

/// The same below a node, whose name need not be said again.
///
/// Quirk: what is active on other nodes, too, has a line for each of them.
pub(super) fn lines_below(facts: &Facts, rscs: &[RscIdx]) -> Vec<Entry> {
    let mut lines = Vec::new();
    for (agent, members) in by_agent(facts, rscs) {
        for (_, count) in by_node(facts, &members) {
            lines.push(Entry::Item(format!("{count}\t({agent}):\tActive ")));
        }
    }
    lines
}

/// How many are active on each node, in the order of the nodes' names.
fn by_node(facts: &Facts, members: &[RscIdx]) -> BTreeMap<usize, usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for rsc in members {
        let it = &facts.rscs[*rsc];
        for node in &it.active {
            let there = &facts.nodes[*node];
            let gone = !there.online && !there.unclean && it.flags.managed;
            if gone {
                continue;
            }
            // The list of nodes is kept in the order of their names.
            let place = facts.node_order.iter().position(|other| other == node);
            *counts.entry(place.unwrap_or(usize::MAX)).or_default() += 1;
        }
    }
    counts
}

fn by_agent(facts: &Facts, rscs: &[RscIdx]) -> BTreeMap<String, Vec<RscIdx>> {
    let mut agents: BTreeMap<String, Vec<RscIdx>> = BTreeMap::new();
    for rsc in rscs {
        agents.entry(agent(facts, *rsc)).or_default().push(*rsc);
    }
    agents
}
