//! Repeats the effect of relations until nothing changes. The walk is recursive and its order shows in rare
//! cases, so it is followed exactly: newest inputs first, a change at once to whoever is behind it. spec 3 §14.1
//!
//! A budget bounds it: contradictory orderings can't hang the cluster, they end in a warning.

use super::super::actions::plan::{ActIdx, Flags, Key, Kinds, NotifyPhase, Origin, Plan, Task};
use super::super::assign::Placement;
use super::super::facts::{Facts, Kind};
use super::super::{NodeIdx, RscIdx};
use super::derived;
use super::update::{Changed, is_notify};

/// The walk: what it reads, and the plan that it changes.
pub(in super::super) struct Settle<'a> {
    pub(super) facts: &'a Facts,
    pub(super) place: &'a Placement,
    pub(super) plan: Plan,
    budget: u64,
    depth: u32,
    later: Vec<ActIdx>,
    /// Blocked for the sake of a colocation.
    pub(super) parted: Vec<ActIdx>,
    /// The constraint whose relation is being applied.
    pub(super) through: Origin,
}

/// How deep the walk goes at once: chains beyond that (hundreds of resources long) are taken up again from the top,
/// so that the stack stays small.
const DEEPEST: u32 = 160;

impl<'a> Settle<'a> {
    pub(super) fn new(facts: &'a Facts, place: &'a Placement, plan: Plan) -> Settle<'a> {
        let budget = 1_000_000 + 2_000 * plan.len() as u64;
        Settle {
            facts,
            place,
            plan,
            budget,
            depth: 0,
            later: Vec::new(),
            parted: Vec::new(),
            through: Origin::default(),
        }
    }

    /// Did the walk end by itself?
    pub(super) fn exhausted(&self) -> bool {
        self.budget == 0
    }

    /// Walks from every action, newest first.
    pub(super) fn all(&mut self) {
        for action in self.plan.newest_first() {
            self.process(action);
            self.catch_up();
        }
    }

    /// Processes what was too deep for the walk.
    pub(super) fn catch_up(&mut self) {
        while let Some(action) = self.later.pop() {
            self.process(action);
        }
    }

    /// Applies all inputs of `then`, and passes on what changes.
    pub(super) fn process(&mut self, then: ActIdx) {
        if self.budget == 0 {
            return;
        }
        if self.depth >= DEEPEST {
            self.later.push(then);
            return;
        }
        self.budget -= 1;
        self.depth += 1;
        self.step(then);
        self.depth -= 1;
    }

    /// spec 3 §14.1
    fn step(&mut self, then: ActIdx) {
        let was = self.plan.get(then).flags;
        let counted = self.plan.get(then).min_before > 0;
        if counted {
            let action = self.plan.get_mut(then);
            action.count_before = 0;
            action.flags.clear(Flags::RUNNABLE);
        }
        let mut changed = Changed::default();
        for at in (0..self.plan.get(then).ins.len()).rev() {
            changed.first = false;
            let input = self.plan.get(then).ins[at];
            let first_node = self.place_of(input.first);
            let then_node = self.place_of(then);
            if input.kinds.has(Kinds::SAME_NODE)
                && let (Some(one), Some(other)) = (first_node, then_node)
                && one != other
            {
                self.plan.get_mut(then).ins[at].kinds = Kinds::NONE;
                continue;
            }
            let mut first = input.first;
            if input.kinds.has(Kinds::THEN_CANCELS)
                && self.plan.get(then).required()
                && let Some(rsc) = self.plan.get(first).rsc
            {
                self.plan.get_mut(first).flags.set(Flags::OPTIONAL);
                if self.plan.get(first).task == Task::RELOAD {
                    self.plan.now.rscs[rsc].reload = false;
                }
            }
            if self.foreign(first, then) {
                first = self.mapped(first);
            }
            if first == input.first {
                let first_seen = derived::seen(&mut self.plan, self.facts, first, then_node);
                let then_seen = derived::seen(&mut self.plan, self.facts, then, first_node);
                let outer = std::mem::replace(&mut self.through, input.origin);
                changed = changed.and(self.apply(then, at, first_seen, then_seen));
                self.through = outer;
            } else if self.plan.relate_for(first, then, input.kinds, input.origin) {
                changed.then = true;
                self.plan.get_mut(then).ins[at].kinds = Kinds::NONE;
            }
            if changed.first {
                self.process_behind(first);
                self.process(first);
            }
        }
        if counted {
            changed.then = self.plan.get(then).flags != was;
        }
        if changed.then {
            if was.runnable() && !self.plan.get(then).runnable() {
                self.block_colocated(then);
            }
            self.process(then);
            self.process_behind(then);
        }
    }

    /// Processes everything behind `action`, newest relation first.
    pub(super) fn process_behind(&mut self, action: ActIdx) {
        for at in (0..self.plan.get(action).outs.len()).rev() {
            let (then, _) = self.plan.get(action).outs[at];
            self.process(then);
        }
    }

    /// Where an action is; a group's start is where the group's one node is.
    fn place_of(&self, action: ActIdx) -> Option<NodeIdx> {
        let action = self.plan.get(action);
        if let Some(rsc) = action.rsc
            && action.task == Task::START
            && matches!(self.facts.rscs[rsc].kind, Kind::Group(_))
        {
            return self.plan.now.single_assigned(rsc);
        }
        action.node
    }

    /// Whether two resources have to do with each other from outside. An action without a resource, such as a gate for "one
    /// or more", belongs to none: it waits for what is begun, as in 2.1.5. No recorded case tells. spec 3 §14.1 step 5
    fn foreign(&self, first: ActIdx, then: ActIdx) -> bool {
        let (first, then) = (self.plan.get(first).rsc, self.plan.get(then).rsc);
        matches!((first, then), (Some(first), Some(then)) if first != then && !self.is_ancestor(first, then))
    }

    fn is_ancestor(&self, above: RscIdx, mut below: RscIdx) -> bool {
        while let Some(parent) = self.facts.rscs[below].parent {
            if parent == above {
                return true;
            }
            below = parent;
        }
        false
    }

    /// Others wait for a collective's *completed* action. spec 3 §14.2
    fn mapped(&self, first: ActIdx) -> ActIdx {
        let action = self.plan.get(first);
        let Some(rsc) = action.rsc else { return first };
        let fact = &self.facts.rscs[rsc];
        if matches!(fact.kind, Kind::Primitive) || is_notify(action.key) || action.interval_ms() > 0
        {
            return first;
        }
        let Key::Op(task, _) = action.key else {
            return first;
        };
        let Some(done) = task.completed() else {
            return first;
        };
        let told = fact.flags.notify
            && (matches!(fact.kind, Kind::Clone(_))
                || matches!(
                    self.facts.rscs[self.facts.root_of(rsc)].kind,
                    Kind::Bundle(_)
                ));
        let key = if told {
            Key::Notify(NotifyPhase::ConfirmedPost, done)
        } else {
            Key::of(done)
        };
        self.plan.newest_key(rsc, key).unwrap_or(first)
    }
}
