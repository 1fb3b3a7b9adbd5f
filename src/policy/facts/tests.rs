//! CIB fragments in, tables of what is true out.

use std::fmt::Write;

use super::{Facts, Kept, read, read_again};
use crate::policy::Input;
use crate::xml::{self, Limits};

const NOW_S: i64 = 1_700_000_000;

/// A CIB of these sections, with two online nodes unless `status` says otherwise.
fn cib(options: &[(&str, &str)], resources: &str, histories: [&str; 2]) -> String {
    let mut pairs = String::new();
    for (name, value) in options {
        let _ = write!(
            pairs,
            r#"<nvpair id="o-{name}" name="{name}" value="{value}"/>"#
        );
    }
    let state = |n: usize, history: &str| {
        format!(
            r#"<node_state id="{n}" uname="n{n}" in_ccm="true" crmd="online" join="member" expected="member">
               <lrm id="{n}"><lrm_resources>{history}</lrm_resources></lrm></node_state>"#
        )
    };
    format!(
        r#"<cib have-quorum="1" crm_feature_set="3.19.0"><configuration>
        <crm_config><cluster_property_set id="o">{pairs}</cluster_property_set></crm_config>
        <nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
        <resources>{resources}</resources><constraints/></configuration>
        <status>{}{}</status></cib>"#,
        state(1, histories[0]),
        state(2, histories[1]),
    )
}

fn facts_of(text: &str) -> Facts {
    let cib = xml::parse(text, &Limits::default()).expect("the test's CIB is well-formed");
    read(&cib, &Input::at(NOW_S))
}

