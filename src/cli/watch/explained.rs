//! Where series 3.0 differs from 2.1 by the specification, so that an older program may be asked.
//!
//! Each explanation says which resources it touches in this case. What is said about these, and about all that is linked to
//! them by constraints, is left out on both sides; the rest must be the same. Some differences are single rows of the
//! graph that change nothing else; these are taken out one by one (`rows.rs`).

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::facts::{self, Facts, Kind};
use crate::policy::{Input, RscIdx};
use crate::xml::Element;

use super::Answer;
use super::reasons::{EXPLAINED, Explained};
use super::rows::{join, of_action, split, without_probes};

/// Ids of outermost resources.
pub(super) type Tops = BTreeSet<String>;

/// What both sides said about a CIB, and what the policy takes for true in it.
#[derive(Debug)]
pub struct Case<'c> {
    pub(super) cib: &'c Element,
    pub(super) theirs: Answer,
    pub(super) ours: Answer,
    pub(super) facts: Facts,
    /// The outermost resource that something is, or is in.
    top: BTreeMap<String, String>,
}

impl<'c> Case<'c> {
    /// All that is known of a case.
    #[must_use]
    pub fn new(cib: &'c Element, input: &Input, theirs: Answer, ours: Answer) -> Self {
        let resources = cib.descend(&["configuration", "resources"]);
        let mut top = BTreeMap::new();
        for outer in resources.into_iter().flat_map(Element::children) {
            for inner in outer.descendants() {
                if let (Some(id), Some(outer)) = (inner.id(), outer.id()) {
                    top.insert(id.to_owned(), outer.to_owned());
                }
            }
        }
        let facts = facts::read(cib, input);
        Case {
            cib,
            theirs,
            ours,
            facts,
            top,
        }
    }

    /// The explanations that are enough; nothing when even all of them are not.
    #[must_use]
    pub fn explained(mut self) -> Option<String> {
        let none = Tops::new();
        if self.theirs.summary == self.ours.summary
            && self.theirs.scores == self.ours.scores
            && self.same_but_for(&none, false)
        {
            return Some("more actions wait for probes (spec 3 §7.2, §20)".to_owned());
        }
        (self.theirs.scores, self.ours.scores) = self.without_rules_on_unusable_nodes();
        if self.same_but_for(&none, false) {
            return Some("rules count on nodes that can run nothing (spec 2 §7.4)".to_owned());
        }
        let at_work: Vec<(&Explained, Tops)> = EXPLAINED
            .iter()
            .map(|one| (one, (one.touches)(&self)))
            .filter(|(_, tops)| !tops.is_empty())
            .collect();
        // Those first that need no more to be left out.
        for ties in [false, true] {
            let single = at_work
                .iter()
                .find(|(_, tops)| self.same_but_for(tops, ties));
            if let Some((one, _)) = single {
                let then = if ties {
                    ", and then other nodes are taken among equals"
                } else {
                    ""
                };
                return Some(format!("{}{then} ({})", one.what, one.spec));
            }
            let all: Tops = at_work.iter().flat_map(|(_, tops)| tops.clone()).collect();
            if at_work.len() > 1 && self.same_but_for(&all, ties) {
                return Some("several of these together".to_owned());
            }
        }
        None
    }

    /// Whether the rest is the same. With `ties`, a resource also counts as touched when both sides give its nodes the same
    /// scores and take another one of the best: then the number of resources on each node decided, and that depends on
    /// all that was placed before. (spec 2 §4.2)
    fn same_but_for(&self, touched: &Tops, ties: bool) -> bool {
        let mut touched = self.linked(touched);
        loop {
            let rest = |answer: &Answer| Answer {
                summary: self.lines(&answer.summary, &touched, of_summary),
                scores: self.lines(&answer.scores, &touched, |line| line.split(' ').next()),
                // More waiting for probes may come on top.
                graph: without_probes(&self.graph(&answer.graph, &touched)),
            };
            let (theirs, ours) = (rest(&self.theirs), rest(&self.ours));
            if theirs == ours {
                return true;
            }
            if !ties {
                return false;
            }
            // What is placed with it has other scores then; its own must be the same.
            let weighed = |rsc: &str| {
                let [there, here] = [&theirs, &ours].map(|answer| scores_of(rsc, &answer.scores));
                theirs.scores == ours.scores || (!here.is_empty() && there == here)
            };
            let other =
                |line: &&String| !(theirs.summary.contains(*line) && ours.summary.contains(*line));
            let lines = theirs.summary.iter().chain(&ours.summary).filter(other);
            let tied: Tops = lines
                .filter_map(|line| of_summary(line))
                .filter(|rsc| weighed(rsc) && self.has_equals(rsc, &ours.scores))
                .filter_map(|rsc| self.top(rsc))
                .map(str::to_owned)
                .collect();
            if tied.is_subset(&touched) {
                return false;
            }
            touched.extend(self.linked(&tied));
        }
    }

    /// Whether two nodes are the best for it among those that can run something. What instances think of nodes is not compared, so it is not looked at.
    fn has_equals(&self, rsc: &str, scores: &[String]) -> bool {
        let score = |rest: &str| {
            let (node, score) = rest.split_once(": ")?;
            if !self.usable(node) {
                return None;
            }
            let score = match score {
                "INFINITY" => 1_000_000,
                "-INFINITY" => -1_000_000,
                number => number.parse::<i64>().ok()?,
            };
            Some((node.to_owned(), score))
        };
        let best: BTreeMap<String, i64> = scores_of(rsc, scores)
            .into_iter()
            .filter_map(score)
            .collect();
        let most = best.values().max();
        best.is_empty() || best.values().filter(|value| Some(*value) == most).count() > 1
    }

