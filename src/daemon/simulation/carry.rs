//! What the machines of a node want, carried out: whose effect is whose event, as in the daemon's `route`. Every machine has
//! its one entrance here; what a node does with what it hears and with time is in `node`, and what is said again until it is
//! answered in `writes`.

use super::world::{Net, Word, World};
use crate::cib::{self, Command};
use crate::coordinator;
use crate::daemon::devices;
use crate::daemon::guard;
use crate::daemon::words::{self, COORDINATOR};
use crate::executor;
use crate::fencer;
use crate::policy;
use crate::presence::{self, PeerState};
use crate::seeded::{Bug, seeded};
use crate::terms::{ExecStatus, NodeId, OcfExit};

use super::node::{Waiter, index};

impl World {
    pub(super) fn coordinator(&mut self, n: usize, event: coordinator::Event) {
        let (mono, wall) = (self.nodes[n].mono(self.now), self.wall_s());
        let mut effects = Vec::new();
        let begun = self.work_of_leader(n);
        self.nodes[n]
            .coordinator
            .step(mono, wall, event, &mut effects);
        self.work_ends(begun, |work| &mut work.coordinator_us);
        self.nodes[n].wakes.coordinator = self.nodes[n].coordinator.wake_at(mono);
        for effect in effects {
            if let coordinator::Effect::Plan { plan, cib, .. } = effect {
                let input = policy::Input {
                    causes: false,
                    ..policy::Input::at(wall)
                };
                let begun = self.work_of_leader(n);
                let kept = &mut self.nodes[n].kept;
                let outcome = policy::schedule_again(cib.root(), &input, kept);
                self.work_ends(begun, |work| &mut work.policy_us);
                self.counters.plans += 1;
                self.check_graph(&cib, &input, &outcome.graph);
                let planned = coordinator::Event::Planned {
                    plan,
                    graph: Box::new(outcome.graph),
                };
                // A large cluster takes longer to think about.
                let after = 2 + self.below(8) + u64::from(self.scenario.more / 10);
                self.tell(n, after, Word::Coordinator(planned));
                continue;
            }
            // It was decided now, by what was known now; what is heard before it is carried out comes after it.
            if let coordinator::Effect::Fence { target, action, .. } = &effect
                && action != "on"
            {
                self.fencing_decided(n, target);
            }
            self.tell(n, 0, Word::CoordinatorWants(effect));
        }
    }

    pub(super) fn on_coordinator(&mut self, n: usize, effect: coordinator::Effect) {
        use coordinator::Effect;
        if effect.needs_authority() && self.nodes[n].unheard > 0 {
            return;
        }
        match effect {
            Effect::Heard => self.nodes[n].unheard = self.nodes[n].unheard.saturating_sub(1),
            Effect::Life(id, Some(life)) => drop(self.nodes[n].lives.insert(id, life)),
            Effect::Life(id, None) => drop(self.nodes[n].lives.remove(&id)),
            Effect::Order(to, order) => {
                if let Some(command) = words::executor_command(&order) {
                    self.order(n, to, order.term, command);
                }
            }
            Effect::Tell(to, key, coordinator::Deed::Forget(rsc)) => {
                let term = self.nodes[n].leadership.term;
                let command = executor::Command::Forget {
                    term,
                    rsc: rsc.into(),
                    key,
                };
                self.order(n, to, term, command);
            }
            Effect::Tell(to, key, coordinator::Deed::Account(op)) => {
                let term = self.nodes[n].leadership.term;
                self.order(n, to, term, executor::Command::Account { term, op, key });
            }
            Effect::Fence {
                key,
                term,
                target,
                action,
                timeout_ms,
                delay_ms,
            } => {
                self.trace(format_args!("{} fence {target} {action}", n + 1));
                if action != "on" {
                    self.fencing_ordered(term, &target);
                }
                let request =
                    words::fence_request(&key, term, target, &action, timeout_ms, delay_ms);
                if let Some(request) = request {
                    let command = Box::new(fencer::Command::Fence(request));
                    self.fencer(n, fencer::Event::Command(command));
                }
            }
            Effect::Condemn(node, life) => {
                self.presence(n, presence::Event::Condemned(node, life));
            }
            Effect::Write(id, command) => {
                let command = self.signed(n, command, COORDINATOR);
                if self.nodes[n].overlay {
                    let result = self.write_overlay(n, &command);
                    self.coordinator(n, coordinator::Event::Written { id, result });
                } else {
                    self.write(n, command, Waiter::Coordinator(id));
                }
            }
            Effect::Say(text) => self.trace(format_args!("{} says {text}", n + 1)),
            Effect::Settled { transition } => {
                self.trace(format_args!("{} settled {transition}", n + 1));
            }
            Effect::Plan { .. } | Effect::Tell(..) | Effect::Through(..) => {}
        }
    }

