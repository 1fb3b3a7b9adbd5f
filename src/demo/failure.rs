//! Why a program of the laboratory ended without an answer.

use std::io;

use super::cluster::ClusterError;
use super::lab::LabError;
use super::service::ServiceError;

/// What went wrong with the laboratory itself, not with what it looks at.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("failed to write: {0}")]
    Write(#[from] io::Error),
    #[error("failed to write JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to make the hosts' disks: {0}")]
    Disk(nix::Error),
    /// A machine of one's own does not do what it should.
    #[error("{0}")]
    Machine(String),
}
