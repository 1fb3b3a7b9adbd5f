//! `systole remote`: the executor on a machine that is no member of the cluster. It waits for a member that holds the
//! connection to it, does what that one passes on, and asks it what local tools ask.
//!
//! Without a connection everything that runs here goes on, repeated operations too, however long that lasts: what is to be
//! recovered elsewhere is the cluster's to decide, once it has this machine fenced. // spec cluster §14.5

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::door::{Door, Effect, Event, LineId};
use crate::cib::Cib;
use crate::daemon::stop::Stopper;
use crate::daemon::{command, start};
use crate::executor;
use crate::rpc::{
    self, AdminAnswer, AdminRequest, AdminService, Caller, ChangeNotice, ClusterStatus, Denied,
    FromRemote, Grant, Line, Listening, RemoteConfig, RemoteKeys, Stamp, ToRemote,
};
use crate::terms::{CrmExit, NodeName};

/// `systole remote`.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Directory of the remote node; /var/lib/systole and /run/systole if not given
    #[arg(long, env = "SYSTOLE_DIR")]
    pub dir: Option<PathBuf>,
    /// Address to listen at; all if not given
    #[arg(long, env = "PCMK_remote_address", value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// Port to listen at
    #[arg(long, env = "PCMK_remote_port", default_value_t = rpc::REMOTE_PORT)]
    pub port: u16,
    /// End together with the process that started it (for laboratories)
    #[arg(long, hide = true)]
    pub die_with_parent: bool,
}

/// `systole remote join`.
#[derive(Debug, Args)]
pub struct Join {
    /// Directory of the remote node
    #[arg(long, env = "SYSTOLE_DIR")]
    dir: Option<PathBuf>,
    /// What `systole token --remote NAME` printed on a member of the cluster
    token: String,
}

/// Makes this machine a remote node.
pub fn join(join: &Join) -> ExitCode {
    command::finish("remote join", || {
        let token = join.token.parse().map_err(command::failure)?;
        let paths = start::paths(join.dir.as_deref());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| (CrmExit::OS, e.to_string()))?;
        let enrolled = runtime.block_on(rpc::enrol(&paths, &token));
        let config = enrolled.map_err(command::failure)?;
        Ok(format!(
            "this machine is remote node {name} of cluster {}; start it with `systole remote`, and on the cluster: \
             crm configure primitive {name} ocf:pacemaker:remote params server=ADDRESS op monitor interval=30s",
            config.cluster_name,
            name = config.name
        ))
    })
}

