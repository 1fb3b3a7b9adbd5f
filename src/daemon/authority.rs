//! By whose right this node's coordinator acts: put together from the lease, from who leads, and from
//! whether this node has read everything that was written before it led.

use crate::clock::Mono;
use crate::coordinator::Authority;
use crate::raft::Leadership;
use crate::seeded::{Bug, seeded};
use crate::terms::Term;

/// What is known.
#[derive(Debug, Clone)]
pub(super) struct Knowledge {
    /// When this daemon started.
    pub(super) started: Mono,
    /// The lease: `None` until the first one.
    pub(super) held: Option<bool>,
    /// The incarnation of the newest lease: results are of this life of the node. `None` until the first one.
    pub(super) life: Option<u64>,
    /// Who leads.
    pub(super) leadership: Leadership,
    /// The newest term of ours in which everything older is known to be applied here.
    pub(super) caught_up: Option<Term>,
    /// How long a daemon that never held a lease waits before it takes itself for cut off.
    pub(super) patience_ms: u64,
    /// This node runs resources at all.
    pub(super) runs_resources: bool,
    /// This node is leaving and cannot ask the cluster for leave.
    pub(super) leaving_alone: bool,
    /// Of two nodes without a witness, it is not known which one is dead: what runs here goes on, and nothing is decided.
    pub(super) undecided: bool,
}

impl Knowledge {
    /// The authority that follows.
    pub(super) fn authority(&self, now: Mono) -> Authority {
        let term = self.leadership.term;
        let cut_off = match self.held {
            Some(held) => !held,
            // Whatever an earlier life of this daemon left running is nobody's by now.
            None => now.since(self.started) >= self.patience_ms,
        };
        if cut_off && self.undecided && !self.leaving_alone {
            return Authority::None;
        }
        if self.leaving_alone || cut_off && !seeded(Bug::AloneKeepsRunning) {
            return if self.runs_resources {
                Authority::Alone(term)
            } else {
                Authority::None
            };
        }
        if self.held == Some(true) && self.leadership.mine && self.caught_up == Some(term) {
            return Authority::Leader(term);
        }
        Authority::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowledge() -> Knowledge {
        Knowledge {
            started: Mono(1_000),
            held: None,
            life: None,
            leadership: Leadership::default(),
            caught_up: None,
            patience_ms: 2_000,
            runs_resources: true,
            leaving_alone: false,
            undecided: false,
        }
    }

    #[test]
    fn of_two_nodes_one_that_is_cut_off_waits_for_proof_with_what_it_runs() {
        let mut k = knowledge();
        (k.held, k.undecided) = (Some(false), true);
        assert_eq!(k.authority(Mono(1_100)), Authority::None);
        k.leaving_alone = true;
        assert_eq!(k.authority(Mono(1_100)), Authority::Alone(Term(0)));
    }

    #[test]
    fn nobody_leads_before_everything_older_is_applied() {
        let mut k = knowledge();
        k.held = Some(true);
        k.leadership = Leadership {
            term: Term(4),
            leader: None,
            mine: true,
        };
        assert_eq!(k.authority(Mono(1_100)), Authority::None);
        k.caught_up = Some(Term(3));
        assert_eq!(k.authority(Mono(1_100)), Authority::None);
        k.caught_up = Some(Term(4));
        assert_eq!(k.authority(Mono(1_100)), Authority::Leader(Term(4)));
    }

    #[test]
    fn a_lost_lease_outweighs_leadership() {
        let mut k = knowledge();
        k.leadership = Leadership {
            term: Term(4),
            leader: None,
            mine: true,
        };
        k.caught_up = Some(Term(4));
        k.held = Some(false);
        assert_eq!(k.authority(Mono(1_100)), Authority::Alone(Term(4)));
    }

    #[test]
    fn a_daemon_without_a_first_lease_takes_itself_for_cut_off_after_a_while() {
        let k = knowledge();
        assert_eq!(k.authority(Mono(2_900)), Authority::None);
        assert_eq!(k.authority(Mono(3_000)), Authority::Alone(Term(0)));
    }

    #[test]
    fn a_witness_is_never_alone() {
        let mut k = knowledge();
        k.runs_resources = false;
        k.held = Some(false);
        assert_eq!(k.authority(Mono(9_000)), Authority::None);
    }
}
