//! Operation history as recorded (spec 1 §20-§23).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use super::digest::{Digests, Verdict};
use super::kept::Written;
use super::resource::Rsc;
use super::spec::Spec;
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::Str;
use crate::terms::{TransitionKey, TransitionMagic, text};
use crate::xml::Element;

/// One `lrm_resource` of one node, and what this run made of it.
#[derive(Debug, Clone, Copy)]
pub struct HistoryEntry<'a> {
    /// Where.
    pub node: NodeIdx,
    /// The resource it was mapped to (spec 1 §20); none if it was not needed for that.
    pub rsc: Option<RscIdx>,
    /// What is written there.
    pub recorded: &'a Arc<Recorded>,
    /// Positions of expired recurring results, which must be scheduled again (spec 1 §22.4).
    pub rescheduled: &'a [usize],
    /// Nothing but a probe that found nothing, by the agent that is configured.
    pub idle: bool,
    /// Nothing but the configuration says whom it is about.
    pub(in super::super) plain: bool,
}

/// The histories of all nodes, in the order of reading. What is written there is shared with whoever keeps it for the next
/// decision; only what this run made of it is its own.
#[derive(Debug, Clone, Default)]
pub struct History {
    nodes: Vec<NodeHistory>,
    rescheduled: BTreeMap<usize, Vec<usize>>,
}

/// What was taken from the history of one node.
#[derive(Debug, Clone)]
struct NodeHistory {
    node: NodeIdx,
    /// The number of its first entry among those of all nodes.
    first: usize,
    written: Written,
    /// Positions in what is written, and whom they are about.
    taken: Vec<(u32, RscIdx)>,
}

impl History {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let last = self.nodes.last();
        last.map_or(0, |last| last.first + last.taken.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this number.
    ///
    /// # Panics
    /// When there is none; numbers come from this history itself.
    #[must_use]
    pub fn at(&self, number: usize) -> HistoryEntry<'_> {
        let after = self.nodes.partition_point(|of| of.first <= number);
        let of = &self.nodes[after - 1];
        self.entry(of, number - of.first)
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = HistoryEntry<'_>> {
        let entries = |of| self.entries(of).map(|(_, entry)| entry);
        self.nodes.iter().flat_map(entries)
    }

    /// Those of one node, with their numbers.
    pub fn of(&self, node: NodeIdx) -> impl Iterator<Item = (usize, HistoryEntry<'_>)> {
        let own = self.nodes.iter().filter(move |of| of.node == node);
        own.flat_map(|of| self.entries(of))
    }

    fn entries<'a>(
        &'a self,
        of: &'a NodeHistory,
    ) -> impl Iterator<Item = (usize, HistoryEntry<'a>)> {
        let places = 0..of.taken.len();
        places.map(move |at| (of.first + at, self.entry(of, at)))
    }

    fn entry<'a>(&'a self, of: &'a NodeHistory, at: usize) -> HistoryEntry<'a> {
        let (position, rsc) = of.taken[at];
        let known = &of.written.entries[position as usize];
        let rescheduled = self.rescheduled.get(&(of.first + at));
        HistoryEntry {
            node: of.node,
            rsc: Some(rsc),
            recorded: &known.recorded,
            rescheduled: rescheduled.map_or(&[], Vec::as_slice),
            idle: known.idle,
            plain: known.plain.is_some(),
        }
    }

    /// Entries of this node come next.
    pub(super) fn begin(&mut self, node: NodeIdx, written: Written) {
        self.nodes.push(NodeHistory {
            node,
            first: self.len(),
            taken: Vec::with_capacity(written.entries.len()),
            written,
        });
    }

    /// The entry at this position is about that resource; its number.
    pub(super) fn take(&mut self, position: u32, rsc: RscIdx) -> usize {
        let of = self
            .nodes
            .last_mut()
            .expect("begun before anything is taken");
        of.taken.push((position, rsc));
        of.first + of.taken.len() - 1
    }

    /// A result of an entry must be scheduled again.
    pub(super) fn reschedule(&mut self, number: usize, op: usize) {
        self.rescheduled.entry(number).or_default().push(op);
    }

    /// What is written of each node.
    pub(super) fn written(&self) -> impl Iterator<Item = (NodeIdx, &Written)> {
        self.nodes.iter().map(|of| (of.node, &of.written))
    }
}

/// What an `lrm_resource` says, whoever reads it: it depends on the element alone.
#[derive(Debug)]
pub struct Recorded {
    /// That of the element, close by: it is asked for with each entry of a large history.
    id: Str,
    /// The element.
    pub element: Element,
    /// Operations from oldest to newest (spec 1 §21).
    pub ops: Box<[HistoryOp]>,
    /// Position of the start-like operation, or -1 (spec 1 §21).
    pub start_index: i32,
    /// Position of the last successful stop, or -1.
    pub stop_index: i32,
    /// Nothing but a probe that found nothing: so most of a large history looks.
    pub(super) absent: bool,
    /// The definition whose agent was found to be the recorded one.
    same_agent: OnceLock<Arc<Spec>>,
}

