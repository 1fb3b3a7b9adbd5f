//! Resources: made, changed, moved, failed, grouped, cloned, and their defaults.

use std::time::Duration;

use super::{gone, has_all, on, one_promoted};
use crate::session::*;

pub(super) fn agents(s: &mut Session<'_>) {
    s.step("resource standards", prints(&["ocf", "systemd"]));
    s.step("resource providers", prints(&["systole"]));
    s.step(
        "resource agents ocf:systole",
        prints(&["Dummy", "IPaddr2", "Stateful"]),
    );
    s.step(
        "resource list ocf:systole",
        prints(&["ocf:systole:IPaddr2 - Virtual IPv4 and IPv6 addresses"]),
    );
    s.step(
        "resource describe ocf:systole:Dummy",
        prints(&[
            "Resource options:",
            "fake:",
            "Default operations:",
            "monitor:",
        ]),
    );
    s.step(
        "stonith list fence_h",
        prints(&["fence_hook - Fencing by a program of yours"]),
    );
    s.step(
        "stonith describe fence_hook",
        prints(&["hook", "pcmk_host_list"]),
    );
}

pub(super) fn resources(s: &mut Session<'_>) {
    s.step(
        "resource create d1 ocf:systole:Dummy fake=7 op monitor interval=5s timeout=11s meta priority=3 --wait=30",
        |stage, ran| {
            has_all(&[
                "//primitive[@id='d1']/instance_attributes/nvpair[@name='fake' and @value='7']",
                "//primitive[@id='d1']/operations/op[@name='monitor' and @interval='5s' and @timeout='11s']",
                "//primitive[@id='d1']/meta_attributes/nvpair[@name='priority' and @value='3']",
            ])(stage, ran)?;
            says(&ran.text(), &["resource 'd1' is running on node"])?;
            runs("d1", 1)(stage, ran)
        },
    );
    s.refused("resource create d1 ocf:systole:Dummy", |stage, ran| {
        says(&ran.err, &["d1", "already exists"])?;
        has("//primitive[@id='d1']")(stage, ran)
    });
    s.refused("resource create x ocf:systole:Nothing", |stage, ran| {
        says(&ran.err, &["ocf:systole:Nothing"])?;
        gone("//primitive[@id='x']")(stage, ran)
    });
    s.step(
        "resource status",
        prints(&["d1", "(ocf:systole:Dummy)", "Started host"]),
    );
    s.step(
        "resource update d1 fake=8 op monitor interval=5s timeout=12s",
        has_all(&[
            "//primitive[@id='d1']/instance_attributes/nvpair[@name='fake' and @value='8']",
            "//primitive[@id='d1']/operations/op[@name='monitor' and @timeout='12s']",
        ]),
    );
    s.step(
        "resource op add d1 monitor interval=17s timeout=9s OCF_CHECK_LEVEL=10",
        has(
            "//primitive[@id='d1']/operations/op[@interval='17s']//nvpair[@name='OCF_CHECK_LEVEL']",
        ),
    );
    s.step(
        "resource op remove d1-monitor-interval-17s",
        gone("//primitive[@id='d1']/operations/op[@interval='17s']"),
    );
    s.step(
        "resource meta d1 priority=5",
        has("//primitive[@id='d1']/meta_attributes/nvpair[@name='priority' and @value='5']"),
    );
    s.step(
        "resource utilization d1 cpu=2",
        has("//primitive[@id='d1']/utilization/nvpair[@name='cpu' and @value='2']"),
    );
    s.step("resource utilization", prints(&["d1: cpu=2"]));
    s.step(
        "resource config d1",
        prints(&[
            "Resource: d1 (class=ocf provider=systole type=Dummy)",
            "fake=8",
            "priority=5",
        ]),
    );
    s.step("resource config d1 --output-format=json", |_, ran| {
        let read: serde_json::Value = serde_json::from_str(&ran.out).map_err(|e| e.to_string())?;
        let kind = &read["primitives"][0]["agent_name"]["type"];
        that(kind == "Dummy", format!("the agent is {kind}"))
    });
    s.step(
        "resource config --output-format=cmd",
        prints(&["pcs resource create --no-default-ops --force -- d1 ocf:systole:Dummy"]),
    );
}

