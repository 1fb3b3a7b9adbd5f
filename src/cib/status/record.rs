//! The return leg of the loop: what an executor reports becomes a write to the status section. A failure's fail count
//! travels in the same write as its history entry, so a crash in between cannot lose one of them. // spec cluster §11, §13

use super::{
    attribute::{self, Increment},
    node_state::{ORIGIN, Place},
};
use crate::{
    cib::{Cib, Command, Op, Target},
    terms::{
        AgentName, ExecStatus, NodeName, OcfExit, OpKey, RscId, TransitionKey, TransitionMagic,
    },
    xml::{Element, xpath::literal},
};

/// One execution, with all that a history entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The agent.
    pub agent: AgentName,
    /// Resource as the history knows it, task and interval.
    pub op: OpKey,
    /// Who asked, and the expected exit status.
    pub key: TransitionKey,
    /// Number of the execution on its node; -1 while pending.
    pub call_id: i64,
    /// How it went.
    pub status: ExecStatus,
    /// Exit status of the agent.
    pub rc: OcfExit,
    /// Why it failed; only written when it did.
    pub exit_reason: String,
    /// In seconds since 1970: when run; for recurring operations, when the result last changed.
    pub last_rc_change_s: Option<i64>,
    /// How long the agent ran.
    pub exec_ms: Option<u64>,
    /// How long it waited.
    pub queue_ms: Option<u64>,
    /// Digests of the parameters.
    pub digests: Digests,
    /// Feature set of who asked.
    pub feature_set: String,
    /// The node that ran it.
    pub node: NodeName,
    /// Type and operation of a notification.
    pub notify: Option<(String, String)>,
    /// Source and target of a migration.
    pub migrate: Option<(String, String)>,
    /// The container of what runs in one.
    pub container: Option<String>,
    /// `shutdown-lock` of the resource: seconds since 1970, or 0 to clear it.
    pub shutdown_lock: Option<i64>,
    /// `on-fail=ignore`: a failure is noted, not counted.
    pub ignore_failure: bool,
}

/// Digests of an operation's parameters. // spec cluster §13.3
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// `op-digest`.
    pub all: String,
    /// `op-force-restart` and `op-restart-digest`.
    pub restart: Option<(String, String)>,
    /// `op-secure-params` and `op-secure-digest`.
    pub secure: Option<(String, String)>,
}

impl Execution {
    /// How it is recorded: an error that is only an unexpected state was an execution that worked.
    fn recorded_status(&self) -> ExecStatus {
        let states = [
            OcfExit::NOT_RUNNING,
            OcfExit::PROMOTED,
            OcfExit::DEGRADED,
            OcfExit::DEGRADED_PROMOTED,
        ];
        match self.status {
            ExecStatus::Error if states.contains(&self.rc) => ExecStatus::Done,
            status => status,
        }
    }

    /// Whether its entry is that of a failure. // spec cluster §13.1
    pub fn is_failed(&self) -> bool {
        match self.recorded_status() {
            ExecStatus::Pending | ExecStatus::Cancelled => false,
            ExecStatus::Done
            | ExecStatus::HardError
            | ExecStatus::FatalError
            | ExecStatus::NotInstalled => self.rc.0 != self.key.target_rc,
            ExecStatus::TimedOut
            | ExecStatus::NotSupported
            | ExecStatus::Error
            | ExecStatus::NotConnected
            | ExecStatus::Invalid
            | ExecStatus::NoFenceDevice
            | ExecStatus::NoSecrets => true,
        }
    }

    /// The task under which it is recorded.
    fn task(&self) -> &str {
        match self.op.task.as_str() {
            "reload" | "reload-agent" if self.recorded_status() == ExecStatus::Done => "start",
            "reload" | "reload-agent" => "monitor",
            task => task,
        }
    }

    /// What it does to the fail count, nothing if it was expected or does not count. // spec cluster §11
    fn counts(&self, rules: Counting) -> Option<Option<Increment>> {
        let unsettled = [ExecStatus::Pending, ExecStatus::Cancelled].contains(&self.status);
        if unsettled || self.rc.effective().0 == self.key.target_rc {
            return None;
        }
        if self.ignore_failure {
            return Some(None);
        }
        let infinity = |fatal| {
            if fatal {
                Increment::Infinity
            } else {
                Increment::One
            }
        };
        match (self.task(), self.op.interval_ms) {
            (_, 1..) | ("promote" | "demote", _) => Some(Some(Increment::One)),
            ("start", _) => Some(Some(infinity(rules.start_is_fatal))),
            ("stop", _) => Some(Some(infinity(rules.stop_is_fatal))),
            _ if self.key.transition == -1 => Some(Some(Increment::One)),
            _ => None,
        }
    }
}

