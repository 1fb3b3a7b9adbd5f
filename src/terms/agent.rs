//! `class:provider:type`: which agent runs a resource.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of an agent: `ocf:heartbeat:Dummy`, `systemd:nginx`, `stonith:fence_ipmilan`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentName {
    /// Standard: `ocf`, `systemd`, `service`, `lsb`, `stonith`.
    pub class: String,
    /// Only for `ocf`.
    pub provider: Option<String>,
    /// The agent itself; attribute `type`.
    pub kind: String,
}

/// Text that names no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an agent: write CLASS:TYPE, or ocf:PROVIDER:TYPE")]
pub struct InvalidAgent {
    text: String,
}

impl AgentName {
    /// From the attributes `class`, `provider` and `type`.
    pub fn new(class: &str, provider: Option<&str>, kind: &str) -> Self {
        Self {
            class: class.into(),
            provider: provider.map(Into::into),
            kind: kind.into(),
        }
    }

    /// Whether agents of this class have a provider. // spec 1 §1.9
    pub fn has_provider(&self) -> bool {
        self.class.eq_ignore_ascii_case("ocf")
    }

    /// Whether the class fences nodes.
    pub fn is_fencing(&self) -> bool {
        self.class.eq_ignore_ascii_case("stonith")
    }

    /// Whether it is no program but the connection to a remote or guest node. // spec 1 §9.1
    pub fn is_connection(&self) -> bool {
        let provider = self.provider.as_deref().unwrap_or_default();
        self.class.eq_ignore_ascii_case("ocf")
            && provider.eq_ignore_ascii_case("pacemaker")
            && self.kind.eq_ignore_ascii_case("remote")
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.provider {
            Some(provider) => write!(f, "{}:{}:{}", self.class, provider, self.kind),
            None => write!(f, "{}:{}", self.class, self.kind),
        }
    }
}

impl FromStr for AgentName {
    type Err = InvalidAgent;

    fn from_str(text: &str) -> Result<Self, InvalidAgent> {
        let invalid = || InvalidAgent { text: text.into() };
        let (class, rest) = text.split_once(':').ok_or_else(invalid)?;
        let name = if class.eq_ignore_ascii_case("ocf") {
            let (provider, kind) = rest.split_once(':').ok_or_else(invalid)?;
            if provider.is_empty() || kind.contains(':') {
                return Err(invalid());
            }
            Self::new(class, Some(provider), kind)
        } else {
            // A unit such as systemd:getty@tty1 may well contain a colon.
            Self::new(class, None, rest)
        };
        if name.class.is_empty() || name.kind.is_empty() {
            return Err(invalid());
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_read_and_write() {
        for text in [
            "ocf:heartbeat:Dummy",
            "systemd:nginx",
            "stonith:fence_x",
            "systemd:a:b",
        ] {
            assert_eq!(text.parse::<AgentName>().unwrap().to_string(), text);
        }
        for text in [
            "Dummy",
            "ocf:Dummy",
            "ocf::Dummy",
            "ocf:heartbeat:",
            ":x",
            "ocf:a:b:c",
        ] {
            assert!(text.parse::<AgentName>().is_err(), "{text}");
        }
    }
}
