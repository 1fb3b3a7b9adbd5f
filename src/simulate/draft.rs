//! The copy of the CIB on which things are tried, and the few kinds of change that a simulation makes to it.
//! (spec 4 §10)

use thiserror::Error;

use super::forget::{forget_older, unite};
use crate::terms::FEATURE_SET;
use crate::xml::{Element, Node, digest};

/// A CIB that is being changed.
#[derive(Debug, Clone)]
pub struct Draft {
    cib: Element,
    /// Nodes which are touched get an entry in the configuration when they have none.
    pub adds_nodes: bool,
    /// What a cluster forgets when it is told to is forgotten: what is deleted, cancelled or cleared, a guest that went with
    /// its host, a node that leaves. crm_simulate keeps all that. (spec 4 §10)
    pub forgets: bool,
    now_s: i64,
}

/// Why a change can't be tried.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// Which of them should change?
    #[error("find the state of node {0}: the status section has several with this uname")]
    SeveralStates(String),
}

/// A result to be written into a node's operation history.
#[derive(Debug, Clone)]
pub struct History<'a> {
    /// Id of the `lrm_resource` that is looked for first.
    pub entry: &'a str,
    /// Id of the resource, used in keys and for a new `lrm_resource`.
    pub rsc: &'a str,
    /// Id of an `lrm_resource` that is taken rather than a new one: what the node calls the resource, if not by its own name.
    pub known_as: Option<&'a str>,
    /// Class, provider and type of a new `lrm_resource`.
    pub agent: (&'a str, Option<&'a str>, &'a str),
    /// What was done.
    pub task: &'a str,
    /// How often, in milliseconds.
    pub interval_ms: u64,
    /// What the agent is said to have answered.
    pub rc: i32,
    /// What it should have answered.
    pub target_rc: i32,
    /// Why it failed, if it did.
    pub exit_reason: &'a str,
    /// For notifications: `pre` or `post`, and of what.
    pub notify: Option<(&'a str, &'a str)>,
    /// For migrations: from where, to where.
    pub migration: Option<(&'a str, &'a str)>,
    /// Parameters whose digest is recorded.
    pub parameters: Option<Vec<(&'a str, &'a str)>>,
}

impl Draft {
    /// A copy to be changed; results are dated `now_s`.
    pub fn new(cib: &Element, now_s: i64) -> Self {
        Draft {
            cib: cib.clone(),
            adds_nodes: false,
            forgets: false,
            now_s,
        }
    }

    /// The CIB as it is now.
    pub fn cib(&self) -> &Element {
        &self.cib
    }

    /// The time that results get.
    pub fn now_s(&self) -> i64 {
        self.now_s
    }

    /// Set an attribute of the CIB itself.
    pub fn set(&mut self, name: &str, value: &str) {
        self.cib.set(name, value);
    }

    /// Set a cluster property.
    pub fn set_property(&mut self, name: &str, value: &str) {
        let config = self
            .cib
            .child_or_new("configuration")
            .child_or_new("crm_config");
        let sets = config
            .children()
            .filter(|set| set.is("cluster_property_set"));
        let of_name = |pair: &&Element| pair.get("name") == Some(name);
        let found = sets
            .flat_map(Element::children)
            .find(of_name)
            .and_then(Element::id);
        if let Some(id) = found.map(str::to_owned) {
            let sets = config.children_mut().flat_map(Element::children_mut);
            for pair in sets.filter(|pair| pair.id() == Some(&id)) {
                pair.set("value", value);
            }
            return;
        }
        const SET: &str = "cib-bootstrap-options";
        let pair = Element::new("nvpair")
            .with("id", format!("{SET}-{name}"))
            .with("name", name)
            .with("value", value);
        let set = child_with_id(config, "cluster_property_set", SET);
        set.push(pair);
    }

    fn status(&mut self) -> &mut Element {
        self.cib.child_or_new("status")
    }

    fn count_update(&mut self) {
        let updates = self
            .cib
            .get("num_updates")
            .and_then(|text| text.parse::<u64>().ok());
        self.cib
            .set("num_updates", &(updates.unwrap_or(0) + 1).to_string());
    }

