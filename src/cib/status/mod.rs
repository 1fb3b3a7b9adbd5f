//! The status section as types, and the writes that the loop ends with.
//! Enters: elements of `<status>`; executions that ended, nodes that came and went, attributes set.
//! Leaves: typed views of them; `Command`s that record what happened.
//! May touch: nothing; pure.

pub mod attribute;
pub mod history;
pub mod node_state;
pub mod record;
