//! 2.x to 3.0: options with underscores, defaults that were cluster options, parameters that were no parameters.
//! // spec 1 §3.3

use super::{add_pair, drop_empty_sets, each, is_named, pair, remove, section};
use crate::xml::{Element, Node};

pub(super) fn transform(root: &mut Element) {
    expand_references(root);
    cluster_options(root);
    if let Some(nodes) = section(root, "nodes") {
        let normal = |e: &Element| e.is("node") && e.get("type") == Some("normal");
        each(nodes, &normal, &mut |node| node.set("type", "member"));
    }
    if let Some(resources) = section(root, "resources") {
        let agents = |e: &Element| matches!(e.tag(), "primitive" | "template");
        each(resources, &agents, &mut parameters);
        let collectives = |e: &Element| {
            matches!(
                e.tag(),
                "primitive" | "template" | "group" | "clone" | "master"
            )
        };
        each(resources, &collectives, &mut meta);
        each(resources, &agents, &mut operations);
    }
    if let Some(constraints) = section(root, "constraints") {
        let scored = |e: &Element| {
            e.is("rsc_colocation") && (e.has("score-attribute") || e.has("score-attribute-mangle"))
        };
        each(constraints, &scored, &mut |constraint| {
            constraint.unset("score-attribute");
            constraint.unset("score-attribute-mangle");
        });
    }
}

/// Sets of operations that are shared by reference are written out where they are used, since what is moved out of the
/// operation would be missing there.
fn expand_references(root: &mut Element) {
    let shared: Vec<Element> = root
        .descendants()
        .filter(|op| op.is("op"))
        .flat_map(Element::children)
        .filter(|set| set.id().is_some() && MOVED.iter().any(|name| pair(set, name).is_some()))
        .cloned()
        .collect();
    if shared.is_empty() {
        return;
    }
    let mut uses = 0;
    let refers = |e: &Element| {
        e.get("id-ref").is_some_and(|id| {
            shared
                .iter()
                .any(|set| set.is(e.tag()) && set.id() == Some(id))
        })
    };
    each(root, &refers, &mut |reference| {
        let id = reference.get("id-ref").unwrap_or_default().to_string();
        let Some(set) = shared.iter().find(|set| set.id() == Some(id.as_str())) else {
            return;
        };
        uses += 1;
        let again = if uses > 1 {
            format!("{uses}_")
        } else {
            String::new()
        };
        let mut copy = set.clone();
        copy.set("id", &format!("_cibtr-2_{again}{id}"));
        for pair in copy.children_mut() {
            let own = pair.id().unwrap_or_default().to_string();
            pair.set("id", &format!("__cibtr-2_{again}{id}__{own}"));
        }
        *reference = copy;
    });
}

const UNDERSCORED: [&str; 12] = [
    "cluster_recheck_interval",
    "dc_deadtime",
    "election_timeout",
    "no_quorum_policy",
    "remove_after_stop",
    "shutdown_escalation",
    "startup_fencing",
    "stonith_action",
    "stonith_enabled",
    "stop_orphan_actions",
    "stop_orphan_resources",
    "symmetric_cluster",
];

const DROPPED: [&str; 4] = [
    "default-migration-threshold",
    "expected-quorum-votes",
    "notification-agent",
    "notification-recipient",
];

/// Where a cluster option of old has gone: section, name, value.
fn moved_default(name: &str, value: &str) -> Option<Option<(&'static str, &'static str, String)>> {
    let threshold = || ("rsc_defaults", "migration-threshold", "1".to_string());
    Some(match name {
        "default-action-timeout" => Some(("op_defaults", "timeout", value.into())),
        "default-resource-stickiness" => {
            Some(("rsc_defaults", "resource-stickiness", value.into()))
        }
        "is-managed-default" => Some(("rsc_defaults", "is-managed", value.into())),
        "default-resource-failure-stickiness" => (value == "-INFINITY").then(threshold),
        _ => return None,
    })
}

