//! Whose effect is whose command, on which node: one loop that carries words between the machines.
//!
//! ```text
//!   presence ──lease──► authority ──► coordinator ──orders──► executor (here, or a peer's)
//!      ▲                    ▲             │  ▲                    │
//!   leadership            raft ◄──writes──┘  └──── changes ◄── reports (written through raft)
//! ```
//!
//! A node that is alone has its own document, the overlay: writes go there, and changes come from there.

mod carry;
mod tick;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::authority::Knowledge;
use super::deliver::Teller;
use super::guard::{self, Feeder, Look};
use super::remote::{self, Links};
use super::reports;
use super::words;
use super::{deliver, devices, outside};
use crate::alerts;
use crate::attributes;
use crate::cib::{Cib, Command};
use crate::clock::{Mono, wall_s};
use crate::coordinator::{self, Authority};
use crate::executor;
use crate::fencer;
use crate::presence::{self, PeerState};
use crate::raft::{Change, Changes, Raft, State, Want};
use crate::rpc::Peers;
use crate::terms::{NodeId, NodeName, Pledge, Term};

/// What the rest of the daemon may tell the loop.
#[derive(Debug)]
pub(super) enum Ask {
    /// Everything older than this term is applied here, in this state.
    CaughtUp(Term, Arc<State>),
    /// A write of the coordinator ended.
    Written(coordinator::WriteId, Result<(), String>),
    /// This node was told to leave by its coordinator: nothing runs here any more.
    MayLeave,
    /// A remote node reports.
    Remote(remote::Told),
    /// This node leaves although the cluster does not answer: it stops what it runs by itself.
    LeaveAlone,
}

/// Everything that the loop holds on to.
pub(super) struct Router {
    pub(super) me: NodeId,
    pub(super) name: NodeName,
    pub(super) raft: Raft,
    pub(super) peers: Peers,
    pub(super) presence: presence::Handle,
    pub(super) coordinator: coordinator::Handle,
    pub(super) executor: executor::shell::Handle,
    pub(super) fencer: fencer::shell::Handle,
    pub(super) attributes: attributes::shell::Handle,
    pub(super) alerts: alerts::shell::Handle,
    /// Connections to remote nodes.
    pub(super) links: Links,
    /// Which nodes are members, as alerts were told; none before the first look.
    pub(super) members_told: Option<BTreeMap<String, bool>>,
    pub(super) reports: reports::Writer,
    pub(super) teller: Teller,
    pub(super) asks: mpsc::UnboundedSender<Ask>,
    pub(super) newest: Arc<AtomicU64>,
    pub(super) shared: Arc<Shared>,
    pub(super) knowledge: Knowledge,
    pub(super) authority: Authority,
    /// The CIB as this node sees it: the replicated one, or its own while it is alone.
    pub(super) cib: Cib,
    pub(super) overlay: bool,
    /// How many changes of its authority the coordinator has not taken in yet: what it decides meanwhile counts for nothing.
    pub(super) unheard: u32,
    /// Replicated changes up to here are part of `cib`.
    pub(super) index: u64,
    pub(super) stop_deadline_ms: u64,
    pub(super) lost_at: Option<Mono>,
    pub(super) killed: bool,
    pub(super) feeder: Arc<std::sync::Mutex<Feeder>>,
    /// Keeps the file in which clients look for the members.
    pub(super) describe: outside::Describe,
    /// Starts a guard where there is none any more, and when that was done last.
    pub(super) new_guard: Box<dyn Fn() + Send + Sync>,
    pub(super) new_guard_at: Mono,
    pub(super) lease_until: Mono,
    /// The newest term that executor and fencer know.
    pub(super) term_told: Term,
    /// Whose majorities count, as presence was told.
    pub(super) voters: Vec<BTreeSet<NodeId>>,
    /// What presence was told that this node does without a lease.
    pub(super) pledged: Option<Pledge>,
    /// The loss of the peer of two that the coordinator was told of.
    pub(super) loss_told: Option<u64>,
    /// When it is next looked for voters that are gone for good.
    pub(super) spare_at: Mono,
    /// How long a lease can last from now on, with a margin.
    pub(super) lease_ms: u64,
    /// Within which time each node is reset by its watchdog, as the fencer was told.
    pub(super) watchdogs: BTreeMap<NodeName, u64>,
    /// The watchdog of this node.
    pub(super) watchdog: Look,
}

