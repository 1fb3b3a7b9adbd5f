//! `crm drill`: what if a machine fails? Tried on a copy of the live state, and, if it is told to, on the machines.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};

use super::{change, facts_of, wait};
use crate::{
    cib::Cib,
    cli::{
        args::Drill,
        failure::Failure,
        forecast::{self, Fate, Interruption, Verdict},
        shell::Shell,
    },
    clock::{self, Mono},
    fencer,
    policy::{Input, facts::Facts},
    raft::Member,
    rpc::AdminRequest,
    terms::{CrmExit, span},
    xml::Element,
};

/// Between two looks at what really happens.
const LOOK: Duration = Duration::from_millis(50);
/// It is given up after this.
const PATIENCE_MS: u64 = 600_000;

/// Try what was asked for.
pub fn run(shell: &mut Shell, drill: &Drill) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let members = if shell.access.live() {
        super::cluster::cluster_status(shell)?.members
    } else {
        Vec::new()
    };
    let input = Input::at(clock::wall_s());
    let facts = facts_of(&cib);
    let failures = wanted(&facts, &members, drill)?;
    let verdicts: Vec<Verdict> = failures
        .iter()
        .map(|failure| forecast::drill(cib.root(), failure, &input))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))?;
    if drill.really {
        return really(shell, drill, &cib, &verdicts);
    }
    if drill.json {
        let values: Vec<Value> = verdicts.iter().map(as_json).collect();
        shell.say(&format!("{:#}", Value::from(values)))?;
    } else {
        let texts: Vec<String> = verdicts.iter().map(as_text).collect();
        shell.say(&texts.join("\n"))?;
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
fn wanted(
    facts: &Facts,
    members: &[Member],
    drill: &Drill,
) -> Result<Vec<forecast::Failure>, Failure> {
    let online: Vec<&str> = facts
        .nodes
        .iter()
        .filter(|node| node.online && !node.pacemaker_remote)
        .map(|node| node.name.as_str())
        .collect();
    let fencing = facts.options.fencing_enabled && facts.fence_device_known;
    let failure = |name: String, nodes: Vec<String>| forecast::Failure {
        quorate: quorate(members, &nodes, fencing),
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

/// Whether what is left votes with a majority. Of two voters the survivor goes on once it has fenced the other.
pub(crate) fn quorate(members: &[Member], lost: &[String], fencing: bool) -> Option<bool> {
    if members.is_empty() {
        return None;
    }
    let voters: Vec<&Member> = members
        .iter()
        .filter(|member| member.role.votes())
        .collect();
    let left = voters
        .iter()
        .filter(|member| !lost.iter().any(|lost| member.name == **lost))
        .count();
    Some(2 * left > voters.len() || (voters.len() == 2 && left == 1 && fencing))
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

/// The same on the machines: one node, and nothing that would be lost unless it is forced.
fn really(
    shell: &mut Shell,
    drill: &Drill,
    cib: &Cib,
    verdicts: &[Verdict],
) -> Result<(), Failure> {
    let (Some(_), [verdict]) = (&drill.node, verdicts) else {
        return Err(
            Failure::usage("only one node at a time is really taken away")
                .cure("crm drill --node NODE --really"),
        );
    };
    if !shell.access.live() {
        return Err(Failure::new(
            CrmExit::DISCONNECTED,
            "there are no machines behind a CIB file",
        ));
    }
    let node = verdict.failure.nodes[0].clone();
    shell.say(&as_text(verdict))?;
    let lost: Vec<&str> = verdict.lost().collect();
    if !lost.is_empty() && !shell.force {
        let text = format!("nothing was done: {} would be lost", lost.join(", "));
        return Err(Failure::new(CrmExit::UNSAFE, text).cure("--force does it all the same"));
    }
    if !super::plan::is_settled(cib) && !shell.force {
        return Err(
            Failure::new(CrmExit::NOT_YET, "nothing was done: the cluster is busy")
                .cure("crm cluster wait, or --force"),
        );
    }
    if (shell.person || drill.ask) && !drill.yes && !shell.force {
        let how = if drill.fence { "Fence" } else { "Empty" };
        if !shell.ask(&format!("{how} {node} now?"))? {
            return Err(Failure::new(CrmExit::ERROR, "nothing was done"));
        }
    }
    let expected = expected(cib, verdict, &node, drill.fence)?;
    let began = Mono::now();
    if drill.fence {
        // Answered when it is over: what happens meanwhile is seen afterwards, in the times of the history.
        shell.access.ask(AdminRequest::Fence {
            node: node.clone(),
            action: fencer::Action::Reboot,
            timeout_ms: 60_000,
        })?;
    } else {
        standby(shell, &node, true)?;
    }
    let seen = watch(shell, cib, began);
    // Whatever was seen, the node is let in again.
    let back = if drill.fence || drill.keep {
        Ok(())
    } else {
        standby(shell, &node, false)
    };
    let seen = seen?;
    back?;
    if !drill.fence && !drill.keep {
        wait::idle(shell, PATIENCE_MS / 1000)?;
    }
    report(shell, drill, &node, &expected, &seen)
}

/// What the policy says of exactly this: the node emptied, or lost.
fn expected(
    cib: &Cib,
    verdict: &Verdict,
    node: &str,
    fence: bool,
) -> Result<Vec<Interruption>, Failure> {
    if fence {
        return Ok(verdict.interruptions.clone());
    }
    let mut root = cib.root().clone();
    put_standby(&mut root, node, true);
    let input = Input::at(clock::wall_s());
    let told = forecast::forecast(cib.root(), &root, &input)
        .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))?;
    Ok(told.interruptions)
}

fn put_standby(root: &mut Element, node: &str, on: bool) {
    let id = change::node(root, node).and_then(Element::id);
    let id = id.unwrap_or(node).to_owned();
    change::put_transient(root, &id, node, "standby", on.then_some("on"));
}

fn standby(shell: &mut Shell, node: &str, on: bool) -> Result<(), Failure> {
    let words = if on {
        format!("node standby {node} reboot")
    } else {
        format!("node online {node}")
    };
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let line =
        crate::cli::entry::parse_line(&words).map_err(|error| Failure::usage(error.to_string()))?;
    let wait = std::mem::replace(&mut shell.wait, false);
    let done = shell.run(line);
    shell.wait = wait;
    done
}

/// How long each resource was seen to be away, in milliseconds, and whether it came back.
type Seen = Vec<(String, u64, bool)>;

fn watch(shell: &mut Shell, before: &Cib, began: Mono) -> Result<Seen, Failure> {
    let ran: Vec<String> = forecast::standing(&facts_of(before))
        .into_iter()
        .filter(|(_, nodes)| !nodes.is_empty())
        .map(|(rsc, _)| rsc)
        .collect();
    let mut since: Vec<Option<Mono>> = vec![None; ran.len()];
    let mut total = vec![0; ran.len()];
    let mut quiet = 0;
    loop {
        let now = Mono::now();
        // While the leader changes there is no answer for a moment.
        if let Ok(cib) = shell.access.cib() {
            let there = forecast::standing(&facts_of(&cib));
            for (at, rsc) in ran.iter().enumerate() {
                let active = there.get(rsc).is_some_and(|nodes| !nodes.is_empty());
                match (active, since[at]) {
                    (false, None) => since[at] = Some(now),
                    (true, Some(from)) => {
                        total[at] += now.since(from);
                        since[at] = None;
                    }
                    _ => {}
                }
            }
            quiet = if super::plan::is_settled(&cib) {
                quiet + 1
            } else {
                0
            };
        }
        if quiet >= 10 || now.since(began) > PATIENCE_MS {
            break;
        }
        sleep(LOOK);
    }
    let seen = ran.into_iter().zip(total).zip(since);
    Ok(seen
        .filter(|((_, total), since)| *total > 0 || since.is_some())
        .map(|((rsc, total), since)| (rsc, total, since.is_none()))
        .collect())
}

fn report(
    shell: &mut Shell,
    drill: &Drill,
    node: &str,
    expected: &[Interruption],
    seen: &Seen,
) -> Result<(), Failure> {
    let mut names: Vec<&str> = expected.iter().map(|it| it.rsc.as_str()).collect();
    names.extend(seen.iter().map(|(rsc, ..)| rsc.as_str()));
    names.sort_unstable();
    names.dedup();
    let of = |rsc: &str| {
        (
            expected.iter().find(|it| it.rsc == rsc),
            seen.iter().find(|(name, ..)| name == rsc),
        )
    };
    if drill.json {
        let lines = names.iter().map(|rsc| {
            let (expected, seen) = of(rsc);
            json!({
                "resource": rsc,
                "expected_ms": expected.and_then(|it| it.ms),
                "all_times_known": expected.map(|it| it.known),
                "worst_ms": expected.map(|it| it.worst_ms),
                "seen_ms": seen.map_or(0, |(_, ms, _)| *ms),
                "back": seen.is_none_or(|(.., back)| *back),
            })
        });
        let value = json!({"node": node, "resources": lines.collect::<Vec<_>>()});
        return shell.say(&format!("{value:#}"));
    }
    let mut out = format!("{node} was taken away. Each service was away:\n");
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for rsc in &names {
        let (expected, seen) = of(rsc);
        let expected = match expected {
            None => "not expected".to_owned(),
            Some(Interruption { ms: None, .. }) => "expected for good".to_owned(),
            Some(Interruption {
                ms: Some(ms),
                known: true,
                ..
            }) => format!("expected {}", span::readable(*ms)),
            Some(it) => format!("expected at most {}", span::readable(it.worst_ms)),
        };
        let seen = match seen {
            None => format!("less than {}", span::readable(as_ms(LOOK))),
            Some((_, ms, true)) => span::readable(*ms),
            Some((.., false)) => "IT DID NOT COME BACK".to_owned(),
        };
        out.push_str(&format!("  {rsc:width$}  {seen} ({expected})\n"));
    }
    if names.is_empty() {
        out.push_str("  nothing was\n");
    }
    shell.say(&out)
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::MemberRole;
    use crate::terms::NodeId;

    fn member(id: u32, role: MemberRole) -> Member {
        Member {
            id: NodeId(id),
            name: format!("n{id}").as_str().into(),
            addresses: Vec::new(),
            role,
            key: String::new(),
        }
    }

    #[test]
    fn a_majority_of_the_voters_has_to_be_left() {
        use MemberRole::{Learner, Voter, Witness};
        let lost = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let three = [
            member(1, Voter),
            member(2, Voter),
            member(3, Witness),
            member(4, Learner),
        ];
        assert_eq!(quorate(&three, &lost(&["n1", "n4"]), false), Some(true));
        assert_eq!(quorate(&three, &lost(&["n1", "n2"]), true), Some(false));
        let two = [member(1, Voter), member(2, Voter)];
        assert_eq!(quorate(&two, &lost(&["n1"]), true), Some(true));
        assert_eq!(quorate(&two, &lost(&["n1"]), false), Some(false));
        assert_eq!(quorate(&[], &lost(&["n1"]), false), None);
    }
}
