//! Into private namespaces: whatever is built there is seen by nobody else and ends with us.
//!
//! ```text
//! outside:  systole demo          unshares (a user namespace first, unless root), starts itself again, waits
//! inside:   systole demo          pid 1 of a pid namespace: when it dies, however it dies, all else dies too
//! ```

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::{env, fs, io};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::process::Signal;

const INSIDE: &str = "SYSTOLE_LAB_INSIDE";

/// On which side of the wall we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The work was done inside, by our child; this is its exit status.
    Outside(u8),
    /// Namespaces are private now: do the work.
    Inside,
}

/// Failed to get private namespaces.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The kernel or its administrator says no.
    #[error(
        "failed to make private namespaces: {0}; run as root, or allow user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, \
         user.max_user_namespaces > 0)"
    )]
    Namespaces(nix::Error),
    /// Namespaces are there, furnishing them failed.
    #[error("failed to furnish private namespaces: {0}")]
    Furnish(#[from] io::Error),
}

/// Makes private namespaces and starts this program again inside them, or, inside, furnishes them. Call it first in
/// `main`: a user namespace needs a process with one thread.
pub fn enclose() -> Result<Side, Refused> {
    if env::var_os(INSIDE).is_some() {
        // If the outer process is killed, so are we, and with us (pid 1) everybody here.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(io::Error::from)?;
        furnish()?;
        return Ok(Side::Inside);
    }
    let spaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    let root = rustix::process::geteuid().is_root();
    if !(root && unshare(spaces).is_ok()) {
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        unshare(spaces | CloneFlags::CLONE_NEWUSER).map_err(Refused::Namespaces)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    #[expect(clippy::disallowed_methods, reason = "this is us again, not an agent")]
    let mut again = Command::new("/proc/self/exe");
    let status = again
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()?;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Side::Outside(u8::try_from(code).unwrap_or(1)))
}

/// A private `/run` and a `/proc` that shows our processes.
fn furnish() -> io::Result<()> {
    make_private()?;
    // Refused where /proc is masked, as in some containers; then we do with the outer one.
    let _ = mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    );
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    Ok(())
}

/// Mounts made here stay here.
pub(super) fn make_private() -> io::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
    Ok(())
}
