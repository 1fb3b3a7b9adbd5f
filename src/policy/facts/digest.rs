//! Were the parameters others when the resource was started? Digests of what would be used now, compared with those
//! recorded (spec 1 §28).

use std::cmp::Ordering;
use std::sync::Arc;

use super::Facts;
use super::history::{self, Compared, HistoryOp};
use super::nvset;
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nvtable::{NvTable, Str};
use crate::terms::text;
use crate::xml::{Element, digest};

/// How recorded digests compare with those of the present definition. // spec 1 §28.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing changed.
    Match,
    /// Nothing is recorded to compare with.
    Unknown,
    /// Something changed.
    Mismatch,
    /// Something changed that needs a restart.
    Restart,
}

/// Digests of an operation as it is defined now. // spec 1 §28.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Of all parameters.
    pub main: String,
    /// Of those whose change needs a restart, if the recorded entry knows of such.
    pub restart: Option<String>,
    /// Of those that are not private; only in saved input and for unfencing.
    pub secure: Option<String>,
    /// A mismatch means restart, as the operation has parameters of its own.
    pub preset_restart: bool,
}

impl Digests {
    /// How those recorded for an operation compare with these.
    fn compared_with(&self, op: &HistoryOp) -> Verdict {
        if let (Some(now), Some(then)) = (&self.restart, op.element.get("op-restart-digest"))
            && now != then
        {
            return Verdict::Restart;
        }
        match op.element.get("op-digest") {
            None => Verdict::Unknown,
            Some(then) if then == self.main => Verdict::Match,
            Some(_) if self.preset_restart => Verdict::Restart,
            Some(_) => Verdict::Mismatch,
        }
    }
}

/// Digests that were made in this run: what they were made for, and they.
#[derive(Debug)]
pub(super) struct Made {
    node: NodeIdx,
    task: Str,
    interval_ms: u64,
    digests: Arc<Digests>,
}

/// Names that are private where no entry says which are.
pub(crate) const PRIVATE: [&str; 3] = ["passwd", "password", "user"];

impl Facts {
    /// Whether the address of this connection is known only after the assignment. // spec 1 §15.8
    #[must_use]
    pub fn address_is_deferred(&self, rsc: RscIdx) -> bool {
        self.rscs[rsc].flags.connection && self.params(rsc, None).get("addr") == Some("#uname")
    }

    /// Compares one recorded operation with the present definition; `address` is that of a deferred connection.
    /// // spec 1 §28.3
    #[must_use]
    pub fn compare_digest(
        &self,
        rsc: RscIdx,
        node: NodeIdx,
        op: &HistoryOp,
        address: Option<&str>,
    ) -> Verdict {
        let now = self.digests(rsc, &op.task, op.interval_ms, node, Some(op), address);
        let compared = op.compared.get();
        match compared.filter(|it| Arc::ptr_eq(&it.digests, &now)) {
            Some(compared) => compared.verdict,
            None => now.compared_with(op),
        }
    }

    /// Whether an operation of an entry that is the only one about its resource there was found to be as defined, and the
    /// definition is still the same: nothing would come of comparing it again.
    #[must_use]
    pub fn is_settled(&self, rsc: RscIdx, op: &HistoryOp) -> bool {
        let same = |it: &&Compared| Arc::ptr_eq(&it.spec, &self.rscs[rsc].spec);
        let compared = op.compared.get().filter(same);
        op.marks.sole && compared.is_some_and(|it| it.configured && it.verdict == Verdict::Match)
    }

    /// Whether only private parameters changed: the recorded secure digest is the one of now. // spec 3 §6.2
    #[must_use]
    pub fn only_private_changed(
        &self,
        rsc: RscIdx,
        node: NodeIdx,
        op: &HistoryOp,
        address: Option<&str>,
    ) -> bool {
        let Some(then) = op
            .element
            .get("op-secure-digest")
            .filter(|_| self.sanitized)
        else {
            return false;
        };
        let now = self.digests(rsc, &op.task, op.interval_ms, node, Some(op), address);
        now.secure.as_deref() == Some(then)
    }

    /// Digests of a resource's operation on a node; made once, also when entries with the same key differ.
    /// // spec 1 §28.2
    #[must_use]
    pub fn digests(
        &self,
        rsc: RscIdx,
        task: &str,
        interval_ms: u64,
        node: NodeIdx,
        entry: Option<&HistoryOp>,
        address: Option<&str>,
    ) -> Arc<Digests> {
        let mut kept = self
            .context
            .digests
            .lock()
            .expect("no digest panics half-way");
        let of_rsc = kept.entry(rsc).or_default();
        let key =
            |it: &&Made| it.node == node && it.interval_ms == interval_ms && &*it.task == task;
        if let Some(made) = of_rsc.iter().find(key) {
            return Arc::clone(&made.digests);
        }
        let make = || {
            let element = entry.map(|entry| &entry.element);
            Arc::new(self.make_digests(rsc, task, interval_ms, node, element, address))
        };
        let digests = match entry.filter(|_| address.is_none()) {
            None => make(),
            Some(entry) => self.kept_digests(rsc, entry, make),
        };
        of_rsc.push(Made {
            node,
            task: history::shared_task(task),
            interval_ms,
            digests: Arc::clone(&digests),
        });
        digests
    }

