//! Resources as they are: all of them, one with its configuration, where one runs.

use crate::{
    cli::{
        cmd::{change, facts_of},
        failure::Failure,
        show::{self, xml::text_element},
        tools::Tool,
    },
    policy::{
        NodeIdx, RscIdx,
        facts::{Facts, resource::Kind},
    },
    terms::{CrmExit, Role},
    xml::{Element, write},
};

use super::{Asked, find, found};

fn all() -> show::Wanted {
    show::Wanted {
        inactive: true,
        pending: true,
        ..show::Wanted::default()
    }
}

/// `--list`.
pub(super) fn list(tool: &mut Tool) -> Result<(), Failure> {
    let facts = facts_of(&tool.access.cib()?);
    let mut page = show::Page::new();
    let wanted = show::Wanted {
        without_nodes: true,
        ..all()
    };
    page.entry(0, &show::resource_list(&facts, &wanted));
    tool.line(page.text().trim_end())?;
    match show::xml::resources(&facts, &all()) {
        Some(resources) => tool.element(resources),
        None => return Err(Failure::new(CrmExit::NO_SUCH, "no resource is configured")),
    }
    Ok(())
}

/// `--list-raw`: the ids of all that runs by itself, instances with their numbers.
pub(super) fn list_raw(tool: &mut Tool) -> Result<(), Failure> {
    let facts = facts_of(&tool.access.cib()?);
    let ids: Vec<String> = facts
        .top
        .iter()
        .flat_map(|top| leaves(&facts, *top))
        .map(|rsc| facts.rscs[rsc].id.to_string())
        .collect();
    for id in &ids {
        tool.line(id)?;
    }
    tool.element(item_list("resource names", &ids, |id| {
        text_element("item", id).with("name", "resource")
    }));
    Ok(())
}

/// `<list>` with its count.
pub(super) fn item_list(name: &str, items: &[String], item: impl Fn(&str) -> Element) -> Element {
    Element::new("list")
        .with("name", name)
        .with("count", items.len().to_string())
        .with_children(items.iter().map(|text| item(text)))
}

/// Containers, addresses and connections of a bundle come before what runs inside.
fn leaves(facts: &Facts, rsc: RscIdx) -> Vec<RscIdx> {
    let Kind::Bundle(bundle) = &facts.rscs[rsc].kind else {
        return facts.leaves(rsc);
    };
    let outside = bundle.replicas.iter().flat_map(|replica| {
        [Some(replica.container), replica.ip, replica.connection]
            .into_iter()
            .flatten()
    });
    let inside = bundle.replicas.iter().filter_map(|replica| replica.child);
    outside.chain(inside).collect()
}

/// `--query-xml`, with templates filled in or as written.
pub(super) fn query(tool: &mut Tool, asked: &Asked, expanded: bool) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = found(&facts, &cib, id)?;
    let it = &facts.rscs[rsc];
    let written = change::resource(cib.root(), it.xml_id.as_str()).map(|(element, _)| element);
    let element = written.filter(|_| !expanded).unwrap_or(&it.element);
    let text = write::pretty(element);
    // Of what is cloned, only the instances that are somewhere.
    let wanted = show::Wanted {
        inactive: it.is_primitive(),
        ..all()
    };
    if let Some(entry) = show::entry(&facts, rsc, &wanted) {
        plain(tool, &entry)?;
    }
    tool.line("Resource XML:")?;
    tool.line(text.trim_end())?;
    tool.element(
        Element::new("resource_config")
            .with_child(show::xml::element(&facts, rsc, &all()))
            .with_child(text_element("xml", &text)),
    );
    Ok(())
}

/// The lines of an entry, without titles and bullets.
fn plain(tool: &mut Tool, entry: &show::Entry) -> Result<(), Failure> {
    match entry {
        show::Entry::Item(text) => tool.line(text),
        show::Entry::List(_, entries) => entries.iter().try_for_each(|entry| plain(tool, entry)),
    }
}

/// `--locate`.
pub(super) fn locate(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    found(&facts, &cib, id)?;
    let places = places(&facts, id);
    let mut nodes = Element::new("nodes").with("resource", id);
    for (node, promoted) in &places {
        let name = facts.nodes[*node].name.as_str();
        if asked.quiet {
            tool.line(name)?;
        } else {
            let role = if *promoted { " Promoted" } else { "" };
            tool.line(&format!("resource {id} is running on: {name}{role}"))?;
        }
        let element = text_element("node", name);
        nodes.push(match promoted {
            true => element.with("state", "promoted"),
            false => element,
        });
    }
    if places.is_empty() && !asked.quiet && !tool.xml() {
        tool.error(&format!("resource {id} is NOT running"));
    }
    tool.element(nodes);
    Ok(())
}

/// Where a resource runs, and whether it is promoted there. The name that a clone's instances share means all of them.
///
/// Quirk: the last instance is told first.
pub(super) fn places(facts: &Facts, id: &str) -> Vec<(NodeIdx, bool)> {
    let Some(rsc) = find(facts, id) else {
        return Vec::new();
    };
    let it = &facts.rscs[rsc];
    // A group in a clone has its number in its own id, and its configured one means all of them.
    let shared = it.id != id && it.xml_id == id && goes_by(facts, rsc, id);
    let instances = if shared || it.clone_facts().is_some() {
        let clone = if shared { facts.top_of(rsc) } else { rsc };
        let depth_of = |instance: &RscIdx| member_named(facts, *instance, id);
        let instances = facts.rscs[clone].children.iter();
        match shared {
            true => instances.filter_map(depth_of).collect(),
            false => instances.copied().collect(),
        }
    } else {
        vec![rsc]
    };
    let mut out: Vec<(NodeIdx, bool)> = Vec::new();
    for instance in instances {
        let promoted = facts.rscs[instance].role == Role::Promoted;
        out.extend(
            nodes_of(facts, instance)
                .into_iter()
                .map(|node| (node, promoted)),
        );
    }
    out.reverse();
    out
}

/// Nodes where a resource is active, or any part of it.
pub(super) fn nodes_of(facts: &Facts, rsc: RscIdx) -> Vec<NodeIdx> {
    let mut out = Vec::new();
    for leaf in leaves(facts, rsc) {
        for node in &facts.rscs[leaf].active {
            if !out.contains(node) {
                out.push(*node);
            }
        }
    }
    out
}

/// The part of an instance that is configured by this id: itself, or a member of the group that it is.
fn member_named(facts: &Facts, instance: RscIdx, id: &str) -> Option<RscIdx> {
    let mut all = facts.descend(instance).into_iter();
    all.find(|rsc| facts.rscs[*rsc].xml_id == id)
}

/// Whether the history calls an instance by this name. Histories of old have a number in it, and then the name
/// means the first instance.
fn goes_by(facts: &Facts, rsc: RscIdx, id: &str) -> bool {
    let mut known = facts.history.iter().filter(|entry| entry.rsc == Some(rsc));
    known.all(|entry| entry.recorded.id() == id)
}
