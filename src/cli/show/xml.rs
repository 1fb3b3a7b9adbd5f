//! The same status as elements, with the names and nesting that crmsh, pcs and other clients read. (spec 4 §15)

use std::sync::Arc;

use super::clone::configured_role;
use super::nodes::{Health, feature_set, health};
use super::resources::{description, is_active, is_disabled, parts_of, pending_word, shown_role};
use super::status::Wanted;
use crate::policy::facts::{Facts, Kind, NodeKind, Ticket};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::{CrmExit, DateTime, ExecStatus, OcfExit};
use crate::xml::{Element, Node};

/// Version of the output's form that we follow.
const API_VERSION: &str = "2.42";

/// An element that holds only text.
pub(crate) fn text_element(tag: &str, text: &str) -> Element {
    let mut element = Element::new(tag);
    element.nodes_mut().push(Node::Text(Arc::new(text.into())));
    element
}

/// How the output writes a yes or no.
pub(crate) fn yes_no(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

/// A whole answer: what was asked, the content, how it ended.
pub fn envelope(
    request: &str,
    content: impl IntoIterator<Item = Element>,
    exit: CrmExit,
    errors: &[String],
) -> Element {
    let mut status = Element::new("status")
        .with("code", exit.0.to_string())
        .with("message", exit.text());
    if !errors.is_empty() {
        let errors = errors.iter().map(|text| text_element("error", text));
        status = status.with_child(Element::new("errors").with_children(errors));
    }
    Element::new("pacemaker-result")
        .with("api-version", API_VERSION)
        .with("request", request)
        .with_children(content)
        .with_child(status)
}

/// `nodes`: every node that passes the filter.
pub fn nodes(facts: &Facts, wanted: &Wanted) -> Element {
    let shown = facts
        .node_order
        .iter()
        .copied()
        .filter(|node| wanted.shows_node(facts, *node));
    Element::new("nodes").with_children(shown.map(|node| node_element(facts, node, wanted)))
}

fn node_element(facts: &Facts, node: NodeIdx, wanted: &Wanted) -> Element {
    let it = &facts.nodes[node];
    let kind = facts.node_kind(node);
    let member = kind == NodeKind::Cluster;
    let expected_up = it.expected_up && member;
    let health = match health(facts, node) {
        Health::Good => "green",
        Health::Middling => "yellow",
        Health::Bad => "red",
    };
    let feature_set = feature_set(facts, node);
    let host = facts.host_container(node).filter(|_| facts.is_guest(node));
    let mut element = Element::new("node")
        .with("name", it.name.as_str())
        .with("id", &it.id)
        .with("online", yes_no(it.online))
        .with("standby", yes_no(it.standby))
        .with("standby_onfail", yes_no(it.standby_on_fail))
        .with("maintenance", yes_no(it.maintenance))
        .with("pending", yes_no(it.pending))
        .with("unclean", yes_no(it.unclean))
        .with("health", health)
        .with_some("feature_set", feature_set)
        .with("shutdown", yes_no(it.shutdown))
        .with("expected_up", yes_no(expected_up))
        .with("is_dc", yes_no(it.is_dc))
        .with("resources_running", it.running.len().to_string())
        .with("type", if member { "member" } else { "remote" })
        .with_some(
            "id_as_resource",
            host.map(|rsc| facts.rscs[rsc].id.as_str()),
        );
    if wanted.by_node {
        let wanted = &Wanted {
            below_node: true,
            ..wanted.clone()
        };
        let running = it
            .running
            .iter()
            .filter(|rsc| wanted.shows_rsc(facts, **rsc))
            .map(|rsc| resource_element(facts, *rsc, wanted));
        element = element.with_children(running);
    }
    element
}

/// `resources`: all of them but removed ones that do not run; nothing when there is none. What is not asked for leaves
/// it empty.
pub fn resources(facts: &Facts, wanted: &Wanted) -> Option<Element> {
    let shown = facts.top.iter().copied().filter(|rsc| {
        let gone = facts.rscs[*rsc].flags.removed && !is_active(facts, *rsc, false);
        let elsewhere = !wanted.by_node && wanted.elsewhere(facts, *rsc);
        !gone && !(wanted.by_node && is_active(facts, *rsc, true)) && !elsewhere
    });
    let shown: Vec<RscIdx> = shown.collect();
    let asked = shown.iter().filter(|rsc| wanted.shows_rsc(facts, **rsc));
    let elements = asked.map(|rsc| element(facts, *rsc, wanted));
    (!shown.is_empty()).then(|| Element::new("resources").with_children(elements))
}

/// A resource and what is in it.
pub(crate) fn element(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Element {
    match &facts.rscs[rsc].kind {
        Kind::Primitive => resource_element(facts, rsc, wanted),
        Kind::Group(_) => group_element(facts, rsc, wanted),
        Kind::Clone(_) => clone_element(facts, rsc, wanted),
        Kind::Bundle(_) => bundle_element(facts, rsc, wanted),
    }
}

fn resource_element(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Element {
    let it = &facts.rscs[rsc];
    let agent = &it.agent;
    let agent = match &agent.provider {
        Some(provider) => format!("{}:{provider}:{}", agent.class, agent.kind),
        None => format!("{}:{}", agent.class, agent.kind),
    };
    let role = match pending_word(facts, rsc).filter(|_| wanted.pending) {
        Some(word) => word.to_owned(),
        None => shown_role(facts, rsc).to_string(),
    };
    let pending = it
        .pending
        .as_ref()
        .filter(|pending| &*pending.task == "monitor");
    let locked = it.lock.map(|(node, _)| facts.nodes[node].name.as_str());
    let mut element = Element::new("resource")
        .with("id", it.printable_id().as_str())
        .with("resource_agent", agent)
        .with("role", role)
        .with_some("target_role", it.meta.get("target-role"))
        .with("active", yes_no(is_active(facts, rsc, true)))
        .with("orphaned", yes_no(it.flags.removed))
        .with("removed", yes_no(it.flags.removed))
        .with("blocked", yes_no(it.flags.blocked))
        .with("maintenance", yes_no(it.flags.maintenance))
        .with("managed", yes_no(it.flags.managed))
        .with("failed", yes_no(it.flags.failed))
        .with("failure_ignored", yes_no(it.flags.failure_ignored))
        .with("nodes_running_on", it.active.len().to_string())
        .with_some(
            "pending",
            pending.filter(|_| wanted.pending).map(|_| "Monitoring"),
        )
        .with_some("locked_to", locked)
        .with_some("description", description(facts, rsc, wanted));
    let nodes = it.active.iter().map(|node| {
        let node = &facts.nodes[*node];
        Element::new("node")
            .with("name", node.name.as_str())
            .with("id", &node.id)
            .with("cached", yes_no(node.online))
    });
    element = element.with_children(nodes);
    element
}

fn group_element(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Element {
    let it = &facts.rscs[rsc];
    let shown = |child: &RscIdx| wanted.shows_rsc(facts, *child);
    let before = it.children.iter().take_while(|child| !shown(child)).count();
    let members = it.children.iter().filter(|child| shown(child));
    let members = members.map(|child| resource_element(facts, *child, wanted));
    // Quirk: members before the first one that is shown are not counted. (spec 4 §15.4)
    let number = it.children.len() - before;
    Element::new("group")
        .with("id", it.id.as_str())
        .with("number_resources", number.to_string())
        .with("maintenance", yes_no(it.flags.maintenance))
        .with("managed", yes_no(it.flags.managed))
        .with("disabled", yes_no(is_disabled(facts, rsc)))
        .with_some("description", description(facts, rsc, wanted))
        .with_children(members)
}

fn clone_element(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Element {
    let it = &facts.rscs[rsc];
    // As it is written, if it is a request.
    let target = it
        .meta
        .get("target-role")
        .filter(|_| configured_role(facts, rsc).is_some());
    let instances = it
        .children
        .iter()
        .filter(|child| !facts.rscs[**child].flags.removed || is_active(facts, **child, false))
        .filter(|child| wanted.shows_rsc(facts, **child) && !wanted.elsewhere(facts, **child));
    Element::new("clone")
        .with("id", it.id.as_str())
        .with("multi_state", yes_no(it.flags.promotable))
        .with("unique", yes_no(it.flags.unique))
        .with("maintenance", yes_no(it.flags.maintenance))
        .with("managed", yes_no(it.flags.managed))
        .with("disabled", yes_no(is_disabled(facts, rsc)))
        .with("failed", yes_no(it.flags.failed))
        .with("failure_ignored", yes_no(it.flags.failure_ignored))
        .with_some("target_role", target)
        .with_some("description", description(facts, rsc, wanted))
        .with_children(instances.map(|child| element(facts, *child, wanted)))
}

fn bundle_element(facts: &Facts, rsc: RscIdx, wanted: &Wanted) -> Element {
    let it = &facts.rscs[rsc];
    let Some(bundle) = it.bundle() else {
        return Element::new("bundle");
    };
    let shown = bundle.replicas.iter().filter(|replica| {
        parts_of(replica).any(|part| wanted.shows_rsc(facts, part))
            && !wanted.elsewhere(facts, replica.container)
    });
    let replicas = shown.map(|replica| {
        let parts = parts_of(replica)
            .filter(|part| wanted.shows_rsc(facts, *part))
            .map(|part| resource_element(facts, part, wanted));
        Element::new("replica")
            .with("id", replica.offset.to_string())
            .with_children(parts)
    });
    Element::new("bundle")
        .with("id", it.id.as_str())
        .with("type", bundle.container_kind)
        .with("image", &bundle.image)
        .with("unique", yes_no(it.flags.unique))
        .with("maintenance", yes_no(it.flags.maintenance))
        .with("managed", yes_no(it.flags.managed))
        .with("failed", yes_no(it.flags.failed))
        .with_some("description", description(facts, rsc, wanted))
        .with_children(replicas)
}

/// `failures`, when there are any.
pub fn failures(facts: &Facts, wanted: &Wanted) -> Option<Element> {
    let elements: Vec<Element> = super::sections::shown_failures(facts, wanted)
        .map(|failed| {
            let (entry, at) = failed.entry;
            let op = &facts.history.at(entry).recorded.ops[at];
            let name = if op.element.get("operation_key").is_some() {
                "op_key"
            } else {
                "id"
            };
            let reason = op.element.get("exit-reason");
            let status = ExecStatus::from_code(failed.status).map_or("Unknown", ExecStatus::text);
            let mut element = Element::new("failure")
                .with(name, &failed.key)
                .with("node", facts.nodes[failed.node].name.as_str())
                .with("exitstatus", OcfExit(failed.rc).text())
                .with("exitreason", reason.unwrap_or("none"))
                .with("exitcode", failed.rc.to_string())
                .with("call", op.call_id.to_string())
                .with("status", status);
            if let Some(time_s) = op.last_rc_change {
                let date = DateTime::from_epoch(time_s).at_offset(wanted.utc_offset_s);
                element = element
                    .with("last-rc-change", date.to_string())
                    .with("queued", op.element.get("queue-time").unwrap_or("0"))
                    .with("exec", op.element.get("exec-time").unwrap_or("0"))
                    .with("interval", op.interval_ms.to_string())
                    .with("task", &op.task);
            }
            element
        })
        .collect();
    (!elements.is_empty()).then(|| Element::new("failures").with_children(elements))
}

/// `node_attributes`, when there are any.
pub fn node_attributes(facts: &Facts, wanted: &Wanted) -> Option<Element> {
    let elements: Vec<Element> = super::sections::shown_attributes(facts, wanted)
        .into_iter()
        .map(|(node, attributes)| {
            let attributes = attributes.into_iter().map(|(name, value, expected)| {
                Element::new("attribute")
                    .with("name", name)
                    .with("value", value)
                    .with_some("expected", expected.map(|expected| expected.to_string()))
            });
            let name = facts.nodes[node].name.as_str();
            Element::new("node")
                .with("name", name)
                .with_children(attributes)
        })
        .collect();
    (!elements.is_empty()).then(|| Element::new("node_attributes").with_children(elements))
}

/// `tickets`, when there are any.
pub fn tickets(facts: &Facts) -> Option<Element> {
    let elements: Vec<Element> = facts
        .tickets
        .iter()
        .map(|(id, ticket)| ticket_element(id, ticket))
        .collect();
    (!elements.is_empty()).then(|| Element::new("tickets").with_children(elements))
}

/// A ticket: what counts, and all that its state says.
pub(crate) fn ticket_element(id: &str, ticket: &Ticket) -> Element {
    let mut element = Element::new("ticket")
        .with("id", id)
        .with("status", if ticket.granted { "granted" } else { "revoked" })
        .with("standby", yes_no(ticket.standby));
    for (name, value) in ticket.state.iter().filter(|(name, _)| *name != "standby") {
        element.set(name, value);
    }
    element
}
