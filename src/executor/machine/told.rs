//! What is told of operations: that one is about to begin, how it ended, that it never will. // spec cluster §13.1

use super::*;

/// Whether an operation is told of before it begins.
pub(super) fn is_announced(order: &Order) -> bool {
    order.pending == Pending::Report && order.recordable() && !seeded(Bug::StartUnrecorded)
}

/// Tells that an operation is about to begin; whether it must wait until that is written.
pub(super) fn report_pending(order: &Order, call_id: i64, effects: &mut Vec<Effect>) -> bool {
    if !is_announced(order) {
        return false;
    }
    let outcome = Outcome::failed(ExecStatus::Pending, OcfExit::PENDING, "");
    let mut execution = execution(order, -1, &outcome, None, None);
    execution.ticket = call_id;
    execution.digests = digests::digests(order, None);
    effects.push(Effect::Report(Box::new(Report::Pending(execution))));
    // A stop takes away: it can do no harm that the record would prevent.
    order.changes_state() && order.op.task != "stop"
}

pub(super) fn not_done(order: &Order, why: Refusal) -> Effect {
    let (key, why) = (order.key.clone(), format!("{}: {why}", order.op));
    Effect::Report(Box::new(Report::NotDone { key, why }))
}

pub(super) fn withdrawn(op: OpKey, key: TransitionKey) -> Effect {
    Effect::Report(Box::new(Report::Withdrawn { op, key }))
}

/// The end of what nothing is recorded of: whatever has its id in the CIB is of something earlier, and goes with it.
pub(super) fn cancelled_unrecorded(op: OpKey, by: TransitionKey) -> Effect {
    Effect::Report(Box::new(Report::Cancelled {
        op,
        call_id: None,
        key: None,
        by: Some(by),
    }))
}

pub(super) fn cancelled(order: &Order, call_id: i64, by: Option<TransitionKey>) -> Effect {
    let (op, key) = (order.op.clone(), Some(order.key.clone()));
    Effect::Report(Box::new(Report::Cancelled {
        op,
        call_id: Some(call_id),
        key,
        by,
    }))
}

pub(super) fn execution(
    order: &Order,
    call_id: i64,
    outcome: &Outcome,
    last_rc_change_s: Option<i64>,
    times: Option<(u64, u64)>,
) -> Execution {
    // An error with an exit status that has a meaning of its own is that status. // spec cluster §13.1
    let status = match (outcome.status, outcome.rc.0) {
        (ExecStatus::Error, 7 | 8 | 190 | 191) => ExecStatus::Done,
        (status, _) => status,
    };
    let pair = |a: &str, b: &str| Some((order.meta(a)?.to_owned(), order.meta(b)?.to_owned()));
    let notifies = order.op.task == "notify";
    let mut execution = Execution {
        agent: order.agent.clone(),
        op: recorded_op(order, status, outcome.rc),
        key: order.key.clone(),
        call_id,
        ticket: call_id,
        status,
        rc: outcome.rc,
        exit_reason: String::new(),
        last_rc_change_s,
        exec_ms: times.map(|(run, _)| run),
        queue_ms: times.map(|(_, queue)| queue),
        digests: Default::default(),
        feature_set: order.feature_set.clone(),
        node: order.node.clone(),
        notify: pair("notify_type", "notify_operation").filter(|_| notifies),
        migrate: pair("migrate_source", "migrate_target"),
        container: order.meta("container").map(str::to_owned),
        shutdown_lock: shutdown_lock(order, outcome.rc),
        ignore_failure: order.meta("on_fail") == Some("ignore"),
    };
    if execution.failed() {
        execution.exit_reason = outcome.reason.clone().unwrap_or_default();
    }
    execution
}

/// `reload` is recorded as `start` if done, else as `monitor`. // spec cluster §13.1
fn recorded_op(order: &Order, status: ExecStatus, rc: OcfExit) -> OpKey {
    if !matches!(order.op.task.as_str(), "reload" | "reload-agent") {
        return order.op.clone();
    }
    let task = if status == ExecStatus::Done && rc == OcfExit::OK {
        "start"
    } else {
        "monitor"
    };
    OpKey {
        task: task.to_owned(),
        ..order.op.clone()
    }
}

/// A lock is kept by a successful stop and by a probe that found nothing, and ends with anything else.
fn shutdown_lock(order: &Order, rc: OcfExit) -> Option<i64> {
    match (order.op.task.as_str(), rc.0) {
        ("stop", 0) => order.shutdown_lock,
        ("monitor", 7) => None,
        _ => Some(0),
    }
}
