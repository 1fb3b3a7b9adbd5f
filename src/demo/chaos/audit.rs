//! What must be so once all faults are over, and what must never have been.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::client::COUNT;
use super::{Chaos, Failure, VIP};
use crate::clock::{self, Mono};
use crate::xml::{Limits, parse};

/// The cluster has to settle within this time.
const SETTLED_MS: u64 = 120_000;

/// Whether the counter runs, by its file `$1`, as a shell sees it; then `$pid` is its process. The file outlives a power
/// cut, and by then its number may be another process's.
pub(super) const IT_COUNTS: &str = "read -r pid since < \"$1\" && read -r line < \"/proc/$pid/stat\" && set -- ${line##*) } && [ \"${20}\" = \"$since\" ]";

/// What earlier audits saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How far each daemon's log was read.
    logs: BTreeMap<String, usize>,
}

/// What a daemon takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    rss_kib: u64,
    files: u64,
    threads: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.rss_kib as f64 / 1024.0;
        write!(
            f,
            "{mib:.1} MiB, {} files, {} threads",
            self.files, self.threads
        )
    }
}

impl Sample {
    /// From the number of a process's open files and its `/proc/PID/status`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            rss_kib: number("VmRSS:")?,
            files: text.lines().next()?.trim().parse().ok()?,
            threads: number("Threads:")?,
        })
    }
}

