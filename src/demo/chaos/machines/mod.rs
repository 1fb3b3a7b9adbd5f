//! Chaos on machines of one's own: a cluster that exists already is broken over ssh, watched, and audited. What lasts is
//! healed by each machine itself, so that a lost connection leaves nothing broken.
//! Enters: names of hosts, and how a shell there is reached.
//! Leaves: a report like that of the laboratory.
//! May touch: those hosts, as `machine.sh` says, through a program like ssh.
//!
//! What is different from the laboratory: nobody switches hosts on or starts daemons but the machines themselves, the
//! resources are whatever is configured there, and less than half of the hosts are broken at once.

mod audit;
mod reach;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::reach::Reach;
use super::faults::Fault;
use super::{Args, Failure, Report, TICK};
use crate::clock::Mono;

/// A machine answers within this time, or does not.
const ANSWER: Duration = Duration::from_secs(15);
/// A machine without power may take so long to come back, and to have its resources again.
const SETTLED_MS: u64 = 600_000;

/// A cluster that is not ours.
struct Machines<'a> {
    args: &'a Args,
    reach: Reach,
    hosts: Vec<String>,
    /// Ports that the members speak through, and one address of each.
    ports: String,
    addresses: BTreeMap<String, String>,
    /// Resources that can fail one by one.
    resources: Vec<String>,
    faults: Vec<Fault>,
    dice: StdRng,
    begun: Mono,
    /// Until when each host is broken.
    broken: BTreeMap<String, Mono>,
    report: Report,
}

/// Breaks the machines that `--on` names; whether all audits passed.
pub(super) fn chaos(args: &Args) -> Result<bool, Failure> {
    let mut machines = Machines::look(args)?;
    machines.ask_first()?;
    machines.ask(&machines.hosts[0], &["begin"])?;
    let done = machines.run();
    // Whatever went wrong, both are tried.
    let (online, ended) = (machines.take_back(), machines.somewhere(&["end"]));
    done?;
    online.and(ended).map_err(Failure::Machine)?;
    machines.report.tell(args.json)
}

impl<'a> Machines<'a> {
    /// Whether all of this can be done there, before anything is.
    fn look(args: &'a Args) -> Result<Self, Failure> {
        let faults = match args.only.as_slice() {
            [] => Fault::harmless(),
            some => some.to_vec(),
        };
        let never: Vec<String> = faults
            .iter()
            .filter(|fault| !fault.is_for_machines())
            .map(|fault| fault.name())
            .collect();
        if !never.is_empty() {
            let all = Fault::value_variants().iter();
            let can = all.filter(|fault| fault.is_for_machines());
            let can: Vec<String> = can.map(|fault| fault.name()).collect();
            return Err(Failure::Machine(format!(
                "these faults are for the laboratory only: {}; machines can have --only {}",
                never.join(", "),
                can.join(",")
            )));
        }
        let mut machines = Self {
            args,
            reach: Reach::new(&args.reach).map_err(Failure::Machine)?,
            hosts: args.on.clone(),
            ports: String::new(),
            addresses: BTreeMap::new(),
            resources: Vec::new(),
            faults,
            dice: StdRng::seed_from_u64(args.seed),
            begun: Mono::now(),
            broken: BTreeMap::new(),
            report: Report {
                seed: args.seed,
                hosts: u8::try_from(args.on.len()).unwrap_or(u8::MAX),
                ..Report::default()
            },
        };
        let mut programs: Vec<&str> = machines
            .faults
            .iter()
            .flat_map(|f| f.programs())
            .copied()
            .collect();
        programs.sort_unstable();
        programs.dedup();
        let words: Vec<&str> = std::iter::once("look").chain(programs).collect();
        for host in &machines.hosts {
            machines.ask(host, &words)?;
        }
        machines.learn()?;
        if let Some(wrong) = machines.settled() {
            return Err(Failure::Machine(format!(
                "the cluster is not well, and is not broken further: {wrong}"
            )));
        }
        machines.report.fencing = machines.fencing_is_enabled();
        Ok(machines)
    }

