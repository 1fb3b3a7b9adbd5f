//! Whole processes against the installed `crm_simulate`: start, read, check, decide, print, end. CPU time, since both decide
//! on one thread and other work on the machine must not count.
//!
//! `cargo bench --bench peer`; `SYSTOLE_BENCH=large` adds 16 nodes x 2 000 resources, where the peer takes minutes from a
//! cold start and is given up after two. Runs of both take turns, so that a noisy minute disturbs both.
//!
//! Expected before measuring: at least ten times faster in every line.

#![expect(clippy::print_stdout, reason = "a bench prints what it measures")]

mod clusters;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The peer's own time is over after so many seconds of CPU.
const LIMIT: &str = "120";

fn main() {
    let ours = [env!("CARGO_BIN_EXE_systole"), "simulate"];
    let peer = peer();
    if peer.is_none() {
        println!(
            "crm_simulate is not installed (Debian: pacemaker-cli-utils): only ours is measured"
        );
    }
    println!(
        "{:<22} {:>10} {:>10} {:>8}",
        "", "ours ms", "peer ms", "ratio"
    );
    for size in clusters::sizes() {
        let file = clusters::file(size);
        let runs = if size.1 > 1000 { 3 } else { 15 };
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            mine.extend(cpu(&ours, &file));
            if let Some(peer) = &peer
                && (theirs.len() < 3 || size.1 < 1000)
            {
                theirs.extend(cpu(&[peer], &file));
            }
        }
        let name = format!("{} x {} {}", size.0, size.1, size.2);
        let show = |ms: Option<f64>| ms.map_or("over 120 s".into(), |ms| format!("{ms:.1}"));
        let (a, b) = (median(mine), median(theirs));
        let ratio = a
            .zip(b)
            .map_or(String::new(), |(a, b)| format!("{:.1}", b / a));
        println!("{name:<22} {:>10} {:>10} {ratio:>8}", show(a), show(b));
    }
}

fn peer() -> Option<&'static str> {
    let path = "/usr/sbin/crm_simulate";
    // A link to ourselves is no peer.
    let real = std::fs::canonicalize(path).ok()?;
    let ours = real.file_name().is_some_and(|name| name == "systole");
    (!ours).then_some(path)
}

/// Milliseconds of user and system time; none when the limit ended it.
fn cpu(program: &[&str], file: &Path) -> Option<f64> {
    let before = used();
    #[expect(clippy::disallowed_methods, reason = "a bench needs no process group")]
    let status = std::process::Command::new("prlimit")
        .args([&format!("--cpu={LIMIT}"), "--"])
        .args(program)
        .args(["-R", "-x"])
        .arg(file)
        .env_remove("CIB_file")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("prlimit (util-linux) starts");
    let taken = used().saturating_sub(before);
    status.code().map(|_| taken.as_secs_f64() * 1000.0)
}

/// CPU time of all children that have ended.
fn used() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)
        .expect("the kernel counts");
    let span = |t: nix::sys::time::TimeVal| {
        Duration::from_secs(t.tv_sec().unsigned_abs())
            + Duration::from_micros(t.tv_usec().unsigned_abs())
    };
    span(usage.user_time()) + span(usage.system_time())
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}
