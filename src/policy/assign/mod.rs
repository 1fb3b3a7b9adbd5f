//! Assignment decides who runs where, and who is promoted.
//! Enters: `Facts` and `Constraints`.
//! Leaves: `Placement`: a node and a role for every primitive, the tables they came from, the score lines.
//! May touch: nothing; it is pure.

mod bundle;
pub(super) mod capacity;
mod choose;
mod clone;
pub(super) mod colocation;
mod criteria;
mod effect;
mod group;
pub(super) mod instance;
pub mod now;
mod preference;
mod primitive;
mod priority;
mod promotable;
mod scores;
pub(super) mod tree;

use super::constraints::{Colocation, Constraints};
use super::facts::options::PlacementStrategy;
use super::facts::{Facts, Kind};
use super::nvtable::Str;
use super::report::{Cause, Contribution, ScoreLine};
use super::{ColIdx, IdxVec, NodeIdx, NodeTable, RscIdx};
use capacity::Capacity;
use now::Now;
use promotable::PromotionScores;

/// Step 3: who runs where. Frozen when the next step starts.
#[derive(Debug)]
pub struct Placement {
    /// Resources and nodes as the decisions left them.
    pub now: Now,
    /// A(r) of every resource, as left.
    pub allowed: IdxVec<RscIdx, NodeTable>,
    /// What is left of each node's capacity.
    pub capacity: IdxVec<NodeIdx, Capacity>,
    /// All colocations, with those that only the assignment knows.
    pub colocations: IdxVec<ColIdx, Colocation>,
    /// Per resource the colocations where it is the dependent.
    pub this_with: IdxVec<RscIdx, Vec<ColIdx>>,
    /// Per resource the colocations where it is the primary.
    pub with_this: IdxVec<RscIdx, Vec<ColIdx>>,
    /// Per resource its location constraints, newest first.
    pub locations: IdxVec<RscIdx, Vec<usize>>,
    /// Top-level resources, sorted again where the placement strategy wants that.
    pub order: Vec<RscIdx>,
    /// What `--show-scores` and `--show-utilization` print, in order.
    pub lines: Vec<ScoreLine>,
    /// Where scores came from.
    pub contributions: Vec<Contribution>,
    /// Nodes that lost tickets want fenced, with the reason.
    pub fencing: Vec<(NodeIdx, Str, Cause)>,
    /// Shutdown locks to forget: the resource and the node whose history has it. spec 1 §29.2
    pub dropped_locks: Vec<(RscIdx, NodeIdx)>,
    /// Time may change a decision then.
    pub recheck_by: Vec<i64>,
}

/// One run of the step: what it reads, and what it leaves.
pub(super) struct Assign<'a> {
    facts: &'a Facts,
    constraints: &'a Constraints,
    promotion_scores: PromotionScores<'a>,
    place: Placement,
    record: bool,
}

/// Step 3. With `record`, where each score came from is kept.
#[must_use]
pub fn assign(facts: &Facts, constraints: &Constraints, record: bool) -> Placement {
    let mut run = Assign {
        facts,
        constraints,
        promotion_scores: PromotionScores::read(facts),
        place: Placement::new(facts, constraints),
        record,
    };
    run.criteria();
    run.all();
    run.place
}

impl Placement {
    fn new(facts: &Facts, constraints: &Constraints) -> Placement {
        let mut locations: IdxVec<RscIdx, Vec<usize>> =
            IdxVec::from_fn(facts.rscs.len(), |_| Vec::new());
        for (at, location) in constraints.locations.iter().enumerate().rev() {
            locations[location.rsc].push(at);
        }
        Placement {
            now: Now::new(facts),
            allowed: IdxVec::from_fn(facts.rscs.len(), |rsc| facts.rscs[rsc].allowed.clone()),
            capacity: IdxVec::from_fn(facts.nodes.len(), |node| {
                Capacity::read(&facts.nodes[node].utilization)
            }),
            colocations: constraints.colocations.clone(),
            this_with: constraints.this_with.clone(),
            with_this: constraints.with_this.clone(),
            locations,
            order: facts.top.clone(),
            lines: Vec::new(),
            contributions: facts.contributions.clone(),
            fencing: Vec::new(),
            dropped_locks: Vec::new(),
            recheck_by: Vec::new(),
        }
    }

    /// Where a resource will be.
    #[must_use]
    pub fn assigned(&self, rsc: RscIdx) -> Option<NodeIdx> {
        self.now.rscs[rsc].assigned
    }
}

impl Assign<'_> {
    /// Connections first, as what they connect to becomes a node by it. spec 2 §9
    fn all(&mut self) {
        if self.facts.options.placement_strategy != PlacementStrategy::Default {
            self.sort_by_preference();
        }
        self.print_capacities("Original");
        let order = self.place.order.clone();
        let connection = |rsc: RscIdx| self.facts.rscs[rsc].flags.connection;
        let (first, rest): (Vec<RscIdx>, Vec<RscIdx>) =
            order.into_iter().partition(|rsc| connection(*rsc));
        let any_remote = self.facts.nodes.iter().any(|node| node.pacemaker_remote);
        if any_remote {
            for rsc in &first {
                let prefer = self.facts.rscs[*rsc].partial_target;
                self.assign(*rsc, prefer, true);
            }
        }
        for rsc in rest {
            self.assign(rsc, None, true);
        }
        self.print_capacities("Remaining");
    }

    /// Assigns a resource of any kind.
    fn assign(&mut self, rsc: RscIdx, prefer: Option<NodeIdx>, last: bool) -> Option<NodeIdx> {
        match self.facts.rscs[rsc].kind {
            Kind::Primitive => self.assign_primitive(rsc, prefer, last),
            Kind::Group(_) => self.assign_group(rsc, prefer, last),
            Kind::Clone(_) => {
                self.assign_clone(rsc, prefer, last);
                None
            }
            Kind::Bundle(_) => {
                self.assign_bundle(rsc, prefer, last);
                None
            }
        }
    }
}
