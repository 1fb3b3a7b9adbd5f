//! The six steps, one line each, and what they leave together.

use super::actions::plan::Plan;
use super::emit::{self, SummaryLine};
use super::facts::{self, Facts, Kept};
use super::input::Input;
use super::report::{Causes, ScoreLine, Warning, Whom};
use super::{NodeIdx, RscIdx, actions, assign, constraints, ordering, why};
use crate::graph::{ActionId, Drawing, Graph};
use crate::xml::Element;

/// What the policy leaves.
#[derive(Debug)]
pub struct Outcome {
    /// What to do, in which order.
    pub graph: Graph,
    /// The same for a person, in the order in which it is printed.
    pub summary: Vec<SummaryLine>,
    /// Score and utilization lines, in the order in which the assignment came to them, if they were to be recorded.
    pub scores: Vec<ScoreLine>,
    /// What was wrong in the input.
    pub warnings: Vec<Warning>,
    /// Why.
    pub causes: Causes,
    /// What was true, for display.
    pub facts: Facts,
    /// Where everything will be: resource and node, primitives only.
    pub placed: Vec<(RscIdx, Option<NodeIdx>)>,
    /// The plan behind the graph, with what is optional or can't be done.
    pub plan: Plan,
}

impl Outcome {
    /// What an action of the plan is, by its number; nothing for a number that none has.
    #[must_use]
    pub fn whom(&self, action: ActionId) -> Option<Whom> {
        why::whom(&self.plan, action)
    }

    /// The plan as a drawing; with `all`, also what is optional; with `numbers`, those of actions.
    #[must_use]
    pub fn drawing(&self, all: bool, numbers: bool) -> Drawing {
        emit::drawing(&self.facts, &self.plan, &self.graph, all, numbers)
    }
}

/// What the cluster must do next. The CIB is in the newest schema (`cib::upgrade`).
#[must_use]
pub fn schedule(cib: &Element, input: &Input) -> Outcome {
    decide(facts::read(cib, input), cib, input)
}

/// The same decision, made faster with what the one before left: most of a CIB is what it was.
#[must_use]
pub fn schedule_again(cib: &Element, input: &Input, kept: &mut Kept) -> Outcome {
    decide(facts::read_again(cib, input, kept), cib, input)
}

/// The decision that follows from facts that were read from this CIB with this input.
#[must_use]
pub fn decide(facts: Facts, cib: &Element, input: &Input) -> Outcome {
    let constraints = constraints::read(&facts, cib);
    let placement = assign::assign(&facts, &constraints, input.causes);
    let plan = actions::plan(&facts, &constraints, &placement, input.causes);
    let mut plan = ordering::settle(&facts, &placement, plan);
    let summary = emit::summary(&facts, &placement, &mut plan);
    let mut graph = emit::graph(&facts, &placement, &mut plan);

    let mut warnings = facts.warnings.clone();
    let valid = |text| Warning {
        text,
        invalid: false,
    };
    warnings.extend(emit::leave_out(&facts, &plan, &mut graph).map(valid));
    if plan.unsettled {
        let text = "orderings contradict each other, the plan did not settle; remove one of the orderings that form a loop";
        warnings.push(valid(text.to_owned()));
    }
    warnings.extend(emit::circle(&plan, &graph).map(valid));
    let placed = facts
        .rscs
        .indexes()
        .filter(|rsc| facts.rscs[*rsc].is_primitive());
    let placed = placed
        .map(|rsc| (rsc, plan.now.rscs[rsc].assigned))
        .collect();
    let mut causes = Causes {
        scores: placement.contributions,
        ..Causes::default()
    };
    if input.causes {
        why::collect(&mut causes, &facts, &plan);
    }
    Outcome {
        graph,
        summary,
        scores: placement.lines,
        warnings,
        causes,
        facts,
        placed,
        plan,
    }
}

#[cfg(test)]
mod tests;
