//! `crm configure`: the configuration shown and changed. A change is worked out on a copy, checked, and sent as one patch.

mod load;

use std::path::Path;

use crate::{
    cib::{self, Cib, Command, Op, Target},
    cli::{
        access::store,
        args::{Committing, Configure},
        failure::Failure,
        language::{Document, KEYWORDS, Mode, Place, Secrets, SyntaxError, parse_all, value_text},
        shell::{Session, Shell},
        tools,
    },
    terms::CrmExit,
    xml::{Element, write},
};

use super::{check, elsewhere, one};
pub(crate) use load::apply;
use load::load;

/// Run one command of the level.
pub fn run(shell: &mut Shell, command: Configure) -> Result<(), Failure> {
    match command {
        Configure::Show { words } => show(shell, &words),
        Configure::Primitive(words) => object(shell, "primitive", words.words),
        Configure::RscTemplate(words) => object(shell, "rsc_template", words.words),
        Configure::Group(words) => object(shell, "group", words.words),
        Configure::Clone(words) => object(shell, "clone", words.words),
        Configure::Ms(words) => object(shell, "ms", words.words),
        Configure::Bundle(words) => object(shell, "bundle", words.words),
        Configure::Location(words) => object(shell, "location", words.words),
        Configure::Colocation(words) => object(shell, "colocation", words.words),
        Configure::Order(words) => object(shell, "order", words.words),
        Configure::RscTicket(words) => object(shell, "rsc_ticket", words.words),
        Configure::Property(words) => object(shell, "property", words.words),
        Configure::RscDefaults(words) => object(shell, "rsc_defaults", words.words),
        Configure::OpDefaults(words) => object(shell, "op_defaults", words.words),
        Configure::Node(words) => object(shell, "node", words.words),
        Configure::FencingTopology(words) => object(shell, "fencing_topology", words.words),
        Configure::Tag(words) => object(shell, "tag", words.words),
        Configure::Role(words) => object(shell, "role", words.words),
        Configure::AclTarget(words) => object(shell, "acl_target", words.words),
        Configure::AclGroup(words) => object(shell, "acl_group", words.words),
        Configure::Alert(words) => object(shell, "alert", words.words),
        Configure::Xml(words) => {
            let source = format!("xml {}", words.words.join(" "));
            change(shell, |session| {
                put(&mut session.document, &source, Mode::Update)
            })
        }
        Configure::Delete { ids } => delete(shell, &ids),
        Configure::Rename { old, new } => rename(shell, &old, &new),
        Configure::Modgroup {
            group,
            how,
            member,
            place,
        } => modgroup(shell, &group, how == "add", &member, &place),
        Configure::Load { words, how } => load(shell, &words, &how),
        Configure::Save { words } => save(shell, &words),
        Configure::Edit { ids } => super::edit::edit(shell, &ids),
        Configure::Verify => verify(shell),
        Configure::Cib { command } => super::cib::run(shell, command),
        Configure::Erase => change(shell, |session| {
            let nodes = session.document.configuration().child("nodes").cloned();
            let mut empty = Cib::empty()
                .configuration()
                .cloned()
                .expect("an empty CIB has a configuration");
            if let Some(nodes) = nodes {
                *empty.child_or_new("nodes") = nodes;
            }
            session.document = Document::new(empty);
            Ok(())
        }),
        Configure::Diff => {
            let session = shell.session()?;
            let patch =
                cib::patch::diff(session.base.root(), &session.changed()).without_versions();
            let text = write::pretty(&patch.to_element());
            if patch.changes.is_empty() {
                shell.say("no changes")
            } else {
                shell.say(&text)
            }
        }
        Configure::Commit { forced, how } => super::commit::commit(shell, &how, forced.is_some()),
        Configure::Confirm => super::commit::end_trial(shell, true),
        Configure::Revert => super::commit::end_trial(shell, false),
        Configure::Refresh => {
            shell.session = None;
            Ok(())
        }
        Configure::Upgrade { .. } => {
            shell
                .access
                .write(Command::new(Op::Upgrade, Target::Whole, None))
                .map(|_| ())?;
            shell.session = None;
            Ok(())
        }
        Configure::Simulate => super::plan::show(shell),
        Configure::GetProperty { names } => one::get_properties(shell, &names),
        Configure::Set { path, value } => one::set(shell, &path, &value),
        Configure::DefaultTimeouts { ids } => one::default_timeouts(shell, &ids),
        Configure::Monitor { rsc, times } => one::monitor(shell, &rsc, &times),
        Configure::Schema { name } => one::schema(shell, name),
        Configure::Filter { program, ids } => one::filter(shell, &program, &ids),
        Configure::Graph { words } => {
            let (form, file) = super::past::Form::of(&words)?;
            let root = shell.session()?.changed();
            super::past::picture(shell, &root, crate::clock::wall_s(), form, file)
        }
        Configure::ValidateAll { id } => {
            tools::within(shell, "crm_resource", &["--validate", "-r", &id])
        }
        Configure::Rsctest(words) => elsewhere::answer(shell, "configure rsctest", &words.words),
        Configure::User(words) => elsewhere::answer(shell, "configure user", &words.words),
        Configure::Template(words) => elsewhere::answer(shell, "template", &words.words),
        Configure::Cibstatus(words) => elsewhere::answer(shell, "cibstatus", &words.words),
    }
}

