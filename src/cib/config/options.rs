//! The table of cluster options: name, type, default, help. Whoever needs an option, its default or its old name asks here.

use crate::{
    cib::{Cib, config::nvset},
    terms::{Score, span, text},
};

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Boolean,
    /// A number, or an infinity.
    Integer,
    /// A number of at least 0.
    Count,
    /// A score.
    Score,
    /// A time span.
    Duration,
    /// A time span, or a negative number for "work it out".
    Timeout,
    /// A number with `%`.
    Percentage,
    /// Any text.
    Text,
    /// A version.
    Version,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One cluster option.
#[derive(Debug, Clone, Copy)]
pub struct ClusterOption {
    /// Its name.
    pub name: &'static str,
    /// The name it had before, which still counts.
    pub old_name: Option<&'static str>,
    /// What its value must look like.
    pub kind: Kind,
    /// Its value when nobody set it.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
    /// Who may want to set it.
    pub audience: Audience,
}

/// For whom an option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Everyone,
    /// People who know why.
    Advanced,
    /// Nobody: the cluster sets it itself.
    Cluster,
    /// Nobody any more.
    Deprecated,
    /// Everybody; Pacemaker has no such option, so its tools do not list it.
    Systole,
}

use Audience::{Advanced, Cluster, Deprecated, Everyone, Systole};
use Kind::{Boolean, Choice, Count, Duration, Integer, Percentage, Text, Timeout, Version};

const fn option(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    audience: Audience,
    help: &'static str,
) -> ClusterOption {
    ClusterOption {
        name,
        old_name: None,
        kind,
        default: Some(default),
        help,
        audience,
    }
}

const fn renamed(old_name: &'static str, option: ClusterOption) -> ClusterOption {
    ClusterOption {
        old_name: Some(old_name),
        ..option
    }
}

const fn unset(option: ClusterOption) -> ClusterOption {
    ClusterOption {
        default: None,
        ..option
    }
}

