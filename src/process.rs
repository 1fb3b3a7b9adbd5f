//! The only spawn. Every agent, fence device and hook of the house is run by [`run`]: argv and a clean
//! environment, never a shell string; its own process group; output kept within a bound; an end that is
//! always reached, whatever the program does.
//!
//! Three habits of agents shape this file. They hang: so the time limit kills the whole group with SIGKILL.
//! They print: so we keep the head and the tail of a stream and drain the rest. They leave a daemon behind
//! that holds their end of the pipe: so the end of the *child* ends the run, not the end of the pipe.

mod holder;
mod priority;
pub mod secrets;

pub use holder::cannot_listen;
pub use priority::favour_this_thread;

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::time::Instant;

/// What to run, and within which bounds.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// The name that it is called by; none is its path.
    pub called: Option<OsString>,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Standard input; `None` is the null device.
    pub stdin: Option<Vec<u8>>,
    /// Time limit, counted from the spawn.
    pub timeout: Option<Duration>,
    /// Whom the time limit and a stop kill.
    pub kill: Kill,
    /// Bytes kept per stream; half of them from the head, half from the tail.
    pub output_limit: usize,
    /// Control group in which the program runs, with all that it leaves behind.
    pub group: Option<ControlGroup>,
    /// User and group to become.
    pub run_as: Option<(u32, u32)>,
    /// Directory in which a file says that the program runs, so that a daemon which comes after a crash of this
    /// one finds it ([`kill_leftovers`]).
    pub register: Option<PathBuf>,
}

impl Spec {
    /// A program without arguments, with an empty environment and a bound of 64 KiB per stream.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            called: None,
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            timeout: None,
            kill: Kill::Group,
            output_limit: 64 * 1024,
            group: None,
            run_as: None,
            register: None,
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// Whom a time limit kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The process group of the program.
    Group,
    /// The program alone.
    Process,
}

/// How a run ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The end itself.
    pub how: How,
    /// Standard output within the bound.
    pub stdout: Captured,
    /// Standard error within the bound.
    pub stderr: Captured,
    /// Time from the spawn to the end.
    pub run_ms: u64,
}

/// The ways in which a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Exit code of the program.
    Exited(i32),
    /// Killed by a signal which was not ours.
    Signaled(i32),
    /// The time limit was reached; the group has been killed.
    TimedOut,
    /// The caller's stop came first; the group has been killed.
    Stopped,
    /// The program could not be executed: error number of the system, and its text.
    CannotExec(i32, String),
}

/// A stream within its bound: its head, its tail, and how much between them was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    half: usize,
}

impl Captured {
    /// An empty stream that will keep at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            half: (limit / 2).max(1),
            ..Self::default()
        }
    }

    /// Everything that was kept, lossily decoded, with a line that says what is missing.
    pub fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            let note = format!("\n[... truncated: {} bytes left out ...]\n", self.dropped);
            bytes.extend_from_slice(note.as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The same as bytes, with nothing said of what is missing.
    pub fn bytes(&self) -> Vec<u8> {
        let tail = self.tail.iter().copied();
        self.head.iter().copied().chain(tail).collect()
    }

    /// Whether bytes were left out.
    pub fn truncated(&self) -> bool {
        self.dropped > 0
    }

    /// Bytes kept.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let free = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (to_head, rest) = bytes.split_at(free);
        self.head.extend_from_slice(to_head);
        let kept = &rest[rest.len().saturating_sub(self.half)..];
        let over = (self.tail.len() + kept.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(kept);
        self.dropped += (over + rest.len() - kept.len()) as u64;
    }
}

/// How long a killed group may take to be gone before we go on without it.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How much of a stream is read after the end of the child: more than any pipe holds.
const LAST_DRAIN: usize = 2 * 1024 * 1024;

