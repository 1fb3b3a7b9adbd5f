//! `systole lab calm`: a cluster in the laboratory that nobody breaks, on a machine that is kept busy. Whatever is suspected
//! there is suspected wrongly: the answer to whether a timing profile suits a machine.
//! Enters: the options of the command: how long, which profile, how many busy processes.
//! Leaves: a report of what the daemons suspected, how close they came to it, and what a client missed.
//! May touch: what the laboratory may: namespaces, links and processes that it made.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use super::cluster::{Cluster, Prober};
use super::enclose::{Side, enclose};
use super::failure::Failure;
use super::lab::{CLIENT, Lab, Plan};
use crate::clock::{self, Mono};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// What runs meanwhile: as when things are broken.
const RUNS: &str = include_str!("chaos/chaos.crm");
/// Between two looks at the logs.
const LOOK: Duration = Duration::from_secs(1);
/// What a daemon says when it suspects something, and what to call it.
const SUSPICIONS: [(&str, &str); 6] = [
    ("does not hear ", "a node was called silent"),
    ("coordinates from term ", "an election"),
    ("has lost touch with the majority", "a lease was lost"),
    ("killing it and stopping them", "a guard ended a daemon"),
    ("the disk below ", "a disk was called hanging"),
    ("Event failed", "an operation failed"),
];

/// Leave a cluster of namespaces alone on a machine that is kept busy, and count what it suspects.
#[derive(Debug, Parser)]
#[command(
    name = "calm",
    after_help = "Examples:\n  systole lab calm --minutes 10\n  systole lab calm --minutes 60 --profile fast --busy 8\n\nExit status 0: \
nothing was suspected. 1: something was, though nobody broke anything; a slower profile suits this machine better.\nThe laboratory \
needs root or user namespaces, and iproute2."
)]
struct Args {
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Processes that only compute; four for each processor if nothing is said
    #[arg(long, value_name = "N")]
    busy: Option<usize>,
    /// Timing of the daemons: fast, normal or wan
    #[arg(long, default_value = "fast")]
    profile: String,
    /// Cluster hosts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=15))]
    hosts: u8,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    seconds: u64,
    hosts: u8,
    profile: String,
    busy: usize,
    /// Wrong suspicions, one line each.
    suspicions: Vec<String>,
    fencings: usize,
    /// Renewals of a lease that came late and still in time, over all daemons.
    near_misses: u64,
    /// The longest time for which a daemon did not run, in milliseconds.
    longest_pause_ms: u64,
    /// The longest time between two answers of the address, asked for every 5 ms.
    longest_silence_ms: f64,
}

impl Report {
    fn is_calm(&self) -> bool {
        self.suspicions.is_empty() && self.fencings == 0
    }

    fn tell(&self, json: bool) -> Result<(), Failure> {
        let mut out = io::stdout();
        if json {
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(self)?)?);
        }
        writeln!(
            out,
            "{} s, {} hosts, profile {}, {} busy processes: {} wrong suspicions, {} fencings\n{} near misses; the longest pause of a \
             daemon {} ms; the longest silence of the address {:.0} ms",
            self.seconds,
            self.hosts,
            self.profile,
            self.busy,
            self.suspicions.len(),
            self.fencings,
            self.near_misses,
            self.longest_pause_ms,
            self.longest_silence_ms,
        )?;
        Ok(())
    }
}

/// The part of the laboratory that leaves things alone. Returns the exit status.
pub(super) fn main(words: &[&str]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&"systole lab calm").chain(words)) {
        Ok(args) => args,
        Err(e) => {
            drop(e.print());
            return if e.use_stderr() { 64 } else { 0 };
        }
    };
    let done = match enclose() {
        Ok(Side::Outside(code)) => return code,
        Ok(Side::Inside) => calm(&args).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    match done {
        Ok(calm) => u8::from(!calm),
        Err(e) => {
            drop(writeln!(io::stderr(), "systole lab calm: {e}"));
            1
        }
    }
}

