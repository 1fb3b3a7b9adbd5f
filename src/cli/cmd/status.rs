//! `crm status`: what runs where and what is wrong, once, as JSON, or live.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    cib::Cib,
    cli::{
        access,
        args::{Status, StatusWord},
        failure::Failure,
        shell::Shell,
        show::{self, Entry, Fencing, Page, Wanted},
        terminal, tools,
        waiting::Waiting,
    },
    clock,
    policy::RscIdx,
    policy::facts::{Facts, Kind},
    raft::{Member, MemberRole},
    rpc::{ClusterStatus, DISK_HANGS_MS, TrialNote},
    terms::DateTime,
};

use super::trouble;

/// Show it.
pub fn run(shell: &mut Shell, status: &Status) -> Result<(), Failure> {
    if status.live && std::io::stdout().is_terminal() && !status.json {
        return live(shell, status);
    }
    let words = by_crm_mon(status);
    if !words.is_empty() && !status.json {
        return tools::within(shell, "crm_mon", &words);
    }
    let text = text(shell, status)?;
    if status.json || status.xml {
        return shell.say(&text);
    }
    shell.show(&text)
}

/// Forms that this page does not have, in the words of crm_mon; none where it has all.
fn by_crm_mon(status: &Status) -> Vec<&'static str> {
    use StatusWord as Word;
    let only_there = [
        Word::Ops,
        Word::Timing,
        Word::Brief,
        Word::Noheaders,
        Word::Html,
        Word::Simple,
    ];
    if !status.what.iter().any(|word| only_there.contains(word)) {
        return Vec::new();
    }
    let flags = status.what.iter().map(|word| match word {
        Word::Full => "-nrfcAo",
        Word::Bynode => "--group-by-node",
        Word::Inactive => "--inactive",
        Word::Xml => "--output-as=xml",
        Word::Ops => "--operations",
        Word::Timing => "--timing-details",
        Word::Failcounts => "--failcounts",
        Word::Tickets => "--tickets",
        Word::Detail => "--show-detail",
        Word::Brief => "--brief",
        Word::Noheaders => "--hide-headers",
        Word::Html => "--output-as=html",
        Word::Simple => "--simple-status",
        Word::Verbose => "--verbose",
        Word::Quiet => "--quiet",
    });
    std::iter::once("--one-shot").chain(flags).collect()
}

fn text(shell: &mut Shell, status: &Status) -> Result<String, Failure> {
    let (cib, cluster) = shell.access.whole()?;
    let facts = super::facts_of(&cib);
    let wishes = super::resource::wishes(shell, &cib);
    if status.json {
        let mut value = as_json(&cib, &facts, cluster.as_ref());
        value["moves"] = show::move_values(&wishes, clock::wall_s()).into();
        let trial = cluster.as_ref().and_then(|cluster| cluster.trial.as_ref());
        value["trial"] = serde_json::to_value(trial).unwrap_or_default();
        return Ok(format!("{value:#}"));
    }
    if status.xml || status.what.contains(&StatusWord::Xml) {
        return Ok(crate::cli::tools::crm_mon::xml(
            &cib,
            &facts,
            cluster.as_ref(),
        ));
    }
    let mut text = page(&cib, &facts, cluster.as_ref(), status);
    if let Some(moves) = show::move_list(&wishes, clock::wall_s()) {
        let mut page = Page::new();
        page.entry(0, &moves);
        text.push('\n');
        text.push_str(page.text());
    }
    Ok(text)
}

