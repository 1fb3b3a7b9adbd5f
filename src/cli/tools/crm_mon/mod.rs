//! `crm_mon`: the state of the cluster as text, XML or HTML, once or again and again. // spec 4 §14 to §16
//! Enters: the options of Pacemaker's tool, and a CIB.
//! Leaves: one page, or one after the other.
//! May touch: the file that is named as the output, and the terminal.

mod external;
mod html;
mod keys;
mod sections;
mod view;

use std::{io::IsTerminal, io::Write, path::PathBuf, time::Duration};

use self::keys::Pressed;
use self::sections::{Change, Sections, Selection};
use self::view::View;
use crate::{
    cib::Cib,
    cli::{
        access,
        failure::Failure,
        show::{self, Fencing, Wanted},
        terminal,
    },
    policy::{
        constraints::{self, ticket::TicketEffectKind},
        facts::{Facts, Ticket},
    },
    process,
    rpc::ClusterStatus,
    terms::{CrmExit, span},
    xml::{Element, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('\0', "help-all", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
    ('\0', "html-cgi", false),
    ('\0', "html-stylesheet", true),
    ('\0', "html-title", true),
    ('\0', "text-fancy", false),
    ('I', "include", true),
    ('U', "exclude", true),
    ('\0', "node", true),
    ('\0', "resource", true),
    ('n', "group-by-node", false),
    ('r', "inactive", false),
    ('f', "failcounts", false),
    ('o', "operations", false),
    ('t', "timing-details", false),
    ('c', "tickets", false),
    ('m', "fence-history", true),
    ('L', "neg-locations", true),
    ('A', "show-node-attributes", false),
    ('D', "hide-headers", false),
    ('\0', "hide-summary", false),
    ('R', "show-detail", false),
    ('\0', "show-description", false),
    ('b', "brief", false),
    ('j', "pending", false),
    ('s', "simple-status", false),
    ('i', "interval", true),
    ('1', "one-shot", false),
    ('d', "daemonize", false),
    ('\0', "foreground", false),
    ('p', "pid-file", true),
    ('E', "external-agent", true),
    ('e', "external-recipient", true),
    ('W', "watch-fencing", false),
    ('h', "as-html", true),
    ('X', "as-xml", false),
    ('N', "disable-ncurses", false),
    ('w', "web-cgi", false),
    ('x', "xml-file", true),
];

/// The form of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    Console,
    Text,
    Html,
    Xml,
    /// XML as it was before there was a common frame.
    OldXml,
    Nothing,
}

/// What the command line asks for.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
struct Asked {
    form: Form,
    wanted: Wanted,
    node: Option<String>,
    rsc: Option<String>,
    changes: Vec<Change>,
    ban_prefix: String,
    head: html::Head,
    output_to: Option<PathBuf>,
    interval: Option<Duration>,
    once: bool,
    simple: bool,
    /// Every fencing, also what was done once more later.
    all_fencing: bool,
    daemonize: bool,
    foreground: bool,
    pid_file: Option<PathBuf>,
    /// Called for operations that end, and for whom.
    agent: Option<String>,
    recipient: String,
    /// ... for fencing only.
    watch_fencing: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut asked = Asked::default();
    let words = with_values(args);
    let mut options = Options::new(OPTIONS, &words);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" | "help-all" => {
                return super::help(tool, "crm_mon", "show the state of the cluster", OPTIONS);
            }
            "version" => return super::version(tool),
            "xml-file" => {
                tool.access = Box::new(access::File::new(value));
                asked.once = true;
            }
            name => asked.take(name, value)?,
        }
    }
    if let Some(word) = options.free.first() {
        return Err(Failure::usage(format!("unexpected word `{word}`")).cure("see --help"));
    }
    match asked.form {
        Form::Xml => tool.output_as("xml")?,
        Form::Nothing => tool.output_as("none")?,
        _ => {}
    }
    if asked.daemonize {
        // The document is in the file; to whoever started it there is nothing to say.
        tool.output_as("text")?;
    }
    if asked.daemonize && !asked.foreground {
        return detach(tool, &asked, args);
    }
    let xml = matches!(asked.form, Form::Xml | Form::OldXml);
    let again = asked.daemonize && asked.form == Form::Xml;
    let once = asked.once || asked.simple || (xml && !again) || !tool.access.live();
    if let Some(path) = asked.output_to.clone().filter(|_| once) {
        tool.out = Box::new(std::fs::File::create(&path).map_err(|error| {
            let text = format!("failed to write {}: {error}", path.display());
            Failure::new(CrmExit::CANNOT_CREATE, text)
        })?);
    }
    if once {
        return look(tool, &asked);
    }
    again_and_again(tool, &mut asked)
}

