//! The room as a whole: openraft's own suite on our store, damaged files, and clusters of three in one
//! process with a switchboard for a network.

mod cluster;
mod damage;

use std::path::Path;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;
use uuid::Uuid;

use super::log::Log;
use super::machine::Machine;
use super::store::{Identity, Store};
use super::types::{StorageError, TypeConfig};
use crate::terms::NodeId;

/// openraft's suite makes up node ids from 64 bits.
impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(u32::try_from(id).expect("small in tests"))
    }
}

pub(super) fn identity(node: u32) -> Identity {
    Identity {
        cluster: Uuid::from_u128(7),
        node: NodeId(node),
        incarnation: Uuid::from_u128(u128::from(node)),
        founder: node == 1,
    }
}

pub(super) fn open(dir: &Path, node: u32) -> (Store, Log, Machine) {
    let opened = Store::open_with_contents(dir, Some(&identity(node)));
    let (store, contents) = opened.expect("a sound store");
    let log = Log::new(store.clone(), &contents);
    let machine = Machine::new(store.clone(), contents).expect("a sound snapshot");
    (store, log, machine)
}

struct Builder;

impl StoreBuilder<TypeConfig, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError> {
        let dir = TempDir::new().expect("a temporary directory");
        Store::create(dir.path(), identity(1)).expect("created");
        let (_, log, machine) = open(dir.path(), 1);
        Ok((dir, log, machine))
    }
}

#[test]
fn openrafts_own_suite_passes() {
    Suite::test_all(Builder).expect("passes");
}
