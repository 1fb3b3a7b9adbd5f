//! What tools ask of the fencer of their node beside fencing itself: which devices there are and what they can do,
//! devices and levels by hand, the history.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Mono;
use crate::terms::{NodeName, RscId};

use super::machine::{Machine, Now, Out};
use super::vocab::{
    Action, AskId, Capability, Delay, Device, Effect, Failure, Level, LevelTarget, Message, Query,
    Record,
};

/// Under this name tools ask.
pub const NAME: &str = "fencer";

/// How long fencers may take to tell their history.
const GATHER_MS: u64 = 2_000;

/// A tool that waits.
pub type Ticket = u64;

/// What a tool asks. Travels as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Fence a node, and say how it ended. For the daemon: it waits for the end.
    Fence {
        /// The node.
        target: NodeName,
        /// What is to be done to it.
        action: Action,
        /// Time for one device.
        timeout_ms: u64,
        /// Delay before the first device.
        delay: Delay,
        /// Nothing is done when it was done less than this ago.
        tolerance_ms: u64,
        /// Who asks.
        client: String,
    },
    /// All devices that this node may use.
    Registered,
    /// Those of them that can fence a node.
    Able(NodeName, u64),
    /// Whom a device can fence, and how long the answer may take.
    Targets(RscId, u64),
    /// Whether a device works, and how long the answer may take.
    Status(RscId, u64),
    /// A device that the configuration does not have; until the daemon ends.
    Register(Device),
    /// Forget such a device.
    Deregister(RscId),
    /// A level that the configuration does not have; until the daemon ends.
    Level(Level),
    /// Forget a level, or all levels for this target when the index is 0.
    Unlevel(LevelTarget, u32),
    /// What was fenced; asked of all nodes first.
    History {
        /// Ask the others, too.
        gather: bool,
    },
    /// Forget what was fenced, everywhere: of one node, or of all.
    Cleanup(Option<NodeName>),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Devices, or nodes.
    Names(Vec<String>),
    /// The history.
    History(Vec<Record>),
    /// There is no such device here.
    NoDevice(RscId),
    /// Not done.
    Failed(Failure),
}

/// Tools that wait.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// For devices that can fence a node.
    able: Vec<(AskId, Ticket)>,
    /// For the history of the others.
    gathering: Vec<Gathering>,
}

#[derive(Debug)]
struct Gathering {
    ticket: Ticket,
    until: Mono,
    open: BTreeSet<NodeName>,
}

impl Tools {
    /// A fencer told its history, or can't be reached.
    pub(super) fn told(&mut self, peer: &NodeName) {
        for one in &mut self.gathering {
            one.open.remove(peer);
        }
    }

    /// Devices of this node answered; true when a tool wanted to know.
    pub(super) fn able(&mut self, ask: AskId, devices: &[Capability], out: &mut Out) -> bool {
        let Some(at) = self.able.iter().position(|(asked, _)| *asked == ask) else {
            return false;
        };
        let (_, ticket) = self.able.remove(at);
        let names = devices.iter().map(|c| c.device.to_string()).collect();
        out.effect(Effect::Reply(ticket, Reply::Names(names)));
        true
    }

    /// Tickets of tools that have waited long enough for the history.
    pub(super) fn gathered(&mut self, now: Now) -> Vec<Ticket> {
        let ready = |one: &mut Gathering| one.open.is_empty() || one.until <= now.mono;
        let ready = self.gathering.extract_if(.., ready);
        ready.map(|one| one.ticket).collect()
    }

    pub(super) fn next_wake(&self) -> Option<Mono> {
        self.gathering.iter().map(|one| one.until).min()
    }
}

impl Machine {
    /// A tool asks.
    pub(super) fn asked(&mut self, now: Now, ticket: Ticket, question: Question, out: &mut Out) {
        let reply = match question {
            Question::Fence { target, .. } => {
                let why = format!("'{target}' is fenced by a command, not by a question");
                Reply::Failed(Failure::CannotRun(why))
            }
            Question::Registered => Reply::Names(self.jobs.names()),
            Question::Able(target, timeout_ms) => {
                let ask = out.next_ask();
                self.tools.able.push((ask, ticket));
                let query = Query {
                    ask,
                    term: None,
                    target,
                    action: Action::Off,
                    timeout_ms,
                };
                self.jobs.query(self.me.clone(), query);
                return;
            }
            Question::Targets(device, timeout_ms) => match self.jobs.fixed_targets(&device) {
                None => Reply::NoDevice(device),
                Some(names) if !names.is_empty() => Reply::Names(names),
                Some(_) => {
                    self.jobs.ask(now, device, "list", ticket, timeout_ms);
                    return;
                }
            },
            Question::Status(device, timeout_ms) => {
                if self.jobs.fixed_targets(&device).is_some() {
                    self.jobs.ask(now, device, "monitor", ticket, timeout_ms);
                    return;
                }
                Reply::NoDevice(device)
            }
            Question::Register(device) => {
                self.jobs.register_by_hand(device, out);
                Reply::Done
            }
            Question::Deregister(device) => {
                self.jobs.deregister_by_hand(&device);
                Reply::Done
            }
            Question::Level(level) => {
                self.unlevel(&level.target, level.index);
                self.levels_by_hand.push(level);
                Reply::Done
            }
            Question::Unlevel(target, index) => {
                self.unlevel(&target, index);
                Reply::Done
            }
            Question::History { gather: false } => Reply::History(self.history.all()),
            Question::History { gather: true } => {
                let others = self.peers.iter().filter(|peer| **peer != self.me);
                let open: BTreeSet<NodeName> = others.cloned().collect();
                for peer in &open {
                    out.send(peer, Message::Want);
                }
                self.tools.gathering.push(Gathering {
                    ticket,
                    until: now.mono.plus(GATHER_MS),
                    open,
                });
                return;
            }
            Question::Cleanup(target) => {
                self.cleanup(target, out);
                Reply::Done
            }
        };
        out.effect(Effect::Reply(ticket, reply));
    }

    /// Forgets here and everywhere. // spec cluster §16.11
    pub(super) fn cleanup(&mut self, target: Option<NodeName>, out: &mut Out) {
        for peer in self.peers.iter().filter(|peer| **peer != self.me) {
            out.send(peer, Message::Cleanup(target.clone()));
        }
        self.history.cleanup(target.as_ref());
    }

    fn unlevel(&mut self, target: &LevelTarget, index: u32) {
        self.levels_by_hand
            .retain(|level| level.target != *target || (index > 0 && level.index != index));
    }

    pub(super) fn tell_gathered(&mut self, now: Now, out: &mut Out) {
        for ticket in self.tools.gathered(now) {
            let all = Reply::History(self.history.all());
            out.effect(Effect::Reply(ticket, all));
        }
    }
}
