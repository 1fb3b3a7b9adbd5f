//! From a history entry to the resource it is about: by name, by instance, or a resource nobody configured
//! (spec 1 §20).

use super::clone::{self, strip};
use super::history::{HistoryEntry, Recorded};
use super::kept::{self, Known};
use super::{Facts, Kind, Wish, failure, outcome, remote, spec, unpack};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::policy::report::Cause;
use crate::terms::{Role, RscId, Score, text};
use crate::xml::Element;

/// Reads all entries of a node. // spec 1 §19, §20
pub(super) fn read_node(facts: &mut Facts, node: NodeIdx, resources: &Element) {
    let mut launched_removed = false;
    let written = kept::written(facts, node, resources);
    facts.history.begin(node, written.clone());
    for (position, known) in (0..).zip(written.entries.iter()) {
        if is_idle(facts, node, position, known) {
            continue;
        }
        if let Some(rsc) = read_entry(facts, node, position, known) {
            let flags = &facts.rscs[rsc].flags;
            launched_removed |= flags.removed && flags.removed_launched;
        }
    }
    if launched_removed {
        map_launched(facts, resources);
    }
}

/// Whether nothing follows from the entry but that the resource is not there: what reading it to its end would come to for
/// a probe that found nothing, where nothing else counts. Nearly all entries of a large cluster are like that.
fn is_idle(facts: &mut Facts, node: NodeIdx, position: u32, known: &Known) -> bool {
    let Some(rsc) = known.plain.filter(|_| known.idle) else {
        return false;
    };
    // What was said of it once need not be said again, until something else is.
    if !facts.context.resting[rsc] {
        let it = &mut facts.rscs[rsc];
        let expires = it.failure_timeout_ms > 0;
        let locks = facts.options.shutdown_lock;
        if expires || locks || it.flags.connection || it.partial_source.is_some() {
            return false;
        }
        it.role = it.role.max(Role::Stopped);
        it.next_role = it.target_role.unwrap_or(Role::Unknown);
        facts.context.resting[rsc] = true;
    }
    facts.known[rsc].insert(node);
    if facts.context.stops_wished.contains(&rsc) {
        facts.wishes.push(Wish::StopsOptional { rsc, node });
    }
    facts.history.take(position, rsc);
    true
}

/// Reads one entry to its end. // spec 1 §23.1
fn read_entry(facts: &mut Facts, node: NodeIdx, position: u32, known: &Known) -> Option<RscIdx> {
    let recorded = &known.recorded;
    let entry = &recorded.element;
    let has_ops = !recorded.ops.is_empty();
    if !has_ops && !facts.options.shutdown_lock {
        return None;
    }
    let id = recorded.id();
    if id.is_empty() {
        return None;
    }
    let rsc = match known.plain.or_else(|| find(facts, id, node)) {
        Some(rsc) => rsc,
        None if has_ops => removed_resource(facts, entry, id)?,
        None => return None,
    };
    facts.context.resting[rsc] = false;
    let at = facts.history.take(position, rsc);
    if facts.options.shutdown_lock {
        read_lock(facts, rsc, node, entry);
    }
    let saved = std::mem::replace(&mut facts.rscs[rsc].role, Role::Unknown);
    let run = outcome::read_ops(facts, rsc, node, at, recorded);
    if facts.nodes[node].online {
        wish_recurring(facts, rsc, node, recorded);
    }
    failure::settle(facts, &run);
    let it = &mut facts.rscs[rsc];
    if let Some(wanted) = it.target_role
        && (it.next_role == Role::Unknown || wanted < it.next_role)
    {
        it.next_role = wanted;
    }
    it.role = it.role.max(saved);
    Some(rsc)
}

