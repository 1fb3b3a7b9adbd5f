//! The hands of `renewal.rs`: keys are drawn, signed and written down, connections made anew, and what is the case is said to
//! the cluster. A new certificate costs no connection: the old ones are used until the new ones work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::renewal::{Own, Step, due, remote_is_due, uses};
use super::service::{Failure, Service, accepted, unwritten};
use crate::cib::config::options;
use crate::clock::wall_s;
use crate::presence::OVERLAP_MS;
use crate::raft::{AuthorityRecord, ClusterChange, KeyChange, Raft, State};
use crate::rpc::{
    Authority, Issue, Keyring, LIFETIME, NewKey, Paths, PeerAnswer, PeerRequest, Peers, Shown,
    good_until,
};
use crate::terms::{CrmExit, NodeId, NodeName};

/// The name of the questions to other nodes.
pub(super) const NAME: &str = "certificates";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// A question to another node may take so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A new certificate of another node may take so long.
const LONG_PATIENCE: Duration = Duration::from_secs(30);
/// Connections that are not made anew within this time are to nodes that are not there.
const SETTLED: Duration = Duration::from_secs(5);

/// What nodes ask each other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// Sign this request, for the node that asks, as this generation, with the key of this authority.
    Sign {
        request: String,
        generation: u64,
        authority: String,
    },
    /// The key of this authority.
    Key(String),
    /// Get a new certificate.
    Renew,
}

/// Somebody wants a new certificate for this node, and waits for it.
type Asked = oneshot::Sender<Result<String, String>>;

/// This node's keys and all that is done about them.
pub(super) struct Certificates {
    me: NodeId,
    raft: Raft,
    peers: Peers,
    keys: Keyring,
    paths: Paths,
    /// Authorities whose keys are here, by the SHA-256 of their certificates.
    held: Mutex<BTreeMap<String, Arc<Authority>>>,
    asks: mpsc::UnboundedSender<Asked>,
}

