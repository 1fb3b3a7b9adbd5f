//! `stonith_admin`: nodes fenced and confirmed as dead, fence devices and agents listed.
//! Gap: the history of fencing (`-H`, `-h`) is not kept, devices are registered by configuring them alone (`-R`, `-r`).

use crate::{
    cli::{cmd, failure::Failure, show::xml::text_element},
    clock,
    fencer::Action,
    policy::{Input, fence_devices},
    rpc::{AdminAnswer, AdminRequest},
    terms::{CrmExit, span},
    xml::Element,
};

use super::{Options, Tool, local_node, resource};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('l', "list", true),
    ('L', "list-registered", false),
    ('I', "list-installed", false),
    ('s', "list-targets", true),
    ('M', "metadata", false),
    ('Q', "query", true),
    ('H', "history", true),
    ('h', "last", true),
    ('K', "validate", false),
    ('R', "register", true),
    ('D', "deregister", true),
    ('r', "register-level", true),
    ('d', "deregister-level", true),
    ('F', "fence", true),
    ('U', "unfence", true),
    ('B', "reboot", true),
    ('C', "confirm", true),
    ('c', "cleanup", false),
    ('b', "broadcast", false),
    ('a', "agent", true),
    ('o', "option", true),
    ('e', "env-option", true),
    ('T', "tag", true),
    ('v', "device", true),
    ('i', "index", true),
    ('n', "as-node-id", false),
    ('t', "timeout", true),
    ('y', "delay", true),
    ('\0', "tolerance", true),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
];

/// For one device, where the command line says nothing. // spec cluster §10
const TIMEOUT_MS: u64 = 120_000;

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut command, mut agent, mut timeout_ms) = (None, None, TIMEOUT_MS);
    let mut pairs = Vec::new();
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(
                    tool,
                    "stonith_admin",
                    "fence nodes, list fence devices",
                    OPTIONS,
                );
            }
            "version" => return super::version(tool),
            "output-as" => tool.output_as(&value)?,
            "agent" => agent = Some(value),
            "option" => pairs.push(value),
            "timeout" => {
                let wrong =
                    |_| Failure::usage(format!("--timeout {value}: expected a time such as 60s"));
                timeout_ms = span::parse_ms(&value).map_err(wrong)?;
            }
            "verbose" | "quiet" | "cleanup" | "broadcast" | "env-option" | "tag" | "device"
            | "index" | "as-node-id" | "delay" | "tolerance" | "output-to" => {}
            _ => command = Some((name, value)),
        }
    }
    let (command, given) =
        command.ok_or_else(|| Failure::usage("no command").cure("see --help"))?;
    let need_agent = || Failure::usage(format!("--{command} needs an agent")).cure("say -a AGENT");
    match command {
        "fence" => fence(tool, given, Action::Off, timeout_ms),
        "reboot" => fence(tool, given, Action::Reboot, timeout_ms),
        "unfence" => fence(tool, given, Action::On, timeout_ms),
        "confirm" => {
            known(tool, &given)?;
            ask(tool, AdminRequest::Confirm { node: given })
        }
        "list-registered" => registered(tool),
        "list-installed" => installed(tool),
        "metadata" => {
            let agent = agent.ok_or_else(need_agent)?;
            resource::run(
                tool,
                &["--show-metadata".into(), format!("stonith:{agent}")],
            )
        }
        "validate" => {
            let agent = agent.ok_or_else(need_agent)?;
            resource::fence_device::validate(tool, &agent, &pairs)
        }
        other => Err(Failure::new(
            CrmExit::UNAVAILABLE,
            format!("--{other} can't be answered: it would need what no daemon here keeps"),
        )
        .cure("crm configure changes devices and levels; crm status shows what was fenced")),
    }
}

fn fence(tool: &mut Tool, node: String, action: Action, timeout_ms: u64) -> Result<(), Failure> {
    known(tool, &node)?;
    ask(
        tool,
        AdminRequest::Fence {
            node,
            action,
            timeout_ms,
        },
    )
}

/// Nobody fences a node that is not there.
fn known(tool: &mut Tool, node: &str) -> Result<(), Failure> {
    let cib = tool.access.cib()?;
    let facts = cmd::facts_of(&cib);
    let mut nodes = facts.nodes.iter();
    if nodes.any(|known| known.name.as_str().eq_ignore_ascii_case(node)) {
        Ok(())
    } else {
        Err(cmd::node::no_node(cib.root(), node))
    }
}

fn ask(tool: &mut Tool, request: AdminRequest) -> Result<(), Failure> {
    match tool.access.ask(request)? {
        AdminAnswer::Done => Ok(()),
        AdminAnswer::Text(text) => tool.line(text.trim_end()),
        AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
        other => Err(cmd::cluster::unexpected(&other)),
    }
}

/// `-L`: devices that this node may use.
fn registered(tool: &mut Tool) -> Result<(), Failure> {
    let cib = tool.access.cib()?;
    let node = local_node(tool)?;
    let devices = fence_devices(cib.root(), &Input::at(clock::wall_s()), &node);
    count(tool, devices.into_iter().map(|device| device.id))
}

/// `-I`: fence agents on this machine.
fn installed(tool: &mut Tool) -> Result<(), Failure> {
    count(tool, resource::fence_agents())
}

fn count(tool: &mut Tool, names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let names: Vec<String> = names.into_iter().collect();
    for name in &names {
        tool.line(name)?;
    }
    let number = names.len();
    let many = if number == 1 { "device" } else { "devices" };
    tool.line(&format!("{number} fence {many} found"))?;
    tool.element(
        Element::new("list")
            .with("name", "fence devices")
            .with("count", number.to_string())
            .with_children(names.iter().map(|name| text_element("item", name))),
    );
    Ok(())
}
