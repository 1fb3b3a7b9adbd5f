//! One recorded result after the other, oldest first: what each says about the role, and whether it counts as a
//! failure (spec 1 §22).

use super::history::{HistoryOp, Recorded};
use super::operation::{OnFail, OpMeta};
use super::resource::Pending;
use super::{Facts, FailedOp, failure, migration};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::policy::report::Cause;
use crate::terms::{Role, Score};

/// What reading an entry has led to so far.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rsc: RscIdx,
    pub(super) node: NodeIdx,
    /// Position in `Facts::history`.
    pub(super) entry: usize,
    /// What the failures so far call for.
    pub(super) on_fail: OnFail,
    /// The last result that counted as a failure.
    pub(super) last_failure: Option<HistoryOp>,
    /// Where that handling came from.
    pub(super) cause: Option<Cause>,
}

/// One result, as interpreted.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub(super) op: &'a HistoryOp,
    /// Position in the entry.
    pub(super) at: usize,
    pub(super) rc: i32,
    pub(super) status: i32,
    pub(super) recorded_rc: i32,
    pub(super) recorded_status: i32,
    /// A probe whose failure means "not running here, and never will".
    pub(super) maskable: bool,
    pub(super) expired: bool,
}

const PENDING: i32 = -1;
const DONE: i32 = 0;
const NOT_SUPPORTED: i32 = 3;
const ERROR: i32 = 4;
const HARD_ERROR: i32 = 5;
const FATAL_ERROR: i32 = 6;
const NOT_INSTALLED: i32 = 7;
const NOT_CONNECTED: i32 = 8;

/// Reads all operations of an entry in sorted order. // spec 1 §23.1 step 3
pub(super) fn read_ops(
    facts: &mut Facts,
    rsc: RscIdx,
    node: NodeIdx,
    entry: usize,
    recorded: &Recorded,
) -> Run {
    let mut run = Run {
        rsc,
        node,
        entry,
        on_fail: OnFail::Ignore,
        last_failure: None,
        cause: None,
    };
    for (at, op) in recorded.ops.iter().enumerate() {
        read_op(facts, &mut run, at, op);
    }
    run
}

fn read_op(facts: &mut Facts, run: &mut Run, at: usize, op: &HistoryOp) {
    const TASKS: [&str; 8] = [
        "monitor",
        "start",
        "stop",
        "promote",
        "demote",
        "migrate_to",
        "migrate_from",
        "asyncmon",
    ];
    // spec 1 §22.1
    if !op.marks.named || !TASKS.contains(&&*op.task) {
        return;
    }
    let (Some(rc), Some(status)) = (op.rc, op.status) else {
        return;
    };
    let bundled = facts.bundle_of(run.rsc).is_some();
    let maskable = !bundled && op.is_probe() && (matches!(rc, 5 | 2) || status == NOT_INSTALLED);
    let mut seen = Seen {
        op,
        at,
        rc,
        status,
        recorded_rc: rc,
        recorded_status: status,
        maskable,
        expired: false,
    };
    seen.expired = facts.check_expired(run.rsc, run.node, (run.entry, at), seen.op);
    remap(facts, run, &mut seen);
    if seen.expired && expired_ends_it(facts, run, &mut seen) {
        return;
    }
    if seen.maskable {
        masked_probe(facts, run, &seen);
        return;
    }
    match seen.status {
        PENDING => pending(facts, run, &seen),
        DONE => update_role(facts, run, &seen, seen.rc),
        NOT_INSTALLED => {
            let meta = meta_of(facts, run, &seen);
            if meta.on_fail == OnFail::Ignore {
                run.on_fail = OnFail::Ban;
            }
            failure_ban(facts, run, &seen, &meta);
            failure::record(facts, run, &seen, &meta);
        }
        status => {
            if status == NOT_CONNECTED {
                connection_lost(facts, run.node);
            }
            failed(facts, run, &seen);
        }
    }
}

pub(super) fn meta_of(facts: &Facts, run: &Run, seen: &Seen) -> OpMeta {
    facts.op_meta(run.rsc, Some(run.node), &seen.op.task, seen.op.interval_ms)
}

