//! The human list: Start, Stop, Move, Recover, Promote, Fence. spec 4 §8, spec 3 §19.3

use super::super::actions::plan::{ActIdx, Key, Plan, Task};
use super::super::assign::Placement;
use super::super::facts::{Facts, Kind};
use super::super::nvtable::Str;
use super::super::{NodeIdx, RscIdx};
use crate::terms::Role;

/// One line of the transition summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryLine {
    /// A node is fenced, unfenced or shut down.
    Node {
        /// `Fence (reboot)`, `Shutdown`.
        word: String,
        /// The node.
        node: NodeIdx,
        /// Its name, for guests with the container.
        text: String,
        /// Why.
        reason: Str,
    },
    /// A primitive is started, stopped, moved, ...
    Rsc {
        /// `Start`, `Stop`, `Move`, ...
        word: &'static str,
        /// The resource.
        rsc: RscIdx,
        /// Its id.
        id: String,
        /// From where and which role to where and which role.
        details: String,
        /// `due to ...`, `blocked`.
        reason: Option<String>,
        /// From where.
        from: Option<NodeIdx>,
        /// To where.
        to: Option<NodeIdx>,
        /// Role now, and then.
        roles: (Role, Role),
        /// Why, without more words.
        why: Option<Str>,
        /// Can't be done.
        blocked: bool,
    },
}

impl SummaryLine {
    /// The line as printed.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            SummaryLine::Node {
                word, text, reason, ..
            } => format!("{word} {text} '{reason}'"),
            SummaryLine::Rsc {
                word,
                id,
                details,
                reason,
                ..
            } => {
                let reason = reason
                    .as_ref()
                    .map(|reason| format!("  {reason}"))
                    .unwrap_or_default();
                format!("{word:<8}   {id}   ( {details} ){reason}")
            }
        }
    }
}

/// The summary of a settled plan. Looking has lasting effects, as in the original: actions without node get one.
/// spec 3 §19.4
#[must_use]
pub fn summary(facts: &Facts, place: &Placement, plan: &mut Plan) -> Vec<SummaryLine> {
    let mut lines = Vec::new();
    for idx in plan.loose().iter().rev() {
        lines.extend(node_line(facts, plan, *idx));
    }
    for rsc in &place.order {
        resource(facts, plan, *rsc, &mut lines);
    }
    lines
}

fn node_line(facts: &Facts, plan: &Plan, idx: ActIdx) -> Option<SummaryLine> {
    let it = plan.get(idx);
    let (node, reason) = (it.node?, it.reason.clone()?);
    let word = match it.task {
        _ if !it.required() => return None,
        Task::SHUTDOWN => "Shutdown".to_owned(),
        Task::FENCE => format!(
            "Fence ({})",
            it.meta.get("stonith_action").unwrap_or_default()
        ),
        _ => return None,
    };
    let name = &facts.nodes[node].name;
    let text = match facts.host_container(node).filter(|_| facts.is_guest(node)) {
        Some(container) => format!("{name} (resource: {})", facts.rscs[container].id),
        None => name.to_string(),
    };
    Some(SummaryLine::Node {
        word,
        node,
        text,
        reason,
    })
}

fn resource(facts: &Facts, plan: &mut Plan, rsc: RscIdx, lines: &mut Vec<SummaryLine>) {
    match &facts.rscs[rsc].kind {
        Kind::Primitive => primitive(facts, plan, rsc, lines),
        Kind::Bundle(bundle) => {
            for replica in &bundle.replicas {
                let parts = [
                    replica.ip,
                    Some(replica.container),
                    replica.connection,
                    replica.child,
                ];
                for part in parts.into_iter().flatten() {
                    resource(facts, plan, part, lines);
                }
            }
        }
        Kind::Group(_) | Kind::Clone(_) => {
            for child in plan.now.rscs[rsc].children.clone() {
                resource(facts, plan, child, lines);
            }
        }
    }
}

