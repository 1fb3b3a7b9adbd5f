//! What a change of the CIB means: two documents that share most of their tree are compared, so that
//! only what really changed is looked at, whoever changed it and however.

use crate::cib::Cib;
use crate::cib::status::attribute::FEATURE_SET;
use crate::terms::{ExecStatus, OcfExit, TransitionKey};
use crate::xml::Element;

/// One thing that is different now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// Something below `/cib/configuration`.
    Configuration,
    /// Something below `/cib/status/tickets`.
    Tickets,
    /// Transient attributes of a node were set or changed.
    Transient { node: String },
    /// Transient attributes of a node went away.
    TransientGone { node: String },
    /// The history of a whole node, or of one resource there, went away.
    HistoryGone { node: String },
    /// One entry of the history went away.
    OpGone { node: String, entry: Entry },
    /// A result, or that an execution began.
    Op { node: String, entry: Entry },
}

/// What a history entry says. // spec cluster §13
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) rsc: String,
    pub(super) task: String,
    pub(super) interval_ms: u64,
    pub(super) call_id: i64,
    pub(super) key: TransitionKey,
    pub(super) status: Option<ExecStatus>,
    pub(super) rc: OcfExit,
    pub(super) reason: String,
    pub(super) exec_ms: Option<u64>,
}

/// A history entry, if it is of something that has begun and not ended. Of the others no more is read: there may be a million.
pub(super) fn read_pending(rsc: &str, op: &Element) -> Option<Entry> {
    (status_of(op) == Some(ExecStatus::Pending)).then(|| Entry::read(rsc, op))?
}

fn status_of(op: &Element) -> Option<ExecStatus> {
    let code = op.get("op-status")?.parse().ok()?;
    ExecStatus::from_code(code)
}

impl Entry {
    fn read(rsc: &str, op: &Element) -> Option<Self> {
        let number = |name| op.get(name).and_then(|v| v.parse::<i64>().ok());
        Some(Self {
            rsc: rsc.to_owned(),
            task: op.get("operation")?.to_owned(),
            interval_ms: number("interval")
                .and_then(|v| v.try_into().ok())
                .unwrap_or(0),
            call_id: number("call-id").unwrap_or(-1),
            key: op.get("transition-key")?.parse().ok()?,
            status: status_of(op),
            rc: OcfExit(
                number("rc-code")
                    .and_then(|v| v.try_into().ok())
                    .unwrap_or(1),
            ),
            reason: op.get("exit-reason").unwrap_or_default().to_owned(),
            exec_ms: number("exec-time").and_then(|v| v.try_into().ok()),
        })
    }

    /// An execution that has begun and not ended.
    pub(super) fn is_pending(&self) -> bool {
        self.status == Some(ExecStatus::Pending)
    }

    /// The result is not the wanted one. Degraded counts as running. // spec cluster §10.2
    pub(super) fn failed(&self) -> bool {
        let bad_status = !matches!(
            self.status,
            Some(ExecStatus::Done | ExecStatus::Cancelled | ExecStatus::Pending)
        );
        bad_status || self.rc.effective().0 != self.key.target_rc
    }
}

fn compare_transient(
    id: &str,
    was: Option<&Element>,
    is: &Element,
    configuration: Option<&Element>,
    seen: &mut Vec<Seen>,
) {
    let transient = |e: &Element| e.child("transient_attributes").cloned();
    let (mut old, mut new) = (was.and_then(transient), transient(is));
    let same = match (&old, &new) {
        (Some(old), Some(new)) => old.ptr_eq(new) || old == new,
        (old, new) => old.is_none() && new.is_none(),
    };
    if same {
        return;
    }
    // A node says how new it is right after it joined. That would abort the transition that its coming began, and
    // changes nothing unless a rule asks for it.
    let asks = |e: &Element| e.get("attribute") == Some(FEATURE_SET);
    if !configuration.is_some_and(|c| c.descendants().any(asks)) {
        (old, new) = (old.and_then(deciding), new.and_then(deciding));
    }
    let node = id.to_owned();
    match (old, new) {
        (Some(old), Some(new)) if old != new => seen.push(Seen::Transient { node }),
        (None, Some(_)) => seen.push(Seen::Transient { node }),
        (Some(_), None) => seen.push(Seen::TransientGone { node }),
        _ => {}
    }
}

