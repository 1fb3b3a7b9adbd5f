//! Fencing levels: which devices must work together to fence whom, and what is tried next.

use crate::{cib::Cib, terms::text, xml::Element};

/// Whom a level is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The node of this name.
    Node(String),
    /// Nodes whose name matches this regular expression.
    Pattern(String),
    /// Nodes with this attribute and value.
    Attribute(String, String),
}

/// One `<fencing-level>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Its id.
    pub id: String,
    /// Whom it is for.
    pub target: Target,
    /// 1 to 9; the lowest is tried first.
    pub index: u32,
    /// All of these must succeed.
    pub devices: Vec<String>,
}

/// The levels in document order; those that can't be read are left out.
pub fn levels(cib: &Cib) -> Vec<Level> {
    let topology = cib
        .section("fencing-topology")
        .into_iter()
        .flat_map(Element::children);
    topology
        .filter(|level| level.is("fencing-level"))
        .filter_map(read)
        .collect()
}

fn read(element: &Element) -> Option<Level> {
    let owned = |name| element.get(name).map(str::to_string);
    let target = match (
        owned("target"),
        owned("target-pattern"),
        owned("target-attribute"),
    ) {
        (Some(node), ..) => Target::Node(node),
        (None, Some(pattern), _) => Target::Pattern(pattern),
        (None, None, Some(name)) => Target::Attribute(name, owned("target-value")?),
        (None, None, None) => return None,
    };
    let index = element.get("index").and_then(text::integer);
    let index = u32::try_from(index?)
        .ok()
        .filter(|index| (1..=9).contains(index))?;
    let devices: Vec<String> = element
        .get("devices")?
        .split([',', ' '])
        .filter(|device| !device.is_empty())
        .map(Into::into)
        .collect();
    Some(Level {
        id: owned("id").unwrap_or_default(),
        target,
        index,
        devices,
    })
    .filter(|level| !level.devices.is_empty())
}
