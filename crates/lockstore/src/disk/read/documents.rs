//! Reading documents, one by one, as they lie on disk.

use std::collections::VecDeque;
use std::ops::Bound;

use bson::RawDocument;
use redb::ReadableTable;

use super::range::{Direction, Rows, touch};
use super::{CHECKED, Snapshot, Value};
use crate::codec::{CodecError, payload};
use crate::disk::DiskError;
use crate::disk::guard::guarded;
use crate::disk::proofs::Proof;
use crate::documents::{CollectionId, RecordId};
use crate::records::{RecordError, document_of};
use crate::rows::{RowKey, TableId};

/// A document as it lies on disk.
pub(crate) struct StoredDocument<'s> {
    record: RecordId,
    /// Compared with its checksum, and found to have the length of a document.
    value: Value<'s>,
}

/// A document as a scan comes across it.
pub(crate) struct ScannedDocument<'s> {
    collection: CollectionId,
    record: RecordId,
    value: Value<'s>,
    /// Whether it was compared with its checksum just now; it is known to be sound if not.
    is_compared: bool,
}

/// The documents of a collection in their natural order, or against it.
///
/// A damaged tree is noticed although each row may be sound: rows that repeat, are out of order, or belong to
/// something else, are an error, and end the scan. So does any other damage but that of one document.
pub(crate) struct Documents<'s> {
    rows: Rows<'s>,
    collection: CollectionId,
    before: Option<RecordId>,
    /// What was found and not given yet, and the error behind it.
    ahead: VecDeque<(RecordId, Value<'s>)>,
    failed: Option<DiskError>,
    /// How many documents are found at once.
    width: usize,
    /// What is known of the documents; `None` when it is nothing.
    proof: Option<Proof<'s>>,
    /// Whether these are all documents of the collection.
    are_all: bool,
}

impl Snapshot {
    /// One document, if it is there.
    pub(crate) fn document(
        &self,
        collection: CollectionId,
        record: RecordId,
    ) -> Result<Option<StoredDocument<'_>>, DiskError> {
        let Some(rows) = self.table(TableId::Documents)? else { return Ok(None) };
        let key = RowKey::document(collection, record);
        let value = guarded("read", || -> Result<_, redb::Error> {
            let value = ReadableTable::get(rows, key.as_bytes())?;
            Ok(value.inspect(touch))
        })?;
        value.map(|value| StoredDocument::new(key.as_bytes(), record, value)).transpose()
    }

    /// The documents of a collection whose records lie within the bounds.
    pub(crate) fn documents(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        direction: Direction,
    ) -> Result<Documents<'_>, DiskError> {
        let are_all = bounds == (Bound::Unbounded, Bound::Unbounded);
        let proof = self.proofs.as_ref();
        let proof = proof.map(|(snapshot, proofs)| proofs.begin(collection, *snapshot));
        let bounds = document_rows(collection, bounds);
        let rows = self.rows(TableId::Documents, bounds, direction)?;
        Ok(Documents {
            rows,
            collection,
            before: None,
            ahead: VecDeque::new(),
            failed: None,
            width: 0,
            proof,
            are_all,
        })
    }

    /// At most `records_max` records of a collection, in their natural order. Looks at no document.
    pub(crate) fn records(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        records_max: usize,
    ) -> Result<Vec<RecordId>, DiskError> {
        let (lower, upper) = document_rows(collection, bounds);
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let rows = self.keys(TableId::Documents, bounds, records_max)?;
        rows.iter().map(|row| Ok(document_of(row)?.1)).collect()
    }

    /// The last record of a collection.
    pub(crate) fn last_record(
        &self,
        collection: CollectionId,
    ) -> Result<Option<RecordId>, DiskError> {
        let bounds = document_rows(collection, (Bound::Unbounded, Bound::Unbounded));
        let mut rows = self.rows(TableId::Documents, bounds, Direction::Backward)?;
        let Some((key, _)) = rows.next()? else { return Ok(None) };
        let (_, record) = document_of(key.value())?;
        Ok(Some(record))
    }
}

impl<'s> StoredDocument<'s> {
    fn new(key: &[u8], record: RecordId, value: Value<'s>) -> Result<Self, DiskError> {
        let damaged = |reason| RecordError::new(TableId::Documents.name(), key, reason);
        let document = payload(TableId::Documents, key, value.value()).map_err(damaged)?;
        RawDocument::from_bytes(document).map_err(|error| {
            damaged(CodecError::Malformed { what: "document", reason: error.to_string() })
        })?;
        Ok(Self { record, value })
    }

