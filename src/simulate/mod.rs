//! What if: changes tried on a copy of the CIB, and a graph carried out on it without touching anything.
//! Enters: a CIB, what the policy says about it, and what somebody wants to try.
//! Leaves: the CIB as it would become, and every step as a value with its text.
//! May touch: nothing; pure.

mod draft;
mod forget;
mod inject;
mod pretend;
mod render;

pub use draft::{Draft, Error, History};
pub use inject::{BadSpec, Injections, Modification, OpSpec, inject};
pub use pretend::{Ending, Executed, Known, Step, execute};
pub use render::step_text;
