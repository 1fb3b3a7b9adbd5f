//! Which instance of one collective goes with an instance of another: the one on the same node. spec 3 §9.7.2

use super::super::RscIdx;
use super::super::actions::plan::Plan;
use super::super::assign::now::Now;
use super::super::assign::{Placement, instance};
use super::super::facts::{Facts, Kind};
use crate::terms::Role;

/// A clone's instances or a bundle's containers, in present order.
pub(super) fn instances(plan: &Plan, facts: &Facts, rsc: RscIdx) -> Vec<RscIdx> {
    match &facts.rscs[rsc].kind {
        Kind::Bundle(bundle) => bundle
            .replicas
            .iter()
            .map(|replica| replica.container)
            .collect(),
        _ => plan.now.rscs[rsc].children.clone(),
    }
}

/// The instance of `collective` compatible with `own`. spec 3 §9.7.2
pub(super) fn compatible(
    facts: &Facts,
    place: &Placement,
    now: &Now,
    collective: RscIdx,
    own: RscIdx,
    role: Option<Role>,
    current: bool,
) -> Option<RscIdx> {
    let single = if current {
        now.single_active(facts, own)
    } else {
        now.single_assigned(own)
    };
    let nodes = match single {
        Some(node) => vec![node],
        None => instance::by_score(facts, now, &place.allowed[own], &place.capacity, None),
    };
    nodes
        .into_iter()
        .find_map(|node| instance::on_node(facts, now, collective, node, role, current, None))
}
