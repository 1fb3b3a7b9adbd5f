//! Sets of names and values for those who decide nothing: alerts and the like. The same rules and the same order as in a
//! decision, of one set or of all sets of an element.

use super::NvTable;
use super::facts::document::{Document, Recheck};
use super::facts::nvset;
use super::facts::rules::{self, RuleInput};
use crate::terms::{DateTime, HealthScores};
use crate::xml::Element;

/// A configuration at one moment.
#[derive(Debug)]
pub struct SetsAt {
    document: Document,
    now: DateTime,
}

impl SetsAt {
    /// Sets and rules are followed through references below `configuration`.
    #[must_use]
    pub fn new(configuration: Option<&Element>, now_s: i64, utc_offset_s: i32) -> Self {
        Self {
            document: Document::new(configuration),
            now: DateTime::from_epoch(now_s).at_offset(utc_offset_s),
        }
    }

    /// What all sets of this tag in `parent` give: those with a rule only while it passes. // spec 1 §4
    #[must_use]
    pub fn values(&self, parent: &Element, tag: &str) -> NvTable {
        let blocks = nvset::collect(parent, tag, &self.document, HealthScores::default(), None);
        let (input, recheck) = (RuleInput::at(self.now), Recheck::default());
        let mut table = NvTable::new();
        nvset::apply(&blocks, &input, &self.document, &recheck, &mut table);
        table
    }

    /// Names and values, as written, of the first set of this tag in `parent` that has no rule or one that passes. A missing
    /// value is empty.
    #[must_use]
    pub fn first(&self, parent: &Element, tag: &str) -> Vec<(String, String)> {
        let sets = parent.children().filter(|child| child.tag() == tag);
        let mut sets = sets.filter_map(|set| self.document.resolve(set));
        let Some(set) = sets.find(|set| self.counts(set)) else {
            return Vec::new();
        };
        let pairs = set.children().filter(|pair| pair.tag() == "nvpair");
        let pairs = pairs.filter_map(|pair| {
            let target = self.document.resolve(pair)?;
            let name = pair.get("name").or_else(|| target.get("name"))?;
            Some((
                name.to_owned(),
                target.get("value").unwrap_or("").to_owned(),
            ))
        });
        pairs.collect()
    }

    fn counts(&self, set: &Element) -> bool {
        let rule = set.children().find(|child| child.tag() == "rule");
        rule.is_none_or(|rule| {
            let (input, recheck) = (RuleInput::at(self.now), Recheck::default());
            rules::passes(rule, &input, &self.document, &recheck)
        })
    }
}
