//! Looking after an open store: backup, compaction, and a check of everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::backend::Backend;
use crate::client_sessions;
use crate::disk::{BackupError, DiskError, Integrity, Snapshot};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::grants;
use crate::records::{
    BreakRecordV1, GrantRecordV1, Record, SessionRecordV1, audit_number_of, session_of, token_of,
};
use crate::rows::TableId;
use crate::store::Store;
use crate::writer::Writer;

/// What [`Store::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Grants compared.
    pub grants: u64,
    /// Sessions of other processes compared.
    pub sessions: u64,
    /// Records of breaks read.
    pub audit_records: u64,
    /// Documents read, and compared with all indexes of their collection.
    pub documents: u64,
    /// Entries of indexes read, and compared with the documents.
    pub index_entries: u64,
    /// Rows of client sessions read, and compared with the sessions.
    pub client_sessions: u64,
    /// What is wrong, a sentence each; empty when all is well.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Store {
    /// Copies the store as of now into a new file at `path`, while it is in use. The copy is whole and synced
    /// before it appears, and nothing is overwritten.
    ///
    /// A backup that is opened later goes on from where it was taken: tokens that were granted since are
    /// granted again. Whoever compares tokens must be reset with it.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`].
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<(), MaintenanceError> {
        match self.backend() {
            Backend::Here(engine) => engine.backup(path.as_ref()),
            Backend::There(remote) => {
                let path = std::path::absolute(&path).map_err(|source| {
                    let path = path.as_ref().to_owned();
                    let source = DiskError::Io { doing: "find the folder of", source };
                    BackupError::Destination { path, source }
                })?;
                remote.backup(&path)
            }
        }
    }

    /// Moves the rows of the file together and gives the rest back to the file system. Answers whether anything
    /// was moved. Other calls wait meanwhile, for as long as copying the rows takes.
    ///
    /// # Errors
    ///
    /// When the store cannot serve; a failure in the middle stops the store.
    pub fn compact(&self) -> Result<bool, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.compact(),
            Backend::There(remote) => remote.compact(),
        }
    }

    /// Compares everything with everything: each page of the file with its checksum, each record with its
    /// own, and the records with the locks, leases and timers that the store works with, which it recomputes
    /// from them. Other calls wait meanwhile. Then, while others are served, each document is compared with the entries
    /// of all indexes of its collection, and these with the documents; and each lock of a document with the document. Where pages were damaged and could be repaired, what is on disk
    /// may be older than what was acknowledged: the store stops then, and the report says why.
    ///
    /// # Errors
    ///
    /// When the store cannot serve, or the file cannot be read. What is wrong with what can be read is in the
    /// report.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.check(),
            Backend::There(remote) => remote.check(),
        }
    }
}

impl Engine {
    pub(crate) fn backup(&self, path: &Path) -> Result<(), MaintenanceError> {
        self.with_disk(|disk| Ok(disk.backup(path)?))
    }

    pub(crate) fn compact(&self) -> Result<bool, StoreError> {
        self.check_usable()?;
        self.without_readers(|seat| {
            let compacted = self.with_disk_alone(crate::disk::Disk::compact);
            self.stop_if_failed(compacted, "a compaction", seat)
        })
    }

