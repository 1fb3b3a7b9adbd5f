//! Nodes as configured.

use crate::{cib::Cib, xml::Element};

/// What kind of node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs the cluster software.
    Member,
    /// Runs the remote executor only.
    Remote,
    /// Something older or unknown.
    Other,
}

/// One `<node>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its id; the number it has in Raft, or the name for remote nodes.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What kind it is.
    pub kind: Kind,
    /// The element.
    pub element: &'a Element,
}

/// The configured nodes, in document order.
pub fn all(cib: &Cib) -> impl Iterator<Item = Node<'_>> {
    let nodes = cib.section("nodes").into_iter().flat_map(Element::children);
    nodes.filter(|node| node.is("node")).filter_map(|element| {
        let kind = match element.get("type") {
            None | Some("member" | "normal") => Kind::Member,
            Some("remote") => Kind::Remote,
            Some(_) => Kind::Other,
        };
        Some(Node {
            id: element.id()?,
            name: element.get("uname")?,
            kind,
            element,
        })
    })
}

/// The node of this name (or id), without regard to case.
pub fn find<'a>(cib: &'a Cib, name: &str) -> Option<Node<'a>> {
    let by_name = all(cib).find(|node| node.name.eq_ignore_ascii_case(name));
    by_name.or_else(|| all(cib).find(|node| node.id.eq_ignore_ascii_case(name)))
}
