//! Making a resource of any kind from what was read: meta-attributes, marks, children, default location (spec 1 §9).

use std::sync::{Arc, OnceLock};

use super::options::QuorumPolicy;
use super::resource::{Definition, Flags, Group, Kind, MultipleActive, Requires, Rsc};
use super::rules::RuleInput;
use super::spec::{Invalid, Spec, Tag};
use super::{Facts, bundle, clone, meta, nvset};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodeset::NodeSet;
use crate::policy::nodetable::{Discovery, NodeTable};
use crate::policy::nvtable::NvTable;
use crate::policy::report::{Cause, Contribution};
use crate::terms::{Role, RscId, Score, span, text};

/// Makes the resource and everything below it. // spec 1 §9.1
pub(super) fn resource(
    facts: &mut Facts,
    spec: &Arc<Spec>,
    parent: Option<RscIdx>,
    instance: Option<u32>,
) -> Result<RscIdx, Invalid> {
    let meta = meta::build(facts, spec, parent, instance);
    let id = match instance {
        Some(number) => RscId::from(format!("{}:{number}", spec.id)),
        None => RscId::from(&*spec.id),
    };
    let at = facts.rscs.push(blank(spec, id, meta, parent, instance));
    facts.known.push(NodeSet::default());
    facts.context.resting.push(false);
    fill(facts, at);
    match spec.tag {
        Tag::Primitive => check_standard(facts, at)?,
        Tag::Group => group(facts, at, spec, instance)?,
        Tag::Clone => clone::unpack(facts, at, spec)?,
        Tag::Bundle => bundle::unpack(facts, at)?,
    }
    default_location(facts, at);
    let context = &facts.context;
    let input = RuleInput::at(context.now);
    let mut utilization = NvTable::new();
    let blocks = &spec.utilization;
    nvset::apply(
        blocks,
        &input,
        &context.document,
        &context.recheck,
        &mut utilization,
    );
    facts.rscs[at].utilization.add_missing(&utilization);
    Ok(at)
}

fn blank(
    spec: &Arc<Spec>,
    id: RscId,
    meta: NvTable,
    parent: Option<RscIdx>,
    instance: Option<u32>,
) -> Rsc {
    let definition = Definition {
        id,
        xml_id: RscId::from(&*spec.id),
        agent: spec.agent.clone(),
        element: spec.element.clone(),
        ops: Arc::clone(&spec.ops),
        instance,
        spec: Arc::clone(spec),
        plain_params: OnceLock::new(),
    };
    Rsc {
        definition: Arc::new(definition),
        history_id: None,
        parent,
        children: Vec::new(),
        kind: match spec.tag {
            Tag::Group => Kind::Group(Group {
                ordered: true,
                colocated: true,
            }),
            Tag::Primitive | Tag::Clone | Tag::Bundle => Kind::Primitive,
        },
        meta,
        utilization: NvTable::new(),
        flags: Flags::default(),
        priority: Score::ZERO,
        stickiness: Score::ZERO,
        threshold: Score::INFINITY,
        failure_timeout_ms: 0,
        reconnect_interval_ms: 0,
        multiple_active: MultipleActive::default(),
        requires: Requires::default(),
        target_role: None,
        role: Role::Stopped,
        next_role: Role::Unknown,
        active: Vec::new(),
        allowed: NodeTable::new(),
        launcher: None,
        launched: Vec::new(),
        pending: None,
        partial_source: None,
        partial_target: None,
        dangling_sources: Vec::new(),
        lock: None,
    }
}

