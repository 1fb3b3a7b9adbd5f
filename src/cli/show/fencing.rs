//! What was fenced, by whom and for whom. (spec 4 §14.6)

use std::cmp::Reverse;

use super::page::Entry;
use super::status::Wanted;
use crate::fencer::{Action, Record, State};
use crate::rpc::ClusterStatus;
use crate::xml::Element;

/// The history of fencing, newest first.
#[derive(Debug, Clone, Default)]
pub struct Fencing {
    records: Vec<Record>,
    /// Everything is shown, also what was done once more later.
    full: bool,
}

impl Fencing {
    /// All of it: what goes on first, then the newest.
    pub fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| {
            let pending = !is_open(record);
            (pending, Reverse(record.completed_ms), record.op.clone())
        });
        Self {
            records,
            full: true,
        }
    }

    /// What the daemon of this node knows; nothing of a file.
    pub fn of(cluster: Option<&ClusterStatus>) -> Self {
        let known = cluster.and_then(|cluster| cluster.more.pointer("/fencing/history"));
        // What a daemon of another version says in other words is not shown.
        let records = known.and_then(|known| serde_json::from_value(known.clone()).ok());
        Self::new(records.unwrap_or_default())
    }

    /// Without what the same was done to the same node later.
    #[must_use]
    pub fn reduced(&self) -> Self {
        let mut records: Vec<Record> = Vec::new();
        for record in &self.records {
            let same = |newer: &&Record| {
                newer.target == record.target
                    && newer.action == record.action
                    && newer.state == record.state
                    && (record.state != State::Failed || newer.delegate == record.delegate)
            };
            if is_open(record) || records.iter().find(same).is_none() {
                records.push(record.clone());
            }
        }
        Self {
            records,
            full: false,
        }
    }

    /// Those that are wanted.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Record) -> bool) -> Self {
        let records = self.records.iter().filter(|record| wanted(record));
        Self {
            records: records.cloned().collect(),
            full: self.full,
        }
    }

    /// In their order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// `Failed Fencing Actions`.
    pub fn failed(&self, wanted: &Wanted) -> Option<Entry> {
        let failed = |record: &Record| record.state == State::Failed;
        self.list("Failed Fencing Actions", wanted, failed)
    }

    /// `Pending Fencing Actions`.
    pub fn pending(&self, wanted: &Wanted) -> Option<Entry> {
        self.list("Pending Fencing Actions", wanted, is_open)
    }

    /// `Fencing History`: all but failures.
    pub fn history(&self, wanted: &Wanted) -> Option<Entry> {
        let others = |record: &Record| record.state != State::Failed;
        self.list("Fencing History", wanted, others)
    }

    fn list(&self, title: &str, wanted: &Wanted, which: fn(&Record) -> bool) -> Option<Entry> {
        let lines: Vec<Entry> = self
            .records
            .iter()
            .filter(|record| which(record) && shows(wanted, record))
            .map(|record| Entry::Item(self.line(record, wanted)))
            .collect();
        (!lines.is_empty()).then(|| Entry::List(title.into(), lines))
    }

    /// One operation in a line.
    pub fn line(&self, record: &Record, wanted: &Wanted) -> String {
        let action = match record.action {
            Action::On => "unfencing",
            Action::Off => "turning off",
            Action::Reboot => "reboot",
        };
        let target = &record.target;
        let state = match record.state {
            State::Done => "successful",
            State::Failed => "failed",
            State::Querying | State::Executing => "pending",
        };
        let failed = record.state == State::Failed;
        let reason = record.reason.as_ref().filter(|_| failed);
        let reason = reason.map_or(String::new(), |why| format!(" ({why})"));
        let time = record
            .completed_ms
            .filter(|_| !is_open(record))
            .map(|ms| moment(ms, wanted.utc_offset_s));
        let later = self.later(record).map_or(String::new(), |later| {
            let by = later.delegate.as_deref().unwrap_or(later.origin.as_str());
            format!(" (a later attempt from {by} succeeded)")
        });
        let (client, origin) = (&record.client, &record.origin);
        if wanted.technical {
            let by = record.delegate.as_ref();
            let by = by.map_or(String::new(), |by| format!("delegate={by}, "));
            let word = match (self.full, failed) {
                (true, _) => "completed",
                (false, true) => "last-failed",
                (false, false) => "last-successful",
            };
            let time = time.map_or(String::new(), |time| format!(", {word}='{time}'"));
            return format!(
                "{action} of {target} {state}{reason}: {by}client={client}, origin={origin}{time}{later}"
            );
        }
        let by = record.delegate.as_ref();
        let by = by.map_or(String::new(), |by| format!(" by {by}"));
        let last = if self.full || is_open(record) {
            ""
        } else {
            " last"
        };
        let time = time.map_or(String::new(), |time| format!(" at {time}"));
        format!("{action} of {target}{by} for {client}@{origin}{last} {state}{reason}{time}{later}")
    }

    /// A later success of the same, best by the same node.
    fn later(&self, record: &Record) -> Option<&Record> {
        if record.state != State::Failed {
            return None;
        }
        let succeeded = |other: &&Record| {
            other.state == State::Done
                && other.target == record.target
                && other.action == record.action
                && other.completed_ms > record.completed_ms
        };
        let by_same = |other: &&Record| succeeded(other) && other.delegate == record.delegate;
        let mut records = self.records.iter();
        records
            .clone()
            .find(by_same)
            .or_else(|| records.find(succeeded))
    }

    /// `fence_event` elements.
    pub fn events(&self, wanted: &Wanted) -> impl Iterator<Item = Element> {
        let shown = self.records.iter().filter(|record| shows(wanted, record));
        let offset = wanted.utc_offset_s;
        shown.map(move |record| event(record, offset))
    }

    /// `fence_history`, if there is any.
    pub fn element(&self, wanted: &Wanted) -> Option<Element> {
        let events: Vec<Element> = self.events(wanted).collect();
        (!events.is_empty()).then(|| Element::new("fence_history").with_children(events))
    }
}

