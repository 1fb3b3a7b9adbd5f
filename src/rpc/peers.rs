//! Connections to the other nodes: one per node, over the first of its addresses that answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::wire::peer_client::PeerClient;
use super::{Credentials, Error, MESSAGE_BYTES, PeerAnswer, PeerRequest, convert, tls};
use crate::raft::{Member, Transport, TransportError};
use crate::terms::NodeId;

/// One address must answer within this time, the handshake included.
const CONNECT: Duration = Duration::from_millis(1000);
/// A connection on which sent data stays unacknowledged for so long is given up, and made again: after a
/// cut cable the kernel would wait for minutes.
const SILENCE: Duration = Duration::from_millis(1500);

/// All lines to other nodes. Clones share them.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    credentials: Credentials,
    config: Arc<ClientConfig>,
    lines: Mutex<BTreeMap<NodeId, Line>>,
}

#[derive(Clone)]
struct Line {
    addresses: Vec<SocketAddr>,
    client: PeerClient<Channel>,
    in_use: Arc<Mutex<Option<SocketAddr>>>,
}

impl Peers {
    /// Lines that prove who this node is.
    ///
    /// # Errors
    /// Fails when keys and certificates do not fit each other.
    pub fn new(credentials: Credentials) -> Result<Self, Error> {
        let config = credentials.client()?;
        let inner = Inner {
            credentials,
            config,
            lines: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Asks another daemon.
    ///
    /// # Errors
    /// `Unreachable`: certainly not delivered. `Lost`: perhaps delivered.
    pub async fn call(
        &self,
        to: NodeId,
        request: &PeerRequest,
    ) -> Result<PeerAnswer, TransportError> {
        let mut line = self.line(to)?;
        let answer = line.client.call(convert::frame(request)).await;
        let answer = answer.map_err(|e| line.failed(to, &e))?.into_inner();
        convert::message(&answer).map_err(|e| line.failed(to, &e))
    }

    /// How each node is reached at present.
    pub fn paths(&self) -> Vec<(NodeId, Option<SocketAddr>)> {
        let lines = self.inner.lines.lock().expect("no panic while held");
        let path = |line: &Line| *line.in_use.lock().expect("no panic while held");
        lines.iter().map(|(id, line)| (*id, path(line))).collect()
    }

    /// Where other nodes are, before the replicated state says so: from the answer to a join.
    pub fn learn(&self, members: impl IntoIterator<Item = (NodeId, Vec<SocketAddr>)>) {
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        for (id, addresses) in members {
            if id == self.inner.credentials.node {
                continue;
            }
            if lines
                .get(&id)
                .is_none_or(|line| line.addresses != addresses)
            {
                lines.insert(id, self.connect(id, addresses));
            }
        }
    }

    fn line(&self, to: NodeId) -> Result<Line, TransportError> {
        let lines = self.inner.lines.lock().expect("no panic while held");
        lines
            .get(&to)
            .cloned()
            .ok_or_else(|| TransportError::Unreachable {
                to,
                why: "its addresses are not known here".into(),
            })
    }

    fn connect(&self, to: NodeId, addresses: Vec<SocketAddr>) -> Line {
        let in_use = Arc::new(Mutex::new(None));
        let name = tls::this_node(self.inner.credentials.cluster, to);
        let channel = lazy_channel(
            addresses.clone(),
            name,
            Arc::clone(&self.inner.config),
            Arc::clone(&in_use),
        );
        Line {
            addresses,
            client: PeerClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            in_use,
        }
    }
}

impl Line {
    fn failed(&self, to: NodeId, status: &tonic::Status) -> TransportError {
        use std::error::Error as _;
        let mut why = status.message().to_owned();
        let mut source = status.source();
        while let Some(inner) = source {
            why = inner.to_string();
            source = inner.source();
        }
        // Without a connection nothing was sent.
        if self.in_use.lock().expect("no panic while held").is_none() {
            TransportError::Unreachable { to, why }
        } else {
            TransportError::Lost { to, why }
        }
    }
}

#[async_trait::async_trait]
impl Transport for Peers {
    async fn raft(&self, to: NodeId, message: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let mut line = self.line(to)?;
        let answer = line.client.raft(convert::raw(message)).await;
        Ok(answer.map_err(|e| line.failed(to, &e))?.into_inner().data)
    }

    fn members(&self, members: &BTreeMap<NodeId, Member>) {
        self.learn(members.values().map(|m| (m.id, m.addresses.clone())));
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        lines.retain(|id, _| members.contains_key(id));
    }
}

/// A channel that connects when it is first used, and again after each loss.
pub(super) fn lazy_channel(
    addresses: Vec<SocketAddr>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    in_use: Arc<Mutex<Option<SocketAddr>>>,
) -> Channel {
    let told = Arc::new(Mutex::new(String::new()));
    let connector = tower::service_fn(move |_: Uri| {
        let (addresses, name) = (addresses.clone(), name.clone());
        let (config, in_use) = (Arc::clone(&config), Arc::clone(&in_use));
        let told = Arc::clone(&told);
        async move {
            let before = in_use.lock().expect("no panic while held").take();
            let connected = first_that_answers(&addresses, before, name, config).await;
            tell(&told, connected.as_ref().err());
            let (stream, address) = connected.map_err(std::io::Error::other)?;
            *in_use.lock().expect("no panic while held") = Some(address);
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // The connector knows where to go; the name only has to be one.
    Endpoint::from_static("http://node")
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector)
}

/// Says why a node is not reached: once, not with each of many attempts.
fn tell(told: &Mutex<String>, why: Option<&String>) {
    let mut told = told.lock().expect("no panic while held");
    match why {
        Some(why) if *why != *told => {
            tracing::warn!("failed to reach a node: {why}");
            told.clone_from(why);
        }
        Some(_) => {}
        None => told.clear(),
    }
}

/// Tries each address, the one that worked last time first.
async fn first_that_answers(
    addresses: &[SocketAddr],
    before: Option<SocketAddr>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<(TlsStream<TcpStream>, SocketAddr), String> {
    let others = addresses
        .iter()
        .copied()
        .filter(|address| Some(*address) != before);
    let mut failed = Vec::new();
    for address in before
        .into_iter()
        .filter(|a| addresses.contains(a))
        .chain(others)
    {
        match timeout(CONNECT, open(address, name.clone(), Arc::clone(&config))).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(e)) => failed.push(format!("{address}: {}", tls::explain(&e))),
            Err(_) => failed.push(format!("{address}: no answer within {CONNECT:?}")),
        }
    }
    Err(failed.join("; "))
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