    pub(super) fn presence(&mut self, n: usize, event: presence::Event) {
        let mono = self.nodes[n].mono(self.now);
        let mut effects = Vec::new();
        let begun = self.work_of_leader(n);
        self.nodes[n].presence.step(mono, event, &mut effects);
        self.work_ends(begun, |work| &mut work.presence_us);
        self.nodes[n].wakes.presence = self.nodes[n].presence.wake_at(mono);
        for effect in effects {
            self.on_presence(n, effect);
        }
    }

    pub(super) fn on_presence(&mut self, n: usize, effect: presence::Effect) {
        let node = &mut self.nodes[n];
        match effect {
            presence::Effect::LeaseHeld(until, incarnation) => {
                node.knowledge.held = Some(true);
                node.knowledge.life = Some(incarnation);
                (node.lost_at, node.killed) = (None, false);
                node.lease_until = node.lease_until.max(until);
                let lease = executor::Event::Lease(node.lease_until);
                self.executor(n, lease);
                self.feed_guard(n);
            }
            presence::Effect::LeaseLost(at) => {
                node.knowledge.held = Some(false);
                node.lost_at = Some(at);
                self.fencer(n, fencer::Event::LeaseLost);
            }
            presence::Effect::Peer(id, state) => {
                let peer = words::peer(state);
                if let coordinator::Peer::Alive { incarnation } = peer {
                    self.heard_life(n, index(id), incarnation);
                }
                self.coordinator(n, coordinator::Event::Peer(id, peer));
                self.tell_fencer_peers(n);
            }
            presence::Effect::Pledged(id, pledge) => {
                self.coordinator(n, coordinator::Event::Pledged(id, pledge));
            }
            presence::Effect::Majority(_) => {}
            presence::Effect::Ask(to, renewal) => self.send(n, index(to), Net::Renewal(renewal)),
            presence::Effect::Answer(to, grant) => self.send(n, index(to), Net::Grant(grant)),
        }
    }

    fn tell_fencer_peers(&mut self, n: usize) {
        let view = self.nodes[n].presence.view(self.nodes[n].mono(self.now));
        let me = self.nodes[n].id;
        let alive = |id: NodeId| {
            let is = |(p, s, _): &(NodeId, PeerState, u64)| {
                *p == id && matches!(s, PeerState::Alive { .. })
            };
            id == me || view.peers.iter().any(is)
        };
        let names = self
            .nodes
            .iter()
            .filter(|m| alive(m.id))
            .map(|m| m.name.clone())
            .collect();
        self.fencer(n, fencer::Event::Peers(names));
    }

    pub(super) fn signed(&self, n: usize, command: Command, client: &str) -> Command {
        let origin = cib::Origin {
            node: self.nodes[n].name.to_string(),
            client: client.into(),
            ..cib::Origin::default()
        };
        command.from(origin).at(self.wall_s())
    }

    pub(super) fn write_overlay(&mut self, n: usize, command: &Command) -> Result<(), String> {
        let applied = cib::apply(&self.nodes[n].cib, command);
        let before = std::mem::replace(&mut self.nodes[n].cib, applied.cib);
        self.cib_changed(n, before);
        applied.answer.map(|_| ()).map_err(|e| e.to_string())
    }

