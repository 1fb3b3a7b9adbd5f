//! `crm_attribute`, `crm_master`: attributes of nodes and options of the cluster, one at a time. Agents speak to each
//! other through them, so a value that was written can be read at once from every node. Transient attributes of a
//! running cluster go through the attribute manager, as those of `attrd_updater` do.

use crate::{
    cib::{Command, Target},
    cli::{
        cmd::{
            change::{self, Set},
            node,
        },
        failure::Failure,
    },
    terms::CrmExit,
    xml::Element,
};

use super::{Options, Tool, local_node, updater};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('q', "quiet", false),
    ('n', "name", true),
    ('\0', "attr-name", true),
    ('N', "node", true),
    ('U', "uname", true),
    ('v', "update", true),
    ('\0', "attr-value", true),
    ('G', "query", false),
    ('\0', "get-value", false),
    ('D', "delete", false),
    ('\0', "delete-attr", false),
    ('t', "type", true),
    ('l', "lifetime", true),
    ('d', "default", true),
    ('p', "promotion", false),
    ('s', "set-name", true),
    ('i', "id", true),
    ('z', "utilization", false),
    ('P', "pattern", true),
    ('r', "resource", true),
    ('\0', "output-as", true),
];

enum Wanted {
    Query,
    Update(String),
    Delete,
}

/// Where an attribute lives.
enum Scope {
    /// With this node until it leaves.
    Status,
    /// With this node for good.
    Nodes,
    /// In the cluster options, or in defaults: section, element, default set.
    Options(&'static str, &'static str, &'static str),
    /// With a ticket.
    Tickets,
}

#[derive(Default)]
struct Asked {
    name: Option<String>,
    node: Option<String>,
    value: Option<String>,
    query: bool,
    delete: bool,
    quiet: bool,
    kind: Option<String>,
    lifetime: Option<String>,
    default: Option<String>,
    promotion: bool,
    resource: Option<String>,
    set: Option<String>,
    utilization: bool,
}

/// `crm_attribute`.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(
                    tool,
                    "crm_attribute",
                    "query and change attributes",
                    OPTIONS,
                );
            }
            "version" => return super::version(tool),
            "quiet" => asked.quiet = true,
            "name" | "attr-name" => asked.name = Some(value),
            "node" | "uname" => asked.node = Some(value),
            "update" | "attr-value" => asked.value = Some(value),
            "query" | "get-value" => asked.query = true,
            "delete" | "delete-attr" => asked.delete = true,
            "type" => asked.kind = Some(value),
            "lifetime" => asked.lifetime = Some(value),
            "default" => asked.default = Some(value),
            "promotion" => {
                asked.promotion = true;
                asked.resource = options.optional().or(asked.resource);
            }
            "resource" => asked.resource = Some(value),
            "set-name" => asked.set = Some(value),
            "utilization" => asked.utilization = true,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    one(tool, asked)
}

/// `crm_master`: the promotion score of the resource whose agent calls.
pub fn master(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut all = vec!["--promotion".to_owned()];
    all.extend(args.iter().cloned());
    // The old spelling had its own word for the resource.
    run(tool, &all)
}

