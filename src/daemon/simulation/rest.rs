//! The cluster at rest: whether it is, and what must hold then.

use std::collections::BTreeSet;

use super::client::{COUNTER, counts};
use super::world::World;
use crate::coordinator::Authority;
use crate::policy;
use crate::raft::two_node::Phase;

impl World {
    /// All nodes but one that is not to come back.
    fn living(&self) -> impl Iterator<Item = &super::node::Node> {
        let living = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(n, _)| !self.is_gone(*n));
        living.map(|(_, node)| node)
    }

    /// Why the cluster is not at rest, if it is not.
    pub(super) fn unsettled(&self) -> Option<String> {
        let leaders: Vec<_> = (0..self.nodes.len())
            .filter(|n| {
                self.nodes[*n].up && matches!(self.nodes[*n].authority, Authority::Leader(_))
            })
            .collect();
        let [leader] = leaders[..] else {
            return Some(format!("L1: {} nodes coordinate", leaders.len()));
        };
        for node in self.living() {
            if !node.up || node.knowledge.held != Some(true) {
                return Some(format!("L1: {} holds no lease", node.name));
            }
            let phase = node.two_node.as_ref().map(|two| two.phase());
            let wanted = match self.gone {
                Some(_) => Phase::Alone,
                None => Phase::Together,
            };
            if phase.is_some_and(|phase| phase != wanted) {
                return Some(format!("L1: {} is {phase:?}, not {wanted:?}", node.name));
            }
        }
        if !self.operator_is_done(leader) {
            return Some("L4: what the operator takes back is not taken back".into());
        }
        if self.nodes[leader].coordinator.picture().busy {
            let flight = self.nodes[leader].coordinator.picture().in_flight;
            return Some(format!(
                "L2: {} is not done: {flight:?}",
                self.nodes[leader].name
            ));
        }
        for rsc in self.scenario.singles() {
            let on = self.checks.nodes_of(&rsc).len();
            if on != 1 {
                return Some(format!("L2: {rsc} is active {on} times"));
            }
        }
        if self.scenario.stateful {
            let on: Vec<_> = self
                .checks
                .active
                .iter()
                .filter(|((r, _), _)| r == "db")
                .collect();
            let promoted = on.iter().filter(|(_, p)| **p).count();
            let hosts = self.scenario.hosts();
            let hosts = self.living().filter(|node| node.id.0 <= hosts).count();
            if on.len() != hosts || promoted != 1 {
                return Some(format!(
                    "L2: db is active {} times, promoted {promoted} times",
                    on.len()
                ));
            }
        }
        None
    }

    /// S5, S6 and L2, when all is quiet.
    pub(super) fn check_end(&mut self) -> Option<String> {
        let any = self.living().next()?;
        let longest = self.living().map(|n| n.applied).max()?;
        if let Some(node) = self.living().find(|n| n.applied != longest) {
            return Some(format!(
                "L2: {} has not applied what others have",
                node.name
            ));
        }
        for node in self.living() {
            if let Some((id, _)) = node.open.iter().next() {
                return Some(format!("L4: {} waits for the answer to {id:?}", node.name));
            }
            if !node.deliveries.is_empty() || !node.unwritten.is_empty() {
                return Some(format!(
                    "L5: {} keeps orders or reports for ever",
                    node.name
                ));
            }
        }
        for node in self.living() {
            let log = node.raft.log.iter().filter_map(|e| e.write.as_ref());
            let seen: BTreeSet<_> = log.map(|write| (write.client, write.seq)).collect();
            if let Some(lost) = self
                .checks
                .acknowledged
                .keys()
                .find(|id| !seen.contains(id))
            {
                return Some(format!(
                    "S5: {} has lost the acknowledged write {lost:?}",
                    node.name
                ));
            }
        }
        let log = any.raft.log.iter();
        let counted: BTreeSet<_> = log
            .filter_map(|entry| entry.write.as_ref())
            .filter(|write| counts(&write.command))
            .map(|write| (write.client, write.seq))
            .collect();
        let root = any.state.root();
        let value = root.descendants().find(|e| e.id() == Some(COUNTER));
        let value = value.and_then(|pair| pair.get("value")).unwrap_or("0");
        if value != counted.len().to_string() {
            return Some(format!(
                "S5: {} writes that add one are in the log, and they came to {value}",
                counted.len()
            ));
        }
        let digest = any.state.digest();
        if let Some(node) = self.living().find(|n| n.state.digest() != digest) {
            return Some(format!("S6: {} has another document in the end", node.name));
        }
        let input = policy::Input {
            causes: false,
            ..policy::Input::at(self.wall_s())
        };
        let (one, two) = (
            policy::schedule(any.state.root(), &input),
            policy::schedule(any.state.root(), &input),
        );
        if one.graph != two.graph {
            return Some("S11: the policy answers the same question differently".into());
        }
        if !one.graph.is_empty() {
            let wanted = one.graph.synapses.iter().map(|s| s.action.told());
            let wanted: Vec<String> = wanted.collect();
            return Some(format!(
                "L2: at rest, but the policy still wants {}",
                wanted.join(", ")
            ));
        }
        None
    }
}
