//! `crm doctor`: what does no harm today and bites later.
//! Enters: the CIB, what the daemon knows of members and paths, what each node says of itself.
//! Leaves: findings, each with why it matters and what to type; text or JSON.
//! May touch: the daemon's socket, standard output.

mod config;
mod machines;

use serde_json::{Value, json};

use crate::{
    cib::Cib,
    cli::{args::Doctor, failure::Failure, shell::Shell},
    clock,
    policy::facts::Facts,
    rpc::{AdminAnswer, AdminRequest, CHECKUP, CheckupRequest, ClusterStatus, NodeReport},
    terms::CrmExit,
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It can cost a service.
    Danger,
    /// It will surprise somebody.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// A word for programs.
    pub(crate) kind: &'static str,
    /// What it is about: a resource, a node, an option.
    pub(crate) object: String,
    /// What.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// What to type.
    pub(crate) command: String,
}

/// All that is looked at.
pub(crate) struct Patient<'a> {
    pub(crate) cib: &'a Cib,
    pub(crate) facts: &'a Facts,
    /// Nothing offline.
    pub(crate) cluster: Option<&'a ClusterStatus>,
    /// What nodes say of themselves; nothing offline.
    pub(crate) nodes: &'a [NodeReport],
    pub(crate) now_s: i64,
}

/// Look, and tell.
pub fn run(shell: &mut Shell, doctor: &Doctor) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let facts = super::facts_of(&cib);
    let (cluster, nodes) = if shell.access.live() {
        let cluster = super::cluster::cluster_status(shell)?;
        let nodes = reports(shell, request(&facts, &cluster))?;
        (Some(cluster), nodes)
    } else {
        (None, Vec::new())
    };
    let found = examine(&Patient {
        cib: &cib,
        facts: &facts,
        cluster: cluster.as_ref(),
        nodes: &nodes,
        now_s: clock::wall_s(),
    });
    if doctor.json {
        let values: Vec<Value> = found.iter().map(as_json).collect();
        shell.say(&format!("{:#}", Value::from(values)))?;
    } else if found.is_empty() {
        shell.say("nothing was found")?;
    } else {
        let texts: Vec<String> = found.iter().map(as_text).collect();
        shell.show(&texts.join("\n"))?;
    }
    let of = |severity| found.iter().filter(|it| it.severity == severity).count();
    let (dangers, warnings) = (of(Severity::Danger), of(Severity::Warning));
    match (dangers, warnings) {
        (0, 0) => Ok(()),
        (0, n) => Err(Failure::new(CrmExit::ERROR, format!("{n} warnings"))),
        (n, 0) => Err(Failure::new(CrmExit(2), format!("{n} dangers"))),
        (n, m) => Err(Failure::new(
            CrmExit(2),
            format!("{n} dangers, {m} warnings"),
        )),
    }
}

/// The findings, the worst first.
pub(crate) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut found = config::findings(patient);
    found.extend(machines::findings(patient));
    found.sort_by_key(|it| it.severity);
    found
}

/// What is asked of each node: what it has of all that the configuration names.
fn request(facts: &Facts, cluster: &ClusterStatus) -> CheckupRequest {
    let agents = facts.rscs.iter().filter(|rsc| rsc.is_primitive());
    let mut agents: Vec<String> = agents.filter_map(agent).collect();
    agents.sort();
    agents.dedup();
    let names = cluster.members.iter().map(|it| it.name.to_string());
    CheckupRequest {
        agents,
        names: names.collect(),
    }
}

/// What each node says of itself.
pub(super) fn reports(
    shell: &mut Shell,
    request: CheckupRequest,
) -> Result<Vec<NodeReport>, Failure> {
    let body = serde_json::to_value(request).unwrap_or_default();
    match shell
        .access
        .ask(AdminRequest::Call(CHECKUP.to_owned(), body))?
    {
        AdminAnswer::Json(value) => serde_json::from_value(value)
            .map_err(|error| Failure::new(CrmExit::PROTOCOL, error.to_string())),
        other => Err(super::cluster::unexpected(&other)),
    }
}

/// The agent of a primitive, where it is a file.
fn agent(rsc: &crate::policy::facts::Rsc) -> Option<String> {
    let it = &rsc.agent;
    match (&*it.class, &it.provider) {
        ("ocf", Some(provider)) => Some(format!("ocf:{provider}:{}", it.kind)),
        ("stonith" | "lsb", _) => Some(format!("{}:{}", it.class, it.kind)),
        _ => None,
    }
}

fn as_text(it: &Finding) -> String {
    let word = match it.severity {
        Severity::Danger => "DANGER",
        Severity::Warning => "Warning",
        Severity::Note => "Note",
    };
    let command = if it.command.is_empty() {
        String::new()
    } else {
        format!("\n    type: {}", it.command)
    };
    format!("{word}: {}\n    {}{command}", it.what, it.why)
}

fn as_json(it: &Finding) -> Value {
    json!({
        "severity": match it.severity {
            Severity::Danger => "danger",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        "kind": it.kind,
        "object": it.object,
        "what": it.what,
        "why": it.why,
        "command": it.command,
    })
}

#[cfg(test)]
mod tests;
