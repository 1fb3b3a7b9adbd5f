//! `crm_node`: who is this node, and who else is there.

use crate::{
    cli::failure::Failure,
    rpc::{AdminAnswer, AdminRequest},
    terms::CrmExit,
};

use super::{Options, Tool, local_node};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('n', "name", false),
    ('i', "cluster-id", false),
    ('l', "list", false),
    ('p', "partition", false),
    ('q', "quorum", false),
    ('N', "name-for-id", true),
    ('R', "remove", true),
    ('f', "force", false),
];

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked: Vec<(&str, String)> = Vec::new();
    let mut force = false;
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(
                    tool,
                    "crm_node",
                    "show this node and its partition",
                    OPTIONS,
                );
            }
            "version" => return super::version(tool),
            "force" => force = true,
            "verbose" | "quiet" => {}
            _ => asked.push((name, value)),
        }
    }
    if asked.is_empty() {
        return Err(Failure::usage("nothing is asked").cure("one of -n, -i, -l, -p, -q"));
    }
    // Before anything is asked of the cluster: what a script got wrong shall not depend on who is there.
    if let Some((_, node)) = asked.iter().find(|(name, _)| *name == "remove" && !force) {
        return Err(Failure::usage(format!(
            "removing {node:?} makes the cluster forget the node"
        ))
        .cure("say --force if it is meant"));
    }
    for (name, value) in asked {
        let text = answer(tool, name, &value)?;
        if !text.is_empty() {
            writeln!(tool.out, "{text}")?;
        }
    }
    Ok(())
}

fn answer(tool: &mut Tool, name: &str, value: &str) -> Result<String, Failure> {
    if name == "name" {
        return local_node(tool);
    }
    let cib = tool.access.cib()?;
    let facts = crate::cli::cmd::facts_of(&cib);
    let state = |online: bool| if online { "member" } else { "lost" };
    match name {
        "cluster-id" => {
            let local = local_node(tool)?;
            let node = facts.nodes.iter().find(|node| node.name.as_str() == local);
            node.map(|node| node.id.to_string())
                .ok_or_else(|| unknown(&local))
        }
        "name-for-id" => {
            let node = facts.nodes.iter().find(|node| &*node.id == value);
            node.map(|node| node.name.to_string())
                .ok_or_else(|| unknown(value))
        }
        "list" => Ok(facts
            .nodes
            .iter()
            .filter(|node| !node.pacemaker_remote)
            .map(|node| {
                format!(
                    "{} {} {}",
                    node.id,
                    node.name,
                    state(node.online || node.pending)
                )
            })
            .collect::<Vec<_>>()
            .join("\n")),
        "partition" => Ok(facts
            .nodes
            .iter()
            .filter(|node| node.online && !node.pacemaker_remote)
            .map(|node| node.name.to_string())
            .collect::<Vec<_>>()
            .join(" ")),
        "quorum" => {
            let quorate = if tool.access.live() {
                match tool.access.ask(AdminRequest::Status)? {
                    AdminAnswer::Status(status) => status.quorate,
                    other => return Err(crate::cli::cmd::cluster::unexpected(&other)),
                }
            } else {
                crate::cli::cmd::status::quorate(&cib, None)
            };
            Ok(if quorate { "1" } else { "0" }.to_owned())
        }
        _ => match tool.access.ask(AdminRequest::Remove {
            node: value.to_owned(),
        })? {
            AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
            _ => Ok(String::new()),
        },
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("the node {name:?} is not known"))
}