/// A line before it is worded.
struct Draft {
    word: &'static str,
    from: Option<NodeIdx>,
    to: Option<NodeIdx>,
    action: Option<ActIdx>,
    source: Option<ActIdx>,
}

/// Where a primitive is and will be, and its actions that count.
struct Found {
    current: Option<NodeIdx>,
    next: Option<NodeIdx>,
    start: Option<ActIdx>,
    stop: Option<ActIdx>,
    promote: Option<ActIdx>,
    demote: Option<ActIdx>,
}

fn primitive(facts: &Facts, plan: &mut Plan, rsc: RscIdx, lines: &mut Vec<SummaryLine>) {
    let fact = &facts.rscs[rsc];
    let next = plan.now.rscs[rsc].assigned;
    let current = plan.now.current(facts, rsc);
    if current.is_some() && plan.now.rscs[rsc].orig_role == Role::Stopped {
        plan.now.rscs[rsc].orig_role = Role::Started;
    }
    let nowhere = current.is_none() && (next.is_none() || fact.flags.removed);
    if nowhere || !plan.now.rscs[rsc].managed {
        return;
    }
    let start = plan.oldest(rsc, Key::of(Task::START), next);
    let runs = start.is_some_and(|start| plan.get(start).runnable());
    let mut stop = plan.oldest(rsc, Key::of(Task::STOP), current.filter(|_| runs));
    if stop.is_none() && plan.now.rscs[rsc].stop_unexpected {
        stop = plan.oldest(rsc, Key::of(Task::STOP), None);
    }
    let promote = plan.oldest(rsc, Key::of(Task::PROMOTE), next);
    let demote = plan.oldest(rsc, Key::of(Task::DEMOTE), next);
    let found = Found {
        current,
        next,
        start,
        stop,
        promote,
        demote,
    };
    let now = &plan.now.rscs[rsc];
    let drafts = if now.orig_role == now.next_role {
        same_role(plan, rsc, &found).into_iter().collect()
    } else {
        other_role(facts, plan, rsc, &found)
    };
    for draft in drafts {
        lines.push(worded(facts, plan, rsc, &draft));
    }
}

fn has_reason(plan: &Plan, idx: Option<ActIdx>) -> bool {
    idx.is_some_and(|idx| plan.get(idx).reason.is_some())
}

/// spec 4 §8.3 A
fn same_role(plan: &mut Plan, rsc: RscIdx, found: &Found) -> Option<Draft> {
    let next = found.next?;
    let (current, start, stop) = (found.current, found.start, found.stop);
    let draft = |word, to: Option<NodeIdx>, action: Option<ActIdx>, source: Option<ActIdx>| {
        Some(Draft {
            word,
            from: current,
            to,
            action,
            source: source.or(action),
        })
    };
    let arrives = plan.oldest(rsc, Key::of(Task::MIGRATE_FROM), Some(next));
    if current.is_some() && arrives.is_some_and(|idx| plan.get(idx).runnable()) {
        return draft("Migrate", Some(next), start, None);
    }
    let now = &plan.now.rscs[rsc];
    if now.reload {
        return draft("Reload", Some(next), start, None);
    }
    let Some(begin) = start.filter(|start| plan.get(*start).required()) else {
        let required = |idx: Option<ActIdx>| idx.is_some_and(|idx| plan.get(idx).required());
        if required(found.demote) && required(found.promote) {
            return draft("Re-promote", Some(next), found.promote, found.demote);
        }
        return None;
    };
    if !plan.get(begin).runnable() {
        let source = if has_reason(plan, stop) { stop } else { start };
        return draft("Stop", None, stop, source);
    }
    if current.is_some_and(|current| current != next) {
        return draft(
            if now.failed { "Recover" } else { "Move" },
            Some(next),
            stop,
            None,
        );
    }
    if now.failed {
        return draft("Recover", None, stop, None);
    }
    draft("Restart", Some(next), start, None)
}

