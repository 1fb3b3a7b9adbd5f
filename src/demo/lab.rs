//! A laboratory of hosts: build it, boot hosts, run programs in them, pull cables, cut power. Tests and the demo
//! share it. Everything is private to the process (see [`super::enclose`]) and ends with it.
//!
//! ```text
//!   host1 eth0 --- host1 ]                 10.77.0.1
//!   host2 eth0 --- host2 ] bridge `lan`    10.77.0.2        one more bridge `svc`, 10.78.0.x on eth1,
//!   client eth0 -- client]                 10.77.0.250      when asked for
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use rustix::process::{Pid, Signal};

use super::fence::Switch;
use super::init::{News, Order};
use super::rough::{Laid, Rough};
use super::wires::Wires;
use crate::clock;

/// The name of the client machine.
pub const CLIENT: &str = "client";
const LAN: &str = "lan";
const SERVICE: &str = "svc";
const BOOT_TIMEOUT: Duration = Duration::from_secs(10);

/// What to build.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many cluster hosts, named host1, host2, ...
    pub hosts: u8,
    /// The `systole` program; the hosts run it.
    pub program: PathBuf,
    /// How long the power switch takes.
    pub fence_delay: Duration,
    /// A second network, 10.78.0.x, to cut hosts off from each other but not from the client.
    pub service_network: bool,
    /// Where the hosts' disks are; in memory when absent.
    pub disks: Option<PathBuf>,
}

/// Something in the laboratory broke.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Links, files or processes of the laboratory itself.
    #[error("failed to {what}: {cause}")]
    Broken {
        /// What was tried.
        what: String,
        /// Why it failed.
        cause: io::Error,
    },
    /// A host that is switched off was asked for something.
    #[error("failed to use {0}: it is switched off")]
    Off(String),
    /// Waited in vain.
    #[error("failed to {what} within {} s", .limit.as_secs_f64())]
    TooSlow {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
}

/// A program that runs, or ran, in a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where.
    pub host: String,
    key: u64,
}

/// What a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status, or 128 + signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// An address was on a host from then to then (microseconds since boot); `until_us` is open while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub from_us: u64,
    /// Until when.
    pub until_us: Option<u64>,
}

/// An address was on two hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twice {
    /// On which.
    pub hosts: [String; 2],
    /// Since when, in microseconds since boot.
    pub from_us: u64,
    /// For how long, in microseconds.
    pub for_us: u64,
}

/// The laboratory.
pub struct Lab {
    dir: PathBuf,
    plan: Plan,
    runtime: tokio::runtime::Runtime,
    hosts: BTreeMap<String, Host>,
    switch: Arc<Switch>,
    /// Cables that are not as they should be.
    rough: Mutex<BTreeMap<String, Laid>>,
    next_key: Mutex<u64>,
}

struct Host {
    number: u8,
    state: Arc<(Mutex<State>, Condvar)>,
    orders: Mutex<Option<ChildStdin>>,
}

#[derive(Default)]
struct State {
    pid: Option<i32>,
    ready: bool,
    done: u32,
    started: BTreeMap<u64, i32>,
    ended: BTreeMap<u64, i32>,
    failed: Vec<(Option<u64>, String)>,
    /// Address events in order; `None` stands for a power cut.
    addresses: Vec<(Option<Ipv4Addr>, bool, u64)>,
}

impl Lab {
    /// Builds switch and client, and boots all hosts. [`super::enclose::enclose`] must have been called.
    pub fn build(plan: Plan) -> Result<Self, LabError> {
        let dir = PathBuf::from("/run/systole-lab");
        broken("make the laboratory's directory", fs::create_dir_all(&dir))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = broken("start a runtime", runtime)?;
        let built = runtime.block_on(async {
            let wires = Wires::connect()?;
            wires.address("lo", Ipv4Addr::LOCALHOST, 8).await?;
            wires.bridge(LAN).await?;
            if plan.service_network {
                wires.bridge(SERVICE).await?;
            }
            Ok(())
        });
        broken("build the network", built)?;
        let switch = broken(
            "start the power switch",
            Switch::start(&dir, plan.fence_delay, plan.service_network),
        )?;
        let mut lab = Self {
            dir,
            runtime,
            hosts: BTreeMap::new(),
            switch,
            rough: Mutex::default(),
            next_key: Mutex::new(1),
            plan,
        };
        lab.install()?;
        for number in 1..=lab.plan.hosts {
            lab.add(&format!("host{number}"), number)?;
        }
        lab.add(CLIENT, 250)?;
        Ok(lab)
    }