/// The page of text.
pub(crate) fn page(
    cib: &Cib,
    facts: &Facts,
    cluster: Option<&ClusterStatus>,
    status: &Status,
) -> String {
    let full = status.what.contains(&StatusWord::Full);
    let wanted = Wanted {
        inactive: status.inactive || full || status.what.contains(&StatusWord::Inactive),
        pending: true,
        detail: status.detail || status.what.contains(&StatusWord::Detail),
        fail_counts: status.what.contains(&StatusWord::Failcounts),
        by_node: status.by_node || status.what.contains(&StatusWord::Bynode),
        attributes: status.attributes || full,
        failures: true,
        tickets: full || status.what.contains(&StatusWord::Tickets),
        ..Wanted::default()
    };
    let mut page = Page::new();
    for line in summary(cib, facts, cluster) {
        page.line(&line);
    }
    for section in show::status(facts, &wanted) {
        page.space();
        page.entry(0, &section);
    }
    if full {
        page.space();
        page.entry(0, &protection(cib, facts));
        if let Some(cluster) = cluster.filter(|cluster| !cluster.links.is_empty()) {
            page.space();
            page.entry(0, &paths(cluster));
        }
    }
    let troubles = trouble::troubles(cib, facts, cluster);
    if let Some(list) = trouble::list(&troubles) {
        page.space();
        page.entry(0, &list);
    }
    let fencing = Fencing::of(cluster).reduced();
    let mut lists = vec![fencing.failed(&wanted)];
    lists.push(if full {
        fencing.history(&wanted)
    } else {
        fencing.pending(&wanted)
    });
    for list in lists.into_iter().flatten() {
        page.space();
        page.entry(0, &list);
    }
    page.into_text()
}

/// What ends each node before others take over what it ran.
fn protection(cib: &Cib, facts: &Facts) -> Entry {
    let lines = show::protections(cib, facts).into_iter().map(|one| {
        let proof = one.proof.map(|proof| format!(" (lost; proof: {proof})"));
        let (node, text) = (one.node, one.text);
        Entry::Item(format!("{node}: {text}{}", proof.unwrap_or_default()))
    });
    Entry::List("Protection of Nodes".into(), lines.collect())
}

/// How this node reaches the others.
fn paths(cluster: &ClusterStatus) -> Entry {
    let lines = cluster.links.iter().map(|link| {
        let member = cluster.members.iter().find(|it| it.id == link.node);
        let name = member.map_or_else(|| link.node.to_string(), |it| it.name.to_string());
        Entry::Item(format!("{name}: {}", show::path(link)))
    });
    Entry::List("Paths from this Node".into(), lines.collect())
}

/// Name and id of the designated coordinator.
pub(crate) fn coordinator(
    cib: &Cib,
    facts: &Facts,
    cluster: Option<&ClusterStatus>,
) -> Option<(String, String)> {
    if let Some(cluster) = cluster {
        let leader = cluster
            .members
            .iter()
            .find(|member| Some(member.id) == cluster.leader)?;
        return Some((leader.name.to_string(), leader.id.to_string()));
    }
    let id = cib.root().get("dc-uuid")?;
    let node = facts.nodes.iter().find(|node| &*node.id == id)?;
    Some((node.name.to_string(), id.to_owned()))
}

/// Whether there is a majority.
pub(crate) fn quorate(cib: &Cib, cluster: Option<&ClusterStatus>) -> bool {
    cluster.map_or_else(
        || crate::terms::text::is_true(cib.root().get("have-quorum")),
        |cluster| cluster.quorate,
    )
}

