//! What the cluster has agreed on about keys: which certificate each member shows, and which authorities are trusted. The
//! certificates themselves travel with connections; here is what ends the older ones.
//!
//! ```text
//!   an authority is replaced:   add          every member      members have new       drop
//!                               the new one  says it trusts    certificates of it     the old one
//!                                            both
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::terms::{CrmExit, NodeId};

/// What is known of a member's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Which of its certificates it is: all before it are refused.
    pub generation: u64,
    /// SHA-256 of its public key.
    pub key: String,
    /// SHA-256 of the certificate of who signed it.
    pub issuer: String,
    /// Until when it is good, in seconds since 1970.
    pub until_s: i64,
    /// Authorities that the member trusts, on its disk.
    #[serde(default)]
    pub trusts: BTreeSet<String>,
}

/// Somebody whose signature makes a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its certificate.
    pub pem: String,
}

/// A change of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChange {
    /// A member uses this certificate, on all its connections.
    Uses {
        /// Which one.
        id: NodeId,
        /// Its certificate.
        generation: u64,
        /// SHA-256 of its public key.
        key: String,
        /// SHA-256 of the certificate of who signed it.
        issuer: String,
        /// Until when it is good.
        until_s: i64,
    },
    /// A member trusts these, and will after a restart.
    Trusts {
        /// Which one.
        id: NodeId,
        /// SHA-256 of their certificates.
        authorities: BTreeSet<String>,
    },
    /// There is a new authority beside the present one.
    AddAuthority {
        /// The present one, which the state does not know before the first change.
        present: AuthorityRecord,
        /// The new one.
        new: AuthorityRecord,
    },
    /// Nobody needs it any more.
    DropAuthority {
        /// SHA-256 of its certificate.
        fingerprint: String,
    },
}

impl State {
    /// Whether every member is known to trust this authority.
    pub fn all_trust(&self, fingerprint: &str) -> bool {
        self.members.keys().all(|id| {
            let credential = self.credentials.get(id);
            credential.is_some_and(|it| it.trusts.contains(fingerprint))
        })
    }

    /// Whose signature counts for new certificates: the newest authority, once everybody trusts it. None before there was a
    /// second one: then it is the one that everybody has.
    pub fn signing(&self) -> Option<&AuthorityRecord> {
        let newest = self.authorities.last()?;
        match self.all_trust(&newest.fingerprint) {
            true => Some(newest),
            false => self.authorities.first(),
        }
    }
}

/// Applies it.
pub(super) fn apply(state: &mut State, change: &KeyChange) -> Result<(), (CrmExit, String)> {
    let member = |state: &State, id: NodeId| match state.members.contains_key(&id) {
        true => Ok(()),
        false => Err((CrmExit::NO_SUCH, format!("no member has the id {id}"))),
    };
    match change {
        KeyChange::Uses {
            id,
            generation,
            key,
            issuer,
            until_s,
        } => {
            member(state, *id)?;
            let all = Arc::make_mut(&mut state.credentials);
            let credential = all.entry(*id).or_default();
            // A word that was held up must not let an older certificate in again.
            if *generation < credential.generation {
                let newer = credential.generation;
                let why = format!("node {id} has used its certificate {newer}");
                return Err((CrmExit::OLD, why));
            }
            credential.generation = *generation;
            credential.key.clone_from(key);
            credential.issuer.clone_from(issuer);
            credential.until_s = *until_s;
        }
        KeyChange::Trusts { id, authorities } => {
            member(state, *id)?;
            let all = Arc::make_mut(&mut state.credentials);
            all.entry(*id).or_default().trusts.clone_from(authorities);
        }
        KeyChange::AddAuthority { present, new } => add(state, present, new)?,
        KeyChange::DropAuthority { fingerprint } => {
            let used = state.members.keys().find(|id| {
                let issuer = state.credentials.get(id).map(|it| it.issuer.as_str());
                issuer.is_none_or(|issuer| issuer == fingerprint)
            });
            if let Some(id) = used {
                let why = format!("node {id} still has a certificate of that authority");
                return Err((CrmExit::UNSAFE, why));
            }
            let all = Arc::make_mut(&mut state.authorities);
            if all.len() > 1 {
                all.retain(|it| it.fingerprint != *fingerprint);
            }
        }
    }
    Ok(())
}

