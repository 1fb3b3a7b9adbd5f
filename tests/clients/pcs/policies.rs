//! Where resources may run and who may change what: constraints, properties, nodes, ACLs, alerts, tags.

use super::{gone, has_all, on};
use crate::session::*;

pub(super) fn constraints(s: &mut Session<'_>) {
    s.step(
        "resource create a ocf:systole:Dummy --wait=30",
        runs("a", 1),
    );
    s.step(
        "resource create b ocf:systole:Dummy --wait=30",
        runs("b", 1),
    );
    s.step(
        "constraint location a prefers host1=100 host2=50",
        |stage, ran| {
            has("//rsc_location[@rsc='a' and @node='host1' and @score='100']")(stage, ran)?;
            on("a", &["host1"])(stage, ran)
        },
    );
    s.step(
        "constraint location b avoids host1 host3",
        on("b", &["host2"]),
    );
    s.step(
        "constraint location a rule id=r1 score=50 '#uname' eq host2 and date gt 2020-01-01",
        has_all(&[
            "//rsc_location[@rsc='a']/rule[@id='r1' and @boolean-op='and']/date_expression[@operation='gt']",
            "//rule[@id='r1']/expression[@attribute='#uname' and @value='host2']",
        ]),
    );
    s.step(
        "constraint location add l-extra b host2 7 resource-discovery=exclusive",
        has("//rsc_location[@id='l-extra' and @score='7' and @resource-discovery='exclusive']"),
    );
    s.step(
        "constraint location 'regexp%d[23]' prefers host3=5",
        has("//rsc_location[@rsc-pattern='d[23]' and @node='host3']"),
    );
    s.step(
        "constraint order start a then start b kind=Optional",
        has("//rsc_order[@first='a' and @then='b' and @kind='Optional']"),
    );
    s.step(
        "constraint order set a b sequential=false setoptions id=os1 kind=Mandatory",
        has_times(
            "//rsc_order[@id='os1']/resource_set[@sequential='false']/resource_ref",
            2,
        ),
    );
    s.step(
        "constraint colocation add p1-clone with a 55 with-rsc-role=Started",
        has("//rsc_colocation[@rsc='p1-clone' and @with-rsc='a' and @score='55']"),
    );
    s.step(
        "constraint colocation set a d1 setoptions score=10",
        has("//rsc_colocation[@score='10']/resource_set"),
    );
    s.step(
        "constraint ticket add tick a loss-policy=stop",
        |stage, ran| {
            has("//rsc_ticket[@ticket='tick' and @rsc='a' and @loss-policy='stop']")(stage, ran)?;
            runs("a", 0)(stage, ran)
        },
    );
    s.step(
        "constraint ticket set b d1 setoptions id=ts1 ticket=tick2 loss-policy=freeze",
        has_times("//rsc_ticket[@ticket='tick2']/resource_set/resource_ref", 2),
    );
    s.step(
        "constraint list --full",
        prints(&[
            "Node: host1 (score:100) (id:location-a-host1-100)",
            "Expression: date gt 2020-01-01",
            "start a then start b (kind:Optional)",
            "set a b sequential=false (id:os1_set) setoptions kind=Mandatory (id:os1)",
            "a loss-policy=stop ticket=tick",
        ]),
    );
    s.step(
        "constraint location config resources b",
        prints(&["Node: host2 (score:7)"]),
    );
    s.step(
        "constraint location config nodes host2",
        prints(&["Resource: b (score:7)"]),
    );
    s.step(
        "constraint ref a",
        prints(&["location-a-host1-100", "os1", "ticket-tick-a"]),
    );
    s.step(
        "resource relations a",
        prints(&["order", "start a then start b"]),
    );
}

pub(super) fn constraints_go(s: &mut Session<'_>) {
    s.step(
        "constraint rule remove r1",
        gone("//rsc_location[@rsc='a']/rule"),
    );
    s.step("constraint ticket remove tick a", |stage, ran| {
        gone("//rsc_ticket[@ticket='tick']")(stage, ran)?;
        on("a", &["host1"])(stage, ran)
    });
    s.step("constraint delete ts1", gone("//rsc_ticket"));
    s.step(
        "constraint colocation remove p1-clone a",
        gone("//rsc_colocation[@rsc='p1-clone']"),
    );
    s.step("constraint order remove a", gone("//rsc_order[@first='a']"));
    s.step(
        "constraint delete location-a-host1-100",
        gone("//rsc_location[@node='host1' and @rsc='a']"),
    );
    s.step(
        "constraint location remove l-extra",
        gone("//*[@id='l-extra']"),
    );
    s.refused("constraint delete nothing", |_, ran| {
        says(&ran.err, &["nothing"])
    });
}

pub(super) fn properties(s: &mut Session<'_>) {
    s.step("property set maintenance-mode=true", |stage, ran| {
        has("//crm_config//nvpair[@name='maintenance-mode' and @value='true']")(stage, ran)?;
        let shown = stage.run("host2", &["crm_mon", "-1"]);
        says(&shown.out, &["maintenance"])
    });
    s.step(
        "property set maintenance-mode=false no-quorum-policy=stop",
        has_all(&[
            "//crm_config//nvpair[@name='maintenance-mode' and @value='false']",
            "//crm_config//nvpair[@name='no-quorum-policy' and @value='stop']",
        ]),
    );
    s.step(
        "property unset maintenance-mode",
        gone("//crm_config//nvpair[@name='maintenance-mode']"),
    );
    s.step(
        "property config",
        prints(&["no-quorum-policy: stop", "stonith-enabled: false"]),
    );
    s.step(
        "property config --defaults",
        prints(&["cluster-recheck-interval: 15min"]),
    );
    s.refused("property set nonsense=1", |stage, ran| {
        says(&ran.err, &["nonsense"])?;
        gone("//nvpair[@name='nonsense']")(stage, ran)
    });
    s.step(
        "property set nonsense=1 --force",
        has("//nvpair[@name='nonsense' and @value='1']"),
    );
    s.step("property set nonsense=", gone("//nvpair[@name='nonsense']"));
}

