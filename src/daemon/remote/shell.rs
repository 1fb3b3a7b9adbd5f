//! The hands of all connections of a member: one loop that feeds their machines, a task for each line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::machine::Machine;
use super::vocab::{Asked, Attempt, Effect, Event, Target, Task, Told};
use super::write::{Writer, leaving};
use crate::attributes;
use crate::cib;
use crate::clock::{Mono, wall_s};
use crate::daemon::certificates::Certificates;
use crate::daemon::deliver::Teller;
use crate::daemon::route::Ask;
use crate::executor::{self, Command, Order, Report, RunId};
use crate::raft::Raft;
use crate::rpc::{self, FromRemote, Keyring, Line, Shown, Stamp, ToRemote};
use crate::terms::{NodeName, RscId, Term};

/// What connections need of their member.
pub(in crate::daemon) struct Settings {
    /// This member.
    pub(in crate::daemon) name: NodeName,
    pub(in crate::daemon) raft: Raft,
    pub(in crate::daemon) keys: Keyring,
    pub(in crate::daemon) certificates: Arc<Certificates>,
    pub(in crate::daemon) teller: Teller,
    pub(in crate::daemon) newest: Arc<AtomicU64>,
    pub(in crate::daemon) executor: executor::shell::Handle,
    pub(in crate::daemon) attributes: attributes::shell::Handle,
    /// The daemon's loop.
    pub(in crate::daemon) asks: mpsc::UnboundedSender<Ask>,
    /// Who answers tools.
    pub(in crate::daemon) asked: mpsc::UnboundedSender<Asked>,
}

/// The way to the connections of this member.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Links {
    inputs: mpsc::UnboundedSender<Input>,
}

#[derive(Debug)]
enum Input {
    Task(RunId, Box<Order>),
    Called(RscId, Attempt, Result<Line<FromRemote, ToRemote>, String>),
    Said(RscId, Attempt, Result<FromRemote, String>),
    Entered(RscId, Attempt, Result<(), String>),
    Broken(RscId, Attempt, String),
    Command(NodeName, Box<Command>, oneshot::Sender<bool>),
    Write(Told),
    TermSeen(Term),
    Alone,
}

impl Links {
    /// Starts the loop. Its queue holds at most what lines and machines have under way.
    pub(in crate::daemon) fn start(settings: Settings) -> Self {
        let (inputs, inbox) = mpsc::unbounded_channel();
        let shell = Shell {
            settings,
            inputs: inputs.clone(),
            links: BTreeMap::new(),
            alone: watch::Sender::new(0),
        };
        tokio::spawn(shell.run(inbox));
        Self { inputs }
    }

    fn tell(&self, input: Input) {
        // A closed channel means that the daemon is going down.
        let _ = self.inputs.send(input);
    }

    /// An operation of a connection; its end goes to the executor.
    pub(in crate::daemon) fn task(&self, run: RunId, order: Box<Order>) {
        self.tell(Input::Task(run, order));
    }

    /// An order for a remote node; false when there is no connection to it from here.
    pub(in crate::daemon) async fn command(&self, node: &NodeName, command: Command) -> bool {
        let (answer, answered) = oneshot::channel();
        self.tell(Input::Command(node.clone(), Box::new(command), answer));
        answered.await.unwrap_or(false)
    }

    /// What a remote node told is to be written as its.
    pub(in crate::daemon) fn write(&self, told: Told) {
        self.tell(Input::Write(told));
    }

    /// A newer term was seen.
    pub(in crate::daemon) fn term_seen(&self, term: Term) {
        self.tell(Input::TermSeen(term));
    }

    /// This member acts alone from now on. What runs on remote nodes goes on: the majority connects to them from elsewhere,
    /// and this member would only be in its way.
    pub(in crate::daemon) fn alone(&self) {
        self.tell(Input::Alone);
    }
}

/// One connection.
#[derive(Default)]
struct Link {
    machine: Machine,
    line: Option<OpenLine>,
}

struct OpenLine {
    attempt: Attempt,
    out: mpsc::Sender<ToRemote>,
    /// Its writer, once the remote node obeys.
    reports: Option<mpsc::UnboundedSender<(u64, Vec<Report>)>>,
    /// The remote node asked for leave.
    leaves: bool,
    /// Authorities it was told to believe.
    trusted: Vec<String>,
    /// With what it proves itself.
    shown: Option<Shown>,
    /// When it was told to get something else.
    told: Option<Mono>,
}

