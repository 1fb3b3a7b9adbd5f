//! The list of nodes: those with something to say on a line of their own, the others gathered. (spec 4 §4)

use super::page::Entry;
use super::resources::primitive_entry;
use super::status::Wanted;
use crate::policy::facts::{Facts, NodeKind, options::HealthStrategy};
use crate::policy::{NodeIdx, RscIdx};
use crate::terms::Score;

/// `Node List`, or nothing when no node is to be shown.
pub fn node_list(facts: &Facts, wanted: &Wanted) -> Option<Entry> {
    let mut single = Vec::new();
    let mut gathered: [(&str, Vec<&str>); 5] = [
        "Online",
        "OFFLINE",
        "RemoteOnline",
        "RemoteOFFLINE",
        "GuestOnline",
    ]
    .map(|title| (title, Vec::new()));
    let shown: Vec<NodeIdx> = facts
        .node_order
        .iter()
        .copied()
        .filter(|node| wanted.shows_node(facts, *node))
        .collect();
    let bare = wanted.by_node && !shown.is_empty();
    for node in shown {
        let it = &facts.nodes[node];
        if wanted.by_node {
            let line = node_line(facts, node, wanted);
            let below = below(facts, node, wanted);
            single.extend(below.map(|below| Entry::List(line, vec![below])));
            continue;
        }
        if wanted.detail || has_something_to_say(facts, node) {
            single.push(Entry::Item(node_line(facts, node, wanted)));
            continue;
        }
        let list = match (facts.node_kind(node), it.online) {
            (NodeKind::Cluster, true) => 0,
            (NodeKind::Cluster, false) => 1,
            (NodeKind::Remote, true) => 2,
            (NodeKind::Remote, false) => 3,
            (NodeKind::Guest | NodeKind::Bundle, true) => 4,
            (NodeKind::Guest | NodeKind::Bundle, false) => continue,
        };
        gathered[list].1.push(it.name.as_str());
    }
    let lists = gathered
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(title, names)| Entry::Item(format!("{title}: {}", bracketed(&names))));
    let entries: Vec<Entry> = single.into_iter().chain(lists).collect();
    // Quirk: the heading stands also where every node is left out because nothing runs there.
    (bare || !entries.is_empty()).then(|| Entry::List("Node List".into(), entries))
}