    /// The state of a node, made when there is none. (spec 4 §10.5)
    pub fn node_state(&mut self, name: &str, uuid: Option<&str>) -> Result<&mut Element, Error> {
        let configured = self.configured_id(name);
        let uuid = uuid
            .map(str::to_owned)
            .or(configured)
            .unwrap_or_else(|| name.to_owned());
        if self.adds_nodes {
            self.add_node(name);
        }
        self.count_update();
        let status = self.status();
        let is_state = |node: &Node| node.as_element().filter(|e| e.is("node_state")).cloned();
        let states: Vec<(usize, Element)> = status
            .nodes()
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((at, is_state(node)?)))
            .collect();
        let by_name: Vec<usize> = states
            .iter()
            .filter(|(_, state)| state.get("uname") == Some(name))
            .map(|(at, _)| *at)
            .collect();
        let by_id = states
            .iter()
            .find(|(_, state)| state.id() == Some(&uuid))
            .map(|(at, _)| *at);
        drop(states);
        let at = match (&by_name[..], by_id) {
            ([at], _) => *at,
            ([], Some(at)) => at,
            ([], None) => {
                status.push(
                    Element::new("node_state")
                        .with("id", &uuid)
                        .with("uname", name),
                );
                status.nodes().len() - 1
            }
            _ => return Err(Error::SeveralStates(name.to_owned())),
        };
        let state = status.nodes_mut()[at]
            .as_element_mut()
            .expect("the place holds a node_state element");
        if state.get("uname") != Some(name) {
            state.set("uname", name);
        }
        Ok(state)
    }

    fn configured_id(&self, name: &str) -> Option<String> {
        let nodes = self.cib.descend(&["configuration", "nodes"])?;
        let node = nodes
            .children()
            .find(|node| node.get("uname") == Some(name))?;
        node.id().map(str::to_owned)
    }

    fn add_node(&mut self, name: &str) {
        if self.configured_id(name).is_none() {
            let nodes = self.cib.child_or_new("configuration").child_or_new("nodes");
            nodes.push(Element::new("node").with("id", name).with("uname", name));
        }
    }

    /// A node as its membership says it is.
    pub fn set_membership(&mut self, name: &str, member: bool, peer: bool) -> Result<(), Error> {
        let state = self.node_state(name, None)?;
        let word = |yes: bool, on: &'static str, off: &'static str| if yes { on } else { off };
        state.set("in_ccm", word(member, "true", "false"));
        state.set("crmd", word(peer, "online", "offline"));
        state.set("join", word(peer, "member", "down"));
        state.set("expected", word(peer, "member", "down"));
        state.set("crm-debug-origin", "crm_simulate");
        Ok(())
    }

    /// A node that is gone, with all that was known about it. (spec 4 §10.6)
    pub fn take_down(&mut self, name: &str, uuid: Option<&str>) -> Result<(), Error> {
        self.node_state(name, uuid)?;
        self.set_membership(name, false, false)?;
        let state = self.node_state(name, uuid)?;
        state.retain_children(|child| !child.is("lrm") && !child.is("transient_attributes"));
        Ok(())
    }

    /// Set an attribute of a ticket.
    pub fn set_ticket(&mut self, ticket: &str, name: &str, value: &str) {
        self.count_update();
        let tickets = self.status().child_or_new("tickets");
        child_with_id(tickets, "ticket_state", ticket).set(name, value);
    }

    /// The value of a transient attribute.
    pub fn attribute(&self, node_name: &str, name: &str) -> Option<&str> {
        let states = self.cib.child("status")?.children_named("node_state");
        let state = states
            .into_iter()
            .find(|state| state.get("uname") == Some(node_name))?;
        let blocks = state
            .child("transient_attributes")?
            .children_named("instance_attributes");
        let mut pairs = blocks.flat_map(Element::children);
        pairs
            .find(|pair| pair.get("name") == Some(name))?
            .get("value")
    }

    /// Set a transient attribute; the id of the node's state comes back.
    pub fn set_attribute(
        &mut self,
        node: (&str, Option<&str>),
        name: &str,
        value: &str,
    ) -> Result<String, Error> {
        let state = self.node_state(node.0, node.1)?;
        let id = state.id().unwrap_or(node.0).to_owned();
        let attributes = child_with_id(state, "transient_attributes", &id);
        let block = child_with_id(attributes, "instance_attributes", &id);
        let pair = child_with_id(block, "nvpair", &xml_name(&format!("{id}-{name}")));
        pair.set("name", name);
        pair.set("value", value);
        Ok(id)
    }

    /// Write a result into the history of a node. (spec 4 §10.3)
    pub fn record(
        &mut self,
        node: (&str, Option<&str>),
        history: &History<'_>,
    ) -> Result<(), Error> {
        let (now_s, forgets) = (self.now_s, self.forgets);
        let state = self.node_state(node.0, node.1)?;
        let id = state.id().unwrap_or(node.0).to_owned();
        let lrm = match state.child("lrm") {
            Some(_) => state.child_or_new("lrm"),
            None => child_with_id(state, "lrm", &id),
        };
        let resources = lrm.child_or_new("lrm_resources");
        if forgets {
            let names = [Some(history.entry), Some(history.rsc), history.known_as];
            names
                .into_iter()
                .flatten()
                .for_each(|id| unite(resources, id));
        }
        let count = |id: &str| {
            let same = resources
                .children_named("lrm_resource")
                .filter(|rsc| rsc.id() == Some(id));
            same.count()
        };
        // Quirk: an entry that is there twice counts as not there; the result starts a new list, which is then
        // merged into the first of the two. Case: inc6.
        // An instance goes by one name on one node: beside an old one a new one would be another resource.
        let older = history.known_as.filter(|id| count(id) == 1);
        let mut history = history.clone();
        let entry = match older {
            _ if count(history.entry) == 1 => history.entry,
            Some(older) if count(history.rsc) == 0 => {
                history.rsc = older;
                older
            }
            _ => history.rsc,
        };
        let found = count(entry);
        if found > 1 {
            merge_duplicates(resources, entry);
        }
        let rsc = child_with_id(resources, "lrm_resource", entry);
        if found == 0 {
            let (class, provider, kind) = history.agent;
            rsc.set("class", class);
            if let Some(provider) = provider {
                rsc.set("provider", provider);
            }
            rsc.set("type", kind);
        }
        let calls = rsc
            .children()
            .filter_map(|op| op.get("call-id")?.parse::<i64>().ok());
        let last = calls.max().filter(|_| found == 1);
        let call = last.unwrap_or(0).max(0) + 1;
        let ids = history.entry_ids();
        if forgets {
            forget_older(rsc, &history, &ids);
        }
        for id in ids {
            let op = child_with_id(rsc, "lrm_rsc_op", &id);
            history.fill(op, call, node.0, now_s);
        }
        Ok(())
    }
}

