//! Remote nodes: machines that run resources for the cluster and are no members of it.
//! Enters: operations of connections (`ocf:pacemaker:remote`), orders for remote nodes, what remote nodes say.
//! Leaves: ends of those operations; results of remote nodes, written as theirs; answers for tools over there.
//! May touch: what the daemon may.
//!
//! ```text
//!   coordinator ──order──► host of the connection ──────► `systole remote`: executor, agents
//!                               │      ▲                        │
//!         CIB ◄──results────────┘      └──results, tools' questions
//! ```
//!
//! Who may order is decided by the remote node: it obeys the connection with the greatest stamp (`door.rs`), and what a host
//! writes for it counts only while the CIB names that host's stamp (`write.rs`).

mod door;
mod machine;
mod node;
mod proxy;
mod shell;
mod vocab;
mod write;

pub use node::{Join, Options, called_as, join, run};
pub(super) use proxy::{hosted, serve as serve_tools};
pub(super) use shell::{Links, Settings};
pub(super) use vocab::Told;
pub(super) use write::place;