/// A node for a page with colours: its name, and words with the class of each.
pub struct NodeWords {
    /// The name, as the other lists have it.
    pub name: String,
    /// Class and text of each part of its state; a part without a class is plain.
    pub words: Vec<(&'static str, String)>,
    /// What runs on it, where resources are listed below their nodes.
    pub below: Option<Entry>,
}

/// Every node that is shown, one by one. (spec 4 §16)
pub fn node_words(facts: &Facts, wanted: &Wanted) -> Vec<NodeWords> {
    let shown = facts.node_order.iter().copied();
    let shown = shown.filter(|node| wanted.shows_node(facts, *node));
    shown
        .filter_map(|node| {
            let below = if wanted.by_node {
                Some(below(facts, node, wanted)?)
            } else {
                None
            };
            Some(NodeWords {
                name: node_name(facts, node, wanted),
                words: state_words(facts, node, wanted),
                below,
            })
        })
        .collect()
}

fn state_words(facts: &Facts, node: NodeIdx, wanted: &Wanted) -> Vec<(&'static str, String)> {
    let it = &facts.nodes[node];
    let mut words = vec![if it.online {
        ("online", " online".to_owned())
    } else {
        ("offline", " OFFLINE".to_owned())
    }];
    if it.unclean {
        words.push(("warning", " (UNCLEAN)".into()));
    } else if it.pending {
        words.push(("warning", " (pending)".into()));
    }
    if it.standby_on_fail && it.online {
        words.push(("standby", " (in standby due to on-fail)".into()));
    } else if it.standby {
        let with = if it.online && !it.running.is_empty() {
            ", with active resources"
        } else {
            ""
        };
        words.push(("standby", format!(" (in standby{with})")));
    }
    if it.maintenance {
        words.push(("maint", " (in maintenance mode)".into()));
    }
    match health(facts, node) {
        Health::Good => {}
        Health::Middling => words.push(("health_yellow", " (health is YELLOW)".into())),
        Health::Bad => words.push(("health_red", " (health is RED)".into())),
    }
    if let Some(version) = feature_set(facts, node).filter(|_| wanted.detail) {
        words.push(("", format!(", feature set {version}")));
    }
    words
}

/// `[ a b ]`
pub(super) fn bracketed(names: &[&str]) -> String {
    format!("[ {} ]", names.join(" "))
}

/// What runs on a node, below its line. Where resources are counted, a node with none is left out. (spec 4 §14.3)
fn below(facts: &Facts, node: NodeIdx, wanted: &Wanted) -> Option<Entry> {
    let running = facts.nodes[node].running.iter().copied();
    let running: Vec<RscIdx> = running
        .filter(|rsc| wanted.shows_rsc(facts, *rsc))
        .collect();
    let entries: Vec<Entry> = if wanted.brief {
        super::brief::lines_below(facts, &running)
    } else {
        let wanted = Wanted {
            below_node: true,
            ..wanted.clone()
        };
        let entries = running.into_iter();
        entries
            .filter_map(|rsc| primitive_entry(facts, rsc, &wanted))
            .collect()
    };
    let left_out = wanted.brief && entries.is_empty();
    (!left_out).then(|| Entry::List("Resources".into(), entries))
}

fn has_something_to_say(facts: &Facts, node: NodeIdx) -> bool {
    let it = &facts.nodes[node];
    it.unclean
        || it.pending
        || (it.standby_on_fail && it.online)
        || it.standby
        || it.maintenance
        || health(facts, node) != Health::Good
}

/// `Node a: standby (with active resources)`, without details of guests and ids unless asked for.
pub(super) fn node_line(facts: &Facts, node: NodeIdx, wanted: &Wanted) -> String {
    let kind = match facts.node_kind(node) {
        NodeKind::Cluster => "Node",
        NodeKind::Remote => "RemoteNode",
        NodeKind::Guest | NodeKind::Bundle => "GuestNode",
    };
    let mut text = format!("{kind} {}: ", node_name(facts, node, wanted));
    text.push_str(state(facts, node));
    match health(facts, node) {
        Health::Good => {}
        Health::Middling => text.push_str(" (health is YELLOW)"),
        Health::Bad => text.push_str(" (health is RED)"),
    }
    if let Some(version) = feature_set(facts, node).filter(|_| wanted.detail) {
        text.push_str(&format!(", feature set {version}"));
    }
    text
}

/// The name of a node; in detail also where a guest runs and which id it has.
pub fn node_name(facts: &Facts, node: NodeIdx, wanted: &Wanted) -> String {
    let it = &facts.nodes[node];
    let mut text = it.name.to_string();
    if wanted.detail {
        if facts.is_guest(node) {
            let host = facts
                .host_container(node)
                .and_then(|rsc| facts.current_node(rsc));
            text.push('@');
            text.push_str(host.map_or("", |host| facts.nodes[host].name.as_str()));
        }
        if !it.id.eq_ignore_ascii_case(it.name.as_str()) {
            text.push_str(&format!(" ({})", it.id));
        }
    }
    text
}

/// The feature set of a cluster node that is fully up. (spec 4 §15.3)
pub(super) fn feature_set(facts: &Facts, node: NodeIdx) -> Option<&str> {
    let it = &facts.nodes[node];
    let up = it.online && it.expected_up && facts.node_kind(node) == NodeKind::Cluster;
    up.then(|| it.attributes.get("#feature-set").unwrap_or("<3.15.1"))
}

/// Whether nodes that are fully up have different feature sets.
pub fn mixed_version(facts: &Facts) -> bool {
    let mut found = facts
        .node_order
        .iter()
        .filter_map(|node| feature_set(facts, *node));
    let first = found.next();
    found.any(|other| Some(other) != first)
}

/// The state of a node in words, as `crm_mon` has them.
pub(super) fn state(facts: &Facts, node: NodeIdx) -> &'static str {
    let it = &facts.nodes[node];
    if it.unclean {
        return match (it.online, it.pending) {
            (true, _) => "UNCLEAN (online)",
            (false, true) => "UNCLEAN (pending)",
            (false, false) => "UNCLEAN (offline)",
        };
    }
    if it.pending {
        "pending"
    } else if it.standby_on_fail && it.online {
        "standby (on-fail)"
    } else if it.standby {
        match (it.online, it.running.is_empty()) {
            (false, _) => "OFFLINE (standby)",
            (true, true) => "standby",
            (true, false) => "standby (with active resources)",
        }
    } else if it.maintenance {
        if it.online {
            "maintenance"
        } else {
            "OFFLINE (maintenance)"
        }
    } else if it.online {
        "online"
    } else {
        "OFFLINE"
    }
}

/// What the health attributes of a node say. (spec 4 §4.3)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Middling,
    Bad,
}

pub(super) fn health(facts: &Facts, node: NodeIdx) -> Health {
    let options = &facts.options;
    if options.health_strategy == HealthStrategy::None {
        return Health::Good;
    }
    let mut found = Health::Good;
    for (_, value) in facts.nodes[node].attributes.with_prefix("#health") {
        let score = match value {
            red if red.eq_ignore_ascii_case("red") => return Health::Bad,
            yellow if yellow.eq_ignore_ascii_case("yellow") => {
                found = Health::Middling;
                continue;
            }
            green if green.eq_ignore_ascii_case("green") => options.health.green,
            number => match Score::parse(number) {
                Some(score) => score,
                None => continue,
            },
        };
        if score <= options.health.red {
            return Health::Bad;
        }
        if score <= options.health.yellow && options.health.yellow != options.health.green {
            found = Health::Middling;
        }
    }
    found
}
