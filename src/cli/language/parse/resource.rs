//! Primitives, templates, groups, clones and bundles.

use std::ops::Range;

use crate::{
    cli::language::{
        error::{SyntaxError, meant},
        lex::Word,
    },
    xml::Element,
};

use super::{
    Cursor, MEMBER,
    set::{self, SECTIONS, unexpected},
};

/// Names that were said, with their places.
pub(super) type References = Vec<(String, Range<usize>)>;

/// The attributes of an `op` element; everything else given to an operation is a parameter of it.
const OP_ATTRIBUTES: &[&str] = &[
    "interval",
    "timeout",
    "start-delay",
    "interval-origin",
    "enabled",
    "record-pending",
    "role",
    "on-fail",
    "requires",
    "description",
];

const CLASSES: &[&str] = &[
    "ocf", "stonith", "systemd", "service", "lsb", "upstart", "nagios",
];

pub(super) fn primitive(cursor: &mut Cursor<'_>, tag: &str) -> Result<Element, SyntaxError> {
    let id = cursor.id(if tag == "template" {
        "template"
    } else {
        "primitive"
    })?;
    let mut element = Element::new(tag).with("id", &id.text);
    let agent = cursor.next("the agent as [class:[provider:]]type, or @TEMPLATE")?;
    match agent.text.strip_prefix('@').filter(|_| tag == "primitive") {
        Some(template) => element.set("template", template),
        None => agent_name(agent, &mut element)?,
    }
    parts(cursor, &mut element, "instance_attributes", true)?;
    Ok(element)
}

/// `[class:[provider:]]type`; the class is ocf and the provider heartbeat where they are not named.
fn agent_name(word: &Word, element: &mut Element) -> Result<(), SyntaxError> {
    let parts: Vec<&str> = word.text.splitn(3, ':').collect();
    let bad = |message: String| {
        Err(SyntaxError::at(word.span.clone(), message)
            .cure("for example ocf:heartbeat:IPaddr2, systemd:nginx or stonith:fence_ipmilan"))
    };
    if word.pair().is_some() || parts.iter().any(|part| part.is_empty()) {
        return bad(format!("{:?} is no agent", word.text));
    }
    let (class, provider, kind) = match parts.as_slice() {
        [kind] => ("ocf", Some("heartbeat"), (*kind).to_owned()),
        ["ocf", kind] => ("ocf", Some("heartbeat"), (*kind).to_owned()),
        ["ocf", provider, kind] => ("ocf", Some(*provider), (*kind).to_owned()),
        [class, rest @ ..] if CLASSES.contains(class) => (*class, None, rest.join(":")),
        [provider, kind] => ("ocf", Some(*provider), (*kind).to_owned()),
        [class, ..] => return bad(format!("{class:?} is no class of agents")),
        [] => return bad("an agent is missing".to_owned()),
    };
    element.set("class", class);
    if let Some(provider) = provider {
        element.set("provider", provider);
    }
    element.set("type", &kind);
    Ok(())
}

/// Parts that follow the head: attribute sets and operations. Pairs before any keyword go to `first`.
pub(super) fn parts(
    cursor: &mut Cursor<'_>,
    element: &mut Element,
    first: &str,
    operations: bool,
) -> Result<(), SyntaxError> {
    let mut op: Option<Element> = None;
    let mut ops: Option<Element> = None;
    while let Some(word) = cursor.peek() {
        if let Some(text) = cursor.take_pair("description") {
            element.set("description", text);
            continue;
        }
        if word.quoted && word.pair().is_none() {
            return Err(unexpected(word));
        }
        let keyword = word.text.as_str();
        if !matches!(keyword, "op_params" | "op_meta") {
            ops = close(op.take(), ops);
        }
        match keyword {
            "params" => {
                cursor.skip();
                element.push(set::set(cursor, "instance_attributes")?);
            }
            "meta" => {
                cursor.skip();
                element.push(set::set(cursor, "meta_attributes")?);
            }
            "utilization" => {
                cursor.skip();
                element.push(set::set(cursor, "utilization")?);
            }
            "operations" if operations => {
                cursor.skip();
                let mut found = Element::new("operations");
                if let Some(reference) = cursor.take_pair("$id-ref") {
                    found.set("id-ref", reference);
                } else if let Some(id) = cursor.take_pair("$id") {
                    found.set("id", id);
                }
                ops = Some(found);
                place_operations(element);
            }
            "op" if operations => {
                cursor.skip();
                op = Some(operation(cursor)?);
                place_operations(element);
            }
            "op_params" | "op_meta" => {
                let tag = if keyword == "op_meta" {
                    "meta_attributes"
                } else {
                    "instance_attributes"
                };
                cursor.skip();
                let parameters = set::set(cursor, tag)?;
                match op.as_mut() {
                    Some(op) => op.push(parameters),
                    None => {
                        return Err(SyntaxError::at(
                            word.span.clone(),
                            format!("{keyword:?} does not follow an operation"),
                        )
                        .cure("write it after op NAME ..."));
                    }
                }
            }
            _ if word.pair().is_some() || keyword == "rule" || keyword.starts_with('@') => {
                element.push(set::set(cursor, first)?);
            }
            _ => return Err(wrong_part(word, operations)),
        }
    }
    ops = close(op.take(), ops);
    if let Some(ops) = ops
        && let Some(slot) = element.children_mut().find(|child| child.is("operations"))
    {
        *slot = ops;
    }
    Ok(())
}

