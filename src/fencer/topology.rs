//! Fencing levels: which devices, in which order, and what a reboot by several devices is. // spec cluster §16.6

use std::collections::{BTreeMap, VecDeque};

use regex::RegexBuilder;

use crate::terms::{NodeName, RscId};

use super::vocab::{Action, Capability, Level, LevelTarget};

/// Attributes of nodes, for levels that choose by one.
pub(super) type NodeAttributes = BTreeMap<NodeName, BTreeMap<String, String>>;

/// The levels for a node in ascending order; none when it has none.
pub(super) fn levels_for(
    target: &NodeName,
    levels: &[Level],
    attributes: &NodeAttributes,
) -> Vec<Vec<RscId>> {
    let exact = |level: &Level| match &level.target {
        LevelTarget::Node(name) => name.eq_ignore_ascii_case(target.as_str()),
        _ => false,
    };
    let by_name = levels.iter().any(exact);
    let matching = levels.iter().filter(|level| match &level.target {
        _ if by_name => exact(level),
        LevelTarget::Node(_) => false,
        LevelTarget::Pattern(pattern) => matches_pattern(pattern, target),
        LevelTarget::Attribute(name, value) => {
            attributes.get(target).and_then(|all| all.get(name)) == Some(value)
        }
    });
    // Two entries with the same index are one level.
    let mut by_index: BTreeMap<u32, Vec<RscId>> = BTreeMap::new();
    for level in matching {
        if !(1..=9).contains(&level.index) {
            tracing::warn!(%target, index = level.index, "fencing level ignored: index must be 1 to 9");
            continue;
        }
        by_index
            .entry(level.index)
            .or_default()
            .extend(level.devices.iter().cloned());
    }
    by_index.into_values().collect()
}

fn matches_pattern(pattern: &str, target: &NodeName) -> bool {
    // The bound keeps a hostile pattern from eating memory.
    let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
    match regex {
        Ok(regex) => regex.is_match(target.as_str()),
        Err(error) => {
            tracing::warn!(pattern, %error, "fencing level ignored: its pattern cannot be read");
            false
        }
    }
}

/// One device of a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The device.
    pub(super) device: RscId,
    /// What it does.
    pub(super) action: Action,
    /// A failure of it is a failure of the level.
    pub(super) must: bool,
}

/// The steps of a level.
pub(super) fn steps(
    action: Action,
    devices: &[RscId],
    capability: impl Fn(&RscId) -> Option<Capability>,
) -> VecDeque<Step> {
    let step = |device: &RscId, action, must| Step {
        device: device.clone(),
        action,
        must,
    };
    if action != Action::Reboot || devices.len() < 2 {
        return devices
            .iter()
            .map(|device| step(device, action, true))
            .collect();
    }
    // A node with two power supplies is off only when both are off at the same time.
    let offs = devices.iter().map(|device| step(device, Action::Off, true));
    let ons = devices.iter().filter(|device| {
        capability(device).is_some_and(|c| c.supports_on && !c.unfences && !c.reboot_is_off)
    });
    offs.chain(ons.map(|device| step(device, Action::On, false)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(target: LevelTarget, index: u32, devices: &str) -> Level {
        Level {
            target,
            index,
            devices: devices.split(',').map(RscId::from).collect(),
        }
    }

    #[test]
    fn the_name_wins_over_patterns_and_attributes() {
        let node = |name: &str| LevelTarget::Node(name.into());
        let levels = [
            level(node("h1"), 2, "b"),
            level(node("H1"), 1, "a"),
            level(LevelTarget::Pattern("^h[0-9]+$".into()), 1, "p"),
            level(LevelTarget::Attribute("rack".into(), "7".into()), 1, "r"),
            level(node("h1"), 2, "c"),
            level(node("h1"), 10, "z"),
        ];
        let mut attributes = NodeAttributes::new();
        let rack = BTreeMap::from([("rack".to_owned(), "7".to_owned())]);
        attributes.insert("x".into(), rack);
        let show = |target: &str| {
            let levels = levels_for(&target.into(), &levels, &attributes);
            let show = |devices: &Vec<RscId>| {
                devices
                    .iter()
                    .map(RscId::as_str)
                    .collect::<Vec<_>>()
                    .join("+")
            };
            levels.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show("h1"), "a b+c");
        assert_eq!(show("h2"), "p");
        assert_eq!(show("x"), "r");
        assert_eq!(show("y"), "");
    }
}
