//! Lines to the other nodes. A line has a path for each address of its node, in the order in which the node names them;
//! the first one that works is used. When an answer is late and the path turns out to be silent, the question goes out
//! over the next one as well, and whichever answer comes first counts: so a network that is lost costs less than the time
//! after which anybody calls a node silent.
//!
//! What is asked twice is done once: raft's messages change nothing the second time, and calls carry a number by which the
//! other end knows them again (`server.rs`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use super::health::Standing;
use super::path::{Kind, Path, Trust};
use super::vocab::PathStatus;
use super::wire::Frame;
use super::{Keyring, PeerAnswer, PeerRequest, convert, tls};
use crate::raft::{Member, Transport, TransportError};
use crate::terms::NodeId;

/// All lines to other nodes. Clones share them.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keyring,
    lines: Mutex<BTreeMap<NodeId, Line>>,
}

/// The line to one node.
#[derive(Clone)]
struct Line {
    paths: Vec<Arc<Path>>,
    /// Paths to addresses that the node had before, at the end of `paths`: it may not know yet that it moved.
    former: usize,
}

impl Peers {
    /// Lines that prove who this node is.
    pub fn new(keys: Keyring) -> Self {
        let lines = Mutex::default();
        Self {
            inner: Arc::new(Inner { keys, lines }),
        }
    }

    /// Makes all connections anew, with the key that this node has now. The old ones are used until the new ones work.
    pub fn renew(&self) {
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        for (id, line) in lines.iter_mut() {
            let trust = self.trust(*id);
            let now = line.paths.len() - line.former;
            let old = line.paths[..now].to_vec();
            let new = old.iter();
            line.paths = new
                .map(|path| Path::open(*id, path.address, trust.clone()))
                .collect();
            line.former = old.len();
            line.paths.extend(old);
        }
    }

    /// Whether nothing goes over connections from before any more.
    pub fn are_renewed(&self) -> bool {
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        lines.values_mut().all(|line| {
            line.forget_former();
            let former = line.paths.iter().rev().take(line.former);
            former
                .into_iter()
                .all(|path| path.standing() == Standing::Down)
        })
    }

    fn trust(&self, to: NodeId) -> Trust {
        let keys = self.inner.keys.clone();
        let (cluster, _) = keys.identity();
        Trust {
            name: tls::this_node(cluster, to),
            config: Arc::new(move || keys.client()),
        }
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
        let mut frame = convert::frame(request);
        frame.data = Bytes::copy_from_slice(Uuid::new_v4().as_bytes());
        let answer = self.line(to)?.ask(to, Kind::Call, frame).await?;
        convert::message(&answer).map_err(|e| TransportError::Lost {
            to,
            why: e.message().to_owned(),
        })
    }

    /// How each node is reached at present: the address in use, or none.
    pub fn paths(&self) -> Vec<(NodeId, Option<SocketAddr>)> {
        let lines = self.inner.lines.lock().expect("no panic while held");
        let in_use = |line: &Line| line.in_use().map(|path| path.address);
        lines.iter().map(|(id, line)| (*id, in_use(line))).collect()
    }

    /// Every path to every node.
    pub fn every_path(&self) -> Vec<PathStatus> {
        let lines = self.inner.lines.lock().expect("no panic while held");
        let mut all = Vec::new();
        for line in lines.values() {
            let in_use = line.in_use().map(|path| path.address);
            let now = line.paths.len() - line.former;
            all.extend(line.paths[..now].iter().map(|path| PathStatus {
                used: in_use == Some(path.address),
                ..path.status()
            }));
        }
        all
    }

    /// Where other nodes are, before the replicated state says so: from the answer to a join.
    pub fn learn(&self, members: impl IntoIterator<Item = (NodeId, Vec<SocketAddr>)>) {
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        for (id, addresses) in members {
            if id == self.inner.keys.identity().1 {
                continue;
            }
            let line = match lines.remove(&id) {
                Some(line) if line.is_at(&addresses) => line,
                before => self.connect(id, &addresses, before),
            };
            lines.insert(id, line);
        }
    }

