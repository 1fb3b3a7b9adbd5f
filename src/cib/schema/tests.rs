use super::*;
use crate::xml::Limits;

#[test]
fn recorded_cibs_are_valid() {
    let folder = std::path::Path::new("../shared/conformance/scheduler/cases/xml");
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let mut wrong = Vec::new();
    for file in files.map(|file| file.unwrap().path()) {
        let cib = Cib::parse(std::fs::read(&file).unwrap(), &Limits::CIB).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().to_string();
        wrong.extend(
            check(&cib)
                .into_iter()
                .map(|violation| format!("{name}: {violation}")),
        );
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a configuration of these sections.
fn wrong(resources: &str, constraints: &str) -> String {
    let text = format!(
        "<cib validate-with=\"pacemaker-4.0\">\n<configuration><crm_config/><nodes/>\n<resources>{resources}</resources>\n<constraints>{constraints}</constraints></configuration><status/></cib>"
    );
    let found = check(&Cib::parse(&text, &Limits::CIB).unwrap());
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn errors_name_element_id_line_and_cure() {
    const P: &str = r#"<primitive id="p" class="ocf" provider="x" type="y"/>"#;
    for (resources, constraints, expected) in [
        (P, "", ""),
        (
            "<primitiv id=\"p\"/>",
            "",
            "<primitiv id=\"p\"> (line 3): it may not stand in <resources>, only primitive, template",
        ),
        (
            "<primitive id=\"p\"/>",
            "",
            "<primitive id=\"p\"> (line 3): it needs class and type, or a template",
        ),
        (
            "<primitive class=\"ocf\" type=\"y\" provider=\"x\"/>",
            "",
            "attribute id is missing",
        ),
        (
            "<primitive id=\"p\" class=\"ocf\" type=\"y\"/>",
            "",
            "an ocf agent needs a provider",
        ),
        (
            "<primitive id=\"1p\" class=\"lsb\" type=\"y\"/>",
            "",
            "`1p` is no id; begin with a letter or _",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"y\" klass=\"z\"/>",
            "",
            "there is no attribute klass, only id, class",
        ),
        (
            "<primitive id=\"p\" template=\"t\"/>",
            "",
            "template names `t`, and no template has that id",
        ),
        ("<group id=\"g\"/>", "", "a group needs a primitive"),
        (
            "<clone id=\"g\"/>",
            "",
            "there must be exactly one primitive or group in it",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"y\"/>\n<primitive id=\"p\" class=\"lsb\" type=\"y\"/>",
            "",
            "<primitive id=\"p\"> (line 4): the id is taken by a <primitive> in line 3; choose another one",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"y\"><operations><op id=\"o\" name=\"monitor\" interval=\"soon\"/></operations></primitive>",
            "",
            "<op id=\"o\"> (line 3): interval is `soon`, it must be a time span such as 10s or 1min",
        ),
        (
            P,
            r#"<rsc_colocation id="c" rsc="p" with-rsc="p" score="INFINITY"/>"#,
            "<rsc_colocation id=\"c\"> (line 4): a resource cannot be placed relative to itself",
        ),
        (
            P,
            r#"<rsc_colocation id="c" rsc="p" with-rsc="q" score="5"/>"#,
            "with-rsc names `q`, and no resource has that id",
        ),
        (
            P,
            r#"<rsc_location id="c" rsc="p" node="n" score="lots"/>"#,
            "score is `lots`, it must be a number, INFINITY or -INFINITY",
        ),
        (
            P,
            r#"<rsc_location id="c" rsc="p" node="n" score="5x"/>"#,
            "score is `5x`",
        ),
        (
            P,
            r#"<rsc_location id="c" rsc="p" node="n"/>"#,
            "it needs node and score, or a rule",
        ),
        (
            P,
            r#"<rsc_order id="c" first="p" first-action="break" then="p"/>"#,
            "first-action is `break`, it must be one of start, stop",
        ),
        (
            P,
            r#"<rsc_ticket id="c" rsc="p"/>"#,
            "attribute ticket is missing",
        ),
        (
            P,
            r#"<rsc_order id="c" first="p" then="p"/>"#,
            "ordered relative to itself",
        ),
    ] {
        let found = wrong(resources, constraints);
        assert!(
            found.contains(expected) && (found.is_empty() == expected.is_empty()),
            "{resources}{constraints}: {found}"
        );
    }
}

#[test]
fn schemas_are_known_by_name() {
    let with = |name: &str| check(&Cib::new(Element::new("cib").with("validate-with", name)));
    assert!(
        with("pacemaker-9999.0")[0]
            .to_string()
            .contains("the schema pacemaker-9999.0 is not known")
    );
    assert!(with("none").is_empty());
    assert!(
        check(&Cib::new(Element::new("cib")))[0]
            .to_string()
            .contains("no validate-with")
    );
    assert!(check(&Cib::empty()).is_empty());
}
