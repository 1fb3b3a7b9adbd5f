//! Clones: how many instances, and their making (spec 1 §13).

use std::sync::Arc;

use super::resource::{Clone, Kind};
use super::spec::{Invalid, Spec};
use super::{Facts, unpack};
use crate::policy::index::RscIdx;
use crate::terms::{RscId, text};

/// So many instances are made at most, unless more of them can run.
const MANY: u32 = 1_000;
/// So many are made at most, whatever can run.
const MOST: u32 = 10_000;

/// How many instances are made of so many: one mistyped number must not take all memory of the coordinator, and of the next
/// one after it. (not in the specification)
pub(super) fn bounded(
    facts: &mut Facts,
    id: &str,
    option: &str,
    wanted: u32,
    per_node: u32,
) -> u32 {
    let nodes = u32::try_from(facts.nodes.len()).unwrap_or(u32::MAX);
    let most = nodes.saturating_mul(per_node).clamp(MANY, MOST);
    if wanted > most {
        facts.warn(format!(
            "`{id}` has {option}={wanted}, of which {most} are made: set {option} to how many there should be"
        ));
    }
    wanted.min(most)
}

/// Reads the clone's own options and makes its instances. // spec 1 §13.1
pub(super) fn unpack(facts: &mut Facts, at: RscIdx, spec: &Arc<Spec>) -> Result<(), Invalid> {
    let nodes = u32::try_from(facts.nodes.len()).unwrap_or(u32::MAX);
    let rsc = &facts.rscs[at];
    let unique = rsc.flags.unique;
    let promotable = rsc.flags.promotable;
    let get = |names: &[&str]| names.iter().find_map(|name| rsc.meta.get(name));
    let number = |names: &[&str], default: u32| match get(names) {
        None => default,
        Some(value) => text::integer(value)
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(0),
    };
    let mut clone = Clone {
        max: number(&["clone-max"], nodes.max(1)),
        node_max: number(&["clone-node-max"], 1),
        promoted_max: 0,
        promoted_node_max: 0,
        ordered: text::is_true(get(&["ordered"])),
        interleave: text::is_true(get(&["interleave"])),
        min: get(&["clone-min"]).map(|_| number(&["clone-min"], 0)),
    };
    if promotable {
        clone.promoted_max = number(&["promoted-max", "master-max"], 1);
        clone.promoted_node_max = number(&["promoted-node-max", "master-node-max"], 1);
    }
    if !unique && clone.node_max > 1 {
        clone.node_max = 1;
    }
    let id = facts.rscs[at].id.clone();
    clone.max = bounded(facts, id.as_str(), "clone-max", clone.max, clone.node_max);
    let rsc = &mut facts.rscs[at];
    rsc.kind = Kind::Clone(clone);
    // spec 1 §11.2
    rsc.meta.add("resource-stickiness", "1");
    rsc.meta
        .set("globally-unique", if unique { "true" } else { "false" });
    if clone.max == 0 {
        instance(facts, at, spec)?;
        return Ok(());
    }
    // Making the first one may lower the maximum.
    while facts.rscs[at].children.len() < facts.clone_max(at) as usize {
        instance(facts, at, spec)?;
    }
    Ok(())
}

/// Makes the next instance; beyond clone-max it is removed from the start. // spec 1 §13.3
pub(super) fn instance(
    facts: &mut Facts,
    clone: RscIdx,
    spec: &Arc<Spec>,
) -> Result<RscIdx, Invalid> {
    let made = u32::try_from(facts.rscs[clone].children.len()).unwrap_or(u32::MAX);
    let child = spec.children.first().expect("a clone's spec has its child");
    let max_before = facts.clone_max(clone);
    let child = unpack::resource(facts, child, Some(clone), Some(made))?;
    facts.rscs[clone].children.push(child);
    if made >= max_before {
        for at in facts.descend(child) {
            facts.rscs[at].flags.removed = true;
        }
    }
    let max = facts.clone_max(clone).to_string();
    facts.rscs[child].meta.set("clone-max", max);
    Ok(child)
}

/// An instance beyond what is configured, for history that has more. // spec 1 §20.2
pub(super) fn removed_instance(facts: &mut Facts, clone: RscIdx) -> Result<RscIdx, Invalid> {
    let spec = Arc::clone(&facts.rscs[clone].spec);
    let made = instance(facts, clone, &spec)?;
    for at in facts.descend(made) {
        facts.rscs[at].flags.removed = true;
    }
    facts.register(made);
    Ok(made)
}

/// The agent can't tell instances apart, so they are anonymous after all. // spec 1 §13.2
pub(super) fn force_anonymous(facts: &mut Facts, clone: RscIdx, member: RscIdx) {
    let nodes = u32::try_from(facts.nodes.len()).unwrap_or(u32::MAX);
    let mut changed = facts.descend(clone);
    let mut at = Some(member);
    while let Some(ancestor) = at.filter(|&ancestor| ancestor != clone) {
        changed.extend(facts.descend(ancestor));
        at = facts.rscs[ancestor].parent;
    }
    for at in changed {
        let rsc = &mut facts.rscs[at];
        rsc.flags.unique = false;
        rsc.meta.set("globally-unique", "false");
    }
    if let Kind::Clone(clone) = &mut facts.rscs[clone].kind {
        clone.node_max = 1;
        clone.max = clone.max.min(nodes);
    }
}

impl Facts {
    pub(super) fn clone_max(&self, clone: RscIdx) -> u32 {
        self.rscs[clone].clone_facts().map_or(0, |clone| clone.max)
    }

    /// An anonymous clone. // spec 1 §20
    pub(super) fn is_anonymous_clone(&self, rsc: RscIdx) -> bool {
        let rsc = &self.rscs[rsc];
        matches!(rsc.kind, Kind::Clone(_)) && !rsc.flags.unique
    }

    /// The primitive with this base name at or below a resource. // spec 1 §20.2
    pub(super) fn primitive_with_base(&self, rsc: RscIdx, base: &str) -> Option<RscIdx> {
        self.find_leaf(rsc, &mut |leaf| {
            (self.rscs[leaf].xml_id == *base).then_some(leaf)
        })
    }
}

/// An id without its instance number. // spec 1 §1.8
pub(super) fn strip(id: &str) -> &str {
    match id.rsplit_once(':') {
        Some((base, number))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            base
        }
        _ => id,
    }
}

/// Whether an id carries an instance number, and the base of it.
pub(super) fn zero(id: &str) -> RscId {
    RscId::from(format!("{}:0", strip(id)))
}
