//! The executor's hands: one loop that feeds the machine, and a task per running agent.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{self, Mono};
use crate::process::{self, ControlGroup, How, secrets};
use crate::terms::{AgentName, ExecStatus, OcfExit, OpKey, RscId, Term};

use super::agent::find::{self, NotFound};
use super::agent::{Place, lsb, metadata, ocf, systemd};
use super::calls::Calls;
use super::machine::{Machine, Now};
use super::vocab::{
    DeviceTask, Effect, Event, Invocation, Metadata, Order, Outcome, Report, RunId,
};

/// What an executor needs to begin.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where agents find what they need.
    pub place: Place,
    /// Agents that run at once; a stop is never held up by it.
    pub limit: usize,
    /// Kept over reboots: the call counter.
    pub state_dir: PathBuf,
    /// Not kept: which agents run now.
    pub run_dir: PathBuf,
    /// Greatest call id of this node in the CIB.
    pub last_call: i64,
    /// Who stops what runs here should this daemon not be able to; nobody without.
    pub guard: Option<Guard>,
}

/// Told what may run here and how it is stopped, or (with none) that it does not run. True when this has arrived.
/// Called again with the same until it has: nothing is started before.
#[derive(Clone)]
pub struct Guard(pub Arc<dyn Fn(&RscId, Option<&Invocation>) -> bool + Send + Sync>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl Config {
    /// As many agents at once as suits the machine.
    pub fn usual_limit() -> usize {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        (cpus * 4).max(16)
    }
}

/// What the executor wants from the daemon.
#[derive(Debug)]
pub enum Out {
    /// Results of one step, in their order, for one write. Pending ones want an event back.
    Reports(Vec<Report>),
    /// The fencer must do this; its end is [`Event::Ended`].
    Device(RunId, DeviceTask),
    /// An operation of a connection to a remote node; its end is [`Event::Ended`].
    Link(RunId, Box<Order>),
}

/// What status and shutdown want to know of the executor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Operations that run now.
    pub running: Vec<OpKey>,
    /// Resources that count as active here.
    pub active: Vec<RscId>,
    /// Anything runs or waits for its turn.
    pub busy: bool,
}

/// The way to a running executor. It ends when all handles are gone.
#[derive(Debug, Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    picture: watch::Receiver<Picture>,
    place: Arc<Place>,
}

impl Handle {
    /// Tells it something; waits while its queue is full.
    pub async fn send(&self, event: Event) {
        // A closed channel means that the daemon is going down.
        let _ = self.events.send(event).await;
    }

    /// What it does now.
    pub fn picture(&self) -> Picture {
        self.picture.borrow().clone()
    }

    /// The same as something that can be waited on.
    pub fn watch(&self) -> watch::Receiver<Picture> {
        self.picture.clone()
    }

    /// Metadata of an agent as it prints it, for `crm ra` and for checks of parameters.
    pub async fn metadata_text(&self, agent: &AgentName) -> Result<String, String> {
        metadata_text(&self.place, agent).await
    }