/// All options, in the order in which tools list them.
pub const OPTIONS: &[ClusterOption] = &[
    unset(option(
        "dc-version",
        Version,
        "",
        Cluster,
        "Version of the software on the coordinator",
    )),
    unset(option(
        "cluster-infrastructure",
        Text,
        "",
        Cluster,
        "What carries messages and membership",
    )),
    unset(option(
        "cluster-name",
        Text,
        "",
        Everyone,
        "A name for the cluster, which rules and templates can use",
    )),
    option(
        "dc-deadtime",
        Duration,
        "20s",
        Everyone,
        "How long a starting node waits for others before it elects alone",
    ),
    option(
        "cluster-recheck-interval",
        Duration,
        "15min",
        Everyone,
        "After this much quiet the configuration is looked at again, for rules and timeouts that depend on time",
    ),
    option(
        "election-timeout",
        Duration,
        "2min",
        Advanced,
        "An election that takes longer is begun anew",
    ),
    option(
        "shutdown-escalation",
        Duration,
        "20min",
        Advanced,
        "A node that wants to leave and is not let go leaves by itself after this",
    ),
    option(
        "join-integration-timeout",
        Duration,
        "3min",
        Advanced,
        "How long a node may take to join",
    ),
    option(
        "join-finalization-timeout",
        Duration,
        "30min",
        Advanced,
        "How long the end of a join may take",
    ),
    option(
        "transition-delay",
        Duration,
        "0s",
        Advanced,
        "Wait so long for more changes before planning",
    ),
    option(
        "no-quorum-policy",
        Choice(&["stop", "freeze", "ignore", "demote", "fence", "suicide"]),
        "stop",
        Everyone,
        "What nodes without a majority do with their resources",
    ),
    option(
        "shutdown-lock",
        Boolean,
        "false",
        Everyone,
        "Keep resources of a node that was shut down cleanly for it, instead of moving them",
    ),
    option(
        "shutdown-lock-limit",
        Duration,
        "0",
        Everyone,
        "Such a lock ends after this; 0 is never",
    ),
    option(
        "enable-acl",
        Boolean,
        "false",
        Everyone,
        "Hold users to the access control lists",
    ),
    option(
        "symmetric-cluster",
        Boolean,
        "true",
        Everyone,
        "Resources may run anywhere unless a constraint says otherwise",
    ),
    option(
        "maintenance-mode",
        Boolean,
        "false",
        Everyone,
        "Watch nothing, start nothing, stop nothing",
    ),
    option(
        "start-failure-is-fatal",
        Boolean,
        "true",
        Everyone,
        "One failed start bans a resource from the node at once",
    ),
    option(
        "enable-startup-probes",
        Boolean,
        "true",
        Deprecated,
        "Look on every node whether a resource runs there already",
    ),
    option(
        "fence-remote-without-quorum",
        Boolean,
        "false",
        Advanced,
        "Fence remote nodes also without a majority",
    ),
    renamed(
        "stonith-enabled",
        option(
            "fencing-enabled",
            Boolean,
            "true",
            Advanced,
            "Make sure of a lost node's death before its resources are started elsewhere; without it a lease must run out",
        ),
    ),
    renamed(
        "stonith-action",
        option(
            "fencing-action",
            Choice(&["reboot", "off"]),
            "reboot",
            Everyone,
            "What is done to a node that is fenced",
        ),
    ),
    renamed(
        "fence-reaction",
        option(
            "fencing-reaction",
            Choice(&["stop", "panic"]),
            "stop",
            Everyone,
            "What a node does that learns of its own fencing",
        ),
    ),
    renamed(
        "stonith-timeout",
        option(
            "fencing-timeout",
            Duration,
            "60s",
            Everyone,
            "How long fencing by one device may take",
        ),
    ),
    option(
        "have-watchdog",
        Boolean,
        "false",
        Cluster,
        "Whether nodes have a watchdog that fences them",
    ),
    renamed(
        "stonith-watchdog-timeout",
        option(
            "fencing-watchdog-timeout",
            Timeout,
            "0",
            Everyone,
            "After this a lost node counts as reset by its watchdog; negative: twice the watchdog's own timeout",
        ),
    ),
    renamed(
        "stonith-max-attempts",
        option(
            "fencing-max-attempts",
            Kind::Score,
            "10",
            Everyone,
            "So many failures in a row and fencing of that node is not tried again by itself",
        ),
    ),
    option(
        "concurrent-fencing",
        Boolean,
        "true",
        Deprecated,
        "Fence several nodes at the same time",
    ),
    option(
        "startup-fencing",
        Boolean,
        "true",
        Advanced,
        "Fence nodes that were not seen since the cluster came up",
    ),
    option(
        "priority-fencing-delay",
        Duration,
        "0",
        Everyone,
        "In a split of equals, the side with the more important resources shoots so much earlier",
    ),
    option(
        "voter-replace-after",
        Duration,
        "10min",
        Systole,
        "A voter that was not heard for so long gives its vote to a node that does not vote; 0 is never",
    ),
    option(
        "node-pending-timeout",
        Duration,
        "0",
        Everyone,
        "Fence a node that is a member and does not join within this; 0 is never",
    ),
    option(
        "cluster-delay",
        Duration,
        "60s",
        Everyone,
        "How much longer than its timeout an action may take until its result is here",
    ),
    option(
        "load-threshold",
        Percentage,
        "80%",
        Everyone,
        "Above this use of the processors a node is spared",
    ),
    option(
        "node-action-limit",
        Integer,
        "0",
        Everyone,
        "So many actions at once on a node; 0 is twice its cores",
    ),
    option(
        "batch-limit",
        Integer,
        "0",
        Everyone,
        "So many actions at once in the cluster; 0 depends on load, -1 is no limit",
    ),
    option(
        "migration-limit",
        Integer,
        "-1",
        Everyone,
        "So many live migrations at once on a node; -1 is no limit",
    ),
    unset(option(
        "cluster-ipc-limit",
        Count,
        "",
        Deprecated,
        "Messages that may wait for a client",
    )),
    option(
        "stop-all-resources",
        Boolean,
        "false",
        Everyone,
        "Stop everything",
    ),
    renamed(
        "stop-orphan-resources",
        option(
            "stop-removed-resources",
            Boolean,
            "true",
            Deprecated,
            "Stop what runs and is no longer configured",
        ),
    ),
    renamed(
        "stop-orphan-actions",
        option(
            "cancel-removed-actions",
            Boolean,
            "true",
            Deprecated,
            "Cancel recurring actions that are no longer configured",
        ),
    ),
    option(
        "pe-error-series-max",
        Integer,
        "-1",
        Everyone,
        "So many inputs of plans with errors are kept; -1 is all",
    ),
    option(
        "pe-warn-series-max",
        Integer,
        "5000",
        Everyone,
        "So many inputs of plans with warnings are kept; -1 is all",
    ),
    option(
        "pe-input-series-max",
        Integer,
        "4000",
        Everyone,
        "So many inputs of other plans are kept; -1 is all",
    ),
    option(
        "node-health-strategy",
        Choice(&[
            "none",
            "migrate-on-red",
            "only-green",
            "progressive",
            "custom",
        ]),
        "none",
        Everyone,
        "What attributes beginning with #health do",
    ),
    option(
        "node-health-base",
        Kind::Score,
        "0",
        Everyone,
        "With the progressive strategy, what a node's health begins with",
    ),
    option(
        "node-health-green",
        Kind::Score,
        "0",
        Everyone,
        "What green is worth",
    ),
    option(
        "node-health-yellow",
        Kind::Score,
        "0",
        Everyone,
        "What yellow is worth",
    ),
    option(
        "node-health-red",
        Kind::Score,
        "-INFINITY",
        Everyone,
        "What red is worth",
    ),
    option(
        "placement-strategy",
        Choice(&["default", "utilization", "minimal", "balanced"]),
        "default",
        Everyone,
        "How capacity and utilization decide about places",
    ),
    option(
        "certificate-days",
        Kind::Count,
        "730",
        Systole,
        "For how many days a new certificate of a node is good; it gets the next one when a third is left. 0 is for good",
    ),
    option(
        "move-lifetime",
        Duration,
        "0s",
        Systole,
        "How long what `crm resource move` and `ban` ask for lasts when no time is given; 0 is until it is cleared",
    ),
];

