//! `crmadmin`: which nodes there are, which of them coordinates, and whether it is busy.

use crate::{
    cli::{
        cmd::{change, cluster::unexpected},
        failure::Failure,
    },
    rpc::{AdminAnswer, AdminRequest, ClusterStatus},
    terms::{CrmExit, DateTime},
    xml::Element,
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('S', "status", true),
    ('P', "pacemakerd", false),
    ('D', "dc_lookup", false),
    ('\0', "dc-lookup", false),
    ('N', "nodes", false),
    ('E', "election", false),
    ('t', "timeout", true),
    ('B', "bash-export", false),
    ('i', "ipc-name", true),
    ('\0', "output-as", true),
];

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args).with_optional(&["nodes"]);
    let (mut quiet, mut export, mut asked) = (false, false, None);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                let what = "show nodes and the state of the cluster";
                return super::help(tool, "crmadmin", what, OPTIONS);
            }
            "version" => return super::version(tool),
            "quiet" => quiet = true,
            "bash-export" => export = true,
            "output-as" => tool.output_as(&value)?,
            "nodes" => asked = Some((name, options.optional().unwrap_or_default())),
            "verbose" | "timeout" | "ipc-name" => {}
            _ => asked = Some((name, value)),
        }
    }
    if let Some(word) = options.free.first() {
        return Err(Failure::usage(format!("{word:?} is not expected")).cure("see --help"));
    }
    match asked {
        Some(("nodes", kinds)) => nodes(tool, &kinds, quiet, export),
        Some(("status", node)) => state(tool, &node, quiet),
        Some(("pacemakerd", _)) => server(tool, quiet),
        Some(("election", _)) => tool
            .access
            .ask(AdminRequest::StepDown { node: None })
            .map(|_| ()),
        Some(_) => coordinator(tool, quiet),
        None => Err(Failure::usage("nothing is asked").cure("one of -N, -D, -S NODE, -P, -E")),
    }
}

/// Kind, name and id of a node.
struct Listed {
    kind: &'static str,
    name: String,
    id: String,
}

fn nodes(tool: &mut Tool, kinds: &str, quiet: bool, export: bool) -> Result<(), Failure> {
    let wanted: Vec<&str> = match kinds {
        "" | "all" => vec!["cluster", "guest", "remote"],
        kinds => kinds.split(',').collect(),
    };
    if let Some(unknown) = wanted
        .iter()
        .find(|kind| !["all", "cluster", "guest", "remote"].contains(kind))
    {
        return Err(Failure::usage(format!("{unknown:?} is no kind of node"))
            .cure("all, or some of cluster,guest,remote"));
    }
    let root = tool.access.cib()?.into_root();
    let all = wanted.contains(&"all");
    let found: Vec<Listed> = listed(&root)
        .into_iter()
        .filter(|node| all || wanted.contains(&node.kind))
        .collect();
    let elements = found.iter().map(|node| {
        Element::new("node")
            .with("type", node.kind)
            .with("name", &node.name)
            .with("id", &node.id)
    });
    tool.element(Element::new("nodes").with_children(elements));
    if found.is_empty() {
        tool.line("No nodes configured")?;
    }
    for Listed { kind, name, id } in &found {
        if quiet {
            tool.line(name)?;
        } else if export {
            tool.line(&format!("export {name}={id}"))?;
        } else {
            tool.line(&format!("{kind} node: {name} ({id})"))?;
        }
    }
    Ok(())
}

/// All nodes that are configured: members, then what resources make nodes, guests first.
fn listed(root: &Element) -> Vec<Listed> {
    let mut found = Vec::new();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let entries = root.descend(&["configuration", "nodes"]);
    for entry in entries.into_iter().flat_map(Element::children) {
        if !matches!(entry.get("type"), Some("remote" | "ping")) {
            found.push(Listed {
                kind: "cluster",
                name: text(entry.get("uname")),
                id: text(entry.id()),
            });
        }
    }
    let resources = root.descend(&["configuration", "resources"]);
    let primitives = || {
        let all = resources.into_iter().flat_map(Element::descendants);
        all.filter(|it| it.is("primitive"))
    };
    for rsc in primitives() {
        if let Some(name) = change::get(rsc, change::Set::Meta, "remote-node") {
            found.push(Listed {
                kind: "guest",
                name: name.to_owned(),
                id: name.to_owned(),
            });
        }
    }
    for rsc in primitives() {
        let agent = ["class", "provider", "type"].map(|name| rsc.get(name).unwrap_or_default());
        if agent == ["ocf", "pacemaker", "remote"] {
            found.push(Listed {
                kind: "remote",
                name: text(rsc.id()),
                id: text(rsc.id()),
            });
        }
    }
    found
}

fn status(tool: &mut Tool) -> Result<ClusterStatus, Failure> {
    match tool.access.ask(AdminRequest::Status)? {
        AdminAnswer::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

fn leader(status: &ClusterStatus) -> Option<&str> {
    let member = status
        .members
        .iter()
        .find(|member| Some(member.id) == status.leader)?;
    Some(member.name.as_str())
}

/// Whether the coordinator carries out a plan, as this node knows it.
fn is_busy(status: &ClusterStatus) -> bool {
    let busy = status.more.pointer("/coordinator/busy");
    busy.and_then(serde_json::Value::as_bool)
        .unwrap_or_default()
}

fn coordinator(tool: &mut Tool, quiet: bool) -> Result<(), Failure> {
    let status = status(tool)?;
    let Some(name) = leader(&status) else {
        tool.line("Designated Controller not yet elected")?;
        return Err(Failure::new(CrmExit::NO_DC, ""));
    };
    tool.element(Element::new("dc").with("node_name", name));
    if quiet {
        tool.line(name)
    } else {
        tool.line(&format!("Designated Controller is: {name}"))
    }
}

/// What the controller of a node is doing.
fn state(tool: &mut Tool, node: &str, quiet: bool) -> Result<(), Failure> {
    let status = status(tool)?;
    let member = status
        .members
        .iter()
        .find(|member| member.name.as_str().eq_ignore_ascii_case(node))
        .ok_or_else(|| Failure::new(CrmExit::NO_SUCH, format!("the node {node:?} is not known")))?;
    let state = if Some(member.id) != status.leader {
        "S_NOT_DC"
    } else if is_busy(&status) {
        "S_TRANSITION_ENGINE"
    } else {
        "S_IDLE"
    };
    let name = member.name.as_str();
    tool.element(
        Element::new("crmd")
            .with("node_name", name)
            .with("state", state)
            .with("result", "ok"),
    );
    if quiet {
        tool.line(state)
    } else {
        tool.line(&format!("Controller on {name} in state {state}: ok"))
    }
}

/// Whether the daemon of this node is up: it answers.
fn server(tool: &mut Tool, quiet: bool) -> Result<(), Failure> {
    status(tool)?;
    let now = DateTime::from_epoch(crate::clock::wall_s()).ctime();
    tool.element(
        Element::new("pacemakerd")
            .with("sys_from", "pacemakerd")
            .with("state", "running")
            .with("last_updated", &now),
    );
    if quiet {
        tool.line("running")
    } else {
        tool.line(&format!(
            "Status of pacemakerd: 'Pacemaker is running' (last updated {now})"
        ))
    }
}
