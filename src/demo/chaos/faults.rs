//! What is broken, for how long, and how it is healed.

use std::io;

use clap::ValueEnum;
use nix::mount::{MsFlags, mount};
use rustix::process::Signal;

use super::super::lab::CLIENT;
use super::super::rough::Rough;
use super::audit::IT_COUNTS;
use super::{Chaos, Failure};
use crate::clock::Mono;

/// A fault that a host, its daemon, its cable or its disk can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// Power cut: the cable is dead and all processes are killed
    PowerOff,
    /// All hosts lose their power at once
    Blackout,
    /// SIGKILL to the daemon
    KillDaemon,
    /// SIGSTOP to the daemon for 0.2 to 8 s
    Pause,
    /// The cable is pulled
    Cut,
    /// The host is heard, and hears nobody
    Deaf,
    /// Up to 30 % of the packets towards the host are lost
    Loss,
    /// Packets towards the host are late, and overtake each other
    Delay,
    /// Packets towards the host arrive twice
    Duplicate,
    /// The cable carries only so much, and the rest waits or is lost
    Slow,
    /// The disk is full
    DiskFull,
    /// The daemon is killed, and the disk can only be read when it comes back
    ReadOnly,
    /// The wall clock jumps by up to a day, to and fro
    Clock,
    /// The service's process is killed
    FailResource,
}

/// All faults with what they are, for people.
pub(super) fn list() -> String {
    let one = |fault: &Fault| {
        let value = fault.to_possible_value()?;
        let help = value.get_help().map(ToString::to_string);
        Some(format!(
            "{:<14} {}\n",
            value.get_name(),
            help.unwrap_or_default()
        ))
    };
    Fault::value_variants().iter().filter_map(one).collect()
}

impl Fault {
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What is broken on machines of one's own if nothing else is asked for: what needs no person to mend it.
    pub(super) fn harmless() -> Vec<Self> {
        vec![
            Self::KillDaemon,
            Self::Pause,
            Self::Cut,
            Self::Deaf,
            Self::FailResource,
        ]
    }

    /// Whether machines of one's own can be broken like that.
    pub(super) fn is_for_machines(self) -> bool {
        !matches!(self, Self::Blackout | Self::ReadOnly | Self::Clock)
    }

    /// Programs that it takes on a machine.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Cut | Self::Deaf => &["nft", "setsid"],
            Self::Loss | Self::Delay | Self::Duplicate | Self::Slow => &["tc", "ip", "setsid"],
            Self::Pause => &["setsid"],
            Self::DiskFull => &["setsid", "timeout"],
            _ => &[],
        }
    }

    /// What it does to packets; `part` of 100.
    pub(super) fn rough(self, part: u64) -> Option<Rough> {
        Some(match self {
            Self::Loss => Rough::Lost {
                percent: 1 + part * 3 / 10,
            },
            Self::Delay => Rough::Late {
                ms: 5 + part,
                spread_ms: part / 2,
                ahead_percent: 25,
            },
            Self::Duplicate => Rough::Twice {
                percent: 1 + part / 2,
            },
            Self::Slow => Rough::Narrow {
                kbit: 100 + 20 * part,
            },
            _ => return None,
        })
    }

    /// How often it is drawn, relative to the others.
    fn weight(self) -> u64 {
        match self {
            Self::Blackout => 1,
            Self::DiskFull | Self::ReadOnly | Self::Clock => 2,
            _ => 4,
        }
    }
}

