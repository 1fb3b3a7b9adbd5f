use super::*;
use crate::cib::{
    apply,
    status::{attribute::get, history},
};

fn place() -> Place {
    Place::new(1, "n1")
}

fn execution(op: &str, status: ExecStatus, rc: i32, target: i32) -> Execution {
    Execution {
        agent: "ocf:heartbeat:Dummy".parse().unwrap(),
        op: op.parse().unwrap(),
        key: TransitionKey {
            action: 3,
            transition: 7,
            target_rc: target,
            uuid: "u".into(),
        },
        call_id: 12,
        status,
        rc: OcfExit(rc),
        exit_reason: "because".into(),
        last_rc_change_s: Some(100),
        exec_ms: Some(5),
        queue_ms: None,
        digests: Digests {
            all: "d".into(),
            restart: Some((" p ".into(), "r".into())),
            secure: None,
        },
        feature_set: "3.20.5".into(),
        node: "n1".into(),
        notify: None,
        migrate: None,
        container: None,
        shutdown_lock: None,
        ignore_failure: false,
    }
}

fn after(executions: &[Execution]) -> Cib {
    executions.iter().fold(Cib::empty(), |cib, execution| {
        let applied = apply(&cib, &result(&place(), execution, Counting::default()));
        applied.answer.unwrap();
        applied.cib
    })
}

/// `ID OPERATION STATUS:RC` of all entries.
fn entries(cib: &Cib) -> String {
    let entries = history::of_node(cib, "1");
    let lines = entries
        .iter()
        .map(|e| format!("{} {} {}:{}", e.id, e.op.task, e.status, e.rc));
    lines.collect::<Vec<_>>().join(", ")
}

#[test]
fn an_entry_has_everything() {
    let cib = after(&[execution("a_start_0", ExecStatus::Done, 0, 0)]);
    let entry = cib.root().find_id("a_last_0").unwrap();
    assert_eq!(
        entry.to_string(),
        "<lrm_rsc_op id=\"a_last_0\" operation_key=\"a_start_0\" operation=\"start\" crm-debug-origin=\"systole\" \
         crm_feature_set=\"3.20.5\" transition-key=\"3:7:0:u\" transition-magic=\"0:0;3:7:0:u\" exit-reason=\"\" \
         on_node=\"n1\" call-id=\"12\" rc-code=\"0\" op-status=\"0\" interval=\"0\" last-rc-change=\"100\" \
         exec-time=\"5\" queue-time=\"0\" op-digest=\"d\" op-force-restart=\" p \" op-restart-digest=\"r\"/>"
    );
    let rsc = cib
        .root()
        .descendants()
        .find(|e| e.is("lrm_resource"))
        .unwrap();
    assert_eq!(
        (rsc.get("provider"), rsc.get("type")),
        (Some("heartbeat"), Some("Dummy"))
    );
}

#[test]
fn entries_have_the_ids_that_are_looked_for() {
    use ExecStatus::{Cancelled, Done, Error, TimedOut};
    for (op, status, rc, target, expected, count) in [
        ("a_start_0", Done, 0, 0, "a_last_0 start 0:0", None),
        (
            "a_monitor_10000",
            Done,
            0,
            0,
            "a_monitor_10000 monitor 0:0",
            None,
        ),
        ("a_monitor_0", Done, 7, 7, "a_last_0 monitor 0:7", None),
        ("a_monitor_0", Error, 7, 7, "a_last_0 monitor 0:7", None),
        (
            "a_monitor_0",
            Done,
            0,
            7,
            "a_last_failure_0 monitor 0:0, a_last_0 monitor 0:0",
            None,
        ),
        (
            "a_monitor_10000",
            Done,
            1,
            0,
            "a_last_failure_0 monitor 0:1",
            Some("1"),
        ),
        (
            "a_monitor_10000",
            TimedOut,
            1,
            0,
            "a_last_failure_0 monitor 2:1",
            Some("1"),
        ),
        (
            "a_start_0",
            Error,
            1,
            0,
            "a_last_failure_0 start 4:1, a_last_0 start 4:1",
            Some("INFINITY"),
        ),
        (
            "a_stop_0",
            TimedOut,
            1,
            0,
            "a_last_failure_0 stop 2:1, a_last_0 stop 2:1",
            Some("INFINITY"),
        ),
        (
            "a_promote_0",
            Done,
            1,
            0,
            "a_last_failure_0 promote 0:1, a_last_0 promote 0:1",
            Some("1"),
        ),
        (
            "a_migrate_to_0",
            Done,
            1,
            0,
            "a_migrate_to_0 migrate_to 0:1",
            None,
        ),
        ("a_reload-agent_0", Done, 0, 0, "a_last_0 start 0:0", None),
        (
            "a_monitor_10000",
            Cancelled,
            1,
            0,
            "a_monitor_10000 monitor 1:1",
            None,
        ),
    ] {
        let cib = after(&[execution(op, status, rc, target)]);
        assert_eq!(entries(&cib), expected, "{op} {status:?} {rc}");
        let key: OpKey = op.parse().unwrap();
        let name = attribute::fail_count_name(&key);
        assert_eq!(get(&cib, "1", &name), count, "{op} {status:?} {rc}");
    }
}