impl Recorded {
    /// Reads an `lrm_resource`.
    #[must_use]
    pub fn read(element: &Element) -> Self {
        let mut ops = sorted_ops(element);
        mark_sole(&mut ops);
        let (start_index, stop_index) = active_range(&ops);
        let absent = matches!(&ops[..], [op] if op.is_probe() && (op.rc, op.status) == (Some(7), Some(0))
            && op.marks.named && !op.marks.last_failure);
        Self {
            id: element.get("id").unwrap_or_default().into(),
            element: element.clone(),
            ops: ops.into(),
            start_index,
            stop_index,
            absent,
            same_agent: OnceLock::new(),
        }
    }

    /// Its id; empty if it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it was an agent of the same class, provider and type that did this.
    #[must_use]
    pub fn is_of(&self, rsc: &Rsc) -> bool {
        let known = self.same_agent.get();
        if known.is_some_and(|known| Arc::ptr_eq(known, &rsc.spec)) {
            return true;
        }
        let (was, agent) = (|name: &str| self.element.get(name), &rsc.agent);
        let same = was("class") == Some(&*agent.class)
            && was("provider") == agent.provider.as_deref()
            && was("type") == Some(&*agent.kind);
        if same {
            // One that is known already stays: it costs no more than looking again.
            let _ = self.same_agent.set(Arc::clone(&rsc.spec));
        }
        same
    }

    /// Whether the last stop came after the last start.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.start_index < self.stop_index
    }
}

/// One `lrm_rsc_op`.
#[derive(Debug, Clone)]
pub struct HistoryOp {
    /// Task.
    pub task: Str,
    /// Interval.
    pub interval_ms: u64,
    /// `call-id`, or -1.
    pub call_id: i64,
    /// `rc-code`, if valid.
    pub rc: Option<i32>,
    /// `op-status`, if valid.
    pub status: Option<i32>,
    /// Expected exit status from the transition key, or -1.
    pub target_rc: i32,
    /// `last-rc-change`.
    pub last_rc_change: Option<i64>,
    /// What each reading asks of it.
    pub(super) marks: Marks,
    /// The element, for everything else.
    pub element: Element,
    /// What comparing it with a definition came to, where that depends on the definition alone.
    pub(super) compared: OnceLock<Compared>,
}

/// What each reading asks of an operation, so that its element can be left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// It has an id.
    pub(super) named: bool,
    /// It is kept beside later results, as the last failure of its resource there.
    pub(super) last_failure: bool,
    /// It is under way.
    pub(super) pending: bool,
    /// No other one of its entry has its task and interval: known when all of them are read.
    pub(super) sole: bool,
}

impl Marks {
    fn read(element: &Element) -> Self {
        let id = element.get("id");
        Self {
            named: id.is_some(),
            last_failure: id.is_some_and(|id| id.ends_with("_last_failure_0")),
            pending: element.get("op-status") == Some("-1"),
            sole: false,
        }
    }
}

/// An operation, compared with a definition.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) spec: Arc<Spec>,
    pub(super) digests: Arc<Digests>,
    pub(super) verdict: Verdict,
    /// The definition has such an operation; one without interval needs none.
    pub(super) configured: bool,
}

impl HistoryOp {
    /// XML id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.element.get("id").unwrap_or_default()
    }

    /// `operation_key`, or the XML id.
    #[must_use]
    pub fn key(&self) -> &str {
        self.element
            .get("operation_key")
            .filter(|key| !key.is_empty())
            .unwrap_or_else(|| self.id())
    }

    /// Whether it is a probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.interval_ms == 0 && &*self.task == "monitor"
    }
}

impl HistoryOp {
    pub(super) fn read(element: &Element) -> Self {
        let number = |name: &str| element.get(name).and_then(text::integer);
        let small = |name: &str, low: i64, high: i64| {
            number(name)
                .filter(|value| (low..=high).contains(value))
                .and_then(|value| i32::try_from(value).ok())
        };
        let target_rc = element
            .get("transition-key")
            .and_then(|key| key.parse::<TransitionKey>().ok())
            .map_or(-1, |key| key.target_rc);
        Self {
            task: shared_task(element.get("operation").unwrap_or_default()),
            interval_ms: number("interval")
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(0),
            call_id: number("call-id").unwrap_or(-1),
            rc: small("rc-code", 0, 255),
            status: small("op-status", -1, 11).filter(|&status| status != 1),
            target_rc,
            last_rc_change: number("last-rc-change"),
            marks: Marks::read(element),
            element: element.clone(),
            compared: OnceLock::new(),
        }
    }
}

/// The name of a task; those that are in every history exist once.
pub(super) fn shared_task(name: &str) -> Str {
    static USUAL: LazyLock<[Str; 7]> = LazyLock::new(|| {
        [
            "monitor",
            "start",
            "stop",
            "promote",
            "demote",
            "migrate_to",
            "migrate_from",
        ]
        .map(Str::from)
    });
    let known = USUAL.iter().find(|known| &***known == name);
    known.map_or_else(|| name.into(), Str::clone)
}

