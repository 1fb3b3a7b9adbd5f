//! `crm drill`: what if a machine fails? Tried on a copy of the live state, and, if it is told to, on the machines.

mod really;

use serde_json::{Value, json};

use super::facts_of;
use crate::{
    cli::{
        args::Drill,
        failure::Failure,
        forecast::{self, Fate, Interruption, Verdict},
        shell::Shell,
    },
    clock,
    policy::{Input, facts::Facts},
    rpc::ClusterStatus,
    terms::{CrmExit, span},
};

/// Try what was asked for.
pub fn run(shell: &mut Shell, drill: &Drill) -> Result<(), Failure> {
    let cib = shell.access.deciding()?;
    let cluster = if shell.access.live() {
        Some(super::cluster::cluster_status(shell)?)
    } else {
        None
    };
    let input = Input::at(clock::wall_s());
    let facts = facts_of(&cib);
    let votes = Votes::of(cluster.as_ref(), &facts);
    let failures = wanted(&facts, &votes, drill)?;
    let verdicts: Vec<Verdict> = failures
        .iter()
        .map(|failure| forecast::drill(cib.root(), failure, &input))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))?;
    if drill.really {
        return really::run(shell, drill, &cib, &verdicts);
    }
    let away = out_of_use(&facts);
    if drill.json {
        let values: Vec<Value> = verdicts.iter().map(as_json).collect();
        shell.say(&format!("{:#}", Value::from(values)))?;
    } else {
        let texts: Vec<String> = verdicts.iter().map(as_text).collect();
        if !away.is_empty() {
            shell.say(&format!("Already out of use: {}\n", away.join(", ")))?;
        }
        shell.show(&texts.join("\n"))?;
    }
    let fatal: Vec<&str> = verdicts
        .iter()
        .filter(|verdict| verdict.lost().next().is_some())
        .map(|verdict| verdict.failure.name.as_str())
        .collect();
    if fatal.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        CrmExit::UNSATISFIED,
        format!("services are lost with {}", fatal.join(", ")),
    )
    .cure("crm explain RESOURCE --node NODE tells what keeps it off the other nodes"))
}

/// The failures that are asked for.
fn wanted(facts: &Facts, votes: &Votes, drill: &Drill) -> Result<Vec<forecast::Failure>, Failure> {
    let online: Vec<&str> = facts
        .nodes
        .iter()
        .filter(|node| node.online && !node.pacemaker_remote)
        .map(|node| node.name.as_str())
        .collect();
    let failure = |name: String, nodes: Vec<String>| forecast::Failure {
        quorate: votes.quorate(&nodes),
        name,
        nodes,
    };
    if let Some(name) = &drill.node {
        let Some(node) = facts.node_by_name(name) else {
            let known: Vec<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
            let text = format!("there is no node {name:?}");
            return Err(Failure::new(CrmExit::NO_HOST, text)
                .cure(format!("the nodes are: {}", known.join(", "))));
        };
        let name = facts.nodes[node].name.to_string();
        return Ok(vec![failure(name.clone(), vec![name])]);
    }
    if let Some(site) = &drill.site {
        let by = drill.by.as_str();
        let of = |node: &crate::policy::facts::Node| {
            let special = format!("#{by}-name");
            let value = node.attributes.get(by);
            value
                .or_else(|| node.attributes.get(&special))
                .map(str::to_owned)
        };
        let there = facts
            .nodes
            .iter()
            .filter(|node| of(node).as_deref() == Some(site));
        let nodes: Vec<String> = there.map(|node| node.name.to_string()).collect();
        if nodes.is_empty() {
            let mut known: Vec<String> = facts.nodes.iter().filter_map(of).collect();
            known.sort();
            known.dedup();
            let text = format!("no node has the attribute {by}={site}");
            return Err(
                Failure::new(CrmExit::NO_SUCH, text).cure(if known.is_empty() {
                    format!("give nodes one: crm node attribute NODE set {by} {site}")
                } else {
                    format!("there are: {}", known.join(", "))
                }),
            );
        }
        return Ok(vec![failure(format!("{by} {site}"), nodes)]);
    }
    if !drill.all_single_failures {
        return Err(Failure::usage("what fails is not said")
            .cure("crm drill --node NODE, --site SITE, or --all-single-failures"));
    }
    let all = online.into_iter();
    Ok(all
        .map(|node| failure(node.to_owned(), vec![node.to_owned()]))
        .collect())
}

/// Who votes, and who of them is there.
pub(crate) struct Votes {
    /// Voters, and whether they are there now.
    voters: Vec<(String, bool)>,
    /// Of two, one may go on alone once it has fenced the other.
    fencing: bool,
}

impl Votes {
    /// Of a running cluster. A witness is in no CIB: whether it is there, the paths tell.
    pub(crate) fn of(cluster: Option<&ClusterStatus>, facts: &Facts) -> Votes {
        let there = |cluster: &ClusterStatus, member: &crate::raft::Member| {
            let node = facts.node_by_name(member.name.as_str());
            let path = cluster.paths.iter().find(|(id, _)| *id == member.id);
            node.map_or_else(
                || !matches!(path, Some((_, None))),
                |node| facts.nodes[node].online,
            )
        };
        let voters = cluster.into_iter().flat_map(|cluster| {
            let voters = cluster.members.iter().filter(|it| it.role.votes());
            voters.map(move |it| (it.name.to_string(), there(cluster, it)))
        });
        Votes {
            voters: voters.collect(),
            fencing: facts.options.fencing_enabled && facts.fence_device_known,
        }
    }

