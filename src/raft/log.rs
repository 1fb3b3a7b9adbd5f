//! The log as openraft wants it: appended entries are readable at once from memory, and reported back
//! when the store's thread has them on disk.
//!
//! A leader's own entries are reported back at once, so that its disk and its followers' work side by side: openraft
//! would wait for the one before it asks the others. Nothing is committed before it is on the leader's disk all the
//! same, since no follower's word is passed on before that (`network.rs`), and without one there is no majority.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::Disk;
use super::store::{Contents, Store, Write};
use super::two_node::next_term;
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};
use super::vocab::Error;
use crate::terms::NodeId;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader, StorageIOError,
};

/// The newest entries stay in memory up to these bounds; followers rarely need older ones.
const CACHE_ENTRIES: usize = 512;
const CACHE_BYTES: usize = 2 << 20;
/// One message to a follower carries entries up to this size (but at least one).
const MESSAGE_BYTES: usize = 4 << 20;

/// Log and vote of this node.
#[derive(Clone)]
pub(crate) struct Log {
    store: Store,
    shared: Arc<Mutex<Shared>>,
    /// The newest term that this node knows or may be about to vote in.
    highest_term: Arc<AtomicU64>,
    disk: Disk,
}

#[derive(Default)]
struct Shared {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    cache: BTreeMap<u64, (Entry, usize)>,
    cached_bytes: usize,
    /// Where the newest membership stands, and whether another node than the leader belongs to each majority of it.
    /// None when it is not known, which costs time and nothing else.
    seats: Option<(u64, bool)>,
}

impl Log {
    pub(crate) fn new(store: Store, contents: &Contents) -> Self {
        let term = contents.vote.map_or(0, |vote| vote.leader_id.term);
        let shared = Shared {
            vote: contents.vote,
            purged: contents.purged,
            last: contents.last,
            seats: contents.seats,
            ..Shared::default()
        };
        let disk = Disk::new(contents.log.map(|(_, last)| last));
        Self {
            store,
            shared: Arc::new(Mutex::new(shared)),
            highest_term: Arc::new(AtomicU64::new(term)),
            disk,
        }
    }

    /// The newest term, raised before a vote for it is on disk or answered.
    pub(crate) fn highest_term(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.highest_term)
    }

    /// How far the disk is with it.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        self.shared().last
    }

    /// A node that led when it went down comes back as one that has merely voted for itself in that
    /// term: openraft would let it lead again at once, on what it knew before, although it may have
    /// been fenced since. Now it must win an election first.
    pub(crate) async fn forget_leading(&mut self, me: NodeId) -> Result<(), Error> {
        let vote = self.shared().vote;
        if let Some(mut vote) = vote
            && vote.committed
            && vote.leader_id.voted_for == Some(me)
        {
            vote.committed = false;
            self.shared().vote = Some(vote);
            self.store.write_wait(Write::Vote(vote)).await?;
        }
        Ok(())
    }

    /// Appends, in one write with a vote and a proof, an entry that makes this node the sole voter. openraft
    /// must not run. What is in the log stays: whatever was acknowledged is in it. // two_node
    pub(crate) async fn go_on_alone(
        &self,
        membership: openraft::Membership<NodeId, openraft::EmptyNode>,
        me: NodeId,
        peers_term: u64,
        proof: Vec<u8>,
    ) -> Result<LogId, Error> {
        let (vote, last) = {
            let shared = self.shared();
            (shared.vote, shared.last)
        };
        let term = next_term(vote.map_or(0, |vote| vote.leader_id.term), peers_term);
        self.highest_term.fetch_max(term, Ordering::SeqCst);
        let log_id = LogId::new(
            openraft::CommittedLeaderId::new(term, me),
            last.map_or(0, |last| last.index + 1),
        );
        let entry = Entry {
            log_id,
            payload: openraft::EntryPayload::Membership(membership),
        };
        let vote = Vote::new(term, me);
        let content = serde_json::to_vec(&entry).map_err(|e| Error::Stopped(e.to_string()))?;
        let write = Write::Alone {
            vote,
            index: log_id.index,
            entry: content.clone(),
            proof,
        };
        self.store.write_wait(write).await?;
        let mut shared = self.shared();
        shared.vote = Some(vote);
        shared.put(entry, content.len());
        drop(shared);
        self.disk.ends_at(log_id.index);
        Ok(log_id)
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panic while held")
    }
}

impl Shared {
    fn put(&mut self, entry: Entry, bytes: usize) {
        self.last = Some(entry.log_id);
        self.seats = seats(&entry).or(self.seats);
        self.cached_bytes += bytes;
        if let Some((_, old)) = self.cache.insert(entry.log_id.index, (entry, bytes)) {
            self.cached_bytes -= old;
        }
    }

    /// Whether these, just put here, are entries of this node as leader that no majority can do without another node.
    fn need_others(&self, me: NodeId, from: u64) -> bool {
        let leads = |vote: &Vote| {
            let term = self.last.map(|last| last.leader_id.term);
            vote.committed
                && vote.leader_id.voted_for == Some(me)
                && term == Some(vote.leader_id.term)
        };
        // Who votes about a change of voters is openraft's affair.
        let apart = |(at, others): (u64, bool)| others && at < from;
        self.vote.as_ref().is_some_and(leads) && self.seats.is_some_and(apart)
    }

    /// Forgets the oldest entries that are on disk anyway.
    fn shrink(&mut self, durable: Option<u64>) {
        while self.cache.len() > CACHE_ENTRIES || self.cached_bytes > CACHE_BYTES {
            let Some(first) = self.cache.first_entry() else {
                return;
            };
            if durable.is_none_or(|durable| *first.key() > durable) {
                return;
            }
            let (_, bytes) = first.remove();
            self.cached_bytes -= bytes;
        }
    }

