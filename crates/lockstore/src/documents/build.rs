//! Making indexes: the driver of a build, on the thread of whoever asks for it.

use std::ops::Bound;
use std::sync::Arc;

use bson::RawDocumentBuf;

use super::calls::{Ask, attempt};
use super::task::{BUILD_RECORDS_PER_TASK, BuildStep, Built, Defined, DocumentTask, Steps};
use super::{
    Attempt, CollectionId, Definition, DocumentAnswer, IndexId, Namespace, NewCollection,
    NewIndexes, RecordId,
};
use crate::engine::Engine;
use crate::error::{DocumentError, StoreError};
use crate::request::Task;

impl Engine {
    /// Makes indexes, and builds those that have documents to take in: in small steps, between which others are
    /// served. When this returns they are ready. The specifications are written in full, as they are listed. `asked` is who is
    /// asked for their definition.
    ///
    /// # Errors
    ///
    /// An index stands against one of these, or the documents do. None of those that were new is there then.
    pub(crate) fn create_indexes(
        &self,
        asked: &impl Ask,
        namespace: &Namespace,
        create: Option<NewCollection>,
        specs: Vec<RawDocumentBuf>,
    ) -> Result<Attempt<NewIndexes>, DocumentError> {
        let namespace = namespace.clone();
        let definition = Definition::CreateIndexes { namespace, create, specs };
        let mut made = match asked.define(definition)? {
            Attempt::Done(Defined::Indexes(made)) => made,
            Attempt::Done(other) => return Err(unexpected(&other)),
            Attempt::Again => return Ok(Attempt::Again),
        };
        if !made.to_build.is_empty() {
            let indexes = std::mem::take(&mut made.to_build).into();
            let collection = made.collection.id();
            let build = Build { engine: self, collection, indexes, is_finished: false };
            match build.run()? {
                Built::Ready(collection) => made.collection = collection,
                other @ (Built::Added { .. } | Built::Aborted) => return Err(unexpected(&other)),
            }
        }
        Ok(Attempt::Done(made))
    }

    fn build(&self, steps: Steps) -> Result<Built, DocumentError> {
        let answer = self.serve(DocumentTask::Build(steps));
        let built = attempt(answer, |answer| match answer {
            DocumentAnswer::Built(built) => Ok(built),
            other => Err(other),
        });
        match built? {
            Attempt::Done(built) => Ok(built),
            Attempt::Again => Err(unexpected(&"a step of a build that is to be planned anew")),
        }
    }
}

/// Indexes on their way. If it is dropped before they are ready, they are dropped too.
struct Build<'e> {
    engine: &'e Engine,
    collection: CollectionId,
    indexes: Arc<[IndexId]>,
    is_finished: bool,
}

impl Build<'_> {
    fn run(mut self) -> Result<Built, DocumentError> {
        // Writes that come after the definition maintain the index themselves.
        let mut seen = RecordId::MIN;
        let last = self.last_record()?;
        while seen < last {
            let records = self.records_behind(seen, last)?;
            let Some(&last_found) = records.last() else { break };
            let mut rest = &records[..];
            while !rest.is_empty() {
                match self.step(BuildStep::Add { records: rest.to_vec() })? {
                    Built::Added { taken } => rest = &rest[taken.min(rest.len())..],
                    other @ (Built::Ready(_) | Built::Aborted) => return Err(unexpected(&other)),
                }
            }
            seen = last_found;
        }
        let built = self.step(BuildStep::Finish)?;
        self.is_finished = true;
        Ok(built)
    }

    fn step(&self, step: BuildStep) -> Result<Built, DocumentError> {
        let (collection, indexes) = (self.collection, Arc::clone(&self.indexes));
        self.engine.build(Steps { collection, indexes, step })
    }

    fn last_record(&self) -> Result<RecordId, DocumentError> {
        let reading = self.engine.reading()?;
        let last = reading.last_record(self.collection);
        let last = last.map_err(|error| self.engine.read_failed(error))?;
        Ok(last.unwrap_or(RecordId::MIN))
    }

    fn records_behind(
        &self,
        seen: RecordId,
        last: RecordId,
    ) -> Result<Vec<RecordId>, DocumentError> {
        let bounds = (Bound::Excluded(seen), Bound::Included(last));
        let reading = self.engine.reading()?;
        let records = reading.records(self.collection, bounds, BUILD_RECORDS_PER_TASK);
        Ok(records.map_err(|error| self.engine.read_failed(error))?)
    }
}

impl Drop for Build<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let (collection, indexes) = (self.collection, Arc::clone(&self.indexes));
        let abort = Steps { collection, indexes, step: BuildStep::Abort };
        let task = Box::new(DocumentTask::Build(abort));
        self.engine.post_or_warn(Task::Documents { fences: Vec::new(), task });
    }
}

fn unexpected(answer: &impl std::fmt::Debug) -> DocumentError {
    let what = format!("an answer that makes no sense, {answer:?}").into();
    StoreError::Internal { what }.into()
}
