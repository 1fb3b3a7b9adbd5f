//! Actions that wait for something that is required and can't be done now, such as a stop on a node that is only joining:
//! they are never begun, nor is what waits for them. They are left out, and a person is told of the first of them. The
//! graph says the same without them, and a transition that has nothing left to do is not one that failed.
//!
//! The specification leaves them in (spec 3 §17.2); in all recorded graphs there are none.

use std::collections::{BTreeMap, BTreeSet};

use super::super::actions::plan::{ActIdx, Plan};
use super::super::facts::Facts;
use crate::graph::{ActionId, Graph};

/// Takes them out of the graph; what to tell about it, if there were any.
pub(in super::super) fn leave_out(facts: &Facts, plan: &Plan, graph: &mut Graph) -> Option<String> {
    if graph.absent.is_empty() {
        return None;
    }
    let mut followers: BTreeMap<ActionId, Vec<ActionId>> = BTreeMap::new();
    for synapse in &graph.synapses {
        for input in &synapse.inputs {
            followers.entry(*input).or_default().push(synapse.action.id);
        }
    }
    let mut open: Vec<ActionId> = graph.absent.iter().map(|action| action.id).collect();
    let mut out: BTreeSet<ActionId> = BTreeSet::new();
    while let Some(first) = open.pop() {
        let followers = followers.get(&first).into_iter().flatten();
        open.extend(followers.copied().filter(|then| out.insert(*then)));
    }
    let text = told(facts, plan, graph, out.len());
    graph
        .synapses
        .retain(|synapse| !out.contains(&synapse.action.id));
    graph.absent.clear();
    text
}

/// Whom it concerns first, and how many there are.
fn told(facts: &Facts, plan: &Plan, graph: &Graph, all: usize) -> Option<String> {
    let waits = |first: ActionId| {
        let mut synapses = graph.synapses.iter();
        synapses.find(|synapse| synapse.inputs.contains(&first))
    };
    let (then, first) = graph
        .absent
        .iter()
        .find_map(|first| Some((&waits(first.id)?.action, first)))?;
    let more = match all - 1 {
        0 => String::new(),
        1 => " (and one more action with it)".to_owned(),
        more => format!(" (and {more} more actions with it)"),
    };
    let ask = match plan.get(ActIdx(first.id.0 - 1)).rsc {
        Some(rsc) => format!(
            "; `crm explain {}` says what is in its way",
            facts.rscs[rsc].id
        ),
        None => String::new(),
    };
    Some(format!(
        "{}{more} waits for {}, which can't be done now{ask}",
        then.told(),
        first.told()
    ))
}

#[cfg(test)]
mod tests {
    use crate::policy::{Input, schedule};
    use crate::xml::{Limits, read::parse};

    /// One node is lost, the other one is joining. What ran on the first one is done with when what depends on it, and still
    /// runs on the second one, has stopped.
    fn joining() -> String {
        let state = |id: &str, uname: &str, member: &str, rows: &[String]| {
            let rows = rows.concat();
            format!(
                r#"<node_state id="{id}" uname="{uname}" {member}><lrm id="{id}"><lrm_resources>{rows}</lrm_resources></lrm></node_state>"#
            )
        };
        let row = |id: &str, class: &str, task: &str, rc: i32| {
            format!(
                r#"<lrm_resource id="{id}" {class} type="S"><lrm_rsc_op id="{id}_last_0" operation_key="{id}_{task}_0" operation="{task}"
                transition-key="1:1:{rc}:u" transition-magic="0:{rc};1:1:{rc}:u" call-id="1" rc-code="{rc}" op-status="0" interval="0"/></lrm_resource>"#
            )
        };
        let ocf = r#"class="ocf" provider="x""#;
        let lost = [row("db", ocf, "start", 0), row("a", ocf, "stop", 0)];
        let joining = [
            row("fence", r#"class="stonith""#, "monitor", 7),
            row("a:2", ocf, "promote", 0),
        ];
        format!(
            r#"<cib validate-with="pacemaker-4.0" have-quorum="1" dc-uuid="1"><configuration><crm_config/>
            <nodes><node id="1" uname="h1"/><node id="2" uname="h2"/></nodes>
            <resources><primitive id="db" {ocf} type="S"/><clone id="app"><primitive id="a" {ocf} type="S"/></clone></resources>
            <constraints><rsc_order id="o" first="db" then="app"/></constraints></configuration><status>{}{}</status></cib>"#,
            state("1", "h1", "", &lost),
            state("2", "h2", r#"in_ccm="true""#, &joining)
        )
    }

    #[test]
    fn what_waits_for_a_node_that_is_joining_is_left_out_and_told() {
        let cib = parse(joining(), &Limits::default()).expect("well-formed");
        let outcome = schedule(&cib, &Input::at(1_700_000_000));
        let keys: Vec<&str> = outcome
            .graph
            .actions()
            .map(|action| action.key.as_str())
            .collect();
        assert_eq!(keys, ["stonith-h1-reboot"]);
        let told: Vec<&str> = outcome
            .warnings
            .iter()
            .map(|warning| warning.text.as_str())
            .collect();
        assert_eq!(
            told,
            [
                "db_stop_0 waits for app_stopped_0, which can't be done now; `crm explain app` says what is in its way"
            ]
        );
    }
}
