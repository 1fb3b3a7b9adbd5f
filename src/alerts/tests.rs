//! These events, then these effects.

use super::*;
use crate::alerts::{What, receivers};
use crate::cib::Cib;
use crate::xml::Limits;

const CIB: &str = r#"<cib><configuration><alerts>
  <alert id="all" path="/a"/>
  <alert id="some" path="/b">
    <select><select_attributes><attribute id="s1" name="ping"/></select_attributes><select_nodes/></select>
    <meta_attributes id="m"><nvpair id="m1" name="timestamp-format" value="%Y-%m-%d %H:%M:%S.%03N %%"/>
      <nvpair id="m2" name="timeout" value="-1"/></meta_attributes>
    <instance_attributes id="i"><nvpair id="i1" name="p" value="1"/><nvpair id="i2" name="q" value="1"/></instance_attributes>
    <recipient id="one" value="me"><instance_attributes id="j"><nvpair id="j1" name="q" value="2"/></instance_attributes>
      <meta_attributes id="k"><nvpair id="k1" name="timeout" value="5s"/></meta_attributes></recipient>
    <recipient id="off" value="you"><meta_attributes id="l"><nvpair id="l1" name="enabled" value="false"/></meta_attributes></recipient>
  </alert>
  <alert id="never" path="/c"><meta_attributes id="n"><nvpair id="n1" name="enabled" value="false"/></meta_attributes>
    <recipient id="two" value="x"><meta_attributes id="o"><nvpair id="o1" name="enabled" value="true"/></meta_attributes></recipient></alert>
</alerts></configuration></cib>"#;

fn machine() -> Machine {
    let mut machine = Machine::default();
    let cib = Cib::parse(CIB, &Limits::STORED).unwrap();
    machine.step(Event::Configured(cib), &mut Vec::new());
    machine
}

fn happened(what: What) -> Event {
    Event::Happened(Happened {
        at: "2024-05-06T07:08:09.012345678[UTC]".parse().unwrap(),
        node: "n1".into(),
        what,
    })
}

fn step(machine: &mut Machine, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.step(event, &mut effects);
    effects
}

fn called(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Run(call) => call.receiver.as_str(),
            Effect::Dropped(_) => "dropped",
        })
        .collect()
}

fn node() -> What {
    What::Node {
        id: 7,
        state: "lost",
    }
}

fn attribute(name: &str) -> What {
    What::Attribute {
        id: 7,
        name: name.into(),
        value: "5".into(),
    }
}

#[test]
fn receivers_hear_of_what_they_selected() {
    let fencing = What::Fencing {
        task: "reboot".into(),
        desc: "done".into(),
        rc: 0,
    };
    for (what, expected) in [
        (node(), vec!["all", "some/one"]),
        (fencing, vec!["all"]),
        (attribute("ping"), vec!["some/one"]),
        (attribute("pong"), vec![]),
    ] {
        let effects = step(&mut machine(), happened(what.clone()));
        assert_eq!(called(&effects), expected, "{what:?}");
    }
}

#[test]
fn the_environment_says_what_happened() {
    let effects = step(&mut machine(), happened(node()));
    let Some(Effect::Run(call)) = effects.get(1) else {
        panic!("{effects:?}");
    };
    assert_eq!(call.timeout_ms, 5_000);
    let lines: Vec<String> = call.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(
        lines,
        [
            "p=1",
            "q=2",
            "CRM_alert_kind=node",
            concat!("CRM_alert_version=", env!("CARGO_PKG_VERSION")),
            "CRM_alert_node=n1",
            "CRM_alert_node_sequence=2",
            "CRM_alert_timestamp=2024-05-06 07:08:09.012 %",
            "CRM_alert_timestamp_epoch=1714979289",
            "CRM_alert_timestamp_usec=012345",
            "CRM_alert_recipient=me",
            "CRM_alert_nodeid=7",
            "CRM_alert_desc=lost",
        ]
    );
    let Some(Effect::Run(call)) = effects.first() else {
        panic!("{effects:?}");
    };
    assert_eq!(call.timeout_ms, 30_000);
    let usual = (
        "CRM_alert_timestamp".to_owned(),
        "07:08:09.012345".to_owned(),
    );
    assert!(call.env.contains(&usual), "{:?}", call.env);
    assert!(
        call.env
            .iter()
            .all(|(name, _)| name != "CRM_alert_recipient")
    );
}

#[test]
fn rules_count_at_the_moment_of_the_event() {
    const CIB: &str = r#"<cib><configuration><alerts><alert id="night" path="/a">
      <meta_attributes id="m" score="1"><rule id="r"><date_expression id="d" operation="date_spec">
        <date_spec id="s" hours="8-17"/></date_expression></rule>
        <nvpair id="m1" name="enabled" value="false"/></meta_attributes>
      <instance_attributes id="i"><rule id="q"><date_expression id="e" operation="lt" end="2024-05-07"/></rule>
        <nvpair id="i1" name="day" value="6"/></instance_attributes>
      <instance_attributes id="j"><nvpair id="j1" name="day"/></instance_attributes>
      </alert></alerts></configuration></cib>"#;
    let cib = Cib::parse(CIB, &Limits::STORED).unwrap();
    for (at, expected) in [
        ("2024-05-06T07:59:59[UTC]", Some("6")),
        ("2024-05-06T08:00:00[UTC]", None),
        // Eight in the morning is that of the machine's time zone.
        ("2024-05-06T08:00:00-05:00[-05:00]", None),
        ("2024-05-06T07:00:00-05:00[-05:00]", Some("6")),
        ("2024-05-07T18:00:00[UTC]", Some("")),
    ] {
        let found = receivers(&cib, &at.parse().unwrap());
        let day = found.first().map(|receiver| receiver.env[0].1.as_str());
        assert_eq!(day, expected, "{at}");
    }
}

#[test]
fn a_receiver_hears_of_one_thing_at_a_time_and_of_the_newest() {
    let mut machine = machine();
    step(&mut machine, happened(attribute("ping")));
    for _ in 0..QUEUE {
        assert_eq!(step(&mut machine, happened(attribute("ping"))), []);
    }
    let full = step(&mut machine, happened(attribute("ping")));
    assert_eq!(full, [Effect::Dropped("some/one".into())]);
    let mut sequences = Vec::new();
    loop {
        let effects = step(&mut machine, Event::Ended("some/one".into()));
        let [Effect::Run(call)] = effects.as_slice() else {
            break;
        };
        let named = |(name, _): &&(String, String)| name == "CRM_alert_node_sequence";
        sequences.push(call.env.iter().find(named).unwrap().1.clone());
    }
    let expected: Vec<String> = (3..=QUEUE + 2).map(|n| n.to_string()).collect();
    assert_eq!(sequences, expected);
    // Nothing runs any more, so the next call does at once.
    assert_eq!(called(&step(&mut machine, happened(node()))).len(), 2);
}
