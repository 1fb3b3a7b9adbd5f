//! Elements as statements, the way `crm configure show` writes them. What the language can't say is written as `xml`, so
//! that reading what was printed always brings back the same.

mod parts;

use std::collections::BTreeSet;

use crate::xml::{Element, write};

use super::{
    ids,
    parse::{MEMBER, Place, parse_all},
    same::same,
};
use parts::{
    agent_text, attributes, expression, is_member, own_id, pair, resources, role, rules_first,
    sets_text,
};

const BREAK: &str = " \\\n\t";

/// One object. Ids of parts appear only where they are referenced.
pub fn print_object(
    place: Place,
    element: &Element,
    referenced: &BTreeSet<String>,
    nodes: &[String],
) -> String {
    let printer = Printer { referenced, nodes };
    let text = match place {
        Place::OpDefaults => printer.options("op_defaults", element),
        _ => printer.object(element),
    };
    let comments = comments(element);
    let faithful = text
        .as_ref()
        .is_some_and(|text| reads_back(&format!("{comments}{text}"), element, referenced, nodes));
    match text {
        Some(text) if faithful => format!("{comments}{text}"),
        _ => match place {
            Place::RscDefaults | Place::OpDefaults => {
                xml(&Element::new(place.section()).with_child(element.clone()))
            }
            _ => xml(element),
        },
    }
}

fn comments(element: &Element) -> String {
    let comments = element.nodes().iter().filter_map(|node| node.as_comment());
    comments
        .map(|text| match text.trim() {
            heading if heading.starts_with("##") => format!("{heading}\n"),
            // crmsh keeps the sign in the comment; read again, it is gone.
            text => match text.trim_start_matches(|c: char| c == '#' || c.is_whitespace()) {
                "" => "#\n".to_owned(),
                text => format!("# {text}\n"),
            },
        })
        .collect()
}

/// Whether the text says the same as the element.
fn reads_back(
    text: &str,
    element: &Element,
    referenced: &BTreeSet<String>,
    nodes: &[String],
) -> bool {
    let Ok(mut objects) = parse_all(text) else {
        return false;
    };
    let Some(mut object) = objects.pop().filter(|_| objects.is_empty()) else {
        return false;
    };
    if element.is("fencing-topology") {
        object.element = super::document::levels_for_all(&object.element, nodes);
    }
    ids::fill(&mut object.element, &mut BTreeSet::new());
    let mut read = object.element;
    if element.is("node") && !read.has("id") && element.id() == element.get("uname") {
        read.set("id", element.id().unwrap_or_default());
    }
    let mut element = comments_first(element);
    if element.get("type") == Some("normal") && element.is("node") {
        element.unset("type");
    }
    same(&read, &element, referenced)
}

/// Comments are printed above their object and read to its beginning.
fn comments_first(element: &Element) -> Element {
    let mut element = element.clone();
    if element
        .nodes()
        .iter()
        .any(|node| node.as_comment().is_some())
    {
        element
            .nodes_mut()
            .sort_by_key(|node| node.as_comment().is_none());
    }
    element
}

/// As XML, with members of a collective as references: they are shown on their own.
fn xml(element: &Element) -> String {
    let mut element = element.clone();
    for child in element
        .children_mut()
        .filter(|child| super::document::is_resource(child.tag()))
    {
        *child = Element::new(MEMBER).with("id", child.id().unwrap_or_default());
    }
    let text = write::pretty(&element);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    format!("xml {}", lines.join(" \\\n"))
}

/// A value as it is written after `name=`: quoted unless it is plain.
pub fn value_text(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        quoted(value)
    }
}

fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '"' || (c == '\\' && matches!(chars.peek(), None | Some('"' | '\\'))) {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A word within a rule or another place where only blanks matter.
fn word(text: &str) -> String {
    let needs = text.is_empty()
        || text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    if needs { quoted(text) } else { text.to_owned() }
}

fn score_text(score: &str) -> String {
    score.replace("INFINITY", "inf")
}

struct Printer<'a> {
    referenced: &'a BTreeSet<String>,
    nodes: &'a [String],
}