// spec 1 §29.1
fn read_lock(facts: &mut Facts, rsc: RscIdx, node: NodeIdx, entry: &Element) {
    let since = entry
        .get("shutdown-lock")
        .and_then(text::integer)
        .filter(|&since| since != 0);
    let Some(since) = since else { return };
    let limit_s = facts.options.shutdown_lock_limit_s;
    if limit_s > 0 && facts.now_s > since.saturating_add(limit_s) {
        facts.wishes.push(Wish::LrmDelete { rsc, node });
    } else {
        facts.rscs[rsc].lock = Some((node, since));
    }
}

// What already recurs there need not be started. // spec 1 §23.1 step 4
fn wish_recurring(facts: &mut Facts, rsc: RscIdx, node: NodeIdx, entry: &Recorded) {
    let stopped = entry.stopped();
    for (position, op) in (0..).zip(&entry.ops) {
        let before = (stopped && position <= entry.stop_index) || position < entry.start_index;
        if before || op.interval_ms == 0 || op.marks.pending {
            continue;
        }
        let (task, interval_ms) = (Str::clone(&op.task), op.interval_ms);
        facts.wishes.push(Wish::Recurring {
            rsc,
            node,
            task,
            interval_ms,
        });
    }
}

// spec 1 §20.1
fn find(facts: &mut Facts, id: &str, node: NodeIdx) -> Option<RscIdx> {
    let found = match facts.rsc_in_history(id) {
        Some(found) if facts.rscs[found].is_primitive() => found,
        Some(_) => return None,
        None => {
            let zero = facts.rsc_by_id(clone::zero(id).as_str())?;
            if facts.rscs[zero].flags.unique {
                return None;
            }
            zero
        }
    };
    let top = facts.top_of(found);
    let found = if facts.is_anonymous_clone(top) {
        match facts.rscs[top].parent {
            Some(bundle) => {
                let replicas = &facts.rscs[bundle].bundle()?.replicas;
                replicas
                    .iter()
                    .find(|replica| replica.node == Some(node))?
                    .child?
            }
            None => instance_for(facts, top, strip(id), node)?,
        }
    } else {
        found
    };
    let it = &facts.rscs[found];
    // An instance that this node knows by another name too, as stopped, goes by the name under which more is said of it;
    // by the other one it would be stopped there and stay active here, for ever. (not in the specification)
    let two_names = |entry: HistoryEntry<'_>| entry.rsc == Some(found);
    if it.id == *id
        && it.history_id.is_some()
        && it.active.is_empty()
        && facts
            .history
            .of(node)
            .map(|(_, entry)| entry)
            .any(two_names)
    {
        facts.rscs[found].history_id = None;
        return Some(found);
    }
    if it.id != *id && it.history_id.as_ref().is_none_or(|known| *known != *id) {
        facts.rscs[found].history_id = Some(RscId::from(id));
        facts
            .context
            .history_names
            .entry(id.into())
            .or_insert(found);
    }
    Some(found)
}

/// Which instance of an anonymous clone a history entry is about. // spec 1 §20.2
fn instance_for(facts: &mut Facts, clone: RscIdx, base: &str, node: NodeIdx) -> Option<RscIdx> {
    let mut found = None;
    let mut candidate = None;
    let mut skip_inactive = false;
    for at in 0..facts.rscs[clone].children.len() {
        let instance = facts.rscs[clone].children[at];
        match first_location(facts, instance) {
            Some(location) if location == node => {
                let Some(child) = facts.primitive_with_base(instance, base) else {
                    continue;
                };
                if facts.rscs[child].active.is_empty() {
                    found = Some(child);
                    break;
                }
                skip_inactive = true;
            }
            Some(_) => {}
            None if skip_inactive || candidate.is_some() => {}
            None if facts.rscs[instance].flags.blocked => {}
            None => {
                let pending_elsewhere = |rsc: &RscIdx| {
                    facts.rscs[*rsc]
                        .pending
                        .as_ref()
                        .is_some_and(|pending| pending.node != node)
                };
                let inactive = facts.primitive_with_base(instance, base);
                candidate = inactive.filter(|rsc| !pending_elsewhere(rsc));
            }
        }
    }
    let mut chosen = found.or(candidate.filter(|_| !skip_inactive));
    if let Some(rsc) = chosen {
        let it = &facts.nodes[node];
        let nodes = facts.nodes.len();
        if !facts.rscs[rsc].needs_fencing()
            && (!it.online || it.unclean)
            && !facts.is_guest(node)
            && facts.clone_max(clone) as usize != nodes
        {
            chosen = None;
        }
    }
    if chosen.is_some() {
        return chosen;
    }
    match clone::removed_instance(facts, clone) {
        Ok(made) => facts.primitive_with_base(made, base),
        Err(trouble) => {
            facts.warn(trouble);
            None
        }
    }
}

