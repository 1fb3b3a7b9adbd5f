//! An action begins: who is asked, and how long one waits for it. // spec cluster §9.3

use super::*;
use crate::seeded::{Bug, seeded};

/// The node whose executor gets an action: its own, or the one that reaches it.
pub(super) fn place(action: &Action) -> Option<&NodeName> {
    action
        .router
        .as_ref()
        .or(action.node.as_ref().map(|n| &n.name))
}

/// How long an action may stay without an answer, in milliseconds.
pub(super) fn patience(action: &Action, cluster_delay_ms: u64, fencing_ms: u64) -> u64 {
    let own = match action.kind {
        ActionKind::Pseudo => 0,
        // Its delays and all levels of a topology come on top; the fencer keeps its own time.
        ActionKind::Cluster if action.task == "stonith" => fencing_ms * 12 / 10,
        ActionKind::Cluster => 0,
        ActionKind::Resource => timeout_ms(action) + span(action.meta("start_delay")),
    };
    own + cluster_delay_ms
}

/// The time an agent has; the field's default is 20 s.
pub(super) fn timeout_ms(action: &Action) -> u64 {
    action.timeout_ms().filter(|ms| *ms > 0).unwrap_or(20_000)
}

fn span(text: Option<&str>) -> u64 {
    crate::terms::span::ms_or_zero(text)
}

/// A transaction holds no transactions.
fn transaction(mut commands: Vec<Command>) -> Command {
    match commands.pop() {
        Some(only) if commands.is_empty() => only,
        last => {
            commands.extend(last);
            Command::transaction(commands)
        }
    }
}

/// What the next plan compares with: whether a remote node is in maintenance. // spec cluster §8.3
fn maintenance(one: &crate::graph::NodeMaintenance) -> Command {
    let state = crate::xml::Element::new("node_state")
        .with("id", &one.node)
        .with("uname", &one.node)
        .with("remote_node", "true")
        .with("node_in_maintenance", if one.on { "1" } else { "0" });
    Command::modify("status", state).or_create()
}

impl Machine {
    pub(super) fn begin(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let State::Walking(t) = &mut self.state else {
            return;
        };
        let number = t.number;
        let key = TransitionKey {
            action: i64::from(action.id.0),
            transition: number,
            target_rc: action.target_rc(),
            uuid: self.uuid.clone(),
        };
        t.downed.extend(action.downed.iter().cloned());
        match action.kind {
            ActionKind::Pseudo if !action.maintenance.is_empty() => {
                let commands = action.maintenance.iter().map(maintenance).collect();
                self.write_for(&action, commands, effects);
            }
            ActionKind::Pseudo => {
                let guest = action.node.as_ref().map(|node| &node.name);
                let gone = guest.filter(|_| action.task == "stonith");
                let gone = gone.filter(|name| join::is_remote(&self.cib, name));
                let commands = gone.map(join::guest_gone).unwrap_or_default();
                self.write_for(&action, commands, effects);
            }
            // No agent can forget a history: graphs have it among what agents do all the same.
            ActionKind::Resource if action.task == "delete" => {
                self.cluster_action(key, &action, effects);
            }
            ActionKind::Resource => self.order(key, action, effects),
            ActionKind::Cluster => self.cluster_action(key, &action, effects),
        }
    }

    fn order(&mut self, key: TransitionKey, action: Action, effects: &mut Vec<Effect>) {
        if let Some(remote) = remote::may_run_on(&self.cib, &action) {
            let there = action.node.as_ref().map(|n| n.name.to_string());
            effects.push(Effect::Say(format!(
                "{} is not carried out on {}: the resource may run on remote node {remote}, whose loss is not proven; \
                 configure fencing, or switch it off and say so (`stonith_admin --confirm {remote}`)",
                action.key,
                there.unwrap_or_default(),
            )));
            // Asked again, the policy would say the same: what changes that is news of its own.
            if let State::Walking(t) = &mut self.state {
                t.walk.fail(action.id);
            }
            return;
        }
        let Some(node) = place(&action).and_then(|name| self.id_of(name)) else {
            let name = place(&action).map(ToString::to_string).unwrap_or_default();
            self.fail(
                action.id,
                &format!("{name} is not a member of the cluster"),
                effects,
            );
            return;
        };
        let alone = matches!(self.authority, Authority::Alone(_));
        if alone && node != self.settings.me {
            self.fail(action.id, "no quorum: other nodes take no orders", effects);
            return;
        }
        let (term, timeout_ms) = (self.term(), timeout_ms(&action));
        effects.push(Effect::Order(
            node,
            Arc::new(Order {
                term,
                key,
                action,
                timeout_ms,
            }),
        ));
    }

