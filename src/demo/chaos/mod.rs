//! `systole lab chaos`: a cluster in the laboratory, faults one after another and on top of each other, and audits.
//! Enters: the options of the command: how long, which seed.
//! Leaves: a report of what was done to the cluster, what a client counted, and what the audits found.
//! May touch: what the laboratory may: namespaces, links and processes that it made, and its own folder; with `--on` the machines it names.
//!
//! ```text
//! round:   faults, an operator, a client who counts  ->  all is healed  ->  the cluster settles  ->  audits
//! ```
//!
//! One seed draws one sequence of faults; what comes of it depends on the machine's timing.

mod audit;
mod client;
mod faults;
mod machines;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use nix::mount::{MsFlags, mount};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde::Serialize;

use self::audit::{Sample, Seen};
use self::client::Client;
use self::faults::Fault;
use super::cluster::{Cluster, Prober};
use super::enclose::{Side, enclose};
use super::failure::Failure;
use super::lab::{Lab, Plan};
use crate::clock::Mono;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// Size of each host's disk, so that it can be filled.
const DISK: &str = "size=192m";
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(25);

/// Break a cluster of namespaces on this machine again and again, and audit it in between.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    after_help = "Examples:\n  systole lab chaos --minutes 10\n  systole lab chaos --minutes 120 --seed 7 --hosts 5\n  systole lab chaos --minutes 2 --no-fencing --only power-off,pause\n  systole lab chaos --list\n  systole lab chaos --on h1,h2,h3 --minutes 30\n  systole lab chaos --on h1,h2,h3 --only power-off,cut --reach \"ssh -l admin {} sudo\"\n\nExit status 0: every audit passed. 1: one did not; the seed and what was seen are told.\nNothing leaves the laboratory's own namespaces, unless --on names machines: their daemons are killed and paused, their cluster's \
ports are cut off, resources are made to fail, and with --only more is broken (power-off, loss, delay, duplicate, slow, disk-full). \
What lasts is ended by each machine itself, fewer than half are broken at once, and audits ask the resources' agents where they run. \
A power cut is `b` in /proc/sysrq-trigger: the machine has to start again by itself, and its daemon with it.\n\nThe laboratory needs root or user namespaces, iproute2, and /dev/net/tun for lost and late packets."
)]
struct Args {
    /// How long
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Which sequence of faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cluster hosts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=15))]
    hosts: u8,
    /// Work without a fence device
    #[arg(long)]
    no_fencing: bool,
    /// Timing of the daemons: fast, normal or wan
    #[arg(long)]
    profile: Option<String>,
    /// Break these machines, members of a cluster that exists, instead of a laboratory
    #[arg(long, value_delimiter = ',', value_name = "HOST", conflicts_with_all = ["hosts", "no_fencing", "profile"])]
    on: Vec<String>,
    /// How a shell on a machine is reached; {} is its name
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "ssh -o BatchMode=yes -o ConnectTimeout=5 root@{}"
    )]
    reach: String,
    /// Do not ask before machines are broken
    #[arg(long, requires = "on")]
    yes: bool,
    /// Only these faults
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    only: Vec<Fault>,
    /// Seconds of faults between two audits
    #[arg(long, default_value_t = 40, value_name = "SECONDS")]
    round: u64,
    /// Stop after so many rounds
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Print the result as JSON; everything else goes to standard error
    #[arg(long)]
    json: bool,
    /// Name the faults
    #[arg(long)]
    list: bool,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    seed: u64,
    hosts: u8,
    fencing: bool,
    seconds: u64,
    rounds: u32,
    faults: BTreeMap<String, u32>,
    /// What this machine cannot do.
    left_out: Vec<String>,
    fenced: usize,
    /// Times that a guard ended a daemon that did not stop its resources in time.
    guard_acted: u32,
    writes_acknowledged: u64,
    writes_in_doubt: u64,
    /// The longest time from the end of a round's faults to a settled cluster.
    slowest_settling_ms: u64,
    /// Each daemon's size after the first round and after the last one.
    sizes: BTreeMap<String, (Sample, Sample)>,
    violations: Vec<String>,
}

