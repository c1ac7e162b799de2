//! Updating, replacing and deleting documents.

use serde::Serialize;

use super::Collection;
use super::given::parsed;
use super::place::Changed;
use super::results::{BulkWriteResult, DeleteResult, UpdateResult};
use super::setters::setters;
use super::write_model::{DeleteModel, ReplaceModel, UpdateModel};
use crate::error::{DocumentError, PartialWrite};

impl<T> Collection<T> {
    /// Updates the first document that matches `filter`, with a document of operators or an array of the stages of a
    /// pipeline.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let counters = store.database("factory").collection::<Document>("counters");
    /// let count = doc! { "$inc": { "n": 1 } };
    /// let first = counters.update_one(doc! { "_id": "jobs" }, &count).upsert(true).run()?;
    /// assert_eq!(first.upserted_id, Some("jobs".into()));
    /// let second = counters.update_one(doc! { "_id": "jobs" }, &count).upsert(true).run()?;
    /// assert_eq!((second.matched_count, second.modified_count), (1, 1));
    ///
    /// let double = vec![doc! { "$set": { "n": { "$multiply": ["$n", 2] } } }];
    /// counters.update_one(doc! {}, double).run()?;
    /// assert_eq!(counters.find_one(doc! {}).run()?, Some(doc! { "_id": "jobs", "n": 4 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_one(&self, filter: impl Serialize, update: impl Serialize) -> Update<'_, T> {
        Update { collection: self, model: UpdateModel::new(filter, update), many: false }
    }

    /// Updates all documents that match `filter`, each at once, and many in one commit. What comes to match while it runs
    /// may be left out.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2, "state": "done" }]).run()?;
    /// let done = jobs.update_many(doc! {}, doc! { "$set": { "state": "done" } }).run()?;
    /// assert_eq!((done.matched_count, done.modified_count), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_many(&self, filter: impl Serialize, update: impl Serialize) -> Update<'_, T> {
        Update { collection: self, model: UpdateModel::new(filter, update), many: true }
    }

    /// Replaces the first document that matches `filter`. It keeps its `_id`, and its place in the order of insertion.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "_id": 1, "state": "new", "cost": 10 })?;
    /// jobs.replace_one(doc! { "_id": 1 }, doc! { "state": "done" }).run()?;
    /// assert_eq!(jobs.find_one(doc! {}).run()?, Some(doc! { "_id": 1, "state": "done" }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace_one(
        &self,
        filter: impl Serialize,
        replacement: impl Serialize,
    ) -> Replace<'_, T> {
        Replace { collection: self, model: ReplaceModel::new(filter, replacement) }
    }

    /// Deletes the first document that matches `filter`.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "state": "done" }, doc! { "state": "done" }]).run()?;
    /// assert_eq!(jobs.delete_one(doc! { "state": "done" }).run()?.deleted_count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_one(&self, filter: impl Serialize) -> Delete<'_, T> {
        Delete { collection: self, model: DeleteModel::new(filter), many: false }
    }

    /// Deletes all documents that match `filter`, many in one commit.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "state": "done" }, doc! { "state": "done" }]).run()?;
    /// assert_eq!(jobs.delete_many(doc! { "state": "done" }).run()?.deleted_count, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_many(&self, filter: impl Serialize) -> Delete<'_, T> {
        Delete { collection: self, model: DeleteModel::new(filter), many: true }
    }
}

/// An update, made by [`Collection::update_one`] or [`Collection::update_many`].
#[derive(Clone, Debug)]
#[must_use = "nothing is updated before `run`"]
pub struct Update<'c, T> {
    collection: &'c Collection<T>,
    model: UpdateModel,
    many: bool,
}

impl<T> Update<'_, T> {
    setters!([model.asked] => hint, collation, let_vars, comment, max_time);

    /// Whether a document is inserted if none matches: what the filter demands, updated. By default, none is. Of many that
    /// do it at once with one filter, one inserts and the others update.
    pub fn upsert(mut self, upsert: bool) -> Self {
        self.model = self.model.upsert(upsert);
        self
    }

    /// Which items of arrays `$[name]` stands for: `{ "name.state": "new" }`.
    pub fn array_filters<F: Serialize>(mut self, filters: impl IntoIterator<Item = F>) -> Self {
        self.model = self.model.array_filters(filters);
        self
    }

    /// Updates, durably when it returns.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then, unless it is [`DocumentError::Partial`]: an update of many documents
    /// has come to one that it cannot change, or to the end of its time.
    pub fn run(self) -> Result<UpdateResult, DocumentError> {
        let place = self.model.asked.place(self.collection)?;
        updated(place.modify(self.model.statement(self.many)?)?)
    }
}

/// A replacement, made by [`Collection::replace_one`].
#[derive(Clone, Debug)]
#[must_use = "nothing is replaced before `run`"]
pub struct Replace<'c, T> {
    collection: &'c Collection<T>,
    model: ReplaceModel,
}

impl<T> Replace<'_, T> {
    setters!([model.asked] => hint, collation, let_vars, comment, max_time);

    /// Whether the replacement is inserted if nothing matches. By default, it is not.
    pub fn upsert(mut self, upsert: bool) -> Self {
        self.model = self.model.upsert(upsert);
        self
    }

    /// Replaces, durably when it returns.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then.
    pub fn run(self) -> Result<UpdateResult, DocumentError> {
        let place = self.model.asked.place(self.collection)?;
        updated(place.modify(self.model.statement()?)?)
    }
}

/// A deletion, made by [`Collection::delete_one`] or [`Collection::delete_many`].
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted before `run`"]
pub struct Delete<'c, T> {
    collection: &'c Collection<T>,
    model: DeleteModel,
    many: bool,
}

impl<T> Delete<'_, T> {
    setters!([model.asked] => hint, collation, let_vars, comment, max_time);

    /// Deletes, durably when it returns.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then, unless it is [`DocumentError::Partial`]: a deletion of many documents
    /// has come to the end of its time.
    pub fn run(self) -> Result<DeleteResult, DocumentError> {
        let place = self.model.asked.place(self.collection)?;
        let outcome = place.modify(self.model.statement(self.many))?;
        let deleted_count = outcome.modified;
        let result = BulkWriteResult { deleted_count, ..BulkWriteResult::default() };
        checked(outcome, result)?;
        Ok(DeleteResult { deleted_count })
    }
}

fn updated(mut outcome: Changed) -> Result<UpdateResult, DocumentError> {
    let (matched_count, modified_count) = (outcome.matched, outcome.modified);
    let upserted_id = outcome.upserted_id.take().map(parsed);
    let result = BulkWriteResult { matched_count, modified_count, ..BulkWriteResult::default() };
    checked(outcome, result)?;
    Ok(UpdateResult { matched_count, modified_count, upserted_id })
}

/// The error of an outcome, with what was done before it.
fn checked(outcome: Changed, done: BulkWriteResult) -> Result<(), DocumentError> {
    match outcome.error {
        None => Ok(()),
        Some(error) if outcome.modified == 0 => Err(error),
        Some(error) => Err(PartialWrite::new(done, [(0, error)].into()).into()),
    }
}
