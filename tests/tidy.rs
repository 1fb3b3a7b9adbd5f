//! What lints cannot keep: who imports whom, which rooms are pure, how a room introduces itself, how long a file
//! may get. Where we are not there yet there is a ratchet, which only tightens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room imports itself and rooms above it.
const ORDER: [&str; 21] = [
    "seeded",
    "clock",
    "terms",
    "xml",
    "cib",
    "graph",
    "policy",
    "simulate",
    "process",
    "agents",
    "raft",
    "presence",
    "coordinator",
    "executor",
    "fencer",
    "attributes",
    "alerts",
    "vip",
    "rpc",
    "cli",
    "demo",
];

/// The rooms that wire the others together.
const LAST: [&str; 2] = ["daemon", "main"];

/// Rooms that meet in `daemon` only.
const SIBLINGS: [&str; 8] = [
    "raft",
    "presence",
    "coordinator",
    "executor",
    "fencer",
    "attributes",
    "alerts",
    "vip",
];

/// Rooms that touch no clock, file, network, process or random number. Their tests may.
const PURE: [&str; 8] = [
    "terms",
    "xml",
    "cib",
    "graph",
    "policy",
    "simulate",
    "cli/language",
    "cli/import",
];

const IMPURE: [&str; 11] = [
    "std::time::SystemTime",
    "std::time::Instant",
    "tokio::",
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::env",
    "rand::",
    "crate::clock",
    "std::thread",
];

/// Lines in a file, its tests at the bottom included.
const LONGEST: usize = 900;

/// Files that are longer all the same, and how long each may be. Ratchet: numbers only fall.
const LONGER: [(&str, usize); 0] = [];

struct Source {
    /// Relative to `src`, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// The first folder, or the file itself when it stands alone.
    fn room(&self) -> &str {
        let first = self
            .name
            .split('/')
            .next()
            .expect("split yields at least one part");
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs") || self.name.contains("/tests/")
    }

    /// The text up to its tests.
    fn code(&self) -> &str {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Lines of code, numbered from 1, comments left out.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .code()
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut open, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable source folder") {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let relative = path.strip_prefix(root).expect("found below it");
    let name = relative.to_string_lossy().replace('\\', "/");
    Source {
        name,
        text: std::fs::read_to_string(&path).expect("a readable source file"),
    }
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Rooms named by `crate::...` in a line, also in `use crate::{a, b}`.
fn rooms_in(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate::` and `pub(in crate::...)` name rooms too; `mycrate::` does not.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for word in list {
            let end = word
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(word.len());
            rooms.push(&word[..end]);
        }
    }
    rooms
}

#[test]
fn a_room_imports_only_rooms_above_it() {
    let place: BTreeMap<&str, usize> = ORDER
        .iter()
        .enumerate()
        .map(|(at, room)| (*room, at))
        .collect();
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let room = source.room();
        if LAST.contains(&room) || room == "lib" {
            continue;
        }
        let Some(own) = place.get(room) else {
            complaints.push(format!(
                "src/{}: room `{room}` has no place in tests/tidy.rs",
                source.name
            ));
            continue;
        };
        for (number, line) in source.code_lines() {
            for other in rooms_in(line) {
                let wrong = if LAST.contains(&other) {
                    "which wires the others and is imported by none"
                } else if place.get(other).is_some_and(|other| other > own) {
                    "which stands below it"
                } else if room != other && SIBLINGS.contains(&room) && SIBLINGS.contains(&other) {
                    "its sibling: they meet in the daemon"
                } else {
                    continue;
                };
                complaints.push(format!(
                    "src/{}:{number}: {room} imports {other}, {wrong}",
                    source.name
                ));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn pure_rooms_touch_nothing() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if !PURE
            .iter()
            .any(|room| source.name.starts_with(&format!("{room}/")))
        {
            continue;
        }
        for (number, line) in source.code_lines() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!(
                    "src/{}:{number}: {word} in a pure room",
                    source.name
                ));
            }
        }
    }
    assert_none(complaints);
}

/// The door says what the room is, what enters, what leaves and what it may touch.
#[test]
fn every_room_introduces_itself() {
    let mut complaints = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.name.ends_with("mod.rs"))
    {
        let header: Vec<&str> = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let starts = |word: &str| header.iter().any(|line| line.contains(&format!("{word}:")));
        for word in ["Enters", "Leaves", "May touch"]
            .into_iter()
            .filter(|word| !starts(word))
        {
            complaints.push(format!(
                "src/{}: the header has no line `{word}:`",
                source.name
            ));
        }
    }
    assert_none(complaints);
}

#[test]
fn files_stay_short() {
    let allowed: BTreeMap<&str, usize> = LONGER.into_iter().collect();
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let limit = allowed
            .get(source.name.as_str())
            .copied()
            .unwrap_or(LONGEST);
        if lines > limit {
            complaints.push(format!(
                "src/{}: {lines} lines, more than {limit}: find the second concept",
                source.name
            ));
        } else if limit > LONGEST && lines <= LONGEST {
            complaints.push(format!(
                "src/{}: short again, remove it from LONGER",
                source.name
            ));
        }
    }
    assert_none(complaints);
}

#[test]
fn nothing_is_put_off() {
    let words = [
        "todo!(",
        "unimplemented!(",
        "#[ignore",
        "// TODO",
        "// FIXME",
        "// XXX",
    ];
    let mut complaints = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("src/{}:{}: {word}", source.name, number + 1));
            }
        }
    }
    assert_none(complaints);
}
