//! What agents are told: parameters, and everything about the action as `CRM_meta_*`. spec 3 §18.5

use super::super::actions::plan::{ActIdx, Plan, Task};
use super::super::actions::reconfigure;
use super::super::assign::tree::is_true;
use super::super::facts::{Facts, Kind};
use super::super::index::ByName;
use super::super::{NodeIdx, NvTable, RscIdx};
use crate::graph::NodeRef;
use crate::terms::{FEATURE_SET, Str};

type Pairs = Vec<(Str, Str)>;

/// Names of attributes, made once: all actions share them.
#[derive(Default)]
pub(super) struct Names {
    /// `CRM_meta_NAME` by the name.
    meta: ByName<Str, Str>,
    feature_set: Option<(Str, Str)>,
    /// Where the attributes of one action are put together.
    room: Pairs,
}

impl Names {
    /// What a meta-attribute is called for agents.
    fn meta(&mut self, name: &str) -> Str {
        if let Some(known) = self.meta.get(name) {
            return Str::clone(known);
        }
        let full = Str::from(format!("CRM_meta_{}", name.replace('-', "_")));
        self.meta.insert(name.into(), Str::clone(&full));
        full
    }

    fn feature_set(&mut self) -> (Str, Str) {
        let make = || ("crm_feature_set".into(), FEATURE_SET.into());
        self.feature_set.get_or_insert_with(make).clone()
    }
}

/// The attributes of an action that happens at a place, sorted by name, and apart from them parameters whose names
/// can't be XML attributes. A name that is set is not overwritten but by the resource itself.
pub(super) fn attributes(
    facts: &Facts,
    plan: &Plan,
    idx: ActIdx,
    at: Option<&NodeRef>,
    names: &mut Names,
) -> (Pairs, Pairs) {
    let it = plan.get(idx);
    let mut all = std::mem::take(&mut names.room);
    let mut apart = Pairs::new();
    if let Some(rsc) = it.rsc {
        of_resource(facts, rsc, names, &mut all);
        // What is around it has the last word.
        all.reverse();
    }
    all.push(names.feature_set());
    let mut add = |table: &NvTable| {
        for (name, value) in table.shared() {
            let digit = name.starts_with(|first: char| first.is_ascii_digit());
            let into = if digit { &mut apart } else { &mut all };
            into.push((Str::clone(name), Str::clone(value)));
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
    if let Some(node) = at {
        all.push((names.meta("on_node"), node.name.as_str().into()));
        all.push((names.meta("on_node_uuid"), Str::clone(&node.uuid)));
    }
    for (name, value) in it.meta.shared() {
        if !name.contains(['#', ':']) {
            all.push((names.meta(name), Str::clone(value)));
        }
    }
    if let (Some(rsc), Some(node)) = (it.rsc, it.node) {
        of_guest(facts, plan, idx, rsc, node, names, &mut all);
    }
    first_of_each(&mut all);
    first_of_each(&mut apart);
    let mut exact = Pairs::with_capacity(all.len());
    exact.append(&mut all);
    names.room = all;
    (exact, apart)
}

/// Sorted by name; of several with one name the first stays.
fn first_of_each(pairs: &mut Pairs) {
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs.dedup_by(|(later, _), (first, _)| later == first);
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
fn of_resource(facts: &Facts, rsc: RscIdx, names: &mut Names, all: &mut Pairs) {
    let mut at = Some(rsc);
    while let Some(here) = at {
        let fact = &facts.rscs[here];
        let mut set = |name: &str, value: &str| all.push((names.meta(name), value.into()));
        match &fact.kind {
            Kind::Primitive => {
                if let Some(number) = fact.instance {
                    set("clone", &number.to_string());
                }
                if let Some(node) = fact.meta.get("remote-node") {
                    set("remote_node", node);
                }
                if let Some(address) = fact.meta.get("external-ip") {
                    all.push(("pcmk_external_ip".into(), address.into()));
                }
            }
            Kind::Clone(clone) => {
                let unique = fact.meta.get("globally-unique").is_some_and(is_true);
                set("globally_unique", if unique { "true" } else { "false" });
                set("notify", if fact.flags.notify { "true" } else { "false" });
                set("clone_max", &clone.max.to_string());
                set("clone_node_max", &clone.node_max.to_string());
                if fact.flags.promotable {
                    for name in ["promoted_max", "master_max"] {
                        set(name, &clone.promoted_max.to_string());
                    }
                    for name in ["promoted_node_max", "master_node_max"] {
                        set(name, &clone.promoted_node_max.to_string());
                    }
                }
            }
            Kind::Group(_) | Kind::Bundle(_) => {}
        }
        if let Some(launcher) = fact.launcher {
            let id = facts.rscs[launcher].id.as_str();
            all.push((names.meta("container"), id.into()));
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
    names: &mut Names,
    all: &mut Pairs,
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
    let meta = &facts.rscs[rsc].meta;
    if let Some(target) = meta.get_shared("container-attribute-target") {
        let name = names.meta("container_attribute_target");
        all.push((name, Str::clone(target)));
    }
    let host = facts.nodes[host].name.as_str();
    all.push((names.meta("physical_host"), host.into()));
}
