//! What a coordinator before this one has ordered, or this one before the node fell silent for a moment, as far as that is
//! still under way, and nobody in the graph waits for it: the policy may have decided to leave a resource that is being
//! stopped where it is, and takes one that is being started for started. What is ordered after it must not start beside it
//! (S9): it waits until the result is here, or the word that it never began, which asks the policy again. Nothing else waits,
//! no fencing, no stop.

use super::outcome::resources_of;
use super::*;
use crate::cib::status::node_state::CONNECTION_HOST;
use crate::xml::Element;

impl Machine {
    /// What is recorded, when an authority begins, or when history is gone.
    pub(super) fn find_foreign(&mut self) {
        let states = self.cib.status().into_iter().flat_map(Element::children);
        self.foreign = states
            .filter(|state| state.is("node_state"))
            .flat_map(|state| {
                let resources = resources_of(state).into_iter().flat_map(Element::children);
                let pending = resources.filter(|rsc| self.is_foreign(rsc));
                pending.filter_map(|rsc| Some((state.id()?.to_owned(), rsc.id()?.to_owned())))
            })
            .collect();
    }

    /// The history of a resource on a node changed: perhaps by something that somebody else ordered. True when something is
    /// under way there now that was not known of. It is looked up, since of several changes at once only the outcome is seen.
    pub(super) fn note_foreign(&mut self, node: &str, rsc: &str) -> bool {
        let states = self.cib.status();
        let state = states.and_then(|all| all.child_by_id("node_state", node));
        let history = state
            .and_then(resources_of)
            .and_then(|all| all.child_by_id("lrm_resource", rsc));
        let at = (node.to_owned(), rsc.to_owned());
        if history.is_some_and(|history| self.is_foreign(history)) {
            return self.foreign.insert(at);
        }
        self.foreign.remove(&at);
        false
    }

    /// Whether this history says that something somebody else ordered is under way.
    fn is_foreign(&self, history: &Element) -> bool {
        let id = history.id().unwrap_or_default();
        let pending = |op| outcome::read_pending(id, op);
        history.children().filter_map(pending).any(|entry| {
            let moves = entry.interval_ms == 0 && changes_state(&entry.task);
            moves && entry.key.uuid != self.uuid
        })
    }

    /// An order is out to a node that fell silent, and may be carried out all the same. What a remote node is asked for is
    /// only what is recorded (`daemon/remote/write.rs`), so nobody would ever tell of one that never arrived there.
    pub(super) fn give_up(&mut self, action: &Action, key: &TransitionKey) {
        let moves = changes_state(&action.task);
        if let (true, None, Some(node), Some(rsc)) =
            (moves, &action.router, &action.node, &action.rsc)
        {
            let op = OpKey::new(rsc.id.clone(), action.task.clone(), action.interval_ms());
            let at = (node.uuid.to_string(), rsc.id.to_string());
            self.given_up.insert(at, (op, key.clone()));
        }
    }

    /// What became of an order is known.
    pub(super) fn settle_given_up(&mut self, key: &TransitionKey) {
        self.given_up.retain(|_, (_, given_up)| given_up != key);
    }

    /// In another life of a node nothing of the one before is carried out.
    pub(super) fn forget_given_up(&mut self, id: NodeId) {
        self.given_up.retain(|(node, _), _| *node != id.to_string());
    }

    /// The history of a node, or of resources there, is gone.
    pub(super) fn look_again_for_foreign(&mut self) {
        if !self.foreign.is_empty() {
            self.find_foreign();
        }
    }

    /// Resources that nothing may bring up now. A node that is not heard does nothing that could be waited for, and one that is heard has been asked for an account of what is recorded; a remote node by the member that is connected.
    pub(super) fn held(&self) -> BTreeSet<String> {
        let nothing = self.foreign.is_empty() && self.given_up.is_empty();
        if nothing || !matches!(self.authority, Authority::Leader(_)) {
            return BTreeSet::new();
        }
        let going = self.foreign.iter().chain(self.given_up.keys());
        let going = going.filter(|(node, _)| self.hears(node));
        let going = going.map(|(_, rsc)| RscId::from(rsc.as_str()).base().to_owned());
        what_follows(self.cib.configuration(), going.collect())
    }