/// The line that these words were: quotes where the caller's shell took them off.
pub(crate) fn line_of(keyword: &str, words: &[String]) -> String {
    let mut line = keyword.to_owned();
    for word in words {
        line.push(' ');
        let quoted = word.contains('"') || word.contains('\'');
        match word.split_once('=') {
            // Already as it is written in a file.
            _ if quoted
                && crate::cli::language::statements(word).is_ok_and(|found| found.len() == 1)
                && !blank(word) =>
            {
                line.push_str(word);
            }
            Some((name, value)) if blank(value) || quoted || value.is_empty() => {
                line.push_str(name);
                line.push('=');
                line.push_str(&value_text(value));
            }
            None if blank(word)
                && !word.contains('(')
                && !word.contains('{')
                && word.contains('/') =>
            {
                line.push_str(&value_text(word));
            }
            _ => line.push_str(word),
        }
    }
    line
}

fn blank(text: &str) -> bool {
    text.contains(char::is_whitespace)
}

fn object(shell: &mut Shell, keyword: &str, words: Vec<String>) -> Result<(), Failure> {
    let source = line_of(keyword, &words);
    let mode = if shell.force {
        Mode::Update
    } else {
        Mode::Create
    };
    change(shell, |session| put(&mut session.document, &source, mode))
}

/// Read statements and put them in; either all or none.
pub(crate) fn put(document: &mut Document, source: &str, mode: Mode) -> Result<(), Failure> {
    let wrong = |error: SyntaxError| Failure::syntax(error, source, CrmExit::CONFIG);
    let objects = parse_all(source).map_err(wrong)?;
    let mut changed = document.clone();
    changed.put_all(objects, mode).map_err(|error| {
        let exit = if error.message.starts_with("there is already") {
            CrmExit::EXISTS
        } else {
            CrmExit::CONFIG
        };
        Failure::syntax(error, source, exit)
    })?;
    *document = changed;
    Ok(())
}

/// Work a change out; outside a prompt it is committed at once.
pub(crate) fn change(
    shell: &mut Shell,
    work: impl FnOnce(&mut Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    work(shell.session()?)?;
    if shell.deferred {
        Ok(())
    } else {
        commit(shell, false)
    }
}

/// Check pending changes and send them.
pub fn commit(shell: &mut Shell, force: bool) -> Result<(), Failure> {
    let at_once = Committing {
        yes: true,
        ..Committing::default()
    };
    super::commit::commit(shell, &at_once, force)
}

/// Which objects the words ask for.
fn selected(
    document: &Document,
    base: Option<&Cib>,
    words: &[String],
) -> Result<Vec<String>, Failure> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        let before = found.len();
        if let Some(kind) = word.strip_prefix("type:") {
            let tag = tag_of(kind);
            let objects = document.objects();
            found.extend(
                objects
                    .iter()
                    .filter(|(place, element)| {
                        element.is(tag) || *place == Place::Property && kind == "property"
                    })
                    .map(|(place, element)| object_name(*place, element)),
            );
            // That there are none of a kind is an answer.
            continue;
        } else if let Some(tag) = word.strip_prefix("tag:") {
            if let Some((_, element)) = document.find(tag) {
                found.extend(
                    element
                        .children()
                        .filter_map(Element::id)
                        .map(str::to_owned),
                );
            }
        } else if let Some(id) = word.strip_prefix("related:") {
            found.extend(
                document
                    .objects()
                    .iter()
                    .filter(|(_, element)| mentions(element, id))
                    .map(|(place, element)| object_name(*place, element)),
            );
        } else if word == "changed" {
            let old = base
                .and_then(Cib::configuration)
                .cloned()
                .map(Document::new);
            let objects = document.objects();
            found.extend(
                objects
                    .iter()
                    .filter(|(place, element)| {
                        let id = object_name(*place, element);
                        old.as_ref()
                            .and_then(|old| old.find(&id))
                            .map(|(_, element)| element)
                            != Some(element)
                    })
                    .map(|(place, element)| object_name(*place, element)),
            );
            continue;
        } else if document.find(word).is_some() {
            found.push(word.clone());
        }
        if found.len() == before {
            let names = document
                .objects()
                .iter()
                .map(|(place, element)| object_name(*place, element))
                .collect::<Vec<_>>();
            let failure = Failure::new(CrmExit::NO_SUCH, format!("there is no object {word:?}"));
            return Err(
                match crate::cli::language::meant(word, names.iter().map(String::as_str)) {
                    Some(meant) => failure.cure(format!("did you mean {meant:?}?")),
                    None => failure.cure("crm configure show lists all objects"),
                },
            );
        }
    }
    Ok(found)
}

