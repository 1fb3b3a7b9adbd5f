//! Transient attributes of nodes: what agents and daemons remember about a node until it leaves. Fail counts are
//! among them. // spec cluster §15.4

use super::node_state::Place;
use crate::{
    cib::{Cib, Command, Flags, Op},
    terms::{OpKey, RscId, Score},
    xml::{Element, xpath::literal},
};

/// The attribute in which each node says how new it is. Nothing is decided by it, except where a rule asks for it.
pub const FEATURE_SET: &str = "#feature-set";

/// Sets an attribute, or removes it if there is no value.
pub fn set(place: &Place, set_id: Option<&str>, name: &str, value: Option<&str>) -> Command {
    let Some(value) = value else {
        let below = format!("/transient_attributes/*/nvpair[@name={}]", literal(name));
        let below = match set_id {
            Some(id) => below.replace("/*/", &format!("/*[@id={}]/", literal(id))),
            None => below,
        };
        return Command {
            op: Op::DeleteAll,
            ..Command::delete_xpath(&place.xpath(&below))
        };
    };
    Command::modify("status", element(place, set_id, [(name, value)])).or_create()
}

/// Removes all attributes of a node: it left.
pub fn forget_all(place: &Place) -> Command {
    let xpath = place.xpath("/transient_attributes");
    Command {
        op: Op::DeleteAll,
        ..Command::delete_xpath(&xpath)
    }
}

/// The value of an attribute in the CIB.
pub fn get<'a>(cib: &'a Cib, node_id: &str, name: &str) -> Option<&'a str> {
    let state = cib.status()?.child_by_id("node_state", node_id)?;
    let sets = state
        .children_named("transient_attributes")
        .flat_map(Element::children);
    sets.flat_map(Element::children)
        .find(|pair| pair.get("name") == Some(name))?
        .get("value")
}

fn element<'a>(
    place: &Place,
    set_id: Option<&str>,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Element {
    let own_id = format!("status-{}", place.id);
    let set_id = set_id.unwrap_or(&own_id);
    let mut set = Element::new("instance_attributes").with("id", set_id);
    for (name, value) in pairs {
        let id = sanitize(&format!("{set_id}-{name}"));
        set.push(
            Element::new("nvpair")
                .with("id", id)
                .with("name", name)
                .with("value", value),
        );
    }
    let attributes = Element::new("transient_attributes")
        .with("id", &place.id)
        .with_child(set);
    place.element().with_child(attributes)
}

/// An id from any text: what an id may not have becomes a dot.
pub fn sanitize(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.chars()
        .map(|c| if allowed(c) { c } else { '.' })
        .collect()
}

/// What a failure does to the fail count. // spec cluster §11
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Increment {
    /// One more.
    One,
    /// Never again here until somebody cleans up.
    Infinity,
}

/// `fail-count-RSC#TASK_INTERVAL`.
pub fn fail_count_name(op: &OpKey) -> String {
    format!("fail-count-{}#{}_{}", op.rsc, op.task, op.interval_ms)
}

/// `last-failure-RSC#TASK_INTERVAL`.
pub fn last_failure_name(op: &OpKey) -> String {
    format!("last-failure-{}#{}_{}", op.rsc, op.task, op.interval_ms)
}

/// Counts a failure (if it counts) and notes when it was, in one write. Counting happens where the write is applied, so
/// two failures never count as one.
pub fn failed(place: &Place, op: &OpKey, count: Option<Increment>, now_s: i64) -> Command {
    let (count_name, time_name) = (fail_count_name(op), last_failure_name(op));
    let infinity = Score::INFINITY.to_string();
    let value = count.map(|increment| match increment {
        Increment::One => "value++",
        Increment::Infinity => infinity.as_str(),
    });
    let now = now_s.to_string();
    let pairs = value.map(|value| (count_name.as_str(), value));
    let pairs = pairs
        .into_iter()
        .chain([(time_name.as_str(), now.as_str())]);
    let mut command = Command::modify("status", element(place, None, pairs))
        .or_create()
        .at(now_s);
    command.flags = Flags {
        score: true,
        from_zero: true,
        ..command.flags
    };
    command
}

/// Forgets failures of a resource on a node: all of them, or those of one operation.
pub fn clear_failures(place: &Place, rsc: &RscId, op: Option<(&str, u64)>) -> Command {
    let condition = match op {
        Some((task, interval_ms)) => {
            let op = OpKey::new(rsc.clone(), task, interval_ms);
            let names = [fail_count_name(&op), last_failure_name(&op)];
            names
                .map(|name| format!("@name={}", literal(&name)))
                .join(" or ")
        }
        None => ["fail-count", "last-failure"]
            .map(|kind| format!("starts-with(@name, {})", literal(&format!("{kind}-{rsc}#"))))
            .join(" or "),
    };
    let xpath = place.xpath(&format!("/transient_attributes/*/nvpair[{condition}]"));
    Command {
        op: Op::DeleteAll,
        ..Command::delete_xpath(&xpath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::apply;

    #[test]
    fn attributes_are_set_and_removed() {
        let place = Place::new(1, "n1");
        let cib = apply(&Cib::empty(), &set(&place, None, "pingd", Some("100"))).cib;
        let cib = apply(&cib, &set(&place, Some("x"), "other", Some("y"))).cib;
        assert_eq!(
            (get(&cib, "1", "pingd"), get(&cib, "1", "other")),
            (Some("100"), Some("y"))
        );
        let cib = apply(&cib, &set(&place, None, "pingd", None)).cib;
        assert_eq!(
            (get(&cib, "1", "pingd"), get(&cib, "1", "other")),
            (None, Some("y"))
        );
        let cib = apply(&cib, &set(&place, Some("x"), "other", None)).cib;
        assert_eq!(get(&cib, "1", "other"), None);
    }

    #[test]
    fn failures_are_counted_and_forgotten() {
        let place = Place::new(1, "n1");
        let op: OpKey = "a:1_monitor_10000".parse().unwrap();
        let mut cib = Cib::empty();
        for expected in ["1", "2"] {
            cib = apply(&cib, &failed(&place, &op, Some(Increment::One), 77)).cib;
            assert_eq!(
                get(&cib, "1", "fail-count-a:1#monitor_10000"),
                Some(expected)
            );
        }
        cib = apply(&cib, &failed(&place, &op, Some(Increment::Infinity), 78)).cib;
        assert_eq!(
            get(&cib, "1", "fail-count-a:1#monitor_10000"),
            Some("INFINITY")
        );
        assert_eq!(get(&cib, "1", "last-failure-a:1#monitor_10000"), Some("78"));
        assert!(
            cib.root()
                .find_id("status-1-fail-count-a.1.monitor_10000")
                .is_some()
        );
        let other = apply(
            &cib,
            &clear_failures(&place, &"a:1".into(), Some(("start", 0))),
        )
        .cib;
        assert_eq!(other, cib);
        for op in [Some(("monitor", 10_000)), None] {
            let cleared = apply(&cib, &clear_failures(&place, &"a:1".into(), op)).cib;
            assert_eq!(get(&cleared, "1", "fail-count-a:1#monitor_10000"), None);
            assert_eq!(get(&cleared, "1", "last-failure-a:1#monitor_10000"), None);
        }
    }
}