pub(super) fn nodes(s: &mut Session<'_>) {
    s.step(
        "node attribute host1 rack=r1",
        has("//node[@uname='host1']/instance_attributes/nvpair[@name='rack' and @value='r1']"),
    );
    s.step("node attribute", prints(&["host1: rack=r1"]));
    s.step(
        "node attribute host1 rack=",
        gone("//node//nvpair[@name='rack']"),
    );
    s.step(
        "node utilization host1 cpu=4",
        has("//node[@uname='host1']/utilization/nvpair[@name='cpu' and @value='4']"),
    );
    s.step("node utilization", prints(&["host1: cpu=4"]));
    s.step("node standby host2 --wait=30", |stage, ran| {
        has("//node[@uname='host2']//nvpair[@name='standby' and @value='on']")(stage, ran)?;
        runs("p1", 2)(stage, ran)?;
        // Nothing else may run b.
        runs("b", 0)(stage, ran)
    });
    s.step("status nodes", prints(&["Standby: host2"]));
    s.step("node unstandby --all --wait=30", |stage, ran| {
        gone("//node//nvpair[@name='standby']")(stage, ran)?;
        on("b", &["host2"])(stage, ran)
    });
    s.step("node maintenance host3", |stage, ran| {
        has("//node[@uname='host3']//nvpair[@name='maintenance' and @value='on']")(stage, ran)?;
        let shown = stage.run("host2", &["crm_mon", "-1"]);
        says(&shown.out, &["Node host3: maintenance"])
    });
    s.step(
        "node unmaintenance host3",
        gone("//node//nvpair[@name='maintenance']"),
    );
}

pub(super) fn permissions(s: &mut Session<'_>) {
    s.step(
        "acl role create ops description=operators read xpath //status write id a",
        has_all(&[
            "//acl_role[@id='ops' and @description='operators']/acl_permission[@kind='read' and @xpath='//status']",
            "//acl_role[@id='ops']/acl_permission[@kind='write' and @reference='a']",
        ]),
    );
    s.step(
        "acl user create bob ops",
        has("//acl_target[@id='bob']/role[@id='ops']"),
    );
    s.step(
        "acl group create admins ops",
        has("//acl_group[@id='admins']/role[@id='ops']"),
    );
    s.step(
        "acl permission add ops deny xpath //nodes",
        has("//acl_role[@id='ops']/acl_permission[@kind='deny' and @xpath='//nodes']"),
    );
    s.step(
        "acl config",
        prints(&["ACLs are disabled", "User: bob", "Role: ops"]),
    );
    s.step(
        "acl enable",
        has("//nvpair[@name='enable-acl' and @value='true']"),
    );
    s.step(
        "acl disable",
        has("//nvpair[@name='enable-acl' and @value='false']"),
    );
    s.step(
        "acl role unassign ops from user bob",
        gone("//acl_target[@id='bob']/role"),
    );
    s.step("acl user delete bob", gone("//acl_target"));
    s.step("acl role delete ops --autodelete", |stage, ran| {
        gone("//acl_role")(stage, ran)?;
        gone("//acl_group")(stage, ran)
    });
}

pub(super) fn alerts(s: &mut Session<'_>) {
    s.step(
        "alert create path=/bin/true id=al1 description=x options foo=1 meta timeout=5s",
        has("//alert[@id='al1' and @path='/bin/true']/instance_attributes/nvpair[@name='foo']"),
    );
    s.step(
        "alert recipient add al1 value=me id=rec1",
        has("//alert[@id='al1']/recipient[@id='rec1' and @value='me']"),
    );
    s.step(
        "alert update al1 options foo=2",
        has("//alert//nvpair[@name='foo' and @value='2']"),
    );
    s.step(
        "alert recipient update rec1 value=you",
        has("//recipient[@value='you']"),
    );
    s.step(
        "alert config",
        prints(&["al1 (path=/bin/true)", "rec1 (value=you)"]),
    );
    s.step("alert recipient remove rec1", gone("//recipient"));
    s.step("alert delete al1", gone("//alert"));
}

pub(super) fn tags(s: &mut Session<'_>) {
    s.step("tag create tg a b", has_times("//tag[@id='tg']/obj_ref", 2));
    s.step("tag config", prints(&["tg", "  a", "  b"]));
    s.step("resource disable tg --wait=30", |stage, ran| {
        runs("a", 0)(stage, ran)?;
        runs("b", 0)(stage, ran)
    });
    s.step("resource enable tg --wait=30", |stage, ran| {
        runs("a", 1)(stage, ran)?;
        runs("b", 1)(stage, ran)
    });
    s.step("tag update tg remove b", has("//tag[@id='tg']/obj_ref"));
    s.step("tag delete tg", gone("//tag"));
}