fn one(tool: &mut Tool, asked: Asked) -> Result<(), Failure> {
    let name = match (asked.promotion, &asked.name) {
        (true, _) => {
            let instance = asked
                .resource
                .clone()
                .or_else(|| std::env::var("OCF_RESOURCE_INSTANCE").ok());
            let instance = instance.filter(|name| !name.is_empty()).ok_or_else(|| {
                Failure::usage("which resource? OCF_RESOURCE_INSTANCE is not set")
                    .cure("say --promotion=RESOURCE")
            })?;
            format!("master-{instance}")
        }
        (false, Some(name)) => name.clone(),
        (false, None) => return Err(Failure::usage("which attribute?").cure("say -n NAME")),
    };
    let lifetime = match asked.lifetime.as_deref() {
        None if asked.promotion => Some("reboot"),
        other => other,
    };
    let kind = match (lifetime, asked.kind.as_deref()) {
        (Some("reboot" | "status" | "transient"), _) => "status",
        (Some("forever" | "nodes" | "permanent"), _) => "nodes",
        (_, Some(kind)) => kind,
        (_, None) if asked.node.is_some() || asked.utilization => "nodes",
        _ => "crm_config",
    };
    let scope = match kind {
        "status" | "reboot" => Scope::Status,
        "nodes" | "forever" => Scope::Nodes,
        "crm_config" => Scope::Options(
            "crm_config",
            "cluster_property_set",
            "cib-bootstrap-options",
        ),
        "rsc_defaults" => Scope::Options("rsc_defaults", "meta_attributes", "rsc-options"),
        "op_defaults" => Scope::Options("op_defaults", "meta_attributes", "op-options"),
        "tickets" => Scope::Tickets,
        other => {
            return Err(
                Failure::usage(format!("{other:?} is no section with attributes"))
                    .cure("one of crm_config, nodes, status, rsc_defaults, op_defaults, tickets"),
            );
        }
    };
    let command = match (asked.value.clone(), asked.delete) {
        (_, true) => Wanted::Delete,
        (Some(value), false) if !asked.query => Wanted::Update(value),
        _ => Wanted::Query,
    };
    let root = tool.access.cib()?.into_root();
    let node = match scope {
        Scope::Status | Scope::Nodes => {
            let name = match &asked.node {
                Some(name) if !matches!(name.as_str(), "auto" | "localhost" | "") => name.clone(),
                _ => local_node(tool)?,
            };
            Some(known(&root, &name)?)
        }
        _ => None,
    };
    let set = if asked.utilization {
        Set::Utilization
    } else {
        Set::Params
    };
    match command {
        Wanted::Query => {
            let value = read(
                &root,
                &scope,
                node.as_ref(),
                set,
                asked.set.as_deref(),
                &name,
            );
            let value = match (value, &scope, &node) {
                // Private ones are not in the CIB.
                (None, Scope::Status, Some((uname, _))) => {
                    updater::get(&mut *tool.access, uname, &name)
                }
                (value, ..) => value,
            };
            let value = value.or(asked.default).ok_or_else(|| no_attribute(&name))?;
            tool.element(
                Element::new("attribute")
                    .with("name", &name)
                    .with("value", &value)
                    .with("scope", kind),
            );
            if asked.quiet {
                tool.line(&value)?;
            } else {
                tool.line(&format!("scope={kind}  name={name} value={value}"))?;
            }
            Ok(())
        }
        Wanted::Update(value) => write(
            tool,
            &root,
            &scope,
            node.as_ref(),
            set,
            asked.set.as_deref(),
            &name,
            Some(&value),
        ),
        Wanted::Delete => write(
            tool,
            &root,
            &scope,
            node.as_ref(),
            set,
            asked.set.as_deref(),
            &name,
            None,
        ),
    }
}

fn no_attribute(name: &str) -> Failure {
    Failure::new(
        CrmExit::NO_SUCH,
        format!(
            "Error performing operation: No such device or address (attribute not found: {name})"
        ),
    )
}

/// Name and id of a node.
pub(super) fn known(root: &Element, name: &str) -> Result<(String, String), Failure> {
    let entry = change::node(root, name).ok_or_else(|| {
        Failure::new(
            CrmExit::NO_SUCH,
            format!("Could not map name={name} to a UUID: No such device or address"),
        )
        .cure(node::no_node(root, name).help.unwrap_or_default())
    })?;
    Ok((
        entry.get("uname").unwrap_or(name).to_owned(),
        entry.id().unwrap_or(name).to_owned(),
    ))
}

