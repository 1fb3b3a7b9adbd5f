//! `crm history log`: what happened, in the order in which it did, from what the cluster itself records: changes of the
//! configuration, transitions, what agents did, fencing. It is the same with and without a journal.
//!
//! Each record has a place of its own: changes are remembered on every node, fencing by the fencers, what agents did in
//! the status of the CIB. There only the newest of each operation is, but every input that a coordinator kept has a
//! status of its own time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{change, cib, cluster, history, past};
use crate::{
    cli::{failure::Failure, saved, shell::Shell, show::Fencing},
    fencer::{Action, Record, State},
    raft::HistoryEntry,
    rpc::{AdminRequest, Paths},
    terms::{CrmExit, DateTime, ExecStatus, OcfExit, TransitionKey},
    xml::Element,
};

/// Changes of the configuration that are asked for.
const CHANGES: usize = 500;

/// What of it is shown.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Nodes and resources, or the transition that it begins with.
    pub(super) words: Vec<String>,
    /// So many of the newest.
    pub(super) last: usize,
    /// As JSON.
    pub(super) json: bool,
    /// Nothing after this time, if something is said.
    pub(super) to_s: Option<i64>,
}

/// One thing that happened. The order of the fields is the order on the page.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time_s: i64,
    /// A change comes before the transition that follows from it, and that before what it did.
    kind: Kind,
    /// Among what one node did in one second.
    number: i64,
    text: String,
    /// Nodes and resources that it was about.
    about: Vec<String>,
    /// Whether it did not go well.
    failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Change,
    Transition,
    Fencing,
    Operation,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Change => "change",
            Kind::Transition => "transition",
            Kind::Fencing => "fencing",
            Kind::Operation => "operation",
        }
    }
}

/// What of all that is known is asked for, in its order.
fn asked_for(
    shell: &mut Shell,
    asked: &Asked,
    words: &[String],
    from_s: Option<i64>,
) -> Result<Vec<Event>, Failure> {
    let mut events = collect(shell, asked.last)?;
    let view = &shell.past;
    events.retain(|event| {
        view.shows_time(event.time_s)
            && from_s.is_none_or(|from_s| event.time_s >= from_s)
            && asked.to_s.is_none_or(|to_s| event.time_s <= to_s)
            && view.shows(&event.text)
            && (words.is_empty() || words.iter().any(|word| event.about.contains(word)))
    });
    events.sort();
    Ok(events)
}

/// What mattered in a time, as words to look for: that something failed, that somebody was fenced, that the configuration
/// changed, and all that agents worked on.
pub(super) fn tags(shell: &mut Shell, asked: &Asked) -> Result<(), Failure> {
    let (words, from_s) = meant(shell, &asked.words)?;
    let events = asked_for(shell, asked, &words, from_s)?;
    shell.say(&tags_of(&events).join(" "))
}

fn tags_of(events: &[Event]) -> Vec<&str> {
    let mut tags = BTreeSet::new();
    for event in events {
        match event.kind {
            Kind::Change | Kind::Fencing => drop(tags.insert(event.kind.word())),
            Kind::Transition => {}
            // The node is the first that it is about.
            Kind::Operation => tags.extend(event.about.iter().skip(1).map(String::as_str)),
        }
        if event.failed {
            tags.insert("error");
        }
    }
    tags.into_iter().collect()
}

/// Show it.
pub(super) fn run(shell: &mut Shell, asked: &Asked) -> Result<(), Failure> {
    let (words, from_s) = meant(shell, &asked.words)?;
    let events = asked_for(shell, asked, &words, from_s)?;
    let newest = events.len().saturating_sub(asked.last);
    let (older, shown) = events.split_at(newest);
    if asked.json {
        let values: Vec<Value> = shown.iter().map(as_json).collect();
        return shell.say(&format!("{:#}", Value::from(values)));
    }
    if shown.is_empty() {
        let about = match words.as_slice() {
            [] => String::new(),
            words => format!(" about {}", words.join(", ")),
        };
        let text = format!("nothing is recorded{about}");
        return Err(Failure::new(CrmExit::NO_SUCH, text)
            .cure(journal(from_s, asked.to_s.or(shell.past.to_s))));
    }
    if !older.is_empty() {
        let text = format!(
            "{} older ones are left out: --last says how many",
            older.len()
        );
        shell.warn(&text);
    }
    let lines: Vec<String> = shown.iter().map(as_text).collect();
    let from_s = from_s.or(shown.first().map(|event| event.time_s));
    let more = journal(from_s, asked.to_s.or(shell.past.to_s));
    shell.show(&lines.join("\n"))?;
    shell.say(&format!("What daemons and agents wrote beside it: {more}"))
}

