//! `cibadmin`: queries and changes of the CIB as such. // spec cluster §7

use std::io::{IsTerminal, Read};

use crate::{
    cib::{Cib, Command, Flags, Op, Target, acl::Acl, patch},
    cli::{failure::Failure, show::xml::text_element},
    terms::CrmExit,
    xml::{Element, Limits, XPath, digest, parse, write},
};

use super::{
    Options, Tool,
    access::{self, Style},
};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "query", false),
    ('C', "create", false),
    ('M', "modify", false),
    ('R', "replace", false),
    ('D', "delete", false),
    ('d', "delete-all", false),
    ('P', "patch", false),
    ('E', "erase", false),
    ('B', "bump", false),
    ('u', "upgrade", false),
    ('a', "empty", false),
    ('e', "node-path", false),
    ('5', "md5-sum", false),
    ('6', "md5-sum-versioned", false),
    ('x', "xml-file", true),
    ('X', "xml-text", true),
    ('p', "xml-pipe", false),
    ('o', "scope", true),
    ('A', "xpath", true),
    ('f', "force", false),
    ('c', "allow-create", false),
    ('\0', "score", false),
    ('n', "no-children", false),
    ('t', "timeout", true),
    ('U', "user", true),
    ('l', "local", false),
    ('s', "sync-call", false),
    ('N', "node", true),
    ('S', "show-access", false),
    ('I', "call-id", true),
    ('\0', "output-as", true),
];

const HELP: &str = "cibadmin - query and change the cluster configuration

Usage: cibadmin [COMMAND] [OPTIONS]

Commands:
  -Q, --query          Show the CIB or a part of it (the default)
  -C, --create         Add what is not there yet
  -M, --modify         Merge into what is there (-c: create what is missing)
  -R, --replace        Put the input in place of what is there
  -D, --delete         Remove the first match
  -d, --delete-all     Remove all matches of an XPath (needs --force)
  -P, --patch          Apply a patch
  -E, --erase          Drop everything (needs --force)
  -B, --bump           Raise the epoch
  -u, --upgrade        Rewrite for the newest schema (needs --force)
  -a, --empty          Print an empty CIB
  -5, --md5-sum        Digest of the input as on disk
  -6, --md5-sum-versioned   Digest of the input as on the wire

Input:
  -x, --xml-file=FILE  -X, --xml-text=TEXT  -p, --xml-pipe

Where:
  -o, --scope=SECTION  -A, --xpath=PATH

Further:
  -f, --force  -c, --allow-create  --score  -n, --no-children  -l, --local

Examples:
  cibadmin -Q -o resources
  cibadmin --query --xpath \"//primitive[@id='vip']\"
  cibadmin -M -o constraints -X '<rsc_location id=\"l1\" rsc=\"vip\" node=\"node1\" score=\"100\"/>' -c
";

