//! These events, then these effects.

use super::*;
use crate::cib::status::node_state::Membership;
use crate::cib::{Command, apply};

struct Node {
    machine: Machine,
    effects: Vec<Effect>,
    ms: u64,
}

fn at(ms: u64) -> Now {
    Now {
        mono: Mono(ms),
        wall_ms: 1_000_000 + ms,
    }
}

fn names() -> BTreeMap<NodeId, NodeName> {
    [(NodeId(1), "n1".into()), (NodeId(2), "n2".into())].into()
}

impl Node {
    fn new(id: u32) -> Self {
        let name = NodeName::from(format!("n{id}"));
        let mut node = Self {
            machine: Machine::new(NodeId(id), name, at(0)),
            effects: Vec::new(),
            ms: 0,
        };
        node.step(Event::Members {
            nodes: names(),
            witnesses: BTreeSet::new(),
        });
        node
    }

    fn writer(id: u32) -> Self {
        let mut node = Self::new(id);
        node.step(Event::Writer(true));
        node
    }

    /// The effects of one event.
    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.effects.clear();
        self.machine.step(at(self.ms), event, &mut self.effects);
        self.effects.clone()
    }

    fn tick(&mut self, ms: u64) -> Vec<Effect> {
        self.ms += ms;
        self.step(Event::Tick)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Vec<Effect> {
        self.step(Event::Asked(1, update(name, value)))
    }

    fn query(&mut self, name: &str, host: &str) -> Option<String> {
        let request = Request::Query {
            name: name.into(),
            node: Some(host.into()),
            all: false,
        };
        match self.step(Event::Asked(9, request)).as_slice() {
            [Effect::Answer(9, Answer::Values(values))] => Some(values[0].1.clone()),
            [Effect::Answer(9, Answer::Refused(Refusal::Unknown(_)))] => None,
            other => panic!("{other:?}"),
        }
    }
}

fn update(name: &str, value: Option<&str>) -> Request {
    Request::Update {
        which: Which::Name(name.into()),
        node: None,
        value: value.map(str::to_owned),
        dampening_ms: None,
        both: false,
        set_id: None,
        private: false,
        wait: Wait::Written,
    }
}

fn with(mut request: Request, ms: Option<u64>, is_both: bool, is_private: bool) -> Request {
    if let Request::Update {
        dampening_ms,
        both,
        private,
        ..
    } = &mut request
    {
        (*dampening_ms, *both, *private) = (ms, is_both, is_private);
    }
    request
}

fn writes(effects: &[Effect]) -> Vec<(WriteId, Command)> {
    let write = |effect: &Effect| match effect {
        Effect::Write(id, command) => Some((*id, command.clone())),
        _ => None,
    };
    effects.iter().filter_map(write).collect()
}

fn message(effects: &[Effect]) -> Message {
    let send = |effect: &Effect| match effect {
        Effect::Send(_, message) => Some(message.clone()),
        _ => None,
    };
    effects.iter().find_map(send).expect("a message")
}

fn cib(online: &[u32]) -> Cib {
    online.iter().fold(Cib::empty(), |cib, id| {
        let place = Place::new(id, format!("n{id}"));
        apply(&cib, &Membership::joined(5).command(&place, 5)).cib
    })
}

#[test]
fn a_value_is_written_then_answered() {
    let mut node = Node::writer(1);
    let written = writes(&node.set("a", Some("1")));
    let [(id, command)] = written.as_slice() else {
        panic!("{written:?}");
    };
    let cib = apply(&Cib::empty(), command).cib;
    assert_eq!(attribute::get(&cib, "1", "a"), Some("1"));
    assert!(cib.root().find_id("status-1-a").is_some());
    let ended = node.step(Event::Written(*id, Ok(())));
    let changed = crate::attributes::Changed {
        host: "n1".into(),
        id: "1".into(),
        name: "a".into(),
        value: Some("1".into()),
    };
    assert_eq!(
        ended,
        [
            Effect::Changed(vec![changed]),
            Effect::Answer(1, Answer::Done)
        ]
    );
    // The same again is not written.
    assert_eq!(node.set("a", Some("1")), [Effect::Answer(1, Answer::Done)]);
}

#[test]
fn nobody_but_the_writer_writes_and_a_new_writer_writes_all() {
    let mut node = Node::new(1);
    assert_eq!(node.set("a", Some("1")), []);
    let request = with(update("b", Some("2")), Some(60_000), false, false);
    node.step(Event::Asked(2, request));
    assert_eq!(writes(&node.step(Event::Writer(true))).len(), 2);
}

