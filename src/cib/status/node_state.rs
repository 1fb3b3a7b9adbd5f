//! One node as the status section has it: is it a member, is its daemon there, has it joined, what is expected of it.

use crate::{
    cib::{Cib, Command},
    terms::{NodeName, text},
    xml::{Element, xpath::literal},
};

/// The attribute of a remote node's state that says which connection to it counts: whoever writes for the node is refused once
/// another one stands there, or none.
pub const CONNECTION: &str = "connection";

/// The attribute of a remote node's state that says which member holds the connection to it, or held the last one.
pub const CONNECTION_HOST: &str = "connection_host";

/// The attribute of a node's state that says that its history was dropped while something may have run there: it is probed
/// for everything, whatever `enable-startup-probes` says.
pub const PROBE_ALL: &str = "probe-all";

/// Which node: its id in the CIB and its name. For remote nodes both are the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `id` of the node and of its state.
    pub id: String,
    /// `uname`.
    pub name: NodeName,
    /// Whether it is a remote or guest node.
    pub remote: bool,
}

impl Place {
    /// A cluster node.
    pub fn new(id: impl ToString, name: impl Into<NodeName>) -> Self {
        Self {
            id: id.to_string(),
            name: name.into(),
            remote: false,
        }
    }

    /// An empty state of this node, to be merged.
    pub fn element(&self) -> Element {
        let element = Element::new("node_state")
            .with("id", &self.id)
            .with("uname", self.name.as_str())
            .with("crm-debug-origin", ORIGIN);
        if self.remote {
            element.with("remote_node", "true")
        } else {
            element
        }
    }

    /// XPath to something in this node's state; to the state itself with nothing behind it.
    pub fn xpath(&self, below: &str) -> String {
        format!("/cib/status/node_state[@id={}]{below}", literal(&self.id))
    }
}

/// Who is named as the writer of a state.
pub(super) const ORIGIN: &str = "systole";

/// What is known about a node's membership. Times are seconds since 1970, 0 for "not". // spec cluster §8.3
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeState {
    /// Id of the node.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Since when it is a member; 0 if it is not. The older `true` reads as 1.
    pub in_ccm: Option<i64>,
    /// Since when its daemon takes part; 0 if it does not. The older `online` reads as 1.
    pub crmd: Option<i64>,
    /// `member`, `down`, `pending`, ...
    pub join: Option<String>,
    /// What is expected: `member`, `down`, ...
    pub expected: Option<String>,
    /// Whether it is a remote or guest node.
    pub remote: bool,
}

impl NodeState {
    /// Reads a `<node_state>`.
    pub fn read(element: &Element) -> Self {
        let since = |name| {
            element.get(name).map(|value| match value {
                "online" => 1,
                "offline" => 0,
                value => match text::boolean(value) {
                    Some(yes) => i64::from(yes),
                    None => text::integer(value).unwrap_or(0),
                },
            })
        };
        let owned = |name| element.get(name).map(str::to_string);
        Self {
            id: owned("id").unwrap_or_default(),
            name: owned("uname").unwrap_or_default(),
            in_ccm: since("in_ccm"),
            crmd: since("crmd"),
            join: owned("join"),
            expected: owned("expected"),
            remote: text::is_true(element.get("remote_node")),
        }
    }

    /// The states of all nodes, in document order.
    pub fn all(cib: &Cib) -> Vec<NodeState> {
        let states = cib
            .status()
            .into_iter()
            .flat_map(|status| status.children());
        states
            .filter(|element| element.is("node_state"))
            .map(NodeState::read)
            .collect()
    }

    /// Whether it takes part: a member, its daemon there, joined.
    pub fn is_active(&self) -> bool {
        self.in_ccm.unwrap_or(0) > 0
            && self.crmd.unwrap_or(0) > 0
            && self.join.as_deref() == Some("member")
    }
}

/// What is to be changed of a node's state; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Seconds since 1970 since when it is a member; 0 for "it is not".
    pub in_ccm: Option<i64>,
    /// Seconds since 1970 since when its daemon takes part; 0 for "it does not".
    pub crmd: Option<i64>,
    /// `member` or `down`.
    pub join: Option<&'static str>,
    /// `member`, `down`, `pending`.
    pub expected: Option<&'static str>,
}

impl Membership {
    /// A node that came and joined.
    pub fn joined(now_s: i64) -> Self {
        Self {
            in_ccm: Some(now_s),
            crmd: Some(now_s),
            join: Some("member"),
            expected: Some("member"),
        }
    }

    /// A node that is not heard of any more. What was expected of it stays.
    pub fn lost() -> Self {
        Self {
            in_ccm: Some(0),
            crmd: Some(0),
            join: Some("down"),
            expected: None,
        }
    }

    /// A node that left on request.
    pub fn left() -> Self {
        Self {
            expected: Some("down"),
            ..Self::lost()
        }
    }

    /// The write that makes it so.
    pub fn command(&self, place: &Place, now_s: i64) -> Command {
        let element = place
            .element()
            .with_some("in_ccm", self.in_ccm.map(|s| s.to_string()))
            .with_some("crmd", self.crmd.map(|s| s.to_string()))
            .with_some("join", self.join)
            .with_some("expected", self.expected);
        Command::modify("status", element).or_create().at(now_s)
    }
}

/// A node was fenced: it is down and expected to be, and nothing it ran or knew is there any more. // spec cluster §12.1
pub fn fenced(place: &Place, now_s: i64) -> Command {
    let mut element = place
        .element()
        .with("join", "down")
        .with("expected", "down");
    if place.remote {
        element.set("node_fenced", &now_s.to_string());
    } else {
        element.set("in_ccm", "0");
        element.set("crmd", "0");
    }
    Command::transaction(vec![
        Command::modify("status", element).or_create(),
        forget_history(place),
        super::attribute::forget_all(place),
    ])
    .at(now_s)
}

/// Deletes everything that is known of what ran on the node.
pub fn forget_history(place: &Place) -> Command {
    Command::delete_xpath(&place.xpath("/lrm"))
}

/// Deletes the node's state altogether: it is no node of the cluster any more.
pub fn remove(place: &Place) -> Command {
    Command::delete_xpath(&place.xpath(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cib::apply,
        xml::{Limits, parse},
    };

    #[test]
    fn old_and_new_spellings_are_read() {
        let read = |text: &str| NodeState::read(&parse(text, &Limits::CIB).unwrap());
        let old =
            read(r#"<node_state id="1" uname="a" in_ccm="true" crmd="online" join="member"/>"#);
        assert!(old.is_active());
        let new =
            read(r#"<node_state id="1" uname="a" in_ccm="1700000000" crmd="0" join="member"/>"#);
        assert_eq!((new.in_ccm, new.is_active()), (Some(1_700_000_000), false));
    }

    #[test]
    fn nodes_come_and_go() {
        let place = Place::new(1, "n1");
        let joined = apply(&Cib::empty(), &Membership::joined(5).command(&place, 5)).cib;
        assert!(NodeState::all(&joined)[0].is_active());
        let mut root = joined.into_root();
        let state = root.at_mut(&[1, 0]).unwrap();
        state.push(Element::new("lrm"));
        state.push(Element::new("transient_attributes"));
        let gone = apply(&Cib::new(root), &fenced(&place, 9)).cib;
        assert_eq!(
            gone.status().unwrap().to_string(),
            r#"<status><node_state id="1" uname="n1" crm-debug-origin="systole" in_ccm="0" crmd="0" join="down" expected="down"/></status>"#
        );
        assert_eq!(NodeState::all(&apply(&gone, &remove(&place)).cib), []);
    }
}
