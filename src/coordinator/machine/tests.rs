//! A coordinator in a world of one document: its writes are applied at once, its graphs come from the test.

use super::*;
use crate::cib::apply;
use crate::cib::status::node_state::Place;
use crate::cib::status::record::{self, Counting};
use crate::graph::{NodeRef, RscRef, Synapse};
use crate::terms::{AgentName, ExecStatus, OcfExit, OpKey};
use crate::xml::Element;

mod authority;
mod hold;
mod lives;
mod remote;

struct World {
    now: Mono,
    machine: Machine,
    cib: Cib,
    asked: Vec<u64>,
    orders: Vec<Arc<Order>>,
    fenced: Vec<(TransitionKey, String)>,
    condemned: Vec<(NodeId, u64)>,
    told: Vec<(NodeId, Deed)>,
    through: Vec<(NodeId, NodeName, Deed)>,
    said: Vec<String>,
    /// Writes that are under way, if they take time.
    slow: Option<Vec<(WriteId, Command)>>,
}

impl World {
    /// Three nodes, h1 is this one; the options are those of `crm_config`.
    fn new(options: &[(&str, &str)]) -> Self {
        let mut root = Cib::empty().into_root();
        let mut set = Element::new("cluster_property_set").with("id", "o");
        for (name, value) in options {
            set.push(
                Element::new("nvpair")
                    .with("id", format!("o-{name}"))
                    .with("name", name)
                    .with("value", value),
            );
        }
        root.child_mut("configuration")
            .and_then(|c| c.child_mut("crm_config"))
            .expect("an empty CIB has options")
            .push(set);
        let machine = Machine::new(Settings {
            me: NodeId(1),
            seed: 7,
            actions_per_node: 4,
            startup_grace_ms: 20_000,
        });
        let (asked, orders, fenced, condemned, told, through, said) = Default::default();
        Self {
            now: Mono(1_000),
            machine,
            cib: Cib::new(root),
            asked,
            orders,
            fenced,
            condemned,
            told,
            through,
            said,
            slow: None,
        }
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.machine
            .step(self.now, 1_700_000_000, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Plan { plan, .. } => self.asked.push(plan),
                Effect::Order(_, order) => self.orders.push(order),
                Effect::Fence { key, target, .. } => self.fenced.push((key, target.to_string())),
                Effect::Tell(node, _, deed) => self.told.push((node, deed)),
                Effect::Through(host, node, _, deed) => self.through.push((host, node, deed)),
                Effect::Say(text) => self.said.push(text),
                Effect::Write(id, command) => match &mut self.slow {
                    Some(under_way) => under_way.push((id, command)),
                    None => self.commit(id, &command),
                },
                Effect::Condemn(id, life) => self.condemned.push((id, life)),
                Effect::Settled { .. } | Effect::Life(..) | Effect::Heard => {}
            }
        }
    }

    fn commit(&mut self, id: WriteId, command: &Command) {
        let applied = apply(&self.cib, command);
        let result = applied.answer.map(|_| ()).map_err(|e| e.to_string());
        let before = std::mem::replace(&mut self.cib, applied.cib);
        let after = self.cib.clone();
        self.step(Event::CibChanged { before, after });
        self.step(Event::Written { id, result });
    }

    /// What is under way arrives, in its order; from now on writes take no time.
    fn commit_slow(&mut self) {
        for (id, command) in self.slow.take().into_iter().flatten() {
            self.commit(id, &command);
        }
    }

    /// Somebody else writes.
    fn write(&mut self, command: &Command) {
        let applied = apply(&self.cib, command);
        applied.answer.expect("the test writes what may be written");
        let before = std::mem::replace(&mut self.cib, applied.cib);
        let after = self.cib.clone();
        self.step(Event::CibChanged { before, after });
    }

    fn lead(&mut self) {
        let names = ["h1", "h2", "h3"];
        let members = (1..).map(NodeId).zip(names.map(NodeName::from)).collect();
        self.step(Event::Members(members));
        self.step(Event::Authority(
            Authority::Leader(Term(3)),
            self.cib.clone(),
        ));
        for id in 1..=3 {
            self.step(Event::Peer(
                NodeId(id),
                Peer::Alive {
                    incarnation: u64::from(id) * 10,
                },
            ));
        }
    }

    /// h2 has fallen silent, and the shot is under way.
    fn shooting_h2() -> (Self, TransitionKey) {
        let mut w = Self::new(&[("stonith-enabled", "true")]);
        w.lead();
        w.plan(vec![]);
        w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
        w.plan(vec![synapse(1, ActionKind::Cluster, "stonith", 2, &[])]);
        let (key, _) = w.fenced.pop().expect("fencing was asked for");
        (w, key)
    }

    /// The policy's answer to the last question.
    fn plan(&mut self, synapses: Vec<Synapse>) {
        let plan = *self.asked.last().expect("the policy was asked");
        let graph = Box::new(Graph {
            synapses,
            ..Graph::default()
        });
        self.step(Event::Planned { plan, graph });
    }

    /// The node reports how an order ended.
    fn result(&mut self, order: &Order, rc: i32) {
        self.reported(order, ExecStatus::Done, rc);
    }

    /// The same for any state of it.
    fn reported(&mut self, order: &Order, status: ExecStatus, rc: i32) {
        let action = &order.action;
        let (node, rsc) = (
            action.node.clone().expect("placed"),
            action.rsc.clone().expect("real"),
        );
        let execution = record::Execution {
            agent: AgentName::new(&rsc.class, rsc.provider.as_deref(), &rsc.kind),
            op: OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms()),
            key: order.key.clone(),
            call_id: 1,
            status,
            rc: OcfExit(rc),
            exit_reason: String::new(),
            last_rc_change_s: Some(1_700_000_000),
            exec_ms: Some(3),
            queue_ms: Some(0),
            digests: record::Digests::default(),
            feature_set: String::new(),
            node: node.name.clone(),
            notify: None,
            migrate: None,
            container: None,
            shutdown_lock: None,
            ignore_failure: false,
        };
        let place = Place::new(&node.uuid, node.name);
        self.write(&record::result(&place, &execution, Counting::of(&self.cib)));
    }

    fn attribute(&self, node: &str, name: &str) -> Option<String> {
        let state = self.cib.status()?.child_by_id("node_state", node)?;
        let set = state
            .child("transient_attributes")?
            .child("instance_attributes")?;
        let pair = set.children().find(|p| p.get("name") == Some(name))?;
        pair.get("value").map(str::to_owned)
    }

    fn state(&self, node: &str, name: &str) -> Option<String> {
        self.cib
            .status()?
            .child_by_id("node_state", node)?
            .get(name)
            .map(str::to_owned)
    }
}

