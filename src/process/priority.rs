//! Threads that must have their turn on a machine that is busy.

use std::io;

use thread_priority::{
    Error, RealtimeThreadSchedulePolicy, ScheduleParams, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Realtime scheduling (round robin, priority 10) for the thread that calls: it runs before all that has none.
///
/// # Errors
/// Fails where that is not permitted; the thread goes on as it was.
pub fn favour_this_thread() -> io::Result<()> {
    let priority = ThreadPriority::from_posix(ScheduleParams { sched_priority: 10 });
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(|e| match e {
        Error::OS(number) => io::Error::from_raw_os_error(number),
        other => io::Error::other(other.to_string()),
    })
}
