//! The thread of presence: its connections (`links.rs`), and a clock. It shares nothing with the rest of the daemon but
//! channels, so that a busy daemon does not lose its lease.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::sync::{mpsc, watch};

use super::links::{self, Entrances};
use super::machine::Machine;
use super::timing::Timing;
use super::vocab::{Effect, Event, Renewal, View};
use crate::clock::Mono;
use crate::process::cannot_listen;
use crate::terms::{NodeId, Term};

/// Connections made with a former certificate are used for so long beside the new ones.
pub const OVERLAP_MS: u64 = 2_000;
/// Events waiting for the thread; the daemon waits when it is full.
const QUEUE: usize = 256;

/// One of two connections to the same address. Where packets get lost, TCP waits longer and longer before it sends one
/// again, and holds back all that comes after it. The second connection stands ready for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    First,
    Second,
}

/// Which lanes the next question takes: both where the one before has no answer yet.
#[derive(Debug, Default)]
struct Lanes {
    asked: u64,
    waiting: bool,
}

impl Lanes {
    /// Of how many questions one takes both lanes anyway, which keeps the second connection open.
    const KEPT_WARM: u64 = 10;

    fn of_next_question(&mut self) -> &'static [Lane] {
        let both = self.waiting || self.asked.is_multiple_of(Self::KEPT_WARM);
        self.asked += 1;
        self.waiting = true;
        match both {
            true => &[Lane::First, Lane::Second],
            false => &[Lane::First],
        }
    }

    fn answered(&mut self) {
        self.waiting = false;
    }
}

/// Who may speak with whom, and how.
#[derive(Clone)]
pub struct Tls {
    /// For connections that come in, as it is at the moment.
    pub server: Arc<dyn Fn() -> Arc<rustls::ServerConfig> + Send + Sync>,
    /// For connections to the leader, likewise.
    pub client: Arc<dyn Fn() -> Arc<rustls::ClientConfig> + Send + Sync>,
    /// The name which peers' certificates carry.
    pub server_name: ServerName<'static>,
    /// The node that a verified certificate belongs to; none when that has a newer one.
    pub peer_of: Arc<dyn Fn(&[u8]) -> Option<NodeId> + Send + Sync>,
    /// Changes when `peer_of` may say something else.
    pub revision: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Changes when this node has another certificate, and its connections are to be made anew.
    pub round: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// What the thread needs to know at start.
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Drawn at random by the daemon.
    pub incarnation: u64,
    /// How long is long.
    pub timing: Timing,
    /// Where to listen at present.
    pub listen: watch::Receiver<Vec<SocketAddr>>,
    /// Encryption.
    pub tls: Tls,
    /// The newest term seen by raft's log store; raised before a vote leaves this node.
    pub highest_term: Arc<AtomicU64>,
}

/// The daemon's end of the thread.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    /// Where each node listens for presence.
    addresses: Arc<Mutex<BTreeMap<NodeId, Vec<SocketAddr>>>>,
    view: watch::Receiver<View>,
}

impl Handle {
    /// Tells the thread what happened. Waits while its queue is full.
    pub async fn tell(&self, event: Event) {
        // A thread that is gone means that the daemon is going, too.
        let _ = self.events.send(event).await;
    }

    /// Says where the nodes listen from now on.
    pub fn set_addresses(&self, addresses: BTreeMap<NodeId, Vec<SocketAddr>>) {
        *self.addresses.lock().expect("no panic while held") = addresses;
    }

    /// The newest picture.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }
}

