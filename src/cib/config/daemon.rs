//! Which of Pacemaker's daemons a cluster option belongs to. We are one program, but clients ask each daemon by its name
//! what options it has.

use super::options::{Audience, ClusterOption, OPTIONS};

/// A daemon that has cluster options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// Keeps the CIB.
    Based,
    /// Joins nodes and walks transitions.
    Controld,
    /// Decides what is done.
    Schedulerd,
}

/// Options of what is decided belong to the scheduler; these do not.
const CONTROLD: &[&str] = &[
    "dc-version",
    "cluster-infrastructure",
    "cluster-name",
    "dc-deadtime",
    "cluster-recheck-interval",
    "election-timeout",
    "shutdown-escalation",
    "join-integration-timeout",
    "join-finalization-timeout",
    "transition-delay",
    "fencing-reaction",
    "fencing-watchdog-timeout",
    "fencing-max-attempts",
    "load-threshold",
    "node-action-limit",
];
const BASED: &[&str] = &["enable-acl", "cluster-ipc-limit"];

impl ClusterOption {
    /// The daemon that reads it.
    pub fn daemon(&self) -> Daemon {
        if CONTROLD.contains(&self.name) {
            Daemon::Controld
        } else if BASED.contains(&self.name) {
            Daemon::Based
        } else {
            Daemon::Schedulerd
        }
    }
}

impl Daemon {
    /// Its options, in the order of the table.
    pub fn options(self) -> impl Iterator<Item = &'static ClusterOption> {
        OPTIONS
            .iter()
            .filter(move |option| option.daemon() == self && option.audience != Audience::Systole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::config::options::find;

    #[test]
    fn every_named_option_is_in_the_table() {
        for name in CONTROLD.iter().chain(BASED) {
            assert!(find(name).is_some_and(|o| o.name == *name), "{name}");
        }
    }
}