/// What the result really says. // spec 1 §22.3
fn remap(facts: &mut Facts, run: &mut Run, seen: &mut Seen) {
    let (rsc, node) = (run.rsc, run.node);
    let effective = match seen.rc {
        190 => 0,
        191 => 8,
        rc => rc,
    };
    if effective != seen.rc {
        seen.rc = effective;
        let it = &facts.nodes[node];
        if !seen.expired && (!it.shutdown || it.online) {
            record_failed(facts, run, seen);
        }
    }
    if seen.maskable && (seen.status != DONE || seen.rc != 7) {
        seen.status = DONE;
        seen.rc = 7;
    }
    if !matches!(seen.status, DONE | ERROR) {
        if matches!(seen.status, 10 | 11) {
            seen.status = HARD_ERROR;
        }
        return;
    }
    let target = seen.op.target_rc;
    seen.status = if target >= 0 && seen.rc == target {
        DONE
    } else {
        ERROR
    };
    let probe = seen.op.is_probe();
    match seen.rc {
        0 => {
            if probe && target == 7 {
                seen.status = DONE;
            }
        }
        7 => {
            if probe || target == 7 || !facts.rscs[rsc].flags.managed {
                seen.status = DONE;
                facts.rscs[rsc].role = Role::Stopped;
                // Who only looks whether it stays away takes back no more than others that succeed (spec 1 §22.6). By the
                // table of §22.3 it would lift a standby, be cancelled for it, and then there is the standby again.
                let watches_absence = !probe && seen.op.interval_ms > 0 && target == 7;
                if !watches_absence {
                    run.on_fail = OnFail::Ignore;
                    facts.rscs[rsc].next_role = Role::Unknown;
                }
            }
        }
        8 => {
            if probe && seen.rc != target {
                seen.status = DONE;
            }
            if !seen.expired || seen.rc == target {
                facts.rscs[rsc].role = Role::Promoted;
            }
        }
        9 => {
            if !seen.expired {
                facts.rscs[rsc].role = Role::Promoted;
            }
            seen.status = ERROR;
        }
        6 => seen.status = FATAL_ERROR,
        3 if seen.op.interval_ms > 0 => seen.status = NOT_SUPPORTED,
        2..=5 => {
            if !seen.expired {
                block_if_unrecoverable(facts, run, seen);
            }
            seen.status = HARD_ERROR;
        }
        _ => {
            if seen.status == DONE {
                seen.status = ERROR;
            }
        }
    }
}

fn block_if_unrecoverable(facts: &mut Facts, run: &Run, seen: &Seen) {
    if &*seen.op.task == "stop" && !facts.can_fence(Some(run.node)) {
        let flags = &mut facts.rscs[run.rsc].flags;
        flags.managed = false;
        flags.blocked = true;
    }
}

/// Results too old to count; true if there is nothing more to do. // spec 1 §22.4
fn expired_ends_it(facts: &mut Facts, run: &Run, seen: &mut Seen) -> bool {
    if seen.maskable && seen.recorded_rc != seen.op.target_rc {
        let role = &mut facts.rscs[run.rsc].role;
        if *role <= Role::Stopped {
            *role = Role::Unknown;
        }
        return true;
    }
    if seen.rc == seen.op.target_rc {
        seen.expired = false;
        return false;
    }
    if seen.op.interval_ms == 0 {
        return true;
    }
    let node = &facts.nodes[run.node];
    if node.online && !node.unclean {
        if seen.op.element.get("op-digest").is_some() {
            facts.history.reschedule(run.entry, seen.at);
        }
        return true;
    }
    false
}

// spec 1 §22.5
fn masked_probe(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    update_role(facts, run, seen, seen.op.target_rc);
    record_failed(facts, run, seen);
    let cause = cause_of(run, seen, "masked");
    facts.add_location(
        target_of(facts, run.rsc),
        run.node,
        Score::MINUS_INFINITY,
        Some(&cause),
    );
}

/// A bad result with the handling that is configured. // spec 1 §22.6 "all others"
fn failed(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    let meta = meta_of(facts, run, seen);
    let stopping_in_container =
        meta.on_fail == OnFail::RestartContainer && &*seen.op.task == "stop";
    if meta.on_fail == OnFail::Ignore || stopping_in_container {
        update_role(facts, run, seen, seen.op.target_rc);
        facts.rscs[run.rsc].flags.failure_ignored = true;
        record_failed(facts, run, seen);
        if stopping_in_container && run.on_fail <= OnFail::Restart {
            run.on_fail = OnFail::RestartContainer;
            run.cause = Some(cause_of(run, seen, meta.on_fail.name()));
        }
        return;
    }
    failure::record(facts, run, seen, &meta);
    match seen.status {
        HARD_ERROR => failure_ban(facts, run, seen, &meta),
        FATAL_ERROR => {
            let cause = cause_of(run, seen, meta.on_fail.name());
            let target = target_of(facts, run.rsc);
            facts.add_location_everywhere(target, Score::MINUS_INFINITY, &cause);
        }
        _ => {}
    }
}

fn failure_ban(facts: &mut Facts, run: &Run, seen: &Seen, meta: &OpMeta) {
    let cause = cause_of(run, seen, meta.on_fail.name());
    facts.add_location(
        target_of(facts, run.rsc),
        run.node,
        Score::MINUS_INFINITY,
        Some(&cause),
    );
}

/// Whom a hard error bans: the resource, or its whole anonymous clone.
pub(super) fn target_of(facts: &Facts, rsc: RscIdx) -> RscIdx {
    if facts.rscs[rsc].flags.unique {
        rsc
    } else {
        facts.top_of(rsc)
    }
}

