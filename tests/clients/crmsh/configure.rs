//! The configuration: every kind of object made, shown, changed, renamed, saved, loaded and deleted.

use super::*;

pub(super) fn play(s: &mut Session<'_>) {
    resources(s);
    constraints(s);
    the_rest(s);
    changes(s);
    files(s);
    removal(s);
}

fn resources(s: &mut Session<'_>) {
    s.step(
        "configure primitive d1 ocf:systole:Dummy params fake=one op monitor interval=10s timeout=20s \
         op start timeout=30s interval=0 meta target-role=Started",
        |stage, ran| {
            has("//primitive[@id='d1' and @provider='systole']/operations/op[@name='monitor' and @interval='10s']")(stage, ran)?;
            has("//primitive[@id='d1']/instance_attributes/nvpair[@name='fake' and @value='one']")(stage, ran)?;
            runs("d1", 1)(stage, ran)
        },
    );
    s.refused(
        "configure primitive bad ocf:systole:Dummy params nonsense=1",
        |stage, ran| {
            says(&ran.text(), &["parameter \"nonsense\" is not known"])?;
            has_times("//primitive[@id='bad']", 0)(stage, ran)
        },
    );
    s.refused("configure delete nobody", |_, ran| {
        says(&ran.text(), &["nobody does not exist"])
    });
    s.refused(
        "configure primitive d1 ocf:systole:Dummy",
        has("//primitive[@id='d1']"),
    );
    s.step(
        "configure primitive d2 ocf:systole:Dummy utilization cpu=1",
        |stage, ran| {
            has("//primitive[@id='d2']/utilization/nvpair[@name='cpu' and @value='1']")(
                stage, ran,
            )?;
            runs("d2", 1)(stage, ran)
        },
    );
    s.shell(
        "printf 'primitive g1 ocf:systole:Dummy\\nprimitive g2 ocf:systole:Dummy\\n\
         group grp g1 g2 meta priority=5\\ncommit\\n' | $C configure",
        |stage, ran| {
            has_times("//group[@id='grp']/primitive", 2)(stage, ran)?;
            runs("g1", 1)(stage, ran)?;
            that(
                stage.runs_on("g1") == stage.runs_on("g2"),
                "g1 and g2 are apart",
            )
        },
    );
    s.step(
        "configure primitive c1 ocf:systole:Dummy",
        has("//primitive[@id='c1']"),
    );
    s.step(
        "configure clone cl c1 meta interleave=true clone-max=2",
        runs("c1", 2),
    );
    s.step(
        "configure primitive s1 ocf:systole:Stateful op monitor interval=10s role=Master \
         op monitor interval=11s role=Slave",
        has_times("//primitive[@id='s1']/operations/op", 2),
    );
    // An old word: the cluster keeps it as what it has meant since.
    s.step("configure ms ms1 s1 meta notify=true", |stage, ran| {
        has("//clone[@id='ms1']/meta_attributes/nvpair[@name='promotable' and @value='true']")(
            stage, ran,
        )?;
        has_times("//master", 0)(stage, ran)?;
        runs("s1", 3)(stage, ran)?;
        let promoted = || {
            let all = stage.instances("s1");
            all.iter().filter(|(_, role)| role == "Promoted").count() == 1
        };
        that(
            stage.until(Duration::from_secs(20), promoted),
            "not one is promoted",
        )
    });
    s.refused(
        "configure clone again s1",
        has("//clone[descendant::primitive[@id='s1']]"),
    );
    s.step(
        "configure rsc_template tm ocf:systole:Dummy op monitor interval=20s",
        has("//template[@id='tm']"),
    );
    s.step(
        "configure primitive tp @tm meta target-role=Stopped",
        has("//primitive[@id='tp' and @template='tm']"),
    );
    s.step("configure monitor d2 15s:25s", |stage, ran| {
        has("//primitive[@id='d2']/operations/op[@name='monitor' and @interval='15s' and @timeout='25s']")(stage, ran)?;
        stage.settle();
        has("//lrm_resource[@id='d2']/lrm_rsc_op[@operation='monitor' and @interval='15000']")(stage, ran)
    });
}

