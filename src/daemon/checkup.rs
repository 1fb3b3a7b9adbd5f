//! What this node knows of itself that others can't see: clock, agents, names, interfaces, certificate, guard.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::service::Service;
use crate::clock::{Mono, wall_ms};
use crate::executor::agent::{Place, find};
use crate::raft::Member;
use crate::rpc::{CHECKUP, CheckupRequest, NodeReport, PeerAnswer, PeerRequest};
use crate::terms::AgentName;

/// A node that says nothing within this time is silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all members say, in the order of their ids.
pub(super) async fn all(service: &Service, request: CheckupRequest) -> Vec<NodeReport> {
    let members = service.raft.local().members.clone();
    let mut reports = Vec::new();
    for member in members.values() {
        reports.push(match member.id == service.me {
            true => own(service, request.clone()).await,
            false => of(service, member, &request).await,
        });
    }
    reports
}

/// What another one says. Its clock is compared at the middle of the question and the answer.
async fn of(service: &Service, member: &Member, request: &CheckupRequest) -> NodeReport {
    let silent = |why: String| NodeReport {
        name: member.name.to_string(),
        silent: Some(why),
        ..NodeReport::default()
    };
    // The first question may have to make the connection: its time says nothing of clocks.
    let body = |request: &CheckupRequest| serde_json::to_value(request).unwrap_or_default();
    let mut report = silent("it was not asked".into());
    for asked in [&CheckupRequest::default(), request] {
        let call = PeerRequest::Call(CHECKUP.into(), body(asked));
        let (began, wall) = (Mono::now(), wall_ms());
        let answer = tokio::time::timeout(PATIENCE, service.peers.call(member.id, &call)).await;
        let round_trip_ms = Mono::now().since(began);
        let read = match answer {
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(e)) => Err(e.to_string()),
            Ok(Ok(PeerAnswer::Json(value))) => {
                serde_json::from_value::<NodeReport>(value).map_err(|e| e.to_string())
            }
            Ok(Ok(PeerAnswer::Refused(why))) => Err(why),
            Ok(Ok(_)) => Err("its answer is not to what was asked".into()),
        };
        let said = match read {
            Ok(said) => said,
            Err(why) => return silent(why),
        };
        // The short question tells the clock, the long one everything else.
        let first = asked.agents.is_empty() && asked.names.is_empty();
        let half = i64::try_from(round_trip_ms / 2).unwrap_or(0);
        let clock = match first {
            true => (said.time_ms - wall - half, round_trip_ms),
            false => (report.ahead_ms, report.round_trip_ms),
        };
        report = NodeReport {
            ahead_ms: clock.0,
            round_trip_ms: clock.1,
            ..said
        };
        if first && asked == request {
            break;
        }
    }
    report
}

/// What this node says.
pub(super) async fn own(service: &Service, request: CheckupRequest) -> NodeReport {
    let guard = service
        .feeder
        .lock()
        .expect("no panic while held")
        .connect();
    let place = service.executor.place().clone();
    let until_s = service.common.keys.facts().until_s;
    let addresses = service.addresses.peers().borrow().clone();
    let paths = service.peers.every_path();
    let name = service.name.to_string();
    let time_ms = wall_ms();
    let disk_busy_ms = service.raft.disk_busy_ms();
    let in_vain = service.coordinator.picture().in_vain.clone();
    // Files, names and interfaces are asked for with calls that block.
    let asked = tokio::task::spawn_blocking(move || NodeReport {
        name,
        silent: None,
        time_ms,
        ahead_ms: 0,
        round_trip_ms: 0,
        version: env!("CARGO_PKG_VERSION").into(),
        agents: request
            .agents
            .iter()
            .map(|agent| (agent.clone(), digest(&place, agent)))
            .collect(),
        unresolved: request
            .names
            .into_iter()
            .filter(|name| (name.as_str(), 0).to_socket_addrs().is_err())
            .collect(),
        mtus: addresses
            .iter()
            .filter_map(|address| Some((address.to_string(), mtu(*address)?)))
            .collect(),
        certificate_until_s: Some(until_s),
        paths,
        guard,
        disk_busy_ms,
        in_vain,
    });
    asked.await.unwrap_or_default()
}

/// The digest of an agent's file, if it is installed here. Of units of systemd nothing is said.
fn digest(place: &Place, agent: &str) -> Option<String> {
    let mut parts = agent.split(':');
    let (class, second, third) = (parts.next()?, parts.next()?, parts.next());
    let path: PathBuf = match (class, third) {
        ("stonith", _) => find::find_fence(place, third.unwrap_or(second)).ok()?,
        (_, Some(kind)) => find::find(place, &AgentName::new(class, Some(second), kind)).ok()?,
        (_, None) => find::find(place, &AgentName::new(class, None, second)).ok()?,
    };
    let bytes = std::fs::read(path).ok()?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let hex = digest.as_ref().iter().take(8);
    Some(hex.map(|byte| format!("{byte:02x}")).collect())
}

/// The interface that has this address, and its MTU.
fn mtu(address: SocketAddr) -> Option<(String, u64)> {
    let mut all = nix::ifaddrs::getifaddrs().ok()?;
    let has = |storage: &nix::sys::socket::SockaddrStorage| {
        let v4 = storage
            .as_sockaddr_in()
            .map(|it| std::net::IpAddr::from(it.ip()));
        let v6 = storage
            .as_sockaddr_in6()
            .map(|it| std::net::IpAddr::from(it.ip()));
        v4.or(v6) == Some(address.ip())
    };
    let found = all.find(|it| it.address.as_ref().is_some_and(has))?;
    let name = found.interface_name;
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?;
    Some((name, text.trim().parse().ok()?))
}
