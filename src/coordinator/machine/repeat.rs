//! A plan that was carried out, and is wanted again as it was, though nothing else happened: what is recorded is broken, or
//! an agent says what is not so, and no repetition mends that. It is named, and done again after longer and longer pauses.
//! Whatever else happens is planned for at once.

use super::*;

/// Why a plan is asked for, what says least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// Time alone.
    TimePassed,
    /// The plan before was carried out, and nothing else happened.
    Complete,
    /// Something happened.
    News,
}

/// So often a plan may follow upon itself before it has to wait: the first time may find what came too late for it.
const PATIENCE: u32 = 3;
/// The first pause, which doubles each time, and the longest, in milliseconds.
const PAUSES_MS: (u64, u64) = (10_000, 900_000);

/// How often the newest plan followed upon itself.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    deeds: Vec<String>,
    times: u32,
}

impl Repeats {
    /// This plan was made for that reason. For how many milliseconds it has to wait, if it has to.
    pub(super) fn planned(&mut self, graph: &Graph, why: Asked) -> Option<u64> {
        let deeds: Vec<String> = deeds_of(graph);
        let same = deeds == self.deeds;
        self.deeds = deeds;
        match why {
            Asked::Complete if same => self.times += 1,
            // The pause is over.
            Asked::TimePassed if same => return None,
            _ => self.times = 0,
        }
        let more = self.times.checked_sub(PATIENCE)?;
        let (first, longest) = PAUSES_MS;
        Some(first.saturating_mul(1 << more.min(20)).min(longest))
    }

    /// Nothing is wanted any more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// What is done again and again in vain.
    pub(super) fn in_vain(&self) -> &[String] {
        if self.times < PATIENCE {
            return &[];
        }
        &self.deeds
    }
}

fn deeds_of(graph: &Graph) -> Vec<String> {
    let actions = graph.synapses.iter().map(|synapse| &synapse.action);
    let real = actions.filter(|action| action.kind != ActionKind::Pseudo);
    real.map(Action::told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Synapse;

    fn graph(keys: &[&str]) -> Graph {
        let action = |key: &&str| Action::new(ActionId(1), ActionKind::Resource, "start", key);
        let synapses = keys.iter().map(|key| Synapse {
            priority: 0,
            action: action(key),
            inputs: Vec::new(),
        });
        Graph {
            synapses: synapses.collect(),
            ..Graph::default()
        }
    }

    #[test]
    fn a_plan_that_follows_upon_itself_waits_longer_each_time() {
        let (mut repeats, plan) = (Repeats::default(), graph(&["a_start_0"]));
        assert_eq!(repeats.planned(&plan, Asked::News), None);
        assert_eq!(repeats.planned(&plan, Asked::Complete), None);
        assert_eq!(repeats.planned(&plan, Asked::Complete), None);
        assert!(repeats.in_vain().is_empty());
        assert_eq!(repeats.planned(&plan, Asked::Complete), Some(10_000));
        assert_eq!(repeats.in_vain(), ["a_start_0"]);
        assert_eq!(
            repeats.planned(&plan, Asked::TimePassed),
            None,
            "it has waited"
        );
        assert_eq!(repeats.planned(&plan, Asked::Complete), Some(20_000));
        for _ in 0..40 {
            repeats.planned(&plan, Asked::Complete);
        }
        assert_eq!(repeats.planned(&plan, Asked::Complete), Some(900_000));
        assert_eq!(repeats.planned(&plan, Asked::News), None, "news");
        assert!(repeats.in_vain().is_empty());
    }

    #[test]
    fn another_plan_is_no_repetition() {
        let mut repeats = Repeats::default();
        for n in 0..20 {
            let key = if n % 2 == 0 { "a_start_0" } else { "a_stop_0" };
            assert_eq!(repeats.planned(&graph(&[key]), Asked::Complete), None);
        }
        for _ in 0..3 {
            repeats.planned(&graph(&["a_start_0"]), Asked::Complete);
        }
        repeats.end();
        assert_eq!(
            repeats.planned(&graph(&["a_start_0"]), Asked::Complete),
            None
        );
    }
}