fn constraints(s: &mut Session<'_>) {
    s.step("configure location l1 d1 inf: host3", |stage, ran| {
        has("//rsc_location[@id='l1' and @rsc='d1' and @node='host3' and @score='INFINITY']")(
            stage, ran,
        )?;
        runs_at("d1", "host3")(stage, ran)
    });
    s.step("configure location l2 d2 rule -inf: '#uname' ne host2", |stage, ran| {
        has("//rsc_location[@id='l2']/rule[@score='-INFINITY']/expression[@attribute='#uname' and @operation='ne']")(stage, ran)?;
        runs_at("d2", "host2")(stage, ran)
    });
    s.step(
        "configure location l3 d2 rule 5: defined shelf and date spec hours=9-17 weekdays=1-5",
        has("//rsc_location[@id='l3']/rule/date_expression/date_spec[@weekdays='1-5']"),
    );
    s.step(
        "configure location l4 { d1 d2 } 1: host1",
        has_times("//rsc_location[@id='l4']/resource_set/resource_ref", 2),
    );
    s.step("configure colocation k1 inf: grp d1", |stage, ran| {
        has("//rsc_colocation[@id='k1' and @rsc='grp' and @with-rsc='d1' and @score='INFINITY']")(
            stage, ran,
        )?;
        runs_at("g2", "host3")(stage, ran)
    });
    s.step("configure colocation k2 -50: tp ms1:Master", |stage, _| {
        let role = attribute(&stage.cib(), "k2", "with-rsc-role");
        that(
            matches!(role.as_deref(), Some("Master" | "Promoted")),
            format!("with-rsc-role is {role:?}"),
        )
    });
    s.step(
        "configure colocation k3 5: ( d1 cl ) d2",
        has_times("//rsc_colocation[@id='k3']/resource_set", 2),
    );
    s.step(
        "configure order o1 Mandatory: d1 grp",
        has("//rsc_order[@id='o1' and @first='d1' and @then='grp' and @kind='Mandatory']"),
    );
    s.step(
        "configure order o2 Optional: ms1:promote tp:start symmetrical=false",
        has("//rsc_order[@id='o2' and @first-action='promote' and @symmetrical='false']"),
    );
    s.step(
        "configure order o3 Serialize: d1 ( d2 tp )",
        has_times(
            "//rsc_order[@id='o3' and @kind='Serialize']/resource_set",
            2,
        ),
    );
    s.step(
        "configure rsc_ticket t1 ticketA: tp loss-policy=stop",
        has("//rsc_ticket[@id='t1' and @ticket='ticketA' and @loss-policy='stop']"),
    );
    s.refused(
        "configure order bad Mandatory: d1 nobody",
        has_times("//rsc_order[@id='bad']", 0),
    );
}

fn the_rest(s: &mut Session<'_>) {
    s.step(
        "configure property no-quorum-policy=freeze",
        has("//crm_config//nvpair[@name='no-quorum-policy' and @value='freeze']"),
    );
    s.step(
        "configure get_property no-quorum-policy",
        prints(&["freeze"]),
    );
    s.step(
        "configure rsc_defaults resource-stickiness=10",
        has("//rsc_defaults/meta_attributes/nvpair[@name='resource-stickiness' and @value='10']"),
    );
    s.step(
        "configure op_defaults timeout=40s",
        has("//op_defaults/meta_attributes/nvpair[@name='timeout' and @value='40s']"),
    );
    s.step(
        "configure tag everything d1 d2",
        has_times("//tags/tag[@id='everything']/obj_ref", 2),
    );
    s.step(
        "configure alert al1 /bin/true attributes a=b meta timeout=10s select nodes fencing to { /tmp/y attributes q=r }",
        |stage, ran| {
            has("//alert[@id='al1' and @path='/bin/true']/recipient[@value='/tmp/y']")(stage, ran)?;
            has("//alert[@id='al1']/select/select_fencing")(stage, ran)
        },
    );
    s.step(
        "configure role reader read xpath:/cib",
        has("//acl_role[@id='reader']/acl_permission[@kind='read']"),
    );
    s.step(
        "configure role operator write meta:d1:target-role read status",
        has_times("//acl_role[@id='operator']/acl_permission", 2),
    );
    s.step(
        "configure acl_target alice reader operator",
        has_times("//acl_target[@id='alice']/role", 2),
    );
    s.step(
        "configure node host1 attributes shelf=3 utilization cpu=4",
        |stage, ran| {
            has("//nodes/node[@uname='host1']/instance_attributes/nvpair[@name='shelf' and @value='3']")(stage, ran)?;
            has("//nodes/node[@uname='host1']/utilization/nvpair[@name='cpu' and @value='4']")(stage, ran)
        },
    );
    s.step(
        "configure primitive f1 stonith:fence_hook params hook=/bin/true pcmk_host_list=host1",
        runs("f1", 1),
    );
    s.step(
        "configure primitive f2 stonith:fence_hook params hook=/bin/true pcmk_host_list=host2",
        runs("f2", 1),
    );
    s.refused(
        "configure primitive f3 stonith:fence_hook params pcmk_host_list=host2",
        has_times("//primitive[@id='f3']", 0),
    );
    s.step(
        "configure fencing_topology host1: f1 host2: f2",
        has_times("//fencing-topology/fencing-level", 2),
    );
    s.step(
        "configure xml '<primitive id=\"x1\" class=\"ocf\" provider=\"systole\" type=\"Dummy\"/>'",
        runs("x1", 1),
    );
}