/// Between two looks at certificates.
const LOOK: Duration = Duration::from_secs(1);
/// A remote node that has not got a certificate within so many milliseconds is told again.
const RENEW_AGAIN_MS: u64 = 60_000;

struct Shell {
    settings: Settings,
    inputs: mpsc::UnboundedSender<Input>,
    links: BTreeMap<RscId, Link>,
    alone: watch::Sender<u64>,
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Input>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wakes = self.links.values().filter_map(|it| it.machine.next_wake());
            let wake = wakes.min().map(|at| at.wait_from(Mono::now()));
            let input = tokio::select! {
                input = inbox.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                () = sleep(wake) => None,
                _ = look.tick() => {
                    self.renew();
                    continue;
                }
            };
            match input {
                Some(input) => self.input(input).await,
                None => {
                    for rsc in self.links.keys().cloned().collect::<Vec<_>>() {
                        self.step(&rsc, Event::Tick).await;
                    }
                }
            }
        }
    }

    async fn input(&mut self, input: Input) {
        match input {
            Input::Task(run, order) => {
                let task = Task::of(run, &order);
                self.step(&order.op.rsc, Event::Task(task)).await;
            }
            Input::Called(rsc, attempt, Ok(line)) => self.connected(&rsc, attempt, line).await,
            Input::Called(rsc, attempt, Err(why)) => {
                self.step(&rsc, Event::Failed(attempt, why)).await;
            }
            Input::Said(rsc, attempt, Ok(word)) => self.said(&rsc, attempt, word).await,
            Input::Said(rsc, attempt, Err(why)) | Input::Broken(rsc, attempt, why) => {
                self.step(&rsc, Event::Lost(attempt, why)).await;
            }
            Input::Entered(rsc, attempt, result) => {
                self.step(&rsc, Event::Entered(attempt, result)).await;
            }
            Input::Command(node, command, answer) => {
                let sent = self.say(&node, ToRemote::Execute(command)).await;
                // Who asked is gone: it will ask again, or not.
                let _ = answer.send(sent);
            }
            Input::Write(told) => {
                let line = self.line_of(&told.node, told.attempt);
                if let Some(reports) = line.and_then(|line| line.reports.as_ref()) {
                    // A writer that has ended has said why.
                    let _ = reports.send((told.number, told.reports));
                }
            }
            Input::TermSeen(term) => {
                for node in self.connected_nodes() {
                    self.say(&node, ToRemote::TermSeen(term)).await;
                }
            }
            Input::Alone => {
                self.alone.send_modify(|times| *times += 1);
                for node in self.connected_nodes() {
                    let rsc = RscId::from(node.as_str());
                    let Some(attempt) = self.links.get(&rsc).and_then(|it| it.machine.up()) else {
                        continue;
                    };
                    let why = "this node lost touch with the cluster";
                    self.step(&rsc, Event::Lost(attempt, why.into())).await;
                }
            }
        }
    }

    /// Remote nodes hear whom to believe, and get another certificate, when that is due.
    fn renew(&mut self) {
        let trusted: Vec<String> = self.settings.keys.trusted().into_values().collect();
        for link in self.links.values_mut() {
            let Some(line) = link.line.as_mut().filter(|line| line.reports.is_some()) else {
                continue;
            };
            // What does not fit now is said next time.
            if line.trusted != trusted
                && line.out.try_send(ToRemote::Trust(trusted.clone())).is_ok()
            {
                line.trusted.clone_from(&trusted);
            }
            let now = Mono::now();
            let waits = line.told.is_some_and(|at| now.since(at) < RENEW_AGAIN_MS);
            let due = |shown: &Shown| self.settings.certificates.remote_is_due(shown);
            if !waits
                && line.shown.as_ref().is_some_and(due)
                && line.out.try_send(ToRemote::Renew).is_ok()
            {
                line.told = Some(now);
            }
        }
    }

    fn sign(&self, node: &NodeName, request: &[u8], line: &mpsc::Sender<ToRemote>) {
        match self.settings.certificates.sign_remote(request, node) {
            Ok(pem) => {
                // A line that is full is about to be lost; it is asked again over the next one.
                let _ = line.try_send(ToRemote::Certificate(pem));
            }
            Err(why) => tracing::warn!("no new certificate for remote node {node}: {why}"),
        }
    }

    fn connected_nodes(&self) -> Vec<NodeName> {
        let up = self
            .links
            .iter()
            .filter(|(_, it)| it.machine.up().is_some());
        up.map(|(rsc, _)| NodeName::from(rsc.as_str())).collect()
    }

    /// The line of this attempt, if it is still there. A connection has the name of its remote node.
    fn line_of(&self, node: &NodeName, attempt: Attempt) -> Option<&OpenLine> {
        let link = self.links.get(&RscId::from(node.as_str()))?;
        link.line.as_ref().filter(|line| line.attempt == attempt)
    }

    /// Says something to a remote node that obeys. One that does not take what it is told counts as lost: what comes next
    /// must not wait for it.
    async fn say(&mut self, node: &NodeName, word: ToRemote) -> bool {
        let rsc = RscId::from(node.as_str());
        let Some(attempt) = self.links.get(&rsc).and_then(|it| it.machine.up()) else {
            return false;
        };
        let Some(line) = self.line_of(node, attempt) else {
            return false;
        };
        if line.out.try_send(word).is_ok() {
            return true;
        }
        // The machine must not be fed from within its own step.
        let why = "it does not take what it is told".to_owned();
        let _ = self.inputs.send(Input::Broken(rsc, attempt, why));
        false
    }

    async fn connected(&mut self, rsc: &RscId, attempt: Attempt, line: Line<FromRemote, ToRemote>) {
        let Some(link) = self.links.get_mut(rsc) else {
            return;
        };
        let Line { mut words, out } = line;
        link.line = Some(OpenLine {
            attempt,
            out,
            reports: None,
            leaves: false,
            trusted: Vec::new(),
            shown: None,
            told: None,
        });
        let (inputs, name) = (self.inputs.clone(), rsc.clone());
        tokio::spawn(async move {
            while let Some(word) = words.recv().await {
                if inputs
                    .send(Input::Said(name.clone(), attempt, word))
                    .is_err()
                {
                    return;
                }
            }
        });
        self.step(rsc, Event::Connected(attempt)).await;
    }

    async fn said(&mut self, rsc: &RscId, attempt: Attempt, word: FromRemote) {
        let node = NodeName::from(rsc.as_str());
        let line = self.links.get_mut(rsc).and_then(|it| it.line.as_mut());
        let Some(line) = line.filter(|line| line.attempt == attempt) else {
            return;
        };
        match word {
            FromRemote::Welcome { life } => self.step(rsc, Event::Welcomed(attempt, life)).await,
            FromRemote::Replaced { by } => self.step(rsc, Event::Replaced(attempt, by)).await,
            FromRemote::Poked(number) => self.step(rsc, Event::Poked(attempt, number)).await,
            FromRemote::Reports(number, reports) => {
                let told = Told {
                    node,
                    attempt,
                    number,
                    reports,
                };
                // A closed channel means that the daemon is going down.
                let _ = self.settings.asks.send(Ask::Remote(told));
            }
            FromRemote::Ask(number, caller, request) => {
                let asked = Asked {
                    node,
                    number,
                    caller,
                    request: *request,
                    line: line.out.clone(),
                };
                let _ = self.settings.asked.send(asked);
            }
            FromRemote::Shows(shown) => (line.shown, line.told) = (Some(shown), None),
            FromRemote::Sign(request) => {
                let out = line.out.clone();
                self.sign(&node, &request, &out);
            }
            FromRemote::Leaving => {
                line.leaves = true;
                tracing::info!("remote node {node} asks for leave");
                self.wish_to_leave(node);
            }
        }
    }

    /// The policy moves away what runs on a node with this attribute, and ends the connection. // spec 1 §18.6
    fn wish_to_leave(&self, node: NodeName) {
        let attributes = self.settings.attributes.clone();
        tokio::spawn(async move {
            let request = attributes::Request::Update {
                which: attributes::Which::Name("shutdown".into()),
                node: Some(node),
                value: Some(wall_s().to_string()),
                dampening_ms: None,
                both: false,
                set_id: None,
                private: false,
                wait: attributes::Wait::Local,
            };
            attributes.ask(request).await;
        });
    }

    async fn step(&mut self, rsc: &RscId, event: Event) {
        let mut effects = Vec::new();
        let link = self.links.entry(rsc.clone()).or_default();
        link.machine.step(Mono::now(), event, &mut effects);
        for effect in effects {
            self.effect(rsc, effect).await;
        }
    }

    async fn effect(&mut self, rsc: &RscId, effect: Effect) {
        let node = NodeName::from(rsc.as_str());
        match effect {
            Effect::Call(attempt, target) => self.call(rsc.clone(), attempt, target),
            Effect::Greet(attempt, stamp) => {
                let hello = ToRemote::Hello {
                    host: self.settings.name.clone(),
                    stamp,
                    term: Term(
                        self.settings
                            .newest
                            .load(std::sync::atomic::Ordering::Acquire),
                    ),
                    trusted: self.settings.keys.trusted().into_values().collect(),
                };
                if let Some(line) = self.line_of(&node, attempt) {
                    // The first word always fits.
                    let _ = line.out.try_send(hello);
                }
            }
            Effect::Enter(attempt, stamp, life) => self.enter(rsc, attempt, stamp, life),
            Effect::HangUp(attempt) => self.hang_up(rsc, attempt),
            Effect::Leave(stamp) => self.leave(node, stamp),
            Effect::Poke(attempt, number) => {
                if let Some(line) = self.line_of(&node, attempt) {
                    // Without an answer the question ends by its time.
                    let _ = line.out.try_send(ToRemote::Poke(number));
                }
            }
            Effect::End(run, outcome) => {
                let ended = executor::Event::Ended(run, outcome);
                self.settings.executor.send(ended).await;
            }
            Effect::Look => {
                let look = executor::Event::Look(rsc.clone());
                self.settings.executor.send(look).await;
            }
        }
    }

    fn call(&self, rsc: RscId, attempt: Attempt, target: Target) {
        let (keys, inputs) = (self.settings.keys.clone(), self.inputs.clone());
        let name = NodeName::from(rsc.as_str());
        tokio::spawn(async move {
            let line = rpc::call_remote(&keys, &name, &target.server, target.port).await;
            let line = line.map_err(|e| e.to_string());
            let _ = inputs.send(Input::Called(rsc, attempt, line));
        });
    }

    fn enter(&mut self, rsc: &RscId, attempt: Attempt, stamp: Stamp, life: u64) {
        let Some(link) = self.links.get_mut(rsc) else {
            return;
        };
        let line = link.line.as_mut();
        let Some(line) = line.filter(|line| line.attempt == attempt) else {
            return;
        };
        let (reports, inbox) = mpsc::unbounded_channel();
        line.reports = Some(reports);
        let mut writer = Writer {
            raft: self.settings.raft.clone(),
            teller: self.settings.teller.clone(),
            newest: Arc::clone(&self.settings.newest),
            host: self.settings.name.clone(),
            node: NodeName::from(rsc.as_str()),
            attempt,
            stamp,
            line: line.out.clone(),
            alone: self.alone.subscribe(),
        };
        let (inputs, rsc) = (self.inputs.clone(), rsc.clone());
        tokio::spawn(async move {
            let entered = writer.enter(life).await;
            let fine = entered.is_ok();
            let _ = inputs.send(Input::Entered(rsc.clone(), attempt, entered));
            if fine {
                let attempt = writer.attempt;
                let why = writer.serve(inbox).await;
                let _ = inputs.send(Input::Broken(rsc, attempt, why));
            }
        });
    }

    /// The line goes when the remote node has heard the last word, or is gone itself.
    fn hang_up(&mut self, rsc: &RscId, attempt: Attempt) {
        let Some(link) = self.links.get_mut(rsc) else {
            return;
        };
        let Some(line) = link.line.take_if(|line| line.attempt == attempt) else {
            return;
        };
        let leave = line.leaves;
        // One that does not take it is lost, which is the same.
        let _ = line.out.try_send(ToRemote::Bye { leave });
        if leave {
            let node = NodeName::from(rsc.as_str());
            let attributes = self.settings.attributes.clone();
            tokio::spawn(async move { attributes.ask(attributes::Request::Forget { node }).await });
        }
    }

    fn leave(&self, node: NodeName, stamp: Stamp) {
        let (raft, host) = (self.settings.raft.clone(), self.settings.name.to_string());
        tokio::spawn(async move {
            let origin = cib::Origin {
                node: host,
                client: "remote-executor".into(),
                ..cib::Origin::default()
            };
            let command = leaving(&node, stamp).from(origin).at(wall_s());
            // For people and alerts; who has taken over meanwhile has written something newer.
            if let Err(e) = raft.propose(command).await {
                tracing::debug!("the end of the connection to {node} is not written: {e}");
            }
        });
    }
}

async fn sleep(wait: Option<std::time::Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
