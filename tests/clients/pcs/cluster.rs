//! The cluster as a whole: bundles and fence devices, its CIB in a file, its status.

use std::time::Duration;

use super::{FILES, gone, has_all};
use crate::session::*;

pub(super) fn bundles(s: &mut Session<'_>) {
    s.step(
        "resource bundle create b1 container podman image=web replicas=2 network ip-range-start=10.9.9.1 \
         control-port=3121 port-map port=80 storage-map source-dir=/srv target-dir=/x options=ro --disabled",
        has_all(&[
            "//bundle[@id='b1']/podman[@image='web' and @replicas='2']",
            "//bundle[@id='b1']/network[@ip-range-start='10.9.9.1']/port-mapping[@port='80']",
            "//bundle[@id='b1']/storage/storage-mapping[@target-dir='/x' and @options='ro']",
        ]),
    );
    s.step(
        "resource create w ocf:systole:Dummy bundle b1",
        has("//bundle[@id='b1']/primitive[@id='w']"),
    );
    s.step(
        "resource bundle update b1 container replicas=3",
        has("//podman[@replicas='3']"),
    );
    s.step(
        "resource config b1",
        prints(&["Bundle: b1", "image=web", "Resource: w"]),
    );
    s.step("resource status b1", prints(&["Container bundle set: b1"]));
    s.step("resource delete b1", gone("//bundle"));
}

pub(super) fn stonith(s: &mut Session<'_>) {
    s.step(
        "stonith create f1 fence_hook hook=/bin/true pcmk_host_list=host1,host2,host3 --wait=30",
        |stage, ran| {
            has("//primitive[@id='f1' and @class='stonith' and @type='fence_hook']")(stage, ran)?;
            // With fencing off nothing starts it, but it is known.
            has("//primitive[@id='f1']//nvpair[@name='pcmk_host_list']")(stage, ran)
        },
    );
    s.step(
        "stonith create f2 fence_hook hook=/bin/true",
        has("//primitive[@id='f2']"),
    );
    s.step(
        "stonith update f2 pcmk_delay_base=1s",
        has("//primitive[@id='f2']//nvpair[@name='pcmk_delay_base' and @value='1s']"),
    );
    s.step(
        "stonith level add 1 host1 f1 f2",
        has("//fencing-level[@target='host1' and @index='1' and @devices='f1,f2']"),
    );
    s.step(
        "stonith level config",
        prints(&["Target: host1", "Level 1 - f1,f2"]),
    );
    s.step("stonith level verify", |_, _| Ok(()));
    s.step(
        "stonith level remove 1 target host1",
        gone("//fencing-level"),
    );
    s.step(
        "stonith config f1",
        prints(&["Resource: f1 (class=stonith type=fence_hook)"]),
    );
    s.step("stonith delete f2", gone("//primitive[@id='f2']"));
    s.step("property set stonith-enabled=true", runs("f1", 1));
    s.step(
        "stonith status",
        prints(&["f1", "(stonith:fence_hook)", "Started"]),
    );
    s.step("property set stonith-enabled=false", |stage, _| {
        stage.settle();
        Ok(())
    });
    s.step("stonith history", |_, _| Ok(()));
}

pub(super) fn whole_cib(s: &mut Session<'_>) {
    let file = |name: &str| format!("{FILES}/{name}.xml");
    let (new, old) = (file("new"), file("old"));
    s.step(
        "cluster cib scope=resources",
        prints(&["<resources>", "id=\"d1\""]),
    );
    s.step(&format!("cluster cib {old}"), |stage, _| {
        let text = stage.sh("host1", "cat $SYSTOLE_DIR/old.xml").out;
        says(&text, &["<cib", "id=\"d1\""])
    });
    s.shell(&format!("cp {old} {new}"), |_, _| Ok(()));
    s.step(
        &format!("-f {new} resource create off ocf:systole:Dummy"),
        gone("//primitive[@id='off']"),
    );
    s.step(
        &format!("-f {new} resource config off"),
        prints(&["Resource: off"]),
    );
    s.step(
        &format!("cluster cib-push {new} diff-against={old} --wait=30"),
        runs("off", 1),
    );
    s.refused(
        &format!("cluster cib-push {old}"),
        has("//primitive[@id='off']"),
    );
    s.step(&format!("cluster cib-push {old} --config"), |stage, ran| {
        gone("//primitive[@id='off']")(stage, ran)?;
        stage.settle();
        gone("//lrm_resource[@id='off']")(stage, ran)
    });
    s.step("cluster cib-upgrade", has("/cib[@validate-with]"));
    s.step("cluster verify", |_, _| Ok(()));
    s.step("cluster verify --full", |_, _| Ok(()));
    s.shell(
        "EDITOR=/bin/true; export EDITOR; $C cluster edit 2>&1 | grep -c changed; true",
        has("//primitive[@id='d1']"),
    );
}

