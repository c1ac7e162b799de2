//! Taking in documents, in turns with whoever else needs the store.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use clap::ValueEnum;
use lockstore::bson::raw::RawBsonRef;
use lockstore::bson::{RawDocumentBuf, rawdoc};
use lockstore::collection::{InsertModel, UpdateModel, WriteModel};
use lockstore::{BulkWriteResult, Collection, DocumentError};

use crate::event::Events;
use crate::failure::Failure;
use crate::lines::Batch;
use crate::progress::Progress;

/// What becomes of a document whose `_id` is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// It is an error
    Insert,
    /// The new document replaces the old one
    Upsert,
    /// The fields of the new document replace those of the old one, the others stay
    Merge,
}

/// An import on its way.
pub(crate) struct Importing {
    pub(crate) mode: Mode,
    pub(crate) stop_on_error: bool,
    pub(crate) progress: Progress,
    pub(crate) tally: Tally,
}

/// What has been done so far, durably.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// The line up to which all that could be done is done.
    pub(crate) lines: u64,
    pub(crate) inserted: u64,
    pub(crate) matched: u64,
    pub(crate) modified: u64,
    pub(crate) failed: u64,
}

impl Importing {
    /// Takes in a batch, whole documents each of them.
    pub(crate) fn take(
        &mut self,
        collection: &Collection<RawDocumentBuf>,
        batch: Batch,
    ) -> Result<(), Failure> {
        let Batch { documents, misread, last_line, bytes, broken } = batch;
        let mut failed: Vec<_> = misread
            .into_iter()
            .map(|(line, misread)| (line, Failed::Read(misread.column, misread.reason)))
            .collect();
        failed.extend(self.write(collection, documents)?);
        failed.sort_by_key(|(line, _)| *line);
        for (line, why) in failed {
            if self.stop_on_error {
                self.tally.lines = line - 1;
                return Err(Failure::no(why.sentence(line)));
            }
            self.tally.failed += 1;
            if self.tally.failed <= TOLD_MAX {
                self.progress.warn(&why.sentence(line));
            } else if self.tally.failed == TOLD_MAX + 1 {
                self.progress.warn("more lines failed, which are only counted from here on");
            }
        }
        self.tally.lines = last_line;
        self.progress.advance(bytes);
        match broken {
            None => Ok(()),
            Some(error) => Err(Failure::store(format!("the input cannot be read on: {error}"))),
        }
    }

    /// Writes documents, and answers which lines failed.
    fn write(
        &mut self,
        collection: &Collection<RawDocumentBuf>,
        documents: Vec<(u64, RawDocumentBuf)>,
    ) -> Result<Vec<(u64, Failed)>, Failure> {
        let (lines, documents): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
        let (done, errors) = match self.request(collection, &documents) {
            Ok(done) => (done, Vec::new()),
            Err(DocumentError::Partial(partial)) => {
                let errors = partial.errors().iter();
                let errors = errors.map(|(index, error)| (*index, error.clone()));
                (partial.result().clone(), errors.collect())
            }
            Err(error @ DocumentError::Store(_)) => return Err(error.into()),
            Err(error) if documents.len() == 1 => (BulkWriteResult::default(), vec![(0, error)]),
            // One document that cannot even be asked for fails all that are asked for with it.
            Err(_) => return self.write_alone(collection, lines, documents),
        };
        let Tally { inserted, matched, modified, .. } = &mut self.tally;
        *inserted += (done.inserted_ids.len() + done.upserted_ids.len()) as u64;
        *matched += done.matched_count;
        *modified += done.modified_count;
        let mut failed = Vec::with_capacity(errors.len());
        for (index, error) in errors {
            if let DocumentError::Store(error) = error {
                return Err(error.into());
            }
            failed.push((lines[index], Failed::Write(error)));
        }
        Ok(failed)
    }

    fn write_alone(
        &mut self,
        collection: &Collection<RawDocumentBuf>,
        lines: Vec<u64>,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<Vec<(u64, Failed)>, Failure> {
        let mut failed = Vec::new();
        for one in lines.into_iter().zip(documents) {
            failed.extend(self.write(collection, vec![one])?);
            if self.stop_on_error && !failed.is_empty() {
                break;
            }
        }
        Ok(failed)
    }

    fn request(
        &self,
        collection: &Collection<RawDocumentBuf>,
        documents: &[RawDocumentBuf],
    ) -> Result<BulkWriteResult, DocumentError> {
        let writes = documents.iter().map(|document| self.mode.write(document));
        collection.bulk_write(writes).ordered(self.stop_on_error).run()
    }
}

impl Mode {
    /// How many documents are taken in before signals are looked at, and others may have the store. Insertions share
    /// commits; of the others each has its own.
    pub(crate) fn documents_max(self) -> usize {
        match self {
            Self::Insert => 1_000,
            Self::Upsert | Self::Merge => 100,
        }
    }

    fn write(self, document: &RawDocumentBuf) -> WriteModel {
        let id = document.get("_id").ok().flatten().filter(|_| self != Self::Insert);
        let Some(id) = id else {
            return WriteModel::InsertOne(InsertModel::new(document));
        };
        // An `_id` that looks like a condition is none, and names and texts with dollars mean nothing in a literal.
        let filter = rawdoc! { "_id": { "$eq": id } };
        let new = rawdoc! { "$literal": RawBsonRef::Document(document) };
        let stage = match self {
            Self::Merge => rawdoc! { "$replaceWith": { "$mergeObjects": ["$$ROOT", new] } },
            Self::Insert | Self::Upsert => rawdoc! { "$replaceWith": new },
        };
        WriteModel::UpdateOne(UpdateModel::new(filter, [stage]).upsert(true))
    }
}

impl Tally {
    /// How far an import came that did not come to its end.
    pub(crate) fn told(&self) -> String {
        match self.lines {
            0 => "nothing was imported".to_owned(),
            1 => "line 1 was imported, durably".to_owned(),
            last => format!("lines 1 to {last} were imported, durably"),
        }
    }
}

/// Why a line was not taken in.
enum Failed {
    /// It is no document: where, and why.
    Read(usize, String),
    /// It was refused.
    Write(DocumentError),
}

impl Failed {
    fn sentence(&self, line: u64) -> String {
        match self {
            Self::Read(0, reason) => format!("line {line}: {reason}"),
            Self::Read(column, reason) => format!("line {line}, column {column}: {reason}"),
            Self::Write(error) => format!("line {line}: {error}"),
        }
    }
}

/// The next batch, whenever it comes; `None` at the end of the input. Fails when a signal comes.
pub(crate) fn next_batch(
    batches: &Receiver<Batch>,
    events: &Events,
) -> Result<Option<Batch>, Failure> {
    loop {
        events.check()?;
        match batches.recv_timeout(SIGNALS_EVERY) {
            Ok(batch) => return Ok(Some(batch)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// How many failures are told, before they are only counted.
const TOLD_MAX: u64 = 20;

const SIGNALS_EVERY: Duration = Duration::from_millis(20);