/// One line per primitive: role, active nodes, marks, scores.
fn table(facts: &Facts) -> String {
    let mut out = String::new();
    for &top in &facts.top {
        for leaf in facts.leaves(top) {
            let it = &facts.rscs[leaf];
            let names = |nodes: &[crate::policy::NodeIdx]| {
                nodes
                    .iter()
                    .map(|&n| facts.nodes[n].name.to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            };
            let _ = write!(out, "{} {:?} [{}]", it.id, it.role, names(&it.active));
            let flags = [
                (it.flags.failed, "failed"),
                (it.flags.stop_required, "stop"),
                (!it.flags.managed, "unmanaged"),
                (it.flags.blocked, "blocked"),
                (it.flags.removed, "removed"),
                (it.flags.start_pending, "starting"),
            ];
            for (_, word) in flags.iter().filter(|(set, _)| *set) {
                let _ = write!(out, " {word}");
            }
            for &node in &facts.node_order {
                if let Some(score) = it.allowed.score(node) {
                    let _ = write!(out, " {}={score}", facts.nodes[node].name);
                }
            }
            out.push('\n');
        }
    }
    out
}

const DB: &str = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"/>"#;

fn op(task: &str, interval_ms: u64, call: u32, rc: u32, target: i32) -> String {
    let status = if i64::from(rc) == i64::from(target) {
        0
    } else {
        4
    };
    format!(
        r#"<lrm_rsc_op id="x_{task}_{interval_ms}_{call}" operation="{task}" operation_key="x_{task}_{interval_ms}"
           interval="{interval_ms}" call-id="{call}" rc-code="{rc}" op-status="{status}"
           transition-key="1:1:{target}:u" last-rc-change="{}"/>"#,
        NOW_S - 100
    )
}

fn entry(id: &str, ops: &[String]) -> String {
    format!(
        r#"<lrm_resource id="{id}" class="ocf" provider="systole" type="Dummy">{}</lrm_resource>"#,
        ops.concat()
    )
}

#[test]
fn a_start_makes_active_and_a_stop_makes_stopped() {
    let started = entry("db", &[op("start", 0, 3, 0, 0)]);
    let stopped = entry("db", &[op("start", 0, 3, 0, 0), op("stop", 0, 4, 0, 0)]);
    let facts = facts_of(&cib(&[], DB, [&started, &stopped]));
    assert_eq!(table(&facts), "db Started [n1] n1=0 n2=0\n");
}

#[test]
fn a_failed_monitor_asks_for_a_stop_and_a_failed_stop_for_fencing() {
    let monitored = entry(
        "db",
        &[op("start", 0, 3, 0, 0), op("monitor", 10_000, 4, 7, 0)],
    );
    let facts = facts_of(&cib(&[], DB, [&monitored, ""]));
    assert_eq!(table(&facts), "db Started [n1] failed stop n1=0 n2=0\n");

    let stuck = entry("db", &[op("start", 0, 3, 0, 0), op("stop", 0, 4, 1, 0)]);
    let facts = facts_of(&cib(&[], DB, [&stuck, ""]));
    assert_eq!(
        table(&facts),
        "db Started [n1] failed stop n1=-INFINITY n2=0\n"
    );
    assert!(facts.nodes[facts.node_order[0]].unclean);

    let facts = facts_of(&cib(&[("fencing-enabled", "false")], DB, [&stuck, ""]));
    assert_eq!(
        table(&facts),
        "db Started [n1] failed unmanaged blocked n1=-INFINITY n2=0\n"
    );
}

#[test]
fn what_has_ended_without_a_number_is_older_than_what_has_one() {
    let watched = op("monitor", 10_000, 9, 0, 0).replace(r#"call-id="9""#, "");
    let stopped = entry("db", &[watched, op("stop", 0, 4, 0, 0)]);
    let facts = facts_of(&cib(&[], DB, [&stopped, ""]));
    assert_eq!(table(&facts), "db Stopped [] n1=0 n2=0\n");
}

#[test]
fn an_instance_goes_by_the_name_under_which_it_is_active() {
    let clone = format!(r#"<clone id="c">{DB}</clone>"#);
    let stopped = entry("db", &[op("stop", 0, 4, 0, 0)]);
    let started = entry("db:0", &[op("start", 0, 3, 0, 0)]);
    let facts = facts_of(&cib(&[], &clone, [&format!("{stopped}{started}"), ""]));
    let db = &facts.rscs[facts.rsc_by_id("db:0").expect("the first instance")];
    assert_eq!((db.active.len(), db.history_id.as_ref()), (1, None));
}

#[test]
fn what_is_not_managed_stays_where_it_is() {
    let started = entry("db", &[op("start", 0, 3, 0, 0)]);
    let facts = facts_of(&cib(&[("maintenance-mode", "true")], DB, [&started, ""]));
    assert_eq!(
        table(&facts),
        "db Started [n1] unmanaged n1=INFINITY n2=0\n"
    );
}

#[test]
fn history_without_configuration_is_a_removed_resource() {
    let started = entry("gone", &[op("start", 0, 3, 0, 0)]);
    let facts = facts_of(&cib(&[], "", [&started, ""]));
    assert_eq!(
        table(&facts),
        "gone Started [n1] removed n1=-INFINITY n2=-INFINITY\n"
    );
}

#[test]
fn instances_are_numbered_as_histories_are_read() {
    let clone = format!(r#"<clone id="c">{DB}</clone>"#);
    let started = entry("db", &[op("start", 0, 3, 0, 0)]);
    let facts = facts_of(&cib(&[], &clone, ["", &started]));
    assert_eq!(
        table(&facts),
        "db:0 Started [n2] n1=0 n2=0\ndb:1 Stopped [] n1=0 n2=0\n"
    );
}

#[test]
fn the_last_block_wins_and_inside_a_block_the_first_pair() {
    let db = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy">
        <meta_attributes id="a"><nvpair id="a1" name="priority" value="1"/></meta_attributes>
        <meta_attributes id="b"><nvpair id="b1" name="priority" value="2"/><nvpair id="b2" name="priority" value="3"/></meta_attributes>
        <meta_attributes id="c" score="-1"><nvpair id="c1" name="priority" value="4"/><nvpair id="c2" name="notify" value="true"/></meta_attributes>
        </primitive>"#;
    let facts = facts_of(&cib(&[], db, ["", ""]));
    let rsc = &facts.rscs[facts.top[0]];
    assert_eq!(rsc.priority.value(), 2);
    assert!(rsc.flags.notify);
}

#[test]
fn a_template_lends_its_operations_unless_they_are_overridden() {
    let resources = r#"<template id="t" class="ocf" provider="systole" type="Dummy"><operations>
            <op id="t1" name="monitor" interval="10s"/><op id="t2" name="start" interval="0" timeout="7s"/>
        </operations></template>
        <primitive id="db" template="t"><operations><op id="p1" name="monitor" interval="20s"/></operations></primitive>"#;
    let facts = facts_of(&cib(&[], resources, ["", ""]));
    let db = facts.top[0];
    let ids: Vec<&str> = facts.rscs[db].ops.iter().map(|op| &*op.id).collect();
    assert_eq!(ids, ["p1", "t2"]);
    assert_eq!(facts.op_meta(db, None, "start", 0).timeout_ms, 7_000);
    assert_eq!(facts.op_meta(db, None, "stop", 0).timeout_ms, 20_000);
}

#[test]
fn failures_count_until_they_expire() {
    let db = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><meta_attributes id="m">
        <nvpair id="m1" name="failure-timeout" value="50s"/></meta_attributes></primitive>"#;
    let text = cib(&[], db, ["", ""]).replacen(
        "<lrm ",
        &format!(
            r#"<transient_attributes id="1"><instance_attributes id="s">
            <nvpair id="s1" name="fail-count-db#monitor_10000" value="2"/>
            <nvpair id="s2" name="fail-count-db#start_0" value="INFINITY"/>
            <nvpair id="s3" name="last-failure-db#monitor_10000" value="{}"/>
            </instance_attributes></transient_attributes><lrm "#,
            NOW_S - 51
        ),
        1,
    );
    let facts = facts_of(&text);
    let (db, node) = (facts.top[0], facts.node_order[0]);
    let mut off = super::TimeoutsOff::new();
    let mut count = |effective| {
        let query = super::FailQuery {
            effective,
            launched: true,
        };
        facts
            .fail_count(&mut off, db, node, query)
            .count
            .to_string()
    };
    assert_eq!((count(false), count(true)), ("INFINITY".into(), "0".into()));
}

#[test]
fn a_count_that_will_be_cleared_says_when() {
    let db = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><meta_attributes id="m">
        <nvpair id="m1" name="failure-timeout" value="50s"/></meta_attributes></primitive>"#;
    // A probe has failed after what was counted, which alone is too old by now.
    let history = format!(
        r#"<lrm_resource id="db" class="ocf" provider="systole" type="Dummy"><lrm_rsc_op id="db_last_failure_0"
        operation="monitor" operation_key="db_monitor_0" call-id="7" rc-code="0" op-status="0" interval="0"
        transition-key="6:8:7:0" transition-magic="0:0;6:8:7:0" last-rc-change="{}"/></lrm_resource>"#,
        NOW_S - 20
    );
    let counted = format!(
        r#"<transient_attributes id="1"><instance_attributes id="s">
        <nvpair id="s1" name="fail-count-db#monitor_10000" value="1"/>
        <nvpair id="s2" name="last-failure-db#monitor_10000" value="{}"/>
        </instance_attributes></transient_attributes><lrm "#,
        NOW_S - 60
    );
    let text = cib(&[], db, [&history, ""]);
    let cleared = |facts: &Facts| facts.clears_failcount(facts.top[0], facts.node_order[0]);
    let facts = facts_of(&text.replacen("<lrm ", &counted, 1));
    assert!(!cleared(&facts));
    let at_s = facts
        .recheck_by()
        .expect("time alone will change something");
    assert_eq!(at_s, NOW_S + 30);
    let cib = xml::parse(text.replacen("<lrm ", &counted, 1), &Limits::default());
    let later = read(&cib.expect("well-formed"), &Input::at(at_s));
    assert!(cleared(&later));
    // Nothing is counted, and nothing will change.
    assert_eq!(facts_of(&text).recheck_by(), None);
}

#[test]
fn a_bundle_is_containers_addresses_connections_and_instances() {
    let bundle = format!(
        r#"<bundle id="b"><docker image="i" replicas="2"/><network ip-range-start="10.0.0.253" control-port="3200"/>{DB}</bundle>"#
    );
    let facts = facts_of(&cib(&[], &bundle, ["", ""]));
    let ids: Vec<String> = facts
        .descend(facts.top[0])
        .iter()
        .map(|&at| facts.rscs[at].id.to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "b",
            "b-docker-0",
            "b-ip-10.0.0.253",
            "b-0",
            "b-docker-1",
            "b-ip-10.0.0.254",
            "b-1",
            "b-clone",
            "db:0",
            "db:1"
        ]
    );
    let container = facts.rsc_by_id("b-docker-1").expect("made");
    assert_eq!(
        facts.params(container, None).get("run_opts"),
        Some(
            " --restart=no -h b-1 -e PCMK_stderr=1 -e PCMK_remote_port=3200 \
             -v /etc/pacemaker/authkey:/etc/pacemaker/authkey -v /var/log/pacemaker/bundles/b-1:/var/log \
             -p 10.0.0.254:3200:3200  --add-host=b-0:10.0.0.253 --add-host=b-1:10.0.0.254"
        )
    );
    assert_eq!(facts.nodes.len(), 4);
}

#[test]
fn a_lost_node_is_unclean_and_a_node_never_seen_too() {
    let text = cib(&[], DB, ["", ""]).replacen(
        r#"in_ccm="true" crmd="online""#,
        r#"in_ccm="false" crmd="offline""#,
        1,
    );
    let facts = facts_of(&text);
    let reasons: Vec<String> = facts
        .wishes
        .iter()
        .filter_map(|wish| match wish {
            super::Wish::Fence {
                reason,
                priority_delay,
                ..
            } => Some(format!("{reason} {priority_delay}")),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["peer is no longer part of the cluster true"]);

    let text = cib(&[], DB, ["", ""]).replace(
        r#"<node id="2" uname="n2"/>"#,
        r#"<node id="2" uname="n2"/><node id="3" uname="n3"/>"#,
    );
    let facts = facts_of(&text);
    let third = facts.node_by_name("n3").expect("configured");
    assert!(facts.nodes[third].unclean && !facts.nodes[third].online);
}

#[test]
fn rules_see_the_time_and_say_when_to_look_again() {
    let db = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy">
        <meta_attributes id="m"><rule id="r" boolean-op="and"><date_expression id="d" operation="in_range"
            start="2023-11-14 22:00:00Z" end="2023-11-14 23:00:00Z"/></rule>
            <nvpair id="m1" name="target-role" value="Stopped"/></meta_attributes></primitive>"#;
    let facts = facts_of(&cib(&[], db, ["", ""]));
    assert_eq!(
        facts.rscs[facts.top[0]].target_role,
        Some(crate::terms::Role::Stopped)
    );
    assert_eq!(facts.recheck_by(), Some(1_700_002_801));
    assert_eq!(facts.counts.disabled, 1);
}

/// A configuration that is read anew each time, since a rule in it looks at the time, so that only definitions are kept.
fn with_a_rule(op_defaults: &str, resources: &str) -> crate::xml::Element {
    let rule = r#"<rule id="r" score="0"><date_expression id="d" operation="gt" start="2000-01-01"/></rule>"#;
    let text = cib(&[], resources, [""; 2])
        .replace(r#"<nodes>"#, &format!(r#"{op_defaults}<nodes>"#))
        .replace(
            "</crm_config>",
            &format!(
                r#"<cluster_property_set id="timed">{rule}</cluster_property_set></crm_config>"#
            ),
        );
    xml::parse(&text, &Limits::default()).expect("the test's CIB is well-formed")
}

#[test]
fn a_member_that_is_left_out_is_warned_of_each_time() {
    let group = r#"<group id="g"><primitive id="a" class="ocf" provider="systole" type="Dummy"/>
        <primitive id="b" class="ocf" provider="systole"/></group>"#;
    let cib = with_a_rule("", group);
    let mut kept = Kept::default();
    let input = Input::at(NOW_S);
    let first = read_again(&cib, &input, &mut kept).warnings;
    assert!(
        first
            .iter()
            .any(|it| it.text.contains("`b` names no agent")),
        "{first:?}"
    );
    assert_eq!(read_again(&cib, &input, &mut kept).warnings, first);
}

#[test]
fn defaults_that_refer_to_what_changed_are_read_again() {
    let defaults = r#"<op_defaults><meta_attributes id-ref="shared"/></op_defaults>"#;
    let plain = r#"<primitive id="b" class="ocf" provider="systole" type="Dummy"/>"#;
    let lender = r#"<primitive id="a" class="ocf" provider="systole" type="Dummy"><meta_attributes id="shared">
        <nvpair id="t" name="timeout" value="7s"/></meta_attributes></primitive>"#;
    let mut cib = with_a_rule(defaults, &format!("{plain}{lender}"));
    let mut kept = Kept::default();
    let input = Input::at(NOW_S);
    let timeout_ms = |facts: &Facts| {
        let rsc = facts.rsc_by_id("b").expect("b is configured");
        facts.op_meta(rsc, None, "start", 0).timeout_ms
    };
    assert_eq!(timeout_ms(&read_again(&cib, &input, &mut kept)), 7_000);
    let pair = ["configuration", "resources"]
        .into_iter()
        .try_fold(&mut cib, |at, tag| at.child_mut(tag))
        .and_then(|resources| resources.children_mut().last())
        .and_then(|lender| lender.child_mut("meta_attributes")?.child_mut("nvpair"))
        .expect("where the timeout stands");
    pair.set("value", "9s");
    assert_eq!(timeout_ms(&read_again(&cib, &input, &mut kept)), 9_000);
}

#[test]
fn a_name_stands_for_one_resource() {
    let guest = |id: &str| {
        format!(
            r#"<primitive id="{id}" class="ocf" provider="systole" type="Dummy"><meta_attributes id="{id}-m">
            <nvpair id="{id}-n" name="remote-node" value="guest"/></meta_attributes></primitive>"#
        )
    };
    let group = |id: &str| format!(r#"<group id="{id}">{DB}</group>"#);
    let facts = facts_of(&cib(
        &[],
        &(DB.to_owned() + &group("g") + &guest("vm1") + &guest("vm2")),
        [""; 2],
    ));
    let ids: Vec<&str> = facts
        .top
        .iter()
        .map(|at| facts.rscs[*at].id.as_str())
        .collect();
    assert_eq!(ids, ["db", "vm1", "vm2", "guest"]);
    let launcher = facts
        .rsc_by_id("guest")
        .and_then(|at| facts.rscs[at].launcher);
    assert_eq!(launcher, facts.rsc_by_id("vm1"));
    let texts: Vec<&str> = facts.warnings.iter().map(|it| &*it.text).collect();
    for said in [
        "`g` has the id `db` of another resource in it: give one of the two another id",
        "`vm2` names the guest node `guest`, but there is a resource of that name: give it another remote-node",
    ] {
        assert!(texts.contains(&said), "{said}: {texts:?}");
    }
}

#[test]
fn a_monitor_after_the_start_is_newer_whatever_node_the_two_name() {
    let watched = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><operations>
        <op id="m" name="monitor" interval="10s"/></operations></primitive>"#;
    let rows = [op("start", 0, 1, 0, 0), op("monitor", 10_000, 2, 0, 0)];
    let ways = ["", r#"on_node="n1""#, r#"on_node="n9""#];
    for (first, second) in ways.iter().flat_map(|one| ways.map(|two| (*one, two))) {
        let rows: Vec<String> = rows
            .iter()
            .zip([first, second])
            .map(|(row, named)| row.replacen("<lrm_rsc_op", &format!("<lrm_rsc_op {named}"), 1))
            .collect();
        let facts = facts_of(&cib(&[], watched, [&entry("db", &rows), ""]));
        let recorded = facts.history.at(0).recorded;
        let tasks: Vec<&str> = recorded.ops.iter().map(|op| &*op.task).collect();
        assert_eq!(tasks, ["start", "monitor"], "{first} {second}");
        assert_eq!(recorded.start_index, 0, "{first} {second}");
    }
}

#[test]
fn a_monitor_that_watches_for_absence_lifts_no_standby() {
    let watched = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><operations>
        <op id="m1" name="monitor" interval="10s" on-fail="standby"/><op id="m2" name="monitor" interval="25s" role="Stopped"/>
        </operations></primitive>"#;
    let mut rows = vec![
        op("start", 0, 1, 0, 0),
        op("monitor", 10_000, 2, 9, 0),
        op("stop", 0, 3, 0, 0),
    ];
    let in_standby = |rows: &[String]| {
        let facts = facts_of(&cib(&[], watched, [&entry("db", rows), ""]));
        let node = facts.node_by_name("n1").expect("n1 is configured");
        facts.nodes[node].standby
    };
    assert!(in_standby(&rows));
    rows.push(op("monitor", 25_000, 4, 7, 7));
    assert!(in_standby(&rows));
    // A probe means that somebody forgot the failure.
    rows.push(op("monitor", 0, 5, 7, 7));
    assert!(!in_standby(&rows));
}

#[test]
fn a_bundle_that_is_left_out_leaves_its_nodes_to_the_first_of_that_name() {
    let bundle = |id: &str, inner: &str| {
        format!(
            r#"<bundle id="{id}"><podman image="i" replicas="1"/><network control-port="9999"/>
            <primitive id="{inner}" class="ocf" provider="systole" type="Dummy"/></bundle>"#
        )
    };
    let text = cib(
        &[],
        &(bundle("b", "db") + &bundle("b", "web") + DB),
        [""; 2],
    );
    let facts = facts_of(&text);
    let ids: Vec<&str> = facts
        .top
        .iter()
        .map(|at| facts.rscs[*at].id.as_str())
        .collect();
    assert_eq!(ids, ["b"]);
    let node = facts.node_by_name("b-0").expect("the bundle's node");
    let connection = facts.nodes[node].connection.expect("it is reached");
    assert_eq!(facts.root_of(connection), facts.top[0]);
}

#[test]
fn a_mistyped_number_of_instances_does_not_take_all_memory() {
    let primitive =
        |id: &str| format!(r#"<primitive id="{id}" class="ocf" provider="x" type="D"/>"#);
    let resources = format!(
        r#"<clone id="c"><meta_attributes id="m"><nvpair id="m1" name="clone-max" value="4000000000"/></meta_attributes>{}</clone>
        <clone id="few"><meta_attributes id="n"><nvpair id="n1" name="clone-max" value="999"/></meta_attributes>{}</clone>
        <bundle id="b"><podman image="i" replicas="2000000000"/><network control-port="9999"/>{}</bundle>"#,
        primitive("a"),
        primitive("f"),
        primitive("d")
    );
    let facts = facts_of(&cib(&[], &resources, [""; 2]));
    let instances = |id: &str| {
        let of = facts.rsc_by_id(id).expect("configured");
        facts.rscs[of].children.len()
    };
    assert_eq!([instances("c"), instances("few")], [1_000, 999]);
    let bundle = facts.rsc_by_id("b").expect("configured");
    assert_eq!(
        facts.rscs[bundle].bundle().map(|it| it.replicas.len()),
        Some(1_000)
    );
    let texts: Vec<&str> = facts.warnings.iter().map(|it| &*it.text).collect();
    assert_eq!(
        texts,
        [
            "`c` has clone-max=4000000000, of which 1000 are made: set clone-max to how many there should be",
            "`b` has replicas=2000000000, of which 1000 are made: set replicas to how many there should be",
        ]
    );
}
