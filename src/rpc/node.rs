//! Where a node keeps its things, and the file in which it remembers who it is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Error;
use crate::raft::{Identity, MemberRole, Timing};
use crate::terms::{CrmExit, NodeId, NodeName};

/// Port for peers, if none is given. Leases use the next one.
pub const PORT: u16 = 5405;
/// Members of this group administrate the cluster, if nothing else is configured.
pub const ADMIN_GROUP: &str = "haclient";

/// Where a node keeps its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Data: keys, log, configuration of the node.
    pub data: PathBuf,
    /// The socket for tools.
    pub socket: PathBuf,
}

impl Paths {
    /// Everything below `dir`, or in the usual places. So several daemons fit on one machine.
    pub fn new(dir: Option<PathBuf>) -> Self {
        match dir {
            Some(dir) => Self {
                socket: dir.join("systole.sock"),
                data: dir,
            },
            None => Self {
                data: "/var/lib/systole".into(),
                socket: "/run/systole/systole.sock".into(),
            },
        }
    }

    /// As [`Self::new`] with the directory of `SYSTOLE_DIR`, if it is set.
    pub fn from_env() -> Self {
        let dir = std::env::var_os("SYSTOLE_DIR").filter(|dir| !dir.is_empty());
        Self::new(dir.map(PathBuf::from))
    }

    /// The node's configuration.
    pub fn config(&self) -> PathBuf {
        self.data.join("node.toml")
    }
}

/// How a node is configured: written by `init` and `join`; the last part may be edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Name of the cluster.
    pub cluster_name: String,
    /// Identity of the cluster.
    pub cluster: Uuid,
    /// This node's id.
    pub node: NodeId,
    /// Drawn when it joined.
    pub incarnation: Uuid,
    /// It founded the cluster.
    #[serde(default)]
    pub founder: bool,
    /// SHA-256 of its public key.
    pub key: String,
    /// Its name.
    pub name: NodeName,
    /// Its role when it joined.
    pub role: MemberRole,
    /// Where it listens for peers.
    pub addresses: Vec<SocketAddr>,
    /// Where it listens for leases; the same addresses with the next port if none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lease_addresses: Vec<SocketAddr>,
    /// `fast`, `normal` or `wan`.
    #[serde(default)]
    pub profile: Profile,
    /// Users of this group may do everything.
    #[serde(default = "admin_group")]
    pub admin_group: String,
    /// The watchdog that resets this machine when it can't stop what it runs; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
}

/// A watchdog, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// `/dev/watchdog`; a file of another name stands in for a device.
    pub device: PathBuf,
    /// It resets the machine when it was not fed for so long.
    #[serde(default = "watchdog_timeout")]
    pub timeout: String,
}

impl Watchdog {
    /// The timeout in milliseconds, at least one second.
    ///
    /// # Errors
    /// Says what cannot be read.
    pub fn timeout_ms(&self) -> Result<u64, crate::terms::span::InvalidSpan> {
        Ok(crate::terms::span::parse_ms(&self.timeout)?.max(1_000))
    }
}

fn watchdog_timeout() -> String {
    "5s".into()
}

/// How long is long: one word for all times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Machines and network without hiccups.
    Fast,
    /// Safe on loaded virtual machines.
    #[default]
    Normal,
    /// Sites far apart.
    Wan,
}

fn admin_group() -> String {
    ADMIN_GROUP.into()
}

impl NodeConfig {
    /// Reads it.
    ///
    /// # Errors
    /// Says that the node has not joined, or names file and line.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = paths.config();
        if !path.exists() {
            return Err(crate::raft::Error::NotJoined.into());
        }
        toml::from_str(&read(&path)?).map_err(|e| Error::Config {
            path: path.display().to_string(),
            detail: e.to_string().trim().into(),
        })
    }

    /// The same with other addresses. Leases follow them.
    ///
    /// # Errors
    /// Names what cannot be written.
    pub fn move_to(&self, addresses: &[SocketAddr], paths: &Paths) -> Result<(), Error> {
        let moved = Self {
            addresses: addresses.to_vec(),
            lease_addresses: Vec::new(),
            ..self.clone()
        };
        moved.save(paths)
    }

    /// Writes it: from now on the node belongs to the cluster.
    pub(super) fn save(&self, paths: &Paths) -> Result<(), Error> {
        let text = toml::to_string_pretty(self).map_err(|e| Error::Config {
            path: paths.config().display().to_string(),
            detail: e.to_string(),
        })?;
        write(&paths.config(), &text)
    }

    /// Whose data its directory must hold.
    pub fn identity(&self) -> Identity {
        Identity {
            cluster: self.cluster,
            node: self.node,
            incarnation: self.incarnation,
            founder: self.founder,
        }
    }

    /// What raft needs to know.
    pub fn raft(&self, paths: &Paths) -> crate::raft::Config {
        let timing = match self.profile {
            Profile::Fast | Profile::Normal => Timing::default(),
            Profile::Wan => Timing::scaled(5),
        };
        crate::raft::Config {
            dir: paths.data.clone(),
            identity: self.identity(),
            cluster_name: self.cluster_name.clone(),
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            key: self.key.clone(),
            timing,
            snapshot_every: 1000,
        }
    }

    /// Where it listens for leases.
    pub fn leases(&self) -> Vec<SocketAddr> {
        if self.lease_addresses.is_empty() {
            self.addresses.iter().copied().map(lease_address).collect()
        } else {
            self.lease_addresses.clone()
        }
    }
}

/// An address with or without a port.
///
/// # Errors
/// Says how one is written.
pub fn parse_address(text: &str, port: u16) -> Result<SocketAddr, Error> {
    if let Ok(ip) = text.parse() {
        return Ok(SocketAddr::new(ip, port));
    }
    let with_port = if text.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{port}")
    };
    let found = with_port
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    found.ok_or_else(|| Error::Refused {
        exit: CrmExit::NO_HOST,
        message: format!(
            "`{text}` is not an address: write 192.0.2.11, 192.0.2.11:5405 or [2001:db8::1]:5405"
        ),
    })
}

/// The lease address that belongs to a peer address.
pub fn lease_address(mut peer: SocketAddr) -> SocketAddr {
    peer.set_port(peer.port().saturating_add(1));
    peer
}

/// A text file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| disk("read", path, &e))
}

/// Replaces a file as a whole: private, on disk before it gets its name.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        File::open(dir)?.sync_all()
    };
    written().map_err(|e| disk("write", path, &e))
}

/// The data directory, made private if it is not there.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| disk("create", dir, &e))
}

pub(super) fn disk(action: &'static str, path: &Path, e: &std::io::Error) -> Error {
    crate::raft::Error::Disk {
        action,
        path: path.display().to_string(),
        detail: e.to_string(),
    }
    .into()
}
