//! The line between the member that hosts the connection to a remote node, and the executor over there. The member calls, and
//! shows its certificate as it does to other members; the remote node answers with one that says its name. Both ways go
//! typed words, in order, until either side hangs up.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::server::{Connection, From};
use super::wire::Frame;
use super::wire::remote_client::RemoteClient;
use super::wire::remote_server::{Remote, RemoteServer};
use super::{
    AdminAnswer, AdminRequest, Caller, Error, Keyring, Listening, MESSAGE_BYTES, Paths,
    RemoteConfig, convert, node, path, tls,
};
use crate::executor::{Command, Report};
use crate::terms::{NodeId, NodeName, Term};

/// Port on which a remote node listens, if none is given.
pub const REMOTE_PORT: u16 = 3121;
/// A handshake must be over within this time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at one time; more wait.
const HANDSHAKES: usize = 16;
/// Words that wait for a slow line; who has more to say waits.
const WORDS: usize = 256;
/// An idle line is looked at this often, and given up when nothing comes back for as long.
const SILENCE: Duration = Duration::from_millis(1500);

/// Which order made a connection. Of two, the remote node obeys the one with the greater stamp: within a term one coordinator
/// counts its transitions upwards, so that is the newer one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Stamp {
    /// Term of the coordinator.
    pub term: Term,
    /// Its transition.
    pub transition: i64,
    /// The action in it.
    pub action: i64,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.term, self.transition, self.action)
    }
}

/// What the member says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToRemote {
    /// The first word.
    Hello {
        /// Name of the member.
        host: NodeName,
        /// Which order made this connection.
        stamp: Stamp,
        /// The newest term that the member knows.
        term: Term,
        /// The authorities that are trusted now, as PEM.
        trusted: Vec<String>,
    },
    /// A newer term was seen.
    TermSeen(Term),
    /// An order for the executor.
    Execute(Box<Command>),
    /// The pending entry with this ticket is on disk at a majority, or will not be.
    Pending(i64, bool),
    /// Everything up to this number of reports is written: it need not be told again.
    Taken(u64),
    /// Say all you know: the document may not have it.
    Tell,
    /// Are you there?
    Poke(u64),
    /// The answer to a tool's request.
    Answer(u64, Box<AdminAnswer>),
    /// This connection ends on purpose.
    Bye {
        /// The remote node asked for leave: nothing runs there any more.
        leave: bool,
    },
}

/// What the remote node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromRemote {
    /// It obeys this connection from now on.
    Welcome {
        /// Drawn when its daemon started: in another life nothing is known of what ran before.
        life: u64,
    },
    /// It obeys somebody with a greater stamp.
    Replaced {
        /// The stamp that it obeys.
        by: Stamp,
    },
    /// Results of one step of the executor, in order.
    Reports(u64, Vec<Report>),
    /// I am.
    Poked(u64),
    /// A tool on the remote node asks something.
    Ask(u64, Caller, Box<AdminRequest>),
    /// The remote node wants to leave.
    Leaving,
}

/// One end of a line. It is cut when both halves of an end are gone, or the other end hangs up.
#[derive(Debug)]
pub struct Line<In, Out> {
    /// What comes in; an error says why nothing more comes.
    pub words: mpsc::Receiver<Result<In, String>>,
    /// What goes out.
    pub out: mpsc::Sender<Out>,
}

/// A line that was opened from outside: the member it belongs to, and its end.
pub type Incoming = (NodeId, Line<ToRemote, FromRemote>);

/// Calls a remote node.
///
/// # Errors
/// Says what happened at each of its addresses.
pub async fn call_remote(
    keys: &Keyring,
    name: &NodeName,
    server: &str,
    port: u16,
) -> Result<Line<FromRemote, ToRemote>, Error> {
    let unreachable = |detail: String| Error::Unreachable {
        to: format!("remote node {name}"),
        detail,
    };
    let found = tokio::net::lookup_host((server, port)).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|e| unreachable(format!("{server}: {e}")))?
        .collect();
    let (cluster, _) = keys.identity();
    let mut failed = Vec::new();
    for address in addresses {
        let trusted = tls::this_remote(cluster, name);
        let channel = path::stranger(address, trusted, keys.client());
        let mut client = RemoteClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let (out, words) = mpsc::channel::<ToRemote>(WORDS);
        let words = ReceiverStream::new(words).map(|word| convert::frame(&word));
        match client.link(words).await {
            Ok(answer) => {
                let words = listen_to(answer.into_inner());
                return Ok(Line { words, out });
            }
            Err(e) => failed.push(super::join::reason(address, &e)),
        }
    }
    Err(unreachable(failed.join("; ")))
}

/// Words as they come. Whoever does not take them lets the other end wait.
fn listen_to<T: serde::de::DeserializeOwned + Send + 'static>(
    mut stream: Streaming<Frame>,
) -> mpsc::Receiver<Result<T, String>> {
    let (sender, words) = mpsc::channel(WORDS);
    tokio::spawn(async move {
        loop {
            let word = match stream.message().await {
                Ok(Some(frame)) => convert::message(&frame).map_err(|e| e.message().to_owned()),
                Ok(None) => Err("the other end hung up".to_owned()),
                Err(e) => Err(why(&e)),
            };
            let last = word.is_err();
            // The receiver is gone: nobody wants this line any more.
            if sender.send(word).await.is_err() || last {
                return;
            }
        }
    });
    words
}