    /// Where agents find what they need.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// Events that wait for the loop. Full, the sender waits: orders come from one coordinator, which repeats them.
const QUEUE: usize = 1024;

/// Starts the executor. What it wants from the daemon comes out of the receiver. That channel has no bound of
/// its own: it holds at most a few reports per operation in the CIB, and the loop must not wait for the daemon
/// while the daemon waits for the loop.
///
/// `newest` is the newest term that this node knows, raised before a vote for it is answered: it is looked at
/// before anything is begun, so that no message has to win a race against an election.
pub fn start_with_term(
    config: Config,
    newest: Arc<AtomicU64>,
) -> (Handle, mpsc::UnboundedReceiver<Out>) {
    let (events, inbox) = mpsc::channel(QUEUE);
    let (out, outbox) = mpsc::unbounded_channel();
    let (show, picture) = watch::channel(Picture::default());
    let place = Arc::new(config.place.clone());
    prepare(&config);
    let killed = process::kill_leftovers(&config.run_dir.join("agents"));
    if killed > 0 {
        tracing::warn!(
            killed,
            "agents of the daemon before this one were still running; killed"
        );
    }
    let (calls, first) = Calls::open(config.state_dir.join("call-id"), config.last_call);
    let shell = Shell {
        machine: Machine::new(config.limit, first),
        newest,
        described: BTreeMap::new(),
        stamps: BTreeMap::new(),

        calls,
        // Agents' ends must not wait behind orders.
        ends: mpsc::unbounded_channel(),
        kills: BTreeMap::new(),
        groups: ControlGroup::base(config.place.node.as_str()),
        out,
        show,
        place: Arc::clone(&place),
        register: config.run_dir.join("agents"),
        guard: config.guard,
    };
    tokio::spawn(shell.run(inbox));
    (
        Handle {
            events,
            picture,
            place,
        },
        outbox,
    )
}

/// Starts an executor that learns of terms by [`Event::TermSeen`] and from orders alone.
pub fn start(config: Config) -> (Handle, mpsc::UnboundedReceiver<Out>) {
    start_with_term(config, Arc::default())
}

fn prepare(config: &Config) {
    let agents = config.run_dir.join("agents");
    for dir in [
        &config.state_dir,
        &config.run_dir,
        &agents,
        &config.place.rsctmp,
    ] {
        let made = std::fs::create_dir_all(dir);
        if let Err(error) = made {
            tracing::error!(dir = %dir.display(), %error, "failed to make a directory for agents");
        }
    }
}

struct Shell {
    machine: Machine,
    newest: Arc<AtomicU64>,
    /// Metadata, and the file that it was read from as it was then.
    described: BTreeMap<AgentName, (Stamp, Arc<Metadata>)>,
    /// Files whose metadata is being read.
    stamps: BTreeMap<AgentName, Stamp>,
    calls: Calls,
    ends: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    kills: BTreeMap<RunId, oneshot::Sender<()>>,
    groups: Option<ControlGroup>,
    out: mpsc::UnboundedSender<Out>,
    show: watch::Sender<Picture>,
    place: Arc<Place>,
    register: PathBuf,
    guard: Option<Guard>,
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        loop {
            let wake = self.machine.next_wake().map(|at| at.wait_from(Mono::now()));
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
        match &event {
            Event::Ended(run, _) => drop(self.kills.remove(run)),
            Event::Metadata(agent, Some(metadata)) => {
                if let Some(stamp) = self.stamps.remove(agent) {
                    self.described
                        .insert(agent.clone(), (stamp, Arc::clone(metadata)));
                }
            }
            _ => {}
        }

        let mut effects = Vec::new();
        let now = Now {
            mono: Mono::now(),
            wall_s: clock::wall_s(),
        };
        let newest = Term(self.newest.load(Ordering::SeqCst));
        self.machine
            .step(now, Event::TermSeen(newest), &mut effects);
        self.machine.step(now, event, &mut effects);

        // Before anything of this step becomes visible under a new number.
        self.calls.used(self.machine.last_call());
        let mut reports = Vec::new();
        let mut not_told = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Report(report) => reports.push(*report),
                Effect::Run(run, call) => {
                    let first = not_told.remove(&call.rsc);
                    self.start_agent(run, call, first);
                }
                Effect::Device(run, task) => drop(self.out.send(Out::Device(run, task))),
                Effect::Link(run, order) => drop(self.out.send(Out::Link(run, order))),
                Effect::Kill(run) => {
                    if let Some(kill) = self.kills.remove(&run) {
                        let _ = kill.send(());
                    }
                }
                Effect::ReadMetadata(agent) => self.metadata(agent),

                Effect::Refused(op, why) => tracing::warn!(%op, %why, "order refused"),
                Effect::KillGroup(rsc) => self.kill_group(rsc),
                Effect::MayRun(stop) => {
                    if let Some(guard) = self.guard.clone()
                        && !guard.0(&stop.rsc, Some(&stop))
                    {
                        not_told.insert(stop.rsc.clone(), (guard, stop));
                    }
                }
                Effect::Gone(rsc) => {
                    if let Some(guard) = &self.guard {
                        guard.0(&rsc, None);
                    }
                }
            }
        }
        if !reports.is_empty() {
            // A closed channel means that the daemon is going down.
            let _ = self.out.send(Out::Reports(reports));
        }
        self.show.send_if_modified(|picture| {
            let new = Picture {
                running: self.machine.running(),
                active: self.machine.active(),
                busy: self.machine.busy(),
            };
            std::mem::replace(picture, new.clone()) != new
        });
    }

    /// Runs an agent, if need be after the guard has heard how the resource is stopped.
    fn start_agent(&mut self, run: RunId, call: Invocation, first: Option<(Guard, Invocation)>) {
        let (kill, stop) = oneshot::channel();
        self.kills.insert(run, kill);
        let (place, ends) = (Arc::clone(&self.place), self.ends.0.clone());
        let group = self
            .groups
            .as_ref()
            .and_then(|base| base.child(call.rsc.as_str()));

        let register = self.register.clone();
        tokio::spawn(async move {
            // These leave nothing behind that a group would have to hold, and moving into one takes time.
            let brief = matches!(call.task.as_str(), "monitor" | "notify" | "stop");
            let (last, own) = (call.task == "stop", group.clone().filter(|_| !brief));
            let outcome = match guarded(first, call.timeout_ms).await {
                Ok(()) => run_agent(&place, call, own, Some(register), stopped(stop)).await,
                Err(why) => Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why),
            };
            if let Some(group) = group.filter(|_| last) {
                group.remove();
            }

            let _ = ends.send(Event::Ended(run, outcome));
        });
    }

    /// Metadata is asked for before every start; an agent is run for it only when its file has changed.
    fn metadata(&mut self, agent: AgentName) {
        let stamp = Stamp::of(&self.place, &agent);
        match self.described.get(&agent) {
            Some((known, metadata)) if Some(*known) == stamp => {
                let event = Event::Metadata(agent, Some(Arc::clone(metadata)));
                let _ = self.ends.0.send(event);
            }
            _ => self.read_metadata(agent, stamp),
        }
    }

    fn read_metadata(&mut self, agent: AgentName, stamp: Option<Stamp>) {
        let (place, ends) = (Arc::clone(&self.place), self.ends.0.clone());
        // Noted with the file as it was before it was run.
        if let Some(stamp) = stamp {
            self.stamps.insert(agent.clone(), stamp);
        }

        tokio::spawn(async move {
            let metadata = match read_metadata(&place, &agent).await {
                Ok(metadata) => Some(Arc::new(metadata)),
                Err(error) => {
                    tracing::info!(%agent, %error, "no metadata; recorded without its digests");
                    None
                }
            };
            let _ = ends.send(Event::Metadata(agent, metadata));
        });
    }

    fn kill_group(&self, rsc: RscId) {
        let group = self
            .groups
            .as_ref()
            .and_then(|base| base.child(rsc.as_str()));
        let node = self.place.node.clone();
        tokio::task::spawn_blocking(move || {
            let grouped = group.map(|group| group.kill());
            if let Some(Err(error)) = &grouped {
                tracing::error!(%rsc, %error, "failed to kill the control group of a resource");
            }
            let marks = [
                ("OCF_RESOURCE_INSTANCE", rsc.as_str()),
                (ocf::NODE_MARK, node.as_str()),
            ];
            // Nothing escapes from a control group; with a thousand of them, one look for each is enough work.
            let killed = match grouped {
                Some(Ok(_)) => process::kill_marked_now(&marks).len(),
                _ => process::kill_marked(&marks),
            };
            tracing::warn!(%rsc, killed, "killed what was left of a resource");
        });
    }
}

