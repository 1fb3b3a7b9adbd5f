//! A voter that is gone for good weighs on every majority. A learner takes its place, in two steps: first it votes, too,
//! then the lost one votes no more. So an odd number of voters is what was wanted, and an even one is half-way.

use super::vocab::MemberRole;
use crate::terms::NodeId;

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which one.
    pub id: NodeId,
    /// What it is to do.
    pub role: MemberRole,
    /// What it shares with others that may fail together: a rack, a room, a power line.
    pub domain: Option<String>,
    /// For how long it was not heard; 0 while it is.
    pub silent_ms: u64,
}

/// The next change of a role, if any: for voters that were silent for longer than this.
pub fn spare(members: &[Seen], patience_ms: u64) -> Option<(NodeId, MemberRole)> {
    let voters: Vec<&Seen> = members.iter().filter(|m| m.role.votes()).collect();
    // Of two, one goes on by other rules.
    if voters.len() < 3 {
        return None;
    }
    let gone = |m: &&&Seen| m.silent_ms > patience_ms;
    let lost = voters.iter().filter(|m| m.role == MemberRole::Voter);
    let lost = lost.filter(gone).max_by_key(|m| (m.silent_ms, m.id))?;
    if voters.len().is_multiple_of(2) {
        return Some((lost.id, MemberRole::Learner));
    }
    let crowd = |domain: &Option<String>| {
        let shares = |m: &&&Seen| domain.is_some() && m.domain == *domain && !gone(m);
        voters.iter().filter(shares).count()
    };
    members
        .iter()
        .filter(|m| m.role == MemberRole::Learner && m.silent_ms == 0)
        .min_by_key(|m| (crowd(&m.domain), m.id))
        .map(|m| (m.id, MemberRole::Voter))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ID:ROLE:DOMAIN:SILENT`.
    fn next(text: &str) -> Option<(u32, MemberRole)> {
        let member = |word: &str| {
            let mut parts = word.split(':');
            let mut part = || parts.next().expect("four parts");
            Seen {
                id: part().parse().expect("a number"),
                role: part().parse().expect("a role"),
                domain: Some(part().to_owned()).filter(|d| d != "-"),
                silent_ms: part().parse().expect("a number"),
            }
        };
        let members: Vec<Seen> = text.split_whitespace().map(member).collect();
        spare(&members, 1_000).map(|(id, role)| (id.0, role))
    }

    #[test]
    fn a_learner_takes_the_place_in_two_steps() {
        let healthy = "1:voter:-:0 2:voter:-:0 3:voter:-:900 4:learner:-:0";
        assert_eq!(next(healthy), None);
        let lost = "1:voter:-:0 2:voter:-:0 3:voter:-:1900 4:learner:-:0";
        assert_eq!(next(lost), Some((4, MemberRole::Voter)));
        let half_way = "1:voter:-:0 2:voter:-:0 3:voter:-:1900 4:voter:-:0";
        assert_eq!(next(half_way), Some((3, MemberRole::Learner)));
        let done = "1:voter:-:0 2:voter:-:0 3:learner:-:1900 4:voter:-:0";
        assert_eq!(next(done), None);
    }

    #[test]
    fn the_new_voter_shares_its_domain_with_the_fewest_others() {
        let racks =
            "1:voter:a:0 2:voter:b:0 3:voter:c:5000 4:learner:a:0 5:learner:b:0 6:learner:c:0";
        assert_eq!(next(racks), Some((6, MemberRole::Voter)));
        let silent =
            "1:voter:a:0 2:voter:b:0 3:voter:c:5000 4:learner:a:0 5:learner:b:0 6:learner:c:200";
        assert_eq!(next(silent), Some((4, MemberRole::Voter)));
    }

    #[test]
    fn a_witness_two_voters_and_a_cluster_without_learners_are_left_alone() {
        assert_eq!(next("1:voter:-:0 2:voter:-:9000 3:learner:-:0"), None);
        let witness = "1:voter:-:0 2:voter:-:0 3:witness:-:9000 4:learner:-:0";
        assert_eq!(next(witness), None);
        assert_eq!(next("1:voter:-:0 2:voter:-:0 3:voter:-:9000"), None);
    }
}
