//! Small questions about the resource tree that only this side of the policy asks.

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
        let (mut count, mut last) = self.own_failures(rsc, node);
        if self.bundle_of(rsc).is_none() {
            for launched in &self.rscs[rsc].launched {
                let (more, later) = self.own_failures(*launched, node);
                count += more;
                last = last.max(later);
            }
        }
        (count, last)
    }

    fn own_failures(&self, rsc: RscIdx, node: NodeIdx) -> (Score, i64) {
        let fact = &self.rscs[rsc];
        let name = fact.history_id.as_ref().unwrap_or(&fact.id).as_str();
        let name = if fact.flags.unique {
            name
        } else {
            without_instance(name)
        };
        let attributes = &self.nodes[node].attributes;
        let matching = |prefix: &'static str| {
            let start = format!("{prefix}{name}");
            attributes
                .with_prefix(prefix)
                .filter_map(move |(key, value)| {
                    let rest = key.strip_prefix(&start)?;
                    let rest = if fact.flags.unique {
                        rest
                    } else {
                        skip_instance(rest)
                    };
                    let operation = rest.strip_prefix('#')?;
                    let (task, interval) = operation.rsplit_once('_')?;
                    let digits =
                        !interval.is_empty() && interval.bytes().all(|byte| byte.is_ascii_digit());
                    (!task.is_empty() && digits).then_some(value)
                })
        };
        let count: Score = matching("fail-count-").filter_map(Score::parse).sum();
        let last = matching("last-failure-")
            .filter_map(|text| text.parse::<i64>().ok())
            .max()
            .unwrap_or(0);
        let timeout_s = i64::try_from(fact.failure_timeout_ms.div_ceil(1000)).unwrap_or(i64::MAX);
        if count > Score::ZERO
            && timeout_s > 0
            && last > 0
            && self.now_s > last.saturating_add(timeout_s)
        {
            return (Score::ZERO, 0);
        }
        (count, if count > Score::ZERO { last } else { 0 })
    }
}

/// Is the text one of those that mean true? spec 1 §1.1
pub(in super::super) fn is_true(text: &str) -> bool {
    ["true", "on", "yes", "y", "1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

fn without_instance(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((base, number))
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            base
        }
        _ => name,
    }
}

fn skip_instance(rest: &str) -> &str {
    match rest.strip_prefix(':') {
        Some(number) => number.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    }
}
