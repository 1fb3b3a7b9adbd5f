//! Words of the shell that are a tool by another name: agents looked at, actions forced, tickets, reports.

use super::{change, resource};
use crate::{
    cli::{
        args::{Maintenance, Ra, Resource, Site},
        failure::Failure,
        shell::Shell,
        tools,
    },
    terms::CrmExit,
    xml::{self, Element, Limits},
};

/// Daemons of Pacemaker, whose cluster options are described like an agent's parameters.
const DAEMONS: [&str; 4] = [
    "pacemaker-based",
    "pacemaker-controld",
    "pacemaker-fenced",
    "pacemaker-schedulerd",
];

/// `crm ra`.
pub(crate) fn ra(shell: &mut Shell, command: &Ra) -> Result<(), Failure> {
    match command {
        Ra::Classes => {
            let classes = tools::captured(shell, "crm_resource", &["--list-standards"])?;
            let providers = tools::captured(shell, "crm_resource", &["--list-ocf-providers"])?;
            let providers: Vec<&str> = providers.split_whitespace().collect();
            for class in classes.lines() {
                match class {
                    "ocf" => shell.say(&format!("ocf / {}", providers.join(" ")))?,
                    class => shell.say(class)?,
                }
            }
            Ok(())
        }
        Ra::List { class, provider } => {
            let of = provider
                .as_deref()
                .map_or_else(|| class.clone(), |provider| format!("{class}:{provider}"));
            tools::within(shell, "crm_resource", &["--list-agents", &of])
        }
        Ra::Providers { agent, class } if class == "ocf" => {
            tools::within(shell, "crm_resource", &["--list-ocf-alternatives", agent])
        }
        Ra::Providers { class, .. } => Err(Failure::usage(format!(
            "agents of class {class} have no provider"
        ))
        .cure("only those of class ocf have")),
        Ra::Info { agent } if DAEMONS.contains(&agent.as_str()) => {
            let text = tools::captured(shell, agent, &["metadata"])?;
            let root = xml::parse(text.as_bytes(), &Limits::METADATA)
                .map_err(|error| Failure::new(CrmExit::DATA, format!("{agent}: {error}")))?;
            shell.say(&described(agent, &root))
        }
        Ra::Info { agent } => {
            let name = full_name(shell, agent)?;
            let text = tools::captured(shell, "crm_resource", &["--show-metadata", &name])?;
            let root = xml::parse(text.as_bytes(), &Limits::METADATA)
                .map_err(|error| Failure::new(CrmExit::DATA, format!("{name}: {error}")))?;
            shell.say(&described(&name, &root))
        }
        Ra::Validate { agent, params } => {
            let name = full_name(shell, agent)?;
            let parts: Vec<&str> = name.split(':').collect();
            let mut words = vec!["--validate", "--class", parts[0]];
            match parts.as_slice() {
                [_, provider, kind] => words.extend(["--provider", provider, "--agent", kind]),
                [.., kind] => words.extend(["--agent", kind]),
                [] => {}
            }
            for param in params {
                words.extend(["--option", param]);
            }
            tools::within(shell, "crm_resource", &words)
        }
    }
}

/// An agent by its type alone is looked for among the OCF agents.
fn full_name(shell: &mut Shell, agent: &str) -> Result<String, Failure> {
    if agent.contains(':') {
        return Ok(agent.to_owned());
    }
    let found = tools::captured(shell, "crm_resource", &["--list-ocf-alternatives", agent]);
    let found = found.unwrap_or_default();
    let providers: Vec<&str> = found.split_whitespace().collect();
    let provider = ["heartbeat", "systole"]
        .into_iter()
        .find(|usual| providers.contains(usual))
        .or_else(|| providers.first().copied());
    match provider {
        Some(provider) => Ok(format!("ocf:{provider}:{agent}")),
        None => Err(
            Failure::new(CrmExit::NO_SUCH, format!("there is no OCF agent {agent:?}"))
                .cure("crm ra list CLASS lists agents; name others as CLASS:TYPE"),
        ),
    }
}

