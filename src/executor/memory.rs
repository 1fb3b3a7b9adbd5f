//! What a node remembers of a resource, so that it can tell it again when it acts alone, and can stop with the
//! parameters it started with. // spec cluster §13.5

use crate::terms::{ExecStatus, RscId};

use super::agent::systemd;
use super::vocab::{Effect, Execution, Invocation, Order, Outcome};

/// Time for taking an address away when nothing else worked.
const EMERGENCY_STOP_MS: u64 = 5000;

/// The memory of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The last operation that failed.
    failed: Option<Execution>,
    /// The last operation with interval 0 that went as expected.
    done: Option<Execution>,
    /// Recurring operations since then, newest first.
    recurring: Vec<Execution>,
    /// Parameters (not `CRM_meta_*`) of the last start, reload or monitor that found it running.
    params: Option<Vec<(String, String)>>,
    /// Whether it may run here. Other than [`Memory::active`] it also knows what a probe found, what is being
    /// started, and what a failed start may have left.
    may_run: MayRun,
    /// What the guard was told of it last.
    told: MayRun,
}

/// Whether a resource may run here, and how whoever has to stops it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum MayRun {
    /// Nobody has looked since this daemon started: an earlier one may have left it running.
    #[default]
    Unknown,
    /// It may.
    Yes(Invocation),
    /// It certainly does not.
    No,
}

impl Memory {
    /// An agent ran: whatever stops the resource later is told what this one was told.
    pub(super) fn ran(&mut self, order: &Order, outcome: &Outcome) {
        let starts = matches!(
            order.op.task.as_str(),
            "start" | "reload" | "reload-agent" | "monitor"
        );
        let found = outcome.status == ExecStatus::Done && matches!(outcome.rc.effective().0, 0 | 8);
        if starts && found {
            self.params = Some(plain(&order.params));
        }
        match (order.op.task.as_str(), found) {
            ("stop", true) => self.may_run = MayRun::No,
            ("monitor", _) if outcome.rc.0 == 7 => self.may_run = MayRun::No,
            ("monitor", false) => {}
            _ => self.may_run = self.stopped_as(order),
        }
    }

    /// An agent is about to run: from here on the resource may be active, however that ends.
    pub(super) fn begins(&mut self, order: &Order) {
        let starts = matches!(order.op.task.as_str(), "start" | "promote" | "migrate_from");
        if starts && !matches!(self.may_run, MayRun::Yes(_)) {
            self.may_run = self.stopped_as(order);
        }
    }

    fn stopped_as(&self, order: &Order) -> MayRun {
        MayRun::Yes(Invocation {
            agent: order.agent.clone(),
            rsc: order.op.rsc.clone(),
            task: "stop".to_owned(),
            params: self.params.clone().unwrap_or_else(|| plain(&order.params)),
            timeout_ms: EMERGENCY_STOP_MS,
            kill_process_only: false,
        })
    }

    /// What the guard has to be told, if it has changed. Fence devices run nowhere, and a connection ends with its daemon.
    pub(super) fn tell_guard(&mut self, rsc: &RscId, effects: &mut Vec<Effect>) {
        if self.may_run == self.told {
            return;
        }
        self.told = self.may_run.clone();
        match &self.may_run {
            MayRun::Yes(stop) if !stop.agent.is_fencing() && !stop.agent.is_connection() => {
                effects.push(Effect::MayRun(stop.clone()));
            }
            MayRun::No => effects.push(Effect::Gone(rsc.clone())),
            _ => {}
        }
    }

    /// A result is reported.
    pub(super) fn remember(&mut self, order: &Order, execution: &Execution) {
        let task = order.op.task.as_str();
        if task == "notify"
            || matches!(
                execution.status,
                ExecStatus::Pending | ExecStatus::Cancelled
            )
        {
            return;
        }
        let failed = execution.failed();
        if order.changes_state() {
            self.recurring.clear();
        }
        if failed {
            self.failed = Some(execution.clone());
        } else if order.recurring() {
            self.recurring.retain(|other| other.op != execution.op);
            self.recurring.insert(0, execution.clone());
        } else {
            self.done = Some(execution.clone());
        }
    }

    /// Whether it is a result of this order that is recorded under the operation's own id. A failure is recorded as the last
    /// one of its resource, and what is there may be of an earlier order.
    pub(super) fn has_recorded(&self, order: &Order, call_id: i64) -> bool {
        let of_it = |known: &Execution| known.call_id == call_id && known.key == order.key;
        self.recurring.iter().any(of_it)
    }

    /// A recurring operation ended for good.
    pub(super) fn cancelled(&mut self, op: &crate::terms::OpKey) {
        self.recurring.retain(|other| other.op != *op);
    }

    /// What counts now, in an order that may be written one after the other. A failure from before the last success has
    /// been dealt with, and may have been cleaned up since.
    pub(super) fn last_words(&self) -> impl Iterator<Item = &Execution> {
        let done = self.done.as_ref().map_or(0, |done| done.call_id);
        self.failed
            .iter()
            .filter(move |failed| failed.call_id > done)
            .chain(&self.done)
            .chain(self.recurring.iter().rev())
    }

    /// Whether the resource counts as active here. // spec cluster §13.6
    pub(super) fn active(&self) -> bool {
        let Some(last) = &self.done else { return false };
        let gone = matches!(last.op.task.as_str(), "stop" | "migrate_to") && last.rc.0 == 0;
        !(gone || last.rc.0 == 7 || last.rc.0 == 6)
    }

    /// For what counts as active and is no process of ours, an address or a unit of systemd: what ends it in an
    /// emergency.
    pub(super) fn emergency_stop(&self) -> Option<Invocation> {
        let last = self.done.as_ref().filter(|_| self.active())?;
        let task = match last.agent.class.as_str() {
            "systemd" => systemd::KILL,
            "service" => "stop",
            _ if last.agent.kind.starts_with("IPaddr") => "stop",
            _ => return None,
        };
        Some(Invocation {
            agent: last.agent.clone(),
            rsc: last.op.rsc.clone(),
            task: task.to_owned(),
            params: self.params.clone().unwrap_or_default(),
            timeout_ms: EMERGENCY_STOP_MS,
            kill_process_only: false,
        })
    }

    /// What a stop is told: the parameters it was started with, the meta-attributes of the request.
    pub(super) fn for_stop(&self, order: &Order) -> Vec<(String, String)> {
        let Some(params) = &self.params else {
            return order.params.clone();
        };
        let meta = order
            .params
            .iter()
            .filter(|(name, _)| is_meta(name))
            .cloned();
        params.iter().cloned().chain(meta).collect()
    }
}

fn plain(params: &[(String, String)]) -> Vec<(String, String)> {
    params
        .iter()
        .filter(|(name, _)| !is_meta(name))
        .cloned()
        .collect()
}

fn is_meta(name: &str) -> bool {
    name.starts_with("CRM_meta_") || name == "crm_feature_set"
}
