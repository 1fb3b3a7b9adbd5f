//! Time spans as people write them: `20s`, `5min`, `PT1M`, `100ms`. Milliseconds inside.

use super::{Duration, text};

/// The longest span that can be expressed, in milliseconds.
pub const MAX_MS: u64 = u32::MAX as u64;

/// A span that cannot be read; it then counts as 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a time span: write a number with ms, s, min or h behind it, or an ISO 8601 duration"
)]
pub struct InvalidSpan {
    text: String,
}

/// Milliseconds of a span; without a unit it is seconds. // spec 1 §1.4
pub fn parse_ms(text: &str) -> Result<u64, InvalidSpan> {
    let invalid = || InvalidSpan { text: text.into() };
    let trimmed = text.trim_start();
    if trimmed.starts_with('P') {
        let seconds = Duration::parse(trimmed)
            .ok_or_else(invalid)?
            .approximate_seconds();
        let ms = u64::try_from(seconds)
            .map_err(|_| invalid())?
            .saturating_mul(1000);
        return Ok(ms.min(MAX_MS));
    }
    let scanned = text::scan_integer(text).ok_or_else(invalid)?;
    let unit = scanned
        .rest
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        .trim();
    let unit = unit.to_ascii_lowercase();
    // The order matters: anything beginning with "ms" is milliseconds, any other "m" is minutes.
    let (multiply, divide) = match unit.as_str() {
        "" => (1000, 1),
        u if u.starts_with('s') => (1000, 1),
        u if u.starts_with("ms") => (1, 1),
        u if u.starts_with("us") => (1, 1000),
        u if u.starts_with('m') => (60_000, 1),
        u if u.starts_with('h') => (3_600_000, 1),
        _ => return Err(invalid()),
    };
    let value = u64::try_from(scanned.value).map_err(|_| invalid())?;
    Ok((value.saturating_mul(multiply) / divide).min(MAX_MS))
}

/// Milliseconds of a span that may be missing or invalid, both of which are 0.
pub fn ms_or_zero(text: Option<&str>) -> u64 {
    text.map_or(0, |text| parse_ms(text).unwrap_or(0))
}

/// Seconds for comparison with epoch times: anything under a second is one second, else rounded.
pub fn ms_to_s(ms: u64) -> u64 {
    match ms {
        0 => 0,
        1..=999 => 1,
        _ => (ms + 500) / 1000,
    }
}

/// `1m30s`, `1.500s`, `250ms`. // spec 4 §17.3
pub fn readable(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (hours, rest) = (rest / 3_600_000, rest % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    let mut out = String::new();
    for (number, unit) in [(days, 'd'), (hours, 'h'), (minutes, 'm')] {
        if number > 0 {
            out.push_str(&number.to_string());
            out.push(unit);
        }
    }
    match (seconds, millis) {
        (0, 0) if out.is_empty() => out.push_str("0s"),
        (0, 0) => {}
        (_, 0) => out.push_str(&format!("{seconds}s")),
        (0, _) => out.push_str(&format!("{millis}ms")),
        _ => out.push_str(&format!("{seconds}.{millis:03}s")),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_all_spellings() {
        for (text, ms) in [
            ("20", 20_000),
            ("20s", 20_000),
            ("3.14 s", 3_000),
            ("100ms", 100),
            ("5 min", 300_000),
            ("2m", 120_000),
            ("2000us", 2),
            ("1h", 3_600_000),
            ("PT1M", 60_000),
            ("P1D", 86_400_000),
            ("99999999999", MAX_MS),
        ] {
            assert_eq!(parse_ms(text).ok(), Some(ms), "{text}");
        }
        for text in ["", "x", "10q", "-5s", "P"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn readable_spans() {
        for (ms, text) in [
            (0, "0s"),
            (90_000, "1m30s"),
            (1500, "1.500s"),
            (250, "250ms"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(readable(ms), text);
        }
        assert_eq!(
            (ms_to_s(0), ms_to_s(1), ms_to_s(1499), ms_to_s(1500)),
            (0, 1, 1, 2)
        );
    }
}
