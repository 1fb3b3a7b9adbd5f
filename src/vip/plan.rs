//! Wanted + seen -> steps. What must change in the kernel so that the address is here (or is not), and whether
//! it is healthy. Nothing is touched here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::param::{Broadcast, Refusal, Wanted};
use crate::terms::OcfExit;

/// An interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SeenLink {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alternative_names: Vec<String>,
    pub(crate) mac: Vec<u8>,
    /// The administrator's switch.
    pub(crate) up: bool,
    /// The cable: `IFF_LOWER_UP`, and an operational state that isn't down.
    pub(crate) carrier: bool,
    pub(crate) state: String,
    /// Neither loopback, nor point to point, nor NOARP.
    pub(crate) broadcast: bool,
    pub(crate) loopback: bool,
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenAddress {
    pub(crate) link: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) label: Option<String>,
    pub(crate) broadcast: Option<Ipv4Addr>,
    pub(crate) secondary: bool,
    pub(crate) tentative: bool,
    pub(crate) dad_failed: bool,
}

/// A route that names an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenRoute {
    pub(crate) link: u32,
    pub(crate) destination: IpAddr,
    pub(crate) prefix: u8,
}

/// What the kernel has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) links: Vec<SeenLink>,
    pub(crate) addresses: Vec<SeenAddress>,
    pub(crate) routes: Vec<SeenRoute>,
}

/// An address to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewAddress {
    pub(crate) link: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) label: Option<String>,
    pub(crate) broadcast: Option<Ipv4Addr>,
    pub(crate) preferred_s: Option<u32>,
    pub(crate) proto: Option<u8>,
    pub(crate) nodad: bool,
    pub(crate) noprefixroute: bool,
}

/// One change of the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    LinkUp {
        link: u32,
    },
    /// Gone already is fine.
    Remove {
        link: u32,
        ip: IpAddr,
        prefix: u8,
    },
    /// There already is fine.
    Add(NewAddress),
}

/// The state of the address on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Running {
        link: u32,
    },
    NotRunning {
        reason: String,
    },
    /// It is here, but it does not serve.
    Failed {
        reason: String,
    },
}

/// Where the address belongs: link and prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) link: u32,
    pub(crate) prefix: u8,
}

/// The steps that bring the address up here.
pub(crate) fn start(wanted: &Wanted, seen: &Seen) -> Result<(Home, Vec<Step>), Refusal> {
    let home = find_home(wanted, seen)?;
    let link = seen.link(home.link);
    let label = kernel_label(wanted, link)?;
    let mut steps = Vec::new();
    if !link.up {
        steps.push(Step::LinkUp { link: link.index });
    }
    for old in seen.addresses.iter().filter(|a| a.ip == wanted.ip) {
        let on_loopback = seen.links.iter().any(|l| l.index == old.link && l.loopback);
        if old.link == home.link {
            if old.prefix == home.prefix && label_fits(old, label.as_deref()) && !old.dad_failed {
                return Ok((home, steps));
            }
            steps.push(remove(old));
        } else if on_loopback && wanted.lvs_support {
            steps.push(remove(old));
        } else if !on_loopback {
            return Err(Refusal::new(
                OcfExit::ERROR,
                format!(
                    "address {} is already on interface {}; remove it there, or set nic={}",
                    wanted.ip,
                    seen.link(old.link).name,
                    seen.link(old.link).name,
                ),
            ));
        }
    }
    steps.push(Step::Add(NewAddress {
        link: home.link,
        ip: wanted.ip,
        prefix: home.prefix,
        label,
        broadcast: match (wanted.ip, wanted.broadcast) {
            (IpAddr::V6(_), _) | (_, Broadcast::None) => None,
            (_, Broadcast::Given(broadcast)) => Some(broadcast),
            (IpAddr::V4(ip), Broadcast::Computed) => computed_broadcast(ip, home.prefix),
        },
        preferred_s: wanted.preferred_s,
        proto: wanted.proto,
        nodad: wanted.nodad,
        noprefixroute: wanted.noprefixroute,
    }));
    Ok((home, steps))
}

