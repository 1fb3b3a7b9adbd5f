//! What the loop does when it looks at the clock: terms and leases are passed on, and what may no longer run is ended.

use super::*;
use crate::daemon::guard::Lease;

/// Between two attempts to start a guard, in milliseconds.
const NEW_GUARD_MS: u64 = 2_000;

impl Router {
    pub(super) async fn tick(&mut self) {
        let term = Term(self.newest.load(Ordering::Acquire));
        if term > self.term_told {
            self.term_told = term;
            self.executor.send(executor::Event::TermSeen(term)).await;
            self.fencer.send(fencer::Event::TermSeen(term)).await;
            self.links.term_seen(term);
        }
        // Raft moves from old voters to new ones without a change of leader.
        if self.raft.voters() != self.voters {
            self.leadership_changed().await;
        }
        let now = Mono::now();
        let view = self.presence.view();
        if view.held {
            // The moment, not what was left of it: this picture may be old, should presence have stalled.
            self.lease_until = self.lease_until.max(view.until);
            if !self.overlay {
                let lease = executor::Event::Lease(self.lease_until);
                self.executor.send(lease).await;
            }
        }
        let keep = words::keeps(&self.cib, view.may_keep) || self.goes_on(view.may_keep);
        // A little before the guard would do it, and kill this daemon with it.
        let due = self
            .lost_at
            .is_some_and(|at| now >= at.plus(self.stop_deadline_ms * 4 / 5));
        if due && !self.killed && !keep && !self.executor.picture().active.is_empty() {
            self.killed = true;
            tracing::error!("the stop deadline is near: killing what has not stopped");
            self.executor.send(executor::Event::KillAll).await;
        }
        if self.knowledge.leaving_alone
            && !self.executor.picture().busy
            && self.executor.picture().active.is_empty()
            && !self.coordinator.picture().busy
        {
            self.shared.leave.send_replace(true);
        }
        // The mode may have been switched on, or the two have just met.
        self.pledge().await;
        self.feed_guard();
        self.look_for_spare(now);
        self.look_at_watchdog().await;
    }

    /// What protects this node if nothing else does is part of what it pledges.
    pub(super) async fn look_at_watchdog(&mut self) {
        if !self.watchdog.look(Mono::now(), &self.feeder) {
            return;
        }
        *self.shared.watchdog.lock().expect("no panic while held") = self.watchdog.state();
        self.pledge().await;
    }

    /// Tells the guard until when this node may go on.
    pub(super) fn feed_guard(&mut self) {
        let now = Mono::now();
        let may_keep = self.presence.view().may_keep;
        let lease = Lease {
            until: self.lease_until.0,
            stop_by: self.lease_until.plus(self.stop_deadline_ms).0,
            keep: words::keeps(&self.cib, may_keep) || self.goes_on(may_keep),
        };
        let fed = self
            .feeder
            .lock()
            .expect("no panic while held")
            .lease(lease);
        if let Err(e) = fed
            && now.since(self.new_guard_at) > NEW_GUARD_MS
        {
            tracing::warn!("this node's guard has ended, so there will be a new one: {e}");
            self.new_guard_at = now;
            (self.new_guard)();
        }
    }
}