#[derive(Default)]
struct Asked {
    command: &'static str,
    file: Option<String>,
    text: Option<String>,
    pipe: bool,
    section: Option<String>,
    xpath: Option<String>,
    force: bool,
    flags: Flags,
    user: String,
    paths: bool,
    access: Option<Style>,
    schema: Option<String>,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let Some(asked) = options(tool, args)? else {
        return Ok(());
    };
    let dangerous = matches!(asked.command, "erase" | "delete-all" | "upgrade");
    if dangerous && !asked.force {
        return Err(Failure::new(
            CrmExit::UNSAFE,
            "this can destroy the configuration of the cluster",
        )
        .cure("say --force if it is meant"));
    }
    let input = input(&asked)?;
    match asked.command {
        "empty" => {
            let mut root = Cib::empty().into_root();
            if let Some(schema) = &asked.schema {
                root.set("validate-with", schema);
            }
            return output(tool, &root);
        }
        "md5-sum" | "md5-sum-versioned" => {
            let input = input.ok_or_else(missing_input)?;
            let text = if asked.command == "md5-sum" {
                digest::on_disk(&input)
            } else {
                digest::v2(&input)
            };
            tool.element(Element::new("md5-sum").with("digest", &text));
            return tool.line(&text);
        }
        _ => {}
    }
    let op = match asked.command {
        "create" => Op::Create,
        "modify" => Op::Modify,
        "replace" => Op::Replace,
        "delete" => Op::Delete,
        "delete-all" => Op::DeleteAll,
        "patch" => Op::Patch,
        "erase" => Op::Erase,
        "bump" => Op::Bump,
        "upgrade" => Op::Upgrade,
        _ => Op::Query,
    };
    let needs = matches!(op, Op::Create | Op::Modify | Op::Replace | Op::Patch)
        || matches!(op, Op::Delete | Op::DeleteAll) && asked.xpath.is_none();
    if needs && input.is_none() {
        return Err(missing_input());
    }
    let target = match (asked.xpath, asked.section) {
        (Some(xpath), _) => Target::XPath(xpath),
        (None, Some(section)) => Target::Section(section),
        (None, None) => Target::Whole,
    };
    let query = op == Op::Query;
    let modify = op == Op::Modify;
    let mut input = input;
    if op == Op::Replace
        && let Some(root) = input
            .as_mut()
            .filter(|root| root.is("cib") && root.child("status").is_none())
    {
        root.push(Element::new("status"));
    }
    let given = input.clone();
    let creates = op == Op::Create;
    let mut command = Command::new(op, target, input);
    command.flags = asked.flags;
    command.flags.score |= modify;
    command.origin.client = "cibadmin".to_owned();
    command.origin.user.clone_from(&asked.user);
    if !query {
        return match (tool.access.write(command), &given) {
            (Err(failure), Some(given)) if failure.exit == CrmExit::CONFIG => {
                let file = asked.file.as_deref().unwrap_or("the input");
                Err(located(failure, given, file))
            }
            (Err(failure), Some(given)) if creates && failure.exit == CrmExit::EXISTS => {
                output(tool, &refused(given))?;
                Err(failure)
            }
            (result, _) => result.map(|_| ()),
        };
    }
    let cib = tool.access.cib()?;
    if let (Some(style), false) = (asked.access, asked.user.is_empty()) {
        return show_access(tool, &cib, &command, style);
    }
    if let (true, Target::XPath(xpath)) = (asked.paths, &command.target) {
        return paths(tool, cib.root(), xpath);
    }
    match crate::cib::query(&cib, &command).map_err(told)? {
        Some(answer) => output(tool, &answer),
        None => Ok(()),
    }
}

/// What the tool was asked for, as a document of its own or as text inside of one.
fn output(tool: &mut Tool, element: &Element) -> Result<(), Failure> {
    output_text(tool, &write::pretty(element))
}

fn output_text(tool: &mut Tool, text: &str) -> Result<(), Failure> {
    tool.element(text_element("output", text));
    tool.line(text.trim_end_matches('\n'))
}

/// What was not created, in the form in which the CIB's own answer names it.
fn refused(input: &Element) -> Element {
    let update = Element::new("failed_update")
        .with_some("id", input.id())
        .with("object-type", input.tag())
        .with("operation", "cib_create")
        .with("reason", "File exists")
        .with_child(input.clone());
    Element::new("failed").with_child(update)
}

/// The part that is asked for, with what the user may do to it.
fn show_access(tool: &mut Tool, cib: &Cib, command: &Command, style: Style) -> Result<(), Failure> {
    let Some(acl) = Acl::of(cib, &command.origin) else {
        return output(tool, cib.root());
    };
    let user = &command.origin.user;
    let text = access::render(cib.root(), user, &acl.rights(cib.root()), style);
    output_text(tool, &text)
}

/// Where the matches of an XPath are.
fn paths(tool: &mut Tool, root: &Element, xpath: &str) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("the XPath {xpath:?} can't be used: {error}"))
    };
    let parsed = XPath::parse(xpath).map_err(|error| wrong(&error))?;
    let found = parsed.select(root).map_err(|error| wrong(&error))?;
    let lines: Vec<String> = found
        .iter()
        .map(|found| {
            let mut at = root;
            let mut path = patch::path_below("", root);
            for index in &found.path {
                let Some(child) = at.at(&[*index]) else { break };
                path = patch::path_below(&path, child);
                at = child;
            }
            path
        })
        .collect();
    if lines.is_empty() {
        return Err(told(crate::cib::Error::NoSuch(xpath.to_owned())));
    }
    output_text(tool, &lines.join("\n"))
}

