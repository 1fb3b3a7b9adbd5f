//! What the daemon answers: to other daemons, and to tools. Who may ask what has been decided before
//! (`rpc::authorise`); here requests become commands of the machines.

mod cleanup;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::deliver::{self, Teller};
use super::route::{Ask, Shared};
use super::{addresses, certificates, checkup, part};
use crate::cib::status::node_state::NodeState;
use crate::cib::{self, Cib, Command};
use crate::raft::{Answer, Raft};
use crate::rpc::{
    AdminAnswer, AdminRequest, AdminService, Caller, ChangeNotice, Grant, PeerAnswer, PeerRequest,
    PeerService, Peers,
};
use crate::terms::{CrmExit, NodeId, NodeName, Term};
use crate::{attributes, coordinator, executor, fencer, presence, rpc};

/// Changes that wait for a slow subscriber.
const SUBSCRIBED: usize = 256;

/// The handles that requests need.
pub(super) struct Service {
    pub(super) me: NodeId,
    pub(super) name: NodeName,
    pub(super) raft: Raft,
    pub(super) peers: Peers,
    pub(super) teller: Teller,
    pub(super) common: rpc::Common,
    pub(super) presence: presence::Handle,
    pub(super) coordinator: coordinator::Handle,
    pub(super) executor: executor::shell::Handle,
    pub(super) fencer: fencer::shell::Handle,
    pub(super) attributes: attributes::shell::Handle,
    pub(super) links: super::remote::Links,
    pub(super) asks: mpsc::UnboundedSender<Ask>,
    pub(super) newest: Arc<AtomicU64>,
    pub(super) shared: Arc<Shared>,
    pub(super) stopper: super::stop::Stopper,
    pub(super) feeder: Arc<std::sync::Mutex<super::guard::Feeder>>,
    pub(super) addresses: Arc<super::addresses::Addresses>,
    pub(super) certificates: Arc<super::certificates::Certificates>,
    pub(super) parts: part::Parts,
}

#[async_trait::async_trait]
impl PeerService for Service {
    async fn peer(&self, from: NodeId, request: PeerRequest) -> PeerAnswer {
        match request {
            PeerRequest::Execute {
                life,
                command,
                remote,
            } => {
                let mut me = self.presence.view();
                // The loop has to have heard of the lease, too: until then it stops what runs here.
                me.held &= self.shared.held.load(Ordering::Acquire);
                if let Err(why) = deliver::taken(&me, life) {
                    return PeerAnswer::Refused(why.into());
                }
                if let Some(remote) = remote {
                    return match self.links.command(&remote, command).await {
                        true => PeerAnswer::Done,
                        false => PeerAnswer::Refused(format!("it has no connection to {remote}")),
                    };
                }
                self.executor
                    .send(executor::Event::Command(Box::new(command)))
                    .await;
                PeerAnswer::Done
            }
            PeerRequest::NotDone { key, why } => {
                if !self.raft.leadership().borrow().mine {
                    return PeerAnswer::Refused("this node does not lead".into());
                }
                self.coordinator
                    .tell(coordinator::Event::NotDone { key, why });
                PeerAnswer::Done
            }
            PeerRequest::Fencer(message) => {
                let members = self.raft.local().members.clone();
                let name = NodeName::from(super::route::name_of(&members, from));
                self.fencer
                    .send(fencer::Event::Message(name, message))
                    .await;
                PeerAnswer::Done
            }
            PeerRequest::Fence(request) => match self.fence(request).await {
                Ok(()) => PeerAnswer::Done,
                Err(why) => PeerAnswer::Refused(why.to_string()),
            },
            PeerRequest::StepDown(to) => match self.raft.step_down(to).await {
                Ok(()) => PeerAnswer::Done,
                Err(e) => PeerAnswer::Refused(e.to_string()),
            },
            PeerRequest::Shutdown { term } => {
                if term < Term(self.newest.load(Ordering::Acquire)) {
                    return PeerAnswer::Refused(format!(
                        "order of the deposed leader of term {term}"
                    ));
                }
                let _ = self.asks.send(Ask::MayLeave);
                PeerAnswer::Done
            }
            PeerRequest::Admin(request, caller, grant) => {
                PeerAnswer::Admin(self.admin(caller, grant, *request).await)
            }
            PeerRequest::Call(name, body) if name == attributes::NAME => {
                match serde_json::from_value(body) {
                    Ok(message) => {
                        self.attributes
                            .send(attributes::Event::Told(from, message))
                            .await;
                        PeerAnswer::Done
                    }
                    Err(e) => PeerAnswer::Refused(format!("attributes can't be read: {e}")),
                }
            }
            PeerRequest::Call(name, body) if name == rpc::CHECKUP => {
                match serde_json::from_value(body) {
                    Ok(request) => {
                        let report = checkup::own(self, request).await;
                        serde_json::to_value(report)
                            .map_or_else(|e| PeerAnswer::Refused(e.to_string()), PeerAnswer::Json)
                    }
                    Err(e) => PeerAnswer::Refused(format!("the question can't be read: {e}")),
                }
            }
            PeerRequest::Call(name, body) if name == rpc::PART => {
                let asked = serde_json::from_value(body);
                let answer = asked.and_then(|ask| serde_json::to_value(self.parts.answer(ask)));
                answer.map_or_else(|e| PeerAnswer::Refused(e.to_string()), PeerAnswer::Json)
            }
            PeerRequest::Call(name, body) if name == certificates::NAME => {
                match serde_json::from_value(body) {
                    Ok(question) => self.certificates.answer(from, question).await,
                    Err(e) => PeerAnswer::Refused(format!("the question can't be read: {e}")),
                }
            }
            PeerRequest::Call(name, body) if name == addresses::NAME => {
                match serde_json::from_value::<Vec<SocketAddr>>(body) {
                    Ok(wanted) => match self.addresses.prepare(&wanted) {
                        Ok(()) => PeerAnswer::Done,
                        Err(why) => PeerAnswer::Refused(why),
                    },
                    Err(e) => PeerAnswer::Refused(format!("the addresses can't be read: {e}")),
                }
            }
            PeerRequest::Call(name, _) => {
                PeerAnswer::Refused(format!("nothing is called `{name}`"))
            }
        }
    }
}

