//! The command line: what administrators and agents type, and what they read.
//! Enters: arguments, lines at a prompt, files in the crm shell's language or XML.
//! Leaves: atomic `cib::Command`s over the daemon's socket (or to a CIB file), text and JSON.
//! May touch: terminal, files that the user names, the local socket; agents through `crate::process`.

pub mod access;
pub mod args;
pub mod cmd;
mod complete;
pub mod completions;
pub(crate) mod dialect;
pub mod entry;
pub mod failure;
mod forecast;
pub mod found;
pub(crate) mod import;
pub mod language;
pub mod links;
pub mod man;
pub mod prompt;
pub mod saved;
pub mod schemas;
pub mod shell;
pub mod show;
pub(crate) mod terminal;
pub mod tools;
pub(crate) mod waiting;
pub mod watch;

#[cfg(test)]
mod tests;