/// How failures count: `failed-start-offset` and `failed-stop-offset` of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// A failed start counts as infinity.
    pub start_is_fatal: bool,
    /// A failed stop counts as infinity.
    pub stop_is_fatal: bool,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            start_is_fatal: true,
            stop_is_fatal: true,
        }
    }
}

impl Counting {
    /// As the options of this CIB say.
    pub fn of(cib: &Cib) -> Self {
        use crate::cib::config::options;
        let start_is_fatal = options::boolean(cib, "start-failure-is-fatal");
        Self {
            start_is_fatal,
            stop_is_fatal: true,
        }
    }
}

/// The write for an execution that ended.
pub fn result(place: &Place, execution: &Execution, rules: Counting) -> Command {
    results(place, std::slice::from_ref(execution), rules)
}

/// The one write for several executions that ended.
pub fn results(place: &Place, executions: &[Execution], rules: Counting) -> Command {
    let now_s = executions
        .iter()
        .filter_map(|e| e.last_rc_change_s)
        .max()
        .unwrap_or(0);
    let mut commands = Vec::new();
    for execution in executions {
        commands.push(entry_command(place, execution));
        if let Some(count) = execution.counts(rules) {
            let op = OpKey {
                task: execution.task().into(),
                ..execution.op.clone()
            };
            let when_s = execution.last_rc_change_s.unwrap_or(now_s);
            commands.push(attribute::failed(place, &op, count, when_s));
        }
    }
    one(commands).at(now_s)
}

/// The write for an execution that is about to begin.
pub fn pending(place: &Place, execution: &Execution) -> Command {
    let pending = Execution {
        call_id: -1,
        status: ExecStatus::Pending,
        rc: OcfExit::PENDING,
        ..execution.clone()
    };
    entry_command(place, &pending).at(execution.last_rc_change_s.unwrap_or(0))
}

/// The write for what a node knows itself of its resources, over what the document says. Failures in it were counted
/// when they happened.
pub fn known(place: &Place, executions: &[Execution]) -> Command {
    let entries = executions.iter();
    Command::transaction(entries.map(|e| entry_command(place, e)).collect())
}

/// The write for a recurring operation that ended for good.
pub fn cancelled(
    place: &Place,
    op: &OpKey,
    call_id: Option<i64>,
    key: Option<&TransitionKey>,
) -> Command {
    let mut conditions = vec![format!("@id={}", literal(&op.to_string()))];
    conditions.extend(call_id.map(|id| format!("@call-id={}", literal(&id.to_string()))));
    conditions.extend(key.map(|key| format!("@transition-key={}", literal(&key.to_string()))));
    let below = format!(
        "{}/lrm_rsc_op[{}]",
        resource_path(&op.rsc),
        conditions.join(" and ")
    );
    Command::delete_xpath(&place.xpath(&below))
}

/// A part of a write that makes it fail unless the node's entry is of this incarnation, and that was not fenced.
pub fn in_life(place: &Place, incarnation: u64) -> Command {
    let life = literal(&incarnation.to_string());
    let entry = Target::XPath(place.xpath(&format!(
        "[@incarnation={life} and not(@fenced-incarnation={life})]"
    )));
    Command::new(Op::Modify, entry, Some(place.element()))
}

/// The write for an operation that will not run: nothing is changed unless an entry still says that it is about to. Then what
/// is known of the resource there is forgotten, so that it is probed: the entry has replaced the one of the last operation,
/// and what is left (a monitor from before the last stop, say) tells another story.
pub fn withdrawn(place: &Place, op: &OpKey, key: &TransitionKey) -> Command {
    let below = format!(
        "{}[lrm_rsc_op[@transition-key={} and @op-status='{}']]",
        resource_path(&op.rsc),
        literal(&key.to_string()),
        ExecStatus::Pending.code()
    );
    Command::delete_xpath(&place.xpath(&below))
}

/// The write that forgets a resource on a node: its history, and its failures with it.
pub fn cleaned(place: &Place, rsc: &RscId) -> Command {
    Command::transaction(vec![
        forgotten(place, rsc),
        attribute::clear_failures(place, rsc, None),
    ])
}

/// The write that deletes the history of a resource on a node.
pub fn forgotten(place: &Place, rsc: &RscId) -> Command {
    Command::delete_xpath(&place.xpath(&resource_path(rsc)))
}

/// The write that forgets failures: their counts and the entry that shows the last one; of one operation or of all.
pub fn failures_cleared(place: &Place, rsc: &RscId, op: Option<(&str, u64)>) -> Command {
    let id = literal(&format!("{rsc}_last_failure_0"));
    let mut condition = format!("@id={id}");
    if let Some((task, interval_ms)) = op {
        let interval = literal(&interval_ms.to_string());
        condition += &format!(" and @operation={} and @interval={interval}", literal(task));
    }
    let entry = place.xpath(&format!("{}/lrm_rsc_op[{condition}]", resource_path(rsc)));
    Command::transaction(vec![
        attribute::clear_failures(place, rsc, op),
        Command::delete_xpath(&entry),
    ])
}

