//! What people read about the cluster: nodes, resources, failures, as lists of lines.
//! Enters: `Facts` as the policy reads them from a CIB, and what is asked to be shown.
//! Leaves: trees of lines, and text made from them.
//! May touch: nothing; pure.

mod bans;
mod brief;
mod clone;
mod fencing;
mod history;
mod moves;
mod nodes;
mod page;
mod paths;
mod protection;
mod resources;
mod sections;
mod status;
pub mod xml;

pub use bans::{ban_elements, ban_list};
pub use fencing::Fencing;
pub use history::{node_history, operations};
pub use moves::{Wish, move_list, move_values};
pub use nodes::{NodeWords, mixed_version, node_list, node_name, node_words};
pub use page::{Entry, Page};
pub(crate) use paths::{lost_paths, path};
pub use protection::{Protection, protections};
pub use resources::resource_list;
pub(crate) use resources::{entry, shown_role, state_line};
pub use sections::{failed_actions, node_attributes, tickets};
pub use status::{Wanted, counts_line, instances, status};