fn changes(s: &mut Session<'_>) {
    s.step(
        "configure show",
        prints(&[
            "primitive d1 ocf:systole:Dummy",
            "group grp g1 g2",
            "clone ms1 s1",
            "location l2 d2",
            "rule -inf: #uname ne host2",
            "colocation k3 5: ( d1 cl ) d2",
            "order o3 Serialize: d1 ( d2 tp )",
            "rsc_ticket t1 ticketA: tp loss-policy=stop",
            "fencing_topology",
            "role operator",
            "acl_target alice",
            "alert al1",
            "tag everything d1 d2",
            "no-quorum-policy=freeze",
            "resource-stickiness=10",
        ]),
    );
    s.step(
        "configure show xml d1",
        prints(&["<primitive id=\"d1\" class=\"ocf\" provider=\"systole\" type=\"Dummy\">"]),
    );
    s.step("configure show type:group", prints(&["group grp"]));
    s.step(
        "configure show tag:everything",
        prints(&["primitive d1", "primitive d2"]),
    );
    s.step(
        "configure show related:Stateful",
        prints(&["primitive s1 ocf:systole:Stateful"]),
    );
    s.step(
        "configure set d1.fake two",
        has("//primitive[@id='d1']//nvpair[@name='fake' and @value='two']"),
    );
    s.step("configure rename tp tp2", |stage, ran| {
        has_times("//primitive[@id='tp']", 0)(stage, ran)?;
        has("//rsc_order[@id='o3']//resource_ref[@id='tp2']")(stage, ran)?;
        stage.settle();
        // Nobody is asked again and again to forget the old one.
        has_times("//lrm_resource[@id='tp']", 0)(stage, ran)
    });
    s.step("configure primitive d9 ocf:systole:Dummy", runs("d9", 1));
    s.step("configure modgroup grp add d9 before g2", |stage, ran| {
        let cib = stage.cib();
        let group = cib.find_id("grp").unwrap();
        let order: Vec<&str> = group
            .children_named("primitive")
            .filter_map(|e| e.id())
            .collect();
        that(
            order == ["g1", "d9", "g2"],
            format!("the group is {order:?}"),
        )?;
        runs_at("d9", "host3")(stage, ran)
    });
    s.step(
        "configure modgroup grp remove d9",
        has_times("//group[@id='grp']/primitive", 2),
    );
    s.shell(
        &format!(
            "EDITOR='sed -i s/fake=two/fake=three/' {TERMINAL} $C configure edit d1 </dev/null"
        ),
        has("//primitive[@id='d1']//nvpair[@name='fake' and @value='three']"),
    );
    s.shell(
        "$C configure filter \"sed 's/fake=three/fake=four/'\" d1",
        has("//primitive[@id='d1']//nvpair[@name='fake' and @value='four']"),
    );
    s.step(
        "configure default-timeouts c1",
        has("//primitive[@id='c1']/operations/op[@name='start' and @timeout='20s']"),
    );
    s.step("configure verify", |_, ran| {
        that(ran.text().trim().is_empty(), "it complains")
    });
    s.step("configure validate-all d1", succeeds);
    s.step("configure schema", prints(&["pacemaker-"]));
    s.step("configure ptest nograph", prints(&["Transition Summary"]));
    s.step(
        "configure ptest scores nograph",
        prints(&["allocation score on host1"]),
    );
    s.step("verify", |_, ran| {
        says(&ran.out, &["Current cluster status", "Started host3"])?;
        that(!ran.text().to_lowercase().contains("error"), "it complains")
    });
}

