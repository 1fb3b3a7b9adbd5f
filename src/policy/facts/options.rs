//! Cluster options in force (spec 1 §7).

use std::sync::Arc;

use super::Facts;
use super::nvset;
use super::rules::RuleInput;
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{HealthScores, Score, span, text};
use crate::xml::Element;

/// What a partition without quorum does (spec 1 §7.2), as effective for this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuorumPolicy {
    /// Stop everything.
    #[default]
    Stop,
    /// Keep what runs, start nothing new.
    Freeze,
    /// Go on as if quorate.
    Ignore,
    /// Demote what is promoted, and stop the rest.
    Demote,
    /// Fence the whole partition.
    Fence,
}

/// How free capacity is used (spec 2 §16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlacementStrategy {
    /// Utilization does not count.
    #[default]
    Default,
    /// Utilization bans only.
    Utilization,
    /// As few nodes as possible.
    Minimal,
    /// Spread by free capacity.
    Balanced,
}

/// How health attributes count (spec 1 §30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HealthStrategy {
    /// Not at all.
    #[default]
    None,
    /// Red bans.
    MigrateOnRed,
    /// Anything but green bans.
    OnlyGreen,
    /// Scores add up, from a base.
    Progressive,
    /// Scores add up.
    Custom,
}

impl HealthStrategy {
    /// The option's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MigrateOnRed => "migrate-on-red",
            Self::OnlyGreen => "only-green",
            Self::Progressive => "progressive",
            Self::Custom => "custom",
        }
    }
}

/// Options as the policy uses them. Texts that go into the graph are kept as configured (spec 1 §7.1).
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "each field is the cluster option of that name; spec 1 §7.1 has the table"
)]
pub struct Options {
    pub no_quorum_policy: QuorumPolicy,
    pub shutdown_lock: bool,
    pub shutdown_lock_limit_s: i64,
    pub symmetric_cluster: bool,
    pub maintenance_mode: bool,
    pub start_failure_is_fatal: bool,
    pub enable_startup_probes: bool,
    pub fence_remote_without_quorum: bool,
    pub fencing_enabled: bool,
    /// `reboot` or `off`.
    pub fencing_action: Str,
    pub fencing_timeout: Str,
    pub have_watchdog: bool,
    pub concurrent_fencing: bool,
    /// In effect: fencing-enabled and startup-fencing.
    pub startup_fencing: bool,
    pub priority_fencing_delay_s: i64,
    pub node_pending_timeout_s: i64,
    pub cluster_delay: Str,
    pub batch_limit: Str,
    pub migration_limit: i64,
    pub stop_all_resources: bool,
    pub stop_removed_resources: bool,
    pub cancel_removed_actions: bool,
    pub health_strategy: HealthStrategy,
    pub health_base: Score,
    /// What the words red, yellow and green are worth in any score.
    pub health: HealthScores,
    pub placement_strategy: PlacementStrategy,
    pub cluster_name: Option<Str>,
    /// Everything as configured.
    pub table: NvTable,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            no_quorum_policy: QuorumPolicy::Stop,
            shutdown_lock: false,
            shutdown_lock_limit_s: 0,
            symmetric_cluster: true,
            maintenance_mode: false,
            start_failure_is_fatal: true,
            enable_startup_probes: true,
            fence_remote_without_quorum: false,
            fencing_enabled: true,
            fencing_action: "reboot".into(),
            fencing_timeout: "60s".into(),
            have_watchdog: false,
            concurrent_fencing: true,
            startup_fencing: true,
            priority_fencing_delay_s: 0,
            node_pending_timeout_s: 0,
            cluster_delay: "60s".into(),
            batch_limit: "0".into(),
            migration_limit: -1,
            stop_all_resources: false,
            stop_removed_resources: true,
            cancel_removed_actions: true,
            health_strategy: HealthStrategy::None,
            health_base: Score::ZERO,
            health: HealthScores::default(),
            placement_strategy: PlacementStrategy::Default,
            cluster_name: None,
            table: NvTable::new(),
        }
    }
}

