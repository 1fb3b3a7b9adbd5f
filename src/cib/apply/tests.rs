mod recorded;

use super::*;
use crate::{
    cib::{Flags, Op, Origin, Target},
    xml::{Limits, parse, write},
};

const BASE: &str = r#"
<cib crm_feature_set="3.19.0" validate-with="pacemaker-4.0" admin_epoch="0" epoch="5" num_updates="3">
  <configuration>
    <crm_config/>
    <nodes><node id="1" uname="n1"/></nodes>
    <resources><primitive id="a" class="ocf" provider="p" type="t"/></resources>
    <constraints/>
  </configuration>
  <status><node_state id="1" uname="n1"/></status>
</cib>"#;

fn base() -> Cib {
    Cib::parse(BASE, &Limits::CIB).unwrap()
}

fn element(text: &str) -> Element {
    parse(text, &Limits::CIB).unwrap()
}

fn run(cib: &Cib, op: Op, target: &str, input: &str) -> Applied {
    let target = match target {
        "" => Target::Whole,
        xpath if xpath.contains('/') => Target::XPath(xpath.into()),
        section => Target::Section(section.into()),
    };
    let input = (!input.is_empty()).then(|| element(input));
    apply(cib, &Command::new(op, target, input))
}

fn version(applied: &Applied) -> String {
    applied.answer.as_ref().unwrap();
    applied.cib.version().to_string()
}