#[async_trait::async_trait]
impl AdminService for Service {
    fn cib(&self) -> Cib {
        self.view()
    }

    async fn admin(&self, caller: Caller, grant: Grant, request: AdminRequest) -> AdminAnswer {
        match self.answer(caller, grant, request).await {
            Ok(answer) => answer,
            Err((exit, message)) => AdminAnswer::failed(exit, message),
        }
    }

    async fn subscribe(&self, _caller: Caller, grant: Grant) -> mpsc::Receiver<ChangeNotice> {
        let (sender, receiver) = mpsc::channel(SUBSCRIBED);
        let mut changes = self.raft.subscribe();
        tokio::spawn(async move {
            loop {
                let notice = match changes.next().await {
                    Ok(Some(change)) => ChangeNotice {
                        index: change.index,
                        version: change.after.version().to_string(),
                        // A patch may show what the tool may not read: it reads the CIB again.
                        patch: match (&change.patch, &grant) {
                            (Some(patch), Grant::All) => {
                                Some(crate::xml::write::compact(&patch.to_element()))
                            }
                            _ => None,
                        },
                    },
                    Ok(None) => return,
                    Err(_) => ChangeNotice {
                        index: 0,
                        version: String::new(),
                        patch: None,
                    },
                };
                if sender.try_send(notice).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

pub(super) type Failure = (CrmExit, String);

impl Service {
    /// The CIB as this node sees it.
    fn view(&self) -> Cib {
        let overlay = self
            .shared
            .overlay
            .lock()
            .expect("no panic while held")
            .clone();
        overlay.unwrap_or_else(|| self.raft.local().cib.clone())
    }

    fn is_alone(&self) -> bool {
        self.shared
            .overlay
            .lock()
            .expect("no panic while held")
            .is_some()
    }

    async fn answer(
        &self,
        caller: Caller,
        grant: Grant,
        request: AdminRequest,
    ) -> Result<AdminAnswer, Failure> {
        if self.is_alone() || self.is_undecided() {
            match &request {
                // The cluster's answer is out of reach: this node's own view is what there is.
                AdminRequest::Query { command, .. } => return self.query(&caller, command),
                AdminRequest::Write { .. }
                | AdminRequest::Try { .. }
                | AdminRequest::EndTrial { .. }
                | AdminRequest::Token { .. }
                | AdminRequest::Remove { .. }
                | AdminRequest::TwoNode { .. }
                | AdminRequest::SetAddresses { .. }
                | AdminRequest::Rotate { .. }
                | AdminRequest::SetRole { .. } => self.need_majority()?,
                _ => {}
            }
        }
        if let AdminRequest::Remove { node } = &request {
            self.may_remove(node)?;
        }
        if let AdminRequest::SetAddresses {
            node,
            addresses,
            force,
        } = &request
        {
            let text = addresses::set(self, node, addresses, *force).await?;
            return Ok(AdminAnswer::Text(text));
        }
        if let AdminRequest::Rotate {
            node,
            all,
            authority,
        } = &request
        {
            let text = certificates::rotate(self, node.as_deref(), *all, *authority).await?;
            return Ok(AdminAnswer::Text(text));
        }
        let common = self.common.answer(&caller, grant, &request).await;
        match (common, request) {
            (Some(AdminAnswer::Status(mut status)), _) => {
                self.add_to_status(&mut status);
                Ok(AdminAnswer::Status(status))
            }
            (Some(answer), _) => Ok(answer),
            (None, AdminRequest::Shutdown) => {
                self.stopper.stop();
                Ok(AdminAnswer::Done)
            }
            (None, AdminRequest::Cleanup { rsc, node, refresh }) => {
                self.cleanup(rsc.as_deref(), node.as_deref(), refresh).await
            }
            (
                None,
                AdminRequest::Fence {
                    node,
                    action,
                    timeout_ms,
                },
            ) => {
                let request = fencer::Request {
                    term: None,
                    target: self.target(&node)?,
                    action,
                    timeout_ms,
                    delay: fencer::Delay::Disabled,
                    client: caller.user,
                    allow_self: false,
                    tag: String::new(),
                    tolerance_ms: 0,
                };
                self.fence(request)
                    .await
                    .map_err(|why| (CrmExit::ERROR, why.to_string()))?;
                Ok(AdminAnswer::Done)
            }
            (None, AdminRequest::Confirm { node }) => {
                let remote = self.lost_remote(&node)?;
                if let Some(target) = remote {
                    let command = fencer::Command::Confirm {
                        target,
                        client: caller.user,
                    };
                    let command = fencer::Event::Command(Box::new(command));
                    self.fencer.send(command).await;
                    return Ok(AdminAnswer::Done);
                }
                let id = self.member(&node)?;
                if self.raft.two_node().is_some_and(|now| now.peer == id) {
                    let done = self.raft.peer_is_off(id, &caller.user);
                    done.map_err(|why| (CrmExit::UNSAFE, format!("`{node}`: {why}")))?;
                } else {
                    self.may_vouch(&node, id)?;
                }
                let target = self.name_of(id);
                let command = fencer::Command::Confirm {
                    target,
                    client: caller.user,
                };
                self.fencer
                    .send(fencer::Event::Command(Box::new(command)))
                    .await;
                Ok(AdminAnswer::Done)
            }
            (None, AdminRequest::Explain { object, .. }) => Err((
                CrmExit::USAGE,
                format!("`crm explain {object}` asks the policy itself, on the CIB it reads"),
            )),
            (None, AdminRequest::Call(name, body)) if name == attributes::NAME => {
                let unread = |e: serde_json::Error| (CrmExit::USAGE, e.to_string());
                let request = serde_json::from_value(body).map_err(unread)?;
                let answer = self.attributes.ask(request).await;
                let ending = || (CrmExit::DISCONNECTED, "the daemon is ending".to_owned());
                let answer = answer.ok_or_else(ending)?;
                serde_json::to_value(answer)
                    .map(AdminAnswer::Json)
                    .map_err(unread)
            }
            (None, AdminRequest::Call(name, body)) if name == rpc::CHECKUP => {
                let unread = |e: serde_json::Error| (CrmExit::USAGE, e.to_string());
                let request = serde_json::from_value(body).map_err(unread)?;
                serde_json::to_value(checkup::all(self, request).await)
                    .map(AdminAnswer::Json)
                    .map_err(unread)
            }
            (None, AdminRequest::Call(name, body)) if name == rpc::PART => {
                part::ask(self, body).await.map(AdminAnswer::Json)
            }
            (None, AdminRequest::Call(name, body)) if name == fencer::NAME => {
                let unread = |e: serde_json::Error| (CrmExit::USAGE, e.to_string());
                let question = serde_json::from_value(body).map_err(unread)?;
                let reply = self.ask_fencer(question).await?;
                serde_json::to_value(reply)
                    .map(AdminAnswer::Json)
                    .map_err(unread)
            }
            (None, AdminRequest::Call(name, _)) => {
                Err((CrmExit::USAGE, format!("nothing is called `{name}`")))
            }
            (None, _) => Err((CrmExit::USAGE, "this request wants a stream".into())),
        }
    }

    fn query(&self, caller: &Caller, command: &Command) -> Result<AdminAnswer, Failure> {
        let mut command = command.clone();
        command.origin.user.clone_from(&caller.user);
        match cib::query(&self.view(), &command) {
            Ok(Some(element)) => Ok(AdminAnswer::Xml(crate::xml::write::compact(&element))),
            Ok(None) => Ok(AdminAnswer::Done),
            Err(e) => Err((e.exit(), e.to_string())),
        }
    }

    /// Of two nodes without a witness, this one can neither lead nor follow before somebody does something.
    fn is_undecided(&self) -> bool {
        use crate::raft::TwoNodePhase::{Superseded, Waiting};
        let led = self.raft.leadership().borrow().leader.is_some();
        let stuck = self
            .raft
            .two_node()
            .is_some_and(|now| matches!(now.phase, Waiting | Superseded) || now.failure.is_some());
        !led && stuck
    }

    fn need_majority(&self) -> Result<(), Failure> {
        if self.is_undecided() {
            let picture = self.raft.two_node();
            let text = picture.map(|now| now.text(self.name_of(now.peer).as_str()));
            return Err((
                CrmExit::QUORUM,
                format!(
                    "nothing can be changed here now: {} {}",
                    self.name,
                    text.unwrap_or_default()
                ),
            ));
        }
        if self.is_alone() {
            return Err((
                CrmExit::QUORUM,
                format!(
                    "{} is cut off from the majority of the cluster, so nothing can be changed here; \
                     see `crm cluster status` for who is missing",
                    self.name
                ),
            ));
        }
        Ok(())
    }

    pub(super) fn member(&self, name: &str) -> Result<NodeId, Failure> {
        let state = self.raft.local();
        let by_id = || {
            name.parse()
                .ok()
                .map(NodeId)
                .filter(|id| state.members.contains_key(id))
        };
        state
            .member_named(name)
            .map(|m| m.id)
            .or_else(by_id)
            .ok_or_else(|| {
                let known: Vec<String> =
                    state.members.values().map(|m| m.name.to_string()).collect();
                (
                    CrmExit::NO_HOST,
                    format!(
                        "`{name}` is not a node of this cluster; its nodes are {}",
                        known.join(", ")
                    ),
                )
            })
    }

    /// Whom a tool wants to have fenced: a member, or a remote node that was connected before.
    fn target(&self, name: &str) -> Result<NodeName, Failure> {
        let remotes = super::remote::hosted(&self.view());
        let remote = remotes.into_iter().find(|(node, _)| node.as_str() == name);
        match remote {
            Some((node, _)) => Ok(node),
            None => Ok(self.name_of(self.member(name)?)),
        }
    }

    fn name_of(&self, id: NodeId) -> NodeName {
        NodeName::from(super::route::name_of(&self.raft.local().members, id))
    }

    /// A node that is up is not taken out: what it runs would be nobody's.
    fn may_remove(&self, node: &str) -> Result<(), Failure> {
        let id = self.member(node)?;
        let alive = self
            .presence
            .view()
            .peers
            .iter()
            .any(|(p, s, _)| *p == id && matches!(s, presence::PeerState::Alive { .. }));
        if id == self.me || alive {
            let cure =
                "stop its daemon first (`systole stop` there), so that what it runs is moved away";
            return Err((CrmExit::UNSAFE, format!("`{node}` is up: {cure}")));
        }
        Ok(())
    }

    /// The remote node of this name, if there is one; nobody can vouch for the death of one that is connected.
    fn lost_remote(&self, name: &str) -> Result<Option<NodeName>, Failure> {
        let cib = self.view();
        let remotes = super::remote::hosted(&cib);
        let Some((node, host)) = remotes.into_iter().find(|(node, _)| node.as_str() == name) else {
            return Ok(None);
        };
        let states = NodeState::all(&cib);
        let there = |host: &NodeName| {
            let mut states = states.iter();
            states.any(|state| state.name == host.as_str() && state.is_active())
        };
        match host.filter(there) {
            None => Ok(Some(node)),
            Some(host) => Err((
                CrmExit::UNSAFE,
                format!(
                    "`{node}` is up ({host} is connected to it), and to confirm says that it is certainly off: switch it \
                     off first, or have it fenced (`stonith_admin --fence {node}`)"
                ),
            )),
        }
    }

    /// Nobody can vouch for the death of a node that is there: what it runs would be started a second time.
    fn may_vouch(&self, node: &str, id: NodeId) -> Result<(), Failure> {
        let states = NodeState::all(&self.view());
        let there = states
            .iter()
            .any(|state| state.id == id.to_string() && state.is_active());
        if id == self.me || there {
            let why = format!(
                "`{node}` is up, and to confirm says that it is certainly off: what it runs would be started elsewhere, too; \
                 switch it off first, or have it fenced (`crm node fence {node}`)"
            );
            return Err((CrmExit::UNSAFE, why));
        }
        Ok(())
    }

    /// Has a node fenced and waits for the end. The fencer tells the router, which answers here.
    async fn fence(&self, mut request: fencer::Request) -> Result<(), fencer::Failure> {
        request.tag = format!("admin-{}", uuid::Uuid::new_v4());
        let (answer, answered) = tokio::sync::oneshot::channel();
        let patience = Duration::from_millis(request.timeout_ms.saturating_mul(2).max(10_000));
        let tag = request.tag.clone();
        self.shared
            .waiting
            .lock()
            .expect("no panic while held")
            .insert(tag.clone(), answer);
        let command = fencer::Command::Fence(request);
        self.fencer
            .send(fencer::Event::Command(Box::new(command)))
            .await;
        let result = tokio::time::timeout(patience, answered).await;
        self.shared
            .waiting
            .lock()
            .expect("no panic while held")
            .remove(&tag);
        match result {
            Ok(Ok(result)) => result,
            _ => Err(fencer::Failure::TimedOut(
                "no result in time: whether the node is dead is unknown".into(),
            )),
        }
    }

    /// What tools ask of the fencer of this node.
    async fn ask_fencer(&self, question: fencer::Question) -> Result<fencer::Reply, Failure> {
        use fencer::{Question, Reply};
        let Question::Fence {
            target,
            action,
            timeout_ms,
            delay,
            tolerance_ms,
            client,
        } = question
        else {
            let ending = || (CrmExit::DISCONNECTED, "the daemon is ending".to_owned());
            return self.fencer.ask(question).await.ok_or_else(ending);
        };
        let request = fencer::Request {
            term: None,
            target: self.target(target.as_str())?,
            action,
            timeout_ms,
            delay,
            client,
            allow_self: false,
            tag: String::new(),
            tolerance_ms,
        };
        Ok(match self.fence(request).await {
            Ok(()) => Reply::Done,
            Err(why) => Reply::Failed(why),
        })
    }
}

pub(super) fn accepted(answer: &Answer) -> Result<(), Failure> {
    let refused = answer
        .outcome
        .message()
        .map(|message| (answer.outcome.exit(), message));
    refused.map_or(Ok(()), Err)
}

pub(super) fn unwritten(e: crate::raft::Error) -> Failure {
    use crate::raft::Error;
    let exit = match &e {
        Error::NoLeader(_) => CrmExit::QUORUM,
        Error::Unknown(_) => CrmExit::TIMEOUT,
        Error::TooLarge(..) => CrmExit::DATA,
        Error::Stopped(_) => CrmExit::DISCONNECTED,
        _ => CrmExit::ERROR,
    };
    (exit, e.to_string())
}