    /// Whether what is left without these nodes is a majority; unknown offline.
    pub(crate) fn quorate(&self, lost: &[String]) -> Option<bool> {
        if self.voters.is_empty() {
            return None;
        }
        let left = self
            .voters
            .iter()
            .filter(|(name, there)| *there && !lost.contains(name))
            .count();
        let all = self.voters.len();
        Some(2 * left > all || (all == 2 && left == 1 && self.fencing))
    }
}

/// Nodes that take nothing over, because they are not there or are not to.
fn out_of_use(facts: &Facts) -> Vec<String> {
    let word = |node: &crate::policy::facts::Node| {
        let word = match (node.online, node.standby, node.maintenance) {
            (false, ..) => "offline",
            (_, true, _) => "standby",
            (.., true) => "maintenance",
            _ => return None,
        };
        Some(format!("{} ({word})", node.name))
    };
    facts.nodes.iter().filter_map(word).collect()
}

fn list(nodes: &[String]) -> String {
    nodes.join(" and ")
}

fn fate_text(fate: &Fate) -> String {
    match fate {
        Fate::Stays => "survives".to_owned(),
        Fate::Fewer { on, before } => {
            format!(
                "survives on {} ({} of {before} instances)",
                list(on),
                on.len()
            )
        }
        Fate::Moves { from, to } => format!("moves from {} to {}", list(from), list(to)),
        Fate::Promotes { on } => format!("is promoted on {}", list(on)),
        Fate::Unpromoted { on } => {
            format!("LOST: runs on {}, but is promoted nowhere", list(on))
        }
        Fate::Lost { why } => format!("LOST: {why}"),
    }
}

fn away(verdict: &Verdict, rsc: &str) -> String {
    let found = verdict.interruptions.iter().find(|it| it.rsc == rsc);
    let Some(it) = found else {
        return String::new();
    };
    match it {
        Interruption { ms: None, .. } => String::new(),
        Interruption {
            ms: Some(ms),
            known: true,
            ..
        } => format!(", {} after the loss is proven", span::readable(*ms)),
        Interruption { worst_ms, .. } => format!(
            ", at most {} after the loss is proven (by its timeouts)",
            span::readable(*worst_ms)
        ),
    }
}

fn as_text(verdict: &Verdict) -> String {
    let failure = &verdict.failure;
    let mut notes = Vec::new();
    if failure.name != list(&failure.nodes) {
        notes.push(list(&failure.nodes));
    }
    if !verdict.fenced.is_empty() {
        notes.push(format!("fenced: {}", list(&verdict.fenced)));
    }
    if failure.quorate == Some(false) {
        notes.push("the rest has NO quorum".to_owned());
    }
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join("; "))
    };
    let mut out = format!("If {} fails{notes}:\n", failure.name);
    let width = verdict.fates.iter().map(|(rsc, _)| rsc.len()).max();
    let width = width.unwrap_or(0);
    for (rsc, fate) in &verdict.fates {
        out.push_str(&format!(
            "  {rsc:width$}  {}{}\n",
            fate_text(fate),
            away(verdict, rsc)
        ));
    }
    if verdict.fates.is_empty() {
        out.push_str("  nothing runs that could be lost\n");
    }
    for (node, what, left, all) in &verdict.capacity {
        out.push_str(&format!("  left on {node}: {what} {left} of {all}\n"));
    }
    out
}

fn as_json(verdict: &Verdict) -> Value {
    let fate = |(rsc, fate): &(String, Fate)| {
        let it = verdict.interruptions.iter().find(|it| it.rsc == *rsc);
        let (word, nodes) = match fate {
            Fate::Stays => ("survives", None),
            Fate::Fewer { on, .. } => ("fewer", Some(on)),
            Fate::Moves { to, .. } => ("moves", Some(to)),
            Fate::Promotes { on } => ("promoted", Some(on)),
            Fate::Unpromoted { on } => ("unpromoted", Some(on)),
            Fate::Lost { .. } => ("lost", None),
        };
        json!({
            "resource": rsc,
            "verdict": word,
            "lost": fate.is_lost(),
            "nodes": nodes,
            "text": fate_text(fate),
            "why": match fate { Fate::Lost { why } => Some(why), _ => None },
            "expected_ms": it.and_then(|it| it.ms),
            "all_times_known": it.map(|it| it.known),
            "worst_ms": it.map(|it| it.worst_ms),
        })
    };
    json!({
        "failure": verdict.failure.name,
        "nodes": verdict.failure.nodes,
        "quorate": verdict.failure.quorate,
        "fenced": verdict.fenced,
        "survives": verdict.lost().next().is_none(),
        "resources": verdict.fates.iter().map(fate).collect::<Vec<_>>(),
        "capacity": verdict.capacity.iter().map(|(node, what, left, all)| json!({
            "node": node, "what": what, "left": left, "of": all,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_the_voters_has_to_be_left() {
        let votes = |voters: &[(&str, bool)], fencing| Votes {
            voters: voters
                .iter()
                .map(|(name, there)| ((*name).to_owned(), *there))
                .collect(),
            fencing,
        };
        let lost = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let three = [("n1", true), ("n2", true), ("n3", true)];
        let all = votes(&three, false);
        assert_eq!(all.quorate(&lost(&["n1", "n4"])), Some(true));
        assert_eq!(all.quorate(&lost(&["n1", "n2"])), Some(false));
        let one_down = votes(&[("n1", true), ("n2", false), ("n3", true)], true);
        assert_eq!(one_down.quorate(&[]), Some(true));
        assert_eq!(one_down.quorate(&lost(&["n1"])), Some(false));
        let two = [("n1", true), ("n2", true)];
        assert_eq!(votes(&two, true).quorate(&lost(&["n1"])), Some(true));
        assert_eq!(votes(&two, false).quorate(&lost(&["n1"])), Some(false));
        assert_eq!(votes(&[], false).quorate(&lost(&["n1"])), None);
    }
}
