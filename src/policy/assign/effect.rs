//! COLOCATION SCORES, primary to dependent: where the primary is decides where the dependent may be, or which of
//! its instances may be promoted. spec 2 §10.3, §10.4, §10.6, §13.6, §14.6 to §14.8, §15.6

use super::super::facts::Kind;
use super::super::report::Cause;
use super::super::{ColIdx, NodeIdx, RscIdx};
use super::colocation::{self, Affects, Place, attr};
use super::{Assign, instance};
use crate::terms::{Role, Score};

/// Nodes of the primary's instances, each with the score that its own table had for it; the last one put in counts.
type Nodes = Vec<(NodeIdx, Score)>;

impl Assign<'_> {
    /// *apply(d, p, c)* on behalf of the dependent; gives what it added to the dependent's priority. spec 2 §10.3
    pub(super) fn apply(&mut self, dependent: RscIdx, primary: RscIdx, col: ColIdx) -> i64 {
        if let Kind::Group(group) = &self.facts.rscs[dependent].kind {
            return self.apply_to_group(dependent, group.colocated, primary, col);
        }
        let score = self.place.colocations[col].score;
        match &self.facts.rscs[primary].kind {
            Kind::Primitive => {
                match colocation::affects(self.facts, &self.place, dependent, primary, col, false) {
                    Affects::Nothing => 0,
                    Affects::Role => self.role_effect(dependent, primary, col),
                    Affects::Location => {
                        self.location_effect(dependent, primary, col);
                        0
                    }
                }
            }
            Kind::Group(group) => {
                if self.place.now.rscs[primary].unassigned {
                    return 0;
                }
                let members = &self.facts.rscs[primary].children;
                if group.colocated {
                    let member = if score >= Score::INFINITY {
                        members.last()
                    } else {
                        members.first()
                    };
                    member.map_or(0, |member| self.apply(dependent, *member, col))
                } else if score >= Score::INFINITY {
                    0
                } else {
                    members
                        .iter()
                        .map(|member| self.apply(dependent, *member, col))
                        .sum()
                }
            }
            Kind::Clone(_) => self.with_clone(dependent, primary, col),
            Kind::Bundle(_) => self.with_bundle(dependent, primary, col),
        }
    }

    fn apply_to_group(
        &mut self,
        group: RscIdx,
        colocated: bool,
        primary: RscIdx,
        col: ColIdx,
    ) -> i64 {
        let members = &self.facts.rscs[group].children;
        let added: i64 = if colocated {
            members
                .first()
                .map_or(0, |member| self.apply(*member, primary, col))
        } else if self.place.colocations[col].score >= Score::INFINITY {
            0
        } else {
            members
                .iter()
                .map(|member| self.apply(*member, primary, col))
                .sum()
        };
        let now = &mut self.place.now.rscs[group];
        now.priority += Score::new(added);
        added
    }

    /// spec 2 §10.4
    fn location_effect(&mut self, dependent: RscIdx, primary: RscIdx, col: ColIdx) {
        let colocation = self.place.colocations[col].clone();
        let score = colocation.score;
        let home = self.place.now.rscs[primary].assigned;
        if home.is_none() && score < Score::ZERO {
            return;
        }
        let now = &self.place.now;
        let wanted =
            home.map(|node| attr(self.facts, now, &colocation.node_attribute, node, primary));
        let mut table = self.place.allowed[dependent].clone();
        for (node, entry) in table.iter_mut() {
            match wanted {
                None => entry.score = -score + entry.score,
                Some(wanted) => {
                    let here = attr(self.facts, now, &colocation.node_attribute, node, dependent);
                    if here.same(wanted) {
                        if score < Score::INFINITY {
                            entry.score = score + entry.score;
                        }
                    } else if score >= Score::INFINITY {
                        entry.score = Score::MINUS_INFINITY;
                    }
                }
            }
        }
        if score.is_infinite() || score.is_minus_infinite() || self.any_usable(&table) {
            if self.record {
                self.note_changes(
                    dependent,
                    &table,
                    &Cause::Colocation {
                        constraint: colocation.id,
                        with: primary,
                    },
                );
            }
            self.place.allowed[dependent] = table;
        }
    }

    /// Remembers what replacing the table of `rsc` by `table` changes.
    pub(super) fn note_changes(
        &mut self,
        rsc: RscIdx,
        table: &super::super::NodeTable,
        cause: &Cause,
    ) {
        let mut changes = Vec::new();
        for (node, entry) in table.iter() {
            let was = self.place.allowed[rsc].score(node).unwrap_or(Score::ZERO);
            if entry.score != was {
                let added = if entry.score.is_infinite() || entry.score.is_minus_infinite() {
                    entry.score
                } else {
                    Score::new(i64::from(entry.score.value()) - i64::from(was.value()))
                };
                changes.push((node, added));
            }
        }
        for (node, added) in changes {
            self.note(rsc, Some(node), added, cause);
        }
    }

    /// *intersect(d, nodes)*: only where the primary is. spec 2 §10.6
    fn intersect(&mut self, dependent: RscIdx, nodes: &Nodes, merge: bool, col: ColIdx) {
        let mut table = self.place.allowed[dependent].clone();
        for (node, entry) in table.iter_mut() {
            match nodes.iter().rev().find(|(at, _)| *at == node) {
                None => entry.score = Score::MINUS_INFINITY,
                Some((_, score)) if merge => entry.score += *score,
                Some(_) => {}
            }
        }
        if self.record {
            let colocation = &self.place.colocations[col];
            let cause = Cause::Colocation {
                constraint: colocation.id.clone(),
                with: colocation.primary,
            };
            self.note_changes(dependent, &table, &cause);
        }
        self.place.allowed[dependent] = table;
    }

    /// spec 2 §13.6
    fn with_clone(&mut self, dependent: RscIdx, clone: RscIdx, col: ColIdx) -> i64 {
        if self.place.now.rscs[clone].unassigned {
            return 0;
        }
        let colocation = self.place.colocations[col].clone();
        if self.facts.rscs[clone].flags.promotable && colocation.primary_role != Role::Unknown {
            if self.place.now.rscs[dependent].unassigned {
                self.with_role(dependent, clone, col);
                return 0;
            }
            if colocation.dependent_role == Role::Promoted {
                return self.promoted_with(dependent, clone, col);
            }
        }
        let per_node = |rsc: RscIdx| match &self.facts.rscs[rsc].kind {
            Kind::Clone(clone) => Some(clone.node_max),
            Kind::Bundle(bundle) => Some(bundle.per_host),
            _ => None,
        };
        if self.facts.interleave(colocation.dependent)
            && per_node(colocation.dependent).is_some()
            && per_node(colocation.dependent) == per_node(clone)
        {
            match instance::partner(
                self.facts,
                &self.place,
                &self.place.now,
                dependent,
                clone,
                None,
                None,
            ) {
                Some(partner) => return self.apply(dependent, partner, col),
                None if colocation.score >= Score::INFINITY => {
                    self.settle_on(dependent, None, true, true);
                }
                None => {}
            }
            return 0;
        }
        let instances = self.place.now.rscs[clone].children.clone();
        if colocation.score >= Score::INFINITY {
            let mut nodes = Nodes::new();
            for instance in instances {
                if let Some(node) = self.place.now.single_assigned(instance)
                    && !self.place.now.any_blocked(instance)
                {
                    nodes.push((node, self.assigned_score(instance)));
                }
            }
            self.intersect(dependent, &nodes, false, col);
            return 0;
        }
        instances
            .into_iter()
            .map(|instance| self.apply(dependent, instance, col))
            .sum()
    }

    /// The score an instance's node had when it was assigned; of a group the first member's that has one.
    fn assigned_score(&self, rsc: RscIdx) -> Score {
        let leaves = self.place.now.leaves(rsc);
        let with = leaves
            .iter()
            .find(|leaf| self.place.now.rscs[**leaf].assigned.is_some());
        with.map_or(Score::ZERO, |leaf| {
            self.place.now.rscs[*leaf].assigned_score
        })
    }

    /// spec 2 §15.6
    fn with_bundle(&mut self, dependent: RscIdx, primary: RscIdx, col: ColIdx) -> i64 {
        if self.place.now.rscs[primary].unassigned {
            return 0;
        }
        let Some(bundle) = self.facts.rscs[primary].bundle() else {
            return 0;
        };
        let colocation = self.place.colocations[col].clone();
        if matches!(
            self.facts.rscs[colocation.dependent].kind,
            Kind::Clone(_) | Kind::Bundle(_)
        ) {
            match self.container_beside(dependent, primary) {
                Some(container) => return self.apply(dependent, container, col),
                None if colocation.score >= Score::INFINITY => {
                    self.settle_on(dependent, None, true, true);
                }
                None => {}
            }
            return 0;
        }
        let mut nodes = Nodes::new();
        let mut added = 0;
        for replica in &bundle.replicas {
            if colocation.score < Score::INFINITY {
                added += self.apply(dependent, replica.container, col);
                continue;
            }
            let Some(node) = self.place.now.single_assigned(replica.container) else {
                continue;
            };
            if self.place.now.any_blocked(replica.container) {
                continue;
            }
            if colocation.primary_role == Role::Promoted
                && replica
                    .child
                    .is_none_or(|child| self.place.now.rscs[child].next_role < Role::Promoted)
            {
                continue;
            }
            nodes.push((node, self.place.now.rscs[replica.container].assigned_score));
        }
        if colocation.score >= Score::INFINITY {
            self.intersect(dependent, &nodes, false, col);
        }
        added
    }

    /// The container of a bundle that is where the dependent is, or would best be.
    fn container_beside(&self, dependent: RscIdx, bundle: RscIdx) -> Option<RscIdx> {
        let now = &self.place.now;
        let nodes = match now.rscs[dependent].assigned {
            Some(node) => vec![node],
            None => instance::by_score(
                self.facts,
                now,
                &self.place.allowed[dependent],
                &self.place.capacity,
                None,
            ),
        };
        let replicas = &self.facts.rscs[bundle].bundle()?.replicas;
        nodes.into_iter().find_map(|node| {
            let node = if self.facts.is_guest(node)
                && self.facts.nodes[node]
                    .connection
                    .is_some_and(|rsc| self.facts.bundle_of(rsc).is_some())
            {
                now.rscs[self.facts.host_container(node)?].assigned?
            } else {
                node
            };
            replicas
                .iter()
                .map(|replica| replica.container)
                .find(|container| {
                    now.rscs[*container].assigned == Some(node) && !now.any_blocked(*container)
                })
        })
    }

    /// spec 2 §14.6: a primitive primary changes the promotion priority of an instance.
    fn role_effect(&mut self, dependent: RscIdx, primary: RscIdx, col: ColIdx) -> i64 {
        let colocation = self.place.colocations[col].clone();
        let now = &self.place.now;
        let Some(node) = now.rscs[dependent].assigned else {
            return 0;
        };
        let home = now.rscs[primary].assigned;
        if home.is_some()
            && colocation.primary_role != Role::Unknown
            && colocation.primary_role
                != now.rscs[colocation::role_of(self.facts, primary)].next_role
        {
            return 0;
        }
        let here = attr(self.facts, now, &colocation.node_attribute, node, dependent);
        let there = home.map_or(Place::Unset, |home| {
            attr(self.facts, now, &colocation.node_attribute, home, primary)
        });
        let score = i64::from(colocation.score.value());
        let added = if here.same(there) {
            if colocation.dependent_role == Role::Unpromoted {
                -score
            } else {
                score
            }
        } else if colocation.score == Score::INFINITY && colocation.dependent_role == Role::Promoted
        {
            -score
        } else {
            return 0;
        };
        let inner = colocation::role_of(self.facts, dependent);
        let now = &mut self.place.now.rscs[inner];
        now.priority += Score::new(added);
        added
    }

    /// spec 2 §14.7
    fn promoted_with(&mut self, dependent: RscIdx, clone: RscIdx, col: ColIdx) -> i64 {
        let colocation = self.place.colocations[col].clone();
        let partner = instance::partner(
            self.facts,
            &self.place,
            &self.place.now,
            dependent,
            clone,
            Some(colocation.primary_role),
            Some(&colocation.node_attribute),
        );
        let now = &mut self.place.now.rscs[dependent];
        let was = now.priority;
        match partner {
            Some(_) => now.priority += colocation.score,
            None if colocation.score >= Score::INFINITY => now.priority = Score::MINUS_INFINITY,
            None => return 0,
        }
        i64::from(now.priority.value()) - i64::from(was.value())
    }

    /// spec 2 §14.8: with those instances of a promotable clone that have (or will have) a role.
    fn with_role(&mut self, dependent: RscIdx, clone: RscIdx, col: ColIdx) {
        let colocation = self.place.colocations[col].clone();
        let mut nodes = Nodes::new();
        for instance in self.place.now.rscs[clone].children.clone() {
            let Some(node) = self.place.now.single_assigned(instance) else {
                continue;
            };
            if self.place.now.state(self.facts, instance, true) != colocation.primary_role {
                continue;
            }
            if colocation.score < Score::INFINITY {
                let now = &self.place.now;
                let there = attr(self.facts, now, &colocation.node_attribute, node, clone);
                let mut table = self.place.allowed[dependent].clone();
                for (at, entry) in table.iter_mut() {
                    if attr(self.facts, now, &colocation.node_attribute, at, dependent).same(there)
                    {
                        entry.score += colocation.score;
                    }
                }
                if self.record {
                    self.note_changes(
                        dependent,
                        &table,
                        &Cause::Colocation {
                            constraint: colocation.id.clone(),
                            with: clone,
                        },
                    );
                }
                self.place.allowed[dependent] = table;
            }
            nodes.push((node, self.assigned_score(instance)));
        }
        let both_promoted = colocation.dependent_role == Role::Promoted
            && colocation.primary_role == Role::Promoted;
        if colocation.score >= Score::INFINITY && !both_promoted {
            self.intersect(dependent, &nodes, true, col);
        }
    }
}
