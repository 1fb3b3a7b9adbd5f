//! How loosely the field reads its words: booleans, integers with anything behind them, versions, node names.
//! Every reader of an option goes through here, so that "yes" means the same in a CIB, a rule and an argument.

use std::cmp::Ordering;
use std::sync::Arc;

/// Shared text: a copy costs nothing.
pub type Str = Arc<str>;

/// `true on yes y 1` and `false off no n 0`, in any case; `None` for anything else. // spec 1 §1.1
pub fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 5] = ["true", "on", "yes", "y", "1"];
    const FALSE: [&str; 5] = ["false", "off", "no", "n", "0"];
    if TRUE.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        Some(true)
    } else if FALSE.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        Some(false)
    } else {
        None
    }
}

/// True only for text that says so; missing and invalid text are false.
pub fn is_true(text: Option<&str>) -> bool {
    text.and_then(boolean) == Some(true)
}

/// What an integer scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The number, clipped to 64 bits.
    pub value: i64,
    /// Whether it had to be clipped.
    pub clipped: bool,
    /// What follows the digits.
    pub rest: &'a str,
}

/// Decimal number at the start of the text; white space and a sign may precede, anything may follow. // spec 1 §1.2
pub fn scan_integer(text: &str) -> Option<Scanned<'_>> {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    if end == 0 {
        return None;
    }
    let mut value: i64 = 0;
    let mut clipped = false;
    for digit in digits[..end].bytes().map(|b| i64::from(b - b'0')) {
        let next = value.checked_mul(10).and_then(|v| {
            if negative {
                v.checked_sub(digit)
            } else {
                v.checked_add(digit)
            }
        });
        match next {
            Some(next) => value = next,
            None => {
                value = if negative { i64::MIN } else { i64::MAX };
                clipped = true;
                break;
            }
        }
    }
    Some(Scanned {
        value,
        clipped,
        rest: &digits[end..],
    })
}

/// The number at the start of the text, clipped to 64 bits.
pub fn integer(text: &str) -> Option<i64> {
    scan_integer(text).map(|scanned| scanned.value)
}

/// Counts such as clone-max: missing or unreadable text is the minimum, smaller values are raised to it.
pub fn at_least(text: Option<&str>, minimum: i32) -> i32 {
    let value = text.and_then(integer).unwrap_or(i64::from(minimum));
    i32::try_from(value.clamp(i64::from(minimum), i64::from(i32::MAX))).unwrap_or(i32::MAX)
}

/// Versions segment by segment, missing segments being 0. // spec 1 §1.5
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (a, b) = (version_segments(a), version_segments(b));
    for index in 0..a.len().max(b.len()) {
        let left = a.get(index).copied().unwrap_or(0);
        let right = b.get(index).copied().unwrap_or(0);
        match left.cmp(&right) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

fn version_segments(text: &str) -> Vec<u64> {
    let text = text.trim_start();
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.bytes().take_while(u8::is_ascii_digit).count();
        if end == 0 {
            break;
        }
        segments.push(rest[..end].parse().unwrap_or(u64::MAX));
        match rest[end..].strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    segments
}

/// The order of node names: digit runs as numbers, letters without case; `node9 < node10`. // spec 1 §1.6
pub fn compare_names(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (left, right) = (digit_run(a), digit_run(b));
                let order = compare_digits(left, right);
                if order != Ordering::Equal {
                    return order;
                }
                a = &a[left.len()..];
                b = &b[right.len()..];
            }
            (Some(x), Some(y)) => {
                let order = x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase());
                if order != Ordering::Equal {
                    return order;
                }
                a = &a[1..];
                b = &b[1..];
            }
        }
    }
}

fn digit_run(text: &[u8]) -> &[u8] {
    &text[..text.iter().take_while(|b| b.is_ascii_digit()).count()]
}

fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |run: &[u8]| run.iter().take_while(|b| **b == b'0').count();
    let (left, right) = (&a[strip(a)..], &b[strip(b)..]);
    left.len()
        .cmp(&right.len())
        .then_with(|| left.cmp(right))
        .then_with(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_in_every_spelling() {
        for text in ["true", "On", "YES", "y", "1"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["false", "off", "No", "n", "0"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        assert_eq!(boolean("2"), None);
        assert!(!is_true(None));
    }

    #[test]
    fn integers_ignore_what_follows_and_clip() {
        assert_eq!(integer(" -12abc"), Some(-12));
        assert_eq!(integer("+7"), Some(7));
        assert_eq!(integer("x7"), None);
        assert_eq!(integer("99999999999999999999"), Some(i64::MAX));
        assert_eq!(integer("-99999999999999999999"), Some(i64::MIN));
        assert_eq!(at_least(Some("-3"), 1), 1);
        assert_eq!(at_least(Some("99999999999"), 0), i32::MAX);
    }

    #[test]
    fn versions_by_segment() {
        assert_eq!(compare_versions("3.20.1", "3.9"), Ordering::Greater);
        assert_eq!(compare_versions("1.0", "1"), Ordering::Equal);
        assert_eq!(compare_versions("junk", "0"), Ordering::Equal);
    }

    #[test]
    fn names_by_number() {
        let mut names = vec!["remotenode9", "node10", "Node9", "node007", "node7"];
        names.sort_by(|a, b| compare_names(a, b));
        assert_eq!(
            names,
            ["node7", "node007", "Node9", "node10", "remotenode9"]
        );
    }
}
