//! The only spawn. Every agent, fence device and hook of the house is run by [`run`]: argv and a clean
//! environment, never a shell string; its own process group; output kept within a bound; an end that is
//! always reached, whatever the program does.
//!
//! Three habits of agents shape this file. They hang: so the time limit kills the whole group with SIGKILL.
//! They print: so we keep the head and the tail of a stream and drain the rest. They leave a daemon behind
//! that holds their end of the pipe: so the end of the *child* ends the run, not the end of the pipe.

mod control_group;
mod holder;
mod leftovers;
mod priority;
pub mod secrets;
mod streams;

pub use control_group::ControlGroup;
pub use holder::cannot_listen;
pub use leftovers::{kill_leftovers, kill_marked, kill_marked_now};
pub use priority::favour_this_thread;
pub use streams::Captured;

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::time::Instant;

use leftovers::Registered;
use streams::{Input, Stream};

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

/// How long a killed group may take to be gone before we go on without it.
const AFTER_KILL: Duration = Duration::from_secs(5);
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
mod tests;
