//! An ordered document tree as a cheap value, read from bytes and written back canonically.
//! Enters: bytes from outside, bounded in every dimension.
//! Leaves: `Element`, an immutable tree that shares what copies have in common; text; digests; matches of an XPath.
//! May touch: nothing; pure.

mod element;
mod shape;

pub mod digest;
pub mod read;
pub mod write;
pub mod xpath;

pub use element::{Element, Node};
pub use read::{Limits, ReadError, parse};
pub use xpath::{XPath, XPathError};