#[test]
fn counters_follow_what_changed() {
    for (op, target, input, expected) in [
        (
            Op::Modify,
            "status",
            r#"<node_state id="1" in_ccm="5"/>"#,
            "0.5.4",
        ),
        (Op::Modify, "", r#"<cib have-quorum="1"/>"#, "0.5.4"),
        (
            Op::Modify,
            "nodes",
            r#"<node id="1" type="member"/>"#,
            "0.6.0",
        ),
        (Op::Modify, "nodes", r#"<node id="1" uname="n1"/>"#, "0.5.3"),
        (
            Op::Create,
            "resources",
            r#"<primitive id="b" class="ocf" provider="p" type="t"/>"#,
            "0.6.0",
        ),
        (
            Op::Create,
            "tags",
            r#"<tag id="x"><obj_ref id="a"/></tag>"#,
            "0.6.0",
        ),
        (Op::Delete, "resources", r#"<primitive id="a"/>"#, "0.6.0"),
        (
            Op::Delete,
            "resources",
            r#"<primitive id="nothing"/>"#,
            "0.5.3",
        ),
        (Op::DeleteAll, "//node_state", "", "0.5.4"),
        (Op::Replace, "status", "<status/>", "0.5.4"),
        (Op::Replace, "resources", "<resources/>", "0.6.0"),
        (Op::Bump, "", "", "0.6.4"),
        (Op::Erase, "", "", "1.6.0"),
        (Op::Modify, "", r#"<cib admin_epoch="2"/>"#, "2.5.4"),
    ] {
        let applied = run(&base(), op.clone(), target, input);
        assert_eq!(version(&applied), expected, "{op:?} {target} {input}");
        let Some(patch) = &applied.patch else {
            assert!(applied.cib.root().ptr_eq(base().root()) || applied.cib == base());
            continue;
        };
        assert_eq!(patch.target, Some(applied.cib.version()));
        assert_eq!(
            &patch.apply(base().root()).unwrap(),
            applied.cib.root(),
            "{op:?}"
        );
    }
}

#[test]
fn a_change_of_configuration_is_signed() {
    let origin = Origin {
        node: "n1".into(),
        client: "crm".into(),
        user: "root".into(),
        ..Origin::default()
    };
    let command = Command::modify("nodes", element(r#"<node id="1" type="member"/>"#))
        .from(origin)
        .at(1_795_219_397);
    let root = apply(&base(), &command).cib.into_root();
    assert_eq!(
        root.get("cib-last-written"),
        Some("Sat Nov 21 00:03:17 2026")
    );
    assert_eq!(root.get("update-origin"), Some("n1"));
    assert_eq!(root.get("update-client"), Some("crm"));
    let next = apply(
        &Cib::new(root),
        &Command::new(Op::Bump, Target::Whole, None),
    );
    assert_eq!(next.cib.root().get("update-origin"), Some("n1"));
}

#[test]
fn what_is_not_possible_is_said() {
    for (op, target, input, exit, expected) in [
        (
            Op::Modify,
            "resources",
            r#"<primitive id="x"/>"#,
            105,
            r#"there is no <primitive id="x">"#,
        ),
        (
            Op::Create,
            "resources",
            r#"<primitive id="a"/>"#,
            108,
            r#"<primitive id="a"> exists already"#,
        ),
        (Op::Query, "tags", "", 105, "there is no section tags"),
        (Op::Query, "//x", "", 105, "there is no match of //x"),
        (Op::Query, "//x[", "", 70, "XPath `//x[`"),
        (Op::Modify, "//x", "<a/>", 105, "there is no <a>"),
        (
            Op::Modify,
            "",
            r#"<cib epoch="4"/>"#,
            103,
            "version 0.4.3 is older than 0.5.3",
        ),
        (
            Op::Replace,
            "",
            r#"<cib epoch="5" num_updates="2"/>"#,
            103,
            "version 0.5.2 is older",
        ),
        (
            Op::Modify,
            "",
            r#"<cib crm_feature_set="99.0"/>"#,
            76,
            "feature set 99.0 is newer",
        ),
        (
            Op::DeleteAll,
            "/cib/.",
            "",
            70,
            "the CIB itself cannot be deleted",
        ),
        (
            Op::Delete,
            "//node/@id",
            "",
            70,
            "only elements can be deleted",
        ),
        (Op::Modify, "", "", 70, "modify needs an element"),
        (
            Op::Patch,
            "",
            "<diff/>",
            70,
            "a patch is a <diff format=\"2\">",
        ),
    ] {
        let applied = run(&base(), op.clone(), target, input);
        let error = applied.answer.unwrap_err();
        assert_eq!(error.exit().0, exit, "{error}");
        assert!(
            error.to_string().contains(expected),
            "{op:?} {target} {input}: {error}"
        );
        assert_eq!((applied.cib, applied.patch), (base(), None));
    }
}

#[test]
fn create_answers_with_what_failed() {
    let applied = run(
        &base(),
        Op::Create,
        "resources",
        r#"<resources><primitive id="a"/></resources>"#,
    );
    let error = applied.answer.unwrap_err();
    assert_eq!(
        error.answer().unwrap().to_string(),
        r#"<failed><failed_update id="a" object-type="primitive" operation="cib_create" reason="File exists"><primitive id="a"/></failed_update></failed>"#
    );
}

#[test]
fn scores_are_counted_up_only_when_asked() {
    let step = |text: &str, score| {
        let input = Element::new("cib").with("epoch", "5").with("x", text);
        let mut command = Command::new(Op::Modify, Target::Whole, Some(input));
        command.flags = Flags {
            score,
            ..Flags::default()
        };
        let root = base().into_root().with("x", "-3");
        apply(&Cib::new(root), &command)
            .cib
            .root()
            .get("x")
            .unwrap_or_default()
            .to_string()
    };
    assert_eq!(step("x++", true), "-2");
    assert_eq!(step("x+=INFINITY", true), "1000000");
    assert_eq!(step("x+=junk", true), "-3");
    assert_eq!(step("y++", true), "y++");
    assert_eq!(step("x++", false), "x++");
}

#[test]
fn queries_answer() {
    let ask = |target: &str| {
        run(&base(), Op::Query, target, "")
            .answer
            .unwrap()
            .unwrap()
            .to_string()
    };
    assert_eq!(ask("nodes"), r#"<nodes><node id="1" uname="n1"/></nodes>"#);
    assert_eq!(ask("//node"), r#"<node id="1" uname="n1"/>"#);
    assert_eq!(
        ask("//node | //node_state"),
        r#"<xpath-query><node id="1" uname="n1"/><node_state id="1" uname="n1"/></xpath-query>"#
    );
    assert_eq!(ask("//node/@uname"), r#"<xpath-query uname="n1"/>"#);
    assert_eq!(ask("nonsense"), base().root().to_string());
}

#[test]
fn merging_matches_by_tag_and_id() {
    let old = r#"<a id="1" keep="1"><b id="2" x="1"/><c/></a>"#;
    let new = r#"<a id="1" new="1"><b id="3"/><b id="2" x="2"/><c y="1"/><d id-ref="q"/><!-- why --></a>"#;
    let mut target = element(old);
    ops::merge(&mut target, &element(new), &Flags::default());
    assert_eq!(
        write::compact(&target),
        r#"<a id="1" keep="1" new="1"><b id="2" x="2"/><c y="1"/><b id="3"/><d id-ref="q"/><!-- why --></a>"#
    );
    let once = target.clone();
    ops::merge(&mut target, &element(new), &Flags::default());
    assert_eq!(target, once);
}

#[test]
fn merging_many_is_merging_each() {
    let many = |from: usize, value: &str| {
        let child = |n| format!("<b id=\"{n}\" x=\"{value}\"/><c id=\"{n}\"/><b id-ref=\"{n}\"/>");
        (from..from + 30).map(child).collect::<Vec<_>>()
    };
    let old = element(&format!("<a>{}</a>", many(0, "old").concat()));
    let (mut at_once, mut one_by_one) = (old.clone(), old);
    let new = many(15, "new");
    let all = element(&format!("<a>{0}{0}</a>", new.concat()));
    ops::merge(&mut at_once, &all, &Flags::default());
    for child in &new {
        let one = element(&format!("<a>{child}</a>"));
        ops::merge(&mut one_by_one, &one, &Flags::default());
    }
    assert_eq!(at_once, one_by_one);
    assert_eq!(at_once.children().count(), 3 * 45);
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let good = Command::create(
        "constraints",
        element(r#"<rsc_location id="l" rsc="a" node="n1" score="5"/>"#),
    );
    let bad = Command::modify("resources", element(r#"<primitive id="x"/>"#));
    let both = Command::transaction(vec![good.clone(), bad]);
    let applied = apply(&base(), &both);
    assert_eq!(applied.answer.unwrap_err().exit().0, 105);
    assert_eq!(applied.cib, base());
    let twice = Command::transaction(vec![
        good,
        Command::modify("nodes", element(r#"<node id="1" type="member"/>"#)),
    ]);
    assert_eq!(version(&apply(&base(), &twice)), "0.6.0");
    let nested = Command::transaction(vec![Command::transaction(vec![])]);
    assert_eq!(apply(&base(), &nested).answer.unwrap_err().exit().0, 70);
}

#[test]
fn a_dry_run_changes_nothing_and_shows_all() {
    let mut command = Command::modify("nodes", element(r#"<node id="1" type="member"/>"#));
    command.flags.dry_run = true;
    let applied = apply(&base(), &command);
    assert_eq!((&applied.cib, &applied.patch), (&base(), &None));
    assert_eq!(applied.preview.unwrap().cib.version().to_string(), "0.6.0");
}

#[test]
fn patches_count_as_they_say() {
    let old = base();
    let new = run(&old, Op::Modify, "nodes", r#"<node id="1" type="member"/>"#);
    let patch = new.patch.unwrap();
    let over = |patch: &Patch, cib: &Cib| {
        apply(
            cib,
            &Command::new(Op::Patch, Target::Whole, Some(patch.to_element())),
        )
    };
    let applied = over(&patch, &old);
    assert_eq!(version(&applied), "0.6.0");
    assert_eq!(applied.cib.configuration(), new.cib.configuration());
    assert_eq!(over(&patch, &applied.cib).answer.unwrap_err().exit().0, 103);
    let mut free = patch.without_versions();
    free.changes.retain(|change| change.path() != "/cib");
    assert_eq!(version(&over(&free, &old)), "0.6.0");
}

#[test]
fn commands_survive_being_stored() {
    let command = Command::transaction(vec![Command::modify(
        "status",
        element("<a b=\"&lt;&#xA;\"/>"),
    )]);
    let bytes = postcard::to_stdvec(&command).unwrap();
    assert_eq!(postcard::from_bytes::<Command>(&bytes).unwrap(), command);
}

#[test]
fn a_status_write_shares_everything_else() {
    let old = base();
    let new = run(
        &old,
        Op::Modify,
        "status",
        r#"<node_state id="1" in_ccm="5"/>"#,
    )
    .cib;
    assert!(
        old.configuration()
            .unwrap()
            .ptr_eq(new.configuration().unwrap())
    );
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn any_command() -> impl Strategy<Value = Command> {
        let input = prop_oneof![
            ("[ab]", "[1-3]").prop_map(|(id, v)| {
                Element::new("primitive")
                    .with("id", id)
                    .with("class", "lsb")
                    .with("type", "t")
                    .with("description", v)
            }),
            ("[12]", "[1-3]")
                .prop_map(|(id, v)| Element::new("node_state").with("id", id).with("in_ccm", v)),
            ("[12]", "[mn]")
                .prop_map(|(id, v)| Element::new("node").with("id", id).with("uname", v)),
            "[0-9]".prop_map(|v| Element::new("cib").with("have-quorum", v)),
            "[0-9]".prop_map(|v| Element::new("cib").with("epoch", v)),
            Just(Element::new("status")),
            Just(Element::new("resources")),
        ];
        let op = proptest::sample::select(vec![
            Op::Create,
            Op::Modify,
            Op::Modify,
            Op::Replace,
            Op::Delete,
            Op::Bump,
            Op::Erase,
        ]);
        let target = proptest::sample::select(vec![
            "",
            "status",
            "resources",
            "nodes",
            "//node_state",
            "//primitive",
        ]);
        (op, target, input, any::<bool>()).prop_map(|(op, target, input, can_create)| {
            let target = match target {
                "" => Target::Whole,
                xpath if xpath.contains('/') => Target::XPath(xpath.into()),
                section => Target::Section(section.into()),
            };
            let mut command = Command::new(op, target, Some(input));
            command.flags.can_create = can_create;
            command
        })
    }

    /// What the version must be, said once more and without the code that says it. // spec cluster §1.2
    fn check(old: &Cib, command: &Command, applied: &Applied) -> Result<(), TestCaseError> {
        let (before, after) = (old.version(), applied.cib.version());
        let Some(patch) = &applied.patch else {
            prop_assert_eq!(&applied.cib, old);
            return Ok(());
        };
        prop_assert_eq!(&patch.apply(old.root()).unwrap(), applied.cib.root());
        prop_assert!(after > before, "{} after {}", after, before);
        let configured = old.configuration() != applied.cib.configuration();
        if configured {
            prop_assert!(after.epoch > before.epoch && after.num_updates == 0);
        } else if !matches!(command.op, Op::Erase | Op::Bump)
            && command
                .input
                .as_ref()
                .is_none_or(|input| !input.has("epoch"))
        {
            let expected = Version {
                num_updates: before.num_updates + 1,
                ..before
            };
            prop_assert_eq!(after, expected);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn any_history_counts_and_is_the_same_twice(commands in proptest::collection::vec(any_command(), 1..12)) {
            let (mut one, mut other) = (base(), base());
            for command in &commands {
                let applied = apply(&one, command);
                check(&one, command, &applied)?;
                let again = apply(&other, &postcard::from_bytes(&postcard::to_stdvec(command).unwrap()).unwrap());
                prop_assert_eq!(write::compact(applied.cib.root()), write::compact(again.cib.root()));
                prop_assert_eq!(&applied.answer, &again.answer);
                (one, other) = (applied.cib, again.cib);
            }
            prop_assert_eq!(one.digest(), other.digest());
        }
    }
}
