//! Patches as XML. // spec cluster §3.3

use super::{
    super::{Error, Version, version::COUNTERS},
    Change, Patch,
};
use crate::xml::{Element, Node};

impl Patch {
    /// As clients exchange it.
    pub fn to_element(&self) -> Element {
        let mut root = Element::new("diff")
            .with("format", "2")
            .with_some("digest", self.digest.as_deref());
        if let (Some(source), Some(target)) = (self.source, self.target) {
            let version = Element::new("version")
                .with_child(version_element("source", source))
                .with_child(version_element("target", target));
            root.push(version);
        }
        self.changes
            .iter()
            .for_each(|change| root.push(change.to_element()));
        root
    }

    /// From what a client sent.
    pub fn from_element(root: &Element) -> Result<Self, Error> {
        let format = root.get("format");
        if !root.is("diff") || format != Some("2") {
            let problem = "a patch is a <diff format=\"2\">; other formats are not known";
            return Err(Error::Invalid(problem.into()));
        }
        let version = root.child("version");
        let read = |tag| version.and_then(|v| v.child(tag)).map(Version::of);
        let mut changes = Vec::new();
        for change in root.children_named("change") {
            // Tools write changes of what no configuration has, such as its text; they have no operation.
            if change.has("operation") {
                changes.push(Change::from_element(change)?);
            }
        }
        Ok(Self {
            source: read("source"),
            target: read("target"),
            changes,
            digest: root.get("digest").map(Into::into),
        })
    }
}

fn version_element(tag: &str, version: Version) -> Element {
    COUNTERS
        .iter()
        .zip(version.counters())
        .fold(Element::new(tag), |e, (name, value)| {
            e.with(name, value.to_string())
        })
}

impl Change {
    fn to_element(&self) -> Element {
        let change = |operation: &str, path: &str| {
            Element::new("change")
                .with("operation", operation)
                .with("path", path)
        };
        match self {
            Change::Create {
                path,
                position,
                node,
            } => {
                let mut element = change("create", path)
                    .with_some("position", position.map(|position| position.to_string()));
                element.nodes_mut().push(node.clone());
                element
            }
            Change::Modify {
                path,
                attrs,
                result,
            } => {
                let mut list = Element::new("change-list");
                for (name, value) in attrs {
                    let operation = if value.is_some() { "set" } else { "unset" };
                    list.push(
                        Element::new("change-attr")
                            .with("name", name)
                            .with("operation", operation)
                            .with_some("value", value.as_deref()),
                    );
                }
                let result = Element::new("change-result").with_child(result.clone());
                change("modify", path).with_child(list).with_child(result)
            }
            Change::Delete { path, position } => change("delete", path)
                .with_some("position", position.map(|position| position.to_string())),
            Change::Move { path, position } => {
                change("move", path).with("position", position.to_string())
            }
        }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            let path = element.get("path").unwrap_or_default();
            Error::Invalid(format!("<change path=\"{path}\"> of the patch: {problem}"))
        };
        let path = element
            .get("path")
            .ok_or_else(|| invalid("it has no path"))?
            .to_string();
        let position = match element.get("position") {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| invalid("its position is no number"))?,
            ),
            None => None,
        };
        match element.get("operation") {
            Some("create") => {
                let node = element
                    .nodes()
                    .iter()
                    .find(|node| !matches!(node, Node::Text(_)));
                let node = node.ok_or_else(|| invalid("it creates nothing"))?.clone();
                Ok(Change::Create {
                    path,
                    position,
                    node,
                })
            }
            Some("modify") => {
                let result = element
                    .child("change-result")
                    .and_then(|r| r.children().next());
                let result = result.ok_or_else(|| invalid("it has no change-result"))?;
                let list = element
                    .child("change-list")
                    .into_iter()
                    .flat_map(Element::children);
                let attrs = list.filter_map(|attr| {
                    let value = match attr.get("operation") {
                        Some("unset") => None,
                        _ => Some(attr.get("value").unwrap_or_default().to_string()),
                    };
                    Some((attr.get("name")?.to_string(), value))
                });
                Ok(Change::Modify {
                    path,
                    attrs: attrs.collect(),
                    result: result.without_children(),
                })
            }
            Some("delete") => Ok(Change::Delete { path, position }),
            Some("move") => {
                let position = position.ok_or_else(|| invalid("a move needs a position"))?;
                Ok(Change::Move { path, position })
            }
            Some(other) => Err(invalid(&format!("operation {other} is not known"))),
            None => Err(invalid("it has no operation")),
        }
    }
}
