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
            if state.tag() == "node_state" && state.id() != Some(me.to_string().as_str()) {
                gone(state);
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

/// Marks a node as not there.
pub(super) fn gone(state: &mut Element) {
    for (name, value) in [("in_ccm", "0"), ("crmd", "0"), ("join", "down")] {
        state.set(name, value);
    }
}
