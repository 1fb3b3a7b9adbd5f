//! What only the machines can tell: votes, paths, clocks, agents, names, interfaces, certificates, guards.

use std::collections::BTreeMap;

use super::{Finding, Patient, Severity};
use crate::{
    rpc::{DISK_HANGS_MS, NodeReport, PathState, PathStatus},
    terms::{DateTime, span},
};

/// Clocks may differ by so much, in milliseconds.
const SKEW_MS: i64 = 500;
/// From here on rules and lifetimes are wrong by a time that people notice.
const BAD_SKEW_MS: i64 = 10_000;
/// A certificate that ends sooner is told of, in seconds.
const SOON_S: i64 = 30 * 86_400;

/// All of them.
pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    let mut found = votes(patient);
    found.extend(paths(patient));
    let heard: Vec<&NodeReport> = patient
        .nodes
        .iter()
        .filter(|it| it.silent.is_none())
        .collect();
    for node in &heard {
        found.extend(lost_paths(patient, node));
    }
    for node in patient.nodes {
        found.extend(alone(patient, node));
    }
    found.extend(agents(&heard));
    found.extend(different(&heard));
    found
}

fn votes(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(cluster) = patient.cluster else {
        return Vec::new();
    };
    let voters = cluster
        .members
        .iter()
        .filter(|member| member.role.votes())
        .count();
    let all = cluster.members.len();
    let command = "systole token --role witness      (and join with it on a small third machine)";
    let (severity, what, why) = match voters {
        1 if all > 1 => (
            Severity::Danger,
            "only one node votes".to_owned(),
            "When it fails, the others are no majority and stop.",
        ),
        2 => (
            Severity::Warning,
            "two nodes vote".to_owned(),
            "The loss of either leaves no majority: the other goes on only once it has fenced it.",
        ),
        n if n > 2 && n % 2 == 0 => (
            Severity::Note,
            format!("{n} nodes vote, an even number"),
            "A split in the middle leaves no majority anywhere, and no more losses are survived than with one vote less.",
        ),
        _ => return Vec::new(),
    };
    vec![Finding {
        severity,
        kind: "votes",
        object: "quorum".into(),
        what,
        why,
        command: command.into(),
    }]
}

fn paths(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(cluster) = patient.cluster else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let (mut single, mut addresses) = (Vec::new(), Vec::new());
    for member in &cluster.members {
        // A node that was asked and does not answer is told of with the reason.
        let asked = patient.nodes.iter().any(|it| member.name == *it.name);
        let path = cluster.paths.iter().find(|(id, _)| *id == member.id);
        let name = &member.name;
        if matches!(path, Some((_, None))) && member.id != cluster.me && !asked {
            found.push(Finding {
                severity: Severity::Danger,
                kind: "not-reached",
                object: name.to_string(),
                what: format!("{name} is not reached at any of its addresses"),
                why: "It is down, or the network between is.",
                command: "crm cluster status".into(),
            });
        } else if member.addresses.len() == 1 {
            single.push(name.to_string());
            addresses.push(member.addresses[0]);
        }
    }
    if !single.is_empty() && cluster.members.len() > 1 {
        let all = single.join(", ");
        found.push(Finding {
            severity: Severity::Note,
            kind: "one-path",
            object: "network".into(),
            what: format!("only one address is known for: {all}"),
            why: "One cable or switch is enough to take a node for lost.",
            command: format!(
                "crm cluster set-address {} {} OTHER-ADDRESS",
                single[0], addresses[0]
            ),
        });
    }
    found
}

/// Paths that are down although the node at their other end is there.
fn lost_paths(patient: &Patient<'_>, node: &NodeReport) -> Vec<Finding> {
    let members = patient.cluster.iter().flat_map(|cluster| &cluster.members);
    let names: BTreeMap<_, _> = members.map(|member| (member.id, &member.name)).collect();
    let mut found = Vec::new();
    let is_up = |path: &&PathStatus| path.state == PathState::Up;
    for path in node.paths.iter().filter(|it| it.state == PathState::Down) {
        let mut ways = node.paths.iter().filter(|it| it.node == path.node);
        if !ways.any(|way| is_up(&way)) {
            continue;
        }
        let other = names.get(&path.node);
        let other = other.map_or_else(|| format!("node {}", path.node), ToString::to_string);
        let why = path.error.as_deref().unwrap_or("no answer");
        found.push(Finding {
            severity: Severity::Warning,
            kind: "path-down",
            object: node.name.clone(),
            what: format!(
                "{} does not reach {other} at {} for {}: {why}",
                node.name,
                path.remote,
                span::readable(path.for_ms)
            ),
            why: "It reaches it another way; when that fails too, a node is taken for lost.",
            command: "look after the network between them; `crm cluster status` shows all paths"
                .into(),
        });
    }
    found
}

