//! Members of a small world, each with a disk and a log that lags behind, which crash between any two steps. After each step
//! everybody who is up must be able to talk to everybody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::raft::{ClusterChange, Credential, Member, MemberRole, apply_for_tests};

const DAY_S: i64 = 86_400;

struct Node {
    /// Survives a crash.
    disk: Own,
    /// How much of the log it has applied.
    applied: usize,
    /// What it shows on connections that are open; the certificate before is closed only with [`World::settle`].
    shown: Vec<Facts>,
    asked: bool,
}

struct World {
    nodes: BTreeMap<NodeId, Node>,
    log: Vec<KeyChange>,
    /// The state after each entry of the log, the beginning included.
    states: Vec<State>,
    /// Authorities by whom each certificate was signed.
    issuers: BTreeMap<String, String>,
    dice: u64,
    now_s: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut state = State::default();
        let member = |id: u32| Member {
            id: NodeId(id),
            name: format!("n{id}").as_str().into(),
            addresses: Vec::new(),
            role: match id {
                3 => MemberRole::Witness,
                _ => MemberRole::Voter,
            },
            key: String::new(),
        };
        state.members = Arc::new((1..=3).map(|id| (NodeId(id), member(id))).collect());
        let mut world = Self {
            nodes: BTreeMap::new(),
            log: Vec::new(),
            states: vec![state],
            issuers: BTreeMap::new(),
            dice: seed * 2 + 1,
            now_s: 0,
        };
        for id in (1..=3).map(NodeId) {
            let mut disk = Own {
                trusted: ["a".to_owned()].into(),
                ..Own::default()
            };
            if id != NodeId(3) {
                disk.keys.insert("a".into());
            }
            world.sign(id, &mut disk, "a");
            let shown = vec![disk.facts.clone()];
            let node = Node {
                disk,
                applied: 0,
                shown,
                asked: false,
            };
            world.nodes.insert(id, node);
        }
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % bound
    }

    fn sign(&mut self, id: NodeId, disk: &mut Own, authority: &str) {
        disk.facts = Facts {
            node: Some(id),
            generation: disk.facts.generation + 1,
            key: format!("key {} of {id}", disk.facts.generation + 1),
            until_s: self.now_s + 90 * DAY_S,
        };
        disk.issuer = Some(authority.to_owned());
        self.issuers
            .insert(disk.facts.key.clone(), authority.to_owned());
    }

    fn write(&mut self, change: KeyChange) {
        let mut state = self.states.last().expect("the beginning").clone();
        // Refused or not, it is in the log.
        let _ = apply_for_tests(&mut state, &ClusterChange::Keys(change.clone()));
        self.log.push(change);
        self.states.push(state);
    }

    /// One step of one node, which may crash after it before anything else.
    fn step(&mut self, id: NodeId) {
        let behind = self.states.len() - 1 - self.nodes[&id].applied;
        let steps = self.below(behind as u64 + 1) as usize;
        self.nodes.get_mut(&id).expect("there").applied += steps;
        let node = &self.nodes[&id];
        let state = self.states[node.applied].clone();
        let leads = id == NodeId(1);
        let due = due(id, &node.disk, &state, leads, node.asked, self.now_s, 90);
        let count = due.len() as u64;
        if count == 0 {
            return;
        }
        // The shell takes them in order; a crash, or a failure, is a shorter list or one with holes.
        let chosen = self.below(count) as usize;
        match due[chosen].clone() {
            Step::Trust(all) => {
                let disk = &mut self.nodes.get_mut(&id).expect("there").disk;
                disk.trusted = all.iter().map(|it| it.fingerprint.clone()).collect();
                disk.keys.retain(|key| disk.trusted.contains(key));
                let trusted = disk.trusted.clone();
                let issuer = self.issuers.get(&disk.facts.key).cloned();
                disk.issuer = issuer.filter(|it| trusted.contains(it));
            }
            Step::Renew(authority) => {
                let holder = self
                    .nodes
                    .values()
                    .any(|it| it.disk.keys.contains(&authority));
                if holder {
                    let mut disk = self.nodes[&id].disk.clone();
                    self.sign(id, &mut disk, &authority);
                    let node = self.nodes.get_mut(&id).expect("there");
                    node.shown.push(disk.facts.clone());
                    node.disk = disk;
                    node.asked = false;
                }
            }
            Step::Say(change @ KeyChange::Uses { .. }) => {
                // The shell says so once nothing that is open shows an older one; a restart does the same.
                self.settle(id);
                self.write(change);
            }
            Step::Say(change) => self.write(change),
            Step::Fetch(authority) => {
                let holder = self
                    .nodes
                    .values()
                    .any(|it| it.disk.keys.contains(&authority));
                if holder {
                    let disk = &mut self.nodes.get_mut(&id).expect("there").disk;
                    disk.keys.insert(authority);
                }
            }
        }
    }

    fn settle(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("there");
        node.shown = vec![node.disk.facts.clone()];
    }

    /// Everybody believes whatever anybody shows.
    fn all_can_talk(&self, seed: u64) {
        for (to, other) in &self.nodes {
            let floors: BTreeMap<NodeId, Credential> =
                (*self.states[other.applied].credentials).clone();
            for (from, node) in &self.nodes {
                for facts in node.shown.iter().chain([&node.disk.facts]) {
                    let issuer = &self.issuers[&facts.key];
                    assert!(
                        other.disk.trusted.contains(issuer),
                        "seed {seed}: {to} does not believe {issuer}, which signed what {from} shows"
                    );
                    let floor = floors.get(from).map_or(0, |it| it.generation);
                    assert!(
                        facts.generation >= floor,
                        "seed {seed}: {to} refuses generation {} of {from}",
                        facts.generation
                    );
                }
            }
        }
    }

    fn run(&mut self, seed: u64, steps: usize) {
        for _ in 0..steps {
            let id = NodeId(1 + self.below(3) as u32);
            if self.below(10) == 0 {
                self.settle(id); // A crash, and a start.
            }
            self.step(id);
            self.all_can_talk(seed);
        }
    }

    fn is_quiet(&self) -> bool {
        self.nodes.iter().all(|(id, node)| {
            let newest = self.states.last().expect("the beginning");
            let due = due(*id, &node.disk, newest, true, node.asked, self.now_s, 90);
            node.applied + 1 == self.states.len() && due.is_empty()
        })
    }

    fn until_quiet(&mut self, seed: u64) {
        for _ in 0..200 {
            if self.is_quiet() {
                return;
            }
            self.run(seed, 10);
        }
        panic!("seed {seed}: it never settles");
    }
}

