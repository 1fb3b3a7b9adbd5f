//! Findings of small clusters.

use super::*;
use crate::raft::{Member, MemberRole};
use crate::terms::NodeId;
use crate::xml::{Limits, parse};

fn kinds(found: &[Finding]) -> Vec<(&'static str, String)> {
    found
        .iter()
        .map(|it| (it.kind, it.object.clone()))
        .collect()
}

fn has(found: &[Finding], kind: &str, object: &str) -> bool {
    found
        .iter()
        .any(|it| it.kind == kind && it.object == object)
}

fn cib(options: &str, resources: &str, constraints: &str) -> Cib {
    let text = format!(
        "<cib validate-with='pacemaker-4.0' have-quorum='1' dc-uuid='1' admin_epoch='0' epoch='5' num_updates='1'>\
         <configuration><crm_config><cluster_property_set id='o'>{options}</cluster_property_set></crm_config>\
         <nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources>{resources}</resources>\
         <constraints>{constraints}</constraints></configuration><status>\
         <node_state id='1' uname='n1' in_ccm='true' crmd='online' join='member' expected='member'/>\
         <node_state id='2' uname='n2' in_ccm='true' crmd='online' join='member' expected='member'/></status></cib>"
    );
    Cib::new(parse(&text, &Limits::CIB).expect("well-formed"))
}

fn look(cib: &Cib, cluster: Option<&ClusterStatus>, nodes: &[NodeReport]) -> Vec<Finding> {
    let facts = crate::cli::cmd::facts_of(cib);
    examine(&Patient {
        cib,
        facts: &facts,
        cluster,
        nodes,
        now_s: 1_700_000_000,
    })
}

fn member(id: u32) -> Member {
    Member {
        id: NodeId(id),
        name: format!("n{id}").as_str().into(),
        addresses: vec!["192.0.2.1:5405".parse().expect("an address")],
        role: MemberRole::Voter,
        key: String::new(),
    }
}

fn report(name: &str) -> NodeReport {
    NodeReport {
        name: name.into(),
        version: "1".into(),
        certificate_until_s: Some(2_000_000_000),
        guard: true,
        ..NodeReport::default()
    }
}

#[test]
fn what_the_configuration_lacks_and_what_was_left_in_it_is_found() {
    let options = "<nvpair id='f' name='stonith-enabled' value='false'/>\
                   <nvpair id='q' name='no-quorum-policy' value='ignore'/>\
                   <nvpair id='p' name='enable-startup-probes' value='false'/>";
    let db = "<primitive id='db' class='ocf' provider='systole' type='Dummy'/>";
    let constraints = "<rsc_location id='cli-ban-db-on-n2' rsc='db' node='n2' score='-INFINITY'/>\
        <rsc_location id='old' rsc='db'><rule id='r' score='1'>\
        <date_expression id='d' operation='lt' end='2001-01-01'/></rule></rsc_location>";
    let found = look(&cib(options, db, constraints), None, &[]);
    assert!(has(&found, "no-fencing", "stonith-enabled"));
    assert!(has(&found, "quorum-ignored", "no-quorum-policy"));
    assert!(has(&found, "not-probed", "enable-startup-probes"));
    assert!(has(&found, "move-left-behind", "cli-ban-db-on-n2"));
    assert!(has(&found, "expired", "old"));
    assert!(has(&found, "no-monitor", "db"));
    assert_eq!(found[0].severity, Severity::Danger, "the worst comes first");

    let watched = "<primitive id='f' class='stonith' type='x'><operations>\
        <op id='m' name='monitor' interval='60s'/></operations></primitive>";
    let found = look(&cib("", watched, ""), None, &[]);
    assert_eq!(kinds(&found), []);
    let one = watched.replace(
        "<operations>",
        "<instance_attributes id='p'><nvpair id='h' name='pcmk_host_list' value='n1'/></instance_attributes><operations>",
    );
    let found = look(&cib("", &one, ""), None, &[]);
    assert_eq!(kinds(&found), [("not-fenced", "n2".to_owned())]);
}