/// What one node says of itself.
fn alone(patient: &Patient<'_>, node: &NodeReport) -> Vec<Finding> {
    let name = &node.name;
    let finding = |severity, kind, what: String, why, command: String| Finding {
        severity,
        kind,
        object: name.clone(),
        what,
        why,
        command,
    };
    if let Some(why) = &node.silent {
        return vec![finding(
            Severity::Danger,
            "silent",
            format!("{name} does not answer: {why}"),
            "Nothing can be said about it.",
            "crm cluster status".into(),
        )];
    }
    let mut found = Vec::new();
    let ahead = node.ahead_ms.abs();
    // What the question took is not known to better than its half.
    let certain = ahead - i64::try_from(node.round_trip_ms / 2).unwrap_or(0);
    if certain > SKEW_MS {
        let (severity, how) = if certain > BAD_SKEW_MS {
            (Severity::Danger, "far ")
        } else {
            (Severity::Warning, "")
        };
        let way = if node.ahead_ms > 0 { "ahead" } else { "behind" };
        let by = span::readable(ahead.unsigned_abs());
        found.push(finding(
            severity,
            "clock",
            format!("the clock of {name} is {how}{way}: {by}"),
            "Rules with dates, lifetimes, failure-timeout and changes on trial end at another time when another node leads.",
            "timedatectl set-ntp true      (on that node)".into(),
        ));
    }
    if !node.guard {
        found.push(finding(
            Severity::Danger,
            "no-guard",
            format!("no guard watches the daemon of {name}"),
            "What it runs would not be stopped if its daemon hangs, so nothing is started there.",
            "systemctl restart systole      (on that node)".into(),
        ));
    }
    if node.disk_busy_ms > DISK_HANGS_MS {
        let busy = span::readable(node.disk_busy_ms);
        found.push(finding(
            Severity::Danger,
            "disk",
            format!("the disk of {name} hangs: a write has not ended for {busy}"),
            "It confirms nothing that has to be written; if it leads, it falls silent, and another node takes over.",
            "dmesg | tail -50      (on that node)".into(),
        ));
    }
    if !node.in_vain.is_empty() {
        found.push(finding(
            Severity::Danger,
            "in-vain",
            format!(
                "{name} does again and again, and nothing comes of it: {}",
                node.in_vain.join(", ")
            ),
            "An agent says what is not so, or what is recorded of the resource is broken.",
            "crm resource refresh RESOURCE".into(),
        ));
    }
    if let Some(end) = node
        .certificate_until_s
        .filter(|end| *end - patient.now_s < SOON_S)
    {
        let over = end <= patient.now_s;
        found.push(finding(
            if over {
                Severity::Danger
            } else {
                Severity::Warning
            },
            "certificate",
            format!(
                "the certificate of {name} ends at {}",
                DateTime::from_epoch(end)
            ),
            "After that no other node talks to it.",
            match over {
                true => format!("crm cluster remove {name}, and join again with a new token"),
                false => format!("crm cluster rotate-certificate {name}"),
            },
        ));
    }
    if !node.unresolved.is_empty() {
        let others = node.unresolved.join(", ");
        found.push(finding(
            Severity::Note,
            "name",
            format!("{name} finds no address for: {others}"),
            "Agents and people that use names reach it from one node and not from another.",
            format!("add {others} to /etc/hosts on {name}"),
        ));
    }
    found
}

/// Agents that are not everywhere, or not everywhere the same.
fn agents(heard: &[&NodeReport]) -> Vec<Finding> {
    let mut by_agent: BTreeMap<&str, BTreeMap<Option<&str>, Vec<&str>>> = BTreeMap::new();
    for node in heard {
        for (agent, digest) in &node.agents {
            let nodes = by_agent.entry(agent).or_default();
            nodes.entry(digest.as_deref()).or_default().push(&node.name);
        }
    }
    let mut found = Vec::new();
    for (agent, versions) in by_agent {
        if let Some(without) = versions.get(&None) {
            let nowhere = versions.len() == 1;
            found.push(Finding {
                severity: Severity::Danger,
                kind: "agent-missing",
                object: agent.to_owned(),
                what: format!("{agent} is not installed on {}", without.join(", ")),
                why: if nowhere {
                    "What needs it can't run at all."
                } else {
                    "What needs it fails there when it has to move."
                },
                command: format!("install it on {}", without.join(", ")),
            });
        }
        let differ: Vec<String> = versions
            .iter()
            .filter(|(digest, _)| digest.is_some())
            .map(|(_, nodes)| nodes.join("+"))
            .collect();
        if differ.len() > 1 {
            found.push(Finding {
                severity: Severity::Warning,
                kind: "agent-differs",
                object: agent.to_owned(),
                what: format!("{agent} is not the same everywhere: {}", differ.join(" / ")),
                why: "It behaves on one node as it was never tried on the other.",
                command: "install the same version on all nodes".into(),
            });
        }
    }
    found
}

/// What should be alike on all nodes.
fn different(heard: &[&NodeReport]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut mtus: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in heard {
        versions.entry(&node.version).or_default().push(&node.name);
        for (interface, mtu) in node.mtus.values() {
            let known = mtus.entry(*mtu).or_default();
            let text = format!("{} on {}", interface, node.name);
            if !known.contains(&text) {
                known.push(text);
            }
        }
    }
    if mtus.len() > 1 {
        let all: Vec<String> = mtus
            .iter()
            .map(|(mtu, who)| format!("{mtu} ({})", who.join(", ")))
            .collect();
        found.push(Finding {
            severity: Severity::Warning,
            kind: "mtu",
            object: "network".into(),
            what: format!("the interfaces of the cluster have different MTUs: {}", all.join("; ")),
            why: "Small packets pass and large ones vanish: leases hold while snapshots never arrive.",
            command: "ip link set dev INTERFACE mtu MTU      (the same on all nodes)".into(),
        });
    }
    if versions.len() > 1 {
        let all: Vec<String> = versions
            .iter()
            .map(|(version, who)| format!("{version} ({})", who.join(", ")))
            .collect();
        found.push(Finding {
            severity: Severity::Note,
            kind: "versions",
            object: "systole".into(),
            what: format!("the nodes run different versions: {}", all.join("; ")),
            why: "That is meant for the time of an upgrade.",
            command: "finish the upgrade, one node at a time".into(),
        });
    }
    found
}
