//! The node's memory across restarts: one redb file with identity, vote, log and snapshot, and a small
//! file beside it which remembers the number of the last commit.
//!
//! redb heals an unclean end by going back one commit when the newest one does not check out. For a
//! torn write of a commit that nobody was told about, that is right. For a commit that was
//! acknowledged and damaged later, it would silently take back a vote or an entry. The tail file tells
//! the two apart: it is written, without waiting for the disk, after a commit is on disk. A file that
//! knows fewer commits than its tail has lost something.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::checked::{seal, unseal};
use super::types::{Entry, LogId, SnapshotMeta, Vote};
use super::vocab::Error;
use crate::terms::NodeId;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const SNAPSHOT: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot");

/// Names of the two files.
const FILE: &str = "raft.redb";
const TAIL: &str = "raft.tail";
/// redb's page cache; the log's newest entries are kept by `log.rs` anyway.
const CACHE_BYTES: usize = 2 << 20;
/// A snapshot is stored in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
/// Waiting writes are put into one commit up to this number.
const GROUP: usize = 64;

/// Whose data this is. A directory copied from elsewhere, or put together from two, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster: Uuid,
    /// The node.
    pub node: NodeId,
    /// Drawn when the directory was made: a node that lost its data never comes back as itself.
    pub incarnation: Uuid,
    /// This node founds the cluster: it may start alone, with itself as only voter.
    pub founder: bool,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} of cluster {}", self.node, self.cluster)
    }
}

/// What the file held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// Index of the first and the last entry.
    pub(crate) log: Option<(u64, u64)>,
    pub(crate) last: Option<LogId>,
    /// The newest membership, if it is in the log (`log::seats`).
    pub(crate) seats: Option<(u64, bool)>,
    pub(crate) snapshot: Option<(SnapshotMeta, Vec<u8>)>,
    /// How the peer's death was known, when this node last went on alone or was about to.
    pub(crate) peer_dead: Option<serde_json::Value>,
}

/// One thing to write. All waiting ones share a commit.
pub(crate) enum Write {
    Vote(Vote),
    Append(Vec<(u64, Vec<u8>)>),
    /// From this index on.
    Truncate(u64),
    /// Up to and with this one.
    Purge(LogId),
    Snapshot(SnapshotMeta, Arc<Vec<u8>>),
    /// Nothing but how far entries are committed, which goes with every commit.
    Committed,
    /// How the peer's death is known, before anything follows from it (`two_node`).
    Proof(Vec<u8>),
    /// This node votes alone from now on: vote, entry and proof, or nothing of it.
    Alone {
        vote: Vote,
        index: u64,
        entry: Vec<u8>,
        proof: Vec<u8>,
    },
}

type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    identity: Identity,
    /// None once closed.
    db: Mutex<Option<Arc<Database>>>,
    jobs: Mutex<Option<mpsc::Sender<(Write, Done)>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Goes to disk with the next commit; losing it costs nothing but a later start.
    committed: Arc<Mutex<Option<LogId>>>,
    #[cfg(test)]
    health: Arc<tests::Health>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Tail {
    incarnation: Uuid,
    commit: u64,
}

