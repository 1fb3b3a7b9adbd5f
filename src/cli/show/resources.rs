//! The list of resources; clones have their own file. (spec 4 §5)

use super::brief;
use super::clone::clone_entry;
use super::page::Entry;
use super::status::Wanted;
use crate::policy::facts::{Facts, Kind, Replica};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::{OcfExit, OpKey, Role};

/// The heading and every resource that is to be shown; a line that says so when there is none.
pub fn resource_list(facts: &Facts, wanted: &Wanted) -> Entry {
    let shown = facts
        .top
        .iter()
        .copied()
        .filter(|rsc| is_shown(facts, *rsc, wanted));
    let (counted, single): (Vec<RscIdx>, Vec<RscIdx>) = shown.partition(|rsc| {
        wanted.brief && !wanted.by_node && matches!(facts.rscs[*rsc].kind, Kind::Primitive)
    });
    let mut entries = brief::lines(facts, &counted, wanted.inactive);
    entries.extend(
        single
            .into_iter()
            .filter_map(|rsc| entry(facts, rsc, wanted)),
    );
    let (title, nothing) = match (wanted.by_node, wanted.inactive) {
        (true, _) => ("Inactive Resources", "No inactive resources"),
        (false, true) => ("Full List of Resources", "No resources"),
        (false, false) => ("Active Resources", "No active resources"),
    };
    if entries.is_empty() {
        entries.push(Entry::Item(nothing.into()));
    }
    Entry::List(title.into(), entries)
}

