//! How a path to another node stands: one of its addresses, as seen from here. Pure: the shell in `path.rs` asks over
//! the path and says what came of it.
//!
//! ```text
//!               an answer                   an answer is late
//!   unknown ---------------->  up  <------------------------->  in doubt
//!      |                       ^ |                                  |
//!      | nothing               | | nothing, or an error             |
//!      `-------------->  down -' <----------------------------------'
//!                        two answers in a row
//! ```
//!
//! A path in doubt is still there for status, but whoever has another one uses that. One that was down has to answer
//! twice, so that a cable with a bad contact does not draw everything to itself again and again.

use std::time::Duration;

use crate::clock::Mono;

/// Answers in a row after which a path that was down is used again.
const STEADY: u32 = 2;

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It answers.
    Up,
    /// It was not used yet.
    Unknown,
    /// It answered before, and is late now.
    Doubted,
    /// It does not answer.
    Down,
}

/// Worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It answers, for the first time or after so many milliseconds.
    Up(Option<u64>),
    /// It answers no more.
    Down,
}

/// One path.
#[derive(Debug)]
pub(super) struct Health {
    standing: Standing,
    since: Mono,
    answers: u32,
    round_trip: Option<Duration>,
    error: Option<String>,
}

impl Health {
    /// A path that was not used yet.
    pub(super) fn new(now: Mono) -> Self {
        Self {
            standing: Standing::Unknown,
            since: now,
            answers: 0,
            round_trip: None,
            error: None,
        }
    }

    /// Something came back over it; `after` is how long a question took that costs the other end nothing.
    pub(super) fn answered(&mut self, now: Mono, after: Option<Duration>) -> Option<Turn> {
        if let Some(after) = after {
            let before = self.round_trip.unwrap_or(after);
            self.round_trip = Some((before * 7 + after) / 8);
        }
        self.answers = self.answers.saturating_add(1);
        match self.standing {
            Standing::Up => None,
            Standing::Doubted => {
                self.standing = Standing::Up;
                None
            }
            Standing::Unknown => {
                self.turn(Standing::Up, now);
                Some(Turn::Up(None))
            }
            Standing::Down if self.answers >= STEADY => {
                let was_down_ms = now.since(self.since);
                self.turn(Standing::Up, now);
                self.error = None;
                Some(Turn::Up(Some(was_down_ms)))
            }
            Standing::Down => None,
        }
    }

    /// An answer is late.
    pub(super) fn doubt(&mut self) {
        if self.standing == Standing::Up {
            self.standing = Standing::Doubted;
        }
    }

    /// It does not answer, or says that it will not.
    pub(super) fn failed(&mut self, now: Mono, why: &str) -> Option<Turn> {
        self.answers = 0;
        self.error = Some(why.to_owned());
        if self.standing == Standing::Down {
            return None;
        }
        self.turn(Standing::Down, now);
        Some(Turn::Down)
    }

    fn turn(&mut self, standing: Standing, now: Mono) {
        self.standing = standing;
        self.since = now;
    }

    /// How it stands; the smaller, the better.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// For how long it has been up or down, in milliseconds.
    pub(super) fn for_ms(&self, now: Mono) -> u64 {
        now.since(self.since)
    }

    /// How long a question and its answer take, of late.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What was wrong last; none while it is up.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_path_that_was_down_has_to_answer_twice() {
        let mut health = Health::new(Mono(0));
        assert_eq!(health.standing(), Standing::Unknown);
        assert_eq!(health.answered(Mono(5), Some(MS)), Some(Turn::Up(None)));
        assert_eq!(health.answered(Mono(6), None), None, "told once");
        assert_eq!(health.failed(Mono(100), "no answer"), Some(Turn::Down));
        assert_eq!(health.failed(Mono(200), "no route"), None, "told once");
        assert_eq!(health.error(), Some("no route"), "the newest reason");
        assert_eq!(health.for_ms(Mono(300)), 200);
        assert_eq!(health.answered(Mono(300), None), None, "once is chance");
        assert_eq!(health.failed(Mono(310), "no answer"), None);
        assert_eq!(health.answered(Mono(400), None), None, "counted anew");
        let up = health.answered(Mono(500), None);
        assert_eq!(up, Some(Turn::Up(Some(400))));
        assert_eq!(health.error(), None);
    }

    #[test]
    fn doubt_prefers_others_and_tells_nobody() {
        let mut health = Health::new(Mono(0));
        health.doubt();
        assert_eq!(health.standing(), Standing::Unknown, "nothing to doubt yet");
        health.answered(Mono(1), None);
        health.doubt();
        assert!(Standing::Up < health.standing() && health.standing() < Standing::Down);
        assert_eq!(health.for_ms(Mono(11)), 10, "up all the time");
        assert_eq!(health.answered(Mono(20), None), None);
        assert_eq!(health.standing(), Standing::Up);
        health.doubt();
        assert_eq!(health.failed(Mono(30), "no answer"), Some(Turn::Down));
        health.doubt();
        assert_eq!(health.standing(), Standing::Down);
    }

    #[test]
    fn the_round_trip_follows_slowly() {
        let mut health = Health::new(Mono(0));
        health.answered(Mono(1), Some(MS * 8));
        health.answered(Mono(2), Some(MS * 16));
        assert_eq!(health.round_trip(), Some(MS * 9));
    }
}