    fn line(&self, to: NodeId) -> Result<Line, TransportError> {
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        let line = lines
            .get_mut(&to)
            .ok_or_else(|| TransportError::Unreachable {
                to,
                why: "its addresses are not known here".into(),
            })?;
        line.forget_former();
        Ok(line.clone())
    }

    /// Paths that stay are kept with their connections.
    fn connect(&self, to: NodeId, addresses: &[SocketAddr], before: Option<Line>) -> Line {
        let mut old = before.map(|line| line.paths).unwrap_or_default();
        let trust = self.trust(to);
        let mut paths = Vec::new();
        for address in addresses {
            let kept = old.iter().position(|path| path.address == *address);
            paths.push(match kept {
                Some(at) => old.remove(at),
                None => Path::open(to, *address, trust.clone()),
            });
        }
        // What never worked is no way to reach anybody.
        old.retain(|path| path.standing() < Standing::Down);
        let former = old.len();
        paths.extend(old);
        Line { paths, former }
    }
}

impl Line {
    fn is_at(&self, addresses: &[SocketAddr]) -> bool {
        let now = &self.paths[..self.paths.len() - self.former];
        now.iter().map(|path| &path.address).eq(addresses)
    }

    fn in_use(&self) -> Option<&Arc<Path>> {
        let best = self.paths.iter().min_by_key(|path| path.standing())?;
        matches!(best.standing(), Standing::Up | Standing::Doubted).then_some(best)
    }

    /// A node that answers at one of its new addresses listens at all that it has.
    fn forget_former(&mut self) {
        let now = self.paths.len() - self.former;
        if self.former > 0
            && self.paths[..now]
                .iter()
                .any(|p| p.standing() == Standing::Up)
        {
            self.paths.truncate(now);
            self.former = 0;
        }
    }

    async fn ask(&self, to: NodeId, kind: Kind, frame: Frame) -> Result<Frame, TransportError> {
        let mut order = self.paths.clone();
        // Stable: of paths that stand alike, the one that the node names first.
        order.sort_by_key(|path| path.standing());
        let mut order = order.into_iter();
        let bytes = frame.body.len() + frame.data.len();
        let mut asked = FuturesUnordered::new();
        let mut doubts = FuturesUnordered::new();
        let mut next = |asked: &mut FuturesUnordered<_>, doubts: &mut FuturesUnordered<_>| {
            let Some(path) = order.next() else {
                return false;
            };
            if order.len() > 0 {
                doubts.push(Arc::clone(&path).in_doubt(bytes));
            }
            asked.push(path.ask(kind, frame.clone()));
            true
        };
        next(&mut asked, &mut doubts);
        let mut reasons = Vec::new();
        let mut perhaps = false;
        loop {
            let failed = tokio::select! {
                answer = asked.next() => match answer {
                    Some(Ok(answer)) => return Ok(answer),
                    Some(Err(failed)) => failed,
                    None => break,
                },
                Some(()) = doubts.next() => {
                    next(&mut asked, &mut doubts);
                    continue;
                }
            };
            perhaps |= !failed.unsent;
            let over = failed.answered;
            reasons.push(failed.why);
            if over || (asked.is_empty() && !next(&mut asked, &mut doubts)) {
                break;
            }
        }
        let why = match reasons.is_empty() {
            true => "it has no address".to_owned(),
            false => reasons.join("; "),
        };
        Err(match perhaps {
            true => TransportError::Lost { to, why },
            false => TransportError::Unreachable { to, why },
        })
    }
}

#[async_trait::async_trait]
impl Transport for Peers {
    async fn raft(&self, to: NodeId, message: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let frame = convert::raw(message);
        let answer = self.line(to)?.ask(to, Kind::Raft, frame).await?;
        Ok(answer.data.to_vec())
    }

    fn members(&self, members: &BTreeMap<NodeId, Member>) {
        self.learn(members.values().map(|m| (m.id, m.addresses.clone())));
        let mut lines = self.inner.lines.lock().expect("no panic while held");
        lines.retain(|id, _| members.contains_key(id));
    }
}
