//! What `crm explain` says of small clusters.

use std::fmt::Write as _;

use super::session_on;
use crate::cli::saved;
use crate::xml::{Limits, parse};

/// Three nodes with a fence device on h1; where each resource was started, and where it is known not to run.
#[derive(Default)]
struct Cluster<'a> {
    options: &'a str,
    resources: &'a str,
    constraints: &'a str,
    /// In the configuration of h3.
    h3: &'a str,
    /// In the status of h1.
    h1_transient: &'a str,
    h1_history: &'a str,
    lost: &'a str,
    no_quorum: bool,
    running: &'a [(&'a str, &'a str)],
}

/// The digest of no parameters.
const DIGEST: &str = "f2317cad3d54cec5d7d7aa7d0bf35cf8";

impl Cluster<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            r#"<cib validate-with="pacemaker-4.0" have-quorum="{}" dc-uuid="1" admin_epoch="0" epoch="5" num_updates="1" execution-date="1700000000"><configuration><crm_config><cluster_property_set id="o">{}</cluster_property_set></crm_config><nodes><node id="1" uname="h1"/><node id="2" uname="h2"/><node id="3" uname="h3">{}</node></nodes><resources><primitive id="fence" class="stonith" type="x"/>{}</resources><constraints>{}</constraints></configuration><status>"#,
            u8::from(!self.no_quorum),
            self.options,
            self.h3,
            self.resources,
            self.constraints
        );
        for (at, node) in ["h1", "h2", "h3"].into_iter().enumerate() {
            let id = at + 1;
            let (member, daemon) = if node == self.lost {
                ("false", "offline")
            } else {
                ("true", "online")
            };
            write!(text, r#"<node_state id="{id}" uname="{node}" in_ccm="{member}" crmd="{daemon}" join="member" expected="member">"#).expect("a string takes all");
            if node == "h1" {
                text.push_str(self.h1_transient);
            }
            write!(text, r#"<lrm id="{id}"><lrm_resources>"#).expect("a string takes all");
            let mut all: Vec<&str> = self.running.iter().map(|(rsc, _)| *rsc).collect();
            all.push("fence");
            all.dedup();
            for rsc in all {
                let at = if rsc == "fence" {
                    &("fence", "h1")
                } else {
                    &(rsc, node)
                };
                let runs =
                    (rsc == "fence" && node == "h1") || self.running.contains(at) && rsc != "fence";
                let (task, rc) = if runs { ("start", 0) } else { ("monitor", 7) };
                let agent = if rsc == "fence" {
                    r#"class="stonith" type="x""#
                } else {
                    r#"class="ocf" provider="systole" type="Dummy""#
                };
                write!(text, r#"<lrm_resource id="{rsc}" {agent}><lrm_rsc_op id="{rsc}_last_0" operation_key="{rsc}_{task}_0" operation="{task}" transition-key="1:1:{rc}:u" transition-magic="0:{rc};1:1:{rc}:u" call-id="1" rc-code="{rc}" op-status="0" interval="0" op-digest="{DIGEST}"/>"#).expect("a string takes all");
                if node == "h1" && rsc == "db" {
                    text.push_str(self.h1_history);
                }
                text.push_str("</lrm_resource>");
            }
            text.push_str("</lrm_resources></lrm></node_state>");
        }
        text + "</status></cib>"
    }

    fn says(&self, lines: &[&str]) -> String {
        session_on(&self.text(), lines)
    }
}

const DB: &str = r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><meta_attributes id="db-m"><nvpair id="db-mt" name="migration-threshold" value="3"/></meta_attributes><operations><op id="db-mon" name="monitor" interval="10s" timeout="20s"/></operations></primitive>"#;
const WEB: &str = r#"<primitive id="web" class="ocf" provider="systole" type="Dummy"/>"#;
const STANDBY: &str = r#"<instance_attributes id="h3-i"><nvpair id="h3-s" name="standby" value="on"/></instance_attributes>"#;
const THREE_FAILURES: &str = r#"<transient_attributes id="1"><instance_attributes id="s1"><nvpair id="s1-1" name="fail-count-db#monitor_10000" value="3"/><nvpair id="s1-2" name="last-failure-db#monitor_10000" value="1699999900"/></instance_attributes></transient_attributes>"#;

#[test]
fn a_resource_that_stays_and_why_not_elsewhere() {
    let cluster = Cluster {
        resources: DB,
        constraints: r#"<rsc_location id="cli-prefer-db" rsc="db" node="h2" score="1000"/>"#,
        h3: STANDBY,
        h1_transient: THREE_FAILURES,
        running: &[("db", "h2")],
        ..Cluster::default()
    };
    insta::assert_snapshot!(cluster.says(&[
        "explain db",
        "explain db --node h1",
        "explain node h1",
        "explain node h3",
        "explain db --json",
        "explain dbb",
        "explain node h9",
        "explain db --node h9",
        "explain",
        "explain db --transition 7",
        "explain --transition nowhere/pe-input-1.bz2",
    ]));
}

#[test]
fn the_smallest_score_that_moves_it_was_tried() {
    let cluster = Cluster {
        resources: DB,
        constraints: r#"<rsc_location id="near" rsc="db" node="h2" score="70"/><rsc_location id="far" rsc="db" node="h1" score="-30"/>"#,
        running: &[("db", "h2")],
        ..Cluster::default()
    };
    let said = cluster.says(&["explain db"]);
    insta::assert_snapshot!(said);
    // One less would not do.
    let less = said
        .lines()
        .find(|line| line.contains("configure location db-on-h1"));
    let words: Vec<&str> = less
        .expect("a score is proposed")
        .split_whitespace()
        .collect();
    let score: i64 = words[5].trim_end_matches(':').parse().expect("a number");
    for (score, moves) in [(score, true), (score - 1, false)] {
        let command = format!("configure location l db {score}: h1");
        let said = cluster.says(&[&command, "explain db"]);
        assert_eq!(
            said.contains("will be moved to h1"),
            moves,
            "{score}: {said}"
        );
    }
}

#[test]
fn a_lost_node_and_what_follows() {
    let cluster = Cluster {
        resources: &format!("{DB}{WEB}"),
        constraints: r#"<rsc_colocation id="web-with-db" rsc="web" with-rsc="db" score="INFINITY"/><rsc_order id="db-first" first="db" then="web"/>"#,
        h3: STANDBY,
        lost: "h2",
        running: &[("db", "h2"), ("web", "h2")],
        ..Cluster::default()
    };
    insta::assert_snapshot!(cluster.says(&[
        "explain web",
        "explain node h2",
        "explain --transition",
        "explain --transition --json",
    ]));
}

#[test]
fn a_node_that_is_away() {
    let cluster = Cluster {
        options: r#"<nvpair id="o-f" name="fencing-enabled" value="false"/>"#,
        resources: DB,
        lost: "h2",
        running: &[("db", "h1")],
        ..Cluster::default()
    };
    let mut text = cluster.text();
    let mut said = super::session_on(&text, &["explain node h2"]);
    for more in [
        r#"incarnation="7""#,
        r#"incarnation="7" fenced-incarnation="7" proof="fence" expected="down""#,
        r#"incarnation="8" fenced-incarnation="7" proof="fence""#,
    ] {
        text = cluster.text().replace(
            "uname=\"h2\" in_ccm",
            &format!("uname=\"h2\" {more} in_ccm"),
        );
        if more.contains("expected") {
            text = text.replace(
                r#"expected="down" in_ccm="false" crmd="offline" join="member" expected="member""#,
                r#"expected="down" in_ccm="false" crmd="offline" join="down""#,
            );
        }
        said += &super::session_on(&text, &["explain node h2"]);
    }
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("h2 "))
        .collect();
    assert_eq!(
        lines,
        [
            "h2 is offline: it is away, and not expected. It runs nothing.",
            "h2 is offline: its lease has run out, so it has stopped what it ran by itself (proof: lease). It runs nothing.",
            "h2 is offline: its loss is proven by fence. It runs nothing.",
            "h2 is offline: its lease has run out, so it has stopped what it ran by itself (proof: lease). It runs nothing.",
        ]
    );
}

