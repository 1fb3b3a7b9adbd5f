//! The keys of a live page: each shows or hides a part of it, `?` says which, `q` ends it.

use std::io::{IsTerminal, stdin};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::sections::{Change, Sections, Selection};
use crate::cli::{failure::Failure, show::Wanted};

/// Key, what it shows or hides.
const KEYS: &[(char, &str)] = &[
    ('c', "tickets"),
    ('f', "fail counts"),
    ('n', "resources below their nodes"),
    ('o', "operations"),
    ('r', "inactive resources"),
    ('t', "operations with their times"),
    ('A', "node attributes"),
    ('L', "negative location constraints"),
    ('D', "the summary"),
    ('R', "details"),
    ('b', "numbers instead of resources"),
    ('m', "fencing history"),
];

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Another page, with other parts.
    Toggle(char),
    /// The list of keys.
    Help,
    /// The end.
    Quit,
    /// A new look.
    Refresh,
}

impl Pressed {
    fn of(byte: u8) -> Self {
        match char::from(byte) {
            // Ctrl-C and Ctrl-D are read like any key, so that the terminal is left as it was.
            'q' | '\u{3}' | '\u{4}' => Pressed::Quit,
            '?' | 'h' => Pressed::Help,
            key if KEYS.iter().any(|(known, _)| *known == key) => Pressed::Toggle(key),
            _ => Pressed::Refresh,
        }
    }
}

/// The keyboard, read key by key until this goes.
pub(super) struct Keyboard {
    before: Option<Termios>,
}

impl Keyboard {
    /// Of the terminal, if there is one.
    pub(super) fn open() -> Self {
        let input = stdin();
        let before = input
            .is_terminal()
            .then(|| tcgetattr(&input).ok())
            .flatten();
        if let Some(before) = &before {
            let mut modes = before.clone();
            modes
                .local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            // Without it, keys wait for the end of a line, and the page goes on all the same.
            let _ = tcsetattr(&input, OptionalActions::Now, &modes);
        }
        Self { before }
    }

    /// A key, or nothing within this time.
    pub(super) fn wait(&self, pause: Duration) -> Option<Pressed> {
        if self.before.is_none() {
            std::thread::sleep(pause);
            return None;
        }
        let input = stdin();
        let limit = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let mut keys = [PollFd::new(&input, PollFlags::IN)];
        if poll(&mut keys, Some(&limit)).unwrap_or(0) == 0 {
            return None;
        }
        let mut byte = [0];
        match rustix::io::read(&input, &mut byte) {
            Ok(1) => Some(Pressed::of(byte[0])),
            // The terminal is gone.
            _ => Some(Pressed::Quit),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nobody is left to tell.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// Show a part that is hidden, or hide it.
pub(super) fn toggle(
    key: char,
    wanted: &mut Wanted,
    changes: &mut Vec<Change>,
) -> Result<(), Failure> {
    let (section, name) = match key {
        'n' => return flip(&mut wanted.by_node),
        'r' => return flip(&mut wanted.inactive),
        'b' => return flip(&mut wanted.brief),
        'R' => {
            wanted.technical = !wanted.detail;
            return flip(&mut wanted.detail);
        }
        't' => {
            wanted.timing = !wanted.timing;
            if wanted.timing {
                changes.push(Change::Add(Sections::OPERATIONS));
            }
            return Ok(());
        }
        'c' => (Sections::TICKETS, "tickets"),
        'f' => (Sections::FAILCOUNTS, "failcounts"),
        'o' => (Sections::OPERATIONS, "operations"),
        'A' => (Sections::ATTRIBUTES, "attributes"),
        'L' => (Sections::BANS, "bans"),
        'm' => (Sections::FENCING_SUCCEEDED, "fencing"),
        _ => (Sections::COUNTS, "summary"),
    };
    let shown = Selection::new(false, changes)?.sections.has(section);
    changes.push(match shown {
        true => Change::Exclude(name.to_owned()),
        false => Change::Include(name.to_owned()),
    });
    Ok(())
}

fn flip(switch: &mut bool) -> Result<(), Failure> {
    *switch = !*switch;
    Ok(())
}

/// The list of keys.
pub(super) fn help() -> String {
    let mut text = "Keys of this page: each shows or hides something.\n\n".to_owned();
    for (key, what) in KEYS {
        text.push_str(&format!("  {key}  {what}\n"));
    }
    text.push_str("\n  ?  this list\n  q  the end\n\nAny other key: back, and a new look.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pressed_twice_changes_nothing() {
        for (key, _) in KEYS {
            let (mut wanted, mut changes) = (Wanted::default(), Vec::new());
            let before = Selection::new(false, &changes).expect("sections that exist");
            toggle(*key, &mut wanted, &mut changes).expect("it is a key");
            let between = Selection::new(false, &changes).expect("sections that exist");
            let moved =
                before != between || format!("{wanted:?}") != format!("{:?}", Wanted::default());
            assert!(moved, "{key}");
            toggle(*key, &mut wanted, &mut changes).expect("it is a key");
            assert_eq!(
                format!("{wanted:?}"),
                format!("{:?}", Wanted::default()),
                "{key}"
            );
            if *key != 't' && *key != 'm' {
                let after = Selection::new(false, &changes).expect("sections that exist");
                assert_eq!(before, after, "{key}");
            }
        }
    }

    #[test]
    fn every_way_to_leave_is_one() {
        for byte in [b'q', 3, 4] {
            assert_eq!(Pressed::of(byte), Pressed::Quit);
        }
        assert_eq!(Pressed::of(b'?'), Pressed::Help);
        assert_eq!(Pressed::of(b'n'), Pressed::Toggle('n'));
        assert_eq!(Pressed::of(b' '), Pressed::Refresh);
    }
}
