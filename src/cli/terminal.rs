//! What a terminal needs and a pipe must not get: lines broken where they are too long for it, and a page painted over the
//! one before.

use std::io::{IsTerminal, stdout};

use rustix::fd::AsFd;

/// Columns and rows where the terminal does not say how many it has.
const SIZE: (usize, usize) = (80, 24);

/// Nobody reads narrower columns than these.
const NARROWEST: usize = 40;

/// Columns of standard output, if it is a terminal.
pub(crate) fn columns() -> Option<usize> {
    stdout().is_terminal().then(|| size(stdout()).0)
}

/// Columns and rows.
pub(crate) fn size(of: impl AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(of).ok();
    let or = |given: Option<u16>, known: usize| {
        let given = given.map(usize::from).filter(|given| *given > 0);
        given.unwrap_or(known)
    };
    (
        or(size.map(|size| size.ws_col), SIZE.0),
        or(size.map(|size| size.ws_row), SIZE.1),
    )
}

/// A line that does not reach the last column: behind it, some terminals begin a new one.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    if line.chars().count() <= room {
        return line.to_owned();
    }
    let kept: String = line.chars().take(room.saturating_sub(3)).collect();
    format!("{kept}...")
}

/// Lines broken between words; what is broken off is further in than its line.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let columns = columns.max(NARROWEST);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        wrap(&mut out, line, columns);
        out.push('\n');
    }
    out
}

/// Columns that a text takes at most: a tab leads to the next of eight.
fn length(text: &str) -> usize {
    text.chars().map(|c| if c == '\t' { 8 } else { 1 }).sum()
}

fn wrap(out: &mut String, line: &str, columns: usize) {
    if length(line) <= columns {
        out.push_str(line);
        return;
    }
    let bullet = line.len() - line.trim_start_matches([' ', '*']).len();
    let indent = (bullet + 2).min(columns / 2);
    out.push_str(&line[..bullet]);
    let mut at = bullet;
    let mut begun = false;
    for word in line[bullet..].split(' ') {
        let length = length(word);
        if begun && at + 1 + length > columns {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            at = indent;
        } else if begun {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += length;
        begun = true;
    }
}

/// What paints a page over the one before, without flicker: home, then every line with its rest erased, then everything
/// below. What does not fit is counted, so that the top stays in sight.
pub(crate) fn painted(text: &str) -> String {
    let (columns, rows) = size(stdout());
    let text = wrapped(text, columns);
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1);
    let shown = if lines.len() <= room {
        lines.len()
    } else {
        room.saturating_sub(1)
    };
    let mut out = "\x1b[H".to_owned();
    for line in &lines[..shown] {
        out.push_str(&format!("{line}\x1b[K\n"));
    }
    if shown < lines.len() {
        let more = format!("... and {} more lines", lines.len() - shown);
        out.push_str(&format!("{more}\x1b[K\n"));
    }
    out.push_str("\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_before_the_last_column() {
        assert_eq!(cut("short", 80), "short");
        assert_eq!(cut(&"x".repeat(79), 80), "x".repeat(79));
        let long = cut(&"ä".repeat(200), 80);
        assert_eq!(long.chars().count(), 79);
        assert!(long.ends_with("ä..."));
        assert!(cut("some line", 2).len() <= 3);
    }

    #[test]
    fn long_lines_are_broken_between_words_and_short_ones_stay() {
        let text = "Troubles:\n  * vip: it failed on n1 and on n2, and then nowhere was left\n";
        let expected =
            "Troubles:\n  * vip: it failed on n1 and on n2, and\n      then nowhere was left\n";
        assert_eq!(wrapped(text, 40), expected);
        assert_eq!(wrapped(text, 80), text);
        let word = format!("  * {}\n", "x".repeat(60));
        assert_eq!(wrapped(&word, 40), word, "a word is never broken");
    }
}
