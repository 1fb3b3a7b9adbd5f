//! What enters the policy beside the CIB.

/// Switches of one run. Nothing here is read from the clock by the policy itself.
#[derive(Debug, Clone)]
pub struct Input {
    /// The effective time in seconds since the epoch: every rule, expiry and deadline sees this one value.
    pub now_s: i64,
    /// The local offset from UTC for date texts which give a time without one (spec 1 §6.1).
    pub utc_offset_s: i32,
    /// Overrides `have-quorum` of the CIB.
    pub quorum: Option<bool>,
    /// Whether the input was saved with private values blanked, so that a matching secure digest counts
    /// as unchanged (spec 3 §6.2). True for files and pipes, false in the daemon.
    pub sanitized: bool,
    /// Whether score contributions are recorded with their causes.
    pub causes: bool,
    /// Whether what each node is worth to each resource is recorded, for who shows it.
    pub scores: bool,
}

impl Input {
    /// A run at this time, on live data.
    #[must_use]
    pub fn at(now_s: i64) -> Self {
        Self {
            now_s,
            utc_offset_s: 0,
            quorum: None,
            sanitized: false,
            causes: true,
            scores: true,
        }
    }
}
