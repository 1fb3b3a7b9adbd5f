//! Who may go on alone, as told to a colleague. Both voters have every acknowledged write, so either could go on; what
//! must not happen is that both do, or that one does which lacks what the other has acknowledged alone.
//!
//! ```text
//!             start: both vote                    start: sole voter
//!                  |                                     |
//!              Waiting --- a person confirms ---.        |
//!     answer of    |                            |        |
//!     the peer     v          silent            v        v
//!    .------- Together -----> Fencing ----> Deciding -> Alone
//!    |             ^             | failed       ^ dead     | the peer is back, caught up, and votes again
//!    v             '-------------'                         v
//! Following                                             Together
//! (the peer's log is newer, or it goes on alone)
//! ```
//!
//! - *Fencing is for one life of the peer.* As soon as another life of it speaks, the result of a shot that is under
//!   way says nothing: the peer may have come back after it.
//! - *While a shot is under way, nothing the peer says counts* (the gate is shut): a peer that is declared dead a moment
//!   later must not have had a part in anything meanwhile.
//! - *Who starts waits.* It may have been fenced, and the peer may have gone on alone. It waits for an answer of its peer,
//!   or for a person. A proof from before a crash is void: the peer may have been told to go on since.
//! - *Only who has the newer say on who votes may fence.* A peer that came back and is made a voter again has its old
//!   log, in which it votes, too. Before it has the new entry it lacks what was acknowledged without it.
//! - *A sole voter that starts goes on*: its peer cannot have a majority without meeting it first.

use super::vocab::{Effect, Event, Hello, Phase, Place, Proof, Says, Seat};
use crate::seeded::{Bug, seeded};

/// One node of the two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Machine {
    life: u64,
    seat: Seat,
    place: Place,
    phase: Phase,
    /// The newest life of the peer that spoke.
    peer: Option<u64>,
    /// The life that is shot at, and the number of the shot.
    target: (Option<u64>, u64),
    /// The last shot failed, and the peer has not spoken since.
    missed: bool,
}

impl Machine {
    /// A node whose daemon has just started.
    pub(crate) fn new(life: u64) -> Self {
        Self {
            life,
            seat: Seat::Other,
            place: Place::default(),
            phase: Phase::Off,
            peer: None,
            target: (None, 0),
            missed: false,
        }
    }

    /// Takes one event; says in `effects` what follows.
    ///
    /// # Errors
    /// Only for [`Event::Confirmed`]: why that is not done, and the cure.
    pub(crate) fn step(&mut self, event: Event, effects: &mut Vec<Effect>) -> Result<(), String> {
        match event {
            Event::Seated(seat, place) => self.seated(seat, place),
            Event::Answered(hello) => self.heard(hello, true, effects),
            Event::Asked(hello) => self.heard(hello, false, effects),
            Event::Silent => self.silent(effects),
            Event::Fenced { number, result } => self.fenced(number, result, effects),
            Event::Confirmed(who) => return self.confirmed(who, effects),
            Event::ProofWritten => {
                if self.phase == Phase::Deciding {
                    effects.push(Effect::GoOnAlone);
                }
            }
            Event::Leave => {
                if self.phase != Phase::Off {
                    self.phase = Phase::Leaving;
                }
            }
        }
        Ok(())
    }

    /// Where it stands.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The newest life of the peer that spoke.
    pub(crate) fn peer_life(&self) -> Option<u64> {
        self.peer
    }

    /// May raft talk to others, stand for election, lead?
    pub(crate) fn open(&self) -> bool {
        match self.phase {
            Phase::Off | Phase::Following | Phase::Together | Phase::Alone => true,
            Phase::Waiting
            | Phase::Fencing
            | Phase::Deciding
            | Phase::Superseded
            | Phase::Leaving => false,
        }
    }

    /// What it says of itself.
    pub(crate) fn hello(&self, term: u64) -> Hello {
        let says = match (self.phase, self.seat) {
            (Phase::Deciding, _) if !seeded(Bug::TwoNodeSilentDecision) => Says::Deciding,
            (Phase::Leaving, _) => Says::Leaving,
            (_, Seat::Other) => Says::Other,
            (_, Seat::Both) => Says::Both,
            (_, Seat::Sole) => Says::Sole,
            (_, Seat::Outside) => Says::Outside,
        };
        Hello {
            life: self.life,
            says,
            place: self.place,
            term,
        }
    }

    /// The log says who votes.
    fn seated(&mut self, seat: Seat, place: Place) {
        let before = std::mem::replace(&mut self.seat, seat);
        self.place = place;
        if matches!(self.phase, Phase::Superseded | Phase::Leaving) {
            return;
        }
        self.phase = match (seat, self.phase) {
            (Seat::Other, _) => Phase::Off,
            (Seat::Sole, _) => Phase::Alone,
            (Seat::Outside, _) => Phase::Following,
            // Taken in again by this node itself, which has been in every majority since.
            (Seat::Both, Phase::Alone) => Phase::Together,
            (Seat::Both, Phase::Off) if before == Seat::Other => {
                match seeded(Bug::TwoNodeStartsAtOnce) {
                    true => Phase::Together,
                    false => Phase::Waiting,
                }
            }
            (Seat::Both, phase) => phase,
        };
    }

