//! Changing one document, and getting it back in one step.

use bson::RawDocumentBuf;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Collection;
use super::given::read;
use super::place::Place;
use super::setters::setters;
use super::write_model::{DeleteModel, ReplaceModel, UpdateModel};
use crate::error::DocumentError;
use crate::operations::Statement;

impl<T> Collection<T> {
    /// Updates the first document that matches `filter`, and gives it back: as it was, or as it is now. Nobody else gets
    /// the same document as long as the update takes it out of what the filter matches, which makes a queue:
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{ReturnDocument, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "_id": 1, "cost": 5 }, doc! { "_id": 2, "cost": 9 }]).run()?;
    /// let job = jobs
    ///     .find_one_and_update(doc! { "worker": null }, doc! { "$set": { "worker": "w1" } })
    ///     .sort(doc! { "cost": -1 })
    ///     .return_document(ReturnDocument::After)
    ///     .run()?;
    /// assert_eq!(job, Some(doc! { "_id": 2, "cost": 9, "worker": "w1" }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_one_and_update(
        &self,
        filter: impl Serialize,
        update: impl Serialize,
    ) -> FindOneAndUpdate<'_, T> {
        let model = UpdateModel::new(filter, update);
        FindOneAndUpdate { collection: self, model, projection: None, after: false }
    }

    /// Replaces the first document that matches `filter`, and gives it back: as it was, or as it is now.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "_id": 1, "state": "new" })?;
    /// let was = jobs.find_one_and_replace(doc! { "_id": 1 }, doc! { "state": "done" }).run()?;
    /// assert_eq!(was, Some(doc! { "_id": 1, "state": "new" }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_one_and_replace(
        &self,
        filter: impl Serialize,
        replacement: impl Serialize,
    ) -> FindOneAndReplace<'_, T> {
        let model = ReplaceModel::new(filter, replacement);
        FindOneAndReplace { collection: self, model, projection: None, after: false }
    }

    /// Deletes the first document that matches `filter`, and gives it back. No two callers get the same one.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "_id": 1 })?;
    /// assert_eq!(jobs.find_one_and_delete(doc! {}).run()?, Some(doc! { "_id": 1 }));
    /// assert_eq!(jobs.find_one_and_delete(doc! {}).run()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_one_and_delete(&self, filter: impl Serialize) -> FindOneAndDelete<'_, T> {
        FindOneAndDelete { collection: self, model: DeleteModel::new(filter), projection: None }
    }
}

/// Whether a document is given as it was before a change, or as it is after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnDocument {
    /// As it was; nothing when it was inserted just now.
    #[default]
    Before,
    /// As it is.
    After,
}

/// An update of one document, made by [`Collection::find_one_and_update`].
#[derive(Clone, Debug)]
#[must_use = "nothing is updated before `run`"]
pub struct FindOneAndUpdate<'c, T> {
    collection: &'c Collection<T>,
    model: UpdateModel,
    projection: Option<RawDocumentBuf>,
    after: bool,
}

impl<T> FindOneAndUpdate<'_, T> {
    setters!([model.asked] => sort, projection, return_document, hint, collation, let_vars, comment, max_time);

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

    /// Updates, durably when it returns, and gives the document; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then, unless it is [`DocumentError::Deserialize`].
    pub fn run(self) -> Result<Option<T>, DocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        let place = self.model.asked.place(self.collection)?;
        let statement = self.model.statement(false)?;
        find_and_modify(&place, statement, self.projection, self.after)
    }
}

/// A replacement of one document, made by [`Collection::find_one_and_replace`].
#[derive(Clone, Debug)]
#[must_use = "nothing is replaced before `run`"]
pub struct FindOneAndReplace<'c, T> {
    collection: &'c Collection<T>,
    model: ReplaceModel,
    projection: Option<RawDocumentBuf>,
    after: bool,
}

impl<T> FindOneAndReplace<'_, T> {
    setters!([model.asked] => sort, projection, return_document, hint, collation, let_vars, comment, max_time);

    /// Whether the replacement is inserted if nothing matches. By default, it is not.
    pub fn upsert(mut self, upsert: bool) -> Self {
        self.model = self.model.upsert(upsert);
        self
    }

    /// Replaces, durably when it returns, and gives the document; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then, unless it is [`DocumentError::Deserialize`].
    pub fn run(self) -> Result<Option<T>, DocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        let place = self.model.asked.place(self.collection)?;
        let statement = self.model.statement()?;
        find_and_modify(&place, statement, self.projection, self.after)
    }
}

/// A deletion of one document, made by [`Collection::find_one_and_delete`].
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted before `run`"]
pub struct FindOneAndDelete<'c, T> {
    collection: &'c Collection<T>,
    model: DeleteModel,
    projection: Option<RawDocumentBuf>,
}

impl<T> FindOneAndDelete<'_, T> {
    setters!([model.asked] => sort, projection, hint, collation, let_vars, comment, max_time);

    /// Deletes, durably when it returns, and gives the document as it was; `None` when there was none.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then, unless it is [`DocumentError::Deserialize`].
    pub fn run(self) -> Result<Option<T>, DocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        let place = self.model.asked.place(self.collection)?;
        find_and_modify(&place, self.model.statement(false), self.projection, false)
    }
}

fn find_and_modify<T: DeserializeOwned + 'static>(
    place: &Place<'_>,
    statement: Statement,
    projection: Option<RawDocumentBuf>,
    after: bool,
) -> Result<Option<T>, DocumentError> {
    place.find_and_modify(statement, projection, after)?.map(read).transpose()
}
