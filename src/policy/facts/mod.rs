//! The facts: what is true now, read once from the CIB.
//! Enters: a `Cib` and the `Input` of the run.
//! Leaves: `Facts`: options, nodes, the resource tree with what history says about it, and wishes for actions.
//! May touch: nothing; it is pure.

mod active;
mod bundle;
mod clone;
mod counts;
pub mod digest;
pub(super) mod document;
pub mod failcount;
mod failure;
mod fencing;
pub mod history;
mod kept;
mod mapping;
mod meta;
mod migration;
pub mod node;
pub(super) mod nvset;
mod online;
pub mod operation;
pub mod options;
mod outcome;
mod params;
mod passes;
mod remote;
pub mod resource;
pub(crate) mod rules;
mod spec;
mod unpack;
pub mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;

pub use digest::{Digests, Verdict};
pub use failcount::{FailCount, FailQuery, TimeoutsOff};
pub use history::{History, HistoryEntry, HistoryOp, Recorded};
pub use kept::Kept;
pub use node::{Node, NodeKind};
pub use operation::{Needs, OnFail, OpConfig, OpMeta};
pub use options::{Options, QuorumPolicy};
pub use resource::{
    Agent, Bundle, Clone, Flags, Group, Kind, MultipleActive, Pending, Replica, Requires, Rsc,
};
pub use wish::Wish;

use self::document::{Document, Recheck};
use self::nvset::Blocks;
use self::spec::Spec;
use super::index::{ByName, IdxVec, NodeIdx, RscIdx};
use super::input::Input;
use super::nodeset::NodeSet;
use super::nvtable::{NvTable, Str};
use super::report::{Cause, Contribution, Warning};
use crate::terms::{DateTime, FEATURE_SET, RscId, Score, text};
use crate::xml::Element;

/// Step 1: what is true now (spec 1 §35). Frozen when the next step starts.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The effective time (spec 1 §2).
    pub now_s: i64,
    /// Whether the input is a saved one with private values blanked (spec 1 §28.2).
    pub sanitized: bool,
    /// Cluster options in force (spec 1 §7).
    pub options: Options,
    /// Whether this partition has quorum (spec 1 §2).
    pub quorate: bool,
    /// `crm_feature_set` of the CIB.
    pub feature_set: Str,
    /// All nodes (spec 1 §8).
    pub nodes: IdxVec<NodeIdx, Node>,
    /// The node list: nodes in node-name order (spec 2 §1.2).
    pub node_order: Vec<NodeIdx>,
    /// The designated controller (spec 1 §8.3).
    pub dc: Option<NodeIdx>,
    /// All resources of the tree (spec 1 §9).
    pub rscs: IdxVec<RscIdx, Rsc>,
    /// Nodes where a resource's state is known ("probed", spec 1 §23.2).
    pub known: IdxVec<RscIdx, NodeSet>,
    /// The resource list: top-level resources in list order (spec 2 §1.2).
    pub top: Vec<RscIdx>,
    /// Template -> ids of resources that use it (spec 1 §10).
    pub templates: IndexMap<Str, Vec<Str>>,
    /// Tag -> ids of the objects it names (spec 1 §17).
    pub tags: IndexMap<Str, Vec<Str>>,
    /// Tickets known from status (spec 1 §17).
    pub tickets: BTreeMap<Str, Ticket>,
    /// Whether a fence device (or a watchdog) exists (spec 1 §9.3, §27.1).
    pub fence_device_known: bool,
    /// Whether "unfencing is in use" (spec 1 §7.3).
    pub unfencing: bool,
    /// Actions that unpacking asks for, in order of creation (spec 1 §35).
    pub wishes: Vec<Wish>,
    /// Failed operations in order of recording, for display (spec 1 §22.8).
    pub failed_ops: Vec<FailedOp>,
    /// Operation history per node, as read (spec 1 §20-§24), in the order of reading.
    pub history: History,
    /// Resources whose failure timeout is off for good (spec 1 §25.2).
    pub timeouts_off: TimeoutsOff,
    /// Counts for display (spec 1 §32).
    pub counts: Counts,
    /// Failures that had consequences: whose, where, and which, when causes are recorded.
    pub handled: Vec<(RscIdx, NodeIdx, Cause)>,
    /// Score contributions so far, with causes, when they are recorded.
    pub contributions: Vec<Contribution>,
    /// What was wrong in the input.
    pub warnings: Vec<Warning>,
    /// What later evaluations need: defaults, references, names.
    pub(crate) context: Context,
}

