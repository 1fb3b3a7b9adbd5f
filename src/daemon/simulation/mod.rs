//! Whole nodes in a simulated world: every machine of the daemon, a network, disks, agents and fence devices that fail.
//! Enters: a seed, and a scenario.
//! Leaves: a report: what was found wrong, what was counted, a digest of all that happened.
//! May touch: nothing; one seed is one run, bit for bit.
//!
//! Only with the feature `simulation`.

mod carry;
mod checks;
mod client;
mod command;
mod faults;
mod node;
mod raft;
mod rest;
mod scenario;
mod terms;
mod two_node;
mod world;
mod writes;

pub use command::{Sim, lab};
pub use scenario::{SCENARIOS, Scenario};
pub use world::{Counters, Work};

use crate::seeded::{self, Bug};
use world::World;

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: &'static str,
    /// Bursts of faults begin until then.
    pub minutes: u64,
    /// The first thing that was wrong: an invariant, and how it was violated.
    pub wrong: Option<String>,
    /// Digest of the trace.
    pub digest: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// What happened how often.
    pub counters: Counters,
    /// What the leader spent on a recovery, in a large cluster.
    pub work: Option<Work>,
    /// What happened, when asked for.
    #[serde(skip)]
    pub trace: Vec<String>,
}

impl Report {
    /// How to see this run again.
    pub fn command_line(&self) -> String {
        format!(
            "cargo run --features simulation -- lab sim --from {} --seeds 1 --scenario {} --minutes {} --trace",
            self.seed, self.scenario, self.minutes
        )
    }
}

/// Runs one seed: bursts of faults for so many minutes, but one at least. Without a scenario the seed picks one.
pub fn run(seed: u64, scenario: Option<Scenario>, minutes: u64, traced: bool) -> Report {
    let scenario = scenario.unwrap_or(SCENARIOS[(seed % SCENARIOS.len() as u64) as usize]);
    let mut world = World::new(seed, scenario, minutes, traced);
    let wrong = world.run();
    Report {
        seed,
        scenario: scenario.name,
        minutes,
        wrong,
        digest: world.digest(),
        simulated_ms: world.now,
        work: world.work.take(),
        trace: world.told.take().unwrap_or_default(),
        counters: world.counters,
    }
}

/// The first of these seeds with which a bug, put in on purpose, is found; none if it is not. A seed that finds something
/// without the bug, too, proves nothing.
pub fn hunt(bug: Bug, seeds: impl IntoIterator<Item = u64>, minutes: u64) -> Option<Report> {
    let wrong = |bug: Option<Bug>, seed: u64| {
        seeded::seed(bug);
        let report = run(seed, None, minutes, false);
        seeded::seed(None);
        report.wrong.is_some().then_some(report)
    };
    seeds
        .into_iter()
        .filter_map(|seed| wrong(Some(bug), seed))
        .find(|report| wrong(None, report.seed).is_none())
}