    pub(super) fn executor(&mut self, n: usize, event: executor::Event) {
        let now = executor::Now {
            mono: self.nodes[n].mono(self.now),
            wall_s: self.wall_s(),
        };
        let asked = self.asked(n, &event);
        let mut effects = Vec::new();
        self.nodes[n].executor.step(now, event, &mut effects);
        if let Some(asked) = asked
            && !(effects.iter()).any(|e| matches!(e, executor::Effect::Refused(..)))
        {
            self.taken(asked);
        }
        self.nodes[n].calls = self.nodes[n].executor.last_call();
        let mut reports = Vec::new();
        for effect in effects {
            use executor::Effect;
            match effect {
                Effect::Report(report) => reports.push(*report),
                Effect::Run(run, call) => self.agent_begins(n, run, &call),
                Effect::Device(run, task) => {
                    self.tell(n, 0, Word::Fencer(devices::call(run, &task)))
                }
                // The simulated cluster has no remote nodes.
                Effect::Link(run, _) => {
                    let outcome = executor::Outcome::done(OcfExit::NOT_RUNNING.0);
                    self.tell(n, 1, Word::Executor(executor::Event::Ended(run, outcome)));
                }
                Effect::Kill(run) => {
                    if self.nodes[n].runs.remove(&run).is_some() {
                        let mut outcome =
                            executor::Outcome::failed(ExecStatus::Error, OcfExit::ERROR, "killed");
                        outcome.killed = true;
                        self.tell(n, 1, Word::Executor(executor::Event::Ended(run, outcome)));
                    }
                }
                Effect::ReadMetadata(agent) => {
                    let metadata = executor::Metadata::default();
                    let event =
                        executor::Event::Metadata(agent, Some(std::sync::Arc::new(metadata)));
                    self.tell(n, 1, Word::Executor(event));
                }
                Effect::Refused(op, why) => {
                    self.trace(format_args!("{} refused {op} {why}", n + 1))
                }
                Effect::KillGroup(rsc) => self.truth_stopped(n, rsc.as_str()),
                Effect::MayRun(stop) => {
                    let mono = self.nodes[n].mono(self.now);
                    if !seeded(Bug::GuardNotTold) {
                        let word = guard::Word::MayRun(guard::StopCall::from(&stop));
                        let _ = self.nodes[n].watch.hear(mono, word);
                    }
                }
                Effect::Gone(rsc) => {
                    let mono = self.nodes[n].mono(self.now);
                    let _ = self.nodes[n].watch.hear(mono, guard::Word::Gone(rsc));
                }
            }
        }
        if !reports.is_empty() {
            self.tell(n, 0, Word::Reports(reports));
        }
    }

    pub(super) fn fencer(&mut self, n: usize, event: fencer::Event) {
        let random = self.draw();
        let node = &mut self.nodes[n];
        let now = fencer::Now {
            mono: node.mono(self.now),
            wall_ms: 1_800_000_000_000 + self.now as i64,
            random,
        };
        let mut effects = Vec::new();
        node.fencer.step(now, event, &mut effects);
        for effect in effects {
            use fencer::Effect;
            match effect {
                Effect::Run(run, call) => self.fence_agent(n, run, &call),
                Effect::ReadFeatures(agent) => {
                    let actions = ["on", "off", "reboot", "monitor", "status", "metadata"];
                    let features = fencer::Features {
                        actions: actions.map(String::from).into(),
                        plug: true,
                        ..fencer::Features::default()
                    };
                    self.tell(
                        n,
                        1,
                        Word::Fencer(fencer::Event::Features(agent, Some(features))),
                    );
                }
                Effect::Send(name, message) => {
                    let Some(to) = self.nodes.iter().position(|m| m.name == name) else {
                        continue;
                    };
                    if self.reaches(n, to) {
                        self.send(n, to, Net::Fencer(message));
                    } else {
                        self.tell(n, 300, Word::Fencer(fencer::Event::Unreachable(name)));
                    }
                }
                Effect::Done(request, _, outcome) => {
                    self.trace(format_args!(
                        "{} fenced {} {outcome:?}",
                        n + 1,
                        request.target
                    ));
                    if self.peer_fenced(n, &request, &outcome) {
                        continue;
                    }
                    if outcome.result.is_ok() && request.action.kills() {
                        self.told_dead(n, &request.target);
                    }
                    if let Some(event) = words::fenced(&request, outcome) {
                        self.tell(n, 0, Word::Coordinator(event));
                    }
                }
                Effect::DeviceDone { call, result } => {
                    self.tell(n, 0, Word::Executor(devices::ended(call, result)));
                }
                Effect::Ended(_) | Effect::Changed | Effect::Reply(..) => {}
                Effect::Panic(_) => self.power_off(n, "panic"),
            }
        }
    }
}