    pub(super) fn top(&self, rsc: &str) -> Option<&str> {
        let base = rsc.split(':').next().unwrap_or(rsc);
        // Parts of bundles stand in no CIB.
        let implied = || {
            let root = self.facts.root_of(self.facts.rsc_by_id(rsc)?);
            self.top.get(self.facts.rscs[root].id.as_str())
        };
        self.top.get(base).or_else(implied).map(String::as_str)
    }

    /// With everything that constraints link to it, however indirectly.
    fn linked(&self, tops: &Tops) -> Tops {
        let constraints = self.cib.descend(&["configuration", "constraints"]);
        let groups: Vec<Tops> = constraints
            .into_iter()
            .flat_map(Element::children)
            .filter(|one| one.is("rsc_colocation") || one.is("rsc_order"))
            .map(|one| self.named_in(one))
            .collect();
        let mut linked = tops.clone();
        loop {
            let before = linked.len();
            for group in &groups {
                if !group.is_disjoint(&linked) {
                    linked.extend(group.iter().cloned());
                }
            }
            if linked.len() == before {
                return linked;
            }
        }
    }

    pub(super) fn named_in(&self, constraint: &Element) -> Tops {
        let ends = ["rsc", "with-rsc", "first", "then"];
        let named = ends.iter().filter_map(|end| constraint.get(end));
        let in_sets = constraint
            .descendants()
            .filter(|e| e.is("resource_ref"))
            .filter_map(Element::id);
        let ids = named.chain(in_sets);
        ids.filter_map(|id| self.top(id))
            .map(str::to_owned)
            .collect()
    }

    fn lines(
        &self,
        lines: &[String],
        touched: &Tops,
        rsc: fn(&str) -> Option<&str>,
    ) -> Vec<String> {
        let untouched = |line: &&String| {
            let top = rsc(line).and_then(|rsc| self.top(rsc));
            top.is_none_or(|top| !touched.contains(top))
        };
        lines.iter().filter(untouched).cloned().collect()
    }

    fn graph(&self, rows: &[String], touched: &Tops) -> Vec<String> {
        let untouched = |action: &str| {
            if let Some(order) = self.of_order(action) {
                return self.named_in(order).is_disjoint(touched);
            }
            let top = of_action(action).and_then(|rsc| self.top(rsc));
            top.is_none_or(|top| !touched.contains(top))
        };
        let rows = rows.iter().filter_map(|row| {
            let (action, inputs) = split(row)?;
            // A node that leaves waits until nothing runs on it, or does not leave.
            let leaves = action.starts_with("crm_event do_shutdown-");
            let stays = leaves && !inputs.iter().all(|input| untouched(input));
            (untouched(action) && !stays).then(|| {
                let inputs: Vec<&str> = inputs.into_iter().filter(|one| untouched(one)).collect();
                join(action, &inputs)
            })
        });
        rows.collect()
    }

    /// The order of `pseudo_event clone-one-or-more:ord-1 ...`, and of the same for one of its sets.
    fn of_order(&self, action: &str) -> Option<&Element> {
        let key = action.split(' ').nth(1)?;
        let (_, id) = key.split_once("one-or-more:")?;
        let mut orders = self.cib.descendants().filter(|e| e.is("rsc_order"));
        orders
            .find(|order| order.id() == Some(id) || order.descendants().any(|e| e.id() == Some(id)))
    }

    /// Whether a node can run anything.
    fn usable(&self, name: &str) -> bool {
        let node = self.facts.node_by_name(name);
        node.map(|node| &self.facts.nodes[node])
            .is_some_and(|node| {
                node.online && !node.unclean && !node.pending && !node.shutdown && !node.standby
            })
    }

    /// On a node that can't run anything 2.1 lets a rule with `or` say nothing. (spec 2 §7.4)
    fn without_rules_on_unusable_nodes(&self) -> (Vec<String>, Vec<String>) {
        let ruled = |one: &&Element| {
            one.is("rsc_location")
                && one
                    .children_named("rule")
                    .any(|rule| rule.get("boolean-op") == Some("or"))
        };
        let rules = self.cib.descendants().filter(ruled);
        let tops: Tops = rules.flat_map(|one| self.named_in(one)).collect();
        let tops = self.linked(&tops);
        let kept = |line: &&String| {
            let mut words = line.split_whitespace();
            let top = words.next().and_then(|rsc| self.top(rsc));
            let node = words.find(|word| word.ends_with(':')).unwrap_or_default();
            top.is_none_or(|top| !tops.contains(top)) || self.usable(node.trim_end_matches(':'))
        };
        let keep = |lines: &[String]| lines.iter().filter(kept).cloned().collect();
        (keep(&self.theirs.scores), keep(&self.ours.scores))
    }

    pub(super) fn top_named(&self, rsc: RscIdx) -> Option<String> {
        let root = self.facts.root_of(rsc);
        let id = self.facts.rscs[root].id.to_string();
        self.top(&id).map(str::to_owned)
    }

    pub(super) fn clones(&self) -> impl Iterator<Item = RscIdx> {
        let is_clone = |rsc: &RscIdx| matches!(self.facts.rscs[*rsc].kind, Kind::Clone(_));
        self.facts.rscs.indexes().filter(is_clone)
    }
}

/// What lines like `r-1 allocation score on n1: 5` say of a resource: `n1: 5`.
fn scores_of<'a>(rsc: &str, lines: &'a [String]) -> Vec<&'a str> {
    let score = |line: &'a String| {
        line.strip_prefix(rsc)?
            .strip_prefix(" allocation score on ")
    };
    lines.iter().filter_map(score).collect()
}

/// The resource of `* Move r-1 ( n1 -> n2 )`.
pub(super) fn of_summary(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip(1);
    (words.next() != Some("Fence"))
        .then(|| words.next())
        .flatten()
}
