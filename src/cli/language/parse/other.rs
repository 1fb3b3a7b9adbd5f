//! Nodes, tags, fencing levels, access rights and alerts.

use crate::{
    cli::language::{error::SyntaxError, lex::Word},
    xml::Element,
};

use super::{Cursor, resource::References, set};

pub(super) fn node(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let mut element = Element::new("node");
    if let Some(id) = cursor.take_pair("$id") {
        element.set("id", id);
    }
    let mut word = cursor.next("the name of the node")?;
    if let Some(id) = word
        .text
        .strip_suffix(':')
        .filter(|id| !id.is_empty() && cursor.peek().is_some())
    {
        element.set("id", id);
        word = cursor.next("the name of the node")?;
    }
    let (name, kind) = match word.text.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (word.text.as_str(), None),
    };
    if name.is_empty() || word.pair().is_some() {
        return Err(SyntaxError::at(
            word.span.clone(),
            format!("{:?} is no name of a node", word.text),
        )
        .cure("node [ID:] NAME[:TYPE] [attributes NAME=VALUE ...] [utilization NAME=VALUE ...]"));
    }
    element.set("uname", name);
    if let Some(kind) = kind.filter(|kind| *kind != "normal") {
        if !matches!(kind, "member" | "ping" | "remote") {
            return Err(
                SyntaxError::at(word.span.clone(), format!("{kind:?} is no type of node"))
                    .cure("one of member, remote, ping"),
            );
        }
        element.set("type", kind);
    }
    while let Some(word) = cursor.peek() {
        if let Some(text) = cursor.take_pair("description") {
            element.set("description", text);
            continue;
        }
        let tag = match word.text.as_str() {
            "attributes" | "params" => "instance_attributes",
            "utilization" => "utilization",
            _ if word.pair().is_some() || word.is("rule") => {
                element.push(set::set(cursor, "instance_attributes")?);
                continue;
            }
            _ => return Err(set::unexpected(word)),
        };
        cursor.skip();
        element.push(set::set(cursor, tag)?);
    }
    Ok(element)
}

pub(super) fn tag(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let word = cursor.next("the id of the tag")?;
    let id = word.text.strip_suffix(':').unwrap_or(&word.text);
    let mut element = Element::new("tag").with("id", id);
    while cursor.peek().is_some() {
        let member = cursor.id("tagged object")?;
        references.push((member.text.clone(), member.span.clone()));
        element.push(Element::new("obj_ref").with("id", &member.text));
    }
    if !element.has_children() {
        return Err(cursor.missing("what the tag stands for"));
    }
    Ok(element)
}

/// Levels in the order of their statement; without a target they hold for every node, which `Document` knows.
pub(super) fn topology(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let mut element = Element::new("fencing-topology");
    let mut target = Element::new("fencing-level");
    let mut index = 0;
    while let Some(word) = cursor.peek() {
        cursor.skip();
        let begins = if let Some(pattern) = word.text.strip_prefix("pattern:") {
            Some(Element::new("fencing-level").with("target-pattern", pattern))
        } else if let Some((name, value)) = word
            .text
            .strip_prefix("attr:")
            .and_then(|text| text.split_once('='))
        {
            Some(
                Element::new("fencing-level")
                    .with("target-attribute", name)
                    .with("target-value", value),
            )
        } else {
            word.text
                .strip_suffix(':')
                .filter(|_| !word.quoted)
                .map(|node| Element::new("fencing-level").with("target", node))
        };
        if let Some(begins) = begins {
            target = begins;
            index = 0;
            continue;
        }
        if word.text.split(',').any(|device| !super::is_id(device)) {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} names no fence devices", word.text),
            )
            .cure("write NODE: DEVICE[,DEVICE...] ..., without blanks around commas"));
        }
        references.extend(
            word.text
                .split(',')
                .map(|device| (device.to_owned(), word.span.clone())),
        );
        index += 1;
        element.push(
            target
                .clone()
                .with("index", index.to_string())
                .with("devices", &word.text),
        );
    }
    // Alone, the word says that there are no levels; a target without devices is a mistake.
    if !element.has_children() && target.attr_count() > 0 {
        return Err(cursor.missing("fence devices, for example node1: device1,device2 device3"));
    }
    Ok(element)
}

