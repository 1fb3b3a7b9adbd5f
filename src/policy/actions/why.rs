//! Why actions are what they are, remembered beside them while they are made. Nothing here changes a decision, and nothing is
//! remembered unless somebody will ask.

use super::super::report::{Cause, Effect};
use super::plan::{ActIdx, Because, Flags, Origin, Plan};

/// Something that made an action required, or kept it from being done, other than an ordering.
#[derive(Clone, Debug)]
pub struct Note {
    /// Which action.
    pub action: ActIdx,
    /// What happened to it.
    pub effect: Effect,
    /// Why.
    pub cause: Cause,
}

impl Plan {
    /// It has to be done, because.
    pub(in super::super) fn required_by(&mut self, action: ActIdx, cause: impl FnOnce() -> Cause) {
        self.note(action, Effect::Required, cause);
    }

    /// It can't be done, because.
    pub(in super::super) fn blocked_by(&mut self, action: ActIdx, cause: impl FnOnce() -> Cause) {
        self.note(action, Effect::Blocked, cause);
    }

    fn note(&mut self, action: ActIdx, effect: Effect, cause: impl FnOnce() -> Cause) {
        if self.record {
            let cause = cause();
            self.notes.push(Note {
                action,
                effect,
                cause,
            });
        }
    }

    /// It loses a flag because of another action, which nobody wrote down.
    pub(in super::super) fn lose(&mut self, action: ActIdx, flag: Flags, by: ActIdx) {
        if self.get(action).flags.has(flag) {
            self.get_mut(action).flags.clear(flag);
            self.follows(action, flag, by, Origin::default());
        }
    }

    /// It lost a flag because of another action.
    pub(in super::super) fn follows(
        &mut self,
        action: ActIdx,
        lost: Flags,
        by: ActIdx,
        origin: Origin,
    ) {
        if self.record {
            self.because.push(Because {
                action,
                lost,
                by,
                origin,
            });
        }
    }
}
