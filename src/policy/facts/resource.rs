//! The resource tree: one struct for what all resources have, one enum for what differs (spec 1 §9).

use crate::xml::Element;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::spec::Spec;
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodetable::NodeTable;
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{Role, RscId, Score};

use super::operation::OpConfig;

/// What a resource is. Ordered as the spec compares kinds (spec 2 §2.2).
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Something with an agent.
    Primitive,
    /// Members that start in order on one node.
    Group(Group),
    /// Instances of a primitive or group.
    Clone(Clone),
    /// A container, perhaps replicated, perhaps with a primitive inside.
    Bundle(Bundle),
}

impl Kind {
    /// Place in the order primitive < group < clone < bundle.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Primitive => 1,
            Self::Group(_) => 2,
            Self::Clone(_) => 3,
            Self::Bundle(_) => 4,
        }
    }
}

/// What only groups have (spec 1 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Members start one after the other.
    pub ordered: bool,
    /// Members stay together.
    pub colocated: bool,
}

/// What only clones have (spec 1 §13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clone {
    /// `clone-max` as effective.
    pub max: u32,
    /// `clone-node-max` as effective.
    pub node_max: u32,
    /// `promoted-max`; 0 when not promotable.
    pub promoted_max: u32,
    /// `promoted-node-max`; 0 when not promotable.
    pub promoted_node_max: u32,
    /// `ordered`: instances start one after the other.
    pub ordered: bool,
    /// `interleave`: instances only wait for their neighbour on the same node.
    pub interleave: bool,
    /// `clone-min`, if given.
    pub min: Option<u32>,
}

/// What only bundles have (spec 1 §15).
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Replicas, in order of offset.
    pub replicas: Vec<Replica>,
    /// `replicas-per-host`.
    pub per_host: u32,
    /// `promoted-max`.
    pub promoted_max: u32,
    /// `docker` or `podman`.
    pub container_kind: &'static str,
    /// Image, for display.
    pub image: Str,
    /// The implicit clone around the bundled primitive.
    pub clone: Option<RscIdx>,
}

/// One replica of a bundle (spec 1 §15.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// 0, 1, ...
    pub offset: u32,
    /// The container.
    pub container: RscIdx,
    /// The address resource.
    pub ip: Option<RscIdx>,
    /// The address.
    pub ip_address: Option<Str>,
    /// The connection.
    pub connection: Option<RscIdx>,
    /// The bundle node.
    pub node: Option<NodeIdx>,
    /// The instance of the bundled primitive.
    pub child: Option<RscIdx>,
}

/// `class:provider:type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agent {
    /// `ocf`, `systemd`, `lsb`, `service`, `stonith`.
    pub class: Str,
    /// Provider, for OCF agents.
    pub provider: Option<Str>,
    /// The agent's name.
    pub kind: Str,
}

/// What to do when active on several nodes (spec 1 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultipleActive {
    /// Stop all, start one.
    #[default]
    StopStart,
    /// Stop all.
    StopOnly,
    /// Touch nothing.
    Block,
    /// Stop only those that should not be.
    StopUnexpected,
}

/// What must be given before it may start (spec 1 §9.5). Ordered: each includes what is before it, as far as
/// fencing is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Requires {
    /// Nothing.
    #[default]
    Nothing,
    /// Quorum.
    Quorum,
    /// Quorum and fencing of lost nodes.
    Fencing,
    /// And that its node was unfenced.
    Unfencing,
}

/// Independent marks on a resource (spec 1 §9.3, §20-§26; spec 2 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent marks, as the spec lists them"
)]
pub struct Flags {
    /// May be started and stopped (spec 1 §9.3).
    pub managed: bool,
    /// Nothing may be done about it (spec 2 §18.2).
    pub blocked: bool,
    /// A failure is recorded (spec 1 §23.2).
    pub failed: bool,
    /// The failure calls for a stop (spec 1 §23.2).
    pub stop_required: bool,
    /// Its failure is configured to be ignored (spec 1 §22.6).
    pub failure_ignored: bool,
    /// In maintenance (spec 1 §9.3).
    pub maintenance: bool,
    /// Its preferences count for what it depends on (spec 2 §7.5).
    pub critical: bool,
    /// Wants notifications.
    pub notify: bool,
    /// May be migrated live (spec 1 §9.3).
    pub migratable: bool,
    /// Not an anonymous clone's instance (spec 1 §9.3).
    pub unique: bool,
    /// In a promotable clone (spec 1 §9.3).
    pub promotable: bool,
    /// Class stonith.
    pub fence_device: bool,
    /// ocf:pacemaker:remote, for a remote or a guest node (spec 1 §9.3).
    pub connection: bool,
    /// Known only from history, or an instance beyond clone-max (spec 1 §13.3, §20.4).
    pub removed: bool,
    /// Removed, and its history names a launcher (spec 1 §20.4).
    pub removed_launched: bool,
    /// Probed only where the table says so (spec 1 §15.3, spec 2 §7.3).
    pub exclusive_discovery: bool,
    /// A start is pending in history (spec 1 §22.8).
    pub start_pending: bool,
    /// A bundle's connection: may run elsewhere than its container (spec 1 §15.5).
    pub nesting_allowed: bool,
    /// A bundle's container (spec 2 §2.2).
    pub replica_container: bool,
    /// Made by the cluster, not configured.
    pub internal: bool,
}