/// `-m`, `-L` and their long names may have a value; the reader of options wants to know.
fn with_values(args: &[String]) -> Vec<String> {
    let mut words = Vec::with_capacity(args.len());
    let mut rest = args.iter().peekable();
    while let Some(word) = rest.next() {
        words.push(word.clone());
        let long = matches!(word.as_str(), "--fence-history" | "--neg-locations");
        let flags = word
            .strip_prefix('-')
            .filter(|flags| !flags.starts_with('-'));
        let short = flags.is_some_and(|flags| {
            let mut before = flags.chars();
            let last = before.next_back();
            matches!(last, Some('m' | 'L')) && before.all(is_switch)
        });
        let follows = rest.peek().is_some_and(|next| !next.starts_with('-'));
        if (long || short) && !follows {
            words.push(String::new());
        }
    }
    words
}

fn is_switch(flag: char) -> bool {
    let known = OPTIONS.iter().find(|(short, ..)| *short == flag);
    known.is_some_and(|(.., value)| !value)
}

impl Asked {
    fn take(&mut self, name: &str, value: String) -> Result<(), Failure> {
        let wanted = &mut self.wanted;
        let add = Change::Add;
        match name {
            "output-as" => {
                self.form = match value.as_str() {
                    "console" => Form::Console,
                    "text" => Form::Text,
                    "html" => Form::Html,
                    "xml" => Form::Xml,
                    "none" => Form::Nothing,
                    other => {
                        let text = format!("there is no output form `{other}`");
                        return Err(Failure::usage(text)
                            .cure("--output-as=console, text, html, xml or none"));
                    }
                }
            }
            "output-to" => {
                self.output_to = (value != "-").then(|| PathBuf::from(value));
            }
            "as-html" => {
                self.form = Form::Html;
                self.output_to = Some(PathBuf::from(value));
            }
            "as-xml" => self.form = Form::OldXml,
            "disable-ncurses" => self.form = Form::Text,
            "web-cgi" => {
                self.form = Form::Html;
                self.head.cgi = true;
                self.once = true;
            }
            "html-cgi" => self.head.cgi = true,
            "html-stylesheet" => self.head.stylesheet = Some(value),
            "html-title" => self.head.title = Some(value),
            "include" => self.changes.push(Change::Include(value)),
            "exclude" => self.changes.push(Change::Exclude(value)),
            "node" => self.node = Some(value),
            "resource" => self.rsc = Some(value),
            "group-by-node" => wanted.by_node = true,
            "inactive" => wanted.inactive = true,
            "brief" => wanted.brief = true,
            "show-detail" => (wanted.detail, wanted.technical) = (true, true),
            "show-description" => wanted.descriptions = true,
            "failcounts" => self.changes.push(add(Sections::FAILCOUNTS)),
            "operations" => self
                .changes
                .push(add(Sections::OPERATIONS | Sections::FAILCOUNTS)),
            "timing-details" => {
                wanted.timing = true;
                self.changes.push(add(Sections::OPERATIONS));
            }
            "tickets" => self.changes.push(add(Sections::TICKETS)),
            "neg-locations" => {
                self.ban_prefix = value;
                self.changes.push(add(Sections::BANS));
            }
            "show-node-attributes" => self.changes.push(add(Sections::ATTRIBUTES)),
            "hide-headers" | "hide-summary" => {
                self.changes.push(Change::Exclude("summary".into()));
            }
            "quiet" => self.changes.push(Change::Exclude("times".into())),
            "fence-history" => self.fence_history(&value)?,
            "one-shot" => self.once = true,
            "simple-status" => self.simple = true,
            "interval" => {
                let ms = span::parse_ms(&value).map_err(|_| {
                    Failure::usage(format!("`{value}` is no time span"))
                        .cure("write for example 5, 500ms, 2min or PT10S")
                })?;
                self.interval = Some(Duration::from_millis(ms.max(100)));
            }
            "daemonize" => self.daemonize = true,
            "foreground" => self.foreground = true,
            "pid-file" => self.pid_file = Some(PathBuf::from(value)),
            "external-agent" => self.agent = Some(value),
            "external-recipient" => self.recipient = value,
            "watch-fencing" => self.watch_fencing = true,
            // `pending`, `verbose`, `text-fancy` change nothing.
            _ => {}
        }
        Ok(())
    }

    fn fence_history(&mut self, level: &str) -> Result<(), Failure> {
        self.all_fencing = level == "3";
        self.changes.push(match level {
            "0" => Change::Exclude("fencing".into()),
            "1" => Change::Add(Sections::FENCING_FAILED | Sections::FENCING_PENDING),
            "" | "2" | "3" => Change::Include("fencing".into()),
            other => {
                let text = format!("there is no level `{other}` of fence history");
                return Err(Failure::usage(text).cure("--fence-history=0, 1, 2 or 3"));
            }
        });
        Ok(())
    }