#[test]
fn dampening_waits_for_further_changes() {
    let mut node = Node::writer(1);
    let damp = |value| with(update("a", Some(value)), Some(5_000), false, false);
    let done = [Effect::Answer(1, Answer::Done)];
    assert_eq!(node.step(Event::Asked(1, damp("1"))), done);
    assert_eq!(node.tick(4_000), []);
    assert_eq!(node.step(Event::Asked(1, damp("2"))), done);
    assert_eq!(node.tick(4_000), []);
    assert_eq!(node.query("a", "n1").as_deref(), Some("2"));
    let written = writes(&node.tick(1_000));
    let cib = apply(&Cib::empty(), &written[0].1).cib;
    assert_eq!(attribute::get(&cib, "1", "a"), Some("2"));
}

#[test]
fn another_dampening_or_a_refresh_writes_at_once() {
    for event in [
        Request::Refresh,
        Request::Dampen {
            which: Which::Name("a".into()),
            dampening_ms: 7_000,
        },
        with(update("a", Some("2")), Some(0), true, false),
    ] {
        let mut node = Node::writer(1);
        let request = with(update("a", Some("1")), Some(5_000), false, false);
        assert_eq!(writes(&node.step(Event::Asked(1, request))), []);
        let effects = node.step(Event::Asked(2, event.clone()));
        assert_eq!(writes(&effects).len(), 1, "{event:?}");
    }
    let unknown = Request::Dampen {
        which: Which::Name("x".into()),
        dampening_ms: 1,
    };
    let refused = Answer::Refused(Refusal::Unknown("x".into()));
    assert_eq!(
        Node::writer(1).step(Event::Asked(1, unknown)),
        [Effect::Answer(1, refused)]
    );
}

#[test]
fn a_private_value_is_told_to_all_nodes_and_to_no_cib() {
    let (mut one, mut two) = (Node::writer(1), Node::writer(2));
    one.step(Event::Cib(cib(&[1, 2])));
    one.step(Event::Sent(NodeId(2), true));
    let effects = one.step(Event::Asked(
        1,
        with(update("p", Some("x")), None, false, true),
    ));
    assert_eq!(writes(&effects), []);
    let told = message(&effects);
    two.step(Event::Cib(cib(&[1, 2])));
    assert_eq!(writes(&two.step(Event::Told(NodeId(1), told))), []);
    assert_eq!(two.query("p", "n1").as_deref(), Some("x"));
    assert_eq!(two.query("p", "n2"), None);
}

#[test]
fn the_newer_of_two_changes_wins_in_whatever_order_they_arrive() {
    let cell = |value: &str, stamp| Cell {
        name: "a".into(),
        kind: Kind::default(),
        host: Some("n2".into()),
        value: Some(value.into()),
        stamp: Stamp(stamp, NodeId(2)),
    };
    let (old, new) = (cell("old", 5), cell("new", 6));
    for cells in [vec![old.clone(), new.clone()], vec![new, old]] {
        let mut node = Node::new(1);
        node.step(Event::Cib(cib(&[1, 2])));
        for cell in cells {
            let message = Message {
                cells: vec![cell],
                ..Message::default()
            };
            node.step(Event::Told(NodeId(2), message));
        }
        assert_eq!(node.query("a", "n2").as_deref(), Some("new"));
    }
}

#[test]
fn what_does_not_arrive_is_told_again() {
    let mut node = Node::new(1);
    assert!(message(&node.step(Event::Cib(cib(&[1, 2])))).want);
    assert_eq!(node.set("a", Some("1")), []);
    assert_eq!(node.step(Event::Sent(NodeId(2), false)), []);
    let again = message(&node.tick(AGAIN_MS));
    assert!(again.want);
    assert_eq!(again.cells[0].value.as_deref(), Some("1"));
}

#[test]
fn a_tool_may_wait_for_the_whole_cluster() {
    let mut node = Node::new(1);
    node.step(Event::Cib(cib(&[1, 2])));
    node.step(Event::Sent(NodeId(2), true));
    let mut request = update("a", Some("1"));
    if let Request::Update { wait, .. } = &mut request {
        *wait = Wait::Cluster;
    }
    let effects = node.step(Event::Asked(3, request));
    assert!(matches!(effects.as_slice(), [Effect::Send(NodeId(2), _)]));
    let done = [Effect::Answer(3, Answer::Done)];
    assert_eq!(node.step(Event::Sent(NodeId(2), true)), done);
}

#[test]
fn values_of_a_node_that_left_are_forgotten() {
    let (mut one, mut two) = (Node::writer(1), Node::new(2));
    for node in [&mut one, &mut two] {
        node.step(Event::Cib(cib(&[1, 2])));
        node.step(Event::Sent(
            NodeId(if node.machine.me.0 == 1 { 2 } else { 1 }),
            true,
        ));
    }
    let told = message(&two.set("a", Some("1")));
    assert_eq!(writes(&one.step(Event::Told(NodeId(2), told))).len(), 1);
    one.step(Event::Cib(cib(&[1])));
    assert_eq!(one.query("a", "n2"), None);
    // It comes back with its own view of itself.
    let hello = one.step(Event::Cib(cib(&[1, 2])));
    two.step(Event::Told(NodeId(1), message(&hello)));
    let again = message(&two.step(Event::Sent(NodeId(1), true)));
    one.step(Event::Told(NodeId(2), again));
    assert_eq!(one.query("a", "n2").as_deref(), Some("1"));
}

