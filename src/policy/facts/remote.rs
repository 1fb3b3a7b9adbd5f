//! Remote and guest nodes: found in the configuration before resources are read, linked to their connections after
//! (spec 1 §14).

use super::Facts;
use super::bundle::set;
use super::node::Node;
use crate::policy::index::RscIdx;
use crate::terms::NodeName;
use crate::xml::Element;

/// What `remote-*` meta-attributes ask for.
#[derive(Debug, Default)]
pub(super) struct Implied {
    pub(super) node: Option<String>,
    pub(super) address: Option<String>,
    pub(super) port: Option<String>,
    pub(super) connect_timeout: Option<String>,
    pub(super) allow_migrate: Option<String>,
    pub(super) is_managed: Option<String>,
}

/// Creates the nodes that resources imply, and the connections which nobody wrote: these are to be read after all
/// configured resources. // spec 1 §14.1
pub(super) fn scan(facts: &mut Facts, resources: &Element) -> Vec<Element> {
    let mut implied = Vec::new();
    for child in resources.children() {
        match child.tag() {
            "primitive" if is_connection(child) => {
                ensure_node(facts, child.get("id").unwrap_or_default());
            }
            "primitive" => scan_primitive(facts, child, &mut implied),
            "group" => {
                for member in child.children_named("primitive") {
                    scan_primitive(facts, member, &mut implied);
                }
            }
            _ => {}
        }
    }
    implied
}

fn scan_primitive(facts: &mut Facts, primitive: &Element, implied: &mut Vec<Element>) {
    let mut found = Implied::default();
    let pairs = primitive
        .children_named("meta_attributes")
        .flat_map(|m| m.children_named("nvpair"));
    for pair in pairs {
        let slot = match pair.get("name") {
            Some("remote-node") => &mut found.node,
            Some("remote-addr") => &mut found.address,
            Some("remote-port") => &mut found.port,
            Some("remote-connect-timeout") => &mut found.connect_timeout,
            Some("remote-allow-migrate") => &mut found.allow_migrate,
            Some("is-managed") => &mut found.is_managed,
            _ => continue,
        };
        *slot = pair.get("value").map(str::to_owned);
    }
    let Some(node) = found.node.clone() else {
        return;
    };
    found.connect_timeout.get_or_insert_with(|| "60s".into());
    implied.push(implied_connection(
        &node,
        primitive.get("id").unwrap_or_default(),
        &found,
    ));
    ensure_node(facts, &node);
}

fn is_connection(primitive: &Element) -> bool {
    [
        ("class", "ocf"),
        ("provider", "pacemaker"),
        ("type", "remote"),
    ]
    .into_iter()
    .all(|(name, wanted)| {
        primitive
            .get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    })
}

/// Creates a remote node of that name unless there is one.
pub(super) fn ensure_node(facts: &mut Facts, name: &str) {
    if facts.node_by_name(name).is_none() {
        let mut node = Node::new(name.into(), NodeName::from(name), true);
        node.attributes.set("#kind", "remote");
        facts.add_node(node);
    }
}

/// The connection primitive that reaches into what `launcher` launches. // spec 1 §14.2
pub(super) fn implied_connection(id: &str, launcher: &str, implied: &Implied) -> Element {
    let mut meta = vec![("internal_rsc", "true"), ("container", launcher)];
    meta.extend(
        implied
            .allow_migrate
            .as_deref()
            .map(|value| ("allow-migrate", value)),
    );
    meta.extend(
        implied
            .is_managed
            .as_deref()
            .map(|value| ("is-managed", value)),
    );
    let mut out = Element::new("primitive")
        .with("id", id)
        .with("class", "ocf")
        .with("provider", "pacemaker")
        .with("type", "remote")
        .with_child(set(
            "meta_attributes",
            &format!("{id}-meta_attributes"),
            &meta,
        ));
    let mut params = Vec::new();
    params.extend(implied.address.as_deref().map(|value| ("addr", value)));
    params.extend(implied.port.as_deref().map(|value| ("port", value)));
    if !params.is_empty() {
        let block = format!("{id}-instance_attributes");
        out = out.with_child(set("instance_attributes", &block, &params));
    }
    let op = |name: &str, interval: &str, timeout: &str| {
        Element::new("op")
            .with("id", format!("{id}-{name}-{interval}"))
            .with("interval", interval)
            .with("name", name)
            .with("timeout", timeout)
    };
    let mut operations = Element::new("operations").with_child(op("monitor", "30s", "30s"));
    if let Some(timeout) = &implied.connect_timeout {
        operations = operations.with_child(op("start", "0", timeout));
    }
    out.with_child(operations)
}

/// Links resources to what launches them, and connections to their nodes. // spec 1 §14.3
pub(super) fn link(facts: &mut Facts) {
    for top in facts.top.clone() {
        for leaf in facts.leaves(top) {
            link_launcher(facts, leaf);
        }
        link_connection(facts, top);
    }
}

fn link_launcher(facts: &mut Facts, leaf: RscIdx) {
    let Some(container) = facts.rscs[leaf].meta.get("container").map(str::to_owned) else {
        return;
    };
    match facts.rsc_by_id(&container) {
        Some(launcher) if launcher != leaf => {
            facts.rscs[leaf].launcher = Some(launcher);
            facts.rscs[launcher].launched.push(leaf);
        }
        Some(_) => {}
        None => {
            let id = facts.rscs[leaf].id.clone();
            facts.warn(format!(
                "`{id}` runs in `{container}`, which does not exist"
            ));
        }
    }
}

/// Gives the node of that name its connection, if the resource is one.
pub(super) fn link_connection(facts: &mut Facts, rsc: RscIdx) {
    if !facts.rscs[rsc].flags.connection {
        return;
    }
    let Some(node) = facts.node_by_name(facts.rscs[rsc].id.clone().as_str()) else {
        return;
    };
    facts.nodes[node].connection = Some(rsc);
    facts.nodes[node].pacemaker_remote = true;
    if facts.rscs[rsc].launcher.is_none() {
        facts.nodes[node].unclean = facts.options.startup_fencing;
    } else {
        facts.nodes[node].attributes.set("#kind", "container");
    }
}
