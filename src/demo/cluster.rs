//! A cluster in the laboratory, built as a person would build it: `init`, `token`, `join`, a daemon on each host, and
//! the crm shell. Nothing here knows more about the daemons than their command line.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::{CLIENT, Job, Lab, LabError, Output};
use super::prober::Record;
use crate::clock::{self, LAB_CLOCK, Mono};

const PORT: u16 = 5405;
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Something about the cluster went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The laboratory broke.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A command failed.
    #[error("failed to run `{command}` on {host} (exit status {code}): {text}")]
    Command {
        /// Where.
        host: String,
        /// What.
        command: String,
        /// Its exit status.
        code: i32,
        /// What it said.
        text: String,
    },
    /// A daemon died.
    #[error("failed to keep the daemon of {host} running (exit status {code}): {log}")]
    Daemon {
        /// Where.
        host: String,
        /// Its exit status.
        code: i32,
        /// The end of its log.
        log: String,
    },
    /// Waited in vain.
    #[error("failed to see {what} within {limit_ms} ms{hint}")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// How long.
        limit_ms: u64,
        /// What may help to find out why.
        hint: String,
    },
    /// A file could not be read or written.
    #[error("failed to use {path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The daemons and how to talk to them.
pub struct Cluster<'a> {
    /// Where they live.
    pub lab: &'a Lab,
    profile: Option<String>,
    daemons: Mutex<Vec<Job>>,
}

impl<'a> Cluster<'a> {
    /// Founds the cluster on the first host, lets the others join, and starts all daemons.
    pub fn found(lab: &'a Lab, profile: Option<&str>) -> Result<Self, ClusterError> {
        Self::found_at(lab, profile, |name| vec![lab.ip(name)])
    }

    /// The same with hosts that have several addresses each, the preferred one first. One without any is no member.
    pub fn found_at(
        lab: &'a Lab,
        profile: Option<&str>,
        addresses: impl Fn(&str) -> Vec<Ipv4Addr>,
    ) -> Result<Self, ClusterError> {
        let cluster = Self {
            lab,
            profile: profile.map(str::to_owned),
            daemons: Mutex::default(),
        };
        let mut names = lab.names();
        names.retain(|name| !addresses(name).is_empty());
        let Some((first, others)) = names.split_first() else {
            return Ok(cluster);
        };
        let addresses = |name: &str| -> Vec<String> {
            let all = addresses(name).into_iter();
            all.flat_map(|ip| ["--address".to_owned(), format!("{ip}:{PORT}")])
                .collect()
        };
        let at = addresses(first);
        let mut argv = vec!["init", "--name", first, "--cluster", "demo"];
        argv.extend(at.iter().map(String::as_str));
        cluster.systole(first, &argv)?;
        cluster.start_daemon(first)?;
        for name in others {
            // The first daemon may still be electing itself.
            let token = cluster.retried(|| cluster.systole(first, &["token"]))?;
            let token = token
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
            let at = addresses(name);
            let mut argv = vec!["join", "--name", name];
            argv.extend(at.iter().map(String::as_str));
            argv.push(&token);
            cluster.retried(|| cluster.systole(name, &argv))?;
            cluster.start_daemon(name)?;
        }
        Ok(cluster)
    }

    /// Runs `systole WORDS --dir DIR` on a host; its standard output.
    pub fn systole(&self, host: &str, words: &[&str]) -> Result<String, ClusterError> {
        let program = self.program("systole");
        let dir = self.lab.disk(host);
        let mut argv = vec![program.as_str(), words.first().copied().unwrap_or("help")];
        let dir = dir.to_string_lossy();
        argv.extend(["--dir", &dir]);
        argv.extend(words.iter().skip(1));
        self.done(host, &argv)
    }

    /// Runs the crm shell on a host; its standard output.
    pub fn crm(&self, host: &str, words: &[&str]) -> Result<String, ClusterError> {
        let program = self.program("crm");
        let argv: Vec<&str> = std::iter::once(program.as_str())
            .chain(words.iter().copied())
            .collect();
        self.done(host, &argv)
    }

