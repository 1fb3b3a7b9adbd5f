//! The hands of `two_node`: asks the peer how it stands, notices its silence, writes proofs to disk, and restarts openraft
//! on a log in which this node votes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::EmptyNode;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::handle::{Inner, Raft, core_config};
use super::network::{Message, Reply, ask};
use super::store::Write;
use super::two_node::{Effect, Event, Hello, Machine, Phase, Picture, Place, Proof, Says, Seat};
use super::types::{Core, term_of};
use super::vocab::{Error, Member, MemberRole, Transport, TransportError};
use crate::clock::{self, Mono};
use crate::terms::NodeId;

/// After a fencing that failed, before the next attempt.
const AGAIN_MS: u64 = 5_000;
/// A peer that is to vote again must have answered within this time.
const FRESH_MS: u64 = 1_000;

/// What this room wants from the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Have the peer fenced; its end goes to [`Raft::peer_fenced`].
    Fence {
        /// Number of the shot.
        number: u64,
        /// Whom.
        peer: NodeId,
        /// The peer led, so it is the one with the better right should both be alive.
        led: bool,
    },
}

/// The peer without which this node went on since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Counts.
    pub number: u64,
    /// Who is dead.
    pub peer: NodeId,
    /// Who did it, or whose word it is.
    pub by: String,
}

/// What is written before a node goes on alone, and with the decision.
#[derive(Serialize, Deserialize)]
struct Record {
    peer: NodeId,
    proof: Proof,
    /// Seconds since 1970.
    at_s: i64,
    /// The decision is written, too.
    alone: bool,
}

/// The machine, and what it stands on.
pub(super) struct TwoNode {
    inside: Mutex<Inside>,
    gate: Arc<AtomicBool>,
    /// When the peer last answered a question.
    answered: AtomicU64,
    effects: mpsc::UnboundedSender<Effect>,
    wants: mpsc::UnboundedSender<Want>,
    wanted: Mutex<Option<mpsc::UnboundedReceiver<Want>>>,
}

struct Inside {
    machine: Machine,
    peer: Option<NodeId>,
    /// The peer and the mode that are certainly known again after a crash.
    noted: (Option<NodeId>, bool),
    /// Where the log seats this node, whether the mode is on or not.
    seat: (Seat, Place),
    peers_term: u64,
    /// The peer led when it was last heard.
    led: bool,
    failed: Option<(Mono, String)>,
    proof: Option<Proof>,
    /// How many proofs there were.
    losses: u64,
}

impl TwoNode {
    pub(super) fn new(
        record: Option<serde_json::Value>,
    ) -> (Self, mpsc::UnboundedReceiver<Effect>) {
        if let Some(record) = record.and_then(|r| serde_json::from_value::<Record>(r).ok())
            && !record.alone
        {
            tracing::warn!(
                "node {} was dead ({}) when this node ended, before it could go on alone; since then it may have been \
                 told to go on itself, so that counts no more",
                record.peer,
                record.proof
            );
        }
        let (effects, todo) = mpsc::unbounded_channel();
        let (wants, wanted) = mpsc::unbounded_channel();
        let inside = Inside {
            machine: Machine::new(rand::random()),
            peer: None,
            noted: (None, false),
            seat: (Seat::Other, Place::default()),
            peers_term: 0,
            led: false,
            failed: None,
            proof: None,
            losses: 0,
        };
        let it = Self {
            inside: Mutex::new(inside),
            gate: Arc::new(AtomicBool::new(true)),
            answered: AtomicU64::new(Mono::now().0),
            effects,
            wants,
            wanted: Mutex::new(Some(wanted)),
        };
        (it, todo)
    }

    /// May raft talk, stand and lead?
    pub(super) fn open(&self) -> bool {
        self.gate.load(Ordering::SeqCst)
    }

