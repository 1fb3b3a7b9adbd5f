//! What a node does without a lease: said by the node, judged by its leader, written to the CIB.

use serde::{Deserialize, Serialize};

/// What a node does when its lease runs out, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pledge {
    /// It stops what it runs. False while its `no-quorum-policy` lets it go on.
    pub lets_go: bool,
    /// If it has not, its watchdog resets it after so many milliseconds more; 0 when it has none.
    pub watchdog_ms: u64,
}
