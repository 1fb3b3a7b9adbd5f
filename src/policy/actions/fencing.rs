//! Fencing: who must be fenced, whether that can be done, and its order against everything else. spec 3 §12

use std::sync::Arc;

use super::super::facts::{Facts, Kind, NodeKind, QuorumPolicy};
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::Make;
use super::plan::{ActIdx, Flags, Key, Kinds, Order, Origin, Plan, Side, Task};
use crate::terms::Role;

/// "Fence this node because ...": marks it; the action stays optional until the fencing phase. spec 3 §12.1
pub(in super::super) fn want(
    plan: &mut Plan,
    facts: &Facts,
    node: NodeIdx,
    reason: &str,
    priority_delay: bool,
    cause: impl FnOnce() -> Cause,
) {
    if facts.is_guest(node) {
        if let Some(host) = facts.host_container(node)
            && !plan.now.rscs[host].failed
            && plan.now.rscs[host].managed
        {
            plan.now.nodes[node].remote_reset = true;
            fail(plan, host);
        }
        return;
    }
    let fact = &facts.nodes[node];
    if fact.pacemaker_remote {
        let connection = fact.connection;
        if let Some(rsc) = connection
            && facts.rscs[rsc].flags.removed_launched
            && facts.rscs[rsc].launcher.is_none()
        {
            fail(plan, rsc);
            return;
        }
        if connection.is_none_or(|rsc| plan.now.rscs[rsc].managed) {
            plan.now.nodes[node].remote_reset = true;
        }
    } else if plan.now.nodes[node].unclean {
        return;
    }
    plan.now.nodes[node].unclean = true;
    let fence = action(plan, facts, node, None, true, Some(reason), priority_delay);
    plan.required_by(fence, cause);
}

fn fail(plan: &mut Plan, rsc: RscIdx) {
    plan.now.rscs[rsc].failed = true;
    plan.now.rscs[rsc].stop_if_failed = true;
}

/// The fencing action of a node, made if missing. spec 3 §12.2
pub(in super::super) fn action(
    plan: &mut Plan,
    facts: &Facts,
    node: NodeIdx,
    operation: Option<&str>,
    optional: bool,
    reason: Option<&str>,
    priority_delay: bool,
) -> ActIdx {
    let operation = operation.unwrap_or(&facts.options.fencing_action);
    let name = plan.task(&format!("stonith-{}-{operation}", facts.nodes[node].name));
    let mut changed_devices = false;
    let idx = match plan.named(name) {
        Some(idx) => idx,
        None => {
            let idx = plan.new_action(
                Task::FENCE,
                Key::of(name),
                None,
                Some(node),
                Flags::OPTIONAL | Flags::RUNNABLE,
            );
            let fact = &facts.nodes[node];
            let meta = &mut plan.get_mut(idx).meta;
            meta.set("on_node", fact.name.as_str());
            meta.set("on_node_uuid", &*fact.id);
            meta.set("stonith_action", operation);
            if facts.unfencing {
                changed_devices = device_digests(plan, facts, idx, node);
            }
            idx
        }
    };
    delay(plan, facts, idx, node, priority_delay);
    if (!optional || changed_devices) && possible(plan, facts, node) {
        plan.get_mut(idx).flags.clear(Flags::OPTIONAL);
        if changed_devices {
            plan.required_by(idx, || Cause::DefinitionChanged);
        }
    }
    if let Some(reason) = reason {
        plan.get_mut(idx)
            .reason
            .get_or_insert_with(|| Arc::from(reason));
    }
    idx
}

