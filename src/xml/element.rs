//! The tree as a value. An `Element` is one pointer; a clone is free, a change copies the element changed and, when it is
//! reached through `children_mut` and its like, the elements above it: one path, everything else stays shared.
//!
//! Attribute values live in one string per element, each with its length before it; the names are in the shape.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    read::{self, Limits},
    shape::Shape,
    write,
};

/// An XML element: tag, attributes in order, and what is inside.
#[derive(Clone)]
pub struct Element(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    shape: Arc<Shape>,
    values: Box<str>,
    nodes: Vec<Node>,
    line: u32,
}

/// What stands inside an element.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// The text of a comment.
    Comment(Arc<String>),
    /// Text; only kept when the reader was asked to, which it is not for a CIB.
    Text(Arc<String>),
}

impl Node {
    /// The element, if it is one.
    pub fn as_element(&self) -> Option<&Element> {
        match self {
            Node::Element(element) => Some(element),
            _ => None,
        }
    }

    /// The element to be changed, if it is one.
    pub fn as_element_mut(&mut self) -> Option<&mut Element> {
        match self {
            Node::Element(element) => Some(element),
            _ => None,
        }
    }

    /// The comment's text, if it is one.
    pub fn as_comment(&self) -> Option<&str> {
        match self {
            Node::Comment(text) => Some(text),
            _ => None,
        }
    }

    /// A comment. XML knows no way to write two hyphens in a row in one, nor one at its end: a blank is put behind each.
    pub fn comment(text: &str) -> Self {
        let mut text = text.replace("--", "- -").replace("--", "- -");
        if text.ends_with('-') {
            text.push(' ');
        }
        Node::Comment(Arc::new(text))
    }
}

impl From<Element> for Node {
    fn from(element: Element) -> Self {
        Node::Element(element)
    }
}

/// What it is made of.
impl Element {
    /// An empty element.
    pub fn new(tag: &str) -> Self {
        Self::assemble(Shape::new(tag), Box::default(), Vec::new(), 0)
    }

    pub(super) fn assemble(
        shape: Arc<Shape>,
        values: Box<str>,
        nodes: Vec<Node>,
        line: u32,
    ) -> Self {
        Self(Arc::new(Inner {
            shape,
            values,
            nodes,
            line,
        }))
    }