    fn fail(&mut self, id: ActionId, why: &str, effects: &mut Vec<Effect>) {
        if let State::Walking(t) = &mut self.state {
            t.walk.fail(id);
        }
        if !matches!(self.authority, Authority::Alone(_)) {
            self.abort(Abort::restart("Action lost"), why, effects);
        }
    }

    fn cluster_action(&mut self, key: TransitionKey, action: &Action, effects: &mut Vec<Effect>) {
        let node = action.node.as_ref().map(|n| n.name.clone());
        match (action.task.as_str(), node) {
            ("stonith", Some(target)) => {
                if matches!(self.authority, Authority::Alone(_)) {
                    self.fail(action.id, "no quorum: nobody is fenced", effects);
                    return;
                }
                let shot = Shot {
                    life: self.newest_life_of(&target),
                    entry: self.life_of(&target),
                };
                let State::Walking(t) = &mut self.state else {
                    return;
                };
                t.shots.insert(action.id, shot);
                let timeout_ms = t.walk.graph.fencing_timeout.ms;
                let what = action.meta("stonith_action").unwrap_or("reboot").to_owned();
                effects.push(Effect::Say(format!("fences {target} ({what})")));
                effects.push(Effect::Fence {
                    key,
                    term: self.term(),
                    target,
                    action: what,
                    timeout_ms,
                    delay_ms: span(action.meta("priority_fencing_delay")),
                });
                if seeded(Bug::FenceNotAwaited) {
                    self.confirm(action.id);
                }
            }
            ("do_shutdown", Some(name)) => self.shut_down(key, action, &name, effects),
            ("clear_failcount", Some(_)) => {
                let commands = failure::clear(action).into_iter().collect();
                self.write_for(action, commands, effects);
            }
            ("lrm_delete" | "delete", Some(name)) => {
                let rsc = action
                    .rsc
                    .as_ref()
                    .map(|r| r.id.to_string())
                    .unwrap_or_default();
                let at = place(action).and_then(|name| self.id_of(name));
                let alone = matches!(self.authority, Authority::Alone(_));
                if alone && at != Some(self.settings.me) {
                    let why = format!("no quorum: {name} is not asked to forget {rsc}");
                    self.fail(action.id, &why, effects);
                    return;
                }
                if let (false, Some(id)) = (action.by_cib, at) {
                    let deed = Deed::Forget(rsc.clone());
                    effects.push(match action.router {
                        Some(_) => Effect::Through(id, name, key, deed),
                        None => Effect::Tell(id, key, deed),
                    });
                }
                let uuid = action
                    .node
                    .as_ref()
                    .map(|n| n.uuid.clone())
                    .unwrap_or_default();
                let command = Command::delete_xpath(&format!(
                    "/cib/status/node_state[@id='{uuid}']/lrm/lrm_resources/lrm_resource[@id='{rsc}']"
                ));
                self.write_for(action, vec![command], effects);
            }
            // The remaining cluster actions ask nothing of anybody here.
            _ => self.confirm(action.id),
        }
    }

    /// Writes; the action is done when the write is.
    fn write_for(&mut self, action: &Action, commands: Vec<Command>, effects: &mut Vec<Effect>) {
        let State::Walking(t) = &self.state else {
            return;
        };
        let purpose = Purpose::Confirms(action.id, t.number);
        if commands.is_empty() {
            self.confirm(action.id);
        } else {
            self.write(purpose, transaction(commands), effects);
        }
    }

