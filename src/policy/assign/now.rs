//! Resources and nodes as they are *now*, while decisions are being made: what `Facts` read, as changed so far.
//! `Placement` leaves one behind, `Plan` starts from a copy of it; each step changes only its own.

use super::super::facts::{Facts, Kind};
use super::super::{IdxVec, NodeIdx, RscIdx};
use crate::terms::{Role, Score};

/// What may still change about a resource.
#[derive(Clone, Debug)]
pub struct RscNow {
    /// The role it has. Corrected when roles of promotable instances are chosen.
    pub orig_role: Role,
    /// The role it will have; unknown until something decides.
    pub next_role: Role,
    /// Where it will be.
    pub assigned: Option<NodeIdx>,
    /// The score of that node in the resource's table at that moment.
    pub assigned_score: Score,
    /// No decision yet.
    pub unassigned: bool,
    /// A decision is under way (loop guard).
    pub assigning: bool,
    /// Its preferences are being collected (loop guard).
    pub merging: bool,
    /// May we touch it?
    pub managed: bool,
    /// Nothing more is done about it.
    pub blocked: bool,
    /// Something of it failed.
    pub failed: bool,
    /// It failed in a way that needs a stop.
    pub stop_if_failed: bool,
    /// Ended without a node by a final assignment: existing actions follow. spec 3 §3.6
    pub dropped: bool,
    /// Priority, replaced by promotion scores for a while.
    pub priority: Score,
    /// What decides who is promoted.
    pub promotion_priority: Score,
    /// Role sorting of this clone has begun.
    pub roles_sorted: bool,
    /// Promotion scores were added to its instances' tables.
    pub promotion_added: bool,
    /// Probed only where its table says so.
    pub exclusive_discovery: bool,
    /// Members, instances or replica parts in their present order.
    pub children: Vec<RscIdx>,
    /// A move caught half-way: from.
    pub migration_source: Option<NodeIdx>,
    /// A move caught half-way: to.
    pub migration_target: Option<NodeIdx>,
    /// A start is under way or its agent changed.
    pub start_pending: bool,
    /// New parameters are to be loaded without a restart.
    pub reload: bool,
    /// Loop state of the restart steps.
    pub restarting: bool,
    /// Only the unexpected extra copies are stopped.
    pub stop_unexpected: bool,
    /// Where it is locked while that node is shut down, and since when.
    pub lock: Option<(NodeIdx, i64)>,
}

/// What may still change about a node.
#[derive(Clone, Debug)]
pub struct NodeNow {
    /// Can run actions.
    pub online: bool,
    /// Must be fenced before what it ran may start elsewhere.
    pub unclean: bool,
    /// Wants to leave.
    pub shutdown: bool,
    /// Its connection (or its machine) has to be reset.
    pub remote_reset: bool,
    /// How many primitives were assigned to it in this run.
    pub load: u32,
    /// Has its name among its attributes, where colocations look for it.
    pub named: bool,
    /// How many names come before its own, byte by byte: the last thing that decides between two nodes. (spec 2 §4.2)
    pub rank: u32,
}

/// All resources and nodes as they are now.
#[derive(Clone, Debug)]
pub struct Now {
    /// By `RscIdx`.
    pub rscs: IdxVec<RscIdx, RscNow>,
    /// By `NodeIdx`.
    pub nodes: IdxVec<NodeIdx, NodeNow>,
}