fn wrong_part(word: &Word, operations: bool) -> SyntaxError {
    let known = ["params", "meta", "utilization", "operations", "op"];
    let known = &known[..if operations { 5 } else { 3 }];
    match meant(&word.text, known.iter().copied()) {
        Some(meant) => SyntaxError::at(
            word.span.clone(),
            format!("{:?} is not expected here", word.text),
        )
        .cure(format!("did you mean {meant:?}?")),
        None => unexpected(word),
    }
}

/// Operations stand where the first of them was written.
fn place_operations(element: &mut Element) {
    if element.child("operations").is_none() {
        element.push(Element::new("operations"));
    }
}

fn close(op: Option<Element>, ops: Option<Element>) -> Option<Element> {
    match op {
        Some(op) => Some(
            ops.unwrap_or_else(|| Element::new("operations"))
                .with_child(op),
        ),
        None => ops,
    }
}

fn operation(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let name = cursor.next("the name of the operation, for example monitor")?;
    if name.pair().is_some() {
        return Err(
            SyntaxError::at(name.span.clone(), "the name of the operation is missing")
                .cure("for example: op monitor interval=10s timeout=20s"),
        );
    }
    let mut element = Element::new("op").with("name", &name.text);
    let mut parameters = Element::new("instance_attributes");
    while let Some(word) = cursor.peek() {
        let Some((name, value)) = word.pair() else {
            break;
        };
        if name == "$id" {
            element.set("id", value);
        } else if OP_ATTRIBUTES.contains(&name) {
            element.set(name, value);
        } else {
            parameters.push(
                Element::new("nvpair")
                    .with("name", name)
                    .with("value", value),
            );
        }
        cursor.skip();
    }
    if !element.has("interval") {
        element.set("interval", "0");
    }
    if parameters.has_children() {
        element.push(parameters);
    }
    Ok(element)
}

pub(super) fn group(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("group")?;
    let mut element = Element::new("group").with("id", &id.text);
    let mut members = Vec::new();
    while let Some(word) = cursor.peek() {
        if word.quoted || word.pair().is_some() || SECTIONS.contains(&word.text.as_str()) {
            break;
        }
        members.push(member(cursor.id("member")?, references));
    }
    if members.is_empty() {
        return Err(cursor.missing("the members of the group"));
    }
    parts(cursor, &mut element, "meta_attributes", false)?;
    Ok(element.with_children(members))
}

fn member(word: &Word, references: &mut References) -> Element {
    references.push((word.text.clone(), word.span.clone()));
    Element::new(MEMBER).with("id", &word.text)
}

pub(super) fn clone(
    cursor: &mut Cursor<'_>,
    tag: &str,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("clone")?;
    let mut element = Element::new(tag).with("id", &id.text);
    let inner = member(cursor.id("primitive or group to be cloned")?, references);
    parts(cursor, &mut element, "meta_attributes", false)?;
    Ok(element.with_child(inner))
}

pub(super) fn bundle(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("bundle")?;
    let mut element = Element::new("bundle").with("id", &id.text);
    while let Some(word) = cursor.peek() {
        if let Some(text) = cursor.take_pair("description") {
            element.set("description", text);
            continue;
        }
        let keyword = word.text.as_str();
        cursor.skip();
        match keyword {
            "docker" | "podman" | "rkt" => element.push(attributes(cursor, Element::new(keyword))),
            "network" => {
                let network = attributes(cursor, Element::new("network"));
                element.push(mappings(cursor, network, "port-mapping"));
            }
            "storage" => {
                element.push(mappings(cursor, Element::new("storage"), "storage-mapping"));
            }
            "meta" => element.push(set::set(cursor, "meta_attributes")?),
            "primitive" => element.push(member(cursor.id("primitive")?, references)),
            _ => {
                return Err(SyntaxError::at(
                    word.span.clone(),
                    format!("{keyword:?} is no part of a bundle"),
                )
                .cure("one of docker, podman, rkt, network, storage, meta, primitive"));
            }
        }
    }
    if !element
        .children()
        .any(|child| matches!(child.tag(), "docker" | "podman" | "rkt"))
    {
        return Err(cursor.missing("docker, podman or rkt with image=IMAGE"));
    }
    Ok(element)
}

fn attributes(cursor: &mut Cursor<'_>, mut element: Element) -> Element {
    while let Some((name, value)) = cursor.peek().and_then(Word::pair) {
        element.set(name, value);
        cursor.skip();
    }
    element
}

fn mappings(cursor: &mut Cursor<'_>, mut element: Element, tag: &str) -> Element {
    while cursor.take(tag) {
        element.push(attributes(cursor, Element::new(tag)));
    }
    element
}
