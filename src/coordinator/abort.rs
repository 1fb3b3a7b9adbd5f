//! When the world changes under a transition: what stops it, and what comes after it.
//! Nothing that runs is interrupted; what has not begun is not begun. // spec cluster §10.1

/// What happens when the transition in hand has nothing more in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Completion {
    /// Idle.
    Done,
    /// Idle, without asking the policy again.
    Stop,
    /// Ask the policy again.
    Restart,
}

/// A transition that is not to be finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Synapses of a lower priority are not begun.
    pub priority: i64,
    /// What comes afterwards.
    pub completion: Completion,
    /// Why, in the field's words.
    pub text: &'static str,
}

impl Abort {
    /// Everything stops, and the policy is asked again.
    pub fn restart(text: &'static str) -> Self {
        Self {
            priority: crate::coordinator::walk::ALL,
            completion: Completion::Restart,
            text,
        }
    }

    /// Everything stops; the policy is asked at the next event only.
    pub fn stop(text: &'static str) -> Self {
        Self {
            completion: Completion::Stop,
            ..Self::restart(text)
        }
    }

    /// Joins a second reason to the first: the more urgent one wins in each respect.
    pub fn join(&mut self, other: Self) {
        if other.priority > self.priority {
            self.priority = other.priority;
            self.text = other.text;
        }
        self.completion = self.completion.max(other.completion);
    }
}
