//! The IPv6 counterpart of gratuitous ARP: an unsolicited neighbour advertisement to all nodes of the link, with
//! the override flag, so that caches take the new MAC at once (RFC 4861 section 7.2.6).

use std::net::Ipv6Addr;

use super::garp::Mac;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
const ADVERTISEMENT: u8 = 136;
const OVERRIDE: u8 = 0x20;
const TARGET_MAC: u8 = 2;

/// The whole Ethernet frame.
pub(super) fn advertisement(mac: Mac, ip: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    message.extend([TARGET_MAC, 1]);
    message.extend(mac);
    let sum = checksum(ip, ALL_NODES, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = Vec::with_capacity(86);
    frame.extend([0x33, 0x33, 0, 0, 0, 1]);
    frame.extend(mac);
    frame.extend([0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([ICMPV6, 255]); // a hop limit of 255 proves that no router was between
    frame.extend(ip.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = message.len() as u16;
    let mut bytes = Vec::with_capacity(40 + message.len());
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend([0, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, ICMPV6]);
    bytes.extend(message);
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use pnet::packet::Packet;
    use pnet::packet::icmpv6::{self, Icmpv6Packet, Icmpv6Types, ndp::NeighborAdvertPacket};
    use pnet::packet::ipv6::Ipv6Packet;

    use super::*;

    #[test]
    fn advertisement_is_read_by_another_parser() {
        let ip: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let frame = advertisement([2, 0, 0, 0, 0, 9], ip);
        let packet = Ipv6Packet::new(&frame[14..]).unwrap();
        assert_eq!((packet.get_hop_limit(), packet.get_source()), (255, ip));
        let icmp = Icmpv6Packet::new(packet.payload()).unwrap();
        assert_eq!(icmp.get_icmpv6_type(), Icmpv6Types::NeighborAdvert);
        assert_eq!(
            icmp.get_checksum(),
            icmpv6::checksum(&icmp, &ip, &ALL_NODES)
        );
        let advert = NeighborAdvertPacket::new(packet.payload()).unwrap();
        assert_eq!(advert.get_target_addr(), ip);
        assert_eq!(advert.get_flags(), OVERRIDE);
    }
}
