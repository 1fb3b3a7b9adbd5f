//! Who changed the configuration, when, with which tool, and how. Kept in the replicated state, so that
//! it survives the compaction of the log; bounded, so that it does not grow for ever.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::touched::Touched;

/// This many changes are remembered.
const ENTRIES: usize = 500;
/// Of the newest ones, the whole configuration is kept too (for `rollback`), within these bounds.
const FULL_ENTRIES: usize = 50;
const FULL_BYTES: usize = 4 << 20;
/// Patches longer than this are not kept, and older ones only as long as all together stay below the second bound.
const PATCH_BYTES: usize = 64 << 10;
const PATCHES_BYTES: usize = 4 << 20;
/// A longer comment is cut.
const COMMENT_CHARS: usize = 500;

/// One change of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Counts the changes of this cluster, from 1.
    pub number: u64,
    /// Place in the log.
    pub index: u64,
    /// Seconds since 1970 on the node that asked for it.
    pub time_s: i64,
    /// That node.
    pub node: String,
    /// The tool.
    pub client: String,
    /// The user.
    pub user: String,
    /// The user's id as the kernel of that node knew it; none for what the cluster did by itself.
    #[serde(default)]
    pub uid: Option<u32>,
    /// What the user said about it.
    pub comment: String,
    /// Version of the CIB after it, as `ADMIN_EPOCH.EPOCH.NUM_UPDATES`.
    pub version: String,
    /// The objects that it was about.
    #[serde(default)]
    pub objects: Vec<Touched>,
    /// The patch (`<diff>`); none when it is too long.
    pub patch: Option<Arc<str>>,
    /// `<configuration>` after the change; none for older entries.
    pub configuration: Option<Arc<str>>,
}

/// The changes that are remembered, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    next: u64,
    entries: VecDeque<Arc<HistoryEntry>>,
}

impl History {
    /// Oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<HistoryEntry>> {
        self.entries.iter()
    }

    /// The change with this number, if it is still remembered.
    pub fn get(&self, number: u64) -> Option<&Arc<HistoryEntry>> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// The newest change that added this object or changed it.
    pub fn newest_about(&self, id: &str) -> Option<&Arc<HistoryEntry>> {
        let about = |entry: &&Arc<HistoryEntry>| entry.objects.iter().any(|it| it.id == id);
        self.entries.iter().rev().find(about)
    }

    /// The number that the newest change has; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.next
    }

    /// Adds a change and gives it its number; forgets what is beyond the bounds.
    pub(crate) fn add(&mut self, mut entry: HistoryEntry) {
        self.next += 1;
        entry.number = self.next;
        entry.patch = entry.patch.filter(|patch| patch.len() <= PATCH_BYTES);
        if let Some((end, _)) = entry.comment.char_indices().nth(COMMENT_CHARS) {
            entry.comment.truncate(end);
        }
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > ENTRIES {
            self.entries.pop_front();
        }
        let (mut full, mut bytes) = (0, 0);
        for entry in self.entries.iter_mut().rev() {
            let Some(configuration) = &entry.configuration else {
                break;
            };
            full += 1;
            bytes += configuration.len();
            if full > FULL_ENTRIES || bytes > FULL_BYTES {
                Arc::make_mut(entry).configuration = None;
            }
        }
        let mut bytes = 0;
        for entry in self.entries.iter_mut().rev() {
            bytes += entry.patch.as_ref().map_or(0, |patch| patch.len());
            if bytes > PATCHES_BYTES && entry.patch.is_some() {
                Arc::make_mut(entry).patch = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> HistoryEntry {
        HistoryEntry {
            number: 0,
            index: 9,
            time_s: 1,
            node: "n1".into(),
            client: "crm".into(),
            user: "root".into(),
            uid: Some(0),
            objects: Vec::new(),
            comment: String::new(),
            version: "0.1.0".into(),
            patch: Some("<diff/>".into()),
            configuration: Some("x".repeat(bytes).into()),
        }
    }

    #[test]
    fn only_the_newest_are_kept_and_fewer_with_their_configuration() {
        let mut history = History::default();
        for _ in 0..ENTRIES + 7 {
            history.add(entry(10));
        }
        let numbers: Vec<u64> = history.entries().map(|entry| entry.number).collect();
        assert_eq!((numbers[0], numbers.len()), (8, ENTRIES));
        let full = history
            .entries()
            .filter(|entry| entry.configuration.is_some());
        assert_eq!(full.count(), FULL_ENTRIES);
        history.add(entry(FULL_BYTES));
        let full = history
            .entries()
            .filter(|entry| entry.configuration.is_some());
        assert_eq!(full.count(), 1);
    }
    #[test]
    fn patches_and_comments_are_bounded() {
        let mut history = History::default();
        for _ in 0..PATCHES_BYTES / PATCH_BYTES + 9 {
            let mut long = entry(1);
            long.patch = Some("p".repeat(PATCH_BYTES).into());
            long.comment = "ä".repeat(COMMENT_CHARS + 1);
            history.add(long);
        }
        let kept = history.entries().filter(|entry| entry.patch.is_some());
        assert_eq!(kept.count(), PATCHES_BYTES / PATCH_BYTES);
        let newest = history.get(history.newest()).expect("just added");
        assert_eq!(newest.comment.chars().count(), COMMENT_CHARS);
    }
}
