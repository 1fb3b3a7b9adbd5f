//! Which file runs an agent. Agents of the system come first; ours take their place where they are missing, so
//! that a configuration written for `ocf:heartbeat:IPaddr2` works without the package that brings it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::terms::AgentName;

use super::Place;

/// Why there is no file for an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The name could lead out of the directory of agents.
    #[error("'{0}' is not a name of an agent: letters, digits, '-', '_', '.', '@' and ':' are")]
    BadName(String),
    /// No file where one is looked for.
    #[error("{}: No such file or directory", .0.display())]
    Missing(PathBuf),
    /// Anybody may write it, so running it as root would make anybody root.
    #[error("{}: writable by everybody, so it is not run; chmod o-w it", .0.display())]
    Unsafe(PathBuf),
    /// No convention for this class.
    #[error("class '{0}' is not supported: ocf, systemd, lsb, service and stonith are")]
    Class(String),
}

/// Providers in whose place our own agents may stand.
const REPLACED: [&str; 2] = ["heartbeat", "pacemaker"];

/// The file of an `ocf` or `lsb` agent.
pub fn find(place: &Place, agent: &AgentName) -> Result<PathBuf, NotFound> {
    let provider = agent.provider.as_deref().unwrap_or("heartbeat");
    for name in [provider, &agent.kind] {
        if !safe_name(name) {
            return Err(NotFound::BadName(name.to_owned()));
        }
    }
    let candidates = match agent.class.to_ascii_lowercase().as_str() {
        "ocf" => ocf_candidates(place, provider, &agent.kind),
        "lsb" | "service" => vec![Path::new("/etc/init.d").join(&agent.kind)],
        other => return Err(NotFound::Class(other.to_owned())),
    };
    pick(candidates)
}

/// The file of a fence agent.
pub fn find_fence(place: &Place, agent: &str) -> Result<PathBuf, NotFound> {
    if !safe_name(agent) {
        return Err(NotFound::BadName(agent.to_owned()));
    }
    let own = place.own_agents.join("fence");
    let directories = place.fence_agents.iter().chain(std::iter::once(&own));
    pick(directories.map(|directory| directory.join(agent)).collect())
}

fn ocf_candidates(place: &Place, provider: &str, kind: &str) -> Vec<PathBuf> {
    // Laid out by `agents::install`, or a plain directory of providers.
    let own = [place.own_agents.join("ocf"), place.own_agents.clone()];
    let mut candidates = vec![place.ocf_root.join("resource.d").join(provider).join(kind)];
    candidates.extend(own.iter().map(|own| own.join(provider).join(kind)));
    if REPLACED.contains(&provider) {
        candidates.extend(own.iter().map(|own| own.join("systole").join(kind)));
    }
    candidates
}

fn pick(candidates: Vec<PathBuf>) -> Result<PathBuf, NotFound> {
    let found = candidates.iter().find(|path| path.exists());
    let Some(path) = found else {
        // The first one is where people expect it.
        return Err(NotFound::Missing(
            candidates.into_iter().next().unwrap_or_default(),
        ));
    };
    let writable = |path: &Path| {
        let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
        mode & 0o002 != 0
    };
    if writable(path) {
        Err(NotFound::Unsafe(path.clone()))
    } else {
        Ok(path.clone())
    }
}

fn safe_name(name: &str) -> bool {
    let letters = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.@:+".contains(c));
    letters && !name.is_empty() && !name.starts_with('.')
}
