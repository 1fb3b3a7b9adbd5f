//! `stonith_admin`: nodes fenced and confirmed as dead, fence devices asked, the history of fencing. // spec cluster §16.11

use std::collections::BTreeMap;

use crate::{
    cli::{
        cmd,
        failure::Failure,
        show::{Fencing, Wanted, xml::text_element},
    },
    clock,
    fencer::{self, Action, Delay, Device, Level, LevelTarget, Question, Reply, State},
    rpc::{AdminAnswer, AdminRequest},
    terms::{CrmExit, DateTime, NodeName, span},
    xml::Element,
};

use super::{Options, Tool, resource};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('\0', "help-all", false),
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
    ('\0', "text-fancy", false),
];

/// For one device, where the command line says nothing. // spec cluster §10
const TIMEOUT_MS: u64 = 120_000;

/// What the command line says beside the command itself.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
struct Asked {
    agent: Option<String>,
    params: BTreeMap<String, String>,
    devices: Vec<String>,
    index: u32,
    timeout_ms: u64,
    tolerance_ms: u64,
    delay: Delay,
    tag: Option<String>,
    verbose: bool,
    quiet: bool,
    cleanup: bool,
    broadcast: bool,
    by_id: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked {
        timeout_ms: TIMEOUT_MS,
        ..Asked::default()
    };
    let mut command = None;
    while let Some((name, value)) = options.next()? {
        match name {
            "help" | "help-all" => {
                return super::help(
                    tool,
                    "stonith_admin",
                    "fence nodes, ask fence devices, show what was fenced",
                    OPTIONS,
                );
            }
            "version" => return super::version(tool),
            "output-as" => tool.output_as(&value)?,
            "output-to" => tool.output_to(&value)?,
            name if asked.take(name, &value)? => {}
            // The first one counts.
            _ => drop(command.get_or_insert((name, value))),
        }
    }
    let (command, given) =
        command.ok_or_else(|| Failure::usage("no command").cure("see --help"))?;
    match command {
        "fence" => fence(tool, &asked, given, Action::Off),
        "reboot" => fence(tool, &asked, given, Action::Reboot),
        "unfence" => fence(tool, &asked, given, Action::On),
        "confirm" => {
            known(tool, &given)?;
            confirm(tool, given)
        }
        "history" => history(tool, &asked, &given),
        "last" => last(tool, &asked, given),
        "list-registered" => {
            let names = names(tool, Question::Registered)?;
            list(tool, ("registered fence devices", "fence device"), names)
        }
        "list" => {
            let question = Question::Able(given.as_str().into(), asked.timeout_ms);
            let names = names(tool, question)?;
            list(tool, ("registered fence devices", "fence device"), names)
        }
        "list-targets" => targets(tool, &asked, &given),
        "list-installed" => {
            let names = resource::fence_agents().into_iter().collect();
            list(tool, ("installed fence devices", "fence device"), names)
        }
        "query" => {
            let question = Question::Status(given.as_str().into(), asked.timeout_ms);
            let failed = |exit, why| Failure::new(exit, format!("device {given}: {why}"));
            done(ask(tool, question)?, failed)
        }
        "metadata" => {
            let words = [
                "--show-metadata".to_owned(),
                format!("stonith:{}", asked.agent("--metadata")?),
            ];
            resource::run(tool, &words)
        }
        "validate" => validate(tool, &asked),
        "register" => {
            let device = Device {
                id: given.as_str().into(),
                agent: asked.agent("--register")?,
                params: asked.params,
                provides_unfencing: false,
            };
            let failed = |exit, why| Failure::new(exit, format!("Can't register {given}: {why}"));
            done(ask(tool, Question::Register(device))?, failed)
        }
        "deregister" => {
            let question = Question::Deregister(given.as_str().into());
            let failed = |exit, why| Failure::new(exit, format!("Can't deregister {given}: {why}"));
            done(ask(tool, question)?, failed)
        }
        "register-level" | "deregister-level" => level(tool, asked, command, &given),
        other => Err(Failure::usage(format!("--{other} is no command"))),
    }
}