/// The names that are asked about, or the time of the transition that is.
fn meant(shell: &mut Shell, words: &[String]) -> Result<(Vec<String>, Option<i64>), Failure> {
    let cib = shell.cib()?;
    let known = names_in(cib.root());
    let (mut names, mut from_s) = (Vec::new(), None);
    for word in words {
        if known.contains(word.as_str()) {
            names.push(word.clone());
            // What is done with a group or a clone is done with its members.
            let whole = change::resource(cib.root(), word).map(|(element, _)| element);
            let inside = whole.into_iter().flat_map(Element::descendants);
            let inside = inside.filter(|element| change::is_resource(element.tag()));
            names.extend(inside.filter_map(Element::id).map(str::to_owned));
        } else if word.starts_with('-') || saved::Name::parse(word).is_some() {
            from_s = Some(past::time_of(word)?);
        } else {
            let text = format!("there is no node, resource or transition {word:?}");
            return Err(Failure::new(CrmExit::NO_SUCH, text)
                .cure("crm node show, crm resource status and crm history list them"));
        }
    }
    Ok((names, from_s))
}

/// Nodes and resources, also those of which only the history is left.
fn names_in(root: &Element) -> BTreeSet<&str> {
    let all = root.descendants();
    all.filter_map(|element| match element.tag() {
        "node" | "node_state" => element.get("uname"),
        "primitive" | "group" | "clone" | "master" | "bundle" | "lrm_resource" => element.id(),
        _ => None,
    })
    .collect()
}

fn collect(shell: &mut Shell, last: usize) -> Result<Vec<Event>, Failure> {
    let cib = shell.cib()?;
    let mut operations = BTreeMap::new();
    done_by_agents(cib.root(), &mut operations);
    let mut events = transitions(shell, last, &mut operations);
    events.extend(operations.into_values());
    if shell.access.live() {
        let changes = cib::entries(shell, AdminRequest::Log { last: CHANGES })?;
        events.extend(changes.iter().map(change));
        let status = cluster::cluster_status(shell)?;
        let fencing = Fencing::of(Some(&status));
        events.extend(fencing.records().iter().filter_map(fenced));
    }
    Ok(events)
}

/// Those that this node began. None are kept on a node that never was the coordinator.
fn transitions(shell: &mut Shell, last: usize, operations: &mut Operations) -> Vec<Event> {
    let data = &Paths::from_env().data;
    let names = saved::list(data).unwrap_or_default();
    let newest = names.len().saturating_sub(last);
    let mut events = Vec::new();
    for name in &names[newest..] {
        // One may have been overwritten meanwhile.
        let Ok(kept) = saved::read(data, *name) else {
            continue;
        };
        done_by_agents(&kept.cib, operations);
        let (time_s, mut line) = history::line(&kept);
        line.deeds.retain(|deed| shell.past.shows(deed));
        let what = match line.deeds.as_slice() {
            [] => format!("{} actions", line.actions),
            deeds => deeds.join(", "),
        };
        let named = names_in(&kept.cib);
        let about = line.deeds.iter().flat_map(|deed| history::words(deed));
        let about = about.filter(|word| named.contains(word));
        events.push(Event {
            time_s,
            kind: Kind::Transition,
            number: i64::from(name.number),
            text: format!("{name}: {what}"),
            about: about.map(str::to_owned).collect(),
            failed: false,
        });
    }
    events
}

/// By node, time and number: the same one is recorded as the last one and as the last failure.
type Operations = BTreeMap<(String, i64, i64), Event>;

fn done_by_agents(root: &Element, into: &mut Operations) {
    let states = root
        .descend(&["status"])
        .into_iter()
        .flat_map(|status| status.children_named("node_state"));
    for state in states {
        let node = state.get("uname").unwrap_or_default();
        let resources = state.descend(&["lrm", "lrm_resources"]);
        for rsc in resources.into_iter().flat_map(Element::children) {
            for op in rsc.children_named("lrm_rsc_op") {
                let id = rsc.id().unwrap_or_default();
                if let Some(event) = done(node, id, op) {
                    let key = (node.to_owned(), event.time_s, event.number);
                    into.entry(key).or_insert(event);
                }
            }
        }
    }
}