impl Store {
    /// Makes the files of a node that has just founded or joined a cluster.
    ///
    /// # Errors
    /// Fails when there are already files, or when they cannot be written.
    pub fn create(dir: &Path, identity: Identity) -> Result<(), Error> {
        let path = dir.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| disk("create", &path, &e))?;
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_file(file)
            .map_err(|e| disk("create", &path, &e))?;
        commit(&db, 1, &[], Some(&identity), None).map_err(|e| disk("write to", &path, &e))?;
        drop(db);
        let tail = open_tail(dir)?;
        write_tail(&tail, identity.incarnation, 1)
            .and_then(|()| tail.sync_all())
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|e| disk("write to", &dir.join(TAIL), &e))
    }

    /// Opens the files, checks every record, and says what they hold.
    ///
    /// # Errors
    /// Names the file and record that is damaged, or says whose data it is if not `wanted`.
    pub fn open(dir: &Path, wanted: Option<&Identity>) -> Result<Self, Error> {
        Self::open_with_contents(dir, wanted).map(|(store, _)| store)
    }

    pub(crate) fn open_with_contents(
        dir: &Path,
        wanted: Option<&Identity>,
    ) -> Result<(Self, Contents), Error> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(missing(&path, wanted));
        }
        // redb asserts what a damaged file may break; a panic here is a verdict on the file.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| load(&path)));
        let (db, identity, at, contents) = match opened {
            Ok(loaded) => loaded?,
            Err(_) => return Err(damaged(&path, "its structure", "it cannot be read")),
        };
        if let Some(wanted) = wanted
            && *wanted != identity
        {
            return Err(foreign(&path, &identity, wanted));
        }
        let tail = open_tail(dir)?;
        if let Some(seen) = read_tail(&tail)
            && seen.incarnation == identity.incarnation
            && seen.commit > at
        {
            let lost = format!("{} is known to have been written", seen.commit);
            return Err(damaged(&path, &format!("commit {at} as the newest"), &lost));
        }

        let db = Arc::new(db);
        let committed = Arc::new(Mutex::new(contents.committed));
        let (jobs, queue) = mpsc::channel();
        #[cfg(test)]
        let health = Arc::<tests::Health>::default();
        let writer = Writer {
            db: Arc::clone(&db),
            path: path.clone(),
            incarnation: identity.incarnation,
            at,
            tail,
            committed: Arc::clone(&committed),
            #[cfg(test)]
            health: Arc::clone(&health),
        };
        let thread = std::thread::Builder::new()
            .name("raft-store".into())
            .spawn(move || writer.run(&queue))
            .map_err(|e| disk("start the writer of", &path, &e))?;
        let inner = Inner {
            path,
            identity,
            db: Mutex::new(Some(db)),
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(thread)),
            committed,
            #[cfg(test)]
            health,
        };
        let inner = Arc::new(inner);
        Ok((Self { inner }, contents))
    }

    /// Whose data this is.
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    /// Queues a write; `done` is called once it is on disk, in the order of the calls.
    pub(crate) fn write(&self, write: Write, done: Done) {
        let jobs = self.inner.jobs.lock().expect("no panic while held");
        if let Some(sender) = jobs.as_ref()
            && let Err(mpsc::SendError((_, done))) = sender.send((write, done))
        {
            done(Err(Error::Stopped("its store is closed".into())));
        }
    }

    /// Writes and waits for the disk.
    pub(crate) async fn write_wait(&self, write: Write) -> Result<(), Error> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.write(
            write,
            Box::new(move |result| {
                // A caller that has gone does not want to know.
                let _ = tx.send(result);
            }),
        );
        rx.await
            .unwrap_or_else(|_| Err(Error::Stopped("its store is closed".into())))
    }

    /// Remembers how far entries are committed; written with the next commit.
    pub(crate) fn note_committed(&self, committed: Option<LogId>) {
        *self.inner.committed.lock().expect("no panic while held") = committed;
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        *self.inner.committed.lock().expect("no panic while held")
    }

    /// Entries of the log from the file, checked again.
    pub(crate) fn read_log(&self, from: u64, to: u64) -> Result<Vec<(Entry, usize)>, Error> {
        let path = &self.inner.path;
        let fail = |e: redb::Error| disk("read", path, &e);
        let db = self.inner.db.lock().expect("no panic while held").clone();
        let db = db.ok_or_else(|| Error::Stopped("its store is closed".into()))?;
        let txn = db.begin_read().map_err(|e| fail(e.into()))?;
        let table = txn.open_table(LOG).map_err(|e| fail(e.into()))?;
        let mut entries = Vec::new();
        for item in table.range(from..to).map_err(|e| fail(e.into()))? {
            let (key, value) = item.map_err(|e| fail(e.into()))?;
            let bytes = value.value();
            entries.push((entry(path, key.value(), bytes)?, bytes.len()));
        }
        Ok(entries)
    }

    /// Waits for the writer and closes the file.
    pub fn close(&self) {
        drop(self.inner.jobs.lock().expect("no panic while held").take());
        let thread = self
            .inner
            .writer
            .lock()
            .expect("no panic while held")
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer of {} panicked", self.inner.path.display());
        }
        drop(self.inner.db.lock().expect("no panic while held").take());
    }
}