/// Runs a program to its end, or to its time limit, or until `stop` is done.
pub async fn run(spec: Spec, stop: impl Future<Output = ()>) -> Ended {
    let started = Instant::now();
    let mut child = match spawn_patiently(&spec).await {
        Ok(child) => child,
        Err(error) => return cannot_exec(&spec, &error),
    };
    let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
    if let (Some(group), Some(pid)) = (&spec.group, pid) {
        group.enter(pid);
    }
    let _registered = spec
        .register
        .as_deref()
        .zip(pid)
        .and_then(|(dir, pid)| Registered::new(dir, pid));
    let mut out = Stream::new(child.stdout.take(), spec.output_limit);
    let mut err = Stream::new(child.stderr.take(), spec.output_limit);
    let mut input = Input::new(child.stdin.take(), spec.stdin.unwrap_or_default());
    // Far enough to never be reached, near enough to never overflow.
    let limit = spec
        .timeout
        .unwrap_or(Duration::from_secs(60 * 60 * 24 * 365));
    let deadline = tokio::time::sleep_until(started + limit);
    tokio::pin!(deadline, stop);
    let how = loop {
        tokio::select! {
            status = child.wait() => break how_ended(status),
            () = out.fill(), if out.open() => {}
            () = err.fill(), if err.open() => {}
            () = input.feed(), if input.open() => {}
            () = &mut deadline => break end_by_force(&spec.program, child, pid, spec.kill, How::TimedOut).await,
            () = &mut stop => break end_by_force(&spec.program, child, pid, spec.kill, How::Stopped).await,
        }
    };
    out.drain();
    err.drain();
    let run_ms = started.elapsed().as_millis() as u64;
    Ended {
        how,
        stdout: out.kept,
        stderr: err.kept,
        run_ms,
    }
}

/// A file that is just being written, or whose writer's descriptor lives on for a moment in somebody's fork,
/// cannot be executed (ETXTBSY). That passes.
async fn spawn_patiently(spec: &Spec) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match spawn(spec) {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done => return done,
        }
    }
}

fn spawn(spec: &Spec) -> io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "this is the only spawn")]
    let mut command = tokio::process::Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)));
    if let Some(name) = &spec.called {
        command.arg0(name);
    }
    command.current_dir("/").process_group(0);
    command.stdin(if spec.stdin.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some((user, group)) = spec.run_as {
        command.gid(group).uid(user);
    }
    command.spawn()
}

fn cannot_exec(spec: &Spec, error: &io::Error) -> Ended {
    // An error without a number is ours: a NUL byte in an argument or in the environment.
    let number = error
        .raw_os_error()
        .unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
    let how = How::CannotExec(number, error_text(number, error));
    let empty = Captured::new(spec.output_limit);
    Ended {
        how,
        stdout: empty.clone(),
        stderr: empty,
        run_ms: 0,
    }
}

/// The system's words without the number that `io::Error` appends.
fn error_text(number: i32, error: &io::Error) -> String {
    error
        .to_string()
        .replace(&format!(" (os error {number})"), "")
}

fn how_ended(status: io::Result<ExitStatus>) -> How {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => How::Exited(code),
            (None, signal) => How::Signaled(signal.unwrap_or(0)),
        },
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(0);
            How::CannotExec(number, error_text(number, &error))
        }
    }
}

async fn end_by_force(
    program: &Path,
    mut child: Child,
    pid: Option<Pid>,
    kill: Kill,
    how: How,
) -> How {
    if let Some(pid) = pid {
        // Not reaped yet, so neither the process nor its group can be somebody else's.
        let killed = match kill {
            Kill::Group => rustix::process::kill_process_group(pid, Signal::KILL),
            Kill::Process => rustix::process::kill_process(pid, Signal::KILL),
        };
        if let Err(error) = killed {
            tracing::warn!(program = %program.display(), %error, "failed to kill the process group");
        }
    }
    if tokio::time::timeout(AFTER_KILL, child.wait())
        .await
        .is_err()
    {
        tracing::warn!(program = %program.display(), "killed process is still there after 5 s");
        // It will be reaped when the kernel lets go of it.
        tokio::spawn(async move { child.wait().await });
    }
    how
}

