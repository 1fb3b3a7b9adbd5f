//! The lease, as told to a colleague: every lease in the cluster hangs on one moment, the last one at
//! which the leader *knows* that a majority of voters still followed it. A node asks; the leader
//! answers with what is left of `lease_ms` since that moment; the node counts it from when it
//! *asked*. So no lease of a term outlives that moment by more than `lease_ms`.
//!
//! ```text
//!   voter    ask(echo 7) ----------.            the voter still followed us when it got grant 7,
//!   leader   grant 7 sent at t7     `-> heard   so its voice counts from t7, not from now
//! ```
//!
//! A new leader was elected by a majority which shares a voter with the old one's, and that voter
//! echoed for the last time before it voted (it raises its term first, and renews no older one).
//! So a new leader that waits `lease_ms` from its election has outwaited every older lease.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::timing::Timing;
use super::vocab::{Effect, Event, Grant, PeerState, Renewal, View};
use crate::clock::Mono;
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeId, Pledge, Term};

/// Questions and grants remembered: enough for the longest round trip within a lease.
const REMEMBERED: usize = 64;
/// Earlier lives of a node that are remembered: copies of what they said arrive within seconds, if at all.
const FORMER: usize = 16;

/// Presence of one node; on the leader also its knowledge of all others.
#[derive(Debug)]
pub struct Machine {
    me: NodeId,
    timing: Timing,
    incarnation: u64,
    term: Term,
    leader: Option<NodeId>,
    voters: Vec<BTreeSet<NodeId>>,
    members: BTreeSet<NodeId>,
    last_step: Option<Mono>,
    /// When a leader of this node last answered, and which.
    last_answer: Option<(NodeId, Mono)>,
    /// This node may run resources until here.
    lease_until: Mono,
    held: bool,
    /// When this life first asked for a lease, while it has never had one.
    unheeded_since: Option<Mono>,
    /// This life of the node counts as dead: until here it has time to stop what it runs, whoever would grant it a lease.
    lets_go_until: Mono,
    asks: VecDeque<(u64, Mono)>,
    next_ask: u64,
    /// What this node does when its lease runs out.
    pledge: Option<Pledge>,
    /// The newest question that said "I let go": whoever heard it counts on that, answered or not.
    lets_go_since: u64,
    /// The newest question that was answered by a lease.
    granted: u64,
    ask_at: Mono,
    echo: Option<u64>,
    reign: Option<Reign>,
    /// When a daemon was last seen to end; it is forgotten when it speaks again.
    hung_up: BTreeMap<NodeId, Mono>,
    near_misses: u64,
    longest_pause_ms: u64,
}

/// What a leader keeps while its term lasts.
#[derive(Debug)]
struct Reign {
    since: Mono,
    grants: VecDeque<(u64, Mono)>,
    next_grant: u64,
    /// Last moment at which this voter is known to have followed us.
    followed: BTreeMap<NodeId, Mono>,
    peers: BTreeMap<NodeId, Peer>,
    majority: bool,
    /// The life of our own daemon that was last reported.
    myself: Option<u64>,
    /// What our own node was last reported to do without a lease.
    own_pledge: Option<Pledge>,
}

#[derive(Debug)]
struct Peer {
    state: Option<PeerState>,
    /// The newest life that spoke.
    incarnation: u64,
    /// The newest life that spoke while we had its ear, or none yet.
    life: Option<u64>,
    /// When we gave the newest answer that is known to have arrived; the beginning of the term before there is one.
    reached: Mono,
    /// The life of its daemon that fencing ended.
    condemned: Option<u64>,
    heard: Mono,
    /// Whether this daemon ever heard it: one that was never there is not lost, but late.
    ever_heard: bool,
    /// No lease of this node lasts longer than this.
    lease_bound: Mono,
    /// What it said with the newest question.
    pledge: Option<Pledge>,
    /// The number of that question.
    newest_ask: u64,
    /// Earlier lives of its daemon, newest last.
    former: VecDeque<u64>,
}