/// Starts the thread. Its judgements arrive on the returned channel.
///
/// # Errors
/// Fails when none of the addresses can be listened on, naming them.
pub fn spawn(settings: Settings) -> std::io::Result<(Handle, mpsc::UnboundedReceiver<Effect>)> {
    let mut opened = Vec::new();
    let mut failed = Vec::new();
    for address in settings.listen.borrow().iter() {
        match links::listen(*address) {
            Ok(listener) => opened.push((*address, listener)),
            Err(e) => failed.push(cannot_listen(*address, &e)),
        }
    }
    if opened.is_empty() {
        let why = format!("failed to listen for leases: {}", failed.join("; "));
        return Err(std::io::Error::other(why));
    }
    let (events, events_in) = mpsc::channel(QUEUE);
    let (effects, effects_out) = mpsc::unbounded_channel();
    let (view_in, view) = watch::channel(View::default());
    let handle = Handle {
        events: events.clone(),
        addresses: Arc::default(),
        view,
    };
    let addresses = Arc::clone(&handle.addresses);
    std::thread::Builder::new()
        .name("presence".into())
        .spawn(move || {
            // The lease must be renewed on a loaded machine, too.
            if let Err(e) = crate::process::favour_this_thread() {
                tracing::debug!("presence runs without realtime scheduling: {e}");
            }
            let runtime = match tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            {
                Ok(runtime) => runtime,
                Err(e) => {
                    tracing::error!("presence has no runtime, so this node holds no lease: {e}");
                    return;
                }
            };
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let entrances = Entrances::new(settings.tls.clone(), events.clone(), opened);
                tokio::task::spawn_local(entrances.keep(settings.listen.clone()));
                run(settings, events_in, events, effects, view_in, addresses).await;
            });
        })?;
    Ok((handle, effects_out))
}

async fn run(
    settings: Settings,
    mut events_in: mpsc::Receiver<Event>,
    events: mpsc::Sender<Event>,
    effects_out: mpsc::UnboundedSender<Effect>,
    view: watch::Sender<View>,
    addresses: Arc<Mutex<BTreeMap<NodeId, Vec<SocketAddr>>>>,
) {
    let mut machine = Machine::new(settings.node, settings.incarnation, settings.timing);
    // By address, by the certificate with which they were made, and by lane.
    let mut links: BTreeMap<(NodeId, SocketAddr, u64, Lane), mpsc::Sender<Renewal>> =
        BTreeMap::new();
    let mut lanes = Lanes::default();
    let (mut round, mut since) = ((settings.tls.round)(), Mono::now());
    let patience = Duration::from_millis(settings.timing.suspect_ms.max(100));
    let mut effects = Vec::new();
    let mut seen_term = 0;
    loop {
        let now = Mono::now();
        let event = tokio::select! {
            biased;
            event = events_in.recv() => match event {
                Some(event) => event,
                None => return,
            },
            () = tokio::time::sleep(machine.wake_at(now).wait_from(now)) => Event::Tick,
        };
        let now = Mono::now();
        let term = settings.highest_term.load(Ordering::Acquire);
        if term > seen_term {
            seen_term = term;
            machine.step(now, Event::TermSeen(Term(term)), &mut effects);
        }
        if matches!(event, Event::Grant { .. }) {
            lanes.answered();
        }
        machine.step(now, event, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Ask(to, renewal) => {
                    let known = {
                        let addresses = addresses.lock().expect("no panic while held");
                        addresses.get(&to).cloned().unwrap_or_default()
                    };
                    if (settings.tls.round)() != round {
                        (round, since) = ((settings.tls.round)(), now);
                    }
                    // Until the new ones are there, the same is asked over the old ones, too.
                    let overlap = now.since(since) < OVERLAP_MS;
                    links.retain(|(node, address, made, _), _| {
                        let fits = *node != to || known.contains(address);
                        fits && (*made == round || overlap)
                    });
                    let taken = lanes.of_next_question();
                    for address in known {
                        for lane in taken {
                            let link = links.entry((to, address, round, *lane));
                            let link = link.or_insert_with(|| {
                                let (tls, events) = (settings.tls.clone(), events.clone());
                                links::link(to, address, tls, patience, events)
                            });
                            // A link that is stuck drops renewals: the next one says the same.
                            let _ = link.try_send(renewal.clone());
                        }
                    }
                    for ((node, _, made, _), link) in &links {
                        if *node == to && *made != round {
                            let _ = link.try_send(renewal.clone());
                        }
                    }
                }
                Effect::Answer(to, grant) => links::answer(to, &grant),
                other => {
                    let _ = effects_out.send(other);
                }
            }
        }
        view.send_replace(machine.view(now));
    }
}