impl Asked {
    /// Takes an option; false for a command.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let ms = |value: &str| {
            let wrong =
                |_| Failure::usage(format!("--{name} {value}: expected a time such as 60s"));
            span::parse_ms(value).map_err(wrong)
        };
        match name {
            "agent" => self.agent = Some(value.to_owned()),
            "option" => {
                let pair = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = pair.ok_or_else(|| {
                    Failure::usage(format!("Invalid option: -o {value}"))
                        .cure("write -o NAME=VALUE")
                })?;
                self.params.insert(name.to_owned(), value.to_owned());
            }
            "env-option" => {
                let found = std::env::var(format!("OCF_RESKEY_{value}"));
                let found = found.map_err(|_| {
                    let text = format!("Invalid option: -e {value}");
                    Failure::usage(text).cure(format!("set OCF_RESKEY_{value}"))
                })?;
                self.params.insert(value.to_owned(), found);
            }
            "device" => self.devices.push(value.to_owned()),
            // What is no number is no level, and said so with the target.
            "index" => self.index = value.parse().unwrap_or(u32::MAX),
            "timeout" => self.timeout_ms = ms(value)?,
            "tolerance" => self.tolerance_ms = ms(value)?,
            "delay" => {
                self.delay = match value.trim() {
                    "-1" => Delay::Disabled,
                    value => match ms(value)? {
                        0 => Delay::None,
                        ms => Delay::Add(ms),
                    },
                }
            }
            "tag" => self.tag = Some(value.to_owned()),
            "verbose" => self.verbose = true,
            "quiet" => self.quiet = true,
            "cleanup" => self.cleanup = true,
            "broadcast" => self.broadcast = true,
            "as-node-id" => self.by_id = true,
            "text-fancy" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn agent(&self, command: &str) -> Result<String, Failure> {
        self.agent.clone().ok_or_else(|| {
            Failure::usage(format!("{command} needs an agent")).cure("say --agent=AGENT")
        })
    }
}

fn ask(tool: &mut Tool, question: Question) -> Result<Reply, Failure> {
    let unclear = |error: serde_json::Error| Failure::new(CrmExit::PROTOCOL, error.to_string());
    let body = serde_json::to_value(question).map_err(unclear)?;
    match tool
        .access
        .ask(AdminRequest::Call(fencer::NAME.into(), body))?
    {
        AdminAnswer::Json(reply) => serde_json::from_value(reply).map_err(unclear),
        AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
        other => Err(cmd::cluster::unexpected(&other)),
    }
}

/// What a reply that should say "done" says, with its exit code.
fn done(reply: Reply, failed: impl Fn(CrmExit, String) -> Failure) -> Result<(), Failure> {
    match reply {
        Reply::NoDevice(_) => Err(failed(CrmExit::NO_SUCH, "No such device".into())),
        Reply::Failed(why) => Err(failed(exit_of(&why), text_of(&why))),
        Reply::Done | Reply::Names(_) | Reply::History(_) => Ok(()),
    }
}

fn exit_of(why: &fencer::Failure) -> CrmExit {
    match why {
        fencer::Failure::NoDevice(_) | fencer::Failure::CannotRun(_) => CrmExit::NO_SUCH,
        fencer::Failure::TimedOut(_) => CrmExit::TIMEOUT,
        _ => CrmExit::ERROR,
    }
}

/// Clients look at the first words.
fn text_of(why: &fencer::Failure) -> String {
    match why {
        fencer::Failure::NoDevice(_) | fencer::Failure::CannotRun(_) => {
            format!("No such device ({why})")
        }
        fencer::Failure::TimedOut(_) => format!("Timer expired ({why})"),
        why => format!("No data available ({why})"),
    }
}

