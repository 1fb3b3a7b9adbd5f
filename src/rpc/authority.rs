//! The cluster's authority: whoever has its key makes nodes. And a node's part in that, a key of its own with the request to
//! sign it. How the files change without ever being unusable is in `keyring.rs`.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use uuid::Uuid;

use super::tls::{
    cluster_name, crypto, fingerprint, generation_name, node_name, remote_name, to_pem,
};
use super::{Error, node, tls};
use crate::terms::{NodeId, NodeName};

/// The key of the authority that signs, and of the one that will.
const KEY: &str = "ca.key";
const NEXT_KEY: &str = "ca.next.key";

/// The cluster's authority with its key: whoever has it can make nodes.
pub struct Authority {
    ca: CertificateDer<'static>,
    key: KeyPair,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issue {
    /// Of which cluster.
    pub cluster: Uuid,
    /// Of which node.
    pub node: NodeId,
    /// Each new certificate of a node has a greater one: with it, the older ones end.
    pub generation: u64,
    /// Until when it is good, in seconds since 1970; whole days count. None for as good as ever.
    pub until_s: Option<i64>,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// Fails when the system has no randomness.
    pub fn create(cluster: Uuid) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(crypto)?;
        let mut params = CertificateParams::default();
        // One that replaces another has another name: by it a certificate finds who signed it.
        let number = Uuid::new_v4().simple().to_string();
        let name = format!("systole cluster {cluster} {}", &number[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        good_until(&mut params, None);
        let certificate = params.self_signed(&key).map_err(crypto)?;
        let ca = certificate.der().clone();
        Ok(Self { ca, key })
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.ca)
    }

    /// Key and certificate, as PEM. Not for printing.
    pub fn to_pem(&self) -> String {
        self.key.serialize_pem() + &to_pem(&self.ca)
    }

    /// Reads both from one text.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let ca = tls::certificate(pem.as_bytes(), "the authority's certificate")?;
        Self::of(ca, KeyPair::from_pem(pem).map_err(crypto)?)
    }

    fn of(ca: CertificateDer<'static>, key: KeyPair) -> Result<Self, Error> {
        let fits = tls::facts(&ca).is_some_and(|facts| facts.key == fingerprint(key.der_bytes()));
        match fits {
            true => Ok(Self { ca, key }),
            false => Err(Error::Tls(
                "the authority's key does not fit its certificate".into(),
            )),
        }
    }

    /// Those whose keys are in this directory, the one that signs first. None on a witness.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn all(dir: &Path) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for name in [KEY, NEXT_KEY] {
            let path = dir.join(name);
            if !path.exists() {
                continue;
            }
            let text = node::read(&path)?;
            if text.contains("BEGIN CERTIFICATE") {
                all.push(Self::from_pem(&text)?);
                continue;
            }
            // As `init` and `join` wrote it once: the certificate is among those that are trusted.
            for ca in tls::certificates(&node::read(&dir.join("ca.pem"))?)? {
                let key = KeyPair::from_pem(&text).map_err(crypto)?;
                all.extend(Self::of(ca, key).ok());
            }
        }
        Ok(all)
    }

    /// Writes it down as the one that will sign.
    ///
    /// # Errors
    /// Names the file.
    pub fn keep_as_next(&self, dir: &Path) -> Result<(), Error> {
        node::write(&dir.join(NEXT_KEY), &self.to_pem())
    }

    /// Writes it down as the one that signs.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn keep(&self, dir: &Path) -> Result<(), Error> {
        node::write(&dir.join(KEY), &self.to_pem())
    }

    /// Once nothing but this one is trusted, the key of the one before is of no use. In this order, so that after a crash
    /// it is there at least once.
    ///
    /// # Errors
    /// Names the file.
    pub fn forget_former(dir: &Path, trusted: &str) -> Result<(), Error> {
        let next = dir.join(NEXT_KEY);
        if !next.exists() {
            return Ok(());
        }
        let authority = Self::from_pem(&node::read(&next)?)?;
        if authority.fingerprint() == trusted {
            authority.keep(dir)?;
            std::fs::remove_file(&next).map_err(|e| node::disk("remove", &next, &e))?;
        }
        Ok(())
    }

    /// A certificate for the key in a signing request. Nothing but the key is taken from it.
    ///
    /// # Errors
    /// Fails when the request does not prove that its sender has the key.
    pub fn sign(&self, request: &[u8], issue: Issue) -> Result<CertificateDer<'static>, Error> {
        let names = [
            node_name(issue.cluster, issue.node),
            cluster_name(issue.cluster),
            generation_name(issue.cluster, issue.generation),
        ];
        let common = format!("node {}", issue.node);
        self.sign_names(request, common, &names, issue.until_s)
    }

    /// The same for a remote node.
    ///
    /// # Errors
    /// As for [`Self::sign`].
    pub fn sign_remote(
        &self,
        request: &[u8],
        cluster: Uuid,
        name: &NodeName,
        until_s: Option<i64>,
    ) -> Result<CertificateDer<'static>, Error> {
        let names = [remote_name(cluster, name)];
        self.sign_names(request, format!("remote node {name}"), &names, until_s)
    }

    fn sign_names(
        &self,
        request: &[u8],
        mut common: String,
        names: &[String],
        until_s: Option<i64>,
    ) -> Result<CertificateDer<'static>, Error> {
        let der = CertificateSigningRequestDer::from(request.to_vec());
        let mut request = CertificateSigningRequestParams::from_der(&der).map_err(crypto)?;
        let mut params = CertificateParams::default();
        // No more fits into a certificate; it is for people only.
        common.truncate(64);
        params.distinguished_name.push(DnType::CommonName, common);
        for name in names {
            let name = name.as_str().try_into().map_err(crypto)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        good_until(&mut params, until_s);
        request.params = params;
        let issuer = Issuer::from_ca_cert_der(&self.ca, &self.key).map_err(crypto)?;
        Ok(request.signed_by(&issuer).map_err(crypto)?.der().clone())
    }
}

/// A node's new key with the request to sign it.
pub struct NewKey {
    /// The key, as PEM.
    pub(super) key_pem: String,
    /// The request (DER).
    pub request: Vec<u8>,
}

impl NewKey {
    /// Draws a key, or uses the one that an earlier attempt has drawn.
    ///
    /// # Errors
    /// Fails when the system has no randomness, or the old key cannot be read.
    pub fn create(old: Option<&str>) -> Result<Self, Error> {
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
    Ok(fingerprint(request.public_key.der_bytes()))
}

/// From long ago, so that a node whose clock is behind can still talk; and until the end of a day.
fn good_until(params: &mut CertificateParams, until_s: Option<i64>) {
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let day = until_s
        .and_then(|at| jiff::Timestamp::from_second(at + 86_399).ok())
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date())
        .filter(|day| day.year() < 2120);
    let date = |day: jiff::civil::Date| {
        let number = |it: i8| u8::try_from(it).unwrap_or(1);
        rcgen::date_time_ymd(day.year().into(), number(day.month()), number(day.day()))
    };
    params.not_after = day.map_or_else(|| rcgen::date_time_ymd(2120, 1, 1), date);
}