/// An agent's description of itself, for people.
fn described(name: &str, root: &Element) -> String {
    let text = |owner: &Element, tag: &str| {
        let found = owner.child(tag).map(Element::text);
        found.unwrap_or_default().trim().to_owned()
    };
    let mut short = text(root, "shortdesc");
    if short.is_empty() {
        // Fence agents have it as an attribute.
        root.get("shortdesc").unwrap_or(name).clone_into(&mut short);
    }
    let mut out = format!("{short} ({name})\n\n{}\n", text(root, "longdesc"));
    out.push_str("\nParameters (*: required, []: default):\n");
    let params = root.child("parameters").into_iter();
    for param in params.flat_map(|all| all.children_named("parameter")) {
        let required = if param.get("required") == Some("1") {
            "*"
        } else {
            ""
        };
        let content = param.child("content");
        let kind = content
            .and_then(|content| content.get("type"))
            .unwrap_or("string");
        let default = content.and_then(|content| content.get("default"));
        let default = default
            .map(|value| format!(", [{value}]"))
            .unwrap_or_default();
        let own = param.get("name").unwrap_or_default();
        let short = text(param, "shortdesc");
        out.push_str(&format!("\n{own}{required} ({kind}{default}): {short}\n"));
        for line in text(param, "longdesc").lines() {
            out.push_str(&format!("    {}\n", line.trim()));
        }
    }
    if root.child("actions").is_none() {
        return out;
    }
    out.push_str("\nOperations' defaults (advisory minimum):\n\n");
    let actions = root.child("actions").into_iter();
    for action in actions.flat_map(|all| all.children_named("action")) {
        out.push_str(&format!(
            "    {:<14}",
            action.get("name").unwrap_or_default()
        ));
        for word in ["timeout", "interval", "role"] {
            if let Some(value) = action.get(word) {
                out.push_str(&format!(" {word}={value}"));
            }
        }
        out.push('\n');
    }
    out
}

/// `crm maintenance`.
pub(crate) fn maintenance(shell: &mut Shell, command: Maintenance) -> Result<(), Failure> {
    let (id, on) = match command {
        Maintenance::On { id } => (id, true),
        Maintenance::Off { id } => (id, false),
        Maintenance::Action { id, action } => return action_by_hand(shell, &id, &action),
    };
    match id {
        Some(id) => {
            let value = if on { "on" } else { "off" }.to_owned();
            resource::run(shell, Resource::Maintenance { id, value })
        }
        None => {
            let value = if on { "true" } else { "false" };
            let words = ["-n", "maintenance-mode", "-v", value];
            tools::within(shell, "crm_attribute", &words)?;
            waited_for(shell)
        }
    }
}

fn action_by_hand(shell: &mut Shell, id: &str, action: &str) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let facts = super::facts_of(&cib);
    let rsc = facts
        .rsc_named(id)
        .ok_or_else(|| resource::no_resource(cib.root(), id))?;
    let changes = !matches!(action, "monitor" | "validate-all");
    if changes && facts.rscs[rsc].flags.managed && !shell.force {
        return Err(Failure::new(
            CrmExit::UNSAFE,
            format!("the cluster takes care of {id} and would undo that"),
        )
        .cure(format!("crm maintenance on {id} first, or crm -F")));
    }
    let word = match action {
        "monitor" => "--force-check",
        "start" => "--force-start",
        "stop" => "--force-stop",
        "promote" => "--force-promote",
        "demote" => "--force-demote",
        _ => "--validate",
    };
    tools::within(shell, "crm_resource", &[word, "-r", id])
}

