//! Operations as configured, and the meta table of an action (spec 1 §16).

use std::sync::Mutex;

use super::Facts;
use super::history;
use super::nvset::{self, Blocks};
use super::rules::RuleInput;
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{DateTime, Role, span};
use crate::xml::Element;

/// What a failure leads to, least severe first (spec 1, "On-fail severity order").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OnFail {
    /// As if it had worked.
    #[default]
    Ignore,
    /// Demote.
    Demote,
    /// Stop, and start again, perhaps elsewhere.
    Restart,
    /// Recover the connection of a remote node.
    ResetRemote,
    /// Restart the container.
    RestartContainer,
    /// Away from this node.
    Ban,
    /// Touch nothing.
    Block,
    /// Stop everywhere.
    Stop,
    /// The node goes into standby.
    Standby,
    /// The node is fenced.
    Fence,
}

impl OnFail {
    /// As configured in `on-fail`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Demote => "demote",
            Self::Restart => "restart",
            Self::ResetRemote => "reset-remote",
            Self::RestartContainer => "restart-container",
            Self::Ban => "ban",
            Self::Block => "block",
            Self::Stop => "stop",
            Self::Standby => "standby",
            Self::Fence => "fence",
        }
    }
}

/// What an action needs before it may run (spec 1 §16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Needs {
    /// Nothing.
    #[default]
    Nothing,
    /// Quorum.
    Quorum,
    /// Fencing of lost nodes.
    Fencing,
}

/// One `<op>`.
#[derive(Debug, Clone)]
pub struct OpConfig {
    /// XML id.
    pub id: Str,
    /// Task.
    pub name: Str,
    /// Interval.
    pub interval_ms: u64,
    /// `role`, if given; an invalid one counts as given and Unknown.
    pub role: Option<Role>,
    /// Whether `role` is given and not a role.
    pub role_invalid: bool,
    /// False if `enabled` is false.
    pub enabled: bool,
    /// The element.
    pub element: Element,
    /// Its meta-attribute sets.
    pub(super) meta: Blocks,
    /// Its instance-attribute sets.
    pub(super) params: Blocks,
}

impl OpConfig {
    /// Whether the operation has parameters of its own, rules aside.
    #[must_use]
    pub fn has_params(&self) -> bool {
        !self.params.is_empty()
    }
}

/// The meta table of an action, normalised (spec 1 §16.2; spec 3 §4).
#[derive(Debug, Clone, Default)]
pub struct OpMeta {
    /// Position of the `<op>` in `Rsc::ops`, if one matches.
    pub op: Option<usize>,
    /// All names and values, `interval`, `timeout` and `start-delay` normalised to milliseconds.
    pub table: NvTable,
    /// Timeout.
    pub timeout_ms: u64,
    /// Delay before a recurring operation runs for the first time.
    pub start_delay_ms: u64,
    /// Effective handling of a failure.
    pub on_fail: OnFail,
    /// Role after a failure.
    pub fail_role: Role,
    /// What it needs.
    pub needs: Needs,
}

/// What an operation comes to as far as its resource's definition and the defaults say.
#[derive(Debug, Clone)]
struct Table {
    op: Option<usize>,
    table: NvTable,
    timeout_ms: u64,
    start_delay_ms: u64,
}

/// The tables of a definition that depend on nothing else: no rule, no time, no node.
#[derive(Debug, Default)]
pub(super) struct OpTables(Mutex<Vec<(Str, u64, Table)>>);

impl OpTables {
    fn get(&self, task: &str, interval_ms: u64) -> Option<Table> {
        let tables = self.0.lock().expect("nothing panics while it is held");
        let mut same = tables
            .iter()
            .filter(|(name, interval, _)| *interval == interval_ms && &**name == task);
        same.next().map(|(_, _, table)| table.clone())
    }