impl Chaos<'_> {
    /// Draws a fault and a host, and breaks it.
    pub(super) fn break_something(&mut self, now: Mono) -> Result<(), Failure> {
        let fault = self.draw();
        let names = self.lab.names();
        let host = names[self.below(names.len() as u64) as usize].clone();
        let long_ms = 200 + self.below(7_800);
        let part = self.below(100);
        let busy = |(_, _, at): &(Mono, Fault, String)| *at == host;
        if !self.is_well(&host) || self.lasting.iter().any(busy) {
            return Ok(());
        }
        let rough = fault.rough(part);
        let words = rough.map(|rough| rough.to_string()).unwrap_or_default();
        self.say(&match fault {
            Fault::Blackout => "blackout".to_owned(),
            Fault::PowerOff | Fault::KillDaemon | Fault::FailResource => {
                format!("{}: {host}", fault.name())
            }
            _ => format!("{}: {host} for {long_ms} ms {words}", fault.name()),
        })?;
        *self.report.faults.entry(fault.name()).or_default() += 1;
        match fault {
            Fault::PowerOff => self.lab.crash(&host)?,
            Fault::Blackout => {
                for host in names.iter().filter(|host| self.lab.is_on(host)) {
                    self.lab.crash(host)?;
                }
            }
            Fault::KillDaemon => {
                self.on_purpose.insert(host.clone());
                self.signal(&host, Signal::KILL)?;
            }
            Fault::Pause => self.signal(&host, Signal::STOP)?,
            Fault::Cut => self.lab.cut(&host)?,
            Fault::Deaf => {
                let _ = self.lab.deafen(&host, true);
            }
            Fault::Loss | Fault::Delay | Fault::Duplicate | Fault::Slow => {
                let seed = self.below(u64::MAX);
                // It may lose its power, and with it its cable, at this very moment.
                if let Some(rough) = rough
                    && let Err(e) = self.lab.roughen(&host, rough, seed)
                {
                    self.say(&e.to_string())?;
                }
            }
            Fault::DiskFull => self.fill(&host)?,
            Fault::ReadOnly => {
                self.on_purpose.insert(host.clone());
                self.signal(&host, Signal::KILL)?;
                self.seal(&host, true)?;
            }
            Fault::Clock => {
                let ahead_s = (part as i64 - 50) * 1_728;
                std::fs::write(self.cluster.clock(&host), ahead_s.to_string())?;
            }
            Fault::FailResource => {
                let script = format!("{IT_COUNTS} && kill -KILL \"$pid\"");
                let file = self.counter(&host);
                // Where it does not run, nothing happens.
                let _ = self.cluster.run(&host, &["sh", "-c", &script, "sh", &file]);
            }
        }
        if !matches!(
            fault,
            Fault::PowerOff | Fault::Blackout | Fault::KillDaemon | Fault::FailResource
        ) {
            self.lasting.push((now.plus(long_ms), fault, host));
        }
        Ok(())
    }

    fn draw(&mut self) -> Fault {
        let all = self.possible.clone();
        let total: u64 = all.iter().map(|fault| fault.weight()).sum();
        let mut at = self.below(total);
        for fault in &all {
            if at < fault.weight() {
                return *fault;
            }
            at -= fault.weight();
        }
        all[0]
    }

    /// Those of the asked faults that this machine can make; tried on the client's cable.
    pub(super) fn try_out(&mut self) -> Result<(), Failure> {
        let asked = match self.args.only.as_slice() {
            [] => Fault::value_variants(),
            some => some,
        };
        let lab = self.lab;
        let works = |fault: &Fault| match fault {
            Fault::Deaf => lab.deafen(CLIENT, true) && lab.deafen(CLIENT, false),
            _ => match fault.rough(1) {
                Some(rough) => lab.roughen(CLIENT, rough, 1).is_ok(),
                None => true,
            },
        };
        self.possible = asked.iter().copied().filter(works).collect();
        self.lab.smooth(CLIENT)?;
        let left_out = asked.iter().filter(|fault| !self.possible.contains(fault));
        let left_out: Vec<String> = left_out.map(|fault| fault.name()).collect();
        if !left_out.is_empty() {
            self.say(&format!(
                "LEFT OUT, because this machine cannot do it (needed: iproute2, /dev/net/tun): {}",
                left_out.join(", ")
            ))?;
        }
        if self.possible.is_empty() {
            return Err(io::Error::other("none of the faults can be made here").into());
        }
        self.report.left_out = left_out;
        Ok(())
    }

    /// Ends a lasting fault. A host that lost its power meanwhile has a new cable and no processes.
    pub(super) fn heal(&mut self, fault: Fault, host: &str) -> Result<(), Failure> {
        match fault {
            Fault::DiskFull => {
                let _ = std::fs::remove_file(self.lab.disk(host).join(FILLER));
            }
            Fault::ReadOnly => self.seal(host, false)?,
            Fault::Clock => std::fs::remove_file(self.cluster.clock(host))?,
            _ => {}
        }
        if !self.lab.is_on(host) {
            return Ok(());
        }
        match fault {
            Fault::Pause => self.signal(host, Signal::CONT)?,
            Fault::Cut => self.lab.heal(host)?,
            Fault::Deaf => {
                let _ = self.lab.deafen(host, false);
            }
            Fault::Loss | Fault::Delay | Fault::Duplicate | Fault::Slow => {
                if let Err(e) = self.lab.smooth(host) {
                    self.say(&e.to_string())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes a host's disk one that can only be read, or the end of that. It is refused as long as a process that still
    /// ends has a file open.
    fn seal(&self, host: &str, sealed: bool) -> Result<(), Failure> {
        let disk = self.lab.disk(host);
        let only = if sealed {
            MsFlags::MS_RDONLY
        } else {
            MsFlags::empty()
        };
        for _ in 0..50 {
            let none: Option<&str> = None;
            match mount(none, &disk, none, MsFlags::MS_REMOUNT | only, none) {
                Err(nix::Error::EBUSY) => std::thread::sleep(std::time::Duration::from_millis(10)),
                done => return done.map_err(Failure::Disk),
            }
        }
        Ok(self.say(&format!(
            "{host}: the disk stays as it is, files are open on it"
        ))?)
    }

    fn fill(&self, host: &str) -> io::Result<()> {
        let mut file = std::fs::File::create(self.lab.disk(host).join(FILLER))?;
        let block = vec![0; 64 << 10];
        // Ends with "no space left on device".
        while io::Write::write_all(&mut file, &block).is_ok() {}
        Ok(())
    }
}

const FILLER: &str = "filler";