/// `crm site`.
pub(crate) fn site(shell: &mut Shell, command: &Site) -> Result<(), Failure> {
    let Site::Ticket { what, ticket } = command;
    let mut words = vec!["--ticket", ticket.as_str()];
    words.extend(match what.as_str() {
        "grant" => vec!["--grant"],
        "revoke" => vec!["--revoke"],
        "delete" => vec!["--delete-attr", "granted"],
        "standby" => vec!["--standby"],
        "activate" => vec!["--activate"],
        "time" => vec!["--get-attr", "last-granted"],
        _ => vec!["--get-attr", "granted"],
    });
    if shell.force {
        words.push("--force");
    }
    tools::within(shell, "crm_ticket", &words)?;
    waited_for(shell)
}

/// A tool changed something, and what follows is waited for where that was asked.
fn waited_for(shell: &mut Shell) -> Result<(), Failure> {
    if shell.wait {
        super::wait::idle(shell, 3600)
    } else {
        Ok(())
    }
}

/// `crm resource operations`.
pub(crate) fn operations(
    shell: &mut Shell,
    id: Option<&str>,
    node: Option<&str>,
) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let facts = super::facts_of(&cib);
    // What is left of one that is not configured any more is shown, too.
    if let Some(id) = id.filter(|id| facts.rsc_named(id).is_none()) {
        let mut known = facts.history.iter().map(|entry| entry.recorded.id());
        if !known.any(|known| known == id) {
            return Err(resource::no_resource(cib.root(), id));
        }
    }
    let mut words = vec!["--list-operations"];
    words.extend(id.into_iter().flat_map(|id| ["--resource", id]));
    words.extend(node.into_iter().flat_map(|node| ["--node", node]));
    tools::within(shell, "crm_resource", &words)
}

/// `crm resource scores`: what each node is worth to each resource now.
pub(crate) fn scores(shell: &mut Shell) -> Result<(), Failure> {
    let root = shell.access.deciding()?.into_root();
    super::plan::simulated(shell, &root, &["-s", "-U"])
}

/// Members other than this node, or all where nobody says which one this is.
pub(crate) fn others(shell: &mut Shell) -> Result<Vec<String>, Failure> {
    let me = super::node::local_name(shell).ok();
    let root = shell.cib()?.into_root();
    let all = members(&root).into_iter();
    Ok(all.filter(|name| Some(name) != me.as_ref()).collect())
}

/// Names of the nodes that are members, not remote ones.
fn members(root: &Element) -> Vec<String> {
    let nodes = root.descend(&["configuration", "nodes"]).into_iter();
    nodes
        .flat_map(|nodes| nodes.children_named("node"))
        .filter(|node| node.get("type").is_none_or(|kind| kind == "member"))
        .filter_map(|node| node.get("uname").map(str::to_owned))
        .collect()
}

/// `crm node server`: the machines, which are called as their nodes are.
pub(crate) fn servers(shell: &mut Shell, names: &[String]) -> Result<(), Failure> {
    let root = shell.cib()?.into_root();
    let known = members(&root);
    for name in names {
        change::node(&root, name).ok_or_else(|| super::node::no_node(&root, name))?;
    }
    let shown = known
        .iter()
        .filter(|name| names.is_empty() || names.contains(*name));
    let lines: Vec<&str> = shown.map(String::as_str).collect();
    shell.say(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_described_with_what_it_must_have() {
        let text = "<resource-agent name='x'><shortdesc>An x</shortdesc><longdesc>It is x.</longdesc>\
            <parameters><parameter name='ip' required='1'><shortdesc>address</shortdesc><content type='string'/>\
            </parameter><parameter name='n'><content type='integer' default='3'/></parameter></parameters>\
            <actions><action name='monitor' timeout='20s' interval='10s'/></actions></resource-agent>";
        let root = xml::parse(text.as_bytes(), &Limits::METADATA).expect("well-formed");
        let out = described("ocf:a:x", &root);
        for part in [
            "An x (ocf:a:x)",
            "ip* (string): address",
            "n (integer, [3])",
            "monitor        timeout=20s interval=10s",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
    }
}
