//! Quorum lost: what this node knows becomes a document of its own, in which nobody else is there.
//! The policy then decides by `no-quorum-policy` what happens to what runs here. // design §5

use crate::cib::Cib;
use crate::terms::NodeId;
use crate::xml::Element;

/// The last CIB as a node sees it that is cut off: no quorum, itself in charge, all others gone.
pub fn alone(cib: &Cib, me: NodeId) -> Cib {
    let mut root = cib.root().clone();
    root.set("have-quorum", "0");
    root.set("dc-uuid", &me.to_string());
    if let Some(status) = root.child_mut("status") {
        for state in status.children_mut() {
            if state.tag() != "node_state" {
                continue;
            }
            match state.id() == Some(me.to_string().as_str()) {
                true => there(state),
                false => gone(state),
            }
        }
    }
    Cib::new(root)
}

/// The same for a node that leaves without the cluster's help: everything stops.
pub fn stopping(cib: &Cib) -> Cib {
    let option = Element::new("nvpair")
        .with("id", "leaving-stop-all-resources")
        .with("name", "stop-all-resources")
        .with("value", "true");
    let set = Element::new("cluster_property_set")
        .with("id", "leaving")
        .with_child(option);
    crate::cib::apply(
        cib,
        &crate::cib::Command::modify("crm_config", set).or_create(),
    )
    .cib
}

/// What a majority would see if this node were lost without a word.
pub fn without(cib: &Cib, lost: NodeId) -> Cib {
    let mut root = cib.root().clone();
    root.set("have-quorum", "1");
    let lost = lost.to_string();
    if let Some(status) = root.child_mut("status") {
        let states = status.children_mut();
        states
            .filter(|s| s.tag() == "node_state" && s.id() == Some(lost.as_str()))
            .for_each(gone);
    }
    Cib::new(root)
}

/// Marks this node as there. Others may have written that it is lost before they could not be heard any more; the policy
/// would do nothing on it then, and what it runs has to be stopped.
fn there(state: &mut Element) {
    for name in ["in_ccm", "crmd"] {
        if matches!(state.get(name), None | Some("0" | "false" | "offline")) {
            state.set(name, "1");
        }
    }
    for name in ["join", "expected"] {
        state.set(name, "member");
    }
}

/// Marks a node as not there.
pub(super) fn gone(state: &mut Element) {
    for (name, value) in [("in_ccm", "0"), ("crmd", "0"), ("join", "down")] {
        state.set(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::status::node_state::NodeState;
    use crate::xml::Limits;

    #[test]
    fn a_node_that_was_declared_lost_is_there_for_itself() {
        let text = r#"<cib><configuration/><status>
            <node_state id="1" uname="h1" in_ccm="1700000000" crmd="1700000000" join="member" expected="member"/>
            <node_state id="2" uname="h2" in_ccm="0" crmd="0" join="down" expected="member"/></status></cib>"#;
        let cib = Cib::parse(text, &Limits::default()).expect("a CIB");
        let states = NodeState::all(&alone(&cib, NodeId(2)));
        let active: Vec<_> = states
            .iter()
            .map(|s| (s.name.as_str(), s.is_active()))
            .collect();
        assert_eq!(active, [("h1", false), ("h2", true)]);
    }
}
