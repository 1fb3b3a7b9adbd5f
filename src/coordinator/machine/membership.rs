//! Presence becomes membership: every look compares what should be written with what is.

use super::*;
use crate::seeded::{Bug, seeded};

impl Machine {
    /// What a new coordinator writes first: who it is, that there is quorum, and which nodes exist.
    pub(super) fn lead(&mut self, effects: &mut Vec<Effect>) {
        let me = self.settings.me.to_string();
        let root = self.cib.root();
        if root.get("dc-uuid") != Some(me.as_str()) || root.get("have-quorum") != Some("1") {
            let cib = crate::xml::Element::new("cib")
                .with("dc-uuid", &me)
                .with("have-quorum", "1");
            self.write(Purpose::Other, Command::modify("cib", cib), effects);
        }
        self.ensure_nodes(effects);
    }

    /// Every member that runs resources has its `node` element.
    pub(super) fn ensure_nodes(&mut self, effects: &mut Vec<Effect>) {
        if !matches!(self.authority, Authority::Leader(_)) {
            return;
        }
        let known: Vec<String> = self
            .cib
            .section("nodes")
            .into_iter()
            .flat_map(|nodes| nodes.children())
            .filter_map(|n| n.id().map(str::to_owned))
            .collect();
        for (id, name) in self.members.clone() {
            if !known.contains(&id.to_string()) {
                let node = crate::xml::Element::new("node")
                    .with("id", id.to_string())
                    .with("uname", name.as_str());
                self.write(
                    Purpose::Other,
                    Command::modify("nodes", node).or_create(),
                    effects,
                );
            }
        }
    }

    pub(super) fn on_peer(&mut self, id: NodeId, peer: Peer, effects: &mut Vec<Effect>) {
        let name = self.name_of(id);
        let before = self.peers.insert(id, peer);
        match peer {
            Peer::Alive { incarnation } => {
                if self.lives.insert(id, incarnation) != Some(incarnation) {
                    self.forget_given_up(id);
                }
                effects.push(Effect::Life(id, Some(incarnation)));
            }
            // It may be heard again in the same life, and then carries out what it was ordered.
            Peer::Silent { .. } => {}
            Peer::Expired => effects.push(Effect::Life(id, None)),
        }
        match (before, peer) {
            (Some(Peer::Alive { .. }) | None, Peer::Silent { heard: true }) => {
                effects.push(Effect::Say(format!("does not hear {name} any more")));
            }
            (Some(Peer::Silent { .. }), Peer::Expired) => effects.push(Effect::Say(format!(
                "the lease of {name} has run out: it has stopped what it ran"
            ))),
            (Some(Peer::Silent { .. } | Peer::Expired), Peer::Alive { .. }) => {
                effects.push(Effect::Say(format!("hears {name} again")));
            }
            _ => {}
        }
        if seeded(Bug::LostOrdersKept) || !matches!(self.authority, Authority::Leader(_)) {
            return;
        }
        let state = join::state_of(&self.cib, id);
        let proof = join::proof_of(self.proof(), self.pledge_of(id));
        match peer {
            Peer::Alive { .. } if before == Some(peer) => {}
            Peer::Alive { incarnation } => {
                let life = state.and_then(|s| s.get("incarnation"));
                if life.is_none_or(|life| life == incarnation.to_string()) {
                    self.ask_for_accounts(id, effects);
                } else {
                    // An order is for one life of a node: the new one does not know of it.
                    self.fail_on(id, false, effects);
                }
            }
            Peer::Silent { .. } | Peer::Expired => {
                let proven = peer == Peer::Expired && proof == Proof::Lease
                    || state.is_some_and(|s| s.get("expected") == Some("down"));
                // Where nothing is decided of it yet, it may still answer.
                if proven || peer == Peer::Expired || proof == Proof::Fencing {
                    self.fail_on(id, !proven, effects);
                }
            }
        }
    }

    /// Orders to a node that is not there end here. // spec cluster §8.4
    ///
    /// As long as it is not proven to be dead it may carry out what it has, so what would be active there is recorded as
    /// begun: it must not begin anywhere else before there is proof.
    fn fail_on(&mut self, id: NodeId, may_go_on: bool, effects: &mut Vec<Effect>) {
        let name = self.name_of(id);
        let there = |a: &Action| perform::place(a).is_some_and(|place| *place == name);
        self.fail_where(there, &name, may_go_on, effects);
    }