/// Called as Pacemaker's program for this: containers of bundles do so. It takes no arguments.
pub fn called_as(args: &[String]) -> Option<u8> {
    let name = args.first()?.rsplit('/').next()?;
    if !matches!(name, "pacemaker-remoted" | "pacemaker_remoted") {
        return None;
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let options = Options {
        address: set("PCMK_remote_address").and_then(|text| text.parse().ok()),
        port: set("PCMK_remote_port")
            .and_then(|text| text.parse().ok())
            .unwrap_or(rpc::REMOTE_PORT),
        ..Options::default()
    };
    Some(serve(&options))
}

/// Runs the remote node until it is told to leave.
pub fn run(options: &Options) -> ExitCode {
    ExitCode::from(serve(options))
}

fn serve(options: &Options) -> u8 {
    start::serve(options.die_with_parent, node(options))
}

async fn node(options: &Options) -> anyhow::Result<()> {
    let paths = start::paths(options.dir.as_deref());
    let config = RemoteConfig::load(&paths)?;
    let name = config.name.clone();
    let program = std::env::current_exe().context("failed to find this program")?;
    start::prepare(&paths, &program)?;
    let keys = RemoteKeys::load(&paths, &config)?;
    let kept = Kept(paths.data.join("connection"));
    let stamp = kept.read();

    let (executor, reports) = executor::shell::start(executor::shell::Config {
        place: start::place(&paths, &name),
        limit: executor::shell::Config::usual_limit(),
        state_dir: paths.data.join("executor"),
        run_dir: paths.data.join("run"),
        last_call: 0,
        // It is for what must end with a lease. A remote node has none: it is fenced.
        guard: None,
    });
    let (lines, incoming) = mpsc::channel(16);
    let (_listening, address) = listen(options, &keys, lines).await?;
    let stopper = Stopper::new();
    let proxy = Arc::new(Proxy {
        name: name.clone(),
        cluster_name: config.cluster_name.clone(),
        admin_group: config.admin_group.clone(),
        questions: Mutex::default(),
        stopper: stopper.clone(),
    });
    let service = Arc::clone(&proxy) as Arc<dyn AdminService>;
    let _tools = rpc::serve_tools(&paths.socket, &config.admin_group, service).await?;
    // Without systemd there is nobody to notify.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("remote node {name} is up, and waits for the cluster at {address}");

    let (events, inbox) = mpsc::unbounded_channel();
    let shell = Shell {
        door: Door::new(rand::random::<u64>().max(1), stamp),
        kept,
        keys,
        executor,
        proxy,
        lines: BTreeMap::new(),
    };
    tokio::spawn(wait_for_end(stopper, events.clone()));
    shell.run(inbox, events, incoming, reports).await
}

/// Where it was told to, or everywhere.
async fn listen(
    options: &Options,
    keys: &RemoteKeys,
    lines: mpsc::Sender<rpc::Incoming>,
) -> anyhow::Result<(Listening, SocketAddr)> {
    let everywhere = [
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    ];
    let wanted = options.address.map_or(everywhere.to_vec(), |one| vec![one]);
    let mut last = None;
    for address in wanted {
        let address = SocketAddr::new(address, options.port);
        match rpc::serve_remote(&[address], keys.clone(), lines.clone()).await {
            Ok(listening) => {
                let bound = listening.addresses.first().copied().unwrap_or(address);
                return Ok((listening, bound));
            }
            // A machine without IPv6.
            Err(e) => last = Some(e),
        }
    }
    Err(last.context("no address to listen at")?.into())
}

async fn wait_for_end(stopper: Stopper, events: mpsc::UnboundedSender<Input>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return tracing::error!("signals can't be waited for: stop it with `systole stop`");
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stopper.wanted() => {}
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // The loop is gone: it ends anyway.
    let _ = events.send(Input::Door(Event::Stop));
}

/// The greatest stamp that was obeyed here, on disk.
struct Kept(PathBuf);

impl Kept {
    fn read(&self) -> Option<Stamp> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn write(&self, stamp: Stamp) -> Result<(), String> {
        let text = serde_json::to_string(&stamp).map_err(|e| e.to_string())?;
        crate::cli::access::store(Path::new(&self.0), &text).map_err(|e| e.to_string())
    }
}

enum Input {
    Door(Event),
    /// A tool asks; the answer goes to whoever waits under this number.
    Ask(u64, Caller, Box<AdminRequest>),
}

struct Shell {
    door: Door,
    kept: Kept,
    keys: RemoteKeys,
    executor: executor::shell::Handle,
    proxy: Arc<Proxy>,
    lines: BTreeMap<LineId, mpsc::Sender<FromRemote>>,
}

impl Shell {
    async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Input>,
        events: mpsc::UnboundedSender<Input>,
        mut incoming: mpsc::Receiver<rpc::Incoming>,
        mut reports: mpsc::UnboundedReceiver<executor::shell::Out>,
    ) -> anyhow::Result<()> {
        let mut last = 0;
        let mut current = None;
        loop {
            let event = tokio::select! {
                Some(out) = reports.recv() => match out {
                    executor::shell::Out::Reports(reports) => Event::Reported(reports),
                    // Fence devices and connections belong to members: none is ordered here.
                    executor::shell::Out::Device(run, _) | executor::shell::Out::Link(run, _) => {
                        self.refuse(run).await;
                        continue;
                    }
                },
                Some((host, line)) = incoming.recv() => {
                    last += 1;
                    tracing::info!("node {host} of the cluster connects");
                    self.opened(LineId(last), line, events.clone());
                    continue;
                }
                Some(input) = inbox.recv() => match input {
                    Input::Door(event) => event,
                    Input::Ask(number, caller, request) => {
                        self.ask(current, number, caller, request);
                        continue;
                    }
                },
            };
            let mut effects = Vec::new();
            self.door.step(event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::End => return Ok(()),
                    Effect::Line(line) => {
                        current = line;
                        if let Some(line) = line {
                            self.show(line);
                        }
                        self.proxy.line(line.is_some().then(|| events.clone()));
                    }
                    effect => self.effect(effect).await?,
                }
            }
        }
    }

    async fn refuse(&self, run: executor::RunId) {
        let why = "a remote node runs neither fence devices nor connections";
        let (status, rc) = (
            crate::terms::ExecStatus::NotSupported,
            crate::terms::OcfExit::UNIMPLEMENTED,
        );
        let outcome = executor::Outcome::failed(status, rc, why);
        self.executor
            .send(executor::Event::Ended(run, outcome))
            .await;
    }

    fn opened(
        &mut self,
        id: LineId,
        line: Line<ToRemote, FromRemote>,
        events: mpsc::UnboundedSender<Input>,
    ) {
        let Line { mut words, out } = line;
        self.lines.insert(id, out);
        tokio::spawn(async move {
            while let Some(Ok(word)) = words.recv().await {
                if events.send(Input::Door(Event::Said(id, word))).is_err() {
                    return;
                }
            }
            let _ = events.send(Input::Door(Event::Closed(id)));
        });
    }

    async fn effect(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            // Whoever obeys without it could obey somebody deposed after a restart.
            Effect::Keep(stamp) => self.kept.write(stamp).map_err(anyhow::Error::msg)?,
            Effect::Say(line, word) => self.say(line, word),
            Effect::Close(line) => drop(self.lines.remove(&line)),
            Effect::Executor(event) => self.executor.send(event).await,
            Effect::Trust(pems) => {
                if let Err(e) = self.keys.trust(&pems) {
                    tracing::warn!("goes on believing the former authorities: {e}");
                }
            }
            Effect::Renew(line) => match self.keys.draw() {
                Ok(request) => self.say(line, FromRemote::Sign(request)),
                Err(e) => tracing::warn!("no new certificate: {e}"),
            },
            Effect::Certificate(line, pem) => match self.keys.replace(&pem) {
                Ok(()) => {
                    tracing::info!("this remote node has a new certificate");
                    self.show(line);
                }
                Err(e) => tracing::warn!("goes on with the former certificate: {e}"),
            },
            Effect::Answered(number, answer) => self.proxy.answered(number, *answer),
            Effect::Line(_) | Effect::End => {}
        }
        Ok(())
    }

    /// Says with what this node proves itself: the member knows whether that will do for long.
    fn show(&mut self, line: LineId) {
        match self.keys.shows() {
            Ok(shown) => self.say(line, FromRemote::Shows(shown)),
            Err(e) => tracing::warn!("its own certificate: {e}"),
        }
    }

    /// A member that does not take what it is told is hung up on: it connects anew, and everything is told again.
    fn say(&mut self, line: LineId, word: FromRemote) {
        let Some(out) = self.lines.get(&line) else {
            return;
        };
        if out.try_send(word).is_err() {
            tracing::warn!("the cluster's node does not take what it is told: hanging up");
            self.lines.remove(&line);
        }
    }

    fn ask(
        &mut self,
        line: Option<LineId>,
        number: u64,
        caller: Caller,
        request: Box<AdminRequest>,
    ) {
        match line {
            Some(line) => self.say(line, FromRemote::Ask(number, caller, request)),
            None => self.proxy.answered(number, unconnected()),
        }
    }
}

