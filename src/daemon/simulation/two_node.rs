//! Two nodes without a witness: the real machine of `raft/two_node` over the model of raft, with questions that are lost or
//! arrive late, fence devices that lie, and disks that take their time. What `raft/survivor` does with tokio and openraft is
//! done here with the world's own means; the request to the fencer is the daemon's own.

use super::raft::Entry;
use super::world::{Net, Word, World};
use crate::clock::Mono;
use crate::daemon::{devices, survivor};
use crate::fencer;
use crate::raft::Timing;
use crate::raft::two_node::{Effect, Event, Hello, Machine, Phase, Place, Proof, Seat};
use crate::terms::NodeId;

/// After a fencing that failed, before the next attempt.
const AGAIN_MS: u64 = 5_000;
/// A peer that is to vote again must have answered within this time.
const FRESH_MS: u64 = 1_000;
/// A learner this close behind the leader's log may vote.
const CLOSE: usize = 100;

/// What a node of two has beside raft; none in other scenarios.
#[derive(Debug)]
pub(super) struct TwoNode {
    machine: Machine,
    /// This daemon, among all that there ever were.
    life: u64,
    /// When the peer last answered, or was heard by raft.
    heard_at: u64,
    answered_at: u64,
    looked_at: u64,
    peers_term: u64,
    /// The peer led when it was last heard.
    led: bool,
    failed_at: Option<u64>,
    proof: Option<Proof>,
    /// The death that the coordinator has yet to hear of.
    untold: bool,
}

impl TwoNode {
    pub(super) fn new(life: u64, now: u64) -> Self {
        Self {
            machine: Machine::new(life),
            life,
            heard_at: now,
            answered_at: now,
            looked_at: now,
            peers_term: 0,
            led: false,
            failed_at: None,
            proof: None,
            untold: false,
        }
    }

    /// Where this node stands.
    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }
}

/// One node to the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Greeting {
    hello: Hello,
    /// For an answer: which life asked, and when.
    answers: Option<(u64, u64)>,
    asked_at: u64,
}

fn silence_ms(timing: &Timing) -> u64 {
    timing.lease_ms + timing.election_ms
}

impl World {
    /// Whether what runs on a node goes on without a lease, because it is not known which of the two is dead.
    pub(super) fn goes_on(&self, n: usize, now: Mono) -> bool {
        let node = &self.nodes[n];
        node.two_node.as_ref().is_some_and(|two| {
            survivor::goes_on(two.phase())
                && node.presence.view(now).may_keep
                && devices::fencing_enabled(&node.cib)
        })
    }

    /// Where the log of a node seats it.
    fn seat(&self, n: usize) -> (Seat, Place) {
        let raft = &self.nodes[n].raft;
        let me = self.nodes[n].id;
        let (place, voters) = (raft.voters_since(), raft.voters());
        let others = voters.iter().any(|id| *id != me);
        let seat = match (voters.contains(&me), others) {
            (true, true) => Seat::Both,
            (true, false) => Seat::Sole,
            (false, _) => Seat::Outside,
        };
        let place = Place {
            term: place.0,
            index: place.1 as u64,
        };
        (seat, place)
    }

    /// What a node says of itself.
    fn hello(&self, n: usize) -> Option<Hello> {
        let raft = &self.nodes[n].raft;
        let mut hello = self.nodes[n].two_node.as_ref()?.machine.hello(raft.term);
        if !raft.voters_are_on_disk() {
            hello = hello.unwritten();
        }
        Some(hello)
    }

    /// Said to the machine where it changed.
    pub(super) fn reseat(&mut self, n: usize) {
        if self.nodes[n].two_node.is_none() {
            return;
        }
        let seat = self.seat(n);
        if self.nodes[n].seat != Some(seat) {
            self.nodes[n].seat = Some(seat);
            self.two_step(n, Event::Seated(seat.0, seat.1));
        }
    }

