//! `systole demo`: build, break, measure, tell.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rustix::process::Signal;

use super::cluster::{Cluster, Prober};
use super::enclose::{Side, enclose};
use super::failure::Failure;
use super::lab::{Lab, Plan};
use super::report::{Idle, Moment, Round, Spread, Summary, log_line, timeline};
use crate::clock;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// How long the new host must answer before a round ends.
const STEADY_MS: u64 = 1500;

/// Build a cluster of namespaces on this machine, break it, and measure what a client sees.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    after_help = "Examples:\n  systole demo\n  systole demo --fault cut --no-fencing\n  systole demo --victim leader --repeat 10\n  systole demo --repeat 10 --json\n  systole demo --keep\n\nNothing leaves the demo's own namespaces, and all is gone when it ends. It needs root or user namespaces."
)]
struct Args {
    /// Cluster hosts; two are in two-node mode
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    hosts: u8,
    /// What runs on them
    #[arg(long, value_enum, default_value_t = Example::Vip)]
    example: Example,
    /// What happens to the active host
    #[arg(long, value_enum, default_value_t = Fault::Crash)]
    fault: Fault,
    /// Which host is to be the active one: it is moved there first
    #[arg(long, value_enum, default_value_t = Victim::Any)]
    victim: Victim,
    /// How often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Print measurements as JSON; everything else goes to standard error
    #[arg(long)]
    json: bool,
    /// Work without a fence device: takeover waits for the lost host's lease
    #[arg(long)]
    no_fencing: bool,
    /// Milliseconds that the power switch takes
    #[arg(long, default_value_t = 5, value_name = "MS")]
    fence_delay: u64,
    /// Timing of the daemons: fast, normal or wan
    #[arg(long)]
    profile: Option<String>,
    /// Afterwards, open a shell in the laboratory
    #[arg(long)]
    keep: bool,
    /// Keep the hosts' disks in this directory instead of in memory
    #[arg(long, value_name = "DIR")]
    disks: Option<PathBuf>,
    /// Measure memory and CPU of the idle daemons for so many seconds first
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    idle: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Example {
    /// A virtual address alone
    Vip,
    /// nginx and a virtual address
    Web,
    /// PostgreSQL on shared storage, and a virtual address
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Power cut: the cable is dead and all processes are killed
    Crash,
    /// The cable is pulled; the host lives on
    Cut,
    /// SIGKILL to the daemon; it is started again after 100 ms, as our systemd unit says
    KillDaemon,
    /// SIGSTOP to the daemon for good
    Freeze,
    /// An administrator sends the host to standby
    Standby,
    /// Power cut of all hosts, and all come back at once
    Cold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Victim {
    /// Whichever is active
    Any,
    /// The one that leads the cluster
    Leader,
    /// One that follows
    Follower,
}

impl Example {
    fn name(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::Web => "web",
            Self::Postgres => "postgres",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Vip => include_str!("../../cib-examples/vip.crm"),
            Self::Web => include_str!("../../cib-examples/web.crm"),
            Self::Postgres => include_str!("../../cib-examples/postgres.crm"),
        }
    }
}

impl Fault {
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

pub(super) fn main(words: &[&str]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&"systole demo").chain(words)) {
        Ok(args) => args,
        Err(e) => {
            drop(e.print());
            return if e.use_stderr() { 64 } else { 0 };
        }
    };
    match enclose() {
        Ok(Side::Outside(code)) => return code,
        Ok(Side::Inside) => {}
        Err(e) => {
            drop(writeln!(io::stderr(), "systole demo: {e}"));
            return 1;
        }
    }
    match demo(&args) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(e) => {
            drop(writeln!(io::stderr(), "systole demo: {e}"));
            1
        }
    }
}

/// Where words for people go; measurements go to standard output.
struct Voice {
    json: bool,
}

impl Voice {
    fn say(&self, text: &str) -> io::Result<()> {
        if self.json {
            writeln!(io::stderr(), "{text}")
        } else {
            writeln!(io::stdout(), "{text}")
        }
    }
}

/// Everything that a round needs.
struct Show<'a> {
    args: &'a Args,
    lab: &'a Lab,
    cluster: &'a Cluster<'a>,
    prober: &'a Prober<'a>,
    voice: &'a Voice,
}

/// True if every round ended with somebody answering, and nobody ever twice.
fn demo(args: &Args) -> Result<bool, Failure> {
    let voice = Voice { json: args.json };
    super::service::check(args.example.name())?;
    let program = std::env::current_exe()?;
    let begun = clock::boot_us();
    voice.say(&format!(
        "Building {} hosts, a client and a switch as network namespaces.",
        args.hosts
    ))?;
    let lab = Lab::build(Plan {
        hosts: args.hosts,
        program,
        fence_delay: Duration::from_millis(args.fence_delay),
        service_network: false,
        disks: args.disks.clone(),
    })?;
    super::service::prepare(&lab, args.example.name())?;
    let shown = play(args, &voice, &lab, begun);
    if shown.is_err() {
        tell_logs(&lab)?;
    }
    shown
}

