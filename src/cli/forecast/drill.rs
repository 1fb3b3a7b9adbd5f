//! What if this machine fails? The loss is put into a copy of the CIB as the coordinator would write it, and the cluster
//! carries out what it decides: each resource then survives, moves, or is lost, with the reason.

use std::collections::BTreeMap;

use super::{
    outage::{Interruption, interruptions_after},
    play::{Played, Standing, play},
    times::Times,
};
use crate::{
    cli::cmd::explain,
    policy::{
        Input, Outcome,
        facts::{self, Facts, options::PlacementStrategy},
    },
    simulate::{self, Draft},
    terms::Role,
    xml::Element,
};

/// A failure to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What people call it.
    pub(crate) name: String,
    /// The nodes that fail together.
    pub(crate) nodes: Vec<String>,
    /// Whether the others are a majority; unknown offline.
    pub(crate) quorate: Option<bool>,
}

/// What becomes of one primitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not touched.
    Stays,
    /// Instances are lost, others are left.
    Fewer {
        /// Where it runs then.
        on: Vec<String>,
        /// So many instances ran before.
        before: usize,
    },
    /// It runs elsewhere.
    Moves {
        /// Where it ran.
        from: Vec<String>,
        /// Where it runs then.
        to: Vec<String>,
    },
    /// Its promoted role is elsewhere.
    Promotes {
        /// Where it is then.
        on: Vec<String>,
    },
    /// It runs, but nowhere promoted.
    Unpromoted {
        /// Where it runs then.
        on: Vec<String>,
    },
    /// It does not run any more.
    Lost {
        /// Why.
        why: String,
    },
}

impl Fate {
    /// Something is not there any more that was there.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Fate::Lost { .. } | Fate::Unpromoted { .. })
    }
}

/// What is left of a node's capacity: node, what, left, of how much.
pub(crate) type Left = (String, String, i64, i64);

/// What comes of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What failed.
    pub(crate) failure: Failure,
    /// Each primitive that ran.
    pub(crate) fates: Vec<(String, Fate)>,
    /// How long they are away.
    pub(crate) interruptions: Vec<Interruption>,
    /// Nodes that are fenced.
    pub(crate) fenced: Vec<String>,
    /// What is left of capacities, where they count.
    pub(crate) capacity: Vec<Left>,
}

impl Verdict {
    /// What is lost.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &str> {
        let lost = self.fates.iter().filter(|(_, fate)| fate.is_lost());
        lost.map(|(rsc, _)| rsc.as_str())
    }
}

/// Try it.
pub(crate) fn drill(
    cib: &Element,
    failure: &Failure,
    input: &Input,
) -> Result<Verdict, simulate::Error> {
    let before = facts::read(cib, input);
    let standing = super::play::standing(&before);
    let times = Times::of(cib);
    let survivors = before
        .nodes
        .iter()
        .filter(|node| node.online && !failure.nodes.iter().any(|lost| node.name == **lost));
    let mut survivors: Vec<(String, String)> = survivors
        .map(|node| (node.id.to_string(), node.name.to_string()))
        .collect();
    survivors.sort();
    let Some((coordinator, _)) = survivors.first() else {
        return Ok(nothing_left(failure, &standing));
    };
    let mut draft = Draft::new(cib, input.now_s);
    draft.set("dc-uuid", coordinator);
    for node in &failure.nodes {
        if before.options.fencing_enabled {
            draft.set_membership(node, false, true)?;
        } else {
            // Without fencing the loss is written when it is proven, and then nothing of the node counts any more.
            draft.take_down(node, None)?;
        }
    }
    let input = Input {
        quorum: failure.quorate.or(input.quorum),
        ..input.clone()
    };
    let played = play(draft.cib(), &input)?;
    let fates = standing
        .iter()
        .filter(|(rsc, nodes)| !nodes.is_empty() && !super::play::is_left_over(&before, rsc))
        .map(|(rsc, nodes)| (rsc.clone(), fate(rsc, nodes, &played)));
    Ok(Verdict {
        failure: failure.clone(),
        fates: fates.collect(),
        interruptions: interruptions_after(&failure.nodes, &standing, &played.rounds, &times),
        fenced: fenced(&played),
        capacity: capacity(&played.last),
    })
}

fn nothing_left(failure: &Failure, standing: &Standing) -> Verdict {
    let ran = standing.iter().filter(|(_, nodes)| !nodes.is_empty());
    let why = "no node is left".to_owned();
    Verdict {
        failure: failure.clone(),
        fates: ran
            .map(|(rsc, _)| (rsc.clone(), Fate::Lost { why: why.clone() }))
            .collect(),
        interruptions: Vec::new(),
        fenced: Vec::new(),
        capacity: Vec::new(),
    }
}

fn names(nodes: &BTreeMap<String, Role>, promoted: bool) -> Vec<String> {
    let wanted = nodes
        .iter()
        .filter(|(_, role)| !promoted || **role == Role::Promoted);
    wanted.map(|(node, _)| node.clone()).collect()
}

fn fate(rsc: &str, before: &BTreeMap<String, Role>, played: &Played) -> Fate {
    let none = BTreeMap::new();
    let after = played.ends.get(rsc).unwrap_or(&none);
    let (from, to) = (names(before, false), names(after, false));
    if to.is_empty() {
        return Fate::Lost {
            why: explain::why_nowhere(&played.last, rsc),
        };
    }
    let (was, is) = (names(before, true), names(after, true));
    match (was.is_empty(), is.is_empty()) {
        (false, true) => return Fate::Unpromoted { on: to },
        (false, false) if was != is => return Fate::Promotes { on: is },
        _ => {}
    }
    if from == to {
        Fate::Stays
    } else if from.len() > 1 && to.iter().all(|node| from.contains(node)) {
        Fate::Fewer {
            on: to,
            before: from.len(),
        }
    } else {
        Fate::Moves { from, to }
    }
}

fn fenced(played: &Played) -> Vec<String> {
    let graphs = played.rounds.iter().map(|round| &round.outcome.graph);
    let actions = graphs.flat_map(|graph| graph.actions());
    let mut nodes: Vec<String> = actions
        .filter(|action| action.kills_node())
        .filter_map(|action| Some(action.node.as_ref()?.name.to_string()))
        .collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// What nodes have left when everything runs that is to run.
fn capacity(outcome: &Outcome) -> Vec<Left> {
    let facts: &Facts = &outcome.facts;
    if facts.options.placement_strategy == PlacementStrategy::Default {
        return Vec::new();
    }
    let mut left = Vec::new();
    for index in &facts.node_order {
        let node = &facts.nodes[*index];
        if !node.online || node.standby {
            continue;
        }
        for (what, text) in node.utilization.iter() {
            let all = number(text);
            let used: i64 = facts
                .rscs
                .iter()
                .filter(|rsc| rsc.is_primitive() && rsc.active.contains(index))
                .filter_map(|rsc| rsc.utilization.get(what))
                .map(number)
                .sum();
            left.push((node.name.to_string(), what.to_owned(), all - used, all));
        }
    }
    left
}

fn number(text: &str) -> i64 {
    text.trim().parse().unwrap_or(0)
}
