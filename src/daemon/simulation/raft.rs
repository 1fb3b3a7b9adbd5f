//! A model of raft, with what the daemon relies on: one leader per term, elected by a majority whose logs are not
//! newer; commits by a majority that has the entry on disk; a voter that heard its leader elects no other one; the
//! term is raised before a vote is answered.
//!
//! Voters change in one step, by an entry that counts from when it is in the log.
//!
//! Gap: this is not openraft, and its changes of voters are not joint ones. Its clock and its random numbers cannot be replaced in the released version that we
//! use without replacing the runtime; what is checked here is everything that stands on raft.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cib::Command;
use crate::raft::{Leadership, Timing, two_node};
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, Term};

/// A write with its identity: who, and which of its writes.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) client: u64,
    pub(super) seq: u64,
    /// The term it is good for, if for one only.
    pub(super) term: Option<u64>,
    pub(super) command: Command,
}

/// One entry of the log; a leader begins its term with an empty one.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) write: Option<Write>,
    /// Who votes from here on.
    voters: Option<Vec<NodeId>>,
}

impl Entry {
    pub(super) fn write(write: Write) -> Self {
        Self {
            write: Some(write),
            ..Self::default()
        }
    }

    pub(super) fn voters(voters: Vec<NodeId>) -> Self {
        Self {
            voters: Some(voters),
            ..Self::default()
        }
    }
}

/// What voters say to each other.
#[derive(Debug, Clone)]
pub(super) enum Msg {
    Vote {
        term: u64,
        last: (u64, usize),
    },
    Voted {
        term: u64,
        granted: bool,
    },
    Append {
        term: u64,
        prev: (u64, usize),
        entries: Vec<Arc<Entry>>,
        commit: usize,
    },
    Appended {
        term: u64,
        matched: Option<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate,
    Leader,
}

/// One voter.
#[derive(Debug)]
pub(super) struct Raft {
    me: NodeId,
    /// Who votes before the log says otherwise.
    founders: Vec<NodeId>,
    /// Who votes, as the newest such entry says, be it committed or not; and the length of the log up to it.
    voters: Vec<NodeId>,
    voters_at: usize,
    /// Nothing goes out or in, and nobody is elected: of two nodes, it is not known which one is dead.
    pub(super) shut: bool,
    /// Voters, and those that only learn.
    members: Vec<NodeId>,
    timing: Timing,
    pub(super) term: u64,
    voted: Option<NodeId>,
    pub(super) log: Vec<Arc<Entry>>,
    /// Entries on disk, and which disk write may still count.
    synced: usize,
    pub(super) generation: u64,
    pub(super) commit: usize,
    /// How far its disk says that entries are committed: as far as was known when something was last written there.
    noted: usize,
    role: Role,
    leader: Option<NodeId>,
    votes: BTreeSet<NodeId>,
    next: BTreeMap<NodeId, usize>,
    matched: BTreeMap<NodeId, usize>,
    began_at: usize,
    heard_at: u64,
    elect_at: u64,
    beat_at: u64,
    owed: Option<(NodeId, usize)>,
    /// Something was proposed and has not gone out.
    soon: bool,
}

/// What leaves a step.
#[derive(Debug)]
pub(super) enum Out {
    Send(NodeId, Msg),
    /// Put the log up to here on disk.
    Sync(usize),
    /// Something was proposed: flush in a moment.
    Soon,
}

impl Msg {
    /// The term in which it is said.
    pub(super) fn term(&self) -> u64 {
        match self {
            Msg::Vote { term, .. }
            | Msg::Voted { term, .. }
            | Msg::Append { term, .. }
            | Msg::Appended { term, .. } => *term,
        }
    }
}

impl Raft {
    pub(super) fn new(me: NodeId, voters: Vec<NodeId>, members: Vec<NodeId>) -> Self {
        Self {
            me,
            founders: voters.clone(),
            voters,
            voters_at: 0,
            shut: false,
            members,
            timing: Timing::default(),
            term: 0,
            voted: None,
            log: Vec::new(),
            synced: 0,
            generation: 0,
            commit: 0,
            noted: 0,
            role: Role::Follower,
            leader: None,
            votes: BTreeSet::new(),
            next: BTreeMap::new(),
            matched: BTreeMap::new(),
            began_at: 0,
            heard_at: 0,
            elect_at: 0,
            beat_at: 0,
            owed: None,
            soon: false,
        }
    }

