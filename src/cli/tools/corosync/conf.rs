//! The members in the form of a `corosync.conf`. Clients read the cluster's name and its nodes there, and some of them
//! do nothing without it. The daemon keeps it in its directory, and `crm_report` reads it when
//! there is no daemon.

use crate::raft::Member;

/// The name of the file.
pub(crate) const NAME: &str = "corosync.conf";

/// What is in it.
#[must_use]
pub(crate) fn text<'m>(
    cluster: &str,
    uuid: &str,
    members: impl IntoIterator<Item = &'m Member>,
) -> String {
    let mut nodes = String::new();
    for member in members {
        nodes.push_str("    node {\n");
        for (number, address) in member.addresses.iter().enumerate() {
            nodes.push_str(&format!("        ring{number}_addr: {}\n", address.ip()));
        }
        nodes.push_str(&format!(
            "        name: {}\n        nodeid: {}\n    }}\n",
            member.name, member.id
        ));
    }
    format!(
        "# Written by systole whenever the members change, for clients that look for it. Changes here change nothing.\n\
         totem {{\n    version: 2\n    cluster_name: {cluster}\n    cluster_uuid: {uuid}\n    transport: knet\n}}\n\n\
         nodelist {{\n{nodes}}}\n\n\
         quorum {{\n    provider: corosync_votequorum\n}}\n"
    )
}

/// Names and first addresses of the nodes in such a text.
#[must_use]
pub(crate) fn nodes(text: &str) -> Vec<(String, String)> {
    let (mut nodes, mut address) = (Vec::new(), String::new());
    for line in text.lines() {
        match line.trim().split_once(": ") {
            Some(("ring0_addr", value)) => address = value.to_owned(),
            Some(("name", value)) => nodes.push((value.to_owned(), std::mem::take(&mut address))),
            _ => {}
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::MemberRole;
    use crate::terms::NodeId;

    #[test]
    fn every_member_is_a_node_with_its_addresses() {
        let member = Member {
            id: NodeId(3),
            name: "n3".into(),
            addresses: vec![
                "192.0.2.3:5405".parse().expect("an address"),
                "[2001:db8::3]:5405".parse().expect("an address"),
            ],
            role: MemberRole::Voter,
            key: String::new(),
        };
        let text = text("web", "0123", [&member]);
        let node = "    node {\n        ring0_addr: 192.0.2.3\n        ring1_addr: 2001:db8::3\n        \
                    name: n3\n        nodeid: 3\n    }\n";
        assert!(text.contains(node), "{text}");
        assert!(text.contains("cluster_name: web\n"), "{text}");
        assert_eq!(nodes(&text), [("n3".to_owned(), "192.0.2.3".to_owned())]);
    }
}
