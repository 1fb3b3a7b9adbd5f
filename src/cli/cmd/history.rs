//! `crm history`: the transitions that this node started as coordinator, the newest last. What each did is not stored but
//! decided once more, from the input that was kept.

use serde_json::{Value, json};

use crate::{
    cli::{args::History, failure::Failure, saved, shell::Shell},
    policy::{Input, schedule},
    rpc::Paths,
    terms::{CrmExit, DateTime},
};

/// So many things that a transition did are on its line.
const DEEDS: usize = 3;

/// One line.
pub(super) struct Line {
    name: String,
    transition: Option<i64>,
    time: String,
    version: String,
    pub(super) actions: usize,
    pub(super) deeds: Vec<String>,
}

/// List them, or show something of them.
pub fn run(shell: &mut Shell, history: History) -> Result<(), Failure> {
    match history.command {
        Some(past) => super::past::run(shell, past),
        None => list(shell, history.last, history.json),
    }
}

/// Names of all that are kept, the oldest first.
pub(super) fn names() -> Result<Vec<saved::Name>, Failure> {
    let data = &Paths::from_env().data;
    let folder = saved::folder(data);
    let names = saved::list(data).map_err(|error| {
        let failure = Failure::from(error);
        let text = format!("{}: {failure}", folder.display());
        Failure::new(failure.exit, text).cure(
            "transitions are kept on the node that is the coordinator (crm status names it), readable for root",
        )
    })?;
    if names.is_empty() {
        return Err(none_kept());
    }
    Ok(names)
}

pub(super) fn none_kept() -> Failure {
    let folder = saved::folder(&Paths::from_env().data);
    let text = format!("no transition is kept in {}", folder.display());
    Failure::new(CrmExit::NO_SUCH, text)
        .cure("they are kept on the node that is the coordinator: crm status names it")
}

/// The newest of those that are to be shown.
pub(super) fn list(shell: &mut Shell, last: usize, json: bool) -> Result<(), Failure> {
    let names = names()?;
    let newest = names.len().saturating_sub(last);
    let lines = lines(shell, &names[newest..]);
    if json {
        let values: Vec<Value> = lines.iter().map(as_json).collect();
        return shell.say(&format!("{:#}", Value::from(values)));
    }
    let deeds = shell.past.deeds.unwrap_or(DEEDS);
    let texts: Vec<String> = lines.iter().map(|line| as_text(line, deeds)).collect();
    shell.say(&texts.join("\n"))
}

/// What was done with these resources, or on these nodes.
pub(super) fn about(shell: &mut Shell, words: &[String]) -> Result<(), Failure> {
    let mut found = Vec::new();
    for mut line in lines(shell, &names()?) {
        line.deeds
            .retain(|deed| self::words(deed).any(|part| words.iter().any(|word| word == part)));
        if !line.deeds.is_empty() {
            found.push(as_text(&line, usize::MAX));
        }
    }
    if found.is_empty() {
        let text = format!("nothing was done about {}", words.join(", "));
        return Err(Failure::new(CrmExit::NO_SUCH, text)
            .cure("crm history transitions shows all that is kept on this node"));
    }
    shell.say(&found.join("\n"))
}

/// Names and other words in what was done.
pub(super) fn words(deed: &str) -> impl Iterator<Item = &str> {
    deed.split(|c: char| c.is_whitespace() || "(),:'".contains(c))
}

fn lines(shell: &mut Shell, names: &[saved::Name]) -> Vec<Line> {
    let data = &Paths::from_env().data;
    let mut lines = Vec::new();
    for name in names {
        match saved::read(data, *name) {
            Ok(kept) => {
                let (time_s, mut line) = line(&kept);
                line.deeds.retain(|deed| shell.past.shows(deed));
                if shell.past.shows_time(time_s) {
                    lines.push(line);
                }
            }
            // One may have been overwritten meanwhile.
            Err(error) => shell.warn(&format!("{name}: {error}")),
        }
    }
    lines
}

/// What began with one of them, and when.
pub(super) fn line(kept: &saved::Saved) -> (i64, Line) {
    let cib = &kept.cib;
    let now_s = cib.get("execution-date").and_then(|text| text.parse().ok());
    let now_s = now_s.unwrap_or(0);
    let input = Input {
        causes: false,
        sanitized: kept.transition.is_none(),
        ..Input::at(now_s)
    };
    let outcome = schedule(cib, &input);
    let line = Line {
        name: kept.name.to_string(),
        transition: kept.transition,
        time: DateTime::from_epoch(now_s).to_string(),
        version: crate::cib::Version::of(cib).to_string(),
        actions: outcome.graph.synapses.len(),
        deeds: super::explain::summary(&outcome),
    };
    (now_s, line)
}

fn as_text(line: &Line, deeds: usize) -> String {
    let number = line
        .transition
        .map_or_else(String::new, |n| format!(" transition {n}"));
    let mut out = format!(
        "{:<14} {}{number}, CIB {}, {} actions",
        line.name, line.time, line.version, line.actions
    );
    for deed in line.deeds.iter().take(deeds) {
        out.push_str(&format!("\n    {deed}"));
    }
    if line.deeds.len() > deeds {
        out.push_str(&format!("\n    and {} more", line.deeds.len() - deeds));
    }
    out
}

fn as_json(line: &Line) -> Value {
    json!({
        "input": line.name,
        "transition": line.transition,
        "time": line.time,
        "version": line.version,
        "actions": line.actions,
        "summary": line.deeds,
    })
}
