//! Many writes in one request.

use std::collections::BTreeMap;
use std::mem;

use bson::RawDocumentBuf;
use docquery::ErrorCode;

use super::Collection;
use super::given::{Asked, parsed};
use super::results::BulkWriteResult;
use super::setters::setters;
use super::write_model::WriteModel;
use crate::error::{DocumentError, PartialWrite};
use crate::operations::{Change, InsertRequest, Place};

impl<T> Collection<T> {
    /// Carries out writes, one after the other; insertions that follow each other share commits. The writes are no
    /// transaction: each is durable by itself.
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::collection::{DeleteModel, InsertModel, UpdateModel, WriteModel};
    ///
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// let done = jobs
    ///     .bulk_write([
    ///         WriteModel::InsertOne(InsertModel::new(doc! { "_id": 1, "state": "new" })),
    ///         WriteModel::InsertOne(InsertModel::new(doc! { "_id": 2, "state": "new" })),
    ///         WriteModel::UpdateOne(UpdateModel::new(doc! { "_id": 3 }, doc! { "$set": { "state": "new" } }).upsert(true)),
    ///         WriteModel::DeleteMany(DeleteModel::new(doc! { "state": "new", "_id": { "$lt": 3 } })),
    ///     ])
    ///     .run()?;
    /// assert_eq!((done.inserted_ids.len(), done.deleted_count), (2, 2));
    /// assert_eq!(done.upserted_ids[&2], 3.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bulk_write(&self, writes: impl IntoIterator<Item = WriteModel>) -> BulkWrite<'_, T> {
        let writes = writes.into_iter().collect();
        BulkWrite { collection: self, asked: Asked::default(), writes, ordered: true }
    }
}

/// Writes that are to be carried out, made by [`Collection::bulk_write`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written before `run`"]
pub struct BulkWrite<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    writes: Vec<WriteModel>,
    ordered: bool,
}

impl<T> BulkWrite<'_, T> {
    setters!([asked] => let_vars, comment, max_time);

    /// Whether the first write that fails is the last that is tried, which is the default.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// Carries out the writes. Without any it does nothing.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Partial`] when some fail: it tells which, and what was done, durably, all the same. Any other error
    /// is about an argument that cannot be used at all, as it cannot be written as BSON: nothing has changed then.
    pub fn run(self) -> Result<BulkWriteResult, DocumentError> {
        let place = self.asked.place(self.collection)?;
        let Self { asked, mut writes, ordered, .. } = self;
        for write in &mut writes {
            write.begin(&asked)?;
        }
        let (result, errors) = (BulkWriteResult::default(), BTreeMap::new());
        let mut bulk = Bulk { place, ordered, inserts: Vec::new(), first: 0, result, errors };
        for (index, write) in writes.into_iter().enumerate() {
            if let Err(error) = bulk.write(index, write) {
                bulk.errors.insert(index, error);
            }
            if bulk.is_over() {
                break;
            }
        }
        bulk.insert();
        if bulk.errors.is_empty() {
            return Ok(bulk.result);
        }
        Err(PartialWrite::new(bulk.result, bulk.errors).into())
    }
}

/// Writes on their way.
struct Bulk<'c> {
    place: Place<'c>,
    ordered: bool,
    /// Documents that are to be inserted together.
    inserts: Vec<RawDocumentBuf>,
    /// The index of the first of them.
    first: usize,
    result: BulkWriteResult,
    errors: BTreeMap<usize, DocumentError>,
}

impl Bulk<'_> {
    /// Carries out a write; an insertion only with those that follow.
    fn write(&mut self, index: usize, write: WriteModel) -> Result<(), DocumentError> {
        if let WriteModel::InsertOne(insert) = write {
            if self.inserts.is_empty() {
                self.first = index;
            }
            self.inserts.push(insert.0?);
            return Ok(());
        }
        self.insert();
        if self.is_over() {
            return Ok(());
        }
        self.place.check_time()?;
        let request = write.request(&self.place)?;
        let deletes = matches!(request.change, Change::Delete);
        let outcome = self.place.modify(&request)?;
        if deletes {
            self.result.deleted_count += outcome.modified;
        } else {
            self.result.matched_count += outcome.matched;
            self.result.modified_count += outcome.modified;
        }
        if let Some(id) = outcome.upserted_id() {
            self.result.upserted_ids.insert(index, parsed(id));
        }
        outcome.error.map_or(Ok(()), Err)
    }

    /// Inserts the documents that are to be inserted together.
    fn insert(&mut self) {
        let documents = mem::take(&mut self.inserts);
        if documents.is_empty() {
            return;
        }
        if let Err(error) = self.place.check_time() {
            self.errors.insert(self.first, error);
            return;
        }
        let outcome = self.place.insert(InsertRequest { documents, ordered: self.ordered });
        let first = self.first;
        let inserted = outcome.inserted.into_iter();
        self.result.inserted_ids.extend(inserted.map(|(index, id)| (first + index, parsed(id))));
        self.errors.extend(outcome.errors.into_iter().map(|(index, error)| (first + index, error)));
    }

    /// Whether nothing more is to be tried: what failed was the store or the transaction, or there is no time left, or the order matters.
    fn is_over(&self) -> bool {
        let is_final = |error: &DocumentError| {
            error.is_final() || error.code() == ErrorCode::MAX_TIME_MS_EXPIRED
        };
        self.errors.last_key_value().is_some_and(|(_, error)| self.ordered || is_final(error))
    }
}
