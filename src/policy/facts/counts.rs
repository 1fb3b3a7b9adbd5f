//! What is left when history has been read: health, and counts for display (spec 1 §30, §32).

use super::options::HealthStrategy;
use super::{Counts, Facts};
use crate::terms::{Role, Score};

/// Sums up the health attributes of every node. // spec 1 §30
pub(super) fn health(facts: &mut Facts) {
    if facts.options.health_strategy == HealthStrategy::None {
        return;
    }
    let base = match facts.options.health_strategy {
        HealthStrategy::Progressive => facts.options.health_base,
        _ => Score::ZERO,
    };
    let colours = facts.options.health;
    for node in facts.nodes.iter_mut() {
        let scores = node.attributes.with_prefix("#health");
        node.health = scores
            .filter_map(|(_, value)| colours.parse(value))
            .fold(base, |a, b| a + b);
    }
}

/// Counts instances. // spec 1 §32
pub(super) fn count(facts: &mut Facts) {
    let mut counts = Counts::default();
    for &top in &facts.top {
        for leaf in facts.leaves(top) {
            let rsc = &facts.rscs[leaf];
            if rsc.flags.removed && rsc.role <= Role::Stopped {
                continue;
            }
            counts.instances += 1;
            // spec 1 §9.6
            if rsc.target_role == Some(Role::Stopped) {
                counts.disabled += 1;
                counts.blocked += u32::from(rsc.flags.blocked);
            }
        }
    }
    facts.counts = counts;
}