/// One captured stream. `fill` is cancel safe: a read either happened or did not.
struct Stream<R> {
    from: Option<R>,
    kept: Captured,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + AsFd + Unpin> Stream<R> {
    fn new(from: Option<R>, limit: usize) -> Self {
        Self {
            from,
            kept: Captured::new(limit),
            buffer: vec![0; 16 * 1024],
        }
    }

    fn open(&self) -> bool {
        self.from.is_some()
    }

    async fn fill(&mut self) {
        let Some(from) = &mut self.from else { return };
        match from.read(&mut self.buffer).await {
            Ok(n) if n > 0 => self.kept.push(&self.buffer[..n]),
            _ => self.from = None,
        }
    }

    /// What the child wrote before its end is in the pipe now; what others still hold open is not waited for.
    /// The descriptor does not block, and is asked directly, since readiness may not have been told to us yet.
    fn drain(&mut self) {
        let Some(from) = self.from.take() else { return };
        let mut total = 0;
        while total < LAST_DRAIN {
            match rustix::io::read(from.as_fd(), self.buffer.as_mut_slice()) {
                Ok(n) if n > 0 => self.kept.push(&self.buffer[..n]),
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
            total += self.buffer.len();
        }
    }
}

struct Input {
    to: Option<ChildStdin>,
    data: Vec<u8>,
    done: usize,
}

impl Input {
    fn new(to: Option<ChildStdin>, data: Vec<u8>) -> Self {
        Self { to, data, done: 0 }
    }

    fn open(&self) -> bool {
        self.to.is_some()
    }

    async fn feed(&mut self) {
        let Some(to) = &mut self.to else { return };
        if self.done < self.data.len() {
            match to.write(&self.data[self.done..]).await {
                Ok(n) if n > 0 => self.done += n,
                // A program need not read its input.
                _ => self.done = self.data.len(),
            }
        }
        if self.done >= self.data.len() {
            self.to = None;
        }
    }
}

/// A file that is there while a program runs.
struct Registered(PathBuf);

impl Registered {
    fn new(dir: &Path, pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero();
        let file = dir.join(pid.to_string());
        std::fs::write(&file, started_at(pid.get())?.to_string()).ok()?;
        Some(Self(file))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Start time of a process in clock ticks since boot: tells it from a later one with the same number.
fn started_at(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Kills the groups of programs that a daemon before us was running when it died: a start that goes on
/// unseen could end after we have looked. Returns how many there were.
pub fn kill_leftovers(register: &Path) -> usize {
    let mut killed = 0;
    for entry in std::fs::read_dir(register).into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let since = std::fs::read_to_string(entry.path())
            .ok()
            .and_then(|text| text.parse().ok());
        if let (Some(pid), Some(since)) = (pid, since)
            && started_at(pid) == Some(since)
            && let Some(group) = Pid::from_raw(pid)
            && rustix::process::kill_process_group(group, Signal::KILL).is_ok()
        {
            killed += 1;
        }
        let _ = std::fs::remove_file(entry.path());
    }
    killed
}

/// How often [`kill_marked`] looks at most, how often in vain, and what it waits in between.
const LOOKS: usize = 50;
const IN_VAIN: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Kills every process whose environment has all of these variables, until none is found, and returns how many there were.
/// For what left its process group, where there are no control groups. Blocks for 20 ms, and for half a second at most.
pub fn kill_marked(marks: &[(&str, &str)]) -> usize {
    let (mut killed, mut in_vain) = (BTreeSet::new(), 0);
    // A process that is just becoming another program shows no environment, and one that forks is two: what was not to be
    // seen is, the next time.
    for _ in 0..LOOKS {
        let found = kill_marked_now(marks);
        in_vain = if found.is_empty() { in_vain + 1 } else { 0 };
        killed.extend(found);
        if in_vain == IN_VAIN {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    killed.len()
}

/// The same with one look, which reads the environment of every process of the machine: the ids of those that were found.
pub fn kill_marked_now(marks: &[(&str, &str)]) -> Vec<i32> {
    let marks: Vec<String> = marks
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut killed = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let has = |mark: &String| {
            environ
                .split(|byte| *byte == 0)
                .any(|var| var == mark.as_bytes())
        };
        if marks.iter().all(has)
            && let Some(process) = Pid::from_raw(pid)
            && rustix::process::kill_process(process, Signal::KILL).is_ok()
        {
            killed.push(pid);
        }
    }
    killed
}

/// A control group (version 2) for one resource: what its agents start stays in it, so that everything can be
/// killed at a deadline even if no agent can stop it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroup {
    path: PathBuf,
}

impl ControlGroup {
    /// The writable place for groups of this node below our own group, if the system has one.
    pub fn base(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let base = base_path(&mounts, &own)?.join(file_name(name));
        make_dir(&base)
    }

    /// The group of one resource, made when it is not there.
    pub fn child(&self, name: &str) -> Option<Self> {
        make_dir(&self.path.join(file_name(name)))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a process in. Gap: the program may have forked before; without unsafe code there is no way to spawn
    /// into a group. The window is the time between `execve` and this write.
    fn enter(&self, pid: Pid) {
        let file = self.path.join("cgroup.procs");
        if let Err(error) = std::fs::write(&file, pid.as_raw_nonzero().to_string()) {
            // A program that has ended at once is no longer there to be moved.
            tracing::debug!(file = %file.display(), %error, "failed to move an agent into its control group");
        }
    }

    /// Processes in it.
    pub fn pids(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect()
    }

    /// Kills everything in it at once.
    pub fn kill(&self) -> io::Result<()> {
        let killed = std::fs::write(self.path.join("cgroup.kill"), "1");
        if killed.is_err() {
            // Before Linux 5.14: one by one, until nothing new is forked.
            for _ in 0..10 {
                for pid in self.pids().into_iter().filter_map(Pid::from_raw) {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
        }
        killed.or_else(|error| {
            if self.pids().is_empty() {
                Ok(())
            } else {
                Err(error)
            }
        })
    }

    /// Removes it if it is empty.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir(&self.path);
    }
}

fn make_dir(path: &Path) -> Option<ControlGroup> {
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(_) => return None,
    }
    let path = path.to_path_buf();
    path.join("cgroup.procs")
        .exists()
        .then_some(ControlGroup { path })
}

/// Mount point of version 2 plus our own path in it.
fn base_path(mountinfo: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next() == Some("cgroup2")).then(|| left.split(' ').nth(4))?
    })?;
    Some(Path::new(mount).join(own.trim_start_matches('/')))
}

/// Ids of the CIB are names without a slash, but this is where a wrong one would become a path.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.:".contains(c) {
            c
        } else {
            '_'
        }
    };
    format!("systole-{}", name.chars().map(safe).collect::<String>())
}

