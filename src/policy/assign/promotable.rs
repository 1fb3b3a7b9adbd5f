//! Which instances are promoted: those with the best promotion scores, as far as colocations, tickets and the
//! number allowed let them. spec 2 §14

use std::cmp::Reverse;

use super::super::constraints::RoleFilter;
use super::super::facts::{Facts, Kind, QuorumPolicy};
use super::super::index::ByName;
use super::super::report::{Cause, ScoreLine};
use super::super::{NodeIdx, RscIdx};
use super::Assign;
use super::colocation::{influences, this_with, with_this};
use super::preference::{Merged, Mode, factor};
use crate::terms::{Role, Score};

/// What the names of attributes with promotion scores begin with.
const PREFIX: &str = "master-";

/// The promotion scores that agents left, by the name of the instance: they are asked for with each instance on each node.
#[derive(Debug)]
pub(super) struct PromotionScores<'a>(ByName<&'a str, Vec<(NodeIdx, &'a str)>>);

impl<'a> PromotionScores<'a> {
    pub(super) fn read(facts: &'a Facts) -> Self {
        let mut all: ByName<&str, Vec<(NodeIdx, &str)>> = ByName::default();
        for (node, fact) in facts.nodes.enumerate() {
            for (name, score) in fact.attributes.with_prefix(PREFIX) {
                let scores = all.entry(&name[PREFIX.len()..]).or_default();
                scores.push((node, score));
            }
        }
        Self(all)
    }

    fn get(&self, name: &str, on: NodeIdx) -> Option<&'a str> {
        let scores = self.0.get(name)?;
        let at = scores.binary_search_by_key(&on, |(node, _)| *node).ok()?;
        Some(scores[at].1)
    }
}

