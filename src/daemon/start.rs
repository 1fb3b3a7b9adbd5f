//! A node starts: from a data directory to running machines, and back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::addresses::Addresses;
use super::authority::Knowledge;
use super::certificates::Certificates;
use super::deliver::Teller;
use super::guard::{self, Feeder, Look};
use super::inputs::{self, Decided, Keeper};
use super::remote::{self, Links};
use super::reports;
use super::route::{Inbox, Router, Shared};
use super::service::Service;
use super::stop::{self, Stopper};
use crate::cli::saved::Series;
use crate::clock::{Mono, wall_s};
use crate::coordinator::{self, Authority};
use crate::executor::{
    self,
    agent::{Place, systemd},
};
use crate::graph::{self, Graph};
use crate::policy::{self, Kept};
use crate::raft::{self, MemberRole, Raft};
use crate::rpc::{self, Doorkeeper, NodeConfig, Paths, Peers, Profile};
use crate::terms::{CrmExit, NodeName, OcfExit, Term};
use crate::{fencer, presence};

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Directory of the node; the usual places if none.
    pub dir: Option<PathBuf>,
    /// Timing profile; the configuration's if not given.
    pub profile: Option<String>,
    /// End together with the process that started this one (laboratories).
    pub die_with_parent: bool,
}

/// Runs one node until it is told to leave.
pub fn run(options: &Options) -> ExitCode {
    ExitCode::from(serve(options.die_with_parent, node(options)))
}

/// Runs a daemon to its end, and returns the status with which its process ends.
pub(super) fn serve(with_parent: bool, node: impl Future<Output = anyhow::Result<()>>) -> u8 {
    super::log::init();
    if with_parent {
        die_with_parent();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        // The policy follows long chains of colocations by recursion. Only touched pages count.
        .thread_stack_size(16 << 20)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(node);
            runtime.shutdown_timeout(Duration::from_millis(200));
            result
        }
        Err(e) => Err(e.into()),
    };
    match result {
        Ok(()) => 0,
        Err(e) => {
            tracing::error!("{e:#}");
            u8::try_from(CrmExit::FATAL.0).unwrap_or(1)
        }
    }
}

/// This process ends together with the one that started it.
pub(super) fn die_with_parent() {
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(e) = rustix::process::set_parent_process_death_signal(kill) {
        tracing::warn!("cannot end together with its parent: {e}");
    }
}

