//! Programs that nobody waits for any more: those that a daemon which died was running, and what left its process group.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// A file that is there while a program runs.
pub(super) struct Registered(PathBuf);

impl Registered {
    pub(super) fn new(dir: &Path, pid: Pid) -> Option<Self> {
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