/// The steps that take the address away; none when it isn't here.
pub(crate) fn stop(wanted: &Wanted, seen: &Seen) -> Vec<Step> {
    let mut steps = Vec::new();
    for here in places(wanted, seen) {
        steps.push(remove(here));
        // When a primary IPv4 address goes, the kernel takes the secondaries of its subnet along (unless
        // promote_secondaries is set). They are not ours to lose.
        if here.ip.is_ipv4() && !here.secondary {
            let endangered = seen.addresses.iter().filter(|other| {
                other.link == here.link
                    && other.secondary
                    && other.prefix == here.prefix
                    && other.ip != here.ip
                    && contains(here.ip, here.prefix, other.ip)
            });
            steps.extend(endangered.map(|other| Step::Add(restore(other))));
        }
        if wanted.lvs_support
            && let Some(lo) = seen.links.iter().find(|l| l.loopback)
        {
            steps.push(Step::Add(NewAddress {
                link: lo.index,
                ip: wanted.ip,
                prefix: full_prefix(wanted.ip),
                label: None,
                broadcast: None,
                preferred_s: None,
                proto: None,
                nodad: true,
                noprefixroute: false,
            }));
        }
    }
    steps
}

/// Is the address here, and does it serve?
pub(crate) fn check(wanted: &Wanted, seen: &Seen) -> Health {
    let Some(here) = places(wanted, seen).next() else {
        return Health::NotRunning {
            reason: match &wanted.nic {
                Some(nic) if seen.find(nic).is_none() => format!("interface {nic} does not exist"),
                Some(nic) => format!("address {} is not on interface {nic}", wanted.ip),
                None => format!("address {} is on no interface", wanted.ip),
            },
        };
    };
    let link = seen.link(here.link);
    if here.dad_failed {
        return Health::Failed {
            reason: format!(
                "address {}: another machine has it (duplicate detected)",
                wanted.ip
            ),
        };
    }
    if let Ok(Some(label)) = kernel_label(wanted, link)
        && here.label.as_deref() != Some(label.as_str())
    {
        return Health::Failed {
            reason: format!(
                "address {} has label '{}', not '{label}'",
                wanted.ip,
                here.label.as_deref().unwrap_or("")
            ),
        };
    }
    if wanted.check_link && !(link.up && link.carrier) {
        return Health::Failed {
            reason: link_trouble(link),
        };
    }
    Health::Running { link: link.index }
}

/// What is wrong with an interface that should carry the address.
pub(crate) fn link_trouble(link: &SeenLink) -> String {
    if link.up {
        format!(
            "interface {} has no link (state {}); check cable and switch",
            link.name, link.state
        )
    } else {
        format!(
            "interface {} is down; `ip link set {} up` brings it back",
            link.name, link.name
        )
    }
}

