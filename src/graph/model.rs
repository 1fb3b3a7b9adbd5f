//! A graph is a list of synapses. A synapse is one action together with the actions that must have
//! succeeded before it may begin:
//!
//! ```text
//!   inputs            synapse
//!   3 db_stop_0 ──┐
//!                 ├─► 7 db_start_0 on h2     "fires" once 3 and 5 are confirmed
//!   5 fence h1  ──┘
//! ```
//!
//! Everything the one who executes an action needs is in the action: node, agent, parameters, timeout.
//! Nothing is left to decide. (spec 3 §17, §18)

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::terms::{NodeName, RscId, Score, Str};

/// Everything one transition does, in the order in which synapses are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// Number of the transition (`transition_id`).
    pub id: i64,
    /// At most so many actions at once; 0 leaves the number to the coordinator.
    pub batch_limit: i32,
    /// Extra time allowed for messages (`cluster-delay`).
    pub cluster_delay: Delay,
    /// How long fencing may take (`fencing-timeout`).
    pub fencing_timeout: Delay,
    /// What a failed start adds to the fail count: INFINITY when `start-failure-is-fatal`.
    pub failed_start_offset: Score,
    /// What a failed stop adds to the fail count.
    pub failed_stop_offset: Score,
    /// At most so many migrations at once on a node; 0 is no limit.
    pub migration_limit: i32,
    /// When time alone may change the answer (seconds since the epoch).
    pub recheck_by: Option<i64>,
    /// The steps.
    pub synapses: Vec<Synapse>,
    /// Actions that are named as inputs without being steps of this graph. They never complete, so neither
    /// does what waits for them. By number; none in a graph that the policy leaves.
    pub absent: Vec<Action>,
}

/// One step: an action and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synapse {
    /// Greater goes first when places are short, and decides what still runs while a transition is abandoned.
    pub priority: i32,
    /// What is done.
    pub action: Action,
    /// The actions that must have succeeded before, in the order in which they are printed.
    pub inputs: Vec<ActionId>,
}

/// Number of an action within its transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub u32);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who carries an action out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ActionKind {
    /// The executor of a node runs an agent (`rsc_op`).
    Resource,
    /// The cluster itself does it: fencing, shutdown, clearing a fail count (`crm_event`).
    Cluster,
    /// Nobody: a point that others can be ordered against (`pseudo_event`).
    Pseudo,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its number.
    pub id: ActionId,
    /// Who carries it out.
    pub kind: ActionKind,
    /// What is done: `start`, `monitor`, `stonith`, `running`, ... (`operation`).
    pub task: String,
    /// Its name, `RSC_TASK_INTERVAL` with the id that the resource's history uses (`operation_key`).
    pub key: String,
    /// The same with the policy's own id of the resource, where that one differs (`internal_operation_key`).
    pub internal_key: Option<String>,
    /// For `lrm_delete`: done by removing the history from the CIB (`mode="cib"`).
    pub by_cib: bool,
    /// Where it happens.
    pub node: Option<NodeRef>,
    /// The cluster node whose executor passes it on to a remote or guest node.
    pub router: Option<NodeName>,
    /// Since when the resource is locked to this node (seconds since the epoch).
    pub shutdown_lock: Option<i64>,
    /// The resource, for real actions on one.
    pub rsc: Option<Arc<RscRef>>,
    /// What the agent is told, and `CRM_meta_*` for the one who runs it; sorted by name.
    pub attributes: Vec<(Str, Str)>,
    /// Agent parameters whose name starts with a digit, which cannot be written as XML attributes.
    pub params: Vec<(Str, Str)>,
    /// Nodes that are gone once this is done.
    pub downed: Vec<String>,
    /// Remote nodes whose recorded maintenance state this corrects.
    pub maintenance: Vec<NodeMaintenance>,
}

/// A node by name and by its id in the CIB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRef {
    /// Its name.
    pub name: NodeName,
    /// Its id in the CIB (for remote and guest nodes their name).
    pub uuid: Str,
}

/// The resource of an action and its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RscRef {
    /// The id under which the node's history knows it.
    pub id: RscId,
    /// The id with the instance number, where the other one has none.
    pub long_id: Option<RscId>,
    /// `ocf`, `systemd`, `stonith`, ...
    pub class: Str,
    /// Only for classes that have providers.
    pub provider: Option<Str>,
    /// The agent's name.
    pub kind: Str,
}

/// A remote node and the maintenance state that is to be recorded for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMaintenance {
    /// The node's id.
    pub node: String,
    /// Whether it is in maintenance.
    pub on: bool,
}

/// A length of time, and the words in which somebody configured it: the exchange format keeps the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// As configured, `3m`.
    pub text: String,
    /// What that means.
    pub ms: u64,
}