    fn keep(&self, task: &str, interval_ms: u64, table: &Table) {
        let mut tables = self.0.lock().expect("nothing panics while it is held");
        tables.push((history::shared_task(task), interval_ms, table.clone()));
    }
}

impl Facts {
    /// The `<op>` of a task and interval. // spec 1 §16.1
    #[must_use]
    pub fn find_op(
        &self,
        rsc: RscIdx,
        task: &str,
        interval_ms: u64,
        include_disabled: bool,
    ) -> Option<usize> {
        let ops = &self.rscs[rsc].ops;
        let exact = |name: &str, interval_ms: u64| {
            ops.iter().position(|op| {
                &*op.name == name
                    && op.interval_ms == interval_ms
                    && (include_disabled || op.enabled)
            })
        };
        exact(task, interval_ms).or_else(|| match task {
            "migrate_to" | "migrate_from" => exact("migrate", 0),
            "notify" | "notified" => exact("notify", 0),
            _ => None,
        })
    }

    /// The meta table of an action and what follows from it. // spec 1 §16.2 - §16.5
    #[must_use]
    pub fn op_meta(
        &self,
        rsc: RscIdx,
        node: Option<NodeIdx>,
        task: &str,
        interval_ms: u64,
    ) -> OpMeta {
        let Table {
            op,
            table,
            timeout_ms,
            start_delay_ms,
        } = self.op_table(rsc, node, task, interval_ms);
        let on_fail = self.on_fail(rsc, task, interval_ms, table.get("on-fail"));
        let reconnects = self.rscs[rsc].reconnect_interval_ms > 0;
        let fail_role = match on_fail {
            OnFail::Stop => Role::Stopped,
            OnFail::ResetRemote if reconnects => Role::Stopped,
            _ if task == "promote" => Role::Unpromoted,
            _ => Role::Started,
        };
        let needs = self.op_needs(rsc, task);
        OpMeta {
            op,
            table,
            timeout_ms,
            start_delay_ms,
            on_fail,
            fail_role,
            needs,
        }
    }

    /// Position of the `<op>`, and the table: what an action that is only planned takes of `op_meta`.
    pub(in super::super) fn op_planned(
        &self,
        rsc: RscIdx,
        node: Option<NodeIdx>,
        task: &str,
        interval_ms: u64,
    ) -> (Option<usize>, NvTable) {
        let Table { op, table, .. } = self.op_table(rsc, node, task, interval_ms);
        (op, table)
    }

    /// What an action needs before it may run. // spec 1 §16.5
    pub(in super::super) fn op_needs(&self, rsc: RscIdx, task: &str) -> Needs {
        match task {
            "start" | "promote" if self.rscs[rsc].needs_fencing() => Needs::Fencing,
            "start" | "promote" if self.rscs[rsc].needs_quorum() => Needs::Quorum,
            _ => Needs::Nothing,
        }
    }

    /// The table, from what was found out before if that can't have changed.
    fn op_table(&self, rsc: RscIdx, node: Option<NodeIdx>, task: &str, interval_ms: u64) -> Table {
        let tables = &self.rscs[rsc].spec.tables;
        if let Some(table) = tables.get(task, interval_ms) {
            return table;
        }
        let table = self.make_op_table(rsc, node, task, interval_ms);
        let own_rules = table
            .op
            .is_some_and(|op| nvset::have_rules(&self.rscs[rsc].ops[op].meta));
        let lasts = !own_rules
            && !nvset::have_rules(&self.context.op_defaults)
            && !self.rscs[rsc].flags.fence_device
            && !table.table.contains("interval-origin");
        if lasts {
            tables.keep(task, interval_ms, &table);
        }
        table
    }

