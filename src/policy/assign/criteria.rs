//! What speaks for and against nodes before anything is placed: tickets, shutdown locks, locations, stickiness,
//! thresholds, exclusive discovery, and what launchers imply. spec 2 §6, §8, §17

use super::super::constraints::ticket::TicketEffectKind;
use super::super::constraints::{ImplicitBan, RoleFilter};
use super::super::facts::{Kind, Wish};
use super::super::report::Cause;
use super::super::{Discovery, Entry, NodeIdx, RscIdx};
use super::Assign;
use crate::terms::{Role, Score};

const BAN: Score = Score::MINUS_INFINITY;

impl Assign<'_> {
    /// All of them, in the order in which they count.
    pub(super) fn criteria(&mut self) {
        self.tickets();
        for at in 0..self.place.order.len() {
            self.shutdown_lock(self.place.order[at]);
        }
        for location in &self.constraints.locations {
            if location.discovery == Discovery::Exclusive {
                self.place.now.rscs[location.rsc].exclusive_discovery = true;
            }
        }
        for at in (0..self.constraints.locations.len()).rev() {
            self.location(self.constraints.locations[at].rsc, at);
        }
        for at in 0..self.place.order.len() {
            self.stickiness(self.place.order[at]);
        }
        self.thresholds_and_discovery();
        self.implicit_bans();
    }

    /// spec 2 §17
    fn tickets(&mut self) {
        for effect in &self.constraints.ticket_effects {
            let constraint = &self.constraints.tickets[effect.constraint];
            let cause = Cause::Ticket {
                ticket: constraint.ticket.clone(),
                constraint: constraint.id.clone(),
            };
            match &effect.kind {
                TicketEffectKind::Ban => self.add_everywhere(effect.rsc, BAN, &cause),
                TicketEffectKind::Freeze => {
                    self.place.now.rscs[effect.rsc].managed = false;
                    self.place.now.rscs[effect.rsc].blocked = true;
                }
                TicketEffectKind::Fence(nodes) => {
                    for node in nodes {
                        self.want_fenced(*node, "deadman ticket was lost", &cause);
                    }
                }
            }
        }
    }

    /// Marks a node for fencing, as facts do for what they see. spec 1 §27.2
    fn want_fenced(&mut self, node: NodeIdx, reason: &str, cause: &Cause) {
        let now = &mut self.place.now;
        if self.facts.is_guest(node) {
            if let Some(host) = self.facts.host_container(node)
                && !now.rscs[host].failed
                && now.rscs[host].managed
            {
                now.nodes[node].remote_reset = true;
                now.rscs[host].failed = true;
                now.rscs[host].stop_if_failed = true;
            }
            return;
        }
        if self.facts.nodes[node].pacemaker_remote {
            let managed = self.facts.nodes[node]
                .connection
                .is_none_or(|rsc| now.rscs[rsc].managed);
            now.nodes[node].remote_reset |= managed;
        } else if now.nodes[node].unclean {
            return;
        }
        now.nodes[node].unclean = true;
        self.place
            .fencing
            .push((node, reason.into(), cause.clone()));
    }

    /// spec 2 §6.1, spec 1 §29.2
    fn shutdown_lock(&mut self, rsc: RscIdx) {
        if !self.facts.options.shutdown_lock {
            return;
        }
        match self.facts.rscs[rsc].kind {
            Kind::Primitive => {}
            Kind::Group(_) => {
                for member in self.facts.rscs[rsc].children.clone() {
                    self.shutdown_lock(member);
                }
                return;
            }
            Kind::Clone(_) | Kind::Bundle(_) => return,
        }
        let fact = &self.facts.rscs[rsc];
        if fact.flags.fence_device || fact.flags.connection {
            return;
        }
        if let Some((node, _)) = fact.lock {
            if !fact.active.is_empty() {
                self.place.now.rscs[rsc].lock = None;
                self.place.dropped_locks.push((rsc, node));
                return;
            }
        } else if let [node] = fact.active[..]
            && self.place.now.nodes[node].shutdown
            && !self.place.now.nodes[node].unclean
        {
            let since = self.facts.nodes[node]
                .attributes
                .get("shutdown")
                .and_then(|text| text.parse::<i64>().ok());
            let since = since
                .filter(|since| *since != 0)
                .unwrap_or(self.facts.now_s);
            self.place.now.rscs[rsc].lock = Some((node, since));
        }
        let Some((locked_to, since)) = self.place.now.rscs[rsc].lock else {
            return;
        };
        let limit = self.facts.options.shutdown_lock_limit_s;
        if limit > 0 {
            self.place.recheck_by.push(since + limit + 1);
        }
        let cause = Cause::ShutdownLock { node: locked_to };
        for node in &self.facts.node_order {
            if *node != locked_to {
                self.add(rsc, *node, BAN, &cause);
            }
        }
    }

    /// Applies location constraint `at` to a resource, by its kind. spec 2 §6.3
    fn location(&mut self, rsc: RscIdx, at: usize) {
        match &self.facts.rscs[rsc].kind {
            Kind::Primitive => self.location_plain(rsc, at, false),
            Kind::Group(group) => {
                let colocated = group.colocated;
                self.location_plain(rsc, at, false);
                for (position, member) in self.facts.rscs[rsc].children.iter().enumerate() {
                    self.location_plain(*member, at, colocated && position > 0);
                }
            }
            Kind::Clone(_) => {
                self.location_plain(rsc, at, false);
                for instance in &self.facts.rscs[rsc].children {
                    self.location(*instance, at);
                }
            }
            Kind::Bundle(bundle) => {
                self.location_plain(rsc, at, false);
                for replica in &bundle.replicas {
                    self.location(replica.container, at);
                    if let Some(ip) = replica.ip {
                        self.location(ip, at);
                    }
                }
                if let Some(clone) = bundle.clone
                    && self.constraints.locations[at].role == Some(RoleFilter::Promoted)
                {
                    self.location(clone, at);
                    self.place.locations[clone].insert(0, at);
                }
            }
        }
    }

    fn location_plain(&mut self, rsc: RscIdx, at: usize, only_mention: bool) {
        let location = &self.constraints.locations[at];
        let wanted = match location.role {
            None => None,
            Some(RoleFilter::Promoted) => Some(Role::Promoted),
            Some(RoleFilter::Stopped) => Some(Role::Stopped),
        };
        if wanted.is_some_and(|role| role != self.place.now.rscs[rsc].next_role) {
            return;
        }
        for (node, score) in &location.nodes {
            let score = if only_mention { Score::ZERO } else { *score };
            mention(
                &mut self.place.allowed[rsc],
                *node,
                score,
                location.discovery,
            );
            self.note(rsc, Some(*node), score, &location.cause);
        }
        if location.discovery == Discovery::Exclusive && !location.nodes.is_empty() {
            self.place.now.rscs[rsc].exclusive_discovery = true;
        }
    }

    /// spec 2 §6.4
    fn stickiness(&mut self, rsc: RscIdx) {
        if !self.facts.rscs[rsc].is_primitive() {
            for child in &self.facts.rscs[rsc].children {
                self.stickiness(*child);
            }
            return;
        }
        let fact = &self.facts.rscs[rsc];
        let [node] = fact.active[..] else { return };
        if !self.place.now.rscs[rsc].managed || fact.stickiness <= Score::ZERO {
            return;
        }
        if self.facts.options.symmetric_cluster || self.place.allowed[rsc].contains(node) {
            self.add(rsc, node, fact.stickiness, &Cause::Stickiness);
        }
    }

    /// For each node, each resource: too many failures, and exclusive discovery elsewhere. spec 2 §6.5, §6.6
    fn thresholds_and_discovery(&mut self) {
        let nodes = &self.facts.node_order;
        for node in nodes {
            let counted = self.facts.nodes[*node]
                .attributes
                .with_prefix("fail-count-")
                .next()
                .is_some();
            for at in 0..self.place.order.len() {
                let rsc = self.place.order[at];
                if counted {
                    for leaf in self.facts.leaves(rsc) {
                        self.threshold(leaf, *node);
                    }
                }
                self.exclusive_discovery(rsc, *node);
            }
        }
    }

    fn threshold(&mut self, rsc: RscIdx, node: NodeIdx) {
        if !self.threshold_reached(rsc, node) {
            return;
        }
        let fact = &self.facts.rscs[rsc];
        let (count, last_failure_s) = self.facts.failures(rsc, node);
        let cause = Cause::Threshold {
            rsc,
            count,
            threshold: fact.threshold,
            last_failure_s,
        };
        let whom = if fact.flags.unique {
            rsc
        } else {
            self.facts.top_of(rsc)
        };
        self.add(whom, node, BAN, &cause);
    }

    /// Has the resource failed there as often as it may?
    pub(super) fn threshold_reached(&self, rsc: RscIdx, node: NodeIdx) -> bool {
        let fact = &self.facts.rscs[rsc];
        if fact.threshold == Score::ZERO || fact.flags.failure_ignored || self.clearing(rsc, node) {
            return false;
        }
        let (count, _) = self.facts.failures(rsc, node);
        count > Score::ZERO && fact.threshold.value() <= count.value()
    }

    fn clearing(&self, rsc: RscIdx, node: NodeIdx) -> bool {
        self.facts.wishes.iter().any(
            |wish| matches!(wish, Wish::ClearFailcount { rsc: whose, node: on, .. } if *whose == rsc && *on == node),
        )
    }

    fn exclusive_discovery(&mut self, rsc: RscIdx, node: NodeIdx) {
        let top = self.facts.top_of(rsc);
        if !self.place.now.rscs[rsc].exclusive_discovery
            && !self.place.now.rscs[top].exclusive_discovery
        {
            return;
        }
        for child in &self.facts.rscs[rsc].children {
            self.exclusive_discovery(*child, node);
        }
        if let Some(entry) = self.place.allowed[rsc].get_mut(node)
            && entry.discovery != Discovery::Exclusive
        {
            entry.score = BAN;
            self.note(rsc, Some(node), BAN, &Cause::ExclusiveDiscovery);
        }
    }

    /// spec 2 §8
    fn implicit_bans(&mut self) {
        for ban in &self.constraints.implicit_bans {
            let (rsc, only) = match ban {
                ImplicitBan::NotOnRemote(rsc) => (*rsc, None),
                ImplicitBan::OnlyOn { rsc, connection } => (*rsc, Some(*connection)),
            };
            let mut banned = Vec::new();
            for (node, entry) in self.place.allowed[rsc].iter_mut() {
                let connection = self.facts.nodes[node].connection;
                let ban = match only {
                    None => connection.is_some(),
                    Some(only) => connection != Some(only),
                };
                if ban {
                    entry.score = BAN;
                    banned.push(node);
                }
            }
            for node in banned {
                self.note(
                    rsc,
                    Some(node),
                    BAN,
                    &Cause::Implied("it may not run on remote nodes, or only on its own"),
                );
            }
        }
    }
}

/// Plain application of one (node, score) of a location constraint: a new entry has just that score. spec 2 §6.3
pub(super) fn mention(
    table: &mut super::super::NodeTable,
    node: NodeIdx,
    score: Score,
    discovery: Discovery,
) {
    match table.get_mut(node) {
        Some(entry) => {
            entry.score += score;
            entry.discovery = entry.discovery.max(discovery);
        }
        None => table.insert(
            node,
            Entry {
                score,
                discovery,
                count: 0,
            },
        ),
    }
}
