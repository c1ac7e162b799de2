//! Indexes: making them, dropping them, listing them.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, ErrorCode, Value, order};

use super::Place;
use crate::documents::{Attempt, Defined, Definition, Index, IndexState};
use crate::error::DocumentError;

/// What has become of a request to make indexes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreatedIndexes {
    pub(crate) created_collection: bool,
    pub(crate) before: usize,
    pub(crate) after: usize,
}

/// Which indexes are dropped.
#[derive(Clone, Debug)]
pub(crate) enum Dropped {
    /// All but the one on `_id`.
    All,
    /// Those of these names.
    Names(Vec<String>),
    /// The one with these keys.
    Keys(RawDocumentBuf),
}

impl Place<'_> {
    /// Makes indexes, as their specifications are listed. They are complete when this returns.
    pub(crate) fn create_indexes(
        &self,
        specs: Vec<RawDocumentBuf>,
    ) -> Result<CreatedIndexes, DocumentError> {
        let definition = Definition::CreateIndexes {
            namespace: self.namespace().clone(),
            create: Some(self.new_collection()),
            specs,
        };
        let Defined::Indexes(made) = self.define(definition)? else {
            unreachable!("a request for indexes is answered with indexes");
        };
        if !made.to_build.is_empty() {
            self.engine().build_indexes(&made)?;
        }
        Ok(CreatedIndexes {
            created_collection: made.created_collection,
            before: made.before,
            after: made.collection.indexes().len(),
        })
    }

    /// Drops indexes, and tells how many there were.
    pub(crate) fn drop_indexes(&self, dropped: &Dropped) -> Result<usize, DocumentError> {
        loop {
            let reading = self.engine().reading()?;
            let collection = reading.catalog().collection(self.namespace().as_str());
            let Some(collection) = collection.cloned() else { return Err(self.not_found()) };
            drop(reading);
            let before = collection.indexes().len();
            let names = match dropped {
                Dropped::All => {
                    let all = collection.indexes().iter().filter(|index| !index.is_id());
                    all.map(|index| index.name().into()).collect()
                }
                Dropped::Names(names) => names.iter().map(|name| name.as_str().into()).collect(),
                Dropped::Keys(keys) => vec![only(collection.indexes(), keys)?.name().into()],
            };
            let namespace = self.namespace().clone();
            match self.engine().define(Definition::DropIndexes { namespace, names })? {
                Attempt::Done(_) => return Ok(before),
                Attempt::Again => {}
            }
        }
    }

    /// The specifications of the indexes that are complete, the one on `_id` first.
    pub(crate) fn list_indexes(&self) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let reading = self.engine().reading()?;
        let collection = reading.catalog().collection(self.namespace().as_str());
        let Some(collection) = collection else { return Err(self.not_found()) };
        let ready = collection.indexes().iter().filter(|index| index.state() == IndexState::Ready);
        Ok(ready.map(|index| index.spec().to_owned()).collect())
    }

    /// Has the catalogue changed by what does not depend on how it was.
    pub(super) fn define(&self, definition: Definition) -> Result<Defined, DocumentError> {
        match self.engine().define(definition)? {
            Attempt::Done(defined) => Ok(defined),
            Attempt::Again => unreachable!("what depends on nothing is never out of date"),
        }
    }

    pub(super) fn not_found(&self) -> DocumentError {
        let message = format!("ns does not exist: {}", self.namespace());
        Error::new(ErrorCode::NAMESPACE_NOT_FOUND, message).into()
    }
}

/// The one index that has these keys.
pub(crate) fn only<'i>(
    indexes: &'i [std::sync::Arc<Index>],
    keys: &RawDocument,
) -> Result<&'i Index, Error> {
    let same = |index: &&std::sync::Arc<Index>| order::equal(Value::from(index.key()), Value::from(keys));
    let mut found = indexes.iter().filter(same);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (None, _) => Err(Error::new(
            ErrorCode::INDEX_NOT_FOUND,
            format!("can't find index with key: {keys:?}"),
        )),
        (Some(_), Some(_)) => Err(Error::new(
            ErrorCode::AMBIGUOUS_INDEX_KEY_PATTERN,
            format!("more than one index has the key {keys:?}: name the one that is meant"),
        )),
    }
}
