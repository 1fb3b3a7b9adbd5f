//! The daemon's end of its guard.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Dog, Lease, StopCall, Word, socket_of};
use crate::executor::Invocation;
use crate::terms::RscId;

/// A guard that does not take a word for so long is no guard; the daemon does not wait for it any longer.
const PATIENCE: Duration = Duration::from_millis(100);

/// Tells the guard what it has to know. A guard that is new is told everything first.
#[derive(Debug)]
pub struct Feeder {
    /// The process that the guard kills when it is late.
    pid: i32,
    socket: PathBuf,
    stream: Option<UnixStream>,
    lease: Option<Lease>,
    /// What this daemon knows: how a resource is stopped, or that it does not run.
    resources: BTreeMap<RscId, Option<StopCall>>,
}

impl Feeder {
    /// Feeds the guard that listens in this directory, for this process.
    pub fn new(dir: &Path) -> Self {
        Self::of(std::process::id().cast_signed(), dir)
    }

    /// The same for another process; 0 is none.
    pub(super) fn of(pid: i32, dir: &Path) -> Self {
        Self {
            pid,
            socket: socket_of(dir),
            stream: None,
            lease: None,
            resources: BTreeMap::new(),
        }
    }

    /// Whether a guard listens that knows everything that this feeder was told.
    pub fn connect(&mut self) -> bool {
        if self.stream.is_some() {
            return true;
        }
        let Ok(stream) = UnixStream::connect(&self.socket) else {
            return false;
        };
        let limited = stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        if limited.is_err() {
            return false;
        }
        self.stream = Some(stream);
        let all: Vec<Word> = std::iter::once(Word::Hello(self.pid))
            .chain(self.lease.map(Word::Lease))
            .chain(self.resources.iter().map(|(rsc, stop)| word(rsc, stop)))
            .collect();
        all.iter().all(|word| self.say(word).is_ok())
    }

    /// A few times per lease. A broken connection is made anew with the next one.
    ///
    /// # Errors
    /// Fails when there is no guard.
    pub fn lease(&mut self, lease: Lease) -> std::io::Result<()> {
        self.lease = Some(lease);
        if !self.connect() {
            return Err(std::io::Error::other("no guard listens"));
        }
        self.say(&Word::Lease(lease))
    }

    /// How a resource that may run from now on is stopped, or that it is gone. True when the guard has it.
    pub fn resource(&mut self, rsc: &RscId, stop: Option<&Invocation>) -> bool {
        let stop = stop.map(StopCall::from);
        let word = word(rsc, &stop);
        self.resources.insert(rsc.clone(), stop);
        self.connect() && self.say(&word).is_ok()
    }

    /// The watchdog of this node as its guard sees it; none when it has none, or no guard that knows of watchdogs. Asked on a
    /// connection of its own: what a guard of an older version does not understand must not cost it the other one.
    pub fn watchdog(&self) -> Option<Dog> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut line = serde_json::to_vec(&Word::Health).ok()?;
        line.push(b'\n');
        stream.write_all(&line).ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()?
    }

    /// Nothing runs here any more, and nobody has to be guarded.
    pub fn bye(&mut self) {
        if self.connect() {
            let _ = self.say(&Word::Bye);
        }
    }

    /// Says a word, and waits for the answer if it has one.
    fn say(&mut self, word: &Word) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(word).map_err(std::io::Error::other)?;
        line.push(b'\n');
        let Some(stream) = &mut self.stream else {
            return Err(std::io::Error::other("no guard listens"));
        };
        let said = stream.write_all(&line).and_then(|()| {
            if word.is_answered() {
                stream.read_exact(&mut [0])
            } else {
                Ok(())
            }
        });
        if said.is_err() {
            self.stream = None;
        }
        said
    }
}

fn word(rsc: &RscId, stop: &Option<StopCall>) -> Word {
    match stop {
        Some(stop) => Word::MayRun(stop.clone()),
        None => Word::Gone(rsc.clone()),
    }
}