/// What unpacking keeps for evaluations that happen later.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: DateTime,
    pub(crate) document: Arc<Document>,
    pub(crate) recheck: Recheck,
    pub(crate) causes: bool,
    pub(crate) scores: bool,
    op_defaults: Blocks,
    rsc_defaults: Blocks,
    templates: BTreeMap<Str, Element>,
    /// Resources by id, and by the name that history knows them under.
    names: ByName<Str, RscIdx>,
    history_names: ByName<Str, RscIdx>,
    /// Parameters that depend on the node, evaluated once (spec 1 §11.4).
    params: Mutex<BTreeMap<(RscIdx, Option<NodeIdx>), Arc<NvTable>>>,
    digests: Mutex<BTreeMap<RscIdx, Vec<digest::Made>>>,
    pub(crate) status: Option<Element>,
    /// Containers to stop when all history is known (spec 1 §23.2 restart-container).
    container_stops: Vec<RscIdx>,
    /// Resources that a stop was wished for, so that a later entry may take it back.
    stops_wished: BTreeSet<RscIdx>,
    /// Of which the entry that was read last said no more than that it is not there.
    resting: IdxVec<RscIdx, bool>,
    /// History as it was read for the decision before.
    recorded: kept::Recordings,
    /// Definitions as they were read for the decision before; none if nothing is kept.
    specs: Option<BTreeMap<Str, Arc<Spec>>>,
}

impl std::clone::Clone for Context {
    fn clone(&self) -> Self {
        Self {
            now: self.now,
            document: Arc::clone(&self.document),
            recheck: self.recheck.clone(),
            causes: self.causes,
            scores: self.scores,
            op_defaults: Arc::clone(&self.op_defaults),
            rsc_defaults: Arc::clone(&self.rsc_defaults),
            templates: self.templates.clone(),
            names: self.names.clone(),
            history_names: self.history_names.clone(),
            // What was evaluated depends on what is still to be read.
            params: Mutex::default(),
            digests: Mutex::default(),
            status: self.status.clone(),
            container_stops: self.container_stops.clone(),
            stops_wished: self.stops_wished.clone(),
            resting: self.resting.clone(),
            recorded: kept::Recordings::default(),
            specs: None,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self {
            now: DateTime::from_epoch(0),
            document: Arc::default(),
            recheck: Recheck::default(),
            causes: false,
            scores: true,
            op_defaults: Blocks::from([]),
            rsc_defaults: Blocks::from([]),
            templates: BTreeMap::new(),
            names: ByName::default(),
            history_names: ByName::default(),
            params: Mutex::default(),
            digests: Mutex::default(),
            status: None,
            container_stops: Vec::new(),
            stops_wished: BTreeSet::new(),
            resting: IdxVec::new(),
            recorded: kept::Recordings::default(),
            specs: None,
        }
    }
}

impl Facts {
    /// Earliest time proposed so far at which something would be decided otherwise (spec 1 §2).
    #[must_use]
    pub fn recheck_by(&self) -> Option<i64> {
        self.context.recheck.by()
    }

    /// Proposes a time for the next look (spec 1 §2); it counts if it is in the future.
    pub fn propose_recheck(&self, at_s: i64) {
        self.context.recheck.propose(self.now_s, at_s);
    }

    /// A score, with the health words as the options set them (spec 1 §1.3).
    #[must_use]
    pub fn score(&self, text: &str) -> Option<Score> {
        self.options.health.parse(text)
    }

    /// The resource with exactly this id.
    #[must_use]
    pub fn rsc_by_id(&self, id: &str) -> Option<RscIdx> {
        self.context.names.get(id).copied()
    }

    /// The resource that a constraint means (spec 2 §7.1): by id, or by the name in history, which then stands for
    /// the whole clone.
    #[must_use]
    pub fn rsc_named(&self, id: &str) -> Option<RscIdx> {
        self.rsc_by_id(id).or_else(|| {
            self.context
                .history_names
                .get(id)
                .map(|&rsc| self.top_of(rsc))
        })
    }

    /// Whether the CIB was written by a version that may mean something else by it.
    fn is_newer(&self) -> bool {
        text::compare_versions(&self.feature_set, FEATURE_SET).is_gt()
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning {
            text: text.into(),
            invalid: false,
        });
    }

    /// Something of the configuration is left out.
    fn leave_out(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning {
            text: text.into(),
            invalid: true,
        });
    }
}