    /// Whether the node with this id, or the member that is connected to it, is there.
    fn hears(&self, node: &str) -> bool {
        let alive = |id: &NodeId| matches!(self.peers.get(id), Some(Peer::Alive { .. }));
        if let Ok(id) = node.parse().map(NodeId)
            && self.members.contains_key(&id)
        {
            return alive(&id);
        }
        let states = self.cib.status();
        let state = states.and_then(|all| all.child_by_id("node_state", node));
        let connected = state.filter(|state| state.get("in_ccm").is_some_and(|it| it != "0"));
        let host = connected.and_then(|state| state.get(CONNECTION_HOST));
        host.and_then(|host| self.id_of(&NodeName::from(host)))
            .is_some_and(|id| alive(&id))
    }
}

/// Whether what is ordered after a resource has to wait while this is done to it.
fn changes_state(task: &str) -> bool {
    let brings_up = matches!(task, "start" | "promote" | "migrate_to" | "migrate_from");
    brings_up || matches!(task, "stop" | "demote")
}

/// These resources, and all that is ordered after one of them, directly or through others.
fn what_follows(configuration: Option<&Element>, going: BTreeSet<String>) -> BTreeSet<String> {
    let mut follows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut edge = |first: &str, then: &str| {
        let then = then.to_owned();
        follows.entry(first.to_owned()).or_default().push(then);
    };
    for section in configuration.into_iter().flat_map(Element::children) {
        match section.tag() {
            "resources" => section.children().for_each(|rsc| contained(rsc, &mut edge)),
            "constraints" => {
                for order in section.children().filter(|e| e.is("rsc_order")) {
                    if let (Some(first), Some(then)) = (order.get("first"), order.get("then")) {
                        edge(first, then);
                    }
                    chain(order, &mut edge);
                }
            }
            "tags" => {
                for tag in section.children() {
                    for rsc in tag.children().filter_map(Element::id) {
                        edge(tag.id().unwrap_or_default(), rsc);
                        edge(rsc, tag.id().unwrap_or_default());
                    }
                }
            }
            _ => {}
        }
    }
    let mut todo: Vec<String> = going.iter().cloned().collect();
    let mut found = going;
    while let Some(rsc) = todo.pop() {
        for next in follows.get(&rsc).into_iter().flatten() {
            if found.insert(next.clone()) {
                todo.push(next.clone());
            }
        }
    }
    found
}

/// A collective waits for what its members wait for, and they for what it waits for.
fn contained(rsc: &Element, edge: &mut impl FnMut(&str, &str)) {
    let id = rsc.id().unwrap_or_default();
    if let Some(template) = rsc.get("template") {
        edge(id, template);
        edge(template, id);
    }
    let is_rsc = |e: &&Element| matches!(e.tag(), "primitive" | "group" | "clone" | "master");
    for member in rsc.children().filter(is_rsc) {
        let inner = member.id().unwrap_or_default();
        edge(id, inner);
        edge(inner, id);
        contained(member, edge);
    }
}

/// Those named here, each after the one before.
fn chain(order: &Element, edge: &mut impl FnMut(&str, &str)) {
    let named = order.descendants().filter(|e| e.is("resource_ref"));
    let ids: Vec<&str> = named.filter_map(Element::id).collect();
    for pair in ids.windows(2) {
        edge(pair[0], pair[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    #[test]
    fn what_is_ordered_after_something_follows_it() {
        let text = r#"<configuration><resources>
            <primitive id="disk"/><primitive id="db"/><primitive id="alone"/>
            <clone id="web-clone"><group id="web"><primitive id="w1"/><primitive id="w2"/></group></clone></resources>
            <constraints><rsc_order id="o1" first="disk" then="db"/>
            <rsc_order id="o2"><resource_set id="s1"><resource_ref id="db"/></resource_set>
            <resource_set id="s2"><resource_ref id="tagged"/></resource_set></rsc_order></constraints>
            <tags><tag id="tagged"><obj_ref id="web-clone"/></tag></tags></configuration>"#;
        let configuration = parse(text, &Limits::CIB).expect("XML");
        let of = |rsc: &str| {
            let found = what_follows(Some(&configuration), BTreeSet::from([rsc.to_owned()]));
            found.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("disk"), "db disk tagged w1 w2 web web-clone");
        assert_eq!(of("db"), "db tagged w1 w2 web web-clone");
        assert_eq!(of("alone"), "alone");
        assert_eq!(of("w2"), "tagged w1 w2 web web-clone");
    }
}