/// Marks those whose task and interval no other one of the entry has.
fn mark_sole(ops: &mut [HistoryOp]) {
    // So most entries of a large history are.
    if let [op] = ops {
        op.marks.sole = true;
        return;
    }
    let mut count: BTreeMap<(Str, u64), usize> = BTreeMap::new();
    for op in &*ops {
        *count
            .entry((Str::clone(&op.task), op.interval_ms))
            .or_default() += 1;
    }
    for op in ops {
        let key = (Str::clone(&op.task), op.interval_ms);
        op.marks.sole = count.get(&key) == Some(&1);
    }
}

/// The operations of an `lrm_resource`, oldest first. // spec 1 §21
///
/// What is in one entry was done on one node, whatever the results say of it. The specification takes one that names no
/// node, or another one, for one of another node, and then a stop or monitor recorded after a start seems older than it, and
/// is asked for again and again.
fn sorted_ops(entry: &Element) -> Vec<HistoryOp> {
    let mut ops: Vec<HistoryOp> = entry
        .children_named("lrm_rsc_op")
        .map(HistoryOp::read)
        .collect();
    ops.reverse();
    merge_sort(ops)
}

// The comparison is no total order, so the way of sorting is part of the result. // spec 1 §21
fn merge_sort(mut ops: Vec<HistoryOp>) -> Vec<HistoryOp> {
    if ops.len() < 2 {
        return ops;
    }
    let right = merge_sort(ops.split_off(ops.len() / 2));
    let left = merge_sort(ops);
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => compare_by(a, b, true).is_le(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return out,
        };
        out.extend(if take_left { left.next() } else { right.next() });
    }
}

/// Which of two results is older; "A is newer than B" is `compare(a, b).is_gt()`. // spec 1 §21
pub(super) fn compare(a: &HistoryOp, b: &HistoryOp) -> Ordering {
    let same_node = a.element.get("on_node") == b.element.get("on_node");
    compare_by(a, b, same_node)
}

fn compare_by(a: &HistoryOp, b: &HistoryOp, same_node: bool) -> Ordering {
    if same_node && a.id() == b.id() {
        return Ordering::Equal;
    }
    let (call_a, call_b) = (a.call_id, b.call_id);
    if call_a == -1 && call_b == -1 {
        return Ordering::Equal;
    }
    if same_node && call_a >= 0 && call_a < call_b {
        return Ordering::Less;
    }
    if same_node && call_b >= 0 && call_a > call_b {
        return Ordering::Greater;
    }
    if call_a >= 0 && call_b >= 0 {
        let (at_a, at_b) = (
            a.last_rc_change.unwrap_or(-1),
            b.last_rc_change.unwrap_or(-1),
        );
        return match () {
            () if at_a >= 0 && at_a < at_b => Ordering::Less,
            () if at_b >= 0 && at_a > at_b => Ordering::Greater,
            () => Ordering::Equal,
        };
    }
    match (lost_its_number(a), lost_its_number(b)) {
        (true, false) => return Ordering::Less,
        (false, true) => return Ordering::Greater,
        _ => {}
    }
    compare_pending(a, b)
}

/// Something that has ended has a number. The specification takes what has none for under way, and so for newer than all that
/// was recorded since: a stop would seem older than the monitor before it, and be asked for again and again.
fn lost_its_number(op: &HistoryOp) -> bool {
    op.call_id == -1 && op.status.is_some_and(|status| status >= 0)
}

fn compare_pending(a: &HistoryOp, b: &HistoryOp) -> Ordering {
    let magic = |op: &HistoryOp| {
        op.element
            .get("transition-magic")
            .and_then(|text| text.parse::<TransitionMagic>().ok())
    };
    let (Some(magic_a), Some(magic_b)) = (magic(a), magic(b)) else {
        return Ordering::Equal;
    };
    let (a_at, b_at) = (magic_a.key.transition, magic_b.key.transition);
    if magic_a.key.uuid != magic_b.key.uuid || a_at == b_at {
        return if a.call_id == -1 {
            Ordering::Greater
        } else {
            Ordering::Less
        };
    }
    match (a_at, b_at) {
        (-1, _) => Ordering::Greater,
        (_, -1) => Ordering::Less,
        _ => a_at.cmp(&b_at),
    }
}

/// Positions of the start-like operation and of the last successful stop, or -1. // spec 1 §21
fn active_range(ops: &[HistoryOp]) -> (i32, i32) {
    let (mut start, mut stop, mut role_change, mut monitored) = (-1, -1, -1, -1);
    for (at, op) in (0..).zip(ops) {
        match &*op.task {
            "stop" if op.element.get("op-status") == Some("0") => stop = at,
            "start" | "migrate_from" => start = at,
            "promote" | "demote" => role_change = at,
            "monitor"
                if monitored <= stop && matches!(op.element.get("rc-code"), Some("0" | "8")) =>
            {
                monitored = at;
            }
            _ => {}
        }
    }
    if start == -1 {
        start = if role_change == -1 {
            monitored
        } else {
            role_change
        };
    }
    (start, stop)
}