    /// Runs a program on a host, with the environment of its tools, whatever the end.
    pub fn run(&self, host: &str, argv: &[&str]) -> Result<Output, ClusterError> {
        Ok(self.lab.run(host, argv, &self.env(host), COMMAND_LIMIT)?)
    }

    fn done(&self, host: &str, argv: &[&str]) -> Result<String, ClusterError> {
        let output = self.run(host, argv)?;
        if output.code == 0 {
            return Ok(output.out);
        }
        Err(ClusterError::Command {
            host: host.to_owned(),
            command: argv.join(" "),
            code: output.code,
            text: format!("{}{}", output.err, output.out),
        })
    }

    fn program(&self, name: &str) -> String {
        self.lab.bin().join(name).to_string_lossy().into_owned()
    }

    fn env(&self, host: &str) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        vec![
            ("SYSTOLE_DIR", self.lab.disk(host).display().to_string()),
            ("PATH", format!("{}:{path}", self.lab.bin().display())),
            ("HA_RSCTMP", "/run/resource-agents".to_owned()),
        ]
    }

    fn retried(
        &self,
        what: impl Fn() -> Result<String, ClusterError>,
    ) -> Result<String, ClusterError> {
        let until = Mono::now().plus(15_000);
        loop {
            match what() {
                Err(ClusterError::Command { .. }) if Mono::now() < until => {
                    thread::sleep(Duration::from_millis(100));
                }
                done => return done,
            }
        }
    }

    /// Starts the daemon of a host that is on.
    pub fn start_daemon(&self, host: &str) -> Result<(), ClusterError> {
        let program = self.program("systole");
        let dir = self.lab.disk(host).display().to_string();
        let mut argv = vec![program.as_str(), "daemon", "--dir", &dir];
        if let Some(profile) = &self.profile {
            argv.extend(["--profile", profile]);
        }
        let mut env = self.env(host);
        env.push((LAB_CLOCK, self.clock(host).display().to_string()));
        let job = self.lab.start(host, "daemon", &argv, &env)?;
        let mut daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        daemons.retain(|old| old.host != host);
        daemons.push(job);
        Ok(())
    }

    /// The file that says by how many seconds the wall clock of a host's daemon is ahead.
    pub fn clock(&self, host: &str) -> std::path::PathBuf {
        self.lab.dir().join(format!("{host}.clock"))
    }

    /// The daemon of a host, if one was started.
    pub fn daemon(&self, host: &str) -> Option<Job> {
        let daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        daemons.iter().find(|job| job.host == host).cloned()
    }

    /// Sends a signal to a host's daemon only.
    pub fn signal_daemon(&self, host: &str, signal: Signal) -> Result<(), ClusterError> {
        match self.daemon(host) {
            Some(job) => Ok(self.lab.signal(&job, signal)?),
            None => Ok(()),
        }
    }

    /// Loads a configuration in the crm shell's language on top of what is there.
    pub fn load(&self, text: &str) -> Result<(), ClusterError> {
        let path = self.lab.dir().join("example.crm");
        fs::write(&path, text).map_err(|cause| ClusterError::File {
            path: path.clone(),
            cause,
        })?;
        let path = path.to_string_lossy().into_owned();
        self.anywhere(&["configure", "load", "update", &path])
            .map(drop)
    }

    /// Runs the crm shell on any host that answers; tries for a while.
    pub fn anywhere(&self, words: &[&str]) -> Result<String, ClusterError> {
        let until = Mono::now().plus(20_000);
        loop {
            let mut last = None;
            for host in self.lab.names().iter().filter(|name| self.lab.is_on(name)) {
                match self.crm(host, words) {
                    Ok(out) => return Ok(out),
                    Err(e) => last = Some(e),
                }
            }
            match last {
                Some(e) if Mono::now() >= until => return Err(e),
                None if Mono::now() >= until => return Err(LabError::Off("any host".into()).into()),
                _ => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Fails if a daemon that should run does not.
    pub fn check_daemons(&self) -> Result<(), ClusterError> {
        let daemons = self
            .daemons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for job in daemons {
            if self.lab.is_on(&job.host) && !self.lab.runs(&job) {
                let code = self.lab.ended(&job, Duration::from_millis(1))?;
                let log = fs::read_to_string(self.lab.log(&job.host, "daemon")).unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(8).collect();
                let log = end.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(ClusterError::Daemon {
                    host: job.host,
                    code,
                    log,
                });
            }
        }
        Ok(())
    }

    /// The hosts that are online, as `crm status` tells it on a host.
    pub fn online(&self, host: &str) -> Vec<String> {
        let text = self.crm(host, &["status"]).unwrap_or_default();
        let names = text.lines().find_map(|line| {
            let (_, names) = line.split_once("Online: [")?;
            names.split_once(']').map(|(names, _)| names)
        });
        names
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    }

    /// Who coordinates, as `crm status` tells it on a host.
    pub fn leader(&self, host: &str) -> Option<String> {
        let text = self.crm(host, &["status"]).ok()?;
        let (_, rest) = text.split_once("Current DC:")?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    /// Waits until every host sees every host online.
    pub fn await_all_online(&self, limit_ms: u64) -> Result<(), ClusterError> {
        let names = self.lab.names();
        self.wait("all hosts online", limit_ms, || {
            names
                .iter()
                .all(|host| self.online(host).len() == names.len())
        })
    }

    /// Waits for a condition, and looks after the daemons meanwhile.
    pub fn wait(
        &self,
        what: &str,
        limit_ms: u64,
        is_so: impl Fn() -> bool,
    ) -> Result<(), ClusterError> {
        let until = Mono::now().plus(limit_ms);
        while !is_so() {
            if Mono::now() >= until {
                self.check_daemons()?;
                let on = self
                    .lab
                    .names()
                    .into_iter()
                    .find(|host| self.lab.is_on(host));
                let hint = match on.map(|host| self.crm(&host, &["status"])) {
                    Some(Ok(status)) => format!("; crm status says:\n{status}"),
                    Some(Err(e)) => format!("; {e}"),
                    None => "; no host is on".to_owned(),
                };
                return Err(ClusterError::TooSlow {
                    what: what.to_owned(),
                    limit_ms,
                    hint,
                });
            }
            thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    }
}

/// The client that asks an address all the time.
pub struct Prober<'a> {
    lab: &'a Lab,
    file: PathBuf,
}

impl<'a> Prober<'a> {
    /// Starts asking every 5 ms.
    pub fn start(lab: &'a Lab, ip: Ipv4Addr) -> Result<Self, ClusterError> {
        let file = lab
            .dir()
            .join(CLIENT)
            .join(format!("answers-{}", clock::boot_us()));
        let program = lab.bin().join("systole").to_string_lossy().into_owned();
        let ip = ip.to_string();
        let path = file.to_string_lossy().into_owned();
        lab.start(
            CLIENT,
            "prober",
            &[&program, "lab-prober", &ip, "5", &path],
            &[],
        )?;
        Ok(Self { lab, file })
    }

    /// What was heard so far.
    pub fn record(&self) -> Record {
        Record::read(&self.file).unwrap_or_default()
    }

    /// Who answers now, if anybody did in the last 200 ms.
    pub fn active(&self) -> Option<String> {
        let record = self.record();
        let last = record.answers.last()?;
        (clock::boot_us().saturating_sub(last.at_us) < 200_000).then(|| last.who.clone())
    }

    /// Waits until somebody answers.
    pub fn await_answer(&self, limit_ms: u64) -> Result<String, ClusterError> {
        let until = Mono::now().plus(limit_ms);
        loop {
            if let Some(host) = self.active() {
                return Ok(host);
            }
            if Mono::now() >= until {
                let hint = format!("; logs of the daemons are in {}", self.lab.dir().display());
                return Err(ClusterError::TooSlow {
                    what: "an answer from the virtual address".to_owned(),
                    limit_ms,
                    hint,
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
