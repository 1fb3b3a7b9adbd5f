//! End to end: what is wrong is refused by a real daemon, with an error that names object and cure, with the exit code
//! that says what kind of error it is, and with nothing changed. Agents that misbehave harm nobody but themselves.
//!
//! One daemon serves all trials, one after the other. What this machine cannot do is skipped aloud; with `CI=true` it
//! fails instead.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::type_complexity,
    missing_docs,
    reason = "a test program of its own: it prints its results and starts what it tests"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use systole::xml::{Element, Limits};
mod access;
mod agents;
mod documents;
mod lab;
mod usage;

use access::*;
use agents::*;
use documents::*;
use lab::*;
use usage::*;

const TRIALS: [(&str, fn(&Lab)); 17] = [
    ("help", help),
    ("wrong_usage", wrong_usage),
    ("malformed_xml", malformed_xml),
    ("unknown_element", unknown_element),
    ("duplicate_id", duplicate_id),
    ("dangling_reference", dangling_reference),
    ("unknown_agent", unknown_agent),
    ("missing_parameter", missing_parameter),
    ("colocation_with_itself", colocation_with_itself),
    ("bad_score", bad_score),
    ("stale_patch", stale_patch),
    ("oversized_document", oversized_document),
    ("tokens", tokens),
    ("foreign_cluster", foreign_cluster),
    ("wrong_user", wrong_user),
    ("large_document", large_document),
    ("misbehaving_agents", misbehaving_agents),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They look at the version of one CIB.
    arguments.test_threads = Some(1);
    let dir = tempfile::tempdir().expect("temporary directory");
    let lab = (!arguments.list).then(|| Arc::new(Lab::build(dir.path())));
    let trial = |(name, run): (&'static str, fn(&Lab))| {
        let lab = lab.clone();
        Trial::test(name, move || {
            let lab = lab.ok_or_else(|| Failed::from("nothing to run it in"))?;
            run(&lab);
            Ok(())
        })
    };
    let trials = TRIALS.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed()
        && let Some(lab) = &lab
    {
        eprintln!("the daemon's log:\n{}", lab.node.log());
    }
    drop(lab);
    conclusion.exit_code()
}