    /// Who the members are, and what they run.
    fn learn(&mut self) -> Result<(), Failure> {
        let text = self.ask(&self.hosts[0], &["status"])?;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let mut ports = std::collections::BTreeSet::new();
        for member in status["members"].as_array().into_iter().flatten() {
            let name = member["name"].as_str().unwrap_or_default().to_owned();
            for address in member["addresses"].as_array().into_iter().flatten() {
                let Some((ip, port)) = address.as_str().and_then(|a| a.rsplit_once(':')) else {
                    continue;
                };
                ports.insert(port.to_owned());
                let ip = ip.trim_matches(['[', ']']).to_owned();
                self.addresses.entry(name.clone()).or_insert(ip);
            }
        }
        self.ports = ports.into_iter().collect::<Vec<_>>().join(",");
        let strangers = self
            .hosts
            .iter()
            .filter(|host| !self.addresses.contains_key(*host));
        let strangers: Vec<&str> = strangers.map(String::as_str).collect();
        if !strangers.is_empty() {
            let members: Vec<&str> = self.addresses.keys().map(String::as_str).collect();
            return Err(Failure::Machine(format!(
                "{} is no member of this cluster: its members are {}; --on takes their names, and --reach leads there",
                strangers.join(", "),
                members.join(", ")
            )));
        }
        self.resources = self.alone().map_err(Failure::Machine)?;
        Ok(())
    }

