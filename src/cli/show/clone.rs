//! Clones: instances with something to say in full, the others gathered by role and node. (spec 4 §5.4)

use std::collections::BTreeMap;

use super::nodes::bracketed;
use super::page::Entry;
use super::resources::{
    entry, is_active, is_disabled, management, masked_probe, shown_role, suffix,
};
use super::status::Wanted;
use crate::policy::facts::Facts;
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::{Role, text::compare_names};

pub(super) fn clone_entry(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Option<Entry> {
    let it = &facts.rscs[rsc];
    let mut gathered = Gathered::default();
    let mut entries = Vec::new();
    for child in &it.children {
        if !wanted.shows_rsc(facts, *child) || wanted.elsewhere(facts, *child) {
            continue;
        }
        let full = in_full(facts, rsc, *child, wanted, &mut gathered);
        if full || wanted.detail {
            entries.extend(entry(facts, *child, wanted));
        }
    }
    if !wanted.detail {
        entries.extend(gathered.lines(facts, rsc));
        if wanted.inactive && !it.flags.unique {
            entries.extend(stopped(facts, rsc, gathered.count(), wanted));
        }
    }
    let nothing_known =
        it.allowed.is_empty() && facts.known[rsc].is_empty() && gathered.count() == 0;
    if entries.is_empty() && !(wanted.inactive && nothing_known) {
        return None;
    }
    Some(Entry::List(title(facts, rsc, wanted), entries))
}

fn title(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> String {
    let it = &facts.rscs[rsc];
    let mut notes = Vec::new();
    if it.flags.promotable {
        notes.push("promotable".to_owned());
    }
    if it.flags.unique {
        notes.push("unique".into());
    }
    if is_disabled(facts, rsc) {
        notes.push("disabled".into());
    }
    notes.extend(management(facts, rsc).map(str::to_owned));
    let configured = it
        .element
        .children()
        .find(|e| matches!(e.tag(), "primitive" | "group"));
    let first = it
        .children
        .first()
        .map(|child| facts.rscs[*child].xml_id.as_str());
    let child = configured
        .and_then(|e| e.id())
        .or(first)
        .unwrap_or_default();
    format!(
        "Clone Set: {} [{child}]{}",
        it.id,
        suffix(facts, rsc, &notes, wanted)
    )
}

/// Nodes with an instance that needs no line of its own.
#[derive(Default)]
struct Gathered<'f> {
    promoted: Vec<&'f str>,
    started: Vec<&'f str>,
}

impl<'f> Gathered<'f> {
    fn count(&self) -> usize {
        self.promoted.len() + self.started.len()
    }

    fn lines(&mut self, facts: &Facts, rsc: RscIdx) -> Vec<Entry> {
        self.promoted.sort_by(|a, b| compare_names(a, b));
        self.started.sort_by(|a, b| compare_names(a, b));
        let started = if !facts.rscs[rsc].flags.promotable {
            "Started"
        } else if configured_role(facts, rsc) == Some(Role::Unpromoted) {
            "Unpromoted (target-role)"
        } else {
            "Unpromoted"
        };
        [("Promoted", &self.promoted), (started, &self.started)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(title, names)| Entry::Item(format!("{title}: {}", bracketed(names))))
            .collect()
    }
}

/// What target-role asks for: of the clone, or else of its first instance.
pub(super) fn configured_role(facts: &Facts, rsc: RscIdx) -> Option<Role> {
    let it = &facts.rscs[rsc];
    let of = |rsc: RscIdx| facts.rscs[rsc].meta.get("target-role");
    let text = of(rsc).or_else(|| it.children.first().and_then(|child| of(*child)))?;
    Role::parse(text)
}

/// Whether an instance gets a line of its own; if not, its node is gathered.
fn in_full<'f>(
    facts: &'f Facts,
    clone: RscIdx,
    child: RscIdx,
    wanted: &Wanted,
    gathered: &mut Gathered<'f>,
) -> bool {
    let it = &facts.rscs[child];
    let some = is_active(facts, child, false);
    if facts.rscs[clone].flags.unique {
        return some || !facts.rscs[clone].flags.removed;
    }
    if wanted.pending && it.pending.is_some() {
        return true;
    }
    if !some {
        return false;
    }
    let parts = facts.descend(child);
    if parts.iter().any(|part| {
        let flags = &facts.rscs[*part].flags;
        flags.removed || !flags.managed || flags.failed
    }) {
        return true;
    }
    if !is_active(facts, child, true) {
        return true;
    }
    let leaves = facts.leaves(child);
    let mut nodes: Vec<NodeIdx> = leaves
        .iter()
        .flat_map(|leaf| facts.rscs[*leaf].active.iter().copied())
        .collect();
    nodes.sort();
    nodes.dedup();
    let [node] = nodes[..] else { return true };
    let node = &facts.nodes[node];
    if !node.online && node.unclean {
        return true;
    }
    let role = leaves.iter().map(|leaf| shown_role(facts, *leaf)).max();
    let promoted = role.is_some_and(|role| role > Role::Unpromoted);
    let list = if promoted {
        &mut gathered.promoted
    } else {
        &mut gathered.started
    };
    list.push(node.name.as_str());
    false
}

/// Nodes where an instance could run and none does.
fn stopped(facts: &Facts, rsc: RscIdx, running: usize, wanted: &Wanted) -> Vec<Entry> {
    let it = &facts.rscs[rsc];
    let max = it.clone_facts().map_or(0, |clone| clone.max as usize);
    if max <= running {
        return Vec::new();
    }
    let nodes: Vec<NodeIdx> = if facts.options.symmetric_cluster && !it.allowed.is_empty() {
        it.allowed.iter().map(|(node, _)| node).collect()
    } else {
        facts.known[rsc].iter().collect()
    };
    let disabled = configured_role(facts, rsc) == Some(Role::Stopped);
    let mut by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let empty = |node: &NodeIdx| !it.active.contains(node) && wanted.shows_node(facts, *node);
    for node in nodes.into_iter().filter(empty) {
        let probe = it
            .children
            .first()
            .and_then(|child| masked_probe(facts, *child, Some(node)));
        let text = match probe {
            Some(exit) => format!("Stopped ({})", exit.text()),
            None if disabled => "Stopped (disabled)".into(),
            None => "Stopped".into(),
        };
        by_text
            .entry(text)
            .or_default()
            .push(facts.nodes[node].name.as_str());
    }
    by_text
        .into_iter()
        .map(|(text, mut names)| {
            names.sort_by(|a, b| compare_names(a, b));
            Entry::Item(format!("{text}: {}", bracketed(&names)))
        })
        .collect()
}
