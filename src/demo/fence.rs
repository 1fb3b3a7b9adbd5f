//! The power switch: a device that cuts a host's power when a fence agent asks, and the agent that asks. They speak
//! one line each way over a socket in the laboratory's directory.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::lab::kill_and_wait;
use super::wires::Wires;
use crate::clock;

const SOCKET: &str = "switch.sock";
const DEFAULT_DIR: &str = "/run/systole-lab";

/// The device.
pub(super) struct Switch {
    /// Pid 1 of each host that has power.
    power: Mutex<BTreeMap<String, Option<i32>>>,
    log: Mutex<Vec<(u64, String)>>,
    /// Held while a host is being killed: who asks meanwhile is answered when nothing runs there any more.
    killing: Mutex<()>,
    /// When nothing ran on which host any more (microseconds since boot).
    deaths: Mutex<Vec<(u64, String)>>,
    delay: Duration,
    service_network: bool,
}

impl Switch {
    pub(super) fn start(
        dir: &Path,
        delay: Duration,
        service_network: bool,
    ) -> io::Result<Arc<Self>> {
        let listener = UnixListener::bind(dir.join(SOCKET))?;
        let switch = Arc::new(Self {
            power: Mutex::default(),
            log: Mutex::default(),
            killing: Mutex::default(),
            deaths: Mutex::default(),
            delay,
            service_network,
        });
        let serving = Arc::clone(&switch);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(&stream));
            }
        });
        Ok(switch)
    }

    pub(super) fn connect(&self, name: &str, pid: i32) {
        self.power().insert(name.to_owned(), Some(pid));
    }

    pub(super) fn log(&self) -> Vec<(u64, String)> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Kills all that runs on the host, and returns once nothing does any more, whoever killed it.
    pub(super) fn kill(&self, name: &str) {
        let _killing = self.killing.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = self.power().get_mut(name).and_then(Option::take);
        if let Some(pid) = pid {
            kill_and_wait(pid);
            let death = (clock::boot_us(), name.to_owned());
            self.deaths().push(death);
        }
    }

    /// When a host was last without power, not later than then.
    pub(super) fn died(&self, name: &str, by_us: u64) -> Option<u64> {
        let deaths = self.deaths();
        let mut all = deaths.iter().rev().filter(|(_, host)| host == name);
        all.find(|(at, _)| *at <= by_us).map(|(at, _)| *at)
    }

    fn deaths(&self) -> std::sync::MutexGuard<'_, Vec<(u64, String)>> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn power(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<i32>>> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, text: String) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push((clock::boot_us(), text));
    }

    fn serve(&self, mut stream: &UnixStream) {
        let mut line = String::new();
        if BufReader::new(stream).read_line(&mut line).is_err() {
            return;
        }
        let mut words = line.split_whitespace();
        let (action, host) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let state = self.power().get(host).copied();
        let answer = match (action, state) {
            ("list", _) => {
                let names: Vec<String> = self
                    .power()
                    .keys()
                    .filter(|n| *n != super::lab::CLIENT)
                    .cloned()
                    .collect();
                names.join(" ")
            }
            (_, None) => format!("error no plug for host '{host}'"),
            ("status", Some(Some(_))) => "on".to_owned(),
            ("status", Some(None)) => "off".to_owned(),
            ("off" | "reboot", Some(power)) => {
                self.note(format!(
                    "switch: asked to cut the power of {host} ({action})"
                ));
                thread::sleep(self.delay);
                // A kernel answers for its addresses until the last of its processes is gone, and a little longer.
                let service = self.service_network.then(|| format!("{host}.svc"));
                let mut cables = std::iter::once(host.to_owned()).chain(service);
                let cut = match power {
                    Some(_) => cables.try_for_each(|cable| unplug(&cable)),
                    None => Ok(()),
                };
                match cut {
                    Ok(()) => {
                        self.kill(host);
                        self.note(format!("switch: {host} has no power"));
                        "ok".to_owned()
                    }
                    Err(e) => format!("error {e}"),
                }
            }
            ("on", Some(_)) => "ok".to_owned(),
            _ => format!("error unknown action '{action}'"),
        };
        drop(writeln!(stream, "{answer}"));
    }
}

