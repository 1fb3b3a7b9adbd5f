//! What the configuration says: `OCF_RESKEY_*` read once into types. Each refusal names the parameter and its cure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::terms::OcfExit;

/// The environment of an agent run.
pub(crate) type Env = BTreeMap<String, String>;

/// Why an action can't be done: an exit status and the reason that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: OcfExit,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(exit: OcfExit, reason: impl Into<String>) -> Self {
        Self {
            exit,
            reason: reason.into(),
        }
    }

    fn config(reason: impl Into<String>) -> Self {
        Self::new(OcfExit::NOT_CONFIGURED, reason)
    }
}

/// Which broadcast address an IPv4 address gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broadcast {
    /// The last address of the subnet.
    Computed,
    None,
    Given(Ipv4Addr),
}

/// The address as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) ip: IpAddr,
    pub(crate) nic: Option<String>,
    pub(crate) prefix: Option<u8>,
    /// Only the part after the colon; the kernel's label is `NIC:LABEL`.
    pub(crate) label: Option<String>,
    pub(crate) broadcast: Broadcast,
    /// Seconds; `None` is forever.
    pub(crate) preferred_s: Option<u32>,
    pub(crate) proto: Option<u8>,
    pub(crate) nodad: bool,
    pub(crate) noprefixroute: bool,
    pub(crate) lvs_support: bool,
    pub(crate) check_link: bool,
}

/// How the address is made known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announcing {
    pub(crate) count: u32,
    pub(crate) interval_ms: u64,
    /// Announcements that each monitor sends.
    pub(crate) refresh_count: u32,
    pub(crate) background: bool,
    /// A second burst so long after the first; 0 = none.
    pub(crate) again_ms: u64,
    /// Announce for as long as the address is here, this often; 0 = no.
    pub(crate) refresh_ms: u64,
    /// Ask whether somebody else has the address before it is set.
    pub(crate) check_duplicate: bool,
}

/// All that the agent was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) wanted: Wanted,
    pub(crate) announcing: Announcing,
    pub(crate) namespace: Option<String>,
}

/// Reads the parameters of an action. For `stop` only what it needs is looked at: what could never have been
/// started needs no stopping, and a failed stop means a fenced node.
pub(crate) fn read(env: &Env, stopping: bool) -> Result<Param, Refusal> {
    let given = |name: &str| {
        env.get(&format!("OCF_RESKEY_{name}"))
            .map(|v| v.trim())
            .filter(|v| !v.is_empty())
    };
    let ip = read_ip(given("ip"))?;
    let (nic, nic_label) = match given("nic").map(|nic| nic.split_once(':').unwrap_or((nic, ""))) {
        Some((nic, label)) => (Some(nic.to_owned()), Some(label).filter(|l| !l.is_empty())),
        None => (None, None),
    };
    let namespace = given("network_namespace").map(str::to_owned);
    if let Some(bad) = namespace
        .as_deref()
        .filter(|n| n.contains('/') || *n == "." || *n == "..")
    {
        return Err(Refusal::config(format!(
            "parameter network_namespace: '{bad}' is not a name as `ip netns list` shows it"
        )));
    }
    let label = given("iflabel")
        .or(nic_label)
        .filter(|_| ip.is_ipv4())
        .map(str::to_owned);
    let lenient = |read: Result<Wanted, Refusal>| match read {
        Err(_) if stopping => Ok(Wanted::bare(ip, nic.clone())),
        other => other,
    };
    let wanted = lenient((|| {
        if let IpAddr::V6(v6) = ip
            && v6.is_unicast_link_local()
            && nic.is_none()
        {
            return Err(Refusal::config(format!(
                "parameter nic: the link-local address {ip} needs it; set nic to the interface"
            )));
        }
        if is_true(env, "unique_clone_address", false)? {
            return Err(Refusal::config(
                "parameter unique_clone_address: not supported; give each clone its own resource and ip",
            ));
        }
        Ok(Wanted {
            ip,
            nic: nic.clone(),
            prefix: given("cidr_netmask")
                .map(|v| read_prefix(v, ip))
                .transpose()?,
            label,
            broadcast: read_broadcast(given("broadcast"))?,
            preferred_s: match given("preferred_lft") {
                None | Some("forever") => None,
                Some(s) => Some(number("preferred_lft", s)?),
            },
            proto: given("proto").map(|v| number("proto", v)).transpose()?,
            nodad: is_true(env, "nodad", false)?,
            noprefixroute: is_true(env, "noprefixroute", false)?,
            lvs_support: is_true(env, "lvs_support", false)?,
            check_link: is_true(env, "check_link_status", true)?,
        })
    })())?;
    let announcing = match read_announcing(env) {
        Err(_) if stopping => Announcing::default(),
        other => other?,
    };
    if !stopping {
        refuse_shared_clone(env)?;
    }
    Ok(Param {
        wanted,
        announcing,
        namespace,
    })
}