fn calm(args: &Args) -> Result<bool, Failure> {
    let lab = Lab::build(Plan {
        hosts: args.hosts,
        program: std::env::current_exe()?,
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    })?;
    std::fs::create_dir_all(lab.dir().join("shared"))?;
    let cluster = Cluster::found(&lab, Some(&args.profile))?;
    cluster.await_all_online(20_000)?;
    cluster.load(RUNS)?;
    let prober = Prober::start(&lab, VIP)?;
    prober.await_answer(30_000)?;
    cluster.anywhere(&["-w", "cluster", "wait", "30"])?;

    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let busy = args.busy.unwrap_or(4 * cpus);
    for _ in 0..busy {
        lab.start(CLIENT, "busy", &["sh", "-c", "while :; do :; done"], &[])?;
    }
    let (begun, from_us) = (Mono::now(), clock::boot_us());
    let mut logs = Logs::new(&lab);
    let switched = lab.switch_log().len();
    let mut report = Report {
        hosts: args.hosts,
        profile: args.profile.clone(),
        busy,
        ..Report::default()
    };
    let until = begun.plus(args.minutes * 60_000);
    while Mono::now() < until {
        thread::sleep(LOOK);
        cluster.check_daemons()?;
        for suspicion in logs.news() {
            let at_s = Mono::now().since(begun) / 1000;
            writeln!(io::stderr(), "{at_s:6} s  {suspicion}")?;
            report.suspicions.push(suspicion);
        }
    }
    report.seconds = Mono::now().since(begun) / 1000;
    report.fencings = lab.switch_log().len() - switched;
    let silence = prober.record().silence(from_us, clock::boot_us());
    report.longest_silence_ms = silence.ms();
    for host in lab.names() {
        let status = cluster.crm(&host, &["cluster", "status", "--json"])?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let lease = &status["more"]["lease"];
        report.near_misses += lease["near_misses"].as_u64().unwrap_or(0);
        let pause_ms = lease["longest_pause_ms"].as_u64().unwrap_or(0);
        report.longest_pause_ms = report.longest_pause_ms.max(pause_ms);
    }
    report.tell(args.json)?;
    Ok(report.is_calm())
}

/// The logs of all daemons, and how far each was read.
struct Logs<'a> {
    lab: &'a Lab,
    read: Vec<(String, usize)>,
}

impl<'a> Logs<'a> {
    /// What is in them now is no news.
    fn new(lab: &'a Lab) -> Self {
        let names = lab.names().into_iter();
        let mut logs = Self {
            lab,
            read: names.map(|host| (host, 0)).collect(),
        };
        logs.news();
        logs
    }

    /// Suspicions since the last look.
    fn news(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for (host, read) in &mut self.read {
            let log = std::fs::read_to_string(self.lab.log(host, "daemon")).unwrap_or_default();
            let new = log.get(*read..).unwrap_or_default();
            // A line that is still being written is for the next look.
            let whole = new.rfind('\n').map_or(0, |end| end + 1);
            *read += whole;
            found.extend(suspicions(&new[..whole]).map(|what| format!("{host}: {what}")));
        }
        found
    }
}

fn suspicions(log: &str) -> impl Iterator<Item = String> {
    log.lines().filter_map(|line| {
        let mut kinds = SUSPICIONS.iter();
        let (_, what) = kinds.find(|(words, _)| line.contains(words))?;
        Some(format!("{what}: {}", line.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_suspects_is_found_in_its_log() {
        let log = "12:00:00Z  INFO vip_monitor_5000 on n1: OK (2 ms)\n12:00:01Z  INFO does not hear n2 any more\n\
                   12:00:02Z  INFO coordinates from term 4 on\n";
        let found: Vec<String> = suspicions(log).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a node was called silent"));
        assert!(found[1].starts_with("an election"));
    }

    #[test]
    fn a_fencing_is_never_calm() {
        let mut report = Report::default();
        assert!(report.is_calm());
        report.fencings = 1;
        assert!(!report.is_calm());
    }
}
