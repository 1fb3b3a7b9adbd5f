//! Cluster options in force (spec 1 §7).

use crate::policy::nvtable::{NvTable, Str};
use crate::terms::Score;

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
    pub health_green: Score,
    pub health_yellow: Score,
    pub health_red: Score,
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
            health_green: Score::ZERO,
            health_yellow: Score::ZERO,
            health_red: Score::ZERO,
            placement_strategy: PlacementStrategy::Default,
            cluster_name: None,
            table: NvTable::new(),
        }
    }
}
