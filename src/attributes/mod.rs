//! Transient attributes of nodes: known on every node at once, written to the CIB when their dampening has passed.
//! Enters: `Request`s of tools, `Message`s of other nodes, the CIB as it changes, who writes.
//! Leaves: `Effect::Send` for other nodes, `Effect::Write` for the CIB, `Effect::Answer` for tools.
//! May touch: nothing itself; `shell` keeps time.

mod vocab;

mod machine;
mod value;
mod writer;

pub mod shell;

pub use machine::{Machine, Now};
pub use vocab::{
    Answer, Cell, Changed, Effect, Event, Kind, Message, Refusal, Request, Stamp, Ticket, Wait,
    Which, WriteId,
};

/// The name under which rpc carries our requests and messages.
pub const NAME: &str = "attributes";
