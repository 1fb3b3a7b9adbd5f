//! `--move`, `--ban`, `--clear`: location constraints with ids by which they are found again.

use crate::{
    cib::Cib,
    cli::{
        cmd::{facts_of, resource::made_by_us, resource::wanted_place},
        failure::Failure,
        tools::Tool,
    },
    clock,
    policy::{DateVerdict, NodeIdx, RscIdx, facts::Facts, judge_date},
    terms::{CrmExit, DateTime, Duration, Role},
    xml::Element,
};

use super::{Asked, found, known_node, look, no_instance};

/// `--move`: to a node, or away from where it is.
pub(super) fn relocate(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let (cib, facts) = read(tool, asked)?;
    let Some(node) = &asked.node else {
        return ban_current(tool, asked, &facts);
    };
    let node = known_node(&facts, node)?;
    let node = facts.nodes[node].name.to_string();
    let id = asked.need_rsc()?;
    let (current, places) = left_by_move(&facts, id, asked.promoted)?;
    if current.as_deref() == Some(node.as_str()) && !asked.force {
        let message = format!("{id} is already active on {node}");
        return Err(Failure::new(CrmExit::EXISTS, message).cure("--force keeps it there"));
    }
    let until = until(tool, asked)?;
    // An earlier wish for any node, and a ban from this one, would stand against this wish.
    let ours = |constraint: &Element| {
        constraint.id() == Some(format!("cli-prefer-{id}").as_str())
            || constraint.id() == Some(format!("cli-ban-{id}-on-{node}").as_str())
    };
    let root = drop_each(tool, cib.into_root(), &ours, false)?;
    let root = put(tool, root, asked, &node, true, until.as_deref())?;
    match current {
        Some(current) if asked.force && current != node => {
            warn(tool, asked, &current)?;
            put(tool, root, asked, &current, false, until.as_deref()).map(|_| ())
        }
        None if asked.force && places > 1 && !asked.quiet => {
            let state = if asked.promoted { "promoted" } else { "active" };
            tool.line(&format!(
                "Resource '{id}' is currently {state} in {places} locations. One may now move to {node}"
            ))?;
            tool.line(&format!(
                "To prevent '{id}' from being {state} at a specific location, specify a node."
            ))
        }
        _ => Ok(()),
    }
}

/// The node that a move to another one would leave, and how many there are: of a promotable clone, where it is
/// promoted. Instances stay where they are unless there is but one.
fn left_by_move(
    facts: &Facts,
    id: &str,
    promoted_only: bool,
) -> Result<(Option<String>, usize), Failure> {
    let Some(rsc) = super::find(facts, id) else {
        return Ok((None, 0));
    };
    let mut nodes = look::nodes_of(facts, rsc);
    if facts.rscs[rsc].flags.promotable {
        let promoted = promoted_nodes(facts, rsc);
        if promoted_only || !promoted.is_empty() {
            nodes = promoted;
        }
    }
    let places = nodes.len();
    if places > 1 && facts.rscs[rsc].clone_facts().is_none() {
        let text = format!("{id} is active in {places} locations");
        let failure = Failure::new(CrmExit::MULTIPLE, text);
        return Err(
            failure.cure("crm_resource --ban --node NODE says which of them it shall leave")
        );
    }
    let only = nodes.first().filter(|_| places == 1);
    Ok((only.map(|node| facts.nodes[*node].name.to_string()), places))
}

fn promoted_nodes(facts: &Facts, rsc: RscIdx) -> Vec<NodeIdx> {
    let instances = facts.rscs[rsc].children.iter();
    let promoted = instances.filter(|instance| facts.rscs[**instance].role == Role::Promoted);
    promoted
        .flat_map(|instance| look::nodes_of(facts, *instance).into_iter().take(1))
        .collect()
}

/// `--ban`: away from a node, or from where it is.
pub(super) fn ban(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let (cib, facts) = read(tool, asked)?;
    let Some(node) = &asked.node else {
        return ban_current(tool, asked, &facts);
    };
    let node = known_node(&facts, node)?;
    let node = facts.nodes[node].name.to_string();
    ban_from(tool, asked, cib.into_root(), &node)
}

/// `--clear`: constraints of earlier moves and bans.
pub(super) fn clear(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let (cib, facts) = read(tool, asked)?;
    let id = asked.need_rsc()?;
    let node = asked.node.as_deref();
    let node = node.map(|name| known_node(&facts, name)).transpose()?;
    let node = node.map(|node| facts.nodes[node].name.as_str());
    let now = DateTime::from_epoch(clock::wall_s());
    let prefer = format!("cli-prefer-{id}");
    let doomed = |constraint: &Element| {
        let about = made_by_us(constraint, id, node)
            || (asked.force
                && made_by_us(constraint, id, None)
                && constraint.id() == Some(&prefer));
        about && (!asked.expired || has_expired(constraint, now))
    };
    drop_each(tool, cib.into_root(), &doomed, true).map(|_| ())
}

