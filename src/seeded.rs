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
    /// An action does not wait for the first of those that it should wait for.
    DropGraphEdge,
    /// What waits for fencing goes on as soon as fencing is ordered.
    FenceNotAwaited,
    /// What a node reported before its daemon was started anew still counts.
    KeepOldHistory,
    /// What ran on a fenced node still counts as running there.
    FencedKeepsHistory,
    /// A fenced life of a node may speak up again.
    CondemnForgotten,
    /// Orders to a node that is not there are waited for.
    LostOrdersKept,
    /// An action that failed counts as done.
    FailedIsDone,
    /// A transition goes on, whatever happens meanwhile.
    NoAbort,
    /// A silent node counts as alive.
    NeverSuspect,
    /// A node whose lease has run out counts as having stopped everything at once.
    StopDeadlineForgotten,
    /// A node that acted alone comes back as if nothing had happened.
    SameIncarnation,
    /// Two executions on a node have one number.
    ReuseCallId,
    /// An order that arrives twice is carried out twice.
    OrderTwice,
    /// A start is not recorded before it runs.
    StartUnrecorded,
    /// A fence agent that does not answer in time counts as done.
    FenceTimeoutIsSuccess,
    /// The fencer takes orders of a deposed coordinator.
    OldFenceAccepted,
    /// The guard never acts.
    GuardBlind,
    /// The guard forgets what may run when a daemon starts.
    GuardForgets,
    /// The guard takes leases for five seconds longer than they are.
    GuardTrustsLonger,
    /// A leader acknowledges what it has only proposed.
    AckBeforeCommit,
    /// A node applies what is not committed.
    ApplyUncommitted,
    /// A follower drops what it has beyond a message of its leader, which may be an old one.
    TruncateOnAppend,
    /// A voter votes for everybody in a term.
    VoteTwice,
    /// A voter follows a leader of an older term.
    HearOldLeader,
    /// A voter that heard its leader a moment ago elects another one.
    VoteWithinLease,
    /// The executor does not hear of a new term before the vote is answered.
    TermNotTold,
    /// Two nodes: a shot at an earlier life of the peer counts although a new one has spoken.
    TwoNodeLateShot,
    /// Two nodes: a node that starts does not wait for its peer.
    TwoNodeStartsAtOnce,
    /// Two nodes: a shot whose result is unknown counts as a hit.
    TwoNodeUnknownIsDead,
    /// Two nodes: whose log is newer does not matter.
    TwoNodeAnyLog,
    /// Two nodes: a peer that asks is not told that its death has just been proven.
    TwoNodeSilentDecision,
    /// Two nodes: the survivor keeps its old term.
    TwoNodeOldTerm,
    /// Two nodes: the survivor acts before its decision is on disk.
    TwoNodeActsBeforeDisk,
    /// Two nodes: the survivor says that its peer votes again before that is on its own disk.
    TwoNodeWordBeforeDisk,
}

impl Bug {
    /// All that simulations of whole nodes look for.
    pub const ALL: [Self; 42] = [
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
        Self::DropGraphEdge,
        Self::FenceNotAwaited,
        Self::KeepOldHistory,
        Self::FencedKeepsHistory,
        Self::CondemnForgotten,
        Self::LostOrdersKept,
        Self::FailedIsDone,
        Self::NoAbort,
        Self::NeverSuspect,
        Self::StopDeadlineForgotten,
        Self::SameIncarnation,
        Self::ReuseCallId,
        Self::OrderTwice,
        Self::StartUnrecorded,
        Self::FenceTimeoutIsSuccess,
        Self::OldFenceAccepted,
        Self::GuardBlind,
        Self::GuardForgets,
        Self::GuardTrustsLonger,
        Self::AckBeforeCommit,
        Self::ApplyUncommitted,
        Self::TruncateOnAppend,
        Self::VoteTwice,
        Self::HearOldLeader,
        Self::VoteWithinLease,
        Self::TermNotTold,
    ];

    /// Those of two nodes without a witness, which every interleaving of two nodes must show.
    pub const TWO_NODE: [Self; 8] = [
        Self::TwoNodeLateShot,
        Self::TwoNodeStartsAtOnce,
        Self::TwoNodeUnknownIsDead,
        Self::TwoNodeAnyLog,
        Self::TwoNodeSilentDecision,
        Self::TwoNodeOldTerm,
        Self::TwoNodeActsBeforeDisk,
        Self::TwoNodeWordBeforeDisk,
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
