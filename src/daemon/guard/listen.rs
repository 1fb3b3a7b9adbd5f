//! The guard's process: one thread that waits for words and for the time, and acts once.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};

use super::watch::{Verdict, Watch};
use super::watchdog::{Wanted, Watchdog};
use super::{StopCall, Word, lock_of};
use crate::clock::Mono;

/// Longest line of a daemon, in bytes: a stop call with all its parameters.
const LINE: usize = 1 << 20;

/// What `systole guard` does: listens on `socket` until its daemon says good-bye, or until it had to act. `stop`
/// kills agents that still run, and stops everything; it says whether that has certainly worked. If not, and this node has a
/// `watchdog`, the guard stays and starves it.
///
/// A second guard waits here until the first one has ended: nothing is started on this node while one is stopping
/// what ran before.
///
/// # Errors
/// Fails when the lock or the socket cannot be made.
pub fn run(
    socket: &Path,
    watchdog: Option<&Wanted>,
    stop: impl Fn(&[StopCall]) -> bool,
) -> std::io::Result<()> {
    let lock = std::fs::File::create(lock_of(socket))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    let mut watch = Watch::new(Mono::now());
    if watchdog.is_some() {
        stay_in_memory();
    }
    let mut watchdog = watchdog.map(|wanted| Watchdog::arm(wanted, Mono::now()));
    let mut daemons: Vec<Daemon> = Vec::new();
    loop {
        let now = Mono::now();
        match watch.look(now) {
            Verdict::Wait(until) => {
                let hungry = watchdog.as_ref().and_then(Watchdog::hungry_at);
                let hungry = hungry.filter(|_| watch.may_feed(now));
                let until = hungry.map_or(until, |hungry| until.min(hungry));
                wait(&listener, &daemons, until.since(now).max(1));
            }
            Verdict::Leave => break,
            Verdict::Act => {
                // A word that has arrived meanwhile may be the one that was waited for.
                if hear(&mut daemons, &mut watch, watchdog.as_ref()) {
                    break;
                }
                if watch.look(Mono::now()) != Verdict::Act {
                    continue;
                }
                let stops = watch.stops();
                tracing::error!(
                    "the daemon did not stop {} resources in time: killing it and stopping them",
                    stops.len()
                );
                // A new daemon must not find this guard any more, but wait for the next one.
                let _ = std::fs::remove_file(socket);
                kill(watch.pid);
                let stopped = stop(&stops);
                return finish(watchdog, stopped);
            }
        }
        if let Some(watchdog) = &mut watchdog
            && watch.may_feed(Mono::now())
        {
            watchdog.feed_if_hungry(Mono::now());
        }
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                daemons.push(Daemon {
                    stream,
                    unread: Vec::new(),
                    open: true,
                });
            }
        }
        if hear(&mut daemons, &mut watch, watchdog.as_ref()) {
            break;
        }
    }
    let _ = std::fs::remove_file(socket);
    finish(watchdog, true)
}

/// Nothing runs here any more, and the watchdog has nobody to end. Or something may, and then it must not be fed again:
/// neither by this guard nor by one after it, which waits for the end of this one.
fn finish(watchdog: Option<Watchdog>, stopped: bool) -> std::io::Result<()> {
    match watchdog {
        None => {}
        Some(watchdog) if stopped || watchdog.hungry_at().is_none() => watchdog.close(),
        Some(watchdog) => {
            tracing::error!(
                "not everything could be stopped: the watchdog {} resets this machine within {} ms",
                watchdog.dog.device,
                watchdog.dog.timeout_ms
            );
            loop {
                std::thread::sleep(std::time::Duration::from_secs(60));
                tracing::error!(
                    "the watchdog {} did not reset this machine",
                    watchdog.dog.device
                );
            }
        }
    }
    Ok(())
}

/// Whoever feeds a watchdog does not wait for a disk: program and libraries are in memory, and nothing leaves it. What is
/// only reserved is not brought there, which for the allocator would be a gigabyte.
fn stay_in_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT);
    let locked = locked.map_err(std::io::Error::from);
    if let Err(e) = locked.and_then(|()| read_in()) {
        tracing::info!(
            "the guard may have to wait for a disk: {e}; run the daemon as root, or raise its LimitMEMLOCK"
        );
    }
}

/// Looks at each page that is mapped of a file. What can't be read there does not keep it from the rest.
fn read_in() -> std::io::Result<()> {
    const PAGE: usize = 4096;
    let mut all = Ok(());
    let memory = std::fs::File::open("/proc/self/mem")?;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next(), words.next());
        let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
        if !is_file || !rights.is_some_and(|rights| rights.starts_with('r')) {
            continue;
        }
        let ends = range.and_then(|range| range.split_once('-'));
        let ends = ends.map(|(from, to)| [from, to].map(|end| u64::from_str_radix(end, 16)));
        let Some([Ok(from), Ok(to)]) = ends else {
            continue;
        };
        let mut pages = (from..to).step_by(PAGE);
        if let Err(e) = pages.try_for_each(|at| memory.read_exact_at(&mut [0], at)) {
            all = Err(e);
        }
    }
    all
}