impl Now {
    /// As the facts have it.
    #[must_use]
    pub fn new(facts: &Facts) -> Now {
        let rscs = IdxVec::from_fn(facts.rscs.len(), |at| {
            let rsc = &facts.rscs[at];
            RscNow {
                orig_role: rsc.role,
                next_role: rsc.next_role,
                assigned: None,
                assigned_score: Score::ZERO,
                unassigned: true,
                assigning: false,
                merging: false,
                managed: rsc.flags.managed,
                blocked: rsc.flags.blocked,
                failed: rsc.flags.failed,
                stop_if_failed: rsc.flags.stop_required,
                dropped: false,
                priority: rsc.priority,
                promotion_priority: Score::ZERO,
                roles_sorted: false,
                promotion_added: false,
                exclusive_discovery: rsc.flags.exclusive_discovery,
                children: rsc.children.clone(),
                migration_source: rsc.partial_source,
                migration_target: rsc.partial_target,
                start_pending: rsc.flags.start_pending,
                reload: false,
                restarting: false,
                stop_unexpected: false,
                lock: rsc.lock,
            }
        });
        let mut by_name = facts.node_order.clone();
        by_name.sort();
        by_name.sort_by(|a, b| facts.nodes[*a].name.cmp(&facts.nodes[*b].name));
        let mut ranks: IdxVec<NodeIdx, u32> = IdxVec::from_fn(facts.nodes.len(), |_| 0);
        for (rank, node) in (0..).zip(by_name) {
            ranks[node] = rank;
        }
        let nodes = IdxVec::from_fn(facts.nodes.len(), |at| {
            let node = &facts.nodes[at];
            NodeNow {
                online: node.online,
                unclean: node.unclean,
                shutdown: node.shutdown,
                remote_reset: node.needs_reset,
                load: 0,
                named: node.attributes.contains("#uname"),
                rank: ranks[at],
            }
        });
        Now { rscs, nodes }
    }

    /// Can resources run there? spec 2 §4.1
    #[must_use]
    pub fn available(&self, facts: &Facts, node: NodeIdx) -> bool {
        let (now, fact) = (&self.nodes[node], &facts.nodes[node]);
        now.online && !now.shutdown && !now.unclean && !fact.standby && !fact.maintenance
    }

    /// Online and not waiting for fencing.
    #[must_use]
    pub fn clean(&self, node: NodeIdx) -> bool {
        self.nodes[node].online && !self.nodes[node].unclean
    }

    /// The one active node to use when a single one is wanted. spec 2 §2.2
    #[must_use]
    pub fn current(&self, facts: &Facts, rsc: RscIdx) -> Option<NodeIdx> {
        let fact = &facts.rscs[rsc];
        if let Kind::Bundle(bundle) = &fact.kind {
            let mut nodes = Vec::new();
            let mut containers = 0;
            let mut last = rsc;
            for replica in &bundle.replicas {
                let active = &facts.rscs[replica.container].active;
                if !active.is_empty() {
                    containers += 1;
                    last = replica.container;
                }
                for node in active {
                    if !nodes.contains(node) {
                        nodes.push(*node);
                    }
                }
            }
            return match containers {
                0 => None,
                1 => self.current(facts, last),
                _ => self.current_of(rsc, &nodes, fact.needs_fencing()),
            };
        }
        self.current_of(rsc, &fact.active, fact.needs_fencing())
    }

    fn current_of(&self, rsc: RscIdx, active: &[NodeIdx], needs_fencing: bool) -> Option<NodeIdx> {
        if let Some(source) = self.rscs[rsc].migration_source
            && active.contains(&source)
        {
            return Some(source);
        }
        if needs_fencing {
            return active.first().copied();
        }
        active
            .iter()
            .copied()
            .find(|node| self.clean(*node))
            .or(active.first().copied())
    }

    /// How many active nodes there are, and how many of them are online and clean.
    #[must_use]
    pub fn active_counts(&self, facts: &Facts, rsc: RscIdx) -> (usize, usize) {
        let active = &facts.rscs[rsc].active;
        (
            active.len(),
            active.iter().filter(|node| self.clean(**node)).count(),
        )
    }

    /// The nodes something is assigned to: a primitive's one, a collective's members' ones.
    #[must_use]
    pub fn assigned_nodes(&self, rsc: RscIdx) -> Vec<NodeIdx> {
        let mut nodes = Vec::new();
        self.collect_assigned(rsc, &mut nodes);
        nodes
    }

