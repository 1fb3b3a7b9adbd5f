//! XML, ids, references, scores, patches and sizes that are wrong.

use super::*;

pub(crate) fn malformed_xml(lab: &Lab) {
    let file = lab.file("bad.xml", "<cib>\n  <configuration>\n    <oops\n</cib>");
    let load = ["crm", "configure", "load", "xml", "update", &file];
    let dtd = "<!DOCTYPE a [<!ENTITY x \"y\">]><primitive id=\"&x;\"/>";
    let nested = "<a>".repeat(3000);
    lab.node.refuse(&[
        (
            &["cibadmin", "-R", "-X", "<cib><configuration>"],
            65,
            &["line 1", "<configuration>", "not closed"],
        ),
        (
            &["cibadmin", "-R", "-x", &file],
            65,
            &["bad.xml", "line 3", "correct it"],
        ),
        (&load, 65, &["bad.xml", "line 3", "nothing was changed"]),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", dtd],
            65,
            &["DOCTYPE", "remove"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", &nested],
            65,
            &["nested more than"],
        ),
        (
            &["cibadmin", "-R", "-x", "/does/not/exist"],
            66,
            &["/does/not/exist"],
        ),
    ]);
}

pub(crate) fn unknown_element(lab: &Lab) {
    let wrong = r#"<primitve id="x" class="ocf" provider="test" type="Odd"/>"#;
    let attribute = r#"<primitive id="x" clas="ocf" type="Odd"/>"#;
    let file = lab.file(
        "wrong.xml",
        "<resources>\n<primitive id=\"y\" class=\"ocf\" provider=\"test\" type=\"Odd\">\n<opps id=\"o\"/>\n</primitive>\n</resources>",
    );
    lab.node.refuse(&[
        (
            &["cibadmin", "-M", "-c", "-o", "resources", "-x", &file],
            78,
            &["<opps id=\"o\">", "wrong.xml", "in line 3"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", wrong],
            78,
            &["<primitve id=\"x\">", "only primitive"],
        ),
        (
            &["cibadmin", "-M", "-c", "-o", "resources", "-X", wrong],
            78,
            &["<primitve id=\"x\">", "only primitive"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", attribute],
            78,
            &["<primitive id=\"x\">", "clas"],
        ),
        (
            &["crm", "configure", "primitve", "x", "ocf:test:Odd"],
            64,
            &["primitve", "similar", "primitive"],
        ),
    ]);
}

pub(crate) fn duplicate_id(lab: &Lab) {
    let again = r#"<primitive id="a" class="ocf" provider="test" type="Odd"/>"#;
    let taken = r#"<rsc_location id="a" rsc="b" node="n1" score="1"/>"#;
    let primitive = [
        "crm",
        "configure",
        "primitive",
        "a",
        "ocf:test:Odd",
        "params",
        "needed=1",
    ];
    lab.node.refuse(&[
        (
            &["cibadmin", "-C", "-o", "resources", "-X", again],
            108,
            &["<primitive id=\"a\">", "choose another id"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", taken],
            78,
            &["<rsc_location id=\"a\">", "<primitive>", "choose another"],
        ),
        (&primitive, 108, &["\"a\"", "choose another id"]),
        (
            &["crm", "configure", "location", "a", "b", "100:", "n1"],
            78,
            &["\"a\" is taken", "choose another id"],
        ),
    ]);
}

pub(crate) fn dangling_reference(lab: &Lab) {
    let location = r#"<rsc_location id="l" rsc="ghost" node="n1" score="1"/>"#;
    let order = r#"<rsc_order id="o" first="a" then="ghost"/>"#;
    lab.node.refuse(&[
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", location],
            78,
            &["id=\"l\"", "rsc names `ghost`", "create it first"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", order],
            78,
            &["id=\"o\"", "then names `ghost`", "create it first"],
        ),
        (
            &["crm", "configure", "location", "l", "ghost", "1:", "n1"],
            78,
            &[
                "l: there is no resource \"ghost\"",
                "create \"ghost\" first",
            ],
        ),
        (
            &["crm", "configure", "group", "g", "a", "ghost"],
            78,
            &[
                "g: there is no resource \"ghost\"",
                "create \"ghost\" first",
            ],
        ),
        (
            &["crm", "configure", "delete", "ghost"],
            105,
            &["\"ghost\""],
        ),
        (&["crm", "resource", "stop", "ghost"], 105, &["ghost"]),
        (&["crm", "node", "standby", "ghost"], 105, &["ghost"]),
    ]);
}

pub(crate) fn unknown_agent(lab: &Lab) {
    lab.node.refuse(&[
        (
            &[
                "crm",
                "configure",
                "primitive",
                "x",
                "ocf:test:Ood",
                "params",
                "needed=1",
            ],
            78,
            &[
                "x: there is no agent ocf:test:Ood",
                "did you mean ocf:test:Odd",
            ],
        ),
        (
            &["crm", "configure", "primitive", "x", "ocf:nobody:Odd"],
            78,
            &[
                "x: there is no agent ocf:nobody:Odd",
                "did you mean ocf:test:Odd",
            ],
        ),
    ]);
}

pub(crate) fn missing_parameter(lab: &Lab) {
    lab.node.refuse(&[
        (
            &["crm", "configure", "primitive", "x", "ocf:test:Odd"],
            78,
            &[
                "x: the agent ocf:test:Odd needs the parameter \"needed\"",
                "params needed=VALUE",
            ],
        ),
        (
            &["crm", "configure", "primitive", "x", "ocf:systole:IPaddr2"],
            78,
            &["x:", "\"ip\"", "params ip=VALUE"],
        ),
    ]);
}

pub(crate) fn colocation_with_itself(lab: &Lab) {
    let xml = r#"<rsc_colocation id="c" rsc="a" with-rsc="a" score="INFINITY"/>"#;
    lab.node.refuse(&[
        (
            &["crm", "configure", "colocation", "c", "inf:", "a", "a"],
            78,
            &["\"a\" is colocated with itself", "name another resource"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", xml],
            78,
            &["<rsc_colocation id=\"c\">", "name another"],
        ),
        (
            &["crm", "configure", "order", "o", "a", "a"],
            78,
            &["\"a\" is ordered after itself", "name another resource"],
        ),
    ]);
}

pub(crate) fn bad_score(lab: &Lab) {
    let xml = r#"<rsc_location id="l" rsc="a" node="n1" score="lots"/>"#;
    lab.node.refuse(&[
        (
            &["crm", "configure", "location", "l", "a", "lots:", "n1"],
            78,
            &["\"lots:\" is no score", "whole number"],
        ),
        (
            &["crm", "configure", "colocation", "c", "lots:", "a", "b"],
            78,
            &["\"lots:\" is no score", "whole number"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", xml],
            78,
            &["id=\"l\"", "`lots`", "INFINITY"],
        ),
    ]);
}

pub(crate) fn stale_patch(lab: &Lab) {
    let patch = r#"<diff format="2"><version><source admin_epoch="0" epoch="0" num_updates="0"/>
        <target admin_epoch="0" epoch="1" num_updates="0"/></version>
        <change operation="delete" path="/cib/configuration/resources/primitive[@id='a']"/></diff>"#;
    let old = r#"<cib admin_epoch="0" epoch="0" num_updates="0" validate-with="pacemaker-4.0"><configuration>
        <crm_config/><nodes/><resources/><constraints/></configuration><status/></cib>"#;
    let lost = r#"<diff format="2"><change operation="create" path="/cib/configuration/resources/group[@id='ghost']"
        position="0"><primitive id="x" class="ocf" provider="test" type="Odd"/></change></diff>"#;
    lab.node.refuse(&[
        (
            &["cibadmin", "--patch", "-X", patch],
            103,
            &["version 0.0.0", "older", "fetch the newest CIB"],
        ),
        (
            &["cibadmin", "-R", "-X", old],
            103,
            &["version 0.0.0", "older", "fetch the newest CIB"],
        ),
        (
            &["cibadmin", "--patch", "-X", lost],
            1,
            &["the patch does not fit", "ghost"],
        ),
    ]);
}

pub(crate) fn oversized_document(lab: &Lab) {
    let value = "v".repeat(33 << 20);
    let text = format!("<nvpair id=\"n\" name=\"n\" value=\"{value}\"/>");
    let large = lab.file("large.xml", &text);
    let huge = lab.file("huge.xml", &" ".repeat(65 << 20));
    let began = now();
    lab.node.refuse(&[
        (
            &["cibadmin", "-M", "-c", "-o", "crm_config", "-x", &large],
            65,
            &["at most 32 MiB", "smaller parts"],
        ),
        (
            &["cibadmin", "-M", "-c", "-o", "crm_config", "-x", &huge],
            65,
            &["huge.xml", "67108864"],
        ),
        (
            &["crm", "configure", "load", "xml", "update", &huge],
            65,
            &["huge.xml", "67108864"],
        ),
    ]);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

/// A large change that is allowed is no reason to stand still.
pub(crate) fn large_document(lab: &Lab) {
    let roles = |n: usize| {
        format!(
            "<acl_role id=\"role{n}\"><acl_permission id=\"role{n}-p\" kind=\"read\" xpath=\"/cib\"/></acl_role>"
        )
    };
    let text = format!("<acls>{}</acls>", (0..5000).map(roles).collect::<String>());
    let file = lab.file("many.xml", &text);
    let began = now();
    lab.node
        .tool(&["cibadmin", "-M", "-c", "-o", "acls", "-x", &file])
        .fine();
    lab.node
        .tool(&["cibadmin", "-M", "-c", "-o", "acls", "-x", &file])
        .fine();
    println!("5000 roles, twice: {:?}", began.elapsed());
    lab.node
        .tool(&["cibadmin", "--delete-all", "--force", "-A", "//acl_role"])
        .fine();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
