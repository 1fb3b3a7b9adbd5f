//! Differences that were named already, so that each is named once when it comes, and once when it goes. What is
//! remembered is what differs now, and so it is bounded by the size of the CIB.

use std::collections::BTreeMap;

use super::answer::{Difference, names};

/// What is different now.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    known: BTreeMap<String, Difference>,
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Differences that were not there before, or were others.
    pub(crate) new: Vec<Difference>,
    /// What was different, and is not any more.
    pub(crate) gone: Vec<String>,
}

impl Memory {
    /// What differs now, against what differed before.
    pub(crate) fn learn(&mut self, now: Vec<Difference>) -> News {
        let there = names(&now);
        let gone = self
            .known
            .keys()
            .filter(|name| !there.contains(name.as_str()));
        let gone = gone.cloned().collect();
        let is_new = |it: &&Difference| self.known.get(&it.about) != Some(it);
        let new = now.iter().filter(is_new).cloned().collect();
        self.known = now.into_iter().map(|it| (it.about.clone(), it)).collect();
        News { new, gone }
    }

    /// How many differences there are.
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, theirs: &str) -> Difference {
        Difference {
            about: name.to_owned(),
            theirs: vec![theirs.to_owned()],
            ours: Vec::new(),
        }
    }

    #[test]
    fn a_difference_is_named_when_it_comes_and_when_it_goes() {
        let mut memory = Memory::default();
        let first = memory.learn(vec![about("a", "1"), about("b", "1")]);
        assert_eq!((first.new.len(), first.gone.len()), (2, 0));
        assert_eq!(
            memory.learn(vec![about("a", "1"), about("b", "1")]),
            News::default()
        );
        let other = memory.learn(vec![about("b", "2")]);
        assert_eq!(other.new, [about("b", "2")]);
        assert_eq!(other.gone, ["a"]);
        assert_eq!(memory.count(), 1);
        assert_eq!(memory.learn(Vec::new()).gone, ["b"]);
    }
}