impl Wanted {
    /// Only the address: enough to take it away.
    fn bare(ip: IpAddr, nic: Option<String>) -> Self {
        Self {
            ip,
            nic,
            prefix: None,
            label: None,
            broadcast: Broadcast::Computed,
            preferred_s: None,
            proto: None,
            nodad: false,
            noprefixroute: false,
            lvs_support: false,
            check_link: true,
        }
    }
}

impl Default for Announcing {
    fn default() -> Self {
        Self {
            count: 5,
            interval_ms: 200,
            refresh_count: 0,
            background: true,
            again_ms: 5000,
            refresh_ms: 0,
            check_duplicate: false,
        }
    }
}

fn read_announcing(env: &Env) -> Result<Announcing, Refusal> {
    let default = Announcing::default();
    let read = |name: &str, default: u64| match env.get(&format!("OCF_RESKEY_{name}")) {
        Some(v) if !v.trim().is_empty() => number(name, v.trim()),
        _ => Ok(default),
    };
    let count = |name, default| read(name, u64::from(default)).map(|n| n.min(10_000) as u32);
    Ok(Announcing {
        count: count("arp_count", default.count)?,
        interval_ms: read("arp_interval", default.interval_ms)?,
        refresh_count: count("arp_count_refresh", default.refresh_count)?,
        background: is_true(env, "arp_bg", default.background)?,
        again_ms: read("arp_again", default.again_ms)?,
        refresh_ms: read("arp_refresh", 0)?.saturating_mul(1000),
        check_duplicate: is_true(env, "run_arping", default.check_duplicate)?,
    })
}

/// A globally unique clone of one address shares it among nodes by hashing. Kernels have no CLUSTERIP any more.
fn refuse_shared_clone(env: &Env) -> Result<(), Refusal> {
    let meta = |name: &str| {
        env.get(&format!("OCF_RESKEY_CRM_meta_{name}"))
            .map(String::as_str)
    };
    let unique = meta("globally_unique").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let several = meta("clone_max")
        .and_then(|v| v.parse::<u32>().ok())
        .is_some_and(|n| n > 1);
    if unique && several {
        return Err(Refusal::config(
            "clone with globally-unique=true: one address on several nodes needs CLUSTERIP, which kernels no longer have; use one VIP per node",
        ));
    }
    Ok(())
}

fn read_ip(given: Option<&str>) -> Result<IpAddr, Refusal> {
    let Some(text) = given else {
        return Err(Refusal::config(
            "parameter ip: missing; set it to the virtual address, for example ip=192.0.2.10",
        ));
    };
    if let Some((ip, prefix)) = text.split_once('/') {
        return Err(Refusal::config(format!(
            "parameter ip: '{text}' contains a prefix; write ip={ip} cidr_netmask={prefix}"
        )));
    }
    let ip = IpAddr::from_str(text).map_err(|_| {
        Refusal::config(format!(
            "parameter ip: '{text}' is neither an IPv4 nor an IPv6 address"
        ))
    })?;
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Refusal::config(format!(
            "parameter ip: {ip} can't be a host's address; use a unicast address"
        )));
    }
    Ok(ip)
}