impl Printer<'_> {
    fn object(&self, element: &Element) -> Option<String> {
        let id = element.id();
        Some(match element.tag() {
            "node" => self.node(element)?,
            "primitive" => self.primitive(element, "primitive")?,
            "template" => self.primitive(element, "rsc_template")?,
            "group" | "clone" | "master" => self.collective(element)?,
            "bundle" => self.bundle(element)?,
            "tag" => {
                let members: Vec<&str> = element.children().filter_map(Element::id).collect();
                format!("tag {} {}", id?, members.join(" "))
            }
            "rsc_location" => self.location(element)?,
            "rsc_colocation" => self.colocation(element)?,
            "rsc_order" => self.order(element)?,
            "rsc_ticket" => self.ticket(element)?,
            "cluster_property_set" => self.options("property", element)?,
            "meta_attributes" => self.options("rsc_defaults", element)?,
            "fencing-topology" => self.topology(element)?,
            "acl_role" => role(element)?,
            "acl_target" | "acl_group" => {
                let roles: Vec<&str> = element.children().filter_map(Element::id).collect();
                format!("{} {}{BREAK}{}", element.tag(), word(id?), roles.join(" "))
            }
            "alert" => self.alert(element)?,
            _ => return None,
        })
    }

    fn node(&self, element: &Element) -> Option<String> {
        let name = element.get("uname")?;
        let kind = element.get("type").filter(|kind| *kind != "normal");
        let mut out = String::from("node ");
        if let Some(id) = element.id().filter(|id| *id != name) {
            out.push_str(&own_id(id));
        }
        out.push_str(name);
        out.push_str(&kind.map(|kind| format!(":{kind}")).unwrap_or_default());
        if let Some(text) = element.get("description") {
            out.push_str(&format!("{BREAK}description={}", value_text(text)));
        }
        let odd = !super::parse::is_id(name);
        for child in element.children() {
            match child.tag() {
                "instance_attributes" => self.set_with(child, "attributes", odd, &mut out)?,
                "utilization" => self.set_with(child, "utilization", odd, &mut out)?,
                _ => return None,
            }
        }
        Some(out)
    }

    fn primitive(&self, element: &Element, keyword: &str) -> Option<String> {
        let agent = match element.get("template") {
            Some(template) => format!("@{template}"),
            None => agent_text(element)?,
        };
        let mut out = format!("{keyword} {} {agent}", element.id()?);
        self.parts(element, &mut out, "params")?;
        Some(out)
    }

    fn collective(&self, element: &Element) -> Option<String> {
        let keyword = if element.is("master") {
            "ms"
        } else {
            element.tag()
        };
        let mut out = format!("{keyword} {}", element.id()?);
        for member in element.children().filter(|child| is_member(child)) {
            out.push(' ');
            out.push_str(member.id()?);
        }
        self.parts(element, &mut out, "params")?;
        Some(out)
    }

    /// Description, attribute sets and operations, one per line.
    fn parts(&self, element: &Element, out: &mut String, params: &str) -> Option<()> {
        if let Some(text) = element.get("description") {
            out.push_str(&format!("{BREAK}description={}", value_text(text)));
        }
        for child in element.children() {
            match child.tag() {
                "instance_attributes" => self.set(child, params, out)?,
                "meta_attributes" => self.set(child, "meta", out)?,
                "utilization" => self.set(child, "utilization", out)?,
                "operations" => self.operations(child, out)?,
                _ if is_member(child) => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn operations(&self, element: &Element, out: &mut String) -> Option<()> {
        if let Some(reference) = element.get("id-ref") {
            out.push_str(&format!("{BREAK}operations $id-ref={reference}"));
        } else if let Some(id) = element.id() {
            out.push_str(&format!("{BREAK}operations $id={id}"));
        }
        for op in element.children() {
            out.push_str(&format!("{BREAK}op {}", op.get("name")?));
            if let Some(id) = op.id().filter(|id| self.referenced.contains(*id)) {
                out.push_str(&format!(" $id={id}"));
            }
            for (name, value) in op
                .attrs()
                .filter(|(name, _)| !matches!(*name, "id" | "name"))
            {
                out.push_str(&format!(" {name}={}", value_text(value)));
            }
            for child in op.children() {
                let keyword = match child.tag() {
                    "instance_attributes" => "op_params",
                    "meta_attributes" => "op_meta",
                    _ => return None,
                };
                self.set(child, keyword, out)?;
            }
        }
        Some(())
    }

    fn set(&self, set: &Element, keyword: &str, out: &mut String) -> Option<()> {
        self.set_with(set, keyword, false, out)
    }

    /// A set, with its id where `shown` says so: crmsh makes ids of names, also of a node's that can't be one.
    fn set_with(&self, set: &Element, keyword: &str, shown: bool, out: &mut String) -> Option<()> {
        out.push_str(&format!("{BREAK}{keyword}"));
        if let Some(reference) = set.get("id-ref") {
            out.push_str(&format!(" $id-ref={reference}"));
            return Some(());
        }
        let wanted = |id: &&str| shown || self.referenced.contains(*id);
        if let Some(id) = set.id().filter(wanted) {
            out.push_str(&format!(" $id={}", value_text(id)));
        }
        if let Some(score) = set.get("score") {
            out.push_str(&format!(" {}:", score_text(score)));
        }
        for child in rules_first(set) {
            out.push(' ');
            out.push_str(&match child.tag() {
                "rule" => self.rule(child)?,
                "nvpair" => pair(child)?,
                _ => return None,
            });
        }
        Some(())
    }

    /// A set of options: one per line.
    fn options(&self, keyword: &str, set: &Element) -> Option<String> {
        // crmsh reads no score here.
        if set.has("score") {
            return None;
        }
        let mut out = format!("{keyword} {}", own_id(set.id()?).trim_end());
        for child in rules_first(set) {
            out.push_str(BREAK);
            out.push_str(&match child.tag() {
                "rule" => self.rule(child)?,
                "nvpair" => pair(child)?,
                _ => return None,
            });
        }
        Some(out)
    }

    fn rule(&self, rule: &Element) -> Option<String> {
        let mut out = String::from("rule ");
        if let Some(reference) = rule.get("id-ref") {
            out.push_str(&format!("$id-ref={reference}"));
            return Some(out);
        }
        if let Some(id) = rule.id().filter(|id| self.referenced.contains(*id)) {
            out.push_str(&format!("$id={id} "));
        }
        if let Some(role) = rule.get("role") {
            out.push_str(&format!("$role={} ", value_text(role)));
        }
        match (rule.get("score"), rule.get("score-attribute")) {
            (Some("INFINITY"), None) => {}
            (Some(score), None) => out.push_str(&format!("{}: ", score_text(score))),
            (None, Some(attribute)) => out.push_str(&format!("{attribute}: ")),
            _ => return None,
        }
        let expressions: Option<Vec<String>> = rule.children().map(expression).collect();
        let operator = rule.get("boolean-op").unwrap_or("and");
        out.push_str(&expressions?.join(&format!(" {operator} ")));
        Some(out)
    }

    fn location(&self, element: &Element) -> Option<String> {
        let mut out = format!("location {} ", element.id()?);
        let sets: Vec<&Element> = element.children_named("resource_set").collect();
        match (
            element.get("rsc"),
            element.get("rsc-pattern"),
            sets.is_empty(),
        ) {
            (Some(rsc), None, true) => out.push_str(rsc),
            (None, Some(pattern), true) => out.push_str(&format!("/{pattern}/")),
            (None, None, false) => out.push_str(&format!("{{ {} }}", sets_text(&sets, "role")?)),
            _ => return None,
        }
        for name in ["role", "resource-discovery"] {
            if let Some(value) = element.get(name) {
                out.push_str(&format!(" {name}={value}"));
            }
        }
        if let (Some(score), Some(node)) = (element.get("score"), element.get("node")) {
            out.push_str(&format!(" {}: {}", score_text(score), word(node)));
        }
        for rule in element.children_named("rule") {
            out.push_str(BREAK);
            out.push_str(&self.rule(rule)?);
        }
        Some(out)
    }

    fn colocation(&self, element: &Element) -> Option<String> {
        let mut out = format!(
            "colocation {} {}:",
            element.id()?,
            score_text(element.get("score")?)
        );
        let two = [("rsc", "rsc-role"), ("with-rsc", "with-rsc-role")];
        resources(element, &two, "role", &mut out)?;
        if let Some(attribute) = element.get("node-attribute") {
            out.push_str(&format!(" node-attribute={}", value_text(attribute)));
        }
        Some(out)
    }

    fn order(&self, element: &Element) -> Option<String> {
        let mut out = format!("order {}", element.id()?);
        if let Some(kind) = element.get("kind") {
            out.push_str(&format!(" {kind}:"));
        }
        let two = [("first", "first-action"), ("then", "then-action")];
        resources(element, &two, "action", &mut out)?;
        if let Some(symmetrical) = element.get("symmetrical") {
            out.push_str(&format!(" symmetrical={symmetrical}"));
        }
        Some(out)
    }

    fn ticket(&self, element: &Element) -> Option<String> {
        let mut out = format!("rsc_ticket {} {}:", element.id()?, element.get("ticket")?);
        resources(element, &[("rsc", "rsc-role")], "role", &mut out)?;
        if let Some(policy) = element.get("loss-policy") {
            out.push_str(&format!(" loss-policy={policy}"));
        }
        Some(out)
    }

    fn bundle(&self, element: &Element) -> Option<String> {
        let mut out = format!("bundle {}", element.id()?);
        if let Some(text) = element.get("description") {
            out.push_str(&format!("{BREAK}description={}", value_text(text)));
        }
        // What kind of container it is comes first, which crmsh needs to know a bundle by.
        let mut children: Vec<&Element> = element.children().collect();
        children.sort_by_key(|child| match child.tag() {
            "docker" | "podman" | "rkt" => 0,
            "network" => 1,
            "storage" => 2,
            "meta_attributes" => 3,
            _ => 4,
        });
        for child in children {
            match child.tag() {
                "docker" | "podman" | "rkt" | "network" | "storage" => {
                    out.push_str(&format!("{BREAK}{}", child.tag()));
                    attributes(child, &mut out);
                    for mapping in child.children() {
                        out.push_str(&format!(" {}", mapping.tag()));
                        attributes(mapping, &mut out);
                    }
                }
                "meta_attributes" => self.set(child, "meta", &mut out)?,
                _ if is_member(child) => out.push_str(&format!("{BREAK}primitive {}", child.id()?)),
                _ => return None,
            }
        }
        Some(out)
    }

    fn topology(&self, element: &Element) -> Option<String> {
        let mut targets: Vec<(String, Vec<&str>)> = Vec::new();
        for level in element.children() {
            let target = if let Some(node) = level.get("target") {
                format!("{node}:")
            } else if let Some(pattern) = level.get("target-pattern") {
                format!("pattern:{}", word(pattern))
            } else {
                let name = level.get("target-attribute")?;
                format!("attr:{name}={}", value_text(level.get("target-value")?))
            };
            let at = targets
                .iter()
                .position(|(known, _)| *known == target)
                .unwrap_or_else(|| {
                    targets.push((target, Vec::new()));
                    targets.len() - 1
                });
            let devices = &mut targets[at].1;
            devices.push(level.get("devices")?);
            if level.get("index") != Some(devices.len().to_string().as_str()) {
                return None;
            }
        }
        let first = &targets.first()?.1;
        let everyone = targets.len() == self.nodes.len()
            && targets
                .iter()
                .zip(self.nodes)
                .all(|((target, devices), node)| {
                    target.strip_suffix(':') == Some(node) && devices == first
                });
        if everyone {
            return Some(format!("fencing_topology {}", first.join(" ")));
        }
        let lines: Vec<String> = targets
            .iter()
            .map(|(target, devices)| format!("{target} {}", devices.join(" ")))
            .collect();
        Some(format!("fencing_topology{BREAK}{}", lines.join(BREAK)))
    }

    fn alert(&self, element: &Element) -> Option<String> {
        let mut out = format!("alert {} {}", element.id()?, quoted(element.get("path")?));
        if let Some(text) = element.get("description") {
            out.push_str(&format!("{BREAK}description={}", value_text(text)));
        }
        let recipients = element.children().position(|child| child.is("recipient"));
        for (at, child) in element.children().enumerate() {
            match child.tag() {
                "instance_attributes" => self.set(child, "attributes", &mut out)?,
                "meta_attributes" => self.set(child, "meta", &mut out)?,
                "select" => {
                    out.push_str(&format!("{BREAK}select"));
                    for kind in child.children() {
                        out.push_str(&format!(" {}", kind.tag().strip_prefix("select_")?));
                        if kind.has_children() {
                            let names: Option<Vec<&str>> =
                                kind.children().map(|name| name.get("name")).collect();
                            out.push_str(&format!(" {{ {} }}", names?.join(" ")));
                        }
                    }
                }
                "recipient" => {
                    let value = value_text(child.get("value")?);
                    let mut parts = String::new();
                    if let Some(text) = child.get("description") {
                        parts.push_str(&format!(" description={}", value_text(text)));
                    }
                    for set in child.children() {
                        let keyword = if set.is("meta_attributes") {
                            "meta"
                        } else {
                            "attributes"
                        };
                        self.set(set, keyword, &mut parts)?;
                    }
                    // Sets of the alert that come later would be read as the recipient's.
                    let followed = recipients.is_some()
                        && element
                            .children()
                            .skip(at + 1)
                            .any(|next| !next.is("recipient"));
                    let parts = parts.replace(BREAK, " ");
                    out.push_str(&if followed {
                        format!("{BREAK}to {{ {value}{parts} }}")
                    } else {
                        format!("{BREAK}to {value}{parts}")
                    });
                }
                _ => return None,
            }
        }
        Some(out)
    }
}