    /// What a new daemon finds on disk. A machine that lost power has lost what was not synced.
    pub(super) fn restart(&mut self, now: u64, jitter: u64, power_lost: bool) {
        if power_lost {
            self.truncate(self.synced);
            if seeded(Bug::ForgetVote) {
                self.voted = None;
                self.term = self.log.last().map_or(0, |e| e.term);
            }
        } else {
            // The kernel has it, and the store syncs what it finds before it answers.
            self.synced = self.log.len();
        }
        self.commit = self.noted.min(self.log.len());
        self.begin(now, jitter);
    }

    /// It knows of no leader, and what its disk was doing is of no use any more.
    fn begin(&mut self, now: u64, jitter: u64) {
        self.generation += 1;
        self.role = Role::Follower;
        self.leader = None;
        self.owed = None;
        self.soon = false;
        self.heard_at = now;
        self.later(now, jitter);
    }

    /// The log that it has, with an entry that makes this node the only voter: in one write with a term that nobody has seen.
    pub(super) fn go_on_alone(&mut self, now: u64, jitter: u64, peers_term: u64) {
        self.term = two_node::next_term(self.term, peers_term);
        self.voted = Some(self.me);
        let entry = Entry {
            term: self.term,
            ..Entry::voters(vec![self.me])
        };
        self.push(Arc::new(entry));
        self.synced = self.log.len();
        self.begin(now, jitter);
    }

    fn push(&mut self, entry: Arc<Entry>) {
        if let Some(voters) = &entry.voters {
            self.voters.clone_from(voters);
            self.voters_at = self.log.len() + 1;
        }
        self.log.push(entry);
    }

    fn truncate(&mut self, at: usize) {
        self.log.truncate(at);
        if self.voters_at > at {
            (self.voters, self.voters_at) = self.voters_in(at);
        }
    }

    /// Who votes as so much of the log has it, and where that is said.
    fn voters_in(&self, upto: usize) -> (Vec<NodeId>, usize) {
        let said = self.log[..upto].iter().rposition(|e| e.voters.is_some());
        let voters = said.and_then(|at| Some((self.log[at].voters.clone()?, at + 1)));
        voters.unwrap_or_else(|| (self.founders.clone(), 0))
    }

    pub(super) fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Term and place of the entry that says who votes.
    pub(super) fn voters_since(&self) -> (u64, usize) {
        match self.voters_at.checked_sub(1) {
            Some(at) => (self.log[at].term, self.voters_at),
            None => (0, 0),
        }
    }

    pub(super) fn voters_are_on_disk(&self) -> bool {
        self.voters_at <= self.synced
    }

    /// Who votes as the disk has it.
    pub(super) fn voters_on_disk(&self) -> Vec<NodeId> {
        self.voters_in(self.synced.min(self.log.len())).0
    }

    /// How much of a leader's log another node has.
    pub(super) fn has(&self, node: NodeId) -> Option<usize> {
        self.matched.get(&node).copied()
    }

    pub(super) fn leadership(&self) -> Leadership {
        Leadership {
            term: Term(self.term),
            leader: self.leader.filter(|_| !self.shut),
            mine: !self.shut && self.role == Role::Leader && self.commit >= self.began_at,
        }
    }

