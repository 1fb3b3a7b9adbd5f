//! A clean-up: what is known of a resource is forgotten on its nodes first and in the CIB then, all in one write.

use std::sync::atomic::Ordering;

use super::{Failure, Service, accepted, unwritten};
use crate::cib::status::{node_state::Place, record};
use crate::cib::{self, Cib, Command};
use crate::clock::wall_s;
use crate::daemon::{deliver, remote, reports};
use crate::executor;
use crate::rpc::AdminAnswer;
use crate::terms::{CrmExit, NodeId, NodeName, Term, TransitionKey};
use crate::xml::Element;

impl Service {
    /// Forgets failures, or all that is known: then the resource is looked at again everywhere.
    pub(super) async fn cleanup(
        &self,
        rsc: Option<&str>,
        node: Option<&str>,
        refresh: bool,
    ) -> Result<AdminAnswer, Failure> {
        self.need_majority()?;
        let cib = self.view();
        let remotes = remote::hosted(&cib);
        let only_remote = node.and_then(|n| remotes.iter().find(|(name, _)| name.as_str() == n));
        let only = match only_remote {
            Some(_) => None,
            None => node.map(|n| self.member(n)).transpose()?,
        };
        if let Some(rsc) = rsc
            && !is_known(&cib, rsc)
        {
            return Err((
                CrmExit::NO_SUCH,
                format!("there is no resource `{rsc}`; `crm resource status` lists them"),
            ));
        }
        let term = Term(self.newest.load(Ordering::Acquire));
        let (mut commands, mut forgotten) = (Vec::new(), 0);
        for (id, name) in self.nodes() {
            if only.is_some_and(|o| o != id) || only_remote.is_some() {
                continue;
            }
            let place = Place::new(id, name.clone());
            for known in to_forget(&cib, &place.id, rsc, refresh) {
                forgotten += 1;
                // The node first, so that it has forgotten before the resource is looked at anew.
                self.forget(id, term, known).await;
                let cleaned = record::cleaned(&place, &known.into());
                commands.extend(reports::flatten(vec![cleaned]));
            }
        }
        for (name, host) in &remotes {
            if only.is_some() || only_remote.is_some_and(|(only, _)| only != name) {
                continue;
            }
            let place = remote::place(name);
            for known in to_forget(&cib, &place.id, rsc, refresh) {
                forgotten += 1;
                if let Some(host) = host {
                    self.forget_through(host, name, term, known).await;
                }
                let cleaned = record::cleaned(&place, &known.into());
                commands.extend(reports::flatten(vec![cleaned]));
            }
        }
        if !commands.is_empty() {
            // All nodes in one write: what follows from it is decided once.
            let command = signed(&self.name, Command::transaction(commands));
            accepted(&self.raft.propose(command).await.map_err(unwritten)?)?;
        }
        Ok(AdminAnswer::Text(match forgotten {
            0 => "nothing to clean up".into(),
            1 => "cleaned up 1 history".into(),
            n => format!("cleaned up {n} histories"),
        }))
    }

    /// The same for a remote node, over the connection that this member holds to it.
    async fn forget_through(&self, host: &NodeName, remote: &NodeName, term: Term, rsc: &str) {
        let (rsc, key) = (rsc.into(), cleanup_key());
        let command = executor::Command::Forget { term, rsc, key };
        if *host == self.name {
            self.links.command(remote, command).await;
            return;
        }
        let Ok(host) = self.member(host.as_str()) else {
            return;
        };
        let (newest, lives) = (&self.newest, &self.shared.lives);
        let to = (host, Some(remote.clone()));
        deliver::order(&self.teller, newest, lives, to, term, command);
    }

    /// Asks a node to forget a resource. One that is not there knows nothing that would have to be forgotten.
    async fn forget(&self, node: NodeId, term: Term, rsc: &str) {
        let (rsc, key) = (rsc.into(), cleanup_key());
        let command = executor::Command::Forget { term, rsc, key };
        if node == self.me {
            self.executor
                .send(executor::Event::Command(Box::new(command)))
                .await;
            return;
        }
        let (newest, lives) = (&self.newest, &self.shared.lives);
        deliver::order(&self.teller, newest, lives, (node, None), term, command);
    }

    fn nodes(&self) -> Vec<(NodeId, NodeName)> {
        let members = self.raft.local().members.clone();
        members
            .values()
            .filter(|m| m.role.runs_resources())
            .map(|m| (m.id, m.name.clone()))
            .collect()
    }
}

/// By whom a clean-up is ordered: nobody waits for it.
fn cleanup_key() -> TransitionKey {
    TransitionKey {
        action: 0,
        transition: -1,
        target_rc: 0,
        uuid: "cleanup".into(),
    }
}

/// Whether a resource is configured, or was, and something is still known of it.
fn is_known(cib: &Cib, rsc: &str) -> bool {
    let configured = cib.section("resources").and_then(|r| r.find_id(rsc));
    let states = cib.status().into_iter().flat_map(|s| s.children());
    let mut left = states
        .filter_map(|state| state.descend(&["lrm", "lrm_resources"]))
        .filter(|known| known.child_by_id("lrm_resource", rsc).is_some());
    configured.is_some() || left.next().is_some()
}

/// The histories of a resource on a node: those of clone instances, too. All for no resource.
fn histories<'a>(cib: &'a Cib, node: &str, rsc: Option<&str>) -> impl Iterator<Item = &'a Element> {
    let wanted: Option<Vec<String>> = rsc.map(|rsc| {
        let element = cib.section("resources").and_then(|r| r.find_id(rsc));
        if element.is_none() {
            // It is not configured any more, and left something behind.
            return vec![rsc.to_owned()];
        }
        element
            .into_iter()
            .flat_map(|e| e.descendants())
            .filter(|e| e.is("primitive"))
            .filter_map(|e| e.id().map(str::to_owned))
            .collect()
    });
    cib.status()
        .and_then(|s| s.child_by_id("node_state", node))
        .and_then(|s| s.descend(&["lrm", "lrm_resources"]))
        .into_iter()
        .flat_map(|r| r.children_named("lrm_resource"))
        .filter(move |r| {
            let base = r.id().map(|id| id.split(':').next().unwrap_or(id));
            wanted
                .as_ref()
                .is_none_or(|w| w.iter().any(|id| Some(id.as_str()) == base))
        })
}

/// Resources whose histories on a node are to be forgotten: those with a failure, or all.
fn to_forget<'a>(
    cib: &'a Cib,
    node: &str,
    rsc: Option<&str>,
    all: bool,
) -> impl Iterator<Item = &'a str> {
    let failed = |history: &&Element| {
        let mut ids = history.children().filter_map(Element::id);
        ids.any(|id| id.contains("_last_failure_"))
    };
    let histories = histories(cib, node, rsc).filter(move |history| all || failed(history));
    histories.filter_map(Element::id)
}

fn signed(name: &NodeName, command: Command) -> Command {
    let origin = cib::Origin {
        node: name.to_string(),
        client: "crm_resource".into(),
        ..cib::Origin::default()
    };
    command.from(origin).at(wall_s())
}
