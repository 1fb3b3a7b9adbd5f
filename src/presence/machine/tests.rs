//! A handful of machines on one simulated clock, with cuts between them.

use std::collections::BTreeSet;

use super::*;

const T: Timing = Timing::NORMAL;

/// Three (or so) nodes, messages delivered one millisecond later, cuts by pair.
struct World {
    now: Mono,
    nodes: Vec<Machine>,
    cut: BTreeSet<(u32, u32)>,
    deaf: BTreeSet<u32>,
    stopped: BTreeSet<u32>,
    wire: Vec<(Mono, u32, u32, Event)>,
    log: Vec<(Mono, u32, Effect)>,
}

impl World {
    fn new(n: u32) -> Self {
        let now = Mono(10_000);
        let nodes = (1..=n)
            .map(|i| Machine::new(NodeId(i), u64::from(i) * 100, T))
            .collect();
        let (cut, deaf, stopped, wire, log) = Default::default();
        Self {
            now,
            nodes,
            cut,
            deaf,
            stopped,
            wire,
            log,
        }
    }

    fn elect(&mut self, term: u64, leader: u32, told: &[u32]) {
        let all: BTreeSet<NodeId> = (1..=self.nodes.len() as u32).map(NodeId).collect();
        for id in told {
            let event = Event::Leadership {
                term: Term(term),
                leader: Some(NodeId(leader)),
                voters: vec![all.clone()],
                members: all.clone(),
            };
            self.step(*id, event);
        }
    }

    fn step(&mut self, id: u32, event: Event) {
        let mut effects = Vec::new();
        self.nodes[id as usize - 1].step(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Ask(to, renewal) => {
                    self.wire
                        .push((self.now.plus(1), id, to.0, Event::Renewal(renewal)));
                }
                Effect::Answer(to, grant) => {
                    let event = Event::Grant {
                        from: NodeId(id),
                        grant,
                    };
                    self.wire.push((self.now.plus(1), id, to.0, event));
                }
                other => self.log.push((self.now, id, other)),
            }
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now = self.now.plus(1);
            let due: Vec<_> = self
                .wire
                .extract_if(.., |(at, ..)| *at <= self.now)
                .collect();
            for (_, from, to, event) in due {
                let cut = self.cut.contains(&(from, to)) || self.cut.contains(&(to, from));
                if !cut && !self.deaf.contains(&to) && !self.stopped.contains(&to) {
                    self.step(to, event);
                }
            }
            for id in 1..=self.nodes.len() as u32 {
                if !self.stopped.contains(&id) && self.now.0.is_multiple_of(10) {
                    self.step(id, Event::Tick);
                }
            }
        }
    }

    fn isolate(&mut self, id: u32) {
        self.cut.extend(
            (1..=self.nodes.len() as u32)
                .filter(|o| *o != id)
                .map(|o| (id, o)),
        );
    }

    fn held(&self, id: u32) -> bool {
        self.nodes[id as usize - 1].held
    }

    /// The lives in which the first node was told that this one is there, one after the other.
    fn lives_heard(&self, id: u32) -> Vec<u64> {
        let of = |effect: &Effect| match effect {
            Effect::Peer(node, PeerState::Alive { incarnation }) if node.0 == id => {
                Some(*incarnation)
            }
            _ => None,
        };
        let told = self.log.iter().filter(|(_, by, _)| *by == 1);
        told.filter_map(|(.., effect)| of(effect)).collect()
    }

    fn when(&self, id: u32, effect: &Effect) -> Option<Mono> {
        self.log
            .iter()
            .rev()
            .find(|(_, i, e)| *i == id && e == effect)
            .map(|(t, ..)| *t)
    }
}

#[test]
fn all_hold_a_lease_soon_after_the_election() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(20);
    assert!(w.held(1) && w.held(2) && w.held(3));
    assert!(
        w.when(
            1,
            &Effect::Peer(NodeId(2), PeerState::Alive { incarnation: 200 })
        )
        .is_some()
    );
}

#[test]
fn a_single_node_holds_its_own() {
    let mut w = World::new(1);
    w.elect(1, 1, &[1]);
    w.run(5);
    assert!(w.held(1));
}

