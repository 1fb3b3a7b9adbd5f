//! Two orders that hold whatever else the plan says. Most plans have them by way of a collective's steps ("all are demoted"
//! before "promote"); when part of a collective can't be touched, such a step is missing, and with it the order. What
//! matters is then said directly, between the very actions.
//!
//! - An instance that makes room is demoted before another one is promoted: never are two promoted that must not be.
//! - A monitor begins after the start of what it watches, and not in the middle of a restart.
//!
//! The specification has neither (its plans promote too early then); no recorded case is changed by them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::RscIdx;
use super::super::actions::plan::{ActIdx, Action, Plan, Task};
use super::super::facts::Facts;
use crate::graph::{ActionId, ActionKind, Synapse};

/// Adds inputs to synapses where one of the orders is missing.
pub(super) fn mend(facts: &Facts, plan: &Plan, synapses: &mut [Synapse]) {
    let mut demotes: BTreeMap<&str, Vec<ActionId>> = BTreeMap::new();
    let mut starts: BTreeMap<RscIdx, Vec<ActionId>> = BTreeMap::new();
    for synapse in real(synapses) {
        let it = planned(plan, synapse.action.id);
        let Some(rsc) = it.rsc else { continue };
        match it.task {
            Task::DEMOTE => {
                let family = demotes.entry(family(facts, rsc)).or_default();
                family.push(synapse.action.id);
            }
            Task::START => starts.entry(rsc).or_default().push(synapse.action.id),
            _ => {}
        }
    }
    let mut wanted: Vec<(ActionId, ActionId)> = Vec::new();
    for synapse in real(synapses) {
        let then = synapse.action.id;
        let it = planned(plan, then);
        let Some(rsc) = it.rsc else { continue };
        let firsts = match it.task {
            Task::PROMOTE => demotes.get(family(facts, rsc)),
            Task::MONITOR if it.interval_ms() > 0 => starts.get(&rsc),
            _ => None,
        };
        let firsts = firsts.into_iter().flatten().copied();
        let firsts = firsts
            .filter(|first| it.task == Task::PROMOTE || planned(plan, *first).node == it.node)
            .filter(|first| !synapse.inputs.contains(first));
        wanted.extend(firsts.map(|first| (first, then)));
    }
    if wanted.is_empty() {
        return;
    }
    let place: BTreeMap<ActionId, usize> = synapses
        .iter()
        .enumerate()
        .map(|(at, synapse)| (synapse.action.id, at))
        .collect();
    // The orders of one action are looked up together.
    wanted.sort_by_key(|(_, then)| *then);
    for of_one in wanted.chunk_by(|one, two| one.1 == two.1) {
        let then = of_one[0].1;
        let before = before(synapses, &place, then);
        for (first, _) in of_one {
            let is_there = before.contains(first);
            // The other way round: the orders contradict each other, and one more helps nobody.
            if is_there || self::before(synapses, &place, *first).contains(&then) {
                continue;
            }
            let inputs = &mut synapses[place[&then]].inputs;
            inputs.push(*first);
            inputs.sort();
        }
    }
}

fn real(synapses: &[Synapse]) -> impl Iterator<Item = &Synapse> {
    synapses
        .iter()
        .filter(|synapse| synapse.action.kind == ActionKind::Resource)
}

fn planned(plan: &Plan, id: ActionId) -> &Action {
    plan.get(ActIdx(id.0 - 1))
}

/// What all instances of one thing share, also one that belongs to no clone any more: the id without its number.
fn family(facts: &Facts, rsc: RscIdx) -> &str {
    let id = facts.rscs[rsc].id.as_str();
    id.split_once(':').map_or(id, |(base, _)| base)
}

