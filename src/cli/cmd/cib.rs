//! `crm cib`: the history of the configuration, as every node remembers it, and the way back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use similar::TextDiff;

use crate::{
    cib,
    cli::{
        args::Cib,
        failure::Failure,
        language::{Document, Secrets},
        shell::Shell,
    },
    raft::HistoryEntry,
    rpc::{AdminAnswer, AdminRequest},
    terms::{CrmExit, DateTime},
    xml::{Element, Limits, parse, write},
};

use super::{cluster::unexpected, copies};

/// Objects that are named on the line of a change.
const NAMED: usize = 6;

/// Run one command of the level.
pub fn run(shell: &mut Shell, command: Cib) -> Result<(), Failure> {
    match command {
        Cib::Log { last, json } => log(shell, last, json),
        Cib::Show {
            number,
            xml,
            full,
            json,
        } => {
            let entry = entry(shell, number)?;
            if json {
                shell.say(&format!("{:#}", as_json(&entry)))
            } else {
                show(shell, &entry, xml, full)
            }
        }
        Cib::Diff { from: None, .. } => copies::diff(shell),
        Cib::Diff {
            from: Some(from),
            to,
            xml,
        } => diff(shell, from, to, xml),
        Cib::New { name, words } => copies::new(shell, &name, &words),
        Cib::Use { name } => copies::enter(shell, name.as_deref()),
        Cib::Commit { name } => copies::commit(shell, name.as_deref()),
        Cib::Reset { name } => copies::reset(shell, name.as_deref()),
        Cib::Delete { names } => copies::delete(shell, &names),
        Cib::List => copies::list(shell),
        Cib::Import { input, name } => copies::import(shell, &input, name.as_deref()),
        Cib::Rollback { number, how } => {
            let entry = entry(shell, number)?;
            let then = configuration(&entry)?;
            let session = shell.session()?;
            if session.is_changed() {
                return Err(Failure::new(
                    CrmExit::EXISTS,
                    "there are changes that are not committed",
                )
                .cure("crm configure commit, or crm configure refresh to drop them"));
            }
            let now = session.document.configuration().clone();
            session.document = Document::new(with_nodes_of(then, &now));
            if shell.comment.is_none() {
                let comment = format!("rolled back to change {number}");
                shell.access.comment_on(&comment);
            }
            super::commit::commit(shell, &how, false)
        }
    }
}

/// What is remembered. Nodes are called by their names, which no number is.
pub(super) fn entries(
    shell: &mut Shell,
    request: AdminRequest,
) -> Result<Vec<HistoryEntry>, Failure> {
    let mut entries = match shell.access.ask(request)? {
        AdminAnswer::History(entries) => entries,
        other => return Err(unexpected(&other)),
    };
    let root = shell.cib()?.into_root();
    let nodes = root.descend(&["configuration", "nodes"]).into_iter();
    let names: BTreeMap<&str, &str> = nodes
        .flat_map(Element::children)
        .filter_map(|node| Some((node.id()?, node.get("uname")?)))
        .collect();
    let objects = entries.iter_mut().flat_map(|entry| &mut entry.objects);
    for touched in objects {
        if let Some(name) = names.get(touched.id.as_str()) {
            touched.id = (*name).to_owned();
        }
    }
    Ok(entries)
}

fn entry(shell: &mut Shell, number: u64) -> Result<HistoryEntry, Failure> {
    let mut found = entries(shell, AdminRequest::Show { number })?;
    found.pop().ok_or_else(|| {
        Failure::new(
            CrmExit::NO_SUCH,
            format!("change {number} is not remembered"),
        )
    })
}

