//! What is red in a status: each with the short reason, and the command that tells more. The whole story is for `crm
//! explain`; this is the way there.

use crate::{
    cib::Cib,
    cli::show::{self, Entry, Protection},
    clock,
    policy::{
        Input, NodeIdx, Outcome, RscIdx,
        facts::{Facts, FailedOp, Kind, NodeKind},
        schedule,
    },
    rpc::ClusterStatus,
    terms::{ExecStatus, OcfExit, OpKey, Role},
};

/// One red item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What is meant: `node n1`, `resource db`, `cluster`.
    pub(crate) what: String,
    /// Why it is red.
    pub(crate) why: String,
    /// What to run to know more, or to mend it.
    pub(crate) look: String,
}

/// Everything that is red, the cluster first, then nodes, then resources.
pub(crate) fn troubles(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> Vec<Trouble> {
    let mut found = Vec::new();
    if let Some(cluster) = cluster
        && !cluster.quorate
    {
        found.push(Trouble {
            what: "cluster".into(),
            why: "too few of those who vote are in reach to decide anything".into(),
            look: "crm doctor".into(),
        });
    }
    let protections = show::protections(cib, facts);
    for node in facts.node_order.iter().copied() {
        found.extend(of_node(facts, node, &protections));
    }
    // The policy is asked only where there is something to ask about.
    let mut planned: Option<Outcome> = None;
    let mut plan = || {
        let input = Input {
            quorum: cluster.map(|cluster| cluster.quorate),
            ..Input::at(clock::wall_s())
        };
        schedule(cib.root(), &input)
    };
    for top in facts.top.iter().copied() {
        for rsc in shown(facts, top) {
            let mut nowhere = |id: &str| {
                let outcome = planned.get_or_insert_with(&mut plan);
                super::explain::why_nowhere(outcome, id)
            };
            found.extend(of_rsc(facts, rsc, &mut nowhere));
        }
    }
    found
}

/// The list for a page; nothing where all is well.
pub(crate) fn list(troubles: &[Trouble]) -> Option<Entry> {
    let line = |trouble: &Trouble| {
        let Trouble { what, why, look } = trouble;
        Entry::Item(format!("{what}: {why}; look further: {look}"))
    };
    let lines: Vec<Entry> = troubles.iter().map(line).collect();
    (!lines.is_empty()).then(|| Entry::List("Troubles".into(), lines))
}

fn of_node(facts: &Facts, node: NodeIdx, protections: &[Protection]) -> Option<Trouble> {
    let it = &facts.nodes[node];
    let protection = protections.iter().find(|one| one.node == it.name.as_str());
    let proof = protection.and_then(|one| one.proof.as_deref());
    let why = if it.unclean && it.online {
        "it must be fenced: it failed in a way that only that cures".to_owned()
    } else if it.unclean {
        match protection.map(|one| one.by) {
            Some("nothing") => {
                "lost, and nothing can prove that it is off: what it ran is started nowhere"
            }
            _ => "lost, and not yet proven to be off: what it ran is not started elsewhere yet",
        }
        .to_owned()
    } else if it.pending {
        "it is coming, and has not joined yet".to_owned()
    } else if !it.online && it.expected_up {
        let proof = proof.map(|proof| format!(" (proof of its loss: {proof})"));
        format!("lost{}", proof.unwrap_or_default())
    } else if it.standby_on_fail && it.online {
        "a failure put it in standby".to_owned()
    } else if !it.online && facts.node_kind(node) == NodeKind::Cluster {
        "it is not there".to_owned()
    } else {
        return None;
    };
    let look = match protection.map(|one| one.by) {
        Some("nothing") if it.unclean && !it.online => {
            format!(
                "crm explain node {0}, then crm node clearstate {0}",
                it.name
            )
        }
        _ => format!("crm explain node {}", it.name),
    };
    Some(Trouble {
        what: format!("node {}", it.name),
        why,
        look,
    })
}

/// Primitives that people think of as one thing. Of instances that are all the same only those which run.
fn shown(facts: &Facts, top: RscIdx) -> Vec<RscIdx> {
    let (leaves, alike): (Vec<RscIdx>, bool) = match &facts.rscs[top].kind {
        Kind::Bundle(bundle) => {
            let containers = bundle.replicas.iter().map(|one| one.container);
            (containers.collect(), true)
        }
        Kind::Clone(_) => (facts.leaves(top), true),
        Kind::Primitive | Kind::Group(_) => (facts.leaves(top), false),
    };
    if !alike {
        return leaves;
    }
    let runs = |rsc: &RscIdx| !facts.rscs[*rsc].active.is_empty();
    let running: Vec<RscIdx> = leaves.iter().copied().filter(runs).collect();
    if running.is_empty() {
        return leaves.into_iter().take(1).collect();
    }
    running
}

fn of_rsc(facts: &Facts, rsc: RscIdx, nowhere: &mut dyn FnMut(&str) -> String) -> Option<Trouble> {
    let it = &facts.rscs[rsc];
    if it.flags.removed {
        return (!it.active.is_empty()).then(|| Trouble {
            what: format!("resource {}", it.xml_id),
            why: "it is not configured any more and still runs".into(),
            look: format!("crm explain {}", it.xml_id),
        });
    }
    let failure = || last_failure(facts, rsc);
    let cleanup = format!("crm explain {0}, then crm resource cleanup {0}", it.xml_id);
    let (why, look) = if it.flags.blocked {
        let why = failure().unwrap_or_else(|| "what it waits for does not come".into());
        (format!("blocked: {why}"), cleanup)
    } else if it.flags.failed {
        let why = failure().unwrap_or_else(|| "it is to be recovered".into());
        (
            format!("failed: {why}"),
            format!("crm explain {}", it.xml_id),
        )
    } else if it.active.len() > 1
        && !it.flags.unique
        && facts.rscs[facts.top_of(rsc)].clone_facts().is_none()
    {
        let names: Vec<&str> = it
            .active
            .iter()
            .map(|node| facts.nodes[*node].name.as_str())
            .collect();
        (
            format!("active on several nodes: {}", names.join(", ")),
            format!("crm explain {}", it.xml_id),
        )
    } else if it.active.is_empty()
        && it.pending.is_none()
        && it.flags.managed
        && !told_to_stop(facts, rsc)
    {
        let why = nowhere(it.xml_id.as_str());
        (
            format!("stopped: {why}"),
            format!("crm explain {}", it.xml_id),
        )
    } else {
        // It runs; that it failed before is told when it still counts.
        let why = failure()?;
        (format!("it failed: {why}"), cleanup)
    };
    Some(Trouble {
        what: format!("resource {}", it.xml_id),
        why,
        look,
    })
}

/// Its own target-role, or that of anything around it.
fn told_to_stop(facts: &Facts, rsc: RscIdx) -> bool {
    let mut at = Some(rsc);
    while let Some(here) = at {
        if facts.rscs[here].target_role == Some(Role::Stopped) {
            return true;
        }
        at = facts.rscs[here].parent;
    }
    false
}

/// The newest failure that status shows of it.
fn last_failure(facts: &Facts, rsc: RscIdx) -> Option<String> {
    let of = |failed: &&FailedOp| failed.rsc == rsc && !is_probe_of_nothing(facts, failed);
    let failed = facts.failed_ops.iter().rev().find(of)?;
    let (entry, at) = failed.entry;
    let op = &facts.history.at(entry).recorded.ops[at];
    let key = failed.key.parse::<OpKey>();
    let task = key.map_or_else(|_| failed.key.to_string(), |key| key.task.to_string());
    let node = &facts.nodes[failed.node].name;
    let status = ExecStatus::from_code(failed.status);
    let how = match status {
        Some(ExecStatus::Done) | None => OcfExit(failed.rc).text().to_lowercase(),
        Some(status) => status.text().to_lowercase(),
    };
    let reason = op
        .element
        .get("exit-reason")
        .filter(|text| !text.is_empty());
    let reason = reason.map(|text| format!(", {text}"));
    Some(format!(
        "{task} on {node}: {how}{}",
        reason.unwrap_or_default()
    ))
}

fn is_probe_of_nothing(facts: &Facts, failed: &FailedOp) -> bool {
    let (entry, at) = failed.entry;
    let probe = facts.history.at(entry).recorded.ops[at].is_probe();
    let rc = OcfExit(failed.rc);
    probe && (rc == OcfExit::NOT_INSTALLED || rc == OcfExit::INVALID_PARAM)
}