    /// Somebody has to want this.
    fn ask_first(&self) -> Result<(), Failure> {
        let faults: Vec<String> = self.faults.iter().map(|fault| fault.name()).collect();
        self.say(&format!(
            "breaks {} for {} min: {}. Their services will be interrupted, nodes put into standby and perhaps fenced. \
             Should this end before it says so: `crm node online HOST` for each of them, and \
             `cibadmin --delete -o crm_config -X '<cluster_property_set id=\"systole-chaos\"/>'`.",
            self.hosts.join(", "),
            self.args.minutes,
            faults.join(", ")
        ))?;
        if self.args.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Machine(
                "nobody can be asked whether that is wanted: say --yes".to_owned(),
            ));
        }
        write!(io::stderr(), "Type `break` to go on: ")?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        if line.trim() == "break" {
            return Ok(());
        }
        Err(Failure::Machine("nothing was done".to_owned()))
    }

    fn say(&self, text: &str) -> io::Result<()> {
        super::say(self.args.json, self.begun, text)
    }

    fn ask(&self, host: &str, words: &[&str]) -> Result<String, Failure> {
        let answer = self.reach.ask(host, words, ANSWER);
        answer.map_err(Failure::Machine)
    }

    /// Asks one after another until one does it.
    fn somewhere(&self, words: &[&str]) -> Result<String, String> {
        let mut last = String::new();
        for _ in 0..20 {
            for host in &self.hosts {
                match self.reach.ask(host, words, ANSWER) {
                    Ok(out) => return Ok(out),
                    Err(why) => last = why,
                }
            }
            thread::sleep(Duration::from_secs(1));
        }
        Err(last)
    }

    /// The operator takes back what was done.
    fn take_back(&self) -> Result<String, String> {
        let mut hosts = self.hosts.iter();
        hosts.try_fold(String::new(), |_, host| {
            self.somewhere(&["crm", "node", "online", host])
        })
    }

    fn below(&mut self, n: usize) -> usize {
        self.dice.random_range(0..n.max(1))
    }

    fn run(&mut self) -> Result<(), Failure> {
        let fenced = self.fencings();
        let end = self.begun.plus(self.args.minutes * 60_000);
        while Mono::now() < end && self.report.goes_on(self.args.rounds) {
            self.round()?;
        }
        self.report.fenced = self.fencings().saturating_sub(fenced);
        self.report.seconds = Mono::now().since(self.begun) / 1000;
        Ok(())
    }

    fn round(&mut self) -> Result<(), Failure> {
        let until = Mono::now().plus(self.args.round * 1000);
        let stop = AtomicBool::new(false);
        let (reach, hosts) = (
            Reach::new(&self.args.reach).map_err(Failure::Machine)?,
            self.hosts.clone(),
        );
        let seed = self.dice.random();
        let counts = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| work(&reach, &hosts, seed, &stop, &counts));
            let mut next = Mono::now().plus(500);
            let mut done = Ok(());
            while done.is_ok() && Mono::now() < until {
                let now = Mono::now();
                if now >= next {
                    done = self.break_something(now);
                    next = Mono::now().plus(500 + self.below(5_000) as u64);
                }
                thread::sleep(TICK);
            }
            stop.store(true, Ordering::Relaxed);
            done
        })?;
        self.report.writes_acknowledged += counts.0.into_inner();
        self.report.writes_in_doubt += counts.1.into_inner();
        self.settle()
    }

    /// Draws a fault and a host, and breaks it, as long as more than half stay whole.
    fn break_something(&mut self, now: Mono) -> Result<(), Failure> {
        self.broken.retain(|_, until| *until > now);
        let (fault, host) = (self.below(self.faults.len()), self.below(self.hosts.len()));
        let (fault, host) = (self.faults[fault], self.hosts[host].clone());
        let long_ms = 200 + self.below(7_800) as u64;
        let part = self.below(100);
        let which = self.below(self.resources.len());
        if self.broken.contains_key(&host) || (self.broken.len() + 1) * 2 >= self.addresses.len() {
            return Ok(());
        }
        let ms = long_ms.to_string();
        let peer = self.addresses.iter().find(|(name, _)| **name != host);
        let peer = peer.map(|(_, ip)| ip.clone()).unwrap_or_default();
        let name = fault.name();
        let rough = fault.rough(part as u64);
        let shape = rough.map(|rough| rough.to_string()).unwrap_or_default();
        let resource = self.resources.get(which).cloned();
        let words: Vec<&str> = match fault {
            Fault::KillDaemon | Fault::PowerOff => vec![&name],
            Fault::Cut | Fault::Deaf => vec![&name, &ms, &self.ports],
            Fault::FailResource => match &resource {
                Some(resource) => vec![&name, resource],
                None => return Ok(()),
            },
            Fault::Loss | Fault::Delay | Fault::Duplicate | Fault::Slow => ["shape", &ms, &peer]
                .into_iter()
                .chain(shape.split_whitespace())
                .collect(),
            _ => vec![&name, &ms],
        };
        let for_ms = match fault {
            Fault::KillDaemon | Fault::FailResource => 2_000,
            Fault::PowerOff => 60_000,
            _ => long_ms,
        };
        // A host that was fenced or is switched off has no time for it.
        match self.reach.ask(&host, &words, ANSWER) {
            Ok(_) => {
                self.broken.insert(host.clone(), now.plus(for_ms));
                *self.report.faults.entry(name.clone()).or_default() += 1;
                self.say(&format!("{host}: {}", words.join(" ")))?;
            }
            Err(why) => self.say(&format!("not broken: {why}"))?,
        }
        Ok(())
    }

    /// Everything has healed, and then the cluster has to be as if nothing had been.
    fn settle(&mut self) -> Result<(), Failure> {
        let since = Mono::now();
        self.take_back().map_err(Failure::Machine)?;
        let until = since.plus(SETTLED_MS);
        let wrong = loop {
            if let Some(never) = self.never() {
                break Some(never);
            }
            let wrong = self.settled();
            if wrong.is_none() || Mono::now() >= until {
                break wrong;
            }
            thread::sleep(Duration::from_millis(500));
        };
        let took_ms = Mono::now().since(since);
        self.report.slowest_settling_ms = self.report.slowest_settling_ms.max(took_ms);
        self.measure();
        self.report.rounds += 1;
        let number = self.report.rounds;
        match wrong {
            Some(wrong) => {
                self.say(&format!("VIOLATION: round {number}: {wrong}"))?;
                self.report.violations.push(wrong);
            }
            None => self.say(&format!(
                "round {number}: settled and audited in {took_ms} ms"
            ))?,
        }
        Ok(())
    }
}

/// Who uses the cluster meanwhile: a client that counts, and an operator who puts nodes into standby and back.
fn work(
    reach: &Reach,
    hosts: &[String],
    seed: u64,
    stop: &AtomicBool,
    (acknowledged, in_doubt): &(AtomicU64, AtomicU64),
) {
    let mut dice = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        let host = &hosts[dice.random_range(0..hosts.len())];
        let target = &hosts[dice.random_range(0..hosts.len())];
        let done = match dice.random_range(0..30) {
            0 => reach
                .ask(host, &["crm", "node", "standby", target], ANSWER)
                .is_ok(),
            1 | 2 => reach
                .ask(host, &["crm", "node", "online", target], ANSWER)
                .is_ok(),
            _ => {
                let done = reach.ask(host, &["count"], ANSWER).is_ok();
                let counter = if done { acknowledged } else { in_doubt };
                counter.fetch_add(1, Ordering::Relaxed);
                done
            }
        };
        thread::sleep(Duration::from_millis(if done { 150 } else { 500 }));
    }
}