    /// The peer spoke. An answer shows that it hears us, too; a question only that it lives.
    fn heard(&mut self, hello: Hello, answer: bool, effects: &mut Vec<Effect>) {
        self.missed = false;
        let new_life = self.peer.replace(hello.life) != Some(hello.life);
        match self.phase {
            Phase::Off | Phase::Deciding | Phase::Superseded | Phase::Leaving => return,
            Phase::Alone => return self.rival(hello, effects),
            // A question may have been on its way for long: what it says gives nobody a right.
            Phase::Waiting | Phase::Following if !answer => return,
            Phase::Fencing if self.target.0 == Some(hello.life) => return,
            Phase::Fencing if seeded(Bug::TwoNodeLateShot) => return,
            Phase::Fencing => effects.push(Effect::Say(
                "the peer is back in a new life: the shot at the old one counts no more".into(),
            )),
            Phase::Waiting | Phase::Following | Phase::Together => {}
        }
        self.judge(hello, new_life, effects);
    }

    /// What a word of the peer makes of a node that is not alone.
    fn judge(&mut self, hello: Hello, new_life: bool, effects: &mut Vec<Effect>) {
        if hello.says == Says::Leaving {
            // Only who could have fenced it may take its word for it.
            if self.phase == Phase::Together {
                self.decide(Proof::Left, effects);
            }
            return;
        }
        let newer = match seeded(Bug::TwoNodeAnyLog) {
            true => false,
            false => hello.place > self.place,
        };
        let next = match (self.seat, hello.says) {
            (Seat::Outside, _) | (Seat::Both, Says::Sole | Says::Both) if newer => Phase::Following,
            (Seat::Outside, _) => Phase::Following,
            // It had begun to make this node a voter again, and lost that in a crash.
            (Seat::Both, Says::Sole) if self.phase == Phase::Waiting => Phase::Following,
            (Seat::Both, Says::Both | Says::Outside) => Phase::Together,
            // About to go on without us: wait for the outcome, and fence nobody.
            (Seat::Both, Says::Deciding) if self.phase == Phase::Waiting => Phase::Waiting,
            (Seat::Both, Says::Deciding) => Phase::Following,
            // Said before we were taken in again, or not of this mode; a new life is given no benefit of the doubt.
            (Seat::Both, _) if new_life && self.phase != Phase::Waiting => Phase::Following,
            (Seat::Both, _) if self.phase == Phase::Fencing => Phase::Following,
            _ => self.phase,
        };
        if next != self.phase {
            effects.push(Effect::Say(match next {
                Phase::Together => "has met its peer".into(),
                _ => "the peer has the newer log: following it".to_owned(),
            }));
        }
        self.phase = next;
    }

    /// A sole voter hears of another one: somebody vouched for a death that was none.
    fn rival(&mut self, hello: Hello, effects: &mut Vec<Effect>) {
        if hello.says == Says::Sole && hello.place > self.place {
            self.phase = Phase::Superseded;
            effects.push(Effect::Say(
                "the peer went on alone after this node did, so this node's data is not the cluster's any more: \
                 it stops; remove it from the cluster, delete its data directory and join again"
                    .into(),
            ));
        }
    }

    fn silent(&mut self, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Together || self.seat != Seat::Both {
            return;
        }
        let number = self.target.1 + 1;
        self.target = (self.peer, number);
        self.phase = Phase::Fencing;
        effects.push(Effect::Fence(number));
    }

    fn fenced(&mut self, number: u64, result: Result<Proof, String>, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Fencing || self.target.1 != number {
            return;
        }
        match result {
            Ok(proof) => self.decide(proof, effects),
            Err(_) if seeded(Bug::TwoNodeUnknownIsDead) => {
                self.decide(Proof::Device("nobody".into()), effects);
            }
            Err(why) => {
                (self.phase, self.missed) = (Phase::Together, true);
                effects.push(Effect::Say(format!(
                    "the peer could not be fenced, so this node does not go on alone: {why}"
                )));
            }
        }
    }

    fn confirmed(&mut self, who: String, effects: &mut Vec<Effect>) -> Result<(), String> {
        match (self.phase, self.seat) {
            (Phase::Waiting | Phase::Fencing, Seat::Both) => {
                self.decide(Proof::Human(who), effects);
                Ok(())
            }
            (Phase::Together, Seat::Both) if self.missed => {
                self.decide(Proof::Human(who), effects);
                Ok(())
            }
            (Phase::Deciding | Phase::Alone, _) => Ok(()),
            (Phase::Off, _) => Err("this is no cluster of two voters in two-node mode, \
                 so nobody has to vouch for a node here"
                .into()),
            (Phase::Together, _) => Err("it answers, or has done so a moment ago: \
                 nobody has to vouch for it"
                .into()),
            (Phase::Following, _) | (_, Seat::Outside) => Err("it has gone on alone, \
                 and has writes that this node lacks: start it instead"
                .into()),
            (Phase::Waiting | Phase::Fencing | Phase::Superseded | Phase::Leaving, _) => {
                Err("this node is not to go on: see `crm cluster status`".into())
            }
        }
    }

    /// The peer is dead. Whoever asks hears so from now on.
    fn decide(&mut self, proof: Proof, effects: &mut Vec<Effect>) {
        self.phase = Phase::Deciding;
        effects.push(Effect::Say(format!(
            "goes on alone ({proof}), as soon as that is written down"
        )));
        effects.push(Effect::WriteProof(proof));
        if seeded(Bug::TwoNodeActsBeforeDisk) {
            (self.seat, self.phase) = (Seat::Sole, Phase::Alone);
        }
    }
}

/// The term in which a node goes on alone: newer than any that it or its peer is known to have seen. (Should the peer
/// have stood for election since without being heard, its term is newer still; then the sole voter elects itself once
/// more when it hears of it.)
pub(crate) fn next_term(mine: u64, peers: u64) -> u64 {
    match seeded(Bug::TwoNodeOldTerm) {
        true => mine,
        false => mine.max(peers) + 1,
    }
}
