//! Comparing two documents. What is shared is skipped by address, so comparing a CIB with its successor costs what the
//! change cost.
//!
//! Elements are the same by name and id (those without an id by their order), comments by text and place. Moved is what
//! has another rank among those that stayed. Where a path would not tell siblings apart, all of them are deleted and
//! created anew: a patch must lead exactly to where it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    super::{Version, version::COUNTERS},
    Change, Patch, path_below,
};
use crate::{
    terms::text,
    xml::{Element, Node},
};

/// What changed, the order of attributes not counting.
pub fn diff(old: &Element, new: &Element) -> Patch {
    make(old, new, false)
}

/// What changed, the order of attributes counting.
pub fn diff_in_order(old: &Element, new: &Element) -> Patch {
    make(old, new, true)
}

impl Patch {
    /// Replaces what it says about the root's attributes and versions: they are settled last.
    pub(in super::super) fn set_root_change(&mut self, old: &Element, new: &Element) {
        let path = path_below("", new);
        self.changes
            .retain(|c| !matches!(c, Change::Modify { path: p, .. } if *p == path));
        let deletions = self
            .changes
            .iter()
            .take_while(|c| matches!(c, Change::Delete { .. }));
        let at = deletions.count();
        if let Some(change) = attribute_change(old, new, &path, false) {
            self.changes.insert(at, change);
        }
        self.source = Some(version_of(old));
        self.target = Some(version_of(new));
    }
}

fn make(old: &Element, new: &Element, in_order: bool) -> Patch {
    let mut differ = Differ {
        in_order,
        deletions: Vec::new(),
        others: Vec::new(),
    };
    differ.element(old, new, &path_below("", new));
    let mut changes = differ.deletions;
    changes.append(&mut differ.others);
    Patch {
        source: Some(version_of(old)),
        target: Some(version_of(new)),
        changes,
        digest: None,
    }
}

/// A counter that is missing is written as 1.
fn version_of(root: &Element) -> Version {
    let read = |name| {
        root.get(name)
            .map_or(1, |value| text::integer(value).unwrap_or(0))
    };
    let [admin_epoch, epoch, num_updates] = COUNTERS.map(read);
    Version {
        admin_epoch,
        epoch,
        num_updates,
    }
}

struct Differ {
    in_order: bool,
    deletions: Vec<Change>,
    others: Vec<Change>,
}

type Key<'a> = (&'a str, Option<&'a str>);

fn key(element: &Element) -> Key<'_> {
    (element.tag(), element.id())
}

/// Old and new places of nodes that are the same.
type Pairs = Vec<(usize, usize)>;

impl Differ {
    fn element(&mut self, old: &Element, new: &Element, path: &str) {
        if old.ptr_eq(new) {
            return;
        }
        self.others
            .extend(attribute_change(old, new, path, self.in_order));
        let (old, new) = (old.nodes(), new.nodes());
        let pairs = self.pairs(old, new);
        // What is gone is told in the order of the old document, at whatever depth it was.
        // Nothing is waiting to be told here: whoever went deeper takes what was found there.
        let mut gone: Vec<(usize, Vec<Change>)> = deleted(old, &pairs, path);
        let moved = moved(&pairs);
        let mut pairs = pairs.iter().peekable();
        for (position, node) in new.iter().enumerate() {
            let counterpart = pairs.next_if(|(_, at)| *at == position);
            match (node, counterpart) {
                (Node::Text(_), _) => {}
                (node, None) => {
                    let (path, node) = (path.to_string(), node.clone());
                    self.others.push(Change::Create {
                        path,
                        position: Some(position),
                        node,
                    });
                }
                (Node::Comment(_), Some(_)) => {}
                (Node::Element(element), Some((from, _))) => {
                    let Node::Element(before) = &old[*from] else {
                        continue;
                    };
                    let is_moved = moved.contains(&position);
                    if is_moved || !before.ptr_eq(element) {
                        let path = path_below(path, element);
                        self.element(before, element, &path);
                        gone.push((*from, std::mem::take(&mut self.deletions)));
                        if is_moved {
                            self.others.push(Change::Move { path, position });
                        }
                    }
                }
            }
        }
        gone.sort_by_key(|(place, _)| *place);
        self.deletions = gone.into_iter().flat_map(|(_, changes)| changes).collect();
    }

    /// What stayed, in the order of the new place. What is left out was deleted or created.
    fn pairs(&self, old: &[Node], new: &[Node]) -> Pairs {
        let mut pairs = match_nodes(old, new, &BTreeSet::new());
        // Siblings that a path cannot tell apart must not be named by one.
        let mut ambiguous: BTreeSet<Key<'_>> = BTreeSet::new();
        loop {
            let touched = touched(old, new, &pairs, self.in_order);
            let doubtful: BTreeSet<Key<'_>> = touched
                .into_iter()
                .filter(|key| !ambiguous.contains(key) && is_ambiguous(*key, old, new))
                .collect();
            if doubtful.is_empty() {
                return pairs;
            }
            let tags: BTreeSet<&str> = doubtful
                .iter()
                .filter(|(_, id)| id.is_none())
                .map(|(tag, _)| *tag)
                .collect();
            let all = old.iter().chain(new).filter_map(Node::as_element);
            ambiguous.extend(all.filter(|e| tags.contains(e.tag())).map(key));
            ambiguous.extend(doubtful);
            pairs = match_nodes(old, new, &ambiguous);
        }
    }
}

