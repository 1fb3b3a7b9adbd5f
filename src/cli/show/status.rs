//! A whole status: which sections, of which nodes and resources, in how much detail.

use super::page::Entry;
use super::resources::{is_disabled, parts_of};
use super::{fail_counts, failed_actions, node_attributes, node_list, resource_list, tickets};
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
    /// Failures with numbers instead of sentences.
    pub technical: bool,
    /// Resources without the nodes on which they run.
    pub without_nodes: bool,
    /// Resources below their nodes.
    pub by_node: bool,
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

    /// Whether the resource or anything around it is asked for.
    pub(super) fn shows_rsc(&self, facts: &Facts, rsc: RscIdx) -> bool {
        let Some(ids) = &self.rscs else { return true };
        let mut at = Some(rsc);
        while let Some(rsc) = at {
            let it = &facts.rscs[rsc];
            if ids
                .iter()
                .any(|id| it.id == id.as_str() || it.xml_id == id.as_str())
            {
                return true;
            }
            at = it.parent;
        }
        false
    }

    pub(super) fn date(&self, time_s: i64) -> String {
        super::sections::ctime(time_s, self.utc_offset_s)
    }
}

/// The sections that are asked for, in their order.
pub fn status(facts: &Facts, wanted: &Wanted) -> Vec<Entry> {
    let mut sections = Vec::new();
    sections.extend(node_list(facts, wanted));
    sections.push(resource_list(facts, wanted));
    if wanted.attributes {
        sections.extend(node_attributes(facts, wanted));
    }
    if wanted.fail_counts {
        sections.push(fail_counts(facts, wanted));
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

fn parts(facts: &Facts, rsc: RscIdx) -> Vec<RscIdx> {
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