/// The interface and prefix for the address: the ones given, or those of the subnet or route it belongs to.
pub(crate) fn find_home(wanted: &Wanted, seen: &Seen) -> Result<Home, Refusal> {
    let nic = match &wanted.nic {
        None => None,
        Some(name) => Some(seen.find(name).ok_or_else(|| {
            Refusal::new(
                OcfExit::NOT_INSTALLED,
                format!("parameter nic: interface {name} does not exist on this node; `ip link` lists those that do"),
            )
        })?),
    };
    if let (Some(nic), Some(prefix)) = (nic, wanted.prefix) {
        return Ok(Home {
            link: nic.index,
            prefix,
        });
    }
    let usable = |link: u32| match nic {
        Some(nic) => nic.index == link,
        None => seen.links.iter().any(|l| l.index == link && !l.loopback),
    };
    let on_subnet = seen
        .addresses
        .iter()
        .filter(|a| a.ip != wanted.ip && a.prefix < full_prefix(a.ip))
        .map(|a| (a.link, a.ip, a.prefix));
    let routed = seen
        .routes
        .iter()
        .filter(|r| r.prefix > 0 && r.prefix < full_prefix(r.destination))
        .map(|r| (r.link, r.destination, r.prefix));
    let best = |candidates: &mut dyn Iterator<Item = (u32, IpAddr, u8)>| {
        candidates
            .filter(|(link, net, prefix)| usable(*link) && contains(*net, *prefix, wanted.ip))
            .max_by_key(|(link, _, prefix)| {
                let link = seen.link(*link);
                (
                    *prefix,
                    link.up && link.carrier,
                    std::cmp::Reverse(link.index),
                )
            })
    };
    let found = best(&mut { on_subnet }).or_else(|| best(&mut { routed }));
    // The address may be here already, alone in its subnet.
    let present = places(wanted, seen).next();
    match (found, nic, present) {
        (Some((link, _, prefix)), _, _) => Ok(Home {
            link,
            prefix: wanted.prefix.unwrap_or(prefix),
        }),
        (None, _, Some(here)) => Ok(Home {
            link: here.link,
            prefix: wanted.prefix.unwrap_or(here.prefix),
        }),
        (None, Some(nic), None) => Ok(Home {
            link: nic.index,
            prefix: full_prefix(wanted.ip),
        }),
        (None, None, None) => Err(Refusal::new(
            OcfExit::NOT_INSTALLED,
            format!(
                "parameter nic: missing, and no interface of this node has a subnet or route for {}; set nic (and cidr_netmask)",
                wanted.ip
            ),
        )),
    }
}

/// Where the address is now, in so far as it is ours: on the given interface, else on any but loopback.
fn places<'a>(wanted: &'a Wanted, seen: &'a Seen) -> impl Iterator<Item = &'a SeenAddress> {
    seen.addresses.iter().filter(|a| {
        a.ip == wanted.ip
            && seen.links.iter().any(|l| {
                l.index == a.link
                    && match &wanted.nic {
                        Some(nic) => l.is_called(nic),
                        None => !l.loopback,
                    }
            })
    })
}

fn kernel_label(wanted: &Wanted, link: &SeenLink) -> Result<Option<String>, Refusal> {
    let Some(label) = &wanted.label else {
        return Ok(None);
    };
    let full = format!("{}:{label}", link.name);
    if full.len() > 15 {
        return Err(Refusal::new(
            OcfExit::INVALID_PARAM,
            format!(
                "parameter iflabel: '{full}' is longer than the 15 characters a label may have; shorten iflabel to {}",
                15usize.saturating_sub(link.name.len() + 1)
            ),
        ));
    }
    Ok(Some(full))
}

fn label_fits(address: &SeenAddress, label: Option<&str>) -> bool {
    label.is_none() || address.label.as_deref() == label
}

fn remove(address: &SeenAddress) -> Step {
    Step::Remove {
        link: address.link,
        ip: address.ip,
        prefix: address.prefix,
    }
}

fn restore(address: &SeenAddress) -> NewAddress {
    NewAddress {
        link: address.link,
        ip: address.ip,
        prefix: address.prefix,
        label: address.label.clone(),
        broadcast: address.broadcast,
        preferred_s: None,
        proto: None,
        nodad: false,
        noprefixroute: false,
    }
}

fn full_prefix(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn computed_broadcast(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    (prefix < 31).then(|| Ipv4Addr::from(u32::from(ip) | (u32::MAX >> prefix)))
}

fn contains(net: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    };
    net.is_ipv4() == ip.is_ipv4()
        && (prefix == 0 || (bits(net) ^ bits(ip)) >> (128 - u32::from(prefix)) == 0)
}

impl Seen {
    fn find(&self, name: &str) -> Option<&SeenLink> {
        self.links.iter().find(|l| l.is_called(name))
    }

    /// The link of an address, a route or a home.
    pub(crate) fn link(&self, index: u32) -> &SeenLink {
        self.links
            .iter()
            .find(|l| l.index == index)
            .expect("addresses and routes of unknown links are dropped when the kernel is read")
    }
}

impl SeenLink {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alternative_names.iter().any(|n| n == name)
    }
}

#[cfg(test)]
mod tests;
