//! A lock of a document that was asked for: its arguments, checked.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bson::{RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Error, Filter, Projection, Value, Writer};
use lockcore::{Holder, Ttl};
use serde::de::DeserializeOwned;

use super::LockDocument;
use crate::collection::given::read;
use crate::document_locks::fields::{LOCK_KEY, LOCK_TIME_KEY};
use crate::document_locks::{
    Acquisition, LockUpdate, LockableCollection, Mode, StoredCollection, Wanted,
};
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::operations::{Place, Selector};

impl<T> LockDocument<'_, T> {
    /// Checks all that was given. The time to wait runs from here.
    pub(super) fn begin(self) -> Result<Begun, LockDocumentError> {
        self.collection.refuse_in_transaction("a document is not locked")?;
        let place = self.asked.place(self.collection)?.here();
        let mode = match (self.break_lock, self.sleep, self.get_locked_doc) {
            (true, _, _) => Mode::Break,
            (false, None, false) => Mode::Pass,
            (false, _, _) => Mode::Meet,
        };
        let mut selector = self.asked.selector.clone();
        if mode == Mode::Pass {
            selector.filter = only_free(&selector.filter);
        }
        let update = self.update.map(|update| LockUpdate {
            update: update.get().into(),
            array_filters: self.array_filters,
            variables: selector.variables.clone(),
        });
        let update = update.filter(|update| !update.is_empty());
        if let Some(update) = &update {
            update.check(place.now_ms())?;
        }
        let lock_id = self.lock_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let wanted = Wanted {
            mode,
            lock_id: Holder::new(&lock_id).map_err(ArgumentError::from)?,
            update,
            ttl: self.ttl.map(Ttl::new).transpose().map_err(ArgumentError::from)?,
            session: self.session,
            show_token: self.show_token,
            fences: self.collection.fences.clone(),
        };
        let filter = place.query(&selector)?.filter;
        let projection = self.projection.filter(|projection| !projection.is_empty());
        let projection = match projection {
            Some(projection) => {
                with_lock_fields(&projection, &place, &selector).map_err(DocumentError::from)?
            }
            None => None,
        };
        let shown = Shown { filter, projection };
        let stored = StoredCollection {
            store: self.collection.store.clone(),
            namespace: place.namespace().clone(),
            selector,
            max_time: self.max_time,
            wanted: Arc::new(wanted),
            works_out: AtomicBool::new(false),
        };
        let sleep = self.sleep.filter(|_| mode == Mode::Meet);
        let acquisition = Acquisition::new(sleep, self.max_wait, stored.now());
        Ok(Begun { stored, acquisition, shown })
    }
}

/// A request whose arguments have been checked.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) stored: StoredCollection,
    pub(super) acquisition: Acquisition,
    pub(super) shown: Shown,
}

/// How a document is shown.
#[derive(Debug)]
pub(in crate::collection) struct Shown {
    filter: Arc<Filter>,
    projection: Option<Projection>,
}

impl Shown {
    pub(in crate::collection) fn read<T>(&self, document: &RawDocument) -> Result<T, DocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        match &self.projection {
            Some(projection) => read(projection.apply(document, &self.filter)?),
            None => read(document.to_owned()),
        }
    }
}

/// The filter that passes over what is locked, whatever the caller's own says of `lock_id`.
fn only_free(filter: &RawDocument) -> RawDocumentBuf {
    let mut fields = Writer::with_capacity(filter.as_bytes().len() + 16);
    for element in Elements::of(filter.as_bytes()).filter(|element| element.name() != LOCK_KEY) {
        fields.copy(&element);
    }
    fields.field(LOCK_KEY, Value::Null);
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}

/// The projection with what it always brings along.
fn with_lock_fields(
    projection: &RawDocument,
    place: &Place<'_>,
    selector: &Selector,
) -> Result<Option<Projection>, Error> {
    let environment = place.environment(selector.variables.as_ref())?;
    let given = Projection::parse(projection, &environment)?;
    if given.is_positional() {
        return Err(Error::bad_value(
            "cannot use a positional projection and return the new document",
        ));
    }
    let is_brought =
        |path: &str| matches!(path.split('.').next(), Some("_id" | LOCK_KEY | LOCK_TIME_KEY));
    let mut fields = Writer::with_capacity(projection.as_bytes().len() + 48);
    for element in Elements::of(projection.as_bytes()).filter(|it| !is_brought(it.name())) {
        fields.copy(&element);
    }
    if given.is_inclusion() {
        for field in ["_id", LOCK_KEY, LOCK_TIME_KEY] {
            fields.field(field, Value::Int32(1));
        }
    } else if fields.is_empty() {
        return Ok(None);
    }
    let fields =
        RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document");
    Projection::parse(&fields, &environment).map(Some)
}