async fn node(options: &Options) -> anyhow::Result<()> {
    let paths = paths(options.dir.as_deref());
    let config = Arc::new(NodeConfig::load(&paths)?);
    let timing = timing(&config, options.profile.as_deref())?;
    let (me, name) = (config.node, config.name.clone());
    let program = std::env::current_exe().context("failed to find this program")?;
    prepare(&paths, &program)?;

    let keys = keyring(&paths, &config)?;
    let lease_tls = lease_tls(&keys, config.cluster);
    let peers = Peers::new(keys.clone());
    let raft_config = raft::Config {
        timing: timing.raft,
        ..config.raft(&paths)
    };
    let raft = Raft::start(raft_config, Arc::new(peers.clone())).await?;
    let changes = raft.subscribe();
    let newest = raft.highest_term();

    let addresses = Addresses::new(&config, paths.clone(), &raft);
    let (presence, presence_out) = presence::spawn(presence::Settings {
        node: me,
        incarnation: rand::random::<u64>().max(1),
        timing: timing.presence,
        listen: addresses.leases(),
        tls: lease_tls,
        highest_term: Arc::clone(&newest),
    })?;
    let feeder = Arc::new(Mutex::new(Feeder::new(&paths.data)));
    let (executor, executor_out) = executor::shell::start_with_term(
        executor_config(&paths, &config, &raft, &feeder),
        Arc::clone(&newest),
    );
    let (fencer, fencer_out) =
        fencer::shell::start_with_term(fencer_config(&paths, &config), Arc::clone(&newest));
    let (attributes, attributes_out) = crate::attributes::shell::start(me, name.clone());
    let alerts = crate::alerts::shell::start(alert_config(&paths, &config));
    let settings = coordinator::Settings {
        me,
        seed: rand::random(),
        actions_per_node: 2 * std::thread::available_parallelism().map_or(2, usize::from),
        startup_grace_ms: timing.startup_grace_ms,
    };
    let keeper =
        Keeper::start(&paths.data).context("failed to start the thread that keeps inputs")?;
    let kept = Mutex::new(Kept::default());
    let planner = move |cib: &crate::cib::Cib, before: i64| {
        let mut kept = kept.lock().unwrap_or_else(|poisoned| {
            // A decision that panicked may have left half of something.
            kept.clear_poison();
            let mut kept = poisoned.into_inner();
            *kept = Kept::default();
            kept
        });
        plan(cib, before, &mut kept, &keeper)
    };
    let (coordinator, coordinator_out) = coordinator::spawn(settings, Arc::new(planner));

    let shared = Arc::new(Shared::default());
    let stopper = Stopper::new();
    let (asks, asks_in) = mpsc::unbounded_channel();
    let teller = Teller::new(raft.clone(), peers.clone(), coordinator.clone());
    let (asked, asked_in) = mpsc::unbounded_channel();
    let certificates =
        Certificates::start(raft.clone(), peers.clone(), keys.clone(), paths.clone())?;
    let links = Links::start(remote::Settings {
        name: name.clone(),
        raft: raft.clone(),
        keys: keys.clone(),
        certificates: Arc::clone(&certificates),
        teller: teller.clone(),
        newest: Arc::clone(&newest),
        executor: executor.clone(),
        attributes: attributes.clone(),
        asks: asks.clone(),
        asked,
    });
    let service = Arc::new(Service {
        links: links.clone(),
        teller: teller.clone(),
        me,
        name: name.clone(),
        raft: raft.clone(),
        peers: peers.clone(),
        common: rpc::Common::new(
            raft.clone(),
            peers.clone(),
            Arc::clone(&config),
            keys.clone(),
        ),
        presence: presence.clone(),
        coordinator: coordinator.clone(),
        executor: executor.clone(),
        fencer: fencer.clone(),
        attributes: attributes.clone(),
        asks: asks.clone(),
        newest: Arc::clone(&newest),
        shared: Arc::clone(&shared),
        stopper: stopper.clone(),
        feeder: Arc::clone(&feeder),
        addresses: Arc::clone(&addresses),
        certificates,
        parts: super::part::Parts::new(paths.clone()),
    });
    let for_remotes =
        remote::serve_tools(Arc::clone(&service), config.admin_group.clone(), asked_in);
    tokio::spawn(for_remotes);
    let doorkeeper = Doorkeeper::load(&paths, config.cluster)?;
    let for_peers = Arc::clone(&service) as Arc<dyn rpc::PeerService>;
    let _peers_door = rpc::serve_peers(
        addresses.peers(),
        &keys,
        raft.clone(),
        doorkeeper,
        for_peers,
    )
    .await?;
    let _tools_door = rpc::serve_tools(&paths.socket, &config.admin_group, service).await?;
    start_guard(&paths, &program, &feeder).await;

    let state = raft.local();
    let role = state.members.get(&me).map_or(config.role, |m| m.role);
    let router = Router {
        me,
        name: name.clone(),
        raft: raft.clone(),
        peers,
        presence,
        coordinator,
        executor: executor.clone(),
        fencer,
        attributes,
        alerts: alerts.clone(),
        links,
        members_told: None,
        reports: reports::Writer::start(
            raft.clone(),
            executor.clone(),
            (me, name.clone()),
            teller.clone(),
        ),
        teller,
        asks: asks.clone(),
        newest,
        shared: Arc::clone(&shared),
        knowledge: Knowledge {
            started: Mono::now(),
            held: None,
            life: None,
            leadership: raft::Leadership::default(),
            caught_up: None,
            patience_ms: timing.presence.lease_ms + 2 * timing.presence.suspect_ms,
            runs_resources: role.runs_resources(),
            leaving_alone: false,
            undecided: false,
        },
        authority: Authority::None,
        cib: state.cib.clone(),
        overlay: false,
        unheard: 0,
        index: state.index,
        stop_deadline_ms: timing.presence.stop_deadline_ms,
        lost_at: None,
        killed: false,
        feeder: Arc::clone(&feeder),
        describe: super::outside::describe(&paths.data, &config),
        new_guard: {
            let data = paths.data.clone();
            Box::new(move || spawn_guard(&data, &program))
        },
        new_guard_at: Mono::now(),
        lease_until: Mono(0),
        term_told: Term(0),
        voters: Vec::new(),
        pledged: None,
        loss_told: None,
        spare_at: Mono::now(),
        lease_ms: timing.presence.lease_ms + timing.presence.drift_ms,
        watchdogs: BTreeMap::new(),
        watchdog: Look::new(config.watchdog.is_some()),
    };
    let inbox = Inbox {
        changes,
        presence: presence_out,
        coordinator: coordinator_out,
        executor: executor_out,
        fencer: fencer_out,
        attributes: attributes_out,
        asks: asks_in,
        wants: raft.wants().context("somebody else listens to raft")?,
    };
    let routing = tokio::spawn(router.run(inbox));
    tokio::spawn(addresses.follow(raft.clone()));
    tokio::spawn(super::housekeeping::keep(raft.clone(), name.clone()));
    if let Some(file) = std::env::var_os(crate::clock::LAB_CLOCK) {
        tokio::spawn(super::housekeeping::follow_clock(file.into()));
    }
    // Without systemd there is nobody to notify.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("{name} (node {me}) is up");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        () = stopper.wanted() => None,
        why = raft.stopped() => Some(format!("raft has stopped: {why}")),
        ended = routing => Some(format!("the daemon's loop has ended: {ended:?}")),
    };
    if let Some(why) = broken {
        // Without raft this node neither hears nor says what runs: its guard stops it in time.
        anyhow::bail!("{why}");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    if role == MemberRole::Witness {
        tracing::info!("{name} leaves");
    } else {
        stop::leave(&raft, me, &name, &asks, &shared, timing.leave).await;
    }
    executor.send(executor::Event::Leaving).await;
    if raft.leadership().borrow().mine
        && raft.local().members.len() > 1
        && let Err(e) = raft.step_down(None).await
    {
        tracing::info!("nobody took over leadership: {e}");
    }
    if executor.picture().active.is_empty() {
        raft.leave().await;
    }
    raft.shutdown().await;
    feeder.lock().expect("no panic while held").bye();
    alerts.finish().await;
    tracing::info!("{name} has left");
    Ok(())
}

