//! Every interleaving of two nodes up to a bound: the machine as it is, over a small model of raft, disks, fence devices
//! and wires. What may go wrong is counted (so many crashes, cuts, lost results, ...); everything else happens in any order.
//!
//! Looked at in each state:
//! - a sole voter that leads is the only one that runs anything, but for what it let its learner run itself;
//! - never are both sole voters, as their disks have it;
//! - whoever leads has every acknowledged write;
//! - when faults stop, both are back as voters with equal logs, and writes are acknowledged;
//! - a node that may fence its peer, and has it fenced, leads alone; so does a sole voter that starts.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use super::vocab::{Effect, Event, Phase, Place, Proof, Seat};
use super::{Hello, Machine, next_term};

/// How much may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    /// Nodes that lose their power, or die.
    pub(super) crashes: u8,
    /// One direction of the wire that is cut (two for a whole cable).
    pub(super) cuts: u8,
    /// Writes of clients.
    pub(super) writes: u8,
    /// Elections.
    pub(super) elections: u8,
    /// Shots at a peer.
    pub(super) shots: u8,
    /// Shots whose result is unknown; they may hit, at once, later or never.
    pub(super) lost_shots: u8,
    /// Shots at a peer that answers.
    pub(super) false_alarms: u8,
    /// Persons who vouch for a node being off. They tell the truth.
    pub(super) confirmations: u8,
    /// Nodes that are stopped as they should be.
    pub(super) leaves: u8,
    /// Elections that end with nothing but a newer term.
    pub(super) lost_votes: u8,
    /// States after which the search is given up.
    pub(super) states: usize,
}

impl Bound {
    /// Nothing happens.
    pub(super) const NONE: Self = Self {
        crashes: 0,
        cuts: 0,
        writes: 0,
        elections: 1,
        shots: 0,
        lost_shots: 0,
        false_alarms: 0,
        confirmations: 0,
        leaves: 0,
        lost_votes: 0,
        states: 20_000_000,
    };
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Different states that were looked at.
    pub(super) states: usize,
    /// Everything within the bound was looked at.
    pub(super) complete: bool,
    /// What is wrong, and the steps that lead there.
    pub(super) wrong: Option<(String, Vec<String>)>,
    /// Phases in which a node was seen.
    pub(super) phases: BTreeSet<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum What {
    Blank,
    Write(u8),
    Both,
    Sole(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    term: u8,
    what: What,
}

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Disk {
    Nothing,
    Proof,
    Decision,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    log: Vec<Entry>,
    /// How much of it is on disk. What a leader replicates may not be on its own disk yet; that matters for one entry only,
    /// the one by which a sole voter makes its peer a voter again.
    synced: usize,
    vote: u8,
    /// None while it is down.
    machine: Option<Machine>,
    life: u8,
    disk: Disk,
    leads: bool,
    /// It may run resources, because this node let it in this term.
    runs: Option<(usize, u8)>,
    /// The newest term that the peer named.
    peer_term: u8,
}

/// A fence device at work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shot {
    life: u8,
    number: u64,
    fired: bool,
    /// Nobody waits for its result any more.
    orphan: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    nodes: [Node; 2],
    /// Nothing gets from this node to the other.
    cut: [bool; 2],
    /// An answer on its way to this node: for which life, and what.
    answers: [Option<(u8, Hello)>; 2],
    shots: [Vec<Shot>; 2],
    acked: u8,
    written: u8,
    left: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Ask(usize),
    Answer(usize),
    Silent(usize),
    Fire(usize, usize),
    Hit(usize, usize),
    Unknown(usize, usize),
    Misses(usize, usize),
    Disk(usize),
    Sync(usize),
    Elect(usize),
    LostVote(usize),
    Write(usize),
    Replicate(usize),
    TakeIn(usize),
    Crash(usize),
    Boot(usize),
    Cut(usize),
    Heal(usize),
    Confirm(usize),
    Leave(usize),
}

/// Looks at everything within the bound, or until something is wrong.
pub(super) fn explore(bound: Bound) -> Report {
    let mut known: IndexSet<World> = IndexSet::new();
    let mut from: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut phases = BTreeSet::new();
    known.insert(World::new(bound));
    let mut at = 0;
    while let Some(world) = known.get_index(at).cloned() {
        phases.extend(world.nodes.iter().filter_map(Node::phase));
        let wrong = world.wrong().or_else(|| world.stuck());
        if let Some(wrong) = wrong {
            let mut steps = Vec::new();
            let mut back = at;
            while let (before, Some(step)) = from[back] {
                steps.push(format!("{step:?}"));
                back = before;
            }
            steps.reverse();
            return Report {
                states: known.len(),
                complete: false,
                wrong: Some((wrong, steps)),
                phases,
            };
        }
        if known.len() > bound.states {
            break;
        }
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            if known.insert(next) {
                from.push((at, Some(step)));
            }
        }
        at += 1;
    }
    Report {
        states: known.len(),
        complete: at == known.len(),
        wrong: None,
        phases,
    }
}