    fn fencing(&self, cluster: Option<&ClusterStatus>) -> Fencing {
        let all = Fencing::of(cluster);
        if self.all_fencing || matches!(self.form, Form::Xml | Form::OldXml) {
            all
        } else {
            all.reduced()
        }
    }

    /// What is to be shown, now that names can be looked up.
    fn selection(&self, facts: &Facts) -> Result<(Wanted, Selection), Failure> {
        let xml = matches!(self.form, Form::Xml | Form::OldXml);
        let mut wanted = self.wanted.clone();
        wanted.pending = true;
        if xml {
            (wanted.inactive, wanted.timing) = (true, true);
        }
        if let Some(name) = &self.node {
            wanted.only_node(facts, name);
        }
        if let Some(id) = &self.rsc {
            wanted.only_rsc(facts, id);
        }
        let mut chosen = Selection::new(xml, &self.changes)?;
        if !self.ban_prefix.is_empty() {
            chosen.ban_prefix.clone_from(&self.ban_prefix);
        }
        Ok((wanted, chosen))
    }
}

/// Read the cluster, and say what it is like.
fn look(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let (cib, cluster) = tool.access.whole()?;
    let mut facts = facts_with_tickets(&cib);
    let (wanted, chosen) = asked.selection(&facts)?;
    let view = View {
        cib: &cib,
        instances: show::instances(&facts),
        facts: freeze(&mut facts, &cib, chosen.sections),
        cluster: cluster.as_ref(),
        wanted: &wanted,
        chosen: &chosen,
        fencing: asked.fencing(cluster.as_ref()),
    };
    if asked.form == Form::Xml {
        for element in view.elements() {
            tool.element(element);
        }
        return Ok(());
    }
    let text = page(&view, asked);
    Ok(write!(tool.out, "{text}")?)
}

fn page(view: &View<'_>, asked: &Asked) -> String {
    if asked.simple {
        return view.simple();
    }
    match asked.form {
        Form::Html => html::page(view, &asked.head),
        Form::OldXml => {
            let root = Element::new("crm_mon").with("version", "3.0.2");
            let root = root.with_children(view.elements());
            write::pretty(&crate::cli::dialect::spoken_here(root))
        }
        Form::Console | Form::Text => view.text(),
        Form::Xml | Form::Nothing => String::new(),
    }
}

/// What is true, and the tickets that constraints wait for, although nobody ever granted them.
fn facts_with_tickets(cib: &Cib) -> Facts {
    let mut facts = crate::cli::cmd::facts_of(cib);
    let constraints = cib.root().descend(&["configuration", "constraints"]);
    let waiting = constraints
        .into_iter()
        .flat_map(|all| all.children_named("rsc_ticket"));
    for id in waiting.filter_map(|constraint| constraint.get("ticket")) {
        let never = || Ticket {
            last_granted: -1,
            ..Ticket::default()
        };
        facts.tickets.entry(id.into()).or_insert_with(never);
    }
    facts
}

/// Where constraints are read for the page, what a lost ticket freezes is shown as nobody's to manage. // spec 2 §17
fn freeze<'f>(facts: &'f mut Facts, cib: &Cib, sections: Sections) -> &'f Facts {
    if !sections.has(Sections::BANS | Sections::TICKETS) {
        return facts;
    }
    let effects = constraints::read(facts, cib.root()).ticket_effects;
    for effect in effects {
        if effect.kind == TicketEffectKind::Freeze {
            let flags = &mut facts.rscs[effect.rsc].flags;
            (flags.managed, flags.blocked) = (false, true);
        }
    }
    facts
}

/// How often the cluster is looked at if nothing is said.
const INTERVAL: Duration = Duration::from_secs(5);

/// An agent is to hear of an operation before another one takes its place in the history.
const AGENT_INTERVAL: Duration = Duration::from_millis(500);