    fn two_step(&mut self, n: usize, event: Event) {
        let now = self.now;
        let Some(two) = &mut self.nodes[n].two_node else {
            return;
        };
        let before = two.machine.phase();
        let mut effects = Vec::new();
        // Only a person's word can be refused, and there is no person here.
        let _ = two.machine.step(event, &mut effects);
        let after = two.machine.phase();
        if after == Phase::Together && before != Phase::Fencing {
            two.answered_at = now;
        }
        let shut = !two.machine.open();
        self.nodes[n].raft.shut = shut;
        if before != after {
            self.nodes[n].idle_until = 0;
            self.trace(format_args!("{} two nodes: {before:?} -> {after:?}", n + 1));
        }
        for effect in effects {
            match effect {
                Effect::Say(text) => self.trace(format_args!("{} says {text}", n + 1)),
                Effect::Fence(number) => self.tell(n, 1, Word::FencePeer(number)),
                Effect::WriteProof(proof) => {
                    let after = self.fsync_ms();
                    self.tell(n, after, Word::ProofWritten(proof));
                }
                Effect::GoOnAlone => {
                    let after = self.fsync_ms();
                    self.tell(n, after, Word::GoOnAlone);
                }
            }
        }
    }

    /// Raft wants the peer dead.
    pub(super) fn fence_peer(&mut self, n: usize, number: u64) {
        let peer = 1 - n;
        let now_s = self.wall_s();
        let node = &self.nodes[n];
        let led = node.two_node.as_ref().is_some_and(|two| two.led);
        let name = self.nodes[peer].name.clone();
        let request = survivor::request(
            &node.state,
            now_s,
            self.nodes[peer].id,
            &name,
            (number, led),
        );
        self.trace(format_args!("{} has its peer fenced: shot {number}", n + 1));
        let me = [self.nodes[n].name.clone()].into_iter().collect();
        self.fencer(n, fencer::Event::Peers(me));
        self.configure_fencer(n);
        let command = Box::new(fencer::Command::Fence(request));
        self.fencer(n, fencer::Event::Command(command));
    }

    /// Whether a fencing that has ended was raft's wish; it is told then.
    pub(super) fn peer_fenced(
        &mut self,
        n: usize,
        request: &fencer::Request,
        outcome: &fencer::Outcome,
    ) -> bool {
        let Some((number, result, human)) = survivor::ended(request, outcome) else {
            return false;
        };
        let now = self.now;
        if let Some(two) = &mut self.nodes[n].two_node {
            two.failed_at = result.is_err().then_some(now);
        }
        let proof = |by| match human {
            true => Proof::Human(by),
            false => Proof::Device(by),
        };
        let result = result.map(proof);
        self.two_step(n, Event::Fenced { number, result });
        true
    }

    pub(super) fn proof_written(&mut self, n: usize, proof: Proof) {
        if let Some(two) = &mut self.nodes[n].two_node {
            (two.proof, two.untold) = (Some(proof), true);
        }
        self.two_step(n, Event::ProofWritten);
    }

    /// The decision is on disk, and raft starts on it.
    pub(super) fn go_on_alone(&mut self, n: usize) {
        let (now, jitter) = (self.now, self.below(40));
        let Some(two) = &self.nodes[n].two_node else {
            return;
        };
        let peers_term = two.peers_term;
        self.nodes[n].raft.go_on_alone(now, jitter, peers_term);
        self.trace(format_args!("{} votes alone", n + 1));
        self.check_sole(n);
        self.reseat(n);
    }

    /// Asks the peer, and judges its silence.
    pub(super) fn two_node_tick(&mut self, n: usize) {
        let (now, timing) = (self.now, Timing::default());
        let Some(two) = &mut self.nodes[n].two_node else {
            return;
        };
        if now < two.looked_at + timing.heartbeat_ms {
            return;
        }
        // A loop that slept has heard nobody, and so may judge nobody.
        if now - two.looked_at > silence_ms(&timing) / 2 {
            two.answered_at = now;
        }
        two.looked_at = now;
        self.reseat(n);
        let Some(hello) = self.hello(n) else { return };
        let word = Greeting {
            hello,
            answers: None,
            asked_at: now,
        };
        self.send(n, 1 - n, Net::Hello(word));
        let leads = self.nodes[n].raft.leader() == Some(self.nodes[1 - n].id);
        let Some(two) = &mut self.nodes[n].two_node else {
            return;
        };
        if now < two.answered_at.max(two.heard_at) + silence_ms(&timing) {
            two.led = leads;
            if two.phase() == Phase::Together {
                two.failed_at = None;
            }
        } else if two.failed_at.is_none_or(|at| now >= at + AGAIN_MS) {
            self.two_step(n, Event::Silent);
        }
        self.take_in(n);
    }

