//! What runs on remote and guest nodes depends on the connection to them. spec 3 §11

use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::plan::{ActIdx, Key, Kinds, Side, Task};
use super::{Make, fencing};
use crate::terms::Role;

/// What is known of the connection to a remote node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Unknown,
    Alive,
    Resting,
    Failed,
    Stopped,
}

impl Make<'_> {
    /// spec 3 §11.1
    pub(super) fn connection_state(&self, rsc: RscIdx) -> Connection {
        let facts = self.facts;
        let now = &self.plan.now.rscs[rsc];
        let host = self.plan.now.current(facts, rsc);
        if now.next_role == Role::Stopped || now.assigned.is_none() {
            if host.is_some_and(|host| self.plan.now.nodes[host].unclean) {
                return Connection::Failed;
            }
            if !now.failed {
                return Connection::Stopped;
            }
            let node = facts.node_by_name(facts.rscs[rsc].id.as_str());
            let fenced = node.is_some_and(|node| {
                let fact = &facts.nodes[node];
                fact.fenced
                    && fact
                        .attributes
                        .get("shutdown")
                        .is_none_or(|text| text == "0")
            });
            if now.next_role == Role::Stopped && facts.rscs[rsc].reconnect_interval_ms > 0 && fenced
            {
                return Connection::Unknown;
            }
            return Connection::Failed;
        }
        let Some(host) = host else {
            return Connection::Unknown;
        };
        if !self.plan.now.clean(host) {
            return Connection::Resting;
        }
        if facts.rscs[rsc].active.len() > 1
            && now.migration_source.is_some()
            && now.migration_target.is_some()
        {
            return Connection::Resting;
        }
        Connection::Alive
    }

    /// spec 3 §11.2
    pub(super) fn order_remote(&mut self) {
        let facts = self.facts;
        if !facts.nodes.iter().any(|node| node.pacemaker_remote) {
            return;
        }
        for idx in self.plan.newest_first() {
            let it = self.plan.get(idx);
            let Some(rsc) = it.rsc else { continue };
            if facts.rscs[rsc].flags.connection && it.task == Task::CLEAR {
                self.order(Side::action(idx), Side::task(rsc, Task::START), Kinds::ORD);
                continue;
            }
            let Some(node) = it.node else { continue };
            let Some(connection) = facts.nodes[node]
                .connection
                .filter(|_| facts.nodes[node].pacemaker_remote)
            else {
                continue;
            };
            if it.pseudo() {
                continue;
            }
            if it.task == Task::START {
                for stop in self.plan.with_key(rsc, Key::of(Task::STOP)) {
                    if self.plan.get(stop).node.is_some_and(|from| from != node) {
                        self.order(
                            Side::task(connection, Task::START),
                            Side::action(stop),
                            Kinds::ORD,
                        );
                    }
                }
            }
            match facts.rscs[connection].launcher {
                Some(launcher) => self.order_on_guest(idx, node, connection, launcher),
                None => self.order_on_remote(idx, node, connection),
            }
        }
    }

    fn after_start(&mut self, rsc: RscIdx, idx: ActIdx, kinds: Kinds) {
        let kinds = Kinds::GUEST_OK | Kinds::FIRST_GATES | kinds;
        self.order(Side::task(rsc, Task::START), Side::action(idx), kinds);
    }

    fn before_stop(&mut self, rsc: RscIdx, idx: ActIdx, kinds: Kinds) {
        self.order(
            Side::action(idx),
            Side::task(rsc, Task::STOP),
            Kinds::GUEST_OK | kinds,
        );
    }

    /// A move counts as a stop here.
    fn counted_as(&self, idx: ActIdx) -> (Task, bool) {
        let it = self.plan.get(idx);
        let task = match it.task {
            Task::MIGRATE_TO | Task::MIGRATE_FROM => Task::STOP,
            other => other,
        };
        let recurring = it.meta.get("interval").is_some_and(|text| text != "0");
        (task, recurring)
    }

    fn order_on_remote(&mut self, idx: ActIdx, node: NodeIdx, connection: RscIdx) {
        let state = self.connection_state(connection);
        let (task, recurring) = self.counted_as(idx);
        match task {
            Task::START | Task::PROMOTE => {
                let kinds = if state == Connection::Failed {
                    Kinds::FIRST_PULLS
                } else {
                    Kinds::NONE
                };
                self.after_start(connection, idx, kinds);
            }
            Task::STOP => match state {
                Connection::Alive => self.before_stop(connection, idx, Kinds::THEN_PULLS),
                Connection::Failed => {
                    let reason = "resources are active but connection is unrecoverable";
                    fencing::want(&mut self.plan, self.facts, node, reason, false, || {
                        Cause::Recovery { rsc: connection }
                    });
                }
                _ if self.plan.now.rscs[connection].next_role == Role::Stopped => {
                    self.before_stop(connection, idx, Kinds::THEN_PULLS);
                }
                _ => self.after_start(connection, idx, Kinds::NONE),
            },
            Task::DEMOTE => {
                if matches!(state, Connection::Resting | Connection::Unknown) {
                    self.after_start(connection, idx, Kinds::NONE);
                }
            }
            _ if recurring => self.after_start(connection, idx, Kinds::FIRST_PULLS),
            _ => {
                if task == Task::MONITOR && state == Connection::Failed {
                    let reason = "resources are in unknown state and connection is unrecoverable";
                    fencing::want(&mut self.plan, self.facts, node, reason, false, || {
                        Cause::Recovery { rsc: connection }
                    });
                }
                let current = self.plan.now.current(self.facts, connection);
                if state == Connection::Stopped && current.is_some() {
                    self.before_stop(connection, idx, Kinds::FIRST_GATES);
                } else {
                    self.after_start(connection, idx, Kinds::NONE);
                }
            }
        }
    }

    fn order_on_guest(&mut self, idx: ActIdx, node: NodeIdx, connection: RscIdx, launcher: RscIdx) {
        let failed = self.plan.now.rscs[launcher].failed;
        if failed {
            fencing::want(
                &mut self.plan,
                self.facts,
                node,
                "container failed",
                false,
                || Cause::Recovery { rsc: launcher },
            );
        }
        let (task, recurring) = self.counted_as(idx);
        match task {
            Task::START | Task::PROMOTE => {
                self.after_start(launcher, idx, Kinds::FIRST_PULLS);
                self.after_start(connection, idx, Kinds::NONE);
            }
            Task::STOP | Task::DEMOTE => {
                if !failed {
                    self.before_stop(connection, idx, Kinds::NONE);
                }
            }
            _ if recurring => {
                if task != Task::CANCEL {
                    self.after_start(connection, idx, Kinds::FIRST_PULLS);
                }
            }
            _ => self.after_start(connection, idx, Kinds::NONE),
        }
    }
}
