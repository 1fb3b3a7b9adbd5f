//! 3.x to 4.0: what was deprecated for years is gone. // spec 1 §3.4

use std::collections::BTreeSet;

use super::{drop_empty_sets, each, is_named, remove, section};
use crate::xml::{Element, Node};

pub(super) fn transform(root: &mut Element) {
    named_references(root);
    let Some(configuration) = root.child_mut("configuration") else {
        return;
    };
    pairs(configuration);
    cluster_options(root);
    ping_nodes(root);
    resources(root);
    if let Some(constraints) = section(root, "constraints") {
        lifetimes(constraints);
        one_rule_each(constraints);
    }
    if let Some(topology) = section(root, "fencing-topology") {
        let too_late = |e: &Element| {
            e.is("fencing-level") && e.get("index").and_then(|i| i.parse::<u32>().ok()) > Some(9)
        };
        remove(topology, &too_late);
    }
}

/// A reference to a pair under another name becomes a pair of its own.
fn named_references(root: &mut Element) {
    let is_one = |e: &Element| e.is("nvpair") && e.has("id-ref") && e.has("name");
    if !root.descendants().any(is_one) {
        return;
    }
    let whole = root.clone();
    let mut count = 0;
    each(root, &is_one, &mut |pair| {
        let reference = pair.get("id-ref").unwrap_or_default();
        let target = whole
            .descendants()
            .find(|e| e.is("nvpair") && e.id() == Some(reference));
        let value = target.and_then(|e| e.get("value")).map(str::to_string);
        count += 1;
        let id = format!("pcmk__3_10_upgrade-{reference}-{count}");
        let name = pair.get("name").unwrap_or_default().to_string();
        *pair = Element::new("nvpair")
            .with("id", id)
            .with("name", name)
            .with_some("value", value);
    });
}

fn pairs(configuration: &mut Element) {
    let no_value = |e: &Element| e.is("nvpair") && !e.has("value") && !e.has("id-ref");
    remove(configuration, &no_value);
    each(
        configuration,
        &|e| e.is("date_spec") && e.has("moon"),
        &mut |spec| {
            spec.unset("moon");
        },
    );
    let sets = [
        "meta_attributes",
        "instance_attributes",
        "utilization",
        "cluster_property_set",
    ];
    let repeats = |set: &Element| {
        let names: Vec<_> = set.children().filter_map(|pair| pair.get("name")).collect();
        let default = set.children().any(|e| {
            e.get("value")
                .is_some_and(|v| v.eq_ignore_ascii_case("#default"))
        });
        sets.contains(&set.tag())
            && !default
            && names.iter().collect::<BTreeSet<_>>().len() < names.len()
    };
    each(configuration, &repeats, &mut |set| {
        let mut seen = BTreeSet::new();
        set.retain_children(|pair| match pair.get("name") {
            Some(name) if pair.is("nvpair") => seen.insert(name.to_string()),
            _ => true,
        });
    });
    let in_meta = |set: &Element, names: &[&str]| {
        set.is("meta_attributes") && set.children().any(|pair| is_named(pair, names))
    };
    const GONE: [&str; 3] = ["restart-type", "can_fail", "role_after_failure"];
    each(configuration, &|e| in_meta(e, &GONE), &mut |set| {
        remove(set, &|e| is_named(e, &GONE))
    });
}

fn cluster_options(root: &mut Element) {
    const RENAMED: [(&str, &str); 3] = [
        ("crmd-finalization-timeout", "join-finalization-timeout"),
        ("crmd-integration-timeout", "join-integration-timeout"),
        ("crmd-transition-delay", "transition-delay"),
    ];
    let Some(crm_config) = section(root, "crm_config") else {
        return;
    };
    remove(crm_config, &|e| is_named(e, &["remove-after-stop"]));
    for (old, new) in RENAMED {
        each(crm_config, &|e| is_named(e, &[old]), &mut |pair| {
            pair.set("name", new)
        });
    }
    let poweroff =
        |e: &Element| is_named(e, &["stonith-action"]) && e.get("value") == Some("poweroff");
    each(crm_config, &poweroff, &mut |pair| pair.set("value", "off"));
}

