//! Actions turn roles and nodes into what must be done, and in what order.
//! Enters: `Facts`, `Constraints`, `Placement`.
//! Leaves: `Plan`: actions, relations between them, and orderings that will become relations.
//! May touch: nothing; it is pure.

mod bundle;
mod cleanup;
mod clone;
pub(super) mod fencing;
mod group;
mod migration;
pub(super) mod notify;
mod orders;
pub mod plan;
mod primitive;
mod probe;
mod promotable;
pub(super) mod reconfigure;
mod recurring;
mod remote;
pub(super) mod request;
mod steps;
pub mod why;
mod wishes;

use super::assign::Placement;
use super::assign::now::Now;
use super::constraints::Constraints;
use super::constraints::ticket::TicketEffectKind;
use super::facts::{Facts, Kind};
use super::report::Cause;
use super::{NodeIdx, RscIdx};
use plan::{ActIdx, Kinds, Plan, Side, Task};

/// One run of the step: what it reads, and the plan that it makes.
pub(super) struct Make<'a> {
    pub(super) facts: &'a Facts,
    pub(super) place: &'a Placement,
    pub(super) plan: Plan,
    /// Definition checks that wait for the assignment: resource, history entry, operation in it.
    deferred: Vec<(RscIdx, usize, usize)>,
    /// Why steps are required that are made now.
    why: Option<Cause>,
}

/// Step 4: what must be done. With `record`, what orderings do to actions later is kept. The order of work shows in the numbers of actions. spec 3 §2
#[must_use]
pub fn plan(facts: &Facts, constraints: &Constraints, place: &Placement, record: bool) -> Plan {
    let early = before_placement(facts, constraints);
    let mut make = Make {
        facts,
        place,
        plan: Plan::new(early, constraints.tasks.clone()),
        deferred: Vec::new(),
        why: None,
    };
    make.plan.record = record;
    make.wishes();
    orders::from_constraints(&mut make.plan, facts, constraints);
    make.definitions();
    make.take_placement();
    make.after_placement();
    make.deferred_checks();
    make.probes();
    make.clear_removed();
    for rsc in &place.order {
        make.create(*rsc);
    }
    make.order_remote();
    make.fence_and_shut_down();
    make.plan
}

/// Resources and nodes as they were before anything was placed, which is when history and definitions ask for
/// actions; tickets have had their effect by then.
fn before_placement(facts: &Facts, constraints: &Constraints) -> Now {
    let mut now = Now::new(facts);
    for effect in &constraints.ticket_effects {
        if effect.kind == TicketEffectKind::Freeze {
            now.rscs[effect.rsc].managed = false;
            now.rscs[effect.rsc].blocked = true;
        }
    }
    now
}

impl Make<'_> {
    /// From here on resources and nodes are as the assignment left them, with the marks made meanwhile.
    fn take_placement(&mut self) {
        let early = std::mem::replace(&mut self.plan.now, self.place.now.clone());
        for (rsc, was) in early.rscs.enumerate() {
            let now = &mut self.plan.now.rscs[rsc];
            now.failed |= was.failed;
            now.stop_if_failed |= was.stop_if_failed;
            now.start_pending |= was.start_pending;
            now.reload |= was.reload;
        }
        for (node, was) in early.nodes.enumerate() {
            let fact = &self.facts.nodes[node];
            let now = &mut self.plan.now.nodes[node];
            now.unclean |= was.unclean && !fact.unclean;
            now.remote_reset |= was.remote_reset;
        }
    }

    /// The actions of a resource of any kind.
    fn create(&mut self, rsc: RscIdx) {
        match self.facts.rscs[rsc].kind {
            Kind::Primitive => self.create_primitive(rsc),
            Kind::Group(_) => self.create_group(rsc),
            Kind::Clone(_) => self.create_clone(rsc),
            Kind::Bundle(_) => self.create_bundle(rsc),
        }
    }

    /// What lost its node in the assignment takes its actions along. spec 3 §3.6
    fn after_placement(&mut self) {
        for rsc in self.facts.rscs.indexes() {
            if self.plan.now.rscs[rsc].dropped {
                self.plan.after_drop(rsc);
            }
        }
    }

    /// A new ordering, with its migration equivalents.
    fn order(&mut self, first: Side, then: Side, kinds: Kinds) {
        orders::add(&mut self.plan, self.facts, first, then, kinds);
    }

    /// The step that was just made has to be done for what is known as the reason.
    fn note_step(&mut self, step: ActIdx) {
        if let Some(cause) = self.why.clone() {
            self.plan.required_by(step, || cause);
        }
    }

    /// A resource's action in the usual case.
    fn ask(&mut self, rsc: RscIdx, task: Task, node: Option<NodeIdx>, optional: bool) -> ActIdx {
        request::task(&mut self.plan, self.facts, rsc, task, node, optional)
    }
}
