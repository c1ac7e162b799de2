//! Pipelines over a collection.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use docquery::pipeline::{Database, Documents, Scratch, Source, Visit, Workspace, documents};
use docquery::{Document, Error, ErrorCode, Filter, Pipeline, limits};

use super::Place;
use super::cursor::{AHEAD, Cursor};
use super::select::Selector;
use crate::documents::execution::{Execution, Extent, Row};
use crate::documents::plan::{Hint, Query};
use crate::documents::{Deadline, DiskUse, Namespace, Scope, ScratchFiles};
use crate::engine::Engine;
use crate::error::{DocumentError, StoreError};
use crate::transaction::TransactionState;

/// A pipeline over a collection.
#[derive(Debug)]
pub(crate) struct AggregateRequest {
    pub(crate) stages: RawArrayBuf,
    pub(crate) hint: Hint,
    pub(crate) variables: Option<RawDocumentBuf>,
    /// Whether stages may put on the disk what they cannot hold in memory.
    pub(crate) disk_use: DiskUse,
}

/// What a collection is asked for, and how many stages of the pipeline are done with that.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) selector: Selector,
    pub(crate) limit: Option<u64>,
    stages: usize,
}

impl AggregateRequest {
    /// What the pipeline asks of its collection at first: the filters of the `$match` stages in front, the order of a `$sort`
    /// behind them, and how many documents it takes of those.
    fn leading(&self, pipeline: &Pipeline) -> Leading {
        let leading = pipeline.leading();
        let mut selector = Selector {
            hint: self.hint.clone(),
            variables: self.variables.clone(),
            ..Selector::about(RawDocumentBuf::new())
        };
        // The pipeline has moved filters before the sorts that they follow.
        let stages = self.stages.into_iter().map_while(Result::ok);
        let first: Vec<_> = stages.filter_map(RawBsonRef::as_document).collect();
        let named = |name: &'static str| {
            let run = first.iter().take_while(|stage| {
                matches!(stage.get("$match"), Ok(Some(_)))
                    || matches!(stage.get("$sort"), Ok(Some(_)))
            });
            run.filter_map(move |stage| stage.get_document(name).ok().map(RawDocument::to_owned))
        };
        let filters = leading.filters.len();
        let mut written: Vec<_> = named("$match").take(filters).collect();
        selector.filter = match written.len() {
            0 => RawDocumentBuf::new(),
            1 => written.swap_remove(0),
            _ => rawdoc! { "$and": written.into_iter().collect::<RawArrayBuf>() },
        };
        if leading.sort.is_some() {
            selector.sort = named("$sort").next();
        }
        let stages = filters + usize::from(leading.sort.is_some());
        Leading { selector, limit: leading.limit, stages }
    }
}

impl Place<'_> {
    /// Runs a pipeline over the documents of the collection. Its stages work when the cursor is asked; what ends with
    /// `$out` or `$merge` is written before this returns.
    pub(crate) fn aggregate(&self, request: &AggregateRequest) -> Result<Cursor, DocumentError> {
        let pipeline = self.pipeline(request)?;
        let (source, done) = if let Some(statistics) = pipeline.statistics() {
            (documents(self.statistics(statistics)?.into_iter().map(Ok)), 0)
        } else if pipeline.has_own_documents() {
            (documents(None), 0)
        } else {
            let Leading { selector, limit, stages } = request.leading(&pipeline);
            self.source(selector, limit, stages)?
        };
        let database: Arc<dyn Database> = Arc::new(self.neighbours(request.disk_use));
        let found = pipeline.run_after(done, source, &database);
        match pipeline.output() {
            None => Ok(Cursor::piped(found, self.deadline())),
            Some(_) if self.scope().transaction().is_some() => {
                let message = "$out and $merge are not allowed in a transaction";
                let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
                Err(Error::new(code, message).into())
            }
            Some(output) => {
                let written = self.write_output(output, found, &database);
                written.map_err(|error| self.engine().why_failed(error))?;
                Ok(Cursor::over(Vec::new()))
            }
        }
    }

    /// The stages, parsed.
    fn pipeline(&self, request: &AggregateRequest) -> Result<Pipeline, DocumentError> {
        let environment = self.environment(request.variables.as_ref())?;
        Ok(Pipeline::parse(&request.stages, &environment)?)
    }

    /// What the pipeline asks of its collection.
    pub(crate) fn leading(&self, request: &AggregateRequest) -> Result<Leading, DocumentError> {
        let pipeline = self.pipeline(request)?;
        Ok(request.leading(&pipeline))
    }

    /// The documents that are selected, as a pipeline takes them, and how many of the `stages` that ask for them are done:
    /// a `$sort` that no index gives is left to the pipeline, which has more room for it.
    fn source(
        &self,
        mut selector: Selector,
        limit: Option<u64>,
        stages: usize,
    ) -> Result<(Documents, usize), DocumentError> {
        let query = self.query(&selector)?;
        let (execution, _) = self.execute(&query, Extent { limit, ..Extent::default() })?;
        if execution.plan().sort().is_none() {
            return Ok((Found::later(self.engine(), execution), stages));
        }
        selector.sort = None;
        let query = self.query(&selector)?;
        let (execution, _) = self.execute(&query, Extent::default())?;
        Ok((Found::later(self.engine(), execution), stages - 1))
    }

    fn neighbours(&self, disk_use: DiskUse) -> Neighbours {
        Neighbours {
            engine: Arc::downgrade(self.engine()),
            transaction: self.scope().transaction().cloned(),
            database: self.namespace().database().into(),
            now_ms: self.now_ms,
            deadline: self.deadline(),
            scratch: ScratchFiles::new(&self.engine().scratch, disk_use),
        }
    }
}