    fn add(&mut self, name: &str, number: u8) -> Result<(), LabError> {
        broken("make a host's disk", fs::create_dir_all(self.disk(name)))?;
        broken(
            "make a host's directory",
            fs::create_dir_all(self.dir.join(name)),
        )?;
        let host = Host {
            number,
            state: Arc::default(),
            orders: Mutex::new(None),
        };
        self.hosts.insert(name.to_owned(), host);
        self.boot(name)
    }

    /// Programs by their names, and agents where OCF expects them.
    fn install(&self) -> Result<(), LabError> {
        let link = |to: &Path, at: PathBuf| {
            if let Some(parent) = at.parent() {
                fs::create_dir_all(parent)?;
            }
            std::os::unix::fs::symlink(to, at)
        };
        let program = &self.plan.program;
        for name in ["systole", "crm", "fence_netns"] {
            broken("install programs", link(program, self.bin().join(name)))?;
        }
        let agents = self.ocf_root().join("resource.d");
        broken(
            "install agents",
            link(program, agents.join("systole/IPaddr2")),
        )?;
        for (from, to) in [
            ("resource.d/heartbeat", "heartbeat"),
            ("resource.d/pacemaker", "pacemaker"),
        ] {
            let from = Path::new("/usr/lib/ocf").join(from);
            if from.is_dir() {
                broken("install agents", link(&from, agents.join(to)))?;
            }
        }
        broken(
            "install agents",
            link(Path::new("/usr/lib/ocf/lib"), self.ocf_root().join("lib")),
        )?;
        Ok(())
    }

    /// The names of the cluster hosts.
    pub fn names(&self) -> Vec<String> {
        self.hosts
            .keys()
            .filter(|name| *name != CLIENT)
            .cloned()
            .collect()
    }

    /// A host's address, 10.77.0.NUMBER.
    pub fn ip(&self, name: &str) -> Ipv4Addr {
        Ipv4Addr::new(
            10,
            77,
            0,
            self.hosts.get(name).map_or(0, |host| host.number),
        )
    }

    /// A host's address on the second network, 10.78.0.NUMBER.
    pub fn service_ip(&self, name: &str) -> Ipv4Addr {
        let [.., number] = self.ip(name).octets();
        Ipv4Addr::new(10, 78, 0, number)
    }

    /// Which host has this MAC.
    pub fn by_mac(&self, mac: [u8; 6]) -> Option<&str> {
        self.hosts
            .iter()
            .find(|(_, h)| h.number == mac[5])
            .map(|(name, _)| name.as_str())
    }

    /// The laboratory's directory, the same path in every host.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The `systole` program.
    pub fn program(&self) -> &Path {
        &self.plan.program
    }

    /// The process id of a program that runs, as its host sees it.
    pub fn pid(&self, job: &Job) -> Option<i32> {
        let host = self.host(&job.host).ok()?;
        lock(&host.state.0).started.get(&job.key).copied()
    }

    /// A directory with the programs by their names.
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// The `OCF_ROOT` for daemons.
    pub fn ocf_root(&self) -> PathBuf {
        self.dir.join("ocf")
    }

    /// What survives a crash of the host.
    pub fn disk(&self, name: &str) -> PathBuf {
        self.plan
            .disks
            .as_ref()
            .unwrap_or(&self.dir)
            .join(name)
            .join("disk")
    }

    /// A log file of the host.
    pub fn log(&self, name: &str, what: &str) -> PathBuf {
        self.dir.join(name).join(format!("{what}.log"))
    }

    /// What the power switch did, and when (microseconds since boot).
    pub fn switch_log(&self) -> Vec<(u64, String)> {
        self.switch.log()
    }

