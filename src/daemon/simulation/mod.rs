//! Whole nodes in a simulated world: every machine of the daemon, a network, disks, agents and fence devices that fail.
//! Enters: a seed, and a scenario.
//! Leaves: a report: what was found wrong, what was counted, a digest of all that happened.
//! May touch: nothing; one seed is one run, bit for bit.
//!
//! Only with the feature `simulation`.

mod checks;
mod client;
mod command;
mod node;
mod raft;
mod scenario;
mod world;
mod writes;

pub use command::{Sim, lab};
pub use scenario::{SCENARIOS, Scenario};
pub use world::Counters;

use world::World;

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: &'static str,
    /// The first thing that was wrong: an invariant, and how it was violated.
    pub wrong: Option<String>,
    /// Digest of the trace.
    pub digest: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// What happened how often.
    pub counters: Counters,
    /// What happened, when asked for.
    #[serde(skip)]
    pub trace: Vec<String>,
}

impl Report {
    /// How to see this run again.
    pub fn command_line(&self) -> String {
        format!(
            "cargo run --features simulation -- lab sim --from {} --seeds 1 --scenario {} --trace",
            self.seed, self.scenario
        )
    }
}

/// Runs one seed. Without a scenario the seed picks one.
pub fn run(seed: u64, scenario: Option<Scenario>, traced: bool) -> Report {
    let scenario = scenario.unwrap_or(SCENARIOS[(seed % SCENARIOS.len() as u64) as usize]);
    let mut world = World::new(seed, scenario, traced);
    let wrong = world.run();
    Report {
        seed,
        scenario: scenario.name,
        wrong,
        digest: world.digest(),
        simulated_ms: world.now,
        trace: world.told.take().unwrap_or_default(),
        counters: world.counters,
    }
}
