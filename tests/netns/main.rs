//! End to end: real daemons, real agents, real frames, on hosts made of network namespaces. Each scenario runs in a
//! process and in namespaces of its own, one after the other: they measure time.
//!
//! Where the machine allows no namespaces they are skipped, aloud; with CI=true that is a failure.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::type_complexity,
    missing_docs,
    reason = "a test program of its own: it prints its results and starts what it tests"
)]

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use systole::demo::enclose::{Side, enclose};

mod certificates;
mod cluster;
mod machines;
mod paths;
mod remote;
mod report;
mod rough;
mod service;
mod two_nodes;
mod vip;
mod voters;
mod writer;

/// A scenario fails by panicking.
type Scenario = (&'static str, fn());

const SCENARIO: &str = "SYSTOLE_SCENARIO";

fn scenarios() -> Vec<Scenario> {
    [
        vip::SCENARIOS,
        service::SCENARIOS,
        cluster::SCENARIOS,
        two_nodes::SCENARIOS,
        voters::SCENARIOS,
        paths::SCENARIOS,
        remote::SCENARIOS,
        certificates::SCENARIOS,
        machines::SCENARIOS,
        report::SCENARIOS,
        rough::SCENARIOS,
    ]
    .concat()
}

/// Says that a scenario needs something that this machine lacks. A failure where all must be there.
fn skip(why: &str) {
    assert!(!in_ci(), "CI=true, and a scenario can't run: {why}");
    println!("SKIPPED: {why}");
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

fn main() -> ExitCode {
    match std::env::var(SCENARIO) {
        Ok(name) => inside(&name),
        Err(_) => outside(),
    }
}

fn outside() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let possible = arguments.list || namespaces_are_possible();
    let trials = scenarios()
        .into_iter()
        .map(|(name, _)| Trial::test(name, move || run_in_child(name)).with_ignored_flag(!possible))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !possible && in_ci() {
        eprintln!("CI=true: skipping the scenarios is a failure");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn namespaces_are_possible() -> bool {
    match run_in_child("nothing") {
        Ok(()) => true,
        Err(why) => {
            eprintln!(
                "SKIPPED: end-to-end scenarios: {}",
                why.message().unwrap_or("no namespaces")
            );
            false
        }
    }
}

fn run_in_child(name: &str) -> Result<(), Failed> {
    let me = std::env::current_exe()?;
    let output = Command::new(me).env(SCENARIO, name).output()?;
    if output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&text).into_owned().into())
}

fn inside(name: &str) -> ExitCode {
    match enclose() {
        Ok(Side::Outside(code)) => return ExitCode::from(code),
        Ok(Side::Inside) => {}
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(77);
        }
    }
    if let Some((_, scenario)) = scenarios().into_iter().find(|(known, _)| *known == name) {
        scenario();
    }
    ExitCode::SUCCESS
}