    pub(crate) fn check(self: &Arc<Self>) -> Result<CheckReport, StoreError> {
        self.check_usable()?;
        let engine = self;
        let mut report = engine.without_readers(|seat| {
            let integrity = engine.with_disk_alone(crate::disk::Disk::check_integrity);
            let integrity = engine.stop_if_failed(integrity, "a check", seat)?;
            let mut report = CheckReport::default();
            if integrity == Integrity::Repaired {
                report.problems.push("the file's pages did not agree and were repaired".to_owned());
            }
            let writer = &seat.writer;
            engine.with_disk(|disk| {
                let snapshot = disk.snapshot()?;
                let mut expected = BTreeMap::new();
                for lock in writer.table().locks() {
                    for grant in lock.grants() {
                        expected.insert(grant.token, (lock, grant));
                    }
                }
                snapshot.for_each_row(TableId::Grants, |key, value| {
                    report.grants += 1;
                    let compared = token_of(key).and_then(|token| {
                        let record = GrantRecordV1::from_row(key, value)?;
                        Ok((token, record))
                    });
                    match compared {
                        Err(error) => report.problems.push(error.to_string()),
                        Ok((token, record)) => match expected.remove(&token) {
                            None => report.problems.push(format!(
                                "the grant {token} of {:?} is on disk, and nobody holds it",
                                record.key
                            )),
                            Some((lock, grant)) => {
                                if let Some(difference) = grants::difference(lock, grant, &record) {
                                    report
                                        .problems
                                        .push(format!("the grant {token}: {difference}"));
                                }
                            }
                        },
                    }
                    Ok::<_, StoreError>(())
                })?;
                for (token, (lock, _)) in expected {
                    let key = lock.key();
                    report.problems.push(format!("the grant {token} of {key:?} is not on disk"));
                }
                snapshot.for_each_row(TableId::Audit, |key, value| {
                    report.audit_records += 1;
                    let read = audit_number_of(key).and(BreakRecordV1::from_row(key, value));
                    report.problems.extend(read.err().map(|error| error.to_string()));
                    Ok::<_, StoreError>(())
                })?;
                check_sessions(&snapshot, writer, &mut report)?;
                report.client_sessions = client_sessions::check(
                    &engine.client_sessions,
                    &snapshot,
                    &mut report.problems,
                )?;
                let meta = snapshot.meta()?;
                let next_token = writer.table().next_token();
                if meta.token.reserved_below < next_token.get() {
                    report.problems.push(format!(
                        "tokens are reserved below {}, and the next one is {next_token}",
                        meta.token.reserved_below
                    ));
                }
                Ok::<_, StoreError>(())
            })?;
            check_published(engine, writer, &mut report.problems);
            writer.check_invariants(&mut report.problems);
            if integrity == Integrity::Repaired {
                // The rows may be older than what was acknowledged, and nothing more may be built on them.
                engine.stop("a check found damaged pages, and repaired them from older ones", seat);
            }
            Ok::<_, StoreError>(report)
        })?;
        if engine.is_poisoned() {
            return Ok(report);
        }
        let check = engine.document_check()?;
        check.run(&mut report).map_err(|error| engine.read_failed(error))?;
        Ok(report)
    }
}

/// The sessions of other processes are on disk as the writer has them.
fn check_sessions(
    snapshot: &Snapshot,
    writer: &Writer,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    let expected = |id| {
        let session = writer.table().session(id)?;
        writer.presences().record(id, session.standing())
    };
    let mut found = 0;
    snapshot.for_each_row(TableId::Sessions, |key, value| {
        found += 1;
        let read = session_of(key).and_then(|id| Ok((id, SessionRecordV1::from_row(key, value)?)));
        match read {
            Err(error) => report.problems.push(error.to_string()),
            Ok((id, record)) if expected(id) == Some(record) => {}
            Ok((id, record)) => report.problems.push(format!(
                "the session {id}: {record:?} is on disk, and {:?} is",
                expected(id)
            )),
        }
        Ok::<_, StoreError>(())
    })?;
    let known = writer.presences().len();
    if found != known as u64 {
        report.problems.push(format!("{found} sessions are on disk, and {known} are known"));
    }
    report.sessions = found;
    Ok(())
}

/// Readers must see what the writer has.
fn check_published(engine: &Engine, writer: &Writer, problems: &mut Vec<String>) {
    let view = engine.published.view();
    if view.len() != writer.table().locks_len() {
        let (shown, held) = (view.len(), writer.table().locks_len());
        problems.push(format!("{shown} locks are shown to readers, and {held} are held"));
    }
    for lock in writer.table().locks() {
        if !view.lock(lock.key()).is_some_and(|shown| Arc::ptr_eq(shown, lock)) {
            problems.push(format!("readers do not see {:?} as it is", lock.key()));
        }
    }
}

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The copy could not be made; there is no file at its destination that was not there before.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}
