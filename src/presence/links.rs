//! The connections of presence: to each address of the leader, and from each address of those that ask us. Every question
//! goes over all of them, and so does every answer: the loss of one network costs no lease any time. The machine knows
//! copies from news.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::shell::Tls;
use super::vocab::{Event, Grant, Renewal};
use crate::process::cannot_listen;
use crate::terms::NodeId;

/// Largest message: a renewal is a few dozen bytes.
const MAX_FRAME: usize = 512;
/// Between two attempts to listen on an address that is not there.
const AGAIN: Duration = Duration::from_secs(2);
/// A dead host must not hold a connection for the minutes that TCP retries by itself.
const SILENCE: Duration = Duration::from_secs(1);

thread_local! {
    /// Open connections of those that ask us, by node.
    static ASKERS: RefCell<BTreeMap<NodeId, Vec<mpsc::Sender<Grant>>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Answers a node, over every path that it has opened.
pub(super) fn answer(to: NodeId, grant: &Grant) {
    ASKERS.with_borrow(|askers| {
        for asker in askers.get(&to).into_iter().flatten() {
            // A path that is stuck misses this grant: the next one says the same.
            let _ = asker.try_send(grant.clone());
        }
    });
}

/// Where this node listens for leases.
pub(super) struct Entrances {
    tls: Tls,
    events: mpsc::Sender<Event>,
    open: BTreeMap<SocketAddr, AbortHandle>,
    told: BTreeMap<SocketAddr, String>,
}

impl Entrances {
    /// Opened before, so that a daemon that can listen nowhere says so when it starts.
    pub(super) fn new(
        tls: Tls,
        events: mpsc::Sender<Event>,
        opened: Vec<(SocketAddr, std::net::TcpListener)>,
    ) -> Self {
        let mut entrances = Self {
            tls,
            events,
            open: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        for (address, listener) in opened {
            entrances.enter(address, Ok(listener));
        }
        entrances
    }

    /// Follows what is wanted; what can't be listened on is tried again and again.
    pub(super) async fn keep(mut self, mut wanted: watch::Receiver<Vec<SocketAddr>>) {
        loop {
            let addresses = wanted.borrow_and_update().clone();
            self.adjust(&addresses);
            let missing = !self.told.is_empty();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() {
                    // Nobody can want anything else any more.
                    std::future::pending::<()>().await;
                },
                () = tokio::time::sleep(AGAIN), if missing => {}
            }
        }
    }

    fn adjust(&mut self, wanted: &[SocketAddr]) {
        self.open.retain(|address, entrance| {
            let stays = wanted.contains(address);
            if !stays {
                entrance.abort();
            }
            stays
        });
        self.told.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if !self.open.contains_key(address) {
                self.enter(*address, listen(*address));
            }
        }
    }

    fn enter(&mut self, address: SocketAddr, listener: std::io::Result<std::net::TcpListener>) {
        match listener.and_then(TcpListener::from_std) {
            Ok(listener) => {
                if self.told.remove(&address).is_some() {
                    tracing::info!("listening for leases on {address} now");
                }
                let accepting = accept(listener, self.tls.clone(), self.events.clone());
                let task = tokio::task::spawn_local(accepting);
                self.open.insert(address, task.abort_handle());
            }
            Err(e) => {
                let why = cannot_listen(address, &e);
                if self.told.get(&address) != Some(&why) {
                    tracing::warn!("failed to listen for leases: {why}");
                }
                self.told.insert(address, why);
            }
        }
    }
}

/// A listener that is not yet part of a runtime.
pub(super) fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
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
    tune(&stream)?;
    let handshake = TlsAcceptor::from((tls.server)()).accept(stream);
    let stream = tokio::time::timeout(Duration::from_secs(2), handshake)
        .await
        .map_err(|_| std::io::Error::other("no handshake within 2 s"))??;
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = certificate.and_then(|chain| chain.first()).cloned();
    let certificate =
        certificate.ok_or_else(|| std::io::Error::other("no certificate was shown"))?;
    let unbelieved = || std::io::Error::other("the certificate names no node, or is an old one");
    let mut revision = (tls.revision)();
    let node = (tls.peer_of)(&certificate).ok_or_else(unbelieved)?;
    let (mut read, mut write) = tokio::io::split(stream);
    let (grants_in, mut grants) = mpsc::channel::<Grant>(8);
    let mine = grants_in.clone();
    ASKERS.with_borrow_mut(|askers| askers.entry(node).or_default().push(grants_in));
    let writing = async {
        while let Some(grant) = grants.recv().await {
            send(&mut write, &grant).await?;
        }
        Ok(())
    };
    let reading = async {
        loop {
            let renewal = receive::<Renewal>(&mut read).await?;
            if (tls.revision)() != revision {
                revision = (tls.revision)();
                (tls.peer_of)(&certificate).ok_or_else(unbelieved)?;
            }
            // The certificate says who asks, not the message.
            if renewal.node != node {
                return Err(std::io::Error::other(format!(
                    "node {node} asked in the name of node {}",
                    renewal.node
                )));
            }
            if events.send(Event::Renewal(renewal)).await.is_err() {
                return Ok(());
            }
        }
    };
    // A path that is cut ends with what is written to it: nothing comes in that would tell.
    let result = tokio::select! {
        result = reading => result,
        result = writing => result,
    };
    if result.as_ref().is_err_and(is_hang_up) {
        let _ = events.send(Event::HungUp(node)).await;
    }
    ASKERS.with_borrow_mut(|askers| {
        if let Some(paths) = askers.get_mut(&node) {
            paths.retain(|path| !path.same_channel(&mine));
        }
    });
    result
}

/// Keeps a connection to one address of a node while there is something to ask it.
pub(super) fn link(
    to: NodeId,
    address: SocketAddr,
    tls: Tls,
    patience: Duration,
    events: mpsc::Sender<Event>,
) -> mpsc::Sender<Renewal> {
    let (renewals_in, mut renewals) = mpsc::channel::<Renewal>(2);
    tokio::task::spawn_local(async move {
        while let Some(mut renewal) = renewals.recv().await {
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
    tune(&stream)?;
    TlsConnector::from((tls.client)())
        .connect(tls.server_name.clone(), stream)
        .await
}

fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    // What is lost is sent again after the same short time, however often.
    let _ = socket.set_tcp_thin_linear_timeouts(true);
    socket.set_tcp_user_timeout(Some(SILENCE))
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
