//! Links by which this program is called under the names that people and agents know.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::tools;

/// Names that open a door of their own beside those of the tools.
const DOORS: &[&str] = &["crm", "crm_simulate"];

/// Names that open a door of their own.
pub fn names() -> impl Iterator<Item = &'static str> {
    DOORS.iter().copied().chain(tools::names())
}

/// What came of making the links.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// How many there are now.
    pub links: usize,
    /// What has a name already and was left alone, with what it is.
    pub left: Vec<(PathBuf, String)>,
    /// What was there and is kept under another name.
    pub kept: Vec<PathBuf>,
}

/// Makes all links in `dir`, which is made if it is not there. Links that are right stay as they are, and those to an
/// older place of this program are led to the new one. Anything else that has one of the names belongs to somebody: it
/// is left alone, unless `force` says to put it aside as NAME.saved (NAME.saved.2, ... when that is taken). Each name is
/// changed at once, so a tool is there at any time.
///
/// # Errors
/// Names the link that could not be made.
pub fn make(dir: &Path, program: &Path, force: bool) -> std::io::Result<Made> {
    let named = |path: &Path, e: std::io::Error| {
        std::io::Error::new(
            e.kind(),
            format!("failed to make the link {}: {e}", path.display()),
        )
    };
    std::fs::create_dir_all(dir).map_err(|e| named(dir, e))?;
    let mut made = Made::default();
    for name in names() {
        let path = dir.join(name);
        let path = path.as_path();
        match standing(path, program).map_err(|e| named(path, e))? {
            Standing::Right => {}
            Standing::Free => symlink(program, path).map_err(|e| named(path, e))?,
            Standing::Old => replace(path, program).map_err(|e| named(path, e))?,
            Standing::Foreign(what) if what == DIRECTORY || !force => {
                made.left.push((path.to_owned(), what));
                continue;
            }
            Standing::Foreign(_) => {
                let saved = aside(path).map_err(|e| named(path, e))?;
                replace(path, program).map_err(|e| named(path, e))?;
                made.kept.push(saved);
            }
        }
        made.links += 1;
    }
    Ok(made)
}

const DIRECTORY: &str = "a directory";

/// What has a name now.
enum Standing {
    Free,
    /// Our link.
    Right,
    /// A link to this program at another place, or to nothing.
    Old,
    Foreign(String),
}

fn standing(path: &Path, program: &Path) -> std::io::Result<Standing> {
    let found = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Standing::Free),
        found => found?,
    };
    if found.is_dir() {
        return Ok(Standing::Foreign(DIRECTORY.to_owned()));
    }
    if !found.is_symlink() {
        return Ok(Standing::Foreign("a program of its own".to_owned()));
    }
    let target = std::fs::read_link(path)?;
    Ok(if target == program {
        Standing::Right
    } else if target.file_name() == program.file_name() || !path.exists() {
        Standing::Old
    } else {
        Standing::Foreign(format!("a link to {}", target.display()))
    })
}

/// A link takes the place of what is there, at once.
fn replace(path: &Path, program: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4()));
    symlink(program, &beside)?;
    std::fs::rename(&beside, path).inspect_err(|_| {
        // The link that nobody knows is of no use.
        let _ = std::fs::remove_file(&beside);
    })
}

/// A second name for what is there, under which it stays: `NAME.saved`, or with a number if that is something else already.
fn aside(path: &Path) -> std::io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = std::fs::read_link(path).ok();
    let mut saved = path.with_file_name(format!("{name}.saved"));
    for number in 2.. {
        let made = match &target {
            Some(target) => symlink(target, &saved),
            None => std::fs::hard_link(path, &saved),
        };
        match made {
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                if target.is_some() && std::fs::read_link(&saved).ok() == target {
                    break;
                }
                saved = path.with_file_name(format!("{name}.saved.{number}"));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_others_is_left_alone_and_the_rest_is_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let program = Path::new("/opt/new/systole");
        std::fs::write(at("crm_mon"), "theirs").expect("a file");
        std::fs::create_dir(at("crm_node")).expect("a folder");
        symlink("/bin/sh", at("crm")).expect("a link");
        symlink("/opt/old/systole", at("cibadmin")).expect("a link");
        let made = make(dir.path(), program, false).expect("they are made");
        let left: Vec<_> = made.left.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(left, [at("crm"), at("crm_mon"), at("crm_node")]);
        assert_eq!(made.links, names().count() - 3);
        let target = |name: &str| std::fs::read_link(at(name)).ok();
        assert_eq!(target("cibadmin").as_deref(), Some(program));
        assert_eq!(target("crm_resource").as_deref(), Some(program));
        assert_eq!(
            std::fs::read_to_string(at("crm_mon")).expect("a file"),
            "theirs"
        );

        let made = make(dir.path(), program, true).expect("they are made");
        assert_eq!(made.kept, [at("crm.saved"), at("crm_mon.saved")]);
        assert_eq!(made.left, [(at("crm_node"), DIRECTORY.to_owned())]);
        assert_eq!(target("crm_mon").as_deref(), Some(program));
        let saved = std::fs::read_to_string(at("crm_mon.saved")).expect("it is kept");
        assert_eq!(saved, "theirs");
        let again = make(dir.path(), program, false).expect("they are there");
        assert_eq!((again.links, again.kept), (names().count() - 1, Vec::new()));

        // The program has another name, then the one before, and so on: `crm.saved` is somebody's.
        let programs = ["systole-1", "systole-2"].map(|name| dir.path().join(name));
        for program in &programs {
            std::fs::write(program, "").expect("a file");
        }
        let [one, two] = &programs;
        make(dir.path(), one, true).expect("they are made");
        for (program, saved) in [(two, 2), (one, 3), (two, 2), (one, 3)] {
            let made = make(dir.path(), program, true).expect("they are made");
            let saved = at(&format!("crm.saved.{saved}"));
            assert!(made.kept.contains(&saved), "{:?}", made.kept);
            assert_eq!(target("crm").as_ref(), Some(program));
        }
        let hidden = std::fs::read_dir(dir.path()).expect("a folder").flatten();
        let hidden = hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 0, "nothing half-done is left");
    }
}