    /// A transport on which nothing of raft goes out while the gate is shut.
    pub(super) fn gated(&self, wire: &Arc<dyn Transport>) -> Gated {
        Gated {
            wire: Arc::clone(wire),
            gate: Arc::clone(&self.gate),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step; the gate follows before anybody else can ask.
    fn step(&self, inside: &mut Inside, event: Event) -> Result<(), String> {
        let before = inside.machine.phase();
        let mut effects = Vec::new();
        let result = inside.machine.step(event, &mut effects);
        self.gate.store(inside.machine.open(), Ordering::SeqCst);
        let now = inside.machine.phase();
        if now != before {
            tracing::info!("two nodes: {before:?} -> {now:?}");
        }
        if now == Phase::Together && before != Phase::Fencing {
            self.answered.fetch_max(Mono::now().0, Ordering::Relaxed);
        }
        for effect in effects {
            // The task that carries them out lives as long as raft does.
            let _ = self.effects.send(effect);
        }
        result
    }
}

/// See [`TwoNode::gated`].
pub(super) struct Gated {
    wire: Arc<dyn Transport>,
    gate: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Transport for Gated {
    async fn raft(&self, to: NodeId, message: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let shut = || TransportError::Unreachable {
            to,
            why: "this node takes no part before it has met its peer".into(),
        };
        if !self.gate.load(Ordering::SeqCst) {
            return Err(shut());
        }
        let answer = self.wire.raft(to, message).await;
        // An answer that comes after the gate was shut is nobody's.
        if !self.gate.load(Ordering::SeqCst) {
            return Err(TransportError::Lost {
                to,
                why: "this node takes no part before it has met its peer".into(),
            });
        }
        answer
    }

    fn members(&self, members: &BTreeMap<NodeId, Member>) {
        self.wire.members(members);
    }
}

impl Raft {
    /// What this room wants from the daemon; to be taken once.
    pub fn wants(&self) -> Option<mpsc::UnboundedReceiver<Want>> {
        let wanted = &self.inner.two_node.wanted;
        wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A fencing of the peer has ended: who did it, or why it is not certain that it is done. `human` when a person
    /// vouches for it.
    pub fn peer_fenced(&self, number: u64, result: Result<String, String>, human: bool) {
        let proof = |by| match human {
            true => Proof::Human(by),
            false => Proof::Device(by),
        };
        let result = result.map(proof);
        let two_node = &self.inner.two_node;
        let mut inside = two_node.inside();
        inside.failed = result.as_ref().err().map(|why| (Mono::now(), why.clone()));
        // Cannot be refused.
        let _ = two_node.step(&mut inside, Event::Fenced { number, result });
    }

    /// A person says that the peer is off, and did not go on alone.
    ///
    /// # Errors
    /// Why that changes nothing here, and the cure.
    pub fn peer_is_off(&self, peer: NodeId, who: &str) -> Result<(), String> {
        let two_node = &self.inner.two_node;
        let mut inside = two_node.inside();
        if inside.peer != Some(peer) {
            return Err("this is no cluster of two voters in two-node mode, \
                        so nobody has to vouch for a node here"
                .into());
        }
        two_node.step(&mut inside, Event::Confirmed(who.into()))
    }

    /// Before this node ends, and after everything that it ran has been moved away: the peer need not fence it.
    pub async fn leave(&self) {
        let inner = &self.inner;
        let peer = {
            let mut inside = inner.two_node.inside();
            let _ = inner.two_node.step(&mut inside, Event::Leave);
            match inside.machine.phase() {
                Phase::Leaving => inside.peer,
                _ => None,
            }
        };
        if let Some(peer) = peer {
            let _ = tokio::time::timeout(Duration::from_secs(1), inner.say_hello(peer)).await;
        }
    }

    /// How a cluster of two voters stands; none where the mode is off.
    pub fn two_node(&self) -> Option<Picture> {
        let two_node = &self.inner.two_node;
        let inside = two_node.inside();
        let phase = inside.machine.phase();
        let answered = Mono(two_node.answered.load(Ordering::Relaxed));
        (phase != Phase::Off).then(|| Picture {
            phase,
            peer: inside.peer.unwrap_or(self.inner.me),
            silent_ms: Mono::now().since(answered),
            failure: inside.failed.as_ref().map(|(_, why)| why.clone()),
            proof: inside.proof.as_ref().map(ToString::to_string),
        })
    }

    /// The peer without which this node went on, and how its death is known; none once another life of it speaks.
    pub fn lost_peer(&self) -> Option<Loss> {
        let inside = self.inner.two_node.inside();
        let proof = inside.proof.as_ref()?;
        let alone = inside.machine.phase() == Phase::Alone;
        alone.then_some(())?;
        Some(Loss {
            number: inside.losses,
            peer: inside.peer?,
            by: proof.by().to_owned(),
        })
    }
}

/// Carries out what the machine wants, and brings it news of the peer.
pub(super) async fn run(inner: Arc<Inner>, mut todo: mpsc::UnboundedReceiver<Effect>) {
    let mut stop = inner.stop.subscribe();
    let beat = inner.config.timing.heartbeat_ms;
    let mut tick = tokio::time::interval(Duration::from_millis(beat));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let asking = Arc::new(AtomicBool::new(false));
    let mut last = Mono::now();
    loop {
        let effect = tokio::select! {
            effect = todo.recv() => match effect {
                Some(effect) => Some(effect),
                None => return,
            },
            _ = tick.tick() => None,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Some(effect) = effect {
            inner.carry_out(effect).await;
            continue;
        }
        let now = Mono::now();
        // A loop that slept has heard nobody, and so may judge nobody.
        if now.since(std::mem::replace(&mut last, now)) > inner.silence_ms() / 2 {
            inner.two_node.answered.store(now.0, Ordering::Relaxed);
        }
        inner.look(now, &asking);
    }
}

impl Inner {
    /// How long a peer may be silent.
    fn silence_ms(&self) -> u64 {
        self.config.timing.lease_ms + self.config.timing.election_ms
    }

    /// Where the log seats this node; said to the machine where it changed.
    pub(super) fn reseat(&self) {
        if self.cores.number() % 2 == 1 {
            return;
        }
        let metrics = self.metrics();
        let state = self.state.borrow().clone();
        let votes: Vec<&Member> = state.members.values().filter(|m| m.role.votes()).collect();
        let peer = match votes[..] {
            [a, b] if [a, b].iter().all(|m| m.role == MemberRole::Voter) => [a.id, b.id]
                .into_iter()
                .find(|id| *id != self.me)
                .filter(|_| a.id == self.me || b.id == self.me),
            _ => None,
        };
        let stored = &metrics.membership_config;
        let place = stored.log_id().map_or(Place::default(), |id| Place {
            term: term_of(&id),
            index: id.index,
        });
        let voters: BTreeSet<NodeId> = stored.membership().voter_ids().collect();
        if voters.is_empty() {
            return; // An openraft that has just begun says nothing yet.
        }
        let seat = match peer {
            None => Seat::Other,
            Some(peer) if voters.iter().any(|id| *id != self.me && *id != peer) => Seat::Other,
            Some(peer) => match (voters.contains(&self.me), voters.contains(&peer)) {
                (true, true) => Seat::Both,
                (true, false) => Seat::Sole,
                (false, true) => Seat::Outside,
                (false, false) => Seat::Other,
            },
        };
        let mut inside = self.two_node.inside();
        let now = match state.two_node {
            true => (seat, place),
            false => (Seat::Other, place),
        };
        let known = (inside.seat, inside.machine.phase() == Phase::Off);
        inside.peer = peer;
        if std::mem::replace(&mut inside.noted, (peer, state.two_node)) != inside.noted {
            // Entries are known as committed with the next commit, which may never come. One that starts alone must
            // know then whom it waits for.
            self.store.write(Write::Committed, Box::new(|_| {}));
        }
        inside.seat = (seat, place);
        if known == ((seat, place), now.0 == Seat::Other) {
            return;
        }
        // Cannot be refused.
        let _ = self.two_node.step(&mut inside, Event::Seated(now.0, now.1));
    }

    /// Has this node answered a moment ago? Who does not is not made a voter: everything would wait for it.
    pub(super) fn answers(&self, id: NodeId) -> bool {
        let inside = self.two_node.inside();
        let answered = Mono(self.two_node.answered.load(Ordering::Relaxed));
        inside.machine.phase() == Phase::Off
            || inside.peer != Some(id)
            || Mono::now().since(answered) < FRESH_MS
    }

    fn mine(&self, inside: &Inside) -> Hello {
        let term = self.log.highest_term().load(Ordering::SeqCst);
        let hello = inside.machine.hello(term);
        let written = self.log.disk().durable() >= Some(inside.seat.1.index);
        if inside.machine.phase() != Phase::Off {
            return match written {
                true => hello,
                false => hello.unwritten(),
            };
        }
        // The peer may know sooner than this node that the mode is on.
        let (seat, place) = inside.seat;
        let says = match seat {
            Seat::Other => Says::Other,
            Seat::Both => Says::Both,
            Seat::Sole => Says::Sole,
            Seat::Outside => Says::Outside,
        };
        Hello {
            says,
            place,
            ..hello
        }
    }

    /// The peer asks how this node stands.
    pub(super) fn asked(&self, from: NodeId, hello: Hello) -> Reply {
        self.reseat();
        let mut inside = self.two_node.inside();
        if inside.peer == Some(from) {
            self.note(&mut inside, Event::Asked(hello), hello);
        }
        Reply::Hello(self.mine(&inside))
    }

    fn note(&self, inside: &mut Inside, event: Event, hello: Hello) {
        inside.peers_term = inside.peers_term.max(hello.term);
        let dead = inside.machine.peer_life();
        let _ = self.two_node.step(inside, event);
        if inside.machine.phase() == Phase::Alone && inside.machine.peer_life() != dead {
            inside.proof = None;
        }
    }

    /// Asks the peer how it stands; false without an answer.
    async fn say_hello(&self, peer: NodeId) -> bool {
        let question = self.mine(&self.two_node.inside());
        let message = Message::Hello(question);
        let Ok(Reply::Hello(hello)) = ask(self.wire.as_ref(), peer, &message, &[]).await else {
            return false;
        };
        self.reseat();
        let mut inside = self.two_node.inside();
        self.two_node
            .answered
            .fetch_max(Mono::now().0, Ordering::Relaxed);
        self.note(&mut inside, Event::Answered(hello), hello);
        true
    }

    /// Asks the peer, and judges its silence.
    fn look(self: &Arc<Self>, now: Mono, asking: &Arc<AtomicBool>) {
        self.reseat();
        let mut inside = self.two_node.inside();
        let (Some(peer), false) = (inside.peer, inside.machine.phase() == Phase::Off) else {
            return;
        };
        if !asking.swap(true, Ordering::AcqRel) {
            let (inner, asking) = (Arc::clone(self), Arc::clone(asking));
            tokio::spawn(async move {
                let limit = Duration::from_millis(inner.config.timing.lease_ms);
                // Silence is judged by what was heard, not by what was not.
                let _ = tokio::time::timeout(limit, inner.say_hello(peer)).await;
                asking.store(false, Ordering::Release);
            });
        }
        let metrics = self.metrics();
        let heard = [
            Some(Mono(self.two_node.answered.load(Ordering::Relaxed))),
            self.acks.of(peer),
            (metrics.current_leader == Some(peer))
                .then(|| Mono(self.heard.load(Ordering::Relaxed))),
        ];
        let heard = heard.into_iter().flatten().max().unwrap_or_default();
        if now.since(heard) < self.silence_ms() {
            inside.led = metrics.current_leader == Some(peer);
            if inside.machine.phase() == Phase::Together {
                inside.failed = None;
            }
            return;
        }
        let waits = inside.failed.as_ref().map(|(at, _)| at.plus(AGAIN_MS));
        if waits.is_none_or(|until| now >= until) {
            let _ = self.two_node.step(&mut inside, Event::Silent);
        }
    }

    async fn carry_out(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Say(text) => tracing::warn!("two nodes: {text}"),
            Effect::Fence(number) => {
                let (peer, led) = {
                    let inside = self.two_node.inside();
                    (inside.peer, inside.led)
                };
                let Some(peer) = peer else { return };
                tracing::warn!("node {peer} does not answer: it is to be fenced");
                let _ = self.two_node.wants.send(Want::Fence { number, peer, led });
            }
            Effect::WriteProof(proof) => {
                let record = self.record(&proof, false);
                match self.store.write_wait(Write::Proof(record)).await {
                    Ok(()) => {
                        let mut inside = self.two_node.inside();
                        inside.proof = Some(proof);
                        inside.losses += 1;
                        let _ = self.two_node.step(&mut inside, Event::ProofWritten);
                    }
                    Err(e) => tracing::error!("the peer's death can't be written down: {e}"),
                }
            }
            Effect::GoOnAlone => {
                if let Err(e) = self.go_on_alone().await {
                    tracing::error!("failed to go on alone: {e}");
                    self.cores.end(None);
                }
            }
        }
    }

    fn record(&self, proof: &Proof, alone: bool) -> Vec<u8> {
        let record = Record {
            peer: self.two_node.inside().peer.unwrap_or(self.me),
            proof: proof.clone(),
            at_s: clock::wall_s(),
            alone,
        };
        serde_json::to_vec(&record).expect("our own types have no map with odd keys")
    }

    /// openraft is stopped, the decision is written, and openraft starts on it.
    async fn go_on_alone(self: &Arc<Self>) -> Result<(), Error> {
        let (peers_term, proof) = {
            let inside = self.two_node.inside();
            (inside.peers_term, inside.proof.clone())
        };
        let Some(proof) = proof else {
            return Err(Error::Refused("there is no proof".into()));
        };
        self.cores.begin();
        let old = self.core();
        if let Err(e) = old.shutdown().await {
            tracing::warn!("raft did not stop cleanly: {e}");
        }
        // Everybody who was kept informed stays so; only the vote is gone.
        let nodes: BTreeMap<NodeId, EmptyNode> = old
            .metrics()
            .borrow()
            .membership_config
            .membership()
            .nodes()
            .map(|(id, node)| (*id, node.clone()))
            .collect();
        let membership = openraft::Membership::new(vec![BTreeSet::from([self.me])], nodes);
        let record = self.record(&proof, true);
        let place = self
            .log
            .go_on_alone(membership, self.me, peers_term, record)
            .await?;
        let core = Core::new(
            self.me,
            Arc::new(core_config(&self.config)?),
            self.lines.clone(),
            self.log.clone(),
            self.machine.renewed(),
        )
        .await
        .map_err(|e| Error::Stopped(e.to_string()))?;
        tracing::warn!(
            "this node votes alone from entry {} in term {} on",
            place.index,
            term_of(&place)
        );
        self.cores.end(Some(core));
        self.reseat();
        Ok(())
    }
}
