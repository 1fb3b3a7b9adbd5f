//! What agents are told: parameters, and everything about the action as `CRM_meta_*`. spec 3 §18.5

use std::collections::BTreeMap;

use super::super::actions::plan::{ActIdx, Plan, Task};
use super::super::actions::reconfigure;
use super::super::assign::tree::is_true;
use super::super::facts::{Facts, Kind};
use super::super::{NodeIdx, NvTable, RscIdx};
use crate::terms::FEATURE_SET;

/// Attributes, and apart from them parameters whose names can't be XML attributes.
type Split = (Vec<(String, String)>, Vec<(String, String)>);

/// The attributes of an action, sorted by name; a name that is set is not overwritten but by the resource itself.
pub(super) fn attributes(facts: &Facts, plan: &Plan, idx: ActIdx) -> Split {
    let it = plan.get(idx);
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut apart: BTreeMap<String, String> = BTreeMap::new();
    all.insert("crm_feature_set".to_owned(), FEATURE_SET.to_owned());
    let mut add = |table: &NvTable| {
        for (name, value) in table.iter() {
            let digit = name.starts_with(|first: char| first.is_ascii_digit());
            let into = if digit { &mut apart } else { &mut all };
            into.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    };
    add(&it.extra);
    if let Some(rsc) = it.rsc
        && (it.node.is_some() || facts.rscs[rsc].is_primitive())
    {
        if facts.address_is_deferred(rsc)
            && let Some(address) = reconfigure::address(plan, facts, rsc)
        {
            let mut own = NvTable::new();
            own.set("addr", address);
            add(&own);
        }
        add(&facts.params(rsc, it.node));
    }
    for (name, value) in it.meta.iter() {
        if !name.contains(['#', ':']) {
            all.entry(meta_name(name))
                .or_insert_with(|| value.to_owned());
        }
    }
    if let Some(rsc) = it.rsc {
        of_resource(facts, rsc, &mut all);
        if let Some(node) = it.node {
            of_guest(facts, plan, idx, rsc, node, &mut all);
        }
    }
    (all.into_iter().collect(), apart.into_iter().collect())
}

fn meta_name(name: &str) -> String {
    format!("CRM_meta_{}", name.replace('-', "_"))
}

/// What an action does, for a notification what it tells of.
pub(super) fn told(plan: &Plan, idx: ActIdx) -> Task {
    let it = plan.get(idx);
    let operation = if it.task == Task::NOTIFY {
        it.meta.get("notify_operation")
    } else {
        None
    };
    operation
        .and_then(|name| plan.find_task(name))
        .unwrap_or(it.task)
}

/// The resource and what it is in. spec 3 §18.5 step 5
fn of_resource(facts: &Facts, rsc: RscIdx, all: &mut BTreeMap<String, String>) {
    let mut at = Some(rsc);
    while let Some(here) = at {
        let fact = &facts.rscs[here];
        let mut set = |name: &str, value: &str| {
            all.insert(name.to_owned(), value.to_owned());
        };
        match &fact.kind {
            Kind::Primitive => {
                if let Some(number) = fact.instance {
                    set("CRM_meta_clone", &number.to_string());
                }
                if let Some(node) = fact.meta.get("remote-node") {
                    set("CRM_meta_remote_node", node);
                }
                if let Some(address) = fact.meta.get("external-ip") {
                    set("pcmk_external_ip", address);
                }
            }
            Kind::Clone(clone) => {
                let unique = fact.meta.get("globally-unique").is_some_and(is_true);
                set(
                    "CRM_meta_globally_unique",
                    if unique { "true" } else { "false" },
                );
                set(
                    "CRM_meta_notify",
                    if fact.flags.notify { "true" } else { "false" },
                );
                set("CRM_meta_clone_max", &clone.max.to_string());
                set("CRM_meta_clone_node_max", &clone.node_max.to_string());
                if fact.flags.promotable {
                    for name in ["CRM_meta_promoted_max", "CRM_meta_master_max"] {
                        set(name, &clone.promoted_max.to_string());
                    }
                    for name in ["CRM_meta_promoted_node_max", "CRM_meta_master_node_max"] {
                        set(name, &clone.promoted_node_max.to_string());
                    }
                }
            }
            Kind::Group(_) | Kind::Bundle(_) => {}
        }
        if let Some(launcher) = fact.launcher {
            set("CRM_meta_container", facts.rscs[launcher].id.as_str());
        }
        at = fact.parent;
    }
}

/// Where the machine of a guest is. spec 3 §11.4
fn of_guest(
    facts: &Facts,
    plan: &Plan,
    idx: ActIdx,
    rsc: RscIdx,
    node: NodeIdx,
    all: &mut BTreeMap<String, String>,
) {
    let Some(container) = facts.host_container(node).filter(|_| facts.is_guest(node)) else {
        return;
    };
    let host = match told(plan, idx) {
        Task::STOP | Task::STOPPED | Task::DEMOTE | Task::DEMOTED => {
            plan.now.current(facts, container)
        }
        Task::START | Task::RUNNING | Task::MONITOR | Task::PROMOTE | Task::PROMOTED => {
            plan.now.rscs[container].assigned
        }
        _ => None,
    };
    let Some(host) = host else { return };
    if let Some(target) = facts.rscs[rsc].meta.get("container-attribute-target") {
        all.entry("CRM_meta_container_attribute_target".to_owned())
            .or_insert_with(|| target.to_owned());
    }
    all.entry("CRM_meta_physical_host".to_owned())
        .or_insert_with(|| facts.nodes[host].name.to_string());
}