/// An action that was under way (spec 1 §22.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its task.
    pub task: Str,
    /// Where.
    pub node: NodeIdx,
}

/// What never changes about a resource once it is made; all decisions on one configuration share it.
#[derive(Debug)]
pub struct Definition {
    /// Id, with the instance number (`rsc:0`).
    pub id: RscId,
    /// Id without instance number, as in the XML.
    pub xml_id: RscId,
    /// Agent of a primitive.
    pub agent: Agent,
    /// The element in effect: templates expanded (spec 1 §10).
    pub element: Element,
    /// Configured operations in document order (spec 1 §16.1).
    pub ops: Arc<[OpConfig]>,
    /// Instance number in a clone.
    pub instance: Option<u32>,
    /// What it was made from: evaluated again for descendants and for further instances.
    pub(super) spec: Arc<Spec>,
    /// Parameters, where they do not depend on the node.
    pub(super) plain_params: OnceLock<Arc<NvTable>>,
}

/// One resource of any kind (spec 1 §9.2); what its definition says can be asked of it.
#[derive(Debug, Clone)]
pub struct Rsc {
    /// What never changes about it.
    pub definition: Arc<Definition>,
    /// Last name under which history was matched, where it differs (spec 1 §20.1).
    pub history_id: Option<RscId>,
    /// Group, clone or bundle that it is in.
    pub parent: Option<RscIdx>,
    /// Members, instances, or the parts of a bundle (spec 2 §2.2).
    pub children: Vec<RscIdx>,
    /// What it is.
    pub kind: Kind,
    /// Meta-attributes in effect (spec 1 §11).
    pub meta: NvTable,
    /// What it takes from a node (spec 1 §9.1).
    pub utilization: NvTable,
    /// Marks.
    pub flags: Flags,
    /// `priority`.
    pub priority: Score,
    /// `resource-stickiness`.
    pub stickiness: Score,
    /// `migration-threshold`; infinity when unset, 0 = never ban.
    pub threshold: Score,
    /// `failure-timeout`, or the reconnect interval (spec 1 §9.3, §25.2).
    pub failure_timeout_ms: u64,
    /// `reconnect_interval` of a remote connection; 0 when unset.
    pub reconnect_interval_ms: u64,
    /// `multiple-active`.
    pub multiple_active: MultipleActive,
    /// `requires`.
    pub requires: Requires,
    /// Role asked for by `target-role`, if that is a request (spec 1 §9.6).
    pub target_role: Option<Role>,
    /// Current role (spec 1 §22).
    pub role: Role,
    /// Next role as far as known; Unknown = to be decided (spec 1 §9.6, §22, §23).
    pub next_role: Role,
    /// Nodes where it is active, in order of discovery (spec 1 §26).
    pub active: Vec<NodeIdx>,
    /// A(r) (spec 2 §2.3) with what configuration and history put there.
    pub allowed: NodeTable,
    /// Resource that it runs in (spec 1 §14.3).
    pub launcher: Option<RscIdx>,
    /// Resources that run in it.
    pub launched: Vec<RscIdx>,
    /// An action under way according to history.
    pub pending: Option<Pending>,
    /// Source of a migration caught half-way (spec 1 §24).
    pub partial_source: Option<NodeIdx>,
    /// Target of a migration caught half-way.
    pub partial_target: Option<NodeIdx>,
    /// Sources that still need a stop after a migration (spec 1 §24).
    pub dangling_sources: Vec<NodeIdx>,
    /// Shutdown lock: node and since when (spec 1 §29), before the criteria of spec 2 §6.1.
    pub lock: Option<(NodeIdx, i64)>,
}

impl Deref for Rsc {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        &self.definition
    }
}