impl Node {
    fn phase(&self) -> Option<Phase> {
        self.machine.as_ref().map(Machine::phase)
    }

    fn up(&self) -> bool {
        self.machine.is_some()
    }

    fn open(&self) -> bool {
        self.machine.as_ref().is_some_and(Machine::open)
    }

    fn alone(&self) -> bool {
        self.phase() == Some(Phase::Alone)
    }

    fn last(&self) -> (u8, usize) {
        (self.log.last().map_or(0, |e| e.term), self.log.len())
    }

    fn writes(&self) -> u8 {
        writes(&self.log)
    }

    fn is_synced(&self) -> bool {
        self.synced == self.log.len()
    }

    fn config_on_disk(&self) -> What {
        let found = self.log[..self.synced]
            .iter()
            .rfind(|e| matches!(e.what, What::Both | What::Sole(_)));
        found.map_or(What::Both, |entry| entry.what)
    }

    /// What it says of itself.
    fn hello(&self) -> Option<Hello> {
        let hello = self.machine.as_ref()?.hello(u64::from(self.vote));
        let written = (self.config().1.index as usize) < self.synced;
        Some(if written { hello } else { hello.unwritten() })
    }

    /// The newest entry that says who votes.
    fn config(&self) -> (What, Place) {
        let found = self
            .log
            .iter()
            .enumerate()
            .rfind(|(_, e)| matches!(e.what, What::Both | What::Sole(_)));
        let (index, entry) = found.expect("the first entry is one");
        let place = Place {
            term: u64::from(entry.term),
            index: index as u64,
        };
        (entry.what, place)
    }
}

fn writes(log: &[Entry]) -> u8 {
    log.iter().fold(0, |all, entry| match entry.what {
        What::Write(number) => all | 1 << number,
        _ => all,
    })
}

impl World {
    /// Both are up, know each other and have a leader.
    fn new(left: Bound) -> Self {
        let node = || Node {
            log: vec![Entry {
                term: 1,
                what: What::Both,
            }],
            synced: 1,
            vote: 1,
            machine: None,
            life: 0,
            disk: Disk::Nothing,
            leads: false,
            runs: None,
            peer_term: 0,
        };
        let mut world = Self {
            nodes: [node(), node()],
            cut: [false; 2],
            answers: [None, None],
            shots: [Vec::new(), Vec::new()],
            acked: 0,
            written: 0,
            left,
        };
        for x in 0..2 {
            world.take(Step::Boot(x));
        }
        for x in 0..2 {
            world.take(Step::Ask(x));
            world.take(Step::Answer(x));
        }
        if world.can_elect(0) {
            world.take(Step::Elect(0));
        }
        world.take(Step::Replicate(0));
        world
    }

    fn wired(&self) -> bool {
        !self.cut[0] && !self.cut[1]
    }