/// The thread that waits for the disk.
struct Writer {
    db: Arc<Database>,
    path: PathBuf,
    incarnation: Uuid,
    at: u64,
    tail: File,
    committed: Arc<Mutex<Option<LogId>>>,
    #[cfg(test)]
    health: Arc<tests::Health>,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<(Write, Done)>) {
        let mut broken: Option<Error> = None;
        while let Ok((first, done)) = queue.recv() {
            let (mut writes, mut waiting) = (vec![first], vec![done]);
            while writes.len() < GROUP
                && let Ok((write, done)) = queue.try_recv()
            {
                writes.push(write);
                waiting.push(done);
            }
            // After a failed write nothing is known about what the disk holds: never write again.
            let result = match &broken {
                Some(error) => Err(error.clone()),
                None => self.commit(&writes),
            };
            if let Err(error) = &result
                && broken.is_none()
            {
                tracing::error!("{error}: this node can take no further part in the cluster");
                broken = Some(error.clone());
            }
            for done in waiting {
                done(result.clone());
            }
        }
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), Error> {
        #[cfg(test)]
        self.health
            .wait_or_fail()
            .map_err(|e| disk("write to", &self.path, &e))?;
        let committed = *self.committed.lock().expect("no panic while held");
        let number = self.at + 1;
        let write = || commit(&self.db, number, writes, None, committed.as_ref());
        match std::panic::catch_unwind(AssertUnwindSafe(write)) {
            Ok(result) => result.map_err(|e| disk("write to", &self.path, &e))?,
            Err(_) => return Err(damaged(&self.path, "its structure", "it cannot be written")),
        }
        self.at = number;
        // Only a help at the next start: a full disk must not stop a node whose log is written.
        if let Err(e) = write_tail(&self.tail, self.incarnation, number) {
            tracing::warn!("failed to write {TAIL}: {e}");
        }
        Ok(())
    }
}

/// One durable commit.
fn commit(
    db: &Database,
    number: u64,
    writes: &[Write],
    identity: Option<&Identity>,
    committed: Option<&LogId>,
) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        let mut log = txn.open_table(LOG)?;
        let mut put = |name: &'static str, content: Vec<u8>| -> Result<(), redb::Error> {
            meta.insert(name, seal(name, &content).as_slice())?;
            Ok(())
        };
        if let Some(identity) = identity {
            put("identity", json(identity))?;
            txn.open_table(SNAPSHOT)?;
        }
        put("commit", json(&number))?;
        if let Some(committed) = committed {
            put("committed", json(committed))?;
        }
        for write in writes {
            match write {
                Write::Vote(vote) => put("vote", json(vote))?,
                Write::Append(entries) => {
                    for (index, content) in entries {
                        log.insert(*index, seal(&place(*index), content).as_slice())?;
                    }
                }
                Write::Truncate(from) => log.retain_in(*from.., |_, _| false)?,
                Write::Purge(upto) => {
                    log.retain_in(..=upto.index, |_, _| false)?;
                    put("purged", json(upto))?;
                }
                Write::Snapshot(about, data) => {
                    let mut table = txn.open_table(SNAPSHOT)?;
                    table.retain(|_, _| false)?;
                    for (number, piece) in data.chunks(PIECE_BYTES).enumerate() {
                        let number = number as u64;
                        table.insert(number, seal(&piece_name(number), piece).as_slice())?;
                    }
                    put("snapshot", json(&(about, data.len())))?;
                }
                Write::Committed => {}
                Write::Proof(proof) => put("peer-dead", proof.clone())?,
                Write::Alone {
                    vote,
                    index,
                    entry,
                    proof,
                } => {
                    put("vote", json(vote))?;
                    log.insert(*index, seal(&place(*index), entry).as_slice())?;
                    put("peer-dead", proof.clone())?;
                }
            }
        }
    }
    txn.commit()?;
    Ok(())
}