    fn drop_from(&mut self, index: u64) {
        self.seats = self.seats.filter(|(at, _)| *at < index);
        for (_, bytes) in self.cache.split_off(&index).into_values() {
            self.cached_bytes -= bytes;
        }
    }

    fn drop_upto(&mut self, index: u64) {
        let rest = self.cache.split_off(&(index + 1));
        for (_, bytes) in std::mem::replace(&mut self.cache, rest).into_values() {
            self.cached_bytes -= bytes;
        }
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let start = match range.start_bound() {
            Bound::Included(at) => *at,
            Bound::Excluded(at) => at + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(at) => at.saturating_add(1),
            Bound::Excluded(at) => *at,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.entries(start, end, MESSAGE_BYTES)
    }
}

impl Log {
    #[expect(clippy::result_large_err, reason = "openraft's own error type")]
    fn entries(&self, start: u64, end: u64, max_bytes: usize) -> Result<Vec<Entry>, StorageError> {
        let (cached, first_cached) = {
            let shared = self.shared();
            let end = end.min(shared.last.map_or(0, |last| last.index + 1));
            let start = start.max(shared.purged.map_or(0, |purged| purged.index + 1));
            if start >= end {
                return Ok(Vec::new());
            }
            // The cache has no holes: what it lacks lies before it.
            let cached: Vec<(Entry, usize)> = shared
                .cache
                .range(start..end)
                .map(|(_, e)| e.clone())
                .collect();
            let first = cached.first().map_or(end, |(entry, _)| entry.log_id.index);
            (cached, first)
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        let (older, cached) = if start < first_cached {
            let to = if max_bytes == usize::MAX {
                first_cached
            } else {
                first_cached.min(start + CACHE_ENTRIES as u64)
            };
            let older = self.store.read_log(start, to);
            let older = older.map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Read, &e))?;
            (
                older,
                if to < first_cached {
                    Vec::new()
                } else {
                    cached
                },
            )
        } else {
            (Vec::new(), cached)
        };
        for (entry, size) in older.into_iter().chain(cached) {
            bytes += size;
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let shared = self.shared();
        Ok(LogState {
            last_purged_log_id: shared.purged,
            last_log_id: shared.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        // Orders of older terms are refused from now on, before anyone can hear of the new one.
        self.highest_term
            .fetch_max(vote.leader_id.term, Ordering::SeqCst);
        let result = self.store.write_wait(Write::Vote(*vote)).await;
        result.map_err(|e| io(ErrorSubject::Vote, ErrorVerb::Write, &e))?;
        self.shared().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.store.note_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.store.committed())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        {
            let mut shared = self.shared();
            for entry in entries {
                let content = serde_json::to_vec(&entry)
                    .map_err(|e| io(ErrorSubject::Log(entry.log_id), ErrorVerb::Write, &e))?;
                let index = entry.log_id.index;
                shared.put(entry, content.len());
                records.push((index, content));
            }
        }
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            callback.log_io_completed(Ok(()));
            return Ok(());
        };
        let (first, last) = (first.0, last.0);
        let at_once = self.shared().need_others(self.store.identity().node, first);
        let (at_once, later) = match at_once {
            true => (Some(callback), None),
            false => (None, Some(callback)),
        };
        self.disk.begins();
        let (shared, disk) = (Arc::clone(&self.shared), self.disk.clone());
        self.store.write(
            Write::Append(records),
            Box::new(move |result| {
                let written = result.is_ok();
                {
                    let mut shared = shared.lock().expect("no panic while held");
                    let newest = shared.last.map(|last| last.index);
                    if written {
                        disk.wrote(last, newest);
                    } else if later.is_none() {
                        disk.failed_untold();
                    }
                    shared.shrink(disk.durable());
                }
                if let Some(callback) = later {
                    let result = result.map_err(|e| std::io::Error::other(e.to_string()));
                    callback.log_io_completed(result);
                }
            }),
        );
        if let Some(callback) = at_once {
            callback.log_io_completed(Ok(()));
        }
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let before = if log_id.index == 0 {
            None
        } else {
            self.entries(log_id.index - 1, log_id.index, usize::MAX)?
                .first()
                .map(|entry| entry.log_id)
        };
        {
            let mut shared = self.shared();
            shared.drop_from(log_id.index);
            shared.last = before.or(shared.purged);
        }
        let result = self.store.write_wait(Write::Truncate(log_id.index)).await;
        // What was still on its way when this was asked for has told of itself by now.
        self.disk.ends_before(log_id.index);
        result.map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Delete, &e))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut shared = self.shared();
            shared.drop_upto(log_id.index);
            // A snapshot came instead of entries: who votes is written in it, and not looked up there.
            if Some(log_id.index) > shared.last.map(|last| last.index) {
                shared.seats = None;
            }
            shared.purged = shared.purged.max(Some(log_id));
            shared.last = shared.last.max(Some(log_id));
        }
        let result = self.store.write_wait(Write::Purge(log_id)).await;
        result.map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Delete, &e))
    }
}

/// Where a membership stands, and whether another node than the leader belongs to each majority of it.
pub(crate) fn seats(entry: &Entry) -> Option<(u64, bool)> {
    let openraft::EntryPayload::Membership(membership) = &entry.payload else {
        return None;
    };
    let groups = membership.get_joint_config();
    Some((
        entry.log_id.index,
        groups.iter().any(|group| group.len() > 1),
    ))
}

/// An error that stops raft on this node.
pub(crate) fn io(
    subject: ErrorSubject<NodeId>,
    verb: ErrorVerb,
    e: &dyn std::fmt::Display,
) -> StorageError {
    StorageIOError::new(subject, verb, AnyError::error(e)).into()
}