fn synapse(id: u32, kind: ActionKind, task: &str, node: u32, inputs: &[u32]) -> Synapse {
    let mut action = Action::new(ActionId(id), kind, task, &format!("vip_{task}_0"));
    action.node = Some(NodeRef {
        name: format!("h{node}").into(),
        uuid: node.to_string().into(),
    });
    if kind == ActionKind::Resource {
        action.rsc = Some(
            RscRef {
                id: "vip".into(),
                long_id: None,
                class: "ocf".into(),
                provider: Some("systole".into()),
                kind: "IPaddr2".into(),
            }
            .into(),
        );
    }
    Synapse {
        priority: 0,
        action,
        inputs: inputs.iter().copied().map(ActionId).collect(),
    }
}

fn run(id: u32, task: &str, node: u32, inputs: &[u32]) -> Synapse {
    synapse(id, ActionKind::Resource, task, node, inputs)
}

#[test]
fn a_graph_is_walked_in_its_order_and_the_policy_is_asked_again() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "stop", 1, &[]), run(2, "start", 2, &[1])]);
    assert_eq!(w.orders.len(), 1, "the start waits for the stop");
    let stop = Arc::clone(&w.orders[0]);
    assert_eq!((stop.term, stop.action.task.as_str()), (Term(3), "stop"));
    let questions = w.asked.len();
    w.result(&stop, 0);
    let start = Arc::clone(&w.orders[1]);
    w.result(&start, 0);
    assert_eq!(w.asked.len(), questions + 1);
    w.plan(vec![]);
    assert!(!w.machine.picture().busy);
}

#[test]
fn nothing_is_promoted_while_another_instance_is_being_looked_at() {
    let mut w = World::new(&[]);
    w.lead();
    let mut probe = run(1, "monitor", 3, &[]);
    probe.action.attributes = vec![("CRM_meta_op_target_rc".into(), "7".into())];
    w.plan(vec![run(2, "promote", 2, &[]), probe.clone()]);
    assert_eq!(w.orders.len(), 1);
    let order = Arc::clone(&w.orders[0]);
    assert_eq!(order.action.task, "monitor");
    w.result(&order, 7);
    assert_eq!(w.orders.len(), 2);
    assert_eq!(w.orders[1].action.task, "promote");
    // One that is found promoted is another story.
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(2, "promote", 2, &[]), probe]);
    let order = Arc::clone(&w.orders[0]);
    w.result(&order, 8);
    assert_eq!(w.orders.len(), 1);
}