/// spec 4 §8.3 B
fn other_role(facts: &Facts, plan: &mut Plan, rsc: RscIdx, found: &Found) -> Vec<Draft> {
    let (current, next, start, stop) = (found.current, found.next, found.start, found.stop);
    let now = plan.now.rscs[rsc].clone();
    let one = |word, action: Option<ActIdx>, source: Option<ActIdx>| {
        vec![Draft {
            word,
            from: current,
            to: next,
            action,
            source: source.or(action),
        }]
    };
    let start_blocked = start.is_some_and(|start| !plan.get(start).runnable());
    if stop.is_some() && (now.next_role == Role::Stopped || start_blocked) {
        let mut drafts = Vec::new();
        for node in &facts.rscs[rsc].active {
            let there = plan.oldest(rsc, Key::of(Task::STOP), Some(*node));
            let source = if has_reason(plan, there) {
                there
            } else {
                start
            };
            drafts.push(Draft {
                word: "Stop",
                from: Some(*node),
                to: None,
                action: there,
                source: source.or(there),
            });
        }
        return drafts;
    }
    if stop.is_some() && now.failed && now.stop_if_failed {
        return one("Recover", stop, start);
    }
    if let (Some(from), Some(to)) = (current, next)
        && from != to
    {
        return one("Move", stop, None);
    }
    if now.reload {
        return one("Reload", start, None);
    }
    if stop.is_some_and(|stop| plan.get(stop).required()) {
        return one("Restart", start, None);
    }
    if now.orig_role == Role::Promoted {
        return one("Demote", found.demote, None);
    }
    if now.next_role == Role::Promoted {
        return one("Promote", found.promote, None);
    }
    if now.orig_role == Role::Stopped && now.next_role > Role::Stopped {
        return one("Start", start, None);
    }
    Vec::new()
}

/// spec 4 §8.4
fn worded(facts: &Facts, plan: &Plan, rsc: RscIdx, draft: &Draft) -> SummaryLine {
    let now = &plan.now.rscs[rsc];
    let need_role = now.orig_role > Role::Started || now.next_role > Role::Unpromoted;
    let same_role = now.orig_role == now.next_role;
    let same_host = draft.from.is_some() && draft.from == draft.to;
    let (orig, next) = (now.orig_role.as_str(), now.next_role.as_str());
    let name = |node: Option<NodeIdx>| {
        node.map(|node| facts.nodes[node].name.as_str())
            .unwrap_or_default()
    };
    let (from, to) = (name(draft.from), name(draft.to));
    let details = match (draft.from, draft.to) {
        (None, _) if need_role => format!("{orig} -> {next} {to}"),
        (None, _) => to.to_owned(),
        (_, None) if need_role => format!("{orig} {from}"),
        (_, None) => from.to_owned(),
        _ if need_role && same_role && same_host => format!("{orig} {from}"),
        _ if same_role && same_host => from.to_owned(),
        _ if need_role && same_role => format!("{from} -> {to} {orig}"),
        _ if same_role => format!("{from} -> {to}"),
        _ if same_host => format!("{orig} -> {next} {from}"),
        _ => format!("{orig} {from} -> {next} {to}"),
    };
    let blocked = draft
        .action
        .is_some_and(|action| !plan.get(action).runnable());
    let why = draft
        .source
        .and_then(|source| plan.get(source).reason.clone());
    let reason = match (&why, blocked) {
        (Some(why), true) => Some(format!("due to {why} (blocked)")),
        (Some(why), false) => Some(format!("due to {why}")),
        (None, true) => Some("blocked".to_owned()),
        (None, false) => None,
    };
    SummaryLine::Rsc {
        word: draft.word,
        rsc,
        id: facts.rscs[rsc].id.to_string(),
        details,
        reason,
        from: draft.from,
        to: draft.to,
        roles: (now.orig_role, now.next_role),
        why,
        blocked,
    }
}
