//! The shell on CIB files.
