//! Look-ups in the configuration as a whole: references by id, and the earliest time worth a new look.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::xml::Element;

/// The configuration, with an index that is only built when something refers by id.
#[derive(Debug, Default)]
pub(crate) struct Document {
    configuration: Option<Element>,
    index: OnceLock<BTreeMap<String, Vec<Element>>>,
}

impl Document {
    pub(crate) fn new(configuration: Option<&Element>) -> Self {
        Self {
            configuration: configuration.cloned(),
            index: OnceLock::new(),
        }
    }

    /// The element itself, or the unique element of the same tag that its `id-ref` names (spec 1 §1.10).
    pub(crate) fn resolve<'a>(&'a self, element: &'a Element) -> Option<&'a Element> {
        let Some(id) = element.get("id-ref") else {
            return Some(element);
        };
        let mut same = self
            .index()
            .get(id)?
            .iter()
            .filter(|candidate| candidate.tag() == element.tag());
        let found = same.next()?;
        same.next().is_none().then_some(found)
    }

    fn index(&self) -> &BTreeMap<String, Vec<Element>> {
        self.index.get_or_init(|| {
            let mut index: BTreeMap<String, Vec<Element>> = BTreeMap::new();
            let mut stack: Vec<&Element> = self.configuration.iter().collect();
            while let Some(element) = stack.pop() {
                if let Some(id) = element.get("id") {
                    index
                        .entry(id.to_owned())
                        .or_default()
                        .push(element.clone());
                }
                stack.extend(element.children());
            }
            index
        })
    }
}

/// The earliest time after now at which something would be decided otherwise (spec 1 §2). Every step may propose
/// one while it only reads the facts, so this is the one cell in them that still changes; it only ever shrinks.
#[derive(Debug)]
pub(crate) struct Recheck(AtomicI64);

impl Clone for Recheck {
    fn clone(&self) -> Self {
        Self(AtomicI64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Default for Recheck {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Recheck {
    pub(crate) fn propose(&self, now_s: i64, at_s: i64) {
        if at_s > now_s {
            self.0.fetch_min(at_s, Ordering::Relaxed);
        }
    }

    pub(crate) fn by(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&at| at != i64::MAX)
    }
}
