//! Emission turns the settled plan into the graph and the summary that a human reads.
//! Enters: `Facts`, `Placement`, the settled `Plan`.
//! Leaves: `Graph` and `Vec<SummaryLine>`.
//! May touch: nothing; it is pure.

mod build;
mod circle;
mod drawing;
mod mend;
mod params;
pub(super) mod prune;
pub mod summary;
mod unreachable;

pub use build::graph;
pub(super) use circle::circle;
pub use drawing::drawing;
pub use summary::{SummaryLine, summary};
pub(super) use unreachable::leave_out;