/// The definitions of unfencing devices go along; a changed one asks for unfencing. spec 1 §28.4
fn device_digests(plan: &mut Plan, facts: &Facts, idx: ActIdx, node: NodeIdx) -> bool {
    let mut devices = Vec::new();
    for top in &facts.top {
        for leaf in facts.leaves(*top) {
            let fact = &facts.rscs[leaf];
            let unfences = fact.requires == super::super::facts::Requires::Unfencing
                || fact.meta.get("provides") == Some("unfencing");
            if fact.flags.fence_device && unfences {
                devices.insert(0, leaf);
            }
        }
    }
    let attributes = &facts.nodes[node].attributes;
    let (mut all, mut secure, mut changed) = (String::new(), String::new(), false);
    for device in devices {
        let digests = facts.digests(device, "stonith-on", 0, node, None, None);
        let id = &facts.rscs[device].id;
        let agent = &facts.rscs[device].agent.kind;
        let main = format!("{id}:{agent}:{}", digests.main);
        let private = format!(
            "{id}:{agent}:{}",
            digests.secure.as_deref().unwrap_or_default()
        );
        if let Some(known) = attributes.get("#digests-all") {
            let known_secure = attributes.get("#digests-secure").unwrap_or("");
            changed |= !known.contains(&main) && !known_secure.contains(&private);
        }
        all.push_str(&main);
        all.push(',');
        secure.push_str(&private);
        secure.push(',');
    }
    let meta = &mut plan.get_mut(idx).meta;
    meta.set("digests-all", all);
    meta.set("digests-secure", secure);
    changed
}

/// spec 3 §12.5
fn delay(plan: &mut Plan, facts: &Facts, idx: ActIdx, node: NodeIdx, asked: bool) {
    const NAME: &str = "priority-fencing-delay";
    let configured = facts.options.priority_fencing_delay_s;
    if configured <= 0 || !(asked || plan.get(idx).meta.contains(NAME)) {
        return;
    }
    let members: Vec<NodeIdx> = facts
        .node_order
        .iter()
        .copied()
        .filter(|node| !facts.nodes[*node].pacemaker_remote)
        .collect();
    let online = members
        .iter()
        .filter(|node| plan.now.nodes[**node].online)
        .count();
    let priority = |node: NodeIdx| facts.nodes[node].priority;
    let top = members
        .iter()
        .map(|node| priority(*node))
        .max()
        .unwrap_or(0);
    let lowest = members
        .iter()
        .map(|node| priority(*node))
        .min()
        .unwrap_or(0);
    let applies = !facts.nodes[node].pacemaker_remote
        && !plan.now.nodes[node].online
        && online <= members.len() / 2
        && top != lowest
        && priority(node) == top;
    let seconds = if applies { configured } else { 0 };
    plan.get_mut(idx).meta.set(NAME, seconds.to_string());
}

/// Can the node be fenced? spec 3 §12.3
pub(in super::super) fn possible(plan: &Plan, facts: &Facts, node: NodeIdx) -> bool {
    if facts.is_guest(node) {
        let Some(host) = facts.host_container(node) else {
            return true;
        };
        return facts.rscs[host]
            .active
            .iter()
            .all(|on| plan.now.nodes[*on].online || possible(plan, facts, *on));
    }
    if !facts.options.fencing_enabled || !facts.fence_device_known {
        return false;
    }
    if facts.quorate || facts.options.no_quorum_policy == QuorumPolicy::Ignore {
        return true;
    }
    if !plan.now.nodes[node].online {
        return false;
    }
    let fact = &facts.nodes[node];
    if !fact.pacemaker_remote || facts.options.fence_remote_without_quorum {
        return true;
    }
    fact.connection.is_none_or(|rsc| {
        facts.rscs[rsc]
            .allowed
            .iter()
            .all(|(on, _)| plan.now.nodes[on].online)
    })
}

