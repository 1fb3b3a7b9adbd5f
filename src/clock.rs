//! The only clock. Machines are told the time; shells ask here.
//! Enters: nothing.
//! Leaves: [`Mono`], which also counts suspend, and wall-clock seconds.
//! May touch: the kernel's clocks, and the time zone of the machine.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine booted, suspend included (`CLOCK_BOOTTIME`). Never goes back.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Mono(pub u64);

impl Mono {
    /// The time now.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::Boottime);
        Self(t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000)
    }

    /// This moment moved later by `ms` milliseconds.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This moment moved earlier by `ms` milliseconds, not before boot.
    pub fn minus(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long to sleep from `now` until this moment.
    pub fn wait_from(self, now: Self) -> Duration {
        Duration::from_millis(self.since(now))
    }
}

/// Seconds by which this process takes the wall clock to be ahead. Only the laboratory sets it ([`LAB_CLOCK`]): a clock that
/// jumps must not harm anything, and the machine's own is everybody's.
static AHEAD_S: AtomicI64 = AtomicI64::new(0);

/// Name of the variable that names a file with a number of seconds, which may change at any time: how far the wall clock
/// of this daemon is ahead of the machine's.
pub const LAB_CLOCK: &str = "SYSTOLE_LAB_CLOCK";

/// The wall clock jumps: from now on it is so many seconds ahead of the machine's.
pub fn jump_ahead_s(seconds: i64) {
    AHEAD_S.store(seconds, Ordering::Relaxed);
}

/// Seconds since 1970, as they stand in the CIB.
pub fn wall_s() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec + AHEAD_S.load(Ordering::Relaxed)
}

/// Seconds that local time is ahead of UTC at that moment, in the time zone of the machine (or of `TZ`).
pub fn utc_offset_s(at_s: i64) -> i32 {
    jiff::Timestamp::from_second(at_s)
        .map_or(0, |at| jiff::tz::TimeZone::system().to_offset(at).seconds())
}

/// Milliseconds since 1970, for logs and timelines.
pub fn wall_ms() -> i64 {
    let t = clock_gettime(ClockId::Realtime);
    (t.tv_sec + AHEAD_S.load(Ordering::Relaxed)) * 1000 + t.tv_nsec / 1_000_000
}

/// Microseconds since the machine booted, suspend included: the clock of [`Mono`], for measuring.
pub fn boot_us() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
}
