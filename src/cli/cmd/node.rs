//! `crm node`: nodes in and out of use, their attributes, and their end.

use crate::{
    cli::{
        args::Node,
        failure::Failure,
        language::{Document, Place, meant},
        shell::Shell,
        tools::updater,
    },
    fencer,
    rpc::{AdminAnswer, AdminRequest},
    terms::CrmExit,
    xml::{Element, write},
};

use super::{
    change::{self, Set},
    resource::edit,
};

/// Run one command of the level.
pub fn run(shell: &mut Shell, command: Node) -> Result<(), Failure> {
    match command {
        Node::Show { node } => show(shell, node.as_deref()),
        Node::Status { node } => {
            let root = shell.cib()?.into_root();
            let nodes = root
                .descend(&["configuration", "nodes"])
                .cloned()
                .unwrap_or_else(|| Element::new("nodes"));
            match node {
                None => shell.say(&write::pretty(&nodes)),
                Some(name) => {
                    let entry = change::node(&root, &name).ok_or_else(|| no_node(&root, &name))?;
                    shell.say(&write::pretty(entry))
                }
            }
        }
        Node::Standby { words } => {
            let (node, lifetime) = match words.as_slice() {
                [] => (None, "forever"),
                [lifetime] if matches!(lifetime.as_str(), "forever" | "reboot") => {
                    (None, lifetime.as_str())
                }
                [node] => (Some(node.clone()), "forever"),
                [node, lifetime] if matches!(lifetime.as_str(), "forever" | "reboot") => {
                    (Some(node.clone()), lifetime.as_str())
                }
                _ => return Err(Failure::usage("expected [NODE] [forever|reboot]")),
            };
            standby(shell, node, lifetime == "reboot")
        }
        Node::Online { node } => online(shell, node),
        Node::Maintenance { node } => attribute(shell, node, "maintenance", Some("on")),
        Node::Ready { node } => attribute(shell, node, "maintenance", Some("off")),
        Node::Fence { node } => fence(shell, &node),
        Node::Clearstate { node } => {
            known(shell, &node)?;
            say(shell, AdminRequest::Confirm { node })
        }
        Node::Attribute { words } => words_of(shell, Kind::Set(Set::Params), &words),
        Node::Utilization { words } => words_of(shell, Kind::Set(Set::Utilization), &words),
        Node::StatusAttr { words } => words_of(shell, Kind::Transient, &words),
        Node::Server { names } => super::by_tool::servers(shell, &names),
        Node::Delete { node } => super::cluster::remove(shell, &node),
    }
}

/// The error that there is no such node.
pub(crate) fn no_node(root: &Element, name: &str) -> Failure {
    let nodes = root.descend(&["configuration", "nodes"]);
    let names: Vec<&str> = nodes
        .into_iter()
        .flat_map(|nodes| nodes.children().filter_map(|node| node.get("uname")))
        .collect();
    let failure = Failure::new(CrmExit::NO_SUCH, format!("there is no node {name:?}"));
    match meant(name, names.iter().copied()) {
        Some(meant) => failure.cure(format!("did you mean {meant:?}?")),
        None => failure.cure(format!("the nodes are: {}", names.join(", "))),
    }
}

fn known(shell: &mut Shell, name: &str) -> Result<(), Failure> {
    let root = shell.cib()?.into_root();
    change::node(&root, name)
        .map(|_| ())
        .ok_or_else(|| no_node(&root, name))
}

/// The node that was named, or this one.
pub(crate) fn named(shell: &mut Shell, node: Option<String>) -> Result<String, Failure> {
    match node {
        Some(node) => {
            known(shell, &node)?;
            Ok(node)
        }
        None => local_name(shell),
    }
}

/// The name of this node.
pub(crate) fn local_name(shell: &mut Shell) -> Result<String, Failure> {
    if !shell.access.live() {
        return Err(
            Failure::usage("which node? A CIB file does not tell which one is this")
                .cure("name the node"),
        );
    }
    match shell.access.ask(AdminRequest::Status)? {
        AdminAnswer::Status(status) => status
            .members
            .iter()
            .find(|member| member.id == status.me)
            .map(|member| member.name.to_string())
            .ok_or_else(|| {
                Failure::new(
                    CrmExit::NO_SUCH,
                    "this node is no member of its cluster any more",
                )
            }),
        other => Err(super::cluster::unexpected(&other)),
    }
}

/// Send a request, and say what comes back.
pub(crate) fn say(shell: &mut Shell, request: AdminRequest) -> Result<(), Failure> {
    match shell.access.ask(request)? {
        AdminAnswer::Done | AdminAnswer::Written(_) => Ok(()),
        AdminAnswer::Text(text) | AdminAnswer::Xml(text) => shell.say(&text),
        AdminAnswer::Json(value) => shell.say(&format!("{value:#}")),
        AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
        other => Err(super::cluster::unexpected(&other)),
    }
}

