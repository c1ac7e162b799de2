//! A document that is being locked, without blocking a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use lockcore::Holder;
use serde::de::DeserializeOwned;

use crate::backend::Backend;
use crate::collection::{Collection, DocumentLock};
use crate::document_locks::{LockDocumentRequest, Locking};
use crate::error::LockDocumentError;
use crate::remote::document_locks::RemoteLocking;

/// A document that is being locked; see [`LockDocument::acquire_async`](super::LockDocument::acquire_async).
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct LockDocumentFuture<T> {
    collection: Collection<T>,
    state: State,
}

#[derive(Debug)]
enum State {
    Here(Holder, Locking),
    There(Holder, RemoteLocking),
    /// The result was given, or is this error.
    Done(Option<LockDocumentError>),
}

impl<T> LockDocumentFuture<T> {
    pub(super) fn new(
        collection: Collection<T>,
        request: Result<LockDocumentRequest, LockDocumentError>,
    ) -> Self {
        let state = request.and_then(|request| State::begin(&collection, request));
        let state = state.unwrap_or_else(|error| State::Done(Some(error)));
        Self { collection, state }
    }
}

impl State {
    fn begin<T>(
        collection: &Collection<T>,
        request: LockDocumentRequest,
    ) -> Result<Self, LockDocumentError> {
        let lock_id = request.lock_id.clone();
        Ok(match collection.store.backend() {
            Backend::Here(engine) => {
                Self::Here(lock_id, Locking::new(request.begin(engine, collection.names()?)?))
            }
            Backend::There(remote) => {
                Self::There(lock_id, collection.elsewhere(remote).locking(&request))
            }
        })
    }
}

impl<T: DeserializeOwned + 'static> Future for LockDocumentFuture<T> {
    type Output = Result<DocumentLock<T>, LockDocumentError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (lock_id, found) = match &mut self.state {
            State::Here(lock_id, locking) => (lock_id.clone(), Pin::new(locking).poll(context)),
            State::There(lock_id, locking) => (lock_id.clone(), Pin::new(locking).poll(context)),
            State::Done(error) => {
                let error = error.take();
                let error = error.expect("a future of the store is polled until it is ready");
                return Poll::Ready(Err(error));
            }
        };
        let Poll::Ready(found) = found else { return Poll::Pending };
        self.state = State::Done(None);
        Poll::Ready(DocumentLock::found(self.collection.clone(), lock_id, found?))
    }
}
