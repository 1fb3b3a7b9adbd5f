//! Nodes: who there is, of which kind, and in which state (spec 1 §8, §18).

use super::rules::RuleInput;
use super::{Facts, nvset};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodetable::Discovery;
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{NodeName, Score, text};
use crate::xml::Element;

/// What a node is (spec 1 §8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A full member of the cluster.
    Cluster,
    /// Reached through a connection resource, on a machine of its own.
    Remote,
    /// Reached through a connection resource, inside a virtual machine or container that the cluster runs.
    Guest,
    /// Inside a replica of a bundle.
    Bundle,
}

/// One node.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent observations, as the spec lists them"
)]
pub struct Node {
    /// XML id.
    pub id: Str,
    /// Name.
    pub name: NodeName,
    /// Whether it is a Pacemaker Remote node of any kind (spec 1 §8.2); see `Facts::node_kind`.
    pub pacemaker_remote: bool,
    /// The connection resource of a Pacemaker Remote node (spec 1 §14.3).
    pub connection: Option<RscIdx>,
    /// Score given to a new entry in an allowed-node table (spec 1 §9.4).
    pub base_score: Score,
    /// Probe mode of a new entry; `Never` for bundle nodes (spec 1 §15.5).
    pub discovery: Discovery,
    /// Up (spec 1 §18.3). Connections of remote nodes change it again after assignment (spec 2 §18.6).
    pub online: bool,
    /// Must be fenced before anything it may run is started elsewhere (spec 1 §18.3, §27.2).
    pub unclean: bool,
    /// Not yet a full member (spec 1 §18.3 rules 5 and 9).
    pub pending: bool,
    /// In standby: asked for, pending, or because of a failure (spec 1 §18.1, §23.2).
    pub standby: bool,
    /// In standby because of a failure (spec 1 §23.2).
    pub standby_on_fail: bool,
    /// In maintenance (spec 1 §18.1, §18.6).
    pub maintenance: bool,
    /// Was in maintenance in the last run (remote nodes; spec 1 §18.6).
    pub maintenance_recorded: bool,
    /// Leaving (spec 1 §18.2).
    pub shutdown: bool,
    /// Expected to be a member (spec 1 §18.2).
    pub expected_up: bool,
    /// Seen in the status section (spec 1 §18.1, §18.7).
    pub seen: bool,
    /// A fencing of this remote node is recorded (spec 1 §18.1).
    pub fenced: bool,
    /// The host or connection of this remote or guest node must be recovered ("remote reset", spec 1 §18.5).
    pub needs_reset: bool,
    /// Probes allowed (spec 1 §18.6).
    pub probes_allowed: bool,
    /// Probed also where nothing is probed at the start: it came back, and what was known of it is forgotten. (not in the
    /// specification)
    pub probe_all: bool,
    /// Its history has been read (spec 1 §19).
    pub unpacked: bool,
    /// The designated controller.
    pub is_dc: bool,
    /// Attributes, permanent and transient merged (spec 1 §8.3).
    pub attributes: NvTable,
    /// Capacity (spec 1 §8.3).
    pub utilization: NvTable,
    /// Sum of priorities of what it runs (spec 1 §26).
    pub priority: i64,
    /// Primitives active there, in order of discovery (spec 1 §26).
    pub running: Vec<RscIdx>,
    /// Sum of its health attributes (spec 1 §30), if a strategy is in force.
    pub health: Score,
}

impl Node {
    /// A node of which nothing is known yet.
    #[must_use]
    pub fn new(id: Str, name: NodeName, pacemaker_remote: bool) -> Self {
        Self {
            id,
            name,
            pacemaker_remote,
            connection: None,
            base_score: Score::ZERO,
            discovery: Discovery::Always,
            online: false,
            unclean: false,
            pending: false,
            standby: false,
            standby_on_fail: false,
            maintenance: false,
            maintenance_recorded: false,
            shutdown: false,
            expected_up: false,
            seen: false,
            fenced: false,
            needs_reset: false,
            probes_allowed: true,
            probe_all: false,
            unpacked: false,
            is_dc: false,
            attributes: NvTable::new(),
            utilization: NvTable::new(),
            priority: 0,
            running: Vec::new(),
            health: Score::ZERO,
        }
    }

    /// Whether resources may be placed here, scores aside (spec 2 §4.1).
    #[must_use]
    pub fn available(&self) -> bool {
        self.online && !self.shutdown && !self.unclean && !self.standby && !self.maintenance
    }
}

impl Facts {
    /// What the node is (spec 1 §8.2).
    #[must_use]
    pub fn node_kind(&self, node: NodeIdx) -> NodeKind {
        let node = &self.nodes[node];
        if !node.pacemaker_remote {
            return NodeKind::Cluster;
        }
        let Some(connection) = node.connection else {
            return NodeKind::Remote;
        };
        match self.rscs[connection].launcher {
            None => NodeKind::Remote,
            Some(_) if self.bundle_of(connection).is_some() => NodeKind::Bundle,
            Some(_) => NodeKind::Guest,
        }
    }

