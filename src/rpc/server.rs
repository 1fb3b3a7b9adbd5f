//! The door for peers: TLS first, then who it is, then what they want.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

use super::join::Doorkeeper;
use super::wire::Frame;
use super::wire::peer_server::{Peer, PeerServer};
use super::{
    Error, Keyring, MESSAGE_BYTES, PeerAnswer, PeerRequest, PeerService, convert, path, tls,
};
use crate::process::cannot_listen;
use crate::raft::Raft;
use crate::terms::NodeId;

/// A handshake must be over within this time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at one time; more wait.
pub(super) const HANDSHAKES: usize = 64;
/// Between two attempts to listen on an address that is not there.
const AGAIN: Duration = Duration::from_secs(2);
/// Calls that are known again. A second copy comes within the time that a kernel tries to send it, which is seconds.
const CALLS: usize = 1024;

/// The door is open for as long as this lives.
pub struct Listening {
    /// Where, with the ports that were chosen.
    pub addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Listening {
    pub(super) fn at(addresses: Vec<SocketAddr>, stop: watch::Sender<bool>) -> Self {
        Self { addresses, stop }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Opens the door, at all addresses that are wanted at present. One that is not there yet is tried again and again: a card
/// that is missing must not keep the node from being reached by another one.
///
/// # Errors
/// Names the addresses when none of them can be listened on.
pub async fn serve(
    wanted: watch::Receiver<Vec<SocketAddr>>,
    keys: &Keyring,
    raft: Raft,
    joins: Option<Doorkeeper>,
    service: Arc<dyn PeerService>,
) -> Result<Listening, Error> {
    let (stop, stopped) = watch::channel(false);
    let (streams, incoming) = mpsc::channel(HANDSHAKES);
    let mut entrances = Entrances {
        keys: keys.clone(),
        streams,
        stopped: stopped.clone(),
        open: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    entrances.adjust(&wanted.borrow());
    if entrances.open.is_empty() {
        let failed: Vec<String> = entrances.told.into_values().collect();
        return Err(Error::Listen {
            whom: "peers",
            detail: failed.join("; "),
        });
    }
    let bound = entrances.open.keys().copied().collect();
    tokio::spawn(entrances.keep(wanted));
    let door = Door {
        keys: keys.clone(),
        raft,
        joins: joins.map(Arc::new),
        service,
        calls: Mutex::default(),
    };
    let door = PeerServer::new(door)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let mut stopping = stopped;
    tokio::spawn(async move {
        let end = async move {
            // An error means that the door was dropped, which is the same.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let served = Server::builder()
            .add_service(door)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), end)
            .await;
        if let Err(e) = served {
            tracing::error!("no longer listening for peers: {e}");
        }
    });
    Ok(Listening {
        addresses: bound,
        stop,
    })
}

/// Where this node listens.
struct Entrances {
    keys: Keyring,
    streams: mpsc::Sender<std::io::Result<Connection>>,
    stopped: watch::Receiver<bool>,
    open: BTreeMap<SocketAddr, AbortHandle>,
    /// Addresses that can't be listened on, and why.
    told: BTreeMap<SocketAddr, String>,
}

impl Entrances {
    /// Connections that were accepted at an address outlive its being listened on.
    fn adjust(&mut self, wanted: &[SocketAddr]) {
        self.open.retain(|address, entrance| {
            let stays = wanted.contains(address);
            if !stays {
                tracing::info!("no longer listening for peers on {address}");
                entrance.abort();
            }
            stays
        });
        self.told.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if self.open.contains_key(address) {
                continue;
            }
            match listen(*address) {
                Ok(listener) => {
                    if self.told.remove(address).is_some() {
                        tracing::info!("listening for peers on {address} now");
                    }
                    let keys = self.keys.clone();
                    let entrance = tokio::spawn(accept(
                        listener,
                        move |stream| greet(stream, keys.clone()),
                        self.streams.clone(),
                        self.stopped.clone(),
                    ));
                    self.open.insert(*address, entrance.abort_handle());
                }
                Err(e) => {
                    let why = cannot_listen(*address, &e);
                    if self.told.get(address) != Some(&why) {
                        tracing::warn!("failed to listen for peers: {why}");
                    }
                    self.told.insert(*address, why);
                }
            }
        }
    }

    async fn keep(mut self, mut wanted: watch::Receiver<Vec<SocketAddr>>) {
        let mut stopped = self.stopped.clone();
        // When nobody can want anything else any more, what is open stays open.
        let mut fixed = false;
        loop {
            let missing = !self.told.is_empty();
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(AGAIN), if missing => {}
                changed = wanted.changed(), if !fixed => fixed = changed.is_err(),
            }
            let addresses = wanted.borrow_and_update().clone();
            self.adjust(&addresses);
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Takes connections until it is stopped, and hands on those that `greet` lets in.
pub(super) async fn accept<Greeting>(
    listener: TcpListener,
    greet: impl Fn(TcpStream) -> Greeting,
    streams: mpsc::Sender<std::io::Result<Connection>>,
    mut stop: watch::Receiver<bool>,
) where
    Greeting: Future<Output = std::io::Result<Connection>> + Send + 'static,
{
    let limit = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of file descriptors, for instance: trying again at once would only burn time.
                tracing::warn!("failed to accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&limit).acquire_owned().await else {
            return;
        };
        let (greeting, streams) = (greet(stream), streams.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, greeting).await {
                Ok(Ok(connection)) => {
                    // Nobody takes it: the daemon is stopping.
                    let _ = streams.send(Ok(connection)).await;
                }
                Ok(Err(e)) => {
                    tracing::warn!("refused a connection from {from}: {}", tls::explain(&e));
                }
                Err(_) => tracing::warn!("refused a connection from {from}: no handshake"),
            }
        });
    }
}

async fn greet(stream: TcpStream, keys: Keyring) -> std::io::Result<Connection> {
    path::tune(&stream)?;
    let stream = TlsAcceptor::from(keys.server(false)).accept(stream).await?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    // One with an old certificate is told so by [`Door::member`]; here it could only be hung up on.
    let member = certificate.map(|it| keys.shown(it)).transpose()?;
    Ok(Connection { stream, member })
}

/// A connection whose other end is known.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    member: Option<(NodeId, u64)>,
}

