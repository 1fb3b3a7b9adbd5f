//! The time that a report is about.

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{cli::failure::Failure, clock, terms::DateTime};

/// From then to then, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from_s: i64,
    pub(super) to_s: i64,
}

impl Period {
    /// In words, a line for each end.
    pub(super) fn text(&self) -> String {
        let of = DateTime::from_epoch;
        format!("From {}\nTo   {}\n", of(self.from_s), of(self.to_s))
    }

    /// The lines of a log that fall into it. A line without a time belongs to the one before; a log without times is
    /// taken whole.
    pub(super) fn lines(&self, log: &str) -> String {
        let mut inside = true;
        let mut kept = String::new();
        for line in log.lines() {
            if let Some(at) = time_of(line) {
                inside = (self.from_s..=self.to_s).contains(&at);
            }
            if inside {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        kept
    }
}

/// Our own logs begin with a time like `2026-11-27T03:44:02.123Z`.
fn time_of(line: &str) -> Option<i64> {
    let word = line.split_whitespace().next()?;
    let at: Timestamp = word.parse().ok()?;
    Some(at.as_second())
}

/// A moment as `YYYY-M-D H:M:S`, with parts left out: no seconds, no time (midnight), no date (today). Local time.
pub(super) fn moment(text: &str, now_s: i64) -> Result<i64, Failure> {
    if text == "now" {
        return Ok(now_s);
    }
    // As nodes tell each other: they may be in several time zones.
    let exact = text.strip_prefix('@').and_then(|text| text.parse().ok());
    exact.or_else(|| read(text, now_s)).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time"))
            .cure("\"YYYY-M-D H:M:S\"; seconds, the time or the date may be left out")
    })
}

fn read(text: &str, now_s: i64) -> Option<i64> {
    let (mut date, mut time) = (None, None);
    for word in text.split_whitespace() {
        if word.contains(':') {
            let parts: Vec<i8> = numbers(word, ':')?;
            let (hour, minute) = (*parts.first()?, *parts.get(1)?);
            let second = parts.get(2).copied().unwrap_or(0);
            time = Some(civil::Time::new(hour, minute, second, 0).ok()?);
        } else {
            let parts: Vec<i16> = numbers(word, '-')?;
            let [year, month, day] = parts.as_slice() else {
                return None;
            };
            let (month, day) = (i8::try_from(*month).ok()?, i8::try_from(*day).ok()?);
            date = Some(civil::Date::new(*year, month, day).ok()?);
        }
    }
    if date.is_none() && time.is_none() {
        return None;
    }
    let today_s = now_s + i64::from(clock::utc_offset_s(now_s));
    let today = Timestamp::from_second(today_s)
        .ok()?
        .to_zoned(TimeZone::UTC);
    let at = date
        .unwrap_or_else(|| today.date())
        .to_datetime(time.unwrap_or(civil::Time::MIN));
    // What local time it is then: the offset may differ from that of today.
    let utc_s = at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    Some(utc_s - i64::from(clock::utc_offset_s(utc_s)))
}

fn numbers<T: std::str::FromStr>(text: &str, by: char) -> Option<Vec<T>> {
    text.split(by).map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_all_their_forms() {
        // Noon of 2026-11-27, UTC.
        let now_s = 1_795_780_800;
        let day_s = now_s / 86_400 * 86_400;
        let offset = i64::from(clock::utc_offset_s(now_s));
        let of = |text| moment(text, now_s).expect("a time") + offset;
        assert_eq!(of("2026-11-27 3:4:5"), day_s + 3 * 3600 + 4 * 60 + 5);
        assert_eq!(of("2026-11-27"), day_s);
        assert_eq!(moment("now", now_s), Ok(now_s));
        assert_eq!(moment("@1795780800", 0), Ok(now_s));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11", "25:00"] {
            assert!(moment(wrong, now_s).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_is_cut_at_both_ends() {
        let period = Period {
            from_s: 1_795_780_800,
            to_s: 1_795_780_860,
        };
        let log = "2026-11-27T11:59:59Z a\n2026-11-27T12:00:00.5Z b\n  more of b\n2026-11-27T12:05:00Z c\nmore of c\n";
        assert_eq!(period.lines(log), "2026-11-27T12:00:00.5Z b\n  more of b\n");
        assert_eq!(period.lines("no times\nat all"), "no times\nat all\n");
    }
}
