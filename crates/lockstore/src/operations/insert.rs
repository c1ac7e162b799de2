//! Insertion: documents are completed on the caller's thread, and inserted by bounded tasks.

use std::collections::VecDeque;

use bson::oid::ObjectId;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Document, Error, Value, Writer, limits};

use super::{Place, new_collection};
use crate::client_sessions::Memo;
use crate::documents::{Ask, Attempt, BYTES_PER_TASK, DOCUMENTS_PER_TASK, Insert, Inserted};
use crate::error::DocumentError;

/// Documents to insert.
#[derive(Debug)]
pub(crate) struct InsertRequest {
    pub(crate) documents: Vec<RawDocumentBuf>,
    /// Whether the first document that cannot be inserted is the last that is tried.
    pub(crate) ordered: bool,
}

/// What has become of them.
#[derive(Debug, Default)]
pub(crate) struct InsertOutcome {
    /// The `_id` of what was inserted, by its index.
    pub(crate) inserted: Vec<(usize, RawBson)>,
    /// What could not be inserted, by its index.
    pub(crate) errors: Vec<(usize, DocumentError)>,
}

/// Documents that are complete, with their indexes in the request.
type Queue = VecDeque<(usize, RawDocumentBuf)>;

impl Place<'_> {
    /// Inserts documents. What was inserted before an error stays. When the store cannot serve, nothing more is tried.
    pub(crate) fn insert(&self, request: InsertRequest) -> InsertOutcome {
        self.insert_by(&[], request)
    }

    /// The same, each document by its statement, where it is one of a write that may come again.
    pub(crate) fn insert_by(&self, statements: &[i32], request: InsertRequest) -> InsertOutcome {
        let InsertRequest { documents, ordered } = request;
        let mut outcome = InsertOutcome::default();
        let mut queue = Queue::new();
        let mut refused = Vec::new();
        for (index, document) in documents.into_iter().enumerate() {
            match completed(&document, || self.timestamp()) {
                Ok(document) => queue.push_back((index, document)),
                Err(error) => refused.push((index, error.into())),
            }
            if ordered && !refused.is_empty() {
                break;
            }
        }
        while !queue.is_empty() {
            self.insert_some(&mut queue, ordered, statements, &mut outcome);
            if outcome.failure().is_some() || (ordered && !outcome.errors.is_empty()) {
                return outcome;
            }
        }
        outcome.errors.extend(refused);
        outcome.errors.sort_by_key(|(index, _)| *index);
        outcome
    }

    /// Inserts as many as fit into one task.
    fn insert_some(
        &self,
        queue: &mut Queue,
        ordered: bool,
        statements: &[i32],
        outcome: &mut InsertOutcome,
    ) {
        let mut bytes = 0;
        let fitting = queue.iter().take(DOCUMENTS_PER_TASK).take_while(|(_, document)| {
            bytes += document.as_bytes().len();
            bytes <= BYTES_PER_TASK
        });
        let count = fitting.count().max(1);
        let (indexes, documents): (Vec<_>, Vec<_>) = queue.drain(..count).unzip();
        let ids: Vec<RawBson> = documents.iter().map(|document| id(document)).collect();
        let numbers = indexes.iter().filter_map(|index| statements.get(*index).copied()).collect();
        let Inserted { results, rest } = match self.insert_task(documents, ordered, numbers) {
            Ok(inserted) => inserted,
            Err(error) => {
                let tried = if ordered || error.is_final() { 1 } else { indexes.len() };
                let failed = indexes.into_iter().take(tried).map(|index| (index, error.clone()));
                return outcome.errors.extend(failed);
            }
        };
        let untried = indexes[results.len()..].iter().copied();
        for pair in untried.zip(rest).rev() {
            queue.push_front(pair);
        }
        for ((index, id), result) in indexes.into_iter().zip(ids).zip(results) {
            match result {
                Ok(()) => outcome.inserted.push((index, id)),
                Err(error) => outcome.errors.push((index, error)),
            }
        }
    }

    fn insert_task(
        &self,
        documents: Vec<RawDocumentBuf>,
        ordered: bool,
        statements: Vec<i32>,
    ) -> Result<Inserted, DocumentError> {
        let namespace = self.namespace().clone();
        let create = Some(new_collection());
        let scope = self.remembering(|_| Memo::Inserts(statements));
        match scope.insert(Insert { namespace, create, documents, ordered })? {
            Attempt::Done(inserted) => Ok(inserted),
            Attempt::Again => {
                unreachable!("an insertion that may create its collection is never out of date")
            }
        }
    }
}

impl InsertOutcome {
    /// Why the store or the transaction could not go on, if that is so.
    pub(crate) fn failure(&self) -> Option<&DocumentError> {
        self.errors.iter().map(|(_, error)| error).find(|error| error.is_final())
    }
}

/// The `_id` of a document that is complete.
pub(crate) fn id(document: &RawDocument) -> RawBson {
    document.get("_id").ok().flatten().expect("a complete document has an _id").into()
}

/// The document as it is stored: with an `_id`, in front, and `timestamp` in those that are 0.
///
/// # Errors
///
/// It is no document that may be stored.
pub(crate) fn completed(
    document: &RawDocument,
    timestamp: impl Fn() -> u64,
) -> Result<RawDocumentBuf, Error> {
    check_size(document)?;
    limits::check_document(document)?;
    let fields = Document::from(document);
    let id = fields.get("_id");
    limits::check_id(id)?;
    let first = fields.first().is_some_and(|(name, _)| name == "_id");
    let unset =
        |(name, value): (&str, Value<'_>)| name != "_id" && matches!(value, Value::Timestamp(0));
    if first && !fields.into_iter().any(unset) {
        return Ok(document.to_owned());
    }
    let mut writer = Writer::with_capacity(document.as_bytes().len() + ID_BYTES);
    match id {
        Value::Missing => writer.field("_id", Value::ObjectId(&ObjectId::new().bytes())),
        id => writer.field("_id", id),
    }
    for element in Elements::of(document.as_bytes()) {
        match element.value() {
            _ if element.name() == "_id" => {}
            Value::Timestamp(0) => {
                writer.field(element.name(), Value::Timestamp(timestamp()));
            }
            _ => writer.copy(&element),
        }
    }
    let completed =
        RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document");
    check_size(&completed)?;
    Ok(completed)
}

/// The server refuses a document that comes in too large with another code than one that grows too large.
fn check_size(document: &RawDocument) -> Result<(), Error> {
    let bytes = document.as_bytes().len();
    if bytes <= limits::DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::bad_value(format!(
        "object to insert too large. size in bytes: {bytes}, max size: {}",
        limits::DOCUMENT_BYTES_MAX
    )))
}

/// What an `_id` that is made takes: type, name and value.
const ID_BYTES: usize = 1 + 4 + 12;
