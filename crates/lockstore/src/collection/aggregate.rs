//! Pipelines, and the different values of a field.

use std::marker::PhantomData;

use bson::{Bson, Document, RawBsonRef};
use docquery::{Error, ErrorCode};
use serde::Serialize;

use super::given::{Asked, Held, parsed_value};
use super::setters::setters;
use super::{Collection, Cursor};
use crate::documents::DiskUse;
use crate::error::DocumentError;
use crate::operations::AggregateRequest;

impl<T> Collection<T> {
    /// Runs the documents of the collection through the stages of a pipeline. With [`run`](Aggregate::run) comes a
    /// [`Cursor`] over the results, which are no `T` in general: see [`Aggregate::with_type`].
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "kind": "a", "cost": 1 }, doc! { "kind": "a", "cost": 2 }, doc! { "kind": "b", "cost": 4 }]).run()?;
    /// let sums = jobs
    ///     .aggregate([
    ///         doc! { "$group": { "_id": "$kind", "cost": { "$sum": "$cost" } } },
    ///         doc! { "$sort": { "_id": 1 } },
    ///     ])
    ///     .run()?;
    /// let sums: Vec<Document> = sums.collect::<Result<_, _>>()?;
    /// assert_eq!(sums, [doc! { "_id": "a", "cost": 3 }, doc! { "_id": "b", "cost": 4 }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<S: Serialize>(&self, stages: impl IntoIterator<Item = S>) -> Aggregate<'_, T> {
        let stages: Vec<S> = stages.into_iter().collect();
        Aggregate {
            collection: self,
            asked: Asked::default(),
            stages: Held::new(&stages),
            batch_size: None,
            disk_use: DiskUse::default(),
            kind: PhantomData,
        }
    }

    /// The different values that the documents that match `filter` have at the path `field`, in their order. Items of
    /// arrays are values of their own.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "tags": ["x", "y"] }, doc! { "tags": "x" }]).run()?;
    /// assert_eq!(jobs.distinct("tags", doc! {}).run()?, ["x".into(), "y".into()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn distinct(&self, field: &str, filter: impl Serialize) -> Distinct<'_, T> {
        Distinct { collection: self, asked: Asked::about(&filter), field: field.to_owned() }
    }
}

/// A pipeline, made by [`Collection::aggregate`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Aggregate<'c, T, U = Document> {
    collection: &'c Collection<T>,
    asked: Asked,
    stages: Result<Held, DocumentError>,
    batch_size: Option<u32>,
    disk_use: DiskUse,
    kind: PhantomData<fn() -> U>,
}

impl<'c, T, U> Aggregate<'c, T, U> {
    setters!([asked] => hint, collation, let_vars, comment, max_time);

    /// How many results the cursor takes at a time, as [`Find::batch_size`](super::find::Find::batch_size).
    pub fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = Some(batch_size).filter(|size| *size > 0);
        self
    }

    /// Whether stages may put into a temporary file beside the store what they cannot hold in 100 MiB of memory; a
    /// store in memory uses the system's folder for such files. Without it such a stage fails. The default is `true`.
    pub fn allow_disk_use(mut self, allow_disk_use: bool) -> Self {
        self.disk_use = DiskUse::of(allow_disk_use);
        self
    }

    /// The results are read as values of the type `V`.
    pub fn with_type<V>(self) -> Aggregate<'c, T, V> {
        let Self { collection, asked, stages, batch_size, disk_use, .. } = self;
        Aggregate { collection, asked, stages, batch_size, disk_use, kind: PhantomData }
    }

    /// Runs the pipeline: its stages work as the cursor is asked. One that ends with `$out` or `$merge` has written, and that is durable,
    /// when this returns; its cursor is empty. `$out` writes all or nothing, `$merge` each document by itself.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; what fails at a later document is an error of the cursor.
    pub fn run(self) -> Result<Cursor<U>, DocumentError> {
        let place = self.asked.place(self.collection)?;
        let stages = self.stages?;
        let RawBsonRef::Array(stages) = stages.get() else {
            unreachable!("a list is written as an array");
        };
        if stages.get_document(0).is_ok_and(|stage| matches!(stage.get("$documents"), Ok(Some(_))))
        {
            let message = "'$documents' makes documents of its own: it cannot run in a collection";
            return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message).into());
        }
        let Asked { selector, .. } = self.asked;
        let request = AggregateRequest {
            stages: stages.to_owned(),
            hint: selector.hint,
            variables: selector.variables,
            disk_use: self.disk_use,
        };
        let found = place.aggregate(&request, self.batch_size)?;
        Ok(Cursor::new(&self.collection.store, found))
    }
}

/// A search for the different values of a field, made by [`Collection::distinct`].
#[derive(Clone, Debug)]
#[must_use = "nothing is found before `run`"]
pub struct Distinct<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    field: String,
}

impl<T> Distinct<'_, T> {
    setters!([asked] => hint, collation, let_vars, comment, max_time);

    /// Searches.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn run(self) -> Result<Vec<Bson>, DocumentError> {
        let place = self.asked.place(self.collection)?;
        let values = place.distinct(&self.field, &self.asked.selector)?;
        values.iter().map(|value| parsed_value(value.get())).collect()
    }
}