/// Marks and values from the meta table. // spec 1 §9.3
fn fill(facts: &mut Facts, at: RscIdx) {
    let maintenance_mode = facts.options.maintenance_mode;
    let top = facts.top_of(at);
    let top_clone = matches!(facts.rscs[top].spec.tag, Tag::Clone);
    let rsc = &facts.rscs[at];
    let get = |name: &str| rsc.meta.get(name);
    let is_true = |name: &str| text::is_true(get(name));
    let agent = &rsc.agent;
    let primitive = rsc.spec.tag == Tag::Primitive;
    let same = |text: &str, word: &str| text.eq_ignore_ascii_case(word);

    let managed = match get("is-managed") {
        None => !maintenance_mode,
        Some(word) if same(word, "default") => !maintenance_mode,
        given => text::is_true(given),
    };
    let mut flags = Flags {
        managed,
        ..Flags::default()
    };
    if is_true("maintenance") || maintenance_mode {
        flags.managed = false;
        flags.maintenance = true;
    }
    flags.critical = nvset::unset_or_true(get("critical"));
    flags.notify = is_true("notify");
    flags.connection = primitive
        && same(&agent.class, "ocf")
        && agent
            .provider
            .as_deref()
            .is_some_and(|provider| same(provider, "pacemaker"))
        && same(&agent.kind, "remote");
    let guest_connection = flags.connection && get("container").is_some();
    let remote_connection = flags.connection && !guest_connection;
    flags.migratable = match get("allow-migrate") {
        None => remote_connection,
        given => text::is_true(given),
    };
    flags.unique = !top_clone
        || match get("globally-unique") {
            Some(_) => is_true("globally-unique"),
            None => text::at_least(get("clone-node-max"), 1) > 1,
        };
    flags.promotable = top_clone && is_true("promotable");
    flags.fence_device = primitive && same(&agent.class, "stonith");
    flags.internal = is_true("internal_rsc");

    let score = |name: &str| get(name).and_then(|value| facts.score(value));
    let priority = score("priority").unwrap_or(Score::ZERO);
    let stickiness = score("resource-stickiness").unwrap_or(Score::ZERO);
    let threshold = score("migration-threshold")
        .filter(|&threshold| threshold >= Score::ZERO)
        .unwrap_or(Score::INFINITY);
    let multiple_active = match get("multiple-active")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("stop_only") => MultipleActive::StopOnly,
        Some("block") => MultipleActive::Block,
        Some("stop_unexpected") => MultipleActive::StopUnexpected,
        _ => MultipleActive::StopStart,
    };
    let requires = requires(facts, at, flags);
    let mut failure_timeout_ms = span::ms_or_zero(get("failure-timeout"));
    let mut reconnect_interval_ms = 0;
    if remote_connection && let Some(interval) = facts.params(at, None).get("reconnect_interval") {
        reconnect_interval_ms = span::ms_or_zero(Some(interval));
        failure_timeout_ms = reconnect_interval_ms;
    }
    let promotable_top = top_clone && text::is_true(facts.rscs[top].meta.get("promotable"));
    let target_role = target_role(get("target-role"), promotable_top);
    let plain_group = Group {
        ordered: nvset::unset_or_true(get("ordered")),
        colocated: nvset::unset_or_true(get("collocated")),
    };
    facts.fence_device_known |= flags.fence_device;
    let rsc = &mut facts.rscs[at];
    rsc.flags = flags;
    rsc.priority = priority;
    rsc.stickiness = stickiness;
    rsc.threshold = threshold;
    rsc.multiple_active = multiple_active;
    rsc.requires = requires;
    rsc.failure_timeout_ms = failure_timeout_ms;
    rsc.reconnect_interval_ms = reconnect_interval_ms;
    rsc.target_role = target_role;
    rsc.next_role = target_role.unwrap_or(Role::Unknown);
    if let Kind::Group(group) = &mut rsc.kind {
        *group = plain_group;
    }
}

/// A request, if it is one. // spec 1 §9.6
pub(super) fn target_role(text: Option<&str>, promotable: bool) -> Option<Role> {
    match text.and_then(Role::parse)? {
        Role::Stopped => Some(Role::Stopped),
        Role::Unpromoted if promotable => Some(Role::Unpromoted),
        _ => None,
    }
}

// spec 1 §9.5
fn requires(facts: &Facts, at: RscIdx, flags: Flags) -> Requires {
    let options = &facts.options;
    let given = facts.rscs[at]
        .meta
        .get("requires")
        .map(str::to_ascii_lowercase);
    match given.as_deref() {
        Some("nothing") => Requires::Nothing,
        Some("quorum") => Requires::Quorum,
        Some("fencing") => Requires::Fencing,
        Some("unfencing") if flags.fence_device || !options.fencing_enabled => Requires::Quorum,
        Some("unfencing") => Requires::Unfencing,
        _ if flags.fence_device || flags.connection => Requires::Quorum,
        _ if facts.unfencing => Requires::Unfencing,
        _ if options.fencing_enabled => Requires::Fencing,
        _ if options.no_quorum_policy == QuorumPolicy::Ignore => Requires::Nothing,
        _ => Requires::Quorum,
    }
}