    /// Its place in its collection.
    pub(crate) fn record(&self) -> RecordId {
        self.record
    }

    /// The document.
    pub(crate) fn raw(&self) -> &RawDocument {
        let (document, _) = self.value.value().split_last_chunk::<CHECKSUM_BYTES>().expect(CHECKED);
        RawDocument::from_bytes(document).expect(CHECKED)
    }
}

impl<'s> ScannedDocument<'s> {
    /// Its place in its collection.
    pub(crate) fn record(&self) -> RecordId {
        self.record
    }

    /// Its fields, for whoever wants to know whether it is the one that is looked for.
    pub(crate) fn fields(&self) -> docquery::Document<'_> {
        let bytes = self.value.value().split_last_chunk::<CHECKSUM_BYTES>();
        docquery::Document::of_bytes(bytes.map_or(&[], |(document, _)| document))
    }

    /// The document, which has been compared with its checksum now at the latest.
    pub(crate) fn read(self) -> Result<StoredDocument<'s>, DiskError> {
        let Self { collection, record, value, is_compared } = self;
        if is_compared {
            return Ok(StoredDocument { record, value });
        }
        StoredDocument::new(RowKey::document(collection, record).as_bytes(), record, value)
    }
}

impl<'s> Documents<'s> {
    fn read(&mut self) -> Result<Option<ScannedDocument<'s>>, DiskError> {
        if self.ahead.is_empty() {
            self.find();
        }
        let Some((record, value)) = self.ahead.pop_front() else {
            return self.failed.take().map_or(Ok(None), Err);
        };
        let collection = self.collection;
        let is_compared = !self.proof.as_ref().is_some_and(Proof::holds);
        let value = if is_compared {
            let key = RowKey::document(collection, record);
            StoredDocument::new(key.as_bytes(), record, value)?.value
        } else {
            value
        };
        Ok(Some(ScannedDocument { collection, record, value, is_compared }))
    }

    /// Finds the next documents: one, then two, and more and more as long as they are asked for.
    ///
    /// Most of what a scan costs is waiting for memory. So many documents are touched before the first is looked at, and their
    /// memory comes while the processor waits for the first.
    fn find(&mut self) {
        self.width = (self.width * 2).clamp(1, AHEAD_MAX);
        while self.ahead.len() < self.width {
            match self.find_one() {
                Ok(Some(found)) => self.ahead.push_back(found),
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        let touched = self.ahead.iter().fold(0, |touched, (_, value)| {
            let value = value.value();
            let start = value.first().copied().unwrap_or_default();
            touched ^ start ^ value.get(CACHE_LINE_BYTES).copied().unwrap_or_default()
        });
        std::hint::black_box(touched);
    }

    fn find_one(&mut self) -> Result<Option<(RecordId, Value<'s>)>, DiskError> {
        let Some((row, value)) = self.rows.next()? else { return Ok(None) };
        let key = row.value();
        let (collection, record) = document_of(key)?;
        let is_in_order = match (self.before.replace(record), self.rows.direction) {
            (None, _) => true,
            (Some(before), Direction::Forward) => before < record,
            (Some(before), Direction::Backward) => before > record,
        };
        if !is_in_order || collection != self.collection {
            return Err(self.rows.damaged(TableId::Documents));
        }
        Ok(Some((record, value)))
    }
}

impl<'s> Iterator for Documents<'s> {
    type Item = Result<ScannedDocument<'s>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Ok(Some(_)))
            && let Some(proof) = self.proof.take()
            && read.is_ok()
            && self.are_all
        {
            proof.complete();
        }
        read.transpose()
    }
}

/// The rows of the documents of a collection whose records lie within the bounds.
fn document_rows(
    collection: CollectionId,
    (lower, upper): (Bound<RecordId>, Bound<RecordId>),
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let row = |record| RowKey::document(collection, record).as_bytes().to_vec();
    let or_all = |bound: Bound<RecordId>, all| match bound {
        Bound::Unbounded => Bound::Included(row(all)),
        bound => bound.map(row),
    };
    (or_all(lower, RecordId::MIN), or_all(upper, RecordId::MAX))
}

/// How many documents are found at once at most: so many as the memory serves at a time.
const AHEAD_MAX: usize = 8;

/// How much of the memory comes at a time, as a rule.
const CACHE_LINE_BYTES: usize = 64;

const CHECKSUM_BYTES: usize = size_of::<u32>();
