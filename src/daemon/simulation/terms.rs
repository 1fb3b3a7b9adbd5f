//! What must hold of terms and lives: who may lead, who may order, and for how long an order is good. All of it by what
//! was really said and done, in the order in which it was.

use std::collections::{BTreeMap, BTreeSet};

use super::raft::Msg;
use super::world::World;
use crate::coordinator::Authority;
use crate::executor;
use crate::terms::{NodeName, Term};

/// An order for an executor: for which node, resource and task, of which term, and given in which life of the node.
#[derive(Debug)]
pub(super) struct Asked {
    place: (usize, String, String),
    term: u64,
    life: u64,
}

/// What has been seen of terms and lives.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Who leads in each term.
    leaders: BTreeMap<u64, usize>,
    /// When each node last led.
    led_at: BTreeMap<usize, u64>,
    /// The newest term that each node has spoken in.
    spoken: BTreeMap<usize, u64>,
    /// In which life its node was when an order was given, by the order's name.
    given: BTreeMap<String, u64>,
    /// Term and life of orders that were taken and have not begun, by node, resource and task.
    taken: BTreeMap<(usize, String, String), (u64, u64)>,
    /// The newest term of a node that began a start.
    pub(super) newest_start: u64,
    /// The newest term in which fencing of each node was ordered.
    fencing: BTreeMap<usize, u64>,
    /// Whom each coordinator has had fenced since it has its authority.
    asked_for: BTreeSet<(usize, usize)>,
    /// Deaths that a coordinator was told of: who was told, and of whose life.
    told_dead: BTreeMap<(usize, usize), u64>,
    /// The incarnation in which a node lived last, as another's coordinator was told.
    heard: BTreeMap<(usize, usize), u64>,
    /// Entries in the longest log, and when that was.
    log: (usize, u64),
}

/// So long after the last change in the network everybody knows who leads.
const CALM_MS: u64 = 1_500;
/// A log does not grow by more than this in ten seconds.
const MOST_ENTRIES: usize = 4_000;

impl World {
    /// S7: nobody speaks in an older term than before, whatever it has lost in between.
    pub(super) fn check_spoken(&mut self, n: usize, msg: &Msg) {
        let spoken = self.checks.terms.spoken.entry(n).or_default();
        let (before, now) = (*spoken, msg.term());
        *spoken = before.max(now);
        if now < before {
            self.checks.violated(format!(
                "S7: h{} speaks in term {now} at {}, and has spoken in term {before}",
                n + 1,
                self.now
            ));
        }
    }

    /// S7: a term has one leader. L1: a leader that a majority hears is not deposed. S5: what is committed stays in the log.
    pub(super) fn check_leader(&mut self, n: usize) {
        let raft = &self.nodes[n].raft;
        if raft.log.len() < raft.commit {
            let (have, commit) = (raft.log.len(), raft.commit);
            self.checks.violated(format!(
                "S5: h{} has {have} entries, of which {commit} were committed",
                n + 1
            ));
        }
        let Some(term) = raft.reigns() else { return };
        let terms = &mut self.checks.terms;
        let before = terms.leaders.range(..term).next_back();
        let before = before.map(|(_, leader)| *leader);
        let led_at = before.and_then(|before| terms.led_at.get(&before).copied());
        let new = !terms.leaders.contains_key(&term);
        let leader = *terms.leaders.entry(term).or_insert(n);
        terms.led_at.insert(n, self.now);
        if leader != n {
            self.checks.violated(format!(
                "S7: h{} and h{} both lead in term {term}",
                leader + 1,
                n + 1
            ));
        } else if let (true, Some(before), Some(led_at)) = (new, before, led_at) {
            self.check_deposed((before, led_at), n, term);
        }
    }

    /// The node that led before, and when it last did: perhaps the same one.
    fn check_deposed(&mut self, (before, led_at): (usize, u64), n: usize, term: u64) {
        let now = self.now;
        // What a change in the network does to a leader is done by then.
        let calm = |since: u64| since + CALM_MS < led_at;
        let all_calm = self.faults.network_is_well(led_at)
            && calm(self.faults.changed_at)
            && (self.nodes.iter()).all(|node| calm(node.paused_until));
        // Of two, the one that led goes on in a new term without its peer.
        if all_calm
            && !self.scenario.two_node
            && now < led_at + CALM_MS
            && self.reaches_majority(before)
        {
            self.checks.violated(format!(
                "L1: h{} leads in term {term} at {now}, but nothing was wrong with h{}",
                n + 1,
                before + 1
            ));
        }
    }

    /// Whether a node can talk to more than half of the voters, itself among them.
    pub(super) fn reaches_majority(&self, n: usize) -> bool {
        let voters = self.nodes[n].raft.voters();
        let reached = voters.iter().map(|id| id.0 as usize - 1);
        let reached = reached.filter(|m| *m == n || self.reaches(n, *m));
        reached.count() > voters.len() / 2
    }

    /// L5: nothing grows for ever.
    pub(super) fn check_growth(&mut self) {
        let longest = self.nodes.iter().map(|node| node.raft.log.len()).max();
        let longest = longest.unwrap_or(0);
        let (len, at) = self.checks.terms.log;
        if longest > len + MOST_ENTRIES {
            self.checks.violated(format!(
                "L5: the log has grown by {} entries since {at}",
                longest - len
            ));
        }
        if self.now >= at + 10_000 {
            self.checks.terms.log = (longest, self.now);
        }
    }