/// A ticket (spec 1 §17).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticket {
    /// Whether the cluster has it.
    pub granted: bool,
    /// Whether it is in standby.
    pub standby: bool,
    /// When it was granted last, or -1.
    pub last_granted: i64,
    /// All attributes but the id.
    pub state: NvTable,
}

/// A failed operation, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOp {
    /// The resource.
    pub rsc: RscIdx,
    /// Where.
    pub node: NodeIdx,
    /// Which entry of [`Facts::history`], and which operation in it.
    pub entry: (usize, usize),
    /// `operation_key`, or the id of the entry.
    pub key: Str,
    /// Exit status as recorded.
    pub rc: i32,
    /// Execution status as recorded.
    pub status: i32,
}

/// Counts of resource instances (spec 1 §32).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All instances.
    pub instances: u32,
    /// Those that are told not to run.
    pub disabled: u32,
    /// Those of the disabled that are blocked.
    pub blocked: u32,
}

/// Reads the facts from a CIB. // spec 1 §2
#[must_use]
pub fn read(cib: &Element, input: &Input) -> Facts {
    let mut facts = read_configuration(cib, input, None);
    read_status(&mut facts, cib);
    facts
}

/// The same, with what the decision before left.
#[must_use]
pub fn read_again(cib: &Element, input: &Input, kept: &mut Kept) -> Facts {
    let mut facts = kept.configured(cib, input).unwrap_or_else(|| {
        let mut facts = read_configuration(cib, input, Some(kept));
        kept.take_configured(&mut facts, cib, input);
        facts
    });
    read_status(&mut facts, cib);
    kept.take_history(&facts);
    facts
}

/// What is known before anybody asks what runs.
fn read_configuration(cib: &Element, input: &Input, kept: Option<&mut Kept>) -> Facts {
    let configuration = cib.child("configuration");
    let section = |name: &str| configuration.and_then(|found| found.child(name));
    let mut facts = Facts {
        now_s: input.now_s,
        sanitized: input.sanitized,
        quorate: input
            .quorum
            .unwrap_or_else(|| text::is_true(cib.get("have-quorum"))),
        feature_set: cib.get("crm_feature_set").unwrap_or_default().into(),
        context: Context {
            now: DateTime::from_epoch(input.now_s).at_offset(input.utc_offset_s),
            document: Arc::new(Document::new(configuration)),
            causes: input.causes,
            scores: input.scores,
            status: cib.child("status").cloned(),
            ..Context::default()
        },
        ..Facts::default()
    };
    // spec 1 §2 point 3: what a newer version means by its CIB is not for us to guess.
    if facts.is_newer() {
        let theirs = facts.feature_set.clone();
        facts.warn(format!(
            "the CIB has feature set {theirs}, newer than our {FEATURE_SET}: upgrade this node first"
        ));
        return facts;
    }
    options::read(&mut facts, section("crm_config"), cib);
    if let Some(kept) = kept {
        kept.lend(&mut facts, section("op_defaults"));
    }
    facts.fence_device_known = facts.options.have_watchdog;
    let defaults = |facts: &Facts, name: &str| match section(name) {
        None => Blocks::from([]),
        Some(defaults) => nvset::collect(
            defaults,
            "meta_attributes",
            &facts.context.document,
            facts.options.health,
            None,
        ),
    };
    facts.context.op_defaults = defaults(&facts, "op_defaults");
    facts.context.rsc_defaults = defaults(&facts, "rsc_defaults");
    let dc_uuid = cib.get("dc-uuid");
    if let Some(nodes) = section("nodes") {
        node::read(&mut facts, nodes, dc_uuid);
    }
    if let Some(resources) = section("resources") {
        facts.unfencing = uses_unfencing(resources, section("rsc_defaults"));
        read_resources(&mut facts, resources);
    }
    if let Some(tags) = section("tags") {
        for tag in tags.children_named("tag") {
            let refs = facts
                .tags
                .entry(tag.get("id").unwrap_or_default().into())
                .or_default();
            for id in tag
                .children_named("obj_ref")
                .filter_map(|obj| obj.get("id"))
            {
                if !refs.iter().any(|have| &**have == id) {
                    refs.push(id.into());
                }
            }
        }
    }
    facts
}

fn read_status(facts: &mut Facts, cib: &Element) {
    if facts.is_newer() {
        return;
    }
    if let Some(status) = cib.child("status") {
        passes::read_status(facts, status, cib.get("dc-uuid"));
    }
    counts::health(facts);
    counts::count(facts);
}