impl Certificates {
    /// Looks after this node's keys from now on.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(super) fn start(
        raft: Raft,
        peers: Peers,
        keys: Keyring,
        paths: Paths,
    ) -> anyhow::Result<Arc<Self>> {
        let (asks, asked) = mpsc::unbounded_channel();
        let this = Arc::new(Self {
            me: raft.node(),
            raft,
            peers,
            keys,
            paths,
            held: Mutex::default(),
            asks,
        });
        this.look()?;
        this.follow_floors();
        tokio::spawn(Arc::clone(&this).keep(asked));
        Ok(this)
    }

    fn look(&self) -> Result<(), crate::rpc::Error> {
        // Perhaps it crashed before it came to that.
        if let [only] = self.raft.local().authorities.as_slice() {
            Authority::forget_former(&self.paths.data, &only.fingerprint)?;
        }
        let all = Authority::all(&self.paths.data)?.into_iter();
        let all = all.map(|it| (it.fingerprint(), Arc::new(it))).collect();
        *self.held.lock().expect("no panic while held") = all;
        Ok(())
    }

    fn held(&self, authority: &str) -> Option<Arc<Authority>> {
        let held = self.held.lock().expect("no panic while held");
        held.get(authority).cloned()
    }

    fn own(&self) -> Own {
        let held = self.held.lock().expect("no panic while held");
        Own {
            facts: self.keys.facts(),
            issuer: self.keys.issuer(),
            trusted: self.keys.trusted().into_keys().collect(),
            keys: held.keys().cloned().collect(),
        }
    }

    fn follow_floors(&self) {
        let state = self.raft.local();
        let floors = state.credentials.iter();
        let floors = floors.map(|(id, it)| (*id, it.generation)).collect();
        self.keys.set_floors(floors);
    }

    async fn keep(self: Arc<Self>, mut asked: mpsc::UnboundedReceiver<Asked>) {
        let mut states = self.raft.watch();
        let mut told = String::new();
        loop {
            let mut waiting: Vec<Asked> = Vec::new();
            while let Ok(ask) = asked.try_recv() {
                waiting.push(ask);
            }
            self.follow_floors();
            let result = self.round(!waiting.is_empty()).await;
            if let Err(why) = &result
                && *why != told
            {
                tracing::warn!("keys: {why}");
            }
            told = result.as_ref().err().cloned().unwrap_or_default();
            for ask in waiting {
                // Who hung up reads it in the status.
                let _ = ask.send(result.clone().map(|()| self.said()));
            }
            tokio::select! {
                ask = asked.recv() => match ask {
                    // Taken up at once, with what else is due.
                    Some(ask) => drop(self.asks.send(ask)),
                    None => return,
                },
                () = sleep(PAUSE) => {}
            }
            if states.has_changed().is_err() {
                return;
            }
            states.borrow_and_update();
        }
    }

    fn said(&self) -> String {
        let facts = self.keys.facts();
        let state = self.raft.local();
        let name = state.members.get(&self.me).map(|it| it.name.to_string());
        let until = crate::terms::DateTime::from_epoch(facts.until_s);
        let name = name.unwrap_or_default();
        format!(
            "{name} uses its certificate {} now, good until {until}; the ones before are refused",
            facts.generation
        )
    }

    /// Everything that is due.
    async fn round(&self, asked: bool) -> Result<(), String> {
        let state = self.raft.local();
        let leads = self.raft.leadership().borrow().mine;
        let days = options::integer(&state.cib, LIFETIME);
        let steps = due(self.me, &self.own(), &state, leads, asked, wall_s(), days);
        let mut failed = Vec::new();
        for step in steps {
            if let Err(why) = self.take(step, &state).await {
                failed.push(why);
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        }
    }

    async fn take(&self, step: Step, state: &State) -> Result<(), String> {
        match step {
            Step::Trust(all) => {
                let pems: Vec<String> = all.iter().map(|it| it.pem.clone()).collect();
                self.keys.trust(&pems).map_err(|e| e.to_string())?;
                tracing::info!("{} authorities are trusted from now on", all.len());
                self.look().map_err(|e| e.to_string())
            }
            Step::Say(change) => self.say(change).await,
            Step::Renew(authority) => self.renew(&authority, state).await,
            Step::Fetch(authority) => self.fetch(&authority, state).await,
        }
    }

    async fn say(&self, change: KeyChange) -> Result<(), String> {
        let change = ClusterChange::Keys(change);
        let answer = self.raft.change(change).await.map_err(|e| e.to_string())?;
        answer.outcome.message().map_or(Ok(()), Err)
    }

    /// A new key, signed, on disk, on all connections; then the others hear that the old one ends.
    async fn renew(&self, authority: &str, state: &State) -> Result<(), String> {
        let known = state
            .credentials
            .get(&self.me)
            .map_or(0, |it| it.generation);
        let generation = known.max(self.keys.facts().generation) + 1;
        let key = NewKey::create(None).map_err(|e| e.to_string())?;
        let pem = match self.sign(&key.request, self.me, generation, authority) {
            Some(signed) => signed?,
            None => {
                let question = Question::Sign {
                    request: STANDARD.encode(&key.request),
                    generation,
                    authority: authority.to_owned(),
                };
                self.ask_around(&question, state).await?
            }
        };
        let der = crate::rpc::certificate_of(&pem).map_err(|e| e.to_string())?;
        self.keys.replace(&key, &der).map_err(|e| e.to_string())?;
        tracing::info!("this node shows its certificate {generation} from now on");
        self.peers.renew();
        let begun = Instant::now();
        sleep(Duration::from_millis(OVERLAP_MS + 200)).await;
        while !self.peers.are_renewed() && begun.elapsed() < SETTLED {
            sleep(Duration::from_millis(20)).await;
        }
        match uses(self.me, &self.own(), &self.raft.local()) {
            Some(change) => self.say(change).await,
            None => Ok(()),
        }
    }

    /// None where the key of that authority is not here.
    fn sign(
        &self,
        request: &[u8],
        node: NodeId,
        generation: u64,
        authority: &str,
    ) -> Option<Result<String, String>> {
        let authority = self.held(authority)?;
        let (cluster, _) = self.keys.identity();
        let issue = Issue {
            cluster,
            node,
            generation,
            until_s: good_until(&self.raft.local().cib, wall_s()),
        };
        let signed = authority.sign(request, issue);
        Some(
            signed
                .map(|der| crate::rpc::to_pem(&der))
                .map_err(|e| e.to_string()),
        )
    }

    /// Whether a remote node needs another certificate by now.
    pub(super) fn remote_is_due(&self, shown: &Shown) -> bool {
        let state = self.raft.local();
        let days = options::integer(&state.cib, LIFETIME);
        remote_is_due(shown, &state, wall_s(), days)
    }

    /// A certificate for a remote node, which names that one and nobody else.
    pub(super) fn sign_remote(&self, request: &[u8], name: &NodeName) -> Result<String, String> {
        let state = self.raft.local();
        let signing = state.signing().map(|it| it.fingerprint.clone());
        let signing = signing.or_else(|| self.keys.issuer()).unwrap_or_default();
        let authority = self.held(&signing);
        let authority = authority.ok_or("the authority's key is not here")?;
        let (cluster, _) = self.keys.identity();
        let until_s = good_until(&state.cib, wall_s());
        let signed = authority.sign_remote(request, cluster, name, until_s);
        signed
            .map(|der| crate::rpc::to_pem(&der))
            .map_err(|e| e.to_string())
    }

    async fn fetch(&self, authority: &str, state: &State) -> Result<(), String> {
        let question = Question::Key(authority.to_owned());
        let pem = self.ask_around(&question, state).await?;
        let fetched = Authority::from_pem(&pem).map_err(|e| e.to_string())?;
        if fetched.fingerprint() != authority {
            return Err("another authority's key was sent than was asked for".into());
        }
        fetched
            .keep_as_next(&self.paths.data)
            .map_err(|e| e.to_string())?;
        self.look().map_err(|e| e.to_string())
    }

    /// The first member that can answer does.
    async fn ask_around(&self, question: &Question, state: &State) -> Result<String, String> {
        let mut failed = Vec::new();
        for member in state.members.values().filter(|it| it.id != self.me) {
            match ask(&self.peers, member.id, question, PATIENCE).await {
                Ok(text) => return Ok(text),
                Err(why) => failed.push(format!("{}: {why}", member.name)),
            }
        }
        Err(format!("nobody can help: {}", failed.join("; ")))
    }

    /// What another member asks.
    pub(super) async fn answer(&self, from: NodeId, question: Question) -> PeerAnswer {
        let state = self.raft.local();
        let Some(member) = state.members.get(&from) else {
            return PeerAnswer::Refused("it is no member".into());
        };
        let answer = match question {
            Question::Renew => self.renew_now().await,
            Question::Sign {
                request,
                generation,
                authority,
            } => match STANDARD.decode(request) {
                // Whoever asks gets one for itself, and for nobody else.
                Ok(request) => self
                    .sign(&request, from, generation, &authority)
                    .unwrap_or_else(|| Err("the authority's key is not here".into())),
                Err(e) => Err(e.to_string()),
            },
            Question::Key(_) if !member.role.runs_resources() => {
                Err("a witness gets no authority's key".into())
            }
            Question::Key(authority) => match self.held(&authority) {
                Some(authority) => Ok(authority.to_pem()),
                None => Err("the authority's key is not here".into()),
            },
        };
        match answer {
            Ok(text) => PeerAnswer::Json(text.into()),
            Err(why) => PeerAnswer::Refused(why),
        }
    }

    /// A new certificate for this node, whether one is due or not.
    async fn renew_now(&self) -> Result<String, String> {
        let (done, result) = oneshot::channel();
        let ending = || "the daemon is ending".to_owned();
        self.asks.send(done).map_err(|_| ending())?;
        result.await.map_err(|_| ending())?
    }

    /// A new authority, which is trusted, signs, and replaces the present one as members get to know it.
    async fn replace_authority(&self) -> Result<String, Failure> {
        let tls = |e: crate::rpc::Error| (e.exit(), e.to_string());
        let state = self.raft.barrier().await.map_err(unwritten)?;
        let signing = state.authorities.first().map(|it| it.fingerprint.clone());
        let signing = signing.or_else(|| self.keys.issuer()).unwrap_or_default();
        let Some(present) = self.held(&signing) else {
            let why = "the authority's key is not on this node: ask one that runs resources";
            return Err((CrmExit::UNSATISFIED, why.into()));
        };
        let record = |it: &Authority| AuthorityRecord {
            fingerprint: it.fingerprint(),
            pem: crate::rpc::to_pem(it.certificate()),
        };
        let (cluster, _) = self.keys.identity();
        let new = Authority::create(cluster).map_err(tls)?;
        let change = KeyChange::AddAuthority {
            present: record(&present),
            new: record(&new),
        };
        // On disk first: what the cluster trusts must be able to sign.
        self.look().map_err(tls)?;
        let before = state.authorities.get(1);
        let before = before.and_then(|newest| self.held(&newest.fingerprint));
        new.keep_as_next(&self.paths.data).map_err(tls)?;
        self.look().map_err(tls)?;
        let answer = self.raft.change(ClusterChange::Keys(change)).await;
        let answer = answer.map_err(unwritten)?;
        if let (Err(refused), Some(before)) = (accepted(&answer), before) {
            before.keep_as_next(&self.paths.data).map_err(tls)?;
            self.look().map_err(tls)?;
            return Err(refused);
        }
        accepted(&answer)?;
        let begun = Instant::now();
        while begun.elapsed() < LONG_PATIENCE {
            let state = self.raft.local();
            if state.authorities.len() == 1 && state.authorities[0].fingerprint == new.fingerprint()
            {
                return Ok(
                    "the cluster's authority is replaced: all nodes have new certificates, and the old one is not \
                     trusted any more"
                        .into(),
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(
            "the cluster has a new authority; the old one is dropped when all nodes have certificates of the new one: \
            `crm cluster status` shows who has not"
                .into(),
        )
    }
}

async fn ask(
    peers: &Peers,
    to: NodeId,
    question: &Question,
    patience: Duration,
) -> Result<String, String> {
    let body = serde_json::to_value(question).map_err(|e| e.to_string())?;
    let call = PeerRequest::Call(NAME.into(), body);
    match tokio::time::timeout(patience, peers.call(to, &call)).await {
        Ok(Ok(PeerAnswer::Json(serde_json::Value::String(text)))) => Ok(text),
        Ok(Ok(PeerAnswer::Refused(why))) => Err(why),
        Ok(Ok(_)) => Err("its answer is not to what was asked".into()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// What `crm cluster rotate-certificate` asks for.
pub(super) async fn rotate(
    service: &Service,
    node: Option<&str>,
    all: bool,
    authority: bool,
) -> Result<String, Failure> {
    if authority {
        return service.certificates.replace_authority().await;
    }
    let state = service.raft.local();
    let wanted: Vec<NodeId> = match (node, all) {
        (_, true) => state.members.keys().copied().collect(),
        (Some(node), false) => vec![service.member(node)?],
        (None, false) => vec![service.me],
    };
    let (mut lines, mut failed) = (Vec::new(), false);
    // One after the other: whatever goes wrong goes wrong on one node.
    for id in wanted {
        let done = match id == service.me {
            true => service.certificates.renew_now().await,
            false => ask(&service.peers, id, &Question::Renew, LONG_PATIENCE).await,
        };
        let name = state.members.get(&id).map(|it| it.name.to_string());
        lines.push(done.unwrap_or_else(|why| {
            failed = true;
            format!("{}: no new certificate: {why}", name.unwrap_or_default())
        }));
    }
    match failed {
        true => Err((CrmExit::ERROR, lines.join("\n"))),
        false => Ok(lines.join("\n")),
    }
}
