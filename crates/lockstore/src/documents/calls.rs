//! Asking the writer, and what it answers.

use super::Definition;
use super::task::{
    Apply, Defined, DocumentAnswer, DocumentTask, Insert, Inserted, Modified, Modify, Upsert,
};
use crate::engine::Engine;
use crate::error::{DocumentError, StoreError, unexpected};
use crate::request::{Answer, Task};

/// What has become of a plan.
#[derive(Clone, Debug)]
pub(crate) enum Attempt<T> {
    /// It is done, and durable.
    Done(T),
    /// It was out of date, and nothing was done: plan anew on a new reading.
    Again,
}

/// What was answered.
pub(crate) type Asked = Result<DocumentAnswer, DocumentError>;

/// Somebody who is asked for what is to be changed: the writer of the store, or that of a transaction.
pub(crate) trait Ask {
    /// Has a task done.
    fn serve(&self, task: DocumentTask) -> Asked;

    /// Inserts documents, as many as one task takes.
    fn insert(&self, insert: Insert) -> Result<Attempt<Inserted>, DocumentError> {
        attempt(self.serve(DocumentTask::Insert(insert)), |answer| match answer {
            DocumentAnswer::Inserted(inserted) => Ok(inserted),
            other => Err(other),
        })
    }

    /// Changes documents, as many as one task takes.
    fn modify(&self, modify: Modify) -> Result<Attempt<Modified>, DocumentError> {
        attempt(self.serve(DocumentTask::Modify(modify)), |answer| match answer {
            DocumentAnswer::Modified(modified) => Ok(*modified),
            other => Err(other),
        })
    }

    /// Makes changes that were worked out, as many as one task takes.
    fn apply(&self, apply: Apply) -> Result<Attempt<Modified>, DocumentError> {
        attempt(self.serve(DocumentTask::Apply(apply)), |answer| match answer {
            DocumentAnswer::Modified(modified) => Ok(*modified),
            other => Err(other),
        })
    }

    /// Inserts a document, if nothing matches its filter.
    fn upsert(&self, upsert: Upsert) -> Result<Attempt<()>, DocumentError> {
        attempt(self.serve(DocumentTask::Upsert(upsert)), |answer| match answer {
            DocumentAnswer::Upserted => Ok(()),
            other => Err(other),
        })
    }

    /// Changes the catalogue.
    fn define(&self, definition: Definition) -> Result<Attempt<Defined>, DocumentError> {
        attempt(self.serve(DocumentTask::Define(definition)), |answer| match answer {
            DocumentAnswer::Defined(defined) => Ok(defined),
            other => Err(other),
        })
    }
}

impl Ask for Engine {
    fn serve(&self, task: DocumentTask) -> Asked {
        answered(self.call(Task::Documents { fences: Vec::new(), task: Box::new(task) }))
    }
}

/// What the writer has answered.
pub(super) fn answered(answer: Answer) -> Asked {
    match answer {
        Answer::Documents(answer) => Ok(*answer),
        Answer::Failed(error) => Err(error.into()),
        other => Err(unexpected(&other).into()),
    }
}

/// What has become of a plan, where the answer is one that is `expected`.
pub(super) fn attempt<T>(
    asked: Asked,
    expected: impl FnOnce(DocumentAnswer) -> Result<T, DocumentAnswer>,
) -> Result<Attempt<T>, DocumentError> {
    match expected(asked?) {
        Ok(done) => Ok(Attempt::Done(done)),
        Err(DocumentAnswer::Again) => Ok(Attempt::Again),
        Err(DocumentAnswer::Failed(error)) => Err(error),
        Err(other) => {
            let what = format!("an answer that makes no sense, {other:?}").into();
            Err(StoreError::Internal { what }.into())
        }
    }
}
