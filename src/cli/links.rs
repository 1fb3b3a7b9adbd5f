//! Links by which this program is called under the names that people and agents know.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::tools;

/// Names that open a door of their own beside those of the tools.
const DOORS: &[&str] = &["crm", "crm_simulate"];

/// Names that open a door of their own.
pub fn names() -> impl Iterator<Item = &'static str> {
    DOORS.iter().copied().chain(tools::names())
}

/// Makes all links in `dir`, which is made if it is not there. Links that are right stay as they are.
///
/// # Errors
/// Names the link that could not be made. What is there and is no link is left alone, and an error.
pub fn make(dir: &Path, program: &Path) -> std::io::Result<()> {
    let named = |path: &Path, e: std::io::Error| {
        std::io::Error::new(
            e.kind(),
            format!("failed to make the link {}: {e}", path.display()),
        )
    };
    std::fs::create_dir_all(dir).map_err(|e| named(dir, e))?;
    for name in names() {
        let path = dir.join(name);
        match std::fs::read_link(&path) {
            Ok(old) if old == program => continue,
            Ok(_) => std::fs::remove_file(&path).map_err(|e| named(&path, e))?,
            Err(_) => {}
        }
        symlink(program, &path).map_err(|e| named(&path, e))?;
    }
    Ok(())
}
