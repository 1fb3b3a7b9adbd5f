//! Tools on a remote node (agents call them) ask the cluster through the member that holds the connection. // spec cluster §14.5
//!
//! Who asks is what the remote node says; whoever is root there may change the CIB. What makes members and their keys is not
//! asked for over a connection.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::vocab::Asked;
use super::write::host_of;
use crate::attributes::{self, Request};
use crate::cib::status::node_state::NodeState;
use crate::cib::{Cib, Command, Op};
use crate::daemon::route::Router;
use crate::daemon::service::Service;
use crate::daemon::{reports, words};
use crate::executor;
use crate::rpc::{AdminAnswer, AdminRequest, AdminService, Caller, ToRemote};
use crate::terms::{CrmExit, NodeId, NodeName, Term};

/// Answers, each question on its own.
pub(in crate::daemon) async fn serve(
    service: Arc<Service>,
    admin_group: String,
    mut asked: mpsc::UnboundedReceiver<Asked>,
) {
    while let Some(one) = asked.recv().await {
        let (service, admin_group) = (Arc::clone(&service), admin_group.clone());
        tokio::spawn(async move {
            let Asked {
                node,
                number,
                caller,
                request,
                line,
            } = one;
            let answer = answer(&service, &admin_group, &node, caller, request).await;
            // The line may be gone, and the tool with it.
            let _ = line.send(ToRemote::Answer(number, Box::new(answer))).await;
        });
    }
}

async fn answer(
    service: &Service,
    admin_group: &str,
    node: &NodeName,
    caller: Caller,
    mut request: AdminRequest,
) -> AdminAnswer {
    if is_for_members(&request) {
        let why =
            format!("{node} is a remote node: this can only be asked on a member of the cluster");
        return AdminAnswer::failed(CrmExit::UNSATISFIED, why);
    }
    let grant = match service.grant(&caller, admin_group, &request) {
        Ok(grant) => grant,
        Err(denied) => {
            tracing::warn!("{denied}");
            return AdminAnswer::failed(CrmExit::INSUFFICIENT_PRIV, denied.to_string());
        }
    };
    as_of(node, &mut request);
    match service.admin(caller, grant, request).await {
        AdminAnswer::Status(mut status) => {
            status.remote = Some(node.clone());
            AdminAnswer::Status(status)
        }
        answer => answer,
    }
}

/// Members, their keys and daemons, leadership: nothing of that is a remote node's business.
fn is_for_members(request: &AdminRequest) -> bool {
    matches!(
        request,
        AdminRequest::Token { .. }
            | AdminRequest::Remove { .. }
            | AdminRequest::SetRole { .. }
            | AdminRequest::SetAddresses { .. }
            | AdminRequest::Rotate { .. }
            | AdminRequest::TwoNode { .. }
            | AdminRequest::Shutdown
            | AdminRequest::StepDown { .. }
            | AdminRequest::Confirm { .. }
    )
}

/// "Here" is the remote node, not the member that answers.
fn as_of(node: &NodeName, request: &mut AdminRequest) {
    match request {
        AdminRequest::Write { command, .. } | AdminRequest::Try { command, .. } => {
            written_by(node, command);
        }
        AdminRequest::Call(name, body) if name == attributes::NAME => {
            let Ok(mut asked) = serde_json::from_value::<Request>(body.clone()) else {
                return;
            };
            if let Request::Update { node: of, .. } | Request::Query { node: of, .. } = &mut asked {
                let here = |name: &NodeName| matches!(name.as_str(), "" | "auto" | "localhost");
                if of.as_ref().is_none_or(here) {
                    *of = Some(node.clone());
                }
            }
            if let Ok(changed) = serde_json::to_value(asked) {
                *body = changed;
            }
        }
        _ => {}
    }
}

fn written_by(node: &NodeName, command: &mut Command) {
    command.origin.node = node.to_string();
    if let Op::CommitTransaction(parts) = &mut command.op {
        parts.iter_mut().for_each(|part| written_by(node, part));
    }
}

/// Remote nodes that have a state, with the members that hold the connections to them.
pub(in crate::daemon) fn hosted(cib: &Cib) -> Vec<(NodeName, Option<NodeName>)> {
    NodeState::all(cib)
        .into_iter()
        .filter(|state| state.remote)
        .map(|state| {
            let node = NodeName::from(state.name.as_str());
            let host = host_of(cib, &node);
            (node, host)
        })
        .collect()
}

impl Router {
    /// What a remote node reported is shown here, and written by the connection over which it came.
    pub(in crate::daemon) fn on_remote(&mut self, told: super::Told) {
        if self.overlay {
            // The connection is being given up. It is told again to whoever connects next.
            return;
        }
        self.alert_results(&told.reports);
        self.pass_on(&told.reports, &told.node);
        self.links.write(told);
    }

    /// What nothing will be written of.
    fn pass_on(&self, told: &[executor::Report], node: &NodeName) {
        for key in reports::done(told) {
            let done = crate::coordinator::Event::Done(key.clone());
            self.coordinator.tell(done);
        }
        for (key, why) in reports::not_done(told) {
            tracing::info!("not carried out on {node}: {why}");
            self.teller
                .not_done(key.clone(), format!("{why} on {node}"));
        }
    }

    /// An order for a remote node: given to the connection, which is here or at another member.
    pub(in crate::daemon) async fn through(
        &self,
        host: NodeId,
        node: NodeName,
        term: Term,
        command: executor::Command,
    ) {
        if host != self.me {
            self.order_elsewhere((host, Some(node)), term, command);
            return;
        }
        let key = command.key().clone();
        if !self.links.command(&node, command).await {
            let why = format!("{} has no connection to {node}", self.name);
            self.teller.not_done(key, why);
        }
    }

    /// The deed of a coordinator for a remote node.
    pub(in crate::daemon) async fn tell_through(
        &self,
        host: NodeId,
        node: NodeName,
        key: crate::terms::TransitionKey,
        deed: crate::coordinator::Deed,
    ) {
        let term = self.knowledge.leadership.term;
        if let Some(command) = words::deed_command(term, key, deed) {
            self.through(host, node, term, command).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_is_the_remote_node() {
        let node = NodeName::from("r");
        let query = |of: Option<&str>| {
            let query = Request::Query {
                name: "a".into(),
                node: of.map(NodeName::from),
                all: false,
            };
            let body = serde_json::to_value(query).expect("JSON");
            let mut request = AdminRequest::Call(attributes::NAME.into(), body);
            as_of(&node, &mut request);
            let AdminRequest::Call(_, body) = request else {
                panic!("still a call");
            };
            match serde_json::from_value(body).expect("a request") {
                Request::Query { node, .. } => node.map(|node| node.to_string()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(query(None).as_deref(), Some("r"));
        assert_eq!(query(Some("auto")).as_deref(), Some("r"));
        assert_eq!(query(Some("h1")).as_deref(), Some("h1"));
    }

    #[test]
    fn keys_and_members_are_no_business_of_a_remote_node() {
        let token = AdminRequest::Token {
            role: crate::raft::MemberRole::Voter,
            valid_s: 1,
            remote: None,
        };
        assert!(is_for_members(&token));
        assert!(!is_for_members(&AdminRequest::Status));
    }
}
