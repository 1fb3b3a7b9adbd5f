//! What was asked for and can hardly be meant: names that the CIB does not know, times and specs that can't be read. The run
//! goes on, as Pacemaker's does, and says what it makes of it.

use super::args::Options;
use crate::policy::facts::Facts;
use crate::simulate::OpSpec;
use crate::terms::{DateTime, text};

/// A line for each.
pub(super) fn doubts(options: &Options, facts: &Facts, wall_s: i64) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(date) = &options.date
        && DateTime::parse(date, DateTime::from_epoch(wall_s)).is_err()
    {
        found.push(format!(
            "--set-datetime {date}: no point of time, so the run is about now; write for example \"2026-11-27 10:00:00Z\""
        ));
    }
    let wanted = &options.injections;
    for (option, value) in [("quorum", &wanted.quorum), ("watchdog", &wanted.watchdog)] {
        if let Some(value) = value
            && text::boolean(value).is_none()
        {
            found.push(format!(
                "--{option} {value}: taken for false; say true or false"
            ));
        }
    }
    let nodes = [
        ("node-up", &wanted.up),
        ("node-down", &wanted.down),
        ("node-fail", &wanted.fail),
    ];
    let is_node = |name: &str| facts.nodes.iter().any(|node| node.name.as_str() == name);
    for (option, names) in nodes {
        for name in names.iter().filter(|name| !is_node(name)) {
            found.push(format!(
                "--{option} {name}: there is no such node, so one is made up; {}",
                known(facts)
            ));
        }
    }
    for (option, specs) in [("op-inject", &wanted.ops), ("op-fail", &options.op_fail)] {
        for spec in specs {
            found.extend(of_spec(option, spec, facts, is_node));
        }
    }
    found
}

fn of_spec(option: &str, spec: &str, facts: &Facts, is_node: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |why: String| found.push(format!("--{option} {spec}: {why}"));
    // What is injected and can't be read, or is of no resource, is told of where it is injected.
    let injected = option == "op-inject";
    match spec.parse::<OpSpec>() {
        Err(_) if !injected => say("expected RESOURCE_TASK_INTERVAL@NODE=RC".to_owned()),
        Err(_) => {}
        Ok(op) => {
            if !is_node(&op.node) {
                say(format!("there is no node {}; {}", op.node, known(facts)));
            }
            let id = op.key.rsc.as_str();
            let whole = id.split(':').next().unwrap_or(id);
            let known = facts.rsc_named(id).or_else(|| facts.rsc_named(whole));
            let mut all = facts.rscs.iter();
            if !injected && known.is_none() && !all.any(|rsc| rsc.xml_id.as_str() == whole) {
                say(format!("there is no resource {}", op.key.rsc));
            }
        }
    }
    found
}

fn known(facts: &Facts) -> String {
    let names = facts.nodes.iter().map(|node| node.name.as_str());
    format!("the nodes are: {}", names.collect::<Vec<_>>().join(", "))
}
