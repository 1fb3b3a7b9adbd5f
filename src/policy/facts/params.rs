//! Parameters of a resource for a node, and what a colocation or rule reads of a node (spec 1 §11.4, §8.3).

use std::sync::Arc;

use super::Facts;
use super::nvset;
use super::rules::RuleInput;
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::NvTable;

impl Facts {
    /// Parameters of a resource as they are for a node, or without one; ancestors add what is missing.
    /// // spec 1 §11.4
    #[must_use]
    pub fn params(&self, rsc: RscIdx, node: Option<NodeIdx>) -> Arc<NvTable> {
        let ruled = self
            .lineage(rsc)
            .any(|at| nvset::have_rules(&self.rscs[at].spec.params));
        if !ruled {
            let plain = &self.rscs[rsc].plain_params;
            return Arc::clone(plain.get_or_init(|| Arc::new(self.evaluate_params(rsc, None))));
        }
        let mut kept = self
            .context
            .params
            .lock()
            .expect("no evaluation panics half-way");
        let made = kept.entry((rsc, node));
        Arc::clone(made.or_insert_with(|| Arc::new(self.evaluate_params(rsc, node))))
    }

    fn evaluate_params(&self, rsc: RscIdx, node: Option<NodeIdx>) -> NvTable {
        let context = &self.context;
        let node = node.map(|node| &self.nodes[node].attributes);
        let input = RuleInput {
            node,
            ..RuleInput::at(context.now)
        };
        let mut table = NvTable::new();
        for at in self.lineage(rsc) {
            let blocks = &self.rscs[at].spec.params;
            nvset::apply(
                blocks,
                &input,
                &context.document,
                &context.recheck,
                &mut table,
            );
        }
        table
    }

    /// The resource and its ancestors, nearest first.
    pub(super) fn lineage(&self, rsc: RscIdx) -> impl Iterator<Item = RscIdx> + '_ {
        std::iter::successors(Some(rsc), |&at| self.rscs[at].parent)
    }

    /// A node attribute as a resource with `container-attribute-target` sees it (spec 1 §8.3 "with target"): for guests
    /// and target `host`, that of the host, which is `host_of(container)`.
    pub fn attribute_for<'a>(
        &'a self,
        node: NodeIdx,
        name: &str,
        target: Option<&str>,
        host_of: impl FnOnce(RscIdx) -> Option<NodeIdx>,
    ) -> Option<&'a str> {
        let on_host = target.is_some_and(|target| target.eq_ignore_ascii_case("host"));
        if on_host && self.is_guest(node) {
            let host = self.host_container(node).and_then(host_of)?;
            return self.nodes[host].attributes.get(name);
        }
        self.nodes[node].attributes.get(name)
    }
}
