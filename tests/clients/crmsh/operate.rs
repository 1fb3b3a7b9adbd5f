//! A running cluster: resources started, moved and banned, nodes on standby, attributes, failures, and what is shown.

use super::*;

pub(super) fn play(s: &mut Session<'_>) {
    s.stage
        .cluster
        .load(
            "primitive d1 ocf:systole:Dummy op monitor interval=10s\n\
             primitive d2 ocf:systole:Dummy op monitor interval=3s\n\
             primitive g1 ocf:systole:Dummy\nprimitive g2 ocf:systole:Dummy\ngroup grp g1 g2\n\
             primitive s1 ocf:systole:Stateful op monitor interval=10s role=Promoted \
             op monitor interval=11s role=Unpromoted\n\
             clone ms1 s1 meta promotable=true\n",
        )
        .unwrap();
    s.stage.settle();
    shown(s);
    roles(s);
    places(s);
    values(s);
    nodes(s);
    failures(s);
    agents(s);
    tickets(s);
}

fn shown(s: &mut Session<'_>) {
    s.step(
        "status",
        prints(&[
            "Online: [ host1 host2 host3 ]",
            "Resource Group: grp",
            "Clone Set: ms1 [s1] (promotable)",
        ]),
    );
    s.step(
        "status bynode",
        prints(&["Node host1: online", "Node host3: online"]),
    );
    s.step("status inactive", prints(&["Full List of Resources"]));
    s.step(
        "status ops",
        prints(&["Operations:", "d1: migration-threshold"]),
    );
    s.step("status timing", prints(&["Operations:", "exec-time="]));
    s.step("status failcounts", prints(&["Migration Summary"]));
    s.step("status verbose", prints(&["Node List"]));
    s.step("status quiet", prints(&["Online"]));
    s.step("status xml", prints(&["<crm_mon", "<resource id=\"d1\""]));
    s.step("status simple", prints(&["OK: 3 nodes online"]));
    s.step("status tickets", prints(&["Node List"]));
    s.step("status noheaders", prints(&["Node List"]));
    s.step("status detail", prints(&["s1", "host1"]));
    s.step("status brief", prints(&["Active"]));
    s.step(
        "status full",
        prints(&["Node host1: online", "Operations:"]),
    );
    s.step("status inactive bynode", prints(&["Node host2: online"]));
    s.step(
        "resource status",
        prints(&["d1\t(ocf:systole:Dummy):\t Started"]),
    );
    s.step(
        "resource status d1",
        prints(&["resource d1 is running on: host"]),
    );
    s.step("resource locate d1", |stage, ran| {
        let here = stage.runs_on("d1");
        says(&ran.out, &[&format!("is running on: {}", here[0])])
    });
    s.step(
        "resource scores",
        prints(&["d1 allocation score on host1: "]),
    );
    s.step("resource operations", prints(&["d1_monitor_10000"]));
    s.step("resource operations d1", prints(&["d1_monitor_10000"]));
}

