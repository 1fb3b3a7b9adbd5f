//! Which addresses a member may have. Checked where they are given, and again when the change is applied, because another
//! member may have got one of them meanwhile.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::vocab::Member;
use crate::terms::NodeId;

/// More networks than anybody has.
const MOST: usize = 8;

/// Whether these can be the addresses of one node, whichever.
///
/// # Errors
/// Says which of them can't, and why.
pub fn usable(addresses: &[SocketAddr]) -> Result<(), String> {
    if addresses.is_empty() {
        return Err("a node needs at least one address".into());
    }
    if addresses.len() > MOST {
        return Err(format!("a node has at most {MOST} addresses"));
    }
    for (at, address) in addresses.iter().enumerate() {
        let broadcast = matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast());
        if address.ip().is_unspecified() || address.ip().is_multicast() || broadcast {
            return Err(format!("{address} is not the address of one machine"));
        }
        // Leases use the next port.
        if address.port() == 0 || address.port() == u16::MAX {
            return Err(format!("{address}: use a port from 1 to {}", u16::MAX - 1));
        }
        if let Some(other) = addresses[..at].iter().find(|it| collide(it, address)) {
            return Err(format!(
                "{other} and {address} are in each other's way: each address uses its port and the next one"
            ));
        }
    }
    Ok(())
}

/// Whether `id` may have these, beside the other members.
pub(super) fn fit(
    addresses: &[SocketAddr],
    id: NodeId,
    members: &BTreeMap<NodeId, Member>,
) -> Result<(), String> {
    usable(addresses)?;
    for other in members.values().filter(|other| other.id != id) {
        for address in addresses {
            if other.addresses.iter().any(|it| collide(it, address)) {
                return Err(format!("{address} is in use by `{}`", other.name));
            }
        }
    }
    Ok(())
}

fn collide(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.ip() == other.ip() && one.port().abs_diff(other.port()) <= 1
}

#[cfg(test)]
mod tests {
    use super::super::vocab::MemberRole;
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace()
            .map(|word| word.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn what_is_no_address_of_a_machine_is_refused_with_the_reason() {
        assert_eq!(
            usable(&addresses("10.0.0.1:5405 [2001:db8::1]:5405")),
            Ok(())
        );
        for (text, why) in [
            ("", "at least one"),
            (
                "0.0.0.0:5405",
                "0.0.0.0:5405 is not the address of one machine",
            ),
            ("[ff02::1]:5405", "not the address of one machine"),
            ("10.0.0.1:0", "use a port from 1 to 65534"),
            ("10.0.0.1:65535", "use a port from 1 to 65534"),
            ("10.0.0.1:5405 10.0.0.1:5405", "in each other's way"),
            ("10.0.0.1:5405 10.0.0.1:5406", "in each other's way"),
        ] {
            let refused = usable(&addresses(text)).expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn an_address_belongs_to_one_member() {
        let member = |id: u32, text: &str| Member {
            id: NodeId(id),
            name: format!("n{id}").as_str().into(),
            addresses: addresses(text),
            role: MemberRole::Voter,
            key: String::new(),
        };
        let all = [member(1, "10.0.0.1:5405"), member(2, "10.0.0.2:5405")];
        let all: BTreeMap<_, _> = all.into_iter().map(|m| (m.id, m)).collect();
        let fits = |text| fit(&addresses(text), NodeId(1), &all);
        assert_eq!(fits("10.0.0.1:5405 10.1.0.1:5405"), Ok(()), "its own stays");
        let taken = fits("10.0.0.1:5405 10.0.0.2:5404").expect_err("leases of 1 at 2's port");
        assert_eq!(taken, "10.0.0.2:5404 is in use by `n2`");
    }
}
