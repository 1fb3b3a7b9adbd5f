//! One path to another node: a connection to one of its addresses, kept and watched all the time, so that it is known to
//! work before it is needed, and known to fail before something waits for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::health::{Health, Standing, Turn};
use super::vocab::{PathState, PathStatus};
use super::wire::Frame;
use super::wire::peer_client::PeerClient;
use super::{MESSAGE_BYTES, tls};
use crate::clock::Mono;
use crate::terms::NodeId;

/// An address must answer within this time, the handshake included; a path that says nothing for so long is down.
const CONNECT: Duration = Duration::from_millis(1000);
/// A connection on which sent data stays unacknowledged for so long is given up, and made again: after a
/// cut cable the kernel would wait for minutes.
const SILENCE: Duration = Duration::from_millis(1500);
/// Between two looks at a path that works.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at one that does not, or may not.
const SHORT_PAUSE: Duration = Duration::from_millis(250);
/// Whoever waits longer for an answer asks whether the path is still there.
const LATE: Duration = Duration::from_millis(50);
/// The same again, while it goes on waiting.
const STILL_LATE: Duration = Duration::from_millis(200);
/// A message of more bytes takes its time, and keeps what follows it waiting: that is no reason to send it twice.
const LARGE: usize = 256 << 10;

/// How the other node is made to believe who we are, and the other way round.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
}

/// What is asked over a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Raft,
    Call,
    Ping,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// The other end said so: another path would lead to the same.
    pub(super) answered: bool,
    /// Certainly not delivered.
    pub(super) unsent: bool,
}

/// One path.
pub(super) struct Path {
    pub(super) address: SocketAddr,
    client: PeerClient<Channel>,
    seen: Arc<Seen>,
}

/// What the connector and the calls saw.
struct Seen {
    node: NodeId,
    address: SocketAddr,
    health: Mutex<Health>,
    local: Mutex<Option<SocketAddr>>,
}

impl Path {
    /// Watched for as long as somebody holds it.
    pub(super) fn open(node: NodeId, address: SocketAddr, trust: Trust) -> Arc<Self> {
        let seen = Arc::new(Seen {
            node,
            address,
            health: Mutex::new(Health::new(Mono::now())),
            local: Mutex::default(),
        });
        let channel = channel(address, trust, Some(Arc::clone(&seen)));
        let path = Arc::new(Self {
            address,
            client: PeerClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            seen,
        });
        tokio::spawn(watch(Arc::downgrade(&path)));
        path
    }

    /// Asks over this path.
    pub(super) async fn ask(self: Arc<Self>, kind: Kind, frame: Frame) -> Result<Frame, Failed> {
        let mut client = self.client.clone();
        let began = Instant::now();
        let answer = match kind {
            Kind::Raft => client.raft(frame).await,
            Kind::Call => client.call(frame).await,
            Kind::Ping => client.ping(frame).await,
        };
        let took = (kind == Kind::Ping).then(|| began.elapsed());
        match answer {
            Ok(answer) => {
                self.seen.answered(took);
                Ok(answer.into_inner())
            }
            Err(status) => {
                let failed = Failed::of(&status);
                if failed.answered {
                    self.seen.answered(None);
                } else {
                    self.seen.failed(&failed.why);
                }
                Err(failed)
            }
        }
    }

    /// Whether the other end answers over this path within a time. Older versions do not know the question, and answer too.
    async fn answers_within(self: &Arc<Self>, limit: Duration) -> bool {
        let ping = Arc::clone(self).ask(Kind::Ping, Frame::default());
        match timeout(limit, ping).await {
            Ok(Ok(_)) => true,
            Ok(Err(failed)) => failed.answered,
            Err(_) => false,
        }
    }

    /// Completes when whoever waits for an answer over this path had better ask over another one, too.
    pub(super) async fn in_doubt(self: Arc<Self>, bytes: usize) {
        let mut pause = LATE;
        loop {
            sleep(pause).await;
            pause = STILL_LATE;
            let usual = self.seen.health().round_trip().unwrap_or_default();
            let limit = match bytes > LARGE {
                true => CONNECT,
                false => (usual * 3).clamp(LATE, CONNECT),
            };
            if !self.answers_within(limit).await {
                self.seen.health().doubt();
                return;
            }
        }
    }

