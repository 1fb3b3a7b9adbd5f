//! Files from which other programs learn what a CIB may hold, under the names by which they look for them.

use std::path::{Path, PathBuf};

use crate::cib::schema;

/// Where such files are looked for.
pub const USUAL: &str = "/usr/share/pacemaker";

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}: {cause}", path.display())]
pub struct NotWritten {
    path: PathBuf,
    cause: std::io::Error,
}

/// Writes a file for each schema into `dir`, which is made if it is not there; how many.
pub fn write(dir: &Path) -> Result<usize, NotWritten> {
    let named = |path: &Path| {
        let path = path.to_owned();
        move |cause| NotWritten { path, cause }
    };
    std::fs::create_dir_all(dir).map_err(named(dir))?;
    let mut written = 0;
    for name in schema::names().chain(["pacemaker-next".to_owned()]) {
        let Some(text) = schema::rng(&name) else {
            continue;
        };
        let path = dir.join(format!("{name}.rng"));
        std::fs::write(&path, text).map_err(named(&path))?;
        written += 1;
    }
    Ok(written)
}