fn is_open(record: &Record) -> bool {
    matches!(record.state, State::Querying | State::Executing)
}

fn shows(wanted: &Wanted, record: &Record) -> bool {
    let same = |name: &String| name.eq_ignore_ascii_case(record.target.as_str());
    wanted
        .nodes
        .as_ref()
        .is_none_or(|names| names.iter().any(same))
}

fn event(record: &Record, offset_s: i32) -> Element {
    let open = is_open(record);
    let failed = record.state == State::Failed;
    let completed = record.completed_ms.filter(|_| !open);
    Element::new("fence_event")
        .with("action", record.action.as_str())
        .with("target", record.target.as_str())
        .with("client", &record.client)
        .with("origin", record.origin.as_str())
        .with("status", record.state.as_str())
        .with_some("exit-reason", record.reason.as_deref().filter(|_| failed))
        // Agents that wait for the end of a fencing look for this. // interfaces §1.4
        .with_some("extended-status", open.then_some("pending"))
        .with_some("delegate", record.delegate.as_deref())
        .with_some("completed", completed.map(|ms| moment(ms, offset_s)))
}

/// `2026-11-27 04:05:06.123456 +01:00`, or with a `Z` in UTC.
fn moment(ms: i64, offset_s: i32) -> String {
    let (Ok(at), Ok(offset)) = (
        jiff::Timestamp::from_millisecond(ms),
        jiff::tz::Offset::from_seconds(offset_s),
    ) else {
        return format!("{ms} ms");
    };
    let format = match offset_s {
        0 => "%Y-%m-%d %H:%M:%S%.6fZ",
        _ => "%Y-%m-%d %H:%M:%S%.6f %:z",
    };
    let at = at.to_zoned(offset.to_time_zone());
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fencer::OpId;

    fn record(number: u64, target: &str, by: Option<&str>, state: State) -> Record {
        Record {
            op: OpId {
                owner: "n1".into(),
                incarnation: 1,
                number,
            },
            target: target.into(),
            action: Action::Reboot,
            origin: "n1".into(),
            client: "tool".into(),
            delegate: by.map(str::to_owned),
            completed_ms: Some(1_700_000_000_000 + number.cast_signed()),
            state,
            reason: (state == State::Failed).then(|| "no power".to_owned()),
        }
    }

    fn history() -> Fencing {
        Fencing::new(vec![
            record(1, "a", Some("n2"), State::Failed),
            record(2, "a", Some("n2"), State::Failed),
            record(3, "a", Some("n3"), State::Done),
            record(4, "b", None, State::Failed),
            Record {
                completed_ms: None,
                ..record(5, "b", None, State::Executing)
            },
        ])
    }

    fn lines(entry: Option<Entry>) -> Vec<String> {
        match entry {
            Some(Entry::List(title, entries)) => std::iter::once(title)
                .chain(entries.into_iter().map(|entry| match entry {
                    Entry::Item(text) => text,
                    Entry::List(title, _) => title,
                }))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_reduced_history_shows_what_happened_last() {
        let wanted = Wanted::default();
        let all = history();
        assert_eq!(lines(all.failed(&wanted)).len(), 4);
        let reduced = all.reduced();
        assert_eq!(
            lines(reduced.failed(&wanted)),
            [
                "Failed Fencing Actions",
                "reboot of b for tool@n1 last failed (no power) at 2023-11-14 22:13:20.004000Z",
                "reboot of a by n2 for tool@n1 last failed (no power) at 2023-11-14 22:13:20.002000Z \
                 (a later attempt from n3 succeeded)",
            ]
        );
        assert_eq!(
            lines(reduced.pending(&wanted)),
            ["Pending Fencing Actions", "reboot of b for tool@n1 pending"]
        );
        let technical = Wanted {
            technical: true,
            utc_offset_s: 3600,
            nodes: Some(vec!["A".into()]),
            ..Wanted::default()
        };
        assert_eq!(
            lines(reduced.history(&technical)),
            [
                "Fencing History",
                "reboot of a successful: delegate=n3, client=tool, origin=n1, \
                 last-successful='2023-11-14 23:13:20.003000 +01:00'",
            ]
        );
    }

    #[test]
    fn events_for_programs() {
        let wanted = Wanted::default();
        let element = history().element(&wanted).expect("there are some");
        let text = crate::xml::write::compact(&element);
        let first = r#"<fence_history><fence_event action="reboot" target="b" client="tool" origin="n1" status="pending" extended-status="pending"/>"#;
        assert!(text.starts_with(first), "{text}");
        assert_eq!(text.matches("<fence_event ").count(), 5);
        assert!(
            text.contains(
                r#"status="success" delegate="n3" completed="2023-11-14 22:13:20.003000Z""#
            ),
            "{text}"
        );
        assert!(Fencing::default().element(&wanted).is_none());
    }
}