/// Reads and checks the whole file.
fn load(path: &Path) -> Result<(Database, Identity, u64, Contents), Error> {
    let mut db = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .open(path)
        .map_err(|e| unreadable(path, &e.into()))?;
    match db.check_integrity() {
        Ok(true) => {}
        Ok(false) => return Err(damaged(path, "its structure", "digests do not match")),
        Err(e) => return Err(unreadable(path, &e.into())),
    }
    let fail = |e: redb::Error| unreadable(path, &e);
    let txn = db.begin_read().map_err(|e| fail(e.into()))?;
    let table = txn.open_table(META).map_err(|e| fail(e.into()))?;
    let mut meta: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for item in table.iter().map_err(|e| fail(e.into()))? {
        let (name, value) = item.map_err(|e| fail(e.into()))?;
        let content = unseal(name.value(), value.value())
            .map_err(|detail| damaged(path, &format!("record `{}`", name.value()), &detail))?;
        meta.insert(name.value().to_owned(), content.to_owned());
    }
    let identity = field(path, &meta, "identity")?
        .ok_or_else(|| damaged(path, "record `identity`", "it is missing"))?;
    let at = field(path, &meta, "commit")?
        .ok_or_else(|| damaged(path, "record `commit`", "it is missing"))?;
    let mut contents = Contents {
        vote: field(path, &meta, "vote")?,
        committed: field(path, &meta, "committed")?,
        purged: field(path, &meta, "purged")?,
        peer_dead: field(path, &meta, "peer-dead")?,
        ..Contents::default()
    };

    let table = txn.open_table(LOG).map_err(|e| fail(e.into()))?;
    contents.last = contents.purged;
    let mut next = contents.purged.map(|id| id.index + 1);
    for item in table.iter().map_err(|e| fail(e.into()))? {
        let (key, value) = item.map_err(|e| fail(e.into()))?;
        let index = key.value();
        if next.is_some_and(|next| next != index) || next.is_none() && index != 0 {
            let expected = next.unwrap_or(0);
            let detail = format!("entry {index} follows instead");
            return Err(damaged(path, &format!("log entry {expected}"), &detail));
        }
        let entry = entry(path, index, value.value())?;
        contents.last = Some(entry.log_id);
        contents.seats = super::log::seats(&entry).or(contents.seats);
        let first = contents.log.map_or(index, |(first, _)| first);
        contents.log = Some((first, index));
        next = Some(index + 1);
    }

    let table = txn.open_table(SNAPSHOT).map_err(|e| fail(e.into()))?;
    let about: Option<(SnapshotMeta, usize)> = field(path, &meta, "snapshot")?;
    if let Some((about, bytes)) = about {
        let mut data = Vec::with_capacity(bytes);
        for item in table.iter().map_err(|e| fail(e.into()))? {
            let (key, value) = item.map_err(|e| fail(e.into()))?;
            let name = piece_name(key.value());
            let piece =
                unseal(&name, value.value()).map_err(|detail| damaged(path, &name, &detail))?;
            data.extend_from_slice(piece);
        }
        if data.len() != bytes {
            let detail = format!("{} of {bytes} bytes are there", data.len());
            return Err(damaged(path, "the snapshot", &detail));
        }
        contents.snapshot = Some((about, data));
    }
    drop((table, txn));
    Ok((db, identity, at, contents))
}