    fn collect_assigned(&self, rsc: RscIdx, nodes: &mut Vec<NodeIdx>) {
        let now = &self.rscs[rsc];
        if now.children.is_empty() {
            if let Some(node) = now.assigned
                && !nodes.contains(&node)
            {
                nodes.push(node);
            }
        } else {
            for child in &now.children {
                self.collect_assigned(*child, nodes);
            }
        }
    }

    /// The one node something is assigned to, none if there are several.
    #[must_use]
    pub fn single_assigned(&self, rsc: RscIdx) -> Option<NodeIdx> {
        let now = &self.rscs[rsc];
        if now.children.is_empty() {
            return now.assigned;
        }
        match self.assigned_nodes(rsc)[..] {
            [node] => Some(node),
            _ => None,
        }
    }

    /// The one node something is active on, none if there are several.
    #[must_use]
    pub fn single_active(&self, facts: &Facts, rsc: RscIdx) -> Option<NodeIdx> {
        let mut nodes: Vec<NodeIdx> = Vec::new();
        self.collect_active(facts, rsc, &mut nodes);
        match nodes[..] {
            [node] => Some(node),
            _ => None,
        }
    }

    fn collect_active(&self, facts: &Facts, rsc: RscIdx, nodes: &mut Vec<NodeIdx>) {
        let now = &self.rscs[rsc];
        if now.children.is_empty() {
            for node in &facts.rscs[rsc].active {
                if !nodes.contains(node) {
                    nodes.push(*node);
                }
            }
        } else {
            for child in &now.children {
                self.collect_active(facts, *child, nodes);
            }
        }
    }

    /// The highest role now (or next) among what is inside; bundles have none. spec 3 §1.6
    #[must_use]
    pub fn state(&self, facts: &Facts, rsc: RscIdx, next: bool) -> Role {
        let now = &self.rscs[rsc];
        match facts.rscs[rsc].kind {
            Kind::Primitive => {
                if next {
                    now.next_role
                } else {
                    now.orig_role
                }
            }
            Kind::Bundle(_) => Role::Unknown,
            Kind::Group(_) | Kind::Clone(_) => now
                .children
                .iter()
                .map(|child| self.state(facts, *child, next))
                .max()
                .unwrap_or(Role::Unknown),
        }
    }

    /// Is it, or anything inside of it, blocked?
    #[must_use]
    pub fn any_blocked(&self, rsc: RscIdx) -> bool {
        self.rscs[rsc].blocked
            || self.rscs[rsc]
                .children
                .iter()
                .any(|child| self.any_blocked(*child))
    }

    /// Is it, or anything inside of it, failed?
    #[must_use]
    pub fn any_failed(&self, rsc: RscIdx) -> bool {
        self.rscs[rsc].failed
            || self.rscs[rsc]
                .children
                .iter()
                .any(|child| self.any_failed(*child))
    }

    /// Is it, or anything inside of it, active anywhere?
    #[must_use]
    pub fn active_anywhere(&self, facts: &Facts, rsc: RscIdx) -> bool {
        !facts.rscs[rsc].active.is_empty()
            || self.rscs[rsc]
                .children
                .iter()
                .any(|child| self.active_anywhere(facts, *child))
    }

    /// All primitives inside (or itself), depth first in present order.
    #[must_use]
    pub fn leaves(&self, rsc: RscIdx) -> Vec<RscIdx> {
        let mut found = Vec::new();
        self.collect_leaves(rsc, &mut found);
        found
    }

    fn collect_leaves(&self, rsc: RscIdx, found: &mut Vec<RscIdx>) {
        if self.rscs[rsc].children.is_empty() {
            found.push(rsc);
        }
        for child in &self.rscs[rsc].children {
            self.collect_leaves(*child, found);
        }
    }
}
