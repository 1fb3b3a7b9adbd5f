//! What each node tells of itself when somebody looks for what may bite later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PathStatus;

/// The name of the request, between nodes and from tools.
pub const CHECKUP: &str = "checkup";

/// A write to a disk that has not ended after so many milliseconds: the disk hangs.
pub const DISK_HANGS_MS: u64 = 1_000;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckupRequest {
    /// Agents, as `class:provider:type`.
    pub agents: Vec<String>,
    /// Names that should mean an address.
    pub names: Vec<String>,
}

/// What one node says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Why it says nothing; then the rest is empty.
    pub silent: Option<String>,
    /// Milliseconds since 1970 by its clock.
    pub time_ms: i64,
    /// How much its clock is ahead of the one of the node that asked, in milliseconds.
    pub ahead_ms: i64,
    /// The question and its answer took so long.
    pub round_trip_ms: u64,
    /// Version of the program.
    pub version: String,
    /// Digest of each agent that is installed there; none for those that are not.
    pub agents: BTreeMap<String, Option<String>>,
    /// Names that mean nothing there.
    pub unresolved: Vec<String>,
    /// Interface and MTU for each address that it listens on.
    pub mtus: BTreeMap<String, (String, u64)>,
    /// Seconds since 1970 when its certificate ends.
    pub certificate_until_s: Option<i64>,
    /// Its paths to the other nodes.
    pub paths: Vec<PathStatus>,
    /// A guard watches its daemon.
    pub guard: bool,
    /// For so many milliseconds a write to its disk has not ended.
    pub disk_busy_ms: u64,
    /// What it does again and again as the coordinator, and nothing comes of it.
    pub in_vain: Vec<String>,
}