#[test]
fn whoever_crashes_between_any_two_steps_all_can_talk_and_in_the_end_all_is_new() {
    for seed in 1..=300 {
        let mut world = World::new(seed);
        world.run(seed, 5);
        for (authority, before) in [("b", "a"), ("c", "b")] {
            world
                .nodes
                .get_mut(&NodeId(1))
                .expect("there")
                .disk
                .keys
                .insert(authority.into());
            let record = |it: &str| AuthorityRecord {
                fingerprint: it.into(),
                pem: String::new(),
            };
            world.write(KeyChange::AddAuthority {
                present: record(before),
                new: record(authority),
            });
            world.nodes.get_mut(&NodeId(2)).expect("there").asked = true;
            world.until_quiet(seed);
            for (id, node) in &world.nodes {
                assert_eq!(node.disk.issuer.as_deref(), Some(authority), "{id}");
                assert_eq!(node.disk.trusted, [authority.to_owned()].into(), "{id}");
                let witness = *id == NodeId(3);
                assert_eq!(node.disk.keys.contains(authority), !witness, "{id}");
            }
        }
    }
}

#[test]
fn a_certificate_is_renewed_when_a_third_is_left() {
    let mut world = World::new(1);
    world.until_quiet(1);
    let generations = |world: &World| -> Vec<u64> {
        let nodes = world.nodes.values();
        nodes.map(|node| node.disk.facts.generation).collect()
    };
    let before = generations(&world);
    world.now_s = 59 * DAY_S;
    assert!(world.is_quiet(), "more than a third is left");
    world.now_s = 61 * DAY_S;
    world.until_quiet(1);
    let after = generations(&world);
    assert!(
        after
            .iter()
            .zip(&before)
            .all(|(after, before)| *after == before + 1)
    );
    let floors = &world.states.last().expect("the beginning").credentials;
    let floors: Vec<u64> = floors.values().map(|it| it.generation).collect();
    assert_eq!(floors, after, "the ones before are refused");
    // Certificates for good are left alone.
    let own = world.nodes[&NodeId(1)].disk.clone();
    let state = world.states.last().expect("the beginning");
    assert_eq!(
        due(NodeId(1), &own, state, true, false, i64::MAX / 2, 0),
        []
    );
}

#[test]
fn a_remote_node_gets_another_certificate_in_time_and_with_a_new_authority() {
    let shown = |issuer: &str, until_s| Shown {
        issuer: Some(issuer.to_owned()),
        until_s,
    };
    let mut world = World::new(1);
    let state = world.states.last().expect("the beginning").clone();
    let due = |shown: &Shown, state: &State| remote_is_due(shown, state, 0, 90);
    assert!(!due(&shown("a", 31 * DAY_S), &state), "one authority");
    assert!(due(&shown("a", 29 * DAY_S), &state), "it ends");
    assert!(
        !remote_is_due(&shown("a", DAY_S), &state, 0, 0),
        "certificates that do not end are wanted"
    );
    let record = |name: &str| AuthorityRecord {
        fingerprint: name.to_owned(),
        pem: name.to_owned(),
    };
    world.write(KeyChange::AddAuthority {
        present: record("a"),
        new: record("b"),
    });
    let adding = world.states.last().expect("written").clone();
    assert!(!due(&shown("a", 90 * DAY_S), &adding), "not all trust it");
    assert!(!due(&shown("b", 90 * DAY_S), &adding), "it is the newest");
    for id in (1..=3).map(NodeId) {
        let authorities = ["a".to_owned(), "b".to_owned()].into();
        world.write(KeyChange::Trusts { id, authorities });
    }
    let all_trust = world.states.last().expect("written").clone();
    assert!(due(&shown("a", 90 * DAY_S), &all_trust));
    assert!(!due(&shown("b", 90 * DAY_S), &all_trust));
}