impl Peer {
    /// Whether this says anything that was not known. A question comes over every path, and so more than once; a copy that
    /// was held up must neither make its node look alive nor bring back what it said in an earlier life.
    fn is_told(&mut self, now: Mono, renewal: &Renewal, timing: &Timing) -> bool {
        let older = renewal.ask <= self.newest_ask;
        if renewal.incarnation != self.incarnation {
            // A new life asks with greater numbers, unless its machine was started anew, which takes longer than this.
            let recent = self.incarnation != 0 && now.since(self.heard) < timing.suspect_ms;
            if self.former.contains(&renewal.incarnation) || (older && recent) {
                return false;
            }
            if self.incarnation != 0 {
                self.former.push_back(self.incarnation);
            }
            if self.former.len() > FORMER {
                self.former.pop_front();
            }
        } else if older {
            return false;
        }
        self.newest_ask = renewal.ask;
        true
    }
}

impl Machine {
    /// Presence of node `me`, whose daemon drew `incarnation` when it started.
    pub fn new(me: NodeId, incarnation: u64, timing: Timing) -> Self {
        Self {
            me,
            timing,
            incarnation,
            term: Term(0),
            leader: None,
            voters: Vec::new(),
            members: BTreeSet::new(),
            last_step: None,
            last_answer: None,
            lease_until: Mono(0),
            held: false,
            unheeded_since: None,
            lets_go_until: Mono(0),
            asks: VecDeque::new(),
            next_ask: 1,
            pledge: None,
            lets_go_since: 0,
            granted: 0,
            ask_at: Mono(0),
            echo: None,
            reign: None,
            hung_up: BTreeMap::new(),
            near_misses: 0,
            longest_pause_ms: 0,
        }
    }