fn unconnected() -> AdminAnswer {
    AdminAnswer::failed(
        CrmExit::DISCONNECTED,
        "no node of the cluster is connected to this remote node, so nothing can be asked here; see `crm status` on a \
         member of the cluster",
    )
}

/// What tools ask is asked of the member at the other end.
struct Proxy {
    name: NodeName,
    cluster_name: String,
    admin_group: String,
    questions: Mutex<Questions>,
    stopper: Stopper,
}

#[derive(Default)]
struct Questions {
    /// Where they go; nowhere without a connection.
    line: Option<mpsc::UnboundedSender<Input>>,
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<AdminAnswer>>,
}

/// A tool waits no longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often who follows the CIB from here reads it again.
const AGAIN: Duration = Duration::from_secs(2);

impl Proxy {
    fn questions(&self) -> std::sync::MutexGuard<'_, Questions> {
        self.questions.lock().expect("no panic while held")
    }

    fn line(&self, line: Option<mpsc::UnboundedSender<Input>>) {
        let mut questions = self.questions();
        let gone = line.is_none();
        questions.line = line;
        if gone {
            // Whoever waits for an answer over it waits in vain.
            questions.waiting.clear();
        }
    }

    fn answered(&self, number: u64, answer: AdminAnswer) {
        if let Some(tool) = self.questions().waiting.remove(&number) {
            // A tool that is gone needs no answer.
            let _ = tool.send(answer);
        }
    }

    async fn ask(&self, caller: Caller, request: AdminRequest) -> AdminAnswer {
        let (answer, answered) = oneshot::channel();
        {
            let mut questions = self.questions();
            let Some(line) = questions.line.clone() else {
                return unconnected();
            };
            questions.last += 1;
            let number = questions.last;
            questions.waiting.insert(number, answer);
            let _ = line.send(Input::Ask(number, caller, Box::new(request)));
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => AdminAnswer::failed(
                CrmExit::INDETERMINATE,
                "the connection to the cluster was lost before there was an answer",
            ),
            Err(_) => AdminAnswer::failed(CrmExit::TIMEOUT, "the cluster does not answer"),
        }
    }
}