/// Name of a signal in the words of `strsignal`.
pub fn signal_text(signal: i32) -> String {
    let text = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        16 => "Stack fault",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        other => return format!("Unknown signal {other}"),
    };
    text.to_owned()
}

/// Starts a program that outlives this one, in a process group of its own, and nobody waits for it. It writes where this
/// one does.
///
/// # Errors
/// Fails when it cannot be executed.
pub fn detach(program: &Path, args: &[&OsStr]) -> io::Result<u32> {
    apart(program, args, false)
}

/// The same without our streams: whoever reads them to their end does not wait for it.
///
/// # Errors
/// Fails when it cannot be executed.
pub fn detach_silent(program: &Path, args: &[&OsStr]) -> io::Result<u32> {
    apart(program, args, true)
}

fn apart(program: &Path, args: &[&OsStr], silent: bool) -> io::Result<u32> {
    #[expect(clippy::disallowed_methods, reason = "this room is the only spawn")]
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    if silent {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    // Somebody must take note of its end, or it stays in the process table.
    std::thread::Builder::new()
        .name("reaper".into())
        .spawn(move || child.wait())?;
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::os::unix::fs::PermissionsExt;

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("agent");
        std::fs::write(&path, text).expect("a temporary directory is writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        path
    }

    async fn shell(text: &str, timeout_ms: u64) -> Ended {
        let dir = tempfile::tempdir().expect("temporary directory");
        let program = script(dir.path(), &format!("#!/bin/sh\n{text}\n"));
        let spec = Spec::new(program).env("PATH", "/usr/bin:/bin");
        run(spec.timeout(Duration::from_millis(timeout_ms)), pending()).await
    }

    fn gone(pid: i32) -> bool {
        // A killed orphan may stay a zombie for a moment, or for ever where nobody is init.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    }

    #[tokio::test]
    async fn exit_code_and_both_streams() {
        let ended = shell("echo out; echo err >&2; exit 255", 5000).await;
        assert_eq!(ended.how, How::Exited(255));
        assert_eq!(
            (ended.stdout.text(), ended.stderr.text()),
            ("out\n".into(), "err\n".into())
        );
    }

    #[tokio::test]
    async fn a_hanging_program_is_killed_with_its_group() {
        let ended = shell("sleep 100 & echo $!; wait", 200).await;
        assert_eq!(ended.how, How::TimedOut);
        assert!(ended.run_ms < 3000, "{}", ended.run_ms);
        let pid: i32 = ended
            .stdout
            .text()
            .trim()
            .parse()
            .expect("the script prints a pid");
        for _ in 0..50 {
            if gone(pid) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("child {pid} of the hanging program is still there");
    }

    #[tokio::test]
    async fn a_stop_kills() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let program = script(dir.path(), "#!/bin/sh\nsleep 100\n");
        let stop = tokio::time::sleep(Duration::from_millis(50));
        let ended = run(Spec::new(program).env("PATH", "/usr/bin:/bin"), stop).await;
        assert_eq!(ended.how, How::Stopped);
    }

    #[tokio::test]
    async fn a_hundred_megabytes_neither_block_nor_stay() {
        let ended = shell("echo first; head -c 100000000 /dev/zero; echo last", 60_000).await;
        assert_eq!(ended.how, How::Exited(0));
        assert!(ended.stdout.len() <= 64 * 1024 && ended.stdout.truncated());
        let text = ended.stdout.text();
        assert!(
            text.starts_with("first\n") && text.ends_with("last\n"),
            "head and tail are kept"
        );
        assert!(text.contains("truncated: 99934"), "the gap is told");
    }

    #[tokio::test]
    async fn a_fork_left_behind_does_not_hold_us() {
        let ended = shell("echo before; (sleep 3; echo late) & exit 0", 10_000).await;
        assert_eq!(ended.how, How::Exited(0));
        assert_eq!(ended.stdout.text(), "before\n");
        assert!(
            ended.run_ms < 2000,
            "waited for the pipe: {} ms",
            ended.run_ms
        );
    }

    #[tokio::test]
    async fn input_is_given_and_need_not_be_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let program = script(dir.path(), "#!/bin/sh\nread a; echo \"got $a\"\n");
        let mut spec = Spec::new(program);
        spec.stdin = Some([b"action=off\n".to_vec(), vec![b'x'; 1_000_000]].concat());
        let ended = run(spec, pending()).await;
        assert_eq!(
            (ended.how, ended.stdout.text()),
            (How::Exited(0), "got action=off\n".into())
        );
    }

    #[tokio::test]
    async fn what_cannot_be_executed_says_why() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ended = run(Spec::new(dir.path().join("none")), pending()).await;
        assert_eq!(
            ended.how,
            How::CannotExec(2, "No such file or directory".into())
        );
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "text").expect("writable");
        let ended = run(Spec::new(&plain), pending()).await;
        assert_eq!(ended.how, How::CannotExec(13, "Permission denied".into()));
        let program = script(dir.path(), "#!/no/such/interpreter\n");
        let ended = run(Spec::new(program), pending()).await;
        assert_eq!(
            ended.how,
            How::CannotExec(2, "No such file or directory".into())
        );
    }

    #[tokio::test]
    async fn a_signal_is_named() {
        let ended = shell("kill -TERM $$", 5000).await;
        assert_eq!(ended.how, How::Signaled(15));
        assert_eq!(signal_text(15), "Terminated");
    }

    #[test]
    fn the_bound_is_kept_for_any_split() {
        let mut kept = Captured::new(10);
        for chunk in ["abc", "defgh", "ijklmnop", "q", "", "rs"] {
            kept.push(chunk.as_bytes());
        }
        assert_eq!(
            kept.text(),
            "abcde\n[... truncated: 9 bytes left out ...]\nopqrs"
        );
        assert_eq!(kept.len(), 10);
    }

    #[test]
    fn own_place_in_the_group_tree() {
        let mounts = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let own = "0::/system.slice/systole.service\n";
        let expected = Path::new("/sys/fs/cgroup/system.slice/systole.service");
        assert_eq!(base_path(mounts, own).as_deref(), Some(expected));
        assert_eq!(base_path("", own), None);
        assert_eq!(file_name("../x y"), "systole-.._x_y");
    }
}
