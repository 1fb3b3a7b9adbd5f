//! What became of a line, and what is wrong with one.

use std::fmt;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Place {
    pub(crate) fn new(file: &str, line: u32) -> Self {
        Place {
            file: file.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What became of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// This is there instead.
    Became(String),
    /// Nothing has to be there, for this reason.
    NotNeeded(String),
    /// Nothing does the same; what to do.
    NoEquivalent(String),
}

impl Verdict {
    /// The verdict in a word or two.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Became(_) => "became",
            Verdict::NotNeeded(_) => "not needed",
            Verdict::NoEquivalent(_) => "no equivalent",
        }
    }

    /// What is said beside it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Verdict::Became(text) | Verdict::NotNeeded(text) | Verdict::NoEquivalent(text) => text,
        }
    }
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    /// Where it stands.
    pub(crate) at: Place,
    /// The thing, in the words of its file.
    pub(crate) what: String,
    /// What became of it.
    pub(crate) verdict: Verdict,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = (self.verdict.word(), self.verdict.text());
        write!(f, "{}: {}: {word}: {text}", self.at, self.what)
    }
}

/// A file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub(crate) struct Broken {
    pub(crate) at: Place,
    pub(crate) message: String,
    pub(crate) cure: Option<String>,
}

impl Broken {
    pub(crate) fn new(file: &str, line: u32, message: impl Into<String>) -> Self {
        Broken::at(&Place::new(file, line), message)
    }

    pub(crate) fn at(at: &Place, message: impl Into<String>) -> Self {
        Broken {
            at: at.clone(),
            message: message.into(),
            cure: None,
        }
    }

    #[must_use]
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}
