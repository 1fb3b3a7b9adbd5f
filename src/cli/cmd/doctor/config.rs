//! What configuration and status alone tell: safety that is off, what was left behind, what would be lost with one node.

use super::{Finding, Patient, Severity};
use crate::{
    cib::config::moves::Move,
    cli::{forecast, show},
    policy::{
        DateVerdict, Input,
        facts::{Kind, NodeKind, options::QuorumPolicy},
        judge_date,
    },
    terms::{DateTime, Score},
    xml::Element,
};

/// All of them.
pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    let mut found = safety(patient);
    found.extend(left_behind(patient));
    found.extend(monitors(patient));
    found.extend(failures(patient));
    found.extend(failover(patient));
    found.extend(single_failures(patient));
    found
}

/// Nodes of the cluster itself.
fn nodes(patient: &Patient<'_>) -> Vec<String> {
    let facts = patient.facts;
    let own = facts
        .node_order
        .iter()
        .filter(|node| facts.node_kind(**node) == NodeKind::Cluster);
    own.map(|node| facts.nodes[*node].name.to_string())
        .collect()
}

fn safety(patient: &Patient<'_>) -> Vec<Finding> {
    let options = &patient.facts.options;
    let mut found = Vec::new();
    let several = nodes(patient).len() > 1;
    let protections = show::protections(patient.cib, patient.facts);
    let by_watchdogs = protections.iter().all(|it| it.by == "watchdog");
    if several && !options.fencing_enabled && !by_watchdogs {
        found.push(Finding {
            severity: Severity::Warning,
            kind: "no-fencing",
            object: "stonith-enabled".into(),
            what: "fencing is off".into(),
            why: "A node that hangs is not proven dead: recovery waits for its lease, and shared data is not safe from it.",
            command: "crm configure primitive fence1 stonith:AGENT params ... ; crm configure property stonith-enabled=true".into(),
        });
    } else if several && !patient.facts.fence_device_known {
        found.push(Finding {
            severity: Severity::Danger,
            kind: "no-fence-device",
            object: "stonith-enabled".into(),
            what: "fencing is on, but there is no fence device".into(),
            why: "Nothing is started at all, and nothing is recovered.",
            command: "crm configure primitive fence1 stonith:AGENT params ...".into(),
        });
    } else if several && options.fencing_enabled {
        let bare = protections.iter().filter(|it| it.by == "nothing");
        found.extend(bare.map(|it| Finding {
            severity: Severity::Danger,
            kind: "not-fenced",
            object: it.node.clone(),
            what: format!(
                "{} can't be fenced: {}",
                it.node,
                it.text.trim_start_matches("nothing: ")
            ),
            why: "When it fails, what it ran is not recovered until a person says that it is dead.",
            command: format!(
                "crm configure edit DEVICE      (params pcmk_host_list: add {})",
                it.node
            ),
        }));
    }
    if several && options.no_quorum_policy == QuorumPolicy::Ignore {
        found.push(Finding {
            severity: Severity::Danger,
            kind: "quorum-ignored",
            object: "no-quorum-policy".into(),
            what: "no-quorum-policy=ignore".into(),
            why: "After a split both parts go on and run the same, as far as fencing does not stop one of them.",
            command: "crm configure property no-quorum-policy=stop".into(),
        });
    }
    if several && !options.enable_startup_probes {
        found.push(Finding {
            severity: Severity::Warning,
            kind: "not-probed",
            object: "enable-startup-probes".into(),
            what: "enable-startup-probes=false".into(),
            why: "What was started on a new node by somebody else is not looked for, and is started elsewhere a second time.",
            command: "crm configure property enable-startup-probes=true".into(),
        });
    }
    if options.maintenance_mode {
        found.push(Finding {
            severity: Severity::Warning,
            kind: "maintenance-mode",
            object: "maintenance-mode".into(),
            what: "the whole cluster is in maintenance".into(),
            why: "Nothing is monitored or recovered.",
            command: "crm configure property maintenance-mode=false".into(),
        });
    }
    let forgotten = patient.facts.rscs.iter().filter(|rsc| {
        rsc.is_primitive() && !rsc.flags.removed && !rsc.flags.managed && !options.maintenance_mode
    });
    for rsc in forgotten {
        found.push(Finding {
            severity: Severity::Note,
            kind: "unmanaged",
            object: rsc.id.to_string(),
            what: format!("{} is not managed", rsc.id),
            why: "The cluster neither recovers nor moves it.",
            command: format!("crm resource manage {}", rsc.xml_id),
        });
    }
    for node in patient.facts.nodes.iter() {
        if node.online && (node.standby || node.maintenance) {
            let (what, end) = if node.standby {
                ("standby", "online")
            } else {
                ("maintenance", "ready")
            };
            found.push(Finding {
                severity: Severity::Note,
                kind: "node-out-of-use",
                object: node.name.to_string(),
                what: format!("{} is in {what}", node.name),
                why: "It takes nothing over when another node fails.",
                command: format!("crm node {end} {}", node.name),
            });
        }
    }
    found
}

