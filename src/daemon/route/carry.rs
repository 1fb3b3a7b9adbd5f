//! What coordinator, executor and fencer want done, carried to where it is done: orders to the executor here or to a peer,
//! writes and results to raft or into the overlay, requests to the fencer.

use super::*;
use crate::cib;
use crate::coordinator::Deed;
use crate::daemon::reports::Batch;
use crate::daemon::words::COORDINATOR;
use crate::daemon::{deliver, devices};
use crate::rpc::PeerRequest;
use crate::terms::TransitionKey;

impl Router {
    pub(super) async fn on_coordinator(&mut self, effect: coordinator::Effect) {
        use coordinator::Effect;
        if effect.needs_authority() && self.unheard > 0 {
            tracing::debug!("decided under an authority that is gone: {effect:?}");
            return;
        }
        match effect {
            Effect::Heard => self.unheard = self.unheard.saturating_sub(1),
            // Not as soon as presence knows it: orders that were decided before are under way to here.
            Effect::Life(node, life) => self.shared.lives.send_modify(|lives| {
                match life {
                    Some(life) => lives.insert(node, life),
                    None => lives.remove(&node),
                };
            }),
            Effect::Order(node, order) => self.order(node, &order).await,
            Effect::Tell(node, key, deed) => self.tell(node, key, deed).await,
            Effect::Through(host, node, key, deed) => {
                self.tell_through(host, node, key, deed).await;
            }
            Effect::Fence {
                key,
                term,
                target,
                action,
                timeout_ms,
                delay_ms,
            } => {
                let request =
                    words::fence_request(&key, term, target, &action, timeout_ms, delay_ms);
                let Some(request) = request else {
                    tracing::error!("no such fencing action: {action}");
                    return;
                };
                let command = Box::new(fencer::Command::Fence(request));
                self.fencer.send(fencer::Event::Command(command)).await;
            }
            Effect::Condemn(node, life) => {
                let event = presence::Event::Condemned(node, life);
                self.presence.tell(event).await;
            }
            Effect::Write(id, command) => self.write(id, command).await,
            Effect::Settled { transition } => {
                tracing::info!("nothing to do after transition {transition}")
            }
            Effect::Say(text) => tracing::info!("{text}"),
            Effect::Plan { .. } => {}
        }
    }

    async fn order(&self, node: NodeId, order: &coordinator::Order) {
        let Some(command) = words::executor_command(order) else {
            tracing::error!(
                "action {} is nothing that an executor can do",
                order.action.key
            );
            return;
        };
        match (&order.action.router, &order.action.node) {
            (Some(_), Some(remote)) => {
                let remote = remote.name.clone();
                self.through(node, remote, order.term, command).await;
            }
            _ => self.command(node, order.term, command).await,
        }
    }

    async fn tell(&self, node: NodeId, key: TransitionKey, deed: Deed) {
        let term = self.knowledge.leadership.term;
        match deed {
            Deed::Shutdown if node == self.me => {
                let _ = self.asks.send(Ask::MayLeave);
            }
            Deed::Shutdown => deliver::tell(&self.peers, node, PeerRequest::Shutdown { term }),
            deed => {
                if let Some(command) = words::deed_command(term, key, deed) {
                    self.command(node, term, command).await;
                }
            }
        }
    }

    async fn command(&self, node: NodeId, term: Term, command: executor::Command) {
        if node == self.me {
            self.executor
                .send(executor::Event::Command(Box::new(command)))
                .await;
            return;
        }
        self.order_elsewhere((node, None), term, command);
    }

    /// An order for another member, or for a remote node to which that one holds the connection.
    pub(in crate::daemon) fn order_elsewhere(
        &self,
        to: (NodeId, Option<NodeName>),
        term: Term,
        command: executor::Command,
    ) {
        let (newest, lives) = (&self.newest, &self.shared.lives);
        deliver::order(&self.teller, newest, lives, to, term, command);
    }

    async fn write(&mut self, id: coordinator::WriteId, command: Command) {
        let command = self.signed(command);
        if self.overlay {
            let result = self.write_overlay(&command).await;
            self.coordinator
                .tell(coordinator::Event::Written { id, result });
            return;
        }
        let (raft, asks) = (self.raft.clone(), self.asks.clone());
        let authority = self.authority;
        tokio::spawn(async move {
            let written = match authority {
                Authority::Leader(term) => raft.propose_in(term, command).await,
                Authority::None | Authority::Alone(_) => raft.propose(command).await,
            };
            let result = match written {
                Ok(answer) => answer.outcome.message().map_or(Ok(()), Err),
                Err(e) => Err(e.to_string()),
            };
            let _ = asks.send(Ask::Written(id, result));
        });
    }

