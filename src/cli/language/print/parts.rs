//! What statements are made of: pairs, expressions of rules, resources and sets of constraints, permissions.

use super::{BREAK, quoted, value_text, word};
use crate::cli::language::{
    document,
    parse::{MEMBER, shortcut},
};
use crate::xml::Element;

/// An id as a statement begins with it: `ID: `, or `$id=ID ` where crmsh would not take it for one.
pub(super) fn own_id(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(plain) {
        format!("{id}: ")
    } else {
        format!("$id={} ", value_text(id))
    }
}

/// The parts of a set in the order in which the language has them.
pub(super) fn rules_first(set: &Element) -> Vec<&Element> {
    let mut children: Vec<&Element> = set.children().collect();
    children.sort_by_key(|child| !child.is("rule"));
    children
}

/// Whether an element is a resource, or the name of one.
pub(super) fn is_member(element: &Element) -> bool {
    element.is(MEMBER) || document::is_resource(element.tag())
}

/// What an element says itself, as pairs.
pub(super) fn attributes(element: &Element, out: &mut String) {
    for (name, value) in element.attrs() {
        out.push_str(&format!(" {name}={}", value_text(value)));
    }
}

/// An agent as the language names it.
pub(super) fn agent_text(element: &Element) -> Option<String> {
    let (class, kind) = (element.get("class")?, element.get("type")?);
    Some(match (class, element.get("provider")) {
        ("ocf", Some("heartbeat")) => kind.to_owned(),
        ("ocf", Some(provider)) => format!("ocf:{provider}:{kind}"),
        (_, Some(provider)) => format!("{class}:{provider}:{kind}"),
        (_, None) => format!("{class}:{kind}"),
    })
}

/// A name and its value; nothing where the language has no way to say it.
pub(super) fn pair(pair: &Element) -> Option<String> {
    let name = pair.get("name");
    // crmsh makes an id of a name, and one that can't be an id breaks the whole file that it is in.
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_some_and(|name| !name.chars().all(fits)) {
        return None;
    }
    if let Some(reference) = pair.get("id-ref") {
        return Some(match name {
            Some(name) => format!("@{reference}:{name}"),
            None => format!("@{reference}"),
        });
    }
    Some(match pair.get("value") {
        Some(value) => format!("{}={}", name?, value_text(value)),
        None => name?.to_owned(),
    })
}

/// An expression of a rule.
pub(super) fn expression(element: &Element) -> Option<String> {
    let get = |name: &str| element.get(name);
    if element.is("date_expression") {
        let mut out = String::from("date ");
        match get("operation")? {
            "lt" => out.push_str(&format!("lt {}", value_text(get("end")?))),
            "gt" => out.push_str(&format!("gt {}", value_text(get("start")?))),
            "in_range" => {
                out.push_str("in");
                for name in ["start", "end"] {
                    if let Some(value) = get(name) {
                        out.push_str(&format!(" {name}={}", value_text(value)));
                    }
                }
                element
                    .child("duration")
                    .into_iter()
                    .for_each(|duration| fields(duration, &mut out));
            }
            "date_spec" => {
                out.push_str("spec");
                fields(element.child("date_spec")?, &mut out);
            }
            _ => return None,
        }
        return Some(out);
    }
    if !element.is("expression") {
        return None;
    }
    let (attribute, operation) = (word(get("attribute")?), get("operation")?);
    if matches!(operation, "defined" | "not_defined") {
        return Some(format!("{operation} {attribute}"));
    }
    let kind = get("type")
        .map(|kind| format!("{kind}:"))
        .unwrap_or_default();
    let value = match get("value-source") {
        None => word(get("value")?),
        Some(source) => format!("{source}{{{}}}", get("value")?),
    };
    Some(format!("{attribute} {kind}{operation} {value}"))
}

/// The fields of a date.
fn fields(element: &Element, out: &mut String) {
    for (name, value) in element.attrs().filter(|(name, _)| *name != "id") {
        out.push_str(&format!(" {name}={}", value_text(value)));
    }
}

