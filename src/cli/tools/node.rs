//! `crm_node`: who is this node, and who else is there.

use crate::{
    cib::Cib,
    cli::failure::Failure,
    policy::facts::Node,
    rpc::{AdminAnswer, AdminRequest},
    terms::CrmExit,
    xml::Element,
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
    ('\0', "output-as", true),
    ('\0', "output-to", true),
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
            "output-as" => tool.output_as(&value)?,
            "output-to" => tool.output_to(&value)?,
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
        answer(tool, name, &value)?;
    }
    Ok(())
}

fn answer(tool: &mut Tool, name: &str, value: &str) -> Result<(), Failure> {
    if name == "name" {
        let local = local_node(tool)?;
        return one(tool, "uname", &local);
    }
    if name == "remove" {
        let node = value.to_owned();
        return match tool.access.ask(AdminRequest::Remove { node })? {
            AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
            _ => Ok(()),
        };
    }
    let cib = tool.access.cib()?;
    let facts = crate::cli::cmd::facts_of(&cib);
    let known = facts.nodes.iter().filter(|node| !node.pacemaker_remote);
    match name {
        "cluster-id" => {
            let local = local_node(tool)?;
            let mut nodes = facts.nodes.iter();
            let node = nodes.find(|node| node.name.as_str() == local);
            let node = node.ok_or_else(|| unknown(&local))?;
            one(tool, "nodeid", &node.id)
        }
        "name-for-id" => {
            let node = facts.nodes.iter().find(|node| &*node.id == value);
            let node = node.ok_or_else(|| unknown(value))?;
            one(tool, "uname", node.name.as_str())
        }
        "list" => {
            for node in known.clone() {
                tool.line(&format!("{} {} {}", node.id, node.name, state(node)))?;
            }
            tool.element(Element::new("nodes").with_children(known.map(element)));
            Ok(())
        }
        "partition" => {
            let members: Vec<&Node> = known.filter(|node| node.online).collect();
            let names: Vec<&str> = members.iter().map(|node| node.name.as_str()).collect();
            tool.line(&names.join(" "))?;
            tool.element(Element::new("nodes").with_children(members.into_iter().map(element)));
            Ok(())
        }
        _ => {
            let quorate = quorate(tool, &cib)?;
            tool.line(if quorate { "1" } else { "0" })?;
            tool.element(Element::new("cluster-info").with("quorum", quorate.to_string()));
            Ok(())
        }
    }
}

/// A fact about one node.
fn one(tool: &mut Tool, name: &str, value: &str) -> Result<(), Failure> {
    tool.line(value)?;
    tool.element(Element::new("node-info").with(name, value));
    Ok(())
}

fn state(node: &Node) -> &'static str {
    if node.online || node.pending {
        "member"
    } else {
        "lost"
    }
}

fn element(node: &Node) -> Element {
    Element::new("node")
        .with("id", &*node.id)
        .with("name", node.name.as_str())
        .with("state", state(node))
}

fn quorate(tool: &mut Tool, cib: &Cib) -> Result<bool, Failure> {
    if !tool.access.live() {
        return Ok(crate::cli::cmd::status::quorate(cib, None));
    }
    match tool.access.ask(AdminRequest::Status)? {
        AdminAnswer::Status(status) => Ok(status.quorate),
        other => Err(crate::cli::cmd::cluster::unexpected(&other)),
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("the node {name:?} is not known"))
}
