//! `--why`: what keeps resources from running, as far as the configuration says so.

use crate::{
    cli::{cmd::facts_of, failure::Failure, show::xml::yes_no, tools::Tool},
    policy::{NodeIdx, RscIdx, facts::Facts},
    terms::{Role, Score},
    xml::Element,
};

use super::{Asked, found, known_node};

/// Show it: for one resource, for all on a node, or for all.
pub(super) fn show(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = asked.rsc.as_deref();
    let rsc = rsc.map(|id| found(&facts, &cib, id)).transpose()?;
    let node = asked.node.as_deref();
    let node = node.map(|name| known_node(&facts, name)).transpose()?;
    let reason = match (rsc, node) {
        (Some(rsc), node) => {
            let running = runs(&facts, rsc, node);
            let name = facts.rscs[rsc].id.as_str();
            tool.line(&sentence(&facts, name, running, node))?;
            let check = check(tool, &facts, rsc, node)?;
            let reason = Element::new("reason").with_child(check);
            match node {
                None => reason.with("running", yes_no(running)),
                Some(_) => reason,
            }
        }
        (None, node) => {
            let shown: Vec<RscIdx> = match node {
                None => facts.top.clone(),
                Some(node) => on_node(&facts, node),
            };
            let mut resources = Element::new("resources");
            for rsc in shown {
                let id = facts.rscs[rsc].id.as_str();
                let running = runs(&facts, rsc, node);
                tool.line(&sentence(&facts, id, running, node))?;
                let check = check(tool, &facts, rsc, node)?;
                let host = node.map(|node| facts.nodes[node].name.as_str());
                resources.push(
                    Element::new("resource")
                        .with("id", id)
                        .with("running", yes_no(running))
                        .with_some("host", host)
                        .with_child(check),
                );
            }
            Element::new("reason").with_child(resources)
        }
    };
    tool.element(reason);
    Ok(())
}

/// What runs on a node, in the order of its history.
fn on_node(facts: &Facts, node: NodeIdx) -> Vec<RscIdx> {
    let here = facts.history.iter().filter(|entry| entry.node == node);
    let order: Vec<RscIdx> = here.filter_map(|entry| entry.rsc).collect();
    let mut all: Vec<RscIdx> = facts
        .rscs
        .indexes()
        .filter(|rsc| facts.rscs[*rsc].is_primitive() && runs(facts, *rsc, Some(node)))
        .collect();
    let place = |rsc: &RscIdx| order.iter().position(|known| known == rsc);
    all.sort_by_key(|rsc| place(rsc).unwrap_or(usize::MAX));
    all
}

fn runs(facts: &Facts, rsc: RscIdx, node: Option<NodeIdx>) -> bool {
    let mut all = facts.descend(rsc).into_iter();
    all.any(|rsc| {
        let active = &facts.rscs[rsc].active;
        match node {
            None => !active.is_empty(),
            Some(node) => active.contains(&node),
        }
    })
}

fn sentence(facts: &Facts, id: &str, running: bool, node: Option<NodeIdx>) -> String {
    let not = if running { "" } else { "not " };
    let host = node
        .map(|node| format!(" on host {}", facts.nodes[node].name))
        .unwrap_or_default();
    format!("Resource {id} is {not}running{host}")
}

/// What the configuration says about the whole that the resource is part of.
fn check(
    tool: &mut Tool,
    facts: &Facts,
    rsc: RscIdx,
    node: Option<NodeIdx>,
) -> Result<Element, Failure> {
    let it = &facts.rscs[facts.top_of(rsc)];
    let id = it.id.as_str();
    let mut check = Element::new("check").with("id", id);
    match it.meta.get("target-role").and_then(Role::parse) {
        Some(Role::Stopped) => {
            check.set("remain_stopped", "true");
            tool.line(&format!(
                "Configuration specifies '{id}' should remain stopped"
            ))?;
        }
        Some(Role::Unpromoted) if it.flags.promotable => {
            check.set("promotable", "false");
            tool.line(&format!(
                "Configuration specifies '{id}' should not be promoted"
            ))?;
        }
        _ => {}
    }
    if !it.flags.managed {
        check.set("unmanaged", "true");
        tool.line(&format!(
            "Configuration prevents cluster from stopping or starting unmanaged '{id}'"
        ))?;
    }
    if let Some((holder, _)) = it.lock {
        let holder = facts.nodes[holder].name.as_str();
        check.set("locked_to", holder);
        tool.line(&format!(
            "'{id}' is locked to node {holder} due to shutdown"
        ))?;
    }
    if node.is_some_and(|node| facts.nodes[node].health < Score::ZERO) {
        let strategy = facts.options.health_strategy.name();
        check.set("unhealthy", "true");
        tool.line(&format!(
            "'{id}' cannot run on unhealthy nodes due to node-health-strategy='{strategy}'"
        ))?;
    }
    Ok(check)
}