/// The configuration after a change.
fn configuration(entry: &HistoryEntry) -> Result<Element, Failure> {
    let number = entry.number;
    let Some(text) = &entry.configuration else {
        return Err(Failure::new(
            CrmExit::NO_SUCH,
            format!("the configuration after change {number} is not kept any more"),
        )
        .cure(
            "the newest 50 are kept (together at most 4 MiB); crm cib show tells what a change was",
        ));
    };
    parse(text.as_bytes(), &Limits::STORED)
        .map_err(|error| Failure::new(CrmExit::PROTOCOL, format!("change {number}: {error}")))
}

/// Nodes come and go with the machines, not with the configuration: their attributes return, they themselves do not.
fn with_nodes_of(mut then: Element, now: &Element) -> Element {
    let old = then.child("nodes").cloned();
    let mut nodes = now
        .child("nodes")
        .cloned()
        .unwrap_or_else(|| Element::new("nodes"));
    for node in nodes.children_mut() {
        let known = old
            .as_ref()
            .and_then(|old| node.id().and_then(|id| old.child_by_id("node", id)));
        if let Some(known) = known.filter(|known| known.get("uname") == node.get("uname")) {
            *node = known.clone();
        }
    }
    *then.child_or_new("nodes") = nodes;
    then
}

fn log(shell: &mut Shell, last: usize, as_values: bool) -> Result<(), Failure> {
    let entries = entries(shell, AdminRequest::Log { last })?;
    if as_values {
        let values: Vec<Value> = entries.iter().map(as_json).collect();
        return shell.say(&format!("{:#}", Value::from(values)));
    }
    if entries.is_empty() {
        return shell.say("no change is remembered");
    }
    for entry in &entries {
        shell.say(&line(entry))?;
    }
    Ok(())
}

/// One change on one line: number, time, version, who, how, where, what, why.
pub(crate) fn line(entry: &HistoryEntry) -> String {
    format!(
        "{:>5}  {}  {:<9}  {}",
        entry.number,
        DateTime::from_epoch(entry.time_s),
        entry.version,
        by_and_what(entry)
    )
}

/// The same where its time is said already.
pub(crate) fn told(entry: &HistoryEntry) -> String {
    format!("{}: {}", entry.number, by_and_what(entry))
}

fn by_and_what(entry: &HistoryEntry) -> String {
    let client = match entry.client.as_str() {
        "" => "?",
        client => client,
    };
    let mut out = format!("{client} by {}", author(entry));
    if !entry.node.is_empty() {
        out.push_str(&format!(" on {}", entry.node));
    }
    let names: Vec<String> = entry.objects.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        out.push_str(&format!("  {}", names[..names.len().min(NAMED)].join(" ")));
    }
    if names.len() > NAMED {
        out.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    if !entry.comment.is_empty() {
        out.push_str(&format!("  # {}", entry.comment));
    }
    out
}

/// The user with the id that the kernel knew.
pub(crate) fn author(entry: &HistoryEntry) -> String {
    match (entry.user.as_str(), entry.uid) {
        ("", None) => "the cluster".to_owned(),
        ("", Some(uid)) => format!("uid {uid}"),
        (user, None) => user.to_owned(),
        (user, Some(uid)) => format!("{user} ({uid})"),
    }
}

fn as_json(entry: &HistoryEntry) -> Value {
    json!({
        "number": entry.number,
        "index": entry.index,
        "time": entry.time_s,
        "version": entry.version,
        "client": entry.client,
        "user": entry.user,
        "uid": entry.uid,
        "node": entry.node,
        "comment": entry.comment,
        "objects": entry.objects,
        "patch": entry.patch.as_deref().and_then(masked),
        "configuration": entry.configuration.as_deref().and_then(masked),
    })
}