#[test]
fn a_cut_node_is_suspected_and_stops_before_it_is_called_expired() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(1000);
    let cut_at = w.now;
    w.isolate(3);
    w.run(4000);
    let suspect = w
        .when(
            1,
            &Effect::Peer(NodeId(3), PeerState::Suspect { heard: true }),
        )
        .expect("suspected");
    assert!(
        suspect.since(cut_at) <= T.suspect_ms + 20,
        "{}",
        suspect.since(cut_at)
    );
    let lost = w.log.iter().find_map(|(t, i, e)| match e {
        Effect::LeaseLost(_) if *i == 3 => Some(*t),
        _ => None,
    });
    let expired = w
        .when(1, &Effect::Peer(NodeId(3), PeerState::Expired))
        .expect("expired");
    let stopped = lost.expect("lease lost").plus(T.stop_deadline_ms);
    assert!(
        stopped < expired,
        "stops by {stopped:?}, recovered from {expired:?}"
    );
    assert!(w.held(1) && w.held(2));
}

#[test]
fn a_leader_cut_off_loses_its_lease_before_the_next_one_may_recover() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(1000);
    w.isolate(1);
    let cut_at = w.now;
    w.run(400);
    w.elect(2, 2, &[2, 3]);
    w.run(4000);
    let lost = w.log.iter().find_map(|(t, i, e)| match e {
        Effect::LeaseLost(_) if *i == 1 => Some(*t),
        _ => None,
    });
    let lost = lost.expect("the old leader noticed");
    assert!(lost.since(cut_at) <= T.lease_ms + 20);
    let suspect = w
        .when(
            2,
            &Effect::Peer(NodeId(1), PeerState::Suspect { heard: true }),
        )
        .expect("suspected");
    assert!(
        suspect.since(cut_at) <= 400 + 2 * T.renew_ms + 20,
        "soon after the election"
    );
    let expired = w
        .when(2, &Effect::Peer(NodeId(1), PeerState::Expired))
        .expect("expired");
    assert!(lost.plus(T.stop_deadline_ms) < expired);
    // An ordinary change of leader costs nobody its lease.
    assert!(
        !w.log
            .iter()
            .any(|(_, i, e)| *i != 1 && matches!(e, Effect::LeaseLost(_)))
    );
}

#[test]
fn a_leader_without_majority_grants_nothing_beyond_its_own_lease() {
    let mut w = World::new(5);
    w.elect(1, 1, &[1, 2, 3, 4, 5]);
    w.run(1000);
    let cut_at = w.now;
    // Leader 1 keeps node 2 only.
    for other in [3, 4, 5] {
        w.cut.insert((1, other));
        w.cut.insert((2, other));
    }
    w.run(3000);
    for id in [1, 2] {
        let lost = w.log.iter().find_map(|(t, i, e)| match e {
            Effect::LeaseLost(_) if *i == id => Some(*t),
            _ => None,
        });
        assert!(lost.expect("lost").since(cut_at) <= T.lease_ms + 20);
    }
    assert!(
        !w.log
            .iter()
            .any(|(_, _, e)| matches!(e, Effect::Peer(_, PeerState::Expired)))
    );
}

#[test]
fn a_leader_that_slept_suspects_nobody_when_it_wakes() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(1000);
    w.stopped.insert(1);
    w.run(900);
    w.stopped.clear();
    let woke = w.now;
    w.run(2000);
    assert!(!w.log.iter().any(|(t, _, e)| {
        *t >= woke
            && matches!(
                e,
                Effect::Peer(_, PeerState::Suspect { .. } | PeerState::Expired)
            )
    }));
}

#[test]
fn a_voter_that_voted_anew_renews_nothing_with_the_old_leader() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(1000);
    for id in [2, 3] {
        w.step(id, Event::TermSeen(Term(2)));
    }
    let voted = w.now;
    w.run(3000);
    let lost = w
        .when(1, &Effect::Majority(false))
        .expect("no majority follows");
    assert!(lost.since(voted) <= T.lease_ms + 20);
}

#[test]
fn a_node_that_acted_alone_comes_back_as_somebody_new() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    assert_eq!(w.lives_heard(3), [300]);
    w.isolate(3);
    w.run(3000);
    w.cut.clear();
    w.run(300);
    let lives = w.lives_heard(3);
    assert!(lives.len() == 2 && lives[1] != 300, "{lives:?}");
}