    /// The connection to a remote node is lost: what is ordered there has no answer any more, and may go on all the same.
    pub(super) fn fail_through(&mut self, remote: &NodeName, effects: &mut Vec<Effect>) {
        let there = |a: &Action| {
            a.router.is_some() && a.node.as_ref().is_some_and(|node| node.name == *remote)
        };
        self.fail_where(there, remote, true, effects);
    }

    fn fail_where(
        &mut self,
        there: impl Fn(&Action) -> bool,
        name: &NodeName,
        may_go_on: bool,
        effects: &mut Vec<Effect>,
    ) {
        let State::Walking(t) = &mut self.state else {
            return;
        };
        let lost: Vec<Action> = t
            .walk
            .in_flight()
            .filter(|a| a.kind == ActionKind::Resource)
            .filter(|a| there(a))
            .cloned()
            .collect();
        if lost.is_empty() {
            return;
        }
        let number = t.number;
        for action in &lost {
            t.walk.fail(action.id);
        }
        for action in lost.iter().filter(|_| may_go_on) {
            let key = TransitionKey {
                action: i64::from(action.id.0),
                transition: number,
                target_rc: action.target_rc(),
                uuid: self.uuid.clone(),
            };
            self.give_up(action, &key);
            if let Some(command) = failure::begun(action, &key) {
                self.write(Purpose::Other, command, effects);
            }
        }
        self.abort(Abort::restart("Node failure"), name.as_str(), effects);
    }