impl Rsc {
    /// Whether it has an agent.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        matches!(self.kind, Kind::Primitive)
    }

    /// Group details.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        if let Kind::Group(group) = &self.kind {
            Some(group)
        } else {
            None
        }
    }

    /// Clone details.
    #[must_use]
    pub fn clone_facts(&self) -> Option<&Clone> {
        if let Kind::Clone(clone) = &self.kind {
            Some(clone)
        } else {
            None
        }
    }

    /// Bundle details.
    #[must_use]
    pub fn bundle(&self) -> Option<&Bundle> {
        if let Kind::Bundle(bundle) = &self.kind {
            Some(bundle)
        } else {
            None
        }
    }

    /// Whether it needs fencing of lost nodes.
    #[must_use]
    pub fn needs_fencing(&self) -> bool {
        self.requires >= Requires::Fencing
    }

    /// Whether it needs quorum, and no more.
    #[must_use]
    pub fn needs_quorum(&self) -> bool {
        self.requires == Requires::Quorum
    }

    /// Id as shown: with the instance number only where that has a meaning (spec 1 §13.3).
    #[must_use]
    pub fn printable_id(&self) -> &RscId {
        if self.flags.unique {
            &self.id
        } else {
            &self.xml_id
        }
    }
}

impl super::Facts {
    /// The topmost ancestor-or-self below any bundle: *top(r)* (spec 2 §2.2).
    #[must_use]
    pub fn top_of(&self, rsc: RscIdx) -> RscIdx {
        let mut at = rsc;
        while let Some(parent) = self.rscs[at].parent {
            if matches!(self.rscs[parent].kind, Kind::Bundle(_)) {
                break;
            }
            at = parent;
        }
        at
    }

    /// The topmost ancestor-or-self, bundles included: *root(r)*.
    #[must_use]
    pub fn root_of(&self, rsc: RscIdx) -> RscIdx {
        let mut at = rsc;
        while let Some(parent) = self.rscs[at].parent {
            at = parent;
        }
        at
    }

    /// Whether one resource is an ancestor of another.
    #[must_use]
    pub fn is_above(&self, above: RscIdx, below: RscIdx) -> bool {
        let mut at = self.rscs[below].parent;
        while let Some(here) = at {
            if here == above {
                return true;
            }
            at = self.rscs[here].parent;
        }
        false
    }

    /// The bundle that the resource is part of (itself excluded).
    #[must_use]
    pub fn bundle_of(&self, rsc: RscIdx) -> Option<RscIdx> {
        let root = self.root_of(rsc);
        (root != rsc && matches!(self.rscs[root].kind, Kind::Bundle(_))).then_some(root)
    }

    /// The resource itself and everything below, depth first, children in order.
    #[must_use]
    pub fn descend(&self, rsc: RscIdx) -> Vec<RscIdx> {
        let mut out = Vec::new();
        let mut stack = vec![rsc];
        while let Some(at) = stack.pop() {
            out.push(at);
            stack.extend(self.rscs[at].children.iter().rev());
        }
        out
    }

    /// The primitives at or below, depth first.
    #[must_use]
    pub fn leaves(&self, rsc: RscIdx) -> Vec<RscIdx> {
        let mut all = self.descend(rsc);
        all.retain(|&at| self.rscs[at].is_primitive());
        all
    }

    /// What is found first when looking at the primitives at or below, depth first.
    pub fn find_leaf<T>(
        &self,
        rsc: RscIdx,
        look: &mut impl FnMut(RscIdx) -> Option<T>,
    ) -> Option<T> {
        let it = &self.rscs[rsc];
        if it.is_primitive() {
            return look(rsc);
        }
        let mut children = it.children.iter();
        children.find_map(|child| self.find_leaf(*child, look))
    }

    /// The one active node to use when a single one is wanted: *current(r)* (spec 1 §26, spec 2 §2.2).
    #[must_use]
    pub fn current_node(&self, rsc: RscIdx) -> Option<NodeIdx> {
        let it = &self.rscs[rsc];
        if let Kind::Bundle(bundle) = &it.kind {
            let mut nodes: Vec<NodeIdx> = Vec::new();
            for replica in &bundle.replicas {
                for &node in &self.rscs[replica.container].active {
                    if !nodes.contains(&node) {
                        nodes.push(node);
                    }
                }
            }
            let first = bundle.replicas.first().map(|replica| replica.container);
            let fencing = first.is_some_and(|container| self.rscs[container].needs_fencing());
            return self.pick_current(&nodes, None, fencing);
        }
        self.pick_current(&it.active, it.partial_source, it.needs_fencing())
    }

    fn pick_current(
        &self,
        active: &[NodeIdx],
        source: Option<NodeIdx>,
        needs_fencing: bool,
    ) -> Option<NodeIdx> {
        let first = active.first().copied();
        if let Some(source) = source.filter(|source| active.contains(source)) {
            return Some(source);
        }
        if needs_fencing {
            return first;
        }
        let clean = |node: &&NodeIdx| self.nodes[**node].online && !self.nodes[**node].unclean;
        active.iter().find(clean).copied().or(first)
    }
}
