//! How a cluster begins, and how a node gets into it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{self, Authority, Issue, NewKey};
use super::enrol::Enrolled;
use super::node::{make_dir, read, write};
use super::tls;
use super::wire::peer_client::PeerClient;
use super::{ADMIN_GROUP, Error, NodeConfig, Paths, Profile, Token, convert, path};
use crate::cib::Cib;
use crate::cib::config::options;
use crate::clock;
use crate::raft::{ClusterChange, Identity, MemberRole, Outcome, Raft, State, Store};
use crate::terms::{CrmExit, NodeId, NodeName};

/// What `init` is told.
#[derive(Debug, Clone)]
pub struct Founding {
    /// Name of the cluster.
    pub cluster_name: String,
    /// Name of this node.
    pub name: NodeName,
    /// Where it listens for peers, and where the others find it.
    pub addresses: Vec<SocketAddr>,
    /// Where it listens for leases; the next port if empty.
    pub lease_addresses: Vec<SocketAddr>,
}

/// What `join` is told.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The token.
    pub token: Token,
    /// Name of this node.
    pub name: NodeName,
    /// As for `init`.
    pub addresses: Vec<SocketAddr>,
    /// As for `init`.
    pub lease_addresses: Vec<SocketAddr>,
}

/// Makes a new cluster of one node in this data directory. The daemon is started afterwards.
///
/// # Errors
/// Fails when the node is a member already, or names what cannot be written.
pub fn init(paths: &Paths, founding: Founding) -> Result<NodeConfig, Error> {
    refuse_member(paths)?;
    check_name(&founding.name)?;
    make_dir(&paths.data)?;
    let (cluster, node) = (Uuid::new_v4(), NodeId(1));
    let authority = Authority::create(cluster)?;
    let key = NewKey::create(None)?;
    let issue = Issue {
        cluster,
        node,
        generation: 1,
        until_s: good_until(&Cib::default(), clock::wall_s()),
    };
    let certificate = authority.sign(&key.request, issue)?;
    authority.keep(&paths.data)?;
    write(&paths.data.join("node.key"), &key.key_pem)?;
    let config = NodeConfig {
        cluster_name: founding.cluster_name,
        cluster,
        node,
        incarnation: Uuid::new_v4(),
        founder: true,
        key: authority::key_of(&key.request)?,
        name: founding.name,
        role: MemberRole::Voter,
        addresses: founding.addresses,
        lease_addresses: founding.lease_addresses,
        profile: Profile::default(),
        admin_group: ADMIN_GROUP.into(),
        watchdog: None,
    };
    let ca = tls::to_pem(authority.certificate());
    finish(paths, &config, &ca, &certificate)?;
    Ok(config)
}

/// Certificates, store, and last of all the configuration: with it, the node belongs to the cluster.
fn finish(paths: &Paths, config: &NodeConfig, ca: &str, own: &[u8]) -> Result<(), Error> {
    write(&paths.data.join("ca.pem"), ca)?;
    write(&paths.data.join("node.pem"), &tls::to_pem(own))?;
    // Left over from an attempt that did not get as far as the configuration.
    for name in ["raft.redb", "raft.tail"] {
        let path = paths.data.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(super::node::disk("remove", &path, &e));
            }
            _ => {}
        }
    }
    let Identity { .. } = config.identity();
    Store::create(&paths.data, config.identity())?;
    config.save(paths)
}

pub(super) fn refuse_member(paths: &Paths) -> Result<(), Error> {
    if !paths.config().exists() {
        return Ok(());
    }
    let config = NodeConfig::load(paths)?;
    Err(Error::Joined {
        node: config.node,
        cluster: config.cluster_name,
        path: paths.data.display().to_string(),
    })
}

/// Names end up in paths, attributes and environments.
pub(super) fn check_name(name: &NodeName) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text = name.as_str();
    let fine = !text.is_empty()
        && text.len() <= 253
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if fine {
        return Ok(());
    }
    Err(Error::Refused {
        exit: CrmExit::USAGE,
        message: format!(
            "`{text}` cannot be a node's name: use letters, digits, `-`, `_` and `.`, a letter or digit first"
        ),
    })
}

