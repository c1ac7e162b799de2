//! Indexes: making them, dropping them, listing them.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Error, ErrorCode, Value, Writer, order};

use super::index_spec::IndexSpec;
use super::{Place, new_collection};
use crate::documents::{Ask, Attempt, Collection, Defined, Definition, Index, IndexState};
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

/// Which index is changed.
#[derive(Clone, Debug)]
pub(crate) enum IndexName {
    /// The one of this name.
    Name(String),
    /// The one with these keys.
    Keys(RawDocumentBuf),
}

/// What is changed of an index, or what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexChange {
    pub(crate) hidden: Option<bool>,
    pub(crate) expire_after_seconds: Option<i64>,
}

impl IndexChange {
    /// The specification with the change.
    fn applied_to(self, spec: &RawDocument) -> RawDocumentBuf {
        let mut fields = Writer::new();
        for element in Elements::of(spec.as_bytes()) {
            match element.name() {
                "hidden" if self.hidden.is_some() => {}
                "expireAfterSeconds" if self.expire_after_seconds.is_some() => {}
                _ => fields.copy(&element),
            }
        }
        if self.hidden == Some(true) {
            fields.field("hidden", Value::Bool(true));
        }
        if let Some(seconds) = self.expire_after_seconds {
            fields.field(
                "expireAfterSeconds",
                i32::try_from(seconds).map_or(Value::Int64(seconds), Value::Int32),
            );
        }
        RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
    }
}

impl Place<'_> {
    /// Makes indexes. They are complete when this returns.
    pub(crate) fn create_indexes(
        &self,
        specs: Vec<IndexSpec>,
    ) -> Result<CreatedIndexes, DocumentError> {
        if specs.is_empty() {
            return Err(Error::bad_value("Must specify at least one index to create").into());
        }
        if self.namespace().collection().starts_with("system.") {
            let message = format!("Invalid system namespace: {}", self.namespace());
            return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message).into());
        }
        let specs = specs.into_iter().map(|spec| spec.listed).collect();
        let create = Some(new_collection());
        let made =
            match self.engine().create_indexes(self.scope(), self.namespace(), create, specs)? {
                Attempt::Done(made) => made,
                Attempt::Again => {
                    unreachable!("indexes that may create their collection are never out of date")
                }
            };
        Ok(CreatedIndexes {
            created_collection: made.created_collection,
            before: made.before,
            after: made.collection.indexes().len(),
        })
    }

    /// Drops indexes, and tells how many there were.
    pub(crate) fn drop_indexes(&self, dropped: &Dropped) -> Result<usize, DocumentError> {
        loop {
            let reading = self.scope().reading()?;
            let collection = reading.catalog().collection(self.namespace().as_str());
            let Some(collection) = collection.cloned() else { return Err(self.not_found()) };
            drop(reading);
            let before = collection.indexes().len();
            if let Dropped::Names(names) = dropped {
                check_different(names)?;
            }
            let names = match dropped {
                Dropped::All => {
                    let all = collection.indexes().iter().filter(|index| !index.is_id());
                    all.map(|index| index.name().into()).collect()
                }
                Dropped::Names(names) => names.iter().map(|name| name.as_str().into()).collect(),
                Dropped::Keys(keys) => vec![only(collection.indexes(), keys)?.name().into()],
            };
            let namespace = self.namespace().clone();
            match self.scope().define(Definition::DropIndexes { namespace, names })? {
                Attempt::Done(_) => return Ok(before),
                Attempt::Again => {}
            }
        }
    }

    /// The specifications of the indexes that are complete, the one on `_id` first.
    pub(crate) fn list_indexes(&self) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let reading = self.scope().reading()?;
        let collection = reading.catalog().collection(self.namespace().as_str());
        let Some(collection) = collection else { return Err(self.not_found()) };
        let ready = collection.indexes().iter().filter(|index| index.state() == IndexState::Ready);
        Ok(ready.map(|index| index.spec().to_owned()).collect())
    }

    /// Changes an index, and tells how it was.
    pub(crate) fn change_index(
        &self,
        name: &IndexName,
        change: IndexChange,
    ) -> Result<IndexChange, DocumentError> {
        loop {
            let collection = self.existing()?;
            let was = Arc::clone(named(&collection, name)?);
            if was.is_id() && change.hidden == Some(true) {
                return Err(Error::bad_value("can't hide _id index").into());
            }
            if was.expire_after_seconds().is_none()
                && change.expire_after_seconds.is_some()
                && was.key().iter().count() > 1
            {
                let message =
                    "TTL indexes are single-field indexes, compound indexes do not support TTL";
                return Err(Error::new(ErrorCode::INVALID_OPTIONS, message).into());
            }
            let before = IndexChange {
                hidden: Some(was.is_hidden()),
                expire_after_seconds: was.expire_after_seconds(),
            };
            let spec = change.applied_to(was.spec());
            let collection = collection.id();
            match self.scope().define(Definition::ReviseIndex { collection, was, spec })? {
                Attempt::Done(_) => return Ok(before),
                Attempt::Again => {}
            }
        }
    }

    /// Checks that the collection is there.
    pub(crate) fn check_exists(&self) -> Result<(), DocumentError> {
        self.existing().map(|_| ())
    }

    fn existing(&self) -> Result<Arc<Collection>, DocumentError> {
        self.collection()?.ok_or_else(|| self.not_found())
    }

    /// Has the catalogue changed by what does not depend on how it was.
    pub(super) fn define(&self, definition: Definition) -> Result<Defined, DocumentError> {
        match self.scope().define(definition)? {
            Attempt::Done(defined) => Ok(defined),
            Attempt::Again => unreachable!("what depends on nothing is never out of date"),
        }
    }

    pub(super) fn not_found(&self) -> DocumentError {
        let message = format!("ns does not exist: {}", self.namespace());
        Error::new(ErrorCode::NAMESPACE_NOT_FOUND, message).into()
    }
}

/// An index that is named twice is not there any more when it is dropped for the second time.
fn check_different(names: &[String]) -> Result<(), Error> {
    let repeated = |(place, name): (usize, &String)| names[..place].contains(name);
    match names.iter().enumerate().find(|named| repeated(*named)) {
        None => Ok(()),
        Some((_, name)) => {
            let message = format!("index not found with name [{name}]: it is named twice");
            Err(Error::new(ErrorCode::INDEX_NOT_FOUND, message))
        }
    }
}

/// The index that is called so, or has these keys.
fn named<'c>(
    collection: &'c Collection,
    name: &IndexName,
) -> Result<&'c Arc<Index>, DocumentError> {
    let ready = |index: &&Arc<Index>| index.state() == IndexState::Ready;
    let found = match name {
        IndexName::Name(name) => collection.index(name),
        IndexName::Keys(keys) => {
            let same =
                |index: &&Arc<Index>| order::equal(Value::from(index.key()), Value::from(&**keys));
            collection.indexes().iter().find(same)
        }
    };
    found.filter(ready).ok_or_else(|| {
        let message = format!("cannot find index {name:?} for ns {}", collection.namespace());
        Error::new(ErrorCode::INDEX_NOT_FOUND, message).into()
    })
}

/// The one index that has these keys.
pub(crate) fn only<'i>(indexes: &'i [Arc<Index>], keys: &RawDocument) -> Result<&'i Index, Error> {
    let same = |index: &&Arc<Index>| order::equal(Value::from(index.key()), Value::from(keys));
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
