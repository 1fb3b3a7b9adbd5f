//! `crm_resource`: resources listed, explained, configured one attribute at a time, moved, cleaned up, and their agents
//! run by hand.
//! Enters: the command line, the CIB.
//! Leaves: lines or elements through `cli::tools::output`, changes of the CIB, requests to the daemon.
//! May touch: what `cli` may; agents on this machine, through the executor.

mod agents;
mod constraints;
mod digests;
mod fence_device;
mod force;
mod locations;
mod look;
mod metadata;
mod operations;
mod params;
mod why;

pub(crate) use metadata::names as meta_names;

use crate::{
    cib::{
        Cib,
        status::{
            history,
            node_state::Place,
            record::{self, Counting, Execution},
        },
    },
    cli::{
        args::Resource,
        cmd::{self, change, change::Set},
        failure::Failure,
        shell::Shell,
    },
    policy::{RscIdx, facts::Facts},
    terms::{AgentName, CrmExit, ExecStatus, FEATURE_SET, OcfExit, OpKey, TransitionKey},
    xml::Element,
};

use super::{Options, Tool, output::Format};

pub(super) use agents::{fence_agents, validate_fence_agent};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('r', "resource", true),
    ('N', "node", true),
    ('H', "host-uname", true),
    // Queries.
    ('L', "list", false),
    ('l', "list-raw", false),
    ('O', "list-operations", false),
    ('o', "list-all-operations", false),
    ('\0', "list-options", true),
    ('\0', "list-standards", false),
    ('\0', "list-ocf-providers", false),
    ('\0', "list-agents", true),
    ('\0', "list-ocf-alternatives", true),
    ('\0', "show-metadata", true),
    ('q', "query-xml", false),
    ('w', "query-xml-raw", false),
    ('g', "get-parameter", true),
    ('W', "locate", false),
    ('a', "constraints", false),
    ('A', "stack", false),
    ('Y', "why", false),
    // Commands.
    ('\0', "validate", false),
    ('C', "cleanup", false),
    ('R', "refresh", false),
    ('p', "set-parameter", true),
    ('d', "delete-parameter", true),
    ('M', "move", false),
    ('B', "ban", false),
    ('U', "clear", false),
    ('D', "delete", false),
    ('F', "fail", false),
    ('\0', "restart", false),
    ('\0', "wait", false),
    ('\0', "digests", false),
    ('\0', "force-demote", false),
    ('\0', "force-stop", false),
    ('\0', "force-start", false),
    ('\0', "force-promote", false),
    ('\0', "force-check", false),
    // What they take.
    ('e', "expired", false),
    ('u', "lifetime", true),
    ('\0', "promoted", false),
    ('\0', "master", false),
    ('\0', "recursive", false),
    ('t', "resource-type", true),
    ('v', "parameter-value", true),
    ('m', "meta", false),
    ('z', "utilization", false),
    ('\0', "element", false),
    ('n', "operation", true),
    ('I', "interval", true),
    ('\0', "class", true),
    ('\0', "agent", true),
    ('\0', "provider", true),
    ('\0', "option", true),
    ('s', "set-name", true),
    ('i', "nvpair", true),
    ('T', "timeout", true),
    ('\0', "all", false),
    ('f', "force", false),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
];

/// What was asked on the command line.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
struct Asked {
    command: &'static str,
    /// The value of the command's own option.
    given: String,
    rsc: Option<String>,
    node: Option<String>,
    value: Option<String>,
    kind: Kind,
    set_id: Option<String>,
    pair_id: Option<String>,
    element_tag: Option<String>,
    lifetime: Option<String>,
    timeout_ms: Option<u64>,
    class: Option<String>,
    agent: Option<String>,
    provider: Option<String>,
    /// `--option NAME=VALUE`, and free words of this form.
    pairs: Vec<(String, String)>,
    level: Option<String>,
    quiet: bool,
    force: bool,
    promoted: bool,
    recursive: bool,
    expired: bool,
    all: bool,
}

