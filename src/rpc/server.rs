//! The door for peers: TLS first, then who it is, then what they want.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

use super::join::Doorkeeper;
use super::wire::Frame;
use super::wire::peer_server::{Peer, PeerServer};
use super::{Credentials, Error, MESSAGE_BYTES, PeerRequest, PeerService, convert, peers, tls};
use crate::raft::Raft;
use crate::terms::NodeId;

/// A handshake must be over within this time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at one time; more wait.
const HANDSHAKES: usize = 64;

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

/// Opens the door.
///
/// # Errors
/// Names the address that cannot be listened on.
pub async fn serve(
    addresses: &[SocketAddr],
    credentials: &Credentials,
    raft: Raft,
    joins: Option<Doorkeeper>,
    service: Arc<dyn PeerService>,
) -> Result<Listening, Error> {
    let acceptor = TlsAcceptor::from(credentials.server(false)?);
    let (stop, stopped) = watch::channel(false);
    let (streams, incoming) = mpsc::channel(HANDSHAKES);
    let mut bound = Vec::new();
    for address in addresses {
        let failed = |e: std::io::Error| Error::Unreachable {
            to: format!("listen on {address}"),
            detail: e.to_string(),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        bound.push(listener.local_addr().map_err(failed)?);
        tokio::spawn(accept(
            listener,
            acceptor.clone(),
            streams.clone(),
            stopped.clone(),
        ));
    }
    let door = Door {
        raft,
        joins: joins.map(Arc::new),
        service,
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

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    streams: mpsc::Sender<std::io::Result<Connection>>,
    mut stop: watch::Receiver<bool>,
) {
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
        let (acceptor, streams) = (acceptor.clone(), streams.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, greet(stream, &acceptor)).await {
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

async fn greet(stream: TcpStream, acceptor: &TlsAcceptor) -> std::io::Result<Connection> {
    peers::tune(&stream)?;
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let node = match certificate {
        None => None,
        Some(certificate) => Some(
            tls::node_of(certificate)
                .ok_or_else(|| std::io::Error::other("its certificate names no node"))?,
        ),
    };
    Ok(Connection { stream, node })
}

/// A connection whose other end is known.
struct Connection {
    stream: TlsStream<TcpStream>,
    node: Option<NodeId>,
}

/// Who is at the other end; none for a node that wants to join.
#[derive(Clone)]
struct From(Option<NodeId>);

impl Connected for Connection {
    type ConnectInfo = From;

    fn connect_info(&self) -> From {
        From(self.node)
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
    raft: Raft,
    joins: Option<Arc<Doorkeeper>>,
    service: Arc<dyn PeerService>,
}

impl Door {
    /// The member at the other end. One that was removed is shut out here, on every path.
    fn member(&self, request: &Request<Frame>) -> Result<NodeId, Status> {
        let from = request.extensions().get::<From>().and_then(|from| from.0);
        let from = from.ok_or_else(|| Status::unauthenticated("show a certificate first"))?;
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
        // Goes on although the other end may hang up: what was ordered is done or refused as a whole.
        let answer = tokio::spawn(async move { service.peer(from, wanted).await });
        let answer = answer.await.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(convert::frame(&answer)))
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
