//! What a failure means: for the role, for where the resource may run, for its node (spec 1 §22.7, §23.2).

use super::operation::{OnFail, OpMeta};
use super::outcome::{Run, Seen, cause_of, record_failed, set_active_role};
use super::{Facts, Wish, migration};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::report::Cause;
use crate::terms::{Role, Score};

/// A result that counts as a failure. // spec 1 §22.7
pub(super) fn record(facts: &mut Facts, run: &mut Run, seen: &Seen, meta: &OpMeta) {
    let (rsc, node) = (run.rsc, run.node);
    let cause = cause_of(run, seen, meta.on_fail.name());
    run.last_failure = Some((*seen.op).clone());
    if facts.options.symmetric_cluster || seen.rc != 5 {
        record_failed(facts, run, seen);
    }
    if meta.on_fail > run.on_fail {
        run.on_fail = meta.on_fail;
        run.cause = Some(cause.clone());
    } else if run.cause.is_none() {
        run.cause = Some(cause.clone());
    }
    match &*seen.op.task {
        "stop" => facts.add_location(rsc, node, Score::MINUS_INFINITY, Some(&cause)),
        "migrate_to" => migration::migrate_to_failed(facts, run, seen),
        "migrate_from" => migration::migrate_from_failed(facts, run, seen),
        "promote" => facts.rscs[rsc].role = Role::Promoted,
        "demote" => {
            let it = &mut facts.rscs[rsc];
            if meta.on_fail == OnFail::Block {
                it.role = Role::Promoted;
                it.next_role = Role::Stopped;
            } else if seen.rc == 7 {
                it.role = Role::Stopped;
            } else {
                it.role = Role::Unpromoted;
            }
        }
        _ => {}
    }
    if seen.op.is_probe() && seen.rc == 5 {
        facts.rscs[rsc].role = Role::Stopped;
    } else if facts.rscs[rsc].role < Role::Started {
        set_active_role(facts, rsc);
    }
    let it = &mut facts.rscs[rsc];
    if meta.fail_role != Role::Started && it.next_role < meta.fail_role {
        it.next_role = meta.fail_role;
    }
    if meta.fail_role == Role::Stopped {
        let top = facts.top_of(rsc);
        let banned = if facts.is_anonymous_clone(top) {
            top
        } else {
            rsc
        };
        facts.ban_everywhere(banned, &cause);
    }
}

/// What the whole history of the resource on the node comes to. // spec 1 §23.2
pub(super) fn settle(facts: &mut Facts, run: &Run) {
    let (rsc, node) = (run.rsc, run.node);
    let cause = run.cause.clone().unwrap_or(Cause::NodeState("history"));
    if facts.rscs[rsc].role != Role::Unknown {
        know(facts, rsc, node);
    }
    let known_active = facts.rscs[rsc].role > Role::Stopped;
    if known_active {
        check_lost(facts, rsc, node);
    }
    let handling = if facts.nodes[node].unclean {
        OnFail::Ignore
    } else {
        run.on_fail
    };
    handle(facts, rsc, node, handling, known_active, &cause);
    if facts.rscs[rsc].flags.connection
        && facts.rscs[rsc].flags.failed
        && let Some(own) = facts.node_by_name(facts.rscs[rsc].id.clone().as_str())
        && facts.nodes[own].unclean
    {
        facts.nodes[own].seen = true;
    }
    if known_active {
        facts.becomes_active(rsc, node, run.on_fail != OnFail::Ignore);
        match handling {
            OnFail::Ignore => {}
            OnFail::Demote | OnFail::Block => facts.rscs[rsc].flags.failed = true,
            _ => facts.require_stop(rsc),
        }
    } else if facts.rscs[rsc]
        .history_id
        .as_ref()
        .is_some_and(|id| id.as_str().contains(':'))
    {
        facts.rscs[rsc].history_id = None;
    } else if facts.context.stops_wished.contains(&rsc) {
        facts.wishes.push(Wish::StopsOptional { rsc, node });
    }
    let it = &mut facts.rscs[rsc];
    if it.role == Role::Stopped && !it.active.is_empty() && it.partial_source == Some(node) {
        it.role = Role::Started;
    }
}