impl Assign<'_> {
    /// Before placement: each instance would rather be where it would be promoted. spec 2 §14.2
    pub(super) fn add_promotion_scores(&mut self, clone: RscIdx) {
        if std::mem::replace(&mut self.place.now.rscs[clone].promotion_added, true) {
            return;
        }
        for rsc in self.place.now.rscs[clone].children.clone() {
            let nodes: Vec<NodeIdx> = self.place.allowed[rsc]
                .iter()
                .map(|(node, _)| node)
                .collect();
            for node in nodes {
                if !self.place.now.available(self.facts, node) {
                    continue;
                }
                let Some(score) = self
                    .promotion_score(clone, rsc, node)
                    .filter(|score| *score > Score::ZERO)
                else {
                    continue;
                };
                if let Some(entry) = self.place.allowed[rsc].get_mut(node) {
                    entry.score += score;
                }
                self.note(
                    rsc,
                    Some(node),
                    score,
                    &Cause::Implied("promotion score of the agent"),
                );
                let now = &mut self.place.now.rscs[rsc];
                now.priority = now.priority.max(score);
            }
        }
    }

    /// The promotion score of an instance on a node; none is the default, 0. spec 2 §14.1
    fn promotion_score(&self, clone: RscIdx, rsc: RscIdx, node: NodeIdx) -> Option<Score> {
        if let Kind::Group(_) = self.facts.rscs[rsc].kind {
            let members = &self.facts.rscs[rsc].children;
            let scores: Vec<Score> = members
                .iter()
                .filter_map(|member| self.promotion_score(clone, *member, node))
                .collect();
            let sum: i64 = scores.iter().map(|score| i64::from(score.value())).sum();
            return (!scores.is_empty()).then(|| Score::new(sum));
        }
        if self.place.allowed[rsc]
            .score(node)
            .is_none_or(|score| score < Score::ZERO)
        {
            return None;
        }
        let fact = &self.facts.rscs[rsc];
        let on = self.attribute_node(rsc, node)?;
        let attribute = |name: &str| self.promotion_scores.get(name, on);
        let name = fact.history_id.as_ref().unwrap_or(&fact.id);
        // Most instances have no score on most nodes, and where one has, it is asked whether that counts.
        let text = attribute(name.as_str()).or_else(|| {
            if fact.flags.unique {
                None
            } else {
                attribute(fact.xml_id.as_str())
            }
        })?;
        let counts = self.counts_on(clone, rsc, node);
        counts.then(|| Score::parse(text).unwrap_or(Score::ZERO))
    }

    /// Where attributes for the resource on that node are kept: for guests perhaps on the host.
    fn attribute_node(&self, rsc: RscIdx, node: NodeIdx) -> Option<NodeIdx> {
        let on_host = || {
            let meta = &self.facts.rscs[rsc].meta;
            let target = meta.get("container-attribute-target");
            target.is_some_and(|on| on.eq_ignore_ascii_case("host"))
        };
        if !self.facts.is_guest(node) || !on_host() {
            return Some(node);
        }
        let container = self.facts.host_container(node)?;
        if self.place.now.rscs[rsc].unassigned {
            self.facts.rscs[container].active.first().copied()
        } else {
            self.place.now.rscs[container].assigned
        }
    }

    fn counts_on(&self, clone: RscIdx, rsc: RscIdx, node: NodeIdx) -> bool {
        let fact = &self.facts.rscs[rsc];
        if !fact.flags.unique {
            let like: Vec<RscIdx> = self
                .place
                .now
                .leaves(clone)
                .into_iter()
                .filter(|leaf| self.facts.rscs[*leaf].xml_id == fact.xml_id)
                .collect();
            match like
                .iter()
                .find(|leaf| self.facts.rscs[**leaf].active.contains(&node))
            {
                Some(active) if *active == rsc => return true,
                None if like
                    .iter()
                    .any(|leaf| self.facts.known[*leaf].contains(node)) =>
                {
                    return true;
                }
                _ => {}
            }
        }
        let known = &self.facts.known[rsc];
        (fact.active.is_empty() && known.is_empty())
            || known.contains(node)
            || fact.active.contains(&node)
    }

    /// After placement: roles. spec 2 §14.3 to §14.5
    pub(super) fn choose_promoted(&mut self, clone: RscIdx) {
        for (_, entry) in self.place.allowed[clone].iter_mut() {
            entry.count = 0;
        }
        for rsc in self.place.now.rscs[clone].children.clone() {
            self.promotion_priority(clone, rsc);
        }
        if !self.place.now.rscs[clone].roles_sorted {
            self.sort_by_promotion(clone);
        }
        self.choose_roles(clone);
    }

    fn promotion_priority(&mut self, clone: RscIdx, rsc: RscIdx) {
        if self.place.now.state(self.facts, rsc, false) == Role::Started {
            for at in self.facts.descend(rsc) {
                let now = &mut self.place.now.rscs[at];
                if now.orig_role == Role::Started {
                    now.orig_role = Role::Unpromoted;
                }
            }
        }
        let Some(node) = self.place.now.single_assigned(rsc) else {
            self.place.now.rscs[rsc].promotion_priority = self.place.now.rscs[rsc].priority;
            return;
        };
        let next = self.place.now.state(self.facts, rsc, true);
        match next {
            Role::Unknown | Role::Started => {
                let score = self
                    .promotion_score(clone, rsc, node)
                    .unwrap_or(Score::new(-1));
                self.place.now.rscs[rsc].priority = score;
            }
            Role::Stopped | Role::Unpromoted => {
                self.place.now.rscs[rsc].priority = Score::MINUS_INFINITY
            }
            Role::Promoted => {}
        }
        let of_both = [rsc, clone]
            .into_iter()
            .flat_map(|whose| self.place.locations[whose].clone());
        for at in of_both.collect::<Vec<_>>() {
            let location = &self.constraints.locations[at];
            if location.role != Some(RoleFilter::Promoted) {
                continue;
            }
            for (at_node, score) in &location.nodes {
                if *at_node == node {
                    let now = &mut self.place.now.rscs[rsc];
                    now.priority += *score;
                    break;
                }
            }
        }
        for col in this_with(self.facts, &self.place, &self.place.now, rsc) {
            let primary = self.place.colocations[col].primary;
            self.apply(rsc, primary, col);
        }
        let now = &mut self.place.now.rscs[rsc];
        now.promotion_priority = if next == Role::Promoted {
            Score::INFINITY
        } else {
            now.priority
        };
    }

    /// spec 2 §14.4
    fn sort_by_promotion(&mut self, clone: RscIdx) {
        self.place.now.rscs[clone].roles_sorted = true;
        self.place.now.rscs[clone].merging = true;
        let instances = self.place.now.rscs[clone].children.clone();
        for rsc in &instances {
            let score = self.place.now.rscs[*rsc].promotion_priority;
            if score < Score::ZERO {
                continue;
            }
            if let Some(node) = self.place.now.single_assigned(*rsc)
                && let Some(entry) = self.place.allowed[clone].get_mut(node)
            {
                entry.score += score;
            }
        }
        for col in with_this(self.facts, &self.place, &self.place.now, clone) {
            let colocation = self.place.colocations[col].clone();
            if colocation.primary_role != Role::Promoted
                || !influences(self.facts, &self.place, col, None)
            {
                continue;
            }
            let table = self.place.allowed[clone].clone();
            let mode = Mode {
                this_with: false,
                nonneg: true,
                active: true,
            };
            let scale = factor(colocation.score);
            let merged = self.merge(
                colocation.dependent,
                clone,
                Some(Merged::of(table)),
                Some(col),
                scale,
                mode,
            );
            self.place.allowed[clone] = merged.table;
        }
        for ticket in &self.constraints.tickets {
            if ticket.rsc == clone
                && ticket.role == Role::Promoted
                && (!ticket.granted || ticket.standby)
            {
                let cause = Cause::Ticket {
                    ticket: ticket.ticket.clone(),
                    constraint: ticket.id.clone(),
                };
                self.add_everywhere(clone, Score::MINUS_INFINITY, &cause);
            }
        }
        for rsc in &instances {
            let now = &self.place.now.rscs[*rsc];
            let node = self.place.now.single_assigned(*rsc);
            let score =
                if !now.managed && self.place.now.state(self.facts, *rsc, true) == Role::Promoted {
                    Score::INFINITY
                } else if let Some(node) = node {
                    if now.promotion_priority < Score::ZERO {
                        now.promotion_priority
                    } else {
                        self.place.allowed[clone].score(node).unwrap_or(Score::ZERO)
                    }
                } else {
                    Score::MINUS_INFINITY
                };
            self.place.now.rscs[*rsc].promotion_priority = score;
        }
        self.place.now.rscs[clone].merging = false;
        let mut keyed: Vec<_> = instances
            .iter()
            .map(|rsc| {
                let first = Reverse(self.place.now.rscs[*rsc].promotion_priority);
                let role = Reverse(self.place.now.state(self.facts, *rsc, false));
                ((first, role), self.standing(clone, *rsc), *rsc)
            })
            .collect();
        keyed.sort_by(|(key_a, standing_a, _), (key_b, standing_b, _)| {
            key_a
                .cmp(key_b)
                .then_with(|| standing_a.compare(standing_b))
        });
        self.place.now.rscs[clone].children = keyed.into_iter().map(|(_, _, rsc)| rsc).collect();
    }

    /// spec 2 §14.5
    fn choose_roles(&mut self, clone: RscIdx) {
        let Some(fact) = self.facts.rscs[clone].clone_facts().copied() else {
            return;
        };
        let mut promoted = 0;
        let frozen =
            !self.facts.quorate && self.facts.options.no_quorum_policy == QuorumPolicy::Freeze;
        for rsc in self.place.now.rscs[clone].children.clone() {
            let score = self.place.now.rscs[rsc].promotion_priority;
            let node = self.place.now.single_assigned(rsc);
            if self.facts.context.scores {
                self.place
                    .lines
                    .push(ScoreLine::Promotion { rsc, node, score });
            }
            let room = promoted < fact.promoted_max || !self.place.now.rscs[clone].managed;
            let to = if score >= Score::ZERO && room {
                self.can_promote(clone, rsc, fact.promoted_node_max)
            } else {
                None
            };
            let orig = self.place.now.state(self.facts, rsc, false);
            let to = to.filter(|_| !(frozen && orig < Role::Promoted));
            match to {
                None => {
                    for at in self.facts.descend(rsc) {
                        let placed = self.place.now.single_assigned(at).is_some();
                        self.place.now.rscs[at].next_role = if placed {
                            Role::Unpromoted
                        } else {
                            Role::Stopped
                        };
                    }
                }
                Some(node) => {
                    if let Some(entry) = self.place.allowed[clone].get_mut(node) {
                        entry.count += 1;
                    }
                    for at in self.facts.descend(rsc) {
                        let now = &mut self.place.now.rscs[at];
                        if now.next_role == Role::Unknown {
                            now.next_role = Role::Promoted;
                        }
                    }
                    promoted += 1;
                }
            }
        }
    }

    fn can_promote(&self, clone: RscIdx, rsc: RscIdx, per_node: u32) -> Option<NodeIdx> {
        let now = &self.place.now;
        if let Kind::Group(_) = self.facts.rscs[rsc].kind {
            let members = &now.rscs[rsc].children;
            if !members
                .iter()
                .all(|member| self.can_promote(clone, *member, per_node).is_some())
            {
                return None;
            }
        }
        let node = now.single_assigned(rsc)?;
        let entry = self.place.allowed[clone].get(node)?;
        if !now.rscs[rsc].managed {
            return (now.state(self.facts, rsc, false) == Role::Promoted).then_some(node);
        }
        let host_runs = !self.facts.is_guest(node)
            || self
                .facts
                .host_container(node)
                .is_some_and(|container| now.rscs[container].assigned.is_some());
        let fit = now.rscs[rsc].priority >= Score::ZERO
            && now.available(self.facts, node)
            && host_runs
            && entry.count < per_node;
        fit.then_some(node)
    }
}