/// What services read without asking the loop.
#[derive(Default)]
pub(super) struct Shared {
    /// This node's lease is held: orders are taken.
    pub(super) held: AtomicBool,
    /// The document of a node that is alone.
    pub(super) overlay: std::sync::Mutex<Option<Cib>>,
    /// What orders to other nodes are bound to.
    pub(super) lives: deliver::Lives,
    /// The watchdog of this node, if it has one.
    pub(super) watchdog: std::sync::Mutex<Option<guard::Dog>>,
    /// The daemon may end.
    pub(super) leave: watch::Sender<bool>,
    /// Tools that wait for the end of a fencing, by the tag of their request.
    pub(super) waiting:
        std::sync::Mutex<BTreeMap<String, oneshot::Sender<Result<(), fencer::Failure>>>>,
}

/// Where effects come from.
pub(super) struct Inbox {
    pub(super) changes: Changes,
    pub(super) presence: mpsc::UnboundedReceiver<presence::Effect>,
    pub(super) coordinator: mpsc::UnboundedReceiver<coordinator::Effect>,
    pub(super) executor: mpsc::UnboundedReceiver<executor::shell::Out>,
    pub(super) fencer: mpsc::UnboundedReceiver<fencer::shell::Out>,
    pub(super) attributes: mpsc::UnboundedReceiver<attributes::Effect>,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    pub(super) wants: mpsc::UnboundedReceiver<Want>,
}

/// One thing that happened.
enum Event {
    Change(Result<Option<Arc<Change>>, u64>),
    Leadership,
    Presence(presence::Effect),
    Coordinator(coordinator::Effect),
    Executor(executor::shell::Out),
    Fencer(fencer::shell::Out),
    Attributes(attributes::Effect),
    Ask(Ask),
    Want(Want),
    Tick,
}

/// How often the loop looks at the clock: the guard is fed, authority is reviewed.
const TICK: Duration = Duration::from_millis(100);

impl Router {
    /// Carries words until raft stops.
    pub(super) async fn run(mut self, mut inbox: Inbox) {
        let mut leadership = self.raft.leadership();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.members_changed().await;
        self.look_at_watchdog().await;
        self.pledge().await;
        self.watchdogs = devices::watchdogs(&self.cib, self.lease_ms);
        self.configure_fencer().await;
        self.leadership_changed().await;
        self.alerts.configured(self.cib.clone());
        self.show_attributes().await;
        loop {
            let event = tokio::select! {
                biased;
                effect = inbox.presence.recv() => match effect {
                    Some(effect) => Event::Presence(effect),
                    None => return,
                },
                change = inbox.changes.next() => Event::Change(change),
                changed = leadership.changed() => match changed {
                    Ok(()) => Event::Leadership,
                    Err(_) => return,
                },
                Some(effect) = inbox.coordinator.recv() => Event::Coordinator(effect),
                Some(out) = inbox.executor.recv() => Event::Executor(out),
                Some(out) = inbox.fencer.recv() => Event::Fencer(out),
                Some(effect) = inbox.attributes.recv() => Event::Attributes(effect),
                Some(ask) = inbox.asks.recv() => Event::Ask(ask),
                Some(want) = inbox.wants.recv() => Event::Want(want),
                _ = tick.tick() => Event::Tick,
            };
            match event {
                Event::Change(Ok(Some(change))) => self.on_change(&change).await,
                Event::Change(Ok(None)) => return,
                Event::Change(Err(missed)) => self.on_missed(missed).await,
                Event::Leadership => self.leadership_changed().await,
                Event::Presence(effect) => self.on_presence(effect).await,
                Event::Coordinator(effect) => self.on_coordinator(effect).await,
                Event::Executor(out) => self.on_executor(out).await,
                Event::Fencer(out) => self.on_fencer(out),
                Event::Attributes(effect) => self.on_attributes(effect).await,
                Event::Ask(ask) => {
                    // A write is answered after it is applied: what it changed must arrive first.
                    while let Some(Ok(Some(change))) = inbox.changes.next().now_or_never() {
                        self.on_change(&change).await;
                    }
                    self.on_ask(ask).await;
                }
                Event::Want(want) => self.on_want(want).await,
                Event::Tick => self.tick().await,
            }
            self.review_authority().await;
        }
    }

    async fn on_change(&mut self, change: &Change) {
        if change.members_changed {
            self.members_changed().await;
        }
        if change.index < self.index {
            return;
        }
        self.index = change.index;
        if self.overlay {
            return;
        }
        let before = std::mem::replace(&mut self.cib, change.after.clone());
        self.cib_changed(before).await;
    }

