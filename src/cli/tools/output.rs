//! What a tool says, in the form that was asked for: lines for people, or one document for programs.
//!
//! A tool does not ask which form it is. It says a line (`line`) where people read, an element (`element`) where
//! programs do, and an error (`error`) in either; the frame with the exit code is closed once, at the end.
//! (spec 4 §15)

use std::io::Write;

use crate::{
    cli::{dialect, failure::Failure, show},
    terms::CrmExit,
    xml::{Element, write},
};

use super::Tool;

/// The form of a tool's output (`--output-as`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// Lines.
    #[default]
    Text,
    /// A `pacemaker-result` document.
    Xml,
    /// Nothing but the exit code.
    None,
}

/// What was said so far in a form that is written at the end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The form that was asked for.
    pub(crate) format: Format,
    /// The command line, as the document repeats it.
    pub(crate) request: String,
    elements: Vec<Element>,
    errors: Vec<String>,
}

impl Answer {
    /// Nothing said yet by the tool that was called so.
    pub(crate) fn new(name: &str, args: &[String]) -> Self {
        let words = std::iter::once(name).chain(args.iter().map(String::as_str));
        Answer {
            request: words.collect::<Vec<_>>().join(" "),
            ..Answer::default()
        }
    }
}

impl Tool {
    /// Take the form from the value of `--output-as`.
    ///
    /// # Errors
    /// Wrong usage: a form that the tool does not know.
    pub(crate) fn output_as(&mut self, name: &str) -> Result<(), Failure> {
        self.answer.format = match name {
            "text" => Format::Text,
            "xml" => Format::Xml,
            "none" => Format::None,
            other => {
                return Err(Failure::usage(format!("there is no output form `{other}`"))
                    .cure("--output-as=text, xml or none"));
            }
        };
        Ok(())
    }

    /// Write to the file that the value of `--output-to` names.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn output_to(&mut self, name: &str) -> Result<(), Failure> {
        if name == "-" {
            return Ok(());
        }
        let file = std::fs::File::create(name).map_err(|error| {
            let text = format!("failed to write {name}: {error}");
            Failure::new(CrmExit::CANNOT_CREATE, text)
        })?;
        self.out = Box::new(file);
        Ok(())
    }

    /// True when a document is asked for.
    pub(crate) fn xml(&self) -> bool {
        self.answer.format == Format::Xml
    }

    /// A line for people.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.answer.format == Format::Text {
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    /// An element for programs.
    pub(crate) fn element(&mut self, element: Element) {
        if self.xml() {
            self.answer.elements.push(element);
        }
    }

    /// Something went wrong, and the tool goes on or ends with an exit code of its own.
    pub(crate) fn error(&mut self, text: &str) {
        if self.xml() {
            self.answer.errors.push(text.to_owned());
        } else {
            // Nobody is there to read it when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Close the answer: how it ended, and the document when one is asked for.
    pub(super) fn close(&mut self, name: &str, result: Result<(), Failure>) -> CrmExit {
        let exit = match result {
            Ok(()) => CrmExit::OK,
            Err(failure) => {
                if !failure.message.is_empty() {
                    self.error(&format!("{name}: {failure}"));
                    if let (false, Some(help)) = (self.xml(), &failure.help) {
                        self.error(&format!("  {help}"));
                    }
                }
                failure.exit
            }
        };
        let written = if self.xml() {
            let answer = std::mem::take(&mut self.answer);
            let document =
                show::xml::envelope(&answer.request, answer.elements, exit, &answer.errors);
            let document = dialect::spoken_here(document);
            self.out
                .write_all(write::pretty(&document).as_bytes())
                .and_then(|()| self.out.flush())
        } else {
            self.out.flush()
        };
        match written {
            // A reader that has seen enough is no failure.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => CrmExit::IO,
            _ => exit,
        }
    }
}
