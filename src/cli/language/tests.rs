//! What is written is read back, and reads as crmsh's.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::xml::{self, Element, Limits};

use super::*;

fn empty() -> Document {
    let text = "<configuration><crm_config/><nodes><node id=\"1\" uname=\"n1\"/><node id=\"2\" uname=\"n2\"/></nodes>\
                <resources/><constraints/></configuration>";
    Document::new(xml::parse(text, &Limits::CIB).expect("well-formed"))
}

fn load(text: &str) -> Document {
    let mut document = empty();
    let objects =
        parse_all(text).unwrap_or_else(|error| panic!("{error}: {:?}", &text[error.span.clone()]));
    document
        .put_all(objects, Mode::Update)
        .expect("all names exist");
    document
}

fn show(document: &Document) -> String {
    document.show(|_, _| true)
}

fn refused(text: &str) -> String {
    let mut document = load("primitive p1 Dummy\nprimitive p2 Dummy\ngroup g1 p2\n");
    let error = match parse_all(text) {
        Err(error) => error,
        Ok(objects) => document
            .put_all(objects, Mode::Create)
            .expect_err("must be refused"),
    };
    let word = text.get(error.span.clone()).unwrap_or("");
    format!(
        "{} [{word}] {}",
        error.message,
        error.help.unwrap_or_default()
    )
}

#[test]
fn words() {
    let statements = statements("a \\\n b=\"c d\"\n# x\nq 'w e'").expect("well-formed");
    assert_eq!(statements.len(), 2);
    assert_eq!(statements[0].words[1].pair(), Some(("b", "c d")));
    assert_eq!(statements[1].comments, ["x"]);
}

/// XML has no two hyphens in a comment, people have whole lines of them; and of signs.
#[test]
fn comments_may_have_hyphens_and_signs() {
    for line in [
        "----- web servers ---",
        "a--b",
        "--",
        "-",
        "#",
        "# a",
        "#a",
        "# #a",
        "##a",
        "",
    ] {
        let document = load(&format!("# {line}\nprimitive p Dummy"));
        let shown = show(&document);
        assert_eq!(show(&load(&shown)), shown);
        let text = crate::xml::write::pretty(document.configuration());
        let read = crate::xml::parse(text.as_bytes(), &crate::xml::Limits::STORED);
        assert!(read.is_ok(), "{text}");
    }
}

/// As Debian's crmsh 4.4.1 prints it; what it reads is `examples/written.crm`.
#[test]
fn shown_as_crmsh_shows_it() {
    let shown = show(&load(include_str!("examples/written.crm")));
    assert_eq!(shown, include_str!("examples/shown.crm"));
    assert_eq!(show(&load(&shown)), shown);
}

#[test]
fn generated_ids() {
    let document = load(include_str!("examples/written.crm"));
    insta::assert_snapshot!(xml::write::pretty(document.configuration()));
}

#[test]
fn what_no_cib_can_hold_is_refused_where_it_stands() {
    for (text, at) in [
        ("primitive p Dummy params a=\u{7}", 27..28),
        ("# \u{0}\nprimitive p Dummy", 2..3),
    ] {
        let error = super::lex::statements(text).expect_err("not XML");
        assert_eq!(error.span, at, "{error}");
    }
    assert!(super::lex::statements("primitive p Dummy params a='\u{1F600}\té'").is_ok());
}

#[test]
fn wrong_words_are_named() {
    let mut out = String::new();
    for line in [
        "primitve p3 Dummy",
        "primitive p3",
        "primitive p3 foo:bar:baz:q",
        "primitive p3 Dummy parms ip=1",
        "primitive p3 Dummy params ip 10.0.0.1",
        "primitive p3 Dummy op interval=10s",
        "primitive p3 Dummy params a=\"b",
        "primitive 3p Dummy",
        "primitive p1 Dummy",
        "primitive p3 @nothing",
        "group g2 p1 p4",
        "group g2 p2",
        "group g2",
        "group g2 p1 p1",
        "xml <group id=\"g2\"><primitive id=\"p3\" class=\"ocf\" type=\"a\"/><primitive id=\"p3\" class=\"ocf\" type=\"b\"/></group>",
        "xml <group id=\"g2\"><crmsh-ref id=\"p1\"/><crmsh-ref id=\"p1\"/></group>",
        "location l1 p1 abc: n1",
        "location l1 p1 100",
        "location l1 p3 100: n1",
        "location l1 p1 rule 100: #uname eqq n1",
        "location l1 p1 rule a eq b and c eq d or e eq f",
        "colocation c1 inf: p1 p1",
        "colocation c1 p1 p2",
        "colocation c1 inf: p1",
        "colocation c1 inf: p1:Chief p2",
        "colocation c1 inf: ( p1 [ p2 ] )",
        "order o1 Always: p1 p2",
        "order o1 p1:go p2",
        "order o1 ( p1 p2",
        "fencing_topology n1: a, b",
        "xml <primitive id=\"q\"",
        "xml <foo id=\"q\"/>",
        "role r1 see ref:p1",
        "role r1 deny xpath://nvpair[@name=ip]",
        "rsc_ticket t1 T p1",
    ] {
        writeln!(out, "{line}\n    {}", refused(line)).expect("a string takes all");
    }
    insta::assert_snapshot!(out);
}

#[test]
fn names_that_make_the_same_id_get_two() {
    let text =
        "property cib-bootstrap-options: a#b=1\nproperty cib-bootstrap-options: a`b=2 a#b=1\n";
    let printed = xml::write::pretty(load(text).configuration());
    let ids = printed.matches("id=\"cib-bootstrap-options-a_b");
    assert_eq!(ids.count(), 2, "{printed}");
    assert!(printed.contains("cib-bootstrap-options-a_b-0"), "{printed}");
}