/// A certificate that has ended is replaced before anybody is shown it, where this node can do that.
fn keyring(paths: &Paths, config: &NodeConfig) -> anyhow::Result<rpc::Keyring> {
    let until_s = rpc::good_until(&crate::cib::Cib::default(), wall_s());
    if let Err(e) = rpc::renew_if_ended(paths, config, wall_s(), until_s) {
        tracing::error!("{e}");
    }
    Ok(rpc::Keyring::load(paths, config.cluster, config.node)?)
}

/// What presence needs of the keyring, which it does not know.
fn lease_tls(keys: &rpc::Keyring, cluster: uuid::Uuid) -> presence::Tls {
    let (server, client, peer_of) = (keys.clone(), keys.clone(), keys.clone());
    let (revision, round) = (keys.clone(), keys.clone());
    presence::Tls {
        server: Arc::new(move || server.server(true)),
        client: Arc::new(move || client.client()),
        server_name: rpc::any_node(cluster),
        peer_of: Arc::new(move |der| peer_of.member_of(der)),
        revision: Arc::new(move || revision.revision()),
        round: Arc::new(move || round.round()),
    }
}

/// All durations of a node.
struct Timing {
    presence: presence::Timing,
    raft: raft::Timing,
    startup_grace_ms: u64,
    leave: Duration,
}

