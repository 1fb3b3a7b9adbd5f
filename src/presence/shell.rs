//! The thread of presence: one listener, one connection to the leader, and a clock. It shares
//! nothing with the rest of the daemon but channels, so that a busy daemon does not lose its lease.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::machine::Machine;
use super::timing::Timing;
use super::vocab::{Effect, Event, Grant, Renewal, View};
use crate::clock::Mono;
use crate::terms::{NodeId, Term};

/// Largest message: a renewal is a few dozen bytes.
const MAX_FRAME: usize = 512;
/// Events waiting for the thread; the daemon waits when it is full.
const QUEUE: usize = 256;

/// Who may speak with whom, and how.
#[derive(Clone)]
pub struct Tls {
    /// For connections that come in.
    pub server: Arc<rustls::ServerConfig>,
    /// For the connection to the leader.
    pub client: Arc<rustls::ClientConfig>,
    /// The name which peers' certificates carry.
    pub server_name: ServerName<'static>,
    /// The node that a verified certificate belongs to.
    pub peer_of: fn(&[u8]) -> Option<NodeId>,
}

/// What the thread needs to know at start.
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Drawn at random by the daemon.
    pub incarnation: u64,
    /// How long is long.
    pub timing: Timing,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
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
/// Fails when an address cannot be listened on, naming it.
pub fn spawn(settings: Settings) -> std::io::Result<(Handle, mpsc::UnboundedReceiver<Effect>)> {
    let mut listeners = Vec::new();
    for address in &settings.listen {
        let listener = std::net::TcpListener::bind(address).map_err(|e| {
            std::io::Error::new(
                e.kind(),
                format!("failed to listen on {address} for leases: {e}"),
            )
        })?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
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
            favour_this_thread();
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
                for listener in listeners {
                    match TcpListener::from_std(listener) {
                        Ok(l) => {
                            tokio::task::spawn_local(accept(
                                l,
                                settings.tls.clone(),
                                events.clone(),
                            ));
                        }
                        Err(e) => tracing::error!("presence cannot listen: {e}"),
                    }
                }
                run(settings, events_in, events, effects, view_in, addresses).await;
            });
        })?;
    Ok((handle, effects_out))
}

/// Realtime scheduling where it is permitted: the lease must be renewed on a loaded machine, too.
fn favour_this_thread() {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let priority =
        ThreadPriority::from_posix(thread_priority::ScheduleParams { sched_priority: 10 });
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    if let Err(e) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        tracing::debug!("presence runs without realtime scheduling: {e:?}");
    }
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
    let mut links: BTreeMap<NodeId, mpsc::Sender<Renewal>> = BTreeMap::new();
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
        machine.step(now, event, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Ask(to, renewal) => {
                    let link = links.entry(to).or_insert_with(|| {
                        link(to, &settings, Arc::clone(&addresses), events.clone())
                    });
                    // A link that is stuck drops renewals: the next one says the same.
                    let _ = link.try_send(renewal);
                }
                Effect::Answer(to, grant) => answer(to, grant),
                other => {
                    let _ = effects_out.send(other);
                }
            }
        }
        view.send_replace(machine.view(now));
    }
}

thread_local! {
    /// Open connections of those that ask us, by node: answers go back where the question came from.
    static ASKERS: std::cell::RefCell<BTreeMap<NodeId, mpsc::Sender<Grant>>> =
        const { std::cell::RefCell::new(BTreeMap::new()) };
}

fn answer(to: NodeId, grant: Grant) {
    ASKERS.with_borrow(|askers| {
        if let Some(asker) = askers.get(&to) {
            let _ = asker.try_send(grant);
        }
    });
}

/// Serves the nodes that ask us.
async fn accept(listener: TcpListener, tls: Tls, events: mpsc::Sender<Event>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("failed to accept a presence connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, events) = (tls.clone(), events.clone());
        tokio::task::spawn_local(async move {
            if let Err(e) = serve(stream, tls, events).await {
                tracing::debug!("presence connection ended: {e}");
            }
        });
    }
}

