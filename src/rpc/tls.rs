//! Keys, certificates and TLS configurations. A cluster is its own certificate authority; a node's
//! certificate says which node of which cluster it is, and nothing else is believed about a peer.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use uuid::Uuid;

use super::Error;
use crate::terms::{NodeId, NodeName};

/// Who this node is, with proof.
pub(super) struct Credentials {
    /// The cluster.
    pub(super) cluster: Uuid,
    /// The node.
    pub(super) node: NodeId,
    trusted: Vec<CertificateDer<'static>>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials(node {} of {})", self.node, self.cluster)
    }
}

/// SHA-256 as text.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The name in the certificate of one node.
pub(super) fn node_name(cluster: Uuid, node: NodeId) -> String {
    format!("node-{node}.{cluster}.systole")
}

/// The name in the certificates of all nodes of a cluster.
pub(super) fn cluster_name(cluster: Uuid) -> String {
    format!("{cluster}.systole")
}

/// The name in a certificate that says which of a node's certificates it is.
pub(super) fn generation_name(cluster: Uuid, generation: u64) -> String {
    format!("generation-{generation}.{cluster}.systole")
}

/// The name in the certificate of a remote node. Its own name may hold what a host's name may not, so it is hashed. There is
/// no name of the cluster beside it: a remote node is no member, and nobody may take it for one.
pub(super) fn remote_name(cluster: Uuid, name: &NodeName) -> String {
    let digest = fingerprint(name.as_str().as_bytes());
    format!("remote-{}.{cluster}.systole", &digest[..40])
}

/// Accepts this remote node alone.
pub(super) fn this_remote(cluster: Uuid, name: &NodeName) -> ServerName<'static> {
    ServerName::try_from(remote_name(cluster, name)).expect("a UUID and a digest are DNS labels")
}

/// Accepts any node of the cluster.
pub fn any_node(cluster: Uuid) -> ServerName<'static> {
    ServerName::try_from(cluster_name(cluster)).expect("a UUID is a DNS label")
}

/// Accepts this node alone.
pub fn this_node(cluster: Uuid, node: NodeId) -> ServerName<'static> {
    ServerName::try_from(node_name(cluster, node)).expect("a UUID and a number are DNS labels")
}

/// What stands in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is; none for an authority's.
    pub node: Option<NodeId>,
    /// Which of the node's certificates it is; 0 for one from before there was a second.
    pub generation: u64,
    /// SHA-256 of the public key.
    pub key: String,
    /// Until when it is good, in seconds since 1970.
    pub until_s: i64,
}

/// Reads a certificate. Only for those that TLS has verified, or that are our own.
pub(super) fn facts(der: &[u8]) -> Option<Facts> {
    use x509_parser::extensions::GeneralName;
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let mut facts = Facts {
        key: fingerprint(&parsed.public_key().subject_public_key.data),
        until_s: parsed.validity().not_after.timestamp(),
        ..Facts::default()
    };
    let names = parsed.subject_alternative_name().ok()?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        let GeneralName::DNSName(name) = name else {
            continue;
        };
        let Some((first, _)) = name.split_once('.') else {
            continue;
        };
        if let Some(node) = first.strip_prefix("node-") {
            facts.node = node.parse().ok();
        } else if let Some(generation) = first.strip_prefix("generation-") {
            facts.generation = generation.parse().ok()?;
        }
    }
    Some(facts)
}

/// The node to which a certificate belongs. Only for certificates that TLS has verified.
pub(super) fn node_of(der: &[u8]) -> Option<NodeId> {
    facts(der)?.node
}

/// Whether an authority's certificate has the name that a certificate has for who signed it.
fn is_signed_by(der: &[u8], ca: &[u8]) -> bool {
    let own = x509_parser::parse_x509_certificate(der);
    let ca = x509_parser::parse_x509_certificate(ca);
    matches!((own, ca), (Ok((_, own)), Ok((_, ca))) if own.issuer().as_raw() == ca.subject().as_raw())
}

