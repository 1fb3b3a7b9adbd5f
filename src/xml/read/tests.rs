use proptest::prelude::*;

use super::*;
use crate::xml::write;

fn problem(text: &str) -> String {
    parse(text, &Limits::CIB)
        .map(|e| format!("read as {e}"))
        .unwrap_or_else(|e| e.to_string())
}

#[test]
fn reads_what_it_should() {
    let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- x --><a b='1&#x41;&amp;\n&#10;\"'>\n  \
                <!-- in -->text<c/>\n<d e=\"é\"></d ></a>\n<!-- after -->";
    let e = parse(text, &Limits::CIB).unwrap();
    assert_eq!(
        write::compact(&e),
        "<a b=\"1A&amp; &#xA;&quot;\"><!-- in --><c/><d e=\"é\"/></a>"
    );
    assert_eq!(e.child("d").unwrap().line(), 5);
}

#[test]
fn keeps_text_when_asked() {
    let text =
        "<!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\"><a>x &lt; y<![CDATA[<z>]]><b/></a>";
    let e = parse(text, &Limits::METADATA).unwrap();
    assert_eq!(e.text(), "x < y<z>");
    assert_eq!(
        problem(text),
        "line 1, column 1: a document type (DTD) is not accepted; remove the <!DOCTYPE> line"
    );
}

#[test]
fn says_where_and_why() {
    for (text, expected) in [
        ("", "line 1, column 1: no element in the document"),
        ("<a>\n<b></a>", "line 2, column 4: </a> where </b> belongs"),
        (
            "<a>",
            "line 1, column 4: <a>, begun in line 1, is not closed",
        ),
        ("</a>", "line 1, column 1: </a> without a beginning"),
        (
            "<a/><b/>",
            "line 1, column 5: there must be one element around everything; here begins another one",
        ),
        (
            "<a/>x",
            "line 1, column 5: text outside of the document's element",
        ),
        ("<a é='1' é='2'/>", "attribute é of <a> is given twice"),
        (
            "<r><a b='1' c='2'/><a c='1' b='2'/><a b='1' c='2' b='3'/></r>",
            "line 1, column 37: attribute b of <a> is given twice",
        ),
        (
            "<a\n b='&x;'/>",
            "line 2, column 5: entity &x; is not accepted",
        ),
        ("<a>&x;</a>", "line 1, column 4: entity &x; is not accepted"),
        ("<a b='&#0;'/>", "line 1, column 7: &#0; is no character"),
        (
            "<a b='<'/>",
            "line 1, column 7: a bare < in the value of attribute b",
        ),
        (
            "<a b='x & y'/>",
            "line 1, column 9: a bare & in text; write &amp;",
        ),
        (
            "<a b='\u{1}'/>",
            "line 1, column 7: character U+0001 is not allowed",
        ),
        ("<1/>", "line 1, column 2: `1` is not a name"),
        ("<a b=1/>", "in <a>"),
        ("<a b/>", "in <a>"),
        ("<a", "line 1, column 1"),
        (
            "<?xml version='1.0' encoding='latin1'?><a/>",
            "encoding latin1 is not supported",
        ),
        (
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a/>",
            "a document type (DTD) is not accepted",
        ),
    ] {
        let found = problem(text);
        assert!(found.contains(expected), "{text:?}: {found}");
    }
    assert!(
        parse(b"<a b='\xff'/>", &Limits::CIB)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );
}

#[test]
fn bounds_hold() {
    let limits = Limits {
        bytes: 1000,
        depth: 3,
        elements: 5,
        attributes: 2,
        ..Limits::CIB
    };
    for (text, expected) in [
        (
            "<a><b><c><d/></c></b></a>".to_string(),
            "nested more than 3 deep",
        ),
        (
            format!("<a>{}</a>", "<b/>".repeat(5)),
            "more than 5 elements",
        ),
        ("<a b='' c='' d=''/>".to_string(), "more than 2 attributes"),
        (" ".repeat(1001), "1001 bytes, more than the 1000"),
    ] {
        let found = parse(&text, &limits).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn reads_every_recorded_cib() {
    let folder = std::path::Path::new("../shared/conformance/scheduler/cases/xml");
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    for file in files.map(|file| file.unwrap().path()) {
        let e = parse(std::fs::read(&file).unwrap(), &Limits::CIB)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(
            parse(write::pretty(&e), &Limits::CIB).unwrap(),
            e,
            "{}",
            file.display()
        );
    }
}

/// Any tree that can be written.
pub(crate) fn any_element() -> impl Strategy<Value = Element> {
    let name = "[a-z_][a-z0-9_-]{0,5}";
    let value = prop_oneof![
        "[ -~]{0,80}",
        proptest::collection::vec(
            any::<char>().prop_filter("allowed", |c| is_allowed(*c)),
            0..6
        )
        .prop_map(|chars| chars.into_iter().collect::<String>()),
        "[\t\n\r &<>\"']{0,6}",
    ];
    let attributes = proptest::collection::btree_map(name, value, 0..5);
    let leaf = (name, attributes.clone()).prop_map(|(tag, attributes)| {
        attributes
            .iter()
            .fold(Element::new(&tag), |e, (name, value)| e.with(name, value))
    });
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let node = prop_oneof![
            4 => inner.prop_map(Node::Element),
            1 => "[ a-z<>&]{0,10}".prop_map(|text| Node::comment(&text)),
        ];
        (
            name,
            attributes.clone(),
            proptest::collection::vec(node, 0..5),
        )
            .prop_map(|(tag, attributes, nodes)| {
                let mut e = attributes
                    .iter()
                    .fold(Element::new(&tag), |e, (name, value)| e.with(name, value));
                e.nodes_mut().extend(nodes);
                e
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_reads_back(e in any_element()) {
        prop_assert_eq!(&parse(write::compact(&e), &Limits::CIB).unwrap(), &e);
        prop_assert_eq!(&parse(write::pretty(&e), &Limits::CIB).unwrap(), &e);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &Limits::CIB);
        let _ = parse(&bytes, &Limits::METADATA);
    }

    #[test]
    fn no_markup_makes_it_panic(text in "[<>/!?&;='\"\\[\\]a#x0-9é \n-]{0,60}") {
        let _ = parse(&text, &Limits::CIB);
        let _ = parse(format!("<a>{text}</a>"), &Limits::METADATA);
        let _ = parse(format!("<a {text}/>"), &Limits::METADATA);
    }
}
