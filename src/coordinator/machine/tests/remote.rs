//! Remote nodes: what is ordered through a connection, what is lost with it, and what is known of a node that is fenced.

use super::*;

/// The same on remote node `r`, whose connection h2 holds.
pub(super) fn run_on_remote(id: u32, task: &str) -> Synapse {
    let mut synapse = run(id, task, 2, &[]);
    synapse.action.router = synapse.action.node.take().map(|node| node.name);
    synapse.action.node = Some(NodeRef {
        name: "r".into(),
        uuid: "r".into(),
    });
    synapse
}

/// The connection to `r`, as h2 sees it.
fn watched(id: u32) -> Synapse {
    let mut synapse = run(id, "monitor", 2, &[]);
    let attributes = &mut synapse.action.attributes;
    attributes.push(("CRM_meta_interval".into(), "10000".into()));
    if let Some(rsc) = &mut synapse.action.rsc {
        let rsc = Arc::make_mut(rsc);
        (rsc.id, rsc.provider, rsc.kind) = ("r".into(), Some("pacemaker".into()), "remote".into());
    }
    synapse
}

#[test]
fn what_is_ordered_on_a_remote_node_ends_with_its_connection() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![watched(1), run_on_remote(2, "start")]);
    let connection = Arc::clone(&w.orders[0]);
    assert_eq!(w.orders[1].action.router, Some("h2".into()));
    w.result(&connection, 0);
    assert_eq!(w.machine.picture().in_flight, ["vip_start_0 on r"]);
    let questions = w.asked.len();
    // Reported anew, because it changed.
    w.result(&connection, 1);
    assert_eq!(w.asked.len(), questions + 1);
    // It may have begun there.
    let state = w
        .cib
        .status()
        .and_then(|s| s.child_by_id("node_state", "r"));
    let state = state.expect("there is one").to_string();
    assert!(state.contains("remote_node=\"true\""), "{state}");
    assert!(state.contains("op-status=\"-1\""), "{state}");
}

#[test]
fn an_order_for_a_remote_node_is_accounted_for_over_its_connection() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run_on_remote(1, "start")]);
    w.step(Event::Missed);
    let op = OpKey::new("vip", "start", 0);
    assert_eq!(w.through, [(NodeId(2), "r".into(), Deed::Account(op))]);
    assert_eq!(w.told, []);
}

#[test]
fn a_fenced_remote_node_is_marked_and_forgotten() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run_on_remote(1, "start")]);
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 0);
    let mut shot = synapse(1, ActionKind::Cluster, "stonith", 2, &[]);
    shot.action.node = run_on_remote(1, "x").action.node;
    w.plan(vec![shot]);
    let (key, target) = w.fenced[0].clone();
    assert_eq!(target, "r");
    let result = Ok("power".to_owned());
    w.step(Event::Fenced { key, result });
    assert_eq!(w.state("r", "node_fenced").as_deref(), Some("1700000000"));
    assert_eq!(w.state("r", "connection").as_deref(), Some(""));
    let state = w
        .cib
        .status()
        .and_then(|s| s.child_by_id("node_state", "r"));
    assert!(state.is_some_and(|state| state.child("lrm").is_none()));
}

#[test]
fn a_guest_ends_with_its_host_and_runs_nothing_any_more() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run_on_remote(1, "start")]);
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 0);
    let connected = Element::new("node_state").with("id", "r");
    let connected = connected.with("remote_node", "true").with("in_ccm", "1");
    w.write(&Command::modify("status", connected));
    let mut gone = synapse(1, ActionKind::Pseudo, "stonith", 2, &[]);
    gone.action.node = run_on_remote(1, "x").action.node;
    w.plan(vec![gone]);
    assert_eq!(w.fenced, [], "nobody has to do that");
    assert_eq!(w.state("r", "in_ccm").as_deref(), Some("0"));
    assert_eq!(w.state("r", "node_fenced"), None);
    let state = w
        .cib
        .status()
        .and_then(|s| s.child_by_id("node_state", "r"));
    assert!(state.is_some_and(|state| state.child("lrm").is_none()));
}

#[test]
fn maintenance_of_a_remote_node_is_written_down() {
    let mut w = World::new(&[]);
    w.lead();
    let mut pseudo = synapse(1, ActionKind::Pseudo, "maintenance_nodes", 1, &[]);
    pseudo
        .action
        .maintenance
        .push(crate::graph::NodeMaintenance {
            node: "r".into(),
            on: true,
        });
    w.plan(vec![pseudo]);
    assert_eq!(w.state("r", "node_in_maintenance").as_deref(), Some("1"));
}

#[test]
fn what_an_unreachable_remote_node_runs_is_started_nowhere_else() {
    let mut w = World::new(&[("stonith-enabled", "false")]);
    let mut connection = Element::new("primitive")
        .with("id", "r")
        .with("class", "ocf");
    connection.set("provider", "pacemaker");
    connection.set("type", "remote");
    w.write(&Command::modify("resources", connection).or_create());
    w.lead();
    w.plan(vec![run_on_remote(1, "start")]);
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 0);
    w.write(&Command::modify(
        "status",
        Element::new("node_state")
            .with("id", "r")
            .with("remote_node", "true"),
    ));
    let questions = w.asked.len();
    w.plan(vec![run(1, "start", 3, &[])]);
    assert_eq!(w.orders.len(), 1, "only the first start was ordered");
    assert_eq!(
        w.asked.len(),
        questions,
        "the policy would say the same again"
    );
    assert!(w.said.iter().any(|text| text.contains("remote node r")));
    // A person says that it is off.
    w.step(Event::FencedOutside {
        target: "r".into(),
        by: "a person".into(),
    });
    w.plan(vec![run(1, "start", 3, &[])]);
    assert_eq!(w.orders.len(), 2);
}