fn ping_nodes(root: &mut Element) {
    let mut pinged = Vec::new();
    let Some(nodes) = section(root, "nodes") else {
        return;
    };
    let is_ping = |e: &Element| e.is("node") && e.get("type") == Some("ping");
    each(nodes, &is_ping, &mut |node| {
        node.set("type", "member");
        pinged.extend(node.get("uname").map(str::to_string));
    });
    let Some(configuration) = root
        .child_mut("configuration")
        .filter(|_| !pinged.is_empty())
    else {
        return;
    };
    let constraints = configuration.child_or_new("constraints");
    for name in pinged {
        constraints.push(
            Element::new("rsc_location")
                .with("id", format!("pcmk__3_10_upgrade-ping-{name}"))
                .with("rsc-pattern", ".*")
                .with("node", name)
                .with("score", "-INFINITY")
                .with("resource-discovery", "never"),
        );
    }
}

fn resources(root: &mut Element) {
    let Some(resources) = section(root, "resources") else {
        return;
    };
    each(resources, &|e| e.is("master"), &mut |master| {
        let id = format!(
            "{}-pcmk__3_10_upgrade-meta",
            master.id().unwrap_or_default()
        );
        let promotable = Element::new("nvpair")
            .with("id", format!("{id}-promotable"))
            .with("name", "promotable")
            .with("value", "true");
        let meta = Element::new("meta_attributes")
            .with("id", id)
            .with("score", "INFINITY")
            .with_child(promotable);
        master.set_tag("clone");
        master.nodes_mut().insert(0, Node::Element(meta));
    });
    let has_masters =
        |e: &Element| matches!(e.tag(), "docker" | "podman" | "rkt") && e.has("masters");
    each(resources, &has_masters, &mut |container| {
        let masters = container.get("masters").unwrap_or_default().to_string();
        container.unset("masters");
        if !container.has("promoted-max") {
            container.set("promoted-max", &masters);
        }
    });
    drop_resources(root);
}

/// Classes that no executor knows any more, and rkt containers.
fn drop_resources(root: &mut Element) {
    let Some(resources) = section(root, "resources") else {
        return;
    };
    let obsolete = |e: &Element| {
        let class = e.get("class").unwrap_or_default();
        class.eq_ignore_ascii_case("nagios") || class.eq_ignore_ascii_case("upstart")
    };
    let templates: BTreeSet<String> = resources
        .children_named("template")
        .filter(|e| obsolete(e))
        .filter_map(|e| e.id().map(str::to_string))
        .collect();
    let goes = |e: &Element| match e.tag() {
        "primitive" => obsolete(e) || e.get("template").is_some_and(|id| templates.contains(id)),
        "template" => obsolete(e),
        "bundle" => e.child("rkt").is_some(),
        _ => false,
    };
    let before = resources.clone();
    remove(resources, &goes);
    let hollow = |e: &Element| match e.tag() {
        "group" => e.child("primitive").is_none(),
        "clone" => e.child("primitive").is_none() && e.child("group").is_none(),
        _ => false,
    };
    remove(resources, &hollow);
    remove(resources, &hollow);
    if before.ptr_eq(resources) || before == *resources {
        return;
    }
    let ids = |top: &Element| -> BTreeSet<String> {
        let tags = ["primitive", "group", "clone", "bundle", "template"];
        let found = top.descendants().filter(|e| tags.contains(&e.tag()));
        found.filter_map(|e| e.id().map(str::to_string)).collect()
    };
    let gone: BTreeSet<String> = &ids(&before) - &ids(resources);
    let names_gone = |id: Option<&str>| id.is_some_and(|id| gone.contains(id));
    let Some(configuration) = root.child_mut("configuration") else {
        return;
    };
    remove(configuration, &|e| {
        matches!(e.tag(), "resource_ref" | "obj_ref") && names_gone(e.id())
    });
    let had_sets = |e: &Element| e.is("resource_set") && !e.has_children() && !e.has("id-ref");
    let Some(constraints) = configuration.child_mut("constraints") else {
        return;
    };
    remove(constraints, &|e| {
        ["rsc", "with-rsc", "first", "then"]
            .iter()
            .any(|name| names_gone(e.get(name)))
            || (e.children().any(had_sets) && e.children_named("resource_set").all(had_sets))
    });
    each(
        constraints,
        &|e| e.children().any(had_sets),
        &mut |constraint| {
            drop_empty_sets(constraint, &["resource_set"]);
        },
    );
}

