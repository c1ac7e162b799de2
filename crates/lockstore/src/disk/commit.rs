//! How a batch becomes durable: by a commit of redb, or by the journal in front of it.

use std::num::NonZeroU64;
use std::sync::{MutexGuard, PoisonError};

use redb::{Durability, Table, WriteTransaction};

use super::guard::{guarded, guarded_drop};
use super::journal::{Journal, JournalStorage, unmark};
use super::{
    Disk, DiskError, DiskOptions, JournalUse, QUICK_REPAIR_ABOVE_BYTES, TABLES, definition,
};
use crate::rows::{ChangedRow, RowChange, RowKey, TableId};

/// What stands before redb.
#[derive(Debug)]
pub(super) struct Journaling {
    /// `None` where there is no place for a journal.
    storage: Option<Box<dyn JournalStorage>>,
    /// How long a journal is made.
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Each commit is one of redb, this time.
    Never,
    /// So are the next commits, until the one that has a journal made; it may never come.
    After(NonZeroU64),
    Journalled(Journal),
    /// Something failed: what is durable must be read anew.
    Failed,
}

impl Journaling {
    /// As `options` have it, if there is a place for a journal.
    pub(super) fn new(storage: Option<Box<dyn JournalStorage>>, options: &DiskOptions) -> Self {
        let state = match options.journal {
            JournalUse::AfterCommits(commits) if storage.is_some() => {
                State::After(NonZeroU64::MIN.saturating_add(commits))
            }
            JournalUse::AfterCommits(_) | JournalUse::Never => State::Never,
        };
        Self { storage, bytes: options.journal_bytes, state }
    }
}

