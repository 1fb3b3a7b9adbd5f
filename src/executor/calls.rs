//! Call ids grow for ever, over restarts too: the history of a resource is read in their order. A file holds a
//! number that none given so far exceeds; it is moved ahead in blocks, so that most calls touch no disk.

use std::io::{self, Write};
use std::path::PathBuf;

const BLOCK: i64 = 1000;
/// Room left when the next block is taken.
const MARGIN: i64 = 100;

/// The file, and how far it reaches.
#[derive(Debug)]
pub(super) struct Calls {
    file: PathBuf,
    reserved: i64,
}

impl Calls {
    /// Opens the file; the first call id is greater than all in it and than `floor` (the greatest in the CIB).
    pub(super) fn open(file: PathBuf, floor: i64) -> (Self, i64) {
        let stored = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let last = stored.unwrap_or(0).max(floor).max(0);
        let mut calls = Self {
            file,
            reserved: last,
        };
        calls.used(last);
        (calls, last + 1)
    }

    /// So many have been given.
    pub(super) fn used(&mut self, last: i64) {
        if last + MARGIN < self.reserved {
            return;
        }
        let next = last + BLOCK;
        match self.write(next) {
            Ok(()) => self.reserved = next,
            Err(error) => tracing::error!(
                file = %self.file.display(), %error,
                "failed to keep the call counter; after a restart numbers may repeat"
            ),
        }
    }

    fn write(&self, number: i64) -> io::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        let directory = self.file.parent().map(std::fs::File::open).transpose()?;
        directory.map_or(Ok(()), |directory| directory.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_repeat() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("call-id");
        let (mut calls, first) = Calls::open(file.clone(), 0);
        assert_eq!(first, 1);
        calls.used(950);
        let (_, second) = Calls::open(file.clone(), 0);
        assert!(second > 950, "{second}");
        let (_, third) = Calls::open(file, 50_000);
        assert_eq!(third, 50_001);
    }
}
