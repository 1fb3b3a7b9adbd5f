//! An operation that is repeated: when it runs next, and whether its result is news. It is due an interval
//! after the *end* of its last run, so a slow agent is never run twice at once, and only a first or a changed
//! result is told to anyone. // spec cluster §14.1

use crate::clock::Mono;
use crate::terms::{ExecStatus, OcfExit};

use super::vocab::{Order, Outcome};

/// One recurring operation of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recurring {
    /// What is run; a merged order replaces it.
    pub(super) order: Order,
    /// The number it keeps for its whole life, or until an order is merged into it.
    pub(super) call_id: i64,
    /// Result that was told last.
    told: Option<(ExecStatus, OcfExit)>,
    /// When the result last changed, in seconds of the wall clock.
    pub(super) changed_s: Option<i64>,
    /// When it runs next; none while it is queued or running.
    pub(super) due: Option<Mono>,
}

/// A start delay longer than this does not hold up the transition. // spec cluster §13.2
const PATIENCE_MS: u64 = 5 * 60 * 1000;

impl Recurring {
    pub(super) fn new(order: Order, call_id: i64, now: Mono) -> Self {
        let due = Some(now.plus(order.start_delay_ms()));
        Self {
            order,
            call_id,
            told: None,
            changed_s: None,
            due,
        }
    }

    /// The made-up success of an operation that starts much later, if this is one.
    pub(super) fn confirmed_at_once(&mut self) -> Option<Outcome> {
        if self.order.start_delay_ms() <= PATIENCE_MS {
            return None;
        }
        let outcome = Outcome::done(self.order.key.target_rc);
        self.told = Some((outcome.status, outcome.rc));
        Some(outcome)
    }

    /// Whether who ordered it knows a result.
    pub(super) fn is_answered(&self) -> bool {
        self.told.is_some()
    }

    /// An order for what runs already: it is told anew under the new key, and runs at once, as the new
    /// order says, if it waited.
    pub(super) fn merge(&mut self, order: Order, call_id: i64, now: Mono) {
        // With its parameters and its timeout: recorded with the old ones, it would be ordered again forever.
        self.order = order;
        self.call_id = call_id;
        self.told = None;
        self.due = self.due.map(|_| now);
    }

    /// A run ended: whether that is news.
    pub(super) fn ended(&mut self, outcome: &Outcome, now: Mono, wall_s: i64) -> bool {
        self.due = Some(now.plus(self.order.op.interval_ms));
        let result = (outcome.status, outcome.rc);
        let news = self.told != Some(result);
        if self.told.is_none_or(|told| told.1 != result.1) || self.changed_s.is_none() {
            self.changed_s = Some(wall_s);
        }
        self.told = Some(result);
        news
    }
}