    /// The element with an attribute more (or changed).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.set(name, value.as_ref());
        self
    }

    /// The element with the attribute if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The element with a child more.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.push(child);
        self
    }

    /// The element with children more.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.nodes_mut()
            .extend(children.into_iter().map(Node::Element));
        self
    }

    /// Its name.
    pub fn tag(&self) -> &str {
        &self.0.shape.tag
    }

    /// Whether it has this name.
    pub fn is(&self, tag: &str) -> bool {
        self.tag() == tag
    }

    /// The line on which it began in the document it was read from; 0 if it was made here.
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        let index = self.0.shape.position(name)?;
        Values(&self.0.values).nth(index)
    }

    /// The attribute `id`.
    pub fn id(&self) -> Option<&str> {
        self.get("id")
    }

    /// Whether there is such an attribute.
    pub fn has(&self, name: &str) -> bool {
        self.0.shape.position(name).is_some()
    }

    /// Attributes, in document order.
    pub fn attrs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.shared_attrs().map(|(name, value)| (&**name, value))
    }

    /// The same with names that cost nothing to keep: elements of one kind share them.
    pub fn shared_attrs(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &str)> {
        let mut values = Values(&self.0.values);
        self.0.shape.names.iter().map(move |name| {
            (
                name,
                values
                    .next()
                    .expect("an element has a value for every name of its shape"),
            )
        })
    }

    /// How many attributes it has.
    pub fn attr_count(&self) -> usize {
        self.0.shape.names.len()
    }

    /// Everything inside, comments included.
    pub fn nodes(&self) -> &[Node] {
        &self.0.nodes
    }

    /// Elements directly inside.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.0.nodes.iter().filter_map(Node::as_element)
    }

    /// Elements of this name directly inside.
    pub fn children_named<'a>(
        &'a self,
        tag: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a Element> {
        self.children().filter(move |child| child.is(tag))
    }

    /// Whether there is any element inside.
    pub fn has_children(&self) -> bool {
        self.children().next().is_some()
    }

    /// The first element of this name directly inside.
    pub fn child(&self, tag: &str) -> Option<&Element> {
        self.children().find(|child| child.is(tag))
    }

    /// The first element of this name and id directly inside.
    pub fn child_by_id(&self, tag: &str, id: &str) -> Option<&Element> {
        self.children()
            .find(|child| child.is(tag) && child.id() == Some(id))
    }

    /// The first child at the end of a path of names.
    pub fn descend(&self, tags: &[&str]) -> Option<&Element> {
        tags.iter()
            .try_fold(self, |element, tag| element.child(tag))
    }

    /// This element and all below it, in document order.
    pub fn descendants(&self) -> Descendants<'_> {
        Descendants { stack: vec![self] }
    }

    /// The first element with this id, itself included, in document order.
    pub fn find_id(&self, id: &str) -> Option<&Element> {
        self.descendants().find(|element| element.id() == Some(id))
    }

    /// The text directly inside.
    pub fn text(&self) -> String {
        let texts = self.0.nodes.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The element at the end of a path of node indexes.
    pub fn at(&self, path: &[usize]) -> Option<&Element> {
        path.iter().try_fold(self, |element, index| {
            element.0.nodes.get(*index)?.as_element()
        })
    }

    /// Whether both are the very same tree in memory.
    pub fn ptr_eq(&self, other: &Element) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether both have the same attributes with the same values, in whatever order.
    pub fn same_attrs(&self, other: &Element) -> bool {
        if Shape::same(&self.0.shape, &other.0.shape) {
            return self.0.values == other.0.values;
        }
        self.attr_count() == other.attr_count()
            && self
                .attrs()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

/// Changing it.
impl Element {
    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Sets an attribute; a new one goes to the end.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.shape.position(name) {
            Some(index) => {
                if Values(&self.0.values).nth(index) != Some(value) {
                    let mut values = String::with_capacity(self.0.values.len() + value.len());
                    for (at, old) in Values(&self.0.values).enumerate() {
                        push_value(&mut values, if at == index { value } else { old });
                    }
                    self.inner().values = values.into();
                }
            }
            None => {
                let inner = self.inner();
                let mut values = String::with_capacity(inner.values.len() + value.len() + 2);
                values.push_str(&inner.values);
                push_value(&mut values, value);
                inner.values = values.into();
                inner.shape = inner.shape.plus(name);
            }
        }
    }

    /// Removes an attribute; says whether it was there.
    pub fn unset(&mut self, name: &str) -> bool {
        let Some(index) = self.0.shape.position(name) else {
            return false;
        };
        let inner = self.inner();
        let mut values = String::with_capacity(inner.values.len());
        for (at, old) in Values(&inner.values).enumerate() {
            if at != index {
                push_value(&mut values, old);
            }
        }
        inner.values = values.into();
        inner.shape = inner.shape.minus(index);
        true
    }

    /// Gives it another name.
    pub fn set_tag(&mut self, tag: &str) {
        if !self.is(tag) {
            let inner = self.inner();
            inner.shape = inner.shape.with_tag(tag);
        }
    }

    /// Takes over all attributes of another element of the same name, and drops the others.
    pub fn take_attrs(&mut self, other: &Element) {
        let inner = self.inner();
        if inner.shape.tag == other.0.shape.tag {
            inner.shape = other.0.shape.clone();
        } else {
            inner.shape = other.0.shape.with_tag(&inner.shape.tag);
        }
        inner.values = other.0.values.clone();
    }

    /// The element without what is inside.
    pub fn without_children(&self) -> Element {
        let inner = &self.0;
        Self::assemble(
            inner.shape.clone(),
            inner.values.clone(),
            Vec::new(),
            inner.line,
        )
    }

    /// Appends a child.
    pub fn push(&mut self, mut child: Element) {
        child.share_shape(self.0.nodes.iter().rev().find_map(Node::as_element));
        self.inner().nodes.push(Node::Element(child));
    }

    /// Everything inside, to be changed.
    pub fn nodes_mut(&mut self) -> &mut Vec<Node> {
        &mut self.inner().nodes
    }

    /// Elements directly inside, to be changed. Only those which are changed are copied.
    pub fn children_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Element> {
        self.inner()
            .nodes
            .iter_mut()
            .filter_map(Node::as_element_mut)
    }

    /// The first element of this name directly inside, to be changed.
    pub fn child_mut(&mut self, tag: &str) -> Option<&mut Element> {
        self.child(tag)?;
        self.children_mut().find(|child| child.is(tag))
    }

    /// The first element of this name directly inside, appended if there is none.
    pub fn child_or_new(&mut self, tag: &str) -> &mut Element {
        let found = self
            .0
            .nodes
            .iter()
            .position(|n| n.as_element().is_some_and(|e| e.is(tag)));
        let index = found.unwrap_or_else(|| {
            self.push(Element::new(tag));
            self.0.nodes.len() - 1
        });
        self.inner().nodes[index]
            .as_element_mut()
            .expect("the node at this index is an element")
    }

    /// The element at the end of a path of node indexes, to be changed; only that path is copied.
    pub fn at_mut(&mut self, path: &[usize]) -> Option<&mut Element> {
        self.at(path)?;
        path.iter().try_fold(self, |element, index| {
            element.inner().nodes.get_mut(*index)?.as_element_mut()
        })
    }

    /// Keeps the elements directly inside for which this is true; comments and text stay.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Element) -> bool) {
        // Each child is asked once: the question may remember what it has seen.
        let keep = |node: &Node| node.as_element().is_none_or(&mut keep);
        let kept: Vec<bool> = self.0.nodes.iter().map(keep).collect();
        if kept.contains(&false) {
            let mut kept = kept.into_iter();
            self.inner().nodes.retain(|_| kept.next() == Some(true));
        }
    }

    /// Drops what is inside.
    pub fn clear(&mut self) {
        if !self.0.nodes.is_empty() {
            self.inner().nodes = Vec::new();
        }
    }

    /// Uses the shape of another element where it is the same, so that entries written one by one share it too.
    fn share_shape(&mut self, with: Option<&Element>) {
        let Some(with) = with else { return };
        let other = &with.0.shape;
        if !Arc::ptr_eq(&self.0.shape, other)
            && self.0.shape == *other
            && let Some(inner) = Arc::get_mut(&mut self.0)
        {
            inner.shape = other.clone();
        }
    }
}