/// Everything that an action waits for, however indirectly.
fn before(
    synapses: &[Synapse],
    place: &BTreeMap<ActionId, usize>,
    then: ActionId,
) -> BTreeSet<ActionId> {
    let mut seen = BTreeSet::new();
    let mut open = vec![then];
    while let Some(next) = open.pop() {
        let Some(at) = place.get(&next) else { continue };
        for input in &synapses[*at].inputs {
            if seen.insert(*input) {
                open.push(*input);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use crate::graph;
    use crate::policy::{Input, schedule};
    use crate::xml::{Limits, read::parse};

    /// What two nodes say of a clone; `rows` is what the second one remembers.
    fn broken(clone: &str, scores: &str, rows: &str) -> Vec<String> {
        let state = |id: &str, inside: &str| {
            format!(
                r#"<node_state id="{id}" uname="{id}" in_ccm="true" crmd="online" join="member" expected="member">{inside}</node_state>"#
            )
        };
        let first = format!(
            r#"<transient_attributes id="h1"><instance_attributes id="a">{scores}</instance_attributes></transient_attributes>"#
        );
        let second = format!(r#"<lrm id="h2"><lrm_resources>{rows}</lrm_resources></lrm>"#);
        let text = format!(
            r#"<cib validate-with="pacemaker-4.0" have-quorum="1"><configuration><crm_config><cluster_property_set id="o">
            <nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
            <nodes><node id="h1" uname="h1"/><node id="h2" uname="h2"/></nodes><resources>{clone}</resources>
            <constraints/></configuration><status>{}{}</status></cib>"#,
            state("h1", &first),
            state("h2", &second)
        );
        let cib = parse(&text, &Limits::default()).expect("well-formed");
        let outcome = schedule(&cib, &Input::at(1_700_000_000));
        let promotes = outcome
            .graph
            .actions()
            .any(|action| action.task == "promote");
        assert!(promotes, "there is nothing to put in order");
        let found = graph::check_against(&outcome.graph, &cib);
        found.iter().map(ToString::to_string).collect()
    }

    fn history(id: &str, ops: &[(&str, i32, i32)]) -> String {
        let mut text = format!(r#"<lrm_resource id="{id}" class="ocf" provider="x" type="S">"#);
        for (call, (task, rc, status)) in ops.iter().enumerate() {
            let key = format!("{call}:1:0:00000000-0000-0000-0000-000000000000");
            text += &format!(
                r#"<lrm_rsc_op id="{id}_{task}" operation_key="{id}_{task}_0" operation="{task}" transition-key="{key}" transition-magic="{status}:{rc};{key}" call-id="{call}" rc-code="{rc}" op-status="{status}" interval="0" on_node="h2"/>"#
            );
        }
        text + "</lrm_resource>"
    }

    const PROMOTABLE: &str = r#"<nvpair id="m1" name="promotable" value="true"/>"#;

    #[test]
    fn the_old_one_is_demoted_first_even_when_its_group_is_blocked() {
        let primitive =
            |id: &str| format!(r#"<primitive id="{id}" class="ocf" provider="x" type="S"/>"#);
        let clone = format!(
            r#"<clone id="c"><meta_attributes id="m">{PROMOTABLE}</meta_attributes><group id="g">{}{}</group></clone>"#,
            primitive("fs"),
            primitive("db")
        );
        let score = r#"<nvpair id="a1" name="master-db" value="INFINITY"/>"#;
        let stuck = history("fs", &[("start", 0, 0), ("stop", 1, 2)]);
        let promoted = history("db:0", &[("start", 0, 0), ("promote", 0, 0)]);
        assert_eq!(broken(&clone, score, &(stuck + &promoted)), [""; 0]);
    }

    #[test]
    fn one_that_belongs_to_no_clone_any_more_is_demoted_first() {
        let unique = r#"<nvpair id="m2" name="globally-unique" value="true"/><nvpair id="m3" name="clone-max" value="1"/>"#;
        let clone = format!(
            r#"<clone id="c"><meta_attributes id="m">{PROMOTABLE}{unique}</meta_attributes><primitive id="db" class="ocf" provider="x" type="S"/></clone>"#
        );
        let score = r#"<nvpair id="a1" name="master-db:0" value="10"/>"#;
        let removed = history("db:2", &[("start", 0, 0), ("promote", 0, 0)]);
        assert_eq!(broken(&clone, score, &removed), [""; 0]);
    }
}
