//! Words that the crm shell has beside those of the configuration.

use super::session_on;

const CIB: &str = r#"<cib crm_feature_set="3.19.0" validate-with="pacemaker-4.0" admin_epoch="0" epoch="1" num_updates="0">
<configuration><crm_config/><nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
<resources><primitive id="a" class="ocf" provider="systole" type="Dummy">
<instance_attributes id="a-params"><nvpair id="a-delay" name="delay" value="1"/></instance_attributes>
<operations><op id="a-mon" name="monitor" interval="10s" timeout="5s"/></operations></primitive></resources>
<constraints/></configuration><status/></cib>"#;

fn said(lines: &[&str]) -> String {
    session_on(CIB, lines)
}

#[test]
fn an_operation_is_traced_and_not_any_more() {
    let on = said(&["resource trace a monitor", "configure show a"]);
    assert!(on.contains("trace_ra=1"), "{on}");
    let off = said(&[
        "resource trace a monitor",
        "resource untrace a monitor",
        "configure show a",
    ]);
    let shown = off.rsplit("$ configure show a").next().unwrap_or_default();
    assert!(
        !shown.contains("trace_ra") && shown.contains("interval=10s"),
        "{off}"
    );
    let never = said(&["resource untrace a"]);
    assert!(never.contains("no operation is traced"), "{never}");
}

#[test]
fn one_thing_is_set_where_it_is() {
    let set = said(&[
        "configure set a.delay 7",
        "configure set a.monitor.timeout 21s",
        "configure monitor a 30s:20s",
        "configure show a",
    ]);
    for part in ["delay=7", "timeout=21s", "interval=30s"] {
        assert!(set.contains(part), "{part}: {set}");
    }
    let wrong = said(&["configure set a.nothing 7", "configure set z.delay 7"]);
    assert!(
        wrong.contains("a has no nothing") && wrong.contains("no object \"z\""),
        "{wrong}"
    );
    let twice = said(&["configure monitor a 10s"]);
    assert!(twice.contains("monitored every 10s already"), "{twice}");
}

#[test]
fn options_are_told_with_their_defaults() {
    let told = said(&[
        "configure get_property no-quorum-policy",
        "maintenance on",
        "configure get_property maintenance-mode",
        "configure schema",
        "node server",
    ]);
    let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with('$')).collect();
    assert_eq!(
        lines,
        ["stop", "true", "pacemaker-4.0", "n1", "n2"],
        "{told}"
    );
}

#[test]
fn a_program_rewrites_objects() {
    let told = said(&["configure filter cat a", "configure show a"]);
    assert!(told.contains("delay=1"), "{told}");
    let told = said(&["configure filter false a", "configure show a"]);
    assert!(
        told.contains("exit code 1") && told.contains("delay=1"),
        "{told}"
    );
}

#[test]
fn what_means_nothing_here_is_answered_with_what_does() {
    for (line, cure) in [
        ("corosync show", "crm cluster status"),
        ("cluster start", "systemctl start"),
        ("script list", "crm -f FILE"),
        ("template new x", "crm configure load"),
        ("cibstatus node n1 offline", "systole simulate"),
        ("options show", "EDITOR"),
        ("configure rsctest a", "crm maintenance action"),
        ("history refresh", "crm report"),
    ] {
        let told = said(&[line]);
        assert!(told.contains(cure), "{line}: {told}");
    }
}

#[test]
fn plans_are_drawn_and_scores_told() {
    let told = said(&["configure graph", "resource scores"]);
    assert!(told.contains("<svg") && told.contains("a"), "{told}");
}

#[test]
fn a_multi_state_resource_is_what_todays_schema_calls_it() {
    let made = said(&["configure ms m a", "configure show m", "resource promote m"]);
    assert!(made.contains("clone m a"), "{made}");
    assert!(
        made.contains("promotable=true") && !made.contains('['),
        "{made}"
    );
    let plain = said(&["resource promote a", "resource demote nothing"]);
    assert!(plain.contains("a is not promotable"), "{plain}");
    assert!(plain.contains("no resource \"nothing\""), "{plain}");
}

#[test]
fn what_can_hardly_be_meant_is_told() {
    let traced = said(&["resource trace a junk", "configure show a"]);
    assert!(
        traced.contains("a has no operation \"junk\"") && !traced.contains("trace_ra"),
        "{traced}"
    );
    let unknown = said(&["resource operations nothing", "history exclude"]);
    assert!(unknown.contains("no resource \"nothing\""), "{unknown}");
    assert!(unknown.contains("nothing is left out"), "{unknown}");
    let names = said(&[
        "configure fencing_topology n1",
        "configure alert al /nothing/there",
    ]);
    assert!(names.contains("no fence device \"n1\""), "{names}");
    assert!(names.contains("no program /nothing/there"), "{names}");
}