/// Options in force: the property sets of `crm_config` merged, invalid values replaced by the default.
/// // spec 1 §7.1
pub(super) fn read(facts: &mut Facts, crm_config: Option<&Element>, cib: &Element) {
    let mut table = NvTable::new();
    if let Some(crm_config) = crm_config {
        let blocks = nvset::collect(
            crm_config,
            "cluster_property_set",
            &facts.context.document,
            HealthScores::default(),
            Some("cib-bootstrap-options"),
        );
        let input = RuleInput::at(facts.context.now);
        nvset::apply(
            &blocks,
            &input,
            &facts.context.document,
            &facts.context.recheck,
            &mut table,
        );
    }
    let look = Look { table: &table };
    let defaults = Options::default();
    let fencing_enabled = look.boolean(["fencing-enabled", "stonith-enabled"], true);
    let health_strategy = read_strategy(&look);
    let options = Options {
        no_quorum_policy: read_quorum_policy(&look, fencing_enabled, facts.quorate, cib),
        shutdown_lock: look.boolean(["shutdown-lock", ""], false),
        shutdown_lock_limit_s: look.seconds("shutdown-lock-limit"),
        symmetric_cluster: look.boolean(["symmetric-cluster", ""], true),
        maintenance_mode: look.boolean(["maintenance-mode", ""], false),
        start_failure_is_fatal: look.boolean(["start-failure-is-fatal", ""], true),
        enable_startup_probes: look.boolean(["enable-startup-probes", ""], true),
        fence_remote_without_quorum: look.boolean(["fence-remote-without-quorum", ""], false),
        fencing_enabled,
        fencing_action: look
            .get(["fencing-action", "stonith-action"])
            .filter(|action| matches!(&***action, "reboot" | "off"))
            .map_or(defaults.fencing_action, Arc::clone),
        fencing_timeout: look
            .span(["fencing-timeout", "stonith-timeout"])
            .unwrap_or(defaults.fencing_timeout),
        have_watchdog: look.boolean(["have-watchdog", ""], false),
        concurrent_fencing: look.boolean(["concurrent-fencing", ""], true),
        startup_fencing: fencing_enabled && look.boolean(["startup-fencing", ""], true),
        priority_fencing_delay_s: look.seconds("priority-fencing-delay"),
        node_pending_timeout_s: look.seconds("node-pending-timeout"),
        cluster_delay: look
            .span(["cluster-delay", ""])
            .unwrap_or(defaults.cluster_delay),
        batch_limit: look
            .get(["batch-limit", ""])
            .filter(|value| is_integer(value))
            .map_or(defaults.batch_limit, Arc::clone),
        migration_limit: look
            .get(["migration-limit", ""])
            .and_then(|value| text::integer(value))
            .unwrap_or(defaults.migration_limit),
        stop_all_resources: look.boolean(["stop-all-resources", ""], false),
        stop_removed_resources: look
            .boolean(["stop-removed-resources", "stop-orphan-resources"], true),
        cancel_removed_actions: look
            .boolean(["cancel-removed-actions", "stop-orphan-actions"], true),
        health_strategy,
        health_base: Score::ZERO,
        health: HealthScores::default(),
        placement_strategy: match look.word("placement-strategy").as_deref() {
            Some("utilization") => PlacementStrategy::Utilization,
            Some("minimal") => PlacementStrategy::Minimal,
            Some("balanced") => PlacementStrategy::Balanced,
            _ => PlacementStrategy::Default,
        },
        cluster_name: look.get(["cluster-name", ""]).map(Arc::clone),
        table: NvTable::new(),
    };
    facts.options = options;
    read_health_scores(&mut facts.options, &look, health_strategy);
    facts.options.table = table;
}

struct Look<'a> {
    table: &'a NvTable,
}

impl Look<'_> {
    /// The value under the name, else under the old name.
    fn get(&self, names: [&str; 2]) -> Option<&Str> {
        names.iter().find_map(|name| self.table.get_shared(name))
    }

    fn boolean(&self, names: [&str; 2], default: bool) -> bool {
        self.get(names)
            .and_then(|value| text::boolean(value))
            .unwrap_or(default)
    }

    fn word(&self, name: &str) -> Option<String> {
        self.table.get(name).map(str::to_ascii_lowercase)
    }

    fn span(&self, names: [&str; 2]) -> Option<Str> {
        self.get(names)
            .filter(|value| span::parse_ms(value).is_ok())
            .map(Arc::clone)
    }

    fn seconds(&self, name: &str) -> i64 {
        seconds(span::ms_or_zero(self.table.get(name)))
    }
}

/// Milliseconds as seconds to compare with epoch times.
pub(super) fn seconds(ms: u64) -> i64 {
    i64::try_from(span::ms_to_s(ms)).unwrap_or(i64::MAX)
}

fn is_integer(value: &str) -> bool {
    matches!(value, "INFINITY" | "+INFINITY" | "-INFINITY") || text::integer(value).is_some()
}

// spec 1 §7.2
fn read_quorum_policy(
    look: &Look<'_>,
    fencing_enabled: bool,
    quorate: bool,
    cib: &Element,
) -> QuorumPolicy {
    match look.word("no-quorum-policy").as_deref() {
        Some("ignore") => QuorumPolicy::Ignore,
        Some("freeze") => QuorumPolicy::Freeze,
        Some("demote") => QuorumPolicy::Demote,
        Some("fence" | "suicide") if fencing_enabled => {
            let panic = cib
                .get("no-quorum-panic")
                .and_then(text::integer)
                .unwrap_or(0);
            if panic != 0 || quorate {
                QuorumPolicy::Fence
            } else {
                QuorumPolicy::Stop
            }
        }
        _ => QuorumPolicy::Stop,
    }
}

fn read_strategy(look: &Look<'_>) -> HealthStrategy {
    match look.word("node-health-strategy").as_deref() {
        Some("migrate-on-red") => HealthStrategy::MigrateOnRed,
        Some("only-green") => HealthStrategy::OnlyGreen,
        Some("progressive") => HealthStrategy::Progressive,
        Some("custom") => HealthStrategy::Custom,
        _ => HealthStrategy::None,
    }
}

// spec 1 §30: in the order red, green, yellow, each seeing the words as set so far.
fn read_health_scores(options: &mut Options, look: &Look<'_>, strategy: HealthStrategy) {
    options.health = match strategy {
        HealthStrategy::None => HealthScores::default(),
        HealthStrategy::MigrateOnRed => HealthScores {
            red: Score::MINUS_INFINITY,
            ..HealthScores::default()
        },
        HealthStrategy::OnlyGreen => HealthScores {
            red: Score::MINUS_INFINITY,
            yellow: Score::MINUS_INFINITY,
            green: Score::ZERO,
        },
        HealthStrategy::Progressive | HealthStrategy::Custom => {
            let mut health = HealthScores::default();
            let read = |name: &str, health: &HealthScores, default: Score| {
                look.table
                    .get(name)
                    .and_then(|value| health.parse(value))
                    .unwrap_or(default)
            };
            health.red = read("node-health-red", &health, Score::MINUS_INFINITY);
            health.green = read("node-health-green", &health, Score::ZERO);
            health.yellow = read("node-health-yellow", &health, Score::ZERO);
            health
        }
    };
    let base = look.table.get("node-health-base").and_then(Score::parse);
    options.health_base = base.unwrap_or(Score::ZERO);
}
