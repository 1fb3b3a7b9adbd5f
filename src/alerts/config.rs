//! Whom to call for what, as the CIB says at one moment. // spec cluster §17.1
//!
//! Rules are evaluated for each event, not when the configuration is read: who is called at night only is called at night,
//! however long nothing is configured. Instance attributes under a rule count while it passes, too.

use std::path::PathBuf;

use crate::cib::Cib;
use crate::policy::SetsAt;
use crate::terms::{span, text};
use crate::xml::Element;

use super::vocab::{Moment, What};

/// One recipient of one alert, with all that its call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Alert and recipient, by their ids.
    pub id: String,
    /// The program.
    pub path: PathBuf,
    /// Address, file, whatever the program takes.
    pub recipient: Option<String>,
    /// What it wants to know of.
    pub select: Select,
    /// The program is killed after this time.
    pub timeout_ms: u64,
    /// How it wants to read times.
    pub timestamp_format: String,
    /// Its parameters.
    pub env: Vec<(String, String)>,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    nodes: bool,
    fencing: bool,
    resources: bool,
    /// None: no attributes. No names: all of them.
    attributes: Option<Vec<String>>,
}

impl Select {
    /// Whether it is about this.
    pub fn wants(&self, what: &What) -> bool {
        match what {
            What::Node { .. } => self.nodes,
            What::Fencing { .. } => self.fencing,
            What::Resource { .. } => self.resources,
            What::Attribute { name, .. } => self
                .attributes
                .as_ref()
                .is_some_and(|names| names.is_empty() || names.contains(name)),
        }
    }

    fn read(alert: &Element) -> Self {
        let select = alert.child("select");
        let has = |tag| select.is_some_and(|s| s.child(tag).is_some());
        let attributes = select.and_then(|s| s.child("select_attributes")).map(|s| {
            let named = s.children_named("attribute");
            named
                .filter_map(|a| a.get("name").map(str::to_owned))
                .collect()
        });
        let (nodes, fencing, resources) = (
            has("select_nodes"),
            has("select_fencing"),
            has("select_resources"),
        );
        let usual = !nodes && !fencing && !resources && attributes.is_none();
        Self {
            nodes: nodes || usual,
            fencing: fencing || usual,
            resources: resources || usual,
            attributes,
        }
    }
}

const TIMEOUT_MS: u64 = 30_000;
const TIMESTAMP: &str = "%H:%M:%S.%06N";

#[derive(Clone)]
struct Meta {
    enabled: bool,
    timeout_ms: u64,
    timestamp_format: String,
}

impl Meta {
    /// What is not said here is as it is in `self`.
    fn with(&self, element: &Element, sets: &SetsAt) -> Self {
        let said = sets.values(element, "meta_attributes");
        let timeout = said.get("timeout").map(|text| {
            let given = span::parse_ms(text).ok().filter(|ms| *ms > 0);
            given.unwrap_or(TIMEOUT_MS)
        });
        let enabled = said.get("enabled").and_then(text::boolean);
        let format = said.get("timestamp-format");
        Self {
            enabled: enabled.unwrap_or(self.enabled),
            timeout_ms: timeout.unwrap_or(self.timeout_ms),
            timestamp_format: format.unwrap_or(&self.timestamp_format).to_owned(),
        }
    }
}

/// Parameters of the first set; those given later replace those before.
fn parameters(of: &Element, sets: &SetsAt, env: &mut Vec<(String, String)>) {
    for (name, value) in sets.first(of, "instance_attributes") {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
}

/// Everybody who is called at this moment.
pub fn receivers(cib: &Cib, at: &Moment) -> Vec<Receiver> {
    let Some(alerts) = cib.section("alerts") else {
        return Vec::new();
    };
    let sets = SetsAt::new(
        cib.configuration(),
        at.timestamp().as_second(),
        at.offset().seconds(),
    );
    let usual = Meta {
        enabled: true,
        timeout_ms: TIMEOUT_MS,
        timestamp_format: TIMESTAMP.into(),
    };
    let mut found = Vec::new();
    for alert in alerts.children_named("alert") {
        let meta = usual.with(alert, &sets);
        if let (Some(id), Some(path), true) = (alert.id(), alert.get("path"), meta.enabled) {
            of_alert(alert, (id, path), &meta, &sets, &mut found);
        }
    }
    found
}

fn of_alert(
    alert: &Element,
    (id, path): (&str, &str),
    meta: &Meta,
    sets: &SetsAt,
    found: &mut Vec<Receiver>,
) {
    let mut env = Vec::new();
    parameters(alert, sets, &mut env);
    let common = Receiver {
        id: id.to_owned(),
        path: path.into(),
        recipient: None,
        select: Select::read(alert),
        timeout_ms: meta.timeout_ms,
        timestamp_format: meta.timestamp_format.clone(),
        env,
    };
    if alert.child("recipient").is_none() {
        found.push(common);
        return;
    }
    for recipient in alert.children_named("recipient") {
        let meta = meta.with(recipient, sets);
        if !meta.enabled {
            continue;
        }
        let mut env = common.env.clone();
        parameters(recipient, sets, &mut env);
        found.push(Receiver {
            id: format!("{id}/{}", recipient.id().unwrap_or_default()),
            recipient: recipient.get("value").map(str::to_owned),
            timeout_ms: meta.timeout_ms,
            timestamp_format: meta.timestamp_format,
            env,
            ..common.clone()
        });
    }
}
