//! The indexes of a collection.

use super::given::argument;
use super::index_model::IndexModel;
use super::{Collection, Hint};
use crate::error::DocumentError;
use crate::operations::{Dropped, IndexSpec};

impl<T> Collection<T> {
    /// Makes an index, and gives its name. It is complete and durable when this returns; writes go on meanwhile. One that is
    /// there already, the same, is no error.
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{ErrorCode, IndexModel, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// let name = jobs.create_index(IndexModel::new(doc! { "order": 1, "step": -1 }).unique(true))?;
    /// assert_eq!(name, "order_1_step_-1");
    /// jobs.insert_one(doc! { "order": 7, "step": 1 })?;
    /// let twice = jobs.insert_one(doc! { "order": 7, "step": 1 }).unwrap_err();
    /// assert_eq!(twice.code(), ErrorCode::DUPLICATE_KEY);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DocumentError::DuplicateKey`] when a unique index finds a key twice, and others. The index is not there then.
    pub fn create_index(&self, index: IndexModel) -> Result<String, DocumentError> {
        let spec = checked(index)?;
        let name = spec.name().to_owned();
        self.place(None)?.create_indexes(vec![spec])?;
        Ok(name)
    }

    /// Makes indexes, all or none, and gives their names: see [`Collection::create_index`].
    ///
    /// # Errors
    ///
    /// As [`Collection::create_index`]; none at all are an error too.
    pub fn create_indexes(
        &self,
        indexes: impl IntoIterator<Item = IndexModel>,
    ) -> Result<Vec<String>, DocumentError> {
        let specs = indexes.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
        let names = specs.iter().map(|spec| spec.name().to_owned()).collect();
        self.place(None)?.create_indexes(specs)?;
        Ok(names)
    }

    /// Drops the index that is called so or has these keys. That is durable when it returns; the space is given back in the
    /// background.
    ///
    /// # Errors
    ///
    /// [`INDEX_NOT_FOUND`](docquery::ErrorCode::INDEX_NOT_FOUND) when it is not there;
    /// [`INVALID_OPTIONS`](docquery::ErrorCode::INVALID_OPTIONS) for the index on `_id`, which every collection has.
    pub fn drop_index(&self, index: impl Into<Hint>) -> Result<(), DocumentError> {
        let dropped = match index.into() {
            Hint::Name(name) => Dropped::Names(vec![name]),
            Hint::Keys(keys) => Dropped::Keys(argument(&keys)?),
        };
        self.place(None)?.drop_indexes(&dropped)
    }

    /// Drops all indexes but the one on `_id`.
    ///
    /// # Errors
    ///
    /// [`NAMESPACE_NOT_FOUND`](docquery::ErrorCode::NAMESPACE_NOT_FOUND) when there is no such collection.
    pub fn drop_indexes(&self) -> Result<(), DocumentError> {
        self.place(None)?.drop_indexes(&Dropped::All)
    }

    /// The indexes that are complete, the one on `_id` first.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # use lockstore::IndexModel;
    /// # let store = lockstore::Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.create_index(IndexModel::new(doc! { "state": 1 }).sparse(true))?;
    /// let indexes = jobs.list_indexes()?;
    /// assert_eq!(indexes[0].keys, doc! { "_id": 1 });
    /// assert_eq!(indexes[1], IndexModel::new(doc! { "state": 1 }).sparse(true).name("state_1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NAMESPACE_NOT_FOUND`](docquery::ErrorCode::NAMESPACE_NOT_FOUND) when there is no such collection.
    pub fn list_indexes(&self) -> Result<Vec<IndexModel>, DocumentError> {
        let specs = self.place(None)?.list_indexes()?;
        specs.iter().map(|spec| IndexModel::listed(spec)).collect()
    }

    /// The names of the indexes that are complete, that of the one on `_id` first.
    ///
    /// # Errors
    ///
    /// As [`Collection::list_indexes`].
    pub fn index_names(&self) -> Result<Vec<String>, DocumentError> {
        let indexes = self.list_indexes()?.into_iter();
        Ok(indexes.filter_map(|index| index.name).collect())
    }
}

/// The specification of an index, if there may be such a one.
fn checked(index: IndexModel) -> Result<IndexSpec, DocumentError> {
    let spec = argument(&index.spec())?;
    Ok(IndexSpec::parse((&*spec).into())?)
}
