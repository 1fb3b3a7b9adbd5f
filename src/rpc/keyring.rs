//! What this node proves itself with, and whom it believes, as it is at the moment: both change while connections are open.
//! Connections that are made ask here each time.
//!
//! Each step leaves files that fit each other, because each is the replacement of one file: `node.pem` holds a key and its
//! certificate, `ca.pem` all authorities that are trusted. (A node that never had a new certificate has its key in
//! `node.key`, which counts only while `node.pem` holds none.)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use uuid::Uuid;

use super::authority::NewKey;
use super::tls::{self, Facts, crypto};
use super::{Authority, Credentials, Error, Issue, NodeConfig, Paths, node};
use crate::terms::NodeId;

/// The keyring. Clones share everything.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    paths: Paths,
    current: Mutex<Arc<Current>>,
    floors: Arc<Floors>,
}

/// Below which generation certificates of a node are refused.
#[derive(Debug, Default)]
pub(super) struct Floors {
    nodes: Mutex<BTreeMap<NodeId, u64>>,
    /// Changes whenever anything does that was decided by.
    revision: AtomicU64,
}

impl Floors {
    fn refuses(&self, facts: &Facts) -> bool {
        let nodes = self.nodes.lock().expect("no panic while held");
        let floor = facts.node.and_then(|node| nodes.get(&node));
        floor.is_some_and(|floor| facts.generation < *floor)
    }
}

struct Current {
    credentials: Credentials,
    server: Arc<ServerConfig>,
    strict: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    round: u64,
}

impl Keyring {
    /// Reads the node's files.
    ///
    /// # Errors
    /// Names the file that cannot be read, or does not fit the others.
    pub fn load(paths: &Paths, cluster: Uuid, node: NodeId) -> Result<Self, Error> {
        let floors = Arc::<Floors>::default();
        let credentials = Credentials::load(&paths.data, cluster, node)?;
        let current = Mutex::new(Arc::new(Current::of(credentials, &floors, 0)?));
        let inner = Inner {
            paths: paths.clone(),
            current,
            floors,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.inner.current.lock().expect("no panic while held"))
    }

    /// For connections that come in; with `strict`, of members alone.
    pub fn server(&self, strict: bool) -> Arc<ServerConfig> {
        let current = self.current();
        Arc::clone(if strict {
            &current.strict
        } else {
            &current.server
        })
    }

