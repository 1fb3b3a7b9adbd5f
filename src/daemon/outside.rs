//! Between the loop and those who speak for the cluster to the outside: the attribute manager, and a file that clients
//! read.

use std::collections::BTreeMap;
use std::path::Path;

use super::route::Router;
use crate::attributes::{Effect, Event, Message};
use crate::cib;
use crate::cli::tools::corosync::conf;
use crate::clock::wall_s;
use crate::raft::Member;
use crate::rpc::{NodeConfig, PeerRequest};
use crate::terms::NodeId;

/// Who belongs to the cluster, in the attribute manager's words.
pub(super) fn members(members: &BTreeMap<NodeId, Member>) -> Event {
    let witness = |m: &&Member| !m.role.runs_resources();
    Event::Members {
        nodes: members.values().map(|m| (m.id, m.name.clone())).collect(),
        witnesses: members.values().filter(witness).map(|m| m.id).collect(),
    }
}

/// Writes down who belongs to the cluster.
pub(super) type Describe = Box<dyn Fn(&BTreeMap<NodeId, Member>) + Send + Sync>;

/// Keeps `corosync.conf` in the node's directory. Nothing here needs it, so a full disk is only mentioned.
pub(super) fn describe(data: &Path, config: &NodeConfig) -> Describe {
    let path = data.join(conf::NAME);
    let (cluster, uuid) = (
        config.cluster_name.clone(),
        config.cluster.simple().to_string(),
    );
    Box::new(move |members| {
        let text = conf::text(&cluster, &uuid, members.values());
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return;
        }
        if let Err(error) = std::fs::write(&path, text) {
            tracing::warn!(
                "clients don't find the members in {}: {error}",
                path.display()
            );
        }
    })
}

impl Router {
    /// The attribute manager sees what this node sees.
    pub(super) async fn show_attributes(&self) {
        self.attributes.send(Event::Cib(self.cib.clone())).await;
    }

    pub(super) async fn on_attributes(&mut self, effect: Effect) {
        match effect {
            Effect::Send(to, message) => self.send_attributes(to, message),
            Effect::Write(id, command) => {
                let origin = cib::Origin {
                    node: self.name.to_string(),
                    client: "attribute-manager".into(),
                    ..cib::Origin::default()
                };
                let command = command.from(origin).at(wall_s());
                if self.overlay {
                    let result = self.write_overlay(&command).await;
                    self.attributes.send(Event::Written(id, result)).await;
                    return;
                }
                let (raft, attributes) = (self.raft.clone(), self.attributes.clone());
                tokio::spawn(async move {
                    let result = match raft.propose(command).await {
                        Ok(answer) => answer.outcome.message().map_or(Ok(()), Err),
                        Err(e) => Err(e.to_string()),
                    };
                    if let Err(why) = &result {
                        tracing::warn!("failed to write transient attributes: {why}");
                    }
                    attributes.send(Event::Written(id, result)).await;
                });
            }
            // The shell has answered the tool, and nobody here listens to changes.
            Effect::Answer(..) | Effect::Changed(_) => {}
        }
    }

    fn send_attributes(&self, to: NodeId, message: Message) {
        let (peers, attributes) = (self.peers.clone(), self.attributes.clone());
        tokio::spawn(async move {
            let body = serde_json::to_value(message).expect("a message is JSON");
            let request = PeerRequest::Call(crate::attributes::NAME.into(), body);
            let arrived = matches!(
                peers.call(to, &request).await,
                Ok(crate::rpc::PeerAnswer::Done)
            );
            attributes.send(Event::Sent(to, arrived)).await;
        });
    }
}