#[test]
fn a_failure_is_not_what_is_cancelled() {
    let mut w = World::new(&[]);
    w.lead();
    let interval = || ("CRM_meta_interval".into(), "5000".into());
    let mut monitor = run(1, "monitor", 2, &[]);
    monitor.action.attributes = vec![interval()];
    w.plan(vec![monitor]);
    let order = Arc::clone(&w.orders[0]);
    w.result(&order, 1);
    assert!(w.cib.root().find_id("vip_last_failure_0").is_some());
    let mut cancel = run(1, "cancel", 2, &[]);
    let operation = ("CRM_meta_operation".into(), "monitor".into());
    cancel.action.attributes = vec![interval(), operation];
    w.plan(vec![cancel]);
    w.step(Event::Tick);
    assert_eq!(w.machine.picture().in_flight, Vec::<String>::new());
}

#[test]
fn a_plan_of_pseudo_actions_alone_is_not_asked_for_again() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![synapse(0, ActionKind::Pseudo, "stopped", 1, &[])]);
    assert_eq!(w.asked.len(), 1, "{:?}", w.said);
}

#[test]
fn a_plan_that_comes_back_unchanged_has_to_wait() {
    let mut w = World::new(&[]);
    w.lead();
    for _ in 0..3 {
        w.plan(vec![run(1, "start", 1, &[])]);
        let order = Arc::clone(w.orders.last().expect("an order"));
        w.result(&order, 0);
    }
    let orders = w.orders.len();
    assert_eq!(orders, 3);
    w.plan(vec![run(1, "start", 1, &[])]);
    assert_eq!(w.orders.len(), orders, "{:?}", w.said);
    let picture = w.machine.picture();
    assert!(!picture.busy);
    assert_eq!(picture.in_vain, ["vip_start_0 on h1"]);
    let questions = w.asked.len();
    w.now = w.now.plus(10_000);
    w.step(Event::Tick);
    assert_eq!(w.asked.len(), questions + 1, "it is tried again");
    w.plan(vec![run(1, "start", 1, &[])]);
    assert_eq!(w.orders.len(), orders + 1);
    let order = Arc::clone(w.orders.last().expect("an order"));
    w.result(&order, 0);
    w.plan(vec![]);
    assert!(w.machine.picture().in_vain.is_empty());
}

#[test]
fn all_nodes_join_and_a_new_life_loses_its_history() {
    let mut w = World::new(&[]);
    w.lead();
    for id in ["1", "2", "3"] {
        assert_eq!(w.state(id, "join").as_deref(), Some("member"));
    }
    w.plan(vec![run(1, "start", 2, &[])]);
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 0);
    let history = |w: &World| {
        w.cib
            .status()
            .and_then(|s| s.child_by_id("node_state", "2")?.child("lrm"))
            .is_some()
    };
    assert!(history(&w));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 21 }));
    assert!(!history(&w));
    assert_eq!(w.state("2", "incarnation").as_deref(), Some("21"));
    assert_eq!(w.state("2", "probe-all").as_deref(), Some("true"));
    assert_eq!(w.state("3", "probe-all"), None, "its first life");
}

#[test]
fn what_left_the_configuration_is_forgotten_and_no_agent_is_asked_to_delete() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "stop", 2, &[]), run(2, "delete", 2, &[1])]);
    let stop = Arc::clone(&w.orders[0]);
    let history = |w: &World| w.cib.root().find_id("vip").is_some();
    w.result(&stop, 0);
    assert_eq!(w.orders.len(), 1, "only the stop is an agent's");
    assert_eq!(w.told, [(NodeId(2), Deed::Forget("vip".into()))]);
    assert!(!history(&w));
    w.plan(vec![]);
    assert!(!w.machine.picture().busy);
}

#[test]
fn what_will_not_be_done_is_decided_anew() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[]), run(2, "start", 3, &[])]);
    let (start, other) = (Arc::clone(&w.orders[0]), Arc::clone(&w.orders[1]));
    let questions = w.asked.len();
    let not_done = |order: &Order| Event::NotDone {
        key: order.key.clone(),
        why: "vip_start_0: the node leaves".into(),
    };
    w.step(not_done(&start));
    assert_eq!(w.asked.len(), questions, "the other order is still out");
    w.result(&other, 0);
    assert_eq!(w.asked.len(), questions + 1, "{:?}", w.said);
    w.plan(vec![]);
    w.step(not_done(&other));
    assert!(!w.machine.picture().busy, "that one was done");
}

