//! How far this node's disk is with the log: what is on it for good, and whether it gets anything done.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Mono;

/// What all who ask see of it.
#[derive(Clone)]
pub(crate) struct Disk {
    now: Arc<watch::Sender<Now>>,
}

#[derive(Default)]
struct Now {
    /// Entries up to here are on it.
    durable: Option<u64>,
    /// Since when something is being written and nothing gets done.
    busy_since: Option<Mono>,
    /// A write failed that was reported back already.
    failed: bool,
}

impl Disk {
    /// One with entries up to this index.
    pub(super) fn new(durable: Option<u64>) -> Self {
        let now = Now {
            durable,
            ..Now::default()
        };
        Self {
            now: Arc::new(watch::Sender::new(now)),
        }
    }

    /// Entries up to here are on it.
    pub(crate) fn durable(&self) -> Option<u64> {
        self.now.borrow().durable
    }

    /// Completes when the entry with this index is on it.
    pub(crate) async fn holds(&self, index: u64) {
        let mut now = self.now.subscribe();
        // The sender lives as long as this.
        let _ = now.wait_for(|now| now.durable >= Some(index)).await;
    }

    /// For how long it has been busy without getting anything done, in milliseconds.
    pub(crate) fn busy_ms(&self, now: Mono) -> u64 {
        self.now.borrow().busy_since.map_or(0, |at| now.since(at))
    }

    /// Completes when a write has failed about which openraft has heard otherwise. Whatever it writes next fails, too.
    pub(crate) async fn failed(&self) {
        let mut now = self.now.subscribe();
        let _ = now.wait_for(|now| now.failed).await;
    }

    /// Something is given to it. Nobody waits for that.
    pub(super) fn begins(&self) {
        self.now.send_if_modified(|now| {
            now.busy_since.get_or_insert(Mono::now());
            false
        });
    }

    /// Entries up to `last` are on it; `newest` is the last one that it was given.
    pub(super) fn wrote(&self, last: u64, newest: Option<u64>) {
        self.now.send_modify(|now| {
            now.durable = now.durable.max(Some(last));
            now.busy_since = (now.durable < newest).then(Mono::now);
        });
    }

    /// A write failed, and openraft has been told that it went well.
    pub(super) fn failed_untold(&self) {
        self.now.send_modify(|now| now.failed = true);
    }

    /// It was written otherwise: the log ends here.
    pub(super) fn ends_at(&self, index: u64) {
        self.now.send_modify(|now| now.durable = Some(index));
    }

    /// Entries from here on are gone, and whatever was on its way before has told of itself.
    pub(super) fn ends_before(&self, index: u64) {
        self.now.send_modify(|now| {
            now.durable = now.durable.min(index.checked_sub(1));
            now.busy_since = None;
        });
    }
}