/// Attributes by which something may be decided, if there are any.
fn deciding(mut attributes: Element) -> Option<Element> {
    let is_version = |e: &Element| e.get("name") == Some(FEATURE_SET);
    if !attributes.descendants().any(is_version) {
        return Some(attributes);
    }
    for set in attributes.children_mut() {
        set.retain_children(|pair| !is_version(pair));
    }
    attributes.retain_children(Element::has_children);
    attributes.has_children().then_some(attributes)
}

/// All differences, in document order of the newer document.
pub(super) fn compare(before: &Cib, after: &Cib) -> Vec<Seen> {
    let mut seen = Vec::new();
    if let (Some(b), Some(a)) = (before.configuration(), after.configuration())
        && !b.ptr_eq(a)
        && b != a
    {
        seen.push(Seen::Configuration);
    }
    let (Some(old), Some(new)) = (before.status(), after.status()) else {
        return seen;
    };
    if old.ptr_eq(new) {
        return seen;
    }
    if old.child("tickets") != new.child("tickets") {
        seen.push(Seen::Tickets);
    }
    let mut older = Older::new(Some(old), "node_state");
    for state in new.children().filter(|e| e.tag() == "node_state") {
        let Some(id) = state.id() else { continue };
        let was = older.find(state);
        if was.is_some_and(|w| w.ptr_eq(state)) {
            continue;
        }
        compare_node(id, was, state, after.configuration(), &mut seen);
    }
    for id in older.gone().filter_map(Element::id) {
        seen.push(Seen::HistoryGone {
            node: id.to_owned(),
        });
    }
    seen
}

fn compare_node(
    id: &str,
    was: Option<&Element>,
    is: &Element,
    configuration: Option<&Element>,
    seen: &mut Vec<Seen>,
) {
    compare_transient(id, was, is, configuration, seen);
    let old = was.and_then(resources_of);
    let Some(new) = resources_of(is) else {
        if old.is_some() {
            seen.push(Seen::HistoryGone {
                node: id.to_owned(),
            });
        }
        return;
    };
    let mut older = Older::new(old, "lrm_resource");
    for rsc in new.children().filter(|e| e.tag() == "lrm_resource") {
        let Some(name) = rsc.id() else { continue };
        let was = older.find(rsc);
        if !was.is_some_and(|w| w.ptr_eq(rsc)) {
            compare_resource(id, name, was, rsc, seen);
        }
    }
    for _ in older.gone().filter_map(Element::id) {
        seen.push(Seen::HistoryGone {
            node: id.to_owned(),
        });
    }
}

fn compare_resource(
    node: &str,
    rsc: &str,
    was: Option<&Element>,
    is: &Element,
    seen: &mut Vec<Seen>,
) {
    let mut older = Older::new(was, "lrm_rsc_op");
    for op in is.children().filter(|e| e.tag() == "lrm_rsc_op") {
        if op.id().is_none() || older.find(op).is_some_and(|w| w == op) {
            continue;
        }
        if let Some(entry) = Entry::read(rsc, op) {
            let same = |s: &Seen| matches!(s, Seen::Op { entry: e, .. } if *e == entry);
            // A failure stands in two entries, RSC_last_0 and RSC_last_failure_0: one event.
            if !seen.iter().any(same) {
                seen.push(Seen::Op {
                    node: node.to_owned(),
                    entry,
                });
            }
        }
    }
    for gone in older.gone() {
        if gone.id().is_some()
            && let Some(entry) = Entry::read(rsc, gone)
        {
            seen.push(Seen::OpGone {
                node: node.to_owned(),
                entry,
            });
        }
    }
}

/// What is recorded of resources on a node.
pub(super) fn resources_of(state: &Element) -> Option<&Element> {
    state.child("lrm")?.child("lrm_resources")
}

