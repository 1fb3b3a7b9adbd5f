//! Live migrations caught half-way: the two sides are recorded on two nodes, and which one is to be believed follows
//! from what else either node has recorded since (spec 1 §24).

use super::Facts;
use super::history::{self, HistoryOp};
use super::outcome::{Run, Seen};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::terms::Role;

/// Both ends of a migration, by name.
struct Ends {
    source: String,
    target: String,
}

impl Ends {
    fn of(op: &HistoryOp) -> Option<Self> {
        Some(Self {
            source: op.element.get("migrate_source")?.to_owned(),
            target: op.element.get("migrate_target")?.to_owned(),
        })
    }
}

/// Ends of the migration if this entry has an effect: it must be about the node that recorded it.
fn ends(facts: &Facts, run: &Run, op: &HistoryOp) -> Option<Ends> {
    let ends = Ends::of(op)?;
    let here = if &*op.task == "migrate_to" {
        &ends.source
    } else {
        &ends.target
    };
    facts.nodes[run.node]
        .name
        .as_str()
        .eq_ignore_ascii_case(here)
        .then_some(ends)
}

// spec 1 §24.1
pub(super) fn migrate_to_succeeded(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    let (rsc, node) = (run.rsc, run.node);
    let to = &seen.op;
    let Some(Ends { source, target }) = ends(facts, run, to) else {
        return;
    };
    let source_moved_on = facts.acted_after(rsc, &source, to);
    let from = facts.recorded(rsc, "migrate_from", &target, Some(&source));
    if from.is_some() && source_moved_on {
        return;
    }
    let target_moved_on = facts.newer_state(rsc, &target, Some(to), from.as_ref());
    if source_moved_on && target_moved_on {
        return;
    }
    if from
        .as_ref()
        .is_some_and(|from| from.rc == Some(0) && from.status == Some(0))
    {
        let it = &mut facts.rscs[rsc];
        it.role = Role::Stopped;
        it.dangling_sources.insert(0, node);
        return;
    }
    facts.rscs[rsc].role = Role::Started;
    let target_node = facts.node_by_name(&target);
    let online = |node: &NodeIdx| facts.nodes[*node].online;
    let active_target = target_node.filter(online).filter(|_| !target_moved_on);
    if let Some(from) = &from
        && from.status != Some(-1)
    {
        match active_target {
            Some(target) => facts.becomes_active(rsc, target, true),
            None => give_up(facts, rsc),
        }
        return;
    }
    if target_node.is_some_and(|node| online(&node)) && facts.unknown_on(rsc, &target) {
        // It will be probed there.
        return;
    }
    if let Some(target) = active_target {
        facts.becomes_active(rsc, target, false);
        let source = facts
            .node_by_name(&source)
            .filter(|&node| facts.nodes[node].online);
        if let Some(source) = source {
            facts.rscs[rsc].partial_source = Some(source);
            facts.rscs[rsc].partial_target = Some(target);
        }
    } else if !source_moved_on {
        give_up(facts, rsc);
    }
}

fn give_up(facts: &mut Facts, rsc: RscIdx) {
    facts.require_stop(rsc);
    facts.rscs[rsc].flags.migratable = false;
}

// spec 1 §24.2
pub(super) fn migrate_to_failed(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    let (rsc, node) = (run.rsc, run.node);
    let to = &seen.op;
    let Some(Ends { source, target }) = ends(facts, run, to) else {
        return;
    };
    facts.rscs[rsc].role = Role::Started;
    let from = facts.recorded_ok(rsc, "migrate_from", &target, &source);
    let on_target = !facts.unknown_on(rsc, &target)
        && !facts.newer_state(rsc, &target, Some(to), from.as_ref());
    if on_target {
        if let Some(target) = facts.online_by_name(&target) {
            facts.becomes_active(rsc, target, false);
        }
    } else if !facts.acted_after(rsc, &source, to) {
        facts.rscs[rsc].dangling_sources.insert(0, node);
    }
}

