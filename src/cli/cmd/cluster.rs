//! `crm cluster`: who belongs to it, who leads, and what was changed by whom.

use crate::{
    cli::{
        args::{Cluster, Doctor},
        failure::Failure,
        shell::Shell,
        show,
    },
    raft::MemberRole,
    rpc::{AdminAnswer, AdminRequest, ClusterStatus},
    terms::{CrmExit, DateTime},
    xml::Element,
};

use super::{change, elsewhere, node::say, resource::edit, wait};

/// Run one command of the level.
pub fn run(shell: &mut Shell, command: Cluster) -> Result<(), Failure> {
    match command {
        Cluster::Status { json } => status(shell, json),
        Cluster::Init(words) => passed(&["init"], words.words),
        Cluster::Join(words) => passed(&["join"], words.words),
        Cluster::Token(words) => passed(&["token"], words.words),
        Cluster::Remove { node } => remove(shell, &node),
        Cluster::Role { node, role } => {
            let role = match role.as_str() {
                "learner" => MemberRole::Learner,
                "witness" => MemberRole::Witness,
                _ => MemberRole::Voter,
            };
            say(shell, AdminRequest::SetRole { node, role })
        }
        Cluster::SetAddress {
            node,
            addresses,
            force,
        } => say(
            shell,
            AdminRequest::SetAddresses {
                node,
                addresses,
                force,
            },
        ),
        Cluster::RotateCertificate {
            node,
            all,
            authority,
        } => {
            let request = AdminRequest::Rotate {
                node,
                all,
                authority,
            };
            say(shell, request)
        }
        Cluster::TwoNode { mode } => say(shell, AdminRequest::TwoNode { on: mode == "on" }),
        Cluster::ConfirmOff { node } => say(shell, AdminRequest::Confirm { node }),
        Cluster::StepDown { node } => say(shell, AdminRequest::StepDown { node }),
        Cluster::Stop => say(shell, AdminRequest::Shutdown),
        Cluster::Log { last } => log(shell, AdminRequest::Log { last }, false),
        Cluster::Show { number } => log(shell, AdminRequest::Show { number }, true),
        Cluster::Wait { seconds } => wait::ready(shell, seconds),
        Cluster::Health => super::doctor::run(shell, &Doctor { json: false }),
        Cluster::Start(words) => elsewhere::answer(shell, "cluster start", &words.words),
        Cluster::Restart(words) => elsewhere::answer(shell, "cluster restart", &words.words),
        Cluster::Enable(words) => elsewhere::answer(shell, "cluster enable", &words.words),
        Cluster::Disable(words) => elsewhere::answer(shell, "cluster disable", &words.words),
        Cluster::Copy(words) => elsewhere::answer(shell, "cluster copy", &words.words),
        Cluster::Diff(words) => elsewhere::answer(shell, "cluster diff", &words.words),
        Cluster::Run(words) => elsewhere::answer(shell, "cluster run", &words.words),
        Cluster::Rename(words) => elsewhere::answer(shell, "cluster rename", &words.words),
        Cluster::CrashTest(words) => elsewhere::answer(shell, "cluster crash_test", &words.words),
        Cluster::Geo(words) => elsewhere::answer(shell, "cluster geo", &words.words),
    }
}

fn passed(command: &[&str], words: Vec<String>) -> Result<(), Failure> {
    let mut all: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    all.extend(words);
    crate::cli::found::run(&all)
}

/// An answer that does not belong to the question.
pub(crate) fn unexpected(answer: &AdminAnswer) -> Failure {
    match answer {
        AdminAnswer::Failed { exit, message } => Failure::new(*exit, message.clone()),
        _ => Failure::new(
            CrmExit::PROTOCOL,
            "the daemon's answer is not to what was asked",
        )
        .cure("daemon and tool are of different versions; install the same on both sides"),
    }
}

