//! A small sorted table of names and values: attributes, meta-attributes, parameters.

use std::sync::Arc;

/// Shared text.
pub type Str = Arc<str>;

/// Sorted by the bytes of the name; the order in which attributes are printed and digested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NvTable {
    entries: Vec<(Str, Str)>,
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
        self.find(name).ok().map(|at| &*self.entries[at].1)
    }

    /// The value under a name, shared.
    #[must_use]
    pub fn get_shared(&self, name: &str) -> Option<&Str> {
        self.find(name).ok().map(|at| &self.entries[at].1)
    }

    /// Whether the name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets a value, replacing.
    pub fn set(&mut self, name: impl AsRef<str> + Into<Str>, value: impl Into<Str>) {
        match self.find(name.as_ref()) {
            Ok(at) => self.entries[at].1 = value.into(),
            Err(at) => self.entries.insert(at, (name.into(), value.into())),
        }
    }

    /// Sets a value unless the name is there; says whether it was added.
    pub fn add(&mut self, name: impl AsRef<str> + Into<Str>, value: impl Into<Str>) -> bool {
        match self.find(name.as_ref()) {
            Ok(_) => false,
            Err(at) => {
                self.entries.insert(at, (name.into(), value.into()));
                true
            }
        }
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) -> Option<Str> {
        self.find(name).ok().map(|at| self.entries.remove(at).1)
    }

    /// Adds everything of another table that is missing here.
    pub fn add_missing(&mut self, other: &Self) {
        if self.entries.is_empty() {
            self.entries.clone_from(&other.entries);
            return;
        }
        for (name, value) in &other.entries {
            if let Err(at) = self.find(name) {
                self.entries
                    .insert(at, (Arc::clone(name), Arc::clone(value)));
            }
        }
    }

    /// Takes everything of another table, replacing.
    pub fn overwrite(&mut self, other: &Self) {
        for (name, value) in &other.entries {
            self.set(Arc::clone(name), Arc::clone(value));
        }
    }

    /// Keeps what the test accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.entries.retain(|(name, value)| keep(name, value));
    }

    /// All pairs in order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// All pairs whose name begins with the prefix.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.entries.partition_point(|(name, _)| &**name < prefix);
        self.entries[from..]
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(have, _)| (**have).cmp(name))
    }
}
