//! Control groups, where the system has them: whatever a resource's agents start stays in its group.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

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
    pub(super) fn enter(&self, pid: Pid) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