fn cluster_options(root: &mut Element) {
    let mut moved: Vec<(&'static str, Element)> = Vec::new();
    let Some(crm_config) = section(root, "crm_config") else {
        return;
    };
    let is_set = |e: &Element| e.is("cluster_property_set");
    each(crm_config, &is_set, &mut |set| {
        let rule = set.child("rule").cloned();
        let set_id = set.id().unwrap_or("cluster").to_string();
        let old = set.nodes().to_vec();
        let mut kept: Vec<Node> = Vec::new();
        for node in old {
            let Some(pair) = node
                .as_element()
                .filter(|e| e.is("nvpair") && e.has("name"))
            else {
                kept.push(node);
                continue;
            };
            let (name, value) = (pair.get("name").unwrap_or_default(), pair.get("value"));
            let value = value.unwrap_or_default();
            let dashed = name.replace('_', "-");
            if DROPPED.contains(&dashed.as_str()) {
                continue;
            }
            let mut pair = pair.clone();
            match moved_default(&dashed, value) {
                Some(Some((section, name, value))) => {
                    pair.set("name", name);
                    pair.set("value", &value);
                    moved.push((section, moved_set(&set_id, section, rule.as_ref(), pair)));
                    continue;
                }
                Some(None) => continue,
                None => {}
            }
            if UNDERSCORED.contains(&name) {
                pair.set("name", &dashed);
            } else if dashed == "transition-idle-timeout" {
                pair.set("name", "cluster-delay");
            }
            kept.push(Node::Element(pair));
        }
        if *set.nodes() != kept {
            *set.nodes_mut() = kept;
        }
    });
    let Some(configuration) = root
        .child_mut("configuration")
        .filter(|_| !moved.is_empty())
    else {
        return;
    };
    // At the front: of equal sets the last one wins, and what was set as a default itself is to win.
    for (section, set) in moved.into_iter().rev() {
        configuration
            .child_or_new(section)
            .nodes_mut()
            .insert(0, Node::Element(set));
    }
}

fn moved_set(set_id: &str, section: &str, rule: Option<&Element>, pair: Element) -> Element {
    let name = pair.get("name").unwrap_or_default();
    let id = format!("{set_id}-{section}-{name}");
    let mut set = Element::new("meta_attributes").with("id", &id);
    if let Some(rule) = rule {
        let mut rule = rule.clone();
        rename_ids(&mut rule, &id);
        set.push(rule);
    }
    set.with_child(pair)
}

/// Ids of a copy must not be those of the original.
fn rename_ids(element: &mut Element, prefix: &str) {
    if let Some(id) = element.id().map(|id| format!("{prefix}-{id}")) {
        element.set("id", &id);
    }
    element
        .children_mut()
        .for_each(|child| rename_ids(child, prefix));
}

fn parameters(rsc: &mut Element) {
    const COMMANDS: [&str; 6] = [
        "pcmk_list_cmd",
        "pcmk_monitor_cmd",
        "pcmk_off_cmd",
        "pcmk_on_cmd",
        "pcmk_reboot_cmd",
        "pcmk_status_cmd",
    ];
    let is_command = |e: &Element| is_named(e, &COMMANDS);
    for set in rsc
        .children_mut()
        .filter(|set| set.is("instance_attributes"))
    {
        each(set, &is_command, &mut |pair| {
            let name = pair
                .get("name")
                .unwrap_or_default()
                .replace("_cmd", "_action");
            pair.set("name", &name);
        });
        let is_map = |e: &Element| is_named(e, &["pcmk_arg_map"]);
        let is_port = |e: &Element| e.get("value").is_some_and(|v| v.starts_with("port:"));
        remove(set, &|e| is_map(e) && !is_port(e));
        each(set, &is_map, &mut |pair| {
            let value = pair
                .get("value")
                .unwrap_or_default()
                .replacen("port:", "", 1);
            pair.set("name", "pcmk_host_argument");
            pair.set("value", &value);
        });
    }
}

fn meta(rsc: &mut Element) {
    const ISOLATION: [&str; 4] = [
        "isolation",
        "isolation-host",
        "isolation-instance",
        "isolation-wrapper",
    ];
    for set in rsc.children_mut().filter(|set| set.is("meta_attributes")) {
        if ISOLATION.iter().any(|name| pair(set, name).is_some()) {
            remove(set, &|e| is_named(e, &["target-role"]));
            let first = set.children().find(|e| is_named(e, &ISOLATION)).cloned();
            remove(set, &|e| is_named(e, &ISOLATION));
            if let Some(mut pair) = first {
                pair.set("name", "target-role");
                pair.set("value", "Stopped");
                set.push(pair);
            }
        }
        let stickiness = |e: &Element| is_named(e, &["resource-failure-stickiness"]);
        remove(set, &|e| {
            stickiness(e) && e.get("value") != Some("-INFINITY")
        });
        each(set, &stickiness, &mut |pair| {
            pair.set("name", "migration-threshold");
            pair.set("value", "1");
        });
    }
}

/// Names that are no parameters of an agent, though they were written among them.
const MOVED: [&str; 8] = [
    "requires",
    "interval-origin",
    "start-delay",
    "enabled",
    "on-fail",
    "record-pending",
    "role",
    "timeout",
];

fn operations(rsc: &mut Element) {
    let mut requires = None;
    let concerned = |e: &Element| {
        e.is("op")
            && (e.has("requires")
                || e.descendants().any(|pair| is_named(pair, &["requires"]))
                || e.children_named("instance_attributes")
                    .any(|set| MOVED.iter().any(|n| pair(set, n).is_some())))
    };
    each(rsc, &concerned, &mut |op| {
        let begins = matches!(op.get("name"), Some("start" | "promote"));
        let written = op.descendants().find(|e| is_named(e, &["requires"]));
        let value = op.get("requires").or(written.and_then(|e| e.get("value")));
        if begins && requires.is_none() {
            requires = value.map(str::to_string);
        }
        op.unset("requires");
        remove(op, &|e| is_named(e, &["requires"]));
        let mut moved: Vec<(String, String)> = Vec::new();
        for set in op.children().filter(|set| set.is("instance_attributes")) {
            let names = set.children().filter(|e| is_named(e, &MOVED));
            moved.extend(
                names.filter_map(|e| Some((e.get("name")?.into(), e.get("value")?.into()))),
            );
        }
        for set in op
            .children_mut()
            .filter(|set| set.is("instance_attributes"))
        {
            remove(set, &|e| is_named(e, &MOVED));
        }
        moved
            .iter()
            .for_each(|(name, value)| add_pair(op, "meta_attributes", name, value));
        drop_empty_sets(op, &["instance_attributes", "meta_attributes"]);
    });
    if let Some(value) = requires {
        add_pair(rsc, "meta_attributes", "requires", &value);
    }
}
