//! The constraints: what is wanted, as read from the configuration, sets unfolded, plus what nobody wrote.
//! Enters: `Facts` and the `<constraints>` section.
//! Leaves: `Constraints`: locations, colocations, orderings, tickets, with the ids they came from.
//! May touch: nothing; it is pure.

pub mod colocation;
pub mod location;
pub mod ordering;
pub mod ticket;

pub use colocation::Colocation;
pub use location::{Location, RoleFilter};
pub use ordering::{Gate, GateIdx, Kinds, OrderEnd, OrderItem, Ordering};
pub use ticket::{TicketConstraint, TicketEffect};

use super::index::{ColIdx, IdxVec, RscIdx};

/// Step 2: what is wanted. Frozen when the next step starts.
#[derive(Debug, Default)]
pub struct Constraints {
    /// Location constraints in order of creation: health first, then as configured (spec 2 §6.3; applied in
    /// reverse order).
    pub locations: Vec<Location>,
    /// Colocations (spec 2 §7.5, §8).
    pub colocations: IdxVec<ColIdx, Colocation>,
    /// Per resource the colocations where it is the dependent, in storage order (spec 2 §7.5).
    pub this_with: IdxVec<RscIdx, Vec<ColIdx>>,
    /// Per resource the colocations where it is the primary, in storage order.
    pub with_this: IdxVec<RscIdx, Vec<ColIdx>>,
    /// Orderings in order of creation: configured ones in document order, then implicit ones in resource list
    /// order, each followed by its migration equivalents (spec 3 §8.1, §8.7, §9, §10).
    pub orderings: Vec<OrderItem>,
    /// Pseudo-actions of "one or more" orderings (spec 3 §10.2, §10.3).
    pub gates: IdxVec<GateIdx, Gate>,
    /// Ticket constraints (spec 2 §17).
    pub tickets: Vec<TicketConstraint>,
    /// What missing tickets do, in order; the assignment applies it before anything else (spec 2 §17).
    pub ticket_effects: Vec<TicketEffect>,
    /// Bans that launchers and connections imply, applied between the node criteria and the assignment, in
    /// order (spec 2 §8).
    pub implicit_bans: Vec<ImplicitBan>,
}

/// A ban that nobody wrote (spec 2 §8 "Primitive r"). Only entries that exist are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImplicitBan {
    /// The resource launches a guest, so it may not run on a Pacemaker Remote node that has a connection; also
    /// for connections and fence devices themselves.
    NotOnRemote(RscIdx),
    /// The first resource lives in what the connection connects to: every other node is banned.
    OnlyOn {
        /// The resource.
        rsc: RscIdx,
        /// The connection whose node it must be on.
        connection: RscIdx,
    },
}