fn summary(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> Vec<String> {
    let mut lines = vec!["Cluster Summary:".to_owned()];
    if let Some(cluster) = cluster {
        lines.push(format!("  * Cluster: {}", cluster.name));
        let hidden = access::hidden(cib);
        if !hidden.is_empty() {
            let hidden = hidden.join(", ");
            lines.push(format!(
                "  * Seen in part: ACLs hide {hidden}, and what follows from them"
            ));
        }
    }
    let quorum = if quorate(cib, cluster) {
        "partition with quorum"
    } else {
        "partition WITHOUT quorum"
    };
    lines.push(match coordinator(cib, facts, cluster) {
        Some((name, _)) => format!("  * Current DC: {name} - {quorum}"),
        None => format!("  * Current DC: NONE - {quorum}"),
    });
    lines.push(format!(
        "  * Last updated: {}",
        DateTime::from_epoch(clock::wall_s()).ctime()
    ));
    let root = cib.root();
    if let Some(when) = root.get("cib-last-written") {
        let part = |name: &str, word: &str| {
            root.get(name)
                .filter(|text| !text.is_empty())
                .map(|text| format!(" {word} {text}"))
                .unwrap_or_default()
        };
        lines.push(format!(
            "  * Last change:  {when}{}{}{}",
            part("update-user", "by"),
            part("update-client", "via"),
            part("update-origin", "on")
        ));
    }
    if let Some(trial) = cluster.and_then(|cluster| cluster.trial.as_ref()) {
        lines.push(format!("  * {}", on_trial(trial)));
    }
    if let Some(cluster) = cluster {
        let lost = show::lost_paths(cluster).into_iter();
        lines.extend(lost.map(|text| format!("  * PATH DOWN to {text}")));
        lines.extend(hanging_disk(cluster).map(|text| format!("  * {text}")));
        lines.extend(in_vain(cluster).map(|text| format!("  * {text}")));
        lines.push(format!("  * {}", votes(cluster)));
    }
    if let Some(line) = protected(cib, facts) {
        lines.push(format!("  * {line}"));
    }
    let nodes = facts.nodes.len();
    lines.push(format!(
        "  * {nodes} node{} configured",
        if nodes == 1 { "" } else { "s" }
    ));
    let (instances, disabled, blocked) = show::instances(facts);
    let mut line = format!(
        "  * {instances} resource instance{} configured",
        if instances == 1 { "" } else { "s" }
    );
    if disabled > 0 || blocked > 0 {
        let disabled = (disabled > 0).then(|| format!("{disabled} DISABLED"));
        let blocked =
            (blocked > 0).then(|| format!("{blocked} BLOCKED from further action due to failure"));
        let parts: Vec<String> = disabled.into_iter().chain(blocked).collect();
        line.push_str(&format!(" ({})", parts.join(", ")));
    }
    lines.push(line);
    lines
}

/// That the disk of the node that was asked gets nothing done. The others cannot know that; `crm doctor` asks them all.
fn hanging_disk(cluster: &ClusterStatus) -> Option<String> {
    let busy_ms = cluster.more["disk_busy_ms"].as_u64()?;
    (busy_ms > DISK_HANGS_MS).then(|| {
        let busy = crate::terms::span::readable(busy_ms);
        format!("DISK HANGS on this node: a write has not ended for {busy}; look at dmesg")
    })
}

/// What the coordinator does again and again, if it is the node that was asked; `crm doctor` asks them all.
fn in_vain(cluster: &ClusterStatus) -> Option<String> {
    const SHOWN: usize = 3;
    let all = cluster.more["coordinator"]["in_vain"].as_array()?;
    let mut deeds: Vec<&str> = all.iter().filter_map(|deed| deed.as_str()).collect();
    deeds.truncate(SHOWN);
    let more = match all.len() - deeds.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!deeds.is_empty()).then(|| {
        format!(
            "IN VAIN, again and again: {}{more}; crm resource refresh RESOURCE has it looked at anew",
            deeds.join(", ")
        )
    })
}

/// `Votes: n1 n2 w1 (witness); learns: n3`. Who votes now, not who is meant to.
fn votes(cluster: &ClusterStatus) -> String {
    let now = cluster.more["voters"].as_array();
    let does = |member: &Member| match now {
        Some(voters) => voters.iter().any(|id| *id == json!(member.id)),
        None => member.role.votes(),
    };
    let name = |member: &Member| {
        let note = match (member.role, does(member)) {
            (MemberRole::Witness, true) => " (witness)",
            (MemberRole::Witness, false) => " (witness, does not vote yet)",
            (MemberRole::Voter, false) => " (to vote)",
            (MemberRole::Learner, true) => " (for a voter that is lost)",
            _ => "",
        };
        format!("{}{note}", member.name)
    };
    let list = |votes: bool| {
        let those = cluster.members.iter().filter(|one| does(one) == votes);
        those.map(name).collect::<Vec<_>>().join(", ")
    };
    let learners = list(false);
    if learners.is_empty() {
        format!("Votes: {}", list(true))
    } else {
        format!("Votes: {}; learns: {learners}", list(true))
    }
}

