//! Keys, certificates and TLS configurations. A cluster is its own certificate authority; a node's
//! certificate says which node of which cluster it is, and nothing else is believed about a peer.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use uuid::Uuid;

use super::Error;
use crate::terms::NodeId;

/// Who this node is, with proof.
pub struct Credentials {
    /// The cluster.
    pub cluster: Uuid,
    /// The node.
    pub node: NodeId,
    ca: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials(node {} of {})", self.node, self.cluster)
    }
}

/// The cluster's authority with its key: whoever has it can make nodes.
pub struct Authority {
    ca: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// Fails when the system has no randomness.
    pub fn create(cluster: Uuid) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(crypto)?;
        let mut params = CertificateParams::default();
        let name = format!("systole cluster {cluster}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        long_lived(&mut params);
        let certificate = params.self_signed(&key).map_err(crypto)?;
        let ca = certificate.der().clone();
        Ok(Self { ca, key })
    }

    /// Reads both from PEM.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn from_pem(ca: &str, key: &str) -> Result<Self, Error> {
        let ca = certificate(ca.as_bytes(), "the cluster's certificate")?;
        let key = KeyPair::from_pem(key).map_err(crypto)?;
        Ok(Self { ca, key })
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// The key, as PEM. Not for printing.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate for the key in a signing request. Nothing but the key is taken from it.
    ///
    /// # Errors
    /// Fails when the request does not prove that its sender has the key.
    pub fn sign(
        &self,
        request: &[u8],
        cluster: Uuid,
        node: NodeId,
    ) -> Result<CertificateDer<'static>, Error> {
        let der = CertificateSigningRequestDer::from(request.to_vec());
        let mut request = CertificateSigningRequestParams::from_der(&der).map_err(crypto)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("node {node}"));
        for name in [node_name(cluster, node), cluster_name(cluster)] {
            let name = name.as_str().try_into().map_err(crypto)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        long_lived(&mut params);
        request.params = params;
        let issuer = Issuer::from_ca_cert_der(&self.ca, &self.key).map_err(crypto)?;
        Ok(request.signed_by(&issuer).map_err(crypto)?.der().clone())
    }
}

/// A node's new key with the request to sign it.
pub(super) struct NewKey {
    /// The key, as PEM.
    pub key_pem: String,
    /// The request (DER).
    pub request: Vec<u8>,
}

impl NewKey {
    /// Draws a key, or uses the one that an earlier attempt has drawn.
    ///
    /// # Errors
    /// Fails when the system has no randomness, or the old key cannot be read.
    pub(super) fn create(old: Option<&str>) -> Result<Self, Error> {
        let key = match old {
            Some(pem) => KeyPair::from_pem(pem),
            None => KeyPair::generate(),
        };
        let key = key.map_err(crypto)?;
        let request = CertificateParams::default()
            .serialize_request(&key)
            .map_err(crypto)?;
        Ok(Self {
            key_pem: key.serialize_pem(),
            request: request.der().to_vec(),
        })
    }
}

/// SHA-256 of the public key in a signing request.
///
/// # Errors
/// Fails when it is none.
pub(super) fn key_of(request: &[u8]) -> Result<String, Error> {
    let der = CertificateSigningRequestDer::from(request.to_vec());
    let request = CertificateSigningRequestParams::from_der(&der).map_err(crypto)?;
    Ok(fingerprint(rcgen::PublicKeyData::der_bytes(
        &request.public_key,
    )))
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

/// Keys outlive their machines: a cluster whose clock is wrong must still be able to talk.
/// Gap: certificates are not rotated; a node is shut out by removing it.
fn long_lived(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
}

/// The name in the certificate of one node.
fn node_name(cluster: Uuid, node: NodeId) -> String {
    format!("node-{node}.{cluster}.systole")
}

/// The name in the certificates of all nodes of a cluster.
fn cluster_name(cluster: Uuid) -> String {
    format!("{cluster}.systole")
}

/// Accepts any node of the cluster.
pub fn any_node(cluster: Uuid) -> ServerName<'static> {
    ServerName::try_from(cluster_name(cluster)).expect("a UUID is a DNS label")
}

/// Accepts this node alone.
pub fn this_node(cluster: Uuid, node: NodeId) -> ServerName<'static> {
    ServerName::try_from(node_name(cluster, node)).expect("a UUID and a number are DNS labels")
}

/// The node to which a certificate belongs. Only for certificates that TLS has verified.
pub fn node_of(der: &[u8]) -> Option<NodeId> {
    use x509_parser::extensions::GeneralName;
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::DNSName(name) => {
                name.strip_prefix("node-")?.split_once('.')?.0.parse().ok()
            }
            _ => None,
        })
}

/// Until when the certificate of the node with this data directory is good, in seconds since 1970.
///
/// # Errors
/// Names the file that cannot be read.
pub fn certificate_until_s(dir: &Path) -> Result<i64, Error> {
    let own = certificate(
        super::node::read(&dir.join("node.pem"))?.as_bytes(),
        "node.pem",
    )?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&own)
        .map_err(|e| Error::Tls(format!("failed to read node.pem: {e}")))?;
    Ok(parsed.validity().not_after.timestamp())
}

impl Credentials {
    /// Reads the node's files.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn load(dir: &Path, cluster: Uuid, node: NodeId) -> Result<Self, Error> {
        let read = |name: &str| super::node::read(&dir.join(name));
        let ca = certificate(read("ca.pem")?.as_bytes(), "ca.pem")?;
        let own = certificate(read("node.pem")?.as_bytes(), "node.pem")?;
        let key = PrivateKeyDer::from_pem_slice(read("node.key")?.as_bytes());
        let key = key.map_err(|e| Error::Tls(format!("failed to read node.key: {e}")))?;
        if node_of(&own) != Some(node) {
            return Err(Error::Tls(format!(
                "{} is not the certificate of node {node}: restore it, or remove this node and join again",
                dir.join("node.pem").display()
            )));
        }
        Ok(Self {
            cluster,
            node,
            ca,
            certificate: own,
            key,
        })
    }

    /// For connections that come in. A node without certificate is let in only to show its join token;
    /// with `strict`, not even that.
    ///
    /// # Errors
    /// Fails when the files do not fit each other.
    pub fn server(&self, strict: bool) -> Result<Arc<ServerConfig>, Error> {
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

    /// For connections to other nodes.
    ///
    /// # Errors
    /// Fails when the files do not fit each other.
    pub fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(crypto)?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain(), self.key.clone_key())
            .map_err(crypto)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// SHA-256 of the authority's certificate, as it stands in tokens.
    pub fn ca_fingerprint(&self) -> String {
        fingerprint(&self.ca)
    }

    /// The authority goes along, so that a joining node can check it against its token.
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone(), self.ca.clone()]
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        roots(self.ca.clone())
    }
}

fn roots(ca: CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(crypto)?;
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
            roots(ca.clone().into_owned()).map_err(|e| rustls::Error::General(e.to_string()))?;
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
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)) => {
            "it belongs to another cluster: it does not accept this node's certificate".into()
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it refused this node's certificate ({alert:?}); is this node still a member?")
        }
        _ => e.to_string(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate from PEM.
pub(super) fn certificate(pem: &[u8], what: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(pem)
        .map_err(|e| Error::Tls(format!("failed to read {what}: {e}")))
}

/// A certificate as PEM.
pub(super) fn to_pem(der: &[u8]) -> String {
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

fn crypto(e: impl std::fmt::Display) -> Error {
    Error::Tls(e.to_string())
}
