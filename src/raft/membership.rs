//! Raft's voters follow the members in the replicated state. The leader compares the two and takes one
//! step at a time, so that a change that was interrupted is finished by the next leader.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{ChangeMembers, EmptyNode};

use super::types::{Core, Metrics};
use super::vocab::Member;
use crate::terms::NodeId;

/// A learner this close behind the leader's log may vote.
const CLOSE: u64 = 100;

/// One step towards what is wanted.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Replicate to this node.
    Add(NodeId),
    /// These vote from now on, all others do not.
    Voters(BTreeSet<NodeId>),
    /// Stop replicating to these.
    Drop(BTreeSet<NodeId>),
    /// This node leads, but is to be removed or to stop voting: someone else must lead first.
    HandOver,
}

/// The next step, if any.
pub(crate) fn next(
    me: NodeId,
    members: &BTreeMap<NodeId, Member>,
    nodes: &BTreeSet<NodeId>,
    voters: &[BTreeSet<NodeId>],
    close: impl Fn(NodeId) -> bool,
) -> Option<Step> {
    let known = |id: &&NodeId| !nodes.contains(id);
    if let Some(id) = members.keys().find(known) {
        return Some(Step::Add(*id));
    }
    let now: BTreeSet<NodeId> = voters.last().cloned().unwrap_or_default();
    let votes = |id: &NodeId| members.get(id).is_some_and(|member| member.role.votes());
    let wanted: BTreeSet<NodeId> = nodes
        .iter()
        .filter(|id| votes(id) && (now.contains(id) || close(**id)))
        .copied()
        .collect();
    if !wanted.is_empty() && (wanted != now || voters.len() > 1) {
        if now.contains(&me) && !wanted.contains(&me) {
            return Some(Step::HandOver);
        }
        return Some(Step::Voters(wanted));
    }
    let gone: BTreeSet<NodeId> = nodes
        .iter()
        .filter(|id| !members.contains_key(id))
        .copied()
        .collect();
    (!gone.is_empty() && !gone.contains(&me)).then_some(Step::Drop(gone))
}

/// Compares, from what openraft says about itself.
pub(crate) fn plan(
    me: NodeId,
    members: &BTreeMap<NodeId, Member>,
    metrics: &Metrics,
    answers: impl Fn(NodeId) -> bool,
) -> Option<Step> {
    let membership = metrics.membership_config.membership();
    let nodes: BTreeSet<NodeId> = membership.nodes().map(|(id, _)| *id).collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let close = |id: NodeId| {
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&id));
        let near = matched
            .and_then(|at| at.as_ref())
            .is_some_and(|at| at.index + CLOSE >= last);
        near && answers(id)
    };
    next(me, members, &nodes, membership.get_joint_config(), close)
}

/// Takes a step; `HandOver` is the caller's.
pub(crate) async fn take(core: &Core, step: Step) -> Result<(), String> {
    let changed = match step {
        Step::Add(id) => core.add_learner(id, EmptyNode {}, false).await,
        // Those that vote no more stay as learners; `Drop` removes them if they are no members either.
        Step::Voters(voters) => {
            core.change_membership(ChangeMembers::ReplaceAllVoters(voters), true)
                .await
        }
        Step::Drop(nodes) => {
            core.change_membership(ChangeMembers::RemoveNodes(nodes), true)
                .await
        }
        Step::HandOver => return Ok(()),
    };
    changed.map(|_| ()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::vocab::MemberRole;
    use super::*;

    fn members(text: &str) -> BTreeMap<NodeId, Member> {
        let member = |word: &str| {
            let (id, role) = word.split_once(':').expect("ID:ROLE");
            let id = id.parse().expect("a number");
            let role = role.parse::<MemberRole>().expect("a role");
            let member = Member {
                id,
                name: format!("n{id}").as_str().into(),
                addresses: Vec::new(),
                role,
                key: String::new(),
            };
            (id, member)
        };
        text.split_whitespace().map(member).collect()
    }

    fn ids(text: &str) -> BTreeSet<NodeId> {
        text.split_whitespace()
            .map(|id| id.parse().expect("a number"))
            .collect()
    }

    #[test]
    fn one_step_at_a_time_towards_the_members() {
        let wanted = members("1:voter 2:voter 3:learner 4:witness");
        let step = |nodes: &str, voters: &[&str], close: &str| {
            let voters: Vec<_> = voters.iter().map(|v| ids(v)).collect();
            let close = ids(close);
            next(NodeId(1), &wanted, &ids(nodes), &voters, |id| {
                close.contains(&id)
            })
        };
        assert_eq!(step("1", &["1"], ""), Some(Step::Add(NodeId(2))));
        assert_eq!(step("1 2 3 4", &["1"], "3"), None);
        assert_eq!(
            step("1 2 3 4", &["1"], "2 3"),
            Some(Step::Voters(ids("1 2")))
        );
        assert_eq!(
            step("1 2 3 4", &["1 2"], "4"),
            Some(Step::Voters(ids("1 2 4")))
        );
        assert_eq!(
            step("1 2 3 4", &["1", "1 2 4"], ""),
            Some(Step::Voters(ids("1 2 4")))
        );
        assert_eq!(
            step("1 2 3 4 5", &["1 2 4 5"], ""),
            Some(Step::Voters(ids("1 2 4")))
        );
        assert_eq!(
            step("1 2 3 4 5", &["1 2 4"], ""),
            Some(Step::Drop(ids("5")))
        );
        assert_eq!(step("1 2 3 4", &["1 2 4"], ""), None);
    }

    #[test]
    fn a_leader_that_is_removed_hands_over_first() {
        let voters = [ids("1 2 3")];
        let step = next(
            NodeId(1),
            &members("2:voter 3:voter"),
            &ids("1 2 3"),
            &voters,
            |_| true,
        );
        assert_eq!(step, Some(Step::HandOver));
    }
}