fn roles(s: &mut Session<'_>) {
    s.step("resource stop d1", runs("d1", 0));
    s.step("resource start d1", runs("d1", 1));
    s.step("resource stop d1 d2", |stage, ran| {
        runs("d1", 0)(stage, ran)?;
        runs("d2", 0)(stage, ran)
    });
    s.step("resource start d1 d2", |stage, ran| {
        runs("d1", 1)(stage, ran)?;
        runs("d2", 1)(stage, ran)
    });
    let starts = |stage: &Stage<'_>| {
        stage.settle();
        let cib = stage.cib();
        let mut times: Vec<String> = Vec::new();
        for history in cib
            .descendants()
            .filter(|e| e.is("lrm_resource") && e.id() == Some("d1"))
        {
            for op in history
                .children()
                .filter(|e| e.get("operation") == Some("start"))
            {
                times.extend(op.get("call-id").map(str::to_owned));
            }
        }
        times
    };
    let before = starts(s.stage);
    s.step("-w resource restart d1", |stage, ran| {
        runs("d1", 1)(stage, ran)?;
        let after = starts(stage);
        that(
            before != after,
            format!("d1 was not started again: {before:?}, {after:?}"),
        )
    });
    s.step("resource stop grp", runs("g1", 0));
    s.step("resource start grp", runs("g2", 1));
    s.step("resource demote ms1", |stage, _| {
        stage.settle();
        let all = stage.instances("s1");
        that(
            all.len() == 3 && all.iter().all(|(_, role)| role == "Unpromoted"),
            format!("ms1 is {all:?}"),
        )
    });
    s.step("resource promote ms1", |stage, _| {
        stage.settle();
        let all = stage.instances("s1");
        let promoted = all.iter().filter(|(_, role)| role == "Promoted").count();
        that(promoted == 1, format!("ms1 is {all:?}"))
    });
    s.refused("resource promote d1", |_, ran| {
        says(&ran.text(), &["not a promotable resource"])
    });
    s.step("resource unmanage d1", |stage, ran| {
        has("//primitive[@id='d1']//nvpair[@name='is-managed' and @value='false']")(stage, ran)?;
        stage.run(
            "host2",
            &[
                "crm_resource",
                "-r",
                "d1",
                "--meta",
                "-p",
                "target-role",
                "-v",
                "Stopped",
            ],
        );
        runs("d1", 1)(stage, ran)
    });
    s.step("resource manage d1", runs("d1", 0));
    s.step("resource start d1", runs("d1", 1));
    s.step("resource maintenance d1 on", |stage, ran| {
        has("//primitive[@id='d1']//nvpair[@name='maintenance' and @value='true']")(stage, ran)?;
        stage.settle();
        has_times(
            "//lrm_resource[@id='d1']/lrm_rsc_op[@operation='monitor' and @interval='10000']",
            0,
        )(stage, ran)
    });
    s.step("resource maintenance d1 off", |stage, ran| {
        stage.settle();
        has("//lrm_resource[@id='d1']/lrm_rsc_op[@operation='monitor' and @interval='10000']")(
            stage, ran,
        )
    });
}

fn places(s: &mut Session<'_>) {
    s.step("resource move d1 host1 force", runs_at("d1", "host1"));
    s.step("resource move d1 host2 force", |stage, ran| {
        has("//rsc_location[@id='cli-prefer-d1']")(stage, ran)?;
        runs_at("d1", "host2")(stage, ran)
    });
    s.step("resource constraints d1", prints(&["cli-prefer-d1"]));
    s.step("resource clear d1", has_times("//rsc_location", 0));
    s.step("resource move d1 host3 PT10M", |stage, ran| {
        has("//rsc_location[@id='cli-prefer-d1']//date_expression")(stage, ran)?;
        runs_at("d1", "host3")(stage, ran)
    });
    s.step("resource clear d1", has_times("//rsc_location", 0));
    s.step("resource ban d1 host3", |stage, ran| {
        runs("d1", 1)(stage, ran)?;
        let here = stage.runs_on("d1");
        that(here != ["host3"], "d1 runs where it is banned")
    });
    s.step("resource ban d1", has_times("//rsc_location", 2));
    s.step("resource unban d1", has_times("//rsc_location", 0));
    s.refused("resource move d1 nowhere", has_times("//rsc_location", 0));
    s.refused("resource move d1", has_times("//rsc_location", 0));
}

fn values(s: &mut Session<'_>) {
    s.step(
        "resource param d1 set fake blue",
        has("//primitive[@id='d1']/instance_attributes/nvpair[@name='fake' and @value='blue']"),
    );
    s.step("resource param d1 show fake", prints(&["blue"]));
    s.step(
        "resource param d1 delete fake",
        has_times("//primitive[@id='d1']//nvpair[@name='fake']", 0),
    );
    s.step("resource param d1 show fake", |_, ran| {
        says(&ran.text(), &["'fake' not found for 'd1'"])
    });
    s.step(
        "resource meta d1 set priority 6",
        has("//primitive[@id='d1']/meta_attributes/nvpair[@name='priority' and @value='6']"),
    );
    s.step("resource meta d1 show priority", prints(&["6"]));
    s.step(
        "resource meta d1 delete priority",
        has_times("//nvpair[@name='priority']", 0),
    );
    s.step(
        "resource utilization d1 set cpu 2",
        has("//primitive[@id='d1']/utilization/nvpair[@name='cpu' and @value='2']"),
    );
    s.step("resource utilization d1 show cpu", prints(&["2"]));
    s.step(
        "resource utilization d1 delete cpu",
        has_times("//primitive[@id='d1']/utilization/nvpair", 0),
    );
    s.step("resource trace d2", |stage, ran| {
        has_times(
            "//primitive[@id='d2']//nvpair[@name='trace_ra' and @value='1']",
            3,
        )(stage, ran)
    });
    s.step(
        "resource untrace d2",
        has_times("//nvpair[@name='trace_ra']", 0),
    );
    s.step("resource trace d2 monitor 3", succeeds);
    s.step(
        "resource untrace d2 monitor",
        has_times("//nvpair[@name='trace_ra']", 0),
    );
    s.refused(
        "resource meta nobody set priority 6",
        has_times("//nvpair[@name='priority']", 0),
    );
}

