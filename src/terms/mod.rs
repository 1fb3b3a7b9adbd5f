//! The field's words as types.
//! Enters: text of attributes, options and arguments.
//! Leaves: parsed values with one meaning each.
//! May touch: nothing; pure.

mod agent;
mod date;
mod exit;
mod ids;
mod pledge;
mod role;
mod score;
pub mod span;
pub mod text;

pub use agent::AgentName;
pub use date::{DateTime, Duration, Fields, InvalidDate};
pub use exit::{CrmExit, ExecStatus, OcfExit};
pub use ids::{InvalidKey, NodeId, NodeName, OpKey, RscId, Term, TransitionKey, TransitionMagic};
pub use pledge::Pledge;
pub use role::Role;
pub use score::{HealthScores, Score};
pub use text::Str;

/// The feature set we speak (`crm_feature_set`): that of Pacemaker 3.0.
pub const FEATURE_SET: &str = "3.20.5";