    // spec 1 §16.2, §16.3, §16.6
    fn make_op_table(
        &self,
        rsc: RscIdx,
        node: Option<NodeIdx>,
        task: &str,
        interval_ms: u64,
    ) -> Table {
        let op = self.find_op(rsc, task, interval_ms, true);
        let mut table = self.op_meta_table(rsc, op, task, interval_ms);
        let is_probe = task == "monitor" && interval_ms == 0;
        if self.rscs[rsc].flags.fence_device && (task == "start" || is_probe) {
            let params = self.params(rsc, node);
            if let Some(timeout) = params.get_shared("pcmk_monitor_timeout") {
                table.set("timeout", Str::clone(timeout));
            }
        }
        let timeout_ms = timeout_ms(table.get("timeout"));
        table.set("timeout", timeout_ms.to_string());
        self.validate_on_fail(rsc, task, interval_ms, op, &mut table);
        let start_delay_ms = self.start_delay(&table, interval_ms);
        if start_delay_ms > 0 || table.contains("start-delay") {
            table.set("start-delay", start_delay_ms.to_string());
        }
        Table {
            op,
            table,
            timeout_ms,
            start_delay_ms,
        }
    }

    /// Steps 1 to 4 of the table.
    fn op_meta_table(
        &self,
        rsc: RscIdx,
        op: Option<usize>,
        task: &str,
        interval_ms: u64,
    ) -> NvTable {
        let (context, it) = (&self.context, &self.rscs[rsc]);
        let input = RuleInput {
            agent: Some(&it.agent),
            op: Some((task, interval_ms)),
            ..RuleInput::at(context.now)
        };
        let mut table = NvTable::new();
        if let Some(op) = op.map(|op| &it.ops[op]) {
            nvset::apply(
                &op.meta,
                &input,
                &context.document,
                &context.recheck,
                &mut table,
            );
            for (name, value) in op.element.shared_attrs() {
                // These two are set below, or nothing to agents.
                if !matches!(&**name, "id" | "interval") {
                    table.set(Str::clone(name), value);
                }
            }
        }
        if task == "monitor" && interval_ms == 0 && !table.contains("timeout") {
            let recurring =
                |op: &&OpConfig| &*op.name == "monitor" && op.interval_ms > 0 && op.enabled;
            let most_frequent = it
                .ops
                .iter()
                .filter(recurring)
                .min_by_key(|op| op.interval_ms);
            if let Some(timeout) = most_frequent.and_then(|op| op.element.get("timeout")) {
                table.set("timeout", timeout);
            }
        }
        let defaults = &context.op_defaults;
        nvset::apply(
            defaults,
            &input,
            &context.document,
            &context.recheck,
            &mut table,
        );
        table.remove("id");
        table.remove("interval");
        if interval_ms > 0 {
            table.set("interval", interval_ms.to_string());
        }
        table
    }

    /// Extra parameters of the `<op>` itself, for a node. // spec 1 §16.7 step 3
    #[must_use]
    pub fn op_params(&self, rsc: RscIdx, op: usize, node: Option<NodeIdx>) -> NvTable {
        let mut table = NvTable::new();
        let blocks = &self.rscs[rsc].ops[op].params;
        if blocks.is_empty() {
            return table;
        }
        let context = &self.context;
        let node = node.map(|node| &self.nodes[node].attributes);
        let input = RuleInput {
            node,
            ..RuleInput::at(context.now)
        };
        nvset::apply(
            blocks,
            &input,
            &context.document,
            &context.recheck,
            &mut table,
        );
        table
    }