fn nodes(s: &mut Session<'_>) {
    s.step(
        "node show",
        prints(&["host1(1): member", "host2(2): member", "host3(3): member"]),
    );
    s.step("node standby host2", |stage, ran| {
        has("//nodes/node[@uname='host2']//nvpair[@name='standby' and @value='on']")(stage, ran)?;
        emptied(stage, "host2")
    });
    s.step("node online host2", |stage, ran| {
        stage.settle();
        has("//nodes/node[@uname='host2']//nvpair[@name='standby' and @value='off']")(stage, ran)?;
        runs("s1", 3)(stage, ran)
    });
    s.step("node standby host3 reboot", |stage, ran| {
        has("//status/node_state[@uname='host3']/transient_attributes//nvpair[@name='standby' and @value='on']")(stage, ran)?;
        emptied(stage, "host3")
    });
    s.step("node online host3", runs("s1", 3));
    s.step("node standby --all", runs("s1", 0));
    s.step("node online --all", runs("s1", 3));
    s.step("node standby", |stage, _| emptied(stage, "host1"));
    s.step("node online", runs("s1", 3));
    s.step("node maintenance host2", |stage, ran| {
        has("//nodes/node[@uname='host2']//nvpair[@name='maintenance' and @value='true']")(
            stage, ran,
        )?;
        let shown = stage.run("host3", &["crm_mon", "-1"]).out;
        says(&shown, &["host2: maintenance"])
    });
    s.step("node ready host2", |stage, _| {
        let shown = stage.run("host3", &["crm_mon", "-1"]).out;
        that(
            !shown.contains("maintenance"),
            "host2 is still in maintenance",
        )
    });
    s.step(
        "node attribute host1 set rack r1",
        has(
            "//nodes/node[@uname='host1']/instance_attributes/nvpair[@name='rack' and @value='r1']",
        ),
    );
    s.step("node attribute host1 show rack", prints(&["value=r1"]));
    s.step(
        "node attribute host1 delete rack",
        has_times("//nvpair[@name='rack']", 0),
    );
    s.step(
        "node utilization host1 set cpu 8",
        has("//nodes/node[@uname='host1']/utilization/nvpair[@name='cpu' and @value='8']"),
    );
    s.step("node utilization host1 show cpu", prints(&["value=8"]));
    s.step(
        "node utilization host1 delete cpu",
        has_times("//node/utilization/nvpair", 0),
    );
    s.step("node status-attr host2 set load 5", |stage, ran| {
        let path = "//node_state[@uname='host2']/transient_attributes//nvpair[@name='load' and @value='5']";
        let there = stage.until(Duration::from_secs(5), || stage.count(path) == 1);
        that(there, "it did not come to the CIB")?;
        that(ran.code == 0, "refused")
    });
    s.step("node status-attr host2 show load", prints(&["value=5"]));
    s.step("node status-attr host2 delete load", |stage, _| {
        let path = "//nvpair[@name='load']";
        let gone = stage.until(Duration::from_secs(5), || stage.count(path) == 0);
        that(gone, "it is still in the CIB")
    });
    s.step("node server", prints(&["host1", "host2", "host3"]));
    s.refused(
        "node standby nobody",
        has_times("//nodes/node[@uname='nobody']", 0),
    );
    s.step(
        "maintenance on d2",
        has("//primitive[@id='d2']//nvpair[@name='maintenance' and @value='true']"),
    );
    s.step(
        "maintenance off d2",
        has("//primitive[@id='d2']//nvpair[@name='maintenance' and @value='false']"),
    );
    s.step(
        "maintenance on",
        has("//crm_config//nvpair[@name='maintenance-mode' and @value='true']"),
    );
    s.step(
        "maintenance off",
        has("//crm_config//nvpair[@name='maintenance-mode' and @value='false']"),
    );
}