fn fence(tool: &mut Tool, asked: &Asked, node: String, action: Action) -> Result<(), Failure> {
    known(tool, &node)?;
    let question = Question::Fence {
        target: NodeName::from(node.as_str()),
        action,
        timeout_ms: asked.timeout_ms,
        delay: asked.delay,
        tolerance_ms: asked.tolerance_ms,
        client: asked.tag.clone().unwrap_or_else(|| {
            // As in what Pacemaker's tools call themselves.
            format!("stonith_admin.{}", std::process::id())
        }),
    };
    let word = if action == Action::On {
        "unfence"
    } else {
        "fence"
    };
    let failed = |exit, why| Failure::new(exit, format!("Couldn't {word} {node}: {why}"));
    done(ask(tool, question)?, failed)
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

fn confirm(tool: &mut Tool, node: String) -> Result<(), Failure> {
    match tool.access.ask(AdminRequest::Confirm { node })? {
        AdminAnswer::Done => Ok(()),
        AdminAnswer::Text(text) => tool.line(text.trim_end()),
        AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
        other => Err(cmd::cluster::unexpected(&other)),
    }
}

fn names(tool: &mut Tool, question: Question) -> Result<Vec<String>, Failure> {
    match ask(tool, question)? {
        Reply::Names(names) => Ok(names),
        other => {
            done(other, Failure::new)?;
            Ok(Vec::new())
        }
    }
}

/// `-s`: whom a device can fence.
fn targets(tool: &mut Tool, asked: &Asked, device: &str) -> Result<(), Failure> {
    let failed = |exit, why| Failure::new(exit, format!("Couldn't list targets: {why}"));
    let question = Question::Targets(device.into(), asked.timeout_ms);
    let Reply::Names(names) = ask_ok(tool, question, failed)? else {
        return Err(failed(CrmExit::ERROR, "No data available".into()));
    };
    list(tool, ("fence targets", "fence target"), names)
}

/// An answer that is no failure.
fn ask_ok(
    tool: &mut Tool,
    question: Question,
    failed: impl Fn(CrmExit, String) -> Failure,
) -> Result<Reply, Failure> {
    let reply = ask(tool, question)?;
    done(reply.clone(), failed)?;
    Ok(reply)
}

/// Names, and how many there are.
fn list(tool: &mut Tool, (title, one): (&str, &str), names: Vec<String>) -> Result<(), Failure> {
    for name in &names {
        tool.line(name)?;
    }
    count(tool, one, names.len())?;
    let what = (one == "fence device").then_some("device");
    tool.element(
        Element::new("list")
            .with("name", title)
            .with("count", names.len().to_string())
            .with_children(
                names
                    .iter()
                    .map(|name| text_element("item", name).with_some("name", what)),
            ),
    );
    Ok(())
}

fn count(tool: &mut Tool, one: &str, number: usize) -> Result<(), Failure> {
    let s = if number == 1 { "" } else { "s" };
    tool.line(&format!("{number} {one}{s} found"))
}

/// `-r`, `-d`: levels beside those of the configuration.
fn level(tool: &mut Tool, asked: Asked, command: &str, given: &str) -> Result<(), Failure> {
    let target = match (given.strip_prefix('@'), given.split_once('=')) {
        (Some(pattern), _) => LevelTarget::Pattern(pattern.to_owned()),
        (None, Some((name, value))) => LevelTarget::Attribute(name.to_owned(), value.to_owned()),
        (None, None) => LevelTarget::Node(given.to_owned()),
    };
    let register = command == "register-level";
    let (word, least) = if register {
        ("register", 1)
    } else {
        ("unregister", 0)
    };
    let index = asked.index;
    let failed = |exit, why: String| {
        let text = format!("Can't {word} topology level {index} for {given}: {why}");
        Failure::new(exit, text).cure("levels are 1 to 9: say --index=LEVEL")
    };
    if !(least..=9).contains(&index) {
        return Err(failed(CrmExit::SOFTWARE, "Invalid argument".into()));
    }
    let question = if register {
        let devices = asked.devices.iter().flat_map(|words| words.split(','));
        Question::Level(Level {
            target,
            index,
            devices: devices.map(|device| device.trim().into()).collect(),
        })
    } else {
        Question::Unlevel(target, index)
    };
    done(ask(tool, question)?, failed)
}

/// `-K`: the agent's own opinion of its parameters.
fn validate(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let agent = asked.agent("--validate")?;
    let installed = resource::fence_agents().contains(&agent);
    let result = if installed {
        resource::validate_fence_agent(&agent, &asked.params, asked.timeout_ms)?
    } else {
        (Err(format!("Agent {agent} not found")), String::new())
    };
    let (valid, said) = (result.0 == Ok(0), result.1.trim_end().to_owned());
    let word = if valid { "succeeded" } else { "failed" };
    tool.line(&format!("Validation of {agent} {word}"))?;
    let said = match &result.0 {
        Err(why) => why.clone(),
        Ok(_) => said,
    };
    if !said.is_empty() {
        tool.line(&said)?;
    }
    let code = if valid { "0" } else { "1" };
    let mut command = Element::new("command").with("code", code);
    if !said.is_empty() {
        command.push(text_element("output", &said).with("source", "stderr"));
    }
    tool.element(
        Element::new("validate")
            .with("agent", &agent)
            .with("valid", valid.to_string())
            .with_children([command]),
    );
    if valid {
        return Ok(());
    }
    // It has been said already.
    let exit = if installed {
        CrmExit::ERROR
    } else {
        CrmExit::NO_SUCH
    };
    Err(Failure::new(exit, ""))
}

/// `-H`: what was fenced.
fn history(tool: &mut Tool, asked: &Asked, node: &str) -> Result<(), Failure> {
    let all = node == "*" || node.is_empty();
    if asked.cleanup {
        if !asked.quiet {
            tool.line(&format!("cleaning up fencing-history for node {node}"))?;
        }
        let target = (!all).then(|| NodeName::from(node));
        let failed = |exit, why| Failure::new(exit, format!("Can't clean up the history: {why}"));
        return done(ask(tool, Question::Cleanup(target))?, failed);
    }
    if asked.broadcast && !asked.quiet {
        tool.line("gather fencing-history from all nodes")?;
    }
    let of_node = recorded(tool, asked.broadcast)?
        .only(|record| all || record.target.as_str().eq_ignore_ascii_case(node));
    let wanted = wanted();
    // People see the last success unless they want everything; programs get everything.
    let shown = if asked.verbose {
        of_node.clone()
    } else {
        of_node.reduced().only(|record| record.state == State::Done)
    };
    for record in shown.records() {
        let text = match record.completed_ms {
            Some(ms) if asked.quiet => (ms / 1000).to_string(),
            _ => shown.line(record, &wanted),
        };
        tool.line(&text)?;
    }
    count(tool, "event", shown.records().len())?;
    let events: Vec<Element> = of_node.events(&wanted).collect();
    tool.element(
        Element::new("list")
            .with("name", "fencing history")
            .with("count", events.len().to_string())
            .with_children(events),
    );
    Ok(())
}

fn wanted() -> Wanted {
    Wanted {
        utc_offset_s: clock::utc_offset_s(clock::wall_s()),
        ..Wanted::default()
    }
}

fn recorded(tool: &mut Tool, gather: bool) -> Result<Fencing, Failure> {
    match ask(tool, Question::History { gather })? {
        Reply::History(records) => Ok(Fencing::new(records)),
        other => {
            done(other, Failure::new)?;
            Ok(Fencing::default())
        }
    }
}

/// `-h`: when a node was fenced last.
fn last(tool: &mut Tool, asked: &Asked, node: String) -> Result<(), Failure> {
    let name = if asked.by_id {
        let cib = tool.access.cib()?;
        let facts = cmd::facts_of(&cib);
        let mut nodes = facts.nodes.iter();
        let found = nodes.find(|known| *known.id == *node);
        found.map_or(node, |known| known.name.to_string())
    } else {
        node
    };
    let of_node = recorded(tool, false)?.only(|record| {
        record.state == State::Done
            && record.action.kills()
            && record.target.as_str().eq_ignore_ascii_case(&name)
    });
    let newest = of_node.records().first();
    let Some(at_ms) = newest.and_then(|record| record.completed_ms) else {
        return tool.line(&format!("Node {name} has never been fenced"));
    };
    let at_s = at_ms / 1000;
    let when = DateTime::from_epoch(at_s).at_offset(clock::utc_offset_s(at_s));
    let when = when.ctime();
    tool.line(&format!("Node {name} last fenced at: {when}"))?;
    tool.element(
        Element::new("last-fenced")
            .with("target", &name)
            .with("when", &when),
    );
    Ok(())
}
