use super::*;
use crate::{
    cib::{Command, apply, query},
    xml::Limits,
};

fn cib(permissions: &str) -> Cib {
    let text = format!(
        r#"<cib validate-with="pacemaker-4.0" admin_epoch="0" epoch="1" num_updates="0"><configuration>
        <crm_config><cluster_property_set id="s"><nvpair id="s-1" name="enable-acl" value="true"/></cluster_property_set></crm_config>
        <nodes><node id="1" uname="n1"/></nodes>
        <resources><primitive id="a" class="lsb" type="x"><meta_attributes id="m"><nvpair id="n" name="priority" value="1"/></meta_attributes></primitive>
        <primitive id="b" class="lsb" type="x"/></resources><constraints/>
        <acls><acl_target id="eve"><role id="r"/></acl_target><acl_group id="ops"><role id="r"/></acl_group>
        <acl_role id="r">{permissions}</acl_role></acls></configuration><status/></cib>"#
    );
    Cib::parse(text, &Limits::CIB).unwrap()
}

fn eve() -> Origin {
    Origin {
        user: "eve".into(),
        ..Origin::default()
    }
}

const READ: &str = r#"<acl_permission id="p0" kind="read" xpath="/cib"/>"#;

fn reads(permissions: &str, section: &str) -> String {
    match query(&cib(permissions), &Command::query(section).from(eve())) {
        Ok(found) => found.unwrap().to_string(),
        Err(error) => error.exit().to_string(),
    }
}

#[test]
fn what_may_not_be_read_is_left_out() {
    let deny = r#"<acl_permission id="p1" kind="deny" reference="m"/>"#;
    assert_eq!(
        reads(&format!("{READ}{deny}"), "resources")
            .matches("meta_attributes")
            .count(),
        0
    );
    assert!(reads(&format!("{READ}{deny}"), "resources").contains("class=\"lsb\""));
    let only = r#"<acl_permission id="p1" kind="read" object-type="meta_attributes"/>"#;
    assert_eq!(
        reads(only, "resources"),
        r#"<resources><primitive id="a"><meta_attributes id="m"><nvpair id="n" name="priority" value="1"/></meta_attributes></primitive></resources>"#
    );
    assert_eq!(reads(only, "nodes"), "105");
    assert_eq!(reads("", "resources"), "4");
    let unreadable = r#"<acl_permission id="p1" kind="deny" xpath="//["/>"#;
    assert_eq!(reads(&format!("{READ}{unreadable}"), "resources"), "4");
}

fn writes(permissions: &str, origin: Origin, section: &str, input: &str) -> i32 {
    let input = crate::xml::parse(input, &Limits::CIB).unwrap();
    let command = Command::modify(section, input).or_create().from(origin);
    apply(&cib(permissions), &command)
        .answer
        .map_or_else(|error| error.exit().0, |_| 0)
}

#[test]
fn what_may_be_written() {
    let write = r#"<acl_permission id="p1" kind="write" reference="a"/>"#;
    let both = format!("{READ}{write}");
    let change_a = r#"<primitive id="a" description="x"/>"#;
    let change_b = r#"<primitive id="b" description="x"/>"#;
    let add = r#"<primitive id="c" class="lsb" type="x"/>"#;
    let below = r#"<meta_attributes id="m"><nvpair id="k" name="k" value="v"/></meta_attributes>"#;
    assert_eq!(writes(&both, eve(), "resources", change_a), 0);
    assert_eq!(writes(&both, eve(), "resources", below), 0);
    assert_eq!(writes(&both, eve(), "resources", change_b), 4);
    assert_eq!(writes(&both, eve(), "resources", add), 4);
    let denied = format!(r#"{both}<acl_permission id="p2" kind="deny" reference="m"/>"#);
    assert_eq!(writes(&denied, eve(), "resources", below), 4);
    let all = r#"<acl_permission id="p1" kind="write" xpath="//resources"/>"#;
    assert_eq!(writes(all, eve(), "resources", add), 0);
    assert_eq!(writes(all, eve(), "acls", r#"<acl_role id="new"/>"#), 4);
    assert_eq!(writes(&both, eve(), "configuration", "<tags/>"), 0);
    assert_eq!(
        writes(
            READ,
            Origin {
                user: "root".into(),
                ..Origin::default()
            },
            "resources",
            add
        ),
        0
    );
    assert_eq!(
        writes(
            READ,
            Origin {
                user: "bob".into(),
                ..Origin::default()
            },
            "resources",
            add
        ),
        4
    );
    let member = Origin {
        user: "bob".into(),
        groups: vec!["ops".into()],
        ..Origin::default()
    };
    assert_eq!(writes(all, member, "resources", add), 0);
}