#[test]
fn what_would_be_lost_with_a_node_and_what_never_moved_is_found() {
    let options = "<nvpair id='f' name='stonith-enabled' value='false'/>";
    let dummy = |id: &str| {
        format!(
            "<primitive id='{id}' class='ocf' provider='systole' type='Dummy'><operations>\
             <op id='{id}-m' name='monitor' interval='10s'/></operations></primitive>"
        )
    };
    let constraints = "<rsc_location id='l' rsc='pinned' node='n2' score='-INFINITY'/>";
    let before = cib(
        options,
        &format!("{}{}", dummy("db"), dummy("pinned")),
        constraints,
    );
    let history = |id: &str| {
        format!(
            "<lrm_resource id='{id}' class='ocf' provider='systole' type='Dummy'>\
             <lrm_rsc_op id='{id}_last_0' operation_key='{id}_start_0' operation='start' call-id='1' rc-code='0' \
             op-status='0' interval='0' transition-key='1:1:0:x' transition-magic='0:0;1:1:0:x' exec-time='1'/></lrm_resource>"
        )
    };
    let mut root = before.root().clone();
    let lrm = format!(
        "<lrm id='1'><lrm_resources>{}{}</lrm_resources></lrm>",
        history("db"),
        history("pinned")
    );
    let lrm = parse(&lrm, &Limits::CIB).expect("well-formed");
    let states = root.child_or_new("status");
    states.children_mut().next().expect("n1").push(lrm);
    let found = look(&Cib::new(root), None, &[]);
    let lost = found.iter().find(|it| it.kind == "single-point");
    let lost = lost.expect("n1 is one");
    assert_eq!(lost.what, "without n1, pinned would be lost");
    assert!(has(&found, "never-failed-over", "db"));
}

#[test]
fn what_machines_say_is_compared() {
    let quiet = cib(
        "",
        "<primitive id='f' class='stonith' type='x'><operations><op id='m' name='monitor' interval='60s'/></operations></primitive>",
        "",
    );
    let cluster = ClusterStatus {
        me: NodeId(1),
        members: vec![member(1), member(2)],
        paths: vec![(NodeId(2), None)],
        ..ClusterStatus::default()
    };
    let with = |agent: Option<&str>, mtu: u64| {
        let mut node = report("n1");
        node.agents
            .insert("ocf:heartbeat:pgsql".into(), agent.map(str::to_owned));
        node.mtus.insert("a".into(), ("eth0".into(), mtu));
        node
    };
    let mut n2 = with(Some("2"), 9000);
    n2.name = "n2".into();
    n2.ahead_ms = -60_000;
    n2.guard = false;
    n2.certificate_until_s = Some(1_700_000_000 + 86_400);
    n2.unresolved = vec!["n1".into()];
    n2.disk_busy_ms = 4_000;
    n2.in_vain = vec!["start db on n1".into()];
    let found = look(&quiet, Some(&cluster), &[with(Some("1"), 1500)]);
    assert!(has(&found, "not-reached", "n2") && has(&found, "one-path", "network"));
    let found = look(&quiet, Some(&cluster), &[with(Some("1"), 1500), n2.clone()]);
    for (kind, object) in [
        ("votes", "quorum"),
        ("clock", "n2"),
        ("no-guard", "n2"),
        ("certificate", "n2"),
        ("disk", "n2"),
        ("in-vain", "n2"),
        ("name", "n2"),
        ("agent-differs", "ocf:heartbeat:pgsql"),
        ("mtu", "network"),
    ] {
        assert!(has(&found, kind, object), "{kind}: {:?}", kinds(&found));
    }
    let clock = found.iter().find(|it| it.kind == "clock").expect("found");
    assert!(clock.what.contains("far behind: 1m"), "{}", clock.what);

    n2.agents.insert("ocf:heartbeat:pgsql".into(), None);
    let silent = NodeReport {
        name: "n3".into(),
        silent: Some("gone".into()),
        ..NodeReport::default()
    };
    let found = look(&quiet, None, &[with(Some("1"), 9000), n2, silent]);
    assert!(has(&found, "agent-missing", "ocf:heartbeat:pgsql"));
    assert!(has(&found, "silent", "n3") && !has(&found, "no-guard", "n3"));
    assert!(!has(&found, "mtu", "network"));
}
