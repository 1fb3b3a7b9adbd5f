//! A set of nodes, as bits: most clusters have fewer than 64, and a set is as small as a number then.

use super::index::{Idx, NodeIdx};

/// The set. Iteration is in order of node index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeSet {
    first: u64,
    /// Nodes from 64 on.
    more: Vec<u64>,
}

impl NodeSet {
    const BITS: usize = u64::BITS as usize;

    /// Adds a node.
    pub fn insert(&mut self, node: NodeIdx) {
        let (word, bit) = Self::place(node);
        let word = match word.checked_sub(1) {
            None => &mut self.first,
            Some(at) => {
                if self.more.len() <= at {
                    self.more.resize(at + 1, 0);
                }
                &mut self.more[at]
            }
        };
        *word |= bit;
    }

    /// Keeps only what is in the other one, too.
    pub fn keep(&mut self, other: &Self) {
        self.first &= other.first;
        self.more.truncate(other.more.len());
        for (word, theirs) in self.more.iter_mut().zip(&other.more) {
            *word &= theirs;
        }
    }

    /// Whether the node is in it.
    #[must_use]
    pub fn contains(&self, node: NodeIdx) -> bool {
        let (word, bit) = Self::place(node);
        let word = match word.checked_sub(1) {
            None => self.first,
            Some(at) => self.more.get(at).copied().unwrap_or(0),
        };
        word & bit != 0
    }

    /// Whether no node is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.more.iter().all(|word| *word == 0)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = NodeIdx> {
        let all = Self::BITS * (1 + self.more.len());
        (0..all)
            .map(NodeIdx::from_usize)
            .filter(|node| self.contains(*node))
    }

    fn place(node: NodeIdx) -> (usize, u64) {
        let at = node.to_usize();
        (at / Self::BITS, 1 << (at % Self::BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_any_number_are_found_again() {
        let mut set = NodeSet::default();
        assert!(set.is_empty());
        for at in [0, 63, 64, 200, 200] {
            set.insert(NodeIdx(at));
        }
        let all: Vec<u32> = set.iter().map(|node| node.0).collect();
        assert_eq!(all, [0, 63, 64, 200]);
        assert!(set.contains(NodeIdx(64)) && !set.contains(NodeIdx(65)));
        assert!(!set.contains(NodeIdx(1000)) && !set.is_empty());
        let mut few = NodeSet::default();
        few.insert(NodeIdx(63));
        few.insert(NodeIdx(65));
        set.keep(&few);
        assert_eq!(set.iter().collect::<Vec<_>>(), [NodeIdx(63)]);
    }
}
