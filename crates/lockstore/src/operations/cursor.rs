//! The results of an operation, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::pipeline::Documents;
use docquery::{Filter, Projection, Value, Writer, limits};

use super::locked;
use crate::documents::execution::{Execution, Row};
use crate::documents::{CollectionId, CursorTime, Deadline};
use crate::engine::Engine;
use crate::error::DocumentError;

/// Results that have not been given yet. It holds no reading while it rests.
#[derive(Debug)]
pub(crate) struct Cursor {
    source: Source,
    /// What was found and not given yet.
    ready: VecDeque<RawDocumentBuf>,
    /// How long it may work, if that is bounded.
    time: Option<CursorTime>,
}

#[derive(Debug)]
enum Source {
    /// All there is is ready.
    Made,
    /// Documents are found when they are asked for.
    Found { execution: Box<Execution>, shown: Shown },
    /// Documents come out of a pipeline when they are asked for.
    Piped(Documents),
}

/// How a document that was found is shown.
#[derive(Debug)]
pub(crate) enum Shown {
    /// As it is, or a part of it.
    Document {
        filter: Arc<Filter>,
        projection: Option<Projection>,
        /// Whether the keys of the index are shown in place of the document.
        return_key: bool,
        /// Whether the place of a document in its collection is shown with it.
        show_record_id: bool,
    },
    /// Who has locked it, in its collection.
    Lock(CollectionId),
}

impl Cursor {
    /// A cursor over documents that are there already.
    pub(crate) fn over(documents: Vec<RawDocumentBuf>) -> Self {
        Self { source: Source::Made, ready: documents.into(), time: None }
    }

    /// A cursor over the documents that an execution finds, which looks at the same deadline.
    pub(crate) fn of(execution: Execution, shown: Shown, deadline: Option<Deadline>) -> Self {
        Self::at_work(Source::Found { execution: Box::new(execution), shown }, deadline)
    }

    /// A cursor over the documents that come out of a pipeline, which looks at the same deadline.
    pub(crate) fn piped(documents: Documents, deadline: Option<Deadline>) -> Self {
        Self::at_work(Source::Piped(documents), deadline)
    }

    fn at_work(source: Source, deadline: Option<Deadline>) -> Self {
        Self { source, ready: VecDeque::new(), time: deadline.map(CursorTime::new) }
    }

    /// The next documents, at most `count`, and no more once they have `bytes` together. It rests before and behind.
    pub(crate) fn next_batch(
        &mut self,
        engine: &Engine,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        if let Some(time) = &mut self.time {
            time.resume(engine.clock.now());
        }
        let batch = self.find_batch(engine, count, bytes);
        if let Some(time) = &mut self.time {
            time.rest(engine.clock.now());
        }
        batch
    }

    fn find_batch(
        &mut self,
        engine: &Engine,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        if let Source::Found { execution, shown } = &mut self.source
            && self.ready.is_empty()
        {
            return execution.next_batch(engine, count, bytes, |row| shown.show(engine, row));
        }
        let mut batch = Vec::new();
        let mut size = 0;
        while batch.len() < count && size < bytes {
            let Some(document) = self.take(engine)? else { break };
            size += document.as_bytes().len();
            batch.push(document);
        }
        Ok(batch)
    }

    /// The next document that is there or comes out of a pipeline.
    fn take(&mut self, engine: &Engine) -> Result<Option<RawDocumentBuf>, DocumentError> {
        if let Source::Piped(documents) = &mut self.source
            && self.ready.is_empty()
        {
            let next = documents.next();
            if !matches!(next, Ok(Some(_))) {
                self.source = Source::Made;
            }
            return next.map_err(|error| engine.why_failed(error.into()));
        }
        Ok(self.ready.pop_front())
    }

    /// The next document; `None` after the last. Where there are none ready, up to `ahead` are found at once.
    pub(crate) fn next_document(
        &mut self,
        engine: &Engine,
        ahead: usize,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        self.read_ahead(engine, ahead)?;
        Ok(self.ready.pop_front())
    }

    /// Finds up to `ahead` documents, if none are ready.
    pub(crate) fn read_ahead(
        &mut self,
        engine: &Engine,
        ahead: usize,
    ) -> Result<(), DocumentError> {
        if self.ready.is_empty() {
            self.ready = self.next_batch(engine, ahead, limits::DOCUMENT_BYTES_MAX)?.into();
        }
        Ok(())
    }

    /// Whether it is known that there are no more.
    pub(crate) fn is_finished(&self) -> bool {
        self.ready.is_empty()
            && match &self.source {
                Source::Made => true,
                Source::Piped(_) => false,
                Source::Found { execution, .. } => execution.is_done(),
            }
    }
}

impl Shown {
    fn show(&self, engine: &Engine, row: Row<'_>) -> Result<RawDocumentBuf, DocumentError> {
        let (filter, projection, return_key, show_record_id) = match self {
            Self::Document { filter, projection, return_key, show_record_id } => {
                (filter, projection, *return_key, *show_record_id)
            }
            Self::Lock(collection) => return Ok(locked::shown(engine, *collection, row)),
        };
        let mut document = match projection {
            _ if return_key => row.key_document()?,
            Some(projection) => projection.apply(row.document, filter)?,
            None => row.document.to_owned(),
        };
        if show_record_id {
            let mut fields = Writer::new();
            fields.fields((&*document).into());
            fields.field("$recordId", Value::Int64(row.record.get().cast_signed()));
            document = RawDocumentBuf::from_bytes(fields.finish())
                .expect("what was written is a document");
        }
        Ok(document)
    }
}

/// How many documents are found at a time for somebody who asks for one after the other: as many as MongoDB finds first.
pub(crate) const AHEAD: usize = 101;
