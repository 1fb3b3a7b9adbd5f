//! A whole status: which sections, of which nodes and resources, in how much detail.

use super::page::Entry;
use super::resources::{is_active, is_disabled, parts_of};
use super::{failed_actions, node_attributes, node_list, operations, resource_list, tickets};
use crate::policy::facts::{Facts, Kind};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::Role;

/// What is asked to be shown.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
pub struct Wanted {
    /// Resources that do not run, too.
    pub inactive: bool,
    /// `Starting`, `Stopping` for what is under way.
    pub pending: bool,
    /// Everything about everything: ids, hosts of guests, parts of bundles, all instances.
    pub detail: bool,
    /// What people wrote about resources.
    pub descriptions: bool,
    /// Failures with numbers instead of sentences.
    pub technical: bool,
    /// Resources without the nodes on which they run.
    pub without_nodes: bool,
    /// Resources below their nodes.
    pub by_node: bool,
    /// Written below its node, whose name need not be said again.
    pub below_node: bool,
    /// Primitives are counted per agent.
    pub brief: bool,
    /// When operations ran, how long, and how they ended.
    pub timing: bool,
    /// The sections beside nodes and resources.
    pub attributes: bool,
    /// Fail counts of resources on nodes.
    pub fail_counts: bool,
    /// Failed operations.
    pub failures: bool,
    /// Tickets.
    pub tickets: bool,
    /// Only nodes with one of these names.
    pub nodes: Option<Vec<String>>,
    /// Only resources with one of these ids.
    pub rscs: Option<Vec<String>>,
    /// Local time for dates.
    pub utc_offset_s: i32,
}

impl Wanted {
    pub(super) fn shows_node(&self, facts: &Facts, node: NodeIdx) -> bool {
        let name = facts.nodes[node].name.as_str();
        self.nodes
            .as_ref()
            .is_none_or(|names| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
    }

    /// Whether it runs, and only on nodes that are not asked for.
    pub(super) fn elsewhere(&self, facts: &Facts, rsc: RscIdx) -> bool {
        if self.nodes.is_none() || !is_active(facts, rsc, false) {
            return false;
        }
        let on = |rsc: RscIdx| facts.rscs[rsc].active.iter().copied();
        let mut nodes = parts(facts, rsc).into_iter().chain([rsc]).flat_map(on);
        !nodes.any(|node| self.shows_node(facts, node))
    }

    /// Whether the resource, anything around it or anything in it is asked for. (spec 4 §5.7)
    pub(super) fn shows_rsc(&self, facts: &Facts, rsc: RscIdx) -> bool {
        if self.rscs.is_none() {
            return true;
        }
        let mut at = Some(rsc);
        while let Some(rsc) = at {
            if self.names(facts, rsc) {
                return true;
            }
            at = facts.rscs[rsc].parent;
        }
        facts
            .descend(rsc)
            .into_iter()
            .any(|part| self.names(facts, part))
    }

    /// Whether the history of a primitive is shown: as soon as any other instance of its clone, or any other part of its
    /// bundle, is asked for; but not for the sake of other members of a group. (spec 4 §5.7)
    pub(super) fn shows_history_of(&self, facts: &Facts, rsc: RscIdx) -> bool {
        let root = facts.root_of(rsc);
        if matches!(facts.rscs[root].kind, Kind::Group(_)) {
            return self.shows_rsc(facts, rsc);
        }
        let mut parts = facts.descend(root).into_iter();
        self.shows_rsc(facts, rsc) || parts.any(|part| self.names(facts, part))
    }

    /// Whether a failure is shown: only what is asked for by its own name counts, not the group or clone that it is in.
    pub(super) fn shows_failure_of(&self, facts: &Facts, rsc: RscIdx) -> bool {
        self.rscs.is_none() || self.names(facts, rsc)
    }

    /// Whether it is asked for by its own name.
    pub(super) fn names(&self, facts: &Facts, rsc: RscIdx) -> bool {
        let it = &facts.rscs[rsc];
        let named = |id: &String| it.id == id.as_str() || *it.printable_id() == id.as_str();
        self.rscs.as_ref().is_some_and(|ids| ids.iter().any(named))
    }

    /// Only what belongs to this node, or to nodes with this tag. A name that nobody has selects nothing.
    pub fn only_node(&mut self, facts: &Facts, name: &str) {
        let tagged = facts.tags.get(name).into_iter().flatten();
        let of_tag = tagged
            .filter_map(|id| {
                let mut nodes = facts.nodes.iter();
                nodes.find(|node| node.id == *id || node.name == **id)
            })
            .map(|node| node.name.to_string());
        self.nodes = Some(match facts.node_by_name(name) {
            Some(node) => vec![facts.nodes[node].name.to_string()],
            None => of_tag.collect(),
        });
    }

    /// Only what belongs to this resource, or to resources with this tag.
    pub fn only_rsc(&mut self, facts: &Facts, id: &str) {
        let known = facts
            .rscs
            .iter()
            .any(|it| it.id == id || *it.printable_id() == id);
        let tagged = facts.tags.get(id).into_iter().flatten();
        self.rscs = Some(if known {
            vec![id.to_owned()]
        } else {
            tagged.map(ToString::to_string).collect()
        });
    }

    pub(super) fn date(&self, time_s: i64) -> String {
        super::sections::ctime(time_s, self.utc_offset_s)
    }
}

/// The sections that are asked for, in their order.
pub fn status(facts: &Facts, wanted: &Wanted) -> Vec<Entry> {
    let mut sections = Vec::new();
    sections.extend(node_list(facts, wanted));
    if !wanted.by_node || wanted.inactive {
        sections.push(resource_list(facts, wanted));
    }
    if wanted.attributes {
        sections.extend(node_attributes(facts, wanted));
    }
    if wanted.fail_counts {
        sections.extend(operations(facts, wanted, false));
    }
    if wanted.failures {
        sections.extend(failed_actions(facts, wanted));
    }
    if wanted.tickets {
        sections.extend(tickets(facts, wanted));
    }
    sections
}

/// How many resource instances there are, are told not to run, and are blocked. (spec 4 §2.2)
pub fn instances(facts: &Facts) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    for top in &facts.top {
        for leaf in parts(facts, *top) {
            let it = &facts.rscs[leaf];
            if it.flags.removed && it.role <= Role::Stopped {
                continue;
            }
            counts.0 += 1;
            counts.1 += usize::from(is_disabled(facts, leaf));
            counts.2 += usize::from(it.flags.blocked);
        }
    }
    counts
}

pub(super) fn parts(facts: &Facts, rsc: RscIdx) -> Vec<RscIdx> {
    let it = &facts.rscs[rsc];
    match &it.kind {
        Kind::Primitive => vec![rsc],
        Kind::Bundle(bundle) => bundle.replicas.iter().flat_map(parts_of).collect(),
        Kind::Group(_) | Kind::Clone(_) => it
            .children
            .iter()
            .flat_map(|child| parts(facts, *child))
            .collect(),
    }
}

/// The line that says so, if any instance is disabled or blocked.
pub fn counts_line(facts: &Facts) -> Option<String> {
    let (all, disabled, blocked) = instances(facts);
    (disabled + blocked > 0).then(|| {
        format!(
            "{disabled} of {all} resource instances DISABLED and {blocked} BLOCKED \
             from further action due to failure"
        )
    })
}