pub(super) fn where_they_run(s: &mut Session<'_>) {
    s.step("resource disable d1 --wait=30", runs("d1", 0));
    s.step("resource enable d1 --wait=30", runs("d1", 1));
    s.step("resource move d1 host3 --wait=30", |stage, ran| {
        on("d1", &["host3"])(stage, ran)?;
        // It is only there to move it, and gone at once.
        gone("//rsc_location[@rsc='d1']")(stage, ran)
    });
    s.step("resource ban d1 host3 --wait=30", |stage, ran| {
        has("//rsc_location[@rsc='d1' and @node='host3' and @score='-INFINITY']")(stage, ran)?;
        stage.settle();
        let found = stage.runs_on("d1");
        that(
            found.len() == 1 && found != ["host3"],
            format!("d1 runs on {found:?}"),
        )
    });
    s.step("resource clear d1", gone("//rsc_location[@rsc='d1']"));
    s.step(
        "resource move-with-constraint d1 host2 --wait=30",
        |stage, ran| {
            has("//rsc_location[@rsc='d1' and @role='Started']")(stage, ran)?;
            on("d1", &["host2"])(stage, ran)
        },
    );
    s.step(
        "resource ban d1 host1 lifetime=PT1H",
        has("//rsc_location[@rsc='d1']/rule/date_expression[@operation='lt']"),
    );
    s.step("resource clear d1 host2", has("//rsc_location[@rsc='d1']"));
    s.step("resource clear d1", gone("//rsc_location[@rsc='d1']"));
    s.step("resource restart d1", |stage, ran| {
        says(&ran.text(), &["d1 successfully restarted"])?;
        gone("//primitive[@id='d1']/meta_attributes/nvpair[@name='target-role']")(stage, ran)?;
        runs("d1", 1)(stage, ran)
    });
    s.step(
        "resource unmanage d1 --monitor",
        has_all(&[
            "//primitive[@id='d1']/meta_attributes/nvpair[@name='is-managed' and @value='false']",
            "//primitive[@id='d1']/operations/op[@name='monitor' and @enabled='false']",
        ]),
    );
    s.step("resource manage d1 --monitor", |stage, ran| {
        gone("//primitive[@id='d1']/operations/op[@enabled='false']")(stage, ran)?;
        gone("//primitive[@id='d1']/meta_attributes/nvpair[@name='is-managed']")(stage, ran)
    });
    s.step("resource disable d1 --simulate", |stage, ran| {
        says(&ran.out, &["Stop", "d1"])?;
        runs("d1", 1)(stage, ran)
    });
}

const FAILED: &str = "//status//nvpair[@name='fail-count-d1#monitor_5000']";

pub(super) fn failures(s: &mut Session<'_>) {
    // Refused where it is there already; what follows is done on host1.
    s.shell(
        "$C resource move d1 host1 --wait=30 || true",
        on("d1", &["host1"]),
    );
    s.step("resource debug-monitor d1", prints(&["returned 0"]));
    // The agent is run here behind the cluster's back, which finds the resource stopped.
    s.step("resource debug-stop d1", |stage, ran| {
        says(&ran.out, &["returned 0"])?;
        let counted = stage.until(Duration::from_secs(20), || stage.count(FAILED) == 1);
        that(counted, "the cluster did not find it stopped")?;
        runs("d1", 1)(stage, ran)
    });
    s.step(
        "resource failcount show d1",
        prints(&["Failcounts for resource 'd1'", "host1: 1"]),
    );
    s.step("resource cleanup d1", |stage, ran| {
        let clean = stage.until(Duration::from_secs(10), || stage.count(FAILED) == 0);
        that(clean, "it is still counted")?;
        runs("d1", 1)(stage, ran)
    });
    s.step(
        "resource failcount show d1",
        prints(&["No failcounts for resource 'd1'"]),
    );
    s.step("resource refresh d1", runs("d1", 1));
    // What some operators do before they call pcs.
    s.shell(
        "crm_resource --fail -r d1 -N host1 && sleep 1 && $C resource failcount show d1",
        |stage, ran| {
            says(&ran.out, &["host1: 1"])?;
            runs("d1", 1)(stage, ran)
        },
    );
    s.step("resource cleanup d1", |stage, _| {
        let counted = "//status//nvpair[starts-with(@name, 'fail-count-d1')]";
        let clean = stage.until(Duration::from_secs(10), || stage.count(counted) == 0);
        that(clean, "it is still counted")
    });
    s.step("resource debug-start d1", prints(&["returned 0"]));
}

