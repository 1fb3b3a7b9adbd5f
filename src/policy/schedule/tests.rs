//! From a CIB as text to the summary as text.

use std::fmt::Write as _;

use super::{Outcome, schedule};
use crate::graph;
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
fn without_startup_probes_only_a_node_that_came_back_is_probed() {
    let probed = |second: &str| {
        let text = format!(
            r#"<cib validate-with="pacemaker-4.0" have-quorum="1"><configuration><crm_config><cluster_property_set id="o">
            <nvpair id="o1" name="stonith-enabled" value="false"/><nvpair id="o2" name="enable-startup-probes" value="false"/>
            </cluster_property_set></crm_config><nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
            <resources>{}</resources><constraints/></configuration><status>
            <node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/>
            <node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member" {second}/></status></cib>"#,
            primitive("db"),
        );
        let cib = read::parse(text.as_bytes(), &read::Limits::default()).expect("well-formed");
        let outcome = schedule(&cib, &Input::at(1_000));
        let probes = outcome
            .graph
            .actions()
            .filter(|it| it.key == "db_monitor_0");
        let on = probes.filter_map(|it| Some(it.node.as_ref()?.name.to_string()));
        on.collect::<Vec<_>>()
    };
    assert!(probed("").is_empty());
    assert_eq!(probed("probe-all=\"true\""), ["n2"]);
    assert!(probed("probe-all=\"false\"").is_empty());
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
fn orderings_that_contradict_each_other_are_named() {
    let orders = "<rsc_order id=\"x\" first=\"a\" then=\"b\"/>\
        <rsc_order id=\"y\" first=\"a\" first-action=\"stop\" then=\"b\" then-action=\"stop\"/>";
    let both = primitive("a") + &primitive("b");
    let lost = decide("", &both, orders, "h1", &[("a", "h1"), ("b", "h1")]);
    let texts: Vec<&str> = lost.warnings.iter().map(|it| &*it.text).collect();
    let circle = texts
        .iter()
        .find(|text| text.contains("waits for the first of these"));
    let circle = circle.unwrap_or_else(|| panic!("nothing is said in {texts:?}"));
    for word in ["a_stop_0", "b_stop_0", "`x`", "`y`"] {
        assert!(circle.contains(word), "{word} is not in {circle}");
    }
    let quiet = decide(
        "",
        &both,
        "<rsc_order id=\"x\" first=\"a\" then=\"b\"/>",
        "h1",
        &[("a", "h1"), ("b", "h1")],
    );
    assert!(quiet.warnings.is_empty(), "{:?}", quiet.warnings);
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

/// The plan for two nodes, n1 with `history`, n2 with `more`; without fencing.
fn on_two_nodes(resources: &str, constraints: &str, history: &str, more: &str) -> Outcome {
    with_a_second_node("", resources, constraints, history, more)
}

/// The same; `second` stands in the definition of n2.
fn with_a_second_node(
    second: &str,
    resources: &str,
    constraints: &str,
    history: &str,
    more: &str,
) -> Outcome {
    let state = |n: u32, inside: &str| {
        format!(
            r#"<node_state id="{n}" uname="n{n}" in_ccm="true" crmd="online" join="member" expected="member">
            <lrm id="{n}"><lrm_resources>{inside}</lrm_resources></lrm></node_state>"#
        )
    };
    let text = format!(
        r#"<cib validate-with="pacemaker-4.0" have-quorum="1"><configuration><crm_config><cluster_property_set id="o">
        <nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
        <nodes><node id="1" uname="n1"/><node id="2" uname="n2">{second}</node></nodes><resources>{resources}</resources>
        <constraints>{constraints}</constraints></configuration><status>{}{}</status></cib>"#,
        state(1, history),
        state(2, more),
    );
    let cib = read::parse(text.as_bytes(), &read::Limits::default()).expect("well-formed");
    schedule(&cib, &Input::at(1_000))
}

/// One result of a resource.
fn row(rsc: &str, task: &str, rc: i32) -> String {
    format!(
        r#"<lrm_resource id="{rsc}" class="ocf" provider="x" type="D"><lrm_rsc_op id="{rsc}_last_0" operation_key="{rsc}_{task}_0"
        operation="{task}" transition-key="1:1:0:u" transition-magic="0:{rc};1:1:0:u" call-id="1" rc-code="{rc}" op-status="0"
        interval="0" op-digest="f2317cad3d54cec5d7d7aa7d0bf35cf8"/></lrm_resource>"#
    )
}

fn keys(outcome: &Outcome) -> Vec<&str> {
    outcome
        .graph
        .actions()
        .map(|action| action.key.as_str())
        .collect()
}

#[test]
fn what_cannot_start_for_a_colocation_is_not_watched_either() {
    let group = format!(
        "<group id=\"g\">{}{}</group>",
        primitive("a"),
        primitive("b")
    );
    let watched = r#"<primitive id="c" class="ocf" provider="x" type="D"><operations><op id="m" name="monitor"
        interval="10s"/></operations></primitive>"#;
    let together = r#"<rsc_colocation id="t" rsc="c" with-rsc="a" score="INFINITY"/>"#;
    let outcome = on_two_nodes(&(group + watched), together, &row("b", "stop", 1), "");
    let blocked = lines(&outcome);
    assert!(
        blocked
            .iter()
            .any(|line| line.starts_with("Start c") && line.ends_with("(blocked)")),
        "{blocked:?}"
    );
    assert!(!keys(&outcome).contains(&"c_monitor_10000"));
    assert_eq!(graph::check(&outcome.graph, None), []);
}

#[test]
fn nothing_is_restarted_after_a_start_that_nobody_makes() {
    let maintenance = r#"<instance_attributes id="i"><nvpair id="i1" name="maintenance" value="true"/></instance_attributes>"#;
    let order = r#"<rsc_order id="x" first="a" then="b"/>"#;
    let both = primitive("a") + &primitive("b");
    // Running twice, it would be stopped and started if nothing of it were on a node in maintenance.
    let twice = |more: &str| {
        let history = row("a", "start", 0) + more;
        with_a_second_node(maintenance, &both, order, &history, &row("a", "start", 0))
    };
    let stopped = twice("");
    assert_eq!(lines(&stopped), ["Start b ( n1 )"]);
    assert_eq!(graph::check(&stopped.graph, None), []);
    assert_eq!(lines(&twice(&row("b", "start", 0))), [""; 0]);
}

#[test]
fn what_is_not_managed_passes_on_what_it_waits_for() {
    let managed = |on: bool| {
        format!(
            r#"<meta_attributes id="m{on}"><nvpair id="n{on}" name="is-managed" value="{on}"/></meta_attributes>"#
        )
    };
    // The clone's own start is a point that nobody reaches.
    let clone = format!(
        r#"<clone id="c">{}<primitive id="a" class="ocf" provider="x" type="D">{}</primitive></clone>"#,
        managed(false),
        managed(true)
    );
    let outcome = on_two_nodes(&clone, "", "", "");
    let waits_for_probe = |synapse: &graph::Synapse| {
        let mut inputs = synapse.inputs.iter();
        inputs.any(|input| {
            let first = outcome.graph.action(*input);
            first.is_some_and(|first| first.task == "monitor")
        })
    };
    let starts: Vec<bool> = outcome
        .graph
        .synapses
        .iter()
        .filter(|synapse| synapse.action.task == "start")
        .map(waits_for_probe)
        .collect();
    assert_eq!(starts, [true, true]);
    assert_eq!(graph::check(&outcome.graph, None), []);
}

#[test]
fn a_probe_that_is_under_way_is_no_changed_definition() {
    let with = |status: i32, rc: i32, call: i32| {
        format!(
            r#"<lrm_resource id="a" class="ocf" provider="x" type="D"><lrm_rsc_op id="a_last_0" operation_key="a_start_0"
            operation="start" transition-key="5:-1:0:u" transition-magic="0:0;5:-1:0:u" call-id="5" rc-code="0" op-status="0"
            interval="0" op-digest="f2317cad3d54cec5d7d7aa7d0bf35cf8"/><lrm_rsc_op id="a_monitor_0" operation_key="a_monitor_0"
            operation="monitor" transition-key="1:1:7:v" transition-magic="{status}:{rc};1:1:7:v" rc-code="{rc}"
            op-status="{status}" call-id="{call}" interval="0"/></lrm_resource>"#
        )
    };
    let probed = row("a", "monitor", 7);
    let under_way = on_two_nodes(&primitive("a"), "", &with(-1, 193, -1), &probed);
    assert_eq!(lines(&under_way), [""; 0]);
    // One that is done, and nobody knows with which parameters, is.
    let done = on_two_nodes(&primitive("a"), "", &with(0, 0, 6), &probed);
    assert_eq!(
        lines(&done),
        ["Restart a ( n1 ) due to resource definition change"]
    );
}

#[test]
fn nothing_waits_until_a_lost_node_forgets_failures() {
    let text = r#"<cib validate-with="pacemaker-4.0" have-quorum="1" dc-uuid="1"><configuration><crm_config/>
        <nodes><node id="1" uname="h1"/><node id="2" uname="h2"/></nodes><resources/><constraints/></configuration><status>
        <node_state id="1" uname="h1" in_ccm="true" expected="member"><transient_attributes id="1"><instance_attributes id="a">
          <nvpair id="f" name="fail-count-gone#monitor_5000" value="1"/></instance_attributes></transient_attributes></node_state>
        <node_state id="2" uname="h2" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="2"><lrm_resources>
          <lrm_resource id="gone" class="ocf" provider="x" type="D"><lrm_rsc_op id="gone_last_0" operation="start"
            call-id="1" rc-code="0" op-status="0" interval="0" transition-key="1:1:0:u"/></lrm_resource>
          <lrm_resource id="fence" class="stonith" type="x"><lrm_rsc_op id="fence_last_0" operation="start"
            call-id="1" rc-code="0" op-status="0" interval="0" transition-key="1:1:0:u"/></lrm_resource>
        </lrm_resources></lrm></node_state></status></cib>"#;
    let cib = read::parse(text, &read::Limits::default()).expect("well-formed");
    let outcome = schedule(&cib, &Input::at(1_700_000_000));
    let keys: Vec<&str> = outcome.graph.actions().map(|a| a.key.as_str()).collect();
    assert!(keys.contains(&"stonith-h1-reboot") && keys.contains(&"gone_stop_0"));
    assert!(!keys.contains(&"gone_clear_failcount_0"));
    let broken = graph::check(&outcome.graph, None);
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn no_container_is_moved_into_a_node_of_its_own_bundle() {
    let row = |id: &str, agent: &str, call: u32| {
        format!(
            r#"<lrm_resource id="{id}" class="ocf" {agent}><lrm_rsc_op id="{id}_last_0" operation="start" call-id="{call}" rc-code="0"
            op-status="0" interval="0" transition-key="1:1:0:u"/></lrm_resource>"#
        )
    };
    let (podman, remote) = (
        r#"provider="heartbeat" type="podman""#,
        r#"provider="pacemaker" type="remote""#,
    );
    let rows = [
        row("b-podman-0", podman, 1),
        row("b-podman-1", podman, 2),
        row("b-0", remote, 3),
        row("b-1", remote, 4),
    ]
    .concat();
    let text = format!(
        r##"<cib validate-with="pacemaker-4.0" have-quorum="1" dc-uuid="1"><configuration><crm_config>
        <cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
        <nodes><node id="1" uname="h1"/></nodes><resources><bundle id="b"><podman image="i" replicas="2" replicas-per-host="2"/>
          <network control-port="9999"/><primitive id="a" class="ocf" provider="x" type="D"/></bundle></resources>
        <constraints><rsc_location id="l" rsc="b"><rule id="r" score="100"><expression id="e" attribute="#uname" operation="ne"
          value="h1"/></rule></rsc_location></constraints></configuration><status>
        <node_state id="1" uname="h1" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources>
          {rows}</lrm_resources></lrm></node_state></status></cib>"##
    );
    let cib = read::parse(&*text, &read::Limits::default()).expect("well-formed");
    let outcome = schedule(&cib, &Input::at(1_700_000_000));
    let place = |id: &str| {
        let container = outcome.facts.rsc_by_id(id).expect("a replica");
        let mut placed = outcome.placed.iter().filter(|(rsc, _)| *rsc == container);
        let (_, place) = placed.next().expect("every primitive has a place, or none");
        place.map(|node| outcome.facts.nodes[node].name.as_str().to_owned())
    };
    // Only one of them finds a place on the one host.
    let places = [place("b-podman-0"), place("b-podman-1")];
    assert_eq!(places, [Some("h1".to_owned()), None]);
    let broken = graph::check(&outcome.graph, None);
    assert!(broken.is_empty(), "{broken:?}");
}