fn add(
    state: &mut State,
    present: &AuthorityRecord,
    new: &AuthorityRecord,
) -> Result<(), (CrmExit, String)> {
    if let Some(signs) = state.authorities.first()
        && signs.fingerprint != present.fingerprint
    {
        let why = "the authority was replaced meanwhile: ask again".to_owned();
        return Err((CrmExit::OLD, why));
    }
    let newest = state.authorities.get(1).map(|it| it.fingerprint.clone());
    if newest.is_some_and(|newest| state.all_trust(&newest)) {
        // Members may have certificates of it by now.
        let why = "the authority is being replaced already: `crm cluster status` shows who has no new certificate yet";
        return Err((CrmExit::EXISTS, why.into()));
    }
    state.authorities = Arc::new(vec![present.clone(), new.clone()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::vocab::{Member, MemberRole};
    use super::*;

    fn cluster(members: u32) -> State {
        let mut state = State::default();
        let member = |id| Member {
            id: NodeId(id),
            name: format!("n{id}").as_str().into(),
            addresses: Vec::new(),
            role: MemberRole::Voter,
            key: String::new(),
        };
        state.members = Arc::new((1..=members).map(|id| (NodeId(id), member(id))).collect());
        state
    }

    fn uses(id: u32, generation: u64, issuer: &str) -> KeyChange {
        KeyChange::Uses {
            id: NodeId(id),
            generation,
            key: format!("key {generation} of {id}"),
            issuer: issuer.into(),
            until_s: 0,
        }
    }

    fn trusts(id: u32, all: &[&str]) -> KeyChange {
        KeyChange::Trusts {
            id: NodeId(id),
            authorities: all.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn record(fingerprint: &str) -> AuthorityRecord {
        AuthorityRecord {
            fingerprint: fingerprint.into(),
            pem: String::new(),
        }
    }

    fn add(present: &str, new: &str) -> KeyChange {
        KeyChange::AddAuthority {
            present: record(present),
            new: record(new),
        }
    }

    #[test]
    fn an_older_certificate_never_counts_again() {
        let mut state = cluster(1);
        assert_eq!(apply(&mut state, &uses(1, 1, "a")), Ok(()));
        assert_eq!(apply(&mut state, &uses(1, 2, "a")), Ok(()));
        let (exit, why) = apply(&mut state, &uses(1, 1, "a")).expect_err("older");
        assert_eq!(exit, CrmExit::OLD, "{why}");
        assert_eq!(state.credentials[&NodeId(1)].key, "key 2 of 1");
        assert!(apply(&mut state, &uses(7, 1, "a")).is_err(), "no member");
    }

    #[test]
    fn an_authority_signs_when_all_trust_it_and_goes_when_nobody_needs_it() {
        let mut state = cluster(2);
        assert_eq!(state.signing(), None);
        apply(&mut state, &uses(1, 0, "a")).expect("said");
        apply(&mut state, &uses(2, 0, "a")).expect("said");
        apply(&mut state, &add("a", "lost")).expect("begun");
        apply(&mut state, &trusts(1, &["a", "lost"])).expect("said");
        // Not yet trusted by all, so nobody has a certificate of it: another one may take its place.
        apply(&mut state, &add("a", "b")).expect("begun anew");
        apply(&mut state, &trusts(1, &["a", "b"])).expect("said");
        assert_eq!(state.signing(), Some(&record("a")), "2 does not know b");
        apply(&mut state, &trusts(2, &["a", "b"])).expect("said");
        assert_eq!(state.signing(), Some(&record("b")));
        assert!(apply(&mut state, &add("a", "c")).is_err(), "one at a time");
        apply(&mut state, &uses(1, 1, "b")).expect("said");
        let drop = KeyChange::DropAuthority {
            fingerprint: "a".into(),
        };
        let (_, why) = apply(&mut state, &drop).expect_err("2 needs it");
        assert!(why.contains("node 2 still has"), "{why}");
        apply(&mut state, &uses(2, 1, "b")).expect("said");
        apply(&mut state, &drop).expect("nobody needs it");
        assert_eq!(*state.authorities, [record("b")]);
        assert!(apply(&mut state, &add("a", "c")).is_err(), "a is gone");
        apply(&mut state, &add("b", "c")).expect("and so on");
    }
}