/// Which attributes of a resource are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Attributes in a set.
    Pairs(Set),
    /// Those of the element itself.
    Element,
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Pairs(Set::Params)
    }
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    match parse(tool, args) {
        Ok(Some(asked)) => {
            check_agent(&asked)?;
            dispatch(tool, &asked)
        }
        Ok(None) => Ok(()),
        Err(failure) => {
            // Options that can't be read may be about the form, so there is none yet.
            tool.answer.format = Format::Text;
            Err(failure)
        }
    }
}

/// Read the command line; nothing is left to do when it asks for help.
fn parse(tool: &mut Tool, args: &[String]) -> Result<Option<Asked>, Failure> {
    let (args, level) = without_level(args);
    let mut options = Options::new(OPTIONS, &args);
    let mut asked = Asked {
        command: "list",
        level,
        ..Asked::default()
    };
    while let Some((name, given)) = options.next()? {
        match name {
            "help" => {
                super::help(tool, "crm_resource", "show and change resources", OPTIONS)?;
                return Ok(None);
            }
            "version" => {
                super::version(tool)?;
                return Ok(None);
            }
            "output-as" => tool.output_as(&given)?,
            "output-to" => tool.output_to(&given)?,
            _ => take(&mut asked, name, given)?,
        }
    }
    let overrides =
        matches!(asked.command, "digests" | "validate") || asked.command.starts_with("force-");
    for word in std::mem::take(&mut options.free) {
        match word.split_once('=') {
            Some((name, value)) if overrides => {
                asked.pairs.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                return Err(
                    Failure::usage(format!("{word:?} belongs to no option")).cure(
                        "NAME=VALUE overrides a parameter, for --digests, --validate and --force-*",
                    ),
                );
            }
        }
    }
    Ok(Some(asked))
}

/// `--validate` and `--force-check` may have a level behind an equals sign.
fn without_level(args: &[String]) -> (Vec<String>, Option<String>) {
    let mut level = None;
    let args = args.iter().map(|word| {
        let split = word.split_once('=');
        match split {
            Some((name @ ("--validate" | "--force-check"), value)) => {
                level = Some(value.to_owned());
                name.to_owned()
            }
            _ => word.clone(),
        }
    });
    (args.collect(), level)
}

fn take(asked: &mut Asked, name: &'static str, given: String) -> Result<(), Failure> {
    match name {
        "resource" => asked.rsc = Some(given),
        "node" | "host-uname" => asked.node = Some(given),
        "lifetime" => asked.lifetime = Some(given),
        "parameter-value" => asked.value = Some(given),
        "meta" => asked.kind = Kind::Pairs(Set::Meta),
        "utilization" => asked.kind = Kind::Pairs(Set::Utilization),
        "element" => asked.kind = Kind::Element,
        "set-name" => asked.set_id = Some(given),
        "nvpair" => asked.pair_id = Some(given),
        "resource-type" => asked.element_tag = Some(given),
        "class" => asked.class = Some(given),
        "agent" => asked.agent = Some(given),
        "provider" => asked.provider = Some(given),
        "option" => {
            let (name, value) = given
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("--option {given}: expected NAME=VALUE")))?;
            asked.pairs.push((name.to_owned(), value.to_owned()));
        }
        "timeout" => {
            let wrong =
                |_| Failure::usage(format!("--timeout {given}: expected a time such as 30s"));
            asked.timeout_ms = Some(crate::terms::span::parse_ms(&given).map_err(wrong)?);
        }
        "quiet" => asked.quiet = true,
        "force" => asked.force = true,
        "promoted" | "master" => asked.promoted = true,
        "recursive" => asked.recursive = true,
        "expired" => asked.expired = true,
        "all" => asked.all = true,
        "verbose" | "operation" | "interval" => {}
        "list-options" => {
            metadata::check_kind(&given)?;
            asked.command = name;
            asked.given = given;
        }
        "stack" => {
            asked.command = "constraints";
            asked.recursive = true;
        }
        command => {
            asked.command = command;
            asked.given = given;
        }
    }
    Ok(())
}

/// An agent on the command line stands in for a resource, in what runs agents.
fn check_agent(asked: &Asked) -> Result<(), Failure> {
    let named = asked.class.is_some() || asked.agent.is_some() || asked.provider.is_some();
    if !named {
        return Ok(());
    }
    if asked.command != "validate" && !asked.command.starts_with("force-") {
        return Err(Failure::usage(
            "--class, --agent and --provider go with --validate and --force-* alone",
        ));
    }
    if asked.rsc.is_some() {
        return Err(Failure::usage(
            "--resource can't be used with --class, --agent and --provider",
        )
        .cure("name a resource, or an agent"));
    }
    Ok(())
}

