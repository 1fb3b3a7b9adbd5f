//! `tests/known-gaps.txt`: what we do not answer rightly yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::compare::{Difference, Level};

const HEADER: &str = "\
# Recorded cases that we do not answer as recorded, and at which level. The list only shrinks:
# one that passes must be removed (SYSTOLE_GAPS=write cargo test --test conformance writes it anew).
";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/known-gaps.txt")
}

/// The listed levels by case.
pub(crate) fn read() -> BTreeMap<String, BTreeSet<Level>> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut known: BTreeMap<String, BTreeSet<Level>> = BTreeMap::new();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    for line in lines.filter(|line| !line.is_empty()) {
        let (case, level) = line.split_once(' ').unwrap_or((line, ""));
        let level = Level::named(level.trim());
        let level = level.unwrap_or_else(|| panic!("known-gaps.txt: `{line}` names no level"));
        known.entry(case.to_owned()).or_default().insert(level);
    }
    known
}

/// Write the list anew.
pub(crate) fn write(found: &BTreeMap<String, BTreeMap<Level, Difference>>) {
    let mut text = HEADER.to_owned();
    for (case, differences) in found {
        for level in differences.keys() {
            text.push_str(&format!("{case} {level}\n"));
        }
    }
    std::fs::write(path(), text).expect("a writable tests folder");
}

/// A case is as it should be when it fails at the listed levels and no others.
pub(crate) fn verdict(
    case: &str,
    listed: &BTreeSet<Level>,
    differences: &BTreeMap<Level, Difference>,
) -> Result<(), String> {
    let mut complaints = Vec::new();
    for (level, difference) in differences
        .iter()
        .filter(|(level, _)| !listed.contains(level))
    {
        complaints.push(format!(
            "{level} differs (- recorded, + ours):\n{difference}"
        ));
    }
    for level in listed
        .iter()
        .filter(|level| !differences.contains_key(level))
    {
        complaints.push(format!(
            "{level} agrees: remove `{case} {level}` from tests/known-gaps.txt"
        ));
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("\n"))
    }
}
