//! `systole lab sim`: seeds are run, and what was found is printed.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::{Scenario, run};
use crate::clock::Mono;

/// Which seeds, and what is shown.
#[derive(Debug, Args)]
pub struct Sim {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// three, three-fencing, three-stateful, five or five-fencing; each seed picks one if not given
    #[arg(long)]
    scenario: Option<String>,
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
    let mut out = std::io::stdout().lock();
    let (begun, mut simulated, mut failed) = (Mono::now(), 0, 0);
    for seed in sim.from..sim.from.saturating_add(sim.seeds) {
        let report = run(seed, scenario, sim.trace);
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
