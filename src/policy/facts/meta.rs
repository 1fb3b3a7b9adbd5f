//! Meta-attributes: what a resource says, its ancestors say, the defaults say, and what follows from its parent.

use super::Facts;
use super::nvset;
use super::rules::RuleInput;
use super::spec::Spec;
use crate::policy::index::RscIdx;
use crate::policy::nvtable::NvTable;

/// The table of a resource about to be made. // spec 1 §11.1
pub(super) fn build(
    facts: &Facts,
    spec: &Spec,
    parent: Option<RscIdx>,
    instance: Option<u32>,
) -> NvTable {
    let mut table = spec.attributes.clone();
    if let Some(number) = instance {
        table.set("clone", number.to_string());
    }
    let context = &facts.context;
    let input = RuleInput {
        agent: Some(&spec.agent),
        ..RuleInput::at(context.now)
    };
    let mut apply = |blocks| {
        nvset::apply(
            blocks,
            &input,
            &context.document,
            &context.recheck,
            &mut table,
        )
    };
    apply(&spec.meta);
    let mut ancestor = parent;
    while let Some(at) = ancestor {
        apply(&facts.rscs[at].spec.meta);
        ancestor = facts.rscs[at].parent;
    }
    apply(&context.rsc_defaults);
    if let Some(parent) = parent {
        table.add_missing(&facts.rscs[parent].meta);
    }
    table
}
