//! Unmodified clients of Pacemaker against real Systole daemons: three hosts as network namespaces, Debian's own
//! programs in them, and a long scripted session. What a command did is read back from the cluster.
//!
//! Each session runs in a process and in namespaces of its own. Where the machine allows none, or a client is not
//! installed, it is skipped, aloud; with CI set that is a failure.
//!
//! ```text
//! cargo test --test clients                                   all sessions
//! cargo test --test clients -- crmsh                          those of one client
//! SYSTOLE_HOLD=1 cargo test --test clients -- lab::hold       a laboratory to try things in; says how to enter it
//! ```

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

mod agents;
mod crmsh;
mod lab;
mod operator;
mod pcs;
mod session;

/// A session fails by panicking. The second text names what must be installed for it, paths with blanks between them.
type Scenario = (&'static str, &'static str, fn());

const SCENARIO: &str = "SYSTOLE_SCENARIO";

fn scenarios() -> Vec<Scenario> {
    [
        lab::SCENARIOS,
        crmsh::SCENARIOS,
        pcs::SCENARIOS,
        agents::SCENARIOS,
        operator::SCENARIOS,
    ]
    .concat()
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some()
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
    let refused = match arguments.list {
        true => None,
        false => run_in_child("nothing").err(),
    };
    let mut skipped = false;
    let mut trials = Vec::new();
    for (name, programs, _) in scenarios() {
        let why = match &refused {
            Some(why) => Some(why.message().unwrap_or("no namespaces").to_owned()),
            None => missing(programs)
                .map(|path| format!("{path} is not installed"))
                .or_else(|| {
                    needs_root(name).then(|| "it changes users, and so needs root".to_owned())
                }),
        };
        if let Some(why) = &why {
            eprintln!("SKIPPED: {name}: {why}");
            skipped = true;
        }
        let trial = Trial::test(name, move || run_in_child(name));
        trials.push(trial.with_ignored_flag(why.is_some()));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if skipped && in_ci() {
        eprintln!("CI is set: skipping a session is a failure");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Servers run as users of their own, which a user namespace of one user does not have.
fn needs_root(name: &str) -> bool {
    name.starts_with("agents::") && !rustix::process::geteuid().is_root()
}

fn missing(programs: &str) -> Option<&str> {
    let mut paths = programs.split_whitespace();
    paths.find(|path| !std::path::Path::new(path).exists())
}

fn run_in_child(name: &str) -> Result<(), Failed> {
    let me = std::env::current_exe()?;
    let mut child = Command::new(me);
    child.env(SCENARIO, name);
    if std::env::var_os("SYSTOLE_HOLD").is_some() {
        // Somebody looks on.
        return match child.status()?.success() {
            true => Ok(()),
            false => Err("see above".into()),
        };
    }
    let output = child.output()?;
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
    if let Some((_, _, scenario)) = scenarios().into_iter().find(|(known, ..)| *known == name) {
        scenario();
    }
    ExitCode::SUCCESS
}