fn unplug(host: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { Wires::connect()?.plug(host, false).await })
}

const METADATA: &str = r#"<?xml version="1.0"?>
<resource-agent name="fence_netns" shortdesc="Power switch of a laboratory of network namespaces">
  <longdesc>Cuts the power of a host of `systole demo` or of the end-to-end tests: its cable is unplugged and all its processes are killed.</longdesc>
  <vendor-url/>
  <parameters>
    <parameter name="action" unique="0" required="1"><content type="string" default="off"/><shortdesc lang="en">Fencing action</shortdesc></parameter>
    <parameter name="plug" unique="0" required="1"><content type="string"/><shortdesc lang="en">Host to act on</shortdesc></parameter>
    <parameter name="dir" unique="0" required="0"><content type="string" default="/run/systole-lab"/><shortdesc lang="en">Directory of the laboratory</shortdesc></parameter>
  </parameters>
  <actions>
    <action name="on" automatic="0"/>
    <action name="off"/>
    <action name="reboot"/>
    <action name="status"/>
    <action name="monitor"/>
    <action name="list"/>
    <action name="metadata"/>
    <action name="validate-all"/>
  </actions>
</resource-agent>"#;

/// The fence agent: `key=value` lines on standard input, or the words `ACTION HOST` as `fence_hook` gives them.
/// Success only by exit status 0.
pub(super) fn agent(words: &[&str]) -> u8 {
    let mut input = String::new();
    if let [action, plug] = words {
        input = format!("action={action}\nplug={plug}\n");
    } else if io::stdin().read_to_string(&mut input).is_err() {
        return 2;
    }
    let given: BTreeMap<&str, &str> = input
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let action = given
        .get("action")
        .or(given.get("option"))
        .copied()
        .unwrap_or("off");
    let plug = given
        .get("plug")
        .or(given.get("port"))
        .or(given.get("nodename"))
        .copied();
    let dir = PathBuf::from(given.get("dir").copied().unwrap_or(DEFAULT_DIR));
    let result = match (action, plug) {
        ("metadata" | "meta-data", _) => return tell(METADATA),
        ("monitor" | "list" | "validate-all", _) => ask(&dir, "list", ""),
        ("on" | "off" | "reboot" | "status", Some(plug)) => ask(&dir, action, plug),
        ("on" | "off" | "reboot" | "status", None) => {
            Err("no plug was given; pass plug=HOST".to_owned())
        }
        (other, _) => Err(format!("unknown action '{other}'")),
    };
    match (action, result) {
        ("list", Ok(hosts)) => tell(&hosts.split_whitespace().collect::<Vec<_>>().join("\n")),
        ("status", Ok(state)) => u8::from(state != "on") * 2,
        (_, Ok(_)) => 0,
        (_, Err(why)) => {
            drop(writeln!(io::stderr(), "fence_netns: {why}"));
            1
        }
    }
}

fn ask(dir: &Path, action: &str, plug: &str) -> Result<String, String> {
    let path = dir.join(SOCKET);
    let failed = |e: io::Error| {
        format!(
            "the power switch at {} does not answer: {e}",
            path.display()
        )
    };
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    writeln!(stream, "{action} {plug}").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(&stream)
        .read_line(&mut answer)
        .map_err(failed)?;
    match answer.trim().strip_prefix("error ") {
        Some(why) => Err(why.to_owned()),
        None if answer.is_empty() => Err("the power switch hung up".to_owned()),
        None => Ok(answer.trim().to_owned()),
    }
}

fn tell(text: &str) -> u8 {
    u8::from(writeln!(io::stdout(), "{text}").is_err())
}
