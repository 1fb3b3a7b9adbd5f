//! Ordering lets every relation have its effect: who must, may and can't be done follows from the others.
//! Enters: `Facts`, `Constraints`, `Placement`, and the `Plan` with its actions and orderings.
//! Leaves: the same `Plan`, settled.
//! May touch: nothing; it is pure.

mod colocated;
pub(super) mod derived;
mod expand;
mod instance;
mod invalid;
mod probes;
mod settle;
mod update;

use super::actions::plan::Plan;
use super::assign::Placement;
use super::facts::Facts;
use settle::Settle;

/// Orderings become relations, and relations act until nothing changes. spec 3 §13.4
#[must_use]
pub fn settle(facts: &Facts, place: &Placement, mut plan: Plan) -> Plan {
    expand::expand(&mut plan, facts);
    let mut walk = Settle::new(facts, place, plan);
    for action in walk.plan.newest_first() {
        walk.block_colocated(action);
    }
    probes::order(&mut walk.plan, facts, place);
    walk.all();
    walk.behind_the_blocked();
    let exhausted = walk.exhausted();
    let mut plan = walk.plan;
    plan.unsettled = exhausted;
    invalid::disable(&mut plan, facts);
    plan
}
