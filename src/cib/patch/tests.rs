use proptest::prelude::*;

use super::*;
use crate::{
    cib::Error,
    xml::{Limits, parse, write},
};

fn read(text: &str) -> Element {
    parse(text, &Limits::CIB).unwrap()
}

/// A recorded text, when the recorded cases are there.
fn recorded(name: &str) -> Option<Element> {
    let path = format!("../shared/conformance/tools/cases/data/{name}.xml");
    match std::fs::read(&path) {
        Ok(text) => Some(parse(text, &Limits::CIB).unwrap()),
        Err(_) => {
            eprintln!("skipped: {path} is not there");
            None
        }
    }
}

#[test]
fn recorded_patches_are_made_and_fit() {
    let Some(old) = recorded("84cb87ab635c") else {
        return;
    };
    let new = recorded("aba4b6daa54a").unwrap();
    let patch = diff_in_order(&old, &new);
    let expected = write::pretty(&recorded("11efdcab5da8").unwrap());
    assert_eq!(write::pretty(&patch.to_element()), expected);
    assert_eq!(patch.apply(&old).unwrap(), new);

    let patch = diff(&old, &new).with_digest(&new);
    assert_eq!(patch.apply(&old).unwrap(), new);
    let foreign = Patch::from_element(&recorded("92b6db152803").unwrap()).unwrap();
    assert_eq!(
        foreign.apply(&old).unwrap(),
        recorded("761e7952d780").unwrap()
    );
    // The digest recorded there is of the recorded result, whose attribute order a patch by name does not bring.
    let with_digest = Patch::from_element(&recorded("5942b45ca04c").unwrap()).unwrap();
    assert_eq!(with_digest.apply(&old).unwrap(), new);
}

#[test]
fn a_patch_reads_as_it_was_written() {
    let old = read(r#"<cib epoch="1"><a id="1" x="1"/><b/><!-- c --></cib>"#);
    let new = read(r#"<cib epoch="2"><b/><a id="1" y="2"/><!-- d --><c/></cib>"#);
    let patch = diff(&old, &new);
    let element = patch.to_element();
    assert_eq!(Patch::from_element(&element).unwrap(), patch);
    let json = serde_json::to_string(&patch).unwrap();
    assert_eq!(serde_json::from_str::<Patch>(&json).unwrap(), patch);
}

#[test]
fn what_does_not_fit_is_refused() {
    let root = read(r#"<cib epoch="1"><a id="1"/></cib>"#);
    let refuse = |change: &str| {
        let patch = read(&format!(r#"<diff format="2">{change}</diff>"#));
        Patch::from_element(&patch)
            .and_then(|patch| patch.apply(&root))
            .unwrap_err()
            .to_string()
    };
    for (change, expected) in [
        (
            r#"<change operation="modify" path="/cib/b"><change-result><b/></change-result></change>"#,
            "there is no /cib/b",
        ),
        (
            r#"<change operation="create" path="/cib/b"><c/></change>"#,
            "there is no /cib/b",
        ),
        (
            r#"<change operation="move" path="/cib/a[@id='1']" position="9"/>"#,
            "has no place 9",
        ),
        (
            r#"<change operation="move" path="/cib/a[@id='1']"/>"#,
            "needs a position",
        ),
        (
            r#"<change operation="create" path="/cib"/>"#,
            "creates nothing",
        ),
        (
            r#"<change operation="x" path="/cib"/>"#,
            "operation x is not known",
        ),
        (r#"<change operation="delete" path="cib"/>"#, "not a path"),
        (
            r#"<change operation="delete" path="/cib"/>"#,
            "is the whole document",
        ),
        (
            r#"<change operation="delete" path="/cib/a[@id='1"/>"#,
            "not a path",
        ),
    ] {
        let found = refuse(change);
        assert!(found.contains(expected), "{change}: {found}");
    }
    assert!(Patch::from_element(&read("<diff/>")).is_err());
    let gone = read(r#"<diff format="2"><change operation="delete" path="/cib/nothing"/></diff>"#);
    assert_eq!(
        Patch::from_element(&gone).unwrap().apply(&root).unwrap(),
        root
    );
}

#[test]
fn versions_decide_whether_a_patch_is_old() {
    let v = |a, e, n| Version {
        admin_epoch: a,
        epoch: e,
        num_updates: n,
    };
    let patch = Patch {
        source: Some(v(0, 5, 1)),
        target: Some(v(0, 5, 2)),
        ..Patch::default()
    };
    assert!(patch.check_source(v(0, 5, 1)).is_ok());
    assert!(matches!(
        patch.check_source(v(0, 5, 0)),
        Err(Error::DiffFailed(_))
    ));
    assert!(matches!(
        patch.check_source(v(0, 6, 0)),
        Err(Error::OldData { .. })
    ));
    assert!(patch.without_versions().check_source(v(9, 9, 9)).is_ok());
}

/// Documents with few names and ids, so that what is compared has much in common, duplicates included.
fn any_document() -> impl Strategy<Value = Element> {
    let head = (
        proptest::sample::select(vec!["a", "b", "c"]),
        proptest::option::weighted(0.7, proptest::sample::select(vec!["1", "2", "it's]['/"])),
        proptest::collection::btree_map("[x-z]", "[0-2]", 0..3),
    );
    let build = |(tag, id, attrs): (
        &str,
        Option<&str>,
        std::collections::BTreeMap<String, String>,
    ),
                 nodes: Vec<Node>| {
        let mut e = Element::new(tag).with_some("id", id);
        attrs.iter().for_each(|(name, value)| e.set(name, value));
        e.nodes_mut().extend(nodes);
        e
    };
    let leaf = head.clone().prop_map(move |head| build(head, Vec::new()));
    let tree = leaf.prop_recursive(3, 30, 6, move |inner| {
        let node = prop_oneof![
            5 => inner.prop_map(Node::Element),
            1 => "[ab]".prop_map(|text| Node::comment(&text)),
        ];
        (head.clone(), proptest::collection::vec(node, 0..6))
            .prop_map(move |(head, nodes)| build(head, nodes))
    });
    (proptest::collection::vec(tree, 0..6), "[0-3]").prop_map(|(children, epoch)| {
        Element::new("cib")
            .with("epoch", epoch)
            .with_children(children)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_patch_leads_where_it_says(a in any_document(), b in any_document()) {
        let patch = diff(&a, &b);
        prop_assert_eq!(&patch.apply(&a).unwrap(), &b, "{}", write::pretty(&patch.to_element()));
        let over_the_wire = parse(write::compact(&patch.to_element()), &Limits::CIB).unwrap();
        let received = Patch::from_element(&over_the_wire).unwrap();
        prop_assert_eq!(&received.apply(&a).unwrap(), &b);
        prop_assert_eq!(a == b, patch.changes.is_empty());
    }

    #[test]
    fn with_order_the_bytes_are_the_same(a in any_document(), b in any_document()) {
        let result = diff_in_order(&a, &b).apply(&a).unwrap();
        prop_assert_eq!(write::compact(&result), write::compact(&b));
    }

    #[test]
    fn no_patch_makes_it_panic(a in any_document(), path in "[/a-c\\[\\]@id='12]{0,20}", position in 0usize..9) {
        for operation in ["create", "modify", "delete", "move"] {
            let change = Element::new("change")
                .with("operation", operation)
                .with("path", format!("/cib/{path}"))
                .with("position", position.to_string())
                .with_child(Element::new("change-result").with_child(Element::new("x")));
            let patch = Element::new("diff").with("format", "2").with_child(change);
            let _ = Patch::from_element(&patch).and_then(|patch| patch.apply(&a));
        }
    }
}
