//! A fence device as its parameters describe it: whom it can fence, how it is called, how long it may take.
//! // spec cluster §16.2, §16.3

use std::collections::BTreeMap;

use crate::terms::{span, text};

use super::vocab::{Action, Device, Features};

/// How a device finds out whether it can fence a node (`pcmk_host_check`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Host list or map.
    StaticList,
    /// What the agent lists.
    DynamicList,
    /// The agent is asked for the status of the node.
    Status,
    /// It can fence every node.
    None,
}

impl Device {
    fn param(&self, name: &str) -> Option<&str> {
        self.params
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn action_param(&self, action: &str, what: &str) -> Option<&str> {
        self.param(&format!("pcmk_{action}_{what}"))
    }

    /// How it finds out; `None` while that depends on metadata which is not there yet.
    pub(super) fn check(&self, features: Option<&Features>) -> Option<Check> {
        let named = match self
            .param("pcmk_host_check")
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("static-list") => Some(Check::StaticList),
            Some("dynamic-list") => Some(Check::DynamicList),
            Some("status") => Some(Check::Status),
            Some("none") => Some(Check::None),
            _ => None,
        };
        let lists = ["pcmk_host_list", "pcmk_host_map"];
        let fixed = || lists.iter().any(|name| self.param(name).is_some());
        if let Some(check) = named.or_else(|| fixed().then_some(Check::StaticList)) {
            return Some(check);
        }
        let can = |action: &str| features.map(|features| features.actions.contains(action));
        Some(match (can("list")?, can("status")?) {
            (true, _) => Check::DynamicList,
            (_, true) => Check::Status,
            _ => Check::None,
        })
    }

    /// Whether the check was not chosen by anyone: then it may fall back to another.
    pub(super) fn check_is_default(&self) -> bool {
        self.param("pcmk_host_check").is_none()
    }

    /// Whether host list or map name the node.
    pub(super) fn names(&self, target: &str) -> bool {
        let same = |name: &String| name.eq_ignore_ascii_case(target);
        hosts(self.param("pcmk_host_list").unwrap_or_default())
            .iter()
            .any(same)
            || self.host_map().keys().any(same)
    }

    /// Nodes that host list and map name.
    pub fn fixed_targets(&self) -> Vec<String> {
        let mut names = hosts(self.param("pcmk_host_list").unwrap_or_default());
        let mapped = self.host_map().into_keys();
        names.extend(mapped);
        names.sort();
        names.dedup();
        names
    }

    /// `pcmk_host_map`: node to plug.
    fn host_map(&self) -> BTreeMap<String, String> {
        let text = self.param("pcmk_host_map").unwrap_or_default();
        pairs(text)
            .map(|(node, plug)| (node.to_owned(), plug.to_owned()))
            .collect()
    }

    /// What the device calls the node.
    pub(super) fn alias(&self, target: &str) -> String {
        let map = self.host_map();
        let found = map
            .iter()
            .find(|(node, _)| node.eq_ignore_ascii_case(target));
        found.map_or(target.to_owned(), |(_, plug)| plug.clone())
    }

    /// The action that is really run: a device that cannot reboot switches off. // spec cluster §16.3
    pub(super) fn effective(&self, action: Action, features: Option<&Features>) -> Action {
        let named = self.action_param("reboot", "action").is_some();
        let can = features.is_none_or(|features| features.actions.contains("reboot"));
        if action == Action::Reboot && !named && !can {
            Action::Off
        } else {
            action
        }
    }

    /// Time limit of an action.
    pub(super) fn timeout_ms(&self, action: &str, requested_ms: u64) -> u64 {
        let own = span::ms_or_zero(self.action_param(action, "timeout"));
        if own > 0 { own } else { requested_ms }
    }

    /// Tries in total.
    pub(super) fn tries(&self, action: &str) -> u32 {
        let tries = self.action_param(action, "retries").and_then(text::integer);
        tries
            .and_then(|tries| u32::try_from(tries).ok())
            .unwrap_or(2)
            .max(1)
    }

    /// Actions that it runs at once; none is no limit.
    pub(super) fn action_limit(&self) -> Option<usize> {
        match self.param("pcmk_action_limit").and_then(text::integer) {
            Some(limit) if limit < 0 => None,
            Some(limit) => Some((limit as usize).max(1)),
            None => Some(1),
        }
    }

    /// A reboot is only ever an off.
    pub(super) fn reboot_is_off(&self) -> bool {
        self.action_param("reboot", "action") == Some("off")
    }

    /// `pcmk_delay_base` and `pcmk_delay_max` for a target, in milliseconds.
    pub(super) fn delays_ms(&self, target: &str) -> (u64, u64) {
        let base = self.param("pcmk_delay_base").unwrap_or_default();
        let listed = pairs(base).find(|(node, _)| node.eq_ignore_ascii_case(target));
        let base = span::ms_or_zero(Some(listed.map_or(base, |(_, value)| value)));
        let max = span::ms_or_zero(self.param("pcmk_delay_max"));
        (base, max)
    }

