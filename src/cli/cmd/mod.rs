//! The commands, one file or folder each.
//! Enters: words of a command line.
//! Leaves: text and an exit status.
//! May touch: files that are named, standard input and output, the daemon's socket.

pub mod simulate;
