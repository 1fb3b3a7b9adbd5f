//! Failures: an action nobody answered for is recorded as timed out; counts are cleared on demand. The
//! executor's own results bring their counts with them, in the same write. // spec cluster §11

use super::*;
use crate::cib::status::node_state::Place;
use crate::cib::status::record::{self, Counting};
use crate::terms::{AgentName, ExecStatus, OcfExit, OpKey};

/// The write of a `clear_failcount` action: its counts, and the failure that is shown.
pub(super) fn clear(action: &Action) -> Option<Command> {
    let (node, rsc) = (action.node.as_ref()?, action.rsc.as_ref()?);
    let place = Place::new(&node.uuid, node.name.clone());
    let op = action
        .meta("operation")
        .map(|task| (task, action.interval_ms()));
    Some(record::failures_cleared(&place, &rsc.id, op))
}

/// The history entry of an action that nobody answered for. // spec cluster §9.3
pub(super) fn timed_out(
    cib: &Cib,
    action: &Action,
    key: &TransitionKey,
    now_s: i64,
) -> Option<Command> {
    if matches!(
        action.task.as_str(),
        "cancel" | "delete" | "notify" | "meta-data"
    ) {
        return None;
    }
    let execution = record::Execution {
        last_rc_change_s: Some(now_s),
        exit_reason: "the node did not answer in time".into(),
        ..execution(action, key)?
    };
    Some(record::result(
        &place(action)?,
        &execution,
        Counting::of(cib),
    ))
}

/// The history entry of an action that was ordered and may have begun; none for what leaves nothing active.
pub(super) fn begun(action: &Action, key: &TransitionKey) -> Option<Command> {
    let tasks = ["start", "promote", "migrate_to", "migrate_from"];
    if !tasks.contains(&action.task.as_str()) {
        return None;
    }
    Some(record::pending(&place(action)?, &execution(action, key)?))
}

fn place(action: &Action) -> Option<Place> {
    let node = action.node.as_ref()?;
    Some(Place {
        remote: action.router.is_some(),
        ..Place::new(&node.uuid, node.name.clone())
    })
}

fn execution(action: &Action, key: &TransitionKey) -> Option<record::Execution> {
    let (node, rsc) = (action.node.as_ref()?, action.rsc.as_ref()?);
    let pair = |a: &str, b: &str| Some((action.meta(a)?.to_owned(), action.meta(b)?.to_owned()));
    Some(record::Execution {
        agent: AgentName::new(&rsc.class, rsc.provider.as_deref(), &rsc.kind),
        op: OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms()),
        key: key.clone(),
        call_id: -1,
        status: ExecStatus::TimedOut,
        rc: OcfExit::ERROR,
        exit_reason: String::new(),
        last_rc_change_s: None,
        exec_ms: None,
        queue_ms: None,
        digests: record::Digests::default(),
        feature_set: action
            .attribute("crm_feature_set")
            .unwrap_or_default()
            .to_owned(),
        node: node.name.clone(),
        notify: None,
        migrate: pair("migrate_source", "migrate_target"),
        container: None,
        shutdown_lock: None,
        ignore_failure: action.meta("on_fail") == Some("ignore"),
    })
}
