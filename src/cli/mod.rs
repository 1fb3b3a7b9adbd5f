//! The command line: what administrators and agents type, and what they read.
//! Enters: arguments, lines at a prompt, files in the crm shell's language or XML.
//! Leaves: atomic `cib::Command`s over the daemon's socket (or to a CIB file), text and JSON.
//! May touch: terminal, files that the user names, the local socket; agents through `crate::process`.

pub mod cmd;
pub mod language;
pub mod links;
pub mod show;
