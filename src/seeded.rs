//! Bugs put in on purpose, so that it can be seen whether the simulation finds them.
//! Enters: which bug this thread has, from the test.
//! Leaves: whether a place in the code is to be wrong.
//! May touch: one thread-local; without the feature `simulation` it is a constant, and nothing is left of it.

/// A bug that the simulation must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A follower acknowledges entries before they are on its disk.
    AckBeforeFsync,
    /// A voter gives its vote to a candidate with a shorter log.
    VoteForShortLog,
    /// A vote is forgotten in a crash.
    ForgetVote,
    /// An entry counts as committed when one node has it.
    CommitAlone,
    /// A write that is sent again is applied again.
    ApplyTwice,
    /// A new leader does not wait for what older leases allow.
    NoWaitForOldLeases,
    /// The leader answers without asking whether a majority still follows.
    LeaseWithoutMajority,
    /// The end of a lease goes unnoticed.
    LeaseNeverEnds,
    /// A lease is counted from the answer, and twice as long.
    LeaseTwice,
    /// Fencing counts as done although the device failed.
    FenceFailureIsSuccess,
    /// A node's loss counts as proven as soon as it is silent.
    SilenceIsProof,
    /// A node takes orders for an earlier life of itself, and without a lease.
    TakeAnyOrder,
    /// The guard is not told what may run.
    GuardNotTold,
    /// The executor carries out what a deposed coordinator ordered.
    IgnoreTerm,
    /// Results are not written to the status section.
    LoseResults,
    /// A node that is alone takes itself for one that has a majority.
    AloneKeepsRunning,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::AckBeforeFsync,
        Self::VoteForShortLog,
        Self::ForgetVote,
        Self::CommitAlone,
        Self::ApplyTwice,
        Self::NoWaitForOldLeases,
        Self::LeaseWithoutMajority,
        Self::LeaseNeverEnds,
        Self::LeaseTwice,
        Self::FenceFailureIsSuccess,
        Self::SilenceIsProof,
        Self::TakeAnyOrder,
        Self::GuardNotTold,
        Self::IgnoreTerm,
        Self::LoseResults,
        Self::AloneKeepsRunning,
    ];
}

#[cfg(feature = "simulation")]
thread_local! {
    static SEEDED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Seeds a bug in this thread, or none.
#[cfg(feature = "simulation")]
pub fn seed(bug: Option<Bug>) {
    SEEDED.set(bug);
}

/// Whether this thread has this bug.
#[cfg(feature = "simulation")]
pub fn seeded(bug: Bug) -> bool {
    SEEDED.get() == Some(bug)
}

/// Whether this thread has this bug: never, outside the simulation.
#[cfg(not(feature = "simulation"))]
pub const fn seeded(_: Bug) -> bool {
    false
}
