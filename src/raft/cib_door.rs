//! Stands where the `cib` room will be, until it is there: the same names, the least behaviour.
#![allow(missing_docs, reason = "goes away with the cib room")]

use serde::{Deserialize, Serialize};

use crate::terms::{CrmExit, NodeId, NodeName};
use crate::xml::Element;

#[derive(Debug, Clone, PartialEq)]
pub struct Cib(Element);

impl Default for Cib {
    fn default() -> Self {
        Self(Element::new("cib").with_child(Element::new("configuration")))
    }
}

impl Cib {
    pub fn root(&self) -> &Element {
        &self.0
    }
    pub fn configuration(&self) -> &Element {
        self.0.child("configuration").expect("made so")
    }
    pub fn version(&self) -> String {
        self.0.get("epoch").unwrap_or("0").into()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub node: String,
    pub client: String,
    pub user: String,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub name: String,
    pub value: String,
    pub origin: Origin,
    pub time_s: i64,
}

#[derive(Debug, Clone)]
pub struct Patch(Element);

impl Patch {
    pub fn configuration_changed(&self) -> bool {
        true
    }
    pub fn root(&self) -> &Element {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub struct Refused;

impl Refused {
    pub fn exit(&self) -> CrmExit {
        CrmExit::ERROR
    }
    pub fn detail(&self) -> Option<&Element> {
        None
    }
}

pub struct Applied {
    pub cib: Cib,
    pub answer: Result<Option<Element>, Refused>,
    pub patch: Option<Patch>,
}

pub fn apply(cib: &Cib, command: &Command) -> Applied {
    let mut root = cib.0.clone();
    root.set(&command.name, &command.value);
    Applied {
        cib: Cib(root),
        answer: Ok(None),
        patch: Some(Patch(Element::new("diff"))),
    }
}

pub fn add_node(id: NodeId, name: &NodeName) -> Command {
    set(&format!("node-{id}"), name.as_str())
}

pub fn remove_node(id: NodeId, _: &NodeName) -> Command {
    set(&format!("node-{id}"), "")
}

pub fn set(name: &str, value: &str) -> Command {
    Command {
        name: name.into(),
        value: value.into(),
        origin: Origin {
            node: "n".into(),
            client: "t".into(),
            user: "root".into(),
            comment: None,
        },
        time_s: 0,
    }
}

pub fn read(text: &str) -> Result<Cib, String> {
    crate::xml::read::parse(text, &crate::xml::Limits::default())
        .map(Cib)
        .map_err(|e| e.to_string())
}
