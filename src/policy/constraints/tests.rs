//! Constraints in, lines about what is wanted out.

use std::fmt::Write;

use super::{Constraints, OrderEnd, OrderItem, read};
use crate::policy::Input;
use crate::policy::facts::{self, Facts};
use crate::xml::{self, Limits};

fn read_all(resources: &str, constraints: &str) -> (Facts, Constraints) {
    let text = format!(
        r#"<cib have-quorum="1"><configuration><crm_config/>
        <nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
        <resources>{resources}</resources>
        <tags><tag id="ab"><obj_ref id="a"/><obj_ref id="b"/></tag></tags>
        <constraints>{constraints}</constraints></configuration>
        <status/></cib>"#
    );
    let cib = xml::parse(&text, &Limits::default()).expect("the test's CIB is well-formed");
    let facts = facts::read(&cib, &Input::at(1_700_000_000));
    let constraints = read(&facts, &cib);
    (facts, constraints)
}

fn four() -> String {
    ["a", "b", "c", "d"]
        .map(|id| format!(r#"<primitive id="{id}" class="ocf" provider="systole" type="Dummy"/>"#))
        .concat()
}

fn colocations(resources: &str, constraints: &str) -> String {
    let (facts, wanted) = read_all(resources, constraints);
    let mut out = String::new();
    for it in &wanted.colocations {
        let name = |rsc| &facts.rscs[rsc].id;
        let _ = write!(
            out,
            "{}-{}({}) ",
            name(it.dependent),
            name(it.primary),
            it.score
        );
    }
    out.trim_end().to_owned()
}

fn orderings(resources: &str, constraints: &str) -> Vec<String> {
    let (facts, wanted) = read_all(resources, constraints);
    let end = |end: &OrderEnd| match end {
        OrderEnd::Task(rsc, task) => {
            format!("{}.{}", facts.rscs[*rsc].id, wanted.tasks.name(*task))
        }
        OrderEnd::Gate(gate) => wanted.gates[*gate].name.clone(),
    };
    wanted
        .orderings
        .iter()
        .filter_map(|item| match item {
            OrderItem::Pair(pair) if pair.id.is_some() => Some(format!(
                "{} -> {}: {:?}",
                end(&pair.first),
                end(&pair.then),
                pair.kinds
            )),
            _ => None,
        })
        .collect()
}

#[test]
fn colocation_sets_are_unfolded() {
    let sets = |first: &str, second: &str| {
        format!(
            r#"<rsc_colocation id="x" score="5"><resource_set id="s1" {first}><resource_ref id="a"/><resource_ref id="b"/></resource_set>
            <resource_set id="s2" {second}><resource_ref id="c"/><resource_ref id="d"/></resource_set></rsc_colocation>"#
        )
    };
    assert_eq!(colocations(&four(), &sets("", "")), "b-a(5) d-c(5) a-d(5)");
    let apart = r#"sequential="false""#;
    assert_eq!(
        colocations(&four(), &sets(apart, "")),
        "d-c(5) a-d(5) b-d(5)"
    );
    assert_eq!(
        colocations(&four(), &sets(apart, apart)),
        "a-c(5) a-d(5) b-c(5) b-d(5)"
    );
    assert_eq!(
        colocations(&four(), &sets(r#"score="-1""#, apart)),
        "b-a(-1) a-c(5) a-d(5)"
    );
}

#[test]
fn a_tag_on_one_side_becomes_a_set() {
    let tagged = r#"<rsc_colocation id="x" score="7" rsc="ab" with-rsc="c"/>"#;
    assert_eq!(colocations(&four(), tagged), "a-c(7) b-c(7)");
    let both = r#"<rsc_colocation id="x" score="7" rsc="ab" with-rsc="ab"/>"#;
    assert_eq!(colocations(&four(), both), "");
}

#[test]
fn a_mandatory_ordering_has_its_inverse() {
    assert_eq!(
        orderings(&four(), r#"<rsc_order id="x" first="a" then="b"/>"#),
        [
            "a.start -> b.start: ORD+FIRST_PULLS+FIRST_GATES",
            "b.stop -> a.stop: ORD+THEN_PULLS"
        ]
    );
    assert_eq!(
        orderings(
            &four(),
            r#"<rsc_order id="x" first="a" then="b" kind="Serialize"/>"#
        ),
        ["a.start -> b.start: SERIAL"]
    );
    assert_eq!(
        orderings(
            &four(),
            r#"<rsc_order id="x" first="a" first-action="promote" then="b" score="0" symmetrical="false"/>"#
        ),
        ["a.promote -> b.promote: ORD"]
    );
}

#[test]
fn one_of_a_set_may_be_enough() {
    let sets = r#"<rsc_order id="x"><resource_set id="s1" sequential="false" require-all="false">
        <resource_ref id="a"/><resource_ref id="b"/></resource_set>
        <resource_set id="s2"><resource_ref id="c"/></resource_set></rsc_order>"#;
    assert_eq!(
        orderings(&four(), sets),
        [
            "a.start -> one-or-more:s1: MIN_RUN+FIRST_SHOWS_THEN",
            "b.start -> one-or-more:s1: MIN_RUN+FIRST_SHOWS_THEN",
            "one-or-more:s1 -> c.start: ORD+FIRST_PULLS+FIRST_GATES",
            "c.stop -> a.stop: ORD+THEN_PULLS",
            "c.stop -> b.stop: ORD+THEN_PULLS",
        ]
    );
}

#[test]
fn a_location_rule_names_the_nodes_for_which_it_passes() {
    let rule = r##"<rsc_location id="x" rsc-pattern="^(a)$|d"><rule id="r" score="-INFINITY">
        <expression id="e" attribute="#uname" operation="ne" value="N1"/></rule></rsc_location>"##;
    let (facts, wanted) = read_all(&four(), rule);
    let lines: Vec<String> = wanted
        .locations
        .iter()
        .map(|it| {
            let nodes = it
                .nodes
                .iter()
                .map(|(n, score)| format!("{}={score}", facts.nodes[*n].name));
            format!("{} {}", facts.rscs[it.rsc].id, nodes.collect::<String>())
        })
        .collect();
    assert_eq!(lines, ["a n2=-INFINITY", "d n2=-INFINITY"]);
}

#[test]
fn what_names_nothing_is_left_out_with_a_warning() {
    let (_, wanted) = read_all(
        &four(),
        r#"<rsc_location id="x" rsc="nobody" node="n1" score="1"/>"#,
    );
    assert!(wanted.locations.is_empty());
    assert_eq!(
        wanted.warnings[0].text,
        "rsc_location `x` names `nobody`, which is no resource, tag or template"
    );
}