#[test]
fn a_node_that_hears_nothing_counts_as_silent_whatever_it_says() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    w.deaf.insert(3);
    let since = w.now;
    w.run(10_000);
    assert!(!w.held(3));
    assert_eq!(w.lives_heard(3), [300], "nobody comes and goes");
    let suspect = Effect::Peer(NodeId(3), PeerState::Suspect { heard: true });
    let suspected = w.when(1, &suspect).expect("suspected").since(since);
    assert!(suspected <= 3 * T.suspect_ms, "after {suspected} ms");
    let lost = w.when(1, &Effect::Peer(NodeId(3), PeerState::Expired));
    assert!(lost.is_some(), "no lease is given that may not arrive");
    w.deaf.clear();
    w.run(2 * T.renew_ms);
    assert!(w.held(3));
    let lives = w.lives_heard(3);
    assert!(lives.len() == 2 && lives[1] != 300, "{lives:?}");
}

#[test]
fn a_life_that_counts_as_lost_before_its_first_lease_is_over() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2]);
    w.run(2000);
    w.elect(1, 1, &[3]);
    w.run(3); // both have heard each other; the lease is still on its way
    w.stopped.insert(3);
    w.run(3000);
    let lost = Effect::Peer(NodeId(3), PeerState::Expired);
    assert!(w.when(1, &lost).is_some());
    w.stopped.clear();
    w.run(300);
    assert!(w.held(3));
    assert_eq!(w.lives_heard(3), [300, 301]);
}

#[test]
fn a_life_that_nobody_grants_anything_makes_room_for_another_one() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2]);
    w.run(500);
    w.step(1, Event::Condemned(NodeId(3), 300));
    w.elect(1, 1, &[3]);
    w.run(T.suspect_ms - 50);
    assert!(!w.held(3));
    w.run(300);
    assert!(w.held(3));
    assert_eq!(w.nodes[2].incarnation, 301);
}

#[test]
fn a_node_never_heard_is_late_rather_than_lost() {
    let mut w = World::new(3);
    w.stopped.insert(3);
    w.elect(1, 1, &[1, 2]);
    w.run(1000);
    assert!(
        w.when(
            1,
            &Effect::Peer(NodeId(3), PeerState::Suspect { heard: false })
        )
        .is_some()
    );
}

#[test]
fn a_fenced_node_that_lives_gets_no_lease_and_stops_by_itself() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    w.step(1, Event::Condemned(NodeId(3), 300));
    w.run(T.lease_ms + 100);
    assert!(
        w.log
            .iter()
            .any(|(_, i, e)| *i == 3 && matches!(e, Effect::LeaseLost(_)))
    );
    w.run(300);
    assert!(
        w.when(
            1,
            &Effect::Peer(NodeId(3), PeerState::Alive { incarnation: 301 })
        )
        .is_some()
    );
}

#[test]
fn a_new_life_is_not_condemned_for_the_old_one() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    w.step(1, Event::Condemned(NodeId(3), 299));
    w.run(T.lease_ms + 100);
    assert!(w.held(3));
}

#[test]
fn a_leader_that_counts_as_dead_lets_go_and_comes_back_as_somebody_new() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    w.step(1, Event::Condemned(NodeId(1), 99));
    w.run(1);
    assert!(w.held(1), "that was an earlier life");
    let at = w.now;
    w.step(1, Event::Condemned(NodeId(1), 100));
    assert!(!w.held(1));
    assert_eq!(w.when(1, &Effect::LeaseLost(at)), Some(at));
    w.run(T.stop_deadline_ms - 1);
    assert!(!w.held(1), "it has time to stop what it runs");
    w.run(T.renew_ms + 1);
    assert!(w.held(1));
    let back = Effect::Peer(NodeId(1), PeerState::Alive { incarnation: 101 });
    let back = w.when(1, &back).expect("it is back");
    assert!(back >= at.plus(T.stop_deadline_ms));
    assert!(w.held(2) && w.held(3), "it leads all the time");
}

#[test]
fn a_daemon_that_ended_on_a_machine_that_is_up_gets_the_time_of_a_restart() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    w.stopped.insert(3);
    w.step(1, Event::HungUp(NodeId(3)));
    w.run(T.suspect_ms + 300);
    let suspected = |w: &World| {
        w.when(
            1,
            &Effect::Peer(NodeId(3), PeerState::Suspect { heard: true }),
        )
        .is_some()
    };
    assert!(!suspected(&w));
    w.run(T.lease_ms);
    assert!(suspected(&w), "but no more than that");
}

#[test]
fn a_leader_that_raft_does_not_hear_for_a_moment_is_asked_all_the_same() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.run(500);
    let all: BTreeSet<NodeId> = (1..=3).map(NodeId).collect();
    let (voters, members) = (vec![all.clone()], all);
    w.step(
        3,
        Event::Leadership {
            term: Term(1),
            leader: None,
            voters,
            members,
        },
    );
    w.run(2 * T.suspect_ms);
    let suspect = Effect::Peer(NodeId(3), PeerState::Suspect { heard: true });
    assert!(w.when(1, &suspect).is_none());
}