/// The end of every daemon's log: where a failure is explained.
fn tell_logs(lab: &Lab) -> io::Result<()> {
    for host in lab.names() {
        let log = fs::read_to_string(lab.log(&host, "daemon")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.len().saturating_sub(25);
        writeln!(
            io::stderr(),
            "--- the log of {host} ends:\n{}",
            lines[end..].join("\n")
        )?;
    }
    Ok(())
}

fn play(args: &Args, voice: &Voice, lab: &Lab, begun: u64) -> Result<bool, Failure> {
    let cluster = Cluster::found(lab, args.profile.as_deref())?;
    cluster.await_all_online(20_000)?;
    voice.say(&format!(
        "Cluster of {} founded, {:.1} s.",
        lab.names().join(", "),
        since_s(begun)
    ))?;
    cluster.load(args.example.text())?;
    if args.no_fencing {
        cluster.anywhere(&["configure", "property", "stonith-enabled=false"])?;
    }
    if args.hosts == 2 {
        // Refused without fencing, with the reason.
        cluster.anywhere(&["cluster", "two-node", "on"])?;
        cluster.await_all_online(20_000)?;
    }
    let prober = Prober::start(lab, VIP)?;
    let active = prober.await_answer(30_000)?;
    voice.say(&format!(
        "{VIP} answers from {active}, {:.1} s.\n",
        since_s(begun)
    ))?;
    voice.say(&cluster.crm(&active, &["status"])?)?;

    let show = Show {
        args,
        lab,
        cluster: &cluster,
        prober: &prober,
        voice,
    };
    let idle = if args.idle > 0 {
        idle(&show)?
    } else {
        Vec::new()
    };
    let mut rounds = Vec::new();
    for number in 1..=args.repeat {
        if number > 1 {
            restore(&show)?;
        }
        rounds.push(round(&show)?);
    }
    let good = rounds
        .iter()
        .all(|r| r.after.is_some() && r.heard_twice == 0 && r.held_twice_ms == 0.0);
    let summary = summary(args, rounds, idle);
    if args.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        tell_summary(voice, &summary)?;
    }
    if args.keep {
        keep(&show)?;
    }
    Ok(good)
}

fn round(show: &Show<'_>) -> Result<Round, Failure> {
    let (lab, cluster, prober) = (show.lab, show.cluster, show.prober);
    let fault = show.args.fault;
    let active = victim(show)?;
    super::service::before_fault(lab, show.args.example.name())?;
    let leader = cluster.leader(&active);
    // Not in step with anybody's timers.
    thread::sleep(Duration::from_millis(300 + clock::boot_us() % 700));
    show.voice.say(&format!(
        "Fault: {} of {active}{}.",
        fault.name(),
        if leader.as_ref() == Some(&active) {
            ", which leads the cluster"
        } else {
            ""
        }
    ))?;
    let wall_us = clock::wall_ms() * 1000;
    let fault_us = clock::boot_us();
    inject(show, &active)?;
    let moved = !matches!(fault, Fault::KillDaemon | Fault::Cold);
    let waited = cluster.wait("somebody answering", 60_000, || {
        let record = prober.record();
        let now_us = clock::boot_us();
        let first = if moved {
            record.taken_over(fault_us, &active)
        } else {
            record
                .answers
                .iter()
                .find(|a| a.at_us > fault_us + 2_500_000)
        };
        first.is_some_and(|a| now_us > a.at_us + STEADY_MS * 1000)
            && record
                .answers
                .last()
                .is_some_and(|a| now_us < a.at_us + 200_000)
    });
    if fault == Fault::KillDaemon {
        cluster.await_all_online(20_000)?;
    }
    let end_us = clock::boot_us();
    let record = prober.record();
    // A steady second before the fault shows what silence is normal here.
    let silence = record.silence(fault_us - 100_000, end_us);
    let takeover = record.taken_over(fault_us, &active).filter(|_| moved);
    let fenced = lab
        .switch_log()
        .into_iter()
        .find(|(at, text)| *at > fault_us && text.ends_with("has no power"));
    let round = Round {
        leader: leader.map(|leader| leader == active),
        after: record
            .answers
            .last()
            .filter(|a| a.at_us + 500_000 > end_us)
            .map(|a| a.who.clone()),
        outage_ms: silence.ms(),
        takeover_ms: takeover.map(|a| (a.at_us - fault_us) as f64 / 1000.0),
        fenced_ms: fenced.map(|(at, _)| (at - fault_us) as f64 / 1000.0),
        heard_twice: record.seen_twice(),
        held_twice_ms: lab.held_twice_us(VIP) as f64 / 1000.0,
        active,
    };
    show.voice.say(&timeline(
        moments(show, &round, fault_us, wall_us, end_us),
        fault_us,
    ))?;
    show.voice.say(&format!(
        "Outage that the client saw: {:.0} ms; now {} answers. Two hosts heard at once: {}, held at once: {:.0} ms.",
        round.outage_ms,
        round.after.as_deref().unwrap_or("nobody"),
        round.heard_twice,
        round.held_twice_ms,
    ))?;
    waited?;
    if let Some(words) = super::service::after_fault(lab, show.args.example.name())? {
        show.voice.say(&words)?;
    }
    Ok(round)
}