/// A connection to a daemon, or to the one before it.
struct Daemon {
    stream: UnixStream,
    unread: Vec<u8>,
    open: bool,
}

/// Sleeps until somebody says something, or for so long.
fn wait(listener: &UnixListener, daemons: &[Daemon], ms: u64) {
    let sources = std::iter::once(listener.as_fd()).chain(daemons.iter().map(|d| d.stream.as_fd()));
    let mut fds: Vec<PollFd<'_>> = sources
        .map(|fd: BorrowedFd<'_>| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: (ms / 1000).cast_signed(),
        tv_nsec: ((ms % 1000) * 1_000_000).cast_signed(),
    };
    // An interruption is as good as an end: everything is looked at again.
    let _ = poll(&mut fds, Some(&timeout));
}

/// Takes what the daemons said; true when one has left in good order.
fn hear(daemons: &mut Vec<Daemon>, watch: &mut Watch, watchdog: Option<&Watchdog>) -> bool {
    let mut bye = false;
    for daemon in daemons.iter_mut() {
        daemon.read();
        while let Some(end) = daemon.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = daemon.unread.drain(..=end).collect();
            match serde_json::from_slice::<Word>(&line) {
                Ok(word) => {
                    let answer = answer_to(&word, watchdog);
                    bye |= watch.hear(Mono::now(), word);
                    // A daemon that does not read it any more does not wait for it either.
                    if !answer.is_empty() && daemon.stream.write_all(&answer).is_err() {
                        daemon.open = false;
                    }
                }
                Err(e) => tracing::warn!("the guard does not understand its daemon: {e}"),
            }
        }
    }
    daemons.retain(|daemon| daemon.open);
    bye
}

fn answer_to(word: &Word, watchdog: Option<&Watchdog>) -> Vec<u8> {
    let mut answer = match word {
        Word::Health => serde_json::to_vec(&watchdog.map(|w| &w.dog)).unwrap_or_default(),
        word if word.is_answered() => Vec::new(),
        _ => return Vec::new(),
    };
    answer.push(b'\n');
    answer
}

impl Daemon {
    fn read(&mut self) {
        let mut chunk = [0; 4096];
        while self.open {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.open = false,
                Ok(n) => self.unread.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
            if self.unread.len() > LINE {
                tracing::warn!("a daemon says too much; not listening to it any more");
                self.open = false;
                self.unread.clear();
            }
        }
    }
}

