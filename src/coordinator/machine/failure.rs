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
    let (node, rsc) = (action.node.as_ref()?, action.rsc.as_ref()?);
    let execution = record::Execution {
        agent: AgentName::new(&rsc.class, rsc.provider.as_deref(), &rsc.kind),
        op: OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms()),
        key: key.clone(),
        call_id: -1,
        status: ExecStatus::TimedOut,
        rc: OcfExit::ERROR,
        exit_reason: "the node did not answer in time".into(),
        last_rc_change_s: Some(now_s),
        exec_ms: None,
        queue_ms: None,
        digests: record::Digests::default(),
        feature_set: action
            .attribute("crm_feature_set")
            .unwrap_or_default()
            .to_owned(),
        node: node.name.clone(),
        notify: None,
        migrate: None,
        container: None,
        shutdown_lock: None,
        ignore_failure: action.meta("on_fail") == Some("ignore"),
    };
    let place = Place::new(&node.uuid, node.name.clone());
    Some(record::result(&place, &execution, Counting::of(cib)))
}
