//! What somebody wants to try before the policy decides: nodes come and go, operations fail, tickets are granted.
//! (spec 4 §11)

use std::fmt;

use thiserror::Error;

use super::draft::{Draft, Error, History};
use crate::policy::facts::{Facts, Rsc};
use crate::terms::{OpKey, RscId};

/// All that is to be tried at once; each kind in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Injections {
    /// `have-quorum`, as given.
    pub quorum: Option<String>,
    /// The cluster property `have-watchdog`.
    pub watchdog: Option<String>,
    /// Nodes that come online.
    pub up: Vec<String>,
    /// Nodes that are taken offline cleanly.
    pub down: Vec<String>,
    /// Nodes that are lost.
    pub fail: Vec<String>,
    /// Tickets that are granted.
    pub grant: Vec<String>,
    /// Tickets that are revoked.
    pub revoke: Vec<String>,
    /// Tickets that go to standby.
    pub standby: Vec<String>,
    /// Tickets that come back from standby.
    pub activate: Vec<String>,
    /// Results of operations.
    pub ops: Vec<String>,
}

impl Injections {
    /// Whether anything is done at all: quorum alone is not enough.
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.up,
            &self.down,
            &self.fail,
            &self.grant,
            &self.revoke,
            &self.standby,
            &self.activate,
            &self.ops,
        ];
        self.watchdog.is_none() && lists.iter().all(|list| list.is_empty())
    }
}

/// `RESOURCE_TASK_INTERVAL@NODE=RC`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpSpec {
    /// What.
    pub key: OpKey,
    /// Where.
    pub node: String,
    /// With which result.
    pub rc: i32,
}

/// Text that is no [`OpSpec`].
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("Invalid operation spec: {text}.  Only found {fields} fields")]
pub struct BadSpec {
    text: String,
    fields: usize,
}

impl std::str::FromStr for OpSpec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let bad = |fields| BadSpec {
            text: text.to_owned(),
            fields,
        };
        let (key, rest) = text.split_once('@').ok_or_else(|| bad(1))?;
        let (node, rc) = rest.split_once('=').ok_or_else(|| bad(2))?;
        // The interval may be written with its unit.
        let key = key
            .strip_suffix("ms")
            .unwrap_or(key)
            .parse()
            .map_err(|_| bad(0))?;
        let rc = rc.parse().map_err(|_| bad(2))?;
        Ok(OpSpec {
            key,
            node: node.to_owned(),
            rc,
        })
    }
}

/// One change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modification {
    /// Quorum was set.
    Quorum(String),
    /// The watchdog property was set.
    Watchdog(String),
    /// A node came online.
    Online(String),
    /// A node was taken offline.
    Offline(String),
    /// A node was lost.
    Failing(String),
    /// A ticket changed.
    Ticket {
        /// `Granting`, `Revoking`, `Standby`, `Activating`.
        action: &'static str,
        /// Which.
        ticket: String,
    },
    /// A result was injected.
    Spec(String),
    /// A transient attribute was set.
    Attribute {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Id of the node.
        node: String,
    },
}

impl fmt::Display for Modification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Modification::Quorum(value) => write!(f, "Setting quorum: {value}"),
            Modification::Watchdog(value) => write!(f, "Setting watchdog: {value}"),
            Modification::Online(node) => write!(f, "Bringing node {node} online"),
            Modification::Offline(node) => write!(f, "Taking node {node} offline"),
            Modification::Failing(node) => write!(f, "Failing node {node}"),
            Modification::Ticket {
                action: "Standby",
                ticket,
            } => {
                write!(f, "Making ticket {ticket} standby")
            }
            Modification::Ticket { action, ticket } => write!(f, "{action} ticket {ticket}"),
            Modification::Spec(spec) => write!(f, "Injecting {spec} into the configuration"),
            Modification::Attribute { name, value, node } => {
                write!(
                    f,
                    "Injecting attribute {name}={value} into /node_state '{node}'"
                )
            }
        }
    }
}

