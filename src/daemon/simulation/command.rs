//! `systole lab sim`: seeds are run, and what was found is printed.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::{Scenario, hunt, run};
use crate::clock::Mono;
use crate::seeded::{Bug, seed};

/// Which seeds, and what is shown.
#[derive(Debug, Args)]
pub struct Sim {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// three, three-fencing, three-stateful, three-freeze, five, five-fencing, two-witness, two-witness-fencing, two-node or hundred;
    /// each seed picks one if not given (but hundred)
    #[arg(long)]
    scenario: Option<String>,
    /// Bursts of faults for so many simulated minutes, but one at least [default: 30; with bugs: 0]
    #[arg(long)]
    minutes: Option<u64>,
    /// Put in a bug, by its name in src/seeded.rs
    #[arg(long)]
    bug: Option<String>,
    /// Find the first seed for this bug, or for each bug that there is, and print a table
    #[arg(long)]
    hunt: bool,
    /// One JSON object per seed
    #[arg(long)]
    json: bool,
    /// Print what happened
    #[arg(long)]
    trace: bool,
}

/// Runs them. Exit code 1 when an invariant was violated.
pub fn lab(sim: &Sim) -> ExitCode {
    let scenario = match &sim.scenario {
        None => None,
        Some(name) => match Scenario::named(name) {
            Some(scenario) => Some(scenario),
            None => {
                let names: Vec<_> = super::SCENARIOS.iter().map(|s| s.name).collect();
                eprintln!("there is no scenario `{name}`: use {}", names.join(", "));
                return ExitCode::from(64);
            }
        },
    };
    let bug = match &sim.bug {
        None => None,
        Some(name) => match Bug::ALL
            .into_iter()
            .chain(Bug::TWO_NODE)
            .find(|b| format!("{b:?}") == *name)
        {
            Some(bug) => Some(bug),
            None => {
                eprintln!("there is no bug `{name}`: use {:?}", Bug::ALL);
                return ExitCode::from(64);
            }
        },
    };
    if sim.hunt {
        return hunt_all(sim, bug);
    }
    let minutes = sim.minutes.unwrap_or(if bug.is_some() { 0 } else { 30 });
    seed(bug);
    let mut out = std::io::stdout().lock();
    let (begun, mut simulated, mut failed) = (Mono::now(), 0, 0);
    for seed in sim.from..sim.from.saturating_add(sim.seeds) {
        let report = run(seed, scenario, minutes, sim.trace);
        simulated += report.simulated_ms;
        let mut lines = report.trace.clone();
        if sim.json {
            lines.push(serde_json::to_string(&report).unwrap_or_default());
        } else if let Some(wrong) = &report.wrong {
            lines.push(format!(
                "seed {seed}: {wrong}\n    {}",
                report.command_line()
            ));
        }
        failed += u64::from(report.wrong.is_some());
        for line in lines {
            // Whoever does not read on wants no more.
            if writeln!(out, "{line}").is_err() {
                return ExitCode::SUCCESS;
            }
        }
    }
    let took = Mono::now().since(begun).max(1);
    eprintln!(
        "{} seeds, {failed} failed; {} s simulated in {}.{:03} s: {} times real time",
        sim.seeds,
        simulated / 1_000,
        took / 1_000,
        took % 1_000,
        simulated / took
    );
    ExitCode::from(u8::from(failed > 0))
}

/// The first seed that finds each bug, or one, and what it finds.
fn hunt_all(sim: &Sim, only: Option<Bug>) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let (mut all, mut found) = (0, 0);
    for bug in Bug::ALL
        .into_iter()
        .chain(Bug::TWO_NODE)
        .filter(|b| only.is_none_or(|o| o == *b))
    {
        let seeds = sim.from..sim.from.saturating_add(sim.seeds);
        let report = hunt(bug, seeds, sim.minutes.unwrap_or(0));
        all += 1;
        found += u64::from(report.is_some());
        let line = match report {
            Some(report) => {
                let wrong = report.wrong.as_deref().unwrap_or_default();
                format!(
                    "{bug:?}: seed {} of {}: {wrong}",
                    report.seed, report.scenario
                )
            }
            None => format!("{bug:?}: not found in {} seeds", sim.seeds),
        };
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
    }
    eprintln!("{found} of {all} bugs found");
    ExitCode::from(u8::from(found < all))
}
