//! A small sorted table of names and values: attributes, meta-attributes, parameters.
//!
//! A clone is free, and so is an empty one: most tables are copied from where they were read and never change.

use std::sync::Arc;

pub use crate::terms::Str;

/// Sorted by the bytes of the name; the order in which attributes are printed and digested.
#[derive(Debug, Clone, Default)]
pub struct NvTable {
    entries: Option<Arc<Vec<(Str, Str)>>>,
}

impl NvTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| &*self.pairs()[at].1)
    }

    /// The value under a name, shared.
    #[must_use]
    pub fn get_shared(&self, name: &str) -> Option<&Str> {
        self.find(name).ok().map(|at| &self.pairs()[at].1)
    }

    /// Whether the name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets a value, replacing.
    pub fn set(&mut self, name: impl AsRef<str> + Into<Str>, value: impl Into<Str>) {
        match self.find(name.as_ref()) {
            Ok(at) => self.changing()[at].1 = value.into(),
            Err(at) => self.changing().insert(at, (name.into(), value.into())),
        }
    }

    /// Sets several values, replacing: room is made once.
    pub fn set_all<const N: usize>(&mut self, pairs: [(Str, Str); N]) {
        let mut all = Vec::with_capacity(self.len() + N);
        all.extend_from_slice(self.pairs());
        self.entries = Some(Arc::new(all));
        for (name, value) in pairs {
            self.set(name, value);
        }
    }

    /// Sets a value unless the name is there; says whether it was added.
    pub fn add(&mut self, name: impl AsRef<str> + Into<Str>, value: impl Into<Str>) -> bool {
        match self.find(name.as_ref()) {
            Ok(_) => false,
            Err(at) => {
                self.changing().insert(at, (name.into(), value.into()));
                true
            }
        }
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) -> Option<Str> {
        self.find(name).ok().map(|at| self.changing().remove(at).1)
    }

    /// Adds everything of another table that is missing here.
    pub fn add_missing(&mut self, other: &Self) {
        if self.is_empty() {
            self.entries.clone_from(&other.entries);
            return;
        }
        for (name, value) in other.pairs() {
            if let Err(at) = self.find(name) {
                self.changing()
                    .insert(at, (Arc::clone(name), Arc::clone(value)));
            }
        }
    }

    /// Takes everything of another table, replacing.
    pub fn overwrite(&mut self, other: &Self) {
        for (name, value) in other.pairs() {
            self.set(Arc::clone(name), Arc::clone(value));
        }
    }

    /// Keeps what the test accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        if self.pairs().iter().any(|(name, value)| !keep(name, value)) {
            self.changing().retain(|(name, value)| keep(name, value));
        }
    }

    /// All pairs in order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs().iter().map(|(name, value)| (&**name, &**value))
    }

    /// All pairs in order of names, to be copied at no cost.
    pub fn shared(&self) -> std::slice::Iter<'_, (Str, Str)> {
        self.pairs().iter()
    }

    /// All pairs whose name begins with the prefix.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.pairs().partition_point(|(name, _)| &**name < prefix);
        self.pairs()[from..]
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs().len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    fn pairs(&self) -> &[(Str, Str)] {
        self.entries.as_ref().map_or(&[], |pairs| pairs.as_slice())
    }

    /// The pairs, made one's own first if they are shared.
    fn changing(&mut self) -> &mut Vec<(Str, Str)> {
        Arc::make_mut(self.entries.get_or_insert_default())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs()
            .binary_search_by(|(have, _)| (**have).cmp(name))
    }
}

/// Of several pairs with one name the last one counts.
impl FromIterator<(Str, Str)> for NvTable {
    fn from_iter<I: IntoIterator<Item = (Str, Str)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Str, Str)> = pairs.into_iter().collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self {
            entries: (!pairs.is_empty()).then(|| Arc::new(pairs)),
        }
    }
}

impl PartialEq for NvTable {
    fn eq(&self, other: &Self) -> bool {
        self.pairs() == other.pairs()
    }
}

impl Eq for NvTable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_pairs_with_one_name_the_last_one_counts() {
        let pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("b", "5")];
        let table: NvTable = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .into_iter()
            .collect();
        let all: Vec<_> = table.iter().collect();
        assert_eq!(all, [("a", "2"), ("b", "5"), ("c", "4")]);
        assert!(NvTable::from_iter([]).is_empty());
    }
}
