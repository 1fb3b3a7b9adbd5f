//! `crm_attribute`, `crm_master`: attributes of nodes and options of the cluster, one at a time. Agents speak to each
//! other through them, so a value that was written can be read at once from every node. Transient attributes of a
//! running cluster go through the attribute manager, as those of `attrd_updater` do.
//! Enters: arguments as Pacemaker's tools take them.
//! Leaves: the same texts and exit codes; one command for each attribute that is written.
//! May touch: what `cli` may.

mod list;
mod place;

use regex::Regex;

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

use place::{Found, Place};

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
    ('\0', "score", false),
    ('!', "inhibit-policy-engine", false),
    ('\0', "list-options", true),
    ('\0', "all", false),
    ('\0', "output-as", true),
];

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
    id: Option<String>,
    pattern: Option<String>,
    utilization: bool,
    list: Option<String>,
    all: bool,
}

/// `crm_attribute`.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args).with_optional(&["promotion"]);
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
            "id" => asked.id = Some(value),
            "pattern" => asked.pattern = Some(value),
            "utilization" => asked.utilization = true,
            "list-options" => asked.list = Some(value),
            "all" => asked.all = true,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    if let Some(word) = options.free.first() {
        return Err(Failure::usage(format!("{word:?} is not expected")).cure("see --help"));
    }
    match asked.list.take() {
        Some(kind) => list::options(tool, &kind, asked.all),
        None => one(tool, &asked),
    }
}

/// `crm_master`: the promotion score of the resource whose agent calls.
pub fn master(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    // Quirk: kept with the node for good, unless `-l reboot` says otherwise, which agents do.
    let first = ["--promotion", "--lifetime", "forever"];
    let mut all: Vec<String> = first.map(str::to_owned).into();
    all.extend(args.iter().cloned());
    // The old spelling had its own word for the resource.
    run(tool, &all)
}

/// Which attributes are meant.
enum Names {
    /// The one of this name.
    One(String),
    /// Those whose name this matches.
    Like(Regex),
}

impl Names {
    fn of(asked: &Asked) -> Result<Names, Failure> {
        if asked.promotion {
            let instance = asked.resource.clone().filter(|name| !name.is_empty());
            let instance = instance
                .or_else(|| std::env::var("OCF_RESOURCE_INSTANCE").ok())
                .filter(|name| !name.is_empty())
                .ok_or_else(|| {
                    Failure::usage("which resource? OCF_RESOURCE_INSTANCE is not set")
                        .cure("say --promotion=RESOURCE")
                })?;
            return Ok(Names::One(format!("master-{instance}")));
        }
        match (&asked.pattern, &asked.name) {
            (Some(pattern), _) => Regex::new(pattern).map(Names::Like).map_err(|error| {
                Failure::usage(format!("{pattern:?} is no regular expression: {error}"))
            }),
            (None, Some(name)) => Ok(Names::One(name.clone())),
            // Whoever only asks, and for none by name, is told of all.
            (None, None) if asked.query || (asked.value.is_none() && !asked.delete) => {
                Ok(Names::Like(Regex::new("").expect("it matches everything")))
            }
            (None, None) => Err(Failure::usage("which attribute?").cure("say -n NAME")),
        }
    }

    fn fit(&self, name: &str) -> bool {
        match self {
            Names::One(own) => own == name,
            Names::Like(pattern) => pattern.is_match(name),
        }
    }
}

/// The section that is meant, by the word that output repeats.
fn section(asked: &Asked) -> &str {
    let lifetime = match asked.lifetime.as_deref() {
        None if asked.promotion => Some("reboot"),
        other => other,
    };
    match (lifetime, asked.kind.as_deref()) {
        (Some("reboot" | "status" | "transient"), _) | (_, Some("reboot" | "status")) => "status",
        (Some("forever" | "nodes" | "permanent"), _) | (_, Some("forever")) => "nodes",
        (_, Some(kind)) => kind,
        (_, None) if asked.node.is_some() || asked.utilization => "nodes",
        _ => "crm_config",
    }
}