    /// A sole voter that leads makes its peer a voter again, when that is there and has the log.
    fn take_in(&mut self, n: usize) {
        let (me, peer) = (self.nodes[n].id, self.nodes[1 - n].id);
        let raft = &self.nodes[n].raft;
        let fresh = (self.nodes[n].two_node.as_ref()).is_some_and(|two| {
            two.phase() == Phase::Alone && self.now < two.answered_at + FRESH_MS
        });
        let near = raft
            .has(peer)
            .is_some_and(|has| has + CLOSE >= raft.log.len());
        if fresh && near && raft.leadership().mine && raft.voters() == [me] {
            let mut both = vec![me, peer];
            both.sort();
            let mut out = Vec::new();
            self.nodes[n].raft.propose(Entry::voters(both), &mut out);
            self.raft_out(n, out);
            self.reseat(n);
        }
    }

    /// The peer asks, or answers.
    pub(super) fn heard_hello(&mut self, n: usize, from: NodeId, word: Greeting) {
        let now = self.now;
        self.reseat(n);
        let Some(two) = &mut self.nodes[n].two_node else {
            return;
        };
        if let Some((life, asked_at)) = word.answers {
            // An answer is for whoever asked, and not for long.
            if life != two.life || now >= asked_at + Timing::default().lease_ms {
                return;
            }
            two.answered_at = now;
        }
        two.peers_term = two.peers_term.max(word.hello.term);
        let dead = two.machine.peer_life();
        let event = match word.answers {
            Some(_) => Event::Answered(word.hello),
            None => Event::Asked(word.hello),
        };
        self.two_step(n, event);
        if let Some(two) = &mut self.nodes[n].two_node
            && two.phase() == Phase::Alone
            && two.machine.peer_life() != dead
        {
            two.proof = None;
        }
        if word.answers.is_none()
            && let Some(hello) = self.hello(n)
        {
            let answer = Greeting {
                hello,
                answers: Some((word.hello.life, word.asked_at)),
                asked_at: now,
            };
            self.send(n, from.0 as usize - 1, Net::Hello(answer));
        }
    }

    /// Raft has heard the peer.
    pub(super) fn raft_hears(&mut self, n: usize) {
        let now = self.now;
        if let Some(two) = &mut self.nodes[n].two_node {
            two.heard_at = now;
        }
    }

    /// The peer's death, for a coordinator that has just got its authority from it: once, since the peer may come back.
    pub(super) fn lost_peer(&mut self, n: usize) -> Option<(usize, String)> {
        let two = self.nodes[n].two_node.as_mut()?;
        let by = two.proof.as_ref()?.by().to_owned();
        if two.phase() != Phase::Alone || !std::mem::replace(&mut two.untold, false) {
            return None;
        }
        let peer = 1 - n;
        let id = self.nodes[peer].id;
        let state = crate::coordinator::state_of(&self.nodes[n].cib, id);
        let left = state.is_some_and(|s| s.get("expected") == Some("down"));
        (!left).then_some((peer, by))
    }

    /// Never two sole voters: as the disks have it, whoever is up.
    fn check_sole(&mut self, n: usize) {
        let peer = &self.nodes[1 - n];
        if peer.raft.voters_on_disk() == [peer.id] {
            let (at, other) = (self.now, peer.name.clone());
            self.checks.violated(format!(
                "S7: h{} votes alone from {at} on, and so does {other}",
                n + 1
            ));
        }
    }
}
