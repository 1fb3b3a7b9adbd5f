//! Netlink: what the kernel has, and the steps of a plan carried out. One socket, no helper programs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, Prop, State};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use super::plan::{NewAddress, Seen, SeenAddress, SeenLink, SeenRoute, Step};

const PERMISSION: i32 = 1;
const NO_DEVICE: i32 = 19;
const EXISTS: i32 = 17;
const NOT_AVAILABLE: i32 = 99;
const FOREVER: u32 = u32::MAX;

/// The kernel said no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("failed to {what}: not permitted; run it as root (CAP_NET_ADMIN)")]
    Permission { what: String },
    #[error("failed to {what}: {cause}")]
    Refused { what: String, cause: String },
    #[error("failed to open a netlink socket: {0}")]
    Socket(io::Error),
}

/// A connection to the kernel, alive as long as the runtime.
pub(crate) struct Kernel {
    handle: Handle,
}

impl Kernel {
    pub(crate) fn connect() -> Result<Self, LinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Socket)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Links and addresses; routes only when asked, tables can be long.
    pub(crate) async fn seen(&self, routes_for: Option<IpAddr>) -> Result<Seen, LinkError> {
        let what = |what: &'static str| move |e| failed(what.to_owned(), &e);
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(what("list links"))?;
        let addresses: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(what("list addresses"))?;
        let routes: Vec<RouteMessage> = match routes_for {
            None => Vec::new(),
            Some(ip) => {
                let all = match ip {
                    IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
                    IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
                };
                let routes = self.handle.route().get(all).execute();
                routes.try_collect().await.map_err(what("list routes"))?
            }
        };
        let links: Vec<SeenLink> = links.iter().map(seen_link).collect();
        let known = |link: u32| links.iter().any(|l| l.index == link);
        Ok(Seen {
            addresses: addresses
                .iter()
                .filter_map(seen_address)
                .filter(|a| known(a.link))
                .collect(),
            routes: routes
                .iter()
                .filter_map(seen_route)
                .filter(|r| known(r.link))
                .collect(),
            links,
        })
    }

    pub(crate) async fn apply(&self, step: &Step) -> Result<(), LinkError> {
        match step {
            Step::LinkUp { link } => {
                let up = LinkUnspec::new_with_index(*link).up().build();
                let done = self.handle.link().set(up).execute().await;
                done.map_err(|e| failed(format!("bring link {link} up"), &e))
            }
            Step::Remove { link, ip, prefix } => {
                let message = self.address(*link, *ip, *prefix);
                match self.handle.address().del(message).execute().await {
                    Err(e) if [NOT_AVAILABLE, NO_DEVICE].contains(&errno(&e)) => Ok(()),
                    done => done.map_err(|e| failed(format!("remove address {ip}/{prefix}"), &e)),
                }
            }
            Step::Add(new) => {
                let mut add = self.handle.address().add(new.link, new.ip, new.prefix);
                fill(add.message_mut(), new);
                match add.execute().await {
                    Err(e) if errno(&e) == EXISTS => Ok(()),
                    done => done
                        .map_err(|e| failed(format!("add address {}/{}", new.ip, new.prefix), &e)),
                }
            }
        }
    }

    fn address(&self, link: u32, ip: IpAddr, prefix: u8) -> AddressMessage {
        let mut message = self
            .handle
            .address()
            .add(link, ip, prefix)
            .message_mut()
            .clone();
        message
            .attributes
            .retain(|a| matches!(a, AddressAttribute::Local(_) | AddressAttribute::Address(_)));
        message
    }
}

fn fill(message: &mut AddressMessage, new: &NewAddress) {
    let attributes = &mut message.attributes;
    attributes.retain(|a| !matches!(a, AddressAttribute::Broadcast(_)));
    attributes.extend(new.broadcast.map(AddressAttribute::Broadcast));
    attributes.extend(new.label.clone().map(AddressAttribute::Label));
    let mut flags = AddressFlags::empty();
    flags.set(AddressFlags::Nodad, new.nodad && new.ip.is_ipv6());
    flags.set(AddressFlags::Noprefixroute, new.noprefixroute);
    if !flags.is_empty() {
        message.header.flags = AddressHeaderFlags::from_bits_truncate(flags.bits() as u8);
        attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(preferred_s) = new.preferred_s {
        let mut cache = CacheInfo::default();
        cache.ifa_preferred = preferred_s;
        cache.ifa_valid = FOREVER;
        attributes.push(AddressAttribute::CacheInfo(cache));
    }
    attributes.extend(
        new.proto
            .map(|p| AddressAttribute::Protocol(AddressProtocol::from(p))),
    );
}

fn seen_link(message: &LinkMessage) -> SeenLink {
    let flags = message.header.flags;
    let mut link = SeenLink {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        state: "UNKNOWN".to_owned(),
        broadcast: flags.contains(LinkFlags::Broadcast) && !flags.contains(LinkFlags::Noarp),
        loopback: flags.contains(LinkFlags::Loopback),
        ..SeenLink::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name.clone(),
            LinkAttribute::Address(mac) => link.mac = mac.clone(),
            LinkAttribute::OperState(state) => {
                link.state = state.to_string();
                let down = [State::Down, State::LowerLayerDown, State::NotPresent];
                link.carrier &= !down.contains(state);
            }
            LinkAttribute::PropList(list) => {
                link.alternative_names
                    .extend(list.iter().filter_map(|prop| match prop {
                        Prop::AltIfName(name) => Some(name.clone()),
                        _ => None,
                    }));
            }
            _ => {}
        }
    }
    link
}

fn seen_address(message: &AddressMessage) -> Option<SeenAddress> {
    let mut ip = None;
    let mut local = None;
    let mut label = None;
    let mut broadcast = None;
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(a) => ip = Some(*a),
            // On point-to-point links Address is the other end.
            AddressAttribute::Local(a) => local = Some(*a),
            AddressAttribute::Label(l) => label = Some(l.clone()),
            AddressAttribute::Broadcast(b) => broadcast = Some(*b),
            AddressAttribute::Flags(f) => flags = *f,
            _ => {}
        }
    }
    let ip = local.or(ip)?;
    Some(SeenAddress {
        link: message.header.index,
        ip,
        prefix: message.header.prefix_len,
        label,
        broadcast,
        // The same bit means "temporary" for IPv6.
        secondary: ip.is_ipv4() && flags.contains(AddressFlags::Secondary),
        tentative: flags.contains(AddressFlags::Tentative),
        dad_failed: flags.contains(AddressFlags::Dadfailed),
    })
}

fn seen_route(message: &RouteMessage) -> Option<SeenRoute> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut link = None;
    let mut destination = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => destination = Some((*ip).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => {
                destination = Some((*ip).into())
            }
            // What lies behind a gateway is not on the link.
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    Some(SeenRoute {
        link: link?,
        destination: destination?,
        prefix: message.header.destination_prefix_length,
    })
}

fn errno(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code().abs(),
        _ => 0,
    }
}

fn failed(what: String, error: &rtnetlink::Error) -> LinkError {
    match errno(error) {
        PERMISSION => LinkError::Permission { what },
        _ => LinkError::Refused {
            what,
            cause: error.to_string(),
        },
    }
}