// spec 1 §7.3: the exact text, wherever it is written.
fn uses_unfencing(resources: &Element, defaults: Option<&Element>) -> bool {
    let asks = |pair: &Element| {
        matches!(pair.get("name"), Some("provides" | "requires"))
            && pair.get("value") == Some("unfencing")
    };
    let in_block = |block: &Element| block.is("meta_attributes") && block.children().any(asks);
    resources.descendants().any(in_block)
        || defaults.is_some_and(|defaults| defaults.children().any(in_block))
}

/// Every resource, in document order, then by priority. // spec 1 §2 points 8 and 9
fn read_resources(facts: &mut Facts, resources: &Element) {
    for template in resources.children_named("template") {
        if let Some(id) = template.get("id") {
            facts
                .context
                .templates
                .entry(id.into())
                .or_insert_with(|| template.clone());
            facts.templates.entry(id.into()).or_default();
        }
    }
    let implied = remote::scan(facts, resources);
    // Instances come to it; most of what is written has none.
    let members = |top: &Element| 1 + top.children_named("primitive").count();
    let all = resources.children().map(members).sum::<usize>() + implied.len();
    facts.rscs.reserve(all + all / 2);
    let mut taken = BTreeSet::new();
    let written = resources
        .children()
        .filter(|element| !element.is("template"));
    for element in written.cloned().chain(implied).collect::<Vec<_>>() {
        let before = facts.rscs.len();
        let made = definition(facts, &element)
            .and_then(|spec| unpack::resource(facts, &spec, None, None))
            .and_then(|rsc| its_own_names(facts, rsc, &mut taken));
        match made {
            Ok(rsc) => {
                facts.top.push(rsc);
                facts.register(rsc);
            }
            Err(trouble) => {
                unmake(facts, before);
                facts.leave_out(trouble);
                // Quirk: worded as shells look for it.
                facts.leave_out(format!(
                    "Ignoring <{}> resource '{}' because configuration is invalid",
                    element.tag(),
                    element.id().unwrap_or("(no id)")
                ));
            }
        }
    }
    remote::link(facts);
    let rscs = &facts.rscs;
    facts
        .top
        .sort_by_key(|&rsc| std::cmp::Reverse(rscs[rsc].priority));
}

/// Takes back what was made of a resource that is left out.
fn unmake(facts: &mut Facts, before: usize) {
    facts.rscs.truncate(before);
    facts.known.truncate(before);
    facts.context.resting.truncate(before);
    // What was found out about it is not true of the one that takes its place.
    facts.context.params = Mutex::default();
    // A node that it was to reach is reached by who had the name before, if by anybody.
    for node in facts.nodes.indexes() {
        let it = &facts.nodes[node];
        if it.connection.is_some_and(|rsc| rsc.0 as usize >= before) {
            let reaches = |rsc: &RscIdx| {
                let fact = &facts.rscs[*rsc];
                fact.flags.connection && fact.id.as_str() == it.name.as_str()
            };
            let first = facts.rscs.indexes().find(reaches);
            facts.nodes[node].connection = first;
        }
    }
}

/// Two resources of one name would be started beside each other, and history could not tell them apart: the first one has
/// the name. Our rule: the specification says nothing.
fn its_own_names(
    facts: &Facts,
    rsc: RscIdx,
    taken: &mut BTreeSet<RscId>,
) -> Result<RscIdx, spec::Invalid> {
    let all = facts.descend(rsc);
    let mut inside = BTreeSet::new();
    for &at in &all {
        let it = &facts.rscs[at];
        if taken.contains(&it.xml_id) || !inside.insert(&it.id) {
            let (whole, id) = (&facts.rscs[rsc].id, &it.xml_id);
            return Err(
                match it.meta.get("container").filter(|_| it.flags.connection) {
                    Some(host) => format!(
                        "`{host}` names the guest node `{id}`, but there is a resource of that name: give it another remote-node"
                    ),
                    None => format!(
                        "`{whole}` has the id `{id}` of another resource in it: give one of the two another id"
                    ),
                },
            );
        }
    }
    taken.extend(all.iter().map(|at| facts.rscs[*at].xml_id.clone()));
    Ok(rsc)
}

/// The definition of a resource, as it was read before if its element is the same.
fn definition(facts: &mut Facts, element: &Element) -> Result<Arc<Spec>, spec::Invalid> {
    let specs = facts.context.specs.as_ref();
    let known = specs.and_then(|specs| specs.get(element.get("id")?));
    match known.filter(|known| known.element.ptr_eq(element)) {
        Some(known) => Ok(Arc::clone(known)),
        None => spec::read(facts, element),
    }
}

#[cfg(test)]
mod tests;
