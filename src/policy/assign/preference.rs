//! COLOCATION SCORES, dependent to primary: what those who will have to follow would prefer counts already when
//! the one they follow is placed. Preferences travel through whole chains of colocations, each link scaling them.
//! spec 2 §10.5

use super::super::facts::Kind;
use super::super::report::Cause;
use super::super::{ColIdx, IdxVec, NodeIdx, NodeTable, RscIdx};
use super::colocation::{Place, attr, influences, this_with, with_this};
use super::{Assign, criteria};
use crate::terms::Score;

/// Which way and how preferences are collected.
#[derive(Clone, Copy, Default)]
pub(super) struct Mode {
    /// Along "this with" lists, to primaries; otherwise to dependents.
    pub(super) this_with: bool,
    /// What would drop a usable node below zero only makes it a last resort.
    pub(super) nonneg: bool,
    /// Give up what leaves no usable node.
    pub(super) active: bool,
}

/// A table under way, with the nodes that became a last resort.
#[derive(Clone)]
pub(super) struct Merged {
    pub(super) table: NodeTable,
    unusable: Vec<NodeIdx>,
}

impl Merged {
    pub(super) fn of(table: NodeTable) -> Merged {
        Merged {
            table,
            unusable: Vec::new(),
        }
    }
}

/// The best score that a table offers at each place.
struct Offers<'a> {
    unset: Option<Score>,
    nodes: IdxVec<NodeIdx, Option<Score>>,
    values: Vec<(&'a str, Option<Score>)>,
}

impl<'a> Offers<'a> {
    fn none(nodes: usize) -> Self {
        Offers {
            unset: None,
            nodes: IdxVec::from_fn(nodes, |_| None),
            values: Vec::new(),
        }
    }

    fn add(&mut self, place: Place<'a>, score: Score) {
        let best = match place {
            Place::Unset => &mut self.unset,
            Place::Node(node) => &mut self.nodes[node],
            Place::Value(value) => {
                let same = |(known, _): &(&str, _)| known.eq_ignore_ascii_case(value);
                let at = self.values.iter().position(same).unwrap_or_else(|| {
                    self.values.push((value, None));
                    self.values.len() - 1
                });
                &mut self.values[at].1
            }
        };
        *best = (*best).max(Some(score));
    }

    fn best(&self, place: Place<'_>) -> Option<Score> {
        match place {
            Place::Unset => self.unset,
            Place::Node(node) => self.nodes[node],
            Place::Value(value) => {
                let same = |(known, _): &&(&str, _)| known.eq_ignore_ascii_case(value);
                self.values.iter().find(same)?.1
            }
        }
    }
}

/// A factor in single precision, as the recorded results have it. spec 2 §21.1
#[expect(clippy::cast_precision_loss, reason = "scores are below 2^24")]
pub(super) fn factor(score: Score) -> f32 {
    score.value() as f32 / 1_000_000.0
}

