//! Where this node listens, and how that changes while it runs. A node is asked to listen at its new addresses before the
//! others are told, and goes on listening at the old ones for a while after: at no moment is it where nobody looks.
//!
//! ```text
//!   set-address on any node ---> the node itself: can I have them? listens there, too
//!                          `---> the replicated state: all others connect to the new ones
//!                                the node itself: node.toml; later the old ones are closed
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::service::{Failure, Service, accepted, unwritten};
use crate::process::cannot_listen;
use crate::raft::{ClusterChange, Member, Raft, State, usable};
use crate::rpc::{NodeConfig, PORT, Paths, PeerAnswer, PeerRequest, lease_address, parse_address};
use crate::terms::{CrmExit, NodeId};

/// The name of the question to another node.
pub(super) const NAME: &str = "addresses";
/// Others may find a node at its old addresses for so long: who was away for longer learns of the new ones when it
/// connects to anybody else.
const FAREWELL: Duration = Duration::from_secs(30);
/// Between two looks whether that time is over.
const LOOK: Duration = Duration::from_secs(5);

/// Where this node listens, and wants to.
pub(super) struct Addresses {
    me: NodeId,
    config: NodeConfig,
    paths: Paths,
    peers: watch::Sender<Vec<SocketAddr>>,
    leases: watch::Sender<Vec<SocketAddr>>,
}

impl Addresses {
    /// At first, wherever its configuration or the cluster says.
    pub(super) fn new(config: &NodeConfig, paths: Paths, raft: &Raft) -> Arc<Self> {
        let state = raft.local();
        let (mut peers, mut leases) = (config.addresses.clone(), config.leases());
        for address in own(&state, config.node) {
            add(&mut peers, address);
            add(&mut leases, lease_address(address));
        }
        Arc::new(Self {
            me: config.node,
            config: config.clone(),
            paths,
            peers: watch::Sender::new(peers),
            leases: watch::Sender::new(leases),
        })
    }

    /// For peers, as they change.
    pub(super) fn peers(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.peers.subscribe()
    }

    /// For leases, likewise.
    pub(super) fn leases(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.leases.subscribe()
    }

    /// Listens at these as well, if this machine has them.
    pub(super) fn prepare(&self, wanted: &[SocketAddr]) -> Result<(), String> {
        for address in wanted {
            if self.peers.borrow().contains(address) {
                continue;
            }
            for bound in [*address, lease_address(*address)] {
                std::net::TcpListener::bind(bound).map_err(|e| {
                    format!("this machine can't listen on {}", cannot_listen(bound, &e))
                })?;
            }
        }
        self.listen(wanted, true);
        Ok(())
    }

    fn listen(&self, wanted: &[SocketAddr], also: bool) {
        self.peers.send_modify(|now| {
            now.retain(|address| also || wanted.contains(address));
            wanted.iter().for_each(|address| add(now, *address));
        });
        let wanted: Vec<SocketAddr> = wanted.iter().copied().map(lease_address).collect();
        self.leases.send_modify(|now| {
            now.retain(|address| also || wanted.contains(address));
            wanted.iter().for_each(|address| add(now, *address));
        });
    }

    /// Does what the replicated state says, again and again.
    pub(super) async fn follow(self: Arc<Self>, raft: Raft) {
        let mut states = raft.watch();
        let mut done = Vec::new();
        let mut look = tokio::time::interval(LOOK);
        let mut stale_since = None;
        loop {
            let wanted = own(&states.borrow_and_update(), self.me);
            if !wanted.is_empty() && wanted != done {
                if wanted != self.config.addresses || !done.is_empty() {
                    tracing::info!("this node listens at {} from now on", listed(&wanted));
                    let written = self.config.move_to(&wanted, &self.paths);
                    if let Err(e) = written {
                        tracing::error!("after a restart this node would listen elsewhere: {e}");
                    }
                }
                self.listen(&wanted, true);
                done.clone_from(&wanted);
            }
            let stale = self.peers.borrow().iter().any(|it| !done.contains(it));
            if !stale || done.is_empty() {
                stale_since = None;
            } else if stale_since.get_or_insert_with(Instant::now).elapsed() > FAREWELL {
                self.listen(&done, false);
            }
            tokio::select! {
                changed = states.changed() => if changed.is_err() {
                    return;
                },
                _ = look.tick() => {}
            }
        }
    }
}

fn add(all: &mut Vec<SocketAddr>, address: SocketAddr) {
    if !all.contains(&address) {
        all.push(address);
    }
}

fn own(state: &State, me: NodeId) -> Vec<SocketAddr> {
    let member = state.members.get(&me);
    member.map(|m| m.addresses.clone()).unwrap_or_default()
}

fn listed(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// What `crm cluster set-address` asks for; what to say about it.
pub(super) async fn set(
    service: &Service,
    node: &str,
    words: &[String],
    force: bool,
) -> Result<String, Failure> {
    let id = service.member(node)?;
    let state = service.raft.local();
    let before = own(&state, id);
    let port = before.first().map_or(PORT, SocketAddr::port);
    let parsed = words.iter().map(|word| parse_address(word, port));
    let wanted = parsed
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| (e.exit(), e.to_string()))?;
    usable(&wanted).map_err(|why| (CrmExit::USAGE, why))?;
    let name = state.members.get(&id).map(|m: &Member| m.name.to_string());
    let name = name.unwrap_or_else(|| node.to_owned());
    let asked = match id == service.me {
        true => service.addresses.prepare(&wanted),
        false => ask(service, id, &wanted).await,
    };
    let unsure = asked.is_err();
    match asked {
        Ok(()) => {}
        Err(why) if force => tracing::warn!("addresses of {name} are set all the same: {why}"),
        Err(why) => {
            let message = format!(
                "`{name}` can't have these addresses: {why}; nothing was changed. Give the machine the addresses first, \
                 or, if it is down and will have them, use --force and write them into its node.toml"
            );
            return Err((CrmExit::UNSATISFIED, message));
        }
    }
    let change = ClusterChange::SetAddresses {
        id,
        addresses: wanted.clone(),
    };
    accepted(&service.raft.change(change).await.map_err(unwritten)?)?;
    let at = listed(&wanted);
    Ok(match unsure {
        true => format!(
            "{name} is looked for at {at}: write these addresses into its node.toml before its daemon is started"
        ),
        false => format!("{name} listens at {at}"),
    })
}

async fn ask(service: &Service, id: NodeId, wanted: &[SocketAddr]) -> Result<(), String> {
    let body = serde_json::to_value(wanted).map_err(|e| e.to_string())?;
    let call = PeerRequest::Call(NAME.into(), body);
    let patience = Duration::from_secs(5);
    match tokio::time::timeout(patience, service.peers.call(id, &call)).await {
        Ok(Ok(PeerAnswer::Done)) => Ok(()),
        Ok(Ok(PeerAnswer::Refused(why))) => Err(why),
        Ok(Ok(_)) => Err("its answer is not to what was asked".into()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("it does not answer".into()),
    }
}