#[test]
fn ids_stay_when_an_object_is_replaced() {
    let old = "<configuration><resources><primitive id=\"p\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\">\
        <instance_attributes id=\"odd\"><nvpair id=\"odd1\" name=\"a\" value=\"1\"/></instance_attributes>\
        <operations><op id=\"odd2\" name=\"monitor\" interval=\"10s\"/></operations></primitive></resources></configuration>";
    let mut document = Document::new(xml::parse(old, &Limits::CIB).expect("well-formed"));
    let text = "primitive p Dummy params b=2 a=3 op monitor interval=10s timeout=5s op monitor interval=20s";
    document
        .put_all(parse_all(text).expect("valid"), Mode::Update)
        .expect("valid");
    insta::assert_snapshot!(xml::write::pretty(document.configuration()));
}

#[test]
fn deleting_takes_what_hangs_on_it() {
    let mut document = load(
        "primitive a Dummy\nprimitive b Dummy\nprimitive c Dummy\ngroup g a\nclone k g\nlocation l g 1: n1\n\
         order o a b c\norder p b c\ntag t a b\n",
    );
    assert_eq!(
        document.delete("a"),
        Ok(vec!["g".to_owned(), "l".to_owned(), "k".to_owned()])
    );
    insta::assert_snapshot!(show(&document));
    assert!(document.delete("a").is_err());
}

/// Every recorded configuration, printed and read, means the same; printed again it is the same text.
#[test]
fn recorded_configurations_survive() {
    let Some(cases) = crate::graph::tests_support::recorded_cases() else {
        return;
    };
    let folder = std::fs::read_dir(cases.join("xml")).expect("the folder of inputs");
    let mut paths: Vec<_> = folder
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let mut read = 0;
    for path in paths {
        let bytes = std::fs::read(&path).expect("a readable case");
        let Ok(cib) = xml::parse(&bytes, &Limits::CIB) else {
            continue;
        };
        let Some(configuration) = cib.child("configuration") else {
            continue;
        };
        let document = Document::new(configuration.clone());
        let shown = show(&document);
        let mut again = document.clone();
        let objects = parse_all(&shown).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: {:?}",
                path.display(),
                shown.get(error.span.clone())
            )
        });
        again
            .replace_all(objects)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(show(&again), shown, "{}", path.display());
        read += 1;
    }
    eprintln!("{read} configurations");
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äß]{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_.-]{0,6}"
}

fn set(tag: &'static str) -> impl Strategy<Value = Element> {
    let rule = (0..3_u8, name(), text(), prop::option::of(0..3_u8)).prop_map(
        |(kind, attribute, value, more)| {
            let mut rule =
                Element::new("rule").with("score", ["INFINITY", "0", "-5"][usize::from(kind)]);
            for _ in 0..more.unwrap_or(0) + 1 {
                rule.push(
                    Element::new("expression")
                        .with("operation", "eq")
                        .with("attribute", &attribute)
                        .with("value", &value),
                );
            }
            if more.is_some_and(|more| more > 0) {
                rule.set("boolean-op", "or");
            }
            rule
        },
    );
    let pairs = prop::collection::btree_map(name(), text(), 1..4);
    (prop::option::of(rule), pairs, prop::option::of(-3..9_i32)).prop_map(
        move |(rule, pairs, score)| {
            let mut set =
                Element::new(tag).with_some("score", score.map(|score| score.to_string()));
            rule.into_iter().for_each(|rule| set.push(rule));
            for (name, value) in pairs {
                set.push(
                    Element::new("nvpair")
                        .with("name", name)
                        .with("value", value),
                );
            }
            set
        },
    )
}

fn primitive() -> impl Strategy<Value = Element> {
    let op = (
        prop::sample::select(vec!["monitor", "start"]),
        0..60_u32,
        text(),
        prop::option::of(set("meta_attributes")),
    )
        .prop_map(|(name, interval, text, meta)| {
            let op = Element::new("op")
                .with("name", name)
                .with("interval", format!("{interval}s"))
                .with("timeout", text);
            op.with_children(meta)
        });
    (
        prop::collection::vec(set("instance_attributes"), 0..3),
        prop::collection::vec(op, 0..3),
        prop::collection::vec(set("meta_attributes"), 0..2),
        prop::option::of(text()),
    )
        .prop_map(|(params, ops, meta, description)| {
            let mut element = Element::new("primitive")
                .with("id", "p")
                .with("class", "ocf")
                .with("provider", "pacemaker")
                .with("type", "Stateful")
                .with_some("description", description)
                .with_children(params);
            if !ops.is_empty() {
                element.push(Element::new("operations").with_children(ops));
            }
            element.with_children(meta)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn printed_is_read_back(element in primitive()) {
        let referenced = std::collections::BTreeSet::new();
        let printed = print_object(Place::Resource, &element, &referenced, &[]);
        let read = parse_all(&printed).expect("what we print is readable").remove(0);
        prop_assert!(super::same::same(&read.element, &element, &referenced), "{printed}");
    }

    #[test]
    fn values_are_read_back(value in "[ -~\u{e4}\u{4e00}]{0,20}") {
        let printed = format!("primitive p Dummy params x={}", value_text(&value));
        let read = parse_all(&printed).expect("a value is readable").remove(0);
        let pair = read.element.child("instance_attributes").and_then(|set| set.child("nvpair"));
        prop_assert_eq!(pair.and_then(|pair| pair.get("value")), Some(value.as_str()));
    }

    #[test]
    fn no_text_makes_the_reader_stumble(text in "(primitive|location|order|rule|\\(|\\)|\\[|op|meta|[a-z]+=[a-z\"']*|inf:|[#$@:{} \\\\\n]|[a-z]+| )*") {
        let _ = parse_all(&text);
    }
}
