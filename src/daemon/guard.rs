//! The guard stops what a dead or frozen daemon left running, before anyone else may take it over.
//!
//! It is a process of its own, small and idle. The daemon feeds it: until when the run lease lasts, and
//! what would have to be stopped. When the lease has run out and the daemon does not say that it is
//! stopping things itself, or is still at it at the stop deadline, the guard kills the daemon (so that it
//! does not wake up into a world that went on without it) and runs the stops. It outlives the daemon: a
//! restarted one finds it by its socket and feeds it again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Mono;
use crate::executor::Invocation;
use crate::terms::{AgentName, RscId};

/// A daemon that says nothing for so long, in milliseconds, does not stop anything by itself.
const SILENCE_MS: u64 = 250;

/// What the daemon tells its guard, a few times per lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The daemon's process.
    pub pid: i32,
    /// End of the run lease; 0 while this life of the daemon has held none.
    pub lease_until: u64,
    /// When everything must be stopped.
    pub stop_by: u64,
    /// What runs here, when that changed since the last feed.
    pub active: Option<Vec<StopCall>>,
    /// What runs here goes on without quorum (`ignore`, `freeze`, maintenance): nothing is stopped.
    pub keep: bool,
    /// The node leaves in good order: nothing is left to stop.
    pub bye: bool,
}

/// How a resource is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCall {
    /// The resource.
    pub rsc: RscId,
    /// Its agent.
    pub agent: AgentName,
    /// The parameters that it was started with.
    pub params: Vec<(String, String)>,
    /// Time limit, in milliseconds.
    pub timeout_ms: u64,
}

impl From<&Invocation> for StopCall {
    fn from(call: &Invocation) -> Self {
        Self {
            rsc: call.rsc.clone(),
            agent: call.agent.clone(),
            params: call.params.clone(),
            timeout_ms: call.timeout_ms,
        }
    }
}

/// What the guard knows, and when it acts. Pure.
#[derive(Debug, Default)]
struct Watch {
    pid: Option<i32>,
    lease_until: Mono,
    stop_by: Mono,
    fed_at: Mono,
    active: Vec<StopCall>,
    keep: bool,
}

/// What the guard does now.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Look again then.
    Wait(Mono),
    /// The daemon is not doing it: stop everything.
    Act,
    /// Nothing is left to guard.
    Leave,
}

impl Watch {
    fn feed(&mut self, now: Mono, feed: Feed) -> bool {
        self.fed_at = now;
        self.pid = Some(feed.pid);
        self.keep = feed.keep;
        // A restarted daemon has no lease yet; what the one before it held still counts.
        self.lease_until = self.lease_until.max(Mono(feed.lease_until));
        self.stop_by = self.stop_by.max(Mono(feed.stop_by));
        if let Some(active) = feed.active {
            self.active = active;
        }
        feed.bye
    }

    fn look(&self, now: Mono) -> Verdict {
        if now < self.lease_until {
            return Verdict::Wait(self.lease_until);
        }
        if self.keep {
            return Verdict::Wait(now.plus(1_000));
        }
        let silent_at = self.fed_at.plus(SILENCE_MS);
        if self.active.is_empty() {
            // Nothing runs here: only a daemon that is gone for good ends the watch.
            return if now < self.stop_by.plus(60_000) || now < silent_at {
                Verdict::Wait(now.plus(1_000))
            } else {
                Verdict::Leave
            };
        }
        if now >= silent_at || now >= self.stop_by {
            return Verdict::Act;
        }
        Verdict::Wait(silent_at.min(self.stop_by))
    }
}

/// Where the guard of this data directory listens.
pub fn socket_of(dir: &Path) -> PathBuf {
    dir.join("guard.sock")
}

/// What `systole guard` does: listens on `socket` until its daemon says good-bye, or until it had to act.
///
/// # Errors
/// Fails when the socket cannot be made.
pub fn run(socket: &Path, stop: impl Fn(&[StopCall])) -> std::io::Result<()> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let (feeds_in, feeds) = channel();
    std::thread::spawn(move || accept(&listener, &feeds_in));
    watch(&feeds, stop);
    let _ = std::fs::remove_file(socket);
    Ok(())
}