fn files(s: &mut Session<'_>) {
    let before = s.stage.cib();
    s.step("configure save /tmp/saved.crm", |stage, _| {
        let saved = stage.sh("host1", "cat /tmp/saved.crm").out;
        says(
            &saved,
            &[
                "primitive d1 ocf:systole:Dummy",
                "location l1 d1 inf: host3",
            ],
        )
    });
    s.step("configure save xml /tmp/saved.xml", |stage, _| {
        says(
            &stage.sh("host1", "cat /tmp/saved.xml").out,
            &["<rsc_location id=\"l1\""],
        )
    });
    s.step("configure load update /tmp/saved.crm", |stage, _| {
        that(
            configuration(&stage.cib()) == configuration(&before),
            "what was saved and loaded is not the same",
        )
    });
    s.shell(
        "printf 'primitive new1 ocf:systole:Dummy params fake=x\\nlocation l9 new1 inf: host1\\n' > /tmp/more.crm; \
         $C configure load update /tmp/more.crm",
        |stage, ran| runs_at("new1", "host1")(stage, ran),
    );
    s.refused("configure load push /tmp/saved.crm", |stage, ran| {
        says(&ran.text(), &["Cannot delete running resources: new1"])?;
        has("//primitive[@id='new1']")(stage, ran)
    });
    s.step("-w resource stop new1", runs("new1", 0));
    s.step("configure load push /tmp/saved.crm", |stage, ran| {
        stage.settle();
        has_times("//primitive[@id='new1']", 0)(stage, ran)?;
        that(
            configuration(&stage.cib()) == configuration(&before),
            "what was pushed is not what was saved",
        )
    });
    s.shell(
        "$C configure show xml d1 | sed s/four/five/ > /tmp/d1.xml; $C configure load xml update /tmp/d1.xml",
        |stage, ran| {
            has("//primitive[@id='d1']//nvpair[@name='fake' and @value='five']")(stage, ran)?;
            has_times("//primitive[@id='g1']", 1)(stage, ran)
        },
    );
    s.step("configure graph dot /tmp/graph.dot dot", |stage, _| {
        says(
            &stage.sh("host1", "cat /tmp/graph.dot").out,
            &["digraph", "d1"],
        )
    });
}

fn removal(s: &mut Session<'_>) {
    s.refused("configure delete d1", has("//primitive[@id='d1']"));
    s.step("configure delete o1 k1 l1", |stage, ran| {
        has_times("//rsc_order[@id='o1']", 0)(stage, ran)?;
        has_times("//rsc_colocation[@id='k1']", 0)(stage, ran)?;
        has_times("//rsc_location[@id='l1']", 0)(stage, ran)
    });
    s.step("-w resource stop d9", runs("d9", 0));
    s.step("configure delete d9", |stage, ran| {
        has_times("//primitive[@id='d9']", 0)(stage, ran)?;
        stage.settle();
        has_times("//lrm_resource[@id='d9']", 0)(stage, ran)
    });
    s.step("configure delete al1 t1 everything", |stage, ran| {
        has_times("//alert", 0)(stage, ran)?;
        has_times("//rsc_ticket", 0)(stage, ran)?;
        has_times("//tag", 0)(stage, ran)
    });
    s.step("configure delete alice", has_times("//acl_target", 0));
    s.step("configure delete --force d2", |stage, ran| {
        has_times("//primitive[@id='d2']", 0)(stage, ran)?;
        stage.settle();
        // What is no longer configured is stopped, too.
        has_times("//lrm_resource[@id='d2']", 0)(stage, ran)
    });
    s.refused("configure erase", has("//primitive[@id='d1']"));
    s.step(
        "-w configure property stop-all-resources=true",
        |stage, ran| {
            runs("d1", 0)(stage, ran)?;
            runs("s1", 0)(stage, ran)
        },
    );
    s.step("-F configure erase", |stage, ran| {
        has_times("//resources/*", 0)(stage, ran)?;
        stage.settle();
        has_times("//lrm_resource", 0)(stage, ran)
    });
}