fn one(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let names = Names::of(asked)?;
    let section = section(asked);
    let root = tool.access.cib()?.into_root();
    let owner = match section {
        "nodes" | "status" => {
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
    let transient_of = owner
        .as_ref()
        .filter(|_| section == "status")
        .map(|(uname, _)| uname.clone());
    let place = Place::new(section, owner, set, asked.set.clone())?;
    let mut found = place.find(&root);
    found.retain(|pair| names.fit(&pair.name) && asked.id.as_ref().is_none_or(|id| *id == pair.id));
    if let (Some(uname), Names::One(name)) = (&transient_of, &names)
        && managed(tool, asked, uname, name, &found)?
    {
        return Ok(());
    }
    match (&asked.value, asked.delete) {
        (_, true) => delete(tool, asked.quiet, &place, &names, &found),
        (Some(value), false) if !asked.query => {
            update(tool, &place, &names, &found, asked.id.as_deref(), value)
        }
        _ => query(tool, section, &names, &found, asked),
    }
}

/// A transient attribute of a running cluster is the attribute manager's, private ones are known to it alone. False
/// where the CIB is to be asked or written: in a file, or for what is in the CIB already.
fn managed(
    tool: &mut Tool,
    asked: &Asked,
    uname: &str,
    name: &str,
    found: &[Found],
) -> Result<bool, Failure> {
    let set = asked.set.as_deref();
    match (&asked.value, asked.delete) {
        (_, true) => updater::set(&mut *tool.access, uname, name, None, set),
        (Some(value), false) if !asked.query => {
            updater::set(&mut *tool.access, uname, name, Some(value), set)
        }
        _ if found.is_empty() => match updater::get(&mut *tool.access, uname, name) {
            Some(value) => {
                said(tool, "status", name, &value, asked)?;
                Ok(true)
            }
            None => Ok(false),
        },
        _ => Ok(false),
    }
}

fn query(
    tool: &mut Tool,
    section: &str,
    names: &Names,
    found: &[Found],
    asked: &Asked,
) -> Result<(), Failure> {
    let mut shown: Vec<(&str, &str)> = found
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect();
    if let (true, Names::One(name), Some(default)) = (shown.is_empty(), names, &asked.default) {
        shown.push((name, default));
    }
    if shown.is_empty() {
        return Err(no_attribute(asked, names));
    }
    for (name, value) in shown {
        said(tool, section, name, value, asked)?;
    }
    Ok(())
}

fn said(
    tool: &mut Tool,
    section: &str,
    name: &str,
    value: &str,
    asked: &Asked,
) -> Result<(), Failure> {
    tool.element(
        Element::new("attribute")
            .with("name", name)
            .with("value", value)
            .with("scope", section),
    );
    if asked.quiet {
        tool.line(value)
    } else {
        tool.line(&format!("scope={section}  name={name} value={value}"))
    }
}

fn no_attribute(asked: &Asked, names: &Names) -> Failure {
    let name = match names {
        Names::One(name) => name,
        Names::Like(_) => asked.pattern.as_deref().unwrap_or_default(),
    };
    Failure::new(
        CrmExit::NO_SUCH,
        format!(
            "Error performing operation: No such device or address (attribute not found: {name})"
        ),
    )
}

/// The one that a name means. Several are refused, for nobody knows which one is meant.
fn single<'a>(
    tool: &mut Tool,
    name: &str,
    found: &'a [Found],
) -> Result<Option<&'a Found>, Failure> {
    if found.len() < 2 {
        return Ok(found.first());
    }
    tool.line(&format!("Multiple attributes match name={name}"))?;
    for pair in found {
        tool.line(&format!("  Value: {} \t(id={})", pair.value, pair.id))?;
    }
    Err(
        Failure::new(CrmExit::MULTIPLE, format!("{name} is set more than once"))
            .cure("say which one with --set-name=SET or --id=ID"),
    )
}

fn update(
    tool: &mut Tool,
    place: &Place,
    names: &Names,
    found: &[Found],
    id: Option<&str>,
    value: &str,
) -> Result<(), Failure> {
    let Names::One(name) = names else {
        for pair in found {
            tool.access.write(place.update(pair, value))?;
        }
        return Ok(());
    };
    let command = match single(tool, name, found)? {
        Some(pair) => place.update(pair, value),
        None => place.update(&place.fresh(name, id)?, value),
    };
    tool.access.write(command).map(|_| ())
}

fn delete(
    tool: &mut Tool,
    quiet: bool,
    place: &Place,
    names: &Names,
    found: &[Found],
) -> Result<(), Failure> {
    let gone: Vec<&Found> = match names {
        Names::One(name) => single(tool, name, found)?.into_iter().collect(),
        Names::Like(_) => found.iter().collect(),
    };
    for pair in gone {
        tool.access.write(place.delete(pair))?;
        if quiet {
            continue;
        }
        tool.line(&format!(
            "Deleted {} {}: id={}{} name={}",
            place.section(),
            if place.of_a_node() {
                "attribute"
            } else {
                "option"
            },
            pair.id,
            place
                .named_set()
                .map(|set| format!(" set={set}"))
                .unwrap_or_default(),
            pair.name
        ))?;
    }
    Ok(())
}

/// Name and id of a node.
pub(super) fn known(root: &Element, name: &str) -> Result<(String, String), Failure> {
    if change::node(root, name).is_none() && is_remote(root, name) {
        return Ok((name.to_owned(), name.to_owned()));
    }
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

/// Remote and guest nodes have an entry of their own only once an attribute is set for good. // spec 1 §14.1
fn is_remote(root: &Element, name: &str) -> bool {
    let configured = root.descend(&["configuration", "resources"]).into_iter();
    let connection = |e: &Element| match e.tag() {
        "primitive" => e.get("type") == Some("remote") && e.id() == Some(name),
        "nvpair" => e.get("name") == Some("remote-node") && e.get("value") == Some(name),
        _ => false,
    };
    let state = || {
        let state = root.child("status")?.child_by_id("node_state", name)?;
        (state.get("remote_node") == Some("true")).then_some(())
    };
    configured.flat_map(Element::descendants).any(connection) || state().is_some()
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