impl Report {
    /// Nothing was found yet, and there are rounds to come.
    fn goes_on(&self, rounds: Option<u32>) -> bool {
        self.violations.is_empty() && rounds.is_none_or(|rounds| self.rounds < rounds)
    }

    /// Prints it; whether nothing was violated.
    fn tell(&self, json: bool) -> Result<bool, Failure> {
        if json {
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(self.violations.is_empty());
        }
        let faults = self.faults.iter();
        let faults: Vec<String> = faults.map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(
            io::stdout(),
            "\n{} s, {} rounds, seed {}: {} violations\nfaults: {}; {} fencings; guards acted {} times\nwrites: {} acknowledged, \
             {} in doubt; slowest settling {} ms",
            self.seconds,
            self.rounds,
            self.seed,
            self.violations.len(),
            faults.join(", "),
            self.fenced,
            self.guard_acted,
            self.writes_acknowledged,
            self.writes_in_doubt,
            self.slowest_settling_ms,
        )?;
        for (host, (first, last)) in &self.sizes {
            writeln!(
                io::stdout(),
                "{host}: {first} after the first round, {last} after the last one"
            )?;
        }
        Ok(self.violations.is_empty())
    }
}

/// The part of the laboratory that breaks things for long. Returns the exit status.
pub(super) fn main(words: &[&str]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&"systole lab chaos").chain(words)) {
        Ok(args) => args,
        Err(e) => {
            drop(e.print());
            return if e.use_stderr() { 64 } else { 0 };
        }
    };
    if args.list {
        drop(io::stdout().write_all(faults::list().as_bytes()));
        return 0;
    }
    let done = match args.on.is_empty().then(enclose) {
        None => machines::chaos(&args).map_err(|e| e.to_string()),
        Some(entered) => match entered {
            Ok(Side::Outside(code)) => return code,
            Ok(Side::Inside) => chaos(&args).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        },
    };
    match done {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(e) => {
            drop(writeln!(io::stderr(), "systole lab chaos: {e}"));
            1
        }
    }
}

fn chaos(args: &Args) -> Result<bool, Failure> {
    for number in 1..=args.hosts {
        let disk = format!("/run/systole-lab/host{number}/disk");
        std::fs::create_dir_all(&disk)?;
        let flags = MsFlags::empty();
        mount(
            Some("tmpfs"),
            disk.as_str(),
            Some("tmpfs"),
            flags,
            Some(DISK),
        )
        .map_err(Failure::Disk)?;
    }
    let lab = Lab::build(Plan {
        hosts: args.hosts,
        program: std::env::current_exe()?,
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    })?;
    std::fs::create_dir_all(lab.dir().join("shared"))?;
    let cluster = Cluster::found(&lab, args.profile.as_deref())?;
    cluster.await_all_online(20_000)?;
    cluster.load(include_str!("chaos.crm"))?;
    if args.no_fencing {
        cluster.anywhere(&["configure", "property", "stonith-enabled=false"])?;
    }
    let prober = Prober::start(&lab, VIP)?;
    prober.await_answer(30_000)?;
    let client = Client::new(&cluster, args.seed);
    client.begin()?;
    let mut chaos = Chaos {
        args,
        lab: &lab,
        cluster: &cluster,
        client: &client,
        dice: StdRng::seed_from_u64(args.seed),
        begun: Mono::now(),
        off_since: BTreeMap::new(),
        gone_since: BTreeMap::new(),
        disk_spoilt_at: BTreeMap::new(),
        on_purpose: BTreeSet::new(),
        possible: Vec::new(),
        lasting: Vec::new(),
        seen: Seen::default(),
        report: Report {
            seed: args.seed,
            hosts: args.hosts,
            fencing: !args.no_fencing,
            ..Report::default()
        },
    };
    chaos.say(&format!("{} hosts, seed {}.", args.hosts, args.seed))?;
    chaos.try_out()?;
    chaos.run()?;
    chaos.tell()
}

/// One line of the course of things, with its time.
fn say(json: bool, begun: Mono, text: &str) -> io::Result<()> {
    let at_s = Mono::now().since(begun) as f64 / 1000.0;
    let line = format!("{at_s:9.3}  {text}");
    if json {
        writeln!(io::stderr(), "{line}")
    } else {
        writeln!(io::stdout(), "{line}")
    }
}