#[test]
fn an_order_ends_with_the_life_of_its_node_though_nobody_missed_it() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    let questions = w.asked.len();
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 21 }));
    assert_eq!(w.asked.len(), questions + 1, "{:?}", w.said);
}

/// What the CIB says of the resource on a node.
fn pending_on(w: &World, node: &str) -> bool {
    let state = w
        .cib
        .status()
        .and_then(|s| s.child_by_id("node_state", node));
    let entry = state.and_then(|state| state.find_id("vip_last_0"));
    entry.is_some_and(|op| op.get("op-status") == Some("-1"))
}

#[test]
fn an_order_stays_out_while_its_node_may_still_be_heard_again() {
    let mut w = World::new(&[("stonith-enabled", "false")]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    let (questions, start) = (w.asked.len(), Arc::clone(&w.orders[0]));
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    assert_eq!(w.asked.len(), questions, "it may be starting right now");
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    w.result(&start, 0);
    assert_eq!(w.asked.len(), questions + 1);

    w.plan(vec![run(1, "stop", 2, &[])]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_eq!(w.asked.len(), questions + 2, "its lease has run out");
}

#[test]
fn what_a_silent_node_may_be_starting_is_recorded_before_it_is_fenced() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[]), run(2, "stop", 3, &[])]);
    assert!(!pending_on(&w, "2"));
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    assert!(
        pending_on(&w, "2"),
        "or it would be started elsewhere without waiting for proof"
    );
    w.step(Event::Peer(NodeId(3), Peer::Silent { heard: true }));
    assert!(
        !pending_on(&w, "3"),
        "a stop leaves nothing that could run twice"
    );
}

#[test]
fn a_node_accounts_for_what_a_coordinator_before_left_under_way() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Authority(Authority::None, w.cib.clone()));
    w.told.clear();
    w.step(Event::Authority(Authority::Leader(Term(4)), w.cib.clone()));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    let op = OpKey::new("vip", "start", 0);
    assert_eq!(w.told, [(NodeId(2), Deed::Account(op))]);
}

#[test]
fn who_missed_changes_asks_what_became_of_its_orders_and_gives_none_up() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    let (questions, start) = (w.asked.len(), Arc::clone(&w.orders[0]));
    w.step(Event::Missed);
    let op = OpKey::new("vip", "start", 0);
    assert_eq!(w.told, [(NodeId(2), Deed::Account(op))]);
    assert_eq!(w.asked.len(), questions, "the order is still out");
    w.result(&start, 0);
    assert_eq!(w.asked.len(), questions + 1, "{:?}", w.said);
}

#[test]
fn a_failed_start_is_fatal_and_stops_what_waits_for_it() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[]), run(2, "monitor", 2, &[1])]);
    let questions = w.asked.len();
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 1);
    assert_eq!(w.orders.len(), 1);
    assert_eq!(
        w.attribute("2", "fail-count-vip#start_0").as_deref(),
        Some("INFINITY")
    );
    assert!(w.attribute("2", "last-failure-vip#start_0").is_some());
    assert_eq!(w.asked.len(), questions + 1);
}

