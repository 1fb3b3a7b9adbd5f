//! By which right, and for which life of a node, something is ordered: told in the order in which it was decided.

use super::*;
use crate::cib::status::node_state::Membership;

fn effects(machine: &mut Machine, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.step(Mono(1_000), 1_700_000_000, event, &mut effects);
    effects
}

#[test]
fn an_order_is_for_the_life_that_was_known_when_it_was_decided() {
    let mut w = World::new(&[]);
    w.lead();
    let peer = |peer| Event::Peer(NodeId(2), peer);
    let said = effects(&mut w.machine, peer(Peer::Alive { incarnation: 21 }));
    let life = |effect: &Effect| match effect {
        Effect::Life(id, life) => Some((*id, *life)),
        _ => None,
    };
    assert_eq!(
        said.first().and_then(life),
        Some((NodeId(2), Some(21))),
        "before whatever is ordered now"
    );
    let said = effects(&mut w.machine, peer(Peer::Silent { heard: true }));
    assert!(!said.iter().any(|effect| life(effect).is_some()));
    let said = effects(&mut w.machine, peer(Peer::Expired));
    assert_eq!(said.iter().find_map(life), Some((NodeId(2), None)));
}

#[test]
fn every_word_about_its_authority_is_answered_before_anything_is_decided() {
    let mut w = World::new(&[]);
    w.lead();
    for authority in [
        Authority::Leader(Term(1)),
        Authority::Alone(Term(1)),
        Authority::Alone(Term(1)),
        Authority::None,
    ] {
        let said = effects(&mut w.machine, Event::Authority(authority, w.cib.clone()));
        assert!(matches!(said.first(), Some(Effect::Heard)), "{said:?}");
        let heard = said.iter().filter(|it| matches!(it, Effect::Heard));
        assert_eq!(heard.count(), 1);
    }
}

/// What was known of h3 in an earlier term says nothing of it now: it may have come back, and run what was recovered since.
#[test]
fn who_leads_again_after_it_was_alone_knows_nothing_of_the_others() {
    let mut w = World::new(&[("stonith-enabled", "false")]);
    w.lead();
    w.step(Event::Peer(NodeId(3), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(3), Peer::Expired));
    w.plan(vec![]);
    w.step(Event::Authority(Authority::Alone(Term(3)), w.cib.clone()));
    w.plan(vec![]);
    let joined = Membership::joined(30).command(&Place::new("3", NodeName::from("h3")), 5);
    w.write(&joined); // by another coordinator meanwhile
    let questions = w.asked.len();
    w.step(Event::Authority(Authority::Leader(Term(5)), w.cib.clone()));
    for id in [1, 2] {
        let incarnation = u64::from(id) * 10;
        w.step(Event::Peer(NodeId(id), Peer::Alive { incarnation }));
    }
    assert_eq!(
        w.asked.len(),
        questions,
        "nothing is decided before it has been judged"
    );
    let h3 = w
        .cib
        .status()
        .and_then(|all| all.child_by_id("node_state", "3"));
    assert!(
        h3.is_some_and(|h3| h3.get("in_ccm") != Some("0")),
        "not lost"
    );
    w.step(Event::Peer(NodeId(3), Peer::Alive { incarnation: 30 }));
    assert_eq!(w.asked.len(), questions + 1);
}

/// A node that is alone has little time for its stops, and may have a thousand probes to run.
#[test]
fn what_is_stopped_has_its_turn_before_what_is_looked_at() {
    let mut w = World::new(&[]);
    w.lead();
    w.step(Event::Authority(Authority::Alone(Term(1)), w.cib.clone()));
    let mut graph: Vec<_> = (1..=20).map(|id| run(id, "monitor", 1, &[])).collect();
    graph.push(run(21, "stop", 1, &[]));
    w.plan(graph);
    let tasks: Vec<&str> = w.orders.iter().map(|o| o.action.task.as_str()).collect();
    assert_eq!(tasks, ["stop", "monitor", "monitor", "monitor"]);
}