fn read(tool: &mut Tool, asked: &Asked) -> Result<(Cib, Facts), Failure> {
    let id = asked.need_rsc()?;
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = found(&facts, &cib, id)?;
    no_instance(&facts, rsc, id)?;
    Ok((cib, facts))
}

fn ban_current(tool: &mut Tool, asked: &Asked, facts: &Facts) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    // The node that is meant where none is named: the only one, or that of the only promoted instance.
    let rsc = super::find(facts, id);
    let nodes = rsc.map_or_else(Vec::new, |rsc| look::nodes_of(facts, rsc));
    let promoted = rsc.map_or_else(Vec::new, |rsc| promoted_nodes(facts, rsc));
    let node = match (nodes.as_slice(), promoted.as_slice()) {
        ([node], _) | (_, [node]) => &facts.nodes[*node].name,
        (nodes, promoted) => {
            let also = match promoted.len() {
                0 => String::new(),
                some => format!(" (promoted in {some})"),
            };
            let many = nodes.len();
            let message = format!("Resource '{id}' not moved: active in {many} locations{also}");
            return Err(
                Failure::usage(message).cure("name the node that it shall leave with --node")
            );
        }
    };
    let root = tool.access.cib()?.into_root();
    ban_from(tool, asked, root, node.as_str())
}

fn ban_from(tool: &mut Tool, asked: &Asked, root: Element, node: &str) -> Result<(), Failure> {
    let until = until(tool, asked)?;
    warn(tool, asked, node)?;
    put(tool, root, asked, node, false, until.as_deref()).map(|_| ())
}

fn warn(tool: &mut Tool, asked: &Asked, node: &str) -> Result<(), Failure> {
    if asked.quiet {
        return Ok(());
    }
    let id = asked.need_rsc()?;
    let what = if asked.promoted {
        "being promoted"
    } else {
        "running"
    };
    tool.line(&format!(
        "WARNING: Creating rsc_location constraint 'cli-ban-{id}-on-{node}' with a score of -INFINITY \
         for resource {id} on {node}."
    ))?;
    tool.line(&format!(
        "\tThis will prevent {id} from {what} on {node} until the constraint is removed using the clear \
         option or by editing the CIB with an appropriate tool."
    ))?;
    tool.line(&format!(
        "\tThis will be the case even if {node} is the last node in the cluster"
    ))
}

/// The end of the lifetime that was asked for.
fn until(tool: &mut Tool, asked: &Asked) -> Result<Option<String>, Failure> {
    let Some(text) = &asked.lifetime else {
        return Ok(None);
    };
    let duration = Duration::parse(text).ok_or_else(|| {
        Failure::usage(format!("Invalid duration specified: {text}"))
            .cure("a duration of ISO 8601, such as PT1H or P2D")
    })?;
    let end = DateTime::from_epoch(clock::wall_s()).plus(&duration);
    let end = end.to_string();
    tool.line(&format!("Migration will take effect until: {end}"))?;
    Ok(Some(end))
}

fn put(
    tool: &mut Tool,
    root: Element,
    asked: &Asked,
    node: &str,
    prefer: bool,
    until: Option<&str>,
) -> Result<Element, Failure> {
    let mut constraint = wanted_place(asked.need_rsc()?, node, prefer, until);
    if asked.promoted {
        constraint.set("role", "Promoted");
    }
    let mut new = root.clone();
    let constraints = new
        .child_or_new("configuration")
        .child_or_new("constraints");
    constraints.retain_children(|other| other.id() != constraint.id());
    constraints.push(constraint);
    tool.access.apply_patch(&root, &new)?;
    current_root(tool)
}

/// Remove constraints, each by a change of its own, so that one that somebody removed meanwhile keeps no other.
fn drop_each(
    tool: &mut Tool,
    mut root: Element,
    doomed: &dyn Fn(&Element) -> bool,
    tell: bool,
) -> Result<Element, Failure> {
    let written = root.descend(&["configuration", "constraints"]);
    let ids: Vec<String> = written
        .into_iter()
        .flat_map(Element::children)
        .filter(|constraint| doomed(constraint))
        .filter_map(Element::id)
        .map(str::to_owned)
        .collect();
    for id in ids {
        let mut new = root.clone();
        new.child_or_new("configuration")
            .child_or_new("constraints")
            .retain_children(|constraint| constraint.id() != Some(&id));
        if tell {
            tool.line(&format!("Removing constraint: {id}"))?;
        }
        tool.access.apply_patch(&root, &new)?;
        root = current_root(tool)?;
    }
    Ok(root)
}

fn current_root(tool: &mut Tool) -> Result<Element, Failure> {
    tool.access.cib().map(Cib::into_root)
}

/// Whether the lifetime of a constraint is over.
fn has_expired(constraint: &Element, now: DateTime) -> bool {
    let mut dates = constraint
        .descendants()
        .filter(|part| part.is("date_expression"));
    dates.any(|date| judge_date(date, now).0 == DateVerdict::Expired)
}