/// The innermost reason: tonic's own words say little.
fn why(status: &Status) -> String {
    use std::error::Error as _;
    let mut why = status.message().to_owned();
    let mut source = status.source();
    while let Some(inner) = source {
        why = inner.to_string();
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| e.kind() == std::io::ErrorKind::UnexpectedEof) {
            return "the other end is gone".into();
        }
        source = inner.source();
    }
    why
}

/// What a remote node proves itself with, and whom it believes.
#[derive(Clone)]
pub struct RemoteKeys {
    inner: Arc<RemoteKeysInner>,
}

struct RemoteKeysInner {
    paths: Paths,
    cluster: uuid::Uuid,
    pair: String,
    current: Mutex<(String, Arc<ServerConfig>)>,
}

impl RemoteKeys {
    /// Reads the files that `systole remote join` wrote.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn load(paths: &Paths, config: &RemoteConfig) -> Result<Self, Error> {
        let pair = node::read(&paths.data.join("remote.pem"))?;
        let trusted = node::read(&paths.data.join("ca.pem"))?;
        let server = server(config.cluster, &pair, &trusted)?;
        let inner = RemoteKeysInner {
            paths: paths.clone(),
            cluster: config.cluster,
            pair,
            current: Mutex::new((trusted, server)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Believes whom these authorities sign, from the next connection on.
    ///
    /// # Errors
    /// Names the file that cannot be written; then nothing has changed.
    pub fn trust(&self, pems: &[String]) -> Result<(), Error> {
        let trusted = pems.concat();
        let mut current = self.inner.current.lock().expect("no panic while held");
        if pems.is_empty() || current.0 == trusted {
            return Ok(());
        }
        let server = server(self.inner.cluster, &self.inner.pair, &trusted)?;
        let file =
            |name: &str| -> std::path::PathBuf { Path::new(&self.inner.paths.data).join(name) };
        node::write(&file("ca.pem"), &trusted)?;
        *current = (trusted, server);
        Ok(())
    }

    fn server(&self) -> Arc<ServerConfig> {
        let current = self.inner.current.lock().expect("no panic while held");
        Arc::clone(&current.1)
    }
}

fn server(cluster: uuid::Uuid, pair: &str, trusted: &str) -> Result<Arc<ServerConfig>, Error> {
    tls::Credentials::of_remote(cluster, pair, trusted)?.server(true)
}

/// Listens for members. Everybody else is hung up on before a word is read.
///
/// # Errors
/// Names the address that cannot be listened on.
pub async fn serve_remote(
    addresses: &[SocketAddr],
    keys: RemoteKeys,
    lines: mpsc::Sender<Incoming>,
) -> Result<Listening, Error> {
    let (stop, stopped) = watch::channel(false);
    let (streams, incoming) = mpsc::channel(HANDSHAKES);
    let mut bound = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|e| Error::Unreachable {
            to: format!("listen on {address}"),
            detail: e.to_string(),
        })?;
        bound.extend(listener.local_addr());
        tokio::spawn(accept(
            listener,
            keys.clone(),
            streams.clone(),
            stopped.clone(),
        ));
    }
    let door = RemoteServer::new(Door { lines })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let mut stopping = stopped;
    tokio::spawn(async move {
        let end = async move {
            // An error means that the door was dropped, which is the same.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let served = Server::builder()
            .http2_keepalive_interval(Some(SILENCE))
            .http2_keepalive_timeout(Some(SILENCE))
            .add_service(door)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), end)
            .await;
        if let Err(e) = served {
            tracing::error!("no longer listening for the cluster: {e}");
        }
    });
    Ok(Listening::at(bound, stop))
}

async fn accept(
    listener: TcpListener,
    keys: RemoteKeys,
    streams: mpsc::Sender<std::io::Result<Connection>>,
    mut stop: watch::Receiver<bool>,
) {
    let limit = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, from)) = accepted else {
            // Out of file descriptors, for instance: trying again at once would only burn time.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&limit).acquire_owned().await else {
            return;
        };
        let (config, streams) = (keys.server(), streams.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, greet(stream, config)).await {
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

/// Only a member's certificate opens this door: other remote nodes have one of the same authority.
async fn greet(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<Connection> {
    path::tune(&stream)?;
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let facts = certificate
        .and_then(|it| tls::facts(it))
        .unwrap_or_default();
    let node = facts.node;
    let node = node.ok_or_else(|| std::io::Error::other("its certificate is no member's"))?;
    Ok(Connection::of(stream, Some((node, facts.generation))))
}

struct Door {
    lines: mpsc::Sender<Incoming>,
}

#[tonic::async_trait]
impl Remote for Door {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let from = request.extensions().get::<From>().and_then(From::member);
        let from = from.ok_or_else(|| Status::unauthenticated("show a certificate first"))?;
        let words = listen_to(request.into_inner());
        let (out, said) = mpsc::channel::<FromRemote>(WORDS);
        let line = Line { words, out };
        if self.lines.send((from, line)).await.is_err() {
            return Err(Status::unavailable("this remote node is ending"));
        }
        let said = ReceiverStream::new(said).map(|word| Ok(convert::frame(&word)));
        Ok(Response::new(Box::pin(said)))
    }
}