// spec 1 §24.3
pub(super) fn migrate_from_failed(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    let rsc = run.rsc;
    let from = &seen.op;
    let Some(Ends { source, target }) = ends(facts, run, from) else {
        return;
    };
    facts.rscs[rsc].role = Role::Started;
    let to = facts.recorded_ok(rsc, "migrate_to", &source, &target);
    if !facts.unknown_on(rsc, &source)
        && !facts.newer_state(rsc, &source, to.as_ref(), Some(from))
        && let Some(source) = facts.online_by_name(&source)
    {
        facts.becomes_active(rsc, source, true);
    }
}

/// Facts about the raw document, by the resource's own id and a node's name.
impl Facts {
    fn online_by_name(&self, name: &str) -> Option<NodeIdx> {
        self.node_by_name(name)
            .filter(|&node| self.nodes[node].online)
    }

    /// What the history of a node with this name has of a resource with this id.
    pub(super) fn recorded_ops(&self, id: &str, node: &str) -> Vec<HistoryOp> {
        let states = self
            .context
            .status
            .iter()
            .flat_map(|status| status.children());
        states
            .filter(|state| state.is("node_state") && state.get("uname") == Some(node))
            .filter_map(|state| state.descend(&["lrm", "lrm_resources"]))
            .flat_map(|resources| resources.children_named("lrm_resource"))
            .filter(|entry| entry.get("id") == Some(id))
            .flat_map(|entry| entry.children_named("lrm_rsc_op"))
            .map(HistoryOp::read)
            .collect()
    }

    /// *op(task, node, peer)*: the unique match.
    fn recorded(
        &self,
        rsc: RscIdx,
        task: &str,
        node: &str,
        peer: Option<&str>,
    ) -> Option<HistoryOp> {
        let peer_name = if task == "migrate_to" {
            "migrate_target"
        } else {
            "migrate_source"
        };
        let wanted = |op: &HistoryOp| {
            &*op.task == task && (peer.is_none() || op.element.get(peer_name) == peer)
        };
        let mut found = self
            .recorded_ops(self.rscs[rsc].id.as_str(), node)
            .into_iter()
            .filter(wanted);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    fn recorded_ok(&self, rsc: RscIdx, task: &str, node: &str, peer: &str) -> Option<HistoryOp> {
        self.recorded(rsc, task, node, Some(peer))
            .filter(|op| op.rc == Some(0) && op.status == Some(0))
    }

    /// *unknown on node*: nothing recorded there that has ended.
    fn unknown_on(&self, rsc: RscIdx, node: &str) -> bool {
        self.recorded_ops(self.rscs[rsc].id.as_str(), node)
            .iter()
            .all(|op| op.rc == Some(193))
    }

    /// *non-monitor after X on node*.
    fn acted_after(&self, rsc: RscIdx, node: &str, than: &HistoryOp) -> bool {
        self.recorded_ops(self.rscs[rsc].id.as_str(), node)
            .iter()
            .any(|op| {
                matches!(&*op.task, "start" | "stop" | "migrate_to" | "migrate_from")
                    && history::compare(op, than).is_gt()
            })
    }

    /// *not running after X on node*: needs the monitor to be the only one.
    fn stopped_after(&self, rsc: RscIdx, node: &str, than: &HistoryOp) -> bool {
        self.recorded(rsc, "monitor", node, None).is_some_and(|op| {
            op.rc == Some(7) && op.status == Some(0) && history::compare(&op, than).is_gt()
        })
    }

    /// *newer state after (to, from) on node*.
    fn newer_state(
        &self,
        rsc: RscIdx,
        node: &str,
        to: Option<&HistoryOp>,
        from: Option<&HistoryOp>,
    ) -> bool {
        let source = from.or(to).and_then(|op| op.element.get("migrate_source"));
        let than = match (to, from) {
            (Some(to), _) if source == Some(node) => Some(to),
            (to, from) => from.or(to),
        };
        than.is_some_and(|than| {
            self.acted_after(rsc, node, than) || self.stopped_after(rsc, node, than)
        })
    }
}