pub(super) fn status(s: &mut Session<'_>) {
    s.step(
        "status",
        prints(&[
            "Cluster name: demo",
            "Online: [ host1 host2 host3 ]",
            "Daemon Status:",
        ]),
    );
    s.step(
        "status --full",
        prints(&["Node host2 (2): online", "Migration Summary:"]),
    );
    s.step(
        "status nodes both",
        prints(&[
            "Corosync Nodes:",
            " Online: host1 host2 host3",
            "Pacemaker Nodes:",
        ]),
    );
    s.step("status nodes config", prints(&["host1 host2 host3"]));
    s.step("status resources d1", prints(&["d1", "Started"]));
    s.step(
        "status resources node=host2",
        prints(&["b\t(ocf:systole:Dummy)"]),
    );
    s.step(
        "status cluster",
        prints(&["Cluster Status:", "partition with quorum"]),
    );
    s.step(
        "status xml",
        prints(&["<pacemaker-result", "name=\"host3\""]),
    );
    s.step(
        "status quorum",
        prints(&["Quorate:          Yes", "host1 (local)"]),
    );
    s.step(
        "status corosync",
        prints(&["Membership information", "host3"]),
    );
    s.step("quorum status", prints(&["Expected votes:   3"]));
    s.step("quorum config", prints(&["Options:"]));
    s.step("cluster status", prints(&["Cluster Status:"]));
    s.step(
        "cluster config",
        prints(&["Cluster Name: demo", "nodeid: 3"]),
    );
    s.step(
        "config",
        prints(&[
            "Cluster Name: demo",
            "Resource: d1",
            "Location Constraints:",
        ]),
    );
    s.shell(
        "corosync-cfgtool -s",
        prints(&["Local node ID 1", "LINK ID 0", "= 10.77.0.1", "= OK"]),
    );
    s.shell(
        "corosync-cfgtool -n",
        prints(&[
            "nodeid: 2 reachable",
            "(10.77.0.1->10.77.0.3) enabled connected",
        ]),
    );
    s.shell(
        "corosync-cmapctl -g totem.cluster_name",
        prints(&["totem.cluster_name (str) = demo"]),
    );
    s.step(
        "node attribute host1 passwd=hunter2",
        has("//nvpair[@value='hunter2']"),
    );
    let report = format!("cluster report --from '2020-01-01 00:00:00' {FILES}/rep");
    s.step(&report, |stage, _| {
        let listed = stage.sh("host1", "tar tjf $SYSTOLE_DIR/rep.tar.bz2");
        let parts = [
            "cib.xml",
            "crm_mon.txt",
            "scores.txt",
            "quorum.txt",
            "pengine/pe-input-",
        ];
        for part in parts {
            that(
                listed.out.contains(&format!("rep/host1/{part}")),
                format!("{part} is not in it"),
            )?;
        }
        let all = stage
            .sh(
                "host1",
                "tar xOjf $SYSTOLE_DIR/rep.tar.bz2 | grep -ac hunter2",
            )
            .out;
        that(
            all.trim() == "0",
            format!("a password is in it {} times", all.trim()),
        )?;
        let names = stage
            .sh(
                "host1",
                "tar xOjf $SYSTOLE_DIR/rep.tar.bz2 rep/host1/cib.xml",
            )
            .out;
        says(&names, &["name=\"passwd\"", "name=\"fake\""])
    });
    s.step("resource delete p1-clone", gone("//clone"));
    s.step("resource delete g1", |stage, ran| {
        gone("//group")(stage, ran)?;
        stage.settle();
        gone("//lrm_resource[@id='d2']")(stage, ran)
    });
}

/// A host that loses its power by order comes back.
pub(super) fn fencing(s: &mut Session<'_>) {
    s.step("stonith delete f1", gone("//primitive[@id='f1']"));
    s.step(
        "stonith create power fence_hook hook=/run/systole-lab/bin/fence_netns pcmk_host_check=none",
        has("//primitive[@id='power']"),
    );
    s.step("property set stonith-enabled=true", runs("power", 1));
    s.step("stonith fence host3", |stage, _| {
        that(!stage.lab.is_on("host3"), "host3 still has power")?;
        let seen = || stage.run("host1", &["crm_mon", "-1"]).out;
        let lost = stage.until(Duration::from_secs(20), || {
            seen().contains("OFFLINE: [ host3 ]")
        });
        that(lost, "host3 does not count as lost")
    });
    s.step("stonith history show host3", |_, ran| {
        says(&ran.out, &["host3"])?;
        that(!ran.out.starts_with("0 events"), "nothing is remembered")
    });
    s.step("stonith history cleanup host3", |_, _| Ok(()));
    s.step("stonith history", prints(&["0 events found"]));
    s.stage.lab.boot("host3").unwrap();
    s.stage.cluster.start_daemon("host3").unwrap();
    s.stage.cluster.await_all_online(60_000).unwrap();
    s.step("status nodes", prints(&[" Online: host1 host2 host3"]));
}
