//! The machine in words, and every interleaving of two of them.

use std::collections::BTreeSet;

use super::explore::{Bound, explore};
use super::vocab::{Effect, Event, Hello, Phase, Place, Proof, Says, Seat};
use super::{Machine, next_term};
use crate::seeded::{Bug, seed};

/// A node loses its power while a write is under way.
const CRASH: Bound = Bound {
    crashes: 1,
    writes: 1,
    elections: 2,
    shots: 1,
    ..Bound::NONE
};
/// A direction of the wire is cut, and both shoot.
const CUT: Bound = Bound {
    cuts: 1,
    elections: 1,
    shots: 2,
    ..Bound::NONE
};
/// Nobody knows whether the shot has hit.
const LOST_SHOT: Bound = Bound {
    cuts: 1,
    elections: 2,
    shots: 1,
    lost_shots: 1,
    ..Bound::NONE
};
/// A node that went on alone loses its power while it makes its peer a voter again.
const TAKEN_IN: Bound = Bound {
    crashes: 1,
    cuts: 1,
    elections: 2,
    shots: 2,
    states: LARGEST,
    ..Bound::NONE
};
/// A person vouches for a node, and a node is stopped as it should be.
const PEOPLE: Bound = Bound {
    crashes: 1,
    elections: 2,
    confirmations: 1,
    leaves: 1,
    ..Bound::NONE
};
/// States of a large bound that are looked at, the nearest ones first.
const LARGEST: usize = 2_000_000;
/// Looked at only when asked to (`SYSTOLE_EXPLORE=large`), as far as memory goes: some minutes, unoptimised.
const LARGE: [Bound; 5] = [
    TAKEN_IN,
    Bound {
        cuts: 1,
        writes: 1,
        elections: 2,
        shots: 2,
        states: LARGEST,
        ..Bound::NONE
    },
    Bound {
        crashes: 1,
        cuts: 2,
        writes: 1,
        elections: 2,
        shots: 1,
        states: LARGEST,
        ..Bound::NONE
    },
    Bound {
        crashes: 1,
        writes: 1,
        elections: 2,
        shots: 1,
        lost_shots: 1,
        false_alarms: 1,
        lost_votes: 1,
        states: LARGEST,
        ..Bound::NONE
    },
    Bound {
        crashes: 2,
        writes: 1,
        elections: 2,
        shots: 1,
        confirmations: 1,
        leaves: 1,
        states: LARGEST,
        ..Bound::NONE
    },
];

fn nothing_is_wrong(bounds: &[Bound]) -> BTreeSet<Phase> {
    let mut phases = BTreeSet::new();
    for bound in bounds {
        let report = explore(*bound);
        println!(
            "{} states, all: {}: {bound:?}",
            report.states, report.complete
        );
        assert_eq!(report.wrong, None);
        let large = bound.states == LARGEST;
        assert!(
            report.complete || large,
            "the bound has more states than allowed"
        );
        phases.extend(report.phases);
    }
    phases
}

#[test]
fn no_interleaving_of_two_nodes_is_wrong() {
    let mut bounds = vec![CRASH, CUT, LOST_SHOT, PEOPLE];
    if std::env::var("SYSTOLE_EXPLORE").is_ok_and(|how| how == "large") {
        bounds.extend(LARGE);
    }
    let phases = nothing_is_wrong(&bounds);
    for phase in [
        Phase::Waiting,
        Phase::Following,
        Phase::Together,
        Phase::Fencing,
        Phase::Deciding,
        Phase::Alone,
    ] {
        assert!(phases.contains(&phase), "{phase:?} was not reached");
    }
}

#[test]
fn each_seeded_bug_is_found() {
    let bounds = |bug| match bug {
        Bug::TwoNodeOldTerm | Bug::TwoNodeAnyLog | Bug::TwoNodeActsBeforeDisk => CRASH,
        Bug::TwoNodeUnknownIsDead => LOST_SHOT,
        Bug::TwoNodeWordBeforeDisk => TAKEN_IN,
        _ => CUT,
    };
    for bug in Bug::TWO_NODE {
        seed(Some(bug));
        let report = explore(bounds(bug));
        seed(None);
        let Some((wrong, steps)) = report.wrong else {
            panic!("{bug:?} was not found in {} states", report.states);
        };
        let wrong: String = wrong.chars().take(60).collect();
        println!(
            "{bug:?}: {} states, {wrong}: {}",
            report.states,
            steps.join(" ")
        );
    }
}

fn step(machine: &mut Machine, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.step(event, &mut effects).expect("not refused");
    effects.retain(|effect| !matches!(effect, Effect::Say(_)));
    effects
}

fn place(term: u64, index: u64) -> Place {
    Place { term, index }
}

fn peer(says: Says, place: Place) -> Hello {
    Hello {
        life: 7,
        says,
        place,
        term: place.term,
    }
}

