//! The agents that come with us, as texts in the binary, and their way to the disk.
//!
//! ```text
//!   DIR/ocf/systole/Dummy ...     resource agents of provider `systole`
//!   DIR/ocf/systole/IPaddr2       link to this program, which is that agent when called so
//!   DIR/fence/fence_hook ...      fence agents
//!   DIR/alert/alert_file ...      alert agents
//! ```

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Resource agents: name and text.
pub const OCF: [(&str, &str); 6] = [
    ("Dummy", include_str!("../agents/ocf/systole/Dummy")),
    ("Stateful", include_str!("../agents/ocf/systole/Stateful")),
    ("check", include_str!("../agents/ocf/systole/check")),
    ("counter", include_str!("../agents/ocf/systole/counter")),
    ("portcheck", include_str!("../agents/ocf/systole/portcheck")),
    ("process", include_str!("../agents/ocf/systole/process")),
];

/// Fence agents: name and text.
pub const FENCE: [(&str, &str); 2] = [
    ("fence_hook", include_str!("../agents/fence/fence_hook")),
    ("fence_pids", include_str!("../agents/fence/fence_pids")),
];

/// Alert agents: name and text.
pub const ALERT: [(&str, &str); 4] = [
    ("alert_file", include_str!("../agents/alert/alert_file")),
    ("alert_mail", include_str!("../agents/alert/alert_mail")),
    ("alert_notify", include_str!("../agents/alert/alert_notify")),
    (
        "alert_webhook",
        include_str!("../agents/alert/alert_webhook"),
    ),
];

/// Agents that are this program under another name.
pub const NATIVE: [&str; 1] = ["IPaddr2"];

/// An agent could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("install agent {}: {error}", .path.display())]
pub struct InstallError {
    path: PathBuf,
    error: io::Error,
}

/// Writes all agents below `dir`, with links to `program` for the native ones. What is there already is replaced
/// in one move, so an agent that runs meanwhile is not disturbed.
pub fn install(dir: &Path, program: &Path) -> Result<(), InstallError> {
    let (ocf, fence) = (dir.join("ocf/systole"), dir.join("fence"));
    let alert = dir.join("alert");
    for dir in [&ocf, &fence, &alert] {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
    }
    for (name, text) in OCF {
        write(&ocf.join(name), text)?;
    }
    for (name, text) in FENCE {
        write(&fence.join(name), text)?;
    }
    for (name, text) in ALERT {
        write(&alert.join(name), text)?;
    }
    for name in NATIVE {
        link(&ocf.join(name), program)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    // An unchanged file is left alone: a daemon that starts does not write.
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text).map_err(at(&new))?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).map_err(at(&new))?;
    std::fs::rename(&new, path).map_err(at(path))
}

fn link(path: &Path, program: &Path) -> Result<(), InstallError> {
    if std::fs::read_link(path).is_ok_and(|old| old == program) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    symlink(program, &new).map_err(at(&new))?;
    std::fs::rename(&new, path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.to_path_buf();
    |error| InstallError { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::agent::metadata;

    #[test]
    fn agents_are_installed_and_describe_themselves() {
        let dir = tempfile::tempdir().expect("temporary directory");
        install(dir.path(), Path::new("/bin/true")).expect("writable");
        install(dir.path(), Path::new("/bin/true")).expect("a second time too");
        for (name, text) in OCF.into_iter().chain(FENCE) {
            let start = text.find("<?xml").expect("metadata");
            let end = text.find("\nXML\n").expect("the end of metadata");
            let read = metadata::parse(&text[start..end]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(
                read.actions.iter().any(|action| action == "monitor"),
                "{name}"
            );
            assert!(!text.contains("[["), "{name} must run in any sh");
        }
        for (name, text) in ALERT {
            let start = text.find("<?xml").expect("metadata");
            let end = text.find("\nXML\n").expect("the end of metadata");
            let read = metadata::parse(&text[start..end]).unwrap_or_else(|e| panic!("{name}: {e}"));
            for parameter in read.parameters {
                let used = format!("${{{}", parameter.name);
                let plain = format!("${}", parameter.name);
                assert!(text.contains(&used) || text.contains(&plain), "{name}");
                assert!(
                    text.contains(&format!("{},", parameter.name)),
                    "help of {name}"
                );
            }
            assert!(!text.contains("[["), "{name} must run in any sh");
        }
        let link = std::fs::read_link(dir.path().join("ocf/systole/IPaddr2")).expect("a link");
        assert_eq!(link, Path::new("/bin/true"));
    }
}
