//! Fail counts, when failures expire, and when their counts are cleared (spec 1 §25).

use std::collections::BTreeSet;

use super::clone::strip;
use super::digest::Verdict;
use super::history::HistoryOp;
use super::options::seconds;
use super::{Facts, Wish};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::terms::{Score, text};

/// Failures of a resource on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailCount {
    /// How many.
    pub count: Score,
    /// When the last one was, in seconds since the epoch; 0 if there is none.
    pub last_failure_s: i64,
}

/// How to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailQuery {
    /// Failures that have expired count as 0.
    pub effective: bool,
    /// Failures of launched resources count, too.
    pub launched: bool,
}

/// Resources whose `failure-timeout` is off for good, because an operation with on-fail=block failed
/// (spec 1 §25.2). Which they are depends on the order of queries, so who asks on must carry it on from
/// [`Facts::timeouts_off`].
pub type TimeoutsOff = BTreeSet<RscIdx>;

impl Facts {
    /// Counts failures. // spec 1 §25.2
    pub fn fail_count(
        &self,
        off: &mut TimeoutsOff,
        rsc: RscIdx,
        node: NodeIdx,
        query: FailQuery,
    ) -> FailCount {
        self.count_failures(off, rsc, node, query, None)
    }

    fn count_failures(
        &self,
        off: &mut TimeoutsOff,
        rsc: RscIdx,
        node: NodeIdx,
        query: FailQuery,
        entry: Option<&HistoryOp>,
    ) -> FailCount {
        let it = &self.rscs[rsc];
        let attributes = &self.nodes[node].attributes;
        let anonymous = !it.flags.unique;
        let known = it.history_id.as_ref().unwrap_or(&it.id).as_str();
        let name = if anonymous { strip(known) } else { known };
        let matching = |prefix: &'static str| {
            attributes
                .with_prefix(prefix)
                .filter(move |(attribute, _)| {
                    counts_for(&attribute[prefix.len()..], name, anonymous)
                })
        };
        let mut count = matching("fail-count-")
            .map(|(_, value)| self.score(value).unwrap_or(Score::ZERO))
            .fold(Score::ZERO, |sum, value| sum + value);
        let mut last_failure_s = matching("last-failure-")
            .map(|(_, value)| text::integer(value).unwrap_or(0))
            .fold(0, i64::max);
        if count > Score::ZERO
            && self.failure_timeout_s(off, rsc) > 0
            && self.failure_blocks(rsc, node, entry)
        {
            off.insert(rsc);
        }
        let timeout_s = self.failure_timeout_s(off, rsc);
        if query.effective
            && count > Score::ZERO
            && last_failure_s > 0
            && timeout_s > 0
            && self.now_s > last_failure_s.saturating_add(timeout_s)
        {
            count = Score::ZERO;
        }
        if query.launched && self.bundle_of(rsc).is_none() {
            for &launched in &it.launched {
                let more = self.count_failures(off, launched, node, query, entry);
                if more.count > Score::ZERO {
                    count += more.count;
                    last_failure_s = last_failure_s.max(more.last_failure_s);
                }
            }
        }
        if count == Score::ZERO {
            last_failure_s = 0;
        }
        FailCount {
            count,
            last_failure_s,
        }
    }

    fn failure_timeout_s(&self, off: &TimeoutsOff, rsc: RscIdx) -> i64 {
        if off.contains(&rsc) {
            0
        } else {
            seconds(self.rscs[rsc].failure_timeout_ms)
        }
    }

    // spec 1 §25.3
    fn failure_blocks(&self, rsc: RscIdx, node: NodeIdx, entry: Option<&HistoryOp>) -> bool {
        let it = &self.rscs[rsc];
        let base = strip(it.id.as_str());
        let blocking: Vec<_> = it
            .ops
            .iter()
            .filter(|op| op.element.get("on-fail") == Some("block"))
            .collect();
        if blocking.is_empty() {
            return false;
        }
        let matches = |seen: &HistoryOp| {
            blocking.iter().any(|op| {
                seen.task.eq_ignore_ascii_case(&op.name)
                    && seen.interval_ms == op.interval_ms
                    && (seen.id() == format!("{base}_last_failure_0")
                        || (seen.id() == format!("{base}_{}_{}", op.name, op.interval_ms)
                            && seen.rc.unwrap_or(-1) != seen.target_rc))
            })
        };
        match entry {
            Some(entry) => matches(entry),
            None => self
                .recorded_ops(base, self.nodes[node].name.as_str())
                .iter()
                .any(matches),
        }
    }

    /// Whether clearing of this fail count is wished for already. // spec 1 §31 point 4a
    #[must_use]
    pub fn clears_failcount(&self, rsc: RscIdx, node: NodeIdx) -> bool {
        self.wishes.iter().any(|wish| {
            matches!(wish, Wish::ClearFailcount { rsc: r, node: n, .. } if *r == rsc && *n == node)
        })
    }

    /// Whether a recorded result is too old to count. // spec 1 §25.4
    pub(super) fn check_expired(
        &mut self,
        rsc: RscIdx,
        node: NodeIdx,
        entry: (usize, usize),
        op: &HistoryOp,
    ) -> bool {
        if op.status == Some(7) {
            return false;
        }
        let is_last_failure = op.marks.last_failure;
        let mut off = std::mem::take(&mut self.timeouts_off);
        let timeout_s = self.failure_timeout_s(&off, rsc);
        let effective = FailQuery {
            effective: true,
            launched: false,
        };
        let mut expired = false;
        let mut left = FailCount::default();
        if timeout_s > 0
            && let Some(changed_s) = op.last_rc_change
        {
            left = self.count_failures(&mut off, rsc, node, effective, Some(op));
            let expires_s = changed_s.saturating_add(timeout_s);
            expired = self.now_s >= expires_s && !self.holds_failure(rsc, op);
            // What is counted may be older than this, and is cleared with it.
            if left.count == Score::ZERO
                && self.now_s < expires_s
                && self
                    .count_failures(&mut off, rsc, node, FailQuery::default(), Some(op))
                    .count
                    != Score::ZERO
            {
                self.propose_recheck(expires_s);
            }
            if left.count != Score::ZERO {
                self.propose_recheck(
                    left.last_failure_s
                        .saturating_add(timeout_s)
                        .saturating_add(1),
                );
            }
        }
        let mut reason = None;
        if expired {
            let all = self.count_failures(&mut off, rsc, node, FailQuery::default(), Some(op));
            if all.count != Score::ZERO {
                if left.count == Score::ZERO {
                    reason = Some("it expired");
                } else {
                    expired = false;
                }
            } else if is_last_failure && self.rscs[rsc].reconnect_interval_ms > 0 {
                reason = Some("reconnect interval is set");
            }
        }
        self.timeouts_off = off;
        if !expired && is_last_failure && matches!(&*op.task, "start" | "monitor") {
            if self.address_is_deferred(rsc) {
                self.wishes
                    .push(Wish::DeferredFailureCheck { rsc, node, entry });
            } else if matches!(
                self.compare_digest(rsc, node, op, None),
                Verdict::Mismatch | Verdict::Restart
            ) {
                reason = Some("resource parameters have changed");
            }
        }
        if let Some(reason) = reason {
            self.wish_clear_failcount(rsc, node, reason);
        }
        expired && !(op.is_probe() && matches!(op.rc, Some(0 | 7 | 8 | 190 | 191)))
    }

    // A remote connection's failure is kept until its node has been fenced. // spec 1 §25.4 "hold"
    fn holds_failure(&self, rsc: RscIdx, op: &HistoryOp) -> bool {
        let it = &self.rscs[rsc];
        it.reconnect_interval_ms > 0
            && self.options.fencing_enabled
            && &*op.task == "monitor"
            && op.interval_ms > 0
            && self
                .node_by_name(it.id.as_str())
                .is_some_and(|node| !self.nodes[node].fenced)
    }

    fn wish_clear_failcount(&mut self, rsc: RscIdx, node: NodeIdx, reason: &'static str) {
        let it = &self.rscs[rsc];
        let fenced_first = self.options.fencing_enabled && it.reconnect_interval_ms > 0;
        let after_fencing = self.node_by_name(it.id.as_str()).filter(|_| fenced_first);
        self.wishes.push(Wish::ClearFailcount {
            rsc,
            node,
            reason,
            after_fencing,
        });
    }
}