#[cfg(test)]
impl RscRef {
    /// A resource of the agent that tests use, ocf:heartbeat:Dummy.
    pub(crate) fn dummy(id: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.into(),
            long_id: None,
            class: "ocf".into(),
            provider: Some("heartbeat".into()),
            kind: "Dummy".into(),
        })
    }
}

impl Graph {
    /// The action with this number, also an absent one.
    pub fn action(&self, id: ActionId) -> Option<&Action> {
        self.actions()
            .chain(&self.absent)
            .find(|action| action.id == id)
    }

    /// All actions that are steps of this graph.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.synapses.iter().map(|synapse| &synapse.action)
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.synapses.is_empty()
    }
}

impl Default for Graph {
    fn default() -> Self {
        let minute = Delay {
            text: "60s".into(),
            ms: 60_000,
        };
        Graph {
            id: 1,
            batch_limit: 0,
            cluster_delay: minute.clone(),
            fencing_timeout: minute,
            failed_start_offset: Score::INFINITY,
            failed_stop_offset: Score::INFINITY,
            migration_limit: 0,
            recheck_by: None,
            synapses: Vec::new(),
            absent: Vec::new(),
        }
    }
}

impl Action {
    /// `KEY on NODE`, as people are told of it.
    pub fn told(&self) -> String {
        match &self.node {
            Some(node) => format!("{} on {}", self.key, node.name),
            None => self.key.clone(),
        }
    }

    /// An action with nothing but its identity.
    pub fn new(id: ActionId, kind: ActionKind, task: &str, key: &str) -> Self {
        Action {
            id,
            kind,
            task: task.into(),
            key: key.into(),
            internal_key: None,
            by_cib: false,
            node: None,
            router: None,
            shutdown_lock: None,
            rsc: None,
            attributes: Vec::new(),
            params: Vec::new(),
            downed: Vec::new(),
            maintenance: Vec::new(),
        }
    }

    /// The value of an attribute as it is printed, `CRM_meta_` included.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let at = self
            .attributes
            .binary_search_by(|(have, _)| (**have).cmp(name))
            .ok()?;
        Some(&self.attributes[at].1)
    }

    /// The value of a meta entry: `meta("timeout")` is the attribute `CRM_meta_timeout`.
    pub fn meta(&self, name: &str) -> Option<&str> {
        const PREFIX: &str = "CRM_meta_";
        let at = self.attributes.binary_search_by(|(have, _)| {
            match have.as_bytes().cmp_prefix(PREFIX.as_bytes()) {
                std::cmp::Ordering::Equal => have[PREFIX.len()..].cmp(name),
                other => other,
            }
        });
        Some(&self.attributes[at.ok()?].1)
    }

    /// Milliseconds between runs; 0 for what is done once.
    pub fn interval_ms(&self) -> u64 {
        self.meta("interval")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// How long the agent may take.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.meta("timeout").and_then(|text| text.parse().ok())
    }

    /// The exit status that counts as success.
    pub fn target_rc(&self) -> i32 {
        self.meta("op_target_rc")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// Fencing and unfencing, also of a guest, where stopping its container is what fences it.
    pub fn is_fencing(&self) -> bool {
        self.task == "stonith"
    }

    /// `reboot`, `off` or `on`, for fencing.
    pub fn fencing_op(&self) -> Option<&str> {
        self.is_fencing()
            .then(|| self.meta("stonith_action").unwrap_or("reboot"))
    }

    /// True for fencing that turns a node off (and not on).
    pub fn kills_node(&self) -> bool {
        self.fencing_op()
            .is_some_and(|op| !op.eq_ignore_ascii_case("on"))
    }
}

/// Compare only as many bytes as the prefix has.
trait ComparePrefix {
    fn cmp_prefix(&self, prefix: &[u8]) -> std::cmp::Ordering;
}

impl ComparePrefix for [u8] {
    fn cmp_prefix(&self, prefix: &[u8]) -> std::cmp::Ordering {
        self[..self.len().min(prefix.len())].cmp(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_their_full_and_by_their_short_name() {
        let mut action = Action::new(ActionId(1), ActionKind::Resource, "start", "db_start_0");
        action.attributes = ["CRM_meta_name", "CRM_meta_timeout", "ip", "timeout"]
            .map(|name| (name.into(), format!("<{name}>").into()))
            .into();
        assert_eq!(action.meta("timeout"), Some("<CRM_meta_timeout>"));
        assert_eq!(action.meta("name"), Some("<CRM_meta_name>"));
        assert_eq!(action.meta("interval"), None);
        assert_eq!(action.attribute("timeout"), Some("<timeout>"));
        assert_eq!(action.attribute("ip"), Some("<ip>"));
    }
}