/// Who is at the other end, and with which of its certificates; none for a node that wants to join.
#[derive(Clone)]
pub(super) struct From(Option<(NodeId, u64)>);

impl From {
    /// The member.
    pub(super) fn member(&self) -> Option<NodeId> {
        self.0.map(|(node, _)| node)
    }
}

impl Connection {
    pub(super) fn of(stream: TlsStream<TcpStream>, member: Option<(NodeId, u64)>) -> Self {
        Self { stream, member }
    }
}

impl Connected for Connection {
    type ConnectInfo = From;

    fn connect_info(&self) -> From {
        From(self.member)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct Door {
    keys: Keyring,
    raft: Raft,
    joins: Option<Arc<Doorkeeper>>,
    service: Arc<dyn PeerService>,
    calls: Mutex<Calls>,
}

/// What becomes of a call.
type Done = Shared<BoxFuture<'static, Result<PeerAnswer, String>>>;

/// The newest calls by who asked and their numbers. One that arrives again, over another path, is answered as the first
/// was, and not done again.
#[derive(Default)]
struct Calls {
    done: BTreeMap<(NodeId, Bytes), Done>,
    order: VecDeque<(NodeId, Bytes)>,
}

impl Calls {
    fn once(&mut self, from: NodeId, number: Bytes, act: impl FnOnce() -> Done) -> Done {
        if number.is_empty() {
            return act();
        }
        let key = (from, number);
        if let Some(done) = self.done.get(&key) {
            return done.clone();
        }
        let done = act();
        self.done.insert(key.clone(), done.clone());
        self.order.push_back(key);
        if self.order.len() > CALLS
            && let Some(oldest) = self.order.pop_front()
        {
            self.done.remove(&oldest);
        }
        done
    }
}

impl Door {
    /// The member at the other end. One that was removed is shut out here, on every path.
    fn member(&self, request: &Request<Frame>) -> Result<NodeId, Status> {
        let from = request.extensions().get::<From>().and_then(|from| from.0);
        let (from, generation) =
            from.ok_or_else(|| Status::unauthenticated("show a certificate first"))?;
        if self.keys.is_replaced(from, generation) {
            let why = format!("node {from} has a newer certificate: connect with that");
            return Err(Status::unauthenticated(why));
        }
        if self.raft.local().was_removed(from) {
            let why =
                format!("node {from} was removed from the cluster; delete its data and join again");
            return Err(Status::permission_denied(why));
        }
        Ok(from)
    }
}

#[tonic::async_trait]
impl Peer for Door {
    async fn raft(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let from = self.member(&request)?;
        let data = request.into_inner().data;
        Ok(Response::new(convert::raw(
            self.raft.receive(from, &data).await,
        )))
    }

    async fn call(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let from = self.member(&request)?;
        let wanted: PeerRequest = convert::message(request.get_ref())?;
        let service = Arc::clone(&self.service);
        let act = move || {
            // Goes on although the other end may hang up: what was ordered is done or refused as a whole.
            let answer = tokio::spawn(async move { service.peer(from, wanted).await });
            let answer = async move { answer.await.map_err(|e| e.to_string()) };
            answer.boxed().shared()
        };
        let number = request.into_inner().data;
        let done = {
            let mut calls = self.calls.lock().expect("no panic while held");
            calls.once(from, number, act)
        };
        let answer = done.await.map_err(Status::internal)?;
        Ok(Response::new(convert::frame(&answer)))
    }

    async fn ping(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.member(&request)?;
        Ok(Response::new(Frame::default()))
    }

    async fn join(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let Some(joins) = self.joins.clone() else {
            return Err(Status::unavailable(
                "this member cannot sign: ask another one",
            ));
        };
        let raft = self.raft.clone();
        let wanted = convert::message(request.get_ref())?;
        let answer = tokio::spawn(async move { joins.admit(&raft, wanted).await });
        let answer = answer.await.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(convert::frame(&answer)))
    }
}