#[test]
fn who_is_promoted_and_who_is_not() {
    let cluster = Cluster {
        resources: r#"<clone id="s-clone"><meta_attributes id="s-c"><nvpair id="s-p" name="promotable" value="true"/></meta_attributes><primitive id="s" class="ocf" provider="systole" type="Dummy"/></clone>"#,
        h1_transient: r#"<transient_attributes id="1"><instance_attributes id="s1"><nvpair id="s1-1" name="master-s" value="5"/></instance_attributes></transient_attributes>"#,
        h3: STANDBY,
        ..Cluster::default()
    };
    let said = cluster.says(&["explain s-clone"]);
    // What is in the clone is asked for by its own id, too.
    let inside = cluster.says(&["explain s"]);
    assert_eq!(inside.replace("explain s\n", "explain s-clone\n"), said);
    insta::assert_snapshot!(said);
}

#[test]
fn without_a_fence_device_nothing_is_done_and_that_is_said() {
    let cluster = Cluster {
        resources: DB,
        ..Cluster::default()
    };
    // What was the device is an ordinary resource now.
    let agent = r#"class="ocf" provider="systole" type="Dummy""#;
    let text = cluster.text().replace(r#"class="stonith" type="x""#, agent);
    let said = session_on(&text, &["explain db"]);
    assert!(
        said.contains("db does not run, and the cluster leaves everything alone: fencing is on, but there is no fence device (`crm configure primitive"),
        "{said}"
    );
}

#[test]
fn a_failure_that_blocks() {
    let cluster = Cluster {
        resources: r#"<primitive id="db" class="ocf" provider="systole" type="Dummy"><operations><op id="db-mon" name="monitor" interval="10s" on-fail="block"/></operations></primitive>"#,
        h1_history: r#"<lrm_rsc_op id="db_last_failure_0" operation_key="db_monitor_10000" operation="monitor" transition-key="2:1:0:u" transition-magic="0:1;2:1:0:u" call-id="2" rc-code="1" op-status="0" interval="10000" last-rc-change="1699999900"/>"#,
        running: &[("db", "h1")],
        ..Cluster::default()
    };
    insta::assert_snapshot!(cluster.says(&["explain db", "explain node h1"]));
}

#[test]
fn what_is_told_to_stop_and_what_has_no_quorum() {
    let stopped = Cluster {
        resources: r#"<group id="g"><meta_attributes id="g-m"><nvpair id="g-t" name="target-role" value="Stopped"/></meta_attributes><primitive id="a" class="ocf" provider="systole" type="Dummy"/></group>"#,
        ..Cluster::default()
    };
    let alone = Cluster {
        resources: DB,
        no_quorum: true,
        running: &[("db", "h1")],
        ..Cluster::default()
    };
    let said = stopped.says(&["explain g"]) + &alone.says(&["explain db", "explain --transition"]);
    insta::assert_snapshot!(said);
}

#[test]
fn a_saved_transition_is_explained_as_it_was() {
    let cluster = Cluster {
        resources: DB,
        ..Cluster::default()
    };
    let cib = parse(cluster.text(), &Limits::CIB).expect("it is XML");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pe-input-7.bz2");
    std::fs::write(
        &file,
        saved::pack(&cib, 3, 1_600_000_000).expect("memory takes all"),
    )
    .expect("a file");
    let shown = file.display().to_string();
    let said = session_on("<cib/>", &[&format!("explain --transition {shown}")]);
    insta::assert_snapshot!(said.replace(&shown, "FILE"));
}