    /// How it stands; the smaller, the better.
    pub(super) fn standing(&self) -> Standing {
        self.seen.health().standing()
    }

    /// For people.
    pub(super) fn status(&self) -> PathStatus {
        let health = self.seen.health();
        PathStatus {
            node: self.seen.node,
            local: *self.seen.local.lock().expect("no panic while held"),
            remote: self.address,
            state: match health.standing() {
                Standing::Up | Standing::Doubted => PathState::Up,
                Standing::Unknown => PathState::Unknown,
                Standing::Down => PathState::Down,
            },
            used: false,
            for_ms: health.for_ms(Mono::now()),
            round_trip_us: health
                .round_trip()
                .and_then(|it| it.as_micros().try_into().ok()),
            error: health.error().map(str::to_owned),
        }
    }
}

/// Looks after a path again and again.
async fn watch(path: Weak<Path>) {
    loop {
        let pause = {
            let Some(path) = path.upgrade() else { return };
            if !path.answers_within(CONNECT).await
                && path.seen.health().standing() != Standing::Down
            {
                path.seen
                    .failed(&format!("no answer within {} ms", CONNECT.as_millis()));
            }
            match path.standing() {
                Standing::Up => PAUSE,
                _ => SHORT_PAUSE,
            }
        };
        sleep(pause).await;
    }
}

impl Seen {
    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().expect("no panic while held")
    }

    fn answered(&self, took: Option<Duration>) {
        let turn = self.health().answered(Mono::now(), took);
        match turn {
            Some(Turn::Up(None)) => tracing::info!("{} is up", self.name()),
            Some(Turn::Up(Some(ms))) => tracing::info!("{} is up again after {ms} ms", self.name()),
            Some(Turn::Down) | None => {}
        }
    }

    fn failed(&self, why: &str) {
        let turn = self.health().failed(Mono::now(), why);
        if turn == Some(Turn::Down) {
            tracing::warn!("{} is down: {why}", self.name());
        }
    }

    fn name(&self) -> String {
        let local = *self.local.lock().expect("no panic while held");
        let local = local.map_or_else(|| "?".to_owned(), |local| local.ip().to_string());
        format!("path to node {} ({local} -> {})", self.node, self.address)
    }
}

impl Failed {
    fn of(status: &tonic::Status) -> Self {
        use std::error::Error as _;
        let mut why = status.message().to_owned();
        let mut source = status.source();
        // Who is not let in with its certificate may be with the next connection, which shows a newer one.
        let answered = source.is_none() && status.code() != tonic::Code::Unauthenticated;
        let mut unsent = false;
        while let Some(inner) = source {
            why = inner.to_string();
            unsent |= inner.is::<Unconnected>();
            let io = inner.downcast_ref::<std::io::Error>();
            unsent |= io
                .and_then(std::io::Error::get_ref)
                .is_some_and(|e| e.is::<Unconnected>());
            source = inner.source();
        }
        Self {
            why,
            answered,
            unsent,
        }
    }
}

/// There was no connection, so nothing was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Unconnected(String);

/// A channel that connects when it is first used, and again after each loss.
fn channel(address: SocketAddr, trust: Trust, seen: Option<Arc<Seen>>) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let (trust, seen) = (trust.clone(), seen.clone());
        async move {
            let config = (trust.config)();
            let why = match timeout(CONNECT, open(address, trust.name, config)).await {
                Ok(Ok(stream)) => {
                    if let Some(seen) = seen {
                        let local = stream.get_ref().0.local_addr().ok();
                        *seen.local.lock().expect("no panic while held") = local;
                    }
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(e)) => tls::explain(&e),
                Err(_) => format!("no answer within {} ms", CONNECT.as_millis()),
            };
            Err(std::io::Error::other(Unconnected(format!(
                "{address}: {why}"
            ))))
        }
    });
    // The connector knows where to go; the name only has to be one.
    Endpoint::from_static("http://node")
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector)
}

/// For one question to somebody who is no member yet, or not ours.
pub(super) fn stranger(
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Channel {
    let config = Arc::new(move || Arc::clone(&config));
    channel(address, Trust { name, config }, None)
}

async fn open(
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    tune(&stream)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// Small messages leave at once, and a dead connection is noticed.
pub(super) fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE))
}
