//! The line between the member that hosts the connection to a remote node, and the executor over there. The member calls, and
//! shows its certificate as it does to other members; the remote node answers with one that says its name. Both ways go
//! typed words, in order, until either side hangs up.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::server::{Connection, From, HANDSHAKES, accept};
use super::wire::Frame;
use super::wire::remote_client::RemoteClient;
use super::wire::remote_server::{Remote, RemoteServer};
use super::{
    AdminAnswer, AdminRequest, Caller, Error, Keyring, Listening, MESSAGE_BYTES, NewKey, Paths,
    RemoteConfig, convert, node, path, tls,
};
use crate::executor::{Command, Report};
use crate::terms::{NodeId, NodeName, Term};

/// Port on which a remote node listens, if none is given.
pub const REMOTE_PORT: u16 = 3121;
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
    /// Believe these authorities, as PEM, and no others.
    Trust(Vec<String>),
    /// Draw a new key and have it signed.
    Renew,
    /// The certificate for it, as PEM.
    Certificate(String),
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
    /// With what it proves itself.
    Shows(Shown),
    /// A signing request (DER) for its new key.
    Sign(Vec<u8>),
}

/// What counts of a remote node's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Who signed it, by the SHA-256 of that certificate; none when that one is not believed any more.
    pub issuer: Option<String>,
    /// Until when it is good, in seconds since 1970.
    pub until_s: i64,
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
    current: Mutex<Current>,
    /// Drawn, and not signed yet.
    new: Mutex<Option<NewKey>>,
}

struct Current {
    /// Key and certificate, as PEM.
    pair: String,
    /// Authorities, as PEM.
    trusted: String,
    server: Arc<ServerConfig>,
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
            current: Mutex::new(Current {
                pair,
                trusted,
                server,
            }),
            new: Mutex::default(),
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
        let mut current = self.current();
        if pems.is_empty() || current.trusted == trusted {
            return Ok(());
        }
        current.server = server(self.inner.cluster, &current.pair, &trusted)?;
        node::write(&self.inner.paths.data.join("ca.pem"), &trusted)?;
        current.trusted = trusted;
        Ok(())
    }

    /// Draws a new key; returns the request that is to be signed (DER).
    ///
    /// # Errors
    /// Fails when the system has no randomness.
    pub fn draw(&self) -> Result<Vec<u8>, Error> {
        let key = NewKey::create(None)?;
        let request = key.request.clone();
        *self.inner.new.lock().expect("no panic while held") = Some(key);
        Ok(request)
    }

    /// Proves itself with the key that was drawn last, from the next connection on.
    ///
    /// # Errors
    /// Says that nothing was drawn, that the certificate is not for that key or not from an authority that is believed, or
    /// which file cannot be written; then nothing has changed.
    pub fn replace(&self, certificate: &str) -> Result<(), Error> {
        let mut new = self.inner.new.lock().expect("no panic while held");
        let key = new.as_ref();
        let key = key.ok_or_else(|| Error::Tls("no certificate was asked for".into()))?;
        let pair = key.key_pem.clone() + certificate;
        let mut current = self.current();
        let credentials = self.credentials(&pair, &current.trusted)?;
        if credentials.issuer().is_none() {
            return Err(Error::Tls("it is from an unknown authority".into()));
        }
        current.server = credentials.server(true)?;
        node::write(&self.inner.paths.data.join("remote.pem"), &pair)?;
        current.pair = pair;
        *new = None;
        Ok(())
    }

    /// With what it proves itself.
    ///
    /// # Errors
    /// Says what cannot be read.
    pub fn shows(&self) -> Result<Shown, Error> {
        let current = self.current();
        let credentials = self.credentials(&current.pair, &current.trusted)?;
        let facts = tls::facts(credentials.certificate()).unwrap_or_default();
        Ok(Shown {
            issuer: credentials.issuer().map(|it| tls::fingerprint(it)),
            until_s: facts.until_s,
        })
    }

    fn credentials(&self, pair: &str, trusted: &str) -> Result<tls::Credentials, Error> {
        tls::Credentials::of_remote(self.inner.cluster, pair, trusted)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.inner.current.lock().expect("no panic while held")
    }

    fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().server)
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
        let listener = listener.map_err(|e| Error::Listen {
            whom: "the cluster",
            detail: crate::process::cannot_listen(*address, &e),
        })?;
        bound.extend(listener.local_addr());
        let keys = keys.clone();
        tokio::spawn(accept(
            listener,
            move |stream| greet(stream, keys.server()),
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
