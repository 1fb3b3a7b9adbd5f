//! A cluster that does what it decides, on a copy: a decision, everything in it done, the next decision, until there is
//! nothing left to do.

use std::collections::BTreeMap;

use crate::{
    cli::cmd::explain,
    graph::ActionKind,
    policy::{Input, Outcome, facts::Facts, schedule},
    simulate::{self, Draft, Known},
    terms::Role,
    xml::Element,
};

/// More decisions than this one after the other are a loop.
const ROUNDS: usize = 12;

/// By the configured id of each primitive: the nodes on which it is active, and in which role.
pub(crate) type Standing = BTreeMap<String, BTreeMap<String, Role>>;

/// One decision that was carried out.
#[derive(Debug)]
pub(crate) struct Round {
    /// The decision.
    pub(crate) outcome: Outcome,
}

impl Round {
    /// What it does, in the words of the summary.
    pub(crate) fn deeds(&self) -> Vec<String> {
        explain::summary(&self.outcome)
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Played {
    /// Where everything was.
    pub(crate) standing: Standing,
    /// Decisions with something to do.
    pub(crate) rounds: Vec<Round>,
    /// The decision in the end.
    pub(crate) last: Outcome,
    /// Where everything is then.
    pub(crate) ends: Standing,
    /// The CIB then.
    #[cfg(test)]
    pub(crate) cib: Element,
    /// Nothing is left to do then.
    pub(crate) settled: bool,
}

impl Played {
    /// How much was done by agents, fence devices and the cluster itself.
    pub(crate) fn actions(&self) -> usize {
        let graphs = self.rounds.iter().map(|round| &round.outcome.graph);
        graphs
            .flat_map(|graph| graph.actions())
            .filter(|action| action.kind != ActionKind::Pseudo)
            .count()
    }

    /// What was true in the beginning.
    pub(crate) fn first(&self) -> &Outcome {
        self.rounds
            .first()
            .map_or(&self.last, |round| &round.outcome)
    }
}

/// Where everything is.
pub(crate) fn standing(facts: &Facts) -> Standing {
    let mut found = Standing::new();
    for rsc in facts.rscs.iter().filter(|rsc| rsc.is_primitive()) {
        let nodes = found.entry(rsc.xml_id.to_string()).or_default();
        for node in &rsc.active {
            nodes.insert(facts.nodes[*node].name.to_string(), rsc.role);
        }
    }
    found
}

/// Whether it is not configured any more and runs all the same: nobody counts on it.
pub(crate) fn is_left_over(facts: &Facts, rsc: &str) -> bool {
    let mut all = facts.rscs.iter();
    all.any(|it| it.flags.removed && it.xml_id.as_str() == rsc)
}

/// Carry it out.
pub(crate) fn play(cib: &Element, input: &Input) -> Result<Played, simulate::Error> {
    let mut cib = cib.clone();
    let mut rounds: Vec<Round> = Vec::new();
    let (last, settled) = loop {
        let outcome = schedule(&cib, input);
        // Pseudo actions change nothing: with utilization, some are in every graph.
        let idle = outcome
            .graph
            .actions()
            .all(|action| action.kind == ActionKind::Pseudo);
        if idle {
            break (outcome, true);
        }
        if rounds.len() == ROUNDS {
            break (outcome, false);
        }
        let mut draft = Draft::new(&cib, input.now_s);
        draft.forgets = true;
        simulate::execute(&outcome.graph, &mut draft, &Known::of(&outcome.facts), &[])?;
        cib = draft.cib().clone();
        rounds.push(Round { outcome });
    };
    let first = rounds.first().map_or(&last, |round| &round.outcome);
    Ok(Played {
        standing: standing(&first.facts),
        ends: standing(&last.facts),
        rounds,
        last,
        #[cfg(test)]
        cib,
        settled,
    })
}