fn read_prefix(text: &str, ip: IpAddr) -> Result<u8, Refusal> {
    let max = if ip.is_ipv4() { 32 } else { 128 };
    if let (Ok(mask), true) = (Ipv4Addr::from_str(text), ip.is_ipv4()) {
        let bits = u32::from(mask);
        if bits.leading_ones() + bits.trailing_zeros().min(32) >= 32 {
            return Ok(bits.leading_ones() as u8);
        }
    }
    match text.parse::<u8>() {
        Ok(prefix) if prefix <= max => Ok(prefix),
        _ => Err(Refusal::config(format!(
            "parameter cidr_netmask: '{text}' is not a prefix length from 0 to {max}"
        ))),
    }
}

fn read_broadcast(given: Option<&str>) -> Result<Broadcast, Refusal> {
    match given {
        None | Some("+") => Ok(Broadcast::Computed),
        Some("-") => Ok(Broadcast::None),
        Some(text) => text.parse().map(Broadcast::Given).map_err(|_| {
            Refusal::config(format!(
                "parameter broadcast: '{text}' is not an IPv4 address"
            ))
        }),
    }
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| {
        Refusal::config(format!(
            "parameter {name}: '{text}' is not a number in its range"
        ))
    })
}

fn is_true(env: &Env, name: &str, default: bool) -> Result<bool, Refusal> {
    let Some(text) = env.get(&format!("OCF_RESKEY_{name}")).map(|v| v.trim()) else {
        return Ok(default);
    };
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(default),
        "yes" | "true" | "1" | "on" | "y" | "t" => Ok(true),
        "no" | "false" | "0" | "off" | "n" | "f" => Ok(false),
        _ => Err(Refusal::config(format!(
            "parameter {name}: '{text}' is neither true nor false"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(text: &str) -> Env {
        text.split_whitespace()
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (format!("OCF_RESKEY_{name}"), value.to_owned())
            })
            .collect()
    }

    fn reason(text: &str) -> String {
        let refusal = read(&env(text), false).unwrap_err();
        format!("{}: {}", refusal.exit, refusal.reason)
    }

    #[test]
    fn usual_parameters() {
        let param = read(
            &env("ip=10.0.0.9 nic=eth0:web cidr_netmask=255.255.255.0 arp_count=3 run_arping=yes"),
            false,
        )
        .unwrap();
        assert_eq!(param.wanted.prefix, Some(24));
        assert_eq!(param.wanted.nic.as_deref(), Some("eth0"));
        assert_eq!(param.wanted.label.as_deref(), Some("web"));
        assert_eq!(param.announcing.count, 3);
        assert!(param.announcing.check_duplicate);
    }

    #[test]
    fn refusals_name_parameter_and_cure() {
        assert_eq!(
            reason("nic=eth0"),
            "6: parameter ip: missing; set it to the virtual address, for example ip=192.0.2.10"
        );
        assert_eq!(
            reason("ip=10.0.0.1/24"),
            "6: parameter ip: '10.0.0.1/24' contains a prefix; write ip=10.0.0.1 cidr_netmask=24"
        );
        assert_eq!(
            reason("ip=10.0.0.1 cidr_netmask=255.0.255.0"),
            "6: parameter cidr_netmask: '255.0.255.0' is not a prefix length from 0 to 32"
        );
        assert_eq!(
            reason("ip=fe80::1"),
            "6: parameter nic: the link-local address fe80::1 needs it; set nic to the interface"
        );
        assert_eq!(
            reason("ip=10.0.0.1 nodad=perhaps"),
            "6: parameter nodad: 'perhaps' is neither true nor false"
        );
    }

    #[test]
    fn stop_does_not_mind_what_only_start_needs() {
        let param = read(&env("ip=10.0.0.1 cidr_netmask=nonsense arp_count=x"), true).unwrap();
        assert_eq!(param.wanted.prefix, None);
    }
}