    /// A coordinator gives an order.
    pub(super) fn given(&mut self, to: usize, command: &executor::Command) {
        if let executor::Command::Execute(order) = command {
            let life = self.nodes[to].life;
            let name = order.key.to_string();
            self.checks.terms.given.insert(name, life);
        }
    }

    /// What an executor is asked to do, once.
    pub(super) fn asked(&self, n: usize, event: &executor::Event) -> Option<Asked> {
        let executor::Event::Command(command) = event else {
            return None;
        };
        let executor::Command::Execute(order) = &**command else {
            return None;
        };
        let life = self.checks.terms.given.get(&order.key.to_string())?;
        (order.op.interval_ms == 0).then(|| Asked {
            place: (n, order.op.rsc.to_string(), order.op.task.clone()),
            term: order.term.0,
            life: *life,
        })
    }

    /// It has not refused.
    pub(super) fn taken(&mut self, asked: Asked) {
        let (term, life) = (asked.term, asked.life);
        // Of two, the better excuse counts.
        let have = self.checks.terms.taken.entry(asked.place);
        let have = have.or_insert((term, life));
        *have = (have.0.max(term), have.1.max(life));
    }

    /// S7 and S10: what begins was ordered by no deposed coordinator, and not to an earlier life of its node.
    pub(super) fn check_order(&mut self, n: usize, rsc: &str, task: &str) {
        let key = (n, rsc.to_owned(), task.to_owned());
        let Some((term, life)) = self.checks.terms.taken.remove(&key) else {
            return;
        };
        let (newest, now) = (self.checks.terms.newest_start, self.now);
        // Alone, a node goes by its own orders.
        if term < newest && !self.nodes[n].overlay {
            self.checks.violated(format!(
                "S7: h{} begins {task} {rsc} at {now} on an order of term {}, after a node did so in term {newest}",
                n + 1,
                term
            ));
        }
        if life < self.nodes[n].life {
            self.checks.violated(format!(
                "S10: h{} begins {task} {rsc} at {now}, which an earlier life of it was told",
                n + 1
            ));
        }
    }

    /// A coordinator's order to fence a node is on its way.
    pub(super) fn fencing_ordered(&mut self, term: Term, target: &NodeName) {
        if let Some(victim) = self.nodes.iter().position(|m| m.name == *target) {
            let newest = self.checks.terms.fencing.entry(victim).or_default();
            *newest = (*newest).max(term.0);
        }
    }

    /// A coordinator wants a node fenced. S4: not one of whose death it was told, and which has not lived since.
    pub(super) fn fencing_decided(&mut self, n: usize, target: &NodeName) {
        let Some(victim) = self.nodes.iter().position(|m| m.name == *target) else {
            return;
        };
        self.checks.terms.asked_for.insert((n, victim));
        let told = self.checks.terms.told_dead.get(&(n, victim)).copied();
        if told == Some(self.nodes[victim].life) && !self.nodes[victim].powered {
            self.checks.violated(format!(
                "S4: h{} has {target} fenced at {}, and was told of its death before",
                n + 1,
                self.now
            ));
        }
    }

    /// A coordinator is told that a node is dead, and it is. What an earlier reign of it asked for is not its own.
    pub(super) fn told_dead(&mut self, n: usize, target: &NodeName) {
        let leads = matches!(self.nodes[n].authority, Authority::Leader(_));
        let asked_for = &self.checks.terms.asked_for;
        if let Some(victim) = self.nodes.iter().position(|m| m.name == *target)
            && !self.nodes[victim].powered
            && leads
            && asked_for.contains(&(n, victim))
        {
            let life = self.nodes[victim].life;
            self.checks.terms.told_dead.insert((n, victim), life);
        }
    }

    /// What a coordinator was told it has forgotten with its authority, and in which life it heard others: what came before
    /// says nothing about what its reign knows.
    pub(super) fn forgets_deaths(&mut self, n: usize) {
        self.checks.terms.heard.retain(|(m, _), _| *m != n);
        self.checks.terms.told_dead.retain(|(m, _), _| *m != n);
        self.checks.terms.asked_for.retain(|(m, _)| *m != n);
    }

    /// A coordinator is told that a node lives. The last words of a life that nobody had heard of may come after its death.
    pub(super) fn heard_life(&mut self, n: usize, from: usize, incarnation: u64) {
        let terms = &mut self.checks.terms;
        if terms.heard.insert((n, from), incarnation) != Some(incarnation) {
            terms.told_dead.remove(&(n, from));
            // Whether the shot that is under way hits the new life nobody can say.
            terms.asked_for.remove(&(n, from));
        }
    }

    /// S4: a device works only for whoever coordinates now.
    pub(super) fn check_shot(&mut self, n: usize, victim: usize) {
        if self.scenario.two_node {
            return; // No term gives that right there, but having met the peer: see `check_sole`.
        }
        let newest = self.checks.terms.newest_start;
        let knows = self.nodes[n].raft.term;
        let ordered = self.checks.terms.fencing.get(&victim).copied();
        let term = knows.min(ordered.unwrap_or(0));
        if term < newest {
            self.checks.violated(format!(
                "S4: h{} fences h{} at {} in term {term}, after something was started in term {newest}",
                n + 1,
                victim + 1,
                self.now
            ));
        }
    }
}