async fn serve(
    stream: TcpStream,
    tls: Tls,
    events: mpsc::Sender<Event>,
) -> Result<(), std::io::Error> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream);
    let stream = tokio::time::timeout(Duration::from_secs(2), handshake)
        .await
        .map_err(|_| std::io::Error::other("no handshake within 2 s"))??;
    let node = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|cert| (tls.peer_of)(cert.as_ref()))
        .ok_or_else(|| std::io::Error::other("the certificate names no node"))?;
    let (mut read, mut write) = tokio::io::split(stream);
    let (grants_in, mut grants) = mpsc::channel::<Grant>(8);
    let mine = grants_in.clone();
    ASKERS.with_borrow_mut(|askers| askers.insert(node, grants_in));
    let writer = tokio::task::spawn_local(async move {
        while let Some(grant) = grants.recv().await {
            if send(&mut write, &grant).await.is_err() {
                return;
            }
        }
    });
    let result = loop {
        match receive::<Renewal>(&mut read).await {
            // The certificate says who asks, not the message.
            Ok(renewal) if renewal.node == node => {
                if events.send(Event::Renewal(renewal)).await.is_err() {
                    break Ok(());
                }
            }
            Ok(renewal) => {
                break Err(std::io::Error::other(format!(
                    "node {node} asked in the name of node {}",
                    renewal.node
                )));
            }
            Err(e) => break Err(e),
        }
    };
    writer.abort();
    if result.as_ref().is_err_and(is_hang_up) {
        let _ = events.send(Event::HungUp(node)).await;
    }
    ASKERS.with_borrow_mut(|askers| {
        if askers
            .get(&node)
            .is_some_and(|current| current.same_channel(&mine))
        {
            askers.remove(&node);
        }
    });
    result
}

/// Keeps a connection to one node while there is something to ask it.
fn link(
    to: NodeId,
    settings: &Settings,
    addresses: Arc<Mutex<BTreeMap<NodeId, Vec<SocketAddr>>>>,
    events: mpsc::Sender<Event>,
) -> mpsc::Sender<Renewal> {
    let (renewals_in, mut renewals) = mpsc::channel::<Renewal>(2);
    let tls = settings.tls.clone();
    let patience = Duration::from_millis(settings.timing.suspect_ms.max(100));
    tokio::task::spawn_local(async move {
        let mut turn = 0;
        while let Some(mut renewal) = renewals.recv().await {
            let known = addresses
                .lock()
                .expect("no panic while held")
                .get(&to)
                .cloned();
            let Some(address) = known.filter(|a| !a.is_empty()).map(|a| a[turn % a.len()]) else {
                continue;
            };
            turn += 1;
            let connected = tokio::time::timeout(patience, connect(address, &tls)).await;
            let stream = match connected {
                Ok(Ok(stream)) => stream,
                Ok(Err(e)) => {
                    tracing::debug!("presence cannot reach node {to} at {address}: {e}");
                    continue;
                }
                Err(_) => continue,
            };
            let (mut read, mut write) = tokio::io::split(stream);
            let events = events.clone();
            let reader = tokio::task::spawn_local(async move {
                let ended = loop {
                    match receive::<Grant>(&mut read).await {
                        Ok(grant) => {
                            if events.send(Event::Grant { from: to, grant }).await.is_err() {
                                return;
                            }
                        }
                        Err(e) => break e,
                    }
                };
                if is_hang_up(&ended) {
                    let _ = events.send(Event::HungUp(to)).await;
                }
            });
            loop {
                let sent = tokio::time::timeout(patience, send(&mut write, &renewal)).await;
                if !matches!(sent, Ok(Ok(()))) || reader.is_finished() {
                    break;
                }
                match renewals.recv().await {
                    Some(next) => renewal = next,
                    None => break,
                }
            }
            reader.abort();
        }
    });
    renewals_in
}

/// The other end was closed by its kernel. A machine without power, or behind a cut cable, says nothing.
fn is_hang_up(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(e.kind(), UnexpectedEof | ConnectionReset)
}

async fn connect(
    address: SocketAddr,
    tls: &Tls,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // A dead host must not hold a link for the minutes that TCP retries by itself.
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(Duration::from_secs(1)))?;
    TlsConnector::from(Arc::clone(&tls.client))
        .connect(tls.server_name.clone(), stream)
        .await
}

async fn send<W: AsyncWriteExt + Unpin, T: Serialize>(
    to: &mut W,
    value: &T,
) -> std::io::Result<()> {
    let body = postcard::to_stdvec(value).map_err(std::io::Error::other)?;
    let mut frame = Vec::with_capacity(body.len() + 2);
    frame.extend_from_slice(&(body.len() as u16).to_be_bytes());
    frame.extend_from_slice(&body);
    to.write_all(&frame).await?;
    to.flush().await
}

async fn receive<T: for<'a> Deserialize<'a>>(
    from: &mut (impl AsyncReadExt + Unpin),
) -> std::io::Result<T> {
    let length = usize::from(from.read_u16().await?);
    if length > MAX_FRAME {
        return Err(std::io::Error::other(format!(
            "a presence message of {length} bytes"
        )));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    postcard::from_bytes(&body).map_err(std::io::Error::other)
}
