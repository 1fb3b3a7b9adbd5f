//! What the agent says about itself: one table of parameters, printed as OCF meta-data.

use std::fmt::Write;

pub(super) const USAGE: &str =
    "usage: IPaddr2 start|stop|monitor|validate-all|meta-data|reload-agent";

struct Parameter {
    name: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    short: &'static str,
    long: &'static str,
    reloadable: bool,
}

const fn parameter(
    name: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    short: &'static str,
    long: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind,
        default,
        short,
        long,
        reloadable: false,
    }
}

const fn reloadable(parameter: Parameter) -> Parameter {
    Parameter {
        reloadable: true,
        ..parameter
    }
}

const NONE: Option<&str> = None;

const PARAMETERS: &[Parameter] = &[
    parameter(
        "ip",
        "string",
        NONE,
        "Virtual address",
        "The IPv4 or IPv6 address, without prefix.",
    ),
    parameter(
        "nic",
        "string",
        NONE,
        "Network interface",
        "The interface that gets the address. When absent, the one whose subnet (or directly connected route) contains the address. Alternative names work.",
    ),
    parameter(
        "cidr_netmask",
        "string",
        NONE,
        "Prefix length",
        "Prefix length (24) or, for IPv4, a dotted mask. When absent, that of the subnet on the interface.",
    ),
    parameter(
        "broadcast",
        "string",
        NONE,
        "Broadcast address",
        "IPv4 broadcast address; '-' for none. When absent, the last address of the subnet.",
    ),
    parameter(
        "iflabel",
        "string",
        NONE,
        "Interface label",
        "The address is labelled INTERFACE:LABEL (IPv4 only). Monitor fails when the label is gone.",
    ),
    parameter(
        "proto",
        "integer",
        NONE,
        "Protocol number of the address",
        "Marks the address with this protocol number, as `ip address add ... proto` does.",
    ),
    parameter(
        "lvs_support",
        "boolean",
        Some("false"),
        "Direct routing",
        "The address may be on loopback while it is not here: start moves it from there, stop puts it back.",
    ),
    parameter(
        "lvs_ipv6_addrlabel",
        "boolean",
        Some("true"),
        "Accepted for compatibility",
        "No effect.",
    ),
    parameter(
        "lvs_ipv6_addrlabel_value",
        "integer",
        Some("99"),
        "Accepted for compatibility",
        "No effect.",
    ),
    parameter(
        "mac",
        "string",
        NONE,
        "Accepted for compatibility",
        "No effect: shared addresses need CLUSTERIP, which kernels no longer have.",
    ),
    parameter(
        "clusterip_hash",
        "string",
        Some("sourceip-sourceport"),
        "Accepted for compatibility",
        "No effect: shared addresses need CLUSTERIP, which kernels no longer have.",
    ),
    parameter(
        "unique_clone_address",
        "boolean",
        Some("false"),
        "Not supported",
        "Must be false; give each clone its own resource and ip.",
    ),
    reloadable(parameter(
        "arp_interval",
        "integer",
        Some("200"),
        "Milliseconds between announcements",
        "Pause between two announcements of a burst. Each is an ARP request and an ARP reply, or one unsolicited neighbour advertisement.",
    )),
    reloadable(parameter(
        "arp_count",
        "integer",
        Some("5"),
        "Announcements in a burst",
        "How often the address is announced after start; the first before start ends. 0 = never.",
    )),
    reloadable(parameter(
        "arp_count_refresh",
        "integer",
        Some("0"),
        "Announcements at each monitor",
        "How often each recurring monitor announces the address.",
    )),
    reloadable(parameter(
        "arp_bg",
        "boolean",
        Some("true"),
        "Announce in the background",
        "When false, start ends only after the whole first burst, and there is no second one.",
    )),
    reloadable(parameter(
        "arp_again",
        "integer",
        Some("5000"),
        "Milliseconds until the second burst",
        "A second burst for switches that were not ready at the first. 0 = none.",
    )),
    reloadable(parameter(
        "arp_refresh",
        "integer",
        Some("0"),
        "Seconds between refreshing announcements",
        "Announce for as long as the address is here, and at once when a link changed. 0 = no.",
    )),
    reloadable(parameter(
        "arp_sender",
        "string",
        NONE,
        "Accepted for compatibility",
        "No effect: frames are sent without helper programs.",
    )),
    reloadable(parameter(
        "send_arp_opts",
        "string",
        NONE,
        "Accepted for compatibility",
        "No effect: frames are sent without helper programs.",
    )),
    parameter(
        "flush_routes",
        "boolean",
        Some("false"),
        "Accepted for compatibility",
        "No effect: kernels have no route cache any more.",
    ),
    reloadable(parameter(
        "run_arping",
        "boolean",
        Some("false"),
        "Duplicate check",
        "Before start, ask the network for 0.75 s whether another machine has the IPv4 address, and fail if so.",
    )),
    parameter(
        "nodad",
        "boolean",
        Some("false"),
        "No duplicate detection for IPv6",
        "Use the IPv6 address at once. When false, start waits for the kernel's duplicate detection (about a second).",
    ),
    parameter(
        "noprefixroute",
        "boolean",
        Some("false"),
        "No route for the subnet",
        "Do not add a route for the address's subnet.",
    ),
    parameter(
        "preferred_lft",
        "string",
        Some("forever"),
        "Preferred lifetime",
        "Seconds, or forever. 0 keeps the address from being chosen as source of outgoing connections.",
    ),
    parameter(
        "network_namespace",
        "string",
        NONE,
        "Network namespace",
        "Name of the network namespace (as in `ip netns`) in which everything is done.",
    ),
    reloadable(parameter(
        "check_link_status",
        "boolean",
        Some("true"),
        "Watch the link",
        "Monitor fails when the interface is down or has no carrier.",
    )),
];

const ACTIONS: &[(&str, &str)] = &[
    ("start", r#"timeout="20s""#),
    ("stop", r#"timeout="20s""#),
    ("monitor", r#"timeout="20s" interval="10s" depth="0""#),
    ("reload-agent", r#"timeout="20s""#),
    ("meta-data", r#"timeout="5s""#),
    ("validate-all", r#"timeout="20s""#),
];

/// The OCF 1.1 meta-data document.
pub(super) fn text() -> String {
    let mut xml = String::from(
        r#"<?xml version="1.0"?>
<resource-agent name="IPaddr2" version="1.0">
  <version>1.1</version>
  <longdesc lang="en">Sets a virtual IPv4 or IPv6 address on an interface and announces it to the network, by netlink and raw frames, without helper programs.</longdesc>
  <shortdesc lang="en">Virtual IPv4 and IPv6 addresses</shortdesc>
  <parameters>
"#,
    );
    for p in PARAMETERS {
        let required = u8::from(p.name == "ip");
        let reloadable = u8::from(p.reloadable);
        let default = p
            .default
            .map(|d| format!(" default=\"{d}\""))
            .unwrap_or_default();
        let _ = write!(
            xml,
            r#"    <parameter name="{}" unique="{required}" required="{required}" reloadable="{reloadable}">
      <longdesc lang="en">{}</longdesc>
      <shortdesc lang="en">{}</shortdesc>
      <content type="{}"{default}/>
    </parameter>
"#,
            p.name, p.long, p.short, p.kind,
        );
    }
    xml.push_str("  </parameters>\n  <actions>\n");
    for (name, attributes) in ACTIONS {
        let _ = writeln!(xml, r#"    <action name="{name}" {attributes}/>"#);
    }
    xml.push_str("  </actions>\n</resource-agent>");
    xml
}