#[test]
fn a_new_life_of_a_node_ends_the_values_of_the_one_before() {
    let mut node = Node::new(1);
    node.step(Event::Cib(cib(&[1, 2])));
    let mut two = Node::new(2);
    two.step(Event::Cib(cib(&[1, 2])));
    two.step(Event::Sent(NodeId(1), true));
    node.step(Event::Told(NodeId(2), message(&two.set("a", Some("1")))));
    assert_eq!(node.query("a", "n2").as_deref(), Some("1"));
    let reborn = Message {
        born: 77,
        ..Message::default()
    };
    node.step(Event::Told(NodeId(2), reborn));
    assert_eq!(node.query("a", "n2"), None);
}

#[test]
fn what_somebody_else_removed_is_written_again() {
    let mut node = Node::writer(1);
    let written = writes(&node.set("a", Some("1")));
    let with_value = apply(&cib(&[1]), &written[0].1).cib;
    node.step(Event::Written(written[0].0, Ok(())));
    assert_eq!(node.step(Event::Cib(with_value)), []);
    assert_eq!(writes(&node.step(Event::Cib(cib(&[1])))).len(), 1);
}

#[test]
fn a_failed_write_is_tried_again_and_one_is_under_way_at_a_time() {
    let mut node = Node::writer(1);
    let first = writes(&node.set("a", Some("1")));
    assert_eq!(writes(&node.set("a", Some("2"))), []);
    let failed = node.step(Event::Written(first[0].0, Err("no leader".into())));
    assert_eq!(writes(&failed), []);
    let again = writes(&node.tick(2_000));
    let cib = apply(&Cib::empty(), &again[0].1).cib;
    assert_eq!(attribute::get(&cib, "1", "a"), Some("2"));
}

#[test]
fn counts_follow_from_the_old_value_and_patterns_find_what_exists() {
    let mut node = Node::new(1);
    for name in ["ping-a", "ping-b", "other"] {
        node.set(name, Some("3"));
    }
    node.set("other", Some("value++"));
    assert_eq!(node.query("other", "n1").as_deref(), Some("4"));
    let mut request = update("", Some("value+=2"));
    if let Request::Update { which, .. } = &mut request {
        *which = Which::Pattern("^ping-".into());
    }
    node.step(Event::Asked(1, request));
    for (name, value) in [("ping-a", "5"), ("ping-b", "5"), ("other", "4")] {
        assert_eq!(node.query(name, "localhost").as_deref(), Some(value));
    }
    node.set("other", None);
    assert_eq!(node.query("other", "n1").as_deref(), Some(""));
}

#[test]
fn fail_counts_are_counted_in_the_cib_and_never_held() {
    let mut node = Node::new(1);
    let effects = node.set("fail-count-r#start_0", Some("value++"));
    let written = writes(&effects);
    let mut cib = cib(&[1]);
    for expected in ["1", "2"] {
        cib = apply(&cib, &written[0].1).cib;
        let value = attribute::get(&cib, "1", "fail-count-r#start_0");
        assert_eq!(value, Some(expected));
    }
    let done = node.step(Event::Written(written[0].0, Ok(())));
    assert_eq!(done, [Effect::Answer(1, Answer::Done)]);
    node.step(Event::Cib(cib));
    assert_eq!(
        node.query("fail-count-r#start_0", "n1").as_deref(),
        Some("2")
    );
}

#[test]
fn a_node_that_does_not_exist_is_refused_by_name() {
    let mut request = update("a", Some("1"));
    if let Request::Update { node, .. } = &mut request {
        *node = Some("nobody".into());
    }
    let refused = Answer::Refused(Refusal::UnknownNode("nobody".into()));
    assert_eq!(
        Node::writer(1).step(Event::Asked(1, request)),
        [Effect::Answer(1, refused)]
    );
}

#[test]
fn a_node_says_how_new_it_is_once_it_has_joined() {
    let mut node = Node::writer(1);
    node.machine = std::mem::replace(
        &mut node.machine,
        Machine::new(NodeId(1), "n1".into(), at(0)),
    )
    .announcing("#feature-set", "3.20.5");
    assert_eq!(writes(&node.step(Event::Cib(cib(&[2])))), []);
    let joined = cib(&[1, 2]);
    let written = writes(&node.step(Event::Cib(joined.clone())));
    let [(id, command)] = written.as_slice() else {
        panic!("{written:?}");
    };
    let after = apply(&joined, command).cib;
    assert_eq!(attribute::get(&after, "1", "#feature-set"), Some("3.20.5"));
    node.step(Event::Written(*id, Ok(())));
    assert_eq!(writes(&node.step(Event::Cib(after.clone()))), []);
    // A status that forgot it is told again.
    assert_eq!(writes(&node.step(Event::Cib(joined))).len(), 1);
}
