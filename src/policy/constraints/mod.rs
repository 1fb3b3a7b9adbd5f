//! The constraints: what is wanted, as read from the configuration, sets unfolded, plus what nobody wrote.
//! Enters: `Facts` and the `<constraints>` section.
//! Leaves: `Constraints`: locations, colocations, orderings, tickets, with the ids they came from.
//! May touch: nothing; it is pure.

pub mod colocation;
mod implicit;
pub mod location;
pub mod ordering;
mod set;
pub mod ticket;

use std::collections::BTreeSet;

pub use colocation::Colocation;
pub use location::{Location, RoleFilter};
pub use ordering::{Gate, GateIdx, Kinds, OrderEnd, OrderItem, Ordering};
pub use ticket::{TicketConstraint, TicketEffect};

use super::facts::Facts;
use super::index::{ColIdx, IdxVec, RscIdx};
use super::report::Warning;
use super::task::Tasks;
use crate::xml::Element;

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
    /// The tasks that they name.
    pub tasks: Tasks,
    /// Pseudo-actions of "one or more" orderings (spec 3 §10.2, §10.3).
    pub gates: IdxVec<GateIdx, Gate>,
    /// Ticket constraints (spec 2 §17).
    pub tickets: Vec<TicketConstraint>,
    /// What missing tickets do, in order; the assignment applies it before anything else (spec 2 §17).
    pub ticket_effects: Vec<TicketEffect>,
    /// Bans that launchers and connections imply, applied between the node criteria and the assignment, in
    /// order (spec 2 §8).
    pub implicit_bans: Vec<ImplicitBan>,
    /// What was wrong in the configuration.
    pub warnings: Vec<Warning>,
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

/// About so many orderings a resource has: a list that grows is copied again and again.
const ORDERINGS_EACH: usize = 16;

/// Reads the constraints of a CIB. // spec 2 §1.1 points 2, 3 and 5
#[must_use]
pub fn read(facts: &Facts, cib: &Element) -> Constraints {
    let lists = || IdxVec::from_fn(facts.rscs.len(), |_| Vec::new());
    let out = Constraints {
        this_with: lists(),
        with_this: lists(),
        orderings: Vec::with_capacity(ORDERINGS_EACH * facts.rscs.len()),
        ..Constraints::default()
    };
    let mut reader = Reader {
        facts,
        out,
        frozen: BTreeSet::new(),
    };
    location::health(&mut reader);
    let written = cib.descend(&["configuration", "constraints"]);
    for element in written.into_iter().flat_map(|written| written.children()) {
        if element.get("id").is_none() {
            reader.warn(format!("a {} has no id: give it one", element.tag()));
            continue;
        }
        match element.tag() {
            "rsc_location" => location::read(&mut reader, element),
            "rsc_colocation" => colocation::read(&mut reader, element),
            "rsc_order" => ordering::read(&mut reader, element),
            "rsc_ticket" => ticket::read(&mut reader, element),
            _ => {}
        }
    }
    for &rsc in &facts.top {
        implicit::resource(&mut reader, rsc);
    }
    reader.out
}

/// The constraints in the making.
struct Reader<'a> {
    facts: &'a Facts,
    out: Constraints,
    /// Unmanaged by a ticket, before the implicit constraints are made (spec 2 §8, §17).
    frozen: BTreeSet<RscIdx>,
}

impl Reader<'_> {
    fn warn(&mut self, text: String) {
        self.out.warnings.push(Warning {
            text,
            invalid: false,
        });
    }

    fn unknown(&mut self, element: &Element, id: &str) {
        let (tag, own) = (element.tag(), element.get("id").unwrap_or_default());
        self.warn(format!(
            "{tag} `{own}` names `{id}`, which is no resource, tag or template"
        ));
    }
}

#[cfg(test)]
mod tests;
