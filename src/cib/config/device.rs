//! Parameters that every fence device has beside those of its agent. They are for the fencer, agents do not get them.
//! // spec cluster §16

use super::options::{
    Audience::{self, Advanced, Everyone},
    ClusterOption,
    Kind::{self, Choice, Duration, Integer, Text},
};

const fn option(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    audience: Audience,
    help: &'static str,
) -> ClusterOption {
    ClusterOption {
        name,
        old_name: None,
        kind,
        default,
        help,
        audience,
    }
}

/// All of them, in the order in which tools list them.
pub const PARAMETERS: &[ClusterOption] = &[
    option(
        "pcmk_host_argument",
        Text,
        None,
        Advanced,
        "The agent's parameter that says which node to fence; `none` if it needs none",
    ),
    option(
        "pcmk_host_map",
        Text,
        None,
        Everyone,
        "What the device calls each node: `node1:1;node2:2,3`",
    ),
    option(
        "pcmk_host_list",
        Text,
        None,
        Everyone,
        "Nodes that the device can fence",
    ),
    option(
        "pcmk_host_check",
        Choice(&["dynamic-list", "static-list", "status", "none"]),
        None,
        Everyone,
        "How it is found out which nodes the device can fence: ask it for a list, take the list that is configured, ask it about each, or believe it can fence all",
    ),
    option(
        "pcmk_delay_max",
        Duration,
        Some("0s"),
        Everyone,
        "A random delay before fencing, of at most this, so that two nodes do not fence each other at once",
    ),
    option(
        "pcmk_delay_base",
        Text,
        Some("0s"),
        Everyone,
        "A fixed delay before fencing, for all nodes or for each: `node1:5s;node2:0`",
    ),
    option(
        "pcmk_action_limit",
        Integer,
        Some("1"),
        Everyone,
        "So many actions of the device at once; -1 is no limit",
    ),
    option(
        "pcmk_reboot_action",
        Text,
        Some("reboot"),
        Advanced,
        "What the agent is told to do instead of `reboot`",
    ),
    option(
        "pcmk_reboot_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `reboot` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_reboot_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `reboot` is tried within its timeout",
    ),
    option(
        "pcmk_off_action",
        Text,
        Some("off"),
        Advanced,
        "What the agent is told to do instead of `off`",
    ),
    option(
        "pcmk_off_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `off` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_off_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `off` is tried within its timeout",
    ),
    option(
        "pcmk_on_action",
        Text,
        Some("on"),
        Advanced,
        "What the agent is told to do instead of `on`",
    ),
    option(
        "pcmk_on_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `on` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_on_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `on` is tried within its timeout",
    ),
    option(
        "pcmk_list_action",
        Text,
        Some("list"),
        Advanced,
        "What the agent is told to do instead of `list`",
    ),
    option(
        "pcmk_list_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `list` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_list_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `list` is tried within its timeout",
    ),
    option(
        "pcmk_monitor_action",
        Text,
        Some("monitor"),
        Advanced,
        "What the agent is told to do instead of `monitor`",
    ),
    option(
        "pcmk_monitor_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `monitor` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_monitor_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `monitor` is tried within its timeout",
    ),
    option(
        "pcmk_status_action",
        Text,
        Some("status"),
        Advanced,
        "What the agent is told to do instead of `status`",
    ),
    option(
        "pcmk_status_timeout",
        Duration,
        Some("60s"),
        Advanced,
        "How long `status` may take, instead of fencing-timeout",
    ),
    option(
        "pcmk_status_retries",
        Integer,
        Some("2"),
        Advanced,
        "How often `status` is tried within its timeout",
    ),
];