/// A new page whenever the time is up: over the old one on a terminal, in place of the old one in a file.
fn again_and_again(tool: &mut Tool, asked: &mut Asked) -> Result<(), Failure> {
    let pause = match asked.agent {
        Some(_) => AGENT_INTERVAL,
        None => asked.interval.unwrap_or(INTERVAL),
    };
    let mut watch = asked
        .agent
        .as_ref()
        .map(|agent| external::Watch::new(agent, &asked.recipient, asked.watch_fencing));
    let terminal =
        asked.form == Form::Console && asked.output_to.is_none() && std::io::stdout().is_terminal();
    if let Some(path) = &asked.pid_file {
        access::store(path, &format!("{}\n", std::process::id()))?;
    }
    let mut head = html::Head {
        refresh_s: asked.output_to.as_ref().map(|_| pause.as_secs().max(1)),
        title: asked.head.title.clone(),
        stylesheet: asked.head.stylesheet.clone(),
        cgi: asked.head.cgi,
    };
    let mut known = false;
    let keyboard = terminal.then(keys::Keyboard::open);
    loop {
        let text = match one_page(tool, asked, &head, &mut watch) {
            Ok(text) => text,
            // What was wrong from the start is an error; a cluster that goes away may come back.
            Err(failure) if !known => return Err(failure),
            Err(failure) if asked.form == Form::Xml => {
                framed(tool, Vec::new(), failure.exit, &[failure.message])
            }
            Err(failure) => format!("Not connected to CIB: {failure}\n"),
        };
        known = true;
        head.cgi = false;
        match &asked.output_to {
            Some(path) => access::store(path, &text)?,
            None if terminal => {
                write!(tool.out, "{}", terminal::painted(&text))?;
            }
            None => writeln!(tool.out, "{text}")?,
        }
        tool.out.flush()?;
        let Some(keyboard) = &keyboard else {
            std::thread::sleep(pause);
            continue;
        };
        let mut pressed = keyboard.wait(pause);
        if pressed == Some(Pressed::Help) {
            write!(tool.out, "\x1b[H\x1b[J{}", keys::help())?;
            tool.out.flush()?;
            pressed = keyboard.wait(Duration::from_secs(3600));
        }
        match pressed {
            Some(Pressed::Quit) => return Ok(()),
            Some(Pressed::Toggle(key)) => {
                keys::toggle(key, &mut asked.wanted, &mut asked.changes)?;
            }
            _ => {}
        }
    }
}

fn one_page(
    tool: &mut Tool,
    asked: &Asked,
    head: &html::Head,
    watch: &mut Option<external::Watch>,
) -> Result<String, Failure> {
    let (cib, cluster) = tool.access.whole()?;
    let fencing = Fencing::of(cluster.as_ref());
    for wrong in watch.iter_mut().map(|watch| watch.look(&cib, &fencing)) {
        wrong?.iter().for_each(|wrong| tool.error(wrong));
    }
    let mut facts = facts_with_tickets(&cib);
    let (wanted, chosen) = asked.selection(&facts)?;
    let view = View {
        cib: &cib,
        instances: show::instances(&facts),
        facts: freeze(&mut facts, &cib, chosen.sections),
        cluster: cluster.as_ref(),
        wanted: &wanted,
        chosen: &chosen,
        fencing: asked.fencing(cluster.as_ref()),
    };
    Ok(match asked.form {
        Form::Html => html::page(&view, head),
        Form::Xml => framed(tool, view.elements(), CrmExit::OK, &[]),
        _ => page(&view, asked),
    })
}

/// A document for programs.
fn framed(tool: &Tool, elements: Vec<Element>, exit: CrmExit, errors: &[String]) -> String {
    let document = show::xml::envelope(&tool.answer.request, elements, exit, errors);
    write::pretty(&crate::cli::dialect::spoken_here(document))
}

/// Go on in the background, as a process of its own. What is wrong from the start is said before, and whoever started it
/// finds the page and the file with its number.
fn detach(tool: &mut Tool, asked: &Asked, args: &[String]) -> Result<(), Failure> {
    if asked.output_to.is_none() && asked.agent.is_none() {
        let text = "--daemonize has nowhere to write to";
        return Err(Failure::usage(text).cure("add --output-to=FILE"));
    }
    let text = one_page(tool, asked, &asked.head, &mut None)?;
    if let Some(path) = &asked.output_to {
        access::store(path, &text)?;
    }
    let program = std::env::current_exe()?;
    let words = std::iter::once("crm_mon")
        .chain(args.iter().map(String::as_str))
        .chain(["--foreground"]);
    let words: Vec<&std::ffi::OsStr> = words.map(std::ffi::OsStr::new).collect();
    let child = process::detach_silent(&program, &words)?;
    match &asked.pid_file {
        Some(path) => access::store(path, &format!("{child}\n")),
        None => Ok(()),
    }
}

/// The whole as `crm_mon --output-as=xml` prints it.
pub(crate) fn xml(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> String {
    let wanted = Wanted {
        inactive: true,
        pending: true,
        timing: true,
        ..Wanted::default()
    };
    let view = View {
        cib,
        instances: show::instances(facts),
        facts,
        cluster,
        wanted: &wanted,
        chosen: &Selection {
            sections: Sections::ALL,
            ban_prefix: String::new(),
        },
        fencing: Fencing::of(cluster),
    };
    let request = "crm_mon --output-as=xml";
    let document = show::xml::envelope(request, view.elements(), CrmExit::OK, &[]);
    write::pretty(&crate::cli::dialect::spoken_here(document))
}
