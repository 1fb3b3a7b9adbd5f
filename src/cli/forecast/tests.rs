//! Small clusters that do what they decide.

use super::*;
use crate::xml::{Limits, parse};

const SPLIT: &str = "<nvpair id='q' name='no-quorum-policy' value='ignore'/>";
const NO_FENCING: &str = "<nvpair id='f' name='stonith-enabled' value='false'/>";

fn dummy(id: &str, inside: &str) -> String {
    format!("<primitive id='{id}' class='ocf' provider='systole' type='Dummy'>{inside}</primitive>")
}

/// Two nodes that are up and run nothing.
fn cib(options: &str, resources: &str, constraints: &str) -> Element {
    let text = format!(
        "<cib validate-with='pacemaker-4.0' have-quorum='1' dc-uuid='1' admin_epoch='0' epoch='5' num_updates='1'>\
         <configuration><crm_config><cluster_property_set id='o'>{options}</cluster_property_set></crm_config>\
         <nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources>{resources}</resources>\
         <constraints>{constraints}</constraints></configuration><status>\
         <node_state id='1' uname='n1' in_ccm='true' crmd='online' join='member' expected='member'/>\
         <node_state id='2' uname='n2' in_ccm='true' crmd='online' join='member' expected='member'/></status></cib>"
    );
    parse(&text, &Limits::CIB).expect("well-formed")
}

fn input() -> Input {
    Input::at(1_700_000_000)
}

/// The same cluster once it has done everything.
fn settled(cib: &Element) -> Element {
    let played = play(cib, &input()).expect("it can be played");
    let open: Vec<String> = played
        .last
        .graph
        .actions()
        .map(|action| action.key.clone())
        .collect();
    assert!(played.settled, "left to do: {open:?}");
    played.cib
}

/// What happens when the cluster that runs the one gets the configuration of the other.
fn becomes(old: &Element, new: &Element) -> Forecast {
    let old = settled(old);
    let mut changed = old.clone();
    let configuration = new.child("configuration").expect("there").clone();
    *changed.child_or_new("configuration") = configuration;
    forecast(&old, &changed, &input()).expect("it can be foreseen")
}

fn rails(forecast: &Forecast) -> Vec<String> {
    forecast.rails.iter().map(ToString::to_string).collect()
}

#[test]
fn another_interval_of_a_monitor_is_no_reason_to_think() {
    let every = |interval: &str| {
        let op =
            format!("<operations><op id='m' name='monitor' interval='{interval}'/></operations>");
        cib(NO_FENCING, &dummy("db", &op), "")
    };
    let told = becomes(&every("10s"), &every("12s"));
    assert!(told.settles && told.rails.is_empty(), "{told:?}");
    assert!(told.deeds.is_empty() && told.interruptions.is_empty());
}

#[test]
fn a_move_interrupts_and_is_no_reason_to_think() {
    let near = "<rsc_location id='l' rsc='db' node='n2' score='100'/>";
    let old = cib(NO_FENCING, &dummy("db", ""), "");
    let told = becomes(&old, &cib(NO_FENCING, &dummy("db", ""), near));
    assert_eq!(told.deeds, ["Move db (n1 -> n2)"]);
    assert_eq!(told.objects[0].to_string(), "+l");
    let [away] = told.interruptions.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((away.rsc.as_str(), away.ms), ("db", Some(0)));
    assert!(told.rails.is_empty() && told.settles && told.due_anyway == 0);
    let text = as_text(&told);
    assert!(
        text.contains("Changed: +l\n") && text.contains("  Move db (n1 -> n2)\n"),
        "{text}"
    );
}

#[test]
fn what_would_run_nowhere_is_told_with_the_reason() {
    let never = "<rsc_location id='l1' rsc='db' node='n1' score='-INFINITY'/>\
                 <rsc_location id='l2' rsc='db' node='n2' score='-INFINITY'/>";
    let old = cib(NO_FENCING, &dummy("db", ""), "");
    let told = rails(&becomes(&old, &cib(NO_FENCING, &dummy("db", ""), never)));
    let [told] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(
        told.starts_with(
            "stops db, which runs nowhere afterwards: no node may run it (n1: location l1"
        ),
        "{told}"
    );
    let stopped = "<meta_attributes id='m'><nvpair id='m-r' name='target-role' value='Stopped'/></meta_attributes>";
    let told = rails(&becomes(&old, &cib(NO_FENCING, &dummy("db", stopped), "")));
    assert_eq!(
        told,
        ["stops db, which runs nowhere afterwards: it is told to be stopped (target-role=Stopped)"]
    );
}

#[test]
fn the_last_instance_and_what_is_deleted_while_it_runs_are_told() {
    let clone = |meta: &str| format!("<clone id='c'>{meta}{}</clone>", dummy("web", ""));
    let none = "<meta_attributes id='m'><nvpair id='m-r' name='target-role' value='Stopped'/></meta_attributes>";
    let one =
        "<meta_attributes id='m'><nvpair id='m-r' name='clone-max' value='1'/></meta_attributes>";
    let old = cib(NO_FENCING, &clone(""), "");
    assert_eq!(
        rails(&becomes(&old, &cib(NO_FENCING, &clone(one), ""))),
        [""; 0]
    );
    let told = rails(&becomes(&old, &cib(NO_FENCING, &clone(none), "")));
    assert!(
        told[0].starts_with("stops the last of 2 instances of web: "),
        "{told:?}"
    );
    let told = rails(&becomes(&old, &cib(NO_FENCING, "", "")));
    assert_eq!(
        told,
        ["deletes web, which runs on n1 and n2: it is stopped"]
    );
    // What was deleted before, and runs all the same, is nobody's business any more.
    let keep = "<nvpair id='k' name='stop-removed-resources' value='false'/>";
    let options = format!("{NO_FENCING}{keep}");
    let without = cib(&options, "", "");
    let mut left = settled(&cib(&options, &dummy("web", ""), ""));
    *left.child_or_new("configuration") = without.child("configuration").expect("there").clone();
    let told = rails(&becomes(&left, &cib(&options, &dummy("db", ""), "")));
    assert_eq!(told, [""; 0]);
}