struct Chaos<'a> {
    args: &'a Args,
    lab: &'a Lab,
    cluster: &'a Cluster<'a>,
    client: &'a Client<'a>,
    dice: StdRng,
    begun: Mono,
    /// Hosts without power, and when that was seen.
    off_since: BTreeMap<String, Mono>,
    /// Daemons that ended, and when that was seen.
    gone_since: BTreeMap<String, Mono>,
    /// When each host's disk was last seen to take nothing.
    disk_spoilt_at: BTreeMap<String, Mono>,
    /// Daemons that we killed.
    on_purpose: BTreeSet<String>,
    /// Faults that this machine can make.
    possible: Vec<Fault>,
    /// What is to be healed, and when.
    lasting: Vec<(Mono, Fault, String)>,
    seen: Seen,
    report: Report,
}

impl Chaos<'_> {
    fn say(&self, text: &str) -> io::Result<()> {
        say(self.args.json, self.begun, text)
    }

    fn violated(&mut self, what: String) -> io::Result<()> {
        self.say(&format!("VIOLATION: {what}"))?;
        self.report.violations.push(what);
        Ok(())
    }

    fn below(&mut self, n: u64) -> u64 {
        self.dice.random_range(0..n)
    }

    fn run(&mut self) -> Result<(), Failure> {
        let end = self.begun.plus(self.args.minutes * 60_000);
        while Mono::now() < end && self.report.goes_on(self.args.rounds) {
            self.round()?;
        }
        self.report.seconds = Mono::now().since(self.begun) / 1000;
        Ok(())
    }

    fn round(&mut self) -> Result<(), Failure> {
        let until = Mono::now().plus(self.args.round * 1000);
        let stop = AtomicBool::new(false);
        let client = self.client;
        thread::scope(|scope| {
            let writer = scope.spawn(|| client.work(&stop));
            let mut next = Mono::now().plus(500 + self.below(2_000));
            let broken = loop {
                let now = Mono::now();
                if now >= until {
                    break Ok(());
                }
                if now >= next {
                    if let Err(e) = self.break_something(now) {
                        break Err(e);
                    }
                    next = now.plus(200 + self.below(5_000));
                }
                if let Err(e) = self.look_after(now) {
                    break Err(e);
                }
                thread::sleep(TICK);
            };
            stop.store(true, Ordering::Relaxed);
            let wrote = writer
                .join()
                .map_err(|_| io::Error::other("the client panicked"));
            broken.and_then(|()| Ok(wrote?))
        })?;
        self.settle()?;
        self.report.rounds += 1;
        Ok(())
    }

    /// Everything is healed, and then the cluster has to be as if nothing had been.
    fn settle(&mut self) -> Result<(), Failure> {
        let since = Mono::now();
        for (_, fault, host) in std::mem::take(&mut self.lasting) {
            self.heal(fault, &host)?;
        }
        while self.lab.names().iter().any(|host| !self.is_well(host)) {
            self.look_after(Mono::now())?;
            thread::sleep(TICK);
        }
        self.client.take_back()?;
        let wrong = self.audit(since);
        let took_ms = Mono::now().since(since);
        self.report.slowest_settling_ms = self.report.slowest_settling_ms.max(took_ms);
        let number = self.report.rounds + 1;
        match wrong? {
            Some(wrong) => {
                self.violated(format!("round {number}: {wrong}"))?;
                self.tell_logs()?;
            }
            None => self.say(&format!(
                "round {number}: settled and audited in {took_ms} ms"
            ))?,
        }
        Ok(())
    }

    /// On, and its daemon was started.
    fn is_well(&self, host: &str) -> bool {
        let daemon = self.cluster.daemon(host);
        self.lab.is_on(host) && daemon.is_some_and(|daemon| self.lab.runs(&daemon))
    }

    /// What an administrator and systemd would do: hosts are switched on again, daemons are started again.
    fn look_after(&mut self, now: Mono) -> Result<(), Failure> {
        for host in self.lab.names() {
            if self.disk_takes_nothing(&host) {
                self.disk_spoilt_at.insert(host, now);
            }
        }
        let (due, rest) = std::mem::take(&mut self.lasting)
            .into_iter()
            .partition(|(end, ..)| *end <= now);
        self.lasting = rest;
        for (_, fault, host) in due {
            self.heal(fault, &host)?;
        }
        for host in self.lab.names() {
            if !self.lab.is_on(&host) {
                self.gone_since.remove(&host);
                let since = *self.off_since.entry(host.clone()).or_insert(now);
                if now.since(since) >= 1_500 {
                    self.off_since.remove(&host);
                    self.say(&format!("{host} is switched on"))?;
                    self.lab.boot(&host)?;
                    self.start(&host)?;
                }
            } else if !self.is_well(&host) {
                let wanted = self.on_purpose.contains(&host);
                if !self.gone_since.contains_key(&host) && !wanted {
                    self.explain_death(now, &host)?;
                }
                let since = *self.gone_since.entry(host.clone()).or_insert(now);
                // As our systemd unit has it.
                if now.since(since) >= if wanted { 100 } else { 1_000 } {
                    self.start(&host)?;
                }
            }
        }
        Ok(())
    }

    /// A daemon ended, and it was not us.
    fn explain_death(&mut self, now: Mono, host: &str) -> io::Result<()> {
        let log = self.end_of_log(host, 12);
        if log.contains("killing it and stopping them") {
            // It was paused, or starved: that is what the guard is for.
            self.report.guard_acted += 1;
            return self.say(&format!("{host}: its guard ended the daemon"));
        }
        // It takes a moment to give up, and the disk may be well again before that is seen.
        let spoilt = self.disk_spoilt_at.get(host);
        if spoilt.is_some_and(|at| now.since(*at) < 2_000) {
            return self.say(&format!(
                "{host}: the daemon ended, and its disk took nothing"
            ));
        }
        self.violated(format!("the daemon of {host} died by itself:\n{log}"))
    }

    fn start(&mut self, host: &str) -> Result<(), Failure> {
        self.gone_since.remove(host);
        self.on_purpose.remove(host);
        match self.cluster.start_daemon(host) {
            // It lost its power again meanwhile.
            Err(_) if !self.lab.is_on(host) => Ok(()),
            done => Ok(done?),
        }
    }

    fn disk_takes_nothing(&self, host: &str) -> bool {
        let spoilt = |fault| matches!(fault, Fault::DiskFull | Fault::ReadOnly);
        let mut lasting = self.lasting.iter();
        lasting.any(|(_, fault, at)| spoilt(*fault) && at == host)
    }

    fn end_of_log(&self, host: &str, lines: usize) -> String {
        let log = std::fs::read_to_string(self.lab.log(host, "daemon")).unwrap_or_default();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The end of each host's log, and where the whole of it is kept: what went wrong may have begun long before.
    fn tell_logs(&self) -> io::Result<()> {
        let kept = std::env::temp_dir().join(format!("systole-chaos-{}", self.args.seed));
        std::fs::create_dir_all(&kept)?;
        for host in self.lab.names() {
            let end = self.end_of_log(&host, 40);
            writeln!(io::stderr(), "--- the log of {host} ends:\n{end}")?;
            let whole = kept.join(format!("{host}.log"));
            std::fs::copy(self.lab.log(&host, "daemon"), whole)?;
        }
        writeln!(io::stderr(), "--- whole logs are in {}", kept.display())
    }

    fn tell(mut self) -> Result<bool, Failure> {
        let cut = |(_, text): &(u64, String)| text.ends_with("has no power");
        self.report.fenced = self.lab.switch_log().iter().filter(|one| cut(one)).count();
        let (acknowledged, doubtful) = self.client.counts();
        self.report.writes_acknowledged = acknowledged;
        self.report.writes_in_doubt = doubtful;
        self.report.tell(self.args.json)
    }

    fn signal(&self, host: &str, signal: Signal) -> Result<(), Failure> {
        match self.cluster.signal_daemon(host, signal) {
            Err(_) if !self.lab.is_on(host) => Ok(()),
            done => Ok(done?),
        }
    }
}
