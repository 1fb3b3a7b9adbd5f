//! Which reports travel together.

use super::*;
use crate::cib::apply;
use crate::executor::Execution;
use crate::terms::{ExecStatus, OcfExit, OpKey, RscId};

fn execution(op: &str, rc: i32) -> Execution {
    let op: OpKey = op.parse().expect("an operation key");
    Execution {
        agent: "ocf:heartbeat:Dummy".parse().expect("an agent"),
        key: TransitionKey {
            action: 1,
            transition: 1,
            target_rc: 0,
            uuid: "u".into(),
        },
        op,
        call_id: 1,
        ticket: 1,
        status: ExecStatus::Done,
        rc: OcfExit(rc),
        exit_reason: String::new(),
        last_rc_change_s: Some(1000),
        exec_ms: None,
        queue_ms: None,
        digests: executor::Digests::default(),
        feature_set: String::new(),
        node: NodeName::from("h1"),
        notify: None,
        migrate: None,
        container: None,
        shutdown_lock: None,
        ignore_failure: false,
    }
}

fn result(op: &str, rc: i32) -> Report {
    Report::Result(execution(op, rc))
}

/// An operation that waits for its pending entry.
pub(in crate::daemon) fn pending_for_tests(ticket: i64) -> Report {
    let execution = execution("a_start_0", 193);
    Report::Pending(Execution {
        ticket,
        ..execution
    })
}

/// A result.
pub(in crate::daemon) fn result_for_tests(op: &str, rc: i32) -> Report {
    result(op, rc)
}

fn forgotten(rsc: &str) -> Report {
    Report::Forgotten {
        rsc: RscId::from(rsc),
        by: execution("a_delete_0", 0).key,
    }
}

fn sizes(reports: Vec<Report>) -> Vec<usize> {
    let mut waiting = reports.into();
    let name = NodeName::from("h1");
    let batches = std::iter::from_fn(|| Batch::next(&mut waiting, NodeId(1), &name));
    batches.map(|batch| batch.reports.len()).collect()
}

#[test]
fn a_result_is_never_written_together_with_what_hides_it() {
    assert_eq!(
        sizes(vec![result("a_start_0", 0), result("b_start_0", 0)]),
        [2],
        "other resources share a write"
    );
    assert_eq!(
        sizes(vec![result("a_monitor_0", 0), forgotten("a")]),
        [1, 1]
    );
    assert_eq!(sizes(vec![forgotten("a"), result("a_monitor_0", 0)]), [2]);
    assert_eq!(
        sizes(vec![result("a_monitor_5", 1), result("a_monitor_7", 1)]),
        [1, 1],
        "both are the last failure"
    );
    assert_eq!(
        sizes(vec![result("a_stop_0", 0), Report::Known(Vec::new())]),
        [1, 1]
    );
}

#[test]
fn every_result_shows_in_some_version_of_the_document() {
    let mut waiting = VecDeque::from([
        result("a_monitor_0", 7),
        forgotten("a"),
        result("a_monitor_0", 0),
    ]);
    let name = NodeName::from("h1");
    let mut cib = Cib::empty();
    let mut seen = Vec::new();
    while let Some(batch) = Batch::next(&mut waiting, NodeId(1), &name) {
        let applied = apply(
            &cib,
            &batch.command(&cib, None).expect("something to write"),
        );
        applied.answer.expect("it is accepted");
        cib = applied.cib;
        let entry = cib.root().find_id("a_last_0");
        seen.push(entry.and_then(|op| op.get("rc-code")).map(str::to_owned));
    }
    assert_eq!(seen, [Some("7".to_owned()), Some("0".to_owned())]);
}

#[test]
fn what_will_not_be_done_is_for_the_coordinator_alone() {
    let key = execution("a_start_0", 0).key;
    let why = "a_start_0: leaves".to_owned();
    let reports = vec![Report::NotDone { key, why }];
    assert_eq!(not_done(&reports).count(), 1);
    let name = NodeName::from("h1");
    let batch = Batch::next(&mut reports.into(), NodeId(1), &name).expect("a batch");
    assert!(batch.command(&Cib::empty(), None).is_none());
}

#[test]
fn a_result_of_an_earlier_life_is_refused() {
    let entry = |life: &str| {
        let text = format!(
            r#"<cib><configuration/><status><node_state id="1" uname="h1" incarnation="{life}"/></status></cib>"#
        );
        Cib::parse(&text, &crate::xml::Limits::default()).expect("a CIB")
    };
    let name = NodeName::from("h1");
    let mut waiting = VecDeque::from([result("a_start_0", 0)]);
    let batch = Batch::next(&mut waiting, NodeId(1), &name).expect("a batch");
    let write = |cib: &Cib| apply(cib, &batch.command(cib, Some(7)).expect("a write"));
    let same = write(&entry("7"));
    same.answer.expect("it is taken");
    assert!(same.cib.root().find_id("a_last_0").is_some());
    let later = entry("8");
    let refused = write(&later);
    assert!(refused.answer.is_err());
    assert_eq!(refused.cib.root(), later.root());
    let mut dead = same.cib.root().clone();
    let states = dead.child_mut("status").expect("a status").children_mut();
    states.for_each(|state| state.set("fenced-incarnation", "7"));
    assert!(write(&Cib::new(dead)).answer.is_err(), "it was fenced");
}
