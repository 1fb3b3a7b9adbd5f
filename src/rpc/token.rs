//! A join token: where the cluster is, which authority it must show, and a secret that lets one node in.

use std::net::SocketAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Error;

/// Every token begins so.
const PREFIX: &str = "systole1.";

/// What is inside.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The cluster.
    #[serde(rename = "c")]
    pub cluster: Uuid,
    /// SHA-256 of the authority's certificate.
    #[serde(rename = "f")]
    pub ca_fingerprint: String,
    /// Lets one node in.
    #[serde(rename = "s")]
    pub secret: String,
    /// Members that can sign.
    #[serde(rename = "a")]
    pub addresses: Vec<SocketAddr>,
    /// Seconds since 1970.
    #[serde(rename = "e")]
    pub expires_s: i64,
}

/// The secret is not for logs.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}, {:?})", self.cluster, self.addresses)
    }
}

impl Token {
    /// What the cluster remembers of it.
    pub fn hash(secret: &str) -> String {
        super::tls::fingerprint(secret.as_bytes())
    }

    /// A secret that nobody can guess.
    pub(super) fn draw_secret() -> String {
        format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| std::fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let coded = text
            .strip_prefix(PREFIX)
            .ok_or(Error::BadToken("it does not begin as one"))?;
        if coded.len() > 8192 {
            return Err(Error::BadToken("it is too long"));
        }
        let json = URL_SAFE_NO_PAD
            .decode(coded)
            .map_err(|_| Error::BadToken("it is garbled"))?;
        serde_json::from_slice(&json).map_err(|_| Error::BadToken("it is cut short or garbled"))
    }
}
