//! How long is long: the few durations from which detection and recovery follow.
//!
//! ```text
//!  |<-- renew -->|            a node asks its leader this often
//!  |<------ suspect ------>|  silence after which the leader calls a node lost (and fences it)
//!  |<------------ lease ------------>|        how long a node may go on without an answer
//!                                    |<-- stop deadline -->|  and then has to stop what it runs
//! ```

use serde::{Deserialize, Serialize};

/// All durations of presence, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Between two renewals of a node.
    pub renew_ms: u64,
    /// Silence after which a peer is suspected (and fenced where fencing is on).
    pub suspect_ms: u64,
    /// Length of a run lease, from the moment a majority was last heard.
    pub lease_ms: u64,
    /// What the leader adds to a lease before it calls it run out: clocks drift, threads wake late.
    pub drift_ms: u64,
    /// After its lease ran out, a node has this long to stop what it runs before it is killed.
    pub stop_deadline_ms: u64,
}

impl Timing {
    /// For machines that are idle and near each other.
    pub const FAST: Self = Self {
        renew_ms: 50,
        suspect_ms: 200,
        lease_ms: 800,
        drift_ms: 60,
        stop_deadline_ms: 400,
    };

    /// The default: safe on a loaded virtual machine, suspicion in well under a second.
    pub const NORMAL: Self = Self {
        renew_ms: 100,
        suspect_ms: 350,
        lease_ms: 1_100,
        drift_ms: 100,
        stop_deadline_ms: 500,
    };

    /// For nodes with tens of milliseconds between them.
    pub const WAN: Self = Self {
        renew_ms: 500,
        suspect_ms: 2_500,
        lease_ms: 8_000,
        drift_ms: 500,
        stop_deadline_ms: 5_000,
    };

    /// The profile of this name: `fast`, `normal` or `wan`.
    pub fn profile(name: &str) -> Option<Self> {
        match name {
            "fast" => Some(Self::FAST),
            "normal" => Some(Self::NORMAL),
            "wan" => Some(Self::WAN),
            _ => None,
        }
    }
}