/// Stop before unfencing before start, on each node. spec 3 §8.1 rule 4
pub(super) fn unfence_between(plan: &mut Plan, facts: &Facts, rsc: RscIdx) {
    for node in &facts.node_order {
        if !facts.rscs[rsc].allowed.contains(*node) {
            continue;
        }
        let unfence = Side::action(action(plan, facts, *node, Some("on"), true, None, false));
        let on_node = Kinds::ORD | Kinds::SAME_NODE;
        plan.orders.push(Order {
            first: Side::task(rsc, Task::STOP),
            then: unfence,
            kinds: on_node,
            origin: Origin::default(),
        });
        let kinds = Kinds::FIRST_PULLS_LOCAL | Kinds::SAME_NODE;
        plan.orders.push(Order {
            first: unfence,
            then: Side::task(rsc, Task::START),
            kinds,
            origin: Origin::default(),
        });
    }
}

/// An action that needs its node unfenced comes after that. spec 3 §12.4
pub(super) fn after_unfencing(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    node: NodeIdx,
    idx: ActIdx,
    kinds: Kinds,
) {
    let fact = &facts.rscs[rsc];
    let needs = fact.requires == super::super::facts::Requires::Unfencing;
    if !(needs || (fact.flags.fence_device && facts.unfencing)) {
        return;
    }
    let unfence = action(plan, facts, node, Some("on"), true, None, false);
    plan.relate(unfence, idx, kinds);
    let unfenced = facts.nodes[node].attributes.get("#node-unfenced");
    if unfenced.is_none_or(|text| text == "0") {
        let task = Arc::clone(plan.name(plan.get(idx).task));
        let reason = format!("required by {} {task}", fact.id);
        require_unfencing(plan, facts, None, Some(node), &reason);
        plan.required_by(unfence, || Cause::Meta {
            rsc,
            name: "requires",
        });
    }
}

/// spec 3 §12.4b
pub(super) fn require_unfencing(
    plan: &mut Plan,
    facts: &Facts,
    device: Option<RscIdx>,
    node: Option<NodeIdx>,
    reason: &str,
) {
    if !facts.unfencing || device.is_some_and(|device| !facts.rscs[device].flags.fence_device) {
        return;
    }
    let fit = |plan: &Plan, node: NodeIdx| plan.now.clean(node) && !plan.now.nodes[node].shutdown;
    if let Some(node) = node.filter(|node| fit(plan, *node)) {
        let idx = action(plan, facts, node, Some("on"), false, Some(reason), false);
        if device.is_some() {
            plan.required_by(idx, || Cause::DefinitionChanged);
        }
    } else if let Some(device) = device {
        for node in &facts.node_order {
            if facts.rscs[device].allowed.contains(*node) && fit(plan, *node) {
                let idx = action(plan, facts, *node, Some("on"), false, Some(reason), false);
                plan.required_by(idx, || Cause::DefinitionChanged);
            }
        }
    }
}

