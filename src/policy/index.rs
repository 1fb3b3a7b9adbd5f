//! Arenas with typed indexes: a node, a resource or a colocation is a number that cannot be mixed up.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A typed index into an [`IdxVec`].
pub trait Idx: Copy + Eq + Ord {
    /// From a position.
    fn from_usize(at: usize) -> Self;
    /// To a position.
    fn to_usize(self) -> usize;
}

/// Declares typed indexes.
#[macro_export]
macro_rules! typed_index {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $crate::policy::index::Idx for $name {
            fn from_usize(at: usize) -> Self {
                Self(u32::try_from(at).expect("an arena holds fewer than 2^32 items"))
            }
            fn to_usize(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

typed_index! {
    /// A node in `Facts::nodes`, numbered in order of discovery (not the node list order).
    NodeIdx;
    /// A resource of any kind in `Facts::rscs`, numbered in order of discovery.
    RscIdx;
    /// A colocation in `Constraints::colocations`.
    ColIdx;
}

/// What something is called, in the order of adding. The names come from the administrator: hashing them needs no secret.
pub(crate) type ByName<K, T> = indexmap::IndexMap<K, T, foldhash::fast::FixedState>;

/// A vector that is indexed by its own index type.
#[derive(Clone, PartialEq)]
pub struct IdxVec<I, T> {
    items: Vec<T>,
    marker: PhantomData<fn(I) -> I>,
}

impl<I: Idx, T> IdxVec<I, T> {
    /// An empty arena.
    #[must_use]
    pub fn new() -> Self {
        Self {
            items: Vec::new(),
            marker: PhantomData,
        }
    }

    /// An empty arena with room for so many items.
    #[must_use]
    pub fn with_capacity(room: usize) -> Self {
        Self {
            items: Vec::with_capacity(room),
            marker: PhantomData,
        }
    }

    /// Makes room for so many more: a list that grows is copied again and again.
    pub fn reserve(&mut self, more: usize) {
        self.items.reserve(more);
    }

    /// `len` items made by `make`.
    pub fn from_fn(len: usize, make: impl FnMut(I) -> T) -> Self {
        Self {
            items: (0..len).map(I::from_usize).map(make).collect(),
            marker: PhantomData,
        }
    }

    /// Adds an item and says where it is.
    pub fn push(&mut self, item: T) -> I {
        let at = I::from_usize(self.items.len());
        self.items.push(item);
        at
    }

    /// Drops everything from this position on.
    pub fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item, if the index is inside.
    #[must_use]
    pub fn get(&self, at: I) -> Option<&T> {
        self.items.get(at.to_usize())
    }

    /// All indexes in order.
    pub fn indexes(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<I, T> {
        (0..self.items.len()).map(I::from_usize)
    }

    /// All items in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// All items in order, to change them.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }

    /// All items in order with their indexes.
    pub fn enumerate(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.items
            .iter()
            .enumerate()
            .map(|(at, item)| (I::from_usize(at), item))
    }
}

impl<I: Idx, T> Default for IdxVec<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Idx, T> Index<I> for IdxVec<I, T> {
    type Output = T;
    fn index(&self, at: I) -> &T {
        &self.items[at.to_usize()]
    }
}

impl<I: Idx, T> IndexMut<I> for IdxVec<I, T> {
    fn index_mut(&mut self, at: I) -> &mut T {
        &mut self.items[at.to_usize()]
    }
}

impl<'a, I: Idx, T> IntoIterator for &'a IdxVec<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<I, T: fmt::Debug> fmt::Debug for IdxVec<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}