#[test]
fn counts_add_up() {
    let mut w = World::new(&[]);
    w.lead();
    let mut promote = run(1, "promote", 2, &[]);
    promote.action.key = "vip_promote_0".into();
    for expected in ["1", "2"] {
        w.plan(vec![promote.clone()]);
        let order = Arc::clone(w.orders.last().expect("ordered"));
        w.result(&order, 1);
        assert_eq!(
            w.attribute("2", "fail-count-vip#promote_0").as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn with_fencing_a_silent_node_is_lost_at_once_and_recovered_after_the_proof() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    assert_eq!(w.state("2", "in_ccm").as_deref(), Some("0"));
    w.plan(vec![
        synapse(1, ActionKind::Cluster, "stonith", 2, &[]),
        run(2, "start", 3, &[1]),
    ]);
    let (key, target) = w.fenced.pop().expect("fencing was asked for");
    assert_eq!(target, "h2");
    assert!(w.orders.is_empty(), "nothing starts before the proof");
    w.step(Event::Fenced {
        key,
        result: Ok("power".into()),
    });
    assert_eq!(w.state("2", "expected").as_deref(), Some("down"));
    assert_eq!(w.condemned, [(NodeId(2), 20)]);
    assert_eq!(w.orders.len(), 1);
}

#[test]
fn a_failed_fencing_starts_nothing_and_is_tried_again() {
    let mut w = World::new(&[("stonith-max-attempts", "2")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    for attempt in 1..=2 {
        let questions = w.asked.len();
        w.plan(vec![
            synapse(1, ActionKind::Cluster, "stonith", 2, &[]),
            run(2, "start", 3, &[1]),
        ]);
        let (key, _) = w.fenced.pop().expect("asked");
        w.step(Event::Fenced {
            key,
            result: Err(Lost::Failed("timed out".into())),
        });
        assert!(w.orders.is_empty());
        assert_eq!(
            w.asked.len(),
            questions + usize::from(attempt == 1),
            "attempt {attempt}"
        );
    }
}

#[test]
fn without_fencing_a_silent_node_is_lost_only_when_its_lease_has_run_out() {
    let mut w = World::new(&[("stonith-enabled", "false")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    assert_ne!(w.state("2", "in_ccm").as_deref(), Some("0"));
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_eq!(w.state("2", "in_ccm").as_deref(), Some("0"));
}

/// A frozen node does not read that the policy is another one now.
#[test]
fn a_lease_proves_nothing_of_a_node_that_did_not_promise_to_let_go() {
    let pledge = |lets_go, watchdog_ms| {
        let pledge = Pledge {
            lets_go,
            watchdog_ms,
        };
        Event::Pledged(NodeId(2), pledge)
    };
    let mut w = World::new(&[("stonith-enabled", "false")]);
    w.lead();
    w.plan(vec![]);
    w.step(pledge(false, 0));
    assert_eq!(w.state("2", "lets-go").as_deref(), Some("false"));
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_ne!(w.state("2", "in_ccm").as_deref(), Some("0"));
    // The next leader goes by what this one wrote.
    w.step(Event::Authority(Authority::None, w.cib.clone()));
    w.lead();
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_ne!(w.state("2", "in_ccm").as_deref(), Some("0"));
    w.step(Event::Peer(NodeId(2), Peer::Alive { incarnation: 20 }));
    w.step(pledge(true, 5_000));
    assert_eq!(w.state("2", "watchdog-ms").as_deref(), Some("5000"));
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_eq!(w.state("2", "in_ccm").as_deref(), Some("0"));
    assert_eq!(w.state("2", "proof").as_deref(), Some("watchdog"));
}

#[test]
fn the_option_says_whether_there_are_watchdogs() {
    let mut w = World::new(&[("have-watchdog", "true")]);
    let said = |w: &World| {
        let options = w.cib.section("crm_config").expect("there are options");
        let named = |pair: &&Element| pair.get("name") == Some("have-watchdog");
        let pairs = options.descendants().filter(named);
        pairs
            .filter_map(|p| p.get("value").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    w.lead();
    assert_eq!(said(&w), ["true"], "not all have said what they have");
    for id in 1..=3 {
        let pledge = Pledge {
            lets_go: true,
            watchdog_ms: 0,
        };
        w.step(Event::Pledged(NodeId(id), pledge));
    }
    assert_eq!(said(&w), ["false"]);
    let pledge = Pledge {
        lets_go: true,
        watchdog_ms: 5_000,
    };
    w.step(Event::Pledged(NodeId(3), pledge));
    assert_eq!(said(&w), ["true"]);
}

#[test]
fn a_person_who_vouches_for_a_death_is_a_proof() {
    let mut w = World::new(&[("stonith-enabled", "true")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    let by = || "a human".to_owned();
    w.step(Event::FencedOutside {
        target: "h2".into(),
        by: by(),
    });
    assert_eq!(w.state("2", "expected").as_deref(), Some("down"));
    assert_eq!(w.state("2", "proof").as_deref(), Some("a human"));
    let version = w.cib.version();
    w.step(Event::FencedOutside {
        target: "h2".into(),
        by: by(),
    });
    assert_eq!(w.cib.version(), version, "once is enough");
}

#[test]
fn a_node_that_goes_on_without_quorum_is_never_called_lost_without_fencing() {
    let mut w = World::new(&[("stonith-enabled", "false"), ("no-quorum-policy", "ignore")]);
    w.lead();
    w.plan(vec![]);
    w.step(Event::Peer(NodeId(2), Peer::Expired));
    assert_ne!(w.state("2", "in_ccm").as_deref(), Some("0"));
}

#[test]
fn orders_to_a_lost_node_end_with_it() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    let questions = w.asked.len();
    w.step(Event::Peer(NodeId(2), Peer::Silent { heard: true }));
    assert!(w.asked.len() > questions);
}

#[test]
fn a_change_of_the_configuration_begins_nothing_more() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "stop", 1, &[]), run(2, "start", 2, &[1])]);
    let primitive = Element::new("primitive")
        .with("id", "new")
        .with("class", "ocf")
        .with("provider", "systole")
        .with("type", "Dummy");
    w.write(&Command::create("resources", primitive));
    let stop = Arc::clone(&w.orders[0]);
    let questions = w.asked.len();
    w.result(&stop, 0);
    assert_eq!(w.orders.len(), 1, "the start is not begun");
    assert_eq!(w.asked.len(), questions + 1);
}

#[test]
fn an_action_without_an_answer_is_recorded_as_timed_out() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "start", 2, &[])]);
    w.now = w.now.plus(20_000 + 60_000 + 1);
    w.step(Event::Tick);
    assert_eq!(
        w.attribute("2", "fail-count-vip#start_0").as_deref(),
        Some("INFINITY")
    );
}

#[test]
fn authority_lost_is_everything_forgotten() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "stop", 1, &[]), run(2, "start", 2, &[1])]);
    w.step(Event::Authority(Authority::None, w.cib.clone()));
    let stop = Arc::clone(&w.orders[0]);
    w.result(&stop, 0);
    assert_eq!(w.orders.len(), 1);
}