fn dispatch(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    match asked.command {
        "list" => look::list(tool),
        "list-raw" => look::list_raw(tool),
        "list-operations" => operations::list(tool, asked, true),
        "list-all-operations" => operations::list(tool, asked, false),
        "list-options" => metadata::options(tool, &asked.given, asked.all),
        "list-standards" => agents::standards(tool),
        "list-ocf-providers" => agents::providers(tool),
        "list-agents" => agents::agents(tool, &asked.given),
        "list-ocf-alternatives" => agents::alternatives(tool, &asked.given),
        "show-metadata" => agents::metadata(tool, &asked.given),
        "query-xml" => look::query(tool, asked, true),
        "query-xml-raw" => look::query(tool, asked, false),
        "get-parameter" => params::get(tool, asked),
        "set-parameter" => params::set(tool, asked),
        "delete-parameter" => params::delete(tool, asked),
        "locate" => look::locate(tool, asked),
        "constraints" => constraints::show(tool, asked),
        "why" => why::show(tool, asked),
        "move" => locations::relocate(tool, asked),
        "ban" => locations::ban(tool, asked),
        "clear" => locations::clear(tool, asked),
        "delete" => delete(tool, asked),
        "digests" => digests::show(tool, asked),
        "cleanup" | "refresh" | "restart" | "wait" => by_shell(tool, asked),
        "fail" => fail(tool, asked),
        _ => force::run(tool, asked),
    }
}

/// What `crm resource` does in the same way.
fn by_shell(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let mut shell = Shell::new(super::entry::reach(None));
    shell.force = asked.force;
    if tool.xml() {
        // Lines would not fit into the document.
        shell.out = Box::new(std::io::sink());
        return in_shell(&mut shell, asked);
    }
    std::mem::swap(&mut shell.out, &mut tool.out);
    let done = in_shell(&mut shell, asked);
    std::mem::swap(&mut shell.out, &mut tool.out);
    done
}

fn in_shell(shell: &mut Shell, asked: &Asked) -> Result<(), Failure> {
    let (id, node) = (asked.rsc.clone(), asked.node.clone());
    if asked.command == "wait" {
        let seconds = asked.timeout_ms.map_or(3600, |ms| ms.div_ceil(1000));
        return cmd::cluster::run(shell, crate::cli::args::Cluster::Wait { seconds });
    }
    let command = match asked.command {
        "restart" => {
            let id = asked.need_rsc()?.to_owned();
            let facts = cmd::facts_of(&shell.access.cib()?);
            if cmd::running_on(&facts, &id).is_none() && find(&facts, &id).is_some() {
                let message = format!("{id} is not running anywhere and so cannot be restarted");
                return Err(Failure::new(CrmExit::NO_SUCH, message));
            }
            Resource::Restart { ids: vec![id] }
        }
        "refresh" => Resource::Refresh { id, node },
        _ => Resource::Cleanup { id, node },
    };
    cmd::resource::run(shell, command)
}

/// A failure that nobody saw: the fail count goes up, so that the cluster recovers the resource.
fn fail(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let node = asked.need_node()?;
    let cib = tool.access.cib()?;
    let facts = cmd::facts_of(&cib);
    found(&facts, &cib, id)?;
    let node = &facts.nodes[known_node(&facts, node)?];
    let leaves = facts.leaves(found(&facts, &cib, id)?);
    let [leaf] = leaves.as_slice() else {
        return Err(
            Failure::usage(format!("{id} has no agent of its own")).cure("name one of its members")
        );
    };
    let it = &facts.rscs[*leaf];
    let provider = it.agent.provider.as_deref();
    let execution = Execution {
        agent: AgentName::new(&it.agent.class, provider, &it.agent.kind),
        op: OpKey::new(it.xml_id.clone(), "asyncmon", 0),
        key: TransitionKey {
            action: 0,
            transition: -1,
            target_rc: 0,
            uuid: uuid::Uuid::new_v4().to_string(),
        },
        call_id: next_call(&cib, &node.id),
        status: ExecStatus::Done,
        rc: OcfExit::ERROR,
        exit_reason: "declared as failed by crm_resource --fail".to_owned(),
        last_rc_change_s: Some(crate::clock::wall_s()),
        exec_ms: Some(0),
        queue_ms: Some(0),
        digests: record::Digests::default(),
        feature_set: FEATURE_SET.to_owned(),
        node: node.name.clone(),
        notify: None,
        migrate: None,
        container: None,
        shutdown_lock: None,
        ignore_failure: false,
    };
    let place = Place::new(&node.id, node.name.clone());
    let command = record::result(&place, &execution, Counting::of(&cib));
    tool.access.write(command).map(drop)
}