// spec 1 §12
fn group(facts: &mut Facts, at: RscIdx, spec: &Spec, instance: Option<u32>) -> Result<(), Invalid> {
    for member in &spec.children {
        let member = resource(facts, member, Some(at), instance)?;
        facts.rscs[at].children.push(member);
    }
    Ok(())
}

// What agents can do limits what clones can be. // spec 1 §1.9, §13.2
fn check_standard(facts: &mut Facts, at: RscIdx) -> Result<(), Invalid> {
    let top = facts.top_of(at);
    if facts.rscs[top].spec.tag != Tag::Clone {
        return Ok(());
    }
    let class = facts.rscs[at].agent.class.to_ascii_lowercase();
    if facts.rscs[top].flags.promotable && class != "ocf" {
        let id = &facts.rscs[at].id;
        return Err(format!(
            "Resource {id} is of type {class} and therefore cannot be used as a promotable clone resource"
        ));
    }
    if matches!(class.as_str(), "ocf" | "stonith") {
        return Ok(());
    }
    if facts.rscs[top].flags.unique {
        clone::force_anonymous(facts, top, at);
    } else {
        // Quirk: its neighbours in a cloned group stay as they say, from the second instance on.
        // Case: force-anon-clone-max.
        facts.rscs[at].flags.unique = false;
    }
    Ok(())
}

/// Where it may run if nothing else is said. // spec 1 §9.4
fn default_location(facts: &mut Facts, at: RscIdx) {
    if facts.options.symmetric_cluster {
        // Children got theirs when they were made, and adding 0 again changes nothing.
        if facts.rscs[at].flags.exclusive_discovery {
            return;
        }
        for &node in &facts.node_order {
            let it = &facts.nodes[node];
            if it.discovery != Discovery::Never {
                facts.rscs[at]
                    .allowed
                    .or_insert(node, it.base_score, it.discovery);
            }
        }
    } else if facts.rscs[at].flags.connection && facts.rscs[at].meta.contains("container") {
        for node in facts.node_order.clone() {
            facts.add_location(at, node, Score::ZERO, None);
        }
    }
}

impl Facts {
    /// "Location score S for node n": children first, then the resource. // spec 1 §9.4
    pub(super) fn add_location(
        &mut self,
        rsc: RscIdx,
        node: NodeIdx,
        score: Score,
        cause: Option<&Cause>,
    ) {
        for at in 0..self.rscs[rsc].children.len() {
            self.add_location(self.rscs[rsc].children[at], node, score, cause);
        }
        let (base, discovery) = (self.nodes[node].base_score, self.nodes[node].discovery);
        let entry = self.rscs[rsc].allowed.or_insert(node, base, discovery);
        entry.score += score;
        if let Some(cause) = cause.filter(|_| self.context.causes) {
            let cause = cause.clone();
            self.contributions.push(Contribution {
                rsc,
                node: Some(node),
                score,
                cause,
            });
        }
    }

    /// The same for every node of the node list.
    pub(super) fn add_location_everywhere(&mut self, rsc: RscIdx, score: Score, cause: &Cause) {
        for node in self.node_order.clone() {
            self.add_location(rsc, node, score, Some(cause));
        }
    }

    /// Replaces the allowed nodes by all nodes with -INFINITY.
    pub(super) fn ban_everywhere(&mut self, rsc: RscIdx, cause: &Cause) {
        let mut table = NodeTable::new();
        for &node in &self.node_order {
            let discovery = self.nodes[node].discovery;
            table.or_insert(node, Score::MINUS_INFINITY, discovery);
        }
        self.rscs[rsc].allowed = table;
        if self.context.causes {
            let (score, cause) = (Score::MINUS_INFINITY, cause.clone());
            self.contributions.push(Contribution {
                rsc,
                node: None,
                score,
                cause,
            });
        }
    }

    /// Makes a resource findable, with everything below it.
    pub(super) fn register(&mut self, rsc: RscIdx) {
        for at in self.descend(rsc) {
            let id = crate::policy::nvtable::Str::from(self.rscs[at].id.as_str());
            self.context.names.entry(id).or_insert(at);
        }
    }
}