/// The first node where any primitive of an instance is active or has an action under way.
fn first_location(facts: &Facts, instance: RscIdx) -> Option<NodeIdx> {
    facts.find_leaf(instance, &mut |leaf| {
        let it = &facts.rscs[leaf];
        it.active
            .first()
            .copied()
            .or_else(|| it.pending.as_ref().map(|pending| pending.node))
    })
}

/// A resource that only history knows. // spec 1 §20.4, §20.5
fn removed_resource(facts: &mut Facts, entry: &Element, id: &str) -> Option<RscIdx> {
    let mut element = Element::new("primitive");
    for (name, value) in entry.attrs() {
        element.set(name, value);
    }
    let made =
        spec::read(facts, &element).and_then(|spec| unpack::resource(facts, &spec, None, None));
    let rsc = match made {
        Ok(rsc) => rsc,
        Err(trouble) => {
            facts.warn(trouble);
            return None;
        }
    };
    facts.top.push(rsc);
    facts.register(rsc);
    let flags = &mut facts.rscs[rsc].flags;
    flags.removed = true;
    flags.removed_launched = entry.get("container").is_some();
    if facts.rscs[rsc].flags.connection {
        remote::ensure_node(facts, id);
        remote::link_connection(facts, rsc);
        if let Some(node) = facts.node_by_name(id) {
            facts.nodes[node].shutdown = true;
        }
    }
    if facts.options.stop_removed_resources {
        facts.add_location_everywhere(rsc, Score::MINUS_INFINITY, &Cause::Removed);
    } else {
        facts.rscs[rsc].flags.managed = false;
    }
    Some(rsc)
}

// spec 1 §20.6
fn map_launched(facts: &mut Facts, resources: &Element) {
    for entry in resources.children_named("lrm_resource") {
        let (Some(id), Some(container)) = (entry.get("id"), entry.get("container")) else {
            continue;
        };
        let (Some(rsc), Some(launcher)) = (facts.rsc_by_id(id), facts.rsc_by_id(container)) else {
            continue;
        };
        if facts.rscs[rsc].flags.removed_launched && facts.rscs[rsc].launcher.is_none() {
            facts.rscs[rsc].launcher = Some(launcher);
            facts.rscs[launcher].launched.push(rsc);
        }
    }
}

impl Facts {
    /// The resource that an entry of this id is about, if nothing but the configuration decides that: it has exactly this
    /// name, and is in no clone and no bundle.
    pub(super) fn plain_in_history(&self, id: &str) -> Option<RscIdx> {
        self.rsc_by_id(id).filter(|rsc| self.is_plain(*rsc))
    }

    /// Whether it is a configured primitive in no clone and no bundle.
    pub(in super::super) fn is_plain(&self, rsc: RscIdx) -> bool {
        let it = &self.rscs[rsc];
        let top = it.parent.map_or(it, |parent| &self.rscs[parent]);
        let alone = matches!(top.kind, Kind::Primitive | Kind::Group(_)) && top.parent.is_none();
        it.is_primitive() && alone && !it.flags.removed
    }

    /// The resource with this id, or known under it in history. // spec 1 §20.1
    fn rsc_in_history(&self, id: &str) -> Option<RscIdx> {
        self.rsc_by_id(id)
            .or_else(|| self.context.history_names.get(id).copied())
    }
}