impl History<'_> {
    /// `reload` is recorded as the start that it replaces, unless it recurs and replaces none.
    pub(super) fn recorded_task(&self) -> &str {
        if matches!(self.task, "reload" | "reload-agent") && self.interval_ms == 0 {
            "start"
        } else {
            self.task
        }
    }

    fn key(&self) -> String {
        format!("{}_{}_{}", self.rsc, self.recorded_task(), self.interval_ms)
    }

    fn entry_ids(&self) -> Vec<String> {
        let rsc = self.rsc;
        if let Some((when, of)) = self.notify {
            return vec![format!("{rsc}_{when}_notify_{of}_0")];
        }
        if matches!(self.task, "migrate_to" | "migrate_from") {
            return vec![self.key()];
        }
        let last = format!("{rsc}_last_0");
        match (self.rc == self.target_rc, self.interval_ms > 0) {
            (false, true) => vec![format!("{rsc}_last_failure_0")],
            (false, false) => vec![format!("{rsc}_last_failure_0"), last],
            (true, true) => vec![self.key()],
            (true, false) => vec![last],
        }
    }

    fn fill(&self, op: &mut Element, call: i64, node: &str, now_s: i64) {
        let rc = if self.notify.is_some() { 0 } else { self.rc };
        let nobody = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        let transition = format!("{call}:-1:{}:{nobody}", self.target_rc);
        op.set("operation_key", &self.key());
        op.set("operation", self.recorded_task());
        op.set("crm-debug-origin", "crm_simulate");
        op.set("crm_feature_set", FEATURE_SET);
        op.set("transition-key", &transition);
        op.set("transition-magic", &format!("0:{rc};{transition}"));
        op.set("exit-reason", self.exit_reason);
        op.set("on_node", node);
        op.set("call-id", &call.to_string());
        op.set("rc-code", &rc.to_string());
        op.set("op-status", "0");
        op.set("interval", &self.interval_ms.to_string());
        op.set("last-rc-change", &now_s.to_string());
        op.set("exec-time", "0");
        op.set("queue-time", "0");
        if let Some((source, target)) = self.migration {
            op.set("migrate_source", source);
            op.set("migrate_target", target);
        }
        if let Some(parameters) = &self.parameters {
            op.set("op-digest", &digest::operation(parameters.iter().copied()));
        }
    }
}

/// Copy the operations of all further entries with this id into the first one.
pub(super) fn merge_duplicates(resources: &mut Element, id: &str) {
    let same = resources
        .children_named("lrm_resource")
        .filter(|rsc| rsc.id() == Some(id));
    let further: Vec<Element> = same.skip(1).cloned().collect();
    let first = child_with_id(resources, "lrm_resource", id);
    for op in further.iter().flat_map(Element::children) {
        let merged = child_with_id(first, op.tag(), op.id().unwrap_or_default());
        for (name, value) in op.attrs() {
            merged.set(name, value);
        }
    }
}

/// The child with this tag and id, appended if there is none.
fn child_with_id<'e>(parent: &'e mut Element, tag: &str, id: &str) -> &'e mut Element {
    let found = parent.nodes().iter().position(|node| {
        node.as_element()
            .is_some_and(|e| e.is(tag) && e.id() == Some(id))
    });
    let at = found.unwrap_or_else(|| {
        parent.push(Element::new(tag).with("id", id));
        parent.nodes().len() - 1
    });
    parent.nodes_mut()[at]
        .as_element_mut()
        .expect("the place holds an element")
}