impl Disk {
    /// Makes `changes` durable, all of them or none, in the order given, with one sync.
    pub(crate) fn commit(&self, changes: &[RowChange]) -> Result<(), DiskError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.journaled("commit", |journaling| {
            self.open_gate("commit")?;
            self.commit_by(journaling, changes)
        })
    }

    /// Makes durable in the file itself what only the journal has. Commits wait meanwhile.
    pub(crate) fn checkpoint(&self) -> Result<(), DiskError> {
        self.journaled("checkpoint", |journaling| match &mut journaling.state {
            State::Journalled(journal) if !journal.is_empty() => self.check_in(journal, &[]),
            _ => Ok(()),
        })
    }

    /// Whether a checkpoint would change anything.
    pub(crate) fn has_to_checkpoint(&self) -> bool {
        matches!(&self.journaling().state, State::Journalled(journal) if !journal.is_empty())
    }

    /// Makes everything durable in the file itself, and does without a journal from then on.
    pub(super) fn settle(&self) -> Result<(), DiskError> {
        self.journaled("close", |journaling| {
            if let State::Journalled(journal) = &journaling.state {
                self.write(&unmark(journal.format()))?;
                journaling.state = State::Never;
                // Of no use to anybody any more, and if it stays it is removed by the next opening.
                if let Some(storage) = &journaling.storage
                    && let Err(error) = storage.remove()
                {
                    let path = storage.path();
                    tracing::warn!(path = %path.display(), %error, "an empty journal stays");
                }
            }
            Ok(())
        })
    }

    /// Writes rows into redb by a commit of its own.
    pub(super) fn write_rows<'c>(
        &self,
        durability: Durability,
        rows: impl Iterator<Item = ChangedRow<'c>>,
    ) -> Result<(), DiskError> {
        let transaction = self.prepare(durability, rows)?;
        guarded("commit", || transaction.commit())
    }

    /// Writes rows into a transaction of redb that is to be committed.
    fn prepare<'c>(
        &self,
        durability: Durability,
        rows: impl Iterator<Item = ChangedRow<'c>>,
    ) -> Result<WriteTransaction, DiskError> {
        guarded("commit", || -> Result<_, redb::Error> {
            // redb commits in one phase unless told otherwise.
            let mut transaction = self.db().begin_write()?;
            transaction.set_durability(durability)?;
            if matches!(durability, Durability::Immediate)
                && self.gate.bytes() > QUICK_REPAIR_ABOVE_BYTES
            {
                transaction.set_quick_repair(true);
            }
            {
                let mut tables: [Option<RowTable<'_>>; TABLES] = [const { None }; TABLES];
                for ChangedRow { table, key, value } in rows {
                    let rows = match &mut tables[table.index()] {
                        Some(rows) => rows,
                        unopened => unopened.insert(transaction.open_table(definition(table))?),
                    };
                    match value {
                        Some(value) => rows.insert(key, value)?,
                        None => rows.remove(key)?,
                    };
                }
            }
            Ok(transaction)
        })
    }

    fn write(&self, changes: &[RowChange]) -> Result<(), DiskError> {
        self.write_rows(Durability::Immediate, changes.iter().map(RowChange::borrowed))
    }

    fn commit_by(
        &self,
        journaling: &mut Journaling,
        changes: &[RowChange],
    ) -> Result<(), DiskError> {
        let Journaling { storage, bytes, state } = journaling;
        match state {
            State::Failed => unreachable!("whoever calls this has looked"),
            // The journal keeps what the format row says without it, so no batch may change that beneath it.
            _ if changes.iter().any(changes_format) => {
                let format = match state {
                    State::Journalled(journal) => Some(journal.format()),
                    _ => None,
                };
                let unmarked = format.map(unmark);
                let unmarked = unmarked.iter().flatten().map(RowChange::borrowed);
                let rows = unmarked.chain(changes.iter().map(RowChange::borrowed));
                let transaction = self.prepare(Durability::Immediate, rows)?;
                guarded("commit", || -> Result<(), redb::Error> {
                    // A file has all tables of its format, also those in which nothing lies yet.
                    for table in TableId::ALL {
                        transaction.open_table(definition(table))?;
                    }
                    Ok(transaction.commit()?)
                })?;
                if let (Some(_), Some(storage)) = (format, storage) {
                    storage.remove().map_err(|source| DiskError::Io { doing: COMMIT, source })?;
                    *state = State::After(NonZeroU64::MIN);
                }
                Ok(())
            }
            State::Never => self.write(changes),
            State::After(commits) => match NonZeroU64::new(commits.get() - 1) {
                Some(left) => {
                    *commits = left;
                    self.write(changes)
                }
                None => self.begin(storage.as_deref(), *bytes, state, changes),
            },
            State::Journalled(journal) if journal.takes(changes) => {
                // First redb: what it cannot take does not come into the journal, where every opening would meet it.
                let rows = changes.iter().map(RowChange::borrowed);
                let transaction = self.prepare(Durability::None, rows)?;
                if let Err(source) = journal.append(changes) {
                    guarded_drop(transaction);
                    return Err(DiskError::Io { doing: COMMIT, source });
                }
                guarded("commit", || transaction.commit())
            }
            State::Journalled(journal) => self.check_in(journal, changes),
        }
    }

    /// Has a journal made, and commits the batch by which the file says so. Where none can be made, the store does without.
    fn begin(
        &self,
        storage: Option<&dyn JournalStorage>,
        bytes: usize,
        state: &mut State,
        changes: &[RowChange],
    ) -> Result<(), DiskError> {
        let format = self.snapshot()?.format()?;
        let made = storage.map(|storage| (storage.path(), Journal::make(storage, bytes, format)));
        *state = State::Never;
        match made {
            Some((_, Ok(mut journal))) => {
                self.check_in(&mut journal, changes)?;
                *state = State::Journalled(journal);
                return Ok(());
            }
            Some((path, Err(error))) => {
                tracing::warn!(path = %path.display(), %error, "commits go without a journal");
            }
            None => {}
        }
        self.write(changes)
    }

    /// Commits the batch to the file itself, and with it everything before it.
    fn check_in(&self, journal: &mut Journal, changes: &[RowChange]) -> Result<(), DiskError> {
        let mark = journal.mark();
        let rows = changes.iter().chain(&mark).map(RowChange::borrowed);
        self.write_rows(Durability::Immediate, rows)?;
        journal.restart();
        Ok(())
    }

    /// Does what may fail: when it has, nothing more is done.
    fn journaled(
        &self,
        doing: &'static str,
        f: impl FnOnce(&mut Journaling) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let mut journaling = self.journaling();
        if let State::Failed = journaling.state {
            let what = "a commit failed".to_owned();
            return Err(DiskError::Stopped { doing, what });
        }
        // Should it panic, it has failed.
        let state = std::mem::replace(&mut journaling.state, State::Failed);
        let mut trying = Journaling { storage: journaling.storage.take(), state, ..*journaling };
        f(&mut trying)?;
        *journaling = trying;
        Ok(())
    }

    fn journaling(&self) -> MutexGuard<'_, Journaling> {
        // Who panicked in between has left it failed.
        self.journaling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changes_format(change: &RowChange) -> bool {
    change.table == TableId::Meta && change.key == RowKey::FORMAT
}

type RowTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// What an error of the journal says was being done.
const COMMIT: &str = "commit to the journal of";