    /// Switches a host on: namespaces, cable, addresses. It runs nothing yet.
    pub fn boot(&self, name: &str) -> Result<(), LabError> {
        let host = self.host(name)?;
        {
            let mut state = lock(&host.state.0);
            let addresses = std::mem::take(&mut state.addresses);
            *state = State {
                addresses,
                ..State::default()
            };
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a host is us again, not an agent"
        )]
        let mut power = Command::new(&self.plan.program);
        power.arg("lab-host").arg(name).arg(&self.dir);
        let mut power = broken(
            "start a host",
            power.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn(),
        )?;
        *lock(&host.orders) = power.stdin.take();
        let news = power.stdout.take();
        let state = Arc::clone(&host.state);
        thread::spawn(move || {
            for line in BufReader::new(news.expect("standard output is piped")).lines() {
                match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
                    Some(news) => note(&state, news),
                    None => break,
                }
            }
            drop(power.wait());
            note_power_cut(&state);
        });
        // Either message may come first.
        let pid = self.wait_for(name, "boot", BOOT_TIMEOUT, |state| {
            state.pid.filter(|_| state.ready)
        })?;
        self.smooth(name)?;
        let mut cards = vec![(
            LAN,
            name.to_owned(),
            "eth0",
            Ipv4Addr::new(10, 77, 0, host.number),
        )];
        if self.plan.service_network {
            let ip = Ipv4Addr::new(10, 78, 0, host.number);
            cards.push((SERVICE, format!("{name}.svc"), "eth1", ip));
        }
        for (net, (bridge, port, card, ip)) in cards.into_iter().enumerate() {
            let mac = [2, 0x77, 0, 0, net as u8, host.number];
            let cabled = self
                .runtime
                .block_on(async { Wires::connect()?.cable(bridge, &port, card, mac, pid).await });
            broken(&format!("cable {name}"), cabled)?;
            let done = lock(&host.state.0).done;
            self.order(
                name,
                &Order::Address {
                    link: card.to_owned(),
                    ip,
                    prefix: 24,
                },
            )?;
            self.wait_for(name, "set an address", BOOT_TIMEOUT, |s| {
                (s.done > done).then_some(())
            })?;
        }
        self.switch.connect(name, pid);
        Ok(())
    }

    /// Power off: cable dead, every process of the host killed. Returns when all are gone.
    pub fn crash(&self, name: &str) -> Result<(), LabError> {
        self.cut(name)?;
        self.switch.kill(name);
        self.wait_for(name, "die", BOOT_TIMEOUT, |state| {
            (!state.ready).then_some(())
        })
    }

    /// Whether the host has power.
    pub fn is_on(&self, name: &str) -> bool {
        self.host(name).is_ok_and(|host| lock(&host.state.0).ready)
    }

    /// Pulls all cables of the host at the switch; it lives on.
    pub fn cut(&self, name: &str) -> Result<(), LabError> {
        self.plug(name, false)?;
        if self.plan.service_network {
            self.plug(&format!("{name}.svc"), false)
        } else {
            Ok(())
        }
    }

    /// Pulls only the cable to the other hosts; the client still reaches it on the service network.
    pub fn cut_from_hosts(&self, name: &str) -> Result<(), LabError> {
        self.plug(name, false)
    }

    /// Puts all cables back.
    pub fn heal(&self, name: &str) -> Result<(), LabError> {
        self.plug(name, true)?;
        if self.plan.service_network {
            self.plug(&format!("{name}.svc"), true)
        } else {
            Ok(())
        }
    }

    fn plug(&self, port: &str, up: bool) -> Result<(), LabError> {
        let done = self
            .runtime
            .block_on(async { Wires::connect()?.plug(port, up).await });
        broken(&format!("switch the cable of {port}"), done)
    }

    /// Makes the host's cable to the other hosts a rough one for what is sent to it, instead of whatever it was; the
    /// same `seed` draws the same fates.
    ///
    /// # Errors
    /// The kernel gives no tap device: no `/dev/net/tun`, or not for us.
    pub fn roughen(&self, name: &str, how: Rough, seed: u64) -> Result<(), LabError> {
        self.smooth(name)?;
        let laid = self.runtime.block_on(Laid::lay(LAN, name, how, seed));
        let laid = broken(&format!("lay a rough cable to {name}"), laid)?;
        lock(&self.rough).insert(name.to_owned(), laid);
        Ok(())
    }

    /// The end of [`Lab::roughen`], if there was one.
    pub fn smooth(&self, name: &str) -> Result<(), LabError> {
        let Some(laid) = lock(&self.rough).remove(name) else {
            return Ok(());
        };
        let done = self.runtime.block_on(laid.take_away(LAN, name));
        broken(&format!("take the rough cable to {name} away"), done)
    }

    /// Nothing arrives at a host any more, and what it sends still does; or the end of that. False when the program ip is
    /// not there, or refuses.
    pub fn deafen(&self, name: &str, deaf: bool) -> bool {
        let (on, flush) = if deaf {
            ("off", "fdb_flush")
        } else {
            ("on", "")
        };
        // Not flooded to, and not learnt: the switch has nothing to send there.
        let flags = format!("flood {on} mcast_flood {on} bcast_flood {on} learning {on} {flush}");
        self.iproute(
            "ip",
            &format!("link set dev {name} type bridge_slave {flags}"),
        )
    }

    fn iproute(&self, program: &str, line: &str) -> bool {
        let words = line.split_whitespace();
        // `tc` is where only administrators look for programs.
        let spec = crate::process::Spec::new(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let spec = words.fold(spec, crate::process::Spec::arg);
        let ended = self
            .runtime
            .block_on(crate::process::run(spec, std::future::pending()));
        matches!(ended.how, crate::process::How::Exited(0))
    }

    /// Starts a program in a host; its output is appended to [`Lab::log`] `what`.
    pub fn start(
        &self,
        name: &str,
        what: &str,
        argv: &[&str],
        env: &[(&str, String)],
    ) -> Result<Job, LabError> {
        let log = self.log(name, what);
        self.start_into(name, argv, env, log.clone(), log)
    }

    fn start_into(
        &self,
        name: &str,
        argv: &[&str],
        env: &[(&str, String)],
        out: PathBuf,
        err: PathBuf,
    ) -> Result<Job, LabError> {
        let key = {
            let mut next = lock(&self.next_key);
            *next += 1;
            *next
        };
        let order = Order::Start {
            key,
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            out,
            err,
        };
        self.order(name, &order)?;
        let what = format!("start {}", argv.join(" "));
        let failure = self.wait_for(name, &what, BOOT_TIMEOUT, |state| {
            let failed = state.failed.iter().find(|(k, _)| *k == Some(key));
            match failed {
                Some((_, why)) => Some(Some(why.clone())),
                None => state.started.contains_key(&key).then_some(None),
            }
        })?;
        match failure {
            Some(why) => Err(LabError::Broken {
                what,
                cause: io::Error::other(why),
            }),
            None => Ok(Job {
                host: name.to_owned(),
                key,
            }),
        }
    }

    /// Runs a program in a host to its end.
    pub fn run(
        &self,
        name: &str,
        argv: &[&str],
        env: &[(&str, String)],
        limit: Duration,
    ) -> Result<Output, LabError> {
        let stamp = clock::boot_us();
        let file = |what: &str| self.dir.join(name).join(format!("run-{stamp}.{what}"));
        let (out, err) = (file("out"), file("err"));
        let job = self.start_into(name, argv, env, out.clone(), err.clone())?;
        let code = match self.ended(&job, limit) {
            Ok(code) => code,
            Err(e) => {
                self.signal(&job, Signal::KILL)?;
                return Err(e);
            }
        };
        let take = |path: &Path| {
            let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            drop(fs::remove_file(path));
            text.unwrap_or_default()
        };
        Ok(Output {
            code,
            out: take(&out),
            err: take(&err),
        })
    }

    /// Waits for the end of a program; its exit status, or 128 + signal.
    pub fn ended(&self, job: &Job, limit: Duration) -> Result<i32, LabError> {
        self.wait_for(&job.host, "end a program", limit, |state| {
            state
                .ended
                .get(&job.key)
                .copied()
                .or((!state.ready).then_some(128 + 9))
        })
    }

    /// Whether a program still runs.
    pub fn runs(&self, job: &Job) -> bool {
        self.host(&job.host).is_ok_and(|host| {
            let state = lock(&host.state.0);
            state.ready
                && state.started.contains_key(&job.key)
                && !state.ended.contains_key(&job.key)
        })
    }

    /// Sends a signal to a program.
    pub fn signal(&self, job: &Job, signal: Signal) -> Result<(), LabError> {
        self.order(
            &job.host,
            &Order::Signal {
                key: job.key,
                signal: signal.as_raw(),
            },
        )
    }

    /// When a host had an address: the kernel's own record, not what anybody believed.
    pub fn held(&self, name: &str, ip: Ipv4Addr) -> Vec<Held> {
        let Ok(host) = self.host(name) else {
            return Vec::new();
        };
        let mut all: Vec<Held> = Vec::new();
        for &(event, here, at_us) in &lock(&host.state.0).addresses {
            let open = all.last_mut().filter(|held| held.until_us.is_none());
            match (event, here, open) {
                (Some(it), true, None) if it == ip => {
                    all.push(Held {
                        from_us: at_us,
                        until_us: None,
                    });
                }
                (Some(it), false, Some(held)) if it == ip => held.until_us = Some(at_us),
                // We hear of the end of its processes later than the switch, which says that they are gone.
                (None, _, Some(held)) => {
                    let died = self.switch.died(name, at_us);
                    let died = died.filter(|died| *died >= held.from_us);
                    held.until_us = Some(died.unwrap_or(at_us));
                }
                _ => {}
            }
        }
        all
    }

    /// Who has the address now.
    pub fn holders(&self, ip: Ipv4Addr) -> Vec<String> {
        let has = |name: &String| {
            self.held(name, ip)
                .last()
                .is_some_and(|h| h.until_us.is_none())
        };
        self.names().into_iter().filter(has).collect()
    }

    /// For how long, in microseconds, an address was on two hosts at once: a true split brain.
    pub fn held_twice_us(&self, ip: Ipv4Addr) -> u64 {
        self.held_twice(ip).iter().map(|twice| twice.for_us).sum()
    }

    /// Each time that an address was on two hosts at once.
    pub fn held_twice(&self, ip: Ipv4Addr) -> Vec<Twice> {
        let now = clock::boot_us();
        let spans: Vec<(String, u64, u64)> = self
            .names()
            .into_iter()
            .flat_map(|name| {
                let held = self.held(&name, ip);
                held.into_iter()
                    .map(move |h| (name.clone(), h.from_us, h.until_us.unwrap_or(now)))
            })
            .collect();
        let mut all = Vec::new();
        for (i, (one, from, until)) in spans.iter().enumerate() {
            for (other, other_from, other_until) in &spans[i + 1..] {
                let from_us = *from.max(other_from);
                let for_us = until.min(other_until).saturating_sub(from_us);
                if one != other && for_us > 0 {
                    all.push(Twice {
                        hosts: [one.clone(), other.clone()],
                        from_us,
                        for_us,
                    });
                }
            }
        }
        all
    }

    fn host(&self, name: &str) -> Result<&Host, LabError> {
        self.hosts
            .get(name)
            .ok_or_else(|| LabError::Off(name.to_owned()))
    }

    fn order(&self, name: &str, order: &Order) -> Result<(), LabError> {
        let line = serde_json::to_string(order).map_err(io::Error::other);
        let line = broken("write an order", line)?;
        let mut orders = lock(&self.host(name)?.orders);
        let pipe = orders
            .as_mut()
            .ok_or_else(|| LabError::Off(name.to_owned()))?;
        broken(&format!("give {name} an order"), writeln!(pipe, "{line}"))
    }

    fn wait_for<T>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        ready: impl Fn(&State) -> Option<T>,
    ) -> Result<T, LabError> {
        let (state, changed) = &*self.host(name)?.state;
        let mut result = None;
        let (_guard, late) = changed
            .wait_timeout_while(lock(state), limit, |state| {
                result = ready(state);
                result.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        let _ = late;
        result.ok_or_else(|| LabError::TooSlow {
            what: format!("{what} on {name}"),
            limit,
        })
    }
}

fn note(state: &(Mutex<State>, Condvar), news: News) {
    let mut guard = lock(&state.0);
    match news {
        News::Born { pid } => guard.pid = Some(pid),
        News::Ready => guard.ready = true,
        News::Done => guard.done += 1,
        News::Started { key, pid } => drop(guard.started.insert(key, pid)),
        News::Ended { key, code } => drop(guard.ended.insert(key, code)),
        News::Address { ip, here, at_us } => guard.addresses.push((Some(ip), here, at_us)),
        News::Failed { key, why } => guard.failed.push((key, why)),
    }
    state.1.notify_all();
}

fn note_power_cut(state: &(Mutex<State>, Condvar)) {
    let mut guard = lock(&state.0);
    guard.ready = false;
    guard.addresses.push((None, false, clock::boot_us()));
    state.1.notify_all();
}

/// Kills the process and waits until it is gone.
pub(super) fn kill_and_wait(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    for _ in 0..4000 {
        if rustix::process::test_kill_process(pid).is_err() {
            return;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken<T>(what: &str, done: io::Result<T>) -> Result<T, LabError> {
    done.map_err(|cause| LabError::Broken {
        what: what.to_owned(),
        cause,
    })
}