    /// Whether it is a guest or bundle node.
    #[must_use]
    pub fn is_guest(&self, node: NodeIdx) -> bool {
        matches!(self.node_kind(node), NodeKind::Guest | NodeKind::Bundle)
    }

    /// Whether it is a remote node (not a guest).
    #[must_use]
    pub fn is_remote(&self, node: NodeIdx) -> bool {
        self.node_kind(node) == NodeKind::Remote
    }

    /// The node of that name, any case (spec 1 §8.1).
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<NodeIdx> {
        self.node_order
            .iter()
            .copied()
            .find(|&node| self.nodes[node].name.as_str().eq_ignore_ascii_case(name))
    }

    /// The container or virtual machine that the guest or bundle node lives in.
    #[must_use]
    pub fn host_container(&self, node: NodeIdx) -> Option<RscIdx> {
        self.nodes[node]
            .connection
            .and_then(|connection| self.rscs[connection].launcher)
    }
}

/// Nodes as configured. // spec 1 §8.1
pub(super) fn read(facts: &mut Facts, nodes: &Element, dc_uuid: Option<&str>) {
    for element in nodes.children_named("node") {
        let Some(id) = element.get("id") else {
            facts.warn("a node without id was left out: give it an id");
            continue;
        };
        let remote = match element.get("type") {
            None => false,
            Some(kind) if kind.eq_ignore_ascii_case("member") => false,
            Some(kind) if kind.eq_ignore_ascii_case("remote") => true,
            Some(kind) => {
                facts.warn(format!(
                    "node `{id}` has the unknown type `{kind}`; nodes after it are not read"
                ));
                return;
            }
        };
        let name = element.get("uname").unwrap_or(id);
        let mut node = Node::new(id.into(), NodeName::from(name), remote);
        node.base_score = element
            .get("score")
            .and_then(|score| facts.score(score))
            .unwrap_or(Score::ZERO);
        node.unclean = facts.options.startup_fencing && !remote;
        node.attributes
            .set("#kind", if remote { "remote" } else { "cluster" });
        let node = facts.add_node(node);
        facts.add_node_attributes(node, element, false, dc_uuid);
    }
}

impl Facts {
    /// Puts a node where it belongs in the node list. // spec 1 §2
    pub(super) fn add_node(&mut self, node: Node) -> NodeIdx {
        let order = &self.node_order;
        let before = |&at: &NodeIdx| {
            text::compare_names(self.nodes[at].name.as_str(), node.name.as_str()).is_lt()
        };
        let position = order.partition_point(before);
        let at = self.nodes.push(node);
        self.node_order.insert(position, at);
        at
    }

    /// By id, else by name, both in any case. // spec 1 §8.1
    pub(super) fn find_node(&self, id: &str, name: Option<&str>) -> Option<NodeIdx> {
        self.node_order
            .iter()
            .copied()
            .find(|&node| self.nodes[node].id.eq_ignore_ascii_case(id))
            .or_else(|| name.and_then(|name| self.node_by_name(name)))
    }

    /// Adds attributes and utilization of a `node` or `transient_attributes` element. // spec 1 §8.3
    pub(super) fn add_node_attributes(
        &mut self,
        at: NodeIdx,
        element: &Element,
        transient: bool,
        dc_uuid: Option<&str>,
    ) {
        let (document, recheck) = (&self.context.document, &self.context.recheck);
        let health = self.options.health;
        let input = RuleInput::at(self.context.now);
        let node = &mut self.nodes[at];
        node.attributes.set("#uname", node.name.as_str());
        node.attributes.set("#id", node.id.clone());
        if self.dc.is_none() && dc_uuid.is_some_and(|dc| dc.eq_ignore_ascii_case(&node.id)) {
            self.dc = Some(at);
            node.is_dc = true;
            node.attributes.set("#is_dc", "true");
        } else if self.dc != Some(at) {
            node.attributes.set("#is_dc", "false");
        }
        if let Some(cluster) = &self.options.cluster_name {
            node.attributes.set("#cluster-name", cluster.clone());
        }
        let blocks = nvset::collect(element, "instance_attributes", document, health, None);
        if transient {
            let mut table = NvTable::new();
            nvset::apply(&blocks, &input, document, recheck, &mut table);
            node.attributes.overwrite(&table);
        } else {
            nvset::apply(&blocks, &input, document, recheck, &mut node.attributes);
        }
        let blocks = nvset::collect(element, "utilization", document, health, None);
        nvset::apply(&blocks, &input, document, recheck, &mut node.utilization);
        if !node.attributes.contains("#site-name") {
            let site = node
                .attributes
                .get_shared("site-name")
                .or(self.options.cluster_name.as_ref());
            if let Some(site) = site.cloned() {
                node.attributes.set("#site-name", site);
            }
        }
    }
}