    /// The lines that the agent reads. // spec cluster §16.3
    pub(super) fn input(
        &self,
        action: &str,
        target: Option<&str>,
        features: Option<&Features>,
    ) -> (String, Vec<(String, String)>) {
        let word = self
            .action_param(action, "action")
            .unwrap_or(action)
            .to_owned();
        let mut lines = vec![("action".to_owned(), word.clone())];
        let mut host_argument = None;
        if let Some(target) = target {
            lines.push(("nodename".to_owned(), target.to_owned()));
            let default = match features {
                Some(features) if features.plug => "plug",
                Some(features) if features.port => "port",
                _ => "none",
            };
            let name = self.param("pcmk_host_argument").unwrap_or(default);
            let own = self.param(name).filter(|value| *value != "dynamic");
            if name != "none" && own.is_none() {
                lines.push((name.to_owned(), self.alias(target)));
                host_argument = Some(name.to_owned());
            }
        }
        let rest = self
            .params
            .iter()
            .filter(|(name, _)| passed_on(name) && Some(name.as_str()) != host_argument.as_deref());
        lines.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
        (word, lines)
    }
}

/// Parameters that are for the agent, not for us.
fn passed_on(name: &str) -> bool {
    let ours = matches!(
        name,
        "action" | "provides" | "stonith-timeout" | "crm_feature_set"
    );
    !ours && !name.starts_with("pcmk_") && !name.starts_with("CRM_meta_")
}

/// `NODE:VALUE` or `NODE=VALUE`, separated by `;`, blank or tab.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split([';', ' ', '\t', '\n'])
        .filter_map(|entry| entry.split_once([':', '=']))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// Names in `pcmk_host_list` and in the output of `list`. // spec cluster §16.2
pub(super) fn hosts(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.contains("invalid") && !line.contains("variable"));
    let entries = lines.flat_map(|line| line.split("\\n"));
    let entries =
        entries.flat_map(|line| line.split(|c: char| c.is_whitespace() || c == ',' || c == ';'));
    let letters = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let names = entries.map(|entry| {
        let end = entry.find(|c| !letters(c)).unwrap_or(entry.len());
        entry[..end].to_owned()
    });
    names
        .filter(|name| !name.is_empty() && name != "on" && name != "off")
        .collect()
}

#[cfg(test)]
pub(super) fn example(id: &str, params: &[(&str, &str)]) -> Device {
    Device {
        id: id.into(),
        agent: "fence_x".into(),
        params: params
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        provides_unfencing: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_hosts() {
        assert_eq!(hosts("a, b;c d\\ne"), ["a", "b", "c", "d", "e"]);
        assert_eq!(
            hosts("1,node-1.x on\ninvalid x\nh2:off"),
            ["1", "node-1.x", "h2"]
        );
    }

    #[test]
    fn maps_and_aliases() {
        let device = example("f", &[("pcmk_host_map", "h1:1,2;h2=x h3:3")]);
        assert!(device.names("H1") && device.names("h3") && !device.names("h4"));
        assert_eq!(device.alias("h1"), "1,2");
        assert_eq!(device.alias("h2"), "x");
        assert_eq!(device.alias("h9"), "h9");
        assert_eq!(device.check(None), Some(Check::StaticList));
    }

    #[test]
    fn the_check_follows_what_the_agent_can() {
        let features = |actions: &[&str]| Features {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            ..Features::default()
        };
        let device = example("f", &[]);
        assert_eq!(device.check(None), None);
        assert_eq!(
            device.check(Some(&features(&["list", "status"]))),
            Some(Check::DynamicList)
        );
        assert_eq!(
            device.check(Some(&features(&["status"]))),
            Some(Check::Status)
        );
        assert_eq!(device.check(Some(&features(&[]))), Some(Check::None));
        let named = example("f", &[("pcmk_host_check", "none"), ("pcmk_host_list", "a")]);
        assert_eq!(named.check(None), Some(Check::None));
    }

    #[test]
    fn lines_for_the_agent() {
        let features = Features {
            plug: true,
            ..Features::default()
        };
        let show = |device: &Device, action: &str| {
            let (_, lines) = device.input(action, Some("h1"), Some(&features));
            lines
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let params = [
            ("ip", "1.2.3.4"),
            ("pcmk_host_map", "h1:7"),
            ("action", "dance"),
            ("CRM_meta_x", "y"),
            ("pcmk_off_action", "poweroff"),
        ];
        let device = example("f", &params);
        assert_eq!(
            show(&device, "off"),
            "action=poweroff nodename=h1 plug=7 ip=1.2.3.4"
        );
        assert_eq!(
            show(&device, "reboot"),
            "action=reboot nodename=h1 plug=7 ip=1.2.3.4"
        );
        let own = example("f", &[("plug", "9")]);
        assert_eq!(show(&own, "off"), "action=off nodename=h1 plug=9");
        let dynamic = example("f", &[("plug", "dynamic")]);
        assert_eq!(show(&dynamic, "off"), "action=off nodename=h1 plug=h1");
        let other = example("f", &[("pcmk_host_argument", "domain")]);
        assert_eq!(show(&other, "off"), "action=off nodename=h1 domain=h1");
        let none = example("f", &[("pcmk_host_argument", "none")]);
        assert_eq!(show(&none, "off"), "action=off nodename=h1");
    }

    #[test]
    fn delays_may_differ_by_node() {
        let device = example(
            "f",
            &[("pcmk_delay_base", "h1:1s;h2:5"), ("pcmk_delay_max", "8s")],
        );
        assert_eq!(device.delays_ms("h1"), (1000, 8000));
        assert_eq!(device.delays_ms("h2"), (5000, 8000));
        assert_eq!(device.delays_ms("h3"), (0, 8000));
    }
}
