//! The documents that a request has found.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use bson::RawDocumentBuf;

use super::given::read;
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::operations::{self, AHEAD};
use crate::remote::documents as elsewhere;
use crate::store::Store;

/// The documents that were found, one after the other, each as a `T`.
///
/// They are read in batches. What a batch has is as of one commit; a later batch sees what was changed in between, and
/// gives no document twice unless its keys have changed. A cursor may rest as long as it likes: it keeps no commit alive,
/// only the store open.
///
/// An item is an error when the document is no `T`: the cursor goes on behind it. After any other error it is
/// at its end.
///
/// ```
/// use lockstore::bson::{Document, doc};
/// use lockstore::{Cursor, Store};
///
/// let store = Store::in_memory()?;
/// let jobs = store.database("factory").collection::<Document>("jobs");
/// jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).run()?;
/// let mut found: Cursor<Document> = jobs.find(doc! {}).run()?;
/// assert_eq!(found.next().transpose()?, Some(doc! { "_id": 1 }));
/// let rest: Vec<Document> = found.collect::<Result<_, _>>()?;
/// assert_eq!(rest, [doc! { "_id": 2 }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "documents are read when the cursor is iterated"]
pub struct Cursor<T> {
    found: Found,
    /// It keeps the store open.
    store: Store,
    kind: PhantomData<fn() -> T>,
}

/// What was found, in this process or elsewhere. The first batch has been read: it holds nothing that would be in the way of
/// writes.
#[derive(Debug)]
pub(super) enum Found {
    Here {
        found: operations::Cursor,
        /// How many documents are found at a time.
        ahead: usize,
    },
    There(elsewhere::Cursor),
}

impl<T> Cursor<T> {
    pub(super) fn new(store: &Store, found: Found) -> Self {
        Self { found, store: store.clone(), kind: PhantomData }
    }
}

impl Found {
    pub(super) fn here(
        engine: &Engine,
        mut found: operations::Cursor,
        batch_size: Option<u32>,
    ) -> Result<Self, DocumentError> {
        let ahead = batch_size.map_or(AHEAD, |size| size as usize);
        found.read_ahead(engine, ahead)?;
        Ok(Self::Here { found, ahead })
    }

    pub(super) fn next_document(
        &mut self,
        store: &Store,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        match self {
            Self::Here { found, ahead } => found.next_document(store.engine(), *ahead),
            Self::There(found) => found.next_document(),
        }
    }
}

impl<T: DeserializeOwned + 'static> Iterator for Cursor<T> {
    type Item = Result<T, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.found.next_document(&self.store);
        next.and_then(|document| document.map(read).transpose()).transpose()
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for Cursor<T> {}

impl<T> fmt::Debug for Cursor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("found", &self.found).finish_non_exhaustive()
    }
}