fn read(
    root: &Element,
    scope: &Scope,
    node: Option<&(String, String)>,
    set: Set,
    of: Option<&str>,
    name: &str,
) -> Option<String> {
    let named = |set: &&Element| of.is_none_or(|of| set.id() == Some(of));
    let value = match scope {
        Scope::Status => change::transient(root, &node?.1, name),
        Scope::Nodes => change::get(change::node(root, &node?.0)?, set, name),
        Scope::Options(section, ..) => root
            .descend(&["configuration", section])?
            .children()
            .filter(named)
            .flat_map(Element::children)
            .find(|pair| pair.is("nvpair") && pair.get("name") == Some(name))?
            .get("value"),
        Scope::Tickets => {
            let tickets = root.descend(&["status", "tickets"])?;
            tickets
                .children()
                .filter(named)
                .find_map(|ticket| ticket.get(name))
        }
    };
    value.map(str::to_owned)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one attribute's address"
)]
fn write(
    tool: &mut Tool,
    root: &Element,
    scope: &Scope,
    node: Option<&(String, String)>,
    set: Set,
    of: Option<&str>,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    match (scope, node) {
        (Scope::Status, Some((uname, id))) => {
            if updater::set(&mut *tool.access, uname, name, value, of)? {
                return Ok(());
            }
            transient(tool, uname, id, name, value)
        }
        (Scope::Nodes, Some((uname, _))) => {
            let mut new = root.clone();
            node::put_attribute(&mut new, set, uname, name, value);
            tool.access.apply_patch(root, &new).map(|_| ())
        }
        (Scope::Options(section, tag, default), _) => {
            let mut new = root.clone();
            option(&mut new, section, tag, of.unwrap_or(default), name, value);
            tool.access.apply_patch(root, &new).map(|_| ())
        }
        (Scope::Tickets, _) => {
            let ticket =
                of.ok_or_else(|| Failure::usage("which ticket?").cure("say --set-name=TICKET"))?;
            let mut new = root.clone();
            let tickets = new.child_or_new("status").child_or_new("tickets");
            if !tickets.children().any(|found| found.id() == Some(ticket)) {
                tickets.push(Element::new("ticket_state").with("id", ticket));
            }
            if let Some(found) = tickets
                .children_mut()
                .find(|found| found.id() == Some(ticket))
            {
                match value {
                    Some(value) => found.set(name, value),
                    None => {
                        found.unset(name);
                    }
                }
            }
            tool.access.apply_patch(root, &new).map(|_| ())
        }
        (_, None) => Err(Failure::usage("which node?").cure("say -N NODE")),
    }
}

/// Set or remove an option in the set of this id.
fn option(root: &mut Element, section: &str, tag: &str, of: &str, name: &str, value: Option<&str>) {
    let section = root.child_or_new("configuration").child_or_new(section);
    let Some(value) = value else {
        for set in section.children_mut().filter(|set| set.id() == Some(of)) {
            set.retain_children(|pair| pair.get("name") != Some(name));
        }
        return;
    };
    if !section.children().any(|set| set.id() == Some(of)) {
        section.push(Element::new(tag).with("id", of));
    }
    let Some(set) = section.children_mut().find(|set| set.id() == Some(of)) else {
        return;
    };
    if let Some(pair) = set
        .children_mut()
        .find(|pair| pair.get("name") == Some(name))
    {
        pair.set("value", value);
        return;
    }
    set.push(
        Element::new("nvpair")
            .with("id", format!("{of}-{name}"))
            .with("name", name)
            .with("value", value),
    );
}

/// Set or remove a transient attribute by one merge, so that two writers of different attributes never collide.
pub(super) fn transient(
    tool: &mut Tool,
    uname: &str,
    id: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    let mut command = match value {
        Some(value) => {
            let clean: String = name
                .chars()
                .map(|c| {
                    if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            let pair = Element::new("nvpair")
                .with("id", format!("status-{id}-{clean}"))
                .with("name", name)
                .with("value", value);
            let sets = Element::new("instance_attributes")
                .with("id", format!("status-{id}"))
                .with_child(pair);
            let attributes = Element::new("transient_attributes")
                .with("id", id)
                .with_child(sets);
            let state = Element::new("node_state")
                .with("id", id)
                .with("uname", uname)
                .with_child(attributes);
            let mut command = Command::modify("status", state).or_create();
            command.flags.score = true;
            command
        }
        None => {
            let path = format!(
                "/cib/status/node_state[@id='{id}']/transient_attributes/instance_attributes/nvpair[@name='{name}']"
            );
            let mut command = Command::delete_xpath(&path);
            command.target = Target::XPath(path);
            command
        }
    };
    command.origin.client = "attrd_updater".to_owned();
    tool.access.write(command).map(|_| ())
}