/// Takes away what a dummy remembers itself by, and waits until its monitor has seen it.
fn fail(stage: &Stage<'_>, rsc: &str, host: &str) {
    let state = format!("run/rsctmp/systole-Dummy-{rsc}.state");
    std::fs::remove_file(stage.lab.disk(host).join(state)).unwrap();
    let path = format!("//nvpair[starts-with(@name, 'fail-count-{rsc}#')]");
    let failed = || stage.count(&path) == 1;
    assert!(stage.until(Duration::from_secs(20), failed));
    stage.settle();
}

fn failures(s: &mut Session<'_>) {
    s.step("resource move d2 host2 force", runs_at("d2", "host2"));
    s.step("resource failcount d2 show host2", prints(&["value=0"]));
    fail(s.stage, "d2", "host2");
    s.step("resource failcount d2 show host2", |stage, _| {
        stage.settle();
        let shown = stage.run("host1", &["crm_mon", "-1f"]).out;
        says(&shown, &["d2: migration-threshold=1000000 fail-count=1"])
    });
    s.step("resource failcount d2 set host2 4", |stage, _| {
        let counted =
            || stage.count("//nvpair[starts-with(@name, 'fail-count-d2#') and @value='4']") == 1;
        that(stage.until(Duration::from_secs(10), counted), "it is not 4")
    });
    s.step("resource failcount d2 show host2", prints(&["value=4"]));
    s.step("resource failcount d2 delete host2", |stage, _| {
        let gone = || stage.count("//nvpair[starts-with(@name, 'fail-count-d2#')]") == 0;
        that(
            stage.until(Duration::from_secs(10), gone),
            "it is still counted",
        )
    });
    fail(s.stage, "d2", "host2");
    s.step("resource cleanup d2", |stage, ran| {
        stage.settle();
        has_times("//nvpair[starts-with(@name, 'fail-count-d2#')]", 0)(stage, ran)?;
        runs("d2", 1)(stage, ran)
    });
    s.step("resource cleanup", succeeds);
    s.step("resource refresh d2 host2", runs("d2", 1));
    s.step("resource refresh d2", runs("d2", 1));
    s.step("resource refresh", |stage, ran| {
        runs("d2", 1)(stage, ran)?;
        runs("s1", 3)(stage, ran)
    });
    s.step("resource clear d2", has_times("//rsc_location", 0));
}

fn agents(s: &mut Session<'_>) {
    s.step(
        "ra classes",
        prints(&["ocf / heartbeat systole", "stonith", "systemd"]),
    );
    s.step(
        "ra list ocf systole",
        prints(&["Dummy", "IPaddr2", "Stateful"]),
    );
    s.step("ra list stonith", prints(&["fence_hook"]));
    s.step("ra providers Dummy", prints(&["systole"]));
    s.step(
        "ra info ocf:systole:Dummy",
        prints(&["Parameters", "fake", "monitor"]),
    );
    s.step("ra info ocf:systole:IPaddr2", prints(&["ip* (string"]));
    s.step("ra info stonith:fence_hook", prints(&["hook* (string"]));
    s.step("ra validate ocf:systole:Dummy", succeeds);
}

fn tickets(s: &mut Session<'_>) {
    s.step("cluster wait_for_startup 10", succeeds);
    s.step(
        "-F site ticket grant ticketA",
        has("//tickets/ticket_state[@id='ticketA' and @granted='true']"),
    );
    s.step("site ticket show ticketA", prints(&["ticketA"]));
    s.step(
        "-F site ticket revoke ticketA",
        has("//tickets/ticket_state[@id='ticketA' and @granted='false']"),
    );
    s.step(
        "-F site ticket delete ticketA",
        has_times("//ticket_state[@granted]", 0),
    );
}