/// A node that has met its peer.
fn together() -> Machine {
    let mut machine = Machine::new(1);
    step(&mut machine, Event::Seated(Seat::Both, place(2, 5)));
    assert_eq!(machine.phase(), Phase::Waiting);
    assert!(!machine.open());
    step(&mut machine, Event::Answered(peer(Says::Both, place(2, 5))));
    assert_eq!(machine.phase(), Phase::Together);
    machine
}

#[test]
fn a_survivor_goes_on_after_proof_and_disk_in_this_order() {
    let mut machine = together();
    assert_eq!(step(&mut machine, Event::Silent), [Effect::Fence(1)]);
    assert!(!machine.open(), "nothing that the peer says counts now");
    let device = Proof::Device("h1".into());
    let hit = Event::Fenced {
        number: 1,
        result: Ok(device.clone()),
    };
    assert_eq!(step(&mut machine, hit), [Effect::WriteProof(device)]);
    assert_eq!(machine.hello(2).says, Says::Deciding);
    assert_eq!(step(&mut machine, Event::ProofWritten), [Effect::GoOnAlone]);
    assert!(!machine.open(), "not before that is on disk");
    step(&mut machine, Event::Seated(Seat::Sole, place(3, 9)));
    assert!(machine.open());
    // The peer is a voter again.
    step(&mut machine, Event::Seated(Seat::Both, place(4, 20)));
    assert_eq!(machine.phase(), Phase::Together);
}

#[test]
fn an_unknown_result_is_no_proof_but_a_person_may_vouch() {
    let mut machine = together();
    let mut refused = Vec::new();
    let answers = machine.step(Event::Confirmed("ann".into()), &mut refused);
    assert!(answers.expect_err("it answers").contains("it answers"));
    step(&mut machine, Event::Silent);
    let lost = Event::Fenced {
        number: 1,
        result: Err("timed out".into()),
    };
    assert_eq!(step(&mut machine, lost), []);
    assert_eq!(machine.phase(), Phase::Together);
    let word = step(&mut machine, Event::Confirmed("ann".into()));
    assert_eq!(word, [Effect::WriteProof(Proof::Human("ann".into()))]);
}

#[test]
fn of_two_that_were_vouched_for_the_later_one_remains() {
    let mut machine = Machine::new(1);
    step(&mut machine, Event::Seated(Seat::Sole, place(3, 9)));
    assert_eq!(
        machine.phase(),
        Phase::Alone,
        "a sole voter goes on at once"
    );
    step(&mut machine, Event::Answered(peer(Says::Sole, place(3, 8))));
    assert!(machine.open());
    step(&mut machine, Event::Answered(peer(Says::Sole, place(4, 7))));
    assert_eq!(machine.phase(), Phase::Superseded);
    assert!(!machine.open());
}

#[test]
fn a_peer_that_leaves_need_not_be_fenced() {
    let mut machine = together();
    let left = step(&mut machine, Event::Asked(peer(Says::Leaving, place(2, 5))));
    assert_eq!(left, [Effect::WriteProof(Proof::Left)]);
    assert_eq!(next_term(4, 9), 10);
}

#[test]
fn a_late_question_gives_no_right_to_fence() {
    let mut machine = Machine::new(1);
    step(&mut machine, Event::Seated(Seat::Both, place(2, 5)));
    step(&mut machine, Event::Answered(peer(Says::Sole, place(3, 9))));
    assert_eq!(machine.phase(), Phase::Following);
    step(&mut machine, Event::Asked(peer(Says::Both, place(2, 5))));
    assert_eq!(machine.phase(), Phase::Following);
}

#[test]
fn who_was_nearly_a_voter_again_follows_the_sole_voter_that_lost_that_entry() {
    let mut machine = Machine::new(1);
    step(&mut machine, Event::Seated(Seat::Both, place(3, 9)));
    step(&mut machine, Event::Asked(peer(Says::Sole, place(2, 5))));
    assert_eq!(machine.phase(), Phase::Waiting, "it may not hear this node");
    step(&mut machine, Event::Answered(peer(Says::Sole, place(2, 5))));
    assert_eq!(machine.phase(), Phase::Following);
    assert!(machine.open());
    assert_eq!(step(&mut machine, Event::Silent), [], "no right to fence");
}

#[test]
fn nothing_is_said_that_a_crash_could_take_back() {
    let both = peer(Says::Both, place(3, 9));
    assert_eq!(both.unwritten().says, Says::Other);
    let mut machine = Machine::new(1);
    step(&mut machine, Event::Seated(Seat::Both, place(3, 9)));
    step(&mut machine, Event::Answered(both.unwritten()));
    assert_eq!(machine.phase(), Phase::Waiting);
    let sole = peer(Says::Sole, place(2, 5));
    assert_eq!(sole.unwritten(), sole);
}
