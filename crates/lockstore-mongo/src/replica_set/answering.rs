//! The answer of a call that was started.

use std::sync::Arc;

use lockstore::StoreError;

use crate::locks::Locks;

/// Whoever has started a call is told of its answer, whatever comes between. What it does about that is begun before the call is over.
pub(super) struct Answering<A> {
    locks: Arc<Locks>,
    on_answer: Option<Box<dyn FnOnce(A) + Send>>,
    failed: fn(StoreError) -> A,
}

impl<A> Answering<A> {
    /// `failed` is the answer that a failure is.
    pub(super) fn begin(
        locks: &Arc<Locks>,
        on_answer: Box<dyn FnOnce(A) + Send>,
        failed: fn(StoreError) -> A,
    ) -> Self {
        locks.begun();
        Self { locks: Arc::clone(locks), on_answer: Some(on_answer), failed }
    }

    pub(super) fn tell(mut self, answer: A) {
        if let Some(on_answer) = self.on_answer.take() {
            on_answer(answer);
        }
    }
}

impl<A> Drop for Answering<A> {
    fn drop(&mut self) {
        if let Some(on_answer) = self.on_answer.take() {
            let what = "a call to the replica set ended without an answer".into();
            on_answer((self.failed)(StoreError::Internal { what }));
        }
        self.locks.done();
    }
}