    /// Takes one event; says in `effects` what follows.
    pub fn step(&mut self, now: Mono, event: Event, effects: &mut Vec<Effect>) {
        self.notice_pause(now);
        match event {
            Event::Leadership {
                term,
                leader,
                voters,
                members,
            } => {
                self.voters = voters;
                self.members = members;
                self.new_term(term);
                // A term has one leader. That raft does not hear it for a moment is no reason to stop
                // asking: silence here would be taken for the death of this node.
                let deposed = leader.is_none() && self.leader == Some(self.me);
                if term == self.term && leader != self.leader && (leader.is_some() || deposed) {
                    self.leader = leader;
                    self.ask_at = now;
                }
                self.reign_or_not(now);
            }
            Event::TermSeen(term) => {
                self.new_term(term);
                self.reign_or_not(now);
            }
            Event::Renewal(renewal) => self.on_renewal(now, renewal, effects),
            Event::Grant { from, grant } => self.on_grant(now, from, grant),
            Event::HungUp(node) => {
                self.hung_up.insert(node, now);
            }
            Event::Condemned(node, life) if node == self.me => {
                if life == self.incarnation {
                    self.lets_go_until = now.plus(self.timing.stop_deadline_ms);
                }
            }
            Event::Condemned(node, life) => {
                if let Some(peer) = self.reign.as_mut().and_then(|r| r.peers.get_mut(&node)) {
                    peer.condemned = Some(life);
                }
            }
            Event::Pledge(pledge) => self.pledge = Some(pledge),
            Event::Tick => {}
        }
        self.settle(now, effects);
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn wake_at(&self, now: Mono) -> Mono {
        // At least once per renewal, so that a pause of this thread is told from a quiet network.
        let mut at = now.plus(self.timing.renew_ms);
        if self.leader.is_some_and(|leader| leader != self.me) {
            at = at.min(self.ask_at);
        }
        if self.held {
            at = at.min(self.lease_until.plus(1));
        } else if self.lets_go_until > now {
            at = at.min(self.lets_go_until);
        }
        for (id, peer) in self.reign.iter().flat_map(|reign| &reign.peers) {
            at = match peer.state {
                Some(PeerState::Expired) => at,
                Some(PeerState::Suspect { .. }) => at.min(stopped_by(&self.timing, peer).plus(1)),
                Some(PeerState::Alive { .. }) | None => at.min(
                    peer.heard
                        .plus(patience(&self.timing, &self.hung_up, *id) + 1),
                ),
            };
        }
        at.max(now.plus(1))
    }

    /// The picture of now.
    pub fn view(&self, now: Mono) -> View {
        View {
            held: self.held,
            incarnation: self.incarnation,
            until: self.lease_until,
            may_keep: self.may_keep(),
            left_ms: self.lease_until.since(now),
            near_misses: self.near_misses,
            longest_pause_ms: self.longest_pause_ms,
            pledges: self
                .reign
                .iter()
                .flat_map(|r| {
                    let own = (self.me, r.own_pledge);
                    let peers = r.peers.iter().map(|(id, p)| (*id, p.pledge));
                    std::iter::once(own).chain(peers)
                })
                .filter_map(|(id, pledge)| Some((id, pledge?)))
                .collect(),
            peers: self
                .reign
                .iter()
                .flat_map(|r| &r.peers)
                .filter_map(|(id, p)| p.state.map(|s| (*id, s, now.since(p.heard))))
                .collect(),
        }
    }

    /// A thread that slept through its own deadlines has heard nobody, and so may judge nobody:
    /// what it missed waits in its sockets.
    fn notice_pause(&mut self, now: Mono) {
        let pause = self.last_step.map_or(0, |last| now.since(last));
        self.last_step = Some(now);
        self.longest_pause_ms = self.longest_pause_ms.max(pause);
        if pause * 2 > self.timing.suspect_ms
            && let Some(reign) = &mut self.reign
        {
            for peer in reign.peers.values_mut() {
                peer.heard = now;
            }
        }
    }

    fn new_term(&mut self, term: Term) {
        if term > self.term {
            self.term = term;
            self.leader = None;
            self.echo = None;
        }
    }

    fn reign_or_not(&mut self, now: Mono) {
        if self.leader != Some(self.me) {
            self.reign = None;
            return;
        }
        let lease_bound = match seeded(Bug::NoWaitForOldLeases) {
            true => Mono(0),
            false => now.plus(self.timing.lease_ms),
        };
        let previous = self.last_answer;
        let timing = self.timing;
        let reign = self.reign.get_or_insert_with(|| Reign {
            since: now,
            grants: VecDeque::new(),
            next_grant: 1,
            followed: BTreeMap::new(),
            peers: BTreeMap::new(),
            majority: false,
            myself: None,
            own_pledge: None,
        });
        reign.peers.retain(|id, _| self.members.contains(id));
        reign
            .followed
            .retain(|id, _| self.voters.iter().any(|set| set.contains(id)));
        for id in self.members.iter().filter(|id| **id != self.me) {
            reign.peers.entry(*id).or_insert_with(|| {
                // The deposed leader's silence began before our election, which it caused. It gets
                // the time of a few renewals to speak up, not the whole of the suspicion time.
                let heard = match previous {
                    Some((leader, at)) if leader == *id => {
                        at.max(now.minus(timing.suspect_ms.saturating_sub(2 * timing.renew_ms)))
                    }
                    _ => now,
                };
                let ever_heard = previous.is_some_and(|(leader, _)| leader == *id);
                Peer {
                    state: None,
                    incarnation: 0,
                    life: None,
                    reached: reign.since,
                    condemned: None,
                    heard,
                    ever_heard,
                    lease_bound,
                    pledge: None,
                    newest_ask: 0,
                    former: VecDeque::new(),
                }
            });
        }
    }

    fn on_renewal(&mut self, now: Mono, renewal: Renewal, effects: &mut Vec<Effect>) {
        self.new_term(renewal.term);
        self.reign_or_not(now);
        if renewal.term < self.term || self.leader != Some(self.me) {
            return; // An older term, or not ours to answer: the asker finds its leader by itself.
        }
        let Some(reign) = &mut self.reign else { return };
        if let Some(peer) = reign.peers.get_mut(&renewal.node)
            && !peer.is_told(now, &renewal, &self.timing)
        {
            return;
        }
        let echoed = renewal.echo.and_then(|echo| {
            let grant = reign.grants.iter().find(|(id, _)| *id == echo);
            grant.map(|(_, sent)| *sent)
        });
        if let Some(sent) = echoed
            && self.voters.iter().any(|set| set.contains(&renewal.node))
        {
            let followed = reign.followed.entry(renewal.node).or_insert(sent);
            *followed = (*followed).max(sent);
        }
        let until = majority_moment(&self.voters, &reign.followed, self.me, now)
            .map_or(now, |t| t.plus(self.timing.lease_ms));
        let Some(peer) = reign.peers.get_mut(&renewal.node) else {
            return;
        };
        peer.incarnation = renewal.incarnation;
        if peer.condemned == Some(renewal.incarnation) {
            return;
        }
        self.hung_up.remove(&renewal.node);
        peer.reached = peer.reached.max(echoed.unwrap_or(peer.reached));
        // A node that speaks and does not hear, with half a cable perhaps, counts as silent: it can't be told anything.
        let hears_us = now.since(peer.reached) <= 2 * self.timing.suspect_ms;
        let mut valid_ms = 0;
        if hears_us {
            peer.heard = now;
            peer.ever_heard = true;
            peer.life = Some(renewal.incarnation);
            peer.lease_bound = peer.lease_bound.max(until);
            valid_ms = until.since(now);
        }
        if seeded(Bug::LeaseWithoutMajority) {
            valid_ms = self.timing.lease_ms;
        }
        if renewal.pledge != peer.pledge {
            peer.pledge = renewal.pledge;
            effects.extend(peer.pledge.map(|p| Effect::Pledged(renewal.node, p)));
        }
        let grant = Grant {
            term: self.term,
            ask: renewal.ask,
            grant: reign.next_grant,
            valid_ms,
        };
        reign.grants.push_back((reign.next_grant, now));
        while reign.grants.len() > REMEMBERED * self.members.len().max(1) {
            reign.grants.pop_front();
        }
        reign.next_grant += 1;
        effects.push(Effect::Answer(renewal.node, grant));
    }

    fn on_grant(&mut self, now: Mono, from: NodeId, grant: Grant) {
        if grant.term != self.term || self.leader != Some(from) {
            return;
        }
        let Some(asked) = self
            .asks
            .iter()
            .find(|(id, _)| *id == grant.ask)
            .map(|(_, at)| *at)
        else {
            return;
        };
        // Grants come over every path, too, and perhaps late. Counted from the question, the lease in a copy ends when it
        // always did; but a copy is no sign of life.
        if self.echo.is_some_and(|newest| grant.grant <= newest) {
            self.extend_lease(asked, &grant);
            return;
        }
        self.hung_up.remove(&from);
        self.last_answer = Some((from, now));
        self.echo = Some(grant.grant);
        if grant.valid_ms == 0 {
            // The leader needs to hear our echo before it can grant: tell it at once.
            self.ask_at = now;
            return;
        }
        if self.held && self.lease_until.since(now) * 3 < self.timing.lease_ms {
            self.near_misses += 1;
        }
        let counted_from = match seeded(Bug::LeaseTwice) {
            true => now.plus(self.timing.lease_ms),
            false => asked,
        };
        self.extend_lease(counted_from, &grant);
    }

    fn extend_lease(&mut self, counted_from: Mono, grant: &Grant) {
        if grant.valid_ms > 0 {
            self.lease_until = self.lease_until.max(counted_from.plus(grant.valid_ms));
            self.granted = self.granted.max(grant.ask);
        }
    }

    /// Whether this node may go on without a lease, should its policy say so: only what the leader was told when it
    /// granted the lease counts, and nothing that it may have heard since.
    fn may_keep(&self) -> bool {
        if self.leader == Some(self.me) {
            // Its own judge, as long as it leads; whoever leads next outwaits its lease and goes by the CIB.
            return self.pledge.is_none_or(|pledge| !pledge.lets_go);
        }
        self.lets_go_since == 0 || self.granted > self.lets_go_since
    }

    /// What follows from the time alone.
    fn settle(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        self.give_up_a_life_in_vain(now);
        self.ask(now, effects);
        self.reign_over(now, effects);
        let until = match now < self.lets_go_until {
            true => now.min(self.lease_until),
            false => self.lease_until,
        };
        if until > now && !self.held {
            self.held = true;
            self.unheeded_since = None;
            effects.push(Effect::LeaseHeld(until, self.incarnation));
        } else if until <= now && self.held && !seeded(Bug::LeaseNeverEnds) {
            self.held = false;
            // From here on this node acts alone: whatever the cluster knows of it is out of date,
            // and it comes back as somebody new.
            self.be_somebody_new();
            effects.push(Effect::LeaseLost(until));
        }
    }

    /// A leader that heard this life, and then nothing for long enough, counts it as lost, and what it ordered is on its way.
    /// Where that arrives late it must not find the same life, granted its first lease meanwhile. No leader judges sooner than
    /// this, counted from what it heard.
    fn give_up_a_life_in_vain(&mut self, now: Mono) {
        let long = |since: Mono| now.since(since) >= self.timing.suspect_ms;
        if !self.held && self.lease_until <= now && self.unheeded_since.is_some_and(long) {
            self.be_somebody_new();
        }
    }

    fn be_somebody_new(&mut self) {
        self.unheeded_since = None;
        if !seeded(Bug::SameIncarnation) {
            self.incarnation = self.incarnation.wrapping_add(1).max(1);
        }
    }

    fn ask(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let Some(leader) = self.leader.filter(|l| *l != self.me) else {
            return;
        };
        if now < self.ask_at {
            return;
        }
        // Not below the milliseconds since boot, so that a later life of this machine's daemon asks with greater numbers.
        let ask = self.next_ask.max(now.0);
        self.next_ask = ask + 1;
        self.asks.push_back((ask, now));
        while self.asks.len() > REMEMBERED {
            self.asks.pop_front();
        }
        self.ask_at = now.plus(self.timing.renew_ms);
        if !self.held {
            self.unheeded_since.get_or_insert(now);
        }
        if self.pledge.is_some_and(|pledge| pledge.lets_go) {
            self.lets_go_since = ask;
        }
        effects.push(Effect::Ask(
            leader,
            Renewal {
                term: self.term,
                node: self.me,
                incarnation: self.incarnation,
                ask,
                echo: self.echo,
                pledge: self.pledge,
            },
        ));
    }

    /// The leader's own lease, and its judgement of the others.
    fn reign_over(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let Some(reign) = &mut self.reign else { return };
        let moment = majority_moment(&self.voters, &reign.followed, self.me, now);
        let until = moment.map_or(Mono(0), |t| t.plus(self.timing.lease_ms));
        self.lease_until = self.lease_until.max(until);
        let majority = until > now;
        if majority != reign.majority {
            reign.majority = majority;
            effects.push(Effect::Majority(majority));
        }
        if !majority {
            return; // Who has no majority judges nobody.
        }
        if now >= self.lets_go_until && reign.myself != Some(self.incarnation) {
            reign.myself = Some(self.incarnation);
            let alive = PeerState::Alive {
                incarnation: self.incarnation,
            };
            effects.push(Effect::Peer(self.me, alive));
        }
        if reign.own_pledge != self.pledge {
            reign.own_pledge = self.pledge;
            effects.extend(self.pledge.map(|p| Effect::Pledged(self.me, p)));
        }
        for (id, peer) in &mut reign.peers {
            let silent = now.since(peer.heard);
            let patience = patience(&self.timing, &self.hung_up, *id);
            let stopped_by = stopped_by(&self.timing, peer);
            let state = if let Some(incarnation) = peer.life
                && (silent <= patience || seeded(Bug::NeverSuspect))
            {
                PeerState::Alive { incarnation }
            } else if silent <= patience {
                continue; // Not heard yet in this term, and not silent for long enough either.
            } else if now > stopped_by
                && (now > reign.since.plus(self.timing.lease_ms) || seeded(Bug::NoWaitForOldLeases))
            {
                PeerState::Expired
            } else {
                PeerState::Suspect {
                    heard: peer.ever_heard,
                }
            };
            if peer.state != Some(state) {
                peer.state = Some(state);
                effects.push(Effect::Peer(*id, state));
            }
        }
    }
}

/// How long a peer may be silent. A daemon that ended on a machine that is up gets the time of a restart.
fn patience(timing: &Timing, hung_up: &BTreeMap<NodeId, Mono>, id: NodeId) -> u64 {
    if hung_up.contains_key(&id) {
        timing.lease_ms
    } else {
        timing.suspect_ms
    }
}

/// When a silent peer has stopped what it ran, or was reset by its watchdog, with a margin for clocks that drift.
fn stopped_by(timing: &Timing, peer: &Peer) -> Mono {
    if seeded(Bug::StopDeadlineForgotten) {
        return peer.lease_bound;
    }
    let watchdog_ms = peer.pledge.map_or(0, |pledge| pledge.watchdog_ms);
    peer.lease_bound
        .plus(timing.drift_ms + timing.stop_deadline_ms.max(watchdog_ms))
}

/// The latest moment at which a majority of each set of voters is known to have followed this leader.
/// `None` while it is not known of enough voters.
fn majority_moment(
    voters: &[BTreeSet<NodeId>],
    followed: &BTreeMap<NodeId, Mono>,
    me: NodeId,
    now: Mono,
) -> Option<Mono> {
    let of_set = |set: &BTreeSet<NodeId>| {
        let moment = |v: &NodeId| {
            if *v == me {
                Some(now)
            } else {
                followed.get(v).copied()
            }
        };
        let mut moments: Vec<Mono> = set.iter().filter_map(moment).collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        moments.get(set.len() / 2).copied()
    };
    // Nobody's majority is no majority.
    let moments: Option<Vec<Mono>> = voters.iter().map(of_set).collect();
    moments?.into_iter().min()
}

#[cfg(test)]
mod tests;