/// The resources of a constraint, written as two names or as sets.
pub(super) fn resources(
    element: &Element,
    simple: &[(&str, &str)],
    suffix: &str,
    out: &mut String,
) -> Option<()> {
    let sets: Vec<&Element> = element.children_named("resource_set").collect();
    if !sets.is_empty() {
        out.push_str(&format!(" {}", sets_text(&sets, suffix)?));
        let named = sets.iter().map(|set| set.children().count()).sum::<usize>();
        let bare = sets.iter().all(|set| brackets(set).0.is_empty());
        if bare && named <= simple.len() {
            let at = out.len() - sets_text(&sets, suffix)?.len();
            out.insert_str(at, "_rsc_set_ ");
        }
        return Some(());
    }
    for (name, qualifier) in simple {
        out.push_str(&format!(" {}", element.get(name)?));
        if let Some(qualifier) = element.get(qualifier) {
            out.push_str(&format!(":{qualifier}"));
        }
    }
    Some(())
}

/// How a set begins and ends.
fn brackets(set: &Element) -> (&'static str, &'static str) {
    match (set.get("sequential"), set.get("require-all")) {
        (Some("false"), Some("false")) => ("[ ", " ]"),
        (_, Some("false")) => ("[ ", " sequential=true ]"),
        (Some("false"), _) => ("( ", " )"),
        _ => ("", ""),
    }
}

/// Sets one after the other.
pub(super) fn sets_text(sets: &[&Element], suffix: &str) -> Option<String> {
    let mut parts = Vec::new();
    for set in sets {
        let qualifier = set
            .get(suffix)
            .map(|text| format!(":{text}"))
            .unwrap_or_default();
        let names: Option<Vec<String>> = set
            .children()
            .map(|rsc| Some(format!("{}{qualifier}", rsc.id()?)))
            .collect();
        let (open, close) = brackets(set);
        parts.push(format!("{open}{}{close}", names?.join(" ")));
    }
    Some(parts.join(" "))
}

/// A role with its permissions.
pub(super) fn role(element: &Element) -> Option<String> {
    let mut out = format!("role {}", element.id()?);
    if let Some(text) = element.get("description") {
        out.push_str(&format!("{BREAK}description={}", value_text(text)));
    }
    for permission in element.children() {
        out.push_str(&format!("{BREAK}{}", permission.get("kind")?));
        if let Some(attribute) = permission.get("attribute") {
            out.push_str(&format!(" attr:{attribute}"));
        }
        if let Some(reference) = permission.get("reference") {
            out.push_str(&format!(" ref:{reference}"));
        }
        if let Some(tag) = permission.get("object-type") {
            out.push_str(&format!(" type:{tag}"));
        }
        if let Some(path) = permission.get("xpath") {
            out.push(' ');
            out.push_str(&short_path(path).unwrap_or_else(|| format!("xpath:{}", quoted(path))));
        }
    }
    Some(out)
}

/// The short name of a path, if it has one.
fn short_path(path: &str) -> Option<String> {
    let quoted: Vec<&str> = path.split('\'').skip(1).step_by(2).collect();
    let candidates = |names: &[&str]| -> Vec<String> {
        let joined = quoted.join(":");
        names
            .iter()
            .map(|name| {
                if joined.is_empty() {
                    (*name).to_owned()
                } else {
                    format!("{name}:{joined}")
                }
            })
            .collect()
    };
    let mut texts = candidates(&[
        "meta",
        "params",
        "utilization",
        "property",
        "node",
        "nodeattr",
        "nodeutil",
        "status",
        "cib",
    ]);
    if quoted.len() == 2 && quoted[1] == quoted[0].strip_prefix("cli-prefer-").unwrap_or("?") {
        texts.push(format!("location:{}", quoted[1]));
    }
    texts.into_iter().find(|text| {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text.as_str(), None),
        };
        shortcut(name, rest).as_deref() == Some(path)
    })
}
