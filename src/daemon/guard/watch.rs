//! What the guard knows, and when it acts. Pure.

use std::collections::BTreeMap;

use super::{Lease, StopCall, Word};
use crate::clock::Mono;
use crate::seeded::{Bug, seeded};
use crate::terms::RscId;

/// A daemon that says nothing for so long, in milliseconds, does not stop anything by itself.
const SILENCE_MS: u64 = 250;

/// A guard with nothing to stop and nobody who feeds it ends after this time, in milliseconds.
const IDLE_MS: u64 = 60_000;

/// The guard's picture of its node.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Watch {
    pub(in crate::daemon) pid: Option<i32>,
    lease_until: Mono,
    stop_by: Mono,
    fed_at: Mono,
    keep: bool,
    may_run: BTreeMap<RscId, StopCall>,
}

/// What the guard does now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Verdict {
    /// Look again then.
    Wait(Mono),
    /// The daemon is not doing it: stop everything.
    Act,
    /// Nothing is left to guard.
    Leave,
}

impl Watch {
    pub(in crate::daemon) fn new(now: Mono) -> Self {
        Self {
            fed_at: now,
            ..Self::default()
        }
    }

    /// Takes what the daemon says; true when it has left in good order.
    pub(in crate::daemon) fn hear(&mut self, now: Mono, word: Word) -> bool {
        // Whatever it says, it lives.
        self.fed_at = now;
        match word {
            Word::Hello(pid) => {
                self.pid = Some(pid);
                if seeded(Bug::GuardForgets) {
                    self.may_run.clear();
                }
            }
            Word::Lease(lease) => self.lease(lease),
            Word::MayRun(stop) => drop(self.may_run.insert(stop.rsc.clone(), stop)),
            Word::Gone(rsc) => drop(self.may_run.remove(&rsc)),
            Word::Health => {}
            Word::Bye => return true,
        }
        false
    }

    fn lease(&mut self, lease: Lease) {
        self.keep = lease.keep;
        // A restarted daemon has no lease yet; what the one before it held still counts.
        let longer = u64::from(seeded(Bug::GuardTrustsLonger)) * 5_000;
        self.lease_until = self.lease_until.max(Mono(lease.until + longer));
        self.stop_by = self.stop_by.max(Mono(lease.stop_by + longer));
    }

    pub(in crate::daemon) fn look(&self, now: Mono) -> Verdict {
        if now < self.lease_until {
            return Verdict::Wait(self.lease_until);
        }
        if self.may_run.is_empty() {
            // Nothing runs here: only a daemon that is gone for good ends the watch.
            return if now < self.stop_by.plus(IDLE_MS) || now < self.fed_at.plus(IDLE_MS) {
                Verdict::Wait(now.plus(1_000))
            } else {
                Verdict::Leave
            };
        }
        if self.keep {
            return Verdict::Wait(now.plus(1_000));
        }
        let silent_at = self.fed_at.plus(SILENCE_MS);
        // A life of the daemon that never held a lease has no deadline of its own yet.
        let until = if self.lease_until == Mono(0) {
            silent_at
        } else {
            silent_at.min(self.stop_by)
        };
        if now >= until && !seeded(Bug::GuardBlind) {
            Verdict::Act
        } else {
            Verdict::Wait(until)
        }
    }

    /// Whether the watchdog is fed: while the lease lasts, or what runs goes on without one, or nothing runs.
    pub(in crate::daemon) fn may_feed(&self, now: Mono) -> bool {
        now < self.lease_until || self.keep || self.may_run.is_empty()
    }

