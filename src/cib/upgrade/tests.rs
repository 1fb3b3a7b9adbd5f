use super::*;
use crate::{
    cib::Cib,
    xml::{Limits, parse},
};

/// The configuration after the upgrade of one with this content. It must be valid.
fn upgrade(schema: &str, sections: &[(&str, &str)]) -> Element {
    let mut text = format!(r#"<cib validate-with="{schema}"><configuration>"#);
    for name in [
        "crm_config",
        "nodes",
        "resources",
        "constraints",
        "rsc_defaults",
        "op_defaults",
        "fencing-topology",
        "acls",
    ] {
        let content = sections
            .iter()
            .find(|(section, _)| *section == name)
            .map_or("", |(_, c)| c);
        text += &format!("<{name}>{content}</{name}>");
    }
    text += "</configuration><status/></cib>";
    let new = latest(&parse(&text, &Limits::CIB).unwrap()).unwrap();
    let wrong = crate::cib::schema::check(&Cib::new(new.clone()));
    assert!(wrong.is_empty(), "{wrong:?}\n{new}");
    new.child("configuration").unwrap().clone()
}

fn one(schema: &str, section: &str, content: &str) -> String {
    let configuration = upgrade(schema, &[(section, content)]);
    let section = configuration.child(section).unwrap();
    section.children().map(ToString::to_string).collect()
}

#[test]
fn recorded_cibs_upgrade_and_stay_valid() {
    let folder = std::path::Path::new("../shared/conformance/scheduler/cases/xml");
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    for file in files.map(|file| file.unwrap().path()) {
        let old = parse(std::fs::read(&file).unwrap(), &Limits::CIB).unwrap();
        let new = latest(&old).unwrap();
        let wrong = crate::cib::schema::check(&Cib::new(new.clone()));
        assert!(wrong.is_empty(), "{}: {wrong:?}", file.display());
        assert!(
            old.child("status")
                .unwrap()
                .ptr_eq(new.child("status").unwrap())
        );
    }
}

#[test]
fn what_is_not_old_is_not_touched() {
    let old = parse(
        r#"<cib validate-with="pacemaker-3.10"><configuration><crm_config/><nodes/><resources>
        <clone id="c"><primitive id="p" class="ocf" provider="x" type="y"/></clone></resources>
        <constraints/></configuration><status/></cib>"#,
        &Limits::CIB,
    )
    .unwrap();
    let new = latest(&old).unwrap();
    assert!(
        old.child("configuration")
            .unwrap()
            .ptr_eq(new.child("configuration").unwrap())
    );
    assert_eq!(new.get("validate-with"), Some(SCHEMA));
    assert!(latest(&new).unwrap().ptr_eq(&new));
    assert!(latest(&Element::new("cib")).is_err());
    assert!(latest(&Element::new("cib").with("validate-with", "pacemaker-9999.0")).is_err());
}

#[test]
fn a_master_is_a_promotable_clone() {
    let new = one(
        "pacemaker-2.0",
        "resources",
        r#"<master id="m"><primitive id="p" class="ocf" provider="x" type="y"/></master>"#,
    );
    assert!(new.starts_with(r#"<clone id="m"><meta_attributes id="m-pcmk__3_10_upgrade-meta" score="INFINITY"><nvpair id="m-pcmk__3_10_upgrade-meta-promotable" name="promotable" value="true"/>"#), "{new}");
}

#[test]
fn a_master_in_a_document_of_today_is_put_right() {
    let document = |clone: &str| {
        let text = format!(
            "<cib validate-with=\"{SCHEMA}\"><configuration><resources>{clone}</resources></configuration></cib>"
        );
        crate::xml::parse(&text, &Limits::CIB).unwrap()
    };
    let master = document(
        r#"<master id="m"><meta_attributes id="a"><nvpair id="b" name="notify" value="true"/></meta_attributes><primitive id="p" class="ocf" provider="x" type="y"/></master>"#,
    );
    let clone = document(
        r#"<clone id="m"><meta_attributes id="a"><nvpair id="b" name="notify" value="true"/><nvpair id="a-promotable" name="promotable" value="true"/></meta_attributes><primitive id="p" class="ocf" provider="x" type="y"/></clone>"#,
    );
    assert_eq!(todays_words(&master), Some(clone.clone()));
    assert_eq!(todays_words(&clone), None);
}

#[test]
fn defaults_move_and_keep_precedence() {
    let new = upgrade(
        "pacemaker-2.5",
        &[
            (
                "crm_config",
                r#"<cluster_property_set id="s"><nvpair id="a" name="default_resource_stickiness" value="7"/><nvpair id="b" name="no_quorum_policy" value="stop"/><nvpair id="c" name="expected-quorum-votes" value="3"/><nvpair id="d" name="default-action-timeout" value="9s"/></cluster_property_set>"#,
            ),
            (
                "rsc_defaults",
                r#"<meta_attributes id="own"><nvpair id="o" name="resource-stickiness" value="1"/></meta_attributes>"#,
            ),
        ],
    );
    assert_eq!(
        new.child("rsc_defaults").unwrap().to_string(),
        r#"<rsc_defaults><meta_attributes id="s-rsc_defaults-resource-stickiness"><nvpair id="a" name="resource-stickiness" value="7"/></meta_attributes><meta_attributes id="own"><nvpair id="o" name="resource-stickiness" value="1"/></meta_attributes></rsc_defaults>"#
    );
    assert_eq!(
        new.child("crm_config").unwrap().to_string(),
        r#"<crm_config><cluster_property_set id="s"><nvpair id="b" name="no-quorum-policy" value="stop"/></cluster_property_set></crm_config>"#
    );
    assert!(
        new.child("op_defaults")
            .unwrap()
            .to_string()
            .contains(r#"name="timeout" value="9s""#)
    );
}

#[test]
fn requires_moves_to_the_resource() {
    let new = one(
        "pacemaker-2.5",
        "resources",
        r#"<primitive id="p" class="ocf" provider="x" type="y"><operations><op id="s" name="start" interval="0"><instance_attributes id="i"><nvpair id="n" name="requires" value="nothing"/><nvpair id="t" name="timeout" value="5s"/></instance_attributes></op></operations></primitive>"#,
    );
    assert_eq!(
        new,
        r#"<primitive id="p" class="ocf" provider="x" type="y"><operations><op id="s" name="start" interval="0"><meta_attributes id="s-meta_attributes"><nvpair id="s-meta_attributes-timeout" name="timeout" value="5s"/></meta_attributes></op></operations><meta_attributes id="p-meta_attributes"><nvpair id="p-meta_attributes-requires" name="requires" value="nothing"/></meta_attributes></primitive>"#
    );
}

#[test]
fn several_rules_are_several_constraints_and_lifetimes_are_rules() {
    let p = r#"<primitive id="p" class="ocf" provider="x" type="y"/>"#;
    let rule = |id: &str| {
        format!(
            r#"<rule id="{id}" score="5"><expression id="{id}-e" attribute="a" operation="defined"/></rule>"#
        )
    };
    let constraint = format!(
        r#"<rsc_location id="l" rsc="p">{}{}</rsc_location>"#,
        rule("r1"),
        rule("r2")
    );
    let new = upgrade(
        "pacemaker-3.4",
        &[("resources", p), ("constraints", &constraint)],
    );
    let ids: Vec<_> = new
        .child("constraints")
        .unwrap()
        .children()
        .filter_map(Element::id)
        .collect();
    assert_eq!(ids, ["pcmk__3_10_upgrade-l-1", "pcmk__3_10_upgrade-l-2"]);
    let lifetime = r#"<rsc_location id="l" rsc="p" node="n" score="9"><lifetime><rule id="t"><date_expression id="d" operation="gt" start="2020-01-01"/></rule></lifetime></rsc_location>"#;
    let new = upgrade(
        "pacemaker-3.4",
        &[("resources", p), ("constraints", lifetime)],
    );
    let rule = new
        .descend(&["constraints", "rsc_location", "rule"])
        .unwrap();
    assert_eq!(
        (
            rule.get("boolean-op"),
            rule.get("score"),
            rule.children().count()
        ),
        (Some("and"), Some("9"), 2)
    );
}

#[test]
fn obsolete_classes_vanish_with_what_names_them() {
    let resources = r#"<group id="g"><primitive id="p" class="upstart" type="y"/></group><primitive id="q" class="systemd" type="z"/>"#;
    let constraints = r#"<rsc_order id="o" first="g" then="q"/><rsc_order id="o2"><resource_set id="s"><resource_ref id="p"/></resource_set><resource_set id="s2"><resource_ref id="q"/></resource_set></rsc_order>"#;
    let new = upgrade(
        "pacemaker-3.4",
        &[("resources", resources), ("constraints", constraints)],
    );
    assert_eq!(
        new.child("resources").unwrap().to_string(),
        r#"<resources><primitive id="q" class="systemd" type="z"/></resources>"#
    );
    assert_eq!(
        new.child("constraints").unwrap().to_string(),
        r#"<constraints><rsc_order id="o2"><resource_set id="s2"><resource_ref id="q"/></resource_set></rsc_order></constraints>"#
    );
}

#[test]
fn old_access_lists_are_rewritten() {
    let new = one(
        "pacemaker-1.2",
        "acls",
        r#"<acl_role id="r"><read id="x" ref="p"/></acl_role><acl_user id="bob"><role_ref id="r"/><write id="w" tag="nodes"/></acl_user>"#,
    );
    assert_eq!(
        new,
        r#"<acl_role id="r"><acl_permission id="x" kind="read" reference="p"/></acl_role><acl_role id="auto-bob"><acl_permission id="w" kind="write" object-type="nodes"/></acl_role><acl_target id="bob"><role id="r"/><role id="auto-bob"/></acl_target>"#
    );
}

/// Of a name that is there twice the first value stays, and the other names are left alone.
#[test]
fn repeated_names_leave_one() {
    let set = r#"<clone id="c"><meta_attributes id="m"><nvpair id="a" name="promotable" value="true"/><nvpair id="b" name="target-role" value="Started"/><nvpair id="d" name="target-role" value="Stopped"/></meta_attributes><primitive id="p" class="ocf" provider="x" type="y"/></clone>"#;
    let new = one("pacemaker-3.7", "resources", set);
    assert!(
        new.contains("promotable") && new.contains("Started") && !new.contains("Stopped"),
        "{new}"
    );
}