/// A file as it was at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(place: &Place, agent: &AgentName) -> Option<Self> {
        let file = if agent.is_fencing() {
            find::find_fence(place, &agent.kind)
        } else {
            find::find(place, agent)
        };
        let meta = std::fs::metadata(file.ok()?).ok()?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        Some(Self {
            inode: meta.ino(),
            size: meta.len(),
            changed,
        })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(groups) = &self.groups {
            groups.remove();
        }
    }
}

/// Waits until the guard knows what it may have to stop.
async fn guarded(first: Option<(Guard, Invocation)>, limit_ms: u64) -> Result<(), String> {
    let Some((guard, stop)) = first else {
        return Ok(());
    };
    let until = Mono::now().plus(limit_ms);
    while !guard.0(&stop.rsc, Some(&stop)) {
        if Mono::now() >= until {
            return Err(
                "the guard of this node (systole guard) does not answer, so nothing is started here: \
                 see its messages in the log"
                    .to_owned(),
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn stopped(stop: oneshot::Receiver<()>) {
    // A sender that is dropped without a word is the end of the run, not a stop.
    if stop.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs one agent, from its name to its outcome.
pub async fn run_agent(
    place: &Place,
    mut call: Invocation,
    group: Option<ControlGroup>,
    register: Option<PathBuf>,
    stop: impl Future<Output = ()>,
) -> Outcome {
    if systemd::is_unit(&call.agent) {
        return systemd::run(place, &call, stop).await;
    }
    if call.agent.is_connection() {
        return connection(&call.task);
    }
    let program = match find::find(place, &call.agent) {
        Ok(program) => program,
        Err(error) => return not_found(&call, &error),
    };
    let loaded = secrets::resolve(&place.secrets, call.rsc.base(), &mut call.params);
    if let Err(error) = loaded {
        if call.task != "stop" {
            let rc = OcfExit::NOT_CONFIGURED;
            return Outcome::failed(ExecStatus::NoSecrets, rc, error.to_string());
        }
        secrets::leave_out(&mut call.params);
    }
    let ocf = call.agent.class.eq_ignore_ascii_case("ocf");
    if ocf && matches!(call.task.as_str(), "reload" | "reload-agent") {
        let metadata = read_metadata(place, &call.agent).await;
        call.task = reload_task(metadata.ok().as_ref()).to_owned();
    }
    let mut spec = if ocf {
        ocf::spec(place, program.clone(), &call)
    } else {
        lsb::spec(place, program.clone(), &call)
    };
    spec.group = group;
    spec.register = register;
    let ended = process::run(spec, stop).await;
    log_output(&call, &ended);
    if ocf {
        ocf::outcome(&ended, &program, call.timeout_ms)
    } else {
        lsb::outcome(&ended, &program, call.timeout_ms, call.task == "monitor")
    }
}

/// A connection is the daemon's own and ends with it, so whoever comes here (a guard, a tool) finds none.
fn connection(task: &str) -> Outcome {
    match task {
        "monitor" => Outcome::done(OcfExit::NOT_RUNNING.0),
        "stop" => Outcome::done(OcfExit::OK.0),
        _ => {
            let why = "a connection to a remote node can only be made by the cluster";
            Outcome::failed(
                ExecStatus::NotSupported,
                OcfExit::UNIMPLEMENTED,
                why.to_owned(),
            )
        }
    }
}

/// Agents from before OCF 1.1 call it `reload`. // spec cluster §13.3
fn reload_task(metadata: Option<&Metadata>) -> &'static str {
    let supports = |name: &str| metadata.is_some_and(|it| it.actions.iter().any(|a| a == name));
    if supports("reload") && !supports("reload-agent") {
        "reload"
    } else {
        "reload-agent"
    }
}

fn not_found(call: &Invocation, error: &NotFound) -> Outcome {
    // What is not there does not run; a probe and a stop may say so.
    let (status, rc) = match error {
        NotFound::Missing(_) | NotFound::BadName(_) => {
            (ExecStatus::NotInstalled, OcfExit::NOT_INSTALLED)
        }
        NotFound::Unsafe(_) => (ExecStatus::Error, OcfExit::INSUFFICIENT_PRIV),
        NotFound::Class(_) => (ExecStatus::NotSupported, OcfExit::UNIMPLEMENTED),
    };
    tracing::warn!(rsc = %call.rsc, task = call.task, %error, "agent cannot be run");
    Outcome::failed(status, rc, error.to_string())
}

fn log_output(call: &Invocation, ended: &process::Ended) {
    let (rsc, task, ms) = (&call.rsc, &call.task, ended.run_ms);
    match &ended.how {
        How::Exited(0) => tracing::debug!(%rsc, task, ms, "agent done"),
        how => tracing::debug!(%rsc, task, ms, ?how, "agent ended"),
    }
    for (stream, captured) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if !captured.is_empty() {
            tracing::debug!(%rsc, task, stream, text = captured.text().trim_end(), "agent said");
        }
        if captured.truncated() {
            tracing::warn!(%rsc, task, stream, "agent prints a lot; its output was truncated");
        }
    }
}

/// Metadata of an agent, parsed.
async fn read_metadata(place: &Place, agent: &AgentName) -> Result<Metadata, String> {
    let text = metadata_text(place, agent).await?;
    metadata::parse(&text).map_err(|error| format!("its meta-data is not readable: {error}"))
}

/// What would be said by the agent that a connection to a remote node has not.
const CONNECTION: &str = include_str!("agent/remote.xml");

/// How long an agent may take to describe itself.
const METADATA_TIMEOUT: Duration = Duration::from_secs(30);

/// Metadata of an agent, as it prints it.
pub async fn metadata_text(place: &Place, agent: &AgentName) -> Result<String, String> {
    if systemd::is_unit(agent) {
        return Ok(systemd::metadata_text(agent));
    }
    if agent.is_connection() {
        return Ok(CONNECTION.to_owned());
    }
    let spec = if agent.is_fencing() {
        let program = find::find_fence(place, &agent.kind).map_err(|error| error.to_string())?;
        let mut spec = process::Spec::new(program)
            .env("PATH", place.path())
            .env("LANG", "C");
        spec.stdin = Some(b"action=metadata\n".to_vec());
        spec
    } else {
        let program = find::find(place, agent).map_err(|error| error.to_string())?;
        let call = Invocation {
            agent: agent.clone(),
            rsc: RscId::from(agent.kind.as_str()),
            task: "meta-data".to_owned(),
            params: Vec::new(),
            timeout_ms: 0,
            kill_process_only: false,
        };
        ocf::spec(place, program, &call)
    };
    let mut spec = spec.timeout(METADATA_TIMEOUT);
    spec.output_limit = 4 << 20;
    let program = spec.program.clone();
    let ended = process::run(spec, std::future::pending()).await;
    match ended.how {
        How::Exited(0) => Ok(ended.stdout.text()),
        how => Err(describe(&program, &how)),
    }
}

fn describe(program: &Path, how: &How) -> String {
    let program = program.display();
    match how {
        How::Exited(code) => format!("{program}: meta-data ended with {code}"),
        How::Signaled(signal) => format!("{program}: {}", process::signal_text(*signal)),
        How::TimedOut | How::Stopped => format!("{program}: meta-data did not end in time"),
        How::CannotExec(_, text) => format!("{program}: {text}"),
    }
}

#[cfg(test)]
mod tests;
