//! Gratuitous ARP: "10.0.0.9 is at my MAC", said to everybody. Some switches and hosts learn only from requests,
//! some only from replies, so each announcement is one frame of each. The same socket asks whether an address is
//! taken.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use pnet::datalink::{self, Channel, Config, DataLinkReceiver, DataLinkSender, NetworkInterface};

use super::ndp;
use super::plan::SeenLink;
use crate::clock::Mono;

pub(crate) type Mac = [u8; 6];
const EVERYBODY: Mac = [0xff; 6];
const NOBODY: Mac = [0; 6];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Frames leave here: a packet socket on one interface.
pub(crate) struct Wire {
    mac: Mac,
    tx: Box<dyn DataLinkSender>,
    rx: Box<dyn DataLinkReceiver>,
    /// The same socket once more, see [`Wire::into_socket`].
    socket: OwnedFd,
}

/// Failed to send frames on an interface.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("failed to announce on interface {0}: it has no Ethernet address")]
    NotEthernet(String),
    #[error("failed to open a packet socket on interface {0}: {1}")]
    Open(String, std::io::Error),
    #[error("failed to send an announcement: {0}")]
    Send(std::io::Error),
}

impl Wire {
    pub(crate) fn open(link: &SeenLink) -> Result<Self, WireError> {
        let mac = Mac::try_from(link.mac.as_slice())
            .map_err(|_| WireError::NotEthernet(link.name.clone()))?;
        let interface = NetworkInterface {
            name: link.name.clone(),
            description: String::new(),
            index: link.index,
            mac: Some(mac.into()),
            ips: Vec::new(),
            flags: 0,
        };
        let failed = |e| WireError::Open(link.name.clone(), e);
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(|e| failed(e.into()))?;
        let config = Config {
            socket_fd: Some(socket.try_clone().map_err(failed)?.into_raw_fd()),
            promiscuous: false,
            read_timeout: Some(Duration::from_millis(20)),
            ..Config::default()
        };
        match datalink::channel(&interface, config) {
            Ok(Channel::Ethernet(tx, rx)) => Ok(Self {
                mac,
                tx,
                rx,
                socket,
            }),
            Ok(_) => Err(WireError::NotEthernet(link.name.clone())),
            Err(e) => Err(failed(e)),
        }
    }

    /// The socket, still open. Who closes a packet socket last waits about 10 ms for the kernel (an RCU grace
    /// period); `start` hands that wait to the announcer.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Tells everybody on the link, once in each form.
    pub(crate) fn announce(&mut self, ip: IpAddr) -> Result<(), WireError> {
        match ip {
            IpAddr::V4(ip) => {
                self.send(&announcement(REQUEST, self.mac, ip))?;
                self.send(&announcement(REPLY, self.mac, ip))
            }
            IpAddr::V6(ip) => self.send(&ndp::advertisement(self.mac, ip)),
        }
    }

    /// Asks three times who has the address; the first foreign answer is returned.
    pub(crate) fn who_has(&mut self, ip: Ipv4Addr) -> Result<Option<Mac>, WireError> {
        for _ in 0..3 {
            self.ask(ip)?;
            let until = Mono::now().plus(250);
            while Mono::now() < until {
                if let Some(mac) = self.claim(ip) {
                    return Ok(Some(mac));
                }
            }
        }
        Ok(None)
    }

    /// Asks everybody who has the address, without claiming one.
    pub(crate) fn ask(&mut self, ip: Ipv4Addr) -> Result<(), WireError> {
        self.send(&arp(REQUEST, self.mac, Ipv4Addr::UNSPECIFIED, NOBODY, ip))
    }

    /// Waits up to 20 ms for a frame; who, if it says that another machine has the address.
    pub(crate) fn claim(&mut self, ip: Ipv4Addr) -> Option<Mac> {
        let (mac, claimed) = sender(self.rx.next().ok()?)?;
        (claimed == ip && mac != self.mac).then_some(mac)
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), WireError> {
        match self.tx.send_to(frame, None) {
            Some(Ok(())) => Ok(()),
            Some(Err(e)) => Err(WireError::Send(e)),
            None => Err(WireError::Send(std::io::ErrorKind::WriteZero.into())),
        }
    }
}

/// A MAC as people write it.
pub(crate) fn mac_text(mac: &Mac) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

fn announcement(operation: u16, mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let target = if operation == REPLY {
        EVERYBODY
    } else {
        NOBODY
    };
    arp(operation, mac, ip, target, ip)
}

fn arp(operation: u16, mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend(EVERYBODY);
    frame.extend(mac);
    frame.extend([0x08, 0x06]); // ARP
    frame.extend([0, 1, 0x08, 0, 6, 4]); // Ethernet, IPv4, address lengths
    frame.extend(operation.to_be_bytes());
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend(target_mac);
    frame.extend(target.octets());
    frame.resize(60, 0); // the shortest Ethernet frame
    frame
}

/// Who speaks in an ARP frame, if it is one.
fn sender(frame: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    if frame.get(12..20)? != [0x08, 0x06, 0, 1, 0x08, 0, 6, 4] {
        return None;
    }
    let mac = Mac::try_from(frame.get(22..28)?).ok()?;
    let ip = <[u8; 4]>::try_from(frame.get(28..32)?).ok()?;
    Some((mac, ip.into()))
}

#[cfg(test)]
mod tests {
    use pnet::packet::Packet;
    use pnet::packet::arp::{ArpOperations, ArpPacket};
    use pnet::packet::ethernet::{EtherTypes, EthernetPacket};

    use super::*;

    /// Read back by somebody else's parser.
    #[test]
    fn frames_say_the_address_is_here() {
        let mac = [2, 0, 0, 0, 0, 9];
        let ip = Ipv4Addr::new(10, 0, 0, 9);
        for (operation, expected) in [
            (REQUEST, ArpOperations::Request),
            (REPLY, ArpOperations::Reply),
        ] {
            let frame = announcement(operation, mac, ip);
            let ethernet = EthernetPacket::new(&frame).unwrap();
            assert_eq!(ethernet.get_ethertype(), EtherTypes::Arp);
            assert!(ethernet.get_destination().is_broadcast());
            let arp = ArpPacket::new(ethernet.payload()).unwrap();
            assert_eq!(arp.get_operation(), expected);
            assert_eq!(arp.get_sender_proto_addr(), ip);
            assert_eq!(arp.get_target_proto_addr(), ip);
            assert_eq!(arp.get_sender_hw_addr().octets(), mac);
            assert_eq!(sender(&frame), Some((mac, ip)));
        }
        assert_eq!(sender(&[0; 10]), None);
    }
}