/// `Protection: fencing (n1, n2), nothing (n3)`: what makes sure that a lost node runs nothing any more.
fn protected(cib: &Cib, facts: &Facts) -> Option<String> {
    let all = show::protections(cib, facts);
    let kinds = ["fencing", "watchdog", "lease", "nothing", "unknown"];
    let parts = kinds.into_iter().filter_map(|kind| {
        let names = all.iter().filter(|one| one.by == kind);
        let names: Vec<&str> = names.map(|one| one.node.as_str()).collect();
        (!names.is_empty()).then(|| format!("{kind} ({})", names.join(", ")))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("Protection: {}", parts.join(", ")))
}

fn on_trial(trial: &TrialNote) -> String {
    let by = if trial.user.is_empty() {
        String::new()
    } else {
        format!(" by {}", trial.user)
    };
    let comment = if trial.comment.is_empty() {
        String::new()
    } else {
        format!(" ({})", trial.comment)
    };
    let left = u64::try_from(trial.until_s - clock::wall_s()).unwrap_or(0);
    format!(
        "ON TRIAL: change {}{by}{comment} is taken back in {} unless: crm configure confirm",
        trial.number,
        crate::terms::span::readable(left * 1000)
    )
}

/// The same as one JSON value; its shape is stable.
pub(crate) fn as_json(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> Value {
    let protections = show::protections(cib, facts);
    let protection = |name: &str| {
        let found = protections.iter().find(|one| one.node == name);
        found.map(|one| json!({ "by": one.by, "text": one.text, "proof": one.proof }))
    };
    let nodes: Vec<Value> = facts
        .nodes
        .iter()
        .map(|node| {
            json!({
                "id": &*node.id,
                "name": node.name.as_str(),
                "online": node.online,
                "unclean": node.unclean,
                "pending": node.pending,
                "standby": node.standby,
                "maintenance": node.maintenance,
                "shutdown": node.shutdown,
                "attributes": node.attributes.iter().filter(|(name, _)| !name.starts_with('#')).map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<serde_json::Map<_, _>>(),
                "resources_running": node.running.len(),
                "protection": protection(node.name.as_str()),
            })
        })
        .collect();
    let failures: Vec<Value> = facts
        .failed_ops
        .iter()
        .map(|failed| {
            json!({
                "resource": facts.rscs[failed.rsc].id.as_str(),
                "node": facts.nodes[failed.node].name.as_str(),
                "operation": &*failed.key,
                "rc": failed.rc,
                "rc_text": crate::terms::OcfExit(failed.rc).text(),
                "status": failed.status,
            })
        })
        .collect();
    let version = cib.version();
    json!({
        "cluster": cluster.map(|cluster| cluster.name.clone()),
        "dc": coordinator(cib, facts, cluster).map(|(name, _)| name),
        "quorate": quorate(cib, cluster),
        "term": cluster.map(|cluster| cluster.term.0),
        "this_node": cluster.and_then(|cluster| cluster.members.iter().find(|member| member.id == cluster.me)).map(|member| member.name.as_str()),
        "cib": format!("{}.{}.{}", version.admin_epoch, version.epoch, version.num_updates),
        "time": clock::wall_s(),
        "nodes": nodes,
        "resources": facts.top.iter().map(|rsc| resource(facts, *rsc)).collect::<Vec<_>>(),
        "failures": failures,
        "troubles": trouble::troubles(cib, facts, cluster).into_iter().map(|one| json!({
            "what": one.what,
            "why": one.why,
            "look": one.look,
        })).collect::<Vec<_>>(),
        "votes": cluster.map(|cluster| cluster.more["voters"].clone()),
        "paths": cluster.map(|cluster| &cluster.links),
        "more": cluster.map(|cluster| cluster.more.clone()),
    })
}

fn resource(facts: &Facts, rsc: RscIdx) -> Value {
    let it = &facts.rscs[rsc];
    let kind = match it.kind {
        Kind::Primitive => "primitive",
        Kind::Group(_) => "group",
        Kind::Clone(_) => "clone",
        Kind::Bundle(_) => "bundle",
    };
    let nodes: Vec<&str> = it
        .active
        .iter()
        .map(|node| facts.nodes[*node].name.as_str())
        .collect();
    let mut value = json!({
        "id": it.id.as_str(),
        "kind": kind,
        "managed": it.flags.managed,
        "failed": it.flags.failed,
        "blocked": it.flags.blocked,
        "maintenance": it.flags.maintenance,
        "target_role": it.target_role.map(|role| role.to_string()),
    });
    let more = if it.children.is_empty() {
        json!({
            "agent": match &it.agent.provider {
                Some(provider) => format!("{}:{provider}:{}", it.agent.class, it.agent.kind),
                None => format!("{}:{}", it.agent.class, it.agent.kind),
            },
            "role": crate::cli::show::shown_role(facts, rsc).to_string(),
            "active": !nodes.is_empty(),
            "nodes": nodes,
            "pending": it.pending.as_ref().map(|pending| pending.task.to_string()),
            "orphaned": it.flags.removed,
        })
    } else {
        json!({ "members": it.children.iter().map(|child| resource(facts, *child)).collect::<Vec<_>>() })
    };
    if let (Some(object), Value::Object(more)) = (value.as_object_mut(), more) {
        object.extend(more);
    }
    value
}

/// Repaint whenever something changed; ends with Ctrl-C.
fn live(shell: &mut Shell, status: &Status) -> Result<(), Failure> {
    let mut shown = String::new();
    let waiting = Waiting::begin();
    let pause = Duration::from_secs_f64(status.interval.clamp(0.1, 3600.0));
    loop {
        let (text, broken) = match text(shell, status) {
            Ok(text) => (text, false),
            Err(failure) if shown.is_empty() => return Err(failure),
            Err(failure) => (format!("{shown}\n*** {failure} ***\n"), true),
        };
        let stable = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| !line.contains("Last updated:"))
                .map(str::to_owned)
                .collect()
        };
        if stable(&text) != stable(&shown) || broken {
            write!(shell.out, "{}", terminal::painted(&text))?;
            shell.out.flush()?;
            if !broken {
                shown = text;
            }
        }
        if waiting.pause(pause).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_is_named() {
        let of = |busy_ms: u64| {
            hanging_disk(&ClusterStatus {
                more: json!({ "disk_busy_ms": busy_ms }),
                ..ClusterStatus::default()
            })
        };
        assert_eq!(of(40), None, "every disk is busy now and then");
        let told = of(12_000).expect("too long");
        assert!(
            told.contains("DISK HANGS") && told.contains("12s"),
            "{told}"
        );
        assert_eq!(hanging_disk(&ClusterStatus::default()), None);
    }

    #[test]
    fn what_is_done_in_vain_is_named() {
        let of = |deeds: &[&str]| {
            in_vain(&ClusterStatus {
                more: json!({ "coordinator": { "in_vain": deeds } }),
                ..ClusterStatus::default()
            })
        };
        assert_eq!(of(&[]), None);
        let told = of(&["a_start_0 on n1", "b", "c", "d", "e"]).expect("something");
        assert!(told.contains("a_start_0 on n1, b, c and 2 more"), "{told}");
        assert_eq!(in_vain(&ClusterStatus::default()), None);
    }
}
