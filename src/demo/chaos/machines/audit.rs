//! What must be so on machines of one's own once all faults are over: as status tells it, and as the agents themselves do.

use std::collections::BTreeMap;

use super::{ANSWER, Machines};
use crate::demo::chaos::audit::Sample;
use crate::xml::{Element, Limits, parse};

/// Where an agent finds its resource active: running, or promoted. // spec cluster §14
const ACTIVE: [&str; 2] = ["0", "8"];

impl Machines<'_> {
    /// What no fault excuses: a resource that is to run once, and runs on two hosts by its agent's own word.
    pub(super) fn never(&self) -> Option<String> {
        self.resources.iter().find_map(|resource| {
            let on = self.active_on(resource);
            // Hosts are asked one after the other: one that just moves is found on both, but not twice.
            let twice = on.len() > 1 && self.active_on(resource) == on;
            twice.then(|| format!("{resource} is active on {}", on.join(" and ")))
        })
    }

    /// The first thing that is not so.
    pub(super) fn settled(&self) -> Option<String> {
        for host in &self.hosts {
            let status = match self.status(host) {
                Ok(status) => status,
                Err(why) => return Some(why),
            };
            let nodes = status.child("nodes").into_iter();
            let mut nodes = nodes.flat_map(|nodes| nodes.children_named("node"));
            let well = |node: &&Element| {
                node.get("online") == Some("true")
                    && node.get("unclean") != Some("true")
                    && node.get("standby") != Some("true")
            };
            if let Some(node) = nodes.find(|node| !well(node)) {
                let name = node.get("name").unwrap_or_default();
                return Some(format!("{host} sees that {name} is not online and active"));
            }
        }
        let first = &self.hosts[0];
        if let Err(why) = self.reach.ask(first, &["settled"], 2 * ANSWER) {
            return Some(format!("there is still something to do: {why}"));
        }
        let cibs = self
            .hosts
            .iter()
            .map(|host| self.reach.ask(host, &["cib"], ANSWER));
        let cibs: Vec<String> = match cibs.collect() {
            Ok(cibs) => cibs,
            Err(why) => return Some(why),
        };
        let differs = self
            .hosts
            .iter()
            .zip(&cibs)
            .find(|(_, cib)| **cib != cibs[0]);
        if let Some((host, _)) = differs {
            return Some(format!("the CIB of {host} is not that of {first}"));
        }
        self.misplaced(first).or_else(|| self.counted(&cibs[0]))
    }

    /// Status says where each resource runs, and its agent has to say the same.
    fn misplaced(&self, first: &str) -> Option<String> {
        let status = match self.status(first) {
            Ok(status) => status,
            Err(why) => return Some(why),
        };
        let said = placed(&status);
        self.resources.iter().find_map(|resource| {
            let is = self.active_on(resource);
            let said = said.get(resource).cloned().unwrap_or_default();
            // Not every member need be one of the hosts that are broken.
            let said: Vec<String> = said
                .into_iter()
                .filter(|on| self.hosts.contains(on))
                .collect();
            (is != said).then(|| {
                format!("status says that {resource} is on {said:?}, its agent finds it on {is:?}")
            })
        })
    }

    /// No acknowledged write is lost, and none counts twice.
    fn counted(&self, cib: &str) -> Option<String> {
        let (acknowledged, in_doubt) =
            (self.report.writes_acknowledged, self.report.writes_in_doubt);
        let root = parse(cib, &Limits::default()).ok()?;
        let pair = root
            .descendants()
            .find(|e| e.is("nvpair") && e.get("name") == Some("chaos-count"));
        let value: u64 = pair.and_then(|e| e.get("value")?.parse().ok()).unwrap_or(0);
        let sound = (acknowledged..=acknowledged + in_doubt).contains(&value);
        (!sound).then(|| {
            format!("{acknowledged} writes were acknowledged and {in_doubt} are in doubt, and the count is {value}")
        })
    }

    /// Resources that run once, one by one.
    pub(super) fn alone(&self) -> Result<Vec<String>, String> {
        let status = self.status(&self.hosts[0])?;
        Ok(placed(&status).into_keys().collect())
    }

    /// As status has it.
    pub(super) fn fencing_is_enabled(&self) -> bool {
        let status = self.status(&self.hosts[0]);
        let status = status.as_ref().ok();
        let options = status.and_then(|status| status.descend(&["summary", "cluster_options"]));
        options.is_some_and(|options| options.get("stonith-enabled") == Some("true"))
    }

    /// Entries in the fencing history.
    pub(super) fn fencings(&self) -> usize {
        let status = self.somewhere(&["status"]).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let history = status["more"]["fencing"]["history"].as_array();
        history.map_or(0, Vec::len)
    }

    /// What the daemons take now.
    pub(super) fn measure(&mut self) {
        for host in &self.hosts {
            let Some(sample) = self.sample(host) else {
                continue;
            };
            let sizes = self.report.sizes.entry(host.clone());
            let (_, last) = sizes.or_insert((sample, sample));
            *last = sample;
        }
    }

    fn sample(&self, host: &str) -> Option<Sample> {
        Sample::read(&self.reach.ask(host, &["sample"], ANSWER).ok()?)
    }

    fn status(&self, host: &str) -> Result<Element, String> {
        let text = self.reach.ask(host, &["mon"], ANSWER)?;
        parse(&text, &Limits::default()).map_err(|e| format!("{host}: crm_mon writes no XML: {e}"))
    }

    /// Where its agent finds a resource. A host that cannot be asked does not count.
    fn active_on(&self, resource: &str) -> Vec<String> {
        let active = |host: &&String| {
            let answer = self.reach.ask(host, &["active", resource], ANSWER);
            answer.is_ok_and(|rc| ACTIVE.contains(&rc.trim()))
        };
        self.hosts.iter().filter(active).cloned().collect()
    }
}

/// Where status says that resources run which run once: no clones, no bundles, no fence devices.
fn placed(status: &Element) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for part in status
        .child("resources")
        .into_iter()
        .flat_map(Element::children)
    {
        let members: Vec<&Element> = match part.tag() {
            "resource" => vec![part],
            "group" => part.children_named("resource").collect(),
            _ => continue,
        };
        for resource in members {
            let agent = resource.get("resource_agent").unwrap_or_default();
            let (Some(id), false) = (resource.get("id"), agent.starts_with("stonith:")) else {
                continue;
            };
            let active = resource.get("active") == Some("true");
            let nodes = resource.children_named("node").filter(|_| active);
            let mut on: Vec<String> = nodes
                .filter_map(|n| n.get("name"))
                .map(str::to_owned)
                .collect();
            on.sort();
            found.insert(id.to_owned(), on);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_once_is_told_from_what_runs_everywhere() {
        let status = r#"<pacemaker-result><resources>
            <resource id="power" resource_agent="stonith:fence_x" active="true"><node name="h1"/></resource>
            <group id="g"><resource id="vip" resource_agent="ocf:systole:IPaddr2" active="true"><node name="h2"/></resource>
            <resource id="web" resource_agent="ocf:heartbeat:nginx" active="false"/></group>
            <clone id="c"><resource id="each" resource_agent="ocf:systole:Dummy" active="true"><node name="h1"/></resource></clone>
            </resources></pacemaker-result>"#;
        let status = parse(status, &Limits::default()).expect("it is XML");
        let found = placed(&status);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["vip", "web"]);
        assert_eq!(found["vip"], ["h2"]);
        assert!(found["web"].is_empty());
    }
}
