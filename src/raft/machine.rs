//! openraft's view of `state.rs`: committed entries go in, answers come out, and now and then the whole
//! state becomes a snapshot. The state lives in memory; at start it is made from the snapshot and
//! the log after it.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::{broadcast, watch};

use super::log::io;
use super::state::{self, Dedup, State};
use super::store::{Contents, Store, Write};
use super::types::{
    Entry, LogId, Response, SnapshotMeta, StorageError, StoredMembership, TypeConfig, term_of,
};
use super::vocab::{Change, Error};
use crate::terms::Term;

/// Changes that a slow subscriber may lag behind before it is told to look at the whole state again.
const LAG: usize = 1024;

/// The state machine. Clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    /// Which openraft this clone serves: one that was stopped must not apply what the next one applies.
    epoch: u64,
    store: Store,
    shared: Arc<Mutex<Shared>>,
    published: Arc<watch::Sender<Arc<State>>>,
    changes: broadcast::Sender<Arc<Change>>,
}

struct Shared {
    epoch: u64,
    state: State,
    dedup: Dedup,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<(SnapshotMeta, Arc<Vec<u8>>)>,
}

impl Machine {
    pub(crate) fn new(store: Store, contents: Contents) -> Result<Self, Error> {
        let mut shared = Shared {
            epoch: 0,
            state: State::default(),
            dedup: Dedup::default(),
            applied: None,
            membership: StoredMembership::default(),
            snapshot: None,
        };
        if let Some((meta, data)) = contents.snapshot {
            shared.take(&meta, data).map_err(|detail| Error::Damaged {
                path: "raft.redb".into(),
                record: "the snapshot".into(),
                detail,
            })?;
        }
        let published = watch::Sender::new(Arc::new(shared.state.clone()));
        Ok(Self {
            epoch: 0,
            store,
            shared: Arc::new(Mutex::new(shared)),
            published: Arc::new(published),
            changes: broadcast::Sender::new(LAG),
        })
    }

    /// For an openraft that follows another one: what the old one still applies is refused.
    pub(crate) fn renewed(&self) -> Self {
        let mut shared = self.shared();
        shared.epoch += 1;
        Self {
            epoch: shared.epoch,
            ..self.clone()
        }
    }

    pub(crate) fn state(&self) -> watch::Receiver<Arc<State>> {
        self.published.subscribe()
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panic while held")
    }

    /// Tells the rest of the daemon. Nobody listening is fine.
    fn publish(&self, state: &State, change: Option<Change>) {
        self.published.send_replace(Arc::new(state.clone()));
        if let Some(change) = change {
            let _ = self.changes.send(Arc::new(change));
        }
    }
}

impl Shared {
    /// Replaces everything by what a snapshot holds.
    fn take(&mut self, meta: &SnapshotMeta, data: Vec<u8>) -> Result<(), String> {
        let (mut state, dedup) = state::restore(&data)?;
        if let Some(id) = &meta.last_log_id {
            state.index = id.index;
            state.term = Term(term_of(id));
        }
        self.state = state;
        self.dedup = dedup;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.snapshot = Some((meta.clone(), Arc::new(data)));
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let shared = self.shared();
        Ok((shared.applied, shared.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Response>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut responses = Vec::new();
        for entry in entries {
            let mut shared = self.shared();
            let shared = &mut *shared;
            if shared.epoch != self.epoch {
                let why = "raft was restarted";
                return Err(io(ErrorSubject::StateMachine, ErrorVerb::Write, &why));
            }
            let id = entry.log_id;
            let (index, term) = (id.index, Term(term_of(&id)));
            let mut answers = Vec::new();
            shared.applied = Some(id);
            shared.state.index = index;
            shared.state.term = term;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Membership(membership) => {
                    shared.membership = StoredMembership::new(Some(id), membership);
                }
                EntryPayload::Normal(request) => {
                    for write in request.0 {
                        let (answer, change) =
                            state::apply(&mut shared.state, &mut shared.dedup, index, term, write);
                        answers.push(answer);
                        if change.is_some() {
                            self.publish(&shared.state, change);
                        }
                    }
                }
            }
            self.publish(&shared.state, None);
            responses.push(Response(answers));
        }
        Ok(responses)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let subject = || ErrorSubject::Snapshot(Some(meta.signature()));
        let data = snapshot.into_inner();
        // Checked before it replaces anything, on disk or in memory.
        state::restore(&data).map_err(|e| io(subject(), ErrorVerb::Read, &e))?;
        let write = Write::Snapshot(meta.clone(), Arc::new(data.clone()));
        let written = self.store.write_wait(write).await;
        written.map_err(|e| io(subject(), ErrorVerb::Write, &e))?;
        let mut shared = self.shared();
        if shared.epoch != self.epoch {
            return Err(io(subject(), ErrorVerb::Write, &"raft was restarted"));
        }
        let before = shared.state.cib.clone();
        shared
            .take(meta, data)
            .map_err(|e| io(subject(), ErrorVerb::Read, &e))?;
        let change = Change {
            index: shared.state.index,
            before,
            after: shared.state.cib.clone(),
            patch: None,
            write: None,
            outcome: None,
            members_changed: true,
        };
        self.publish(&shared.state, Some(change));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let shared = self.shared();
        Ok(shared.snapshot.as_ref().map(|(meta, data)| Snapshot {
            meta: meta.clone(),
            snapshot: Box::new(Cursor::new(data.as_ref().clone())),
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let (state, dedup, applied, membership) = {
            let shared = self.shared();
            let Shared {
                state,
                dedup,
                applied,
                membership,
                ..
            } = &*shared;
            (state.clone(), dedup.clone(), *applied, membership.clone())
        };
        let data = Arc::new(state::save(&state, &dedup));
        let place = applied.map_or("empty".into(), |id| {
            format!("{}-{}", term_of(&id), id.index)
        });
        let meta = SnapshotMeta {
            last_log_id: applied,
            last_membership: membership,
            snapshot_id: place,
        };
        let write = Write::Snapshot(meta.clone(), Arc::clone(&data));
        let written = self.store.write_wait(write).await;
        let subject = ErrorSubject::Snapshot(Some(meta.signature()));
        written.map_err(|e| io(subject, ErrorVerb::Write, &e))?;
        let mut shared = self.shared();
        if shared
            .snapshot
            .as_ref()
            .is_none_or(|(old, _)| old.last_log_id < meta.last_log_id)
        {
            shared.snapshot = Some((meta.clone(), Arc::clone(&data)));
        }
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data.as_ref().clone())),
        })
    }
}
