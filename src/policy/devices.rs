//! Fence devices as one node's fencer may use them: the first two steps of the policy and no more. // spec cluster §16.1

use super::facts::{self, Facts};
use super::index::{NodeIdx, RscIdx};
use super::{Input, constraints};
use crate::terms::{Role, Score};
use crate::xml::Element;

/// A fence device that a node may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceDevice {
    /// Id of the resource, without an instance number.
    pub id: String,
    /// Its agent: the part of `stonith:TYPE` behind the colon.
    pub agent: String,
    /// Parameters as they are for this node, rules evaluated, the first of a name counting.
    pub params: Vec<(String, String)>,
    /// Meta-attribute `provides=unfencing`.
    pub provides_unfencing: bool,
}

/// Every fence device that the node of this name may use, in the order of the configuration: of class `stonith`, not
/// disabled, and allowed there with a score of at least 0. It need not be active anywhere. // spec cluster §16.1
#[must_use]
pub fn fence_devices(cib: &Element, input: &Input, node: &str) -> Vec<FenceDevice> {
    let Some(cib) = about_devices(cib) else {
        return Vec::new();
    };
    let facts = facts::read(&cib, input);
    let Some(node) = facts
        .nodes
        .indexes()
        .find(|at| facts.nodes[*at].name.as_str().eq_ignore_ascii_case(node))
    else {
        return Vec::new();
    };
    let wanted = constraints::read(&facts, &cib);
    let usable = facts
        .rscs
        .indexes()
        .filter(|rsc| facts.rscs[*rsc].is_primitive() && facts.rscs[*rsc].flags.fence_device)
        .filter(|rsc| is_first_instance(&facts, *rsc))
        .filter(|rsc| lineage(&facts, *rsc).all(|at| !disabled(&facts, at)))
        .filter(|rsc| {
            let not_banned = |at| score(&facts, &wanted, at, node).is_none_or(|s| s >= Score::ZERO);
            lineage(&facts, *rsc).all(not_banned)
                && score(&facts, &wanted, *rsc, node).is_some_and(|s| s >= Score::ZERO)
        });
    usable.map(|rsc| device(&facts, rsc, node)).collect()
}

/// The document without the resources that are no fence devices, and without what ran: every node reads this after each change of
/// the configuration, however much it runs. None if there is no device.
fn about_devices(cib: &Element) -> Option<Element> {
    let is_device =
        |e: &Element| e.is("primitive") && (e.get("class") == Some("stonith") || e.has("template"));
    let resources = cib.descend(&["configuration", "resources"])?;
    let wanted = |e: &Element| e.descendants().any(is_device);
    if !resources.children().any(wanted) {
        return None;
    }
    let mut few = cib.clone();
    let configuration = few.child_mut("configuration")?;
    let resources = configuration.child_mut("resources")?;
    resources.retain_children(|e| e.is("template") || wanted(e));
    // What is used by reference may stand in any of the others.
    if configuration.descendants().any(|e| e.has("id-ref")) {
        return Some(cib.clone());
    }
    if let Some(status) = few.child_mut("status") {
        for state in status.children_mut() {
            state.retain_children(|part| !part.is("lrm"));
        }
    }
    Some(few)
}

fn device(facts: &Facts, rsc: RscIdx, node: NodeIdx) -> FenceDevice {
    let it = &facts.rscs[rsc];
    let params = facts.params(rsc, Some(node));
    let id = it.id.as_str();
    FenceDevice {
        id: id.split_once(':').map_or(id, |(base, _)| base).to_owned(),
        agent: it.agent.kind.to_string(),
        params: params
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
        provides_unfencing: it.meta.get("provides") == Some("unfencing"),
    }
}

/// The resource and what it is part of, nearest first.
fn lineage(facts: &Facts, rsc: RscIdx) -> impl Iterator<Item = RscIdx> + '_ {
    std::iter::successors(Some(rsc), |at| facts.rscs[*at].parent)
}

fn is_first_instance(facts: &Facts, rsc: RscIdx) -> bool {
    let id = facts.rscs[rsc].id.as_str();
    id.split_once(':').is_none_or(|(_, number)| number == "0")
}

fn disabled(facts: &Facts, rsc: RscIdx) -> bool {
    facts.rscs[rsc].target_role == Some(Role::Stopped)
}

