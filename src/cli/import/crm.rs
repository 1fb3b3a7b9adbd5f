//! Files of the crm shell: statements of its language, perhaps with the commands around them that a script has.

use crate::cli::language::{
    KEYWORDS, Place as Section, Statement, SyntaxError, parse_statement, statements,
};

use super::note::{Broken, Place};
use super::{Source, draft::Draft};

/// Commands of a script that only move about, or write what is written here anyway.
const AROUND: &[&str] = &[
    "commit", "verify", "end", "up", "cd", "bye", "exit", "quit", "back", "ptest", "show",
    "refresh",
];

pub(super) fn read(source: &Source, draft: &mut Draft) -> Result<(), Broken> {
    let text = &source.text;
    let wrong = |error: SyntaxError| {
        let line = line_at(text, error.span.start);
        let broken = Broken::new(&source.file, line, error.message);
        match error.help {
            Some(help) => broken.cure(help),
            None => broken.cure("correct the line; crm configure help tells how it is written"),
        }
    };
    for mut statement in statements(text).map_err(wrong)? {
        let at = Place::new(&source.file, line_at(text, statement.span.start));
        unwrap(&mut statement, text);
        let Some(first) = statement.words.first().map(|word| word.text.clone()) else {
            continue;
        };
        let known = KEYWORDS.contains(&first.as_str())
            || matches!(first.as_str(), "collocation" | "master");
        if known {
            let object = parse_statement(&statement).map_err(wrong)?;
            let what = format!("{first} {}", object.id());
            if object.place == Section::Node {
                let name = object.id().to_owned();
                draft.step(super::corosync::join(&name, "ADDRESS"));
                draft.not_needed(
                    &at,
                    what,
                    "a node is there when it has joined; what is said of it is kept",
                );
            } else {
                draft.became(&at, what.as_str(), format!("{what}, as it is"));
            }
            draft.object(&at, object);
        } else if AROUND.contains(&first.as_str()) {
            draft.not_needed(&at, first, "the whole file is taken as one change");
        } else {
            let line: Vec<&str> = statement
                .words
                .iter()
                .map(|word| word.text.as_str())
                .collect();
            let line = line.join(" ");
            draft.nothing(
                &at,
                line.as_str(),
                format!("it is no configuration; type it when the cluster runs: crm {line}"),
            );
        }
    }
    Ok(())
}

/// Take `crm` and `configure` from the front of a line.
fn unwrap(statement: &mut Statement, text: &str) {
    let front = statement
        .words
        .iter()
        .take_while(|word| word.is("crm") || word.is("configure"))
        .count();
    let Some(word) = front.checked_sub(1).and_then(|at| statement.words.get(at)) else {
        return;
    };
    let from = word.span.end;
    statement.words.drain(..front);
    if let Some(word) = statement.words.first() {
        // What `xml` statements are read from begins behind their first word.
        let rest = text
            .get(word.span.end..statement.span.end)
            .unwrap_or_default();
        statement.rest = rest.trim().to_owned();
        statement.span.start = word.span.start;
    } else {
        statement.span.start = from;
    }
}

fn line_at(text: &str, byte: usize) -> u32 {
    let before = text.get(..byte).unwrap_or(text);
    let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
    u32::try_from(newlines + 1).unwrap_or(u32::MAX)
}