/// Whether what follows `fail-count-` or `last-failure-` is about this resource: `NAME#TASK_INTERVAL`, for anonymous
/// instances also `NAME:N#...`. The name stands in a regular expression, so its dots match anything. // spec 1 §25.1
fn counts_for(rest: &str, name: &str, anonymous: bool) -> bool {
    let (rest, name) = (rest.as_bytes(), name.as_bytes());
    let same = |(a, b): (&u8, &u8)| a == b || *b == b'.';
    if rest.len() <= name.len() || !rest.iter().zip(name).all(same) {
        return false;
    }
    let mut rest = &rest[name.len()..];
    if anonymous && rest[0] == b':' {
        let digits = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = &rest[1 + digits..];
    }
    let Some((b'#', operation)) = rest.split_first() else {
        return false;
    };
    let digits = operation
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let before = operation.len() - digits;
    digits > 0 && before >= 2 && operation[before - 1] == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_name_the_resource_and_the_operation() {
        assert!(counts_for("db#monitor_10000", "db", false));
        assert!(!counts_for("db", "db", false));
        assert!(!counts_for("db2#monitor_10000", "db", false));
        assert!(!counts_for("db:0#start_0", "db", false));
        assert!(counts_for("db:0#start_0", "db", true));
        assert!(!counts_for("db:#start_0", "db", true));
        assert!(!counts_for("db#start", "db", true));
        assert!(!counts_for("db#_0", "db", true));
    }
}
