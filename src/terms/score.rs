//! Scores: how much something is wanted. INFINITY is a million, minus infinity beats plus, finite sums clamp.

use std::{
    fmt,
    ops::{Add, AddAssign, Neg},
};

use serde::{Deserialize, Serialize};

use super::text;

const LIMIT: i32 = 1_000_000;

/// A preference between minus infinity ("never") and infinity ("must"). // spec 1 §1.3
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Score(i32);

impl Score {
    /// Must.
    pub const INFINITY: Score = Score(LIMIT);
    /// Never.
    pub const MINUS_INFINITY: Score = Score(-LIMIT);
    /// No preference.
    pub const ZERO: Score = Score(0);

    /// The number, clipped to the infinities.
    pub fn new(value: i64) -> Self {
        let limit = i64::from(LIMIT);
        Self(i32::try_from(value.clamp(-limit, limit)).expect("a clamped score fits"))
    }

    /// The number; infinity is 1000000.
    pub fn value(self) -> i32 {
        self.0
    }

    /// Whether it is INFINITY.
    pub fn is_infinite(self) -> bool {
        self.0 >= LIMIT
    }

    /// Whether it is -INFINITY.
    pub fn is_minus_infinite(self) -> bool {
        self.0 <= -LIMIT
    }

    /// `INFINITY`, `+INFINITY`, `-INFINITY`, or a number with anything behind it. Health colours are `None` here:
    /// what they are worth depends on options, see [`HealthScores`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "INFINITY" | "+INFINITY" => Some(Self::INFINITY),
            "-INFINITY" => Some(Self::MINUS_INFINITY),
            _ => text::integer(text).map(Self::new),
        }
    }
}

impl Add for Score {
    type Output = Score;

    fn add(self, other: Score) -> Score {
        if self.is_minus_infinite() || other.is_minus_infinite() {
            Score::MINUS_INFINITY
        } else if self.is_infinite() || other.is_infinite() {
            Score::INFINITY
        } else {
            Score::new(i64::from(self.0) + i64::from(other.0))
        }
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Score) {
        *self = *self + other;
    }
}

impl Neg for Score {
    type Output = Score;

    fn neg(self) -> Score {
        Score(-self.0)
    }
}

impl std::iter::Sum for Score {
    fn sum<I: Iterator<Item = Score>>(scores: I) -> Score {
        scores.fold(Score::ZERO, Add::add)
    }
}

impl From<i64> for Score {
    fn from(value: i64) -> Self {
        Self::new(value)
    }
}

impl From<i32> for Score {
    fn from(value: i32) -> Self {
        Self::new(i64::from(value))
    }
}

impl From<Score> for i64 {
    fn from(score: Score) -> Self {
        i64::from(score.0)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LIMIT => f.pad("INFINITY"),
            v if v == -LIMIT => f.pad("-INFINITY"),
            v => fmt::Display::fmt(&v, f),
        }
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the health colours are worth under the options in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthScores {
    /// Score of `red`.
    pub red: Score,
    /// Score of `yellow`.
    pub yellow: Score,
    /// Score of `green`.
    pub green: Score,
}

impl Default for HealthScores {
    fn default() -> Self {
        Self {
            red: Score::ZERO,
            yellow: Score::ZERO,
            green: Score::ZERO,
        }
    }
}

impl HealthScores {
    /// A score, or a colour in any case.
    pub fn parse(&self, text: &str) -> Option<Score> {
        if text.eq_ignore_ascii_case("red") {
            Some(self.red)
        } else if text.eq_ignore_ascii_case("yellow") {
            Some(self.yellow)
        } else if text.eq_ignore_ascii_case("green") {
            Some(self.green)
        } else {
            Score::parse(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_score() -> impl Strategy<Value = Score> {
        prop_oneof![
            Just(Score::INFINITY),
            Just(Score::MINUS_INFINITY),
            (-1_100_000i64..1_100_000).prop_map(Score::new)
        ]
    }

    proptest! {
        #[test]
        fn addition_commutes_and_stays_in_range(a in any_score(), b in any_score()) {
            prop_assert_eq!(a + b, b + a);
            prop_assert!((a + b) <= Score::INFINITY && (a + b) >= Score::MINUS_INFINITY);
            prop_assert_eq!(a + Score::ZERO, a);
        }

        #[test]
        fn minus_infinity_beats_all(a in any_score()) {
            prop_assert_eq!(a + Score::MINUS_INFINITY, Score::MINUS_INFINITY);
        }

        #[test]
        fn display_reads_back(a in any_score()) {
            prop_assert_eq!(Score::parse(&a.to_string()), Some(a));
        }
    }

    #[test]
    fn words_and_numbers() {
        assert_eq!(Score::parse("+INFINITY"), Some(Score::INFINITY));
        assert_eq!(Score::parse("infinity"), None);
        assert_eq!(Score::parse("2000000"), Some(Score::INFINITY));
        assert_eq!(Score::parse("12abc"), Some(Score::new(12)));
        let health = HealthScores {
            red: Score::MINUS_INFINITY,
            ..HealthScores::default()
        };
        assert_eq!(health.parse("Red"), Some(Score::MINUS_INFINITY));
    }
}
