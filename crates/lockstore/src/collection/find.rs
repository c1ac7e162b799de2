//! Finding documents, and counting them.

use bson::RawDocumentBuf;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::given::Asked;
use super::setters::setters;
use super::{Collection, Cursor};
use crate::documents::DiskUse;
use crate::error::DocumentError;
use crate::operations::FindRequest;

impl<T> Collection<T> {
    /// Finds the documents that match `filter`. With [`run`](Find::run) comes a [`Cursor`].
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many((1..=5).map(|n| doc! { "_id": n, "cost": n * 10 })).run()?;
    /// let dear = jobs.find(doc! { "cost": { "$gte": 20 } }).sort(doc! { "cost": -1 }).skip(1).limit(2).run()?;
    /// let ids: Vec<i32> = dear.map(|job| Ok(job?.get_i32("_id")?)).collect::<Result<_, Box<dyn std::error::Error>>>()?;
    /// assert_eq!(ids, [4, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(&self, filter: impl Serialize) -> Find<'_, T> {
        Find {
            collection: self,
            asked: Asked::about(&filter),
            projection: None,
            skip: 0,
            limit: None,
            batch_size: None,
            disk_use: DiskUse::default(),
        }
    }

    /// Finds the first document that matches `filter`.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "_id": 1, "state": "new", "cost": 10 })?;
    /// let job = jobs.find_one(doc! { "state": "new" }).projection(doc! { "cost": 1 }).run()?;
    /// assert_eq!(job, Some(doc! { "_id": 1, "cost": 10 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_one(&self, filter: impl Serialize) -> FindOne<'_, T> {
        FindOne { find: self.find(filter).limit(1) }
    }

    /// Counts the documents that match `filter`, one by one where no index knows it.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "state": "new" }, doc! { "state": "done" }]).run()?;
    /// assert_eq!(jobs.count_documents(doc! { "state": "new" }).run()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count_documents(&self, filter: impl Serialize) -> CountDocuments<'_, T> {
        CountDocuments { collection: self, asked: Asked::about(&filter), skip: 0, limit: None }
    }

    /// How many documents there are, as of the last commit. It is exact, and counts nothing, but for the first time after the
    /// store was opened.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn estimated_document_count(&self) -> Result<u64, DocumentError> {
        self.place(None)?.estimated_count()
    }
}

/// A search, made by [`Collection::find`].
#[derive(Clone, Debug)]
#[must_use = "nothing is found before `run`"]
pub struct Find<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    projection: Option<RawDocumentBuf>,
    skip: u64,
    limit: Option<u64>,
    batch_size: Option<u32>,
    disk_use: DiskUse,
}

impl<T> Find<'_, T> {
    setters!([asked] => sort, projection, hint, collation, let_vars, comment, max_time);

    /// How many documents are passed over first.
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// How many documents are given at most; 0 is no limit, and the default.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit).filter(|limit| *limit > 0);
        self
    }

    /// How many documents are read at a time; 0 and the default are 101. A batch ends with 16 MiB in any case. By default, batches
    /// behind the first have as many as that if the store lives elsewhere.
    pub fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = Some(batch_size).filter(|size| *size > 0);
        self
    }

    /// Whether a sort may put into a temporary file beside the store what it cannot hold in 100 MiB of memory, as
    /// [`Aggregate::allow_disk_use`](super::aggregate::Aggregate::allow_disk_use). Without it such a search fails. The default is `true`.
    pub fn allow_disk_use(mut self, allow_disk_use: bool) -> Self {
        self.disk_use = DiskUse::of(allow_disk_use);
        self
    }

    /// The first key that is looked at of the index of the [`hint`](Self::hint), which must be there.
    pub fn min(mut self, min: impl Serialize) -> Self {
        self.asked.selector.between.min = self.asked.document(&min);
        self
    }

    /// The first key that is not looked at any more of the index of the [`hint`](Self::hint), which must be there.
    pub fn max(mut self, max: impl Serialize) -> Self {
        self.asked.selector.between.max = self.asked.document(&max);
        self
    }

    /// Begins the search, and reads the first batch.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn run(self) -> Result<Cursor<T>, DocumentError> {
        let place = self.asked.place(self.collection)?;
        let request = FindRequest {
            selector: self.asked.selector,
            projection: self.projection,
            skip: self.skip,
            limit: self.limit,
            return_key: false,
            show_record_id: false,
            disk_use: self.disk_use,
        };
        let found = place.find(&request, self.batch_size)?;
        Ok(Cursor::new(&self.collection.store, found))
    }
}

/// A search for one document, made by [`Collection::find_one`].
#[derive(Clone, Debug)]
#[must_use = "nothing is found before `run`"]
pub struct FindOne<'c, T> {
    find: Find<'c, T>,
}

impl<T> FindOne<'_, T> {
    setters!([find.asked] => sort, hint, collation, let_vars, comment, max_time);

    /// Which fields are given: `{ "state": 1 }`. By default, all.
    pub fn projection(self, projection: impl Serialize) -> Self {
        Self { find: self.find.projection(projection) }
    }

    /// How many documents are passed over first.
    pub fn skip(self, skip: u64) -> Self {
        Self { find: self.find.skip(skip) }
    }

    /// Searches.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn run(self) -> Result<Option<T>, DocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        self.find.run()?.next().transpose()
    }
}

/// A count, made by [`Collection::count_documents`].
#[derive(Clone, Debug)]
#[must_use = "nothing is counted before `run`"]
pub struct CountDocuments<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    skip: u64,
    limit: Option<u64>,
}

impl<T> CountDocuments<'_, T> {
    setters!([asked] => hint, collation, let_vars, comment, max_time);

    /// How many documents are passed over first.
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// How many documents are counted at most; 0 is no limit, and the default.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit).filter(|limit| *limit > 0);
        self
    }

    /// Counts.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn run(self) -> Result<u64, DocumentError> {
        let place = self.asked.place(self.collection)?;
        place.count(&self.asked.selector, self.skip, self.limit)
    }
}