/// What a node without certificate says.
#[derive(Serialize, Deserialize)]
pub(super) struct JoinRequest {
    pub(super) secret: String,
    pub(super) name: NodeName,
    pub(super) addresses: Vec<SocketAddr>,
    /// Signing request, base64.
    pub(super) request: String,
    /// It is no member, but the remote node that the token names.
    #[serde(default)]
    pub(super) remote: bool,
}

/// What it is told.
#[derive(Serialize, Deserialize)]
pub(super) enum JoinAnswer {
    Welcome(Box<Welcome>),
    Enrolled(Box<Enrolled>),
    Refused { exit: CrmExit, message: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Welcome {
    id: NodeId,
    role: MemberRole,
    cluster_name: String,
    /// PEM.
    ca: String,
    /// PEM.
    certificate: String,
    /// PEM. Every member that runs resources may let others in: it could do anything else, too.
    ca_key: Option<String>,
}

/// Lets nodes in, on a member that has the authority's key.
pub struct Doorkeeper {
    pub(super) paths: Paths,
    pub(super) cluster: Uuid,
}

impl Doorkeeper {
    /// None on a member without the key.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn load(paths: &Paths, cluster: Uuid) -> Result<Option<Self>, Error> {
        let paths = paths.clone();
        let signs = !Authority::all(&paths.data)?.is_empty();
        Ok(signs.then_some(Self { paths, cluster }))
    }

    /// Whoever signs at present, and all that are to be trusted, that one first.
    pub(super) fn authority(&self, state: &State) -> Result<(Authority, String), Error> {
        let wanted = state.signing();
        let all = Authority::all(&self.paths.data)?.into_iter();
        let mut all = all.filter(|it| wanted.is_none_or(|w| w.fingerprint == it.fingerprint()));
        let authority = all.next().ok_or_else(|| Error::Refused {
            exit: CrmExit::UNSATISFIED,
            message: "this member can't sign at the moment, as the cluster's authority is being replaced: ask another one"
                .into(),
        })?;
        let first = authority.fingerprint();
        let others = state.authorities.iter();
        let others = others.filter(|it| it.fingerprint != first);
        let mut trusted = tls::to_pem(authority.certificate());
        others.for_each(|it| trusted.push_str(&it.pem));
        Ok((authority, trusted))
    }

    pub(super) async fn admit(&self, raft: &Raft, wanted: JoinRequest) -> JoinAnswer {
        let admitted = if wanted.remote {
            self.enrol(raft, &wanted.secret, &wanted.request)
                .await
                .map(|enrolled| JoinAnswer::Enrolled(Box::new(enrolled)))
        } else {
            self.try_admit(raft, wanted)
                .await
                .map(|welcome| JoinAnswer::Welcome(Box::new(welcome)))
        };
        match admitted {
            Ok(answer) => answer,
            Err(e) => JoinAnswer::Refused {
                exit: e.exit(),
                message: e.to_string(),
            },
        }
    }

    async fn try_admit(&self, raft: &Raft, wanted: JoinRequest) -> Result<Welcome, Error> {
        check_name(&wanted.name)?;
        let request = decode(&wanted.request)?;
        let key = authority::key_of(&request)?;
        // Before the token is used up.
        self.authority(&raft.local())?;
        let change = ClusterChange::Join {
            hash: Token::hash(&wanted.secret),
            now_s: clock::wall_s(),
            name: wanted.name,
            addresses: wanted.addresses,
            key,
        };
        let id = match raft.change(change).await?.outcome {
            Outcome::Joined { id } => id,
            other => {
                return Err(Error::Refused {
                    exit: other.exit(),
                    message: other.message().unwrap_or_default(),
                });
            }
        };
        let state = raft.barrier().await?;
        let role = state
            .members
            .get(&id)
            .map_or(MemberRole::Learner, |member| member.role);
        let (authority, trusted) = self.authority(&state)?;
        let issue = Issue {
            cluster: self.cluster,
            node: id,
            generation: 1,
            until_s: good_until(&state.cib, clock::wall_s()),
        };
        let certificate = authority.sign(&request, issue)?;
        tracing::info!("node {id} joined as {role}");
        Ok(Welcome {
            id,
            role,
            cluster_name: state.name.clone(),
            ca: trusted,
            certificate: tls::to_pem(&certificate),
            ca_key: role.runs_resources().then(|| authority.to_pem()),
        })
    }
}

/// Until when a certificate that is made now is good; none for as good as ever.
pub fn good_until(cib: &Cib, now_s: i64) -> Option<i64> {
    let days = options::integer(cib, LIFETIME);
    (days > 0).then(|| now_s.saturating_add(days.saturating_mul(86_400)))
}

/// The option that says for how many days a certificate is good.
pub const LIFETIME: &str = "certificate-days";

pub(super) fn decode(base64: &str) -> Result<Vec<u8>, Error> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .map_err(|e| Error::Tls(format!("the signing request is garbled: {e}")))
}