#[test]
fn a_failure_keeps_the_last_good_result() {
    let cib = after(&[
        execution("a_monitor_10000", ExecStatus::Done, 0, 0),
        execution("a_monitor_10000", ExecStatus::Done, 7, 0),
        execution("a_monitor_10000", ExecStatus::Done, 7, 0),
    ]);
    assert_eq!(
        entries(&cib),
        "a_monitor_10000 monitor 0:0, a_last_failure_0 monitor 0:7"
    );
    assert_eq!(get(&cib, "1", "fail-count-a#monitor_10000"), Some("2"));
    assert_eq!(get(&cib, "1", "last-failure-a#monitor_10000"), Some("100"));
    let cleaned = apply(&cib, &cleaned(&place(), &"a".into())).cib;
    assert_eq!(
        (
            entries(&cleaned).as_str(),
            get(&cleaned, "1", "fail-count-a#monitor_10000")
        ),
        ("", None)
    );
    let cleared = apply(
        &cib,
        &failures_cleared(&place(), &"a".into(), Some(("monitor", 10_000))),
    )
    .cib;
    assert_eq!(entries(&cleared), "a_monitor_10000 monitor 0:0");
    assert_eq!(get(&cleared, "1", "fail-count-a#monitor_10000"), None);
}

#[test]
fn pending_entries_are_overwritten_and_cancelled_ones_deleted() {
    let monitor = execution("a_monitor_10000", ExecStatus::Done, 0, 0);
    let pending = apply(&Cib::empty(), &pending(&place(), &monitor)).cib;
    assert_eq!(entries(&pending), "a_monitor_10000 monitor -1:193");
    let done = apply(&pending, &result(&place(), &monitor, Counting::default())).cib;
    assert_eq!(entries(&done), "a_monitor_10000 monitor 0:0");
    let cancel = |call_id| cancelled(&place(), &monitor.op, Some(call_id), Some(&monitor.key));
    assert_eq!(
        entries(&apply(&done, &cancel(11)).cib),
        "a_monitor_10000 monitor 0:0"
    );
    assert_eq!(entries(&apply(&done, &cancel(12)).cib), "");
}

#[test]
fn writes_of_entries_are_seen_in_the_patch() {
    let first = apply(
        &Cib::empty(),
        &result(
            &place(),
            &execution("a_start_0", ExecStatus::Done, 0, 0),
            Counting::default(),
        ),
    );
    let seen = history::written(&first.patch.unwrap());
    assert_eq!(
        (
            seen.len(),
            seen[0].node_id.as_str(),
            seen[0].entry.op.rsc.as_str()
        ),
        (1, "1", "a")
    );
    let next = execution("a_stop_0", ExecStatus::Done, 0, 0);
    let second = apply(&first.cib, &result(&place(), &next, Counting::default()));
    let seen = history::written(&second.patch.unwrap());
    assert_eq!(
        (seen.len(), seen[0].entry.op.to_string().as_str()),
        (1, "a_stop_0")
    );
    assert_eq!(seen[0].entry.key, next.key);
}

#[test]
fn what_a_node_knows_itself_is_laid_over_what_is_written() {
    let old = after(&[
        execution("a_start_0", ExecStatus::Done, 0, 0),
        execution("b_start_0", ExecStatus::Done, 0, 0),
    ]);
    let newer = [execution("a_stop_0", ExecStatus::Done, 0, 0)];
    assert_eq!(
        entries(&apply(&old, &known(&place(), &newer)).cib),
        "a_last_0 stop 0:0, b_last_0 start 0:0"
    );
}

#[test]
fn a_start_that_will_not_run_leaves_nothing_that_looks_active() {
    let done = |op: &str| execution(op, ExecStatus::Done, 0, 0);
    let start = Execution {
        call_id: -1,
        ..execution("a_start_0", ExecStatus::Pending, 193, 0)
    };
    let other = done("b_start_0");
    let before = after(&[done("a_monitor_5000"), done("a_stop_0"), other]);
    let begun = apply(&before, &pending(&place(), &start)).cib;
    let stranger = TransitionKey {
        action: 99,
        ..start.key.clone()
    };
    let kept = apply(&begun, &withdrawn(&place(), &start.op, &stranger)).cib;
    assert_eq!(kept.root(), begun.root(), "somebody else's");
    let kept = apply(&before, &withdrawn(&place(), &start.op, &start.key)).cib;
    assert_eq!(kept.root(), before.root(), "it is not pending any more");
    let gone = apply(&begun, &withdrawn(&place(), &start.op, &start.key)).cib;
    assert_eq!(entries(&gone), "b_last_0 start 0:0");
}
