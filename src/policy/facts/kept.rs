//! What one decision leaves for the next one. A CIB is an immutable tree in which a change copies one path, so what an
//! element says can be kept for as long as the element is the same one: nobody has to say what changed, and nothing kept
//! can be out of date.
//!
//! Three things are worth keeping. A history entry as read depends on its element alone. A resource's definition depends on
//! its element and on what is the same for all resources (`Basis`). And all facts as they are before the status section is
//! read depend on the configuration, as long as no rule in it looks at the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::Recorded;
use super::spec::{Spec, Tag};
use super::{Context, Facts};
use crate::policy::input::Input;
use crate::policy::nvtable::Str;
use crate::terms::{DateTime, HealthScores};
use crate::xml::Element;

/// Kept between decisions on CIBs that share most of their elements. A decision is the same with it and without.
#[derive(Debug, Default)]
pub struct Kept {
    /// History by id of the node, in document order.
    history: BTreeMap<Str, Vec<Arc<Recorded>>>,
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
            && known.input.utc_offset_s == input.utc_offset_s;
        if !same {
            return None;
        }
        let mut facts = known.facts.clone();
        facts.now_s = input.now_s;
        facts.context.now = DateTime::from_epoch(input.now_s).at_offset(input.utc_offset_s);
        facts.context.status = cib.child("status").cloned();
        facts.context.recorded = std::mem::take(&mut self.history);
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
        facts.context.recorded = std::mem::take(&mut self.history);
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
        for entry in &facts.history {
            let node = &facts.nodes[entry.node].id;
            let of_node = match self.history.get_mut(node) {
                Some(of_node) => of_node,
                None => self.history.entry(Arc::clone(node)).or_default(),
            };
            of_node.push(Arc::clone(&entry.recorded));
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
    let sections = READ
        .iter()
        .filter_map(|name| cib.descend(&["configuration", name]));
    !sections
        .flat_map(Element::descendants)
        .any(|element| element.is("rule"))
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

/// History of one node as it was, to be walked along with what is written there now.
#[derive(Debug, Default)]
pub(super) struct Before {
    entries: Vec<Arc<Recorded>>,
    at: usize,
}

impl Before {
    /// How far ahead an entry is looked for where some were removed.
    const AHEAD: usize = 16;

    pub(super) fn of(context: &mut Context, node: &str) -> Self {
        Self {
            entries: context.recorded.remove(node).unwrap_or_default(),
            at: 0,
        }
    }

    /// The entry as read before, or read now.
    pub(super) fn read(&mut self, element: &Element) -> Arc<Recorded> {
        let ahead = self.entries.iter().skip(self.at).take(Self::AHEAD);
        let found = ahead
            .enumerate()
            .find(|(_, known)| known.element.ptr_eq(element));
        if let Some((skipped, known)) = found {
            let known = Arc::clone(known);
            self.at += skipped + 1;
            return known;
        }
        // One that changed stands where it stood.
        let replaced = self.entries.get(self.at);
        if replaced.is_some_and(|known| Some(known.id()) == element.get("id")) {
            self.at += 1;
        }
        Arc::new(Recorded::read(element))
    }
}
