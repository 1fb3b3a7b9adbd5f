//! The attribute manager's clock: one loop that feeds the machine. Everything it wants goes to the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::cib::status::attribute;
use crate::clock::{self, Mono};
use crate::terms::{FEATURE_SET, NodeId, NodeName};

use super::machine::{Machine, Now};
use super::vocab::{Answer, Effect, Event, Request, Ticket};

/// Events that wait for the loop. Full, the sender waits.
const QUEUE: usize = 1024;

enum Input {
    Event(Event),
    Ask(Request, oneshot::Sender<Answer>),
}

/// The way to a running attribute manager. It ends when all handles are gone.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
}

impl Handle {
    /// Tells it something; waits while its queue is full.
    pub async fn send(&self, event: Event) {
        // A closed channel means that the daemon is going down.
        let _ = self.inputs.send(Input::Event(event)).await;
    }

    /// Asks for a tool; none if the daemon is going down.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.inputs.send(Input::Ask(request, answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Starts it. What it wants from the daemon comes out of the receiver, which has no bound of its own: it holds one
/// message per node and one write per attribute, and the loop must not wait for the daemon while the daemon waits for
/// the loop.
pub fn start(me: NodeId, name: NodeName) -> (Handle, mpsc::UnboundedReceiver<Effect>) {
    let (inputs, inbox) = mpsc::channel(QUEUE);
    let (out, outbox) = mpsc::unbounded_channel();
    let machine = Machine::new(me, name, now()).announcing(attribute::FEATURE_SET, FEATURE_SET);
    tokio::spawn(run(machine, inbox, out));
    (Handle { inputs }, outbox)
}

fn now() -> Now {
    Now {
        mono: Mono::now(),
        wall_ms: u64::try_from(clock::wall_ms()).unwrap_or(0),
    }
}

async fn run(
    mut machine: Machine,
    mut inbox: mpsc::Receiver<Input>,
    out: mpsc::UnboundedSender<Effect>,
) {
    let mut tools: BTreeMap<Ticket, oneshot::Sender<Answer>> = BTreeMap::new();
    let mut last: Ticket = 0;
    loop {
        let wake = machine.next_wake().map(|at| at.wait_from(Mono::now()));
        let input = tokio::select! {
            input = inbox.recv() => match input {
                Some(input) => input,
                None => return,
            },
            () = sleep(wake) => Input::Event(Event::Tick),
        };
        let event = match input {
            Input::Event(event) => event,
            Input::Ask(request, answer) => {
                last += 1;
                tools.insert(last, answer);
                Event::Asked(last, request)
            }
        };
        let mut effects = Vec::new();
        machine.step(now(), event, &mut effects);
        for effect in effects {
            if let Effect::Answer(ticket, answer) = effect {
                if let Some(tool) = tools.remove(&ticket) {
                    // A tool that is gone needs no answer.
                    let _ = tool.send(answer);
                }
            } else {
                // A closed channel means that the daemon is going down.
                let _ = out.send(effect);
            }
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
