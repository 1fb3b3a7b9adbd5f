//! Between the loop and those who speak for the cluster to the outside: the attribute manager, alerts,
//! and a file that clients read.

use std::collections::BTreeMap;
use std::path::Path;

use super::route::Router;
use crate::alerts::{Happened, Moment, What};
use crate::attributes::{Effect, Event, Message};
use crate::cib::{self, status::node_state::NodeState};
use crate::cli::tools::corosync::conf;
use crate::clock::wall_s;
use crate::raft::Member;
use crate::rpc::{NodeConfig, PeerRequest};
use crate::terms::{ExecStatus, NodeId, NodeName};
use crate::{executor, fencer};

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
    pub(super) async fn show_attributes(&mut self) {
        self.alert_members();
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
            Effect::Changed(values) => {
                for one in values {
                    let what = What::Attribute {
                        id: one.id.parse().unwrap_or(0),
                        name: one.name,
                        value: one.value.unwrap_or_default(),
                    };
                    self.alert(one.host, what);
                }
            }
            // The shell has answered the tool.
            Effect::Answer(..) => {}
        }
    }

    /// Alert agents run where resources may run. // spec cluster §17.2
    fn alert(&self, node: NodeName, what: What) {
        if self.knowledge.runs_resources {
            let at = Moment::now();
            self.alerts.happened(Happened { at, node, what });
        }
    }

    /// Nodes that came or went since the last look. A daemon that has not had its first lease yet is still reading what
    /// happened before it was there, and tells nothing of that.
    fn alert_members(&mut self) {
        let states = NodeState::all(&self.cib);
        let is_member = |s: &NodeState| s.in_ccm.unwrap_or(0) > 0;
        let now = states.iter().map(|s| (s.id.clone(), is_member(s)));
        let before = self.members_told.replace(now.collect());
        let Some(before) = before.filter(|_| self.knowledge.held.is_some()) else {
            return;
        };
        for state in &states {
            let member = is_member(state);
            if before.get(&state.id).copied().unwrap_or(false) == member {
                continue;
            }
            let what = What::Node {
                id: state.id.parse().unwrap_or(0),
                state: if member { "member" } else { "lost" },
            };
            self.alert(NodeName::from(state.name.as_str()), what);
        }
    }

    /// What this node's executor did. // spec cluster §17.2
    pub(super) fn alert_results(&self, reports: &[executor::Report]) {
        for report in reports {
            let executor::Report::Result(e) = report else {
                continue;
            };
            let done = e.status == ExecStatus::Done;
            let expected = done && e.rc.0 == e.key.target_rc;
            let probe = e.op.task == "monitor" && e.op.interval_ms == 0;
            if e.op.task == "meta-data" || (probe && expected) {
                continue;
            }
            let what = What::Resource {
                rsc: e.op.rsc.to_string(),
                task: e.op.task.to_string(),
                interval_ms: e.op.interval_ms,
                target_rc: e.key.target_rc,
                rc: e.rc.0,
                status: e.status.code(),
                exec_ms: e.exec_ms.unwrap_or(0),
                desc: if done { e.rc.text() } else { e.status.text() }.to_owned(),
            };
            self.alert(e.node.clone(), what);
        }
    }

    /// Any fencing, wherever it was asked for. // spec cluster §17.2
    pub(super) fn alert_fencing(&self, record: &fencer::Record) {
        let done = record.state == fencer::State::Done;
        let by = record.delegate.as_deref().unwrap_or("<no-one>");
        let reason = record.reason.as_deref().filter(|_| !done);
        let desc = format!(
            "Operation {} of {} by {by} for {}@{}: {}{} (ref={})",
            record.action,
            record.target,
            record.client,
            record.origin,
            if done { "OK" } else { "Error" },
            reason.map(|r| format!(" ({r})")).unwrap_or_default(),
            record.op,
        );
        let what = What::Fencing {
            task: record.action.to_string(),
            desc,
            // A negative errno: EIO.
            rc: if done { 0 } else { -5 },
        };
        self.alert(record.target.clone(), what);
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
