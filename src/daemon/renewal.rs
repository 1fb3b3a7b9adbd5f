//! When this node gets another certificate, and whom it believes: decided anew each time from what is on its disk and what the
//! cluster has agreed on, so that a node that crashed between two steps goes on with the right one. Pure; the hands are in
//! `certificates.rs`.
//!
//! No step shuts anybody out. Certificates of a new authority are made only when every member has it on its disk; an old one
//! is dropped only when every member has shown a certificate of the new one; and a node's older certificates are refused only
//! when it says that it uses them no more.

use std::collections::BTreeSet;

use crate::raft::{AuthorityRecord, KeyChange, State};
use crate::rpc::{Facts, Shown};
use crate::terms::NodeId;

/// What is on this node's disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// What its certificate says.
    pub(super) facts: Facts,
    /// Who signed it; none when that one is not trusted any more.
    pub(super) issuer: Option<String>,
    /// Whom it believes.
    pub(super) trusted: BTreeSet<String>,
    /// Authorities whose key is here.
    pub(super) keys: BTreeSet<String>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Believe these and no others.
    Trust(Vec<AuthorityRecord>),
    /// Get a new certificate, signed by this authority.
    Renew(String),
    /// Say what is the case.
    Say(KeyChange),
    /// Get the key of this authority from another member.
    Fetch(String),
}

/// All that is due, in this order. A step may fail; the ones after it do not depend on it.
pub(super) fn due(
    me: NodeId,
    own: &Own,
    state: &State,
    leads: bool,
    asked: bool,
    now_s: i64,
    days: i64,
) -> Vec<Step> {
    let Some(member) = state.members.get(&me) else {
        return Vec::new();
    };
    let all: BTreeSet<String> = state
        .authorities
        .iter()
        .map(|it| it.fingerprint.clone())
        .collect();
    if !all.is_empty() && all != own.trusted {
        // Everything else is decided on what is believed then.
        return vec![Step::Trust(state.authorities.to_vec())];
    }
    let mut steps = Vec::new();
    let known = state.credentials.get(&me);
    if !all.is_empty() && known.is_none_or(|it| it.trusts != own.trusted) {
        steps.push(Step::Say(KeyChange::Trusts {
            id: me,
            authorities: own.trusted.clone(),
        }));
    }
    let newest = state.authorities.last().map(|it| &it.fingerprint);
    let signing = state.signing().map(|it| &it.fingerprint);
    let signing = signing.or(own.issuer.as_ref()).cloned();
    let ends = ends(own.facts.until_s, now_s, days);
    // Whoever has one of the newest has what all others will have.
    let outdated = own.issuer != signing && own.issuer.as_ref() != newest;
    match signing {
        Some(signing) if asked || ends || outdated => steps.push(Step::Renew(signing)),
        _ => steps.extend(uses(me, own, state).map(Step::Say)),
    }
    if let Some(newest) = newest
        && member.role.runs_resources()
        && !own.keys.contains(newest)
    {
        steps.push(Step::Fetch(newest.clone()));
    }
    if leads && let Some(newest) = newest {
        let has_new = |id| {
            let credential = state.credentials.get(id);
            credential.is_some_and(|it| it.issuer == *newest)
        };
        if state.members.keys().all(has_new) {
            let older = all.iter().filter(|it| *it != newest);
            steps.extend(older.map(|it| {
                Step::Say(KeyChange::DropAuthority {
                    fingerprint: it.clone(),
                })
            }));
        }
    }
    steps
}

/// A certificate is replaced when two thirds of the time are over for which one is made.
fn ends(until_s: i64, now_s: i64, days: i64) -> bool {
    days > 0 && until_s - now_s < days.saturating_mul(86_400) / 3
}

/// The same for a remote node, with what it shows.
pub(super) fn remote_is_due(shown: &Shown, state: &State, now_s: i64, days: i64) -> bool {
    let newest = state.authorities.last().map(|it| &it.fingerprint);
    let signing = state.signing().map(|it| &it.fingerprint);
    let outdated =
        signing.is_some() && shown.issuer.as_ref() != signing && shown.issuer.as_ref() != newest;
    outdated || ends(shown.until_s, now_s, days)
}

/// What the others are to know of this node's certificate, if they do not.
pub(super) fn uses(me: NodeId, own: &Own, state: &State) -> Option<KeyChange> {
    let issuer = own.issuer.clone()?;
    let facts = &own.facts;
    let known = state.credentials.get(&me);
    let is_known = known.is_some_and(|it| {
        (it.generation, &it.key, &it.issuer, it.until_s)
            == (facts.generation, &facts.key, &issuer, facts.until_s)
    });
    (!is_known).then(|| KeyChange::Uses {
        id: me,
        generation: facts.generation,
        key: facts.key.clone(),
        issuer,
        until_s: facts.until_s,
    })
}

#[cfg(test)]
#[path = "renewal/tests.rs"]
mod tests;