impl Assign<'_> {
    /// *merge(S, t, T, c, f, mode)*. Without `merged` it starts from nothing.
    pub(super) fn merge(
        &mut self,
        from: RscIdx,
        on_behalf: RscIdx,
        merged: Option<Merged>,
        col: Option<ColIdx>,
        scale: f32,
        mode: Mode,
    ) -> Merged {
        let none = || Merged::of(NodeTable::new());
        if self.place.now.rscs[from].merging {
            return merged.unwrap_or_else(none);
        }
        self.place.now.rscs[from].merging = true;
        let members = &self.facts.rscs[from].children;
        let result = if let Kind::Group(_) = self.facts.rscs[from].kind {
            let member = if merged.is_some() {
                members.first()
            } else {
                members.last()
            };
            match member {
                Some(member) => self.merge(*member, on_behalf, merged, col, scale, mode),
                None => merged.unwrap_or_else(none),
            }
        } else {
            self.merge_one(from, on_behalf, merged, col, scale, mode)
        };
        self.place.now.rscs[from].merging = false;
        result
    }

    fn merge_one(
        &mut self,
        from: RscIdx,
        on_behalf: RscIdx,
        merged: Option<Merged>,
        col: Option<ColIdx>,
        scale: f32,
        mode: Mode,
    ) -> Merged {
        let (mut result, on_behalf) = match &merged {
            None => (Merged::of(self.place.allowed[from].clone()), from),
            Some(before) => (
                self.with_scores_of(from, on_behalf, before.clone(), col, scale, mode),
                on_behalf,
            ),
        };
        if self.any_usable(&result.table) {
            let next = if mode.this_with {
                this_with(self.facts, &self.place, &self.place.now, from)
            } else {
                with_this(self.facts, &self.place, &self.place.now, from)
            };
            for link in next {
                if !mode.this_with && !influences(self.facts, &self.place, link, None) {
                    continue;
                }
                let colocation = &self.place.colocations[link];
                let other = if mode.this_with {
                    colocation.primary
                } else {
                    colocation.dependent
                };
                #[expect(clippy::cast_precision_loss, reason = "scores are below 2^24")]
                let further = scale * colocation.score.value() as f32 / 1_000_000.0;
                result = self.merge(
                    other,
                    on_behalf,
                    Some(result),
                    Some(link),
                    further,
                    Mode {
                        active: true,
                        ..mode
                    },
                );
            }
        } else if mode.active
            && let Some(before) = merged
        {
            return before;
        }
        if mode.nonneg {
            for node in result.unusable.drain(..) {
                if let Some(entry) = result.table.get_mut(node) {
                    entry.score = Score::new(1);
                }
            }
        }
        result
    }

    /// spec 2 §10.5.1
    fn with_scores_of(
        &self,
        from: RscIdx,
        on_behalf: RscIdx,
        mut merged: Merged,
        col: Option<ColIdx>,
        scale: f32,
        mode: Mode,
    ) -> Merged {
        let colocation = col.map(|col| &self.place.colocations[col]);
        let extended = colocation.and_then(|colocation| {
            let group = self.facts.rscs[from].parent?;
            let later = matches!(self.facts.rscs[group].kind, Kind::Group(_))
                && self.facts.rscs[group].children.first() != Some(&from);
            (colocation.dependent == from && colocation.explicit && later)
                .then(|| self.with_group_locations(from, group))
        });
        let source = extended.as_ref().unwrap_or(&self.place.allowed[from]);
        let attribute = colocation.map_or("#uname", |colocation| &*colocation.node_attribute);
        let now = &self.place.now;
        let mut offers = Offers::none(self.facts.nodes.len());
        for (node, entry) in source.iter() {
            if now.available(self.facts, node) {
                let there = attr(self.facts, now, attribute, node, from);
                offers.add(there, entry.score);
            }
        }
        for (node, entry) in merged.table.iter_mut() {
            let here = attr(self.facts, now, attribute, node, on_behalf);
            let score = offers.best(here).unwrap_or(Score::MINUS_INFINITY);
            if scale < 0.0 && score < Score::ZERO {
                // Two wrongs make a right only for a dependent that has nowhere else to go.
                let right = col.zip(colocation).is_some_and(|(col, colocation)| {
                    let usable = self.place.allowed[colocation.dependent]
                        .iter()
                        .filter(|(_, entry)| entry.score >= Score::ZERO);
                    self.facts.rscs[colocation.primary].stickiness < -score
                        && influences(self.facts, &self.place, col, None)
                        && usable.count() == 1
                });
                if !right {
                    continue;
                }
            }
            if merged.unusable.contains(&node) {
                continue;
            }
            let added = scaled(scale, score);
            let sum = added + entry.score;
            if mode.nonneg && sum < Score::ZERO {
                if entry.score > Score::ZERO {
                    entry.score = Score::MINUS_INFINITY;
                    merged.unusable.push(node);
                    continue;
                }
                if entry.score == Score::ZERO {
                    continue;
                }
            }
            entry.score = sum;
        }
        merged
    }

    fn with_group_locations(&self, member: RscIdx, group: RscIdx) -> NodeTable {
        let mut table = self.place.allowed[member].clone();
        for at in &self.place.locations[group] {
            let location = &self.constraints.locations[*at];
            if location.role.is_some() {
                continue;
            }
            for (node, score) in &location.nodes {
                criteria::mention(&mut table, *node, *score, location.discovery);
            }
        }
        table
    }

    /// Lets a dependent's preferences count for the primary about to be assigned. spec 2 §10.5.3
    pub(super) fn hear_dependent(&mut self, primary: RscIdx, col: ColIdx) {
        if !influences(self.facts, &self.place, col, None) {
            return;
        }
        let colocation = self.place.colocations[col].clone();
        let table = std::mem::take(&mut self.place.allowed[primary]);
        // The table may be looked at on the way (loops), so it stays in place.
        self.place.allowed[primary] = table.clone();
        let clone = matches!(self.facts.rscs[primary].kind, Kind::Clone(_));
        let mode = Mode {
            this_with: false,
            nonneg: clone,
            active: true,
        };
        let result = self.merge(
            colocation.dependent,
            primary,
            Some(Merged::of(table)),
            Some(col),
            factor(colocation.score),
            mode,
        );
        if self.record {
            let cause = Cause::Colocation {
                constraint: colocation.id,
                with: colocation.dependent,
            };
            self.note_changes(primary, &result.table, &cause);
        }
        self.place.allowed[primary] = result.table;
    }
}

/// f * s, rounded half away from zero, but never lost altogether. spec 2 §10.5.1 step 4
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "scores are below 2^24"
)]
fn scaled(scale: f32, score: Score) -> Score {
    let product = f64::from(scale * score.value() as f32);
    let rounded = if product < 0.0 {
        product - 0.5
    } else {
        product + 0.5
    } as i64;
    let value = match rounded {
        0 if score != Score::ZERO && scale > 0.0 => 1,
        0 if score != Score::ZERO && scale < 0.0 => -1,
        other => other,
    };
    Score::new(value)
}
