//! What is still under way by the word of a coordinator before, and what waits for it.

use super::*;

/// `vip` and `web`, which is ordered after it; this node coordinates.
fn vip_then_web() -> World {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    let read = |text: &str| crate::xml::parse(text, &crate::xml::Limits::CIB).expect("XML");
    for id in ["vip", "web"] {
        let text = format!(r#"<primitive id="{id}" class="ocf" provider="systole" type="Dummy"/>"#);
        w.write(&Command::modify("resources", read(&text)).or_create());
    }
    let order = read(r#"<rsc_order id="vip-web" first="vip" then="web"/>"#);
    w.write(&Command::modify("constraints", order).or_create());
    w.lead();
    w
}

impl World {
    /// Somebody else coordinated meanwhile, and left this under way.
    fn leads_again_while(&mut self, going: &Order) {
        self.step(Event::Authority(Authority::None, self.cib.clone()));
        self.reported(going, ExecStatus::Pending, 193);
        let authority = Authority::Leader(Term(4));
        self.step(Event::Authority(authority, self.cib.clone()));
        for id in 1..=3 {
            let incarnation = u64::from(id) * 10;
            self.step(Event::Peer(NodeId(id), Peer::Alive { incarnation }));
        }
    }

    /// Which resources have something ordered, beginning with the order of this number.
    fn ordered_from(&self, first: usize) -> Vec<String> {
        let all = self.orders[first..].iter();
        all.map(|order| {
            order
                .action
                .rsc
                .as_ref()
                .expect("a resource")
                .id
                .to_string()
        })
        .collect()
    }
}

fn start(id: u32, rsc: &str) -> Synapse {
    let mut start = run(id, "start", 2, &[]);
    let named = start.action.rsc.as_mut().expect("a resource");
    Arc::make_mut(named).id = rsc.into();
    start
}

#[test]
fn what_is_ordered_after_a_stop_of_a_coordinator_before_waits_for_its_result() {
    let mut w = vip_then_web();
    w.plan(vec![run(1, "start", 1, &[])]);
    let up = Arc::clone(&w.orders[0]);
    w.result(&up, 0);
    w.plan(vec![run(1, "stop", 1, &[])]);
    let stop = Arc::clone(&w.orders[1]);
    w.leads_again_while(&stop);
    w.plan(vec![start(1, "web"), start(2, "other")]);
    assert_eq!(w.ordered_from(2), ["other"], "the policy thinks vip stays");
    let (other, questions) = (Arc::clone(&w.orders[2]), w.asked.len());
    w.result(&other, 0);
    assert_eq!(w.asked.len(), questions, "it is not done, it waits");
    w.result(&stop, 0);
    assert_eq!(w.asked.len(), questions + 1, "now the policy knows");
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(2), ["other", "web"]);
}

/// `vip` is being started on h2 by the word of a coordinator before, and `web` wants to follow it.
fn start_under_way() -> (World, Arc<Order>) {
    let mut w = vip_then_web();
    w.plan(vec![run(1, "start", 2, &[])]);
    let up = Arc::clone(&w.orders[0]);
    w.leads_again_while(&up);
    w.plan(vec![start(1, "web"), start(2, "other")]);
    assert_eq!(
        w.ordered_from(1),
        ["other"],
        "the policy takes vip for started"
    );
    let other = Arc::clone(&w.orders[1]);
    w.result(&other, 0);
    (w, up)
}

#[test]
fn what_is_ordered_after_a_start_of_a_coordinator_before_waits_for_its_result() {
    let (mut w, up) = start_under_way();
    let questions = w.asked.len();
    w.result(&up, 0);
    assert_eq!(w.asked.len(), questions + 1, "now the policy knows");
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(1), ["other", "web"]);
}

#[test]
fn what_is_ordered_after_a_start_that_never_began_waits_until_that_is_known() {
    let (mut w, up) = start_under_way();
    let questions = w.asked.len();
    let op = OpKey::new("vip", "start", 0);
    let h2 = Place::new("2", NodeName::from("h2"));
    w.write(&record::withdrawn(&h2, &op, &up.key));
    assert_eq!(w.asked.len(), questions + 1, "now the policy knows");
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(1), ["other", "web"]);
}