fn show(shell: &mut Shell, entry: &HistoryEntry, xml: bool, full: bool) -> Result<(), Failure> {
    if full {
        let configuration = configuration(entry)?;
        return shell.say(&if xml {
            write::pretty(&Secrets::default().masked(&configuration))
        } else {
            text_of(&configuration)
        });
    }
    shell.say(&line(entry))?;
    let before = match entry.number {
        0 | 1 => None,
        // It may be forgotten already.
        number => self::entry(shell, number - 1).ok(),
    };
    let both = before
        .as_ref()
        .and_then(|before| Some((configuration(before).ok()?, configuration(entry).ok()?)));
    match (both, &entry.patch) {
        (Some((old, new)), _) if !xml => shell.say(&lines_changed(&old, &new)),
        (_, Some(patch)) => shell.say(&pretty(patch)),
        (_, None) => shell.say("what it changed is not kept: it was too much, or too long ago"),
    }
}

fn pretty(patch: &str) -> String {
    match parse(patch.as_bytes(), &Limits::STORED) {
        Ok(element) => write::pretty(&Secrets::default().masked(&element)),
        Err(why) => format!(
            "what it changed can't be read ({why}); --full prints the whole configuration after it"
        ),
    }
}

/// XML for programs, without secrets as well; nothing if it can't be read.
fn masked(xml: &str) -> Option<String> {
    let element = parse(xml.as_bytes(), &Limits::STORED).ok()?;
    Some(write::compact(&Secrets::default().masked(&element)))
}

/// For a person's eyes: secrets stay where they are.
fn text_of(configuration: &Element) -> String {
    Document::new(Secrets::default().masked(configuration)).show(|_, _| true)
}

const NO_DIFFERENCE: &str = "no difference";

/// Lines of the crm shell's language that differ, with what stands around them.
pub(crate) fn lines_changed(old: &Element, new: &Element) -> String {
    if old == new {
        return NO_DIFFERENCE.to_owned();
    }
    let (old, new) = (text_of(old), text_of(new));
    let diff = TextDiff::from_lines(&old, &new);
    let text = diff.unified_diff().context_radius(1).to_string();
    if text.is_empty() {
        "a difference that is not shown here: in a secret, or in what the crm shell's language does not speak of (--xml)"
            .to_owned()
    } else {
        text
    }
}

fn diff(shell: &mut Shell, from: u64, to: Option<u64>, xml: bool) -> Result<(), Failure> {
    let old = configuration(&entry(shell, from)?)?;
    let new = match to {
        Some(number) => configuration(&entry(shell, number)?)?,
        None => {
            let cib = shell.cib()?;
            cib.configuration()
                .cloned()
                .unwrap_or_else(|| Element::new("configuration"))
        }
    };
    if old == new {
        return shell.say(NO_DIFFERENCE);
    }
    if !xml {
        return shell.say(&lines_changed(&old, &new));
    }
    let whole = |configuration: Element| Element::new("cib").with_child(configuration);
    let patch = cib::patch::diff(&whole(old), &whole(new)).without_versions();
    shell.say(&write::pretty(
        &Secrets::default().masked(&patch.to_element()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Element {
        parse(text, &Limits::CIB).expect("well-formed")
    }

    #[test]
    fn nodes_stay_as_they_are_but_get_their_attributes_back() {
        let then = read(
            "<configuration><nodes><node id='1' uname='a'><x/></node><node id='2' uname='b'/></nodes><tags/></configuration>",
        );
        let now = read(
            "<configuration><nodes><node id='1' uname='a'/><node id='3' uname='c'/></nodes></configuration>",
        );
        let mixed = with_nodes_of(then, &now);
        let nodes = mixed.child("nodes").expect("there");
        let known: Vec<_> = nodes
            .children()
            .map(|node| (node.get("uname"), node.has_children()))
            .collect();
        assert_eq!(known, [(Some("a"), true), (Some("c"), false)]);
        assert!(mixed.child("tags").is_some());
    }

    #[test]
    fn a_difference_is_shown_in_the_words_of_the_shell() {
        let one = read(
            "<configuration><resources><primitive id='d' class='ocf' provider='systole' type='Dummy'/></resources></configuration>",
        );
        let told = lines_changed(&read("<configuration/>"), &one);
        assert!(told.contains("+primitive d ocf:systole:Dummy"), "{told}");
    }
}