    fn signed(&self, command: Command) -> Command {
        let origin = cib::Origin {
            node: self.name.to_string(),
            client: COORDINATOR.into(),
            ..cib::Origin::default()
        };
        command.from(origin).at(wall_s())
    }

    /// Changes the document of a node that is alone.
    pub(in crate::daemon) async fn write_overlay(
        &mut self,
        command: &Command,
    ) -> Result<(), String> {
        let applied = cib::apply(&self.cib, command);
        let result = applied.answer.map(|_| ()).map_err(|e| e.to_string());
        let before = std::mem::replace(&mut self.cib, applied.cib);
        *self.shared.overlay.lock().expect("no panic while held") = Some(self.cib.clone());
        self.cib_changed(before).await;
        result
    }

    pub(super) async fn on_executor(&mut self, out: executor::shell::Out) {
        match out {
            executor::shell::Out::Reports(batch) => {
                self.on_reports(batch).await;
            }
            executor::shell::Out::Device(run, task) => {
                self.fencer.send(devices::call(run, &task)).await;
            }
            executor::shell::Out::Link(run, order) => self.links.task(run, order),
        }
    }

    async fn on_reports(&mut self, reports: Vec<executor::Report>) {
        self.alert_results(&reports);
        for key in reports::done(&reports) {
            self.coordinator.tell(coordinator::Event::Done(key.clone()));
        }
        for (key, why) in reports::not_done(&reports) {
            tracing::info!("not carried out: {why}");
            if self.overlay {
                let (key, why) = (key.clone(), why.to_owned());
                self.coordinator
                    .tell(coordinator::Event::NotDone { key, why });
            } else {
                self.teller
                    .not_done(key.clone(), format!("{} on {}", why, self.name));
            }
        }
        if !self.overlay {
            self.reports.write(self.knowledge.life, reports);
            return;
        }
        let mut waiting = reports.into();
        while let Some(batch) = Batch::next(&mut waiting, self.me, &self.name) {
            let Some(command) = batch.command(&self.cib, None) else {
                continue;
            };
            let written = self.write_overlay(&self.signed(command)).await;
            if let Err(why) = &written {
                tracing::error!("a result could not be recorded: {why}");
            }
            for event in batch.confirmations(written.is_ok()) {
                self.executor.send(event).await;
            }
        }
    }

    pub(super) fn on_fencer(&mut self, out: fencer::shell::Out) {
        use fencer::shell::Out;
        match out {
            Out::Send(name, message) => {
                let to = self.raft.local().member_named(name.as_str()).map(|m| m.id);
                let Some(to) = to else { return };
                let (peers, fencer) = (self.peers.clone(), self.fencer.clone());
                tokio::spawn(async move {
                    if peers.call(to, &PeerRequest::Fencer(message)).await.is_err() {
                        fencer.send(fencer::Event::Unreachable(name)).await;
                    }
                });
            }
            Out::Done(request, _, outcome) => {
                let waiting = self
                    .shared
                    .waiting
                    .lock()
                    .expect("no panic while held")
                    .remove(&request.tag);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(outcome.result);
                    return;
                }
                if self.peer_fenced(&request, &outcome) {
                    return;
                }
                if let Some(event) = words::fenced(&request, outcome) {
                    self.coordinator.tell(event);
                }
            }
            Out::DeviceDone { call, result } => {
                let executor = self.executor.clone();
                let event = devices::ended(call, result);
                tokio::spawn(async move { executor.send(event).await });
            }
            Out::Ended(record) => {
                self.alert_fencing(&record);
                let (target, how) = (record.target, record.state.as_str());
                tracing::info!("fencing of {target} ({}): {how}", record.action);
                if record.state == fencer::State::Done
                    && record.action.kills()
                    && record.client != COORDINATOR
                {
                    let by = record.delegate.unwrap_or_else(|| "a fence device".into());
                    self.coordinator
                        .tell(coordinator::Event::FencedOutside { target, by });
                }
            }
            Out::Panic(why) => {
                tracing::error!("this node is told to fence itself: {why}");
                std::process::exit(crate::terms::CrmExit::PANIC.0);
            }
        }
    }
}
