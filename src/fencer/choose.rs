//! Which node runs which device next. // spec cluster §16.5

use std::collections::{BTreeMap, BTreeSet};

use crate::terms::{NodeName, RscId};

use super::vocab::{Action, Capability};

/// What peers answered.
pub(super) type Answers = BTreeMap<NodeName, Vec<Capability>>;

/// Who asks whom for what.
pub(super) struct Choice<'a> {
    /// Node that is to be fenced.
    pub(super) target: &'a NodeName,
    /// What the device does.
    pub(super) action: Action,
    /// Answers so far.
    pub(super) answers: &'a Answers,
    /// Peers and devices that did not work.
    pub(super) failed: &'a BTreeSet<(NodeName, RscId)>,
    /// Everybody has answered.
    pub(super) complete: bool,
    /// The target may do it itself if there is nobody else.
    pub(super) allow_self: bool,
}

impl Choice<'_> {
    /// The peer for this device, or for any of its devices.
    pub(super) fn next(&self, device: Option<&RscId>) -> Option<(NodeName, Capability)> {
        let mut peers: Vec<(&NodeName, Vec<&Capability>)> = self
            .answers
            .iter()
            .map(|(peer, all)| (peer, self.usable(peer, all, device)))
            .filter(|(_, usable)| !usable.is_empty())
            .collect();
        // More devices first; names keep the order definite.
        peers.sort_by_key(|(peer, usable)| (std::cmp::Reverse(usable.len()), (*peer).clone()));
        let others = || peers.iter().filter(|(peer, _)| *peer != self.target);
        let verified = others().find_map(|(peer, usable)| {
            usable
                .iter()
                .find(|c| c.verified)
                .map(|c| ((*peer).clone(), (*c).clone()))
        });
        if verified.is_some() || !self.complete {
            return verified;
        }
        let first = |(peer, usable): &(&NodeName, Vec<&Capability>)| {
            usable.first().map(|c| ((*peer).clone(), (*c).clone()))
        };
        let itself = || {
            let allowed = self.allow_self && self.action != Action::On;
            peers
                .iter()
                .find(|(peer, _)| *peer == self.target && allowed)
                .and_then(first)
        };
        let on_target = || {
            let mine = peers.iter().find(|(peer, _)| *peer == self.target)?;
            let c = mine
                .1
                .iter()
                .find(|c| c.on_target && self.action == Action::On)?;
            Some((mine.0.clone(), (*c).clone()))
        };
        on_target()
            .or_else(|| others().find_map(first))
            .or_else(itself)
    }

    fn usable<'c>(
        &self,
        peer: &NodeName,
        all: &'c [Capability],
        device: Option<&RscId>,
    ) -> Vec<&'c Capability> {
        let wanted = |c: &&Capability| {
            device.is_none_or(|device| c.device == *device)
                && !self.failed.contains(&(peer.clone(), c.device.clone()))
                // Actions of this kind run only on the target itself.
                && (self.action != Action::On || !c.on_target || peer == self.target)
                && (self.action != Action::On || c.supports_on)
        };
        all.iter().filter(wanted).collect()
    }
}

/// Any answer about a device.
pub(super) fn capability<'a>(answers: &'a Answers, device: &RscId) -> Option<&'a Capability> {
    answers.values().flatten().find(|c| c.device == *device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn can(device: &str, verified: bool) -> Capability {
        Capability {
            device: device.into(),
            verified,
            timeout_ms: BTreeMap::new(),
            delay_ms: BTreeMap::new(),
            unfences: false,
            supports_on: true,
            on_target: false,
            reboot_is_off: false,
        }
    }

    fn next(
        answers: &Answers,
        complete: bool,
        allow_self: bool,
        failed: &[(&str, &str)],
    ) -> String {
        let failed = failed
            .iter()
            .map(|(p, d)| ((*p).into(), (*d).into()))
            .collect();
        let choice = Choice {
            target: &"h1".into(),
            action: Action::Off,
            answers,
            failed: &failed,
            complete,
            allow_self,
        };
        choice
            .next(None)
            .map_or("-".into(), |(peer, c)| format!("{peer} {}", c.device))
    }

    #[test]
    fn verified_first_then_anybody_then_the_target_itself() {
        let mut answers = Answers::new();
        answers.insert("h2".into(), vec![can("a", false), can("b", false)]);
        assert_eq!(
            next(&answers, false, true, &[]),
            "-",
            "somebody may still be verified"
        );
        assert_eq!(next(&answers, true, true, &[]), "h2 a");
        assert_eq!(next(&answers, true, true, &[("h2", "a")]), "h2 b");
        answers.insert("h3".into(), vec![can("b", true)]);
        assert_eq!(next(&answers, false, true, &[]), "h3 b");
        let mut own = Answers::new();
        own.insert("h1".into(), vec![can("a", true)]);
        assert_eq!(next(&own, true, true, &[]), "h1 a");
        assert_eq!(next(&own, true, false, &[]), "-");
    }
}