#[test]
fn alone_a_node_orders_itself_only_and_fences_nobody() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![]);
    let alone = crate::coordinator::alone(&w.cib, NodeId(1));
    assert_eq!(alone.root().get("have-quorum"), Some("0"));
    w.cib = alone.clone();
    w.step(Event::Authority(Authority::Alone(Term(3)), alone));
    w.plan(vec![
        run(1, "stop", 1, &[]),
        run(2, "stop", 2, &[]),
        synapse(3, ActionKind::Cluster, "stonith", 2, &[]),
    ]);
    assert_eq!(w.orders.len(), 1);
    assert_eq!(
        w.orders[0].action.node.as_ref().map(|n| n.name.as_str()),
        Some("h1")
    );
    assert!(w.fenced.is_empty());
}

#[test]
fn a_coordinator_that_leaves_does_so_last() {
    let mut w = World::new(&[]);
    w.lead();
    let mut leave = synapse(1, ActionKind::Cluster, "do_shutdown", 1, &[]);
    leave.action.downed = vec!["1".into()];
    w.plan(vec![leave, run(2, "start", 2, &[])]);
    assert!(w.told.is_empty());
    assert_eq!(w.state("1", "expected").as_deref(), Some("down"));
    let start = Arc::clone(&w.orders[0]);
    w.result(&start, 0);
    assert_eq!(w.told, [(NodeId(1), Deed::Shutdown)]);
}

#[test]
fn what_waits_for_something_outside_the_graph_ends_the_transition_quietly() {
    let mut w = World::new(&[]);
    w.lead();
    let questions = w.asked.len();
    w.plan(vec![run(2, "monitor", 2, &[1])]);
    assert!(w.orders.is_empty());
    assert_eq!(
        w.asked.len(),
        questions,
        "asking again would bring the same graph"
    );
    assert!(!w.machine.picture().busy);
}

#[test]
fn what_is_to_be_forgotten_is_asked_of_no_agent() {
    let mut w = World::new(&[]);
    w.lead();
    w.plan(vec![run(1, "stop", 2, &[])]);
    let stop = Arc::clone(&w.orders[0]);
    w.result(&stop, 0);
    w.plan(vec![run(1, "delete", 2, &[])]);
    assert_eq!(w.orders.len(), 1, "{:?}", w.orders);
    assert_eq!(w.told, [(NodeId(2), Deed::Forget("vip".to_owned()))]);
    let forgotten = |cib: &Cib| {
        let node = cib.status()?.child_by_id("node_state", "2")?;
        let resources = node.descend(&["lrm", "lrm_resources"])?;
        Some(resources.child_by_id("lrm_resource", "vip").is_none())
    };
    assert_eq!(forgotten(&w.cib), Some(true));
    w.plan(vec![]);
    assert!(!w.machine.picture().busy);
}
