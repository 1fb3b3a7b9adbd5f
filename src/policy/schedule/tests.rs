//! From a CIB as text to the summary as text.

use std::fmt::Write as _;

use super::{Outcome, schedule};
use crate::policy::Input;
use crate::policy::report::{Cause, Effect};
use crate::xml::read;

/// A running cluster of three nodes; `resources` and `constraints` as XML, and where each primitive runs.
fn decide(
    options: &str,
    resources: &str,
    constraints: &str,
    lost: &str,
    running: &[(&str, &str)],
) -> Outcome {
    let nodes = ["h1", "h2", "h3"];
    let mut text = String::from(
        "<cib validate-with=\"pacemaker-4.0\" have-quorum=\"1\" dc-uuid=\"1\"><configuration><crm_config><cluster_property_set id=\"o\">",
    );
    text.push_str(options);
    text.push_str("</cluster_property_set></crm_config><nodes>");
    for (at, name) in nodes.iter().enumerate() {
        write!(text, "<node id=\"{}\" uname=\"{name}\"/>", at + 1).expect("a string takes all");
    }
    write!(text, "</nodes><resources><primitive id=\"fence\" class=\"stonith\" type=\"x\"/>{resources}</resources>")
        .expect("a string takes all");
    write!(
        text,
        "<constraints>{constraints}</constraints><rsc_defaults><meta_attributes id=\"d\"><nvpair id=\"s\" name=\"resource-stickiness\" value=\"10\"/></meta_attributes></rsc_defaults></configuration><status>"
    )
    .expect("a string takes all");
    for (at, name) in nodes.iter().enumerate() {
        let (in_ccm, crmd) = if *name == lost {
            ("false", "offline")
        } else {
            ("true", "online")
        };
        let id = at + 1;
        write!(
            text,
            "<node_state id=\"{id}\" uname=\"{name}\" in_ccm=\"{in_ccm}\" crmd=\"{crmd}\" join=\"member\" expected=\"member\"><lrm id=\"{id}\"><lrm_resources>"
        )
        .expect("a string takes all");
        for (rsc, _) in running {
            let here = running
                .iter()
                .any(|(other, node)| other == rsc && node == name);
            let (task, rc) = if here { ("start", 0) } else { ("monitor", 7) };
            write!(
                text,
                "<lrm_resource id=\"{rsc}\" class=\"ocf\" provider=\"x\" type=\"D\"><lrm_rsc_op id=\"{rsc}_last_0\" operation_key=\"{rsc}_{task}_0\" operation=\"{task}\" transition-key=\"1:1:{rc}:u\" transition-magic=\"0:{rc};1:1:{rc}:u\" call-id=\"1\" rc-code=\"{rc}\" op-status=\"0\" interval=\"0\" op-digest=\"f2317cad3d54cec5d7d7aa7d0bf35cf8\"/></lrm_resource>"
            )
            .expect("a string takes all");
        }
        text.push_str("</lrm_resources></lrm></node_state>");
    }
    text.push_str("</status></cib>");
    let cib =
        read::parse(text.as_bytes(), &read::Limits::default()).expect("the text is well-formed");
    schedule(&cib, &Input::at(1_000))
}

fn primitive(id: &str) -> String {
    format!("<primitive id=\"{id}\" class=\"ocf\" provider=\"x\" type=\"D\"/>")
}

/// The summary with one blank between words, without what happens to the fence device.
fn lines(outcome: &Outcome) -> Vec<String> {
    let words = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = outcome.summary.iter().map(|line| words(line.text()));
    all.filter(|line| !line.starts_with("Start fence"))
        .collect()
}

#[test]
fn what_runs_where_it_should_is_left_alone() {
    let outcome = decide("", &primitive("db"), "", "", &[("db", "h2")]);
    assert_eq!(lines(&outcome), [""; 0]);
}

#[test]
fn a_location_constraint_moves_and_is_named_as_the_cause() {
    let prefer = "<rsc_location id=\"prefer\" rsc=\"db\" node=\"h3\" score=\"100\"/>";
    let outcome = decide("", &primitive("db"), prefer, "", &[("db", "h2")]);
    assert_eq!(lines(&outcome), ["Move db ( h2 -> h3 )"]);
    let text = format!("{:?}", outcome.causes.scores);
    assert!(text.contains("\"prefer\""), "{text}");
}