fn field<T: DeserializeOwned>(
    path: &Path,
    meta: &BTreeMap<String, Vec<u8>>,
    name: &str,
) -> Result<Option<T>, Error> {
    meta.get(name)
        .map(|content| serde_json::from_slice(content))
        .transpose()
        .map_err(|e| damaged(path, &format!("record `{name}`"), &e.to_string()))
}

fn entry(path: &Path, index: u64, sealed: &[u8]) -> Result<Entry, Error> {
    let name = place(index);
    let content = unseal(&name, sealed).map_err(|detail| damaged(path, &name, &detail))?;
    let entry: Entry =
        serde_json::from_slice(content).map_err(|e| damaged(path, &name, &e.to_string()))?;
    if entry.log_id.index != index {
        let detail = format!("it says that it is entry {}", entry.log_id.index);
        return Err(damaged(path, &name, &detail));
    }
    Ok(entry)
}

fn place(index: u64) -> String {
    format!("log entry {index}")
}

fn piece_name(number: u64) -> String {
    format!("piece {number} of the snapshot")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have no map with odd keys")
}

fn open_tail(dir: &Path) -> Result<File, Error> {
    let path = dir.join(TAIL);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| disk("open", &path, &e))
}

/// A tail is one sector, padded with blanks, so that it is written whole or not at all.
const TAIL_BYTES: usize = 512;

fn write_tail(file: &File, incarnation: Uuid, commit: u64) -> std::io::Result<()> {
    let mut content = json(&Tail {
        incarnation,
        commit,
    });
    content.resize(TAIL_BYTES - super::checked::SEAL, b' ');
    file.write_all_at(&seal("tail", &content), 0)
}

/// None when it is damaged: it only ever gives additional evidence.
fn read_tail(file: &File) -> Option<Tail> {
    let mut bytes = [0; TAIL_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(unseal("tail", &bytes).ok()?).ok()
}

fn missing(path: &Path, wanted: Option<&Identity>) -> Error {
    match wanted {
        None => Error::NotJoined,
        Some(wanted) => Error::Foreign {
            path: path.display().to_string(),
            found: "nobody (it is missing)".into(),
            wanted: wanted.to_string(),
            cure: CURE.into(),
        },
    }
}

const CURE: &str = "remove this node from the cluster, delete its data directory and join again";

fn foreign(path: &Path, found: &Identity, wanted: &Identity) -> Error {
    let incarnation = |identity: &Identity| {
        if found.cluster == wanted.cluster && found.node == wanted.node {
            format!("{identity}, incarnation {}", identity.incarnation)
        } else {
            identity.to_string()
        }
    };
    Error::Foreign {
        path: path.display().to_string(),
        found: incarnation(found),
        wanted: incarnation(wanted),
        cure: format!("give this node its own directory, or {CURE}"),
    }
}

fn damaged(path: &Path, record: &str, detail: &str) -> Error {
    Error::Damaged {
        path: path.display().to_string(),
        record: record.into(),
        detail: detail.into(),
    }
}

fn disk(action: &'static str, path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::Disk {
        action,
        path: path.display().to_string(),
        detail: e.to_string(),
    }
}

/// What redb says about a file, sorted into damage and other trouble.
fn unreadable(path: &Path, e: &redb::Error) -> Error {
    match e {
        redb::Error::DatabaseAlreadyOpen => disk("open", path, &"another daemon uses it"),
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            disk("open", path, io)
        }
        other => damaged(path, "its structure", &other.to_string()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! A disk that hangs, or fails.

    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::Store;

    #[derive(Default)]
    pub(in super::super) struct Health {
        pub(in super::super) hangs: AtomicBool,
        pub(in super::super) fails: AtomicBool,
    }

    impl Health {
        pub(super) fn wait_or_fail(&self) -> io::Result<()> {
            while self.hangs.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            match self.fails.load(Ordering::SeqCst) {
                true => Err(io::Error::other("on purpose")),
                false => Ok(()),
            }
        }
    }

    impl Store {
        pub(in super::super) fn health(&self) -> &Health {
            &self.inner.health
        }
    }
}