pub(super) fn grant(
    cursor: &mut Cursor<'_>,
    tag: &str,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.next("the name of the user or group")?;
    let mut element = Element::new(tag).with("id", &id.text);
    while cursor.peek().is_some() {
        let role = cursor.id("role")?;
        references.push((role.text.clone(), role.span.clone()));
        element.push(Element::new("role").with("id", &role.text));
    }
    if !element.has_children() {
        return Err(cursor.missing("a role"));
    }
    Ok(element)
}

pub(super) fn role(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let id = cursor.id("role")?;
    let mut element = Element::new("acl_role").with("id", &id.text);
    if let Some(text) = cursor.take_pair("description") {
        element.set("description", text);
    }
    while let Some(word) = cursor.peek() {
        if !matches!(word.text.as_str(), "read" | "write" | "deny") {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} is no access right", word.text),
            )
            .cure("one of read, write, deny, then what it holds for"));
        }
        cursor.skip();
        element.push(permission(cursor, &word.text)?);
    }
    if !element.has_children() {
        return Err(cursor.missing("read, write or deny"));
    }
    Ok(element)
}

fn permission(cursor: &mut Cursor<'_>, kind: &str) -> Result<Element, SyntaxError> {
    let mut element = Element::new("acl_permission").with("kind", kind);
    let begin = cursor.at;
    while let Some(word) = cursor.peek() {
        if matches!(word.text.as_str(), "read" | "write" | "deny") && !word.quoted {
            break;
        }
        let (name, rest) = match word.text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (word.text.as_str(), None),
        };
        match (name, rest) {
            ("xpath", Some(path)) => {
                if let Some(bare) = without_quotes(path) {
                    let text = format!(
                        "`{bare}` compares an attribute with an element, which is never equal: its quotes are gone"
                    );
                    return Err(SyntaxError::at(word.span.clone(), text).cure(
                        "a shell takes one pair of quotes away and crm the next: \"xpath:\\\"//nvpair[@name='ip']\\\"\"",
                    ));
                }
                element.set("xpath", path);
            }
            ("ref", Some(id)) => element.set("reference", id),
            ("tag" | "type", Some(tag)) => element.set("object-type", tag),
            ("attr" | "attribute", Some(attribute)) => element.set("attribute", attribute),
            _ => match shortcut(name, rest) {
                Some(path) => element.set("xpath", &path),
                None => {
                    return Err(SyntaxError::at(
                        word.span.clone(),
                        format!("{:?} names nothing that rights can hold for", word.text),
                    )
                    .cure("xpath:PATH, ref:ID, type:TAG, attr:NAME, or one of meta: params: utilization: location: property node nodeattr nodeutil status cib"));
                }
            },
        }
        cursor.skip();
    }
    if cursor.at == begin {
        return Err(cursor.missing("what the right holds for, for example ref:ID"));
    }
    Ok(element)
}

/// A comparison of an attribute with a word that is not quoted, if there is one: `@name=ip` asks for an element `<ip>`.
fn without_quotes(path: &str) -> Option<&str> {
    let is_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    path.match_indices('@').find_map(|(begin, _)| {
        let rest = &path[begin + 1..];
        let (_, rest) = rest.split_at(rest.find(|c| !is_name(c))?);
        let value = rest.trim_start().strip_prefix('=')?.trim_start();
        let end = value.find(|c| !is_name(c)).unwrap_or(value.len());
        let bare = value.starts_with(char::is_alphabetic) && !value[end..].starts_with('(');
        bare.then(|| &path[begin..path.len() - value.len() + end])
    })
}