/// The active host of this round, after a move if another one was asked for.
fn victim(show: &Show<'_>) -> Result<String, Failure> {
    let active = show.prober.await_answer(30_000)?;
    let leader = show.cluster.leader(&active);
    let leads = leader.as_ref() == Some(&active);
    let wanted = match show.args.victim {
        Victim::Leader if !leads => leader,
        Victim::Follower if leads => show.lab.names().into_iter().find(|name| *name != active),
        _ => None,
    };
    let Some(wanted) = wanted else {
        return Ok(active);
    };
    let what = show.args.example.name();
    show.cluster
        .anywhere(&["resource", "move", what, &wanted])?;
    show.cluster.wait("the move", 20_000, || {
        show.prober.active().as_deref() == Some(wanted.as_str())
    })?;
    show.cluster.anywhere(&["resource", "clear", what])?;
    Ok(wanted)
}

fn inject(show: &Show<'_>, active: &str) -> Result<(), Failure> {
    match show.args.fault {
        Fault::Crash => show.lab.crash(active)?,
        Fault::Cut => show.lab.cut(active)?,
        Fault::Freeze => show.cluster.signal_daemon(active, Signal::STOP)?,
        Fault::Standby => drop(show.cluster.crm(active, &["node", "standby", active])?),
        Fault::KillDaemon => {
            show.cluster.signal_daemon(active, Signal::KILL)?;
            thread::sleep(Duration::from_millis(100));
            show.cluster.start_daemon(active)?;
        }
        Fault::Cold => {
            for host in show.lab.names() {
                show.lab.crash(&host)?;
            }
            for host in show.lab.names() {
                show.lab.boot(&host)?;
            }
            for host in show.lab.names() {
                show.cluster.start_daemon(&host)?;
            }
        }
    }
    Ok(())
}

/// All hosts on, plugged in, running and online again.
fn restore(show: &Show<'_>) -> Result<(), Failure> {
    for host in show.lab.names() {
        if show.lab.is_on(&host) {
            show.lab.heal(&host)?;
            show.cluster.signal_daemon(&host, Signal::CONT)?;
        } else {
            show.lab.boot(&host)?;
            show.cluster.start_daemon(&host)?;
        }
        if show.args.fault == Fault::Standby {
            show.cluster.anywhere(&["node", "online", &host])?;
        }
    }
    show.cluster.await_all_online(30_000)?;
    show.prober.await_answer(30_000)?;
    show.cluster.check_daemons()?;
    Ok(())
}

/// What everybody did, from the switch, the kernels, the client and the daemons' logs.
fn moments(
    show: &Show<'_>,
    round: &Round,
    fault_us: u64,
    wall_us: i64,
    end_us: u64,
) -> Vec<Moment> {
    let record = show.prober.record();
    let moment = |at_us: u64, who: &str, what: String| Moment {
        at_us,
        who: who.to_owned(),
        what,
    };
    let mut all = vec![moment(
        fault_us,
        "demo",
        format!("{} of {}", show.args.fault.name(), round.active),
    )];
    for (at_us, text) in show.lab.switch_log() {
        all.push(moment(
            at_us,
            "switch",
            text.trim_start_matches("switch: ").to_owned(),
        ));
    }
    for host in show.lab.names() {
        for held in show.lab.held(&host, VIP) {
            all.push(moment(held.from_us, &host, format!("has {VIP}")));
            if let Some(until_us) = held.until_us {
                all.push(moment(until_us, &host, format!("no longer has {VIP}")));
            }
        }
        let log = fs::read_to_string(show.lab.log(&host, "daemon")).unwrap_or_default();
        let told = log
            .lines()
            .filter_map(log_line)
            .filter(|(_, text)| !text.starts_with("DEBUG"));
        for (at, text) in told {
            let at_us = fault_us.saturating_add_signed(at - wall_us);
            let text: String = text.chars().take(150).collect();
            all.push(moment(at_us, &host, text));
        }
    }
    let silence = record.silence(fault_us - 100_000, end_us);
    if let Some(host) = silence.before {
        all.push(moment(
            silence.from_us,
            "client",
            format!("last answer, from {host}"),
        ));
    }
    let last_us = match silence.after {
        Some(host) => {
            all.push(moment(
                silence.until_us,
                "client",
                format!("first answer, from {host}"),
            ));
            silence.until_us + 100_000
        }
        None => end_us,
    };
    all.retain(|m| (fault_us.saturating_sub(100_000)..=last_us).contains(&m.at_us));
    all
}