    fn tell(&mut self, x: usize, event: Event) {
        let Some(machine) = &mut self.nodes[x].machine else {
            return;
        };
        let mut effects = Vec::new();
        // Only a confirmation can be refused, and then nothing follows.
        let _ = machine.step(event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Fence(number) => {
                    let life = self.nodes[x].life;
                    self.shots[x].push(Shot {
                        life,
                        number,
                        fired: false,
                        orphan: false,
                    });
                }
                Effect::WriteProof(_) => self.nodes[x].disk = Disk::Proof,
                Effect::GoOnAlone => self.nodes[x].disk = Disk::Decision,
                Effect::Say(_) => {}
            }
        }
    }

    fn reseat(&mut self, x: usize) {
        let (what, place) = self.nodes[x].config();
        let seat = match what {
            What::Sole(who) if who == x => Seat::Sole,
            What::Sole(_) => Seat::Outside,
            _ => Seat::Both,
        };
        self.tell(x, Event::Seated(seat, place));
    }

    fn crash(&mut self, x: usize) {
        let node = &mut self.nodes[x];
        node.log.truncate(node.synced);
        (node.machine, node.disk, node.leads, node.runs) = (None, Disk::Nothing, false, None);
        node.peer_term = 0;
        for shot in &mut self.shots[x] {
            shot.orphan = true;
        }
    }

    fn append(&mut self, x: usize, what: What) {
        let node = &mut self.nodes[x];
        let term = node.vote;
        let in_order = node.is_synced();
        node.log.push(Entry { term, what });
        if in_order {
            node.synced = node.log.len();
        }
    }

    /// The log with the newer end, for the one that asks for a vote.
    fn can_elect(&self, x: usize) -> bool {
        let (node, peer) = (&self.nodes[x], &self.nodes[1 - x]);
        if self.left.elections == 0 || !node.open() || node.leads {
            return false;
        }
        match node.config().0 {
            _ if node.alone() => true,
            What::Both => self.wired() && peer.open() && node.last() >= peer.last(),
            _ => false,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for x in 0..2 {
            let y = 1 - x;
            let (node, peer, left) = (&self.nodes[x], &self.nodes[y], &self.left);
            let mut may = |possible: bool, step: Step| {
                if possible {
                    steps.push(step);
                }
            };
            may(node.up() && peer.up() && !self.cut[x], Step::Ask(x));
            may(self.answers[x].is_some(), Step::Answer(x));
            let reached = self.wired() && peer.up() && peer.open();
            may(
                node.phase() == Some(Phase::Together)
                    && left.shots > 0
                    && (!reached || left.false_alarms > 0),
                Step::Silent(x),
            );
            for (at, shot) in self.shots[x].iter().enumerate() {
                may(!shot.fired, Step::Fire(x, at));
                may(shot.fired && !shot.orphan, Step::Hit(x, at));
                may(!shot.orphan && left.lost_shots > 0, Step::Unknown(x, at));
                may(shot.orphan, Step::Misses(x, at));
            }
            may(node.disk != Disk::Nothing, Step::Disk(x));
            may(!node.is_synced(), Step::Sync(x));
            may(self.can_elect(x), Step::Elect(x));
            may(
                left.lost_votes > 0 && node.open() && node.config().0 == What::Both,
                Step::LostVote(x),
            );
            may(left.writes > 0 && node.leads && node.open(), Step::Write(x));
            let reachable = node.leads && node.open() && peer.open() && self.wired();
            may(reachable && self.replicates(x), Step::Replicate(x));
            may(reachable && node.alone(), Step::TakeIn(x));
            may(node.up() && left.crashes > 0, Step::Crash(x));
            may(!node.up(), Step::Boot(x));
            may(!self.cut[x] && left.cuts > 0, Step::Cut(x));
            may(self.cut[x], Step::Heal(x));
            // The truth: the other one is off, and did not go on alone since this one was with it.
            let true_word = !peer.up() && peer.config().1 <= node.config().1;
            may(
                node.up() && left.confirmations > 0 && true_word,
                Step::Confirm(x),
            );
            may(node.up() && left.leaves > 0, Step::Leave(x));
        }
        steps
    }

    fn replicates(&self, x: usize) -> bool {
        let (node, peer) = (&self.nodes[x], &self.nodes[1 - x]);
        !node
            .log
            .iter()
            .map(|e| e.term)
            .eq(peer.log.iter().map(|e| e.term))
            || node.vote != peer.vote
            || peer.leads
            || peer.runs != node.runs
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Ask(x) => self.ask(x),
            Step::Answer(x) => {
                let Some((life, hello)) = self.answers[x].take() else {
                    return;
                };
                let node = &self.nodes[x];
                if node.up() && node.life == life && !self.cut[1 - x] {
                    self.nodes[x].peer_term = self.nodes[x].peer_term.max(hello.term as u8);
                    self.tell(x, Event::Answered(hello));
                }
            }
            Step::Silent(x) => {
                let peer = &self.nodes[1 - x];
                if self.wired() && peer.up() && peer.open() {
                    self.left.false_alarms -= 1;
                }
                self.left.shots = self.left.shots.saturating_sub(1);
                self.tell(x, Event::Silent);
            }
            Step::Fire(x, at) => {
                self.shots[x][at].fired = true;
                if self.shots[x][at].orphan {
                    self.shots[x].remove(at);
                }
                self.crash(1 - x);
            }
            Step::Hit(x, at) => {
                let shot = self.shots[x].remove(at);
                let result = Ok(Proof::Device("device".into()));
                let number = shot.number;
                self.tell(x, Event::Fenced { number, result });
            }
            Step::Unknown(x, at) => {
                self.left.lost_shots -= 1;
                let number = self.shots[x][at].number;
                self.shots[x][at].orphan = true;
                if self.shots[x][at].fired {
                    self.shots[x].remove(at);
                }
                let result = Err("no result".into());
                self.tell(x, Event::Fenced { number, result });
            }
            Step::Misses(x, at) => drop(self.shots[x].remove(at)),
            Step::Disk(x) => self.disk(x),
            Step::Sync(x) => self.nodes[x].synced = self.nodes[x].log.len(),
            Step::Elect(x) => self.elect(x),
            Step::LostVote(x) => {
                self.left.lost_votes -= 1;
                self.nodes[x].vote += 1;
                self.nodes[x].leads = false;
            }
            Step::Write(x) => {
                self.left.writes -= 1;
                let number = self.written;
                self.written += 1;
                self.append(x, What::Write(number));
                if self.nodes[x].alone() {
                    self.acked |= 1 << number;
                }
            }
            Step::Replicate(x) => self.replicate(x),
            Step::TakeIn(x) => {
                let before = self.nodes[x].synced;
                self.append(x, What::Both);
                self.nodes[x].synced = before;
                self.reseat(x);
            }
            Step::Crash(x) => {
                self.left.crashes -= 1;
                self.crash(x);
            }
            Step::Boot(x) => {
                let node = &mut self.nodes[x];
                node.life += 1;
                node.machine = Some(Machine::new(u64::from(node.life)));
                self.reseat(x);
            }
            Step::Cut(x) => {
                self.left.cuts -= 1;
                self.cut[x] = true;
            }
            Step::Heal(x) => self.cut[x] = false,
            Step::Confirm(x) => {
                self.left.confirmations -= 1;
                self.tell(x, Event::Confirmed("root".into()));
            }
            Step::Leave(x) => {
                self.left.leaves -= 1;
                self.nodes[x].runs = None;
                self.nodes[x].leads = false;
                self.tell(x, Event::Leave);
                if !self.cut[x] {
                    self.ask(x);
                }
                self.crash(x);
            }
        }
    }

    fn ask(&mut self, x: usize) {
        let y = 1 - x;
        let vote = self.nodes[x].vote;
        let (Some(question), true) = (self.nodes[x].hello(), self.nodes[y].up()) else {
            return;
        };
        let life = self.nodes[x].life;
        self.nodes[y].peer_term = self.nodes[y].peer_term.max(vote);
        self.tell(y, Event::Asked(question));
        self.answers[x] = self.nodes[y].hello().map(|hello| (life, hello));
    }

    fn disk(&mut self, x: usize) {
        match std::mem::replace(&mut self.nodes[x].disk, Disk::Nothing) {
            Disk::Nothing => {}
            Disk::Proof => self.tell(x, Event::ProofWritten),
            Disk::Decision => {
                let node = &mut self.nodes[x];
                node.vote = next_term(node.vote.into(), node.peer_term.into()) as u8;
                node.leads = false;
                node.synced = node.log.len();
                self.append(x, What::Sole(x));
                self.reseat(x);
            }
        }
    }

    fn elect(&mut self, x: usize) {
        self.left.elections -= 1;
        let y = 1 - x;
        if self.nodes[x].alone() {
            self.nodes[x].vote += 1;
        } else {
            let term = self.nodes[x].vote.max(self.nodes[y].vote) + 1;
            self.nodes[y].leads = false;
            (self.nodes[x].vote, self.nodes[y].vote) = (term, term);
        }
        self.nodes[x].leads = true;
        self.append(x, What::Blank);
        if self.nodes[x].alone() {
            self.nodes[x].runs = Some((x, self.nodes[x].vote));
        }
    }

    /// One entry further; what the other one has instead is dropped. Like raft, it takes entries of one term and
    /// place for the same.
    fn replicate(&mut self, x: usize) {
        let y = 1 - x;
        if self.nodes[y].vote > self.nodes[x].vote {
            self.nodes[x].vote = self.nodes[y].vote;
            self.nodes[x].leads = false;
            return;
        }
        let mine = self.nodes[x].log.clone();
        let node = &self.nodes[x];
        let (term, both) = (node.vote, node.config().0 == What::Both && node.is_synced());
        let peer = &mut self.nodes[y];
        (peer.vote, peer.leads) = (term, false);
        let same = mine
            .iter()
            .zip(&peer.log)
            .take_while(|(a, b)| a.term == b.term)
            .count();
        peer.log.truncate(same);
        if let Some(next) = mine.get(same) {
            peer.log.push(*next);
        }
        peer.synced = peer.log.len();
        let held = peer.log.clone();
        self.reseat(y);
        if both && held.last().is_some_and(|entry| entry.term == term) {
            self.acked |= writes(&held);
        }
        self.nodes[x].runs = Some((x, term));
        self.nodes[y].runs = Some((x, term));
    }

    /// What must never be so.
    fn wrong(&self) -> Option<String> {
        // Whoever is up: the other one goes on as soon as it starts.
        let sole = |x: usize| self.nodes[x].config_on_disk() == What::Sole(x);
        if sole(0) && sole(1) {
            return Some("both are sole voters, as their disks have it".into());
        }
        for x in 0..2 {
            let (node, peer) = (&self.nodes[x], &self.nodes[1 - x]);
            if !node.leads || !node.open() {
                continue;
            }
            if node.writes() & self.acked != self.acked {
                return Some(format!("node {x} leads and lacks an acknowledged write"));
            }
            if !node.alone() {
                continue;
            }
            if peer.leads && peer.alone() {
                return Some("both lead alone".into());
            }
            let since = node.config().1.term;
            match peer.runs {
                Some((by, term)) if by != x || u64::from(term) < since => {
                    return Some(format!(
                        "node {x} acts alone, and its peer still runs things"
                    ));
                }
                _ => {}
            }
        }
        None
    }

    /// What must come to an end.
    fn stuck(&self) -> Option<String> {
        for x in 0..2 {
            let node = &self.nodes[x];
            let may_fence = node.phase() == Some(Phase::Together) && self.shots[x].is_empty();
            let sole = !node.up() && node.config().0 == What::Sole(x);
            if !may_fence && !sole {
                continue;
            }
            let mut world = self.clone();
            world.left.elections = 2;
            world.crash(1 - x);
            if sole {
                world.take(Step::Boot(x));
            } else {
                for step in [Step::Silent(x), Step::Fire(x, 0), Step::Hit(x, 0)] {
                    world.take(step);
                }
                world.take(Step::Disk(x));
                world.take(Step::Disk(x));
            }
            if world.can_elect(x) {
                world.take(Step::Elect(x));
            }
            if !world.nodes[x].leads || !world.nodes[x].alone() {
                return Some(format!("node {x} does not get on without its dead peer"));
            }
        }
        let mut world = self.clone();
        world.left.elections = 20;
        world.left.writes = 0;
        world.cut = [false; 2];
        for x in 0..2 {
            if !world.nodes[x].up() {
                world.take(Step::Boot(x));
            }
            let orphans: Vec<Shot> = world.shots[x].drain(..).filter(|s| !s.orphan).collect();
            for shot in orphans {
                let (number, result) = (shot.number, Err("no result".into()));
                world.tell(x, Event::Fenced { number, result });
            }
        }
        for _ in 0..30 {
            if world.settled() {
                return None;
            }
            world.fair_round();
        }
        Some(format!(
            "faults have stopped, and it does not settle: {world:?}"
        ))
    }

    fn settled(&self) -> bool {
        let [a, b] = &self.nodes;
        let together = |node: &Node| node.phase() == Some(Phase::Together);
        together(a) && together(b) && a.log == b.log && (a.leads || b.leads) && a.vote == b.vote
    }

    fn fair_round(&mut self) {
        for x in 0..2 {
            self.take(Step::Ask(x));
            self.take(Step::Answer(x));
            self.take(Step::Disk(x));
            self.take(Step::Sync(x));
        }
        for x in 0..2 {
            let led = self.nodes.iter().any(|n| n.leads && n.open());
            if !led && self.can_elect(x) {
                self.take(Step::Elect(x));
            }
            let (node, peer) = (&self.nodes[x], &self.nodes[1 - x]);
            if node.leads && node.open() && peer.open() {
                if node.alone() && peer.log == node.log {
                    self.take(Step::TakeIn(x));
                }
                self.take(Step::Replicate(x));
            }
        }
    }
}
