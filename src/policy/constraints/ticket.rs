//! Tickets (spec 2 §17).

use super::Reader;
use super::colocation::role as role_of;
use super::set::{self, Named, Set};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::terms::Role;
use crate::xml::Element;

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

/// Reads one `rsc_ticket`. // spec 2 §17
pub(super) fn read(reader: &mut Reader<'_>, element: &Element) {
    let facts = reader.facts;
    let Some(ticket) = element.get("ticket") else {
        return;
    };
    let mut sets = set::read_all(facts, element);
    if sets.is_empty() {
        let Some(rsc) = element.get("rsc") else {
            return;
        };
        let refs = match set::named(facts, rsc) {
            None => return reader.unknown(element, rsc),
            Some(Named::Rsc(_)) => vec![rsc.into()],
            Some(Named::Tag(refs)) => refs,
        };
        let mut set = Set::of(rsc, refs, Some(false));
        set.role = element.get("rsc-role").map(Str::from);
        sets.push(set);
    }
    for set in &sets {
        let Some(role) = role_of(set.role.as_deref()) else {
            return;
        };
        for id in &set.refs {
            let Some(rsc) = facts.rsc_named(id) else {
                return reader.unknown(element, id);
            };
            one(reader, element, ticket, rsc, role);
        }
    }
}

fn one(reader: &mut Reader<'_>, element: &Element, ticket: &str, rsc: RscIdx, role: Role) {
    let facts = reader.facts;
    let policy = match element
        .get("loss-policy")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("fence") if facts.options.fencing_enabled => LossPolicy::Fence,
        Some("fence" | "stop") => LossPolicy::Stop,
        Some("freeze") => LossPolicy::Freeze,
        Some("demote") => LossPolicy::Demote,
        _ if role == Role::Promoted => LossPolicy::Demote,
        _ => LossPolicy::Stop,
    };
    let state = facts.tickets.get(ticket);
    let constraint = TicketConstraint {
        id: element.get("id").unwrap_or_default().into(),
        ticket: ticket.into(),
        rsc,
        role,
        policy,
        granted: state.is_some_and(|state| state.granted),
        standby: state.is_some_and(|state| state.standby),
    };
    let missing = !constraint.granted || constraint.standby;
    let at = reader.out.tickets.len();
    reader.out.tickets.push(constraint);
    if missing {
        for leaf in facts.leaves(rsc) {
            apply(reader, at, leaf);
        }
    }
}

fn apply(reader: &mut Reader<'_>, at: usize, rsc: RscIdx) {
    let constraint = &reader.out.tickets[at];
    let it = &reader.facts.rscs[rsc];
    let promoted_only = constraint.role == Role::Promoted;
    let role_matches = constraint.role == Role::Unknown || constraint.role == it.role;
    let mut effects = Vec::new();
    if !constraint.granted && !it.active.is_empty() {
        match constraint.policy {
            LossPolicy::Stop => effects.push(TicketEffectKind::Ban),
            LossPolicy::Demote if !promoted_only => effects.push(TicketEffectKind::Ban),
            LossPolicy::Fence if role_matches => {
                effects.push(TicketEffectKind::Ban);
                effects.push(TicketEffectKind::Fence(it.active.clone()));
            }
            LossPolicy::Freeze if role_matches => effects.push(TicketEffectKind::Freeze),
            _ => {}
        }
    } else if !promoted_only || constraint.policy == LossPolicy::Stop {
        effects.push(TicketEffectKind::Ban);
    }
    for kind in effects {
        if kind == TicketEffectKind::Freeze {
            reader.frozen.insert(rsc);
        }
        reader.out.ticket_effects.push(TicketEffect {
            constraint: at,
            rsc,
            kind,
        });
    }
}
