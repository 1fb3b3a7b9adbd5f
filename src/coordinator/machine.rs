//! One transition at a time: plan, walk, and plan again when something changed. Whatever happens ends
//! in [`Machine::drive`], which looks at everything afresh and says what can be done now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::abort::{Abort, Completion};
use super::join::{self, Proof, Wanted};
use super::outcome::{self, Entry, Seen};
use super::remote;
use super::vocab::{Authority, Deed, Effect, Event, Lost, Order, Peer, Picture, WriteId};
use super::walk::{Limits, Walk};
use crate::cib::{Cib, Command};
use crate::clock::Mono;
use crate::graph::{Action, ActionId, ActionKind, Graph};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, NodeName, OpKey, Pledge, RscId, Term, TransitionKey};

mod failure;
mod hold;
mod membership;
mod perform;
mod repeat;
mod results;

use repeat::{Asked, Repeats};

/// What the machine is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub me: NodeId,
    /// 128 random bits: names this coordinator's transitions.
    pub seed: u128,
    /// Actions at once on one node; the field's default is twice its cores.
    pub actions_per_node: usize,
    /// How long a node that was never heard may be late after a cold start, in milliseconds.
    pub startup_grace_ms: u64,
}

/// The coordinator of one node; idle without authority.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    started: Option<Mono>,
    authority: Authority,
    uuid: String,
    reigns: u32,
    cib: Cib,
    members: BTreeMap<NodeId, NodeName>,
    peers: BTreeMap<NodeId, Peer>,
    /// The newest life in which each node was heard, known here before it is recorded.
    lives: BTreeMap<NodeId, u64>,
    /// The life of each node that fencing has ended, known here before it is recorded.
    ended: BTreeMap<NodeId, u64>,
    /// What nodes said that they do without a lease.
    pledges: BTreeMap<NodeId, Pledge>,
    state: State,
    /// Why the policy must be asked, if it must.
    want_plan: Option<Asked>,
    /// Why it was asked last.
    asked_because: Asked,
    repeats: Repeats,
    next_plan: u64,
    next_transition: i64,
    next_write: u64,
    writes: BTreeMap<WriteId, Purpose>,
    recheck_at: Option<Mono>,
    /// Failed attempts at fencing a node since it last worked. // spec cluster §12.1
    fencing_failures: BTreeMap<NodeName, u32>,
    /// Where something that somebody else ordered is under way: node, resource.
    foreign: BTreeSet<(String, String)>,
    /// Our own orders, by node and resource, that were given up when the node fell silent.
    given_up: BTreeMap<(String, String), (OpKey, TransitionKey)>,
    now_s: i64,
}

#[derive(Debug)]
enum State {
    Idle,
    Planning(u64),
    Walking(Box<Transition>),
}

#[derive(Debug)]
struct Transition {
    number: i64,
    walk: Walk,
    abort: Option<Abort>,
    /// This node leaves when everything else is done.
    leave_last: Option<TransitionKey>,
    /// Nodes that actions of this graph, already begun, take down.
    downed: Vec<String>,
    /// What each fencing that has begun is to end.
    shots: BTreeMap<ActionId, Shot>,
}

/// Which life a fencing is to end. Whatever was heard before it was ordered is over when it has been carried out, so a node
/// that was heard in a new life, and fell silent before that was recorded, is fenced once.
#[derive(Debug, Clone, Copy, Default)]
struct Shot {
    /// The newest one that was heard of.
    life: Option<u64>,
    /// The one that the node's entry had.
    entry: Option<u64>,
}

/// Why a write was made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// A node's entry follows presence.
    Membership(NodeId),
    /// An action of the graph is done once this is written.
    Confirms(ActionId, i64),
    /// The option that says whether there are watchdogs.
    Watchdog,
    /// Nothing waits for it but the next plan.
    Other,
}