/// Proportional memory and CPU of each daemon.
fn idle(show: &Show<'_>) -> Result<Vec<Idle>, Failure> {
    let ticks = |host: &str, pid: i32| -> Result<u64, Failure> {
        let stat = show
            .cluster
            .run(host, &["cat", &format!("/proc/{pid}/stat")])?
            .out;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let field = |i: usize| {
            fields
                .get(i)
                .and_then(|f| f.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Ok(field(11) + field(12))
    };
    let daemons: Vec<(String, i32)> = show
        .lab
        .names()
        .into_iter()
        .filter_map(|host| {
            let pid = show.lab.pid(&show.cluster.daemon(&host)?)?;
            Some((host, pid))
        })
        .collect();
    let mut before = Vec::new();
    for (host, pid) in &daemons {
        before.push(ticks(host, *pid)?);
    }
    thread::sleep(Duration::from_secs(show.args.idle));
    let mut all = Vec::new();
    for ((host, pid), before) in daemons.into_iter().zip(before) {
        let used = ticks(&host, pid)? - before;
        let rollup = show
            .cluster
            .run(&host, &["cat", &format!("/proc/{pid}/smaps_rollup")])?
            .out;
        let pss = rollup.lines().find_map(|l| {
            l.strip_prefix("Pss:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        let cpu_percent = used as f64 / show.args.idle as f64; // a tick is 10 ms: 1 % of a second
        all.push(Idle {
            host,
            pss_kib: pss.unwrap_or(0),
            cpu_percent,
        });
    }
    Ok(all)
}

fn summary(args: &Args, rounds: Vec<Round>, idle: Vec<Idle>) -> Summary {
    let cold = args.fault == Fault::Cold;
    let outages = Spread::of(rounds.iter().map(|r| r.outage_ms));
    Summary {
        example: args.example.name().to_owned(),
        fault: args.fault.name(),
        hosts: args.hosts,
        fencing: !args.no_fencing,
        fence_delay_ms: args.fence_delay,
        outage_ms: outages.filter(|_| !cold),
        takeover_ms: Spread::of(rounds.iter().filter_map(|r| r.takeover_ms)),
        cold_start_ms: outages.filter(|_| cold),
        rounds,
        idle,
    }
}

fn tell_summary(voice: &Voice, summary: &Summary) -> io::Result<()> {
    if let Some(outage) = summary.outage_ms {
        voice.say(&format!(
            "\n{} of the active host, {}: client outage {outage}.",
            summary.fault,
            if summary.fencing {
                "fenced"
            } else {
                "without fencing (lease)"
            },
        ))?;
    }
    if let Some(cold) = summary.cold_start_ms {
        voice.say(&format!(
            "\nPower cut to the first answer after a cold start of all hosts: {cold}."
        ))?;
    }
    for idle in &summary.idle {
        voice.say(&format!(
            "{} idle: {:.1} MiB (PSS), {:.2} % CPU.",
            idle.host,
            idle.pss_kib as f64 / 1024.0,
            idle.cpu_percent
        ))?;
    }
    Ok(())
}

/// A shell in the laboratory, or a long wait when nobody sits at a terminal.
fn keep(show: &Show<'_>) -> Result<(), Failure> {
    let lab = show.lab;
    let host = lab
        .names()
        .into_iter()
        .find(|host| lab.is_on(host))
        .unwrap_or_default();
    show.voice.say(&format!(
        "\nThe laboratory stays until you leave. Tools speak to {host}: try `crm status`, `crm configure show`, `crm explain vip`.\nEach host's disk and log: {}/HOST.",
        lab.dir().display()
    ))?;
    if !io::stdin().is_terminal() {
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let path = std::env::var("PATH").unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "a person's shell, not an agent")]
    let mut shell = std::process::Command::new(shell);
    shell
        .env("SYSTOLE_DIR", lab.disk(&host))
        .env("PATH", format!("{}:{path}", lab.bin().display()))
        .current_dir(Path::new("/"))
        .status()?;
    Ok(())
}

fn since_s(begun_us: u64) -> f64 {
    (clock::boot_us() - begun_us) as f64 / 1e6
}