    // spec 1 §16.3
    fn validate_on_fail(
        &self,
        rsc: RscIdx,
        task: &str,
        interval_ms: u64,
        op: Option<usize>,
        table: &mut NvTable,
    ) {
        let given = table.get("on-fail").map(str::to_ascii_lowercase);
        match (task, given.as_deref()) {
            ("stop", Some("standby" | "demote" | "stop")) => {
                table.remove("on-fail");
            }
            ("demote", None) => {
                for op in self.rscs[rsc].ops.iter() {
                    let promoted_monitor = &*op.name == "monitor"
                        && op.interval_ms > 0
                        && op.enabled
                        && op.role == Some(Role::Promoted);
                    let wanted = op.element.get("on-fail").filter(|_| promoted_monitor);
                    if let Some(wanted) = wanted.filter(|w| !w.eq_ignore_ascii_case("demote")) {
                        table.set("on-fail", wanted);
                    }
                }
            }
            ("lrm_delete", _) => table.set("on-fail", "ignore"),
            _ => {}
        }
        let demotes = table
            .get("on-fail")
            .is_some_and(|word| word.eq_ignore_ascii_case("demote"));
        if !demotes {
            return;
        }
        let allowed = op.map(|op| &self.rscs[rsc].ops[op]).is_some_and(|op| {
            &*op.name == "promote"
                || (&*op.name == "monitor" && interval_ms > 0 && op.role == Some(Role::Promoted))
        });
        if !allowed {
            table.remove("on-fail");
        }
    }

    /// Effective handling of a failure. // spec 1 §16.4
    #[must_use]
    pub fn on_fail(&self, rsc: RscIdx, task: &str, interval_ms: u64, text: Option<&str>) -> OnFail {
        let it = &self.rscs[rsc];
        let fencing = self.options.fencing_enabled;
        let is_probe = task == "monitor" && interval_ms == 0;
        let needs_reset = it.flags.connection
            && !is_probe
            && task != "start"
            && self
                .node_by_name(it.id.as_str())
                .is_some_and(|node| self.is_remote(node));
        let text = text.filter(|_| !needs_reset || it.flags.managed);
        let given = match text.map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("block") => Some(OnFail::Block),
            Some("fence") if fencing => Some(OnFail::Fence),
            Some("fence") => Some(OnFail::Stop),
            Some("standby") => Some(OnFail::Standby),
            Some("ignore" | "nothing") => Some(OnFail::Ignore),
            Some("migrate") => Some(OnFail::Ban),
            Some("stop") => Some(OnFail::Stop),
            Some("restart") => Some(OnFail::Restart),
            Some("restart-container") => it.launcher.map(|_| OnFail::RestartContainer),
            Some("demote") => Some(OnFail::Demote),
            _ => None,
        };
        match given {
            Some(given) => given,
            None if it.launcher.is_some() => OnFail::RestartContainer,
            None if needs_reset && it.flags.managed => OnFail::ResetRemote,
            None if needs_reset => OnFail::Stop,
            None if task == "stop" && fencing => OnFail::Fence,
            None if task == "stop" => OnFail::Block,
            None => OnFail::Restart,
        }
    }

    // spec 1 §16.2 step 8, §16.6
    fn start_delay(&self, table: &NvTable, interval_ms: u64) -> u64 {
        if let Some(delay) = table.get("start-delay") {
            return span::ms_or_zero(Some(delay)).min(i32::MAX as u64);
        }
        let interval_s = i64::try_from(interval_ms / 1000).unwrap_or(i64::MAX);
        let origin = table
            .get("interval-origin")
            .filter(|_| interval_s > 0)
            .and_then(|origin| DateTime::parse(origin, self.context.now).ok());
        let Some(origin) = origin else { return 0 };
        let rest = self.now_s.saturating_sub(origin.epoch_s()) % interval_s;
        let delay_s = if rest <= 0 { -rest } else { interval_s - rest };
        u64::try_from(delay_s)
            .unwrap_or(0)
            .saturating_mul(1000)
            .min(i32::MAX as u64)
    }
}

/// Timeouts: a number with a unit; anything else is 20 s. // spec 1 §16.2 step 6
fn timeout_ms(text: Option<&str>) -> u64 {
    const DEFAULT_MS: u64 = 20_000;
    text.filter(|text| !text.trim_start().starts_with('P'))
        .and_then(|text| span::parse_ms(text).ok())
        .filter(|&ms| ms > 0)
        .map_or(DEFAULT_MS, |ms| ms.min(i32::MAX as u64))
}