impl Credentials {
    /// Reads the node's files.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(super) fn load(dir: &Path, cluster: Uuid, node: NodeId) -> Result<Self, Error> {
        let read = |name: &str| super::node::read(&dir.join(name));
        let trusted = certificates(&read("ca.pem")?)?;
        let mut pair = read("node.pem")?;
        // A key in `node.pem` is newer than one beside it.
        if !pair.contains("PRIVATE KEY") {
            pair.push_str(&read("node.key")?);
        }
        let loaded = Self::parse(cluster, node, &pair, trusted)?;
        if node_of(&loaded.certificate) != Some(node) {
            return Err(Error::Tls(format!(
                "{} is not the certificate of node {node}: restore it, or remove this node and join again",
                dir.join("node.pem").display()
            )));
        }
        Ok(loaded)
    }

    fn parse(
        cluster: Uuid,
        node: NodeId,
        pair: &str,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Self, Error> {
        let key = PrivateKeyDer::from_pem_slice(pair.as_bytes());
        let key = key.map_err(|e| Error::Tls(format!("failed to read the node's key: {e}")))?;
        Ok(Self {
            cluster,
            node,
            trusted,
            certificate: certificate(pair.as_bytes(), "node.pem")?,
            key,
        })
    }

    /// A remote node, which has no id.
    ///
    /// # Errors
    /// Says what cannot be read.
    pub(super) fn of_remote(cluster: Uuid, pair: &str, trusted: &str) -> Result<Self, Error> {
        Self::parse(cluster, NodeId(0), pair, certificates(trusted)?)
    }

    /// The same node with another key and certificate.
    pub(super) fn of(
        before: &Self,
        pair: &str,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Self, Error> {
        Self::parse(before.cluster, before.node, pair, trusted)
    }

    /// The same node, which believes others.
    pub(super) fn with_trusted(&self, trusted: Vec<CertificateDer<'static>>) -> Self {
        Self {
            cluster: self.cluster,
            node: self.node,
            trusted,
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
        }
    }

    /// The node's certificate.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whom it believes.
    pub(super) fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.trusted
    }

    /// Who signed its certificate.
    pub(super) fn issuer(&self) -> Option<&CertificateDer<'static>> {
        let mut all = self.trusted.iter();
        all.find(|ca| is_signed_by(&self.certificate, ca))
    }

    /// For connections that come in. A node without certificate is let in only to show its join token;
    /// with `strict`, not even that.
    ///
    /// # Errors
    /// Fails when the files do not fit each other.
    pub(super) fn server(&self, strict: bool) -> Result<Arc<ServerConfig>, Error> {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider());
        let verifier = if strict {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        let verifier = verifier.build().map_err(crypto)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(crypto)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain(), self.key.clone_key())
            .map_err(crypto)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// For connections to other nodes, which `verifier` believes or not.
    ///
    /// # Errors
    /// Fails when the files do not fit each other.
    pub(super) fn client(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(crypto)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(self.chain(), self.key.clone_key())
            .map_err(crypto)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// The authority goes along, so that a joining node can check it against its token.
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let mut chain = vec![self.certificate.clone()];
        chain.extend(self.issuer().cloned());
        chain
    }

    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        roots(self.trusted.iter().cloned())
    }
}

fn roots(
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for ca in trusted {
        roots.add(ca).map_err(crypto)?;
    }
    Ok(Arc::new(roots))
}

/// For a node that has only a token: the other end must present an authority with this fingerprint and
/// a certificate of it.
///
/// # Errors
/// Fails when TLS cannot be set up at all.
pub(super) fn pinned(ca_fingerprint: String) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Arc::new(Pinned { ca_fingerprint });
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(crypto)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Pinned {
    ca_fingerprint: String,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates
            .iter()
            .find(|der| fingerprint(der) == self.ca_fingerprint);
        let ca = ca.ok_or(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer,
        ))?;
        let roots =
            roots([ca.clone().into_owned()]).map_err(|e| rustls::Error::General(e.to_string()))?;
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What a failed handshake means, in words for the operator.
pub(super) fn explain(e: &std::io::Error) -> String {
    use rustls::CertificateError as Wrong;
    let tls = e
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature)) => {
            "its certificate belongs to another cluster".into()
        }
        Some(rustls::Error::InvalidCertificate(
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. },
        )) => "its certificate is that of another node".into(),
        Some(rustls::Error::InvalidCertificate(Wrong::Revoked)) => {
            "it has a newer certificate than the one that it showed".into()
        }
        Some(rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. })) => {
            "its certificate has ended".into()
        }
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)) => {
            "it belongs to another cluster: it does not accept this node's certificate".into()
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it refused this node's certificate ({alert:?}); is this node still a member?")
        }
        _ => e.to_string(),
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate from PEM.
pub(super) fn certificate(pem: &[u8], what: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(pem)
        .map_err(|e| Error::Tls(format!("failed to read {what}: {e}")))
}

/// All certificates in a text.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(Error::Tls("failed to read ca.pem: it is empty".into())),
        Err(e) => Err(Error::Tls(format!("failed to read ca.pem: {e}"))),
    }
}

/// A certificate from PEM.
///
/// # Errors
/// Says that it is none.
pub fn certificate_of(pem: &str) -> Result<CertificateDer<'static>, Error> {
    certificate(pem.as_bytes(), "a certificate")
}

/// A certificate as PEM.
pub fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

pub(super) fn crypto(e: impl std::fmt::Display) -> Error {
    Error::Tls(e.to_string())
}
