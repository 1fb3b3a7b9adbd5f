//! What is wrong with a line, which word it is, and what to write instead.

use std::ops::Range;

use thiserror::Error;

/// A statement that can't be read: the message, the bytes of the wrong word in the source, and the cure.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// What is wrong, naming the word.
    pub message: String,
    /// Where in the source text.
    pub span: Range<usize>,
    /// What to write instead.
    pub help: Option<String>,
}

impl SyntaxError {
    /// An error at a place.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        SyntaxError {
            message: message.into(),
            span,
            help: None,
        }
    }

    /// The same with its cure.
    pub fn cure(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The word of `known` that was probably meant by `word`: one typing error away, or two in a long word.
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, candidate)| *far <= limit || (word.len() > 2 && candidate.starts_with(word)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, exchanged neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