fn show(shell: &mut Shell, node: Option<&str>) -> Result<(), Failure> {
    let cib = shell.cib()?;
    if let Some(name) = node
        && change::node(cib.root(), name).is_none()
    {
        return Err(no_node(cib.root(), name));
    }
    let facts = super::facts_of(&cib);
    let states: Vec<(String, String)> = facts
        .nodes
        .iter()
        .map(|node| {
            let mut words = vec![if node.unclean {
                "UNCLEAN"
            } else if node.online {
                "online"
            } else {
                "offline"
            }];
            words.extend(node.standby.then_some("standby"));
            words.extend(node.maintenance.then_some("maintenance"));
            words.extend(node.pending.then_some("pending"));
            (node.name.to_string(), words.join(", "))
        })
        .collect();
    let configuration = cib
        .configuration()
        .cloned()
        .unwrap_or_else(|| Element::new("configuration"));
    let document = Document::new(configuration);
    let mut out = String::new();
    for name in document.nodes() {
        if node.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let state = states
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("unknown", |(_, state)| state);
        out.push_str(&format!("{name}: {state}\n"));
        let entries = document.objects();
        let entry = entries
            .iter()
            .find(|(place, element)| *place == Place::Node && element.get("uname") == Some(&name));
        for pair in entry
            .into_iter()
            .flat_map(|(_, element)| element.descendants())
            .filter(|part| part.is("nvpair"))
        {
            out.push_str(&format!(
                "\t{}={}\n",
                pair.get("name").unwrap_or_default(),
                pair.get("value").unwrap_or_default()
            ));
        }
    }
    shell.say(&out)
}

fn attribute(
    shell: &mut Shell,
    node: Option<String>,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    let node = named(shell, node)?;
    edit(shell, |root| {
        put_attribute(root, Set::Params, &node, name, value);
        Ok(())
    })
}

/// Set or remove a permanent attribute of a node.
pub(crate) fn put_attribute(
    root: &mut Element,
    set: Set,
    node: &str,
    name: &str,
    value: Option<&str>,
) {
    let used = change::used(root);
    change::with_node(root, node, |entry| {
        let prefix = format!("nodes-{}", entry.id().unwrap_or(node));
        let own = match set {
            Set::Utilization => format!("{prefix}-utilization"),
            _ => prefix.clone(),
        };
        // The names that Pacemaker's tools give: nodes-ID, and nodes-ID-NAME.
        if value.is_some()
            && !entry
                .children()
                .any(|child| child.is(set.tag()) && child.child("rule").is_none())
            && !used.contains(&own)
        {
            entry.push(Element::new(set.tag()).with("id", &own));
        }
        change::put(entry, set, name, value, &prefix, &used);
    });
}

fn standby(shell: &mut Shell, node: Option<String>, until_reboot: bool) -> Result<(), Failure> {
    let node = named(shell, node)?;
    if !until_reboot {
        return attribute(shell, Some(node), "standby", Some("on"));
    }
    transient(shell, &node, "standby", Some("on"))
}

fn online(shell: &mut Shell, node: Option<String>) -> Result<(), Failure> {
    let node = named(shell, node)?;
    let root = shell.cib()?.into_root();
    let id = change::node(&root, &node)
        .and_then(Element::id)
        .unwrap_or(&node)
        .to_owned();
    if change::transient(&root, &id, "standby").is_some() {
        transient(shell, &node, "standby", None)?;
    }
    attribute(shell, Some(node), "standby", Some("off"))
}

fn transient(
    shell: &mut Shell,
    node: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    if updater::set(&mut *shell.access, node, name, value, None)? {
        return Ok(());
    }
    edit(shell, |root| {
        let id = change::node(root, node)
            .and_then(Element::id)
            .unwrap_or(node)
            .to_owned();
        change::put_transient(root, &id, node, name, value);
        Ok(())
    })
}

fn fence(shell: &mut Shell, node: &str) -> Result<(), Failure> {
    known(shell, node)?;
    let request = AdminRequest::Fence {
        node: node.to_owned(),
        action: fencer::Action::Reboot,
        timeout_ms: 60_000,
    };
    say(shell, request)
}

enum Kind {
    Set(Set),
    Transient,
}

fn words_of(shell: &mut Shell, kind: Kind, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (node, how, name, value) = match words.as_slice() {
        [node, how @ ("show" | "delete"), name] => (*node, *how, *name, None),
        [node, "set", name, value] => (*node, "set", *name, Some(*value)),
        _ => {
            return Err(Failure::usage(
                "expected NODE show|delete NAME, or NODE set NAME VALUE",
            ));
        }
    };
    known(shell, node)?;
    if how == "show" {
        let root = shell.cib()?.into_root();
        let entry = change::node(&root, node).ok_or_else(|| no_node(&root, node))?;
        let (scope, value) = match kind {
            Kind::Set(set) => ("nodes", change::get(entry, set, name)),
            Kind::Transient => (
                "status",
                change::transient(&root, entry.id().unwrap_or(node), name),
            ),
        };
        return match value {
            Some(value) => shell.say(&format!("scope={scope}  name={name} value={value}")),
            None => Err(Failure::new(
                CrmExit::NO_SUCH,
                format!("{node}: the attribute {name:?} is not set"),
            )),
        };
    }
    match kind {
        Kind::Transient => transient(shell, node, name, value),
        Kind::Set(set) => edit(shell, |root| {
            put_attribute(root, set, node, name, value);
            Ok(())
        }),
    }
}