    /// This loop was too slow for some changes: it goes on from the newest state.
    async fn on_missed(&mut self, missed: u64) {
        tracing::warn!("missed {missed} changes of the CIB; going on from the newest state");
        let state = self.raft.local();
        self.members_changed().await;
        if self.overlay || state.index < self.index {
            return;
        }
        self.index = state.index;
        let before = std::mem::replace(&mut self.cib, state.cib.clone());
        // A result may have been written and overwritten: what waits for it would wait in vain.
        self.cib_changed(before).await;
        self.coordinator.tell(coordinator::Event::Missed);
    }

    async fn cib_changed(&mut self, before: Cib) {
        let after = self.cib.clone();
        let configuration_changed = match (before.configuration(), after.configuration()) {
            (Some(b), Some(a)) => !b.ptr_eq(a),
            (b, a) => b.is_some() != a.is_some(),
        };
        self.coordinator
            .tell(coordinator::Event::CibChanged { before, after });
        if configuration_changed {
            self.alerts.configured(self.cib.clone());
            self.pledge().await;
        }
        let watchdogs = devices::watchdogs(&self.cib, self.lease_ms);
        if configuration_changed || watchdogs != self.watchdogs {
            self.watchdogs = watchdogs;
            self.configure_fencer().await;
        }
        self.show_attributes().await;
    }

    pub(super) async fn configure_fencer(&self) {
        let mut event = devices::configured(&self.cib, &self.name, wall_s(), self.lease_ms);
        // Of two, each goes on until it is fenced, so its watchdog does not reset it.
        if let (fencer::Event::Configured { watchdogs, .. }, Some(_)) =
            (&mut event, self.two_node())
        {
            watchdogs.clear();
        }
        self.fencer.send(event).await;
    }

    /// Says what this node does without a lease, if that is news: to its guard first, for a frozen daemon tells nobody.
    async fn pledge(&mut self) {
        if self.overlay {
            return;
        }
        self.watchdog.compare(&self.cib, &self.name);
        let mut pledge = words::pledge(&self.cib, self.watchdog.armed_ms());
        pledge.lets_go &= self.two_node().is_none();
        if self.pledged == Some(pledge) {
            return;
        }
        self.pledged = Some(pledge);
        self.feed_guard();
        self.presence.tell(presence::Event::Pledge(pledge)).await;
    }

    async fn members_changed(&mut self) {
        let members = self.raft.local().members.clone();
        self.presence.set_addresses(
            members
                .values()
                .map(|m| {
                    (
                        m.id,
                        m.addresses
                            .iter()
                            .copied()
                            .map(crate::rpc::lease_address)
                            .collect(),
                    )
                })
                .collect(),
        );
        self.attributes.send(outside::members(&members)).await;
        (self.describe)(&members);
        let running: Vec<_> = members
            .values()
            .filter(|m| m.role.runs_resources())
            .map(|m| (m.id, m.name.clone()))
            .collect();
        self.coordinator.tell(coordinator::Event::Members(running));
        self.leadership_changed().await;
    }

    async fn leadership_changed(&mut self) {
        let now = *self.raft.leadership().borrow();
        let newly_ours = now.mine
            && (!self.knowledge.leadership.mine || self.knowledge.leadership.term != now.term);
        self.knowledge.leadership = now;
        let members = self.raft.local().members.clone();
        self.voters = self.raft.voters();
        self.presence
            .tell(presence::Event::Leadership {
                term: now.term,
                leader: now.leader,
                voters: self.voters.clone(),
                members: members.keys().copied().collect(),
            })
            .await;
        self.tell_fencer_peers().await;
        if newly_ours {
            let (raft, asks) = (self.raft.clone(), self.asks.clone());
            tokio::spawn(async move {
                match raft.barrier().await {
                    Ok(state) => drop(asks.send(Ask::CaughtUp(now.term, state))),
                    Err(e) => tracing::warn!("leads, but cannot read its own log: {e}"),
                }
            });
        }
    }

