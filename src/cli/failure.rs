//! What went wrong, as an administrator reads it: the message, the word that is wrong, the cure, the exit code.

use std::{
    fmt,
    io::{IsTerminal, Write, stderr},
    ops::Range,
};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::terminal;
use crate::{cib, cli::language::SyntaxError, terms::CrmExit};

/// Columns of the piece of source that is shown, where there is no terminal.
const WIDTH: usize = 100;

/// A command that was refused or failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Exit code of the program.
    pub exit: CrmExit,
    /// What is wrong, naming the object.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The text with the wrong word.
    pub source: Option<(String, Range<usize>)>,
}

impl Failure {
    /// A failure.
    pub fn new(exit: CrmExit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            help: None,
            source: None,
        }
    }

    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::new(CrmExit::USAGE, message)
    }

    /// The same with its cure.
    #[must_use]
    pub fn cure(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A wrong word in a text.
    pub fn syntax(error: SyntaxError, source: &str, exit: CrmExit) -> Self {
        Failure {
            exit,
            message: error.message,
            help: error.help,
            source: Some((source.to_owned(), error.span)),
        }
    }

    /// Tell it. Nothing is left to do when standard error is gone.
    pub fn tell(&self, errors: &mut dyn Write, colour: bool) {
        if self.message.is_empty() {
            return;
        }
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::none()
        };
        let mut text = String::new();
        // Programs look for a message in one line.
        let columns = stderr().is_terminal().then(|| terminal::size(stderr()).0);
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(columns.unwrap_or(WIDTH))
            .with_wrap_lines(columns.is_some());
        if handler.render_report(&mut text, self).is_err() {
            text = format!("{self}\n");
        }
        let _ = errors.write_all(text.trim_start_matches('\n').as_bytes());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source
            .as_ref()
            .map(|(text, _)| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.source.as_ref()?;
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

impl From<cib::Error> for Failure {
    fn from(error: cib::Error) -> Self {
        Failure::new(error.exit(), error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever reads has seen enough, and need not be told.
            return Failure::new(CrmExit::IO, "");
        }
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => CrmExit::NO_INPUT,
            std::io::ErrorKind::PermissionDenied => CrmExit::INSUFFICIENT_PRIV,
            _ => CrmExit::IO,
        };
        Failure::new(exit, error.to_string())
    }
}
