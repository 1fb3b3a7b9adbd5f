//! How a machine becomes a remote node: it shows a token that was made for that name, and gets a certificate which says the
//! name and nothing else. It has no id, no log and no authority's key; it is told what to do by whoever shows it the
//! certificate of a member.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{self, NewKey};
use super::join::{self, Doorkeeper, JoinAnswer, JoinRequest, decode, good_until, knock};
use super::node::{make_dir, read, write};
use super::{ADMIN_GROUP, Error, Paths, Token, tls};
use crate::clock;
use crate::raft::{ClusterChange, Raft, State};
use crate::terms::{CrmExit, NodeName};

/// How a remote node is configured: written by `systole remote join`; the last part may be edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// Name of the cluster.
    pub cluster_name: String,
    /// Identity of the cluster.
    pub cluster: Uuid,
    /// Name of this remote node.
    pub name: NodeName,
    /// Users of this group may do everything.
    pub admin_group: String,
}

impl RemoteConfig {
    fn path(paths: &Paths) -> PathBuf {
        paths.data.join("remote.toml")
    }

    /// Reads it.
    ///
    /// # Errors
    /// Says that this machine is no remote node, or names file and line.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = Self::path(paths);
        if !path.exists() {
            return Err(Error::Refused {
                exit: CrmExit::CONFIG,
                message: format!(
                    "this machine is no remote node: make a token with `systole token --remote NAME` on a member, and give \
                     it to `systole remote join TOKEN` here ({} is missing)",
                    path.display()
                ),
            });
        }
        toml::from_str(&read(&path)?).map_err(|e| Error::Config {
            path: path.display().to_string(),
            detail: e.to_string().trim().into(),
        })
    }
}

/// What a machine with a token for a remote node is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Enrolled {
    name: NodeName,
    cluster_name: String,
    /// PEM.
    ca: String,
    /// PEM.
    certificate: String,
}

impl Doorkeeper {
    pub(super) async fn enrol(
        &self,
        raft: &Raft,
        secret: &str,
        request: &str,
    ) -> Result<Enrolled, Error> {
        let request = decode(request)?;
        let key = authority::key_of(&request)?;
        // Before the token is used up.
        self.authority(&raft.local())?;
        let hash = Token::hash(secret);
        let change = ClusterChange::Enrol {
            hash: hash.clone(),
            now_s: clock::wall_s(),
            key,
        };
        let outcome = raft.change(change).await?.outcome;
        if let Some(message) = outcome.message() {
            let exit = outcome.exit();
            return Err(Error::Refused { exit, message });
        }
        let state = raft.barrier().await?;
        let name = state.tokens.get(&hash).and_then(|t| t.remote.clone());
        let name = name.ok_or_else(|| Error::Refused {
            exit: CrmExit::EXPIRED,
            message: "the token is gone: make a new one with `systole token --remote NAME`".into(),
        })?;
        let (authority, ca) = self.authority(&state)?;
        let until_s = good_until(&state.cib, clock::wall_s());
        let certificate = authority.sign_remote(&request, self.cluster, &name, until_s)?;
        tracing::info!("a machine has enrolled as remote node {name}");
        Ok(Enrolled {
            name,
            cluster_name: state.name.clone(),
            ca,
            certificate: tls::to_pem(&certificate),
        })
    }
}

/// A remote node and a member of one name could not be told apart.
pub(super) fn check_free(state: &State, name: &NodeName) -> Result<(), Error> {
    match state.member_named(name.as_str()) {
        None => Ok(()),
        Some(member) => Err(Error::Refused {
            exit: CrmExit::EXISTS,
            message: format!(
                "`{name}` is a member of this cluster (id {}): give the remote node another name",
                member.id
            ),
        }),
    }
}

pub(super) fn refuse_remote(paths: &Paths) -> Result<(), Error> {
    let path = RemoteConfig::path(paths);
    if !path.exists() {
        return Ok(());
    }
    Err(Error::Refused {
        exit: CrmExit::EXISTS,
        message: format!(
            "this machine is a remote node: delete {} first, and its resource from the cluster",
            path.display()
        ),
    })
}

/// Makes this machine the remote node that the token is for. The daemon is started afterwards. May be repeated after a
/// failure.
///
/// # Errors
/// Says what is wrong with the token, or why the cluster refused.
pub async fn enrol(paths: &Paths, token: &Token) -> Result<RemoteConfig, Error> {
    use base64::Engine as _;
    join::refuse_member(paths)?;
    refuse_remote(paths)?;
    let late = clock::wall_s() - token.expires_s;
    if late >= 0 {
        return Err(Error::ExpiredToken(late));
    }
    make_dir(&paths.data)?;
    let key_path = paths.data.join("remote.key");
    let old = key_path.exists().then(|| read(&key_path)).transpose()?;
    let key = NewKey::create(old.as_deref())?;
    write(&key_path, &key.key_pem)?;
    let request = JoinRequest {
        secret: token.secret.clone(),
        // The token says which.
        name: NodeName::from("remote"),
        addresses: Vec::new(),
        request: base64::engine::general_purpose::STANDARD.encode(&key.request),
        remote: true,
    };
    let JoinAnswer::Enrolled(enrolled) = knock(token, &request).await? else {
        return Err(Error::Tls("the cluster answered something else".into()));
    };
    let ca = tls::certificate(enrolled.ca.as_bytes(), "the cluster's certificate")?;
    if tls::fingerprint(&ca) != token.ca_fingerprint {
        return Err(Error::Tls(
            "the cluster's answer does not fit the token".into(),
        ));
    }
    let config = RemoteConfig {
        cluster_name: enrolled.cluster_name,
        cluster: token.cluster,
        name: enrolled.name,
        admin_group: ADMIN_GROUP.into(),
    };
    write(&paths.data.join("ca.pem"), &enrolled.ca)?;
    let pair = key.key_pem.clone() + &enrolled.certificate;
    write(&paths.data.join("remote.pem"), &pair)?;
    let text = toml::to_string_pretty(&config).map_err(|e| Error::Config {
        path: RemoteConfig::path(paths).display().to_string(),
        detail: e.to_string(),
    })?;
    write(&RemoteConfig::path(paths), &text)?;
    // What counts is in `remote.pem` now; left over it would only be one more secret.
    if let Err(e) = std::fs::remove_file(&key_path) {
        return Err(super::node::disk("remove", &key_path, &e));
    }
    Ok(config)
}