fn watch(feeds: &Receiver<Feed>, stop: impl Fn(&[StopCall])) {
    let mut watch = Watch {
        fed_at: Mono::now(),
        ..Watch::default()
    };
    loop {
        let now = Mono::now();
        let wait = match watch.look(now) {
            Verdict::Wait(until) => until.wait_from(now).max(Duration::from_millis(5)),
            Verdict::Leave => return,
            Verdict::Act => {
                tracing::error!(
                    "the daemon did not stop {} resources in time: killing it and stopping them",
                    watch.active.len()
                );
                kill(watch.pid);
                stop(&watch.active);
                return;
            }
        };
        match feeds.recv_timeout(wait) {
            Ok(feed) => {
                if watch.feed(Mono::now(), feed) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
    }
}

fn accept(listener: &UnixListener, feeds: &Sender<Feed>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let feeds = feeds.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                match serde_json::from_str(&line) {
                    Ok(feed) => {
                        if feeds.send(feed).is_err() {
                            return;
                        }
                    }
                    Err(e) => tracing::warn!("the guard does not understand its daemon: {e}"),
                }
            }
        });
    }
}

fn kill(pid: Option<i32>) {
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The daemon's end.
pub struct Feeder {
    socket: PathBuf,
    stream: Option<UnixStream>,
    last_active: Option<Vec<StopCall>>,
}

impl Feeder {
    /// Feeds the guard that listens there.
    pub fn new(dir: &Path) -> Self {
        Self {
            socket: socket_of(dir),
            stream: None,
            last_active: None,
        }
    }

    /// Whether a guard answers.
    pub fn connect(&mut self) -> bool {
        if self.stream.is_none() {
            self.stream = UnixStream::connect(&self.socket).ok();
            self.last_active = None;
        }
        self.stream.is_some()
    }

    /// Tells the guard, and with `active` what there is to stop, if that is known. A broken
    /// connection is made anew with the next feed.
    ///
    /// # Errors
    /// Fails when there is no guard.
    pub fn feed(&mut self, mut feed: Feed, active: Option<Vec<StopCall>>) -> std::io::Result<()> {
        if !self.connect() {
            return Err(std::io::Error::other("no guard listens"));
        }
        feed.active = active.filter(|active| self.last_active.as_ref() != Some(active));
        let mut line = serde_json::to_vec(&feed).map_err(std::io::Error::other)?;
        line.push(b'\n');
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        match stream.write_all(&line) {
            Ok(()) => {
                if let Some(active) = feed.active {
                    self.last_active = Some(active);
                }
                Ok(())
            }
            Err(e) => {
                self.stream = None;
                Err(e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(lease_until: u64, active: usize) -> Feed {
        let call = StopCall {
            rsc: "vip".into(),
            agent: AgentName::new("ocf", Some("systole"), "IPaddr2"),
            params: Vec::new(),
            timeout_ms: 20_000,
        };
        Feed {
            pid: 1,
            lease_until,
            stop_by: lease_until + 500,
            active: Some(vec![call; active]),
            keep: false,
            bye: false,
        }
    }

    #[test]
    fn acts_when_a_frozen_daemon_lets_its_lease_run_out() {
        let mut watch = Watch::default();
        watch.feed(Mono(1_000), feed(2_000, 1));
        assert_eq!(watch.look(Mono(1_900)), Verdict::Wait(Mono(2_000)));
        assert_eq!(watch.look(Mono(2_000)), Verdict::Act);
    }

    #[test]
    fn leaves_a_daemon_that_is_at_it_until_the_stop_deadline() {
        let mut watch = Watch::default();
        watch.feed(Mono(1_000), feed(2_000, 1));
        watch.feed(Mono(2_050), feed(2_000, 1));
        assert_eq!(watch.look(Mono(2_100)), Verdict::Wait(Mono(2_300)));
        watch.feed(Mono(2_480), feed(2_000, 1));
        assert_eq!(watch.look(Mono(2_500)), Verdict::Act);
    }

    #[test]
    fn a_daemon_that_stopped_everything_is_left_alone() {
        let mut watch = Watch::default();
        watch.feed(Mono(1_000), feed(2_000, 1));
        watch.feed(Mono(2_100), feed(2_000, 0));
        assert!(matches!(watch.look(Mono(2_600)), Verdict::Wait(_)));
    }

    #[test]
    fn a_restarted_daemon_inherits_the_lease_and_what_runs() {
        let mut watch = Watch::default();
        watch.feed(Mono(1_000), feed(2_000, 1));
        let mut anew = feed(0, 0);
        anew.active = None;
        watch.feed(Mono(1_500), anew);
        assert_eq!(watch.look(Mono(1_700)), Verdict::Wait(Mono(2_000)));
        watch.feed(Mono(1_800), feed(2_800, 1));
        assert_eq!(watch.look(Mono(2_500)), Verdict::Wait(Mono(2_800)));
    }
}