impl PartialEq for Element {
    /// By content: names, attributes in whatever order, what is inside in its order. Where it stood does not count.
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other)
            || (self.is(other.tag()) && self.same_attrs(other) && self.0.nodes == other.0.nodes)
    }
}

impl Eq for Element {}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write::compact(self))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write::compact(self))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Element(element) => fmt::Debug::fmt(element, f),
            Node::Comment(text) => write!(f, "<!--{text}-->"),
            Node::Text(text) => fmt::Debug::fmt(text, f),
        }
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write::compact(self))
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read::parse(&text, &Limits::STORED).map_err(serde::de::Error::custom)
    }
}

/// See [`Element::descendants`].
pub struct Descendants<'a> {
    stack: Vec<&'a Element>,
}

impl<'a> Iterator for Descendants<'a> {
    type Item = &'a Element;

    fn next(&mut self) -> Option<&'a Element> {
        let next = self.stack.pop()?;
        self.stack
            .extend(next.0.nodes.iter().rev().filter_map(Node::as_element));
        Some(next)
    }
}

/// Values one behind the other, each with its length before it: six bits per character, the highest group last, a
/// seventh bit meaning "more". All of it is ASCII, so the string stays a string.
struct Values<'a>(&'a str);

const MORE: u8 = 0x40;

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let (mut length, mut shift, mut at) = (0usize, 0, 0);
        loop {
            let byte = *bytes.get(at)?;
            length |= usize::from(byte & (MORE - 1)) << shift;
            shift += 6;
            at += 1;
            if byte & MORE == 0 {
                break;
            }
        }
        let value = &self.0[at..at + length];
        self.0 = &self.0[at + length..];
        Some(value)
    }
}

pub(super) fn push_value(values: &mut String, value: &str) {
    let mut length = value.len();
    loop {
        let low = u8::try_from(length & 0x3f).expect("six bits fit a byte");
        length >>= 6;
        values.push(char::from(if length > 0 { low | MORE } else { low }));
        if length == 0 {
            break;
        }
    }
    values.push_str(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Element {
        Element::new("a")
            .with("x", "1")
            .with("long", "v".repeat(5000))
            .with("y", "é")
            .with_child(Element::new("b").with("id", "b1"))
            .with_child(Element::new("b").with("id", "b2"))
    }

    #[test]
    fn attributes_are_set_changed_and_removed() {
        let mut e = sample();
        e.set("x", "22");
        e.set("new", "");
        assert!(e.unset("long") && !e.unset("long"));
        let attrs: Vec<_> = e.attrs().collect();
        assert_eq!(attrs, [("x", "22"), ("y", "é"), ("new", "")]);
        assert_eq!(sample().get("long").map(str::len), Some(5000));
    }

    #[test]
    fn a_change_copies_one_path() {
        let before = sample();
        let mut after = before.clone();
        after.at_mut(&[1]).unwrap().set("id", "changed");
        assert_eq!(before.at(&[1]).unwrap().id(), Some("b2"));
        assert!(before.at(&[0]).unwrap().ptr_eq(after.at(&[0]).unwrap()));
        assert_ne!(before, after);
        assert!(after.at_mut(&[7]).is_none());
    }

    #[test]
    fn equality_ignores_attribute_order_and_place() {
        let a = Element::new("e").with("a", "1").with("b", "2");
        let b = Element::new("e").with("b", "2").with("a", "1");
        assert_eq!(a, b);
        assert_ne!(a, b.with("c", "3"));
    }

    #[test]
    fn descendants_come_in_document_order() {
        let tree = Element::new("r")
            .with_child(sample())
            .with_child(Element::new("z"));
        let tags: Vec<_> = tree.descendants().map(Element::tag).collect();
        assert_eq!(tags, ["r", "a", "b", "b", "z"]);
    }

    #[test]
    fn an_element_is_small() {
        assert!(size_of::<Inner>() <= 56, "{}", size_of::<Inner>());
        assert_eq!(size_of::<Node>(), 16);
    }
}