/// The option of this name, old names included.
pub fn find(name: &str) -> Option<&'static ClusterOption> {
    OPTIONS
        .iter()
        .find(|option| option.name == name || option.old_name == Some(name))
}

impl Kind {
    /// Whether the value is one.
    pub fn accepts(self, value: &str) -> bool {
        let number = || text::integer(value).is_some() || Score::parse(value).is_some();
        match self {
            Kind::Boolean => text::boolean(value).is_some(),
            Kind::Integer | Kind::Score => number(),
            Kind::Count => text::integer(value).is_some_and(|n| n >= 0),
            Kind::Duration => span::parse_ms(value).is_ok(),
            Kind::Timeout => span::parse_ms(value).is_ok() || text::integer(value) < Some(0),
            Kind::Percentage => {
                value.trim_end().ends_with('%') && text::integer(value).is_some_and(|n| n >= 0)
            }
            Kind::Text | Kind::Version => true,
            // Quirk: the fencing action is the one choice in which case counts; it is checked where it is used.
            Kind::Choice(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
        }
    }

    /// What a value must be, for a message.
    pub fn describe(self) -> String {
        match self {
            Kind::Boolean => "true or false".into(),
            Kind::Integer => "a number".into(),
            Kind::Count => "a number of at least 0".into(),
            Kind::Score => "a number, INFINITY or -INFINITY".into(),
            Kind::Duration => "a time span such as 30s or 5min".into(),
            Kind::Timeout => "a time span such as 30s, or -1".into(),
            Kind::Percentage => "a percentage such as 80%".into(),
            Kind::Text => "a text".into(),
            Kind::Version => "a version".into(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

/// The value that is set under the option's name or its old one, valid or not. Sets with rules do not count.
pub fn configured<'a>(cib: &'a Cib, name: &str) -> Option<&'a str> {
    let set = |name: &str| nvset::cluster_option(cib, name);
    match find(name) {
        Some(option) => set(option.name).or_else(|| option.old_name.and_then(set)),
        None => set(name),
    }
}

/// The value in force: what is set, if it is valid, else the default.
pub fn value<'a>(cib: &'a Cib, name: &str) -> Option<&'a str> {
    let option = find(name);
    let valid = |value: &&str| option.is_none_or(|option| option.kind.accepts(value));
    configured(cib, name)
        .filter(valid)
        .or_else(|| option.and_then(|option| option.default))
}

/// The value of a yes-or-no option.
pub fn boolean(cib: &Cib, name: &str) -> bool {
    text::is_true(value(cib, name))
}

/// The value of a time span in milliseconds.
pub fn span_ms(cib: &Cib, name: &str) -> u64 {
    span::ms_or_zero(value(cib, name))
}

/// The value of a number.
pub fn integer(cib: &Cib, name: &str) -> i64 {
    let value = value(cib, name);
    let infinity = || value.and_then(Score::parse).map(i64::from);
    value.and_then(text::integer).or_else(infinity).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Limits;

    fn with(pairs: &str) -> Cib {
        let text =
            format!("<cib><configuration><crm_config>{pairs}</crm_config></configuration></cib>");
        Cib::parse(text, &Limits::CIB).unwrap()
    }

    fn set(id: &str, attributes: &str, name: &str, value: &str) -> String {
        format!(
            r#"<cluster_property_set id="{id}" {attributes}><nvpair id="{id}-1" name="{name}" value="{value}"/></cluster_property_set>"#
        )
    }

    #[test]
    fn every_default_is_valid() {
        for option in OPTIONS {
            if let Some(default) = option.default {
                assert!(option.kind.accepts(default), "{}", option.name);
            }
        }
    }

    #[test]
    fn old_names_and_defaults() {
        let cib = with(&set("a", "", "stonith-enabled", "false"));
        assert!(!boolean(&cib, "fencing-enabled"));
        assert!(!boolean(&cib, "stonith-enabled"));
        assert_eq!(span_ms(&cib, "fencing-timeout"), 60_000);
        assert!(boolean(
            &with(&set("a", "", "fencing-enabled", "perhaps")),
            "fencing-enabled"
        ));
        assert_eq!(value(&cib, "unheard-of"), None);
        assert_eq!(integer(&with(""), "node-health-red"), -1_000_000);
    }

    #[test]
    fn later_and_higher_sets_win() {
        let two = set("a", "", "batch-limit", "1") + &set("b", "", "batch-limit", "2");
        assert_eq!(integer(&with(&two), "batch-limit"), 2);
        let scored =
            set("a", "score=\"9\"", "batch-limit", "1") + &set("b", "", "batch-limit", "2");
        assert_eq!(integer(&with(&scored), "batch-limit"), 1);
        let boot = set("cib-bootstrap-options", "", "batch-limit", "1")
            + &set("b", "score=\"9\"", "batch-limit", "2");
        assert_eq!(integer(&with(&boot), "batch-limit"), 1);
    }
}