/// Says where in the input the objects stand which the failure names: what is kept of a CIB has no lines.
fn located(failure: Failure, input: &Element, file: &str) -> Failure {
    let named = |id: &str| failure.message.contains(&format!("id=\"{id}\""));
    let places: Vec<String> = input
        .descendants()
        .filter(|it| it.line() > 0 && it.id().is_some_and(named))
        .map(|it| {
            let id = it.id().unwrap_or_default();
            format!("<{} id=\"{id}\"> in line {}", it.tag(), it.line())
        })
        .collect();
    if places.is_empty() {
        return failure;
    }
    let cure = format!(
        "nothing was changed; in {file} correct {}",
        places.join(", ")
    );
    failure.cure(cure)
}

fn told(error: crate::cib::Error) -> Failure {
    Failure::new(
        error.exit(),
        format!("CIB API call failed: {}", error.text()),
    )
    .cure(error.to_string())
}

fn missing_input() -> Failure {
    Failure::usage("there is no input").cure("give it with -x FILE, -X TEXT or -p")
}

fn options(tool: &mut Tool, args: &[String]) -> Result<Option<Asked>, Failure> {
    let mut asked = Asked {
        command: "query",
        ..Asked::default()
    };
    let mut options = Options::new(OPTIONS, args).with_optional(&["show-access", "empty"]);
    while let Some((name, value)) = options.next()? {
        match name {
            "show-access" => asked.access = Some(style(options.attached())?),
            "user" => asked.user = value,
            "node-path" => asked.paths = true,
            "output-as" => tool.output_as(&value)?,
            "help" => {
                write!(tool.out, "{HELP}")?;
                return Ok(None);
            }
            "version" => {
                writeln!(
                    tool.out,
                    "Pacemaker 3.0.2 (Systole {})",
                    env!("CARGO_PKG_VERSION")
                )?;
                return Ok(None);
            }
            "query" | "create" | "modify" | "replace" | "delete" | "delete-all" | "patch"
            | "erase" | "bump" | "upgrade" | "empty" | "md5-sum" | "md5-sum-versioned" => {
                asked.command = name;
                if name == "empty" {
                    asked.schema = options.optional();
                }
            }
            "xml-file" => asked.file = Some(value),
            "xml-text" => asked.text = Some(value),
            "xml-pipe" => asked.pipe = true,
            "scope" => {
                asked.section = (value != "all" && value != "cib").then_some(value);
                asked.xpath = None;
            }
            "xpath" => {
                asked.xpath = Some(value);
                asked.section = None;
            }
            "force" => asked.force = true,
            "allow-create" => asked.flags.can_create = true,
            "score" => asked.flags.score = true,
            "no-children" => asked.flags.no_children = true,
            _ => {}
        }
    }
    match options.free.first() {
        Some(word) => Err(Failure::usage(format!("{word:?} is not expected")).cure("see --help")),
        None => Ok(Some(asked)),
    }
}

fn style(word: Option<String>) -> Result<Style, Failure> {
    match word.as_deref() {
        None | Some("auto") if std::io::stdout().is_terminal() => Ok(Style::Color),
        None | Some("auto" | "text") => Ok(Style::Text),
        Some("color") => Ok(Style::Color),
        Some("namespace") => Ok(Style::Namespace),
        Some(other) => Err(
            Failure::usage(format!("access can't be shown as {other:?}"))
                .cure("color, text, namespace or auto"),
        ),
    }
}

fn input(asked: &Asked) -> Result<Option<Element>, Failure> {
    let bytes = if let Some(file) = &asked.file {
        std::fs::read(file).map_err(|error| {
            let failure = Failure::from(error);
            Failure::new(failure.exit, format!("failed to read {file}: {failure}"))
        })?
    } else if let Some(text) = &asked.text {
        text.as_bytes().to_vec()
    } else if asked.pipe {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(Limits::CIB.bytes as u64 + 1)
            .read_to_end(&mut bytes)?;
        bytes
    } else {
        return Ok(None);
    };
    let element = parse(&bytes, &Limits::CIB).map_err(|error| {
        let from = asked.file.as_deref().unwrap_or("the input");
        Failure::new(CrmExit::DATA, format!("{from} can't be read: {error}"))
            .cure("nothing was changed; correct it and run the command again")
    })?;
    Ok(Some(element))
}