#[async_trait::async_trait]
impl AdminService for Proxy {
    fn cib(&self) -> Cib {
        Cib::empty()
    }

    /// The member decides: the ACLs are there.
    fn grant(&self, _: &Caller, _: &str, _: &AdminRequest) -> Result<Grant, Denied> {
        Ok(Grant::Acl)
    }

    async fn admin(&self, caller: Caller, _: Grant, request: AdminRequest) -> AdminAnswer {
        match request {
            AdminRequest::Shutdown if caller.admin => {
                self.stopper.stop();
                AdminAnswer::Done
            }
            AdminRequest::Shutdown => AdminAnswer::failed(
                CrmExit::INSUFFICIENT_PRIV,
                format!(
                    "permission denied for user `{}`: run it as root, or add the user to the group `{}`",
                    caller.user, self.admin_group
                ),
            ),
            AdminRequest::Status => match self.ask(caller, AdminRequest::Status).await {
                // Who it is, it knows by itself.
                AdminAnswer::Failed { .. } => AdminAnswer::Status(Box::new(ClusterStatus {
                    name: self.cluster_name.clone(),
                    remote: Some(self.name.clone()),
                    ..ClusterStatus::default()
                })),
                answer => answer,
            },
            request => self.ask(caller, request).await,
        }
    }

    /// Changes themselves are not sent over the connection: who follows them is told to look again.
    async fn subscribe(&self, _: Caller, _: Grant) -> mpsc::Receiver<ChangeNotice> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                let notice = ChangeNotice {
                    index: 0,
                    version: String::new(),
                    patch: None,
                };
                if sender.send(notice).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
