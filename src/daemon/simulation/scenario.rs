//! What runs in the simulated cluster.

use std::fmt::Write as _;

/// A cluster and what it has to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Nodes.
    pub nodes: u32,
    /// How many of them vote, the first ones.
    pub voters: u32,
    /// The last node only votes, and runs nothing.
    pub witness: bool,
    /// Two voters, of which one may go on alone when it has fenced the other.
    pub two_node: bool,
    /// There is a fence device.
    pub fencing: bool,
    /// There is a promotable clone.
    pub stateful: bool,
    /// A node that is cut off goes on with what it runs.
    pub freeze: bool,
    /// How many resources there are beside the usual ones. Where there are any, nothing goes wrong but the loss of one node.
    pub more: u32,
}

/// Three nodes without anything special.
const THREE: Scenario = Scenario {
    name: "three",
    nodes: 3,
    voters: 3,
    witness: false,
    two_node: false,
    fencing: false,
    stateful: false,
    freeze: false,
    more: 0,
};

/// All scenarios; a seed picks one of them unless one is named.
pub const SCENARIOS: [Scenario; 9] = [
    THREE,
    Scenario {
        name: "three-fencing",
        fencing: true,
        ..THREE
    },
    Scenario {
        name: "three-stateful",
        fencing: true,
        stateful: true,
        ..THREE
    },
    Scenario {
        name: "three-freeze",
        fencing: true,
        freeze: true,
        ..THREE
    },
    Scenario {
        name: "five",
        nodes: 5,
        voters: 5,
        ..THREE
    },
    Scenario {
        name: "five-fencing",
        nodes: 5,
        voters: 5,
        fencing: true,
        stateful: true,
        ..THREE
    },
    Scenario {
        name: "two-witness",
        witness: true,
        ..THREE
    },
    Scenario {
        name: "two-witness-fencing",
        witness: true,
        fencing: true,
        stateful: true,
        ..THREE
    },
    Scenario {
        name: "two-node",
        nodes: 2,
        voters: 2,
        two_node: true,
        fencing: true,
        stateful: true,
        ..THREE
    },
];

/// A large cluster; no seed picks it.
const HUNDRED: Scenario = Scenario {
    name: "hundred",
    nodes: 100,
    voters: 5,
    fencing: true,
    more: 996,
    ..THREE
};

/// Resources of which there may be one instance.
const SINGLE: [&str; 4] = ["alpha", "beta", "web", "vip"];

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = SCENARIOS.into_iter().chain([HUNDRED]);
        all.find(|s| s.name == name)
    }

    /// How many nodes run resources, the first ones.
    pub(super) fn hosts(&self) -> u32 {
        self.nodes - u32::from(self.witness)
    }

    /// Whether there may be one instance of a resource.
    pub(super) fn is_single(&self, rsc: &str) -> bool {
        SINGLE.contains(&rsc) || rsc.starts_with("more")
    }

    /// All resources of which there is one instance.
    pub(super) fn singles(&self) -> impl Iterator<Item = String> + use<> {
        let more = (0..self.more).map(|n| format!("more{n}"));
        SINGLE.into_iter().map(str::to_owned).chain(more)
    }

    /// The document that the cluster begins with.
    pub(super) fn cib(&self) -> String {
        let primitive = |id: &str, kind: &str| {
            format!(
                r#"<primitive id="{id}" class="ocf" provider="systole" type="{kind}"><operations>
                <op id="{id}-start" name="start" interval="0" timeout="20s"/>
                <op id="{id}-stop" name="stop" interval="0" timeout="20s"/>
                <op id="{id}-mon" name="monitor" interval="5s" timeout="20s"/></operations></primitive>"#
            )
        };
        let mut resources = primitive("alpha", "Dummy") + &primitive("beta", "Dummy");
        let group = primitive("web", "Dummy") + &primitive("vip", "Dummy");
        let _ = write!(resources, r#"<group id="grp">{group}</group>"#);
        resources.extend((0..self.more).map(|n| primitive(&format!("more{n}"), "Dummy")));
        if self.stateful {
            let _ = write!(
                resources,
                r#"<clone id="db-clone"><meta_attributes id="dbm">
                <nvpair id="dbm-p" name="promotable" value="true"/></meta_attributes>{}</clone>"#,
                primitive("db", "Stateful").replace(
                    r#"<op id="db-mon" name="monitor" interval="5s" timeout="20s"/>"#,
                    r#"<op id="db-mon" name="monitor" interval="5s" timeout="20s"/>
                       <op id="db-monp" name="monitor" role="Promoted" interval="4s" timeout="20s"/>"#
                )
            );
        }
        if self.fencing {
            resources += r#"<primitive id="power" class="stonith" type="fence_hook">
                <instance_attributes id="pi">
                <nvpair id="pi-c" name="pcmk_host_check" value="none"/></instance_attributes></primitive>"#;
        }
        let mut constraints = String::new();
        if self.stateful {
            for n in 1..=self.hosts() {
                let _ = write!(
                    constraints,
                    r##"<rsc_location id="lp{n}" rsc="db-clone"><rule id="lr{n}" role="Promoted" score="{}">
                    <expression id="le{n}" attribute="#uname" operation="eq" value="h{n}"/></rule></rsc_location>"##,
                    100 - n
                );
            }
        }
        let nodes: String = (1..=self.hosts())
            .map(|n| format!(r#"<node id="{n}" uname="h{n}"/>"#))
            .collect();
        format!(
            r#"<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="1" num_updates="0"><configuration>
            <crm_config><cluster_property_set id="o">
            <nvpair id="o-s" name="stonith-enabled" value="{}"/>
            <nvpair id="o-q" name="no-quorum-policy" value="{}"/>
            <nvpair id="o-p" name="enable-startup-probes" value="{}"/></cluster_property_set></crm_config>
            <nodes>{nodes}</nodes><resources>{resources}</resources>
            <constraints>{constraints}</constraints>
            <rsc_defaults><meta_attributes id="rd">
            <nvpair id="rd-s" name="resource-stickiness" value="100"/>
            <nvpair id="rd-f" name="failure-timeout" value="12s"/></meta_attributes></rsc_defaults>
            </configuration><status/></cib>"#,
            self.fencing,
            if self.freeze { "freeze" } else { "stop" },
            // A hundred thousand probes are not what this is about.
            self.more == 0
        )
    }
}