/// What the daemon knows of the cluster.
pub(crate) fn cluster_status(shell: &mut Shell) -> Result<ClusterStatus, Failure> {
    match shell.access.ask(AdminRequest::Status)? {
        AdminAnswer::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

fn status(shell: &mut Shell, json: bool) -> Result<(), Failure> {
    let status = cluster_status(shell)?;
    if json {
        let value = serde_json::to_value(&status).unwrap_or_default();
        return shell.say(&format!("{value:#}"));
    }
    let leader = status
        .members
        .iter()
        .find(|member| Some(member.id) == status.leader);
    let mut out = format!(
        "Cluster: {}\nQuorum: {}\nLeader: {} (term {})\nLog: {}\n\nMembers:\n",
        status.name,
        if status.quorate { "yes" } else { "NO" },
        leader.map_or("none", |member| member.name.as_str()),
        status.term,
        status.index,
    );
    for member in &status.members {
        let path = status.paths.iter().find(|(id, _)| *id == member.id);
        let path = match path {
            _ if member.id == status.me => "this node".to_owned(),
            Some((_, Some(address))) => format!("reached at {address}"),
            Some((_, None)) => "NOT reached".to_owned(),
            None => "no path known".to_owned(),
        };
        let addresses: Vec<String> = member.addresses.iter().map(ToString::to_string).collect();
        let votes = status.more["voters"]
            .as_array()
            .is_none_or(|voters| voters.iter().any(|id| *id == serde_json::json!(member.id)));
        let now = match (member.role.votes(), votes) {
            (true, false) => ", does not vote yet",
            (false, true) => ", still votes",
            _ => "",
        };
        out.push_str(&format!(
            "  {} {} ({}{now}) at {}: {path}\n",
            member.id,
            member.name,
            member.role,
            addresses.join(", ")
        ));
        for link in status.links.iter().filter(|link| link.node == member.id) {
            out.push_str(&format!("      {}\n", show::path(link)));
        }
        if let Some(it) = status.certificates.iter().find(|it| it.node == member.id) {
            let until = DateTime::from_epoch(it.until_s);
            let outdated = match it.outdated {
                true => ", of the authority that is being replaced",
                false => "",
            };
            let number = it.generation;
            out.push_str(&format!(
                "      certificate {number}, good until {until}{outdated}\n"
            ));
        }
    }
    if let Some(text) = status.more["two_node"]["text"].as_str() {
        out.push_str(&format!("\nTwo nodes: {text}\n"));
    }
    let cib = shell.cib()?;
    out.push_str("\nProtection:\n");
    for one in show::protections(&cib, &super::facts_of(&cib)) {
        let proof = one.proof.map(|proof| format!(" (lost; proof: {proof})"));
        let proof = proof.unwrap_or_default();
        out.push_str(&format!("  {}: {}{proof}\n", one.node, one.text));
    }
    shell.say(&out)
}

/// Take a node out: of the cluster, and with it of the CIB.
pub(crate) fn remove(shell: &mut Shell, node: &str) -> Result<(), Failure> {
    if shell.access.live() && !is_only_configured(shell, node)? {
        return say(
            shell,
            AdminRequest::Remove {
                node: node.to_owned(),
            },
        );
    }
    edit(shell, |root| {
        let entry = change::node(root, node).ok_or_else(|| super::node::no_node(root, node))?;
        let id = entry.id().map(str::to_owned);
        for path in [&["configuration", "nodes"][..], &["status"][..]] {
            let mut section = Some(&mut *root);
            for tag in path {
                section = section.and_then(|element| element.child_mut(tag));
            }
            if let Some(section) = section {
                section.retain_children(|child| child.id().map(str::to_owned) != id);
            }
        }
        Ok(())
    })
}

/// Whether it is in the configuration alone: it never joined, or is no member any more.
fn is_only_configured(shell: &mut Shell, node: &str) -> Result<bool, Failure> {
    let members = cluster_status(shell)?.members;
    let root = shell.cib()?.into_root();
    let entry = change::node(&root, node);
    let id = entry.and_then(Element::id);
    let is_member = members
        .iter()
        .any(|member| member.name == *node || id == Some(member.id.to_string().as_str()));
    Ok(!is_member && entry.is_some_and(|entry| !entry.has("type")))
}

fn log(shell: &mut Shell, request: AdminRequest, with_patch: bool) -> Result<(), Failure> {
    let entries = match shell.access.ask(request)? {
        AdminAnswer::History(entries) => entries,
        other => return Err(unexpected(&other)),
    };
    for entry in entries {
        let comment = if entry.comment.is_empty() {
            String::new()
        } else {
            format!(": {}", entry.comment)
        };
        shell.say(&format!(
            "{:>5}  {}  {}  {} by {} on {}{comment}",
            entry.number,
            DateTime::from_epoch(entry.time_s),
            entry.version,
            if entry.client.is_empty() {
                "?"
            } else {
                &entry.client
            },
            if entry.user.is_empty() {
                "?"
            } else {
                &entry.user
            },
            if entry.node.is_empty() {
                "?"
            } else {
                &entry.node
            },
        ))?;
        if with_patch && let Some(patch) = &entry.patch {
            let element = crate::xml::parse(patch.as_bytes(), &crate::xml::Limits::STORED);
            let text = element.map_or_else(
                |_| patch.to_string(),
                |element| crate::xml::write::pretty(&element),
            );
            shell.say(&text)?;
        }
    }
    Ok(())
}
