//! Paths between nodes, in words.

use crate::{
    rpc::{ClusterStatus, PathState, PathStatus},
    terms::span,
};

/// One path: from where to where, whether it answers, how fast, and what is wrong with it.
pub(crate) fn path(link: &PathStatus) -> String {
    let from = link.local.map(|local| local.ip().to_string());
    let from = from.unwrap_or_else(|| "?".into());
    let since = span::readable(link.for_ms);
    let state = match (link.state, &link.error) {
        (PathState::Up, _) => {
            let round_trip = link.round_trip_us.map(milliseconds);
            let round_trip = round_trip.map(|text| format!(", round trip {text} ms"));
            let used = if link.used { ", in use" } else { "" };
            format!("up for {since}{}{used}", round_trip.unwrap_or_default())
        }
        (PathState::Unknown, _) => "not tried yet".into(),
        (PathState::Down, None) => format!("DOWN for {since}"),
        (PathState::Down, Some(why)) => format!("DOWN for {since}: {why}"),
    };
    format!("{from} -> {}: {state}", link.remote)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

/// What is wrong with the network, a line for each path that is down while its node is reached by another one. Nodes that
/// are not reached at all have their own lines.
pub(crate) fn lost_paths(status: &ClusterStatus) -> Vec<String> {
    let reached = |link: &&PathStatus| {
        let of_node = status.links.iter().filter(|other| other.node == link.node);
        of_node
            .into_iter()
            .any(|other| other.state == PathState::Up)
    };
    let down = status.links.iter().filter(|it| it.state == PathState::Down);
    down.filter(reached)
        .map(|link| {
            let member = status.members.iter().find(|it| it.id == link.node);
            let name = member.map_or_else(|| link.node.to_string(), |it| it.name.to_string());
            format!("{name}: {}", path(link))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::NodeId;

    #[test]
    fn a_path_says_what_is_wrong_with_it() {
        let mut link = PathStatus {
            node: NodeId(2),
            local: Some("10.0.0.1:40000".parse().expect("an address")),
            remote: "10.0.0.2:5405".parse().expect("an address"),
            state: PathState::Up,
            used: true,
            for_ms: 12_000,
            round_trip_us: Some(340),
            error: None,
        };
        assert_eq!(
            path(&link),
            "10.0.0.1 -> 10.0.0.2:5405: up for 12s, round trip 0.3 ms, in use"
        );
        link.state = PathState::Down;
        link.error = Some("no answer within 1000 ms".into());
        assert_eq!(
            path(&link),
            "10.0.0.1 -> 10.0.0.2:5405: DOWN for 12s: no answer within 1000 ms"
        );
        let mut status = ClusterStatus {
            links: vec![link.clone()],
            ..ClusterStatus::default()
        };
        assert!(lost_paths(&status).is_empty(), "the whole node is away");
        status.links.push(PathStatus {
            state: PathState::Up,
            ..link
        });
        assert_eq!(lost_paths(&status).len(), 1);
    }
}
