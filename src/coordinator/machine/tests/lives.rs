//! What is over when a node has been fenced: lives, and their last words.

use super::*;

#[test]
fn a_shot_says_nothing_of_a_life_that_began_after_it() {
    let (mut w, key) = World::shooting_h2();
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 21 }));
    let questions = w.asked.len();
    w.step(Event::Fenced {
        key,
        result: Ok("power".into()),
    });
    assert_eq!(w.state("2", "expected").as_deref(), Some("member"));
    assert_eq!(w.state("2", "fenced-incarnation"), None);
    assert!(w.condemned.is_empty());
    assert_eq!(w.asked.len(), questions + 1, "and it goes on");
}

#[test]
fn last_words_count_for_nothing_before_the_death_is_recorded() {
    let (mut w, key) = World::shooting_h2();
    w.slow = Some(Vec::new());
    w.step(Event::Fenced {
        key,
        result: Ok("power".into()),
    });
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    w.commit_slow();
    assert_eq!(w.state("2", "in_ccm").as_deref(), Some("0"));
    assert_eq!(w.state("2", "expected").as_deref(), Some("down"));
    // A new life is another matter.
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 30 }));
    assert_eq!(w.state("2", "expected").as_deref(), Some("member"));
}

#[test]
fn a_new_leader_grants_nothing_to_a_life_that_was_fenced_before_it_led() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::FencedOutside {
        target: "h2".into(),
        by: "power".into(),
    });
    w.step(Event::Authority(Authority::None, w.cib.clone()));
    w.condemned.clear();
    w.lead();
    assert!(w.condemned.contains(&(NodeId(2), 20)));
    assert!(w.condemned.iter().all(|dead| *dead == (NodeId(2), 20)));
}

#[test]
fn a_coordinator_for_whose_death_somebody_vouched_lets_go() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::FencedOutside {
        target: "h1".into(),
        by: "a human".into(),
    });
    assert_eq!(w.state("1", "fenced-incarnation").as_deref(), Some("10"));
    assert!(w.condemned.contains(&(NodeId(1), 10)));
    w.step(Event::Peer(NodeId(1), Peer::Alive { incarnation: 11 }));
    assert_eq!(w.state("1", "incarnation").as_deref(), Some("11"));
    assert_eq!(w.state("1", "probe-all").as_deref(), Some("true"));
    w.condemned.clear();
    w.step(Event::Tick);
    assert!(w.condemned.is_empty(), "this life is another one");
}

#[test]
fn a_shot_ends_a_life_that_was_heard_before_it_and_not_recorded() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![]);
    w.slow = Some(Vec::new());
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 21 }));
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.commit_slow();
    assert_eq!(w.state("2", "incarnation").as_deref(), Some("20"));
    w.plan(vec![synapse(1, ActionKind::Cluster, "stonith", 2, &[])]);
    let (key, _) = w.fenced.pop().expect("fencing was asked for");
    w.step(Event::Fenced {
        key,
        result: Ok("power".into()),
    });
    assert_eq!(w.state("2", "fenced-incarnation").as_deref(), Some("21"));
    assert_eq!(w.condemned, [(NodeId(2), 21)]);
    // Its last words make it no member, so nobody fences it again.
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 21 }));
    assert_eq!(w.state("2", "in_ccm").as_deref(), Some("0"));
}
