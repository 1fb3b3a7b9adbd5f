//! What fencers remember: every operation of every owner, bounded. // spec cluster §16.11

use std::collections::{BTreeMap, BTreeSet};

use crate::terms::NodeName;

use super::vocab::{OpId, Record, State};

/// Entries above which the older half of the completed ones is dropped.
const MOST: usize = 500;

/// All known operations.
#[derive(Debug, Default)]
pub(super) struct History {
    records: BTreeMap<OpId, Record>,
    changes: u64,
}

impl History {
    /// Takes what an owner says; true when an operation is news as a completed one.
    pub(super) fn take(&mut self, record: Record) -> bool {
        let open = |state: State| matches!(state, State::Querying | State::Executing);
        let known = self.records.get(&record.op);
        // What has ended stays ended, whatever arrives late.
        if known.is_some_and(|known| !open(known.state)) {
            return false;
        }
        let ended = !open(record.state);
        self.changes += 1;
        self.records.insert(record.op.clone(), record);
        self.bound();
        ended
    }

    /// Operations of owners that are gone have failed. Returns those.
    pub(super) fn owners_left(&mut self, present: &BTreeSet<NodeName>, now_ms: i64) -> Vec<Record> {
        let mut failed = Vec::new();
        for record in self.records.values_mut() {
            let open = matches!(record.state, State::Querying | State::Executing);
            if open && !present.contains(&record.origin) {
                record.state = State::Failed;
                record.reason = Some(format!("{} left before the operation ended", record.origin));
                record.completed_ms.get_or_insert(now_ms);
                failed.push(record.clone());
                self.changes += 1;
            }
        }
        failed
    }

    /// All entries, oldest operation of each owner first.
    pub(super) fn all(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    /// Counts what changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Forgets completed operations against a node, or all.
    pub(super) fn cleanup(&mut self, target: Option<&NodeName>) {
        self.changes += 1;
        self.records.retain(|_, record| {
            let open = matches!(record.state, State::Querying | State::Executing);
            open || target.is_some_and(|target| record.target != *target)
        });
    }

    fn bound(&mut self) {
        if self.records.len() <= MOST {
            return;
        }
        let mut ended: Vec<(Option<i64>, OpId)> = self
            .records
            .values()
            .filter(|record| matches!(record.state, State::Done | State::Failed))
            .map(|record| (record.completed_ms, record.op.clone()))
            .collect();
        ended.sort();
        for (_, op) in ended.iter().take(ended.len() / 2) {
            self.records.remove(op);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fencer::Action;

    fn record(owner: &str, number: u64, state: State) -> Record {
        Record {
            op: OpId {
                owner: owner.into(),
                incarnation: 1,
                number,
            },
            target: "h9".into(),
            action: Action::Off,
            origin: owner.into(),
            client: "t".into(),
            delegate: None,
            completed_ms: Some(number as i64),
            state,
            reason: None,
        }
    }

    #[test]
    fn the_end_is_final_and_the_number_bounded() {
        let mut history = History::default();
        assert!(!history.take(record("a", 1, State::Querying)));
        assert!(history.take(record("a", 1, State::Done)));
        assert!(!history.take(record("a", 1, State::Executing)));
        assert_eq!(history.all()[0].state, State::Done);
        for number in 2..=501 {
            history.take(record("a", number, State::Failed));
        }
        assert_eq!(history.all().len(), 251);
        assert_eq!(history.all()[0].op.number, 251);
    }

    #[test]
    fn what_a_lost_owner_began_has_failed() {
        let mut history = History::default();
        history.take(record("a", 1, State::Executing));
        let failed = history.owners_left(&BTreeSet::from(["b".into()]), 9);
        assert_eq!(failed.len(), 1);
        // It was told as ended with number 1: that stays.
        assert_eq!(failed[0].completed_ms, Some(1));
        assert_eq!(history.all()[0].state, State::Failed);
        history.cleanup(Some(&"other".into()));
        assert_eq!(history.all().len(), 1);
        history.cleanup(None);
        assert_eq!(history.all().len(), 0);
    }
}