fn resource_path(rsc: &RscId) -> String {
    format!(
        "/lrm/lrm_resources/lrm_resource[@id={}]",
        literal(rsc.as_str())
    )
}

fn one(mut commands: Vec<Command>) -> Command {
    match commands.pop() {
        Some(command) if commands.is_empty() => command,
        last => {
            commands.extend(last);
            Command::transaction(commands)
        }
    }
}

fn entry_command(place: &Place, execution: &Execution) -> Command {
    let mut rsc = Element::new("lrm_resource")
        .with("id", execution.op.rsc.as_str())
        .with("type", &execution.agent.kind)
        .with("class", &execution.agent.class)
        .with_some("provider", execution.agent.provider.as_deref())
        .with_some("container", execution.container.as_deref())
        .with_some(
            "shutdown-lock",
            execution.shutdown_lock.map(|s| s.to_string()),
        );
    for id in entry_ids(execution) {
        rsc.push(entry(execution, &id));
    }
    let state = place.element().with_child(lrm(place, vec![rsc]));
    Command::modify("status", state).or_create()
}

fn lrm(place: &Place, resources: Vec<Element>) -> Element {
    let resources = Element::new("lrm_resources").with_children(resources);
    Element::new("lrm")
        .with("id", &place.id)
        .with_child(resources)
}

/// Under which ids an execution is written. // spec cluster §13.1
fn entry_ids(execution: &Execution) -> Vec<String> {
    let op = &execution.op;
    let rsc = &op.rsc;
    let key = OpKey {
        task: execution.task().into(),
        ..op.clone()
    }
    .to_string();
    let last = format!("{rsc}_last_0");
    match (&execution.notify, execution.task()) {
        (Some((kind, task)), "notify") => vec![format!("{rsc}_{kind}_notify_{task}_0")],
        (_, "migrate_to" | "migrate_from") => vec![key],
        _ if execution.is_failed() => {
            let failure = format!("{rsc}_last_failure_0");
            if op.interval_ms == 0 {
                vec![failure, last]
            } else {
                vec![failure]
            }
        }
        _ if op.interval_ms > 0 => vec![key],
        _ => vec![last],
    }
}

fn entry(execution: &Execution, id: &str) -> Element {
    let status = execution.recorded_status();
    let (code, rc) = (status.code(), execution.rc.0);
    let op = OpKey {
        task: execution.task().into(),
        ..execution.op.clone()
    };
    let magic = TransitionMagic {
        status: code,
        rc,
        key: execution.key.clone(),
    };
    let reason = if execution.is_failed() {
        execution.exit_reason.as_str()
    } else {
        ""
    };
    let times = execution.last_rc_change_s;
    let (restart, secure) = (&execution.digests.restart, &execution.digests.secure);
    Element::new("lrm_rsc_op")
        .with("id", id)
        .with("operation_key", op.to_string())
        .with("operation", &op.task)
        .with("crm-debug-origin", ORIGIN)
        .with("crm_feature_set", &execution.feature_set)
        .with("transition-key", execution.key.to_string())
        .with("transition-magic", magic.to_string())
        .with("exit-reason", reason)
        .with("on_node", execution.node.as_str())
        .with("call-id", execution.call_id.to_string())
        .with("rc-code", rc.to_string())
        .with("op-status", code.to_string())
        .with("interval", op.interval_ms.to_string())
        .with_some("last-rc-change", times.map(|s| s.to_string()))
        .with_some(
            "exec-time",
            times.map(|_| execution.exec_ms.unwrap_or(0).to_string()),
        )
        .with_some(
            "queue-time",
            times.map(|_| execution.queue_ms.unwrap_or(0).to_string()),
        )
        .with("op-digest", &execution.digests.all)
        .with_some("op-force-restart", restart.as_ref().map(|(names, _)| names))
        .with_some(
            "op-restart-digest",
            restart.as_ref().map(|(_, digest)| digest),
        )
        .with_some("op-secure-params", secure.as_ref().map(|(names, _)| names))
        .with_some(
            "op-secure-digest",
            secure.as_ref().map(|(_, digest)| digest),
        )
        .with_some(
            "migrate_source",
            execution.migrate.as_ref().map(|(source, _)| source),
        )
        .with_some(
            "migrate_target",
            execution.migrate.as_ref().map(|(_, target)| target),
        )
}

#[cfg(test)]
mod tests;