#[test]
fn what_was_looked_at_since_is_waited_for_no_longer() {
    let (mut w, up) = start_under_way();
    let mut probe = (*up).clone();
    probe.action.task = "monitor".into();
    probe.key.target_rc = 7;
    w.result(&probe, 7); // of several changes only the outcome is seen
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(1), ["other", "web"]);
}

#[test]
fn a_node_is_asked_of_what_is_recorded_there_by_somebody_else() {
    let mut w = vip_then_web();
    w.plan(vec![run(1, "start", 2, &[])]);
    let mut foreign = (*w.orders[0]).clone();
    foreign.key.uuid = "of another".into();
    let told = w.told.len();
    w.reported(&foreign, ExecStatus::Pending, 193);
    let op = OpKey::new("vip", "start", 0);
    assert_eq!(w.told[told..], [(NodeId(2), Deed::Account(op))]);
}

#[test]
fn a_stop_on_a_remote_node_is_waited_for_while_somebody_is_connected_to_it() {
    let mut w = vip_then_web();
    w.plan(vec![remote::run_on_remote(1, "stop")]);
    let stop = Arc::clone(&w.orders[0]);
    w.leads_again_while(&stop);
    let connected = |w: &mut World, since: &str| {
        let state = Element::new("node_state")
            .with("id", "r")
            .with("in_ccm", since)
            .with("connection_host", "h2");
        w.write(&Command::modify("status", state));
    };
    connected(&mut w, "1700000000");
    w.plan(vec![start(1, "web"), start(2, "other")]);
    assert_eq!(w.ordered_from(1), ["other"]);
    connected(&mut w, "0");
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(1), ["other", "web"], "nobody would tell");
}

#[test]
fn what_is_ordered_after_a_start_that_was_given_up_waits_for_it() {
    let mut w = vip_then_web();
    w.plan(vec![run(1, "start", 2, &[])]);
    let up = Arc::clone(&w.orders[0]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    w.plan(vec![]); // asked for before it was heard again
    w.plan(vec![start(1, "web"), start(2, "other")]);
    assert_eq!(w.ordered_from(1), ["other"]);
    w.result(&up, 0);
    let other = Arc::clone(&w.orders[1]);
    w.result(&other, 0);
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(1), ["other", "web"]);
}

/// `vip` runs on h2; while its stop is out h2 is not heard for a moment, and the policy leaves `vip` where it is.
fn stop_given_up() -> (World, Arc<Order>) {
    let mut w = vip_then_web();
    w.plan(vec![run(1, "start", 2, &[])]);
    let up = Arc::clone(&w.orders[0]);
    w.result(&up, 0);
    w.plan(vec![run(1, "stop", 2, &[])]);
    let stop = Arc::clone(&w.orders[1]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    w.plan(vec![]); // asked for before it was heard again
    w.plan(vec![start(1, "web"), start(2, "other")]);
    assert_eq!(w.ordered_from(2), ["other"]);
    (w, stop)
}

#[test]
fn a_stop_that_was_given_up_is_waited_for_when_its_node_is_heard_again() {
    let (mut w, stop) = stop_given_up();
    let op = OpKey::new("vip", "stop", 0);
    assert_eq!(w.told, [(NodeId(2), Deed::Account(op))]);
    let questions = w.asked.len();
    w.result(&stop, 0);
    let other = Arc::clone(&w.orders[2]);
    w.result(&other, 0);
    assert_eq!(w.asked.len(), questions + 1, "now the policy knows");
    w.plan(vec![start(1, "web")]);
    assert_eq!(w.ordered_from(2), ["other", "web"]);
}

#[test]
fn a_stop_that_was_given_up_and_never_arrived_holds_nothing() {
    let (mut w, stop) = stop_given_up();
    w.step(Event::NotDone {
        key: stop.key.clone(),
        why: "nobody knows of it".into(),
    });
    assert_eq!(w.ordered_from(2), ["other", "web"]);
}