/// What an agent did; nothing of what is under way, or what a probe did not find.
fn done(node: &str, rsc: &str, op: &Element) -> Option<Event> {
    let number = |name: &str| op.get(name)?.parse::<i64>().ok();
    let time_s = number("last-rc-change").filter(|time_s| *time_s > 0)?;
    let call_id = number("call-id").unwrap_or(0);
    let task = op.get("operation")?;
    let interval_ms = number("interval").unwrap_or(0);
    let rc = i32::try_from(number("rc-code")?).ok()?;
    let status = number("op-status").and_then(|code| i32::try_from(code).ok());
    let status = status.and_then(ExecStatus::from_code);
    let probe = task == "monitor" && interval_ms == 0;
    let nothing = probe && rc == OcfExit::NOT_RUNNING.0;
    if call_id < 0 || nothing || status == Some(ExecStatus::Pending) || task == "notify" {
        return None;
    }
    let how = match status {
        Some(ExecStatus::Done) | None => OcfExit(rc).text(),
        Some(status) => status.text(),
    };
    let every = match interval_ms {
        0 => String::new(),
        ms => format!(" every {}", crate::terms::span::readable(ms.unsigned_abs())),
    };
    let name = if probe { "probe" } else { task };
    let mut text = format!("{name} of {rsc} on {node}{every}: {}", how.to_lowercase());
    if let Some(reason) = op.get("exit-reason").filter(|reason| !reason.is_empty()) {
        text.push_str(&format!(" ({reason})"));
    }
    if let Some(ms) = number("exec-time") {
        text.push_str(&format!(", {ms} ms"));
    }
    let mut about = vec![node.to_owned(), rsc.to_owned()];
    // An instance of a clone is also known without its number.
    about.extend(rsc.split_once(':').map(|(id, _)| id.to_owned()));
    Some(Event {
        time_s,
        kind: Kind::Operation,
        number: call_id,
        text,
        about,
        failed: failed(op, rc, status),
    })
}

/// Another result than the one that was wanted.
fn failed(op: &Element, rc: i32, status: Option<ExecStatus>) -> bool {
    let key = op.get("transition-key").map(str::parse::<TransitionKey>);
    let wanted = key.and_then(Result::ok).map_or(0, |key| key.target_rc);
    !matches!(status, Some(ExecStatus::Done) | None) || OcfExit(rc).effective().0 != wanted
}

fn change(entry: &HistoryEntry) -> Event {
    let objects = entry.objects.iter().map(|touched| touched.id.clone());
    let node = Some(entry.node.clone()).filter(|node| !node.is_empty());
    Event {
        time_s: entry.time_s,
        kind: Kind::Change,
        number: i64::try_from(entry.number).unwrap_or(i64::MAX),
        text: cib::told(entry),
        about: objects.chain(node).collect(),
        failed: false,
    }
}

/// One that has ended.
fn fenced(record: &Record) -> Option<Event> {
    let action = match record.action {
        Action::On => "unfencing",
        Action::Off => "turning off",
        Action::Reboot => "reboot",
    };
    let Record {
        target,
        client,
        origin,
        ..
    } = record;
    let by = record.delegate.as_ref();
    let by = by.map_or(String::new(), |by| format!(" by {by}"));
    let reason = record.reason.as_ref();
    let reason = reason.map_or(String::new(), |why| format!(" ({why})"));
    let state = record.state.as_str();
    Some(Event {
        time_s: record.completed_ms? / 1000,
        kind: Kind::Fencing,
        number: 0,
        text: format!("{action} of {target}{by} for {client}@{origin}: {state}{reason}"),
        about: vec![target.to_string(), origin.to_string()],
        failed: record.state == State::Failed,
    })
}

fn as_text(event: &Event) -> String {
    let time = DateTime::from_epoch(event.time_s);
    format!("{time}  {:<10}  {}", event.kind.word(), event.text)
}

fn as_json(event: &Event) -> Value {
    json!({
        "time": event.time_s,
        "kind": event.kind.word(),
        "text": event.text,
        "about": event.about,
    })
}

/// What to ask the journal.
fn journal(from_s: Option<i64>, to_s: Option<i64>) -> String {
    let mut line = "journalctl --unit=systole".to_owned();
    for (option, time_s) in [("since", from_s), ("until", to_s)] {
        if let Some(time_s) = time_s {
            line.push_str(&format!(" --{option}=@{time_s}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    #[test]
    fn tags_name_failures_and_what_was_worked_on() {
        let op = |rc: i32| {
            let text = format!(
                "<lrm_rsc_op operation=\"start\" call-id=\"3\" rc-code=\"{rc}\" op-status=\"0\" \
                 last-rc-change=\"9\" transition-key=\"1:1:0:u\"/>"
            );
            let op = parse(&text, &Limits::CIB).expect("XML");
            done("n1", "db:0", &op).expect("an event")
        };
        assert_eq!(tags_of(&[op(0)]), ["db", "db:0"]);
        assert_eq!(tags_of(&[op(0), op(1)]), ["db", "db:0", "error"]);
    }
}