#[test]
fn a_lost_node_is_fenced_before_its_resource_starts_elsewhere() {
    let outcome = decide("", &primitive("db"), "", "h2", &[("db", "h2")]);
    let lines = lines(&outcome);
    assert!(lines[0].starts_with("Fence (reboot) h2"), "{lines:?}");
    let start = outcome
        .graph
        .synapses
        .iter()
        .find(|it| it.action.key == "db_start_0")
        .expect("it starts again");
    let before = start
        .inputs
        .iter()
        .filter_map(|input| outcome.graph.action(*input));
    assert!(
        before.into_iter().any(|action| action.is_fencing()),
        "{:?}",
        start.inputs
    );
}

#[test]
fn an_ordering_restarts_what_comes_after_and_is_named_as_the_cause() {
    let both = primitive("db") + &primitive("web");
    let rules = "<rsc_order id=\"db-first\" first=\"db\" then=\"web\"/><rsc_location id=\"go\" rsc=\"db\" node=\"h3\" score=\"INFINITY\"/>";
    let outcome = decide("", &both, rules, "", &[("db", "h1"), ("web", "h2")]);
    assert_eq!(
        lines(&outcome),
        [
            "Move db ( h1 -> h3 )",
            "Restart web ( h2 ) due to required db start"
        ]
    );
    let through = outcome.causes.consequences.iter().find(|it| {
        let whom = outcome.whom(it.action).expect("it is in the plan");
        it.effect == Effect::Required && &*whom.task == "start"
    });
    assert_eq!(
        through.and_then(|it| it.constraint.as_deref()),
        Some("db-first")
    );
}

#[test]
fn a_gate_counts_what_of_a_group_is_begun() {
    let resources = format!(
        "<group id=\"g\">{}</group>{}",
        primitive("a"),
        primitive("b")
    );
    let order = "<rsc_order id=\"o\"><resource_set id=\"s1\" require-all=\"false\"><resource_ref id=\"g\"/></resource_set><resource_set id=\"s2\"><resource_ref id=\"b\"/></resource_set></rsc_order>";
    let outcome = decide("", &resources, order, "", &[]);
    let waits_for = |key: &str| -> Vec<&str> {
        let synapse = outcome.graph.synapses.iter();
        let inputs = synapse
            .filter(|it| it.action.key == key)
            .flat_map(|it| &it.inputs);
        let keys = inputs.filter_map(|input| outcome.graph.action(*input));
        keys.map(|action| action.key.as_str()).collect()
    };
    assert_eq!(waits_for("one-or-more:s1"), ["g_start_0"]);
    assert!(waits_for("b_start_0").contains(&"one-or-more:s1"));
}

#[test]
fn orderings_in_a_circle_end() {
    let both = primitive("a") + &primitive("b");
    let circle =
        "<rsc_order id=\"x\" first=\"a\" then=\"b\"/><rsc_order id=\"y\" first=\"b\" then=\"a\"/>";
    let outcome = decide("", &both, circle, "", &[("a", "h1"), ("b", "h2")]);
    assert_eq!(lines(&outcome), [""; 0]);
}

#[test]
fn a_chain_of_a_thousand_orderings_needs_little_stack() {
    let names: Vec<String> = (0..1000).map(|at| format!("r{at}")).collect();
    let resources: String = names.iter().map(|id| primitive(id)).collect();
    let mut rules =
        String::from("<rsc_location id=\"go\" rsc=\"r0\" node=\"h3\" score=\"INFINITY\"/>");
    for pair in names.windows(2) {
        write!(
            rules,
            "<rsc_order id=\"o{0}\" first=\"{0}\" then=\"{1}\"/>",
            pair[0], pair[1]
        )
        .expect("a string takes all");
    }
    let running: Vec<(&str, &str)> = names.iter().map(|id| (id.as_str(), "h1")).collect();
    let outcome = decide("", &resources, &rules, "", &running);
    let restarted = lines(&outcome)
        .iter()
        .filter(|line| line.starts_with("Restart") || line.starts_with("Move"))
        .count();
    assert_eq!(restarted, 1000);
}

