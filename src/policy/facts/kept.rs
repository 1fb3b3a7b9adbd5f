//! What one decision leaves for the next one. A CIB is an immutable tree in which a change copies one path, so what an
//! element says can be kept for as long as the element is the same one: nobody has to say what changed, and nothing kept
//! can be out of date.
//!
//! Three things are worth keeping. A history entry as read depends on its element alone. A resource's definition depends on
//! its element and on what is the same for all resources (`Basis`). And all facts as they are before the status section is
//! read depend on the configuration, as long as no rule in it looks at the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Facts;
use super::history::Recorded;
use super::spec::{Spec, Tag};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::input::Input;
use crate::policy::nvtable::Str;
use crate::terms::{DateTime, HealthScores};
use crate::xml::Element;

/// Kept between decisions on CIBs that share most of their elements. A decision is the same with it and without.
#[derive(Debug, Default)]
pub struct Kept {
    /// History by id of the node.
    history: BTreeMap<Str, Written>,
    basis: Basis,
    specs: BTreeMap<Str, Arc<Spec>>,
    configured: Option<Configured>,
}

/// What all definitions depend on.
#[derive(Debug, Default, Clone)]
struct Basis {
    op_defaults: Option<Element>,
    health: HealthScores,
    feature_set: Str,
    sanitized: bool,
}

impl Basis {
    fn same(&self, other: &Self) -> bool {
        let same_defaults = match (&self.op_defaults, &other.op_defaults) {
            (None, None) => true,
            // What they refer to may have changed elsewhere.
            (Some(a), Some(b)) => a.ptr_eq(b) && stands_alone(a),
            _ => false,
        };
        same_defaults
            && self.health == other.health
            && self.feature_set == other.feature_set
            && self.sanitized == other.sanitized
    }
}

/// Facts before the status section.
#[derive(Debug)]
struct Configured {
    root: Element,
    input: Input,
    facts: Facts,
}

impl Kept {
    /// The facts before the status section, if they are as they were.
    pub(super) fn configured(&mut self, cib: &Element, input: &Input) -> Option<Facts> {
        let known = self.configured.as_ref()?;
        let configuration = |root: &Element| root.child("configuration").cloned();
        let same = configuration(&known.root)?.ptr_eq(&configuration(cib)?)
            && same_root(&known.root, cib)
            && known.input.quorum == input.quorum
            && known.input.sanitized == input.sanitized
            && known.input.causes == input.causes
            && known.input.scores == input.scores
            && known.input.utc_offset_s == input.utc_offset_s;
        if !same {
            return None;
        }
        let mut facts = known.facts.clone();
        facts.now_s = input.now_s;
        facts.context.now = DateTime::from_epoch(input.now_s).at_offset(input.utc_offset_s);
        facts.context.status = cib.child("status").cloned();
        facts.context.recorded = Recordings {
            nodes: std::mem::take(&mut self.history),
            same_configuration: true,
        };
        Some(facts)
    }

    /// Lends what is kept of definitions and history to facts that are about to be read.
    pub(super) fn lend(&mut self, facts: &mut Facts, op_defaults: Option<&Element>) {
        let basis = Basis {
            op_defaults: op_defaults.cloned(),
            health: facts.options.health,
            feature_set: Arc::clone(&facts.feature_set),
            sanitized: facts.sanitized,
        };
        if !self.basis.same(&basis) {
            self.specs.clear();
        }
        self.basis = basis;
        facts.context.specs = Some(std::mem::take(&mut self.specs));
        facts.context.recorded = Recordings {
            nodes: std::mem::take(&mut self.history),
            same_configuration: false,
        };
    }

    /// Takes definitions back, and remembers the facts before the status section.
    pub(super) fn take_configured(&mut self, facts: &mut Facts, cib: &Element, input: &Input) {
        let specs = facts.rscs.iter().filter(|rsc| rsc.parent.is_none());
        let lasting = specs.filter(|rsc| stands_alone(&rsc.spec.element) && is_whole(&rsc.spec));
        self.specs = lasting
            .map(|rsc| (Arc::clone(&rsc.spec.id), Arc::clone(&rsc.spec)))
            .collect();
        facts.context.specs = None;
        self.configured = is_timeless(cib).then(|| Configured {
            root: without_status(cib),
            input: input.clone(),
            facts: facts.clone(),
        });
    }

    /// Keeps the history that was read.
    pub(super) fn take_history(&mut self, facts: &Facts) {
        for (node, written) in facts.history.written() {
            let node = Arc::clone(&facts.nodes[node].id);
            self.history.insert(node, written.clone());
        }
    }
}

/// The CIB without what would keep a whole status section in memory.
fn without_status(cib: &Element) -> Element {
    let mut root = cib.without_children();
    root.nodes_mut()
        .extend(cib.child("configuration").cloned().map(Into::into));
    root
}

