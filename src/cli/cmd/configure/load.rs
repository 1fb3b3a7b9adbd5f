//! A file becomes part of the configuration, or all of it: statements or XML.

use std::{fs, io::Read};

use super::put;
use crate::{
    cli::{
        args::{Apply, Committing},
        cmd::commit,
        failure::Failure,
        language::{Document, Mode, Object, Place, SECTIONS, SyntaxError, parse_all, secret},
        shell::{Session, Shell},
    },
    terms::CrmExit,
    xml::{Element, Limits, parse},
};

fn read_input(file: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin()
            .lock()
            .take(Limits::CIB.bytes as u64 + 1)
            .read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|opened| {
            opened
                .take(Limits::CIB.bytes as u64 + 1)
                .read_to_end(&mut bytes)
        })
    };
    read.map_err(|error| {
        let failure = Failure::from(error);
        Failure::new(failure.exit, format!("failed to read {file}: {failure}"))
    })?;
    if bytes.len() > Limits::CIB.bytes {
        return Err(Failure::new(
            CrmExit::DATA,
            format!("{file} is larger than {} bytes", Limits::CIB.bytes),
        )
        .cure("split it, and load the parts one after the other"));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(CrmExit::DATA, format!("{file} is not UTF-8 text")))
}

/// The configuration becomes what a file says.
pub(crate) fn apply(shell: &mut Shell, apply: &Apply) -> Result<(), Failure> {
    load(
        shell,
        &["replace".to_owned(), apply.file.clone()],
        &apply.how,
    )
}

/// What a file says is added, or takes the place of what is there.
pub(super) fn load(
    shell: &mut Shell,
    words: &[String],
    how_committed: &Committing,
) -> Result<(), Failure> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said_xml = words.first() == Some(&"xml");
    if said_xml {
        words.remove(0);
    }
    let (how, file) = match words.as_slice() {
        [how @ ("update" | "replace" | "push"), file] => (*how, *file),
        [file] => ("update", *file),
        _ => {
            return Err(Failure::usage("expected [xml] update|replace|push FILE")
                .cure("for example: crm configure load update web.crm"));
        }
    };
    let source = read_input(file)?;
    let xml = said_xml || source.trim_start().starts_with('<');
    let work = |session: &mut Session| match (xml, how) {
        (true, "update") => {
            let objects = xml_objects(&source, file)?;
            let mut changed = session.document.clone();
            changed.put_all(objects, Mode::Update).map_err(|error| {
                Failure::new(CrmExit::CONFIG, format!("{file}: {error}"))
                    .cure(error.help.unwrap_or_default())
            })?;
            session.document = changed;
            Ok(())
        }
        (true, _) => {
            let root = parsed(&source, file)?;
            let configuration = match root.tag() {
                "configuration" => Some(&root),
                _ => root.child("configuration"),
            };
            let configuration = configuration.cloned().ok_or_else(|| {
                Failure::new(CrmExit::DATA, format!("{file} has no <configuration>"))
                    .cure("load a <cib> or a <configuration>")
            })?;
            let old = session.document.configuration();
            let mut configuration = configuration;
            secret::unmask(&mut configuration, Some(old)).map_err(|name| {
                let why = format!("{file}: {}", secret::unknown(&name));
                Failure::new(CrmExit::CONFIG, why).cure(secret::CURE)
            })?;
            let mut changed = Document::new(configuration);
            keep_nodes(&mut changed, &session.document);
            session.document = changed;
            Ok(())
        }
        (false, "update") => put(&mut session.document, &source, Mode::Update),
        (false, _) => {
            let wrong = |error: SyntaxError| Failure::syntax(error, &source, CrmExit::CONFIG);
            let objects = parse_all(&source).map_err(wrong)?;
            let mut changed = session.document.clone();
            changed.replace_all(objects).map_err(wrong)?;
            keep_nodes(&mut changed, &session.document);
            session.document = changed;
            Ok(())
        }
    };
    work(shell.session()?)?;
    if shell.deferred {
        return Ok(());
    }
    commit::commit(shell, how_committed, false)
}

/// Nodes belong to the cluster, not to the file: those a file does not speak of stay.
fn keep_nodes(changed: &mut Document, old: &Document) {
    if changed.nodes().is_empty() {
        let mut configuration = changed.configuration().clone();
        if let Some(nodes) = old.configuration().child("nodes") {
            *configuration.child_or_new("nodes") = nodes.clone();
        }
        *changed = Document::new(configuration);
    }
}

fn parsed(source: &str, file: &str) -> Result<Element, Failure> {
    parse(source, &Limits::CIB).map_err(|error| {
        Failure::new(CrmExit::DATA, format!("{file}: {error}"))
            .cure("nothing was changed; correct the file and load it again")
    })
}

/// The objects of an XML document: a CIB, a configuration, a section, or one object.
fn xml_objects(source: &str, file: &str) -> Result<Vec<Object>, Failure> {
    let root = parsed(source, file)?;
    let configuration = match root.tag() {
        "cib" => root
            .child("configuration")
            .cloned()
            .unwrap_or_else(|| Element::new("configuration")),
        "configuration" => root,
        "crm_config" | "nodes" | "resources" | "constraints" | "tags" | "rsc_defaults"
        | "op_defaults" | "acls" | "alerts" | "fencing-topology" => {
            Element::new("configuration").with_child(root)
        }
        tag => match Place::of_tag(tag) {
            Some(place) => Element::new("configuration")
                .with_child(Element::new(place.section()).with_child(root)),
            None => {
                return Err(Failure::new(
                    CrmExit::DATA,
                    format!("{file}: <{tag}> is no object of the configuration"),
                )
                .cure("load a <cib>, a <configuration>, one of its sections, or an object"));
            }
        },
    };
    let mut found = Vec::new();
    for section in configuration.children() {
        let known = SECTIONS.iter().any(|known| section.is(known));
        if !known {
            return Err(Failure::new(
                CrmExit::CONFIG,
                format!(
                    "{file}: line {}: <{}> is no section of a configuration",
                    section.line(),
                    section.tag()
                ),
            ));
        }
        if section.is("fencing-topology") {
            found.push(Object::of(Place::Topology, section.clone()));
            continue;
        }
        for element in section.children() {
            let place = match section.tag() {
                "rsc_defaults" => Some(Place::RscDefaults),
                "op_defaults" => Some(Place::OpDefaults),
                _ => Place::of_tag(element.tag()).filter(|place| section.is(place.section())),
            };
            let Some(place) = place else {
                return Err(Failure::new(
                    CrmExit::CONFIG,
                    format!(
                        "{file}: line {}: <{}> does not belong into <{}>",
                        element.line(),
                        element.tag(),
                        section.tag()
                    ),
                )
                .cure("remove it, or put it where it belongs"));
            };
            found.push(Object::of(place, element.clone()));
        }
    }
    Ok(found)
}
