//! Small questions about the resource tree that only this side of the policy asks.

use super::super::facts::failcount::FailQuery;
use super::super::facts::{Facts, Kind};
use super::super::{NodeIdx, RscIdx};
use crate::terms::Score;

impl Facts {
    /// The bundled instance in a replica's container.
    #[must_use]
    pub fn bundled_of(&self, container: RscIdx) -> Option<RscIdx> {
        if !self.rscs[container].flags.replica_container {
            return None;
        }
        let bundle = self.rscs[self.rscs[container].parent?].bundle()?;
        bundle
            .replicas
            .iter()
            .find(|replica| replica.container == container)?
            .child
    }

    /// Do a collective's instances only wait for their neighbours?
    #[must_use]
    pub fn interleave(&self, rsc: RscIdx) -> bool {
        match &self.rscs[rsc].kind {
            Kind::Clone(clone) => clone.interleave,
            Kind::Bundle(_) => self.rscs[rsc].meta.get("interleave").is_some_and(is_true),
            Kind::Primitive | Kind::Group(_) => false,
        }
    }

    /// The effective fail count of a resource on a node with those of what it launches, and when the last failure
    /// was. spec 2 §6.5
    #[must_use]
    pub fn failures(&self, rsc: RscIdx, node: NodeIdx) -> (Score, i64) {
        let query = FailQuery {
            effective: true,
            launched: true,
        };
        let failed = self.fail_count(&mut self.timeouts_off.clone(), rsc, node, query);
        (failed.count, failed.last_failure_s)
    }
}

/// Is the text one of those that mean true? spec 1 §1.1
pub(in super::super) fn is_true(text: &str) -> bool {
    ["true", "on", "yes", "y", "1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}