    /// For connections to other nodes.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current().client)
    }

    /// Which cluster and node this is.
    pub fn identity(&self) -> (Uuid, NodeId) {
        let current = self.current();
        (current.credentials.cluster, current.credentials.node)
    }

    /// Greater whenever this node has another certificate: connections from before are to be made anew.
    pub fn round(&self) -> u64 {
        self.current().round
    }

    /// Changes whenever [`Self::member_of`] may say something else than before.
    pub fn revision(&self) -> u64 {
        self.inner.floors.revision.load(Ordering::Acquire)
    }

    /// What this node's certificate says.
    pub fn facts(&self) -> Facts {
        tls::facts(self.current().credentials.certificate()).unwrap_or_default()
    }

    /// Who signed this node's certificate, if that one is still trusted.
    pub fn issuer(&self) -> Option<String> {
        let current = self.current();
        current.credentials.issuer().map(|it| tls::fingerprint(it))
    }

    /// The trusted authorities, by the SHA-256 of their certificates, as PEM.
    pub fn trusted(&self) -> BTreeMap<String, String> {
        let current = self.current();
        let all = current.credentials.trusted().iter();
        all.map(|ca| (tls::fingerprint(ca), tls::to_pem(ca)))
            .collect()
    }

    /// The node that a certificate belongs to, which TLS has verified; none when that has a newer one.
    pub fn member_of(&self, certificate: &[u8]) -> Option<NodeId> {
        let (node, generation) = self.shown(certificate).ok()?;
        (!self.is_replaced(node, generation)).then_some(node)
    }

    /// The same, whether it is the newest or not, and which of the node's certificates it is.
    pub(super) fn shown(&self, certificate: &[u8]) -> std::io::Result<(NodeId, u64)> {
        let facts = tls::facts(certificate).unwrap_or_default();
        let node = facts.node;
        let node = node.ok_or_else(|| std::io::Error::other("its certificate names no node"))?;
        Ok((node, facts.generation))
    }

    /// Whether a node with a certificate of this generation has a newer one.
    pub(super) fn is_replaced(&self, node: NodeId, generation: u64) -> bool {
        let nodes = self.inner.floors.nodes.lock();
        let nodes = nodes.expect("no panic while held");
        nodes.get(&node).is_some_and(|floor| generation < *floor)
    }

    /// From now on, older certificates of these nodes are refused.
    pub fn set_floors(&self, floors: BTreeMap<NodeId, u64>) {
        let mut nodes = self.inner.floors.nodes.lock().expect("no panic while held");
        if *nodes != floors {
            *nodes = floors;
            self.inner.floors.revision.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Uses a new key with its certificate from now on.
    ///
    /// # Errors
    /// Names the file that cannot be written; then nothing has changed.
    pub fn replace(&self, key: &NewKey, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let before = self.current();
        let pair = key.key_pem.clone() + &tls::to_pem(certificate);
        let data = &self.inner.paths.data;
        // Nothing is written that could not be read again.
        let new = Credentials::of(
            &before.credentials,
            &pair,
            before.credentials.trusted().to_vec(),
        )?;
        let new = Current::of(new, &self.inner.floors, before.round + 1)?;
        node::write(&data.join("node.pem"), &pair)?;
        *self.inner.current.lock().expect("no panic while held") = Arc::new(new);
        // It counts no more, so a crash before this changes nothing.
        match std::fs::remove_file(data.join("node.key")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("the former node.key is still there: {e}");
            }
            _ => {}
        }
        Ok(())
    }

    /// Believes these authorities from now on, and no others.
    ///
    /// # Errors
    /// Names the file that cannot be written; then nothing has changed.
    pub fn trust(&self, pems: &[String]) -> Result<(), Error> {
        let before = self.current();
        let text: String = pems.concat();
        let new = before.credentials.with_trusted(tls::certificates(&text)?);
        let new = Current::of(new, &self.inner.floors, before.round)?;
        node::write(&self.inner.paths.data.join("ca.pem"), &text)?;
        *self.inner.current.lock().expect("no panic while held") = Arc::new(new);
        self.inner.floors.revision.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// A node that was off for so long that its certificate has ended makes itself a new one, if it has the authority's key: it
/// could make any node one.
///
/// # Errors
/// Says what cannot be read or written.
pub fn renew_if_ended(
    paths: &Paths,
    config: &NodeConfig,
    now_s: i64,
    until_s: Option<i64>,
) -> Result<(), Error> {
    let keyring = Keyring::load(paths, config.cluster, config.node)?;
    let facts = keyring.facts();
    if facts.until_s > now_s {
        return Ok(());
    }
    let issuer = keyring.issuer();
    let authorities = Authority::all(&paths.data)?;
    let authority = authorities
        .iter()
        .find(|it| Some(it.fingerprint()) == issuer);
    let Some(authority) = authority else {
        return Err(Error::Tls(
            "this node's certificate has ended, and it can't make a new one: no other node will talk to it; take it \
             out (`crm cluster remove`) and let it join again"
                .into(),
        ));
    };
    let key = NewKey::create(None)?;
    let issue = Issue {
        cluster: config.cluster,
        node: config.node,
        generation: facts.generation + 1,
        until_s,
    };
    keyring.replace(&key, &authority.sign(&key.request, issue)?)?;
    tracing::warn!("this node's certificate had ended: it has a new one");
    Ok(())
}

impl Current {
    fn of(credentials: Credentials, floors: &Arc<Floors>, round: u64) -> Result<Self, Error> {
        let inner =
            WebPkiServerVerifier::builder_with_provider(credentials.roots()?, tls::provider())
                .build()
                .map_err(crypto)?;
        let floors = Arc::clone(floors);
        let verifier = Arc::new(Newest { inner, floors });
        Ok(Self {
            server: credentials.server(false)?,
            strict: credentials.server(true)?,
            client: credentials.client(verifier)?,
            credentials,
            round,
        })
    }
}

/// Believes whom the trusted authorities signed, but not the older certificates of a node that has a newer one.
#[derive(Debug)]
struct Newest {
    inner: Arc<WebPkiServerVerifier>,
    floors: Arc<Floors>,
}

impl ServerCertVerifier for Newest {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        let facts = tls::facts(end_entity).unwrap_or_default();
        match self.floors.refuses(&facts) {
            true => Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::Revoked,
            )),
            false => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