fn timing(config: &NodeConfig, profile: Option<&str>) -> anyhow::Result<Timing> {
    let profile = match profile {
        None => config.profile,
        Some("fast") => Profile::Fast,
        Some("normal") => Profile::Normal,
        Some("wan") => Profile::Wan,
        Some(other) => {
            anyhow::bail!("`{other}` is not a timing profile: use fast, normal or wan")
        }
    };
    let (presence, raft) = match profile {
        Profile::Fast => (presence::Timing::FAST, raft::Timing::default()),
        Profile::Normal => (presence::Timing::NORMAL, raft::Timing::default()),
        Profile::Wan => (presence::Timing::WAN, raft::Timing::scaled(5)),
    };
    // spec cluster §12.2: dc-deadtime, shutdown-escalation.
    Ok(Timing {
        presence,
        raft,
        startup_grace_ms: 20_000,
        leave: Duration::from_secs(20 * 60),
    })
}

/// The directory that was named, or the usual places.
pub(super) fn paths(dir: Option<&Path>) -> Paths {
    match dir {
        Some(dir) => Paths::new(Some(dir.to_owned())),
        None => Paths::from_env(),
    }
}

/// Directories, agents, and the links by which agents find our tools.
pub(super) fn prepare(paths: &Paths, program: &Path) -> anyhow::Result<()> {
    crate::agents::install(&paths.data.join("agents"), program)?;
    let made = crate::cli::links::make(&paths.data.join("tools"), program, true)?;
    for (path, what) in &made.left {
        tracing::warn!(
            "agents do not find our tool {}: it is {what}",
            path.display()
        );
    }
    Ok(())
}

fn executor_config(
    paths: &Paths,
    config: &NodeConfig,
    raft: &Raft,
    feeder: &Arc<Mutex<Feeder>>,
) -> executor::shell::Config {
    let feeder = Arc::clone(feeder);
    let tell = move |rsc: &_, stop: Option<&_>| {
        let mut feeder = feeder.lock().expect("no panic while held");
        feeder.resource(rsc, stop)
    };
    executor::shell::Config {
        place: place(paths, &config.name),
        limit: executor::shell::Config::usual_limit(),
        state_dir: paths.data.join("executor"),
        run_dir: paths.data.join("run"),
        last_call: last_call(raft, config),
        guard: Some(executor::shell::Guard(Arc::new(tell))),
    }
}

/// Where this node's agents find what they need.
pub(super) fn place(paths: &Paths, name: &NodeName) -> Place {
    let dir = &paths.data;
    let ocf_root = std::env::var_os("OCF_ROOT").unwrap_or_else(|| OsString::from("/usr/lib/ocf"));
    Place {
        node: name.clone(),
        ocf_root: ocf_root.into(),
        own_agents: dir.join("agents"),
        tools: dir.join("tools"),
        rsctmp: dir.join("run/rsctmp"),
        secrets: dir.join("secrets"),
        fence_agents: vec!["/usr/sbin".into()],
        bus: None,
        units: "/run/systemd/system".into(),
        extra_env: reached_by(paths),
    }
}

/// How the tools that agents call find this daemon. In the usual places they look there by themselves, and the directory
/// would lead them to a socket that is not in it.
fn reached_by(paths: &Paths) -> Vec<(String, String)> {
    let dir = Some(paths.data.clone());
    if Paths::new(dir).socket != paths.socket {
        return Vec::new();
    }
    vec![("SYSTOLE_DIR".into(), paths.data.display().to_string())]
}

/// The greatest call id that the CIB has of this node.
fn last_call(raft: &Raft, config: &NodeConfig) -> i64 {
    let state = raft.local();
    let entries = crate::cib::status::history::of_node(&state.cib, &config.node.to_string());
    entries.iter().map(|entry| entry.call_id).max().unwrap_or(0)
}