    async fn on_presence(&mut self, effect: presence::Effect) {
        match effect {
            presence::Effect::LeaseHeld(until, incarnation) => {
                self.knowledge.held = Some(true);
                self.knowledge.life = Some(incarnation);
                self.lost_at = None;
                self.killed = false;
                // Before anything is started under it: the guard would take an older lease for this one.
                self.lease_until = self.lease_until.max(until);
                self.feed_guard();
                let lease = executor::Event::Lease(self.lease_until);
                self.executor.send(lease).await;
                self.shared.held.store(true, Ordering::Release);
                tracing::info!("holds a run lease");
            }
            presence::Effect::LeaseLost(at) => {
                self.knowledge.held = Some(false);
                self.lost_at = Some(at);
                self.shared.held.store(false, Ordering::Release);
                self.fencer.send(fencer::Event::LeaseLost).await;
                tracing::warn!("the run lease has run out");
            }
            presence::Effect::Peer(id, state) => {
                let peer = words::peer(state);
                self.coordinator.tell(coordinator::Event::Peer(id, peer));
                self.tell_fencer_peers().await;
            }
            presence::Effect::Pledged(id, pledge) => {
                self.coordinator
                    .tell(coordinator::Event::Pledged(id, pledge));
            }
            presence::Effect::Majority(true) => tracing::debug!("a majority follows"),
            presence::Effect::Majority(false) => tracing::warn!("no majority follows any more"),
            presence::Effect::Ask(..) | presence::Effect::Answer(..) => {}
        }
    }

    /// Fencers that answer: those of nodes that renew their lease. Only a leader knows who does; the others ask all.
    async fn tell_fencer_peers(&self) {
        let members = self.raft.local().members.clone();
        let view = self.presence.view();
        let alive = |id: NodeId| {
            id == self.me
                || !self.knowledge.leadership.mine
                || view
                    .peers
                    .iter()
                    .any(|(p, s, _)| *p == id && matches!(s, PeerState::Alive { .. }))
        };
        let names = members
            .values()
            .filter(|m| alive(m.id))
            .map(|m| m.name.clone())
            .collect();
        self.fencer.send(fencer::Event::Peers(names)).await;
    }

    /// Authority changes hands only here.
    async fn review_authority(&mut self) {
        self.knowledge.undecided = self.goes_on(self.presence.view().may_keep);
        let authority = self.knowledge.authority(Mono::now());
        if authority == self.authority {
            return;
        }
        // Peers are told anew under each authority, so the coordinator must hear of it first.
        let was = std::mem::replace(&mut self.authority, authority);
        let alone = matches!(authority, Authority::Alone(_));
        if alone && !matches!(was, Authority::Alone(_)) {
            self.reports.abandon();
            self.links.alone();
            self.overlay = true;
            let state = self.raft.local();
            let belonged = words::belongs(&state.cib, self.me, self.knowledge.life);
            let may_keep = self.presence.view().may_keep && belonged;
            self.cib = words::alone(&state.cib, self.me, may_keep);
            if self.knowledge.leaving_alone {
                self.cib = coordinator::stopping(&self.cib);
            }
            self.executor.send(executor::Event::Alone).await;
        } else if !alone && self.overlay {
            self.overlay = false;
            let state = self.raft.local();
            self.index = state.index;
            self.cib = state.cib.clone();
            self.pledge().await;
        }
        let overlay = self.overlay.then(|| self.cib.clone());
        *self.shared.overlay.lock().expect("no panic while held") = overlay;
        self.unheard += 1;
        self.coordinator
            .tell(coordinator::Event::Authority(authority, self.cib.clone()));
        self.show_attributes().await;
        let writes = !matches!(authority, Authority::None);
        self.attributes
            .send(attributes::Event::Writer(writes))
            .await;
        if let Authority::Leader(_) = authority {
            let view = self.presence.view();
            for (id, pledge) in &view.pledges {
                let event = coordinator::Event::Pledged(*id, *pledge);
                self.coordinator.tell(event);
            }
            for (id, state) in words::everybody(self.me, &view) {
                self.on_presence(presence::Effect::Peer(id, state)).await;
            }
            self.tell_lost_peer();
        }
    }

    async fn on_ask(&mut self, ask: Ask) {
        match ask {
            Ask::CaughtUp(term, state) => {
                if state.index > self.index && !self.overlay {
                    self.index = state.index;
                    let before = std::mem::replace(&mut self.cib, state.cib.clone());
                    self.cib_changed(before).await;
                }
                self.knowledge.caught_up = Some(term);
            }
            Ask::Written(id, result) => {
                self.coordinator
                    .tell(coordinator::Event::Written { id, result });
            }
            Ask::MayLeave => {
                self.shared.leave.send_replace(true);
            }
            Ask::Remote(told) => self.on_remote(told),
            Ask::LeaveAlone => self.knowledge.leaving_alone = true,
        }
    }
}

/// Members by name, for messages.
pub(super) fn name_of(members: &BTreeMap<NodeId, crate::raft::Member>, id: NodeId) -> String {
    members
        .get(&id)
        .map_or_else(|| format!("node {id}"), |m| m.name.to_string())
}
