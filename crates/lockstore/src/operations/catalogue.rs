//! Collections and databases: making them, dropping them, listing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::RawDocumentBuf;

use super::{Place, new_collection};
use crate::documents::{Ask, Attempt, Collection, Defined, Definition, Namespace, NewCollection};
use crate::engine::Engine;
use crate::error::{DocumentError, StoreError};

impl Place<'_> {
    /// Makes a collection.
    pub(crate) fn create(&self, options: RawDocumentBuf) -> Result<(), DocumentError> {
        let namespace = self.namespace().clone();
        let new = NewCollection { options, ..new_collection() };
        self.define(Definition::CreateCollection { namespace, new }).map(|_| ())
    }

    /// Drops a collection, and tells how many indexes it had.
    pub(crate) fn drop_collection(&self) -> Result<usize, DocumentError> {
        let namespace = self.namespace().clone();
        match self.define(Definition::DropCollection { namespace })? {
            Defined::Collection(collection) => Ok(collection.indexes().len()),
            other => unreachable!("the drop of a collection is not answered {other:?}"),
        }
    }

    /// Gives the collection another name.
    pub(crate) fn rename_collection(
        &self,
        to: Namespace,
        drop_target: bool,
    ) -> Result<(), DocumentError> {
        let from = self.namespace().clone();
        self.define(Definition::RenameCollection { from, to, drop_target }).map(|_| ())
    }

    /// The collection, if it is there.
    pub(crate) fn collection(&self) -> Result<Option<Arc<Collection>>, DocumentError> {
        let reading = self.scope().reading()?;
        Ok(reading.catalog().collection(self.namespace().as_str()).cloned())
    }
}

/// Drops all collections of a database, and tells whether there were any.
pub(crate) fn drop_database(asked: &impl Ask, database: &str) -> Result<bool, DocumentError> {
    Namespace::check_database(database)?;
    let definition = Definition::DropDatabase { database: database.into() };
    match asked.define(definition)? {
        Attempt::Done(Defined::DroppedDatabase { collections }) => Ok(collections > 0),
        other => unreachable!("the drop of a database is not answered {other:?}"),
    }
}

/// The collections of a database, by name.
pub(crate) fn collections(
    engine: &Engine,
    database: &str,
) -> Result<Vec<Arc<Collection>>, StoreError> {
    Ok(engine.reading()?.catalog().of_database(database).cloned().collect())
}

/// The databases that have collections, and how many each has.
pub(crate) fn databases(engine: &Engine) -> Result<BTreeMap<String, usize>, StoreError> {
    let mut databases = BTreeMap::new();
    for collection in engine.reading()?.catalog().iter() {
        *databases.entry(collection.namespace().database().to_owned()).or_insert(0) += 1;
    }
    Ok(databases)
}
