//! Our decisions beside those of a Pacemaker: what differs, since when, and why.
//! Enters: what both said about one CIB, or one CIB after the other.
//! Leaves: differences by resource, named once when they come and once when they go; reasons by sections.
//! May touch: nothing; pure.

mod answer;
mod case;
mod explained;
mod memory;
mod reasons;
mod rows;
mod seen;
mod words;

pub use answer::Answer;
pub(crate) use answer::Difference;
pub use case::Case;
pub(crate) use memory::{Memory, News};
pub use rows::rows;
pub(crate) use seen::Seen;
pub use words::in_older_words;