fn fencer_config(paths: &Paths, config: &NodeConfig) -> fencer::shell::Config {
    let place = place(paths, &config.name);
    fencer::shell::Config {
        node: config.name.clone(),
        place: fencer::agent::Place {
            agents: vec!["/usr/sbin".into(), paths.data.join("agents/fence")],
            path: place.path(),
            secrets: place.secrets.clone(),
            extra_env: place.extra_env.clone(),
        },
    }
}

/// What alert agents find in their environment besides the event.
fn alert_config(paths: &Paths, config: &NodeConfig) -> crate::alerts::shell::Config {
    let place = place(paths, &config.name);
    let mut env = vec![
        ("PATH".into(), place.path()),
        ("LANG".into(), "C".into()),
        ("HA_SBIN_DIR".into(), place.tools.display().to_string()),
    ];
    env.extend(place.extra_env);
    crate::alerts::shell::Config {
        env,
        user: alert_user(),
        own: place.own_agents.join("alert"),
        register: Some(paths.data.join("run/alerts")),
    }
}

/// As whom alert agents run: as the user that people's scripts know, where there is one. // spec cluster §17.2
fn alert_user() -> Option<crate::alerts::shell::User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name("hacluster").ok().flatten()?;
    let ids = (user.uid.as_raw(), user.gid.as_raw());
    // In a user namespace of our own most users are not there.
    let maps = [("/proc/self/uid_map", ids.0), ("/proc/self/gid_map", ids.1)];
    let there = maps.iter().all(|(file, id)| is_mapped(file, *id));
    there.then_some(crate::alerts::shell::User {
        ids,
        home: user.dir,
        name: user.name,
    })
}

fn is_mapped(file: &str, id: u32) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        matches!((first, count), (Some(Ok(first)), Some(Ok(count)))
            if (first..first + count).contains(&u64::from(id)))
    })
}

/// What the coordinator asks: the policy on this CIB, now, with what the decision before left. The input of what leads to a
/// transition is stored, to be explained later.
fn plan(cib: &crate::cib::Cib, before: i64, kept: &mut Kept, keeper: &Keeper) -> Graph {
    let now_s = wall_s();
    let input = policy::Input {
        causes: false,
        scores: false,
        ..policy::Input::at(now_s)
    };
    let outcome = policy::schedule_again(cib.root(), &input, kept);
    let violations = graph::check_against(&outcome.graph, cib.root());
    let (blocked, wrong): (Vec<_>, Vec<_>) = violations
        .into_iter()
        .partition(|one| one.rule.only_blocks());
    let series = if !wrong.is_empty() {
        Series::Error
    } else if !blocked.is_empty() || !outcome.warnings.is_empty() {
        Series::Warn
    } else {
        Series::Input
    };
    if !outcome.graph.is_empty() {
        keeper.keep(Decided {
            cib: cib.clone(),
            now_s,
            transition: before + 1,
            series,
            keep: crate::cib::config::options::integer(cib, series.option()),
            outcome: inputs::fingerprint(&outcome.graph),
        });
    }
    for violation in &blocked {
        tracing::warn!(
            "part of the plan can't be carried out: {violation}; see `crm explain --transition`"
        );
    }
    if wrong.is_empty() {
        return outcome.graph;
    }
    // The policy broke a rule that every graph obeys: nothing of it is done.
    for violation in wrong {
        tracing::error!(
            "the policy's graph is wrong, so nothing is done: {violation}; its input is kept, see `crm history`"
        );
    }
    Graph::default()
}

