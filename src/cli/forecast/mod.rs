//! What will happen: the cluster's own decisions, carried out on a copy until nothing is left to do.
//! Enters: a CIB as it is, as it would be, and the time.
//! Leaves: what is done in which order, where everything is in the end, what is interrupted and for how long, and what
//! an operator should think about first.
//! May touch: nothing; pure. The policy is the coordinator's, carrying out is the simulation's.

mod drill;
mod outage;
mod play;
mod rails;
mod text;
mod times;

pub(crate) use drill::{Failure, Fate, Verdict, drill};
pub(crate) use outage::Interruption;
pub(crate) use play::{Round, Standing, play, standing};
pub(crate) use rails::Rail;
pub(crate) use text::{as_json, as_text};

use outage::interruptions;
use times::Times;

use crate::{policy::Input, raft::Touched, simulate, xml::Element};

/// What a change of the configuration would lead to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forecast {
    /// Objects of the configuration.
    pub(crate) objects: Vec<Touched>,
    /// What is done, as the summaries of the transitions say it, in their order.
    pub(crate) deeds: Vec<String>,
    /// So many actions.
    pub(crate) actions: usize,
    /// What is not there for a time.
    pub(crate) interruptions: Vec<Interruption>,
    /// What should be thought about.
    pub(crate) rails: Vec<Rail>,
    /// Nothing is left to do in the end.
    pub(crate) settles: bool,
    /// So many actions are due without the change, too.
    pub(crate) due_anyway: usize,
}

impl Forecast {
    /// Whether two say the same, however long it may take.
    pub(crate) fn same_deeds(&self, other: &Forecast) -> bool {
        self.deeds == other.deeds && self.rails == other.rails && self.settles == other.settles
    }
}

/// What becomes of `old` when its configuration is that of `new`.
pub(crate) fn forecast(
    old: &Element,
    new: &Element,
    input: &Input,
) -> Result<Forecast, simulate::Error> {
    let patch = crate::cib::patch::diff(old, new);
    let (without, with) = (play(old, input)?, play(new, input)?);
    let times = Times::of(old);
    let deeds = with.rounds.iter().flat_map(|round| round.deeds());
    Ok(Forecast {
        objects: Touched::of(&patch),
        deeds: deeds.collect(),
        actions: with.actions(),
        interruptions: interruptions(&without.standing, &with.rounds, &times),
        rails: rails::newly(&without, &with, new),
        settles: with.settled,
        due_anyway: without.actions(),
    })
}

#[cfg(test)]
mod tests;
