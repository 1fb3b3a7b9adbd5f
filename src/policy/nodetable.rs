//! The allowed-node table A(r) of one resource (spec 2 §2.3): node -> score, probe mode, count.
//!
//! Dense: one slot per node of the cluster, empty where the node was never mentioned for this resource
//! (such a node can't be chosen, and isn't printed).

use super::index::{Idx, NodeIdx};
use crate::terms::Score;

/// Where a resource may be probed (spec 2 §2.1). Ordered: a constraint only ever raises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Discovery {
    /// Probed everywhere.
    #[default]
    Always,
    /// Never probed there.
    Never,
    /// Probed only where this mode is set.
    Exclusive,
}

/// One entry of A(r).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How much the resource wants this node.
    pub score: Score,
    /// Whether the resource is probed there.
    pub discovery: Discovery,
    /// Instances assigned there, for clones and bundles (spec 2 §13.4).
    pub count: u32,
}

/// The table. Iteration is in order of node index; sort by `Facts::node_order` where order shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeTable {
    slots: Vec<Option<Entry>>,
}

impl NodeTable {
    /// A table without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry for a node, if the node was ever mentioned.
    #[must_use]
    pub fn get(&self, node: NodeIdx) -> Option<&Entry> {
        self.slots.get(node.to_usize()).and_then(Option::as_ref)
    }

    /// The entry for a node, to change it.
    pub fn get_mut(&mut self, node: NodeIdx) -> Option<&mut Entry> {
        self.slots.get_mut(node.to_usize()).and_then(Option::as_mut)
    }

    /// The score for a node, if the node was ever mentioned.
    #[must_use]
    pub fn score(&self, node: NodeIdx) -> Option<Score> {
        self.get(node).map(|entry| entry.score)
    }

    /// Whether the node was mentioned.
    #[must_use]
    pub fn contains(&self, node: NodeIdx) -> bool {
        self.get(node).is_some()
    }

    /// Sets the whole entry.
    pub fn insert(&mut self, node: NodeIdx, entry: Entry) {
        *self.slot(node) = Some(entry);
    }

    /// Forgets the node.
    pub fn remove(&mut self, node: NodeIdx) -> Option<Entry> {
        self.slots.get_mut(node.to_usize()).and_then(Option::take)
    }

    /// The entry, made with `score` and `discovery` if missing (spec 2 §2.3 "copy of the node").
    pub fn or_insert(&mut self, node: NodeIdx, score: Score, discovery: Discovery) -> &mut Entry {
        self.slot(node).get_or_insert(Entry {
            score,
            discovery,
            count: 0,
        })
    }

    /// Entries in order of node index.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIdx, &Entry)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| slot.as_ref().map(|entry| (NodeIdx::from_usize(at), entry)))
    }

    /// Entries in order of node index, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (NodeIdx, &mut Entry)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(at, slot)| slot.as_mut().map(|entry| (NodeIdx::from_usize(at), entry)))
    }

    /// How many nodes are mentioned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Whether no node is mentioned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Forgets every node.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    fn slot(&mut self, node: NodeIdx) -> &mut Option<Entry> {
        let at = node.to_usize();
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        &mut self.slots[at]
    }
}
