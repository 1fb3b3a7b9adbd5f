//! A resource element read once: templates expanded, attribute sets in order, operations listed.
//! Instances of a clone are all made from the same one.

use std::sync::Arc;

use super::Facts;
use super::nvset::{self, Blocks};
use super::operation::{OpConfig, OpTables};
use super::resource::Agent;
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{Role, span, text};
use crate::xml::Element;

/// What an element is, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Primitive,
    Group,
    Clone,
    Bundle,
}

/// A resource element, read.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) tag: Tag,
    pub(crate) id: Str,
    pub(crate) element: Element,
    pub(crate) agent: Agent,
    pub(crate) meta: Blocks,
    pub(crate) params: Blocks,
    pub(crate) utilization: Blocks,
    pub(crate) ops: Arc<[OpConfig]>,
    /// XML attributes, which are meta-attributes too (spec 1 §11.1).
    pub(crate) attributes: NvTable,
    /// Members of a group, or the one child of a clone.
    pub(crate) children: Vec<Arc<Spec>>,
    /// What operations come to, where that is the same whenever and for whomever it is asked.
    pub(super) tables: OpTables,
}

/// Why an element is no resource.
pub(crate) type Invalid = String;

/// Reads a resource element. // spec 1 §9.1, §10
pub(crate) fn read(facts: &mut Facts, written: &Element) -> Result<Arc<Spec>, Invalid> {
    let id = written
        .get("id")
        .ok_or_else(|| format!("a {} has no id", written.tag()))?;
    let tag = match written.tag() {
        "primitive" => Tag::Primitive,
        "group" => Tag::Group,
        "clone" => Tag::Clone,
        "bundle" => Tag::Bundle,
        other => return Err(format!("`{id}`: {other} is not a kind of resource")),
    };
    let element = match written.get("template").filter(|_| tag == Tag::Primitive) {
        Some(template) => expand_template(facts, written, id, template)?,
        None => written.clone(),
    };
    let mut children = Vec::new();
    let mut invalid_child = None;
    match tag {
        Tag::Group => {
            for child in element
                .children()
                .filter(|child| child.tag() == "primitive")
            {
                match read(facts, child) {
                    Ok(child) => children.push(child),
                    Err(trouble) => facts.warn(trouble),
                }
            }
            if children.is_empty() {
                invalid_child = Some(format!("group `{id}` has no valid member"));
            }
        }
        Tag::Clone => {
            let child = element
                .children()
                .find(|child| matches!(child.tag(), "primitive" | "group"));
            match child {
                Some(child) => children.push(read(facts, child)?),
                None => invalid_child = Some(format!("clone `{id}` has nothing to clone")),
            }
        }
        Tag::Primitive | Tag::Bundle => {}
    }
    if let Some(trouble) = invalid_child {
        return Err(trouble);
    }
    let collect = |tag: &str| {
        nvset::collect(
            &element,
            tag,
            &facts.context.document,
            facts.options.health,
            None,
        )
    };
    let (meta, params, utilization) = (
        collect("meta_attributes"),
        collect("instance_attributes"),
        collect("utilization"),
    );
    let agent = Agent {
        class: element.get("class").unwrap_or_default().into(),
        provider: element.get("provider").map(Into::into),
        kind: element.get("type").unwrap_or_default().into(),
    };
    if tag == Tag::Primitive && (agent.class.is_empty() || agent.kind.is_empty()) {
        return Err(format!(
            "primitive `{id}` names no agent: give it a class and a type"
        ));
    }
    let attributes = element
        .shared_attrs()
        .filter(|(_, value)| !value.eq_ignore_ascii_case("#default"))
        .map(|(name, value)| (Str::clone(name), value.into()))
        .collect();
    let ops = read_ops(facts, &element);
    Ok(Arc::new(Spec {
        tag,
        id: id.into(),
        agent,
        meta,
        params,
        utilization,
        ops,
        attributes,
        children,
        element,
        tables: OpTables::default(),
    }))
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            tag: Tag::Primitive,
            id: "".into(),
            element: Element::new("primitive"),
            agent: Agent::default(),
            meta: Blocks::from([]),
            params: Blocks::from([]),
            utilization: Blocks::from([]),
            ops: Arc::from([]),
            attributes: NvTable::new(),
            children: Vec::new(),
            tables: OpTables::default(),
        }
    }
}

// spec 1 §16.1
fn read_ops(facts: &Facts, element: &Element) -> Arc<[OpConfig]> {
    let operations = element.children().find(|child| child.tag() == "operations");
    let Some(operations) = operations.and_then(|found| facts.context.document.resolve(found))
    else {
        return Arc::from([]);
    };
    let collect = |op: &Element, tag: &str| {
        nvset::collect(op, tag, &facts.context.document, facts.options.health, None)
    };
    let ops = operations.children().filter(|op| op.tag() == "op");
    ops.filter_map(|op| {
        let op = facts.context.document.resolve(op)?;
        let role_text = op.get("role");
        let role = role_text.and_then(Role::parse);
        Some(OpConfig {
            id: op.get("id").unwrap_or_default().into(),
            name: op.get("name").unwrap_or_default().into(),
            interval_ms: span::ms_or_zero(op.get("interval")),
            role,
            role_invalid: role_text.is_some() && role.is_none(),
            enabled: op.get("enabled").and_then(text::boolean) != Some(false),
            meta: collect(op, "meta_attributes"),
            params: collect(op, "instance_attributes"),
            element: op.clone(),
        })
    })
    .collect()
}

// The primitive's children come after the template's, so that its sets win ties. // spec 1 §10
fn expand_template(
    facts: &mut Facts,
    written: &Element,
    id: &str,
    name: &str,
) -> Result<Element, Invalid> {
    let template = facts
        .context
        .templates
        .get(name)
        .filter(|_| name != id)
        .cloned()
        .ok_or_else(|| {
            format!("primitive `{id}` refers to template `{name}`, which does not exist")
        })?;
    facts
        .templates
        .entry(name.into())
        .or_default()
        .push(id.into());
    let mut out = Element::new("primitive");
    // What is said of a template is not said of what is made from it.
    for (name, value) in template.attrs().filter(|(name, _)| *name != "description") {
        out = out.with(name, value);
    }
    out = out.with_some("description", written.get("description"));
    out = out.with("id", id);
    let find_ops = |element: &Element| -> Option<Element> {
        let found = element
            .children()
            .find(|child| child.tag() == "operations")?;
        facts.context.document.resolve(found).cloned()
    };
    let operations = match (find_ops(&template), find_ops(written)) {
        (Some(theirs), Some(ours)) => Some(merge_ops(&theirs, &ours)),
        (theirs, ours) => ours.or(theirs),
    };
    for child in template.children().chain(written.children()) {
        if child.tag() != "operations" {
            out = out.with_child(child.clone());
        }
    }
    Ok(match operations {
        Some(operations) => out.with_child(operations),
        None => out,
    })
}

fn merge_ops(theirs: &Element, ours: &Element) -> Element {
    let key = |op: &Element| -> (String, String) {
        let role = op.get("role").unwrap_or_default().to_ascii_lowercase();
        let plain = matches!(role.as_str(), "" | "started" | "unpromoted" | "slave");
        (
            op.get("name").unwrap_or_default().to_owned(),
            if plain { String::new() } else { role },
        )
    };
    let have: Vec<_> = ours.children().map(key).collect();
    let mut out = ours.clone();
    for op in theirs.children().filter(|op| !have.contains(&key(op))) {
        out = out.with_child(op.clone());
    }
    out
}
