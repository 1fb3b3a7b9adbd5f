//! The policy's decision in the words of this command, for people and for programs.

use crate::policy::emit::SummaryLine;
use crate::policy::facts::Facts;
use crate::policy::report::ScoreLine;
use crate::policy::{NodeIdx, Outcome};
use crate::terms::Role;
use crate::xml::Element;

/// The transition summary, its columns aligned.
pub(super) fn summary_lines(outcome: &Outcome) -> Vec<String> {
    let width = |of: fn(&SummaryLine) -> usize| outcome.summary.iter().map(of).max().unwrap_or(0);
    let id_width = width(|line| match line {
        SummaryLine::Rsc { id, .. } => id.chars().count(),
        SummaryLine::Node { .. } => 0,
    });
    let details_width = width(|line| match line {
        SummaryLine::Rsc { details, .. } => details.chars().count(),
        SummaryLine::Node { .. } => 0,
    });
    let text = |line: &SummaryLine| match line {
        SummaryLine::Rsc {
            word,
            id,
            details,
            reason,
            ..
        } => {
            let reason = reason
                .as_ref()
                .map(|reason| format!("  {reason}"))
                .unwrap_or_default();
            format!("{word:<8}   {id:<id_width$}   ( {details:>details_width$} ){reason}")
        }
        SummaryLine::Node { .. } => line.text(),
    };
    outcome.summary.iter().map(text).collect()
}

/// Score lines, utilization lines, or both.
pub(super) fn score_lines(outcome: &Outcome, scores: bool, utilization: bool) -> Vec<String> {
    let shown = wanted_scores(outcome, scores, utilization);
    shown.map(|line| line.text(&outcome.facts)).collect()
}

fn wanted_scores(
    outcome: &Outcome,
    scores: bool,
    utilization: bool,
) -> impl Iterator<Item = &ScoreLine> {
    let wanted = move |line: &&ScoreLine| if line.is_score() { scores } else { utilization };
    outcome.scores.iter().filter(wanted)
}

/// The same as elements. (spec 4 §13)
pub(super) fn scores_element(outcome: &Outcome, scores: bool, utilization: bool) -> Element {
    let tag = match (scores, utilization) {
        (true, true) => "allocations_utilizations",
        (false, true) => "utilizations",
        _ => "allocations",
    };
    let lines = wanted_scores(outcome, scores, utilization);
    Element::new(tag).with_children(lines.map(|line| score_element(&outcome.facts, line)))
}

fn score_element(facts: &Facts, line: &ScoreLine) -> Element {
    let id = |rsc| facts.rscs[rsc].id.as_str();
    let name = |node: NodeIdx| facts.nodes[node].name.as_str();
    let amount = |what: &str, amount: &str| {
        let mut element = Element::new(what);
        element
            .nodes_mut()
            .push(crate::xml::Node::Text(std::sync::Arc::new(
                amount.to_owned(),
            )));
        element
    };
    match line {
        ScoreLine::Assignment {
            stage,
            rsc,
            node,
            score,
        } => Element::new("node_weight")
            .with("function", stage)
            .with("node", name(*node))
            .with("score", score.to_string())
            .with("id", id(*rsc)),
        ScoreLine::Promotion { rsc, node, score } => Element::new("promotion_score")
            .with("id", id(*rsc))
            .with("score", score.to_string())
            .with_some("node", node.map(name)),
        ScoreLine::Utilization { rsc, node } => {
            let amounts = facts.rscs[*rsc].utilization.iter();
            Element::new("utilization")
                .with("resource", id(*rsc))
                .with("node", name(*node))
                .with("function", "pcmk__assign_resource")
                .with_children(amounts.map(|(what, text)| amount(what, text)))
        }
        ScoreLine::Capacity { stage, node, left } => Element::new("capacity")
            .with("node", name(*node))
            .with("comment", stage)
            .with_children(
                left.iter()
                    .map(|(what, left)| amount(what, &left.to_string())),
            ),
    }
}

/// The transition summary as an element. (spec 4 §13)
pub(super) fn summary_element(outcome: &Outcome) -> Element {
    let lines = outcome
        .summary
        .iter()
        .map(|line| summary_line(&outcome.facts, line));
    Element::new("actions").with_children(lines)
}

fn summary_line(facts: &Facts, line: &SummaryLine) -> Element {
    let name = |node: Option<NodeIdx>| node.map(|node| facts.nodes[node].name.as_str());
    match line {
        SummaryLine::Node {
            word, text, reason, ..
        } => Element::new("node_action")
            .with("task", word)
            .with("node", text)
            .with("reason", reason),
        SummaryLine::Rsc {
            word,
            id,
            from,
            to,
            roles,
            why,
            blocked,
            ..
        } => {
            let (orig, next) = *roles;
            let need_role = orig > Role::Started || next > Role::Unpromoted;
            let same_host = from.is_some() && from == to;
            let (source, dest) = (name(*from), name(*to));
            let row = Element::new("rsc_action")
                .with("action", word.to_lowercase())
                .with("resource", id);
            let role = need_role.then_some(orig.as_str());
            let row = match (from, to) {
                (None, _) if need_role => row
                    .with("role", orig.as_str())
                    .with("next-role", next.as_str())
                    .with_some("dest", dest),
                (None, _) => row.with_some("node", dest),
                (_, None) => row.with_some("role", role).with_some("node", source),
                _ if orig == next && same_host => {
                    row.with_some("role", role).with_some("source", source)
                }
                _ if orig == next => row
                    .with_some("source", source)
                    .with_some("dest", dest)
                    .with_some("role", role),
                _ if same_host => row
                    .with("role", orig.as_str())
                    .with("next-role", next.as_str())
                    .with_some("source", source),
                _ => row
                    .with("role", orig.as_str())
                    .with_some("source", source)
                    .with("next-role", next.as_str())
                    .with_some("dest", dest),
            };
            row.with_some("reason", why.as_ref())
                .with_some("blocked", blocked.then_some("true"))
        }
    }
}
