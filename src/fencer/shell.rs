//! The fencer's hands: one loop that feeds the machine, and a task per running fence agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{self, Mono};
use crate::terms::{NodeName, Term};

use super::agent::{self, Place};
use super::asked::{Question, Reply, Ticket};
use super::machine::{Machine, Now};
use super::vocab::{
    AgentRun, Effect, Event, Failure, Message, OpId, Outcome, Record, Request, RunId,
};

/// What a fencer needs to begin.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub node: NodeName,
    /// Where agents find what they need.
    pub place: Place,
}

/// What the fencer wants from the daemon.
#[derive(Debug)]
pub enum Out {
    /// For the fencer of another node; what does not arrive comes back as [`Event::Unreachable`].
    Send(NodeName, Message),
    /// Fencing that was asked for here has ended.
    Done(Request, OpId, Outcome),
    /// Any fencing has ended, anywhere: for alerts and displays.
    Ended(Record),
    /// A device call of the executor has ended.
    DeviceDone {
        /// The call.
        call: u64,
        /// 0 or 7, or why there is none.
        result: Result<i32, Failure>,
    },
    /// This node must reset itself at once.
    Panic(String),
}

/// The way to a running fencer. It ends when all handles are gone.
#[derive(Debug, Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    tools: Arc<Tools>,
    history: watch::Receiver<Arc<Vec<Record>>>,
}

impl Handle {
    /// Tells it something; waits while its queue is full.
    pub async fn send(&self, event: Event) {
        // A closed channel means that the daemon is going down.
        let _ = self.events.send(event).await;
    }

    /// Asks for a tool; none if the daemon is going down.
    pub async fn ask(&self, question: Question) -> Option<Reply> {
        let (answer, answered) = oneshot::channel();
        let ticket = self.tools.wait(answer);
        self.events
            .send(Event::Asked(ticket, question))
            .await
            .ok()?;
        answered.await.ok()
    }

    /// All operations that are known, running ones included.
    pub fn history(&self) -> Arc<Vec<Record>> {
        Arc::clone(&self.history.borrow())
    }

    /// The same as something that can be waited on.
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<Record>>> {
        self.history.clone()
    }
}

/// Tools that wait for an answer.
#[derive(Debug, Default)]
struct Tools(Mutex<(Ticket, BTreeMap<Ticket, oneshot::Sender<Reply>>)>);

impl Tools {
    fn wait(&self, answer: oneshot::Sender<Reply>) -> Ticket {
        let mut waiting = self.0.lock().expect("no panic while held");
        waiting.0 += 1;
        let ticket = waiting.0;
        waiting.1.insert(ticket, answer);
        ticket
    }

    fn answer(&self, ticket: Ticket, reply: Reply) {
        let mut waiting = self.0.lock().expect("no panic while held");
        if let Some(tool) = waiting.1.remove(&ticket) {
            // A tool that is gone needs no answer.
            let _ = tool.send(reply);
        }
    }
}

/// Events that wait for the loop. Full, the sender waits.
const QUEUE: usize = 1024;

/// Starts the fencer. What it wants from the daemon comes out of the receiver, which has no bound of its own: it
/// holds a few messages per operation and peer, and the loop must not wait for the daemon while the daemon waits
/// for the loop.
///
/// `newest` is the newest term that this node knows, raised before a vote for it is answered.
pub fn start_with_term(
    config: Config,
    newest: Arc<AtomicU64>,
) -> (Handle, mpsc::UnboundedReceiver<Out>) {
    let (events, inbox) = mpsc::channel(QUEUE);
    let (out, outbox) = mpsc::unbounded_channel();
    let (show, history) = watch::channel(Arc::default());
    let tools = Arc::new(Tools::default());
    let shell = Shell {
        machine: Machine::new(config.node, rand::random()),
        newest,
        tools: Arc::clone(&tools),
        ends: mpsc::unbounded_channel(),
        reading: BTreeSet::new(),
        out,
        show,
        place: Arc::new(config.place),
    };
    tokio::spawn(shell.run(inbox));
    let handle = Handle {
        events,
        tools,
        history,
    };
    (handle, outbox)
}

/// Starts a fencer that learns of terms by [`Event::TermSeen`] and from requests alone.
pub fn start(config: Config) -> (Handle, mpsc::UnboundedReceiver<Out>) {
    start_with_term(config, Arc::default())
}

struct Shell {
    machine: Machine,
    newest: Arc<AtomicU64>,
    tools: Arc<Tools>,
    ends: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    reading: BTreeSet<String>,
    out: mpsc::UnboundedSender<Out>,
    show: watch::Sender<Arc<Vec<Record>>>,
    place: Arc<Place>,
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        loop {
            let now = Mono::now();
            let wake = self.machine.next_wake(now).map(|at| at.wait_from(now));
            let event = tokio::select! {
                event = self.ends.1.recv() => event,
                event = inbox.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = sleep(wake) => Some(Event::Tick),
            };
            if let Some(event) = event {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        if let Event::Features(agent, _) = &event {
            self.reading.remove(agent);
        }
        let mut effects = Vec::new();
        let now = Now {
            mono: Mono::now(),
            wall_ms: clock::wall_ms(),
            random: rand::random(),
        };
        let newest = Term(self.newest.load(Ordering::SeqCst));
        self.machine
            .step(now, Event::TermSeen(newest), &mut effects);
        self.machine.step(now, event, &mut effects);

        let mut changed = false;
        for effect in effects {
            changed |= effect == Effect::Changed;
            self.carry_out(effect);
        }
        if changed {
            self.show.send_replace(Arc::new(self.machine.history()));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let out = match effect {
            Effect::Run(run, call) => return self.start_agent(run, call),
            Effect::ReadFeatures(agent) => return self.read_features(agent),
            Effect::Send(to, message) => Out::Send(to, message),
            Effect::Done(request, op, outcome) => Out::Done(request, op, outcome),
            Effect::Ended(record) => Out::Ended(record),
            Effect::DeviceDone { call, result } => Out::DeviceDone { call, result },
            Effect::Panic(why) => Out::Panic(why),
            Effect::Reply(ticket, reply) => return self.tools.answer(ticket, reply),
            Effect::Changed => return,
        };
        // A closed channel means that the daemon is going down.
        let _ = self.out.send(out);
    }

    fn start_agent(&mut self, run: RunId, call: AgentRun) {
        let (place, ends) = (Arc::clone(&self.place), self.ends.0.clone());
        tokio::spawn(async move {
            let (result, output) = agent::run(&place, &call).await;
            let _ = ends.send(Event::Ended {
                run,
                result,
                output,
            });
        });
    }

    fn read_features(&mut self, agent: String) {
        if !self.reading.insert(agent.clone()) {
            return;
        }
        let (place, ends) = (Arc::clone(&self.place), self.ends.0.clone());
        tokio::spawn(async move {
            let features = agent::features(&place, &agent).await;
            if let Err(error) = &features {
                tracing::warn!(agent, error, "fence agent does not describe itself");
            }
            let _ = ends.send(Event::Features(agent, features.ok()));
        });
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
