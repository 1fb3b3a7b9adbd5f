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
struct Line {
    name: String,
    transition: Option<i64>,
    time: String,
    version: String,
    actions: usize,
    deeds: Vec<String>,
}

/// List them.
pub fn run(shell: &mut Shell, history: &History) -> Result<(), Failure> {
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
        let text = format!("no transition is kept in {}", folder.display());
        return Err(Failure::new(CrmExit::NO_SUCH, text)
            .cure("they are kept on the node that is the coordinator: crm status names it"));
    }
    let newest = names.len().saturating_sub(history.last);
    let mut lines = Vec::new();
    for name in &names[newest..] {
        match saved::read(data, *name) {
            Ok(kept) => lines.push(line(&kept)),
            // One may have been overwritten meanwhile.
            Err(error) => shell.warn(&format!("{name}: {error}")),
        }
    }
    if history.json {
        let values: Vec<Value> = lines.iter().map(as_json).collect();
        return shell.say(&format!("{:#}", Value::from(values)));
    }
    let texts: Vec<String> = lines.iter().map(as_text).collect();
    shell.say(&texts.join("\n"))
}

fn line(kept: &saved::Saved) -> Line {
    let cib = &kept.cib;
    let now_s = cib.get("execution-date").and_then(|text| text.parse().ok());
    let now_s = now_s.unwrap_or(0);
    let input = Input {
        causes: false,
        sanitized: kept.transition.is_none(),
        ..Input::at(now_s)
    };
    let outcome = schedule(cib, &input);
    Line {
        name: kept.name.to_string(),
        transition: kept.transition,
        time: DateTime::from_epoch(now_s).to_string(),
        version: crate::cib::Version::of(cib).to_string(),
        actions: outcome.graph.synapses.len(),
        deeds: super::explain::summary(&outcome),
    }
}

fn as_text(line: &Line) -> String {
    let number = line
        .transition
        .map_or_else(String::new, |n| format!(" transition {n}"));
    let mut out = format!(
        "{:<14} {}{number}, CIB {}, {} actions",
        line.name, line.time, line.version, line.actions
    );
    for deed in line.deeds.iter().take(DEEDS) {
        out.push_str(&format!("\n    {deed}"));
    }
    if line.deeds.len() > DEEDS {
        out.push_str(&format!("\n    and {} more", line.deeds.len() - DEEDS));
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