impl Machine {
    /// A coordinator without authority.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            started: None,
            authority: Authority::None,
            uuid: String::new(),
            reigns: 0,
            cib: Cib::empty(),
            members: BTreeMap::new(),
            peers: BTreeMap::new(),
            lives: BTreeMap::new(),
            ended: BTreeMap::new(),
            pledges: BTreeMap::new(),
            state: State::Idle,
            want_plan: None,
            asked_because: Asked::News,
            repeats: Repeats::default(),
            next_plan: 1,
            next_transition: 0,
            next_write: 1,
            writes: BTreeMap::new(),
            recheck_at: None,
            fencing_failures: BTreeMap::new(),
            foreign: BTreeSet::new(),
            given_up: BTreeMap::new(),
            now_s: 0,
        }
    }

    /// Takes one event; says in `effects` what follows. `now_s` is the wall clock, for the CIB only.
    pub fn step(&mut self, now: Mono, now_s: i64, event: Event, effects: &mut Vec<Effect>) {
        self.started.get_or_insert(now);
        self.now_s = now_s;
        match event {
            Event::Authority(authority, cib) => self.on_authority(authority, cib, effects),
            Event::Members(members) => {
                self.members = members.into_iter().collect();
                self.peers.retain(|id, _| self.members.contains_key(id));
                self.lives.retain(|id, _| self.members.contains_key(id));
                self.ended.retain(|id, _| self.members.contains_key(id));
                self.ensure_nodes(effects);
            }
            Event::Peer(id, peer) => self.on_peer(id, peer, effects),
            Event::Pledged(id, pledge) => drop(self.pledges.insert(id, pledge)),
            Event::CibChanged { before, after } => self.on_cib(&before, after, effects),
            Event::Planned { plan, graph } => self.on_planned(now, plan, *graph, effects),
            Event::Written { id, result } => self.on_written(id, result, effects),
            Event::Fenced { key, result } => self.on_fenced(&key, result, effects),
            Event::FencedOutside { target, by } => self.on_fenced_outside(&target, &by, effects),
            Event::Done(key) => {
                if let Some(id) = self.ours(&key) {
                    self.confirm(id);
                }
            }
            Event::NotDone { key, why } => self.on_not_done(&key, &why, effects),
            Event::Missed => self.on_missed(effects),
            Event::Tick => {}
        }
        self.drive(now, effects);
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn wake_at(&self, now: Mono) -> Option<Mono> {
        if self.authority == Authority::None {
            return None;
        }
        let deadline = match &self.state {
            State::Walking(t) => t.walk.next_deadline(),
            _ => None,
        };
        let late = self
            .grace_ends()
            .filter(|end| *end > now && self.someone_is_late());
        [deadline, self.recheck_at, late]
            .into_iter()
            .flatten()
            .min()
    }

    /// What status shows.
    pub fn picture(&self) -> Picture {
        let in_flight = match &self.state {
            State::Walking(t) => t.walk.in_flight().map(Action::told).collect(),
            _ => Vec::new(),
        };
        Picture {
            busy: !matches!(self.state, State::Idle) || self.want_plan.is_some(),
            transition: self.next_transition,
            recheck_at: self.recheck_at,
            in_flight,
            in_vain: self.repeats.in_vain().to_vec(),
        }
    }

    fn term(&self) -> Term {
        match self.authority {
            Authority::None => Term(0),
            Authority::Leader(term) | Authority::Alone(term) => term,
        }
    }

    fn on_authority(&mut self, authority: Authority, cib: Cib, effects: &mut Vec<Effect>) {
        self.cib = cib;
        effects.push(Effect::Heard);
        if authority == self.authority {
            return;
        }
        // Nothing of an earlier authority is carried over: a new one starts from the CIB alone.
        self.authority = authority;
        self.reigns += 1;
        self.uuid = uuid_of(self.settings.seed, self.reigns);
        self.state = State::Idle;
        self.writes.clear();
        self.want_plan = None;
        self.recheck_at = None;
        self.fencing_failures.clear();
        self.repeats.end();
        self.given_up.clear();
        self.find_foreign();
        // Presence tells anew what it knows under this one. A lease that ran out long ago proves nothing of today's.
        self.peers.clear();
        self.lives.clear();
        self.ended.clear();
        self.pledges.clear();
        match authority {
            Authority::None => {}
            Authority::Leader(term) => {
                effects.push(Effect::Say(format!("coordinates from term {term} on")));
                self.lead(effects);
                self.want(Asked::News);
            }
            Authority::Alone(_) => {
                effects.push(Effect::Say(
                    "has lost touch with the majority: follows no-quorum-policy alone".into(),
                ));
                self.want(Asked::News);
            }
        }
    }

    /// Asks for a plan; of several reasons the one that says most is remembered.
    fn want(&mut self, why: Asked) {
        self.want_plan = self.want_plan.max(Some(why));
    }

    /// The transition in hand, if any, is not finished; then the policy is asked, or not.
    fn abort(&mut self, abort: Abort, detail: &str, effects: &mut Vec<Effect>) {
        let restart = abort.completion == Completion::Restart;
        match &mut self.state {
            State::Walking(_) if seeded(Bug::NoAbort) => {}
            State::Walking(t) => {
                if t.abort.is_none() {
                    effects.push(Effect::Say(format!(
                        "transition {} aborted: {}{}{detail}",
                        t.number,
                        abort.text,
                        if detail.is_empty() { "" } else { ": " },
                    )));
                }
                match &mut t.abort {
                    Some(already) => already.join(abort),
                    none => *none = Some(abort),
                }
            }
            State::Idle | State::Planning(_) if restart => self.want(Asked::News),
            State::Idle | State::Planning(_) => {}
        }
    }

    /// Does whatever can be done now.
    fn drive(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        if self.authority == Authority::None {
            return;
        }
        self.review_members(now, effects);
        self.ensure_watchdog_option(effects);
        self.expire(now, effects);
        self.confirm_cancelled();
        self.walk(now, effects);
        if matches!(self.state, State::Idle) && self.recheck_at.is_some_and(|at| at <= now) {
            self.recheck_at = None;
            self.want(Asked::TimePassed);
        }
        if matches!(self.state, State::Idle)
            && self.may_plan(now)
            && let Some(why) = self.want_plan.take()
        {
            let plan = self.next_plan;
            self.next_plan += 1;
            self.asked_because = why;
            self.state = State::Planning(plan);
            let (cib, transition) = (self.cib.clone(), self.next_transition);
            effects.push(Effect::Plan {
                plan,
                cib,
                transition,
            });
        }
    }

    /// The policy is not asked while what it should know is being written. // spec cluster §9.1
    fn may_plan(&self, now: Mono) -> bool {
        match self.authority {
            Authority::None => false,
            Authority::Alone(_) => true,
            Authority::Leader(_) => self.writes.is_empty() && self.everyone_is_judged(now),
        }
    }

    fn on_planned(&mut self, now: Mono, plan: u64, graph: Graph, effects: &mut Vec<Effect>) {
        if !matches!(self.state, State::Planning(p) if p == plan) {
            return; // Asked under an authority that is gone.
        }
        self.state = State::Idle;
        if self.want_plan.is_some() {
            return; // Something changed while it thought: `drive` asks again.
        }
        self.set_recheck(now, &graph);
        if graph.is_empty() {
            self.repeats.end();
            effects.push(Effect::Settled {
                transition: self.next_transition,
            });
            return;
        }
        if let Some(wait_ms) = self.repeats.planned(&graph, self.asked_because) {
            let at = now.plus(wait_ms);
            self.recheck_at = Some(self.recheck_at.map_or(at, |other| other.min(at)));
            effects.push(Effect::Say(format!(
                "the same plan again, and nothing else happened: done once more in {} s: {}",
                wait_ms / 1000,
                describe(&graph)
            )));
            return;
        }
        self.next_transition += 1;
        let number = self.next_transition;
        effects.push(Effect::Say(format!(
            "transition {number}: {}",
            describe(&graph)
        )));
        self.state = State::Walking(Box::new(Transition {
            number,
            walk: Walk::new(graph),
            abort: None,
            leave_last: None,
            downed: Vec::new(),
            shots: BTreeMap::new(),
        }));
    }

    /// Begins what may begin, and ends the transition when nothing is left in flight.
    fn walk(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let held = self.held();
        let State::Walking(t) = &mut self.state else {
            return;
        };
        let limits = Limits {
            batch: usize::try_from(t.walk.graph.batch_limit).unwrap_or(0),
            per_node: self.settings.actions_per_node.max(1),
            migrations: usize::try_from(t.walk.graph.migration_limit)
                .ok()
                .filter(|n| *n > 0),
        };
        let cluster_delay = t.walk.graph.cluster_delay.ms;
        let fencing = t.walk.graph.fencing_timeout.ms;
        let deadline =
            |action: &Action| now.plus(perform::patience(action, cluster_delay, fencing));
        loop {
            let State::Walking(t) = &mut self.state else {
                return;
            };
            let floor = t.abort.as_ref().map(|a| a.priority);
            let Some(action) = t.walk.begin_next(&limits, floor, &held, deadline) else {
                break;
            };
            self.begin(action, effects);
        }
        let State::Walking(t) = &mut self.state else {
            return;
        };
        if t.walk.in_flight().next().is_some() || t.abort.is_none() && t.walk.waits_for(&held) {
            return;
        }
        self.finish(effects);
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        let State::Walking(t) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        let completion = t.abort.as_ref().map_or(Completion::Done, |a| a.completion);
        match completion {
            Completion::Restart => self.want(Asked::News),
            Completion::Done | Completion::Stop => {
                let how = if t.walk.is_complete() {
                    "complete"
                } else {
                    "stopped"
                };
                effects.push(Effect::Say(format!("transition {} {how}", t.number)));
                if let Some(key) = t.leave_last {
                    effects.push(Effect::Tell(self.settings.me, key, Deed::Shutdown));
                } else if completion == Completion::Done && t.walk.did_something() {
                    // The last plan is empty: what was reached is what was wanted.
                    self.want(Asked::Complete);
                }
            }
        }
    }

    /// The id of an action in flight, when the key is one of the transition in hand.
    fn ours(&self, key: &TransitionKey) -> Option<ActionId> {
        let State::Walking(t) = &self.state else {
            return None;
        };
        (key.uuid == self.uuid && key.transition == t.number)
            .then(|| u32::try_from(key.action).ok().map(ActionId))
            .flatten()
            .filter(|id| t.walk.action(*id).is_some())
    }

    fn confirm(&mut self, id: ActionId) {
        if let State::Walking(t) = &mut self.state {
            t.walk.confirm(id);
        }
    }

    fn write(&mut self, purpose: Purpose, command: Command, effects: &mut Vec<Effect>) {
        let id = WriteId(self.next_write);
        self.next_write += 1;
        self.writes.insert(id, purpose);
        effects.push(Effect::Write(id, command));
    }

    fn on_written(&mut self, id: WriteId, result: Result<(), String>, effects: &mut Vec<Effect>) {
        let Some(purpose) = self.writes.remove(&id) else {
            return;
        };
        match (purpose, result) {
            (Purpose::Confirms(action, transition), Ok(())) => {
                if matches!(&self.state, State::Walking(t) if t.number == transition) {
                    self.confirm(action);
                }
            }
            (_, Ok(())) => {}
            (_, Err(why)) => self.abort(Abort::restart("CIB update failed"), &why, effects),
        }
    }
}

/// A UUID that no other coordinator uses, and this one only for one reign.
fn uuid_of(seed: u128, reign: u32) -> String {
    let bits = (seed & !0xffff_ffff) | u128::from(reign);
    uuid::Builder::from_random_bytes(bits.to_be_bytes())
        .into_uuid()
        .to_string()
}

/// "3 actions: web_stop_0 on h1, ..." for the log.
fn describe(graph: &Graph) -> String {
    const SHOWN: usize = 6;
    let real: Vec<&Action> = graph
        .synapses
        .iter()
        .map(|s| &s.action)
        .filter(|a| a.kind != ActionKind::Pseudo)
        .collect();
    let mut names: Vec<String> = real.iter().take(SHOWN).map(|a| a.told()).collect();
    if real.len() > SHOWN {
        names.push(format!("and {} more", real.len() - SHOWN));
    }
    format!("{} actions: {}", real.len(), names.join(", "))
}

#[cfg(test)]
mod tests;
