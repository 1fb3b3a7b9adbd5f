//! Four hosts, three of which vote: a voter that is gone for good is replaced.

use crate::cluster::{Stage, on_stage_of};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[(
    "voters::a_learner_votes_for_one_that_is_gone",
    a_learner_votes_for_one_that_is_gone,
)];

/// Who votes, by number, as a host knows it.
fn voters(stage: &Stage<'_>, host: &str) -> Vec<u64> {
    let words = ["cluster", "status", "--json"];
    let text = stage.cluster.crm(host, &words).unwrap_or_default();
    let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let voters = status["more"]["voters"].as_array().cloned();
    let voters = voters.unwrap_or_default();
    voters
        .iter()
        .filter_map(serde_json::Value::as_u64)
        .collect()
}

fn a_learner_votes_for_one_that_is_gone() {
    on_stage_of(4, false, |stage| {
        let vote = |who: &[u64]| {
            let is_so = || voters(stage, "host1") == who;
            stage
                .cluster
                .wait(&format!("{who:?} voting"), 60_000, is_so)
                .unwrap();
        };
        vote(&[1, 2, 3, 4]);
        let anywhere = |words: &[&str]| stage.cluster.anywhere(words).unwrap();
        if stage.leader() == "host3" || stage.leader() == "host4" {
            anywhere(&["cluster", "step-down", "host1"]);
        }
        anywhere(&["cluster", "role", "host4", "learner"]);
        vote(&[1, 2, 3]);
        anywhere(&["configure", "property", "voter-replace-after=3s"]);
        stage.lab.crash("host3").unwrap();
        vote(&[1, 2, 4]);
        let status = stage.cluster.crm("host1", &["cluster", "status"]).unwrap();
        assert!(status.contains("3 host3 (learner)"), "{status}");
        assert!(status.contains("4 host4 (voter)"), "{status}");
        // The next loss is survived, too.
        stage.lab.crash("host2").unwrap();
        anywhere(&["node", "attribute", "host1", "set", "still", "here"]);
    });
}