fn is_shown(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> bool {
    if facts.rscs[rsc].flags.removed && !is_active(facts, rsc, true) {
        return false;
    }
    if !wanted.shows_rsc(facts, rsc) {
        return false;
    }
    let some = is_active(facts, rsc, false);
    if wanted.by_node {
        return !is_active(facts, rsc, true);
    }
    if !some && !wanted.inactive {
        return false;
    }
    // What is counted is counted on each node by itself.
    let counted = wanted.brief && matches!(facts.rscs[rsc].kind, Kind::Primitive);
    counted || !wanted.elsewhere(facts, rsc)
}

/// A resource and what is in it.
pub(crate) fn entry(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Option<Entry> {
    match &facts.rscs[rsc].kind {
        Kind::Primitive => primitive_entry(facts, rsc, wanted),
        Kind::Group(_) => group_entry(facts, rsc, wanted),
        Kind::Clone(_) => clone_entry(facts, rsc, wanted),
        Kind::Bundle(_) => bundle_entry(facts, rsc, wanted),
    }
}

/// Whether it runs: everywhere it could (`all`), or anywhere. (spec 4 §5.1)
pub(super) fn is_active(facts: &Facts, rsc: RscIdx, all: bool) -> bool {
    let it = &facts.rscs[rsc];
    match &it.kind {
        Kind::Primitive => it.active.iter().any(|node| {
            let node = &facts.nodes[*node];
            node.unclean || node.online || !it.flags.managed
        }),
        Kind::Group(_) | Kind::Clone(_) => {
            let mut children = it
                .children
                .iter()
                .map(|child| is_active(facts, *child, all));
            if all {
                children.all(|active| active)
            } else {
                children.any(|active| active)
            }
        }
        Kind::Bundle(bundle) => {
            let mut parts = bundle.replicas.iter().flat_map(parts_of);
            let found = parts.find(|part| is_active(facts, *part, all) != all);
            found.is_none() == all
        }
    }
}

/// What a replica is made of, in the order in which it is shown.
pub(super) fn parts_of(replica: &Replica) -> impl Iterator<Item = RscIdx> + use<> {
    [
        replica.ip,
        replica.child,
        Some(replica.container),
        replica.connection,
    ]
    .into_iter()
    .flatten()
}

pub(super) fn primitive_entry(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Option<Entry> {
    let it = &facts.rscs[rsc];
    if it.flags.internal && !wanted.detail {
        return None;
    }
    let node = facts
        .current_node(rsc)
        .or_else(|| it.pending.as_ref().map(|pending| pending.node))
        .or_else(|| lock_node(facts, rsc));
    Some(Entry::Item(primitive_line(
        facts,
        rsc,
        it.printable_id().as_str(),
        node,
        wanted,
    )))
}

fn lock_node(facts: &Facts, rsc: RscIdx) -> Option<NodeIdx> {
    facts.rscs[rsc].lock.map(|(node, _)| node)
}

/// The role as people see it: what is started but could be promoted is unpromoted.
pub(crate) fn shown_role(facts: &Facts, rsc: RscIdx) -> Role {
    let role = facts.rscs[rsc].role;
    if role == Role::Started && is_promotable(facts, rsc) {
        Role::Unpromoted
    } else {
        role
    }
}

/// Whether the topmost resource around it (bundles aside) is promotable.
fn is_promotable(facts: &Facts, rsc: RscIdx) -> bool {
    facts.rscs[facts.top_of(rsc)].flags.promotable
}

/// `db (ocf:heartbeat:pgsql): Started n1 (unmanaged)`. (spec 4 §5.2)
pub(super) fn primitive_line(
    facts: &Facts,
    rsc: RscIdx,
    name: &str,
    node: Option<NodeIdx>,
    wanted: &Wanted,
) -> String {
    let it = &facts.rscs[rsc];
    let several = it.active.len() > 1;
    let node = node.filter(|_| !wanted.below_node && !wanted.without_nodes && !several);
    let mut words = vec![format!("{name}\t({}):\t", agent(facts, rsc))];
    if it.flags.removed {
        words.push("ORPHANED".into());
    }
    let role = shown_role(facts, rsc);
    if it.flags.failed {
        words.push("FAILED".into());
        if role > Role::Unpromoted {
            words.push(role.to_string());
        }
    } else {
        let pending = pending_word(facts, rsc).filter(|_| wanted.pending);
        words.push(pending.map_or_else(|| role.to_string(), str::to_owned));
    }
    if let Some(node) = node {
        words.push(facts.nodes[node].name.to_string());
    }
    if role == Role::Stopped
        && let Some(exit) = masked_probe(facts, rsc, node)
    {
        words.push(format!("({})", exit.text()));
    }
    let flags = flags(facts, rsc, node, wanted);
    if !flags.is_empty() {
        words.push(format!("({})", flags.join(", ")));
    }
    if let Some(text) = description(facts, rsc, wanted) {
        words.push(format!("({text})"));
    }
    if several && !wanted.below_node && !wanted.without_nodes {
        let names: Vec<&str> = it
            .active
            .iter()
            .map(|node| facts.nodes[*node].name.as_str())
            .collect();
        words.push(super::nodes::bracketed(&names));
    }
    words.join(" ")
}

/// A primitive with its state, wherever it runs.
pub(crate) fn state_line(facts: &Facts, rsc: RscIdx) -> String {
    let wanted = Wanted {
        below_node: true,
        pending: true,
        ..Wanted::default()
    };
    let name = facts.rscs[rsc].printable_id();
    primitive_line(facts, rsc, name.as_str(), None, &wanted)
}

pub(super) fn agent(facts: &Facts, rsc: RscIdx) -> String {
    let agent = &facts.rscs[rsc].agent;
    match &agent.provider {
        Some(provider) => format!("{}:{provider}:{}", agent.class, agent.kind),
        None => format!("{}:{}", agent.class, agent.kind),
    }
}

/// What is under way, in one word.
pub(super) fn pending_word(facts: &Facts, rsc: RscIdx) -> Option<&'static str> {
    match &*facts.rscs[rsc].pending.as_ref()?.task {
        "start" => Some("Starting"),
        "stop" => Some("Stopping"),
        "migrate_to" | "migrate_from" => Some("Migrating"),
        "promote" => Some("Promoting"),
        "demote" => Some("Demoting"),
        _ => None,
    }
}

fn flags(facts: &Facts, rsc: RscIdx, node: Option<NodeIdx>, wanted: &Wanted) -> Vec<String> {
    let it = &facts.rscs[rsc];
    let mut flags = Vec::new();
    if node.is_some_and(|node| !facts.nodes[node].online && facts.nodes[node].unclean) {
        flags.push("UNCLEAN".into());
    }
    if node.is_some() && node == lock_node(facts, rsc) {
        flags.push("LOCKED".into());
    }
    let monitoring = it
        .pending
        .as_ref()
        .is_some_and(|pending| &*pending.task == "monitor");
    if wanted.pending && monitoring {
        flags.push("Monitoring".into());
    }
    if let Some(target) = it.meta.get("target-role") {
        match Role::parse(target) {
            Some(Role::Stopped) => flags.push("disabled".into()),
            Some(Role::Unpromoted) if is_promotable(facts, rsc) => {
                flags.push(format!("target-role:{target}"));
            }
            _ => {}
        }
    }
    if it.flags.blocked {
        flags.push("blocked".into());
    } else if it.flags.maintenance {
        flags.push("maintenance".into());
    } else if !it.flags.managed {
        flags.push("unmanaged".into());
    }
    if it.flags.failure_ignored {
        flags.push("failure ignored".into());
    }
    flags
}

/// Told not to run (or not to run promoted) by its own target-role. (spec 4 §2.2)
pub(super) fn is_disabled(facts: &Facts, rsc: RscIdx) -> bool {
    match facts.rscs[rsc]
        .meta
        .get("target-role")
        .and_then(Role::parse)
    {
        Some(Role::Stopped) => true,
        Some(Role::Unpromoted) => is_promotable(facts, rsc),
        _ => false,
    }
}

/// A probe that failed in a way which counts as "stopped", for example since the agent is not installed there.
pub(super) fn masked_probe(facts: &Facts, rsc: RscIdx, node: Option<NodeIdx>) -> Option<OcfExit> {
    let it = &facts.rscs[rsc];
    let in_clone = facts.rscs[facts.top_of(rsc)].clone_facts().is_some();
    let found = facts.failed_ops.iter().find(|failed| {
        let names = failed
            .key
            .parse::<OpKey>()
            .is_ok_and(|key| key.rsc == it.id || (in_clone && key.rsc == it.xml_id));
        names && node.is_none_or(|node| node == failed.node) && is_masked(facts, failed)
    })?;
    Some(OcfExit(found.rc))
}

/// Probes that found nothing to probe. (spec 4 §5.2.2)
pub(super) fn is_masked(facts: &Facts, failed: &crate::policy::facts::FailedOp) -> bool {
    const NOT_INSTALLED: i32 = 7;
    let (entry, op) = failed.entry;
    let probe = facts.history.at(entry).recorded.ops[op].is_probe();
    let rc = OcfExit(failed.rc);
    probe
        && (rc == OcfExit::NOT_INSTALLED
            || rc == OcfExit::INVALID_PARAM
            || failed.status == NOT_INSTALLED)
}

fn group_entry(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Option<Entry> {
    let it = &facts.rscs[rsc];
    if !wanted.inactive && !is_active(facts, rsc, false) {
        return None;
    }
    let active = |child: &RscIdx| is_active(facts, *child, false);
    let named = |child: &RscIdx| wanted.names(facts, *child);
    let inactive = it.children.iter().filter(|child| !active(child)).count();
    let mut notes = Vec::new();
    if !wanted.inactive && inactive > 0 {
        notes.push(format!(
            "{inactive} member{} inactive",
            if inactive == 1 { "" } else { "s" }
        ));
    }
    if is_disabled(facts, rsc) {
        notes.push("disabled".into());
    }
    notes.extend(management(facts, rsc).map(str::to_owned));
    let asked = it.children.iter().copied();
    let asked = asked.filter(|child| wanted.shows_rsc(facts, *child));
    let members: Vec<Entry> = if wanted.brief {
        // Those which do not run are in the totals.
        brief::lines(facts, &asked.collect::<Vec<_>>(), true)
    } else {
        asked
            .filter(|child| wanted.inactive || active(child) || named(child))
            .filter_map(|child| primitive_entry(facts, child, wanted))
            .collect()
    };
    let title = format!(
        "Resource Group: {}{}",
        it.id,
        suffix(facts, rsc, &notes, wanted)
    );
    (!members.is_empty()).then_some(Entry::List(title, members))
}

/// `maintenance` or `unmanaged`, if either.
pub(super) fn management(facts: &Facts, rsc: RscIdx) -> Option<&'static str> {
    let flags = &facts.rscs[rsc].flags;
    if flags.maintenance {
        Some("maintenance")
    } else {
        (!flags.managed).then_some("unmanaged")
    }
}

/// What stands in parentheses behind the title of a group or clone.
pub(super) fn suffix(facts: &Facts, rsc: RscIdx, notes: &[String], wanted: &Wanted) -> String {
    let mut text = String::new();
    if !notes.is_empty() {
        text.push_str(&format!(" ({})", notes.join(", ")));
    }
    text + &described(facts, rsc, wanted)
}

fn described(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> String {
    let text = description(facts, rsc, wanted);
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

/// What people wrote about it, where it is wanted or helps to tell what there is more than one of. (spec 4 §5.2)
pub(super) fn description<'f>(facts: &'f Facts, rsc: RscIdx, wanted: &Wanted) -> Option<&'f str> {
    let it = &facts.rscs[rsc];
    let asked = wanted.below_node || wanted.detail || wanted.descriptions;
    let several = it.active.len() > 1;
    it.element.get("description").filter(|_| asked || several)
}

fn bundle_entry(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Option<Entry> {
    let it = &facts.rscs[rsc];
    let bundle = it.bundle()?;
    let set = if bundle.replicas.len() > 1 {
        " set"
    } else {
        ""
    };
    let mut title = format!("Container bundle{set}: {} [{}]", it.id, bundle.image);
    if it.flags.unique {
        title.push_str(" (unique)");
    }
    title.push_str(&described(facts, rsc, wanted));
    if let Some(word) = management(facts, rsc) {
        title.push_str(&format!(" ({word})"));
    }
    let shown = bundle.replicas.iter().filter(|replica| {
        if !parts_of(replica).any(|part| wanted.shows_rsc(facts, part)) {
            return false;
        }
        let active = &facts.rscs[replica.container].active;
        active.is_empty() || active.iter().any(|node| wanted.shows_node(facts, *node))
    });
    let whole = wanted.rscs.is_none() || wanted.names(facts, rsc);
    let replicas: Vec<Entry> = shown
        .flat_map(|replica| replica_entries(facts, (bundle.replicas.len(), whole), replica, wanted))
        .collect();
    (!replicas.is_empty()).then_some(Entry::List(title, replicas))
}

/// `of`: how many replicas there are, and whether the bundle as a whole is asked for, or only parts of it.
fn replica_entries(
    facts: &Facts,
    (of, whole): (usize, bool),
    replica: &Replica,
    wanted: &Wanted,
) -> Vec<Entry> {
    if wanted.detail || !whole {
        let implicit = Wanted {
            detail: true,
            ..wanted.clone()
        };
        let parts = parts_of(replica)
            .filter(|part| wanted.shows_rsc(facts, *part))
            .filter_map(|part| primitive_entry(facts, part, &implicit));
        let parts = Entry::List(String::new(), parts.collect());
        let title = (of > 1).then(|| Entry::Item(format!("Replica[{}]", replica.offset)));
        return title.into_iter().chain([parts]).collect();
    }
    let named = replica.connection.unwrap_or(replica.container);
    let mut name = facts.rscs[named].printable_id().to_string();
    if let Some(address) = &replica.ip_address {
        name.push_str(&format!(" ({address})"));
    }
    let described = replica.child.unwrap_or(replica.container);
    let node = facts
        .current_node(replica.container)
        .or_else(|| lock_node(facts, described));
    vec![Entry::Item(primitive_line(
        facts, described, &name, node, wanted,
    ))]
}
