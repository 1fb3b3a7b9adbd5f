//! Lines of addresses and routes, which are words of `ip address` and `ip route`.

use std::net::IpAddr;

use crate::cli::import::draft::Draft;
use crate::cli::import::keepalived::{
    model::{Address, Instance, Route},
    tree::Item,
};
use crate::cli::import::note::Broken;

/// One address.
pub(super) fn address(line: &Item, it: &mut Instance, draft: &mut Draft) -> Result<(), Broken> {
    let mut words = line.words.iter();
    let first = words.next().map_or("", String::as_str);
    let (text, length) = match first.split_once('/') {
        Some((text, length)) => (text, Some(length)),
        None => (first, None),
    };
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Err(Broken::at(&line.at, format!("{text:?} is no address"))
            .cure("write an IPv4 or IPv6 address, for example 192.0.2.10/24"));
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    // Without a length it is a host's address alone.
    let prefix = match length {
        None => most,
        Some(length) => length
            .parse()
            .ok()
            .filter(|length| *length <= most)
            .ok_or_else(|| {
                Broken::at(&line.at, format!("{length:?} is no length of a prefix"))
                    .cure(format!("write a number up to {most}"))
            })?,
    };
    let mut address = Address {
        at: line.at.clone(),
        ip,
        prefix,
        dev: None,
        label: None,
        broadcast: None,
        noprefixroute: false,
        preferred_lft: None,
    };
    while let Some(word) = words.next() {
        let mut next = || words.next().map_or_else(String::new, String::clone);
        match word.as_str() {
            "dev" => address.dev = Some(next()),
            "label" => {
                let label = next();
                match label.split_once(':') {
                    Some((_, label)) if ip.is_ipv4() => address.label = Some(label.to_owned()),
                    _ => draft.nothing(
                        &line.at,
                        format!("label {label}"),
                        "a label is INTERFACE:LABEL, of IPv4 addresses only (params iflabel)",
                    ),
                }
            }
            "brd" | "broadcast" => match next().as_str() {
                "+" => {}
                broadcast => address.broadcast = Some(broadcast.to_owned()),
            },
            "noprefixroute" => address.noprefixroute = true,
            "preferred_lft" => address.preferred_lft = Some(next()),
            "no_track" | "track_group" | "use_vmac" | "home" | "mngtmpaddr" | "autojoin" => draft
                .nothing(
                    &line.at,
                    word.as_str(),
                    "the agent has nothing like it; leave it out",
                ),
            "scope" | "peer" | "anycast" => {
                let value = next();
                draft.nothing(
                    &line.at,
                    format!("{word} {value}"),
                    "the agent has nothing like it; leave it out",
                );
            }
            _ => draft.nothing(
                &line.at,
                word.as_str(),
                "this word is not known here; leave it out",
            ),
        }
    }
    draft.became(
        &line.at,
        line.text(),
        format!("ocf:systole:IPaddr2 with ip={ip}"),
    );
    if !it.addresses.iter().any(|known| known.ip == ip) {
        it.addresses.push(address);
    }
    Ok(())
}

/// One route.
pub(super) fn route(line: &Item, it: &mut Instance, draft: &mut Draft) -> Result<(), Broken> {
    let mut route = Route {
        at: line.at.clone(),
        destination: String::new(),
        via: None,
        dev: None,
        src: None,
        table: None,
    };
    let mut words = line.words.iter();
    while let Some(word) = words.next() {
        let mut next = || words.next().map_or_else(String::new, String::clone);
        match word.as_str() {
            "to" => route.destination = next(),
            "via" | "gw" => route.via = Some(next()),
            "dev" | "oif" => route.dev = Some(next()),
            "src" => route.src = Some(next()),
            "table" => route.table = Some(next()),
            "unicast" | "no_track" | "onlink" => {
                draft.not_needed(
                    &line.at,
                    word.as_str(),
                    "a route of the agent is a plain one",
                );
            }
            "or" | "blackhole" | "unreachable" | "prohibit" | "throw" | "nexthop" => {
                draft.nothing(
                    &line.at,
                    line.text(),
                    "ocf:heartbeat:Route sets routes to one gateway or device; let all hosts have this one all the time",
                );
                return Ok(());
            }
            "metric" | "priority" | "scope" | "proto" | "protocol" | "mtu" | "advmss" | "tos"
            | "weight" => {
                let value = next();
                draft.nothing(
                    &line.at,
                    format!("{word} {value}"),
                    "ocf:heartbeat:Route has nothing like it; leave it out",
                );
            }
            destination if route.destination.is_empty() => {
                destination.clone_into(&mut route.destination)
            }
            _ => draft.nothing(
                &line.at,
                word.as_str(),
                "this word is not known here; leave it out",
            ),
        }
    }
    if route.destination.is_empty() {
        return Err(Broken::at(&line.at, "a route without a destination")
            .cure("write it first: 198.51.100.0/24 via 192.0.2.1"));
    }
    draft.became(
        &line.at,
        line.text(),
        format!("ocf:heartbeat:Route with destination={}", route.destination),
    );
    if !it
        .routes
        .iter()
        .any(|known| known.destination == route.destination)
    {
        it.routes.push(route);
    }
    Ok(())
}