/// The XPath behind a short name.
pub(crate) fn shortcut(name: &str, rest: Option<&str>) -> Option<String> {
    let (subject, attribute) = match rest.map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        Some((subject, attribute)) => (
            Some(subject),
            Some(attribute).filter(|text| !text.is_empty()),
        ),
        None => (None, None),
    };
    let resource = |part: &str| {
        let nvpair = attribute
            .map(|name| format!("/nvpair[@name='{name}']"))
            .unwrap_or_default();
        subject.map(|id| format!("//primitive[@id='{id}']/{part}{nvpair}"))
    };
    let named = |path: &str| match subject {
        Some(name) => format!("{path}/nvpair[@name='{name}']"),
        None => path.to_owned(),
    };
    let node = match subject {
        Some(node) => format!("//nodes/node[@uname='{node}']"),
        None => "//nodes/node".to_owned(),
    };
    match name {
        "meta" => resource("meta_attributes"),
        "params" => resource("instance_attributes"),
        "utilization" => resource("utilization"),
        "location" => {
            subject.map(|id| format!("//rsc_location[@id='cli-prefer-{id}' and @rsc='{id}']"))
        }
        "property" => Some(named("//crm_config/cluster_property_set")),
        "nodeattr" => Some(named("//nodes/node/instance_attributes")),
        "node" => Some(node),
        "nodeutil" => Some(match subject {
            Some(name) => format!("//nodes/node[@uname='{name}']/utilization"),
            None => "//nodes/node/utilization".to_owned(),
        }),
        "status" if rest.is_none() => Some("/cib/status".to_owned()),
        "cib" if rest.is_none() => Some("/cib".to_owned()),
        _ => None,
    }
}

pub(super) fn alert(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let id = cursor.id("alert")?;
    let path = cursor.next("the path of the alert agent")?;
    if path.pair().is_some() && !path.quoted {
        return Err(
            SyntaxError::at(path.span.clone(), "the path of the alert agent is missing")
                .cure("alert ID PATH [attributes ...] [meta ...] [select ...] [to RECIPIENT ...]"),
        );
    }
    let mut element = Element::new("alert")
        .with("id", &id.text)
        .with("path", &path.text);
    while let Some(word) = cursor.peek() {
        if let Some(text) = cursor.take_pair("description") {
            element.set("description", text);
            continue;
        }
        match word.text.as_str() {
            "to" => {
                cursor.skip();
                element.push(recipient(cursor)?);
            }
            "select" => {
                cursor.skip();
                element.push(select(cursor)?);
            }
            _ => sets_of(cursor, &mut element, word)?,
        }
    }
    Ok(element)
}

fn sets_of(cursor: &mut Cursor<'_>, element: &mut Element, word: &Word) -> Result<(), SyntaxError> {
    let tag = match word.text.as_str() {
        "attributes" | "params" => "instance_attributes",
        "meta" => "meta_attributes",
        _ => return Err(set::unexpected(word)),
    };
    cursor.skip();
    element.push(set::set(cursor, tag)?);
    Ok(())
}

fn recipient(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let braced = cursor.take("{");
    let mut element = Element::new("recipient");
    if let Some(id) = cursor.take_pair("$id") {
        element.set("id", id);
    }
    let value = cursor.next("the recipient")?;
    element.set("value", &value.text);
    while let Some(word) = cursor.peek() {
        if let Some(text) = cursor.take_pair("description") {
            element.set("description", text);
        } else if braced && cursor.take("}") {
            return Ok(element);
        } else if matches!(word.text.as_str(), "attributes" | "params" | "meta") {
            sets_of(cursor, &mut element, word)?;
        } else {
            break;
        }
    }
    if braced {
        Err(cursor.missing("}"))
    } else {
        Ok(element)
    }
}

fn select(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let mut element = Element::new("select");
    while let Some(word) = cursor.peek() {
        match word.text.as_str() {
            kind @ ("nodes" | "fencing" | "resources") => {
                cursor.skip();
                element.push(Element::new(&format!("select_{kind}")));
            }
            "attributes" => {
                cursor.skip();
                let mut attributes = Element::new("select_attributes");
                if cursor.take("{") {
                    while !cursor.take("}") {
                        let name = cursor.next("}")?;
                        attributes.push(Element::new("attribute").with("name", &name.text));
                    }
                }
                element.push(attributes);
            }
            _ => break,
        }
    }
    if element.has_children() {
        Ok(element)
    } else {
        Err(cursor.missing("nodes, fencing, resources or attributes { NAME ... }"))
    }
}
