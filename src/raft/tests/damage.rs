//! Files that are not what was written: every one is refused by name, none is served.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use openraft::{EntryPayload, testing::log_id};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::state::{self, Dedup, State};
use super::super::store::{Store, Write};
use super::super::types::{Entry, Request, SnapshotMeta, Vote};
use super::super::vocab::{ClientWrite, Error};
use super::identity;
use crate::cib::Command;
use crate::terms::NodeId;
use crate::xml::Element;

fn entry(index: u64) -> (u64, Vec<u8>) {
    let value = format!("value {index}").repeat(20);
    let command = Command::modify("crm_config", Element::new("x").with("value", value));
    let request = Request(vec![ClientWrite::cib(Uuid::from_u128(3), index, command)]);
    let payload = if index == 0 {
        EntryPayload::Blank
    } else {
        EntryPayload::Normal(request)
    };
    let log_id = log_id::<NodeId>(1, NodeId(0), index);
    let entry = Entry { log_id, payload };
    (index, serde_json::to_vec(&entry).expect("serialises"))
}

async fn filled(dir: &Path) {
    Store::create(dir, identity(1)).expect("created");
    let store = Store::open(dir, Some(&identity(1))).expect("opened");
    store
        .write_wait(Write::Vote(Vote::new(1, NodeId(1))))
        .await
        .expect("written");
    let data = state::save(&State::default(), &Dedup::default());
    let snapshot = Write::Snapshot(SnapshotMeta::default(), Arc::new(data));
    store.write_wait(snapshot).await.expect("written");
    for index in 0..40 {
        store
            .write_wait(Write::Append(vec![entry(index)]))
            .await
            .expect("written");
    }
    store.close();
}

/// What the store says about itself, as text, or its error.
fn contents(dir: &Path) -> Result<String, Error> {
    let (store, contents) = Store::open_with_contents(dir, Some(&identity(1)))?;
    let log = store.read_log(0, u64::MAX);
    store.close();
    let log: Vec<_> = log?.into_iter().map(|(entry, _)| entry).collect();
    Ok(format!("{contents:?} {log:?}"))
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a temporary directory");
    for file in ["raft.redb", "raft.tail"] {
        std::fs::copy(from.join(file), to.path().join(file)).expect("copied");
    }
    to
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_named_or_harmless() {
    let whole = TempDir::new().expect("a temporary directory");
    filled(whole.path()).await;
    let sound = contents(copy(whole.path()).path()).expect("sound");
    let bytes = std::fs::metadata(whole.path().join("raft.redb"))
        .expect("there")
        .len();
    // redb panics on some of these; the verdict counts, not the noise.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut named, mut place) = (0, 12_345_u64);
    let mut wrong = Vec::new();
    for turn in 0..300_u64 {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Half of the flips where redb keeps its header.
        let at = if turn % 4 == 0 {
            (place >> 20) % 320
        } else {
            (place >> 20) % bytes
        };
        let dir = copy(whole.path());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.path().join("raft.redb"));
        let file = file.expect("there");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ (1 << (turn % 8))], at)
            .expect("written");
        match contents(dir.path()) {
            Ok(text) if text == sound => {}
            Ok(text) => wrong.push(format!("flip at {at}: {}", &text[..200])),
            Err(e @ Error::Damaged { .. }) => {
                named += 1;
                let text = e.to_string();
                assert!(
                    text.contains("raft.redb") && text.contains("join again"),
                    "{text}"
                );
            }
            Err(e) => wrong.push(format!("flip at {at}: {e}")),
        }
    }
    std::panic::set_hook(hook);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(named > 20, "only {named} of 300 flips were noticed");
}

#[tokio::test]
async fn a_torn_file_is_named() {
    let whole = TempDir::new().expect("a temporary directory");
    filled(whole.path()).await;
    let path = whole.path().join("raft.redb");
    let bytes = std::fs::metadata(&path).expect("there").len();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for part in [0, 100, bytes / 3, bytes / 2, bytes - 4096] {
        let dir = copy(whole.path());
        let file = OpenOptions::new()
            .write(true)
            .open(dir.path().join("raft.redb"));
        file.expect("there").set_len(part).expect("cut");
        let error = contents(dir.path()).expect_err("torn");
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
    std::panic::set_hook(hook);
}

/// An older copy of the file is sound in itself. The tail knows that there was more.
#[tokio::test]
async fn a_lost_commit_is_noticed() {
    let dir = TempDir::new().expect("a temporary directory");
    Store::create(dir.path(), identity(1)).expect("created");
    let old = copy(dir.path());
    let store = Store::open(dir.path(), Some(&identity(1))).expect("opened");
    store
        .write_wait(Write::Vote(Vote::new(3, NodeId(2))))
        .await
        .expect("written");
    store.close();
    std::fs::copy(old.path().join("raft.redb"), dir.path().join("raft.redb")).expect("copied");
    let error = contents(dir.path())
        .expect_err("a vote is missing")
        .to_string();
    assert!(
        error.contains("commit 1 as the newest is damaged (2 is known"),
        "{error}"
    );
}

/// The machine stopped in the middle: the file was not closed, and comes back as it was.
#[tokio::test]
async fn an_unclean_end_loses_nothing() {
    let dir = TempDir::new().expect("a temporary directory");
    Store::create(dir.path(), identity(1)).expect("created");
    let store = Store::open(dir.path(), Some(&identity(1))).expect("opened");
    for index in 0..3 {
        store
            .write_wait(Write::Append(vec![entry(index)]))
            .await
            .expect("written");
    }
    let crashed = copy(dir.path());
    let text = contents(crashed.path()).expect("sound");
    assert!(text.contains("log: Some((0, 2))"), "{text}");
}

#[tokio::test]
async fn data_of_others_is_refused() {
    let dir = TempDir::new().expect("a temporary directory");
    let missing = Store::open(dir.path(), Some(&identity(2))).expect_err("not there");
    assert!(missing.to_string().contains("it is missing"), "{missing}");
    let missing = Store::open(dir.path(), None).expect_err("not there");
    assert!(missing.to_string().contains("systole join"), "{missing}");

    Store::create(dir.path(), identity(1)).expect("created");
    assert!(
        Store::create(dir.path(), identity(1)).is_err(),
        "never twice"
    );
    let error = Store::open(dir.path(), Some(&identity(2)))
        .expect_err("node 1's")
        .to_string();
    assert!(error.contains("belongs to node 1 of cluster"), "{error}");
    let mut other = identity(1);
    other.incarnation = Uuid::from_u128(99);
    let error = Store::open(dir.path(), Some(&other))
        .expect_err("another life")
        .to_string();
    assert!(error.contains("incarnation"), "{error}");
    let store = Store::open(dir.path(), Some(&identity(1))).expect("opened");
    let error = Store::open(dir.path(), Some(&identity(1)))
        .expect_err("in use")
        .to_string();
    assert!(error.contains("another daemon uses it"), "{error}");
    store.close();
}