#[test]
fn a_node_that_promised_to_let_go_may_go_on_only_under_a_lease_that_allows_it() {
    let keeps = |lets_go| {
        Event::Pledge(Pledge {
            lets_go,
            watchdog_ms: 0,
        })
    };
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    w.step(3, keeps(false));
    w.run(500);
    let pledged = |lets_go| {
        let watchdog_ms = 0;
        Effect::Pledged(
            NodeId(3),
            Pledge {
                lets_go,
                watchdog_ms,
            },
        )
    };
    assert!(w.when(1, &pledged(false)).is_some(), "{:?}", w.log);
    let may_keep = |w: &World| w.nodes[2].view(w.now).may_keep;
    assert!(may_keep(&w));
    // Whether the leader has heard this, the node cannot know: from now on it is bound.
    w.isolate(3);
    w.step(3, keeps(true));
    w.run(300);
    assert!(!may_keep(&w));
    // What it learns later changes nothing before the leader has granted a lease on it.
    w.step(3, keeps(false));
    w.run(3_000);
    assert!(!may_keep(&w) && !w.held(3));
    w.cut.clear();
    w.run(500);
    assert!(may_keep(&w) && w.held(3));
    assert!(w.when(1, &pledged(true)).is_none(), "it never got there");
}

#[test]
fn a_node_with_a_watchdog_counts_as_stopped_when_that_has_reset_it() {
    let mut w = World::new(3);
    w.elect(1, 1, &[1, 2, 3]);
    let watchdog_ms = 5_000;
    w.step(
        3,
        Event::Pledge(Pledge {
            lets_go: true,
            watchdog_ms,
        }),
    );
    w.run(1_000);
    w.isolate(3);
    w.run(10_000);
    let lost = w.log.iter().find_map(|(t, i, e)| match e {
        Effect::LeaseLost(_) if *i == 3 => Some(*t),
        _ => None,
    });
    let expired = w
        .when(1, &Effect::Peer(NodeId(3), PeerState::Expired))
        .expect("expired");
    let reset = lost.expect("lease lost").plus(watchdog_ms);
    assert!(
        reset < expired,
        "reset by {reset:?}, recovered from {expired:?}"
    );
    assert!(expired.since(reset) < 500);
}

/// A leader that heard node 2, and what it did about it.
fn heard(leader: &mut Machine, now: Mono, renewal: &Renewal) -> Vec<Effect> {
    let mut effects = Vec::new();
    leader.step(now, Event::Renewal(renewal.clone()), &mut effects);
    effects
}

fn asked(incarnation: u64, ask: u64) -> Renewal {
    Renewal {
        term: Term(1),
        node: NodeId(2),
        incarnation,
        ask,
        echo: None,
        pledge: None,
    }
}

/// The leader of two, with a majority because the other one echoes, and the newest grant that it gave.
fn leader_of_two(now: Mono) -> (Machine, u64) {
    let mut leader = Machine::new(NodeId(1), 100, T);
    let all: BTreeSet<NodeId> = [1, 2].map(NodeId).into();
    let elected = Event::Leadership {
        term: Term(1),
        leader: Some(NodeId(1)),
        voters: vec![all.clone()],
        members: all,
    };
    leader.step(now, elected, &mut Vec::new());
    let grant = granted(&heard(&mut leader, now, &asked(7, 5_000))).expect("answered");
    let echoed = Renewal {
        echo: Some(grant.grant),
        ..asked(7, 5_001)
    };
    let grant = granted(&heard(&mut leader, now.plus(1), &echoed)).expect("answered");
    assert!(grant.valid_ms > 0, "a majority follows");
    (leader, grant.grant)
}

fn granted(effects: &[Effect]) -> Option<Grant> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer(_, grant) => Some(grant.clone()),
        _ => None,
    })
}

#[test]
fn a_question_that_comes_over_two_paths_is_answered_once() {
    let now = Mono(20_000);
    let (mut leader, _) = leader_of_two(now);
    let before = leader.view(now.plus(2));
    let again = heard(&mut leader, now.plus(2), &asked(7, 5_001));
    assert_eq!(granted(&again), None);
    assert_eq!(
        leader.view(now.plus(2)),
        before,
        "nothing is known that was not"
    );
}

