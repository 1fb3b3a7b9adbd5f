//! What was measured, for people and for programs. [p]

use serde::Serialize;

/// One fault and what the client saw of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Round {
    /// Who had the address, and was hit.
    pub(super) active: String,
    /// Whether it also led the cluster; unknown if status did not say.
    pub(super) leader: Option<bool>,
    /// Who answers afterwards.
    pub(super) after: Option<String>,
    /// The longest silence.
    pub(super) outage_ms: f64,
    /// From the fault to the first answer of another host.
    pub(super) takeover_ms: Option<f64>,
    /// From the fault to the end of fencing, as the power switch knows it.
    pub(super) fenced_ms: Option<f64>,
    /// How often two hosts were heard at once.
    pub(super) heard_twice: usize,
    /// How long two hosts had the address at once, by the kernels' own record.
    pub(super) held_twice_ms: f64,
}

/// All rounds of one fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) example: String,
    pub(super) fault: String,
    pub(super) hosts: u8,
    pub(super) fencing: bool,
    pub(super) fence_delay_ms: u64,
    pub(super) rounds: Vec<Round>,
    pub(super) outage_ms: Option<Spread>,
    pub(super) takeover_ms: Option<Spread>,
    pub(super) cold_start_ms: Option<Spread>,
    pub(super) idle: Vec<Idle>,
}

/// What a daemon costs when nothing happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Idle {
    pub(super) host: String,
    pub(super) pss_kib: u64,
    pub(super) cpu_percent: f64,
}

/// Smallest, middle and largest value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
    pub(super) n: usize,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self {
            min,
            median: (values[(n - 1) / 2] + values[n / 2]) / 2.0,
            max,
            n,
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} / {:.0} / {:.0} ms (min / median / max of {})",
            self.min, self.median, self.max, self.n
        )
    }
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    pub(super) at_us: u64,
    pub(super) who: String,
    pub(super) what: String,
}

/// Moments in order, with times in milliseconds relative to the fault.
pub(super) fn timeline(mut moments: Vec<Moment>, fault_us: u64) -> String {
    moments.sort_by_key(|m| m.at_us);
    let mut text = String::new();
    for moment in moments {
        let ms = (moment.at_us as f64 - fault_us as f64) / 1000.0;
        text += &format!("{ms:+9.1} ms  {:8} {}\n", moment.who, moment.what);
    }
    text
}

/// A line of a daemon's log: microseconds since 1970, and the rest without colours and time.
pub(super) fn log_line(line: &str) -> Option<(i64, String)> {
    let plain = without_colours(line);
    let (stamp, rest) = plain.trim_start().split_once(char::is_whitespace)?;
    let at: jiff::Timestamp = stamp.parse().ok()?;
    Some((at.as_microsecond(), rest.trim().to_owned()))
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        if c == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let spread = Spread::of([3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!(
            (spread.min, spread.median, spread.max, spread.n),
            (1.0, 2.5, 10.0, 4)
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn timelines_count_from_the_fault() {
        let moment = |at_us, who: &str, what: &str| Moment {
            at_us,
            who: who.into(),
            what: what.into(),
        };
        let text = timeline(
            vec![
                moment(1500, "host2", "later"),
                moment(900, "host1", "fault"),
            ],
            900,
        );
        assert_eq!(
            text,
            "     +0.0 ms  host1    fault\n     +0.6 ms  host2    later\n"
        );
    }

    #[test]
    fn log_lines_lose_colour_and_time() {
        let line = "\u{1b}[2m2026-11-21T02:00:00.5Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m fencer: host1 is gone";
        let (at_us, text) = log_line(line).unwrap();
        assert_eq!(at_us % 1_000_000, 500_000);
        assert_eq!(text, "INFO fencer: host1 is gone");
        assert_eq!(log_line("no time here"), None);
    }
}
