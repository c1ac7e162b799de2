//! A document that is being locked, without blocking a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use lockcore::Instant;
use serde::de::DeserializeOwned;

use super::begun::Begun;
use crate::call::Call;
use crate::collection::{Collection, DocumentLock};
use crate::document_locks::{LockableCollection, Looked, Next};
use crate::error::LockDocumentError;

/// A document that is being locked; see [`LockDocument::acquire_async`](super::LockDocument::acquire_async).
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct LockDocumentFuture<T> {
    collection: Collection<T>,
    state: State,
}

impl<T> LockDocumentFuture<T> {
    pub(super) fn new(collection: Collection<T>, begun: Result<Begun, LockDocumentError>) -> Self {
        let state = match begun {
            Ok(begun) => State::Looking(Box::new(begun)),
            Err(error) => State::Done(Some(error)),
        };
        Self { collection, state }
    }
}

#[derive(Debug)]
enum State {
    /// A look is to be taken.
    Looking(Box<Begun>),
    /// The writer was asked then, and its answer is to come.
    Asked(Box<Begun>, Instant, Box<Call>),
    /// The result was given, or is this error.
    Done(Option<LockDocumentError>),
}

impl<T: DeserializeOwned + 'static> Future for LockDocumentFuture<T> {
    type Output = Result<DocumentLock<T>, LockDocumentError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            // Whatever the state was, it is `Done` unless something is still to come.
            let (mut begun, looked) = match std::mem::replace(&mut self.state, State::Done(None)) {
                State::Looking(begun) => {
                    let asked_at = begun.stored.now();
                    match begun.stored.plan(begun.acquisition.turn(asked_at))? {
                        Some(task) => {
                            let call = Call::new(begun.stored.store.engine(), task, None);
                            self.state = State::Asked(begun, asked_at, Box::new(call));
                            continue;
                        }
                        None => (begun, Looked::Nothing),
                    }
                }
                State::Asked(begun, asked_at, mut call) => match call.poll(context) {
                    Poll::Ready(answer) => {
                        let looked = begun.stored.looked(asked_at, answer)?;
                        (begun, looked)
                    }
                    Poll::Pending => {
                        self.state = State::Asked(begun, asked_at, call);
                        return Poll::Pending;
                    }
                },
                State::Done(Some(error)) => return Poll::Ready(Err(error)),
                State::Done(None) => panic!("a future of the store was polled after it was ready"),
            };
            let now = begun.stored.now();
            match begun.acquisition.looked(looked, now) {
                Next::Done(found) => {
                    let (collection, stored) = (self.collection.clone(), &begun.stored);
                    return Poll::Ready(DocumentLock::found(
                        collection,
                        stored,
                        found,
                        &begun.shown,
                    ));
                }
                Next::Look => self.state = State::Looking(begun),
                Next::Wait(_) => unreachable!("a stored collection waits in its writer"),
            }
        }
    }
}
