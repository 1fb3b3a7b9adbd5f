//! The crm shell's language: lines as administrators write them, and the same as CIB elements.
//! Enters: text of statements; elements of a configuration.
//! Leaves: `Object`s without generated ids, text as `crm configure show` prints it, errors with the span of the wrong word.
//! May touch: nothing; pure.

mod document;
mod error;
mod ids;
mod lex;
mod parse;
mod print;
mod same;
pub(crate) mod secret;

pub use document::{Document, Mode};
pub use error::{SyntaxError, meant};
pub use lex::{Statement, Word, statements};
pub use parse::{
    KEYWORDS, Object, Place, SECTIONS, is_id, parse_all, parse_statement, split_score,
};
pub use print::{print_object, value_text};
pub use same::differences;
pub(crate) use secret::{Secrets, WORDS as SECRET_WORDS};

#[cfg(test)]
mod tests;