/// Children of the older element. A change leaves the order of most of them as it was, so each is looked for first where
/// the last one was found: a thousand resources of which one has a new result cost a thousand steps, not a million.
struct Older<'a> {
    children: Vec<&'a Element>,
    found: Vec<bool>,
    next: usize,
}

impl<'a> Older<'a> {
    fn new(parent: Option<&'a Element>, tag: &str) -> Self {
        let children: Vec<&Element> = parent
            .into_iter()
            .flat_map(Element::children)
            .filter(|e| e.tag() == tag)
            .collect();
        Self {
            found: vec![false; children.len()],
            children,
            next: 0,
        }
    }

    /// The older version of this one.
    fn find(&mut self, newer: &Element) -> Option<&'a Element> {
        let id = newer.id();
        let is = |e: &Element| e.ptr_eq(newer) || e.id() == id;
        let at = (self.next..self.children.len())
            .chain(0..self.next)
            .find(|&at| is(self.children[at]))?;
        self.found[at] = true;
        self.next = at + 1;
        Some(self.children[at])
    }

    /// Those that have no newer version.
    fn gone(&self) -> impl Iterator<Item = &'a Element> {
        let all = self.children.iter().zip(&self.found);
        all.filter(|(_, found)| !**found).map(|(e, _)| *e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::status::attribute;
    use crate::cib::status::node_state::{Membership, Place};
    use crate::cib::{Op, Target, apply};

    #[test]
    fn how_new_a_node_is_aborts_nothing_unless_a_rule_asks() {
        let place = Place::new("1", "n1");
        let joined = apply(&Cib::empty(), &Membership::joined(5).command(&place, 5)).cib;
        let set = |cib: &Cib, name: &str| {
            apply(cib, &attribute::set(&place, None, name, Some("3.20.5"))).cib
        };
        let known = set(&joined, FEATURE_SET);
        assert_ne!(joined, known);
        assert_eq!(compare(&joined, &known), []);
        let other = set(&known, "pingd");
        let news = [Seen::Transient { node: "1".into() }];
        assert_eq!(compare(&known, &other), news);

        let rule = r##"<rsc_location id="l" rsc="a"><rule id="r" score="1">
            <expression id="e" attribute="#feature-set" operation="defined"/></rule></rsc_location>"##;
        let rule = crate::xml::parse(rule.as_bytes(), &crate::xml::Limits::CIB).expect("a rule");
        let mut command = crate::cib::Command::new(
            Op::Create,
            Target::Section("constraints".into()),
            Some(rule),
        );
        command.flags.can_create = true;
        let asks = |cib: &Cib| {
            let mut root = cib.root().clone();
            root.set("validate-with", "none");
            apply(&Cib::new(root), &command).cib
        };
        assert_eq!(compare(&asks(&joined), &asks(&known)), news);
    }

    #[test]
    fn children_are_found_in_whatever_order_they_come() {
        let list = |ids: &[&str]| {
            let child = |id: &&str| Element::new("lrm_resource").with("id", id);
            Element::new("lrm_resources").with_children(ids.iter().map(child))
        };
        let ids = |all: Vec<&Element>| -> Vec<String> {
            let id = |e: &Element| e.id().unwrap_or_default().to_owned();
            all.into_iter().map(id).collect()
        };
        let old = list(&["a", "b", "c", "d"]);
        for (new, known, gone) in [
            (
                &["a", "b", "c", "d"][..],
                &["a", "b", "c", "d"][..],
                &[][..],
            ),
            (&["a", "c", "d"], &["a", "c", "d"], &["b"]),
            (&["x", "a", "b", "y", "c", "d"], &["a", "b", "c", "d"], &[]),
            (&["d", "b", "a"], &["d", "b", "a"], &["c"]),
            (&[], &[], &["a", "b", "c", "d"]),
        ] {
            let mut older = Older::new(Some(&old), "lrm_resource");
            let new = list(new);
            let found = new.children().filter_map(|e| older.find(e)).collect();
            assert_eq!(ids(found), known);
            assert_eq!(ids(older.gone().collect()), gone);
        }
    }
}