    fn shut_down(
        &mut self,
        key: TransitionKey,
        action: &Action,
        name: &NodeName,
        effects: &mut Vec<Effect>,
    ) {
        let Some(id) = self.id_of(name) else {
            self.confirm(action.id);
            return;
        };
        let state = crate::xml::Element::new("node_state")
            .with("id", id.to_string())
            .with("uname", name.as_str())
            .with("crm-debug-origin", "coordinator")
            .with("expected", "down");
        self.write(
            Purpose::Other,
            Command::modify("status", state).or_create(),
            effects,
        );
        // A node that coordinates leaves last. // spec cluster §12.3
        if id == self.settings.me {
            if let State::Walking(t) = &mut self.state {
                t.leave_last = Some(key);
            }
        } else {
            effects.push(Effect::Tell(id, key, Deed::Shutdown));
        }
        self.confirm(action.id);
    }

    /// "External Fencing Operation". // spec cluster §10.1
    pub(super) fn on_fenced_outside(
        &mut self,
        target: &NodeName,
        by: &str,
        effects: &mut Vec<Effect>,
    ) {
        let (id, remote) = (self.id_of(target), join::is_remote(&self.cib, target));
        let known = id
            .and_then(|id| join::state_of(&self.cib, id))
            .is_some_and(join::is_known_dead);
        let nobody = id.is_none() && !remote;
        if !matches!(self.authority, Authority::Leader(_)) || known || nobody {
            return;
        }
        effects.push(Effect::Say(format!("{target} is fenced by {by}")));
        let commands = match id {
            Some(id) => {
                let life = self.life_of(target);
                if let Some(life) = life {
                    self.condemn(id, life, effects);
                }
                join::fenced(&id.to_string(), target, life, by)
            }
            None => join::remote_fenced(target, by, self.now_s),
        };
        self.write(Purpose::Other, transaction(commands), effects);
        self.abort(
            Abort::restart("External Fencing Operation"),
            target.as_str(),
            effects,
        );
    }

    pub(super) fn on_fenced(
        &mut self,
        key: &TransitionKey,
        result: Result<String, Lost>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(id) = self.ours(key) else { return };
        let State::Walking(t) = &self.state else {
            return;
        };
        if !t.walk.is_in_flight(id) {
            return;
        }
        let Some(action) = t.walk.action(id).cloned() else {
            return;
        };
        let Some(node) = action.node.clone() else {
            return;
        };
        let shot = t.shots.get(&id).copied().unwrap_or_default();
        let entry = self.life_of(&node.name);
        match result {
            // It is back, and nobody can say whether that was before or after it was shot: what ran in the life that was
            // to end was forgotten when the new one joined. Should that be dead, it is silent, and is fenced for itself.
            Ok(by) if entry != shot.entry && entry != shot.life => {
                let name = &node.name;
                effects.push(Effect::Say(format!(
                    "{name} was fenced by {by}, and is back in another life"
                )));
                self.fencing_failures.remove(name);
                self.confirm(id);
            }
            Ok(by) => {
                effects.push(Effect::Say(format!("{} is fenced by {by}", node.name)));
                self.fencing_failures.remove(&node.name);
                if action.meta("stonith_action") == Some("on") {
                    self.confirm(id);
                    return;
                }
                if let (Some(id), Some(life)) = (self.id_of(&node.name), shot.life)
                    && !seeded(Bug::CondemnForgotten)
                {
                    self.condemn(id, life, effects);
                }
                let commands = match self.id_of(&node.name) {
                    Some(_) => join::fenced(&node.uuid, &node.name, shot.life, &by),
                    None => join::remote_fenced(&node.name, &by, self.now_s),
                };
                self.write_for(&action, commands, effects);
            }
            Err(lost) => {
                let attempts = self.fencing_failures.entry(node.name.clone()).or_insert(0);
                *attempts += 1;
                let limit = self
                    .option(&["fencing-max-attempts", "stonith-max-attempts"])
                    .and_then(|v| v.parse().ok())
                    .unwrap_or(10);
                let enough = self
                    .fencing_failures
                    .get(&node.name)
                    .is_some_and(|n| *n >= limit);
                let (why, stop) = match &lost {
                    Lost::NoDevice(why) => (why.clone(), true),
                    Lost::Failed(why) => (why.clone(), enough),
                };
                if let State::Walking(t) = &mut self.state {
                    t.walk.fail(id);
                }
                effects.push(Effect::Say(format!("fencing {} failed: {why}", node.name)));
                let abort = if stop {
                    Abort::stop("Stonith failed")
                } else {
                    Abort::restart("Stonith failed")
                };
                self.abort(abort, node.name.as_str(), effects);
            }
        }
    }
}
