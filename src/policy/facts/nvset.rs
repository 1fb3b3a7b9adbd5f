//! Attribute sets: blocks of nvpairs merged by precedence (spec 1 §4).
//!
//! Blocks are put in order of processing once; evaluating them is then a walk that adds what is missing.

use std::sync::Arc;

use super::document::{Document, Recheck};
use super::rules::{self, RuleInput};
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::{HealthScores, text};
use crate::xml::Element;

/// One block: `meta_attributes`, `instance_attributes`, `utilization`, `cluster_property_set`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The first rule, if any; the block only counts where it passes.
    pub(crate) rule: Option<Element>,
    /// Names and values; no value means `#default`: forget the name.
    pub(crate) pairs: Vec<(Str, Option<Str>)>,
}

/// Blocks in order of processing.
pub(crate) type Blocks = Arc<[Block]>;

/// The blocks of `parent` with this tag, in order of processing: by score, later ones first on ties, and before
/// all others the one with the id `first`. // spec 1 §4.1, §4.2
pub(crate) fn collect(
    parent: &Element,
    tag: &str,
    document: &Document,
    health: HealthScores,
    first: Option<&str>,
) -> Blocks {
    let mut found: Vec<(bool, i32, Block)> = Vec::new();
    for child in parent.children().filter(|child| child.tag() == tag) {
        let Some(block) = document.resolve(child) else {
            continue;
        };
        let score = block.get("score").and_then(|score| health.parse(score));
        let is_first = first.is_some_and(|first| block.get("id") == Some(first));
        let rule = block
            .children()
            .find(|child| child.tag() == "rule")
            .and_then(|rule| document.resolve(rule))
            .cloned();
        let pairs = block
            .children()
            .filter_map(|pair| read_pair(pair, document))
            .collect();
        found.push((
            is_first,
            score.unwrap_or_default().value(),
            Block { rule, pairs },
        ));
    }
    found.reverse();
    found.sort_by_key(|(is_first, score, _)| (!is_first, std::cmp::Reverse(*score)));
    found.into_iter().map(|(_, _, block)| block).collect()
}

// spec 1 §4.3, and §3.4 point 1: the referenced value under a name of one's own.
fn read_pair(pair: &Element, document: &Document) -> Option<(Str, Option<Str>)> {
    if pair.tag() != "nvpair" {
        return None;
    }
    let target = document.resolve(pair)?;
    let name = pair.get("name").or_else(|| target.get("name"))?;
    let value = target.get("value")?;
    Some((
        name.into(),
        (!value.eq_ignore_ascii_case("#default")).then(|| value.into()),
    ))
}

/// Whether what the blocks yield depends on more than themselves.
pub(crate) fn have_rules(blocks: &[Block]) -> bool {
    blocks.iter().any(|block| block.rule.is_some())
}

/// Adds what the blocks give to the table; names already there stay. // spec 1 §4.2
pub(crate) fn apply(
    blocks: &[Block],
    input: &RuleInput<'_>,
    document: &Document,
    recheck: &Recheck,
    table: &mut NvTable,
) {
    for block in blocks {
        if let Some(rule) = &block.rule
            && !rules::passes(rule, input, document, recheck)
        {
            continue;
        }
        for (name, value) in &block.pairs {
            match value {
                None => {
                    table.remove(name);
                }
                Some(value) => {
                    table.add(Arc::clone(name), Arc::clone(value));
                }
            }
        }
    }
}

/// `unset or true`: true unless the text says otherwise clearly.
pub(crate) fn unset_or_true(value: Option<&str>) -> bool {
    value.is_none() || text::is_true(value)
}