#[test]
fn a_late_copy_of_a_question_is_no_sign_of_life() {
    let now = Mono(20_000);
    let (mut leader, _) = leader_of_two(now);
    let mut effects = Vec::new();
    for ms in 1..=T.suspect_ms + 10 {
        let at = now.plus(1 + ms);
        // What the node asked last comes again and again, as from a path on which it was held up.
        effects.extend(heard(&mut leader, at, &asked(7, 5_001)));
    }
    let suspect = Effect::Peer(NodeId(2), PeerState::Suspect { heard: true });
    assert!(effects.contains(&suspect), "{effects:?}");
    assert_eq!(granted(&effects), None, "and no lease is given for it");
}

#[test]
fn a_late_copy_from_an_earlier_life_brings_nothing_back() {
    let now = Mono(20_000);
    let (mut leader, _) = leader_of_two(now);
    let holds_on = Renewal {
        pledge: Some(Pledge {
            lets_go: false,
            watchdog_ms: 0,
        }),
        ..asked(8, 6_000)
    };
    assert!(granted(&heard(&mut leader, now.plus(5), &holds_on)).is_some());
    let let_go = Renewal {
        pledge: Some(Pledge {
            lets_go: true,
            watchdog_ms: 9,
        }),
        ..asked(7, 5_002)
    };
    assert_eq!(
        heard(&mut leader, now.plus(6), &let_go),
        [],
        "a former life"
    );
    let unheard = Renewal {
        incarnation: 6,
        ..let_go.clone()
    };
    assert_eq!(
        heard(&mut leader, now.plus(7), &unheard),
        [],
        "older, though unknown"
    );
    let view = leader.view(now.plus(8));
    assert_eq!(view.peers[0].1, PeerState::Alive { incarnation: 8 });
    assert!(view.pledges.iter().all(|(_, pledge)| !pledge.lets_go));

    // A machine that was started anew counts from little again, and is not heard before it was missed.
    let booted = asked(9, 40);
    let mut later = now.plus(8);
    assert_eq!(heard(&mut leader, later, &booted), []);
    while later < now.plus(5 + T.suspect_ms) {
        later = later.plus(50);
        leader.step(later, Event::Tick, &mut Vec::new());
    }
    assert!(granted(&heard(&mut leader, later, &booted)).is_some());
}

#[test]
fn a_late_copy_of_a_grant_neither_extends_the_lease_nor_is_a_sign_of_life() {
    let now = Mono(20_000);
    let mut follower = Machine::new(NodeId(2), 7, T);
    let all: BTreeSet<NodeId> = [1, 2].map(NodeId).into();
    let mut effects = Vec::new();
    let elected = Event::Leadership {
        term: Term(1),
        leader: Some(NodeId(1)),
        voters: vec![all.clone()],
        members: all,
    };
    follower.step(now, elected, &mut effects);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Ask(_, renewal) => Some(renewal.ask),
        _ => None,
    });
    let grant = Grant {
        term: Term(1),
        ask: asked.expect("asks its leader"),
        grant: 1,
        valid_ms: 500,
    };
    let told = |at: Mono, follower: &mut Machine| {
        let event = Event::Grant {
            from: NodeId(1),
            grant: grant.clone(),
        };
        follower.step(at, event, &mut Vec::new());
        follower.view(at)
    };
    assert_eq!(told(now.plus(3), &mut follower).until, now.plus(500));
    let near_misses = follower.view(now).near_misses;
    for late in [4, 100, 300, 499] {
        let view = told(now.plus(late), &mut follower);
        assert_eq!(view.until, now.plus(500), "counted from the question");
        assert_eq!(view.near_misses, near_misses, "no renewal");
        assert_eq!(follower.last_answer, Some((NodeId(1), now.plus(3))));
    }
    let view = told(now.plus(501), &mut follower);
    assert!(!view.held, "a copy gives nothing back");
}

#[test]
fn a_later_life_asks_with_greater_numbers() {
    let first_ask = |now: Mono| {
        let mut machine = Machine::new(NodeId(2), 7, T);
        let all: BTreeSet<NodeId> = [1, 2].map(NodeId).into();
        let mut effects = Vec::new();
        let elected = Event::Leadership {
            term: Term(1),
            leader: Some(NodeId(1)),
            voters: vec![all.clone()],
            members: all,
        };
        machine.step(now, elected, &mut effects);
        effects.iter().find_map(|effect| match effect {
            Effect::Ask(_, renewal) => Some(renewal.ask),
            _ => None,
        })
    };
    assert!(first_ask(Mono(30_000)) > first_ask(Mono(29_000)));
}