/// The time for which a constraint holds becomes part of its rule.
fn lifetimes(constraints: &mut Element) {
    each(
        constraints,
        &|e| e.child("lifetime").is_some(),
        &mut |constraint| {
            let lifetimes: Vec<Element> = constraint
                .children_named("lifetime")
                .flat_map(Element::children)
                .filter(|e| e.is("rule"))
                .cloned()
                .collect();
            constraint.retain_children(|e| !e.is("lifetime"));
            if !constraint.is("rsc_location") || lifetimes.is_empty() {
                return;
            }
            let id = format!(
                "pcmk__3_10_upgrade-{}-lifetime",
                constraint.id().unwrap_or_default()
            );
            let mut time = match <[Element; 1]>::try_from(lifetimes) {
                Ok([only]) => only,
                Err(several) => Element::new("rule")
                    .with("id", format!("{id}-any"))
                    .with("boolean-op", "or")
                    .with_children(several),
            };
            time.unset("score");
            let old = constraint.child("rule").cloned();
            constraint.retain_children(|e| !e.is("rule"));
            let mut both = Element::new("rule")
                .with("id", &id)
                .with("boolean-op", "and");
            match old {
                Some(mut rule) => {
                    for name in ["score", "score-attribute", "role"] {
                        if let Some(value) = rule.get(name).map(str::to_string) {
                            both.set(name, &value);
                            rule.unset(name);
                        }
                    }
                    both.push(rule);
                }
                None => {
                    both.set("score", constraint.get("score").unwrap_or("0"));
                    let expression = Element::new("expression")
                        .with("id", format!("{id}-node"))
                        .with("attribute", "#uname")
                        .with("operation", "eq")
                        .with("value", constraint.get("node").unwrap_or_default());
                    let rule = Element::new("rule").with("id", format!("{id}-rule"));
                    both.push(rule.with_child(expression));
                    constraint.unset("score");
                    constraint.unset("node");
                }
            }
            both.push(time);
            constraint.push(both);
        },
    );
}

/// A location constraint with several rules becomes one constraint for each.
fn one_rule_each(constraints: &mut Element) {
    let several = |e: &Element| e.is("rsc_location") && e.children_named("rule").count() > 1;
    if !constraints.children().any(several) {
        return;
    }
    let old = constraints.nodes().to_vec();
    let new = constraints.nodes_mut();
    new.clear();
    for node in old {
        let Some(constraint) = node.as_element().filter(|e| several(e)) else {
            new.push(node);
            continue;
        };
        let id = constraint.id().unwrap_or_default();
        for (number, rule) in (1..).zip(constraint.children_named("rule")) {
            let mut copy = constraint.clone();
            copy.set("id", &format!("pcmk__3_10_upgrade-{id}-{number}"));
            copy.retain_children(|e| !e.is("rule") && (number == 1 || !e.is("resource_set")));
            if number > 1 {
                for set in constraint.children_named("resource_set") {
                    let mut set = set.clone();
                    let set_id = set
                        .id()
                        .map(|id| format!("pcmk__3_10_upgrade-{id}-{number}"));
                    set_id.iter().for_each(|id| set.set("id", id));
                    copy.push(set);
                }
            }
            copy.push(rule.clone());
            new.push(Node::Element(copy));
        }
    }
}