// spec 1 §22.6 "not connected"
fn connection_lost(facts: &mut Facts, node: NodeIdx) {
    let it = &facts.nodes[node];
    let connection = it.connection.filter(|_| it.pacemaker_remote);
    if let Some(connection) = connection.filter(|&rsc| facts.rscs[rsc].flags.managed) {
        facts.require_stop(connection);
    }
}

/// Why a failure has an effect.
pub(super) fn cause_of(run: &Run, seen: &Seen, on_fail: &'static str) -> Cause {
    Cause::Failure {
        rsc: run.rsc,
        node: run.node,
        task: Str::clone(&seen.op.task),
        interval_ms: seen.op.interval_ms,
        rc: seen.recorded_rc,
        status: seen.status,
        on_fail,
    }
}

/// Running, in the role that a start leaves: *active\**. // spec 1 §22.6
pub(super) fn set_active_role(facts: &mut Facts, rsc: RscIdx) {
    let top = facts.top_of(rsc);
    let role = if facts.rscs[top].flags.promotable {
        Role::Unpromoted
    } else {
        Role::Started
    };
    facts.rscs[rsc].role = role;
}

/// What a result that counts as this exit status says about the role. // spec 1 §22.6
fn update_role(facts: &mut Facts, run: &mut Run, seen: &Seen, exit: i32) {
    let rsc = run.rsc;
    let op = seen.op;
    let mut clears = false;
    if exit == 5 || seen.maskable {
        facts.rscs[rsc].role = Role::Stopped;
    } else if exit == 7 {
        clears = true;
    } else {
        match &*op.task {
            "start" | "migrate_from" => {
                facts.rscs[rsc].role = Role::Started;
                clears = true;
            }
            "stop" => {
                facts.rscs[rsc].role = Role::Stopped;
                clears = true;
            }
            "promote" => {
                facts.rscs[rsc].role = Role::Promoted;
                clears = true;
            }
            "demote" => {
                facts.rscs[rsc].role = Role::Unpromoted;
                clears = run.on_fail == OnFail::Demote;
            }
            "migrate_to" => migration::migrate_to_succeeded(facts, run, seen),
            task => {
                if task == "monitor" {
                    clears = run
                        .last_failure
                        .as_ref()
                        .is_some_and(|last| last.key() == op.key());
                }
                if facts.rscs[rsc].role < Role::Started {
                    set_active_role(facts, rsc);
                }
            }
        }
    }
    if clears {
        clear_failure(facts, run);
    }
}

fn clear_failure(facts: &mut Facts, run: &mut Run) {
    let forgives = match run.on_fail {
        OnFail::Stop | OnFail::Ban | OnFail::Standby | OnFail::Fence => false,
        OnFail::ResetRemote => facts.rscs[run.rsc].reconnect_interval_ms == 0,
        OnFail::Block
        | OnFail::Ignore
        | OnFail::Demote
        | OnFail::Restart
        | OnFail::RestartContainer => true,
    };
    if forgives {
        run.on_fail = OnFail::Ignore;
        facts.rscs[run.rsc].next_role = Role::Unknown;
    }
}

// spec 1 §22.8
fn pending(facts: &mut Facts, run: &mut Run, seen: &Seen) {
    let op = seen.op;
    if let Some(last) = &run.last_failure
        && last.task == op.task
        && last.interval_ms == op.interval_ms
        && last.last_rc_change.unwrap_or(0) >= op.last_rc_change.unwrap_or(0)
    {
        return;
    }
    match &*op.task {
        "start" => {
            facts.rscs[run.rsc].flags.start_pending = true;
            set_active_role(facts, run.rsc);
        }
        "promote" => facts.rscs[run.rsc].role = Role::Promoted,
        "migrate_to" if facts.nodes[run.node].unclean => {
            let target = op.element.get("migrate_target");
            if let Some(target) = target.and_then(|name| facts.node_by_name(name)) {
                let cause = cause_of(run, seen, "pending migration");
                facts.wish_stop(run.rsc, target, cause);
            }
        }
        _ => {}
    }
    let it = &mut facts.rscs[run.rsc];
    if it.pending.is_none() && !op.is_probe() {
        it.pending = Some(Pending {
            task: Str::clone(&op.task),
            node: run.node,
        });
    }
}

/// Keeps a failed operation for display, once per key and node. // spec 1 §22.8
pub(super) fn record_failed(facts: &mut Facts, run: &Run, seen: &Seen) {
    if !facts.nodes[run.node].online {
        return;
    }
    let key = seen.op.key();
    if facts
        .failed_ops
        .iter()
        .any(|known| known.node == run.node && &*known.key == key)
    {
        return;
    }
    facts.failed_ops.push(FailedOp {
        rsc: run.rsc,
        node: run.node,
        entry: (run.entry, seen.at),
        key: key.into(),
        rc: seen.recorded_rc,
        status: seen.recorded_status,
    });
}
