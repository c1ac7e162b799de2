//! Many writes in one request.

use std::collections::BTreeMap;

use bson::RawDocumentBuf;

use super::Collection;
use super::given::{Asked, parsed};
use super::place::Place;
use super::results::BulkWriteResult;
use super::setters::setters;
use super::write_model::WriteModel;
use crate::error::{DocumentError, PartialWrite};
use crate::operations::{InsertRequest, Statement};

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
        let mut bulk = Bulk { place, ordered, group: None, first: 0, result, errors };
        for (index, write) in writes.into_iter().enumerate() {
            if let Err(error) = bulk.take(index, write) {
                bulk.carry_out();
                if !bulk.is_over() {
                    bulk.errors.insert(index, error);
                }
            }
            if bulk.is_over() {
                break;
            }
        }
        bulk.carry_out();
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
    /// Writes that are to be carried out together.
    group: Option<Group>,
    /// The index of the first of them.
    first: usize,
    result: BulkWriteResult,
    errors: BTreeMap<usize, DocumentError>,
}

/// Writes of one kind that follow each other.
enum Group {
    Insertions(Vec<RawDocumentBuf>),
    Updates(Vec<Statement>),
    Deletions(Vec<Statement>),
}

impl Bulk<'_> {
    /// Takes a write, which is carried out with those of its kind that follow.
    fn take(&mut self, index: usize, write: WriteModel) -> Result<(), DocumentError> {
        let next = match write {
            WriteModel::InsertOne(insert) => Group::Insertions(vec![insert.0?]),
            write => {
                let statement = write.statement()?;
                match statement.is_deletion() {
                    true => Group::Deletions(vec![statement]),
                    false => Group::Updates(vec![statement]),
                }
            }
        };
        let next = match &mut self.group {
            Some(group) => group.append(next),
            None => Some(next),
        };
        if let Some(next) = next {
            self.carry_out();
            (self.group, self.first) = (Some(next), index);
        }
        Ok(())
    }

    /// Carries out the writes that are to be carried out together.
    fn carry_out(&mut self) {
        let Some(group) = self.group.take().filter(|_| !self.is_over()) else { return };
        let first = self.first;
        if let Err(error) = self.place.check_time() {
            self.errors.insert(first, error);
            return;
        }
        let errors = match group {
            Group::Insertions(documents) => {
                let request = InsertRequest { documents, ordered: self.ordered };
                let outcome = self.place.insert(request);
                let ids = outcome.inserted.into_iter();
                self.result.inserted_ids.extend(ids.map(|(index, id)| (first + index, parsed(id))));
                outcome.errors
            }
            Group::Updates(statements) => {
                let outcome = self.place.modify_each(statements, self.ordered);
                self.result.matched_count += outcome.matched;
                self.result.modified_count += outcome.modified;
                let ids = outcome.upserted.into_iter();
                self.result.upserted_ids.extend(ids.map(|(index, id)| (first + index, parsed(id))));
                outcome.errors
            }
            Group::Deletions(statements) => {
                let outcome = self.place.modify_each(statements, self.ordered);
                self.result.deleted_count += outcome.modified;
                outcome.errors
            }
        };
        self.errors.extend(errors.into_iter().map(|(index, error)| (first + index, error)));
    }

    /// Whether nothing more is to be tried: what failed was the store or the transaction, or there is no time left, or the order matters.
    fn is_over(&self) -> bool {
        let last = self.errors.last_key_value();
        last.is_some_and(|(_, error)| self.ordered || error.ends_request())
    }
}

impl Group {
    /// Takes over the writes of another group, which is given back if they are of another kind.
    fn append(&mut self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Insertions(group), Self::Insertions(more)) => group.extend(more),
            (Self::Updates(group), Self::Updates(more))
            | (Self::Deletions(group), Self::Deletions(more)) => group.extend(more),
            (Self::Insertions(_) | Self::Updates(_) | Self::Deletions(_), other) => {
                return Some(other);
            }
        }
        None
    }
}