/// The database that a pipeline runs in. A cursor may hold it for ever: it keeps no store open.
#[derive(Debug)]
struct Neighbours {
    engine: Weak<Engine>,
    transaction: Option<Arc<TransactionState>>,
    database: Box<str>,
    now_ms: i64,
    deadline: Option<Deadline>,
    scratch: ScratchFiles,
}

impl Database for Neighbours {
    fn documents(&self, name: &str, filter: Option<&Arc<Filter>>) -> docquery::Result<Documents> {
        let engine = upgrade(&self.engine)?;
        match self.execution(&engine, name, filter)? {
            // It is asked at once, and lets go of the reading then.
            Some(execution) => Ok(Found::begun(&engine, execution)),
            None => Ok(documents(None)),
        }
    }
}

impl Workspace for Neighbours {
    fn scratch(&self) -> docquery::Result<Option<Box<dyn Scratch>>> {
        self.scratch.scratch()
    }

    fn check_for_interrupt(&self) -> docquery::Result<()> {
        let engine = upgrade(&self.engine)?;
        engine.check_usable().map_err(|error| refusal(error.into()))?;
        match &self.deadline {
            Some(deadline) => deadline.check(engine.clock.now()),
            None => Ok(()),
        }
    }
}

impl Neighbours {
    /// The search for what `filter` matches in the collection `name`.
    fn execution(
        &self,
        engine: &Arc<Engine>,
        name: &str,
        filter: Option<&Arc<Filter>>,
    ) -> docquery::Result<Option<Execution>> {
        // What may not be the name of a collection is the name of none.
        let Ok(namespace) = Namespace::new(&self.database, name) else { return Ok(None) };
        let scope = Scope::new(engine, self.transaction.as_ref(), Vec::new());
        let place = Place::at(scope, namespace, self.now_ms, self.deadline.clone());
        let query = match filter {
            Some(filter) => Query::new(Arc::clone(filter)),
            None => place.query(&Selector::about(RawDocumentBuf::new())).map_err(refusal)?,
        };
        let (execution, _) = place.execute(&query, Extent::default()).map_err(refusal)?;
        Ok(Some(execution))
    }
}

/// What an execution finds.
#[derive(Debug)]
struct Found {
    engine: Weak<Engine>,
    execution: Execution,
    ready: VecDeque<RawDocumentBuf>,
    /// How many documents are found at a time.
    ahead: usize,
}

impl Found {
    fn later(engine: &Arc<Engine>, mut execution: Execution) -> Documents {
        // It may be long until it is asked, and the pipeline may write.
        execution.rest();
        Self::begun(engine, execution)
    }

    /// The same on the reading on which it was planned.
    fn begun(engine: &Arc<Engine>, execution: Execution) -> Documents {
        let engine = Arc::downgrade(engine);
        Box::new(Self { engine, execution, ready: VecDeque::new(), ahead: AHEAD })
    }
}

impl Source for Found {
    fn next(&mut self) -> docquery::Result<Option<RawDocumentBuf>> {
        if self.ready.is_empty() && !self.execution.is_done() {
            let engine = upgrade(&self.engine)?;
            let shown = |row: Row<'_>| Ok(row.document.to_owned());
            let bytes = limits::DOCUMENT_BYTES_MAX;
            let found = self.execution.next_batch(&engine, self.ahead, bytes, shown);
            self.ready = found.map_err(refusal)?.into();
            self.ahead = (2 * self.ahead).min(AHEAD_MAX);
        }
        Ok(self.ready.pop_front())
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> docquery::Result<()> {
        for document in self.ready.drain(..) {
            visit(Document::from(&*document))?;
        }
        let engine = upgrade(&self.engine)?;
        let mut show = |row: Row<'_>| {
            visit(Document::from(row.document))?;
            Ok(ControlFlow::Continue(()))
        };
        self.execution.run(&engine, &mut show).map_err(refusal)?;
        Ok(())
    }
}

fn upgrade(engine: &Weak<Engine>) -> docquery::Result<Arc<Engine>> {
    engine.upgrade().ok_or_else(|| refusal(StoreError::Closed.into()))
}

/// The error for the inside of a pipeline, which knows nothing of stores.
fn refusal(error: DocumentError) -> Error {
    match error {
        DocumentError::Refused(error) => error,
        other => Error::new(other.code(), other.to_string()),
    }
}

/// How many documents a source finds at a time at most.
const AHEAD_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use docquery::Environment;

    use super::*;
    use crate::Store;
    use crate::documents::plan::Access;

    #[test]
    fn a_join_asks_the_index_of_the_other_collection() {
        let store = Store::in_memory().unwrap();
        let database = store.database("factory");
        let jobs = database.collection::<bson::Document>("jobs");
        jobs.insert_many((0..10).map(|n| bson::doc! { "n": n })).run().unwrap();
        let index =
            rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "n": 1 }, "name": "n" }] };
        assert!(database.run_command(&index).get_f64("ok").is_ok_and(|ok| ok > 0.0));
        let scope = Scope::new(store.engine(), None, Vec::new());
        let place = Place::new(scope, Namespace::new("factory", "other").unwrap(), None);
        let filter = Filter::parse(&rawdoc! { "n": 7 }, &Environment::new(0)).unwrap();
        let neighbours = place.neighbours(DiskUse::Allowed);
        let found = neighbours.execution(store.engine(), "jobs", Some(&Arc::new(filter)));
        let mut execution = found.unwrap().unwrap();
        assert!(matches!(execution.plan().access(), Access::Indexes(_)));
        let found = execution.next_batch(store.engine(), 5, 1_000, |row| Ok(row.record)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(execution.counts().documents_examined, 1);
    }
}
