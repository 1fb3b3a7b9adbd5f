//! Where series 3.0 differs from 2.1 by the specification, so that an older program may be asked.
//!
//! Each explanation says which resources it touches in this case. What is said about these, and about all that is linked to
//! them by constraints, is left out on both sides; the rest must be the same. Some differences are single rows of the
//! graph that change nothing else; these are taken out one by one (`rows.rs`).

use std::collections::BTreeMap;

use crate::xml::Element;

use super::Answer;
use super::case::{Case, Tops, of_summary};
use super::reasons::{EXPLAINED, Explained};
use super::rows::{join, of_action, split, without_probes};

impl Case<'_> {
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
}

/// What lines like `r-1 allocation score on n1: 5` say of a resource: `n1: 5`.
fn scores_of<'a>(rsc: &str, lines: &'a [String]) -> Vec<&'a str> {
    let score = |line: &'a String| {
        line.strip_prefix(rsc)?
            .strip_prefix(" allocation score on ")
    };
    lines.iter().filter_map(score).collect()
}