fn tag_of(kind: &str) -> &str {
    match kind {
        "ms" => "master",
        "rsc_template" => "template",
        "location" => "rsc_location",
        "colocation" => "rsc_colocation",
        "order" => "rsc_order",
        "fencing_topology" => "fencing-topology",
        "role" => "acl_role",
        other => other,
    }
}

fn object_name(place: Place, element: &Element) -> String {
    match place {
        Place::Node => element.get("uname"),
        Place::Topology => Some("fencing_topology"),
        _ => element.id(),
    }
    .unwrap_or_default()
    .to_owned()
}

fn mentions(element: &Element, id: &str) -> bool {
    let names = ["id", "rsc", "with-rsc", "first", "then", "template"];
    names.iter().any(|name| element.get(name) == Some(id))
        || element.children().any(|child| mentions(child, id))
}

/// Text of the selected objects; without `secrets`, they are all there.
fn text_of(
    session: &Session,
    words: &[String],
    secrets: Option<&Secrets>,
) -> Result<String, Failure> {
    let (as_xml, words) = match words.split_first() {
        Some((first, rest)) if first == "xml" => (true, rest),
        _ => (false, words),
    };
    let ids = match words {
        [] => None,
        words => Some(selected(&session.document, Some(&session.base), words)?),
    };
    let masked =
        secrets.map(|secrets| Document::new(secrets.masked(session.document.configuration())));
    let document = masked.as_ref().unwrap_or(&session.document);
    Ok(match (ids, as_xml) {
        (None, true) => {
            let mut root = session.base.root().without_children();
            root.push(document.configuration().clone());
            write::pretty(&root)
        }
        (None, false) => document.show(|_, _| true),
        (Some(ids), true) => {
            let elements = ids.iter().filter_map(|id| document.find(id));
            elements
                .map(|(_, element)| write::pretty(element))
                .collect()
        }
        (Some(ids), false) => {
            document.show(|place, element| ids.contains(&object_name(place, element)))
        }
    })
}

/// For a person's eyes: secrets stay where they are.
fn show(shell: &mut Shell, words: &[String]) -> Result<(), Failure> {
    let (obscure, words): (Vec<String>, Vec<String>) = words
        .iter()
        .cloned()
        .partition(|word| word.starts_with("obscure:"));
    let mut secrets = Secrets::default();
    for word in &obscure {
        secrets.and(&word["obscure:".len()..]).map_err(|why| {
            Failure::usage(format!("{word}: {why}"))
                .cure("a pattern of a shell for names, for example obscure:ip*")
        })?;
    }
    let text = text_of(shell.session()?, &words, Some(&secrets))?;
    if !shell.deferred {
        shell.session = None;
    }
    if text.is_empty() {
        return Ok(());
    }
    shell.say(&text)
}

fn delete(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    if !shell.force {
        let cib = shell.cib()?;
        let facts = super::facts_of(&cib);
        for id in ids {
            if let Some(node) = super::running_on(&facts, id) {
                return Err(
                    Failure::new(CrmExit::UNSAFE, format!("{id:?} runs on {node}")).cure(format!(
                        "stop it first: crm -w resource stop {id} (or delete it with --force)"
                    )),
                );
            }
        }
    }
    let mut beside = Vec::new();
    change(shell, |session| {
        let mut changed = session.document.clone();
        for id in ids {
            // A member may be gone with its group already.
            if beside.contains(id) {
                continue;
            }
            beside.extend(
                changed
                    .delete(id)
                    .map_err(|message| Failure::new(CrmExit::NO_SUCH, message))?,
            );
        }
        session.document = changed;
        Ok(())
    })?;
    for id in beside.iter().filter(|id| !ids.contains(id)) {
        shell.say(&format!("also deleted: {id}"))?;
    }
    Ok(())
}

/// Every attribute that can hold an object's id.
const REFERENCES: &[&str] = &[
    "id",
    "rsc",
    "with-rsc",
    "first",
    "then",
    "template",
    "reference",
];

