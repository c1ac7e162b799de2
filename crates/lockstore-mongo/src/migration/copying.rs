//! Copying the documents of a collection, in the order of their `_id`s.

use bson::{
    Bson, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, cstr, doc, rawdoc,
};
use lockstore::DocumentError;
use lockstore::remote::serving::document_locks::error_of;

use super::endpoint::{Endpoint, Namespace};
use super::error::MigrationError;
use super::journal::Journal;
use super::progress::{Observed, Step};

/// Copies what is not copied yet. After each batch the journal knows how far it is, so one that was cut short repeats a batch at most.
pub(super) fn copy(
    source: &Endpoint,
    target: &Endpoint,
    namespace: &Namespace,
    journal: &Journal<'_>,
    observed: &Observed<'_>,
) -> Result<u64, MigrationError> {
    let mut filled = journal.filled(namespace)?.unwrap_or_default();
    if filled.done {
        return Ok(filled.documents.unsigned_abs());
    }
    let documents = source.documents(namespace);
    let mut find =
        documents.find(doc! {}).sort(doc! { "_id": 1 }).hint(doc! { "_id": 1 }).batch_size(BATCH);
    // A bound of the index, for a condition would pass over values of other types. It gives the last one again.
    let mut again = filled.last.clone();
    if let Some(last) = &again {
        find = find.min(doc! { "_id": last });
    }
    let mut found = find.run().map_err(|error| source.failed(error))?;
    loop {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH as usize && bytes < BATCH_BYTES {
            let Some(document) = found.next() else { break };
            let document = document.map_err(|error| source.failed(error))?;
            if again.take().is_some_and(|last| id_of(&document) == last) {
                continue;
            }
            bytes += document.as_bytes().len();
            batch.push(document);
        }
        let Some(last) = batch.last() else { break };
        let (last, count) = (id_of(last), batch.len());
        write(target, namespace, batch)?;
        filled.last = Some(last);
        filled.documents += i64::try_from(count).unwrap_or(i64::MAX);
        journal.set_filled(namespace, &filled)?;
        observed.tell(Step::Copied { documents: count as u64 })?;
    }
    filled.done = true;
    journal.set_filled(namespace, &filled)?;
    Ok(filled.documents.unsigned_abs())
}

/// Writes documents as they are. One that is there already under its `_id` becomes the same.
pub(super) fn write(
    target: &Endpoint,
    namespace: &Namespace,
    documents: Vec<RawDocumentBuf>,
) -> Result<(), MigrationError> {
    // What is inserted has the time put where a timestamp is empty. A pipeline takes it literally.
    let (mut replaced, inserted): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|document| has_empty_timestamp(document));
    replaced.extend(insert(target, namespace, &inserted)?);
    replace(target, namespace, &replaced)
}

/// Deletes a document.
pub(super) fn delete(
    target: &Endpoint,
    namespace: &Namespace,
    id: &Bson,
) -> Result<(), MigrationError> {
    let deleted = target.documents(namespace).delete_one(doc! { "_id": { "$eq": id } }).run();
    deleted.map(drop).map_err(|error| target.failed(error))
}

/// Inserts documents, and gives those whose `_id`s are there already.
fn insert(
    target: &Endpoint,
    namespace: &Namespace,
    documents: &[RawDocumentBuf],
) -> Result<Vec<RawDocumentBuf>, MigrationError> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = RawArrayBuf::new();
    for document in documents {
        all.push(document.clone());
    }
    let command = rawdoc! {
        "insert": namespace.collection.as_str(),
        "documents": all,
        "ordered": false,
        "bypassDocumentValidation": true,
    };
    let refused = refused(target, namespace, &command)?;
    let mut there = Vec::new();
    for (index, error) in refused {
        let document = documents.get(index).ok_or_else(|| target.senseless("an index"))?;
        match error {
            DocumentError::DuplicateKey(key) if is_id_key(key.pattern()) => {
                there.push(document.clone());
            }
            error => return Err(not_written(target, namespace, document, error)),
        }
    }
    Ok(there)
}

/// Puts documents in the place of those with the same `_id`s, or beside them where there are none.
fn replace(
    target: &Endpoint,
    namespace: &Namespace,
    documents: &[RawDocumentBuf],
) -> Result<(), MigrationError> {
    if documents.is_empty() {
        return Ok(());
    }
    let mut updates = RawArrayBuf::new();
    for document in documents {
        let id = document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null);
        // Names and texts with dollars mean nothing in a literal.
        let mut stages = RawArrayBuf::new();
        stages.push(rawdoc! { "$replaceWith": { "$literal": document.clone() } });
        let mut update = rawdoc! { "q": { "_id": { "$eq": id } } };
        update.append(cstr!("u"), stages);
        update.append(cstr!("upsert"), true);
        updates.push(update);
    }
    let command = rawdoc! {
        "update": namespace.collection.as_str(),
        "updates": updates,
        "ordered": false,
        "bypassDocumentValidation": true,
    };
    match refused(target, namespace, &command)?.into_iter().next() {
        None => Ok(()),
        Some((index, error)) => {
            let document = documents.get(index).ok_or_else(|| target.senseless("an index"))?;
            Err(not_written(target, namespace, document, error))
        }
    }
}

/// Runs a write, and gives those of its statements that were refused.
fn refused(
    target: &Endpoint,
    namespace: &Namespace,
    command: &RawDocumentBuf,
) -> Result<Vec<(usize, DocumentError)>, MigrationError> {
    let reply = target.run(&namespace.database, command).map_err(|error| target.failed(error))?;
    let Ok(errors) = reply.get_array("writeErrors") else { return Ok(Vec::new()) };
    let errors = errors.into_iter().map(|error| {
        let error = error.ok().and_then(RawBsonRef::as_document);
        let index = error.and_then(|error| usize::try_from(error.get_i32("index").ok()?).ok());
        match (error, index) {
            (Some(error), Some(index)) => match error_of(error) {
                error @ DocumentError::Store(_) => Err(target.failed(error)),
                error => Ok((index, error)),
            },
            _ => Err(target.senseless("the error of a write")),
        }
    });
    errors.collect()
}

fn not_written(
    target: &Endpoint,
    namespace: &Namespace,
    document: &RawDocument,
    error: DocumentError,
) -> MigrationError {
    MigrationError::Document {
        to: target.to_string(),
        namespace: namespace.clone(),
        id: Box::new(id_of(document)),
        error: Box::new(error),
    }
}

fn is_id_key(pattern: &RawDocument) -> bool {
    let mut fields = pattern.iter_elements().flatten();
    fields.next().is_some_and(|field| field.key() == "_id") && fields.next().is_none()
}

fn has_empty_timestamp(document: &RawDocument) -> bool {
    let empty = Timestamp { time: 0, increment: 0 };
    document.iter().flatten().any(|(_, value)| value.as_timestamp() == Some(empty))
}

/// The `_id` of a document.
pub(super) fn id_of(document: &RawDocument) -> Bson {
    let id = document.get("_id").ok().flatten();
    id.and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null)
}

/// How many documents are written at once, at most.
const BATCH: u32 = 1_000;
/// How many bytes of documents are written at once, before the last of them.
const BATCH_BYTES: usize = 4 << 20;