/// Make the changes. What was made comes back, and what could not be understood, as text for standard error.
pub fn inject(
    draft: &mut Draft,
    wanted: &Injections,
    facts: &Facts,
) -> Result<(Vec<Modification>, Vec<String>), Error> {
    let mut made = Vec::new();
    let mut errors = Vec::new();
    if let Some(value) = &wanted.quorum {
        draft.set("have-quorum", value);
        made.push(Modification::Quorum(value.clone()));
    }
    if let Some(value) = &wanted.watchdog {
        draft.set_property("have-watchdog", value);
        made.push(Modification::Watchdog(value.clone()));
    }
    draft.adds_nodes |= !wanted.up.is_empty();
    for node in &wanted.up {
        draft.set_membership(node, true, true)?;
        made.push(Modification::Online(node.clone()));
    }
    for node in &wanted.down {
        draft.take_down(node, None)?;
        made.push(Modification::Offline(node.clone()));
    }
    for node in &wanted.fail {
        draft.set_membership(node, false, true)?;
        made.push(Modification::Failing(node.clone()));
    }
    let tickets = [
        ("Granting", "granted", "true", &wanted.grant),
        ("Revoking", "granted", "false", &wanted.revoke),
        ("Standby", "standby", "true", &wanted.standby),
        ("Activating", "standby", "false", &wanted.activate),
    ];
    for (action, name, value, list) in tickets {
        for ticket in list {
            draft.set_ticket(ticket, name, value);
            made.push(Modification::Ticket {
                action,
                ticket: ticket.clone(),
            });
        }
    }
    for text in &wanted.ops {
        match text.parse::<OpSpec>() {
            Ok(spec) => inject_result(draft, text, &spec, facts, &mut made, &mut errors)?,
            Err(bad) => errors.push(bad.to_string()),
        }
    }
    Ok((made, errors))
}

fn inject_result(
    draft: &mut Draft,
    text: &str,
    spec: &OpSpec,
    facts: &Facts,
    made: &mut Vec<Modification>,
    errors: &mut Vec<String>,
) -> Result<(), Error> {
    made.push(Modification::Spec(text.to_owned()));
    let OpKey {
        rsc,
        task,
        interval_ms,
    } = &spec.key;
    let Some(found) = facts.rscs.iter().find(|it| goes_by(it, rsc)) else {
        errors.push(format!("Invalid resource name: {rsc}"));
        return Ok(());
    };
    let node = facts
        .node_by_name(&spec.node)
        .map(|node| facts.nodes[node].id.to_string());
    let node = (spec.node.as_str(), node.as_deref());
    const NOT_RUNNING: i32 = 7;
    let expected = spec.rc == 0 || (spec.rc == NOT_RUNNING && *interval_ms == 0);
    if !expected {
        let task = task.to_string();
        let fatal = task == "stop" || (task == "start" && facts.options.start_failure_is_fatal);
        made.extend(count_failure(draft, node, &spec.key, fatal)?);
    }
    let agent = (
        &*found.agent.class,
        found.agent.provider.as_deref(),
        &*found.agent.kind,
    );
    draft.record(
        node,
        &History {
            entry: rsc.as_str(),
            rsc: rsc.as_str(),
            known_as: None,
            agent,
            task: task.as_ref(),
            interval_ms: *interval_ms,
            rc: spec.rc,
            target_rc: 0,
            exit_reason: if spec.rc == 0 {
                ""
            } else {
                "Simulated action result"
            },
            notify: None,
            migration: None,
            parameters: None,
        },
    )
}

/// Whether a resource is called so, in the configuration or in history.
pub(super) fn goes_by(rsc: &Rsc, name: &RscId) -> bool {
    rsc.id == *name || rsc.history_id.as_ref() == Some(name)
}

/// Raise the fail count of an operation: to INFINITY when one failure is enough, else by one.
pub(super) fn count_failure(
    draft: &mut Draft,
    node: (&str, Option<&str>),
    key: &OpKey,
    fatal: bool,
) -> Result<[Modification; 2], Error> {
    let suffix = format!("{}#{}_{}", key.rsc, key.task, key.interval_ms);
    let name = format!("fail-count-{suffix}");
    let value = if fatal {
        "INFINITY".to_owned()
    } else {
        let count = draft
            .attribute(node.0, &name)
            .and_then(|text| text.parse::<i64>().ok());
        (count.unwrap_or(0) + 1).to_string()
    };
    let now = draft.now_s().to_string();
    let mut set = |name: String, value: String| {
        let node = draft.set_attribute(node, &name, &value)?;
        Ok(Modification::Attribute { name, value, node })
    };
    Ok([
        set(name, value)?,
        set(format!("last-failure-{suffix}"), now)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_from_the_end() {
        let spec: OpSpec = "my_db_monitor_10000@n1=7".parse().expect("a spec");
        assert_eq!(
            (spec.key.rsc.as_str(), spec.key.interval_ms),
            ("my_db", 10_000)
        );
        assert_eq!((spec.node.as_str(), spec.rc), ("n1", 7));
        let spec: OpSpec = "db_migrate_to_0ms@n1=1".parse().expect("a spec");
        assert_eq!(spec.key.to_string(), "db_migrate_to_0");
        assert!("db_start_0@n1".parse::<OpSpec>().is_err());
    }
}
