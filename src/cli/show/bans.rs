//! Constraints that keep a resource off a node. (spec 4 §6.5)

use super::page::Entry;
use super::status::Wanted;
use super::xml::yes_no;
use crate::policy::NodeIdx;
use crate::policy::constraints::{self, Location, RoleFilter};
use crate::policy::facts::Facts;
use crate::policy::report::Cause;
use crate::terms::Score;
use crate::xml::Element;

/// `Negative Location Constraints`, of those whose id begins with the prefix.
pub fn ban_list(facts: &Facts, cib: &Element, prefix: &str, wanted: &Wanted) -> Option<Entry> {
    let lines: Vec<Entry> = bans(facts, cib, prefix, wanted)
        .into_iter()
        .map(|(ban, node, _)| {
            let role = if is_promoted(&ban) {
                "in Promoted role "
            } else {
                ""
            };
            let rsc = &facts.rscs[ban.rsc].id;
            let name = super::node_name(facts, node, wanted);
            Entry::Item(format!(
                "{}\tprevents {rsc} from running {role}on {name}",
                ban.id
            ))
        })
        .collect();
    (!lines.is_empty()).then(|| Entry::List("Negative Location Constraints".into(), lines))
}

/// The same as `bans`.
pub fn ban_elements(
    facts: &Facts,
    cib: &Element,
    prefix: &str,
    wanted: &Wanted,
) -> Option<Element> {
    let elements: Vec<Element> = bans(facts, cib, prefix, wanted)
        .into_iter()
        .map(|(ban, node, score)| {
            let promoted = yes_no(is_promoted(&ban));
            Element::new("ban")
                .with("id", &ban.id)
                .with("resource", facts.rscs[ban.rsc].id.as_str())
                .with("node", facts.nodes[node].name.as_str())
                .with("weight", score.value().to_string())
                .with("promoted-only", promoted)
                .with("master_only", promoted)
        })
        .collect();
    (!elements.is_empty()).then(|| Element::new("bans").with_children(elements))
}

fn is_promoted(ban: &Location) -> bool {
    ban.role == Some(RoleFilter::Promoted)
}

fn bans(
    facts: &Facts,
    cib: &Element,
    prefix: &str,
    wanted: &Wanted,
) -> Vec<(Location, NodeIdx, Score)> {
    let mut found = constraints::read(facts, cib).locations;
    // A rule is known by its own id.
    for location in &mut found {
        if let Cause::Location {
            rule: Some(rule), ..
        } = &location.cause
        {
            location.id = rule.clone();
        }
    }
    let asked = found.into_iter().filter(|location| {
        // Health acts like a location, but nobody wrote it.
        let written = !matches!(location.cause, Cause::Health { .. });
        written && location.id.starts_with(prefix) && wanted.shows_rsc(facts, location.rsc)
    });
    // Quirk: the last one first.
    asked
        .rev()
        .flat_map(|location| {
            let nodes = location.nodes.clone().into_iter().rev();
            nodes
                .filter(|(_, score)| *score < Score::ZERO)
                .map(move |(node, score)| (location.clone(), node, score))
        })
        .collect()
}