impl Chaos<'_> {
    /// Waits until all is as it should be; what is not so in the end, or should never have been.
    pub(super) fn audit(&mut self, since: Mono) -> Result<Option<String>, Failure> {
        if let Some(never) = self.never() {
            return Ok(Some(never));
        }
        let until = since.plus(SETTLED_MS);
        loop {
            self.look_after(Mono::now())?;
            let wrong = self.settled();
            if wrong.is_none() || Mono::now() >= until || !self.report.violations.is_empty() {
                self.measure();
                return Ok(wrong.or_else(|| self.never()));
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// What no fault excuses.
    fn never(&mut self) -> Option<String> {
        let twice = self.lab.held_twice(VIP).into_iter();
        if let Some(twice) = twice.max_by_key(|twice| twice.for_us / 1000)
            && twice.for_us >= 1000
        {
            let ago_ms = clock::boot_us().saturating_sub(twice.from_us) / 1000;
            return Some(format!(
                "{VIP} was on {} for {} ms, {ago_ms} ms ago",
                twice.hosts.join(" and "),
                twice.for_us / 1000
            ));
        }
        let conflict = self.lab.dir().join("shared/count.conflict");
        if let Ok(text) = std::fs::read_to_string(conflict) {
            return Some(format!("two hosts counted at once: {}", text.trim()));
        }
        for host in self.lab.names() {
            let log = std::fs::read_to_string(self.lab.log(&host, "daemon")).unwrap_or_default();
            let read = self.seen.logs.insert(host.clone(), log.len()).unwrap_or(0);
            let bad = |line: &&str| BAD_NEWS.iter().any(|news| line.contains(news));
            if let Some(line) = log.get(read..).unwrap_or_default().lines().find(bad) {
                return Some(format!("the daemon of {host} says: {line}"));
            }
        }
        None
    }

    /// The first thing that is not so.
    fn settled(&self) -> Option<String> {
        let names = self.lab.names();
        for host in &names {
            let online = self.cluster.online(host);
            if online.len() != names.len() {
                return Some(format!("{host} sees online: {}", online.join(" ")));
            }
        }
        let leaders: BTreeSet<_> = names.iter().map(|host| self.cluster.leader(host)).collect();
        if leaders.len() != 1 || leaders.contains(&None) {
            return Some(format!("not one coordinator: {leaders:?}"));
        }
        if let Some(wrong) = self.not_placed(&names) {
            return Some(wrong);
        }
        let wait = self.tool(&names[0], "crm_resource", &["--wait", "--timeout=20"]);
        if wait.is_none() {
            return Some("there is still something to do".to_owned());
        }
        let cibs: Vec<Option<String>> = names
            .iter()
            .map(|host| self.tool(host, "cibadmin", &["--query", "--local"]))
            .collect();
        if cibs.windows(2).any(|pair| pair[0] != pair[1]) {
            let differ = names.iter().zip(&cibs).filter(|(_, cib)| **cib != cibs[0]);
            let differ: Vec<&str> = differ.map(|(host, _)| host.as_str()).collect();
            return Some(format!(
                "the CIB of {} is not that of {}",
                differ.join(" "),
                names[0]
            ));
        }
        let cib = cibs.into_iter().next().flatten()?;
        self.counted(&cib)
    }

    /// Where resources are, as the kernels, processes and files know it, and whether status says the same.
    fn not_placed(&self, names: &[String]) -> Option<String> {
        let holds = |host: &&String| {
            let held = self.lab.held(host, VIP);
            held.last().is_some_and(|held| held.until_us.is_none())
        };
        let counts = |host: &&String| {
            let file = self.counter(host);
            self.cluster
                .run(host, &["sh", "-c", IT_COUNTS, "sh", &file])
                .is_ok_and(|o| o.code == 0)
        };
        let holders: Vec<&String> = names.iter().filter(holds).collect();
        let counters: Vec<&String> = names.iter().filter(counts).collect();
        if holders.len() != 1 || holders != counters {
            return Some(format!(
                "{VIP} is on {holders:?} and the counter runs on {counters:?}"
            ));
        }
        let text = self.tool(&names[0], "crm_mon", &["-1", "--output-as=xml"])?;
        let Ok(status) = parse(&text, &Limits::default()) else {
            return Some("crm_mon writes what is no XML".to_owned());
        };
        let places = |id: &str, role: Option<&str>| -> Vec<String> {
            let all = status
                .descendants()
                .filter(|e| e.is("resource") && e.get("id") == Some(id));
            let active = all.filter(|e| e.get("active") == Some("true"));
            let of_role = active.filter(|e| role.is_none_or(|role| e.get("role") == Some(role)));
            let mut on: Vec<String> = of_role
                .filter_map(|e| Some(e.child("node")?.get("name")?.to_owned()))
                .collect();
            on.sort();
            on
        };
        let vip = places("vip", None);
        if vip.iter().collect::<Vec<_>>() != holders {
            return Some(format!(
                "status says that vip is on {vip:?}; it is on {holders:?}"
            ));
        }
        for id in ["each", "db"] {
            let on = places(id, None);
            if on != names {
                return Some(format!("{id} runs on {on:?}"));
            }
        }
        let promoted = places("db", Some("Promoted"));
        (promoted.len() != 1).then(|| format!("db is promoted on {promoted:?}"))
    }

    /// Where the agent keeps the number of its process.
    pub(super) fn counter(&self, host: &str) -> String {
        let file = self
            .lab
            .disk(host)
            .join("run/rsctmp/systole-counter-count.pid");
        file.to_string_lossy().into_owned()
    }

    /// No acknowledged write is lost, and none counts twice.
    fn counted(&self, cib: &str) -> Option<String> {
        let (acknowledged, in_doubt) = self.client.counts();
        let root = parse(cib, &Limits::default()).ok()?;
        let pair = root
            .descendants()
            .find(|e| e.is("nvpair") && e.get("name") == Some(COUNT));
        let value: u64 = pair.and_then(|e| e.get("value")?.parse().ok()).unwrap_or(0);
        let sound = (acknowledged..=acknowledged + in_doubt).contains(&value);
        (!sound).then(|| {
            format!("{acknowledged} writes were acknowledged and {in_doubt} are in doubt, and the count is {value}")
        })
    }

    /// A tool's output; none if it failed.
    fn tool(&self, host: &str, name: &str, words: &[&str]) -> Option<String> {
        let program = self.lab.disk(host).join("tools").join(name);
        let program = program.to_string_lossy();
        let argv: Vec<&str> = std::iter::once(&*program)
            .chain(words.iter().copied())
            .collect();
        let output = self.cluster.run(host, &argv).ok()?;
        (output.code == 0).then_some(output.out)
    }

    /// What the daemons take now.
    fn measure(&mut self) {
        for host in self.lab.names() {
            let Some(sample) = self.sample(&host) else {
                continue;
            };
            let (_, last) = self.report.sizes.entry(host).or_insert((sample, sample));
            *last = sample;
        }
    }

    fn sample(&self, host: &str) -> Option<Sample> {
        let pid = self.lab.pid(&self.cluster.daemon(host)?)?;
        let script = "ls /proc/$1/fd | wc -l; cat /proc/$1/status";
        let pid = pid.to_string();
        let out = self
            .cluster
            .run(host, &["sh", "-c", script, "sh", &pid])
            .ok()?
            .out;
        Sample::read(&out)
    }
}

/// What a daemon must never say.
const BAD_NEWS: [&str; 4] = [
    "panicked at",
    "is active on 2 nodes",
    "state machine differs",
    "assertion",
];