    /// When time alone makes it do something.
    pub(super) fn wakes_at(&self) -> u64 {
        match self.role {
            Role::Leader => self.beat_at,
            _ => self.elect_at,
        }
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether this node takes itself for the leader, and its term.
    pub(super) fn reigns(&self) -> Option<u64> {
        (self.role == Role::Leader && !self.shut).then_some(self.term)
    }

    fn later(&mut self, now: u64, jitter: u64) {
        let stagger = self.timing.stagger_ms * u64::from(self.me.0 - 1);
        self.elect_at = match self.voters.contains(&self.me) {
            true => now + self.timing.election_ms + stagger + jitter,
            false => u64::MAX,
        };
    }

    fn last(&self) -> (u64, usize) {
        (self.log.last().map_or(0, |e| e.term), self.log.len())
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    fn raise(&mut self, term: u64) {
        if term > self.term {
            self.term = term;
            self.voted = None;
            self.role = Role::Follower;
            self.leader = None;
        }
    }

    pub(super) fn tick(&mut self, now: u64, jitter: u64, out: &mut Vec<Out>) {
        if self.shut {
            return;
        }
        if self.role == Role::Leader {
            if now >= self.beat_at {
                self.beat(now, out);
            }
        } else if now >= self.elect_at && !self.voters.contains(&self.me) {
            self.later(now, jitter); // openraft: who has no vote does not stand either.
        } else if now >= self.elect_at {
            self.raise(self.term + 1);
            self.role = Role::Candidate;
            self.voted = Some(self.me);
            self.votes = BTreeSet::from([self.me]);
            self.later(now, jitter);
            let (term, last) = (self.term, self.last());
            let me = self.me;
            for to in self.voters.iter().copied().filter(|v| *v != me) {
                out.push(Out::Send(to, Msg::Vote { term, last }));
            }
            self.lead_if_elected(out);
        }
    }

    fn lead_if_elected(&mut self, out: &mut Vec<Out>) {
        let votes = self.votes.iter().filter(|v| self.voters.contains(v));
        if votes.count() < self.majority() {
            return;
        }
        self.role = Role::Leader;
        self.leader = Some(self.me);
        self.next = self.others().iter().map(|v| (*v, self.log.len())).collect();
        self.matched = BTreeMap::from([(self.me, self.synced)]);
        self.began_at = self.log.len() + 1;
        self.propose(Entry::default(), out);
    }

    fn others(&self) -> Vec<NodeId> {
        self.members
            .iter()
            .copied()
            .filter(|v| *v != self.me)
            .collect()
    }

    fn beat(&mut self, now: u64, out: &mut Vec<Out>) {
        self.beat_at = now + self.timing.heartbeat_ms;
        for to in self.others() {
            let from = self.next.get(&to).copied().unwrap_or(0).min(self.log.len());
            let prev = (from.checked_sub(1).map_or(0, |i| self.log[i].term), from);
            let entries = self.log[from..].to_vec();
            let msg = Msg::Append {
                term: self.term,
                prev,
                entries,
                commit: self.commit,
            };
            out.push(Out::Send(to, msg));
        }
    }

    /// Takes an entry, if this node leads.
    pub(super) fn propose(&mut self, entry: Entry, out: &mut Vec<Out>) -> bool {
        if self.role != Role::Leader || self.shut {
            return false;
        }
        let term = self.term;
        self.push(Arc::new(Entry { term, ..entry }));
        // What is proposed at the same time goes out together.
        if !std::mem::replace(&mut self.soon, true) {
            out.push(Out::Soon);
        }
        true
    }

    /// What was proposed goes out.
    pub(super) fn flush(&mut self, now: u64, out: &mut Vec<Out>) {
        self.soon = false;
        if self.role == Role::Leader && !self.shut {
            out.push(Out::Sync(self.log.len()));
            self.beat(now, out);
        }
    }

    /// A disk write ended, before which so much was known to be committed.
    pub(super) fn synced(
        &mut self,
        generation: u64,
        (upto, committed): (usize, usize),
        out: &mut Vec<Out>,
    ) {
        if generation != self.generation {
            return;
        }
        self.noted = self.noted.max(committed);
        self.synced = self.synced.max(upto.min(self.log.len()));
        if self.role == Role::Leader {
            self.matched.insert(self.me, self.synced);
            self.advance();
        }
        if let Some((to, upto)) = self.owed.filter(|(_, upto)| *upto <= self.synced) {
            self.owed = None;
            out.push(Out::Send(
                to,
                Msg::Appended {
                    term: self.term,
                    matched: Some(upto),
                },
            ));
        }
    }

    fn advance(&mut self) {
        let need = if seeded(Bug::CommitAlone) {
            1
        } else {
            self.majority()
        };
        for upto in (self.commit + 1..=self.log.len()).rev() {
            let has = |v: &&NodeId| self.matched.get(v).is_some_and(|m| *m >= upto);
            let have = self.voters.iter().filter(has).count();
            if have >= need && self.log[upto - 1].term == self.term {
                self.commit = upto;
                return;
            }
        }
    }

    pub(super) fn step(
        &mut self,
        now: u64,
        jitter: u64,
        from: NodeId,
        msg: Msg,
        out: &mut Vec<Out>,
    ) {
        match msg {
            Msg::Vote { term, last } => {
                // A voter that heard its leader lately elects no other one, and learns of no term.
                let bound = self.role == Role::Leader
                    || self.leader.is_some() && now < self.heard_at + self.timing.lease_ms;
                if bound && !seeded(Bug::VoteWithinLease) {
                    return;
                }
                self.raise(term);
                let newer = last >= self.last() || seeded(Bug::VoteForShortLog);
                let granted = term == self.term
                    && newer
                    && (self.voted.is_none_or(|v| v == from) || seeded(Bug::VoteTwice));
                if granted {
                    self.voted = Some(from);
                    self.later(now, jitter);
                }
                out.push(Out::Send(
                    from,
                    Msg::Voted {
                        term: self.term,
                        granted,
                    },
                ));
            }
            Msg::Voted { term, granted } => {
                self.raise(term);
                if term == self.term && granted && self.role == Role::Candidate {
                    self.votes.insert(from);
                    self.lead_if_elected(out);
                }
            }
            Msg::Append {
                term,
                prev,
                entries,
                commit,
            } => {
                if term < self.term && !seeded(Bug::HearOldLeader) {
                    let answer = Msg::Appended {
                        term: self.term,
                        matched: None,
                    };
                    out.push(Out::Send(from, answer));
                    return;
                }
                self.raise(term);
                self.role = Role::Follower;
                self.leader = Some(from);
                self.heard_at = now;
                self.later(now, jitter);
                let fits =
                    prev.1 == 0 || self.log.get(prev.1 - 1).is_some_and(|e| e.term == prev.0);
                if !fits {
                    out.push(Out::Send(
                        from,
                        Msg::Appended {
                            term,
                            matched: None,
                        },
                    ));
                    return;
                }
                let upto = prev.1 + entries.len();
                for (at, entry) in (prev.1..).zip(entries) {
                    match self.log.get(at) {
                        Some(have) if have.term == entry.term => {}
                        other => {
                            if other.is_some() {
                                self.truncate(at);
                                self.synced = self.synced.min(at);
                                self.generation += 1;
                            }
                            self.push(entry);
                        }
                    }
                }
                // Perhaps it has a vote only now, or no longer.
                self.later(now, jitter);
                if self.log.len() > upto && seeded(Bug::TruncateOnAppend) {
                    self.truncate(upto);
                    self.synced = self.synced.min(upto);
                }
                self.commit = self.commit.max(commit.min(upto));
                if self.synced >= upto || seeded(Bug::AckBeforeFsync) {
                    out.push(Out::Send(
                        from,
                        Msg::Appended {
                            term,
                            matched: Some(upto),
                        },
                    ));
                } else {
                    self.owed = Some((from, upto));
                }
                if self.synced < self.log.len() {
                    out.push(Out::Sync(self.log.len()));
                }
            }
            Msg::Appended { term, matched } => {
                self.raise(term);
                if term != self.term || self.role != Role::Leader {
                    return;
                }
                match matched {
                    Some(upto) => {
                        let have = self.matched.entry(from).or_default();
                        *have = (*have).max(upto);
                        self.next.insert(from, *have);
                        self.advance();
                    }
                    None => {
                        let next = self.next.entry(from).or_default();
                        *next = next.saturating_sub(8);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: NodeId = NodeId(1);

    fn says_who_votes(prev: (u64, usize), voters: &[NodeId]) -> Msg {
        let entry = Entry {
            term: 1,
            ..Entry::voters(voters.to_vec())
        };
        Msg::Append {
            term: 1,
            prev,
            entries: vec![Arc::new(entry)],
            commit: 0,
        }
    }

    fn stands(raft: &mut Raft, now: u64) -> bool {
        let mut out = Vec::new();
        raft.tick(now, 0, &mut out);
        out.iter()
            .any(|out| matches!(out, Out::Send(_, Msg::Vote { .. })))
    }

    #[test]
    fn who_has_no_vote_does_not_stand_for_election_and_who_gets_one_does() {
        let both = [LEADER, NodeId(2)];
        let mut raft = Raft::new(NodeId(2), both.to_vec(), both.to_vec());
        let mut out = Vec::new();
        raft.restart(0, 0, false);
        raft.step(0, 0, LEADER, says_who_votes((0, 0), &[LEADER]), &mut out);
        assert!(!stands(&mut raft, 100_000));
        let again = says_who_votes((1, 1), &both);
        raft.step(100_000, 0, LEADER, again, &mut out);
        assert!(!stands(&mut raft, 100_001), "it hears its leader");
        assert!(stands(&mut raft, 200_000));
    }
}
