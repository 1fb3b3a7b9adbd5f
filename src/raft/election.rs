//! When to be heard, and when to stand for election. openraft 0.9 has its own timers, but no question
//! before an election: a node that merely lost its own cable would raise the term for ever and depose a
//! healthy leader on its return. So its timers are off, and this machine decides.

use crate::clock::Mono;

use super::vocab::Timing;

/// What a node knows about itself when it asks what to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    /// It leads, in openraft's eyes.
    pub(crate) leading: bool,
    /// It may vote.
    pub(crate) voter: bool,
    /// Nobody else may.
    pub(crate) alone: bool,
    /// How many voters (without the leader) come before it.
    pub(crate) rank: u64,
    /// When a leader was last heard, or another node was last promised a vote.
    pub(crate) heard: Mono,
    /// Until then it leaves the field to others.
    pub(crate) resigned_until: Mono,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// Send heartbeats, and ask again at this time.
    Heartbeat(Mono),
    /// Ask the others whether they would vote for this node.
    Ask,
    /// Stand for election without asking.
    Elect,
    /// Nothing before this time.
    Wait(Mono),
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Election {
    timing: Timing,
    /// When it last asked or stood for election.
    tried: Option<Mono>,
    /// Grows with each attempt; mixed into the pause so that two candidates do not stay in step.
    attempts: u64,
    seed: u64,
    beat: Mono,
}

impl Election {
    pub(crate) fn new(timing: Timing, seed: u64) -> Self {
        Self {
            timing,
            tried: None,
            attempts: 0,
            seed,
            beat: Mono::default(),
        }
    }

    /// The next step at `now`.
    pub(crate) fn step(&mut self, now: Mono, view: View) -> Step {
        if view.leading {
            (self.tried, self.attempts) = (None, 0);
            if now < view.resigned_until {
                return Step::Wait(view.resigned_until);
            }
            if now < self.beat {
                return Step::Wait(self.beat);
            }
            self.beat = now.plus(self.timing.heartbeat_ms);
            return Step::Heartbeat(self.beat);
        }
        if !view.voter {
            return Step::Wait(now.plus(self.timing.election_ms));
        }
        if now < view.resigned_until {
            return Step::Wait(view.resigned_until);
        }
        if self.tried.is_some_and(|tried| tried < view.heard) {
            (self.tried, self.attempts) = (None, 0);
        }
        let due = match self.tried {
            None if view.alone => now,
            None => view
                .heard
                .plus(self.timing.election_ms + view.rank * self.timing.stagger_ms),
            Some(tried) => tried.plus(self.timing.lease_ms + self.pause()),
        };
        if now < due {
            return Step::Wait(due);
        }
        self.tried = Some(now);
        self.attempts += 1;
        if view.alone { Step::Elect } else { Step::Ask }
    }

    /// A different pause for each attempt of each node, below three staggers.
    fn pause(&self) -> u64 {
        let mixed = (self.seed ^ self.attempts.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD134_2543_DE82_EF95);
        (mixed >> 33) % (3 * self.timing.stagger_ms).max(1)
    }
}

/// Would this node vote for one that asks? It only would if it hears no leader either, and has promised
/// nobody else (nor itself) anything for a moment: else the second voter to notice would depose the
/// leader that the first one has just become.
pub(crate) fn would_vote(
    timing: &Timing,
    now: Mono,
    view: View,
    acked: Option<Mono>,
    promised: Option<Mono>,
    theirs: (u64, u64),
    mine: (u64, u64),
) -> bool {
    let fresh = |at: Mono| now.since(at) < timing.lease_ms;
    let led = if view.leading {
        acked.is_some_and(fresh) && now >= view.resigned_until
    } else {
        fresh(view.heard)
    };
    !led && !promised.is_some_and(fresh) && theirs >= mine
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View {
        leading: false,
        voter: true,
        alone: false,
        rank: 1,
        heard: Mono(1000),
        resigned_until: Mono(0),
    };

    #[test]
    fn silence_leads_to_a_question_then_to_pauses_of_different_length() {
        let mut election = Election::new(Timing::default(), 7);
        assert_eq!(election.step(Mono(1100), VIEW), Step::Wait(Mono(1410)));
        assert_eq!(election.step(Mono(1410), VIEW), Step::Ask);
        let Step::Wait(again) = election.step(Mono(1411), VIEW) else {
            panic!("asks again at once");
        };
        assert!((1710..1860).contains(&again.0), "{again:?}");
        let heard = View {
            heard: Mono(1500),
            ..VIEW
        };
        assert_eq!(election.step(again, heard), Step::Wait(Mono(1910)));
    }

    #[test]
    fn a_leader_is_heard_until_it_resigns_and_a_learner_never_stands() {
        let mut election = Election::new(Timing::default(), 7);
        let leading = View {
            leading: true,
            ..VIEW
        };
        let next = Mono(2000).plus(Timing::default().heartbeat_ms);
        assert_eq!(election.step(Mono(2000), leading), Step::Heartbeat(next));
        assert_eq!(election.step(Mono(2010), leading), Step::Wait(next));
        let resigned = View {
            resigned_until: Mono(5000),
            ..leading
        };
        assert_eq!(election.step(Mono(2060), resigned), Step::Wait(Mono(5000)));
        let learner = View {
            voter: false,
            ..VIEW
        };
        assert!(matches!(election.step(Mono(9000), learner), Step::Wait(_)));
        let alone = View {
            alone: true,
            ..VIEW
        };
        assert_eq!(election.step(Mono(9000), alone), Step::Elect);
    }

    #[test]
    fn nobody_votes_while_a_leader_is_heard_or_for_a_shorter_log() {
        let timing = Timing::default();
        let ask = |now, view, acked, theirs| {
            would_vote(
                &timing,
                Mono(now),
                view,
                acked,
                Some(Mono(600)),
                theirs,
                (3, 9),
            )
        };
        assert!(!ask(1200, VIEW, None, (3, 9)));
        assert!(ask(1301, VIEW, None, (3, 9)));
        assert!(!ask(1301, VIEW, None, (3, 8)));
        assert!(ask(1301, VIEW, None, (4, 1)));
        let leading = View {
            leading: true,
            ..VIEW
        };
        let silent = View {
            heard: Mono(0),
            ..VIEW
        };
        assert!(!ask(899, silent, None, (3, 9)), "promised at 600");
        assert!(ask(900, silent, None, (3, 9)));
        assert!(!ask(9000, leading, Some(Mono(8900)), (3, 9)));
        assert!(ask(9000, leading, Some(Mono(8000)), (3, 9)));
    }
}
