//! Inserting documents.

use bson::RawDocumentBuf;
use serde::Serialize;

use super::Collection;
use super::given::{Asked, document, parsed};
use super::results::{BulkWriteResult, InsertManyResult, InsertOneResult};
use crate::error::{DocumentError, PartialWrite};
use crate::operations::InsertRequest;

impl<T> Collection<T> {
    /// Inserts a document, durably when it returns. One without an `_id` gets one in front, an `ObjectId`.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// let inserted = jobs.insert_one(doc! { "state": "new" })?;
    /// assert!(jobs.find_one(doc! { "_id": inserted.inserted_id }).run()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DocumentError::DuplicateKey`] when a unique index has one of its keys already, and others. Nothing has
    /// changed then.
    pub fn insert_one(&self, document: impl Serialize) -> Result<InsertOneResult, DocumentError> {
        let documents = vec![self::document(&document)?];
        let outcome = self.place(None)?.insert(InsertRequest { documents, ordered: true });
        match (outcome.inserted.into_iter().next(), outcome.errors.into_iter().next()) {
            (Some((_, id)), _) => Ok(InsertOneResult { inserted_id: parsed(id) }),
            (None, Some((_, error))) => Err(error),
            (None, None) => unreachable!("a document is inserted, or there is an error"),
        }
    }

    /// Inserts documents, many in one commit. Each is durable when it returns.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// use lockstore::DocumentError;
    ///
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).run()?;
    /// let again = jobs.insert_many([doc! { "_id": 2 }, doc! { "_id": 3 }]).ordered(false).run();
    /// let Err(DocumentError::Partial(partial)) = again else { panic!("2 is there already") };
    /// assert!(matches!(partial.errors()[&0], DocumentError::DuplicateKey(_)));
    /// assert_eq!(partial.result().inserted_ids[&1], 3.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_many<D: Serialize>(
        &self,
        documents: impl IntoIterator<Item = D>,
    ) -> InsertMany<'_, T> {
        let mut asked = Asked::default();
        let documents = documents.into_iter().map(|document| self::document(&document));
        let documents = asked.keep(documents.collect()).unwrap_or_default();
        InsertMany { collection: self, asked, documents, ordered: true }
    }
}

/// Documents that are to be inserted, made by [`Collection::insert_many`].
#[derive(Clone, Debug)]
#[must_use = "nothing is inserted before `run`"]
pub struct InsertMany<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    documents: Vec<RawDocumentBuf>,
    ordered: bool,
}

impl<T> InsertMany<'_, T> {
    /// Whether the first document that cannot be inserted is the last that is tried, which is the default.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// Inserts the documents. Without any it does nothing.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Partial`] when some cannot be inserted: it tells which, and what was inserted, durably, all the
    /// same. [`DocumentError::Serialize`] when one cannot be written as BSON: none is inserted then.
    pub fn run(self) -> Result<InsertManyResult, DocumentError> {
        let place = self.asked.place(self.collection)?;
        let Self { documents, ordered, .. } = self;
        let outcome = place.insert(InsertRequest { documents, ordered });
        let inserted = outcome.inserted.into_iter();
        let inserted_ids = inserted.map(|(index, id)| (index, parsed(id))).collect();
        if outcome.errors.is_empty() {
            return Ok(InsertManyResult { inserted_ids });
        }
        let result = BulkWriteResult { inserted_ids, ..BulkWriteResult::default() };
        Err(PartialWrite::new(result, outcome.errors.into_iter().collect()).into())
    }
}