    /// Those that the entry was compared with before, if they were made of this definition, which has nothing else to say
    /// then: it is read anew when what it stands in or the defaults change.
    fn kept_digests(
        &self,
        rsc: RscIdx,
        entry: &HistoryOp,
        make: impl FnOnce() -> Arc<Digests>,
    ) -> Arc<Digests> {
        let spec = &self.rscs[rsc].spec;
        let kept = entry.compared.get();
        if let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.spec, spec)) {
            return Arc::clone(&kept.digests);
        }
        let digests = make();
        if self.parameters_last(rsc) {
            // An entry that was compared with an earlier definition is computed anew each time until it changes.
            let _ = entry.compared.set(Compared {
                spec: Arc::clone(spec),
                digests: Arc::clone(&digests),
                verdict: digests.compared_with(entry),
                configured: entry.interval_ms == 0
                    || self
                        .find_op(rsc, &entry.task, entry.interval_ms, false)
                        .is_some(),
            });
        }
        digests
    }

    /// Whether nothing but the definition says what the parameters of a resource and its operations are.
    fn parameters_last(&self, rsc: RscIdx) -> bool {
        let ruled = |blocks: &[nvset::Block]| nvset::have_rules(blocks);
        let ops = &self.rscs[rsc].ops;
        !self
            .lineage(rsc)
            .any(|at| ruled(&self.rscs[at].spec.params))
            && !ops.iter().any(|op| ruled(&op.params) || ruled(&op.meta))
            && !ruled(&self.context.op_defaults)
            && !self.address_is_deferred(rsc)
    }

    fn make_digests(
        &self,
        rsc: RscIdx,
        task: &str,
        interval_ms: u64,
        node: NodeIdx,
        entry: Option<&Element>,
        address: Option<&str>,
    ) -> Digests {
        let params = self.params(rsc, Some(node));
        let mut all = NvTable::new();
        if let Some(address) = address.filter(|_| self.address_is_deferred(rsc)) {
            all.set("addr", address);
        }
        all.add_missing(&params);
        let op = self.find_op(rsc, task, interval_ms, true);
        let own = op
            .map(|op| self.op_params(rsc, op, Some(node)))
            .unwrap_or_default();
        all.add_missing(&own);
        all.retain(counts);
        let mut secure_base = all.clone();
        if interval_ms > 0 {
            let meta = self.op_meta(rsc, Some(node), task, interval_ms);
            all.add("CRM_meta_timeout", meta.timeout_ms.to_string());
            secure_base.add("CRM_meta_timeout", meta.timeout_ms.to_string());
        }
        let restart = entry
            .filter(|entry| entry.has("op-restart-digest"))
            .map(|entry| match entry.get("op-force-restart") {
                None => operation(&all),
                Some(names) => {
                    let mut some = all.clone();
                    some.retain(|name, _| names.split_ascii_whitespace().any(|n| n == name));
                    operation(&some)
                }
            });
        let wants_secure =
            entry.is_none_or(|entry| self.sanitized && entry.has("op-secure-digest"));
        let secure = wants_secure.then(|| {
            let old = self.hashed_as_of_old(entry);
            let mut base = if old { (*params).clone() } else { secure_base };
            base.retain(counts);
            match entry {
                None => base.retain(|name, _| !PRIVATE.contains(&name)),
                Some(entry) => {
                    let private = entry.get("op-secure-params").unwrap_or_default();
                    base.retain(|name, _| !private.split_ascii_whitespace().any(|p| p == name));
                }
            }
            if old && self.rscs[rsc].flags.fence_device {
                base.retain(|name, _| !is_fencer_parameter(name));
            }
            operation(&base)
        });
        Digests {
            main: operation(&all),
            restart,
            secure,
            preset_restart: interval_ms == 0 && !own.is_empty(),
        }
    }
}

impl Facts {
    /// Whether what an entry hashes was chosen as before feature set 3.16.0. // spec 1 §28.2
    pub(crate) fn hashed_as_of_old(&self, entry: Option<&Element>) -> bool {
        let feature_set = entry.and_then(|entry| entry.get("crm_feature_set"));
        let feature_set = feature_set.unwrap_or(&self.feature_set);
        text::compare_versions(feature_set, "3.16.0") == Ordering::Less
    }
}

fn operation(table: &NvTable) -> String {
    digest::operation(table.iter())
}

/// Whether a parameter counts in a digest.
pub(crate) fn counts(name: &str, _value: &str) -> bool {
    !name.starts_with("CRM_meta_")
        && !matches!(
            name,
            "id" | "crm_feature_set"
                | "op-digest"
                | "on_node"
                | "on_node_uuid"
                | "pcmk_external_ip"
        )
}

/// What the fencer reads itself, of a fence device's parameters. // spec 1 §28.2
pub(crate) fn is_fencer_parameter(name: &str) -> bool {
    const KNOWN: [&str; 9] = [
        "provides",
        "stonith-timeout",
        "pcmk_action_limit",
        "pcmk_delay_base",
        "pcmk_delay_max",
        "pcmk_host_argument",
        "pcmk_host_check",
        "pcmk_host_list",
        "pcmk_host_map",
    ];
    const SUFFIXES: [&str; 3] = ["_action", "_timeout", "_retries"];
    KNOWN.contains(&name)
        || name
            .strip_prefix("pcmk_")
            .is_some_and(|rest| SUFFIXES.iter().any(|s| rest.ends_with(s)))
}