/// It counts as the newest of what the node did.
fn next_call(cib: &Cib, node: &str) -> i64 {
    let entries = history::of_node(cib, node);
    entries.iter().map(|entry| entry.call_id).max().unwrap_or(0) + 1
}

/// Take a resource out of the configuration.
fn delete(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let tag = asked.element_tag.as_deref().ok_or_else(|| {
        Failure::usage("You need to specify a resource type with -t")
            .cure("-t primitive, group, clone or bundle")
    })?;
    let root = tool.access.cib()?.into_root();
    let (element, _) =
        change::resource(&root, id).ok_or_else(|| cmd::resource::no_resource(&root, id))?;
    if !element.is(tag) {
        // There is no such element, and so nothing to delete, which is what was asked for.
        if !tool.xml() {
            tool.error(&format!(
                "'{id}' is a {}, not a {tag}: nothing was deleted",
                element.tag()
            ));
        }
        return Ok(());
    }
    let mut new = root.clone();
    let resources = new.child_or_new("configuration").child_or_new("resources");
    without(resources, id);
    tool.access.apply_patch(&root, &new).map(|_| ())
}

fn without(parent: &mut Element, id: &str) {
    parent.retain_children(|child| !(change::is_resource(child.tag()) && child.id() == Some(id)));
    for child in parent
        .children_mut()
        .filter(|child| change::is_resource(child.tag()))
    {
        without(child, id);
    }
}

impl Asked {
    fn need_rsc(&self) -> Result<&str, Failure> {
        let id = self.rsc.as_deref();
        id.ok_or_else(|| Failure::usage("Must supply a resource id with -r"))
    }

    fn need_node(&self) -> Result<&str, Failure> {
        let node = self.node.as_deref();
        node.ok_or_else(|| Failure::usage("Must supply a node name with -N"))
    }
}

/// The resource of this id: any, an instance by its number, or the first instance of what is cloned.
fn find(facts: &Facts, id: &str) -> Option<RscIdx> {
    facts.rsc_by_id(id).or_else(|| {
        let mut all = facts.top.iter().flat_map(|top| facts.descend(*top));
        all.find(|rsc| facts.rscs[*rsc].xml_id == id)
    })
}

fn found(facts: &Facts, cib: &Cib, id: &str) -> Result<RscIdx, Failure> {
    find(facts, id).ok_or_else(|| {
        let failure = cmd::resource::no_resource(cib.root(), id);
        Failure {
            message: format!("Resource '{id}' not found"),
            ..failure
        }
    })
}

fn known_node(facts: &Facts, name: &str) -> Result<crate::policy::NodeIdx, Failure> {
    let mut order = facts.node_order.iter().copied();
    order
        .find(|node| facts.nodes[*node].name.as_str().eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            Failure::new(CrmExit::NO_SUCH, format!("Node '{name}' not found"))
                .cure("crm_node --list lists the nodes")
        })
}

/// Instances come and go, so what is configured is configured for all of them.
fn no_instance(facts: &Facts, rsc: RscIdx, id: &str) -> Result<(), Failure> {
    let it = &facts.rscs[rsc];
    let in_clone = facts.rscs[facts.top_of(rsc)].clone_facts().is_some();
    if in_clone && it.xml_id != id && it.id == id {
        return Err(Failure::new(
            CrmExit(OcfExit::INVALID_PARAM.0),
            format!("Cannot operate on clone resource instance '{id}'"),
        )
        .cure(format!("name the clone, or {}", it.xml_id)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
