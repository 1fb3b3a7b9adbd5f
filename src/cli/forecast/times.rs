//! How long things took: the history of operations remembers the time of the last start, stop and the like of each resource
//! on each node. What never ran on a node is taken to last as long as elsewhere, or as with another resource of the same
//! agent; of what never ran at all nothing is known.

use std::collections::BTreeMap;

use crate::{graph::Action, xml::Element};

/// Times of operations, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    /// By resource, task and node.
    there: BTreeMap<(String, String, String), u64>,
    /// By resource and task, the longest.
    anywhere: BTreeMap<(String, String), u64>,
    /// By agent and task, the longest.
    of_agent: BTreeMap<(String, String), u64>,
}

/// The id that all instances of a clone share.
pub(crate) fn base(id: &str) -> &str {
    match id.rsplit_once(':') {
        Some((base, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => base,
        _ => id,
    }
}

impl Times {
    /// From the status section of a CIB.
    pub(crate) fn of(cib: &Element) -> Times {
        let mut times = Times::default();
        let states = cib.child("status").into_iter();
        for state in states.flat_map(|status| status.children_named("node_state")) {
            let node = state.get("uname").unwrap_or_default();
            let resources = state.descend(&["lrm", "lrm_resources"]).into_iter();
            for rsc in resources.flat_map(Element::children) {
                for op in rsc.children_named("lrm_rsc_op") {
                    times.learn(node, rsc, op);
                }
            }
        }
        times
    }

    fn learn(&mut self, node: &str, rsc: &Element, op: &Element) {
        let once = op.get("interval").is_none_or(|interval| interval == "0");
        let done = op.get("op-status") == Some("0");
        let ms = op.get("exec-time").and_then(|text| text.parse().ok());
        let (Some(id), Some(task), Some(ms)) = (rsc.id(), op.get("operation"), ms) else {
            return;
        };
        if !once || !done {
            return;
        }
        let (id, task) = (base(id).to_owned(), task.to_owned());
        let agent = ["class", "provider", "type"].map(|name| rsc.get(name).unwrap_or_default());
        let longest = |known: &mut u64| *known = (*known).max(ms);
        self.there
            .insert((id.clone(), task.clone(), node.to_owned()), ms);
        longest(self.anywhere.entry((id, task.clone())).or_default());
        longest(self.of_agent.entry((agent.join(":"), task)).or_default());
    }

    /// How long an action is likely to take.
    pub(crate) fn ms(&self, action: &Action) -> Option<u64> {
        let rsc = action.rsc.as_ref()?;
        let id = base(rsc.id.as_str()).to_owned();
        let node = action.node.as_ref()?.name.to_string();
        let task = action.task.clone();
        let provider = rsc.provider.as_deref().unwrap_or_default();
        let agent = [&*rsc.class, provider, &*rsc.kind].join(":");
        self.there
            .get(&(id.clone(), task.clone(), node))
            .or_else(|| self.anywhere.get(&(id, task.clone())))
            .or_else(|| self.of_agent.get(&(agent, task)))
            .copied()
    }
}
