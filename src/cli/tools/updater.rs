//! `attrd_updater`: transient attributes, through the attribute manager of the daemon on this node. Without a daemon
//! (`CIB_file`) the document alone is read and changed: nothing waits there, and nothing is private.

use crate::attributes::{Answer, NAME, Refusal, Request, Wait, Which};
use crate::cli::access::Access;
use crate::cli::cmd::change;
use crate::cli::failure::Failure;
use crate::rpc::{AdminAnswer, AdminRequest};
use crate::terms::{CrmExit, NodeName, span};
use crate::xml::Element;

use super::attribute::{known, transient};
use super::{Options, Tool, local_node};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('n', "name", true),
    ('P', "pattern", true),
    ('U', "update", true),
    ('v', "update", true),
    ('B', "update-both", true),
    ('Y', "update-delay", false),
    ('Q', "query", false),
    ('D', "delete", false),
    ('R', "refresh", false),
    ('N', "node", true),
    ('A', "all", false),
    ('d', "delay", true),
    ('S', "set", true),
    ('s', "set", true),
    ('p', "private", false),
    ('W', "wait", true),
    ('l', "lifetime", true),
    ('\0', "output-as", true),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Do {
    Update,
    Both,
    Delay,
    Query,
    Delete,
    Refresh,
}

#[derive(Default)]
struct Asked {
    name: Option<String>,
    pattern: Option<String>,
    node: Option<String>,
    value: Option<String>,
    command: Option<Do>,
    all: bool,
    delay: Option<String>,
    set: Option<String>,
    private: bool,
    wait: Wait,
    xml: bool,
}

/// `attrd_updater`.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    while let Some((option, given)) = options.next()? {
        match option {
            "help" => {
                let what = "query and change transient attributes";
                return super::help(tool, "attrd_updater", what, OPTIONS);
            }
            "version" => return super::version(tool),
            "name" => asked.name = Some(given),
            "pattern" => asked.pattern = Some(given),
            "node" => asked.node = Some(given),
            "update" => (asked.command, asked.value) = (Some(Do::Update), Some(given)),
            "update-both" => (asked.command, asked.value) = (Some(Do::Both), Some(given)),
            "update-delay" => asked.command = Some(Do::Delay),
            "query" => asked.command = Some(Do::Query),
            "delete" => asked.command = Some(Do::Delete),
            "refresh" => asked.command = Some(Do::Refresh),
            "all" => asked.all = true,
            "delay" => asked.delay = Some(given),
            "set" => asked.set = Some(given),
            "private" => asked.private = true,
            "wait" => asked.wait = wait(&given)?,
            "output-as" => asked.xml = given == "xml",
            _ => {}
        }
    }
    // An update without a value is a query, as agents of old call it.
    let command = asked.command.unwrap_or(Do::Query);
    if command == Do::Refresh {
        return match tool.access.live() {
            true => done(ask(&mut *tool.access, &Request::Refresh)?),
            // A file waits for nothing.
            false => Ok(()),
        };
    }
    if tool.access.live() {
        live(tool, command, asked)
    } else {
        on_file(tool, command, asked)
    }
}

fn wait(word: &str) -> Result<Wait, Failure> {
    match word {
        // Nobody waits for more than it takes to know.
        "no" | "local" => Ok(Wait::Local),
        "cluster" => Ok(Wait::Cluster),
        other => Err(Failure::usage(format!("{other:?} is nothing to wait for"))
            .cure("one of no, local, cluster")),
    }
}

fn live(tool: &mut Tool, command: Do, asked: Asked) -> Result<(), Failure> {
    let dampening_ms = match asked.delay.as_deref().map(span::parse_ms) {
        None => None,
        Some(Ok(ms)) => Some(ms),
        Some(Err(e)) => return Err(Failure::usage(format!("--delay: {e}"))),
    };
    if matches!(command, Do::Both | Do::Delay) && dampening_ms.is_none() {
        return Err(Failure::usage("how long shall a change wait?").cure("say -d SECONDS"));
    }
    let node = node_name(&asked).map(NodeName::from);
    let which = match (asked.name, asked.pattern) {
        (Some(name), _) => Which::Name(name),
        (None, Some(pattern)) if command != Do::Query => Which::Pattern(pattern),
        _ => return Err(nameless()),
    };
    let request = match (command, which) {
        (Do::Query, which) => {
            let name = match which {
                Which::Name(name) | Which::Pattern(name) => name,
            };
            let request = Request::Query {
                name: name.clone(),
                node,
                all: asked.all,
            };
            return match ask(&mut *tool.access, &request)? {
                Answer::Values(values) => show(tool, &name, &values, asked.xml),
                Answer::Done => Ok(()),
                Answer::Refused(Refusal::Unknown(name)) => Err(missing(&name)),
                Answer::Refused(why) => Err(refused(&why)),
            };
        }
        (Do::Delay, which) => Request::Dampen {
            which,
            dampening_ms: dampening_ms.unwrap_or(0),
        },
        (_, which) => Request::Update {
            which,
            node,
            value: asked.value.filter(|_| command != Do::Delete),
            dampening_ms,
            both: command == Do::Both,
            set_id: asked.set,
            private: asked.private,
            wait: asked.wait,
        },
    };
    done(ask(&mut *tool.access, &request)?)
}

