//! Tickets (spec 2 §17).

use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::terms::Role;

/// What happens when a ticket is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossPolicy {
    /// Stop.
    Stop,
    /// Demote.
    Demote,
    /// Fence the nodes where it is active.
    Fence,
    /// Leave it as it is.
    Freeze,
}

/// A resource needs a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketConstraint {
    /// Id of the `rsc_ticket`.
    pub id: Str,
    /// The ticket.
    pub ticket: Str,
    /// The resource named (collectives are not unfolded here).
    pub rsc: RscIdx,
    /// Role that it is limited to; Unknown = any.
    pub role: Role,
    /// What to do on loss.
    pub policy: LossPolicy,
    /// Whether the ticket is granted now.
    pub granted: bool,
    /// Whether the ticket is in standby now.
    pub standby: bool,
}

/// What a missing ticket does to a primitive at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketEffect {
    /// Position in `Constraints::tickets`.
    pub constraint: usize,
    /// The primitive.
    pub rsc: RscIdx,
    /// What.
    pub kind: TicketEffectKind,
}

/// The kinds of effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketEffectKind {
    /// add(r, all, -INF).
    Ban,
    /// Unmanaged and blocked.
    Freeze,
    /// Fence these nodes (the reason is "deadman ticket was lost"); a ban of its own comes before.
    Fence(Vec<NodeIdx>),
}