/// Its state there is known, also for its ancestors up to the first unique one.
fn know(facts: &mut Facts, rsc: RscIdx, node: NodeIdx) {
    let mut at = Some(rsc);
    while let Some(here) = at {
        facts.known[here].insert(node);
        let it = &facts.rscs[here];
        at = it.parent.filter(|_| !it.flags.unique);
    }
}

/// Active where nobody can be asked. // spec 1 §23.2 step 2
fn check_lost(facts: &mut Facts, rsc: RscIdx, node: NodeIdx) {
    let it = &facts.nodes[node];
    if it.online || it.maintenance || !facts.rscs[rsc].flags.managed {
        return;
    }
    let reason = format!("{} is thought to be active there", facts.rscs[rsc].id);
    let cause = Cause::NodeState("a resource is thought to be active there");
    if facts.is_guest(node) {
        facts.require_stop(rsc);
        facts.fencing_mark(node, &reason, false, cause);
    } else if facts.options.fencing_enabled {
        let connection = facts.nodes[node].connection;
        if facts.is_remote(node)
            && connection.is_some_and(|connection| !facts.rscs[connection].flags.failed)
        {
            facts.nodes[node].seen = false;
        }
        facts.fencing_mark(node, &reason, false, cause);
    }
}

// spec 1 §23.2 step 4
fn handle(
    facts: &mut Facts,
    rsc: RscIdx,
    node: NodeIdx,
    handling: OnFail,
    known_active: bool,
    cause: &Cause,
) {
    if facts.context.causes && handling != OnFail::Ignore && matches!(cause, Cause::Failure { .. })
    {
        facts.handled.push((rsc, node, cause.clone()));
    }
    match handling {
        OnFail::Ignore => {}
        OnFail::Demote => {
            facts.rscs[rsc].flags.failed = true;
            facts.wishes.push(Wish::Demote {
                rsc,
                node,
                cause: Box::new(cause.clone()),
            });
        }
        OnFail::Fence => {
            let reason = format!("{} failed there", facts.rscs[rsc].id);
            facts.fencing_mark(node, &reason, false, cause.clone());
        }
        OnFail::Standby => {
            let it = &mut facts.nodes[node];
            it.standby = true;
            it.standby_on_fail = true;
        }
        OnFail::Block => {
            let flags = &mut facts.rscs[rsc].flags;
            flags.managed = false;
            flags.blocked = true;
        }
        OnFail::Ban => facts.add_location(rsc, node, Score::MINUS_INFINITY, Some(cause)),
        OnFail::Stop => facts.rscs[rsc].next_role = Role::Stopped,
        OnFail::Restart => {
            if known_active {
                facts.require_stop(rsc);
                facts.wish_stop(rsc, node, cause.clone());
            }
        }
        OnFail::RestartContainer => {
            facts.require_stop(rsc);
            match facts.rscs[rsc].launcher {
                Some(launcher) if facts.bundle_of(rsc).is_some() => {
                    facts.context.container_stops.insert(0, launcher);
                }
                Some(launcher) => facts.wish_stop(launcher, node, cause.clone()),
                None if known_active => facts.wish_stop(rsc, node, cause.clone()),
                None => {}
            }
        }
        OnFail::ResetRemote => reset_remote(facts, rsc, node, known_active, cause),
    }
}

fn reset_remote(facts: &mut Facts, rsc: RscIdx, node: NodeIdx, known_active: bool, cause: &Cause) {
    facts.require_stop(rsc);
    if facts.options.fencing_enabled && facts.rscs[rsc].flags.connection {
        let own = facts.node_by_name(facts.rscs[rsc].id.clone().as_str());
        if let Some(own) = own.filter(|&own| facts.is_remote(own) && !facts.nodes[own].fenced) {
            let reason = "remote connection is unrecoverable";
            facts.fencing_mark(own, reason, false, cause.clone());
        }
    }
    if known_active {
        facts.wish_stop(rsc, node, cause.clone());
    }
    if facts.rscs[rsc].reconnect_interval_ms > 0 {
        facts.rscs[rsc].next_role = Role::Stopped;
    }
}