impl Make<'_> {
    /// Fencing of what is lost, shutdown of what leaves, and both against everything. spec 3 §12.6
    pub(super) fn fence_and_shut_down(&mut self) {
        let facts = self.facts;
        let managed = facts.top.iter().any(|top| {
            facts
                .descend(*top)
                .iter()
                .any(|rsc| facts.rscs[*rsc].is_primitive() && self.plan.now.rscs[*rsc].managed)
        });
        let concurrent = facts.options.concurrent_fencing;
        let (mut dc_down, mut fencings, mut shutdowns) = (None, Vec::new(), Vec::new());
        for node in &facts.node_order {
            let node = *node;
            let now = &self.plan.now.nodes[node];
            if facts.is_guest(node) {
                if now.remote_reset && managed && possible(&self.plan, facts, node) {
                    self.fence_guest(node);
                }
                continue;
            }
            if now.unclean && managed && possible(&self.plan, facts, node) {
                let idx = action(
                    &mut self.plan,
                    facts,
                    node,
                    None,
                    false,
                    Some("node is unclean"),
                    false,
                );
                self.plan
                    .required_by(idx, || Cause::NodeState("node is unclean"));
                self.against_everything(idx, node);
                if facts.nodes[node].is_dc {
                    dc_down = Some(idx);
                } else {
                    if !concurrent && let Some(previous) = fencings.last() {
                        self.plan.relate(*previous, idx, Kinds::ORD);
                    }
                    fencings.push(idx);
                }
            } else if !facts.nodes[node].pacemaker_remote && now.online && now.shutdown {
                let idx = self.shut_down(node);
                if facts.nodes[node].is_dc {
                    dc_down = Some(idx);
                } else {
                    shutdowns.push(idx);
                }
            }
        }
        let Some(dc_down) = dc_down else { return };
        if self.plan.get(dc_down).task == Task::SHUTDOWN {
            for idx in shutdowns {
                self.plan.relate(idx, dc_down, Kinds::ORD);
            }
        }
        let before = if concurrent {
            &fencings[..]
        } else {
            &fencings[fencings.len().saturating_sub(1)..]
        };
        for idx in before {
            self.plan.relate(*idx, dc_down, Kinds::ORD);
        }
    }

    /// spec 3 §12.7
    fn against_everything(&mut self, fencing: ActIdx, target: NodeIdx) {
        for at in 0..self.place.order.len() {
            for leaf in self.plan.now.leaves(self.place.order[at]) {
                if self.plan.now.rscs[leaf].managed {
                    self.before_starts(fencing, target, leaf);
                    self.implies_stops(fencing, target, leaf);
                }
            }
        }
    }

    fn before_starts(&mut self, fencing: ActIdx, target: NodeIdx, rsc: RscIdx) {
        let fact = &self.facts.rscs[rsc];
        let anonymous_parent = fact.parent.filter(|parent| {
            matches!(self.facts.rscs[*parent].kind, Kind::Clone(_))
                && !self.facts.rscs[*parent].flags.unique
        });
        let known = |rsc: RscIdx| self.facts.known[rsc].contains(target);
        let known = known(rsc) || anonymous_parent.is_some_and(known);
        for at in 0..self.plan.of(rsc).len() {
            let idx = self.plan.of(rsc)[at];
            let it = self.plan.get(idx);
            match it.needs {
                super::super::facts::Needs::Fencing => {
                    self.plan.relate(fencing, idx, Kinds::ORD);
                }
                super::super::facts::Needs::Quorum => {
                    if it.task == Task::START && self.place.allowed[rsc].contains(target) && !known
                    {
                        self.plan
                            .relate(fencing, idx, Kinds::ORD | Kinds::FIRST_GATES);
                    }
                }
                super::super::facts::Needs::Nothing => {}
            }
        }
    }

    fn implies_stops(&mut self, fencing: ActIdx, target: NodeIdx, rsc: RscIdx) {
        let fact = &self.facts.rscs[rsc];
        let ordered = fact.needs_fencing() || self.facts.is_guest(target);
        let in_bundle = self.facts.bundle_of(rsc).is_some();
        let parent_stop = self.plan.newest(self.facts.top_of(rsc), Task::STOP, None);
        for stop in self.plan.with_key_on(rsc, Key::of(Task::STOP), target) {
            self.plan
                .get_mut(stop)
                .flags
                .set(Flags::PSEUDO | Flags::RUNNABLE);
            if ordered && !in_bundle {
                self.plan.relate(fencing, stop, Kinds::GUEST_OK);
            }
            if ordered && let Some(parent_stop) = parent_stop {
                self.plan.relate(fencing, parent_stop, Kinds::GUEST_OK);
            }
            if fact.flags.notify {
                self.notify_after_fencing(rsc, stop, fencing, target);
            }
        }
        let there = &self.plan.now.nodes[target];
        let lost = !there.online || there.unclean || self.plan.now.rscs[rsc].failed;
        for demote in self.plan.with_key_on(rsc, Key::of(Task::DEMOTE), target) {
            if !lost {
                continue;
            }
            self.plan
                .get_mut(demote)
                .flags
                .set(Flags::PSEUDO | Flags::RUNNABLE);
            if !in_bundle && ordered {
                self.plan
                    .relate(fencing, demote, Kinds::GUEST_OK | Kinds::ORD);
            }
        }
    }

    /// A guest is fenced by stopping what it runs in. spec 3 §12.8
    fn fence_guest(&mut self, node: NodeIdx) {
        let facts = self.facts;
        let container = facts.host_container(node);
        let stop = container.and_then(|rsc| self.plan.newest(rsc, Task::STOP, None));
        let starts =
            container.is_some_and(|rsc| self.plan.newest(rsc, Task::START, None).is_some());
        let label = if starts { "reboot" } else { "off" };
        let fencing = action(
            &mut self.plan,
            facts,
            node,
            Some(label),
            false,
            Some("guest is unclean"),
            false,
        );
        if let Some(rsc) = container {
            self.plan.required_by(fencing, || Cause::Recovery { rsc });
        }
        self.plan
            .get_mut(fencing)
            .flags
            .set(Flags::PSEUDO | Flags::RUNNABLE);
        match stop {
            Some(stop) => {
                let kinds = Kinds::FIRST_GATES | Kinds::FIRST_PULLS;
                let host = self
                    .plan
                    .get(stop)
                    .node
                    .filter(|_| self.plan.get(stop).pseudo());
                let before = match host {
                    Some(host) => action(&mut self.plan, facts, host, None, false, None, false),
                    None => stop,
                };
                self.plan.relate(before, fencing, kinds);
            }
            None => {
                if let Some(connection) = facts.nodes[node].connection
                    && let Some(stop) = self.plan.newest(connection, Task::STOP, None)
                {
                    self.plan.relate(stop, fencing, Kinds::ORD);
                }
            }
        }
        self.against_everything(fencing, node);
    }

    fn shut_down(&mut self, node: NodeIdx) -> ActIdx {
        let facts = self.facts;
        let name = self
            .plan
            .task(&format!("do_shutdown-{}", facts.nodes[node].name));
        let idx = self.plan.new_action(
            Task::SHUTDOWN,
            Key::of(name),
            None,
            Some(node),
            Flags::RUNNABLE,
        );
        self.plan.get_mut(idx).meta.set("op_no_wait", "true");
        self.plan.required_by(idx, || Cause::Leaving { node });
        for stop in self.plan.newest_first() {
            let it = self.plan.get(stop);
            let Some(rsc) = it.rsc else { continue };
            if it.task != Task::STOP || it.node != Some(node) {
                continue;
            }
            let (fact, now) = (&facts.rscs[rsc], &self.plan.now.rscs[rsc]);
            if fact.flags.maintenance
                || facts.nodes[node].maintenance
                || !(now.managed || now.blocked)
            {
                continue;
            }
            self.plan.get_mut(stop).flags.clear(Flags::OPTIONAL);
            self.plan.required_by(stop, || Cause::Leaving { node });
            self.plan.orders.push(Order {
                first: Side::action(stop),
                then: Side::action(idx),
                kinds: Kinds::ORD | Kinds::FIRST_GATES,
                origin: Origin::default(),
            });
        }
        idx
    }

    /// Does the machine of a guest stop, or move?
    pub(super) fn will_stop(&self, node: NodeIdx, container: RscIdx) -> bool {
        let (there, now) = (&self.plan.now.nodes[node], &self.plan.now.rscs[container]);
        let moves = now.orig_role > Role::Stopped
            && now
                .assigned
                .is_some_and(|to| !self.facts.rscs[container].active.contains(&to));
        there.remote_reset || there.unclean || now.failed || now.next_role == Role::Stopped || moves
    }

    /// Is it a remote node (with a connection of its own, not a guest)?
    pub(super) fn is_remote(&self, node: NodeIdx) -> bool {
        self.facts.node_kind(node) == NodeKind::Remote
    }
}