/// Make an id of any text: what may not stand in an XML name is replaced. (spec 4 §11)
fn xml_name(text: &str) -> String {
    let replace = |(at, c): (usize, char)| match c {
        c if c.is_ascii_alphabetic() || c == '_' => c,
        c if at > 0 && (c.is_ascii_digit() || c == '-' || c == '.') => c,
        c if !c.is_ascii() => c,
        _ if at == 0 => '_',
        _ => '.',
    };
    text.chars().enumerate().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    fn draft(text: &str) -> Draft {
        Draft::new(&parse(text, &Limits::default()).expect("well-formed"), 1000)
    }

    const ONE_NODE: &str = r#"<cib num_updates="4"><configuration><nodes><node id="1" uname="n1"/></nodes></configuration>
        <status><node_state id="1" uname="n1" crmd="online"><lrm id="1"><lrm_resources><lrm_resource id="db" class="ocf" type="Dummy">
        <lrm_rsc_op id="db_last_0" call-id="7" extra="kept"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>"#;

    fn result<'a>(task: &'a str, rc: i32) -> History<'a> {
        History {
            entry: "db",
            rsc: "db",
            known_as: None,
            agent: ("ocf", Some("heartbeat"), "Dummy"),
            task,
            interval_ms: 0,
            rc,
            target_rc: 0,
            exit_reason: "",
            notify: None,
            migration: None,
            parameters: None,
        }
    }

    #[test]
    fn what_a_node_knows_by_an_older_name_stays_under_it() {
        let text = ONE_NODE.replace("\"db\"", "\"db:3\"");
        let entries = |known_as| {
            let mut draft = draft(&text);
            let result = History {
                known_as,
                ..result("stop", 0)
            };
            draft.record(("n1", Some("1")), &result).expect("one state");
            let entries = draft.cib().descendants().filter(|e| e.is("lrm_resource"));
            let ids = entries.map(|entry| {
                (
                    entry.id().unwrap_or_default().to_owned(),
                    entry.children().count(),
                )
            });
            ids.collect::<Vec<_>>()
        };
        assert_eq!(entries(Some("db:3")), [("db:3".to_owned(), 2)]);
        let apart = [("db:3".to_owned(), 1), ("db".to_owned(), 1)];
        assert_eq!(entries(Some("db:4")), apart);
        assert_eq!(entries(None), apart);
    }

    #[test]
    fn a_result_becomes_the_last_one() {
        let mut draft = draft(ONE_NODE);
        draft
            .record(("n1", Some("1")), &result("start", 0))
            .expect("one state");
        let op = draft.cib().find_id("db_last_0").expect("still there");
        assert_eq!(
            (op.get("operation"), op.get("call-id")),
            (Some("start"), Some("8"))
        );
        assert_eq!(op.get("extra"), Some("kept"));
        assert_eq!(draft.cib().get("num_updates"), Some("5"));
    }

    #[test]
    fn a_failure_is_kept_beside_the_last_result() {
        let mut draft = draft(ONE_NODE);
        draft
            .record(("n1", None), &result("start", 1))
            .expect("one state");
        let rc = |id: &str| draft.cib().find_id(id).and_then(|op| op.get("rc-code"));
        assert_eq!(
            (rc("db_last_0"), rc("db_last_failure_0")),
            (Some("1"), Some("1"))
        );
    }

    #[test]
    fn an_unknown_node_gets_a_state() {
        let mut draft = draft(ONE_NODE);
        draft
            .record(("guest", Some("guest")), &result("start", 0))
            .expect("no state yet");
        let state = draft
            .cib()
            .child("status")
            .and_then(|s| s.children().last());
        assert_eq!(state.and_then(|state| state.get("uname")), Some("guest"));
    }

    #[test]
    fn a_fenced_node_is_forgotten() {
        let mut draft = draft(ONE_NODE);
        draft.take_down("n1", Some("1")).expect("one state");
        let state = draft
            .cib()
            .find_id("1")
            .expect("the configured node comes first");
        assert_eq!(state.get("uname"), Some("n1"));
        let state = draft
            .cib()
            .child("status")
            .and_then(|s| s.child("node_state"));
        let state = state.expect("kept");
        assert_eq!(
            (state.get("in_ccm"), state.has_children()),
            (Some("false"), false)
        );
    }

    #[test]
    fn ids_are_made_of_any_text() {
        assert_eq!(
            xml_name("1-fail-count-db#start_0"),
            "_-fail-count-db.start_0"
        );
    }
}