/// Agents on remote nodes say for whom they speak.
fn node_name(asked: &Asked) -> Option<String> {
    let node = asked.node.clone();
    node.filter(|n| !matches!(n.as_str(), "" | "auto" | "localhost"))
}

fn nameless() -> Failure {
    Failure::usage("which attribute?").cure("say -n NAME")
}

/// One line per node. Agents `eval` it, so what a shell would expand between double quotes is escaped.
fn show(
    tool: &mut Tool,
    name: &str,
    values: &[(NodeName, String)],
    xml: bool,
) -> Result<(), Failure> {
    if xml {
        let elements = values.iter().map(|(host, value)| {
            Element::new("attribute")
                .with("name", name)
                .with("value", value)
                .with("host", host.as_str())
        });
        let whole = crate::cli::show::xml::envelope("attrd_updater", elements, CrmExit::OK, &[]);
        write!(tool.out, "{}", crate::xml::write::pretty(&whole))?;
        return Ok(());
    }
    for (host, value) in values {
        let (name, value) = (quoted(name), quoted(value));
        writeln!(
            tool.out,
            "name=\"{name}\" host=\"{host}\" value=\"{value}\""
        )?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn on_file(tool: &mut Tool, command: Do, asked: Asked) -> Result<(), Failure> {
    if command == Do::Delay {
        return Ok(());
    }
    let node = node_name(&asked);
    let name = asked.name.ok_or_else(nameless)?;
    let root = tool.access.cib()?.into_root();
    if command == Do::Query && asked.all {
        let status = root.child("status").into_iter();
        let states = status.flat_map(|status| status.children_named("node_state"));
        let value = |state: &Element| {
            let value = change::transient(&root, state.id()?, &name)?;
            Some((NodeName::from(state.get("uname")?), value.to_owned()))
        };
        let values: Vec<_> = states.filter_map(value).collect();
        if values.is_empty() {
            return Err(missing(&name));
        }
        return show(tool, &name, &values, asked.xml);
    }
    let uname = match node {
        Some(node) => node,
        None => local_node(tool)?,
    };
    let (uname, id) = known(&root, &uname)?;
    if command == Do::Query {
        let value = change::transient(&root, &id, &name).ok_or_else(|| missing(&name))?;
        let values = [(NodeName::from(&uname), value.to_owned())];
        return show(tool, &name, &values, asked.xml);
    }
    let value = asked.value.filter(|_| command != Do::Delete);
    transient(tool, &uname, &id, &name, value.as_deref())
}

fn missing(name: &str) -> Failure {
    Failure::new(
        CrmExit::NO_SUCH,
        format!("Could not query value of {name}: attribute does not exist"),
    )
}

fn refused(why: &Refusal) -> Failure {
    let exit = match why {
        Refusal::Unknown(_) | Refusal::UnknownNode(_) => CrmExit::NO_SUCH,
        Refusal::Pattern { .. } => CrmExit::USAGE,
        Refusal::Unwritten { .. } => CrmExit::ERROR,
    };
    Failure::new(exit, why.to_string())
}

fn done(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Refused(why) => Err(refused(&why)),
        Answer::Done | Answer::Values(_) => Ok(()),
    }
}

/// Asks the attribute manager.
fn ask(access: &mut dyn Access, request: &Request) -> Result<Answer, Failure> {
    let body = serde_json::to_value(request)
        .map_err(|e| Failure::new(CrmExit::SOFTWARE, e.to_string()))?;
    match access.ask(AdminRequest::Call(NAME.into(), body))? {
        AdminAnswer::Json(answer) => serde_json::from_value(answer)
            .map_err(|e| Failure::new(CrmExit::PROTOCOL, e.to_string())),
        other => Err(crate::cli::cmd::cluster::unexpected(&other)),
    }
}

/// Sets or deletes a transient attribute of a running cluster. False where there is none, or where only the CIB's
/// ACLs allow it: then the caller changes the document.
pub(crate) fn set(
    access: &mut dyn Access,
    node: &str,
    name: &str,
    value: Option<&str>,
    set_id: Option<&str>,
) -> Result<bool, Failure> {
    if !access.live() {
        return Ok(false);
    }
    let request = Request::Update {
        which: Which::Name(name.to_owned()),
        node: Some(node.into()),
        value: value.map(str::to_owned),
        dampening_ms: None,
        both: false,
        set_id: set_id.map(str::to_owned),
        private: false,
        wait: Wait::Written,
    };
    match ask(access, &request) {
        Ok(answer) => done(answer).map(|()| true),
        Err(failure) if failure.exit == CrmExit::INSUFFICIENT_PRIV => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// The value that the attribute manager knows, if there is one.
pub(crate) fn get(access: &mut dyn Access, node: &str, name: &str) -> Option<String> {
    let request = Request::Query {
        name: name.to_owned(),
        node: Some(node.into()),
        all: false,
    };
    let answer = access.live().then(|| ask(access, &request).ok()).flatten();
    match answer {
        // Deleted ones read as empty there, but a tool that asks for a value has a default for that.
        Some(Answer::Values(values)) => values
            .into_iter()
            .map(|(_, value)| value)
            .find(|value| !value.is_empty()),
        _ => None,
    }
}