fn rename(shell: &mut Shell, old: &str, new: &str) -> Result<(), Failure> {
    if !crate::cli::language::is_id(new) {
        return Err(Failure::usage(format!("{new:?} can't be an id"))
            .cure("an id begins with a letter or _ and has letters, digits, '-', '_' and '.'"));
    }
    let facts = super::facts_of(&shell.cib()?);
    if let Some(node) = super::running_on(&facts, old)
        && !shell.force
    {
        return Err(
            Failure::new(CrmExit::UNSAFE, format!("{old:?} runs on {node}"))
                .cure(format!("stop it first: crm -w resource stop {old}")),
        );
    }
    change(shell, |session| {
        if session.document.find(old).is_none() {
            return Err(
                Failure::new(CrmExit::NO_SUCH, format!("there is no object {old:?}"))
                    .cure("crm configure show lists all objects"),
            );
        }
        if session.document.configuration().find_id(new).is_some() {
            return Err(
                Failure::new(CrmExit::EXISTS, format!("the id {new:?} is taken"))
                    .cure("choose another id"),
            );
        }
        let mut configuration = session.document.configuration().clone();
        renamed(&mut configuration, old, new);
        session.document = Document::new(configuration);
        Ok(())
    })
}

fn renamed(element: &mut Element, old: &str, new: &str) {
    for name in REFERENCES {
        if element.get(name) == Some(old) {
            element.set(name, new);
        }
    }
    if let Some(devices) = element.get("devices").map(str::to_owned) {
        let devices: Vec<&str> = devices
            .split(',')
            .map(|device| if device == old { new } else { device })
            .collect();
        element.set("devices", &devices.join(","));
    }
    for child in element.children_mut() {
        renamed(child, old, new);
    }
}

fn modgroup(
    shell: &mut Shell,
    group: &str,
    add: bool,
    member: &str,
    place: &[String],
) -> Result<(), Failure> {
    change(shell, |session| {
        let Some((_, element)) = session
            .document
            .find(group)
            .filter(|(_, element)| element.is("group"))
        else {
            return Err(Failure::new(
                CrmExit::NO_SUCH,
                format!("there is no group {group:?}"),
            ));
        };
        let mut members: Vec<&str> = element
            .children()
            .filter(|child| child.is("primitive"))
            .filter_map(Element::id)
            .collect();
        let at = members.iter().position(|id| *id == member);
        match (add, at) {
            (true, Some(_)) => {
                return Err(Failure::new(
                    CrmExit::EXISTS,
                    format!("{member:?} is in {group:?} already"),
                ));
            }
            (false, None) => {
                return Err(Failure::new(
                    CrmExit::NO_SUCH,
                    format!("{member:?} is not in {group:?}"),
                ));
            }
            (false, Some(at)) => {
                members.remove(at);
            }
            (true, None) => {
                let at = match place {
                    [] => members.len(),
                    [how, other] if how == "before" || how == "after" => {
                        let found = members.iter().position(|id| id == other).ok_or_else(|| {
                            Failure::new(CrmExit::NO_SUCH, format!("{other:?} is not in {group:?}"))
                        })?;
                        found + usize::from(how == "after")
                    }
                    _ => return Err(Failure::usage("expected before RESOURCE or after RESOURCE")),
                };
                members.insert(at, member);
            }
        }
        if members.is_empty() {
            return Err(Failure::new(
                CrmExit::CONFIG,
                format!("{member:?} is the last member of {group:?}"),
            )
            .cure(format!("delete the group: crm configure delete {group}")));
        }
        let text = session.document.text(group).unwrap_or_default();
        let rest = text
            .split_once(" \\\n")
            .map(|(_, rest)| format!(" \\\n{rest}"))
            .unwrap_or_default();
        let source = format!("group {group} {}{rest}", members.join(" "));
        put(&mut session.document, &source, Mode::Define)
    })
}

fn save(shell: &mut Shell, words: &[String]) -> Result<(), Failure> {
    let as_xml = words.first().is_some_and(|word| word == "xml");
    let Some((file, ids)) = words[usize::from(as_xml)..].split_first() else {
        return Err(Failure::usage("the name of the file is missing")
            .cure("crm configure save [xml] FILE [IDS]"));
    };
    let session = shell.session()?;
    let mut wanted: Vec<String> = if as_xml {
        vec!["xml".to_owned()]
    } else {
        Vec::new()
    };
    wanted.extend(ids.iter().cloned());
    let text = text_of(session, &wanted, None)?;
    if file == "-" {
        shell.say(&text)
    } else {
        store(Path::new(file), &text)
    }
}

fn verify(shell: &mut Shell) -> Result<(), Failure> {
    shell.access.deciding().map(drop)?;
    let session = shell.session()?;
    let root = session.changed();
    let root = cib::upgrade::todays_words(&root).unwrap_or(root);
    check::all(shell, &root)
}

/// Whether a word begins a statement of the language.
pub fn is_statement(word: &str) -> bool {
    KEYWORDS.contains(&word) || matches!(word, "collocation" | "master")
}