    /// Results may have been written and overwritten unseen. Orders are still out, under this term, so they are not given
    /// up: their nodes say what became of them.
    pub(super) fn on_missed(&mut self, effects: &mut Vec<Effect>) {
        if let State::Walking(t) = &self.state {
            let orders = t
                .walk
                .in_flight()
                .filter(|a| a.kind == ActionKind::Resource);
            for action in orders.filter(|a| !matches!(a.task.as_str(), "cancel" | "delete")) {
                let node = perform::place(action).and_then(|name| self.id_of(name));
                let (Some(node), Some(rsc)) = (node, action.rsc.as_ref()) else {
                    continue;
                };
                let op = OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms());
                let key = TransitionKey {
                    action: i64::from(action.id.0),
                    transition: t.number,
                    target_rc: action.target_rc(),
                    uuid: self.uuid.clone(),
                };
                let deed = Deed::Account(op);
                effects.push(match (&action.router, &action.node) {
                    (Some(_), Some(remote)) => {
                        Effect::Through(node, remote.name.clone(), key, deed)
                    }
                    _ => Effect::Tell(node, key, deed),
                });
            }
        }
        if self.authority != Authority::None {
            self.abort(Abort::restart("Changes were missed"), "", effects);
        }
    }

    /// Lets a node say what became of operations that are recorded as under way there, and that nobody here waits for:
    /// who ordered them is gone, or gave up, and perhaps the order never arrived.
    pub(super) fn ask_for_accounts(&self, id: NodeId, effects: &mut Vec<Effect>) {
        let given_up = self
            .given_up
            .iter()
            .filter(|((node, _), _)| *node == id.to_string());
        for (op, key) in given_up.map(|(_, order)| order) {
            effects.push(Effect::Tell(id, key.clone(), Deed::Account(op.clone())));
        }
        let resources = join::state_of(&self.cib, id)
            .and_then(|state| state.descend(&["lrm", "lrm_resources"]))
            .into_iter()
            .flat_map(|all| all.children());
        for rsc in resources {
            let pending = |op| outcome::read_pending(rsc.id()?, op);
            for entry in rsc.children().filter_map(pending) {
                if self.given_up.values().any(|(_, key)| *key == entry.key) {
                    continue;
                }
                let waited_for = match (&self.state, self.ours(&entry.key)) {
                    (State::Walking(t), Some(action)) => t.walk.is_in_flight(action),
                    _ => false,
                };
                if !waited_for {
                    let op = OpKey::new(entry.rsc.as_str(), entry.task, entry.interval_ms);
                    effects.push(Effect::Tell(id, entry.key, Deed::Account(op)));
                }
            }
        }
    }

    /// Something is waited for that nobody here ordered. Perhaps its node knows as little of it: an entry may have been
    /// written by hand, or come with an old CIB.
    pub(super) fn ask_what_became_of(&self, node: &str, entry: &Entry, effects: &mut Vec<Effect>) {
        if let Ok(id) = node.parse().map(NodeId)
            && let Some(Peer::Alive { .. }) = self.peers.get(&id)
        {
            let op = OpKey::new(entry.rsc.as_str(), entry.task.as_str(), entry.interval_ms);
            effects.push(Effect::Tell(id, entry.key.clone(), Deed::Account(op)));
        }
    }

    /// Writes where membership differs from presence.
    pub(super) fn review_members(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        if !matches!(self.authority, Authority::Leader(_)) {
            return;
        }
        self.condemn_the_dead(effects);
        let late = self.grace_ends().is_none_or(|end| now >= end);
        let by_options = self.proof();
        for (id, name) in self.members.clone() {
            let Some(peer) = self.peers.get(&id).copied() else {
                continue;
            };
            if let Peer::Alive { incarnation } = peer
                && self.ended.get(&id) == Some(&incarnation)
            {
                continue;
            }
            let state = join::state_of(&self.cib, id);
            let pledge = self.pledge_of(id);
            let proof = join::proof_of(by_options, pledge);
            let wanted = join::wanted(peer, state, proof, late);
            let under_way = self.writes.values().any(|p| *p == Purpose::Membership(id));
            if under_way || join::is_so(wanted, state, pledge) {
                continue;
            }
            let text = match wanted {
                Wanted::Here(_) => "Node join",
                _ => "Node failure",
            };
            let already = join::is_so(wanted, state, None);
            let proven = match (proof, peer) {
                (Proof::Lease, Peer::Expired) if pledge.is_some_and(|p| p.watchdog_ms > 0) => {
                    Some("watchdog")
                }
                (Proof::Lease, Peer::Expired) => Some("lease"),
                _ => None,
            };
            match (wanted, proven) {
                _ if already => {}
                (Wanted::Here(_), _) => effects.push(Effect::Say(format!("{name} joins"))),
                (_, Some(proven)) => {
                    effects.push(Effect::Say(format!("{name} is lost (proof: {proven})")));
                }
                _ => effects.push(Effect::Say(format!("{name} is lost"))),
            }
            let known = (pledge, proven);
            if let Some(commands) = join::write(&self.cib, id, &name, wanted, known, self.now_s) {
                self.write(
                    Purpose::Membership(id),
                    Command::transaction(commands),
                    effects,
                );
            }
            if !already {
                self.abort(Abort::restart(text), name.as_str(), effects);
            }
        }
    }

    /// In which life a node is, as its entry has it.
    pub(super) fn life_of(&self, name: &NodeName) -> Option<u64> {
        let state = join::state_of(&self.cib, self.id_of(name)?)?;
        state.get("incarnation")?.parse().ok()
    }

    /// In which life a node was heard last, else as its entry has it.
    pub(super) fn newest_life_of(&self, name: &NodeName) -> Option<u64> {
        let heard = self.id_of(name).and_then(|id| self.lives.get(&id).copied());
        heard.or_else(|| self.life_of(name))
    }

    /// A life is over: from now on its last words count for nothing here, also before that is recorded.
    pub(super) fn condemn(&mut self, id: NodeId, life: u64, effects: &mut Vec<Effect>) {
        self.ended.insert(id, life);
        effects.push(Effect::Condemn(id, life));
    }

    /// Lives that speak although they count as dead get no lease, whoever led when they were fenced: last words arrive late,
    /// a device may lie, a person may vouch for what is not so. Should such a node live, this makes it stop what it runs and
    /// come back as somebody new; also the one that coordinates, to whom nobody else grants anything.
    fn condemn_the_dead(&self, effects: &mut Vec<Effect>) {
        if seeded(Bug::CondemnForgotten) {
            return;
        }
        for (id, peer) in &self.peers {
            let Peer::Alive { incarnation } = *peer else {
                continue;
            };
            let state = join::state_of(&self.cib, *id);
            let dead = state.and_then(|s| s.get("fenced-incarnation"));
            if dead.is_some_and(|dead| dead == incarnation.to_string()) {
                effects.push(Effect::Condemn(*id, incarnation));
            }
        }
    }

    /// What a node does without a lease: as it was heard, else as an earlier leader heard it.
    fn pledge_of(&self, id: NodeId) -> Option<Pledge> {
        let heard = self.pledges.get(&id).copied();
        heard.or_else(|| join::state_of(&self.cib, id).and_then(join::pledged))
    }

    /// Whether there are watchdogs is a fact of the nodes, and an option for the policy. // spec cluster §16.9
    pub(super) fn ensure_watchdog_option(&mut self, effects: &mut Vec<Effect>) {
        if !matches!(self.authority, Authority::Leader(_)) {
            return;
        }
        let pledges: Vec<Option<Pledge>> =
            self.members.keys().map(|id| self.pledge_of(*id)).collect();
        let any = pledges.iter().flatten().any(|p| p.watchdog_ms > 0);
        let all_known = pledges.iter().all(Option::is_some);
        let said = self.option(&["have-watchdog"]);
        let is_true = crate::terms::text::is_true(said.as_deref());
        if any == is_true
            || (!any && !all_known)
            || self.writes.values().any(|p| *p == Purpose::Watchdog)
        {
            return;
        }
        let (set, pair) = self.place_of("have-watchdog");
        let pair = crate::xml::Element::new("nvpair")
            .with("id", pair)
            .with("name", "have-watchdog")
            .with("value", any.to_string());
        let set = crate::xml::Element::new("cluster_property_set")
            .with("id", set)
            .with_child(pair);
        let command = Command::modify("crm_config", set).or_create();
        self.write(Purpose::Watchdog, command, effects);
    }

    /// Ids of the set and the pair in which a cluster option stands, or where tools would write it.
    fn place_of(&self, name: &str) -> (String, String) {
        let sets = self.cib.section("crm_config").into_iter();
        let found = sets.flat_map(|config| config.children()).find_map(|set| {
            let mut pairs = set.children_named("nvpair");
            let pair = pairs.find(|pair| pair.get("name") == Some(name))?;
            Some((set.id()?.to_owned(), pair.id()?.to_owned()))
        });
        found.unwrap_or_else(|| {
            let set = crate::cib::config::nvset::BOOTSTRAP;
            (set.to_owned(), format!("{set}-{name}"))
        })
    }

    fn proof(&self) -> Proof {
        let option = |names: &[&str]| self.option(names);
        let enabled = option(&["fencing-enabled", "stonith-enabled"])
            .is_none_or(|v| !matches!(v.as_str(), "false" | "no" | "off" | "0" | "n"));
        let policy = option(&["no-quorum-policy"]).unwrap_or_else(|| "stop".into());
        join::proof(enabled, &policy)
    }

    /// A cluster option as written in the first set that has it; rules do not count here.
    pub(super) fn option(&self, names: &[&str]) -> Option<String> {
        self.cib
            .section("crm_config")?
            .children()
            .flat_map(|set| set.children())
            .find(|pair| {
                pair.tag() == "nvpair" && pair.get("name").is_some_and(|n| names.contains(&n))
            })
            .and_then(|pair| pair.get("value"))
            .map(str::to_owned)
    }

    /// Until then a node that was never heard is late, not lost.
    pub(super) fn grace_ends(&self) -> Option<Mono> {
        self.started.map(|s| s.plus(self.settings.startup_grace_ms))
    }

    pub(super) fn someone_is_late(&self) -> bool {
        self.members.keys().any(|id| match self.peers.get(id) {
            Some(Peer::Silent { heard: false }) => {
                join::state_of(&self.cib, *id).is_none_or(|s| s.get("expected") != Some("down"))
            }
            _ => false,
        })
    }

    /// Whether enough is known of every member to plan: present, lost, or late for long enough.
    pub(super) fn everyone_is_judged(&self, now: Mono) -> bool {
        let grace_over = self.grace_ends().is_none_or(|end| now >= end);
        self.members.keys().all(|id| match self.peers.get(id) {
            None => false,
            Some(Peer::Silent { heard: false }) => grace_over || !self.someone_is_late(),
            Some(_) => true,
        })
    }

    pub(super) fn name_of(&self, id: NodeId) -> NodeName {
        self.members
            .get(&id)
            .cloned()
            .unwrap_or_else(|| NodeName::from(id.to_string()))
    }

    pub(super) fn id_of(&self, name: &NodeName) -> Option<NodeId> {
        self.members
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(id, _)| *id)
    }
}