pub(super) fn collectives(s: &mut Session<'_>) {
    s.step(
        "resource create d2 ocf:systole:Dummy --group g1 --wait=30",
        runs("d2", 1),
    );
    s.step(
        "resource create d3 ocf:systole:Dummy --group g1 --before d2",
        |stage, ran| {
            has("//group[@id='g1']/primitive[1][@id='d3']")(stage, ran)?;
            runs("d3", 1)(stage, ran)?;
            let (a, b) = (stage.runs_on("d2"), stage.runs_on("d3"));
            that(a == b, format!("the group is torn: {a:?} {b:?}"))
        },
    );
    s.step("resource group add g1 d1 --after d2", |stage, ran| {
        has("//group[@id='g1']/primitive[3][@id='d1']")(stage, ran)?;
        stage.settle();
        let (a, b) = (stage.runs_on("d1"), stage.runs_on("d2"));
        that(
            a == b && a.len() == 1,
            format!("the group is torn: {a:?} {b:?}"),
        )
    });
    s.step("resource group list", prints(&["g1: d3 d2 d1"]));
    s.step(
        "resource relations d1",
        prints(&["d1", "outer resource", "g1"]),
    );
    s.step(
        "resource ungroup g1 d1",
        has("//resources/primitive[@id='d1']"),
    );
    s.step(
        "resource create c1 ocf:systole:Dummy clone interleave=true --wait=30",
        runs("c1", 3),
    );
    s.step("resource update c1-clone clone-max=2", runs("c1", 2));
    s.step("resource unclone c1", |stage, ran| {
        gone("//clone[@id='c1-clone']")(stage, ran)?;
        runs("c1", 1)(stage, ran)
    });
    s.step(
        "resource clone c1 c1-again globally-unique=false --wait=30",
        |stage, ran| {
            has("//clone[@id='c1-again']/primitive[@id='c1']")(stage, ran)?;
            runs("c1", 3)(stage, ran)
        },
    );
    s.step(
        "resource create p1 ocf:systole:Stateful promotable promoted-max=1 --wait=30",
        |stage, ran| {
            says(&ran.text(), &["resource 'p1' is promoted on node"])?;
            one_promoted(stage, "p1")
        },
    );
    s.step(
        "resource move p1-clone host2 --promoted --wait=30",
        |stage, _| {
            one_promoted(stage, "p1")?;
            let found = stage.instances("p1");
            let there = found
                .iter()
                .any(|(host, role)| host == "host2" && role == "Promoted");
            that(there, format!("p1 is {found:?}"))
        },
    );
    s.step("resource delete c1-again", |stage, ran| {
        gone("//primitive[@id='c1']")(stage, ran)?;
        // What ran is stopped first, and its history is forgotten.
        stage.settle();
        gone("//lrm_resource[@id='c1']")(stage, ran)
    });
}

pub(super) fn defaults(s: &mut Session<'_>) {
    s.step(
        "resource defaults update resource-stickiness=10",
        has("//rsc_defaults//nvpair[@name='resource-stickiness' and @value='10']"),
    );
    s.step(
        "resource defaults set create id=rs1 meta target-role=Started rule resource ocf:systole:Dummy",
        has("//rsc_defaults/meta_attributes[@id='rs1']/rule/rsc_expression[@type='Dummy']"),
    );
    s.step(
        "resource defaults config",
        prints(&[
            "resource-stickiness=10",
            "Expression: resource ocf:systole:Dummy",
        ]),
    );
    s.step(
        "resource defaults set delete rs1",
        gone("//meta_attributes[@id='rs1']"),
    );
    s.step(
        "resource op defaults update timeout=33s",
        has("//op_defaults//nvpair[@name='timeout' and @value='33s']"),
    );
    s.step(
        "resource op defaults set create id=ops1 meta timeout=44s rule op monitor",
        has("//op_defaults/meta_attributes[@id='ops1']/rule/op_expression[@name='monitor']"),
    );
    s.step(
        "resource op defaults config",
        prints(&["timeout=33s", "Expression: op monitor"]),
    );
}