/// Constraints that do nothing any more, or that move and ban left for good.
fn left_behind(patient: &Patient<'_>) -> Vec<Finding> {
    let root = patient.cib.root();
    let moves = Move::all(root, patient.now_s);
    let mut found: Vec<Finding> = moves
        .iter()
        .filter(|it| it.until_s.is_none())
        .map(|it| Finding {
            severity: Severity::Warning,
            kind: "move-left-behind",
            object: it.id.clone(),
            what: format!(
                "{} is {} {} by {}, for good",
                it.rsc,
                if it.ban { "kept off" } else { "tied to" },
                it.node.as_deref().unwrap_or("some nodes"),
                it.id
            ),
            why: "Made by a move or a ban: the resource does not fail over as its configuration says.",
            command: format!("crm resource clear {}", it.rsc),
        })
        .collect();
    let now = DateTime::from_epoch(patient.now_s);
    let constraints = root.descend(&["configuration", "constraints"]);
    for constraint in constraints.into_iter().flat_map(Element::children) {
        let Some(id) = constraint.id() else { continue };
        let mut dates = constraint
            .descendants()
            .filter(|part| part.is("date_expression"));
        let over = dates.any(|date| judge_date(date, now).0 == DateVerdict::Expired);
        if over {
            let ours = moves.iter().find(|it| it.id == id);
            found.push(Finding {
                severity: Severity::Note,
                kind: "expired",
                object: id.to_owned(),
                what: format!("the time of the constraint {id} is over"),
                why: "It does nothing any more and confuses whoever reads it.",
                command: match ours {
                    Some(it) => format!("crm resource clear {}", it.rsc),
                    None => format!("crm configure delete {id}"),
                },
            });
        }
    }
    found
}

/// What fails and nobody looks.
fn monitors(patient: &Patient<'_>) -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for rsc in patient.facts.rscs.iter() {
        let watched = rsc
            .ops
            .iter()
            .any(|op| &*op.name == "monitor" && op.interval_ms > 0 && op.enabled);
        let counts = rsc.is_primitive()
            && !rsc.flags.removed
            && !rsc.flags.internal
            && !rsc.flags.connection;
        if !counts || watched || seen.contains(&rsc.xml_id) {
            continue;
        }
        seen.push(rsc.xml_id.clone());
        let id = &rsc.xml_id;
        found.push(Finding {
            severity: Severity::Warning,
            kind: "no-monitor",
            object: id.to_string(),
            what: format!("{id} has no monitor"),
            why: "When it fails on a healthy node, nobody notices.",
            command: format!(
                "crm configure edit {id}      (add: op monitor interval=10s timeout=20s)"
            ),
        });
    }
    found
}

/// Failures that still count.
fn failures(patient: &Patient<'_>) -> Vec<Finding> {
    let facts = patient.facts;
    let mut found: Vec<Finding> = Vec::new();
    for failed in &facts.failed_ops {
        let rsc = &facts.rscs[failed.rsc].xml_id;
        let node = facts.nodes[failed.node].name.as_str();
        let command = format!("crm resource cleanup {rsc} {node}");
        if found.iter().any(|it| it.command == command) {
            continue;
        }
        found.push(Finding {
            severity: Severity::Note,
            kind: "failure-left",
            object: rsc.to_string(),
            what: format!("a failure of {rsc} on {node} is still remembered"),
            why: "It counts towards migration-threshold, and after a failed start the node is out for this resource.",
            command,
        });
    }
    found
}

/// Resources that ran on one node only, as far as anybody remembers.
fn failover(patient: &Patient<'_>) -> Vec<Finding> {
    let facts = patient.facts;
    let all = nodes(patient);
    if all.len() < 2 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for rsc in facts.rscs.indexes() {
        let it = &facts.rscs[rsc];
        let alone = it.is_primitive()
            && !it.flags.removed
            && !it.flags.fence_device
            && !matches!(
                facts.rscs[facts.top_of(rsc)].kind,
                Kind::Clone(_) | Kind::Bundle(_)
            );
        let [node] = it.active.as_slice() else {
            continue;
        };
        if !alone {
            continue;
        }
        let elsewhere = facts.history.iter().any(|entry| {
            let ran = entry.recorded.ops.iter().any(|op| {
                let started = matches!(&*op.task, "start" | "stop" | "promote" | "migrate_from");
                started || (op.interval_ms > 0 && op.rc == Some(0))
            });
            entry.rsc == Some(rsc) && entry.node != *node && ran
        });
        let may = it
            .allowed
            .iter()
            .filter(|(_, entry)| entry.score > Score::MINUS_INFINITY);
        if !elsewhere && may.count() > 1 {
            let here = &facts.nodes[*node].name;
            found.push(Finding {
                severity: Severity::Note,
                kind: "never-failed-over",
                object: it.id.to_string(),
                what: format!("{} is not known to have run anywhere but on {here}", it.id),
                why: "Whether another node really can run it shows when it has to.",
                command: format!("crm drill --node {here}      (and then: --really)"),
            });
        }
    }
    found
}

/// What would be lost with one node.
fn single_failures(patient: &Patient<'_>) -> Vec<Finding> {
    let facts = patient.facts;
    let votes = crate::cli::cmd::drill::Votes::of(patient.cluster, facts);
    let all = nodes(patient);
    if all.len() < 2 {
        return Vec::new();
    }
    let input = Input::at(patient.now_s);
    let mut found = Vec::new();
    for node in all {
        let lost = vec![node.clone()];
        let failure = forecast::Failure {
            quorate: votes.quorate(&lost),
            name: node.clone(),
            nodes: lost,
        };
        let Ok(verdict) = forecast::drill(patient.cib.root(), &failure, &input) else {
            continue;
        };
        let lost: Vec<&str> = verdict.lost().collect();
        if !lost.is_empty() {
            found.push(Finding {
                severity: Severity::Danger,
                kind: "single-point",
                object: node.clone(),
                what: format!("without {node}, {} would be lost", lost.join(", ")),
                why: "One machine is enough to lose a service.",
                command: format!("crm drill --node {node}"),
            });
        }
    }
    found
}