/// Gets into the cluster that the token is from. The daemon is started afterwards. May be repeated after
/// a failure: the same node gets the same id.
///
/// # Errors
/// Says what is wrong with the token, or why the cluster refused.
pub async fn join(paths: &Paths, joining: Joining) -> Result<NodeConfig, Error> {
    use base64::Engine as _;
    refuse_member(paths)?;
    super::enrol::refuse_remote(paths)?;
    check_name(&joining.name)?;
    let token = &joining.token;
    let late = clock::wall_s() - token.expires_s;
    if late >= 0 {
        return Err(Error::ExpiredToken(late));
    }
    make_dir(&paths.data)?;
    let key_path = paths.data.join("node.key");
    let old = key_path.exists().then(|| read(&key_path)).transpose()?;
    let key = NewKey::create(old.as_deref())?;
    write(&key_path, &key.key_pem)?;

    let request = JoinRequest {
        secret: token.secret.clone(),
        name: joining.name.clone(),
        addresses: joining.addresses.clone(),
        request: base64::engine::general_purpose::STANDARD.encode(&key.request),
        remote: false,
    };
    let JoinAnswer::Welcome(welcome) = knock(token, &request).await? else {
        return Err(Error::Tls("the cluster answered something else".into()));
    };
    let welcome = *welcome;
    let ca = tls::certificate(welcome.ca.as_bytes(), "the cluster's certificate")?;
    let own = tls::certificate(welcome.certificate.as_bytes(), "this node's certificate")?;
    if tls::fingerprint(&ca) != token.ca_fingerprint || tls::node_of(&own) != Some(welcome.id) {
        return Err(Error::Tls(
            "the cluster's answer does not fit the token".into(),
        ));
    }
    if let Some(ca_key) = &welcome.ca_key {
        write(&paths.data.join("ca.key"), ca_key)?;
    }
    let config = NodeConfig {
        cluster_name: welcome.cluster_name,
        cluster: token.cluster,
        node: welcome.id,
        incarnation: Uuid::new_v4(),
        founder: false,
        key: authority::key_of(&key.request)?,
        name: joining.name,
        role: welcome.role,
        addresses: joining.addresses,
        lease_addresses: joining.lease_addresses,
        profile: Profile::default(),
        admin_group: ADMIN_GROUP.into(),
        watchdog: None,
    };
    finish(paths, &config, &welcome.ca, &own)?;
    Ok(config)
}

/// Asks each member that the token names until one answers.
pub(super) async fn knock(token: &Token, request: &JoinRequest) -> Result<JoinAnswer, Error> {
    let config = tls::pinned(token.ca_fingerprint.clone())?;
    let mut failed = Vec::new();
    for address in &token.addresses {
        let name = tls::any_node(token.cluster);
        let channel = path::stranger(*address, name, Arc::clone(&config));
        match PeerClient::new(channel).join(convert::frame(request)).await {
            Ok(answer) => match convert::message(answer.get_ref()) {
                Ok(JoinAnswer::Refused { exit, message }) => {
                    return Err(Error::Refused { exit, message });
                }
                Ok(welcome) => return Ok(welcome),
                Err(e) => failed.push(format!("{address}: {}", e.message())),
            },
            Err(e) => failed.push(reason(*address, &e)),
        }
    }
    Err(Error::Unreachable {
        to: "the cluster".into(),
        detail: failed.join("; "),
    })
}

pub(super) fn reason(address: SocketAddr, status: &tonic::Status) -> String {
    use std::error::Error as _;
    let mut why = format!("{address}: {}", status.message());
    let mut source = status.source();
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    why
}