/// A guard outlives its daemon; only the first daemon of a node starts one. One that is just stopping what ran here
/// before is waited for: the cluster is to see what is left then.
async fn start_guard(paths: &Paths, program: &Path, feeder: &Mutex<Feeder>) {
    let connected = || feeder.lock().expect("no panic while held").connect();
    if connected() {
        return;
    }
    spawn_guard(&paths.data, program);
    let mut told = Mono::now();
    while !connected() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if Mono::now().since(told) < u64::from(GUARD_MS) {
            continue;
        }
        told = Mono::now();
        if !guard::is_there(&paths.data) {
            tracing::error!("the guard does not answer, so nothing will be started on this node");
            return;
        }
        tracing::warn!(
            "what ran here before is still being stopped; this node takes part when that has ended"
        );
        // Nothing is wrong: systemd has to wait, too, if it is systemd that started this.
        let more = sd_notify::NotifyState::ExtendTimeoutUsec(2_000 * GUARD_MS);
        let _ = sd_notify::notify(&[more]);
    }
}

/// How long a daemon waits for a guard that does not come, in milliseconds, and how often it says that it waits for one that
/// is at work.
const GUARD_MS: u32 = 30_000;

/// Starts a guard. A second one waits until the first has ended.
fn spawn_guard(data: &Path, program: &Path) {
    let args = ["guard".as_ref(), "--dir".as_ref(), data.as_os_str()];
    if let Err(e) = crate::process::detach(program, &args) {
        tracing::error!("this node has no guard, so nothing can be started on it: {e}");
    }
}

/// What `systole guard` does.
pub fn guard_process(dir: Option<&Path>) -> ExitCode {
    super::log::init();
    let paths = paths(dir);
    let config = match NodeConfig::load(&paths) {
        Ok(config) => config,
        Err(e) => {
            tracing::error!("{e}");
            return ExitCode::from(CrmExit::CONFIG.0.try_into().unwrap_or(1));
        }
    };
    let place = place(&paths, &config.name);
    let agents = paths.data.join("run/agents");
    let watchdog = config.watchdog.as_ref().map(|watchdog| {
        let timeout_ms = watchdog.timeout_ms().unwrap_or_else(|e| {
            tracing::error!("the timeout of the watchdog is taken for 5s: {e}");
            5_000
        });
        guard::Wanted {
            device: watchdog.device.clone(),
            timeout_ms,
        }
    });
    match guard::run(&guard::socket_of(&paths.data), watchdog.as_ref(), |calls| {
        // A start that goes on unseen could end after its stop.
        let killed = crate::process::kill_leftovers(&agents);
        if killed > 0 {
            tracing::warn!("killed {killed} agents that the daemon was running");
        }
        stop_all(&place, calls)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("the guard cannot listen: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Stops everything at once; what does not stop in time is killed. True when everything has certainly stopped.
fn stop_all(place: &Place, calls: &[guard::StopCall]) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return false;
    };
    runtime.block_on(async {
        let stops = calls.iter().map(|call| {
            let invocation = executor::Invocation {
                agent: call.agent.clone(),
                rsc: call.rsc.clone(),
                task: "stop".into(),
                params: call.params.clone(),
                timeout_ms: call.timeout_ms,
                kill_process_only: false,
            };
            async move {
                let never = std::future::pending();
                let mut outcome =
                    executor::shell::run_agent(place, invocation.clone(), None, None, never).await;
                if outcome.rc != OcfExit::OK && systemd::is_unit(&call.agent) {
                    let kill = executor::Invocation {
                        task: systemd::KILL.into(),
                        ..invocation
                    };
                    let never = std::future::pending();
                    outcome = executor::shell::run_agent(place, kill, None, None, never).await;
                }
                tracing::warn!("{}: stopped by the guard: {}", call.rsc, outcome.rc.text());
                outcome.rc == OcfExit::OK
            }
        });
        let stopped = futures_util::future::join_all(stops).await;
        stopped.into_iter().all(|stopped| stopped)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_agents_look_where_the_socket_is() {
        assert_eq!(reached_by(&Paths::new(None)), []);
        let own = reached_by(&Paths::new(Some("/srv/n1".into())));
        assert_eq!(own, [("SYSTOLE_DIR".to_owned(), "/srv/n1".to_owned())]);
    }
}