#[test]
fn what_takes_safety_away_is_told_once() {
    let watchdog = "<nvpair id='w' name='have-watchdog' value='true'/>\
                    <nvpair id='t' name='stonith-watchdog-timeout' value='10s'/>";
    let old = cib(watchdog, "", "");
    let told = rails(&becomes(
        &old,
        &cib(&format!("{watchdog}{NO_FENCING}{SPLIT}"), "", ""),
    ));
    assert!(told[0].starts_with("turns fencing off"), "{told:?}");
    assert!(
        told[1].starts_with("neither fencing nor quorum is left"),
        "{told:?}"
    );
    let split = cib(&format!("{NO_FENCING}{SPLIT}"), "", "");
    let more = cib(&format!("{NO_FENCING}{SPLIT}"), &dummy("db", ""), "");
    assert_eq!(rails(&becomes(&split, &more)), [""; 0], "it was so before");
}

#[test]
fn times_come_from_the_past_and_instances_share_them() {
    assert_eq!(times::base("web:12"), "web");
    assert_eq!(times::base("a:b"), "a:b");
}

fn lost(name: &str, quorate: bool) -> Failure {
    Failure {
        name: name.to_owned(),
        nodes: vec![name.to_owned()],
        quorate: Some(quorate),
    }
}

#[test]
fn a_drill_tells_what_moves_what_is_lost_and_what_is_left() {
    let utilization =
        "<utilization id='u'><nvpair id='u-m' name='memory' value='3'/></utilization>";
    let resources = format!(
        "{}{}<clone id='c'>{}</clone>",
        dummy("db", utilization),
        dummy("pinned", ""),
        dummy("web", "")
    );
    let constraints = "<rsc_location id='l' rsc='pinned' node='n2' score='-INFINITY'/>\
        <rsc_location id='m' rsc='db' node='n1' score='50'/>";
    let options =
        format!("{NO_FENCING}<nvpair id='p' name='placement-strategy' value='utilization'/>");
    let mut start = cib(&options, &resources, constraints);
    for node in start
        .child_or_new("configuration")
        .child_or_new("nodes")
        .children_mut()
    {
        let id = node.id().unwrap_or_default().to_owned();
        let pair = Element::new("nvpair")
            .with("id", format!("u{id}-m"))
            .with("name", "memory")
            .with("value", "4");
        let own = Element::new("utilization").with("id", format!("u{id}"));
        node.push(own.with_child(pair));
    }
    let now = settled(&start);
    let told = drill(&now, &lost("n1", true), &input()).expect("it can be tried");
    let fate = |rsc: &str| {
        let found = told.fates.iter().find(|(id, _)| id == rsc);
        found.map(|(_, fate)| fate.clone()).expect(rsc)
    };
    assert_eq!(
        fate("db"),
        Fate::Moves {
            from: vec!["n1".into()],
            to: vec!["n2".into()]
        }
    );
    assert_eq!(
        fate("web"),
        Fate::Fewer {
            on: vec!["n2".into()],
            before: 2
        }
    );
    assert!(matches!(fate("pinned"), Fate::Lost { why } if why.contains("location l")));
    assert_eq!(told.lost().collect::<Vec<_>>(), ["pinned"]);
    assert_eq!(told.capacity, [("n2".into(), "memory".into(), 1, 4)]);
    let away: Vec<&str> = told
        .interruptions
        .iter()
        .map(|it| it.rsc.as_str())
        .collect();
    assert_eq!(away, ["db", "pinned"]);

    let other = drill(&now, &lost("n2", true), &input()).expect("it can be tried");
    assert_eq!(other.lost().count(), 0);

    let cut_off = drill(&now, &lost("n1", false), &input()).expect("it can be tried");
    assert!(
        cut_off.lost().any(|rsc| rsc == "web"),
        "no quorum, nothing runs"
    );
}

#[test]
fn a_drill_fences_what_failed_where_there_is_fencing() {
    let device = "<primitive id='f' class='stonith' type='fence_x'/>";
    let now = settled(&cib("", &format!("{device}{}", dummy("db", "")), ""));
    let facts = crate::policy::facts::read(&now, &input());
    let db = standing(&facts)["db"]
        .keys()
        .next()
        .cloned()
        .expect("it runs");
    let told = drill(&now, &lost(&db, true), &input()).expect("it can be tried");
    assert_eq!(told.fenced, [db]);
    assert_eq!(told.lost().count(), 0);
    let all = Failure {
        name: "all".into(),
        nodes: vec!["n1".into(), "n2".into()],
        quorate: Some(false),
    };
    let told = drill(&now, &all, &input()).expect("it can be tried");
    assert_eq!(told.lost().count(), 2);
}