/// Deletions of what has no counterpart, each with its place among the old siblings.
fn deleted(old: &[Node], pairs: &Pairs, path: &str) -> Vec<(usize, Vec<Change>)> {
    let mut out = Vec::new();
    if pairs.len() == old.len() {
        return out;
    }
    let stayed: BTreeSet<usize> = pairs.iter().map(|(from, _)| *from).collect();
    let left = old.iter().enumerate();
    for (index, node) in left.filter(|(index, _)| !stayed.contains(index)) {
        let change = match node {
            Node::Text(_) => continue,
            // Its place when those before it are gone already.
            Node::Comment(_) => Change::Delete {
                path: format!("{path}/comment"),
                position: Some(index - out.len()),
            },
            Node::Element(element) => Change::Delete {
                path: path_below(path, element),
                position: None,
            },
        };
        out.push((index, vec![change]));
    }
    out
}

/// Pairs of the same nodes, by new place. Elements of these keys have no counterpart.
fn match_nodes(old: &[Node], new: &[Node], without: &BTreeSet<Key<'_>>) -> Pairs {
    let same = |a: &Node, b: &Node| match (a, b) {
        (Node::Element(a), Node::Element(b)) => {
            (a.ptr_eq(b) || key(a) == key(b)) && (without.is_empty() || !without.contains(&key(a)))
        }
        (Node::Comment(a), Node::Comment(b)) => a == b,
        _ => false,
    };
    let prefix = old.iter().zip(new).take_while(|(a, b)| same(a, b)).count();
    let mut pairs: Pairs = (0..prefix).map(|at| (at, at)).collect();
    if prefix == old.len() && prefix == new.len() {
        return pairs;
    }
    let mut waiting: BTreeMap<Key<'_>, VecDeque<usize>> = BTreeMap::new();
    for (index, node) in old.iter().enumerate().skip(prefix) {
        if let Node::Element(element) = node {
            waiting.entry(key(element)).or_default().push_back(index);
        }
    }
    for (index, node) in new.iter().enumerate().skip(prefix) {
        let from = match node {
            Node::Element(e) if without.contains(&key(e)) => None,
            Node::Element(e) => waiting.get_mut(&key(e)).and_then(VecDeque::pop_front),
            Node::Comment(text) => {
                let stayed =
                    matches!(old.get(index), Some(Node::Comment(before)) if before == text);
                stayed.then_some(index)
            }
            Node::Text(_) => None,
        };
        pairs.extend(from.map(|from| (from, index)));
    }
    pairs
}

/// New places of those whose rank among all that stayed has changed.
fn moved(pairs: &Pairs) -> BTreeSet<usize> {
    if pairs.windows(2).all(|two| two[0].0 < two[1].0) {
        return BTreeSet::new();
    }
    let mut by_old: Vec<usize> = (0..pairs.len()).collect();
    by_old.sort_by_key(|at| pairs[*at].0);
    let changed = by_old.iter().enumerate().filter(|(rank, at)| rank != *at);
    changed.map(|(_, at)| pairs[*at].1).collect()
}

/// Keys of elements that a change would name: gone, moved or different.
fn touched<'a>(
    old: &'a [Node],
    new: &'a [Node],
    pairs: &Pairs,
    in_order: bool,
) -> BTreeSet<Key<'a>> {
    let mut out = BTreeSet::new();
    let moved = moved(pairs);
    for (from, to) in pairs {
        if let (Node::Element(a), Node::Element(b)) = (&old[*from], &new[*to])
            && !a.ptr_eq(b)
            && (moved.contains(to) || a != b || (in_order && !a.attrs().eq(b.attrs())))
        {
            out.insert(key(b));
        } else if moved.contains(to)
            && let Node::Element(b) = &new[*to]
        {
            out.insert(key(b));
        }
    }
    if pairs.len() < old.len() {
        let stayed: BTreeSet<usize> = pairs.iter().map(|(from, _)| *from).collect();
        let gone = old
            .iter()
            .enumerate()
            .filter(|(index, _)| !stayed.contains(index));
        out.extend(gone.filter_map(|(_, node)| node.as_element().map(key)));
    }
    out
}

/// Whether this key's path names more than one. An id tells apart, but "no id" also finds those with one.
fn is_ambiguous(key: Key<'_>, old: &[Node], new: &[Node]) -> bool {
    let (tag, id) = key;
    let many = |nodes: &[Node]| {
        let fits = |e: &&Element| e.is(tag) && (id.is_none() || e.id() == id);
        nodes
            .iter()
            .filter_map(Node::as_element)
            .filter(fits)
            .nth(1)
            .is_some()
    };
    many(old) || many(new)
}

fn attribute_change(old: &Element, new: &Element, path: &str, in_order: bool) -> Option<Change> {
    let mut attrs = Vec::new();
    for (index, (name, value)) in new.attrs().enumerate() {
        let before = old.get(name);
        let displaced = || in_order && old.attrs().nth(index).is_none_or(|(n, _)| n != name);
        if before != Some(value) || displaced() {
            attrs.push((name.to_string(), Some(value.to_string())));
        }
    }
    let gone = old.attrs().filter(|(name, _)| !new.has(name));
    attrs.extend(gone.map(|(name, _)| (name.to_string(), None)));
    let result = || new.without_children();
    (!attrs.is_empty()).then(|| Change::Modify {
        path: path.into(),
        attrs,
        result: result(),
    })
}