/// Whether the element, a definition or defaults, looks at nothing outside of itself.
fn stands_alone(element: &Element) -> bool {
    !element
        .descendants()
        .any(|at| at.has("id-ref") || at.has("template"))
}

/// Whether reading the definition left nothing out: of what was left out is to be warned each time.
fn is_whole(spec: &Spec) -> bool {
    let members = || spec.element.children_named("primitive").count();
    (spec.tag != Tag::Group || spec.children.len() == members())
        && spec.children.iter().all(|child| is_whole(child))
}

/// Whether nothing that is read before the status section depends on the time.
fn is_timeless(cib: &Element) -> bool {
    const READ: [&str; 5] = [
        "crm_config",
        "rsc_defaults",
        "op_defaults",
        "nodes",
        "resources",
    ];
    let ruled = |section: &Element| section.descendants().any(|element| element.is("rule"));
    let sections: Vec<&Element> = READ
        .iter()
        .filter_map(|name| cib.descend(&["configuration", name]))
        .collect();
    // What is referred to may stand in any other section.
    let mut all = sections.iter().flat_map(|section| section.descendants());
    let refers = all.any(|element| element.has("id-ref"));
    let elsewhere = || cib.child("configuration").is_some_and(ruled);
    !sections.into_iter().any(ruled) && !(refers && elsewhere())
}

/// Whether the attributes of two CIBs are the same, versions and signatures of the last writer aside.
fn same_root(a: &Element, b: &Element) -> bool {
    const OF_THE_VERSION: [&str; 7] = [
        "admin_epoch",
        "epoch",
        "num_updates",
        "cib-last-written",
        "update-origin",
        "update-client",
        "update-user",
    ];
    let counts = |(name, _): &(&str, &str)| !OF_THE_VERSION.contains(name);
    let sorted = |root: &Element| {
        let mut attrs: Vec<(String, String)> = root
            .attrs()
            .filter(counts)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        attrs.sort();
        attrs
    };
    sorted(a) == sorted(b)
}

/// What is written of one node, as read. An entry as read depends on its element; whom it is about, on the configuration.
#[derive(Debug, Clone)]
pub(super) struct Written {
    resources: Element,
    pub(super) entries: Arc<[Known]>,
}

/// One `lrm_resource`, as far as it is the same in all decisions on one configuration.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) recorded: Arc<Recorded>,
    /// The element once more: what is compared for each entry of a large history has to be close by.
    element: Element,
    /// Whom it is about, if nothing but the configuration decides that.
    pub(super) plain: Option<RscIdx>,
    /// Nothing but a probe of such a resource that found nothing, by the agent that is configured.
    pub(super) idle: bool,
}

impl Known {
    fn of(facts: &Facts, recorded: Arc<Recorded>) -> Self {
        let plain = facts.plain_in_history(recorded.id());
        let idle = plain.is_some_and(|rsc| recorded.absent && recorded.is_of(&facts.rscs[rsc]));
        Self {
            element: recorded.element.clone(),
            recorded,
            plain,
            idle,
        }
    }
}

/// History as it was read for the decision before.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// By id of the node.
    nodes: BTreeMap<Str, Written>,
    /// Whether the configuration was the same then.
    same_configuration: bool,
}

/// What is written of a node in this `lrm_resources`: as read before, where it is the same.
pub(super) fn written(facts: &mut Facts, node: NodeIdx, resources: &Element) -> Written {
    let known = facts.context.recorded.nodes.remove(&facts.nodes[node].id);
    let valid = facts.context.recorded.same_configuration;
    if let Some(known) = &known
        && valid
        && known.resources.ptr_eq(resources)
    {
        return known.clone();
    }
    let mut before = Before {
        entries: known.map(|known| known.entries).unwrap_or_default(),
        at: 0,
    };
    let elements = resources.children_named("lrm_resource");
    let read = |element| match before.find(element) {
        Some(known) if valid => known.clone(),
        Some(known) => Known::of(facts, Arc::clone(&known.recorded)),
        None => Known::of(facts, Arc::new(Recorded::read(element))),
    };
    Written {
        resources: resources.clone(),
        entries: elements.map(read).collect(),
    }
}

/// History of one node as it was, to be walked along with what is written there now.
struct Before {
    entries: Arc<[Known]>,
    at: usize,
}

impl Before {
    /// How far ahead an entry is looked for where some were removed.
    const AHEAD: usize = 16;

    /// The entry as read before.
    fn find(&mut self, element: &Element) -> Option<&Known> {
        let ahead = self.entries.iter().skip(self.at).take(Self::AHEAD);
        let found = ahead
            .enumerate()
            .find(|(_, known)| known.element.ptr_eq(element));
        if let Some((skipped, known)) = found {
            self.at += skipped + 1;
            return Some(known);
        }
        // One that changed stands where it stood.
        let replaced = self.entries.get(self.at);
        if replaced.is_some_and(|known| Some(known.recorded.id()) == element.get("id")) {
            self.at += 1;
        }
        None
    }
}