/// The typed causes of an action, by its key in the graph.
fn causes_of(outcome: &Outcome, key: &str, effect: Effect) -> Vec<Cause> {
    let step = outcome.graph.actions().find(|action| action.key == key);
    let number = step.unwrap_or_else(|| panic!("{key} is in the graph")).id;
    let found = outcome.causes.actions.iter();
    found
        .filter(|it| it.action == number)
        .flat_map(|it| it.causes.iter().filter(|it| it.0 == effect))
        .map(|(_, cause)| cause.clone())
        .collect()
}

#[test]
fn fencing_orders_carry_their_cause() {
    let lost = decide("", &primitive("db"), "", "h2", &[("db", "h2")]);
    assert_eq!(
        causes_of(&lost, "stonith-h2-reboot", Effect::Required),
        [Cause::NodeState("peer is no longer part of the cluster")]
    );
    let ticket = "<rsc_ticket id=\"t\" ticket=\"site\" rsc=\"db\" loss-policy=\"fence\"/>";
    let deadman = decide("", &primitive("db"), ticket, "", &[("db", "h2")]);
    assert_eq!(
        causes_of(&deadman, "stonith-h2-reboot", Effect::Required),
        [Cause::Ticket {
            ticket: "site".into(),
            constraint: "t".into()
        }]
    );
}

#[test]
fn every_step_of_a_move_carries_its_cause() {
    let db = "<primitive id=\"db\" class=\"ocf\" provider=\"x\" type=\"D\"><operations><op id=\"db-m\" name=\"monitor\" interval=\"10s\"/></operations></primitive>";
    let go = "<rsc_location id=\"go\" rsc=\"db\" node=\"h3\" score=\"INFINITY\"/>";
    let outcome = decide("", db, go, "", &[("db", "h1")]);
    let (rsc, facts) = (
        outcome.facts.rsc_by_id("db").expect("it is there"),
        &outcome.facts,
    );
    let placed = Cause::Placed {
        rsc,
        from: facts.node_by_name("h1"),
        to: facts.node_by_name("h3"),
    };
    for key in ["db_stop_0", "db_start_0"] {
        assert_eq!(
            causes_of(&outcome, key, Effect::Required),
            std::slice::from_ref(&placed),
            "{key}"
        );
    }
    let operation = Cause::Operation { id: "db-m".into() };
    assert_eq!(
        causes_of(&outcome, "db_monitor_10000", Effect::Required),
        [operation]
    );
}

#[test]
fn no_action_is_without_a_cause() {
    let both = primitive("db") + &primitive("web");
    let rules = "<rsc_order id=\"db-first\" first=\"db\" then=\"web\"/>";
    let outcome = decide("", &both, rules, "h2", &[("db", "h2"), ("web", "h1")]);
    assert!(!outcome.causes.actions.is_empty());
    for action in &outcome.causes.actions {
        let whom = outcome.whom(action.action).expect("it is in the plan");
        let led = outcome.causes.consequences.iter();
        let led = led.clone().any(|it| it.action == action.action);
        assert!(led || !action.causes.is_empty(), "{whom:?} has no cause");
    }
}

#[test]
fn a_node_that_is_configured_twice_is_fenced_once() {
    let twice = "<node id=\"1\" uname=\"h1\"/>".repeat(2);
    let text = format!(
        "<cib validate-with=\"pacemaker-4.0\" have-quorum=\"1\" dc-uuid=\"1\"><configuration><crm_config/><nodes>{twice}</nodes><resources><primitive id=\"fence\" class=\"stonith\" type=\"x\"/></resources><constraints/></configuration><status/></cib>"
    );
    let cib = read::parse(&text, &crate::xml::Limits::default()).expect("well-formed");
    let outcome = schedule(&cib, &Input::at(1_700_000_000));
    let kills = outcome.graph.actions().filter(|action| action.kills_node());
    assert_eq!(kills.count(), 1);
    assert_eq!(crate::graph::check_against(&outcome.graph, &cib), []);
}