fn kill(pid: Option<i32>) {
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::super::{Feeder, Lease};
    use super::*;
    use crate::executor::Invocation;
    use crate::terms::AgentName;

    fn stop_of(rsc: &str) -> Invocation {
        Invocation {
            agent: AgentName::new("ocf", Some("systole"), "IPaddr2"),
            rsc: rsc.into(),
            task: "stop".into(),
            params: vec![("ip".into(), "192.0.2.1".into())],
            timeout_ms: 1_000,
            kill_process_only: false,
        }
    }

    fn lease(until: u64) -> Lease {
        Lease {
            until,
            stop_by: until + 100,
            keep: false,
        }
    }

    fn until(what: &str, mut so: impl FnMut() -> bool) {
        for _ in 0..2_000 {
            if so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what} did not happen within 10 s");
    }

    /// What the guard stopped at the end.
    fn guarded(daemon: impl FnOnce(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let socket = super::super::socket_of(dir.path());
        let stopped = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let guard = scope.spawn(|| {
                run(&socket, None, |calls| {
                    let names = calls.iter().map(|call| call.rsc.to_string());
                    stopped.lock().expect("no panic while held").extend(names);
                    true
                })
            });
            daemon(dir.path());
            guard
                .join()
                .expect("no panic")
                .expect("the directory is ours");
        });
        stopped.into_inner().expect("no panic while held")
    }

    #[test]
    fn what_was_told_just_before_the_daemon_froze_is_stopped() {
        let stopped = guarded(|dir| {
            let mut feeder = Feeder::of(0, dir);
            until("the guard's answer", || feeder.connect());
            feeder
                .lease(lease(Mono::now().plus(50).0))
                .expect("it listens");
            assert!(feeder.resource(&"vip".into(), Some(&stop_of("vip"))));
            assert!(feeder.resource(&"db".into(), Some(&stop_of("db"))));
            assert!(feeder.resource(&"db".into(), None));
            // Not a word after this, and the connection stays open: a daemon that was sent SIGSTOP.
            std::thread::sleep(Duration::from_millis(400));
        });
        assert_eq!(stopped, ["vip"]);
    }

    #[test]
    fn a_new_guard_is_told_everything_that_the_old_one_knew() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut feeder = Feeder::of(0, dir.path());
        assert!(
            !feeder.resource(&"vip".into(), Some(&stop_of("vip"))),
            "nobody is there yet"
        );
        let socket = super::super::socket_of(dir.path());
        let stopped = Mutex::new(0);
        std::thread::scope(|scope| {
            let guard = scope.spawn(|| {
                run(&socket, None, |calls| {
                    *stopped.lock().unwrap() = calls.len();
                    true
                })
            });
            until("the guard's answer", || feeder.connect());
            feeder
                .lease(lease(Mono::now().plus(20).0))
                .expect("it listens");
            guard
                .join()
                .expect("no panic")
                .expect("the directory is ours");
        });
        assert_eq!(stopped.into_inner().unwrap(), 1);
    }

    #[test]
    fn a_socket_that_nobody_reads_is_no_guard() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let _ended = UnixListener::bind(super::super::socket_of(dir.path())).expect("ours");
        let mut feeder = Feeder::of(0, dir.path());
        assert!(!feeder.connect(), "nobody has answered");
        assert!(!feeder.resource(&"vip".into(), Some(&stop_of("vip"))));
    }

    #[test]
    fn a_second_guard_waits_until_the_first_has_stopped_everything() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let socket = super::super::socket_of(dir.path());
        let order = Mutex::new(Vec::new());
        let note = |what: &'static str| order.lock().unwrap().push(what);
        let is_there = || super::super::is_there(dir.path());
        assert!(!is_there(), "none was started yet");
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                run(&socket, None, |_| {
                    std::thread::sleep(Duration::from_millis(200));
                    note("stopped");
                    true
                })
            });
            let mut feeder = Feeder::of(0, dir.path());
            until("the first guard's answer", || feeder.connect());
            feeder.lease(lease(1)).expect("it listens");
            feeder.resource(&"vip".into(), Some(&stop_of("vip")));
            until("the first guard's end of listening", || {
                !UnixStream::connect(&socket).is_ok()
            });
            assert!(is_there(), "it does not listen, and is at work");
            let second = scope.spawn(|| {
                run(&socket, None, |_| {
                    note("stopped again");
                    true
                })
            });
            let mut anew = Feeder::of(0, dir.path());
            until("the second guard's answer", || anew.connect());
            note("connected");
            anew.bye();
            first.join().unwrap().expect("the directory is ours");
            second.join().unwrap().expect("the directory is ours");
        });
        assert_eq!(order.into_inner().unwrap(), ["stopped", "connected"]);
    }

    /// Plays the hardware: a machine whose watchdog was not fed for its timeout is reset.
    fn is_reset(dog: &Path) -> bool {
        let text = std::fs::read_to_string(dog).unwrap_or_default();
        let number = |name: &str| {
            let at = text.find(name)? + name.len();
            text[at..].split_whitespace().next()?.parse::<u64>().ok()
        };
        match (number("timeout_ms="), number("fed_at=")) {
            (Some(timeout), Some(fed)) => Mono::now().since(Mono(fed)) > timeout,
            _ => false,
        }
    }

    #[test]
    fn a_watchdog_is_fed_while_the_lease_lasts_and_disarmed_at_the_end() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let socket = super::super::socket_of(dir.path());
        let wanted = Wanted {
            device: dir.path().join("dog"),
            timeout_ms: 1_000,
        };
        std::thread::scope(|scope| {
            let guard = scope.spawn(|| run(&socket, Some(&wanted), |_| true));
            let mut feeder = Feeder::of(0, dir.path());
            until("the guard's answer", || feeder.connect());
            let dog = feeder.watchdog().expect("this node has one");
            assert_eq!((dog.timeout_ms, dog.why), (1_000, None));
            assert!(feeder.resource(&"vip".into(), Some(&stop_of("vip"))));
            for _ in 0..15 {
                let until = Mono::now().plus(600);
                feeder.lease(lease(until.0)).expect("it listens");
                std::thread::sleep(Duration::from_millis(100));
                assert!(!is_reset(&wanted.device));
            }
            assert!(feeder.resource(&"vip".into(), None));
            feeder.bye();
            guard.join().unwrap().expect("the directory is ours");
        });
        let text = std::fs::read_to_string(&wanted.device).expect("it is there");
        assert_eq!(text, "closed\n");
    }

    /// The guard stays for good then, so it is a process of its own that the test ends: here, a thread that is left.
    #[test]
    fn what_cannot_be_stopped_is_ended_by_the_watchdog() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let socket = super::super::socket_of(dir.path());
        let wanted = Wanted {
            device: dir.path().join("dog"),
            timeout_ms: 500,
        };
        let (there, dog) = (socket.clone(), wanted.device.clone());
        std::thread::spawn(move || run(&there, Some(&wanted), |_| false));
        let mut feeder = Feeder::of(0, dir.path());
        until("the guard's answer", || feeder.connect());
        feeder
            .lease(lease(Mono::now().plus(300).0))
            .expect("it listens");
        assert!(feeder.resource(&"vip".into(), Some(&stop_of("vip"))));
        assert!(!is_reset(&dog));
        until("the reset", || is_reset(&dog));
        // A new guard would feed it again: it has to wait for the end of the first, which does not come.
        let mut anew = Feeder::of(0, dir.path());
        assert!(!anew.connect());
        assert!(is_reset(&dog));
    }
}
