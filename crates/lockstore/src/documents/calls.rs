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

impl Engine {
    /// Inserts documents, as many as one task takes.
    pub(crate) fn insert(&self, insert: Insert) -> Result<Attempt<Inserted>, DocumentError> {
        self.ask(DocumentTask::Insert(insert), |answer| match answer {
            DocumentAnswer::Inserted(inserted) => Ok(inserted),
            other => Err(other),
        })
    }

    /// Changes documents, as many as one task takes.
    pub(crate) fn modify(&self, modify: Modify) -> Result<Attempt<Modified>, DocumentError> {
        self.ask(DocumentTask::Modify(modify), |answer| match answer {
            DocumentAnswer::Modified(modified) => Ok(*modified),
            other => Err(other),
        })
    }

    /// Makes changes that were worked out, as many as one task takes.
    pub(crate) fn apply(&self, apply: Apply) -> Result<Attempt<Modified>, DocumentError> {
        self.ask(DocumentTask::Apply(apply), |answer| match answer {
            DocumentAnswer::Modified(modified) => Ok(*modified),
            other => Err(other),
        })
    }

    /// Inserts a document, if nothing matches its filter.
    pub(crate) fn upsert(&self, upsert: Upsert) -> Result<Attempt<()>, DocumentError> {
        self.ask(DocumentTask::Upsert(upsert), |answer| match answer {
            DocumentAnswer::Upserted => Ok(()),
            other => Err(other),
        })
    }

    /// Changes the catalogue.
    pub(crate) fn define(&self, definition: Definition) -> Result<Attempt<Defined>, DocumentError> {
        self.ask(DocumentTask::Define(definition), |answer| match answer {
            DocumentAnswer::Defined(defined) => Ok(defined),
            other => Err(other),
        })
    }

    pub(super) fn ask<T>(
        &self,
        task: DocumentTask,
        expected: impl FnOnce(DocumentAnswer) -> Result<T, DocumentAnswer>,
    ) -> Result<Attempt<T>, DocumentError> {
        attempt(self.call(Task::Documents(Box::new(task))), expected)
    }
}

fn attempt<T>(
    answer: Answer,
    expected: impl FnOnce(DocumentAnswer) -> Result<T, DocumentAnswer>,
) -> Result<Attempt<T>, DocumentError> {
    match answer {
        Answer::Documents(answer) => match expected(*answer) {
            Ok(done) => Ok(Attempt::Done(done)),
            Err(DocumentAnswer::Again) => Ok(Attempt::Again),
            Err(DocumentAnswer::Failed(error)) => Err(error),
            Err(other) => {
                let what = format!("an answer that makes no sense, {other:?}").into();
                Err(StoreError::Internal { what }.into())
            }
        },
        Answer::Failed(error) => Err(error.into()),
        other => Err(unexpected(&other).into()),
    }
}