/// What location constraints give a node; none where the resource may not run unless they say so, and they do not.
fn score(
    facts: &Facts,
    wanted: &constraints::Constraints,
    rsc: RscIdx,
    node: NodeIdx,
) -> Option<Score> {
    let given = wanted
        .locations
        .iter()
        .filter(|it| it.rsc == rsc && it.role.is_none())
        .flat_map(|it| &it.nodes)
        .filter(|(on, _)| *on == node)
        .map(|(_, score)| *score);
    let base = facts.rscs[rsc].allowed.score(node);
    given.fold(base, |sum, more| Some(sum.unwrap_or(Score::ZERO) + more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(options: &str, primitive: &str, constraints: &str) -> Vec<FenceDevice> {
        let text = format!(
            r##"<cib validate-with="pacemaker-4.0"><configuration><crm_config>{options}</crm_config>
            <nodes><node id="1" uname="h1"><instance_attributes id="n1"><nvpair id="n1s" name="site" value="west"/>
            </instance_attributes></node><node id="2" uname="h2"/></nodes>
            <resources><primitive id="f" class="stonith" type="fence_x">{primitive}</primitive>
            <primitive id="vip" class="ocf" provider="systole" type="IPaddr2"/></resources>
            <constraints>{constraints}</constraints></configuration><status/></cib>"##
        );
        let cib = crate::xml::parse(text.as_bytes(), &crate::xml::Limits::default())
            .expect("well-formed");
        fence_devices(&cib, &Input::at(1_700_000_000), "h1")
    }

    #[test]
    fn parameters_are_those_for_this_node() {
        let found = devices(
            "",
            r##"<instance_attributes id="a" score="2"><rule id="r"><expression id="e" attribute="site"
            operation="eq" value="west"/></rule><nvpair id="a1" name="ip" value="192.0.2.1"/></instance_attributes>
            <instance_attributes id="b" score="1"><nvpair id="b1" name="ip" value="192.0.2.2"/>
            <nvpair id="b2" name="pcmk_host_list" value="h2"/></instance_attributes>"##,
            "",
        );
        let params: Vec<String> = found[0]
            .params
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(params, ["ip=192.0.2.1", "pcmk_host_list=h2"]);
        assert_eq!(
            (found[0].id.as_str(), found[0].agent.as_str()),
            ("f", "fence_x")
        );
    }

    #[test]
    fn what_a_device_uses_by_reference_may_stand_in_another_resource() {
        let text = r##"<cib validate-with="pacemaker-4.0"><configuration><crm_config/><nodes><node id="1" uname="h1"/></nodes>
            <resources><template id="t" class="stonith" type="fence_x"/><primitive id="f" template="t">
            <instance_attributes id-ref="a"/></primitive>
            <primitive id="vip" class="ocf" provider="systole" type="IPaddr2"><instance_attributes id="a">
            <nvpair id="a1" name="ip" value="192.0.2.1"/></instance_attributes></primitive></resources>
            <constraints/></configuration><status/></cib>"##;
        let cib = crate::xml::parse(text.as_bytes(), &crate::xml::Limits::default())
            .expect("well-formed");
        let found = fence_devices(&cib, &Input::at(1_700_000_000), "h1");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].params, [("ip".into(), "192.0.2.1".into())]);
        assert_eq!(found[0].agent, "fence_x");
    }

    #[test]
    fn a_rule_may_keep_a_device_from_this_node() {
        let by_rule = r##"<rsc_location id="l" rsc="f"><rule id="r" score="-INFINITY"><expression id="e"
            attribute="site" operation="eq" value="west"/></rule></rsc_location>"##;
        assert!(devices("", "", by_rule).is_empty());
        let elsewhere = r##"<rsc_location id="l" rsc="f" node="h2" score="-INFINITY"/>"##;
        assert_eq!(devices("", "", elsewhere).len(), 1);
    }

    #[test]
    fn an_opt_in_cluster_and_a_stopped_device() {
        let opt_in = r##"<cluster_property_set id="o"><nvpair id="o1" name="symmetric-cluster"
            value="false"/></cluster_property_set>"##;
        assert!(devices(opt_in, "", "").is_empty());
        let here = r##"<rsc_location id="l" rsc="f" node="h1" score="0"/>"##;
        assert_eq!(devices(opt_in, "", here).len(), 1);
        let stopped = r##"<meta_attributes id="m"><nvpair id="m1" name="target-role" value="Stopped"/>
            </meta_attributes>"##;
        assert!(devices("", stopped, "").is_empty());
    }
}