    /// What may run here.
    pub(in crate::daemon) fn stops(&self) -> Vec<StopCall> {
        self.may_run.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::AgentName;

    fn lease(until: u64) -> Word {
        Word::Lease(Lease {
            until,
            stop_by: if until == 0 { 0 } else { until + 500 },
            keep: false,
        })
    }

    fn may_run(rsc: &str) -> Word {
        Word::MayRun(StopCall {
            rsc: rsc.into(),
            agent: AgentName::new("ocf", Some("systole"), "IPaddr2"),
            params: Vec::new(),
            timeout_ms: 20_000,
        })
    }

    fn names(watch: &Watch) -> Vec<String> {
        let stops = watch.stops();
        stops.iter().map(|stop| stop.rsc.to_string()).collect()
    }

    #[test]
    fn acts_when_a_frozen_daemon_lets_its_lease_run_out() {
        let mut watch = Watch::default();
        watch.hear(Mono(1_000), lease(2_000));
        watch.hear(Mono(1_001), may_run("vip"));
        assert_eq!(watch.look(Mono(1_900)), Verdict::Wait(Mono(2_000)));
        assert_eq!(watch.look(Mono(2_000)), Verdict::Act);
        assert_eq!(names(&watch), ["vip"]);
    }

    /// safety S12: from the end of the lease on, only a node on which nothing runs is kept from being reset.
    #[test]
    fn the_watchdog_starves_from_the_end_of_the_lease_until_everything_is_stopped() {
        let mut watch = Watch::default();
        assert!(watch.may_feed(Mono(500)), "nothing runs yet");
        watch.hear(Mono(1_000), lease(2_000));
        watch.hear(Mono(1_001), may_run("vip"));
        assert!(watch.may_feed(Mono(1_999)));
        assert!(!watch.may_feed(Mono(2_000)));
        watch.hear(Mono(2_050), lease(2_000));
        assert!(
            !watch.may_feed(Mono(2_050)),
            "that it is at it is not enough"
        );
        watch.hear(Mono(2_300), Word::Gone("vip".into()));
        assert!(watch.may_feed(Mono(2_300)));
        watch.hear(Mono(2_400), may_run("vip"));
        assert!(!watch.may_feed(Mono(2_400)));
        let keep = Lease {
            until: 2_000,
            stop_by: 2_500,
            keep: true,
        };
        watch.hear(Mono(2_500), Word::Lease(keep));
        assert!(watch.may_feed(Mono(2_500)));
    }

    #[test]
    fn leaves_a_daemon_that_is_at_it_until_the_stop_deadline() {
        let mut watch = Watch::default();
        watch.hear(Mono(1_000), lease(2_000));
        watch.hear(Mono(1_000), may_run("vip"));
        watch.hear(Mono(2_050), lease(2_000));
        assert_eq!(watch.look(Mono(2_100)), Verdict::Wait(Mono(2_300)));
        watch.hear(Mono(2_480), lease(2_000));
        assert_eq!(watch.look(Mono(2_500)), Verdict::Act);
    }

    #[test]
    fn a_daemon_that_stopped_everything_is_left_alone() {
        let mut watch = Watch::default();
        watch.hear(Mono(1_000), lease(2_000));
        watch.hear(Mono(1_000), may_run("vip"));
        watch.hear(Mono(2_100), Word::Gone("vip".into()));
        assert!(matches!(watch.look(Mono(2_600)), Verdict::Wait(_)));
        assert!(matches!(watch.look(Mono(62_500)), Verdict::Leave));
    }

    #[test]
    fn what_runs_on_without_a_lease_is_guarded_and_nothing_is_not() {
        let mut watch = Watch::default();
        let keep = |until| {
            Word::Lease(Lease {
                until,
                stop_by: until + 500,
                keep: true,
            })
        };
        watch.hear(Mono(1_000), keep(2_000));
        watch.hear(Mono(1_000), may_run("vip"));
        assert!(matches!(watch.look(Mono(99_000)), Verdict::Wait(_)));
        watch.hear(Mono(99_000), Word::Gone("vip".into()));
        assert!(matches!(watch.look(Mono(100_000)), Verdict::Wait(_)));
        assert_eq!(watch.look(Mono(159_000)), Verdict::Leave);
    }

    /// The daemon says the lease first; should that ever be the other way round, nothing is stopped for it at once.
    #[test]
    fn a_start_before_the_first_lease_is_given_the_time_of_silence() {
        let mut watch = Watch::default();
        watch.hear(Mono(5_000), lease(0));
        watch.hear(Mono(5_050), may_run("vip"));
        assert_eq!(watch.look(Mono(5_060)), Verdict::Wait(Mono(5_300)));
        assert_eq!(watch.look(Mono(5_300)), Verdict::Act);
    }

    #[test]
    fn a_restarted_daemon_inherits_the_lease_and_what_runs() {
        let mut watch = Watch::default();
        watch.hear(Mono(1_000), lease(2_000));
        watch.hear(Mono(1_000), may_run("a"));
        watch.hear(Mono(1_000), may_run("b"));
        watch.hear(Mono(1_500), lease(0));
        assert_eq!(watch.look(Mono(1_700)), Verdict::Wait(Mono(2_000)));
        // It has looked at one of them so far; of the other it does not know.
        watch.hear(Mono(1_800), Word::Gone("a".into()));
        assert_eq!(names(&watch), ["b"]);
    }
}
